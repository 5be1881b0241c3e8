"""Group ``text``: merges of texts by lines and by words, drawn at random; and by lines, out of real histories."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from statistics import median, quantiles
from typing import NamedTuple

from .cases import CORPUS, edited_text, real_texts
from .peers import UNITS, for_texts
from .report import MERGECORE, over, ratio
from .running import Run
from .timing import verify

__all__ = ["Pace", "judge_corpus", "measure"]

RECONCILE = "reconcile-text"


def measure(run: Run) -> None:
    lines, edits = (40, 3) if run.smoke else (200, 6)
    for unit in UNITS:
        run.case(
            f"by {unit}s: {lines} lines of 8 words, {edits} lines edited a side",
            lambda rng: edited_text(lines, 8, edits, rng),
            for_texts(run.peers, unit),
            {RECONCILE: 1.0},
        )
    run.say()
    if not CORPUS.exists():
        run.say("The real texts are left out: ../shared/corpora/real_text.json is not there.")
    elif shutil.which("git") is None:
        run.say("The real texts are left out: git, which says what is right, is not installed.")
    else:
        _corpus(run)


def _corpus(run: Run) -> None:
    """Of mergecore it is required that every merge comes out as in git; of the others it is counted."""
    cases = real_texts(5 if run.smoke else None)
    contenders = [c for c in for_texts(run.peers, "line") if c.merges]
    wrong = {c.name: [f"{name}: {what}" for name, case in cases if (what := verify(case, c))] for c in contenders}
    ready = [c for c in contenders if c.name != MERGECORE or not wrong[MERGECORE]]
    seconds: dict[str, list[float]] = {c.name: [] for c in ready}
    for _, case in cases:
        for name, taken in run.times(case, ready, sample=0.005, budget=0.05).items():
            seconds[name].append(taken)
    run.say(f"by lines: {len(cases)} merges of real texts, as git makes them")
    run.say(f"{'':26}{'as git':>9}{'ms: median':>12}{'p90':>9}{_PACE}")
    for name, found in wrong.items():
        line = f"  {name:24}{len(cases) - len(found):9}"
        if name not in seconds:
            run.say(f"{line}   wrong, first in {found[0]}")
            run.failed.append(f"real texts: {name} is wrong in {len(found)} of them, first in {found[0]}")
            continue
        line += f"{median(seconds[name]) * 1e3:12.3f}{_p90(seconds[name]) * 1e3:9.3f}"
        if name != MERGECORE and MERGECORE in seconds:
            pace = Pace.of(seconds[MERGECORE], seconds[name])
            line += f"{'':24}" + "".join(f"{ratio(r):>9}" for r in pace)
            if name == RECONCILE and not run.smoke:
                missed = judge_corpus(pace)
                run.failed.extend(missed)
                line += f"   <= 1, median and of p90s: {'missed' if missed else 'ok'}"
        run.say(line)


_PACE = f"   mergecore's time to it: median{'p90':>9}{'of p90s':>9}   target"


class Pace(NamedTuple):
    """mergecore's time to another's: of the ratios of each merge the median and p90, and the p90 of times to that."""

    median: float
    p90: float
    of_p90s: float

    @classmethod
    def of(cls, ours: Sequence[float], other: Sequence[float]) -> Pace:
        ratios = [a / b for a, b in zip(ours, other)]
        return cls(median(ratios), _p90(ratios), _p90(ours) / _p90(other))


def judge_corpus(pace: Pace) -> list[str]:
    """A sentence for each target that is missed: no slower in the middle, nor at the slow end."""
    unit = f"of the time of {RECONCILE}"
    return over("real texts, median", pace.median, 1.0, unit) + over("real texts, p90", pace.of_p90s, 1.0, unit)


def _p90(values: Sequence[float]) -> float:
    return quantiles(values, n=10)[8]
