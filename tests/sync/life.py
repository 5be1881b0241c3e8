"""What nodes do in these tests, and what must be true of them afterwards. Imports no pytest: children run it, too."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated, Any

import msgspec
import uvicorn

from mergecore import InvalidInput, Version, add_wins, counter
from mergecore.sync import Node, StoreError, SuperNode

from .killing import Said, Steps
from .serving import listening

__all__ = ["MODELS", "Todo", "check_store", "contents", "edit", "same", "tags_of"]


class Todo(msgspec.Struct):
    """Each edit writes all three, so that half an edit shows, and so does one that counts twice."""

    title: str = ""
    votes: Annotated[int, counter] = 0
    tags: Annotated[set[str], add_wins] = set()


MODELS = {"todo": Todo}


def edit(node: Node, guid: str, tag: str) -> None:
    """One edit, that can be told from all others."""
    now = node.version(guid).record
    node.edit(guid, title=tag, votes=now.votes + 1, tags=now.tags | {tag})


def insert(node: Node, guid: str, tag: str) -> None:
    """A new record, as if it was made by such an edit."""
    node.insert(Todo(tag, 1, {tag}), guid=guid)


def contents(node: Node) -> dict[str, bytes]:
    """All that a node holds, deleted or not."""
    with node.store.transaction(write=False) as tx:
        return {row.guid: row.data for row in tx.changes(0, None, 1_000_000, None) if row.purged is None}


def tags_of(node: Node) -> dict[str, set[str]]:
    """Which edits each record has, deleted or not; every one is there in whole, and once."""
    found: dict[str, set[str]] = {}
    for guid, data in contents(node).items():
        record = Version.decode(data, Todo).record
        assert record.votes == len(record.tags), f"{guid} in {node.name}: an edit is half there, or twice: {record}"
        assert record.title in record.tags, f"{guid} in {node.name}: {record}"
        found[guid] = record.tags
    return found


def same(*nodes: Node) -> dict[str, bytes]:
    """All of them hold the same: that."""
    first = contents(nodes[0])
    for other in nodes[1:]:
        there = contents(other)
        differ = {guid for guid in first.keys() | there.keys() if first.get(guid) != there.get(guid)}
        told = [(guid, [_shown(node, guid) for node in (nodes[0], other)]) for guid in sorted(differ)]
        assert not differ, f"{nodes[0].name} and {other.name} differ: {told}"
    return first


def _shown(node: Node, guid: str) -> str:
    try:
        version = node.version(guid)
    except LookupError:
        return "nothing"
    return f"{version.record}{' deleted' if version.deleted else ''} {sorted(map(str, version.seen.values()))}"


def check_store(node: Node, path: Path) -> None:
    """The file is sound, and what SQL sees is what the versions say."""
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = db.execute("SELECT guid, title, votes, is_deleted, _version FROM todo").fetchall()
        index = dict(db.execute("SELECT guid, position FROM mergecore_records WHERE purged IS NULL").fetchall())
    assert {row[0] for row in rows} == index.keys()
    assert len(set(index.values())) == len(index)
    assert max(index.values(), default=0) <= node.status()["position"]
    for guid, title, votes, deleted, data in rows:
        version = node.version(guid)
        assert version.encode() == data
        assert (version.record.title, version.record.votes, version.deleted) == (title, votes, bool(deleted)), guid


def unsynchronized(path: Path) -> list[str]:
    """The GUIDs that SQL finds not to be synchronized."""
    with closing(sqlite3.connect(path)) as db:
        return [row[0] for row in db.execute("SELECT guid FROM todo WHERE NOT is_synchronized").fetchall()]


# ---------------------------------------------------------------------------------------------- jobs of children


@contextmanager
def _said(said: Said, what: str, **more: Any) -> Iterator[None]:
    said.say(["begin", what, more])
    yield
    said.say(["end", what, more])


def phone_of(folder: Path, **how: Any) -> Node:
    """The node that is killed, or that meets a server that is."""
    return Node("phone", folder / "phone.db", models=MODELS, back_end="server", **how)


def server_of(folder: Path, store: str | Path | None = None, **how: Any) -> SuperNode:
    """The server."""
    return SuperNode("server", folder / "server.db" if store is None else store, models=MODELS, **how)


def phone_edits(node: Node, said: Said, part: int) -> None:
    """What the phone does: in two parts, with a synchronization after each."""
    edits = [("a", "p1"), ("new", "p2"), ("b", "p3")] if part == 1 else [("a", "p4"), ("new", "p5"), ("newer", "p6")]
    for guid, tag in edits:
        with _said(said, "edit", guid=guid, tag=tag):
            (insert if (guid, tag) in (("new", "p2"), ("newer", "p6")) else edit)(node, guid, tag)
    if part == 2:
        with _said(said, "delete", guid="c"):
            node.delete("c")


def phone_job(folder: Path, url: str, token: str, kill_at: int | None, ahead: int = 0) -> None:
    """Opens the store, edits and synchronizes, twice; killed at a step."""
    steps = Steps(kill_at)
    said = Said(folder / "said")
    with phone_of(folder, **clock_ahead(ahead)) as node:
        for part in (1, 2):
            phone_edits(node, said, part)
            with _said(said, "sync"):
                rewritten = node.sync(url, token=token).rewritten
            said.say(["rewritten", part, rewritten])
    said.say(["steps", "", {"steps": steps.counted}])


def clock_ahead(milliseconds: int) -> dict[str, Callable[[], float]]:
    """The arguments of a node whose clock is that much ahead."""
    return {"now": lambda: time.time() * 1000 + milliseconds} if milliseconds else {}


def server_job(folder: Path, store: str | None, port: int, talk: Connection, kill_at: int | None) -> None:
    """Opens the store and serves, until told to stop; killed at a step."""
    listener = listening(port)
    talk.send(listener.getsockname()[1])
    steps = Steps(kill_at)
    node = server_of(folder, store)
    config = uvicorn.Config(node.app, log_level="critical", loop="asyncio", http="h11", ws="none")
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)

    def stop() -> None:
        with contextlib.suppress(EOFError):
            while talk.recv() != "stop":
                steps.enough()
        server.should_exit = True

    threading.Thread(target=stop, daemon=True).start()
    asyncio.run(server.serve([listener]))
    talk.send(steps.counted)


def read_only_job(folder: Path, how: str, user: int | None) -> None:
    """Tries to write where it may not, as another user than root, and says what it was told."""
    said, path = Said(folder / "said"), folder / "phone.db"
    with Node("phone", ":memory:", models=MODELS) as node:  # all that is imported late is imported while we are root
        insert(node, "a", "a1")
    open_already = Node("phone", path, models=MODELS) if how == "while open" else None
    with open_already or Node("phone", path, models=MODELS) as once:
        before = contents(once)  # and its connections are closed: they could write for ever
    path.chmod(0o666 if how == "folder" else 0o444)
    if how in ("folder", "both"):
        folder.chmod(0o555)
    if user is not None:
        os.seteuid(user)
    try:
        with open_already or Node("phone", path, models=MODELS) as node:
            edit(node, "a", "a3")
    except StoreError as error:
        reading = "the same" if open_already is None or contents(open_already) == before else "something else"
        said.say([type(error).__name__, str(error), reading])
    else:
        said.say(["nothing", "", ""])


def count(node: Node, guid: str, tag: str) -> None:
    """As ``edit``, while others edit the same record in the same store."""
    shown = node.version(guid)
    record = shown.record
    node.put(guid, Todo(tag, record.votes + 1, record.tags | {tag}), base=shown)


def writing_job(store: str, process: int, threads: int, each: int, said: Path) -> None:
    """Opens a store that may be new, and writes to a record that all write to, and to records of its own."""
    node = Node("server", store, models=MODELS)
    try:
        insert(node, "shared", "first")
    except InvalidInput:  # somebody else has
        assert node.get("shared") is not None

    def write(thread: int) -> None:
        try:
            for n in range(each):
                count(node, "shared", f"{process} {thread} {n}")
                insert(node, f"{process} {thread} {n}", f"{process} {thread} {n}")
        except Exception as error:
            Said(said).say(repr(error))
        else:
            Said(said).say("done")

    running = [threading.Thread(target=write, args=(n,)) for n in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    node.close()
