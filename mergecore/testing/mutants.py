"""Broken variants of the walk, and of what joins, each of which the laws must catch: the proof that they can fail.

Imports the package.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec

from .. import codec, documents, edits, history, plan, threeway, version, view, writing
from ..clock import Clock, Timestamp
from ..comparing import CHANGED, Kind
from ..documents import Run
from ..history import Commit, History, ORSet, PNCounter, Tally, heads_of
from ..paths import ByPath, Path, Slice
from ..policy import Rule
from ..reading import Reading, live_deletes
from ..records import fields_of, origin
from ..strategies import Context, Part, lww, three_way
from ..values import UNSET, Sides, as_map, canonical, equal, larger
from ..vectors import VersionVector
from ..version import Version
from ..walk import Walk

__all__ = ["MUTANTS", "PLAN_MUTANTS", "REPLICA_MUTANTS", "mutated"]


class _LocalWinsTies(Walk):
    """Equal times keep the local value."""

    def decide(self, part: Part, context: Context, sides: Sides) -> Any:
        tie = part.name == "lww" and context.times[0] is not None and context.times[0] == context.times[1]
        return sides.ours if tie else super().decide(part, context, sides)


class _BaseIgnored(Walk):
    """Two-way: whatever the base says."""

    def node(self, rule: Rule, path: Path, sides: Sides, unit: bool = False) -> Any:
        return super().node(rule, path, sides._replace(base=UNSET), unit)


class _OneSidedChangeDropped(Walk):
    """A field that only theirs changed keeps the base."""

    def node(self, rule: Rule, path: Path, sides: Sides, unit: bool = False) -> Any:
        if path and equal(sides.base, sides.ours):
            return sides.base
        return super().node(rule, path, sides, unit)


class _ListMergedWhole(Walk):
    """A list that both sides changed is one unit."""

    def opening(self, part: Part, rule: Rule, sides: Sides) -> Any:
        return None if isinstance(sides.ours, list) else super().opening(part, rule, sides)


class _LargerDocumentWins(Walk):
    """Both changed: take the larger document. It commutes, associates and is idempotent, and loses."""

    def node(self, rule: Rule, path: Path, sides: Sides, unit: bool = False) -> Any:
        base, ours, theirs = sides
        if not path and not equal(base, ours) and not equal(base, theirs) and as_map(ours) is not None:
            return larger(ours, theirs)
        return super().node(rule, path, sides, unit)


class _LoserUnreported(Walk):
    """What lost is in no verdict."""

    def note(self, path: Path, decided_by: str, base: Any, value: Any, said: Any, reasons: Any) -> None:
        super().note(path, decided_by, base, value, (), reasons)


class _EqualChangesCountOnce(Walk):
    """Ours equals theirs, so return it: wrong above a counter."""

    def node(self, rule: Rule, path: Path, sides: Sides, unit: bool = False) -> Any:
        if equal(sides.ours, sides.theirs) and path not in self.answers:
            return larger(sides.ours, sides.theirs)
        return super().node(rule, path, sides, unit)


class _TrueIsOne(Walk):
    """Python's equality decides whether a side changed."""

    def node(self, rule: Rule, path: Path, sides: Sides, unit: bool = False) -> Any:
        if path and sides.base == sides.ours and path not in self.answers:
            return sides.theirs
        return super().node(rule, path, sides, unit)


class _DeletionAsksTheField(Walk):
    """An edit against a deletion is settled by last writer wins, whatever the policy says of deletes."""

    def against(self, rule: Rule, context: Context, sides: Sides, ours_gone: bool) -> Any:
        return super().decide(lww.parts[0], context, sides)


class _MixtureShown(Walk):
    """Without times, each conflict shows the larger of its own candidates."""

    def shown(self, context: Context, sides: Sides) -> Any:
        return larger(sides.ours, sides.theirs)


