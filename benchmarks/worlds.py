"""Lists at which a merge could grow slow or large, each merged once in a process of its own.

``python -m benchmarks.worlds NAME SIZE SEED`` prints the seconds and the peak memory of one, as JSON. Timed is the call
of ``merge`` alone, with the garbage collector as Python starts it; the memory is that of the whole process.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeAlias

__all__ = ["WORLDS", "World", "run"]

TIMEOUT = 60

Sides: TypeAlias = tuple[list[int], list[int], list[int]]


def _equal(n: int, rng: random.Random) -> Sides:
    return [7] * n, [7] * (n - n // 10), [7] * (n + n // 10)


def _nothing(n: int, rng: random.Random) -> Sides:
    return list(range(n)), list(range(n, 2 * n)), list(range(2 * n, 3 * n))


def _nothing_longer(n: int, rng: random.Random) -> Sides:
    return list(range(n)), list(range(n, 2 * n + 1)), list(range(3 * n, 4 * n + 2))


def _period(n: int, rng: random.Random) -> Sides:
    return [0, 1] * (n // 2), [1, 0] * (n // 2), [0, 1] * (n // 2 - n // 20)


def _symbols(n: int, rng: random.Random) -> Sides:
    return rng.choices(range(4), k=n), rng.choices(range(4), k=n), rng.choices(range(4), k=n)


def _reversed(n: int, rng: random.Random) -> Sides:
    return list(range(n)), [*reversed(range(n))], [*reversed(range(n)), n]


WORLDS: dict[str, Callable[[int, random.Random], Sides]] = {
    "all equal": _equal,
    "nothing in common": _nothing,
    "nothing, other lengths": _nothing_longer,
    "period 2": _period,
    "four symbols": _symbols,
    "reversed": _reversed,
}


class World(NamedTuple):
    """What one merge took; or what was wrong."""

    seconds: float = 0.0
    megabytes: float = 0.0
    wrong: str = ""


def run(name: str, size: int, seed: int) -> World:
    """One world in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.worlds", name, str(size), str(seed)]
    root = Path(__file__).parents[1]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return World(wrong=f"no result, verified, within {TIMEOUT} seconds")
    if done.returncode:
        return World(wrong=(done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1])
    return World(*json.loads(done.stdout))


def _merge(name: str, size: int, seed: int) -> World:
    from mergecore import merge

    from .machine import peak
    from .peers import mergecore_

    drawn = WORLDS[name](size, random.Random(seed))
    base, ours, theirs = (json.loads(json.dumps(side)) for side in drawn)
    start = time.perf_counter()
    merged = merge(base, ours, theirs)
    seconds = time.perf_counter() - start
    megabytes = peak()
    value, candidates, _ = mergecore_.outcome(merged)
    held = Counter(value) + Counter(candidates)
    wrong = ""
    if any(Counter(side) - Counter(base) - held for side in (ours, theirs)):
        wrong = "something that a side added is neither in the value nor a candidate"
    elif merge(base, theirs, ours, names=("theirs", "ours")).value != value:
        wrong = "another value with the sides swapped"
    return World(seconds, megabytes, wrong)


if __name__ == "__main__":
    print(json.dumps(_merge(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
