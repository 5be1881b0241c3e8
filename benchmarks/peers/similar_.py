"""similar-rs, diffs in Rust behind difflib's interface, with its default algorithm (Myers).

It only compares two sequences, and knows no records: it is timed on two diffs, base to ours and base to theirs, the
part of a merge that it could do. Strings only. Its diffs of long and much edited lists are not always minimal: a few
equal elements may stay unmatched. It reads each string anew, where Python keeps a string's hash; every call here gets
strings that were just decoded, so that nobody gains by that.
"""

from __future__ import annotations

from collections.abc import Sequence

from similar.difflib import SequenceMatcher

from . import Diff

NAME = "similar (2 diffs)"
PACKAGE = "similar-rs"


def diff_list(a: Sequence[str], b: Sequence[str], algorithm: str = "myers") -> Diff:
    matcher = SequenceMatcher(None, a, b, autojunk=False, algorithm=algorithm)  # type: ignore[no-untyped-call]
    return Diff(a, b, matcher.get_opcodes())  # type: ignore[no-untyped-call]
