"""Points in time: one scale for datetimes, milliseconds and timestamps; and the clock, tried by threads and forks."""

from __future__ import annotations

import copy
import datetime as dt
import math
import os
import pickle
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergecore import InvalidInput, MergeError, Timestamp
from mergecore.clock import Clock, to_timestamp
from mergecore.errors import ClockDrift

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


# ------------------------------------------------------------------------------------------ text and bytes

END = 253402300799999
NODES = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
LEGAL = st.builds(Timestamp, st.integers(0, END), st.integers(0, 0xFFFF), NODES)
CLOSE = st.builds(Timestamp, st.integers(0, 2), st.integers(0, 2) | st.just(0xFFFF), NODES)


@given(LEGAL | CLOSE)
def test_text_and_bytes_of_a_stamp_read_back_as_that_stamp(stamp: Timestamp) -> None:
    """Any node that UTF-8 can write; whatever holds the bytes."""
    assert Timestamp.parse(str(stamp)) == stamp
    assert all(Timestamp.from_bytes(kind(bytes(stamp))) == stamp for kind in (bytes, bytearray, memoryview))
    assert len(bytes(stamp)) == 8 + len(stamp.node.encode())


@given(LEGAL | CLOSE, LEGAL | CLOSE)
def test_text_and_bytes_of_stamps_sort_like_the_stamps(a: Timestamp, b: Timestamp) -> None:
    """By code point and by byte; the short text of a stamp without node and counter is in its place."""
    assert (str(a) < str(b)) == (bytes(a) < bytes(b)) == (str(a).encode() < str(b).encode()) == (a < b)
    assert (str(a) == str(b)) == (bytes(a) == bytes(b)) == (a == b)


@given(LEGAL)
def test_the_datetime_of_a_stamp_is_its_milliseconds_in_utc(stamp: Timestamp) -> None:
    """Aware, so that it converts back."""
    assert stamp.datetime.tzinfo is dt.UTC
    assert to_timestamp(stamp.datetime) == Timestamp(stamp.millis)


GOOD = "2024-05-06T07:08:09.123Z-00ff-phone"
NO_TEXTS: list[Any] = [
    "", "phone", None, 5, [], b"", GOOD.encode(),
    GOOD.replace("Z", "z"), GOOD.replace("Z", "+00:00"), GOOD.replace("00ff", "00FF"), GOOD.replace("00ff", "0ff"),
    GOOD.replace("00ff", "100ff"), GOOD.replace("00ff", "+0ff"), GOOD.replace("00ff", "0_ff"), GOOD.replace("ff", "fg"),
    GOOD.replace("2024", "1969"), GOOD.replace("05-06", "02-30"), GOOD.replace("T07", "T24"), GOOD.replace("T", " "),
    GOOD.replace(".123", ""), GOOD.replace(".123", ",123"), GOOD.replace("2024", "12024"), GOOD.replace("5", "\u0665"),
    GOOD.replace("-phone", ""), GOOD.replace("-phone", "phone"), GOOD[:24] + "-", GOOD[:24] + "-0000-", " " + GOOD,
    "9999-12-31T24:00:00.000Z-0000-x", GOOD + "\ud800", str(Timestamp(5, 0x1FFFF, "x")), str(Timestamp(-1, 0, "x")),
]  # fmt: skip


@pytest.mark.parametrize("text", NO_TEXTS, ids=lambda text: ascii(text))
def test_what_is_no_text_of_a_stamp_is_refused_with_what_to_do(text: Any) -> None:
    """Each stamp has one text, so a spelling that is merely like one would not sort."""
    assert Timestamp.parse(GOOD) == Timestamp(1714979289123, 0xFF, "phone")
    with pytest.raises(InvalidInput, match="is no stamp: give the text of one unchanged"):
        Timestamp.parse(text)


@given(
    st.text(max_size=40) | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z(-[0-9a-f]{4}-.?)?", fullmatch=True)
)
def test_a_text_is_refused_or_is_that_of_the_stamp_that_it_gives(text: str) -> None:
    """Drawn texts, many of them nearly right."""
    try:
        stamp = Timestamp.parse(text)
    except InvalidInput:
        return
    assert str(stamp) == text