class _GroupOpened(Walk):
    """A structural part opens a group, and mixes two people's halves."""

    def node(self, rule: Rule, path: Path, sides: Sides, unit: bool = False) -> Any:
        if rule.is_group and self.alike(sides) and path not in self.answers:
            base, ours, theirs = sides.as_maps()
            changed = {k: v for k, v in theirs.items() if not equal(v, base.get(k, UNSET))}
            return ours | changed
        return super().node(rule, path, sides, unit)


class _OursInsertsFirst(Walk):
    """In one gap, ours comes before theirs."""

    def inserted(self, ours: list[Any], theirs: list[Any]) -> list[Any]:
        return ours + [x for x in theirs if x not in ours]


class _KeysOfOursFirst(Walk):
    """Added keys stand in the order of the sides."""

    def keys(self, maps: Sides) -> list[Any]:
        return list({**maps.base, **maps.ours, **maps.theirs})


class _InvariantUnchecked(Walk):
    """What two valid sides make together is taken to be valid."""

    def invalid(self, rule: Rule, value: Any) -> str:
        return ""

    def built(self, rule: Rule, path: Path, sides: Sides, values: Any, mark: Any) -> Any:
        made = copy.copy(sides.theirs)
        for field in fields_of(type(made)) or ():
            setattr(made, field.name, values[field.key])
        return made


class _AnswersForgotten(Walk):
    """An answer settles its question, and the base stays."""

    def answer(self, rule: Rule, path: Path, sides: Sides) -> Any:
        return sides.base


class _DeletedComesBack(Walk):
    """A union of keys: what one side deleted is back."""

    def node(self, rule: Rule, path: Path, sides: Sides, unit: bool = False) -> Any:
        _, ours, theirs = sides
        if path and (ours is UNSET) != (theirs is UNSET) and path not in self.answers:
            return theirs if ours is UNSET else ours
        return super().node(rule, path, sides, unit)


class _OrderOfTheirsDropped(Walk):
    """The members of a keyed list stand as ours has them."""

    def order(self, rule: Rule, path: Path, keys: Sides) -> list[Any]:
        return list({**dict.fromkeys(keys.ours), **dict.fromkeys(keys.theirs), **dict.fromkeys(keys.base)})


class _OrderOfTheBaseStays(Walk):
    """All members of a keyed list are there, and nobody can move one."""

    def order(self, rule: Rule, path: Path, keys: Sides) -> list[Any]:
        new = {*keys.ours, *keys.theirs}.difference(keys.base)
        return [*keys.base, *sorted(new, key=canonical)]


class _OverlapSettledSilently(Walk):
    """Of a text that both sides changed otherwise in one place, the larger stays."""

    def node(self, rule: Rule, path: Path, sides: Sides, unit: bool = False) -> Any:
        if path and isinstance(path[-1], Slice) and path not in self.answers:
            return larger(sides.ours, sides.theirs)
        return super().node(rule, path, sides, unit)


class _KeysAreNoMatter(Walk):
    """A keyed list is merged by element: who edits and moves an object duplicates it."""

    def opening(self, part: Part, rule: Rule, sides: Sides) -> Any:
        if "keyed" in part.opens:
            part = three_way().parts[0]
        return super().opening(part, rule, sides)


MUTANTS: dict[str, type[Walk]] = {
    "local wins ties": _LocalWinsTies,
    "base ignored": _BaseIgnored,
    "a one-sided change dropped": _OneSidedChangeDropped,
    "list merged whole": _ListMergedWhole,
    "both changed: take the larger document": _LargerDocumentWins,
    "loser unreported": _LoserUnreported,
    "equal changes count once": _EqualChangesCountOnce,
    "True is 1": _TrueIsOne,
    "a deletion asks the field": _DeletionAsksTheField,
    "a mixture is shown": _MixtureShown,
    "a group is opened": _GroupOpened,
    "ours inserts first": _OursInsertsFirst,
    "keys of ours first": _KeysOfOursFirst,
    "invariant unchecked": _InvariantUnchecked,
    "answers forgotten": _AnswersForgotten,
    "what was deleted comes back": _DeletedComesBack,
    "order of theirs dropped": _OrderOfTheirsDropped,
    "order of the base stays": _OrderOfTheBaseStays,
    "an overlap is settled silently": _OverlapSettledSilently,
    "keys are no matter": _KeysAreNoMatter,
}


