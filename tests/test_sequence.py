"""Sequences: exact diffs within a budget, and two sides of one base."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergecore import diff
from mergecore.diff import BUDGET, Block, Indexed, changes
from mergecore.sequence import Diff, regions, supersequence

WORDS = st.text("abc", max_size=8)


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
    for find in (diff._sparse, diff._dense):
        assert_is_longest(find(a, b), a, b)


def assert_is_longest(pairs: list[tuple[int, int]], a: str, b: str) -> None:
    assert all(a[i] == b[j] for i, j in pairs)
    assert all(x[0] < y[0] and x[1] < y[1] for x, y in itertools.pairwise(pairs))
    assert len(pairs) == lcs(a, b)


def edits(base: str, side: str) -> tuple[list[int | None], list[list[int]]]:
    """What became of each element."""
    did = Diff(Indexed(base), side)
    return did.edits(did.blocks, 0, len(base), 0)


def longest(a: Sequence[object], b: Sequence[object]) -> int:
    """The same, row by row (Wagner and Fischer 1974), for longer sequences."""
    row = [0] * (len(b) + 1)
    for x in a:
        above = row.copy()
        for j, y in enumerate(b, 1):
            row[j] = above[j - 1] + 1 if x == y else max(above[j], row[j - 1])
    return row[-1]


ELEMENTS = st.integers(2, 60).flatmap(lambda symbols: st.lists(st.integers(0, symbols), max_size=60))
EDITS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 60), st.integers(0, 60)), max_size=12)


@pytest.mark.parametrize("is_long", [False, True])
@given(ELEMENTS, EDITS)
def test_what_is_matched_of_edited_lists_is_as_long_as_can_be(
    is_long: bool, a: list[int], todo: list[tuple[int, int, int]]
) -> None:
    """Insertions, deletions, replacements and moves; by the ways of short lists, and by those of long ones."""
    b = a.copy()
    for kind, at, element in todo:
        if kind == 0 or not b:
            b.insert(at, element)
        elif kind == 1:
            del b[at % len(b)]
        elif kind == 2:
            b[at % len(b)] = element
        else:
            b.insert(element, b.pop(at % len(b)))
    with pytest.MonkeyPatch.context() as patch:
        if is_long:
            patch.setattr(diff, "_LONG", 0)
        blocks = changes(a, b)
    assert matched(blocks, a, b) == longest(a, b)
    assert all(block.searched for block in blocks)


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
    monkeypatch.setattr(diff, "_ROWS", bits)
    words = ["".join(w) for n in range(6) for w in itertools.product("ab", repeat=n)]
    for a, b in itertools.product(words, words):
        assert_is_longest(diff._dense(a, b), a, b)


def test_match_of_long_repetitive_lists_ends() -> None:
    """20,000 elements of two values, one step out of phase: all but one correspond."""
    a, b = ("ab" * 10_000), ("ba" * 10_000)
    assert matched(changes(a, b), a, b) == len(a) - 1


@given(WORDS, WORDS, st.integers(0, 12))
def test_past_the_budget_a_block_says_that_it_was_not_searched(a: str, b: str, budget: int) -> None:
    """What is matched is equal; if it is not the longest, a block was not searched, or something is there once."""
    blocks = changes(a, b, budget)
    assert matched(blocks, a, b) <= lcs(a, b)
    was, now = a, b
    while was and now and was[0] == now[0]:
        was, now = was[1:], now[1:]
    while was and now and was[-1] == now[-1]:
        was, now = was[:-1], now[:-1]
    once = any(was.count(x) == 1 == now.count(x) for x in was)
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
