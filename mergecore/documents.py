"""Plain dictionaries merged without a plan of their fields, since nobody says what fields they have.

What it does is what the walk does, which stays its oracle: key by key, where three dictionaries have the same ones in
one order, as most have. Two values of one class are compared by Python's ``==``, but for floats, of which two zeros are
equal; of two classes never, since to Python ``True`` is ``1``. What both sides changed is settled in place where that
is a matter of times alone; else the walk is asked about that place. Imports ``paths``, ``policy``, ``records``,
``strategies``, ``times``, ``values`` and ``walk``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import chain, takewhile
from operator import is_
from typing import Any

import msgspec

from .paths import Path
from .policy import Rule
from .records import EVERYDAY, values_of
from .times import times_of
from .values import MAX_DEPTH, UNSET, Sides, check_value, equal, larger, same
from .walk import Question, Walk

__all__ = ["NAMES", "Run", "Unplanned", "document", "moments"]

NAMES = ("ours", "theirs")
"""Of the sides, unless they are given."""


class Unplanned(Exception):
    """Nothing that can be done here: the walk is asked about the whole."""


def moments(at: Any, names: tuple[str, str]) -> tuple[Any, Any]:
    """The times of the two sides; ``None`` where they have none, or one by path. Raises ``InvalidInput``."""
    if at is None:
        return None, None
    if type(at) is tuple and len(at) == 2 and type(at[0]) is type(at[1]) is int and not (at[0] | at[1]) >> 47:
        return at  # no need to look closer
    mine, other = times_of(at, names)
    return mine.one, other.one


class Run(msgspec.Struct):
    """One merge, as far as it goes without the walk; and the walk, where a place needs it."""

    rule: Rule
    asked: tuple[Any, ...]
    x: Any
    y: Any
    is_timed: bool
    """Whether the sides have a time each, and not one by path."""
    walk: Walk | None = None

    def walking(self) -> Walk:
        """The walk, of sides of which nothing was looked at: what it is asked about is checked place by place."""
        if self.walk is None:
            *sides, names, at = self.asked
            self.walk = Walk(Question(Sides(*sides), self.rule, names, times_of(at, names), {}), {}, None)
        return self.walk

    def check(self, path: Path, *sides: Any) -> None:
        """Raises ``InvalidInput`` for what a walk cannot go over."""
        asked = self.walking().asked
        for value, what in zip(sides, ("base", *asked.names)):
            check_value(value, what, asked.kinds, path, MAX_DEPTH - len(path))

    def node(self, rule: Rule, path: Path, base: Any, ours: Any, theirs: Any, said: Any = UNSET) -> Any:
        """The value of one place, by the walk. ``said``: what the first part, a user's function, has said already."""
        walk = self.walking()
        if said is not UNSET:
            walk.said[path] = said
        self.check(path, base, ours, theirs)
        value = walk.node(rule, path, Sides(base, ours, theirs))
        if value is UNSET and base is not UNSET and ours is not UNSET and theirs is not UNSET:
            raise Unplanned("a field without a value, which is a matter of the whole record")
        return value

    def group(self, rule: Rule, path: Path, name: str, *records: Any) -> dict[str, Any]:
        """The members of a group that both sides changed."""
        maps = Sides(*map(values_of, records))
        self.check(path, *maps)
        parts = self.walking().group(rule, path, name, maps)
        if UNSET in parts.values():
            raise Unplanned("a member without a value, which is a matter of the whole record")
        return parts

    def field(self, rule: Rule, path: Path, base: Any, ours: Any, theirs: Any) -> Any:
        """The value of a place where there is one on all sides, and nothing is known of it."""
        if base is UNSET or ours is UNSET or theirs is UNSET:
            raise Unplanned("a field without a value, which is a matter of the whole record")
        return self.value(rule, path, base, ours, theirs)

    def value(self, rule: Rule, path: Path, base: Any, ours: Any, theirs: Any) -> Any:
        """The value of any place; ``UNSET`` where there is none."""
        kind = type(ours)
        is_alike = (kind is list or kind is dict) and kind is type(base) is type(theirs)
        if is_alike and len(path) < MAX_DEPTH and (side := _taken(base, ours, theirs)) is not UNSET:
            return side
        return self.rest(rule, path, base, ours, theirs)

    def rest(self, rule: Rule, path: Path, base: Any, ours: Any, theirs: Any) -> Any:
        """The value of a place that has to be looked into."""
        if type(ours) is type(base) is type(theirs) is dict:
            here = rule.of(dict)
            if len(path) < MAX_DEPTH - 1 and _opens_maps(here):
                return self.maps(here, path, base, ours, theirs)
            return self.node(here, path, base, ours, theirs)
        if not (len(path) < MAX_DEPTH and _is_flat(base) and _is_flat(ours) and _is_flat(theirs)):
            self.check(path, base, ours, theirs)
        if same(ours, base) and equal(ours, base):  # in this order, as the walk: of a NaN the bits may differ
            return theirs
        if same(theirs, base) and equal(theirs, base):
            return ours
        return self.both(rule, path, base, ours, theirs)

    def maps(
        self, rule: Rule, path: Path, base: dict[Any, Any], ours: dict[Any, Any], theirs: dict[Any, Any],
        other: Callable[..., Any] | None = None,
    ) -> Any:  # fmt: skip
        """Three dictionaries, by key. ``rule`` is that of dictionaries there, and opens them.

        ``other`` gives the value of a key that is like no other. Most of the time of a merge of dictionaries is spent
        here.
        """
        keys = [*ours]
        if not [*base] == keys == [*theirs]:
            return self.keyed(rule, path, base, ours, theirs)
        if keys and type(keys[0]) is not str:  # and so are the others, most likely
            return self.node(rule, path, base, ours, theirs)
        news: dict[str, Any] = {}
        timed = self.is_timed
        for key, twin, b, o, t in zip(keys, theirs, base.values(), ours.values(), theirs.values()):
            if key is not twin and not type(key) is type(twin) is str:
                raise Unplanned("a key that the sides may spell in two ways, as 1 and True")
            kind = type(t)
            if kind is type(b) is type(o) and kind in EVERYDAY:
                if t == b:
                    if t or kind is not float:
                        continue
                elif o == b:
                    news[key] = t
                    continue
                elif timed and _is_timed(rule.child(key)) and (kind is not float or (b == b and o == o and t == t)):
                    if (v := self.later(o, t)) is not o:
                        news[key] = v
                    continue
                v = self.rest(rule.child(key), (*path, key), b, o, t)  # of zeros two are equal, and no NaN is
            elif (kind is dict or kind is list) and kind is type(b) is type(o):  # as in value(), without a path
                if (v := _taken(b, o, t)) is UNSET:
                    v = self.rest(rule.child(key), (*path, key), b, o, t)
            elif kind is type(b) and type(o) in EVERYDAY and kind in _EXACT and t == b:
                continue
            elif type(o) is type(b) and type(o) in _EXACT and kind in EVERYDAY and o == b:
                v = t
            else:
                v = (other or self.field)(rule.child(key), (*path, key), b, o, t)
            if v is not o:
                news[key] = v
        return ours | news if news else ours

    def keyed(self, rule: Rule, path: Path, *sides: dict[Any, Any]) -> Any:
        """Dictionaries of which one has a key that another one has not, or in another order."""
        if not {str}.issuperset(map(type, chain(*sides))):
            return self.node(rule, path, *sides)
        if (side := _taken(*sides)) is not UNSET:
            return side

        def other(here: Rule, at: Path, *values: Any) -> Any:
            if any(side.get(at[-1]) is UNSET for side in sides):
                raise Unplanned("a key without a value, which is a matter of the whole record")
            return self.value(here, at, *values)

        nowhere = dict.fromkeys(self.keys(*sides), UNSET)
        base, ours, theirs = (nowhere | side for side in sides)
        merged = self.maps(rule, path, base, ours, theirs, other)
        made = {key: value for key, value in merged.items() if value is not UNSET}
        for side in sides[1:]:
            if [*made] == [*side] and all(map(is_, made.values(), side.values())):
                return side
        return made

    def keys(self, base: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
        """Those of all three, in the order of the merged one."""
        was = [*base]
        for side, kept in ((ours, theirs), (theirs, ours)):
            if was == [*kept]:
                gone = [key for key in was if key not in side]  # what this side alone took away, most likely
                if all(same(kept[key], base[key]) and equal(kept[key], base[key]) for key in gone):
                    return [*side, *gone]
        return self.walking().keys(Sides(base, ours, theirs))

    def later(self, ours: Any, theirs: Any) -> Any:
        """Of two values the later one."""
        if self.x == self.y:
            return larger(ours, theirs)
        return ours if self.x > self.y else theirs

    def both(self, rule: Rule, path: Path, base: Any, ours: Any, theirs: Any) -> Any:
        """What both changed, in whatever way."""
        if (
            self.is_timed
            and EVERYDAY.issuperset(map(type, (base, ours, theirs)))
            and (ours != base and theirs != base and base == base and ours == ours and theirs == theirs)  # none is NaN
            and _is_timed(rule)
        ):
            return self.later(ours, theirs)
        return self.node(rule, path, base, ours, theirs)


def _is_flat(value: Any) -> bool:
    """Whether a value is plain, or a list of plain ones: nothing in it has to be looked into."""
    return type(value) in EVERYDAY or (type(value) is list and EVERYDAY.issuperset(map(type, value))) or value is UNSET


_EXACT = EVERYDAY - {float}
"""Classes of which two values that are equal are spelled alike."""

_GLANCED = _EXACT - {bool}
"""Classes of which no two values are equal that are not spelled alike, whichever of them stands where."""


def _taken(base: Any, ours: Any, theirs: Any) -> Any:
    """Of three lists or dictionaries the one that another side, or nobody, changed, if that can be seen at a glance.

    Else ``UNSET``: where both did, and where they hold more, or what Python takes for equal and ``same`` does not.
    """
    is_list = type(base) is list
    if not _GLANCED.issuperset(map(type, base if is_list else base.values())):
        return UNSET
    if theirs == base:
        kept, side = theirs, ours
    elif ours == base:
        kept, side = ours, theirs
    else:
        return UNSET
    if is_list:
        return side if _GLANCED.issuperset(map(type, [*kept, *side])) else UNSET
    if not all(map(is_, kept, base)) and ([*kept] != [*base] or not {str}.issuperset(map(type, chain(kept, base)))):
        return UNSET
    return side if _GLANCED.issuperset(map(type, [*kept.values(), *side.values()])) else UNSET


@lru_cache(4096)
def _opens_maps(rule: Rule) -> bool:
    """Whether dictionaries are opened by key and by nothing else, before any other part of the strategy is asked."""
    if rule.declared is not Any or rule.groups or rule.deleted or rule.whole:
        return False
    parts = takewhile(lambda part: part.decide is None, rule.strategy.parts)
    return rule.by_field or any("map" in part.opens for part in parts)


@lru_cache(4096)
def _is_timed(rule: Rule) -> bool:
    """Whether of plain values the later one wins."""
    part = next((p for p in rule.strategy.parts if p.decide is not None or "text" in p.opens), None)
    return part is not None and part.name == "lww" and part.user is None


def document(
    rule: Rule, merged: type, walked: Callable[..., Any], question: Callable[..., Question], named: Callable[..., Any]
) -> Callable[..., Any]:
    """The merge of plain dictionaries, as a function like those of ``plan``. ``rule`` is that of dictionaries."""
    if not _opens_maps(rule):
        return walked

    def merge(base: Any, ours: Any, theirs: Any, names: Any = NAMES, at: Any = None) -> Any:
        if not type(base) is type(ours) is type(theirs) is dict:
            return walked(base, ours, theirs, names, at)
        if names is not NAMES:
            names = named(names)
        x, y = moments(at, names)
        run = Run(rule, (base, ours, theirs, names, at), x, y, x is not None and y is not None)
        try:
            value = run.maps(rule, (), base, ours, theirs)
        except Exception:
            return walked(base, ours, theirs, names, at)
        conflicts = () if run.walk is None else tuple(run.walk.conflicts)
        return merged(value, conflicts, question, base, ours, theirs, names, at)

    return merge
