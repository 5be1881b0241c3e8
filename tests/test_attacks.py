"""What attackers found, one test each: inputs that lost an update, chose the wrong winner, hung or crashed once."""

from __future__ import annotations

import collections
import datetime as dt
import enum
import time
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, NamedTuple

import msgspec
import pytest

from mergecore import (
    UNSET,
    AnswerError,
    InvalidInput,
    Policy,
    PolicyError,
    add_wins,
    counter,
    delete_wins,
    edit_wins,
    fww,
    group,
    keep_both,
    lww,
    merge,
    three_way,
)
from mergecore.values import canonical, identity


class Perm(enum.IntFlag):
    A = 1
    B = 2


class Colour(enum.Flag):
    RED = 1
    BLUE = 2


class Span(msgspec.Struct):
    start: Annotated[int, group("when", lww)] = 0
    end: Annotated[int, group("when", lww)] = 0


class Spans(msgspec.Struct):
    spans: dict[str, Span] = {}


class Inner(msgspec.Struct):
    n: int = 0
    __merge__: ClassVar[Policy] = Policy(fields={"nn": counter})


class Outer(msgspec.Struct):
    b: Inner


def test_annotations_that_cannot_be_read_are_told() -> None:
    """As when a name is imported for type checkers alone."""

    class Local(msgspec.Struct):
        n: int = 0

    class Holder(msgspec.Struct):
        b: Local

    with pytest.raises(InvalidInput, match="Holder has annotations that cannot be read"):
        merge(Holder(Local(1)), Holder(Local(2)), Holder(Local(3)))


def test_flags_without_a_name_are_told_apart() -> None:
    """Unknown bits and no bits at all have no name, and differ."""
    assert merge({"m": Perm(8)}, {"m": Perm(16)}, {"m": Perm(8)}).unwrap() == {"m": Perm(16)}
    assert merge({"d": Colour.BLUE}, {"d": Colour(0)}, {"d": Colour.BLUE}).unwrap() == {"d": Colour(0)}
    assert len(merge({"d": Colour.BLUE}, {"d": Colour(0)}, {"d": Colour.RED}).conflicts) == 1


def test_what_cannot_be_compared_is_refused() -> None:
    """No hash, so no identity but a text that may be abbreviated; or no text but an address."""

    class Array:
        __hash__ = None  # type: ignore[assignment]

        def __repr__(self) -> str:
            return "Array(0, ..., 0)"

    for value in (Array(), collections.deque([1]), object()):
        with pytest.raises(InvalidInput, match=r"v: base holds"):
            merge({"v": value}, {"v": 1}, {"v": 2})
    assert merge({"v": bytearray(b"a")}, {"v": bytearray(b"b")}, {"v": bytearray(b"a")}).unwrap()["v"] == b"b"


def test_a_list_of_another_class_in_the_base_is_the_base() -> None:
    """As with an ORM's mutable list over plain JSON."""

    class Tracked(list[int]):
        pass

    merged = merge({"d": [1, 2, 3]}, {"d": Tracked([1, 2])}, {"d": Tracked([1, 2, 3, 4])}).unwrap()
    assert merged == {"d": [1, 2, 4]}
    assert type(merged["d"]) is Tracked


def test_a_groups_own_time_comes_before_the_records() -> None:
    """Longest matching prefix, a group being between its members and their record."""
    assert merge(Span(), Span(1, 1), Span(2, 2), at=({"": 9, "when": 1}, {"when": 5})).unwrap() == Span(2, 2)
    base, edited = Spans({"x": Span(1, 1)}), Spans({"x": Span(2, 1)})
    merged = merge(base, edited, Spans({}), at=({"spans.x.when": 9}, {"spans.x": 5}), policy=Policy(deletes=lww))
    assert merged.unwrap() == edited


def test_nested_frozensets_are_ordered_in_linear_time() -> None:
    """Each level is looked at once."""

    def nested(levels: int, leaf: Any) -> Any:
        for _ in range(levels):
            leaf = frozenset([leaf])
        return leaf

    started = time.perf_counter()
    assert canonical(nested(60, 0)) < canonical(nested(60, 1))
    assert time.perf_counter() - started < 5


