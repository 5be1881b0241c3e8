"""The exchange of two nodes: what one asks, and what the other answers.

The caller says up to where it has the other's receive order, and hands over what of its own the other has not; the
other takes that in, in one transaction, and gives what came since. Each batch is stored before the next is asked for,
so that a broken exchange goes on where it ended; and what comes twice changes nothing.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import msgspec

from mergecore import Clock, ClockDrift, InvalidInput, Version, VersionVector, join

from .errors import Forbidden, PeerError, TooLarge
from .intake import Taken, change_of, take
from .protocol import Change, Link, Request, Response, Result, Why, held_of, sized
from .store import ALL, NodeState, PeerRow, Row, Transaction, state_of

if TYPE_CHECKING:
    from .node import Node

__all__ = ["Refused", "Report", "Session", "answer"]

BATCH = 1000
"""So many records travel at once, at most."""
BATCH_BYTES = 4 << 20
"""And so many bytes."""


class Refused(msgspec.Struct, frozen=True):
    """A record that was not taken, by whom, and why; it is offered again at the next synchronization."""

    guid: str
    model: str
    why: Why
    detail: str
    by: str


class Report(msgspec.Struct):
    """What a synchronization did."""

    peer: str = ""
    """The name of the other node."""
    sent: int = 0
    """Records that it took."""
    received: int = 0
    """Records that were taken from it."""
    merged: int = 0
    """Of these, those that both had changed."""
    in_conflict: int = 0
    """Of these, those in which something is open."""
    refused: list[Refused] = []
    waiting: list[str] = []
    """GUIDs of records with stamps of the future that others have already: sent when their time has come."""
    rewritten: list[str] = []
    """GUIDs of records whose edits were written anew, since the device's clock was wrong."""
    purged: int = 0
    """Records that were wiped for good."""
    round_trips: int = 0
    offset: int = 0
    """What the back-end's clock is ahead of this device's, in milliseconds."""

    @property
    def clean(self) -> bool:
        """Whether all that was to travel did: nothing was refused, and nothing waits."""
        return not self.refused and not self.waiting

    def __str__(self) -> str:
        merged = [f"{self.merged} merged"] * bool(self.merged)
        merged += [f"{self.in_conflict} in conflict"] * bool(self.in_conflict)
        said = f"{self.peer}: sent {self.sent}, received {self.received}"
        said += f" ({', '.join(merged)})" if merged else ""
        said += f", wiped {self.purged}" if self.purged else ""
        lines = [said]
        if self.rewritten:
            lines.append(f"the clock was wrong, written anew: {len(self.rewritten)}")
        if self.waiting:
            lines.append(f"of the future, to be sent when their time has come: {len(self.waiting)}")
        lines += [f"refused by {r.by}: {r.model} {r.guid}: {r.why}, {r.detail}" for r in self.refused]
        return "\n".join(lines)


# ---------------------------------------------------------------------------------------------------- answering


