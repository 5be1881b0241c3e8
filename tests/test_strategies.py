"""Strategies: each one's answers, and how they are put together."""

from __future__ import annotations

import datetime as dt
import itertools
import operator
from collections.abc import Callable
from decimal import Decimal
from functools import reduce
from typing import Any

import pytest
from conftest import named
from hypothesis import assume, given
from hypothesis import strategies as st

from mergecore import (
    UNSET,
    Candidate,
    Context,
    Merged,
    MergeError,
    Pass,
    Policy,
    PolicyError,
    Strategy,
    StrategyError,
    Timestamp,
    add_wins,
    counter,
    delete_wins,
    edit_wins,
    fww,
    group,
    keep_both,
    largest,
    lww,
    merge,
    prefer,
    smallest,
    strategy,
    three_way,
)
from mergecore.strategies import as_strategy
from mergecore.values import identity, larger, same


def settle(how: Any, base: Any, ours: Any, theirs: Any, **given: Any) -> Any:
    """What one field becomes under one strategy, whichever side is ours; ``("open", reason)`` where it stays open."""

    def field(one: Any, other: Any, **rest: Any) -> Merged[dict[str, Any]]:
        was, mine, its = ({"k": side} if side is not UNSET else {} for side in (base, one, other))
        return merge(was, mine, its, policy=Policy(fields={"k": how}), **rest)

    merged = field(ours, theirs, **given)
    swapped = dict(given, names=given.get("names", ("ours", "theirs"))[::-1])
    if "at" in given:
        swapped["at"] = given["at"][::-1]
    back = field(theirs, ours, **swapped)
    assert same(merged.value, back.value)
    assert [c.path for c in merged.conflicts] == [c.path for c in back.conflicts]
    if merged.conflicts:
        (conflict,) = merged.conflicts
        assert any(same(candidate.value, merged.value.get("k", UNSET)) for candidate in conflict.candidates)
        return ("open", conflict.reason)
    return merged.value.get("k", UNSET)


STRATEGIES: list[Strategy] = [
    lww, fww, keep_both, three_way(), three_way(lists="atomic"), counter, largest, smallest, add_wins, prefer("ours"),
    prefer("server", "hub"), edit_wins, delete_wins,
]  # fmt: skip

# ---- one side


@pytest.mark.parametrize("how", [*STRATEGIES, max, lambda base, ours, theirs: 99], ids=named)
@pytest.mark.parametrize(("base", "new"), [(1, 2), ("a", "b"), ([1], [1, 2]), ({1}, {2}), ({"x": 1}, {}), (UNSET, 5)])
def test_a_side_that_did_not_change_yields_under_every_strategy(how: Any, base: Any, new: Any) -> None:
    """No strategy is asked about a one-sided change, not even a user's."""
    assert settle(how, base, new, base) == new
    assert settle(how, base, new, base, at=(1, 2)) == new


# ---- the table


@pytest.mark.parametrize(
    ("how", "at", "value"),
    [
        (lww, (1, 2), "theirs"),
        (lww, (2, 1), "ours"),
        (fww, (1, 2), "ours"),
        (fww, (2, 1), "theirs"),
        (lww, (5, 5), "theirs"),
        (fww, (5, 5), "theirs"),
    ],
)
def test_the_later_or_earlier_stamp_decides_and_a_tie_goes_to_the_larger(
    how: Strategy, at: tuple[int, int], value: str
) -> None:
    """``lww``, ``fww``: ties by canonical order, for both the larger."""
    assert settle(how, "base", "ours", "theirs", at=at) == value


@pytest.mark.parametrize("how", [lww, fww])
@pytest.mark.parametrize("at", [(None, None), (1, None), (None, 1)])
def test_without_both_times_nothing_is_decided_by_time(how: Strategy, at: Any) -> None:
    """What is not known is not guessed."""
    missing = "no times" if at == (None, None) else f"no time of {'theirs' if at[1] is None else 'ours'}"
    assert settle(how, 0, 1, 2, at=at) == ("open", missing)


