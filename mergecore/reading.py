"""The record that the fields of a version show: composed, with its open conflicts and what was lost.

Imports ``annotations``, ``clock``, ``errors``, ``history``, ``layout``, ``paths``, ``policy``, ``records``,
``strategies``, ``times``, ``values``, ``view``, ``walk`` and ``wire``.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from .annotations import members_of
from .clock import Timestamp
from .errors import InvalidInput, SchemaMismatch, StrategyError
from .history import Commit, History, ORSet, PNCounter, State, Write, heads_of
from .layout import Slot, slots_of, typed
from .paths import Path, Step
from .policy import Rule
from .records import as_is, build, convert, from_plain, is_record, origin, text_of, validate
from .strategies import Candidate, Conflict, Context
from .times import Times
from .values import UNSET, Sides, canonical, equal
from .view import NOTHING, Lost, View, losers_of, name_of, view, view_of
from .walk import Question, Verdict, Walk
from .wire import ATOMS, PRESENT, plain

__all__ = ["Binding", "Mark", "Reading", "live_deletes", "read_at_once"]


class Binding(NamedTuple):
    """What a version is read by: nothing of it is stored."""

    model: Any
    """A record class; ``None`` or the name of a table where records are plain dictionaries."""
    policy: Any
    rule: Rule
    """That of the record."""
    checks: bool
    """Whether a record checks its fields against each other."""
    foreign: Rule
    """What governs fields that the model does not know."""

    @property
    def is_modelled(self) -> bool:
        """False of schemaless documents."""
        return is_record(self.model)


class Mark(NamedTuple):
    """A deletion of what stands at a path, or a restoring of it."""

    path: Path
    deleted: bool
    commit: Commit


def live_deletes(marks: Iterable[Mark], path: Path = ()) -> list[Commit]:
    """The deletions of a place that nobody has taken back."""
    return [mark.commit for mark in marks if mark.deleted and mark.path == path]


def read_at_once(fields: Mapping[Path, State], marks: Sequence[Mark], binding: Binding) -> Any:
    """The record that a reading shows, fresh, where no strategy has a say in it: each of its fields has one head, and
    the model takes them as they are. ``None`` where that is not so.
    """
    keys = _plain_keys(binding.rule) if binding.is_modelled and not marks else None
    if keys is None:
        return None
    found: dict[str, Any] = {}
    for path, state in fields.items():
        if path not in keys:
            return None
        if not isinstance(state, History):
            value = UNSET if state.reused else state.value()
        elif state.bare is not None:
            value = state.bare[1]
        else:
            value = state.heads[0].value if len(state.heads) == 1 else UNSET
        if value is UNSET:
            return None
        found[path[0]] = value if type(value) in ATOMS else plain(value)  # type: ignore[index]
    try:
        return from_plain(found, binding.model)
    except Exception:  # of which the reading has more to say
        return None


@functools.lru_cache(1024)
def _plain_keys(rule: Rule) -> frozenset[Path] | None:
    """The paths of a record's fields, where each is a field of its own and none says that the record is deleted."""
    config = getattr(origin(rule.type), "__struct_config__", None)
    if rule.whole or rule.deleted is not None or (config is not None and config.array_like):
        return None
    slots = slots_of(rule)
    return frozenset((slot.key,) for slot in slots) if all(s.inside is None and not s.members for s in slots) else None


