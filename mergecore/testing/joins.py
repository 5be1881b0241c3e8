"""The laws of join (section 5 of the design), on drawn histories of several nodes, and what they are drawn from.

A drawn history is a tape of bytes, as in ``cases``: nodes edit, put stale records back by version and by value, hear of
each other, resolve, delete and restore; now and then a node's name is used twice. ``JOIN_LAWS`` are the laws by name.
Imports the package, ``cases``, and hypothesis.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from types import NoneType
from typing import Annotated, Any, NamedTuple, get_origin

import msgspec
from hypothesis import strategies as st

from .. import history
from ..clock import Clock
from ..errors import AnswerError, RecordDeleted
from ..history import History, ORSet
from ..layout import kind_of
from ..paths import Path, format_path
from ..policy import Policy, rule_for
from ..reading import live_deletes
from ..records import values_of
from ..strategies import Pass, Strategy, lww, strategy
from ..threeway import merge
from ..values import UNSET, as_map, canonical, equal
from ..vectors import VersionVector
from ..version import Version, join
from ..wire import plain
from .cases import _KINDS, SIZES, Tape, Task, _composition, _Maker, _policy
from .laws import _at

__all__ = [
    "JOIN_LAWS",
    "Drawn",
    "MeshRun",
    "check_joins",
    "check_mesh",
    "drawn_of",
    "histories",
    "mesh_of",
    "mesh_runs",
]


def arbitrary(seed: int) -> Strategy:
    """A pure function of base, ours and theirs such as nobody would write: a side, another value, or ``Pass``."""

    @strategy(f"arbitrary {seed}", needs_base=bool(seed % 2))
    def decided(base: Any, ours: Any, theirs: Any) -> Any:
        base = base if seed % 2 else UNSET  # who says that he needs none does not look at it
        said = repr([seed, *(canonical(side) for side in (base, ours, theirs))])
        n = int.from_bytes(hashlib.sha256(said.encode()).digest()[:2], "big")
        atoms = all(isinstance(side, (str, int, float, NoneType)) for side in (base, ours, theirs))
        return (ours, theirs, base if atoms else ours, n if atoms else theirs, Pass("so it was drawn"))[n % 5]

    return decided


def model_of(tape: Tape) -> Any:
    """A random model: some of the fields of ``Task``, some with another strategy in their annotations, with its
    invariant or without.
    """
    fields: list[Any] = []
    for field in msgspec.structs.fields(Task):
        if not tape.below(4):
            continue
        kind, own = field.type, tape.below(3) == 1
        if own:
            plain_kind = getattr(kind, "__origin__", kind) if get_origin(kind) is Annotated else kind
            kind = Annotated[plain_kind, _composition(tape)]
        default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
        fields.append((field.encode_name, kind, default))
    checked = {"low", "high"} <= {name for name, *_ in fields} and tape.below(2)
    inside = {"__post_init__": Task.__post_init__} if checked else {}
    return msgspec.defstruct("Drawn", fields, namespace=inside)


class Drawn(NamedTuple):
    """A history: every version that there was on the way."""

    versions: tuple[Version[Any], ...]
    ends: tuple[Version[Any], ...]
    """What each node has at the end."""
    model: Any
    policy: Policy
    counts: Counter[str]


_NODES: tuple[str, ...] = ("server", "phone", "laptop")
_HISTORY = 360
"""Bytes of the tape of a history."""


class _Author:
    """Plays a tape."""

    def __init__(self, tape: Tape, policy: Policy) -> None:
        self.tape, self.policy = tape, policy
        self.typed = not tape.below(3)
        self.model: Any = (model_of(tape) if tape.below(3) else Task) if self.typed else None
        if self.model not in (None, Task):
            self.policy = _fitting(policy, self.model)
        self.maker = _Maker(tape, self.typed)
        self.wall = 1_000
        self.counts: Counter[str] = Counter()
        self.hot = [name for name in _KINDS if not tape.below(5)]

    def clock(self, node: str) -> Clock:
        return Clock.locked(node, now=lambda: self.wall)

    def record(self, fields: dict[str, Any]) -> Any:
        fitting: dict[str, Any] = {}
        for key, value in fields.items():  # what is a counter or a set holds numbers, or sets
            kind = self.kind(key)
            fits = kind is History or (isinstance(value, set if kind is ORSet else int) and not isinstance(value, bool))
            fitting[key] = value if fits else {self.tape.one("ab")} if kind is ORSet else self.tape.below(5)
        if not self.typed:
            return fitting
        names = {f.encode_name: f.name for f in msgspec.structs.fields(self.model)}
        fitting = {names[key]: value for key, value in fitting.items() if key in names}
        try:
            return self.model(**fitting)
        except ValueError:  # no author writes what his own model refuses
            return self.model(**{**fitting, "low": 0, "high": 9})

    def kind(self, key: str) -> Any:
        """That of a field's state."""
        rule = rule_for(Any if self.model is None else self.model, self.policy).of(self.model or dict)
        return History if rule.whole else kind_of(rule.child(key))

    def fields(self, version: Version[Any]) -> dict[str, Any]:
        record = version.record
        return dict(values_of(record)) if self.typed else dict(record)

    def edited(self, version: Version[Any], side: str) -> Any:
        held = self.fields(version)
        made = self.record(self.maker.edit(held, side, self.hot, {}))
        if isinstance(made, dict):  # counters and sets cannot be taken away
            made |= {k: x for k, x in held.items() if k not in made and self.kind(k) is not History}
        return made

    def play(self) -> Drawn:
        start: Version[Any] = Version.new(
            self.clock("server"), self.record(self.maker.base()), id="drawn", policy=self.policy
        )
        made = [start]
        now: dict[str, Version[Any]] = dict.fromkeys(_NODES, start)
        for _ in range(4 + self.tape.below(8)):
            node = self.tape.one(_NODES)
            self.wall += self.tape.below(3)
            after = self.step(node, now, made)
            if after is not now[node]:
                now[node] = after
                made.append(after)
        self.counts["drawn models"] += self.model not in (None, Task)
        return Drawn(tuple(made), tuple(now.values()), self.model, self.policy, self.counts)

    def step(self, node: str, now: dict[str, Version[Any]], made: list[Version[Any]]) -> Version[Any]:
        v, tape = now[node], self.tape
        op = tape.one(("edit", "edit", "edit", "put", "value", "hear", "hear", "hear", "resolve", "delete", "twice"))
        clock = self.clock(node)
        self.counts[op] += 1
        try:
            if op == "hear":
                return join(v, now[tape.one(_NODES)])
            if op == "put":
                screens = [s for s in made if s.seen <= v.seen]
                screen = tape.one(screens[-4:])
                return v.put(clock, self.edited(screen, node), screen)
            if op == "value":
                screen = tape.one(made[-4:])
                return v.put(clock, self.edited(screen, node), screen.record)
            if op == "resolve" and (v.conflicts or v.lost):
                return _settled(v, clock, tape)
            if op == "delete" and tape.below(2):
                return self.restored(v, clock) if v.deleted else v.delete(clock)
            if op == "twice":  # another device of this name
                made.append(v.put(self.clock(node), self.edited(v, node)))
            return v.put(clock, self.edited(v, node))
        except RecordDeleted:
            return self.restored(v, clock)

    def restored(self, v: Version[Any], clock: Clock) -> Version[Any]:
        return v.restore(clock) if live_deletes(v._marks) else v  # else a column says that it is deleted


