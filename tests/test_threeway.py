"""The walk and ``merge()``: every rule of the value API by example."""

from __future__ import annotations

import copy
import datetime as dt
import itertools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from mergecore import (
    UNSET,
    AnswerError,
    Conflict,
    InvalidInput,
    MergeConflict,
    Merged,
    Pass,
    Policy,
    Strategy,
    StrategyError,
    Timestamp,
    TooDeep,
    add_wins,
    counter,
    delete_wins,
    edit_wins,
    fww,
    keep_both,
    largest,
    lww,
    merge,
    prefer,
    three_way,
)
from mergecore.values import MAX_DEPTH, as_map, equal, same

GROUPS = {"g": ("a", "b")}
FUNCTION = Policy(default=three_way() | (lambda base, ours, theirs: f"{base}<{min(ours, theirs)}<{max(ours, theirs)}"))
KEEP = Policy(default=three_way() | keep_both)


def both(base: Any, ours: Any, theirs: Any, at: Any = None, **given: Any) -> Merged[Any]:
    """A merge that was held to what every merge promises: sides can be swapped, inputs stay, a candidate is shown."""
    sides = copy.deepcopy((base, ours, theirs))
    merged = merge(base, ours, theirs, at=at, **given)
    assert all(same(a, b) for a, b in zip(sides, (base, ours, theirs)))
    names = given.pop("names", ("ours", "theirs"))
    swapped = {path: pair[::-1] for path, pair in at.items()} if isinstance(at, dict) else at and at[::-1]
    back = merge(base, theirs, ours, at=swapped, names=names[::-1], **given)
    assert same(merged.value, back.value)
    assert merged.conflicts == back.conflicts
    for conflict in merged.conflicts:
        if not any(isinstance(step, int) for step in conflict.path):  # an index is the base's
            shown = reach(merged.value, conflict.path)
            assert any(same(candidate.value, shown) for candidate in conflict.candidates)
    return merged


def reach(value: Any, path: tuple[Any, ...]) -> Any:
    """What stands at a path of maps and records; of a group, its members."""
    for step in path:
        fields = as_map(value)
        assert fields is not None
        value = fields.get(step, UNSET) if step not in GROUPS else {m: fields[m] for m in GROUPS[step] if m in fields}
    return value


def paths(merged: Merged[Any]) -> list[tuple[Any, ...]]:
    return [conflict.path for conflict in merged.conflicts]


def only(merged: Merged[Any]) -> Conflict:
    (conflict,) = merged.conflicts
    return conflict


# ---- at each node


@pytest.mark.parametrize("one", [0, None, "", [], {}, [1, {"a": 2}], {"a": {"b": [1]}}, {1, 2}, (1, 2), True, UNSET])
@pytest.mark.parametrize("other", [1, {"a": 1}, [2], "x"])
def test_a_side_that_did_not_change_yields(one: Any, other: Any) -> None:
    """``merge(b, b, t)`` is ``t``, ``merge(b, o, b)`` is ``o``, whatever they are."""
    merged = merge({"k": one} if one is not UNSET else {}, {"k": one} if one is not UNSET else {}, {"k": other})
    assert merged.unwrap() == {"k": other}
    assert same(merge([one], [one], [other]).unwrap(), [other])
    assert merge(one, copy.deepcopy(one), other).unwrap() == other
    assert merge(one, other, copy.deepcopy(one)).unwrap() == other


