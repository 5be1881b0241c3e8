"""Versions beside a slow, plain model of the design, on random runs of several nodes.

Every operation is done to both, and after each everything is compared: what is shown, what is open and between which
values, what lost, whether an old base was met, what is deleted, and all that is kept of each field. The model is read
from ``../shared/model``; ``oracle_model`` says where it has to be asked otherwise, and why. It does not model groups,
``unit`` and invariants.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import oracle_model as oracle
import pytest
from conftest import Tally
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from oracle_model import MODEL, UNSET, M

import mergecore
from mergecore import (
    Clock,
    InvalidInput,
    Pass,
    Policy,
    RecordDeleted,
    Version,
    add_wins,
    counter,
    delete_wins,
    edit_wins,
    join,
    keep_both,
    largest,
    lww,
    strategy,
    three_way,
)
from mergecore.history import History, ORSet, PNCounter, Write
from mergecore.testing.cases import Tape
from mergecore.view import View

pytestmark = pytest.mark.skipif(
    not MODEL.is_file(), reason="The model is read from ../shared/model, which is not there."
)


class Address(msgspec.Struct):
    """A record that may be absent."""

    zip: str
    lines: int


class Record(msgspec.Struct):
    """A field of each kind."""

    both: str
    last: str
    most: int
    add: int
    pair: tuple[int, frozenset[int]]
    pick: dict[str, str]
    map: dict[str, str]
    votes: int
    tags: set[str]
    addr: Address | None


# ---- the same strategies twice


@strategy("add")
def add(base: Any, ours: int, theirs: int) -> int:
    """Counts, and keeps a base for it."""
    return ours + theirs - (0 if base is mergecore.UNSET else base)


@strategy("sums and sets")
def pair(base: Any, ours: Any, theirs: Any) -> Any:
    """The value of the table of exactness: it shows every edit that is lost, doubled or back."""
    n, was = (0, frozenset()) if base is mergecore.UNSET else base
    return ours[0] + theirs[0] - n, (ours[1] & theirs[1]) | (ours[1] - was) | (theirs[1] - was)


@strategy("pick")
def pick(base: Any, ours: Any, theirs: Any) -> Any:
    """Maps by key, all or nothing."""
    was, made = {} if base is mergecore.UNSET else base, {}
    for key in sorted({*was, *ours, *theirs}):
        b, o, t = (side.get(key) for side in (was, ours, theirs))
        if o != t and b not in (o, t):
            return Pass(f"both changed {key}")
        value = o if t == b else t
        if value is not None:
            made[key] = value
    return made


def _plain_pair(base: Any, ours: Any, theirs: Any, _: bool) -> Any:
    return pair.parts[0].user(mergecore.UNSET if base == UNSET else base, ours, theirs)  # type: ignore[misc]


def _plain_pick(base: Any, ours: Any, theirs: Any, _: bool) -> Any:
    sides = (mergecore.UNSET if base == UNSET else dict(base), dict(ours), dict(theirs))
    made = pick.parts[0].user(*sides)  # type: ignore[misc]
    return None if isinstance(made, Pass) else frozenset(made.items())


DELETES = {"conflict": keep_both, "edit_wins": edit_wins, "delete_wins": delete_wins, "latest": lww}


@lru_cache
def policies(depth: int, deletes: str, presence: str) -> tuple[Policy, Any]:
    """One policy for both."""

    def later(b: Any, o: Any, t: Any, is_later: bool) -> Any:
        return o if is_later else t

    def passes(b: Any, o: Any, t: Any, _: bool) -> None:
        return None

    open_ = oracle.asked(passes, bare=True)
    presences = {"lww": (lww, later), "keep_both": (keep_both, passes)}
    adds = oracle.asked(lambda b, o, t, _: o + t - (0 if b == UNSET else b))
    kinds: dict[str, tuple[Any, Any, str]] = {
        "both": (keep_both, open_, "hist"),
        "last": (lww, oracle.asked(later, bare=True), "hist"),
        "most": (largest, oracle.asked(lambda b, o, t, _: max(o, t), bare=True), "hist"),
        "add": (add, adds, "hist"),
        "pair": (pair, oracle.asked(_plain_pair), "hist"),
        "pick": (pick, oracle.asked(_plain_pick), "hist"),
        "map": (three_way(), oracle.maps(deletes), "hist"),
        "votes": (counter, None, "tally"),
        "tags": (add_wins, None, "elems"),
        "addr": (presences[presence][0], oracle.asked(presences[presence][1], bare=True, of_presence=True), "hist"),
        "addr.zip": (keep_both, open_, "hist"),
        "addr.lines": (add, adds, "hist"),
    }
    own = {path: kind[0] for path, kind in kinds.items() if path != "addr"}  # which is walked by field
    ours = Policy(default=kinds["addr"][0], fields=own, deletes=DELETES[deletes], depth=depth)
    fields = {path: M.Field(kind, decide, depth) for path, (_, decide, kind) in kinds.items()}
    return ours, M.Policy(fields, deletes, nested=("addr",))


# ---- the same values twice


def plain(value: Any, path: str = "") -> Any:
    """A value as the model has it; of what may be absent, whether it is there."""
    if value is mergecore.UNSET or value is None:
        return UNSET
    if path == "addr":
        return "here"
    if isinstance(value, dict):
        return frozenset(value.items())
    if isinstance(value, (set, frozenset)):
        return frozenset(value)
    return tuple(map(plain, value)) if isinstance(value, (list, tuple)) else value


def made(path: str, value: Any) -> Any:
    """A value of the model as the product has it."""
    if path in ("pick", "map"):
        return dict(sorted(value))
    return set(value) if path == "tags" else value


def record(flat: Mapping[str, Any]) -> Record:
    """A record of the model's values."""
    address = None if flat["addr"] == UNSET else Address(flat["addr.zip"], flat["addr.lines"])
    return Record(**{p: made(p, x) for p, x in flat.items() if not p.startswith("addr")}, addr=address)


