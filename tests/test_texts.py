"""Texts: pieces that make them up, and hunks between git's markers."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_sequence import longest

from mergecore.diff import Block, Indexed
from mergecore.texts import UNITS, Unit, _changes, marked, split

AWKWARD = st.text(
    st.sampled_from("aé_1 \t\r\n.,\u0301\u200d\ufe0f\u1100\u1161\u11a8가각\u0e33नम\u094dस\u093f日本カ\ufeff\u2028\x0b")
    | st.sampled_from("👩👧🏽🇩🇪❤\u0600\U000e0067\U000e007f\x00")
    | st.characters(),
    max_size=12,
)


@given(AWKWARD, st.sampled_from(UNITS))
def test_the_pieces_of_a_text_make_it_up(text: str, unit: Unit) -> None:
    """In every unit, and none of them is empty."""
    pieces = split(text, unit)
    assert "".join(pieces) == text
    assert all(pieces)


@given(AWKWARD)
def test_no_word_ends_within_a_character(text: str) -> None:
    """What splits words splits characters, too."""
    ends = {unit: {sum(map(len, pieces[:n])) for n in range(len(pieces) + 1)} for unit, pieces in _pieces(text)}
    assert ends["word"] <= ends["char"]


def _pieces(text: str) -> list[tuple[str, list[str]]]:
    return [(unit, split(text, unit)) for unit in UNITS]


@given(AWKWARD)
def test_no_grapheme_is_split(text: str) -> None:
    """By the judgement of the package regex, where it is installed."""
    regex = pytest.importorskip("regex", reason="Graphemes are judged by the package regex, which is not installed.")
    ends, at = set[int](), 0
    for cluster in regex.findall(r"\X", text):
        at += len(cluster)
        ends.add(at)
    at = 0
    for piece in split(text, "char"):
        at += len(piece)
        assert at in ends, f"{text!r} is split at {at}"


@pytest.mark.parametrize(
    ("text", "unit", "pieces"),
    [
        ("", "line", []),
        ("a\nb", "line", ["a\n", "b"]),
        ("a\r\nb\rc\n\n", "line", ["a\r\n", "b\rc\n", "\n"]),
        ("a\u2028b\x0bc\x0cd", "line", ["a\u2028b\x0bc\x0cd"]),
        ("\ufeffa\n", "line", ["\ufeffa\n"]),
        ("Oat milk,  2 l\r\n", "word", ["Oat", " ", "milk", ",", "  ", "2", " ", "l", "\r\n"]),
        ("snake_case it's", "word", ["snake_case", " ", "it", "'", "s"]),
        ("Käse für e\u0301te\u0301", "word", ["Käse", " ", "für", " ", "e\u0301te\u0301"]),
        ("牛奶 カフェ", "word", ["牛", "奶", " ", "カ", "フ", "ェ"]),
        ("e\u0301a\r\n", "char", ["e\u0301", "a", "\r\n"]),
        ("👩‍👧👍🏽🇩🇪🇫🇷❤️", "char", ["👩‍👧", "👍🏽", "🇩🇪", "🇫🇷", "❤️"]),
        ("각\u1100\u1161\u11a8", "char", ["각\u1100\u1161\u11a8"]),
        ("\rx\n", "char", ["\r", "x", "\n"]),
        ("\u0915\u094d\u0301\u0937a", "char", ["\u0915\u094d\u0301\u0937", "a"]),
    ],
)
def test_pieces_are_what_people_take_for_them(text: str, unit: Unit, pieces: list[str]) -> None:
    """Lines as git has them; words with their accents; characters that nobody would split."""
    assert split(text, unit) == pieces


WORDS = st.lists(st.sampled_from(["a", "b", "c", "d1", "e", " ", " ", " ", ", ", "\n", "!"]), max_size=40).map("".join)


@given(WORDS, WORDS)
def test_all_words_are_matched_that_can_be(base: str, side: str) -> None:
    """As many as the longest common subsequence of words has; and what is matched between words is equal, too."""
    a, b = split(base, "word"), split(side, "word")
    count = i = j = 0
    for start, stop, at, to, searched in (*_changes(Indexed(a), b, "word"), Block(len(a), len(a), len(b), len(b))):
        assert a[i:start] == b[j:at] and searched
        count, i, j = count + sum(piece.isalnum() for piece in a[i:start]), stop, to
    assert count == longest([piece for piece in a if piece.isalnum()], [piece for piece in b if piece.isalnum()])


MARKED = """\
1
<<<<<<< mine
2a
=======
2b
>>>>>>> yours
3
4
5
6
7c
"""


def test_a_conflict_stands_between_its_markers() -> None:
    """What ours and theirs say; with the base where that is asked for."""
    base, ours, theirs = "1\n2\n3\n4\n5\n6\n7\n", "1\n2a\n3\n4\n5\n6\n7\n", "1\n2b\n3\n4\n5\n6\n7c\n"
    names = ("mine", "old", "yours")
    assert marked(base, ours, theirs, "merge", names) == (MARKED, 1)
    with_base = MARKED.replace("=======", "||||||| old\n2\n=======")
    assert marked(base, ours, theirs, "diff3", names) == marked(base, ours, theirs, "zdiff3", names) == (with_base, 1)


def test_what_a_conflict_begins_and_ends_with_on_both_sides_is_no_part_of_it() -> None:
    """In ``zdiff3``; ``diff3`` shows it."""
    base, ours, theirs = "x\n", "a\nb\nc\n", "a\nB\nc\n"
    assert marked(base, ours, theirs, "zdiff3")[0].startswith("a\n<<<<<<< ours\nb\n||||||| base\nx\n=======\nB\n")
    assert marked(base, ours, theirs, "diff3")[0].startswith("<<<<<<< ours\na\nb\nc\n||||||| base\n")


def test_a_long_text_of_one_character_is_split_in_linear_time() -> None:
    """Flags, joiners and marks in a row, a hundred thousand of each."""
    started = time.monotonic()
    for text in ("🇩" * 100_000, "a" + "\u0301" * 100_000, "👩\u200d" * 50_000, "\u1100" * 100_000, "é" * 1_000_000):
        assert "".join(split(text, "char")) == "".join(split(text, "word")) == text
    assert time.monotonic() - started < 30
