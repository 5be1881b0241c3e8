"""The walk: down the three sides at once, by the policy.

At each node a side that did not change yields; else the parts of the node's strategy are asked in order; a structural
part opens the node, and the walk goes on below; what nobody decides stays an open conflict where it stands, and one of
the candidates is shown. There are no result trees and no holes: resolving is the same walk again, with the answers
consulted first. Imports ``annotations``, ``errors``, ``lists``, ``orders``, ``paths``, ``policy``, ``records``,
``sequence``, ``strategies``, ``times`` and ``values``.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypeAlias

import msgspec

from .annotations import fixed_tuple
from .errors import AnswerError, InvalidInput, PolicyError, StrategyError
from .lists import Opening, open_keyed, open_list, opening_of_text
from .orders import merge_order, placed
from .paths import ORDER, Path
from .policy import Rule
from .records import build, convert, is_record, text_of, validate, values_of
from .sequence import supersequence
from .strategies import Candidate, Conflict, Context, Part, Pass, Strategy, merge_sets
from .times import Times
from .values import UNSET, Kinds, Sides, as_map, canonical, check_value, equal, identity, larger, same, shape

__all__ = ["Question", "Verdict", "Walk"]


class Verdict(msgspec.Struct, frozen=True):
    """How one field that was not simply one-sided came to its value."""

    path: Path
    decided_by: str
    """The part that decided; ``equal`` where none did and both sides say the same, ``answer`` where a person did,
    ``open`` where nobody has."""
    base: Any
    value: Any
    """What the record shows."""
    lost: tuple[Candidate, ...]
    """What is not in the value, nor kept as a candidate."""
    reason: str
    """What the parts said that passed before."""


class Question(msgspec.Struct, frozen=True):
    """What a merge was asked, so that it can be asked again."""

    sides: Sides
    rule: Rule
    names: tuple[str, str]
    at: tuple[Times, Times]
    kinds: Kinds
    base_is: Literal["ancestor", "contested", "old"] = "ancestor"
    """``contested``: in conflict itself; ``old``: not all that the sides have in common. No side yields to those for
    looking unchanged."""
    was_absent: bool = False
    """Whether a base that is ``UNSET`` says that nothing was there; else it says nothing."""

    @property
    def based(self) -> bool:
        """Whether the merge as a whole has a base."""
        return self.was_absent or self.sides.base is not UNSET


class Walk:
    """One merge on its way through the record. Its methods are the rules of the design."""

    def __init__(self, asked: Question, answers: Mapping[Path, Any], verdicts: list[Verdict] | None) -> None:
        self.asked = asked
        self.answers = answers
        self.verdicts = verdicts
        self.conflicts: list[Conflict] = []
        self.yields = asked.base_is == "ancestor"
        self.ours_first: bool | None = None
        self.settled_paths: set[Path] = set()  # of fields that are not asked about: the keys of keyed members
        self.said: dict[Path, Any] = {}  # what a user's function has said already, of a place that was asked for alone
        self.spelled: dict[int, str] = {}  # strategies, which the rules keep alive

    def node(self, rule: Rule, path: Path, sides: Sides, unit: bool = False) -> Any:
        """The value of one place. ``unit``: structural parts leave it whole."""
        if path in self.answers:
            return self.answer(rule, path, sides)
        base, ours, theirs = sides
        ours_kept, theirs_kept = self.yields and equal(base, ours), self.yields and equal(base, theirs)
        if ours_kept and same(base, ours):
            return theirs
        if theirs_kept and same(base, theirs):
            return ours
        if (ours_kept or theirs_kept) and not self.alike(sides):
            return self.respelled(sides, ours_kept, theirs_kept)
        if path in self.settled_paths:
            return larger(ours, theirs)
        if equal(ours, theirs) and (ours is UNSET or not self.asked.based):
            return self.agreed(path, sides)
        if ours is UNSET or theirs is UNSET:
            return self.deletion(rule, path, sides)
        here = rule.at(ours) if shape(ours) is shape(theirs) else rule
        unit = unit or here.whole
        if here.by_field and not unit and self.alike(sides):
            return self.open_map(here, path, sides)
        context = None
        if unit and here.deleted and not (ours_kept or theirs_kept):
            if (ours_gone := self.soft_deleted(here.deleted, sides)) is not None:
                return self.against(here, self.context(here, path, sides), sides, ours_gone)
        reasons: list[str] = []
        for part in here.strategy.parts:
            if part.decide is None:
                opening = None if unit else self.opening(part, here, sides)
                if isinstance(opening, Pass):
                    reasons.append(opening.reason)
                elif opening is not None:
                    return opening(here, path, sides)
            elif not ours_kept and not theirs_kept:
                context = context or self.context(here, path, sides)
                value = self.decide(part, context, sides)
                if not isinstance(value, Pass):
                    return self.settled(here, part, context, sides, value, reasons)
                reasons.append(str(value.reason or ""))
        if ours_kept or theirs_kept:
            return self.respelled(sides, ours_kept, theirs_kept)
        if equal(ours, theirs):
            return self.agreed(path, sides)
        reason = "; ".join(filter(None, reasons)) or "both changed"
        context = context or self.context(here, path, sides)
        return self.conflict(context, sides, here.strategy, reason, self.shown(context, sides))

    def respelled(self, sides: Sides, ours_kept: bool, theirs_kept: bool) -> Any:
        """An unchanged side yields, though it says in other letters what the base says."""
        if ours_kept and theirs_kept:
            return larger(sides.ours, sides.theirs)
        return sides.theirs if ours_kept else sides.ours

    def agreed(self, path: Path, sides: Sides) -> Any:
        """What nobody decides and both say equally is no conflict."""
        value = larger(sides.ours, sides.theirs)
        self.note(path, "equal", sides.base, value, (), ())
        return value

    def answer(self, rule: Rule, path: Path, sides: Sides) -> Any:
        """A person's answer: what a side has, or a value of the field's type."""
        value = self.answers[path]
        if rule.declared is not Any and not any(value is side for side in (UNSET, *sides)):
            converted = convert(value, rule.declared, "the answer", AnswerError, path)
            value = {**value, **converted} if rule.is_group else converted  # members() tells what no member is
        self.note(path, "answer", sides.base, value, (), ())
        return value

    # ---- parts

    def decide(self, part: Part, context: Context, sides: Sides) -> Any:
        """What a part says; what a user's function raises becomes a ``StrategyError`` with the path."""
        assert part.decide is not None
        try:
            known = part.user is not None and context.path in self.said
            value = self.said.pop(context.path) if known else part.decide(*sides, context)
        except Exception as error:
            if part.user is None:
                raise
            told = f"strategy {part.name!r} raised {type(error).__name__}: {error}"
            raise StrategyError(told, context.path) from error
        if value is Pass:
            raise StrategyError(f"strategy {part.name!r} returned Pass itself: write Pass(reason)", context.path)
        if part.user is not None:
            try:
                check_value(value, f"what strategy {part.name!r} returned")
            except InvalidInput as error:
                raise StrategyError(str(error), context.path) from None
        return value

    def settled(
        self, rule: Rule, part: Part, context: Context, sides: Sides, value: Any, reasons: Sequence[str]
    ) -> Any:
        """A part has decided. What it made itself must be a value that the field takes."""
        made = value is not sides.ours and value is not sides.theirs and value is not UNSET
        if made and (wrong := self.invalid(rule, value)):
            return self.invariant(rule, context, sides, wrong)
        if self.verdicts is not None:
            chosen = equal(value, sides.ours) or equal(value, sides.theirs)
            if chosen and equal(sides.ours, sides.theirs):
                self.note(context.path, "equal", sides.base, value, (), ())
            else:
                lost = self.candidates(context, sides) if chosen and not part.combines else ()
                self.note(context.path, part.name, sides.base, value, lost, reasons)
        return value

    def deletion(self, rule: Rule, path: Path, sides: Sides) -> Any:
        """An edit against a deletion: asked of the policy's ``deletes``, not of the field's strategy."""
        ours_gone = sides.ours is UNSET
        edited = sides.theirs if ours_gone else sides.ours
        here = rule.at(edited)
        if here.deleted and self.only_deleted(here.deleted, sides.base, edited):  # both deleted it, each in its way
            self.note(path, "equal", sides.base, edited, (), ())
            return edited
        return self.against(here, self.context(here, path, sides), sides, ours_gone)

    def against(self, rule: Rule, context: Context, sides: Sides, ours_gone: bool) -> Any:
        """Asks ``deletes`` whether the deletion stands (the value of the side that is gone) or the edit."""
        _, ours, theirs = sides
        gone, edited = (ours, theirs) if ours_gone else (theirs, ours)
        asked = Sides(True, UNSET, True) if ours_gone else Sides(True, True, UNSET)
        reason = "edit against deletion"
        for part in rule.deletes.parts:
            decided = self.decide(part, context, asked)
            if not isinstance(decided, Pass):
                value = gone if decided is UNSET else edited
                self.note(context.path, part.name, sides.base, value, self.candidates(context, sides), [reason])
                return value
        shown = self.shown(context, sides) if rule.deletes.parts else edited
        return self.conflict(context, sides, rule.deletes, reason, shown)

    # ---- containers

    def alike(self, sides: Sides) -> bool:
        """Ours and theirs are two maps, or two records of one class."""
        return shape(sides.ours) is shape(sides.theirs) and as_map(sides.ours) is not None

    def opening(self, part: Part, rule: Rule, sides: Sides) -> Opening | Pass | None:
        """How a structural part opens what stands here, if it does."""
        _, ours, theirs = sides
        if shape(ours) is not shape(theirs):
            return None
        if as_map(ours) is not None:
            return self.open_map if "map" in part.opens else None
        if isinstance(ours, tuple) and (places := fixed_tuple(rule.type)):
            return self.open_tuple if "map" in part.opens and len(ours) == len(theirs) == len(places) else None
        if isinstance(ours, (list, tuple)):
            if "keyed" in part.opens:
                return partial(open_keyed, self, part.params)
            return partial(open_list, self) if "list" in part.opens else None
        if type(ours) is str and "text" in part.opens and ours != theirs:
            return opening_of_text(self, part.params[0], rule, sides)
        return self.open_set if isinstance(ours, (set, frozenset)) and "set" in part.opens else None

    def open_map(self, rule: Rule, path: Path, sides: Sides) -> Any:
        """A map by key, a record by field; a group is one field."""
        mark = self.mark()
        maps = sides.as_maps()
        grouped = {member: name for name, group in rule.groups.items() for member in group.members}
        for name in rule.groups:
            if any(name in side for side in maps):
                raise PolicyError("is the name of a group, and a key of the record: rename the group", (*path, name))
        groups: dict[str, dict[str, Any]] = {}
        values: dict[Any, Any] = {}
        if (column := rule.deleted) and (*path, column) not in self.answers:
            if (ours_gone := self.soft_deleted(column, sides)) is not None:
                values[column] = self.soft_deletion(rule, path, sides, ours_gone)
        keys = self.keys(maps)
        for key in keys:
            if key in grouped:
                name = grouped[key]
                if name not in groups:
                    groups[name] = self.group(rule, path, name, maps)
            elif key not in values:
                values[key] = self.node(rule.child(key), (*path, key), maps.below(key))
        for parts in groups.values():
            values |= parts
        if not isinstance(sides.ours, dict):
            return self.built(rule, path, sides, values, mark)
        kept = {key: values[key] for key in [*keys, *values] if values[key] is not UNSET}
        return self.combined(rule, path, sides, kept, mark)

    def group(self, rule: Rule, path: Path, name: str, maps: Sides) -> dict[str, Any]:
        """The members of one group of a record."""
        members, inside = rule.groups[name]
        facts = Sides(*({m: side[m] for m in members if m in side} or UNSET for side in maps))
        return self.members(members, (*path, name), facts, self.node(inside, (*path, name), facts))

    def keys(self, maps: Sides) -> list[Any]:
        """All keys, in one order: an addition follows the key that it followed on its side; ties are canonical."""
        base, ours, theirs = maps.each(list)
        if base == ours == theirs:
            order = list(ours)
        else:
            first, second = sorted((ours, theirs), key=canonical)
            spine = [key for group in merge_order(base, first, second) for key in group]
            order = placed(spine, base, first, second)
        if all(type(key) is str for key in order):
            return order
        spelled: dict[Any, Any] = {}  # Python takes 1, 1.0 and True for one key
        for key in (*ours, *theirs):
            spelled[key] = larger(spelled.get(key, key), key)
        return [spelled.get(key, key) for key in order]

    def members(self, members: tuple[str, ...], path: Path, facts: Sides, value: Any) -> dict[str, Any]:
        """A group's value as values of its members; one that is absent is ``UNSET``."""
        if value is UNSET:
            return dict.fromkeys(members, UNSET)
        known = [side.keys() for side in (facts.ours, facts.theirs) if side is not UNSET]
        needed = set(members).intersection(*known) if known else set()  # half of it would delete the other half
        if not isinstance(value, dict) or not needed <= value.keys() <= set(members):
            error = AnswerError if path in self.answers else StrategyError
            raise error(f"{value!r} is no value of this group: give a mapping of {', '.join(members)}", path)
        return {member: value.get(member, UNSET) for member in members}

    def soft_deleted(self, column: str, sides: Sides) -> bool | None:
        """Whether ours (else theirs) deleted the record by a column, and the other edited it; else ``None``."""
        maps = sides.as_maps()
        was_gone, ours_gone, theirs_gone = maps.each(lambda side: bool(side.get(column)))
        if was_gone or ours_gone == theirs_gone:
            return None
        live = maps.theirs if ours_gone else maps.ours
        return None if maps.base and self.same_but(column, maps.base, live) else bool(ours_gone)

    def only_deleted(self, column: str, base: Any, side: Any) -> bool:
        """Whether a side did nothing to a record but delete it by a column."""
        was, now = as_map(base) or {}, as_map(side) or {}
        return bool(now.get(column)) and not was.get(column) and self.same_but(column, was, now)

    def same_but(self, column: str, was: dict[Any, Any], now: dict[Any, Any]) -> bool:
        """Whether two records are equal, whatever the column says."""
        return all(equal(was.get(key, UNSET), now.get(key, UNSET)) for key in (was.keys() | now.keys()) - {column})

    def soft_deletion(self, rule: Rule, path: Path, sides: Sides, ours_gone: bool) -> Any:
        """The value of the column: the deletion's time is that of the column, the edit's that of the record."""
        assert rule.deleted is not None
        flags = sides.as_maps().below(rule.deleted)
        gone, edit = self.context(rule, (*path, rule.deleted), flags), self.context(rule, path, sides)
        times = (gone.times[0], edit.times[1]) if ours_gone else (edit.times[0], gone.times[1])
        return self.against(rule, msgspec.structs.replace(gone, times=times), flags, ours_gone)

    def open_tuple(self, rule: Rule, path: Path, sides: Sides) -> Any:
        """A fixed tuple by position."""
        mark = self.mark()
        base, ours, theirs = sides
        was = base if type(base) is type(ours) and len(base) == len(ours) else (UNSET,) * len(ours)
        merged = []
        for i, places in enumerate(zip(was, ours, theirs)):
            merged.append(self.node(rule.child(i), (*path, i), Sides(*places)))
        return self.combined(rule, path, sides, tuple(merged), mark)

    def inserted(self, ours: list[Any], theirs: list[Any]) -> list[Any]:
        """What both inserted in one gap: all of it, equal things once; where the order is open, the canonical one."""
        if not ours or not theirs:
            return ours or theirs
        a, b = sorted((ours, theirs), key=canonical)
        pairs = supersequence([identity(x) for x in a], [identity(x) for x in b])
        return [b[j or 0] if i is None else a[i] if j is None else larger(a[i], b[j]) for i, j in pairs]

    def order(self, rule: Rule, path: Path, keys: Sides) -> list[Any]:
        """All keys of a keyed list in one order; of those about which the sides contradict each other, the strategy is
        asked.
        """
        path = (*path, ORDER)
        first, second = sorted((keys.ours, keys.theirs), key=canonical)
        groups = merge_order(keys.base if self.yields else [], first, second)
        spine = [key for group in groups for key in group]
        contested = {key: at for at, group in enumerate(groups) if len(group) > 1 for key in group}
        if contested:
            asked = keys.each(lambda side: sorted((key for key in side if key in contested), key=contested.__getitem__))
            answer = self.node(rule.piece(list), path, asked, unit=True)
            answered = iter(self.answered_order(path, answer, set(contested)))
            spine = [next(answered) if key in contested else key for key in spine]
        both = set(spine)
        if not contested and all([key for key in side if key in both] != spine for side in keys[1:]):
            self.note(path, "keyed", keys.base, spine, (), ["each pair as the side has it that reordered it"])
        return placed(spine, keys.base, first, second)

    def answered_order(self, path: Path, answer: Any, contested: set[Any]) -> list[Any]:
        """An answer, if it is an order of the contested keys."""
        wrong = "give a list of keys"
        if isinstance(answer, list):
            order = [tuple(key) if isinstance(key, list) else key for key in answer]  # as JSON has a key of several
            with contextlib.suppress(TypeError):  # not hashable
                if len(order) == len(contested) and contested == set(order):
                    return order
            wrong = f"give each of {sorted(contested, key=canonical)!r} once"
        error = AnswerError if path in self.answers else StrategyError
        raise error(f"{answer!r} is no order of what is contested: {wrong}", path)

    def open_set(self, rule: Rule, path: Path, sides: Sides) -> Any:
        """A set by element: no two changes of it can conflict."""
        was = sides.base if isinstance(sides.base, (set, frozenset)) else ()
        return self.combined(rule, path, sides, merge_sets(was, sides.ours, sides.theirs), self.mark())

    # ---- what was put together must be something that the model takes

    def combined(
        self, rule: Rule, path: Path, sides: Sides, value: Any, mark: _Mark, by: tuple[str, str] | None = None
    ) -> Any:
        """A container made of merged parts; the side that it is spelled like; or an open conflict of whole sides.

        ``by`` is for a verdict: the part that opened it, and how.
        """
        value = self.dressed(sides, value)
        side = next((side for side in sides[1:] if same(value, side)), None)
        if side is None and (wrong := self.invalid(rule, value)):
            return self.refused(rule, path, sides, wrong, mark)
        value = value if side is None else side
        if by is not None:
            self.note(path, by[0], sides.base, value, (), by[1:])
        return value

    def dressed(self, sides: Sides, value: Any) -> Any:
        """A plain container as one of the class that both sides have, if that can be made."""
        kind = type(sides.ours)
        if kind is type(value) or kind is not type(sides.theirs):
            return value
        try:
            if not isinstance(value, dict):
                return kind(value)
            factories = {getattr(side, "default_factory", None) for side in (sides.ours, sides.theirs)}
            made = copy.copy(sides.ours) if len(factories) == 1 else kind()
            made.clear()
            made.update(value)
        except Exception:  # the class's own code
            return value
        return made

    def built(self, rule: Rule, path: Path, sides: Sides, values: dict[Any, Any], mark: _Mark) -> Any:
        """A record made of merged fields, or (its own ``__post_init__`` refuses it) an open conflict of whole sides."""
        values = {key: value for key, value in values.items() if value is not UNSET}
        for side in (sides.ours, sides.theirs):
            held = values_of(side)
            if len(held) == len(values) and all(values.get(key) is value for key, value in held.items()):
                return side
        try:
            return build(type(sides.ours), values)
        except Exception as error:
            return self.refused(rule, path, sides, text_of(error), mark)

    def refused(self, rule: Rule, path: Path, sides: Sides, wrong: str, mark: _Mark) -> Any:
        """Takes back what was said of the parts: the question is about the whole."""
        answered = [p for p in self.answers if p[: len(path)] == path]
        if answered:
            raise AnswerError(f"the record does not take this answer: {wrong}", answered[0])
        conflicts, verdicts = mark
        del self.conflicts[conflicts:]
        if self.verdicts is not None:
            del self.verdicts[verdicts:]
        return self.invariant(rule, self.context(rule, path, sides), sides, wrong)

    def mark(self) -> _Mark:
        """How much has been said so far."""
        return len(self.conflicts), len(self.verdicts or ())

    def invalid(self, rule: Rule, value: Any) -> str:
        """What is wrong with a value for its field; empty if nothing is."""
        if is_record(type(value)):
            try:
                build(type(value), values_of(value))
            except Exception as error:
                return text_of(error)
        return "" if rule.declared is Any else validate(value, rule.declared)

    def invariant(self, rule: Rule, context: Context, sides: Sides, wrong: str) -> Any:
        """An open conflict of whole sides, never settled otherwise; a side that is valid by itself is shown."""
        _, ours, theirs = sides
        invalid = [bool(self.invalid(rule, side)) for side in (ours, theirs)]
        already = " and ".join(sorted(name for name, bad in zip(self.asked.names, invalid) if bad))
        shown = self.shown(context, sides) if invalid[0] == invalid[1] else theirs if invalid[0] else ours
        detail = f"{wrong} (already so in {already})" if already else wrong
        return self.conflict(context, sides, rule.strategy, "invariant", shown, detail)

    # ---- what is left open, and what is said about it

    def conflict(
        self, context: Context, sides: Sides, strategy: Strategy, reason: str, shown: Any, detail: str = ""
    ) -> Any:
        """Records an open conflict, and returns the candidate that is shown."""
        if (spelled := self.spelled.get(id(strategy))) is None:
            spelled = self.spelled[id(strategy)] = str(strategy)
        candidates = self.candidates(context, sides)
        self.conflicts.append(Conflict(context.path, sides.base, candidates, spelled, reason, detail))
        self.note(context.path, "open", sides.base, shown, (), [reason])
        return shown

    def candidates(self, context: Context, sides: Sides) -> tuple[Candidate, ...]:
        """Both sides in canonical order, the larger first."""
        mine, other = map(Candidate, (sides.ours, sides.theirs), context.times, context.names)
        keys = (canonical(mine.value), mine.name), (canonical(other.value), other.name)
        return (mine, other) if keys[0] > keys[1] else (other, mine)

    def shown(self, context: Context, sides: Sides) -> Any:
        """The later side; without times, one for the whole merge: no mixture is shown that nobody wrote."""
        _, ours, theirs = sides
        mine, other = context.times
        if mine is not None and other is not None:
            return larger(ours, theirs) if mine == other else ours if mine > other else theirs
        if self.ours_first is None:
            self.ours_first = larger(self.asked.sides.ours, self.asked.sides.theirs) is self.asked.sides.ours
        return ours if self.ours_first else theirs

    def context(self, rule: Rule, path: Path, sides: Sides) -> Context:
        """What a part may know; a side's time is the latest of what it changed at or below the path."""
        base, ours, theirs = sides
        mine, other = self.asked.at
        times = mine.latest(rule, path, base, ours), other.latest(rule, path, base, theirs)
        return Context(path, times, self.asked.names, self.asked.based)

    def note(
        self, path: Path, decided_by: str, base: Any, value: Any, said: Sequence[Candidate], reasons: Sequence[str]
    ) -> None:
        """Keeps a verdict, where somebody asked for them; of the candidates, those that the value is not are lost."""
        if self.verdicts is not None:
            lost = tuple(c for c in said if not equal(c.value, value))
            self.verdicts.append(Verdict(path, decided_by, base, value, lost, "; ".join(filter(None, reasons))))


_Mark: TypeAlias = tuple[int, int]
