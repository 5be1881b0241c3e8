"""JSON text: what is kept of it, what is refused, and how records are spelled."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergecore import UNSET
from mergecore.jsontext import NotJSON, Number, Style, builtins, read, respelled, to_text, unspelled, write

texts = st.text(st.characters()) | st.sampled_from(
    ['": ', ",", '\\":', "\\u00e9", "{\n", "a\r\n", "\ud800", "\U0001f600"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda below: st.lists(below) | st.dictionaries(texts, below),
    max_leaves=20,
)
newlines = st.sampled_from(["\n", "\r\n"])


@given(
    values, st.sampled_from([",", ", "]), st.sampled_from([":", ": ", " : "]), st.booleans(), st.text(" \n", max_size=2)
)
def test_a_document_on_one_line_is_written_as_it_was_read(
    value: Any, comma: str, colon: str, escaped: bool, tail: str
) -> None:
    """Every document that ``json.dumps`` gives comes back byte for byte."""
    text = json.dumps(value, separators=(comma, colon), ensure_ascii=escaped)
    data = text.encode("utf-8", "backslashreplace") + tail.encode()
    assert write(*read(data)) == data


@given(
    values, st.sampled_from(["", " ", "  ", "    ", "\t"]), st.sampled_from([":", ": ", " : "]), newlines, st.booleans()
)
def test_an_indented_document_is_written_as_it_was_read(
    value: Any, indent: str, colon: str, newline: str, bom: bool
) -> None:
    """So does every indented one, with its line ends and its byte order mark."""
    text = json.dumps(value, indent=indent, separators=(",", colon), ensure_ascii=False) + "\n"
    data = (b"\xef\xbb\xbf" if bom else b"") + text.replace("\n", newline).encode("utf-8", "backslashreplace")
    assert write(*read(data)) == data


@given(values)
def test_what_is_read_is_what_was_written(value: Any) -> None:
    """Keeping the text of numbers takes nothing from their value."""
    assert read(to_text(value).encode("utf-8", "backslashreplace"))[0] == json.loads(
        json.dumps(value), parse_float=Decimal
    )


@pytest.mark.parametrize(
    "text", ["1.10", "1e3", "1E+3", "-0", "-0.0", "0.1000", "12345678901234567890", "1e400", "-1e-400", "0e0"]
)
def test_a_number_keeps_its_text(text: str) -> None:
    """Whatever the spelling, it is written as it was read."""
    value, style = read(text.encode())
    assert write(value, style) == text.encode()
    assert value == Decimal(text)


def test_numbers_are_compared_exactly() -> None:
    """Two numbers that one float stands for are two numbers."""
    assert read(b"1.10")[0] == read(b"1.1")[0]
    assert read(b"0.1000000000000000000001")[0] != read(b"0.1")[0]
    assert read(b"1e400")[0] != read(b"1e401")[0]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('{"a": 1,\n "b": 2}', '{\n  "a": 1,\n  "b": 2\n}'),
        ('{ "a":   1 , "b":[] }', '{"a": 1 , "b": []}'),
        ("\n [1,2]\n\n", "[1,2]\n\n"),
        ('{\n\n    "a": [1, {}]}', '{\n    "a": [\n        1,\n        {}\n    ]\n}'),
        ('["\\u0001", "\\u00e9"]', '["\\u0001", "\\u00e9"]'),
        ('["\\u0001", "\\/"]', '["\\u0001", "/"]'),
    ],
)
def test_other_white_space_is_set_in_order(text: str, written: str) -> None:
    """What no single style can say is written in the nearest one."""
    assert write(*read(text.encode())) == written.encode()


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        (b"", "line 1, column 1"),
        (b'{"a":\n  }', "line 2, column 3"),
        (b'{"a": 1} x', "Extra data"),
        (b'{"a": "\n"}', "control character"),
        (b'\xef\xbb\xbf\xef\xbb\xbf{"a": 1}', "BOM"),
        (b'{"x": {"a\\"b": 1, "c": 2, "a\\"b": 1}}', r'the key "a\"b" twice'),
        (b"[NaN]", "NaN"),
        (b"[-Infinity]", "-Infinity"),
        (b"[" * 201 + b"]" * 201, "deeper than 200"),
        (b"[" * 100_000, "deeper than 200"),
        (b'{"a": "\xff"}', "byte 0xff at offset 7"),
        (b'\xef\xbb\xbf"\xed\xa0\x80"', "byte 0xed at offset 4"),
        (b"1" * 5000, "integer of 5000 digits"),
        (b"1e" + b"9" * 30, "out of any range"),
    ],
)
def test_what_cannot_be_read_whole_is_refused(data: bytes, wrong: str) -> None:
    """The message says what is wrong and where, on one line, and what to do."""
    with pytest.raises(NotJSON) as caught:
        read(data)
    assert wrong in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_200_levels_can_be_read() -> None:
    """The bound is the one of ``merge()``."""
    data = b"[" * 200 + b"]" * 200
    assert write(*read(data)) == data


def test_unspelled_numbers_are_plain() -> None:
    """msgspec's converter takes no subclasses of decimals."""
    found = unspelled(read(b'{"a": [1.50, -0, 3, "x"]}')[0])["a"]
    assert found == [Decimal("1.5"), 0, 3, "x"]
    assert list(map(type, found)) == [Decimal, int, int, str]


