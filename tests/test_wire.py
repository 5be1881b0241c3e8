"""Values as histories keep them, and their bytes: every kind comes back as itself, and is spelled in one way."""

from __future__ import annotations

import datetime as dt
import enum
import random
import zoneinfo
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import pytest
from conftest import named
from hypothesis import example, given
from hypothesis import strategies as st

from mergecore import UNSET, InvalidInput, TooDeep
from mergecore.values import canonical, same
from mergecore.wire import PRESENT, pack, plain, unpack

pytestmark = pytest.mark.filterwarnings("error")

TEXTS = st.text(st.characters(codec=None), max_size=8)  # lone surrogates, too
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(1 << 70), 1 << 70),
    st.sampled_from([(1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1 << 64, -(1 << 63), -(1 << 63) - 1, 10**400]),
    st.floats(),
    TEXTS,
    st.binary(max_size=8),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.integers(-86_399, 86_399).map(lambda s: dt.timezone(dt.timedelta(seconds=s)))),
    st.times(),
    st.timedeltas(),
    st.decimals(),
    st.uuids(),
)
HASHABLE = st.recursive(
    SCALARS.filter(lambda x: not (isinstance(x, Decimal) and x.is_snan())),
    lambda below: st.one_of(st.tuples(below, below), st.frozensets(below, max_size=3)),
    max_leaves=4,
)
VALUES = st.recursive(
    SCALARS,
    lambda below: st.one_of(
        st.lists(below, max_size=4),
        st.dictionaries(TEXTS, below, max_size=4),
        st.dictionaries(HASHABLE, below, max_size=3),
        st.sets(HASHABLE, max_size=4),
    ),
    max_leaves=12,
)


@given(VALUES)
@example({"a": "\ud800", "b": {"c": 1}})
@example({1: {"\udfff": {frozenset({(1, "\ud800")})}}})
@example([Decimal("sNaN"), Decimal("-0"), -0.0, float("nan")])
def test_values_come_back_from_bytes(value: Any) -> None:
    """As what they were, to the letter; their bytes are those of what comes back."""
    held = plain(value)
    data = pack(held)
    again = unpack(data)
    assert same(again, held) and canonical(again) == canonical(held)
    assert pack(again) == data and same(plain(held), held)


@given(VALUES)
def test_what_is_kept_shares_nothing_that_can_change(value: Any) -> None:
    """Whatever is done to a value afterwards, what was made of it stays."""
    held = plain(value)
    before = pack(held)
    known: set[int] = set()

    def containers(x: Any) -> None:
        if isinstance(x, (list, dict, set)):
            known.add(id(x))
            for below in x.values() if isinstance(x, dict) else x:
                containers(below)

    def shared(x: Any) -> bool:
        inside = x.values() if isinstance(x, dict) else x if isinstance(x, (list, set)) else ()
        return id(x) in known or any(map(shared, inside))

    containers(value)
    assert not shared(held)
    assert pack(held) == before


@given(st.lists(HASHABLE, unique_by=canonical, max_size=6), st.randoms(use_true_random=False))
def test_a_set_has_one_spelling(elements: list[Any], shuffle: random.Random) -> None:
    """Whatever the order in which its elements came, and whatever the hash seed."""
    mixed = elements[:]
    shuffle.shuffle(mixed)
    one, other = set(elements), set(mixed)
    if {repr(x) for x in one} == {repr(x) for x in other}:  # of 1 and True, a set keeps the first
        assert pack(plain(one)) == pack(plain(other))
    assert pack(unpack(pack(plain(one)))) == pack(plain(one))


@given(VALUES, VALUES)
def test_bytes_tell_values_apart(one: Any, other: Any) -> None:
    """Different spellings have different bytes: 1, 1.0 and True; the order of keys; a set and a list."""
    one, other = plain(one), plain(other)
    if not same(one, other):
        assert pack(one) != pack(other)


@pytest.mark.parametrize(
    "values",
    [
        (1, 1.0, True, Decimal(1), "1", b"1"),
        (0, False, None, "", b"", [], {}, set(), UNSET),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1: 0}, {"1": 0}, {(1,): 0}, {True: 0}),
        ([1], {1}, {1: None}, (1,), frozenset({1})),
        (0.0, -0.0),
        (Decimal("1.0"), Decimal("1.00")),
        (dt.date(2026, 1, 2), dt.datetime(2026, 1, 2), "2026-01-02"),
        (dt.datetime(2026, 1, 2), dt.datetime(2026, 1, 2, tzinfo=dt.UTC)),
        ("a", "\ud800", PRESENT, "PRESENT", "<record>"),
        (1 << 64, str(1 << 64)),
    ],
    ids=named,
)
def test_what_is_easily_confused_is_not(values: tuple[Any, ...]) -> None:
    """Each has bytes of its own, and comes back as what it was."""
    assert len({pack(value) for value in values}) == len(values)
    for value in values:
        again = unpack(pack(value))
        assert type(again) is type(value) and canonical(again) == canonical(value)


