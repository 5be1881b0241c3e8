"""``Version``: a record with its history; ``join()``: two of them, whatever the order.

Replicas exchange what was written, never what was merged: a version is a set of writes, joining is their union, and
the record shown is a function of the set. Imports ``answers``, ``clock``, ``codec``, ``edits``, ``errors``,
``history``, ``layout``, ``leaves``, ``paths``, ``policy``, ``reading``, ``records``, ``restamp``, ``strategies``,
``values``, ``vectors``, ``view``, ``walk``, ``wire`` and ``writing``.
"""

from __future__ import annotations

import copy
import os
import uuid
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Generic, TypeVar, overload

import msgspec

from .answers import path_of
from .clock import Clock, Timestamp
from .codec import Stored, decode, encode
from .edits import answered, edited, place_of
from .errors import AnswerError, InvalidInput, MergeError, PolicyError, RecordDeleted, SchemaMismatch
from .history import Commit, History, PNCounter, State
from .layout import Leaf, has_invariant, mismatch, slots_of
from .leaves import leaves_of_record, own_leaves
from .paths import ByPath, Path, format_path
from .policy import Policies, Rule, rule_for
from .reading import Binding, Mark, Reading, live_deletes, read_at_once
from .records import is_record, origin
from .restamp import restamped
from .strategies import Candidate, Conflict
from .values import UNSET, equal, same
from .vectors import VersionVector
from .view import Explanation, Lost, Step, at_path, name_of, steps, view
from .walk import Verdict
from .wire import PRESENT, plain
from .writing import changes_between, rebased, still_gone, written

__all__ = ["Version", "join"]

T = TypeVar("T")
M = TypeVar("M")
S = TypeVar("S", Candidate, Explanation, Verdict)

_EMPTY = VersionVector()


