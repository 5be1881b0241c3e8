"""Reading types: what stands in their annotations, and the type of what is below.

Imports ``paths``, ``records`` and ``strategies``.
"""

from __future__ import annotations

import collections.abc
import types
import typing
from functools import lru_cache
from typing import Annotated, Any, TypeVar, get_args, get_origin

from .paths import Step
from .records import fields_of, is_record, origin
from .strategies import FACTORIES, as_strategy

__all__ = ["declared_at", "fixed_tuple", "is_list", "item_of", "marks_in", "member_for", "members_of", "steps_of"]

T = TypeVar("T")


def _unwrapped(kind: Any) -> tuple[Any, list[Any]]:
    """A type without what stands around it (``Annotated``, ``Required``, an alias ...), and its annotations."""
    found: list[Any] = []
    while type(kind) is not type:
        form = get_origin(kind)
        if form is Annotated:
            found += kind.__metadata__
            kind = kind.__origin__
        elif form in (typing.Required, typing.NotRequired, typing.Final, typing.ClassVar):
            kind = get_args(kind)[0]
        elif hasattr(kind, "__supertype__"):
            kind = kind.__supertype__
        elif type(kind).__name__ == "TypeAliasType":
            kind = kind.__value__
        elif isinstance(kind, typing.TypeVar):
            kind = kind.__bound__ or Any
        else:
            break
    return kind, found


def members_of(kind: Any) -> list[Any]:
    """The types of a union, each without its annotations; of any other type, itself."""
    kind, _ = _unwrapped(kind)
    if type(kind) is not type and get_origin(kind) in (typing.Union, types.UnionType):
        return [one for member in get_args(kind) for one in members_of(member)]
    return [kind]


def marks_in(kind: Any, of: type[T]) -> list[T]:
    """What of mergecore's stands in a type's annotations, or in those of a union's members."""
    kind, annotations = _unwrapped(kind)
    for mark in annotations:
        if any(mark is factory for factory in FACTORIES):
            as_strategy(mark)  # says how it is written
    found = [mark for mark in annotations if isinstance(mark, of)]
    if not found and get_origin(kind) in (typing.Union, types.UnionType):
        found = [mark for member in get_args(kind) for mark in marks_in(member, of)]
    return found


def member_for(kind: Any, cls: type) -> Any:
    """The member of a declared type that instances of ``cls`` belong to; a record is always its own class."""
    for one in members_of(kind):
        base = origin(one)
        if typing.is_typeddict(base):
            if issubclass(cls, dict):
                return one
        elif base is cls or (isinstance(base, type) and base is not object and issubclass(cls, base)):
            return one if base is cls or not is_record(cls) else cls
    return cls if is_record(cls) or hasattr(cls, "_fields") else Any


def declared_at(kind: Any, step: Step) -> Any:
    """The type of a named field, or of a fixed tuple's place; ``None`` where ``step`` is not declared."""
    if fields_of(kind) is not None:
        return _types_of(kind).get(step)
    args = fixed_tuple(kind)
    return args[step] if args and isinstance(step, int) and 0 <= step < len(args) else None


@lru_cache(maxsize=1024)
def _types_of(kind: Any) -> dict[Step, Any]:
    """The types of the fields of a record class, by their keys."""
    return {field.key: field.type for field in fields_of(kind) or ()}


def steps_of(kind: Any) -> set[Step]:
    """The steps below a type that are declared: of a record its fields, of a fixed tuple its places."""
    return {*(field.key for field in fields_of(kind) or ()), *range(len(fixed_tuple(kind) or ()))}


def fixed_tuple(kind: Any) -> tuple[Any, ...] | None:
    """The places of ``tuple[X, Y]``; ``None`` of ``tuple[X, ...]`` and all else."""
    args = get_args(kind)
    return args if origin(kind) is tuple and args and args[-1] is not Ellipsis else None


def item_of(kind: Any) -> Any:
    """The type of a container's elements or values; ``Any`` where it does not say, ``None`` where it has none."""
    base, args = origin(kind), get_args(kind)
    if kind is Any or kind is object:
        return Any
    if isinstance(base, type) and issubclass(base, collections.abc.Mapping):
        return args[1] if len(args) == 2 else Any
    return (args[0] if args else Any) if is_list(kind) else None


def is_list(kind: Any) -> bool:
    """True of the types of lists, tuples and sets."""
    base = origin(kind)
    return (
        isinstance(base, type)
        and issubclass(base, collections.abc.Collection)
        and not issubclass(base, (str, bytes, collections.abc.Mapping))
    )
