"""Drawn cases: a base, two random edits of it, and a policy.

Hypothesis draws a tape of bytes, and a case is made of it: fast, and it shrinks. Imports the package, and hypothesis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec
from hypothesis import strategies as st

from ..paths import Path
from ..policy import Policy, Rule, rule_for
from ..strategies import (
    Pass,
    Strategy,
    add_wins,
    as_strategy,
    counter,
    delete_wins,
    edit_wins,
    fww,
    group,
    keep_both,
    keyed,
    largest,
    lww,
    prefer,
    smallest,
    strategy,
    text,
    three_way,
)
from ..threeway import Merged, merge, walked
from ..values import UNSET, as_map, is_number

__all__ = ["SIZES", "STRATEGIES", "Address", "Case", "Item", "Task", "case_of", "cases", "policies", "strategies_in"]

T = TypeVar("T")


class Case(msgspec.Struct, frozen=True):
    """Two edits of a common base, and how they are to be merged."""

    base: Any
    ours: Any
    theirs: Any
    policy: Policy
    model: Any = None
    at: Any = None
    names: tuple[str, str] = ("phone", "server")
    walks: bool = False
    """Whether it is merged by the walk, and not by what was generated for its model."""

    def merge(self, **changes: Any) -> Merged[Any]:
        """The merge of this case, or of a variant of it."""
        c = msgspec.structs.replace(self, **changes)
        if c.walks:
            return walked(c.base, c.ours, c.theirs, c.model, c.policy, c.names, c.at)
        return merge(c.base, c.ours, c.theirs, model=c.model, policy=c.policy, names=c.names, at=c.at)

    def swapped(self) -> Case:
        """The same case seen from the other side."""
        at = None if self.at is None else self.at[::-1]
        return msgspec.structs.replace(self, ours=self.theirs, theirs=self.ours, at=at, names=self.names[::-1])

    @property
    def rule(self) -> Rule:
        """What governs the record."""
        return rule_for(Any if self.model is None else self.model, self.policy)


# ------------------------------------------------------------------------------------------------- policies


@strategy("longest", needs_base=False)
def longest(base: Any, ours: Any, theirs: Any) -> Any:
    """A user's function that chooses, and passes where it cannot."""
    if not isinstance(ours, str) or not isinstance(theirs, str):
        return Pass("not texts")
    return max((ours, theirs), key=lambda text: (len(text), text))


@strategy("add up", context=True)
def add_up(base: Any, ours: Any, theirs: Any, context: Any) -> Any:
    """A user's function that combines, and whose equal changes add up."""
    if not (isinstance(ours, int) and isinstance(theirs, int) and is_number(ours) and is_number(theirs)):
        return Pass("not whole numbers")
    return ours + theirs - (base if isinstance(base, int) and is_number(base) else 0)


STRATEGIES: dict[str, Strategy] = {
    "lww": lww,
    "fww": fww,
    "keep_both": keep_both,
    "three_way": three_way(),
    "three_way, atomic lists": three_way(lists="atomic"),
    "text": text(),
    "text, by word and by character": text("word") | text("char"),
    "keyed": keyed("id"),
    "counter": counter,
    "largest": largest,
    "smallest": smallest,
    "add_wins": add_wins,
    "prefer": prefer("server"),
    "edit_wins": edit_wins,
    "delete_wins": delete_wins,
    "a function": longest,
    "a function that adds": add_up,
}
"""Every exported strategy, and functions as users write them."""

_ALL = tuple(STRATEGIES.values())
_DELETES = (keep_both, keep_both, edit_wins, delete_wins, lww)


SIZES = (320, 48)
"""Bytes of the tape of a document, and of that of a policy."""


