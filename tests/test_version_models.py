"""What a record is made of: records below, unions, invariants, bounds, unknown fields, and strategies that change."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import itertools
import uuid
from decimal import Decimal
from typing import Annotated, Any, ClassVar, NamedTuple, TypedDict

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta, Struct, UnsetType, field
from test_versions import LINES, World, line, owners_of, path_of

from mergecore import (
    UNSET,
    AnswerError,
    Clock,
    InvalidInput,
    Policy,
    PolicyError,
    SchemaMismatch,
    Strategy,
    Version,
    add_wins,
    counter,
    delete_wins,
    edit_wins,
    group,
    join,
    keep_both,
    keyed,
    lww,
    merge,
    text,
    three_way,
)

pytestmark = pytest.mark.filterwarnings("error")

# ------------------------------------------------------------------------------------------- the README's model


class ReadmeTask(Struct):
    """As the README has it."""

    title: str
    votes: Annotated[int, counter] = 0
    tags: Annotated[set[str], add_wins] = set()
    start: Annotated[dt.date | None, group("when")] = None
    end: Annotated[dt.date | None, group("when")] = None
    assignee: Annotated[str | None, keep_both] = None


def test_the_task_of_the_readme_works_in_both_doors() -> None:
    """One model, one set of strategies: plain values with a base, and versions without."""
    base = ReadmeTask("milk", votes=1, tags={"shop"})
    phone = ReadmeTask("oat milk", votes=2, tags={"shop", "vegan"}, assignee="ann", start=dt.date(2026, 1, 2))
    server = ReadmeTask("milk", votes=3, tags={"today"}, assignee="ben")
    merged = merge(base, phone, server, names=("phone", "server"), at=(1, 2))
    w = World(base, "phone server")
    w.put("phone", phone)
    w.put("server", server)
    v = w.check(merged.value, conflicts={"assignee": ["ann", "ben"]}, owners={"when": "phone"})
    assert v.record == ReadmeTask("oat milk", 4, {"vegan", "today"}, dt.date(2026, 1, 2), None, "ben")
    assert {c.name: c.value for c in v.conflicts[0].candidates} == {
        c.name: c.value for c in merged.conflicts[0].candidates
    }
    assert w.do("phone", "resolve", {"assignee": "ann"}).record == merged.resolve({"assignee": "ann"}).unwrap()


# ------------------------------------------------------------------------------------------------ records below


class Address(Struct):
    """A record that may be absent; ``floor`` need not be set."""

    street: str = ""
    zip: str = ""
    floor: int | UnsetType = UNSET
    lift: Annotated[int, counter] = 0


class Person(Struct):
    """One with an optional record below."""

    name: str = ""
    address: Address | None = None


def test_fields_below_are_fields_of_their_own() -> None:
    """Street and zip by two people: both stay, each with its owner."""
    w = World(Person("x", Address("s", "1")))
    w.edit("ann", {"address.street": "t"})
    w.edit("ben", {"address.zip": "2", "address.lift": 1})
    w.edit("cat", {"address.floor": 3, "address.lift": 2})
    w.check(
        Person("x", Address("t", "2", 3, 3)),
        owners={"address.street": "ann", "address.zip": "ben", "address.floor": "cat", "address": "origin"},
    )


def test_none_becomes_present_and_goes_back() -> None:
    """What becomes present is written whole; of its former life nothing comes back."""
    w = World(Person("x"), "ann")
    w.edit("ann", address=Address("s", "1", 3, 4))
    w.check(Person("x", Address("s", "1", 3, 4)), owners={"address": "ann", "address.floor": "ann"})
    w.edit("ann", address=None)
    w.check(Person("x"))
    w.edit("ann", address=Address("t"))
    w.check(Person("x", Address("t")))
    w.put("ann", {"name": "x", "address": None})
    w.put("ann", {"name": "x", "address": {"zip": "9", "lift": 0}})
    w.check(Person("x", Address(zip="9")))


def test_two_people_who_fill_in_what_was_absent_merge_by_field() -> None:
    """The record below is there; of each field the later, and the loser listed."""
    w = World(Person("x"), "ann ben")
    w.edit("ann", address=Address("s", "1"))
    w.edit("ben", address=Address("t", "1"))
    w.check(Person("x", Address("t", "1")), lost={"address.street": ["s"]}, owners={"address": "ann ben"})


@pytest.mark.parametrize("late", [False, True], ids=["edit first", "deletion first"])
@pytest.mark.parametrize("gone", [None, UNSET], ids=["None", "UNSET"])
@pytest.mark.parametrize("edit", [{"address.zip": "2"}, {"address.lift": 2}], ids=["history", "counter"])
@pytest.mark.parametrize("decided", [keep_both, edit_wins, delete_wins, lww], ids=str)
def test_an_edit_below_against_a_deletion_is_asked_of_the_policy(
    decided: Strategy, edit: dict[str, Any], gone: Any, late: bool
) -> None:
    """The record below is whole, or absent; never half."""

    class Home(Struct):
        name: str = ""
        address: Address | UnsetType | None = UNSET

    w = World(Home("x", Address("s", "1", 3, 1)), "ann ben", Policy(deletes=decided))
    for what in ("delete", "edit") if late else ("edit", "delete"):
        w.edit("ben", address=gone) if what == "delete" else w.edit("ann", edit)
    edited = w.at["ann"].record.address
    v = w.sync()
    stands = decided is delete_wins or (decided is lww and not late)
    assert v.record == Home("x", gone if stands else edited)
    assert [(c.path, c.reason) for c in v.conflicts] == (
        [(("address",), "edit against deletion")] if decided is keep_both else []
    )
    assert [(x.path, x.value, x.decided_by) for x in v.lost] == (
        [] if decided is keep_both else [(("address",), edited if stands else gone, str(decided))]
    )
    if decided is keep_both:
        assert {c.name: c.value for c in v.conflicts[0].candidates} == {"ann": edited, "ben": gone}
    for answer in (gone, edited, Address("other")):
        if v.conflicts or v.lost:
            settled = v.resolve(w.clocks["ann"], {"address": answer})
            assert settled.record == Home("x", answer) and settled.conflicts == () and settled.lost == ()
            assert join(settled, v) == settled


def test_a_wrong_name_below_is_named() -> None:
    """Wherever a record can be looked into, also within one field."""
    w = World(Keyed([Line(7)], Circle(1)), "ann")
    for changes, message in (
        ({"lines[7].qtty": 5}, "did you mean 'qty'"),
        ({"shape.rr": 5}, "did you mean 'r'"),
        ({"shape.side": 5}, "no field 'side'"),
    ):
        with pytest.raises(InvalidInput, match=message):
            w.edit("ann", changes)


def test_an_edit_below_an_absent_record_is_an_error() -> None:
    """First the whole of it has to be given."""
    w = World(Person("x"), "ann")
    with pytest.raises(InvalidInput, match=r"address: .*whole of it first"):
        w.edit("ann", {"address.zip": "2"})


def test_deleting_and_filling_in_anew_beside_an_edit() -> None:
    """The new life is written whole; what was edited in the old one is a concurrent write of its field."""
    w = World(Person("x", Address("s", "1")), "ann ben")
    w.edit("ann", address=None)
    w.edit("ann", address=Address("new", "9"))
    w.edit("ben", {"address.zip": "2"})
    w.check(Person("x", Address("new", "2")), lost={"address.zip": ["9"]})


class Nothing(Struct):
    """A record without fields."""


class Maybe(Struct):
    """One of whose fields none may be set."""

    x: int | UnsetType = UNSET


class Holder(Struct):
    """One that requires both."""

    a: Nothing
    b: Maybe
    c: Nothing | None = None


def test_a_required_record_below_is_always_there() -> None:
    """Even where none of its fields was ever set, and where it has none."""

    w = World(Holder(Nothing(), Maybe(), Nothing()), "ann ben")
    w.check(Holder(Nothing(), Maybe(), Nothing()))
    w.edit("ann", {"b.x": 5})
    w.edit("ben", c=None)
    v = w.check(Holder(Nothing(), Maybe(5), None))
    assert Version.decode(w.origin.encode()).record["c"] == {}, "a hub that knows no model sees an empty record"
    assert v.edit(w.clocks["ann"], {"b.x": UNSET}).record == Holder(Nothing(), Maybe(), None)


class Line(Struct):
    """A member of a keyed list."""

    id: int
    qty: int = 1


class Circle(Struct, tag=True):
    """Of a union."""

    r: int = 0
    size: int = 0
    n: Annotated[int, counter] = 0


class Square(Struct, tag=True):
    """Of a union; ``size`` and ``n`` are of other types than a circle's."""

    side: int = 0
    size: str = ""
    n: Annotated[str, text()] = ""


