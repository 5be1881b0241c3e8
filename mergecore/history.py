"""The states of fields: what everybody wrote, as sets that join.

``History`` is the state of every field but of two kinds where something cheaper is exact in every topology:
``PNCounter`` for ``counter``, ``ORSet`` for ``add_wins``. Joining is commutative, associative and idempotent, and knows
no policy: what a state keeps depends on what was written alone. Values are plain (``wire.plain``). Imports ``clock``,
``errors``, ``paths``, ``values``, ``vectors`` and ``wire``.
"""

from __future__ import annotations

import bisect
import decimal
import itertools
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple, TypeAlias

import msgspec

from .clock import Timestamp
from .errors import InvalidInput
from .paths import Path
from .values import UNSET, canonical, is_number
from .vectors import VersionVector
from .wire import pack

__all__ = [
    "Commit", "Dot", "History", "ORSet", "PNCounter", "State", "Tally", "Touch", "Write", "heads_of", "is_count",
    "pruned",
]  # fmt: skip


class Commit(msgspec.Struct, frozen=True):
    """What one author changed in one record at one moment.

    ``seen`` is all of the record that the author was looking at. A commit dominates another one when its ``seen``
    covers the other's stamp: nothing else counts, not even being the same node's later edit (dotted version vectors,
    Preguiça et al. 2012), since two clients of one server may write through it without having seen each other.
    """

    stamp: Timestamp
    seen: VersionVector
    by: str | None = None
    """The person; a node is a device."""
    paths: tuple[Path, ...] = ()
    """The fields that it wrote, as far as a version still holds what was written."""


class Write:
    """One field's part of a commit.

    ``based`` writes carry what their author was looking at: ``base``, its value; ``after``, the stamps of the heads
    that it replaces (git's parents), ``None`` where only the value is known; ``contested``, whether that base was in
    conflict. ``first`` is the stamp of the first write of the run that this one goes on with.
    """

    __slots__ = ("_key", "after", "base", "based", "commit", "contested", "first", "node", "seen", "stamp", "value")

    def __init__(
        self,
        commit: Commit,
        value: Any,
        based: bool = False,
        base: Any = UNSET,
        after: tuple[Timestamp, ...] | None = None,
        contested: bool = False,
        first: Timestamp | None = None,
    ) -> None:
        self.commit, self.value = commit, value
        self.based, self.base, self.after, self.contested = based, base, after, contested
        self.stamp, self.seen, self.node = commit.stamp, commit.seen, commit.stamp.node
        self.first = commit.stamp if first is None else first
        self._key: bytes | None = None

    @property
    def key(self) -> bytes:
        """All that it says but its stamp, as bytes: equal for equal writes."""
        if self._key is None:
            c = self.commit
            said = [_flat(sorted(c.seen.values())), c.by, self.based, self.contested, self.first.millis]
            said += [self.first.counter, None if self.after is None else _flat(self.after)]
            self._key = pack(self.value) + pack(self.base) + pack(said)
        return self._key

    def has(self, stamp: Timestamp) -> bool:
        """Whether a stamp lies in its past: it is its own, was seen, or is one of those that it replaced."""
        return stamp == self.stamp or self.seen.covers(stamp) or (self.after is not None and stamp in self.after)

    def __repr__(self) -> str:
        return f"Write({self.stamp}, {self.value!r})"


def _flat(stamps: Iterable[Timestamp]) -> list[Any]:
    return [part for stamp in stamps for part in (stamp.millis, stamp.counter, stamp.node)]


