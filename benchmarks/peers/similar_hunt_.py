"""similar-rs with ``algorithm="hunt"``, Hunt and Szymanski's.

For information: of the algorithms that it offers, the fastest where much was edited, and slower than its default where
little was.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import Diff, similar_

NAME = "similar hunt (2 diffs)"
PACKAGE = "similar-rs"


def diff_list(a: Sequence[str], b: Sequence[str]) -> Diff:
    return similar_.diff_list(a, b, "hunt")
