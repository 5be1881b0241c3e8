"""The contenders, one file each, and what their files have in common.

A file has a ``NAME``, the ``PACKAGE`` that it needs (``""``: Python alone), and of these functions those that the peer
can do:

- ``merge_list(base, ours, theirs)``, ``merge_text(unit)(base, ours, theirs)``, and ``outcome`` of what these return;
- ``diff_list(a, b)``, ``diff_text(unit)(a, b)``, which return a ``Diff``.

What makes an ``Outcome`` of a result is not timed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, Literal, NamedTuple, TypeAlias

__all__ = ["UNITS", "Contender", "Diff", "Outcome", "Unit", "for_lists", "for_texts", "load", "split"]

Unit: TypeAlias = Literal["line", "word"]
UNITS: tuple[Unit, ...] = ("line", "word")


class Outcome(NamedTuple):
    """What a merge came to."""

    value: Any
    """The merged list or text; where the peer shows no side of a conflict, without what is in conflict."""
    candidates: Sequence[Any] = ()
    """All elements that are in conflict, of both sides; empty where the merge is clean."""
    adjacent: bool = False
    """Whether the peer takes changes of neighbouring elements for a conflict."""


class Diff(NamedTuple):
    """What a two-way diff came to: opcodes as ``difflib`` has them, and the two sequences that they speak of."""

    a: Sequence[Any]
    b: Sequence[Any]
    opcodes: Sequence[tuple[str, int, int, int, int]]


class Contender(NamedTuple):
    """A peer, made ready for one kind of case."""

    name: str
    run: Callable[[Any, Any, Any], Any]
    """What is timed: base, ours, theirs."""
    wrong: Callable[[Any, Callable[[Outcome], str]], str]
    """What is wrong with a result, by the case's own check of an outcome; empty where nothing is."""
    merges: bool = True
    """Else it is timed on two diffs."""


_FILES = ("mergecore_", "merge3_", "merge3_similar_", "difflib_", "similar_", "similar_hunt_", "reconcile_")


def load() -> tuple[dict[str, ModuleType], list[str]]:
    """The peers that are installed, by name, and a sentence for each package that is not."""
    peers: dict[str, ModuleType] = {}
    missing: set[str] = set()
    for file in _FILES:
        try:
            peer = import_module(f"{__name__}.{file}")
        except ModuleNotFoundError as error:
            if file == "mergecore_":
                raise
            missing.add(str(error.name).partition(".")[0])
        else:
            peers[peer.NAME] = peer
    return peers, [f'{name} is not installed and is left out: pip install ".[bench]"' for name in sorted(missing)]


def for_lists(peers: Mapping[str, ModuleType]) -> list[Contender]:
    """All that can merge lists, or at least diff them."""
    return [
        *(_merger(p, p.merge_list) for p in peers.values() if hasattr(p, "merge_list")),
        *(_differ(p, p.diff_list) for p in peers.values() if hasattr(p, "diff_list")),
    ]


def for_texts(peers: Mapping[str, ModuleType], unit: Unit) -> list[Contender]:
    """All that can merge texts by lines or words, or at least diff them."""
    return [
        *(_merger(p, p.merge_text(unit)) for p in peers.values() if hasattr(p, "merge_text")),
        *(_differ(p, p.diff_text(unit)) for p in peers.values() if hasattr(p, "diff_text")),
    ]


def _merger(peer: ModuleType, merge: Callable[[Any, Any, Any], Any]) -> Contender:
    def wrong(result: Any, check: Callable[[Outcome], str]) -> str:
        return check(peer.outcome(result))

    return Contender(peer.NAME, merge, wrong)


def _differ(peer: ModuleType, diff: Callable[[Any, Any], Diff]) -> Contender:
    """Timed on the part of a merge that it can do: base to ours, and base to theirs."""

    def run(base: Any, ours: Any, theirs: Any) -> tuple[Diff, Diff]:
        return diff(base, ours), diff(base, theirs)

    def wrong(result: tuple[Diff, Diff], check: Callable[[Outcome], str]) -> str:
        return "" if all(map(_replays, result)) else "the opcodes do not make the one side of the other"

    return Contender(peer.NAME, run, wrong, merges=False)


def _replays(diff: Diff) -> bool:
    a, b, opcodes = diff
    made: list[Any] = []
    at = 0
    for tag, i, to_i, j, to_j in opcodes:
        if i != at:
            return False
        made += a[i:to_i] if tag == "equal" else b[j:to_j]
        at = to_i
    return at == len(a) and made == list(b)


def split(text: str, unit: Unit) -> list[str]:
    """The lines, or the words with the white space after them, for peers that know only sequences."""
    return text.splitlines(keepends=True) if unit == "line" else re.findall(r"\S+\s*|\s+", text)