class Reading:
    """One pass over the fields, by ``read``; with ``past``, of a part of what was written alone."""

    def __init__(
        self,
        fields: Mapping[Path, State],
        marks: Sequence[Mark],
        binding: Binding,
        past: Callable[[Timestamp], bool] | None = None,
    ) -> None:
        self.fields, self.marks, self.binding, self.past = fields, marks, binding, past
        self.views: dict[Path, View] = {}
        self.rules: dict[Path, Rule] = {}
        self.conflicts: list[Conflict] = []
        self.lost: list[Lost] = []
        self.buried: list[Write] = []
        """Of the records around what is being read, the deletions: what they saw is gone, where there is more."""
        self.columns: list[Path] = []
        """The columns that say that a record is deleted."""
        self.places: set[Path] = set()
        """Where records stand that may be absent."""
        self.no_fields: set[Path] = set()
        """What is a part of a group, or has fields."""
        self.there: dict[Path, Any] = {}
        """The records that would stand there, where that is open or lost."""
        self.opened = {path[:n] for path in fields if len(path) > 1 for n in range(1, len(path))}
        self.is_deleted = False
        self.shown: Any = None
        """The record shown, plain."""
        self.record: Any = None
        """The record shown, not to be changed."""

    # ---- the whole

    def fresh(self) -> Any:
        """The record shown, a valid instance of the model, that nothing else refers to."""
        return self.converted(plain(self.shown)) if self.binding.is_modelled else plain(self.shown)

    def read(self) -> Reading:
        """Itself, with the record shown, and whether it is deleted."""
        self.record = record = self.instance()
        if self.binding.is_modelled:
            self.check_layout()
        if gone := live_deletes(self.marks):
            held = [s for state in self.fields.values() for s in state.stamps()]
            held += [mark.commit.stamp for mark in self.marks if not mark.deleted]
            edits = [s for s in held if not any(d.seen.covers(s) or d.stamp == s for d in gone)]
            inside, self.conflicts, self.lost = (self.conflicts, self.lost), [], []
            last = max(gone, key=lambda commit: commit.stamp)
            if not edits or self.against((), self.binding.rule, UNSET, record, last, max(edits)) is UNSET:
                self.is_deleted = True
                self.lose(*inside, edits, last.stamp)
            else:
                self.conflicts, self.lost = _as_one(inside[0] + self.conflicts), inside[1] + self.lost
        return self

    def check_layout(self) -> None:
        """Raises ``SchemaMismatch`` where what is stored as one field are several to the model, or the other way round:
        else it would be shown as if it were not there.
        """
        for path in self.places:
            if isinstance(self.views[path].stored, dict):
                raise SchemaMismatch(
                    "is stored as one field, and the model has fields below: it was written without", path
                )
        for path in self.fields.keys() - self.rules.keys():
            above = [path[:n] for n in range(len(path))]
            if any(at in self.places for at in above):
                continue  # of a record that is absent
            if whole := [at for at in above if at in self.rules]:
                raise SchemaMismatch("is stored field by field, and is one field to the model and its policy", whole[0])
            if path in self.no_fields or any(at[: len(path)] == path for at in self.rules):
                raise SchemaMismatch("is stored as a field, and is a part of one (or has several) by the model", path)
            state = self.fields[path]
            value = view(state, self.binding.foreign, path).stored if isinstance(state, History) else UNSET
            parts = {(*path[:-1], key) for key in value} if isinstance(value, dict) else set()
            if parts and parts <= self.rules.keys() and not parts & self.fields.keys():
                raise SchemaMismatch("is stored as a group, and the model has fields of their own", path)

    def instance(self) -> Any:
        """The fields as a record of the model. Where together they are none, that is an open conflict."""
        self.shown = self.composed()
        if not self.binding.is_modelled:
            return self.shown
        with contextlib.suppress(Exception):  # of a record that is taken as it is, nobody need look at each field
            return as_is(self.shown, self.binding.model)
        self.check_values()
        try:
            return self.converted(self.shown)
        except InvalidInput as error:
            wrong = error
        if self.counts_put_right():
            self.shown = self.composed()
            try:
                return self.converted(self.shown)
            except InvalidInput as error:
                wrong = error
        return self.invariant(wrong)

    def check_values(self) -> None:
        """Raises ``InvalidInput`` where what is stored is of another type than the field."""
        for found in self.views.values():
            _ = found.value

    def composed(self) -> Any:
        rule = self.binding.rule
        if rule.whole:
            return self.field((), rule).stored
        return self.compose((), rule) if self.binding.is_modelled else self.compose_document((), rule)

    def converted(self, composed: Any) -> Any:
        model, rule = self.binding.model, self.binding.rule
        config = getattr(origin(model), "__struct_config__", None)
        if config is not None and config.array_like and isinstance(composed, dict):
            composed = self.built((), rule, composed)
        return convert(composed, model, "the record")

    # ---- fields

    def field(self, path: Path, rule: Rule) -> View:
        """What one field shows."""
        found = self.views.get(path)
        if found is None:
            found = self.views[path] = self.view(path, rule)
        self.rules[path] = rule
        if found.conflicts or found.lost:
            self.conflicts += found.conflicts
            self.lost += found.lost
        return found

    def view(self, path: Path, rule: Rule) -> View:
        state = self.fields.get(path)
        if state is None:
            return NOTHING
        if not isinstance(state, History):
            value = state.value(self.past)
            return View(value, value, (self.reused(path, rule, value, max(state.stamps())),) if state.reused else ())
        if self.past is not None:
            return self.view_in_past(state, rule, path)
        if self.buried:
            alive = [head for head in state.heads if not any(gone.has(head.stamp) for gone in self.buried)]
            if 0 < len(alive) < len(state.heads):
                return view_of(state, rule, path, alive)
        return view(state, rule, path)

    def reused(self, path: Path, rule: Rule, value: Any, stamp: Timestamp) -> Conflict:
        """A count, or a set, of which nobody can say what was changed under one stamp."""
        made = (Candidate(value, stamp, name_of(stamp)),)
        return Conflict(path, UNSET, made, str(rule.strategy), "one stamp, two values: a node's name was used twice")

    def view_in_past(self, state: History, rule: Rule, path: Path) -> View:
        """What a field shows of a part of its writes; of one that was written only outside of it, its base."""
        assert self.past is not None
        inside = [w for w in state.writes if self.past(w.stamp)]
        if not inside:
            base = state.writes[0].base
            return View(typed(rule, path, base), base)
        return view_of(state, rule, path, tuple(heads_of(inside)))

    def compose(self, path: Path, rule: Rule) -> dict[str, Any]:
        """A record walked by field, as a dictionary by encoded names."""
        out: dict[str, Any] = {}
        for slot in slots_of(rule):
            at = (*path, slot.key)
            if slot.members:
                self.no_fields.update((*path, member) for member in slot.members)
                out.update(self.members(at, slot.rule, slot.members))
                continue
            if slot.inside is None:
                value = self.field(at, slot.rule).stored
            elif slot.presence is not None:
                value = self.optional(at, slot, slot.inside, slot.presence)
            else:
                self.no_fields.add(at)
                value = self.below(at, slot.inside) if at in self.opened or slot.required else UNSET
            if value is not UNSET:
                out[slot.key] = value
        return self.soft_deleted(path, rule, out)

    def soft_deleted(self, path: Path, rule: Rule, record: dict[Any, Any]) -> dict[Any, Any]:
        """A record with its column that means deletion: what its deletion had not seen is an edit against it."""
        column, at = rule.deleted, (*path, rule.deleted)
        state = self.fields.get(at)
        if column is None or not record.get(column) or not isinstance(state, History) or self.past is not None:
            return record
        gone = [head for head in state.heads if head.value]
        edits: list[Timestamp] = []
        for p, held in self.fields.items():
            if p[: len(path)] == path and p != at:
                heads = held.heads if isinstance(held, History) else ()
                knew = {w.stamp for w in heads if any(w.seen.covers(head.stamp) for head in gone)}
                edits += [s for s in held.stamps() if s not in knew and not any(head.has(s) for head in gone)]
        if not edits or not gone:
            self.columns.append(at)
            self.is_deleted = self.is_deleted or not path
            return record
        last = max(gone, key=lambda head: head.stamp)
        was = typed(rule.child(column), at, last.base)
        if equal(was, self.views[at].value):  # it was gone before
            was = UNSET
        value = self.against(at, rule.child(column), self.views[at].value, was, last.commit, max(edits))
        if value is was:
            return {key: x for key, x in {**record, column: plain(was)}.items() if x is not UNSET}
        self.columns.append(at)
        self.is_deleted = self.is_deleted or not path
        return record

    def members(self, path: Path, rule: Rule, members: Sequence[str]) -> dict[str, Any]:
        """A group's value, which its members share."""
        found = self.field(path, rule)
        value = UNSET if found.value is UNSET else found.stored  # what is of another type is refused as such
        if value is UNSET:
            return {}
        if not isinstance(value, dict) or not value.keys() <= set(members):
            wanted = f"give a mapping of {', '.join(members)}"
            raise StrategyError(f"{value!r} is no value of this group: {wanted}", path)
        return value

    def below(self, path: Path, rule: Rule) -> Any:
        """A record that stands in a record, as msgspec reads it."""
        fields = self.compose(path, rule)
        config = getattr(origin(rule.type), "__struct_config__", None)
        if config is not None and config.array_like:
            return self.built(path, rule, fields)
        return fields if config is None or config.tag is None else {config.tag_field: config.tag, **fields}

    def built(self, path: Path, rule: Rule, fields: Mapping[str, Any]) -> Any:
        """A record that is an array to msgspec."""
        values = {key: typed(rule.child(key), (*path, key), value) for key, value in fields.items()}
        try:
            return build(rule.type, values)
        except Exception as error:
            raise InvalidInput(f"what is stored is no {origin(rule.type).__name__}: {text_of(error)}", path) from error

    def optional(self, path: Path, slot: Slot, inside: Rule, presence: Rule) -> Any:
        """A record that may be absent. Fields below that its deletion had not seen are edits against it."""
        self.places.add(path)
        state = self.fields.get(path)
        if not isinstance(state, History):  # the model said otherwise when it was written
            return self.below(path, inside) if path in self.opened else UNSET
        mark = len(self.conflicts), len(self.lost)
        shown = self.field(path, presence)
        absent = [head for head in state.heads if head.value is not PRESENT]
        outer, self.buried = self.buried, [*self.buried, *absent]
        value = self.place(path, slot, inside, shown, state, mark) if path in self.opened else shown.stored
        if value is PRESENT:
            value = self.below(path, inside)
            if Any in members_of(slot.rule.declared):  # into which nobody else looks
                self.check_values()
        self.buried = outer
        return value

    def place(self, path: Path, slot: Slot, inside: Rule, shown: View, state: History, mark: tuple[int, int]) -> Any:
        """What stands in the place of a record that may be absent: ``PRESENT``, where it does itself."""
        absent = [head for head in state.heads if head.value is not PRESENT]
        if not absent or self.past is not None:
            return shown.stored
        other = Reading(self.fields, self.marks, self.binding)
        other.buried = self.buried
        record = other.below(path, inside)  # whether it is shown or not
        other.check_values()
        with contextlib.suppress(InvalidInput):  # what breaks its own invariant stays a mapping
            record = typed(slot.rule, path, record)
        self.there[path] = record
        self.say_record(path, record, mark)
        held = [s for at, below in self.fields.items() if at[: len(path)] == path != at for s in below.stamps()]
        edits = [s for s in held if not any(head.has(s) for head in absent)]
        if shown.value is PRESENT or not edits:
            return shown.stored
        last = max((head.commit for head in absent), key=lambda commit: commit.stamp)
        if shown.conflicts:  # that the record is there is a candidate already
            self.conflicts += other.conflicts
            self.lost += other.lost
        else:
            # who lost himself asks for nothing more
            stands = all(any(head.has(s) for head in state.heads) for s in edits)
            if not stands and self.against(path, inside, shown.value, record, last, max(edits)) is not shown.value:
                return PRESENT
            self.lose(other.conflicts, other.lost, edits, last.stamp)
        return shown.stored

    def lose(
        self, conflicts: Sequence[Conflict], lost: Sequence[Lost], edits: Sequence[Timestamp], by: Timestamp
    ) -> None:
        """What was open or lost in a record that is gone: lost, as far as its deletion had not seen it."""
        self.lost += [x for x in lost if x.stamp in edits]
        for conflict in conflicts:
            for c in conflict.candidates:
                if c.stamp is not None and c.stamp in edits:
                    self.lost.append(Lost(conflict.path, c.value, c.stamp, c.by, "deletes", by))

    def say_record(self, path: Path, record: Any, mark: tuple[int, int]) -> None:
        """Candidates and losers that say that a record is there become that record."""
        for i, conflict in enumerate(self.conflicts[mark[0] :], mark[0]):
            said = [msgspec.structs.replace(c, value=record) if c.value is PRESENT else c for c in conflict.candidates]
            self.conflicts[i] = msgspec.structs.replace(conflict, candidates=tuple(said))
        for i, lost in enumerate(self.lost[mark[1] :], mark[1]):
            if lost.value is PRESENT:
                self.lost[i] = msgspec.structs.replace(lost, value=record)

    def compose_document(self, path: Path, rule: Rule) -> dict[Any, Any]:
        """A record without a model: what fields there are, by their paths."""
        out: dict[Any, Any] = {}
        groups: dict[Step, Slot] = {slot.key: slot for slot in slots_of(rule)}
        for step in self.steps_below(path):
            at = (*path, step)
            if step in groups:
                out.update(self.members(at, groups[step].rule, groups[step].members))
                continue
            value: Any = self.field(at, rule.child(step)).stored if at in self.fields else UNSET
            if value is PRESENT:
                self.places.add(at)
            if value is PRESENT or (at in self.opened and at not in self.fields):
                value = self.compose_document(at, rule.child(step).of(dict))
            if value is not UNSET:
                out[step] = value
        return self.soft_deleted(path, rule, out)

    def steps_below(self, path: Path) -> list[Step]:
        """The names of the fields, and of the records, right below a place."""
        n = len(path)
        found = {at[n] for at in self.fields if len(at) > n and at[:n] == path}
        return sorted(found, key=lambda step: (type(step).__name__, str(step)))

    def stored(self, path: Path) -> Any:
        """What a field shows, plain."""
        found = self.views.get(path)
        return UNSET if found is None else found.stored

    def field_at(self, path: Path) -> Path:
        """The field that a path leads to, or into; itself where it leads to none."""
        return next((path[:n] for n in range(len(path), -1, -1) if path[:n] in self.rules), path)

    # ---- what a policy says of deletions

    def against(
        self,
        path: Path,
        rule: Rule,
        gone: Any,
        edited: Any,
        deletion: Commit,
        edit: Timestamp,
    ) -> Any:
        """Asks ``deletes`` whether a deletion stands against what it had not seen: the value of the one that does."""
        stamps = deletion.stamp, edit
        names = name_of(stamps[0]), name_of(stamps[1])
        sides = Sides(UNSET, gone, edited)
        verdicts: list[Verdict] = []
        at = Times(stamps[0], "ours"), Times(stamps[1], "theirs")
        walk = Walk(Question(sides, rule, names, at, {}), {}, verdicts)
        value = walk.against(rule.at(edited), Context(path, stamps, names, False), sides, True)
        by = {deletion.stamp: deletion.by, edit: self.author_of(edit)}
        for conflict in walk.conflicts:
            said = [msgspec.structs.replace(c, by=by.get(c.stamp)) for c in conflict.candidates if c.stamp is not None]
            self.conflicts.append(msgspec.structs.replace(conflict, candidates=tuple(said)))
        for verdict in verdicts:
            self.lost += losers_of(verdict, stamps, by)
        return value

    def author_of(self, stamp: Timestamp) -> str | None:
        states = (state for state in self.fields.values() if isinstance(state, History))
        return next((w.commit.by for state in states for w in state.writes if w.stamp == stamp and w.commit.by), None)

    # ---- what the fields make together must be something that the model takes

    def counts_put_right(self) -> bool:
        """Counters and sets that concurrent changes made invalid: shown is what is valid of them, and that is open."""
        found = False
        for path, state in self.fields.items():
            rule = self.rules.get(path)
            if isinstance(state, History) or rule is None or rule.declared is Any:
                continue
            if wrong := validate(state.value(), rule.declared):
                shown = _valid_part(state, rule)
                stamp = max(state.stamps())
                made = [Candidate(state.value(), stamp, name_of(stamp))]
                made += [Candidate(shown, None, "valid")] if shown is not UNSET else []
                conflict = Conflict(path, UNSET, tuple(made), str(rule.strategy), "invariant", wrong)
                self.views[path] = View(shown, shown, (conflict,))
                found = True
        if found:
            self.conflicts, self.lost = [], []
        return found

    def invariant(self, error: InvalidInput) -> Any:
        """The record of the newest head's past that is valid, and no mixture; the other heads' are candidates.

        On top of each comes what was written by those who had seen the contradiction, as far as it stays valid.
        """
        histories = [state for state in self.fields.values() if isinstance(state, History)]
        heads = {h.stamp: h.commit for state in histories for h in state.heads}
        valid = [commit for commit in heads.values() if self.part(commit, ()) is not None]
        if not valid:  # whoever wrote last had seen the contradiction
            older = {w.stamp: w.commit for state in histories for w in state.writes}
            valid = [commit for commit in older.values() if self.part(commit, ()) is not None]
        valid.sort(key=lambda commit: commit.stamp, reverse=True)
        newest: list[Commit | None] = [c for c in valid if not any(other.seen.covers(c.stamp) for other in valid)]
        counts = {s for state in self.fields.values() if not isinstance(state, History) for s in state.stamps()}
        since = sorted(counts | {stamp for stamp, commit in heads.items() if commit not in valid})
        candidates: list[Candidate] = []
        shown: Any = None
        for commit in newest or [None]:
            for kept in self.parts(commit, since):
                composed = self.part(commit, kept)
                if composed is None:
                    continue
                value = self.converted(composed)
                if not candidates:
                    shown, self.shown = value, composed
                last = max([*kept, Timestamp(0)]) if commit is None else commit.stamp
                if not any(equal(value, c.value) for c in candidates):
                    candidates.append(Candidate(value, last, name_of(last), None if commit is None else commit.by))
        if not candidates:
            raise error
        told = str(error.__cause__ or error)
        self.conflicts = [Conflict((), UNSET, tuple(candidates), str(self.binding.rule.strategy), "invariant", told)]
        return shown

    def parts(self, commit: Commit | None, since: Sequence[Timestamp]) -> list[list[Timestamp]]:
        """What of some stamps can stand on a commit's past: the oldest first; then with each that does not, instead of
        one that did.
        """
        kept: list[Timestamp] = []
        for stamp in since:
            if self.part(commit, [*kept, stamp]) is not None:
                kept.append(stamp)
        found = [kept]
        for stamp in [s for s in since if s not in kept]:
            swaps = ([*(k for k in kept if k != other), stamp] for other in reversed(kept))
            found += itertools.islice((swap for swap in swaps if self.part(commit, swap) is not None), 1)
        return found

    def part(self, commit: Commit | None, more: Sequence[Timestamp]) -> Any:
        """The record, plain, of a commit's past and of more stamps; ``None`` where the model does not take it."""

        def past(stamp: Timestamp) -> bool:
            known = commit is not None and (stamp == commit.stamp or commit.seen.covers(stamp))
            return known or stamp in more

        other = Reading(self.fields, self.marks, self.binding, past)
        try:
            composed = other.composed()
            other.converted(composed)
        except InvalidInput:
            return None
        return composed


