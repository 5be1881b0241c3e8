"""Sequences: an exact alignment, and orders that become one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergecore import sequence
from mergecore.sequence import BUDGET, Block, Diff, Indexed, changes, merge_order, placed, regions, supersequence

WORDS = st.text("abc", max_size=8)
K = TypeVar("K")
ORDERS = st.permutations(list(range(8))).flatmap(lambda order: st.integers(0, 8).map(lambda n: list(order[:n])))


@cache
def lcs(a: str, b: str) -> int:
    """The length of a longest common subsequence, by its definition."""
    if not a or not b:
        return 0
    if a[0] == b[0]:
        return 1 + lcs(a[1:], b[1:])
    return max(lcs(a[1:], b), lcs(a, b[1:]))


def matched(blocks: Sequence[Block], a: Sequence[object], b: Sequence[object]) -> int:
    """How many elements stand between the blocks, which are equal on both sides; the blocks are as large as can be."""
    count = i = j = 0
    for k, (start, stop, at, to, _) in enumerate((*blocks, Block(len(a), len(a), len(b), len(b)))):
        assert start - i == at - j >= (0 < k < len(blocks)), "between two blocks something is equal"
        assert list(a[i:start]) == list(b[j:at])
        assert k == len(blocks) or stop > start or to > at
        count, i, j = count + start - i, stop, to
    return count


def assert_match_is_exact(a: str, b: str) -> None:
    assert matched(changes(a, b), a, b) == lcs(a, b)
    for find in (sequence._sparse, sequence._dense):
        assert_is_longest(find(a, b), a, b)


def assert_is_longest(pairs: list[tuple[int, int]], a: str, b: str) -> None:
    assert all(a[i] == b[j] for i, j in pairs)
    assert all(x[0] < y[0] and x[1] < y[1] for x, y in itertools.pairwise(pairs))
    assert len(pairs) == lcs(a, b)


def edits(base: str, side: str) -> tuple[list[int | None], list[list[int]]]:
    """What became of each element."""
    diff = Diff(Indexed(base), side)
    return diff.edits(diff.blocks, 0, len(base), 0)


def is_subsequence(part: Sequence[object], whole: Sequence[object]) -> bool:
    rest = iter(whole)
    return all(any(x == y for y in rest) for x in part)


def test_match_is_a_longest_common_subsequence_in_every_small_world() -> None:
    """All pairs of words of up to five letters over two, against the definition."""
    words = ["".join(w) for n in range(6) for w in itertools.product("ab", repeat=n)]
    for a, b in itertools.product(words, words):
        assert_match_is_exact(a, b)


@given(WORDS, WORDS)
def test_match_is_a_longest_common_subsequence(a: str, b: str) -> None:
    """Longer words over three letters, against the definition."""
    assert_match_is_exact(a, b)


@pytest.mark.parametrize("bits", [1, 8, 64])
def test_match_by_halves_is_as_exact(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In linear space, past the bits that may be kept; all pairs of short words over two letters."""
    monkeypatch.setattr(sequence, "_ROWS", bits)
    words = ["".join(w) for n in range(6) for w in itertools.product("ab", repeat=n)]
    for a, b in itertools.product(words, words):
        assert_is_longest(sequence._dense(a, b), a, b)


def test_match_of_long_repetitive_lists_ends() -> None:
    """20,000 elements of two values, one step out of phase: all but one correspond."""
    a, b = ("ab" * 10_000), ("ba" * 10_000)
    assert matched(changes(a, b), a, b) == len(a) - 1


@given(WORDS, WORDS, st.integers(0, 12))
def test_past_the_budget_a_block_says_that_it_was_not_searched(a: str, b: str, budget: int) -> None:
    """What is matched is equal; if it is not the longest, a block was not searched, or something is there once."""
    blocks = changes(a, b, budget)
    assert matched(blocks, a, b) <= lcs(a, b)
    once = any(a.count(x) == 1 == b.count(x) for x in a)
    assert matched(blocks, a, b) == lcs(a, b) or once or not all(block.searched for block in blocks)
    assert all(block.searched for block in changes(a, b, BUDGET))


@given(WORDS, WORDS)
def test_patience_matches_nothing_that_is_repeated_between_its_anchors(a: str, b: str) -> None:
    """What is matched is equal; in a block no element is there once on both sides, and its ends differ."""
    blocks = changes(a, b, only_unique=True)
    matched(blocks, a, b)
    for start, stop, at, to, searched in blocks:
        was, now = a[start:stop], b[at:to]
        assert searched
        assert not any(was.count(x) == 1 == now.count(x) for x in was)
        assert not was or not now or (was[0] != now[0] and was[-1] != now[-1])


