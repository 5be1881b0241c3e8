"""``python -m benchmarks``: the tables of each group, and with ``--check`` an exit code.

A speed is always a ratio to a named other, both timed in one run and in turn. Every input is drawn anew, from seeds
that are printed; what is checked is the median of the seeds' ratios.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from types import ModuleType

from . import convergence, sequences, sync, text
from .peers import load
from .report import exit_code
from .running import Run

GROUPS: dict[str, Callable[[Run], None]] = {
    "sequences": sequences.measure,
    "text": text.measure,
    "convergence": convergence.measure,
    "sync": sync.measure,
}
ALONE = {"convergence", "sync"}
"""Groups in which none of the peers that are loaded is measured."""


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _arguments(arguments)
    peers, missing = load() if set(asked.only) - ALONE else ({}, [])
    first = random.SystemRandom().randrange(10**9) if asked.seed is None else asked.seed
    run = Run(peers, range(first, first + (1 if asked.smoke else max(1, asked.seeds))), asked.smoke)
    run.say("; ".join(filter(None, (f"Python {platform.python_version()}, {os.cpu_count()} cores", _versions(peers)))))
    run.say(f"seeds {run.seeds[0]} to {run.seeds[-1]}: --seed {first} repeats this run")
    for sentence in missing:
        run.say(sentence)
    run.failed.extend(missing)
    for group in asked.only:
        run.say(f"\n=== {group}")
        GROUPS[group](run)
    run.say()
    if run.smoke:
        run.say("A smoke run: results are verified, times mean nothing.")
    run.say("\n".join(run.failed) or "Nothing missed, nothing wrong.")
    return exit_code(run.failed, asked.check)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", type=_groups, default=list(GROUPS), help=f"some of {','.join(GROUPS)}")
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed or a result is wrong")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="how many inputs of each case (5)")
    parser.add_argument("--seed", type=int, metavar="S", help="the first seed, to repeat a run")
    parser.add_argument("--smoke", action="store_true", help="tiny inputs, one seed, a few seconds in all")
    return parser.parse_args(arguments)


def _groups(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in GROUPS]:
        raise argparse.ArgumentTypeError(f"there is no group {unknown[0]!r}: the groups are {', '.join(GROUPS)}")
    return names


def _versions(peers: Mapping[str, ModuleType]) -> str:
    return ", ".join(f"{package} {version(package)}" for package in sorted({p.PACKAGE for p in peers.values()} - {""}))


if __name__ == "__main__":
    sys.exit(main())
