"""What is generated for a model does what the walk does, in every letter, on models that are drawn too."""

from __future__ import annotations

import copy
import datetime as dt
import gc
import itertools
import linecache
import math
import sys
import types
import uuid
import weakref
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from functools import partial
from random import Random
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
import pytest
from conftest import Tally
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mergecore import (
    UNSET,
    InvalidInput,
    Pass,
    Policy,
    PolicyError,
    StrategyError,
    TooDeep,
    add_wins,
    counter,
    fww,
    group,
    keep_both,
    keyed,
    largest,
    lww,
    merge,
    strategy,
    text,
    three_way,
)
from mergecore.comparing import kind_of_type
from mergecore.testing import PLAN_MUTANTS, Case, check, mutated
from mergecore.threeway import forget, walked
from mergecore.values import MAX_DEPTH, same

T = TypeVar("T")

# ---------------------------------------------------------------------------------------------------- drawn models


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 0
    HIGH = 1


class Street(msgspec.Struct):
    name: str = ""
    number: int = 0


class Place(msgspec.Struct, frozen=True):
    city: str = ""
    at: float = 0.0
    street: Street = msgspec.field(default_factory=Street)
    note: Any = None


@dataclass
class Plain:
    name: str = ""
    size: float = 0.0


class Span(msgspec.Struct):
    """Checks its fields against each other."""

    start: int = 0
    end: int = 9

    def __post_init__(self) -> None:
        if self.start > self.end:
            raise ValueError("start is above end")


class Item(msgspec.Struct):
    id: int
    qty: int = 0


_EAST = dt.timezone(dt.timedelta(hours=2))
_NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
_FLOATS = (0.0, -0.0, 1.0, 2.5, float("nan"))
_ANY = (None, 0, 1, True, 1.0, "1", [1], [True], {"a": 1}, {"a": True}, {"b": [0.0]}, Decimal("1.0"), Decimal("1.00"))

POOLS: list[tuple[Any, tuple[Any, ...]]] = [
    (str, ("", "a", "ab", "milk\nbread", "milk\noat")),
    (int, (0, 1, 2, -1, 10**20)),
    (bool, (True, False)),
    (float, _FLOATS),
    (bytes, (b"", b"x", b"y")),
    (dt.datetime, (_NOON, _NOON.astimezone(_EAST), _NOON.replace(fold=1), _NOON + dt.timedelta(1))),
    (dt.date, (dt.date(2026, 1, 2), dt.date(2026, 1, 3))),
    (dt.time, (dt.time(12), dt.time(12, tzinfo=dt.UTC), dt.time(12, fold=1))),
    (uuid.UUID, (uuid.UUID(int=1), uuid.UUID(int=2))),
    (Decimal, (Decimal("1.0"), Decimal("1.00"), Decimal("NaN"), Decimal(2))),
    (Color, tuple(Color)),
    (Level, tuple(Level)),
    (int | bool, (0, 1, True, False)),
    (float | None, (*_FLOATS, None)),
    (dt.datetime | None, (None, _NOON, _NOON.astimezone(_EAST))),
    (str | None, (None, "", "a", "b")),
    (str | msgspec.UnsetType, (UNSET, "", "a", "b")),
    (Literal["a", "b", 1, True], ("a", "b", 1, True)),
    (list[str], ([], ["a"], ["b"], ["a", "b"])),
    (list[float], ([], [0.0], [-0.0], [1.0])),
    (list[Item], ([], [Item(1)], [Item(1, 2)], [Item(2), Item(1)])),
    (set[str], (set(), {"a"}, {"b"}, {"a", "b"})),
    (dict[str, int], ({}, {"a": 1}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 2})),
    (dict[str, str], ({"a": "", "b": ""}, {"b": "", "a": ""})),
    (dict[str, Any], ({}, {"a": 1}, {"a": True}, {"a": [1]}, {"a": [2], "b": 0.0}, {"a": {"b": 1}})),
    (tuple[int, str], ((0, ""), (1, ""), (0, "a"))),
    (Any, _ANY),
    (Street, (Street(), Street("a"), Street("a", 2), Street("", 2))),
    (Street | None, (None, Street(), Street("a"))),
    (Place, (Place(), Place("x"), Place(at=-0.0), Place(street=Street("a")), Place(note=[1]), Place(note=[True]))),
    (Plain, (Plain(), Plain("a"), Plain(size=-0.0), Plain(size=1.0))),
    (Span, (Span(), Span(1, 9), Span(5, 9), Span(0, 3))),
]
"""Types, and values of each: equal ones that are spelled otherwise among them."""