def stamp(at: Any) -> Any:
    """A stamp as the model has it."""
    return None if at is None else (at.millis, at.counter, at.node)


def vector(seen: Any) -> Any:
    """A version vector as the model has it."""
    return M.VV({node: stamp(at) for node, at in seen.items()})


# ---- the comparison


class Both(NamedTuple):
    """One version twice."""

    version: Version[Record]
    model: Any


MET = ("bases kept", "open", "old bases", "lost", "edits of an absent record", "edits of a deleted record")


class Comparison:
    """Asserts that versions and the model's say the same; what was compared before is not compared again."""

    def __init__(self, pol: Any, met: Counter[str]) -> None:
        self.pol, self.met = pol, met
        self.known: dict[tuple[int, int], Any] = {}

    def same(self, both: Both) -> None:
        version, v = both
        assert vector(version.seen) == v.seen
        assert stamp(version.created) == v.created
        assert marks(version) == {(flag, c.stamp, c.seen, c.by) for _, flag, c in v.dels}
        assert version._fields.keys() == {tuple(p.split(".")) for p in v.fields}
        for path, (kind, state) in v.fields.items():
            held = version._fields[tuple(path.split("."))]
            if (id(held), id(state)) not in self.known:
                self.known[id(held), id(state)] = held, state
                self.same_state(path, kind, held, state)
        newest = {path: max(M.stamps_of(*state), default=None) for path, state in v.fields.items()}
        assert {path: stamp(at) for path, at in version.stamps.items()} == newest
        self.same_reading(version, v)

    def same_state(self, path: str, kind: str, held: Any, state: Any) -> None:
        """All that is kept of a field."""
        if kind == "tally":
            assert isinstance(held, PNCounter)
            assert {(n, (stamp(t.stamp), t.plus, t.minus)) for n, t in held.tallies.items()} == set(state), path
        elif kind == "elems":
            assert isinstance(held, ORSet)
            assert vector({at.node: at for at in held.stamps()}) == state[0], path
            assert {(x, stamp(dot.stamp)) for x, dots in held.elements.values() for dot in dots} == state[1], path
        else:
            assert isinstance(held, History)
            assert [stamp(w.stamp) for w in held.heads] == sorted(w.commit.stamp for w in M.heads(state)), path
            if path in self.pol.nested:  # which keeps bases, to say what an absent record was: the heads are the same
                kept = [written(w, path)[:4] for w in held.heads]
                assert sorted(kept, key=str) == sorted((written_in(w)[:4] for w in M.heads(state)), key=str), path
            else:
                ours, theirs = {written(w) for w in held.writes}, {written_in(w) for w in state}
                assert ours == theirs, f"{path}: {ours - theirs} are kept, and should be {theirs - ours}"
            self.met["bases kept"] += len(held.writes) > len(held.heads)

    def same_reading(self, version: Version[Record], v: Any) -> None:
        """What is shown, and what is said of it."""
        alive, contested = M.alive(self.pol, v)
        absent = oracle.absent(self.pol, v, "addr")
        assert version.deleted == (not alive)
        shown = oracle.shown(self.pol, v)
        expected = record(shown)
        assert version.record == expected
        is_open, lost = set(), set()
        for path in shown:
            at = tuple(path.split("."))
            view = version._reading.views[at]
            asked = oracle.reading(self.pol, v, path)
            self.same_view(path, view, asked, getattr(version._fields[at], "heads", ()))
            is_open |= {c.path for c in view.conflicts}
            lost |= {(x.path, stamp(x.stamp)) for x in view.lost}
            self.met["open"] += bool(asked.cands)
            self.met["old bases"] += asked.old
            self.met["lost"] += bool(asked.lost)
        if absent.open:
            is_open.add(("addr",))
        if absent.lost is not None:
            lost.add((("addr",), absent.lost))
        self.met["edits of an absent record"] += absent.open or absent.lost is not None
        if contested:
            is_open.add(())
        self.met["edits of a deleted record"] += bool(M.unseen(v))
        if alive:
            hidden = ("addr",) if absent.gone else None  # what is said of edits in it is not the model's
            told = [c.path for c in version.conflicts if len(c.path) < 2 or c.path[:1] != hidden]
            assert sorted(told) == sorted(is_open)
            said = {(x.path, stamp(x.stamp)) for x in version.lost if x.path != ()}
            assert said >= lost
            assert {x for x in said if x[0][:1] != hidden} == {x for x in lost if x[0][:1] != hidden}

    def same_view(self, path: str, view: View, asked: Any, heads: Sequence[Write]) -> None:
        """One field's value, candidates, losers."""
        assert plain(view.value, path) == plain(view.stored, path) == asked.value, path
        assert view.old == asked.old, path
        assert bool(view.conflicts) == bool(asked.cands), path
        if path == "map":  # open by key: what the model says of whole maps, key by key
            for conflict in view.conflicts:
                values = {plain(c.value) for c in conflict.candidates}
                if len(conflict.path) == 2:
                    known = {dict(m).get(conflict.path[1], UNSET) for m in asked.cands}
                    assert values == known if len(heads) == 2 else values <= known, path
                elif len(heads) == 2:
                    assert values == asked.cands | {asked.value}, path
                else:  # or questions of keys and of the whole became one, with every head
                    assert values == asked.cands | {asked.value} or {plain(h.value) for h in heads} <= values, path
            assert bool(view.lost) >= bool(asked.lost), path
            return
        for conflict in view.conflicts:
            assert {plain(c.value, path) for c in conflict.candidates} == asked.cands | {asked.value}, path
        assert {stamp(x.stamp) for x in view.lost} == asked.lost, path


