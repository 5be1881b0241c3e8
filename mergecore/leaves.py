"""Records in hand as fields: what ``put`` and whole answers are made of.

Imports ``errors``, ``history``, ``layout``, ``paths``, ``policy``, ``reading``, ``records``, ``values``, ``view`` and
``wire``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import AnswerError, InvalidInput, MergeError
from .history import History, ORSet, PNCounter
from .layout import Leaf, Slot, check_class, has_invariant, kind_of, leaf_in, leaves_of, slots_of
from .paths import Path
from .policy import Rule
from .reading import Reading
from .records import as_row, convert, default_of, fields_of, is_record, origin
from .values import UNSET, check_depth
from .view import view
from .wire import PRESENT, plain

__all__ = ["document_leaves", "leaves_at", "leaves_of_record", "own_leaves", "taken"]


def own_leaves(reading: Reading) -> dict[Path, Leaf]:
    """All fields of a version, and what they show; plain, as the model has it."""
    own = leaves_of_record(reading, reading.record, strict=False)
    foreign = reading.binding.foreign
    absent = [path for path in reading.places if own[path].value is not PRESENT]
    for path, state in reading.fields.items():
        if path not in own and not any(path[: len(at)] == at for at in absent):
            value = view(state, foreign, path).stored if isinstance(state, History) else state.value()
            own[path] = Leaf(foreign, value, foreign=True)
    return own


def leaves_of_record(reading: Reading, record: Any, strict: bool = True) -> dict[Path, Leaf]:
    """All fields of a record in hand, plain. ``strict``: the model must take it (else ``InvalidInput``)."""
    model, rule = reading.binding.model, reading.binding.rule
    check_depth(record, "the record")
    into: dict[Path, Leaf] = {}
    if not reading.binding.is_modelled:
        if not isinstance(record, Mapping):
            raise InvalidInput(f"a record is a dictionary or an instance of a model, not a {type(record).__name__}")
        if not rule.whole:
            document_leaves(reading, rule, (), record, into)
    elif not isinstance(record, origin(model)):
        row = as_row(record, fields_of(model) or ())
        if row == {} and not isinstance(record, Mapping):
            raise InvalidInput(f"a {type(record).__name__} has none of the fields of {origin(model).__name__}")
        if strict or rule.whole or not isinstance(row, Mapping):
            record = convert(record, model, "the record")
        if not rule.whole:
            _row_leaves(reading, rule, (), row, into)
    else:
        check_class(record, model, ())
        if strict and reading.binding.checks:
            convert(plain(record), model, "the record")  # an instance can have been changed
        if not rule.whole:
            leaves_of(rule, (), record, into)
    if rule.whole:
        into[()] = Leaf(rule, record)
    return _plain(into)


def _row_leaves(
    reading: Reading, rule: Rule, path: Path, row: Any, into: dict[Path, Leaf], based: bool = False
) -> None:
    """The fields of a record that is given as a mapping: what is missing is unset, whatever its default."""
    row = as_row(row, fields_of(rule.type) or ())
    based = based or has_invariant(rule)
    known: set[str] = set()
    for slot in slots_of(rule):
        at = (*path, slot.key)
        known |= {slot.key, *slot.members}
        if slot.members:
            fact = {m: row[m] for m in slot.members if m in row} or UNSET
            into[at] = Leaf(slot.rule, taken(fact, slot.rule, at), based)
        elif slot.inside is None:
            value = taken(row.get(slot.key, UNSET), slot.rule, at)
            if value is UNSET and kind_of(slot.rule) is not History:  # a count is never unset
                value = plain(default_of(rule.type, slot.key))
            into[at] = leaf_in(rule, slot.key, slot.rule, value, based)
        else:
            _place_leaves(reading, slot, at, row.get(slot.key, UNSET), into, based)
    config = getattr(origin(rule.type), "__struct_config__", None)
    known |= {config.tag_field} if config is not None else set()
    unknown = {key: value for key, value in row.items() if key not in known}
    document_leaves(reading, reading.binding.foreign, path, unknown, into, foreign=True)


def _place_leaves(
    reading: Reading, slot: Slot, path: Path, value: Any, into: dict[Path, Leaf], based: bool = False
) -> None:
    """The fields of what stands where a record with fields of its own can stand: a record, a mapping, or neither."""
    assert slot.inside is not None
    row = value if isinstance(value, Mapping) else None
    if row is None and value is not UNSET:
        value = convert(value, slot.rule.declared, "the new value", InvalidInput, path)
    is_one = row is not None or is_record(type(value))
    if slot.presence is not None:
        into[path] = Leaf(slot.presence, PRESENT if is_one else value)
    if row is not None or (value is UNSET and slot.presence is None):
        _row_leaves(reading, slot.inside, path, row or {}, into, based)
    elif is_one:
        check_class(value, slot.cls, path)
        leaves_of(slot.inside, path, value, into, based)


def document_leaves(
    reading: Reading,
    rule: Rule,
    path: Path,
    record: Mapping[Any, Any],
    into: dict[Path, Leaf],
    foreign: bool = False,
) -> None:
    """The fields of a schemaless record: its keys; where an app that knows more wrote fields below, those.

    ``foreign``: of a part that the model does not know, in which what is missing is left alone.
    """
    groups = () if foreign else slots_of(rule)
    grouped = {member for slot in groups for member in slot.members}
    for slot in groups:
        into[*path, slot.key] = Leaf(slot.rule, {m: record[m] for m in slot.members if m in record} or UNSET)
    stored = [] if foreign else [step for step in reading.steps_below(path) if step not in record]
    for key in [*record, *stored]:
        if type(key) is not str:
            raise InvalidInput(f"{key!r} is no name of a field: the keys of a record are texts", path)
        at = (*path, key)
        if key in grouped or at in into:
            continue
        value, below = record.get(key, UNSET), reading.binding.foreign if foreign else rule.child(key)
        if at not in reading.opened or not (isinstance(value, Mapping) or value is UNSET):
            counted = reading.binding.policy is None and isinstance(reading.fields.get(at), PNCounter | ORSet)
            leaf = Leaf(below, value) if foreign else leaf_in(rule, key, below, value)
            into[at] = leaf._replace(foreign=foreign or counted)
            continue
        if at in reading.fields:
            into[at] = Leaf(below, UNSET if value is UNSET else PRESENT, foreign=foreign)
        if value is not UNSET or at not in reading.fields:
            inside = below if foreign else below.of(dict)
            document_leaves(reading, inside, at, {} if value is UNSET else value, into, foreign)


def leaves_at(reading: Reading, slot: Slot, path: Path, value: Any) -> dict[Path, Leaf]:
    """The fields of a record below that is given as a whole, plain."""
    into: dict[Path, Leaf] = {}
    value = convert(value, slot.rule.declared, "the new value", InvalidInput, path)
    _place_leaves(reading, slot, path, value, into)
    return _plain(into)


def _plain(leaves: dict[Path, Leaf]) -> dict[Path, Leaf]:
    for path, leaf in leaves.items():
        if (value := plain(leaf.value, path)) is not leaf.value:
            leaves[path] = leaf._replace(value=value)
    return leaves


def taken(value: Any, rule: Rule, path: Path, error: type[MergeError] = InvalidInput) -> Any:
    """A value as one of the field's type, plain. Raises ``error`` where it is none."""
    if value is UNSET or value is PRESENT:
        return value
    what = "the answer" if error is AnswerError else "the new value"
    return plain(value if rule.declared is Any else convert(value, rule.declared, what, error, path), path)