class Keyed(Struct):
    """Records within fields."""

    lines: Annotated[list[Line], keyed("id") | lww] = []
    shape: Circle | Square | None = None


class Drawing(Struct):
    """One with a union of records below."""

    shape: Circle | Square
    other: Circle | Square | None = None


def test_a_union_of_records_keeps_its_classes() -> None:
    """It may become another; fields of one name have nothing to do with each other."""
    w = World(Drawing(Circle(1, 2, 3)), "ann")
    w.edit("ann", shape=Square(4, "big", "n"))
    w.check(Drawing(Square(4, "big", "n")), owners={"shape": "ann"})
    w.edit("ann", {"shape.side": 5})
    w.check(Drawing(Square(5, "big", "n")))
    w.edit("ann", shape=Circle(r=9), other=Square())
    w.check(Drawing(Circle(r=9), Square()))


def test_edits_below_one_class_of_a_union_merge() -> None:
    """As fields of a record do."""
    w = World(Drawing(Circle(1, 2)), "ann ben")
    w.edit("ann", {"shape.r": 7})
    w.edit("ben", {"shape.size": 8})
    w.check(Drawing(Circle(7, 8)))


@pytest.mark.parametrize("late", [False, True])
def test_another_class_against_an_edit_of_the_old_one_is_not_silent(late: bool) -> None:
    """The loser is a candidate, or listed as lost; never a mixture."""
    w = World(Drawing(Circle(1, 2)), "ann ben")
    for name in ("ann", "ben") if late else ("ben", "ann"):
        w.edit(name, {"shape": Square(3, "big")} if name == "ann" else {"shape.r": 9})
    v = w.sync()
    assert v.record.shape in (Square(3, "big"), Circle(9, 2))
    reported = [c.value for one in v.conflicts for c in one.candidates] + [x.value for x in v.lost]
    loser = Circle(9, 2) if v.record.shape == Square(3, "big") else Square(3, "big")
    assert loser in reported or any(x == 9 for x in reported), reported


class Node(Struct):
    """A recursive model."""

    value: int = 0
    below: Node | None = None
    beside: list[Node] = []


def test_recursive_models_have_fields_at_every_depth() -> None:
    """Each with a path of its own."""
    w = World(Node(1, Node(2, Node(3))), "ann ben")
    w.edit("ann", {"below.value": 20})
    w.edit("ben", {"below.below.value": 30, "value": 10})
    w.check(Node(10, Node(20, Node(30))), owners={"below.below.value": "ben", "below.value": "ann"})
    w.edit("ann", {"below.below": None, "below.beside": [Node(5)]})
    w.check(Node(10, Node(20, None, [Node(5)])))


@dataclasses.dataclass
class Inner:
    """A dataclass below."""

    a: int = 0
    b: int = 0


class Pair(NamedTuple):
    """A tuple with names: one field."""

    x: int
    y: int = 0


class Extra(TypedDict, total=False):
    """A map with known keys: one field, merged by key."""

    k: int
    l: str  # noqa: E741


class Rows(Struct, array_like=True):
    """A record that is written as a list."""

    p: int = 0
    q: str = ""