def test_numbers_of_any_length_are_kept() -> None:
    """Also of more digits than Python writes out."""
    for number in (10**5_000, -(10**5_000), (1 << 200_000) - 1):
        assert unpack(pack(plain([number]))) == [number]


class Colour(enum.Enum):
    """An enum of texts."""

    RED = "red"


class Level(enum.IntEnum):
    """One of numbers."""

    LOW = 1


class Right(enum.IntFlag):
    """Flags."""

    READ = 1
    WRITE = 2


class Point(msgspec.Struct):
    """A record."""

    x: int = 0
    y: Any = UNSET


class Tagged(msgspec.Struct, tag="t", tag_field="kind"):
    """A record with a tag."""

    x: int = 0


class Row(msgspec.Struct, array_like=True, tag=True):
    """A record that is written as a list."""

    x: int = 0
    y: Any = UNSET


class Named(NamedTuple):
    """A tuple with names."""

    a: int
    b: Any = None


class Text(str):
    """A text of a library's own."""


class Number(float):
    """A number of a library's own, as numpy has them."""


class Moment(dt.datetime):
    """A moment of a library's own, as pandas has them."""


VIENNA = zoneinfo.ZoneInfo("Europe/Vienna")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, (2,)), [1, [2]]),
        (frozenset({1}), {1}),
        ({(1, (2, 3)): 0}, {(1, (2, 3)): 0}),
        ({frozenset({1}): 0}, {frozenset({1}): 0}),
        (Colour.RED, "red"),
        ({Colour.RED: Level.LOW}, {"red": 1}),
        (Right.READ | Right.WRITE, 3),
        (Point(1), {"x": 1}),
        (Point(1, Point(2)), {"x": 1, "y": {"x": 2}}),
        ([Tagged(3)], [{"kind": "t", "x": 3}]),
        (Row(1), ["Row", 1]),
        (Row(1, 2), ["Row", 1, 2]),
        (Named(1, {2}), [1, {2}]),
        (Text("a"), "a"),
        (Number(1.5), 1.5),
        ({"a": UNSET, "b": 1}, {"b": 1}),
        (bytearray(b"x"), b"x"),
        (memoryview(b"x"), b"x"),
        (OrderedDict(a=1), {"a": 1}),
        (defaultdict(int, a=1), {"a": 1}),
        (Moment(2026, 1, 2, 3), dt.datetime(2026, 1, 2, 3)),
        (
            dt.datetime(2026, 7, 1, tzinfo=VIENNA),
            dt.datetime(2026, 7, 1, tzinfo=dt.timezone(dt.timedelta(hours=2))),
        ),
        (
            dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=VIENNA),
            dt.datetime(2026, 10, 25, 2, 30, tzinfo=dt.timezone(dt.timedelta(hours=1))),
        ),
    ],
    ids=named,
)
def test_values_are_kept_without_classes(value: Any, expected: Any) -> None:
    """So that an app that does not know them joins the same bytes."""
    held = plain(value)
    assert repr(held) == repr(expected) and type(held) is type(expected)
    assert same(unpack(pack(held)), held)


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda: {"a": [0, object()]}, ("a", 1)),
        (lambda: {"a": {"b": lambda: 0}}, ("a", "b")),
        (lambda: [{Point(1).__class__}], (0,)),
        (lambda: {"a": 1j}, ("a",)),
        (lambda: {"a": iter([])}, ("a",)),
    ],
    ids=named,
)
def test_what_cannot_be_stored_is_named_by_its_place(make: Callable[[], Any], path: tuple[Any, ...]) -> None:
    """An object that no encoding knows."""
    with pytest.raises(InvalidInput, match="cannot be stored") as caught:
        plain(make())
    assert caught.value.path == path


def test_a_value_that_contains_itself_is_too_deep() -> None:
    """As is one of more than 200 levels."""
    loop: list[Any] = []
    loop.append(loop)
    deep: Any = 0
    for _ in range(5_000):
        deep = {"a": deep}
    for value in (loop, deep):
        with pytest.raises(TooDeep, match="200 levels"):
            plain(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\xc0\xc0",
        b"\xd4\x63\x00",  # an extension that nobody has heard of
        b"\xd4\x03\x00",  # a date of one byte
        b"\xc7\x03\x07abc",  # a decimal that is none
        b"\xd4\x08\x00",  # half a UUID
        b"\xd4\x01\x91",  # a set that is no list
        b"\xd4\x0a\x05",  # a map of a number
        b"\xc7\x02\x01\x91\x80",  # a set that holds a map
        b"\xd4\x0d\xff",  # a text that is none
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\x91" * 100_000,
        b"\x81\xa0" * 100_000,
    ],
    ids=lambda data: repr(data[:8]),
)
def test_bytes_of_no_value_are_refused(data: bytes) -> None:
    """By name; whatever was wrong inside."""
    with pytest.raises(InvalidInput):
        unpack(data)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_value_or_refused(data: bytes) -> None:
    """And what is let in has bytes."""
    try:
        value = unpack(data)
    except InvalidInput:
        return
    assert same(unpack(pack(plain(value))), plain(value))
