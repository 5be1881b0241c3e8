"""What a store says when it cannot: a named error, nothing of the call stored, and the rest as it was."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from conftest import Tally
from hypothesis import settings

from mergecore import InvalidInput
from mergecore.sync import (
    Node,
    RecordNotFound,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreReadOnly,
    StoreTooNew,
    SuperNode,
)
from mergecore.sync.sql import SQLStore

from .killing import Said, child, finish
from .life import MODELS, Todo, check_store, contents, edit, insert, read_only_job, same, tags_of

pytestmark = pytest.mark.sync


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed store with some records."""
    made = tmp_path / "phone.db"
    with Node("phone", made, models=MODELS) as node:
        for guid in ("a", "b", "c"):
            insert(node, guid, f"{guid}1")
        edit(node, "a", "a2")
        node.delete("c")
    return made


def dump(path: Path) -> list[str]:
    """All that is in a file of SQLite, as SQL."""
    with closing(sqlite3.connect(path)) as db:
        return list(db.iterdump())


def run(path: Path, *statements: str) -> None:
    """Somebody else writes into the store."""
    with closing(sqlite3.connect(path)) as db, db:
        for statement in statements:
            db.execute(statement)


def opened(path: Path) -> Node:
    return Node("phone", path, models=MODELS)


# ------------------------------------------------------------------------------------------------------- no room