def _fitting(policy: Policy, model: Any) -> Policy:
    """A policy without what is about fields that a model does not have."""
    names = {f.encode_name for f in msgspec.structs.fields(model)}
    return msgspec.structs.replace(
        policy,
        fields={path: s for path, s in policy.fields.items() if path[0] in names},
        groups={},
        deleted=policy.deleted if policy.deleted in names else None,
    )


def _settled(v: Version[Any], clock: Clock, tape: Tape) -> Version[Any]:
    """One field's questions answered, or what was lost there brought back."""
    at = v._reading.field_at(tape.one([*(c.path for c in v.conflicts), *(x.path for x in v.lost)]))
    asked = [c for c in v.conflicts if (c.path[: len(at)] == at if at else c.path == ())]
    asked = [c for c in asked if c.path == at] or asked  # an answer is one to all that is open below
    answers: dict[Path, Any] = {c.path: tape.one(c.candidates) for c in asked}
    if at not in v._reading.rules and at:
        return v  # lost in a record that is absent
    if not answers:  # something was lost: what is shown stays
        answers[at] = _at(v.record, at, v._binding.rule)
    try:
        return v.resolve(clock, answers)
    except AnswerError as error:
        invariant = any(c.reason == "invariant" for c in asked)  # a counter below its bounds offers the broken sum
        assert invariant or "does not take" in str(error), error  # noqa: PT017
        return v


