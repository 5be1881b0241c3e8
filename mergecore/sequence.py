"""Sequences: which elements correspond, and how two orders become one.

Works on hashable identities (``values.identity``), never on the values themselves. Imports nothing of the package.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Sequence
from typing import NamedTuple, TypeVar

__all__ = ["Edits", "edits", "match", "merge_order", "supersequence"]

K = TypeVar("K", bound=Hashable)


def match(a: Sequence[Hashable], b: Sequence[Hashable]) -> list[tuple[int, int]]:
    """A longest common subsequence, as pairs of indexes that rise on both sides.

    Exact: Hunt and Szymanski 1977 after trimming equal ends; O((r + n) log n) for r pairs of equal elements, so
    O(n log n) where elements are distinct.
    """
    start, end_a, end_b = 0, len(a), len(b)
    while start < end_a and start < end_b and a[start] == b[start]:
        start += 1
    while end_a > start and end_b > start and a[end_a - 1] == b[end_b - 1]:
        end_a, end_b = end_a - 1, end_b - 1
    where: dict[Hashable, list[int]] = {}
    for j in range(end_b - 1, start - 1, -1):  # falling, so that one element of a is used once
        where.setdefault(b[j], []).append(j)
    ends: list[int] = []  # ends[k]: the smallest j that a chain of k + 1 pairs can end with
    chains: list[tuple[int, int, object]] = []
    for i in range(start, end_a):
        for j in where.get(a[i], ()):
            k = bisect_left(ends, j)
            link = (i, j, chains[k - 1] if k else None)
            if k == len(ends):
                ends.append(j)
                chains.append(link)
            else:
                ends[k], chains[k] = j, link
    middle: list[tuple[int, int]] = []
    chain: object = chains[-1] if chains else None
    while isinstance(chain, tuple):
        middle.append(chain[:2])
        chain = chain[2]
    head = [(i, i) for i in range(start)]
    tail = [(end_a + i, end_b + i) for i in range(len(a) - end_a)]
    return head + middle[::-1] + tail


class Edits(NamedTuple):
    """What one side did to a base of n elements."""

    fate: list[int | None]  # n: where the element, or what replaced it, is now; None where it was deleted
    gaps: list[list[int]]  # n + 1: what was inserted before each base element, and at the end


def edits(base: Sequence[Hashable], side: Sequence[Hashable]) -> Edits:
    """What ``side`` did to ``base``: k elements replaced by k are k replacements, else deletions and insertions.

    An element that the side moved replaces nothing: whoever settles a replacement may drop it, and nobody changed the
    element.
    """
    fate: list[int | None] = [None] * len(base)
    gaps: list[list[int]] = [[] for _ in range(len(base) + 1)]
    pairs = match(base, side)
    kept = {i for i, _ in pairs}
    moved = {element for i, element in enumerate(base) if i not in kept}
    i = j = 0
    for to_i, to_j in [*pairs, (len(base), len(side))]:
        if to_i - i == to_j - j:
            for k in range(to_i - i):
                if side[j + k] in moved:
                    gaps[i + k].append(j + k)
                else:
                    fate[i + k] = j + k
        else:
            gaps[i].extend(range(j, to_j))
        if to_i < len(base):
            fate[to_i] = to_j
        i, j = to_i + 1, to_j + 1
    return Edits(fate, gaps)


def supersequence(a: Sequence[Hashable], b: Sequence[Hashable]) -> list[tuple[int | None, int | None]]:
    """A shortest common supersequence, as pairs of indexes (``None``: not of that side); of a gap, ``a``'s part comes
    first.
    """
    merged: list[tuple[int | None, int | None]] = []
    i = j = 0
    for to_i, to_j in [*match(a, b), (len(a), len(b))]:
        merged += [(x, None) for x in range(i, to_i)]
        merged += [(None, x) for x in range(j, to_j)]
        if to_i < len(a):
            merged.append((to_i, to_j))
        i, j = to_i + 1, to_j + 1
    return merged


def merge_order(base: Sequence[K], ours: Sequence[K], theirs: Sequence[K]) -> list[K]:
    """One order of the distinct keys of all three sides.

    The keys that all have keep their order, or take that of the one side that changed it; a key that is new on a
    side follows the key it followed there. Where both reordered, or add in one place, ``ours`` comes first: the caller
    hands in the sides in canonical order.
    """
    if ours == theirs and len(ours) >= len(base) and set(base) <= set(ours):
        return list(ours)
    shared = set(ours).intersection(theirs)
    if base:
        shared.intersection_update(base)
    was, mine, other = ([key for key in side if key in shared] for side in (base, ours, theirs))
    spine = other if mine == was else mine
    runs: tuple[dict[K | None, list[K]], ...] = ({}, {}, {})
    placed = shared.copy()
    for side, run in zip((ours, theirs, base), runs):
        anchor: K | None = None
        for key in side:
            if key in shared:
                anchor = key
            else:
                run.setdefault(anchor, []).append(key)
    merged: list[K] = []
    for anchor in (None, *spine):
        if anchor is not None:
            merged.append(anchor)
        a, b, c = (run.get(anchor, []) for run in runs)
        both = [a[i] if i is not None else b[j or 0] for i, j in supersequence(a, b)]
        for key in [both[i] if i is not None else c[j or 0] for i, j in supersequence(both, c)]:
            if key not in placed:
                placed.add(key)
                merged.append(key)
    return merged