class Colour(enum.Enum):
    """A choice."""

    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Mixed:
    """A dataclass with everything in it."""

    inner: Inner = dataclasses.field(default_factory=Inner)
    pair: Pair = dataclasses.field(default_factory=lambda: Pair(0))
    extra: Extra = dataclasses.field(default_factory=Extra)
    rows: Rows = dataclasses.field(default_factory=Rows)
    maybe: Rows | None = None
    colour: Colour = Colour.RED
    when: dt.datetime | None = None
    price: Decimal = Decimal(0)
    key: uuid.UUID | None = None
    raw: bytes = b""
    by_number: dict[int, str] = dataclasses.field(default_factory=dict)
    fixed: tuple[int, str] = (0, "")
    computed: int = dataclasses.field(default=7, init=False)


def test_dataclasses_named_tuples_and_typed_dicts() -> None:
    """Records below are fields, containers are one field each; every type comes back as itself."""
    whole = Mixed(
        Inner(1, 2), Pair(3, 4), {"k": 1}, Rows(5, "q"), Rows(6), Colour.BLUE,
        dt.datetime(2026, 1, 2, 3, 4, 5, 6, dt.UTC), Decimal("1.50"), uuid.UUID(int=7), b"\xff", {1: "a", 2: "b"},
        (1, "x"),
    )  # fmt: skip
    w = World(whole)
    v = w.check(whole)
    assert isinstance(v.record.pair, Pair) and isinstance(v.record.rows, Rows) and v.record.colour is Colour.BLUE
    w.edit("ann", {"inner.a": 10, "rows.p": 50, "extra.k": 2, "by_number": {1: "A", 2: "b"}, "pair": Pair(30, 4)})
    w.edit("ben", {"inner.b": 20, "rows.q": "Q", "extra.l": "x", "by_number": {1: "a", 2: "B"}, "pair": Pair(3, 40)})
    w.edit("cat", {"maybe": None, "colour": Colour.RED, "fixed": (1, "y"), "computed": 8})
    v = w.sync()
    r = v.record
    assert (r.inner, r.rows, r.extra) == (Inner(10, 20), Rows(50, "Q"), {"k": 2, "l": "x"})
    assert (r.by_number, r.pair, r.maybe) == ({1: "A", 2: "B"}, Pair(30, 40), None)
    assert (r.colour, r.fixed, r.computed, v.conflicts) == (Colour.RED, (1, "y"), 8, ())


def test_a_record_that_is_written_as_a_list() -> None:
    """As the whole, too; and one with a tag."""

    class Tagged(Struct, tag="t"):
        a: int = 0

    for whole, change in ((Rows(1, "x"), {"p": 2}), (Tagged(1), {"a": 2})):
        w = World(whole, "ann")
        w.check(whole)
        w.edit("ann", change)
        w.check(type(whole)(**{**msgspec.structs.asdict(whole), **change}))


class Renamed(Struct, rename="camel"):
    """Fields go by their encoded names."""

    first_name: str = ""
    home_address: Address | None = None


def test_paths_are_encoded_names() -> None:
    """In edits, stamps and conflicts; the attribute's name is an error that names it."""
    w = World(Renamed("a", Address("s")), "ann ben", Policy(fields={"firstName": keep_both}))
    w.edit("ann", {"firstName": "x", "homeAddress.zip": "1"})
    w.edit("ben", firstName="y")
    v = w.check(conflicts={"firstName": ["x", "y"]})
    assert v.record.home_address == Address("s", "1") and "homeAddress.zip" in v.stamps
    with pytest.raises(InvalidInput, match="did you mean 'firstName'"):
        w.edit("ann", first_name="z")


class Span(Struct):
    """A record with groups, one of them renamed."""

    start: Annotated[int, group("when", keep_both)] = 0
    end: Annotated[int, group("when", keep_both)] = 9
    note: str = ""


class Plan(Struct):
    """One whose records below have groups."""

    span: Span = field(default_factory=Span)
    maybe: Span | None = None


def test_groups_in_records_below_are_one_fact() -> None:
    """One value, one commit, one conflict; never half of each side's."""
    w = World(Plan(), "ann ben")
    w.edit("ann", {"span.start": 1})
    w.edit("ben", {"span.end": 5, "span.note": "n"})
    v = w.check(conflicts={"span.when": [{"start": 1, "end": 9}, {"start": 0, "end": 5}]})
    assert v.record.span in (Span(1, 9, "n"), Span(0, 5, "n"))
    settled = v.resolve(w.clocks["ann"], {"span.when": {"start": 1, "end": 5}})
    assert settled.record.span == Span(1, 5, "n") and settled.conflicts == ()
    with pytest.raises(AnswerError, match=r"span\.when"):
        v.resolve(w.clocks["ann"], {"span.when": {"start": "x", "end": 5}})
    kept, copy = v.fork(w.clocks["ann"], "span.when")
    assert {(x.record.span.start, x.record.span.end) for x in (kept, copy)} == {(1, 9), (0, 5)}


class SealedLater(Struct):
    """One unit: the later as a whole."""

    a: int = 0
    b: int = 0
    __merge__: ClassVar[Policy] = Policy(default=lww, unit="record")


class SealedBoth(Struct):
    """One unit: any two changes are a conflict."""

    a: int = 0
    b: int = 0
    __merge__: ClassVar[Policy] = Policy(default=keep_both, unit="record")


class Safe(Struct):
    """Both below."""

    later: SealedLater | None = None
    both: SealedBoth | None = None
    c: int = 0


