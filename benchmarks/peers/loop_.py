"""The loop that a good engineer writes by hand: field by field, the later side where both changed.

What one side changed and the other deleted stays. It says nothing of conflicts, and takes ``True`` for ``1``. Beside it
any other speed is stated.
"""

from __future__ import annotations

from copy import copy
from typing import Any, TypeVar

import msgspec

from . import AT

NAME = "hand-written loop"
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


_MISSING = object()
