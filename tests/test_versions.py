"""Reading and writing versions: operations by named authors, then the record that everybody shows and who wrote what.

``World`` plays the operations; its ``check`` brings all replicas together in every order, through bytes too, and
compares what comes out with what was expected.
"""

from __future__ import annotations

import itertools
import math
import pickle
import sqlite3
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mergecore import (
    UNSET,
    AnswerError,
    Clock,
    Conflict,
    InvalidInput,
    MergeError,
    Policy,
    PolicyError,
    RecordDeleted,
    SchemaMismatch,
    Strategy,
    Timestamp,
    TooDeep,
    Version,
    VersionVector,
    add_wins,
    counter,
    delete_wins,
    edit_wins,
    format_path,
    fww,
    group,
    join,
    keep_both,
    keyed,
    largest,
    lww,
    prefer,
    strategy,
    text,
    three_way,
)
from mergecore.testing import Case, cases
from mergecore.values import canonical

pytestmark = pytest.mark.filterwarnings("error")


class Address(msgspec.Struct):
    """A record in a record."""

    street: str = ""
    zip: str = ""


class Item(msgspec.Struct):
    """An element of a keyed list."""

    id: int
    qty: int = 1


class Task(msgspec.Struct):
    """One field of every sort."""

    title: str = ""
    assignee: Annotated[str | None, keep_both] = None
    notes: Annotated[str, text()] = ""
    votes: Annotated[int, counter] = 0
    tags: Annotated[set[str], add_wins] = msgspec.field(default_factory=set)
    start: Annotated[int | None, group("when")] = None
    end: Annotated[int | None, group("when")] = None
    home: Address = msgspec.field(default_factory=Address)
    labels: dict[str, Any] = {}
    items: Annotated[list[Item], keyed("id") | lww] = []
    names: list[str] = []


class World:
    """Replicas of one record by their authors' names, each with a clock; every operation is a moment later than all
    before it. ``origin`` makes the record, and everybody has it.
    """

    def __init__(self, record: Any, authors: str = "ann ben cat", policy: Policy | None = None) -> None:
        self.moment = 1_700_000_000_000
        self.policy = policy
        self.origin = Version.new(self.clock("origin"), record, policy=policy)
        self.model = type(record) if not isinstance(record, dict) else None
        self.clocks = {name: self.clock(name) for name in authors.split()}
        self.at: dict[str, Version[Any]] = dict.fromkeys(self.clocks, self.origin)

    def clock(self, name: str, locked: bool = False) -> Clock:
        """A clock by the wall of this world."""
        return (Clock.locked if locked else Clock)(name, now=self._now)

    def _now(self) -> float:
        self.moment += 1
        return self.moment

    def do(self, who: str, method: str, *given: Any, **more: Any) -> Version[Any]:
        """One operation of an author on his newest version."""
        self.at[who] = getattr(self.at[who], method)(self.clocks[who], *given, **more)
        return self.at[who]

    def edit(self, who: str, changes: Mapping[str, Any] | None = None, **more: Any) -> Version[Any]:
        """An edit."""
        return self.do(who, "edit", changes or {}, **more)

    def put(self, who: str, record: Any, base: Any = None, **more: Any) -> Version[Any]:
        """A whole record."""
        return self.do(who, "put", record, base, **more)

    def send(self, source: str, *targets: str) -> None:
        """One replica delivers what it has."""
        for target in targets:
            self.at[target] = join(self.at[target], self.at[source])

    def sync(self) -> Version[Any]:
        """Everybody has everything: in whatever order, and through bytes, it is the same."""
        held = list(self.at.values())
        joined = join(*held)
        for order in itertools.permutations(held):
            other = join(*order)
            assert other.encode() == joined.encode()
            right = order[-1]
            for one in reversed(order[:-1]):
                right = join(one, right)
            assert right.encode() == joined.encode()
            assert other.record == joined.record and other.conflicts == joined.conflicts and other.lost == joined.lost
        assert all(join(joined, one) == joined and one.seen <= joined.seen for one in held)
        assert self.decoded(joined).encode() == joined.encode()
        hub = join(*(Version.decode(v.encode()) for v in held))  # which knows no model
        assert hub.encode() == joined.encode()
        if not joined.deleted:
            assert joined.put(self.clock("nobody"), joined.record) is joined
        self.at = dict.fromkeys(self.at, joined)
        return joined

    def decoded(self, version: Version[Any]) -> Version[Any]:
        """The same through bytes."""
        return Version.decode(version.encode(), self.model, self.policy)

    def check(
        self,
        record: Any = ...,
        conflicts: Mapping[str, list[Any]] | None = None,
        lost: Mapping[str, list[Any]] | None = None,
        owners: Mapping[str, str] | None = None,
    ) -> Version[Any]:
        """Brings everybody together, and compares. ``owners``: whose writes stand in a field."""
        v = self.sync()
        if record is not ...:
            assert v.record == record
        found = {path_of(c): [x.value for x in c.candidates] for c in v.conflicts}
        assert {p: sorted(x, key=canonical) for p, x in found.items()} == {
            p: sorted(x, key=canonical) for p, x in (conflicts or {}).items()
        }
        losers: dict[str, list[Any]] = {}
        for x in v.lost:
            losers.setdefault(path_of(x), []).append(x.value)
        assert losers == {p: list(x) for p, x in (lost or {}).items()}
        for path, names in (owners or {}).items():
            assert owners_of(v, path) == names, path
        return v


def path_of(what: Any) -> str:
    """The text of where something is open, or lost."""
    return format_path(what.path)


def owners_of(version: Version[Any], path: str) -> str:
    """The authors of what stands in a field, in the order in which they wrote."""
    return " ".join(head.name for head in version.explain(path).heads)


def writes_of(version: Version[Any], *path: str) -> tuple[Any, ...]:
    """What the history of a field keeps."""
    state = version._fields[path]
    writes: tuple[Any, ...] = state.writes  # type: ignore[union-attr]
    return writes


# --------------------------------------------------------------------------------------------- the issue's example


def test_the_example_of_the_issue() -> None:
    """A stale form, an edit beside it, a join, a resolution and a fork, as the issue writes them."""
    laptop, phone = Clock("laptop"), Clock("phone")
    shown = Task(title="milk")
    v0 = Version.new(laptop, Task(title="milk"))
    stale = Task(title="milk", notes="2 l")
    ours = v0.edit(laptop, title="oat milk", assignee="ann")
    theirs = v0.put(phone, Task(title="milk", notes="2 l", assignee="ben"), base=shown)
    v = join(ours, theirs)
    assert v == join(theirs, ours) == join(v, ours)
    assert v.record.title == "oat milk" and v.record.notes == "2 l"
    assert [c.path for c in v.conflicts] == [("assignee",)] and v.lost == ()
    assert v.stamps["title"] == ours.stamps["title"] and v.stamps["title"].node == laptop.node
    assert v.created == v0.created and v.updated == max(v.seen.values()) and not v.deleted
    assert v0.seen <= v.seen and ours.seen <= v.seen and theirs.seen <= v.seen
    settled = v.resolve(laptop, {"assignee": v.conflicts[0].candidates[1]})
    assert settled.record.assignee == v.conflicts[0].candidates[1].value and settled.conflicts == ()
    kept, copy = v.fork(laptop, "assignee")
    assert {kept.record.assignee, copy.record.assignee} == {"ann", "ben"} and copy.id != kept.id
    assert join(ours, theirs).put(phone, stale, base=shown) == join(ours, theirs), "said already: nobody is reverted"


def test_a_stale_form_saved_whole_reverts_nobody() -> None:
    """The form shows the record of last week, its author changes one field, and all others stay as they are."""
    w = World(Task("milk", notes="one\ntwo\nthree\n", votes=1, tags={"shop"}))
    form = w.at["cat"].record
    w.edit("ann", title="oat milk", votes=5, tags={"shop", "vegan"}, notes="ONE\ntwo\nthree\n")
    w.edit("ben", start=1, end=2, assignee="ben")
    w.send("ann", "cat")
    w.send("ben", "cat")
    form.labels["colour"] = "red"
    w.put("cat", form, base=w.origin)
    w.check(
        Task("oat milk", "ben", "ONE\ntwo\nthree\n", 5, {"shop", "vegan"}, 1, 2, labels={"colour": "red"}),
        owners={"title": "ann", "notes": "ann", "when": "ben", "labels": "cat", "assignee": "ben"},
    )


# ---------------------------------------------------------------------------------------------------- domination


def test_two_clients_of_one_server_are_concurrent() -> None:
    """Both put against one version, and one server stamps both: neither has seen the other's."""
    w = World({"title": "milk"}, "server", Policy(default=keep_both))
    w.clocks["server"] = w.clock("server", locked=True)
    page = w.at["server"]
    w.put("server", {"title": "oat milk"}, base=page, by="ann")
    w.put("server", {"title": "soy milk"}, base=page, by="ben")
    v = w.check(conflicts={"title": ["oat milk", "soy milk"]}, owners={"title": "server server"})
    assert {(c.value, c.by) for c in v.conflicts[0].candidates} == {("oat milk", "ann"), ("soy milk", "ben")}
    w.put("server", {"title": "rice milk"}, base=v, by="cat")
    w.check({"title": "rice milk"}, owners={"title": "server"})


def test_two_clients_of_one_server_lose_nothing_under_lww() -> None:
    """The loser is kept until somebody who saw it writes."""
    w = World({"title": "milk"}, "server")
    page = w.at["server"]
    w.put("server", {"title": "oat milk"}, base=page, by="ann")
    w.put("server", {"title": "soy milk"}, base=page, by="ben")
    v = w.check({"title": "soy milk"}, lost={"title": ["oat milk"]})
    lost = v.lost[0]
    assert (lost.by, lost.decided_by, lost.beaten_by) == ("ann", "lww", v.stamps["title"])
    w.edit("server", title="rice milk")
    w.check({"title": "rice milk"})


