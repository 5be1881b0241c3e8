"""Counts of what the marked tests ran, printed at the end of the run; the profiles of the property tests."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.append(str(Path(__file__).parents[1]))  # last: the benchmarks are no part of what is installed

IN_CI = "CI" in os.environ
"""There the draws are the same each time, so that a red run is of the change; by hand they are new ones."""

settings.register_profile("dev", max_examples=300, deadline=None, derandomize=IN_CI)
settings.register_profile(
    "ci", max_examples=20_000, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
settings.register_profile("soak", max_examples=100_000, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("dev")

Tally = Callable[..., None]


def named(value: object) -> str:
    """The id of a parameter: its text, without an address in it, which would be another one in each process."""
    return re.sub(r" at 0x\w+", "", repr(value))


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Tally:
    """``tally("what", n, floor=m)``: prints the count after the run, and fails here and now below the floor."""

    def count(what: str, cases: int, floor: int = 1, more: str = "") -> None:
        request.node.user_properties.append(("cases", f"{what}: {cases} cases{f' ({more})' if more else ''}"))
        assert cases >= floor, f"{what}: {cases} cases ran, fewer than {floor}"

    return count


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for found in terminalreporter.stats.values() for report in found]
    ran = [report for report in reports if isinstance(report, pytest.TestReport) and report.when == "call"]
    if counted := [str(told) for report in ran for what, told in report.user_properties if what == "cases"]:
        terminalreporter.section("cases")
        for line in counted:
            terminalreporter.line(line)
