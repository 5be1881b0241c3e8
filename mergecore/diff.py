"""Diffs: what changed from one sequence to another, found within a budget.

Works on hashable elements that Python compares, never on the values of a record themselves. Imports nothing of the
package.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from itertools import accumulate, islice, pairwise, repeat
from math import isqrt
from operator import lt, sub
from typing import Any, NamedTuple, TypeAlias

__all__ = ["BUDGET", "Block", "Indexed", "changes", "trimmed"]

BUDGET = 1 << 19
"""Units of work that one comparison may take: a pair of equal elements, or 4,096 cells of the matrix of both sequences.

Enough for any two sequences of 45,000 elements each; of elements that are rarely repeated, for far longer ones.
"""

_CELLS = 4096

_STEPS = sorted(((x, y) for x in range(4) for y in range(4) if x or y), key=lambda step: (max(step), -sum(step)))

_NEAR = 512  # differences that are looked for one by one, at most

_LONG = 4096  # elements of both sequences: beyond, making a table of them costs more than a look at how near they are


class Block(NamedTuple):
    """A stretch that changed: ``a[start:stop]`` became ``b[at:to]``. Either may be empty."""

    start: int
    stop: int
    at: int
    to: int
    searched: bool = True
    """False where looking for what the two have in common would have gone past the budget."""


class Indexed:
    """A sequence that several others are compared with: what is found out about it serves all of them."""

    def __init__(self, elements: Sequence[Hashable]) -> None:
        self.elements: list[Any] = elements if isinstance(elements, list) else list(elements)

    @cached_property
    def held(self) -> frozenset[Any]:
        """What is in it."""
        return frozenset(self.elements)


def changes(
    a: Sequence[Hashable] | Indexed, b: Sequence[Hashable], budget: int = BUDGET, only_unique: bool = False
) -> list[Block]:
    """What changed from ``a`` to ``b``: all that is not in a longest common subsequence of the two.

    Exact within ``budget``, and always where ``b`` repeats nothing. Beyond, elements that both have once are taken for
    anchors, and a stretch between them that is still too costly is one block that was not ``searched``.

    Equal ends are trimmed by comparing slices. While the distance d is small, Myers 1986: O(n + d²) comparisons, most
    of them of slices. Else what the other side lacks is left out, and of the rest: where ``b`` repeats nothing, a
    longest rising chain, O(n log n) (Fredman 1975); where elements are rarely repeated, Hunt and Szymanski 1977: O((r +
    n) log n) for r pairs of equals; else bit-parallel on Python's integers (Hyyrö 2004), O(nm / w) for words of w bits,
    in space O(m + nm / w) up to ``_ROWS`` bits and beyond by halves (Hirschberg 1975).

    ``only_unique`` matches only what is surely the same: patience diff (Cohen 2003), that is equal ends, elements that
    both have once in a longest rising chain, and between two of these again (not without end: O(n log n) at each depth,
    and 16 depths). Repeated elements hold nothing together.
    """
    base = a if isinstance(a, Indexed) else Indexed(a)
    search = _Search(base, b if isinstance(b, list) else list(b), -1 if only_unique else budget)
    blocks: list[Block] = []
    start = at = 0
    searched = True
    for i, j, n in search.runs():
        if n == 0:
            searched = False
            continue
        if i > start or j > at:
            blocks.append(Block(start, i, at, j, searched))
        start, at, searched = i + n, j + n, True
    if len(search.a) > start or len(b) > at:
        blocks.append(Block(start, len(search.a), at, len(b), searched))
    return blocks


Stretch: TypeAlias = tuple[int, int, int, int]
"""``a[i:to_i]`` and ``b[j:to_j]``, as ``(i, to_i, j, to_j)``."""

Run: TypeAlias = tuple[int, int, int]
"""``a[i:i + n]`` equals ``b[j:j + n]``, as ``(i, j, n)``; of no elements where the search was given up."""


class _Search:
    """Looks for runs in stretches of two lists, until there is none left to look at."""

    def __init__(self, base: Indexed, b: list[Any], left: int) -> None:
        self.base, self.a, self.b = base, base.elements, b
        self.left = left  # of the budget; below zero from the start: unique elements alone
        self.looks = 16 * (len(self.a) + len(b))  # elements to look at in stretches within stretches
        self.found: list[Run] = []

    def runs(self) -> list[Run]:
        """All runs, in order."""
        exact = self.left >= 0
        todo = [(0, len(self.a), 0, len(self.b))]
        while todo:
            from_i, end_i, from_j, end_j = todo.pop()
            stretch = i, to_i, j, to_j = trimmed(self.a, from_i, end_i, self.b, from_j, end_j)
            ends = (from_i, from_j, i - from_i), (to_i, to_j, end_i - to_i)
            self.found += [run for run in ends if run[2]]
            if i == to_i or j == to_j or to_i - i == to_j - j == 1:
                continue
            if exact and self.looks > 0 and self.longest(stretch):
                continue
            self.looks -= to_i - i + to_j - j
            anchors = self.unique(stretch) if self.looks > 0 else []
            if not anchors and exact:
                self.found.append((i, j, 0))
            self.found += anchors
            for x, y, n in anchors:
                todo.append((i, x, j, y))
                i, j = x + n, y + n
            if anchors:
                todo.append((i, to_i, j, to_j))
        self.found.sort()
        return self.found

    def longest(self, stretch: Stretch) -> bool:
        """A longest common subsequence of a stretch, if that is within the budget."""
        i, to_i, j, to_j = stretch
        size = to_i - i + to_j - j
        quickly = self.near(stretch, min(isqrt(size // 32), _NEAR)) if size > _LONG else self.in_step(stretch)
        if quickly or self.rising(stretch) or self.near(stretch, min(isqrt(size), _NEAR)):
            return True
        a, b = self.a[i:to_i], self.b[j:to_j]
        in_a, in_b = Counter(a), Counter(b)
        left_a = [x for x, element in enumerate(a, i) if element in in_b]
        left_b = [y for y, element in enumerate(b, j) if element in in_a]
        sparse = sum(n * in_b[element] for element, n in in_a.items())
        dense = len(left_a) * (1 + len(left_b) // _CELLS)
        if min(sparse, dense) > self.left:
            return False
        self.left -= min(sparse, dense)
        find = _sparse if sparse <= 16 * (len(left_a) + len(left_b)) or sparse <= dense else _dense
        common = find([self.a[x] for x in left_a], [self.b[y] for y in left_b])
        self.found += [(left_a[x], left_b[y], 1) for x, y in common]
        return True

    def in_step(self, stretch: Stretch) -> bool:
        """Side by side, and after a difference on from the next two that are equal, if not much differs.

        That is longest if nothing of ``b`` that is left over is in ``a`` at all.
        """
        a, b = self.a, self.b
        i, to_i, j, to_j = stretch
        runs: list[Run] = []
        rest: list[Any] = []
        while i < to_i and j < to_j and len(runs) <= (to_i + to_j) >> 4:
            for x, y in _STEPS:
                if i + x < to_i and j + y < to_j and a[i + x] == b[j + y]:
                    break
            else:
                break
            rest += b[j : j + y]
            i, j, n = i + x, j + y, 0
            for here, there in zip(a[i : min(to_i, i + 64)], b[j : min(to_j, j + 64)]):
                if here != there:
                    break
                n += 1
            if n == 64:
                n += _common(a, i + n, to_i, b, j + n, to_j)
            runs.append((i, j, n))
            i, j = i + n, j + n
        rest += b[j:to_j]
        if not self.base.held.isdisjoint(rest):
            return False
        self.found += runs
        return True

    def near(self, stretch: Stretch, most: int) -> bool:
        """Myers's greedy search, if the distance is at most ``most``."""
        a, b = self.a, self.b
        i, to_i, j, to_j = stretch
        n, m = to_i - i, to_j - j
        if abs(n - m) > most:
            return False
        reached = {1: 0}  # by diagonal, how far into a
        history: list[dict[int, int]] = []
        for d in range(most + 1):
            history.append(reached.copy())
            for k in range(-d, d + 1, 2):
                down = k == -d or (k != d and reached[k - 1] < reached[k + 1])
                x = reached[k + 1] if down else reached[k - 1] + 1
                y = x - k
                if x < n and y < m and a[i + x] == b[j + y]:
                    x += _common(a, i + x, to_i, b, j + y, to_j)
                reached[k] = x
                if x >= n and x - k >= m:
                    self.found += _traced(history, n, m, i, j)
                    return True
        return False

    def rising(self, stretch: Stretch) -> bool:
        """Of what the second sequence does not repeat, a longest chain in which the places rise on both sides."""
        i, to_i, j, to_j = stretch
        b = self.b[j:to_j]
        where = dict(zip(b, range(j, to_j)))
        if len(where) < len(b):
            return False
        places = list(map(where.get, self.a[i:to_i], repeat(-2)))
        runs = _runs(i, places)
        if all(y + n <= to_y for (_, y, n), (_, to_y, _) in pairwise(runs)):
            self.found += runs
        else:
            pairs = [(x, y) for x, y in enumerate(places, i) if y >= 0]
            self.found += [(*pairs[k], 1) for k in _rising([y for _, y in pairs])]
        return True

    def unique(self, stretch: Stretch) -> list[Run]:
        """What both sequences have once there, in a longest rising chain."""
        i, to_i, j, to_j = stretch
        a, b = _once(self.a[i:to_i], i), _once(self.b[j:to_j], j)
        xs, ys = [x for element, x in a.items() if element in b], [b[element] for element in a if element in b]
        if not all(map(lt, ys, islice(ys, 1, None))):
            chain = _rising(ys)
            xs, ys = [xs[k] for k in chain], [ys[k] for k in chain]
        steps = zip(map(sub, islice(xs, 1, None), xs), map(sub, islice(ys, 1, None), ys))
        cuts = [k for k, step in enumerate(steps, 1) if step != (1, 1)]
        return [(xs[k], ys[k], to - k) for k, to in zip((0, *cuts), (*cuts, len(xs))) if to > k]


