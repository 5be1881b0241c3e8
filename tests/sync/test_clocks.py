"""Devices whose clocks lie: nobody's fields are poisoned, and nobody's edits are lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import pytest
from conftest import Tally
from hypothesis import given, settings
from hypothesis import strategies as st

from mergecore import add_wins, counter, keep_both
from mergecore.sync import Node, PeerError, Report, Request, Response, SuperNode, exchange
from mergecore.sync.intake import change_of

pytestmark = pytest.mark.sync


class Todo(msgspec.Struct):
    """A field of each kind."""

    title: str = ""
    owner: Annotated[str | None, keep_both] = None
    votes: Annotated[int, counter] = 0
    tags: Annotated[set[str], add_wins] = set()


START = 1_700_000_000_000
SECOND = 1000
YEAR = 365 * 86_400 * SECOND


class Time:
    """The right time, and devices' clocks."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        self.now += 1
        return self.now

    def ahead(self, by: int) -> Callable[[], int]:
        return lambda: self() + by


def device(name: str, now: Callable[[], int], **how: Any) -> Node:
    """A device with this clock."""
    return Node(name, ":memory:", models={"todo": Todo}, now=now, **how)


def server(now: Callable[[], int], name: str = "server") -> SuperNode:
    """The back-end, whose clock is right."""
    return SuperNode(name, ":memory:", models={"todo": Todo}, now=now)


def stamps(node: Node, guid: str) -> list[int]:
    """The times of all that a version has seen."""
    version = node.version(guid)
    return [version.created.millis, *(stamp.millis for stamp in version.seen.values())]


# ------------------------------------------------------------------------------------------------- a year ahead


@pytest.mark.parametrize(
    "ahead",
    [YEAR, -YEAR, 61 * SECOND, -3_600 * SECOND],
    ids=["year ahead", "year behind", "minute ahead", "hour behind"],
)
def test_a_device_with_a_wrong_clock_poisons_no_field_and_loses_no_edit(ahead: int) -> None:
    """Whatever it wrote before it first met the server is there; and the last writer in truth is the last writer."""
    time = Time()
    with server(time) as back_end, device("phone", time.ahead(ahead)) as phone, device("laptop", time) as laptop:
        mine = phone.insert(Todo("mine", votes=1, tags={"a"}))
        for n in range(5):
            phone.edit(mine, votes=phone.get(mine).votes + 1, tags=phone.get(mine).tags | {str(n)})
        report = phone.sync(back_end)
        assert report.rewritten == ([mine] if ahead > 60 * SECOND else [])
        assert (report.waiting, report.refused, abs(report.offset + ahead) < 100) == ([], [], True)
        assert phone.get(mine) == back_end.get(mine) == Todo("mine", None, 6, {"a", *"01234"})
        assert max(stamps(back_end, mine)) <= time() + 60 * SECOND
        laptop.sync(back_end)
        laptop.edit(mine, title="of the laptop")
        laptop.sync(back_end)
        phone.sync(back_end)
        assert phone.get(mine).title == "of the laptop"
        phone.edit(mine, title="of the phone, later")  # by the server's clock now
        phone.sync(back_end)
        laptop.sync(back_end)
        assert {node.get(mine).title for node in (phone, laptop, back_end)} == {"of the phone, later"}
        assert abs(phone.version(mine).updated.millis - time()) < SECOND


def test_a_clash_with_a_lying_clock_is_decided_by_the_time_of_the_synchronization() -> None:
    """Edits of the future do not win over what is written after they came in."""
    time = Time()
    with server(time) as back_end, device("phone", time) as phone, device("laptop", time) as laptop:
        guid = phone.insert(Todo("x"))
        phone.sync(back_end)
        laptop.sync(back_end)
        phone._wall = time.ahead(YEAR)
        phone.edit(guid, title="from the future", votes=5)
        laptop.edit(guid, title="now", votes=7)
        laptop.sync(back_end)
        assert phone.sync(back_end).rewritten == [guid]
        laptop.sync(back_end)
        later = laptop.get(guid).title
        assert back_end.get(guid).title == later and back_end.get(guid).votes == 12
        assert {lost.value for item in laptop.inbox() for lost in item.lost} | {later} == {"from the future", "now"}
        laptop.edit(guid, title="last")
        laptop.sync(back_end)
        phone.sync(back_end)
        assert phone.get(guid) == back_end.get(guid) == Todo("last", None, 12)


