"""Orders: how two orders of the same keys become one.

Imports ``sequence``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Sequence
from functools import cmp_to_key
from itertools import chain
from typing import TypeVar

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
    known = both.intersection(base)
    old, my_old, other_old = ([key for key in side if key in known] for side in (base, mine, other))
    if mine == other:
        return _single(mine)
    if len(known) == len(both) and (my_old == old or other_old == old):
        return _single(other if my_old == old else mine)
    was, now, there = ({key: place for place, key in enumerate(side)} for side in (old, mine, other))

    def compare(x: K, y: K) -> int:
        ahead = now[x] < now[y]
        if x in known and y in known and ahead == (was[x] < was[y]):
            ahead = there[x] < there[y]
        return -1 if ahead else 1

    merged = sorted(mine, key=cmp_to_key(compare))
    kept = [key for key in merged if key in known]
    my_swaps, other_swaps, apart = (_swaps(*pair) for pair in ((old, my_old), (old, other_old), (my_old, other_old)))
    swaps = (my_swaps + other_swaps + apart) // 2  # of either: what both swapped is not apart
    closed = (_swaps(old, kept), _swaps(my_old, kept), _swaps(other_old, kept)) == (
        (swaps, swaps - my_swaps, swaps - other_swaps)
    )
    if closed and _swaps(mine, other) == apart and _swaps(mine, merged) == swaps - my_swaps:
        return _single(merged)

    stretches: list[list[K]] = []  # keys that stand side by side everywhere
    for key in mine:
        last = stretches[-1][-1] if stretches else key
        beside = there[key] == there[last] + 1 and (key in known) == (last in known)
        if beside and (key not in known or was[key] == was[last] + 1):
            stretches[-1].append(key)
        else:
            stretches.append([key])
    if len(stretches) > _MOST:
        return [mine]

    def before(x: list[K], y: list[K]) -> bool:
        """Whether some side demands that x stands before y; of two keys of which one is new, each side may."""
        if x[0] in known and y[0] in known:
            return compare(x[0], y[0]) < 0
        return now[x[0]] < now[y[0]] or there[x[0]] < there[y[0]]

    def behind(stretch: list[K]) -> tuple[int, int]:
        return sum(before(other, stretch) for other in stretches if other is not stretch), now[stretch[0]]

    groups: list[list[list[K]]] = []
    for stretch in sorted(stretches, key=behind):
        group = [stretch]
        contested = [any(before(stretch, other) for other in told) for told in groups]
        if True in contested:  # all from the first of these on cannot be told apart
            first = contested.index(True)
            group += [other for told in groups[first:] for other in told]
            del groups[first:]
        groups.append(sorted(group, key=lambda stretch: now[stretch[0]]))
    return [part for group in groups for part in (_single(group[0]) if len(group) == 1 else [list(chain(*group))])]


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
