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
from .wire import pack, unpack

__all__ = ["Stored", "decode", "encode"]

FORMAT = 1
_LEVELS = 6  # around a value
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
    commits: dict[Any, Commit] = {}
    nodes: set[str] = {stored.created.node}
    for stamp in _stamps(stored, commits):
        nodes.add(stamp.node)
    place = {node: i for i, node in enumerate(sorted(nodes))}

    def at(stamp: Timestamp) -> list[int]:
        return [stamp.millis << 16 | stamp.counter, place[stamp.node]]

    def row(stamps: Iterable[Timestamp]) -> list[int]:
        return [part for stamp in stamps for part in at(stamp)]

    places = {key: i for i, key in enumerate(sorted(commits))}
    table = [[*at(c.stamp), row(sorted(c.seen.values())), c.by] for c in (commits[key] for key in places)]

    def write(w: Write) -> list[Any]:
        flags = _BASED * w.based | _PLACED * (w.after is not None)
        flags |= _CONTESTED * w.contested | _RUN * (w.first != w.stamp)
        said = [places[_key(w.commit)], flags, w.value]
        said += [w.base] * w.based
        said += [row(w.after)] if w.after is not None else []
        return [*said, at(w.first)] if w.first != w.stamp else said

    def state(s: State) -> list[Any]:
        if isinstance(s, History):
            return [s.kind, s.depth, [write(w) for w in s.writes]]
        if isinstance(s, PNCounter):
            return [s.kind, [[*at(t.stamp), *t[1:]] for t in sorted(s.tallies.values())]]
        elements = sorted(s.elements.items(), key=lambda item: item[0])
        touched = [
            [*at(touch.stamp), sorted(touch.checks), sorted(touch.settled)]
            for touch in sorted(s.touched.values(), key=itemgetter(0))
        ]
        return [s.kind, touched, [[x, *[[*at(d.stamp), d.check] for d in sorted(dots)]] for _, (x, dots) in elements]]

    fields = sorted(((pack(list(path)), path, s) for path, s in stored.fields.items()), key=lambda item: item[0])
    return pack(
        [
            FORMAT,
            stored.id,
            sorted(nodes),
            at(stored.created),
            row(sorted(stored.seen.values())),
            table,
            [[list(path), *state(s)] for _, path, s in fields],
            [[list(m.path), m.deleted, places[_key(m.commit)]] for m in stored.marks],
        ]
    )


def _key(commit: Commit) -> Any:
    return commit.stamp, tuple(sorted(commit.seen.values())), commit.by or "", commit.by is None


def _stamps(stored: Stored, commits: dict[Any, Commit]) -> Iterable[Timestamp]:
    """All stamps that a version holds; on the way, all commits."""
    yield from stored.seen.values()
    found = [mark.commit for mark in stored.marks]
    for state in stored.fields.values():
        if isinstance(state, History):
            for w in state.writes:
                found.append(w.commit)
                yield w.first
                yield from w.after or ()
        else:
            yield from state.stamps()
            if isinstance(state, ORSet):
                for _, dots in state.elements.values():
                    yield from (dot.stamp for dot in dots)
    for commit in found:
        commits[_key(commit)] = commit
        yield commit.stamp
        yield from commit.seen.values()


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
    check_depth(held, "the version", MAX_DEPTH + _LEVELS)
    try:
        return _Decoder(held).version()
    except MergeError:
        raise
    except Exception as error:
        raise InvalidInput(f"these bytes are no version: {error or type(error).__name__}") from error


