"""Strategies: base, ours and theirs differ; what is the value?

A strategy is a tuple of parts, tried in order: ``three_way() | lww``. A part decides, or passes with a reason; what
nobody decides stays an open conflict. Strategies are plain immutable values, compared by name and parameters.
``keep_both`` is the empty strategy: it always passes, and is the identity of ``|``.

    lww, fww                 the later, the earlier stamp; ties by canonical order
    keep_both                both stay, the later one shown, until resolved
    three_way(lists=...)     maps by key, lists and sets by element, scalars and strings as one unit
    text(unit)               three-way merge of text, by line, word or character; what overlaps passes
    keyed("id", ...)         a list of objects matched by key, its order a question of its own; else as three_way()
    counter                  ours + theirs - base
    largest, smallest        max, min
    add_wins                 sets: what either side added, without what either removed
    prefer("server", ...)    a named side outranks
    edit_wins, delete_wins   an edit against a deletion: for ``Policy(deletes=...)``
    any function             what it returns

Imports ``clock``, ``errors``, ``paths``, ``texts`` and ``values``.
"""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from .clock import Timestamp
from .errors import PolicyError
from .paths import Path
from .texts import UNITS
from .values import UNSET, Number, canonical, equal, identity, is_number, larger

__all__ = [
    "Candidate", "Conflict", "Context", "Group", "Part", "Pass", "Resolver", "Strategy", "add_wins", "as_strategy",
    "counter", "delete_wins", "edit_wins", "fww", "group", "keep_both", "keyed", "largest", "lww", "prefer",
    "smallest", "strategy", "text", "three_way",
]  # fmt: skip


class Pass(msgspec.Struct, frozen=True):
    """What a part returns that does not decide: the next one is asked."""

    reason: str = ""


class Context(msgspec.Struct, frozen=True):
    """What a part may know beside the three values."""

    path: Path
    times: tuple[Timestamp | None, Timestamp | None]
    """The latest time of what ours, and theirs, changed at or below the path; ``None`` where it is not known."""
    names: tuple[str, str]
    based: bool = True
    """False where the merge as a whole has no base."""


class Candidate(msgspec.Struct, frozen=True):
    """One of the values that an open conflict, or a lost value, is about. ``UNSET`` is a deletion."""

    value: Any
    stamp: Timestamp | None
    name: str
    """The side, or the node, that it comes from."""
    by: str | None = None
    """The person who wrote it, where that is known."""

    @property
    def id(self) -> str:
        """Tells the candidates of one conflict apart."""
        return str(self.stamp) if self.stamp is not None and self.stamp.node else self.name


class Conflict(msgspec.Struct, frozen=True):
    """One open question: the record shows one of the candidates at ``path`` until somebody answers.

    ``path`` ends in a ``Slice`` of the base for a hunk of a text (or for a stretch of a list that was too costly to
    compare), and in ``ORDER`` for the order of members of a keyed list: the candidates are then texts, lists of
    elements, lists of keys. ``candidates`` are in canonical order, the larger first. ``strategy`` is the one that left
    it open, as text. ``reason`` is ``both changed``, ``edit against deletion``, ``invariant``, or what the parts say
    that passed; ``detail``, of an invariant, the error.
    """

    path: Path
    base: Any
    candidates: tuple[Candidate, ...]
    strategy: str
    reason: str
    detail: str = ""


class Resolver(Protocol):
    """A user's strategy: ``base`` is ``UNSET`` where there is none; a side that is ``UNSET`` is never asked about."""

    def __call__(self, base: Any, ours: Any, theirs: Any, /) -> Any: ...


Decide: TypeAlias = Callable[[Any, Any, Any, Context], Any]


