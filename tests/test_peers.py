"""The records that the benchmarks draw, and who merges them right: what each contender's file says of it is so."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest

from benchmarks.peers import Outcome, as_lines, for_records, from_lines, load, loop_
from benchmarks.peers.mergecore_ import merge_at, outcome
from benchmarks.shapes import Record, Shape, draw_record, draw_row, draw_tree

PEERS, MISSING = load()
ALL = {**PEERS, loop_.NAME: loop_}
NESTED = {c.name for c in for_records(ALL, nested=True)}


def draw(seed: int, shape: Shape, both: int | None = 1) -> Record:
    return draw_record(shape, random.Random(seed), 4, both)


def records() -> list[Record]:
    rows = [draw(seed, draw_row(20, random.Random(seed))) for seed in range(20)]
    return rows + [draw(seed, draw_tree(60, random.Random(seed))) for seed in range(20)]


# ------------------------------------------------------------------------------------------ what is drawn


def strings(value: Any) -> list[str]:
    """What is neither empty nor one character, of which Python has one object each."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, dict):
        return [text for inside in value.values() for text in strings(inside)]
    if isinstance(value, list):
        return [text for inside in value for text in strings(inside)]
    return [value] if isinstance(value, str) and len(value) > 1 else []


def test_equal_strings_of_the_sides_are_distinct_objects() -> None:
    """As they are when they come from a file or from the network: nobody gains by comparing identities."""
    for record in records():
        for sides in (record.inputs(), record.dictionaries()):
            found = [text for side in sides for text in strings(side)]
            assert len({id(text) for text in found}) == len(found) > 5


def test_a_seed_gives_the_same_record() -> None:
    assert [record[:3] for record in records()] == [record[:3] for record in records()]


@pytest.mark.parametrize("fields", [5, 20, 50, 200])
def test_a_row_has_as_many_fields_as_asked_and_a_tree_as_many_leaves(fields: int) -> None:
    assert len(draw_row(fields, random.Random(fields))) == fields
    tree = draw_tree(fields, random.Random(fields))
    assert leaves(tree) == fields and (fields == 5 or any(isinstance(kind, dict) for kind in tree.values()))


def leaves(shape: Shape) -> int:
    return sum(leaves(kind) if isinstance(kind, dict) else 1 for kind in shape.values())


def test_a_merge_is_checked_by_what_was_drawn() -> None:
    """A side alone, something lost, strange, or of another type, and a conflict that the times settle, are wrong."""
    for record in records():
        expected = json.loads(json.dumps(record.expected))
        assert record.wrong(Outcome(expected)) == ""
        first, *_ = expected
        mutants: list[Any] = [*record.inputs(), *record.dictionaries(), None, expected | {first: 1}]
        mutants += [expected | {"strange": 1}, {name: value for name, value in expected.items() if name != first}]
        assert all(record.wrong(Outcome(mutant)) for mutant in mutants)
        assert record.wrong(Outcome(expected, ["a candidate"]))


def test_a_number_is_told_from_its_like() -> None:
    """``1``, ``1.0`` and ``True`` are three values."""
    record = records()[0]._replace(expected={"n": 1})
    assert [record.wrong(Outcome({"n": value})) == "" for value in (1, 1.0, True)] == [True, False, False]


# ------------------------------------------------------------------------------------------ who merges it


def test_mergecore_and_the_loop_merge_what_is_drawn() -> None:
    """As Structs and as dictionaries, rows and trees."""
    for record in records():
        assert record.wrong(outcome(merge_at(*record.inputs()))) == ""
        assert record.wrong(outcome(merge_at(*record.dictionaries()))) == ""
        assert record.wrong(Outcome(loop_.merge_struct(*record.inputs()))) == ""
        assert record.wrong(Outcome(loop_.merge_record(*record.dictionaries()))) == ""


TODO = {"title": "milk", "note": "two of them", "price": 120, "shop": "corner", "open": True}
LIST = {**TODO, "tags": ["a", "b", "c", "d"]}
FLAT = {"merge3", "reconcile-text", "daff", "git merge-file"}


