"""The laws of join, on drawn histories under drawn policies, and runs of peers whose end is known."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from conftest import Tally
from hypothesis import given, settings

from mergecore.testing import JOIN_LAWS, STRATEGIES, Case, check_joins, check_mesh, histories, mesh_runs
from mergecore.testing.cases import strategies_in
from mergecore.testing.joins import EXEMPTIONS, Drawn, MeshRun

pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.laws
def test_the_laws_of_join_hold_of_every_strategy(tally: Tally) -> None:
    """Every law, on every history; no strategy in under 1 % of them, and the exemptions by name."""
    draws, used, counts = Counter[str](), Counter[str](), Counter[str]()

    @settings(max_examples=min(settings().max_examples // 2, 2_000))
    @given(histories())
    def holds(drawn: Drawn) -> None:
        check_joins(drawn)
        draws["typed" if drawn.model else "documents"] += 1
        used.update(strategies_in(Case(None, None, None, drawn.policy, drawn.model)))
        counts.update(drawn.counts)

    started = time.perf_counter()
    holds()
    n = draws.total()
    wanted = min(settings().max_examples // 2, 2_000)
    tally("joins", n, wanted * 9 // 10, f"{len(JOIN_LAWS)} laws each, {time.perf_counter() - started:.0f} s")
    tally("joins, both interfaces agree", counts["both interfaces agree"], n // 5)
    for why in EXEMPTIONS:
        tally(f"joins, exempt: {why}", counts[f"exempt: {why}"], 0)
    tally("joins, drawn models", counts["drawn models"], n // 10)
    for op in ("put", "value", "hear", "resolve", "delete", "twice"):
        tally(f"joins, {op}", counts[op], n // 10)
    for name in sorted({p.name for s in STRATEGIES.values() for p in s.parts} | {"keep_both"}):
        tally(f"joins, {name}", used[name], n // 100)


@pytest.mark.laws
def test_no_end_of_peers_is_wrong_without_a_report(tally: Tally) -> None:
    """A function that means nothing without the whole common past: exact, or somebody was told of an old base."""
    right, reported, said = 0, 0, Counter[str]()

    wanted = min(settings().max_examples, 6_000)

    @settings(max_examples=wanted)
    @given(mesh_runs())
    def holds(run: MeshRun) -> None:
        nonlocal right, reported
        check_mesh(run)
        right += run.end == run.wanted
        reported += run.reported
        said[run.told] += 1

    holds()
    n = said.total()
    tally("runs of peers", n, wanted * 9 // 10, f"{right} exact, {reported} reported an old base")
    tally("runs of peers, exact", right, n // 4)
    tally("runs of peers, an old base reported", reported, n // 10)
