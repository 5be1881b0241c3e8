"""The loop that a good engineer writes by hand: field by field, the later side where both changed.

What one side changed and the other deleted stays. It says nothing of conflicts, and takes ``True`` for ``1``. Beside it
any other speed is stated. ``merge_strict`` is the same loop of dictionaries to which ``True`` and ``1``, and two orders
of the same keys, are two things: about the least that a merge which tells them apart can take.
"""

from __future__ import annotations

from copy import copy
from typing import Any, TypeVar

import msgspec

from . import AT

NAME = "hand-written loop"
STRICT = "the loop, but strict"
PACKAGE = ""

S = TypeVar("S", bound=msgspec.Struct)


def merge_struct(base: S, ours: S, theirs: S, at: tuple[int, int] = AT) -> S:
    if ours == base:
        return theirs
    merged = copy(ours)
    for name in base.__struct_fields__:
        was, other = getattr(base, name), getattr(theirs, name)
        if other != was:
            mine = getattr(ours, name)
            if isinstance(was, msgspec.Struct):
                setattr(merged, name, merge_struct(was, mine, other, at))
            elif mine == was or at[1] > at[0]:
                setattr(merged, name, other)
    return merged


def merge_record(
    base: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any], at: tuple[int, int] = AT
) -> dict[str, Any]:
    if ours == base:
        return theirs
    merged = ours.copy()
    for key, other in theirs.items():
        was = base.get(key, _MISSING)
        if other != was:
            mine = ours.get(key, _MISSING)
            if isinstance(was, dict) and isinstance(mine, dict) and isinstance(other, dict):
                merged[key] = merge_record(was, mine, other, at)
            elif mine == was or mine is _MISSING or at[1] > at[0]:
                merged[key] = other
    for key in base.keys() - theirs.keys():
        if key in ours and ours[key] == base[key]:
            del merged[key]
    return merged


def merge_strict(
    base: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any], at: tuple[int, int] = AT
) -> dict[str, Any]:
    keys = [*ours]
    if not [*base] == keys == [*theirs]:
        return theirs if _is_same(ours, base) else ours if _is_same(theirs, base) else merge_record(base, ours, theirs)
    news = {}
    for key, was, mine, other in zip(keys, base.values(), ours.values(), theirs.values()):
        kind = type(other)
        if kind is type(was) and kind in _PLAIN:
            if other == was:
                continue
        elif kind is dict and type(was) is dict and type(mine) is dict:
            if (merged := merge_strict(was, mine, other, at)) is not mine:
                news[key] = merged
            continue
        elif _is_same(other, was):
            continue
        if at[1] > at[0] or _is_same(mine, was):
            news[key] = other
    return ours | news if news else ours


def _is_same(a: Any, b: Any) -> bool:
    if a != b or type(a) is not type(b):
        return False
    if type(a) is dict:
        return [*a] == [*b] and all(map(_is_same, a.values(), b.values()))
    return type(a) is not list or all(map(_is_same, a, b))


_PLAIN = frozenset((str, int, float, bool, type(None), bytes))
_MISSING = object()
