"""Policies: which strategy where, and what it says when that cannot mean anything."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Optional, TypedDict

import msgspec
import pytest
from msgspec import UNSET, UnsetType

from mergecore import (
    Conflict,
    InvalidInput,
    Merged,
    MergeError,
    Policy,
    PolicyError,
    Strategy,
    add_wins,
    counter,
    delete_wins,
    edit_wins,
    fww,
    group,
    keep_both,
    largest,
    lww,
    merge,
    prefer,
    smallest,
    three_way,
)
from mergecore.policy import rule_for
from mergecore.values import same


def both(base: Any, ours: Any, theirs: Any, at: Any = None, **given: Any) -> Merged[Any]:
    """A merge, and that swapping the sides changes nothing."""
    merged = merge(base, ours, theirs, at=at, **given)
    back = merge(base, theirs, ours, at=at and at[::-1], **(given | {"names": ("theirs", "ours")}))
    assert same(merged.value, back.value)
    assert merged.conflicts == back.conflicts
    return merged


def decided(base: Any, ours: Any, theirs: Any, **given: Any) -> dict[str, str]:
    """Which part decided where, by path in text."""
    verdicts = merge(base, ours, theirs, at=(2, 1), **given).explain()
    return {".".join(map(str, verdict.path)): verdict.decided_by for verdict in verdicts}


# ---- precedence: each rank against the next


class Leaf(msgspec.Struct, frozen=True):
    n: int = 0
    m: Annotated[int, smallest] = 0
    __merge__: ClassVar[Policy] = Policy(default=largest, fields={"m": counter})


class Bare(msgspec.Struct, frozen=True):
    n: int = 0


class Ranked(msgspec.Struct):
    a: Annotated[int, fww] = 0
    b: int = 0
    leaf: Leaf = Leaf()
    bare: Bare = Bare()
    marked: Annotated[Leaf, three_way() | fww] = Leaf()
    __merge__: ClassVar[Policy] = Policy(
        default=counter, fields={"a": keep_both, "b": prefer("ours"), "leaf.n": keep_both}
    )


ONE = Ranked(1, 1, Leaf(1, 1), Bare(1), Leaf(1, 1))
TWO = Ranked(2, 2, Leaf(2, 2), Bare(2), Leaf(2, 2))


def ranked(policy: Policy | None = None) -> dict[str, str]:
    return decided(Ranked(), ONE, TWO, policy=policy)


def test_the_policys_fields_come_first() -> None:
    """Before an annotation, a nested model's own, and everything else."""
    found = ranked(Policy(fields={"a": lww, "leaf.n": lww, "leaf.m": lww, "marked.m": lww}))
    assert (found["a"], found["leaf.n"], found["leaf.m"], found["marked.m"]) == ("lww", "lww", "lww", "lww")


def test_an_annotation_comes_before_every_merge_attribute_and_default() -> None:
    """Before the nested model's fields, the policy's default, and the model's own fields."""
    assert ranked()["a"] == "fww"
    assert ranked()["leaf.m"] == "smallest"
    assert ranked(Policy(default=lww))["a"] == "fww"


def test_a_nested_models_policy_comes_before_the_policys_default() -> None:
    """What a model says of itself holds wherever it stands."""
    assert ranked(Policy(default=lww))["leaf.n"] == "largest"


def test_a_nested_models_policy_comes_before_the_outer_models_own() -> None:
    """The nested model's default ranks before the fields that the model's own policy names."""
    assert ranked()["leaf.n"] == "largest"


def test_the_policys_default_comes_before_the_models_own() -> None:
    """Before all that it says of fields, its default and its fields alike."""
    found = ranked(Policy(default=lww))
    assert (found["b"], found["bare.n"]) == ("lww", "lww")


def test_the_models_own_policy_comes_before_the_librarys_default() -> None:
    """Its fields, then its default."""
    found = ranked()
    assert (found["b"], found["bare.n"]) == ("prefer", "counter")


def test_without_a_policy_the_default_is_three_way_then_lww() -> None:
    """Maps by key, lists by element, and the later of two scalars."""
    assert decided({"a": {"b": 0}}, {"a": {"b": 1}}, {"a": {"b": 2}}) == {"a.b": "lww"}
    (conflict,) = both({"a": 0}, {"a": 1}, {"a": 2}).conflicts
    assert conflict.strategy == "three_way() | lww"


def test_a_strategy_on_a_model_governs_it_up_to_a_strategy_below() -> None:
    """An annotation on the field outranks the nested model's default; a field of its own stays its own."""
    found = ranked()
    assert (found["marked.n"], found["marked.m"]) == ("fww", "smallest")


class Inner(msgspec.Struct, frozen=True):
    x: int = 0
    __merge__: ClassVar[Policy] = Policy(fields={"x": largest})


class Middle(msgspec.Struct, frozen=True):
    inner: Inner = Inner()
    y: int = 0
    __merge__: ClassVar[Policy] = Policy(default=smallest, fields={"inner.x": counter})