@pytest.mark.parametrize(
    "data",
    [b"", b"1234567", b"\xff" * 8, (END + 1 << 16).to_bytes(8, "big"), bytes(8) + b"\xed\xa0\x80", "text", None, 8],
    ids=ascii,
)
def test_what_is_no_bytes_of_a_stamp_is_refused_with_what_to_do(data: Any) -> None:
    """Too short, past the year 9999, a node that is no UTF-8, no bytes at all."""
    with pytest.raises(InvalidInput, match="is no stamp: give what bytes"):
        Timestamp.from_bytes(data)


@pytest.mark.parametrize(
    "stamp", [Timestamp(-1), Timestamp(END + 1), Timestamp(0, -1), Timestamp(0, 0x10000), Timestamp(0, 0, "\ud800")]
)
def test_a_stamp_that_no_clock_gives_has_no_bytes_but_can_be_shown(stamp: Timestamp) -> None:
    """Messages are about such stamps too; their text is none that parses."""
    with pytest.raises(InvalidInput, match="has no bytes"):
        bytes(stamp)
    with pytest.raises(InvalidInput):
        Timestamp.parse(str(stamp))


# ------------------------------------------------------------------------------------------ what a clock gives


class Wall:
    """A wall clock that stands until it is set."""

    def __init__(self, millis: float = 1_700_000_000_000) -> None:
        self.millis = millis

    def __call__(self) -> float:
        return self.millis


class Seen(NamedTuple):
    """As much of a version as ``admit`` looks at."""

    seen: dict[str, Timestamp]
    created: Timestamp = Timestamp(0, 0, "author")


def test_a_stamp_is_the_later_of_wall_and_highest_seen() -> None:
    """The rule, one step after the other."""
    wall = Wall(1000)
    clock = Clock("n", now=wall)
    node = clock.node
    assert clock.tick() == Timestamp(1000, 0, node)
    assert clock.tick() == Timestamp(1000, 1, node)
    wall.millis = 900
    assert clock.tick() == Timestamp(1000, 2, node)
    assert clock.tick({"a": Timestamp(1000, 7, "a"), "b": Timestamp(999, 9, "b")}, {}) == Timestamp(1000, 8, node)
    assert clock.tick({"a": Timestamp(1000, 3, "a")}, {"b": Timestamp(2000, 4, "b")}) == Timestamp(2000, 5, node)
    wall.millis = 2001
    assert clock.tick({"b": Timestamp(2000, 9, "b")}) == Timestamp(2001, 0, node)


MOMENTS_NEAR = st.integers(-5, 12) | st.integers(-(2**70), END - 10**6)
SEEN = st.lists(
    st.dictionaries(
        st.sampled_from("abc"),
        st.builds(Timestamp, st.integers(0, 12) | st.integers(0, END - 10**6), st.integers(0, 3) | st.just(0xFFFF)),
    ),
    max_size=2,
)


@given(st.lists(st.tuples(MOMENTS_NEAR, SEEN), max_size=20))
def test_stamps_ascend_above_all_seen_and_never_run_ahead_of_it(
    steps: list[tuple[int, list[dict[str, Timestamp]]]],
) -> None:
    """The wall jumps both ways: never past the latest wall or stamp, but by a millisecond for each full counter."""
    wall = Wall()
    clock = Clock("n", now=wall)
    last, latest, overflows = Timestamp(0), 0, 0
    for wall.millis, seen in steps:
        top = max(last, *(Timestamp(s.millis, s.counter) for vector in seen for s in vector.values()), Timestamp(0))
        stamp = clock.tick(*seen)
        assert stamp.node == clock.node
        assert (stamp.millis, stamp.counter) > (top.millis, top.counter)
        latest = max(latest, wall.millis, top.millis - overflows)
        overflows += top.counter == 0xFFFF and stamp.millis == top.millis + 1 > wall.millis
        assert stamp.millis <= latest + overflows
        assert stamp.millis >= wall.millis
        last = Timestamp(stamp.millis, stamp.counter)


def test_a_full_counter_moves_on_to_the_next_millisecond() -> None:
    """Whether it filled up here or came in full, or fuller than any clock makes it."""
    clock = Clock("n", now=Wall(1000))
    stamps = [clock.tick() for _ in range(0x10002)]
    assert [(s.millis, s.counter) for s in stamps[-3:]] == [(1000, 0xFFFF), (1001, 0), (1001, 1)]
    assert stamps == sorted(set(stamps))
    for counter in (0xFFFF, 0x10000, 2**40):
        seen = {"a": Timestamp(2000 + counter, counter, "a")}
        assert clock.tick(seen) == Timestamp(2001 + counter, 0, clock.node)


