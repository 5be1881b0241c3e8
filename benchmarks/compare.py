"""A run beside an older one: what became slower than it was, by ratio to the same contender, and beyond noise. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import hypot
from statistics import median
from typing import NamedTuple

from .report import Measured, Timed, is_ours, spread

__all__ = ["Change", "changes", "improvements", "regressions"]

DEVIATIONS = 3
"""How many standard deviations of both runs together are noise."""

SIGMA = 1.4826
"""Standard deviations in a median deviation of a normal distribution."""

FEW = 5
"""With fewer rounds than this, all seeds together, a spread says nothing."""


class Change(NamedTuple):
    """What became of a row of mergecore's."""

    row: str
    against: str
    times: float
    """Its ratio to the contender, divided by what that was."""
    noise: float
    """Up to how much ``times`` would be noise, and from which part of 1 on."""

    def __str__(self) -> str:
        return f"{self.row}: {self.times:.3f} times what it was to {self.against}; noise is up to {self.noise:.3f}"


def changes(old: Sequence[Measured], new: Sequence[Measured], moved: Collection[str] = ()) -> list[Change]:
    """A change for each row of mergecore's that both runs have, beside the contender whose ratio was the steadiest, of
    those that were timed on the most seeds.

    The runs are of the same seeds. ``moved`` are contenders of other versions than they were, which prove nothing.
    """
    before = {(case.group, case.title): {timed.contender: timed for timed in case.timed} for case in old}
    found: list[Change] = []
    for case in new:
        then = before.get((case.group, case.title), {})
        now = {timed.contender: timed for timed in case.timed if not timed.wrong}
        for row in (name for name in now if is_ours(name) and name in then):
            against = [name for name in now if not is_ours(name) and name in then and name not in moved]
            known = [_change(f"{case.group}: {case.title}, {row}", name, row, then, now) for name in against]
            found += sorted(filter(None, known), key=lambda change: (-len(now[change.against].seconds), change.noise))[
                :1
            ]
    return found


def _change(title: str, against: str, row: str, then: Mapping[str, Timed], now: Mapping[str, Timed]) -> Change | None:
    """Ratios are taken round by round, in which both were timed one after the other, and seed by seed: divided by what
    they were with that seed.
    """
    was, is_ = ([_ratios(*rounds) for rounds in zip(of[row].seconds, of[against].seconds)] for of in (then, now))
    middles = [median(ratios) for ratios in was]
    before, after = ([x / middle for ratios, middle in zip(of, middles) for x in ratios] for of in (was, is_))
    if min(len(before), len(after)) < FEW:
        return None
    return Change(title, against, median(after), 1 + DEVIATIONS * SIGMA * hypot(spread(before), spread(after)))


def _ratios(ours: Sequence[float], others: Sequence[float]) -> list[float]:
    return [mine / other for mine, other in zip(ours, others)]


def regressions(found: Sequence[Change]) -> list[str]:
    """What is slower than noise could make it."""
    return [str(change) for change in found if change.times > change.noise]


def improvements(found: Sequence[Change]) -> list[str]:
    return [str(change) for change in found if change.times < 1 / change.noise]