class History:
    """The writes of a field: its heads, and ``depth`` layers of based writes below them, as common ancestors."""

    __slots__ = ("_heads", "_writes", "bare", "depth", "views")

    kind: ClassVar[str] = "history"

    def __init__(self, depth: int, writes: Iterable[Write] = ()) -> None:
        self.depth = depth
        held = list(writes)
        held = _in_order(pruned(held, depth)) if len(held) > 1 else held  # most fields were written once
        self._writes: tuple[Write, ...] | None = tuple(held)
        self._heads: tuple[Write, ...] | None = self._writes if len(held) < 2 else None
        self.bare: tuple[Commit, Any] | None = None
        """The commit and the value of a single write, where that says nothing else."""
        if len(held) == 1 and not held[0].based and held[0].first == held[0].stamp:
            self.bare = held[0].commit, held[0].value
        self.views: dict[Any, Any] = {}
        """What several heads show, by rule: kept by ``view``, since neither ever changes."""

    @classmethod
    def of(cls, depth: int, commit: Commit, value: Any) -> History:
        """That of a single bare write, which is made when somebody asks for it."""
        made = cls.__new__(cls)
        made.depth, made.bare, made._writes, made._heads, made.views = depth, (commit, value), None, None, {}
        return made

    @property
    def writes(self) -> tuple[Write, ...]:
        """All that is held, in stamp order."""
        if self._writes is None:
            assert self.bare is not None
            self._writes = self._heads = (Write(*self.bare),)
        return self._writes

    @property
    def heads(self) -> tuple[Write, ...]:
        """The writes that no other write dominates, in stamp order."""
        if self._heads is None:
            self._heads = tuple(heads_of(self.writes))
        return self._heads

    def plus(self, write: Write) -> History:
        """This history and one write more."""
        return History(self.depth, (*self.writes, write))

    def join(self, other: History) -> History:
        """The union of both. Pruning commutes with it."""
        if self is other:
            return self
        if self.bare is not None and other.bare is not None:  # most are; what is bare and dominated goes
            (commit, value), (beside, its) = self.bare, other.bare
            if _is_one(commit, value, beside, its):
                return self
            is_above, is_below = commit.seen.covers(beside.stamp), beside.seen.covers(commit.stamp)
            if is_above != is_below:
                return self if is_above else other
        known: dict[Timestamp, list[Write]] = {}
        for mine in self.writes:
            known.setdefault(mine.stamp, []).append(mine)
        new = [w for w in other.writes if not any(_alike(w, mine) for mine in known.get(w.stamp, ()))]
        if not new:
            return self
        joined = History(self.depth, (*self.writes, *new))
        for one in (self, other):  # views are kept with what has them
            if len(joined.writes) == len(one.writes) and all(map(_alike, joined.writes, one.writes)):
                return one
        return joined

    def authors(self, since: Any) -> set[str]:
        """The nodes that wrote what another history has not."""
        known = {(w.stamp, w.key) for w in since.writes} if isinstance(since, History) else ()
        return {w.node for w in self.writes if (w.stamp, w.key) not in known}

    def stamps(self) -> list[Timestamp]:
        """The stamps of what stands."""
        return [head.stamp for head in self.heads] if self.bare is None else [self.bare[0].stamp]


def _in_order(writes: list[Write]) -> list[Write]:
    """By stamp; where a node's name was used twice, and two have one, by canonical value."""
    writes = sorted(writes, key=lambda w: w.stamp)
    if any(one.stamp == other.stamp for one, other in itertools.pairwise(writes)):
        writes = list({(w.stamp, w.key): w for w in writes}.values())
        writes.sort(key=lambda w: (w.stamp, canonical(w.value), w.key))
    return writes


def _alike(one: Write, other: Write) -> bool:
    """Whether two writes are one, and say so in the same letters: quicker than by their keys."""
    return one is other or (
        one.after == other.after
        and (one.based, one.contested, one.first) == (other.based, other.contested, other.first)
        and _is_one(one.commit, one.value, other.commit, other.value)
        and _is_packed_alike(one.base, other.base)
    )


def _is_one(one: Commit, value: Any, other: Commit, beside: Any) -> bool:
    """Whether two commits are one, and wrote the same into a field."""
    is_same = one is other or (one.stamp == other.stamp and one.by == other.by and one.seen == other.seen)
    return is_same and _is_packed_alike(value, beside)


def _is_packed_alike(value: Any, beside: Any) -> bool:
    """Whether two plain values are the same bytes: of NaN there are many."""
    if value is beside:
        return True
    kind = type(value)
    if kind is type(beside) and kind in (str, int, bool):
        return bool(value == beside)
    return pack(value) == pack(beside)


def heads_of(writes: Sequence[Write]) -> list[Write]:
    """Those that no other one of them dominates. Linear in their number."""
    if len(writes) < 2:
        return list(writes)
    seen: dict[str, Timestamp] = {}
    for write in writes:
        for node, stamp in write.seen.items():
            if node not in seen or seen[node] < stamp:
                seen[node] = stamp
    return [w for w in writes if w.node not in seen or seen[w.node] < w.stamp]


