"""Orders of keys that become one, pair by pair."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergecore import orders
from mergecore.orders import merge_order, placed

K = TypeVar("K")
ORDERS = st.permutations(list(range(8))).flatmap(lambda order: st.integers(0, 8).map(lambda n: list(order[:n])))


def order_of(base: Sequence[K], ours: Sequence[K], theirs: Sequence[K]) -> list[K]:
    """All keys in one order; what the sides contradict each other about is as ours has it."""
    return placed([key for group in merge_order(base, ours, theirs) for key in group], base, ours, theirs)


def demanded(base: Sequence[K], ours: Sequence[K], theirs: Sequence[K]) -> set[tuple[K, K]]:
    """The pairs of common keys of which the first is to stand first; both ways round where the sides contradict."""
    pairs: set[tuple[K, K]] = set()
    for x, y in itertools.permutations([key for key in ours if key in theirs], 2):
        mine, other = ours.index(x) < ours.index(y), theirs.index(x) < theirs.index(y)
        if x in base and y in base:
            was = base.index(x) < base.index(y)
            ahead = mine if other == was else other
        else:
            ahead = mine or other
        pairs |= {(x, y)} if ahead else set()
    return pairs


def assert_order_is_as_each_pair_demands(base: Sequence[K], ours: Sequence[K], theirs: Sequence[K]) -> None:
    """Of two keys in different groups, the first stands first, and only that is demanded; in a group, each has to stand
    before each other, by some way round.
    """
    groups, pairs = merge_order(base, ours, theirs), demanded(base, ours, theirs)
    assert Counter(key for group in groups for key in group) == Counter(key for key in ours if key in theirs)
    for one, other in itertools.combinations(groups, 2):
        assert all((x, y) in pairs and (y, x) not in pairs for x in one for y in other)
    for group in groups:
        assert group == [key for key in ours if key in group]
        reached = {group[0]}
        for _ in group:
            reached |= {y for x, y in pairs if x in reached and y in group}
        back = {group[0]}
        for _ in group:
            back |= {x for x, y in pairs if y in back and x in group}
        assert reached == back == set(group), "a group that could be told apart"


def test_an_order_is_as_each_pair_demands_in_every_small_world() -> None:
    """Two orders of four keys, of which the base has all, or all but one or two: the one that fits, or none."""
    for n in (2, 3, 4):
        for ours, theirs in itertools.product(itertools.permutations("abcd"), repeat=2):
            assert_order_is_as_each_pair_demands("abcd"[:n], ours, theirs)


@given(ORDERS, ORDERS.map(lambda order: order[:6]), ORDERS)
def test_an_order_is_as_each_pair_demands(base: list[int], ours: list[int], theirs: list[int]) -> None:
    """With keys that came and went."""
    assert_order_is_as_each_pair_demands(base, ours, theirs)


@given(st.permutations(list(range(9))), st.permutations(list(range(9))))
def test_swaps_are_counted(a: list[int], b: list[int]) -> None:
    """Against the definition."""
    pairs = itertools.combinations(range(9), 2)
    assert orders._swaps(a, b) == sum((a.index(x) < a.index(y)) != (b.index(x) < b.index(y)) for x, y in pairs)


@given(ORDERS, ORDERS, ORDERS)
def test_merge_order_holds_every_key_once(base: list[int], ours: list[int], theirs: list[int]) -> None:
    """The keys of all three sides, without repetition."""
    merged = order_of(base, ours, theirs)
    assert sorted(merged) == sorted({*base, *ours, *theirs})


@given(ORDERS, ORDERS)
def test_an_order_that_one_side_kept_is_the_other_sides(base: list[int], side: list[int]) -> None:
    """Where one side changed nothing, the keys stand as the other side has them."""
    for merged in (order_of(base, side, base), order_of(base, base, side), order_of(base, side, side)):
        assert [key for key in merged if key in side] == side


@given(st.permutations(list(range(6))), ORDERS, st.sets(st.integers(0, 5)), st.sets(st.integers(0, 5)))
def test_keys_that_nobody_reordered_keep_their_order(
    order: list[int], base: list[int], ours_lost: set[int], theirs_lost: set[int]
) -> None:
    """Deletions do not reorder what stays."""
    ours = [key for key in base if key not in ours_lost]
    theirs = [key for key in base if key not in theirs_lost]
    merged = order_of(base, ours, theirs)
    stays = [key for key in base if key in ours and key in theirs]
    assert [key for key in merged if key in stays] == stays


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        ("ab", "axb", "aby", "axby"),
        ("ab", "xab", "abx", "xab"),
        ("ab", "ab", "ba", "ba"),
        ("ab", "ba", "abx", "bxa"),
        ("ab", "axb", "ayb", "axyb"),
        ("abc", "ac", "abxc", "axc"),
        ("", "ab", "cd", "abcd"),
        ("", "ab", "cb", "acb"),
        ("a", "aw", "aw", "aw"),
        ("abc", "axbc", "bc", "xbc"),
        ("azb", "abz", "ab", "abz"),
    ],
)
def test_an_addition_follows_the_key_that_it_followed_on_its_side(
    base: str, ours: str, theirs: str, merged: str
) -> None:
    """Through the other side's reordering and additions too; a key that was deleted leaves the one before it."""
    order = [key for key in order_of(base, ours, theirs) if key in merged]
    assert "".join(order) == merged


@given(ORDERS, ORDERS, ORDERS)
def test_an_addition_stands_after_what_it_followed(base: list[int], ours: list[int], theirs: list[int]) -> None:
    """The last key before it that all sides have is the last such key before it in the merged order."""
    merged = order_of(base, ours, theirs)
    shared = {*ours} & {*theirs}
    for side, others in ((ours, (base, theirs)), (theirs, (base, ours))):
        for at, key in enumerate(side):
            if key in shared or any(key in other for other in others):
                continue
            before = [k for k in side[:at] if k in shared]
            stands = [k for k in merged[: merged.index(key)] if k in shared]
            assert stands[-1:] == before[-1:]
