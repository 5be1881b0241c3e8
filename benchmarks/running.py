"""What a run of the suite is asked for, and what failed in it so far: what each group gets."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType

from .cases import Case
from .peers import Contender
from .report import MERGECORE, Timed, failures, judge, rows
from .timing import times, verify

__all__ = ["Run"]


@dataclass(frozen=True)
class Run:
    """A run: groups print their tables, and add a sentence to ``failed`` for what would fail under ``--check``."""

    peers: Mapping[str, ModuleType]
    seeds: Sequence[int]
    smoke: bool = False
    """Tiny inputs, hardly timed, and no target checked."""
    failed: list[str] = field(default_factory=list)

    def say(self, line: str = "") -> None:
        print(line, flush=True)

    def case(
        self,
        title: str,
        draw: Callable[[random.Random], Case],
        contenders: Sequence[Contender],
        targets: Mapping[str, float],
    ) -> None:
        """One case of a table: targets are what mergecore's time may be, as a part of a contender's."""
        self.say(title)
        targets = {} if self.smoke else targets
        verdicts = judge(self.timed(draw, contenders, targets), targets)
        for row in rows(verdicts):
            self.say(row)
        self.failed.extend(failures(title, verdicts))

    def timed(
        self, draw: Callable[[random.Random], Case], contenders: Sequence[Contender], targets: Mapping[str, float]
    ) -> list[Timed]:
        """Each seed's times; contenders without a target, shown for information, get the first seed only."""
        found = {c.name: Timed(c.name) for c in contenders}
        for seed in self.seeds:
            case = draw(random.Random(seed))
            right: list[Contender] = []
            for c in contenders:
                first = seed == self.seeds[0]
                if found[c.name].wrong or not (first or c.name == MERGECORE or c.name in targets):
                    continue
                if wrong := verify(case, c):
                    found[c.name] = Timed(c.name, wrong=wrong)
                else:
                    right.append(c)
            for name, seconds in self.times(case, right).items():
                found[name] = Timed(name, (*found[name].seconds, seconds))
        return list(found.values())

    def times(
        self, case: Case, contenders: Sequence[Contender], sample: float = 0.02, budget: float = 1.0
    ) -> dict[str, float]:
        """As ``timing.times``; in a smoke run as short as can be."""
        return times(case, contenders, 0.0, 0.0) if self.smoke else times(case, contenders, sample, budget)
