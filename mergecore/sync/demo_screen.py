"""What the demo looks like: lines that scroll by, and below them, in a terminal, a box for each store.

It shows what it is told, and knows nothing of records. Without a terminal the lines are all there is.
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TextIO

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

__all__ = ["COLORS", "Row", "Screen", "Store", "colored"]

COLORS = {"laptop": "cyan", "phone": "magenta", "tablet": "yellow", "server": "green", "web": "blue"}
"""Of who does something."""

_NAMES = tuple(COLORS)[:4]
_PACE = 0.8
"""All in all it then takes about 50 s."""
_BOXES, _WIDE = 76, 108
"""From so many columns on there are boxes side by side, and whole names instead of letters."""


class Store(NamedTuple):
    """What a box says of one store."""

    name: str
    person: str
    tasks: int
    unsent: int
    waiting: int
    clock: str
    wrong: bool
    """Of the clock."""
    doing: str
    """``offline``, or what is going on right now."""


class Row(NamedTuple):
    """Of a record, what the last table says."""

    record: str
    did: Sequence[tuple[str, Sequence[str]]]
    """What was done, and where."""
    verdict: str
    value: str
    same: Sequence[bool]
    """On each device, and on the server."""


class Screen:
    """Standard output, as a person reads it; ``slow`` waits, so that one can follow."""

    def __init__(self, slow: bool) -> None:
        out: Any = sys.stdout if sys.stdout is not None else io.StringIO()
        if "utf" not in (out.encoding or "").lower():
            out = _Plain(out)
        self.console = Console(file=out, highlight=False, emoji=False, markup=False, soft_wrap=False)
        console = self.console
        self.is_live = console.is_terminal and not console.is_dumb_terminal and out.isatty()
        self.slow = slow and self.is_live
        self._live: Live | None = None
        self._due = time.monotonic()
        """When the next thing is to be told."""

    @property
    def is_wide(self) -> bool:
        """Whether there is room for whole names."""
        return self.console.width >= _WIDE

    def wait(self, seconds: float) -> None:
        """Gives a person so long to read; what the work took since the last time is a part of it."""
        if self.slow:
            now, pause = time.monotonic(), seconds * _PACE
            self._due = max(self._due + pause, now + pause / 3)
            time.sleep(self._due - now)

    # ---- the boxes

    @contextlib.contextmanager
    def boxes(self) -> Iterator[None]:
        """As long as this runs, there are boxes below the lines."""
        if not self.is_live or self.console.height < 18:
            yield
            return
        with Live(
            console=self.console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        ) as live:
            self._live = live
            try:
                yield
            finally:
                self._live = None

    @property
    def has_boxes(self) -> bool:
        """Whether there is anything to tell of the stores."""
        return self._live is not None

    def show(self, stores: Sequence[Store]) -> None:
        """The boxes, as the stores are now."""
        if self._live is not None:
            width = (self.console.width - 3) // 4 * 4  # Ctrl-C is echoed beside them: it must not break a line
            made = _side_by_side(stores, width) if width >= _BOXES else _below(stores)
            self._live.update(made, refresh=True)

    # ---- the lines

    def say(self, text: str | Text = "", *, after: float = 0.0) -> None:
        """A paragraph."""
        self._print(Text(), text)
        self.wait(after)

    def act(self, number: int, title: str) -> None:
        """What is told next."""
        self.console.print()
        told = Text(f"{number}  {title}", "bold")
        if told.cell_len + 4 <= self.console.width:
            self.console.rule(told, style="bright_black", align="left")
        else:
            self._print(Text(), told)
        self.wait(0.5)

    def line(self, when: str, who: str, text: str | Text, *, after: float = 0.7) -> None:
        """What somebody did."""
        name = Text(f"{who:6} ", f"bold {COLORS.get(who, '')}")
        self._print(Text.assemble((f"{when:5} ", "bright_black"), name), text)
        self.wait(after)

    def card(self, title: str | Text, lines: Sequence[str | Text], verdict: str | Text, *, after: float = 2.0) -> None:
        """A question: who says what, and what became of it."""
        self.console.print()
        bar = Text("    ▎ ", "bright_black")
        self._print(bar, title if isinstance(title, Text) else Text(title, "bold"), bar)
        for text in lines:
            self._print(bar, text, bar)
        bar = Text("    ▎ ", "bold green")
        self._print(bar, verdict, bar)
        self.wait(after)

    def _print(self, before: Text, text: str | Text, below: Text | None = None) -> None:
        """A line, that goes on under itself where it is too long."""
        width = max(20, self.console.width - before.cell_len)
        wrapped = (Text(text) if isinstance(text, str) else text).wrap(self.console, width)
        for i, one in enumerate(wrapped):
            start = before if not i else Text(" " * before.cell_len) if below is None else below
            line = Text.assemble(start, one)
            line.rstrip()
            self.console.print(line, no_wrap=True, overflow="ignore", crop=False)

    # ---- the end

    def table(self, rows: Sequence[Row]) -> None:
        """What became of each record."""
        if self.console.width < 60:
            self.console.print()
            self._blocks(rows)
            return
        wide = self.is_wide
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1 if wide else 0, 0, 0), pad_edge=False, header_style="bold")
        table.add_column("record", overflow="fold", style="bold")
        for name in ("what happened", "verdict", "final value"):
            table.add_column(name, overflow="fold")
        for name in _NAMES if wide else ():
            table.add_column(Text(name, COLORS[name]), justify="center", no_wrap=True)
        if not wide:
            table.add_column(Text.assemble(*((name[0].upper(), COLORS[name]) for name in _NAMES)), no_wrap=True)
        for record, did, verdict, value, same in rows:
            marks = [_mark(one) for one in same]
            cells = marks if wide else [Text.assemble(*marks)]
            table.add_row(record, _did(did, wide), verdict, value, *cells)
        self._table(table)
        if not wide:
            self._legend()

    def _blocks(self, rows: Sequence[Row]) -> None:
        """The same where there is no room for a table."""
        for record, did, verdict, value, same in rows:
            marks = [Text.assemble(" ", (name[0].upper(), COLORS[name]), _mark(x)) for name, x in zip(_NAMES, same)]
            row = Table.grid(padding=(0, 1))
            row.add_row("", _did(did, False))
            row.add_row("", verdict)
            row.add_row("", Text(f"= {value}"))
            self._table(Group(Text.assemble((record, "bold"), " ", *marks), row))
        self._legend()

    def _legend(self) -> None:
        letters = [part for name in COLORS for part in ((name[0].upper(), f"bold {COLORS[name]}"), f" {name}  ")]
        self._print(Text(), Text.assemble(*letters, ("✓", "green"), " equal bytes", style="bright_black"))

    def _table(self, table: RenderableType) -> None:
        """A table; in a file, without blanks at the ends of its lines."""
        if self.is_live:
            self.console.print(table)
            return
        with self.console.capture() as drawn:
            self.console.print(table)
        self.console.file.write("".join(f"{line.rstrip()}\n" for line in drawn.get().splitlines()))


def colored(name: str, text: str | None = None) -> Text:
    """A text in the color of who it is about."""
    return Text(name if text is None else text, COLORS.get(name, ""))


def _mark(good: bool) -> Text:
    return Text("✓", "green") if good else Text("✗", "bold red")


def _did(did: Sequence[tuple[str, Sequence[str]]], wide: bool) -> Text:
    """``title: laptop, phone``, or ``title L P``."""
    found = Text()
    for i, (what, names) in enumerate(did):
        found.append(f"{', ' if i else ''}{what}{':' if wide else ''} ")
        for j, name in enumerate(names):
            found.append(("" if not j else ", " if wide else " ") + (name if wide else name[0].upper()), COLORS[name])
    return found


def _side_by_side(stores: Sequence[Store], width: int) -> RenderableType:
    grid = Table.grid(expand=True)
    grid.width = width
    for _ in stores:
        grid.add_column(ratio=1)
    grid.add_row(*map(_box, stores))
    return grid


def _box(store: Store) -> Panel:
    color = COLORS[store.name]
    is_active = store.doing not in ("offline", "online")
    unsent = (f"{store.unsent} unsent", "bold" if store.unsent else "bright_black")
    waiting = (f"  {store.waiting} open", "bold red" if store.waiting else "bright_black")
    lines = [
        Text(f"{store.tasks} tasks", justify="center"),
        Text.assemble(unsent, waiting, justify="center", no_wrap=True),
        Text(store.clock, "bold red" if store.wrong else "bright_black", justify="center", no_wrap=True),
    ]
    title = Text.assemble((store.name, f"bold {color}"), (f" {store.person}" if store.person else "", color))
    style = f"bold {color}" if is_active else "bright_black" if store.doing == "offline" else color
    return Panel(
        Group(*lines), box=box.HEAVY if is_active else box.ROUNDED, title=title, subtitle=Text(store.doing, style),
        border_style=style, padding=0, height=5,
    )  # fmt: skip


def _below(stores: Sequence[Store]) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    for store in stores:
        red = "bold red" if store.waiting else "bright_black"
        grid.add_row(
            colored(store.name), f"{store.tasks} tasks", f"{store.unsent} unsent", Text(f"{store.waiting} open", red),
            Text(store.doing, "bright_black"),
        )  # fmt: skip
    return Group(Text("─" * 30, "bright_black"), grid)


class _Plain:
    """A stream that takes ASCII and little more: what it cannot say is spelled with what it can."""

    _SPELLED = str.maketrans("▲▼✓✗·→▎…─“”", '^v=!->|~-""')

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        encoding = self._stream.encoding or "ascii"
        return self._stream.write(text.translate(self._SPELLED).encode(encoding, "replace").decode(encoding))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