class Outer(msgspec.Struct, frozen=True):
    middle: Middle = Middle()


def test_the_innermost_models_policy_comes_first() -> None:
    """A model's policy holds in it; the one around it comes next."""
    found = decided(Outer(), Outer(Middle(Inner(1), 1)), Outer(Middle(Inner(2), 2)))
    assert found == {"middle.inner.x": "largest", "middle.y": "smallest"}


@pytest.mark.parametrize(
    ("fields", "place", "winner"),
    [
        ({"a.b": largest, "a.*": lww, "*.b": fww, "*.*": smallest}, "a.b", "largest"),
        ({"a.*": lww, "*.b": fww, "*.*": smallest}, "a.b", "lww"),
        ({"*.b": fww, "*.*": smallest}, "a.b", "fww"),
        ({"*.*": smallest, "a": three_way() | fww}, "a.b", "smallest"),
        ({"a": three_way() | fww, "*": three_way() | largest}, "a.b", "fww"),
        ({"a": fww, "*": lww}, "a", "fww"),
        ({"*": fww}, "a", "fww"),
    ],
)
def test_the_most_literal_path_wins(fields: dict[str, Strategy], place: str, winner: str) -> None:
    """Fewer wildcards first, then those that stand later; a deeper path before a shallower."""
    for order in (list(fields), list(fields)[::-1]):
        policy = Policy(fields={path: fields[path] for path in order})
        found = decided({"a": {"b": 0}}, {"a": {"b": 1}}, {"a": {"b": 2}}, policy=policy)
        assert found == {place: winner}


@pytest.mark.parametrize(
    ("path", "base", "ours", "theirs", "merged"),
    [
        ("l[].n", {"l": [{"n": 0}]}, {"l": [{"n": 1}]}, {"l": [{"n": 2}]}, {"l": [{"n": 3}]}),
        (("l", ..., "n"), {"l": [{"n": 0}]}, {"l": [{"n": 1}]}, {"l": [{"n": 2}]}, {"l": [{"n": 3}]}),
        ("items[]", {"items": [0, 9]}, {"items": [1, 9]}, {"items": [2, 9]}, {"items": [3, 9]}),
        ("*", {"x": 0, "y": 0}, {"x": 1, "y": 1}, {"x": 2, "y": 2}, {"x": 3, "y": 3}),
        ("a.*.n", {"a": {"p": {"n": 0}}}, {"a": {"p": {"n": 1}}}, {"a": {"p": {"n": 2}}}, {"a": {"p": {"n": 3}}}),
        ("a~1b", {"a.b": 0}, {"a.b": 1}, {"a.b": 2}, {"a.b": 3}),
        (("a.b",), {"a.b": 0}, {"a.b": 1}, {"a.b": 2}, {"a.b": 3}),
    ],
)  # fmt: skip
def test_a_star_and_brackets_stand_for_any_key_and_element(
    path: Any, base: Any, ours: Any, theirs: Any, merged: Any
) -> None:
    """In text, and as ``...`` in a tuple."""
    assert both(base, ours, theirs, policy=Policy(fields={path: counter})).unwrap() == merged


def test_a_strategy_governs_what_is_below_it() -> None:
    """Up to a path with a strategy of its own."""
    policy = Policy(fields={"a": three_way() | counter, "a.b.y": largest})
    base = {"a": {"b": {"x": 0, "y": 0}}, "c": 0}
    ours, theirs = ({"a": {"b": {"x": n, "y": n}}, "c": n} for n in (1, 2))
    found = decided(base, ours, theirs, policy=policy)
    assert found == {"a.b.x": "counter", "a.b.y": "largest", "c": "lww"}


# ---- annotations


class Annotations(msgspec.Struct):
    plain: Annotated[int, counter] = 0
    maybe: Annotated[int, counter] | None = None
    optional: Optional[Annotated[int, counter]] = None  # noqa: UP045
    outside: Annotated[int | None, counter] = None
    unset: Annotated[int, counter] | UnsetType = UNSET
    items: list[Annotated[int, counter]] = []
    by_key: dict[str, Annotated[int, counter]] = {}
    pair: tuple[str, Annotated[int, counter]] = ("", 0)
    deep: dict[str, list[Annotated[int, counter]]] = {}
    noted: Annotated[Annotated[int, counter], msgspec.Meta(description="doubly")] = 0


def test_an_annotation_counts_inside_other_types() -> None:
    """In ``list[...]``, ``dict[...]``, fixed tuples, ``Optional``, unions, and annotations of annotations."""

    def at(n: int) -> Annotations:
        return Annotations(n, n, n, n, n, [n], {"k": n}, ("", n), {"k": [n]}, n)

    assert both(at(0), at(1), at(2)).unwrap() == at(3)


class ByField(TypedDict):
    n: Annotated[int, counter]


