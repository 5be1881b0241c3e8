"""Counts of what the marked tests ran, printed at the end of the run; the profiles of the property tests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.append(str(Path(__file__).parents[1]))  # last: the benchmarks are no part of what is installed

settings.register_profile("dev", max_examples=300, deadline=None)
settings.register_profile(
    "ci", max_examples=20_000, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
settings.register_profile("soak", max_examples=100_000, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("dev")

_COUNTED: list[str] = []

Tally = Callable[..., None]


@pytest.fixture
def tally() -> Tally:
    """``tally("what", n, floor=m)``: prints the count after the run, and fails here and now below the floor."""

    def count(what: str, cases: int, floor: int = 1, more: str = "") -> None:
        _COUNTED.append(f"{what}: {cases} cases{f' ({more})' if more else ''}")
        assert cases >= floor, f"{what}: {cases} cases ran, fewer than {floor}"

    return count


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _COUNTED:
        terminalreporter.section("cases")
        for line in _COUNTED:
            terminalreporter.line(line)
