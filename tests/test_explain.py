"""Verdicts as text for people."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergecore import UNSET, Candidate, Policy, Timestamp, Verdict, counter, lww, merge
from mergecore.explain import brief, place, printable, render
from mergecore.paths import Slice


class Address(msgspec.Struct, rename="camel"):
    street_name: str
    zip_code: str = ""


@dataclass
class Person:
    name: str
    address: Address | None = None


def test_a_verdict_says_what_decided_and_what_lost() -> None:
    """The place, the part, the base, the value, the loser with its side and its time."""
    merged = merge({"title": "milk"}, {"title": "oat milk"}, {"title": "soy milk"}, at=(1_000, 2_500))
    assert render(merged.explain()) == "\n".join(
        [
            "title: decided by lww",
            '  base       "milk"',
            '  value      "soy milk"',
            '  lost       "oat milk" (ours at 1970-01-01T00:00:01.000Z)',
        ]
    )


def test_an_open_verdict_lists_its_candidates() -> None:
    """They are the conflict's, which is handed in beside the verdicts."""
    merged = merge({"a": 1}, {"a": 2}, {"a": None})
    assert render(merged.explain(), merged.conflicts).splitlines() == [
        "a: open, nobody has decided",
        "  reason     no times",
        "  base       1",
        "  shown      2",
        "  candidate  2 (ours)",
        "  candidate  null (theirs)",
    ]


def test_an_open_verdict_without_its_conflict_shows_its_value() -> None:
    """The conflicts may be left out."""
    assert "  shown      2" in render(merge({"a": 1}, {"a": 2}, {"a": None}).explain())


def test_equal_changes_and_answers_are_said_in_words() -> None:
    """No part decided them."""
    merged = merge({"a": 1, "b": 1}, {"a": 2, "b": 2}, {"a": 2, "b": 3}).resolve({"b": 9})
    text = render(merged.explain())
    assert "a: both sides say the same" in text
    assert "b: answered" in text


def test_a_part_that_combines_has_no_losers() -> None:
    """Both sides are in the sum."""
    text = render(merge({"n": 1}, {"n": 2}, {"n": 3}, policy=Policy(fields={"n": counter})).explain())
    assert text == "n: decided by counter\n  base       1\n  value      4"


def test_blocks_are_parted_by_an_empty_line() -> None:
    """One block for each verdict, and nothing where there is none."""
    assert render(()) == ""
    merged = merge({"a": 1, "b": 1}, {"a": 2, "b": 2}, {"a": 3, "b": 3})
    assert len(render(merged.explain()).split("\n\n")) == 2


def test_nested_values_say_what_changed_inside() -> None:
    """From the base to each candidate, as deepdiff tells it."""
    base = {"box": {"x": 1, "list": [1, 2]}}
    merged = merge(base, {}, {"box": {"x": 2, "list": [1, 2, 3]}})
    text = render(merged.explain(), merged.conflicts)
    assert "  candidate  (absent) (ours)" in text
    assert "  from base to theirs:" in text
    assert "    Value of root['x'] changed from 1 to 2." in text
    assert "    Item root['list'][2] (3) added to iterable." in text
    assert "  from base to ours:" not in text


def test_what_won_and_what_lost_are_both_compared_with_the_base() -> None:
    """The reader sees what came in and what went."""
    policy = Policy(fields={"tags": lww})
    merged = merge({"tags": [1]}, {"tags": [2]}, {"tags": [3]}, policy=policy, at=(1, 2))
    text = render(merged.explain())
    assert "  from base to the value:\n    Value of root[0] changed from 1 to 3." in text
    assert "  from base to ours:\n    Value of root[0] changed from 1 to 2." in text


def test_of_many_changes_inside_the_first_are_shown() -> None:
    """And the others counted; a long line is cut."""
    lost = Candidate([f"{i}" * 300 for i in range(50)], None, "ours")
    lines = render([Verdict((), "lww", [str(i) for i in range(50)], 1, (lost,), "")]).splitlines()
    assert len(lines) == 26
    assert lines[-1] == "    ... and 30 more"
    assert max(map(len, lines)) == 204