def test_a_later_stamp_alone_supersedes_nothing() -> None:
    """A write dominates what its author had seen, however late it is stamped."""
    w = World({"title": "milk"}, policy=Policy(default=keep_both))
    w.edit("ann", title="a")
    w.moment += 10_000_000
    w.edit("ben", title="b")
    w.check({"title": "b"}, conflicts={"title": ["a", "b"]}, owners={"title": "ann ben"})


def test_an_earlier_wall_clock_supersedes_what_it_saw() -> None:
    """A device whose clock is an hour behind writes above what it has seen."""
    w = World({"title": "milk"}, policy=Policy(default=keep_both))
    w.edit("ann", title="a")
    w.send("ann", "ben")
    w.moment -= 3_600_000
    w.edit("ben", title="b")
    v = w.check({"title": "b"}, owners={"title": "ben"})
    assert v.updated > w.origin.updated


@pytest.mark.parametrize("n", [2, 3, 4])
def test_more_than_two_heads_are_one_conflict_with_every_candidate(n: int) -> None:
    """Each with its value, its stamp, the name of the node and the person."""
    names = ["ann", "ben", "cat", "dan"][:n]
    w = World({"title": "milk"}, " ".join(names), Policy(default=keep_both))
    for name in names:
        w.edit(name, title=f"{name}'s", by=name.upper())
    v = w.check(conflicts={"title": [f"{name}'s" for name in names]}, owners={"title": " ".join(names)})
    for c in v.conflicts[0].candidates:
        assert c.value == f"{c.name}'s" and c.by == c.name.upper() and c.stamp is not None
        assert c.stamp.node == w.clocks[c.name].node and c.stamp in [h.stamp for h in v.explain("title").heads]
    assert any(v.record["title"] == c.value for c in v.conflicts[0].candidates)


def test_equal_writes_are_no_conflict() -> None:
    """Two people who say the same agree; both stay owners."""
    w = World({"title": "milk"}, policy=Policy(default=keep_both))
    w.edit("ann", title="oat")
    w.edit("ben", title="oat")
    w.check({"title": "oat"}, owners={"title": "ann ben"})


@pytest.mark.parametrize(
    ("decided", "shown", "lost"),
    [(lww, "c", ["a", "b"]), (fww, "a", ["b", "c"]), (largest, "c", None), (prefer("ben"), "b", ["a"])],
    ids=str,
)
def test_who_wins_of_three(decided: Strategy, shown: str, lost: list[str] | None) -> None:
    """Losers are listed under a strategy that chooses; what nobody prefers stays open."""
    w = World({"title": "milk"}, policy=Policy(default=decided))
    for name in ("ann", "ben", "cat"):
        w.edit(name, title=name[0])
    v = w.sync()
    assert v.record == {"title": shown}
    if lost is not None:
        assert {x.value for x in v.lost} >= set(lost)


# ------------------------------------------------------------------------------------------------------- runs


TEXTS = Policy(default=text())


def test_typing_keeps_one_write_in_history() -> None:
    """An autosave a second does not push the common ancestor out."""
    w = World({"notes": "one\ntwo\nthree\nfour\n"}, policy=TEXTS)
    for i in range(20):
        w.edit("ann", notes=f"one {i}\ntwo\nthree\nfour\n")
    assert len(writes_of(w.at["ann"], "notes")) == 2, "the origin's, and ann's run"
    w.edit("ben", notes="one\ntwo\nthree\nFOUR\n")
    v = w.check({"notes": "one 19\ntwo\nthree\nFOUR\n"}, owners={"notes": "ann ben"})
    assert [s.base_is for s in v.explain("notes").steps] == ["ancestor"]


def test_typing_under_lww_keeps_one_write() -> None:
    """What needs no base keeps its heads alone."""
    w = World({"title": ""})
    for i in range(20):
        w.edit("ann", title="x" * i)
    assert len(writes_of(w.at["ann"], "title")) == 1


def _two_writes(**how: Any) -> int:
    w = World({"notes": "a\nb\nc\n", "title": "x"}, policy=TEXTS)
    v = w.edit("ann", notes="A\nb\nc\n", **how.get("first", {}))
    if "learns" in how:
        w.edit("ben", title="y")
        w.send("ben", "ann")
    shared = how["shared"](w.origin, v) if "shared" in how else None
    w.edit("ann", notes="AA\nb\nc\n", shared=shared, **how.get("second", {}))
    return len(writes_of(w.at["ann"], "notes"))


@pytest.mark.parametrize(
    ("how", "kept"),
    [
        ({}, 2),
        ({"shared": lambda v0, v: v0.seen}, 2),
        ({"shared": lambda v0, v: v.seen}, 3),
        ({"first": {"by": "ann"}, "second": {"by": "ann"}}, 2),
        ({"first": {"by": "ann"}, "second": {"by": "joe"}}, 3),
        ({"second": {"by": "joe"}}, 3),
        ({"learns": True}, 3),
    ],
    ids=["goes on", "handed out before", "handed out", "one author", "another author", "an author at last", "learned"],
)
def test_what_ends_a_run(how: dict[str, Any], kept: int) -> None:
    """What was handed out since, another author, anything learned of the record."""
    assert _two_writes(**how) == kept


def test_shared_ends_runs_field_by_field() -> None:
    """A field whose last write was not handed out goes on with its run."""
    w = World({"a": "1\n", "b": "1\n"}, "ann", TEXTS)
    handed_out = w.edit("ann", a="2\n").seen
    w.edit("ann", b="2\n", shared=handed_out)
    w.edit("ann", a="3\n", b="3\n", shared=handed_out)
    assert (len(writes_of(w.at["ann"], "a")), len(writes_of(w.at["ann"], "b"))) == (3, 2)


def test_put_ends_a_run_unless_told() -> None:
    """A request was answered with what it wrote; an autosave by ``put`` says that nothing was handed out."""
    w = World({"a": "1\n"}, "ann", TEXTS)
    w.put("ann", {"a": "2\n"})
    w.put("ann", {"a": "3\n"})
    assert len(writes_of(w.at["ann"], "a")) == 3
    w.put("ann", {"a": "4\n"}, shared=VersionVector())
    assert len(writes_of(w.at["ann"], "a")) == 3


def test_extending_a_run_of_which_others_saw_the_middle_loses_no_edit() -> None:
    """What was said to be unshared was handed out after all: that costs at most exactness, never an edit."""
    w = World({"notes": "1\n2\n3\n4\n5\n"}, policy=TEXTS)
    w.edit("ann", notes="A\n2\n3\n4\n5\n")
    w.send("ann", "ben")
    w.edit("ann", notes="AA\n2\n3\n4\n5\n")
    w.edit("ben", notes="A\n2\n3\n4\nB\n")
    v = w.sync()
    assert v.record == {"notes": "AA\n2\n3\n4\nB\n"} and v.conflicts == ()


# ------------------------------------------------------------------------------------------------------ bases


LINES = "1\n2\n3\n4\n5\n6\n7\n8\n9\n"


def line(held: str, n: int, new: str) -> str:
    """A text with one line replaced."""
    lines = held.splitlines()
    lines[n - 1] = new
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("depth", [0, 1, 2, 8])
def test_a_carried_or_a_shared_base_merges_texts(depth: int) -> None:
    """At depth 0 the base travels with the writes; deeper, it is a write that both have."""
    w = World({"notes": LINES}, policy=Policy(default=text(), depth=depth))
    w.edit("ann", notes=line(LINES, 1, "a"))
    w.edit("ben", notes=line(LINES, 9, "b"))
    w.edit("cat", notes=line(LINES, 5, "c"))
    v = w.check({"notes": "a\n2\n3\n4\nc\n6\n7\n8\nb\n"}, owners={"notes": "ann ben cat"})
    first, second = v.explain("notes").steps
    assert first.base == second.base == LINES and first.base_is == second.base_is == "ancestor"
    assert first.why.startswith("what" if depth == 0 else "written at"), first.why


def test_a_criss_cross_has_the_view_of_both_ancestors_as_its_base() -> None:
    """Git's recursive base: two ancestors, neither of which is below the other, are merged first."""
    w = World({"notes": LINES}, "ann ben", Policy(default=text()))
    a = w.edit("ann", notes=line(LINES, 1, "a"))
    b = w.edit("ben", notes=line(LINES, 9, "b"))
    w.at = {"ann": join(a, b), "ben": join(b, a)}
    both = w.at["ann"].record["notes"]
    w.edit("ann", notes=line(both, 3, "aa"))
    w.edit("ben", notes=line(both, 7, "bb"))
    v = w.check({"notes": "a\n2\naa\n4\n5\n6\nbb\n8\nb\n"}, owners={"notes": "ann ben"})
    (step,) = v.explain("notes").steps
    assert step.base == both and step.base_is == "ancestor" and " and " in step.why


def test_a_base_that_was_in_conflict_equals_no_side() -> None:
    """Who leaves a contested value as it was shown has not left it unchanged."""
    w = World({"labels": {"k": 0}}, "ann ben", Policy(default=three_way() | keep_both))
    w.edit("ann", {"labels.k": 1})
    w.edit("ben", {"labels.k": 2})
    w.check(conflicts={"labels.k": [1, 2]})
    w.edit("ann", {"labels.x": 9})
    w.edit("ben", {"labels.k": 3})
    v = w.check(conflicts={"labels.k": [2, 3], "labels.x": [9, UNSET]})
    assert v.record["labels"]["x"] == 9 and v.explain("labels").steps[0].base_is == "contested"