class _Instead(NamedTuple):
    """What stands in the place of what."""

    where: Any
    name: str
    broken: Any


# ------------------------------------------------------------------------------------------------ plans


def _told_as_exact(declared: Any, within: Any = ()) -> Kind:
    """Python's own comparison, of values of any type."""
    return "exact"


def _conflict_untold(self: Run, rule: Rule, path: Path, *sides: Any) -> Any:
    """What both changed is shown, and nobody is asked."""
    return larger(*sides[1:3])


def _theirs(ours: Any, theirs: Any) -> Any:
    """The other side wins ties."""
    return theirs


def _copied(kind: Any) -> bool:
    """Whatever a class says of how its records are made."""
    return issubclass(origin(kind), msgspec.Struct)


def _python_alike(p: Any, q: Any) -> bool:
    """Python's own comparison, in dictionaries."""
    return bool(p == q)


def _taken_by_python(base: Any, ours: Any, theirs: Any) -> Any:
    """Whatever a list or a dictionary holds, it is compared by Python."""
    return ours if theirs == base else theirs if ours == base else UNSET


def _all_keys(self: Run, rule: Rule, path: Path, *sides: Any) -> Any:
    """Whatever one side has, the record has."""
    return {**sides[2], **sides[1], **_keyed(self, rule, path, *sides)}


def _without_columns(self: Any, *said: Any) -> list[str]:
    """A column that means deletion is a field as others."""
    return [line for line in _record(self, *said) if "raise Unplanned" not in line]


_record = plan._Writer.record
_keyed = Run.keyed


def _compared_as_exact(kind: Kind) -> tuple[_Instead, ...]:
    return (_Instead(plan, "CHANGED", CHANGED | {kind: CHANGED["exact"]}),)


PLAN_MUTANTS: dict[str, tuple[_Instead, ...]] = {
    "plans: True is 1": (_Instead(plan, "kind_of_type", _told_as_exact),),
    "plans: the order of keys is no matter": _compared_as_exact("map"),
    "plans: zero has no sign": _compared_as_exact("float"),
    "plans: a moment has no zone": _compared_as_exact("moment"),
    "plans: a conflict is not told": (_Instead(Run, "node", _conflict_untold),),
    "plans: theirs wins ties": (_Instead(plan, "larger", _theirs),),
    "plans: invariants unchecked": (_Instead(plan, "_is_copied", _copied),),
    "dictionaries: True is 1": (_Instead(documents, "same", _python_alike),),
    "dictionaries: True is 1 in what they hold": (_Instead(documents, "_taken", _taken_by_python),),
    "dictionaries: what one side took away comes back": (_Instead(Run, "keyed", _all_keys),),
    "dictionaries: theirs wins ties": (_Instead(documents, "larger", _theirs),),
    "plans: a column that means deletion is one of many": (_Instead(plan._Writer, "record", _without_columns),),
}


# ------------------------------------------------------------------------------------------------ replicas


_EMPTY = VersionVector()


def _by_stamp_alone(writes: list[Any]) -> list[Any]:
    """Of two values under one stamp, the local one stays first."""
    return sorted(writes, key=lambda w: w.stamp)


_join = version._join


def _larger_version(a: Version[Any], b: Version[Any]) -> Version[Any]:
    """Both changed: take the larger document. It commutes, associates and is idempotent, and loses."""
    both = _join(a, b)
    if a.seen <= b.seen or b.seen <= a.seen:
        return both
    one = max(
        a, b, key=lambda v: (len(v._fields), canonical([w.value for s in v._fields.values() for w in _written(s)]))
    )
    stored = codec.Stored(both.id, both.created, both.seen, one._fields, one._marks)
    return Version(stored, both._binding)


