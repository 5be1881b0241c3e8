"""Orders: how two orders of the same keys become one.

Imports ``sequence``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Sequence
from functools import cmp_to_key
from itertools import chain
from typing import Generic, TypeVar

from .sequence import supersequence

__all__ = ["merge_order", "placed"]

K = TypeVar("K", bound=Hashable)


def merge_order(base: Sequence[K], ours: Sequence[K], theirs: Sequence[K]) -> list[list[K]]:
    """One order of the keys that both sides have, in groups: of one key each, where the sides do not contradict.

    Pair by pair: a pair that one side alone reordered is as that side has it, and a pair that both have in one order
    stays in it, also if one of the two is new. The pairs that change places are then those of ours and those of theirs
    together, and that is an order exactly where no third pair would have to change places, too (the union of the
    inversion sets is closed: it is the join of both in the weak order of permutations); else the keys of which no order
    is as each pair demands are a group, in the order of ours. O(n log n), and O(m²) for m stretches that moved; more
    than ``_MOST`` of these are one group.
    """
    both = set(ours).intersection(theirs)
    mine, other = ([key for key in side if key in both] for side in (ours, theirs))
    if mine == other:
        return _single(mine)
    return _Demands([key for key in base if key in both], mine, other).groups()


class _Demands(Generic[K]):
    """Which of two keys is to stand first, of two orders of the same keys; ``old`` is the order of those not new."""

    def __init__(self, old: list[K], mine: list[K], other: list[K]) -> None:
        self.old, self.mine, self.other = old, mine, other
        self.was, self.now, self.there = ({key: at for at, key in enumerate(side)} for side in (old, mine, other))

    def groups(self) -> list[list[K]]:
        """All keys; those that cannot be told apart are in one group."""
        my_old, other_old = ([key for key in side if key in self.was] for side in (self.mine, self.other))
        if len(self.old) == len(self.mine) and self.old in (my_old, other_old):
            return _single(self.other if my_old == self.old else self.mine)
        merged = sorted(self.mine, key=cmp_to_key(self.compared))
        kept = [key for key in merged if key in self.was]
        my_swaps, other_swaps, apart = _swaps(self.old, my_old), _swaps(self.old, other_old), _swaps(my_old, other_old)
        swaps = (my_swaps + other_swaps + apart) // 2  # of either: what both swapped is not apart
        wanted = [swaps, swaps - my_swaps, swaps - other_swaps, swaps - my_swaps, apart]
        found = [_swaps(side, kept) for side in (self.old, my_old, other_old)]
        if [*found, _swaps(self.mine, merged), _swaps(self.mine, self.other)] == wanted:
            return _single(merged)
        return self.condensed()

    def ahead(self, x: K, y: K) -> bool:
        """Of two old keys, which the side has first that turned them round; of others, which mine has first."""
        ahead = self.now[x] < self.now[y]
        if x in self.was and y in self.was and ahead == (self.was[x] < self.was[y]):
            return self.there[x] < self.there[y]
        return ahead

    def compared(self, x: K, y: K) -> int:
        return -1 if self.ahead(x, y) else 1

    def before(self, x: K, y: K) -> bool:
        """Whether some side demands that x stands before y; where one of the two is new, both may, each its way."""
        return self.ahead(x, y) or (not (x in self.was and y in self.was) and self.there[x] < self.there[y])

    def condensed(self) -> list[list[K]]:
        """The strongly connected components of the demands, which stand in one order as of any tournament."""
        stretches: list[list[K]] = []  # keys that stand side by side everywhere
        for key in self.mine:
            if stretches and self.beside(stretches[-1][-1], key):
                stretches[-1].append(key)
            else:
                stretches.append([key])
        if len(stretches) > _MOST:
            return [self.mine]
        behind = [sum(self.before(y[0], x[0]) for y in stretches if y is not x) for x in stretches]
        groups: list[list[int]] = []
        for at in sorted(range(len(stretches)), key=lambda at: (behind[at], at)):
            back = [any(self.before(stretches[at][0], stretches[x][0]) for x in group) for group in groups]
            first = back.index(True) if True in back else len(groups)  # all from there on cannot be told apart
            groups[first:] = [sorted([at, *chain(*groups[first:])])]
        parts: list[list[K]] = []
        for group in groups:
            keys = [key for at in group for key in stretches[at]]
            parts += _single(keys) if len(group) == 1 else [keys]
        return parts

    def beside(self, x: K, y: K) -> bool:
        """Whether y, next to x in mine, is next to it in the other orders, too."""
        if (x in self.was) != (y in self.was) or self.there[y] != self.there[x] + 1:
            return False
        return y not in self.was or self.was[y] == self.was[x] + 1


def _single(keys: Sequence[K]) -> list[list[K]]:
    return [[key] for key in keys]


_MOST = 500  # stretches that moved, of two orders that contradict each other


def _swaps(a: Sequence[K], b: Sequence[K]) -> int:
    """How many pairs of the same keys stand in another order (Kendall's distance), by merge sort."""
    place = {key: at for at, key in enumerate(a)}
    count, runs = 0, [[place[key]] for key in b]
    while len(runs) > 1:
        for k in range(len(runs) // 2):
            left, right = runs[2 * k], runs[2 * k + 1]
            x = 0
            for y in right:
                x = bisect_right(left, y, x)
                count += len(left) - x
            runs[k] = sorted(left + right)
        runs[len(runs) // 2 :] = runs[-1:] if len(runs) % 2 else []
    return count


def placed(order: Sequence[K], base: Sequence[K], ours: Sequence[K], theirs: Sequence[K]) -> list[K]:
    """The keys of ``order``, and all others of the three sides: each follows the key that it followed on its side.

    Where both add in one place, what ``ours`` adds comes first: the caller hands in the sides in canonical order.
    """
    spine = dict.fromkeys(order)
    held = {*ours, *theirs}
    runs: list[dict[K | None, list[K]]] = []
    for side in (ours, theirs, [key for key in base if key in spine or key not in held]):
        run: dict[K | None, list[K]] = {}
        anchor: K | None = None
        for key in side:
            if key in spine:
                anchor = key
            else:
                run.setdefault(anchor, []).append(key)
        runs.append(run)
    if not any(runs):
        return list(order)
    merged: dict[K, None] = {}
    for anchor in (None, *spine):
        if anchor is not None:
            merged[anchor] = None
        a, b, c = (run.get(anchor, []) for run in runs)
        both = [a[i] if i is not None else b[j or 0] for i, j in supersequence(a, b)]
        for i, j in supersequence(both, c):
            merged.setdefault(both[i] if i is not None else c[j or 0])
    return list(merged)