class Counted(int):
    """A number that counts how often it is compared, and that has the hash of any other."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return int(self) == other

    def __hash__(self) -> int:
        return 1


@pytest.mark.parametrize(
    "around",
    [
        lambda value: {"k": value}, lambda value: {"k": value, "n": None}, lambda value: {1: value, "b": 0},
        lambda value: {None: value, (1, None): 0, b"x": 0}, lambda value: [value, 0],
    ],
)  # fmt: skip
def test_what_is_nested_is_compared_once_at_each_level(around: Any) -> None:
    """Though all that is in it has one hash, as ``0`` and ``""`` have, or ``-1`` and ``-2``."""

    def nested(leaf: int) -> Any:
        value: Any = Counted(leaf)
        for _ in range(60):
            value = around(value)
        return value

    Counted.compared = 0
    assert identity(nested(1)) == identity(nested(1))
    assert identity(nested(1)) != identity(nested(2))
    assert len({identity(nested(leaf)) for leaf in range(10)}) == 10
    assert Counted.compared < 200


def test_maps_are_equal_whatever_the_order_of_their_keys_and_whatever_these_are() -> None:
    """``1`` and ``True`` are one key, as they are to Python."""
    keys: list[Any] = ["a", b"a", 1, 2.5, None, (1, "a"), (None,), dt.date(2026, 1, 2), float("nan"), Decimal("NaN")]
    for some in (keys, keys[:7], keys[:3], keys[:1]):
        one = dict(zip(some, range(10)))
        other = {True if key == 1 else key: one[key] for key in reversed(some)}
        assert identity(one) == identity(other) and hash(identity(one)) == hash(identity(other))
        assert identity(one) != identity({**other, some[0]: -1})


def test_what_raises_where_it_is_compared_is_not_equal() -> None:
    """Nobody gets the error of somebody's ``__eq__``, from a merge or from what is asked of it."""

    class Touchy:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("do not compare me")

        def __hash__(self) -> int:
            return 1

        def __repr__(self) -> str:
            return "Touchy"

    touchy = Touchy()
    merged = merge({"a": touchy}, {"a": touchy}, {"a": 1})
    assert merged.unwrap() == {"a": 1} and merged.explain() == ()
    assert len(merge({"a": Touchy()}, {"a": [1]}, {"a": 2}).conflicts) == 1


def test_a_deleted_column_is_no_member_of_a_group() -> None:
    """``deletes`` decides it, and a group's strategy cannot."""
    policy = Policy(deleted="at", groups={"gone": (("at", "by"), None)})
    with pytest.raises(PolicyError, match="at: says that the record is deleted"):
        merge(
            {"at": None, "by": None, "t": 1},
            {"at": 5, "by": "a", "t": 1},
            {"at": None, "by": None, "t": 2},
            policy=policy,
        )


def test_groups_hold_in_a_named_tuple() -> None:
    """Amount and currency are one fact there, too."""

    class Money(NamedTuple):
        amount: Annotated[int, group("money")]
        currency: Annotated[str, group("money")]

    merged = merge({"m": Money(1, "EUR")}, {"m": Money(2, "EUR")}, {"m": Money(1, "USD")})
    assert [c.path for c in merged.conflicts] == [("m", "money")]


def test_the_answer_does_not_depend_on_the_side_where_a_root_has_two_classes() -> None:
    """Neither class's own policy decides between them."""

    class A(msgspec.Struct, tag=True):
        x: int
        __merge__: ClassVar[Policy] = Policy(default=lww)

    class B(msgspec.Struct, tag=True):
        y: int
        __merge__: ClassVar[Policy] = Policy(default=fww)

    model: Any = A | B
    one = merge(A(1), A(2), B(3), model, at=(1, 2))
    other = merge(A(1), B(3), A(2), model, at=(2, 1), names=("theirs", "ours"))
    assert one.value == other.value


def test_a_patch_to_another_class_has_its_tag() -> None:
    """What is written on that side is the record."""

    class Cat(msgspec.Struct, tag=True):
        name: str

    class Dog(msgspec.Struct, tag=True):
        name: str

    model: Any = Cat | Dog
    assert merge(Cat("a"), Cat("b"), Dog("b"), model, at=(1, 2)).patch("ours") == {"type": "Dog"}


@pytest.mark.parametrize("default", [keep_both, three_way(), lww])
def test_the_deletion_of_a_whole_record_is_asked_of_deletes(default: Any) -> None:
    """Whatever the default would say of two changes."""
    policy = Policy(deleted="d", unit="record", default=default, deletes=edit_wins)
    merged = merge({"d": None, "x": 1}, {"d": 5, "x": 1}, {"d": None, "x": 2}, at=(9, 2), policy=policy)
    assert merged.unwrap() == {"d": None, "x": 2}


def test_a_candidate_of_a_subclass_answers_its_own_conflict() -> None:
    """It is what a side has, so it is not converted; and a list of such is valid."""

    class Moment(datetime):
        pass

    class Event(msgspec.Struct):
        at: datetime
        log: list[datetime] = []

    days = [Moment(2020, 1, n) for n in (1, 2, 3)]
    merged = merge(Event(days[0]), Event(days[1], [days[1]]), Event(days[2], [days[2]]))
    assert [c.path for c in merged.conflicts] == [("at",)]
    assert merged.resolve({"at": merged.conflicts[0].candidates[0]}).unwrap().at == days[2]


def test_a_wrong_path_in_a_nested_policy_is_told() -> None:
    """As it is at the root."""
    with pytest.raises(PolicyError, match="did you mean 'n'"):
        merge(Outer(Inner(1)), Outer(Inner(2)), Outer(Inner(3)))


