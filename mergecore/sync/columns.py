"""The plain columns of a model's table: projections of the record, for SQL to query and never to write.

A column has no constraint: merged records come in any order, and what a column cannot hold is NULL in it; the version
beside it has it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from msgspec import inspect

from mergecore import InvalidInput

__all__ = ["FIVE", "Projection", "as_json", "projected", "projections", "utc"]

FIVE = ("guid", "date_created", "date_updated", "is_deleted", "is_synchronized")
"""What every record has."""

_NATIVE = (bytes, dt.datetime, dt.date)


class Projection(NamedTuple):
    """A column, and what is put into it."""

    name: str
    type: Any
    of: Callable[[Any], Any]
    """What is put into it, of a value that is not ``None``."""


def projections(model: Any) -> list[Projection]:
    """The columns of a model, a record class; one JSON column, ``record``, where records have no model.

    Raises ``InvalidInput`` for a field with the name of one of the five fields, or of a column of the store's own.
    """
    if not isinstance(model, type):
        return [Projection("record", _JSON, as_json)]
    found: list[Projection] = []
    for field in inspect.type_info(model).fields:  # type: ignore[attr-defined]
        name = field.encode_name
        if name.lower() in FIVE or name.startswith("_"):
            what = "one of the five fields" if name.lower() in FIVE else "a column of the store's own"
            raise InvalidInput(f"{model.__name__} has a field {name!r}, which is {what}: rename it", (name,))
        if twin := next((p.name for p in found if p.name.lower() == name.lower()), None):
            raise InvalidInput(
                f"{model.__name__} has fields {twin!r} and {name!r}, one column to SQL: rename one", (name,)
            )
        found.append(Projection(name, *_column(field.type)))
    return found


def projected(columns: Sequence[Projection], record: Any) -> dict[str, Any]:
    """What is put into the columns of a record."""
    values = {"record": record} if isinstance(record, dict) else _plain(record)
    return {name: None if (value := values.get(name)) is None else of(value) for name, _, of in columns}


def _plain(record: Any) -> dict[str, Any]:
    """A record as a mapping of plain data, dates and bytes as they are."""
    try:
        return msgspec.to_builtins(record, builtin_types=_NATIVE, str_keys=True, enc_hook=str)  # type: ignore[no-any-return]
    except (TypeError, ValueError, OverflowError):  # keys that are no JSON's
        made = _walked(record)
        return made if isinstance(made, dict) else {}


def as_json(value: Any) -> Any:
    """What JSON can hold of a value; what it cannot is a text."""
    try:
        return msgspec.json.decode(msgspec.json.encode(value, enc_hook=str, order="sorted"))
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError):
        return _walked(value)


def _walked(value: Any) -> Any:
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, Mapping):
        return {_storable(str(key)): _walked(x) for key, x in value.items()}
    if isinstance(value, (list, tuple)):
        return [_walked(x) for x in value]
    if isinstance(value, (set, frozenset)):
        return sorted((_walked(x) for x in value), key=repr)
    if isinstance(value, msgspec.Struct):
        return {f.encode_name: _walked(getattr(value, f.name)) for f in msgspec.structs.fields(value)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _walked(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if value is None or isinstance(value, (bool, float)) or (isinstance(value, int) and abs(value) < 1 << 63):
        return value
    try:
        return msgspec.to_builtins(value, enc_hook=str)
    except (TypeError, ValueError, OverflowError):
        return str(value)


def utc(moment: dt.datetime) -> dt.datetime:
    """A moment as columns have it: of UTC, and without a zone (SQLite has none)."""
    if moment.tzinfo is not dt.UTC:
        moment = moment.astimezone(dt.UTC) if moment.utcoffset() is not None else moment
    return moment.replace(tzinfo=None)


def _text(value: Any) -> Any:
    return _storable(value) if isinstance(value, str) else str(value)


def _storable(text: str) -> str:
    """Databases take neither NUL nor lone surrogates."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _integer(value: Any) -> Any:
    return value if isinstance(value, int) and -(1 << 63) <= value < 1 << 63 else None


def _float(value: Any) -> Any:
    return float(value) if isinstance(value, (int, float)) and abs(value) < 1e308 else None


def _moment(value: Any) -> Any:
    return utc(value) if isinstance(value, dt.datetime) else None


def _of(kind: type) -> Callable[[Any], Any]:
    return lambda value: value if isinstance(value, kind) else None


_JSON = sa.JSON(none_as_null=True)

_COLUMNS: dict[type, tuple[Any, Callable[[Any], Any]]] = {
    inspect.StrType: (sa.Text(), _text),
    inspect.UUIDType: (sa.Text(), _text),
    inspect.DecimalType: (sa.Text(), _text),
    inspect.TimeType: (sa.Text(), _text),
    inspect.TimeDeltaType: (sa.Text(), _text),
    inspect.IntType: (sa.BigInteger(), _integer),
    inspect.FloatType: (sa.Double(), _float),
    inspect.BoolType: (sa.Boolean(), _of(bool)),
    inspect.DateTimeType: (sa.DateTime(), _moment),
    inspect.DateType: (sa.Date(), _of(dt.date)),
    inspect.BytesType: (sa.LargeBinary(), _of(bytes)),
}


def _column(kind: inspect.Type) -> tuple[Any, Callable[[Any], Any]]:
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        some = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
        return _column(some[0]) if len(some) == 1 else (_JSON, as_json)
    if isinstance(kind, (inspect.EnumType, inspect.LiteralType)):
        values = [one.value for one in kind.cls] if isinstance(kind, inspect.EnumType) else list(kind.values)
        if all(isinstance(value, str) for value in values):
            return sa.Text(), _text
        if all(type(value) is int for value in values):
            return sa.BigInteger(), _integer
    return _COLUMNS.get(type(kind), (_JSON, as_json))