def marks(version: Version[Record]) -> set[Any]:
    return {(m.deleted, stamp(m.commit.stamp), vector(m.commit.seen), m.commit.by) for m in version._marks}


def written(w: Write, path: str = "") -> tuple[Any, ...]:
    """What is kept of a write."""
    said = stamp(w.stamp), vector(w.seen), w.commit.by, plain(w.value, path)
    if not w.based:
        return *said, UNSET, M.BARE, False, stamp(w.first)
    after = None if w.after is None else tuple(map(stamp, w.after))
    return *said, plain(w.base), after, w.contested, stamp(w.first)


def written_in(w: Any) -> tuple[Any, ...]:
    """The same of the model's."""
    return w.commit.stamp, w.commit.seen, w.commit.by, w.value, w.base, w.after, w.bconf, w.first


# ---- a run


FIRST = {
    "both": "a", "last": "a", "most": 0, "add": 0, "pair": (0, frozenset()), "pick": frozenset(),
    "map": frozenset({("k", "a")}), "votes": 0, "tags": frozenset({"p"}), "addr": UNSET,
}  # fmt: skip
FIELDS = (*FIRST, "addr.zip", "addr.lines")


class Run:
    """Several nodes, and what they do to one record, read off a tape."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.policy, self.pol = policies(tape.below(3), tape.one(tuple(DELETES)), tape.one(("lww", "keep_both")))
        self.met = Counter[str]()
        self.comparison = Comparison(self.pol, self.met)
        self.wall, self.made = 1_000, 0
        names = "abcd"[: 2 + tape.below(3)]
        self.clocks = {n: Clock.locked(n, now=lambda: self.wall) for n in names}
        self.model_clocks = {n: M.Clock(n, lambda: self.wall) for n in names}
        self.hot = tuple(dict.fromkeys(tape.one(FIELDS) for _ in range(3)))
        flat = dict(FIRST)
        if not tape.below(3) or any(p.startswith("addr") for p in self.hot):
            flat |= {"addr": "here", "addr.zip": "a", "addr.lines": 0}
        first = Both(
            Version.new(self.clocks["a"], record(flat), id="r", policy=self.policy),
            oracle.new(self.pol, self.model_clocks["a"], flat, None),
        )
        self.comparison.same(first)
        self.newest = dict.fromkeys(names, first)
        self.sent = dict.fromkeys(names, first)
        self.old = [first]
        """All versions that there ever were: a form, a backup, a base."""
        self.done = Counter[str]()

    def play(self) -> None:
        """Does what the tape says, to its end."""
        while self.tape.at < len(self.tape.data):
            self.step()

    def step(self) -> None:
        """One operation of one node, and the comparison."""
        tape = self.tape
        node = tape.one(tuple(self.newest))
        self.wall += tape.one((0, 1, 10, 1, 1_000, -500))
        operation = tape.one(OPERATIONS)
        before = self.newest[node]
        after = operation(self, node, before)
        if after is not None:
            self.done[operation.__name__.strip("_")] += 1
            self.comparison.same(after)
            self.newest[node] = after
            self.old.append(after)

    # ---- what is written

    def value(self, path: str, now: Any) -> Any:
        """Another value of a field; now and then one that somebody else writes, too."""
        tape = self.tape
        if path in ("both", "last", "addr.zip"):
            return tape.one("abcdefgh")
        if path in ("most", "add", "votes", "addr.lines"):
            return now + tape.one((1, 10, 100, -5))
        if path == "tags":
            return now ^ {tape.one("pqr")}
        if path == "pair":
            total, held = now
            self.made += 1
            dropped = {sorted(held)[tape.below(len(held))]} if held and tape.below(2) else set()
            return total + tape.one((1, 10, 100, -5)), (held | {self.made}) - dropped
        pairs = dict(now)
        key, value = tape.one("klm"), tape.one("abc-")
        value = "d" if value == pairs.get(key, "-") else value  # the same pairs in another order would be another value
        if value == "-":
            del pairs[key]
        else:
            pairs[key] = value
        return frozenset(pairs.items())

    def change(self, flat: dict[str, Any]) -> dict[str, Any]:
        """Some changes of a record."""
        changes: dict[str, Any] = {}
        for _ in range(1 + (not self.tape.below(3))):
            path = self.tape.one(self.hot) if self.tape.below(8) else self.tape.one(FIELDS)
            if path == "addr" or path not in flat:
                if flat["addr"] == UNSET:
                    changes |= {"addr": "here", "addr.zip": self.tape.one("abc"), "addr.lines": self.tape.below(3)}
                elif path == "addr":
                    changes = {p: x for p, x in changes.items() if not p.startswith("addr")} | {"addr": UNSET}
            elif not (path.startswith("addr") and "addr" in changes):
                changes[path] = self.value(path, flat[path])
        return changes

    def author(self) -> str | None:
        return self.tape.one((None, None, None, "ann", "ben"))

    def base(self, both: Both) -> Both:
        """A version that a node's newest one contains."""
        for _ in range(3):
            found = self.old[-1 - self.tape.below(min(len(self.old), 256))]
            if found.version.seen <= both.version.seen:
                return found
        return both

    def shared(self, node: str, both: Both) -> tuple[Any, Any]:
        """What was handed out: said rightly, wrongly, or not at all."""
        found = self.tape.one((None, self.sent[node], both, self.old[0], None, self.sent[node]))
        return (None, None) if found is None else (found.version.seen, found.model.seen)


