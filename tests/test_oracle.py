"""Merges of text as the live ``git merge-file`` judges them: conflict or not, the text, and its markers, byte for byte.

Texts in which no line stands twice are compared in full. Where lines repeat, git's heuristics are its own: there the
differences are counted, and it is checked that nothing is lost.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import pytest
from conftest import Tally
from hypothesis import given, settings
from hypothesis import strategies as st

from mergecore import Merged, Policy, merge, text
from mergecore.texts import marked

CORPUS = Path(__file__).parents[2] / "shared" / "corpora" / "real_text.json"

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(
        shutil.which("git") is None, reason="These merges are compared with git's, and git is not installed."
    ),
]

Style: TypeAlias = Literal["merge", "diff3", "zdiff3"]
STYLES: tuple[Style, ...] = ("merge", "diff3", "zdiff3")

Names: TypeAlias = tuple[str, str, str]
NAMES: Names = ("ours", "base", "theirs")

BY_LINES = Policy(default=text("line"))


class Sides(NamedTuple):
    """What is merged, as texts."""

    base: str
    ours: str
    theirs: str


def _draws() -> int:
    """How many merges are drawn: 300 in profile dev, 5,000 in ci, 25,000 in soak."""
    return max(300, settings().max_examples // 4)


# ------------------------------------------------------------------------------------------ git


class Git:
    """``git merge-file``, outside any repository and whatever the user configured."""

    def __init__(self, folder: Path) -> None:
        self._files = [folder / name for name in ("ours", "base", "theirs")]
        self._folder = folder
        self._env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CEILING_DIRECTORIES": str(folder.parent),
        }

    def __call__(self, sides: Sides, style: Style = "merge", names: Names = NAMES) -> tuple[str, int]:
        """The merged text and the number of conflicts."""
        return self.all(sides, (style,), names)[style]

    def all(self, sides: Sides, styles: Sequence[Style] = STYLES, names: Names = NAMES) -> dict[Style, tuple[str, int]]:
        """The same in several styles, at the same time."""
        for file, side in zip(self._files, (sides.ours, sides.base, sides.theirs)):
            file.write_bytes(side.encode())
        labels = [word for name in names for word in ("-L", name)]
        running = {
            style: subprocess.Popen(
                ["git", "merge-file", "-p", "-q", *_OPTIONS[style], *labels, *map(str, self._files)],
                cwd=self._folder,
                env=self._env,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for style in styles
        }
        said: dict[Style, tuple[str, int]] = {}
        for style, process in running.items():
            out, errors = process.communicate()
            assert 0 <= process.returncode < 127 and not errors, errors  # 127 stands for any number from there on
            said[style] = out.decode(), process.returncode
        return said


_OPTIONS: dict[Style, list[str]] = {"merge": [], "diff3": ["--diff3"], "zdiff3": ["--zdiff3"]}


@pytest.fixture(scope="module")
def git(tmp_path_factory: pytest.TempPathFactory) -> Git:
    return Git(tmp_path_factory.mktemp("git"))


# ------------------------------------------------------------------------------------------ merges of real texts


@pytest.mark.skipif(not CORPUS.is_file(), reason="The real merges are read from ../shared/corpora, which is not there.")
def test_real_texts_merge_as_git_merges_them(git: Git, tally: Tally) -> None:
    """Out of public histories, in all three styles; their lines do repeat."""
    cases = json.loads(CORPUS.read_text(encoding="utf-8"))["cases"]
    clean = 0
    for case in cases:
        sides = Sides(case["base"], case["ours"], case["theirs"])
        clean += _agrees(sides, git.all(sides), case["name"])
    tally("git, real merges of text", len(cases), floor=128, more=f"{clean} clean, {len(STYLES)} styles each")


def _agrees(sides: Sides, said: dict[Style, tuple[str, int]], note: object = "", names: Names = NAMES) -> bool:
    """Asserts that the merge, and the text with markers in every style, are git's; says whether it is clean."""
    merged, conflicts = said["merge"]
    m = _merged(sides)
    assert bool(m.conflicts) == bool(conflicts), note
    if not conflicts:
        assert m.value == merged, note
    for style, expected in said.items():
        assert marked(*sides, style=style, names=names) == expected, (style, note)
    return not conflicts