class Version(Generic[T]):
    """One immutable value: a record, and what is known of how it came to be.

    ``Version.new`` starts a record; every writing method takes the ``Clock`` of the node that writes, and returns a new
    version. A node's versions of one record form one line: edit the newest, under the store's lock.

    ``id`` is a GUID, the same on every replica; ``created`` the stamp of the first commit; ``seen`` a version vector of
    all commits that are in it: where ``a.seen <= b.seen``, whoever has ``b`` learns nothing from ``a``. ``==`` compares
    what is stored, and neither model nor policy, by which ``decode`` reads it each time.
    """

    __slots__ = ("_at_once", "_binding", "_bytes", "_fields", "_marks", "_read", "created", "id", "seen")

    id: str
    created: Timestamp
    seen: VersionVector

    def __init__(self, stored: Stored, binding: Binding) -> None:
        """Use ``Version.new`` and ``Version.decode``."""
        self.id, self.created, self.seen = stored.id, stored.created, stored.seen
        self._fields: Mapping[Path, State] = stored.fields
        self._marks = stored.marks
        self._binding = binding
        self._read: Reading | None = None
        self._at_once: bool | None = None
        self._bytes: bytes | None = None

    @overload
    @staticmethod
    def new(
        clock: Clock,
        record: M,
        model: str | None = None,
        *,
        id: str | None = None,
        by: str | None = None,
        policy: Policies | None = None,
    ) -> Version[M]: ...
    @overload
    @staticmethod
    def new(
        clock: Clock,
        record: object,
        model: type[M],
        *,
        id: str | None = None,
        by: str | None = None,
        policy: Policies | None = None,
    ) -> Version[M]: ...
    @staticmethod
    def new(
        clock: Clock,
        record: Any,
        model: Any = None,
        *,
        id: str | None = None,
        by: str | None = None,
        policy: Policies | None = None,
    ) -> Version[Any]:
        """The first version of a record: an instance of a model, or a dictionary.

        With ``model`` it is converted first (rows and ORM objects too); the name of a table chooses among policies.
        ``id`` is a GUID (UUIDv7, RFC 9562, unless given), ``by`` the person who writes. Raises ``InvalidInput`` for a
        record that the model does not take, ``PolicyError``.
        """
        model = type(record) if model is None and is_record(type(record)) else model
        binding = _bind(model, policy)
        if id is not None and not (isinstance(id, str) and id and id.isprintable()):
            raise InvalidInput(f"id={id!r}: an id is a text, without control characters and not empty")
        author, empty = _author(by), Reading({}, (), binding)
        changes = changes_between({}, leaves_of_record(empty, record), {}, empty)
        stamp = clock.tick()
        new_id = str(_uuid7(stamp.millis)) if id is None else id
        made: Version[Any] = Version(Stored(new_id, stamp, _EMPTY, {}, ()), binding)
        return made._written(Commit(stamp, _EMPTY, author), changes)

    @overload
    @staticmethod
    def decode(data: bytes, model: type[M], policy: Policies | None = None) -> Version[M]: ...
    @overload
    @staticmethod
    def decode(data: bytes, model: str | None = None, policy: Policies | None = None) -> Version[dict[str, Any]]: ...
    @staticmethod
    def decode(data: bytes, model: Any = None, policy: Policies | None = None) -> Version[Any]:
        """The version that ``encode`` made bytes of, read by a model and a policy (neither is in the bytes).

        Without a model it is a schemaless document, whose record is a dictionary. Raises ``InvalidInput`` for bytes
        that are none of a version: what is let in can be read, joined and written again.
        """
        return Version(decode(data), _bind(model, policy))

    def encode(self) -> bytes:
        """The version as bytes; equal versions give equal bytes, whatever model and policy they are read by."""
        if self._bytes is None:
            self._bytes = encode(self._stored)
        return self._bytes

    @property
    def _stored(self) -> Stored:
        return Stored(self.id, self.created, self.seen, self._fields, self._marks)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Version) and self.encode() == other.encode())

    def __hash__(self) -> int:
        return hash((self.id, self.seen))

    def __repr__(self) -> str:
        shown = self._reading
        return f"Version(id={self.id!r}, record={shown.record!r}, conflicts={len(shown.conflicts)}, seen={self.seen!r})"

    def __reduce__(self) -> Any:
        binding = self._binding
        return _load, (self.encode(), binding.model, binding.policy)

    # ---- reading

    @property
    def _reading(self) -> Reading:
        if self._read is None:
            made = Reading(self._fields, self._marks, self._binding)
            if self._is_wiped:
                made.record, made.shown, made.is_deleted = {}, {}, True
            self._read = made if self._is_wiped else made.read()
        return self._read

    def _quick(self) -> Any:
        """The record, where no strategy has a say in it; else ``None``, and a reading tells."""
        if self._at_once is False or self._read is not None:
            return None
        record = read_at_once(self._fields, self._marks, self._binding)
        self._at_once = record is not None
        return record

    @property
    def _is_plain(self) -> bool:
        """Whether no strategy has a say in the record: nothing is open then, or lost, or deleted."""
        return self._quick() is not None if self._at_once is None else self._at_once

    @property
    def _is_wiped(self) -> bool:
        return not self._fields and bool(live_deletes(self._marks)) and all(m.deleted for m in self._marks)

    @property
    def record(self) -> T:
        """What the record is now: always a valid instance of the model, showing a candidate of each open conflict.

        Of a deleted record, what it was. A new object each time: it may be changed, and ``put`` back. Of a tombstone an
        empty one; raises ``RecordDeleted`` where its model has none.
        """
        if (record := self._quick()) is not None:
            return record  # type: ignore[no-any-return]
        try:
            return self._reading.fresh()  # type: ignore[no-any-return]
        except InvalidInput as error:
            if not self._is_wiped:
                raise
            raise RecordDeleted(f"the record was wiped, and nothing is left to show of it: {error}") from error

    @property
    def deleted(self) -> bool:
        """Whether the record is deleted: no edit that its deletion had not seen is kept against it.

        Also by a column that means deletion (``Policy(deleted=)``); such a one is edited to restore the record.
        """
        return not self._is_plain and self._reading.is_deleted

    @property
    def conflicts(self) -> tuple[Conflict, ...]:
        """The open questions, in the order of the record; ``()`` where there are none."""
        found = () if self._is_plain else self._reading.conflicts
        return tuple(copy.deepcopy(found))  # the version does not change, whatever is done to them

    @property
    def lost(self) -> tuple[Lost, ...]:
        """What concurrent writes lost, the same on every replica, until somebody who saw them writes the field."""
        return () if self._is_plain else tuple(copy.deepcopy(self._reading.lost))

    @property
    def stamps(self) -> dict[str, Timestamp]:
        """When each field was last written, by the text of its path."""
        return {format_path(path): max(found) for path, state in self._fields.items() if (found := state.stamps())}

    @property
    def updated(self) -> Timestamp:
        """The latest stamp of all; of a copy that nobody has written since, that of the copying."""
        return max(self.created, *self.seen.values())

    @property
    def commits(self) -> tuple[Commit, ...]:
        """Who wrote what, oldest first, as far as it is still held. (Counters and sets keep stamps alone.)"""
        found: dict[Any, tuple[Commit, list[Path]]] = {}
        bare: list[tuple[Timestamp, Path]] = []
        for mark in self._marks:
            _entry(found, mark.commit).append(mark.path)
        for path, state in sorted(self._fields.items(), key=lambda item: format_path(item[0])):
            if isinstance(state, History):
                for write in state.writes:
                    _entry(found, write.commit).append(path)
            else:
                bare += [(stamp, path) for stamp in state.stamps()]
        by_stamp: dict[Timestamp, list[list[Path]]] = {}
        for commit, paths in found.values():
            by_stamp.setdefault(commit.stamp, []).append(paths)
        for stamp, path in bare:
            if stamp not in by_stamp:
                by_stamp[stamp] = [_entry(found, Commit(stamp, _EMPTY))]
            for paths in by_stamp[stamp]:
                paths.append(path)
        made = [msgspec.structs.replace(c, paths=tuple(dict.fromkeys(paths))) for c, paths in found.values()]
        return tuple(sorted(made, key=lambda commit: (commit.stamp, sorted(commit.seen.values()))))

    def authors(self, since: Version[Any] | None = None) -> frozenset[str]:
        """The nodes, as stamps are signed, that wrote what is in this version and not in ``since``, an older one of it.

        Whoever lets a client write in its own name alone asks this of what ``join`` gave, ``since`` what was there.
        Linear in the number of fields that differ.
        """
        fields: Mapping[Path, State] = {} if since is None else since._fields
        known, marks = (_EMPTY, ()) if since is None else (since.seen, since._marks)
        new = {stamp.node for stamp in self.seen.values() if not known.covers(stamp)}
        new |= {mark.commit.stamp.node for mark in self._marks if mark not in marks}
        for path, state in self._fields.items():
            if state is not (before := fields.get(path)):
                new |= state.authors(before)
        return frozenset(new if since is not None and self.created == since.created else {*new, self.created.node})

    def mismatched(self) -> dict[str, str]:
        """The fields, by the text of their paths, that nobody can write by this model and policy, and why: they are
        stored with another kind or depth.

        Whoever takes in what other apps wrote asks this: once it is joined, it stays. Linear in the number of fields.
        """
        rules = self._reading.rules
        found = {p: mismatch(state, rules[p]) for p, state in self._fields.items() if p in rules}
        return {format_path(path): wrong for path, wrong in found.items() if wrong}

    def explain(self, path: str | Path) -> Explanation:
        """Why a field shows what it shows: its heads, the base of each step and why that one, what decided, what lost.

        Raises ``InvalidInput`` for a path that is no field's.
        """
        at = self._field(path)
        state, rule = self._fields.get(at), self._reading.rules.get(at)
        if state is None or rule is None:
            raise InvalidInput(f"nothing was written there; written are {', '.join(self.stamps)}", at)
        heads = [Candidate(value, stamp, name_of(stamp), by) for value, stamp, by in _heads(state)]
        leaf = own_leaves(self._reading).get(at)
        shown = self._reading.views[at].value
        if leaf is not None and not equal(plain(shown), leaf.value):
            shown = leaf.value  # the record shows an older one
        how = steps(state, rule, at) if isinstance(state, History) else ()
        about = [c for c in self._reading.conflicts if at[: len(c.path)] == c.path[: len(at)]]
        lost = [x for x in self._reading.lost if x.path[: len(at)] == at]
        told = Explanation(at, shown, tuple(heads), how, tuple(about), tuple(lost))
        if at in self._reading.places:
            there = at_path(self._reading.record, at)
            told = _with_record(told, there if is_record(type(there)) else self._reading.there.get(at, UNSET))
        return copy.deepcopy(told)

    # ---- writing

    def edit(
        self,
        clock: Clock,
        changes: ByPath[Any] | None = None,
        /,
        *,
        by: str | None = None,
        shared: Mapping[str, Timestamp] | None = None,
        **fields: Any,
    ) -> Version[T]:
        """Writes some fields: ``v.edit(clock, {"address.zip": "1010"}, title="oat milk")``; ``UNSET`` unsets one.

        Paths lead to fields, to what contains fields (then what differs below is written), and into what one field
        holds (``labels.a``, ``items[7].qty``). The author has seen all of this version. What stays as it is is not
        written. ``shared`` is the ``seen`` of what was last handed out: what is covered by it begins a run of its own;
        unless given, nothing was (typing). Raises ``RecordDeleted``, and ``InvalidInput`` with the place.
        """
        self._must_live("edit")
        if not isinstance(changes, Mapping | None):
            raise InvalidInput(f"{changes!r}: give a mapping of paths, or names")
        given: dict[Path, Any] = {path_of(text): value for text, value in (changes or {}).items()}
        given |= {(name,): value for name, value in fields.items()}
        made = edited(self._reading, given)
        if not made:
            return self
        after = self._commit(clock, made, self.seen, by, shared=_vector(shared, _EMPTY))
        return after._checked(self, InvalidInput, any(change.value is UNSET for change in made.values()))

    def put(
        self,
        clock: Clock,
        record: T | Mapping[str, Any],
        base: Version[T] | T | Mapping[str, Any] | None = None,
        *,
        by: str | None = None,
        shared: Mapping[str, Timestamp] | None = None,
    ) -> Version[T]:
        """Writes what the author changed against ``base``, and nothing else: a stale record put back reverts nobody.

        ``base`` is what the author was looking at: this version (unless given), an older ``Version``, or a plain record
        (a form, a master state). Where the shown value has moved on since, both are merged if that settles without
        conflict or loss, and none was there; else the author's value stands beside it, concurrent. A modelled key that
        is missing is unset; keys that the model does not know are carried. ``shared``: as of ``edit``; unless given,
        all was.

        Raises ``RecordDeleted`` where nobody says a base, ``InvalidInput`` for a base that this version does not
        contain and for a record that the model does not take.
        """
        if isinstance(base, Version):
            self._must_contain(base)
            base = None if base.seen == self.seen and base == self else base
        if base is None:
            self._must_live("put")
        ref = base if isinstance(base, Version) else self if base is None else None
        seen_by_author = leaves_of_record(self._reading, base, False) if ref is None else own_leaves(ref._reading)
        old = {path: leaf.value for path, leaf in seen_by_author.items()}
        looked_at = None if ref is None else ref._reading
        changed = changes_between(old, leaves_of_record(self._reading, record), self._fields, looked_at)
        if not changed:
            return self
        handed_out = _vector(shared, self.seen)
        if ref is self:
            return self._commit(clock, changed, self.seen, by, shared=handed_out)
        ordinary, beside = rebased(changed, old, self._reading, looked_at)
        made, seen = self, _EMPTY if ref is None else ref.seen
        if beside:
            made = made._commit(clock, beside, seen, by, ref=ref, shared=handed_out)
        if ordinary:
            made = made._commit(clock, ordinary, made.seen, by, shared=made.seen)
        if ordinary and self._binding.checks and _broken(made) and not _broken(self):
            # as its author saw it, it was valid
            made = self._commit(clock, changed, seen, by, ref=ref, shared=handed_out)
        return made

    def delete(self, clock: Clock, *, base: Version[T] | None = None, by: str | None = None) -> Version[T]:
        """Deletes the record: against what its author had not seen (``base``) the policy's ``deletes`` decides."""
        if base is not None:
            self._must_contain(base)
        seen = self.seen if base is None else base.seen
        return self._commit(clock, {}, seen, by, deleted=True)

    def restore(self, clock: Clock, *, by: str | None = None) -> Version[T]:
        """Takes back the deletions that this version has; against others it is an edit."""
        if not live_deletes(self._marks):
            raise InvalidInput("the record is not deleted: there is nothing to restore")
        restored = self._commit(clock, {}, self.seen, by, deleted=False)
        if self._is_wiped and not _is_readable(restored):
            raise RecordDeleted("the record was wiped, and nothing is left to restore")
        return restored

    def resolve(
        self, clock: Clock, answers: ByPath[Any], *, base: Version[T] | None = None, by: str | None = None
    ) -> Version[T]:
        """Settles fields: ``{path: a value, or one of the conflict's candidates}``.

        A field is settled whole: what is written is what it shows, with the answers put in at their paths. The author
        has seen what the screen showed, ``base`` (unless given, this version). A path that something was lost at may be
        answered too, which drops what was lost. At ``()``, of a record that was deleted and edited, ``UNSET`` deletes,
        and a record restores.

        Raises ``AnswerError`` where nothing is open, where a conflict of the same field stays unanswered (it lists
        them), and for a value that the field's type does not take.
        """
        if base is not None:
            self._must_contain(base)
        ref = self if base is None else base
        changes, deleted = answered(ref._reading, answers)
        if not changes and deleted is None:
            return self
        after = self._commit(clock, changes, ref.seen, by, ref=ref, shared=self.seen, deleted=deleted)
        return after._checked(self, AnswerError)

    def fork(self, clock: Clock, path: str | Path, *, by: str | None = None) -> tuple[Version[T], ...]:
        """Keeps both: ``(kept, *copies)``. Each copy is a record of its own in which the field holds one losing head;
        in ``kept`` the field is resolved.

        A copy's id is UUIDv5 of the id, the path and the losing head's stamp, so that the same fork on two replicas
        joins, and two fields that lost in one commit are two copies. Raises ``InvalidInput`` for a field that has but
        one head.
        """
        self._must_live("fork")
        at = self._field(path)
        state = self._fields.get(at)
        shown = view(state, self._reading.rules[at], at) if isinstance(state, History) else None
        if not isinstance(state, History) or shown is None or not (shown.conflicts or shown.lost):
            raise InvalidInput("is in no conflict: there is nothing to keep both of", at)
        rule = self._reading.rules[at]
        winner = next((h for h in state.heads if same(h.value, shown.stored)), state.heads[-1])
        kept = self._commit(clock, {at: Leaf(rule, winner.value)}, self.seen, by, shared=self.seen)
        created = kept._fields[at].stamps()[-1]
        copies: list[Version[T]] = []
        for head in state.heads:
            if head is not winner:
                new_id = _copy_id(self.id, at, head.stamp)
                fields = {**self._fields, at: History(state.depth, (head,))}
                copies.append(Version(Stored(new_id, created, self.seen, fields, self._marks), self._binding))
        return (kept, *copies)

    # ---- what stores do

    def tombstone(self) -> Version[T]:
        """What stays of a deleted record that is wiped for good: its id, ``created``, and the deletions.

        Joined with an older version of the record it is deleted; with one that has edits which the deletion had not
        seen, those are edits against it; with one that had it restored, it is restored. ``seen`` is the deletions' own
        stamps, and what they had seen. A restoring that lost against the deletion is wiped with the rest.

        It is ``deleted``, its ``conflicts`` and ``lost`` are empty, its ``commits`` the deletions. Of its ``record``
        nothing is left: ``{}``, an instance of the defaults, or ``RecordDeleted`` if the model requires a field.

        Raises ``InvalidInput`` where no deletion stands: of a record that is not deleted, or by a column alone
        (``Policy(deleted=)``), which is a field. Linear in the number of fields.
        """
        gone = tuple(mark for mark in self._marks if mark.deleted and mark.path == ())
        deleted = self.deleted and bool(gone)
        if deleted and (self._binding.rule.deleted,) in self._reading.columns:  # then not by the column alone
            held = [stamp for state in self._fields.values() for stamp in state.stamps()]
            deleted = all(any(m.commit.seen.covers(stamp) for m in gone) for stamp in held)
        if not deleted:
            raise InvalidInput("the record is not deleted by delete(): what stays of it is all that it is")
        seen = VersionVector([s for m in gone for s in (m.commit.stamp, *m.commit.seen.values())])
        return Version(Stored(self.id, self.created, seen, {}, gone), self._binding)

    def restamp(self, clock: Clock, base: Version[Any] | None) -> Version[T]:
        """The same history, with what nobody has yet under new stamps: of a device whose clock lied.

        ``base`` is what others have of the record, or of the one that it was forked from (``None``: nothing). All that
        it has not seen must be this device's own, and gets stamps of ``clock``, a new incarnation, in the old order,
        above ``base`` and not above the old ones; nothing else changes, but for who wins by time. A run of which others
        have the beginning ends there. The result contains ``base``; it is this version, if that has all.

        Where the edits are of several incarnations, and not of one line of versions, each gets an incarnation of its
        own, so that what was concurrent stays so.

        Raises ``InvalidInput`` for a base that this version does not contain, and for a clock that has written in it;
        what ``join`` raises. Linear in the size of the version, times the nodes in ``seen``; times the stamps where
        there are several incarnations.
        """
        if not isinstance(clock, Clock):
            raise InvalidInput(f"{clock!r} is no clock: give the device's new Clock")
        of_original = base is not None and base.id != self.id and self.is_fork_of(base)  # which may have moved on
        if base is not None and not of_original and join(self, base) != self:
            raise InvalidInput("the base has what this version has not: join them first")
        if base is not None and clock.node in base.seen:
            raise InvalidInput(f"others have stamps of {clock.node!r}: give a new Clock({clock.name!r})")
        stored = self._stored
        made = restamped(stored, None if base is None else base._stored, clock)
        if made is stored:
            return self
        anew: Version[T] = Version(made, self._binding)
        return anew if base is None or of_original else join(base, anew)

    def is_fork_of(self, original: Version[Any]) -> bool:
        """Whether this is a copy of another record, as ``fork`` makes them."""
        states = [(path, state) for path, state in self._fields.items() if isinstance(state, History)]
        return any(self.id == _copy_id(original.id, path, head.stamp) for path, state in states for head in state.heads)

    # ---- what writing is made of

    def _commit(
        self,
        clock: Clock,
        changes: Mapping[Path, Leaf],
        seen: VersionVector,
        by: str | None,
        ref: Version[T] | None = None,
        shared: VersionVector = _EMPTY,
        deleted: bool | None = None,
    ) -> Version[T]:
        if not isinstance(clock, Clock):
            raise InvalidInput(f"{clock!r} is no clock: whoever writes gives his own Clock")
        commit = Commit(clock.tick(self.seen, {"": self.created}), seen, _author(by))
        if seen is self.seen:  # who edits a record that is gone by its column has seen that: counts do not say so
            changes = {**still_gone(self._reading, changes), **changes}
        return self._written(commit, changes, self if ref is None else ref, shared, deleted)

    def _written(
        self,
        commit: Commit,
        changes: Mapping[Path, Leaf],
        ref: Version[T] | None = None,
        shared: VersionVector = _EMPTY,
        deleted: bool | None = None,
    ) -> Version[T]:
        """This version, and one commit more. ``ref`` is the version that its author was looking at."""
        ref = self if ref is None else ref
        fields = dict(self._fields)
        for path, change in changes.items():
            mine, theirs = self._fields.get(path), ref._fields.get(path)
            fields[path] = written(path, change, commit, mine, theirs, shared if ref is self else None)
        marks = self._marks
        if deleted is not None:
            marks = _live_marks((*marks, Mark((), deleted, commit)))
        stored = Stored(self.id, self.created, self.seen.plus(commit.stamp), fields, marks)
        return Version(stored, self._binding)

    def _checked(self, before: Version[T], error: type[MergeError], doubtful: bool = False) -> Version[T]:
        """Itself, if it is a record that the model takes, or was none before."""
        if (doubtful or self._binding.checks) and (wrong := _broken(self)) and not _broken(before):
            raise error(f"the model does not take this record: {wrong}")
        return self

    def _field(self, path: str | Path) -> Path:
        """The field that a path leads to, or into. Raises ``InvalidInput`` where there is none."""
        steps = path_of(path)
        if not steps and not self._binding.rule.whole:
            raise InvalidInput(
                "give a field: what is open about the record as a whole is in v.conflicts, at the path ()"
            )
        at = self._reading.field_at(steps)
        return at if at in self._reading.rules else place_of(self._reading, own_leaves(self._reading), steps)[1]

    def _must_live(self, what: str) -> None:
        if live_deletes(self._marks) and self.deleted:  # not by a column, which is edited to restore
            raise RecordDeleted(f"the record is deleted: restore(clock) it before you {what} it")

    def _must_contain(self, base: Version[Any]) -> None:
        if base.id != self.id:
            raise InvalidInput(f"the base is another record: {base.id}, and this one is {self.id}")
        if not base.seen <= self.seen:
            raise InvalidInput("the base has what this version has not: join them first")


