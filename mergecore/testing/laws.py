"""The laws of merging (section 5 of the design): what holds of every merge, whatever the policy.

The checks read the policy, and know nothing of the walk. Imports the package and ``cases``.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from ..annotations import fixed_tuple
from ..errors import AnswerError
from ..paths import ORDER, Path, Slice, format_path
from ..policy import Rule
from ..records import validate
from ..strategies import BUILT_IN, counter
from ..threeway import Merged
from ..values import UNSET, as_map, canonical, equal, identity, same
from ..walk import Verdict
from .cases import Case, strategies_in

__all__ = ["LAWS", "check"]


def _an_unchanged_side_yields(case: Case) -> None:
    """merge(b, b, t) = t and merge(b, o, b) = o, in every letter."""
    left, right = case.merge(ours=case.base), case.merge(theirs=case.base)
    assert same(left.value, case.theirs), f"merge(b, b, t) is {left.value!r}"
    assert same(right.value, case.ours), f"merge(b, o, b) is {right.value!r}"
    assert not left.conflicts + right.conflicts


def _equal_changes_are_no_conflict(case: Case) -> None:
    """merge(b, o, o) = o where equal changes mean nothing more, and merge(UNSET, o, o) = o."""
    if not strategies_in(case) & {"counter", "add up"}:
        both = case.merge(theirs=case.ours)
        assert same(both.value, case.ours) and not both.conflicts, f"merge(b, o, o) is {both}"
    fresh = case.merge(base=UNSET, theirs=case.ours)
    assert same(fresh.value, case.ours) and not fresh.conflicts, f"merge(UNSET, o, o) is {fresh}"


def _sides_can_be_swapped(case: Case) -> None:
    """Swapping the sides with their names and times changes nothing."""
    for variant in (case, msgspec.structs.replace(case, base=UNSET)):
        one, other = variant.merge(), variant.swapped().merge()
        assert same(one.value, other.value), f"{one.value!r}\n!= {other.value!r}"
        assert _letters(one.conflicts) == _letters(other.conflicts), f"{one.conflicts}\n!= {other.conflicts}"
        assert _letters(one.explain()) == _letters(other.explain())


def _letters(of: Sequence[Any]) -> list[Any]:
    return [canonical(x) for x in of]


def _inputs_stay_what_they_are(case: Case) -> None:
    """Inputs are not changed; the same again, from copies, gives the same."""
    before = canonical((case.base, case.ours, case.theirs))
    again = msgspec.structs.replace(case, **{k: copy.deepcopy(getattr(case, k)) for k in ("base", "ours", "theirs")})
    one, two = case.merge(), again.merge()
    assert canonical((case.base, case.ours, case.theirs)) == before, "an input was changed"
    assert same(one.value, two.value) and _letters(one.conflicts) == _letters(two.conflicts)


def _no_update_is_lost(case: Case) -> None:
    """What one side alone changed is in the value; what both changed is there, a candidate, or lost by a part that the
    verdict names.
    """
    merged = case.merge()
    said = {v.path: v for v in merged.explain()}
    _Conservation(merged, said, case.base is not UNSET).node(
        case.rule, (), case.base, case.ours, case.theirs, merged.value
    )


def _different_changes_do_not_conflict(case: Case) -> None:
    """A conflict stands where both sides changed one smallest unit; only an invariant concerns more."""
    for conflict in case.merge().conflicts:
        if conflict.reason == "invariant" or conflict.path[-1:] == (case.policy.deleted,):
            continue  # a deletion by a column conflicts with edits of other fields
        where = f"conflict at {format_path(conflict.path)}"
        rule, unit, sides = case.rule, False, (case.base, case.ours, case.theirs)
        for step in conflict.path:
            if isinstance(step, Slice) or step is ORDER:  # a piece of what the path stands for, by itself
                sides = (conflict.base, *(c.value for c in conflict.candidates))
                rule, unit = rule.piece(Any), True
            elif _TOUCHED not in sides:
                rule, unit, sides = _below(rule, unit, sides, step)
        base, ours, theirs = sides
        if _TOUCHED not in sides:
            assert not equal(base, ours) and not equal(base, theirs), f"{where}: one side did not change it"
            listed = any(isinstance(step, int) for step in conflict.path)
            if not listed:  # in a list, what corresponds to what is a judgement
                assert not equal(ours, theirs), f"{where}: both say the same"
                opened = ours is not UNSET and theirs is not UNSET and _opens(rule, unit, ours, theirs)
                assert not opened, f"{where}: no smallest unit"
        else:
            assert not any(side is base for side in (ours, theirs)), f"{where}: one side did not touch the element"


_TOUCHED = "an element that a side replaced, deleted or moved"


def _below(rule: Rule, unit: bool, sides: tuple[Any, ...], step: Any) -> tuple[Rule, bool, tuple[Any, ...]]:
    """From a place to the one below it: its rule, whether it is one unit, and what the three sides have there."""
    base, ours, theirs = sides
    here = rule.at(ours if ours is not UNSET else theirs)
    if (grouped := here.groups.get(str(step))) is not None:
        members, inside = grouped
        return inside, True, tuple(_members(side, members) for side in sides)
    if as_map(ours) is not None:
        maps = [(as_map(side) or {}) if type(side) is type(ours) else {} for side in sides]
        return here.child(step), False, tuple(side.get(step, UNSET) for side in maps)
    if fixed_tuple(here.type) and isinstance(ours, tuple) and isinstance(theirs, tuple):
        was = base if isinstance(base, tuple) else (UNSET,) * len(ours)
        return here.child(step), False, (was[step], ours[step], theirs[step])
    if (keyed := _by_key(here, base, ours, theirs)) is not None:
        return here.child(step), False, tuple(side.get(step, UNSET) for side in keyed)
    now = tuple(_fate(base, side, base[step]) for side in (ours, theirs))
    return here.child(step), not all(as_map(x) is not None for x in (base[step], *now)), (base[step], *now)


def _by_key(rule: Rule, *sides: Any) -> list[dict[Any, Any]] | None:
    """The members of a list by their keys, where the policy says that it is keyed, and each member has one."""
    part = next((p for p in rule.strategy.parts if p.opens & {"list", "keyed"}), None)
    if part is None or part.name != "keyed":
        return None
    found: list[dict[Any, Any]] = []
    for side in sides:
        elements = side if isinstance(side, (list, tuple)) else ()
        keys = [tuple((as_map(x) or {}).get(name) for name in part.params) for x in elements]
        if len(set(keys)) < len(keys) or any(not isinstance(k, (str, int)) or k is True for key in keys for k in key):
            return None
        found.append({key[0] if len(key) == 1 else key: x for key, x in zip(keys, elements)})
    return found


def _fate(base: Any, side: Any, element: Any) -> Any:
    """What became of an element of a list, judged by identities alone; of a map, by its ``id``."""
    was, now = ([identity(x) for x in elements] for elements in (base, side))
    if identity(element) in now and not _reordered(was, now):
        return element
    named = [
        x for x in side if as_map(element) and (as_map(x) or {}).get("id") == (as_map(element) or {}).get("id", UNSET)
    ]
    return named[0] if named and not _reordered(was, now) else _TOUCHED


def _reordered(was: list[Any], now: list[Any]) -> bool:
    return [x for x in was if x in now] != [x for x in now if x in was]


def _one_side_is_shown_without_times(case: Case) -> None:
    """Without times no mixture is shown that nobody wrote: one side in every open conflict (an edit against a deletion:
    the edit).
    """
    merged = case.merge(at=None)
    values = {v.path: v.value for v in merged.explain()}
    shown: set[str] = set()
    for conflict in merged.conflicts:
        if conflict.reason not in ("edit against deletion", "invariant"):
            names = [c.name for c in conflict.candidates if same(c.value, values[conflict.path])]
            assert names, f"{values[conflict.path]!r} is shown at {format_path(conflict.path)}, and no candidate"
            shown |= set(names if len(names) == 1 else ())
    assert len(shown) < 2, f"both sides are shown: {merged}"


def _the_value_shows_a_candidate(case: Case) -> None:
    """The record shown holds one of the candidates at every open conflict, and is what the model takes."""
    merged = case.merge()
    for conflict in merged.conflicts:
        shown = _at(merged.value, conflict.path, case.rule)
        if shown is not _UNTOLD:
            assert any(same(shown, c.value) for c in conflict.candidates), f"{shown!r} at {format_path(conflict.path)}"
    questioned = any(c.reason == "invariant" for c in merged.conflicts)
    if case.model is not None and merged.value is not UNSET and not questioned:
        wrong = validate(merged.value, case.model)
        assert not wrong, f"{merged.value!r}: {wrong}"
        _valid(merged.value, case.rule)


def _valid(value: Any, rule: Rule) -> None:
    here = rule.at(value)
    for key, below in (as_map(value) or {}).items():
        wrong = validate(below, here.child(key).declared)
        assert not wrong, f"{key} = {below!r}: {wrong}"


_UNTOLD = object()


def _at(value: Any, path: Path, rule: Rule) -> Any:
    """What a record holds at a path; an element of a list cannot be told."""
    for step in path:
        here = rule.at(value)
        if (grouped := here.groups.get(str(step))) is not None:
            return _members(value, grouped.members)
        fields = as_map(value)
        if fields is None and step is not ORDER and isinstance(value, list) and (keyed := _by_key(here, value)):
            fields = keyed[0]
        if fields is None:
            return _UNTOLD
        value, rule = fields.get(step, UNSET), here.child(step)
    return value


def _answers_settle(case: Case) -> None:
    """With an answer to every question nothing is open, and the record holds the answers."""
    merged = case.merge()
    for pick in (0, 1):
        try:
            settled = merged.resolve({c.path: c.candidates[pick] for c in merged.conflicts})
        except AnswerError as error:
            assert "does not take" in str(error), str(error)  # noqa: PT017 - two answers that break an invariant together
            continue
        assert not settled.conflicts, f"still open: {settled.conflicts}"
        for c in merged.conflicts:
            held = _at(settled.value, c.path, case.rule)
            assert held is _UNTOLD or same(held, c.candidates[pick].value), f"{c.path}: {held!r}"


def _patches_lead_to_the_value(case: Case) -> None:
    """A side with its patch written on it is the merged record."""
    merged = case.merge()
    for name, side in zip(case.names, (case.ours, case.theirs)):
        if merged.value is UNSET or as_map(merged.value) is None or side is UNSET:
            continue
        patch = merged.patch(name)
        written = {**(as_map(side) or {}), **(patch or {})}
        assert equal({k: v for k, v in written.items() if v is not UNSET}, as_map(merged.value)), f"{name}: {patch}"


def _every_open_question_has_a_verdict(case: Case) -> None:
    """The verdicts that are open are the conflicts, in the same order."""
    merged = case.merge()
    opened = [v.path for v in merged.explain() if v.decided_by == "open"]
    assert opened == [c.path for c in merged.conflicts]


class _Conservation:
    """Where each edit went: goes down the three sides and the value by the policy, knowing nothing of the walk."""

    def __init__(self, merged: Merged[Any], said: dict[Path, Verdict], based: bool) -> None:
        self.based = based
        self.open = {c.path: c for c in merged.conflicts}
        self.said = said

    def node(self, rule: Rule, path: Path, b: Any, o: Any, t: Any, v: Any, unit: bool = False) -> None:
        where = format_path(path) or "the record"
        if (conflict := self.open.get(path)) is not None:
            for side in (o, t):
                assert any(equal(side, c.value) for c in conflict.candidates), f"{where}: {side!r} is no candidate"
            return
        if equal(b, t) or equal(b, o):
            changed = o if equal(b, t) else t
            assert equal(v, changed), f"{where}: one side made it {changed!r}, and it is {v!r}"
            return
        if o is UNSET or t is UNSET:
            assert equal(v, o) or equal(v, t), f"{where}: neither edited nor deleted, but {v!r}"
            there = t if o is UNSET else o
            column = rule.at(there).deleted
            row, held = as_map(there) or {}, as_map(b) or {}
            marked = column is not None and bool(row.get(column)) and not held.get(column)
            marked = marked and equal(row | {column: None}, held | {column: None})
            if not marked or equal(v, UNSET):  # else both deleted it, one by a column
                self.two_sided(path, o, t, v)
            return
        here = rule.at(o)
        unit = unit or here.whole
        by = self.said[path].decided_by if path in self.said else ""
        if by == "text":
            self.text(path, self.said[path].reason.removeprefix("by "), b, o, t, v)
        elif by == "keyed":
            self.list(here, path, b if type(b) is type(o) else (), o, t, v)
        elif by or not _opens(here, unit, o, t):  # a part before the structural one may have decided
            self.leaf(here, path, b, o, t, v)
        elif (mine := as_map(o)) is not None:
            self.map(here, path, as_map(b) if type(b) is type(o) else {}, mine, as_map(t) or {}, as_map(v) or {})
        elif isinstance(o, (set, frozenset)):
            self.set(where, b if isinstance(b, (set, frozenset)) else (), o, t, v)
        elif isinstance(o, tuple) and fixed_tuple(here.type):
            was = b if isinstance(b, tuple) else (UNSET,) * len(o)
            for i, sides in enumerate(zip(was, o, t, v)):
                self.node(here.child(i), (*path, i), *sides)
        elif (members := _by_key(here, b, o, t)) is not None:
            self.keyed(here, path, members, v)
        else:
            self.list(here, path, b if type(b) is type(o) else (), o, t, v)

    def text(self, path: Path, unit: str, b: str, o: str, t: str, v: str) -> None:
        """Piece by piece: one that is new on a side is there, one that a side deleted and the other left is gone."""
        if unit == "char" or any(len(at) > len(path) and v.decided_by == "text" for at, v in self.said.items()):
            return  # characters have no identity, and lines none where words made them
        was, mine, other, now = (re.findall(_PIECES[unit], side) for side in (b, o, t, v))
        where = format_path(path)
        settled = [(at, v.value) for at, v in self.said.items() if at != path]
        texts = [text for at, text in (*self.candidates(), *settled) if at[: len(path)] == path]
        kept = {x for text in texts for x in re.findall(_PIECES[unit], text)}
        for keys, rest in ((mine, other), (other, mine)):
            for x in keys:
                assert x in now or x in kept or x in was, f"{where}: {x!r}, which one side put there, is lost"
            for x in set(was):
                if x not in keys and was.count(x) == rest.count(x) == 1 and not _reordered(was, rest):
                    assert x not in now or x in kept, (
                        f"{where}: {x!r}, deleted on one side and left on the other, is back"
                    )
        for x in was:
            if was.count(x) == mine.count(x) == other.count(x) == 1:
                assert x in now or x in kept, f"{where}: {x!r}, which nobody deleted, is gone"

    def keyed(self, rule: Rule, path: Path, members: list[dict[Any, Any]], v: Any) -> None:
        """Member by member; of two that both sides have, the order is that of the side that changed it."""
        was, mine, other = members
        merged = _by_key(rule, v)
        assert merged is not None, f"{format_path(path)}: {v!r} has a key twice, or none"
        now = merged[0]
        for key in {**was, **mine, **other}:
            self.node(rule.child(key), (*path, key), *(side.get(key, UNSET) for side in (*members, now)))
        assert now.keys() <= {**mine, **other}.keys()
        asked = self.said.get((*path, ORDER))
        if asked is None or asked.decided_by == "keyed":
            orders = [list(side) for side in (was, mine, other, now)]
            for x, y in itertools.combinations([key for key in now if key in mine and key in other], 2):
                then, here, there, shown = (
                    order.index(x) < order.index(y) if x in order and y in order else None for order in orders
                )
                assert shown == (there if here == then else here), (
                    f"{format_path(path)}: {x!r} and {y!r} changed places"
                )

    def map(self, rule: Rule, path: Path, b: Any, o: Any, t: Any, v: Any) -> None:
        grouped: set[str] = set()
        for name, (members, inside) in rule.groups.items():
            was, mine, other, now = (_members(side, members) for side in (b, o, t, v))
            self.node(inside, (*path, name), was, mine, other, now, unit=True)
            grouped |= set(members)
        for key in {**b, **o, **t}:
            sides = [side.get(key, UNSET) for side in (b, o, t, v)]
            dead = [bool(side) and side is not UNSET for side in sides]
            if key == rule.deleted and not dead[0] and dead[1] != dead[2]:  # an edit may bring the record back
                assert any(equal(sides[3], side) for side in sides[1:3]), f"{key}: {sides[3]!r}"
            elif key not in grouped:
                self.node(rule.child(key), (*path, key), *sides)

    def set(self, where: str, b: Any, o: Any, t: Any, v: Any) -> None:
        was, mine, other, now = ({identity(x): x for x in side} for side in (b, o, t, v))
        wanted = {k: x for k, x in {**mine, **other}.items() if (k in mine and k in other) or k not in was}
        # Of 1 and True, Python's sets hold one.
        assert now.keys() <= wanted.keys() and set(v) == set(wanted.values()), f"{where}: {v!r}"

    def list(self, rule: Rule, path: Path, b: Any, o: Any, t: Any, v: Any) -> None:
        """Element by element, by the identities that the generator gave: an element is new, gone, or untouched."""
        was, mine, other, now = ([identity(x) for x in side] for side in (b, o, t, v))
        where = format_path(path)
        kept = {identity(value) for at, value in self.candidates() if at[: len(path)] == path}
        for side, keys, rest in ((o, mine, other), (t, other, mine)):
            for key, value in zip(keys, side):
                there = key in now or key in was or key in kept or self.walked_on(rule, path, value, (b, o, t, v))
                assert there, f"{where}: {value!r}, which one side put there, is lost"
            for key in was:
                if key not in keys and key in rest and not _reordered(was, rest):
                    conflict = any(at[: len(path)] == path for at in self.open)
                    assert conflict or key not in now, (
                        f"{where}: {key!r}, deleted on one side and untouched on the other, is back"
                    )
        for key in was:
            assert key in now or key not in mine or key not in other, f"{where}: {key!r}, which nobody touched, is gone"

    def walked_on(self, rule: Rule, path: Path, value: Any, sides: tuple[Any, ...]) -> bool:
        """Whether ``value`` went into what it and the other side's element in the same place were merged to."""
        was, mine, other, now = sides
        for x, z in [(value, z) for z in other] if any(x is value for x in mine) else [(z, value) for z in mine]:
            for i, element in enumerate(was):
                for merged, unit in itertools.product(now, (False, True)):  # of a map, whether it is one is a judgement
                    try:
                        self.node(rule.child(i), (*path, i), element, x, z, merged, unit)
                    except AssertionError:
                        continue
                    return True
        return False

    def candidates(self) -> Iterator[tuple[Path, Any]]:
        """All values that were kept as candidates or named as lost."""
        for path, found in [(p, c.candidates) for p, c in self.open.items()] + [
            (p, v.lost) for p, v in self.said.items()
        ]:
            for candidate in found:
                yield path, candidate.value

    def leaf(self, rule: Rule, path: Path, b: Any, o: Any, t: Any, v: Any) -> None:
        """Both sides changed one smallest unit, and a part settled it."""
        where = format_path(path)
        said = self.said.get(path)
        start = 0 if b is UNSET else b
        counts = rule.strategy.parts[:1] == counter.parts and all(type(x) is int for x in (o, t, start))
        if (said is not None and said.decided_by == "counter") or (counts and self.based):
            assert equal(v, o + t - start), f"{where}: {v!r} counts wrong"
        elif said is not None and said.decided_by == "add_wins":
            self.set(where, b if isinstance(b, (set, frozenset)) else (), o, t, v)
        elif said is not None and said.decided_by in ("largest", "smallest"):
            extreme = max if said.decided_by == "largest" else min
            assert equal(o, t) or equal(v, extreme(o, t)), f"{where}: {v!r}"
            self.two_sided(path, o, t, v)
        elif said is not None and said.decided_by not in BUILT_IN:
            assert said.decided_by in {p.name for p in rule.strategy.parts} | {"equal"}, f"{where}: decided by {said}"
            if equal(v, o) or equal(v, t):
                self.two_sided(path, o, t, v)
        else:
            assert equal(v, o) or equal(v, t), f"{where}: {v!r} is of neither side"
            self.two_sided(path, o, t, v)

    def two_sided(self, path: Path, o: Any, t: Any, v: Any) -> None:
        """One side's value stands; the other's is named as lost."""
        for side in (o, t):
            if not equal(side, v):
                said = self.said.get(path)
                named = said is not None and any(equal(side, c.value) for c in said.lost)
                assert named, f"{format_path(path)}: {side!r} was lost, and no verdict says so"