@given(st.integers(0, 3), st.integers(0, 3), st.sampled_from("xyz"), st.sampled_from("xyz"))
def test_last_and_first_writer_choose_opposite_sides_unless_level(a: int, b: int, one: str, other: str) -> None:
    """Of two different stamps one is the later and the other the earlier."""
    assume(one != other)
    last, first = (settle(how, "", one, other, at=(a, b)) for how in (lww, fww))
    assert last == (larger(one, other) if a == b else one if a > b else other)
    assert (last == first) == (a == b)


def test_timestamps_break_ties_by_counter_and_node() -> None:
    """A stamp is ordered as a whole."""
    assert settle(lww, 0, 1, 2, at=(Timestamp(5, 1, "a"), Timestamp(5, 0, "z"))) == 1
    assert settle(lww, 0, 1, 2, at=(Timestamp(5, 0, "b"), Timestamp(5, 0, "a"))) == 1


def test_keep_both_leaves_both_and_shows_the_later() -> None:
    """Both stay, the later one shown, until resolved."""
    merged = merge({"k": 0}, {"k": 1}, {"k": 2}, policy=Policy(fields={"k": keep_both}), at=(9, 3))
    assert merged.value == {"k": 1}
    (conflict,) = merged.conflicts
    assert (conflict.path, conflict.base, conflict.strategy, conflict.reason) == (
        ("k",),
        0,
        "keep_both",
        "both changed",
    )
    assert [(c.value, c.stamp, c.name, c.by) for c in conflict.candidates] == [
        (2, Timestamp(3), "theirs", None),
        (1, Timestamp(9), "ours", None),
    ]
    assert merged.resolve({"k": conflict.candidates[0]}).unwrap() == {"k": 2}


def test_three_way_opens_maps_lists_and_sets_and_leaves_scalars_whole() -> None:
    """Maps by key, lists and sets by element, scalars and strings as one unit."""
    how = three_way()
    assert settle(how, {"a": 0, "b": 0}, {"a": 1, "b": 0}, {"a": 0, "b": 2}) == {"a": 1, "b": 2}
    assert settle(how, [1, 2, 3], [0, 1, 2, 3], [1, 3]) == [0, 1, 3]
    assert settle(how, {1, 2}, {1, 2, 3}, {1}) == {1, 3}
    assert settle(how, "a b c", "x b c", "a b y") == ("open", "both changed")
    assert settle(how, 0, 1, 2) == ("open", "both changed")


def test_atomic_lists_are_one_unit_and_sets_and_maps_still_open() -> None:
    """``lists="atomic"`` says nothing of sets, maps and fixed tuples."""
    how = three_way(lists="atomic")
    assert settle(how, [1, 2, 3], [0, 1, 2, 3], [1, 3]) == ("open", "both changed")
    assert settle(how | lww, [1, 2, 3], [0, 1, 2, 3], [1, 3], at=(1, 2)) == [1, 3]
    assert settle(how, {1, 2}, {1, 2, 3}, {1}) == {1, 3}
    assert settle(how, {"a": [0], "b": 0}, {"a": [1], "b": 0}, {"a": [0], "b": 2}) == {"a": [1], "b": 2}


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "total"),
    [
        (0, 1, 1, 2),
        (10, 7, 12, 9),
        (5, 6, 4, 5),
        (UNSET, 2, 3, 5),
        (1.5, 2.0, 3.0, 3.5),
        (Decimal("0.1"), Decimal("0.2"), Decimal("0.3"), Decimal("0.4")),
        (Decimal(1), 2, Decimal("3.5"), Decimal("4.5")),
        (10**30, 10**30 + 1, 10**30 + 1, 10**30 + 2),
    ],
)
def test_a_counter_adds_the_changes_of_both_sides(base: Any, ours: Any, theirs: Any, total: Any) -> None:
    """``ours + theirs - base``: two changes from 0 to 1 make 2, and one missing from the base counts as 0."""
    assert settle(counter, base, ours, theirs) == total


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "reason"),
    [
        ("a", "b", "c", "not numbers"),
        (None, 1, 2, "not numbers"),
        (0, True, 2, "not numbers"),
        (0, 1, "2", "not numbers"),
        (1.5, 2.5, Decimal("3.5"), "cannot be added exactly"),
        (0.0, float("inf"), float("-inf"), "cannot be added exactly"),
    ],
)
def test_a_counter_passes_on_what_it_cannot_add(base: Any, ours: Any, theirs: Any, reason: str) -> None:
    """Booleans are no numbers; a float and a decimal have no exact sum."""
    assert settle(counter, base, ours, theirs) == ("open", reason)


