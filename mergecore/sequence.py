"""Sequences: which elements correspond, and how two orders become one.

Works on hashable identities (``values.identity``), never on the values themselves. Imports nothing of the package.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple, TypeAlias, TypeVar

__all__ = ["Edits", "edits", "match", "merge_order", "supersequence"]

K = TypeVar("K", bound=Hashable)


def match(a: Sequence[Hashable], b: Sequence[Hashable]) -> list[tuple[int, int]]:
    """A longest common subsequence, as pairs of indexes that rise on both sides. Exact.

    Equal ends are trimmed, and what the other side lacks is left out. Then, where elements are rarely repeated, Hunt
    and Szymanski 1977: O((r + n) log n) for r pairs of equals. Else bit-parallel (Hyyrö 2004) on Python's integers:
    O(nm / w) for words of w bits, in space O(m + nm / w) up to ``_ROWS`` bits, beyond by halves (Hirschberg 1975).
    """
    start, end_a, end_b = 0, len(a), len(b)
    while start < end_a and start < end_b and a[start] == b[start]:
        start += 1
    while end_a > start and end_b > start and a[end_a - 1] == b[end_b - 1]:
        end_a, end_b = end_a - 1, end_b - 1
    in_a, in_b = Counter(a[start:end_a]), Counter(b[start:end_b])
    left_a = [i for i in range(start, end_a) if a[i] in in_b]
    left_b = [j for j in range(start, end_b) if b[j] in in_a]
    pairs = sum(n * in_b[element] for element, n in in_a.items())
    find = _sparse if pairs <= 16 * (len(left_a) + len(left_b)) else _dense
    middle = [(left_a[i], left_b[j]) for i, j in find([a[i] for i in left_a], [b[j] for j in left_b])]
    head = [(i, i) for i in range(start)]
    tail = [(end_a + i, end_b + i) for i in range(len(a) - end_a)]
    return head + middle + tail


def _sparse(a: Sequence[Hashable], b: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Hunt and Szymanski's: of all pairs of equal elements, a longest rising chain."""
    where: dict[Hashable, list[int]] = {}
    for j in range(len(b) - 1, -1, -1):  # falling, so that one element of a is used once
        where.setdefault(b[j], []).append(j)
    ends: list[int] = []  # ends[k]: the smallest j that a chain of k + 1 pairs can end with
    chains: list[_Link] = []
    for i, element in enumerate(a):
        for j in where.get(element, ()):
            k = bisect_left(ends, j)
            link = (i, j, chains[k - 1] if k else None)
            if k == len(ends):
                ends.append(j)
                chains.append(link)
            else:
                ends[k], chains[k] = j, link
    pairs: list[tuple[int, int]] = []
    chain: _Link | None = chains[-1] if chains else None
    while chain is not None:
        pairs.append(chain[:2])
        chain = chain[2]
    return pairs[::-1]


_Link: TypeAlias = "tuple[int, int, _Link | None]"

_ROWS = 1 << 28  # bits of all rows together: 32 MiB


