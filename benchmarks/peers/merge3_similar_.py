"""merge3 with the matcher of similar, which its ``sequence_matcher=`` takes: two packages put together by the caller.

For information: the fastest merge of lists that can be had of the other contenders. Strings only. Where much was
edited, that matcher may leave a few equal elements unmatched; then what neither side touched is in a conflict: wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

from similar.difflib import SequenceMatcher

from . import merge3_

NAME = "merge3 on similar"
PACKAGE = "merge3"

outcome = merge3_.outcome


def merge_list(base: Sequence[str], ours: Sequence[str], theirs: Sequence[str]) -> merge3_.Merged:
    return merge3_.merge_list(base, ours, theirs, SequenceMatcher)