def _merged(sides: Sides) -> Merged[Any]:
    return merge(*sides, policy=BY_LINES)


# ------------------------------------------------------------------------------------------ lines that stand once


Window: TypeAlias = tuple[int, int]
"""Where edits fall, from and to, in 255ths of the text; of no width: within five lines."""


class Edit(NamedTuple):
    """What to do to a text, and where in its window: at place ``at``, a move to place ``to``, in 256ths."""

    what: Literal["insert", "delete", "replace", "move", "share"]
    at: int
    lines: int
    to: int


EDITS = st.builds(
    Edit,
    st.sampled_from(["insert", "delete", "replace", "move", "move", "share"]),
    st.integers(0, 255),
    st.sampled_from([1, 1, 1, 2, 3, 5]),
    st.integers(0, 255),
)

SHAPES = ("words", "words", "code", "blank", "punctuation", "foreign", "odd")
ENDINGS = ("\n", "\r\n", "\r\n", "mixed")
FINAL = (*["kept"] * 15, "no newline", "no newline", "no ending", "no ending", "no text")
LABELS: tuple[Names, ...] = (NAMES, ("HEAD", "merged common ancestors", "a branch/über"), ("", "", ""))


class Drawn(NamedTuple):
    sides: Sides
    names: Names
    moves: int


@st.composite
def merges_of_distinct_lines(draw: st.DrawFn) -> Drawn:
    """A base, edits that both made, and each side's own: in half of the draws many, all within a few lines.

    Lines are numbers until the end: each has one text in all three sides, and no side has one twice.
    """
    spot = draw(st.integers(0, 255))
    together = draw(st.booleans())
    windows = [(spot, spot)] * 2 if together else draw(st.sampled_from(([(0, 255), (0, 255)], [(0, 115), (140, 255)])))
    size = draw(st.sampled_from([0, 1, 2, 3, 5, 8, 13, 20, 40] if together else [10, 20, 40, 80, 120]))
    base = list(range(_SHARED, _SHARED + size))
    fresh = count(_SHARED + size)
    same = draw(st.lists(EDITS, min_size=1, max_size=3)) if draw(st.integers(0, 2)) == 2 else []
    start = _edited(base, same, fresh, (spot, spot))
    edits = [draw(st.lists(EDITS, min_size=1, max_size=6 if together else 3)) for _ in windows]
    numbers = [base, *(_edited(start, side, fresh, window) for side, window in zip(edits, windows))]

    shapes = draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))
    ending = draw(st.sampled_from(ENDINGS))
    texts = []
    for side in numbers:
        own = ending if draw(st.integers(0, 15)) else draw(st.sampled_from(ENDINGS))  # now and then a side converts all
        texts.append(_written(side, shapes, own, draw(st.sampled_from(FINAL))))
    moves = sum(edit.what == "move" for edit in (*same, *edits[0], *edits[1]))
    return Drawn(Sides(*texts), draw(st.sampled_from(LABELS)), moves)


_SHARED = 12  # the numbers below are of lines that both sides may insert


def _edited(base: Sequence[int], edits: Sequence[Edit], fresh: Iterable[int], window: Window) -> list[int]:
    lines = list(base)
    numbers = iter(fresh)
    for edit in edits:
        at = _place(len(lines), edit.at, window)
        to = at + edit.lines
        match edit.what:
            case "insert":
                lines[at:at] = [next(numbers) for _ in range(edit.lines)]
            case "delete":
                del lines[at:to]
            case "replace":
                lines[at:to] = [next(numbers) for _ in range(1 + edit.to % 4)]
            case "move":
                block = lines[at:to]
                del lines[at:to]
                there = _place(len(lines), edit.to, window)
                lines[there:there] = block
            case "share":
                first = edit.to % 4 * _SHARED // 4  # the same lines, but where they start
                new = [number for number in (*range(first, _SHARED), *range(first)) if number not in lines]
                lines[at:at] = new[: 4 * edit.lines]
    return lines