def pruned(writes: list[Write], depth: int) -> list[Write]:
    """What a history keeps of writes: what is inside another's run goes, what is bare and dominated goes, and what lies
    ``depth`` layers below the heads.

    A layer is what has nothing above it when the layers before are taken off. A run counts as one node of the graph:
    above a write stands every write of another run that has seen its ``first``. Linear in the number of writes, for
    each layer.
    """
    if len(writes) < 2:
        return writes
    writes = _without_middles(writes)
    heads = heads_of(writes)
    kept = {id(w) for w in heads}
    rest = writes = [w for w in writes if w.based or id(w) in kept]
    for _ in range(depth + 1):
        top = {id(w) for w in _top_layer(rest)}
        kept |= top
        rest = [w for w in rest if id(w) not in top]
        if not rest:
            return writes
    return [w for w in writes if id(w) in kept]


def _without_middles(writes: list[Write]) -> list[Write]:
    """Writes but those inside a run: of its node, from its ``first`` on, and seen by its last."""
    runs: dict[str, list[tuple[Timestamp, Timestamp]]] = {}
    for w in writes:
        if w.based and w.first != w.stamp and w.node in w.seen:
            runs.setdefault(w.node, []).append((w.first, min(w.seen[w.node], w.stamp)))
    if not runs:
        return writes
    starts: dict[str, list[Timestamp]] = {}
    reach: dict[str, list[Timestamp]] = {}  # of the runs that begin up to there, how far one of them goes
    for node, spans in runs.items():
        spans.sort()
        starts[node] = [first for first, _ in spans]
        reach[node] = list(itertools.accumulate((last for _, last in spans), max))
    return [w for w in writes if w.node not in runs or not _is_within(w.stamp, starts[w.node], reach[w.node])]


def _is_within(stamp: Timestamp, starts: list[Timestamp], reach: list[Timestamp]) -> bool:
    at = bisect.bisect_right(starts, stamp)
    return at > 0 and reach[at - 1] >= stamp


def _top_layer(writes: Sequence[Write]) -> list[Write]:
    """Those above which no write of another run stands."""
    most: dict[str, tuple[Timestamp, Any]] = {}  # what was seen of a node, and by which run
    next_most: dict[str, Timestamp] = {}  # by any other run
    for w in writes:
        run = w.node, w.first
        for node, stamp in w.seen.items():
            held = most.get(node)
            if held is None or stamp > held[0]:
                if held is not None and held[1] != run:
                    next_most[node] = held[0]
                most[node] = stamp, run
            elif held[1] != run and (node not in next_most or stamp > next_most[node]):
                next_most[node] = stamp
    found = []
    for w in writes:
        by = most.get(w.node)
        above = None if by is None else by[0] if by[1] != (w.node, w.first) else next_most.get(w.node)
        if above is None or above < w.first:
            found.append(w)
    return found


# ---------------------------------------------------------------------------------------------------- counters


class Tally(NamedTuple):
    """What one node counted: exact numbers, and what they were written as (``i`` int, ``d`` Decimal, ``f`` float)."""

    stamp: Timestamp
    plus: int | Decimal
    minus: int | Decimal
    written: str
    reused: int = 0
    """1 where the stamp was seen with another count (a node's name was used twice), 2 when that was settled."""


_EXACT = decimal.Context(prec=2000, traps=[decimal.Inexact, decimal.InvalidOperation], Emax=10**6, Emin=-(10**6))
_DIGITS = 400, 1100  # before and behind the point: any float's, and what sums of them take


def is_count(number: Any) -> bool:
    """Whether a number is none below zero, and of no more digits than sums of such numbers can have exactly."""
    if type(number) is int:
        return number >= 0 and number.bit_length() < 1300
    return (
        isinstance(number, Decimal)
        and number.is_finite()
        and number >= 0
        and number.adjusted() < _DIGITS[0]
        and -int(number.as_tuple().exponent) < _DIGITS[1]
    )


