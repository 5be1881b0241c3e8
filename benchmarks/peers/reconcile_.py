"""reconcile-text, three-way merges of texts in Rust, with the tokenizer that fits the unit.

It never has a conflict: what both sides put in one place it keeps, one after the other. It also moves cursors, of which
there are none here.
"""

from __future__ import annotations

from collections.abc import Callable

from reconcile_text import BuiltinTokenizer, TextWithCursors, reconcile

from . import Outcome, Unit

NAME = "reconcile-text"
PACKAGE = "reconcile-text"

_TOKENIZERS: dict[Unit, BuiltinTokenizer] = {"line": "Line", "word": "Word"}


def merge_text(unit: Unit) -> Callable[[str, str, str], TextWithCursors]:
    tokenizer = _TOKENIZERS[unit]
    return lambda base, ours, theirs: reconcile(base, ours, theirs, tokenizer)


def outcome(merged: TextWithCursors) -> Outcome:
    return Outcome(merged["text"])
