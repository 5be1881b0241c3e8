"""A node and a super node on PostgreSQL; and who writes at the same time, on both databases."""

from __future__ import annotations

import datetime as dt
import functools
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import psycopg
import pytest
import sqlalchemy as sa
from conftest import Tally
from hypothesis import settings

from mergecore import Policy, add_wins, counter, keep_both
from mergecore.sync import Node, RecordNotFound, SuperNode

from .killing import Said, child, finish
from .life import MODELS, contents, count, edit, insert, same, tags_of, writing_job
from .serving import serving

pytestmark = pytest.mark.sync


class Address(msgspec.Struct):
    """A record below."""

    street: str = ""


class Thing(msgspec.Struct):
    """A field of each sort that a column can have."""

    name: str = ""
    number: int = 0
    share: float = 0.0
    done: bool = False
    day: dt.date | None = None
    moment: dt.datetime | None = None
    data: bytes = b""
    labels: dict[str, str] = {}
    home: Address | None = None
    votes: Annotated[int, counter] = 0
    tags: Annotated[set[str], add_wins] = set()
    owner: Annotated[str | None, keep_both] = None


THINGS = {"thing": Thing}


def ask(url: str, statement: str) -> list[tuple[Any, ...]]:
    """What SQL says."""
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()


# ------------------------------------------------------------------------------------------------------- a main life


def test_a_life_on_postgresql(postgres_url: str, tmp_path: Path) -> None:
    """Devices on SQLite, a server on PostgreSQL: what clashes, what a person decides, what is deleted and purged."""
    with (
        SuperNode("server", postgres_url, models=THINGS) as server,
        Node("phone", tmp_path / "phone.db", models=THINGS) as phone,
        Node("laptop", tmp_path / "laptop.db", models=THINGS) as laptop,
    ):
        tokens = {node.name: server.add_node(node.name, fields={"of": "ann"}) for node in (phone, laptop)}

        def sync(*nodes: Node) -> None:
            for node in nodes:
                report = node.sync(server, token=tokens[node.name])
                assert not report.refused, report

        guid, gone = phone.insert(Thing("milk")), phone.insert(Thing("gone"))
        sync(phone, laptop)
        phone.edit(guid, owner="ann", votes=2, tags={"a"})
        laptop.edit(guid, owner="ben", votes=3, tags={"b"}, number=7)
        phone.delete(gone)
        sync(phone, laptop, phone)
        for node in (phone, laptop, server):
            assert node.get(guid).votes == 5 and node.get(guid).tags == {"a", "b"} and node.get(guid).number == 7
            assert [one.guid for one in node.inbox()] == [guid]
            assert node.get(gone) is None
        assert ask(
            postgres_url, "SELECT name, votes, number, is_deleted, is_synchronized FROM thing ORDER BY name"
        ) == [
            ("gone", 0, 0, True, True),
            ("milk", 5, 7, False, True),
        ]
        server.resolve(guid, {"owner": "ann"})
        sync(phone, laptop)
        assert not phone.inbox() and not laptop.inbox()
        laptop.edit(guid, owner="cat")
        phone.edit(guid, owner="dan")
        sync(laptop, phone, laptop)
        (copy,) = server.fork(guid, "owner")
        sync(laptop, phone)
        assert (
            {phone.get(guid).owner, laptop.get(copy).owner}
            == {"cat", "dan"}
            == {server.get(x).owner for x in (guid, copy)}
        )
        assert {peer.id: (peer.behind, peer.fields) for peer in server.nodes()} == {
            "phone": (0, {"of": "ann"}),
            "laptop": (0, {"of": "ann"}),
        }
        assert server.purge(dt.timedelta(0)) == [gone]
        sync(phone, laptop)
        for node in (phone, laptop, server):
            with pytest.raises(RecordNotFound):
                node.version(gone)
        server.revoke("laptop")
        assert [peer.id for peer in server.nodes() if peer.revoked] == ["laptop"]
    with SuperNode("server", postgres_url, models=THINGS) as server:
        assert {server.get(guid).owner, server.get(copy).owner} == {"cat", "dan"}