class PNCounter:
    """Per node, what it added, what it took away, and the stamp of its last change (Shapiro et al. 2011).

    Sums are exact: floats are kept as the decimals that they stand for, and rounded once, when they are shown.
    """

    __slots__ = ("tallies",)

    kind: ClassVar[str] = "counter"

    def __init__(self, tallies: Mapping[str, Tally] | None = None) -> None:
        self.tallies: dict[str, Tally] = dict(tallies or {})

    def value(self, past: Callable[[Timestamp], bool] | None = None) -> Any:
        """The sum of all changes (of nodes whose last one is in a past), ``UNSET`` where there were none."""
        tallies = [tally for tally in self.tallies.values() if past is None or past(tally.stamp)]
        if not tallies:
            return UNSET
        written = {t.written for t in tallies}
        if written == {"i"} and {type(number) for t in tallies for number in t[1:3]} == {int}:  # as most are
            return sum([t.plus - t.minus for t in tallies])
        with decimal.localcontext(_EXACT):
            total = sum((t.plus for t in tallies), 0) - sum((t.minus for t in tallies), 0)
        if "f" in written:
            return float(total)
        return Decimal(total) if "d" in written else total

    @property
    def reused(self) -> bool:
        """Whether one stamp was seen with two counts: a node's name was used twice."""
        return any(tally.reused == 1 for tally in self.tallies.values())

    def count(self, stamp: Timestamp, base: Any, value: Any, path: Path) -> PNCounter:
        """A change from ``base`` to ``value``. Raises ``InvalidInput`` for what is no finite number."""
        base = 0 if base is UNSET else base
        if not is_number(value) or not is_number(base):
            unset = "cannot be unset" if value is UNSET else f"cannot be {value!r}"
            raise InvalidInput(f"{unset}: it is a counter, give it a number", path)
        had = self.tallies.get(stamp.node, Tally(stamp, 0, 0, "i"))
        try:
            with decimal.localcontext(_EXACT):
                change = _exact(value) - _exact(base)
                plus, minus = had.plus + max(change, 0), had.minus + max(-change, 0)
        except (decimal.DecimalException, OverflowError, ValueError):
            plus = minus = Decimal("NaN")
        if not (is_count(plus) and is_count(minus)):
            raise InvalidInput("this number cannot be counted exactly", path)
        written = max(had.written, _written(value), key="idf".index)
        settled = {node: t._replace(reused=2) if t.reused else t for node, t in self.tallies.items()}
        return PNCounter({**settled, stamp.node: Tally(stamp, plus, minus, written)})

    def join(self, other: PNCounter) -> PNCounter:
        """Of each node the later count."""
        if self.tallies == other.tallies:
            return self
        joined = dict(self.tallies)
        for node, theirs in other.tallies.items():
            mine = joined.get(node, theirs)
            if mine.stamp == theirs.stamp and mine != theirs:
                most = max(mine.plus, theirs.plus), max(mine.minus, theirs.minus)
                written = max(mine.written, theirs.written, key="idf".index)
                differ = mine[1:3] != theirs[1:3]
                joined[node] = Tally(mine.stamp, *most, written, max(mine.reused, theirs.reused, int(differ)))
            else:
                joined[node] = max(mine, theirs)
        return self if joined == self.tallies else PNCounter(joined)

    def authors(self, since: Any) -> set[str]:
        """The nodes that counted what another counter has not."""
        known = since.tallies if isinstance(since, PNCounter) else {}
        return {node for node, tally in self.tallies.items() if known.get(node) != tally}

    def stamps(self) -> list[Timestamp]:
        """The stamps of what stands."""
        return [tally.stamp for tally in self.tallies.values()]


def _exact(number: Any) -> int | Decimal:
    return Decimal(number) if isinstance(number, float) else number


def _written(number: Any) -> str:
    return "f" if isinstance(number, float) else "d" if isinstance(number, Decimal) else "i"


# ---------------------------------------------------------------------------------------------------- sets


class Dot(NamedTuple):
    """One change of a set: its stamp, and a checksum of it, since a node's name can have been used twice."""

    stamp: Timestamp
    check: int


class Touch(NamedTuple):
    """The last change of a set by a node; of several under one stamp, all."""

    stamp: Timestamp
    checks: frozenset[int]
    settled: frozenset[int] = frozenset()
    """Those that somebody knew of who changed the set later."""


