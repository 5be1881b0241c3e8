"""The contenders, one file each, and what their files have in common.

A file has a ``NAME``, the ``PACKAGE`` that it needs (``""``: Python alone), and of these functions those that the peer
can do:

- ``merge_list(base, ours, theirs)``, ``merge_text(unit)(base, ours, theirs)``, and ``outcome`` of what these return;
- ``diff_list(a, b)``, ``diff_text(unit)(a, b)``, which return a ``Diff``;
- ``merge_record(base, ours, theirs)``, of dictionaries, and of those in them, which returns the merged one: what both
  sides changed is as in theirs, the later. ``merge_flat`` is the same where each field has to be one value.

What makes an ``Outcome`` of a result is not timed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from operator import methodcaller
from types import ModuleType
from typing import Any, Literal, NamedTuple, TypeAlias

__all__ = [
    "AT", "UNITS", "Contender", "Diff", "Outcome", "Unit", "as_lines", "contender", "dictionaries", "for_lists",
    "for_records", "for_texts", "from_lines", "load", "split",
]  # fmt: skip

Unit: TypeAlias = Literal["line", "word"]
UNITS: tuple[Unit, ...] = ("line", "word")

AT = (1_800_000_000_000, 1_800_000_060_000)
"""When ours and theirs were changed, in milliseconds: theirs is a minute later."""


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
    run: Callable[..., Any]
    """What is timed, with ``inputs`` for arguments: base, ours, theirs."""
    wrong: Callable[[Any, Callable[[Outcome], str]], str]
    """What is wrong with a result, by the case's own check of an outcome; empty where nothing is."""
    merges: bool = True
    """Else it is timed on two diffs."""
    inputs: Callable[[Any], tuple[Any, ...]] = methodcaller("inputs")
    """The arguments of one call, made of a case, which is not timed: objects that no other call has seen."""
    is_limit: bool = False
    """Whether it shows what a target leaves room for, and so is timed on all that ours is timed on."""


_FILES = (
    "mergecore_", "merge3_", "merge3_similar_", "difflib_", "similar_", "similar_hunt_", "reconcile_", "nbdime_",
    "dictdiffer_", "json_merger_", "jsonmerge_", "deepdiff_", "json_merge_patch_", "daff_", "git_",
)  # fmt: skip


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
        *(contender(p.NAME, p.merge_list, p.outcome) for p in peers.values() if hasattr(p, "merge_list")),
        *(_differ(p, p.diff_list) for p in peers.values() if hasattr(p, "diff_list")),
    ]


def for_texts(peers: Mapping[str, ModuleType], unit: Unit) -> list[Contender]:
    """All that can merge texts by lines or words, or at least diff them."""
    return [
        *(contender(p.NAME, p.merge_text(unit), p.outcome) for p in peers.values() if hasattr(p, "merge_text")),
        *(_differ(p, p.diff_text(unit)) for p in peers.values() if hasattr(p, "diff_text")),
    ]


dictionaries: Callable[[Any], tuple[Any, ...]] = methodcaller("dictionaries")
"""The sides of a record, to a contender that merges those."""


def for_records(peers: Mapping[str, ModuleType], nested: bool = False) -> list[Contender]:
    """All that can merge dictionaries; ``nested``: with dictionaries in them."""
    names = ("merge_record",) if nested else ("merge_record", "merge_flat")
    return [
        contender(p.NAME, getattr(p, name), inputs=dictionaries)
        for name in names
        for p in peers.values()
        if hasattr(p, name)
    ]


def contender(
    name: str,
    run: Callable[..., Any],
    outcome: Callable[[Any], Outcome] = Outcome,
    inputs: Callable[[Any], tuple[Any, ...]] = methodcaller("inputs"),
) -> Contender:
    """One whose result, as an outcome, is judged by the case."""
    return Contender(name, run, lambda result, check: check(outcome(result)), inputs=inputs)


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


def as_lines(record: Mapping[str, Any]) -> list[str]:
    """A line of JSON for each field, with an empty one after it: some take changes of neighbours for a conflict."""
    return [line for item in record.items() for line in (f"{json.dumps(item)}\n", "\n")]


def from_lines(lines: Iterable[str]) -> dict[str, Any]:
    """The record again. Raises ``ValueError`` where a field is there twice."""
    items = [json.loads(line) for line in lines if line != "\n"]
    if len(record := dict(items)) < len(items):
        raise ValueError("a field is there twice")
    return record
