"""The walk: down the three sides at once, by the policy.

At each node a side that did not change yields; else the parts of the node's strategy are asked in order; a structural part
opens the node, and the walk goes on below; what nobody decides stays an open conflict where it stands, and one of the
candidates is shown. There are no result trees and no holes: resolving is the same walk again, with the answers consulted
first. Imports ``errors``, ``paths``, ``policy``, ``records``, ``sequence``, ``strategies``, ``times`` and ``values``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from .errors import AnswerError, StrategyError
from .paths import Path
from .policy import Rule, fixed_tuple
from .records import build, convert, fields_of, is_record, validate
from .sequence import edits, merge_order, supersequence
from .strategies import Candidate, Conflict, Context, Part, Pass, Strategy, merge_sets
from .times import Times
from .values import UNSET, as_map, canonical, equal, identity, larger, same

__all__ = ["Question", "Verdict", "Walk"]


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


class Question(msgspec.Struct, frozen=True):
    """What a merge was asked, so that it can be asked again."""

    base: Any
    ours: Any
    theirs: Any
    rule: Rule
    names: tuple[str, str]
    at: tuple[Times, Times]


class Walk:
    """One merge on its way through the record. Its methods are the rules of the design."""

    def __init__(self, asked: Question, answers: Mapping[Path, Any], verdicts: list[Verdict] | None) -> None:
        self.asked = asked
        self.answers = answers
        self.verdicts = verdicts
        self.conflicts: list[Conflict] = []
        self.first: bool | None = None

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
        if equal(ours, theirs) and (ours is UNSET or self.asked.base is UNSET):
            return self.agreed(path, base, ours, theirs, ())
        if ours is UNSET or theirs is UNSET:
            return self.deletion(rule, path, base, ours, theirs)
        here = rule.at(ours) if type(ours) is type(theirs) else rule
        unit = unit or here.whole
        if here.by_field and not unit and self.alike(ours, theirs):
            return self.open_map(here, path, base, ours, theirs)
        context = self.context(here, path, base, ours, theirs)
        if unit and here.deleted and (gone := self.soft_deleted(here.deleted, base, ours, theirs)) is not None:
            return self.against(here, context, base, ours, theirs, ours_gone=gone)
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
            return self.agreed(path, base, ours, theirs, reasons)
        reason = "; ".join(filter(None, reasons)) or "both changed"
        return self.conflict(context, base, ours, theirs, here.strategy, reason, self.shown(context, ours, theirs))

    def respelled(self, ours: Any, theirs: Any, ours_kept: bool, theirs_kept: bool) -> Any:
        """An unchanged side yields, though it says in other letters what the base says."""
        if ours_kept and theirs_kept:
            return larger(ours, theirs)
        return theirs if ours_kept else ours

    def agreed(self, path: Path, base: Any, ours: Any, theirs: Any, reasons: Sequence[str]) -> Any:
        """What nobody decides and both say equally is no conflict."""
        value = larger(ours, theirs)
        self.note(path, "equal", base, value, (), reasons)
        return value

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
        here = rule.at(theirs if ours is UNSET else ours)
        return self.against(here, self.context(here, path, base, ours, theirs), base, ours, theirs, ours is UNSET)

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
        was, mine, other = (as_map(side) or {} if type(side) is cls else {} for side in (base, ours, theirs))
        grouped = {member: name for name, group in rule.groups.items() for member in group.members}
        groups: dict[str, dict[str, Any]] = {}
        values: dict[Any, Any] = {}
        if rule.deleted and (*path, rule.deleted) not in self.answers:
            if (gone := self.soft_deleted(rule.deleted, base, ours, theirs)) is not None:
                values[rule.deleted] = self.soft_deletion(rule, path, base, ours, theirs, gone)
        keys = self.keys(was, mine, other)
        for key in keys:
            if key in grouped:
                name = grouped[key]
                if name not in groups:
                    members, inside = rule.groups[name]
                    b, o, t = ({m: side[m] for m in members if m in side} or UNSET for side in (was, mine, other))
                    groups[name] = self.members(members, (*path, name), self.node(inside, (*path, name), b, o, t))
            elif key not in values:
                b, o, t = was.get(key, UNSET), mine.get(key, UNSET), other.get(key, UNSET)
                values[key] = self.node(rule.child(key), (*path, key), b, o, t)
        for parts in groups.values():
            values |= parts
        if not issubclass(cls, dict):
            return self.built(rule, path, base, ours, theirs, values, mark)
        kept = {key: values[key] for key in [*keys, *values] if values[key] is not UNSET}
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

    def soft_deleted(self, column: str, base: Any, ours: Any, theirs: Any) -> bool | None:
        """Whether ours (else theirs) deleted the record by a column, while the other side edited it; ``None`` if neither."""
        was, mine, other = (as_map(side) or {} for side in (base, ours, theirs))
        was_gone, ours_gone, theirs_gone = (bool(side.get(column)) for side in (was, mine, other))
        if was_gone or ours_gone == theirs_gone:
            return None
        live = other if ours_gone else mine
        keys = (was.keys() | live.keys()) - {column}
        edited = not was or any(not equal(was.get(key, UNSET), live.get(key, UNSET)) for key in keys)
        return ours_gone if edited else None

    def soft_deletion(self, rule: Rule, path: Path, base: Any, ours: Any, theirs: Any, ours_gone: bool) -> Any:
        """The value of the column: the deletion's time is that of the column, the edit's that of the record."""
        here = (*path, rule.deleted)
        b, o, t = ((as_map(side) or {}).get(rule.deleted, UNSET) for side in (base, ours, theirs))
        gone, edit = self.context(rule, here, b, o, t), self.context(rule, path, base, ours, theirs)
        times = (gone.times[0], edit.times[1]) if ours_gone else (edit.times[0], gone.times[1])
        return self.against(rule, msgspec.structs.replace(gone, times=times), b, o, t, ours_gone)

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
            if self.first is None:
                self.first = canonical(self.asked.ours) >= canonical(self.asked.theirs)
            return ours if self.first else theirs
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
