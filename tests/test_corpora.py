"""Cases that other projects wrote: the test suites of their merge engines, and real merges out of public histories.

They are read from ``../shared/corpora``, whose README says where each file is from; none of the data is kept here.
A case on which we differ stands in a reviewed table with the reason why ours is right, and a table that has an entry
too many or too few fails. Every case also runs with its sides swapped.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from conftest import Tally

from mergecore import UNSET, Merged, Policy, delete_wins, merge, prefer, text, three_way
from mergecore.cli import main

CORPORA = Path(__file__).parents[2] / "shared" / "corpora"

pytestmark = [
    pytest.mark.corpora,
    pytest.mark.skipif(not CORPORA.is_dir(), reason="The cases are read from ../shared/corpora, which is not there."),
]

Case: TypeAlias = dict[str, Any]
"""``name`` (with ``#index``, as names are not unique), ``base``, ``ours``, ``theirs``, ``expected``, ``conflict``."""


# ------------------------------------------------------------------------------------------ what other engines say


def test_every_merge_of_rows_and_json_in_dolts_suite_comes_out_as_in_dolt(tally: Tally) -> None:
    """Maps by key, lists as one unit, a row that is absent: nothing to review."""
    tally("dolt_merge", _review(_read("dolt_merge"), Policy(default=three_way(lists="atomic")), {}), floor=57)


K8S_REVIEWED: dict[str, str] = dict.fromkeys(
    ("add field to map with conflict#3", "delete field from nested map with conflict#7"),
    "drift: the live side alone changed it; Kubernetes sets the desired value again, here the unchanged side yields",
)


def test_kubernetes_apply_is_a_merge_in_which_the_desired_side_outranks(tally: Tally) -> None:
    """With theirs, the desired side, and deletions forced, nothing stays open and the value is Kubernetes's."""
    # The file's flag says only whether a title has the words "with conflict"; what is forced is never open.
    cases = [case | {"conflict": False} for case in _read("k8s_jsonmergepatch")]
    policy = Policy(default=three_way(lists="atomic") | prefer("theirs"), deletes=delete_wins)
    tally("k8s_jsonmergepatch", _review(cases, policy, K8S_REVIEWED), floor=23)


JJ_REVIEWED = {
    "simplify#62": "cancelling leaves [1, 0, 1]; that equal changes are one change is jj's next step, and our rule",
    "multi: Two sides left one line unchanged, and added conflicting additional lines#138": (
        "the lines are a list here, and in a list, unlike in a text, insertions in one gap both stay"
    ),
}


def test_three_terms_of_jujutsus_algebra_are_a_three_way_merge(tally: Tally) -> None:
    """Numbers merge as one unit; texts, as lists of their lines, by element."""
    cases = list(_three_terms())
    ran = Counter(case["group"] for case in cases)
    assert ran == {"trivial_merge": 5, "simplify": 5, "merge_lines_nway": 14}
    tally("jj_merge_algebra", _review(cases, Policy(default=three_way()), JJ_REVIEWED), floor=24)


def _three_terms() -> Iterator[Case]:
    """The term lists [ours, base, theirs], as cases.

    No other can be said as a merge: one term has nothing to merge with, and five or more cancel all at once, where
    three-way merges, one after the other, give answers that depend on their order.
    """
    for case in _read("jj_merge_algebra"):
        terms = case.get("terms") or case["terms_add_remove_alternating"]
        if len(terms) != 3:
            continue
        if case["group"] == "trivial_merge":
            case["expected"] = case["result_same_change_accept"]
        elif case["group"] == "simplify":  # one term that is left is the value, three are a conflict
            case |= {"expected": case["result"][0], "conflict": len(case["result"]) > 1}
        else:
            terms = [text.splitlines(keepends=True) for text in terms]
            case["expected"] = (case["result"] or "").splitlines(keepends=True)
        yield case | dict(zip(("ours", "base", "theirs"), terms))


NBDIME_GAPS = frozenset(
    [f"test_shallow_merge_lists_insert_conflicted#{n}" for n in (33, 34, 35, 36)]
    + ["test_deep_merge_twosided_inserts_conflicted#52", "test_deep_merge_twosided_inserts_conflicted2#53"]
    + ["test_decide_merge_strategy_remove#84"]
    + ["test_decide_merge_list_conflicting_insertions_separate_chunks_v1#96"]
    + ["test_decide_merge_list_conflicting_insertions_in_chunks#102"]
)
"""A conflict to nbdime; here, what both sides insert in one gap of a list stays."""

NBDIME_REVIEWED = {
    "test_deep_merge_dicts_insert_conflicted#71": (
        "both added a map under one key, which share a field and else have fields of their own: no field is disputed"
    ),
}


def test_the_cases_of_nbdimes_suite_come_out_as_in_nbdime(tally: Tally) -> None:
    """Those that name no strategy of its own; cases that differ by insertions in one gap alone are listed apart."""
    cases = [case for case in _read("nbdime_json") if "strategies" not in case]
    for case in cases:
        if case["name"] in NBDIME_GAPS:
            merged = _both_ways(case, Policy(default=three_way()))
            assert not merged.conflicts
            disputed = [reduce(getitem, d["path"], case["base"]) for d in case["decisions"] if d["conflict"]]
            assert disputed and all(isinstance(was, list) for was in disputed), case["name"]
            assert _all_inserted(case, merged.value), case["name"]
    rest = [case for case in cases if case["name"] not in NBDIME_GAPS]
    ran = _review(rest, Policy(default=three_way()), NBDIME_REVIEWED)
    tally("nbdime_json", ran + len(NBDIME_GAPS), floor=83, more=f"{len(NBDIME_GAPS)} of them insertions in one gap")


def _all_inserted(case: Case, merged: Any) -> bool:
    """Nothing that either side has is missing."""
    held, *sides = ([_spelled(x) for x in _elements(side)] for side in (merged, case["ours"], case["theirs"]))
    return all(set(side) <= set(held) for side in sides)


def _elements(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [x for below in value.values() for x in _elements(below)]


NODE_DIFF3_REVIEWED = {
    "can include false conflicts#4": "the same input as the case before, under an option that equal changes conflict"
}


def test_the_regions_of_node_diff3_are_the_hunks_of_a_text(tally: Tally) -> None:
    """Each token a line: what is in conflict, and what stands between, as node-diff3 has it."""
    cases = [_as_lines(case) for case in _read("node_diff3")]
    tally("node_diff3, as text", _review(cases, Policy(default=text("line")), NODE_DIFF3_REVIEWED), floor=8)
    for case in cases:
        if case["name"] not in NODE_DIFF3_REVIEWED:
            conflicts = _both_ways(case, Policy(default=text("line"))).conflicts
            found = [{c.base, *(x.value for x in c.candidates)} for c in conflicts]
            regions = [region["conflict"] for region in case["regions"] if "conflict" in region]
            assert found == [{_lines(region[side]) for side in "oab"} for region in regions], case["name"]


NODE_DIFF3_GAPS = frozenset({"strings split on whitespace #9#1"})
NODE_DIFF3_LISTS = {
    **NODE_DIFF3_REVIEWED,
    "performs diff3 merge on arrays#0": (
        "the one conflict is insertions in one gap; the other a replacement with insertions of the other side around it"
    ),
    "yaml comparison #46#6": "two elements beside each other, each changed by one side: lists have no adjacency",
}


def test_the_sequences_of_node_diff3_merge_by_element(tally: Tally) -> None:
    """The same cases as lists: what is not in conflict there is not here, and comes out the same."""
    cases = [_as_lines(case) for case in _read("node_diff3")]
    for case in cases:
        case |= {side: case[side].splitlines() for side in ("base", "ours", "theirs")}
        case["expected"] = None if case["conflict"] else case["expected"].splitlines()
    differ = {case["name"] for case in cases if not _agrees(case, _both_ways(case, Policy(default=three_way())))}
    assert differ == NODE_DIFF3_GAPS | NODE_DIFF3_LISTS.keys()
    tally("node_diff3, as lists", len(cases), floor=8, more=f"{len(NODE_DIFF3_GAPS)} of them insertions in one gap")


def _as_lines(case: Case) -> Case:
    """A case of node-diff3, whose strings are split as its note says, with each token as a line."""
    _, _, pattern = case["note"].partition("strings are split on ")
    pattern = {"whitespace": r"\s+"}.get(pattern, pattern)
    for side in ("base", "ours", "theirs"):
        case[side] = _lines(re.split(pattern, case[side]) if isinstance(case[side], str) else case[side])
    case["expected"] = UNSET if case["conflict"] else _lines(case["expected"])
    return case


def _lines(tokens: Sequence[str]) -> str:
    return "".join(f"{token}\n" for token in tokens)


def _review(cases: Sequence[Case], policy: Policy, reviewed: Mapping[str, str]) -> int:
    """Merges all cases and says how many; exactly those of the table, few of them, come out otherwise than expected."""
    assert len(reviewed) <= max(2, len(cases) / 10)
    assert {case["name"] for case in cases if not _agrees(case, _both_ways(case, policy))} == reviewed.keys()
    return len(cases)


# ------------------------------------------------------------------------------------------ what people merged


def test_what_git_merges_clean_is_never_a_conflict(tally: Tally) -> None:
    """Real JSON and YAML files. How often the value is what people made of it is only counted: they are no oracle."""
    merges = _real_merges()
    clean = [case["name"] for case, _ in merges if case["git_merge_file"] == "clean"]
    opened = [case["name"] for case, merged in merges if case["git_merge_file"] == "clean" and merged.conflicts]
    assert opened == []
    as_people = sum(_agrees(case, merged) for case, merged in merges)
    tally("merges clean in git", len(clean), floor=137, more=f"of all {len(merges)}, {as_people} as people did")


def test_a_third_of_gits_conflicts_in_real_merges_vanish(tally: Tally) -> None:
    """Lines that touch are a conflict to git, fields beside each other are none to us."""
    still = [bool(merged.conflicts) for case, merged in _real_merges() if case["git_merge_file"] == "conflict"]
    assert 3 * still.count(False) >= len(still)
    tally("merges in conflict in git", len(still), floor=52, more=f"{still.count(False)} of them vanish")


def test_no_one_sided_change_of_a_real_merge_is_lost(tally: Tally) -> None:
    """Leaf by leaf, by a checker that shares nothing with the walk."""
    merges = _real_merges()
    changes = [
        (case["name"], path, kept)
        for case, merged in merges
        for path, kept in _one_sided([case["base"], case["ours"], case["theirs"], merged.value])
    ]
    assert [(name, path) for name, path, kept in changes if not kept] == []
    assert len(changes) >= 1_000
    tally("real merges", len(merges), floor=190, more=f"{len(changes)} one-sided changes are all there")


def _one_sided(sides: Sequence[Any], at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Of base, ours, theirs and their merge: each change that one side alone made, and whether the merge holds it.

    Maps go by key, lists of equally many maps by place. Other lists go by how often they hold an element, which is one
    side's doing where the other holds it as often as the base does.
    """
    base, ours, theirs, merged = map(_spelled, sides)
    kind = type(sides[1])
    if ours == theirs:
        return
    if base in (ours, theirs):
        yield at, merged == (theirs if base == ours else ours)
    elif kind is type(sides[2]) and kind in (dict, list):
        sides = [side if isinstance(side, kind) else kind() for side in sides]
        if kind is dict:
            for key in {key: None for side in sides for key in side}:
                yield from _one_sided([side.get(key, UNSET) for side in sides], (*at, key))
        elif len({len(side) for side in sides}) == 1 and all(isinstance(x, dict) for side in sides for x in side):
            for i, places in enumerate(zip(*sides)):
                yield from _one_sided(places, (*at, str(i)))
        else:
            counts = [Counter(map(_spelled, side)) for side in sides]
            for element in sum(counts, Counter()):
                was, mine, other, now = (count[element] for count in counts)
                if mine != other and was in (mine, other):
                    yield (*at, element), now == (other if was == mine else mine)


def _real_merges() -> list[tuple[Case, Merged[Any]]]:
    cases = [*_read("real_watermelondb"), *_read("real_evolu")]
    return [(case, _both_ways(case, Policy(default=three_way()))) for case in cases]


# ------------------------------------------------------------------------------------------ for all of them


def _read(corpus: str) -> list[Case]:
    """The cases of a file. A side that is null is absent: a row, a file, a base; no file has a JSON null there."""
    cases: list[Case] = json.loads((CORPORA / f"{corpus}.json").read_text(encoding="utf-8"))["cases"]
    for i, case in enumerate(cases):
        case["name"] += f"#{i}"
        case |= {key: UNSET for key in ("base", "ours", "theirs", "expected") if case.get(key, ...) is None}
    return cases


def _both_ways(case: Case, policy: Policy) -> Merged[Any]:
    """The merge, which says the same with sides and names swapped: value, order of keys, conflicts."""
    base, ours, theirs = case["base"], case["ours"], case["theirs"]
    merged: Merged[Any] = merge(base, ours, theirs, policy=policy)
    assert repr(merge(base, theirs, ours, policy=policy, names=("theirs", "ours"))) == repr(merged), case["name"]
    return merged


def _agrees(case: Case, merged: Merged[Any]) -> bool:
    """The same flag, and where there is no conflict the same value."""
    if case["conflict"] or merged.conflicts:
        return bool(case["conflict"] and merged.conflicts)
    return _spelled(merged.value) == _spelled(case["expected"])


def _spelled(value: Any) -> str:
    """Tells True from 1 and a missing value from null; the order of keys does not count."""
    return json.dumps(value, sort_keys=True, default=repr)


# ------------------------------------------------------------------------------------------ the command line


@pytest.mark.parametrize(
    "name", ["dolt_merge", "k8s_jsonmergepatch", "jj_merge_algebra", "nbdime_json", "real_watermelondb", "real_evolu"]
)
def test_the_command_line_merges_cases_of_each_file_as_the_library_does(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], tally: Tally
) -> None:
    """Exit code and document, of every case that has all three sides, through files and text."""
    ran = 0
    for case in _three_terms() if name == "jj_merge_algebra" else _read(name):
        sides = [case["base"], case["ours"], case["theirs"]]
        if any(side is UNSET for side in sides):
            continue
        files = [tmp_path / side for side in ("base", "ours", "theirs")]
        for file, side in zip(files, sides):
            file.write_text(json.dumps(side, indent=2))
        merged = merge(*sides)
        assert main(["merge", *map(str, files)]) == (1 if merged.conflicts else 0)
        assert json.loads(capsys.readouterr().out) == merged.value
        ran += 1
    tally(f"command line, {name}", ran, floor=20)