def join(first: Version[T] | None, *others: Version[T] | None) -> Version[T]:
    """One version of what several versions of a record hold: the same whatever the order, and how often.

    ``None`` is what is not there. Raises ``InvalidInput`` for versions of different records, ``PolicyError`` for
    versions that are read by different models or policies, ``SchemaMismatch`` for a field of two kinds or depths.
    Linear in the number of fields.
    """
    joined = first
    for version in (first, *others):
        if not isinstance(version, Version | None):
            raise InvalidInput(f"join() takes versions, not a {type(version).__name__}: bytes are decoded first")
    for other in others:
        joined = other if joined is None else joined if other is None else _join(joined, other)
    if joined is None:
        raise InvalidInput("there is nothing to join")
    return joined


def _join(a: Version[T], b: Version[T]) -> Version[T]:
    if a is b:
        return a
    if a.id != b.id:
        raise InvalidInput(f"these are versions of two records, {a.id} and {b.id}")
    if a._binding[:2] != b._binding[:2]:
        raise PolicyError("the versions are read by different models or policies (depth=, too): decode both alike")
    fields = dict(a._fields)
    for path, theirs in b._fields.items():
        mine = fields.get(path)
        fields[path] = theirs if mine is None else _joined_states(path, mine, theirs)
    marks = _live_marks((*a._marks, *b._marks))
    created, seen = min(a.created, b.created), a.seen | b.seen
    for one in (a, b):
        if created == one.created and seen == one.seen and marks == one._marks and fields.keys() == one._fields.keys():
            held: Mapping[Path, Any] = one._fields
            if all(state is held[path] or held[path].join(state) is held[path] for path, state in fields.items()):
                return one
    return Version(Stored(a.id, created, seen, fields, marks), a._binding)


