"""Many clients of a super node at once: nodes in one process, or event connections that wait.

``python -m benchmarks.crowds``, with commands in lines of JSON.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from mergecore.sync import Node, SuperNode

from .live import Live
from .machine import many_files, resident
from .programs import answer_all
from .todos import Todo, draw_todos

__all__ = ["TEAM", "start"]

TEAM = 10
"""So many clients have one list between them."""
_THREADS = 8


def start() -> Live:
    """A program for one crowd."""
    return Live([sys.executable, "-m", "benchmarks.crowds"])


def share(clients: int, records: int, seed: int) -> dict[str, Any]:
    """Each client writes its share of the records and sends it; then each takes what the others of its team wrote.

    Nodes in memory over one super node on disk, several threads at a time.
    """
    teams = max(1, clients // TEAM)
    models = {f"todo{i}": Todo for i in range(teams)}
    written: dict[str, dict[str, Todo]] = defaultdict(dict)
    drawn = draw_todos(records, random.Random(seed))
    with (
        tempfile.TemporaryDirectory() as folder,
        SuperNode("server", Path(folder) / "server.db", models=models) as server,
    ):
        before = resident()
        nodes: list[tuple[str, Node, str]] = []
        for i in range(clients):
            name, model = f"client{i}", f"todo{i % teams}"
            token = server.add_node(name, read=[model], write=[model])
            nodes.append((model, Node(name, ":memory:", models={model: Todo}), token))
        for i, todo in enumerate(drawn):
            model, node, _ = nodes[i % clients]
            guid = todo.pop("guid")
            written[model][guid] = msgspec.convert(todo, Todo)
            node.insert(written[model][guid], guid=guid)

        def sync(at: int) -> int:
            _, node, token = nodes[at]
            report = node.sync(server, token=token)
            if report.refused:
                raise ValueError(f"refused: {report.refused[0]}")
            return report.round_trips

        seconds, trips = [], []
        with ThreadPoolExecutor(_THREADS) as pool:
            for _ in range(2):
                began = time.perf_counter()
                trips.append(sum(pool.map(sync, range(clients))))
                seconds.append(time.perf_counter() - began)
        memory = resident() - before
        right = all(node.all(model) == written[model] for model, node, _ in nodes)
        right = right and all(server.all(model) == written[model] for model in models)
        for _, node, _ in nodes:
            node.close()
    if not right:
        raise ValueError("a client, or the super node, has not exactly what its team wrote")
    taken = sum(len(written[model]) for model, _, _ in nodes) - records
    return {"seconds": seconds, "taken": taken, "round_trips": trips, "megabytes": memory}


# ---- event connections


class _Events:
    """Connections to ``/events``, open in a thread of their own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.told: dict[int, float] = {}
        self.tasks: list[asyncio.Task[None]] = []
        self.open = 0
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def listen(self, url: str, tokens: Sequence[str]) -> None:
        """All connections are open when this returns."""
        self._run(self._listen(url, tokens))

    async def _listen(self, url: str, tokens: Sequence[str]) -> None:
        address, wanted = urlsplit(url), self.open + len(tokens)
        for i, token in enumerate(tokens, self.open):
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            head = f"GET /events HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {token}\r\n"
            writer.write(f"{head}Accept: text/event-stream\r\n\r\n".encode())
            self.tasks.append(asyncio.create_task(self._hear(i, reader, writer)))
        await self._until(lambda: self.open == wanted, 60)

    async def _hear(self, i: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        status = await reader.readline()
        if b" 200 " not in status:
            return
        while (await reader.readline()).strip():
            pass
        self.open += 1
        while line := await reader.readline():
            if line.strip() == b"event: stale":
                self.told.setdefault(i, time.time())
        self.open -= 1
        writer.close()

    def forget(self) -> None:
        """What was told so far does not count."""
        self.told.clear()

    def told_since(self, moment: float, connections: int) -> dict[str, Any]:
        """Seconds from a moment until one, half and all of them were told."""
        self._run(self._until(lambda: len(self.told) == connections, 60))
        after = sorted(at - moment for at in self.told.values())
        return {"first": after[0], "half": after[len(after) // 2], "all": after[-1]}

    async def _until(self, done: Any, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                raise TimeoutError(f"{self.open} connections are open, {len(self.told)} were told")
            await asyncio.sleep(0.02)

    def _run(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self.loop).result()


if __name__ == "__main__":
    many_files()
    events = _Events()
    answer_all({"share": share, "listen": events.listen, "forget": events.forget, "told_since": events.told_since})