def test_what_nobody_decides_and_both_say_equally_is_no_conflict() -> None:
    """``merge(b, o, o)`` is ``o`` where equal changes mean nothing more."""
    assert both({"a": 0}, {"a": 1}, {"a": 1}).unwrap() == {"a": 1}
    assert both({"a": 0}, {"a": 1}, {"a": 1}, policy=KEEP).unwrap() == {"a": 1}
    assert both(UNSET, {"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}).unwrap() == {"a": [1, {"b": 2}]}


def test_equal_changes_in_two_spellings_have_one_value() -> None:
    """``1`` and ``1.0`` are one change; the larger in canonical order stays on every device."""
    merged = both({"a": 0}, {"a": 1}, {"a": 1.0})
    assert merged.conflicts == ()
    assert type(merged.value["a"]) is int


def test_an_unchanged_side_yields_to_a_respelling() -> None:
    """A side that only writes ``1.0`` for ``1`` has its way, and yields to a real change."""
    assert type(both({"a": 1}, {"a": 1.0}, {"a": 1}).unwrap()["a"]) is float
    assert both({"a": 1}, {"a": 1.0}, {"a": 5}).unwrap() == {"a": 5}


def test_equal_changes_are_the_business_of_the_part() -> None:
    """Two increments from 0 to 1 are 2: at any depth, in lists, and where the whole records are equal."""
    policy = Policy(fields={"n": counter, "a.n": counter, "items[].n": counter})
    zero, one = ({"n": n, "a": {"n": n}, "items": [{"n": n}]} for n in (0, 1))
    assert both(zero, one, copy.deepcopy(one), policy=policy).unwrap() == {"n": 2, "a": {"n": 2}, "items": [{"n": 2}]}
    assert merge(zero, one, one, policy=policy).unwrap() == {"n": 2, "a": {"n": 2}, "items": [{"n": 2}]}


def test_parts_are_asked_in_order_and_a_part_that_does_not_decide_passes() -> None:
    """The first that decides has decided."""
    asked: list[str] = []

    def spy(name: str, answer: Any) -> Callable[[Any, Any, Any], Any]:
        def part(base: Any, ours: Any, theirs: Any) -> Any:
            asked.append(name)
            return answer

        return part

    how = add_wins | spy("first", Pass("no")) | spy("second", 7) | spy("third", 8)
    assert merge({"k": 0}, {"k": 1}, {"k": 2}, policy=Policy(fields={"k": how})).unwrap() == {"k": 7}
    assert asked == ["first", "second"]


def test_a_structural_part_walks_on_with_the_same_whole_strategy() -> None:
    """Below, the parts before it are asked too."""
    policy = Policy(fields={"k": counter | three_way() | largest})
    base, ours, theirs = ({"k": {"n": n, "s": s, "l": [n]}} for n, s in ((0, ""), (1, "a"), (2, "b")))
    assert both(base, ours, theirs, policy=policy).unwrap() == {"k": {"n": 3, "s": "b", "l": [3]}}


def test_a_part_before_the_structural_one_takes_the_container_whole() -> None:
    """Order counts: what decides first never opens."""
    policy = Policy(fields={"k": lww | three_way()})
    base, ours, theirs = {"k": {"a": 0, "b": 0}}, {"k": {"a": 1, "b": 0}}, {"k": {"a": 0, "b": 2}}
    assert both(base, ours, theirs, policy=policy, at=(1, 2)).unwrap() == theirs
    assert both(base, ours, theirs, policy=policy).unwrap() == {"k": {"a": 1, "b": 2}}


def test_changes_of_different_fields_never_meet() -> None:
    """At any depth."""
    base = {"a": 0, "b": {"c": 0, "d": {"e": 0, "f": 0}}}
    ours = {"a": 1, "b": {"c": 0, "d": {"e": 1, "f": 0}}}
    theirs = {"a": 0, "b": {"c": 2, "d": {"e": 0, "f": 2}}}
    assert both(base, ours, theirs, policy=KEEP).unwrap() == {"a": 1, "b": {"c": 2, "d": {"e": 1, "f": 2}}}


def test_what_a_strategy_leaves_open_stays_open() -> None:
    """No outer strategy is asked: not the default, not the one on the parent."""
    policy = Policy(default=three_way() | lww, fields={"a": three_way() | largest, "a.b": add_wins, "c": keep_both})
    base, ours, theirs = ({"a": {"b": n, "x": n}, "c": n, "d": n} for n in (0, 1, 2))
    merged = both(base, ours, theirs, policy=policy, at=(1, 2))
    assert paths(merged) == [("a", "b"), ("c",)]
    assert [conflict.strategy for conflict in merged.conflicts] == ["add_wins", "keep_both"]


def test_conflicts_are_listed_in_the_order_of_the_record() -> None:
    """By place, not by kind."""
    base, ours, theirs = ({"c": n, "a": {"y": n, "x": n}, "b": [n]} for n in (0, 1, 2))
    assert paths(both(base, ours, theirs)) == [("c",), ("a", "y"), ("a", "x"), ("b", 0)]


def test_a_map_against_a_scalar_is_one_unit() -> None:
    """Only two of a kind can be opened."""
    merged = both({"k": {"a": 0}}, {"k": {"a": 1}}, {"k": "x"})
    assert only(merged).path == ("k",)
    assert both({"k": [0]}, {"k": [1]}, {"k": {"a": 1}}, at=(2, 1)).unwrap() == {"k": [1]}


def test_subclasses_of_a_container_are_of_its_kind() -> None:
    """A map is a map: a base that was read as plain JSON is the base of an ``OrderedDict`` too."""
    assert paths(both({"k": {"a": 0}}, {"k": {"a": 1}}, {"k": OrderedDict(a=2)})) == [("k", "a")]
    merged = both({"k": {"a": 1, "b": 2}}, {"k": OrderedDict(a=1)}, {"k": OrderedDict(a=1, b=2, c=3)})
    assert merged.unwrap() == {"k": OrderedDict(a=1, c=3)}


def test_two_maps_where_the_base_was_something_else_are_two_additions() -> None:
    """Nothing of the base is in them, so all of their keys were added."""
    assert both({"k": None}, {"k": {"a": 1}}, {"k": {"b": 2}}).unwrap() == {"k": {"a": 1, "b": 2}}
    assert both({"k": [7]}, {"k": {"a": 1}}, {"k": {"b": 2}}).unwrap() == {"k": {"a": 1, "b": 2}}
    assert paths(both({}, {"k": {"a": 1}}, {"k": {"a": 2}})) == [("k", "a")]


# ---- times


@given(st.integers(0, 3), st.integers(0, 3))
def test_a_time_for_a_side_is_the_time_of_all_that_it_changed(mine: int, other: int) -> None:
    """The later side wins every field that both changed; a tie goes to the larger value."""
    base, ours, theirs = {"a": 0, "b": {"c": 0}}, {"a": 1, "b": {"c": 9}}, {"a": 2, "b": {"c": 8}}
    merged = both(base, ours, theirs, at=(mine, other)).unwrap()
    assert merged == (ours if mine > other else theirs if other > mine else {"a": 2, "b": {"c": 9}})


@pytest.mark.parametrize(
    "at",
    [
        {"a": (1, 2), "b": (2, 1)},
        {("a",): (1, 2), ("b",): (2, 1)},
        ({"a": 1, "b": 2}, {"a": 2, "b": 1}),
        {"a": (dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.datetime(2024, 1, 2, tzinfo=dt.UTC)), "b": (2, Timestamp(1))},
    ],
)
def test_times_may_differ_by_path(at: Any) -> None:
    """A mapping of paths, for both sides together or for each."""
    base, ours, theirs = ({"a": n, "b": n} for n in (0, 1, 2))
    assert merge(base, ours, theirs, at=at).unwrap() == {"a": 2, "b": 1}


def test_the_longest_matching_prefix_gives_a_changes_time() -> None:
    """A time for the record, one for an object in it, one for a field of that."""
    base, ours, theirs = ({"a": {"b": n, "c": n}, "d": n} for n in (0, 1, 2))
    at = {"": (1, 5), "a": (7, 5), "a.c": (3, 5)}
    assert both(base, ours, theirs, at=at).unwrap() == {"a": {"b": 1, "c": 2}, "d": 2}


def test_a_sides_time_at_a_unit_is_the_latest_of_what_it_changed_below() -> None:
    """And of nothing else: a late time of a field that it did not change does not count."""
    policy = Policy(fields={"a": lww})
    base, ours, theirs = {"a": {"x": 0, "y": 0}}, {"a": {"x": 1, "y": 0}}, {"a": {"x": 0, "y": 2}}
    assert both(base, ours, theirs, policy=policy, at={"a.x": (5, 9), "a.y": (9, 6)}).unwrap() == theirs
    assert both(base, ours, theirs, policy=policy, at={"a.x": (5, 1), "a.y": (1, 4)}).unwrap() == ours
    conflict = only(both(base, ours, theirs, policy=Policy(fields={"a": keep_both}), at={"a.x": (5, 9), "a.y": (9, 6)}))
    assert {c.name: c.stamp for c in conflict.candidates} == {"ours": Timestamp(5), "theirs": Timestamp(6)}


def test_a_groups_time_is_the_latest_of_its_members_that_changed() -> None:
    """By the paths of the members, or by its own."""
    policy = Policy(groups={"g": (("a", "b"), lww)})
    base, ours, theirs = {"a": 0, "b": 0}, {"a": 1, "b": 0}, {"a": 0, "b": 2}
    assert both(base, ours, theirs, policy=policy, at={"a": (5, 9), "b": (9, 6)}).unwrap() == theirs
    assert both(base, ours, theirs, policy=policy, at={"g": (5, 4)}).unwrap() == ours


def test_a_deletions_time_is_that_of_what_was_deleted() -> None:
    """By its path, or a prefix."""
    policy = Policy(deletes=lww)
    ours: dict[str, Any] = {}
    base, theirs = {"a": {"x": 0}}, {"a": {"x": 1}}
    assert both(base, ours, theirs, policy=policy, at={"a": (5, 1), "a.x": (1, 3)}).unwrap() == {}
    assert both(base, ours, theirs, policy=policy, at={"": (5, 1), "a.x": (1, 9)}).unwrap() == theirs


def test_a_path_without_a_time_is_open_under_lww() -> None:
    """Times that are not known decide nothing; those that are decide theirs."""
    base, ours, theirs = ({"a": n, "b": n} for n in (0, 1, 2))
    merged = both(base, ours, theirs, at={"a": (2, 1)})
    assert (merged.value["a"], paths(merged)) == (1, [("b",)])


def test_without_times_one_side_is_shown_in_every_open_conflict() -> None:
    """No mixture that nobody wrote: the side is chosen by the canonical order of the whole inputs."""
    base, ours, theirs = (
        {"a": 0, "b": {"c": 0}, "d": [0]},
        {"a": 5, "b": {"c": 1}, "d": [2]},
        {"a": 1, "b": {"c": 8}, "d": [7]},
    )
    assert both(base, ours, theirs).value == ours
    assert both(base, ours | {"a": 0, "z": 1}, theirs | {"a": 0}).value == theirs | {"a": 0, "z": 1}


@given(st.lists(st.integers(0, 2), min_size=3, max_size=3), st.lists(st.integers(0, 2), min_size=3, max_size=3))
def test_what_is_shown_without_times_is_one_sides_wherever_both_changed(one: list[int], other: list[int]) -> None:
    """In every small record."""
    ours, theirs = (dict(zip("abc", values)) for values in (one, other))
    merged = both(dict.fromkeys("abc", 0), ours, theirs)
    open_keys = [str(path[0]) for path in paths(merged)]
    shown = [merged.value[key] for key in open_keys]
    assert shown in ([ours[key] for key in open_keys], [theirs[key] for key in open_keys])


def test_with_times_the_later_is_shown_in_every_open_conflict() -> None:
    """The larger, of a tie."""
    base, ours, theirs = ({"a": n} for n in (0, 1, 2))
    for at, shown in (((2, 1), 1), ((1, 2), 2), ((1, 1), 2)):
        assert both(base, ours, theirs, policy=KEEP, at=at).value == {"a": shown}


@pytest.mark.parametrize(
    ("at", "says"),
    [
        ((dt.datetime(2024, 1, 1), 1), "the time of ours is naive"),
        ((1, dt.datetime(2024, 1, 1)), "the time of theirs is naive"),
        ({"a": (1, dt.datetime(2024, 1, 1))}, "the time of theirs at a is naive"),
        (5, "for each of the two sides"),
        ((1, 2, 3), "for each of the two sides"),
        ({"a": 5}, "two times"),
        ({"a..b": (1, 2)}, "is no path"),
        ((True, 1), "the time of ours"),
    ],
)
def test_a_time_that_cannot_be_used_is_refused(at: Any, says: str) -> None:
    """Naive datetimes, and what does not say whose time it is."""
    with pytest.raises(InvalidInput, match=says):
        merge({"a": 0}, {"a": 1}, {"a": 2}, at=at)


# ---- without a base


def test_without_a_base_what_both_have_is_what_was_added() -> None:
    """Maps and lists unite; where they differ it is a question."""
    merged = both(UNSET, {"a": 1, "b": [1, 2], "c": 0}, {"a": 1, "b": [2, 3], "d": 0})
    assert merged.unwrap() == {"a": 1, "b": [1, 2, 3], "c": 0, "d": 0}
    assert paths(both(UNSET, {"a": 1}, {"a": 2})) == [("a",)]
    assert only(both(UNSET, {"a": 1}, {"a": 2})).base is UNSET


def test_a_record_that_one_side_has_is_that_record() -> None:
    """Nothing is deleted that never was."""
    assert both(UNSET, {"a": 1}, UNSET).unwrap() == {"a": 1}


def test_a_counter_missing_from_a_base_that_is_there_counts_as_nought() -> None:
    """Also where the object that holds it is new on both sides."""
    policy = Policy(fields={"n": counter, "a.n": counter})
    assert both({}, {"n": 1, "a": {"n": 1}}, {"n": 1, "a": {"n": 2}}, policy=policy).unwrap() == {"n": 2, "a": {"n": 3}}
    assert paths(both(UNSET, {"a": {"n": 1}}, {"a": {"n": 2}}, policy=policy)) == [("a", "n")]


# ---- lists by element


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        ("abc", "xabc", "abcy", "xabcy"),
        ("abc", "xbc", "aby", "xby"),
        ("abc", "xbc", "ayc", "xyc"),
        ("abc", "ac", "ab", "a"),
        ("abcd", "ad", "ab", "a"),
        ("abcd", "a", "d", ""),
        ("abc", "bc", "axbc", "xbc"),
        ("abc", "ac", "abxc", "axc"),
        ("ab", "axb", "ayb", "axyb"),
        ("ab", "axyb", "ayzb", "axyzb"),
        ("ab", "axb", "axb", "axb"),
        ("ab", "a", "abx", "ax"),
        ("", "ab", "cd", "abcd"),
        ("", "ab", "bc", "abc"),
        ("aa", "aaa", "aa", "aaa"),
        ("abcd", "xyzd", "abcz", "xyzz"),
        ("abcd", "axyd", "abcde", "axyde"),
        ("abcde", "abxde", "aybcde", "aybxde"),
    ],
)
def test_lists_merge_by_element(base: str, ours: str, theirs: str, merged: str) -> None:
    """Changes overlap only if they touch the same element; deletions unite; insertions in one gap both stay."""
    assert both(list(base), list(ours), list(theirs)).unwrap() == list(merged)


