"""Paths: tuples that have a text form."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergecore.paths import ANY, ORDER, Path, Slice, format_path, parse_path, parse_pattern

NAMES = st.text(st.sampled_from("ab~.[]*0123:é ,-") | st.characters(codec="utf-8"), max_size=6)
STEPS = st.one_of(
    NAMES,
    st.integers(0, 10**6),
    st.integers(-99, -1),
    st.tuples(st.integers(0, 99), st.integers(1, 9)).map(lambda at: Slice(at[0], at[0] + at[1] - 1)),
    st.lists(NAMES | st.integers(-9, 99), min_size=2, max_size=3).map(tuple),
    st.just(ORDER),
)
PATHS = st.lists(STEPS, max_size=5).map(tuple)


@given(PATHS)
def test_a_path_survives_its_text_form(path: Path) -> None:
    """Names (of any characters, empty too), indexes, keys, slices and the order come back as they were."""
    assert parse_path(format_path(path)) == path


@given(PATHS.filter(bool), PATHS.filter(bool))
def test_different_paths_have_different_texts(a: Path, b: Path) -> None:
    """The text form is one to one on names, indexes and slices."""
    assert (format_path(a) == format_path(b)) == (a == b)


@given(st.lists(STEPS.filter(lambda step: step != "*") | st.just(ANY), max_size=5).map(tuple))
def test_a_pattern_survives_its_text_form(pattern: Path) -> None:
    """In a pattern the step for anything comes back too."""
    assert parse_pattern(format_path(pattern)) == pattern


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", ()),
        ("a", ("a",)),
        ("address.zip", ("address", "zip")),
        ("items[7].qty", ("items", 7, "qty")),
        ("items[2:4]", ("items", Slice(2, 4))),
        ("items[ab-1].qty", ("items", "ab-1", "qty")),
        ("[0][1]", (0, 1)),
        ("[0].a", (0, "a")),
        ("a~1b.c~2d.e~0f", ("a.b", "c[d", "e~f")),
        ("~01", ("~1",)),
        ("~3", ("",)),
        ("a.~3.b", ("a", "", "b")),
        ("a]b", ("a]b",)),
        ("12", ("12",)),
        ("*", ("*",)),
    ],
)
def test_the_text_form_reads_as_documented(text: str, path: Path) -> None:
    """Dots between names, brackets around indexes, keys and slices, ``~0 ~1 ~2`` for ``~ . [``."""
    assert parse_path(text) == path


@pytest.mark.parametrize("text", [".a", "a.", "a..b", ".", "a[", "a[0", "a~b", "a~", "a~9", "a[0]b", "[0]."])
def test_text_that_is_no_path_is_refused_with_the_text(text: str) -> None:
    """The error quotes what it could not read."""
    with pytest.raises(ValueError, match="is no path") as caught:
        parse_path(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("path", [(), ("a.b", 3), ("a", Slice(0, 2)), ("", "~"), (ANY,)])
def test_a_tuple_is_a_path_already(path: Path) -> None:
    """The text form is sugar: what is a tuple is taken as it is."""
    assert parse_path(path) is path
    assert parse_pattern(path) is path


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("items[].qty", ("items", ANY, "qty")),
        ("labels.*", ("labels", ANY)),
        ("*.x", (ANY, "x")),
        ("a*", ("a*",)),
        ("items[3]", ("items", 3)),
    ],
)
def test_a_star_and_empty_brackets_stand_for_any_step(text: str, pattern: Path) -> None:
    """Only a whole step is a wildcard."""
    assert parse_pattern(text) == pattern


def test_a_key_of_several_parts_is_written_with_commas() -> None:
    """Keyed members may have keys of several fields: numbers as they are, texts as in JSON."""
    assert format_path(("items", ("x", 7), "qty")) == 'items["x",7].qty'


def test_equal_texts_of_different_types_are_different_steps() -> None:
    """A name of digits is a name; in brackets digits are an index."""
    a: Any = parse_path("a.7")
    b: Any = parse_path("a[7]")
    assert a == ("a", "7")
    assert b == ("a", 7)


def test_two_places_of_insertion_are_two_paths() -> None:
    """An empty slice is a place between elements, and there are many of them."""
    assert parse_path("notes[2:2]") != parse_path("notes[5:5]")