@pytest.mark.parametrize("by", [lww, keep_both], ids=str)
def test_a_record_as_one_unit_is_one_field(by: Strategy) -> None:
    """The later as a whole, the other one lost; or a question about the whole."""
    sealed: Any = SealedLater if by is lww else SealedBoth
    w = World(Safe(SealedLater(), SealedBoth()), "ann ben")
    name = "later" if by is lww else "both"
    w.edit("ann", {name: sealed(1, 0), "c": 1})
    w.edit("ben", {f"{name}.b": 2})
    v = w.sync()
    assert getattr(v.record, name) == sealed(0, 2) and v.record.c == 1
    found = [x.value for x in v.lost] if by is lww else [c.value for c in v.conflicts[0].candidates]
    assert sealed(1, 0) in found and {path_of(x) for x in (*v.lost, *v.conflicts)} == {name}

    w = World(sealed(), "ann ben", Policy(default=by, unit="record"))
    w.edit("ann", a=1)
    w.edit("ben", b=2)
    v = w.sync()
    assert v.record == sealed(0, 2) and list(v.stamps) == [""] and owners_of(v, "") == "ann ben"
    w.do("ann", "delete")
    w.edit("ben", b=3)
    assert [path_of(c) for c in w.sync().conflicts if c.reason == "edit against deletion"] == [""]


class Shelf(Struct):
    """Lists and sets below, as one field each."""

    items: Annotated[list[dict[str, Any]], keyed("id") | lww] = []
    plain: list[Any] = []
    atomic: Annotated[list[int], three_way(lists="atomic") | lww] = []
    deep: dict[str, dict[str, list[int]]] = {}


def test_whole_lists_merge_with_their_base() -> None:
    """By key, by element, or as one."""
    w = World(Shelf([{"id": 1, "q": 1}, {"id": 2, "q": 1}], ["a", "b", "c"], [1], {"x": {"y": [1, 2, 3]}}), "ann ben")
    w.edit("ann", {"items[1].q": 5, "plain[0]": "A", "atomic": [1, 2], "deep.x.y[0]": 10})
    w.edit("ben", {"items[2]": UNSET, "plain[2]": "C", "atomic": [0, 1], "deep.x.y[2]": 30})
    w.check(Shelf([{"id": 1, "q": 5}], ["A", "b", "C"], [0, 1], {"x": {"y": [10, 2, 30]}}), lost={"atomic": [[1, 2]]})


def test_an_edit_of_a_member_against_its_deletion() -> None:
    """Asked of ``deletes``: by default it is shown, and open."""
    w = World(Shelf([{"id": 1, "q": 1}, {"id": 2, "q": 1}]), "ann ben")
    w.edit("ann", {"items[1].q": 5})
    w.edit("ben", {"items[1]": UNSET})
    v = w.check(conflicts={"items[1]": [{"id": 1, "q": 5}, UNSET]})
    assert v.record.items == [{"id": 1, "q": 5}, {"id": 2, "q": 1}]
    assert v.resolve(w.clocks["ann"], {"items[1]": UNSET}).record.items == [{"id": 2, "q": 1}]


# ------------------------------------------------------------------------------------------ invariants and bounds


class Range(Struct):
    """Two fields that one invariant binds."""

    low: int = 0
    high: int = 9
    name: str = ""

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


def test_a_joined_record_that_breaks_an_invariant_shows_the_newest_past() -> None:
    """And the question is open, at the record; its answer settles it."""
    w = World(Range())
    w.edit("ann", low=7)
    w.edit("ben", high=3)
    w.edit("cat", name="n")
    v = w.sync()
    assert [(c.path, c.reason, c.detail) for c in v.conflicts] == [((), "invariant", "low is above high")]
    assert v.record == Range(0, 9, "n"), "the newest head's past: what cat was looking at, and cat's own"
    assert [c.value for c in v.conflicts[0].candidates] == [Range(0, 9, "n"), Range(0, 3), Range(7, 9)]
    assert {c.name for c in v.conflicts[0].candidates} == {"ann", "ben", "cat"}
    for answer in (Range(2, 3, "m"), v.conflicts[0].candidates[2]):
        settled = v.resolve(w.clocks["ann"], {(): answer})
        assert settled.conflicts == () and settled.record == getattr(answer, "value", answer)
        assert join(settled, v) == settled
    assert v.put(w.clocks["ann"], Range(1, 2, "n")).conflicts == ()


def test_an_invariant_is_not_broken_by_an_edit() -> None:
    """It is refused, by name; a version is never made of it."""
    w = World(Range(), "ann")
    with pytest.raises(InvalidInput, match="low is above high"):
        w.edit("ann", low=10)
    with pytest.raises(InvalidInput, match="low is above high"):
        w.put("ann", {"low": 10})
    with pytest.raises(InvalidInput, match="low is above high"):
        Version.new(w.clocks["ann"], {"low": 10}, Range)
    assert w.at["ann"] is w.origin


def test_an_invariant_broken_below_is_open() -> None:
    """A record in a record has its own."""

    class Outer(Struct):
        span: Range | None = None
        title: str = ""

    w = World(Outer(Range(), "t"), "ann ben")
    w.edit("ann", {"span.low": 7, "title": "a"})
    w.edit("ben", {"span.high": 3})
    v = w.sync()
    assert "invariant" in {c.reason for c in v.conflicts} and v.record.span in (Range(), Range(7, 9), Range(0, 3))
    settled = v.resolve(w.clocks["ann"], {path_of(c) or (): c.candidates[0] for c in v.conflicts})
    assert settled.conflicts == () and isinstance(settled.record, Outer)


def test_a_put_of_what_a_broken_record_shows_writes_nothing() -> None:
    """Nor does it settle anything; an edit of another field leaves the question open."""
    w = World(Range(), "ann ben")
    w.edit("ann", low=7)
    w.edit("ben", high=3)
    v = w.sync()
    assert v.put(w.clocks["ann"], v.record) is v
    w.edit("ann", name="n")
    v = w.sync()
    assert isinstance(v.record, Range) and (v.conflicts == () or [c.reason for c in v.conflicts] == ["invariant"])


class Bounded(Struct):
    """Bounds that each change keeps, and both together do not."""

    seats: Annotated[int, counter, Meta(le=4)] = 0
    tags: Annotated[set[str], add_wins, Meta(max_length=3)] = set()
    title: Annotated[str, Meta(max_length=5)] = ""