def _joined_states(path: Path, mine: Any, theirs: Any) -> State:
    if mine is theirs:
        return mine  # type: ignore[no-any-return]
    if mine.kind != theirs.kind:
        raise SchemaMismatch(f"is a {mine.kind} on one side and a {theirs.kind} on the other", path)
    if isinstance(mine, History) and mine.depth != theirs.depth:
        raise SchemaMismatch(f"has depth {mine.depth} on one side and {theirs.depth} on the other", path)
    return mine.join(theirs)  # type: ignore[no-any-return]


def _live_marks(marks: Iterable[Mark]) -> tuple[Mark, ...]:
    """Deletions and restores that no later one of the same place has seen."""
    found = {(m.path, m.commit.stamp, m.deleted, m.commit.seen, m.commit.by): m for m in marks}.values()
    live = [m for m in found if not any(o.path == m.path and o.commit.seen.covers(m.commit.stamp) for o in found)]
    return tuple(sorted(live, key=_mark_order))


def _heads(state: State) -> list[tuple[Any, Timestamp, str | None]]:
    """What each head says, of a counter what each node counted, of a set what each node added; when, and who."""
    if isinstance(state, History):
        return [(w.value, w.stamp, w.commit.by) for w in state.heads]
    if isinstance(state, PNCounter):
        return [(state.value(t.stamp.__eq__), t.stamp, None) for t in sorted(state.tallies.values())]
    added = {
        node: {x for x, dots in state.elements.values() if any(d.stamp.node == node for d in dots)}
        for node in state.touched
    }
    return sorted(((added[n], touch.stamp, None) for n, touch in state.touched.items()), key=lambda head: head[1])