class _Decoder:
    """One version on its way in; what is not as ``encode`` writes it raises."""

    def __init__(self, held: list[Any]) -> None:
        _, self.id, nodes, created, seen, table, self.fields, self.marks = held
        _check(isinstance(self.id, str) and isinstance(nodes, list), "the head is not as it should be")
        _check(
            all(isinstance(n, str) and n for n in nodes) and nodes == sorted(set(nodes)), "the nodes are out of order"
        )
        self.nodes: list[str] = nodes
        self.created = self.stamp(created)
        self.seen = self.vector(seen)
        self.commits = [self.commit(c) for c in table]

    def version(self) -> Stored:
        fields: dict[Path, State] = {}
        for steps, *state in self.fields:
            path = _path(steps)
            _check(path not in fields, "a field is there twice")
            fields[path] = self.state(state)
        marks = []
        for steps, deleted, place in self.marks:
            _check(type(deleted) is bool, "a deletion is neither true nor false")
            marks.append(Mark(_path(steps), deleted, self.at(place)))
        return Stored(self.id, self.created, self.seen, fields, tuple(marks))

    def stamp(self, pair: Sequence[Any]) -> Timestamp:
        packed, node = pair
        _check(type(packed) is int and packed >= 0 and type(node) is int and node >= 0, "a stamp is no stamp")
        return to_timestamp(Timestamp(packed >> 16, packed & 0xFFFF, self.nodes[node]))

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
        _check(self.seen.covers(stamp), f"it holds {stamp}, which it says it has not seen")
        return stamp

    def commit(self, held: Any) -> Commit:
        packed, node, parts, by = held
        _check(by is None or isinstance(by, str), "an author is no text")
        made = Commit(self.seen_stamp((packed, node)), self.vector(parts), by)
        _check(made.seen <= self.seen, f"{made.stamp} has seen more than the version")
        _check(all(s < made.stamp for s in made.seen.values()), f"{made.stamp} has seen what is later than itself")
        return made

    def at(self, place: Any) -> Commit:
        _check(type(place) is int and place >= 0, "a commit is named by its place")
        commit: Commit = self.commits[place]
        return commit

    def state(self, held: list[Any]) -> State:
        kind, *said = held
        if kind == History.kind:
            depth, writes = said
            _check(type(depth) is int and 0 <= depth <= MAX_LAYERS, f"a depth is from 0 to {MAX_LAYERS}")
            return History(depth, [self.write(w) for w in writes])
        if kind == PNCounter.kind:
            tallies = [Tally(self.seen_stamp(t[:2]), *t[2:]) for t in said[0]]
            _check(all(is_count(t.plus) and is_count(t.minus) for t in tallies), "a count is no number")
            _check(all(t.written in ("i", "d", "f") for t in tallies), "a counter says how it was written")
            _check(all(t.reused in (0, 1, 2) for t in tallies), "a counter says whether a stamp was used twice")
            _check(len({t.stamp.node for t in tallies}) == len(tallies), "a node counts twice")
            return PNCounter({t.stamp.node: t for t in tallies})
        if kind == ORSet.kind:
            touches = [
                Touch(self.seen_stamp(t[:2]), *(frozenset(map(_check_sum, t[i])) for i in (2, 3))) for t in said[0]
            ]
            _check(all(t.checks for t in touches), "a set was touched by nothing")
            made = ORSet({t.stamp.node: t for t in touches})
            _check(len(made.touched) == len(touches), "a node is twice in one set")
            for x, *dots in said[1]:
                hash(x)
                made.elements[pack(x)] = x, frozenset(Dot(self.stamp(d[:2]), _check_sum(d[2])) for d in dots)
            _check(all(dots and all(map(made.covers, dots)) for _, dots in made.elements.values()), "nobody added that")
            return made
        raise InvalidInput(f"a field is of kind {kind!r}, which this mergecore does not know: update it")

    def write(self, held: list[Any]) -> Write:
        place, flags, value, *more = held
        _check(type(flags) is int and 0 <= flags < 16, "flags are no flags")
        commit, rest = self.at(place), iter(more)
        base = next(rest) if flags & _BASED else UNSET
        after = tuple(self.row(next(rest))) if flags & _PLACED else None
        first = self.stamp(next(rest)) if flags & _RUN else commit.stamp
        _check(not list(rest), "a write says more than it can")
        _check(first.node == commit.stamp.node and first <= commit.stamp, "a run begins elsewhere")
        _check(flags & _BASED or not flags & (_PLACED | _CONTESTED), "what is bare has no base")
        return Write(commit, value, bool(flags & _BASED), base, after, bool(flags & _CONTESTED), first)


def _check(holds: Any, what: str) -> None:
    if not holds:
        raise InvalidInput(f"these bytes are no version: {what}")


def _check_sum(number: Any) -> int:
    _check(type(number) is int and 0 <= number < 1 << 32, "a checksum is no checksum")
    return int(number)


def _path(steps: Any) -> Path:
    _check(isinstance(steps, list) and all(type(step) is str for step in steps), "a path is made of names")
    return tuple(steps)