def test_an_element_replaced_on_both_sides_is_one_question() -> None:
    """At its index in the base; what stands around it merges."""
    merged = both(["a", "b", "c"], ["0", "a", "x", "c"], ["a", "y", "c", "9"])
    assert only(merged).path == (1,)
    assert only(merged).base == "b"
    assert merged.resolve({"[1]": "z"}).unwrap() == ["0", "a", "z", "c", "9"]
    assert both(["a", "b", "c"], ["0", "a", "x", "c"], ["a", "y", "c", "9"], at=(2, 1)).unwrap() == [
        "0",
        "a",
        "x",
        "c",
        "9",
    ]


def test_k_elements_replaced_by_k_are_k_replacements() -> None:
    """Each is decided by itself."""
    merged = both(list("abcd"), list("axyd"), list("abzd"), at=(1, 2))
    assert merged.unwrap() == list("axzd")
    merged = both(list("abcd"), list("awxd"), list("ayzd"))
    assert paths(merged) == [(1,), (2,)]
    assert merged.value in (list("awxd"), list("ayzd"))


def test_elements_that_are_maps_are_walked_on() -> None:
    """Where all three are."""
    base = [{"id": 1, "q": 0, "s": ""}, {"id": 2, "q": 0, "s": ""}]
    ours = [{"id": 1, "q": 1, "s": ""}, {"id": 2, "q": 0, "s": "o"}]
    theirs = [{"id": 1, "q": 0, "s": "t"}, {"id": 2, "q": 0, "s": "t"}]
    merged = both(base, ours, theirs, at=(1, 2))
    assert merged.unwrap() == [{"id": 1, "q": 1, "s": "t"}, {"id": 2, "q": 0, "s": "t"}]
    assert paths(both(base, ours, theirs)) == [(1, "s")]


