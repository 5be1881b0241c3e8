"""A node's records as SQL sees them, and how nodes exchange them: between any two, in any topology."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import math
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from conftest import Tally
from hypothesis import given, settings
from hypothesis import strategies as st

from mergecore import Clock, InvalidInput, Policy, Version, add_wins, counter, keep_both, keyed, text, three_way
from mergecore.history import History
from mergecore.sync import Change, Node, PeerError, RecordNotFound, Request, Response, SuperNode, exchange
from mergecore.sync.sql import SQLStore

from .world import Broken, Killed

pytestmark = pytest.mark.sync


class Address(msgspec.Struct):
    """A record below."""

    street: str = ""


class Item(msgspec.Struct):
    """A member of a keyed list."""

    id: str
    qty: int = 1


class Todo(msgspec.Struct):
    """A field of each kind, and of each sort of column."""

    title: str = ""
    owner: Annotated[str | None, keep_both] = None
    votes: Annotated[int, counter] = 0
    tags: Annotated[set[str], add_wins] = set()
    notes: Annotated[str, text("line")] = ""
    due: dt.datetime | None = None
    share: float = 0.0
    home: Address | None = None
    items: Annotated[list[Item], keyed("id")] = []


MODELS = {"todo": Todo}


def ask(path: Path | str, sql: str) -> list[tuple[Any, ...]]:
    """What SQL says of a store."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def node(name: str, store: Any = ":memory:", **how: Any) -> Node:
    """A node of these models."""
    return Node(name, store, **{"models": MODELS, **how})


class Meanwhile:
    """A way to a node, on which something happens while the request is under way, or the answer."""

    def __init__(self, to: Node, on_request: Callable[[], object] = int, on_answer: Callable[[], object] = int) -> None:
        self.to, self.on_request, self.on_answer = to, on_request, on_answer
        self.address = f"node:{to.name}"
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        self.on_request()
        response = self.to.answer(request)
        self.on_answer()
        return response


def once(what: Callable[[], object]) -> Callable[[], object]:
    """Does it the first time only."""
    left = [what]
    return lambda: left.pop()() if left else None


def settle(pairs: Sequence[tuple[Node, Node]]) -> int:
    """Synchronizes these pairs again and again, until nothing travels any longer: how many rounds that took."""
    for n in range(20):
        reports = [one.sync(other) for one, other in pairs]
        if not any(r.sent or r.received or r.purged or r.refused for r in reports):
            return n
    raise AssertionError("they never come to rest")


def alike(*nodes: Node) -> None:
    """All have the same records, byte by byte."""
    held = [
        {g: n.version(g).encode() for m in n.status()["records"] for d in (0, 1) for g in n.all(m, deleted=bool(d))}
        for n in nodes
    ]
    assert all(one == held[0] for one in held)


# ----------------------------------------------------------------------------------------------------- the columns


def test_each_record_shows_the_five_fields_beside_its_own(tmp_path: Path) -> None:
    """``guid``, ``date_created``, ``date_updated``, ``is_deleted``, ``is_synchronized``, and plain columns, in SQL."""
    wall = [1_700_000_000_000]
    path = tmp_path / "phone.db"
    with node("phone", path, now=lambda: wall[0]) as phone:
        due = dt.datetime(2025, 5, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=2)))
        guid = phone.insert(Todo("milk", "ann", 2, {"a"}, "x\n", due, 0.5, Address("Main"), [Item("1", 3)]))
        wall[0] += 60_000
        phone.edit(guid, title="oat milk")
        gone = phone.insert(Todo("gone"))
        phone.delete(gone)
    five = "guid, date_created, date_updated, is_deleted, is_synchronized"
    own = "title, owner, votes, tags, notes, due, share, home, items"
    assert ask(path, f"SELECT {five}, {own} FROM todo WHERE NOT is_deleted") == [
        (
            guid, "2023-11-14 22:13:20.000000", "2023-11-14 22:14:20.000000", 0, 0,
            "oat milk", "ann", 2, '["a"]', "x\n", "2025-05-01 10:00:00.000000", 0.5,
            '{"street":"Main"}', '[{"id":"1","qty":3}]',
        )
    ]  # fmt: skip
    assert ask(path, "SELECT guid FROM todo WHERE is_deleted") == [(gone,)]
    table = ask(path, "SELECT sql FROM sqlite_master WHERE name = 'todo'")[0][0]
    assert "UNIQUE" not in table and "REFERENCES" not in table


def test_a_record_is_synchronized_when_the_back_end_has_acknowledged_it(tmp_path: Path) -> None:
    """Not before, not by the answer of another node, and not a change made while the exchange was under way."""
    path = tmp_path / "phone.db"
    with (
        node("phone", path) as phone,
        node("laptop") as laptop,
        SuperNode("server", ":memory:", models=MODELS) as server,
    ):
        a, b = phone.insert(Todo("a")), phone.insert(Todo("b"))

        def synchronized() -> dict[str, int]:
            return dict(ask(path, "SELECT guid, is_synchronized FROM todo"))

        phone.sync(laptop)
        assert synchronized() == {a: 0, b: 0}
        phone.sync(Meanwhile(server, on_request=once(lambda: None)))
        assert synchronized() == {a: 1, b: 1}
        phone.edit(a, title="a2")
        assert synchronized() == {a: 0, b: 1}
        phone.sync(Meanwhile(server, on_request=once(lambda: phone.edit(a, title="a3"))))
        assert synchronized() == {a: 0, b: 1}
        assert server.get(a).title == "a2"
        phone.sync(Meanwhile(server, on_answer=once(lambda: phone.edit(b, title="b2"))))
        assert synchronized() == {a: 1, b: 0}
        phone.sync(server)
        assert synchronized() == {a: 1, b: 1} and server.get(b).title == "b2"
        server.edit(a, title="a4")
        phone.sync(server)
        assert synchronized() == {a: 1, b: 1} and phone.get(a).title == "a4"