def test_both_databases_show_the_same(postgres_url: str, tmp_path: Path) -> None:
    """The same records, the same columns, whatever is in them: also what PostgreSQL cannot hold."""
    odd = [
        Thing("plain", 1, 1.5, True, dt.date(2024, 2, 29), dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC), b"\x00\xff"),
        Thing("zone", moment=dt.datetime(2024, 1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5)))),
        Thing("naive", moment=dt.datetime(2024, 1, 1, 1)),
        Thing("nul \0 in it", labels={"a\0": "b\0"}),
        Thing("emoji 😀", labels={"ü": "\u2028"}, home=Address("\0")),
        Thing("big", number=1 << 63, share=1e308),
        Thing("small", number=-(1 << 63), share=-1e-320),
        Thing("old", day=dt.date(1, 1, 1), moment=dt.datetime(1, 1, 1, tzinfo=dt.UTC)),
        Thing("far", day=dt.date.max, moment=dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC)),
        Thing("x" * 100_000),
        Thing(""),
    ]
    columns = "guid, name, number, share, done, is_deleted, _conflicts, _lost, _version"
    with (
        Node("phone", tmp_path / "phone.db", models=THINGS) as phone,
        Node("server", postgres_url, models=THINGS) as server,
    ):
        for n, thing in enumerate(odd):
            phone.insert(thing, guid=f"{n:02}")
        assert not phone.sync(server).refused
        for n, thing in enumerate(odd):
            assert server.get(f"{n:02}") == thing
            server.put(f"{n:02}", msgspec.structs.replace(thing, done=True), base=thing)
        assert not phone.sync(server).refused
        with phone.store.transaction(write=False) as tx, closing(sqlite3.connect(tmp_path / "phone.db")) as db:
            assert tx.state is not None
            here = db.execute(f"SELECT {columns} FROM thing ORDER BY guid").fetchall()
        there = ask(postgres_url, f"SELECT {columns} FROM thing ORDER BY guid")
        assert [tuple(map(_plain, row)) for row in here] == [tuple(map(_plain, row)) for row in there]
        days = ask(postgres_url, "SELECT day, moment, labels, home, data FROM thing WHERE guid = '00'")
        assert days == [(dt.date(2024, 2, 29), dt.datetime(2024, 2, 29, 12), {}, None, b"\x00\xff")]
        assert ask(postgres_url, "SELECT moment FROM thing WHERE guid = '01'") == [(dt.datetime(2023, 12, 31, 20),)]


def _plain(value: Any) -> Any:
    return (
        bool(value)
        if value in (0, 1) and not isinstance(value, float)
        else bytes(value)
        if isinstance(value, memoryview)
        else value
    )


def test_a_model_that_grew(store_url: str) -> None:
    """A field that is new becomes a column, of what is stored already, too; one whose type is another is made anew."""
    old = msgspec.defstruct("Old", [("name", str, ""), ("size", str, "")])
    new = msgspec.defstruct(
        "New", [("name", str, ""), ("size", str | None, None), ("mood", int, 3), ("select", bool, True)]
    )
    with Node("server", store_url, models={"thing": old}) as node:
        node.insert(old(name="a", size="1"), guid="a")
    with Node("server", store_url, models={"thing": new}) as node:
        node.insert(new(name="b", size="2"), guid="b")
        assert node.get("a").name == "a"
        engine = node.store.engine  # type: ignore[attr-defined]
        with engine.connect() as connection:
            rows = connection.execute(sa.text('SELECT name, size, mood, "select" FROM thing ORDER BY guid')).all()
        assert [tuple(row) for row in rows] == [("a", "1", 3, True), ("b", "2", 3, True)]
    with Node("server", store_url, models={"thing": old}) as node:  # an older app, on the newer store
        node.edit("b", name="c")
        assert {guid: thing.name for guid, thing in node.all("thing").items()} == {"a": "a", "b": "c"}


def test_schemaless_on_both(store_url: str) -> None:
    """Records without a model: one column of JSON."""
    with Node("server", store_url, policies={"any": Policy(default=keep_both)}) as node:
        guid = node.insert({"a": [1, {"b": None}], "ü": "\0", "n": 1 << 70}, "any")
        node.edit(guid, {"ü": "x"})
        assert node.get(guid) == {"a": [1, {"b": None}], "ü": "x", "n": 1 << 70}
        table = sa.table("any", sa.column("is_deleted"), sa.column("record", sa.JSON))
        with node.store.engine.connect() as connection:  # type: ignore[attr-defined]
            assert connection.execute(sa.select(table)).all() == [(False, node.get(guid))]


# ----------------------------------------------------------------------------------------- who writes at the same time


