"""What becomes of a record that comes in: every combination of what can be on either side, as a table."""

from __future__ import annotations

import itertools
from typing import Annotated, Any

import msgspec
import pytest
from conftest import Tally
from hypothesis import given, settings
from hypothesis import strategies as st

from mergecore import Clock, InvalidInput, SchemaMismatch, Version, add_wins, counter
from mergecore.sync import Purged, plan
from mergecore.sync.plan import Held

pytestmark = pytest.mark.sync


class Todo(msgspec.Struct):
    """A field of each kind."""

    title: str = ""
    owner: str = ""
    votes: Annotated[int, counter] = 0
    tags: Annotated[set[str], add_wins] = set()


def _changed(version: Version[Todo], clock: Clock) -> Version[Todo]:
    """A change that touches nothing that the other node's does, but for the counter and the set."""
    mine, now = "title" if clock.name == "there" else "owner", version.record
    return version.edit(clock, {mine: clock.name, "votes": now.votes + 1, "tags": now.tags | {clock.name}})


def _wiped(version: Version[Todo]) -> Purged:
    return Purged(version.tombstone(), version.seen)


def _states(clock: Clock, first: Version[Todo]) -> dict[str, Held]:
    """What a node may have made of the record, by itself, in the order in which it did."""
    changed = _changed(first, clock)
    deleted = changed.delete(clock)
    restored = deleted.restore(clock)
    return {
        "unchanged": first, "changed": changed, "deleted": deleted, "purged": _wiped(deleted), "restored": restored,
        "changed again": _changed(restored, clock),
    }  # fmt: skip


def _shown(held: Held) -> str:
    if isinstance(held, Purged):
        return "gone"
    return "asked" if held.conflicts else "deleted" if held.deleted else "live"


def _cells(table: str) -> list[Any]:
    """Of each cell: what is here, what comes in, what is done, and what is held then."""
    head, *lines = [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]
    cells = [(row[0], comes, *cell.split(" ")) for row in lines for comes, cell in zip(head[1:], row[1:])]
    return [pytest.param(*cell, id=f"{cell[0]} here, {cell[1]} comes") for cell in cells]


BOTH = """
here \\ comes | unchanged      | changed        | deleted        | restored      | purged
absent        | insert live    | insert live    | insert deleted | insert live   | purge gone
unchanged     | ignore live    | update live    | delete deleted | update live   | purge gone
changed       | ignore live    | merge live     | merge asked    | merge live    | merge asked
deleted       | ignore deleted | merge asked    | merge deleted  | merge asked   | merge deleted
restored      | ignore live    | merge live     | merge asked    | merge live    | merge asked
purged        | refuse gone    | merge asked    | merge deleted  | merge asked   | purge gone
"""
"""Each node did what it did without the other: what is done, and what is held then. That is a *live* record, a
*deleted* one, an edit against a deletion about which somebody is *asked*, or what is left of one that is *gone*."""

LINE = """
here \\ comes  | unchanged      | changed        | deleted        | purged      | restored     | changed again
unchanged      | ignore live    | update live    | delete deleted | purge gone  | update live  | update live
changed        | ignore live    | ignore live    | delete deleted | purge gone  | update live  | update live
deleted        | ignore deleted | ignore deleted | ignore deleted | purge gone  | restore live | restore live
purged         | refuse gone    | refuse gone    | refuse gone    | ignore gone | merge live   | merge live
restored       | ignore live    | ignore live    | ignore live    | ignore live | ignore live  | update live
changed again  | ignore live    | ignore live    | ignore live    | ignore live | ignore live  | ignore live
"""
"""One of the two goes on from what the other had: an old version comes in, or a newer one."""


@pytest.mark.parametrize(("here", "comes", "kind", "shown"), _cells(BOTH))
def test_what_two_nodes_did_without_each_other_meets(here: str, comes: str, kind: str, shown: str) -> None:
    """New is inserted, what one side alone changed is taken, what both changed is merged."""
    first = Version.new(Clock("first"), Todo("milk", votes=1, tags={"a"}))
    stored = None if here == "absent" else _states(Clock("here"), first)[here]
    incoming = _states(Clock("there"), first)[comes]
    action = plan(incoming, stored)
    assert (action.kind, _shown(action.held)) == (kind, shown)
    assert action.version is (None if shown == "gone" else action.held)
    _check_nothing_is_lost(incoming, stored, action.held)
    if kind == "merge" and shown == "live":
        assert action.version is not None
        assert action.version.record == Todo("there", "here", 3, {"a", "here", "there"})