def _dense(a: Sequence[Hashable], b: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Bit-parallel: of each row, which columns add one to the length (a zero bit)."""
    if not a or not b:
        return []
    if len(a) > 1 and len(a) * len(b) > _ROWS:
        half = len(a) // 2
        before = _gains(_rows(a[:half], b)[0], len(b))
        after = _gains(_rows(a[half:][::-1], b[::-1])[0], len(b))[::-1]
        cut = max(range(len(b) + 1), key=lambda j: before[j] + after[j])
        return _dense(a[:half], b[:cut]) + [(half + i, cut + j) for i, j in _dense(a[half:], b[cut:])]
    _, rows = _rows(a, b, keep=True)
    pairs: list[tuple[int, int]] = []
    i, j = len(a) - 1, len(b) - 1
    while i >= 0 and j >= 0:
        if rows[i] >> j & 1:
            j -= 1
        else:
            if i == 0 or rows[i - 1] >> j & 1:
                pairs.append((i, j))
                j -= 1
            i -= 1
    return pairs[::-1]


def _rows(a: Sequence[Hashable], b: Sequence[Hashable], keep: bool = False) -> tuple[int, list[int]]:
    """The last row, and all of them if they are to be kept."""
    where: dict[Hashable, list[int]] = {}
    for j, element in enumerate(b):
        where.setdefault(element, []).append(j)
    width = len(b) // 8 + 1
    masks: dict[Hashable, int] = {}
    for element in set(a) & where.keys():
        bits = bytearray(width)
        for j in where[element]:
            bits[j >> 3] |= 1 << (j & 7)
        masks[element] = int.from_bytes(bits, "little")
    full = row = (1 << len(b)) - 1
    rows: list[int] = []
    for element in a:
        hit = row & masks.get(element, 0)
        row = ((row + hit) | (row - hit)) & full
        if keep:
            rows.append(row)
    return row, rows


def _gains(row: int, width: int) -> list[int]:
    """The lengths that a row stands for, up to each column."""
    return [0, *accumulate(bit == "0" for bit in reversed(f"{row:0{width}b}"))]


class Edits(NamedTuple):
    """What one side did to a base of n elements."""

    fate: list[int | None]  # n: where the element, or what replaced it, is now; None where it was deleted
    gaps: list[list[int]]  # n + 1: what was inserted before each base element, and at the end


def edits(base: Sequence[Hashable], side: Sequence[Hashable], alike: Alike | None = None) -> Edits:
    """What ``side`` did to ``base``, where elements that match stand between those that do not.

    ``alike(i, j)`` says how much ``base[i]`` and ``side[j]`` have in common; 0 where they are two things. Among those
    that do not match, what is alike was changed; of the rest, k elements replaced by k are k replacements, else
    deletions and insertions. An element that the side moved replaces nothing: whoever settles a replacement may drop
    it, and nobody changed the element.
    """
    fate: list[int | None] = [None] * len(base)
    gaps: list[list[int]] = [[] for _ in range(len(base) + 1)]
    pairs = match(base, side)
    kept = {i for i, _ in pairs}
    moved = {element for i, element in enumerate(base) if i not in kept}
    if alike is not None:
        found = _changed(pairs, len(base), len(side), lambda i, j: 0 if side[j] in moved else alike(i, j))
        pairs = sorted([*pairs, *found])
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


def _changed(pairs: Sequence[tuple[int, int]], n: int, m: int, alike: Alike) -> Iterator[tuple[int, int]]:
    """Between the pairs, what is most alike, in order; blocks too large for that are left as they are."""
    i = j = 0
    for to_i, to_j in [*pairs, (n, m)]:
        if 0 < (to_i - i) * (to_j - j) <= _BLOCK:
            yield from _aligned(i, to_i, j, to_j, alike)
        i, j = to_i + 1, to_j + 1


def _aligned(i: int, to_i: int, j: int, to_j: int, alike: Alike) -> Iterator[tuple[int, int]]:
    """Of two blocks, the pairs in order that have the most in common together."""
    score = {(a, b): alike(a, b) for a in range(i, to_i) for b in range(j, to_j)}
    best = defaultdict[tuple[int, int], float](float)  # of what is left from here on
    for a in range(to_i - 1, i - 1, -1):
        for b in range(to_j - 1, j - 1, -1):
            together = best[a + 1, b + 1] + score[a, b]
            best[a, b] = max(together, best[a + 1, b], best[a, b + 1])
    while i < to_i and j < to_j:
        if score[i, j] and best[i, j] == best[i + 1, j + 1] + score[i, j]:
            yield i, j
            i, j = i + 1, j + 1
        elif best[i, j] == best[i + 1, j]:
            i += 1
        else:
            j += 1


Alike: TypeAlias = Callable[[int, int], float]

_BLOCK = 4096  # pairs of elements that are compared one by one, at most


def supersequence(a: Sequence[Hashable], b: Sequence[Hashable]) -> list[tuple[int | None, int | None]]:
    """A shortest common supersequence, as pairs of indexes (``None``: not of that side); in gaps, ``a`` is first."""
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

    The keys that all have keep their order, or take that of the one side that changed it; a key that is new on a side
    follows the key it followed there. Where both reordered, or add in one place, ``ours`` comes first: the caller hands
    in the sides in canonical order.
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
