"""Equality and order of values.

*Equality* decides whether somebody changed something: missing, ``None`` and empty are three things, a boolean never
equals a number, ``1`` equals ``1.0``, NaN equals NaN, maps compare without regard to the order of their keys. The
*canonical order* is finer: total on spellings, so that every tie has one winner on every device. Both are linear in the
size of the values. Imports ``errors``, ``paths`` and ``records``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from decimal import Decimal
from enum import Enum, Flag
from itertools import zip_longest
from operator import countOf
from typing import Any, NamedTuple, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from .errors import InvalidInput, TooDeep
from .paths import Path, Step
from .records import EVERYDAY, is_record, values_of

__all__ = [
    "MAX_DEPTH",
    "UNSET",
    "Kinds",
    "Number",
    "Sides",
    "UnsetType",
    "as_map",
    "canonical",
    "check_depth",
    "check_value",
    "equal",
    "identity",
    "is_number",
    "is_plain",
    "larger",
    "same",
    "shape",
]

MAX_DEPTH = 200
"""Levels of nesting that a merge takes on; deeper values are refused before any work."""

Number: TypeAlias = int | float | Decimal

_END = object()
_BYTES = (bytearray, memoryview, msgspec.Raw)
_ATOMS = frozenset((str, bytes, type(None), bool, int))


def is_number(value: object) -> bool:
    """True of ints, floats and decimals; not of booleans and enum members, which are no numbers here."""
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, (bool, Enum))


def as_map(value: Any) -> dict[Any, Any] | None:
    """A dictionary itself, a record's fields by encoded name without the unset ones; ``None`` of anything else."""
    if isinstance(value, dict):
        return value
    cls = type(value)
    if cls in _ATOMS:
        return None
    if is_record(cls) or (isinstance(value, tuple) and hasattr(cls, "_fields")):
        return values_of(value)
    return None


def shape(value: Any) -> Any:
    """What a value is to a merge: ``dict``, ``list``, ``tuple``, ``set`` or a subclass of these; else its class."""
    cls = type(value)
    if cls in _ATOMS:
        return cls
    for kind in (dict, list, set):
        if isinstance(value, kind):
            return kind
    return tuple if isinstance(value, tuple) and not hasattr(cls, "_fields") else cls


class Sides(NamedTuple):
    """What stands in one place: in the common ancestor, here, there. ``UNSET`` where nothing does."""

    base: Any
    ours: Any
    theirs: Any

    def each(self, function: Callable[[Any], Any]) -> Sides:
        """The function's answer for each of the three."""
        return Sides(function(self.base), function(self.ours), function(self.theirs))

    def below(self, step: Step) -> Sides:
        """Of three dictionaries, what they have under one key."""
        return Sides(self.base.get(step, UNSET), self.ours.get(step, UNSET), self.theirs.get(step, UNSET))

    def as_maps(self) -> Sides:
        """Three dictionaries, of maps or records; that of a base of another kind is empty."""
        kind = shape(self.ours)
        return self.each(lambda side: (as_map(side) or {}) if shape(side) is kind else {})


def equal(a: Any, b: Any) -> bool:
    """True where nobody would say that anything changed from ``a`` to ``b``."""
    if a is b:
        return True
    if a is UNSET or b is UNSET:
        return False
    kind = type(a)
    if kind is type(b):
        if kind in _ATOMS:
            return bool(a == b)
        if kind is dict:
            if len(a) != len(b):
                return False
            for key, below in a.items():
                if key not in b or not equal(below, b[key]):
                    return False
            return True
        if kind is list or kind is tuple:
            if len(a) != len(b):
                return False
            for below, other in zip(a, b):
                if below is not other and not equal(below, other):
                    return False
            return True
        if is_record(kind):
            return equal(values_of(a), values_of(b))
    elif kind is bool or type(b) is bool:
        return False
    try:
        return bool(identity(a) == identity(b))
    except Exception:  # their own code, as that of an array's number beside a list
        return False