# ------------------------------------------------------------------------------------------ records


class Colour(Enum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: int


class Circle(msgspec.Struct, frozen=True, tag="circle", rename="upper"):
    at: Point
    note: str | msgspec.UnsetType = UNSET


class Pair(msgspec.Struct, array_like=True, tag=True):
    a: int
    b: float


@dataclass(frozen=True)
class Marked:
    on: dt.date
    colour: Colour


class Odd:
    def __repr__(self) -> str:
        return "<odd>"


def test_builtins_are_what_msgspec_encodes() -> None:
    """Tags, renamed fields, arrays, enums, dates: as in the JSON that msgspec itself would give."""
    value = {
        1: Circle(Point(1, 2)),
        Colour.RED: [Pair(1, 2.5)],
        dt.date(2024, 2, 29): Marked(dt.date(2024, 1, 1), Colour.RED),
        "raw": b"12",
        "none": None,
    }
    assert builtins(value) == msgspec.json.decode(msgspec.json.encode(value))


def test_builtins_of_sets_are_in_canonical_order() -> None:
    """Elements that Python does not order, too."""
    assert builtins({1, "a", 2.5, None}) == builtins(frozenset({None, 2.5, "a", 1}))
    assert builtins({Circle(Point(2, 1)), Circle(Point(1, 1))}) == [
        {"type": "circle", "AT": [1, 1]},
        {"type": "circle", "AT": [2, 1]},
    ]


def test_builtins_take_anything() -> None:
    """What msgspec does not know is its ``repr``; decimals and spelled numbers stay what they are."""
    assert builtins([Odd(), Number("1.10"), Decimal("2.50")]) == ["<odd>", Decimal("1.10"), Decimal("2.50")]


def spelled(value: Any, *texts: str) -> str:
    """``value`` in the words of documents whose values are their plain numbers."""
    return to_text(respelled(value, [(json.loads(text), read(text.encode())[0]) for text in texts]))


def test_what_a_document_says_alike_keeps_its_spelling() -> None:
    """The first document that does is taken."""
    assert spelled({"a": 1.1}, '{"a": 1.10}', '{"a": 1.100}') == '{"a": 1.10}'
    assert spelled({"a": 1.1}, '{"a": 2}', '{"a": 1.100}') == '{"a": 1.100}'
    assert spelled({"a": 1.1}, '{"a": 2}') == '{"a": 1.1}'


def test_the_order_of_keys_is_that_of_the_first_document() -> None:
    """What it does not have comes after, in the order of the others."""
    assert spelled({"a": 1, "b": 2, "c": 3, "d": 4}, '{"d": 4, "a": 0}', '{"c": 3, "d": 4}') == (
        '{"d": 4, "a": 1, "c": 3, "b": 2}'
    )


def test_a_default_that_a_document_leaves_out_stays_out() -> None:
    """``UNSET`` is how a document says a field that it leaves to the model's default; other values are written."""
    spelling = ({"a": 1, "b": 2}, {"a": 1})
    assert respelled({"a": 5, "b": 2}, [spelling]) == {"a": 5}
    assert respelled({"a": 5, "b": 3}, [spelling]) == {"a": 5, "b": 3}


def test_elements_of_lists_keep_their_spelling() -> None:
    """Where elements came, went and changed, too."""
    document = '[2.0, {"p": 1.10, "q": 1}, 3.00, 4.00]'
    assert spelled([{"q": 2, "p": 1.1}, 3.0, 4.0, 5.0], document) == '[{"q": 2, "p": 1.1}, 3.00, 4.00, 5.0]'
    assert spelled([2.0, {"q": 2, "p": 1.1}, 3.0, 4.0, 5.0], document) == '[2.0, {"p": 1.10, "q": 2}, 3.00, 4.00, 5.0]'


def test_a_decimal_is_written_as_the_documents_write_it() -> None:
    """msgspec takes decimals as numbers and as strings."""
    assert respelled(Decimal("2.20"), [(Decimal("1.10"), "1.10")]) == "2.20"
    assert to_text(respelled(Decimal("2.20"), [(Decimal("1.10"), Number("1.10"))])) == "2.20"
    assert to_text(Decimal("NaN")) == '"NaN"'


def test_a_style_of_its_own_is_plain() -> None:
    """What nothing is said of is one line, as ``json.dumps`` gives it."""
    assert write({"a": [1, "é"]}, Style()) == '{"a": [1, "é"]}'.encode()


def test_the_text_of_sets_is_the_same_in_any_process() -> None:
    """Python's order of texts in a set depends on a seed; the text does not."""
    code = "from mergecore.jsontext import *; print(to_text(builtins({'a', 'b', 'c', 1, (1, 'x')})))"
    found = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True, timeout=60
        ).stdout
        for seed in "0123"
    }
    assert len(found) == 1
