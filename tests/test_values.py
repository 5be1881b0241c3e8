"""Equality and the canonical order: what counts as a change, and who wins a tie."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import math
from collections import OrderedDict
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergecore import UNSET, InvalidInput, TooDeep
from mergecore.values import (
    MAX_DEPTH,
    as_map,
    canonical,
    check_depth,
    check_value,
    equal,
    identity,
    is_number,
    larger,
    same,
)

NAN = float("nan")


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Point(msgspec.Struct):
    x: Any
    y: Any = 0


class Twin(msgspec.Struct):
    x: Any
    y: Any = 0


class Maybe(msgspec.Struct, rename="camel"):
    is_set: int | msgspec.UnsetType = UNSET


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclasses.dataclass
class Spot:
    x: Any
    y: Any = 0


class Mute:
    """An object whose text differs from process to process."""


ATOMS = st.one_of(
    st.sampled_from([UNSET, None, True, False, 0, 1, 2, 0.0, -0.0, 1.0, NAN, math.inf, "", "a", "1", b"", b"a"]),
    st.sampled_from([Decimal(0), Decimal(1), Decimal("1.0"), Decimal("NaN"), Color.RED, Color.BLUE, Level.LOW]),
    st.sampled_from([dt.date(2024, 1, 1), dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=dt.UTC)]),
    st.sampled_from([dt.datetime(2024, 1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1)))]),
)
FLAT = st.sampled_from([True, False, 0, 1, 1.0, "a", None, NAN, Color.RED, Decimal(1)])
VALUES = st.recursive(
    ATOMS | st.sets(FLAT, max_size=3) | st.frozensets(FLAT, max_size=3),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.sampled_from(["a", "b", ""]), inner, max_size=3),
        st.builds(Point, inner, inner),
        st.builds(Twin, inner),
        st.builds(Spot, inner),
        st.builds(Pair, inner, inner),
    ),
    max_leaves=6,
)

# ---- equality


@pytest.mark.parametrize(("a", "b"), [*itertools.combinations([UNSET, None, "", [], {}, (), set(), 0, False, b""], 2)])
def test_missing_none_and_the_empty_values_are_all_different(a: Any, b: Any) -> None:
    """Missing, ``None`` and empty are three things, and so are empty values of different kinds."""
    assert not equal(a, b)
    assert not equal(b, a)
    assert identity(a) != identity(b)


@pytest.mark.parametrize(("a", "b"), [(True, 1), (False, 0), (True, 1.0), (False, -0.0), (True, Decimal(1))])
def test_a_boolean_never_equals_a_number(a: bool, b: Any) -> None:
    """Python says ``True == 1``; to a person who ticked a box they are two answers."""
    for wrap in (lambda x: x, lambda x: [x], lambda x: {"k": x}, lambda x: {x}, Point, lambda x: (x,)):
        assert not equal(wrap(a), wrap(b))
        assert not equal(wrap(b), wrap(a))


@pytest.mark.parametrize(
    ("a", "b"), [(1, 1.0), (1, Decimal("1.00")), (0.0, -0.0), (NAN, float("nan")), (NAN, Decimal("NaN"))]
)
def test_numbers_are_equal_by_what_they_count(a: Any, b: Any) -> None:
    """``1`` and ``1.0`` are equal, ``0.0`` and ``-0.0`` are, and NaN equals NaN, at any depth."""
    for wrap in (lambda x: x, lambda x: [x], lambda x: {"k": [x]}, lambda x: {x}, Point, Spot, lambda x: Pair(x, 0)):
        assert equal(wrap(a), wrap(b))
        assert identity(wrap(a)) == identity(wrap(b))


def test_unequal_numbers_are_unequal_however_near() -> None:
    """Equality is exact: no rounding through floats."""
    assert not equal(2**53 + 1, float(2**53))
    assert not equal(Decimal("0.1"), 0.1)


def test_maps_are_equal_without_regard_to_the_order_of_keys() -> None:
    """Equality ignores the order of keys, which the canonical order does not."""
    a, b = {"x": 1, "y": [2]}, {"y": [2], "x": 1}
    assert equal(a, b)
    assert not same(a, b)
    assert canonical(a) != canonical(b)
    assert equal(a, OrderedDict(b))


def test_a_map_with_none_differs_from_a_map_without_the_key() -> None:
    """A key that holds ``None`` is not a key that is missing."""
    assert not equal({"a": None}, {})
    assert not equal({"a": None}, {"b": None})


def test_lists_and_tuples_are_different_kinds_and_keep_their_order() -> None:
    """A list equals no tuple, and its order counts."""
    assert not equal([1, 2], (1, 2))
    assert not equal([1, 2], [2, 1])
    assert not equal([1], [1, 1])


def test_sets_are_equal_by_their_elements() -> None:
    """A set and a frozenset of the same elements are equal; True in a set is not 1."""
    assert equal({1, 2}, frozenset((2, 1)))
    assert equal({1}, {1.0})
    assert not equal({True}, {1})
    assert equal({(True, 1)}, {(True, 1.0)})


def test_records_are_equal_by_class_and_fields() -> None:
    """A record equals another of its class with equal fields, and neither its look-alike nor its dictionary."""
    assert equal(Point(1, [2]), Point(1.0, [2]))
    assert not equal(Point(1), Twin(1))
    assert not equal(Point(1), Spot(1))
    assert not equal(Point(1), {"x": 1, "y": 0})
    assert equal(Spot(NAN), Spot(NAN))


def test_an_unset_field_is_missing() -> None:
    """A record's map leaves out what is unset, and goes by encoded names."""
    assert as_map(Maybe()) == {}
    assert as_map(Maybe(3)) == {"isSet": 3}
    assert as_map([1]) is None


