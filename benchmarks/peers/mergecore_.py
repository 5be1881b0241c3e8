"""mergecore, by its public ``merge``: the whole call, with the library's own policy for lists.

For texts the policy is made once, as a program would do it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mergecore import Merged, Policy, merge, text

from . import Outcome, Unit

NAME = "mergecore"
PACKAGE = "mergecore"

merge_list = merge


def merge_text(unit: Unit) -> Callable[[str, str, str], Merged[str]]:
    policy = Policy(default=text(unit))
    return lambda base, ours, theirs: merge(base, ours, theirs, policy=policy)


def outcome(merged: Merged[Any]) -> Outcome:
    """A conflict about the list as a whole has all elements of both sides for candidates."""
    candidates: list[Any] = []
    for conflict in merged.conflicts:
        for candidate in conflict.candidates:
            candidates += candidate.value if isinstance(candidate.value, list) else [candidate.value]
    return Outcome(merged.value, candidates)
