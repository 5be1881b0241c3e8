"""Sequences: two sides of one base, stretch by stretch and element by element.

Imports ``diff``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import NamedTuple, TypeAlias, TypeVar

from .diff import Block, Indexed, changes

__all__ = ["Diff", "Edits", "Region", "regions", "supersequence"]

T = TypeVar("T")


class Region(NamedTuple):
    """A stretch of a base, from ``start`` to ``stop``, that one side changed, or both.

    The sides have it at ``ours:ours_to`` and ``theirs:theirs_to``; what nobody changed is ``ahead`` of it on all three.
    """

    ahead: int
    start: int
    stop: int
    ours: int
    ours_to: int
    theirs: int
    theirs_to: int
    ours_did: Sequence[Block]
    theirs_did: Sequence[Block]

    @property
    def searched(self) -> bool:
        """False where a side was not compared to its end."""
        return all(block.searched for block in (*self.ours_did, *self.theirs_did))

    def of(self, base: Sequence[T], ours: Sequence[T], theirs: Sequence[T]) -> tuple[Sequence[T], ...]:
        """What the three have here."""
        return base[self.start : self.stop], ours[self.ours : self.ours_to], theirs[self.theirs : self.theirs_to]


def regions(n: int, ours: Sequence[Block], theirs: Sequence[Block]) -> Iterator[Region]:
    """All of a base of ``n`` elements: blocks of both sides are in one region where they touch or overlap.

    If nobody changed the end, a last region is empty.
    """
    at = mine = other = x = y = 0  # how far the three sides have been told, and the blocks of both
    end = Block(n + 1, n + 1, 0, 0)
    ours, theirs = (*ours, end), (*theirs, end)
    while (start := min(ours[x].start, theirs[y].start)) <= n:
        stop, from_x, from_y = start, x, y
        while True:
            if ours[x].start <= stop:
                stop, x = max(stop, ours[x].stop), x + 1
            elif theirs[y].start <= stop:
                stop, y = max(stop, theirs[y].stop), y + 1
            else:
                break
        ahead = start - at
        mine_to = mine + stop - at if x == from_x else ours[x - 1].to + stop - ours[x - 1].stop
        other_to = other + stop - at if y == from_y else theirs[y - 1].to + stop - theirs[y - 1].stop
        did = ours[from_x:x], theirs[from_y:y]
        yield Region(ahead, start, stop, mine + ahead, mine_to, other + ahead, other_to, *did)
        at, mine, other = stop, mine_to, other_to
    if ahead := n - at:
        yield Region(ahead, n, n, mine + ahead, mine + ahead, other + ahead, other + ahead, (), ())


class Edits(NamedTuple):
    """What one side did to a stretch of n elements of a base."""

    fate: list[int | None]  # n: where the element, or what replaced it, is now; None where it was deleted
    gaps: list[list[int]]  # n + 1: what was inserted before each element, and at the end


class Diff:
    """What one side did to a base: the blocks that changed, and element by element what became of them.

    ``alike(i, j)`` says how much the base's element i and the side's element j have in common; 0 where they are two
    things. Among those that do not match, what is alike was changed; of the rest, k elements replaced by k are k
    replacements, else deletions and insertions. An element that the side moved replaces nothing: whoever settles a
    replacement may drop it, and nobody changed the element.
    """

    def __init__(self, base: Indexed, side: Sequence[Hashable], alike: Alike | None = None) -> None:
        self.blocks = changes(base, side)
        self.alike = alike
        self.side = side
        self.pairs_left = _PAIRS
        self.unmatched = {base.elements[i] for block in self.blocks for i in range(block.start, block.stop)}

    def edits(self, blocks: Sequence[Block], start: int, stop: int, at: int) -> Edits:
        """What became of the base's elements from ``start`` to ``stop``, which the side has from ``at`` on."""
        fate: list[int | None] = [None] * (stop - start)
        gaps: list[list[int]] = [[] for _ in range(stop - start + 1)]
        i, j = start, at
        for block in (*blocks, Block(stop, stop, 0, 0)):
            for kept in range(block.start - i):
                fate[i - start + kept] = j + kept
            i, j = block.start, block.at
            for to_i, to_j in (*self.changed(block), (block.stop, block.to)):
                if to_i - i == to_j - j:
                    for k in range(to_i - i):
                        if self.side[j + k] in self.unmatched:
                            gaps[i + k - start].append(j + k)
                        else:
                            fate[i + k - start] = j + k
                else:
                    gaps[i - start].extend(range(j, to_j))
                if to_i < block.stop:
                    fate[to_i - start] = to_j
                i, j = to_i + 1, to_j + 1
            i, j = block.stop, block.to
        return Edits(fate, gaps)

    def changed(self, block: Block) -> list[tuple[int, int]]:
        """Of what does not match, the pairs in order that have the most in common together; none of a large block."""
        start, stop, at, to, _ = block
        pairs_here = (stop - start) * (to - at)
        if self.alike is None or not 0 < pairs_here <= min(_BLOCK, self.pairs_left):
            return []
        self.pairs_left -= pairs_here
        there = [j for j in range(at, to) if self.side[j] not in self.unmatched]
        score = {(i, j): self.alike(i, j) for i in range(start, stop) for j in there}
        best = defaultdict[tuple[int, int], float](float)  # of what is left from here on
        for i in range(stop - 1, start - 1, -1):
            for j in range(to - 1, at - 1, -1):
                together = best[i + 1, j + 1] + score.get((i, j), 0)
                best[i, j] = max(together, best[i + 1, j], best[i, j + 1])
        pairs: list[tuple[int, int]] = []
        i, j = start, at
        while i < stop and j < to:
            if score.get((i, j)) and best[i, j] == best[i + 1, j + 1] + score[i, j]:
                pairs.append((i, j))
                i, j = i + 1, j + 1
            elif best[i, j] == best[i + 1, j]:
                i += 1
            else:
                j += 1
        return pairs


Alike: TypeAlias = Callable[[int, int], float]

_BLOCK = 4096  # pairs of elements that are compared one by one, at most: in a block, and in all
_PAIRS = 1 << 19


def supersequence(a: Sequence[Hashable], b: Sequence[Hashable]) -> list[tuple[int | None, int | None]]:
    """A shortest common supersequence, as pairs of indexes (``None``: not of that side); in gaps, ``a`` is first."""
    merged: list[tuple[int | None, int | None]] = []
    i = j = 0
    for start, stop, at, to, _ in (*changes(a, b), Block(len(a), len(a), len(b), len(b))):
        merged += zip(range(i, start), range(j, at))
        merged += [(x, None) for x in range(start, stop)]
        merged += [(None, x) for x in range(at, to)]
        i, j = stop, to
    return merged
