"""Whether a contender's result is right; and then the seconds: contenders in turn, round by round, by ``timeit``."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from timeit import Timer
from typing import Any, Protocol

from .peers import Contender, Outcome

__all__ = ["Drawn", "rounds", "verify"]

MOST = 100
"""Rounds, however short they are."""


class Drawn(Protocol):
    """A case: one draw of the inputs."""

    def inputs(self) -> tuple[Any, ...]:
        """The arguments of one call, which share nothing with those of another."""
        ...

    @property
    def wrong(self) -> Callable[[Outcome], str]:
        """What is wrong with an outcome; empty where nothing is."""
        ...


def verify(case: Drawn, contender: Contender) -> str:
    """What is wrong with a contender's result, or with an exception instead of one; empty where nothing is."""
    try:
        return contender.wrong(contender.run(*contender.inputs(case)), case.wrong)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def rounds(
    case: Drawn, contenders: Sequence[Contender], sample: float = 2e-4, budget: float = 1.0
) -> dict[str, tuple[float, ...]]:
    """Seconds for one call of each, round by round: A, B, C, then B, C, A, then C, A, B, ...

    Short calls are repeated until a sample takes about ``sample`` seconds: little enough for their inputs, which were
    just made, to be in the caches still. There are 3 to 100 rounds, as many as fit into ``budget`` seconds.
    """
    gc.collect()
    loops: dict[str, int] = {}
    a_round = 0.0
    for c in contenders:
        loops[c.name], seconds = _calibrated(case, c, sample)
        a_round += seconds
    taken: dict[str, list[float]] = {name: [] for name in loops}
    for i in range(min(max(3, int(budget / a_round)), MOST) if contenders else 0):
        first = i % len(contenders)
        for c in (*contenders[first:], *contenders[:first]):
            taken[c.name].append(_sample(case, c, loops[c.name]) / loops[c.name])
    return {name: tuple(seconds) for name, seconds in taken.items()}


def _calibrated(case: Drawn, contender: Contender, sample: float) -> tuple[int, float]:
    """How many calls a sample is to have, and what it takes: half of ``sample`` at least, the better of two times."""
    loops = 1
    while (seconds := min(_sample(case, contender, loops) for _ in range(2))) < sample / 2:
        loops *= 2
    return loops, seconds


def _sample(case: Drawn, contender: Contender, loops: int) -> float:
    """Seconds for so many calls, on inputs that no call has seen before; ``timeit`` turns the garbage collector off.

    The call is written out with as many arguments as there are: unpacking them in the call would cost more than some
    contenders do.
    """
    inputs = [contender.inputs(case) for _ in range(loops)]
    names = "".join(f"x{i}, " for i in range(len(inputs[0])))
    loop = f"for {names} in inputs: run({names})" if names else "for _ in inputs: run()"
    return Timer(loop, globals={"inputs": inputs, "run": contender.run}).timeit(1)
