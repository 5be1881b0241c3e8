"""What commands show: tables that fit the terminal's width, JSON, and how far they are."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from mergecore import UNSET, InvalidInput, Timestamp
from mergecore.cli import put_out
from mergecore.explain import brief, printable
from mergecore.jsontext import Style, builtins, to_text
from mergecore.paths import Path

__all__ = ["Working", "as_json", "date", "show", "table", "text", "value_at", "who"]

_WIDE = 10_000
"""Of what is no terminal: there nothing needs to be folded."""


def show(*parts: RenderableType, end: str = "\n") -> None:
    """On standard output; texts are taken as they are, ``printable`` or not. Raises ``InvalidInput`` if it is shut."""
    console = _console()
    with console.capture() as captured:
        for part in parts:
            console.print(Text(part) if isinstance(part, str) else part, overflow="fold", end=end)
    said = captured.get()
    text(said if console.is_terminal else "".join(f"{line.rstrip()}\n" for line in said.splitlines()))


def text(said: str) -> None:
    """As it is, on standard output. Raises ``InvalidInput`` if that is shut."""
    try:
        put_out(said.encode(getattr(sys.stdout, "encoding", None) or "utf-8", "backslashreplace"))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InvalidInput(f"standard output cannot be written ({error.strerror})") from error


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table; one block for each row, where a table would be too wide. Cells are made printable."""
    made = [[printable(cell) for cell in row] for row in rows]
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in made:
        shown.add_row(*map(Text, row))
    console = _console()
    if Measurement.get(console, console.options.update(width=_WIDE), shown).minimum <= console.width:
        show(shown)
        return
    for i, row in enumerate(made):
        named = [(column, cell) for column, cell in zip(columns, row) if cell]
        show(*([""] if i else []), *(Text.assemble((f"{column}: ", "bold"), cell) for column, cell in named))


def as_json(value: Any, *, lines: bool = False) -> None:
    """A value as JSON, in plain ASCII; ``lines``: on one line."""
    text(to_text(builtins(value), Style(indent=None if lines else "  ", escaped=True)) + "\n")


def who(name: str | None, by: str | None, stamp: Timestamp | None) -> str:
    """Which node, which person and when, as far as it is known."""
    known = [
        name or (_node(stamp) if stamp else ""),
        f"by {by}" if by is not None else "",
        date(stamp.datetime) if stamp else "",
    ]
    return ", ".join(part for part in known if part)


def value_at(path: Path, value: Any, width: int) -> str:
    """A value of an open conflict, or one that lost, on one line."""
    return "(deleted)" if value is UNSET and not path else brief(value, width)


def date(moment: Any) -> str:
    """A moment, for people."""
    return "never" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}Z"


def _node(stamp: Timestamp) -> str:
    return stamp.node.partition("~")[0]


def _console() -> Console:
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    width = None if is_terminal or "COLUMNS" in os.environ else _WIDE
    return Console(file=sys.stdout, width=width, markup=False, highlight=False, emoji=False)


class Working:
    """``with Working("synchronizing") as told``: a bar, once that takes a second, if a person looks at the terminal.

    ``told(done, total)`` is how far it is.
    """

    def __init__(self, what: str, after: float = 1.0) -> None:
        console = Console(stderr=True)
        parts = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
        self._bar = Progress(*parts, console=console, transient=True)
        self._task = self._bar.add_task(what, total=None)
        self._lock = threading.Lock()
        self._ended = not console.is_terminal
        self._timer = threading.Timer(after, self._start)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        if not self._ended:
            with _deaf_to_ctrl_c():
                self._timer.start()
        return self

    def __call__(self, done: int, total: int) -> None:
        self._bar.update(self._task, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            self._ended = True
            if self._bar.live.is_started:
                self._bar.stop()

    def _start(self) -> None:
        with self._lock:
            if not self._ended:
                self._bar.start()


@contextlib.contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Threads that are made in here leave Ctrl-C to the main one, which would wait on for the network otherwise."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