def test_what_was_merged_here_is_synchronized_when_the_merged_record_is_there(tmp_path: Path) -> None:
    """Both changed one record: the device's own edit makes it unsynchronized until the back-end has it."""
    path = tmp_path / "phone.db"
    with node("phone", path) as phone, SuperNode("server", ":memory:", models=MODELS) as server:
        guid = phone.insert(Todo("a"))
        phone.sync(server)
        phone.edit(guid, owner="ann")
        server.edit(guid, title="b")

        def broken() -> None:
            raise PeerError("cut")

        with pytest.raises(PeerError):
            phone.sync(Meanwhile(server, on_answer=broken))
        assert ask(path, "SELECT is_synchronized FROM todo") == [(0,)]
        report = phone.sync(server)
        assert (report.merged, ask(path, "SELECT is_synchronized FROM todo")) == (1, [(1,)])
        assert server.get(guid) == phone.get(guid) == Todo("b", "ann")


# --------------------------------------------------------------------------------------------------- the positions


def test_each_peer_has_a_position_of_its_own_and_zero_when_new() -> None:
    """What it counts is the serving node's receive order; the date beside it is for people."""
    with node("phone") as phone, SuperNode("server", ":memory:", models=MODELS) as server, node("laptop") as laptop:
        token = server.add_node("phone")
        assert [(p.position, p.acknowledged, p.last_sync) for p in server.nodes()] == [(0, 0, None)]
        laptop.insert(Todo("of the laptop"))
        for _ in range(3):
            server.insert(Todo())
        phone.sync(server, token=token)
        phone.sync(laptop)
        peers = {p.id: p for p in phone.nodes()}
        assert (peers["server"].position, peers["laptop"].position) == (3, 4)  # its own, and the three that we brought
        assert [(p.acknowledged, p.behind) for p in server.nodes()] == [(3, 0)]
        assert peers["server"].last_sync is not None
        assert abs(dt.datetime.now(dt.UTC) - peers["server"].last_sync) < dt.timedelta(minutes=1)


def test_a_record_edited_long_ago_and_uploaded_late_reaches_everyone(tmp_path: Path) -> None:
    """The receive order brings it; asking for what was updated since the last synchronization loses it."""
    path = tmp_path / "server.db"
    wall = [1_700_000_000_000]
    how: dict[str, Any] = {"now": lambda: wall[0]}
    with node("phone", **how) as phone, node("laptop", **how) as laptop:
        server = SuperNode("server", path, models=MODELS, **how)
        phone.sync(server)
        guid = phone.insert(Todo("written in the train"))
        wall[0] += 3_600_000
        server.insert(Todo("newer"))
        laptop.sync(server)
        last_sync = "2023-11-14 23:13:20.000000"  # the laptop's, by the server's clock
        wall[0] += 3_600_000
        phone.sync(server)  # out of the tunnel
        by_date = ask(path, f"SELECT title FROM todo WHERE date_updated > '{last_sync}'")
        assert by_date == [], "then this test shows nothing"
        report = laptop.sync(server)
        assert report.received == 1 and laptop.get(guid) == Todo("written in the train")
        server.close()


def test_an_idle_synchronization_is_one_round_trip_and_carries_nothing() -> None:
    """Also after it has taken in what both had changed."""
    with node("phone") as phone, SuperNode("server", ":memory:", models=MODELS) as server:
        guid = phone.insert(Todo("a"))
        phone.sync(server)
        phone.edit(guid, owner="ann")
        server.edit(guid, title="b")
        phone.sync(server)
        link = Meanwhile(server)
        report = phone.sync(link)
        assert (report.round_trips, report.sent, report.received) == (1, 0, 0)
        assert link.requests[0].changes == []


