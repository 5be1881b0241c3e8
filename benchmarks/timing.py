"""Whether a contender's result is right; and then the seconds: contenders in turn, and medians over rounds."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Sequence

from .cases import Case
from .peers import Contender

__all__ = ["times", "verify"]


def verify(case: Case, contender: Contender) -> str:
    """What is wrong with a contender's result, or with an exception instead of one; empty where nothing is."""
    try:
        return contender.wrong(contender.run(*case.inputs()), case.wrong)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def times(case: Case, contenders: Sequence[Contender], sample: float = 0.02, budget: float = 1.0) -> dict[str, float]:
    """Seconds for one call of each: A, B, C, A, B, C, ..., and the medians of that.

    Short calls are repeated until a sample takes ``sample`` seconds. There are 3 to 15 rounds, as many as fit into
    ``budget`` seconds.
    """
    if not contenders:
        return {}
    once = {c.name: _timed(case, c, 1) for c in contenders}
    loops = {name: max(1, round(sample / seconds)) for name, seconds in once.items()}
    a_round = sum(max(sample, seconds) for seconds in once.values())
    samples: dict[str, list[float]] = {name: [] for name in once}
    for _ in range(min(max(3, int(budget / a_round)), 15)):
        for c in contenders:
            samples[c.name].append(_timed(case, c, loops[c.name]))
    return {name: statistics.median(taken) for name, taken in samples.items()}


def _timed(case: Case, contender: Contender, loops: int) -> float:
    """Seconds a call, without the garbage collector, on inputs that no call has seen before."""
    run = contender.run
    inputs = [case.inputs() for _ in range(loops)]
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        for base, ours, theirs in inputs:
            run(base, ours, theirs)
        return (time.perf_counter() - start) / loops
    finally:
        gc.enable()
