"""A node of ``mergecore.sync`` in a process of its own, a client or a super node, over SQLite.

``python -m benchmarks.peers.mergecore_node FOLDER``, with the commands that ``pouchdb.js`` has. A super node can also
be pulled from in its own process, and a client can write what it holds once more by SQLAlchemy alone: the floor.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from mergecore import Version
from mergecore.sync import Node, Report, SuperNode
from mergecore.sync.exchange import BATCH
from mergecore.sync.sql import SQLStore
from mergecore.sync.store import NodeState, Row

from ..live import Live
from ..machine import many_files, peak, resident
from ..programs import answer_all
from ..todos import Todo

__all__ = ["NAME", "start"]

NAME = "mergecore"
MODELS = {"todo": Todo}


def start(folder: Path) -> Live:
    """A super node or a client over the store in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return Live([sys.executable, "-m", "benchmarks.peers.mergecore_node", str(folder)])


class Heard:
    """What a server has heard and said, counted at its sockets."""

    requests = received = sent = 0


class _Counting(H11Protocol):
    """HTTP as uvicorn speaks it, and counted."""

    def connection_made(self, transport: Any) -> None:
        write = transport.write

        def counted(data: bytes) -> None:
            Heard.sent += len(data)
            write(data)

        transport.write = counted
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        Heard.received += len(data)
        super().data_received(data)


class _Program:
    """The node, and the commands: whatever has no underscore."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.node: Node | None = None
        self.peer: dict[str, Any] = {}
        self.port = 0

    @property
    def _server(self) -> SuperNode:
        if self.node is None:
            self.node = SuperNode("server", self.folder / "server.db", models=MODELS)
        assert isinstance(self.node, SuperNode)
        return self.node

    @property
    def _here(self) -> Node:
        return self.node or self._server

    # ---- what both can do

    def load(self, file: str) -> None:
        """As ``insert`` does it, but a thousand in one transaction: each waits for the disk."""
        node, lines = self._here, iter(_lines(file))
        while part := list(islice(lines, 1000)):
            with node.transaction() as tx:
                clock = node.clock(tx)
                made = [Version.new(clock, msgspec.convert(record, Todo), id=guid) for guid, record in part]
                node.keep(tx, clock, [(Row(version.id, "todo", b""), version) for version in made])

    def edit(self, file: str) -> None:
        for guid, fields in _lines(file):
            self._here.edit(guid, fields)

    def dump(self, file: str) -> None:
        open_now = {entry.guid: len(entry.conflicts) for entry in self._here.inbox()}
        lines = [
            json.dumps([guid, msgspec.to_builtins(record, order="sorted"), open_now.get(guid, 0)])
            for guid, record in self._here.all("todo").items()
        ]
        Path(file).write_text("\n".join(lines), encoding="utf-8")

    def count(self) -> dict[str, Any]:
        return {"records": self._here.status()["records"]["todo"]}

    def memory(self) -> dict[str, Any]:
        return {"peak": peak(), "now": resident()}

    # ---- the super node

    def serve(self) -> None:
        app = self._server.app

        async def counted(scope: Any, receive: Any, send: Any) -> None:
            Heard.requests += scope["type"] == "http"
            await app(scope, receive, send)

        config = uvicorn.Config(counted, port=0, http=_Counting, loop="asyncio", log_level="error")
        served = uvicorn.Server(config)
        threading.Thread(target=lambda: asyncio.run(served.serve()), daemon=True).start()
        while not served.started:
            time.sleep(0.01)
        self.port = served.servers[0].sockets[0].getsockname()[1]

    def invite(self, name: str) -> dict[str, Any]:
        return {"url": f"http://127.0.0.1:{self.port}", "name": name, "token": self._server.add_node(name)}

    def heard(self) -> dict[str, Any]:
        return {"requests": Heard.requests, "received": Heard.received, "sent": Heard.sent}

    def pull_here(self, folder: str, name: str) -> dict[str, Any]:
        """By a new node in this process."""
        token = self._server.add_node(name)
        Path(folder).mkdir(parents=True, exist_ok=True)
        with Node(name, Path(folder) / "client.db", models=MODELS) as client:
            taken = _timed(client, self._server, token)
            taken["records"] = client.status()["records"]["todo"]
        return taken

    # ---- a client

    def open(self, url: str, name: str, token: str) -> None:
        self.node = Node(name, self.folder / "client.db", models=MODELS)
        self.peer = {"peer": url, "token": token}

    def sync(self, batch: int) -> dict[str, Any]:
        return _timed(self._here, **self.peer)

    pull = sync

    def floor(self, batch: int) -> dict[str, Any]:
        """Seconds to write the rows of this store's table into a new one, a transaction for each batch."""
        source = sa.create_engine(f"sqlite:///{self.folder / 'client.db'}")
        table = sa.Table("todo", sa.MetaData(), autoload_with=source)
        with source.connect() as connection:
            rows = [dict(row) for row in connection.execute(sa.select(table)).mappings()]
        source.dispose()
        file = self.folder / "floor.db"
        engine = sa.create_engine(f"sqlite:///{file}")

        @sa.event.listens_for(engine, "connect")
        def connected(connection: Any, _: Any) -> None:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # as the nodes have it

        table.create(engine)
        start = time.perf_counter()
        for at in range(0, len(rows), batch):
            with engine.begin() as connection:
                connection.execute(table.insert(), rows[at : at + batch])
        seconds = time.perf_counter() - start
        with engine.connect() as connection:
            found = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        engine.dispose()
        for made in self.folder.glob("floor.db*"):
            made.unlink()
        return {"seconds": seconds, "records": found}

    def least(self) -> dict[str, Any]:
        """Seconds to read what this store has, to see what each record shows, and to write it into a new store: what is
        left of a pull where nothing travels, and nobody asks whether a record is new.
        """
        node = self._here
        with node.store.transaction(write=False) as tx:
            held = [(row.guid, row.data) for row in tx.changes(0, None, 1 << 30, None)]
        start = time.perf_counter()
        store = SQLStore(self.folder / "least.db", MODELS)
        for at in range(0, len(held), BATCH):
            with store.transaction() as tx:
                tx.state = tx.state or NodeState("least", "", "")
                rows = [Row(guid, "todo", data) for guid, data in held[at : at + BATCH]]
                for row in rows:
                    tx.fill(row, Version.decode(row.data, Todo), row.data)
                tx.save(rows)
        seconds = time.perf_counter() - start
        with store.transaction(write=False) as tx:
            found = tx.count(0, None)
        store.close()
        for made in self.folder.glob("least.db*"):
            made.unlink()
        return {"seconds": seconds, "records": found}


def _lines(file: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for line in Path(file).read_text(encoding="utf-8").splitlines():
        fields = json.loads(line)
        yield fields.pop("guid"), fields


def _timed(node: Node, peer: Any, token: str) -> dict[str, Any]:
    at, start = time.time(), time.perf_counter()
    report: Report = node.sync(peer, token=token)
    seconds = time.perf_counter() - start
    if report.refused or report.waiting:
        raise ValueError(f"refused: {report.refused[:1]}, waiting: {report.waiting}")
    return {"seconds": seconds, "at": at, "round_trips": report.round_trips}


if __name__ == "__main__":
    many_files()
    program = _Program(Path(sys.argv[1]))
    answer_all({name: getattr(program, name) for name in vars(_Program) if not name.startswith("_")})
