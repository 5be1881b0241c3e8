"""Models of every kind, and rows that become them."""

from __future__ import annotations

import datetime as dt
import sqlite3
import uuid
from collections.abc import Iterator
from dataclasses import InitVar, dataclass, field
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, NotRequired, Required, TypedDict, TypeVar

import msgspec
import pytest
from msgspec import Meta

from mergecore import UNSET, InvalidInput, MergeError, Policy, counter, lww, merge
from mergecore.records import build, convert, fields_of, is_record, validate

T = TypeVar("T")


class Status(Enum):
    NEW = "new"
    DONE = "done"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Person(msgspec.Struct, rename="camel"):
    first_name: str
    is_admin: bool = False
    tags: list[str] = []


class Sparse(msgspec.Struct, omit_defaults=True):
    a: int = 0
    b: int = 0


class Frozen(msgspec.Struct, frozen=True, kw_only=True):
    a: int = 0
    b: int = 0


class Array(msgspec.Struct, array_like=True):
    a: int = 0
    b: int = 0


class Cat(msgspec.Struct, tag=True):
    name: str
    lives: int = 9


class Dog(msgspec.Struct, tag=True):
    name: str
    tricks: list[str] = []


class Owner(msgspec.Struct):
    pet: Cat | Dog | None = None
    note: str = ""


class Page(msgspec.Struct, Generic[T]):
    items: list[T]
    total: Annotated[int, counter] = 0


class Typed(msgspec.Struct):
    at: dt.datetime
    day: dt.date
    clock: dt.time
    span: dt.timedelta
    key: uuid.UUID
    price: Decimal
    blob: bytes
    status: Status = Status.NEW
    level: Level = Level.LOW
    by_status: dict[Status, int] = {}


class Loose(msgspec.Struct):
    x: Any = None
    n: int = 0


@dataclass
class Plain:
    a: int = 0
    b: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Slotted:
    a: int = 0
    b: int = 0


@dataclass
class Derived:
    a: int = 0
    b: int = 0
    note: str = field(default="", init=False)


@dataclass
class Seeded:
    a: int = 0
    b: int = 0
    seed: InitVar[int] = 1
    seen: ClassVar[list[int]] = []

    def __post_init__(self, seed: int) -> None:
        self.seen.append(seed)


@dataclass
class Needy:
    seed: InitVar[int]
    a: int = 0
    b: int = 0


@dataclass
class Box(Generic[T]):
    item: T
    size: int = 0


class Pair(NamedTuple):
    left: int
    right: int = 0


class Movie(TypedDict):
    title: Required[str]
    year: NotRequired[int]


class Tally(TypedDict):
    plain: Annotated[int, counter]
    wrapped: Required[Annotated[int, counter]]
    maybe: NotRequired[Annotated[int, counter]]


class Shelf(msgspec.Struct):
    movie: Movie
    note: str = ""


class Attributes:
    """What an ORM gives: an object with attributes."""

    def __init__(self, **given: Any) -> None:
        self.__dict__.update(given)


# ---- which types are records, and what fields they have


def test_structs_and_dataclasses_are_records() -> None:
    """Generic ones too; NamedTuples and TypedDicts have fields, but are containers."""
    assert all(map(is_record, (Person, Plain, Slotted, Page, Page[int], Box[int])))
    assert not any(map(is_record, (Pair, Movie, dict, int, dict[str, int], Any, Person | None)))


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        (Person, ["firstName", "isAdmin", "tags"]),
        (Plain, ["a", "b"]),
        (Derived, ["a", "b", "note"]),
        (Needy, ["a", "b"]),
        (Pair, ["left", "right"]),
        (Movie, ["title", "year"]),
        (Page[int], ["items", "total"]),
    ],
)
def test_fields_go_by_their_encoded_names(kind: Any, keys: list[str]) -> None:
    """In the order of the declaration."""
    assert [f.key for f in fields_of(kind) or ()] == keys


@pytest.mark.parametrize("kind", [int, dict, list[int], dict[str, int], tuple, Any, None])
def test_other_types_have_no_fields(kind: Any) -> None:
    """Open containers and scalars declare none."""
    assert fields_of(kind) is None