def test_keys_that_python_takes_for_one_are_spelled_the_same_from_both_sides() -> None:
    """1 and 1.0, where one side spells its key otherwise."""
    one, other = merge({1: "z"}, {1.0: "a"}, {1: "b"}, at=(1, 2)), merge({1: "z"}, {1: "b"}, {1.0: "a"}, at=(2, 1))
    assert repr(one.value) == repr(other.value)


def test_a_record_deleted_in_two_ways_is_deleted() -> None:
    """Its row is gone on one side, and marked on the other: no edit stands against the deletion."""
    policy = Policy(deleted="gone")
    row = {"t": 1, "gone": None}
    assert merge(row, UNSET, row | {"gone": 7}, policy=policy).unwrap() == row | {"gone": 7}
    assert merge(row, UNSET, row | {"gone": 7, "t": 2}, policy=policy).conflicts


@pytest.mark.parametrize("answers", [{0: 5}, {None: 1}, [1], None])
def test_answers_that_are_none_are_told(answers: Any) -> None:
    """A path is a text or a tuple."""
    with pytest.raises(AnswerError):
        merge({"a": 1}, {"a": 2}, {"a": 3}).resolve(answers)


@pytest.mark.parametrize(
    "how",
    [
        {"fields": {0: lww}},
        {"fields": {"": lww}},
        {"fields": {(): lww}},
        {"groups": {(): (("a", "b"), None)}},
        {"groups": {"*": (("a", "b"), None)}},
        {"groups": {0: (("a", "b"), None)}},
    ],
)
def test_paths_of_a_policy_that_name_nothing_are_told(how: Any) -> None:
    """Where the policy is made."""
    with pytest.raises(PolicyError):
        Policy(**how)


def test_answering_thousands_of_conflicts_is_linear() -> None:
    """Each answer is looked up, not searched."""
    base = {f"k{i}": 0 for i in range(4000)}
    merged = merge(base, dict.fromkeys(base, 1), dict.fromkeys(base, 2))
    started = time.perf_counter()
    assert merged.resolve({c.path: 3 for c in merged.conflicts}).unwrap() == dict.fromkeys(base, 3)
    assert time.perf_counter() - started < 5


def test_two_strategies_of_one_name_and_another_signature_differ() -> None:
    """Else the cache of compiled policies would hand back the wrong one."""
    from mergecore import strategy

    def count(*args: Any) -> int:
        return len(args)

    for context, n in ((False, 3), (True, 4)):
        policy = Policy(fields={"a": strategy("f", context=context)(count)})
        assert merge({"a": 0}, {"a": 7}, {"a": 8}, policy=policy).unwrap() == {"a": n}


def test_true_and_one_in_a_set_are_one_element_for_python() -> None:
    """A Python set cannot hold both: the same one everywhere."""
    one = merge({"s": set()}, {"s": {1}}, {"s": {True}}, policy=Policy(default=add_wins, deletes=delete_wins))
    other = merge({"s": set()}, {"s": {True}}, {"s": {1}}, policy=Policy(default=add_wins, deletes=delete_wins))
    assert repr(one.value) == repr(other.value)


def test_an_element_that_was_changed_beside_one_that_came_or_went_is_found() -> None:
    """Edited on both sides, next to an insertion, a deletion: one element, and one question at its field."""
    base: list[dict[str, Any]] = [{"id": 1, "x": 0, "y": 0}, {"id": 2, "x": 0, "y": 0}]
    merged = merge(base, [{"id": 2, "x": 5, "y": 0}], [{"id": 1, "x": 0, "y": 0}, {"id": 2, "x": 0, "y": 7}])
    assert merged.unwrap() == [{"id": 2, "x": 5, "y": 7}]
    ticked = {"id": 1, "text": "milk", "done": True}
    base = [{"id": 1, "text": "milk", "done": False}]
    renamed = [{"id": 1, "text": "oat milk", "done": False}]
    merged = merge(base, [{"id": 2, "text": "eggs", "done": False}, ticked], renamed)
    assert merged.unwrap() == [{"id": 2, "text": "eggs", "done": False}, {"id": 1, "text": "oat milk", "done": True}]
    base = [{"s": "A", "q": 0}, {"s": "B", "q": 0}]
    named = merge(base, [{"s": "A", "q": 1}, {"s": "B", "q": 0}],
                  [{"s": "N", "q": 0}, {"s": "A", "q": 0, "x": 1}])  # fmt: skip
    assert named.unwrap() == [{"s": "N", "q": 0}, {"s": "A", "q": 1, "x": 1}]


def test_a_map_that_was_moved_replaces_nothing() -> None:
    """Though it shares half of its fields with the element in whose place it stands."""
    base, n3 = [{"id": i, "q": 0} for i in range(4)], {"id": 3, "q": 0}
    ours = [{"id": 0, "q": 5}, *base[1:]]
    theirs = [n3, *base[1:3]]
    assert n3 in merge(base, ours, theirs, at=(2, 1), policy=Policy(deletes=edit_wins)).unwrap()
