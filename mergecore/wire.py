"""Values as histories keep them, and their bytes.

A history keeps *plain* values: what JSON has, bytes, sets, dates, decimals, UUIDs. Models stay outside, so that a hub
that does not know them joins the same versions to the same bytes. The bytes are MessagePack, with extension types for
what it lacks; equal spellings give equal bytes. Imports msgspec, the standard library, ``errors``, ``paths``,
``records`` and ``values``.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from typing import Any, Final

import msgspec
from msgspec import UNSET
from msgspec.msgpack import Ext

from .errors import InvalidInput, TooDeep
from .paths import Path
from .records import is_record
from .values import MAX_DEPTH, as_map

__all__ = ["ATOMS", "PRESENT", "pack", "packed", "plain", "unpack", "wired"]


class Presence(Enum):
    """What a field holds whose place is taken by a record with fields of its own."""

    PRESENT = "<record>"

    def __repr__(self) -> str:
        return "PRESENT"


PRESENT = Presence.PRESENT

ATOMS: Final = frozenset((
    str, int, bool, float, type(None), bytes, dt.date, dt.datetime, dt.time, dt.timedelta, Decimal, uuid.UUID, Presence,
))  # fmt: skip
_SIMPLE: Final = ATOMS - {dt.datetime}
_BASES: Final = (str, dt.datetime, dt.date, dt.time, dt.timedelta, Decimal, uuid.UUID, float, int)


def plain(value: Any, path: Path = (), depth: int = 0) -> Any:
    """A value without models, enums and tuples; nothing of it is shared with ``value`` but what cannot change.

    Raises ``InvalidInput``, with the place, for an object that no encoding knows, and ``TooDeep`` of its kind.
    """
    kind = type(value)
    if kind is dt.datetime:
        zoned = value.tzinfo is not None and type(value.tzinfo) is not dt.timezone
        return value.replace(tzinfo=dt.timezone(value.utcoffset()), fold=0) if zoned else value  # no rules of a zone
    if kind in ATOMS or value is UNSET:
        return value
    if depth > MAX_DEPTH:
        raise TooDeep(f"nests deeper than {MAX_DEPTH} levels; nothing was written", path[:8])
    if (kind is list or kind is set) and _SIMPLE.issuperset(map(type, value)):
        return value.copy()
    if isinstance(value, (list, tuple)) and not hasattr(kind, "_fields"):
        return [
            below if type(below) in _SIMPLE else plain(below, (*path, i), depth + 1) for i, below in enumerate(value)
        ]
    if isinstance(value, (set, frozenset)):
        elements = [_hashable(plain(below, path, depth + 1)) for below in value]
        return set(elements)
    if isinstance(value, Enum):
        return plain(value.value, path, depth + 1)
    if (fields := as_map(value)) is not None:
        if hasattr(kind, "_fields"):  # a NamedTuple
            return [plain(below, (*path, key), depth + 1) for key, below in fields.items()]
        made = {
            _key(key): below if type(below) in _SIMPLE else plain(below, (*path, key), depth + 1)
            for key, below in fields.items()
            if below is not UNSET
        }
        return _as_encoded(kind, made) if is_record(kind) else made
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    for base in _BASES:
        if isinstance(value, base):
            return _exact(value, base)
    raise InvalidInput(f"is a {kind.__qualname__}, which cannot be stored: give a value that msgspec encodes", path)


def _key(key: Any) -> Any:
    """A key of a map; one that is a tuple or an enum, too."""
    return _hashable(plain(key)) if type(key) is not str else key


def _hashable(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_hashable, value))
    if isinstance(value, set):
        return frozenset(value)
    if isinstance(value, dict):
        raise InvalidInput("a set holds a record, which cannot be stored: give a list, or keyed objects")
    return value


def _exact(value: Any, base: type) -> Any:
    """An instance of a subclass as one of the class that every app knows."""
    if base is dt.datetime:
        return plain(dt.datetime.combine(value.date(), value.timetz()))
    if base is dt.date:
        return dt.date(value.year, value.month, value.day)
    if base is dt.time:
        return value.replace()
    if base is dt.timedelta:
        return dt.timedelta(value.days, value.seconds, value.microseconds)
    return uuid.UUID(int=value.int) if base is uuid.UUID else base(value)


def _as_encoded(kind: type, fields: dict[str, Any]) -> Any:
    """A record within a value as msgspec would read it: with its tag, or by place."""
    config = getattr(kind, "__struct_config__", None)
    if config is None:
        return fields
    if config.array_like:
        names = [f.encode_name for f in msgspec.structs.fields(kind)]
        if fields.keys() != set(names[: len(fields)]):
            raise InvalidInput(f"a {kind.__qualname__} is an array, in which no field but the last ones can be unset")
        return ([config.tag] if config.tag is not None else []) + [fields[name] for name in names[: len(fields)]]
    return fields if config.tag is None else {config.tag_field: config.tag, **fields}


# ---- bytes

(
    _SET, _FROZENSET, _DATE, _DATETIME, _TIME, _DELTA, _DECIMAL, _UUID,
    _INT, _MAP, _TUPLE, _PRESENT, _TEXT, _UNSET,
) = range(1, 15)  # fmt: skip

packed = msgspec.msgpack.Encoder().encode
"""The bytes of what is ``wired``. Raises ``UnicodeEncodeError`` for a text that UTF-8 cannot write."""


def pack(value: Any) -> bytes:
    """The bytes of a plain value, the same for all that is spelled the same; a set is in the order of the bytes."""
    try:
        return packed(wired(value))
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can say
        return packed(wired(value, odd_texts=True))


def wired(value: Any, odd_texts: bool = False) -> Any:
    """A plain value as MessagePack has it."""
    kind = type(value)
    if kind is str:
        return _text(value) if odd_texts else value
    if kind is int:
        small = -(1 << 63) <= value < 1 << 64
        return value if small else Ext(_INT, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
    if kind is bool or kind is float or value is None or kind is bytes:
        return value
    if kind is list:
        return [wired(below, odd_texts) for below in value]
    if kind is dict:
        if all(type(key) is str for key in value) and not odd_texts:
            return {key: wired(below) for key, below in value.items()}
        pairs = [[wired(key, odd_texts), wired(below, odd_texts)] for key, below in value.items()]
        return Ext(_MAP, packed(pairs))
    if kind in _EXTENSIONS:
        code, write = _EXTENSIONS[kind]
        return Ext(code, write(value))
    if value is UNSET:
        return Ext(_UNSET, b"")
    raise InvalidInput(f"{kind.__qualname__} cannot be stored")


def _text(value: str) -> Any:
    try:
        value.encode()
    except UnicodeEncodeError:
        return Ext(_TEXT, value.encode("utf-8", "surrogatepass"))
    return value


def _elements(value: Any) -> bytes:
    return packed([wired(below, odd_texts=True) for below in sorted(value, key=pack)])


def _moment(value: dt.datetime) -> str:
    """ISO 8601, and what Python does not read back from that: an offset that has parts of a second, and ``fold``."""
    offset, fold = value.utcoffset(), "f" * value.fold
    if offset is None or not offset.microseconds:
        return value.isoformat() + fold
    return f"{value.replace(tzinfo=None).isoformat()}@{offset // dt.timedelta(microseconds=1)}{fold}"


def _read_moment(text: str) -> dt.datetime:
    moment, _, micros = text.removesuffix("f").partition("@")
    read = dt.datetime.fromisoformat(moment).replace(fold=text.endswith("f"))
    return read.replace(tzinfo=dt.timezone(dt.timedelta(microseconds=int(micros)))) if micros else read


def _read_time(text: str) -> dt.time:
    return dt.time.fromisoformat(text.removesuffix("f")).replace(fold=text.endswith("f"))


_EXTENSIONS: dict[type, tuple[int, Callable[[Any], bytes]]] = {
    set: (_SET, _elements),
    frozenset: (_FROZENSET, _elements),
    tuple: (_TUPLE, lambda value: packed([wired(below, odd_texts=True) for below in value])),
    dt.date: (_DATE, lambda value: value.isoformat().encode()),
    dt.datetime: (_DATETIME, lambda value: _moment(value).encode()),
    dt.time: (_TIME, lambda value: (value.isoformat() + "f" * value.fold).encode()),
    dt.timedelta: (_DELTA, lambda value: packed([value.days, value.seconds, value.microseconds])),
    Decimal: (_DECIMAL, lambda value: str(value).encode()),
    uuid.UUID: (_UUID, lambda value: value.bytes),
    Presence: (_PRESENT, lambda value: b""),
}


def unpack(data: bytes) -> Any:
    """The plain value that ``data`` stands for. Raises ``InvalidInput`` for bytes that ``pack`` did not make."""
    try:
        return _decode(data)
    except InvalidInput:
        raise
    except RecursionError:
        raise InvalidInput(f"the bytes nest deeper than {MAX_DEPTH} levels") from None
    except Exception as error:
        raise InvalidInput(f"these are no bytes of a value: {error}") from error


def _read(code: int, payload: memoryview) -> Any:
    reader = _READERS.get(code)
    if reader is None:
        raise InvalidInput(f"these bytes hold an extension type {code}, which this version of mergecore does not know")
    return reader(payload)


_decode = msgspec.msgpack.Decoder(ext_hook=_read).decode

_READERS: Final[dict[int, Callable[[memoryview], Any]]] = {
    _SET: lambda data: set(map(_hashable, _decode(data))),
    _FROZENSET: lambda data: frozenset(map(_hashable, _decode(data))),
    _TUPLE: lambda data: tuple(map(_hashable, _decode(data))),
    _DATE: lambda data: dt.date.fromisoformat(str(data, "ascii")),
    _DATETIME: lambda data: _read_moment(str(data, "ascii")),
    _TIME: lambda data: _read_time(str(data, "ascii")),
    _DELTA: lambda data: dt.timedelta(*_decode(data)),
    _DECIMAL: lambda data: Decimal(str(data, "ascii")),
    _UUID: lambda data: uuid.UUID(bytes=bytes(data)),
    _INT: lambda data: int.from_bytes(data, "big", signed=True),
    _MAP: lambda data: {_hashable(key): below for key, below in _decode(data)},
    _PRESENT: lambda data: PRESENT,
    _TEXT: lambda data: str(data, "utf-8", "surrogatepass"),
    _UNSET: lambda data: UNSET,
}
