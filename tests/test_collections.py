"""Lists, keyed lists and words, judged by books that are kept while the two sides are edited.

What each side inserted, deleted, replaced, moved and edited is written down when it is done; what the merge must say of
it is worked out from that, never from a comparison of the three values. ``BOOKS`` are the groups of laws; broken
variants of the walk show that each group can fail.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

import pytest
from conftest import Tally
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from mergecore import (
    UNSET,
    Conflict,
    Merged,
    Pass,
    Policy,
    Strategy,
    delete_wins,
    edit_wins,
    keep_both,
    keyed,
    lww,
    merge,
    text,
    three_way,
)
from mergecore.diff import changes
from mergecore.paths import ORDER, Path, Slice
from mergecore.sequence import regions
from mergecore.testing.cases import Tape
from mergecore.walk import Walk

pytestmark = pytest.mark.filterwarnings("error")

Times: TypeAlias = tuple[int, int] | None

NAMES = ("phone", "server")
TIMES = ((1, 2), (2, 1), (1, 1))


class Question(NamedTuple):
    """What is asked of ``merge``."""

    base: Any
    ours: Any
    theirs: Any
    policy: Policy
    at: Times = None

    def merge(self) -> Merged[Any]:
        """The answer."""
        return merge(self.base, self.ours, self.theirs, policy=self.policy, names=NAMES, at=self.at)

    def swapped(self) -> Merged[Any]:
        """The answer where the sides, their names and their times have changed places."""
        at = None if self.at is None else self.at[::-1]
        return merge(self.base, self.theirs, self.ours, policy=self.policy, names=NAMES[::-1], at=at)

    def check(self, merged: Merged[Any]) -> None:
        """Swapping changes nothing, in no letter; where one side changed nothing, the value is the other's."""
        other = self.swapped()
        assert repr(other.value) == repr(merged.value), f"swap: {merged.value!r}, and swapped {other.value!r}"
        assert repr(other.conflicts) == repr(merged.conflicts), f"swap: {merged.conflicts}, swapped {other.conflicts}"
        for side, alone in ((self.ours, self._replace(theirs=self.base)), (self.theirs, self._replace(ours=self.base))):
            value, conflicts = (found := alone.merge()).value, found.conflicts
            assert repr(value) == repr(side) and not conflicts, f"one-sided: {value!r} and {conflicts} of {side!r}"


def candidates(conflicts: Sequence[Conflict]) -> list[Any]:
    """What the open questions are about."""
    return [candidate.value for conflict in conflicts for candidate in conflict.candidates]


def in_order(part: Sequence[Any], whole: Sequence[Any]) -> bool:
    """Whether ``part`` stands in ``whole``, in its order."""
    rest = iter(whole)
    return all(any(x == y for y in rest) for x in part)


T = TypeVar("T")


def check(judge: Callable[[Any], T], case: Any) -> T:
    """What the judge says. Raises ``AssertionError``, which names the law and the case, where one does not hold."""
    try:
        return judge(case)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{case}") from error


def _drawn(make: Callable[[Tape], Any], size: int) -> st.SearchStrategy[Any]:
    return st.binary(min_size=size, max_size=size).map(lambda data: make(Tape(data)))


# --------------------------------------------------------------------------------------- lists, element by element


class Edited:
    """One side of a list on its way, and the books of it. Elements of the base go by their index there."""

    def __init__(self, base: Sequence[str], tag: str) -> None:
        self.base, self.tag = base, tag
        self.slots: list[tuple[int | None, str]] = list(enumerate(base))
        self.new: list[str] = []
        self.deleted: set[int] = set()
        self.replaced: dict[int, str] = {}

    @property
    def now(self) -> list[str]:
        """The list as this side has it."""
        return [element for _, element in self.slots]

    @property
    def kept(self) -> list[int]:
        """The base's elements that are still there, as they stand now."""
        return [i for i, _ in self.slots if i is not None]

    @property
    def moved(self) -> set[int]:
        """The base's elements that changed places with another that is still there."""
        return {i for x, y in itertools.combinations(self.kept, 2) if x > y for i in (x, y)}

    @property
    def touched(self) -> set[int]:
        """The base's elements that this side changed."""
        return self.deleted | self.replaced.keys() | self.moved

    def edit(self, tape: Tape, moves: bool, most: int) -> None:
        """Some edits: insertions, deletions, replacements, and moves if these are wanted."""
        for _ in range(tape.below(most + 1)):
            op, at = tape.below(7 if moves else 4), tape.below(len(self.slots) + 1)
            i = self.slots[at][0] if at < len(self.slots) else None
            if i is None or op == 0:
                self.insert(at, f"{self.tag}{len(self.new)}")
            elif op > 3:
                self.slots.insert(tape.below(len(self.slots)), self.slots.pop(at))
            elif op == 1:
                self.replace(i, f"{self.tag}{len(self.new)}")
            else:
                self.delete(i)

    def insert(self, at: int, element: str) -> None:
        """Something new."""
        self.slots.insert(at, (None, element))
        self.new.append(element)

    def replace(self, i: int, element: str) -> None:
        """Something new for one of the base's."""
        self.slots[self.slots.index((i, self.base[i]))] = (None, element)
        self.replaced[i] = element
        self.new.append(element)

    def delete(self, i: int) -> None:
        """One of the base's."""
        self.slots.remove((i, self.base[i]))
        self.deleted.add(i)

    def stands_between(self, element: str, before: int, after: int, alone: bool = False) -> bool:
        """Whether something new stands between two of the base's that this side did not move (``alone`` there)."""
        at = self.now.index(element)
        left, right = [-1, *(i for i, _ in self.slots[:at])], [*(i for i, _ in self.slots[at + 1 :]), len(self.base)]
        if not alone:
            left, right = [i for i in left if i is not None], [i for i in right if i is not None]
        return (left[-1], right[0]) == (before, after) and not self.moved.intersection((before, after))

    def zones(self) -> list[tuple[int, int]]:
        """The stretches of the base that changed, empty where something was inserted (where nothing was moved)."""
        found, last, gap = [], -1, False
        for i, _ in (*self.slots, (len(self.base), "")):
            if i is None:
                gap = True
            else:
                if gap or i > last + 1:
                    found.append((last + 1, i))
                last, gap = i, False
        return found


class Lists(NamedTuple):
    """Two sides of a list, and what both did alike."""

    base: list[str]
    ours: Edited
    theirs: Edited
    distinct: bool
    at: Times
    """With times, ``lww`` stands behind ``three_way()``; without, nothing does, and nothing is settled."""
    inserted: tuple[str, int] | None
    """The same new element on both sides, in the gap before this one of the base's."""
    replacement: tuple[str, int] | None
    """The same new element on both sides, for this one of the base's."""

    @property
    def question(self) -> Question:
        """As it is asked."""
        policy = _BY_ELEMENT if self.at is None else _BY_ELEMENT_AND_TIME
        return Question(self.base, self.ours.now, self.theirs.now, policy, self.at)

    @property
    def pairs(self) -> tuple[tuple[Edited, Edited], ...]:
        """Each side, and the other."""
        return (self.ours, self.theirs), (self.theirs, self.ours)

    @property
    def both(self) -> set[str]:
        """What both put there alike."""
        return {found[0] for found in (self.inserted, self.replacement) if found is not None}

    def __repr__(self) -> str:
        return f"Lists({self.base} -> {self.ours.now} | {self.theirs.now}, at={self.at})"


_BY_ELEMENT = Policy(default=three_way())
_BY_ELEMENT_AND_TIME = Policy(default=three_way() | lww)


def _lists(tape: Tape) -> Lists:
    distinct = not tape.below(2)
    at = tape.one((None, None, None, *TIMES))
    n = tape.below(9)
    symbols = "wxyz"[: 2 + tape.below(3)]
    base = [f"b{i}" if distinct else tape.one(symbols) for i in range(n)]
    ours, theirs = Edited(base, "o"), Edited(base, "t")
    inserted = ("both", tape.below(n + 1)) if not tape.below(4) else None
    replacement = ("alike", tape.below(n)) if n and not tape.below(6) else None
    hot = tape.below(n) if n and not replacement and not tape.below(3) else None  # what both replace otherwise
    for side in (ours, theirs):
        if hot is not None:
            side.replace(hot, f"{side.tag}-hot")
        if replacement:
            side.replace(replacement[1], replacement[0])
        if inserted:
            side.insert(inserted[1], inserted[0])
    moves = distinct and not tape.below(2)
    most = 6 if hot is None else 2
    ours.edit(tape, moves, most)
    theirs.edit(tape, moves, most)
    return Lists(base, ours, theirs, distinct, at, inserted, replacement)