class Tape:
    """Bytes that are read as choices; after the end, every choice is the first."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def below(self, n: int) -> int:
        """A number from 0 to n - 1 (n up to 256)."""
        self.at += 1
        return self.data[self.at - 1] % n if self.at <= len(self.data) else 0

    def one(self, of: Sequence[T]) -> T:
        """One of the given."""
        return of[self.below(len(of))]


def policies() -> st.SearchStrategy[Policy]:
    """Random policies for the documents and the model that ``cases`` draws, from every exported strategy."""
    return st.binary(min_size=SIZES[1], max_size=SIZES[1]).map(lambda data: _policy(Tape(data)))


def _composition(tape: Tape) -> Strategy:
    made = tape.one(_ALL)
    while tape.below(3) == 1:
        made = made | tape.one(_ALL)
    return made


def _policy(tape: Tape) -> Policy:
    fields: dict[str | Path, Strategy] = {}
    for path in _FIELDS:
        if not tape.below(3):
            fields[path] = _composition(tape)
    for path, fitting in (("items", keyed("id")), ("notes", text("line")), ("notes", text("word"))):
        if not tape.below(4):
            fields[path] = fitting | _composition(tape)
    groups: dict[str | Path, Any] = {}
    if not tape.below(2):
        groups["when"] = (("start", "end"), _composition(tape) if tape.below(2) else None)
    return Policy(
        default=_composition(tape) if tape.below(3) else three_way() | lww if tape.below(2) else None,
        fields=fields,
        groups=groups,
        deletes=tape.one(_DELETES),
        deleted="gone" if not tape.below(3) else None,
        unit="record" if not tape.below(12) else None,
    )


# ------------------------------------------------------------------------------------------------- documents


class Address(msgspec.Struct):
    """A nested record with a policy of its own."""

    street: str = ""
    zip: str = ""
    __merge__: ClassVar[Policy] = Policy(fields={"zip": keep_both}, deletes=edit_wins)


class Item(msgspec.Struct):
    """An element of a list."""

    id: str = ""
    qty: Annotated[int, counter] = 0


class Task(msgspec.Struct, rename={"when_": "start"}):
    """A model with a field of every kind, and an invariant."""

    title: str = ""
    votes: Annotated[int, counter, msgspec.Meta(ge=-3, le=4)] = 0
    when_: Annotated[int, group("when")] = 0
    end: Annotated[int, group("when")] = 9
    tags: Annotated[set[str], add_wins] = set()
    items: list[Item] = []
    names: list[str] = []
    notes: str = ""
    labels: dict[str, Any] = {}
    address: Address | None = None
    pair: tuple[int, str] = (0, "")
    extra: Any = None
    gone: int | None = None
    low: int = 0
    high: int = 4

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


_FIELDS = (
    "title",
    "votes",
    "tags",
    "items",
    "items[].qty",
    "names",
    "notes",
    "labels",
    "labels.*",
    "labels.a",
    "extra",
    "low",
    "*",
)

_DATE = date(2026, 1, 2)
_SCALARS: tuple[Any, ...] = (
    *(None, "", "x", "xy", 0, 1, 2, True, False, 1.0, 1.5, -0.0, 0.0, float("nan")),
    *(Decimal("1.0"), _DATE, b"", b"x", 10**20, [], {}, ["s"], {"a": 1}),
)  # what is a scalar here, or becomes a container
_NUMBERS = (0, 1, 2, 3, -1, 1.0, 2.5, True, float("nan"), Decimal("1.5"), "1")
_TEXTS = ("", "a", "ab", "milk", "oat milk")


class _Maker:
    """Makes a base, and edits it; what it puts into lists has an identity of its own."""

    def __init__(self, tape: Tape, typed: bool) -> None:
        self.tape, self.typed, self.made, self.side = tape, typed, 0, "b"

    def base(self) -> dict[str, Any]:
        return {name: make(self) for name, make in _KINDS.items() if self.typed or self.tape.below(4)}

    def fresh(self, side: str) -> str:
        """An identity that nothing else has; now and then one that both sides may insert."""
        if not self.tape.below(5):
            return f"both{self.tape.below(2)}"
        self.made += 1
        return f"{side}{self.made}"

    def edit(self, fields: dict[str, Any], side: str, hot: Sequence[str], other: dict[str, Any]) -> dict[str, Any]:
        """An edit of a document: of the hot fields more likely, now and then as the other side did; keys may move."""
        self.side = side
        out = dict(fields)
        for name in _KINDS:
            if self.tape.below(3) if name in hot else not self.tape.below(6):
                if name in other and not self.tape.below(6):
                    out[name] = other[name]
                elif not self.typed and not self.tape.below(6):
                    out.pop(name, None)  # deleted, or still missing
                elif not self.typed and not self.tape.below(8):
                    out[name] = self.tape.one(_SCALARS)  # retyped
                else:
                    out[name] = _KINDS[name](self, out[name]) if name in out else _KINDS[name](self)
        if not self.typed and not self.tape.below(8):
            out[self.fresh(side)] = self.tape.one(_SCALARS)
        if out and not self.typed and not self.tape.below(10):
            moved = self.tape.one(list(out))
            out[moved] = out.pop(moved)
        return out

    def elements(self, held: list[Any], make: Callable[[str], Any], change: Callable[[Any], Any]) -> list[Any]:
        """Edits of a list: insert, delete, move, replace, change in place."""
        out = list(held)
        for _ in range(1 + self.tape.below(3)):
            op, at = self.tape.below(6), self.tape.below(len(out) + 1)
            if op == 0 or at == len(out):
                out.insert(at, make(self.fresh(self.side)))
            elif op == 1:
                del out[at]
            elif op == 2:
                out.insert(self.tape.below(len(out)), out.pop(at))
            elif op == 3:
                out[at] = make(self.fresh(self.side))
            else:
                out[at] = change(out[at])
        return out


def _scalar(maker: _Maker, held: Any = None) -> Any:
    return maker.tape.one(_SCALARS)


def _number(maker: _Maker, held: Any = 0) -> Any:
    return maker.tape.below(7) - 3 if maker.typed else maker.tape.one(_NUMBERS)


def _int(maker: _Maker, held: Any = 0) -> int:
    return maker.tape.below(5)


def _text(maker: _Maker, held: Any = "") -> str:
    return maker.tape.one(_TEXTS)


def _set(maker: _Maker, held: Any = frozenset()) -> Any:
    toggled = {maker.tape.one("abcd") for _ in range(1 + maker.tape.below(2))}
    if not maker.typed and not maker.tape.below(8):
        toggled.add(maker.tape.one((1, True, 1.0)))  # type: ignore[arg-type]
    return toggled ^ held if isinstance(held, (set, frozenset)) else toggled


def _names(maker: _Maker, held: Any = None) -> Any:
    if not isinstance(held, list):
        return [f"n{i}" for i in range(maker.tape.below(5))]
    return maker.elements(held, str, lambda _: maker.fresh(maker.side))


def _notes(maker: _Maker, held: Any = None) -> str:
    """Lines of words, some of them again and again; the last has an end, or none."""

    def line(identity: str) -> str:
        return f"{maker.tape.one(('a', 'b', 'a b'))} {identity}" if maker.tape.below(3) else "a"

    if not isinstance(held, str):
        return "".join(f"{line(f'w{i}')}\n" for i in range(maker.tape.below(7)))
    lines = maker.elements(held.split("\n")[:-1], line, lambda was: f"{was} {maker.fresh(maker.side)}")
    return "\n".join(lines) + "\n" * bool(maker.tape.below(6))


def _items(maker: _Maker, held: Any = None) -> Any:
    def make(identity: str) -> Any:
        return Item(identity, _int(maker)) if maker.typed else {"id": identity, "qty": _number(maker)}

    def change(item: Any) -> Any:
        fields = as_map(item) or {}
        return make(fields.get("id", "?"))

    if not isinstance(held, list):
        return [make(f"i{i}") for i in range(maker.tape.below(5))]
    return maker.elements(held, make, change)


def _labels(maker: _Maker, held: Any = None) -> Any:
    out = dict(held) if isinstance(held, dict) else {}
    for _ in range(1 + maker.tape.below(3)):
        key, op = maker.tape.one("abcd"), maker.tape.below(5)
        if op == 0:
            out.pop(key, None)
        elif op == 1 and isinstance(out.get(key), dict):
            out[key] = {**out[key], maker.tape.one("xy"): maker.tape.one(_SCALARS)}
        else:
            out[key] = {"x": maker.tape.below(3), "y": ""} if op == 2 else maker.tape.one(_SCALARS)
    return out


def _address(maker: _Maker, held: Any = None) -> Any:
    if not maker.typed:
        return {"street": _text(maker), "zip": _text(maker)} if maker.tape.below(6) else None
    return Address(_text(maker), _text(maker)) if maker.tape.below(6) else None


def _pair(maker: _Maker, held: Any = None) -> Any:
    a, b = held if isinstance(held, tuple) and len(held) == 2 else (0, "")
    return (_int(maker), b) if maker.tape.below(2) else (a, _text(maker))


def _gone(maker: _Maker, held: Any = None) -> Any:
    return maker.tape.one((None, None, 7, 8))


def _low(maker: _Maker, held: Any = 0) -> int:
    return maker.tape.below(4)


def _high(maker: _Maker, held: Any = 0) -> int:
    return 3 + maker.tape.below(3)


_KINDS: dict[str, Callable[..., Any]] = {
    "title": _text,
    "votes": _number,
    "start": _int,
    "end": _int,
    "tags": _set,
    "items": _items,
    "names": _names,
    "notes": _notes,
    "labels": _labels,
    "address": _address,
    "pair": _pair,
    "extra": _scalar,
    "gone": _gone,
    "low": _low,
    "high": _high,
}
_TIMES = (
    None,
    None,
    (1, 2),
    (2, 1),
    (1, 1),
    ({"": 5, "title": 1, "labels.a": 9}, {"": 4, "items": 7, "when": 8, "low": 6}),
)


def cases(policy: st.SearchStrategy[Policy] | None = None) -> st.SearchStrategy[Case]:
    """Random edits of a common base, of documents and of a model, under random policies, or those given.

    Edits set, unset, insert, delete, move, retype and spell otherwise; about half of them touch what the other side
    touches.
    """
    tapes = st.binary(min_size=SIZES[0], max_size=SIZES[0]).map(Tape)
    return st.builds(_case, tapes, policies() if policy is None else policy)


def case_of(document: bytes, policy: bytes) -> Case:
    """The case that two tapes stand for, without hypothesis: ``SIZES`` says of how many bytes."""
    return _case(Tape(document), _policy(Tape(policy)))


def _case(tape: Tape, policy: Policy) -> Case:
    typed = not tape.below(3)
    maker = _Maker(tape, typed)
    fields = maker.base()
    hot = [name for name in _KINDS if not tape.below(4)]
    mine = maker.edit(fields, "o", hot, {})
    sides: list[Any] = [fields, mine, maker.edit(fields, "t", hot, mine)]
    if typed:
        sides = [Task(**{"when_" if k == "start" else k: v for k, v in side.items()}) for side in sides]
    if not tape.below(25):
        sides[tape.below(3)] = UNSET
    base, ours, theirs = sides
    return Case(base, ours, theirs, policy, Task if typed else None, tape.one(_TIMES))


def strategies_in(case: Case) -> set[str]:
    """Names of the parts that may be asked anywhere in a case (``keep_both`` where nothing is)."""
    policy = case.policy
    given = [policy.default or three_way() | lww, policy.deletes or keep_both, *policy.fields.values()]
    given += [decided for _, decided in policy.groups.values() if decided]
    if case.model is Task:
        given += [counter, add_wins]
    asked = [as_strategy(one) for one in given]
    return {part.name for one in asked for part in one.parts} | {"keep_both" for one in asked if not one.parts}