# ---- what nodes do: each of both, and ``None`` where nothing can be done


def _edit(run: Run, node: str, both: Both) -> Both | None:
    flat = oracle.shown(run.pol, both.model)
    changes, by, (shared, closed) = run.change(flat), run.author(), run.shared(node, both)
    if not M.alive(run.pol, both.model)[0]:
        with pytest.raises(RecordDeleted):
            both.version.edit(run.clocks[node], both="x")
        return None
    given = {p: made(p, x) for p, x in changes.items() if not ("addr" in changes and p.startswith("addr"))}
    if "addr" in changes:
        given["addr"] = record({**flat, **changes}).addr
    return Both(
        both.version.edit(run.clocks[node], given, by=by, shared=shared),
        oracle.edit(run.pol, both.model, run.model_clocks[node], changes, by, closed or False),
    )


def _typing(run: Run, node: str, both: Both) -> Both | None:
    """Autosaves: one field, once and again."""
    path = run.tape.one(run.hot)
    for _ in range(1 + run.tape.below(3)):
        if path.startswith("addr") or not M.alive(run.pol, both.model)[0]:
            return None
        value = run.value(path, oracle.shown(run.pol, both.model)[path])
        both = Both(
            both.version.edit(run.clocks[node], {path: made(path, value)}),
            oracle.edit(run.pol, both.model, run.model_clocks[node], {path: value}, None, False),
        )
        run.comparison.same(both)
    return both