def test_type_variables_are_filled_in() -> None:
    """A generic model's fields have the types that it was given."""
    struct, box = fields_of(Page[str]) or (), fields_of(Box[str]) or ()
    assert struct[0].type == list[str]
    assert box[0].type is str


def test_build_runs_the_constructor_and_then_sets_what_it_does_not_take() -> None:
    """``init=False`` fields, also of frozen classes; what is missing has its default."""
    made = build(Derived, {"a": 1, "note": "x"})
    assert (made.a, made.b, made.note) == (1, 0, "x")
    assert build(Slotted, {"b": 2}) == Slotted(0, 2)
    assert build(Person, {"firstName": "Ann"}) == Person("Ann")
    assert build(Pair, {"left": 1}) == Pair(1, 0)


# ---- each kind of model merges to an instance of itself


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        (Person("a"), Person("b"), Person("a", True), Person("b", True)),
        (Sparse(1, 1), Sparse(0, 1), Sparse(1, 0), Sparse(0, 0)),
        (Frozen(), Frozen(a=1), Frozen(b=2), Frozen(a=1, b=2)),
        (Array(), Array(1), Array(0, 2), Array(1, 2)),
        (Plain(), Plain(1), Plain(0, [2]), Plain(1, [2])),
        (Slotted(), Slotted(1), Slotted(0, 2), Slotted(1, 2)),
        (Pair(0, 0), Pair(1, 0), Pair(0, 2), Pair(1, 2)),
        (Page([1]), Page([1, 2]), Page([1], 3), Page([1, 2], 3)),
        (Box("a"), Box("b"), Box("a", 1), Box("b", 1)),
        (Owner(Cat("a")), Owner(Cat("b")), Owner(Cat("a", 8)), Owner(Cat("b", 8))),
        (Owner(Cat("a")), Owner(Dog("a")), Owner(Cat("a"), "x"), Owner(Dog("a"), "x")),
        (Owner(), Owner(Cat("a")), Owner(None, "x"), Owner(Cat("a"), "x")),
        (
            Shelf({"title": "a"}),
            Shelf({"title": "b"}),
            Shelf({"title": "a", "year": 1}),
            Shelf({"title": "b", "year": 1}),
        ),
    ],
)
def test_a_model_merges_by_field_into_its_own_class(base: Any, ours: Any, theirs: Any, merged: Any) -> None:
    """Changes of different fields meet, whatever the kind of model."""
    for one, other in ((ours, theirs), (theirs, ours)):
        done = merge(base, one, other)
        assert done.conflicts == ()
        assert done.value == merged
        assert type(done.value) is type(merged)


def test_a_field_set_by_init_false_is_merged_too() -> None:
    """It is a field like others."""
    base, ours, theirs = Derived(), Derived(a=1), Derived(b=2)
    ours.note = "mine"
    done = merge(base, ours, theirs)
    assert (done.unwrap().a, done.unwrap().b, done.unwrap().note) == (1, 2, "mine")


def test_a_dataclass_with_an_init_variable_that_has_a_default_merges() -> None:
    """The constructor runs as for any new instance."""
    assert merge(Seeded(), Seeded(a=1), Seeded(b=2)).unwrap() == Seeded(1, 2)


def test_a_dataclass_with_an_init_variable_without_a_default_merges() -> None:
    """Nothing is wrong with either side, so nobody is to be asked what the record is."""
    assert merge(Needy(1), Needy(1, a=1), Needy(1, b=2)).unwrap() == Needy(1, 1, 2)


def test_a_typed_dict_is_a_model() -> None:
    """Its instances are dictionaries, merged by key and checked against it."""
    base, ours, theirs = {"title": "a"}, {"title": "b"}, {"title": "a", "year": 1}
    assert merge(base, ours, theirs, model=Movie).unwrap() == {"title": "b", "year": 1}
    with pytest.raises(InvalidInput, match="year"):
        merge(base, ours, {"title": "a", "year": "x"}, model=Movie)