def identity(value: Any) -> Hashable:
    """A hashable form: two values have the same one exactly where they are ``equal``.

    That of a map is a tuple, its keys being sorted where they can be: of sets in sets Python compares members of one
    hash (as ``0`` and ``""``, ``-1`` and ``-2``) again and again, at each level.
    """
    kind = type(value)
    if kind is str or kind is int or kind is bytes or value is None or value is UNSET:
        return value  # type: ignore[no-any-return]
    if kind is bool:
        return (bool, value)
    if isinstance(value, Enum):
        return (kind, _member(value))
    if isinstance(value, (int, float, Decimal)):
        return ("nan",) if _is_nan(value) else value
    if isinstance(value, (set, frozenset)):
        return ("set", frozenset([identity(below) for below in value]))
    if (fields := as_map(value)) is not None:
        named = "map" if isinstance(value, dict) else kind
        try:
            keys = sorted(fields, key=None if {str}.issuperset(map(type, fields)) else _family)
        except Exception:  # keys that have no order
            return (named, frozenset([(key, identity(below)) for key, below in fields.items()]))
        return (named, *[part for key in keys for part in (key, identity(fields[key]))])
    if isinstance(value, (list, tuple)):
        return ("list" if isinstance(value, list) else "tuple", *[identity(below) for below in value])
    if isinstance(value, _BYTES):
        return (kind, bytes(value))
    return value  # type: ignore[no-any-return]


def _family(key: Any) -> tuple[int, Any]:
    """What the keys of a map are sorted by: equal ones by equal ones. Raises for keys that have no order."""
    if isinstance(key, tuple):
        return 3, tuple(map(_family, key))
    if key is None:
        return 4, 0
    if key != key or not isinstance(key, (str, bytes, int, float, Decimal)):
        raise TypeError
    return (0 if isinstance(key, str) else 1 if isinstance(key, bytes) else 2), key


def _member(value: Enum) -> str | int:
    """What tells an enum's member: flags may have none of the names."""
    return value.value if isinstance(value, Flag) else value.name


def canonical(value: Any) -> tuple[tuple[str, str], ...]:
    """The sort key of the canonical order: by type, then by text (order of keys included); ``UNSET`` is the smallest.

    Flat, since Python compares nested tuples by recursion.
    """
    return ((type(value).__qualname__, _text(value)),) if type(value) in _ATOMS else tuple(_tokens(value))


def _tokens(value: Any) -> Iterator[tuple[str, str]]:
    todo = [value]
    while todo:
        value = todo.pop()
        kind = type(value)
        name = kind.__qualname__
        below: list[Any] | None = None
        if kind in _ATOMS:
            yield name, _text(value)
        elif value is UNSET:
            yield "", ""
        elif value is _END:
            yield "", "end"  # before whatever a longer container goes on with
        elif isinstance(value, Enum):
            yield name, str(_member(value))
        elif (fields := as_map(value)) is not None:
            below = [part for pair in fields.items() for part in pair]
        elif isinstance(value, (list, tuple)):
            below = list(value)
        elif isinstance(value, (set, frozenset)):
            yield name, ""
            yield from (part for element in sorted(map(canonical, value)) for part in element)
            yield "", "end"
        else:
            yield name, _text(value)
        if below is not None:
            yield name, ""
            todo += [_END, *reversed(below)]


def _text(value: Any) -> str:
    if isinstance(value, (str, Decimal)):
        return str(value)
    if isinstance(value, int) and value.bit_length() > 10_000:  # more digits than repr() writes
        return f"{value:x}"
    return repr(bytes(value) if isinstance(value, _BYTES) else value)


def same(a: Any, b: Any) -> bool:
    """True where two values are spelled alike: ``equal`` and indistinguishable, the order of keys included."""
    if a is b:
        return True
    kind = type(a)
    if kind is not type(b):
        return False
    if kind in _ATOMS:
        return bool(a == b)
    if kind is float:
        return repr(a) == repr(b) if not a or a != a else bool(a == b)  # zero has two spellings
    if kind is dict or kind is list:
        if len(a) != len(b):
            return False
        if kind is dict:
            for (key, below), (other, beside) in zip(a.items(), b.items()):
                if not same(key, other) or not same(below, beside):
                    return False
            return True
        for below, beside in zip(a, b):
            if below is not beside and not same(below, beside):
                return False
        return True
    return canonical(a) == canonical(b)


