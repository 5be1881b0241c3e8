"""``SuperNode``: the back-end that knows its clients, and lets in clients that know nothing of stamps."""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UnsetType

from mergecore import UNSET, Conflict, InvalidInput, Lost, Policy, Version, format_path

from .columns import as_json
from .errors import Forbidden, PreconditionFailed, PreconditionRequired, RecordNotFound
from .node import Node, Peer, known_peer
from .patches import converted
from .store import Base, PeerRow, Row, Store, Transaction

if TYPE_CHECKING:
    from starlette.applications import Starlette

__all__ = ["Answer", "SuperNode"]


class Answer(msgspec.Struct):
    """A record as it is given to a client that knows nothing of stamps."""

    guid: str
    model: str
    tag: str
    """Says which version it is: to be handed back with what is written, ``If-Match``."""
    record: Any
    date_created: dt.datetime
    date_updated: dt.datetime
    is_deleted: bool
    conflicts: list[dict[str, Any]]
    lost: list[dict[str, Any]]


class SuperNode(Node):
    """A node with a table of its clients: who they are, what each has, what each may do; all with ``Node`` besides.

    ``bases_for`` is how long a version that was handed out to a thin client is kept as a base, and how long a request
    with an idempotency key is remembered. ``on_stale(peer)`` is called for a client that is behind and was silent for
    ``stale_after`` (once for each silence; see ``Webhook``). ``max_body`` bounds a request's body, in bytes, unpacked;
    ``heartbeat``, in seconds, is how often an idle event connection is written to.
    """

    def __init__(
        self,
        name: str,
        store: str | os.PathLike[str] | Store,
        *,
        models: Mapping[str, Any] | None = None,
        policies: Mapping[str, Policy] | None = None,
        by: str | None = None,
        now: Callable[[], float] | None = None,
        max_drift: int = 60_000,
        bases_for: dt.timedelta = dt.timedelta(days=1),
        on_stale: Callable[[Peer], object] | None = None,
        stale_after: dt.timedelta = dt.timedelta(days=1),
        max_body: int = 32 << 20,
        heartbeat: float = 15.0,
    ) -> None:
        super().__init__(
            name, store, models=models, policies=policies, by=by, back_end=name, now=now, max_drift=max_drift
        )
        self.bases_for, self.on_stale, self.stale_after = bases_for, on_stale, stale_after
        self.max_body, self.heartbeat = max_body, heartbeat
        self._app: Starlette | None = None

    @property
    def app(self) -> Starlette:
        """The ASGI app: ``uvicorn.run(server.app)``. It needs the extra ``sync``."""
        if self._app is None:
            from .app import app_of

            self._app = app_of(self)
        return self._app

    # ---- the table of nodes

    def add_node(
        self,
        id: str,
        *,
        client_name: str | UnsetType = UNSET,
        fields: Mapping[str, Any] | UnsetType = UNSET,
        read: Iterable[str] | UnsetType | None = UNSET,
        write: Iterable[str] | UnsetType | None = UNSET,
        relay: bool | UnsetType = UNSET,
        renew: bool = False,
    ) -> str:
        """Expects a node (or a thin client) of this name, and gives its token, which is stored nowhere but as a hash.

        ``read`` and ``write`` are the models that it may; unless given, and as ``None``, all that this node has, and
        will have. ``relay``: it may hand on what other nodes wrote. ``fields`` are the application's own.

        ``renew``: a node that has a token gets another one, and the old one dies; a revocation ends; of the rest, what
        is not given stays. Raises ``InvalidInput`` for a node that has one, or was revoked, unless so asked, and for
        names of no models.
        """
        token = secrets.token_hex(32)
        with self.transaction() as tx:
            if not isinstance(id, str) or not id or "~" in id or id == self.name:
                raise InvalidInput(
                    f"{id!r:.200} cannot be a node's name: give another one than this node's, without '~'"
                )
            peer = tx.peer(id) or PeerRow(id)
            if (peer.token is not None or peer.revoked) and not renew:
                what = "was revoked" if peer.revoked else "has a token"
                todo = "renew=True (--renew) gives it another one, allow() (node allow) changes its rights"
                raise InvalidInput(f"{id!r} {what}: {todo}")
            self._allow(peer, client_name, fields, read, write, relay)
            peer.token, peer.revoked, peer.retired, peer.recovering = _hash(token), False, False, False
            tx.save_peer(peer)
        return token

    def allow(
        self,
        id: str,
        *,
        client_name: str | UnsetType = UNSET,
        fields: Mapping[str, Any] | UnsetType = UNSET,
        read: Iterable[str] | UnsetType | None = UNSET,
        write: Iterable[str] | UnsetType | None = UNSET,
        relay: bool | UnsetType = UNSET,
    ) -> None:
        """Changes what is known of a node, as ``add_node`` takes it; its token, and what is not given, stay.

        Raises ``InvalidInput`` for a stranger, and for names of no models.
        """
        with self.transaction() as tx:
            peer = known_peer(tx, id)
            self._allow(peer, client_name, fields, read, write, relay)
            tx.save_peer(peer)

    def _allow(self, peer: PeerRow, client_name: Any, fields: Any, read: Any, write: Any, relay: Any) -> None:
        if client_name is not UNSET:
            peer.client_name = client_name
        if fields is not UNSET:
            peer.fields = dict(fields)
        if read is not UNSET:
            before, peer.read = peer.read, self._models("read", read)
            if before is not None and (peer.read is None or not set(peer.read) <= set(before)):
                peer.grants, peer.acknowledged = peer.grants + 1, 0  # it has not all that it may read now
        if write is not UNSET:
            peer.write = self._models("write", write)
        if relay is not UNSET:
            peer.relay = relay

    def _models(self, what: str, names: Any) -> list[str] | None:
        if names is None:
            return None
        if isinstance(names, str) or not isinstance(names, Iterable):
            raise InvalidInput(f"{what}={names!r}: give a list of models, such as [{names!r}], or None for all")
        return sorted({self.known_model(name) for name in names})

    def revoke(self, id: str) -> None:
        """The node's token dies, and what it then sends is refused. Raises ``InvalidInput`` for a stranger."""
        with self.transaction() as tx:
            peer = known_peer(tx, id)
            peer.revoked, peer.token = True, None
            tx.save_peer(peer)

    def authenticate(self, token: str) -> PeerRow:
        """The node whose token this is. Raises ``Forbidden``."""
        with self.store.transaction(write=False) as tx:
            peer = tx.peer_of(_hash(token))
        if peer is None or peer.revoked:
            raise Forbidden("there is no node with this token, or it was revoked: ask for a new one")
        return peer

    def behind(self, ids: Iterable[str]) -> dict[str, int]:
        """Of these nodes those that have not all of what they may read, and the newest position of that."""
        wanted = set(ids)
        with self.store.transaction(write=False) as tx:
            newest = tx.newest()
            peers = tx.peers() if len(wanted) > 10 else list(filter(None, map(tx.peer, wanted)))
        found: dict[str, int] = {}
        for peer in peers:
            position = max((n for m, n in newest.items() if peer.reads(m)), default=0)
            if peer.id in wanted and not peer.revoked and position > peer.acknowledged:
                found[peer.id] = position
        return found

    def remind(self) -> list[Peer]:
        """Tells the application (``on_stale``) of each live client that is behind and was silent for too long.

        Once for each silence; if ``on_stale`` raises, again the next time. Gives those that it was told of.
        """
        told: list[Peer] = []
        if self.on_stale is None:
            return told
        with self.store.transaction(write=False) as tx:
            limit = self.wall() - self.stale_after // dt.timedelta(milliseconds=1)
            silent = [p for p in tx.peers() if p.last_sync <= limit and p.reminded <= p.last_sync]
            late = [self.peer(tx, p) for p in silent if not (p.revoked or p.retired)]
        failed: Exception | None = None
        for peer in late:
            if peer.behind:
                try:
                    self.on_stale(peer)
                except Exception as error:  # the others are told all the same
                    failed = error
                    continue
                told.append(peer)
                with self.transaction() as tx:
                    row = known_peer(tx, peer.id)
                    row.reminded = max(self.wall(), row.last_sync + 1)
                    tx.save_peer(row)
        if failed is not None:
            raise failed
        return told

    # ---- clients that know nothing of stamps

    def fetch(self, model: str, guid: str) -> Answer:
        """A record, with the tag of its version, which is kept as a base from now on. Raises ``RecordNotFound``."""
        with self.transaction() as tx:
            return self._answers(tx, [self._row(tx, model, guid)])[0]

    def fetch_all(self, model: str, after: str = "", limit: int = 100) -> tuple[list[Answer], bool]:
        """Records of a model that are not deleted, in the order of their GUIDs; and whether there are more."""
        with self.transaction() as tx:
            rows = list(itertools.islice(tx.all(model, False, after), limit + 1))
            return self._answers(tx, rows[:limit]), len(rows) > limit

    def create(
        self, model: str, record: Any, *, by: str | None = None, key: str | None = None, digest: bytes = b""
    ) -> Answer:
        """A new record, out of plain data; ``key`` makes it once, however often it is asked for."""
        cls, policy = self.binding(model)

        def made(tx: Transaction) -> Row:
            clock = self.clock(tx)
            version: Version[Any] = Version.new(clock, self.read_as(model, record), cls, by=by, policy=policy)
            row = Row(version.id, model, b"")
            self.keep(tx, clock, [(row, version)])
            return row

        return self._once(key, digest, made)

    def change(
        self,
        model: str,
        guid: str,
        change: Callable[[Version[Any], Any, Version[Any]], Version[Any]],
        *,
        tag: str | None,
        key: str | None = None,
        digest: bytes = b"",
    ) -> Answer:
        """A change of a record: ``change(version, clock, base)``, where ``base`` is what its author was looking at.

        ``tag`` is the tag of that; ``"*"``: whatever is there now. ``key`` makes the change once, however often it is
        asked for, with the same ``digest`` of what is asked. Raises ``PreconditionRequired`` without a tag, and
        ``PreconditionFailed``, with the record as it is, for the tag of a version that is kept no longer.
        """
        if tag is None:
            raise PreconditionRequired("say what you were looking at: send the ETag back in If-Match")

        def changed(tx: Transaction) -> Row:
            row = self._row(tx, model, guid)
            before = self.decode(row)
            base = before
            if tag not in ("*", tag_of(row.data)):
                kept = tx.base(tag, guid, self.wall())
                if kept is None:
                    raise PreconditionFailed(
                        "what you were looking at is not known any longer: look again, and send it again",
                        self._answers(tx, [row])[0],
                    )
                base = self.decode(row, kept.data)
            clock = self.clock(tx)
            after = change(before, clock, base)
            if after is not before:
                self.keep(tx, clock, [(row, after)])
            return row

        return self._once(key, digest, changed)

    def read_as(self, model: str, data: Any) -> Any:
        """Plain data as a record of a model. Raises ``InvalidInput``."""
        cls = self.models.get(model)
        if not isinstance(data, Mapping):
            raise InvalidInput("a record is a mapping of fields")
        if cls is None:
            return dict(data)
        return converted(data, cls)

    def _once(self, key: str | None, digest: bytes, work: Callable[[Transaction], Row]) -> Answer:
        answer: Answer | PreconditionFailed
        with self.transaction() as tx:
            now = self.wall()
            if key is not None and (known := tx.answer(key, now)) is not None:
                said, made = msgspec.msgpack.decode(known, type=tuple[bytes, Answer])
                if said != digest:
                    raise InvalidInput("this idempotency key was sent with another request: give each its own")
                return made
            try:
                answer = self._answers(tx, [work(tx)])[0]
            except PreconditionFailed as error:  # nothing was written, but the record as it is was handed out
                answer = error
            if key is not None and isinstance(answer, Answer):
                tx.keep_answer(key, msgspec.msgpack.encode((digest, answer)), now, now + self._kept_for())
        if isinstance(answer, PreconditionFailed):
            raise answer
        return answer

    def _row(self, tx: Transaction, model: str, guid: str) -> Row:
        row = tx.rows([guid]).get(guid)
        if row is None or row.purged is not None or row.model != model:
            raise RecordNotFound(f"there is no {model!r} record {guid!r:.200} here")
        return row

    def _answers(self, tx: Transaction, rows: list[Row]) -> list[Answer]:
        now = self.wall()
        tags, long = [tag_of(row.data) for row in rows], self._kept_for()
        bases = [Base(tag, row.guid, row.data, now + long) for tag, row in zip(tags, rows)]
        known = {b.tag for b in bases if (old := tx.base(b.tag, b.guid, now)) and old.expires > now + long // 2}
        if new := [base for base in bases if base.tag not in known]:
            tx.keep_bases(new, now)
        return [self._answer(row, tag) for row, tag in zip(rows, tags)]

    def _answer(self, row: Row, tag: str) -> Answer:
        v = self.decode(row)
        record = as_json(v.record)
        dates = v.created.datetime, v.updated.datetime
        conflicts, lost = [conflict_json(c) for c in v.conflicts], [lost_json(x) for x in v.lost]
        return Answer(row.guid, row.model, tag, record, *dates, v.deleted, conflicts, lost)

    def _kept_for(self) -> int:
        return self.bases_for // dt.timedelta(milliseconds=1)


def conflict_json(conflict: Conflict) -> dict[str, Any]:
    """An open question as plain data. What is absent has no key: null is null."""
    return _known(
        path=format_path(conflict.path), reason=conflict.reason, detail=conflict.detail, strategy=conflict.strategy,
        base=conflict.base,
        candidates=[
            _known(id=c.id, value=c.value, name=c.name, by=c.by, date=None if c.stamp is None else c.stamp.datetime)
            for c in conflict.candidates
        ],
    )  # fmt: skip


def lost_json(lost: Lost) -> dict[str, Any]:
    """A value that lost as plain data. What is absent has no key."""
    return _known(
        path=format_path(lost.path), value=lost.value, name=lost.stamp.node.partition("~")[0], by=lost.by,
        date=lost.stamp.datetime, decided_by=lost.decided_by,
    )  # fmt: skip


def _known(**parts: Any) -> dict[str, Any]:
    return {name: as_json(value) for name, value in parts.items() if value is not msgspec.UNSET}


def tag_of(data: bytes) -> str:
    """Says which version these are the bytes of."""
    return hashlib.blake2b(data, digest_size=15).hexdigest()


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
