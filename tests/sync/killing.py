"""Children that kill themselves at a numbered step, where a step is what the store or a socket is asked to do.

The product knows nothing of it: SQLAlchemy's events tell of statements, and what is wrapped here are SQLAlchemy's way
to commit and Python's sockets.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect

__all__ = ["Said", "Steps", "child", "finish", "kill_after"]

_PRELOADED = ["mergecore.sync", "uvicorn", "uvicorn.protocols.http.h11_impl", "httpx", "sqlalchemy.dialects.sqlite"]

_CONTEXT: Final = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(_PRELOADED)  # a child is made within milliseconds, of a process without threads


def child(job: Callable[..., None], *given: Any) -> BaseProcess:
    """Runs ``job(*given)``, a function of a module that imports no pytest, in a child process."""
    made = _CONTEXT.Process(target=_run, args=(job, given), daemon=True)
    made.start()
    return made


def finish(process: BaseProcess, timeout: float | None = 60) -> bool:
    """Waits for a child: whether it ran to its end; not so if it was killed. Fails if it ended otherwise.

    One thread alone may wait for a child: the code of its end can be read once.
    """
    process.join(timeout)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError(f"a child hung for {timeout} s")
    assert process.exitcode in (0, -signal.SIGKILL), f"a child ended with {process.exitcode}"
    return process.exitcode == 0


def kill_after(process: BaseProcess, seconds: float) -> None:
    """Kills a child after some time, unless it has ended by itself."""
    process.join(seconds)
    if process.exitcode is None and process.pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


def _run(job: Callable[..., None], given: tuple[Any, ...]) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    job(*given)


def _die_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


class Said:
    """What a child said before it was killed: lines of a file, each there in whole once ``say`` has returned."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: Final = Path(path)

    def say(self, what: Any) -> None:
        """In the child."""
        with self.path.open("ab", buffering=0) as file:
            file.write(json.dumps(what).encode() + b"\n")

    def all(self) -> list[Any]:
        """In the parent."""
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []


class Steps:
    """Numbers the steps of this process from now on, and kills it at one of them.

    A step is: before a statement; before and after a commit; before some bytes are sent, when half of them are, and
    after; after some have come. Of sockets, those of the network count, and not those that a process has with itself.
    """

    def __init__(self, kill_at: int | None) -> None:
        self.counted: Final[list[str]] = []
        self._kill_at: Final = kill_at
        self._counts = True
        self._lock: Final = threading.RLock()
        sa.event.listen(sa.Engine, "before_cursor_execute", self._statement)
        self._watch_commits()
        self._watch_sockets()

    def step(self, what: str) -> None:
        """One step more: the last one, if its number has come."""
        with self._lock:
            if not self._counts:
                return
            self.counted.append(what)
            if len(self.counted) == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(60)  # it is dead before it gets here

    def enough(self) -> None:
        """From now on, steps do not count."""
        self._counts = False

    def _statement(self, connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        self.step(f"store: {statement.split(None, 1)[0].lower()}")

    def _watch_commits(self) -> None:
        commit: Callable[[Any, Any], None] = DefaultDialect.do_commit

        def do_commit(dialect: Any, connection: Any) -> None:
            self.step("store: before a commit")
            commit(dialect, connection)
            self.step("store: after a commit")

        DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]

    def _watch_sockets(self) -> None:
        send, receive = socket.socket.send, socket.socket.recv

        def counted_send(to: socket.socket, data: Any, *flags: int) -> int:
            if to.family not in (socket.AF_INET, socket.AF_INET6):
                return send(to, data, *flags)
            self.step("socket: before sending")
            half = len(data) // 2
            sent = send(to, data[:half], *flags) if half else 0
            if half and sent == half:
                self.step("socket: half is sent")
                with contextlib.suppress(BlockingIOError):
                    sent += send(to, data[half:], *flags)
            elif not half:
                sent = send(to, data, *flags)
            self.step("socket: after sending")
            return sent

        def counted_sendall(to: socket.socket, data: Any, *flags: int) -> None:
            left = memoryview(data).cast("B")
            while left:
                left = left[to.send(left, *flags) :]

        def counted_receive(of: socket.socket, size: int, *flags: int) -> bytes:
            data = receive(of, size, *flags)
            if of.family in (socket.AF_INET, socket.AF_INET6):
                self.step("socket: after receiving")
            return data

        socket.socket.send = counted_send  # type: ignore[assignment]
        socket.socket.sendall = counted_sendall  # type: ignore[assignment]
        socket.socket.recv = counted_receive  # type: ignore[assignment]