def _place(length: int, drawn: int, window: Window) -> int:
    first, last = (edge * length // 255 for edge in window)
    if first == last:
        first, last = max(0, first - 5), min(length, last + 5)
    return first + drawn * (last - first + 1) // 256


def _written(numbers: Sequence[int], shapes: Sequence[str], ending: str, final: str) -> str:
    written = ""
    for number in numbers:
        written += _line(number, shapes[number % len(shapes)])
        written += ending if ending != "mixed" else ("\r\n" if number % 3 else "\n")
    match final:
        case "kept":
            return written
        case "no newline":  # of CRLF, that leaves a CR
            return written.removesuffix("\n")
        case "no ending":
            return written.removesuffix("\n").removesuffix("\r")
        case _:
            return ""


def _line(number: int, shape: str) -> str:
    """A text for each number, in which git sees a letter or digit, or none; one blank line is empty."""
    bits = f"{number:b}"
    match shape:
        case "words":
            return f"line {number}"
        case "code":
            return f"    x[{number}] = y;"
        case "blank":
            return bits.translate({48: " ", 49: "\t"}) if number else ""
        case "punctuation":
            return bits.translate({48: "{", 49: "};"})
        case "foreign":
            return bits.translate({48: "é", 49: "字"})
        case _:  # what ends a line for Python, and not for git
            return f"{number}\x0ba\x85b\u2028c\x1c\rd"


def test_texts_of_distinct_lines_merge_as_git_merges_them(git: Git, tally: Tally) -> None:
    """Drawn edits, many of them moves: the same class, clean text, number of conflicts, and markers in all styles."""
    seen = Counter[str]()

    @settings(max_examples=_draws())
    @given(merges_of_distinct_lines())
    def agrees(drawn: Drawn) -> None:
        sides, names, moves = drawn
        assert all(len(set(lines)) == len(lines) for lines in (side.split("\n")[:-1] for side in sides))
        said = git.all(sides, names=names)
        seen["all"] += 1
        clean = _agrees(sides, said, names=names)
        seen["conflict"] += not clean
        seen["clean, both sides changed"] += clean and len(set(sides)) == 3
        seen["moved"] += moves > 0
        seen["several conflicts"] += said["merge"][1] > 1
        seen["CRLF markers"] += "=======\r\n" in said["merge"][0]

    agrees()
    tally("git, distinct lines", seen["all"], _draws(), f"{len(STYLES)} styles each, none in another class")
    for what, share in _SHARES.items():
        tally(f"git, distinct lines, {what}", seen[what], max(1, int(share * seen["all"])))


_SHARES = {
    "conflict": 0.3,
    "clean, both sides changed": 0.1,
    "moved": 0.4,
    "several conflicts": 0.01,
    "CRLF markers": 0.03,
}


# ------------------------------------------------------------------------------------------ lines that repeat


class Repeated(NamedTuple):
    """A merge of texts of a few lines over and over, and of tagged lines, which no text has twice."""

    sides: Sides
    tags: tuple[frozenset[str], frozenset[str], frozenset[str]]


SYMBOLS = ("}", "", "    return", "else {")


@st.composite
def merges_of_repeated_lines(draw: st.DrawFn) -> Repeated:
    """Each side inserts, deletes and replaces, a few lines at a time; in some draws no line is tagged."""
    symbols = SYMBOLS[: draw(st.integers(2, len(SYMBOLS)))]
    tag = draw(st.sampled_from([(), (_TAG,), (_TAG, _TAG)]))
    some = st.lists(st.sampled_from((*symbols, *tag)), max_size=4)
    changes = st.lists(st.tuples(st.integers(0, 255), some, st.integers(0, 3)), max_size=4)
    size = draw(st.sampled_from([0, 6, 12]))
    base = _tagged("base", draw(st.lists(st.sampled_from((*symbols, *tag)), min_size=size, max_size=24)))
    texts = [base]
    for name in ("ours", "theirs"):
        lines = list(base)
        for at, inserted, deleted in draw(changes):
            at = at * (len(lines) + 1) // 256
            lines[at : at + deleted] = inserted
        texts.append(_tagged(name, lines))
    base_tags, ours_tags, theirs_tags = (frozenset(line for line in lines if _TAG in line) for lines in texts)
    sides = Sides(*("".join(f"{line}\n" for line in lines) for lines in texts))
    return Repeated(sides, (base_tags, ours_tags, theirs_tags))


_TAG = "tag"


def _tagged(name: str, lines: Sequence[str]) -> list[str]:
    numbers = count()
    return [f"{name} {_TAG} {next(numbers)}" if line == _TAG else line for line in lines]


def test_how_often_repeated_lines_merge_otherwise_than_in_git_is_counted(git: Git, tally: Tally) -> None:
    """Git's choices among equal lines are not imitated: nine in ten merges are in its class all the same."""
    seen = Counter[str]()

    @settings(max_examples=_draws())
    @given(merges_of_repeated_lines())
    def compares(drawn: Repeated) -> None:
        merged, conflicts = git(drawn.sides)
        m = _merged(drawn.sides)
        seen["all"] += 1
        seen["class"] += bool(m.conflicts) != bool(conflicts)
        if not m.conflicts and not conflicts:
            seen["clean in both"] += 1
            seen["text"] += m.value != merged

    compares()
    tally(
        "git, repeated lines",
        seen["all"],
        floor=_draws(),
        more=f"{seen['class'] / seen['all']:.1%} in another class; of {seen['clean in both']} clean in both, "
        f"{seen['text'] / seen['clean in both']:.1%} with another text",
    )
    assert 10 * seen["class"] <= seen["all"]
    assert 20 * seen["text"] <= seen["clean in both"]


def test_no_one_sided_change_is_lost_among_repeated_lines(tally: Tally) -> None:
    """What a side inserted, or both kept, is in the value or in a candidate, and between the markers; an unchanged
    side yields.
    """
    seen = Counter[str]()

    @settings(max_examples=_draws())
    @given(merges_of_repeated_lines())
    def keeps(drawn: Repeated) -> None:
        (base, ours, theirs), (was, mine, other) = drawn
        for side in (ours, theirs):
            for unchanged in (Sides(base, base, side), Sides(base, side, base), Sides(base, side, side)):
                m = _merged(unchanged)
                assert m.value == side and not m.conflicts
                assert all(marked(*unchanged, style=style) == (side, 0) for style in STYLES)

        m = _merged(drawn.sides)
        written, conflicts = marked(*drawn.sides)
        assert bool(m.conflicts) == bool(conflicts)
        assert m.conflicts or m.value == written
        shown = {line for version in _versions(m) for line in version.split("\n")}
        kept = ((mine | other) - was) | (mine & other)
        assert kept <= shown
        assert kept <= set(written.split("\n"))
        seen["all"] += 1
        seen["clean"] += not m.conflicts
        seen["inserted"] += len((mine | other) - was)
        if not m.conflicts:
            gone = was - (mine & other)
            seen["deleted"] += len(gone)
            seen["back"] += len(gone & shown)

    keeps()
    tally(
        "repeated lines", seen["all"], _draws(), f"{seen['clean']} clean, {seen['inserted']} insertions are all there"
    )
    tally("repeated lines, deletions in clean merges", seen["deleted"], more=f"{seen['back']} came back")
    assert 200 * seen["back"] <= seen["deleted"]


def _versions(m: Merged[Any]) -> list[str]:
    """The value, and what is proposed in its stead."""
    return [m.value, *(candidate.value for conflict in m.conflicts for candidate in conflict.candidates)]
