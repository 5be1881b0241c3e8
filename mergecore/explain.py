"""Why a record is what it is, as text for people.

Stands on top: imports the package's public face, ``jsontext`` and ``paths``; and ``deepdiff``, but only where it
compares two nested values, because that is slow to import.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from . import UNSET, Candidate, Conflict, Verdict
from .jsontext import builtins, to_text
from .paths import Path, format_path

__all__ = ["brief", "place", "printable", "render"]

_MOST = 20
"""Lines about what changed inside of one value: who wants more looks at the value."""

_DECIDED = {
    "equal": "both sides say the same",
    "answer": "answered",
    "open": "open, nobody has decided",
}


def render(verdicts: Sequence[Verdict], conflicts: Sequence[Conflict] = ()) -> str:
    """One block for each verdict: the place, what decided, the value, what lost, what changed inside of nested values.

    ``conflicts`` of the same merge are where an open verdict finds its candidates.
    """
    candidates = {conflict.path: conflict.candidates for conflict in conflicts}
    blocks = []
    for verdict in verdicts:
        beside = candidates.get(verdict.path, ()) if verdict.decided_by == "open" else verdict.lost
        blocks.append("\n".join(_block(verdict, beside)))
    return "\n\n".join(blocks)


def _block(verdict: Verdict, candidates: Sequence[Candidate]) -> Iterator[str]:
    is_open = verdict.decided_by == "open"
    yield f"{place(verdict.path)}: {_DECIDED.get(verdict.decided_by) or 'decided by ' + printable(verdict.decided_by)}"
    if verdict.reason:
        yield f"  reason     {printable(verdict.reason)}"
    yield f"  base       {brief(verdict.base)}"
    yield f"  {'shown' if is_open else 'value'}      {brief(verdict.value)}"
    for one in candidates:
        time = "" if one.stamp is None else f" at {printable(str(one.stamp))}"
        by = "" if one.by is None else f" by {printable(one.by)}"
        yield f"  {'candidate' if is_open else 'lost':10} {brief(one.value)} ({printable(one.name)}{by}{time})"
    shown = [] if is_open else [("the value", verdict.value)]
    for what, value in [*shown, *((one.name, one.value) for one in candidates)]:
        changes = _changes(verdict.base, value)
        if changes:
            yield f"  from base to {printable(what)}:"
            yield from (f"    {_shortened(printable(line), 200)}" for line in changes[:_MOST])
        if len(changes) > _MOST:
            yield f"    ... and {len(changes) - _MOST} more"


def _changes(base: Any, value: Any) -> list[str]:
    """What is different inside of two nested values; nothing of values that can be seen at once."""
    was, now = builtins(base), builtins(value)
    if base is UNSET or value is UNSET or not isinstance(was, (dict, list)) or not isinstance(now, (dict, list)):
        return []
    from deepdiff import DeepDiff  # here: importing it takes longer than most merges

    try:
        return str(DeepDiff(was, now, verbose_level=2).pretty()).splitlines()
    except Exception as error:
        return [f"(deepdiff cannot compare them: {type(error).__name__}: {error})"]


def place(path: Path) -> str:
    """A path as one line of text."""
    return printable(format_path(path)) or "the record"


def brief(value: Any, width: int = 60) -> str:
    """A value as one line of JSON, shortened to ``width``; ``(absent)`` where there is none."""
    try:
        text = "(absent)" if value is UNSET else printable(to_text(builtins(value)))
    except ValueError:  # sys.get_int_max_str_digits()
        text = "(a number too long to show)"
    return _shortened(text, width)


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def printable(text: str) -> str:
    """``text`` on one line, and with nothing in it that a terminal would obey."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