def test_a_counter_needs_a_base() -> None:
    """Without one as a whole it passes on unequal values; equal ones are no question."""
    policy = Policy(fields={"k": counter})
    merged = merge(UNSET, {"k": 1}, {"k": 2}, policy=policy)
    assert [c.reason for c in merged.conflicts] == ["a counter needs a base"]
    assert merge(UNSET, {"k": 2}, {"k": 2}, policy=policy).unwrap() == {"k": 2}


@given(st.integers(), st.lists(st.integers(), min_size=2, max_size=2))
def test_a_counter_is_exact_for_all_integers(base: int, changes: list[int]) -> None:
    """Whatever their size."""
    ours, theirs = (base + change for change in changes)
    assert settle(counter, base, ours, theirs) == base + sum(changes)


@pytest.mark.parametrize(
    ("ours", "theirs", "low", "high"),
    [
        (2, 3, 2, 3),
        (9, 10, 9, 10),
        (2, 3.5, 2, 3.5),
        (Decimal("2.5"), 2, 2, Decimal("2.5")),
        ("b", "a", "a", "b"),
        (dt.date(2024, 1, 2), dt.date(2024, 1, 1), dt.date(2024, 1, 1), dt.date(2024, 1, 2)),
        ([1, 2], [1, 3], [1, 2], [1, 3]),
        (True, False, False, True),
    ],
)
def test_largest_and_smallest_compare_as_values_do(ours: Any, theirs: Any, low: Any, high: Any) -> None:
    """Numbers by size (9 is less than 10), texts, dates and lists by their own order."""
    base = "base"
    assert settle(largest, base, ours, theirs) == high
    assert settle(smallest, base, ours, theirs) == low


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(1, "a"), (None, 1), ({1}, {2}), (float("nan"), 1.0), ({"a": 1}, {"a": 2}), (True, 5),
     (dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=dt.UTC)), (Decimal("sNaN"), Decimal(1))],
)  # fmt: skip
@pytest.mark.parametrize("how", [largest, smallest], ids=named)
def test_what_does_not_compare_is_passed_on(how: Strategy, ours: Any, theirs: Any) -> None:
    """Different types, sets of which neither holds the other, NaN, naive beside aware times."""
    assert settle(how, "base", ours, theirs) == ("open", "not comparable")


def test_equal_numbers_of_two_types_have_one_largest_and_smallest() -> None:
    """``1`` and ``1.0``, both changed from 0, are a tie like any other."""
    for how in (largest, smallest):
        assert same(settle(how, 0, 1, 1.0), larger(1, 1.0))


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        ({1, 2}, {1, 2, 3}, {2}, {2, 3}),
        (set(), {"a"}, {"b"}, {"a", "b"}),
        ({1}, {2}, {3}, {2, 3}),
        ({1, 2}, {1}, {2}, set()),
        (UNSET, {1}, {2}, {1, 2}),
        (None, {1}, {2}, {1, 2}),
        (frozenset({1}), frozenset({1, 2}), frozenset({3}), frozenset({2, 3})),
    ],
)
def test_a_set_that_both_change_keeps_what_either_added(base: Any, ours: Any, theirs: Any, merged: Any) -> None:
    """And loses what either removed, under ``add_wins`` and under ``three_way``."""
    assert settle(add_wins, base, ours, theirs) == merged
    assert settle(three_way(), base, ours, theirs) == merged


def test_an_element_that_is_true_is_not_the_element_one() -> None:
    """Python's sets hold one of True and 1, so both sides' elements meet, and the same one stays on every device."""
    merged = settle(add_wins, {"a"}, {"a", True}, {"a", 1})
    assert identity(merged) == identity(settle(add_wins, {"a"}, {"a", 1}, {"a", True}))
    assert settle(add_wins, {True, 2}, {2, 1}, {True, 2, 3}) == {1, 2, 3}