def test_records_are_compared_as_dictionaries_by_encoded_name() -> None:
    """As the fields are named in paths and policies."""
    base = Person("a", Address("High St", "1"))
    theirs = Person("a", Address("Low St", "1"))
    merged = merge(base, Person("a"), theirs)
    text = render(merged.explain(), merged.conflicts)
    assert """Value of root['streetName'] changed from "High St" to "Low St".""" in text
    assert '{"streetName": "Low St", "zipCode": "1"} (theirs)' in text


def test_absent_null_and_empty_are_told_apart() -> None:
    """Three things, in words too."""
    odd: tuple[object, ...] = (UNSET, None, "", {}, [], set())
    assert [brief(value) for value in odd] == ["(absent)", "null", '""', "{}", "[]", "[]"]


def test_a_long_value_is_shortened() -> None:
    """To the width that is asked for, and marked."""
    assert brief("x" * 100, 20) == '"' + "x" * 16 + "..."
    assert len(brief(list(range(100)))) == 60
    assert brief("x" * 18, 20) == '"' + "x" * 18 + '"'


def test_nothing_reaches_the_terminal_that_it_would_obey() -> None:
    """Escape codes, line ends and marks that turn the direction of text are spelled out, in differences too."""
    nasty = "\x1b[31m\r\n\u202e\x9b\ud800"
    merged = merge({nasty: {"a": 1}}, {}, {nasty: {"a": nasty, nasty: 2}})
    text = render(merged.explain(), merged.conflicts)
    assert all(line.isprintable() for line in text.split("\n"))
    assert place((nasty,)) == "\\x1b~231m\\r\\n\\u202e\\x9b\\ud800"
    assert printable("é 😀") == "é 😀"
    assert place(()) == "the record"


class Strange:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compares with nothing")

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "<strange>"


deep: Any = 1
for _ in range(199):
    deep = [deep]


@pytest.mark.parametrize(
    "value",
    [
        {"a": float("nan"), "b": float("inf")},
        [Decimal("NaN"), Decimal("1e400")],
        {1: "a", (1, 2): "b", None: "c", 1.5: "d"},
        {1, "a", None},
        [b"\xff", Strange(), object, len],
        {"a": Strange()},
        10**5000,
        [10**5000],
        deep,
        "\ud800",
        ["\ud800"],
        (1, 2),
        [UNSET],
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("base", [UNSET, None, [], {}, {"a": 1}, [[1]]])
def test_odd_values_do_not_stop_an_explanation(base: Any, value: Any) -> None:
    """Whatever the values are, there is a text about them."""
    lost = (Candidate(value, Timestamp(0, 1, "n"), "ours", "ann"), Candidate(base, None, "theirs"))
    text = render([Verdict(("a", 1, Slice(2, 3), ("k", 2)), "lww", base, value, lost, "because")])
    assert text.startswith('a[1][2:3]["k",2]: decided by lww\n  reason     because\n')
    assert "(ours by ann at 1970-01-01T00:00:00.000Z-0001-n)" in text


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.just(UNSET),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(), below, max_size=3),
    max_leaves=6,
)


@given(values, values, values)
def test_any_verdict_has_an_explanation(base: Any, value: Any, lost: Any) -> None:
    """Drawn values of any nesting."""
    text = render([Verdict((), "lww", base, value, (Candidate(lost, None, "ours"),), "")])
    assert text.startswith("the record: decided by lww")
    assert all(line.isprintable() for line in text.split("\n"))


def test_deepdiff_is_imported_where_nested_values_are_compared_and_only_there() -> None:
    """Importing it takes longer than most merges."""
    code = (
        "import sys; from mergecore import merge; from mergecore.explain import render\n"
        "for value in (1, [1]):\n"
        "    merged = merge({'a': value}, {}, {'a': [2]})\n"
        "    render(merged.explain(), merged.conflicts); print('deepdiff' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False", "True"]
