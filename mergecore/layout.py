"""What fields a record is made of.

A field is what has writes of its own: each field of a record that is walked by field, at its path (``address.zip``); a
group; and, where a record may be absent, one field more that says whether it is. All else is one field, whatever it
contains: a place for records of several classes, too, since fields of one name may there be of two kinds. Imports
``annotations``, ``errors``, ``history``, ``paths``, ``policy``, ``records``, ``strategies``, ``values`` and ``wire``.
"""

from __future__ import annotations

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
from .wire import PRESENT, plain

__all__ = [
    "Leaf",
    "Slot",
    "asks_base",
    "check_class",
    "has_invariant",
    "kind_of",
    "leaf_in",
    "leaves_of",
    "mismatch",
    "slots_of",
    "typed",
]


class Slot(NamedTuple):
    """One entry of a record: a field, a group of fields, or a record below."""

    key: str
    rule: Rule
    members: tuple[str, ...] = ()
    """Of a group, what it groups."""
    cls: Any = None
    """The record with fields of its own that stands here."""
    inside: Rule | None = None
    """What governs that record."""
    presence: Rule | None = None
    """What governs whether it does, where something else can: the field at the record's own path."""
    required: bool = False
    """Whether the model says nothing of what stands here where nothing was written."""


class Leaf(NamedTuple):
    """One field of a record in hand, or of what a commit writes; its value is plain there."""

    rule: Rule
    value: Any
    based: bool = False
    """Whether its writes keep a base whatever the strategy: where a record checks its fields against each other, and to
    say what a column was that means deletion."""
    runs: bool = True
    """Whether a node's next write may go on with its last one: not where each says by itself what there was before."""
    foreign: bool = False
    """Whether the model does not know it: its kind is that of what is stored."""
    base: tuple[Any] | None = None
    """Of a change whose author was looking at a plain record, what that had."""


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
        records = [kind for kind in kinds if is_record(kind)]
        cls = records[0] if len(records) == 1 and below.of(origin(records[0])).by_field else None
        if cls is None:
            found.append(Slot(field.key, below))
            continue
        by_stamp = [part for part in below.strategy.parts if part.name in ("lww", "fww", "prefer")]
        presence = below.piece(Any, strategy=Strategy(tuple(by_stamp))) if len(kinds) > 1 else None
        found.append(Slot(field.key, below, (), cls, below.of(origin(cls)), presence, field.required))
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
        if slot.inside is None:
            into[at] = leaf_in(rule, slot.key, slot.rule, value, based)
            continue
        if slot.presence is not None:
            into[at] = Leaf(slot.presence, PRESENT if is_record(type(value)) else value)
        if is_record(type(value)):
            check_class(value, slot.cls, at)
            leaves_of(slot.inside, at, value, into, based)


def leaf_in(record: Rule, key: str, rule: Rule, value: Any, based: bool = False) -> Leaf:
    """A field of a record; its column that means deletion keeps what there was before."""
    deletes = key == record.deleted
    return Leaf(rule, value, based or deletes, not deletes)


def check_class(record: Any, cls: Any, path: Path) -> None:
    """Raises ``InvalidInput`` for an instance of a subclass, which has fields that the model does not say."""
    if type(record) is not origin(cls):
        found, wanted = type(record).__qualname__, origin(cls).__qualname__
        raise InvalidInput(f"is a {found}, where the model has a {wanted}: nothing would read its other fields", path)


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


def mismatch(state: State, rule: Rule) -> str:
    """What keeps a field from being written by a rule: that it is stored with another kind or depth. Else empty."""
    kind = kind_of(rule)
    if state.kind != kind.kind:
        told = f"is stored as a {state.kind}, and the policy makes it a {kind.kind}"
        return f"{told}: whether a field is a counter, a set or neither is schema, and stays"
    if isinstance(state, History) and state.depth != rule.depth:
        return f"is stored with depth {state.depth}, and the policy says {rule.depth}"
    return ""


def asks_base(rule: Rule, *values: Any) -> bool:
    """Whether the strategy of a field may ask for the common ancestor of these values (``three_way`` of a scalar does
    not).
    """
    found = False
    for value in values:
        if value is UNSET or value is PRESENT:
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
    """A plain value as one of the field's type, sharing nothing with it. Raises ``InvalidInput`` where it is none."""
    value = plain(value)
    if value is UNSET or rule.declared is Any or value is PRESENT:
        return value
    return convert(value, rule.declared, "what is stored", InvalidInput, path)
