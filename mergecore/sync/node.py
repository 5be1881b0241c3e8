"""``Node``: the records of one device or server, and how it synchronizes them with any other.

Local changes are written under the store's lock, with the clock's state, before anything leaves. Who has what is told
by versions; the only order that counts is that in which the *serving* node stored what it got.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import difflib
import hashlib
import os
import re
import secrets
import threading
import time
import typing
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import msgspec

from mergecore import (
    Clock,
    Conflict,
    InvalidInput,
    Lost,
    Policy,
    RecordDeleted,
    SchemaMismatch,
    Timestamp,
    Version,
    VersionVector,
)

from .errors import Forbidden, PeerError, RecordNotFound, StoreCorrupt
from .exchange import Report, Session, answer
from .intake import purged_row
from .plan import Held, Purged
from .protocol import Link, Request, Response, vector_bytes, vector_of
from .sql import SQLStore
from .store import ALL, NodeState, PeerRow, Row, Store, Transaction, state_of

if TYPE_CHECKING:
    from .client import HTTPLink

__all__ = ["Inbox", "Node", "Peer"]


class Inbox(msgspec.Struct, frozen=True):
    """What waits for a person about one record."""

    guid: str
    model: str
    conflicts: tuple[Conflict, ...]
    """Settled by ``node.resolve``."""
    lost: tuple[Lost, ...]
    """Brought back by ``node.edit``, dismissed by ``node.resolve``."""


class Peer(msgspec.Struct, frozen=True):
    """Another node, as this one knows it."""

    id: str
    client_name: str
    last_sync: dt.datetime | None
    """The date, for people."""
    position: int
    """Up to here in its receive order we have everything; 0 when new."""
    acknowledged: int
    """Up to here in our receive order it has everything."""
    behind: int
    """So many records have changed since."""
    fields: dict[str, Any]
    """The application's own."""
    read: list[str] | None
    """The models that it may read here; ``None``: all."""
    write: list[str] | None
    """And write."""
    relay: bool
    """Whether it may hand on what other nodes wrote."""
    revoked: bool
    retired: bool