@pytest.mark.parametrize(("ours", "theirs"), [([1], [2]), ({1}, [2]), ({1}, frozenset({2})), ("a", "b")])
def test_add_wins_is_for_sets_only(ours: Any, theirs: Any) -> None:
    """It passes on other values."""
    assert settle(add_wins, None, ours, theirs) == ("open", "not sets")


def test_a_named_side_outranks_in_the_order_given() -> None:
    """By the names of the sides, whichever is ours."""
    names = ("phone", "server")
    assert settle(prefer("server"), 0, 1, 2, names=names) == 2
    assert settle(prefer("phone"), 0, 1, 2, names=names) == 1
    assert settle(prefer("hub", "phone", "server"), 0, 1, 2, names=names) == 1
    assert settle(prefer("hub", "watch"), 0, 1, 2, names=names) == ("open", "neither side is hub or watch")
    assert settle(prefer("hub") | lww, 0, 1, 2, names=names, at=(2, 1)) == 1


@pytest.mark.parametrize("how", [edit_wins, delete_wins], ids=named)
def test_a_strategy_for_deletions_passes_on_two_edits(how: Strategy) -> None:
    """An edit against an edit is not its business."""
    assert settle(how, 0, 1, 2) == ("open", "no deletion")
    assert settle(how | lww, 0, 1, 2, at=(1, 2)) == 2


# ---- functions


def joined(base: Any, ours: Any, theirs: Any) -> Any:
    return Pass("not texts") if not isinstance(ours, str) else "+".join(sorted((ours, theirs)))


def broken(base: Any, ours: Any, theirs: Any) -> Any:
    raise ZeroDivisionError("oh no")


def test_a_function_is_a_strategy_and_decides_by_what_it_returns() -> None:
    """``(base, ours, theirs)``, undecorated, in any place that takes a strategy."""
    assert settle(joined, "a", "b", "c") == "b+c"
    assert merge({"k": "a"}, {"k": "b"}, {"k": "c"}, policy=Policy(default=joined)).unwrap() == {"k": "b+c"}


def test_a_function_that_passes_says_why_and_the_next_is_asked() -> None:
    """``Pass(reason)``; the reasons of all that passed are the conflict's."""
    assert settle(joined, 0, 1, 2) == ("open", "not texts")
    assert settle(joined | counter, 0, 1, 2) == 3
    assert settle(joined | add_wins | lww, 0, 1, 2) == ("open", "not texts; not sets; no times")
    assert settle(lambda base, ours, theirs: Pass(), 0, 1, 2) == ("open", "both changed")


def test_a_function_composes_on_either_side() -> None:
    """Left or right of ``|``; a decorated one with another function too."""
    first = strategy("first")(lambda base, ours, theirs: Pass("first"))
    assert settle(lww | joined, "a", "b", "c") == "b+c"
    assert settle(joined | lww, "a", "b", "c", at=(1, 2)) == "b+c"
    assert settle(first | joined, "a", "b", "c") == "b+c"
    assert settle(joined | first, 1, 2, 3) == ("open", "not texts; first")


def test_a_function_sees_unset_for_a_base_that_is_missing_and_never_a_missing_side() -> None:
    """A side that is ``UNSET`` is asked of ``deletes``, not of the field's strategy."""
    seen: list[Any] = []

    def spy(base: Any, ours: Any, theirs: Any) -> Any:
        seen.append((base, ours, theirs))
        return 7

    assert settle(spy, UNSET, 1, 2) == 7
    assert settle(spy, 0, UNSET, 2) == ("open", "edit against deletion")
    assert seen == [(UNSET, 1, 2), (UNSET, 2, 1)]


def test_equal_changes_are_the_functions_business() -> None:
    """A function is asked when both sides say the same, for two equal increments are two."""
    assert settle(lambda base, ours, theirs: ours + theirs - base, 0, 1, 1) == 2
    assert settle(lambda base, ours, theirs: Pass("?"), 0, 1, 1) == 1


