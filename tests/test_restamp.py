"""What stores do with versions: ``tombstone``, what stays of a wiped record; ``restamp``, a liar's edits anew."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Annotated, Any

import msgspec
import pytest
from conftest import Tally
from hypothesis import given, settings
from hypothesis import strategies as st

from mergecore import (
    Clock,
    InvalidInput,
    Policy,
    RecordDeleted,
    Timestamp,
    Version,
    VersionVector,
    add_wins,
    counter,
    delete_wins,
    edit_wins,
    join,
    keep_both,
    text,
)
from mergecore.history import History, ORSet
from mergecore.testing import Case
from mergecore.testing.cases import SIZES, Tape, _Maker, strategies_in
from mergecore.testing.joins import _HISTORY, Drawn, _Author, drawn_of
from mergecore.values import canonical
from mergecore.wire import plain

pytestmark = pytest.mark.filterwarnings("error")

DAY, NOW = 86_400_000, 1_700_000_000_000


class Task(msgspec.Struct):
    """One field of every kind; the title is required."""

    title: str
    owner: Annotated[str | None, keep_both] = None
    notes: Annotated[str, text()] = ""
    votes: Annotated[int, counter] = 0
    tags: Annotated[set[str], add_wins] = msgspec.field(default_factory=set)


class World:
    """Clocks by one wall, each a moment later than what was stamped before; those of a liar run ahead."""

    def __init__(self) -> None:
        self.moments = itertools.count(NOW)

    def clock(self, name: str, ahead: int = 0) -> Clock:
        """A new incarnation."""
        return Clock(name, now=lambda: next(self.moments) + ahead)


@pytest.fixture
def world() -> World:
    return World()


def stamps_in(v: Version[Any]) -> set[Timestamp]:
    """All that it speaks of."""
    commits = [mark.commit for mark in v._marks]
    found = [v.created, *v.seen.values()]
    for state in v._fields.values():
        found += state.stamps()
        if isinstance(state, History):
            commits += [w.commit for w in state.writes]
            found += [s for w in state.writes for s in (w.first, *(w.after or ()))]
        elif isinstance(state, ORSet):
            found += [dot.stamp for _, dots in state.elements.values() for dot in dots]
    return {*found, *(s for c in commits for s in (c.stamp, *c.seen.values()))}


def beyond(v: Version[Any], base: Version[Any] | None) -> list[Timestamp]:
    """The stamps of a version that a base has not seen, in order."""
    seen = VersionVector() if base is None else base.seen
    return sorted(s for s in stamps_in(v) if not seen.covers(s) and (base is None or s != base.created))


def again(v: Version[Any]) -> Version[Any]:
    """The same, through bytes."""
    data = v.encode()
    assert all(s.node.encode() in data for s in stamps_in(v))
    decoded = Version.decode(data, v._binding.model, v._binding.policy)
    assert decoded == v
    return decoded


# ------------------------------------------------------------------------------------------------ tombstones


def test_a_tombstone_is_the_deletion_alone(world: World) -> None:
    """No field, no value; id, ``created``, who deleted it and what he had seen."""
    ann, ben = world.clock("ann"), world.clock("ben")
    v = Version.new(ann, Task("secret")).edit(ben, votes=2).delete(ann, by="Ann")
    t = v.tombstone()
    assert (t.id, t.created, t.seen, t.deleted, t.conflicts, t.lost) == (v.id, v.created, v.seen, True, (), ())
    assert t.updated == v.updated and t.stamps == {} and "record={}" in repr(t)
    assert [(c.by, c.paths, c.stamp, c.seen) for c in t.commits] == [("Ann", ((),), *_last(v))]
    assert b"secret" not in t.encode() and again(t).deleted and t.tombstone() == t
    assert join(t, v) == v and join(v, t) == v


def _last(v: Version[Any]) -> tuple[Timestamp, VersionVector]:
    return v.commits[-1].stamp, v.commits[-1].seen


def test_a_tombstone_has_no_record(world: World) -> None:
    """A document is empty, a model its defaults; what the model requires is gone, and is not made up."""
    ann = world.clock("ann")
    t = Version.new(ann, Task("milk")).delete(ann).tombstone()
    with pytest.raises(RecordDeleted, match=r"wiped.*title"):
        _ = t.record
    with pytest.raises(RecordDeleted, match="wiped"):
        t.restore(ann)
    with pytest.raises(RecordDeleted):
        t.edit(ann, title="a")
    assert Version.new(ann, {"a": 1}).delete(ann).tombstone().record == {}
    assert t.put(ann, Task("tea"), base=Task("milk")).record == Task("tea")  # a stale form, against the deletion
    assert t.delete(ann).deleted and t.delete(ann).tombstone().commits[0].seen.covers(t.updated)


def test_only_a_deletion_leaves_a_tombstone(world: World) -> None:
    """Not what lives, was restored, is in question, or is deleted by a column."""
    ann, ben = world.clock("ann"), world.clock("ben")
    v = Version.new(ann, {"n": 1})
    column = Version.new(ann, {"n": 1, "gone": None}, policy=Policy(deleted="gone"))
    asked = join(v.delete(ann), v.edit(ben, n=2))
    for alive in (v, v.delete(ann).restore(ann), asked, column.edit(ann, gone=NOW)):
        with pytest.raises(InvalidInput, match="not deleted by"):
            alive.tombstone()
    both = column.edit(ann, gone=NOW).delete(ann)
    assert both.tombstone().deleted


def test_a_column_does_not_lend_its_deletion(world: World) -> None:
    """A deletion lost against an edit; then a column says that the record is deleted: that is a field."""
    ann, ben = world.clock("ann"), world.clock("ben")
    v = Version.new(ann, {"n": 1, "gone": None}, policy=Policy(deleted="gone", deletes=edit_wins))
    v = join(v.delete(ann), v.edit(ben, n=2)).edit(ben, gone=NOW)
    assert v.deleted
    with pytest.raises(InvalidInput, match="not deleted by"):
        v.tombstone()


@pytest.mark.parametrize("decided", [keep_both, edit_wins, delete_wins], ids=str)
def test_edits_beyond_a_tombstone_are_asked_of_the_policy(world: World, decided: Any) -> None:
    """As they are of the deletion itself; an old version without is deleted."""
    ann, ben = world.clock("ann"), world.clock("ben")
    old = Version.new(ann, {"n": 1, "s": "x"}, policy=Policy(deletes=decided))
    v = old.edit(ann, s="y").delete(ann)
    t = again(v.tombstone())
    assert join(t, old).deleted and join(old, t).tombstone() == t
    edited = old.edit(ben, n=2)
    met = again(join(t, edited))
    assert met == join(edited, t) and met.deleted == join(v, edited).deleted == (decided is delete_wins)
    assert [c.reason for c in met.conflicts] == ["edit against deletion"] * (decided is keep_both)
    if decided is delete_wins:
        assert [x.path for x in met.lost] == [x.path for x in join(v, edited).lost] == [()]
    else:
        assert met.record == {"n": 2, "s": "x"}
    assert join(met, v) == join(v, edited)


def test_what_was_restored_is_not_deleted_again(world: World) -> None:
    """By the tombstone that it knows of, or by older deletions that the restoring had taken back."""
    ann, ben, cat = (world.clock(name) for name in ("ann", "ben", "cat"))
    v = Version.new(ann, Task("milk")).delete(ann)
    t = v.tombstone()
    restored = v.restore(ben).edit(ben, votes=1)
    assert not join(t, restored).deleted and join(t, restored) == restored
    twice = restored.delete(cat)
    assert join(twice.tombstone(), t) == twice.tombstone() and join(twice.tombstone(), restored).deleted
    assert not join(t, twice.tombstone(), twice.restore(ann)).deleted


def test_a_restoring_that_lost_is_wiped_and_comes_back_as_it_was(world: World) -> None:
    """Under ``delete_wins`` a deletion stands against a concurrent restoring. The tombstone must not bring back what
    that one restored; whoever has it still has his say.
    """
    ann, ben = world.clock("ann"), world.clock("ben")
    start = Version.new(ann, {"n": 1}, policy=Policy(deletes=delete_wins))
    first = start.delete(ann)
    restored, other = first.restore(ben), start.delete(world.clock("cat"))
    v = join(restored, other)
    t = v.tombstone()
    assert v.deleted and [m.deleted for m in t._marks] == [True]
    assert join(t, first).deleted and join(t, start).deleted
    assert join(t, restored) == join(restored, t) == v
    bold = [Version.decode(x.encode(), policy=Policy(deletes=edit_wins)) for x in (t, restored, v)]
    assert join(*bold[:2]).deleted is bold[2].deleted is False and bold[0].deleted


# ------------------------------------------------------------------------------------------------ restamp


def test_a_lying_clock_is_set_right(world: World) -> None:
    """A device a year ahead: every kind of field, beside what others have."""
    liar, ben = world.clock("phone", 365 * DAY), world.clock("ben")
    shared = Version.new(world.clock("phone"), Task("milk", notes="a\n\nb\n", votes=1, tags={"x", "y"})).edit(
        ben, votes=3
    )
    early = shared.edit(liar, votes=4, tags={"x", "z"})
    v = early.edit(liar, title="oat", notes="A\n\nb\n", votes=7, tags={"z"}, owner="ann", by="Ann").delete(liar)
    v = v.restore(liar)
    clock = world.clock("phone")
    made = v.restamp(clock, shared)
    assert again(made).record == v.record == Task("oat", "ann", "A\n\nb\n", 7, {"z"})
    assert max(made.seen.values()).millis < NOW + DAY and not stamps_in(made) & set(beyond(v, shared))
    assert {s.node for s in beyond(made, shared)} == {clock.node} and join(shared, made) == made
    assert [c.by for c in made.commits] == [c.by for c in v.commits]
    later = join(made, shared.edit(ben, votes=13, tags={"x", "y", "w"}, notes="a\n\nB\n"))
    assert later.record == Task("oat", "ann", "A\n\nB\n", 17, {"z", "w"}) and later.conflicts == ()
    assert made.edit(clock, votes=8).record.votes == 8


def test_the_whole_record_is_written_anew(world: World) -> None:
    """Where nobody has anything: ``created`` too, and still the same id."""
    liar, clock = world.clock("phone", -DAY), world.clock("phone")
    v = Version.new(liar, Task("milk")).edit(liar, votes=2)
    made = v.restamp(clock, None)
    assert made.id == v.id and made.record == v.record and made.seen.keys() == {clock.node}
    assert made.created in stamps_in(made) - stamps_in(v) and not stamps_in(made) & stamps_in(v)
    assert made.created < made.stamps["votes"] == made.updated
    assert liar.node.encode() in v.encode() and liar.node.encode() not in made.encode()


def test_a_base_that_has_all_leaves_it_as_it_is(world: World) -> None:
    """Itself, and no stamp is used up."""
    ann = world.clock("ann")
    v = Version.new(ann, Task("milk"))
    clock = world.clock("ann")
    saved = clock.save()
    w = Version.decode(v.encode(), Task)
    assert v.restamp(clock, v) is v and v.restamp(clock, w) is v and clock.save() == saved
    assert v.edit(ann, title="tea").restamp(clock, v) != v


def test_what_is_no_base_is_refused(world: World) -> None:
    """Another record, more than there is, a clock that others know."""
    ann, ben = world.clock("ann"), world.clock("ben")
    v = Version.new(ann, Task("milk"))
    w = v.edit(ann, title="tea")
    for base in (v.edit(ben, votes=1), Version.new(ann, Task("x"))):
        with pytest.raises(InvalidInput):
            w.restamp(world.clock("ann"), base)
    with pytest.raises(InvalidInput, match="give a new Clock"):
        w.restamp(ann, v)
    with pytest.raises(InvalidInput, match="is no clock"):
        w.restamp("ann", v)  # type: ignore[arg-type]


def test_a_base_must_be_held_not_only_covered(world: World) -> None:
    """A record that was wiped and edited: what the deletion had seen is covered, and is not there."""
    ann, ben = world.clock("ann"), world.clock("ben")
    old = Version.new(ann, {"n": 1, "s": "x"})
    base = old.edit(ann, s="y")
    v = join(base.delete(ann).tombstone(), old.edit(ben, n=2))
    assert base.seen <= v.seen
    with pytest.raises(InvalidInput, match="join them first"):
        v.restamp(world.clock("ben"), base)
    assert join(v, base).restamp(world.clock("ben"), base).record == {"n": 2, "s": "y"}


@pytest.mark.parametrize("kind", [counter, add_wins], ids=str)
def test_a_name_used_twice_and_settled_asks_nothing_again(world: World, kind: Any) -> None:
    """The node counted on, so what was open of it is settled; its earlier count comes back from what others have."""
    values: list[Any] = [1, 2, 3, 4] if kind is counter else [{"a"}, {"b"}, {"c"}, {"d"}]
    start = Version.new(world.clock("ben"), {"n": values[0]}, policy=Policy(fields={"n": kind}))
    saved = world.clock("phone").save()
    one, two = (Clock.load(saved, now=lambda: NOW + DAY) for _ in range(2))
    base = join(start.edit(one, n=values[1]), start.edit(two, n=values[2]))
    v = base.edit(one, n=values[3])
    made = again(v.restamp(world.clock("phone"), base))
    assert len(base.conflicts) == 1 and v.conflicts == made.conflicts == () and made.record == v.record


def test_what_saw_a_part_still_saw_that_part(world: World) -> None:
    """Two clients of one server: each saw what his page showed, of what others have and of what they have not."""
    liar = world.clock("web", DAY)
    start = Version.new(liar, {"owner": "", "n": 0}, policy=Policy(default=keep_both))
    base = start.edit(liar, n=1)
    page = base.edit(liar, n=2)
    v = page.put(liar, {"owner": "ann", "n": 2}, base=page)
    v = v.put(liar, {"owner": "ben", "n": 2}, base=page)
    v = v.put(liar, {"owner": "cat", "n": 0}, base=start)
    made = again(v.restamp(world.clock("web"), base))
    found = [c for c in made.conflicts if c.path == ("owner",)]
    assert {c.value for c in found[0].candidates} == {"ann", "ben", "cat"}
    old = [w.seen for w in _writes(v, "owner")]
    new = [w.seen for w in _writes(made, "owner")]
    (was,), node = start.seen.values(), made.updated.node
    assert [len(seen) for seen in old] == [1, 1, 1] and new[2] == start.seen == {was.node: was}
    assert new[0] == new[1] == {was.node: base.seen[was.node], node: _writes(made, "n")[-1].stamp}


def _writes(v: Version[Any], path: str) -> Any:
    state = v._fields[(path,)]
    assert isinstance(state, History)
    return state.writes


def test_several_incarnations_of_one_line_become_one(world: World) -> None:
    """A device that was started again while its clock lied; its counts are one."""
    one, two = world.clock("phone", DAY), world.clock("phone", 2 * DAY)
    base = Version.new(world.clock("ben"), Task("milk"))
    v = base.edit(one, votes=2, tags={"a"}).edit(two, votes=5, tags={"a", "b"}).edit(two, title="tea")
    clock = world.clock("phone")
    made = again(v.restamp(clock, base))
    assert made.record == v.record and made.seen.keys() == {*base.seen, clock.node}
    assert made.edit(clock, votes=6, tags={"b"}).record == Task("tea", votes=6, tags={"b"})
    counted = Version.new(one, {"n": 1}, policy=Policy(fields={"n": counter}))
    exact = counted.edit(one, n=1.5).edit(two, n=2)
    assert repr(exact.restamp(clock, counted).record) == repr(exact.record) == repr({"n": 2.0})


def test_what_two_incarnations_wrote_without_each_other_stays_concurrent(world: World) -> None:
    """A copied device: no vector of one node can say who saw what."""
    base = Version.new(world.clock("ben"), {"a": 0, "b": 0}, policy=Policy(default=keep_both))
    one, two = world.clock("phone", DAY), world.clock("phone", DAY)
    mine = base.edit(one, a=1)
    yours = base.edit(two, a=2)
    v = join(mine.edit(one, b=1), yours.edit(two, b=2))
    made = again(v.restamp(world.clock("phone"), base))
    assert [len(c.candidates) for c in made.conflicts] == [len(c.candidates) for c in v.conflicts] == [2, 2]
    assert len(made.seen) == len(base.seen) + 2 and {s.node.partition("~")[0] for s in beyond(made, base)} == {"phone"}
    settled = v.edit(one, a=3, b=3).restamp(world.clock("phone"), base)
    assert settled.conflicts == () and len(settled.seen) == len(base.seen) + 1  # who settled it has seen both


def test_what_a_deletion_had_not_seen_stays_an_edit_against_it(world: World) -> None:
    """A set keeps the last change of each node: as one node, the deleting one would hide what it had not seen."""
    policy = Policy(fields={"s": add_wins}, deletes=edit_wins, deleted="gone")
    base = Version.new(world.clock("ben"), {"s": {"a"}, "gone": None}, policy=policy)
    v = join(
        base.edit(world.clock("phone", DAY), s={"a", "b"}),
        base.edit(world.clock("phone", 2 * DAY), s={"a", "c"}, gone=7),
    )
    made = again(v.restamp(world.clock("phone"), base))
    assert made.record == v.record == {"s": {"a", "b", "c"}, "gone": None} and not made.deleted


def test_a_run_that_others_have_the_beginning_of_ends_there(world: World) -> None:
    """Its last write was pruned from the version, and stays in what others have: the result has both, as decoded."""
    liar, ben = world.clock("phone", DAY), world.clock("ben")
    start = Version.new(ben, {"s": "a"}, policy=Policy(default=text()))
    base = start.edit(liar, s="ab")
    v = base.edit(liar, s="abc")  # nobody said that "ab" was handed out
    assert [w.value for w in _writes(v, "s")] == ["a", "abc"]
    made = again(v.restamp(world.clock("phone"), base))
    assert made.record == {"s": "abc"} and [w.value for w in _writes(made, "s")] == ["a", "ab", "abc"]
    met = join(made, base.edit(ben, s="ab!"))
    assert {c.value for c in met.conflicts[0].candidates} == {"abc", "ab!"} and met.conflicts[0].base == "ab"


def test_the_same_fork_on_two_replicas_still_joins(world: World) -> None:
    """A copy is a record that nobody has."""
    liar, ben = world.clock("phone", DAY), world.clock("ben")
    base = Version.new(ben, {"a": 0}, policy=Policy(default=keep_both))
    others = base.edit(ben, a=2)
    v = join(base.edit(liar, a=1), others)
    kept, copy = v.fork(liar, "a")
    made = copy.restamp(world.clock("phone"), None)
    assert made.id == copy.id and made.record == copy.record and not stamps_in(made) & stamps_in(copy)
    assert join(made, v.fork(ben, "a")[1]).record == copy.record
    assert kept.restamp(world.clock("phone"), others).record == kept.record


def test_a_copy_is_renamed_against_what_others_have_of_its_origin(world: World) -> None:
    """What is theirs in a copy stays theirs: the same fork over there counts nothing twice."""
    liar, ben = world.clock("phone", DAY), world.clock("ben")
    policy = Policy(default=keep_both, fields={"n": counter, "s": add_wins})
    start = Version.new(ben, {"a": 0, "n": 1, "s": {"x"}}, policy=policy)
    origin = join(start.edit(liar, a=1, n=3), start.edit(ben, a=2, n=11))
    copy = origin.fork(liar, "a")[1]
    mine = copy.edit(liar, n=14, s={"y"})
    made = again(mine.restamp(world.clock("phone"), origin))
    assert made.id == copy.id and made.record == mine.record and not stamps_in(made) & set(beyond(mine, origin))
    met = join(made, origin.fork(ben, "a")[1].edit(ben, n=113))
    assert met.record == {"a": copy.record["a"], "n": 114, "s": {"y"}} and met.conflicts == ()


# ------------------------------------------------------------------------------------------------ any history


def drawn_or_none(document: bytes, policy: bytes) -> Drawn | None:
    """Rarely the author in the history gives an answer that its model refuses, and stops."""
    try:
        return drawn_of(document, policy)
    except AssertionError:
        return None


DRAWN = st.builds(drawn_or_none, *(st.binary(min_size=n, max_size=n) for n in (_HISTORY, SIZES[1] + 4)))


def told(v: Version[Any], to: dict[Timestamp, Timestamp]) -> tuple[str, list[str], list[str], bool]:
    """All that a version shows, with some stamps renamed, and the nodes that are named by them."""

    def renamed(x: Any) -> Any:
        if isinstance(x, Timestamp):
            return to.get(x, x)
        if isinstance(x, tuple):
            return tuple(map(renamed, x))
        if not isinstance(x, msgspec.Struct):
            return x
        made = {f.name: renamed(getattr(x, f.name)) for f in msgspec.structs.fields(x)}
        if made.get("stamp") is not None and "name" in made:
            made["name"] = made["stamp"].node.partition("~")[0]
        return type(x)(**made)

    def sorts(found: Any) -> list[str]:  # where two are equal but for their stamps, the order is theirs
        said = [{**msgspec.structs.asdict(renamed(x))} for x in found]
        for x in said:
            x["candidates"] = sorted(repr(canonical(c)) for c in x.get("candidates", ()))
        return sorted(repr(canonical(x)) for x in said)

    return repr(canonical(plain(v.record))), sorts(v.conflicts), sorts(v.lost), v.deleted


def crosses(v: Version[Any], base: Version[Any] | None) -> bool:
    """Whether others have the beginning of a run, and not its last."""
    seen = VersionVector() if base is None else base.seen
    histories = (s for s in v._fields.values() if isinstance(s, History))
    return any(seen.covers(w.first) and not seen.covers(w.stamp) for s in histories for w in s.writes)


def written(v: Version[Any], stamps: set[Timestamp]) -> list[str]:
    """What some writes say, but for stamps."""
    states = ((path, s) for path, s in v._fields.items() if isinstance(s, History))
    said = [
        (path, w.value, w.base, w.based, w.contested, w.commit.by, len(w.after or ()), len(w.commit.seen) > 0)
        for path, s in states
        for w in s.writes
        if w.stamp in stamps
    ]
    return sorted(map(repr, said))


def another(base: Version[Any], drawn: Drawn, tape: bytes) -> Version[Any]:
    """What somebody wrote who had the base alone."""
    author = _Author(Tape(tape), drawn.policy)
    author.typed, author.model = drawn.model is not None, drawn.model
    author.maker = _Maker(author.tape, author.typed)
    clock = Clock("other", now=lambda: 0)
    try:
        return base.put(clock, author.edited(base, "other"))
    except RecordDeleted:
        return base.restore(clock) if base._marks else base
    except InvalidInput:  # it was not for this record
        return base


@pytest.mark.parametrize("whose", ["others have a part", "nobody has anything"])
def test_a_renamed_history_is_the_same_history(whose: str, tally: Tally) -> None:
    """Whatever was written, and whatever of it others have: nothing shows otherwise, nobody loses anything."""
    n = Counter[str]()

    @settings(max_examples=200)
    @given(DRAWN, st.integers(0, 99), st.integers(0, 99), st.binary(min_size=60, max_size=60))
    def holds(drawn: Drawn | None, one: int, other: int, tape: bytes) -> None:
        if drawn is None:
            return
        v = [*drawn.versions, *drawn.ends, *drawn.ends][-1 - one % (len(drawn.versions) // 2 + 6)]
        bases = [b for b in (*drawn.versions, *drawn.ends) if join(b, v) == v and b != v]
        base = None if whose == "nobody has anything" else bases[other % len(bases)] if bases else v
        old = beyond(v, base)
        names = {s.node for s in old}
        clock = Clock(min(names, default="none"), now=lambda: 5_000)
        made = v.restamp(clock, base)
        n["runs"] += 1
        if not old:
            assert made is v
            return
        # what is there
        new = beyond(made, base)
        held = {(s.millis, s.counter): s for s in new}
        to = {s: held[5_000, i] for i, s in enumerate(old) if (5_000, i) in held}
        assert set(to.values()) == set(new) and not set(old) & stamps_in(made)
        assert to.keys() == set(old) or len({s.node for s in new}) < len(names)  # what one vector says of several
        assert {s.node.partition("~")[0] for s in new} == {clock.name} and again(made).encode() == made.encode()
        assert made.seen.keys() - {s.node for s in new} == (base.seen.keys() if base is not None else set())
        assert base is None or join(base, made) == made == join(made, base)
        n["several nodes"] += len(names) > 1
        n["one for several"] += len(names) > 1 and len({s.node for s in new}) == 1
        assert written(made, set(new)) == written(v, set(old))
        # what it shows
        used = strategies_in(Case(None, None, None, drawn.policy, drawn.model))
        marked = "" if drawn.model is None else str([f.type for f in msgspec.structs.fields(drawn.model)])
        if len(names) > 1 and ("prefer" in used or "prefer" in marked):
            return
        comparable(n, "shown", v, made, to)
        if base is None:
            return
        late = another(base, drawn, tape)
        met, was = join(late, made), join(late, v)
        assert met == join(made, late) == join(again(made), late, base) and met.seen >= late.seen | made.seen
        n["met"] += late is not base
        if comparable(n, "met, shown", was, met, to):
            n["met, with questions"] += bool(met.conflicts or met.lost)

    holds()
    for what, least in (("runs", 150), ("several nodes", 3), ("shown", 50)):
        tally(f"restamp, {whose}: {what}", n[what], least, ", ".join(f"{k} {x}" for k, x in n.items()))


def comparable(n: Counter[str], what: str, v: Version[Any], made: Version[Any], to: dict[Timestamp, Timestamp]) -> bool:
    """Compares what is shown, if the order of all stamps is still the same."""
    order = [to.get(s, s) for s in sorted(stamps_in(v))]
    if order != sorted(order) or any("invariant" in c.reason for c in v.conflicts):
        return False
    assert told(made, {}) == told(v, to)
    n[what] += 1
    return True


@pytest.mark.parametrize("said", [True, False], ids=["what was handed out is said", "never said"])
def test_typing_goes_on_while_others_hear_of_it(said: bool, tally: Tally) -> None:
    """A device types, is heard now and then, hears, is started again, and finds that its clock lied."""
    n = Counter[str]()
    policy = Policy(default=text(), fields={"n": counter, "s": add_wins})
    steps = st.sampled_from(["t", "t", "t", "n", "s", "hear", "told", "again", "ben", "ben n", "delete"])

    @settings(max_examples=300)
    @given(st.lists(steps, min_size=3, max_size=14))
    def holds(steps: list[str]) -> None:
        world = World()
        liar, ben_clock = world.clock("phone", DAY), world.clock("ben")
        start: dict[str, Any] = {"t": "a\n\n\n\n\nz\n", "n": 0, "s": {"x"}}
        base = v = ben = Version.new(ben_clock, start, policy=policy)
        for i, step in enumerate(steps):
            shared = base.seen if said else None
            if step == "again":
                liar = world.clock("phone", DAY)
            elif step == "hear":
                v, base = join(v, ben), join(base, ben)
            elif step == "told":
                ben = base = join(ben, v)
                v = join(v, ben)
            elif step == "ben":
                ben = ben if ben.deleted else ben.edit(ben_clock, t=f"{ben.record['t']}{i}\n", s={str(i)})
            elif step == "ben n":
                ben = ben if ben.deleted else ben.edit(ben_clock, n=ben.record["n"] + 100)
            elif v.deleted or step == "delete":
                v = v.restore(liar) if v.deleted else v.delete(liar)
            elif step == "t":
                v = v.edit(liar, t=f"{i}\n{v.record['t']}", shared=shared)
            elif step == "n":
                v = v.edit(liar, n=v.record["n"] + 1)
            else:
                v = v.edit(liar, s=v.record["s"] ^ {"x", str(i)})
        clock = world.clock("phone", 2 * DAY)
        made = again(v.restamp(clock, base))
        old, new = beyond(v, base), beyond(made, base)
        assert not set(old) & stamps_in(made) and {s.node for s in new} == ({clock.node} if old else set())
        assert join(base, made) == made and made.seen.keys() == {*base.seen, *(s.node for s in new)}
        n["runs"] += 1
        n["a run ends"] += crosses(v, base)
        met, was = join(ben, made), join(ben, v)
        assert met == join(made, ben)
        if len(old) == len(new):
            comparable(n, "shown", v, made, dict(zip(old, new)))
            comparable(n, "met, shown", was, met, dict(zip(old, new)))

    holds()
    for what, least in (("runs", 250), ("met, shown", 100), ("a run ends", 0 if said else 1)):
        tally(f"restamp, typing: {what}", n[what], least, ", ".join(f"{k} {x}" for k, x in n.items()))