LISTS = _drawn(_lists, 64)


def judge_lists(case: Lists) -> Counter[str]:
    """All laws of lists by element; counts the conflicts, and what the time settled."""
    asked = case.question
    merged = asked.merge()
    asked.check(merged)
    told = merged.explain()
    lost = {v.path: [c.value for c in v.lost] for v in told if v.lost}
    kept = [*candidates(merged.conflicts), *itertools.chain.from_iterable(lost.values())]
    held = Counter(merged.value)
    for side, other in case.pairs:
        for element in set(side.new) - case.both:
            assert held[element] == 1 or (held[element] == 0 and element in kept), (
                f"conservation: {element!r} was put there once, and is there {held[element]} times"
            )
        for i, element in side.replaced.items():
            alone = case.distinct and side.stands_between(element, i - 1, i + 1, alone=True)
            if alone and i not in other.touched:
                assert held[element] == 1, (
                    f"conservation: {element!r} stands for what only one side touched, and is gone"
                )
    for element in case.both:
        assert 0 < held[element] <= 2 or element in kept, f"conservation: {element!r}, put there by both, is lost"
        alike = _both_in_one_place(case, element)
        assert held[element] == 1 or not alike, f"conservation: {element!r}, put there by both, is there twice"
    paths = [c.path for c in merged.conflicts]
    assert not lost or case.at, f"conservation: nothing was to be settled, and lost is {lost}"
    for path in (*paths, *lost):
        assert len(path) == 1 and type(path[0]) is int and path[0] < len(case.base), f"minimality: {path}"
        assert not case.distinct or path[0] in case.ours.touched & case.theirs.touched, f"minimality: at {path}"
    touched = case.ours.touched & case.theirs.touched if case.distinct else case.ours.touched and case.theirs.touched
    assert touched or not (paths or lost), f"minimality: nothing was touched by both, and yet {paths} {lost}"
    only_deleted = not (case.ours.new or case.theirs.new or case.ours.moved or case.theirs.moved)
    assert not only_deleted or not (paths or lost), f"minimality: two deletions at {paths} {lost}"
    if case.at is not None:
        for conflict in merged.conflicts:
            assert UNSET in candidates([conflict]), f"settled: two values at {conflict.path}, and times, but open"
        for verdict in told:
            for candidate in verdict.lost:
                later = case.at[0] == case.at[1] or case.at[NAMES.index(candidate.name)] < max(case.at)
                assert later and verdict.decided_by == "lww", f"settled: {candidate} lost by {verdict.decided_by}"
    if case.distinct:
        _judge_elements(case, held, merged.value)
        if not (case.ours.moved or case.theirs.moved or paths or lost):
            once = {element for element, n in held.items() if n == 1}
            for side in (case.ours, case.theirs):
                assert in_order([x for x in side.now if x in once], merged.value), "order: not as a side has it"
    else:
        here, there, was = Counter(case.ours.now), Counter(case.theirs.now), Counter(case.base)
        for symbol, n in was.items():
            least, most = here[symbol] + there[symbol] - n, min(here[symbol], there[symbol])
            assert least <= held[symbol] <= most, f"symbols: {symbol!r} is there {held[symbol]} times"
    for element in merged.value:
        assert element in asked.ours or element in asked.theirs, f"conservation: {element!r} is of neither side"
    return Counter({"conflicts": bool(paths), "settled by time": bool(lost)})


def _judge_elements(case: Lists, held: Counter[str], value: list[str]) -> None:
    """What became of each of the base's, where no two are equal."""
    ours, theirs = case.ours, case.theirs
    gone = [side.deleted | side.replaced.keys() for side in (ours, theirs)]
    for i, element in enumerate(case.base):
        least = most = 1
        if i in gone[0] | gone[1]:
            least, most = 0, int(i in ours.moved | theirs.moved)  # a move counts as a deletion and an insertion
        elif i in ours.moved & theirs.moved:
            most = 2
        assert least <= held[element] <= most, f"conservation: {element!r} of the base is there {held[element]} times"
    untouched = [x for i, x in enumerate(case.base) if i not in ours.touched | theirs.touched]
    assert in_order(untouched, value), "order: what nobody touched changed places"


def _both_in_one_place(case: Lists, element: str) -> bool:
    """Whether both sides put the same there, and nothing else happened that makes it two places."""
    ours, theirs = case.ours, case.theirs
    if not case.distinct or ours.moved & theirs.moved:
        return False
    alone = case.replacement is not None and element == case.replacement[0]
    found = case.replacement if alone else case.inserted
    assert found is not None
    around = found[1] - 1, found[1] + alone
    return all(side.stands_between(element, *around, alone) for side in (ours, theirs))


@pytest.mark.laws
def test_lists_are_merged_element_by_element(tally: Tally) -> None:
    """Nothing that a side put there is lost or doubled, what it deleted is gone, and only what both touched is open."""
    seen = Counter[str]()

    @given(LISTS)
    def holds(case: Lists) -> None:
        seen.update(check(judge_lists, case))
        seen["draws"] += 1
        seen["distinct"] += case.distinct
        seen["moves"] += bool(case.ours.moved or case.theirs.moved)
        seen["the same on both sides"] += any(_both_in_one_place(case, element) for element in case.both)
        seen["touched by both"] += bool(case.ours.touched & case.theirs.touched)

    started = time.perf_counter()
    holds()
    _count(tally, "lists", seen, started, share=100)