@strategy("shorter", needs_base=False)
def shorter(base: Any, ours: Any, theirs: Any) -> Any:
    """A user's function, that chooses, or makes a value, or passes."""
    if not isinstance(ours, str) or not isinstance(theirs, str):
        return Pass("not texts")
    if len(ours) == len(theirs):
        return ours if ours == theirs else "".join(sorted((ours, theirs)))
    return min(ours, theirs, key=len)


STRATEGIES: tuple[Any, ...] = (
    None, None, None, lww, fww, keep_both, counter, largest, three_way(), add_wins, shorter | lww, text("line") | lww,
    keyed("id"),
)  # fmt: skip
NAMES = ("title", "f", "class", "None", "self", "ours", "é", "ﬁeld", "_x", "made", "base", "run")
SPELLED = {"title": "a b", "f": "quo'te", "made": "'''", "é": "'+v+'", "run": "#", "base": "{x}", "class": "["}
"""Encoded names; msgspec allows neither ``"`` nor ``\\`` nor a control character in one."""


def _fits(kind: Any, marked: Any) -> bool:
    if marked is add_wins:
        return bool(kind == set[str])
    return not (marked is not None and "keyed" in str(marked)) or bool(kind == list[Item])


def drawn(rng: Random, most: int = 6) -> Case:
    """A model of at most so many fields, a base, two sides that change some of it, and how that is to be merged."""
    n = rng.randint(1, most)
    chosen = [rng.choice(POOLS) for _ in range(n)]
    names = rng.sample(NAMES, n)
    grouped = rng.random() < 0.3
    how: dict[str, Any] = {"frozen": rng.random() < 0.5, "dict": rng.choice((False, False, True))}
    if rng.random() < 0.5:
        how["rename"] = SPELLED
    keys = [SPELLED.get(name, name) if "rename" in how else name for name in names]
    fields: list[Any] = []
    marks: dict[Any, Any] = {}
    for i, (name, key, (kind, pool)) in enumerate(zip(names, keys, chosen)):
        declared = Annotated[kind, msgspec.Meta(le=2)] if kind is int and rng.random() < 0.5 else kind
        mark = rng.choice([s for s in STRATEGIES if _fits(kind, s)])
        if grouped and i < 2:
            declared = Annotated[declared, group('"pair"\n')]
        elif mark is not None:
            marks[key,] = mark
        fields.append((name, declared, _default(pool[0])))
    deleted = next((key for key, (kind, _) in zip(keys, chosen) if kind in (bool, str | None)), None)
    has_column = deleted is not None and not grouped and rng.random() < 0.7
    policy = Policy(fields=marks, deleted=deleted if has_column else None)
    space: dict[str, Any] = {}
    if rng.choice((False, False, True)):
        space["__post_init__"] = _refuses
    model = msgspec.defstruct("Drawn", fields, namespace=space, **how)

    def value(pool: tuple[Any, ...], bounded: Any) -> Any:
        found = rng.choice(pool)
        return found if not hasattr(bounded, "__metadata__") or not isinstance(found, int) else min(found, 2)

    was = [value(pool, field[1]) for (_, pool), field in zip(chosen, fields)]
    places = list(zip(chosen, fields, was))
    sides = [[value(pool, f[1]) if rng.random() < 0.5 else b for (_, pool), f, b in places] for _ in "ot"]
    try:
        base, ours, theirs = (_anew(model, dict(zip(names, each))) for each in (was, *sides))
    except ValueError:  # what the class refuses is no record of it
        return drawn(rng, most)
    at = rng.choice((None, (1, 2), (2, 1), (5, 5), (5, 5), (_NOON, 7), ({(keys[0],): 1}, {(keys[0],): 2})))
    return Case(base, ours, theirs, policy, at=at)


