"""reconcile-text, three-way merges of texts in Rust, with the tokenizer that fits the unit.

It never has a conflict: what both sides put in one place it keeps, one after the other. A record, here a line for each
field, so has a field twice that both changed: wrong. It also moves cursors, of which there are none here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconcile_text import BuiltinTokenizer, TextWithCursors, reconcile

from . import Outcome, Unit, as_lines, from_lines

NAME = "reconcile-text"
PACKAGE = "reconcile-text"

_TOKENIZERS: dict[Unit, BuiltinTokenizer] = {"line": "Line", "word": "Word"}


def merge_text(unit: Unit) -> Callable[[str, str, str], TextWithCursors]:
    tokenizer = _TOKENIZERS[unit]
    return lambda base, ours, theirs: reconcile(base, ours, theirs, tokenizer)


def merge_flat(base: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    was, mine, other = ("".join(as_lines(side)) for side in (base, ours, theirs))
    return from_lines(reconcile(was, mine, other, "Line")["text"].splitlines(keepends=True))


def outcome(merged: TextWithCursors) -> Outcome:
    return Outcome(merged["text"])
