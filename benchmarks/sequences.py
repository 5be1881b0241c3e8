"""Group ``sequences``: merges of lists, near-equal and much edited, and lists at which an engine could break down."""

from __future__ import annotations

import random
from statistics import median

from . import worlds
from .cases import few_edits, many_edits
from .peers import for_lists
from .report import MERGECORE, over
from .running import Run
from .timing import verify

__all__ = ["judge_world", "measure"]

SIMILAR, HUNT = "similar (2 diffs)", "similar hunt (2 diffs)"
STRINGS_ONLY = (SIMILAR, "merge3 on similar")


def measure(run: Run) -> None:
    some, many = (200, 400) if run.smoke else (1_000, 100_000)
    everybody = for_lists(run.peers)
    usual = [c for c in everybody if c.name != HUNT]
    generic = [c for c in usual if c.name not in STRINGS_ONLY]
    alone = [c for c in usual if c.name == MERGECORE]

    run.case(
        f"{some:,} strings, 20 edits a side",
        lambda rng: few_edits("strings", some, 20, rng),
        usual,
        {"merge3": 1 / 5},
    )
    run.case(
        f"{many:,} strings, 10 edits a side",
        lambda rng: few_edits("strings", many, 10, rng),
        usual,
        {"merge3": 1 / 15, SIMILAR: 1 / 3},
    )
    run.case(
        f"{many:,} strings, 30 % edited on each side",
        lambda rng: many_edits(many, 0.3, rng),
        everybody,
        {SIMILAR: 1.0},
    )
    run.case(f"{many:,} integers, 10 edits a side", lambda rng: few_edits("ints", many, 10, rng), generic, {})
    run.case(
        f"{some:,} dicts, 20 edits a side (the others' elements must be hashable)",
        lambda rng: few_edits("dicts", some, 20, rng),
        alone,
        {},
    )
    _worlds(run, many)
    _growth(run, many)


def _worlds(run: Run, size: int) -> None:
    """Three fresh processes each."""
    run.say()
    run.say(f"worlds of {size:,} integers, each merge in a fresh process; target: {SECONDS:g} s, {MEGABYTES:g} MB")
    run.say(f"{'':26}{'s: min':>9}{'median':>9}{'max':>9}{'MB: max':>11}")
    for name in worlds.WORLDS:
        runs: list[worlds.World] = []
        for seed in run.seeds[:3]:
            runs.append(worlds.run(name, size, seed))
            if runs[-1].wrong:
                break
        if wrong := runs[-1].wrong:
            run.say(f"  {name:24}{'wrong':>9}   {wrong}")
            run.failed.append(f"{name}: {MERGECORE} is wrong: {wrong}")
            continue
        missed = [] if run.smoke else judge_world(name, runs)
        seconds, peak = [one.seconds for one in runs], max(one.megabytes for one in runs)
        word = "" if run.smoke else "   missed" if missed else "   ok"
        run.say(f"  {name:24}{min(seconds):9.3f}{median(seconds):9.3f}{max(seconds):9.3f}{peak:11.1f}{word}")
        run.failed.extend(missed)


SECONDS, MEGABYTES = 1.0, 200.0


def judge_world(name: str, runs: list[worlds.World]) -> list[str]:
    """A sentence for each target that is missed: by the median of the seconds, by the largest peak."""
    seconds, peak = median(one.seconds for one in runs), max(one.megabytes for one in runs)
    return over(name, seconds, SECONDS, "s") + over(name, peak, MEGABYTES, "MB")


def _growth(run: Run, size: int) -> None:
    """The time for an element is not to depend on how many there are: from first to last it may not double."""
    run.say()
    pace: list[float] = []
    run.say("growth: strings, 10 edits a side, mergecore alone")
    run.say(f"{'elements':>26}{'ms':>9}   ns an element")
    alone = [c for c in for_lists(run.peers) if c.name == MERGECORE]
    for n in (size // 4, size // 2, size, size * 2):
        case = few_edits("strings", n, 10, random.Random(run.seeds[0]))
        if wrong := verify(case, alone[0]):
            run.say(f"{n:26,}{'wrong':>9}   {wrong}")
            run.failed.append(f"growth: {MERGECORE} is wrong: {wrong}")
        else:
            seconds = run.times(case, alone)[MERGECORE]
            run.say(f"{n:26,}{seconds * 1e3:9.3f}{seconds / n * 1e9:16.0f}")
            pace.append(seconds / n)
    if len(pace) > 1 and not run.smoke:
        run.failed.extend(over("growth, 8 times the elements", pace[-1] / pace[0], 2.0, "times the time of each"))