def test_elements_that_are_lists_or_sets_are_one_unit() -> None:
    """Only maps are walked on; a list in a list that both changed is a question."""
    assert paths(both([[1, 2]], [[0, 1, 2]], [[1, 2, 3]])) == [(0,)]
    assert paths(both([{1, 2}], [{1}], [{2}])) == [(0,)]
    assert paths(both([{"a": 1}], [{"a": 2}], [3])) == [(0,)]
    assert paths(both([0], [{"a": 2}], [{"b": 3}])) == [(0,)]


def test_lists_in_elements_that_are_maps_are_open_again() -> None:
    """An element that is walked on is walked to its end."""
    base, ours, theirs = [{"l": [1, 2]}], [{"l": [0, 1, 2]}], [{"l": [1, 2, 3]}]
    assert both(base, ours, theirs).unwrap() == [{"l": [0, 1, 2, 3]}]


@pytest.mark.parametrize(
    ("deletes", "value", "is_open"),
    [
        (edit_wins, ["a", "x"], False),
        (delete_wins, ["a"], False),
        (lww, ["a", "x"], False),
        (keep_both, ["a", "x"], True),
    ],
)
def test_an_element_edited_against_its_deletion_is_asked_of_deletes(
    deletes: Strategy, value: Any, is_open: bool
) -> None:
    """As a key is."""
    policy = Policy(deletes=deletes)
    merged = both(["a", "b"], ["a"], ["a", "x"], policy=policy, at=(1, 2))
    assert merged.value == value
    assert paths(merged) == [(1,)] * is_open


def test_elements_are_compared_as_values_are() -> None:
    """``True`` is not ``1``; ``1.0`` is; equal maps in two orders of keys are one element."""
    assert both([1, 2], [True, 2], [1, 2, 3]).unwrap() == [True, 2, 3]
    assert len(both([{"a": 1, "b": 2}], [{"b": 2, "a": 1}, 5], [{"a": 1, "b": 2}, 6]).unwrap()) == 3
    assert both([float("nan"), 1], [float("nan"), 1, 2], [0, float("nan"), 1]).value[0] == 0


def test_two_insertions_in_one_gap_stand_in_canonical_order() -> None:
    """Whichever device merges; what both inserted stands once."""
    assert both([], [9], [1]).unwrap() == [1, 9]
    assert both([], [1, 9], [9, 2]).unwrap() == [1, 9, 2]
    assert both([0], [0, {"a": 2}], [0, {"a": 1}]).unwrap() == [0, {"a": 1}, {"a": 2}]


def test_an_atomic_list_is_one_unit() -> None:
    """``three_way(lists="atomic")``."""
    policy = Policy(default=three_way(lists="atomic") | lww)
    base, ours, theirs = {"l": [1, 2], "m": [1]}, {"l": [0, 1, 2], "m": [1]}, {"l": [1, 2, 3], "m": [2]}
    assert both(base, ours, theirs, policy=policy, at=(2, 1)).unwrap() == {"l": [0, 1, 2], "m": [2]}
    assert paths(both(base, ours, theirs, policy=policy)) == [("l",)]


@given(*[st.lists(st.integers(0, 5), max_size=6, unique=True)] * 3)
def test_every_insertion_stays_and_every_uncontested_deletion_too(
    base: list[int], ours: list[int], theirs: list[int]
) -> None:
    """Of lists of distinct elements whose sides share only what the base has."""
    ours, theirs = [x if x in base else x + 10 for x in ours], [x if x in base else x + 20 for x in theirs]
    merged = both(base, ours, theirs, policy=Policy(deletes=edit_wins))
    shown = {*merged.value, *(c.value for conflict in merged.conflicts for c in conflict.candidates)}
    assert {*ours, *theirs} - {*base} <= shown
    if (
        {*ours} <= {*base}
        and {*theirs} <= {*base}
        and ours == [x for x in base if x in ours]
        and theirs == [x for x in base if x in theirs]
    ):
        assert merged.unwrap() == [x for x in base if x in ours and x in theirs]


# ---- tuples, named tuples, sets


class Point(NamedTuple):
    x: int = 0
    y: int = 0


class Shapes(msgspec.Struct):
    pair: tuple[int, str] = (0, "")
    many: tuple[int, ...] = ()
    point: Point = Point()
    tags: set[str] = set()
    frozen: frozenset[int] = frozenset()


def test_a_fixed_tuple_merges_by_position() -> None:
    """It has places, not elements."""
    assert both(Shapes(), Shapes((1, "")), Shapes((0, "x"))).unwrap() == Shapes((1, "x"))
    assert paths(both(Shapes(), Shapes((1, "")), Shapes((2, "x")))) == [("pair", 0)]


def test_a_tuple_of_any_length_merges_by_element() -> None:
    """As a list does, and stays a tuple."""
    assert both(Shapes(many=(1, 2)), Shapes(many=(0, 1, 2)), Shapes(many=(1, 2, 3))).unwrap() == Shapes(
        many=(0, 1, 2, 3)
    )
    assert both((1, 2), (0, 1, 2), (1, 2, 3)).unwrap() == (0, 1, 2, 3)


def test_a_named_tuple_merges_by_its_places() -> None:
    """By their names, in a record, alone, and in a list."""
    assert both(Point(), Point(1), Point(0, 2)).unwrap() == Point(1, 2)
    merged = both(Shapes(), Shapes(point=Point(1)), Shapes(point=Point(0, 2)))
    assert merged.unwrap() == Shapes(point=Point(1, 2))
    assert type(merged.value.point) is Point
    assert both([Point()], [Point(1)], [Point(0, 2)]).unwrap() == [Point(1, 2)]


def test_sets_merge_by_element_and_never_conflict() -> None:
    """What either added, without what either removed."""
    merged = both(Shapes(tags={"a", "b"}), Shapes(tags={"a", "c"}), Shapes(tags={"a", "b", "d"}))
    assert merged.unwrap() == Shapes(tags={"a", "c", "d"})
    assert (
        type(both(Shapes(), Shapes(frozen=frozenset({1})), Shapes(frozen=frozenset({2}))).unwrap().frozen) is frozenset
    )