def answer(node: Node, request: Request, caller: PeerRow | None) -> tuple[Response, int]:
    """What a node answers to another one that calls, and the position after it if anything was stored, else 0.

    Without ``caller`` it is one of this process, and trusted.
    """
    if not all(0 <= n < 1 << 62 for n in (request.position, request.after, request.stored)):
        raise InvalidInput("a position is a whole number from 0 on")
    if caller is not None and max(len(request.changes), len(request.wanted)) > BATCH:
        raise InvalidInput(f"a request has {len(request.changes)} changes: {BATCH} are taken at once")
    with node.store.transaction() as tx:
        state = state_of(tx)
        before = state.position
        if caller is not None and caller.id != request.node:
            raise Forbidden(f"this is the token of {caller.id!r}, and the request is of {request.node!r}")
        if request.node == node.name:
            raise PeerError(f"{node.name!r} is this node: two that meet have two names")
        peer = tx.peer(request.node) or PeerRow(request.node)
        if peer.revoked:
            raise Forbidden(f"the node {peer.id!r} was revoked")
        if peer.epoch == request.epoch and request.position < peer.position:
            return Response(node.name, state.epoch, peer.position, restored=True), 0
        after = request.after
        as_told = request.peer_epoch == state.epoch and request.granted == peer.grants
        if as_told and after > state.position:  # this store is an old backup: the others have what it lost
            if caller is not None and not caller.relay:
                told = f"{peer.id!r} has had {after} positions of {node.name!r}, which has {state.position}"
                raise PeerError(f"{told}: if it was restored from a backup, it must be told so, with restored()")
            node.begin_anew(tx)
            peer, as_told = tx.peer(request.node) or peer, False
        after = after if as_told else 0
        if peer.epoch != request.epoch:
            peer.epoch, peer.acknowledged = request.epoch, 0
        peer.acknowledged = max(peer.acknowledged, min(request.stored, after))
        caught_up = peer.acknowledged == state.position
        limit = max(0, min(request.limit, BATCH))
        found = tx.changes(after, before, limit + 1, peer.read)
        trusted = caller is None or caller.relay
        taken = take(node, tx, request.changes, peer, trusted=trusted, strict=caller is not None)
        peer.recovering = peer.recovering and (bool(request.changes) or not as_told)
        if caught_up:
            peer.acknowledged = max(peer.acknowledged, taken.alike)
        sending = sized([change_of(row) for row in found[:limit]], BATCH_BYTES)
        if len(sending) < len(found):
            reached, merged = sending[-1].position if sending else after, list[Row]()
        else:  # what came in and is held as it came is known to the caller: it goes over that
            merged = tx.changes(taken.alike, None, limit, peer.read)
            reached = merged[-1].position if merged and len(merged) == limit else state.position
        sending = [*(c for c in sending if c.guid not in taken.moved), *map(change_of, merged)]
        if limit and request.wanted:
            sent = {change.guid for change in sending} | taken.moved
            known = [row for row in tx.rows(request.wanted).values() if row.position <= after and peer.reads(row.model)]
            sending = [*sized([change_of(row) for row in known if row.guid not in sent], BATCH_BYTES), *sending]
        to_back_end = request.node == node.back_end
        if sending and not node.is_back_end:
            handed = max(state.handed[0 if to_back_end else 1], reached)
            state.handed = (handed, state.handed[1]) if to_back_end else (state.handed[0], handed)
        peer.position = request.position  # not below what is known, or of a new epoch
        peer.last_sync = int(node.now(tx))
        peer.retired = False
        tx.save_peer(peer)
        behind = tx.count(reached, peer.read) if reached < state.position else 0
        response = Response(
            node.name, state.epoch, reached, [outcome.result for outcome in taken.outcomes], sending, behind,
            grants=peer.grants, authority=node.is_back_end,
        )  # fmt: skip
    return response, state.position if state.position != before else 0


# ---------------------------------------------------------------------------------------------------- calling