def test_past_the_year_9999_there_is_no_stamp() -> None:
    """An error that says so, and no wrap; the clock is as before."""
    wall = Wall(5)
    clock = Clock("n", now=wall)
    before = clock.save()
    for millis in (END, END + 1):
        with pytest.raises(InvalidInput, match=r"the end of the year 9999 .*admit"):
            clock.tick({"a": Timestamp(millis, 0xFFFF, "a")})
    assert clock.save() == before
    wall.millis = END
    assert clock.tick() == Timestamp(END, 0, clock.node)


@pytest.mark.parametrize(
    ("millis", "taken"),
    [(-5, 0), (-(10**400), 0), (-0.5, 0), (1.999, 1), (1700000000000.9, 1700000000000), (END + 0.5, END)],
)
def test_a_wall_clock_may_give_fractions_and_times_before_1970(millis: float, taken: int) -> None:
    """Fractions are dropped, and 1970 is the first year; (0, 0) is what an unused clock has, so it starts above."""
    stamp = Clock("n", now=Wall(millis)).tick()
    assert (stamp.millis, stamp.counter) == (taken, 0 if taken else 1)


@pytest.mark.parametrize(
    "millis",
    [math.nan, math.inf, -math.inf, None, "5", True, dt.datetime(2026, 1, 2, tzinfo=dt.UTC), END + 1, 1e300, 10**400],
    ids=repr,
)
def test_a_wall_clock_that_gives_no_time_is_refused(millis: Any) -> None:
    """By every method that asks it, and nothing changes."""
    clock = Clock("n", now=Wall(millis))
    before = clock.save()
    for ask in (clock.tick, lambda: clock.admit(Seen({}))):
        with pytest.raises(InvalidInput, match=r"the wall clock gave .*: give epoch milliseconds"):
            ask()
    assert clock.save() == before


def test_without_a_wall_clock_it_is_the_systems() -> None:
    """In milliseconds."""
    before = time.time_ns() // 1_000_000
    stamp = Clock("n").tick()
    assert before <= stamp.millis <= time.time_ns() // 1_000_000


# ------------------------------------------------------------------------------------------ names and incarnations


@pytest.mark.parametrize("make", [Clock, Clock.locked])
@pytest.mark.parametrize("name", ["", "a~b", "~", "\ud800", "x" * 201, None, 5, b"phone"], ids=ascii)
def test_a_name_that_no_stamp_can_bear_is_refused(make: Callable[[Any], Clock], name: Any) -> None:
    """``~`` parts the name from the random part."""
    with pytest.raises(InvalidInput, match="name"):
        make(name)


@pytest.mark.parametrize("make", [Clock, Clock.locked])
@pytest.mark.parametrize("given", [{"max_drift": -1}, {"max_drift": 1.5}, {"max_drift": True}, {"now": 1700000000000}])
def test_options_that_mean_nothing_are_refused(make: Callable[..., Clock], given: dict[str, Any]) -> None:
    """At once, and not when a stamp is needed."""
    with pytest.raises(InvalidInput, match=next(iter(given))):
        make("n", **given)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="~"), min_size=1, max_size=200))
def test_an_incarnation_is_the_name_and_65_random_bits(name: str) -> None:
    """Thirteen characters of base 32; its state reads back whatever the name."""
    clock = Clock(name, now=Wall())
    assert clock.name == name
    assert re.fullmatch(re.escape(name) + "~[a-z2-7]{13}", clock.node)
    stamp = clock.tick()
    assert clock.save() == str(stamp)
    again = Clock.load(clock.save(), now=Wall(0))
    assert (again.name, again.node, again.save()) == (clock.name, clock.node, clock.save())
    assert again.tick() == Timestamp(stamp.millis, stamp.counter + 1, stamp.node)


def test_a_name_of_a_kind_of_text_is_that_text() -> None:
    """An object that is more than text stays out of the stamps."""

    class Device(str):
        def __str__(self) -> str:
            return "another"

    assert Clock(Device("phone")).node.startswith("phone~")
    assert type(Clock.locked(Device("phone")).node) is str and Clock.locked(Device("phone")).node == "phone"


