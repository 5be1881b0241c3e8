"""JSON text: read so that nothing of it gets lost, written back as its author had it.

Numbers keep their text (``1.10``, ``1e3``, ``-0``) and are exact; a ``Style`` is what a document looks like apart from
its value; ``respelled`` puts a record in the words of documents that it comes from. Imports ``errors``, ``records``,
``sequence`` and ``values``.
"""

from __future__ import annotations

import codecs
import itertools
import json
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple, NoReturn, TypeAlias

import msgspec

from .diff import Indexed
from .errors import TooDeep
from .records import is_record
from .sequence import Diff
from .values import MAX_DEPTH, UNSET, as_map, canonical, check_depth, identity, same

__all__ = ["NotJSON", "Number", "Style", "builtins", "read", "respelled", "to_text", "unspelled", "write"]


class NotJSON(ValueError):
    """Bytes that are no JSON document, or one that would lose something on its way; the message says what to do."""


class Number(Decimal):
    """A number that keeps its text, and is otherwise the decimal that it stands for."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Number:
        made = super().__new__(cls, text)
        made.text = text
        return made

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


class Style(NamedTuple):
    """What a document looks like, apart from its value."""

    indent: str | None = None  # None: all on one line
    comma: str = ", "
    colon: str = ": "
    escaped: bool = False  # characters beyond ASCII are written \uXXXX
    newline: str = "\n"
    tail: str = ""
    bom: bytes = b""


_PLAIN = Style()


def read(data: bytes) -> tuple[Any, Style]:
    """The value and the style of a document in UTF-8. Raises ``NotJSON``, for doubled keys and too deep nesting too."""
    bom = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
    try:
        text = data[len(bom) :].decode()
        value = json.loads(
            text, parse_int=_integer, parse_float=_decimal, parse_constant=_constant, object_pairs_hook=_object
        )
        check_depth(value, "the document")
    except UnicodeDecodeError as wrong:
        at = len(bom) + wrong.start
        raise NotJSON(f"is not UTF-8 (byte 0x{data[at]:02x} at offset {at}); save it as UTF-8") from None
    except json.JSONDecodeError as wrong:
        raise NotJSON(f"is not JSON (line {wrong.lineno}, column {wrong.colno}: {wrong.msg}); correct it") from None
    except (RecursionError, TooDeep):
        raise NotJSON(f"nests deeper than {MAX_DEPTH} levels; make it flatter") from None
    return value, _style(text, bom)


def _integer(text: str) -> int | Number:
    try:
        return Number(text) if text == "-0" else int(text)
    except ValueError:  # sys.get_int_max_str_digits()
        raise NotJSON(f"has an integer of {len(text)} digits ({text[:9]}...); write it as a string") from None


def _decimal(text: str) -> Number:
    try:
        return Number(text)
    except InvalidOperation:
        raise NotJSON(f"has a number out of any range ({text[:30]}); write it as a string") from None


def _constant(text: str) -> NoReturn:
    raise NotJSON(f"holds {text}, which is no JSON; write null or a string")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise NotJSON(f"has the key {json.dumps(twice, ensure_ascii=False)} twice in one object; remove one of the two")
    return made


_SEPARATOR = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[:,]')
"""A string, to step over it, or a colon or comma."""


def _style(text: str, bom: bytes) -> Style:
    def separator(sign: str) -> str:
        at = next((m.start() for m in _SEPARATOR.finditer(text) if m[0] == sign), None)
        return "" if at is None else f"{' ' * (text[at - 1] == ' ')}{sign}{' ' * (text[at + 1] == ' ')}"

    newline = "\r\n" if "\r\n" in text else "\n"
    text = text.replace("\r\n", "\n")
    body = text.strip()
    opened = re.search(r"[\[{]\s*\n([ \t]*)", body)
    indent = opened[1] if opened else "  " if "\n" in body else None
    comma, colon = separator(","), separator(":")
    comma = comma or ("," if colon.endswith(":") else ", ")
    colon = colon or (":" if comma == "," and indent is None else ": ")
    escaped = text.isascii() and re.search(r"\\u(?!00[01])", text) is not None
    return Style(indent, comma, colon, escaped, newline, text[len(text.rstrip()) :], bom)


def write(value: Any, style: Style) -> bytes:
    """The document of a value made of JSON's own types, in ``style``."""
    text = to_text(value, style) + style.tail
    # Alone, a surrogate cannot be encoded; its escape is what JSON has for it.
    return style.bom + text.replace("\n", style.newline).encode("utf-8", "backslashreplace")