def _runs(i: int, places: list[int]) -> list[Run]:
    """The runs of ``a[i + x]`` whose places in b rise by one; -2 is no place (-1 would be the one before 0)."""
    cuts = [x for x, step in enumerate(map(sub, islice(places, 1, None), places), 1) if step != 1]
    spans = zip((0, *cuts), (*cuts, len(places)))
    return [(i + x, places[x], to - x) for x, to in spans if places[x] >= 0]


def trimmed(a: list[Any], i: int, to_i: int, b: list[Any], j: int, to_j: int) -> Stretch:
    """A stretch without its equal ends."""
    head = _common(a, i, to_i, b, j, to_j)
    i, j = i + head, j + head
    tail = _common_end(a, i, to_i, b, j, to_j)
    return i, to_i - tail, j, to_j - tail


def _common(a: list[Any], i: int, to_i: int, b: list[Any], j: int, to_j: int) -> int:
    """How many elements are equal at the start."""
    if i == to_i or j == to_j or a[i] != b[j]:
        return 0
    return _gallop(min(to_i - i, to_j - j), lambda done, to: a[i + done : i + to] == b[j + done : j + to])


def _common_end(a: list[Any], i: int, to_i: int, b: list[Any], j: int, to_j: int) -> int:
    """How many elements are equal at the end."""
    if i == to_i or j == to_j or a[to_i - 1] != b[to_j - 1]:
        return 0
    return _gallop(min(to_i - i, to_j - j), lambda done, to: a[to_i - to : to_i - done] == b[to_j - to : to_j - done])