def test_concurrent_increments_beyond_a_bound_are_open() -> None:
    """What is shown is within the bound, and the sum is a candidate."""
    w = World(Bounded(1), "ann ben")
    w.edit("ann", seats=4)
    w.edit("ben", seats=3)
    v = w.sync()
    assert v.record.seats <= 4 and [(path_of(c), c.reason) for c in v.conflicts] == [("seats", "invariant")]
    assert {c.value for c in v.conflicts[0].candidates} >= {6, v.record.seats}
    settled = v.resolve(w.clocks["ann"], {"seats": 4})
    assert settled.record.seats == 4 and settled.conflicts == ()
    assert v.edit(w.clocks["ann"], seats=2).record.seats == 2
    with pytest.raises(InvalidInput, match="seats"):
        w.origin.edit(w.clocks["ann"], seats=5)


def test_sets_grown_beyond_a_bound_show_the_same_everywhere() -> None:
    """Of elements that one author added at once, the same ones stay in every process."""
    w = World(Bounded(), "ann ben")
    w.edit("ann", tags={"a1", "a2"})
    w.edit("ben", tags={"b1", "b2", "b3"})
    v = w.check(
        Bounded(tags={"a1", "a2", "b1"}), conflicts={"tags": [{"a1", "a2", "b1", "b2", "b3"}, {"a1", "a2", "b1"}]}
    )
    assert v.resolve(w.clocks["ann"], {"tags": {"b3"}}).record == Bounded(tags={"b3"})


def test_bounds_and_types_are_checked_when_something_is_written() -> None:
    """Of a text, of a value below, of a record as a whole."""
    w = World(Bounded(), "ann")
    for changes in ({"title": "too long"}, {"tags": {"a", "b", "c", "d"}}, {"seats": 1.5}):
        with pytest.raises(InvalidInput, match=next(iter(changes))):
            w.edit("ann", changes)
    with pytest.raises(InvalidInput, match="title"):
        w.put("ann", {"title": "too long"})


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-3, 3)), max_size=12))
def test_a_counter_is_the_sum_of_all_changes(changes: list[tuple[int, int]]) -> None:
    """Whoever made them, and however often they are joined."""

    class Counted(Struct):
        n: Annotated[int, counter] = 10

    w = World(Counted())
    for who, change in changes:
        name = ["ann", "ben", "cat"][who]
        w.edit(name, n=w.at[name].record.n + change)
        if change == 2:
            w.send(name, "ann", "ben", "cat")
    w.check(Counted(10 + sum(change for _, change in changes)))


@pytest.mark.parametrize("of", [float, Decimal, int])
def test_counters_are_exact(of: Any) -> None:
    """Floats add up as decimals do, and come back as floats."""
    counted = msgspec.defstruct("Counted", [("n", Annotated[of, counter], of(0))])
    w = World(counted())
    for name, n in (("ann", "0.1"), ("ben", "0.2"), ("cat", "1e15")):
        w.edit(name, n=of(Decimal(n)))
    v = w.check(counted(of(sum(Decimal(str(of(Decimal(n)))) for n in ("0.1", "0.2", "1e15")))))
    assert type(v.record.n) is of
    for wrong in (float("nan"), float("inf")) if of is float else ():
        with pytest.raises(InvalidInput, match="n: "):
            w.edit("ann", n=wrong)


def test_counts_that_are_too_far_apart_are_refused() -> None:
    """What could not be added exactly is not let in; so every sum can be read."""
    w = World({"n": Decimal(0)}, "ann ben", Policy(fields={"n": counter}))
    for name, n in (("ann", Decimal("1e1990")), ("ben", Decimal("1e-1100")), ("ann", 10**5000), ("ben", 10**399)):
        try:
            w.edit(name, n=n)
        except InvalidInput as error:
            assert error.path == ("n",)  # noqa: PT017
    assert isinstance(w.sync().record["n"], (Decimal, int))


# --------------------------------------------------------------------------------------------- unknown fields


class Old(Struct):
    """What an app knew once."""

    title: str = ""


class New(Struct):
    """What it knows now."""

    title: str = ""
    colour: str = ""
    notes: Annotated[str, text()] = ""
    votes: Annotated[int, counter] = 0
    tags: Annotated[set[str], add_wins] = set()
    address: Address | None = None
    home: Address = field(default_factory=Address)
    start: Annotated[int | None, group("when")] = None
    end: Annotated[int | None, group("when")] = None


NEW = New("t", "red", LINES, 1, {"a"}, Address("s", "1"), Address("h", "2"), 1, 2)


@pytest.mark.parametrize("model", [Old, None], ids=["old app", "schemaless hub"])
def test_unknown_fields_are_carried_and_joined(model: Any) -> None:
    """By an app that does not know them, and by a hub that knows nothing: bytes are the same as without it."""
    w = World(NEW)
    w.edit("ann", {"address.zip": "9", "votes": 3, "tags": {"a", "b"}, "home.lift": 1}, notes=line(LINES, 1, "x"))
    w.edit("ben", {"address.street": "t", "votes": 5, "tags": set(), "home.lift": 2}, notes=line(LINES, 9, "y"))
    relayed = [Version.decode(v.encode(), model) for v in w.at.values()]
    hub = join(*relayed)
    if model is Old:
        hub = hub.edit(w.clock("hub"), title="old")
        w.at["cat"] = w.decoded(hub)
    assert w.decoded(hub).record.votes == 7
    w.check(
        New("old" if model else "t", "red", "x\n" + LINES[2:-2] + "y\n", 7, {"b"}, Address("t", "9"),
            Address("h", "2", lift=3), 1, 2)
    )  # fmt: skip