def _default(value: Any) -> Any:
    return msgspec.field(default_factory=lambda: copy.deepcopy(value))


def _refuses(self: Any) -> None:
    held = [getattr(self, name) for name in self.__struct_fields__]
    if len(held) > 1 and all(held):
        raise ValueError("one of the fields has to be empty")


def _anew(model: Any, values: dict[str, Any]) -> Any:
    """An instance that shares with the others what cannot change, alone."""
    return model(**{name: _copy(value) for name, value in values.items()})


def _copy(value: Any) -> Any:
    if isinstance(value, str):
        return "".join([value])
    if isinstance(value, float):
        return float.fromhex(value.hex())
    if isinstance(value, (list, set)):
        return type(value)(map(_copy, value))
    return {key: _copy(below) for key, below in value.items()} if isinstance(value, dict) else value


@pytest.mark.laws
def test_what_is_generated_does_what_the_walk_does(tally: Tally) -> None:
    """Of drawn models, policies and changes: all laws, by the plan and by the walk; and most need no walk."""
    draws, alone = Counter[str](), 0
    asked = settings().max_examples // 4  # each is a model of its own, to be compiled

    @settings(max_examples=asked)
    @given(made_by(drawn))
    def holds(case: Case) -> None:
        nonlocal alone
        check(case)
        check(msgspec.structs.replace(case, walks=True))
        draws["all"] += 1
        alone += _is_planned(case)

    holds()
    tally("plans, drawn models", draws["all"], asked * 9 // 10)
    tally("plans, merged without the walk", alone, draws["all"] // 3)


def _is_planned(case: Case) -> bool:
    """Whether the generated function needs nobody's help."""
    merger = case.policy.bind(type(case.ours))
    helped = 0

    def walked(*_: Any) -> None:
        nonlocal helped
        helped += 1

    known = dict(merger.__globals__)  # type: ignore[attr-defined]
    merger.__globals__.update(walked=walked, Run=walked)  # type: ignore[attr-defined]
    try:
        merger(case.base, case.ours, case.theirs, at=case.at)
    except AttributeError:
        return False
    finally:
        merger.__globals__.update(known)  # type: ignore[attr-defined]
    return not helped


@pytest.mark.mutants
@pytest.mark.parametrize("name", PLAN_MUTANTS)
def test_the_laws_catch_a_broken_plan(name: str, tally: Tally) -> None:
    """A broken variant of the generator does not survive the laws."""
    tried = 0

    @settings(max_examples=30_000, derandomize=True, database=None, phases=[Phase.generate], report_multiple_bugs=False)
    @given(made_by(lambda rng: drawn(rng, 3), document))
    def holds(case: Case) -> None:
        nonlocal tried
        tried += 1
        check(case)

    with mutated(name), pytest.raises(AssertionError, match="the law") as caught:
        holds()
    tally(f"mutant {name!r}", tried, 1, f"caught by {str(caught.value).split(chr(39))[1]!r}")


# ---------------------------------------------------------------------------------------------------- documents


_SCALARS: tuple[Any, ...] = (None, True, False, 0, 1, 0.0, -0.0, 1.0, float("nan"), "", "a", "b", b"", [1], [True])


def document(rng: Random) -> Case:
    """Dictionaries, flat ones mostly, of which two sides change some values."""

    def value(depth: int = 0) -> Any:
        if rng.random() < 0.8 or depth > 3:
            return rng.choice(_SCALARS)
        return {key: value(depth + 1) for key in rng.sample("xyz", rng.randint(0, 3))}

    def side() -> dict[Any, Any]:
        kept = {key: value() if rng.random() < 0.4 else _copy(held) for key, held in base.items()}
        if rng.random() < 0.1:
            kept = {True if key == 1 else key: held for key, held in kept.items()}
        if rng.random() < 0.4:  # others were added, some are gone, and where they stand is another matter
            items = [*kept.items(), *((key, value()) for key in rng.sample("aefg", rng.randint(0, 2)))]
            kept = dict(rng.sample(items, len(items)) if rng.random() < 0.2 else items)
            for key in rng.sample([*kept], rng.randint(0, min(2, len(kept)))):
                del kept[key]
        return kept

    base = {key: value() for key in rng.sample(["a", "b", "c", "d", "e", rng.choice((1, True))], rng.randint(1, 5))}
    fields: Any = rng.choice(({}, {"a": counter}, {"b": keep_both}, {"*": fww}, {"a.x": largest}))
    return Case(base, side(), side(), Policy(fields=fields), at=rng.choice((None, (1, 2), (5, 5))))


def made_by(*makers: Callable[[Random], Case]) -> st.SearchStrategy[Case]:
    """Cases out of seeds that Hypothesis draws."""
    seeds = st.binary(min_size=12, max_size=12)
    return st.one_of(*(seeds.map(partial(_made, maker)) for maker in makers))


def _made(maker: Callable[[Random], Case], seed: bytes) -> Case:
    return maker(Random(seed))


@pytest.mark.laws
def test_documents_are_merged_as_the_walk_does(tally: Tally) -> None:
    """Dictionaries too, at any depth."""
    tried = 0

    @given(made_by(document))
    def holds(case: Case) -> None:
        nonlocal tried
        check(case)
        tried += 1

    holds()
    tally("plans, documents", tried, settings().max_examples * 9 // 10)


# ---------------------------------------------------------------------------------------------------- the code


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        (str, "exact"), (int | None, "exact"), (list[str], "exact"), (set[int], "exact"), (Street, "spelled"),
        (list[Item], "spelled"), (Literal["a", "b"], "exact"), (Color, "exact"), (Annotated[str, "x"], "exact"),
        (float, "float"), (float | None, "float"), (dt.datetime | None, "moment"), (dt.datetime | str, "spelled"),
        (dict[str, int], "map"), (dict[str, list[str]], "map"), (dict[str, float], "spelled"), (int | bool, "spelled"),
        (int | float, "spelled"), (Literal[1, True], "spelled"), (Decimal, "spelled"), (list[float], "spelled"),
        (Plain, "spelled"), (Any, "any"), (dict[str, Any], "any"), (list, "any"), (Place, "any"), (object, "any"),
    ],
)  # fmt: skip
def test_the_type_of_a_field_says_how_it_is_compared(declared: Any, kind: str) -> None:
    """By ``==`` where equal values of the type are spelled alike; strictly where they may not be."""
    assert kind_of_type(declared) == kind


class Chain(msgspec.Struct):
    name: str = ""
    below: Chain | None = None


def test_a_model_that_contains_itself_is_compiled() -> None:
    """Down to where it begins again."""
    base, ours = Chain("a", Chain("b", Chain("c"))), Chain("a", Chain("b", Chain("d")))
    theirs = Chain(
        "x",
        Chain(
            "b",
            Chain("c"),
        ),
    )
    assert Policy().bind(Chain)(base, ours, theirs).unwrap() == Chain("x", Chain("b", Chain("d")))


def test_a_bound_merge_is_called_as_merge_is() -> None:
    """The same ``Merged``: with conflicts, answers, patches and verdicts."""
    merger = Policy(default=keep_both).bind(Street)
    sides = Street("a"), Street("b", 1), Street("c", 2)
    bound = merger(*sides, names=("phone", "server"), at=(1, 2))
    plain = merge(*sides, policy=Policy(default=keep_both), names=("phone", "server"), at=(1, 2))
    assert bound.value == plain.value == Street("c", 2)
    assert bound.conflicts == plain.conflicts and len(bound.conflicts) == 2
    assert bound.explain() == plain.explain()
    answered = bound.resolve({"name": "d", "number": bound.conflicts[1].candidates[0]})
    assert answered.unwrap() == plain.resolve({"name": "d", "number": plain.conflicts[1].candidates[0]}).unwrap()
    assert answered.patch("phone") == {"name": "d", "number": 2}
    documents = Policy(fields={"n": counter}).bind("counts")
    assert documents({"n": 1}, {"n": 2}, {"n": 3}).unwrap() == {"n": 4}


def test_what_is_not_as_the_plan_expects_goes_to_the_walk() -> None:
    """Rows and dictionaries with ``model=``, absent sides, records of a subclass."""
    merger = Policy().bind(Street)
    assert merger({"name": "a"}, Street("b"), {"name": "a", "number": 3}).unwrap() == Street("b", 3)  # type: ignore[arg-type]
    assert merger(UNSET, Street("b"), Street("b")).unwrap() == Street("b")

    class Longer(Street):
        more: int = 0

    assert merge(Longer("a"), Longer("b"), Longer("a", 0, 1)).unwrap() == Longer("b", 0, 1)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"note": object()}, InvalidInput),
        ({"note": [[object()]]}, InvalidInput),
        ({"at": "far"}, None),
    ],
)
def test_what_cannot_be_compared_is_refused_as_by_the_walk(
    wrong: dict[str, Any], error: type[Exception] | None
) -> None:
    """Wherever it stands: also where nobody changed it."""
    for sides in ((wrong, {}, {}), ({}, wrong, {}), ({}, {}, wrong), (wrong, wrong, wrong)):
        base, ours, theirs = (Place(**side) for side in sides)
        for how in (merge, walked):
            if error is None:
                assert how(base, ours, theirs, None, None, ("ours", "theirs"), (1, 2)).conflicts == ()
            else:
                with pytest.raises(error):
                    how(base, ours, theirs, None, None, ("ours", "theirs"), (1, 2))