@pytest.mark.parametrize(("here", "comes", "kind", "shown"), _cells(LINE))
def test_what_comes_in_is_older_or_newer(here: str, comes: str, kind: str, shown: str) -> None:
    """An old version changes nothing, a newer one is taken, and nothing deleted comes back by itself."""
    states = _states(Clock("there"), Version.new(Clock("first"), Todo("milk")))
    action = plan(states[comes], states[here])
    assert (action.kind, _shown(action.held)) == (kind, shown)
    if kind in ("ignore", "refuse"):
        assert action.held is states[here]
    _check_nothing_is_lost(states[comes], states[here], action.held)


def test_what_was_wiped_takes_late_edits_in_whole() -> None:
    """What a node that was away wrote comes with all that it had, and what was wiped is not taken for known."""
    first = Version.new(Clock("first"), Todo("milk", votes=1))
    stored = _states(Clock("here"), first)["purged"]
    late = _changed(first, Clock("there"))
    action = plan(late, stored)
    assert isinstance(stored, Purged) and action.version is not None
    assert action.version.record == late.record
    assert [c.path for c in action.version.conflicts] == [()]
    assert action.version.seen == stored.tombstone.seen | late.seen


def test_two_schemas_do_not_meet() -> None:
    """A field of another kind is a named error, and so is a version of another record."""
    clock = Clock("here")
    plainly = Version.new(clock, {"votes": 1}, id="r")
    counted = Version.new(clock, Todo(votes=1), id="r")
    with pytest.raises(SchemaMismatch, match="votes"):
        plan(Version.decode(counted.encode()), Version.decode(plainly.encode()))
    with pytest.raises(InvalidInput, match="two records"):
        plan(Version.new(clock, Todo()), counted)
    with pytest.raises(TypeError, match="not str"):
        plan("x", counted)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------- for any history

_STEPS = ("edit", "edit", "edit", "delete", "restore", "purge", "meet")


@given(st.lists(st.tuples(st.sampled_from(_STEPS), st.integers(0, 2), st.integers(0, 2)), max_size=24))
@settings(max_examples=min(settings().max_examples, 2_000))
def _histories(steps: list[tuple[str, int, int]]) -> None:
    """Three nodes live as they like; then everything that they have meets in every order."""
    clocks = [Clock(name) for name in ("here", "there", "first")]
    held: list[Held | None] = [Version.new(clocks[0], Todo("milk"), id="r"), None, None]
    for what, one, other in steps:
        now, theirs = held[one], held[other]
        if what == "meet" and theirs is not None:
            after = held[one] = plan(theirs, now).held
            _check_nothing_is_lost(theirs, now, after)
        elif isinstance(now, Version):
            if what == "edit" and not now.deleted:
                held[one] = _changed(now, clocks[one])
            elif what == "delete" and not now.deleted:
                held[one] = now.delete(clocks[one])
            elif what == "restore" and now.deleted:
                held[one] = now.restore(clocks[one])
            elif what == "purge" and not now.conflicts:
                held[one] = _wiped(now if now.deleted else now.delete(clocks[one]))
    there = [one for one in held if one is not None]
    _meet_in_every_order(there)
    _COUNTS["histories"] += 1
    _COUNTS["with something wiped"] += any(isinstance(one, Purged) for one in there)


_COUNTS = dict.fromkeys(("histories", "with something wiped"), 0)


def test_whatever_meets_nothing_is_lost_and_the_order_does_not_matter(tally: Tally) -> None:
    """What is held has seen what either side had; versions end equal in any order, and wiped ones show the same."""
    _histories()
    for what, n in _COUNTS.items():
        tally(f"plan, {what}", n, 100 if what == "histories" else 50)


def _meet_in_every_order(there: list[Held]) -> None:
    ends: list[Held] = []
    for order in itertools.permutations(there):
        now: Held | None = None
        for incoming in (*order, *order):  # the second time, everybody knows
            after = plan(incoming, now).held
            _check_nothing_is_lost(incoming, now, after)
            now = after
        assert now is not None
        ends.append(now)
    if not any(isinstance(one, Purged) for one in there):
        assert all(end == ends[0] for end in ends), f"the order matters: {ends}"
    assert len({_shown(end) for end in ends} - {"gone", "deleted"}) <= 1, f"the order matters: {ends}"
    away = {_shown(end) in ("gone", "deleted") for end in ends}
    assert len(away) == 1, f"in one order it is there, in another it is not: {ends}"


def _check_nothing_is_lost(incoming: Held, stored: Held | None, after: Held) -> None:
    """All that either side had has been seen, unless it was wiped on the other; and an edit stays an edit."""
    wiped = [held.seen for held in (incoming, stored) if isinstance(held, Purged)]
    for held in (incoming, stored):
        if held is not None and not any(held.seen <= seen for seen in wiped):
            assert held.seen <= after.seen, f"{held} is not in {after}"
    if wiped and isinstance(after, Purged):
        assert all(seen <= after.seen for seen in wiped)