def test_a_thousand_incarnations_of_one_name_never_give_one_stamp_twice() -> None:
    """At one standing wall clock."""
    clocks = [Clock("phone", now=Wall()) for _ in range(1_000)]
    assert len({clock.node for clock in clocks}) == 1_000
    assert len({clock.tick() for _ in range(20) for clock in clocks}) == 20_000


@given(st.lists(st.tuples(st.integers(-(10**9), 10**6), st.integers(0, 4)), max_size=30))
def test_restarts_never_give_one_stamp_twice(runs: list[tuple[int, int]]) -> None:
    """A chain of save and load, while the wall clock jumps, mostly back."""
    wall = Wall()
    clock = Clock("phone", now=wall)
    node, stamps = clock.node, []
    for jump, ticks in runs:
        wall.millis += jump
        stamps += [clock.tick() for _ in range(ticks)]
        clock = Clock.load(clock.save(), now=wall)
    assert clock.node == node and all(stamp.node == node for stamp in stamps)
    assert stamps == sorted(set(stamps))


DRAWN = "a" * 13
NOT_SAVED: list[Any] = ["", "phone", None, 5, b"x", str(Timestamp(5)), f"{Timestamp(5, 1, f'phone~{DRAWN}')}\n"] + [
    str(Timestamp(5, counter, node))
    for counter, node in [
        (0x10000, f"phone~{DRAWN}"), (1, "phone"), (1, f"~{DRAWN}"), (1, "phone~"), (1, f"phone~{DRAWN[1:]}"),
        (1, f"a~b~{DRAWN}"), (1, f"phone~{DRAWN.upper()}"), (1, "phone~1111111111111"), (1, f"{'x' * 201}~{DRAWN}"),
    ]
]  # fmt: skip


@pytest.mark.parametrize("saved", NOT_SAVED, ids=ascii)
def test_only_what_save_gave_is_loaded(saved: Any) -> None:
    """Else two clocks could come to share a node."""
    with pytest.raises(InvalidInput, match=r"is no saved clock: give what save\(\) gave.*Clock\(name\)"):
        Clock.load(saved)


def test_a_clock_is_neither_copied_nor_pickled() -> None:
    """The copies would give one stamp twice."""
    for clock in (Clock("phone"), Clock.locked("server")):
        for copying in (copy.copy, copy.deepcopy, pickle.dumps, lambda c: copy.deepcopy({"clock": [c]})):
            with pytest.raises(TypeError, match=r"use save\(\) and load\(\)"):
                copying(clock)


def test_a_locked_clock_signs_with_the_bare_name_and_keeps_no_state() -> None:
    """Workers that share it give different stamps in one record, as each is shown the record before it writes."""
    wall = Wall()
    workers = [Clock.locked("server", now=wall) for _ in range(4)]
    seen: dict[str, Timestamp] = {}
    given = []
    for turn in range(400):
        wall.millis += (turn * 7919) % 5 - 2
        stamp = workers[turn * 31 % 4].tick(seen)
        seen = {stamp.node: stamp}
        given.append(stamp)
    assert given == sorted(set(given))
    assert all(worker.node == worker.name == "server" for worker in workers)
    with pytest.raises(TypeError, match=r"keeps no state: make it anew with Clock.locked\('server'\)"):
        workers[0].save()


def test_a_clock_shows_what_it_gave_last() -> None:
    """Node included."""
    clock = Clock("phone", now=Wall())
    clock.tick()
    assert repr(clock) == f"<Clock 2023-11-14T22:13:20.000Z-0000-{clock.node}>"
    assert repr(Clock.locked("server")) == "<Clock 1970-01-01T00:00:00.000Z-0000-server>"


# ------------------------------------------------------------------------------------------ what a clock lets in


@pytest.mark.parametrize("drift", [0, 1, 60_000])
def test_a_stamp_at_the_limit_is_let_in_and_one_above_is_refused(drift: int) -> None:
    """Wherever in the version it is; the clock is as before, so that the limit is the wall's and not the stamps'."""
    wall = Wall()
    clock = Clock("n", now=wall, max_drift=drift)
    clock.tick({"a": Timestamp(int(wall.millis) + 10**6, 0, "a")})
    before = clock.save()
    near, far = (Timestamp(int(wall.millis) + drift + more, 0xFFFF, "b") for more in (0, 1))
    for version in (Seen({"b": near}), Seen({}, near), Seen({"a": Timestamp(5), "b": near}, near), Seen({})):
        assert clock.admit(version) is version
    for version in (Seen({"b": far}), Seen({}, far), Seen({"b": far, "a": near}, near)):
        with pytest.raises(ClockDrift):
            clock.admit(version)
    assert clock.save() == before
    wall.millis += 1
    assert clock.admit(version) is version