def drawn_of(document: bytes, policy: bytes) -> Drawn:
    """The history that two tapes stand for, without hypothesis: ``SIZES`` says of how many bytes the second is."""
    tape = Tape(policy)
    made = _policy(tape)
    if not tape.below(4):
        made = msgspec.structs.replace(
            made, default=arbitrary(tape.below(256)) | lww if tape.below(2) else arbitrary(1)
        )
    if not tape.below(6):
        made = msgspec.structs.replace(made, depth=tape.below(4))
    return _Author(Tape(document), made).play()


def histories() -> st.SearchStrategy[Drawn]:
    """Random histories under random policies."""
    sizes = (_HISTORY, SIZES[1] + 4)
    return st.builds(drawn_of, *(st.binary(min_size=n, max_size=n) for n in sizes))


# ------------------------------------------------------------------------------------------------ the laws


def _order_does_not_matter(drawn: Drawn) -> None:
    """Commutative and associative, to the byte."""
    for a, b in _pairs(drawn):
        assert join(a, b).encode() == join(b, a).encode(), f"join(a, b) is not join(b, a) of {a!r}\nand {b!r}"
    a, b, c = drawn.ends
    ways = [join(join(a, b), c), join(a, join(b, c)), join(b, join(c, a)), join(c, b, a)]
    assert len({way.encode() for way in ways}) == 1, f"the brackets matter to {drawn.ends}"
    record, conflicts, lost = _shown(ways[0])
    for way in ways[1:]:
        assert _shown(way) == (record, conflicts, lost), "equal bytes show something else"


def _shown(v: Version[Any]) -> tuple[str, str, str]:
    return repr(canonical(plain(v.record))), repr(canonical(v.conflicts)), repr(canonical(v.lost))


def _pairs(drawn: Drawn) -> Iterator[tuple[Version[Any], Version[Any]]]:
    some = [*drawn.ends, *drawn.versions[-4:], drawn.versions[0]]
    for i, a in enumerate(some):
        for b in some[i + 1 :]:
            yield a, b


def _again_changes_nothing(drawn: Drawn) -> None:
    """Idempotent, and nothing that is known is forgotten."""
    for a, b in _pairs(drawn):
        both = join(a, b)
        assert a.seen <= both.seen >= b.seen, "less was seen than by one of them"
        for again in (
            join(both, a),
            join(b, both),
            join(both, Version.decode(both.encode(), drawn.model, drawn.policy)),
        ):
            assert again.encode() == both.encode(), f"what is in it already changed it: {both.encode()!r}"


def _bytes_say_everything(drawn: Drawn) -> None:
    """decode(encode(v)) is v, with its record, conflicts and lost; without the model, too, it is the same bytes."""
    for v in drawn.ends:
        again = Version.decode(v.encode(), drawn.model, drawn.policy)
        assert again == v and again.encode() == v.encode()
        assert _shown(again) == _shown(v), "decoded, it shows something else"
        assert Version.decode(v.encode()).encode() == v.encode(), "a hub without the model makes other bytes"
    hub = join(*(Version.decode(v.encode()) for v in drawn.ends))
    assert hub.encode() == join(*drawn.ends).encode(), "a hub without the model joins otherwise"