def test_enum_members_equal_only_themselves() -> None:
    """An enum member is neither its value nor a number, even of an ``IntEnum``."""
    assert equal(Color.RED, Color.RED)
    assert not equal(Color.RED, "red")
    assert not equal(Level.LOW, 1)
    assert not is_number(Level.LOW)
    assert not is_number(True)
    assert is_number(1)
    assert is_number(Decimal(1))


def test_one_moment_in_two_zones_is_equal_and_two_spellings() -> None:
    """Aware times are equal by the moment; the canonical order still tells them apart."""
    utc = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    other = dt.datetime(2024, 1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1)))
    assert equal(utc, other)
    assert not same(utc, other)
    assert not equal(utc, utc.replace(tzinfo=None))


@given(VALUES, VALUES)
def test_identity_agrees_with_equal(a: Any, b: Any) -> None:
    """Two values have one identity exactly where they are equal, and it hashes."""
    assert equal(a, b) == (identity(a) == identity(b))
    if equal(a, b):
        assert hash(identity(a)) == hash(identity(b))


@given(VALUES, VALUES, VALUES)
def test_equality_is_an_equivalence(a: Any, b: Any, c: Any) -> None:
    """Reflexive, symmetric and transitive."""
    assert equal(a, a)
    assert equal(a, b) == equal(b, a)
    if equal(a, b) and equal(b, c):
        assert equal(a, c)


@given(VALUES, VALUES)
def test_same_implies_equal(a: Any, b: Any) -> None:
    """What is spelled alike is equal; the order of keys and the type of numbers tell spellings apart."""
    assert same(a, a)
    assert same(a, b) == same(b, a)
    if same(a, b):
        assert equal(a, b)
        assert canonical(a) == canonical(b)


@given(VALUES)
def test_a_copy_is_the_same(a: Any) -> None:
    """Nothing depends on which object it is."""

    def copied(x: Any) -> Any:
        if isinstance(x, dict):
            return {key: copied(below) for key, below in x.items()}
        if isinstance(x, Pair):
            return Pair(copied(x.left), copied(x.right))
        if isinstance(x, (list, tuple, set, frozenset)):
            return type(x)(copied(below) for below in x)
        if isinstance(x, (Point, Twin, Spot)):
            return type(x)(copied(x.x), copied(x.y))
        return float("nan") if isinstance(x, float) and math.isnan(x) else x

    assert equal(a, copied(a))
    assert same(a, copied(a))