def test_a_refused_version_is_told_by_node_seconds_limit_and_what_to_do() -> None:
    """The error is the library's and a ``ValueError``."""
    wall = Wall()
    clock = Clock("tablet", now=wall)
    year = Timestamp(int(wall.millis) + 366 * 86_400_000, 0, "phone~abc")
    with pytest.raises(ClockDrift) as refused:
        clock.admit(Seen({"x": Timestamp(int(wall.millis) + 90_000, 0, "x"), "phone~abc": year}))
    assert str(refused.value) == (
        "a stamp of 'phone~abc' is 31622400.000 s ahead of the clock of 'tablet', and 60.000 s is the limit, so the "
        "whole version was refused. If this clock is slow, set it right and take the version again; if the other is "
        "fast, set that right: what it wrote is let in when its time has come"
    )
    assert isinstance(refused.value, MergeError) and isinstance(refused.value, ValueError)


# ------------------------------------------------------------------------------------------ threads and processes


def _together(work: Callable[[], list[Timestamp]], threads: int) -> list[list[Timestamp]]:
    """What each thread gives, all started at one moment."""
    given: list[list[Timestamp]] = [[] for _ in range(threads)]
    start = threading.Barrier(threads)

    def run(i: int) -> None:
        start.wait()
        given[i] = work()

    running = [threading.Thread(target=run, args=(i,)) for i in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return given


@pytest.mark.parametrize("now", [None, Wall()], ids=["running wall", "standing wall"])
def test_threads_never_get_one_stamp_twice(now: Wall | None) -> None:
    """Eight of them, 20,000 ticks each; each thread's own stamps ascend."""
    clock = Clock("n", now=now)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        given = _together(lambda: [clock.tick() for _ in range(20_000)], 8)
    finally:
        sys.setswitchinterval(interval)
    assert [len(stamps) for stamps in given] == [20_000] * 8
    assert all(a < b for stamps in given for a, b in pairwise(stamps))
    assert len({stamp for stamps in given for stamp in stamps}) == 160_000
    assert clock.save() == str(max(stamps[-1] for stamps in given))


forking = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="This is about os.fork, which this system does not have."),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


class Child:
    """A forked child that does some work; ``stamps()`` waits for it and reads what it gave."""

    def __init__(self, work: Callable[[], list[Timestamp]], file: Path) -> None:
        self._file = file
        self._pid = os.fork()
        if not self._pid:
            try:
                signal.alarm(120)  # a deadlock ends as a failure
                file.write_text("\0".join(map(str, work())))
                os._exit(0)
            finally:
                os._exit(1)

    def stamps(self) -> list[Timestamp]:
        assert os.waitpid(self._pid, 0)[1] == 0
        return [Timestamp.parse(text) for text in self._file.read_text().split("\0")]


