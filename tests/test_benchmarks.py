"""The benchmarks run, refuse wrong results, and fail where a target is missed. How fast anything is does not matter."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from conftest import Tally

from benchmarks.cases import few_edits, many_edits
from benchmarks.convergence import DEPTHS, ROWS, Cell, End, judge_cell, play
from benchmarks.peers import Contender, Outcome, for_lists, load
from benchmarks.report import Timed, exit_code, failures, judge, rows
from benchmarks.running import Run
from benchmarks.sequences import judge_world
from benchmarks.sync import Taken, judge_idle, judge_pull, missing, slope
from benchmarks.text import Pace, judge_corpus
from benchmarks.todos import draw_changes, draw_todos, write_lines, wrong
from benchmarks.worlds import World

ROOT = Path(__file__).parents[1]
MODEL = ROOT.parent / "shared" / "model"
PEERS, MISSING = load()
MISSING += filter(None, [missing()])


@pytest.mark.skipif(
    bool(MISSING), reason=f"The benchmarks compare with packages that are not here. {' '.join(MISSING)}"
)
def test_a_smoke_run_verifies_every_group() -> None:
    """With --check, so that a wrong result of mergecore's would be exit 1."""
    command = [sys.executable, "-m", "benchmarks", "--smoke", "--check"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert all(f"=== {group}\n" in run.stdout for group in ("sequences", "text", "convergence", "sync"))


def contender(name: str, merge: Callable[[Any, Any, Any], Any]) -> Contender:
    return Contender(name, merge, lambda value, check: check(Outcome(value)))


def broken(base: Any, ours: Any, theirs: Any) -> Any:
    raise ValueError("not today")


def test_a_wrong_result_is_shown_as_wrong_and_not_timed(capsys: pytest.CaptureFixture[str]) -> None:
    """One that keeps ours alone, and one that raises; both are for information, so nothing failed."""
    mergecore = next(c for c in for_lists(PEERS) if c.name == "mergecore")
    others = [contender("ours", lambda base, ours, theirs: ours), contender("broken", broken)]
    run = Run(PEERS, [1], smoke=True)
    run.case("a case", lambda rng: few_edits("strings", 50, 3, rng), [mergecore, *others], {})
    title, right, *wrong = capsys.readouterr().out.splitlines()
    assert title == "a case" and right.split()[0] == "mergecore" and "wrong" not in right
    assert [line.split()[:2] for line in wrong] == [["ours", "wrong"], ["broken", "wrong"]]
    assert "ValueError: not today" in wrong[1]
    assert run.failed == []


def test_a_wrong_result_of_mergecore_fails() -> None:
    """It is not compared with anybody."""
    run = Run(PEERS, [1], smoke=True)
    others = [contender("other", lambda base, ours, theirs: ours)]
    run.case("a case", lambda rng: few_edits("ints", 50, 3, rng), [contender("mergecore", broken), *others], {})
    assert run.failed == ["a case: mergecore is wrong: ValueError: not today"]
    assert exit_code(run.failed, check=True) == 1


def test_a_missed_ratio_is_exit_1_under_check_only() -> None:
    """The median over the seeds counts: here 0.3, where 1/5 was the target."""
    measured = [Timed("mergecore", (0.1, 0.3, 0.9)), Timed("merge3", (1.0, 1.0, 1.0)), Timed("similar", (2.0,) * 3)]
    verdicts = judge(measured, {"merge3": 1 / 5, "similar": 1 / 5})
    assert [verdict.word for verdict in verdicts] == ["", "missed", "ok"]
    failed = failures("a case", verdicts)
    assert failed == ["a case: 1/3.33 of the time of merge3, the target is 1/5"]
    assert (exit_code(failed, check=True), exit_code(failed, check=False), exit_code([], check=True)) == (1, 0, 0)
    assert [line.split()[-1] for line in rows(verdicts)] == ["300.000", "missed", "ok"]


def test_a_target_beside_a_wrong_result_is_not_met() -> None:
    """What cannot be compared was not shown to be faster."""
    verdicts = judge([Timed("mergecore", (0.1,)), Timed("merge3", wrong="lost an element")], {"merge3": 1.0})
    assert failures("a case", verdicts) == ["a case: merge3 is wrong: lost an element"]


def test_worlds_and_real_texts_have_targets_of_their_own() -> None:
    """Seconds by their median, memory by its peak; texts in the middle and at the slow end."""
    assert judge_world("w", [World(9.0, 100.0), World(0.5, 199.0), World(0.6, 50.0)]) == []
    assert judge_world("w", [World(2.0, 201.0)]) == ["w: 2 s, the target is 1", "w: 201 MB, the target is 200"]
    assert judge_corpus(Pace(median=0.9, p90=3.0, of_p90s=1.0)) == []
    assert len(judge_corpus(Pace(median=1.1, p90=0.5, of_p90s=1.2))) == 2


def test_conservation_is_checked_by_what_was_drawn() -> None:
    """Of a heavily edited list: a side alone, something lost, twice there, back again or out of order is wrong."""
    case = many_edits(200, 0.3, random.Random(1))
    base, ours, theirs = case.inputs()
    mergecore = PEERS["mergecore"]
    value, candidates, _ = mergecore.outcome(mergecore.merge_list(base, ours, theirs))
    assert case.wrong(Outcome(value, candidates)) == ""
    deleted = next(x for x in base if x not in ours)
    mutants = [ours, theirs, base, value[:-1], [*value, value[0]], [deleted, *value], value[::-1], [*value, "strange"]]
    assert all(case.wrong(Outcome(mutant, candidates)) for mutant in mutants)


@pytest.mark.skipif(not MODEL.is_dir(), reason="The model is read from ../shared/model, which is not there.")
def test_a_seed_gives_the_run_that_it_gives_in_the_model(monkeypatch: pytest.MonkeyPatch, tally: Tally) -> None:
    """In every row and at every depth: the right end or not, an old base met or not, on the way and at the end, and
    how many writes were held.
    """
    monkeypatch.syspath_prepend(str(MODEL))
    exactness = import_module("exactness")
    joined = exactness.join

    def join(policy: Any, a: Any, b: Any) -> Any:
        """The model tells versions apart by identity, too: joining what adds nothing gives the same one, as here."""
        made = joined(policy, a, b)
        return a if made == a else b if made == b else made

    monkeypatch.setattr(exactness, "join", join)
    runs = [(row, depth, seed) for row in ROWS for depth in DEPTHS for seed in (0, 1)]
    for row, depth, seed in runs:
        end = play(seed, row.world, depth)
        assert end[:4] == exactness.run(seed, depth, *row.world), (row.name, depth, seed)
        assert end.agreed
    tally("runs of the exactness table, equal to the model's", len(runs), floor=250)


def cell(depth: int, right: int, wrong: int, *more: End) -> Cell:
    """So many runs with the right end, and so many with a wrong one that was reported."""
    ends = [End(True, False, False, 5, True, 500)] * right + [End(False, True, True, 5, True, 500)] * wrong
    return Cell(depth, range(7, 7 + right + wrong + len(more)), [*ends, *more])


def test_a_share_below_the_designs_fails_beyond_chance() -> None:
    """56 % of 200 runs is the figure at depth 2; the fewer the runs, the more chance does."""
    row = next(row for row in ROWS if row.name == "peer to peer 5, bursts")
    assert (
        judge_cell(row, cell(2, 112, 88)) == judge_cell(row, cell(2, 90, 110)) == judge_cell(row, cell(2, 14, 26)) == []
    )
    assert judge_cell(row, cell(2, 70, 130)) == [
        "peer to peer 5, bursts, depth 2: 35 % ended exactly right; the design has 56 %, and chance makes 19.9"
    ]
    assert judge_cell(row, cell(2, 0, 2), sampled=False) == []


def test_one_run_is_too_many_that_is_wrong_without_a_word_or_disagrees() -> None:
    """Whatever the row; and where the design is always exact, one that is not."""
    row, hub = next(row for row in ROWS if not row.exact), ROWS[0]
    silent, split = End(False, False, False, 5, True, 500), End(True, False, False, 5, False, 500)
    at = f"{row.name}, depth 2"
    assert judge_cell(row, cell(2, 1, 8, silent)) == [
        f"{at}: the end is wrong without a word in 1 of 10 runs, first with seed 16"
    ]
    assert judge_cell(row, cell(2, 1, 8, split)) == [f"{at}: the replicas disagree in 1 of 10 runs, first with seed 16"]
    assert judge_cell(hub, cell(0, 199, 1), sampled=False) == [
        "hub 5, single saves, depth 0: not exact, as the design always is, in 1 of 200 runs, first with seed 206"
    ]


# ------------------------------------------------------------------------------------------ sync


def test_growth_is_the_slope_between_logarithms() -> None:
    """Linear is 1, quadratic 2, and what does not grow 0."""
    sizes = (10.0, 100.0, 1000.0)
    slopes = [slope([(n, 3 * n**power) for n in sizes]) for power in (0, 1, 2)]
    assert slopes == [pytest.approx(0), pytest.approx(1), pytest.approx(2)]


def test_a_pull_is_judged_by_the_median_of_its_ratios_to_the_floor() -> None:
    """Round by round: 2, 5 and 3 times here; a smoke run has no target."""
    taken = {"mergecore": [Taken(2.0), Taken(5.0), Taken(6.0)], "the floor": [Taken(1.0), Taken(1.0), Taken(2.0)]}
    assert judge_pull("a pull", taken, 3.0) == judge_pull("a pull", taken, None) == []
    assert judge_pull("a pull", taken, 2.5) == ["a pull: 3 times the floor, the target is 2.5"]


def test_an_idle_sync_is_one_request() -> None:
    """Each of them: a second one is too many, and none would be no sync."""
    assert judge_idle([Taken(0.1, requests=1)] * 3) == []
    assert judge_idle([Taken(0.1, requests=1), Taken(0.1, requests=2)]) == [
        "an idle sync: 2 round trips, the target is 1"
    ]
    assert judge_idle([Taken(0.1)]) == ["an idle sync asks nobody"]


def test_what_a_side_holds_is_checked_record_by_record(tmp_path: Path) -> None:
    """Of what two sides changed: lost, doubled, strange, reverted, or with a conflict too few or too many is wrong."""
    rng = random.Random(1)
    todos = draw_todos(50, rng)
    changes = draw_changes(todos, 20, rng)
    assert (len(changes.here), len(changes.there), len(changes.clash)) == (11, 11, 2)
    expected = {todo["guid"]: {**todo} for todo in todos}
    for change in (*changes.here, *changes.there):
        expected[change["guid"]] |= change
    right = [[guid := todo.pop("guid"), todo, int(guid in changes.clash)] for todo in expected.values()]
    clash, plain = (next(i for i, line in enumerate(right) if line[2] is open_now) for open_now in (1, 0))

    def instead(i: int, **fields: Any) -> list[Any]:
        return [*right[:i], [right[i][0], right[i][1] | fields, right[i][2]], *right[i + 1 :]]

    def judged(lines: list[Any]) -> str:
        return wrong(Path(write_lines(json.loads(json.dumps(lines)), tmp_path / "dump")), todos, changes)

    assert judged(right) == judged(right[::-1]) == judged(instead(clash, assignee="ann")) == ""
    mutants = [
        right[:-1], [*right, right[0]], [*right, ["strange", right[0][1], 0]], instead(plain, title="reverted"),
        instead(clash, assignee=None), [[guid, record, 0] for guid, record, _ in right],
        [[guid, record, 1] for guid, record, _ in right],
    ]  # fmt: skip
    assert all(judged(mutant) for mutant in mutants)