_PIECES = {"line": r"[^\n]*\n|[^\n]+", "word": r"\w+"}


def _members(side: Any, members: Sequence[str]) -> Any:
    fields = (as_map(side) or {}) if side is not UNSET else {}
    return {m: fields[m] for m in members if m in fields} or UNSET


def _opens(rule: Rule, unit: bool, o: Any, t: Any) -> bool:
    """Whether the policy says that what both sides changed is to be merged by its parts."""
    here = rule.at(o)
    if unit or here.whole or type(o) is not type(t):
        return False
    if as_map(o) is not None and here.by_field:
        return True
    opens = {kind for part in here.strategy.parts for kind in part.opens}
    if as_map(o) is not None:
        return "map" in opens
    if isinstance(o, tuple) and fixed_tuple(here.type):
        return "map" in opens
    return (isinstance(o, (list, tuple)) and bool(opens & {"list", "keyed"})) or (
        isinstance(o, (set, frozenset)) and "set" in opens
    )


def _a_plan_does_what_the_walk_does(case: Case) -> None:
    """Value, conflicts and verdicts are the same, in every letter, whether generated code merges or the walk."""
    for base in () if case.walks else (case.base, UNSET):
        planned, told = case.merge(base=base), case.merge(base=base, walks=True)
        assert same(planned.value, told.value), f"{planned.value!r}\n!= {told.value!r}, by the walk"
        assert type(planned.value) is type(told.value)
        assert _letters(planned.conflicts) == _letters(told.conflicts), f"{planned.conflicts}\n!= {told.conflicts}"
        assert _letters(planned.explain()) == _letters(told.explain())


LAWS: dict[str, Callable[[Case], None]] = {
    "an unchanged side yields": _an_unchanged_side_yields,
    "equal changes are no conflict": _equal_changes_are_no_conflict,
    "sides can be swapped": _sides_can_be_swapped,
    "inputs stay what they are": _inputs_stay_what_they_are,
    "no update is lost": _no_update_is_lost,
    "different changes do not conflict": _different_changes_do_not_conflict,
    "one side is shown without times": _one_side_is_shown_without_times,
    "the value shows a candidate": _the_value_shows_a_candidate,
    "answers settle": _answers_settle,
    "patches lead to the value": _patches_lead_to_the_value,
    "every open question has a verdict": _every_open_question_has_a_verdict,
    "a plan does what the walk does": _a_plan_does_what_the_walk_does,
}


def check(case: Case) -> None:
    """Raises ``AssertionError``, which names the law and the case, where one does not hold, or cannot even be asked
    since the merge raises, or its parts do not fit together.
    """
    for name, law in LAWS.items():
        try:
            law(case)
        except Exception as error:
            raise AssertionError(f"the law {name!r} does not hold: {type(error).__name__}: {error}\n{case}") from error