def test_an_exchange_goes_on_where_it_was_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each batch is stored before the next is asked for; what was answered once is not asked for again."""
    monkeypatch.setattr(exchange, "BATCH", 4)
    with node("phone") as phone, SuperNode("server", ":memory:", models=MODELS) as server:
        for n in range(10):
            server.insert(Todo(f"there {n}"))
            phone.insert(Todo(f"here {n}"))
        trips = 0

        def cut() -> None:
            nonlocal trips
            trips += 1
            if trips % 2 == 0:
                raise PeerError("cut")

        for _ in range(12):
            try:
                report = phone.sync(Meanwhile(server, on_answer=cut))
            except PeerError:
                continue
            break
        assert len(phone.all("todo")) == len(server.all("todo")) == 20
        assert not (report.sent or report.received) or phone.sync(server).round_trips == 1
        alike(phone, server)


def test_who_is_killed_before_it_has_stored_what_came_asks_again() -> None:
    """Before, within and after each of its transactions: with the same store, it has everything in the end."""
    for n, how in itertools.product(range(1, 5), ("before", "within", "after")):
        store = Broken(SQLStore(":memory:", MODELS))
        with node("server") as server:
            server.insert(Todo("first"))
            node("phone", store).sync(server)
            server.insert(Todo("second"))
            store.left, store.how = n, how
            with contextlib.suppress(Killed):
                node("phone", store).sync(server)
            store.left = None
            phone = node("phone", store)
            phone.sync(server)
            assert phone.all("todo") == server.all("todo") and len(phone.all("todo")) == 2, f"killed {how} {n}"
            store.close()


# ---------------------------------------------------------------------------------------------- what a clash becomes

OUTCOMES = {
    "last writer wins": (Policy(unit="record"), Todo("phone"), [], [("", Todo("laptop", None))]),
    "keep both": (Policy(default=keep_both), Todo("phone", "bob"), [("title", {"laptop", "phone"})], []),
    "as git does": (Policy(default=three_way()), Todo("phone", "bob"), [("title", {"laptop", "phone"})], []),
}


@pytest.mark.parametrize("name", ["last writer wins", "keep both", "merge"])
def test_one_clash_has_three_outcomes_under_three_policies(name: str) -> None:
    """The later record whole, with the other one listed; both kept until somebody decides; or merged by line."""

    class Note(msgspec.Struct):
        body: str = ""
        owner: str = ""

    policy = {
        "last writer wins": Policy(unit="record"),
        "keep both": Policy(default=keep_both),
        "merge": Policy(default=text("line") | three_way()),
    }[name]
    wall = [1_700_000_000_000]
    how: dict[str, Any] = {"models": {"note": Note}, "policies": {"note": policy}, "now": lambda: wall[0]}
    with Node("laptop", ":memory:", **how) as laptop, Node("phone", ":memory:", **how) as phone:
        guid = laptop.insert(Note("one\ntwo\nthree\n", "ann"))
        phone.sync(laptop)
        laptop.edit(guid, body="ONE\ntwo\nthree\n", owner="bob")
        wall[0] += 1000
        phone.edit(guid, body="one\ntwo\nTHREE\n")
        settle([(phone, laptop)])
        alike(phone, laptop)
        shown, inbox = phone.get(guid), phone.inbox()
        if name == "last writer wins":
            assert shown == Note("one\ntwo\nTHREE\n", "ann")
            ((lost,),) = [item.lost for item in inbox]
            assert lost.value == Note("ONE\ntwo\nthree\n", "bob") and not inbox[0].conflicts
            laptop.edit(guid, body=lost.value.body, owner=lost.value.owner)  # it is brought back
            settle([(phone, laptop)])
            assert phone.get(guid) == lost.value and phone.inbox() == []
        elif name == "keep both":
            assert shown == Note("one\ntwo\nTHREE\n", "bob")
            ((conflict,),) = [item.conflicts for item in inbox]
            assert {c.value for c in conflict.candidates} == {"ONE\ntwo\nthree\n", "one\ntwo\nTHREE\n"}
            (copy,) = laptop.fork(guid, "body")
            settle([(phone, laptop)])
            assert {note.body for note in phone.all("note").values()} == {c.value for c in conflict.candidates}
            assert phone.inbox() == [] and phone.get(copy) is not None
        else:
            assert (shown, inbox) == (Note("ONE\ntwo\nTHREE\n", "bob"), [])


def test_a_policy_can_be_changed_on_stored_data(tmp_path: Path) -> None:
    """The same store shows the same clash otherwise."""
    path = tmp_path / "phone.db"
    with node("phone", path) as phone, node("laptop") as laptop:
        guid = phone.insert(Todo("a"))
        laptop.sync(phone)
        laptop.edit(guid, title="b")
        phone.edit(guid, title="c")
        settle([(laptop, phone)])
        assert [len(item.lost) for item in phone.inbox()] == [1]
    with node("phone", path, policies={"todo": Policy(fields={"title": keep_both})}) as phone:
        ((conflict,),) = [item.conflicts for item in phone.inbox()]
        assert {c.value for c in conflict.candidates} == {"b", "c"}


class Counted(msgspec.Struct):
    """``Todo``'s title and votes, the votes of another kind."""

    title: str = ""
    votes: int = 0


def test_another_kind_of_a_field_is_a_named_refusal_and_nothing_is_stored() -> None:
    """Of the record alone: what lies beside it and behind it still travels."""
    with _beside("phone", Todo) as phone, Node("old", ":memory:", models={"todo": Counted}) as old:
        guid = phone.insert(Todo("a"))
        for n in range(3):
            phone.insert(Memo(n))
        old.insert(Counted("a"), guid=guid)
        before = old.version(guid).encode(), phone.version(guid).encode()
        for _ in range(2):
            report = old.sync(phone)
            assert {(r.guid, r.why) for r in report.refused} == {(guid, "schema")}
            assert any("counter" in r.detail for r in report.refused)
            assert (old.version(guid).encode(), phone.version(guid).encode()) == before
            assert len(old.all("memo")) == 3


class Memo(msgspec.Struct):
    """What lies beside the to-dos."""

    n: int = 0


class Numbered(msgspec.Struct):
    """No title of ``Todo``'s is one of these."""

    title: int = 0


def _beside(name: str, todo: Any) -> Node:
    return Node(name, ":memory:", models={"todo": todo, "memo": Memo})