@dataclass
class Data:
    n: Annotated[int, counter] = 0
    movie: ByField = field(default_factory=lambda: ByField(n=0))


def test_an_annotation_counts_in_a_dataclass_and_a_typed_dict() -> None:
    """As in a Struct."""
    assert both(Data(0, {"n": 0}), Data(1, {"n": 1}), Data(2, {"n": 2})).unwrap() == Data(3, {"n": 3})


def test_two_strategies_in_one_annotation_are_refused() -> None:
    """They would have to be put in an order: joined with ``|``."""

    class Doubled(msgspec.Struct):
        n: Annotated[int, counter, lww] = 0

    with pytest.raises(PolicyError, match=r"n: .*counter and lww.*\|"):
        merge(Doubled(), Doubled(1), Doubled(2))


def test_a_strategy_that_lacks_its_arguments_is_no_annotation_to_be_overlooked() -> None:
    """``Annotated[list[int], three_way]`` means ``three_way()`` and would otherwise say nothing."""

    class Forgotten(msgspec.Struct):
        n: Annotated[list[int], three_way] = []

    with pytest.raises(PolicyError, match=r"n.*three_way\(\.\.\.\)"):
        merge(Forgotten(), Forgotten([1]), Forgotten([2]))


# ---- unions and recursion


class Tree(msgspec.Struct):
    n: Annotated[int, counter] = 0
    children: list[Tree] = []
    left: Tree | None = None


def test_a_recursive_model_has_a_policy_at_every_depth() -> None:
    """Rules are made as they are asked for."""
    trees = [Tree(n, [Tree(n, [Tree(n)])], Tree(n, [], Tree(n))) for n in range(4)]
    assert both(trees[0], trees[1], trees[2]).unwrap() == trees[3]


def test_a_policys_path_goes_down_a_recursive_model() -> None:
    """As far as it is written."""
    policy = Policy(fields={"left.left.n": largest})
    trees = [Tree(n, [], Tree(n, [], Tree(n))) for n in range(3)]
    assert both(trees[0], trees[1], trees[2], policy=policy).unwrap() == Tree(3, [], Tree(3, [], Tree(2)))


class Card(msgspec.Struct, tag="card"):
    n: Annotated[int, counter] = 0
    last4: str = ""


class Cash(msgspec.Struct, tag="cash"):
    n: Annotated[int, largest] = 0


class Wallet(msgspec.Struct):
    pay: Card | Cash | int | list[Annotated[int, counter]] | None = None
    note: str = ""


def test_a_union_goes_by_the_type_that_the_value_has() -> None:
    """Each member's annotations hold where the value is one of it."""
    assert both(Wallet(Card(0)), Wallet(Card(1)), Wallet(Card(2))).unwrap() == Wallet(Card(3))
    assert both(Wallet(Cash(0)), Wallet(Cash(1)), Wallet(Cash(2))).unwrap() == Wallet(Cash(2))
    assert both(Wallet([0]), Wallet([1]), Wallet([2])).unwrap() == Wallet([3])


def test_two_types_of_a_union_are_one_unit_against_each_other() -> None:
    """No half of one is put into the other."""
    ours, theirs = Wallet(Card(1), "o"), Wallet(Cash(2))
    assert both(Wallet(Card(0)), ours, theirs, at=(1, 2)).unwrap() == Wallet(Cash(2), "o")
    (conflict,) = both(Wallet(Card(0)), ours, theirs).conflicts
    assert conflict.path == ("pay",)


class Kept(msgspec.Struct, tag="kept"):
    n: int = 0
    __merge__: ClassVar[Policy] = Policy(default=keep_both)


class Timed(msgspec.Struct, tag="timed"):
    n: int = 0
    __merge__: ClassVar[Policy] = Policy(default=lww, unit="record")


class Holder(msgspec.Struct):
    x: Kept | Timed | None = None


@pytest.mark.parametrize(("ours", "theirs"), [(Kept(1), None), (Kept(1), Timed(2)), (Timed(1), None)])
def test_the_strategy_of_a_union_does_not_depend_on_which_side_is_ours(ours: Any, theirs: Any) -> None:
    """Two members of it, or a record against ``None``: the same answer on both devices."""
    both(Holder(Kept(0)), Holder(ours), Holder(theirs), at=(1, 2))
    both(Holder(Kept(0)), Holder(ours), Holder(theirs), at=(2, 1))
    both(Holder(), Holder(ours), Holder(theirs), at=(1, 2))


def test_a_policy_may_name_a_field_of_any_member_of_a_union() -> None:
    """A path is wrong only where no member has it."""
    policy = Policy(fields={"pay.last4": largest})
    merged = both(Wallet(Card(0, "")), Wallet(Card(0, "1")), Wallet(Card(0, "2")), policy=policy)
    assert merged.unwrap() == Wallet(Card(0, "2"))


# ---- groups