# ---- keys of maps


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "order"),
    [
        ("abc", "axbc", "abyc", "axbyc"),
        ("ab", "xab", "aby", "xaby"),
        ("ab", "ba", "ab", "ba"),
        ("ab", "ba", "abx", "bxa"),
        ("abc", "ac", "abxc", "axc"),
        ("a", "ay", "ax", "axy"),
        ("a", "apq", "aq", "apq"),
        ("", "xy", "yz", "xyz"),
    ],
)
def test_an_added_key_follows_the_key_that_it_followed_on_its_side(
    base: str, ours: str, theirs: str, order: str
) -> None:
    """Ties are canonical, a one-sided reordering stays, and a deleted key takes only itself."""
    merged = both(*(dict.fromkeys(keys, 0) for keys in (base, ours, theirs)))
    assert "".join(merged.unwrap()) == order


def test_a_reordering_of_keys_is_kept_beside_changes_of_values() -> None:
    """Order is no value, so nobody is asked about it."""
    merged = both({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 9, "b": 2})
    assert list(merged.unwrap().items()) == [("b", 2), ("a", 9)]


@given(*[st.lists(st.sampled_from("abcd"), unique=True)] * 3)
def test_the_order_of_keys_is_the_same_whichever_side_is_ours(
    base: list[str], ours: list[str], theirs: list[str]
) -> None:
    """And holds every key that is in the value."""
    both(*(dict.fromkeys(keys, 0) for keys in (base, ours, theirs)))
    both(*(dict(zip(keys, itertools.count())) for keys in (base, ours, theirs)))


def test_a_key_may_be_anything_that_hashes() -> None:
    """Numbers and tuples are keys in Python, and steps of paths."""
    merged = both({1: 0, (2, 3): 0}, {1: 1, (2, 3): 0}, {1: 2, (2, 3): 2})
    assert paths(merged) == [(1,)]
    assert merged.resolve({(1,): 5}).unwrap() == {1: 5, (2, 3): 2}


# ---- deletions


@pytest.mark.parametrize(
    ("deletes", "at", "gone", "is_open"),
    [
        (edit_wins, None, False, False),
        (delete_wins, None, True, False),
        (lww, (2, 1), True, False),
        (lww, (1, 2), False, False),
        (lww, (1, 1), False, False),
        (keep_both, None, False, True),
        (keep_both, (2, 1), False, True),
        (None, None, False, True),
    ],
)
@pytest.mark.parametrize("where", ["key", "record", "nested"])
def test_an_edit_against_a_deletion_is_asked_of_deletes(
    where: str, deletes: Strategy | None, at: Any, gone: bool, is_open: bool
) -> None:
    """Of a key, a record, a key that holds a map; by default both are kept and the edit is shown."""

    def wrap(x: Any) -> Any:
        return x if where == "record" else {"k": x}

    old, new = (0, 1) if where == "key" else ({"a": 0, "b": 0}, {"a": 1, "b": 0})
    ours: Any = UNSET if where == "record" else {}
    merged = both(wrap(old), ours, wrap(new), policy=Policy(deletes=deletes, fields={"k": prefer("ours")}), at=at)
    assert merged.value == (ours if gone else wrap(new))
    assert bool(merged.conflicts) == is_open
    if is_open:
        conflict = only(merged)
        assert (conflict.reason, conflict.strategy) == ("edit against deletion", "keep_both")
        assert [c.value for c in conflict.candidates] == [new, UNSET]
        path = conflict.path
        assert merged.resolve({path: UNSET}).unwrap() == ours
        assert merged.resolve({path: conflict.candidates[0]}).unwrap() == wrap(new)


def test_without_times_a_deletion_under_lww_is_open_and_one_side_is_shown() -> None:
    """What ``lww`` would have decided stays open; the side chosen for the whole merge may be the deletion."""
    merged = both({"k": 0, "z": 0}, {"z": 0}, {"k": 1, "z": 0}, policy=Policy(deletes=lww))
    assert (paths(merged), merged.value) == ([("k",)], {"z": 0})
    merged = both({"z": 0, "a": 0}, {"a": 0}, {"z": 1, "a": 0}, policy=Policy(deletes=lww))
    assert (paths(merged), merged.value) == ([("z",)], {"z": 1, "a": 0})


def test_deletions_on_both_sides_and_of_what_nobody_edited_are_no_question() -> None:
    """They unite."""
    assert both({"a": 0, "b": 0, "c": 0}, {"b": 0}, {"c": 0}).unwrap() == {}
    assert both({"a": 0}, UNSET, UNSET).value is UNSET
    assert both({"a": 0}, UNSET, {"a": 0}).unwrap() is UNSET


def test_a_record_that_nobody_has_stays_absent() -> None:
    """Three times ``UNSET`` is ``UNSET``."""
    assert both(UNSET, UNSET, UNSET).unwrap() is UNSET


class Row(msgspec.Struct):
    title: str = ""
    deleted_at: int | None = None
    n: Annotated[int, counter] = 0
    __merge__: ClassVar[Policy] = Policy(deleted="deleted_at")


def test_a_soft_deletion_against_an_edit_is_open_at_the_column() -> None:
    """The edit is shown as not deleted, the other fields merge, and only the column is a question."""
    merged = both(Row("a"), Row("a", 7, 1), Row("b", None, 1), at=(2, 1))
    assert merged.value == Row("b", None, 2)
    conflict = only(merged)
    assert (conflict.path, conflict.reason) == (("deleted_at",), "edit against deletion")
    assert {candidate.value for candidate in conflict.candidates} == {7, None}


# ---- invariants


class Stock(msgspec.Struct):
    n: Annotated[int, Meta(le=10), counter] = 0
    tags: Annotated[list[str], Meta(max_length=2)] = []
    name: str = ""


class Span(msgspec.Struct, frozen=True):
    start: int = 0
    end: int = 9
    note: str = ""

    def __post_init__(self) -> None:
        if self.start > self.end:
            raise ValueError("starts after its end")


@dataclass(frozen=True)
class Window:
    start: int = 0
    end: int = 9
    note: str = ""

    def __post_init__(self) -> None:
        if self.start > self.end:
            raise ValueError("starts after its end")


class Diary(msgspec.Struct):
    span: Span = Span()
    spans: list[Span] = []
    name: str = ""


def test_a_value_out_of_its_bounds_makes_the_field_a_question() -> None:
    """A counter over its ``Meta`` bound; the rest of the record merges."""
    merged = both(Stock(), Stock(6, [], "x"), Stock(6))
    conflict = only(merged)
    assert (conflict.path, conflict.reason) == (("n",), "invariant")
    assert "10" in conflict.detail
    assert merged.value == Stock(6, [], "x")
    assert merged.resolve({"n": 10}).unwrap() == Stock(10, [], "x")
    with pytest.raises(AnswerError, match="n: "):
        merged.resolve({"n": 12})


