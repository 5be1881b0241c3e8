"""What fields a record is made of.

A field is what has writes of its own: each field of a record that is walked by field, at its path (``address.zip``); a
group; and, where a record may be absent or of several classes, one field more that says which. All else is one field,
whatever it contains. Imports ``annotations``, ``errors``, ``history``, ``paths``, ``policy``,
``records``, ``strategies``, ``values`` and ``wire``.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

from .annotations import members_of
from .errors import InvalidInput
from .history import History, ORSet, PNCounter, State
from .paths import Path
from .policy import Rule
from .records import convert, fields_of, is_record, origin
from .strategies import Strategy
from .values import UNSET, as_map
from .wire import Present, tag_of

__all__ = ["Leaf", "Slot", "asks_base", "has_invariant", "kind_of", "leaves_of", "slots_of", "typed"]


class Slot(NamedTuple):
    """One entry of a record: a field, a group of fields, or a record below."""

    key: str
    rule: Rule
    members: tuple[str, ...] = ()
    """Of a group, what it groups."""
    classes: Mapping[str, type] = {}
    """The records with fields of their own that can stand here, by their tags."""
    presence: Rule | None = None
    """What governs which of them does, where that can change: the field at the record's own path."""


class Leaf(NamedTuple):
    """One field of a record in hand."""

    rule: Rule
    value: Any
    based: bool = False
    """Whether its writes keep a base whatever the strategy: where a record checks its fields against each other, and to
    say what an absent record was."""
    foreign: bool = False
    """Whether the model does not know it: its kind is that of what is stored."""


@lru_cache(maxsize=4096)
def slots_of(rule: Rule) -> tuple[Slot, ...]:
    """The entries of a record class; ``rule`` is that of its instances (``Rule.of``)."""
    grouped = {member for group in rule.groups.values() for member in group.members}
    found = [Slot(name, group.rule, members=group.members) for name, group in rule.groups.items()]
    for field in fields_of(rule.type) or ():
        if field.key in grouped:
            continue
        below = rule.child(field.key)
        kinds = members_of(below.type)
        classes = {tag_of(kind): kind for kind in kinds if is_record(kind) and below.of(origin(kind)).by_field}
        by_name = [part for part in below.strategy.parts if part.name in ("lww", "fww", "prefer")]
        presence = below.piece(Any, strategy=Strategy(tuple(by_name))) if classes and len(kinds) > 1 else None
        found.append(Slot(field.key, below, classes=classes, presence=presence))
    return tuple(found)


def leaves_of(rule: Rule, path: Path, record: Any, into: dict[Path, Leaf], based: bool = False) -> None:
    """All fields of a record, and what it has in them; ``UNSET`` where nothing. ``rule`` is that of its class."""
    values = as_map(record) or {}
    based = based or has_invariant(rule)
    for slot in slots_of(rule):
        at = (*path, slot.key)
        if slot.members:
            into[at] = Leaf(slot.rule, {m: values[m] for m in slot.members if m in values} or UNSET, based)
            continue
        value = values.get(slot.key, UNSET)
        here = slot.rule.of(type(value)) if slot.classes and is_record(type(value)) else None
        if slot.presence is not None:
            marker = value if here is None or not here.by_field else Present(tag_of(type(value)))
            into[at] = Leaf(slot.presence, marker, True)
        elif not slot.classes:
            into[at] = Leaf(slot.rule, value, based)
        if here is not None and here.by_field:
            leaves_of(here, at, value, into, based)


def has_invariant(rule: Rule) -> bool:
    """Whether a record's class checks its fields against each other."""
    return hasattr(origin(rule.type), "__post_init__")


def kind_of(rule: Rule) -> type[State]:
    """The kind of a field's state: schema, and so a matter of its type and policy, never of a value.

    A composition's kind is its first part's. What may hold anything else than numbers (sets) is a history.
    """
    first = rule.strategy.parts[0].name if rule.strategy.parts and not rule.is_group else ""
    if first not in ("counter", "add_wins"):
        return History
    takes = (int, float, Decimal) if first == "counter" else (set, frozenset)
    kinds = [origin(kind) for kind in members_of(rule.declared)]
    fits = rule.own if kinds == [Any] else all(isinstance(k, type) and issubclass(k, takes) for k in kinds)
    if not fits or bool in kinds or any(isinstance(k, type) and issubclass(k, Enum) for k in kinds):
        return History
    return PNCounter if first == "counter" else ORSet


def asks_base(rule: Rule, *values: Any) -> bool:
    """Whether the strategy of a field may ask for the common ancestor of these values (``three_way`` of a scalar does
    not).
    """
    found = False
    for value in values:
        if value is UNSET or isinstance(value, Present):
            continue
        here = rule.at(value)
        for part in here.strategy.parts:
            if part.decide is None:
                found = found or (not here.whole and bool(part.opens & _opened(value)))
            elif part.name in ("lww", "fww"):  # in a history there always are times
                break
            else:
                found = found or part.needs_base
    return found


def _opened(value: Any) -> set[str]:
    if as_map(value) is not None:
        return {"map"}
    if isinstance(value, str):
        return {"text"}
    if isinstance(value, (list, tuple)):
        return {"list", "keyed", "map"}
    return {"set"} if isinstance(value, (set, frozenset)) else set()


def typed(rule: Rule, path: Path, value: Any) -> Any:
    """A plain value as one of the field's type. Raises ``InvalidInput`` where it is none."""
    if value is UNSET or rule.declared is Any or isinstance(value, Present):
        return value
    return convert(value, rule.declared, "what is stored", InvalidInput, path)