class Event(msgspec.Struct):
    title: str = ""
    start: Annotated[int, group("when")] = 0
    end: Annotated[int, group("when")] = 0
    amount: Annotated[int, group("price", strategy=fww)] = 0
    currency: Annotated[str, group("price")] = ""


def test_a_group_by_annotation_is_one_field() -> None:
    """No record mixes two people's halves: one value, one conflict, its own path."""
    ours, theirs = Event("o", 1, 0, 5, ""), Event("", 0, 9, 0, "EUR")
    merged = both(Event(), ours, theirs, at=(1, 2))
    assert merged.unwrap() == Event("o", 0, 9, 5, "")
    conflicts = both(Event(), ours, theirs).conflicts
    assert [conflict.path for conflict in conflicts] == [("when",), ("price",)]
    assert conflicts[0].base == {"start": 0, "end": 0}
    assert {frozenset(c.value.items()) for c in conflicts[0].candidates} == {
        frozenset({("start", 1), ("end", 0)}), frozenset({("start", 0), ("end", 9)}),
    }  # fmt: skip
    assert [conflict.strategy for conflict in conflicts] == ["three_way() | lww", "fww"]


@pytest.mark.parametrize("name", ["when", ("when",)])
def test_a_group_by_policy_is_one_field(name: Any) -> None:
    """Of a model, and of a record that has none."""
    policy = Policy(groups={name: (("a", "b"), lww)})
    base, ours, theirs = {"a": 0, "b": 0, "c": 0}, {"a": 1, "b": 0, "c": 1}, {"a": 0, "b": 2, "c": 0}
    assert both(base, ours, theirs, policy=policy, at=(1, 2)).unwrap() == {"a": 0, "b": 2, "c": 1}
    assert list(both(base, ours, theirs, policy=policy, at=(1, 2)).value) == ["a", "b", "c"]


@pytest.mark.parametrize("path", ["x.when", "items[].when", "*.when"])
def test_a_group_may_stand_anywhere(path: str) -> None:
    """Its path is the parent's plus the group's name."""
    policy = Policy(groups={path: (("a", "b"), keep_both)})
    low, mine, other = {"a": 0, "b": 0}, {"a": 1, "b": 0}, {"a": 0, "b": 1}
    base, ours, theirs = ({"x": x, "items": [x]} for x in (low, mine, other))
    found = {conflict.path for conflict in both(base, ours, theirs, policy=policy).conflicts}
    assert found == ({("items", 0, "when")} if path == "items[].when" else {("x", "when")})


def test_a_group_whose_members_only_one_side_changed_is_that_sides() -> None:
    """Both halves by one person are one change; nothing is asked."""
    merged = both(Event(), Event("", 1, 2), Event("t"))
    assert merged.unwrap() == Event("t", 1, 2)


def test_equal_changes_of_a_group_are_no_conflict() -> None:
    """Both halves the same on both sides."""
    assert both(Event(), Event("", 1, 2), Event("t", 1, 2)).unwrap() == Event("t", 1, 2)


def test_structural_parts_leave_a_group_whole() -> None:
    """Even ``three_way()`` alone does not look into it."""
    policy = Policy(groups={"g": (("a", "b"), three_way())})
    (conflict,) = both({"a": 0, "b": 0}, {"a": 1, "b": 0}, {"a": 0, "b": 1}, policy=policy).conflicts
    assert conflict.path == ("g",)
    policy = Policy(groups={"g": (("a", "b"), three_way() | lww)})
    nested = both({"a": {"x": 0}, "b": 0}, {"a": {"x": 1}, "b": 0}, {"a": {"x": 0}, "b": 1}, policy=policy, at=(2, 1))
    assert nested.unwrap() == {"a": {"x": 1}, "b": 0}


def test_members_that_are_absent_are_left_out_of_a_groups_value() -> None:
    """A group of which nothing is there is absent itself: an edit against its deletion is asked of ``deletes``."""
    policy = Policy(groups={"g": (("a", "b"), lww)}, deletes=edit_wins)
    (conflict,) = both({"a": 0}, {"a": 1}, {"b": 1}, policy=policy).conflicts
    assert conflict.base == {"a": 0}
    assert [candidate.value for candidate in conflict.candidates] == [{"b": 1}, {"a": 1}]
    assert both({"a": 0, "c": 0}, {"c": 0}, {"a": 1, "c": 0}, policy=policy).unwrap() in (
        {"a": 1, "c": 0}, {"c": 0, "a": 1},
    )  # fmt: skip


def test_a_function_for_a_group_sees_and_returns_a_mapping() -> None:
    """Of its members."""

    def widest(base: Any, ours: Any, theirs: Any) -> Any:
        return {"start": min(ours["start"], theirs["start"]), "end": max(ours["end"], theirs["end"])}

    policy = Policy(groups={"when": (("start", "end"), widest)})
    merged = both(Event("", 5, 6), Event("", 4, 6), Event("", 5, 8), policy=policy)
    assert merged.unwrap() == Event("", 4, 8)