def test_a_container_out_of_its_bounds_makes_the_field_a_question() -> None:
    """Two insertions that together are one too many."""
    merged = both(Stock(0, ["a"]), Stock(0, ["a", "b"]), Stock(0, ["a", "c"], "x"))
    assert only(merged).path == ("tags",)
    assert merged.value.tags in (["a", "b"], ["a", "c"])
    assert merged.value.name == "x"


def test_a_value_of_the_wrong_type_makes_the_field_a_question() -> None:
    """What a user's function returns is checked too."""
    policy = Policy(fields={"name": lambda base, ours, theirs: 5})
    conflict = only(both(Stock(), Stock(name="a"), Stock(name="b"), policy=policy))
    assert (conflict.path, conflict.reason) == (("name",), "invariant")


@pytest.mark.parametrize("kind", [Span, Window])
def test_an_error_of_the_record_makes_the_record_a_question(kind: Any) -> None:
    """It shows one whole side (the later), and what was open in it is part of the question."""
    merged = both(kind(), kind(8, 9, "o"), kind(0, 5, "t"), at=(1, 2))
    conflict = only(merged)
    assert (conflict.path, conflict.reason, conflict.detail) == ((), "invariant", "starts after its end")
    assert merged.value == kind(0, 5, "t")
    assert both(kind(), kind(8, 9, "o"), kind(0, 5, "t"), at=(2, 1)).value == kind(8, 9, "o")
    assert merged.resolve({(): kind(1, 2)}).unwrap() == kind(1, 2)
    assert paths(both(kind(), kind(8), kind(0, 5), policy=KEEP)) == [()]


def test_an_error_of_a_nested_record_makes_that_record_a_question() -> None:
    """In a field and in a list; the record around it merges."""
    merged = both(Diary(), Diary(Span(8)), Diary(Span(0, 5), [], "x"))
    assert paths(merged) == [("span",)]
    assert merged.value.name == "x"
    assert merged.resolve({"span": {"start": 1, "end": 2}}).unwrap() == Diary(Span(1, 2), [], "x")
    listed = both(Diary(spans=[Span()]), Diary(spans=[Span(8)]), Diary(spans=[Span(0, 5)]))
    assert paths(listed) == [("spans", 0)]


def test_an_invariant_is_never_settled_by_lww_and_answers_must_keep_it() -> None:
    """With times too it stays open; an answer that breaks it is refused."""
    assert paths(both(Diary(), Diary(Span(8)), Diary(Span(0, 5)), at=(1, 2))) == [("span",)]
    merged = both(Span(), Span(4, 9), Span(5, 9), policy=KEEP)
    assert merged.resolve({"start": 7}).unwrap() == Span(7)
    with pytest.raises(AnswerError, match="starts after its end"):
        merged.resolve({"start": 10})


def test_one_sided_changes_that_break_nothing_are_not_checked() -> None:
    """Where the merge did not combine both sides, nothing was produced."""
    wrong = Stock(99)
    assert both(Stock(), wrong, Stock()).unwrap() == wrong
    assert both(Stock(), wrong, Stock(name="x")).unwrap() == Stock(99, [], "x")


def test_an_input_that_was_already_invalid_is_reported() -> None:
    """The conflict says of which side, and shows the other."""
    bad, good = Span(note="bad"), Span(0, 8, "good")
    msgspec.structs.force_setattr(bad, "start", 50)
    for merged in (merge(Span(), bad, good, at=(9, 1)), merge(Span(), good, bad, at=(1, 9), names=("theirs", "ours"))):
        conflict = only(merged)
        assert (conflict.path, conflict.reason) == ((), "invariant")
        assert "already so in ours" in conflict.detail
        assert merged.value == good


def test_a_model_of_plain_data_is_checked_too() -> None:
    """``model=dict[...]`` and ``list[...]`` with bounds."""
    kind = dict[str, Annotated[int, Meta(le=5)]]
    policy = Policy(fields={"*": counter})
    merged = both({"a": 0}, {"a": 3}, {"a": 3}, model=kind, policy=policy)
    assert (paths(merged), merged.value) == ([("a",)], {"a": 3})
    bounded: Any = Annotated[list[int], Meta(max_length=2)]
    assert paths(both([1], [1, 2], [0, 1], model=bounded)) == [()]


# ---- Merged


def open_three() -> Merged[Any]:
    base, ours, theirs = ({"a": {"x": n, "y": n}, "b": n, "c": n if n == 1 else 0} for n in (0, 1, 2))
    return both(base, ours, theirs)


def test_unwrap_is_the_value_or_an_error_that_lists_every_question() -> None:
    """Raising is something that the caller opts into."""
    assert both({"a": 0}, {"a": 1}, {"a": 0}).unwrap() == {"a": 1}
    with pytest.raises(MergeConflict, match=r"3 open: a\.x .*a\.y .*b ") as caught:
        open_three().unwrap()
    assert caught.value.conflicts == open_three().conflicts


@pytest.mark.parametrize(
    ("answers", "value", "left"),
    [
        ({"b": 9}, {"b": 9}, [("a", "x"), ("a", "y")]),
        ({("b",): 9}, {"b": 9}, [("a", "x"), ("a", "y")]),
        ({"a": {"x": 7}}, {"a": {"x": 7}}, [("b",)]),
        ({"a.x": 7, "a.y": 8, "b": 9}, {"a": {"x": 7, "y": 8}, "b": 9, "c": 1}, []),
        ({"b": UNSET, "a": UNSET}, {"c": 1}, []),
        ({"": {"z": 1}}, {"z": 1}, []),
        ({(): {"z": 1}}, {"z": 1}, []),
        ({"b": None}, {"b": None}, [("a", "x"), ("a", "y")]),
    ],
)
def test_an_answer_settles_everything_at_or_below_its_path(answers: Any, value: Any, left: list[Any]) -> None:
    """A value, or ``UNSET``; what is not answered stays open."""
    merged = open_three().resolve(answers)
    assert paths(merged) == left
    assert {key: merged.value.get(key) for key in value} == value
    if not left:
        assert merged.unwrap() == value


def test_a_candidate_is_an_answer_to_its_own_conflict() -> None:
    """And to no other."""
    merged = open_three()
    first, second, third = merged.conflicts
    for candidate in first.candidates:
        assert merged.resolve({first.path: candidate}).value["a"]["x"] == candidate.value
    with pytest.raises(AnswerError, match="another conflict"):
        merged.resolve({third.path: msgspec.structs.replace(first.candidates[0], value=77)})
    with pytest.raises(AnswerError, match="another conflict"):
        merged.resolve({"a": first.candidates[0]})
    assert second.path == ("a", "y")