def _written(state: Any) -> Sequence[Any]:
    return state.writes if isinstance(state, History) else ()


def _count_again(self: PNCounter, other: PNCounter, *rest: Any) -> PNCounter:
    """Counts are added up, whoever counted: a copy that comes twice counts twice."""
    joined = dict(self.tallies)
    for node, theirs in other.tallies.items():
        mine = joined.get(node)
        if mine is None or mine == theirs:
            joined[node] = theirs
        else:
            last = max(mine.stamp, theirs.stamp)
            joined[node] = Tally(last, mine.plus + theirs.plus, mine.minus + theirs.minus, mine.written)
    return PNCounter(joined)


def _no_losers(self: Any, *said: Any) -> None:
    """What lost is not said."""


class _OwnWritesSeen(history.Write):
    """With the usual "a node has seen its own writes" two clients of one server overwrite each other."""

    __slots__ = ()

    def __init__(self, commit: Commit, *args: Any, **named: Any) -> None:
        super().__init__(commit, *args, **named)
        millis, counter, node = commit.stamp.millis, commit.stamp.counter, commit.stamp.node
        before = Timestamp(millis, counter - 1, node) if counter else Timestamp(millis - 1, 0xFFFF, node)
        self.seen = commit.seen.plus(before)


_base = view._Fold.base


def _older_base_trusted(self: Any, done: Any, head: Any) -> Any:
    """Any base is as good as the whole common past."""
    value, base_is, why = _base(self, done, head)
    return value, "ancestor" if base_is == "old" else base_is, why


def _base_forgotten(self: Any, done: Any, head: Any) -> Any:
    """There never was anything before."""
    return UNSET, "ancestor", "ignored"


def _below_the_start(write: Any, other: Any) -> Any:
    """Under a run is what was under its beginning, though the other side has seen its middle."""
    return write.after if write.based and write.after is not None else [None]


def _covers_the_meet(write: Any, done: Any, head: Any) -> bool:
    """Whether the meet was seen, though it lies in the middle of the run."""
    return bool(done.all_seen() & head.all_seen() <= write.seen)


def _one_sided_change_dropped(path: Path, mine: Any, theirs: Any, *rest: Any) -> Any:
    """Where one side alone went on with a field, it stays what it was."""
    if isinstance(mine, History) and isinstance(theirs, History):
        old, new = ({(w.stamp, w.key) for w in state.writes} for state in (mine, theirs))
        if old != new and (old <= new or new <= old):
            return mine if old <= new else theirs
    return _joined_states(path, mine, theirs, *rest)


_joined_states = version._joined_states


def _resolved_beside(
    self: Version[Any], clock: Clock, answers: ByPath[Any], *, base: Any = None, by: str | None = None
) -> Version[Any]:
    """An answer is one value more."""
    ref = self if base is None else base
    changes, deleted = edits.answered(ref._reading, answers)
    return self._commit(clock, changes, _EMPTY, by, ref=ref, shared=self.seen, deleted=deleted)


_against = Reading.against


def _deletion_stands(self: Reading, path: Path, rule: Rule, gone: Any, *rest: Any, **named: Any) -> Any:
    """A deletion eats what it had not seen."""
    return gone


def _deleted_per_field(a: Version[Any], b: Version[Any]) -> Version[Any]:
    """A deletion takes the fields that it had seen, and an edit keeps its own: half a record."""
    both = _join(a, b)
    gone = live_deletes(both._marks)
    fields: Mapping[Path, Any] = {
        path: state
        for path, state in both._fields.items()
        if not gone or not all(any(d.seen.covers(s) for d in gone) for s in state.stamps())
    }
    if not gone or not fields or len(fields) == len(both._fields):
        return both
    stored = codec.Stored(both.id, both.created, both.seen, fields, ())
    return Version(stored, both._binding)