def test_a_server_says_what_time_it_is_when_it_refuses() -> None:
    """Everything of the batch that is not of the future is taken."""
    time = Time()
    with server(time) as back_end, device("phone", time) as phone:
        phone.sync(back_end)
        good = phone.insert(Todo("good"))
        phone._wall = time.ahead(YEAR)
        bad = phone.insert(Todo("bad"))
        with phone.store.transaction(write=False) as tx:
            rows = tx.changes(0, None, 10, None)
            assert tx.state is not None
            epoch = tx.state.epoch
        changes = [change_of(row) for row in rows]
        answer = back_end.answer(Request("phone", epoch, 9, changes=changes))
        assert {result.guid: result.why for result in answer.results} == {good: "", bad: "drift"}
        assert answer.received <= answer.answered <= time()
        assert back_end.get(good) is not None and back_end.get(bad) is None


def test_all_edits_of_a_lying_clock_are_rewritten_in_one_transaction() -> None:
    """Killed within it, nothing is rewritten; the next synchronization does it."""
    time = Time()
    with server(time) as back_end, device("phone", time.ahead(YEAR)) as phone:
        guids = [phone.insert(Todo(str(n), votes=1)) for n in range(3)]
        before = {guid: phone.version(guid) for guid in guids}
        right = phone.keep

        def killed(*args: Any) -> None:
            right(*args)
            raise KeyboardInterrupt

        phone.keep = killed  # type: ignore[method-assign,assignment]
        with pytest.raises(KeyboardInterrupt):
            phone.sync(back_end)
        assert {guid: phone.version(guid) for guid in guids} == before
        phone.keep = right  # type: ignore[method-assign]
        report = phone.sync(back_end)
        assert sorted(report.rewritten) == sorted(guids) and report.sent == 3
        assert {guid: back_end.get(guid) for guid in guids} == {
            guid: Todo(str(n), votes=1) for n, guid in enumerate(guids)
        }