class Node:
    """The records of one device, or of a back-end that is one more node.

    ``name`` must be another for each node that ever meets another. ``store`` is the path of an SQLite file,
    ``:memory:`` or a ``postgresql://`` URL (or a ``Store``). ``models`` are record classes by the names of their
    tables; without models, records are dictionaries. ``policies`` are by those names, too. ``by`` is the person who
    edits here, unless told.

    ``back_end`` names the node whose acknowledgement makes a record synchronized, and whose clock is taken for right: a
    peer, or this node itself (as a ``SuperNode`` is); who is told nothing learns it from the first back-end he meets.
    ``trust_clock``: this device's own clock is right; so say the nodes of a mesh without a back-end. ``now`` gives the
    device's time in epoch milliseconds, ``max_drift`` is how far ahead of it a stamp may be. A node may be used by many
    threads, and its store by several processes.

    Raises ``StoreError`` for a store that cannot be used, ``InvalidInput`` for names and models that cannot be.
    """

    def __init__(
        self,
        name: str,
        store: str | os.PathLike[str] | Store,
        *,
        models: Mapping[str, Any] | None = None,
        policies: Mapping[str, Policy] | None = None,
        by: str | None = None,
        back_end: str | None = None,
        trust_clock: bool = False,
        now: Callable[[], float] | None = None,
        max_drift: int = 60_000,
    ) -> None:
        self.name, self.by, self.trust_clock = name, by, trust_clock
        self.models, self.policies = _by_name("models", models, "Todo"), _by_name("policies", policies, "Policy(...)")
        for model, policy in self.policies.items():
            self.known_model(model)
            if not isinstance(policy, Policy):
                raise InvalidInput(
                    f"policies={{{model!r}: {policy!r:.200}}}: give a Policy, such as Policy(default=lww)"
                )
        self.max_drift = max_drift
        self._wall = now or (lambda: time.time_ns() // 1_000_000)
        self._listeners: list[Callable[[int], None]] = []
        self._links: dict[tuple[str, str | None], HTTPLink] = {}
        Clock(name)  # a name that a clock takes
        self.store: Store = SQLStore(store, self.models) if isinstance(store, str | os.PathLike) else store
        with self.transaction() as tx:
            if tx.state is None:
                tx.state = NodeState(name, _epoch(), Clock(name).save())
            elif tx.state.name != name:
                raise InvalidInput(f"this is the store of {tx.state.name!r}, and not of {name!r}")
            self.back_end = tx.state.back_end = back_end or tx.state.back_end
            for model, cls in self.models.items():
                shape = _shape(cls, self.policies.get(model))
                if tx.fit(model) or tx.state.shapes.get(model) != shape:
                    self._show_anew(tx, model)
                tx.state.shapes[model] = shape

    def close(self) -> None:
        """Closes the store, and the connections to others."""
        for link in self._links.values():
            link.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _show_anew(self, tx: Transaction, model: str) -> None:
        """Other columns, or another policy: what SQL sees of the records follows."""
        for row in tx.all(model):
            with contextlib.suppress(InvalidInput, SchemaMismatch):  # it tells when it is read
                tx.fill(row, self.decode(row))
                tx.show([row])

    @property
    def is_back_end(self) -> bool:
        """Whether it is the back-end of whoever synchronizes with it."""
        return self.back_end == self.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    # ---- reading

    def version(self, guid: str) -> Version[Any]:
        """A record with its history. Raises ``RecordNotFound``."""
        with self.store.transaction(write=False) as tx:
            return self.decode(_found(tx, guid))

    def get(self, guid: str) -> Any:
        """A record, an instance of its model; ``None`` where there is none, or it is deleted."""
        try:
            version = self.version(guid)
        except RecordNotFound:
            return None
        return None if version.deleted else version.record

    def all(self, model: str, *, deleted: bool = False) -> dict[str, Any]:
        """The records of a model by their GUIDs; those that are deleted, if so asked.

        Raises ``InvalidInput`` where this node has models, and none of that name; without models, there are just none.
        """
        with self.store.transaction(write=False) as tx:
            if model not in tx.newest():  # else another node has that model, and gave its records
                self.known_model(model)
            return {row.guid: self.decode(row).record for row in tx.all(model, deleted)}

    def inbox(self) -> list[Inbox]:
        """What waits for a person: open conflicts, and values that lost."""
        with self.store.transaction(write=False) as tx:
            rows = tx.rows(tx.find("open")).values()
            versions = [(row, self.decode(row)) for row in rows]
        return [Inbox(row.guid, row.model, v.conflicts, v.lost) for row, v in versions]

    def nodes(self) -> list[Peer]:
        """The nodes that this one has met, or expects."""
        with self.store.transaction(write=False) as tx:
            return [self.peer(tx, row) for row in tx.peers()]

    @property
    def position(self) -> int:
        """The highest position of its receive order: another one, whenever anything was stored."""
        with self.store.transaction(write=False) as tx:
            return state_of(tx).position

    def status(self) -> dict[str, Any]:
        """What there is, in numbers: name, position, records by model, unsynchronized, open, clock offset in ms."""
        with self.store.transaction(write=False) as tx:
            state = state_of(tx)
            return {
                "name": state.name, "position": state.position, "records": tx.count_by_model(),
                "unsynchronized": len(tx.find("unsynchronized")), "open": len(tx.find("open")),
                "offset": state.offset, "peers": len(tx.peers()),
            }  # fmt: skip

    # ---- writing

    def insert(self, record: Any, model: str | None = None, *, guid: str | None = None, by: str | None = None) -> str:
        """A new record; gives its GUID. ``model`` is the name of a dictionary's.

        Raises ``InvalidInput`` for a record that the model does not take, where this node has models for another name
        than theirs, and for a GUID that is in use.
        """
        return self.insert_all([record], model, guids=None if guid is None else [guid], by=by)[0]

    def insert_all(
        self,
        records: Iterable[Any],
        model: str | None = None,
        *,
        guids: Sequence[str] | None = None,
        by: str | None = None,
    ) -> list[str]:
        """New records, all in one transaction; as ``insert``."""
        given = list(records)
        with self.transaction() as tx:
            clock = self.clock(tx)
            made: list[tuple[Row, Version[Any]]] = []
            for record, guid in zip(given, [None] * len(given) if guids is None else guids, strict=True):
                name = self.model_of(record) if model is None else self.known_model(model)
                cls, policy = self.binding(name)
                version: Version[Any] = Version.new(clock, record, cls, id=guid, by=by or self.by, policy=policy)
                made.append((Row(version.id, name, b""), version))
            ids = [version.id for _, version in made]
            for id in tx.rows(ids) or [id for id, n in Counter(ids).items() if n > 1]:
                raise InvalidInput(f"there is a record {id!r} already: leave the guid to be made")
            self.keep(tx, clock, made)
        return ids

    def edit(
        self, guid: str, changes: Mapping[Any, Any] | None = None, /, *, by: str | None = None, **fields: Any
    ) -> Version[Any]:
        """Writes some fields, as ``Version.edit`` does: by path, or by name."""
        with _living(guid):
            return self.write(
                guid, lambda v, clock, shared: v.edit(clock, changes, by=by or self.by, shared=shared, **fields)
            )

    def put(self, guid: str, record: Any, base: Any, *, by: str | None = None) -> Version[Any]:
        """Writes what its author changed against ``base``, what he was shown, as ``Version.put`` does: a version, or a
        plain record (``node.get``). Somebody else's edit since is not reverted.
        """
        with _living(guid):
            return self.write(
                guid, lambda v, clock, shared: v.put(clock, record, base, by=by or self.by, shared=shared)
            )

    def delete(self, guid: str, *, base: Version[Any] | None = None, by: str | None = None) -> Version[Any]:
        """Deletes a record, as ``Version.delete`` does."""
        return self.write(guid, lambda v, clock, shared: v.delete(clock, base=base, by=by or self.by))

    def restore(self, guid: str, *, by: str | None = None) -> Version[Any]:
        """Takes a deletion back."""
        return self.write(guid, lambda v, clock, shared: v.restore(clock, by=by or self.by))

    def resolve(
        self, guid: str, answers: Mapping[Any, Any], *, base: Version[Any] | None = None, by: str | None = None
    ) -> Version[Any]:
        """Settles what is open or lost at some fields, as ``Version.resolve`` does."""
        return self.write(guid, lambda v, clock, shared: v.resolve(clock, answers, base=base, by=by or self.by))

    def fork(self, guid: str, path: Any, *, by: str | None = None) -> list[str]:
        """Keeps both: a record of its own for each value of a field that is not shown. Gives the GUIDs of these."""
        with _living(guid), self.transaction() as tx:
            clock, row = self.clock(tx), _found(tx, guid)
            before = self.decode(row)
            kept, *copies = before.fork(clock, path, by=by or self.by)
            there = tx.rows(copy.id for copy in copies)  # the same fork came from elsewhere, or was made before
            made = [(Row(copy.id, row.model, b"", origin=guid), copy) for copy in copies if copy.id not in there]
            # the copies travel first: while the original has what is in them, anybody can see that it is so
            self.keep(tx, clock, [*made, (self.edited(tx, row, before), kept)])
        return [copy.id for copy in copies]

    # ---- the others

    def sync(
        self,
        peer: str | Node | Link,
        *,
        token: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Report:
        """Exchanges with another node what either has and the other has not: over HTTP, or in this process.

        ``peer`` is a URL, a ``Node`` or any ``Link``. ``progress`` is told how many records have travelled, and how
        many there are. What is stored stays, whenever it is broken off. Raises ``PeerError``, ``Forbidden`` and
        ``StoreError``.
        """
        return Session(self, self._link(peer, token), progress).run()

    def follow(
        self,
        url: str,
        *,
        token: str | None = None,
        stop: threading.Event | None = None,
        on_away: Callable[[PeerError], object] | None = None,
    ) -> Iterator[Report]:
        """Synchronizes now, and whenever there is something new here or at the back-end, until ``stop`` is set.

        Gives a report of each time. What another process writes into this store is found within a second, and so is
        ``stop``, unless a request is under way. While the back-end cannot be reached it waits, up to half a minute, and
        tries again; ``on_away`` is told why, once, when the second try has failed. Raises ``Forbidden`` and
        ``StoreError``.
        """
        from .client import follow

        return follow(self, url, token, stop or threading.Event(), on_away)

    def retire(self, id: str) -> None:
        """A node is not waited for any longer, until it is heard of again. Raises ``InvalidInput`` for a stranger."""
        with self.transaction() as tx:
            peer = known_peer(tx, id)
            peer.retired = True
            tx.save_peer(peer)

    def restored(self) -> None:
        """To be called first of all where the store is a restored backup, or a copy: it takes another identity in
        clocks and in receive orders, so that nothing is given twice and the others send what was lost.

        A back-end lets each node that it knows hand on, once, what others wrote: it may be all that is left of that.
        """
        with self.transaction() as tx:
            self.begin_anew(tx)
            for peer in tx.peers():
                peer.recovering = self.is_back_end and not peer.revoked
                tx.save_peer(peer)

    def purge(self, min_age: dt.timedelta = dt.timedelta(days=30)) -> list[str]:
        """Wipes records for good that were deleted so long ago, and that every live node has acknowledged as deleted.

        Their GUIDs, and what had been seen of them, stay, so that no old version of them comes back. Gives the GUIDs.
        """
        with self.transaction() as tx:
            gone = []
            for row, awaited in self._deleted(tx, min_age):
                version = self.decode(row)
                if awaited or version.conflicts:
                    continue
                with contextlib.suppress(InvalidInput):  # deleted by a column: that is a field like others
                    held = Purged(version.tombstone(), version.seen)
                    gone.append(purged_row(row.guid, row.model, held))
            tx.purge(gone)
        return [row.guid for row in gone]

    def awaited(self, min_age: dt.timedelta = dt.timedelta(days=30)) -> dict[str, int]:
        """Whom ``purge`` waits for: by the names of nodes, how many such records each has not acknowledged as deleted.

        Who will not come any more is retired.
        """
        with self.store.transaction(write=False) as tx:
            return dict(Counter(id for _, awaited in self._deleted(tx, min_age) for id in awaited))

    def _deleted(self, tx: Transaction, min_age: dt.timedelta) -> Iterator[tuple[Row, list[str]]]:
        """What others may know as deleted, and was so long ago, each with those who do not yet."""
        if not isinstance(min_age, dt.timedelta):
            raise InvalidInput(f"min_age={min_age!r}: give a timedelta, such as timedelta(days=30)")
        live = {p.id: p.acknowledged for p in tx.peers() if p.epoch and not (p.retired or p.revoked)}
        if not (self.back_end is None or self.is_back_end or ((p := tx.peer(self.back_end)) and p.epoch)):
            live[self.back_end] = 0  # who never came has nothing; but this one is waited for before it was first met
        now = self.now(tx) - min_age / dt.timedelta(milliseconds=1)
        until = dt.datetime.fromtimestamp(max(0, now) / 1000, dt.UTC)
        for row in tx.rows(tx.find("deleted", until.replace(tzinfo=None))).values():
            if live or row.shared == ALL:
                yield row, [id for id, acknowledged in live.items() if acknowledged < row.position]

    def authenticate(self, token: str) -> PeerRow:
        """The node whose token this is. Raises ``Forbidden``: only a ``SuperNode`` gives tokens."""
        raise Forbidden(f"{self.name!r} is no super node, and knows no tokens: synchronize without one")

    def answer(self, request: Request, caller: PeerRow | None = None) -> Response:
        """What this node says to another one that calls; ``caller`` is known to be who he says."""
        received = int(self._wall())
        response, changed = answer(self, request, caller)
        if changed:
            self._tell(changed)
        response.received, response.answered = received, int(self._wall())
        return response

    def subscribe(self, listener: Callable[[int], None]) -> Callable[[], None]:
        """Calls ``listener`` with the position after each change, in the thread that made it; gives what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # ---- what the exchange is made of

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A writing transaction, after which whoever listens is told."""
        with self.store.transaction() as tx:
            before = tx.state.position if tx.state is not None else 0
            yield tx
            after = tx.state.position if tx.state is not None else 0
        if after != before:
            self._tell(after)

    def _tell(self, position: int) -> None:
        for listener in list(self._listeners):
            listener(position)

    def now(self, tx: Transaction) -> float:
        """The device's time, put right by what the back-end has said."""
        return self._wall() + state_of(tx).offset

    def wall(self) -> int:
        """The device's time."""
        return int(self._wall())

    def clock(self, tx: Transaction) -> Clock:
        """The clock, as it was last saved: nobody else can have it while the transaction writes."""
        state = state_of(tx)
        offset = state.offset
        try:
            clock = Clock.load(state.clock, now=lambda: self._wall() + offset, max_drift=self.max_drift)
            if Timestamp.parse(state.clock).millis <= self.now(tx) + self.max_drift:
                return clock
            return self.new_clock(tx)  # the time was wrong once: what is written from now on need not be
        except InvalidInput as error:
            raise StoreCorrupt(f"what the store has of the clock cannot be read: {error}") from error

    def begin_anew(self, tx: Transaction) -> Clock:
        """Another epoch of the store, and another incarnation of the clock. All is to be sent again."""
        state = state_of(tx)
        state.epoch = _epoch()
        for peer in tx.peers():
            peer.acknowledged = 0
            tx.save_peer(peer)
        return self.new_clock(tx)

    def new_clock(self, tx: Transaction) -> Clock:
        """Another incarnation of the clock, that has seen nothing."""
        state_of(tx).clock = Clock(self.name, now=lambda: 0).save()
        return self.clock(tx)

    def binding(self, model: str) -> tuple[Any, Policy | None]:
        """What versions of a model are read by."""
        return self.models.get(model, model), self.policies.get(model)

    def known_model(self, name: Any) -> str:
        """The name of a model. Raises ``InvalidInput`` where this node has models, and none of that name."""
        if isinstance(name, str) and (not self.models or name in self.models):
            return name
        near = difflib.get_close_matches(str(getattr(name, "__name__", name)), self.models, 1, 0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(self.models)}" if self.models else ""
        raise InvalidInput(f"{name!r:.200} is no model's name here; {hint or 'give one'}")

    def model_of(self, record: Any) -> str:
        """The name of the model that a record is an instance of. Raises ``InvalidInput``."""
        found = [name for name, cls in self.models.items() if type(record) is cls]
        if len(found) != 1:
            raise InvalidInput(
                f"of which model is a {type(record).__name__}? Name it, insert(record, model); "
                f"known are {', '.join(self.models) or 'none'}"
            )
        return found[0]

    def decode(self, row: Row, data: bytes | None = None) -> Version[Any]:
        """The version of a row. Raises ``StoreCorrupt``."""
        model, policy = self.binding(row.model)
        try:
            version: Version[Any] = Version.decode(row.data if data is None else data, model, policy)
            if version.id == row.guid:
                return version
            wrong = f"its bytes are those of {version.id!r:.200}"
        except InvalidInput as error:
            wrong = str(error)
        raise StoreCorrupt(f"{row.guid} of {row.model!r} cannot be read, restore it from a backup: {wrong}")

    def held(self, row: Row | None) -> Held | None:
        """What is held of a record."""
        if row is None:
            return None
        version = self.decode(row)
        return version if row.purged is None else Purged(version, vector_of(row.purged))

    def write(self, guid: str, change: Callable[[Version[Any], Clock, VersionVector], Version[Any]]) -> Version[Any]:
        """A local change of a record, under the store's lock; the change is told what has been handed out of it."""
        with self.transaction() as tx:
            clock, row = self.clock(tx), _found(tx, guid)
            before = self.decode(row)
            after = change(before, clock, self.handed_out(tx, row, before))
            if after is not before:
                self.keep(tx, clock, [(self.edited(tx, row, before), after)])
        return after

    def keep(self, tx: Transaction, clock: Clock, rows: list[tuple[Row, Version[Any]]]) -> None:
        """Stores what was changed here, with the clock."""
        for row, version in rows:
            tx.fill(row, version)
            row.synchronized, row.shared = self.is_back_end, ALL if self.is_back_end else row.shared
        tx.save([row for row, _ in rows])
        state_of(tx).clock = clock.save()

    def edited(self, tx: Transaction, row: Row, before: Version[Any]) -> Row:
        """The row of a record that is about to be changed here: what others have of it is kept beside it."""
        if self.is_back_end:
            return row
        if row.shared == ALL:
            row.shared, row.handed = row.data, None
        else:
            row.handed = self.handed_note(tx, row, before)
        return row

    def handed_note(self, tx: Transaction, row: Row, version: Version[Any] | None = None) -> bytes | None:
        """What has left of a record up to now, for the day when its row gets another position."""
        handed = [row.position <= position for position in state_of(tx).handed]
        if row.shared == ALL or not any(handed):
            return row.handed
        seen = (self.decode(row) if version is None else version).seen
        one, other = (seen if left else before for left, before in zip(handed, _handed(row)))
        return _pair(one, other)

    def handed_out(self, tx: Transaction, row: Row, version: Version[Any]) -> VersionVector:
        """All that may have left of a record."""
        if self.is_back_end or row.shared == ALL or row.position <= max(state_of(tx).handed):
            return version.seen
        to_back_end, to_others = _handed(row)
        known = self.decode(row, row.shared).seen if row.shared else VersionVector()
        return known | to_back_end | to_others

    def handed_to_others(self, tx: Transaction, row: Row, version: Version[Any]) -> VersionVector:
        """What may have left of a record, but for what went to the back-end."""
        return version.seen if row.position <= state_of(tx).handed[1] else _handed(row)[1]

    def peer(self, tx: Transaction, row: PeerRow) -> Peer:
        """A peer as it is shown."""
        date = dt.datetime.fromtimestamp(row.last_sync / 1000, dt.UTC) if row.last_sync else None
        behind = tx.count(row.acknowledged, row.read)
        return Peer(
            row.id, row.client_name, date, row.after, row.acknowledged, behind, row.fields,
            row.read, row.write, row.relay, row.revoked, row.retired,
        )  # fmt: skip

    def _link(self, peer: str | Node | Link, token: str | None) -> Link:
        if isinstance(peer, Node):
            return Near(peer, token)
        if isinstance(peer, str):
            from .client import HTTPLink

            if (peer, token) not in self._links:
                self._links[peer, token] = HTTPLink(peer, token)
            return self._links[peer, token]
        if not callable(peer) or not isinstance(getattr(peer, "address", None), str):
            raise InvalidInput(f"sync({peer!r:.200}): give the URL of a super node, a Node, or a Link")
        return peer


class Near:
    """A link to a node in this process."""

    def __init__(self, node: Node, token: str | None = None) -> None:
        self.node, self.token = node, token
        self.address = f"node:{node.name}"

    def __call__(self, request: Request) -> Response:
        caller = self.node.authenticate(self.token) if self.token is not None else None
        return self.node.answer(request, caller)


def known_peer(tx: Transaction, id: str) -> PeerRow:
    """A node that is in the table. Raises ``InvalidInput``."""
    peer = tx.peer(id)
    if peer is None:
        raise InvalidInput(f"there is no node {id!r}; known are {', '.join(p.id for p in tx.peers()) or 'none'}")
    return peer


def _by_name(what: str, given: Mapping[str, Any] | None, such: str) -> dict[str, Any]:
    if given is not None and not isinstance(given, Mapping):
        raise InvalidInput(f'{what}={given!r:.200}: give them by the names of tables, such as {{"todo": {such}}}')
    return dict(given or {})


@contextlib.contextmanager
def _living(guid: str) -> Iterator[None]:
    """Says how a deletion is taken back here, where nobody has a clock to give."""
    try:
        yield
    except RecordDeleted as error:
        raise RecordDeleted(f"{guid} is deleted: restore({guid!r}) takes that back") from error


def _found(tx: Transaction, guid: str) -> Row:
    row = tx.rows([guid]).get(guid)
    if row is None or row.purged is not None:
        raise RecordNotFound(f"there is no record {guid!r} here{'' if row is None else ': it was purged'}")
    return row


def _epoch() -> str:
    return secrets.token_urlsafe(12)


def _handed(row: Row) -> tuple[VersionVector, VersionVector]:
    if row.handed is None:
        return VersionVector(), VersionVector()
    one, other = msgspec.msgpack.decode(row.handed, type=tuple[bytes, bytes])
    return vector_of(one), vector_of(other)


def _pair(one: VersionVector, other: VersionVector) -> bytes:
    return msgspec.msgpack.encode((vector_bytes(one), vector_bytes(other)))


def _shape(model: Any, policy: Policy | None) -> str:
    """Tells whether records are shown as they were: of a model and a policy, without the addresses in their texts."""
    fields = typing.get_type_hints(model, include_extras=True) if isinstance(model, type) else {}
    return hashlib.blake2b(re.sub(r" at 0x\w+", "", repr((fields, policy))).encode(), digest_size=12).hexdigest()
