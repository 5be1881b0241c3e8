"""Group ``growth``: what each public entry point costs, by the size of what it is given.

A slope of 1 on logarithmic axes is linear. What is more than ``LINEAR`` is named in ``REASONS``, with a bound.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import partial
from typing import Any

from .entries import Entry
from .entries_merge import MERGING
from .entries_version import VERSIONS
from .peers import Contender
from .report import Curve, Timed, duration, over, slope
from .running import Run

__all__ = ["CONSTANT", "ENTRIES", "LINEAR", "REASONS", "curve_of", "judge_curve", "measure"]

ENTRIES = MERGING + VERSIONS

CONSTANT = frozenset({
    "Candidate.id", "Clock.load", "Clock.locked", "Clock.node", "Clock.save", "Timestamp.datetime",
    "Timestamp.from_bytes", "Timestamp.parse", "VersionVector.covers",
    "group", "keyed", "prefer", "strategy", "text", "three_way",
})  # fmt: skip
"""What costs the same, whatever there is."""

LINEAR = 1.1
"""Linear, and what caches and noise add to it."""

SQUARE = 2.1

REASONS: Mapping[str, tuple[float, str]] = {
    "Policy.bind, fields": (1.25, "Python's own compile(), of one function for all; what comes before it is linear"),
    "merge, depth": (1.3, "each level has a path, which is as long as it is deep"),
    "Version.conflicts, heads": (SQUARE, "each candidate is compared with each head, to say whose it is"),
    "Version.resolve, heads": (SQUARE, "as Version.conflicts, whose answer it is"),
    "Version.record, heads that are merged": (SQUARE, "each is merged from a base found among all that was written"),
    "join, versions": (SQUARE, "one after the other, each to all before it; join them in pairs where they are many"),
}
"""By entry, up to which slope, and why."""


def measure(run: Run) -> None:
    run.say(f"{'':42}{'sizes':>16}{'first':>12}{'last':>10}{'slope':>8}   at most")
    for entry in ENTRIES:
        timed = run.timed(str(entry), partial(_Sizes, entry, 2 if run.smoke else len(entry.sizes)), _Sizes.all, {})
        if wrong := [f"growth: {entry}, {one.contender}: {one.wrong}" for one in timed if one.wrong]:
            run.say(f"  {entry!s:40}{'wrong':>16}")
            run.failed.extend(wrong)
            continue
        curve = curve_of(str(entry), timed)
        run.said.append(curve)
        missed = [] if run.smoke else judge_curve(curve)
        run.say(_line(curve) + ("   missed" if missed else ""))
        run.failed.extend(missed)


class _Sizes:
    """A case: the sizes of an entry, which are its contenders."""

    def __init__(self, entry: Entry, count: int, rng: random.Random) -> None:
        self._entry, self._sizes, self._rng = entry, entry.sizes[:count], rng

    def inputs(self) -> tuple[Any, ...]:
        return ()

    def wrong(self, outcome: object) -> str:
        return ""

    def all(self) -> list[Contender]:
        return [self._of(size) for size in self._sizes]

    def _of(self, size: int) -> Contender:
        name, by, call, make, right, _ = self._entry
        arguments = make(size, self._rng)

        def wrong(result: Any, _: object) -> str:
            return "" if right(result, size) else f"not what {name} gives for {size} {by}"

        return Contender(str(size), call, wrong, inputs=lambda _: arguments())


def curve_of(entry: str, timed: list[Timed]) -> Curve:
    """Of what each size took, in every round."""
    curve = Curve(entry, {int(one.contender): one.seconds[0] for one in timed}, 0.0, *REASONS.get(entry, (LINEAR, "")))
    return curve._replace(slope=slope(curve.fastest))


def judge_curve(curve: Curve) -> list[str]:
    """A sentence if it is steeper than linear, or than the reason that is given for it allows."""
    return over(f"growth: {curve.entry}", curve.slope, curve.at_most, "is the slope")


def _line(curve: Curve) -> str:
    (first, quick), *_, (last, slow) = curve.fastest
    figures = f"{f'{first:,} to {last:,}':>16}{duration(quick):>12}{duration(slow):>10}{curve.slope:8.2f}"
    return f"  {curve.entry:40}{figures}   {curve.at_most:g}" + (f": {curve.reason}" if curve.reason else "")
