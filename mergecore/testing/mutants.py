"""Broken variants of the walk, each of which the laws must catch: the proof that they can fail.

Imports the package.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .. import threeway
from ..paths import Path, Slice
from ..policy import Rule
from ..records import fields_of
from ..strategies import Context, Part, lww, three_way
from ..values import UNSET, Sides, as_map, canonical, equal, larger
from ..walk import Walk

__all__ = ["MUTANTS", "mutated"]


class _LocalWinsTies(Walk):
    """Equal times keep the local value."""

    def decide(self, part: Part, context: Context, sides: Sides) -> Any:
        tie = part.name == "lww" and context.times[0] is not None and context.times[0] == context.times[1]
        return sides.ours if tie else super().decide(part, context, sides)


class _BaseIgnored(Walk):
    """Two-way: whatever the base says."""

    def node(self, rule: Rule, path: Path, sides: Sides, unit: bool = False) -> Any:
        return super().node(rule, path, sides._replace(base=UNSET), unit)


class _OneSidedChangeDropped(Walk):
    """A field that only theirs changed keeps the base."""

    def node(self, rule: Rule, path: Path, sides: Sides, unit: bool = False) -> Any:
        if path and equal(sides.base, sides.ours):
            return sides.base
        return super().node(rule, path, sides, unit)


class _ListMergedWhole(Walk):
    """A list that both sides changed is one unit."""

    def opening(self, part: Part, rule: Rule, sides: Sides) -> Any:
        return None if isinstance(sides.ours, list) else super().opening(part, rule, sides)


class _LargerDocumentWins(Walk):
    """Both changed: take the larger document. It commutes, associates and is idempotent, and loses."""

    def node(self, rule: Rule, path: Path, sides: Sides, unit: bool = False) -> Any:
        base, ours, theirs = sides
        if not path and not equal(base, ours) and not equal(base, theirs) and as_map(ours) is not None:
            return larger(ours, theirs)
        return super().node(rule, path, sides, unit)


class _LoserUnreported(Walk):
    """What lost is in no verdict."""

    def note(self, path: Path, decided_by: str, base: Any, value: Any, said: Any, reasons: Any) -> None:
        super().note(path, decided_by, base, value, (), reasons)


class _EqualChangesCountOnce(Walk):
    """Ours equals theirs, so return it: wrong above a counter."""

    def node(self, rule: Rule, path: Path, sides: Sides, unit: bool = False) -> Any:
        if equal(sides.ours, sides.theirs) and path not in self.answers:
            return larger(sides.ours, sides.theirs)
        return super().node(rule, path, sides, unit)


class _TrueIsOne(Walk):
    """Python's equality decides whether a side changed."""

    def node(self, rule: Rule, path: Path, sides: Sides, unit: bool = False) -> Any:
        if path and sides.base == sides.ours and path not in self.answers:
            return sides.theirs
        return super().node(rule, path, sides, unit)


class _DeletionAsksTheField(Walk):
    """An edit against a deletion is settled by last writer wins, whatever the policy says of deletes."""

    def against(self, rule: Rule, context: Context, sides: Sides, ours_gone: bool) -> Any:
        return super().decide(lww.parts[0], context, sides)


class _MixtureShown(Walk):
    """Without times, each conflict shows the larger of its own candidates."""

    def shown(self, context: Context, sides: Sides) -> Any:
        return larger(sides.ours, sides.theirs)


class _GroupOpened(Walk):
    """A structural part opens a group, and mixes two people's halves."""

    def node(self, rule: Rule, path: Path, sides: Sides, unit: bool = False) -> Any:
        if rule.is_group and self.alike(sides) and path not in self.answers:
            base, ours, theirs = sides.as_maps()
            changed = {k: v for k, v in theirs.items() if not equal(v, base.get(k, UNSET))}
            return ours | changed
        return super().node(rule, path, sides, unit)


class _OursInsertsFirst(Walk):
    """In one gap, ours comes before theirs."""

    def inserted(self, ours: list[Any], theirs: list[Any]) -> list[Any]:
        return ours + [x for x in theirs if x not in ours]


