"""Paths: where in a record something is.

A path is a tuple of steps: a name or a map's key (``str`` in JSON), a list's index or a keyed member's key, a ``Slice``
of the base, the ``ORDER`` of a keyed list. ``()`` is the whole record. The text form is sugar: ``address.zip``,
``items[7].qty``, ``items[2:4]``, ``lines["A-1",2].qty`` for a key of several fields; in names ``~`` ``.`` ``[`` are
written ``~0`` ``~1`` ``~2`` (as in RFC 6901), and an empty name ``~3``. Imports msgspec.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Hashable, Mapping
from enum import Enum
from types import EllipsisType
from typing import Any, TypeAlias, TypeVar

import msgspec

__all__ = ["ANY", "ORDER", "ByPath", "Path", "Slice", "Step", "format_path", "parse_path", "parse_pattern"]

Step: TypeAlias = Hashable
Path: TypeAlias = tuple[Step, ...]

V = TypeVar("V")
ByPath: TypeAlias = Mapping[Any, V]
"""Something for each of some paths, texts or tuples. (Keys of a ``Mapping`` are invariant: a union takes too few.)"""


class Slice(msgspec.Struct, frozen=True, order=True):
    """A run of a sequence's elements, from ``start`` up to ``stop``; empty where something was inserted."""

    start: int
    stop: int


class Order(Enum):
    """The step to what a keyed list has beside its members: their order, a list of keys."""

    ORDER = "<order>"

    def __repr__(self) -> str:
        return "ORDER"


ORDER = Order.ORDER

ANY: EllipsisType = ...
"""The step of a pattern that stands for any step: ``*`` and ``[]`` in text."""

_ESCAPES = {"~": "~0", ".": "~1", "[": "~2"}
_ESCAPED = {code: char for char, code in _ESCAPES.items()} | {"~3": ""}
_TOKEN = re.compile(r"\.?(?P<name>(?:[^.\[~]|~[0-3])+)|\[(?P<item>[^\]]*)\]")
_SLICE = re.compile(r"(\d+):(\d+)", re.ASCII)
_NUMBER = re.compile(r"-?\d+", re.ASCII)


def format_path(path: Path) -> str:
    """The text form of a path; the empty text for ``()``."""
    parts: list[str] = []
    for step in path:
        if isinstance(step, str):
            text = re.sub(r"[~.\[]", lambda m: _ESCAPES[m[0]], step) or "~3"
            parts.append(f".{text}" if parts else text)
        elif step is ANY:
            parts.append("[]")
        elif isinstance(step, Slice):
            parts.append(f"[{step.start}:{step.stop}]")
        elif step is ORDER:
            parts.append(f"[{ORDER.value}]")
        elif isinstance(step, tuple):
            parts.append(f"[{','.join(map(_quoted, step))}]")
        else:
            parts.append(f"[{step}]")
    return "".join(parts)


def _quoted(part: Any) -> str:
    """One field of a key: a number as it is, all else as a JSON string."""
    text = str(part) if isinstance(part, int) else json.dumps(str(part), ensure_ascii=False)
    return text.replace("]", "\\u005d")


def _key(item: str) -> Step:
    """What stands in brackets and is no slice: a number, a key of several fields, or a key that is a text."""
    if _NUMBER.fullmatch(item):
        return int(item)
    if '"' in item or "," in item:
        with contextlib.suppress(ValueError):
            found = json.loads(f"[{item}]")
            if all(isinstance(part, (str, int)) for part in found):
                return tuple(found) if len(found) > 1 else str(found[0])
    return item


def parse_path(text: str | Path) -> Path:
    """The path that ``text`` stands for; a tuple is already one.

    In brackets, digits are a list's index (or an integer key), ``2:4`` is a slice, ``"A-1",2`` a key of several fields,
    anything else a key. Raises ``ValueError`` for text that is no path.
    """
    return _parse(text, pattern=False)


def parse_pattern(text: str | Path) -> Path:
    """Like ``parse_path``, but ``*`` and ``[]`` stand for any step; in a tuple, ``...`` does."""
    return _parse(text, pattern=True)


def _parse(text: str | Path, pattern: bool) -> Path:
    if isinstance(text, tuple):
        return text
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is no path: give a text, or a tuple of steps")
    steps: list[Step] = []
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None or ((at == 0) == text.startswith(".", at) and token["item"] is None):
            raise ValueError(
                f"{text!r} is no path: cannot read on at {text[at:]!r}; a name's ~ . [ are written ~0 ~1 ~2"
            )
        at = token.end()
        name, item = token["name"], token["item"]
        if (item == "" and not pattern) or (pattern and name and len(name) > 1 and not name.strip("*")):
            raise ValueError(f"{text!r} is no path: {token[0]} names no single step; a pattern has [] and * for any")
        if name is not None:
            steps.append(ANY if pattern and name == "*" else re.sub("~[0-3]", lambda m: _ESCAPED[m[0]], name))
        elif item == "":
            steps.append(ANY)
        elif slice_ := _SLICE.fullmatch(item):
            steps.append(Slice(int(slice_[1]), int(slice_[2])))
        elif item == ORDER.value:
            steps.append(ORDER)
        else:
            steps.append(_key(item))
    return tuple(steps)