def test_answers_may_be_given_one_after_another() -> None:
    """The earlier ones stand, and the first result is what it was."""
    merged = open_three()
    step = merged.resolve({"a.x": 5})
    assert step.resolve({"a.y": 6}).resolve({"b": 7}).unwrap() == {"a": {"x": 5, "y": 6}, "b": 7, "c": 1}
    assert paths(merged) == [("a", "x"), ("a", "y"), ("b",)]
    assert merged.value == open_three().value


@pytest.mark.parametrize("path", ["c", "zz", "a.x.deeper", "a.z", "a[0]", "a..x", ("b", "c")])
def test_an_answer_where_nothing_is_open_is_an_error(path: Any) -> None:
    """It lists what is open, or says that the text is no path."""
    with pytest.raises(AnswerError, match=r"open: a\.x, a\.y, b|is no path"):
        open_three().resolve({path: 1})


def test_nothing_is_open_in_a_merge_without_conflicts() -> None:
    """So every answer is an error."""
    with pytest.raises(AnswerError):
        both({"a": 0}, {"a": 1}, {"a": 0}).resolve({"a": 2})
    with pytest.raises(AnswerError):
        open_three().resolve({"b": 1}).resolve({"b": 2})


def test_two_answers_of_which_one_lies_below_the_other_are_refused() -> None:
    """One of them would be dropped without a word."""
    with pytest.raises(AnswerError):
        open_three().resolve({"a": {"x": 1, "y": 1}, "a.x": 5})


def test_an_answer_becomes_the_fields_type() -> None:
    """A dictionary becomes the model, text a date; what does not fit is an error with the path."""

    class Visit(msgspec.Struct):
        day: dt.date

    merged = both(Visit(dt.date(2024, 1, 1)), Visit(dt.date(2024, 1, 2)), Visit(dt.date(2024, 1, 3)))
    assert merged.resolve({"day": "2024-05-05"}).unwrap() == Visit(dt.date(2024, 5, 5))
    with pytest.raises(AnswerError, match="day: ") as caught:
        merged.resolve({"day": "soon"})
    assert caught.value.path == ("day",)
    with pytest.raises(AnswerError):
        merged.resolve({"day": UNSET})
    whole = both(Diary(), Diary(Span(8)), Diary(Span(0, 5)))
    assert whole.resolve({"": {"name": "new"}}).unwrap() == Diary(name="new")


def test_an_answer_that_nests_too_deep_is_refused() -> None:
    """The bound holds for all that comes in."""
    with pytest.raises((TooDeep, AnswerError)):
        open_three().resolve({"b": nested(MAX_DEPTH + 1)})


@pytest.mark.parametrize(
    ("base", "ours", "theirs"),
    [
        ({"a": 0, "b": 0}, {"a": 1, "b": 0}, {"a": 0, "b": 2}),
        ({"a": 0, "b": 0}, {"a": 1}, {"b": 0}),
        ({"a": 0}, {"a": 1}, {"a": 2}),
        ({"a": {"x": 0, "y": 0}}, {"a": {"x": 1, "y": 0}}, {"a": {"x": 0, "y": 2}}),
        (UNSET, {"a": 1}, UNSET),
        ({"a": 1}, {"a": 1}, {"a": 1.0}),
    ],
)
def test_a_patch_makes_each_side_the_merged_record(base: Any, ours: Any, theirs: Any) -> None:
    """What is in it is put over the side by column, ``UNSET`` taken away."""
    merged = both(base, ours, theirs)
    for side, name in ((ours, "ours"), (theirs, "theirs")):
        patch = merged.patch(name)
        assert isinstance(patch, dict)
        patched = {key: value for key, value in ({} if side is UNSET else side | patch).items() if value is not UNSET}
        assert (patched or patch) == merged.value
        assert not any(key in side and same(side[key], value) for key, value in patch.items() if side is not UNSET)


def test_a_patch_goes_by_the_names_of_sides_and_columns() -> None:
    """Encoded names; an unknown side is an error that lists the sides."""

    class User(msgspec.Struct, rename="camel"):
        first_name: str = ""
        last_name: str = ""

    merged = merge(User(), User("a"), User("", "b"), names=("phone", "server"))
    assert merged.patch("server") == {"firstName": "a"}
    assert merged.patch("phone") == {"lastName": "b"}
    with pytest.raises(InvalidInput, match="'phone' and 'server'"):
        merged.patch("ours")
    with pytest.raises(InvalidInput):
        merge(0, 1, 0).patch("ours")


def test_a_patch_of_a_deleted_record_is_unset() -> None:
    """Where the whole record is to be deleted; nothing where it is deleted already."""
    merged = merge({"a": 0}, UNSET, {"a": 0})
    assert merged.patch("theirs") is UNSET
    assert merged.patch("ours") == {}


def test_explain_says_what_decided_and_what_was_lost() -> None:
    """Of each field that was not simply one-sided."""
    policy = Policy(
        fields={"n": counter, "open": keep_both, "same": keep_both, "p": largest | lww}, deletes=delete_wins
    )
    base, ours, theirs = (
        {"t": n, "n": n, "open": n, "same": min(n, 1), "p": "p" * n, "one": 0, "gone": 0} for n in (0, 1, 2)
    )
    del ours["gone"]
    theirs["gone"], ours["one"] = 1, 5
    merged = both(base, ours, theirs, policy=policy, at=(1, 2))
    found = {verdict.path[0]: verdict for verdict in merged.explain()}
    assert {name: verdict.decided_by for name, verdict in found.items()} == {
        "t": "lww", "n": "counter", "open": "open", "same": "equal", "p": "largest", "gone": "delete_wins",
    }  # fmt: skip
    assert {name: [c.value for c in verdict.lost] for name, verdict in found.items()} == {
        "t": [1], "n": [], "open": [], "same": [], "p": ["p"], "gone": [1],
    }  # fmt: skip
    assert (found["t"].base, found["t"].value, found["t"].lost[0].name) == (0, 2, "ours")
    assert {v.path[0]: v.decided_by for v in merged.resolve({"open": 9}).explain()}["open"] == "answer"


def test_explain_changes_nothing() -> None:
    """It is the same merge again, with a record kept."""
    merged = open_three()
    before = (copy.deepcopy(merged.value), merged.conflicts)
    assert [v.path for v in merged.explain() if v.decided_by == "open"] == paths(merged)
    assert merged.explain() == merged.explain()
    assert (merged.value, merged.conflicts) == before


