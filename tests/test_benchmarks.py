"""The benchmarks run, refuse wrong results, and fail where a target is missed. How fast anything is does not matter."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from importlib import import_module
from inspect import getattr_static, isclass, isfunction
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from conftest import Tally

import mergecore
from benchmarks.cases import few_edits, many_edits
from benchmarks.compare import changes, improvements, regressions
from benchmarks.convergence import DEPTHS, ROWS, Cell, End, judge_cell, play
from benchmarks.growth import CONSTANT, ENTRIES, LINEAR, REASONS, curve_of, judge_curve
from benchmarks.peers import Contender, Outcome, for_lists, load
from benchmarks.report import (
    Measured,
    Target,
    Targets,
    Timed,
    duration,
    exit_code,
    failures,
    judge,
    plain,
    ratio,
    slope,
)
from benchmarks.running import Run
from benchmarks.sequences import judge_world
from benchmarks.startup import judge_loaded
from benchmarks.sync import Taken, judge_idle, judge_pull, missing
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
    groups = ("records", "nested", "sequences", "text", "growth", "startup", "convergence", "sync")
    assert all(f"=== {group}\n" in run.stdout for group in groups)


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
    title, _, right, *wrong = capsys.readouterr().out.splitlines()
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


def timed(contender: str, *seconds: float, wrong: str = "") -> Timed:
    """One round for each seed."""
    return Timed(contender, tuple((each,) for each in seconds), wrong)


def test_a_missed_ratio_is_exit_1_under_check_only() -> None:
    """The median over the seeds counts: here 0.3, where 1/5 was the target."""
    measured = [timed("mergecore", 0.1, 0.3, 0.9), timed("merge3", 1.0, 1.0, 1.0), timed("similar", 2.0, 2.0, 2.0)]
    verdicts = judge(measured, {"merge3": 1 / 5, "similar": 1 / 5})
    assert [(verdict.against, verdict.word) for verdict in verdicts] == [("merge3", "missed"), ("similar", "ok")]
    failed = failures("a case", measured, verdicts)
    assert failed == ["a case: 1/3.33 of the time of merge3, the target is 1/5"]
    assert (exit_code(failed, check=True), exit_code(failed, check=False), exit_code([], check=True)) == (1, 0, 0)
    _, ours, *others = plain(Measured("a group", "a case", measured, verdicts, "mergecore"))
    assert ours.split()[:4] == ["mergecore", "300", "ms", "0.0%"]
    assert ours.endswith("1/3.33 of merge3, at most 1/5: missed; 1/6.67 of similar, at most 1/5: ok")
    assert [line.split()[:5] for line in others] == [
        ["merge3", "1", "s", "0.0%", "3.33"], ["similar", "2", "s", "0.0%", "6.67"],
    ]  # fmt: skip


def test_the_rounds_of_a_seed_count_by_their_median() -> None:
    """Not by their mean: 0.3, where one round was disturbed."""
    measured = [Timed("mergecore", ((0.3, 0.1, 9.0), (0.3, 0.3))), Timed("merge3", ((1.0, 1.0, 1.0), (1.0, 1.0)))]
    (verdict,) = judge(measured, {"merge3": 0.3})
    assert (verdict.ratios, verdict.word) == ((0.3, 0.3), "ok")


def test_a_target_allows_so_many_times_and_so_many_seconds_more() -> None:
    """2 D + 0.5 s: met by 2.5 s where D is 1 s, and not by 2.6 s; what is aimed at is not checked."""
    for seconds, word in ((2.5, "ok"), (2.6, "missed")):
        measured = [timed("mergecore", seconds), timed("decode", 1.0)]
        (verdict,) = judge(measured, {"decode": Target(2.0, 0.5, aim=1.0)})
        assert verdict.word == word
    assert failures("a case", measured, [verdict]) == ["a case: 2.1 of the time of decode and 500 ms, the target is 2"]
    (_, ours, _) = plain(Measured("a group", "a case", measured, [verdict], "decode"))
    assert ours.endswith("2.1 of decode + 500 ms, at most 2, aim 1: missed")


def test_rows_of_mergecore_have_targets_of_their_own() -> None:
    """One beside a contender's name is every row's; nobody who was not measured is judged."""
    measured = [
        timed("mergecore merge()", 3.0),
        timed("mergecore bound", 2.0),
        timed("decode", 1.0),
        timed("loop", 9.0),
    ]
    targets: Targets = {
        ("mergecore merge()", "decode"): 2.5,
        ("mergecore bound", "decode"): 2.1,
        "loop": 1 / 3,
        "absent": 0.1,
    }
    found = [(verdict.row, verdict.against, verdict.word) for verdict in judge(measured, targets)]
    assert found == [
        ("mergecore merge()", "decode", "missed"), ("mergecore merge()", "loop", "ok"),
        ("mergecore bound", "decode", "ok"), ("mergecore bound", "loop", "ok"),
    ]  # fmt: skip
    assert failures("a case", measured, judge(measured, targets)) == [
        "a case, mergecore merge(): 3 of the time of decode, the target is 2.5"
    ]


def test_a_target_beside_a_wrong_result_is_not_met() -> None:
    """What cannot be compared was not shown to be faster."""
    measured = [timed("mergecore", 0.1), timed("merge3", wrong="lost an element")]
    verdicts = judge(measured, {"merge3": 1.0})
    assert failures("a case", measured, verdicts) == ["a case: merge3 is wrong: lost an element"]


def test_every_call_gets_inputs_that_no_other_has_seen_and_all_of_its_own() -> None:
    """As many as a contender has: none here, one, three."""
    seen: list[tuple[object, ...]] = []

    def call(*arguments: object) -> None:
        seen.append(arguments)

    def taking(count: int) -> Contender:
        return Contender(str(count), call, lambda value, check: "", inputs=lambda case: tuple(map(list, [()] * count)))

    case = few_edits("ints", 50, 3, random.Random(1))
    rounds = Run(PEERS, [1], smoke=True).rounds(case, [taking(0), taking(1), taking(3)])
    assert [len(rounds[name]) for name in ("0", "1", "3")] == [3, 3, 3] and min(map(min, rounds.values())) > 0
    assert len(seen) == 15 and len({id(x) for arguments in seen for x in arguments}) == 20  # two more, to calibrate


def test_contenders_take_turns_in_going_first() -> None:
    """A, B, C, then B, C, A, then C, A, B; before that, each twice to see how long it takes."""
    called: list[str] = []
    contenders = [Contender(name, lambda *_, name=name: called.append(name), lambda value, check: "") for name in "ABC"]
    Run(PEERS, [1], smoke=True).rounds(few_edits("ints", 50, 3, random.Random(1)), contenders)
    assert "".join(called) == "AABBCCABCBCACAB"


def test_contenders_may_be_made_for_what_was_drawn() -> None:
    """One for information is timed on one seed; mergecore and who has a target or is the reference, on each."""
    drawn: list[object] = []

    def contenders(case: object) -> Sequence[Contender]:
        drawn.append(case)
        return [Contender(name, lambda *_: None, lambda *_: "") for name in ("mergecore", "decode", "loop", "other")]

    run = Run(PEERS, [1, 2], smoke=True)
    found = run.timed("a case", lambda rng: few_edits("ints", 50, 3, rng), contenders, {"decode": 1.0}, "loop")
    assert [(one.contender, len(one.seconds)) for one in found] == [
        ("mergecore", 2), ("decode", 2), ("loop", 2), ("other", 1),
    ]  # fmt: skip
    assert len(drawn) == len({id(case) for case in drawn}) == 2


def test_figures_have_three_digits_and_the_unit_that_fits() -> None:
    """Small ratios as fractions, times in seconds down to nanoseconds."""
    assert [ratio(x) for x in (1 / 120, 0.25, 0.5, 2.345, 123.4, 4321.0)] == [
        "1/120",
        "1/4",
        "0.5",
        "2.35",
        "123",
        "4,321",
    ]
    assert [duration(x) for x in (12.3, 0.0123, 1.23e-5, 2.5e-8)] == ["12.3 s", "12.3 ms", "12.3 us", "25 ns"]


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


# ------------------------------------------------------------------------------------------ beside an older run


def run_of(ours: Sequence[float], *others: tuple[str, Sequence[float]], title: str = "a case") -> Measured:
    """Of one seed, so many rounds."""
    rows = [("mergecore", ours), *others]
    return Measured("a group", title, [Timed(name, (tuple(seconds),)) for name, seconds in rows], (), "mergecore")


STEADY = (1.00, 1.01, 0.99, 1.02, 0.98)
NOISY = (1.00, 1.40, 0.60, 1.20, 0.80)


def test_what_is_slower_beyond_noise_is_a_regression() -> None:
    """By ratio: a machine that is half as fast slows the other down, too."""
    old = run_of(STEADY, ("merge3", STEADY))
    half_as_fast = run_of([2 * x for x in STEADY], ("merge3", [2 * x for x in STEADY]))
    slower = run_of([1.3 * x for x in STEADY], ("merge3", [1.0] * 5))
    assert changes([old], [half_as_fast])[0].times == pytest.approx(1.0)
    assert regressions(changes([old], [half_as_fast])) == []
    (found,) = regressions(changes([old], [slower]))
    assert found.startswith("a group: a case, mergecore: 1.300 times what it was to merge3; noise is up to 1.04")
    assert improvements(changes([slower], [old])) and not regressions(changes([slower], [old]))


def test_the_noisier_the_runs_the_more_is_noise() -> None:
    """Of either run: 1.3 times is beyond 3 standard deviations of steady ones, and within those of noisy ones."""
    still, slower = ("merge3", [1.0] * 5), [1.3 * x for x in STEADY]
    assert regressions(changes([run_of(STEADY, still)], [run_of(slower, still)]))
    assert not regressions(changes([run_of(NOISY, still)], [run_of(slower, still)]))
    assert not regressions(changes([run_of(STEADY, still)], [run_of([1.3 * x for x in NOISY], still)]))


def test_a_seed_is_compared_with_itself() -> None:
    """However different the seeds' ratios are: here ten times."""

    def two_seeds(times: float) -> Measured:
        ours = tuple(tuple(times * scale * x for x in STEADY) for scale in (1.0, 10.0))
        return Measured(
            "a group", "a case", [Timed("mergecore", ours), Timed("merge3", (STEADY, STEADY))], (), "merge3"
        )

    assert not regressions(changes([two_seeds(1.0)], [two_seeds(1.0)]))
    assert regressions(changes([two_seeds(1.0)], [two_seeds(1.1)]))