def test_a_function_for_a_group_that_returns_something_else_is_told_so() -> None:
    """An error that names the members; of a model, whose types say what a group's value is, an invariant."""
    policy = Policy(groups={"when": (("start", "end"), lambda base, ours, theirs: 3)})
    with pytest.raises(MergeError, match=r"when: .*start, end"):
        merge({"start": 0}, {"start": 1}, {"start": 2}, policy=policy)
    (conflict,) = both(Event(), Event("", 1), Event("", 2), policy=policy).conflicts
    assert (conflict.path, conflict.reason) == (("when",), "invariant")


def test_a_group_of_the_policy_outranks_one_of_an_annotation() -> None:
    """``Policy.groups`` ranks as ``Policy.fields`` does."""
    policy = Policy(groups={"when": (("start", "end"), fww)})
    assert decided(Event(), Event("", 1), Event("", 2), policy=policy) == {"when": "fww"}


def test_the_groups_of_a_models_own_policy_hold_under_a_policys_default() -> None:
    """That two fields are one fact does not change with who decides."""

    class Own(msgspec.Struct):
        a: int = 0
        b: int = 0
        __merge__: ClassVar[Policy] = Policy(groups={"g": (("a", "b"), None)})

    assert both(Own(), Own(1, 0), Own(0, 1), policy=Policy(default=lww), at=(1, 2)).unwrap() == Own(0, 1)
    assert both(Own(), Own(1, 0), Own(0, 1), at=(1, 2)).unwrap() == Own(0, 1)


def test_a_group_goes_by_its_members_encoded_names() -> None:
    """As paths do."""

    class Renamed(msgspec.Struct, rename="camel"):
        start_at: Annotated[int, group("when")] = 0
        end_at: Annotated[int, group("when")] = 0

    (conflict,) = both(Renamed(), Renamed(1, 0), Renamed(0, 1)).conflicts
    assert conflict.base == {"startAt": 0, "endAt": 0}
    assert both(Renamed(), Renamed(1, 0), Renamed(0, 1)).resolve(
        {"when": {"startAt": 3, "endAt": 4}}
    ).unwrap() == Renamed(3, 4)


def test_a_key_with_a_groups_name_is_refused() -> None:
    """Two questions would stand at one path, and one answer would go into both."""
    policy = Policy(groups={"when": (("start", "end"), lww)})
    base = {"when": 0, "start": 1, "end": 2}
    with pytest.raises(PolicyError, match=r"when: .*rename the group"):
        merge(base, base | {"start": 5}, base | {"when": 6, "end": 7}, policy=policy, at=(1, 2))


# ---- deletes, deleted, unit


class Note(msgspec.Struct):
    text: str = ""
    deleted_at: int | None = None


@pytest.mark.parametrize(
    ("deletes", "value", "is_open"),
    [(edit_wins, {"k": 2}, False), (delete_wins, {}, False), (lww, {"k": 2}, False), (keep_both, {"k": 2}, True)],
)
def test_deletes_decides_an_edit_against_a_deletion(deletes: Strategy, value: Any, is_open: bool) -> None:
    """And not the field's strategy."""
    policy = Policy(deletes=deletes, default=three_way() | fww)
    merged = both({"k": 0}, {}, {"k": 2}, policy=policy, at=(1, 2))
    assert merged.value == value
    assert bool(merged.conflicts) == is_open


class Item(msgspec.Struct, frozen=True):
    n: int = 0
    deleted: bool = False
    __merge__: ClassVar[Policy] = Policy(deletes=edit_wins, deleted="deleted")


class Cart(msgspec.Struct, frozen=True):
    items: dict[str, Item] = {}


def test_a_nested_models_deletes_decides_the_deletion_of_its_records() -> None:
    """As a model's own policy does for the whole record."""
    assert both(Item(), UNSET, Item(1)).unwrap() == Item(1)
    soft = both(Cart({"a": Item()}), Cart({"a": Item(0, True)}), Cart({"a": Item(1)}))
    assert soft.unwrap() == Cart({"a": Item(1)})
    assert both(Cart({"a": Item()}), Cart({}), Cart({"a": Item(1)})).unwrap() == Cart({"a": Item(1)})


class Bag(msgspec.Struct, frozen=True):
    keys: dict[str, int] = {}
    __merge__: ClassVar[Policy] = Policy(deletes=delete_wins)


class Trunk(msgspec.Struct, frozen=True):
    bag: Bag = Bag()
    keys: dict[str, int] = {}


def test_a_nested_models_deletes_holds_for_what_is_in_it() -> None:
    """For the keys below, and before the policy's own, which holds elsewhere."""
    one, two = Trunk(Bag({}), {}), Trunk(Bag({"a": 2}), {"a": 2})
    merged = both(Trunk(Bag({"a": 0}), {"a": 0}), one, two, policy=Policy(deletes=edit_wins))
    assert merged.unwrap() == Trunk(Bag({}), {"a": 2})