def test_every_value_that_lost_is_named() -> None:
    """In the value, among the candidates, or lost by a part that the verdict names; a function is named too."""
    merged = both({"a": "0"}, {"a": "1"}, {"a": "2"}, policy=FUNCTION)
    assert merged.unwrap() == {"a": "0<1<2"}
    (verdict,) = merged.explain()
    assert "lambda" in verdict.decided_by


# ---- inputs and outputs


def test_unchanged_parts_are_shared_and_nothing_is_copied_for_its_own_sake() -> None:
    """The output may hold parts of the inputs, which are never changed."""
    big = {"deep": [1, 2, 3]}
    ours, theirs = {"big": big, "a": 1, "b": 0}, {"big": big, "a": 0, "b": 2}
    merged = merge({"big": big, "a": 0, "b": 0}, ours, theirs)
    assert merged.value["big"] is big
    assert merge({"a": 0}, ours, {"a": 0}).value is ours


def test_the_names_of_the_sides_are_the_candidates() -> None:
    """And they are what ``prefer`` goes by."""
    conflict = only(both({"a": 0}, {"a": 1}, {"a": 2}, names=("phone", "server")))
    assert {candidate.name: candidate.value for candidate in conflict.candidates} == {"phone": 1, "server": 2}
    assert [candidate.value for candidate in conflict.candidates] == [2, 1]
    assert all(candidate.by is None and candidate.stamp is None for candidate in conflict.candidates)


@pytest.mark.parametrize("names", [("a", "a"), ("a",), ("a", "b", "c"), "ab", ("a", ""), ("a", 1), None])
def test_two_different_names_are_needed(names: Any) -> None:
    """Else nobody could tell the candidates apart."""
    with pytest.raises(InvalidInput, match="different names"):
        merge({"a": 0}, {"a": 1}, {"a": 2}, names=names)


def test_a_model_converts_all_sides_first() -> None:
    """Plain JSON, instances, in any mixture; the value is an instance."""
    merged = both({"name": "a"}, Stock(0, [], "b"), {"name": "a", "n": 3}, model=Stock)
    assert merged.unwrap() == Stock(3, [], "b")
    assert merge(UNSET, {"name": "a"}, UNSET, model=Stock).unwrap() == Stock(name="a")


def test_sides_of_different_kinds_need_a_model() -> None:
    """A record and a dictionary are not compared field by field unless ``model=`` says what both are."""
    with pytest.raises(InvalidInput, match="model="):
        merge(Stock(), Stock(1), {"n": 1})
    with pytest.raises(InvalidInput, match="model="):
        merge(Stock(), Span(), Stock())


def test_a_policy_of_a_record_is_found_without_a_model() -> None:
    """An instance knows its class."""
    assert both(Row(), Row("", None, 1), Row("", None, 2)).unwrap() == Row("", None, 3)
    assert both(UNSET, UNSET, Row("a")).unwrap() == Row("a")


# ---- depth


def nested(levels: int, leaf: Any = 0, wrap: Callable[[Any], Any] = lambda x: {"k": x}) -> Any:
    for _ in range(levels):
        leaf = wrap(leaf)
    return leaf


class Link(msgspec.Struct):
    next: Link | None = None
    n: int = 0


@dataclass
class Chain:
    next: Chain | None = None
    n: int = 0


WRAPS: list[Any] = [
    pytest.param(lambda x: {"k": x}, lambda n: {"k": n}, id="maps"),
    pytest.param(lambda x: [x], lambda n: [n], id="lists"),
    pytest.param(Link, lambda n: Link(None, n), id="structs"),
    pytest.param(Chain, lambda n: Chain(None, n), id="dataclasses"),
]


@pytest.mark.parametrize(("wrap", "leaf"), WRAPS)
def test_two_hundred_levels_merge(wrap: Any, leaf: Any) -> None:
    """What the bound lets in is merged, explained and resolved, whatever is nested in what."""
    base, ours, theirs = (nested(MAX_DEPTH - 1, leaf(n), wrap) for n in range(3))
    merged = merge(base, ours, theirs)
    (conflict,) = merged.conflicts
    assert len(merged.explain()) == 1
    assert equal(merged.resolve({conflict.path: conflict.candidates[0]}).unwrap(), theirs)
    assert equal(merge(base, ours, theirs, at=(2, 1)).unwrap(), ours)


def test_two_hundred_levels_of_maps_in_lists_merge() -> None:
    """Where elements are walked on, every level is the walk's own."""
    base, ours, theirs = (nested(MAX_DEPTH // 2, n, lambda x: {"k": [x]}) for n in range(3))
    assert len(only(merge(base, ours, theirs)).path) == MAX_DEPTH


@pytest.mark.parametrize("side", [0, 1, 2])
@pytest.mark.parametrize(("wrap", "leaf"), WRAPS)
def test_beyond_two_hundred_levels_is_a_named_error_before_any_work(wrap: Any, leaf: Any, side: int) -> None:
    """Whichever side it is, no strategy is asked."""

    def never(base: Any, ours: Any, theirs: Any) -> Any:
        raise AssertionError

    sides = [leaf(n) for n in range(3)]
    sides[side] = nested(MAX_DEPTH, leaf(9), wrap)
    name = ("base", "ours", "theirs")[side]
    with pytest.raises(TooDeep, match=f"{name} nests deeper than 200 levels"):
        merge(sides[0], sides[1], sides[2], policy=Policy(default=three_way() | never))


def test_an_exception_of_a_strategy_deep_down_has_its_path() -> None:
    """The whole of it."""

    def broken(base: Any, ours: Any, theirs: Any) -> Any:
        raise KeyError("x")

    policy = Policy(default=three_way() | broken)
    with pytest.raises(StrategyError) as caught:
        merge({"a": [{"b": 0}]}, {"a": [{"b": 1}]}, {"a": [{"b": 2}]}, policy=policy)
    assert caught.value.path == ("a", 0, "b")


def test_many_conflicts_cost_no_more_each_in_a_larger_record() -> None:
    """Choosing the side that is shown is done once for a merge, not once for a conflict."""
    calls = 0

    class Counted(int):
        def __repr__(self) -> str:
            nonlocal calls
            calls += 1
            return super().__repr__()

        __str__ = __repr__

    def record(n: int) -> dict[str, Any]:
        return {f"k{i}": Counted(n * 1000 + i) for i in range(50)}

    merged = merge(record(1), record(2), record(3))
    assert len(merged.conflicts) == 50
    assert calls < 50 * 20


def test_first_writer_wins_over_the_whole_record() -> None:
    """A default of one part applies to every field."""
    base, ours, theirs = ({"a": n, "b": n} for n in (0, 1, 2))
    assert both(base, ours, theirs, policy=Policy(default=fww), at=(1, 2)).unwrap() == ours