def _count(tally: Tally, what: str, seen: Counter[str], started: float, share: int) -> None:
    """Prints the counts; all but the draws must be at least one in ``share`` of them."""
    n = seen.pop("draws")
    tally(what, n, settings().max_examples * 9 // 10, f"{time.perf_counter() - started:.0f} s")
    for name, count in seen.items():
        tally(f"{what}, {name}", count, n // share)


# --------------------------------------------------------------------------------------------------- keyed lists

Key: TypeAlias = Any
Member: TypeAlias = dict[str, Any]


class Keys(NamedTuple):
    """What the members of a drawn keyed list are told apart by."""

    names: tuple[str, ...]
    nested: bool

    def key(self, number: int) -> Key:
        """One key for each number; of one field, some are numbers and some are texts."""
        if len(self.names) > 1:
            return (f"s{number % 3}", number // 3)
        return number if number < 6 or number % 2 else f"n{number}"

    def member(self, tape: Tape, key: Key, depth: int = 0) -> Member:
        """A member, without those of its own."""
        fields = dict(zip(self.names, key if len(self.names) > 1 else (key,)))
        values = {name: tape.below(4) for name in "abc"[: 2 + tape.below(2)]}
        return {**fields, **values, **({"subs": []} if self.nested and not depth else {})}


class Kept:
    """One side of a keyed list on its way, and the books of it."""

    def __init__(self, keys: Keys, base: dict[Key, Member], first: int, depth: int = 0) -> None:
        self.keys, self.base, self.depth = keys, base, depth
        self.members = {key: dict(member) for key, member in base.items()}
        self.deleted: set[Key] = set()
        self.new: set[Key] = set()
        self.written: dict[Key, Member] = {}
        """By key and field, what this side wrote; ``UNSET`` where it removed the field."""
        self.subs: dict[Key, Kept] = {}
        """What it did to the keyed lists of members."""
        self.first = first  # of the numbers of its new members

    @property
    def now(self) -> list[Member]:
        """The list as this side has it."""
        return list(self.members.values())

    @property
    def changed(self) -> bool:
        """Whether this side did anything."""
        return bool(self.written or self.deleted or self.new or self.subs) or list(self.members) != list(self.base)

    def edit(self, tape: Tape, most: int) -> Kept:
        """Some edits: insertions, deletions, moves, edits of fields and of members' own lists."""
        for _ in range(tape.below(most + 1)):
            op, at = tape.below(10), tape.below(len(self.members) + 1)
            key = list(self.members)[at] if at < len(self.members) else None
            if key is None or op == 0:
                self.insert(tape, at)
            elif op < 4:
                self.put(tape.below(len(self.members)), key, self.members.pop(key))
            elif key in self.new:
                continue
            elif op == 4:
                self.deleted.add(key)
                del self.members[key]
                self.written.pop(key, None)
                self.subs.pop(key, None)
            elif op < 6 or "subs" not in self.base[key] or key in self.subs:
                self.write(tape, key)
            else:
                was = {self.key_of(sub): sub for sub in self.base[key]["subs"]}
                self.nest(key, Kept(self.keys, was, self.first, 1).edit(tape, 3))
        return self

    def key_of(self, member: Member) -> Key:
        """The key of a member."""
        values = tuple(member[name] for name in self.keys.names)
        return values if len(values) > 1 else values[0]

    def put(self, at: int, key: Key, member: Member) -> None:
        """A member in a place."""
        items = list(self.members.items())
        items.insert(at, (key, member))
        self.members = dict(items)

    def insert(self, tape: Tape, at: int) -> None:
        """A new member, now and then one that the other side may insert, too."""
        number = 90 + tape.below(2) if not tape.below(3) else self.first + len(self.new)
        key = self.keys.key(number)
        if key in self.new:
            return
        member = self.keys.member(tape, key, self.depth)
        self.put(at, key, member)
        self.new.add(key)
        self.written[key] = {name: value for name, value in member.items() if name != "subs"}
        if "subs" in member:
            self.nest(key, Kept(self.keys, {}, self.first, 1).edit(tape, 3))

    def write(self, tape: Tape, key: Key) -> None:
        """An edit of a field that this side has not written yet."""
        name, was = tape.one("abc"), self.base[key]
        if name in self.written.get(key, {}):
            return
        value = (was[name] + 1 + tape.below(3)) % 4 if name in was else tape.below(4)
        if name in was and not tape.below(6):
            value = UNSET
            del self.members[key][name]
        else:
            self.members[key][name] = value
        self.written.setdefault(key, {})[name] = value

    def nest(self, key: Key, subs: Kept) -> None:
        """An edit of a member's own list, if it is one."""
        if subs.changed or key in self.new:
            self.subs[key] = subs
            self.members[key]["subs"] = subs.now

    def edited(self, key: Key) -> bool:
        """Whether this side edited the member, and did not only move it."""
        return key in self.written or key in self.subs


class KeyedLists(NamedTuple):
    """Two sides of a keyed list."""

    keys: Keys
    base: dict[Key, Member]
    ours: Kept
    theirs: Kept
    deletes: Strategy
    at: Times

    @property
    def question(self) -> Question:
        """As it is asked."""
        policy = _KEYED[self.keys.names, str(self.deletes)]
        return Question(list(self.base.values()), self.ours.now, self.theirs.now, policy, self.at)

    def __repr__(self) -> str:
        return f"KeyedLists({self.question})"


_DELETES = (keep_both, edit_wins, delete_wins, lww)
_KEYS = (Keys(("id",), False), Keys(("sku", "lot"), False), Keys(("id",), True))
_KEYED = {
    (keys.names, str(deletes)): Policy(default=keyed(*keys.names), deletes=deletes)
    for keys in _KEYS
    for deletes in _DELETES
}


def _keyed_lists(tape: Tape, of: Sequence[Keys] = _KEYS) -> KeyedLists:
    keys = tape.one(of)
    deletes = tape.one(_DELETES)
    at = tape.one((None, *TIMES))
    base: dict[Key, Member] = {}
    for number in range(tape.below(7)):
        key = keys.key(number)
        base[key] = keys.member(tape, key)
        if keys.nested:
            base[key]["subs"] = [keys.member(tape, keys.key(n), 1) for n in range(tape.below(4))]
    ours, theirs = (Kept(keys, base, first).edit(tape, 6) for first in (10, 50))
    return KeyedLists(keys, base, ours, theirs, deletes, at)


KEYED = _drawn(_keyed_lists, 160)


class Ruling(NamedTuple):
    """Judges one merge of keyed lists: what is open, and what must be."""

    case: KeyedLists
    merged: Merged[Any]
    open: dict[Path, Conflict]
    expected: list[Path]
    """The conflicts that the books demand, found while the judge goes down."""
    settled: list[tuple[Path, str, Any]]
    """Deletions that ``deletes`` was asked about: where, the part that decided, and what lost."""

    def members(self, path: Path, base: dict[Key, Member], ours: Kept, theirs: Kept, value: list[Member]) -> None:
        """Member by member, wherever they stand; then their order."""
        order = [ours.key_of(member) for member in value]
        assert len(set(order)) == len(order), f"members: doubled at {path}: {order}"
        held = dict(zip(order, value))
        for key in {**base, **ours.members, **theirs.members}:
            got = held.pop(key, UNSET)
            mine, other = ours.members.get(key), theirs.members.get(key)
            if mine is not None and other is not None:
                assert got is not UNSET, f"members: {key!r} is lost"
                self.fields((*path, key), base.get(key, {}), ours, theirs, key, got)
            elif key not in base:
                assert got == (mine or other), f"members: {key!r} was inserted by one side, and is {got!r}"
            elif mine is None and other is None:
                assert got is UNSET, f"members: {key!r}, deleted by both, is back"
            else:
                side, there = (theirs, other) if mine is None else (ours, mine)
                if side.edited(key):
                    self.deletion((*path, key), there, mine is None, got)
                else:
                    assert got is UNSET, f"members: {key!r}, deleted by one side and not edited by the other, is back"
        assert not held, f"members: {list(held)} are of no side"
        self.order(path, list(base), list(ours.members), list(theirs.members), order)

    def fields(self, path: Path, was: Member, ours: Kept, theirs: Kept, key: Key, got: Member) -> None:
        """A member that both sides have, field by field."""
        mine, other = ours.written.get(key, {}), theirs.written.get(key, {})
        names = {**was, **mine, **other}.keys() - {"subs"}
        assert got.keys() - {"subs"} <= names, f"fields: {got!r} at {path}"
        for name in names:
            shown, here = got.get(name, UNSET), (*path, name)
            if name not in mine or name not in other or mine[name] == other[name]:
                wanted = mine.get(name, other.get(name, was.get(name, UNSET)))
                assert shown == wanted, f"fields: {here} is {shown!r}, not {wanted!r}"
            elif UNSET in (mine[name], other[name]):
                ours_gone = mine[name] is UNSET
                self.deletion(here, other[name] if ours_gone else mine[name], ours_gone, shown)
            else:
                self.conflict(here, mine[name], other[name])
                assert shown in (mine[name], other[name]), f"fields: {here} is {shown!r}"
        if self.case.keys.nested and len(path) == 1:
            subs, other_subs = ours.subs.get(key), theirs.subs.get(key)
            if subs is not None and other_subs is not None:
                self.members((*path, "subs"), subs.base, subs, other_subs, got["subs"])
            else:
                one = subs or other_subs
                wanted = was["subs"] if one is None else one.now
                assert got["subs"] == wanted, f"fields: subs of {key!r} are {got['subs']}, not {wanted}"

    def conflict(self, path: Path, mine: Any, other: Any) -> None:
        """An open question, with what both sides say."""
        assert path in self.open, f"conflicts: {path} is not open"
        said = {c.name: c.value for c in self.open[path].candidates}
        assert said == dict(zip(NAMES, (mine, other))), f"conflicts: at {path}, {said}"
        self.expected.append(path)

    def deletion(self, path: Path, edited: Any, ours_gone: bool, got: Any) -> None:
        """An edit against a deletion: as ``deletes`` says."""
        deletes, at = self.case.deletes, self.case.at
        if deletes == keep_both or (deletes == lww and at is None):
            self.conflict(path, *((UNSET, edited) if ours_gone else (edited, UNSET)))
            assert got == edited or (deletes == lww and got is UNSET), f"deletes: {path} is {got!r}"
            return
        if deletes == lww:
            assert at is not None
            stays = at[0] == at[1] or (at[0] < at[1]) == ours_gone
        else:
            stays = deletes == edit_wins
        assert got == (edited if stays else UNSET), f"deletes: {path} is {got!r} by {deletes}"
        self.settled.append((path, str(deletes), UNSET if stays else edited))

    def order(self, path: Path, base: list[Key], ours: list[Key], theirs: list[Key], value: list[Key]) -> None:
        """Nobody's order is inverted; where that cannot be, the order of those keys is open; one side's is shown."""
        both = [key for key in ours if key in theirs]
        demanded = _demanded(base, ours, theirs)
        wanted = _satisfying(both, demanded)
        shown = [key for key in value if key in both]
        if wanted is None:
            here = (*path, ORDER)
            assert here in self.open, f"conflicts: nothing is open at {here}, where no order satisfies {demanded}"
            contested = self.open[here].candidates[0].value
            groups = dict.fromkeys(_apart(key, contested, demanded) for key in shown if key in contested)
            mine, other = ([key for group in groups for key in side if key in group] for side in (ours, theirs))
            self.conflict(here, mine, other)
            assert any(_is_ordered(value, side) for side in (mine, other)), f"order: {value} is of neither side"
            for x, y in itertools.combinations(shown, 2):
                clear = (x, y) in demanded and (y, x) not in demanded
                assert clear or {x, y} <= set(contested), f"order: {x!r} and {y!r} changed places, and are not open"
            for candidate in self.open[here].candidates:
                again = self.merged.resolve({here: candidate})
                assert here not in {c.path for c in again.conflicts}, f"order: {here} is still open"
                answered = [self.case.ours.key_of(m) for m in _at(self.case, again.value, path)]
                assert sorted(map(repr, answered)) == sorted(map(repr, value)), f"order: answered, {answered}"
                assert _is_ordered(answered, candidate.value), f"order: {candidate.value} makes {answered}"
        else:
            assert shown == wanted, f"order: {shown} at {path}, and every pair says {wanted}"
        for side in (ours, theirs):
            alone = [key for key in value if key in side and key not in both]
            places = {key: _last_common(side, key, both) for key in alone}
            for key in alone:
                stands = _last_common(value, key, both)
                assert stands == places[key], f"order: {key!r} stands behind {stands!r}, and was behind {places[key]!r}"
            for x, y in itertools.combinations(alone, 2):
                assert places[x] != places[y] or side.index(x) < side.index(y), f"order: {x!r} and {y!r} changed places"


def _apart(key: Key, contested: list[Key], demanded: set[tuple[Key, Key]]) -> frozenset[Key]:
    """The contested members that one cannot be told apart from: each has to stand before it, and behind it."""
    found: list[set[Key]] = []
    for pairs in (demanded, {(y, x) for x, y in demanded}):
        reached = {key}
        for _ in contested:
            reached |= {y for x, y in pairs if x in reached and y in contested}
        found.append(reached)
    return frozenset(found[0] & found[1])


def _demanded(base: list[Key], ours: list[Key], theirs: list[Key]) -> set[tuple[Key, Key]]:
    """The pairs of members that both sides have, as they must stand: as the side has them that reordered them."""
    pairs: set[tuple[Key, Key]] = set()
    for x, y in itertools.combinations([key for key in ours if key in theirs], 2):  # as ours has them
        alike = theirs.index(x) < theirs.index(y)
        known = x in base and y in base
        if alike or (known and base.index(x) > base.index(y)):
            pairs.add((x, y))
        elif known:
            pairs.add((y, x))
        else:
            pairs |= {(x, y), (y, x)}
    return pairs


def _satisfying(keys: list[Key], pairs: set[tuple[Key, Key]]) -> list[Key] | None:
    """The order in which every pair stands as demanded; ``None`` where the demands go round in a circle."""
    order: list[Key] = []
    left = list(keys)
    while left:
        first = [x for x in left if not any((y, x) in pairs for y in left)]
        if not first:
            return None
        order.append(first[0])
        left.remove(first[0])
    return order


def _is_ordered(value: list[Key], order: list[Key]) -> bool:
    """Whether those of ``value`` that ``order`` names stand in this order."""
    return [key for key in value if key in order] == [key for key in order if key in value]


def _last_common(order: list[Key], key: Key, common: list[Key]) -> Key:
    """The last member before another that both sides have."""
    return next((x for x in reversed(order[: order.index(key)]) if x in common), None)


def _at(case: KeyedLists, value: list[Member], path: Path) -> list[Member]:
    """The list at a path: the record itself, or that of a member."""
    if not path:
        return value
    found: list[Member] = next(member["subs"] for member in value if case.ours.key_of(member) == path[0])
    return found


def judge_keyed(case: KeyedLists) -> None:
    """All laws of keyed lists."""
    asked = case.question
    merged = asked.merge()
    asked.check(merged)
    ruling = Ruling(case, merged, {c.path: c for c in merged.conflicts}, [], [])
    ruling.members((), case.base, case.ours, case.theirs, merged.value)
    paths = [c.path for c in merged.conflicts]
    assert Counter(paths) == Counter(ruling.expected), f"conflicts: {paths}, expected {ruling.expected}"
    if ruling.settled:
        said = {v.path: v for v in merged.explain()}
        for path, decided_by, lost in ruling.settled:
            assert path in said and said[path].decided_by == decided_by, f"deletes: nothing is said of {path}"
            assert [c.value for c in said[path].lost] == [lost], f"deletes: {path} says that {said[path].lost} lost"


def _moved_and_deleted() -> KeyedLists:
    """A member that one side moved and edited, and the other deleted; the edit keeps it, where it was moved to."""
    keys = _KEYS[0]
    base = {key: {"id": key, "a": 0} for key in range(3)}
    ours, theirs = Kept(keys, base, 10), Kept(keys, base, 50)
    ours.put(2, 1, {**ours.members.pop(1), "a": 1})
    ours.written[1] = {"a": 1}
    theirs.deleted.add(1)
    del theirs.members[1]
    return KeyedLists(keys, base, ours, theirs, edit_wins, None)


@pytest.mark.laws
def test_keyed_lists_are_merged_member_by_member_and_keep_everybodys_order(tally: Tally) -> None:
    """No member is doubled or lost, fields are merged wherever the member stands, and no pair is turned round."""
    seen = Counter[str]()

    @example(_moved_and_deleted())
    @given(KEYED)
    def holds(case: KeyedLists) -> None:
        check(judge_keyed, case)
        orders = [list(case.base), list(case.ours.members), list(case.theirs.members)]
        both = case.ours.members.keys() & case.theirs.members.keys()
        seen["draws"] += 1
        seen["composite keys"] += len(case.keys.names) > 1
        seen["nested lists that both edited"] += bool(case.ours.subs.keys() & case.theirs.subs.keys())
        seen["both sides moved"] += all(
            not _is_ordered([key for key in side if key in both], orders[0]) for side in orders[1:]
        )
        seen["the order is open"] += _satisfying([k for k in orders[1] if k in both], _demanded(*orders)) is None
        seen["one member edited by both"] += bool(case.ours.written.keys() & case.theirs.written.keys())
        seen["inserted by both"] += bool(case.ours.new & case.theirs.new)
        seen["an edit against a deletion"] += any(
            side.edited(key) for side, gone in _two_ways(case) for key in gone.deleted
        )

    started = time.perf_counter()
    holds()
    _count(tally, "keyed lists", seen, started, share=200)


def _two_ways(case: KeyedLists) -> tuple[tuple[Kept, Kept], ...]:
    return (case.ours, case.theirs), (case.theirs, case.ours)


class WithoutKeys(NamedTuple):
    """A keyed list in which a key is missing or doubled."""

    question: Question
    where: str
    told: str
    """What the verdict must name."""


def _without_keys(tape: Tape) -> WithoutKeys:
    case = _keyed_lists(tape, _KEYS[:2])
    sides = [[dict(member) for member in side] for side in case.question[:3]]
    which = tape.below(3)
    broken = sides[which]
    if not broken:
        broken.append(case.keys.member(tape, case.keys.key(1)))
    member, names = broken[tape.below(len(broken))], case.keys.names
    name = tape.one(names)
    told = f"the key {name!r} is missing"
    if (how := tape.below(3)) == 0:
        member[name] = None
    elif how == 1:
        del member[name]
    else:
        told = f"the key {case.ours.key_of(member)!r} is there twice"
        broken.insert(tape.below(len(broken) + 1), {**member, "a": tape.below(4)})
    for side in sides[1:]:
        if side == sides[0]:
            side.append(case.keys.member(tape, case.keys.key(99)))
    return WithoutKeys(case.question._replace(base=sides[0], ours=sides[1], theirs=sides[2]), _CALLED[which], told)


_CALLED = ("the base", *NAMES)
WITHOUT_KEYS = _drawn(_without_keys, 100)


def judge_without_keys(case: WithoutKeys) -> None:
    """By element, as ``three_way()`` does it, and the verdict says why."""
    asked = case.question
    merged = asked.merge()
    asked.check(merged)
    said = [v for v in merged.explain() if v.path == () and v.decided_by == "keyed"]
    assert len(said) == 1, f"fallback: no verdict says so: {merged.explain()}"
    assert case.told in said[0].reason and case.where in said[0].reason, f"fallback: {case.told}, not {said[0].reason}"
    plain = asked._replace(policy=Policy(default=three_way(), deletes=asked.policy.deletes)).merge()
    assert repr(merged.value) == repr(plain.value), f"fallback: {merged.value}, by element {plain.value}"
    assert [c.path for c in merged.conflicts] == [c.path for c in plain.conflicts], f"fallback: {merged.conflicts}"


@pytest.mark.laws
def test_a_list_whose_keys_do_not_tell_its_members_apart_is_merged_by_element(tally: Tally) -> None:
    """A key missing, null or doubled, on any side: the verdict names it, and the value is that of ``three_way()``."""
    seen = Counter[str]()

    @given(WITHOUT_KEYS)
    def holds(case: WithoutKeys) -> None:
        check(judge_without_keys, case)
        seen["draws"] += 1
        seen[case.where] += 1

    started = time.perf_counter()
    holds()
    _count(tally, "keys missing or doubled", seen, started, share=10)


# --------------------------------------------------------------------------------------------------------- words


class Words(NamedTuple):
    """Two sides of a text of words, no two of which are equal."""

    base: list[str]
    ours: Edited
    theirs: Edited

    @property
    def question(self) -> Question:
        """As it is asked."""
        base, ours, theirs = (" ".join(words) for words in (self.base, self.ours.now, self.theirs.now))
        return Question(base, ours, theirs, _BY_WORD)

    def __repr__(self) -> str:
        return f"Words({self.question[:3]})"


_BY_WORD = Policy(default=text("word"))


def _words(tape: Tape) -> Words:
    base = [f"w{i}" for i in range(tape.below(16))]
    ours, theirs = Edited(base, "o"), Edited(base, "t")
    if not tape.below(5):
        at = tape.below(len(base) + 1)
        ours.insert(at, "both")
        theirs.insert(at, "both")
    ours.edit(tape, False, 6)
    theirs.edit(tape, False, 6)
    return Words(base, ours, theirs)


WORDS = _drawn(_words, 48)


def judge_words(case: Words) -> None:
    """All laws of texts by word."""
    asked = case.question
    merged = asked.merge()
    asked.check(merged)
    held = Counter(merged.value.split())
    kept = {word for value in candidates(merged.conflicts) for word in value.split()}
    for side in (case.ours, case.theirs):
        for word in side.new:
            assert held[word] or word in kept, f"conservation: {word!r}, which one side put there, is lost"
    for word, n in held.items():
        assert word in {*case.base, *case.ours.new, *case.theirs.new}, f"conservation: {word!r} was made of two"
        assert n == 1 or word not in {*case.ours.new, *case.theirs.new} - {"both"}, f"conservation: {word!r} {n} times"
    near = min(
        (max(x, y) - min(to_x, to_y) for x, to_x in case.ours.zones() for y, to_y in case.theirs.zones()), default=99
    )
    assert near < 2 or not merged.conflicts, f"minimality: {near} words between all changes, and {merged.conflicts}"
    if not merged.conflicts:
        gone = case.ours.touched | case.theirs.touched
        for i, word in enumerate(case.base):
            assert held[word] == (i not in gone), f"conservation: {word!r} of the base is there {held[word]} times"


def _next_to_each_other() -> Words:
    """One side replaced a word; the other inserted the same before it, and deleted what is behind."""
    base = ["w0", "w1", "w2", "w3"]
    ours, theirs = Edited(base, "o"), Edited(base, "t")
    ours.replace(1, "both")
    theirs.insert(1, "both")
    theirs.delete(2)
    return Words(base, ours, theirs)


@pytest.mark.laws
def test_texts_are_merged_word_by_word(tally: Tally) -> None:
    """No word that a side put there is lost, and what is two words apart is no conflict."""
    seen = Counter[str]()

    @example(_next_to_each_other())
    @given(WORDS)
    def holds(case: Words) -> None:
        check(judge_words, case)
        seen["draws"] += 1
        seen["both sides changed"] += bool(case.ours.zones() and case.theirs.zones())
        seen["one word touched by both"] += bool(case.ours.touched & case.theirs.touched)

    started = time.perf_counter()
    holds()
    _count(tally, "words", seen, started, share=10)


@pytest.mark.laws
@pytest.mark.parametrize("between", [2, 3, 4])
def test_words_that_nobody_touched_hold_a_text_together(between: int) -> None:
    """One side deletes many words before them, and inserts as many behind: the other's edit among them is apart."""
    n = 2 * between + 2
    base = [f"w{i}" for i in range(1 + n + n)]
    ours, theirs = Edited(base, "o"), Edited(base, "t")
    for i in range(n):
        ours.delete(1 + i)
        ours.insert(len(ours.slots) - 1, f"o{i}")
    theirs.replace(1 + n + between, "t0")
    judge_words(Words(base, ours, theirs))


_SCRIPTS = (
    ("a", "e", "\u0301", "\u0308", " "),
    ("\U0001f468", "\U0001f469", "\u200d", "\U0001f3fd", "\ufe0f", "x"),
    ("\U0001f1e9", "\U0001f1ea", "\U0001f1eb", "\U0001f1f7", "x"),
    ("\u1100", "\u1161", "\u11a8", "\uac00", "\uac01", "x"),
    ("\r", "\n", "a", "\u200d", "\u0301"),
    ("\u0915", "\u094d", "\u0937", "\u093f", "\u200d", "\u0600", "\u0e33"),
)
"""Letters and accents, emoji and joiners, flags, jamo, line ends, and scripts in which letters join."""


class Characters(NamedTuple):
    """Three short texts of characters that combine."""

    base: str
    ours: str
    theirs: str

    @property
    def question(self) -> Question:
        """As it is asked."""
        return Question(self.base, self.ours, self.theirs, _BY_CHARACTER)


_BY_CHARACTER = Policy(default=text("char"))


def _characters(tape: Tape) -> Characters:
    script = tape.one((*_SCRIPTS, tuple(itertools.chain(*_SCRIPTS))))
    base = [tape.one(script) for _ in range(tape.below(12))]
    sides = []
    for _ in range(2):
        side = list(base)
        for _ in range(tape.below(4)):
            op, at = tape.below(3), tape.below(len(side) + 1)
            side[at : at + (op > 0)] = [tape.one(script)] * (op != 2)
        sides.append("".join(side))
    return Characters("".join(base), *sides)


CHARACTERS = _drawn(_characters, 32)


def clusters(value: str) -> list[str]:
    """What people take for one character, in the judgement of the package ``regex``."""
    regex = pytest.importorskip("regex", reason="without the package regex, nothing here knows what a grapheme is")
    found: list[str] = regex.findall(r"\X", value)
    return found


def judge_characters(case: Characters) -> None:
    """All laws of texts by character."""
    asked = case.question
    merged = asked.merge()
    asked.check(merged)
    known = {cluster for side in case for cluster in clusters(side)}
    for value in (merged.value, *candidates(merged.conflicts)):
        assert known.issuperset(clusters(value)), f"graphemes: {value!a} has one that none of {case} has"


@pytest.mark.laws
def test_no_grapheme_is_split(tally: Tally) -> None:
    """By character, a text is made of what people take for characters in one of the three that it was made from."""
    seen = Counter[str]()
    clusters("")  # skips here, and not in the middle of the draws

    @given(CHARACTERS)
    def holds(case: Characters) -> None:
        check(judge_characters, case)
        seen["draws"] += 1
        seen["both sides changed"] += case.base != case.ours != case.theirs != case.base
        seen["characters of several code points"] += any(len(clusters(side)) < len(side) for side in case)

    started = time.perf_counter()
    holds()
    _count(tally, "characters", seen, started, share=4)


class Lines(NamedTuple):
    """Two sides of a text of lines of words, and what each put there."""

    base: str
    ours: str
    theirs: str
    at: Times
    new: set[str]

    @property
    def question(self) -> Question:
        """As it is asked."""
        return Question(self.base, self.ours, self.theirs, _BY_LINE_AND_WORD, self.at)


_BY_LINE_AND_WORD = Policy(default=text("line") | text("word") | lww)


def _lines(tape: Tape) -> Lines:
    base = [[tape.one(("a", "b", f"w{i}{j}")) for j in range(tape.below(6))] for i in range(tape.below(6))]
    new: set[str] = set()
    sides = []
    for tag in "ot":
        side = [list(line) for line in base]
        for _ in range(tape.below(6)):
            op, at = tape.below(6), tape.below(len(side) + 1)
            word = f"{tag}{len(new)}"
            if at == len(side) or op == 0:
                side.insert(at, [word])
                new.add(word)
            elif op == 1:
                new -= set(side.pop(at))
            elif op == 2 and side[at]:
                new.discard(side[at].pop(tape.below(len(side[at]))))
            else:
                side[at].insert(tape.below(len(side[at]) + 1), word)
                new.add(word)
        sides.append(_written(side, tape))
    return Lines(_written(base, tape), sides[0], sides[1], tape.one(TIMES), new)


def _written(lines: list[list[str]], tape: Tape) -> str:
    """As a text, the last line of which has an end, or none."""
    return "\n".join(map(" ".join, lines)) + "\n" * bool(tape.below(4))


LINES = _drawn(_lines, 96)


def judge_lines(case: Lines) -> None:
    """By line, then by word, then by time: nothing is open, and what is not there is named as lost."""
    asked = case.question
    merged = asked.merge()
    asked.check(merged)
    assert not merged.conflicts, f"settled: {merged.conflicts} is open"
    lost = [c.value for v in merged.explain() for c in v.lost]
    kept = {word for value in (merged.value, *lost) for word in value.split()}
    assert case.new <= kept, f"conservation: {case.new - kept} are lost"


@pytest.mark.laws
def test_what_lines_and_words_leave_open_the_time_settles(tally: Tally) -> None:
    """``text("line") | text("word") | lww`` with times leaves nothing open, and says what it dropped."""
    seen = Counter[str]()

    @given(LINES)
    def holds(case: Lines) -> None:
        check(judge_lines, case)
        seen["draws"] += 1
        seen["both sides changed"] += case.base != case.ours != case.theirs != case.base

    started = time.perf_counter()
    holds()
    _count(tally, "lines and words", seen, started, share=2)


# ----------------------------------------------------------------------------------------------- past the budget


class Costly(NamedTuple):
    """A list, or a text of words, with a stretch in the middle that costs too much to compare."""

    before: list[str]
    """Ends with what nobody touches."""
    middles: tuple[list[str], list[str], list[str]]
    """The stretch as the base and the sides have it."""
    after: list[str]
    ours: Edited
    """Its edits of what is before the stretch."""
    theirs: Edited
    at: tuple[int, int]
    words: bool

    @property
    def question(self) -> Question:
        """As it is asked."""
        starts = (self.before, self.ours.now, self.theirs.now)
        lists = ([*start, "|", *middle, *self.after] for start, middle in zip(starts, self.middles))
        base, ours, theirs = (" ".join(side) if self.words else side for side in lists)
        return Question(base, ours, theirs, _BY_WORD_AND_TIME if self.words else _BY_ELEMENT_AND_TIME, self.at)

    @property
    def where(self) -> Slice:
        """The stretch: in pieces of the base, and every blank is one."""
        start, n = len(self.before) + 1, len(self.middles[0])
        return Slice(2 * start, 2 * (start + n) - 1) if self.words else Slice(start, start + n)

    def elements(self, value: Any) -> list[str]:
        """What a list or a text is made of."""
        return value.split() if isinstance(value, str) else list(value)

    def __repr__(self) -> str:
        return f"Costly({self.question})"


_BY_WORD_AND_TIME = Policy(default=text("word") | lww)


def _costly(tape: Tape) -> Costly:
    words = not tape.below(3)
    before = [f"b{i}" for i in range(tape.below(4))]
    middle = ["x"] * (3 + tape.below(3)) + ["y"] * (3 + tape.below(3))
    rewritten: list[list[str]] = []
    for tag in "ot":
        new = [f"{tag}{i}" for i in (8, 9)]
        other = [new[0], *["y"] * (3 + tape.below(3)), *["x"] * (3 + tape.below(3)), new[1]]
        rewritten.append(other if tape.below(4) else middle)
    if not tape.below(6):
        rewritten[1] = rewritten[0]
    ours, theirs = Edited(before, "o"), Edited(before, "t")
    ours.edit(tape, False, 2)
    theirs.edit(tape, False, 2)
    middles = (middle, rewritten[0], rewritten[1])
    return Costly(before, middles, [f"a{i}" for i in range(1 + tape.below(3))], ours, theirs, tape.one(TIMES), words)


COSTLY = _drawn(_costly, 48)


def judge_costly(case: Costly) -> None:
    """A stretch that nobody could search is open, whatever the strategy, and everything else as ever."""
    asked = case.question
    merged = asked.merge()
    asked.check(merged)
    was, mine, other = case.middles
    value = case.elements(merged.value)
    start = value[: value.index("|") + 1]
    searched = [c.path for c in merged.conflicts if not isinstance(c.path[-1], Slice)]
    opened = [c for c in merged.conflicts if isinstance(c.path[-1], Slice)]
    if mine in (was, other) or other == was:
        assert not opened, f"one-sided: {opened}"
        settled = other if mine == was else mine
        assert value == [*start, *settled, *case.after], f"one-sided: {value}, not {settled}"
    else:
        assert [c.path for c in opened] == [(case.where,)], f"open: {opened}, not {case.where}"
        said = {c.name: case.elements(c.value) for c in opened[0].candidates}
        assert said == dict(zip(NAMES, (mine, other))), f"open: {said}"
        assert value in [[*start, *side, *case.after] for side in (mine, other)], f"open: {value}"
        for candidate in opened[0].candidates:
            again = merged.resolve({opened[0].path: candidate})
            assert [c.path for c in again.conflicts] == searched, f"answer: open still, {again.conflicts}"
            held = case.elements(again.value)
            assert held == [*start, *case.elements(candidate.value), *case.after], f"answer: {held}"
    given_up = [*candidates(merged.conflicts), *(c.value for v in merged.explain() for c in v.lost)]
    kept = {*value, *(element for one in given_up if one is not UNSET for element in case.elements(one))}
    for element in (*case.ours.new, *case.theirs.new, *mine, *other):
        assert element in kept, f"conservation: {element!r} is lost"


@pytest.fixture
def no_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """No two sequences are worth the search for what they have in common."""
    monkeypatch.setattr(changes, "__defaults__", (0, *(changes.__defaults__ or ())[1:]))


@pytest.mark.laws
@pytest.mark.usefixtures("no_budget")
def test_past_the_budget_a_stretch_that_both_rewrote_is_open(tally: Tally) -> None:
    """Whatever the strategy and the times; one-sided, it is taken; an answer settles it, and nothing is lost."""
    seen = Counter[str]()

    @given(COSTLY)
    def holds(case: Costly) -> None:
        check(judge_costly, case)
        was, mine, other = case.middles
        seen["draws"] += 1
        seen["two-sided"] += was != mine != other != was
        seen["one-sided"] += (mine == was) != (other == was)
        seen["rewritten alike"] += mine == other != was
        seen["words"] += case.words

    started = time.perf_counter()
    holds()
    _count(tally, "past the budget", seen, started, share=40)


@pytest.mark.laws
def test_past_the_real_budget_a_list_is_open_and_no_element_is_lost() -> None:
    """60,000 elements of three kinds, and two lists that have nothing to do with them or with each other."""

    def independent(seed: int) -> Iterator[str]:
        for _ in range(60_000):  # Knuth's linear congruential generator
            seed = (seed * 6364136223846793005 + 1442695040888963407) % (1 << 64)
            yield "xyz"[(seed >> 33) % 3]

    base, ours, theirs = (["head", *independent(seed), "tail"] for seed in (1, 2, 3))
    ours.insert(30_000, "new here")
    theirs.insert(20_000, "new there")
    asked = Question(base, ours, theirs, _BY_ELEMENT_AND_TIME, (1, 2))
    merged = asked.merge()
    asked.check(merged)
    open_at = merged.conflicts[0].path[-1]
    assert len(merged.conflicts) == 1 and isinstance(open_at, Slice) and open_at.stop - open_at.start > 59_000
    assert "new there" in merged.value and "new here" in itertools.chain(*candidates(merged.conflicts))
    for candidate in merged.conflicts[0].candidates:
        again = merged.resolve({merged.conflicts[0].path: candidate})
        assert not again.conflicts and again.value == (ours if candidate.name == NAMES[0] else theirs)


# ------------------------------------------------------------------------------------------------------- mutants

BOOKS: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], object]]] = {
    "lists": (LISTS, judge_lists),
    "keyed lists": (KEYED, judge_keyed),
    "keys missing or doubled": (WITHOUT_KEYS, judge_without_keys),
    "words": (WORDS, judge_words),
    "characters": (CHARACTERS, judge_characters),
    "lines and words": (LINES, judge_lines),
    "past the budget": (COSTLY, judge_costly),
}
"""The groups of laws: what is drawn, and who judges it."""