# ---- the canonical order


@given(VALUES, VALUES, VALUES)
def test_the_canonical_order_is_total(a: Any, b: Any, c: Any) -> None:
    """Any two values compare, transitively, and are level only if they are spelled alike."""
    x, y, z = canonical(a), canonical(b), canonical(c)
    assert (x < y) + (x == y) + (x > y) == 1
    if x <= y and y <= z:
        assert x <= z
    assert (x == y) == same(a, b)


@given(VALUES, VALUES)
def test_a_tie_has_one_winner_whichever_side_asks(a: Any, b: Any) -> None:
    """The larger of two values does not depend on the order of the question."""
    assert same(larger(a, b), larger(b, a))


@given(VALUES)
def test_unset_is_the_smallest(a: Any) -> None:
    """Every value wins over no value."""
    assert larger(a, UNSET) is a
    assert larger(UNSET, a) is a
    assert a is UNSET or canonical(UNSET) < canonical(a)


def test_the_order_is_by_type_then_by_text() -> None:
    """Numbers of one type compare as text, and types by name: fixed for ever, however odd it looks."""
    assert larger(9, 10) == 9
    assert larger("b", "a") == "b"
    assert larger("", 99) == ""
    assert canonical(1) != canonical(1.0)
    assert canonical(0.0) != canonical(-0.0)
    assert canonical(Decimal("1.0")) != canonical(Decimal("1.00"))


def test_a_set_has_one_place_whatever_its_iteration_order() -> None:
    """The order of a set's elements in memory does not show."""
    elements = ["a", "b", 1, None, 2.5, "zz"]
    spellings = {canonical(set(order)) for order in itertools.permutations(elements)}
    assert len(spellings) == 1


def test_an_object_without_a_text_of_its_own_has_no_place() -> None:
    """A default repr holds an address, so it would order values differently on every device."""
    with pytest.raises(InvalidInput, match=r"\[0\]: ours holds a Mute"):
        check_value([Mute()], "ours")


# ---- depth


def _nested(levels: int, leaf: Any = 0, wrap: Any = None) -> Any:
    for _ in range(levels):
        leaf = [leaf] if wrap is None else wrap(leaf)
    return leaf


@pytest.mark.parametrize("wrap", [lambda x: [x], lambda x: {"k": x}, Point, Spot, lambda x: (x,), lambda x: Pair(0, x)])
def test_two_hundred_levels_are_taken_and_one_more_is_refused(wrap: Any) -> None:
    """The bound is exact, for containers of every kind."""
    check_depth(_nested(MAX_DEPTH, wrap=wrap), "ours")
    with pytest.raises(TooDeep, match="ours nests deeper than 200"):
        check_depth(_nested(MAX_DEPTH + 1, wrap=wrap), "ours")


@pytest.mark.parametrize("wrap", [lambda x: [x], lambda x: {"k": x}, Point, Spot, lambda x: (x,)])
def test_values_of_two_hundred_levels_compare(wrap: Any) -> None:
    """What the bound lets in, every function of values can take."""
    a, b, c = (_nested(MAX_DEPTH, leaf, wrap) for leaf in (0, 0, 1))
    assert equal(a, b)
    assert same(a, b)
    assert identity(a) == identity(b)
    assert not equal(a, c)
    assert larger(a, c) is larger(c, a)


def test_the_bound_is_of_the_deepest_branch() -> None:
    """Width costs nothing, and a deep branch is found behind shallow ones."""
    check_depth([[[]] * 1000, {"k": [1]}], "ours")
    with pytest.raises(TooDeep) as caught:
        check_depth({"wide": [[]] * 3, "deep": _nested(MAX_DEPTH)}, "theirs")
    assert caught.value.path[0] == "deep"


def test_a_value_that_contains_itself_is_too_deep() -> None:
    """A cycle ends in the named error, not in a hang."""
    cycle: list[Any] = []
    cycle.append({"again": cycle})
    with pytest.raises(TooDeep):
        check_depth(cycle, "base")