def to_text(value: Any, style: Style = _PLAIN, margin: str = "") -> str:
    """The same as text, without the tail; lines are parted by ``\\n``."""
    if isinstance(value, dict):
        items = [
            f"{to_text(key, style)}{style.colon}{to_text(v, style, _inside(margin, style))}" for key, v in value.items()
        ]
        return _bracketed("{", items, "}", style, margin)
    if isinstance(value, (list, tuple)):
        return _bracketed("[", [to_text(v, style, _inside(margin, style)) for v in value], "]", style, margin)
    if isinstance(value, Decimal) and value.is_finite():
        return str(value)
    return json.dumps(str(value) if isinstance(value, Decimal) else value, ensure_ascii=style.escaped)


def _inside(margin: str, style: Style) -> str:
    return margin + (style.indent or "")


def _bracketed(opening: str, items: list[str], closing: str, style: Style, margin: str) -> str:
    if style.indent is None or not items:
        return opening + style.comma.join(items) + closing
    inside = f"\n{margin}{style.indent}"
    return f"{opening}{inside}{f'{style.comma.rstrip()}{inside}'.join(items)}\n{margin}{closing}"


# ------------------------------------------------------------------------------------------ records, in and out


def unspelled(value: Any) -> Any:
    """A document that was read, with plain numbers in it, as msgspec's converter takes them."""
    if isinstance(value, dict):
        return {key: unspelled(below) for key, below in value.items()}
    if isinstance(value, list):
        return [unspelled(below) for below in value]
    if isinstance(value, Number):
        return 0 if value.text == "-0" else Decimal(value)
    return value


class _Elements(list[Any]):
    """A set's elements: what stands where in it says nothing."""


def builtins(value: Any) -> Any:
    """A value in JSON's own types, as msgspec encodes it, but for decimals, which stay numbers.

    Sets come in canonical order, so that the text is the same in any process; what msgspec does not know comes as its
    ``repr``.
    """
    if isinstance(value, (set, frozenset)):
        return _Elements(sorted(map(builtins, value), key=canonical))
    if isinstance(value, (list, tuple)):  # a NamedTuple is an array in JSON
        return [builtins(below) for below in value]
    if isinstance(value, dict):
        return {str(builtins(key)): builtins(below) for key, below in value.items() if below is not UNSET}
    if is_record(type(value)):
        fields = builtins(as_map(value))
        config = getattr(value, "__struct_config__", None)
        tagged = {} if config is None or config.tag is None else {config.tag_field: config.tag}
        return list((tagged | fields).values()) if config is not None and config.array_like else tagged | fields
    try:
        return msgspec.to_builtins(value, builtin_types=(Decimal, Number))
    except Exception:  # of another's class, and for people's eyes then: it must not fail
        return repr(value)


Spelling: TypeAlias = tuple[Any, Any]
"""A value as ``builtins`` gives it, and how a document says it: ``UNSET`` where it leaves it to a default."""


def respelled(value: Any, spellings: Sequence[Spelling]) -> Any:
    """A value (of ``builtins``) in the words of documents that say the same or something near it, the first that does.

    From them come the texts of numbers, the order of keys, and which defaults are left out (``UNSET``). A set is looked
    for as a whole alone.
    """
    for known, spelled in spellings:
        if same(known, value):
            return spelled
    if isinstance(value, dict):
        maps = [
            (known, spelled) for known, spelled in spellings if isinstance(known, dict) and isinstance(spelled, dict)
        ]
        found: dict[str, Any] = {}
        for key in dict.fromkeys([*itertools.chain(*[spelled for _, spelled in maps]), *value]):
            if key in value:
                inside = [(known[key], spelled.get(key, UNSET)) for known, spelled in maps if key in known]
                if (below := respelled(value[key], inside)) is not UNSET:
                    found[key] = below
        return found
    if isinstance(value, list) and not isinstance(value, _Elements):
        places: list[list[Spelling]] = [[] for _ in value]
        for known, spelled in spellings:
            if isinstance(known, list) and isinstance(spelled, list) and len(known) == len(spelled):
                diff = Diff(Indexed([identity(x) for x in known]), [identity(x) for x in value])
                for i, j in enumerate(diff.edits(diff.blocks, 0, len(known), 0).fate):
                    if j is not None:
                        places[j].append((known[i], spelled[i]))
        return [respelled(below, inside) for below, inside in zip(value, places)]
    if isinstance(value, Decimal) and spellings and isinstance(spellings[0][1], str):
        return str(value)  # msgspec takes decimals as numbers and as strings
    return value