def _as_one(conflicts: list[Conflict]) -> list[Conflict]:
    """Of several conflicts at the record as a whole one: what it is now, and whether it is there."""
    whole = [c for c in conflicts if c.path == ()]
    if len(whole) < 2:
        return conflicts
    candidates = list(whole[0].candidates)
    for conflict in whole[1:]:
        candidates += [c for c in conflict.candidates if not any(equal(c.value, had.value) for had in candidates)]
    reason = "; ".join(conflict.reason for conflict in whole)
    one = msgspec.structs.replace(whole[0], candidates=tuple(candidates), reason=reason)
    return [one, *(c for c in conflicts if c.path != ())]


def _valid_part(state: State, rule: Rule) -> Any:
    """As much of a counter, or of a set, as the field takes: the oldest changes first."""
    if isinstance(state, PNCounter):
        nodes: set[Timestamp] = set()
        shown: Any = UNSET if validate(0, rule.declared) else 0
        for stamp in sorted(state.stamps()):
            total = state.value({*nodes, stamp}.__contains__)
            if not validate(total, rule.declared):
                nodes.add(stamp)
                shown = total
        return shown
    assert isinstance(state, ORSet)
    kept: set[Any] = set()
    for element, _ in sorted(state.elements.values(), key=lambda item: (min(item[1]), canonical(item[0]))):
        if not validate(kept | {element}, rule.declared):
            kept.add(element)
    return kept
