"""Reading and building records: the one place that knows what a model's fields are.

Structs and dataclasses are records; a NamedTuple and a TypedDict have declared fields too, but are containers that a
structural strategy opens. Fields go by their encoded names (msgspec's ``rename``). Imports ``msgspec``, the standard
library and ``errors``.
"""

from __future__ import annotations

import contextlib
import datetime
import decimal
import re
import typing
import uuid
from collections.abc import Callable, Mapping
from enum import Enum
from functools import lru_cache
from operator import is_
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET

from .errors import InvalidInput, MergeError
from .paths import Path, parse_path

__all__ = [
    "EVERYDAY",
    "Field",
    "as_is",
    "as_row",
    "build",
    "convert",
    "default_of",
    "fields_of",
    "from_plain",
    "is_record",
    "origin",
    "substitute",
    "text_of",
    "unknown_keys",
    "validate",
    "values_of",
]

_NATIVE = (
    bytes, bytearray, datetime.datetime, datetime.date, datetime.time, datetime.timedelta, uuid.UUID, decimal.Decimal,
)  # fmt: skip

EVERYDAY = frozenset((str, int, bool, float, type(None), bytes))
"""Classes of values that contain nothing, and that need nothing put right."""

_PLAIN: dict[type, Callable[[Any], Any]] = {
    datetime.datetime: lambda value: datetime.datetime.combine(value.date(), value.timetz()),
    datetime.date: lambda value: datetime.date(value.year, value.month, value.day),
    uuid.UUID: lambda value: uuid.UUID(int=value.int),
    decimal.Decimal: decimal.Decimal,
    float: float,
}


class Field(NamedTuple):
    """One field of a model."""

    name: str  # the attribute
    key: str  # the encoded name: what paths and policies say
    type: Any  # with its annotations
    init: bool = True  # false of what the constructor does not take
    required: bool = False  # there is no default


def origin(kind: Any) -> Any:
    """The class behind a type: ``list`` for ``list[int]``, ``Page`` for ``Page[int]``."""
    return kind if isinstance(kind, type) else typing.get_origin(kind) or kind


def is_record(cls: Any) -> bool:
    """True of Struct and dataclass types (or generic aliases of them)."""
    cls = origin(cls)
    return isinstance(cls, type) and (issubclass(cls, msgspec.Struct) or _is_dataclass(cls))


def _is_dataclass(cls: type) -> bool:
    """As ``dataclasses`` does it, which takes long to import and is loaded already by whoever has one."""
    return hasattr(cls, "__dataclass_fields__")


def fields_of(kind: Any) -> tuple[Field, ...] | None:
    """The declared fields of a Struct, dataclass, NamedTuple or TypedDict type; ``None`` of any other type."""
    cls = origin(kind)
    if not isinstance(cls, type):
        return None
    if issubclass(cls, (msgspec.Struct, tuple, dict)) or hasattr(cls, "__dataclass_fields__"):
        try:
            return _fields_of(kind)
        except NameError as error:  # imported for type checkers alone
            unread = f"{cls.__name__} has annotations that cannot be read: {error}; define or import it at run time"
            raise InvalidInput(unread) from error
    return None


@lru_cache(maxsize=1024)
def _fields_of(kind: Any) -> tuple[Field, ...] | None:
    cls = origin(kind)
    if issubclass(cls, msgspec.Struct):
        return tuple(Field(f.name, f.encode_name, f.type, required=f.required) for f in msgspec.structs.fields(kind))
    if _is_dataclass(cls):
        import dataclasses

        hints = typing.get_type_hints(cls, include_extras=True)
        given = dict(zip(getattr(cls, "__parameters__", ()), typing.get_args(kind)))
        return tuple(
            Field(
                f.name, f.name, substitute(hints[f.name], given), f.init,
                f.default is f.default_factory is dataclasses.MISSING,
            )
            for f in dataclasses.fields(cls)
        )  # fmt: skip
    if typing.is_typeddict(cls):
        hints = typing.get_type_hints(cls, include_extras=True)
        return tuple(Field(name, name, _present(hint)) for name, hint in hints.items())
    if names := getattr(cls, "_fields", None):
        hints = typing.get_type_hints(cls, include_extras=True)
        return tuple(Field(name, name, hints.get(name, Any)) for name in names)
    return None