@contextmanager
def held_before_commit(name: str) -> Iterator[tuple[threading.Event, threading.Event]]:
    """The thread of this name stops before it commits: ``(it is there, let it go)``."""
    there, go = threading.Event(), threading.Event()

    def commits(connection: Any) -> None:
        if threading.current_thread().name == name:
            there.set()
            assert go.wait(30)

    sa.event.listen(sa.Engine, "commit", commits)
    try:
        yield there, go
    finally:
        go.set()
        sa.event.remove(sa.Engine, "commit", commits)


def _thread(name: str, what: Callable[[], Any], errors: list[BaseException]) -> threading.Thread:
    def run() -> None:
        try:
            what()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("second", ["the same node", "another process' node", "a peer that sends"])
def test_positions_are_given_in_the_order_of_commits(second: str, store_url: str) -> None:
    """One transaction is held open, and a later one tries to commit: it waits, or no puller skips the first."""
    errors = list[BaseException]()
    with (
        Node("server", store_url, models=MODELS) as node,
        Node("server", store_url, models=MODELS) as twin,
        Node("laptop", ":memory:", models=MODELS) as laptop,
        Node("puller", ":memory:", models=MODELS) as puller,
    ):
        insert(node, "zero", "z1")
        puller.sync(node)
        insert(laptop, "two", "l1")
        writes: dict[str, Callable[[], Any]] = {
            "the same node": lambda: insert(node, "two", "l1"),
            "another process' node": lambda: insert(twin, "two", "l1"),
            "a peer that sends": lambda: laptop.sync(twin),
        }
        with held_before_commit("first") as (there, go):
            first = _thread("first", lambda: insert(node, "one", "f1"), errors)
            assert there.wait(20)
            other = _thread("second", writes[second], errors)
            pulling = _thread("pulling", lambda: puller.sync(twin), errors)
            other.join(0.7)
            pulling.join(0.3)
            assert other.is_alive(), "the second one has overtaken the first"
            go.set()
            for thread in (first, other, pulling):
                thread.join(20)
                assert not thread.is_alive()
        assert not errors
        puller.sync(node)
        assert set(contents(puller)) == {"zero", "one", "two"}
        same(node, twin, puller)
        with node.store.transaction(write=False) as tx:
            rows = tx.changes(0, None, 10, None)
            assert [row.guid for row in rows] == ["zero", "one", "two"]
            assert [row.position for row in rows] == [1, 2, 3]


def test_a_reader_sees_one_moment(store_url: str) -> None:
    """Who lists records while others are purged and changed meets no error, and no half of anything."""
    errors, stop, seen = list[BaseException](), threading.Event(), Counter[str]()
    with SuperNode("server", store_url, models=MODELS) as node, SuperNode("server", store_url, models=MODELS) as reader:

        def read() -> None:
            while not stop.is_set():
                for guid, record in reader.all("todo").items():
                    assert record.votes == len(record.tags), guid
                reader.inbox(), reader.status(), reader.nodes()
                with reader.store.transaction(write=False) as tx:
                    tx.changes(0, None, 1000, None)
                seen["reads"] += 1

        thread = _thread("reader", read, errors)
        for n in range(25):
            insert(node, f"{n}", f"{n}")
            edit(node, f"{n}", f"{n} again")
            if n % 2:
                node.delete(f"{n}")
                assert node.purge(dt.timedelta(0)) == [f"{n}"]
        stop.set()
        thread.join(20)
        assert not errors
        assert seen["reads"] > 3