def _with_record(told: Explanation, record: Any) -> Explanation:
    """An explanation of whether a record is there, with the record."""

    def said(what: S) -> S:
        return msgspec.structs.replace(what, value=record) if what.value is PRESENT else what

    how = [
        Step(s.base, s.base_is, s.why, said(s.ours), said(s.theirs), tuple(map(said, s.verdicts))) for s in told.steps
    ]
    return msgspec.structs.replace(said(told), heads=tuple(map(said, told.heads)), steps=tuple(how))


def _mark_order(mark: Mark) -> Any:
    commit = mark.commit
    return mark.path, commit.stamp, mark.deleted, sorted(commit.seen.values()), commit.by or ""


def _bind(model: Any, policy: Policies | None) -> Binding:
    """What a version is read by. Raises ``PolicyError``."""
    if not (model is None or isinstance(model, str) or is_record(model)):
        raise PolicyError(f"{model!r} is no model: give a Struct or a dataclass, the name of a table, or nothing")
    rule = rule_for(Any if model is None else model, policy).of(origin(model) if is_record(model) else dict)
    return Binding(model, policy, rule, *_read_once(rule))


@lru_cache(maxsize=1024)
def _read_once(rule: Rule) -> tuple[bool, Rule]:
    return _checks(rule, set()), rule.piece(Any)


