"""Charts of what a run measured, as SVG: dots for the cases of a group, lines for growth.

The background is left out, and every colour stands out from white and from black, so that a chart can be shown on both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from .report import Curve, Measured, duration, is_ours, ratio

__all__ = ["draw"]

INK, OURS, OTHERS = "#7d8590", "#2f81f7", "#9aa4b0"
EXCUSED, MISSED = "#d4812a", "#e5534b"


def draw(said: Iterable[str | Measured | Curve], folder: Path) -> list[Path]:
    """A file for each group that has cases, and one for growth."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = list(said)
    curves = [one for one in kept if isinstance(one, Curve)]
    files: list[Path] = []
    with _style():
        for group, cases in groupby((one for one in kept if isinstance(one, Measured)), lambda case: case.group):
            files.append(_save(_dots(list(cases)), folder / f"{group}.svg"))
        if curves:
            files.append(_save(_lines(curves), folder / "growth.svg"))
    return files


@contextmanager
def _style() -> Iterator[None]:
    ink = ("text.color", "axes.labelcolor", "axes.edgecolor", "axes.titlecolor", "xtick.color", "ytick.color")
    rest = {"font.size": 9, "axes.titlesize": 9, "svg.fonttype": "none", "svg.hashsalt": "mergecore"}
    sides = {f"axes.spines.{side}": False for side in ("top", "right", "left")}
    known: dict[Any, Any] = {**dict.fromkeys(ink, INK), **rest, **sides}
    with matplotlib.rc_context(known):
        yield


def _save(figure: Figure, file: Path) -> Path:
    """Without a date, so that the same figures make the same file."""
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return file


# ------------------------------------------------------------------------------------------ cases


def _dots(cases: Sequence[Measured]) -> Figure:
    """A panel for each case in which many are measured, all on one logarithmic scale: the further left, the faster.

    Dots and no bars, as no bar on such a scale has a length that means anything.
    """
    most = max(len(case.timed) for case in cases)
    cases = [case for case in cases if 2 * len(case.timed) >= most]
    heights = [len(case.timed) + 1.6 for case in cases]
    figure = Figure(figsize=(8, 0.21 * sum(heights) + 0.3), layout="constrained")
    panels = figure.subplots(len(cases), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    seconds = [median(timed.medians) for case in cases for timed in case.timed if timed.seconds]
    low, high = min(seconds) / 2, max(seconds)
    for panel, case in zip(panels, cases):
        panel.set_xscale("log")
        panel.set_xlim(low, high * (high / low) ** 0.25)  # for what is written beside the last dot
        _panel(panel, case, low)
    return figure


def _panel(panel: Axes, case: Measured, low: float) -> None:
    known = {timed.contender: median(timed.medians) for timed in case.timed if timed.seconds}
    rows = [timed.contender for timed in case.timed if timed.wrong] + sorted(known, key=lambda name: -known[name])
    for y, name in enumerate(rows):
        at, colour, said = known.get(name, low), OURS if is_ours(name) else OTHERS, "wrong"
        if name in known:
            panel.hlines(y, low, at, color=colour, alpha=0.5, linewidth=1)
            panel.plot([at], [y], "o", color=colour, markersize=7)
            said = duration(at) + (f", x {ratio(at / known[case.reference])}" if case.reference in known else "")
        ink = INK if name in known else MISSED
        panel.annotate(said, (at, y), (8, 0), textcoords="offset points", va="center", fontsize=8, color=ink)
    panel.set_yticks(range(len(rows)), rows)
    panel.set_ylim(-0.7, len(rows) - 0.3)
    panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: duration(x)))
    panel.tick_params(left=False, bottom=False, which="both")
    panel.set_title(case.title + (f" (x {case.reference})" if len(rows) > 1 else ""), loc="left")
    panel.spines["bottom"].set_visible(False)


# ------------------------------------------------------------------------------------------ growth


def _lines(curves: Sequence[Curve]) -> Figure:
    """All entry points in one panel, each beside what its smallest size took."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    panel = figure.subplots()
    largest = max(max(curve.points) / min(curve.points) for curve in curves)
    named: list[tuple[float, str, str]] = []
    for curve in curves:
        sizes, seconds = zip(*curve.fastest)
        missed = curve.slope > curve.at_most
        colour = MISSED if missed else EXCUSED if curve.reason else OURS
        panel.plot([n / sizes[0] for n in sizes], [s / seconds[0] for s in seconds], color=colour, alpha=0.6)
        if colour != OURS:
            named.append((curve.slope, f"{curve.entry}: {'missed' if missed else curve.reason}", colour))
    panel.plot([1, largest], [1, largest], ":", color=INK, linewidth=2)
    panel.annotate("linear", (largest, largest), (12, 0), textcoords="offset points", va="center")
    for i, (slope, said, colour) in enumerate(sorted(named, reverse=True)):
        line = f"slope {slope:.2f}, {said}"
        panel.annotate(line, (0.02, 0.97), (0, -11 * i), "axes fraction", "offset points", color=colour, fontsize=7.5)
    panel.set_title(f"{len(curves)} entry points: time by size, both beside the smallest", loc="left")
    for axis, scale in ((panel.xaxis, panel.set_xscale), (panel.yaxis, panel.set_yscale)):
        scale("log", base=2)
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"x {value:g}"))
    return figure
