"""merge3, the three-way merge out of Breezy: pure Python on top of ``difflib``, as its documentation calls it.

What is timed makes the merged list out of ``merge_groups``, which is a little faster than ``merge_lines``. merge3 takes
changes of neighbouring elements for a conflict; where it has a target to itself, the sides' edits are apart. Its
elements are meant to be lines; other hashable ones work. Its default matcher takes very common lines of long texts for
junk, so it may align less than it could. A record it merges as a line for each field, with empty ones between, and with
theirs in each conflict; so what ours did is lost where it adds a field at the place where theirs does, or deletes one
beside one that theirs changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import merge3

from . import Outcome, Unit, as_lines, from_lines, split

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


def merge_flat(base: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    groups = merge3.Merge3(as_lines(base), as_lines(ours), as_lines(theirs)).merge_groups()
    return from_lines(line for group in groups for line in group[3 if group[0] == "conflict" else 1])


def outcome(merged: Merged) -> Outcome:
    candidates = [x for _, _, ours, theirs in merged.conflicts for x in (*ours, *theirs)]
    return Outcome(merged.value, candidates, adjacent=True)