def default_of(kind: Any, key: str) -> Any:
    """The default of a field of a Struct or dataclass; ``UNSET`` where it has none."""
    cls = origin(kind)
    if issubclass(cls, msgspec.Struct):
        fields: Any = msgspec.structs.fields(cls)
        nothing: Any = msgspec.NODEFAULT
    else:
        import dataclasses

        fields, nothing = dataclasses.fields(cls), dataclasses.MISSING
    field = next(f for f in fields if getattr(f, "encode_name", f.name) == key)
    if field.default is not nothing:
        return field.default
    return field.default_factory() if field.default_factory is not nothing else UNSET


def _present(hint: Any) -> Any:
    """The type of a TypedDict's field, without what says whether it has to be there."""
    while typing.get_origin(hint) in (typing.Required, typing.NotRequired):
        hint = typing.get_args(hint)[0]
    return hint


def substitute(kind: Any, given: Mapping[Any, Any]) -> Any:
    """``kind`` with its type variables replaced, where they are given."""
    if isinstance(kind, TypeVar):
        return given.get(kind, Any)
    free = getattr(kind, "__parameters__", ())
    if not given or not free or isinstance(kind, type):
        return kind
    return kind[tuple(given.get(p, Any) for p in free)]


def values_of(record: Any) -> dict[str, Any]:
    """What a record (or a NamedTuple) holds, by encoded name; without the unset fields."""
    fields = fields_of(type(record)) or ()
    return {f.key: value for f in fields if (value := getattr(record, f.name, UNSET)) is not UNSET}


def build(cls: type, values: Mapping[str, Any]) -> Any:
    """A new instance of a record class or NamedTuple; ``values`` by encoded name.

    Runs the class's own ``__init__`` and ``__post_init__``, and so raises what they raise; not those of a dataclass
    with an ``InitVar``, whose value no instance keeps, or with an ``__init__`` that is not the generated one.
    """
    given = [f for f in fields_of(cls) or () if f.key in values]
    bare = _is_built_bare(cls)
    made = object.__new__(cls) if bare else cls(**{f.name: values[f.key] for f in given if f.init})
    for f in given:
        if bare or not f.init:
            object.__setattr__(made, f.name, values[f.key])
    return made


@lru_cache(maxsize=1024)
def _is_built_bare(cls: Any) -> bool:
    if not _is_dataclass(cls):
        return False
    import dataclasses

    init_vars = any(isinstance(hint, dataclasses.InitVar) for hint in typing.get_type_hints(cls).values())
    return init_vars or not getattr(cls, "__dataclass_params__").init  # noqa: B009 - typeshed does not know it


def convert(value: Any, kind: Any, what: str, error: type[MergeError] = InvalidInput, path: Path = ()) -> Any:
    """``value`` (a row, an ORM object, a dictionary, plain JSON) as an instance of ``kind``.

    Raises ``error``, which names ``what`` and the place, where it does not fit. Keys that the model does not know are
    left out, as msgspec does.
    """
    if value is UNSET or (isinstance(kind, type) and is_record(kind) and isinstance(value, kind)):
        return value
    try:
        if fields := fields_of(kind):
            if type(value) is dict:  # most need nothing put right
                with contextlib.suppress(msgspec.ValidationError):
                    return as_is(value, kind)
            value = as_row(value, fields)
        return _converted(value, kind, str_keys=True)
    except msgspec.ValidationError as wrong:
        hint = "; a record that does not exist is UNSET" if value is None and not path else ""
        raise error(f"{what} is no {_name(kind)}: {wrong}{hint}", path + _place(str(wrong))) from wrong
    except Exception as wrong:  # the model's own code runs here, and that of an object's properties
        raise error(f"{what} cannot be converted to {_name(kind)}: {text_of(wrong)}", path) from wrong


def as_is(value: Any, kind: Any) -> Any:
    """A plain value as an instance of ``kind``, with nothing put right on the way. Raises whatever is raised."""
    return _converted(value, kind, str_keys=True)


def from_plain(value: dict[str, Any], kind: Any) -> Any:
    """A record's plain values, none of them unset, as an instance of ``kind``. Raises whatever is raised."""
    return msgspec.convert(value, kind, from_attributes=True, dec_hook=_own_type, str_keys=True)


def validate(value: Any, kind: Any) -> str:
    """What is wrong with a value for a field of type ``kind``: types, ``Meta`` bounds, ``__post_init__``. Empty if
    nothing.
    """
    try:
        _converted(value, kind, builtin_types=_NATIVE)
    except msgspec.ValidationError as error:
        return str(error)
    except (TypeError, NotImplementedError):
        return ""  # a type that msgspec cannot check
    except Exception as error:  # the model's own code
        return text_of(error)
    return ""


def text_of(error: Exception) -> str:
    """What an exception says, or else its name."""
    return str(error) or type(error).__name__