def case(ours: Any, theirs: Any, merged: Any, *wrong: str, base: Any = TODO) -> Any:
    """What the sides changed, what it makes of the base, and who is wrong about it."""
    return base, *({**base, **changes} for changes in (ours, theirs, merged)), {*wrong}


CASES = {
    "apart": case({"title": "oats"}, {"price": 99}, {"title": "oats", "price": 99}, "jsonmerge"),
    "neighbours": case({"title": "oats"}, {"note": "one"}, {"title": "oats", "note": "one"}, "jsonmerge"),
    "both changed it": case(
        {"title": "oats", "open": False},
        {"title": "soy"},
        {"title": "soy", "open": False},
        "jsonmerge",
        "reconcile-text",
    ),
    "the same": case({"title": "oats"}, {"title": "oats"}, {"title": "oats"}),
    "to null": case({"note": None}, {"price": 99}, {"note": None, "price": 99}, "jsonmerge", "json-merge-patch"),
    "to text": case({"title": "oats"}, {"price": "120"}, {"title": "oats", "price": "120"}, "jsonmerge", "daff"),
    "added": case({"a": 1}, {"b": 2}, {"a": 1, "b": 2}, "merge3", "git merge-file"),
    "within a list": case(
        {"tags": ["x", "a", "b", "c", "d"]},
        {"tags": ["a", "b", "c", "e"]},
        {"tags": ["x", "a", "b", "c", "e"]},
        *{c.name for c in for_records(ALL)} - {"nbdime"},
        base=LIST,
    ),
    "nested": case(
        {"at": {"home": {"milk": 2, "oats": 1}}},
        {"at": {"home": {"milk": 1, "oats": 0}}},
        {"at": {"home": {"milk": 2, "oats": 0}}},
        "jsonmerge",
        *FLAT,
        base={**TODO, "at": {"home": {"milk": 1, "oats": 1}}},
    ),
    "deleted": (
        {"gone": 1, **TODO},
        TODO,
        {"gone": 1, **TODO, "title": "oats"},
        {**TODO, "title": "oats"},
        {"jsonmerge", "merge3", "git merge-file"},
    ),
}


@pytest.mark.skipif(bool(MISSING), reason=f"The contenders are not all here. {' '.join(MISSING)}")
@pytest.mark.parametrize("name", CASES)
def test_who_is_wrong_about_what_is_known(name: str) -> None:
    """As each contender's file says; all the others are right."""
    *sides, merged, wrong = CASES[name]

    def text(value: Any) -> bytes:
        return msgspec.json.encode(value, order="deterministic")

    def right(run: Any) -> bool:
        try:
            return text(run(*json.loads(json.dumps(sides)))) == text(merged)
        except Exception:
            return False

    assert {c.name for c in for_records(ALL) if not right(c.run)} == wrong
    assert text(merge_at(*sides).unwrap()) == text(merged)


def test_the_flat_ones_are_not_asked_about_what_is_nested() -> None:
    assert {c.name for c in for_records(ALL)} - NESTED == FLAT & {*PEERS}


def test_the_loop_goes_by_the_times_and_keeps_what_was_edited() -> None:
    """Where theirs is the earlier, ours stays; an edit outlives a deletion, on either side."""
    base, ours, theirs = {"a": 1, "b": 1, "c": 1}, {"a": 2, "b": 2}, {"a": 3, "c": 2}
    assert loop_.merge_record(base, ours, theirs, (1, 2)) == {"a": 3, "b": 2, "c": 2}
    assert loop_.merge_record(base, ours, theirs, (2, 1)) == {"a": 2, "b": 2, "c": 2}


def test_a_record_is_a_line_for_each_field_and_back() -> None:
    for record in records():
        row = record.dictionaries()[0]
        assert from_lines("".join(as_lines(row)).splitlines(keepends=True)) == row
    with pytest.raises(ValueError, match="twice"):
        from_lines(as_lines({"a": 1}) * 2)