def test_the_steadiest_contender_says_what_changed() -> None:
    """Neither one that is noisy, nor one that is another version of itself, nor one that was not in both runs."""
    old = run_of(STEADY, ("noisy", NOISY), ("merge3", STEADY), ("steady", [1.0] * 5))
    new = run_of(STEADY, ("noisy", NOISY), ("merge3", STEADY), ("steady", [1.0] * 5), ("new", [1.0] * 5))
    assert [change.against for change in changes([old], [new])] == ["merge3"]  # whose noise was ours, too
    assert [change.against for change in changes([old], [new], moved=["merge3"])] == ["steady"]


def test_what_cannot_be_compared_is_left_out() -> None:
    """Another case, too few rounds for a spread, nobody to compare with."""
    old = run_of(STEADY, ("merge3", STEADY))
    assert changes([old], [run_of(STEADY, ("merge3", STEADY), title="another")]) == []
    assert changes([old], [run_of([1.0], ("merge3", [1.0]))]) == changes([old], [run_of(STEADY)]) == []


# ------------------------------------------------------------------------------------------ files


def test_json_gives_back_what_was_measured(tmp_path: Path) -> None:
    """Each round of each seed; of what was wrong, nothing; and of what machine and versions it is."""
    results = pytest.importorskip("benchmarks.results")
    cases = [
        Measured(
            "lists", "one", [Timed("mergecore", ((0.1, 0.2), (0.3,))), timed("bad", wrong="lost")], (), "mergecore"
        ),
        Measured("lists", "two", [timed("mergecore", 1e-9), timed("merge3", 2.0)], (), "mergecore"),
    ]
    curve = curve_of("merge, depth", [timed("16", 1.0), timed("32", 2.0)])
    assert results.write(tmp_path / "run.json", results.about(PEERS), ["a line", *cases, curve])
    found = results.read(tmp_path / "run.json")
    assert [(case.group, case.title, case.timed) for case in found.measured] == [
        ("lists", "one", cases[0].timed[:1]), ("lists", "two", cases[1].timed),
        ("growth", "merge, depth", [timed("16", 1.0), timed("32", 2.0)]),
    ]  # fmt: skip
    assert {"python_version", "cpu_count", "platform", "version of mergecore", "version of msgspec"} <= {*found.about}
    assert not {"hostname", "python_executable", "boot_time"} & {*found.about}
    assert not results.write(tmp_path / "none.json", {}, ["a line"]) and not (tmp_path / "none.json").exists()
    (tmp_path / "other.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match=r"other\.json was not written by --json"):
        results.read(tmp_path / "other.json")


def test_markdown_has_the_tables_and_what_was_said() -> None:
    """Lines as they were, in a block; a case as a table with as many cells in each row."""
    results = pytest.importorskip("benchmarks.results")
    measured = [timed("mergecore", 0.1), timed("merge3", 1.0), timed("bad", wrong="lost | found")]
    case = Measured("lists", "a case", measured, judge(measured, {"merge3": 0.2}), "mergecore")
    text = results.markdown(["Python 3", "", "\n=== lists", "a case", case, "", "  a line"])
    assert (
        text
        == """# Benchmarks

```text
Python 3
```

## lists

**a case**

|  | time | ± | x mergecore | over seeds | target |
|---|---:|---:|---:|---:|---|
| mergecore | 100 ms | 0.0% | 1 |  | 1/10 of merge3, at most 1/5: ok |
| merge3 | 1 s | 0.0% | 10 |  |  |
| bad | wrong |  |  |  | lost \\| found |

```text
  a line
```
"""
    )


def test_charts_are_valid_and_show_everybody(tmp_path: Path) -> None:
    """A file for each group; the wrong one is shown as wrong. Equal figures give equal files."""
    charts = pytest.importorskip("benchmarks.charts")
    measured = [timed("mergecore", 1e-5), timed("decode <D>", 1e-6), timed("bad", wrong="lost")]
    case = Measured("lists", "a case", measured, (), "decode <D>")
    curve = curve_of("merge, depth", [timed("16", 1.0), timed("32", 2.0)])
    files = charts.draw(["a line", case, curve], tmp_path / "new")
    assert [file.name for file in files] == ["lists.svg", "growth.svg"]
    lists, growth = ("".join(ET.parse(file).getroot().itertext()) for file in files)
    assert all(text in lists for text in ("mergecore", "decode <D>", "10 us, x 10", "1 us, x 1", "bad", "wrong"))
    assert "lost" not in lists and "merge, depth" in growth
    assert [file.read_bytes() for file in files] == [
        file.read_bytes() for file in charts.draw([case, curve], tmp_path / "again")
    ]


# ------------------------------------------------------------------------------------------ growth and start


def test_growth_is_the_slope_between_logarithms() -> None:
    """Linear is 1, quadratic 2, and what does not grow 0."""
    sizes = (10.0, 100.0, 1000.0)
    slopes = [slope([(n, 3 * n**power) for n in sizes]) for power in (0, 1, 2)]
    assert slopes == [pytest.approx(0), pytest.approx(1), pytest.approx(2)]


def test_what_grows_faster_than_linear_needs_a_reason() -> None:
    """By the best round of each size; a reason has a bound, too."""
    sizes = (64, 128, 256)
    linear, square, cube = ([Timed(str(n), ((n**power * 1e-9, 1.0),)) for n in sizes] for power in (1.0, 2.0, 3.0))
    named, (bound, _) = next(iter(REASONS.items()))
    assert judge_curve(curve_of("something", linear)) == []
    assert judge_curve(curve_of("something", square)) == ["growth: something: 2 is the slope, the target is 1.1"]
    assert judge_curve(curve_of("join, versions", square)) == []
    assert judge_curve(curve_of(named, cube)) == [f"growth: {named}: 3 is the slope, the target is {bound:g}"]


def test_reasons_are_of_entries_that_there_are() -> None:
    """One that was mended or renamed leaves no excuse behind."""
    assert REASONS.keys() <= {str(entry) for entry in ENTRIES}
    assert all(bound > LINEAR and reason for bound, reason in REASONS.values())
    assert len({str(entry) for entry in ENTRIES}) == len(ENTRIES)


def test_every_public_entry_point_is_measured_by_what_it_grows_with() -> None:
    """Each function, and each method and property of each class, but for what is named as constant."""
    named = {entry.name.partition(" ")[0] for entry in ENTRIES} | CONSTANT
    public = {name: getattr(mergecore, name) for name in mergecore.__all__}
    functions = {name for name, one in public.items() if isfunction(one)}
    methods = {
        f"{name}.{method}"
        for name, kind in public.items()
        if isclass(kind)
        for method in vars(kind)
        if not method.startswith("_")
        and isinstance(getattr_static(kind, method), (FunctionType, property, classmethod, staticmethod))
    }
    assert functions | methods <= named


def test_an_import_loads_nothing_strange() -> None:
    """What msgspec loads, too, is not ours."""
    before = {"sys", "msgspec", "msgspec._core", "typing_extensions"}
    ours = before | {"json", "json.decoder", "mergecore", "mergecore.clock"}
    assert judge_loaded(before, ours) == []
    assert judge_loaded(before, ours | {"deepdiff.diff", "attr"}) == ["import mergecore loads attr, deepdiff"]


# ------------------------------------------------------------------------------------------ sync


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


# ------------------------------------------------------------------------------------------ the command


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "nosuch"], "there is no group 'nosuch'"), (["--only", ""], "has an empty name in it"),
        (["--peers", "nosuch", "--only", "records"], "there is no contender 'nosuch'"),
        (["--peers", "merge3,"], "has an empty name in it"), (["--seeds", "0"], "'0' is no number from 1 on"),
        (["--json", "{tmp}"], "cannot be written"), (["--markdown", "{tmp}/no/x.md"], "there is no such folder"),
        (["--charts", "{tmp}/file"], "is no folder to write to"), (["--compare", "{tmp}/file"], "was not written by"),
        (["--compare", "{tmp}/run.json", "--seed", "1"], "give it no --seed"),
        (["--compare", "{tmp}/run.json", "--smoke"], "nothing that could be compared"),
        (["--compare", "{tmp}/run.json", "--only", "text"], "OLD holds none of these groups"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_refused_before_anything_is_measured(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With exit code 2, that of a missed target being 1."""
    results = pytest.importorskip("benchmarks.results")
    main = pytest.importorskip("benchmarks.__main__").main
    (tmp_path / "file").write_text("no JSON", encoding="utf-8")
    case = Measured("records", "one", [timed("mergecore", 1.0)], (), "mergecore")
    assert results.write(tmp_path / "run.json", {"seed": 1}, [case])
    with pytest.raises(SystemExit) as stopped:
        main([text.format(tmp=tmp_path) for text in arguments])
    assert stopped.value.code == 2 and told in capsys.readouterr().err


def test_without_its_packages_the_command_says_what_to_install() -> None:
    """And shows no traceback, whatever was asked for."""
    without = "import sys, runpy; sys.modules['rich'] = None; runpy.run_module('benchmarks', run_name='__main__')"
    run = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True, cwd=ROOT, check=False)
    assert run.returncode == 2 and "pip install '.[bench]'" in run.stderr and "Traceback" not in run.stderr
