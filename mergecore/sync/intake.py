"""What a node does with what another one has sent: each record is judged by itself, in one transaction.

What is held as it came in is stored first, and what had to be merged after it: so one position tells how far the other
node has it already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from mergecore import ClockDrift, InvalidInput, MergeError, SchemaMismatch, Version, VersionVector, join

from .errors import StoreError
from .plan import Action, Held, Kind, Purged, plan
from .protocol import Change, Result, Why, held_of, vector_bytes
from .store import ALL, PeerRow, Row, Transaction, state_of

if TYPE_CHECKING:
    from .node import Node

__all__ = ["Outcome", "Taken", "change_of", "purged_row", "take"]

CHUNK = 500
"""So many records are decoded at a time."""


class Outcome(NamedTuple):
    """What became of one change that came in."""

    result: Result
    kind: Kind | None = None
    """``None`` of what was refused."""
    is_open: bool = False
    """Whether something is open in what is held now."""


class Taken(NamedTuple):
    """What became of changes that came in."""

    outcomes: list[Outcome]
    alike: int
    """The position up to which what is held is what came in; what had to be merged stands after it."""
    moved: frozenset[str]
    """The GUIDs of what has another position now."""
    stale: frozenset[str]
    """The GUIDs of what was wiped here, and came as if it had never been deleted."""


def take(
    node: Node, tx: Transaction, changes: Sequence[Change], peer: PeerRow, *, trusted: bool, strict: bool = False
) -> Taken:
    """Takes in what another node has sent.

    ``trusted``: it may hand on what others wrote, and what was purged. ``strict``: bytes of no version raise
    ``InvalidInput``, and nothing is taken in.
    """
    intake = _Intake(node, tx, peer, trusted, strict)
    for start in range(0, len(changes), CHUNK):  # few at a time: what is decoded is not held for long
        intake.take(changes[start : start + CHUNK])
    return intake.end()


class _Intake:
    """What comes in, within one transaction."""

    def __init__(self, node: Node, tx: Transaction, peer: PeerRow, trusted: bool, strict: bool) -> None:
        self.node, self.tx, self.peer, self.trusted, self.strict = node, tx, peer, trusted, strict
        self.clock = node.clock(tx)
        self.outcomes: list[Outcome] = []
        self.moved: set[str] = set()
        self.stale: set[str] = set()
        self.merged: dict[str, Row] = {}
        """What is otherwise than it came in: it is stored last, to be sent back."""

    def take(self, changes: Sequence[Change]) -> None:
        """Stores what is held as it came in."""
        tx = self.tx
        rows = tx.rows(guid for change in changes for guid in (change.guid, change.origin) if guid is not None)
        rows |= {change.guid: self.merged[change.guid] for change in changes if change.guid in self.merged}
        alike: dict[str, Row] = {}
        known: dict[str, Row] = {}
        for change in changes:
            row = rows.get(change.guid)
            try:
                came = self.decoded(change)
                action = self.judged(change, came, row, rows)
                if action.kind == "ignore" and (row is None or row.purged is not None):
                    self.outcomes.append(Outcome(Result(change.guid), action.kind))
                    continue
                after = self.row_after(change, came, action.held, row)
                if action.kind != "ignore" and isinstance(action.held, Version):
                    self.filled(after, action.held)
            except _No as refusal:
                told = row is not None and refusal.why in ("drift", "purged") and self.peer.reads(row.model)
                held = change_of(row) if row is not None and told else None
                self.outcomes.append(Outcome(Result(change.guid, refusal.why, str(refusal), held)))
                continue
            is_open = after.columns is not None and after.columns["_conflicts"] > 0
            self.outcomes.append(Outcome(Result(change.guid), action.kind, is_open))
            if action.kind != "ignore":
                for earlier in (alike, self.merged, known):
                    earlier.pop(change.guid, None)  # it came twice
                rows[change.guid] = after
                as_it_came = (after.data, after.purged) == (change.data, change.purged)
                (alike if as_it_came else self.merged)[change.guid] = after
                self.moved.add(change.guid)
            elif row is not None and (after.shared, after.synchronized) != (row.shared, row.synchronized):
                rows[change.guid] = known[change.guid] = after
        tx.mark(list(known.values()))
        _keep(tx, alike.values())

    def end(self) -> Taken:
        """Stores what had to be merged."""
        position = state_of(self.tx).position
        _keep(self.tx, self.merged.values())
        return Taken(self.outcomes, position, frozenset(self.moved), frozenset(self.stale))

    def decoded(self, change: Change) -> Held:
        """What a change carries. Raises ``_No``, or, if it is strict, ``InvalidInput``."""
        try:
            came = held_of(change, *self.node.binding(change.model))
            if self.strict and (came if isinstance(came, Version) else came.tombstone).encode() != change.data:
                raise InvalidInput("these bytes are not as encode() writes them")  # what is stored is what was sent
            return came
        except InvalidInput as error:
            if self.strict:
                raise InvalidInput(f"{change.guid!r:.200} of {change.model!r:.200}: {error}") from error
            raise _No("invalid", error) from error

    def filled(self, row: Row, version: Version[Any]) -> None:
        """Puts a version into its row. Raises ``_No`` where the model here cannot show it, or SQL has no such table."""
        try:
            self.tx.fill(row, version, row.data)
        except StoreError:
            raise
        except MergeError as error:
            raise _No("schema", error) from error

    def judged(self, change: Change, came: Held, row: Row | None, rows: Mapping[str, Row]) -> Action:
        """What to do with a change. Raises ``_No``."""
        node, peer = self.node, self.peer
        may_write = peer.write is None or change.model in peer.write
        if not (may_write or peer.reads(change.model)):  # it is told nothing of what is here
            raise _No("forbidden", f"{peer.id!r} may neither read nor write {change.model!r}")
        if row is not None and row.model != change.model:
            raise _No("invalid", f"{change.guid} is a record of another model here, and not of {change.model!r}")
        stored = node.held(row)
        try:
            action = plan(came, stored)
        except (SchemaMismatch, InvalidInput) as error:
            raise _No("schema", error) from error
        if action.kind == "ignore":
            return action
        if not may_write:
            raise _No("forbidden", f"{peer.id!r} may not write {change.model!r}")
        if self.strict and node.models and change.model not in node.models:
            raise _No("forbidden", f"{node.name!r} has no model {change.model!r}")
        if self.strict and change.model in node.models and isinstance(came, Version):
            self.check_kinds(came, stored)
        if action.kind == "refuse":
            if isinstance(came, Version) and not came.deleted:
                self.stale.add(change.guid)
            raise _No("purged", "the record was deleted and wiped, and this is an old version of it")
        if isinstance(came, Purged):
            if not self.trusted:
                raise _No("forbidden", "only a node with the right to relay says what was purged")
            return action
        if not (self.trusted or self.peer.recovering) and (other := self.foreign(change, came, stored, action, rows)):
            raise _No("not own", f"edits of {other!r} come from {peer.id!r}, which has no right to relay them")
        try:
            self.clock.admit(came)
        except ClockDrift as error:
            raise _No("drift", error) from error
        return action

    def check_kinds(self, came: Version[Any], stored: Held | None) -> None:
        """Raises ``_No`` for a new field that nobody could write here."""
        try:
            known = stored.mismatched() if isinstance(stored, Version) else {}
            new = {path: wrong for path, wrong in came.mismatched().items() if path not in known}
        except MergeError as error:
            raise _No("schema", error) from error
        if new:
            raise _No("schema", "; ".join(f"{path}: {wrong}" for path, wrong in new.items()))

    def foreign(
        self, change: Change, came: Version[Any], stored: Held | None, action: Action, rows: Mapping[str, Row]
    ) -> str | None:
        """Another node whose edits a version brings, or says to have seen.

        Of a copy, and of what comes back over a purge, it is known when its edits were made, and not what they were:
        the original may have moved on.
        """
        known = VersionVector() if stored is None else stored.seen
        origin = rows.get(change.origin) if change.origin is not None else None
        is_copy = False
        if origin is not None and origin.purged is None and origin.model == change.model:
            original = self.node.decode(origin)
            is_copy = self.peer.reads(origin.model) and came.is_fork_of(original)
            known = known | original.seen if is_copy else known
        if isinstance(stored, Version) and action.version is not None and not is_copy:
            authors = action.version.authors(since=stored)
        else:
            authors = frozenset(s.node for s in came.seen.values() if not known.covers(s))
        return next((node for node in sorted(authors) if node.partition("~")[0] != self.peer.id), None)

    def row_after(self, change: Change, came: Held, held: Held, row: Row | None) -> Row:
        """A record's row after something came in: what of it others have, and whether the back-end has it all."""
        node = self.node
        if isinstance(held, Purged):
            return purged_row(change.guid, change.model, held)
        whole = held is came or held == came
        after = Row(change.guid, change.model, change.data if whole else held.encode())
        after.synchronized = node.is_back_end or (whole and self.peer.id == node.back_end)
        if row is not None:
            after.position, after.origin = row.position, row.origin
            after.synchronized = after.synchronized or (row.synchronized and row.data == after.data)
        if row is None or whole or node.is_back_end or row.shared == ALL:
            after.shared = ALL
            return after
        after.shared, after.handed = row.shared, node.handed_note(self.tx, row)
        if isinstance(came, Version):
            known = came if row.shared is None else join(node.decode(row, row.shared), came)
            after.shared = known.encode()
            if after.shared == after.data:
                after.shared, after.handed = ALL, None
        return after


def _keep(tx: Transaction, rows: Iterable[Row]) -> None:
    """Stores records, and what is left of purged ones."""
    kept = list(rows)
    tx.purge([row for row in kept if row.purged is not None])
    tx.save([row for row in kept if row.purged is None])


class _No(Exception):
    """A version is refused."""

    def __init__(self, why: Why, detail: object) -> None:
        super().__init__(str(detail))
        self.why: Why = why


def purged_row(guid: str, model: str, held: Purged) -> Row:
    """What is left of a record that was wiped for good."""
    wiped = vector_bytes(held.seen)
    return Row(guid, model, held.tombstone.encode(), synchronized=True, shared=ALL, purged=wiped)


def change_of(row: Row) -> Change:
    """A row, as it travels."""
    return Change(row.model, row.guid, row.position, row.data, row.purged, row.origin)
