"""Versions as bytes: MessagePack, a format number first; equal versions give equal bytes.

Whatever comes in is checked whole: what is let in can be read, joined and written again. Imports ``clock``, ``errors``,
``history``, ``paths``, ``policy``, ``reading``, ``values``, ``vectors`` and ``wire``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from .clock import Timestamp, to_timestamp
from .errors import InvalidInput, MergeError
from .history import Commit, Dot, History, ORSet, PNCounter, State, Tally, Touch, Write, is_count
from .paths import Path
from .policy import MAX_LAYERS
from .reading import Mark
from .values import MAX_DEPTH, UNSET, check_depth
from .vectors import VersionVector
from .wire import ATOMS, pack, packed, unpack, wired

__all__ = ["Stored", "decode", "encode"]

FORMAT = 1
_TEXTS = frozenset((str,))
_VALUE_DEPTH = MAX_DEPTH + 1  # what ``plain`` lets pass; nothing else that is let in nests
_BASED, _PLACED, _CONTESTED, _RUN = 1, 2, 4, 8


class Stored(NamedTuple):
    """What a version is, whatever model and policy it is read by."""

    id: str
    created: Timestamp
    seen: VersionVector
    fields: Mapping[Path, State]
    marks: tuple[Mark, ...]


def encode(stored: Stored) -> bytes:
    """The bytes of a version."""
    try:
        return packed(_held(stored))
    except (UnicodeEncodeError, OverflowError):  # what MessagePack has not by itself
        return pack(_held(stored, is_odd=True))


def _held(stored: Stored, is_odd: bool = False) -> list[Any]:
    """A version as lists: values as MessagePack has them; where it ``is_odd``, as they are, for ``pack``.

    Fields that one commit wrote by bare writes, and nobody since, are one map: most fields of most records.
    """
    by_id = {id(c): c for c in _commits(stored)}  # most writes share a few
    keys = {place: _key(c) for place, c in by_id.items()}
    commits = {key: by_id[place] for place, key in keys.items()}
    order = {key: i for i, key in enumerate(sorted(commits))}
    places = {place: order[key] for place, key in keys.items()}
    nodes = sorted({stamp.node for stamp in _stamps(stored, commits.values())})
    node_at = {node: i for i, node in enumerate(nodes)}
    value, spelled = (_itself, pack) if is_odd else (wired, packed)

    def at(stamp: Timestamp) -> list[int]:
        return [stamp.millis << 16 | stamp.counter, node_at[stamp.node]]

    def row(stamps: Iterable[Timestamp]) -> list[int]:
        return [part for stamp in stamps for part in at(stamp)]

    def write(w: Write) -> list[Any]:
        place, is_run = places[id(w.commit)], w.first is not w.stamp and w.first != w.stamp
        if not w.based:
            return [place, _RUN, value(w.value), at(w.first)] if is_run else [place, 0, value(w.value)]
        flags = _BASED | _PLACED * (w.after is not None) | _CONTESTED * w.contested | _RUN * is_run
        said = [place, flags, value(w.value), value(w.base)]
        said += [row(w.after)] if w.after is not None else []
        return [*said, at(w.first)] if is_run else said

    def state(s: State) -> list[Any]:
        if isinstance(s, History):
            return [s.kind, s.depth, [write(w) for w in s.writes]]
        if isinstance(s, PNCounter):
            tallies = sorted(s.tallies.values())
            return [s.kind, [[*at(t.stamp), value(t.plus), value(t.minus), *t[3:]] for t in tallies]]
        elements = sorted(s.elements.items(), key=itemgetter(0))
        touched = [
            [*at(touch.stamp), sorted(touch.checks), sorted(touch.settled)]
            for touch in sorted(s.touched.values(), key=itemgetter(0))
        ]
        dots = [[value(x), *[[*at(d.stamp), d.check] for d in sorted(dots)]] for _, (x, dots) in elements]
        return [s.kind, touched, dots]

    bare: dict[tuple[int, int], dict[str, Any]] = {}
    fields = []
    for path, s in stored.fields.items():
        if len(path) == 1 and isinstance(s, History) and (one := s.bare) is not None:
            bare.setdefault((places[id(one[0])], s.depth), {})[str(path[0])] = value(one[1])
        else:
            fields.append((steps := list(path), spelled(steps), s))
    fields.sort(key=itemgetter(1))
    return [
        FORMAT,
        stored.id,
        nodes,
        at(stored.created),
        row(sorted(stored.seen.values())),
        [[*at(c.stamp), row(sorted(c.seen.values())), c.by] for c in map(commits.__getitem__, order)],
        [[steps, *state(s)] for steps, _, s in fields],
        [[list(m.path), m.deleted, places[id(m.commit)]] for m in stored.marks],
        [[*at_depth, dict(sorted(bare[at_depth].items()))] for at_depth in sorted(bare)],
    ]


def _itself(value: Any) -> Any:
    return value


def _key(commit: Commit) -> Any:
    return commit.stamp, tuple(sorted(commit.seen.values())), commit.by or "", commit.by is None


def _commits(stored: Stored) -> Iterable[Commit]:
    """That of each write and mark."""
    for state in stored.fields.values():
        if isinstance(state, History):
            yield from [w.commit for w in state.writes] if state.bare is None else state.bare[:1]
    for mark in stored.marks:
        yield mark.commit


def _stamps(stored: Stored, commits: Iterable[Commit]) -> Iterable[Timestamp]:
    """The stamps that a version holds."""
    yield stored.created
    yield from stored.seen.values()
    for commit in commits:
        yield commit.stamp
        yield from commit.seen.values()
    for state in stored.fields.values():
        if isinstance(state, History):
            for w in state.writes if state.bare is None else ():  # the stamp and the first one are of one node
                yield from w.after or ()
        else:
            yield from state.stamps()
            if isinstance(state, ORSet):
                for _, dots in state.elements.values():
                    yield from (dot.stamp for dot in dots)


def decode(data: bytes) -> Stored:
    """The version that ``encode`` made bytes of. Raises ``InvalidInput`` for anything else, ``TooDeep`` of its kind.

    Linear in the size of the bytes.
    """
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise InvalidInput(f"a version is decoded from bytes, not from a {type(data).__name__}")
    try:
        held = unpack(bytes(data))
    except InvalidInput as error:
        raise InvalidInput(f"these bytes are no version: {error}") from error
    if not isinstance(held, list) or not held or type(held[0]) is not int:
        raise InvalidInput("these bytes are no version")
    if held[0] != FORMAT:
        raise InvalidInput(f"these bytes are in format {held[0]}, which this mergecore does not read: update it")
    try:
        return _Decoder(held).version()
    except MergeError:
        raise
    except Exception as error:
        raise InvalidInput(f"these bytes are no version: {error or type(error).__name__}") from error


class _Decoder:
    """One version on its way in; what is not as ``encode`` writes it raises."""

    def __init__(self, held: list[Any]) -> None:
        _, self.id, nodes, created, seen, table, self.fields, self.marks, self.bare = held
        _check(isinstance(self.id, str) and isinstance(nodes, list), "the head is not as it should be")
        _check(
            all(isinstance(n, str) and n for n in nodes) and nodes == sorted(set(nodes)), "the nodes are out of order"
        )
        self.nodes: list[str] = nodes
        self.stamps: dict[tuple[int, int], Timestamp] = {}
        self.created = self.stamp(created)
        self.seen = self.vector(seen)
        self.commits = [self.commit(c) for c in table]

    def version(self) -> Stored:
        fields: dict[Path, State] = {}
        for place, depth, values in self.bare:
            fields |= self.written_once(self.at(place), depth, values)
        for steps, kind, *said in self.fields:
            fields[_path(steps)] = self.state(kind, said)
        _check(len(fields) == len(self.fields) + sum(len(b[2]) for b in self.bare), "a field is there twice")
        marks = []
        for steps, deleted, place in self.marks:
            _check(type(deleted) is bool, "a deletion is neither true nor false")
            marks.append(Mark(_path(steps), deleted, self.at(place)))
        return Stored(self.id, self.created, self.seen, fields, tuple(marks))

    def written_once(self, commit: Commit, depth: Any, values: Any) -> dict[Path, State]:
        """The fields that one commit wrote, without a base, and nobody since: most fields of most records."""
        _check(type(depth) is int and 0 <= depth <= MAX_LAYERS, "a depth is from 0 to {}", MAX_LAYERS)
        _check(isinstance(values, dict) and _TEXTS.issuperset(map(type, values)), "a field's name is no text")
        if not ATOMS.issuperset(map(type, values.values())):
            for value in values.values():
                check_depth(value, "the version", _VALUE_DEPTH)
        return {(name,): History.of(depth, commit, value) for name, value in values.items()}

    def stamp(self, pair: Sequence[Any]) -> Timestamp:
        packed, node = pair
        _check(type(packed) is type(node) is int and packed >= 0 <= node, "a stamp is no stamp")
        found = self.stamps.get((packed, node))
        if found is None:
            found = to_timestamp(Timestamp(packed >> 16, packed & 0xFFFF, self.nodes[node]))
            self.stamps[packed, node] = found
        return found

    def row(self, parts: list[Any]) -> list[Timestamp]:
        _check(isinstance(parts, list) and len(parts) % 2 == 0, "stamps come in pairs")
        return [self.stamp(parts[i : i + 2]) for i in range(0, len(parts), 2)]

    def vector(self, parts: list[Any]) -> VersionVector:
        stamps = self.row(parts)
        found = VersionVector(stamps)
        _check(len(found) == len(stamps), "a node is twice in one vector")
        return found

    def seen_stamp(self, pair: Sequence[Any]) -> Timestamp:
        stamp = self.stamp(pair)
        _check(self.seen.covers(stamp), "it holds {}, which it says it has not seen", stamp)
        return stamp

    def commit(self, held: Any) -> Commit:
        packed, node, parts, by = held
        _check(by is None or isinstance(by, str), "an author is no text")
        made = Commit(self.seen_stamp((packed, node)), self.vector(parts), by)
        _check(made.seen <= self.seen, "{} has seen more than the version", made.stamp)
        _check(all(s < made.stamp for s in made.seen.values()), "{} has seen what is later than itself", made.stamp)
        return made

    def at(self, place: Any) -> Commit:
        _check(type(place) is int and place >= 0, "a commit is named by its place")
        commit: Commit = self.commits[place]
        return commit

    def state(self, kind: Any, said: list[Any]) -> State:
        if kind == History.kind:
            depth, writes = said
            _check(type(depth) is int and 0 <= depth <= MAX_LAYERS, "a depth is from 0 to {}", MAX_LAYERS)
            return History(depth, [self.write(w) for w in writes])
        if kind == PNCounter.kind:
            (held,) = said
            tallies = {(tally := self.tally(t)).stamp.node: tally for t in held}
            _check(len(tallies) == len(held), "a node counts twice")
            return PNCounter(tallies)
        if kind == ORSet.kind:
            held, elements = said
            made = ORSet({(touch := self.touch(t)).stamp.node: touch for t in held})
            _check(len(made.touched) == len(held), "a node is twice in one set")
            for x, *added in elements:
                check_depth(x, "the version", _VALUE_DEPTH)
                hash(x)
                dots = frozenset([Dot(self.stamp(d[:2]), _check_sum(d[2])) for d in added])
                _check(bool(dots) and all(map(made.covers, dots)), "nobody added that")
                made.elements[pack(x)] = x, dots
            return made
        raise InvalidInput(f"a field is of kind {kind!r}, which this mergecore does not know: update it")

    def tally(self, held: list[Any]) -> Tally:
        packed, node, *said = held
        made = Tally(self.seen_stamp((packed, node)), *said)
        _check(is_count(made.plus) and is_count(made.minus), "a count is no number")
        _check(made.written in ("i", "d", "f"), "a counter says how it was written")
        _check(made.reused in (0, 1, 2), "a counter says whether a stamp was used twice")
        return made

    def touch(self, held: list[Any]) -> Touch:
        packed, node, checks, settled = held
        _check(bool(checks), "a set was touched by nothing")
        sums = [frozenset(map(_check_sum, some)) for some in (checks, settled)]
        return Touch(self.seen_stamp((packed, node)), *sums)

    def write(self, held: list[Any]) -> Write:
        place, flags, value, *more = held
        check_depth(value, "the version", _VALUE_DEPTH)
        _check(type(flags) is int and 0 <= flags < 16, "flags are no flags")
        commit, rest = self.at(place), iter(more)
        base = next(rest) if flags & _BASED else UNSET
        if base is not UNSET:
            check_depth(base, "the version", _VALUE_DEPTH)
        after = tuple(self.row(next(rest))) if flags & _PLACED else None
        first = self.stamp(next(rest)) if flags & _RUN else commit.stamp
        _check(not list(rest), "a write says more than it can")
        _check(first.node == commit.stamp.node and first <= commit.stamp, "a run begins elsewhere")
        _check(flags & _BASED or not flags & (_PLACED | _CONTESTED), "what is bare has no base")
        return Write(commit, value, bool(flags & _BASED), base, after, bool(flags & _CONTESTED), first)


def _check(holds: Any, what: str, *about: Any) -> None:
    if not holds:
        raise InvalidInput(f"these bytes are no version: {what.format(*about)}")


def _check_sum(number: Any) -> int:
    _check(type(number) is int and 0 <= number < 1 << 32, "a checksum is no checksum")
    return int(number)


def _path(steps: Any) -> Path:
    _check(isinstance(steps, list) and _TEXTS.issuperset(map(type, steps)), "a path is made of names")
    return tuple(steps)
