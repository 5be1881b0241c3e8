"""Replicas that edit, lose power and meet: everything that was written is somewhere at the end."""

from __future__ import annotations

import time
from typing import Annotated, Any

import msgspec
import pytest
from conftest import Tally
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.stateful import run_state_machine_as_test

from mergecore import (
    Policy,
    add_wins,
    counter,
    delete_wins,
    edit_wins,
    group,
    keep_both,
    keyed,
    largest,
    lww,
    strategy,
    text,
)
from mergecore.testing import REPLICA_MUTANTS, check_joins, check_mesh, histories, mesh_runs, mutated, replica_machine
from mergecore.testing.joins import Drawn, MeshRun


class Address(msgspec.Struct):
    """A record below."""

    street: str = ""
    zip: Annotated[str, keep_both] = ""


class Item(msgspec.Struct):
    """A member of a keyed list."""

    id: str
    what: str = ""
    qty: Annotated[int, counter] = 0


@strategy("longer of both", needs_base=True)
def longer(base: Any, ours: Any, theirs: Any) -> Any:
    """A user's function that chooses."""
    return max(ours, theirs, key=lambda x: (len(x), x))


class Todo(msgspec.Struct):
    """A model with a field of every sort."""

    title: str = ""
    assignee: Annotated[str | None, keep_both] = None
    votes: Annotated[int, counter] = 0
    tags: Annotated[set[str], add_wins] = set()
    start: Annotated[int, group("when")] = 0
    end: Annotated[int, group("when")] = 0
    notes: Annotated[str, text("line") | lww] = ""
    labels: dict[str, str] = {}
    items: Annotated[list[Item], keyed("id") | lww] = []
    names: list[str] = []
    best: Annotated[int, largest] = 0
    motto: Annotated[str, longer] = ""
    home: Address | None = None
    work: Address = msgspec.field(default_factory=Address)


class NewerTodo(Todo):
    """The same in a newer app."""

    mood: str = ""
    watchers: Annotated[int, counter] = 0


def _run(machine: Any, examples: int, steps: int = 40, **how: Any) -> None:
    found = settings(
        settings(), max_examples=examples, stateful_step_count=steps, suppress_health_check=list(HealthCheck), **how
    )
    run_state_machine_as_test(machine, settings=found)


@pytest.mark.laws
def test_after_everyone_has_heard_everything_no_update_is_lost(tally: Tally) -> None:
    """Equal bytes, and each write is shown, open, lost, or replaced by somebody who had seen it."""
    runs = min(settings().max_examples // 2, 2_500)
    machine = replica_machine(Todo, newer=NewerTodo)
    started = time.perf_counter()
    _run(machine, runs)
    counts = machine.counts
    tally("replicas, runs", counts["runs"], runs * 9 // 10, f"{time.perf_counter() - started:.0f} s")
    for what, per_run in _FLOORS.items():
        tally(f"replicas, {what}", counts[what], int(runs * per_run))
    print({what: n for what, n in counts.items() if what not in _FLOORS})


_FLOORS = {
    "steps": 12, "entries": 15, "tokens": 8, "puts": 0.3, "puts by value": 0.08, "delivered": 2, "crash": 0.15,
    "backup": 0.1, "deletes": 0.2, "restores": 0.05, "resolved": 0.1, "forks": 0.08, "two-sided fields": 0.6,
    "conflicts": 0.1, "lost": 0.5, "edits against deletions": 0.01, "plain records taken for what is shown": 0,
}  # fmt: skip
"""What the runs must have come to, at least, in the mean."""


@pytest.mark.laws
@pytest.mark.parametrize("deletes", [edit_wins, delete_wins, lww])
def test_a_policy_decides_of_edits_against_deletions(deletes: Any, tally: Tally) -> None:
    """With a policy that settles them, and the whole history kept: the same laws."""
    runs = min(settings().max_examples // 20, 300)
    machine = replica_machine(Todo, Policy(deletes=deletes, depth=9), newer=NewerTodo)
    _run(machine, runs)
    tally(f"replicas, {deletes}", machine.counts["runs"], runs * 9 // 10)


@pytest.mark.mutants
@pytest.mark.parametrize("name", REPLICA_MUTANTS)
def test_the_laws_catch_a_mutant_of_replicas(name: str, tally: Tally) -> None:
    """A broken variant of what joins does not survive the laws of join, the replicas, or the runs of peers."""
    tried = 0

    @settings(max_examples=150, derandomize=True, database=None, phases=[Phase.generate], report_multiple_bugs=False)
    @given(histories())
    def joins(drawn: Drawn) -> None:
        nonlocal tried
        tried += 1
        check_joins(drawn)

    @settings(max_examples=400, derandomize=True, database=None, phases=[Phase.generate], report_multiple_bugs=False)
    @given(mesh_runs())
    def mesh(run: MeshRun) -> None:
        nonlocal tried
        tried += 1
        check_mesh(run)

    def replicas() -> None:
        nonlocal tried
        machine = replica_machine(Todo, newer=NewerTodo)
        try:
            _run(machine, 150, derandomize=True, database=None, phases=[Phase.generate], report_multiple_bugs=False)
        finally:
            tried += machine.counts["runs"]

    caught: list[str] = []
    with mutated(name):
        for law in (joins, replicas, mesh):
            try:
                law()
            except AssertionError as error:
                caught.append(str(error).splitlines()[0][:90])
                break
    assert caught, f"{name} survives"
    tally(f"mutant {name!r}", tried, 1, f"caught by {caught[0]}")