class _InsertionDoubled(Walk):
    """What both inserted alike is there twice."""

    def inserted(self, ours: list[Any], theirs: list[Any]) -> list[Any]:
        return [x for side in sorted((ours, theirs)) for x in side]


class _InsertionDropped(Walk):
    """Of what both inserted in one gap, the larger stays."""

    def inserted(self, ours: list[Any], theirs: list[Any]) -> list[Any]:
        return max(ours, theirs)


class _OursInsertsFirst(Walk):
    """In one gap, ours comes before theirs."""

    def inserted(self, ours: list[Any], theirs: list[Any]) -> list[Any]:
        return ours + [x for x in theirs if x not in ours]


class _SideTurnedRound(Walk):
    """What a side inserted in one gap stands the other way round."""

    def inserted(self, ours: list[Any], theirs: list[Any]) -> list[Any]:
        return super().inserted(ours[::-1], theirs[::-1])


class _DeletedComesBack(Walk):
    """What one side deleted is back."""

    def node(self, rule: Any, path: Path, sides: Any, unit: bool = False) -> Any:
        _, ours, theirs = sides
        if path and (ours is UNSET) != (theirs is UNSET) and path not in self.answers:
            return theirs if ours is UNSET else ours
        return super().node(rule, path, sides, unit)


class _MoveDoubles(Walk):
    """What one side moved stays where it was, too."""

    def node(self, rule: Any, path: Path, sides: Any, unit: bool = False) -> Any:
        for gone, side in ((sides.ours, self.asked.sides.ours), (sides.theirs, self.asked.sides.theirs)):
            if path and gone is UNSET and sides.base in side:
                return sides.base
        return super().node(rule, path, sides, unit)