def _more_in_common_than_a_base(depth: int) -> World:
    """Both pasts hold the writes of ann and ben; what carries a base stands above them in one of the two alone."""
    w = World({"notes": LINES}, "ann ben cat dan", Policy(default=text(), depth=depth))
    w.edit("ann", notes=line(LINES, 1, "a"))
    w.edit("ben", notes=line(LINES, 9, "b"))
    w.send("ann", "cat")
    w.edit("cat", notes=line(w.at["cat"].record["notes"], 3, "c"))
    for name in ("ann", "ben"):
        w.send(name, "dan")
    w.send("ben", "cat")
    w.edit("dan", notes=line(w.at["dan"].record["notes"], 7, "d"))
    w.edit("dan", notes=line(w.at["dan"].record["notes"], 8, "dd"), by="dan")
    w.edit("cat", notes=line(w.at["cat"].record["notes"], 5, "e"))
    return w


def test_a_deep_history_merges_where_a_shallow_one_asks() -> None:
    """Without a base that has all that both know, no side yields, and the step is reported; deeper, it is exact."""
    w = _more_in_common_than_a_base(8)
    w.check({"notes": "a\n2\nc\n4\ne\n6\nd\ndd\nb\n"})
    v = _more_in_common_than_a_base(0).sync()
    (conflict,) = v.conflicts
    assert conflict.reason == "old base" and {c.name for c in conflict.candidates} >= {"cat", "dan"}
    assert [s.base_is for s in v.explain("notes").steps] == ["old"]
    assert any(v.record["notes"] == c.value for c in conflict.candidates)


def test_an_old_base_is_reported_of_equal_sides_too() -> None:
    """A function that adds would count wrong."""
    w = World({"n": 0}, "ann ben cat dan", Policy(default=adds, depth=0))
    w.edit("ann", n=1)
    w.edit("ben", n=1)
    w.send("ann", "cat")
    w.edit("cat", n=w.at["cat"].record["n"] + 1)
    for name in ("ann", "ben"):
        w.send(name, "dan")
    w.send("ben", "cat")
    w.edit("dan", n=w.at["dan"].record["n"] + 1)
    w.edit("dan", n=w.at["dan"].record["n"] + 1, by="dan")
    w.edit("cat", n=w.at["cat"].record["n"] + 1)
    heads = [h.value for h in w.sync().explain("n").heads]
    assert heads == [4, 4], "equal by chance"
    assert [c.reason for c in w.sync().conflicts] == ["old base"]


@strategy("adds")
def adds(base: Any, ours: Any, theirs: Any) -> Any:
    """A function whose equal changes add up."""
    return ours + theirs - (0 if base is UNSET else base)


def test_a_users_function_gets_the_base_of_the_author() -> None:
    """Increments of three, in any order, add up."""
    w = World({"n": 10}, policy=Policy(default=adds))
    for name, n in (("ann", 11), ("ben", 12), ("cat", 13)):
        w.edit(name, n=n)
    w.check({"n": 16})
    w.edit("ann", n=0)
    w.edit("ben", n=20)
    w.check({"n": 4})


# -------------------------------------------------------------------------------------------------------- put


def test_put_writes_what_its_author_changed() -> None:
    """And nothing else: the stamps of all other fields stay."""
    w = World(Task("milk", votes=3), "ann")
    record = w.at["ann"].record
    record.title, record.home.zip, record.votes = "oat", "1010", 4
    w.put("ann", record)
    v = w.check(record, owners={"title": "ann", "home.zip": "ann", "home.street": "origin", "notes": "origin"})
    assert {p for p, s in v.stamps.items() if s == v.updated} == {"title", "home.zip", "votes"}
    assert len(v.commits) == 2 and v.commits[-1].seen == w.origin.seen


@pytest.mark.parametrize("by_value", [False, True], ids=["by version", "by value"])
def test_put_of_a_stale_record_reverts_nobody(by_value: bool) -> None:
    """What the author left as the base has it is not written."""
    w = World(Task("milk", notes=LINES, votes=1, tags={"a"}, items=[Item(1), Item(2)]), "ann ben")
    form = w.origin.record
    w.edit("ann", {"title": "oat", "votes": 4, "tags": {"b"}, "items[1].qty": 7, "home.zip": "1"}, notes="")
    now = w.at["ann"].record
    v = w.put("ann", form, base=form if by_value else w.origin)
    assert v.record == now and v.commits == w.at["ann"].commits
    form.names = ["new"]
    now.names = ["new"]
    w.put("ann", form, base=w.origin.record if by_value else w.origin)
    w.check(now)


@pytest.mark.parametrize("by_value", [False, True], ids=["by version", "by value"])
def test_put_merges_text_that_moved_on(by_value: bool) -> None:
    """What settles without conflict or loss is an ordinary edit of the merged value."""
    w = World({"notes": LINES}, "ann ben", TEXTS)
    w.edit("ann", notes=line(LINES, 1, "a"))
    seen = w.at["ann"].seen
    v = w.put("ann", {"notes": line(LINES, 9, "z")}, base=w.origin.record if by_value else w.origin)
    assert v.record == {"notes": line(line(LINES, 1, "a"), 9, "z")} and v.commits[-1].seen == seen
    w.check(v.record, owners={"notes": "ann"})


@pytest.mark.parametrize("by_value", [False, True], ids=["by version", "by value"])
@pytest.mark.parametrize("decided", [text(), keep_both, lww, three_way() | keep_both], ids=str)
def test_put_stands_beside_what_it_cannot_be_merged_with(decided: Strategy, by_value: bool) -> None:
    """The author's value has seen only what the base had."""
    w = World({"notes": "x\n", "title": "t"}, "ann", Policy(default=decided))
    w.edit("ann", notes="a\n")
    base = w.origin.record if by_value else w.origin
    v = w.put("ann", {"notes": "b\n", "title": "t"}, base=base)
    assert v.commits[-1].seen == ({} if by_value else w.origin.seen)
    v = w.sync()
    held = {c.value for one in v.conflicts for c in one.candidates} | {x.value for x in v.lost} | {v.record["notes"]}
    assert held >= {"a\n", "b\n"} and owners_of(v, "notes") == "ann ann"


@pytest.mark.parametrize("by_value", [False, True], ids=["by version", "by value"])
def test_put_drops_nothing_that_lost_unseen(by_value: bool) -> None:
    """A form that could be merged with what is shown: but beside that something lost, which its author never saw."""
    w = World({"labels": {"a": "0"}}, "ann ben")
    w.edit("ann", {"labels.a": "1"})
    ann = w.at["ann"]
    w.edit("ben", {"labels.a": "2"})
    now = w.sync()
    assert now.record == {"labels": {"a": "2"}} and [x.value for x in now.lost] == ["1"]
    w.put("ann", {"labels": {"a": "1", "b": "3"}}, base=ann.record if by_value else ann)
    v = w.sync()
    assert "1" in [v.record["labels"]["a"], *(x.value for x in v.lost)] and v.record["labels"]["b"] == "3"


@pytest.mark.parametrize("by_value", [False, True], ids=["by version", "by value"])
def test_put_makes_at_most_two_commits(by_value: bool) -> None:
    """One for what can be merged, one for what stands beside; counters and sets go with either."""
    w = World(Task("milk", notes=LINES, votes=1, tags={"a"}), "ann")
    w.edit("ann", notes=line(LINES, 1, "a"), title="oat", assignee="ann", votes=2)
    known = {c.stamp for c in w.at["ann"].commits}
    form = w.origin.record
    form.notes, form.title, form.assignee, form.votes, form.tags = line(LINES, 9, "z"), "soy", "ben", 5, {"b"}
    form.home.zip, form.start = "1", 1
    v = w.put("ann", form, base=w.origin.record if by_value else w.origin)
    new = [c for c in v.commits if c.stamp not in known]
    assert 1 <= len(new) <= 2, new
    w.check(
        Task("soy", "ben", line(line(LINES, 1, "a"), 9, "z"), 6, {"b"}, 1, home=Address(zip="1")),
        conflicts={"assignee": ["ann", "ben"]},
        lost={"title": ["oat"]},
    )


def test_put_against_a_counter_counts_the_difference() -> None:
    """Two forms that show 1: one makes it 3, the other 5, and that is 7."""
    w = World(Task(votes=1), "ann")
    for n in (3, 5):
        form = w.origin.record
        form.votes = n
        w.put("ann", form, base=w.origin.record)
    assert w.sync().record.votes == 7


def test_put_against_a_set_removes_what_its_author_saw() -> None:
    """An element that was added anew since then stays."""
    w = World(Task(tags={"a", "b"}), "ann ben")
    w.edit("ben", tags={"b"})
    w.edit("ben", tags={"a", "b"})
    w.send("ben", "ann")
    form = w.origin.record
    form.tags = {"b", "c"}
    w.put("ann", form, base=w.origin)
    w.check(Task(tags={"a", "b", "c"}))


def test_a_base_that_is_not_contained_is_an_error() -> None:
    """As is one of another record; nothing is written."""
    w = World(Task("milk"), "ann ben")
    ahead = w.edit("ben", title="oat")
    for method, told in (("put", [Task()]), ("delete", []), ("resolve", [{}])):
        with pytest.raises(InvalidInput, match="join them first"):
            w.do("ann", method, *told, base=ahead)
    with pytest.raises(InvalidInput, match="another record"):
        w.put("ann", Task(), base=Version.new(w.clock("x"), Task()))