def test_what_was_refused_is_asked_for_by_name_and_nothing_behind_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it can be taken, it comes; and a purge over there waits for it."""
    monkeypatch.setattr(exchange, "BATCH", 3)
    heard: list[int] = []
    with _beside("phone", Todo) as phone, _beside("old", Numbered) as old:
        guids = [phone.insert(Todo("a")) for _ in range(2)]
        for n in range(10):
            phone.insert(Memo(n))

        def counted(request: Request) -> Response:
            response = phone.answer(request)
            heard.append(len(response.changes))
            return response

        counted.address = "phone"  # type: ignore[attr-defined]
        for _ in range(3):
            heard.clear()
            report = old.sync(counted)  # type: ignore[arg-type]
            assert sorted(r.guid for r in report.refused) == sorted(guids)
        assert heard == [2, 0] and len(old.all("memo")) == 10
        assert phone.nodes()[0].acknowledged == 0
        old.models["todo"] = Todo
        assert old.sync(counted).refused == []  # type: ignore[arg-type]
        assert sorted(old.all("todo")) == sorted(guids) and phone.nodes()[0].acknowledged == 12


def test_more_refused_than_can_be_asked_for_by_name_is_pulled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first of it on."""
    monkeypatch.setattr(exchange, "BATCH", 3)
    with _beside("phone", Todo) as phone, _beside("old", Numbered) as old:
        phone.insert(Memo(0))
        guids = [phone.insert(Todo(str(n))) for n in range(11)]
        for _ in range(2):
            assert len(old.sync(phone).refused) == 11 and len(old.all("memo")) == 1
        old.models["todo"] = Todo
        assert old.sync(phone).refused == [] and sorted(old.all("todo")) == sorted(guids)