def test_annotations_of_a_typed_dict_count_under_required_and_not_required() -> None:
    """``Required`` and ``NotRequired`` stand around the annotated type."""
    zero, one, two = ({"plain": n, "wrapped": n, "maybe": n} for n in (0, 1, 2))
    assert merge(zero, one, two, model=Tally).unwrap() == {"plain": 3, "wrapped": 3, "maybe": 3}


# ---- the types of fields


def _typed(**given: Any) -> Typed:
    start: dict[str, Any] = {
        "at": dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
        "day": dt.date(2024, 1, 1),
        "clock": dt.time(12),
        "span": dt.timedelta(hours=1),
        "key": uuid.UUID(int=1),
        "price": Decimal("1.0"),
        "blob": b"a",
    }
    return Typed(**(start | given))


CHANGES: list[tuple[str, Any]] = [
    ("at", dt.datetime(2024, 1, 2, tzinfo=dt.UTC)),
    ("day", dt.date(2024, 1, 2)),
    ("clock", dt.time(13)),
    ("span", dt.timedelta(hours=2)),
    ("key", uuid.UUID(int=2)),
    ("price", Decimal("2.0")),
    ("blob", b"b"),
    ("status", Status.DONE),
    ("level", Level.HIGH),
    ("by_status", {Status.DONE: 1}),
]


@pytest.mark.parametrize(("name", "value"), CHANGES)
def test_fields_of_every_native_type_merge(name: str, value: Any) -> None:
    """One side's change meets the other's, and two equal ones are no conflict."""
    ours, theirs = _typed(**{name: value}), _typed(level=Level.HIGH, price=Decimal("2.0"))
    merged = merge(_typed(), ours, theirs).unwrap()
    assert getattr(merged, name) == value
    assert (merged.level, merged.price) == (Level.HIGH, Decimal("2.0"))
    assert merge(_typed(), ours, _typed(**{name: value})).unwrap() == ours


THIRD: dict[str, Any] = {
    "at": dt.datetime(2025, 1, 1, tzinfo=dt.UTC),
    "day": dt.date(2025, 1, 1),
    "clock": dt.time(1),
    "span": dt.timedelta(1),
    "key": uuid.UUID(int=9),
    "price": Decimal(9),
    "blob": b"z",
}


@pytest.mark.parametrize(("name", "value"), [change for change in CHANGES if change[0] in THIRD])
def test_two_changes_of_a_native_type_are_one_question(name: str, value: Any) -> None:
    """The later is taken; without times it is open, both values are candidates, and either can be the answer."""
    base, ours, theirs = _typed(), _typed(**{name: value}), _typed(**{name: THIRD[name]})
    assert getattr(merge(base, ours, theirs, at=(2, 1)).unwrap(), name) == value
    assert getattr(merge(base, ours, theirs, at=(1, 2)).unwrap(), name) == THIRD[name]
    merged = merge(base, ours, theirs)
    (conflict,) = merged.conflicts
    assert conflict.path == (name,)
    assert {candidate.value for candidate in conflict.candidates} == {value, THIRD[name]}
    for candidate in conflict.candidates:
        assert getattr(merged.resolve({name: candidate}).unwrap(), name) == candidate.value
        assert getattr(merged.resolve({name: candidate.value}).unwrap(), name) == candidate.value


@pytest.mark.parametrize(("name", "value"), CHANGES)
def test_a_value_of_a_native_type_converts_to_itself_and_is_valid(name: str, value: Any) -> None:
    """Enum members included, as values and as keys."""
    kind = next(f.type for f in fields_of(Typed) or () if f.key == name)
    assert convert(value, kind, "the answer") == value
    assert validate(value, kind) == ""


def test_json_forms_become_the_models_types() -> None:
    """ISO text, UUID text, base64 and enum values are converted, and so are enum members."""
    plain = {
        "at": "2024-01-01T00:00:00Z", "day": "2024-01-01", "clock": "12:00:00", "span": "PT3600S",
        "key": str(uuid.UUID(int=1)), "price": "1.0", "blob": "YQ==", "status": Status.DONE, "level": 2,
    }  # fmt: skip
    assert convert(plain, Typed, "ours") == _typed(status=Status.DONE, level=Level.HIGH)