@pytest.mark.parametrize(
    ("deletes", "deleted", "is_open"),
    [(edit_wins, None, False), (delete_wins, 5, False), (lww, None, False), (keep_both, None, True)],
)
def test_a_soft_delete_column_means_deletion(deletes: Strategy, deleted: Any, is_open: bool) -> None:
    """The column's value is asked of ``deletes``; other fields merge as ever."""
    policy = Policy(deleted="deleted_at", deletes=deletes)
    merged = both(Note("a"), Note("a", 5), Note("b"), policy=policy, at=(1, 2))
    assert merged.value == Note("b", deleted)
    assert [conflict.path for conflict in merged.conflicts] == [("deleted_at",)] * is_open


def test_a_soft_deletion_against_no_edit_and_against_another_is_an_ordinary_change() -> None:
    """A side that did not change yields; two deletions are two values of a column."""
    policy = Policy(deleted="deleted_at", deletes=keep_both)
    assert both(Note("a"), Note("a", 5), Note("a"), policy=policy).unwrap() == Note("a", 5)
    assert both(Note("a"), Note("a", 5), Note("b", 6), policy=policy, at=(1, 2)).unwrap() == Note("b", 6)
    assert both(Note("a", 5), Note("b", 5), Note("a"), policy=policy).unwrap() == Note("b")


def test_an_answer_settles_a_soft_deletion() -> None:
    """At the column's path."""
    policy = Policy(deleted="deleted_at", deletes=keep_both)
    merged = both(Note("a"), Note("a", 5), Note("b"), policy=policy)
    assert merged.resolve({"deleted_at": 5}).unwrap() == Note("b", 5)
    assert merged.resolve({"deleted_at": None}).unwrap() == Note("b")


def test_a_soft_delete_column_counts_in_plain_records_and_in_nested_models() -> None:
    """By key, and by the nested model's own policy."""
    policy = Policy(deleted="gone", deletes=delete_wins)
    assert both({"t": 0}, {"t": 0, "gone": True}, {"t": 1}, policy=policy).unwrap() == {"t": 1, "gone": True}


def test_with_the_whole_record_as_one_leaf_the_later_record_wins_whole() -> None:
    """``unit="record"`` with ``lww``; ``keep_both`` makes any two-sided change a conflict."""
    ours, theirs = {"a": 1, "b": {"c": 0}}, {"a": 0, "b": {"c": 2}}
    base = {"a": 0, "b": {"c": 0}}
    whole = Policy(unit="record", default=lww)
    assert both(base, ours, theirs, policy=whole, at=(2, 1)).unwrap() == ours
    (conflict,) = both(base, ours, theirs, policy=Policy(unit="record", default=keep_both)).conflicts
    assert conflict.path == ()
    assert both(base, ours, base, policy=whole).unwrap() == ours
    assert both(base, ours, dict(ours), policy=Policy(unit="record", default=keep_both)).unwrap() == ours
    assert both(base, ours, theirs, policy=Policy(unit="record"), at=(2, 1)).unwrap() == ours


def test_a_record_as_one_leaf_goes_by_its_default_even_where_fields_have_strategies() -> None:
    """Annotations say nothing of a record that is not opened."""
    assert both(
        Annotations(0), Annotations(1), Annotations(2), policy=Policy(unit="record", default=lww), at=(1, 2)
    ).unwrap() == (Annotations(2))


class Home(msgspec.Struct, frozen=True):
    street: str = ""
    city: str = ""
    __merge__: ClassVar[Policy] = Policy(unit="record")


class Customer(msgspec.Struct, frozen=True):
    address: Home = Home()
    home: Annotated[Home, three_way() | lww] = Home()


def test_a_nested_model_may_be_one_leaf() -> None:
    """By its own policy."""
    one, two = Home("s", ""), Home("", "c")
    merged = both(Customer(), Customer(one, one), Customer(two, two), at=(1, 2))
    assert merged.unwrap() == Customer(two, Home("s", "c"))


def test_a_policys_unit_comes_before_the_models_own() -> None:
    """``unit="field"`` opens a record that its model calls one leaf."""

    class Whole(msgspec.Struct):
        a: int = 0
        b: int = 0
        __merge__: ClassVar[Policy] = Policy(unit="record")

    assert both(Whole(), Whole(1), Whole(0, 2), at=(1, 2)).unwrap() == Whole(0, 2)
    assert both(Whole(), Whole(1), Whole(0, 2), policy=Policy(unit="field")).unwrap() == Whole(1, 2)


@pytest.mark.parametrize(("deletes", "value"), [(edit_wins, Note("b")), (delete_wins, Note("a", 5))])
def test_a_soft_deletion_of_a_record_that_is_one_leaf_is_asked_of_deletes(deletes: Strategy, value: Note) -> None:
    """A soft-delete column means deletion, and a deletion against an edit is not the field's strategy's business."""
    policy = Policy(unit="record", default=lww, deleted="deleted_at", deletes=deletes)
    for at in ((1, 2), (2, 1)):
        assert both(Note("a"), Note("a", 5), Note("b"), policy=policy, at=at).unwrap() == value