def test_a_schemaless_hub_shows_and_writes_what_it_does_not_know() -> None:
    """Records below are dictionaries; counters count, sets are sets."""
    w = World(NEW, "ann")
    hub = Version.decode(w.origin.encode())
    r = hub.record
    assert r["address"] == {"street": "s", "zip": "1", "lift": 0} and r["home"]["zip"] == "2" and r["votes"] == 1
    assert hub.put(w.clock("hub"), r) is hub
    hub = hub.edit(w.clock("hub"), {"address.zip": "7", "title": "x", "votes": 2})
    w.at["ann"] = w.decoded(hub)
    v = w.sync()
    assert v.record.address == Address("s", "7") and (v.record.title, v.record.votes) == ("x", 2)
    hub = Version.decode(v.encode()).edit(w.clock("hub"), {"colour": UNSET})
    assert w.decoded(hub).record.colour == ""


def test_an_old_app_that_puts_all_that_it_was_sent_reverts_nobody() -> None:
    """The keys that it does not know are compared, too: by what was shown of them."""
    w = World(NEW, "ann")
    form = msgspec.to_builtins(NEW) | {"tags": {"a"}}
    del form["start"], form["end"]  # a group is one field: members have no place of their own
    old = Version.decode(w.origin.encode(), Old)
    assert old.put(w.clock("old"), form) is old
    assert old.put(w.clock("old"), form, base=old) is old and old.put(w.clock("old"), form, base=form) is old
    w.edit("ann", {"colour": "blue", "votes": 9, "address.zip": "8", "tags": {"b"}, "start": 5})
    ahead = Version.decode(w.at["ann"].encode(), Old)
    for base in (old, form):
        v = w.decoded(ahead.put(w.clock("old"), {**form, "title": "new"}, base=base))
        assert v.record == New(
            "new", "blue", LINES, 9, {"b"}, Address("s", "8"), Address("h", "2"), 5, 2
        ) and v.conflicts == () and v.lost == ()  # fmt: skip


def test_json_of_a_newer_app_is_compared_as_json() -> None:
    """Sets are lists there, dates are texts: what says the same is unchanged."""

    class Newer(Struct):
        title: str = ""
        tags: Annotated[set[str], add_wins] = set()
        day: dt.date | None = None
        price: Decimal = Decimal(0)

    day = dt.date(2026, 1, 2)
    w = World(Newer("t", {"a", "b"}, day, Decimal("1.50")), "ann")
    form = msgspec.to_builtins(w.origin.record, order="deterministic")
    old = Version.decode(w.origin.encode(), Old)
    assert old.put(w.clock("old"), form) is old
    for base in (None, old, form):
        v = old.put(w.clock("old"), {**form, "title": "x"}, base=base)
        assert w.decoded(v).record == Newer("x", {"a", "b"}, day, Decimal("1.50"))
    v = old.put(w.clock("old"), {**form, "tags": ["b", "c"]})
    assert w.decoded(v).record.tags == {"b", "c"}


def test_an_old_app_may_write_keys_that_it_does_not_know() -> None:
    """A counter counts, a set adds; of a record below the fields."""
    w = World(NEW, "ann")
    form = msgspec.to_builtins(NEW) | {"tags": {"a"}}
    del form["start"], form["end"]  # a group is one field: members have no place of their own
    old = Version.decode(w.origin.encode(), Old)
    form |= {"colour": "green", "votes": 4, "address": {"street": "s", "zip": "5", "lift": 0}, "more": [1]}
    v = old.put(w.clock("old"), form)
    w.edit("ann", votes=2)
    w.at["ann"] = join(w.at["ann"], w.decoded(v))
    got = w.sync()
    assert (got.record.colour, got.record.votes, got.record.address) == ("green", 5, Address("s", "5"))
    assert Version.decode(got.encode()).record["more"] == [1]


def test_two_apps_that_add_a_field_each_join() -> None:
    """Each carries the other's."""

    class WithSize(Old):
        size: int = 0

    class WithShape(Old):
        shape: str = ""

    w = World(Old("t"), "ann")
    one = Version.decode(w.origin.encode(), WithSize).edit(w.clock("one"), size=4)
    other = Version.decode(w.origin.encode(), WithShape).edit(w.clock("other"), shape="round")
    models: tuple[Any, ...] = (WithSize, WithShape, Old, None)
    for model in models:
        v = join(*(Version.decode(x.encode(), model) for x in (one, other)))
        assert Version.decode(v.encode()).record == {"title": "t", "size": 4, "shape": "round"}


@pytest.mark.parametrize(
    "keys", list(itertools.combinations(["colour", "votes", "address", "home", "tags"], 2)), ids=str
)
def test_a_document_without_a_key_unsets_it(keys: tuple[str, ...]) -> None:
    """Without a model there are no unknown keys: what is missing in a record that is put is unset."""
    document = {"colour": "red", "votes": 1, "address": {"zip": 1}, "home": {}, "tags": {"a"}, "t": 1}
    w = World(document, "ann")
    rest = {k: v for k, v in document.items() if k not in keys}
    w.put("ann", rest)
    w.check(rest)


# --------------------------------------------------------------------------------- strategies change, data stays


def test_lww_becomes_text_and_back() -> None:
    """What is stored stays: old writes have no base, so the first concurrent texts are asked about; then they merge."""
    stored = Version.new(Clock("server"), {"notes": LINES}).encode()
    texts = Policy(fields={"notes": text()})
    w = World({"notes": LINES}, "ann ben", texts)
    w.at = dict.fromkeys(w.at, Version.decode(stored, policy=texts))
    w.edit("ann", notes=line(LINES, 1, "a"))
    w.edit("ben", notes=line(LINES, 9, "b"))
    v = w.check({"notes": line(line(LINES, 1, "a"), 9, "b")})
    w.policy = None
    w.at = {name: Version.decode(v.encode()) for name in ("ann", "ben")}
    w.edit("ann", notes="x")
    w.edit("ben", notes="y")
    v = w.check({"notes": "y"}, lost={"notes": ["x"]})
    again = Version.decode(v.encode(), policy=texts)
    (conflict,) = again.conflicts
    assert {c.value for c in conflict.candidates} >= {"x", "y"}
    assert again.resolve(w.clocks["ann"], {path_of(conflict): "z"}).conflicts == ()


