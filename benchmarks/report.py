"""From measurements to verdicts, and to tables. Pure: nothing here looks at a clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from math import log
from statistics import linear_regression, median
from typing import NamedTuple, TypeAlias

__all__ = [
    "MERGECORE", "Curve", "Measured", "Target", "Targets", "Timed", "Verdict", "cells", "duration", "exit_code",
    "failures", "is_ours", "judge", "over", "plain", "ratio", "slope", "spread",
]  # fmt: skip

MERGECORE = "mergecore"


def is_ours(contender: str) -> bool:
    """Rows of mergecore's are called so; where there are several, with what they are: ``mergecore bound``."""
    return contender.partition(" ")[0] == MERGECORE


class Target(NamedTuple):
    """What a median of mergecore's may be: ``reach`` times a contender's, and ``plus`` seconds."""

    reach: float
    plus: float = 0.0
    aim: float | None = None
    """A smaller ``reach``, which is shown and not checked."""


Targets: TypeAlias = Mapping[str | tuple[str, str], Target | float]
"""By contender, for every row of mergecore's; or by row and contender."""


class Timed(NamedTuple):
    """A contender's seconds in one case, for each seed those of each round; or what was wrong with its result."""

    contender: str
    seconds: tuple[tuple[float, ...], ...] = ()
    wrong: str = ""

    @property
    def medians(self) -> tuple[float, ...]:
        """For each seed."""
        return tuple(map(median, self.seconds))


class Verdict(NamedTuple):
    """What is said of a row of mergecore's, beside a contender."""

    row: str
    against: str
    target: Target
    ratios: tuple[float, ...]
    """Its time, less ``plus``, divided by the contender's, for each seed: small is good."""
    word: str
    """``ok``, ``missed``, or ``wrong`` where the contender is."""


class Measured(NamedTuple):
    """A case that was measured."""

    group: str
    title: str
    timed: Sequence[Timed]
    verdicts: Sequence[Verdict]
    reference: str
    """The contender that the others' times are divided by."""


class Curve(NamedTuple):
    """What an entry point costs, by the size of what it is given."""

    entry: str
    points: Mapping[int, tuple[float, ...]]
    """Seconds, for each size those of each round."""
    slope: float
    at_most: float
    reason: str
    """Why that is more than linear; empty where it is not."""

    @property
    def fastest(self) -> list[tuple[int, float]]:
        """The sizes and what they took in their best rounds: what disturbs a round only ever adds to it."""
        return [(size, min(seconds)) for size, seconds in self.points.items()]


def judge(measured: Sequence[Timed], targets: Targets) -> list[Verdict]:
    """One that was not measured is not installed, or not asked for, and that is said elsewhere."""
    verdicts: list[Verdict] = []
    for ours in measured:
        for timed in measured if is_ours(ours.contender) and not ours.wrong else ():
            given = targets.get((ours.contender, timed.contender), targets.get(timed.contender))
            if given is None:
                continue
            target = given if isinstance(given, Target) else Target(given)
            ratios = tuple((a - target.plus) / b for a, b in zip(ours.medians, timed.medians))
            word = "wrong" if timed.wrong else "ok" if ratios and median(ratios) <= target.reach else "missed"
            verdicts.append(Verdict(ours.contender, timed.contender, target, ratios, word))
    return verdicts


def failures(case: str, measured: Sequence[Timed], verdicts: Sequence[Verdict]) -> list[str]:
    """A sentence for each target that is missed, and for each wrong result of mergecore or of one with a target."""
    counts = {verdict.against for verdict in verdicts}
    found = [
        f"{case}: {timed.contender} is wrong: {timed.wrong}"
        for timed in measured
        if timed.wrong and (is_ours(timed.contender) or timed.contender in counts)
    ]
    for row, against, target, ratios, word in verdicts:
        if word == "missed":
            about = case if row == MERGECORE else f"{case}, {row}"
            was = f"{ratio(median(ratios))} of" if ratios else "nothing to compare to"
            plus = f" and {duration(target.plus)}" if target.plus else ""
            found.append(f"{about}: {was} the time of {against}{plus}, the target is {ratio(target.reach)}")
    return found


def over(case: str, value: float, at_most: float, unit: str) -> list[str]:
    """A sentence if a target is missed that is no ratio between times."""
    return [f"{case}: {value:.3g} {unit}, the target is {at_most:g}"] if value > at_most else []


def exit_code(failed: Sequence[str], check: bool) -> int:
    return 1 if check and failed else 0


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the line nearest to the points by least squares, both axes logarithmic: 1 is linear growth, 0 none."""
    return linear_regression([log(x) for x, _ in points], [log(max(y, 1e-9)) for _, y in points]).slope


def spread(values: Sequence[float]) -> float:
    """How far values lie from their median, in the median, as a part of it: a few outliers do not count."""
    middle = median(values)
    return median(abs(value - middle) for value in values) / middle


# ------------------------------------------------------------------------------------------ tables


def cells(case: Measured) -> Iterator[tuple[str, str, str, str, str, tuple[str, ...]]]:
    """The head of its table, and a row for each contender: time, spread over the rounds, times the reference's time,
    that over the seeds, and what is said of targets.
    """
    yield "", "time", "±", f"x {case.reference}", "over seeds", ("target",)
    to = next((timed.medians for timed in case.timed if timed.contender == case.reference), ())
    for timed in case.timed:
        if timed.wrong:
            yield timed.contender, "wrong", "", "", "", (timed.wrong,)
            continue
        around = spread(list(chain.from_iterable([s / median(each) for s in each] for each in timed.seconds)))
        ratios = [a / b for a, b in zip(timed.medians, to)]
        low, middle, high = (ratio(x) for x in (min(ratios), median(ratios), max(ratios))) if ratios else ("", "", "")
        said = tuple(_said(verdict) for verdict in case.verdicts if verdict.row == timed.contender)
        reach = f"{low} to {high}" if len(ratios) > 1 and timed.contender != case.reference else ""
        yield timed.contender, duration(median(timed.medians)), f"{around:.1%}", middle, reach, said


def _said(verdict: Verdict) -> str:
    _, against, target, ratios, word = verdict
    was = f"{ratio(median(ratios))} of {against}" if ratios else against
    plus = f" + {duration(target.plus)}" if target.plus else ""
    aim = "" if target.aim is None else f", aim {ratio(target.aim)}"
    return f"{was}{plus}, at most {ratio(target.reach)}{aim}: {word}"


def plain(case: Measured) -> Iterator[str]:
    """Its table as lines of text."""
    table = [(*row, "; ".join(said)) for *row, said in cells(case)]
    widths = [max(map(len, column)) for column in zip(*table)]
    for name, *figures, said in table:
        aligned = "".join(f"{text:>{width + 3}}" for text, width in zip(figures, widths[1:]))
        yield f"  {name:{widths[0]}}{aligned}   {said}".rstrip()


def ratio(value: float) -> str:
    """Small ones as a fraction: 0.04 is 1/25."""
    return f"1/{_short(1 / value)}" if 0 < value < 0.5 else _short(value)


def duration(seconds: float) -> str:
    """In the unit that fits."""
    unit, scale = next((u for u in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)) if seconds >= u[1]), ("ns", 1e-9))
    return f"{_short(seconds / scale)} {unit}"


def _short(value: float) -> str:
    """Three digits, or all those before the point."""
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:.3g}"
