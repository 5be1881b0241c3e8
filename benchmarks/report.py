"""From measurements to verdicts, and to lines of text. Pure: nothing here looks at a clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import NamedTuple

__all__ = ["HEAD", "MERGECORE", "Timed", "Verdict", "exit_code", "failures", "judge", "over", "ratio", "rows"]

MERGECORE = "mergecore"


class Timed(NamedTuple):
    """A contender's seconds in one case, a number for each seed; or what was wrong with its result."""

    contender: str
    seconds: tuple[float, ...] = ()
    wrong: str = ""


class Verdict(NamedTuple):
    """What is said of a contender in one case."""

    timed: Timed
    ratios: tuple[float, ...]
    """mergecore's time divided by the contender's, for each seed: small is good."""
    at_most: float | None
    """The target for their median, if there is one."""
    word: str
    """``ok``, ``missed``, ``wrong``, or empty."""


def judge(measured: Sequence[Timed], targets: Mapping[str, float]) -> list[Verdict]:
    """Targets are by contender; one that was not measured is not installed, and that is said elsewhere."""
    ours = next(timed for timed in measured if timed.contender == MERGECORE)
    verdicts: list[Verdict] = []
    for timed in measured:
        ratios = () if timed is ours else tuple(a / b for a, b in zip(ours.seconds, timed.seconds))
        at_most = targets.get(timed.contender)
        word = "wrong" if timed.wrong else ""
        if not word and at_most is not None:
            word = "ok" if ratios and median(ratios) <= at_most else "missed"
        verdicts.append(Verdict(timed, ratios, at_most, word))
    return verdicts


def failures(case: str, verdicts: Sequence[Verdict]) -> list[str]:
    """A sentence for each target that is missed, and for each wrong result of mergecore or of one with a target."""
    found: list[str] = []
    for timed, ratios, at_most, word in verdicts:
        if word == "wrong" and (timed.contender == MERGECORE or at_most is not None):
            found.append(f"{case}: {timed.contender} is wrong: {timed.wrong}")
        elif word == "missed" and at_most is not None:
            was = f"{ratio(median(ratios))} of" if ratios else "nothing to compare to"
            found.append(f"{case}: {was} the time of {timed.contender}, the target is {ratio(at_most)}")
    return found


def over(case: str, value: float, at_most: float, unit: str) -> list[str]:
    """A sentence if a target is missed that is no ratio between times."""
    return [f"{case}: {value:.3g} {unit}, the target is {at_most:g}"] if value > at_most else []


def exit_code(failed: Sequence[str], check: bool) -> int:
    return 1 if check and failed else 0


HEAD = f"{'':26}{'ms':>9}   mergecore's time to it: {'min':>6}{'median':>9}{'max':>9}   target"


def rows(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """One line for each contender."""
    for timed, ratios, at_most, word in verdicts:
        if timed.wrong:
            yield f"  {timed.contender:24}{'wrong':>9}   {timed.wrong}"
            continue
        line = f"  {timed.contender:24}{median(timed.seconds) * 1e3:9.3f}"
        if ratios:
            line += f"{'':24}" + "".join(f"{ratio(r):>9}" for r in (min(ratios), median(ratios), max(ratios)))
        if at_most is not None:
            line += f"   <= {ratio(at_most):5} {word}"
        yield line


def ratio(value: float) -> str:
    """Small ones as a fraction: 0.04 is 1/25."""
    return f"1/{1 / value:.3g}" if 0 < value < 0.5 else f"{value:.3f}"