class _NeighboursConflict(Walk):
    """Changes that touch are one hunk, as in text, and an open question."""

    def opening(self, part: Any, rule: Any, sides: Any) -> Any:
        base, ours, theirs = sides
        for region in regions(len(base), changes(base, ours), changes(base, theirs)):
            if region.ours_did and region.theirs_did:
                self.conflicts.append(Conflict((Slice(region.start, region.stop),), UNSET, (), "", ""))
        return super().opening(part, rule, sides)


class _OneSideConflicts(Walk):
    """Next to a change of the other side, a replacement is an open question."""

    def node(self, rule: Any, path: Path, sides: Any, unit: bool = False) -> Any:
        if path and UNSET not in sides and (sides.base == sides.theirs) != (sides.base == sides.ours):
            self.conflict(self.context(rule, path, sides), sides, rule.strategy, "changed", sides.ours)
        return super().node(rule, path, sides, unit)


class _TwoDeletionsConflict(Walk):
    """What both deleted is an open question."""

    def agreed(self, path: Path, sides: Any) -> Any:
        if sides.ours is UNSET:
            self.conflicts.append(Conflict(path, sides.base, (), "", ""))
        return super().agreed(path, sides)


class _UnchangedSideStays(Walk):
    """Where theirs changed nothing, nothing changes."""

    def node(self, rule: Any, path: Path, sides: Any, unit: bool = False) -> Any:
        if not path and sides.base == sides.theirs:
            return sides.base
        return super().node(rule, path, sides, unit)