class Session:
    """One synchronization of a node with another one."""

    def __init__(
        self,
        node: Node,
        link: Link,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.node, self.link, self.progress = node, link, progress
        self.until = 0
        """What has a higher position in this node's order has changed since, and is sent next time."""
        self.at_once = BATCH_BYTES
        """So many bytes are sent at once."""
        self.report = Report()
        self.sent: set[str] = set()
        self.again: set[str] = set()
        """What was refused: it gets positions after ``until``, and is offered again next time."""
        self.peer: PeerRow | None = None
        """``None`` of a stranger, who is asked for nothing but his name."""
        self.drifted: dict[str, Change | None] = {}
        """Records with stamps of the future, and what the other node has of them."""
        self.cursor = 0
        """Up to here in the other node's order this session has got."""
        self.behind = 0
        """So many records are still to come: they come before more is sent, which would come back with them."""
        self.wanted: list[str] = []
        """What was refused before this session, and is asked for once more."""
        self.is_held = False
        """Whether so much was refused that the position in the other node's order stays where that began."""
        self.stale: set[str] = set()
        """What was wiped here, and is over there as if it had never been deleted: the other node is told."""

    def run(self) -> Report:
        """Until neither has anything that the other has not."""
        self.until, again = self._position(), 0
        ahead: _Ahead | None = None
        while True:
            sending, reached, request = self._request() if ahead is None else ([], 0, ahead.request)
            self.report.round_trips += 1
            try:
                response, began, ended = self._asked(request) if ahead is None else ahead.answer()
            except TooLarge as error:
                self._less(sending, error)
                continue
            except PeerError:
                for row in sending:  # is it a row of ours that is damaged?
                    self.node.held(row)
                raise
            ahead = None
            if response.restored:
                again += 1
                if again > 20:
                    raise PeerError(f"{response.node!r} takes this store for an old backup again and again")
                if self._position() < response.after:  # else an older request came later than a newer one
                    self.node.restored()
                self.until = self._position()
                continue
            strange = self.peer is None or self.peer.id != response.node
            if self._goes_on(request, response):
                further = msgspec.structs.replace(request, after=response.after, wanted=[], changes=[])
                with contextlib.suppress(RuntimeError):  # no more threads: it is asked for later
                    ahead = _Ahead(self._asked, further)
            all_sent = self._store(sending, reached, response, began, ended)
            if all_sent and self.drifted and self._rewrite():
                continue
            if all_sent and not (strange or response.changes or response.behind):
                return self.report

    def _asked(self, request: Request) -> tuple[Response, int, int]:
        """What the other node answers, and the times here before and after."""
        began = self.node.wall()
        response = self.link(request)
        return response, began, self.node.wall()

    def _goes_on(self, request: Request, response: Response) -> bool:
        """Whether what is next can be asked for before this is stored: more is to come, of a node that is elsewhere,
        and nobody has to be told anything.
        """
        as_told = (request.peer_epoch, request.granted) == (response.epoch, response.grants)
        is_remote = getattr(self.link, "is_remote", False)
        return is_remote and as_told and response.behind > 0 and response.after > request.after

    def _less(self, sending: list[Row], error: TooLarge) -> None:
        """The other node takes less at once: less is sent; one record that is too large is left for the next time."""
        if not sending:
            raise error
        self.at_once = sum(len(row.data) for row in sending) // 2
        if len(sending) == 1 and self.peer is not None:
            with self.node.transaction() as tx:
                row = sending[0]
                self.again.add(row.guid)
                self.report.refused.append(Refused(row.guid, row.model, "too large", str(error), self.peer.id))
                if peer := tx.peer(self.peer.id):
                    peer.acknowledged = max(peer.acknowledged, row.position)
                    tx.save_peer(peer)
                self._offer_again(tx)

    def _position(self) -> int:
        with self.node.store.transaction(write=False) as tx:
            self.peer = next((p for p in tx.peers() if p.address == self.link.address), None)
            self.cursor = 0 if self.peer is None else self.peer.after
            self.wanted = [] if self.peer is None else list(self.peer.refused)[:BATCH]
            return state_of(tx).position

    def _request(self) -> tuple[list[Row], int, Request]:
        """What to say next, and up to where that goes in this node's order. That it leaves is noted before it does."""
        node = self.node
        with node.store.transaction(write=False) as tx:
            rows, reached, state, peer = self._next(tx)
        if rows and not node.is_back_end:
            with node.store.transaction() as tx:
                rows, reached, state, peer = self._next(tx)
                to_back_end, to_others = state.handed
                if peer.id == node.back_end:
                    state.handed = max(to_back_end, reached), to_others
                else:
                    state.handed = to_back_end, max(to_others, reached)
        request = Request(
            node.name, state.epoch, state.position, peer.epoch, peer.granted, self.cursor, peer.stored, self.wanted,
            [change_of(row) for row in rows], 0 if self.peer is None else BATCH,
        )  # fmt: skip
        return rows, reached, request

    def _next(self, tx: Transaction) -> tuple[list[Row], int, NodeState, PeerRow]:
        if self.peer is None:
            return [], 0, state_of(tx), PeerRow("")
        peer = tx.peer(self.peer.id) or self.peer
        return *self._unsent(tx, peer), state_of(tx), peer

    def _unsent(self, tx: Transaction, peer: PeerRow) -> tuple[list[Row], int]:
        """The next records that the other node has not, and up to where that goes.

        What this node has wiped by itself is none of the back-end's business, unless that knows of no deletion.
        """
        if self.behind:
            return [], peer.acknowledged
        found = tx.changes(peer.acknowledged, self.until, BATCH, None)
        rows = found[: len(sized([change_of(row) for row in found], self.at_once))]
        reached = rows[-1].position if len(rows) < len(found) or len(found) == BATCH else self.until
        told = (row.purged is None or peer.id != self.node.back_end or row.guid in self.stale for row in rows)
        return list(itertools.compress(rows, told)), reached

    def _store(self, sent: list[Row], reached: int, response: Response, began: int, ended: int) -> bool:
        """Stores what came back. Whether all of ours is there."""
        node, report = self.node, self.report
        with node.transaction() as tx:
            state = state_of(tx)
            peer = tx.peer(response.node) or PeerRow(response.node)
            strange = self.peer is None or self.peer.id != peer.id
            if strange:
                if self.peer is not None and (old := tx.peer(self.peer.id)):  # another node has this address now
                    old.address = ""
                    tx.save_peer(old)
                sent, reached = [], 0
            self.peer, report.peer = peer, response.node
            if response.authority and state.back_end is None:
                state.back_end = response.node
            node.back_end = state.back_end  # another process of this store may have learned it
            if peer.id == node.back_end and not node.trust_clock:
                state.offset = ((response.received - began) + (response.answered - ended)) // 2
            report.offset = state.offset
            known = peer.epoch == response.epoch
            as_told = known and peer.granted == response.grants
            if not as_told:
                peer.granted, peer.after, peer.refused = response.grants, 0, {}
            if not known:
                if peer.epoch:
                    peer.acknowledged, sent, reached = 0, [], 0  # it has lost what it had: all is sent again
                peer.epoch = response.epoch
            peer.address, peer.last_sync, peer.retired = self.link.address, int(node.now(tx)), False
            self._acknowledged(tx, peer, sent, response.results)
            peer.acknowledged = max(peer.acknowledged, reached)
            caught_up = peer.acknowledged == state.position
            taken = take(node, tx, response.changes, peer, trusted=True)
            if caught_up:
                peer.acknowledged = taken.alike
            self._count(taken, response.changes, peer)
            self.stale |= taken.stale
            tx.touch(sorted(taken.stale))
            self.behind = response.behind
            if strange and as_told:
                self.cursor, self.wanted = peer.after, list(peer.refused)[:BATCH]
            else:
                self.cursor, self.wanted = response.after, []
                peer.after = peer.after if self.is_held else max(peer.after, response.after)
            if len(peer.refused) > BATCH:  # too many to be asked for by name: all is asked for again
                peer.after, peer.refused, self.is_held = peer.stored, {}, True
            tx.save_peer(peer)
            if taken.alike < state.position:  # what was merged here goes back at once
                self.until = state.position
            self._offer_again(tx)
            all_sent = peer.acknowledged >= self.until
        if self.progress is not None:
            done = report.sent + report.received
            self.progress(done, done + response.behind)
        return all_sent

    def _acknowledged(self, tx: Transaction, peer: PeerRow, sent: Sequence[Row], results: Sequence[Result]) -> None:
        """What the other node took is known elsewhere; what it refused is offered again next time."""
        node, report = self.node, self.report
        by_guid = {row.guid: row for row in sent}
        now = tx.rows(by_guid)
        marked: list[Row] = []
        for result in results:
            was, row = by_guid.get(result.guid), now.get(result.guid)
            if was is None or row is None or row.purged is not None:
                continue
            if result.why:
                self._refused(tx, peer, row, result)
                continue
            report.sent += 1
            self.sent.add(row.guid)
            if row.data == was.data:
                row.shared, row.handed = ALL, None
                row.synchronized = row.synchronized or peer.id == node.back_end
            elif row.shared != ALL:
                known = node.decode(row, was.data)
                row.shared = (join(node.decode(row, row.shared), known) if row.shared else known).encode()
            marked.append(row)
        tx.mark(marked)

    def _refused(self, tx: Transaction, peer: PeerRow, row: Row, result: Result) -> None:
        if result.why == "purged" and result.held is not None:
            take(self.node, tx, [result.held], peer, trusted=True)
            self.report.purged += 1
            return
        self.again.add(row.guid)
        if result.why == "drift" and peer.id == self.node.back_end:
            self.drifted[row.guid] = result.held
        else:
            self.report.refused.append(Refused(row.guid, row.model, result.why, result.detail, peer.id))

    def _offer_again(self, tx: Transaction) -> None:
        """Gives what was refused positions that are yet to be sent; what had left of it is not forgotten."""
        rows = [row for row in tx.rows(self.again).values() if row.purged is None]
        rows.sort(key=lambda row: row.position)  # copies before what they were forked from
        for row in rows:
            row.handed = self.node.handed_note(tx, row)
        tx.mark(rows)
        tx.touch([row.guid for row in rows])

    def _count(self, taken: Taken, changes: Sequence[Change], peer: PeerRow) -> None:
        """Reports what came in, and notes what was refused of it."""
        report = self.report
        for change, (result, kind, is_open) in zip(changes, taken.outcomes):
            # an old version of what was wiped here is no loss
            if kind is None and (result.why != "purged" or change.guid in taken.stale):
                peer.refused[change.guid] = change.position
            else:
                peer.refused.pop(change.guid, None)
            if kind is None and result.why != "purged":
                why = Refused(change.guid, change.model, result.why, result.detail, self.node.name)
                report.refused.append(why)
            report.purged += kind == "purge"
            if kind not in (None, "ignore", "purge"):
                report.received += 1
                report.merged += kind == "merge" or change.guid in self.sent  # it comes back: merged over there
                report.in_conflict += is_open

    def _rewrite(self) -> bool:
        """Edits under stamps of the future, that nobody else can have: they are written anew, in one transaction, under
        a new incarnation of the clock. Whether there were any.
        """
        node, drifted = self.node, self.drifted
        self.drifted = {}
        with node.transaction() as tx:
            rows, now = tx.rows(drifted), node.clock(tx)
            made: list[tuple[Row, Version[Any]]] = []
            clock: Clock | None = None
            for guid, held in drifted.items():
                row = rows.get(guid)
                if row is None or row.purged is not None:
                    continue
                version = node.decode(row)
                base = version if row.shared == ALL else node.decode(row, row.shared) if row.shared else None
                row.shared = None if base is None else base.encode()
                if held is not None and isinstance(there := held_of(held, *node.binding(row.model)), Version):
                    base = there if base is None else join(base, there)
                    version, row.shared = join(version, there), base.encode()
                elif base is None and row.origin is not None:  # others have what the record had that it was forked from
                    base = self._shared(tx, row.origin)
                others = node.handed_to_others(tx, row, version)
                accepted = VersionVector() if base is None else base.seen
                known = base is not None and base.id == version.id and version.seen <= accepted
                again = known or guid in self.report.rewritten
                if again or not others <= accepted or _is_early(now, base):
                    self.report.waiting.append(guid)
                    continue
                clock = clock or node.new_clock(tx)
                row.handed = None
                made.append((row, version.restamp(clock, base)))
                self.report.rewritten.append(guid)
                self.again.discard(guid)
            if clock is not None:
                node.keep(tx, clock, made)
                self.until = state_of(tx).position
                self._offer_again(tx)
        return bool(made)

    def _shared(self, tx: Transaction, guid: str) -> Version[Any] | None:
        """What others are known to have of a record."""
        row = tx.rows([guid]).get(guid)
        if row is None or row.purged is not None or row.shared is None:
            return None
        return self.node.decode(row, row.data if row.shared == ALL else row.shared)


class _Ahead:
    """A request that is under way while what came before it is stored. Nobody who leaves waits for it."""

    def __init__(self, ask: Callable[[Request], tuple[Response, int, int]], request: Request) -> None:
        self.request = request
        self._ask = ask
        self._answer: Future[tuple[Response, int, int]] = Future()
        threading.Thread(target=self._run, name="asks ahead", daemon=True).start()

    def _run(self) -> None:
        try:
            self._answer.set_result(self._ask(self.request))
        except BaseException as error:
            self._answer.set_exception(error)

    def answer(self) -> tuple[Response, int, int]:
        """Waits for it. Raises what was raised."""
        return self._answer.result()


def _is_early(clock: Clock, version: Version[Any] | None) -> bool:
    """Whether a version has stamps of the future."""
    try:
        return version is not None and not clock.admit(version)
    except ClockDrift:
        return True