def test_a_missing_modelled_key_is_unset_and_unknown_keys_are_carried() -> None:
    """In a row, what the model does not know stays, what it knows and the row lacks goes back to its default."""
    w = World(Task("milk", notes="n", home=Address("s", "z")), "ann")
    w.put("ann", {"title": "oat", "votes": 0, "tags": [], "home": {"street": "s"}, "extra": [1]})
    v = w.check(Task("oat", home=Address("s")))
    assert Version.decode(v.encode()).record["extra"] == [1]
    w.put("ann", {"title": "soy", "votes": 0, "tags": []})
    v = w.check(Task("soy"))
    assert Version.decode(v.encode()).record["extra"] == [1], "a key that is missing and not modelled is carried"


def test_rows_of_a_table_are_records() -> None:
    """``sqlite3.Row``, with 0 and 1 for booleans; unchanged rows write nothing."""

    class Note(msgspec.Struct):
        title: str = ""
        done: bool = False
        size: float = 0.0

    db = sqlite3.connect(":memory:")
    db.row_factory = sqlite3.Row
    db.execute("CREATE TABLE note (title, done, size)")
    db.execute("INSERT INTO note VALUES ('milk', 1, 1.5)")
    w = World(Note("milk", True, 1.5), "ann")
    row = db.execute("SELECT * FROM note").fetchone()
    assert w.at["ann"].put(w.clocks["ann"], row) is w.origin
    db.execute("UPDATE note SET done = 0")
    new = db.execute("SELECT * FROM note").fetchone()
    w.put("ann", new, base=row)
    w.check(Note("milk", False, 1.5), owners={"done": "ann", "title": "origin"})
    db.close()


def test_a_field_that_was_never_written_shows_its_default() -> None:
    """Where the base says the default, too, an edit of it is an ordinary one."""
    w = World(Task("milk"), "ann", TEXTS)

    class More(Task):
        remark: Annotated[str, text()] = "none\n"

    v = Version.decode(w.origin.encode(), More, TEXTS)
    assert v.record.remark == "none\n" and v.put(w.clocks["ann"], v.record) is v
    for base in (v, v.record, None):
        record = v.record
        record.remark = "some\n"
        written = v.put(w.clocks["ann"], record, base)
        assert written.record.remark == "some\n" and written.conflicts == ()
        assert written.commits[-1].seen == v.seen, "the author was looking at what is shown"
        later = written.edit(w.clock("ben"), remark="more\n")
        assert later.record.remark == "more\n" and later.conflicts == ()


@settings(max_examples=150)
@given(cases(), st.booleans())
def test_putting_back_what_is_shown_writes_nothing(case: Case, decoded: bool) -> None:
    """Of every model and document, however it came about; joined in any order it is the same."""
    sides = [side for side in (case.base, case.ours, case.theirs) if side is not UNSET]
    wall = [0]
    a, b, c = (Clock(name, now=lambda: wall[0]) for name in ("server", "phone", "laptop"))
    try:
        v0 = Version.new(a, sides[0], policy=case.policy)
        wall[0] += 1
        ours = v0.put(b, sides[1])
        wall[0] += 1
        theirs = v0.put(c, sides[-1], base=sides[0])
    except InvalidInput:  # a document may hold what a counter, or a set, does not take
        return
    v = join(ours, theirs)
    if decoded:
        v = Version.decode(v.encode(), case.model, case.policy)
    assert join(theirs, ours).encode() == v.encode()
    assert v.put(a, v.record) is v
    assert v.put(a, v.record, base=v.record) is v
    for before in (v0, ours, theirs):
        assert v.put(a, before.record, base=before) is v, "a stale record put back"
        assert v.put(a, before.record, base=before.record) is v


# ------------------------------------------------------------------------------------------------------- edit


@pytest.mark.parametrize(
    ("changes", "path", "expected"),
    [
        ({"title": "x"}, "title", lambda r: r.title == "x"),
        ({"home.zip": "1010"}, "home.zip", lambda r: r.home == Address("s", "1010")),
        ({("home", "zip"): "1010"}, "home.zip", lambda r: r.home == Address("s", "1010")),
        ({"home": Address("t", "2")}, "home.street", lambda r: r.home == Address("t", "2")),
        ({"home": {"street": "t"}}, "home.street", lambda r: r.home.street == "t"),
        ({"labels.a": 9}, "labels", lambda r: r.labels == {"a": 9, "b": {"c": 2}}),
        ({"labels.b.c": 9}, "labels", lambda r: r.labels == {"a": 1, "b": {"c": 9}}),
        ({"labels.new": {}}, "labels", lambda r: r.labels == {"a": 1, "b": {"c": 2}, "new": {}}),
        ({"labels.a": UNSET}, "labels", lambda r: r.labels == {"b": {"c": 2}}),
        ({"labels.a": None}, "labels", lambda r: r.labels == {"a": None, "b": {"c": 2}}),
        ({"items[7].qty": 5}, "items", lambda r: r.items == [Item(3), Item(7, 5)]),
        ({"items[7]": UNSET}, "items", lambda r: r.items == [Item(3)]),
        ({"items[7]": Item(7, 6)}, "items", lambda r: r.items == [Item(3), Item(7, 6)]),
        ({"names[0]": "z"}, "names", lambda r: r.names == ["z", "y"]),
        ({"names[1]": UNSET}, "names", lambda r: r.names == ["x"]),
        ({"start": 5}, "when", lambda r: (r.start, r.end) == (5, 2)),
        ({"start": 5, "end": 6}, "when", lambda r: (r.start, r.end) == (5, 6)),
        ({"when": {"start": 5, "end": 6}}, "when", lambda r: (r.start, r.end) == (5, 6)),
        ({"when.end": 6}, "when", lambda r: (r.start, r.end) == (1, 6)),
        ({"end": UNSET}, "when", lambda r: (r.start, r.end) == (1, None)),
        ({"assignee": UNSET}, "assignee", lambda r: r.assignee is None),
        ({"votes": 7}, "votes", lambda r: r.votes == 7),
        ({"tags": ["q"]}, "tags", lambda r: r.tags == {"q"}),
    ],
    ids=lambda x: str(x) if isinstance(x, dict) else "",
)
def test_edit_writes_at_paths(changes: Any, path: str, expected: Callable[[Any], bool]) -> None:
    """Of fields, below fields, of members of groups; one field is written, and all of it is one commit."""
    record = Task(
        "t", "ann", "n", 1, {"x"}, 1, 2, Address("s", "z"), {"a": 1, "b": {"c": 2}}, [Item(3), Item(7)], ["x", "y"]
    )
    w = World(record, "ben")
    v = w.edit("ben", changes)
    assert expected(v.record), v.record
    assert owners_of(v, path).endswith("ben") and v.updated == v.commits[-1].stamp
    assert {p for p, s in v.stamps.items() if s == v.updated} <= {path, "home.zip", "home.street"}
    w.sync()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"titel": "x"}, "did you mean 'title'"),
        ({"home.zipp": "x"}, "home: .*did you mean 'zip'"),
        ({"home.zip.x": "x"}, r"home\.zip"),
        ({"title.x": 1}, "title"),
        ({"": "x"}, "put"),
        ({"title[": 1}, "no path"),
        ({3: 1}, "no path"),
        ({"title": 5}, "title: .*Expected `str`"),
        ({"home": None}, "home: .*"),
        ({"home": 5}, "home: "),
        ({"home.zip": 5}, r"home\.zip: .*Expected `str`"),
        ({"items": [{"qty": 1}]}, r"items.*missing required field `id`"),
        ({"items[7].qty": "x"}, r"items\[\d\]\.qty: .*Expected `int`"),
        ({"items[8].qty": 1}, "items.*no member 8"),
        ({"names[9]": "x"}, "names.*no 9"),
        ({"names.x": "x"}, "names"),
        ({"start": "x"}, "start: .*Expected `int"),
        ({"votes": UNSET}, "votes: "),
        ({"votes": "x"}, "votes: .*Expected `int`"),
        ({"tags": UNSET}, "tags: "),
        ({"tags": {1}}, "tags.*Expected `str`"),
        ({"labels": {"a": Ellipsis}}, "labels"),
        ({"labels.a": Ellipsis}, r"labels\.a"),
    ],
    ids=lambda x: str(x) if isinstance(x, dict) else "",
)
def test_edit_names_the_place_of_what_is_wrong(changes: Any, message: str) -> None:
    """A wrong name says the nearest one; of a wrong type nothing is written, whatever else was in the edit."""
    w = World(Task("t", items=[Item(7)], names=["x"]), "ben")
    before = w.origin.encode()
    with pytest.raises(InvalidInput, match=message):
        w.edit("ben", {"assignee": "somebody", **changes})
    assert w.at["ben"] is w.origin and w.origin.encode() == before


def test_unsetting_a_required_field_is_an_error() -> None:
    """The record would be none of the model; so it is of a row that lacks it."""

    class Note(msgspec.Struct):
        title: str
        text: str = ""

    w = World(Note("a"), "ann")
    with pytest.raises(InvalidInput, match="title"):
        w.edit("ann", title=UNSET)
    with pytest.raises(InvalidInput, match="title"):
        w.put("ann", {"text": "b"})
    assert w.at["ann"] is w.origin


def test_editing_to_what_is_there_writes_nothing() -> None:
    """Unless that settles a field which has several heads."""
    w = World(Task("t", votes=1, tags={"a"}), "ann ben")
    v = w.at["ann"]
    assert v.edit(w.clocks["ann"]) is v
    assert v.edit(w.clocks["ann"], {"home": Address()}, title="t", votes=1, tags={"a"}, start=None) is v
    w.edit("ann", assignee="a")
    w.edit("ben", assignee="b")
    w.sync()
    assert w.edit("ann", assignee="b").conflicts == ()


def test_two_edits_of_one_field_in_one_call_are_one_write() -> None:
    """Places below one field come together."""
    w = World(Task(), "ann")
    w.edit("ann", {"labels.a": 1, "labels.b": 2, "start": 1, "end": 3})
    w.check(Task(start=1, end=3, labels={"a": 1, "b": 2}), owners={"labels": "ann", "when": "ann"})
    assert len(w.at["ann"].commits) == 2