class _ListIsOneUnit(Walk):
    """A list that both sides changed is one unit."""

    def opening(self, part: Any, rule: Any, sides: Any) -> Any:
        return None if isinstance(sides.ours, list) else super().opening(part, rule, sides)


class _ReplacementDropped(Walk):
    """Next to a change of the other side, what replaced an element is forgotten."""

    def node(self, rule: Any, path: Path, sides: Any, unit: bool = False) -> Any:
        if path and sides.base == sides.theirs and sides.ours is not UNSET:
            return sides.base
        return super().node(rule, path, sides, unit)


class _LoserUnreported(Walk):
    """What lost is in no verdict."""

    def note(self, path: Path, decided_by: str, base: Any, value: Any, said: Any, reasons: Any) -> None:
        super().note(path, decided_by, base, value, (), reasons)


class _EarlierWins(Walk):
    """The earlier side is the later."""

    def decide(self, part: Any, context: Any, sides: Any) -> Any:
        value = super().decide(part, context, sides)
        return sides.ours if value is sides.theirs else sides.theirs


class _LocalWinsTies(Walk):
    """Equal times keep the local value."""

    def decide(self, part: Any, context: Any, sides: Any) -> Any:
        tie = context.times[0] is not None and context.times[0] == context.times[1]
        return sides.ours if tie else super().decide(part, context, sides)