def _put(run: Run, node: str, both: Both) -> Both | None:
    """A form: of this version, of an older one, or of a plain record; sometimes saved with what another one shows."""
    tape, pol = run.tape, run.pol
    kind = tape.one(("version", "plain", "none"))
    ref = both if kind == "none" else run.base(both)
    old = oracle.shown(pol, ref.model)
    flat = old if tape.below(6) else oracle.shown(pol, run.base(both).model)
    if kind == "plain" and not tape.below(4):  # what nobody has ever seen
        old = {**old, **{p: x for p, x in run.change(old).items() if not p.startswith("addr")}}
    flat = {**flat, **run.change(flat)}
    if flat["addr"] == UNSET:
        flat = {p: x for p, x in flat.items() if not p.startswith("addr.")}
    by, (shared, closed) = run.author(), run.shared(node, both)
    if kind == "version" and ref.version == both.version:
        kind = "none"
    if kind == "none" and not M.alive(pol, both.model)[0]:
        with pytest.raises(RecordDeleted):
            both.version.put(run.clocks[node], record(flat))
        return None
    bases = {"none": (None, None), "version": ref, "plain": (record(old), old)}[kind]
    return Both(
        both.version.put(run.clocks[node], record(flat), bases[0], by=by, shared=shared),
        oracle.put(pol, both.model, run.model_clocks[node], flat, bases[1], by, True if closed is None else closed),
    )


def _delete(run: Run, node: str, both: Both) -> Both | None:
    if run.tape.below(3):
        return None
    base = run.base(both) if run.tape.below(2) else None
    return Both(
        both.version.delete(run.clocks[node], base=base and base.version),
        M.delete(run.pol, both.model, run.model_clocks[node], base=base and base.model),
    )


def _restore(run: Run, node: str, both: Both) -> Both | None:
    if not any(flag for _, flag, _ in both.model.dels):
        return None
    return Both(both.version.restore(run.clocks[node]), M.restore(run.pol, both.model, run.model_clocks[node]))


def _resolve(run: Run, node: str, both: Both) -> Both | None:
    """Answers what is open in what the screen showed, by field."""
    tape, pol = run.tape, run.pol
    ref = run.base(both) if not tape.below(3) else both
    asked = ref.version.conflicts
    flat = oracle.shown(pol, ref.model)
    paths = sorted({_field_of(c.path) for c in asked} & {"", *flat})
    if not paths or not M.alive(pol, ref.model)[0]:
        return None
    by = run.author()
    answers: dict[Any, Any] = {}
    changes: dict[str, Any] = {}
    deleted: list[bool] = []
    path = tape.one(paths)
    if path == "":
        deleted = [bool(tape.below(2))]
        answers[()] = mergecore.UNSET if deleted[0] else record(flat)
        changes = {} if deleted[0] else oracle.unsettled(pol, ref.model, flat)
    elif path == "addr":
        address: dict[str, Any] = {"addr": "here", "addr.zip": tape.one("abc"), "addr.lines": tape.below(3)}
        there = bool(tape.below(2))
        answers["addr"] = Address(address["addr.zip"], address["addr.lines"]) if there else None
        found = oracle.unsettled(pol, ref.model, address)
        changes = {**found, "addr": "here"} if there else {"addr": UNSET}
    else:
        value = flat[path]
        for conflict in asked:
            if _field_of(conflict.path) == path:
                candidate = conflict.candidates[tape.below(len(conflict.candidates))]
                answers[conflict.path] = candidate if tape.below(2) else candidate.value
                if len(conflict.path) == 2 and path == "map":
                    rest = {k: x for k, x in dict(value).items() if k != conflict.path[1]}
                    said = plain(candidate.value)
                    value = frozenset((rest if said == UNSET else {**rest, conflict.path[1]: said}).items())
                else:
                    value = plain(candidate.value)
        changes[path] = value
    return Both(
        both.version.resolve(run.clocks[node], answers, base=ref.version, by=by),
        oracle.resolve(pol, both.model, run.model_clocks[node], changes, ref.model, by, deleted),
    )