def test_what_a_function_raises_is_an_error_with_the_path() -> None:
    """``StrategyError`` names the function and the place, and keeps the cause."""
    policy = Policy(fields={"a.b": broken})
    with pytest.raises(StrategyError, match=r"a\.b: .*broken.*ZeroDivisionError: oh no") as caught:
        merge({"a": {"b": 0}}, {"a": {"b": 1}}, {"a": {"b": 2}}, policy=policy)
    assert caught.value.path == ("a", "b")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert isinstance(caught.value, MergeError)


def test_a_function_of_the_wrong_shape_is_refused_when_the_policy_is_made() -> None:
    """Told when the policy is made, with the path."""
    with pytest.raises(PolicyError, match=r"k: .* does not take"):
        settle(lambda base: base, 0, 1, 2)


def test_a_function_with_context_is_told_path_times_and_names() -> None:
    """The fourth argument of a strategy made with ``context=True``."""
    seen: list[Context] = []

    @strategy("spy", context=True)
    def spy(base: Any, ours: Any, theirs: Any, context: Context) -> Any:
        seen.append(context)
        return ours

    merge(
        {"a": {"b": 0}},
        {"a": {"b": 1}},
        {"a": {"b": 2}},
        policy=Policy(default=three_way() | spy),
        at=(1, None),
        names=("x", "y"),
    )
    (context,) = seen
    assert context.path == ("a", "b")
    assert context.times == (Timestamp(1), None)
    assert context.names == ("x", "y")


def test_a_function_that_returns_unset_deletes() -> None:
    """``UNSET`` is a value like others to decide for."""
    assert settle(lambda base, ours, theirs: UNSET, 0, 1, 2) is UNSET


def test_a_decorated_function_has_its_name_and_its_need() -> None:
    """Named for fingerprints; ``needs_base`` unless it says not."""
    longest = strategy("longest", needs_base=False)(lambda base, ours, theirs: max(ours, theirs, key=len))
    assert str(longest) == "longest"
    assert str(longest | lww) == "longest | lww"
    assert settle(longest, "a", "bb", "c") == "bb"
    assert not longest.parts[0].needs_base
    assert strategy("other")(joined).parts[0].needs_base
    assert as_strategy(joined).parts[0].needs_base


@pytest.mark.parametrize(
    "name", ["lww", "fww", "keep_both", "three_way", "text", "keyed", "counter", "largest", "smallest", "add_wins",
             "prefer", "edit_wins", "delete_wins"],
)  # fmt: skip
def test_the_names_of_built_in_strategies_are_refused(name: str) -> None:
    """A fingerprint must mean one thing; a nameless one means nothing."""
    with pytest.raises(PolicyError, match="choose another name"):
        strategy(name)


def test_a_strategy_needs_a_name() -> None:
    """The decorator without its call, and an empty name."""
    for name in ("", lambda base, ours, theirs: ours):
        with pytest.raises(PolicyError, match="has a name"):
            strategy(name)  # type: ignore[arg-type]


def test_returning_pass_itself_is_told() -> None:
    """The class, and no instance of it, would else become the field's value."""
    with pytest.raises(StrategyError, match=r"k: .*write Pass\(reason\)"):
        settle(lambda base, ours, theirs: Pass, 0, 1, 2)