def test_what_a_users_function_raises_is_told_with_its_path() -> None:
    """As by the walk."""

    def broken(base: Any, ours: Any, theirs: Any) -> Any:
        raise ZeroDivisionError("no")

    with pytest.raises(StrategyError, match=r"name: strategy '.*broken' raised ZeroDivisionError"):
        Policy(fields={"name": broken}).bind(Street)(Street("a"), Street("b"), Street("c"))


def test_a_users_function_is_asked_once() -> None:
    """Also where what it says has to be looked at by the walk."""
    asked: list[tuple[Any, ...]] = []

    def counted(base: Any, ours: Any, theirs: Any) -> Any:
        asked.append((base, ours, theirs))
        return Pass("not mine")

    merged = Policy(fields={"name": strategy("counted")(counted) | lww}).bind(Street)
    assert merged(Street("a"), Street("b"), Street("c"), at=(1, 2)).unwrap() == Street("c")
    assert asked == [("a", "b", "c")]


def test_names_cannot_get_out_of_their_place() -> None:
    """Names that are Python's own words, that Python would spell otherwise, or that are code."""
    code = "x'] + __import__('os').abort() + ['"
    model = msgspec.defstruct("Odd", [("class", str), ("ﬁeld", str), ("None", int), ("a", str)], rename={"a": code})
    base, ours, theirs = model("a", "b", 1, "c"), model("A", "b", 1, "c"), model("a", "B", 2, "C")
    merged = Policy().bind(model)(base, ours, theirs)
    assert merged.unwrap() == model("A", "B", 2, "C")
    assert "abort" not in Policy().bind(model).source  # type: ignore[attr-defined]
    odd = "a\"\n'''{x}\\"
    assert merge({odd: 1, "b": 1}, {odd: 2, "b": 1}, {odd: 1, "b": 2}).unwrap() == {odd: 2, "b": 2}


