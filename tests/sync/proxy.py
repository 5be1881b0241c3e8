"""A bad link: a proxy on loopback that cuts, delays, splits, reorders and repeats what goes through it."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from random import Random
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from .serving import listening

__all__ = ["FATES", "Link"]

FATES: Final = ("refused", "cut on the way there", "cut on the way back", "answer lost", "doubled")
"""What may become of a connection, beside going well."""

Step = Callable[[bytes], bytes | None]
"""What becomes of some bytes under way: ``None`` cuts the connection."""


class Link:
    """``with Link("http://127.0.0.1:8000", seed) as link``: ask ``link.url`` instead.

    Of the connections, ``bad`` (0 to 1) meet one of the ``FATES``:

    - *refused*: closed before a byte;
    - *cut on the way there*, *back*: closed after some bytes of the requests, of the answers, wherever;
    - *answer lost*: a request arrives whole, and of its answer nothing does, so the client takes the request for lost;
    - *doubled*: a request arrives twice, at about the same time.

    The others last for a few requests, and are closed when the next one comes.

    All bytes come in pieces of any size, ``slow`` is the longest pause (in seconds) before a connection and between
    some pieces: so connections overtake each other. Requests whose first line matches ``again`` (a regular expression,
    ``rb"POST /sync"``) are also repeated much later, after newer ones. ``link.calm()`` ends all that. ``link.fates``
    counts what happened. What the n-th connection meets is a function of the seed and n.
    """

    def __init__(
        self, upstream: str, seed: int, *, bad: float = 0.5, slow: float = 0.01, again: bytes | None = None
    ) -> None:
        parts = urlsplit(upstream)
        assert parts.hostname and parts.port, upstream
        self._upstream: Final = parts.hostname, parts.port
        self.seed: Final = seed
        self._bad, self._slow = bad, slow
        self._again: Final = None if again is None else re.compile(again)
        self._delivered: list[bytes] = []
        self._lock: Final = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._closed = False
        self.fates: Final = Counter[str]()

    def __enter__(self) -> Self:
        print(f"a link of seed {self.seed}")  # pytest shows it where a test fails
        self._listener = listening()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._start(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in self._threads), "the link does not close"

    def calm(self) -> None:
        """From here on, new connections go well."""
        self._bad = self._slow = 0

    def cut(self) -> None:
        """Cuts all connections that there are."""
        with self._lock:
            connections, self._open = self._open, set()
        for connection in connections:
            _reset(connection)

    def _start(self, what: Callable[..., None], *given: object) -> threading.Thread:
        thread = threading.Thread(target=what, args=given, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        number = 0
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            number += 1
            self._start(self._connection, client, Random(f"{self.seed} {number}"))

    def _connection(self, client: socket.socket, chance: Random) -> None:
        fate = chance.choice(FATES) if chance.random() < self._bad else ""
        time.sleep(chance.random() * self._slow)
        if fate == "refused":
            self.fates[fate] += 1
            _reset(client)
            return
        try:
            server = socket.create_connection(self._upstream, 10)
        except OSError:
            self.fates["nobody there"] += 1
            _reset(client)
            return
        server.settimeout(None)
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open |= {client, server}
        there, back = self._steps(fate, chance)
        down = self._start(self._pump, server, client, back, Random(chance.random()))
        self._pump(client, server, there, Random(chance.random()))
        down.join()
        with self._lock:
            self._open -= {client, server}
        for end in (client, server):
            end.close()
        if not fate:
            self.fates["good"] += 1
        if self._again and self._bad and self._delivered and chance.random() < 0.5:
            self.fates["repeated late"] += 1
            self._deliver(chance.choice(self._delivered))

    def _steps(self, fate: str, chance: Random) -> tuple[Step, Step]:
        """What becomes of the bytes each way."""
        requests = _Requests()
        arrived, lost, lasts = 0, chance.choice((1, 1, 2, 3)), chance.randint(1, 4) if self._bad else 0

        def there(data: bytes) -> bytes | None:
            nonlocal arrived
            if lasts and arrived >= lasts:
                self.fates["worn out"] += 1
                return None
            for request in requests.feed(data):
                arrived += 1
                if self._again and self._again.match(request):
                    self._delivered.append(request)
                if fate == "doubled":
                    self.fates[fate] += 1
                    self._start(self._deliver, request)
            return data

        def back(data: bytes) -> bytes | None:
            if fate == "answer lost" and arrived >= lost:
                self.fates[fate] += 1
                return None
            return data

        if fate == "cut on the way there":
            return self._cut(fate, chance, there), back
        if fate == "cut on the way back":
            return there, self._cut(fate, chance, back)
        return there, back

    def _cut(self, fate: str, chance: Random, step: Step) -> Step:
        left = int(2 ** chance.uniform(0, 17))

        def cut(data: bytes) -> bytes | None:
            nonlocal left
            if left <= 0:
                self.fates[fate] += 1
                return None
            data, left = data[:left], left - len(data)
            return step(data)

        return cut

    def _pump(self, source: socket.socket, target: socket.socket, step: Step, chance: Random) -> None:
        """Moves bytes one way until the end of the stream, or until ``step`` cuts the connection."""
        try:
            while data := source.recv(int(2 ** chance.uniform(0, 16))):
                if chance.random() < 0.1:
                    time.sleep(chance.random() * self._slow)
                passed = step(data)
                if passed is None:
                    if chance.random() < 0.5:
                        time.sleep(chance.random() * self._slow)
                    break
                target.sendall(passed)
                if len(passed) < len(data):  # the cut lies within: the next byte would not pass
                    step(b"")
                    break
            else:
                target.shutdown(socket.SHUT_WR)
                return
        except OSError:
            pass
        _reset(target)
        _reset(source)

    def _deliver(self, request: bytes) -> None:
        """Delivers a request once more, on a connection of its own; nobody hears the answer."""
        try:
            with socket.create_connection(self._upstream, 10) as server:
                without = re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", request, count=1)
                server.settimeout(10)
                server.sendall(without.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
                while server.recv(65536):
                    pass
        except OSError:
            pass


class _Requests:
    """Finds the requests in a stream of bytes."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The requests that are whole now."""
        self._held += data
        found: list[bytes] = []
        while (size := self._size()) is not None and len(self._held) >= size:
            found.append(self._held[:size])
            self._held = self._held[size:]
        return found

    def _size(self) -> int | None:
        head, end, body = self._held.partition(b"\r\n\r\n")
        if not end:
            return None
        if re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
            last = 0 if body.startswith(b"0\r\n\r\n") else body.find(b"\r\n0\r\n\r\n") + 2
            return None if last == 1 else len(head) + 4 + last + 5
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        return len(head) + 4 + (int(length[1]) if length else 0)


def _reset(connection: socket.socket) -> None:
    """Closes so that the other end meets an error, also for what has been sent and not read."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
