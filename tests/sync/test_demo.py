"""``mergecore demo``: it ends with four equal stores, and says so to a terminal, a file and a narrow window."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from mergecore.sync import demo

from .terminal import Terminal

pytestmark = pytest.mark.sync

COMMAND = [sys.executable, "-m", "mergecore", "demo"]
RECORDS = 14
NAMES = ("laptop", "phone", "tablet", "server")


class Run(NamedTuple):
    """What a run has said."""

    status: int
    out: str
    err: str
    left: list[str]
    """Of its temporary folder."""

    @property
    def rows(self) -> list[str]:
        """The lines of the last table."""
        lines = self.out.splitlines()
        start = max(i for i, line in enumerate(lines) if "final value" in line)
        return lines[start + 2 : start + 2 + RECORDS]


def _start(seed: int, folder: Path, **env: str) -> subprocess.Popen[str]:
    folder.mkdir()
    given = {"PYTHONIOENCODING": "utf-8", "COLUMNS": "80", "TMPDIR": str(folder), **env}
    return subprocess.Popen(
        [*COMMAND, "--fast", "--seed", str(seed)], env={**os.environ, **given}, text=True, encoding="utf-8",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Run]:
    """Into a file: seed 1, and seed 2 with another width and nothing but ASCII; both at once."""
    folder = tmp_path_factory.mktemp("demo")
    ascii_ = {"PYTHONIOENCODING": "ascii", "COLUMNS": "120", "FORCE_COLOR": ""}
    started = [_start(1, folder / "a"), _start(2, folder / "b", **ascii_)]
    found = []
    for process, name in zip(started, "ab"):
        out, err = process.communicate(timeout=60)
        found.append(Run(process.returncode, out, err, os.listdir(folder / name)))
    return found


@pytest.mark.parametrize("which", [0, 1])
def test_all_end_identical(runs: Sequence[Run], which: int) -> None:
    """Exit 0; each row of the table is the same on all four; nothing is left behind."""
    run = runs[which]
    assert (run.status, run.err, run.left) == (0, "", []), run.out
    mark = r"(=[\s|]+){4}$" if which else "✓✓✓✓$"
    assert [row for row in run.rows if not re.search(mark, row)] == []
    assert f"All {RECORDS} are the same on {', '.join(NAMES[:-1])} and server" in " ".join(run.out.split())


def test_plain_lines_without_a_terminal(runs: Sequence[Run]) -> None:
    """No escape, no line too long, no blanks at ends; ASCII where the file takes nothing else."""
    for run, width in zip(runs, (80, 120)):
        assert "\x1b" not in run.out
        assert "\r" not in run.out
        assert [line for line in run.out.splitlines() if len(line) > width or line != line.rstrip()] == []
    assert runs[1].out.isascii()
    assert "?" not in runs[1].out.replace("wiped for good?", "")


def test_every_way_to_clash(runs: Sequence[Run]) -> None:
    """The verdicts of the last table, which are read from the stores."""
    told = "\n".join(runs[0].rows)
    for verdict in (
        "inserted", "deleted, purged", "lww: brought back", "keep_both: forked", "text: merged", "counter: sum",
        "add_wins: all", "edit/deletion: ", "ETag: both stay", "form: both stay",
    ):  # fmt: skip
        assert verdict in told, verdict
    out = " ".join(runs[0].out.split())
    for said in (
        "refused, stamped in the future: ", "written anew under the server's time: 7 records", "phone was told",
        "may sofa be wiped for good? Not yet: phone and tablet have not heard of it", "wiped: sofa",
    ):  # fmt: skip
        assert said in out, said


def test_the_same_in_a_narrow_terminal_without_color(runs: Sequence[Run]) -> None:
    """The same seed is the same story, another one is another; blocks instead of a table; ``NO_COLOR`` is heard."""
    with Terminal([*COMMAND, "--fast", "--seed", "1"], columns=44, rows=16, env={"NO_COLOR": "1"}) as terminal:
        assert terminal.wait(60) == 0, terminal.transcript()
        seen = terminal.transcript()
        assert not re.search(rb"\x1b\[[0-9;]*(3[0-7]|9[0-7]|4[0-7])m", terminal.raw)
    assert len(re.findall(r"L✓ P✓ T✓ S✓", seen)) == RECORDS
    assert f"All {RECORDS} are the same" in seen
    story = _story(runs[0].out)
    assert _story(seen) == story
    assert story.startswith("mergecore demo seed 1")
    assert _story(runs[1].out).partition("1 One list")[2] != story.partition("1 One list")[2]


def test_ctrl_c(tmp_path: Path) -> None:
    """It stops at once, says so, and leaves neither boxes nor files; before that it was live, and in color."""
    with Terminal([*COMMAND, "--seed", "4"], columns=80, rows=24, env={"TMPDIR": str(tmp_path)}) as terminal:
        terminal.wait_for("clock has jumped")
        terminal.wait_for("── offline ─")
        assert terminal.colors()
        assert "10 tasks" in terminal.screen()
        terminal.interrupt()
        assert terminal.wait(10) == 130
        assert "Stopped." in terminal.screen()
        assert "unsent" not in terminal.screen()
        assert "Traceback" not in terminal.transcript()
    assert os.listdir(tmp_path) == []


def test_what_is_not_the_same_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Another version, an open conflict, something unsent, a date of next year: each is seen, and is exit 1."""
    good = demo._Stored(b"1", True, 0, "2026-01-01 00:00:00")
    now = 1_767_225_600_000
    assert demo._wrong(["phone", "server"], [{"a": good}, {"a": good}], now) == []
    for bad, said in [
        (good._replace(data=b"2"), "a is another on the phone"),
        (good._replace(conflicts=1), "a is in conflict on the phone"),
        (good._replace(synchronized=False), "a is unsent on the phone"),
        (good._replace(updated="2027-01-01 00:00:00"), "a is of 2027-01-01 00:00:00 on the phone"),
    ]:
        assert demo._wrong(["phone", "server"], [{"a": bad}, {"a": good}], now) == [said]
    assert demo._wrong(["phone", "server"], [{}, {"a": good}], now) == ["a is another on the phone"]
    assert demo._wrong(["phone", "server"], [{"a": good}, {}], now) == ["a is another on the phone"]

    def differs(self: object) -> int:
        raise demo._Failed("the stores are not the same: a is another on the phone")

    monkeypatch.setattr(demo._Demo, "play", differs)
    assert demo.run(True, 1) == 1
    assert capsys.readouterr().out == "mergecore: the stores are not the same: a is another on the phone\n"


def _story(text: str) -> str:
    """What is told before the last table, but for times, sizes and tags, and for how it fits the width."""
    lines = text.splitlines()
    end = next(i for i, line in enumerate(lines) if "nobody has anything new" in line)
    text = "\n".join(lines[:end])
    for pattern in (r"\d\d:\d\d", r"\d\d\s+\w{3}\s+\d{4}", r"[\d.]+\s+kB", r"\d+\s+ms", r'"[0-9a-f]{6}…"', "[─▎]"):
        text = re.sub(pattern, "", text)
    return " ".join(text.split())