def _field_of(path: tuple[Any, ...]) -> str:
    return ".".join(path[: 2 if path[:1] == ("addr",) else 1])


def _fork(run: Run, node: str, both: Both) -> Both | None:
    """Keeps both, as two records."""
    pol = run.pol
    paths = [p for p in oracle.shown(pol, both.model) if pol.of(p).kind == "hist" and p not in pol.nested]
    paths = [p for p in paths if len(oracle.heads_at(both.model, p)) > 1]
    if not paths:
        return None
    path = run.tape.one(paths)
    if not M.alive(pol, both.model)[0]:
        with pytest.raises(RecordDeleted):
            both.version.fork(run.clocks[node], path)
        return None
    view = M.raw(pol, both.model, path)
    if not (view.cands or view.lost):  # what is merged without conflict has no loser
        with pytest.raises(InvalidInput):
            both.version.fork(run.clocks[node], path)
        return None
    kept, *copies = both.version.fork(run.clocks[node], path)
    other, others = M.fork(pol, both.model, run.model_clocks[node], path)
    assert len(copies) == len(others)
    for copy, model in zip(copies, others):
        assert copy.id != kept.id == "r"
        at = kept.stamps[path]
        assert copy.created == at
        run.comparison.same(Both(copy, model._replace(created=stamp(at))))
    return Both(kept, other)


def _receive(run: Run, node: str, both: Both) -> Both | None:
    """Joins what another node has; sometimes something old of it."""
    other = run.tape.one(tuple(run.newest))
    theirs = run.newest[other] if run.tape.below(5) else run.old[-1 - run.tape.below(min(len(run.old), 256))]
    run.sent[other] = run.newest[other]
    swapped = bool(run.tape.below(2))
    versions = (theirs, both) if swapped else (both, theirs)
    joined = join(*(x.version for x in versions))
    return Both(joined, M.join(run.pol, *(x.model for x in versions)))


OPERATIONS: tuple[Callable[[Run, str, Both], Both | None], ...] = (
    *(_edit, _edit, _typing, _put, _put, _put, _receive, _receive, _receive, _receive, _receive),
    *(_resolve, _resolve, _fork, _delete, _restore),
)


BYTES = 400
"""About 37 operations."""


@pytest.mark.laws
def test_versions_are_what_the_model_says(tally: Tally) -> None:
    """After each operation of random runs; every operation, and everything that there is to meet, was met."""
    done, met = Counter[str](), Counter[str]()

    @settings(max_examples=_runs())
    @given(st.binary(min_size=BYTES, max_size=BYTES))
    def holds(data: bytes) -> None:
        run = Run(Tape(data))
        run.play()
        done.update(run.done, runs=1)
        met.update(run.met)

    started = time.perf_counter()
    holds()
    tally("model", done["runs"], _runs() * 9 // 10, f"{time.perf_counter() - started:.0f} s")
    for name in (f.__name__.strip("_") for f in dict.fromkeys(OPERATIONS)):
        tally(f"model, {name}", done[name], _runs() // 10)
    for what in MET:
        tally(f"model, {what}", met[what], _runs() // 10)


def _runs() -> int:
    """One costs about 30 ms."""
    return max(250, settings().max_examples // 6)


BROKEN = {
    "own writes always seen": ("own_seen", True),
    "older base trusted": ("trust_old", True),
    "no runs": ("runs", False),
    "the middle of a run taken for its start": ("middle", True),
    "an old base and equal sides not reported": ("equal", "result"),
    "what a base's author had seen forgotten": ("also_seen", False),
    "a deletion by vectors": ("delete_by", "vv"),
}


@pytest.mark.mutants
@pytest.mark.parametrize("name", BROKEN)
def test_the_comparison_tells_a_broken_model(name: str, tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compared is enough to see each of the model's own mutants."""
    tried = 0

    @settings(max_examples=5_000, derandomize=True, database=None, phases=[Phase.generate], report_multiple_bugs=False)
    @given(st.binary(min_size=BYTES, max_size=BYTES))
    def holds(data: bytes) -> None:
        nonlocal tried
        tried += 1
        Run(Tape(data)).play()

    monkeypatch.setattr(M.cfg, *BROKEN[name])
    with pytest.raises(AssertionError):
        holds()
    tally(f"model, {name!r}", tried, 1)
