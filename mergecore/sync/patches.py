"""What a client that speaks JSON means by it: a patch, a whole record put back, a value of a type."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

import msgspec

from mergecore import InvalidInput

from .columns import as_json

__all__ = ["converted", "patched", "put_back"]


def patched(record: Any, patch: Mapping[str, Any], path: tuple[Any, ...] = ()) -> Any:
    """A record with a JSON Merge Patch (RFC 7396) in it: what the patch does not name stays what it is.

    Null takes a key of a mapping away, and makes a field of a model ``None``. Raises ``InvalidInput``, with the path.
    """
    if not _is_record(record):
        made = dict(record) if isinstance(record, Mapping) else {}
        for key, value in patch.items():
            if value is None:
                made.pop(key, None)
            else:
                made[key] = patched(made.get(key), value, (*path, key)) if isinstance(value, Mapping) else value
        return made
    fields, changes = _fields_of(type(record)), dict[str, Any]()
    for key, value in patch.items():
        at = (*path, key)
        if key not in fields:
            raise InvalidInput("there is no such field", at)
        name, kind = fields[key]
        there = getattr(record, name)
        if isinstance(value, Mapping) and _is_record(there):
            changes[name] = patched(there, value, at)
        else:
            changes[name] = converted(patched(there, value, at) if isinstance(value, Mapping) else value, kind, at)
    replace: Any = msgspec.structs.replace if isinstance(record, msgspec.Struct) else dataclasses.replace
    try:
        return replace(record, **changes)
    except (TypeError, ValueError) as error:  # what the model checks by itself
        raise InvalidInput(str(error), path) from error


def put_back(data: Any, shown: Any) -> Any:
    """Plain data of a client, who was shown ``shown`` as JSON: what he left as it was is what it was."""
    if isinstance(data, Mapping) and isinstance(shown, Mapping):
        return {key: put_back(value, shown[key]) if key in shown else value for key, value in data.items()}
    return shown if as_json(shown) == data else data


def converted(value: Any, kind: Any, path: tuple[Any, ...] = ()) -> Any:
    """Plain data as a value of a type. Raises ``InvalidInput``, with the path; for a field that is none, too."""
    try:
        made = msgspec.convert(value, kind)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise InvalidInput(f"the model does not take this: {error}", path) from error
    if unknown := _unknown(value, made, path):
        raise InvalidInput("there is no such field", unknown)
    return made


def _is_record(value: Any) -> bool:
    return isinstance(value, msgspec.Struct) or (dataclasses.is_dataclass(value) and not isinstance(value, type))


def _fields_of(cls: Any) -> dict[str, tuple[str, Any]]:
    """The attribute and the type of each field, by its encoded name."""
    if issubclass(cls, msgspec.Struct):
        return {f.encode_name: (f.name, f.type) for f in msgspec.structs.fields(cls)}
    hints = typing.get_type_hints(cls, include_extras=True)
    return {f.name: (f.name, hints[f.name]) for f in dataclasses.fields(cls)}


def _unknown(data: Any, record: Any, path: tuple[Any, ...]) -> tuple[Any, ...]:
    """Where plain data says something that the record made of it does not; ``()`` where it says nothing of the kind."""
    if not _is_record(record) or not isinstance(data, Mapping):
        return ()
    fields = _fields_of(type(record))
    for key, value in data.items():
        if key not in fields:
            return (*path, key)
        if found := _unknown(value, getattr(record, fields[key][0]), (*path, key)):
            return found
    return ()
