"""The record that the fields of a version show: composed, with its open conflicts and what was lost.

Imports ``clock``, ``errors``, ``history``, ``layout``, ``paths``, ``policy``, ``records``, ``strategies``, ``values``,
``view`` and ``wire``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from .clock import Timestamp
from .errors import InvalidInput, StrategyError
from .history import Commit, History, ORSet, PNCounter, State, heads_of
from .layout import Slot, slots_of, typed
from .paths import Path, Step
from .policy import Rule
from .records import build, convert, is_record, origin, validate
from .strategies import Candidate, Conflict, Context
from .times import Times
from .values import UNSET, Sides
from .view import Lost, View, name_of, view, view_of
from .walk import Question, Verdict, Walk
from .wire import Present, plain

__all__ = ["Binding", "Mark", "Reading", "live_deletes"]


class Binding(NamedTuple):
    """What a version is read by: nothing of it is stored."""

    model: Any
    """A record class; ``None`` or the name of a table where records are plain dictionaries."""
    policy: Any
    rule: Rule
    """That of the record."""
    checks: bool
    """Whether a record checks its fields against each other."""

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


class Reading:
    """One pass over the fields, by ``read``; ``past`` reads them as one commit's author left them."""

    def __init__(
        self, fields: Mapping[Path, State], marks: Sequence[Mark], binding: Binding, past: Commit | None = None
    ) -> None:
        self.fields, self.marks, self.binding, self.past = fields, marks, binding, past
        self.views: dict[Path, View] = {}
        self.rules: dict[Path, Rule] = {}
        self.conflicts: list[Conflict] = []
        self.lost: list[Lost] = []
        self.opened = {path[:n] for path in fields for n in range(1, len(path))}
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
        if gone := live_deletes(self.marks):
            held = [s for state in self.fields.values() for s in state.stamps()]
            held += [mark.commit.stamp for mark in self.marks if not mark.deleted]
            edits = [s for s in held if not any(d.seen.covers(s) or d.stamp == s for d in gone)]
            last = max(gone, key=lambda commit: commit.stamp)
            self.is_deleted = not edits or self.against((), self.binding.rule, UNSET, record, last, max(edits)) is UNSET
        return self

    def instance(self) -> Any:
        """The fields as a record of the model. Where together they are none, that is an open conflict."""
        self.shown = self.composed()
        if not self.binding.is_modelled:
            return self.shown
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

    def composed(self) -> Any:
        rule = self.binding.rule
        if rule.whole:
            return self.field((), rule).stored
        return self.compose((), rule) if self.binding.is_modelled else self.compose_document((), rule)

    def converted(self, composed: Any) -> Any:
        return convert(composed, self.binding.model, "the record")

    # ---- fields

    def field(self, path: Path, rule: Rule) -> View:
        """What one field shows."""
        found = self.views.get(path)
        if found is None:
            found = self.views[path] = self.view(path, rule)
        self.rules[path] = rule
        self.conflicts += found.conflicts
        self.lost += found.lost
        return found

    def view(self, path: Path, rule: Rule) -> View:
        state = self.fields.get(path)
        if state is None:
            return View(UNSET, UNSET)
        if not isinstance(state, History):
            value = state.value()
            return View(value, value)
        return view(state, rule, path) if self.past is None else self.view_in_past(state, rule, path)

    def view_in_past(self, state: History, rule: Rule, path: Path) -> View:
        """What a field showed to a commit's author; of one that was written only outside that past, its base."""
        assert self.past is not None
        known = self.past.seen.plus(self.past.stamp)
        inside = [w for w in state.writes if known.covers(w.stamp)]
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
                out.update(self.members(at, slot.rule, slot.members))
                continue
            if not slot.classes:
                value = self.field(at, slot.rule).stored
            elif slot.presence is not None:
                value = self.optional(at, slot, slot.presence)
            elif at in self.opened:
                value = self.below(at, slot.rule, next(iter(slot.classes.values())))
            else:
                continue
            if value is not UNSET:
                out[slot.key] = value
        return out

    def members(self, path: Path, rule: Rule, members: Sequence[str]) -> dict[str, Any]:
        """A group's value, which its members share."""
        value = self.field(path, rule).stored
        if value is UNSET:
            return {}
        if not isinstance(value, dict) or not value.keys() <= set(members):
            wanted = f"give a mapping of {', '.join(members)}"
            raise StrategyError(f"{value!r} is no value of this group: {wanted}", path)
        return value

    def below(self, path: Path, rule: Rule, cls: type) -> Any:
        """A record that stands in a record."""
        here = rule.of(origin(cls))
        fields = self.compose(path, here)
        config = getattr(origin(cls), "__struct_config__", None)
        if config is not None and config.array_like:
            return build(cls, {key: typed(here.child(key), (*path, key), value) for key, value in fields.items()})
        return fields if config is None or config.tag is None else {config.tag_field: config.tag, **fields}

    def optional(self, path: Path, slot: Slot, presence: Rule) -> Any:
        """A record that may be absent. Fields below that its deletion had not seen are edits against it."""
        shown = self.field(path, presence)
        if isinstance(shown.value, Present):
            return self.below(path, slot.rule, self.class_of(shown.value.name, slot, path))
        state = self.fields.get(path)
        if not isinstance(state, History) or path not in self.opened or self.past is not None:
            return shown.stored
        heads = state.heads
        held = [s for at, below in self.fields.items() if at[: len(path)] == path != at for s in below.stamps()]
        edits = [s for s in held if not any(h.has(s) for h in heads)]
        if not edits:
            return shown.stored
        names = [value.name for w in state.writes for value in (w.base, w.value) if isinstance(value, Present)]
        mark = len(self.conflicts), len(self.lost)
        cls = self.class_of(names[-1] if names else next(iter(slot.classes)), slot, path)
        edited = self.below(path, slot.rule, cls)
        last = max((h.commit for h in heads), key=lambda commit: commit.stamp)
        value = self.against(
            path, slot.rule, shown.value, convert(edited, cls, "what is stored"), last, max(edits), mark
        )
        return shown.stored if value is shown.value else edited

    def class_of(self, name: str, slot: Slot, path: Path) -> type:
        if name in slot.classes:
            return slot.classes[name]
        if len(slot.classes) == 1:  # it was called otherwise
            return next(iter(slot.classes.values()))
        raise InvalidInput(f"holds a {name}, which this model does not know: it has {', '.join(slot.classes)}", path)

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
            if at in self.opened and (value is UNSET or isinstance(value, Present)):
                value = self.compose_document(at, rule.child(step).of(dict))
            if value is not UNSET:
                out[step] = value
        return out

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
        mark: tuple[int, int] = (0, 0),
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
        if value is gone:  # and so is what was to be said of it
            del self.conflicts[mark[0] :], self.lost[mark[1] :]
        for verdict in verdicts:
            for c in verdict.lost:
                if c.stamp is not None:
                    winner = stamps[0] if c.stamp == stamps[1] else stamps[1]
                    self.lost.append(Lost(path, c.value, c.stamp, by.get(c.stamp), verdict.decided_by, winner))
        return value

    def author_of(self, stamp: Timestamp) -> str | None:
        found = (c.by for state in self.fields.values() for c in state.commits() if c.stamp == stamp and c.by)
        return next(found, None)

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
                made = Candidate(state.value(), stamp, name_of(stamp)), Candidate(shown, None, "valid")
                conflict = Conflict(path, UNSET, made, str(rule.strategy), "invariant", wrong)
                self.views[path] = View(shown, shown, (conflict,))
                found = True
        if found:
            self.conflicts, self.lost = [], []
        return found

    def invariant(self, error: InvalidInput) -> Any:
        """The record of the newest head's past: one that its author had before him, and no mixture."""
        commits = {
            w.stamp: w.commit for state in self.fields.values() if isinstance(state, History) for w in state.heads
        }
        shown: Any = UNSET
        candidates: list[Candidate] = []
        for commit in sorted(commits.values(), key=lambda c: c.stamp, reverse=True):
            past = Reading(self.fields, self.marks, self.binding, commit)
            try:
                composed = past.composed()
                value = past.converted(composed)
            except InvalidInput:
                continue
            if shown is UNSET:
                shown, self.shown = value, composed
            if not any(other.seen.covers(commit.stamp) for other in commits.values()):
                candidates.append(Candidate(value, commit.stamp, name_of(commit.stamp), commit.by))
        if shown is UNSET:
            raise error
        told = str(error.__cause__ or error)
        self.conflicts = [Conflict((), UNSET, tuple(candidates), str(self.binding.rule.strategy), "invariant", told)]
        return shown


def _valid_part(state: State, rule: Rule) -> Any:
    """As much of a counter, or of a set, as the field takes: the oldest changes first."""
    if isinstance(state, PNCounter):
        nodes: list[str] = []
        shown: Any = state.value([])
        for node, _ in sorted(state.tallies.items(), key=lambda item: item[1].stamp):
            total = state.value([*nodes, node])
            if not validate(total, rule.declared):
                nodes.append(node)
                shown = total
        return shown
    assert isinstance(state, ORSet)
    kept: set[Any] = set()
    for element, _ in sorted(state.elements.values(), key=lambda item: min(item[1])):
        if not validate(kept | {element}, rule.declared):
            kept.add(element)
    return kept