def test_who_has_much_to_send_and_to_get_is_not_sent_his_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to come comes first: but for the first batch nothing travels twice."""
    monkeypatch.setattr(exchange, "BATCH", 10)
    with SuperNode("server", ":memory:", models=MODELS) as server, node("phone") as phone:
        here, there = ([one.insert(Todo(str(n))) for n in range(60)] for one in (phone, server))
        came: list[str] = []

        def counted(request: Request) -> Response:
            response = server.answer(request)
            came.extend(change.guid for change in response.changes)
            return response

        counted.address = "server"  # type: ignore[attr-defined]
        report = phone.sync(counted)  # type: ignore[arg-type]
        assert (report.sent, report.received) == (60, 60)
        assert sorted(phone.all("todo")) == sorted(server.all("todo")) == sorted(here + there)
        assert len([guid for guid in came if guid in here]) <= 10


def test_a_new_field_that_nobody_could_write_here_is_refused() -> None:
    """A client whose app makes a new field another kind: once it is stored, it stays so for everybody."""

    class Old(msgspec.Struct):
        title: str = ""

    class New(Old):
        votes: Annotated[int, counter] = 0

    class Other(Old):
        votes: int = 0

    with SuperNode("server", ":memory:", models={"todo": New}) as server:
        old, other = (Node(name, ":memory:", models={"todo": m}) for name, m in (("old", Old), ("other", Other)))
        guid = old.insert(Old("a"))
        old.sync(server, token=server.add_node("old"))
        token = server.add_node("other")
        other.sync(server, token=token)
        other.edit(guid, votes=3)
        (refused,) = other.sync(server, token=token).refused
        assert refused.why == "schema" and "votes: is stored as a history" in refused.detail
        server.edit(guid, votes=1)
        assert server.get(guid) == New("a", 1)


def test_who_may_neither_read_nor_write_a_model_learns_nothing_of_it() -> None:
    """Not even whether a record is there."""
    with SuperNode("server", ":memory:", models=MODELS) as server, node("phone") as phone:
        guid = server.insert(Todo("a"))
        token = server.add_node("phone", read=[], write=[])
        version = server.version(guid)
        phone.models.clear()
        for known in (version, Version.new(Clock("phone"), {"title": "b"}, id="unknown")):
            change = Change("todo", known.id, 1, known.encode())
            request = Request("phone", "e", 1, changes=[change])
            (result,) = server.answer(request, server.authenticate(token)).results
            assert result.why == "forbidden" and result.held is None


def test_two_processes_of_one_store_have_one_back_end(tmp_path: Path) -> None:
    """The first that either of them met."""
    one, other = (Node("phone", tmp_path / "phone.db") for _ in range(2))
    first, second = (SuperNode(name, ":memory:") for name in ("first", "second"))
    one.sync(first), other.sync(second)
    assert one.back_end == other.back_end == "first"
    for each in (one, other, first, second):
        each.close()


def test_another_depth_of_a_field_is_a_named_refusal_and_nothing_is_stored() -> None:
    """``depth`` is encoded, and two depths do not meet."""
    with node("phone") as phone, node("old", policies={"todo": Policy(depth=5)}) as old:
        guid = phone.insert(Todo("a"))
        old.insert(Todo("b"), guid=guid)
        report = old.sync(phone)
        assert {r.why for r in report.refused} == {"schema"} and "depth" in report.refused[0].detail
        assert (old.get(guid).title, phone.get(guid).title) == ("b", "a")


def test_a_stored_field_of_another_kind_is_a_named_error_and_the_store_stays(tmp_path: Path) -> None:
    """A model whose kinds were changed does not read what was stored; the old one still does."""
    path = tmp_path / "phone.db"
    with node("phone", path) as phone:
        guid = phone.insert(Todo("a", votes=3))
    before = ask(path, "SELECT _version FROM todo")
    with pytest.raises(Exception, match="votes") as told, Node("phone", path, models={"todo": Counted}) as phone:
        phone.edit(guid, votes=4)
    assert type(told.value).__module__.startswith("mergecore")
    assert ask(path, "SELECT _version FROM todo") == before
    with node("phone", path) as phone:
        assert phone.get(guid) == Todo("a", votes=3)


# -------------------------------------------------------------------------------------------------- models and columns


class OldTodo(msgspec.Struct):
    """An app that does not know the owner yet."""

    title: str = ""


class NewTodo(msgspec.Struct):
    """And one that does."""

    title: str = ""
    owner: str = "nobody"
    votes: Annotated[int, counter] = 0


def test_a_field_that_a_model_gained_becomes_a_column(tmp_path: Path) -> None:
    """In a store that has rows: they are filled with what their versions say, also of what the old app did not know."""
    path = tmp_path / "phone.db"
    with (
        Node("phone", path, models={"todo": OldTodo}) as old,
        Node("laptop", ":memory:", models={"todo": NewTodo}) as new,
    ):
        mine, theirs = old.insert(OldTodo("mine")), new.insert(NewTodo("theirs", "ann", 2))
        old.sync(new)
        assert "owner" not in {row[1] for row in ask(path, "PRAGMA table_info(todo)")}
        old.edit(theirs, title="theirs, edited by the old app")
    with Node("phone", path, models={"todo": NewTodo}) as phone:
        rows = ask(path, "SELECT guid, title, owner, votes FROM todo")
        assert {row[0]: row[1:] for row in rows} == {
            mine: ("mine", "nobody", 0), theirs: ("theirs, edited by the old app", "ann", 2),
        }  # fmt: skip
        phone.edit(mine, owner="bob")
    with Node("phone", path, models={"todo": OldTodo}) as old:  # and back
        old.edit(mine, title="old app")
        assert ask(path, f"SELECT title, owner FROM todo WHERE guid = '{mine}'") == [("old app", "bob")]


def test_a_field_of_another_type_becomes_a_column_of_that_type(tmp_path: Path) -> None:
    """Nothing is in a column that the version has not: it is made anew."""

    class Numbered(msgspec.Struct):
        title: int | str = ""

    path = tmp_path / "phone.db"
    with Node("phone", path, models={"todo": OldTodo}) as phone:
        guid = phone.insert(OldTodo("7"))
    with Node("phone", path, models={"todo": Numbered}) as phone:
        assert phone.get(guid) == Numbered("7")
        phone.edit(guid, title=8)
        assert ask(path, "SELECT CAST(title AS TEXT) FROM todo") == [("8",)]


@pytest.mark.parametrize(
    "name",
    [
        "order",
        "select",
        "Todo",
        "a.b-c",
        "_x",
        "x" * 60,
        "übung",
        "a b",
        "mergecore_peers",
        "sqlite_master",
        'x"y',
        "",
        "pg_class",
    ],
)
def test_a_model_has_a_name_that_a_table_can_have_or_is_refused(name: str, tmp_path: Path) -> None:
    """Words of SQL, points and dashes work; what cannot be is said before anything is stored."""
    path = tmp_path / "phone.db"
    if not (name.replace(".", "").replace("-", "").isidentifier() and name.isascii()) or name.startswith(
        ("mergecore_", "sqlite_", "pg_")
    ):
        with pytest.raises(InvalidInput, match="cannot be the name of a model"):
            Node("phone", path, models={name: OldTodo})
        with node("phone") as phone, pytest.raises(InvalidInput):
            phone.insert({"a": 1}, name)
        return
    with Node("phone", path, models={name: OldTodo}) as phone, Node("laptop", ":memory:") as laptop:
        guid = phone.insert(OldTodo("x"))
        laptop.sync(phone)
        laptop.edit(guid, title="y")
        laptop.sync(phone)
        assert phone.all(name) == {guid: OldTodo("y")}
        assert ask(path, f'SELECT title FROM "{name}"') == [("y",)]


def test_two_models_that_differ_by_case_alone_are_refused() -> None:
    """SQLite takes their tables for one: it is a named error, and nothing is stored."""
    with Node("phone", ":memory:", models={"todo": OldTodo}) as phone:
        guid = phone.insert(OldTodo("a"))
        with pytest.raises(InvalidInput, match="Todo"):
            phone.insert({"title": "b"}, "Todo")
        assert phone.all("todo") == {guid: OldTodo("a")}


def test_fields_may_have_the_names_of_sql_words_and_of_odd_letters(tmp_path: Path) -> None:
    """Whatever the encoded name of a field is, its column has it."""
    names = ["select", "order", "a b", "über", "percent%s", "colon:name", "dot.dot", "x" * 70, "Rowid"]
    Odd = msgspec.defstruct(
        "Odd", [(f"f{i}", str, msgspec.field(name=name, default="")) for i, name in enumerate(names)]
    )
    path = tmp_path / "phone.db"
    with Node("phone", path, models={"odd": Odd}) as phone, Node("laptop", ":memory:", models={"odd": Odd}) as laptop:
        guid = phone.insert(Odd(**{f"f{i}": str(i) for i in range(len(names))}))
        laptop.sync(phone)
        laptop.edit(guid, {("select",): "changed"})
        laptop.sync(phone)
        assert phone.get(guid) == laptop.get(guid) and phone.get(guid).f0 == "changed"
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        row = dict(db.execute("SELECT * FROM odd").fetchone())
    assert [row[name] for name in names] == ["changed", *map(str, range(1, len(names)))]


@pytest.mark.parametrize("name", ["guid", "GUID", "is_deleted", "_version", "_x", "date_created"])
def test_a_field_with_the_name_of_a_column_of_the_store_is_refused(name: str) -> None:
    """With the name of the field, and before anything is stored."""
    Bad = msgspec.defstruct("Bad", [("f", str, msgspec.field(name=name, default=""))])
    with pytest.raises(InvalidInput, match="rename it"):
        Node("phone", ":memory:", models={"bad": Bad})


def test_two_fields_that_differ_by_case_alone_are_refused() -> None:
    """SQLite takes their columns for one: it is a named error before anything is stored."""
    Twins = msgspec.defstruct("Twins", [("title", str, ""), ("Title", str, "")])
    with pytest.raises(InvalidInput, match="Title"):
        Node("phone", ":memory:", models={"twins": Twins})


def test_records_without_a_model_are_documents(tmp_path: Path) -> None:
    """One JSON column, that SQL can look into; merged field by field all the same."""
    path = tmp_path / "phone.db"
    with Node("phone", path) as phone, Node("laptop", ":memory:") as laptop:
        guid = phone.insert({"title": "milk", "shop": {"name": "corner"}}, "todo")
        laptop.sync(phone)
        laptop.edit(guid, title="oat milk")
        phone.edit(guid, {"shop": {"name": "market"}})
        settle([(laptop, phone)])
        assert phone.all("todo") == laptop.all("todo") == {guid: {"title": "oat milk", "shop": {"name": "market"}}}
        assert ask(path, "SELECT json_extract(record, '$.shop.name') FROM todo") == [("market",)]
        with pytest.raises(InvalidInput, match="of which model"):
            phone.insert({"title": "which?"})


_ODD: list[Any] = [
    "a\0b", "\ud800", "𝄞", 2**70, -(2**70), math.nan, math.inf, -0.0, 1e308, {"a": {"b": [1, {"c": None}]}},
    [[[]]], None, True, b"\xff\0", "", "'; DROP TABLE todo; --", {"": 1}, {"a.b": 1, "c[d]": 2}, dt.date(2024, 2, 29),
    dt.datetime(1, 1, 1, tzinfo=dt.UTC),
]  # fmt: skip


class Anything(msgspec.Struct):
    """Fields of types that columns hold only in part."""

    any: Any = None
    text: str = ""
    number: int = 0
    share: float = 0.0
    names: set[str] = set()
    moment: dt.datetime | None = None


@pytest.mark.parametrize("value", _ODD, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize("modelled", [True, False])
def test_what_a_column_cannot_hold_neither_fails_nor_is_lost(value: Any, modelled: bool, tmp_path: Path) -> None:
    """NUL, a lone surrogate, 2**70, NaN: the column shows what it can, and the record is whole, on both sides."""
    models = {"any": Anything} if modelled else {}
    how: dict[str, Any] = {"any": value}
    if isinstance(value, str):
        how |= {"text": value, "names": {value}}
    if isinstance(value, int) and not isinstance(value, bool):
        how["number"] = value
    if isinstance(value, float):
        how["share"] = value
    with (
        Node("phone", tmp_path / "phone.db", models=models) as phone,
        Node("laptop", ":memory:", models=models) as laptop,
    ):
        try:
            guid = phone.insert(Anything(**how) if modelled else how, "any")
        except InvalidInput:
            assert (isinstance(value, str) and "\ud800" in value) or not modelled, "it is refused as a whole, by name"
            return
        phone.edit(guid, any=[value])
        laptop.sync(phone)
        here, there = phone.get(guid), laptop.get(guid)
        assert repr(here) == repr(there)
        assert repr(here.any if modelled else here["any"]) == repr([value])
        assert len(ask(tmp_path / "phone.db", "SELECT * FROM any")) == 1


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda s: st.lists(s, max_size=3) | st.dictionaries(st.text(max_size=3), s, max_size=3),
            max_leaves=6,
        ),
        max_size=4,
    )
)
@settings(max_examples=min(settings().max_examples // 5, 300))
def _documents(document: dict[str, Any]) -> None:
    phone, laptop = _PAIR
    try:
        guid = phone.insert(document, "doc")
    except InvalidInput:
        return
    laptop.sync(phone)
    assert repr(laptop.get(guid)) == repr(phone.get(guid))
    assert laptop.version(guid).encode() == phone.version(guid).encode()
    _DRAWN.append(len(document))


_PAIR: list[Node] = []
_DRAWN: list[int] = []


def test_any_document_travels_whole(tally: Tally) -> None:
    """What a record can be is stored, shown and sent."""
    with Node("phone", ":memory:") as phone, Node("laptop", ":memory:") as laptop:
        _PAIR[:] = phone, laptop
        _documents()
    tally("documents stored and sent", len(_DRAWN), min(settings().max_examples // 5, 300) // 2)


# ------------------------------------------------------------------------------------------------------- topologies


def _chain(nodes: list[Node]) -> list[tuple[Node, Node]]:
    return list(itertools.pairwise(nodes))


def _ring(nodes: list[Node]) -> list[tuple[Node, Node]]:
    return list(zip(nodes, nodes[1:] + nodes[:1]))


def _star(nodes: list[Node]) -> list[tuple[Node, Node]]:
    return [(leaf, nodes[0]) for leaf in nodes[1:]]


def _outwards(nodes: list[Node]) -> list[tuple[Node, Node]]:
    return [(nodes[0], leaf) for leaf in nodes[1:]]


@pytest.mark.parametrize("back_end", [True, False], ids=["with a back-end", "without"])
@pytest.mark.parametrize("shape", [_chain, _ring, _star, _outwards], ids=lambda shape: shape.__name__[1:])
def test_in_any_topology_all_end_equal(shape: Callable[[list[Node]], Any], back_end: bool) -> None:
    """Directly or through others, with a back-end as one more node or without: each edit is everywhere, once."""
    nodes: list[Node] = [node(f"node{i}") for i in range(3)]
    nodes.insert(0, SuperNode("server", ":memory:", models=MODELS) if back_end else node("one more"))
    guid = nodes[1].insert(Todo("begin"))
    settle(shape(nodes))
    for i, one in enumerate(nodes):
        one.edit(guid, votes=one.get(guid).votes + 10**i, tags=one.get(guid).tags | {one.name})
        one.edit(guid, owner=one.name)
        one.insert(Todo(one.name))
    settle(shape(nodes))
    alike(*nodes)
    (end,) = [nodes[0].get(guid)]
    assert (end.votes, end.tags) == (1111, {one.name for one in nodes})
    ((conflict,),) = [item.conflicts for item in nodes[0].inbox() if item.guid == guid]
    assert {c.value for c in conflict.candidates} == {one.name for one in nodes}
    assert len(nodes[-1].all("todo")) == 5
    nodes[2].resolve(guid, {"owner": "ann"})
    settle(shape(nodes))
    assert [one.inbox() for one in nodes] == [[]] * 4
    assert shape is _chain or settle(shape(nodes)) == 0
    for one in nodes:
        one.close()


def test_nodes_that_call_each_other_come_to_rest() -> None:
    """In both directions, with nothing new there is nothing sent."""
    with node("a") as a, node("b") as b:
        a.insert(Todo("x"))
        b.insert(Todo("y"))
        for _ in range(2):
            a.sync(b)
            b.sync(a)
        for one, other in ((a, b), (b, a), (a, b)):
            report = one.sync(other)
            assert (report.sent, report.received, report.round_trips) == (0, 0, 1)


def test_a_node_that_holds_nothing_meets_another_one() -> None:
    """It takes all, gives nothing, and two empty ones have nothing to say."""
    with node("empty") as empty, node("other") as other, node("full") as full:
        assert empty.sync(other).round_trips <= 2
        assert (empty.all("todo"), empty.inbox(), empty.status()["records"]) == ({}, [], {})
        guid = full.insert(Todo("x"))
        report = empty.sync(full)
        assert (report.received, report.sent) == (1, 0) and empty.get(guid) == Todo("x")


def test_another_node_behind_a_known_address_gets_everything() -> None:
    """A new server at the old URL has nothing of what the old one had."""
    with (
        node("phone") as phone,
        SuperNode("old", ":memory:", models=MODELS) as old,
        SuperNode("new", ":memory:", models=MODELS) as new,
    ):
        guid = phone.insert(Todo("x"))
        link = Meanwhile(old)
        phone.sync(link)
        link.to = new
        phone.sync(link)
        phone.sync(link)
        assert new.get(guid) == Todo("x")
        link.to = old
        old.edit(guid, title="y")
        phone.sync(link)
        assert phone.get(guid) == Todo("y")


def test_a_store_belongs_to_one_name(tmp_path: Path) -> None:
    """Another name is refused, and so is a name that a clock does not take."""
    with node("phone", tmp_path / "phone.db"):
        pass
    with pytest.raises(InvalidInput, match="'phone'"):
        node("laptop", tmp_path / "phone.db")
    with pytest.raises(InvalidInput):
        node("a~b")


def test_a_missing_record_is_a_named_error() -> None:
    """``get`` gives ``None``; what needs a record says which."""
    with node("phone") as phone:
        assert phone.get("none") is None
        for call in (phone.version, phone.delete, phone.restore, lambda guid: phone.edit(guid, title="x")):
            with pytest.raises(RecordNotFound, match="none"):
                call("none")
        guid = phone.insert(Todo())
        with pytest.raises(InvalidInput, match="already"):
            phone.insert(Todo(), guid=guid)


def _two_clashes(*devices: Node, sync: Callable[[Node], object]) -> str:
    """A record in which two fields are open, each with a value of the same commit."""
    guid = devices[0].insert(Todo("x"))
    for one in devices:
        sync(one)
    for one in devices[:2]:
        one.edit(guid, owner=one.name, notes=f"{one.name}\n")
    for one in (*devices, *devices):
        sync(one)
    return guid


POLICY = {"todo": Policy(fields={"notes": keep_both})}


def test_two_devices_fork_one_record_at_two_fields() -> None:
    """Neither may relay: the copies hold what the server knows, and pass."""
    with SuperNode("server", ":memory:", models=MODELS, policies=POLICY) as server:
        phone, laptop = (node(name, policies=POLICY) for name in ("phone", "laptop"))
        tokens = {one.name: server.add_node(one.name) for one in (phone, laptop)}

        def sync(one: Node) -> list[Any]:
            return one.sync(server, token=tokens[one.name]).refused

        guid = _two_clashes(phone, laptop, sync=sync)
        server.edit(guid, title="unseen by who forks at the notes")
        assert sync(laptop) == []
        phone.fork(guid, "notes")
        laptop.fork(guid, "owner")
        assert [sync(one) for one in (phone, laptop, phone, laptop)] == [[]] * 4
        alike(phone, laptop, server)


def test_two_fields_that_lost_in_one_commit_are_forked_to_two_records() -> None:
    """Each copy keeps one of the two."""
    with SuperNode("server", ":memory:", models=MODELS, policies=POLICY) as server:
        phone, laptop = (node(name, policies=POLICY) for name in ("phone", "laptop"))
        guid = _two_clashes(phone, laptop, sync=lambda one: one.sync(server))
        assert phone.fork(guid, "notes") != phone.fork(guid, "owner")


def test_what_the_back_end_never_knew_and_clients_have_wiped_does_not_live_on_there() -> None:
    """Made, deleted and wiped among two clients; a third one that was away hands in the old version."""
    with SuperNode("server", ":memory:", models=MODELS) as server:
        a, b, away = (node(name) for name in ("a", "b", "away"))
        guid = a.insert(Todo("x"))
        b.sync(a)
        away.sync(a)
        a.delete(guid)
        a.sync(b)
        a.retire("away")
        assert a.purge(dt.timedelta(0)) == [guid]
        b.sync(a)
        for one in (a, b, away, a, b, away):
            one.sync(server)
        assert [one.get(guid) for one in (a, b, away, server)] == [None] * 4


# ---------------------------------------------------------------------------------------------- what was handed out


def _run_starts(one: Node, guid: str) -> list[tuple[Any, Any]]:
    """Of the title's retained writes: what each says, and whether it is one run with what came before."""
    state = one.version(guid)._fields[("title",)]
    assert isinstance(state, History)
    return [(w.value, w.first != w.stamp) for w in sorted(state.writes, key=lambda w: w.stamp)]


