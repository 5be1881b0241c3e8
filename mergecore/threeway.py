"""The walk, and ``merge()``.

At each node a side that did not change yields; else the parts of the node's strategy are asked in order; a structural part
opens the node, and the walk goes on below; what nobody decides stays an open conflict where it stands, and one of the candidates
is shown. There are no result trees and no holes: resolving is the same merge again, with the answers consulted first.
Imports everything above it: ``clock``, ``errors``, ``paths``, ``policy``, ``records``, ``sequence``, ``strategies``, ``values``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, TypeAlias, TypeVar, overload

import msgspec

from .clock import Timestamp, to_timestamp
from .errors import AnswerError, InvalidInput, MergeConflict, MergeError, StrategyError
from .paths import Path, format_path, parse_path
from .policy import Policies, Rule, fixed_tuple, member_for, rule_for
from .records import build, convert, fields_of, is_record, validate
from .sequence import edits, merge_order, supersequence
from .strategies import Candidate, Conflict, Context, Part, Pass, Strategy, merge_sets
from .values import UNSET, UnsetType, as_map, canonical, check_depth, equal, identity, larger, same

__all__ = ["Merged", "Moment", "Verdict", "merge"]

T = TypeVar("T")

Moment: TypeAlias = datetime | int | float | Timestamp
Moments: TypeAlias = Moment | Mapping[str | Path, Moment] | None
"""One time for a side, or a time for each of its paths."""


class Verdict(msgspec.Struct, frozen=True):
    """How one field that was not simply one-sided came to its value."""

    path: Path
    decided_by: str
    """The part that decided; ``equal`` where both sides say the same, ``answer`` where a person did, ``open`` where nobody has."""
    base: Any
    value: Any
    """What the record shows."""
    lost: tuple[Candidate, ...]
    """What is not in the value, nor kept as a candidate."""
    reason: str
    """What the parts said that passed before."""


class _Sides(msgspec.Struct, frozen=True):
    """What a merge was asked, so that it can be asked again."""

    base: Any
    ours: Any
    theirs: Any
    rule: Rule
    names: tuple[str, str]
    at: tuple[_Times, _Times]


class Merged(Generic[T]):
    """The outcome of a merge. ``value`` may share unchanged parts with the inputs: do not change those before ``resolve``."""

    __slots__ = ("_answers", "_asked", "conflicts", "value")

    value: T
    """The record, showing one candidate for each open conflict. ``UNSET`` where the record is deleted."""
    conflicts: tuple[Conflict, ...]
    """The open questions, in the order of the record; ``()`` where there are none."""

    def __init__(self, value: T, conflicts: tuple[Conflict, ...], asked: _Sides, answers: Mapping[Path, Any]) -> None:
        self.value, self.conflicts, self._asked, self._answers = value, conflicts, asked, answers

    def __repr__(self) -> str:
        return f"Merged(value={self.value!r}, conflicts={self.conflicts!r})"

    def unwrap(self) -> T:
        """The value. Raises ``MergeConflict``, which lists every open question, if there are any."""
        if self.conflicts:
            raise MergeConflict(self.conflicts)
        return self.value

    def resolve(self, answers: Mapping[str | Path, Any]) -> Merged[T]:
        """The same merge with answers: ``{path: a value, a Candidate, or UNSET to delete}``.

        A path answers everything at or below it; what is left unanswered stays open. Raises ``AnswerError`` for a path where
        nothing is open, for a candidate of another conflict, and for a value that the field's type does not take.
        """
        found = dict(self._answers)
        for text, answer in answers.items():
            path = _path(text, AnswerError)
            open_here = [c for c in self.conflicts if c.path[: len(path)] == path]
            if not open_here:
                listed = ", ".join(format_path(c.path) or "the record (())" for c in self.conflicts) or "nothing"
                raise AnswerError(f"no question is open there; open: {listed}", path)
            if isinstance(answer, Candidate):
                if not any(c.path == path and answer in c.candidates for c in open_here):
                    raise AnswerError(
                        "this candidate belongs to another conflict; give its value, or one of this conflict's", path
                    )
                answer = answer.value
            found[path] = answer
        return _merge(self._asked, found)

    def patch(self, side: str) -> dict[str, Any] | UnsetType:
        """What to write on one side, by column: the fields whose merged value is not spelled as that side has it.

        A field to delete is ``UNSET``; the answer is ``UNSET`` itself where the whole record is to be deleted. Raises
        ``InvalidInput`` for a name that is no side, and where the record is not made of fields.
        """
        names = self._asked.names
        if side not in names:
            raise InvalidInput(f"there is no side {side!r}: the sides are {names[0]!r} and {names[1]!r}")
        held = (self._asked.ours, self._asked.theirs)[names.index(side)]
        if self.value is UNSET:
            return {} if held is UNSET else UNSET
        new, old = as_map(self.value), {} if held is UNSET else as_map(held)
        if new is None or old is None:
            raise InvalidInput("patch() is for records, made of fields; here, take .value")
        changed = {key: value for key, value in new.items() if key not in old or not same(value, old[key])}
        return changed | {key: UNSET for key in old if key not in new}

    def explain(self) -> tuple[Verdict, ...]:
        """How each field that was not simply one-sided was decided, and what lost: the same merge again, with a record kept."""
        verdicts: list[Verdict] = []
        _merge(self._asked, self._answers, verdicts)
        return tuple(verdicts)


@overload
def merge(
    base: object, ours: object, theirs: object, model: type[T], policy: Policies | None = None,
    names: tuple[str, str] = ("ours", "theirs"), at: tuple[Moments, Moments] | Mapping[str | Path, tuple[Moment, Moment]] | None = None,
) -> Merged[T]: ...  # fmt: skip
@overload
def merge(
    base: T | UnsetType, ours: T | UnsetType, theirs: T | UnsetType, model: str | None = None, policy: Policies | None = None,
    names: tuple[str, str] = ("ours", "theirs"), at: tuple[Moments, Moments] | Mapping[str | Path, tuple[Moment, Moment]] | None = None,
) -> Merged[T]: ...  # fmt: skip
def merge(
    base: Any,
    ours: Any,
    theirs: Any,
    model: Any = None,
    policy: Policies | None = None,
    names: tuple[str, str] = ("ours", "theirs"),
    at: tuple[Moments, Moments] | Mapping[str | Path, tuple[Moment, Moment]] | None = None,
) -> Merged[Any]:
    """Merges two versions of a record that started from the same one.

    ``base`` is what both started from, the true common ancestor (``UNSET`` where there is none); ``ours`` and ``theirs`` are what the
    two sides have now (``UNSET``: deleted). Structs, dataclasses, dictionaries, lists, any JSON-like value; with ``model=`` all
    three are converted to it first (rows and ORM objects too). ``model`` may be the name of a table of plain records.

    ``policy`` says which strategy decides which field; a mapping of model names serves layers that know tables by name.
    ``names`` of the sides appear in conflicts and are what ``prefer`` goes by. ``at`` gives a time per side, or a mapping of
    paths to times per side: aware ``datetime``, epoch milliseconds or ``Timestamp``. Without times, what ``lww`` would have decided stays
    open, and one side, chosen for the whole merge, is shown.

    Neither raises on conflicts nor changes its inputs. Raises ``InvalidInput``, ``TooDeep``, ``PolicyError`` and ``StrategyError``. Linear
    in the size of the values for each level of nesting; lists cost what ``sequence.match`` says.
    """
    names = _names(names)
    sides = [base, ours, theirs]
    for what, value in zip(("base", *names), sides):
        check_depth(value, what)
    if model is not None and not isinstance(model, str):
        sides = [convert(value, model, what) for what, value in zip(("base", *names), sides)]
    present = [value for value in sides if value is not UNSET]
    if not present:
        raise InvalidInput("all three sides are UNSET: there is nothing to merge")
    kinds = {type(value).__name__: type(value) for value in present if as_map(value) is not None}
    if len(kinds) > 1 and model is None:
        raise InvalidInput(f"the sides are of different kinds, {' and '.join(sorted(kinds))}: say which with model=")
    kind: Any = Any if model is None else model
    if not isinstance(kind, str) and is_record(cls := type(next((v for v in sides[1:] if v is not UNSET), sides[0]))):
        kind = member_for(kind, cls)
    base, ours, theirs = sides
    return _merge(_Sides(base, ours, theirs, rule_for(kind, policy), names, _times(at, names)), {})


def _merge(asked: _Sides, answers: Mapping[Path, Any], verdicts: list[Verdict] | None = None) -> Merged[Any]:
    walk = Walk(asked, answers, verdicts)
    value = walk.node(asked.rule, (), asked.base, asked.ours, asked.theirs)
    return Merged(value, tuple(walk.conflicts), asked, answers)


class Walk:
    """One merge on its way through the record. Its methods are the rules of the design."""

    def __init__(self, asked: _Sides, answers: Mapping[Path, Any], verdicts: list[Verdict] | None) -> None:
        self.asked = asked
        self.answers = answers
        self.verdicts = verdicts
        self.conflicts: list[Conflict] = []

    def node(self, rule: Rule, path: Path, base: Any, ours: Any, theirs: Any, unit: bool = False) -> Any:
        """The value of one place. ``unit``: structural parts leave it whole."""
        if path in self.answers:
            return self.answer(rule, path, base)
        ours_kept, theirs_kept = equal(base, ours), equal(base, theirs)
        if ours_kept and same(base, ours):
            return theirs
        if theirs_kept and same(base, theirs):
            return ours
        one_sided = ours_kept or theirs_kept
        if one_sided and (as_map(ours) is None or type(ours) is not type(theirs)):
            return self.respelled(ours, theirs, ours_kept, theirs_kept)
        if ours is UNSET or theirs is UNSET:
            return self.deletion(rule, path, base, ours, theirs) if ours is not theirs else UNSET
        here = rule.at(ours)
        unit = unit or here.whole
        if here.by_field and not unit and self.alike(ours, theirs):
            return self.open_map(here, path, base, ours, theirs)
        context = self.context(here, path, base, ours, theirs)
        reasons: list[str] = []
        for part in here.strategy.parts:
            if part.decide is None:
                if not unit and (opening := self.opening(part, here, ours, theirs)):
                    return opening(here, path, base, ours, theirs)
            elif not one_sided:
                value = self.decide(part, context, base, ours, theirs)
                if not isinstance(value, Pass):
                    return self.settled(here, part, context, base, ours, theirs, value, reasons)
                reasons.append(value.reason)
        if one_sided:
            return self.respelled(ours, theirs, ours_kept, theirs_kept)
        if equal(ours, theirs):
            value = larger(ours, theirs)
            self.note(path, "equal", base, value, (), reasons)
            return value
        reason = "; ".join(filter(None, reasons)) or "both changed"
        return self.conflict(context, base, ours, theirs, here.strategy, reason, self.shown(context, ours, theirs))

    def respelled(self, ours: Any, theirs: Any, ours_kept: bool, theirs_kept: bool) -> Any:
        """An unchanged side yields, though it says in other letters what the base says."""
        if ours_kept and theirs_kept:
            return larger(ours, theirs)
        return theirs if ours_kept else ours

    def answer(self, rule: Rule, path: Path, base: Any) -> Any:
        """A person's answer, as a value of the field's type."""
        value = self.answers[path]
        if value is not UNSET and rule.declared is not Any:
            value = convert(value, rule.declared, "the answer", AnswerError, path)
        self.note(path, "answer", base, value, (), ())
        return value

    # ---- parts

    def decide(self, part: Part, context: Context, base: Any, ours: Any, theirs: Any) -> Any:
        """What a part says; what a user's function raises becomes a ``StrategyError`` with the path."""
        assert part.decide is not None
        try:
            return part.decide(base, ours, theirs, context)
        except Exception as error:
            if part.user is None:
                raise
            raise StrategyError(
                f"strategy {part.name!r} raised {type(error).__name__}: {error}", context.path
            ) from error

    def settled(
        self,
        rule: Rule,
        part: Part,
        context: Context,
        base: Any,
        ours: Any,
        theirs: Any,
        value: Any,
        reasons: Sequence[str],
    ) -> Any:
        """A part has decided. What it made itself must be a value that the field takes."""
        if value is not ours and value is not theirs and value is not UNSET and (wrong := self.invalid(rule, value)):
            return self.invariant(rule, context, base, ours, theirs, wrong)
        if self.verdicts is not None:
            chosen = not part.combines and (equal(value, ours) or equal(value, theirs))
            lost = self.candidates(context, ours, theirs) if chosen else ()
            self.note(context.path, part.name, base, value, lost, reasons)
        return value

    def deletion(self, rule: Rule, path: Path, base: Any, ours: Any, theirs: Any) -> Any:
        """An edit against a deletion: asked of the policy's ``deletes``, not of the field's strategy."""
        return self.against(rule, self.context(rule, path, base, ours, theirs), base, ours, theirs, ours is UNSET)

    def against(self, rule: Rule, context: Context, base: Any, ours: Any, theirs: Any, ours_gone: bool) -> Any:
        """Asks ``deletes`` whether the deletion stands (the value of the side that is gone) or the edit."""
        gone, edited = (ours, theirs) if ours_gone else (theirs, ours)
        for part in rule.deletes.parts:
            decided = self.decide(part, context, True, UNSET if ours_gone else True, True if ours_gone else UNSET)
            if not isinstance(decided, Pass):
                value = gone if decided is UNSET else edited
                self.note(
                    context.path,
                    part.name,
                    base,
                    value,
                    self.candidates(context, ours, theirs),
                    ["edit against deletion"],
                )
                return value
        shown = self.shown(context, ours, theirs) if rule.deletes.parts else edited
        return self.conflict(context, base, ours, theirs, rule.deletes, "edit against deletion", shown)

    # ---- containers

    def alike(self, ours: Any, theirs: Any) -> bool:
        """Two maps, or two records of one class."""
        return type(ours) is type(theirs) and as_map(ours) is not None

    def opening(self, part: Part, rule: Rule, ours: Any, theirs: Any) -> _Opening | None:
        """How a structural part opens what stands here, if it does."""
        if type(ours) is not type(theirs):
            return None
        if as_map(ours) is not None:
            return self.open_map if "map" in part.opens else None
        if isinstance(ours, tuple) and (places := fixed_tuple(rule.type)):
            return self.open_tuple if "map" in part.opens and len(ours) == len(theirs) == len(places) else None
        if isinstance(ours, (list, tuple)):
            return self.open_list if "list" in part.opens else None
        return self.open_set if isinstance(ours, (set, frozenset)) and "set" in part.opens else None

    def open_map(self, rule: Rule, path: Path, base: Any, ours: Any, theirs: Any) -> Any:
        """A map by key, a record by field; a group is one field."""
        mark = self.mark()
        cls = type(ours)
        was, mine, other = sides = tuple(
            as_map(side) or {} if type(side) is cls else {} for side in (base, ours, theirs)
        )
        grouped = {member: name for name, group in rule.groups.items() for member in group.members}
        values: dict[Any, Any] = {}
        if (column := rule.deleted) is not None:
            self.soft_deletion(rule, path, base, ours, theirs, sides, values)
        keys = self.keys(was, mine, other)
        for key in keys:
            if key in grouped:
                name = grouped[key]
                if name not in values:
                    members, inside = rule.groups[name]
                    b, o, t = ({m: side[m] for m in members if m in side} or UNSET for side in (was, mine, other))
                    values[name] = self.members(members, (*path, name), self.node(inside, (*path, name), b, o, t))
            elif key != column or key not in values:
                b, o, t = was.get(key, UNSET), mine.get(key, UNSET), other.get(key, UNSET)
                values[key] = self.node(rule.child(key), (*path, key), b, o, t)
        for name in rule.groups:
            values |= values.pop(name, {})
        if not issubclass(cls, dict):
            return self.built(rule, path, base, ours, theirs, values, mark)
        kept = {key: values[key] for key in keys if values.get(key, UNSET) is not UNSET}
        kept |= {key: value for key, value in values.items() if key not in kept and value is not UNSET}
        return self.combined(rule, path, base, ours, theirs, kept, mark)

    def keys(self, was: dict[Any, Any], mine: dict[Any, Any], other: dict[Any, Any]) -> list[Any]:
        """All keys, in one order: an addition follows the key that it followed on its side; ties are canonical."""
        sides = list(was), list(mine), list(other)
        if sides[0] == sides[1] == sides[2]:
            return sides[1]
        first, second = sorted(sides[1:], key=canonical)
        return merge_order(sides[0], first, second)

    def members(self, members: tuple[str, ...], path: Path, value: Any) -> dict[str, Any]:
        """A group's value as values of its members; one that is absent is ``UNSET``."""
        if value is UNSET:
            return dict.fromkeys(members, UNSET)
        if not isinstance(value, dict) or not value.keys() <= set(members):
            error = AnswerError if path in self.answers else StrategyError
            raise error(f"{value!r} is no value of this group: give a mapping of {', '.join(members)}", path)
        return {member: value.get(member, UNSET) for member in members}

    def soft_deletion(
        self, rule: Rule, path: Path, base: Any, ours: Any, theirs: Any, sides: _Maps, values: dict[Any, Any]
    ) -> None:
        """Puts the value of a soft-delete column where one side deleted the record by it and the other edited the record."""
        column = rule.deleted
        b, o, t = (side.get(column, UNSET) for side in sides)
        was_gone, ours_gone, theirs_gone = (bool(flag) and flag is not UNSET for flag in (b, o, t))
        here = (*path, column)
        if was_gone or ours_gone == theirs_gone or here in self.answers:
            return
        was, live = sides[0], sides[2 if ours_gone else 1]
        if was and all(equal(was.get(k, UNSET), live.get(k, UNSET)) for k in was.keys() | live.keys() if k != column):
            return
        dead, edit = self.context(rule, here, b, o, t).times, self.context(rule, path, base, ours, theirs).times
        times = (dead[0], edit[1]) if ours_gone else (edit[0], dead[1])
        context = Context(here, times, self.asked.names, self.asked.base is not UNSET)
        values[column] = self.against(rule, context, b, o, t, ours_gone)

    def open_tuple(self, rule: Rule, path: Path, base: Any, ours: Any, theirs: Any) -> Any:
        """A fixed tuple by position."""
        mark = self.mark()
        was = base if type(base) is type(ours) and len(base) == len(ours) else (UNSET,) * len(ours)
        merged = []
        for i, sides in enumerate(zip(was, ours, theirs)):
            merged.append(self.node(rule.child(i), (*path, i), *sides))
        return self.combined(rule, path, base, ours, theirs, tuple(merged), mark)

    def open_list(self, rule: Rule, path: Path, base: Any, ours: Any, theirs: Any) -> Any:
        """A list by element: changes overlap only where they touch the same element of the base."""
        mark = self.mark()
        was = base if type(base) is type(ours) else ()
        known, mine, other = ([identity(x) for x in side] for side in (was, ours, theirs))
        ours_did, theirs_did = edits(known, mine), edits(known, other)
        merged: list[Any] = []
        for i in range(len(was) + 1):
            merged += self.inserted([ours[j] for j in ours_did.gaps[i]], [theirs[j] for j in theirs_did.gaps[i]])
            if i < len(was):
                a, b = ours_did.fate[i], theirs_did.fate[i]
                sides = was[i], UNSET if a is None else ours[a], UNSET if b is None else theirs[b]
                maps = as_map(sides[0]) is not None and as_map(sides[1]) is not None and as_map(sides[2]) is not None
                value = self.node(rule.child(i), (*path, i), *sides, unit=not maps)
                if value is not UNSET:
                    merged.append(value)
        return self.combined(rule, path, base, ours, theirs, type(ours)(merged), mark)

    def inserted(self, ours: list[Any], theirs: list[Any]) -> list[Any]:
        """What both sides inserted in one gap: all of it, what both inserted once; where the order is open, the canonical one."""
        if not ours or not theirs:
            return ours or theirs
        a, b = sorted((ours, theirs), key=canonical)
        pairs = supersequence([identity(x) for x in a], [identity(x) for x in b])
        return [b[j or 0] if i is None else a[i] if j is None else larger(a[i], b[j]) for i, j in pairs]

    def open_set(self, rule: Rule, path: Path, base: Any, ours: Any, theirs: Any) -> Any:
        """A set by element: no two changes of it can conflict."""
        was = base if isinstance(base, (set, frozenset)) else ()
        return self.combined(rule, path, base, ours, theirs, merge_sets(was, ours, theirs), self.mark())

    # ---- what was put together must be something that the model takes

    def combined(self, rule: Rule, path: Path, base: Any, ours: Any, theirs: Any, value: Any, mark: _Mark) -> Any:
        """A container made of merged parts, else an open conflict of whole sides. A side itself, where it is spelled like one."""
        for side in (ours, theirs):
            if same(value, side):
                return side
        wrong = self.invalid(rule, value)
        return self.refused(rule, path, base, ours, theirs, wrong, mark) if wrong else value

    def built(
        self, rule: Rule, path: Path, base: Any, ours: Any, theirs: Any, values: dict[Any, Any], mark: _Mark
    ) -> Any:
        """A record made of merged fields, else (its own ``__post_init__`` refuses it) an open conflict of whole sides."""
        named = {f.name: values.get(f.key, UNSET) for f in fields_of(rule.type) or ()}
        for side in (ours, theirs):
            if all(getattr(side, name, UNSET) is value for name, value in named.items()):
                return side
        try:
            return build(type(ours), {name: value for name, value in named.items() if value is not UNSET})
        except Exception as error:
            return self.refused(rule, path, base, ours, theirs, str(error) or type(error).__name__, mark)

    def refused(self, rule: Rule, path: Path, base: Any, ours: Any, theirs: Any, wrong: str, mark: _Mark) -> Any:
        """Takes back what was said of the parts: the question is about the whole."""
        answered = [p for p in self.answers if p[: len(path)] == path]
        if answered:
            raise AnswerError(f"the record does not take this answer: {wrong}", answered[0])
        del self.conflicts[mark[0] :]
        if self.verdicts is not None:
            del self.verdicts[mark[1] :]
        return self.invariant(rule, self.context(rule, path, base, ours, theirs), base, ours, theirs, wrong)

    def mark(self) -> _Mark:
        return len(self.conflicts), len(self.verdicts or ())

    def invalid(self, rule: Rule, value: Any) -> str:
        """What is wrong with a value for its field; empty if nothing is."""
        if is_record(type(value)):
            try:
                build(
                    type(value),
                    {f.name: getattr(value, f.name) for f in fields_of(type(value)) or () if hasattr(value, f.name)},
                )
            except Exception as error:
                return str(error) or type(error).__name__
        return "" if rule.declared is Any else validate(value, rule.declared)

    def invariant(self, rule: Rule, context: Context, base: Any, ours: Any, theirs: Any, wrong: str) -> Any:
        """An open conflict of whole sides, never settled otherwise; a side that is valid by itself is shown."""
        invalid = [bool(self.invalid(rule, side)) for side in (ours, theirs)]
        already = " and ".join(name for name, bad in zip(self.asked.names, invalid) if bad)
        shown = self.shown(context, ours, theirs) if invalid[0] == invalid[1] else theirs if invalid[0] else ours
        detail = f"{wrong} (already so in {already})" if already else wrong
        return self.conflict(context, base, ours, theirs, rule.strategy, "invariant", shown, detail)

    # ---- what is left open, and what is said about it

    def conflict(
        self,
        context: Context,
        base: Any,
        ours: Any,
        theirs: Any,
        strategy: Strategy,
        reason: str,
        shown: Any,
        detail: str = "",
    ) -> Any:
        """Records an open conflict, and returns the candidate that is shown."""
        candidates = self.candidates(context, ours, theirs)
        self.conflicts.append(Conflict(context.path, base, candidates, str(strategy), reason, detail))
        self.note(context.path, "open", base, shown, (), [reason])
        return shown

    def candidates(self, context: Context, ours: Any, theirs: Any) -> tuple[Candidate, Candidate]:
        """Both sides in canonical order, the larger first."""
        both = [Candidate(value, time, name) for value, time, name in zip((ours, theirs), context.times, context.names)]
        first, second = sorted(both, key=lambda c: (canonical(c.value), c.name), reverse=True)
        return first, second

    def shown(self, context: Context, ours: Any, theirs: Any) -> Any:
        """The later side; without times, one side for the whole merge, so that no mixture is shown that nobody wrote."""
        mine, other = context.times
        if mine is None or other is None:
            return ours if canonical(self.asked.ours) >= canonical(self.asked.theirs) else theirs
        return larger(ours, theirs) if mine == other else ours if mine > other else theirs

    def context(self, rule: Rule, path: Path, base: Any, ours: Any, theirs: Any) -> Context:
        """What a part may know; a side's time is the latest of what it changed at or below the path."""
        times = [side.latest(path, rule.is_group, base, value) for side, value in zip(self.asked.at, (ours, theirs))]
        return Context(path, (times[0], times[1]), self.asked.names, self.asked.base is not UNSET)

    def note(
        self,
        path: Path,
        decided_by: str,
        base: Any,
        value: Any,
        candidates: Sequence[Candidate],
        reasons: Sequence[str],
    ) -> None:
        """Keeps a verdict, where somebody asked for them; of the candidates, those that the value is not are lost."""
        if self.verdicts is not None:
            lost = tuple(c for c in candidates if not equal(c.value, value))
            self.verdicts.append(Verdict(path, decided_by, base, value, lost, "; ".join(filter(None, reasons))))