@given(WORDS, WORDS, WORDS)
def test_regions_tell_all_of_three_sides_once(base: str, ours: str, theirs: str) -> None:
    """In order, without gaps; each block is in one; what a side has where it did nothing is what the base has."""
    mine, other = changes(base, ours), changes(base, theirs)
    told = list(regions(len(base), mine, other))
    made = ["", "", ""]
    for region in told:
        untouched = base[region.start - region.ahead : region.start]
        made = [so_far + untouched + "".join(here) for so_far, here in zip(made, region.of(base, ours, theirs))]
    assert made == [base, ours, theirs]
    assert [block for region in told for block in region.ours_did] == mine
    assert [block for region in told for block in region.theirs_did] == other
    for region in told:
        was, a, b = region.of(base, ours, theirs)
        assert region.ours_did or was == a
        assert region.theirs_did or was == b
        edges = [edge for did in (region.ours_did, region.theirs_did) for block in did for edge in block[:2]]
        assert not edges or (min(edges), max(edges)) == (region.start, region.stop)


@pytest.mark.parametrize(
    ("base", "side", "fate", "gaps"),
    [
        ("", "", [], [[]]),
        ("", "ab", [], [[0, 1]]),
        ("ab", "", [None, None], [[], [], []]),
        ("abc", "axc", [0, 1, 2], [[], [], [], []]),
        ("abcd", "axyd", [0, 1, 2, 3], [[], [], [], [], []]),
        ("abc", "ac", [0, None, 1], [[], [], [], []]),
        ("ac", "abc", [0, 2], [[], [1], []]),
        ("abcd", "axd", [0, None, None, 2], [[], [1], [], [], []]),
        ("abc", "axyc", [0, None, 3], [[], [1, 2], [], []]),
        ("ab", "xy", [0, 1], [[], [], []]),
    ],
)
def test_k_elements_replaced_by_k_are_k_replacements(
    base: str, side: str, fate: list[int | None], gaps: list[list[int]]
) -> None:
    """Of unequal numbers, deletions and an insertion before the first of them."""
    assert edits(base, side) == (fate, gaps)


@given(WORDS, WORDS)
def test_edits_account_for_every_element_once(base: str, side: str) -> None:
    """Every element of the side is the fate of one of the base's, or stands in one gap, in its order."""
    fate, gaps = edits(base, side)
    assert len(fate) == len(base)
    assert len(gaps) == len(base) + 1
    order: list[int] = []
    for i, gap in enumerate(gaps):
        order += gap
        if i < len(base) and (at := fate[i]) is not None:
            order.append(at)
    assert order == list(range(len(side)))
    assert sum(at is not None and base[i] == side[at] for i, at in enumerate(fate)) == lcs(base, side)


@given(WORDS, WORDS)
def test_a_supersequence_is_shortest_and_contains_both(a: str, b: str) -> None:
    """As long as both together less what they share, each side's elements in its order."""
    pairs = supersequence(a, b)
    assert [i for i, _ in pairs if i is not None] == list(range(len(a)))
    assert [j for _, j in pairs if j is not None] == list(range(len(b)))
    assert all(a[i] == b[j] for i, j in pairs if i is not None and j is not None)
    assert len(pairs) == len(a) + len(b) - lcs(a, b)


def test_of_two_insertions_in_one_gap_the_first_side_comes_first() -> None:
    """The caller hands in the sides in canonical order."""
    assert supersequence("xy", "z") == [(0, None), (1, None), (None, 0)]


# ---- orders of keys


def order_of(base: Sequence[K], ours: Sequence[K], theirs: Sequence[K]) -> list[K]:
    """All keys in one order; where the sides contradict each other, the common ones are as ours has them."""
    spine = merge_order(base, ours, theirs)
    return placed([key for key in ours if key in theirs] if spine is None else spine, base, ours, theirs)


def demanded(base: Sequence[K], ours: Sequence[K], theirs: Sequence[K]) -> dict[tuple[K, K], bool] | None:
    """Of each pair of common keys, whether the first is to stand first; ``None`` where two demands contradict."""
    pairs: dict[tuple[K, K], bool] = {}
    for x, y in itertools.permutations([key for key in ours if key in theirs], 2):
        mine, other = ours.index(x) < ours.index(y), theirs.index(x) < theirs.index(y)
        if x in base and y in base:
            was = base.index(x) < base.index(y)
            pairs[x, y] = mine if other == was else other
        elif mine != other:
            return None
        else:
            pairs[x, y] = mine
    return pairs


def assert_order_is_as_each_pair_demands(base: Sequence[K], ours: Sequence[K], theirs: Sequence[K]) -> None:
    merged, pairs = merge_order(base, ours, theirs), demanded(base, ours, theirs)
    common = [key for key in ours if key in theirs]
    fits = [
        list(order)
        for order in itertools.permutations(common)
        if pairs is not None and all(pairs[pair] for pair in itertools.combinations(order, 2))
    ]
    assert fits == ([] if merged is None else [merged])


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
    assert sequence._swaps(a, b) == sum((a.index(x) < a.index(y)) != (b.index(x) < b.index(y)) for x, y in pairs)


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