class _KeysOfOursFirst(Walk):
    """Added keys stand in the order of the sides."""

    def keys(self, maps: Sides) -> list[Any]:
        return list({**maps.base, **maps.ours, **maps.theirs})


class _InvariantUnchecked(Walk):
    """What two valid sides make together is taken to be valid."""

    def invalid(self, rule: Rule, value: Any) -> str:
        return ""

    def built(self, rule: Rule, path: Path, sides: Sides, values: Any, mark: Any) -> Any:
        made = copy.copy(sides.theirs)
        for field in fields_of(type(made)) or ():
            setattr(made, field.name, values[field.key])
        return made


class _AnswersForgotten(Walk):
    """An answer settles its question, and the base stays."""

    def answer(self, rule: Rule, path: Path, sides: Sides) -> Any:
        return sides.base


class _DeletedComesBack(Walk):
    """A union of keys: what one side deleted is back."""

    def node(self, rule: Rule, path: Path, sides: Sides, unit: bool = False) -> Any:
        _, ours, theirs = sides
        if path and (ours is UNSET) != (theirs is UNSET) and path not in self.answers:
            return theirs if ours is UNSET else ours
        return super().node(rule, path, sides, unit)


class _OrderOfTheirsDropped(Walk):
    """The members of a keyed list stand as ours has them."""

    def order(self, rule: Rule, path: Path, keys: Sides) -> list[Any]:
        return list({**dict.fromkeys(keys.ours), **dict.fromkeys(keys.theirs), **dict.fromkeys(keys.base)})


class _OrderOfTheBaseStays(Walk):
    """All members of a keyed list are there, and nobody can move one."""

    def order(self, rule: Rule, path: Path, keys: Sides) -> list[Any]:
        new = {*keys.ours, *keys.theirs}.difference(keys.base)
        return [*keys.base, *sorted(new, key=canonical)]


class _OverlapSettledSilently(Walk):
    """Of a text that both sides changed otherwise in one place, the larger stays."""

    def node(self, rule: Rule, path: Path, sides: Sides, unit: bool = False) -> Any:
        if path and isinstance(path[-1], Slice) and path not in self.answers:
            return larger(sides.ours, sides.theirs)
        return super().node(rule, path, sides, unit)


class _KeysAreNoMatter(Walk):
    """A keyed list is merged by element: who edits and moves an object duplicates it."""

    def opening(self, part: Part, rule: Rule, sides: Sides) -> Any:
        if "keyed" in part.opens:
            part = three_way().parts[0]
        return super().opening(part, rule, sides)


MUTANTS: dict[str, type[Walk]] = {
    "local wins ties": _LocalWinsTies,
    "base ignored": _BaseIgnored,
    "a one-sided change dropped": _OneSidedChangeDropped,
    "list merged whole": _ListMergedWhole,
    "both changed: take the larger document": _LargerDocumentWins,
    "loser unreported": _LoserUnreported,
    "equal changes count once": _EqualChangesCountOnce,
    "True is 1": _TrueIsOne,
    "a deletion asks the field": _DeletionAsksTheField,
    "a mixture is shown": _MixtureShown,
    "a group is opened": _GroupOpened,
    "ours inserts first": _OursInsertsFirst,
    "keys of ours first": _KeysOfOursFirst,
    "invariant unchecked": _InvariantUnchecked,
    "answers forgotten": _AnswersForgotten,
    "what was deleted comes back": _DeletedComesBack,
    "order of theirs dropped": _OrderOfTheirsDropped,
    "order of the base stays": _OrderOfTheBaseStays,
    "an overlap is settled silently": _OverlapSettledSilently,
    "keys are no matter": _KeysAreNoMatter,
}


@contextmanager
def mutated(name: str) -> Iterator[None]:
    """While it lasts, ``merge`` runs the named mutant."""
    setattr(threeway, "Walk", MUTANTS[name])  # noqa: B010 - a module's name is not for assignment elsewhere
    try:
        yield
    finally:
        setattr(threeway, "Walk", Walk)  # noqa: B010