def _checks(rule: Rule, known: set[Any]) -> bool:
    """Whether a record, or one below that is walked by field, checks its fields against each other."""
    if rule.type in known or not is_record(rule.type):
        return False
    known.add(rule.type)
    return has_invariant(rule) or any(_checks(slot.inside, known) for slot in slots_of(rule) if slot.inside is not None)


def _load(data: bytes, model: Any, policy: Any) -> Version[Any]:
    return Version.decode(data, model, policy)


def _is_readable(version: Version[Any]) -> bool:
    try:
        return version._reading is not None
    except InvalidInput:
        return False


def _broken(version: Version[Any]) -> str:
    """What is wrong with a record as a whole."""
    return next((c.detail for c in version.conflicts if c.path == () and c.reason == "invariant"), "")


def _entry(found: dict[Any, tuple[Commit, list[Path]]], commit: Commit) -> list[Path]:
    return found.setdefault((commit.stamp, commit.seen, commit.by), (commit, []))[1]


def _vector(shared: Any, unless_given: VersionVector) -> VersionVector:
    if shared is None or isinstance(shared, VersionVector):
        return unless_given if shared is None else shared
    if not isinstance(shared, Mapping) or not all(isinstance(stamp, Timestamp) for stamp in shared.values()):
        raise InvalidInput(f"shared={shared!r}: give the seen of the version that was handed out")
    return VersionVector(shared)


def _author(by: Any) -> str | None:
    if by is not None and not (isinstance(by, str) and by):
        raise InvalidInput(f"by={by!r}: the author is a text that is not empty")
    return by


def _copy_id(id: str, path: Path, stamp: Timestamp) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{id} {format_path(path)} {stamp}"))


def _uuid7(millis: int) -> uuid.UUID:
    """A UUID that sorts by its time (RFC 9562, section 5.7)."""
    random = int.from_bytes(os.urandom(10), "big")
    high, low = random >> 68 & 0xFFF, random & (1 << 62) - 1
    return uuid.UUID(int=(millis & (1 << 48) - 1) << 80 | 7 << 76 | high << 64 | 2 << 62 | low)
