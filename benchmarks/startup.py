"""Group ``startup``: what importing mergecore costs beside msgspec, each in fresh interpreters; what it loads; and how
long a policy takes to be compiled for a model.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Set
from statistics import median
from timeit import Timer
from typing import Any

import msgspec

from mergecore import Policy

from .peers import Contender
from .report import MERGECORE, Target, Timed, duration, over
from .running import Run

__all__ = ["judge_loaded", "measure"]

MSGSPEC, NOTHING = "msgspec", "an empty interpreter"
PROGRAMS = {NOTHING: "pass", MSGSPEC: "import msgspec", MERGECORE: "import mergecore"}
ROUNDS = 8
"""For each seed: what varies is the machine, and not the input."""

FIELDS, MILLISECONDS = 20, 3.0


def measure(run: Run) -> None:
    _imports(run)
    _loaded(run)
    _compiling(run)


def _imports(run: Run) -> None:
    """Of a round, the empty interpreter's time is taken off what the others took in it."""
    floors: list[float] = []
    over_it: dict[str, list[tuple[float, ...]]] = {MSGSPEC: [], MERGECORE: []}
    for i, _ in enumerate(run.seeds):
        run.now(f"imports: {i + 1} of {len(run.seeds)}")
        taken = [_round(turn) for turn in range(1 if run.smoke else ROUNDS)]
        floors += [each[NOTHING] for each in taken]
        for name, rounds in over_it.items():
            rounds.append(tuple(max(each[name] - each[NOTHING], 1e-6) for each in taken))
    timed = [Timed(name, tuple(rounds)) for name, rounds in over_it.items()]
    run.show("import, over an empty interpreter", timed, {MSGSPEC: Target(2.0, aim=1.5)}, MSGSPEC)
    run.say(f"  {NOTHING} takes {duration(median(floors))}")


def _round(turn: int) -> dict[str, float]:
    """Seconds for each program, one after the other, in another order each turn."""
    names = list(PROGRAMS)
    first = turn % len(names)
    return {name: Timer(lambda: _run(PROGRAMS[name])).timeit(1) for name in names[first:] + names[:first]}  # noqa: B023


def _run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def _loaded(run: Run) -> None:
    strange = judge_loaded(_modules(MSGSPEC), _modules(MERGECORE))
    run.say(f"  beside what msgspec loads, {'; '.join(strange) or 'mergecore loads the standard library alone'}")
    run.failed.extend(strange)


def _modules(name: str) -> set[str]:
    """What is loaded after an import in a fresh interpreter."""
    return set(_run(f"import sys, {name}; print(*sys.modules)").split())


def judge_loaded(before: Set[str], after: Set[str]) -> list[str]:
    """A sentence if there are modules that are neither of the standard library nor mergecore's own."""
    strange = {module.partition(".")[0] for module in after - before} - {*sys.stdlib_module_names, MERGECORE}
    return [f"import mergecore loads {', '.join(sorted(strange))}"] if strange else []


# ------------------------------------------------------------------------------------------ compiling


class _Model:
    """A case: a class that no policy has met, each time; its fields are drawn."""

    def __init__(self, rng: random.Random) -> None:
        kinds = (str, int, bool, float, str | None, list[str], dict[str, int])
        self._fields = [(f"field{i}", rng.choice(kinds)) for i in range(FIELDS)]

    def inputs(self) -> tuple[Any, ...]:
        return (msgspec.defstruct("Model", self._fields),)

    def wrong(self, outcome: object) -> str:
        return ""


def _compiling(run: Run) -> None:
    def bind(model: type) -> object:
        return Policy().bind(model)

    binding = Contender(MERGECORE, bind, lambda merger, check: "" if callable(merger) else "no merger")
    title = f"compiling a model of {FIELDS} fields"
    timed = run.timed(title, _Model, [binding], {})
    run.show(title, timed, {})
    if timed[0].seconds and not run.smoke:
        run.failed.extend(over(title, median(timed[0].medians) * 1e3, MILLISECONDS, "ms"))