class _KeysAreNoMatter(Walk):
    """A keyed list is merged by element."""

    def opening(self, part: Any, rule: Any, sides: Any) -> Any:
        return super().opening(three_way().parts[0] if "keyed" in part.opens else part, rule, sides)


class _MemberIsOneUnit(Walk):
    """A member that both sides edited is one unit."""

    def node(self, rule: Any, path: Path, sides: Any, unit: bool = False) -> Any:
        return super().node(rule, path, sides, unit=len(path) == 1)


class _NewMemberReplaced(Walk):
    """Of a member that both inserted, the larger stays."""

    def node(self, rule: Any, path: Path, sides: Any, unit: bool = False) -> Any:
        if len(path) == 1 and sides.base is UNSET and isinstance(sides.ours, dict) and isinstance(sides.theirs, dict):
            return max(sides.ours, sides.theirs, key=repr)
        return super().node(rule, path, sides, unit)


class _OrderOfTheirsDropped(Walk):
    """The members stand as ours has them."""

    def order(self, rule: Any, path: Path, keys: Any) -> list[Any]:
        return list(dict.fromkeys([*keys.ours, *keys.theirs, *keys.base]))


class _OrderOfTheBaseStays(Walk):
    """Nobody can move a member."""

    def order(self, rule: Any, path: Path, keys: Any) -> list[Any]:
        new = {*keys.ours, *keys.theirs}.difference(keys.base)
        return [*keys.base, *sorted(new, key=repr)]