def test_the_default_may_leave_lists_and_maps_whole_but_never_a_record() -> None:
    """A record is always walked by field; the default is for its fields."""
    policy = Policy(default=lww)
    base, ours, theirs = (
        {"a": {"x": 0, "y": 0}, "b": 0},
        {"a": {"x": 1, "y": 0}, "b": 0},
        {"a": {"x": 0, "y": 2}, "b": 2},
    )
    assert both(base, ours, theirs, policy=policy, at=(2, 1)).unwrap() == {"a": {"x": 1, "y": 0}, "b": 2}
    one, two = Ranked(bare=Bare(1)), Ranked(b=2)
    assert both(Ranked(), one, two, policy=policy).unwrap() == Ranked(b=2, bare=Bare(1))


# ---- mappings of policies


def test_a_mapping_goes_by_the_models_name() -> None:
    """The model's, nested models' too, and before what they say of themselves."""
    policies = {"Bare": Policy(default=counter), "Leaf": Policy(fields={"n": fww}), "Other": Policy(default=keep_both)}
    found = decided(Ranked(), ONE, TWO, model=Ranked, policy=policies)
    assert (found["bare.n"], found["leaf.n"], found["a"]) == ("counter", "fww", "fww")
    assert both(Bare(), Bare(1), Bare(2), model=Bare, policy=policies).unwrap() == Bare(3)


def test_a_mapping_goes_by_the_name_of_a_table() -> None:
    """``model="stock"`` for layers that know no types; a table that is not listed has the defaults."""
    policies = {"stock": Policy(default=counter)}
    base, ours, theirs = {"n": 0}, {"n": 1}, {"n": 2}
    assert both(base, ours, theirs, model="stock", policy=policies).unwrap() == {"n": 3}
    assert both(base, ours, theirs, model="prices", policy=policies, at=(1, 2)).unwrap() == {"n": 2}


def test_a_mapping_without_a_model_is_refused() -> None:
    """There is nothing to choose by."""
    with pytest.raises(PolicyError, match="model="):
        merge({"n": 0}, {"n": 1}, {"n": 2}, policy={"stock": Policy()})


# ---- what a policy cannot mean


class Address(msgspec.Struct, frozen=True):
    street: str = ""
    zip_code: str = ""


class Order(msgspec.Struct):
    title: str = ""
    address: Address = Address()
    items: list[Address] = []
    labels: dict[str, int] = {}
    __merge__: ClassVar[Policy] = Policy()


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (Policy(fields={"titel": lww}), "Order has no field 'titel'; did you mean 'title'"),
        (Policy(fields={"address.zipcode": lww}), "address: Address has no field 'zipcode'; did you mean 'zip_code'"),
        (Policy(fields={"items.street": lww}), r"items: .*items\[\].street"),
        (Policy(fields={"items[].stret": lww}), r"items\[\]: Address has no field 'stret'; did you mean 'street'"),
        (Policy(fields={"title.x": lww}), "title: str has no fields"),
        (Policy(fields={"qqq": lww}), "it has address, items, labels, title"),
        (Policy(groups={"g": (("title", "labls"), lww)}), "'labls'; did you mean 'labels'"),
        (Policy(groups={"title": (("address", "labels"), lww)}), "name of a field"),
        (Policy(groups={"adress.g": (("street", "zip_code"), lww)}), "did you mean 'address'"),
        (Policy(groups={"g": (("title", "labels"), lww), "h": (("title", "items"), lww)}), "title: is in two groups"),
        (Policy(deleted="titl"), "did you mean 'title'"),
    ],
)
def test_a_path_that_leads_nowhere_is_an_error_with_the_nearest_spelling(policy: Policy, says: str) -> None:
    """A typing error in a policy must not mean that the policy is silently not there."""
    with pytest.raises(PolicyError, match=says):
        merge(Order(), Order("a"), Order("b"), policy=policy)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Policy(fields={"a..b": lww}), "is no path"),
        (lambda: Policy(fields={"notes": "lww"}), "'lww' is no strategy"),  # type: ignore[dict-item]
        (lambda: Policy(fields={"notes": three_way}), r"write three_way\(\.\.\.\)"),  # type: ignore[dict-item]
        (lambda: Policy(default=3), "3 is no strategy"),  # type: ignore[arg-type]
        (lambda: Policy(fields=["notes"]), "mappings"),  # type: ignore[arg-type]
        (lambda: Policy(groups={"when": ("start", "end")}), "when: a group is"),  # type: ignore[dict-item]
        (lambda: Policy(groups={"when": ((), lww)}), "when: a group is"),
        (lambda: Policy(groups={"when": ("start", lww)}), "when: a group is"),
        (lambda: Policy(deletes=counter), "edit_wins, delete_wins, lww or keep_both"),
        (lambda: Policy(deletes="lww"), "edit_wins, delete_wins, lww or keep_both"),  # type: ignore[arg-type]
        (lambda: Policy(unit="table"), '"field" or "record"'),  # type: ignore[arg-type]
        (lambda: Policy(deleted=""), "name of a column"),
    ],
)
def test_a_policy_that_cannot_mean_anything_is_refused_when_it_is_made(make: Callable[[], Any], says: str) -> None:
    """And the message says what would."""
    with pytest.raises(PolicyError, match=says):
        make()