def test_generated_code_can_be_read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is kept with the function, found by a traceback, and printed where somebody asked for that."""
    monkeypatch.setenv("MERGECORE_DEBUG", "1")
    model = msgspec.defstruct("Read", [("title", str), ("done", bool)])
    merger: Any = Policy().bind(model)
    assert "if theirs.title != base.title:" in merger.source
    assert merger.source in capsys.readouterr().err
    assert linecache.getlines(merger.__code__.co_filename)[0].startswith("def merge(")


def test_a_policy_that_is_made_anew_each_time_is_compiled_once() -> None:
    """Policies are compared by value."""
    assert Policy(default=fww).bind(Street) is Policy(default=fww).bind(Street)
    assert Policy(default=fww).bind(Street) is not Policy(default=lww).bind(Street)
    for n in range(3):  # ids of what is gone come again
        policy = Policy(default=fww if n % 2 else lww)
        merged = merge(Street("a"), Street("b"), Street("c"), policy=policy, at=(1, 2))
        assert merged.value == (Street("b") if n % 2 else Street("c"))


def test_a_mapping_of_policies_can_change() -> None:
    """It is read each time."""
    policies = {"Street": Policy(default=lww)}
    sides = Street("a"), Street("b"), Street("c")
    assert merge(*sides, policy=policies, at=(1, 2)).value == Street("c")
    policies["Street"] = Policy(default=fww)
    assert merge(*sides, policy=policies, at=(1, 2)).value == Street("b")


def test_an_integer_in_a_field_of_floats_is_another_spelling() -> None:
    """Type checkers allow it: what is equal and spelled otherwise is no change, and the same on both devices."""
    for base, ours, theirs, merged in ((1.0, 1.0, 1, 1), (1.0, 1, 1.0, 1), (1, 1.0, 2.0, 2.0), (1, 2.0, 1.0, 2.0)):
        value = merge(Place(at=base), Place(at=ours), Place(at=theirs)).unwrap().at
        told = (
            walked(Place(at=base), Place(at=ours), Place(at=theirs), None, None, ("ours", "theirs"), None).unwrap().at
        )
        assert (type(value), value) == (type(told), told) == (type(merged), merged)


def test_what_is_compiled_goes_when_nobody_has_it() -> None:
    """Models that are made at run time do not fill the memory: neither the code stays, nor its lines."""
    model = msgspec.defstruct("Gone", [("title", str)])
    merger: Any = Policy().bind(model)
    file, gone = merger.__code__.co_filename, weakref.ref(merger)
    assert linecache.getlines(file)
    del merger, model
    forget()
    gc.collect()
    assert gone() is None and file not in linecache.cache


class Word(StrEnum):
    X = "x"
    Y = "y"


class Other(StrEnum):
    X = "x"


class Known(msgspec.Struct):
    a: int = 0


class Longer(Known):
    """An instance of it stands where the other is declared, and says of itself what is equal."""

    z: Any = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Known) and self.a == other.a

    def __hash__(self) -> int:
        return 1


class Holds(msgspec.Struct):
    one: Known
    many: list[Known] = []
    word: Word | str = ""
    words: Word | Other = Word.X
    sets: set[int] | frozenset[int] = frozenset()
    open: Any = 5
    n: int = 0


_FIRST = Known()


@pytest.mark.parametrize(
    "values",
    [
        [{"one": Longer(1, "x")}, {"one": Longer(1, "ours")}, {"one": Longer(1, "theirs")}],
        [{"one": Longer(1, 1)}, {"one": Longer(1, 1), "n": 1}, {"one": Longer(1, 5)}],
        [{"many": [Longer(1, 1)]}, {"many": [Longer(1, 1)], "n": 1}, {"many": [Longer(1, 5)]}],
        [{"word": "x"}, {"word": "x", "n": 1}, {"word": Word.X}],
        [{"words": Word.X}, {"words": Word.Y}, {"words": Other.X}],
        [{"sets": {1}}, {"sets": {1}, "n": 1}, {"sets": frozenset((1,))}],
        [{"open": UNSET}, {"open": UNSET, "n": 1}, {"open": UNSET, "word": "a"}],
    ],
)
def test_what_a_type_does_not_say_is_not_taken_for_said(values: list[dict[str, Any]]) -> None:
    """Subclasses, instances that equal those of other classes, fields of any type without a value: as by the walk."""
    sides = [Holds(**{"one": _FIRST, **each}) for each in values]
    for base, ours, theirs in (sides, [sides[0], sides[2], sides[1]]):
        for at in (None, (1, 2)):
            planned = merge(base, ours, theirs, at=at)
            told = walked(base, ours, theirs, None, None, ("ours", "theirs"), at)
            assert same(planned.value, told.value) and planned.conflicts == told.conflicts


@pytest.mark.parametrize(
    ("base", "ours", "theirs"),
    [
        ({1: "a"}, {1: "a"}, {True: "a"}),
        ({"x": 1, "a": 0}, {Word.X: 1, "a": 1}, {"x": 2, "a": 0}),
        ({"m": {1: "a"}}, {"m": {1: "b"}}, {"m": {True: "a"}}),
    ],
)
def test_keys_that_are_equal_and_spelled_otherwise(base: Any, ours: Any, theirs: Any) -> None:
    """Python takes them for one; the merged record has the same one, whoever asks."""
    for mine, other in ((ours, theirs), (theirs, ours)):
        assert same(merge(base, mine, other).value, walked(base, mine, other, None, None, ("a", "b"), None).value)


@pytest.mark.parametrize(
    ("base", "ours", "theirs"),
    [
        ({"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 2, "c": 1}, {"a": UNSET, "b": 1, "c": 2}),
        ({"a": 1, "b": 1}, {"a": UNSET, "b": 1}, {"a": 1, "b": 2}),
        ({"x": {}}, {"x": {"a": UNSET}}, {"x": {}, "y": 1}),
        *(({"a": make()}, {"a": make()}, {"a": make()}) for make in (lambda: ValueError("x"), lambda: complex("nan"))),
        ({"a": ValueError("x"), "b": 1, "c": 1}, {"b": 2, "c": 1}, {"a": ValueError("x"), "b": 1, "c": 1}),
        ({"a": 1, 1: "x"}, {"a": 2, True: "x"}, {"a": 3, 1: "x"}),
        ({"x": {"a": 1, 1: "x"}}, {"x": {"a": 2, True: "x"}}, {"x": {"a": 3, 1: "x"}}),
    ],
)
def test_dictionaries_that_hold_what_is_no_data(base: Any, ours: Any, theirs: Any) -> None:
    """Keys without a value, and what looks the same and is not equal: as the walk has it."""
    planned, told = merge(base, ours, theirs), walked(base, ours, theirs, None, None, ("ours", "theirs"), None)
    assert same(planned.value, told.value) and len(planned.conflicts) == len(told.conflicts)


def test_of_two_sides_that_look_unchanged_it_takes_the_one_that_the_walk_takes() -> None:
    """They may differ in what nobody sees: the bits of a NaN, where missing keys come from."""
    sides: list[dict[str, Any]] = [{"a": defaultdict(kind, x=1), "b": n} for n, kind in enumerate((int, int, list))]
    base, ours, theirs = sides
    assert merge(base, ours, theirs, at=(1, 2)).value["a"].default_factory is list
    assert walked(base, ours, theirs, None, None, ("ours", "theirs"), (1, 2)).value["a"].default_factory is list


@pytest.mark.parametrize("at", [None, (1, 2), (2, 1), (5, 5)])
def test_any_three_plain_values_are_merged_as_the_walk_does(at: Any) -> None:
    """Two zeros, NaN, what Python takes for equal, nothing and emptiness: all triples of them."""
    plain = (0.0, -0.0, 1.5, math.nan, 0, 1, True, False, None, "", 1.0, b"")
    for one, mine, other in itertools.product(plain, repeat=3):
        sides = {"a": one}, {"a": mine}, {"a": other}
        planned, told = merge(*sides, at=at), walked(*sides, None, None, ("ours", "theirs"), at)
        assert same(planned.value, told.value) and len(planned.conflicts) == len(told.conflicts), sides


@pytest.mark.parametrize("levels", [199, 200])
@pytest.mark.parametrize("bottom", [[1], {"x": 1}])
def test_depth_is_counted_as_by_the_walk(levels: int, bottom: Any) -> None:
    """A list below as many levels as there may be is one too many."""

    def nested(value: Any) -> Any:
        for _ in range(levels):
            value = {"a": value}
        return value

    sides = nested(bottom), nested([*bottom, 2]), nested(bottom)
    if levels < MAX_DEPTH:
        assert same(merge(*sides).value, sides[1])
    else:
        with pytest.raises(TooDeep):
            merge(*sides)


class Bag(dict[Any, Any]):
    """A dictionary of its own class."""


class Bags(msgspec.Struct):
    bag: Bag
    count: Counter[int]
    n: int = 0


def test_dictionaries_of_a_class_of_their_own_stay_what_they_are() -> None:
    """Whatever their keys are: nothing is put right where nothing is wrong."""
    base, ours, theirs = ({"bag": Bag({1: 1}), "count": Counter([0]), "n": n} for n in (0, 1, 0))
    assert merge(base, ours, theirs, Bags).value == Bags(Bag({1: 1}), Counter([0]), 1)
    one, two, three = (Bags(Bag({0: 0, **more}), Counter([0, *more])) for more in ({}, {1: 1}, {2: 2}))
    merged = merge(one, two, three)
    assert merged.value == Bags(Bag({0: 0, 1: 1, 2: 2}), Counter([0, 1, 2])) and not merged.conflicts


def test_models_that_refer_to_each_other_are_compiled_in_time() -> None:
    """However many ways lead through them: some of their places are left to the walk."""
    module, n = types.ModuleType("knot"), 9
    source = ["import msgspec"]
    for i in range(n):
        below = "".join(f" k{j}: 'K{j} | None' = None\n" for j in range(n) if j != i)
        source.append(f"class K{i}(msgspec.Struct):\n x: int = 0\n{below}")
    sys.modules["knot"] = module
    exec("\n".join(source), vars(module))
    try:
        merger: Any = Policy().bind(module.K0)
        assert merger.source.count("\ndef ") < 100
        assert merger(module.K0(1), module.K0(2), module.K0(1)).unwrap() == module.K0(2)
    finally:
        del sys.modules["knot"]


class Nest(msgspec.Struct, Generic[T]):
    v: T
    below: Nest[list[T]] | None = None


def test_a_model_that_has_no_end_is_left_to_the_walk() -> None:
    """What cannot be compiled can be merged."""

    assert merge(Nest(1), Nest(2), Nest(1)).unwrap() == Nest(2)


def test_an_outcome_does_not_keep_what_keeps_it() -> None:
    """A record that has its own merge goes with it."""

    @dataclass
    class Keeps:
        x: int = 0
        merged: Any = None

    kept = Keeps(1)
    kept.merged = merge(Plain("a"), Plain("b"), Plain("c"))
    object.__setattr__(kept.merged.value, "keeper", kept)
    gone = weakref.ref(kept)
    del kept
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("model", [Street(), 42, None, [Street]])
def test_what_is_no_model_is_not_bound(model: Any) -> None:
    """An instance, say."""
    with pytest.raises(InvalidInput, match="is no model"):
        Policy().bind(model)


def test_a_policy_is_checked_where_it_is_bound() -> None:
    """And not first where two records meet."""
    with pytest.raises(PolicyError, match="did you mean 'number'"):
        Policy(fields={"numbr": lww}).bind(Street)
