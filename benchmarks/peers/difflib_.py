"""difflib of the standard library, with its own defaults.

It only compares two sequences: it is timed on two diffs, base to ours and base to theirs, the part of a merge that it
could do. Its default takes very common elements of long sequences for junk, which is faster and may align less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from typing import Any

from . import Diff, Unit, split

NAME = "difflib (2 diffs)"
PACKAGE = ""


def diff_list(a: Sequence[Any], b: Sequence[Any]) -> Diff:
    return Diff(a, b, SequenceMatcher(None, a, b).get_opcodes())


def diff_text(unit: Unit) -> Callable[[str, str], Diff]:
    return lambda a, b: diff_list(split(a, unit), split(b, unit))
