"""How two values of a field are compared, which its type decides: as expressions of Python, for generated code.

Imports ``annotations`` and ``records``.
"""

from __future__ import annotations

import datetime as dt
import typing
import uuid
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, TypeAlias

import msgspec

from .annotations import members_of
from .records import fields_of, is_record, origin

__all__ = ["CHANGED", "EXACT", "REALLY", "SPELLED", "Kind", "compares", "kind_of_type", "literals_of"]

Kind: TypeAlias = Literal["exact", "float", "moment", "map", "spelled", "any"]
"""How two values of a field are compared, which its type decides:

- ``exact``: by ``==``, where the type holds no two values that are equal and spelled otherwise (texts, bytes, integers,
  booleans, dates, UUIDs, enums, ``None``; lists and sets of such).
- ``float``: by ``==``, the class, and of zeros the sign. ``moment`` (``datetime``, ``time``): by ``==`` and the zone.
- ``map``: by ``==`` and the order of keys.
- ``spelled``: strictly, by ``values.same``, where the type admits both ``True`` and ``1``, NaN within something,
  decimals, and whatever else may be equal and spelled otherwise.
- ``any``: strictly, and after a check that the values can be compared at all, since the type says nothing of them.
"""

CHANGED: dict[Kind, str] = {
    "exact": "{p} != {q}",
    "float": "{p} is not {q} and ({p} != {q} or type({p}) is not type({q}) or not {p} and unlike({p}, {q}))",
    "moment": "{p} is not {q} and ({p} != {q} or {p}.tzinfo is not {q}.tzinfo or {p}.fold != {q}.fold)",
    "map": "{p} is not {q} and ({p} != {q} or [*{p}] != [*{q}])",
    "spelled": "{p} is not {q} and ({p} != {q} or unlike({p}, {q}))",
}
"""Whether ``p`` is spelled otherwise than ``q``. Where that says yes too often, the walk is asked."""

SPELLED: dict[Kind, str] = {
    "float": "type({p}) is type({q}) and ({p} or not unlike({p}, {q}))",
    "moment": "({p} is {q} or {p}.tzinfo is {q}.tzinfo and {p}.fold == {q}.fold)",
    "map": "({p} is {q} or [*{p}] == [*{q}])",
}
"""Whether ``p`` and ``q``, which are equal, are spelled alike."""

REALLY: dict[Kind, str] = {
    "exact": "",
    "float": " and o != b and t != b and b == b and o == o and t == t",
    "moment": " and o != b and t != b",
}
"""What of changed values has to hold besides, for the change to be one of values, and not of spelling alone."""

EXACT = (str, bytes, int, bool, type(None), dt.date, dt.timedelta, uuid.UUID, msgspec.UnsetType)


def kind_of_type(declared: Any, known: dict[Any, Kind] | None = None) -> Kind:
    """How values of a declared type are compared. ``known``: of records, what was found; of those that contain what is
    being looked at, ``any``.
    """
    known = {} if known is None else known
    members = members_of(declared)
    kinds = {_kind_of_member(one, known) for one in members}
    if "any" in kinds:
        return "any"
    classes = {origin(type(v)) for one in members for v in literals_of(one)} | {origin(one) for one in members}
    others = classes - {type(None), msgspec.UnsetType, Literal}
    if len({next((kin for kin in _KIN if issubclass(cls, kin)), cls) for cls in others}) < len(others):
        return "spelled"  # True and 1, 1 and 1.0, a text and a member of an enum that is one
    if kinds == {"exact"}:
        return "exact"
    for kind in ("float", "moment", "map"):
        if kinds <= {kind, "exact"} and (kind == "float" or len(others) == 1):
            return kind
    return "spelled"


_KIN: tuple[Any, ...] = ((int, float), str, bytes, (set, frozenset), list, tuple, dict, dt.date)
"""What can be equal though its classes are not the same."""


def literals_of(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind) if typing.get_origin(kind) is Literal else ()


def _kind_of_member(kind: Any, known: dict[Any, Kind]) -> Kind:
    cls, args = origin(kind), typing.get_args(kind)
    if kind is None or cls in EXACT or cls is Literal:
        return "exact"
    if cls is float:
        return "float"
    if cls in (dt.datetime, dt.time):
        return "moment"
    if not isinstance(cls, type):
        return "any"
    if issubclass(cls, Enum):
        own = (object, int, str)
        is_usual = cls.__eq__ in [one.__eq__ for one in own] and cls.__ne__ in [one.__ne__ for one in own]
        return "exact" if is_usual else "spelled"
    if cls in (list, set, frozenset, tuple) and args:
        below = {kind_of_type(arg, known) for arg in args if arg is not Ellipsis}
        return "any" if "any" in below else "exact" if below == {"exact"} else "spelled"
    if cls is dict and args:
        below = {kind_of_type(arg, known) for arg in args}
        return "any" if "any" in below else "map" if below == {"exact"} else "spelled"
    if is_record(cls):  # or an instance of a subclass, of which nothing is known
        if kind not in known:
            known[kind] = "any"
            below = {kind_of_type(field.type, known) for field in fields_of(kind) or ()}
            known[kind] = "any" if "any" in below else "spelled"
        return known[kind]
    return "spelled" if cls is Decimal else "any"


def compares(cls: type) -> bool:
    """Whether ``==`` of records compares their classes and fields, and nothing of a class's own."""
    return issubclass(cls, msgspec.Struct) and cls.__struct_config__.eq and cls.__eq__ is msgspec.Struct.__eq__