class _NewMembersLast(Walk):
    """What one side inserted stands at the end."""

    def order(self, rule: Any, path: Path, keys: Any) -> list[Any]:
        order = super().order(rule, path, keys)
        return sorted(order, key=lambda key: key not in keys.ours or key not in keys.theirs)


class _OrderSettledSilently(Walk):
    """Where the orders contradict each other, the larger stands."""

    def node(self, rule: Any, path: Path, sides: Any, unit: bool = False) -> Any:
        if path and path[-1] is ORDER and path not in self.answers:
            return max(sides.ours, sides.theirs, key=repr)
        return super().node(rule, path, sides, unit)


class _AnswerForgotten(Walk):
    """An answer settles its question, and the larger side stays."""

    def answer(self, rule: Any, path: Path, sides: Any) -> Any:
        return max(sides.ours, sides.theirs, key=repr)


class _EditDropped(Walk):
    """A deletion beats an edit, whatever the policy says."""

    def against(self, rule: Any, context: Any, sides: Any, ours_gone: bool) -> Any:
        return sides.ours if ours_gone else sides.theirs


class _DeletionAsksTheTime(Walk):
    """The later of an edit and a deletion, whatever the policy says."""

    def against(self, rule: Any, context: Any, sides: Any, ours_gone: bool) -> Any:
        decided = super().decide(lww.parts[0], context, sides)
        return super().against(rule, context, sides, ours_gone) if isinstance(decided, Pass) else decided


class _FallbackUnsaid(Walk):
    """No verdict says that keys are missing."""

    def note(self, path: Path, decided_by: str, base: Any, value: Any, said: Any, reasons: Any) -> None:
        if decided_by != "keyed":
            super().note(path, decided_by, base, value, said, reasons)


class _DoubledMemberDropped(Walk):
    """Of two members with one key, the last stays."""

    def opening(self, part: Any, rule: Any, sides: Any) -> Any:
        def once(side: Any) -> Any:
            return [*{repr([member.get(name) for name in part.params]): member for member in side}.values()]

        opened = super().opening(part, rule, sides)
        if opened is None or isinstance(opened, Pass) or not isinstance(sides.ours, list):
            return opened
        return lambda rule, path, sides: opened(rule, path, sides.each(once))


class _OverlapSettledSilently(Walk):
    """Of a text that both sides changed in one place, the larger stays."""

    def node(self, rule: Any, path: Path, sides: Any, unit: bool = False) -> Any:
        if path and isinstance(path[-1], Slice) and path not in self.answers:
            return max(sides.ours, sides.theirs)
        return super().node(rule, path, sides, unit)


class _TextIsOneUnit(Walk):
    """A text is merged by no pieces."""

    def opening(self, part: Any, rule: Any, sides: Any) -> Any:
        return Pass("a text is one unit")


class _TheirsDropped(Walk):
    """Of a text that both changed, only what ours changed is there."""

    def opening(self, part: Any, rule: Any, sides: Any) -> Any:
        return lambda rule, path, sides: sides.ours


class _CharactersAreCodePoints(Walk):
    """Accents, joiners and the halves of flags are characters."""

    def opening(self, part: Any, rule: Any, sides: Any) -> Any:
        base, ours, theirs = sides
        merged = ""
        for region in regions(len(base), changes(base, ours), changes(base, theirs)):
            if region.ours_did and region.theirs_did:
                return Pass("overlap")
            merged += ours[region.ours - region.ahead : region.ours]
            merged += (
                ours[region.ours : region.ours_to] if region.ours_did else theirs[region.theirs : region.theirs_to]
            )
        return lambda rule, path, sides: merged


class _HunksStayOpen(Walk):
    """Time settles no part of a text."""

    def decide(self, part: Any, context: Any, sides: Any) -> Any:
        hunk = bool(context.path) and isinstance(context.path[-1], Slice)
        return Pass("a hunk") if hunk else super().decide(part, context, sides)


class _TimeSettlesTheUnsearched(Walk):
    """What could not be compared is settled as anything else."""

    def conflict(self, context: Any, sides: Any, strategy: Strategy, reason: str, shown: Any, detail: str = "") -> Any:
        if isinstance(context.path[-1], Slice):
            return shown
        return super().conflict(context, sides, strategy, reason, shown, detail)


class _UnsearchedDropped(Walk):
    """What could not be compared stays as the base has it."""

    def conflict(self, context: Any, sides: Any, strategy: Strategy, reason: str, shown: Any, detail: str = "") -> Any:
        super().conflict(context, sides, strategy, reason, shown, detail)
        return sides.base


BROKEN: dict[str, dict[str, type[Walk]]] = {
    "lists": {
        "an insertion is doubled": _InsertionDoubled,
        "an insertion is dropped": _InsertionDropped,
        "ours inserts first": _OursInsertsFirst,
        "an insertion is turned round": _SideTurnedRound,
        "what was deleted comes back": _DeletedComesBack,
        "a move doubles": _MoveDoubles,
        "neighbours conflict": _NeighboursConflict,
        "one side conflicts": _OneSideConflicts,
        "two deletions conflict": _TwoDeletionsConflict,
        "an unchanged side stays": _UnchangedSideStays,
        "a list is one unit": _ListIsOneUnit,
        "a replacement is dropped": _ReplacementDropped,
        "the loser is not reported": _LoserUnreported,
        "the earlier wins": _EarlierWins,
        "local wins ties": _LocalWinsTies,
    },
    "keyed lists": {
        "keys are no matter": _KeysAreNoMatter,
        "an unchanged side stays": _UnchangedSideStays,
        "what was deleted comes back": _DeletedComesBack,
        "a member is one unit": _MemberIsOneUnit,
        "a new member is replaced": _NewMemberReplaced,
        "the order of theirs is dropped": _OrderOfTheirsDropped,
        "the order of the base stays": _OrderOfTheBaseStays,
        "new members come last": _NewMembersLast,
        "an order is settled silently": _OrderSettledSilently,
        "an answer is forgotten": _AnswerForgotten,
        "an edit is dropped": _EditDropped,
        "a deletion asks the time": _DeletionAsksTheTime,
        "the loser is not reported": _LoserUnreported,
    },
    "keys missing or doubled": {
        "nobody says so": _FallbackUnsaid,
        "a doubled member is dropped": _DoubledMemberDropped,
    },
    "words": {
        "an overlap is settled silently": _OverlapSettledSilently,
        "a text is one unit": _TextIsOneUnit,
        "an unchanged side stays": _UnchangedSideStays,
        "what theirs changed is dropped": _TheirsDropped,
    },
    "characters": {
        "characters are code points": _CharactersAreCodePoints,
        "what theirs changed is dropped": _TheirsDropped,
    },
    "lines and words": {
        "hunks stay open": _HunksStayOpen,
        "the loser is not reported": _LoserUnreported,
        "an overlap is settled silently": _OverlapSettledSilently,
        "local wins ties": _LocalWinsTies,
    },
    "past the budget": {
        "time settles it": _TimeSettlesTheUnsearched,
        "it is dropped": _UnsearchedDropped,
        "an answer is forgotten": _AnswerForgotten,
    },
}
"""By group of laws, the variants of the walk that it must catch."""


@pytest.mark.mutants
@pytest.mark.parametrize(("group", "name"), [(group, name) for group in BOOKS for name in BROKEN[group]])
def test_the_books_catch_a_mutant(
    group: str, name: str, tally: Tally, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """A broken variant of the walk does not survive 2,000 draws."""
    if group == "past the budget":
        request.getfixturevalue("no_budget")
    monkeypatch.setattr("mergecore.threeway.Walk", BROKEN[group][name])
    drawn, judge = BOOKS[group]
    tried = 0

    @settings(max_examples=2_000, derandomize=True, database=None, phases=[Phase.generate], report_multiple_bugs=False)
    @given(drawn)
    def holds(case: Any) -> None:
        nonlocal tried
        tried += 1
        check(judge, case)

    with pytest.raises(AssertionError) as caught:
        holds()
    law = str(caught.value).split(":")[0]
    tally(f"mutant {name!r} of {group}", tried, 1, f"caught by {law!r}")