def test_an_old_app_and_a_new_app_with_other_strategies_agree_on_the_bytes() -> None:
    """Views differ, what is stored does not; nothing is lost between them."""
    texts = Policy(fields={"notes": text()})
    w = World({"notes": LINES}, "ann ben", None)
    old = w.edit("ann", notes=line(LINES, 1, "a"))
    new = Version.decode(w.origin.encode(), policy=texts).edit(w.clock("new"), notes=line(LINES, 9, "b"))
    one = join(old, Version.decode(new.encode()))
    other = join(Version.decode(old.encode(), policy=texts), new)
    assert one.encode() == other.encode()
    assert one.record == {"notes": line(LINES, 9, "b")} and [x.value for x in one.lost] == [line(LINES, 1, "a")]
    held = {c.value for x in other.conflicts for c in x.candidates} | {other.record["notes"]}
    assert other.record["notes"] == line(line(LINES, 1, "a"), 9, "b") or held >= {
        h.value for h in one.explain("notes").heads
    }


def test_a_hub_under_another_policy_relays_without_harm() -> None:
    """Joining it there or not is the same."""
    w = World({"notes": LINES, "n": 1}, "ann ben", Policy(default=text(), fields={"n": counter}))
    w.edit("ann", notes=line(LINES, 1, "a"), n=2)
    w.edit("ben", notes=line(LINES, 9, "b"), n=3)
    for policy in (None, Policy(default=keep_both), Policy(default=lww, deletes=delete_wins)):
        hub = join(*(Version.decode(v.encode(), policy=policy) for v in w.at.values()))
        assert hub.encode() == join(*w.at.values()).encode()
    w.check({"notes": line(line(LINES, 1, "a"), 9, "b"), "n": 4})


def test_a_field_that_the_model_made_another_kind_is_named() -> None:
    """Nothing is read as something else."""

    class Was(Struct):
        votes: int = 0
        tags: set[str] = set()

    class Now(Struct):
        votes: Annotated[int, counter] = 0
        tags: Annotated[set[str], add_wins] = set()

    w = World(Was(1, {"a"}), "ann")
    v = Version.decode(w.origin.encode(), Now)
    with pytest.raises(SchemaMismatch) as caught:
        v.edit(w.clocks["ann"], votes=2)
    assert caught.value.path == ("votes",)
    other = Version.new(w.clocks["ann"], Now(), id=v.id)
    with pytest.raises(SchemaMismatch) as caught:
        join(v, other)
    assert caught.value.path in {("votes",), ("tags",)}


def test_what_is_stored_and_is_none_of_the_type_is_named() -> None:
    """A model that calls a text a number cannot show it, and says where; bytes are still joined."""

    class Was(Struct):
        size: str = ""

    class Now(Struct):
        size: int = 0

    w = World(Was("big"), "ann")
    v = Version.decode(w.origin.encode(), Now)
    with pytest.raises(InvalidInput, match="size"):
        _ = v.record
    assert join(v, v).encode() == w.origin.encode()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Annotated[int | None, counter], None),
        (Annotated[bool, counter], True),
        (Annotated[list[str], add_wins], ["a"]),
        (Annotated[int, lww | counter], 1),
        (Annotated[int, group("g", counter)], 1),
    ],
    ids=str,
)
def test_what_no_cheap_kind_can_hold_is_a_history(kind: Any, value: Any) -> None:
    """``None``, booleans, lists; a counter behind another part; a group."""
    w = World(msgspec.defstruct("Odd", [("x", kind)])(value), "ann")
    assert {s.kind for s in w.origin._fields.values()} == {"history"}


def test_tables_by_name_have_a_policy_each() -> None:
    """A layer that knows tables by name binds a version by it."""
    policies = {"todo": Policy(fields={"n": counter, "text": keep_both}), "note": Policy()}
    clock = Clock("a")
    v = Version.new(clock, {"n": 1, "text": "x"}, "todo", policy=policies)
    again = Version.decode(v.encode(), "todo", policies)
    v = join(again.edit(clock, n=2, text="a"), v.edit(Clock("b"), n=5, text="b"))
    assert v.record["n"] == 6 and [path_of(c) for c in v.conflicts] == ["text"]
    with pytest.raises(PolicyError):
        Version.decode(v.encode(), policy=policies)


# ----------------------------------------------------------------------------------------------- documents


def test_documents_have_fields_by_their_keys() -> None:
    """Each key of the record is a field; what is below it is merged by the strategy."""
    w = World({"a": 1, "b": {"x": 1, "y": [1, 2]}, "a.b": 2, "": 3})
    w.edit("ann", {"a": 2, "b.x": 5, "a~1b": 7})
    w.edit("ben", {"b.y[0]": 9, "new": {"k": None}, "~3": 4})
    w.edit("cat", {"a": UNSET})
    v = w.sync()
    assert v.record == {"a": 2, "b": {"x": 5, "y": [9, 2]}, "new": {"k": None}, "a.b": 7, "": 4}
    assert [path_of(c) for c in v.conflicts] == ["a"], "an edit against a deletion"


def test_an_empty_document_is_a_record() -> None:
    """And what comes into it later are its fields."""
    w = World({}, "ann ben")
    w.edit("ann", a=1)
    w.put("ben", {"b": 2})
    w.check({"a": 1, "b": 2})


def test_missing_none_and_empty_are_three_things() -> None:
    """In documents as in models."""
    w = World({"a": None, "b": [], "c": {}, "d": ""}, "ann")
    w.put("ann", {"a": [], "b": None, "c": "", "e": {}})
    v = w.check({"a": [], "b": None, "c": "", "e": {}})
    assert "d" not in v.record and v.edit(w.clocks["ann"], a=[]) is v


@pytest.mark.parametrize("pair", [(1, True), (0, False), (1, 1.0), (None, UNSET), ("", None), ([], {})], ids=str)
def test_what_is_another_thing_is_a_change(pair: tuple[Any, Any]) -> None:
    """``1`` and ``1.0`` are equal; a boolean never equals a number."""
    one, other = pair
    w = World({"x": one, "y": 0}, "ann")
    v = w.put("ann", {"y": 0} if other is UNSET else {"x": other, "y": 0})
    assert (v is w.origin) == (type(other) is float)