def test_concurrent_edits_below_one_map_merge() -> None:
    """The field is one, and three-way merged by key."""
    w = World(Task(labels={"a": 0, "b": 0, "gone": 1}))
    w.edit("ann", {"labels.a": 1})
    w.edit("ben", {"labels.b": 2})
    w.edit("cat", {"labels.gone": UNSET})
    w.check(Task(labels={"a": 1, "b": 2}), owners={"labels": "ann ben cat"})


def test_concurrent_edits_of_a_keyed_list_merge() -> None:
    """Members by key; a new one, a removed one, a changed one, an order."""
    w = World(Task(items=[Item(1), Item(2), Item(3)]))
    w.edit("ann", {"items[1].qty": 5})
    w.edit("ben", items=[Item(3), Item(1), Item(2)])
    w.edit("cat", items=[Item(1), Item(3), Item(4)])
    v = w.sync()
    assert {i.id: i.qty for i in v.record.items} == {1: 5, 3: 1, 4: 1} and v.conflicts == ()
    assert [i.id for i in v.record.items if i.id != 4] == [3, 1]


# ------------------------------------------------------------------------------------------------------ deletes


EDITS: dict[str, dict[str, Any]] = {
    "history": {"title": "x"},
    "counter": {"votes": 4},
    "set": {"tags": {"q"}},
    "removal from a set": {"tags": set()},
    "nested": {"home.zip": "9"},
    "group": {"start": 3},
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("late", [False, True], ids=["edit first", "deletion first"])
@pytest.mark.parametrize("decided", [keep_both, edit_wins, delete_wins, lww], ids=str)
def test_an_edit_against_a_deletion_is_asked_of_the_policy(decided: Strategy, late: bool, edit: dict[str, Any]) -> None:
    """Whatever kind of state was edited: the record is whole, or deleted, and never half."""
    w = World(Task("t", tags={"p"}), "ann ben", Policy(deletes=decided))
    for op in ("delete", "edit") if late else ("edit", "delete"):
        w.do("ben", "delete") if op == "delete" else w.edit("ann", edit)
    edited = w.at["ann"].record
    v = w.sync()
    deleted = decided is delete_wins or (decided is lww and not late)
    assert v.deleted is deleted and v.record == edited
    assert [(c.path, c.reason) for c in v.conflicts] == (
        [((), "edit against deletion")] if decided is keep_both else []
    )
    assert [(x.path, x.decided_by) for x in v.lost] == ([] if decided is keep_both else [((), str(decided))])
    if decided is keep_both:
        assert {c.name: c.value for c in v.conflicts[0].candidates} == {"ann": edited, "ben": UNSET}


def test_a_deletion_that_saw_all_edits_stands() -> None:
    """And what it was remains to be read."""
    w = World(Task("t"), "ann ben")
    w.edit("ann", title="x", votes=2, tags={"a"})
    w.send("ann", "ben")
    w.do("ben", "delete", by="ben")
    v = w.check(Task("x", votes=2, tags={"a"}))
    assert v.deleted and v.commits[-1].by == "ben" and v.commits[-1].paths == ((),)


def test_a_deleted_record_is_not_edited() -> None:
    """The error names ``restore``; who says what he was looking at before may put."""
    w = World(Task("t"), "ann")
    w.do("ann", "delete")
    for method, told in (("edit", [{"title": "x"}]), ("put", [Task("x")]), ("put", [Task("x"), w.at["ann"]])):
        with pytest.raises(RecordDeleted, match="restore"):
            w.do("ann", method, *told)
    v = w.put("ann", Task("x"), base=w.origin)
    assert v.record == Task("x") and not v.deleted and [c.path for c in v.conflicts] == [()]
    w.sync()


@pytest.mark.parametrize("by_value", [False, True], ids=["by version", "by value"])
def test_a_stale_put_on_a_deleted_record_is_concurrent(by_value: bool) -> None:
    """Saved whole and unchanged, it writes nothing; changed, it is an edit against the deletion."""
    w = World(Task("t", votes=1), "ann ben")
    w.edit("ann", title="x")
    w.do("ann", "delete")
    base = w.origin.record if by_value else w.origin
    assert w.put("ann", w.origin.record, base=base).deleted
    form = w.origin.record
    form.votes = 2
    w.put("ann", form, base=base)
    w.check(Task("x", votes=2), conflicts={"": [Task("x", votes=2), UNSET]})


def test_a_lagging_phone_neither_half_resurrects_nor_is_buried() -> None:
    """The record comes back whole, as it was, with the edit; and the question is open."""
    w = World(Task("milk", "ann", "buy\n", 3, {"shop"}, 1, 2, Address("s", "z"), {"a": 1}), "laptop phone")
    w.edit("laptop", notes="buy two\n")
    w.do("laptop", "delete")
    w.edit("phone", {"home.zip": "1010"})
    whole = Task("milk", "ann", "buy two\n", 3, {"shop"}, 1, 2, Address("s", "1010"), {"a": 1})
    v = w.check(whole, conflicts={"": [whole, UNSET]})
    for answer, deleted in ((UNSET, True), (v.record, False), (Task("other"), False)):
        settled = v.resolve(w.clocks["laptop"], {(): answer})
        assert settled.conflicts == () and settled.deleted is deleted
        assert settled.record == (whole if answer is UNSET else answer)
        for lagging in (v, w.origin, w.at["phone"]):
            assert join(settled, lagging) == settled


def test_restore_takes_back_the_deletions_that_it_saw() -> None:
    """Against others it is an edit."""
    w = World(Task("t"), "ann ben cat")
    w.do("ann", "delete")
    w.send("ann", "ben")
    w.do("ben", "restore")
    assert w.at["ben"].record == Task("t") and not w.at["ben"].deleted and w.at["ben"].conflicts == ()
    w.do("cat", "delete")
    v = w.check(Task("t"), conflicts={"": [Task("t"), UNSET]})
    assert {c.name for c in v.conflicts[0].candidates} == {"ben", "cat"}
    w.do("ann", "restore")
    w.check(Task("t"))
    with pytest.raises(InvalidInput, match="nothing to restore"):
        w.do("ann", "restore")


def test_deleting_twice_is_one_deletion() -> None:
    """Concurrently or not; one restore that saw both takes back both."""
    w = World(Task("t"), "ann ben")
    w.do("ann", "delete")
    w.do("ann", "delete")
    w.do("ben", "delete")
    assert w.check(Task("t")).deleted
    w.do("ann", "restore")
    assert not w.check(Task("t")).deleted


def test_a_deletion_of_what_was_seen_leaves_what_was_not() -> None:
    """``base=``: the list of records that the author ticked was an hour old."""
    w = World(Task("t"), "ann")
    w.edit("ann", title="newer")
    v = w.do("ann", "delete", base=w.origin)
    assert v.record == Task("newer") and not v.deleted and [c.path for c in v.conflicts] == [()]
    assert w.do("ann", "delete", base=v).deleted


def test_editing_a_record_with_an_open_deletion_leaves_the_question_open() -> None:
    """It is settled by ``resolve``, ``delete`` or ``restore``."""
    w = World(Task("t"), "ann ben")
    w.edit("ann", title="x")
    w.do("ben", "delete")
    w.sync()
    w.edit("ann", title="y")
    v = w.check(Task("y"), conflicts={"": [Task("y"), UNSET]})
    assert v.delete(w.clocks["ann"]).deleted
    assert v.restore(w.clocks["ann"]).conflicts == ()


# ------------------------------------------------------------------------------------------------------ resolve


def test_resolve_takes_a_candidate_or_a_value() -> None:
    """By text path and by tuple; ``by`` is the one who answered."""
    w = World(Task("t"), "ann ben")
    w.edit("ann", assignee="a")
    w.edit("ben", assignee="b")
    v = w.sync()
    for candidate in v.conflicts[0].candidates:
        for path in ("assignee", ("assignee",)):
            settled = v.resolve(w.clocks["ann"], {path: candidate}, by="judge")
            assert settled.record.assignee == candidate.value and settled.conflicts == ()
            assert settled.commits[-1].by == "judge" and owners_of(settled, "assignee") == "ann"
    assert v.resolve(w.clocks["ann"], {"assignee": "c"}).record.assignee == "c"
    assert v.resolve(w.clocks["ann"], {"assignee": UNSET}).record.assignee is None
    assert v.resolve(w.clocks["ann"], {"assignee": None}).record.assignee is None


def test_a_resolution_survives_a_lagging_replica() -> None:
    """What comes back late was seen: it settles nothing anew."""
    w = World(Task("t"))
    a, b = w.edit("ann", assignee="a"), w.edit("ben", assignee="b")
    v = w.sync()
    settled = w.do("ann", "resolve", {"assignee": "c"})
    for late in (a, b, v, w.origin):
        assert join(late, settled) == settled and join(settled, late).conflicts == ()
    w.at["cat"] = w.origin
    w.edit("cat", assignee="d")
    w.check(conflicts={"assignee": ["c", "d"]}, owners={"assignee": "ann cat"})


def test_two_resolutions_that_differ_are_a_conflict_of_their_own() -> None:
    """And two that agree are none."""
    w = World(Task("t"), "ann ben")
    w.edit("ann", assignee="a")
    w.edit("ben", assignee="b")
    w.sync()
    w.do("ann", "resolve", {"assignee": "a"})
    w.do("ben", "resolve", {"assignee": "b"})
    w.check(conflicts={"assignee": ["a", "b"]})
    w.do("ann", "resolve", {"assignee": "x"})
    w.do("ben", "resolve", {"assignee": "x"})
    w.check(Task("t", "x"))


def _open_below() -> World:
    w = World({"labels": {"a": 0, "b": 0, "c": 0}}, "ann ben", Policy(default=three_way() | keep_both))
    w.edit("ann", {"labels.a": 1, "labels.b": 1, "labels.c": 7})
    w.edit("ben", {"labels.a": 2, "labels.b": 2})
    return w


def test_a_field_is_settled_whole() -> None:
    """One of two conflicts in a field answered: refused, with the rest listed; both, and it is settled."""
    w = _open_below()
    v = w.check(conflicts={"labels.a": [1, 2], "labels.b": [1, 2]})
    with pytest.raises(AnswerError, match=r"still unanswered: labels\.b"):
        v.resolve(w.clocks["ann"], {"labels.a": 1})
    settled = v.resolve(w.clocks["ann"], {"labels.a": 1, "labels.b": UNSET})
    assert settled.record == {"labels": {"a": 1, "c": 7}} and settled.conflicts == ()
    settled = v.resolve(w.clocks["ann"], {"labels": {"z": 1}})
    assert settled.record == {"labels": {"z": 1}} and settled.conflicts == ()


def test_a_hunk_of_a_text_is_answered_by_its_path() -> None:
    """The rest of the merged text stays as it is."""
    w = World({"notes": LINES}, "ann ben", TEXTS)
    w.edit("ann", notes=line(line(LINES, 1, "a"), 5, "x"))
    w.edit("ben", notes=line(line(LINES, 9, "b"), 5, "y"))
    v = w.check(conflicts={"notes[4:5]": ["x\n", "y\n"]})
    settled = v.resolve(w.clocks["ann"], {"notes[4:5]": "z\n"})
    assert settled.record == {"notes": "a\n2\n3\n4\nz\n6\n7\n8\nb\n"} and settled.conflicts == ()


def test_answers_are_against_what_the_screen_showed() -> None:
    """``base=``: a head that has come in since then was not answered."""
    w = World(Task("t"))
    w.edit("ann", assignee="a")
    w.edit("ben", assignee="b")
    w.send("ben", "ann")
    screen = w.at["ann"]
    w.edit("cat", assignee="c")
    w.send("cat", "ann")
    w.do("ann", "resolve", {"assignee": "b"}, base=screen)
    w.check(conflicts={"assignee": ["b", "c"]}, owners={"assignee": "cat ann"})


def test_wrong_answers_are_refused_by_name() -> None:
    """Where nothing is open, of a wrong type, of another conflict, answered twice; nothing is written."""
    w = World(Task("t"), "ann ben")
    w.edit("ann", {"assignee": "a", "labels": {"x": 1}})
    w.edit("ben", {"assignee": "b"})
    v = w.sync()
    other = v.conflicts[0].candidates[0]
    clock = w.clocks["ann"]
    cases: list[tuple[Any, str]] = [
        ({"title": "x"}, "no question is open there; open: assignee"),
        ({"nonsense": 1}, "open: assignee"),
        ({"assignee": 5}, "assignee.*Expected `str"),
        ({(): Task("x"), "assignee": "b"}, "answered twice|no question"),
        ("assignee", "mapping"),
        ({"assignee[": 1}, "no path"),
        ({"assignee": msgspec.structs.replace(other, value="zzz")}, "another conflict"),
    ]
    for answers, message in cases:
        with pytest.raises(AnswerError, match=message):
            v.resolve(clock, answers)
    assert v.resolve(clock, {}) is v


def test_resolve_drops_what_was_lost_and_edit_brings_it_back() -> None:
    """The loser of ``lww`` is listed until somebody who saw it writes."""
    w = World(Task("t"), "ann ben")
    w.edit("ann", title="a", by="Ann")
    w.edit("ben", title="b")
    v = w.check(Task("b"), lost={"title": ["a"]})
    dropped = v.resolve(w.clocks["ben"], {"title": "b"})
    assert dropped.lost == () and dropped.record.title == "b"
    back = v.edit(w.clocks["ben"], title=v.lost[0].value)
    assert back.lost == () and back.record.title == "a"
    assert v.resolve(w.clocks["ben"], {"title": UNSET}).record.title == ""


# --------------------------------------------------------------------------------------------------------- fork


def _assigned(names: str) -> World:
    w = World(Task("t", votes=1), names)
    for name in names.split():
        w.edit(name, assignee=name, by=name)
    w.sync()
    return w


def test_a_fork_of_three_heads_is_three_records() -> None:
    """Each copy has one losing head; everything else keeps its stamps; the ids are of the losing heads."""
    w = _assigned("ann ben cat")
    v = w.at["ann"]
    kept, *copies = v.fork(w.clocks["ann"], "assignee", by="judge")
    assert kept.id == v.id and [x.record.assignee for x in (kept, *copies)] == ["cat", "ann", "ben"]
    heads = v.explain("assignee").heads
    ids = [str(uuid.uuid5(uuid.NAMESPACE_OID, f"{v.id} assignee {h.stamp}")) for h in heads[:2]]
    assert [x.id for x in copies] == ids
    for one in (kept, *copies):
        assert one.conflicts == () and one.record == Task("t", one.record.assignee, votes=1)
        assert {p: s for p, s in one.stamps.items() if p != "assignee"} == {
            p: s for p, s in v.stamps.items() if p != "assignee"
        }
        assert Version.decode(one.encode(), Task) == one
    assert kept.created == v.created and all(x.created == kept.updated for x in copies)
    assert join(kept, v) == kept, "the conflict does not come back"


def test_the_same_fork_on_two_replicas_joins() -> None:
    """What is kept, and each copy; the earlier fork's stamp is the copy's creation."""
    w = _assigned("ann ben cat")
    w.edit("ann", title="meanwhile")
    forks = [w.at[name].fork(w.clocks[name], "assignee") for name in ("ann", "ben")]
    for mine, theirs in zip(*forks):
        one, other = join(mine, theirs), join(theirs, mine)
        assert one == other and one.conflicts == () and one.record.assignee == mine.record.assignee
        assert one.record.title == "meanwhile" and one.created == min(mine.created, theirs.created)
        assert one.edit(w.clocks["cat"], assignee="x").conflicts == ()


def test_a_fork_of_a_fork_has_an_id_of_its_own() -> None:
    """A copy is a record like any other."""
    w = _assigned("ann ben")
    _, copy = w.at["ann"].fork(w.clocks["ann"], "assignee")
    assert copy.created == copy.updated > w.at["ann"].updated, "it was written before it was made"
    one = copy.edit(w.clocks["ann"], assignee="x")
    other = copy.edit(w.clocks["ben"], assignee="y")
    v = join(one, other)
    kept, again = v.fork(w.clocks["ann"], "assignee")
    assert len({w.origin.id, copy.id, again.id}) == 3 and kept.id == copy.id
    assert {kept.record.assignee, again.record.assignee} == {"x", "y"}
    with pytest.raises(InvalidInput, match="two records"):
        join(kept, again)


def test_a_fork_of_a_loser_under_lww_makes_a_record_of_it() -> None:
    """It was lost, and is kept."""
    w = World(Task("t"), "ann ben")
    w.edit("ann", title="a")
    w.edit("ben", title="b")
    kept, copy = w.sync().fork(w.clocks["ann"], "title")
    assert (kept.record.title, copy.record.title, kept.lost, copy.lost) == ("b", "a", (), ())


def test_a_field_with_one_value_is_not_forked() -> None:
    """Nor is a counter, nor a path that leads nowhere."""
    w = _assigned("ann ben")
    for path in ("title", "votes", "nonsense", "home"):
        with pytest.raises(InvalidInput, match=r"in no conflict|no field"):
            w.at["ann"].fork(w.clocks["ann"], path)


# -------------------------------------------------------------------------------------------- lost, explain, reads


def test_explain_says_heads_base_and_what_decided() -> None:
    """Who and when; which base and why; which part, and what lost. Its text says it, too."""
    w = World(Task("t"), "ann ben", Policy(default=three_way() | lww))
    w.edit("ann", title="a", by="Ann")
    w.edit("ben", title="b", by="Ben")
    v = w.sync()
    told = v.explain("title")
    assert [(h.value, h.name, h.by) for h in told.heads] == [("a", "ann", "Ann"), ("b", "ben", "Ben")]
    assert told.value == "b" and [x.value for x in told.lost] == ["a"] and told.conflicts == ()
    (step,) = told.steps
    assert [x.decided_by for x in step.verdicts] == ["lww"] and step.base_is == "none"
    assert all(x in str(told) for x in ("title", "'a'", "'b'", "Ann", "lww"))
    assert v.explain(("title",)) == told
    assert str(v.explain("votes")) and str(v.explain("tags")) and str(v.explain("when"))


def test_explain_of_no_field_lists_the_fields() -> None:
    """A wrong path is an error that helps."""
    w = World(Task("t"), "ann")
    for path in ("titel", "home", "x.y"):
        with pytest.raises(InvalidInput, match=r"no field|nothing was written there"):
            w.origin.explain(path)
    with pytest.raises(InvalidInput, match="no path"):
        w.origin.explain("title[")


def test_commits_say_who_wrote_what() -> None:
    """Oldest first, with what each had seen, as far as it is held."""
    w = World(Task("t", votes=1), "ann ben")
    w.edit("ann", title="x", votes=2, by="Ann")
    w.send("ann", "ben")
    w.edit("ben", {"home.zip": "1", "tags": {"a"}})
    w.do("ben", "delete", by="Ben")
    v = w.sync()
    told = [(c.stamp.node.partition("~")[0], c.by, set(c.paths)) for c in v.commits[1:]]
    assert told == [
        ("ann", "Ann", {("title",), ("votes",)}),
        ("ben", None, {("home", "zip"), ("tags",)}),
        ("ben", "Ben", {()}),
    ]
    assert [c.stamp for c in v.commits] == sorted(c.stamp for c in v.commits)
    assert v.commits[1].seen == w.origin.seen and v.commits[0].seen == {}
    assert v.commits[-1].stamp == v.updated


def test_stamps_are_those_of_the_last_write_of_each_field() -> None:
    """By the text of its path; a group is one."""
    w = World(Task("t"), "ann")
    v = w.edit("ann", {"home.zip": "1"}, start=4)
    assert set(v.stamps) >= {"title", "when", "home.zip", "home.street", "votes", "tags", "labels"}
    assert "start" not in v.stamps and "home" not in v.stamps
    assert v.stamps["when"] == v.stamps["home.zip"] == v.updated > v.stamps["title"] == v.created


def test_seen_compares_versions() -> None:
    """``<=`` where everything is known; neither way where both know something else."""
    w = World(Task("t"), "ann ben")
    a, b = w.edit("ann", title="a"), w.edit("ben", votes=1)
    assert w.origin.seen <= a.seen and not a.seen <= b.seen and not b.seen <= a.seen
    both = join(a, b)
    assert a.seen <= both.seen and b.seen <= both.seen and a.seen < both.seen
    assert dict(both.seen) == {v.updated.node: v.updated for v in (w.origin, a, b)}


def test_ids_are_uuids_that_sort_by_time() -> None:
    """Version 7, unless one is given."""
    w = World(Task())
    made = [Version.new(w.clock("a"), Task()).id for _ in range(5)]
    assert all(uuid.UUID(one).version == 7 for one in made) and made == sorted(made) and len(set(made)) == 5
    assert Version.new(w.clock("a"), Task(), id="given").id == "given"
    for wrong in ("", 5, b"x", "\ud800"):
        with pytest.raises(InvalidInput, match="id"):
            Version.new(w.clock("a"), Task(), id=wrong)  # type: ignore[arg-type]
    for wrong in ("", 5):
        with pytest.raises(InvalidInput, match="by"):
            w.origin.edit(w.clock("a"), by=wrong, title="x")  # type: ignore[arg-type]


# -------------------------------------------------------------------------------------------------- reused stamps


def _twice(record: Any, one: dict[str, Any], other: dict[str, Any], policy: Policy | None = None) -> Any:
    """Two devices that took one name, in one millisecond."""
    w = World(record, "x y", policy)
    w.clocks = {name: Clock.locked("device", now=lambda: 1_800_000_000_000) for name in ("x", "y")}
    w.edit("x", one)
    w.edit("y", other)
    assert w.at["x"].updated == w.at["y"].updated
    return w


def test_a_stamp_given_twice_is_reported_and_ordered_alike() -> None:
    """Two values under one stamp: a conflict whatever the strategy, the larger in canonical order shown."""
    w = _twice(Task("t"), {"title": "a"}, {"title": "b"})
    v = w.check(conflicts={"title": ["a", "b"]})
    assert v.record.title == "b" and "used twice" in v.conflicts[0].reason
    w.clocks["x"] = w.clock("x")
    w.do("x", "resolve", {"title": "a"})
    w.check(Task("a"), owners={"title": "x"})


def test_a_saved_clock_loaded_twice_is_reported() -> None:
    """A device that was copied: the next two edits have one stamp."""
    w = World(Task("t"), "ann", TEXTS)
    saved = w.clocks["ann"].save()
    w.at = {"one": w.origin, "two": w.origin}
    w.clocks = {name: Clock.load(saved, now=lambda: 0) for name in w.at}
    w.edit("one", title="a")
    w.edit("two", title="b")
    assert w.at["one"].updated == w.at["two"].updated
    v = w.check(conflicts={"title": ["a", "b"]})
    assert "used twice" in v.conflicts[0].reason


@pytest.mark.parametrize("one", [math.nan, {"a": math.nan}])
def test_one_stamp_with_two_kinds_of_nan_is_ordered_alike(one: Any) -> None:
    """They look the same, and are other bytes."""
    base = Version.new(Clock("ben", now=lambda: 1_000), {"v": 0.0})
    saved = Clock("phone", now=lambda: 1_000).save()
    other = {"a": -math.nan} if isinstance(one, dict) else -math.nan
    a, b = (base.edit(Clock.load(saved, now=lambda: 2_000), v=v) for v in (one, other))
    assert join(a, b) == join(b, a) and len(join(a, b).conflicts) == 1


def test_one_stamp_with_one_value_is_no_conflict() -> None:
    """The same write, delivered by two ways."""
    w = _twice(Task("t"), {"title": "a"}, {"title": "a"})
    w.check(Task("a"))


def test_a_stamp_given_twice_in_different_fields_loses_nothing() -> None:
    """There is nothing to report of a field."""
    w = _twice(Task("t"), {"title": "a"}, {"notes": "b"})
    w.check(Task("a", notes="b"))


def test_a_stamp_given_twice_in_a_set_is_reported() -> None:
    """What either added is there, and somebody is asked; an answer settles it."""
    w = _twice(Task("t", tags={"z"}), {"tags": {"p", "z"}}, {"tags": {"q"}})
    v = w.sync()
    held = set(v.record.tags).union(*(c.value for one in v.conflicts for c in one.candidates))
    assert held >= {"p", "q"} and [path_of(c) for c in v.conflicts] == ["tags"]
    w.clocks["x"] = w.clock("x")
    w.do("x", "resolve", {"tags": {"p", "q"}})
    w.check(Task("t", tags={"p", "q"}))


def test_a_stamp_given_twice_in_a_counter_is_reported() -> None:
    """Two counts under one stamp: one of them would be lost silently."""
    w = _twice(Task("t"), {"votes": 3}, {"votes": 5})
    v = w.sync()
    assert [c.path for c in v.conflicts] == [("votes",)] and v.record.votes in (3, 5)
    w.clocks["x"] = w.clock("x")
    w.do("x", "resolve", {"votes": 8})
    w.check(Task("t", votes=8))


# -------------------------------------------------------------------------------------------------- immutability


def test_what_was_given_may_be_changed_afterwards() -> None:
    """A record, a form, a base, a map in an edit: the version has its own."""
    labels: dict[str, Any] = {"a": [1]}
    record = Task("t", labels=labels, items=[Item(1)], tags={"a"})
    w = World(record, "ann")
    before = w.origin.encode()
    shown = w.origin.record
    labels["a"].append(2)
    record.items[0].qty = 99
    record.tags.add("z")
    record.home.zip = "z"
    assert w.origin.encode() == before and w.origin.record == shown
    edit = {"b": [1]}
    v = w.edit("ann", labels=edit)
    form = v.record
    form.names.append("n")
    put = w.put("ann", form)
    bytes_ = v.encode(), put.encode()
    edit["b"].append(2)
    form.names.append("m")
    assert (v.encode(), put.encode()) == bytes_ and put.record.names == ["n"]
    assert w.decoded(v) == v


@pytest.mark.parametrize("model", [Task, None], ids=["model", "document"])
def test_what_was_got_may_be_changed(model: Any) -> None:
    """The record, candidates, losers, heads of an explanation, verdicts: changing them changes no version."""
    record: Any = Task(labels={"k": [0]}, items=[Item(1)]) if model else {"labels": {"k": [0]}, "items": [{"id": 1}]}
    policy = Policy(fields={"labels": keep_both, "items": lww})
    w = World(record, "ann ben", policy)
    w.edit("ann", {"labels": {"k": [1]}, "items": [{"id": 1, "qty": 2}]})
    w.edit("ben", {"labels": {"k": [2]}, "items": [{"id": 1, "qty": 3}]})
    v = w.sync()
    expected = repr((v.record, v.conflicts, v.lost, v.explain("labels"), v.explain("items")))
    before = w.decoded(v)

    def spoil(x: Any) -> None:
        if isinstance(x, dict):
            for below in list(x.values()):
                spoil(below)
            x["spoilt"] = 1
        elif isinstance(x, list):
            for below in list(x):
                spoil(below)
            x.append("spoilt")
        elif isinstance(x, tuple):
            for below in x:
                spoil(below)
        elif isinstance(x, msgspec.Struct):
            for name in x.__struct_fields__:
                spoil(getattr(x, name))

    for read in (
        lambda: v.record,
        lambda: v.conflicts,
        lambda: v.lost,
        lambda: v.explain("labels"),
        lambda: v.explain("items"),
    ):
        spoil(read())
    fresh = v.edit(w.clocks["ann"], {"labels": {}} if model else {"title": "x"})
    assert repr((v.record, v.conflicts, v.lost, v.explain("labels"), v.explain("items"))) == expected
    again = before.edit(w.clocks["ann"], {"labels": {}} if model else {"title": "x"})
    assert fresh.record == again.record, "what is written on top is right, too"
    v._bytes = None
    assert v.encode() == before.encode()


def test_versions_are_values() -> None:
    """Equal by bytes, with equal hashes, whichever way they came together; pickled as bytes."""
    w = World(Task("t"), "ann ben")
    a, b = w.edit("ann", title="a"), w.edit("ben", votes=2)
    one, other = join(a, b), join(b, a)
    assert one == other and hash(one) == hash(other) and len({one, other, a}) == 2
    assert one != a and one != "x" and a is not None
    again = pickle.loads(pickle.dumps(one))
    assert again == one and again.record == one.record and join(again, a) == one
    assert join(one, one) is one and join(None, one) is one and join(one, None) is one and join(one) is one
    assert "Version(" in repr(one)
    with pytest.raises(InvalidInput, match="nothing to join"):
        join(None)


def test_a_version_can_be_read_by_many_threads() -> None:
    """Views are cached: all see the same."""
    w = World(Task("t", notes=LINES), "ann ben")
    w.edit("ann", notes=line(LINES, 1, "a"), title="a")
    w.edit("ben", notes=line(LINES, 9, "b"), title="b")
    data = w.sync().encode()
    for _ in range(10):
        v = Version.decode(data, Task)
        found: list[Any] = []

        def read(v: Version[Task] = v, found: list[Any] = found) -> None:
            found.append((v.record, v.conflicts, v.lost))

        threads = [threading.Thread(target=read) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert len(found) == 4 and all(one == found[0] for one in found)


# --------------------------------------------------------------------------------------------- policies and errors


def test_joining_under_two_policies_is_an_error() -> None:
    """Relaying is not: bytes have no policy. The same policy made twice is one."""
    w = World(Task("t"), "ann")
    data = w.origin.encode()
    other = Version.decode(data, Task, Policy(default=keep_both))
    for one in (other, Version.decode(data), Version.decode(data, Address)):
        with pytest.raises(PolicyError, match="decode both alike"):
            join(w.origin, one)
    assert join(other, Version.decode(data, Task, Policy(default=keep_both))) == other
    assert Version.decode(data).encode() == data


def test_the_same_policy_is_the_same_however_many_others_there_were() -> None:
    """Rules are compiled once and cached; a cache that has forgotten one changes nothing."""
    w = World({"a": 1}, "ann", Policy(default=keep_both))
    for i in range(600):
        Version.decode(w.origin.encode(), policy=Policy(fields={f"f{i}": lww}))
    assert join(w.origin, Version.decode(w.origin.encode(), policy=Policy(default=keep_both))) == w.origin


def test_policies_by_name_go_with_a_pickled_version() -> None:
    """A mapping of models' names to policies is a policy, too."""
    w = World(Task("t"), "ann")
    policies = {"Task": Policy(fields={"title": keep_both}), "Address": Policy(default=lww)}
    v = Version.new(w.clocks["ann"], Task("t"), policy=policies)
    again = pickle.loads(pickle.dumps(v))
    assert join(again, v) == v
    assert join(v, Version.decode(v.encode(), Task, policies)) == v


@pytest.mark.parametrize("depth", [0, 3, None])
def test_a_depth_mismatch_is_named(depth: int | None) -> None:
    """Depth is schema: two of a field do not join, and it is not written in another."""
    a = World({"x": {"notes": "a"}, "t": 1}, "ann", Policy(default=text(), depth=2))
    b = Version.decode(a.origin.encode(), policy=Policy(default=text(), depth=depth))
    if depth is None:
        assert b.edit(a.clocks["ann"], t=2).record["t"] == 2
        return
    with pytest.raises(SchemaMismatch, match=rf"t: is stored with depth 2, and the policy says {depth}"):
        b.edit(a.clocks["ann"], t=2)
    other = Version.new(a.clocks["ann"], {"x": 1, "t": 2}, id=a.origin.id, policy=Policy(default=text(), depth=depth))
    mine, theirs = (Version.decode(v.encode()) for v in (a.origin, other))
    with pytest.raises(SchemaMismatch, match=rf"has depth 2 on one side and {depth}") as caught:
        join(mine, theirs)
    assert caught.value.path in {("x",), ("t",)}


def test_a_kind_mismatch_is_named() -> None:
    """The kind is schema, too."""
    w = World({"n": 1, "s": {"a"}}, "ann", Policy(fields={"n": counter, "s": add_wins}))
    v = Version.decode(w.origin.encode(), policy=Policy(default=lww))
    with pytest.raises(SchemaMismatch, match=r"n: is stored as a counter, and the policy makes it a history"):
        v.edit(w.clocks["ann"], n=2)
    with pytest.raises(SchemaMismatch, match=r"s: is stored as a set"):
        v.put(w.clocks["ann"], {"n": 1, "s": {"b"}})
    other = Version.new(w.clocks["ann"], {"n": 1}, id=v.id, policy=Policy(default=lww))
    with pytest.raises(SchemaMismatch, match=r"n: is a counter on one side and a history on the other"):
        join(v, other)
    with pytest.raises(SchemaMismatch, match=r"n: is a history on one side and a counter on the other"):
        join(other, v)


def test_the_errors_are_of_the_package_and_say_what_to_do() -> None:
    """Whatever a caller gets wrong."""
    w = World(Task("t"), "ann")
    v, clock = w.origin, w.clocks["ann"]
    deep: dict[str, Any] = {}
    for _ in range(400):
        deep = {"a": deep}
    wrong: list[tuple[Callable[[], Any], type[MergeError], str]] = [
        (lambda: Version.new(clock, 5), InvalidInput, "dictionary or an instance of a model"),
        (lambda: Version.new(clock, None), InvalidInput, "dictionary"),
        (lambda: Version.new(clock, ["a"]), InvalidInput, "dictionary"),
        (lambda: Version.new(clock, {"a": object()}), InvalidInput, "a: is a object"),
        (lambda: Version.new(clock, deep), TooDeep, "deeper"),
        (lambda: v.put(clock, 5), InvalidInput, "no Task"),
        (lambda: v.put(clock, None), InvalidInput, "no Task"),
        (lambda: v.put(clock, {"title": 5}), InvalidInput, "title"),
        (lambda: v.put(clock, Address()), InvalidInput, "."),
        (lambda: v.put(clock, Task("x"), base="t"), InvalidInput, "."),
        (lambda: v.edit(clock, 5), InvalidInput, "."),  # type: ignore[arg-type]
        (lambda: v.edit(clock, ["title"]), InvalidInput, "."),  # type: ignore[arg-type]
        (lambda: v.edit(clock, title="x", shared=5), InvalidInput, "shared"),  # type: ignore[arg-type]
        (lambda: Version.decode(v.encode(), int), PolicyError, "no model"),
        (lambda: Version.decode(v.encode(), Task, 5), PolicyError, "."),  # type: ignore[call-overload]
        (lambda: Version.new(clock, Task(), policy=lww), PolicyError, "Policy"),  # type: ignore[call-overload]
        (lambda: join(v, Version.new(clock, Task())), InvalidInput, "two records"),
    ]
    for n, (call, kind, message) in enumerate(wrong):
        with pytest.raises(MergeError, match=message) as caught:
            call()
        assert isinstance(caught.value, kind), n


def test_a_conflict_can_be_answered_wherever_it_is() -> None:
    """Whatever path a conflict has, and whichever candidate is given."""
    for w in (_open_below(), _assigned("ann ben cat")):
        v = w.sync()
        for pick in (0, -1):
            answers = {path_of(c): c.candidates[pick] for c in v.conflicts}
            settled = v.resolve(w.clocks["ann"], answers)
            assert settled.conflicts == () and isinstance(v.conflicts[0], Conflict)


def test_stamps_are_above_all_that_was_seen() -> None:
    """Also above the creation of a copy, and where the wall stands still."""
    clock = Clock("a", now=lambda: 0)
    v = Version.new(clock, {"a": 0})
    last = v.updated
    for i in range(1, 50):
        v = v.edit(clock if i % 2 else Clock("b", now=lambda: 0), a=i)
        assert v.updated > last and isinstance(last, Timestamp)
        last = v.updated


def test_a_record_as_one_unit_has_one_question_at_its_path() -> None:
    """What both wrote, and a deletion beside it: each candidate can be chosen, and settles all."""
    w = World({"x": 1}, policy=Policy(default=keep_both, unit="record"))
    w.edit("ann", x=2)
    w.edit("ben", x=3)
    w.do("cat", "delete")
    v = w.sync()
    assert [path_of(c) for c in v.conflicts] == [""]
    values = [c.value for c in v.conflicts[0].candidates]
    assert {"x": 2} in values and {"x": 3} in values and UNSET in values
    for c in v.conflicts[0].candidates:
        settled = v.resolve(w.clocks["ann"], {(): c})
        assert settled.conflicts == () and settled.deleted is (c.value is UNSET)
        if c.value is not UNSET:
            assert settled.record == c.value


def test_a_place_is_answered_once() -> None:
    """An answer at a path covers everything below it."""
    w = World(Task("t"), "ann ben")
    w.edit("ann", assignee="a")
    w.edit("ben", assignee="b")
    v = w.sync()
    with pytest.raises(AnswerError, match="answered twice"):
        v.resolve(w.clocks["ann"], {(): Task("x"), "assignee": "b"})
    settled = v.resolve(w.clocks["ann"], {(): Task("x", "c")})
    assert settled.record == Task("x", "c") and settled.conflicts == ()


def test_two_deletions_under_one_stamp_are_alike_everywhere() -> None:
    """Whatever each of them had seen."""
    w = World(Task("t"), "x y z")
    w.clocks |= {name: Clock.locked("device", now=lambda: 1_800_000_000_000) for name in ("x", "y")}
    w.edit("z", title="z")
    w.send("z", "y")
    w.do("x", "delete")
    w.do("y", "delete")
    assert w.at["x"].updated == w.at["y"].updated and w.sync().deleted


def test_what_nobody_can_write_by_a_policy_is_told() -> None:
    """Fields of another kind or depth, by their paths; and of those alone."""
    v = Version.new(Clock("a"), {"n": 1, "t": "x", "s": {"e"}}, policy=Policy(fields={"s": add_wins}))
    assert v.mismatched() == {}
    other = Version.decode(v.encode(), policy=Policy(fields={"n": counter, "t": text("line")}, depth=5))
    assert other.mismatched().keys() == {"n", "t", "s"}
    assert "history" in other.mismatched()["n"] and "depth" in other.mismatched()["t"]
    for path, value in (("n", 2), ("t", "y"), ("s", {"f"})):
        with pytest.raises(SchemaMismatch):
            other.edit(Clock("b"), {path: value})
