"""deepdiff, by its ``Delta``: what makes ours, and then what makes theirs, of the base is applied to the base.

It knows no conflicts: of what both changed the second delta wins, which here is the later one. Lists go by position:
what one side inserts moves what the other one changes.
"""

from __future__ import annotations

from typing import Any

from deepdiff import DeepDiff, Delta

NAME = "deepdiff Delta"
PACKAGE = "deepdiff"


def merge_record(base: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]) -> Any:
    return base + Delta(DeepDiff(base, ours)) + Delta(DeepDiff(base, theirs))
