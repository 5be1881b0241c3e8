"""Records, drawn at random: their fields, what each side changed, and so what a merge of them is.

Every call gets sides of its own, decoded from MessagePack: equal strings of the three are distinct objects.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import reduce
from operator import getitem
from typing import Any, NamedTuple, TypeAlias

import msgspec

from .peers import Outcome

__all__ = ["Record", "Shape", "draw_record", "draw_row", "draw_tree"]


class Kind(NamedTuple):
    """What the fields of one kind hold."""

    type: Any
    draw: Callable[[random.Random], Any]
    sides: int = 1
    """How many may change it: two, where it is one value of more than two that are possible; none, where it is a list:
    merging those has a group of its own, and peers that go by position would be wrong here about nothing else."""


Shape: TypeAlias = "dict[str, Kind | Shape]"
"""The fields of a record, or of a record in it, by name."""

_WORDS = [
    "account", "address", "amount", "author", "balance", "billing", "category", "city", "client", "colour", "comment",
    "company", "contact", "country", "created", "currency", "date", "delivery", "discount", "due", "email", "event",
    "first", "folder", "height", "hours", "invoice", "item", "language", "last", "level", "location", "member",
    "month", "name", "note", "number", "office", "order", "owner", "partner", "payment", "phone", "place", "price",
    "priority", "product", "project", "quantity", "reason", "region", "report", "review", "role", "section",
    "service", "start", "status", "street", "summary", "team", "ticket", "title", "total", "unit", "user", "value",
    "vendor", "version", "visit", "week", "zone",
]  # fmt: skip


def _words(least: int, most: int) -> Callable[[random.Random], str]:
    return lambda rng: " ".join(rng.choices(_WORDS, k=rng.randint(least, most)))


def _sometimes(draw: Callable[[random.Random], Any]) -> Callable[[random.Random], Any]:
    return lambda rng: None if rng.random() < 0.4 else draw(rng)


def _number(rng: random.Random) -> int:
    return rng.randrange(10 ** rng.randint(2, 9))


_LINE = Kind(str, _words(1, 4), sides=2)
_KINDS = {
    _LINE: 6,
    Kind(str, _words(40, 300), sides=2): 1,
    Kind(int, _number, sides=2): 4,
    Kind(float, lambda rng: round(rng.uniform(0, 10_000), 2), sides=2): 2,
    Kind(bool, lambda rng: rng.random() < 0.5): 2,
    Kind(str | None, _sometimes(_words(1, 4))): 3,
    Kind(int | None, _sometimes(_number)): 1,
    Kind(list[str], lambda rng: rng.sample(_WORDS, rng.randint(0, 5)), sides=0): 1,
    Kind(dict[str, int], lambda rng: {name: _number(rng) for name in rng.sample(_WORDS, 3)}): 1,
}
"""How often each kind is drawn, to the others."""


def draw_row(fields: int, rng: random.Random) -> Shape:
    """A record of so many fields; the first is a line of text."""
    names: dict[str, None] = {}
    while len(names) < fields:
        names["_".join(rng.choices(_WORDS, k=2))] = None
    return dict(zip(names, [_LINE, *rng.choices([*_KINDS], [*_KINDS.values()], k=fields - 1)]))


def draw_tree(leaves: int, rng: random.Random) -> Shape:
    """A record with so many fields in it, most of them in the records that it holds, and in those that they hold."""
    if leaves <= 12:
        return draw_row(leaves, rng)
    own, parts = rng.randint(3, 8), rng.randint(2, 4)
    sizes = [(leaves - own + i) // parts for i in range(parts)]
    return draw_row(own, rng) | {name: draw_tree(n, rng) for name, n in zip(rng.sample(_WORDS, parts), sizes)}


class Record(NamedTuple):
    """Three sides of a record, and what the merge of them is where theirs is the later one."""

    base: bytes
    ours: bytes
    theirs: bytes
    decode: Callable[[bytes], msgspec.Struct]
    """To a Struct; ``msgspec.msgpack.decode`` makes dictionaries of the same bytes."""
    model: type[msgspec.Struct]
    expected: dict[str, Any]
    contested: Sequence[tuple[str, ...]]
    """The fields that both sides changed."""

    def inputs(self) -> tuple[Any, Any, Any]:
        """The sides as Structs, which share no objects with each other or with what another call got."""
        return self.decode(self.base), self.decode(self.ours), self.decode(self.theirs)

    def dictionaries(self) -> tuple[Any, Any, Any]:
        """The sides as dictionaries, in the same way."""
        decode = msgspec.msgpack.decode
        return decode(self.base), decode(self.ours), decode(self.theirs)

    def wrong(self, outcome: Outcome) -> str:
        if outcome.candidates:
            return "a conflict, where the times settle it"
        value = msgspec.to_builtins(outcome.value)
        if not isinstance(value, dict):
            return "not a record"
        wrong = [name for name in self.expected | value if _text(value, name) != _text(self.expected, name)]
        return f"{len(wrong)} fields are not what both sides made of them, first {wrong[0]}" if wrong else ""


def _text(record: dict[str, Any], name: str) -> bytes:
    """Tells 1 from 1.0 and from True, and what is not there from None."""
    return msgspec.json.encode(record[name], order="deterministic") if name in record else b""


def draw_record(
    shape: Shape,
    rng: random.Random,
    alone: int,
    both: int | None = 1,
    settle: Callable[[Any, Any, Any], Any] = lambda base, ours, theirs: theirs,
) -> Record:
    """A record of that shape. So many fields were changed by one side alone, by turns, or all that can be if those are
    fewer; and so many by both, ``None`` for all that can be.
    """
    leaves = dict(_leaves(shape))
    contested = [path for path, kind in leaves.items() if kind.sides == 2]
    if both is not None:
        contested = rng.sample(contested, both)
    others = [path for path, kind in leaves.items() if kind.sides and path not in contested]
    changed = rng.sample(others, min(alone, len(others)))
    base = _drawn(shape, rng)
    ours, theirs, expected = (deepcopy(base) for _ in range(3))
    for i, path in enumerate(changed):
        new = _other(leaves[path], rng, _at(base, path))
        for side in ((ours, theirs)[i % 2], expected):
            _at(side, path[:-1])[path[-1]] = new
    for path in contested:
        old = _at(base, path)
        mine = _other(leaves[path], rng, old)
        other = _other(leaves[path], rng, old, mine)
        for side, new in ((ours, mine), (theirs, other), (expected, settle(old, mine, other))):
            _at(side, path[:-1])[path[-1]] = new
    model = _model("record", shape)
    encode = msgspec.msgpack.encode
    decode = msgspec.msgpack.Decoder(model).decode
    return Record(encode(base), encode(ours), encode(theirs), decode, model, expected, contested)


def _leaves(shape: Shape, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Kind]]:
    for name, kind in shape.items():
        if isinstance(kind, Kind):
            yield (*path, name), kind
        else:
            yield from _leaves(kind, (*path, name))


def _drawn(shape: Shape, rng: random.Random) -> dict[str, Any]:
    return {name: kind.draw(rng) if isinstance(kind, Kind) else _drawn(kind, rng) for name, kind in shape.items()}


def _at(record: Any, path: Sequence[str]) -> Any:
    return reduce(getitem, path, record)


def _other(kind: Kind, rng: random.Random, *olds: Any) -> Any:
    while (new := kind.draw(rng)) in olds:
        pass
    return new


def _model(name: str, shape: Shape) -> type[msgspec.Struct]:
    fields = [(name, kind.type if isinstance(kind, Kind) else _model(name, kind)) for name, kind in shape.items()]
    return msgspec.defstruct(name.title(), fields)