@pytest.mark.parametrize("value", [(1, 2), {1, 2}, Status.DONE, [Status.NEW], {"k": (1,)}, b"x", dt.date(2024, 1, 1)])
def test_a_field_of_any_type_keeps_its_value(value: Any) -> None:
    """``Any`` takes every value as it is, under ``model=`` too."""
    made = convert({"x": value}, Loose, "ours")
    assert type(made.x) is type(value)
    assert made.x == value


def test_a_map_may_have_keys_of_several_parts() -> None:
    """A tuple is a key like others."""
    assert convert({(1, 2): 3}, dict[tuple[int, int], int], "ours") == {(1, 2): 3}


# ---- rows


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """A database in memory."""
    opened = sqlite3.connect(":memory:")
    opened.row_factory = sqlite3.Row
    yield opened
    opened.close()


def test_a_database_row_becomes_a_record(connection: sqlite3.Connection) -> None:
    """By column name, SQL's 0 and 1 as booleans where the field is one, other columns left out."""
    row = connection.execute("SELECT 'Ann' AS firstName, 1 AS isAdmin, 7 AS rowid").fetchone()
    assert convert(row, Person, "ours") == Person("Ann", True)
    counts = connection.execute("SELECT 0 AS a, 1 AS b").fetchone()
    assert convert(counts, Sparse, "ours") == Sparse(0, 1)
    assert type(convert(counts, Sparse, "ours").b) is int


def test_two_is_no_boolean_in_a_row(connection: sqlite3.Connection) -> None:
    """Only 0 and 1 stand for booleans."""
    row = connection.execute("SELECT 'Ann' AS firstName, 2 AS isAdmin").fetchone()
    with pytest.raises(InvalidInput, match=r"ours is no Person.*isAdmin"):
        convert(row, Person, "ours")


def test_an_object_with_attributes_becomes_a_record() -> None:
    """By attribute; what it does not have takes its default."""
    assert convert(Attributes(first_name="Ann", is_admin=1, other=object()), Person, "ours") == Person("Ann", True)


def test_an_objects_related_objects_become_records_too() -> None:
    """What an ORM loads beside the row: another object, and a list of them."""
    holder = Attributes(pet=None, note="x", movie={"title": "a"})
    assert convert(holder, Owner, "ours") == Owner(None, "x")
    page = Attributes(items=[Attributes(first_name="Ann")], total=1)
    assert convert(page, Page[Person], "ours") == Page([Person("Ann")], 1)


def test_rows_on_all_three_sides_merge(connection: sqlite3.Connection) -> None:
    """``model=`` converts all sides first."""
    base, ours = (
        connection.execute("SELECT ? AS firstName, 0 AS isAdmin", (name,)).fetchone() for name in ("Ann", "Anna")
    )
    theirs = Attributes(first_name="Ann", is_admin=True)
    assert merge(base, ours, theirs, model=Person).unwrap() == Person("Anna", True)


def test_a_record_of_the_model_is_taken_as_it_is() -> None:
    """No copy is made of what is an instance already; ``UNSET`` stays absent."""
    ann = Person("Ann")
    assert convert(ann, Person, "ours") is ann
    assert convert(UNSET, Person, "ours") is UNSET


# ---- what does not fit