def test_a_soft_delete_column_means_deletion() -> None:
    """An edit that it had not seen is asked of ``deletes``."""
    w = World({"title": "t", "gone": None}, "ann ben", Policy(deleted="gone", deletes=keep_both))
    w.edit("ann", title="x")
    w.edit("ben", gone=5)
    v = w.sync()
    assert v.record["title"] == "x" and [path_of(c) for c in v.conflicts] == ["gone"]
    for answer in (5, None):
        settled = v.resolve(w.clocks["ann"], {"gone": answer})
        assert settled.record == {"title": "x", "gone": answer} and settled.conflicts == ()


def test_editing_a_record_in_the_bin_leaves_it_there() -> None:
    """Who edits it has seen that it is deleted: that is no question, by whoever and in whatever field."""

    class Binned(Struct):
        title: str = ""
        n: Annotated[int, counter] = 0
        gone: int | None = None
        __merge__: ClassVar[Policy] = Policy(deleted="gone")

    w = World(Binned("x"), "ann ben")
    w.edit("ann", gone=5)
    w.edit("ann", title="y")
    w.check(Binned("y", 0, 5))
    w.edit("ben", n=3)
    w.check(Binned("y", 3, 5))
    w.edit("ann", gone=None)
    w.check(Binned("y", 3))


def test_a_stale_form_that_breaks_an_invariant_is_a_candidate() -> None:
    """Its author's record, and the one that it met: neither is lost."""
    for by_value in (False, True):
        w = World(Range(), "ann")
        w.edit("ann", low=5)
        v = w.put("ann", Range(0, 2), base=Range() if by_value else w.origin)
        (conflict,) = v.conflicts
        assert {(c.value.low, c.value.high) for c in conflict.candidates} == {(5, 9), (0, 2)}
        for c in conflict.candidates:
            settled = v.resolve(w.clocks["ann"], {(): c})
            assert settled.record == c.value and settled.conflicts == ()


def test_what_is_shown_is_a_candidate_however_an_invariant_was_broken() -> None:
    """Also where it was edited while it was broken, and nothing of the past is kept."""
    for depth in (0, 2):
        w = World(Range(), policy=Policy(depth=depth))
        w.edit("ann", low=5)
        w.edit("ben", high=4)
        w.send("ann", "ben")
        w.edit("ben", name="b")
        w.put("cat", Range(0, 3), base=Range())
        w.edit("cat", name="c")
        v = w.sync()
        assert isinstance(v.record, Range)
        for conflict in v.conflicts:
            assert conflict.candidates
        tops = [c for c in v.conflicts if c.path == ()]
        for conflict in tops:
            assert any(c.value == v.record for c in conflict.candidates)
            for c in conflict.candidates:
                settled = v.resolve(w.clocks["ann"], {(): c})
                assert settled.record == c.value and settled.conflicts == ()


class Bound(Struct):
    """A record with an invariant below, and one that may be absent beside it."""

    span: Range = field(default_factory=Range)
    address: Address | None = None


def test_an_answer_at_the_record_settles_all_of_it() -> None:
    """Also what a broken invariant stood before: an edit below against a deletion."""
    w = World(Bound(address=Address("s")), "ann ben")
    w.edit("ann", {"span.low": 7, "address": None})
    w.edit("ben", {"span.high": 3, "address.zip": "2"})
    v = w.sync()
    (conflict,) = [c for c in v.conflicts if c.path == ()]
    for c in conflict.candidates:
        settled = v.resolve(w.clocks["ann"], {(): c})
        assert settled.conflicts == () and settled.record == c.value


def test_what_fields_there_are_is_schema() -> None:
    """A record stored otherwise than the model has it is told by name, and not shown as if it were empty."""

    class Grouped(Struct):
        amount: Annotated[int, group("money")] = 0
        currency: Annotated[str, group("money")] = "EUR"

    class Apart(Struct):
        amount: int = 0
        currency: str = "EUR"

    class Nested(Struct):
        title: str = ""
        address: Address = field(default_factory=Address)

    class Optional(Struct):
        title: str = ""
        address: Address | None = None

    clock = Clock("a")
    apart = Version.new(clock, Apart(5, "USD")).encode()
    grouped = Version.new(clock, Grouped(5, "USD")).encode()
    whole = Version.new(clock, Apart(5, "USD"), policy=Policy(unit="record")).encode()
    document = Version.new(clock, {"title": "t", "address": {"zip": "1010"}}).encode()
    for data, model, policy in (
        (apart, Grouped, None),
        (grouped, Apart, None),
        (apart, Apart, Policy(unit="record")),
        (whole, Apart, None),
        (document, Nested, None),
        (document, Optional, None),
    ):
        with pytest.raises(SchemaMismatch, match="is stored"):
            _ = Version.decode(data, model, policy).record


@pytest.mark.parametrize("by_value", [False, True])
def test_what_was_lost_in_an_absent_record_stays_when_it_is_written_again(by_value: bool) -> None:
    """Ann wrote an address; Ben wrote one and took it away, which beat hers; then a form from before that comes in."""
    w = World(Person("x"), "ann ben")
    start = w.at["ann"]
    ann = start.edit(w.clocks["ann"], {"address": {"street": "hers"}})
    ben = start.edit(w.clocks["ben"], {"address": {"street": "his"}}).edit(w.clocks["ben"], {"address": None})
    both = join(ann, ben)
    assert both.record.address is None
    assert "hers" in [lost.value.street for lost in both.lost if lost.path == ("address",)]
    form = msgspec.structs.replace(start.record, address=Address("new"))
    after = both.put(w.clocks["ben"], form, base=start.record if by_value else start)
    assert after.record.address == Address("new")
    assert "hers" in [lost.value for lost in after.lost if lost.path == ("address", "street")]