_Mark: TypeAlias = tuple[int, int]
_Maps: TypeAlias = tuple[dict[Any, Any], ...]
_Opening: TypeAlias = Callable[[Rule, Path, Any, Any, Any], Any]


class _Times:
    """When a side changed what: one time, or a time for each path, or neither."""

    def __init__(self, given: Moments, what: str) -> None:
        self.one: Timestamp | None = None
        self.by_path: dict[Path, Timestamp] = {}
        if isinstance(given, Mapping):
            for text, moment in given.items():
                path = _path(text, InvalidInput)
                self.by_path[path] = to_timestamp(moment, f"{what} at {format_path(path) or '()'}")
        elif given is not None:
            self.one = to_timestamp(given, what)

    def latest(self, path: Path, is_group: bool, base: Any, side: Any) -> Timestamp | None:
        """The latest time of what the side changed at or below the path, each by its longest matching prefix."""
        if not self.by_path:
            return self.one
        times = [self.by_path[path]] if is_group and path in self.by_path else []
        for changed in _changed(path[:-1] if is_group else path, base, side):
            prefix = next((changed[:n] for n in range(len(changed), -1, -1) if changed[:n] in self.by_path), None)
            times += [
                time
                for at, time in self.by_path.items()
                if at == prefix or (at[: len(changed)] == changed and at != changed)
            ]
        return max(times, default=None)