@pytest.mark.parametrize(
    ("value", "kind", "place"),
    [
        ({"firstName": 3}, Person, r"\$\.firstName"),
        ({"firstName": "a", "tags": [1]}, Person, r"\$\.tags\[0\]"),
        ({}, Person, "firstName"),
        ({"pet": {"type": "Cow", "name": "x"}}, Owner, r"\$\.pet"),
        ({"items": ["x"]}, Page[int], r"\$\.items\[0\]"),
        ([1], Person, "Person"),
        ("x", Plain, "Plain"),
        (3, dict[str, int], "dict"),
        ({"a": "x"}, dict[str, int], r"\$\[\.\.\.\]"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_side_and_place(value: Any, kind: Any, place: str) -> None:
    """The error names which of the three sides it was, the model, and where."""
    with pytest.raises(InvalidInput, match=rf"server is no .*{place}"):
        merge(UNSET, value, UNSET, model=kind, names=("server", "client"))


def test_the_error_of_a_conversion_carries_the_path() -> None:
    """Errors carry the path where it happened."""
    with pytest.raises(InvalidInput) as caught:
        merge(UNSET, {"items": [{"firstName": 3}]}, UNSET, model=Page[Person])
    assert caught.value.path == ("items", 0, "firstName")


def test_none_for_a_record_is_refused_with_what_to_write() -> None:
    """A record that does not exist is ``UNSET``."""
    with pytest.raises(InvalidInput, match=r"base is no Person.*UNSET"):
        merge(None, Person("a"), Person("b"), model=Person)


@pytest.mark.parametrize("kind", [complex, dict[Any, complex]])
def test_a_class_that_msgspec_does_not_know_takes_its_own_instances(kind: Any) -> None:
    """And nothing else."""
    own, other = (1j, "x") if kind is complex else ({"x": 1j}, {"x": "x"})
    assert convert(own, kind, "ours") == own
    with pytest.raises(MergeError):
        convert(other, kind, "ours")


class Rgb(Enum):
    RED = (255, 0, 0)
    BLUE = (0, 0, 255)


class Painted(msgspec.Struct):
    color: Rgb = Rgb.RED
    n: int = 0


def test_an_enum_of_any_values_is_a_field_like_others() -> None:
    """Members of enums whose values are neither all texts nor all whole numbers merge."""
    assert merge(Painted(), Painted(Rgb.BLUE), Painted(n=1)).unwrap() == Painted(Rgb.BLUE, 1)


def test_a_model_that_msgspec_cannot_convert_to_is_a_named_error() -> None:
    """It says so under the name of the side, instead of a bare ``TypeError`` from below."""
    with pytest.raises(InvalidInput, match="ours"):
        merge(UNSET, {"color": [255, 0, 0]}, UNSET, model=Painted)


class Kitten(Cat, tag="Kitten"):
    age: int = 0


class Litter(msgspec.Struct):
    cats: list[Cat]
    first: Cat | None = None


def test_an_instance_of_a_subclass_is_valid_where_its_parent_is_declared() -> None:
    """What Python's types allow is no invariant broken: both sides' changes stay."""
    base = Litter([Kitten("a"), Kitten("b")])
    ours, theirs = Litter([Kitten("x"), Kitten("b")]), Litter([Kitten("a"), Kitten("y")])
    assert merge(base, ours, theirs).unwrap() == Litter([Kitten("x"), Kitten("y")])


@pytest.mark.parametrize(
    ("value", "kind", "wrong"),
    [
        (1, int, False),
        ("1", int, True),
        (5, Annotated[int, Meta(le=3)], True),
        (["a"], Annotated[list[str], Meta(max_length=1)], False),
        (["a", "b"], Annotated[list[str], Meta(max_length=1)], True),
        (Status.NEW, Status, False),
        ({Status.NEW: 1}, dict[Status, int], False),
        ({1, 2}, set[int], False),
        ({"a"}, frozenset[int], True),
        ((1, "a"), tuple[int, str], False),
        (Person("a"), Person, False),
        ([Plain()], list[Plain], False),
        ([Pair(1)], list[Pair], False),
        (dt.datetime(2024, 1, 1), dt.datetime, False),
        (dt.datetime(2024, 1, 1), Annotated[dt.datetime, Meta(tz=True)], True),
        (Decimal(1), Decimal, False),
        (Decimal(1), int, True),
        ({"title": "a"}, Movie, False),
        ({"year": 1}, Movie, True),
    ],
)
def test_validation_checks_types_and_bounds(value: Any, kind: Any, wrong: bool) -> None:
    """An empty text where nothing is wrong."""
    assert bool(validate(value, kind)) == wrong


def test_a_policy_by_encoded_name_reaches_a_renamed_field() -> None:
    """Policies and paths say what JSON says."""
    policy = Policy(fields={"firstName": lww})
    merged = merge(Person("a"), Person("b"), Person("c"), policy=policy)
    assert merged.conflicts[0].path == ("firstName",)
    assert merged.resolve({"firstName": "d"}).patch("theirs") == {"firstName": "d"}