class Part(msgspec.Struct, frozen=True):
    """One part of a strategy: data (name and parameters) before it is a function."""

    name: str
    params: tuple[Any, ...] = ()
    decide: Decide | None = None
    """``(base, ours, theirs, context) -> value or Pass``; ``None`` for a structural part, which opens a container
    instead.
    """
    opens: frozenset[str] = frozenset()
    """What a structural part opens: ``map`` (records and fixed tuples too), ``list`` (by element), ``keyed`` (lists by
    key), ``set``, ``text``."""
    user: Callable[..., Any] | None = None
    """The user's function, of a part that is one."""
    needs_base: bool = False
    """Means nothing without a true common ancestor."""
    combines: bool = False
    """The value holds what both sides did, so nothing is lost even where it equals one of them."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Part) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash((self.name, self.params))

    def _key(self) -> tuple[Any, ...]:
        return (self.name, self.params, self.user, self.needs_base)

    def __reduce__(self) -> Any:
        return _part, self._key()

    def __str__(self) -> str:
        if self.user is not None:
            return self.name
        structural_or_called = self.params or self.opens
        return f"{self.name}({', '.join(map(repr, self.params))})" if structural_or_called else self.name


class Strategy(msgspec.Struct, frozen=True):
    """A tuple of parts, asked in order. ``a | b``: where ``a`` does not decide, ``b`` is asked."""

    parts: tuple[Part, ...] = ()

    def __or__(self, other: Strategy | Resolver) -> Strategy:
        parts = self.parts
        return Strategy(parts + tuple(p for p in as_strategy(other).parts if p not in parts))

    def __ror__(self, other: Resolver) -> Strategy:
        return as_strategy(other) | self

    def __str__(self) -> str:
        return " | ".join(map(str, self.parts)) or "keep_both"

    __repr__ = __str__


def as_strategy(value: Any) -> Strategy:
    """A strategy itself; a function as a strategy of one part. Raises ``PolicyError`` for anything else."""
    if isinstance(value, Strategy):
        return value
    if any(value is factory for factory in FACTORIES):
        raise PolicyError(f"{value.__name__} takes arguments: write {value.__name__}(...)")
    if callable(value) and not isinstance(value, type):
        return _user(getattr(value, "__qualname__", repr(value)), value, needs_base=True, context=False)
    raise PolicyError(
        f"{value!r} is no strategy: give one of mergecore's, a function (base, ours, theirs), or several joined with |"
    )


def strategy(name: str, *, needs_base: bool = True, context: bool = False) -> Callable[[Callable[..., Any]], Strategy]:
    """Names a function ``(base, ours, theirs)``, so that it is told apart by ``name`` and can be composed with ``|``.

    It returns the value, or ``Pass(reason)``. It is asked wherever both sides changed something, also where they say
    the same: a function that adds counts both. With ``context=True`` it gets a fourth argument, a ``Context``.
    ``needs_base`` says whether its answer means anything without the common ancestor; histories keep a base for it.
    """
    if not isinstance(name, str) or not name:
        raise PolicyError('a strategy has a name: write @strategy("longest")')
    if name in BUILT_IN:
        raise PolicyError(f"a strategy named {name!r} is built in: choose another name")
    return lambda function: _user(name, function, needs_base, context)


def _user(name: str, function: Callable[..., Any], needs_base: bool, context: bool) -> Strategy:
    import inspect  # here alone, and slow to import

    try:
        inspect.signature(function).bind(*[None] * (4 if context else 3))
    except TypeError:
        wanted = "(base, ours, theirs, context)" if context else "(base, ours, theirs)"
        raise PolicyError(f"strategy {name!r} does not take {wanted}") from None
    except ValueError:  # a function that does not tell
        pass
    decide: Decide = function if context else lambda base, ours, theirs, _: function(base, ours, theirs)
    return Strategy((Part(name, ("context",) * context, decide, user=function, needs_base=needs_base),))


def _one(name: str, decide: Decide, *params: Any, **more: Any) -> Strategy:
    return Strategy((Part(name, params, decide, **more),))


def _by_time(latest: bool) -> Decide:
    no_times = Pass("no times")

    def decide(base: Any, ours: Any, theirs: Any, context: Context) -> Any:
        mine, other = context.times
        if mine is None and other is None:
            return no_times
        if mine is None or other is None:
            return Pass(f"no time of {context.names[mine is not None]}")
        if mine == other:
            return larger(ours, theirs)
        return ours if (mine > other) == latest else theirs

    return decide


lww = _one("lww", _by_time(latest=True))
"""Last writer wins: the side with the later time. Passes without times; equal times go to the larger in canonical
order.
"""

fww = _one("fww", _by_time(latest=False))
"""First writer wins: the side with the earlier time."""

keep_both = Strategy()
"""Decides nothing: both values stay as candidates of an open conflict, and the later one is shown."""


def three_way(lists: Literal["merge", "atomic"] = "merge") -> Strategy:
    """Git's way, on data: maps by key, sets and lists by element (``"atomic"``: a list is one unit, as scalars are).

    Needs a true common ancestor to tell an addition from a deletion: without a base, everything counts as added.
    """
    if lists not in ("merge", "atomic"):
        raise PolicyError(f'three_way(lists={lists!r}): lists is "merge" or "atomic"')
    if lists == "atomic":
        return Strategy((Part("three_way", ("atomic",), opens=frozenset(("map", "set")), needs_base=True),))
    return Strategy((Part("three_way", (), opens=frozenset(("map", "set", "list")), needs_base=True),))


def text(unit: Literal["line", "word", "char"] = "line") -> Strategy:
    """Three-way merge of text: what one side alone changed is taken; changes that overlap or touch pass, one by one.

    By ``line`` it says what git says. ``text("line") | text("word") | lww`` settles by word what lines could not, and
    of the words that overlap the later ones win. Needs a true common ancestor; without one it passes.
    """
    if unit not in UNITS:
        raise PolicyError(f'text({unit!r}): the unit is "line", "word" or "char"')
    return Strategy((Part("text", (unit,), opens=frozenset(("text",)), needs_base=True),))


def keyed(*fields: str) -> Strategy:
    """A list of objects, told apart by a key of one field or of several: ``keyed("id")``, ``keyed("sku", "lot")``.

    Members are merged by field, wherever they stand; what both changed in one field is asked of what follows, as in
    ``keyed("id") | lww``. A member that one side edited and the other deleted is asked of ``deletes``; a deletion beats
    a move. The order is a question of its own: a pair of members that one side reordered is as that side has it; of
    members about whose order the sides contradict each other, the candidates are lists of keys. A list in which a key
    is missing or doubled, on any side, is merged by element, and a verdict says so. Maps and sets below are merged as
    ``three_way()`` does.
    """
    if not fields or not all(isinstance(name, str) and name for name in fields):
        raise PolicyError('keyed(...) takes the names of the fields that make the key, as in keyed("id")')
    if len(set(fields)) < len(fields):
        raise PolicyError(f"keyed{fields!r} takes the names of the fields that make the key, each once")
    return Strategy((Part("keyed", fields, opens=frozenset(("map", "set", "keyed")), needs_base=True),))


def _count(base: Any, ours: Any, theirs: Any, context: Context) -> Any:
    if not context.based and base is UNSET:
        return Pass("a counter needs a base")
    start = 0 if base is UNSET else base
    if not (is_number(ours) and is_number(theirs) and is_number(start)):
        return Pass("not numbers")
    try:
        total = _add(ours, theirs, start)
    except (TypeError, OverflowError, decimal.DecimalException):
        return Pass("cannot be added exactly")
    return Pass("cannot be added exactly") if isinstance(total, float) and not math.isfinite(total) else total


def _add(ours: Any, theirs: Any, base: Any) -> Number:
    with decimal.localcontext(decimal.Context(prec=1000, traps=[decimal.Inexact, decimal.InvalidOperation])):
        return ours + theirs - base  # type: ignore[no-any-return]


counter = _one("counter", _count, needs_base=True, combines=True)
"""A number that both sides add to: ours + theirs - base; two changes from 0 to 1 make 2. A counter missing from the
base counts as 0 there.
"""


def _extreme(choose: Callable[[Any, Any], bool]) -> Decide:
    def decide(base: Any, ours: Any, theirs: Any, context: Context) -> Any:
        if not (is_number(ours) and is_number(theirs)) and type(ours) is not type(theirs):
            return Pass("not comparable")
        try:
            if equal(ours, theirs):
                return larger(ours, theirs)
            if choose(ours, theirs) == choose(theirs, ours):  # sets, NaN
                return Pass("not comparable")
            return ours if choose(ours, theirs) else theirs
        except (TypeError, decimal.DecimalException):
            return Pass("not comparable")

    return decide


largest = _one("largest", _extreme(lambda a, b: bool(a > b)))
"""The larger of two numbers, texts, dates, or other values of one type that compare."""

smallest = _one("smallest", _extreme(lambda a, b: bool(a < b)))
"""The smaller of two values."""


def merge_sets(base: Any, ours: Any, theirs: Any) -> Any:
    """What either side added, without what either removed; by ``identity``, so that True is not taken for 1."""
    was, mine, other = ({identity(x): x for x in side} for side in (base, ours, theirs))
    kept = {
        key: larger(mine[key], other[key]) if key in mine and key in other else mine.get(key, other.get(key))
        for key in mine.keys() | other.keys()
        if (key in mine and key in other) or key not in was
    }
    merged = type(ours)(kept.values())
    if len(merged) < len(kept):  # Python's sets hold one of True, 1 and 1.0: the same one everywhere
        merged = type(ours)(sorted(kept.values(), key=canonical, reverse=True))
    return merged


def _add_wins(base: Any, ours: Any, theirs: Any, context: Context) -> Any:
    if not isinstance(ours, (set, frozenset)) or type(ours) is not type(theirs):
        return Pass("not sets")
    return merge_sets(base if isinstance(base, (set, frozenset)) else (), ours, theirs)


add_wins = _one("add_wins", _add_wins, needs_base=True, combines=True)
"""A set that both sides add to and remove from: nothing that either side added is lost (the observed-remove set of a
history).
"""


def prefer(*names: str) -> Strategy:
    """A named side (or node) outranks the other, in the order given. Passes where it names neither."""
    if not names or not all(isinstance(name, str) and name for name in names):
        raise PolicyError('prefer(...) takes the names of sides, as in prefer("server")')

    def decide(base: Any, ours: Any, theirs: Any, context: Context) -> Any:
        for name in names:
            if name in context.names:
                return (ours, theirs)[context.names.index(name)]
        return Pass(f"neither side is {' or '.join(names)}")

    return _one("prefer", decide, *names)


def _deletion(keep: bool) -> Decide:
    def decide(base: Any, ours: Any, theirs: Any, context: Context) -> Any:
        if (ours is UNSET) == (theirs is UNSET):
            return Pass("no deletion")
        return theirs if (ours is UNSET) == keep else ours

    return decide


edit_wins = _one("edit_wins", _deletion(keep=True))
"""An edit against a deletion: the edit stays."""

delete_wins = _one("delete_wins", _deletion(keep=False))
"""An edit against a deletion: deleted."""

BUILT_IN = {"lww", "fww", "keep_both", "three_way", "text", "keyed", "counter", "largest", "smallest", "add_wins"}
BUILT_IN |= {"prefer", "edit_wins", "delete_wins"}


def _part(name: str, params: tuple[Any, ...], user: Callable[..., Any] | None, needs_base: bool) -> Part:
    """A part by what tells it from others: how it comes out of a pickle."""
    if user is not None:
        return _user(name, user, needs_base, bool(params)).parts[0]
    made = globals()[name]
    if not isinstance(made, Strategy):
        made = made(lists="atomic") if params == ("atomic",) else made(*params)
    part: Part = made.parts[0]
    return part


class Group(msgspec.Struct, frozen=True):
    """Marks a field as a member of a group; see ``group``."""

    name: str
    strategy: Strategy | None = None


def group(name: str, strategy: Strategy | Resolver | None = None) -> Group:
    """In ``Annotated``: this field and the others of the same name, beside it, are one fact and one field.

    They are compared, decided and shown together (street, zip and city; amount and currency; start and end), so that no
    record mixes two people's halves. The strategy (unless given, the default) sees a mapping of members.
    """
    if not isinstance(name, str) or not name:
        raise PolicyError("group(name): the name is a text that is not empty")
    return Group(name, None if strategy is None else as_strategy(strategy))


FACTORIES: tuple[Callable[..., Any], ...] = (three_way, text, keyed, prefer, group, strategy)
"""What makes strategies and is none itself: forgetting the call is told."""