class ORSet:
    """A set by the changes that added each element, and the last change of each node (an optimised OR-set, Bieniusa et
    al. 2012): who removes an element removes the additions that he had seen.
    """

    __slots__ = ("elements", "touched")

    kind: ClassVar[str] = "set"

    def __init__(
        self,
        touched: Mapping[str, Touch] | None = None,
        elements: Mapping[bytes, tuple[Any, frozenset[Dot]]] | None = None,
    ) -> None:
        self.touched: dict[str, Touch] = dict(touched or {})
        self.elements = dict(elements or {})

    def value(self, past: Callable[[Timestamp], bool] | None = None) -> Any:
        """The elements (that somebody added in a past); ``UNSET`` where nobody touched it."""
        held = [x for x, dots in self.elements.values() if past is None or any(past(dot.stamp) for dot in dots)]
        found = sorted(held, key=canonical, reverse=True) if len(held) > 1 else held
        return set(found) if self.touched else UNSET  # Python's sets hold one of True and 1: the same one everywhere

    @property
    def reused(self) -> bool:
        """Whether one stamp was seen with two changes: a node's name was used twice."""
        return any(len(touch.checks) > 1 and touch.checks > touch.settled for touch in self.touched.values())

    def covers(self, dot: Dot) -> bool:
        """Whether it knows of a change."""
        last = self.touched.get(dot.stamp.node)
        return last is not None and (last.stamp > dot.stamp or (last.stamp == dot.stamp and dot.check in last.checks))

    def change(self, stamp: Timestamp, base: Any, value: Any, looked_at: ORSet | None, path: Path) -> ORSet:
        """A change from ``base`` to ``value``; of what was removed, the additions go that ``looked_at`` had (``None``:
        all). Raises ``InvalidInput`` for what is no set.
        """
        base = set() if base is UNSET else base
        if not isinstance(value, set) or not isinstance(base, set):
            unset = "cannot be unset" if value is UNSET else f"cannot be {value!r}"
            raise InvalidInput(f"{unset}: it is a set, to which elements are added; give it a set", path)
        was, now = ({pack(x): x for x in side} for side in (base, value))
        added, removed = sorted(now.keys() - was.keys()), sorted(was.keys() - now.keys())
        dot = Dot(stamp, zlib.crc32(pack([added, removed])))
        elements = dict(self.elements)
        for key in removed:
            if key in elements:
                element, dots = elements.pop(key)
                gone = dots if looked_at is None else looked_at.elements.get(key, (None, frozenset[Dot]()))[1]
                if dots - gone:
                    elements[key] = element, dots - gone
        for key in added:
            dots = elements[key][1] if key in elements else frozenset()
            elements[key] = now[key], dots | {dot}
        known = {n: t._replace(settled=t.checks) if len(t.checks) > 1 else t for n, t in self.touched.items()}
        return ORSet({**known, stamp.node: Touch(stamp, frozenset((dot.check,)))}, elements)

    def join(self, other: ORSet) -> ORSet:
        """What both have, and what one has that the other does not know of."""
        if self is other or (self.touched == other.touched and self.elements == other.elements):
            return self
        joined = {}
        for key in self.elements.keys() | other.elements.keys():
            none: tuple[Any, frozenset[Dot]] = (UNSET, frozenset())
            (mine, a), (theirs, b) = self.elements.get(key, none), other.elements.get(key, none)
            dots = (a & b) | {dot for dot in a if not other.covers(dot)} | {dot for dot in b if not self.covers(dot)}
            if dots:
                joined[key] = (theirs if mine is UNSET else mine), dots
        touched = dict(self.touched)
        for node, touch in other.touched.items():
            had = touched.get(node, touch)
            if had.stamp == touch.stamp:
                touched[node] = Touch(had.stamp, had.checks | touch.checks, had.settled | touch.settled)
            else:
                touched[node] = max(had, touch)
        return ORSet(touched, joined)

    def authors(self, since: Any) -> set[str]:
        """The nodes that changed it since; of what is gone, and nobody took away, those that had added it."""
        before = since if isinstance(since, ORSet) else ORSet()
        new = {node for node, touch in self.touched.items() if before.touched.get(node) != touch}
        held, had = self._dots(), before._dots()
        return new | {dot.stamp.node for _, dot in held - had} | {dot.stamp.node for _, dot in had - held if not new}

    def _dots(self) -> set[tuple[bytes, Dot]]:
        return {(key, dot) for key, (_, dots) in self.elements.items() for dot in dots}

    def stamps(self) -> list[Timestamp]:
        """The stamps of what stands, removals too."""
        return [touch.stamp for touch in self.touched.values()]


State: TypeAlias = History | PNCounter | ORSet