def _pruning_commutes(drawn: Drawn) -> None:
    """To prune parts of a history, and then their union, leaves what pruning the whole leaves."""
    for path, (depth, writes) in _all_writes(drawn).items():
        n = len(writes)
        for cut in {1, n // 2, n - 1} - {0}:
            for a, b in ((writes[:cut], writes[cut:]), (writes[::2], writes[1::2]), (writes[cut:], writes)):
                parts = _union(history.pruned(a, depth), history.pruned(b, depth))
                whole = {(w.stamp, w.key) for w in history.pruned(_union(a, b), depth)}
                left = {(w.stamp, w.key) for w in history.pruned(parts, depth)}
                assert left == whole, f"{format_path(path)}: other writes are left"


def _all_writes(drawn: Drawn) -> dict[Path, tuple[int, list[Any]]]:
    """Everything that was ever written to each field, in the order of its making."""
    found: dict[Path, tuple[int, dict[Any, Any]]] = {}
    for v in drawn.versions:
        for path, state in v._fields.items():
            if isinstance(state, History):
                _, writes = found.setdefault(path, (state.depth, {}))
                for w in state.writes:
                    writes.setdefault((w.stamp, w.key), w)
    return {path: (depth, list(writes.values())) for path, (depth, writes) in found.items()}


def _union(a: Sequence[Any], b: Sequence[Any]) -> list[Any]:
    return list({(w.stamp, w.key): w for w in (*a, *b)}.values())


def _a_resolution_survives(drawn: Drawn) -> None:
    """Who comes late opens nothing again that was answered, unless he wrote what the answer had not seen."""
    v = join(*drawn.ends)
    for about in v.conflicts[:2]:
        if about.path == ():
            continue
        at = v._reading.field_at(about.path)
        answers = {c.path: c.candidates[-1] for c in v.conflicts if c.path[: len(at)] == at}
        try:
            settled = v.resolve(Clock.locked("judge", now=lambda: 0), answers)
        except AnswerError:
            continue
        for late in drawn.versions:
            again = join(late, settled)
            if join(late, v) == v:  # not so where a name was used twice, for what the other one wrote
                assert again == settled, "a version that it has seen changes it"
                mine = [c for c in again.conflicts if c.path[: len(at)] == at]
                assert not mine, f"open again: {mine}"


def _records_are_valid(drawn: Drawn) -> None:
    """The record is an instance of the model, and so is what its builtins are read as."""
    for v in (*drawn.ends, join(*drawn.ends)):
        record = v.record
        for conflict in v.conflicts:
            assert conflict.candidates, f"nothing to choose from at {conflict.path}"
        if drawn.model is not None:
            assert isinstance(record, drawn.model)
            builtins = msgspec.to_builtins(record, builtin_types=(bytes, date, Decimal))
            msgspec.convert(builtins, drawn.model)


EXEMPTIONS = (
    "a side went back to the base",
    "an optional record against none",
    "an invariant, or bounds of a counter",
    "a column that means deletion",
    "a counter or a set without a base",
    "the base was in conflict",
    "the base is deeper than what is kept",
)
"""Where the two APIs need not agree, though a true base exists."""


def _both_interfaces_agree(drawn: Drawn) -> None:
    """What two nodes wrote on one version: ``join`` and ``merge`` show the same record, and the same is open."""
    tape = Tape(hashlib.shake_128(drawn.ends[0].encode()).digest(200))
    author = _Author(tape, drawn.policy)
    author.model, author.policy, author.typed = drawn.model, drawn.policy, drawn.model is not None
    author.maker.typed = author.typed
    base = tape.one(drawn.versions)
    if base.deleted or base.conflicts or base.lost:
        drawn.counts["exempt: the base was in conflict"] += 1
        return
    author.wall = 5_000
    sides = []
    for node in ("phone", "server"):
        author.wall += 1  # the fold asks the earlier one first, and so does merge() here: a user's function may care
        side = base.put(author.clock(node), author.edited(base, node))
        if not tape.below(3):
            again = author.edited(side, node)
            side = side.put(author.clock(node), again if tape.below(2) else _back(base, again), shared=VersionVector())
        sides.append(side)
    both = join(*reversed(sides))
    if (why := _exempt(drawn, base, sides, both)) is not None:
        drawn.counts[f"exempt: {why}"] += 1
        return
    records = [plain(v.record) if drawn.model is None else v.record for v in (base, *sides)]
    mine, other = ({"": v.updated, **v.stamps} for v in sides)
    old, first, second = records
    merged: Any = merge(
        old, first, second, model=drawn.model, policy=drawn.policy, names=("phone", "server"), at=(mine, other)
    )
    assert equal(_by_name(both.record), _by_name(merged.value)), (
        f"join shows {both.record!r}\nmerge says {merged.value!r}\nof {records}"
    )
    here, there = (sorted(repr(c.path) for c in v.conflicts) for v in (both, merged))
    assert here == there, f"join leaves open {here}, and merge {there}, of {records}"
    drawn.counts["both interfaces agree"] += 1


def _back(base: Version[Any], record: Any) -> Any:
    """A record in which every other field is again as it was."""
    old = _by_name(base.record)
    if isinstance(record, dict):
        return {**record, **{k: old[k] for k in list(old)[::2]}}
    made = {f.name: old[f.encode_name] for f in msgspec.structs.fields(record)[::2] if f.encode_name in old}
    try:
        return msgspec.structs.replace(record, **made)
    except ValueError:
        return record


def _by_name(record: Any) -> Any:
    return as_map(record) or {}


def _exempt(drawn: Drawn, base: Version[Any], sides: Sequence[Version[Any]], both: Version[Any]) -> str | None:
    """Which of ``EXEMPTIONS`` holds of two edits."""
    old, mine, other = (_by_name(v.record) for v in (base, *sides))
    twice = [k for k in {**old, **mine, **other} if _changed(k, old, mine) and _changed(k, old, other)]
    if any("invariant" in c.reason for c in both.conflicts):
        return "an invariant, or bounds of a counter"
    if any("old base" in c.reason for c in both.conflicts):
        return "the base is deeper than what is kept"
    column = drawn.policy.deleted
    if column is not None and (_changed(column, old, mine) or _changed(column, old, other)):
        return "a column that means deletion"
    for side in sides:
        for path, state in side._fields.items():
            was = base._fields.get(path)
            back = state is not was and equal(side._reading.stored(path), base._reading.stored(path))
            if isinstance(state, ORSet) and isinstance(was, ORSet):  # or an element was taken away and added again
                back = back or any(state.elements.get(k, x) != x for k, x in was.elements.items())
            if back:
                return "a side went back to the base"
    if drawn.model is not None and "address" in twice and None in (old["address"], mine["address"], other["address"]):
        return "an optional record against none"
    rule = base._binding.rule
    for key in twice:
        if kind_of(rule.child(key)) is not History and key not in old:
            return "a counter or a set without a base"
    return None


def _changed(key: Any, old: Any, new: Any) -> bool:
    return not equal(old.get(key, UNSET), new.get(key, UNSET))


JOIN_LAWS: dict[str, Callable[[Drawn], None]] = {
    "order does not matter": _order_does_not_matter,
    "again changes nothing": _again_changes_nothing,
    "bytes say everything": _bytes_say_everything,
    "pruning commutes": _pruning_commutes,
    "a resolution survives": _a_resolution_survives,
    "records are valid": _records_are_valid,
    "both interfaces agree": _both_interfaces_agree,
}


def check_joins(drawn: Drawn) -> None:
    """Raises ``AssertionError``, which names the law, where one does not hold, or cannot even be asked since a join
    raises.
    """
    for name, law in JOIN_LAWS.items():
        try:
            law(drawn)
        except Exception as error:
            raise AssertionError(
                f"the law {name!r} does not hold: {type(error).__name__}: {error}\n{drawn.policy}"
            ) from error


# ------------------------------------------------------------------------------------------------ exactness


@strategy("sum and set")
def sum_and_set(base: Any, ours: Any, theirs: Any) -> Any:
    """A user's function that means nothing without the whole common past: what was lost, doubled, or is back shows."""
    start, ids = (0, []) if base is UNSET else (base["sum"], base["ids"])
    was, mine, other = set(ids), set(ours["ids"]), set(theirs["ids"])
    return {"sum": ours["sum"] + theirs["sum"] - start, "ids": sorted((mine & other) | (mine - was) | (other - was))}


class MeshRun(NamedTuple):
    """A run of replicas that edit one field, and meet in any topology."""

    end: dict[str, Any]
    """What the field holds after everyone has heard everything."""
    wanted: dict[str, Any]
    """What it ought to."""
    reported: bool
    """Whether somebody who wrote met an ``old base``, or the end is one."""
    told: str


def mesh_of(data: bytes) -> MeshRun:
    """The run that a tape stands for: peers, or a server with web clients; single saves, or bursts."""
    tape = Tape(data)
    n, server, burst = 3 + tape.below(3), not tape.below(3), tape.one((1, 4))
    said = tape.one(("rightly", "rightly", "never", "at once"))
    policy = Policy(fields={"f": sum_and_set}, depth=tape.below(3))
    wall, total, reported = 0, 0, False
    added: set[int] = set()
    gone: set[int] = set()
    clocks = [Clock.locked(f"n{i}", now=lambda: wall) for i in range(n)]
    start: Version[Any] = Version.new(
        Clock.locked("z", now=lambda: 0), {"f": {"sum": 0, "ids": []}}, id="r", policy=policy
    )
    now, screens, sent = [start] * n, [start] * 3, [start.seen] * n

    def changed(screen: Version[Any]) -> dict[str, Any]:
        nonlocal total, reported
        reported = reported or _is_old(screen)
        held, change = screen.record["f"], tape.one((1, 10, 100, -5))
        ids = {*held["ids"], wall}
        added.add(wall)
        total += change
        if held["ids"] and tape.below(2):
            taken = tape.one(held["ids"])
            ids.discard(taken)
            gone.add(taken)
        return {"f": {"sum": held["sum"] + change, "ids": sorted(ids)}}

    for _ in range(36):
        i = tape.below(n)
        if server and i == 0:
            c = tape.below(3)
            if tape.below(2):
                screens[c] = now[0]
                continue
            for _ in range(1 + tape.below(burst)):
                wall += 1
                now[0] = screens[c] = now[0].put(clocks[0], changed(screens[c]), screens[c])
        elif tape.below(2):
            for _ in range(1 + tape.below(burst)):
                wall += 1
                shared = {"rightly": sent[i], "never": None, "at once": now[i].seen}[said]
                now[i] = now[i].edit(clocks[i], changed(now[i]), shared=shared)
        else:
            k = tape.below(n)
            now[i] = now[k] = join(now[i], now[k])
            sent[i] = sent[k] = now[i].seen
    end = join(*now)
    wanted = {"sum": total, "ids": sorted(added - gone)}
    return MeshRun(end.record["f"], wanted, reported or _is_old(end), said)


def _is_old(version: Version[Any]) -> bool:
    return any("old base" in c.reason for c in version.conflicts)


_MESH = 320
"""Bytes of the tape of a run."""


def mesh_runs() -> st.SearchStrategy[MeshRun]:
    """Random runs in random topologies."""
    return st.binary(min_size=_MESH, max_size=_MESH).map(mesh_of)


def check_mesh(run: MeshRun) -> None:
    """No end is wrong without a report."""
    assert run.reported or run.end == run.wanted, f"the law 'no end is silently wrong' does not hold: {run}"
