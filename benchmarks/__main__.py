"""``python -m benchmarks``: the tables of each group, and with ``--check`` an exit code.

A speed is always a ratio to a named other, both timed in one run and in turn. Every input is drawn anew, from seeds
that are printed; what is checked is the median of the seeds' ratios.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

try:
    from rich.progress import BarColumn, Progress, TextColumn

    from . import convergence, growth, nested, records, results, sequences, startup, sync, text
except ModuleNotFoundError as error:
    print(f"python -m benchmarks needs {error.name}, which is not there: pip install '.[bench]'", file=sys.stderr)
    raise SystemExit(2) from None

from .compare import changes, improvements, regressions
from .peers import load
from .report import MERGECORE, Measured, exit_code
from .results import Found
from .running import Run

GROUPS: dict[str, Callable[[Run], None]] = {
    "records": records.measure,
    "nested": nested.measure,
    "sequences": sequences.measure,
    "text": text.measure,
    "growth": growth.measure,
    "startup": startup.measure,
    "convergence": convergence.measure,
    "sync": sync.measure,
}
ALONE = {"growth", "startup", "convergence", "sync"}
"""Groups in which none of the peers that are loaded is measured."""

SEEDS, QUICK_SEEDS = 5, 2


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    asked = _arguments(parser, arguments)
    peers, missing = load() if set(asked.only) - ALONE else ({}, [])
    try:
        peers, missing = _chosen(peers, missing, asked.peers)
    except ValueError as error:
        parser.error(str(error))
    first = random.SystemRandom().randrange(10**9) if asked.seed is None else asked.seed
    count = 1 if asked.smoke else asked.seeds or (QUICK_SEEDS if asked.quick else SEEDS)
    known = {**results.about(peers), "seed": first}
    progress = Progress(TextColumn("{task.description}"), BarColumn(), transient=True, auto_refresh=False)
    progress.disable = not progress.console.is_terminal
    with progress:
        task = progress.add_task("", total=len(asked.only))
        run = Run(peers, range(first, first + count), asked.smoke, asked.quick, progress=progress)
        seeds = f"seeds {first} to {first + count - 1}: --seed {first} repeats this run"
        for line in (*results.headline(known), seeds, *missing):
            run.say(line)
        run.failed.extend(missing)
        for group in asked.only:
            run.say(f"\n=== {group}")
            GROUPS[group](replace(run, group=group))
            progress.advance(task)
        run.say()
        if asked.compare:
            _compare(run, known, asked.compare)
    if run.smoke:
        run.say("A smoke run: results are verified, times mean nothing.")
    run.say("\n".join(run.failed) or "Nothing missed, nothing wrong.")
    try:
        _keep(run, known, asked)
    except OSError as error:
        print(f"What was measured could not be written: {error}", file=sys.stderr)
        return 2
    return exit_code(run.failed, asked.check)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", type=_groups, default=list(GROUPS), help=f"some of {','.join(GROUPS)}")
    parser.add_argument("--peers", type=_names, metavar="NAMES", help="beside mergecore, only these contenders")
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed or a result is wrong")
    parser.add_argument("--seeds", type=_count, metavar="N", help=f"how many inputs of each case ({SEEDS})")
    parser.add_argument("--seed", type=int, metavar="S", help="the first seed, to repeat a run")
    parser.add_argument("--quick", action="store_true", help=f"rough figures: {QUICK_SEEDS} seeds, fewer rounds")
    parser.add_argument("--smoke", action="store_true", help="tiny inputs, one seed, a few seconds in all")
    parser.add_argument("--json", type=_file, metavar="FILE", help="write what was measured, as pyperf has it")
    parser.add_argument(
        "--compare", type=_found, metavar="OLD", help="what is slower than in a file of --json, seeds and all"
    )
    parser.add_argument("--markdown", type=_file, metavar="FILE", help="write the tables as Markdown")
    parser.add_argument("--charts", type=_folder, metavar="FOLDER", help="draw what was measured, as SVG")
    return parser


def _arguments(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    asked = parser.parse_args(arguments)
    if asked.compare:
        if asked.seed is not None:
            parser.error("--compare repeats the seeds of OLD, so give it no --seed")
        if asked.smoke:
            parser.error("--smoke measures nothing that could be compared")
        if not {one.group for one in asked.compare.measured} & set(asked.only):
            parser.error("OLD holds none of these groups: say with --only which ones to compare")
        asked.seed = asked.compare.about["seed"]
    return asked


def _groups(text: str) -> list[str]:
    names = _names(text)
    if unknown := [name for name in names if name not in GROUPS]:
        raise argparse.ArgumentTypeError(f"there is no group {unknown[0]!r}: the groups are {', '.join(GROUPS)}")
    return names


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if "" in names:
        raise argparse.ArgumentTypeError(f"{text!r} has an empty name in it")
    return names


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _file(text: str) -> Path:
    """Refused before the run, and not after it."""
    file = Path(text).absolute()
    if not file.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: there is no such folder")
    if file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text} cannot be written")
    return Path(text)


def _folder(text: str) -> Path:
    """Made where it is not there yet, and the folders above it."""
    folder = Path(text)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text} is no folder to write to: {error.strerror}") from None
    return folder


def _found(text: str) -> Found:
    try:
        return results.read(Path(text))
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _chosen(
    peers: dict[str, ModuleType], missing: list[str], names: list[str] | None
) -> tuple[dict[str, ModuleType], list[str]]:
    """The peers that are asked for, by name, first word of it, or package; and who of them is missing. Raises
    ``ValueError`` for somebody else.
    """
    if names is None or not peers:
        return peers, missing
    called = {name: {name, name.partition(" ")[0], peer.PACKAGE} for name, peer in peers.items()}
    chosen = {name: peers[name] for name in peers if name == MERGECORE or called[name] & set(names)}
    absent = {sentence.partition(" ")[0]: sentence for sentence in missing}
    if unknown := set(names) - set().union(*called.values(), absent):
        raise ValueError(f"there is no contender {min(unknown)!r}: they are {', '.join(peers)}")
    return chosen, [absent[name] for name in names if name in absent]


def _compare(run: Run, known: Mapping[str, Any], old: Found) -> None:
    """Says what changed since, and adds what became slower to what failed."""
    of = {name: f"version of {peer.PACKAGE}" for name, peer in run.peers.items()}
    moved = [name for name, version in of.items() if old.about.get(version) != known.get(version)]
    found = changes(old.measured, [one for one in run.said if isinstance(one, Measured)], moved)
    slower, faster = regressions(found), improvements(found)
    run.say(f"Compared with {'; '.join(results.headline(old.about))}")
    run.say(f"{len(found)} rows of mergecore's: {len(slower)} slower, {len(faster)} faster, the others within noise")
    if not found:
        run.failed.append("Nothing was compared: no row of mergecore's has a contender beside it that both runs timed")
    for line in faster:
        run.say(f"  {line}")
    run.failed.extend(slower)


def _keep(run: Run, known: Mapping[str, Any], asked: argparse.Namespace) -> None:
    """Writes the files that were asked for."""
    if asked.json and not results.write(asked.json, known, run.said):
        print("Nothing of what was measured goes into JSON.")
    if asked.markdown:
        asked.markdown.write_text(results.markdown(run.said), encoding="utf-8")
    if asked.charts:
        from . import charts  # matplotlib takes a second

        for file in charts.draw(run.said, asked.charts):
            print(file)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