@pytest.mark.parametrize("what", ["purge", "edit"])
def test_what_changes_between_two_statements_of_a_reader(what: str, store_url: str) -> None:
    """A record that is wiped, or edited, when its reader has read the half: it is not taken for damage."""
    with SuperNode("server", store_url, models=MODELS) as node, SuperNode("server", store_url, models=MODELS) as reader:
        for guid in ("a", "b", "c"):
            insert(node, guid, f"{guid}1")
        node.delete("b")
        done = list[str]()

        def change() -> None:
            done.append(what)
            if what == "purge":
                assert node.purge(dt.timedelta(0)) == ["b"]
            else:
                edit(node, "a", "a2")

        def between(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
            if (
                not done
                and threading.current_thread() is threading.main_thread()
                and "FROM mergecore_records" in statement
            ):
                thread = threading.Thread(target=change)
                thread.start()
                thread.join()

        sa.event.listen(sa.Engine, "after_cursor_execute", between)
        try:
            with reader.store.transaction(write=False) as tx:
                rows = tx.changes(0, None, 10, None)
        finally:
            sa.event.remove(sa.Engine, "after_cursor_execute", between)
        assert done
        held = {row.guid: row.data for row in rows if row.purged is None}
        assert {"a", "c"} <= held.keys() <= {"a", "b", "c"}
        assert reader.all("todo").keys() == {"a", "c"}


def test_many_write_at_once(store_url: str, tmp_path: Path, tally: Tally) -> None:
    """Processes and threads that open one new store at the same time, write the same records, and are synchronized with
    meanwhile: everything is there once, and a puller has missed nothing.
    """
    processes, threads = 3, 2
    each = 8 if settings().max_examples <= 300 else 100
    said = [Said(tmp_path / f"said {n}") for n in range(processes)]
    children = [child(writing_job, store_url, n, threads, each, said[n].path) for n in range(processes)]
    with Node("puller", tmp_path / "puller.db", models=MODELS) as puller:
        pulls = 0
        with Node("server", store_url, models=MODELS) as node:
            while any(process.is_alive() for process in children):
                assert not puller.sync(node).refused
                pulls += 1
            ended = [finish(process) for process in children]
            assert all(ended)
            assert not [line for one in said for line in one.all() if line != "done"]
            puller.sync(node)
            same(node, puller)
            expected = {f"{p} {t} {n}" for p in range(processes) for t in range(threads) for n in range(each)}
            assert tags_of(node)["shared"] == expected | {"first"}
            own = {guid: tags for guid, tags in tags_of(node).items() if guid != "shared"}
            assert own == {tag: {tag} for tag in expected}
            with node.store.transaction(write=False) as tx:
                positions = [row.position for row in tx.changes(0, None, 10_000, None)]
            assert len(positions) == len(set(positions)) == 1 + len(expected)
    tally("writes by several processes", 2 * len(expected), 2 * processes * threads * each, f"{pulls} pulls meanwhile")


def test_one_node_synchronizes_twice_at_once(tmp_path: Path) -> None:
    """Two threads of a device, that edits meanwhile: nothing is lost or counted twice, and it is the same device."""
    errors = list[BaseException]()
    with (
        Node("phone", tmp_path / "phone.db", models=MODELS) as phone,
        Node("server", tmp_path / "server.db", models=MODELS) as server,
    ):
        insert(phone, "a", "first")
        phone.sync(server)
        epoch = _epoch(phone)
        stop = threading.Event()

        def sync() -> None:
            while not stop.is_set():
                phone.sync(server)

        syncing = [_thread(f"sync {n}", sync, errors) for n in range(2)]
        for n in range(40):
            count(phone, "a", f"p{n}")
            count(server, "a", f"s{n}")
        stop.set()
        for thread in syncing:
            thread.join(30)
        assert not errors
        phone.sync(server)
        same(phone, server)
        assert len(tags_of(server)["a"]) == 81
        assert _epoch(phone) == epoch, "it takes itself for a restored backup"


def _epoch(node: Node) -> str:
    with node.store.transaction(write=False) as tx:
        assert tx.state is not None
        return tx.state.epoch


def test_two_http_clients_of_a_server_on_postgresql(postgres_url: str, tmp_path: Path) -> None:
    """The whole way: devices in threads, over HTTP, a server on PostgreSQL."""
    errors = list[BaseException]()
    with SuperNode("server", postgres_url, models=MODELS) as server, serving(server.app) as url:
        insert(server, "a", "first")
        names = [f"phone {n}" for n in range(3)]
        tokens = {name: server.add_node(name) for name in names}

        def live(name: str) -> None:
            with Node(name, tmp_path / f"{name}.db", models=MODELS) as node:
                node.sync(url, token=tokens[name])
                for n in range(8):
                    edit(node, "a", f"{name} {n}")
                    insert(node, f"{name} {n}", f"{n}")
                    node.sync(url, token=tokens[name])

        threads = [_thread(name, functools.partial(live, name), errors) for name in names]
        for thread in threads:
            thread.join(60)
        assert not errors
        assert tags_of(server)["a"] == {"first", *(f"{name} {n}" for name in names for n in range(8))}
        for name in names:
            with Node(name, tmp_path / f"{name}.db", models=MODELS) as node:
                node.sync(url, token=tokens[name])
                same(node, server)