def _converted(value: Any, kind: Any, **how: Any) -> Any:
    """msgspec's conversion, which takes no members of an enum of integers: those go in by their values, on a second
    try.
    """
    value = _plain(value, enums=False)
    try:
        return msgspec.convert(value, kind, from_attributes=True, dec_hook=_own_type, **how)
    except msgspec.ValidationError:
        plainer = _plain(value, enums=True)
        if plainer is value:
            raise
        return msgspec.convert(plainer, kind, from_attributes=True, dec_hook=_own_type, **how)


def _plain(value: Any, enums: bool) -> Any:
    """A value without unset keys, or with its enum members by value; itself where there is nothing to do."""
    if isinstance(value, Enum):
        return value.value if enums else value
    if enums and type(value) not in _PLAIN:  # msgspec knows no subclasses of a datetime, and the like
        for kind, plain in _PLAIN.items():
            if isinstance(value, kind):
                return plain(value)
    if isinstance(value, dict):
        changed: dict[Any, Any] = {}
        for key, held in value.items():
            if type(held) not in EVERYDAY and ((plain := _plain(held, enums)) is not held or held is UNSET):
                changed[key] = plain
        names = {k: k if type(k) is str else _plain(k, enums) for k in value}
        if not changed and all(map(is_, names, names.values())):
            return value
        return {names[k]: new for k, held in value.items() if (new := changed.get(k, held)) is not UNSET}
    if type(value) in (list, tuple, set, frozenset):
        items = [v if type(v) in EVERYDAY else _plain(v, enums) for v in value]
        return value if all(map(is_, items, value)) else type(value)(items)
    return value


def _own_type(kind: type, value: Any) -> Any:
    """A class that msgspec does not know takes its own instances."""
    kind = origin(kind)
    if isinstance(value, kind):
        return value
    raise msgspec.ValidationError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


def _place(message: str) -> Path:
    """Where msgspec says that something is wrong (``at `$.items[0].qty```), up to a key that it does not name."""
    found = re.search(r"at `\$(.*)`$", message)
    try:
        return parse_path(found[1].partition("[...]")[0].removeprefix(".")) if found else ()
    except ValueError:  # a name that holds what separates names
        return ()


def unknown_keys(value: Any, raw: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of the keys in ``raw`` (plain JSON) that the model behind ``value``, converted from it, does not know."""
    cls = type(value)
    found: list[tuple[Any, ...]] = []
    if is_record(cls) and isinstance(raw, dict):
        fields = {f.key: f.name for f in fields_of(cls) or ()}
        tag = getattr(getattr(cls, "__struct_config__", None), "tag_field", None)
        for key, below in raw.items():
            if key in fields:
                found += unknown_keys(getattr(value, fields[key], UNSET), below, (*path, key))
            elif key != tag:
                found.append((*path, key))
    elif is_record(cls) and isinstance(raw, list):  # array_like: the tag, then the fields by place
        tagged = getattr(getattr(cls, "__struct_config__", None), "tag", None) is not None
        found += [(*path, i) for i in range(len(fields_of(cls) or ()) + tagged, len(raw))]
    elif isinstance(value, dict) and isinstance(raw, dict):
        # Converted keys (integers, dates) stand in the order of the raw ones.
        named = value if len(value) < len(raw) else dict(zip(raw, value.values()))
        for key, below in raw.items():
            found += unknown_keys(named[key], below, (*path, key)) if key in named else [(*path, key)]
    elif isinstance(value, (list, tuple)) and isinstance(raw, list):
        for i, (one, below) in enumerate(zip(value, raw)):
            found += unknown_keys(one, below, (*path, i))
    return found


def as_row(value: Any, fields: tuple[Field, ...]) -> Any:
    """A row or an object with attributes as a dictionary by encoded name; SQL's 0 and 1 as booleans."""
    if isinstance(value, (str, bytes, int, float, list, tuple, type(None))):
        return value
    if isinstance(value, Mapping) or (hasattr(value, "__getitem__") and callable(getattr(value, "keys", None))):
        row = {key: value[key] for key in value.keys()}  # noqa: SIM118 - sqlite3.Row is no mapping
    else:
        row = {f.key: getattr(value, f.name) for f in fields if hasattr(value, f.name)}
    for f in fields:
        held = row.get(f.key)
        if type(held) is int and held in (0, 1) and validate(held, f.type) and not validate(bool(held), f.type):
            row[f.key] = bool(held)
    return row


def _name(kind: Any) -> str:
    if typing.get_origin(kind) is typing.Annotated:
        kind = kind.__origin__
    return getattr(kind, "__name__", None) or str(kind)