@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_much_that_was_written_in_the_future_is_rewritten_once(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In any number of batches: counters count once, and the next synchronization is idle."""
    monkeypatch.setattr(exchange, "BATCH", batch)
    time = Time()
    with server(time) as back_end, device("phone", time.ahead(YEAR)) as phone:
        guids = [phone.insert(Todo(str(n), votes=1)) for n in range(5)]
        for guid in guids:
            phone.edit(guid, votes=11)
        report = phone.sync(back_end)
        assert sorted(report.rewritten) == sorted(guids) and report.round_trips < 30
        assert [back_end.get(guid).votes for guid in guids] == [phone.get(guid).votes for guid in guids] == [11] * 5
        assert phone.sync(back_end).round_trips == 1


def test_a_deletion_and_a_fork_of_the_future_are_rewritten_too() -> None:
    """What a person decided under a lying clock stands."""
    time = Time()
    with server(time) as back_end, device("phone", time) as phone, device("laptop", time) as laptop:
        gone, both = phone.insert(Todo("gone")), phone.insert(Todo("both", votes=1))
        for _ in range(2):
            phone.sync(back_end)
            laptop.sync(back_end)
        phone.edit(both, owner="ann", votes=11)
        laptop.edit(both, owner="bob", votes=101)
        for _ in range(2):
            phone.sync(back_end)
            laptop.sync(back_end)
        phone._wall = laptop._wall = time.ahead(YEAR)
        phone.delete(gone)
        (copy,) = phone.fork(both, "owner")
        assert laptop.fork(both, "owner") == [copy]  # the same one, under another lying clock
        for _ in range(3):
            for node in (phone, laptop):
                report = node.sync(back_end)
                assert (report.refused, report.waiting) == ([], [])
        assert phone.version(gone).deleted and back_end.version(gone).deleted
        assert {back_end.get(guid).owner for guid in (both, copy)} == {"ann", "bob"}
        assert [back_end.get(guid).votes for guid in (both, copy)] == [111, 111]
        assert phone.version(copy).encode() == laptop.version(copy).encode() == back_end.version(copy).encode()


def test_a_fork_of_the_future_of_a_record_that_moved_on() -> None:
    """The copy is rewritten above what of it others have, whatever came into the original since."""
    time = Time()
    with server(time) as back_end, device("phone", time) as phone, device("laptop", time) as laptop:
        guid = phone.insert(Todo("x", votes=1))
        phone.sync(back_end)
        laptop.sync(back_end)
        phone.edit(guid, owner="ann")
        laptop.edit(guid, owner="bob")
        for node in (laptop, phone, laptop):
            node.sync(back_end)
        phone._wall = time.ahead(YEAR)
        (copy,) = phone.fork(guid, "owner")
        laptop.edit(guid, title="moved on")
        laptop.sync(back_end)
        report = phone.sync(back_end)
        assert (report.refused, report.waiting) == ([], [])
        assert {back_end.get(one).owner for one in (guid, copy)} == {"ann", "bob"}


# ------------------------------------------------------------------------------------------------------- who waits


def test_edits_that_another_node_has_wait_until_their_time_has_come() -> None:
    """Rewritten they would count twice: the report says that they wait, and then they go through as they are."""
    time = Time()
    ahead = time.ahead(YEAR)
    with server(time) as back_end, device("phone", ahead) as phone, device("friend", ahead) as friend:
        guid = phone.insert(Todo("x", votes=1))
        friend.sync(phone)
        assert friend.get(guid) == Todo("x", None, 1)
        for node in (phone, friend, phone):
            report = node.sync(back_end)
            assert (report.rewritten, report.waiting, report.sent) == ([], [guid], 0)
        assert back_end.get(guid) is None
        friend.edit(guid, votes=11)  # above what it has seen: it waits, too
        assert friend.sync(back_end).waiting == [guid]
        time.now += YEAR + 2 * 60 * SECOND
        for node in (phone, friend, phone):
            report = node.sync(back_end)
            assert (report.rewritten, report.waiting) == ([], [])
        assert back_end.get(guid) == phone.get(guid) == friend.get(guid) == Todo("x", None, 11)


def test_one_record_that_waits_holds_up_no_other() -> None:
    """What nobody else has is rewritten beside it, and what comes from the server comes."""
    time = Time()
    with (
        server(time) as back_end,
        device("phone", time.ahead(YEAR)) as phone,
        device("friend", time.ahead(YEAR)) as friend,
    ):
        waits = phone.insert(Todo("waits"))
        friend.sync(phone)
        goes, there = phone.insert(Todo("goes")), back_end.insert(Todo("there"))
        report = phone.sync(back_end)
        assert (report.rewritten, report.waiting) == ([goes], [waits])
        assert back_end.get(goes) == Todo("goes") and phone.get(there) == Todo("there")
        good = phone.insert(Todo("good"))
        assert phone.sync(back_end).sent == 1 and back_end.get(good) == Todo("good")


def test_own_edits_upon_a_foreign_stamp_of_the_future_wait_and_the_synchronization_ends() -> None:
    """Nobody may rewrite what another device wrote, and what stands above it cannot be earlier."""
    time = Time()
    with (
        server(time) as back_end,
        device("friend", time.ahead(YEAR), trust_clock=True) as friend,
        device("phone", time.ahead(YEAR)) as phone,
    ):
        guid = friend.insert(Todo("x"))
        phone.sync(friend)
        phone.edit(guid, title="y", votes=1)
        report = phone.sync(back_end)
        assert (report.waiting, report.rewritten, report.round_trips < 6) == ([guid], [], True)
        time.now += YEAR + 2 * 60 * SECOND
        assert phone.sync(back_end).waiting == []
        assert back_end.get(guid) == Todo("y", None, 1)


def test_what_only_the_server_was_sent_is_rewritten_although_its_answer_was_lost() -> None:
    """What it refused it has not, whatever left for it."""
    time = Time()
    with server(time) as back_end, device("phone", time.ahead(YEAR)) as phone:
        phone.sync(back_end)
        phone._wall = time.ahead(3 * YEAR)  # it jumps
        guid = phone.insert(Todo("x", votes=1))

        class Cut:
            address = "node:server"

            def __call__(self, request: Request) -> Response:
                back_end.answer(request)
                raise PeerError("the answer was lost")

        for _ in range(2):
            with pytest.raises(PeerError):
                phone.sync(Cut())
        assert phone.sync(back_end).rewritten == [guid]
        assert back_end.get(guid) == Todo("x", None, 1)


def test_what_the_server_took_before_is_counted_once() -> None:
    """Some edits of a record are there already, the later ones are of the future: those alone are rewritten."""
    time = Time()
    with server(time) as back_end, device("phone", time) as phone:
        guid = phone.insert(Todo("x", votes=1, tags={"a"}))
        phone.sync(back_end)
        phone.edit(guid, votes=11, tags={"a", "b"})

        class Cut:
            address = "node:server"

            def __call__(self, request: Request) -> Response:
                back_end.answer(request)
                raise PeerError("the answer was lost")

        with pytest.raises(PeerError):
            phone.sync(Cut())  # it is there, and the phone does not know
        phone._wall = time.ahead(YEAR)
        phone.edit(guid, votes=111, tags={"b", "c"})
        assert phone.sync(back_end).rewritten == [guid]
        assert back_end.get(guid) == phone.get(guid) == Todo("x", None, 111, {"b", "c"})
        assert phone.sync(back_end).round_trips == 1


# --------------------------------------------------------------------------------------------------- without a back-end


def test_a_mesh_trusts_its_clocks_and_refuses_what_is_of_the_future() -> None:
    """Refused whole, offered again each time, and let in when its time has come; nothing else is held up."""
    time = Time()
    with device("a", time.ahead(YEAR), trust_clock=True) as a, device("b", time, trust_clock=True) as b:
        a._wall = time
        good = a.insert(Todo("good"))
        a._wall = time.ahead(YEAR)
        future = a.insert(Todo("of the future"))
        theirs = b.insert(Todo("theirs"))
        for _ in range(2):
            report = a.sync(b)
            assert [(r.guid, r.why, r.by) for r in report.refused] == [(future, "drift", "b")]
            assert (report.rewritten, report.waiting, report.offset) == ([], [], 0)
        report = b.sync(a)  # the other way round
        assert {(r.guid, r.why) for r in report.refused} == {(future, "drift")}
        assert b.get(good) == Todo("good") and a.get(theirs) == Todo("theirs") and b.get(future) is None
        time.now += YEAR
        assert b.sync(a).refused == []
        assert b.get(future) == Todo("of the future")


def test_trusting_a_clock_a_device_is_not_put_right() -> None:
    """``trust_clock``: its own clock is right, whatever the back-end says."""
    time = Time()
    with (
        server(time.ahead(40 * SECOND)) as back_end,
        device("phone", time, trust_clock=True) as phone,
        device("laptop", time) as laptop,
    ):
        assert (phone.sync(back_end).offset, abs(laptop.sync(back_end).offset - 40 * SECOND) < 100) == (0, True)
        guid, other = phone.insert(Todo("x")), laptop.insert(Todo("y"))
        assert abs(phone.version(guid).updated.millis - time()) < SECOND
        assert abs(laptop.version(other).updated.millis - time() - 40 * SECOND) < SECOND


# -------------------------------------------------------------------------------------------------------- the offset


@pytest.mark.parametrize("there", [0, 40, 4_000])
@pytest.mark.parametrize("back", [0, 40, 4_000])
def test_the_offset_is_wrong_by_half_the_difference_of_the_ways_at_most(there: int, back: int) -> None:
    """NTP's four stamps, over a slow link that is slower one way: RFC 5905's bound."""
    time = [START]
    ahead = 12_345_678

    class Slow:
        address = "node:server"

        def __call__(self, request: Request) -> Response:
            time[0] += there
            response = back_end.answer(request)
            time[0] += 7  # it works on it
            response.answered = time[0]
            time[0] += back
            return response

    with server(lambda: time[0]) as back_end, device("phone", lambda: time[0] + ahead) as phone:
        report = phone.sync(Slow())
        assert abs(report.offset + ahead) <= abs(there - back) // 2 + 7
        assert phone.status()["offset"] == report.offset
        guid = phone.insert(Todo())
        assert abs(phone.version(guid).updated.millis - time[0]) <= abs(there - back) // 2 + 7


def test_an_offset_is_kept_when_the_store_is_opened_again_and_follows_a_clock_that_is_set_right(tmp_path: Any) -> None:
    """It is estimated anew at each synchronization."""
    time = Time()
    path = tmp_path / "phone.db"
    with server(time) as back_end:
        with Node("phone", path, models={"todo": Todo}, now=time.ahead(YEAR)) as phone:
            phone.sync(back_end)
        with Node("phone", path, models={"todo": Todo}, now=time.ahead(YEAR)) as phone:
            guid = phone.insert(Todo("x"))
            assert abs(phone.version(guid).updated.millis - time()) < SECOND
            phone._wall = time  # somebody sets the clock right: now the offset is what is wrong
            late = phone.insert(Todo("a year behind"))
            assert phone.sync(back_end).refused == []
            assert back_end.get(late) == Todo("a year behind")
            new = phone.insert(Todo("right again"))
            assert abs(phone.version(new).updated.millis - time()) < SECOND


def test_nobody_but_the_back_end_says_what_time_it_is() -> None:
    """Another device's clock may be wrong."""
    time = Time()
    with device("liar", time.ahead(-50 * SECOND)) as liar, device("phone", time) as phone, server(time) as back_end:
        assert phone.sync(liar).offset == 0
        phone.sync(back_end)
        assert abs(phone.sync(liar).offset) < 100 and abs(liar.sync(phone).offset) < 100


# ------------------------------------------------------------------------------------------------ for any clocks

_JUMPS = (0, YEAR, YEAR, YEAR, -YEAR, 90 * SECOND, -90 * SECOND)
_STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(("edit", "edit", "edit", "sync", "sync", "lost", "jump", "jump", "meet", "meet")),
        st.integers(0, 6),
    ),
    min_size=12,
    max_size=30,
)


