"""merge3, the three-way merge out of Breezy: pure Python on top of ``difflib``, as its documentation calls it.

What is timed makes the merged list out of ``merge_groups``, which is a little faster than ``merge_lines``. merge3 takes
changes of neighbouring elements for a conflict; where it has a target to itself, the sides' edits are apart. Its
elements are meant to be lines; other hashable ones work. Its default matcher takes very common lines of long texts for
junk, so it may align less than it could.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import merge3

from . import Outcome, Unit, split

NAME = "merge3"
PACKAGE = "merge3"


class Merged(NamedTuple):
    value: Any
    conflicts: list[tuple[Any, ...]]


def merge_list(base: Sequence[Any], ours: Sequence[Any], theirs: Sequence[Any], matcher: Any = None) -> Merged:
    value: list[Any] = []
    conflicts: list[tuple[Any, ...]] = []
    for group in merge3.Merge3(base, ours, theirs, sequence_matcher=matcher).merge_groups():
        if group[0] == "conflict":
            conflicts.append(group)
        else:
            value.extend(group[1])
    return Merged(value, conflicts)


def merge_text(unit: Unit) -> Callable[[str, str, str], Merged]:
    def merge(base: str, ours: str, theirs: str) -> Merged:
        value, conflicts = merge_list(split(base, unit), split(ours, unit), split(theirs, unit))
        return Merged("".join(value), conflicts)

    return merge


def outcome(merged: Merged) -> Outcome:
    candidates = [x for _, _, ours, theirs in merged.conflicts for x in (*ours, *theirs)]
    return Outcome(merged.value, candidates, adjacent=True)
