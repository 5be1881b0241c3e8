"""What a device wrote while its clock lied, written anew: other stamps, and the same history.

A stamp is part of an edit's identity, so that only its author may rewrite it, and only while nobody has the edit.
Imports ``clock``, ``codec``, ``history``, ``reading`` and ``vectors``.
"""

from __future__ import annotations

import decimal
import itertools
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from .clock import Clock, Timestamp
from .codec import Stored
from .history import _EXACT, Commit, History, ORSet, PNCounter, State, Tally, Touch, Write
from .reading import Mark
from .vectors import VersionVector

__all__ = ["restamped"]

Renamed = Mapping[Timestamp, Timestamp]


def restamped(stored: Stored, base: Stored | None, clock: Clock) -> Stored:
    """What is stored, with a new stamp of ``clock`` for each that ``base`` does not cover; itself, if it covers all.

    ``base`` is contained in ``stored``. Where a run is cut in two, it has the first part: join it to the result.
    Linear in what is stored, times the nodes in a vector; where several nodes are renamed, times the stamps that are.
    """
    known = VersionVector() if base is None else base.seen
    commits = {mark.commit for mark in stored.marks}
    found = set() if base is not None and base.created == stored.created else {stored.created}
    found.update(_stamps(stored, commits))
    vectors = {stored.seen, *(commit.seen for commit in commits)}
    found.update(stamp for vector in vectors for stamp in vector.values())
    old = sorted(stamp for stamp in found if not known.covers(stamp))
    if not old:
        return stored
    sums = [state for state in stored.fields.values() if not isinstance(state, History)]
    if any(len({stamp.node for stamp in state.stamps()} & {stamp.node for stamp in old}) > 1 for state in sums):
        vectors |= {commit.seen.plus(commit.stamp) for commit in commits}
    above = known if base is None else known.plus(base.created)
    anew = _Anew(_new_stamps(old, vectors, above, clock), known)
    none: Mapping[object, State] = {}
    before = none if base is None else base.fields
    fields = {path: anew.state(state, before.get(path)) for path, state in stored.fields.items()}
    marks = tuple(Mark(m.path, m.deleted, anew.commit(m.commit)) for m in stored.marks)
    created = anew.stamp(stored.created)
    return Stored(stored.id, created, anew.vector(stored.seen), fields, marks)


def _stamps(stored: Stored, commits: set[Commit]) -> Iterable[Timestamp]:
    """All stamps that are spoken of but in vectors, also of what is no longer held; on the way, all commits."""
    for state in stored.fields.values():
        yield from state.stamps()
        if isinstance(state, History):
            for write in state.writes:
                commits.add(write.commit)
                yield write.first
                yield from write.after or ()
        elif isinstance(state, ORSet):
            yield from (dot.stamp for _, dots in state.elements.values() for dot in dots)
    yield from [commit.stamp for commit in commits]


def _new_stamps(
    old: Sequence[Timestamp], vectors: Iterable[VersionVector], above: VersionVector, clock: Clock
) -> Renamed:
    """A new stamp for each old one, in their order, above all of a vector.

    They are all of one node if every vector covers the old ones up to one of them, and none after it: so it is of one
    line of versions, whatever clocks it was written by. Else a vector of one node could not say what was seen (nor a
    counter or a set, which keep the last change of each node, what somebody had not seen who saw the last): then each
    old node becomes a node of its own, all but the first by a clock of which nothing but its stamps is left.
    """
    nodes = list(dict.fromkeys(stamp.node for stamp in old))
    clocks = dict.fromkeys(nodes, clock)
    if len(nodes) > 1 and any(v.covers(s) > v.covers(r) for v in vectors for r, s in itertools.pairwise(old)):
        clocks |= {node: Clock(clock.name, now=lambda: 0) for node in nodes[1:]}
    made: dict[Timestamp, Timestamp] = {}
    for stamp in old:
        made[stamp] = clocks[stamp.node].tick(above)
        above = VersionVector([made[stamp]])
    return made


class _Anew:
    """The parts of a version, renamed."""

    def __init__(self, to: Renamed, known: VersionVector) -> None:
        self.to, self.known = to, known
        self.commits: dict[Commit, Commit] = {}

    def stamp(self, stamp: Timestamp) -> Timestamp:
        return self.to.get(stamp, stamp)

    def vector(self, vector: VersionVector) -> VersionVector:
        """Who saw a stamp that is renamed has seen all of its node that is not."""
        kept = [self.known[s.node] for s in vector.values() if s in self.to and s.node in self.known]
        return VersionVector([*kept, *map(self.stamp, vector.values())])

    def commit(self, commit: Commit) -> Commit:
        if commit not in self.commits:
            stamp, seen = self.stamp(commit.stamp), self.vector(commit.seen)
            self.commits[commit] = msgspec.structs.replace(commit, stamp=stamp, seen=seen)
        return self.commits[commit]

    def state(self, state: State, before: State | None) -> State:
        if isinstance(state, History):
            return History(state.depth, map(self.write, state.writes))
        if isinstance(state, PNCounter):
            return self.counter(state, before.tallies if isinstance(before, PNCounter) else {})
        return self.set(state, before.touched if isinstance(before, ORSet) else {})

    def write(self, w: Write) -> Write:
        """A run that others have the beginning of goes on as a run of its own."""
        after = None if w.after is None else tuple(sorted(map(self.stamp, w.after)))
        first = self.to.get(w.first, self.stamp(w.stamp) if w.stamp in self.to else w.first)
        return Write(self.commit(w.commit), w.value, w.based, w.base, after, w.contested, first)

    def counter(self, state: PNCounter, before: Mapping[str, Tally]) -> PNCounter:
        """What a node counted since others have heard of it is what the new one counted."""
        made: dict[str, Tally] = {}
        for tally in sorted(state.tallies.values()):
            new, had = self.stamp(tally.stamp), Tally(tally.stamp, 0, 0, "i")
            if new is not tally.stamp and tally.stamp.node in before:
                had = before[tally.stamp.node]
                made[tally.stamp.node] = had._replace(reused=2 if had.reused else 0)
            sofar = made.get(new.node, Tally(new, 0, 0, "i"))
            with decimal.localcontext(_EXACT):
                plus, minus = sofar.plus + tally.plus - had.plus, sofar.minus + tally.minus - had.minus
            written = max(sofar.written, tally.written, key="idf".index)
            made[new.node] = Tally(new, plus, minus, written, max(sofar.reused, tally.reused))
        return PNCounter(made)

    def set(self, state: ORSet, before: Mapping[str, Touch]) -> ORSet:
        touched: dict[str, Touch] = {}
        for touch in sorted(state.touched.values(), key=lambda touch: touch.stamp):
            new = self.stamp(touch.stamp)
            if new is not touch.stamp and touch.stamp.node in before:
                had = before[touch.stamp.node]
                touched[touch.stamp.node] = had._replace(settled=had.checks if len(had.checks) > 1 else had.settled)
            touched[new.node] = touch._replace(stamp=new)
        elements = {
            key: (x, frozenset(dot._replace(stamp=self.stamp(dot.stamp)) for dot in dots))
            for key, (x, dots) in state.elements.items()
        }
        return ORSet(touched, elements)