# ---- what is refused


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: three_way(lists="merged"), '"merge" or "atomic"'),  # type: ignore[arg-type]
        (lambda: prefer(), "names of sides"),
        (lambda: prefer(""), "names of sides"),
        (lambda: prefer(lww), "names of sides"),  # type: ignore[arg-type]
        (lambda: lww | 3, "3 is no strategy"),  # type: ignore[operator]
        (lambda: "lww" | lww, "'lww' is no strategy"),  # type: ignore[operator]
        (lambda: lww | three_way, r"write three_way\(\.\.\.\)"),  # type: ignore[operator]
        (lambda: three_way | lww, r"write three_way\(\.\.\.\)"),  # type: ignore[operator]
        (lambda: lww | prefer, r"write prefer\(\.\.\.\)"),
        (lambda: lww | int, "no strategy"),
        (lambda: group(""), "not empty"),
        (lambda: group("when", "lww"), "no strategy"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_strategy_is_refused_with_what_to_write(make: Callable[[], Any], says: str) -> None:
    """When it is made, not when it is used."""
    with pytest.raises(PolicyError, match=says):
        make()


# ---- composition

COMPOSED = st.lists(st.sampled_from(STRATEGIES), min_size=1, max_size=3).map(lambda parts: reduce(operator.or_, parts))


@given(COMPOSED, COMPOSED, COMPOSED)
def test_composition_is_associative_and_keep_both_its_identity(a: Strategy, b: Strategy, c: Strategy) -> None:
    """And what has passed once passes again, so ``a | a`` is ``a``."""
    assert (a | b) | c == a | (b | c)
    assert keep_both | a == a == a | keep_both
    assert a | a == a
    assert (a | b) | a == a | b


@given(COMPOSED)
def test_keep_both_changes_no_answer(how: Strategy) -> None:
    """In any place of a composition."""
    for base, ours, theirs in ((0, 1, 2), ({1}, {2}, {3}), ("a", "b", "c")):
        expected = settle(how, base, ours, theirs, at=(1, 2))
        assert settle(keep_both | how, base, ours, theirs, at=(1, 2)) == expected
        assert settle(how | keep_both, base, ours, theirs, at=(1, 2)) == expected


def test_strategies_are_compared_and_hashed_by_name_and_parameters() -> None:
    """They are plain values: equal ones made twice are equal, and different ones are not."""
    assert three_way() == three_way() != three_way(lists="atomic")
    assert prefer("a", "b") == prefer("a", "b") != prefer("b", "a")
    assert hash(three_way() | lww) == hash(three_way() | lww)
    assert lww | fww != fww | lww
    for a, b in itertools.combinations(STRATEGIES, 2):
        assert a != b
    assert len(set(STRATEGIES)) == len(STRATEGIES)


def test_functions_are_compared_by_themselves() -> None:
    """One function is one strategy; two of one name are two."""
    assert as_strategy(joined) == as_strategy(joined)
    assert strategy("x")(joined) == strategy("x")(joined)
    assert strategy("x")(joined) != strategy("x")(broken)
    assert strategy("x")(joined) != strategy("y")(joined)
    assert len({as_strategy(joined), as_strategy(joined), as_strategy(broken)}) == 2


def test_strategies_do_not_change() -> None:
    """Composing makes a new one, and attributes cannot be set."""
    before = str(lww)
    _ = lww | fww
    assert str(lww) == before
    with pytest.raises(AttributeError):
        lww.parts = ()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("how", "text"),
    [
        (lww, "lww"),
        (keep_both, "keep_both"),
        (three_way(), "three_way()"),
        (three_way(lists="atomic") | lww, "three_way('atomic') | lww"),
        (prefer("server", "hub") | counter, "prefer('server', 'hub') | counter"),
        (joined | lww, "joined | lww"),
    ],
)
def test_the_text_of_a_strategy_is_how_it_is_written(how: Strategy, text: str) -> None:
    """In conflicts, errors and at the prompt."""
    assert str(how) == repr(how) == text


def test_the_text_of_a_strategy_makes_it_again() -> None:
    """Its text is Python for it."""
    names: dict[str, Any] = {
        "three_way": three_way,
        "lww": lww,
        "prefer": prefer,
        "keep_both": keep_both,
        "counter": counter,
    }
    for how in (three_way(lists="atomic") | lww, three_way() | prefer("a", "b"), keep_both, counter | lww):
        assert eval(repr(how), names) == how


def test_a_candidate_has_a_text_id() -> None:
    """It tells the candidates of one conflict apart."""
    for at in (None, (1, 1), (Timestamp(5, 0, "a"), Timestamp(5, 0, "b"))):
        (conflict,) = merge({"k": 0}, {"k": 1}, {"k": 2}, policy=Policy(default=keep_both), at=at).conflicts
        ids = [candidate.id for candidate in conflict.candidates]
        assert len(set(ids)) == 2
        assert all(isinstance(one, str) and one for one in ids)
    assert Candidate(1, None, "ours").id == "ours"