def _changed(path: Path, base: Any, side: Any) -> Iterator[Path]:
    """Paths of the smallest things that differ; of something that came or went, its own path too."""
    was, now = as_map(base), as_map(side)
    if equal(base, side):
        return
    if (was is None and base is not UNSET) or (now is None and side is not UNSET) or (was is None and now is None):
        yield path
        return
    if base is UNSET or side is UNSET:
        yield path
    was, now = was or {}, now or {}
    for key in {**was, **now}:
        yield from _changed((*path, key), was.get(key, UNSET), now.get(key, UNSET))


def _times(at: Any, names: tuple[str, str]) -> tuple[_Times, _Times]:
    if isinstance(at, Mapping):
        try:
            at = tuple({path: pair[i] for path, pair in at.items()} for i in (0, 1))
        except (TypeError, IndexError):
            raise InvalidInput("at= as a mapping gives each path its two times: {path: (ours, theirs)}") from None
    at = (None, None) if at is None else at
    if not isinstance(at, (tuple, list)) or len(at) != 2:
        raise InvalidInput(f"at={at!r}: give a time for each of the two sides, (ours, theirs)")
    return _Times(at[0], f"the time of {names[0]}"), _Times(at[1], f"the time of {names[1]}")


def _names(names: Any) -> tuple[str, str]:
    named = tuple(names) if not isinstance(names, str) else ()
    if len(named) != 2 or named[0] == named[1] or not all(isinstance(name, str) and name for name in named):
        raise InvalidInput(f"names={names!r}: give the two sides two different names")
    return named


def _path(text: str | Path, error: type[MergeError]) -> Path:
    try:
        return parse_path(text)
    except ValueError as wrong:
        raise error(str(wrong)) from None
