"""Entry points about versions, on arguments of any size, with what a right result is."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from mergecore import (
    Clock,
    Policy,
    Timestamp,
    Version,
    VersionVector,
    add_wins,
    counter,
    join,
    keep_both,
)

from .entries import MANY, SOME, Entry, Inputs, Make, anew, answers, is_answered, record, words

__all__ = ["VERSIONS"]

_OPEN = Policy(default=keep_both)
_CLOCK = Clock("writer")
_COUNTED, _TAGS = Policy(fields={"x": counter}), Policy(fields={"x": add_wins})
_MERGED = Policy(default=counter)
"""Of a record without a model: a strategy that merges the heads of a history, from the bases that it keeps."""


def _versions(
    build: Callable[[int, random.Random], Sequence[Version[Any]]],
    policy: Policy | None = None,
    more: Callable[[int], tuple[Any, ...]] = lambda n: (),
) -> Make:
    """Versions as a store gives them, decoded anew for each call; and what is given beside them."""

    def make(n: int, rng: random.Random) -> Inputs:
        data, beside = [version.encode() for version in build(n, rng)], more(n)
        return lambda: (*(Version.decode(each, None, policy) for each in data), *beside)

    return make


def _one(n: int, rng: random.Random) -> list[Version[Any]]:
    """A record of so many fields, and half of them written again."""
    made = Version.new(_CLOCK, record(n, rng))
    return [made.edit(_CLOCK, {f"f{i}": "new" for i in range(0, n, 2)})]


def _old_and_new(n: int, rng: random.Random) -> list[Version[Any]]:
    made = Version.new(_CLOCK, record(n, rng))
    return [made.edit(_CLOCK, {f"f{i}": "new" for i in range(0, n, 2)}), made]


def _apart(n: int, rng: random.Random) -> list[Version[Any]]:
    """One record on two devices, each of which wrote every field."""
    made = Version.new(_CLOCK, record(n, rng))
    return [made.edit(Clock(name), {f"f{i}": f"new {name}" for i in range(n)}) for name in ("a", "b")]


def _both(n: int, rng: random.Random) -> list[Version[Any]]:
    return [join(*_apart(n, rng))]


def _sides(n: int, rng: random.Random) -> list[Version[Any]]:
    """So many devices that wrote one field of a record at once."""
    made = Version.new(_CLOCK, {"x": "x", "y": "y"})
    return [made.edit(Clock(f"node{i}"), x=word) for i, word in enumerate(words(n, rng))]


def _heads(n: int, rng: random.Random) -> list[Version[Any]]:
    return [_joined(_sides(n, rng))]


def _two_crowds(n: int, rng: random.Random) -> list[Version[Any]]:
    sides = _sides(n, rng)
    return [_joined(sides[: n // 2]), _joined(sides[n // 2 :])]


def _joined(versions: Sequence[Version[Any]]) -> Version[Any]:
    """In pairs, and these in pairs: joining them one by one takes longer to prepare."""
    while len(versions) > 1:
        versions = [join(*versions[i : i + 2]) for i in range(0, len(versions), 2)]
    return versions[0]


def _line(n: int, rng: random.Random) -> list[Version[Any]]:
    """So many writes of one field, one after the other, each by another node."""
    version = Version.new(_CLOCK, {"x": "x", "y": "y"})
    for i, word in enumerate(words(n, rng)):
        version = version.edit(Clock(f"node{i}"), x=word)
    return [version]


def _counts(policy: Policy, n: int, rng: random.Random) -> list[Version[Any]]:
    """So many devices that added one to a number at once."""
    made = Version.new(_CLOCK, {"x": 0}, policy=policy)
    return [_joined([made.edit(Clock(f"node{i}"), x=1) for i in range(n)])]


def _members(n: int, rng: random.Random) -> list[Version[Any]]:
    return [Version.new(_CLOCK, {"x": set(words(n, rng))}, policy=_TAGS)]


def _deleted(n: int, rng: random.Random) -> list[Version[Any]]:
    return [_one(n, rng)[0].delete(_CLOCK)]


def _vectors(n: int, rng: random.Random) -> Inputs:
    stamps = [Timestamp(rng.randrange(10**6), 0, f"node{i}") for i in range(n)]
    later = [Timestamp(stamp.millis + 1, 0, stamp.node) for stamp in stamps]
    return lambda: (VersionVector(stamps), VersionVector(later))


def _stamps(n: int, rng: random.Random) -> Inputs:
    vectors = _vectors(n, rng)
    return lambda: (dict(vectors()[0]),)


def _new(n: int, rng: random.Random) -> Inputs:
    sides = anew([record(n, rng)])
    return lambda: (_CLOCK, *sides())


def _encoded(build: Callable[[int, random.Random], Sequence[Version[Any]]]) -> Make:
    def make(n: int, rng: random.Random) -> Inputs:
        data = build(n, rng)[0].encode()
        return lambda: (bytes(bytearray(data)),)

    return make


# ------------------------------------------------------------------------------------------ entry points

VERSIONS = (
    Entry("Version.new", "fields", Version.new, _new, lambda v, n: len(v.record) == n),
    Entry("Version.decode", "fields", Version.decode, _encoded(_one), lambda v, n: len(v.record) == n),
    Entry("Version.decode", "heads", Version.decode, _encoded(_heads), lambda v, n: len(v.seen) == n + 1, SOME),
    Entry("Version.decode", "members of a set",
          Version.decode, _encoded(_members), lambda v, n: len(v.seen) == 1, MANY),
    Entry("Version.encode", "fields", Version.encode, _versions(_one), lambda data, n: len(data) > n),
    Entry("Version.encode", "heads", Version.encode, _versions(_heads), lambda data, n: len(data) > n, SOME),
    Entry("Version.record", "fields", lambda v: v.record, _versions(_one), lambda record, n: len(record) == n),
    Entry("Version.record", "heads", lambda v: v.record, _versions(_heads), lambda record, n: len(record) == 2, SOME),
    Entry("Version.record", "heads that are merged",
          lambda v: v.record, _versions(partial(_counts, _MERGED), _MERGED), lambda r, n: r["x"] == n, SOME),
    Entry("Version.record", "nodes that counted",
          lambda v: v.record, _versions(partial(_counts, _COUNTED), _COUNTED), lambda r, n: r["x"] == n, SOME),
    Entry("Version.record", "members of a set",
          lambda v: v.record, _versions(_members, _TAGS), lambda r, n: len(r["x"]) == n, MANY),
    Entry("Version.conflicts", "open conflicts",
          lambda v: v.conflicts, _versions(_both, _OPEN), lambda c, n: len(c) == n),
    Entry("Version.conflicts", "heads",
          lambda v: v.conflicts, _versions(_heads, _OPEN), lambda c, n: len(c[0].candidates) == n, SOME),
    Entry("Version.lost", "fields", lambda v: v.lost, _versions(_both), lambda lost, n: len(lost) == n),
    Entry("Version.explain", "fields",
          lambda v: v.explain("f0"), _versions(_both), lambda told, n: len(told.heads) == 2),
    Entry("Version.explain", "heads",
          lambda v: v.explain("x"), _versions(_heads), lambda told, n: len(told.heads) == n, SOME),
    Entry("Version.stamps", "fields", lambda v: v.stamps, _versions(_one), lambda stamps, n: len(stamps) == n),
    Entry("Version.commits", "fields", lambda v: v.commits, _versions(_one), lambda commits, n: len(commits) == 2),
    Entry("Version.commits", "heads",
          lambda v: v.commits, _versions(_heads), lambda commits, n: len(commits) == n + 1, SOME),
    Entry("Version.commits", "nodes that counted",
          lambda v: v.commits, _versions(partial(_counts, _COUNTED), _COUNTED), lambda c, n: len(c) >= n, SOME),
    Entry("Version.updated", "nodes", lambda v: v.updated, _versions(_line), lambda stamp, n: stamp.millis > 0, SOME),
    Entry("Version.authors", "fields", Version.authors, _versions(_old_and_new), lambda authors, n: len(authors) == 1),
    Entry("Version.authors", "heads",
          Version.authors, _versions(_heads), lambda authors, n: len(authors) == n + 1, SOME),
    Entry("Version.mismatched", "fields", Version.mismatched, _versions(_one), lambda found, n: not found),
    Entry("Version.edit", "fields there are",
          lambda v: v.edit(_CLOCK, f0="new"), _versions(_one), lambda v, n: len(v.stamps) == n),
    Entry("Version.edit", "fields edited",
          lambda v, x: v.edit(_CLOCK, x), _versions(_one, None, answers), lambda v, n: is_answered(v.record, n)),
    Entry("Version.edit", "heads",
          lambda v: v.edit(_CLOCK, x="new"), _versions(_heads), lambda v, n: v.record["x"] == "new", SOME),
    Entry("Version.put", "fields",
          lambda v, x: v.put(_CLOCK, x), _versions(_one, None, answers), lambda v, n: is_answered(v.record, n)),
    Entry("Version.put", "fields, on an old base",
          lambda v, old: v.put(_CLOCK, {**old.record, "f0": "put"}, old), _versions(_old_and_new),
          lambda v, n: v.record["f2"] == "new"),
    Entry("Version.delete", "fields", lambda v: v.delete(_CLOCK), _versions(_one), lambda v, n: v.deleted),
    Entry("Version.restore", "fields", lambda v: v.restore(_CLOCK), _versions(_deleted), lambda v, n: not v.deleted),
    Entry("Version.deleted", "fields", lambda v: v.deleted, _versions(_deleted), lambda deleted, n: deleted is True),
    Entry("Version.tombstone", "fields", lambda v: v.tombstone(), _versions(_deleted), lambda v, n: v.deleted),
    Entry("Version.resolve", "answers",
          lambda v, x: v.resolve(_CLOCK, x), _versions(_both, _OPEN, answers), lambda v, n: is_answered(v.record, n)),
    Entry("Version.resolve", "heads",
          lambda v: v.resolve(_CLOCK, {"x": "answer"}), _versions(_heads, _OPEN), lambda v, n: not v.conflicts, SOME),
    Entry("Version.fork", "fields", lambda v: v.fork(_CLOCK, "f0"), _versions(_both), lambda made, n: len(made) == 2),
    Entry("Version.fork", "heads",
          lambda v: v.fork(_CLOCK, "x"), _versions(_heads), lambda made, n: len(made) == n, SOME),
    Entry("Version.is_fork_of", "heads",
          Version.is_fork_of, _versions(_two_crowds), lambda found, n: found is False, SOME),
    Entry("Version.restamp", "fields",
          lambda v, old: v.restamp(Clock("new"), old), _versions(_old_and_new), lambda v, n: len(v.stamps) == n),
    Entry("join", "fields", join, _versions(_apart), lambda v, n: len(v.lost) == n),
    Entry("join", "fields, nothing new", join, _versions(_old_and_new), lambda v, n: len(v.stamps) == n),
    Entry("join", "heads", join, _versions(_two_crowds), lambda v, n: len(v.seen) == n + 1, SOME),
    Entry("join", "versions", join, _versions(_sides), lambda v, n: len(v.seen) == n + 1, SOME),
    Entry("VersionVector", "nodes", VersionVector, _stamps, lambda v, n: len(v) == n),
    Entry("VersionVector |", "nodes", lambda a, b: a | b, _vectors, lambda v, n: len(v) == n),
    Entry("VersionVector.plus", "nodes",
          lambda a, b: a.plus(*b.values()), _vectors, lambda v, n: len(v) == n),
    Entry("VersionVector.without", "nodes",
          lambda a, b: a.without("node0"), _vectors, lambda found, n: len(found) == n - 1),
    Entry("VersionVector &", "nodes", lambda a, b: a & b, _vectors, lambda v, n: len(v) == n),
    Entry("VersionVector <=", "nodes", lambda a, b: a <= b, _vectors, lambda v, n: v is True),
    Entry("Clock.tick", "nodes", lambda a, b: _CLOCK.tick(a, b), _vectors, lambda stamp, n: stamp.millis > 0),
    Entry("Clock.admit", "nodes", _CLOCK.admit, _versions(_line), lambda v, n: len(v.seen) == n + 1, SOME),
)  # fmt: skip
