"""mergecore, by its public ``merge``: the whole call, with the library's own policy for lists and for records.

For texts the policy is made once, as a program would do it. What both sides changed of a record the times settle.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from mergecore import Merged, Policy, merge, text

from . import AT, Outcome, Unit

NAME = "mergecore"
PACKAGE = "mergecore"

T = TypeVar("T")

merge_list = merge


def merge_text(unit: Unit) -> Callable[[str, str, str], Merged[str]]:
    policy = Policy(default=text(unit))
    return lambda base, ours, theirs: merge(base, ours, theirs, policy=policy)


def merge_at(base: T, ours: T, theirs: T) -> Merged[T]:
    return merge(base, ours, theirs, at=AT)


def outcome(merged: Merged[Any]) -> Outcome:
    """A conflict about the list as a whole has all elements of both sides for candidates."""
    candidates: list[Any] = []
    for conflict in merged.conflicts:
        for candidate in conflict.candidates:
            candidates += candidate.value if isinstance(candidate.value, list) else [candidate.value]
    return Outcome(merged.value, candidates)
