"""Points in time: one scale for datetimes, milliseconds and timestamps."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergecore import InvalidInput, Timestamp
from mergecore.clock import to_timestamp

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MOMENTS = st.datetimes(
    dt.datetime(1970, 1, 3),
    dt.datetime(9999, 12, 28),
    timezones=st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=14)), dt.timezone(-dt.timedelta(hours=11.5))]),
)
STAMPS = st.builds(Timestamp, st.integers(0, 4), st.integers(0, 2), st.sampled_from(["", "a", "b"]))


@given(STAMPS, STAMPS)
def test_timestamps_are_ordered_by_millis_counter_node(a: Timestamp, b: Timestamp) -> None:
    """By exactly that tuple."""
    assert (a < b) == ((a.millis, a.counter, a.node) < (b.millis, b.counter, b.node))
    assert (a == b) == ((a.millis, a.counter, a.node) == (b.millis, b.counter, b.node))


@given(MOMENTS, MOMENTS)
def test_datetimes_keep_their_order_to_the_microsecond(a: dt.datetime, b: dt.datetime) -> None:
    """Whatever their zones; equal moments are equal timestamps."""
    assert (to_timestamp(a) < to_timestamp(b)) == (a < b)
    assert (to_timestamp(a) == to_timestamp(b)) == (a == b)


@given(MOMENTS)
def test_a_datetime_is_its_epoch_milliseconds(moment: dt.datetime) -> None:
    """Milliseconds are whole and round down; the rest is in the counter, the node is empty."""
    stamp = to_timestamp(moment)
    assert stamp.millis == (moment - EPOCH) // dt.timedelta(milliseconds=1)
    assert stamp == Timestamp(stamp.millis, moment.microsecond % 1000, "")


@given(st.integers(0, 10**14), st.integers(0, 10**14))
def test_milliseconds_keep_their_order(a: int, b: int) -> None:
    """Integers are epoch milliseconds exactly."""
    assert to_timestamp(a).millis == a
    assert (to_timestamp(a) < to_timestamp(b)) == (a < b)


def test_a_fraction_of_a_millisecond_goes_into_the_counter() -> None:
    """``time.time() * 1000`` is a float, and its order is kept."""
    assert to_timestamp(1.5) == Timestamp(1, 500)
    assert to_timestamp(1.25) < to_timestamp(1.5) < to_timestamp(2) < to_timestamp(2.001)
    moment = dt.datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=dt.UTC)
    assert to_timestamp(moment.timestamp() * 1000) == to_timestamp(moment)


def test_a_timestamp_is_taken_as_it_is() -> None:
    """With its counter and node."""
    stamp = Timestamp(5, 7, "phone")
    assert to_timestamp(stamp) is stamp


def test_a_naive_datetime_is_refused_with_what_to_do() -> None:
    """It could be any of 24 hours; the message says how to write it."""
    with pytest.raises(InvalidInput, match=r"the time of ours is naive .*timezone"):
        to_timestamp(dt.datetime(2024, 1, 1), "the time of ours")


@pytest.mark.parametrize(
    "moment",
    [
        True,
        False,
        math.nan,
        math.inf,
        -math.inf,
        "2024-01-01",
        None,
        dt.date(2024, 1, 1),
        Decimal(1),
        1e300,
        [1],
        10**20,
    ],
)
def test_what_is_no_moment_is_refused(moment: Any) -> None:
    """Booleans, NaN and the infinities are no times, nor is text."""
    with pytest.raises(InvalidInput, match="a time"):
        to_timestamp(moment)


@pytest.mark.parametrize(
    "moment", [-1, -0.001, dt.datetime(1969, 12, 31, tzinfo=dt.UTC), 253402300800000, 253402300799999.9999]
)
def test_a_time_outside_the_years_1970_to_9999_is_refused(moment: Any) -> None:
    """Negative stamps and five-digit years would not sort as text."""
    with pytest.raises(InvalidInput):
        to_timestamp(moment)


def test_the_last_millisecond_is_taken() -> None:
    """The bounds themselves are in."""
    assert to_timestamp(0) == Timestamp(0)
    assert str(to_timestamp(253402300799999)) == "9999-12-31T23:59:59.999Z"


@given(st.integers(0, 253402300799999), st.integers(0, 253402300799999))
def test_the_text_of_a_plain_timestamp_sorts_like_it(a: int, b: int) -> None:
    """From the first millisecond to the last."""
    assert (str(Timestamp(a)) < str(Timestamp(b))) == (a < b)