@pytest.mark.parametrize("bad", ["lww", three_way, 3])
def test_what_is_no_strategy_is_refused_with_the_path_that_it_was_given_for(bad: Any) -> None:
    """Of twenty fields, which."""
    with pytest.raises(PolicyError, match="notes") as caught:
        Policy(fields={"title": lww, "notes": bad})
    assert caught.value.path == ("notes",)


def test_a_strategy_in_the_place_of_a_policy_is_refused_with_what_to_write() -> None:
    """``Policy(default=...)``; and a mapping must hold policies."""
    with pytest.raises(PolicyError, match=r"Policy\(default=\.\.\.\)"):
        merge({"a": 0}, {"a": 1}, {"a": 2}, policy=lww)  # type: ignore[call-overload]
    with pytest.raises(PolicyError, match=r"policies\['t'\]"):
        merge({"a": 0}, {"a": 1}, {"a": 2}, model="t", policy={"t": lww})  # type: ignore[dict-item]


def test_a_merge_attribute_that_is_no_policy_is_refused() -> None:
    """It names the model."""

    class Wrong(msgspec.Struct):
        a: int = 0
        __merge__: ClassVar[Any] = lww

    with pytest.raises(PolicyError, match=r"Wrong\.__merge__"):
        merge(Wrong(), Wrong(1), Wrong(2))


def test_two_strategies_for_one_group_are_refused() -> None:
    """Its annotations disagree."""

    class Torn(msgspec.Struct):
        a: Annotated[int, group("g", strategy=lww)] = 0
        b: Annotated[int, group("g", strategy=fww)] = 0

    with pytest.raises(PolicyError, match="'g' has two strategies"):
        merge(Torn(), Torn(1), Torn(2))


# ---- policies are values


def test_policies_are_compared_and_hashed_by_value() -> None:
    """Made twice, in any order of the fields, they are one."""
    made = [
        Policy(
            default=lww, fields=dict(order), groups={"g": (("a", "b"), None)}, deletes=lww, deleted="d", unit="record"
        )
        for order in ([("x", lww), ("y", fww)], [("y", fww), ("x", lww)])
    ]
    assert made[0] == made[1]
    assert hash(made[0]) == hash(made[1])
    assert made[0] != Policy()
    assert Policy(fields={"a.b": lww}) == Policy(fields={("a", "b"): lww})


def test_a_policy_does_not_change() -> None:
    """Nor does the mapping that it was made of reach into it."""
    fields: dict[Any, Strategy] = {"a": counter}
    policy = Policy(fields=fields)
    fields["a"] = keep_both
    assert both({"a": 0}, {"a": 1}, {"a": 2}, policy=policy).unwrap() == {"a": 3}
    with pytest.raises(TypeError):
        policy.fields["b"] = lww  # type: ignore[index]
    with pytest.raises(AttributeError):
        policy.unit = "record"  # type: ignore[misc]


def test_a_policy_is_compiled_once_for_a_model() -> None:
    """Then cached: the same rule object."""
    policy = Policy(default=lww, fields={"title": fww})
    assert rule_for(Order, policy) is rule_for(Order, Policy(default=lww, fields={"title": fww}))
    assert rule_for(Order, None) is rule_for(Order, None)


def test_a_named_tuple_without_types_is_open() -> None:
    """``collections.namedtuple`` declares names only."""
    plain = namedtuple("plain", "a b")
    policy = Policy(fields={"a": counter})
    merged = both(plain(0, 0), plain(1, 0), plain(2, 5), policy=policy)
    assert merged.unwrap() == plain(3, 5)


def test_conflicts_tell_the_strategy_that_left_them_open() -> None:
    """As text, the whole of it."""
    policy = Policy(fields={"a": add_wins | counter | lww})
    (conflict,) = both({"a": ""}, {"a": "x"}, {"a": "y"}, policy=policy).conflicts
    assert isinstance(conflict, Conflict)
    assert conflict.strategy == "add_wins | counter | lww"
    assert conflict.reason == "not sets; not numbers; no times"


def test_an_error_in_a_policy_is_a_value_error_of_the_package() -> None:
    """One tree of named errors."""
    assert issubclass(PolicyError, MergeError)
    assert issubclass(PolicyError, ValueError)
    assert not issubclass(PolicyError, InvalidInput)