def _gallop(most: int, equal: Callable[[int, int], bool]) -> int:
    """How far things are equal, of which the first is: slices that grow, and then shrink to the first difference."""
    done, step = 1, 4
    while done < most:
        to = min(done + step, most)
        if equal(done, to):
            done, step = to, min(4 * step, 4096)
        else:
            most, step = to - 1, (to - done) // 2
    return done


def _traced(history: list[dict[int, int]], x: int, y: int, i: int, j: int) -> list[Run]:
    """The runs of the path that Myers's search took, from its end to its start."""
    runs: list[Run] = []
    for d in range(len(history) - 1, -1, -1):
        reached, k = history[d], x - y
        down = k == -d or (k != d and reached[k - 1] < reached[k + 1])
        before = reached[k + 1] if down else reached[k - 1]
        start = before if down else before + 1  # where the run on this diagonal began
        if x > start:
            runs.append((i + start, j + start - k, x - start))
        x, y = before, before - (k + 1 if down else k - 1)
    return runs


def _rising(places: Sequence[int]) -> list[int]:
    """The indexes of a longest strictly rising chain; of several, the one that is found from the end, as in git."""
    ends: list[int] = []  # ends[k]: the smallest place that a chain of k + 1 can end with
    last: list[int] = []  # and its index
    before: list[int] = []
    for index, place in enumerate(places):
        k = bisect_left(ends, place)
        before.append(last[k - 1] if k else -1)
        if k == len(ends):
            ends.append(place)
            last.append(index)
        else:
            ends[k], last[k] = place, index
    chain: list[int] = []
    index = last[-1] if last else -1
    while index >= 0:
        chain.append(index)
        index = before[index]
    return chain[::-1]


def _once(elements: list[Any], first: int) -> dict[Any, int]:
    """Where the elements are that are not repeated."""
    where = dict(zip(elements, range(first, first + len(elements))))
    if len(where) == len(elements):
        return where
    counts = Counter(elements)
    return {element: at for element, at in where.items() if counts[element] == 1}


def _sparse(a: Sequence[Hashable], b: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Hunt and Szymanski's: of all pairs of equal elements, a longest rising chain."""
    where: dict[Hashable, list[int]] = {}
    for j in range(len(b) - 1, -1, -1):  # falling, so that one element of a is used once
        where.setdefault(b[j], []).append(j)
    pairs = [(i, j) for i, element in enumerate(a) for j in where.get(element, ())]
    return [pairs[k] for k in _rising([j for _, j in pairs])]


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