@pytest.mark.parametrize("now", [None, Wall()], ids=["running wall", "standing wall"])
class TestForks:
    pytestmark = forking

    def test_parent_and_children_never_give_one_stamp_twice(self, tmp_path: Path, now: Wall | None) -> None:
        """Forked while four threads tick; a parent, four children, 5,000 each, and each its own incarnation."""
        clock = Clock("worker", now=now)
        before, node = clock.tick(), clock.node
        stop = threading.Event()

        def until_stopped() -> list[Timestamp]:
            stamps = []
            while not stop.is_set():
                stamps.append(clock.tick())
            return stamps

        by_thread: list[list[Timestamp]] = []
        ticking = threading.Thread(target=lambda: by_thread.extend(_together(until_stopped, 4)))
        ticking.start()
        children = []
        try:
            for i in range(4):
                children.append(Child(lambda: [clock.tick() for _ in range(5_000)], tmp_path / str(i)))
                time.sleep(0.01)
            parents = [before, *(clock.tick() for _ in range(5_000))]
        finally:
            stop.set()
            ticking.join()
        by_child = [child.stamps() for child in children]
        assert clock.node == node
        assert {stamp.node for stamps in [parents, *by_thread] for stamp in stamps} == {node}
        assert [len({stamp.node for stamp in stamps}) for stamps in by_child] == [1] * 4
        assert all(stamps[0].node.startswith("worker~") for stamps in by_child)
        given = [parents, *by_thread, *by_child]
        assert all(a < b for stamps in given for a, b in pairwise(stamps))
        assert all(stamps[0] > before for stamps in by_child)
        assert len({stamp for stamps in given for stamp in stamps}) == sum(map(len, given)) >= 25_001

    def test_a_childs_threads_share_one_incarnation_and_its_children_have_their_own(
        self, tmp_path: Path, now: Wall | None
    ) -> None:
        """Eight threads first use it at once; a grandchild of a child that had used it and that had not; a restart."""
        clock = Clock("worker", now=now)
        clock.tick()

        def ticks() -> list[Timestamp]:
            return [clock.tick() for _ in range(500)]

        def threaded() -> list[Timestamp]:
            return [stamp for stamps in _together(ticks, 8) for stamp in stamps]

        def used_then_forked() -> list[Timestamp]:
            return [*ticks(), *Child(ticks, tmp_path / "grandchild").stamps(), *ticks()]

        def forked_at_once() -> list[Timestamp]:
            return [*Child(ticks, tmp_path / "other").stamps(), *ticks()]

        def restarted() -> list[Timestamp]:
            own = Clock.load(clock.save())
            assert own.node == clock.node
            return [*ticks(), own.tick({"": clock.tick()})]

        works = {threaded: (4_000, 1), used_then_forked: (1_500, 2), forked_at_once: (1_000, 2), restarted: (501, 1)}
        given = ticks()
        nodes = {clock.node}
        for work, (count, incarnations) in works.items():
            stamps = Child(work, tmp_path / work.__name__).stamps()
            own = {stamp.node for stamp in stamps}
            assert (len(stamps), len(own)) == (count, incarnations)
            assert not own & nodes
            given += stamps
            nodes |= own
        assert len(set(given)) == len(given)

    def test_a_lock_that_was_held_while_forking_stops_no_child(self, tmp_path: Path, now: Wall | None) -> None:
        """The thread that held it is not there to let go; the child has a lock of its own."""
        for clock in (Clock("worker", now=now), Clock.locked("server", now=now)):
            held, let_go = threading.Event(), threading.Event()

            def hold(clock: Clock = clock, held: threading.Event = held, let_go: threading.Event = let_go) -> None:
                with clock._here().lock:
                    held.set()
                    let_go.wait()

            thread = threading.Thread(target=hold)
            thread.start()
            held.wait()
            try:
                stamps = Child(lambda clock=clock: [clock.tick(), clock.tick()], tmp_path / clock.name).stamps()  # type: ignore[misc]
            finally:
                let_go.set()
                thread.join()
            assert stamps[0] < stamps[1]
            assert (stamps[0].node == clock.node) == (clock.name == "server")

    def test_a_child_asked_for_its_node_or_state_first_has_its_own(self, tmp_path: Path, now: Wall | None) -> None:
        """Not only ``tick`` notices."""
        clock = Clock("worker", now=now)
        last = clock.tick()
        for i, ask in enumerate((lambda: clock.node, clock.save, lambda: repr(clock))):
            child = Child(lambda ask=ask: [Timestamp(5, 0, ask()), clock.tick()], tmp_path / str(i))  # type: ignore[misc]
            said, stamp = child.stamps()
            assert stamp.node in said.node and clock.node not in said.node
            assert stamp > last


def test_a_signal_handler_may_tick_and_save() -> None:
    """It runs in the midst of a tick, as one that saves the state when the process is told to end."""
    clock = Clock("n", now=Wall())
    handled: list[Timestamp] = []
    done: list[bool] = []

    def handler(*_: object) -> None:
        stamp = clock.tick()
        assert clock.save() >= str(stamp)
        handled.append(stamp)
        if not done:  # one that is still to come would end the process
            signal.setitimer(signal.ITIMER_REAL, 1e-4)

    if not hasattr(signal, "setitimer"):
        pytest.skip("This system has no timers that signal.")
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 1e-4)
    try:
        given = [clock.tick() for _ in range(50_000)]
    finally:
        done.append(True)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert handled
    assert len({*given, *handled}) == len(given) + len(handled)