@contextmanager
def pages(most: int) -> Iterator[None]:
    """Whatever is opened meanwhile has no room for more pages."""

    def connected(connection: Any, _: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute(f"PRAGMA max_page_count = {most}")

    sa.event.listen(sa.Pool, "connect", connected)
    try:
        yield
    finally:
        sa.event.remove(sa.Pool, "connect", connected)


BIG = "big " * 2000


def _insert(node: Node, other: Node) -> None:
    node.insert(Todo(BIG, 1, {BIG}), guid="big")


def _edit(node: Node, other: Node) -> None:
    edit(node, "a", BIG)


def _call(node: Node, other: Node) -> None:
    node.sync(other)


def _answer(node: Node, other: Node) -> None:
    other.sync(node)


@pytest.mark.parametrize("what", [_insert, _edit, _call, _answer])
def test_a_full_disk(
    what: Callable[[Node, Node], None], path: Path, tmp_path: Path, tally: Tally, request: pytest.FixtureRequest
) -> None:
    """At each size at which there is not room enough, until there is: nothing of the call is stored, and once there is
    room it works.
    """
    failed, most = 0, _page_count(path)
    asked = "sync" in request.config.option.markexpr or settings().max_examples > 300
    stride = 1 if asked else 3 if what in (_insert, _edit) else 7
    with Node("laptop", tmp_path / "laptop.db", models=MODELS) as laptop:
        for n in range(4):
            laptop.insert(Todo(f"{n} {BIG}", 1, {f"{n} {BIG}"}))
    while True:
        work = tmp_path / f"{most}"
        work.mkdir()
        for name in ("phone.db", "laptop.db"):
            shutil.copy(tmp_path / name, work)
        with Node("laptop", work / "laptop.db", models=MODELS) as laptop:
            full = False
            with pages(most), opened(work / "phone.db") as node:
                before = contents(node)
                said = _told_full(what, node, laptop)
                if said:
                    full = True
                    assert "room" in said and str(work / "phone.db") in said
                    if what in (_insert, _edit):
                        assert contents(node) == before
                    assert before.items() <= contents(node).items()
            with opened(work / "phone.db") as node:
                check_store(node, work / "phone.db")
                if full:
                    what(node, laptop)
                assert contents(node) != before
                laptop.sync(node)
                same(node, laptop)
                tags_of(node)
                assert not node.sync(laptop).refused
        shutil.rmtree(work)
        if not full:
            break
        failed, most = failed + 1, most + stride
    tally(f"{what.__name__.strip('_')} on a full disk", failed, 2)


def _told_full(what: Callable[[Node, Node], None], node: Node, other: Node) -> str:
    """What is said if there is no room."""
    try:
        what(node, other)
    except StoreFull as error:
        return str(error)
    return ""


def _page_count(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA page_count").fetchone()[0])


def test_no_room_for_a_store_at_all(tmp_path: Path) -> None:
    """And when there is, the same path is good."""
    for most in (1, 2, 5):
        with pages(most), pytest.raises(StoreFull):
            opened(tmp_path / "phone.db")
    with opened(tmp_path / "phone.db") as node:
        insert(node, "a", "a1")
        check_store(node, tmp_path / "phone.db")


# ------------------------------------------------------------------------------------------------ not to be written


@pytest.mark.parametrize("how", ["file", "folder", "both", "while open"])
def test_a_store_that_may_not_be_written(how: str, path: Path) -> None:
    """Whether the file may not be written, or its folder, where SQLite needs to make files beside it."""
    folder = Path(tempfile.mkdtemp(prefix="mergecore-"))  # pytest's own is closed to everybody but root
    try:
        shutil.copy(path, folder / "phone.db")
        before, said = dump(path), Said(folder / "said")
        said.path.touch()
        for there, mode in [(folder / "said", 0o666), (folder / "phone.db", 0o666), (folder, 0o777)]:
            there.chmod(mode)
        assert finish(child(read_only_job, folder, how, _anybody()))
        (kind, message, reading), *_ = said.all()
        assert kind in (("StoreReadOnly",) if how in ("file", "while open") else ("StoreReadOnly", "StoreError")), (
            message
        )
        assert "phone.db" in message and "written" in message, message
        assert reading == "the same"
        folder.chmod(0o777)
        assert dump(folder / "phone.db") == before
        with opened(folder / "phone.db") as node:
            edit(node, "a", "a3")
            check_store(node, folder / "phone.db")
    finally:
        shutil.rmtree(folder)


def _anybody() -> int | None:
    """To root, everything may be written: then it is somebody else who tries."""
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None


# ------------------------------------------------------------------------------------------------------------ locked


def test_a_store_that_somebody_else_holds(path: Path) -> None:
    """Who writes waits, for a time; who reads does not. When the other one has gone, all works."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        store = SQLStore(path, MODELS, timeout=0.3)
        with Node("phone", store, models=MODELS) as node, Node("laptop", ":memory:", models=MODELS) as laptop:
            before = contents(node)
            other.execute("BEGIN IMMEDIATE")
            for write in (lambda: edit(node, "a", "a3"), lambda: node.sync(laptop), lambda: laptop.sync(node)):
                with pytest.raises(StoreLocked, match="try again"):
                    write()
            assert contents(node) == before
            with pytest.raises(StoreLocked):
                Node("phone", SQLStore(path, MODELS, timeout=0.1), models=MODELS)
            other.execute("ROLLBACK")
            edit(node, "a", "a3")
            laptop.sync(node)
            same(node, laptop)
            check_store(node, path)


def test_who_writes_waits_for_his_turn(path: Path) -> None:
    """A lock that is held for a moment is nobody's error."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other, opened(path) as node:
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.5, other.execute, ("ROLLBACK",))
        timer.start()
        edit(node, "a", "a3")
        assert not timer.is_alive()
        timer.join()
        assert "a3" in node.version("a").record.tags


# ----------------------------------------------------------------------------------------------------------- damaged

DAMAGED = {
    "bytes of no version": "UPDATE todo SET _version = x'00ff' WHERE guid = 'a'",
    "no bytes": "UPDATE todo SET _version = NULL WHERE guid = 'a'",
    "half the bytes": "UPDATE todo SET _version = substr(_version, 1, length(_version) / 2) WHERE guid = 'a'",
    "text": "UPDATE todo SET _version = 'a text' WHERE guid = 'a'",
    "another version": "UPDATE todo SET _version = (SELECT _version FROM todo WHERE guid = 'b') WHERE guid = 'a'",
    "a row that is not there": "DELETE FROM todo WHERE guid = 'a'",
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_corrupt_row(damage: str, path: Path) -> None:
    """Whoever meets it is told which one it is; the others are as they were, and can be read and written."""
    run(path, DAMAGED[damage])
    before = dump(path)
    with opened(path) as node, Node("laptop", ":memory:", models=MODELS) as laptop:
        reads: list[Callable[[], Any]] = [lambda: node.get("a"), lambda: node.version("a")]
        writes: list[Callable[[], Any]] = [
            lambda: node.edit("a", title="x"),
            lambda: node.delete("a"),
            lambda: node.put("a", Todo("x"), base=Todo()),
        ]
        for call in (*reads, *writes):
            with pytest.raises(StoreCorrupt, match=r"\ba\b"):
                call()
        if damage != "a row that is not there":
            with pytest.raises(StoreCorrupt, match=r"\ba\b"):
                node.all("todo")
        assert node.get("b") == Todo("b1", 1, {"b1"})
        for caller, called in ((node, laptop), (laptop, node)):
            try:
                report = caller.sync(called)
            except StoreCorrupt as error:
                assert re.search(r"\ba\b", str(error))  # noqa: PT017
            else:
                assert {refused.guid for refused in report.refused} == {"a"}, "nobody says that it was not sent"
                assert laptop.get("b") == node.get("b")
        assert "a" not in laptop.all("todo")
    assert _records(dump(path)) == _records(before)
    with opened(path) as node:
        edit(node, "b", "b2")
        assert tags_of_one(node, "b") == {"b1", "b2"}


def tags_of_one(node: Node, guid: str) -> set[str]:
    found: set[str] = node.version(guid).record.tags
    return found


def _records(lines: list[str]) -> list[str]:
    """The records alone, and not what a node notes of itself and of what others have."""
    return [re.sub(r",X''|,NULL", "", line) for line in lines if line.startswith('INSERT INTO "todo"')]


BROKEN: dict[str, Callable[[bytes], bytes | None]] = {
    "no state's bytes": lambda state: b"\0",
    "no state": lambda state: None,
    "half the state": lambda state: state[: len(state) // 2],
    "no clock": lambda state: state.replace(b"phone~", b"phone-"),
}


@pytest.mark.parametrize("damage", BROKEN)
def test_a_corrupt_state_of_the_node(damage: str, path: Path) -> None:
    """It must not begin anew as if it was a new one."""
    with closing(sqlite3.connect(path)) as db, db:
        state = db.execute("SELECT state FROM mergecore_node").fetchone()[0]
        db.execute("UPDATE mergecore_node SET state = ?", (BROKEN[damage](state),))
    before = dump(path)
    with pytest.raises(StoreCorrupt), opened(path) as node:
        insert(node, "new", "n1")
    assert dump(path) == before


def test_a_corrupt_peer(path: Path) -> None:
    """What is known of another node cannot be read."""
    with opened(path) as node, Node("laptop", ":memory:", models=MODELS) as laptop:
        node.sync(laptop)
        run(path, "UPDATE mergecore_peers SET row = x'93'")
        before = dump(path)
        for call in (lambda: node.sync(laptop), node.nodes, lambda: laptop.sync(node)):
            with pytest.raises(StoreCorrupt):
                call()
        assert len(contents(node)) == 3
        assert dump(path) == before


def test_a_file_that_is_no_store(path: Path, tmp_path: Path) -> None:
    """Whatever it is, it stays what it is."""
    size = path.stat().st_size
    files = {
        "text": b"Dear diary,\n" * 1000,
        "half a store": path.read_bytes()[: size // 2],
        "a damaged store": path.read_bytes()[:4096] + b"\xff" * (size - 4096),
    }
    for name, data in files.items():
        file = tmp_path / name
        file.write_bytes(data)
        with pytest.raises(StoreCorrupt, match=name), opened(file) as node:
            contents(node)
        assert file.read_bytes() == data, name
    folder = tmp_path / "a folder"
    folder.mkdir()
    for place in (folder, tmp_path / "nowhere" / "phone.db"):
        with pytest.raises(StoreError, match="cannot be opened"):
            opened(place)
    assert not (tmp_path / "nowhere").exists()


def test_a_table_of_somebody_else(tmp_path: Path) -> None:
    """With the name of a model: it is not touched."""
    run(tmp_path / "phone.db", "CREATE TABLE todo (guid TEXT, mine TEXT)", "INSERT INTO todo VALUES ('a', 'b')")
    with pytest.raises((StoreError, InvalidInput), match="somebody else"):
        opened(tmp_path / "phone.db")
    with closing(sqlite3.connect(tmp_path / "phone.db")) as db:
        assert db.execute("SELECT * FROM todo").fetchall() == [("a", "b")]


def test_a_damaged_page_is_found_when_it_is_met(path: Path) -> None:
    """Damage in the middle of the file: a named error where it is read, and no other one anywhere."""
    with opened(path) as node:
        for n in range(150):
            insert(node, f"{n:03}", f"{n} {BIG[:800]}")
        whole = contents(node)
    data, page = bytearray(path.read_bytes()), 4096
    middle = len(data) // page // 2 * page
    data[middle : middle + 3 * page] = b"\xa5" * (3 * page)
    path.write_bytes(data)
    met = 0
    with opened(path) as node:
        for guid in whole:
            try:
                assert node.version(guid).encode() == whole[guid]
            except StoreCorrupt:
                met += 1
            except RecordNotFound:
                raise AssertionError(f"{guid} is said not to be there") from None
        assert met
        with pytest.raises(StoreCorrupt):
            node.all("todo")
    assert path.read_bytes()[middle : middle + page] == b"\xa5" * page


# ----------------------------------------------------------------------------------------------------------- newer


def test_a_store_of_a_newer_format(path: Path) -> None:
    """It is refused, and not a byte of it is changed."""
    run(path, "UPDATE mergecore_node SET format = format + 1")
    before = path.read_bytes()
    for open_it in (opened, lambda where: SuperNode("phone", where), lambda where: Node("phone", where)):
        with pytest.raises(StoreTooNew, match="update mergecore"):
            open_it(path)
    assert path.read_bytes() == before


# ------------------------------------------------------------------------------------------------------ PostgreSQL


def test_postgresql_that_may_not_be_written(postgres_url: str) -> None:
    """As a standby is."""
    with Node("server", postgres_url, models=MODELS) as node:
        insert(node, "a", "a1")
        before = contents(node)
    _ask(postgres_url, "ALTER DATABASE {} SET default_transaction_read_only = on")
    with pytest.raises(StoreReadOnly), Node("server", postgres_url, models=MODELS) as node:
        edit(node, "a", "a2")
    _ask(postgres_url, "ALTER DATABASE {} SET default_transaction_read_only = off", write=True)
    with Node("server", postgres_url, models=MODELS) as node:
        assert contents(node) == before
        edit(node, "a", "a2")


def test_postgresql_that_somebody_else_holds(postgres_url: str) -> None:
    """Who writes waits for a time, and is told; who reads does not wait."""
    with Node("server", SQLStore(postgres_url, MODELS, timeout=0.5), models=MODELS) as node:
        insert(node, "a", "a1")
        with psycopg.connect(postgres_url) as other:
            other.execute("SELECT * FROM mergecore_node FOR UPDATE")
            failed = list[BaseException]()

            def write() -> None:
                try:
                    edit(node, "a", "a2")
                except BaseException as error:
                    failed.append(error)

            thread = threading.Thread(target=write, daemon=True)
            thread.start()
            thread.join(10)
            hung = thread.is_alive()
            assert node.get("a").tags == {"a1"}
            other.rollback()
            thread.join(10)
        assert not hung, "it waits for ever"
        assert [type(error) for error in failed] == [StoreLocked]
        edit(node, "a", "a2")
        assert tags_of_one(node, "a") == {"a1", "a2"}


def test_postgresql_that_was_restarted(postgres_url: str) -> None:
    """A connection that was lost is an error by name, at most once; then there is another one."""
    with Node("server", postgres_url, models=MODELS) as node:
        insert(node, "a", "a1")
        held = threading.Event()

        def lose(connection: Any, *more: Any) -> None:
            if not held.is_set():
                held.set()
                _ask(
                    postgres_url,
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                    "AND datname = '{}'",
                )

        sa.event.listen(sa.Engine, "commit", lose)
        try:
            with pytest.raises(StoreError):
                edit(node, "a", "a2")
        finally:
            sa.event.remove(sa.Engine, "commit", lose)
        assert tags_of_one(node, "a") == {"a1"}
        edit(node, "a", "a3")
        assert tags_of_one(node, "a") == {"a1", "a3"}


def test_postgresql_of_a_newer_format_or_damaged(postgres_url: str) -> None:
    """The same errors as on SQLite."""
    with Node("server", postgres_url, models=MODELS) as node:
        insert(node, "a", "a1")
        insert(node, "b", "b1")
    _ask(postgres_url, "UPDATE todo SET _version = '\\x00' WHERE guid = 'a'")
    with Node("server", postgres_url, models=MODELS) as node:
        with pytest.raises(StoreCorrupt, match=r"\ba\b"):
            node.get("a")
        assert node.get("b") == Todo("b1", 1, {"b1"})
    _ask(postgres_url, "UPDATE mergecore_node SET format = 99")
    with pytest.raises(StoreTooNew):
        Node("server", postgres_url, models=MODELS)
    with pytest.raises(StoreError) as refused:
        Node("server", postgres_url.replace("postgresql://tester", "postgresql://nobody:secret"), models=MODELS)
    assert "secret" not in str(refused.value)


def _ask(url: str, statement: str, write: bool = False) -> None:
    name = url.split("@/")[1].split("?")[0]
    with psycopg.connect(url, autocommit=True) as connection:
        if write:
            connection.execute("SET default_transaction_read_only = off")
        connection.execute(statement.format(name).encode())