def _lived(steps: list[tuple[int, str, int]]) -> None:
    time = Time()
    ahead = [0, 0, 0]
    back_end = server(time)

    def clock(n: int) -> Callable[[], int]:
        return lambda: time() + ahead[n]

    devices = [device(f"device{n}", clock(n)) for n in range(3)]
    guid = devices[0].insert(Todo("x"))
    for one in devices:
        one.sync(back_end)
    expected, tags, n = 0, set[str](), 0
    reports: list[Report] = []

    class Cut:
        address = "node:server"

        def __call__(self, request: Request) -> Response:
            back_end.answer(request)
            raise PeerError("the answer was lost")

    for who, what, choice in steps:
        one = devices[who]
        if what == "jump":
            for i in range(3) if choice in (1, 2, 3) else [who]:
                ahead[i] = _JUMPS[choice]
        if what in ("edit", "jump"):
            n += 1
            now = one.get(guid)
            one.edit(guid, votes=now.votes + 10 ** (choice % 3), tags=now.tags | {str(n)}, title=f"{who} {n}")
            expected += 10 ** (choice % 3)
            tags.add(str(n))
        elif what == "sync":
            reports.append(one.sync(back_end))
        elif what == "lost":
            with pytest.raises(PeerError):
                one.sync(Cut())
        elif devices[choice % 3] is not one:
            reports.append(one.sync(devices[choice % 3]))
    time.now += 5 * YEAR
    ahead[:] = [0, 0, 0]
    for _ in range(3):
        reports = [one.sync(back_end) for one in devices]
    assert all(r.round_trips == 1 and not (r.sent or r.received or r.waiting or r.refused) for r in reports)
    ends = {node.version(guid).encode() for node in (*devices, back_end)}
    assert len(ends) == 1
    assert (back_end.get(guid).votes, back_end.get(guid).tags) == (expected, tags)
    _COUNTS["runs"] += 1
    _COUNTS["with a jump"] += any(what == "jump" and choice > 0 for _, what, choice in steps)


_COUNTS = dict.fromkeys(("runs", "with a jump"), 0)


@given(_STEPS)
@settings(max_examples=min(settings().max_examples // 15, 200))
def _lives(steps: list[tuple[int, str, int]]) -> None:
    _lived(steps)


def test_whatever_the_clocks_say_nothing_is_lost_or_counted_twice(tally: Tally) -> None:
    """Three devices whose clocks jump by a year, with each other and a server: counters and sets end exact."""
    _lives()
    for what, n in _COUNTS.items():
        tally(f"clocks, {what}", n, min(settings().max_examples // 15, 200) // 4)
