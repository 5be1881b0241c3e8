"""A record is read at once where the model takes it as it is, and else field by field: both show the same."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import pytest
from conftest import Tally
from hypothesis import given, settings
from hypothesis import strategies as st

from mergecore import UNSET, Clock, InvalidInput, MergeError, Version, add_wins, counter, group, keyed, lww, reading
from mergecore.testing import histories
from mergecore.testing.joins import Drawn
from mergecore.values import canonical
from mergecore.wire import PRESENT, pack, unpack

pytestmark = pytest.mark.filterwarnings("error")


def shown(v: Version[Any], field_by_field: bool) -> Any:
    """All that a version shows, or how it refuses."""
    v = Version.decode(v.encode(), v._binding.model, v._binding.policy)
    with pytest.MonkeyPatch.context() as patch:
        if field_by_field:
            patch.setattr(reading, "as_is", _refuse)
        try:
            told = canonical(v.record), canonical(v.conflicts), canonical(v.lost), v.deleted
        except MergeError as error:
            return type(error), str(error)
    values = [(path, canonical(view.value), canonical(view.stored)) for path, view in v._reading.views.items()]
    return told, values, sorted(v._reading.rules, key=str)


def _refuse(value: Any, kind: Any) -> Any:
    raise InvalidInput("not at once")


def test_what_is_drawn_is_shown_the_same_either_way(tally: Tally) -> None:
    """Histories of drawn models and documents under drawn policies: record, conflicts, losers, every field's value."""
    met = Counter[str]()

    @settings(max_examples=max(settings().max_examples // 3, 50))
    @given(histories())
    def holds(drawn: Drawn) -> None:
        for v in (*drawn.ends, *drawn.versions[-3:]):
            assert shown(v, False) == shown(v, True)
            met["typed" if drawn.model else "documents"] += 1

    holds()
    tally("read both ways", met["typed"], 50)


class Colour(enum.Enum):
    """One by name."""

    RED = "red"


class Level(enum.IntEnum):
    """One by number."""

    LOW = 1


class Right(enum.IntFlag):
    """Several of them."""

    READ = 1
    WRITE = 2


class Point(NamedTuple):
    """A place."""

    x: int
    y: int = 0


class Address(msgspec.Struct):
    """A record with fields of its own."""

    zip: str = ""
    lift: bool = False


@dataclasses.dataclass
class Part:
    """A dataclass, kept as a whole in a list."""

    id: int
    is_new: bool = False


class Pair(msgspec.Struct, array_like=True):
    """An array."""

    a: int = 0
    b: str = ""


class Everything(msgspec.Struct, rename="camel"):
    """A field of every sort."""

    a_text: str
    yes: bool = True
    number: float = 1.5
    price: Decimal = Decimal(1)
    few: Annotated[int, msgspec.Meta(ge=0, le=9)] = 1
    day: dt.date | None = None
    colour: Colour = Colour.RED
    level: Level = Level.LOW
    rights: Right = Right.READ
    word: Literal["a", "b"] = "a"
    place: Point = Point(1)
    home: Address = msgspec.field(default_factory=Address)
    work: Address | None = msgspec.field(default_factory=Address)
    maybe: Address | Any = msgspec.field(default_factory=Address)
    pair: Pair = msgspec.field(default_factory=Pair)
    parts: Annotated[list[Part], keyed("id") | lww] = msgspec.field(default_factory=lambda: [Part(1)])
    votes: Annotated[int, counter] = 1
    tags: Annotated[set[str], add_wins] = msgspec.field(default_factory=lambda: {"a"})
    start: Annotated[int | None, group("when")] = 1
    end: Annotated[bool, group("when")] = True
    labels: dict[int, bool] = msgspec.field(default_factory=lambda: {1: True})
    either: int | str | None = None
    anything: Any = None


VALUES: list[Any] = [
    None, True, 0, 1, 2, 10, 1.5, "", "a", "red", "1", b"x", [], [1], [1, 2], ["a"], [{"id": 1}], [{"id": "x"}],
    [{"id": 1, "is_new": 1}], [{"id": 1}, {"id": 1}], {}, {"a": 1}, {1: True}, {"1": True}, {"1": 1}, {"x": 1},
    {"zip": "1"}, {"zip": 5, "lift": 1}, {"start": 1, "end": 1}, {"start": 1, "end": True}, {"other": 1}, {"a", "b"},
    {1}, (1, 2), Decimal("1.5"), dt.date(2026, 1, 2), dt.datetime(2026, 1, 2), UNSET, PRESENT, [UNSET], {"a": UNSET},
]  # fmt: skip


def _stored(change: Callable[[list[Any]], None]) -> bytes:
    held = unpack(Version.new(Clock.locked("a", now=lambda: 1), Everything("x"), id="x").encode())
    change(held)
    return pack(held)


WRITES = [field for field in unpack(_stored(lambda held: None))[6] if field[1] == "history"]
BARE = list(unpack(_stored(lambda held: None))[8][0][2])


@settings(max_examples=2_000)
@given(st.lists(st.tuples(st.integers(0, len(WRITES + BARE) - 1), st.sampled_from(VALUES)), min_size=1, max_size=2))
def test_what_another_app_stored_is_refused_the_same_either_way(changes: list[tuple[int, Any]]) -> None:
    """Values of any type in one field or two: the same record, or the same error."""

    def change(held: list[Any]) -> None:
        histories = [field for field in held[6] if field[1] == "history"]
        for i, value in changes:
            if i < len(WRITES):
                histories[i][3][0][2] = value
            else:
                held[8][0][2][BARE[i - len(WRITES)]] = value

    v = Version.decode(_stored(change), Everything)
    assert shown(v, False) == shown(v, True)


def test_a_decimal_that_an_app_stored_as_one_is_read() -> None:
    """Nothing is taken for SQL's booleans that the field takes as it is."""

    class Priced(msgspec.Struct):
        price: Decimal

    v = Version.new(Clock("a"), {"price": 1}, Priced)
    assert v.record == Priced(Decimal(1)) == Version.decode(v.encode(), Priced).record
    assert Version.decode(Version.new(Clock("a"), {"price": 1}).encode(), Priced).record == Priced(Decimal(1))