def _pruned_by_stamp(writes: list[Any], depth: int) -> list[Any]:
    """What is older than all heads goes."""
    heads = heads_of(writes)
    oldest = min((w.stamp for w in heads), default=None)
    kept = {id(w) for w in heads}
    return [w for w in writes if id(w) in kept or (w.based and oldest is not None and w.stamp > oldest)]


_commit = Version._commit


def _stale_author_saw_all(self: Version[Any], clock: Clock, changes: Any, seen: Any, *rest: Any, **named: Any) -> Any:
    """Who writes has seen all that is there, whatever he was looking at."""
    return _commit(self, clock, changes, self.seen, *rest, **named)


def _remove_wins(self: ORSet, other: ORSet, *rest: Any) -> ORSet:
    """Who removes an element removes it for all."""
    kept = {k: (x, tags | other.elements[k][1]) for k, (x, tags) in self.elements.items() if k in other.elements}
    return ORSet(self.touched | other.touched, kept)


def _unknown_fields_dropped(a: Version[Any], b: Version[Any]) -> Version[Any]:
    """An app keeps the fields that it knows."""
    both = _join(a, b)
    if not both._binding.is_modelled:
        return both
    known = {path: state for path, state in both._fields.items() if path in both._reading.rules or len(path) > 1}
    return Version(codec.Stored(both.id, both.created, both.seen, known, both._marks), both._binding)


REPLICA_MUTANTS: dict[str, tuple[_Instead, ...]] = {
    "replicas: local wins ties": (_Instead(history, "_in_order", _by_stamp_alone),),
    "replicas: both changed, take the larger document": (_Instead(version, "_join", _larger_version),),
    "replicas: duplicate delivery counted": (_Instead(PNCounter, "join", _count_again),),
    "replicas: loser unreported": (_Instead(view._Said, "losers", _no_losers),),
    "replicas: own writes always seen": (
        _Instead(writing, "Write", _OwnWritesSeen),
        _Instead(codec, "Write", _OwnWritesSeen),
    ),
    "replicas: older base trusted": (_Instead(view._Fold, "base", _older_base_trusted),),
    "replicas: the middle of a run taken for its start": (
        _Instead(view, "_below", _below_the_start),
        _Instead(view, "_covers_the_meet", _covers_the_meet),
    ),
    "replicas: base ignored": (_Instead(view._Fold, "base", _base_forgotten),),
    "replicas: a one-sided change dropped": (_Instead(version, "_joined_states", _one_sided_change_dropped),),
    "replicas: a resolution does not dominate": (_Instead(Version, "resolve", _resolved_beside),),
    "replicas: a deletion eats a concurrent edit": (_Instead(Reading, "against", _deletion_stands),),
    "replicas: a record comes back half": (_Instead(version, "_join", _deleted_per_field),),
    "replicas: pruned by stamp": (_Instead(history, "pruned", _pruned_by_stamp),),
    "replicas: a stale author has seen everything": (_Instead(Version, "_commit", _stale_author_saw_all),),
    "replicas: a removal wins": (_Instead(ORSet, "join", _remove_wins),),
    "replicas: unknown fields dropped": (_Instead(version, "_join", _unknown_fields_dropped),),
}


@contextmanager
def mutated(name: str) -> Iterator[None]:
    """While it lasts, the named mutant runs: of the walk (``MUTANTS``), of plans, or of versions."""
    instead = {**REPLICA_MUTANTS, **PLAN_MUTANTS}.get(name) or (_Instead(threeway, "Walk", MUTANTS[name]),)
    threeway.forget()
    before = [(where, attribute, getattr(where, attribute)) for where, attribute, _ in instead]
    for where, attribute, broken in instead:
        setattr(where, attribute, broken)
    try:
        yield
    finally:
        for where, attribute, right in before:
            setattr(where, attribute, right)
        threeway.forget()
