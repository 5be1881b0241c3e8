"""A command in a real terminal: keys go in, the screen is read."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pyte

__all__ = ["CTRL_C", "CTRL_D", "ENTER", "Terminal"]

ENTER: Final = "\r"
CTRL_C: Final = "\x03"
CTRL_D: Final = "\x04"


class Terminal:
    """``with Terminal([sys.executable, "-m", "mergecore", ...]) as t``: a command in a terminal of a given size.

    ``t.send("y" + ENTER)`` types, ``t.wait_for("[m]ine")`` reads until the text is there, ``t.screen()`` is what a
    person sees, ``t.transcript()`` that and all that has scrolled away, ``t.raw`` the bytes, ``t.wait()`` the exit
    status. ``t.interrupt()`` is Ctrl-C as the terminal gives it: the line discipline makes it a ``SIGINT``. The
    command, and what it has started, is gone at the end of the block. ``env`` is added to this process's; ``None``
    takes a variable away.
    """

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        columns: int = 80,
        rows: int = 24,
        env: Mapping[str, str | None] | None = None,
        cwd: str | Path | None = None,
    ) -> None:
        self._command: Final = [os.fspath(part) for part in command]
        self._cwd: Final = cwd
        self._size: Final = rows, columns
        given: dict[str, str | None] = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": None, "COLUMNS": None}
        given |= {"LINES": None, "CI": None, "FORCE_COLOR": None, **(env or {})}
        self._env: Final = {name: value for name, value in given.items() if value is not None}
        self._display = pyte.HistoryScreen(columns, rows, history=10_000)
        self._stream = pyte.ByteStream(self._display)
        self._changed = threading.Condition()
        self._raw = bytearray()
        self._ended = False

    def __enter__(self) -> Self:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *self._size, 0, 0))
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=slave,
                stdout=slave,
                stderr=slave,
                cwd=self._cwd,
                env=self._env,
                start_new_session=True,
                preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # this terminal is the session's: Ctrl-C works
            )
        finally:
            os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(5)
        os.close(self._master)

    @property
    def raw(self) -> bytes:
        """All that the command has written, escape sequences and all."""
        with self._changed:
            return bytes(self._raw)

    @property
    def pid(self) -> int:
        """The command's process."""
        return self._process.pid

    def screen(self) -> str:
        """What a person sees now, without the blanks at the ends of lines."""
        with self._changed:
            return _text(self._display.display)

    def transcript(self) -> str:
        """What has scrolled away, and what is on the screen."""
        with self._changed:
            return self._transcript()

    def colors(self) -> set[str]:
        """The colors of what is on the screen, other than the terminal's own."""
        with self._changed:
            shown = [cell for row in self._display.buffer.values() for cell in row.values()]
            return {color for cell in shown for color in (cell.fg, cell.bg)} - {"default"}

    def send(self, keys: str) -> None:
        """Types."""
        data = keys.encode()
        while data:
            data = data[os.write(self._master, data) :]

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.send(CTRL_C)

    def wait_for(self, text: str | re.Pattern[str], timeout: float = 30, *, times: int = 1) -> str:
        """Waits until the text stands in the transcript, ``times`` times: the screen. Fails if it does not."""
        pattern = re.compile(re.escape(text)) if isinstance(text, str) else text
        found = self.wait_until(lambda seen: len(pattern.findall(seen)) >= times, timeout)
        assert found, f"{text!r} does not appear {times} times; there is:\n{self.transcript()}"
        return self.screen()

    def wait_until(self, shown: Callable[[str], object], timeout: float = 30) -> bool:
        """Waits until a condition on the transcript is true: whether it has become so before the end and timeout."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not shown(self._transcript()):
                left = deadline - time.monotonic()
                if self._ended or left <= 0 or not self._changed.wait(left):
                    return bool(shown(self._transcript()))
        return True

    def wait(self, timeout: float = 30) -> int:
        """Waits for the end of the command, and of what it says: its exit status, negative if a signal ended it."""
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s; there is:\n{self.transcript()}") from None
        self._reader.join(5)
        return status

    def _transcript(self) -> str:
        width = self._size[1]
        gone = ["".join(row[x].data for x in range(width)) for row in self._display.history.top]
        return _text([*gone, *self._display.display])

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # Linux: nobody has the other end any more
                data = b""
            with self._changed:
                if data:
                    self._raw += data
                    self._stream.feed(data)
                self._ended = not data
                self._changed.notify_all()
            if not data:
                return


def _text(lines: Sequence[str]) -> str:
    return "\n".join(line.rstrip() for line in lines).rstrip()