def test_typing_pushes_no_base_out_and_a_synchronization_ends_the_run() -> None:
    """A hundred edits after a synchronization are one run; the next one after it begins a new one, wherever it went."""

    class Prose(msgspec.Struct):
        title: Annotated[str, text("word")] = ""

    how: dict[str, Any] = {"models": {"prose": Prose}}
    with Node("phone", ":memory:", **how) as phone, Node("laptop", ":memory:", **how) as laptop:
        guid = phone.insert(Prose("one"))
        phone.sync(laptop)
        for n in range(100):
            phone.edit(guid, title=f"one {n}")
        assert _run_starts(phone, guid)[-1] == ("one 99", True) and len(_run_starts(phone, guid)) <= 3
        laptop.edit(guid, title="zero one")
        settle([(laptop, phone)])
        assert phone.get(guid) == laptop.get(guid) == Prose("zero one 99")
        phone.edit(guid, title="zero one 100")
        assert _run_starts(phone, guid)[-1] == ("zero one 100", False)
        for n in range(50):
            phone.edit(guid, title=f"zero one {n}")
        laptop.edit(guid, title="zero ONE 99")
        settle([(laptop, phone)])
        assert phone.get(guid) == laptop.get(guid) == Prose("zero ONE 49")
        assert phone.inbox() == []


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_what_may_have_left_ends_a_run_also_if_nobody_answers(lost: str) -> None:
    """That bytes leave is stored before they do: a lost answer does not make what was handed out unsaid."""

    class Prose(msgspec.Struct):
        title: Annotated[str, text("word")] = ""

    def cut() -> None:
        raise PeerError("cut")

    how: dict[str, Any] = {"models": {"prose": Prose}}
    with Node("phone", ":memory:", **how) as phone, Node("laptop", ":memory:", **how) as laptop:
        guid = phone.insert(Prose("one"))
        phone.sync(laptop)
        phone.edit(guid, title="one two")
        with pytest.raises(PeerError):
            phone.sync(Meanwhile(laptop, **({"on_request": cut} if lost == "request" else {"on_answer": cut})))
        phone.edit(guid, title="one two three")
        assert _run_starts(phone, guid)[-1] == ("one two three", False)
        phone.edit(guid, title="one two three four")
        assert _run_starts(phone, guid)[-1] == ("one two three four", True)
        if lost == "answer":
            laptop.edit(guid, title="ONE two")
        settle([(phone, laptop)])
        assert phone.get(guid) == laptop.get(guid)
        assert phone.get(guid).title == ("ONE" if lost == "answer" else "one") + " two three four"


def test_what_another_node_pulled_was_handed_out() -> None:
    """A node that is asked tells its own edits so, too."""

    class Prose(msgspec.Struct):
        title: Annotated[str, text("word")] = ""

    how: dict[str, Any] = {"models": {"prose": Prose}}
    with Node("phone", ":memory:", **how) as phone, Node("laptop", ":memory:", **how) as laptop:
        guid = phone.insert(Prose("one"))
        laptop.sync(phone)
        phone.edit(guid, title="one two")
        assert _run_starts(phone, guid)[-1] == ("one two", False)
        phone.edit(guid, title="one two three")
        assert _run_starts(phone, guid)[-1] == ("one two three", True)
