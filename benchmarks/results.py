"""What a run found, for others to read: JSON as ``pyperf`` has it, and Markdown; and on what machine that was.

``python -m pyperf stats FILE`` and its like read the JSON: a benchmark for each contender of each case, in it a run for
each seed, in that a value for each round.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pyperf  # type: ignore[import-untyped]

from .report import Curve, Measured, Timed, cells

__all__ = ["Found", "about", "headline", "markdown", "read", "write"]


class Found(NamedTuple):
    """What a file of JSON holds."""

    about: Mapping[str, Any]
    measured: Sequence[Measured]
    """Without verdicts, and without those whose results were wrong."""


_MACHINE = {
    "date": "{:.16}",
    "python_version": "Python {}",
    "cpu_count": "{} cores",
    "cpu_quota": "of which {} may be used",
    "cpu_model_name": "{}",
    "platform": "{}",
    "load_avg_1min": "load {}",
}
"""Of what ``pyperf`` knows of a machine: what tells figures apart, and not whose it is."""


def about(peers: Mapping[str, ModuleType]) -> dict[str, Any]:
    """The machine, and the versions of mergecore, msgspec and each peer."""
    known = pyperf.Run([1.0]).get_metadata()
    packages = {"mergecore", "msgspec", *(peer.PACKAGE for peer in peers.values())} - {""}
    found = {key: known[key] for key in _MACHINE if key in known}
    return found | {f"version of {package}": _version(package) for package in sorted(packages)}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a program, and no package
        return "unknown"


def headline(about: Mapping[str, Any]) -> list[str]:
    """The machine in one line, the versions in another."""
    versions = [f"{key.removeprefix('version of ')} {about[key]}" for key in about if key.startswith("version of ")]
    return [", ".join(text.format(about[key]) for key, text in _MACHINE.items() if key in about), ", ".join(versions)]


# ------------------------------------------------------------------------------------------ JSON


def write(file: Path, about: Mapping[str, Any], said: Iterable[str | Measured | Curve]) -> bool:
    """Whether there was anything to write: no curve and no case is none."""
    made = [
        pyperf.Benchmark([_run(seconds, about, group, title, timed.contender) for seconds in timed.seconds])
        for group, title, all_timed in _cases(said)
        for timed in all_timed
        if timed.seconds and not timed.wrong
    ]
    if made:
        pyperf.BenchmarkSuite(made).dump(str(file), replace=True)
    return bool(made)


def _cases(said: Iterable[str | Measured | Curve]) -> Iterator[tuple[str, str, Sequence[Timed]]]:
    for one in said:
        if isinstance(one, Measured):
            yield one.group, one.title, one.timed
        elif isinstance(one, Curve):
            yield "growth", one.entry, [Timed(str(size), (seconds,)) for size, seconds in one.points.items()]


def _run(seconds: Sequence[float], about: Mapping[str, Any], group: str, title: str, contender: str) -> pyperf.Run:
    of = {"group": group, "title": title, "contender": contender}
    return pyperf.Run(seconds, metadata={"name": " | ".join(of.values()), **of, **about}, collect_metadata=False)


def read(file: Path) -> Found:
    """What ``write`` wrote. Raises ``OSError``; and ``ValueError`` for a file that is none of the suite's."""
    try:
        suite = pyperf.BenchmarkSuite.load(str(file))
        found = [(bench.get_metadata(), tuple(run.values for run in bench.get_runs())) for bench in suite]
        cases = groupby(found, lambda one: (one[0]["group"], one[0]["title"]))
        measured = [
            Measured(group, title, [Timed(known["contender"], seconds) for known, seconds in each], (), "")
            for (group, title), each in cases
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{file} was not written by --json") from error
    return Found(suite.get_metadata(), measured)


# ------------------------------------------------------------------------------------------ Markdown


def markdown(said: Iterable[str | Measured | Curve]) -> str:
    """A section for each group: the tables of its cases, and what else was said, as it was."""
    lines = ["# Benchmarks"]
    code: list[str] = []

    def coded() -> Iterator[str]:
        while code and not code[-1]:
            code.pop()
        if any(code):
            yield from ("", "```text", *code, "```")
        code.clear()

    for one in said:
        if isinstance(one, Measured):
            title = code.pop()
            lines += [*coded(), "", f"**{title}**", "", *_rows(one)]
        elif isinstance(one, str):
            if one.lstrip("\n").startswith("=== "):
                lines += [*coded(), "", f"## {one.lstrip()[4:]}"]
            elif code or one:
                code.append(one)
    return "\n".join([*lines, *coded(), ""])


def _rows(case: Measured) -> Iterator[str]:
    for i, (*figures, said) in enumerate(cells(case)):
        yield "| " + " | ".join(text.replace("|", "\\|") for text in (*figures, "<br>".join(said))) + " |"
        if i == 0:
            yield "|---|" + "---:|" * (len(figures) - 1) + "---|"
