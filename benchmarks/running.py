"""What a run of the suite is asked for, and what it found so far: what each group gets."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from types import ModuleType
from typing import Any, TypeAlias

from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from .peers import Contender
from .report import Curve, Measured, Targets, Timed, cells, failures, is_ours, judge, plain
from .timing import Drawn, rounds, verify

__all__ = ["Contenders", "Run"]

Contenders: TypeAlias = Sequence[Contender] | Callable[[Any], Sequence[Contender]]
"""Those of a case; a function of what was drawn, where they are made for that: the same ones for each seed."""


@dataclass(frozen=True)
class Run:
    """A run: groups say and show what they find, and add a sentence to ``failed`` for what would fail under
    ``--check``.
    """

    peers: Mapping[str, ModuleType]
    seeds: Sequence[int]
    smoke: bool = False
    """Tiny inputs, hardly timed, and no target checked."""
    quick: bool = False
    """A fifth of the time for each case: rough figures."""
    group: str = ""
    failed: list[str] = field(default_factory=list)
    said: list[str | Measured | Curve] = field(default_factory=list)
    """All that was said and shown."""
    progress: Progress = field(default_factory=partial(Progress, disable=True))
    """What is measured now; shown between measurements only, as a thread that draws would be timed with them."""

    def say(self, line: str = "") -> None:
        self.said.append(line)
        self.progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def case(
        self,
        title: str,
        draw: Callable[[random.Random], Drawn],
        contenders: Contenders,
        targets: Targets,
        reference: str | None = None,
    ) -> None:
        """One case, timed and shown: ``reference`` is whom the times are divided by, mergecore's first row unless
        given.
        """
        self.show(title, self.timed(title, draw, contenders, targets, reference), targets, reference)

    def show(self, title: str, timed: Sequence[Timed], targets: Targets, reference: str | None = None) -> None:
        """The table of a case, by whatever means it was timed."""
        verdicts = judge(timed, {} if self.smoke else targets)
        ours = next(one.contender for one in timed if is_ours(one.contender))
        case = Measured(self.group, title, timed, verdicts, reference or ours)
        self.say(title)
        self.said.append(case)
        if self.progress.console.is_terminal:
            self.progress.console.print(_table(case))
        else:
            for row in plain(case):
                self.progress.console.print(row, markup=False, highlight=False, soft_wrap=True)
        self.failed.extend(failures(title, timed, verdicts))

    def timed(
        self,
        title: str,
        draw: Callable[[random.Random], Drawn],
        contenders: Contenders,
        targets: Targets,
        reference: str | None = None,
    ) -> list[Timed]:
        """Each seed's rounds; contenders that are shown for information get one seed only."""
        steady = {reference, *(key if isinstance(key, str) else key[1] for key in targets)}
        found: dict[str, Timed] = {}
        for i, seed in enumerate(self.seeds):
            self.now(f"{title}: seed {i + 1} of {len(self.seeds)}")
            case = draw(random.Random(seed))
            right: list[Contender] = []
            for c in contenders(case) if callable(contenders) else contenders:
                so_far = found.setdefault(c.name, Timed(c.name))
                if so_far.wrong or (so_far.seconds and not (c.name in steady or c.is_limit or is_ours(c.name))):
                    continue
                if wrong := verify(case, c):
                    found[c.name] = Timed(c.name, wrong=wrong)
                else:
                    right.append(c)
            for name, seconds in self.rounds(case, right).items():
                found[name] = Timed(name, (*found[name].seconds, seconds))
        return list(found.values())

    def rounds(
        self, case: Drawn, contenders: Sequence[Contender], sample: float = 2e-4, budget: float = 1.0
    ) -> dict[str, tuple[float, ...]]:
        """As ``timing.rounds``; in a smoke run as short as can be."""
        if self.smoke:
            return rounds(case, contenders, 0.0, 0.0)
        return rounds(case, contenders, sample, budget / 5 if self.quick else budget)

    def times(
        self, case: Drawn, contenders: Sequence[Contender], sample: float = 2e-4, budget: float = 1.0
    ) -> dict[str, float]:
        """The medians of the rounds."""
        return {name: median(each) for name, each in self.rounds(case, contenders, sample, budget).items()}

    def now(self, what: str) -> None:
        """Says what is measured next, for as long as that takes."""
        for task in self.progress.task_ids:
            self.progress.update(task, description=f"{self.group}: {what}", refresh=True)


_STYLES = {"ok": "green", "missed": "bold red", "wrong": "bold red"}


def _table(case: Measured) -> Table:
    """As ``plain``, for a terminal."""
    head, *rows = cells(case)
    table = Table(*head[:-1], *head[-1], box=None, padding=(0, 1, 0, 2), header_style="dim")
    for column in table.columns[1:-1]:
        column.justify, column.no_wrap = "right", True
    for name, time, *figures, said in rows:
        lines = [Text(line, _STYLES.get(line.rpartition(" ")[2], "")) for line in said]
        style = "bold" if is_ours(name) else ""
        table.add_row(Text(name, style), Text(time, _STYLES.get(time, "")), *figures, Text("\n").join(lines))
    return table