def larger(a: Any, b: Any) -> Any:
    """Of two values the one that wins a tie: the larger in the canonical order. Looks no further than it has to."""
    if a is b:
        return a
    for mine, other in zip_longest(_tokens(a), _tokens(b), fillvalue=()):
        if mine != other:
            return a if mine > other else b
    return a


Kinds: TypeAlias = dict[int, tuple[list[Any], frozenset[type]]]
"""Lists that hold no containers, and the types of their elements, by the list's ``id``."""


def is_plain(kinds: Kinds, *lists: Any) -> bool:
    """True where Python compares all elements as ``equal`` does, and equal ones are spelled alike."""
    found: set[type] = set()
    for elements in lists:
        if elements:
            if id(elements) not in kinds:
                return False
            found |= kinds[id(elements)][1]
    return not {bool, int} <= found


def check_depth(value: Any, what: str, limit: int = MAX_DEPTH) -> None:
    """Raises ``TooDeep`` where ``value`` nests beyond ``limit`` levels (or contains itself)."""
    if type(value) not in _ATOMS and not (limit > 1 and _is_shallow(value)):
        for _ in _leaves(value, what, limit=limit):
            pass


def _is_shallow(value: Any) -> bool:
    """Whether a value is a dictionary of plain values, and of lists and dictionaries of these: most rows are."""
    below = [held for held in value.values() if type(held) not in EVERYDAY] if type(value) is dict else [value]
    for held in below:
        inside: Any = held if type(held) is list else held.values() if type(held) is dict else None
        if inside is None or not EVERYDAY.issuperset(map(type, inside)):
            return False
    return True


def check_value(value: Any, what: str, kinds: Kinds | None = None, at: Path = (), limit: int = MAX_DEPTH) -> None:
    """Raises ``TooDeep`` as ``check_depth`` does, ``InvalidInput`` for an object that cannot be compared or ordered.

    Such is one that has no hash, or whose text is but its address. ``kinds`` keeps what was seen in lists; ``at`` is
    where the value stands.
    """
    for leaf, path in _leaves(value, what, kinds, limit):
        if isinstance(leaf, _BYTES) or is_number(leaf):
            continue
        name = type(leaf).__qualname__
        try:
            hash(leaf)
            told = repr(leaf) if type(leaf).__repr__ is not object.__repr__ else ""  # type: ignore[comparison-overlap]
        except Exception:  # its own code
            told = ""
        if not told:
            unknown = f"{what} holds a {name}, which cannot be looked into: give a dictionary, or model="
            raise InvalidInput(unknown, (*at, *path))


def _leaves(value: Any, what: str, kinds: Kinds | None = None, limit: int = MAX_DEPTH) -> Iterator[tuple[Any, Path]]:
    """What is no container and not of an everyday type, and where it is."""
    stack: list[Iterator[tuple[Step, Any]]] = [iter([("", value)])]
    path: list[Step] = []
    while stack:
        for step, below in stack[-1]:
            if type(below) in _ATOMS:
                continue
            inside = enumerate(below) if type(below) is list else _inside(below)
            if inside is None:
                yield below, (*path[1:], step)[len(stack) == 1 :]
                continue
            if len(stack) > limit:
                raise TooDeep(f"{what} nests deeper than {limit} levels; nothing was merged", tuple(path[1:9]))
            if type(below) is list and (found := _kinds(below)) <= _ATOMS:
                if kinds is not None:
                    kinds[id(below)] = below, found
                continue
            path.append(step)
            stack.append(inside)
            break
        else:
            stack.pop()
            del path[-1:]


def _kinds(elements: list[Any]) -> frozenset[type]:
    first = type(elements[0]) if elements else None
    if first is not None and countOf(map(type, elements), first) == len(elements):  # the usual, and twice as fast
        return frozenset((first,))
    return frozenset(map(type, elements))


def _inside(value: Any) -> Iterator[tuple[Step, Any]] | None:
    if (fields := as_map(value)) is not None:
        return iter(fields.items())
    return enumerate(value) if isinstance(value, (list, tuple, set, frozenset)) else None


def _is_nan(value: Any) -> bool:
    return value.is_nan() if isinstance(value, Decimal) else value != value
