"""Replicas of one record, as a state machine: after everyone has heard everything they agree, and no update is lost.

``replica_machine(Model, policy)`` makes a ``hypothesis.stateful.RuleBasedStateMachine`` for a model and a policy: nodes
that edit, lose power and meet, and a ``Ledger`` that keeps everything that was ever written and says where each of it
must be. It knows nothing of histories and bases: it goes by *tokens*, values that are used once in a run, so that it
can be read off a record, a conflict or ``lost`` whose write is in there. Imports the package, and hypothesis.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple

import msgspec
from hypothesis import note as say
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ..annotations import fixed_tuple, item_of, members_of
from ..clock import Clock, Timestamp
from ..errors import RecordDeleted
from ..history import History, ORSet, PNCounter
from ..layout import Leaf, kind_of, typed
from ..leaves import own_leaves
from ..paths import Path, format_path
from ..policy import Policy, Rule
from ..records import fields_of, is_record, origin
from ..strategies import keep_both
from ..values import UNSET, as_map, equal
from ..vectors import VersionVector
from ..version import Version, join
from ..wire import plain
from .cases import Tape
from .laws import _at

__all__ = ["Change", "Entry", "Ledger", "Write", "replica_machine", "tokens"]

Tokens = frozenset[int]
Change = Callable[[Any, Callable[[], int], Tape], Any]
"""Another value for a field: ``(what it holds, plain; the next token; choices) -> the new one``. A token ``n`` is
written as the text ``w{n}`` or as the number ``1_000_000 + n``."""

_TOKEN = re.compile(r"w(\d+)|(?<![\d.])1(\d{6})(?!\d)")


def tokens(value: Any) -> Tokens:
    """The tokens in a value."""
    return frozenset(int(a or b) for a, b in _TOKEN.findall(repr(value)))


# ------------------------------------------------------------------------------------------------ the ledger


class Write(NamedTuple):
    """What an author meant to do to one field."""

    base: Any
    """What he was looking at, plain."""
    value: Any


class Entry(NamedTuple):
    """One line of the ledger."""

    id: int
    kind: str
    """``write``, ``delete`` or ``restore``."""
    path: Path
    base: Any
    value: Any
    fresh: Tokens
    """Those that nobody had used."""
    stamp: Timestamp | None
    """``None`` where there was nothing to write."""
    seen: frozenset[int]
    """The entries that its author was looking at."""
    covers: frozenset[int]
    """Those that the version says he had seen: more, where ``put`` settled what had moved on."""
    shown: Tokens
    """What was on its author's screen: in the record, in a conflict or lost."""
    asked: bool
    """Whether anything at this field was open there, or lost."""


class Held(NamedTuple):
    """A version, and the entries that are in it."""

    version: Version[Any]
    known: frozenset[int]

    @property
    def shown(self) -> Tokens:
        """All tokens that a screen can show of it."""
        v = self.version
        return tokens(
            (v.record, [c.value for about in v.conflicts for c in about.candidates], [x.value for x in v.lost])
        )

    def asks(self, path: Path) -> bool:
        """Whether anything is open or lost at a field, or above, or below it."""
        v = self.version
        return any(_related(at, path) for at in [*(c.path for c in v.conflicts), *(x.path for x in v.lost)])


def _related(one: Path, other: Path) -> bool:
    return one[: len(other)] == other or other[: len(one)] == one


class Ledger:
    """Everything that was ever written. ``check`` says of a version where each entry in it is."""

    def __init__(self, deletes: str = "keep_both") -> None:
        self.deletes = deletes
        self.entries: list[Entry] = []
        self.used: set[int] = set()
        self.counts: Counter[str] = Counter()

    def write(
        self,
        before: Held | None,
        after: Version[Any],
        screen: Held | None,
        meant: Mapping[Path, Write],
        by_value: bool = False,
        also: Tokens = frozenset(),
    ) -> Held:
        """Notes what an author did who was looking at ``screen``, and who got ``after`` out of ``before``.

        ``by_value``: he said so with a plain record. One that has what is shown is taken for what is shown (a plain
        record cannot tell what else there was), and what it takes out of a set is out, whoever put it there.
        """
        stamps = _written(before, after)
        shown = own_leaves(before.version._reading) if by_value and before is not None else {}
        for path in dict.fromkeys([*meant, *stamps]):
            base, value = meant.get(path) or Write(UNSET, UNSET)
            still = path in shown and equal(shown[path].value, base)
            taken = still or (by_value and isinstance(after._fields.get(path), ORSet))
            self.counts["plain records taken for what is shown"] += taken and before != screen
            self.note("write", path, base, value, stamps.get(path), before, before if taken else screen, also)
        return self.held(before, after)

    def mark(self, kind: str, before: Held, after: Version[Any], screen: Held) -> None:
        """Notes a deletion or a restoring of the record."""
        stamp = max(after.seen.values())
        self.note(kind, (), UNSET, UNSET, (stamp, screen.version.seen), before, screen)

    def note(
        self,
        kind: str,
        path: Path,
        base: Any,
        value: Any,
        stamp: Any,
        before: Held | None,
        screen: Held | None,
        also: Tokens = frozenset(),
    ) -> None:
        found, seen = stamp or (None, VersionVector())
        known = before.known if before is not None else frozenset()
        fresh = tokens(value) - tokens(base) - self.used
        self.used |= fresh
        covers = {i for i in known if (s := self.entries[i].stamp) is not None and seen is not None and seen.covers(s)}
        if seen is None and screen is not None:
            covers = set(screen.known)
        entry = Entry(
            len(self.entries), kind, path, base, value, frozenset(fresh), found,
            screen.known if screen is not None else frozenset(), frozenset(covers),
            (screen.shown if screen is not None else frozenset()) | also, screen is not None and screen.asks(path),
        )  # fmt: skip
        self.entries.append(entry)

    def held(self, before: Held | None, after: Version[Any]) -> Held:
        """The version with all that was noted since, of its line."""
        start = self.noted
        self.noted = len(self.entries)
        return Held(after, (before.known if before is not None else frozenset()) | set(range(start, self.noted)))

    noted = 0

    # ---- where everything is

    def check(self, end: Held) -> None:
        """Raises ``AssertionError`` for the first entry that is nowhere."""
        try:
            self.check_all(end)
        except AssertionError as error:
            raise AssertionError(f"the law 'no update is lost' does not hold: {error}") from error

    def check_all(self, end: Held) -> None:
        mine = [self.entries[i] for i in sorted(end.known)]
        by_path: dict[Path, list[Entry]] = {}
        for entry in mine:
            if entry.kind == "write":
                by_path.setdefault(entry.path, []).append(entry)
        leaves = own_leaves(end.version._reading)
        for path, entries in by_path.items():
            state = end.version._fields.get(path)
            if isinstance(state, PNCounter):
                self.check_counter(path, entries, state)
            elif isinstance(state, ORSet):
                self.check_set(path, entries, state)
            else:
                above = [e for n in range(len(path) + 1) for e in by_path.get(path[:n], ())]
                above += [e for e in mine if e.kind == "delete" and end.version.deleted]
                self.check_tokens(end, entries, above, leaves)
        self.check_deletion(end, mine, by_path)

    def check_counter(self, path: Path, entries: Sequence[Entry], state: PNCounter) -> None:
        """The sum of all changes."""
        total = sum((0 if e.value is UNSET else e.value) - (0 if e.base is UNSET else e.base) for e in entries)
        assert state.value() == total, f"{format_path(path)} counts {state.value()}, and {total} was written: {entries}"
        self.counts["counted"] += len(entries)

    def check_set(self, path: Path, entries: Sequence[Entry], state: ORSet) -> None:
        """Added, and not removed by anybody who had seen that."""
        wanted: set[Any] = set()
        for entry in entries:
            for x in _elements(entry.value) - _elements(entry.base):
                if not any(entry.id in e.covers and x in _elements(e.base) - _elements(e.value) for e in entries):
                    wanted.add(x)
        held = _elements(state.value())
        assert held == wanted, f"{format_path(path)} holds {held}, and what was added and not removed is {wanted}"
        self.counts["elements"] += len(wanted)

    def check_tokens(self, end: Held, entries: Sequence[Entry], above: Sequence[Entry], leaves: Any) -> None:
        """What was written is shown, a candidate, lost, or was replaced by somebody who was shown it. What was taken
        away is gone, or somebody was asked.
        """
        shown, path = end.shown, entries[0].path
        record = tokens(leaves[path].value) if path in leaves else frozenset[int]()
        for entry in entries:
            for t in entry.fresh - shown:
                seen = [e for e in above if entry.id in e.seen and t in e.shown and t not in tokens(e.value)]
                assert seen, f"{format_path(path)}: token {t} is lost without a trace: {entry}"
            for t in (tokens(entry.base) - tokens(entry.value)) & record:
                again = [e for e in above if t in tokens(e.value) - tokens(e.base) - e.fresh and e.id not in entry.seen]
                asked = end.asks(path) or any(entry.id in e.seen and e.asked for e in above)
                assert again or asked, f"{format_path(path)}: token {t} is back, that was taken away: {entry}"
            self.counts["tokens"] += len(entry.fresh)

    def check_deletion(self, end: Held, mine: Sequence[Entry], by_path: Mapping[Path, Sequence[Entry]]) -> None:
        """Deleted is what nobody edited who had not seen that; else the policy has been asked."""
        v = end.version
        marks = [e for e in mine if e.kind != "write"]
        live = [e for e in marks if e.kind == "delete" and not any(e.id in other.covers for other in marks)]
        standing = [e for e in marks if e.kind == "restore" and not any(e.id in other.covers for other in marks)]
        for path, entries in by_path.items():
            written = [e for e in entries if e.stamp is not None]
            if isinstance(v._fields.get(path), History):
                standing += [e for e in written if not any(e.id in other.covers for other in written)]
            else:
                last = {e.stamp.node: e for e in sorted(written, key=_stamp) if e.stamp is not None}
                standing += last.values()
        edits = [e for e in standing if not any(e.id in d.covers for d in live)]
        open_ = [c for c in v.conflicts if c.path == ()]
        if not live:
            assert not v.deleted, "deleted, and nobody did that"
        elif not edits:
            assert v.deleted, f"a deletion that had seen everything does not stand: {live}"
            self.counts["deleted"] += 1
        else:
            self.counts["edits against deletions"] += 1
            if self.deletes == "keep_both":
                assert not v.deleted, f"a deletion ate {edits}"
                assert open_, "an edit against a deletion, and nothing is open"
            elif self.deletes in ("edit_wins", "delete_wins"):
                assert v.deleted == (self.deletes == "delete_wins"), f"{self.deletes}, and deleted: {v.deleted}"


def _stamp(entry: Entry) -> Timestamp:
    assert entry.stamp is not None
    return entry.stamp


def _elements(value: Any) -> set[Any]:
    return set() if value is UNSET else set(value)


def _written(before: Held | None, after: Version[Any]) -> dict[Path, tuple[Timestamp, VersionVector | None]]:
    """The fields that were written, with the stamp of each, and what its commit says to have seen (or ``None``)."""
    known = before.version.seen if before is not None else VersionVector()
    found: dict[Path, tuple[Timestamp, VersionVector | None]] = {}
    for path, state in after._fields.items():
        if before is not None and state is before.version._fields.get(path):
            continue
        if isinstance(state, History):
            new: list[tuple[Timestamp, VersionVector | None]] = [
                (w.stamp, w.seen) for w in state.writes if not known.covers(w.stamp)
            ]
        else:
            new = [(s, None) for s in state.stamps() if not known.covers(s)]
        if new:
            found[path] = new[0]
    return found


# ------------------------------------------------------------------------------------------------ other values


def change_of(rule: Rule) -> Change | None:
    """How a field of a declared type is changed; ``None`` where its type has no room for a token."""
    kind = kind_of(rule)
    if kind is PNCounter:
        return lambda held, mint, tape: (0 if held is UNSET else held) + tape.one((1, 10, 100, -7))
    if kind is ORSet:
        return lambda held, mint, tape: _toggled(held, _made(item_of(rule.of(set).type), mint, rule), tape)
    if rule.is_group:
        members = fields_of(rule.type) or ()
        return lambda held, mint, tape: {f.key: _made(f.type, mint, rule) for f in members}
    kinds = [one for one in members_of(rule.declared) if one is not type(None)]
    opened = {what for part in rule.strategy.parts for what in part.opens}
    base = origin(kinds[0]) if kinds else Any
    if base is str and "text" in opened:
        return _lines
    if base is list:
        return lambda held, mint, tape: _list(rule.of(list), held, mint, tape)
    if base is dict:
        return lambda held, mint, tape: _map(rule.of(dict), held, mint, tape)
    if base in (set, frozenset):
        return lambda held, mint, tape: _toggled(held, _made(item_of(kinds[0]), mint, rule), tape)
    if _made(kinds[0] if kinds else Any, lambda: 0, rule) is UNSET:
        return None
    return lambda held, mint, tape: _made(kinds[0] if kinds else Any, mint, rule)


def _made(kind: Any, mint: Callable[[], int], rule: Rule) -> Any:
    """A value of a type with a token in it, plain; ``UNSET`` where there is no room for one."""
    kind = next((one for one in members_of(kind) if one is not type(None)), Any)
    base = origin(kind)
    if base in (str, Any, object):
        return f"w{mint()}"
    if base in (int, float):
        return base(1_000_000 + mint())
    if is_record(kind):
        here = rule.of(base)
        made = {
            f.key: 1 if _counts(here, f.key) else _made(f.type, mint, here.child(f.key)) for f in fields_of(kind) or ()
        }
        return {key: value for key, value in made.items() if value is not UNSET}
    if args := fixed_tuple(kind):
        return [_made(arg, mint, rule) for arg in args]
    return UNSET


def _counts(rule: Rule, key: str) -> bool:
    return any(part.combines for part in rule.child(key).strategy.parts)


def _toggled(held: Any, new: Any, tape: Tape) -> Any:
    """A set with an element more or less; now and then one that others may add, too."""
    now = set() if held is UNSET else set(held)
    op = tape.below(4)
    if op == 0 and now:
        return now - {tape.one(sorted(now, key=str))}
    if op == 1 and isinstance(new, str):
        return now ^ {tape.one("xy")}
    return now | {new}


def _list(rule: Rule, held: Any, mint: Callable[[], int], tape: Tape) -> Any:
    """A list with one element inserted, deleted or changed."""
    now = [] if held is UNSET else list(held)
    op, at = tape.below(5), tape.below(len(now) + 1)
    kind = item_of(rule.type)
    if op == 0 and at < len(now):
        return now[:at] + now[at + 1 :]
    if op == 1 and at < len(now):
        if isinstance(now[at], dict):
            return [*now[:at], _edited(rule.child(0).of(origin(kind)), now[at], mint, tape), *now[at + 1 :]]
        return [*now[:at], _made(kind, mint, rule.child(0)), *now[at + 1 :]]
    return [*now[:at], _made(kind, mint, rule.child(0)), *now[at:]]


def _edited(rule: Rule, held: dict[str, Any], mint: Callable[[], int], tape: Tape) -> dict[str, Any]:
    """A member of a list, one field of it changed: not the key."""
    free = [f for f in fields_of(rule.type) or () if f.key != "id"]
    if not free:
        return held
    field = tape.one(free)
    return {
        **held,
        field.key: held.get(field.key, 0) + 1 if _counts(rule, field.key) else _made(field.type, mint, rule),
    }


def _map(rule: Rule, held: Any, mint: Callable[[], int], tape: Tape) -> Any:
    """A map with one key set or deleted."""
    now = {} if held is UNSET else dict(held)
    key = tape.one("abc")
    if key in now and not tape.below(3):
        return {k: v for k, v in now.items() if k != key}
    return {**now, key: _made(item_of(rule.type), mint, rule.child(key))}


def _lines(held: Any, mint: Callable[[], int], tape: Tape) -> str:
    """A text with one line inserted, deleted or changed."""
    lines = [] if held is UNSET or held is None else held.split("\n")[:-1]
    op, at = tape.below(4), tape.below(len(lines) + 1)
    if op == 0 and at < len(lines):
        del lines[at]
    elif op == 1 and at < len(lines):
        lines[at] = f"w{mint()}"
    else:
        lines.insert(at, f"w{mint()}")
    return "".join(f"{line}\n" for line in lines)


# ------------------------------------------------------------------------------------------------ the machine


class Node:
    """A replica: its app, its clock, and all that it could lose."""

    def __init__(self, name: str, model: Any, server: bool, walls: list[int]) -> None:
        self.name, self.model, self.server = name, model, server
        self.wall = 1_000_000
        self.walls = walls
        self.clock = self.new_clock()
        self.held: Held
        self.saved: tuple[bytes, frozenset[int], str]
        self.backups: list[tuple[bytes, frozenset[int]]] = []
        self.screens: list[Held] = []
        self.sent = VersionVector()

    def now(self) -> int:
        return self.wall

    def new_clock(self) -> Clock:
        return (Clock.locked if self.server else Clock)(self.name, now=self.now)

    def save(self) -> None:
        """The version and the clock, in one transaction."""
        clock = "" if self.server else self.clock.save()
        self.saved = self.held.version.encode(), self.held.known, clock

    def load(self, data: bytes, known: frozenset[int], policy: Policy | None) -> None:
        self.held = Held(Version.decode(data, self.model, policy), known)


_TAPE = st.binary(min_size=12, max_size=12).map(Tape)
_TOLD = st.sampled_from(("not at all", "rightly", "wrongly"))
"""What was handed out: how ``shared=`` is said."""


class ReplicaMachine(RuleBasedStateMachine):
    """Three to five nodes, the first of them a server with web clients. ``replica_machine`` fills in the model."""

    model: ClassVar[Any]
    newer: ClassVar[Any]
    policy: ClassVar[Policy | None]
    start: ClassVar[Any]
    changes: ClassVar[Mapping[str, Change]]
    counts: ClassVar[Counter[str]]

    # ---- beginning and end

    @initialize(n=st.integers(3, 5), tape=_TAPE)
    def begin(self, n: int, tape: Tape) -> None:
        deletes = (self.policy.deletes if self.policy is not None else None) or keep_both
        self.ledger = Ledger(str(deletes))
        self.minted = 0
        self.flight: list[tuple[bytes, frozenset[int]]] = []
        self.copies: dict[str, list[bytes]] = {}
        self.hot = {tape.below(n * 5) for _ in range(3)} | {0}  # fields that everybody edits
        self.nodes = [
            Node("server" if i == 0 else f"device{i}", self.newer if tape.below(2) else self.model, i == 0, [])
            for i in range(n)
        ]
        author = self.nodes[0]
        author.model = self.newer
        record = self.start() if callable(self.start) else self.start
        first: Version[Any] = Version.new(author.clock, record, id="record", policy=self.policy)
        leaves = own_leaves(first._reading)
        held = self.ledger.write(None, first, None, {p: Write(UNSET, leaf.value) for p, leaf in leaves.items()})
        for node in self.nodes:
            node.load(first.encode(), held.known, self.policy)
            node.save()
            node.backups.append(node.saved[:2])
        self.counts["runs"] += 1

    def teardown(self) -> None:
        if not hasattr(self, "nodes"):
            return
        for data, known in self.flight:
            self.receive(self.nodes[-1], data, known)
        first = [(node.held.version.encode(), node.held.known) for node in self.nodes]
        for i, node in enumerate(self.nodes):
            heard = first[i:] + first[:i]
            for data, known in heard if i % 2 else heard[::-1]:
                self.receive(node, data, known)
        ends = {node.held.version.encode() for node in self.nodes}
        assert len(ends) == 1, "the law 'all agree' does not hold: they have heard the same, and hold other bytes"
        shown: dict[Any, Version[Any]] = {}
        for node in self.nodes:
            v = node.held.version
            one = shown.setdefault(node.model, v)
            assert equal(plain(one.record), plain(v.record)), "the same app shows another record"
            assert one.conflicts == v.conflicts and one.lost == v.lost, "the same app reports otherwise"
        end = Held(Version.decode(ends.pop(), self.newer, self.policy), self.nodes[0].held.known)
        assert all(node.held.known == end.known for node in self.nodes)
        self.ledger.check(end)
        for same in self.copies.values():
            self.check_copies(same)
        self.counts.update(self.ledger.counts)
        self.counts["entries"] += len(end.known)
        self.counts["conflicts"] += len(end.version.conflicts)
        self.counts["old bases"] += sum("old base" in c.reason for c in end.version.conflicts)
        self.counts["lost"] += len(end.version.lost)
        states = end.version._fields.values()
        self.counts["two-sided fields"] += sum(isinstance(s, History) and len(s.heads) > 1 for s in states)

    def check_copies(self, same: Sequence[bytes]) -> None:
        """The same fork on two replicas is one record."""
        versions = [Version.decode(data, self.newer, self.policy) for data in same]
        assert join(*versions).encode() == join(*reversed(versions)).encode(), "copies of a fork do not join"
        self.counts["copies of forks met"] += len(same) > 1

    def receive(self, node: Node, data: bytes, known: frozenset[int]) -> None:
        theirs = Version.decode(data, node.model, self.policy)
        node.held = Held(join(node.held.version, theirs), node.held.known | known)

    # ---- choices

    def node(self, tape: Tape) -> Node:
        self.counts["steps"] += 1
        node = tape.one(self.nodes)
        node.wall += 1
        return node

    def mint(self) -> int:
        self.minted += 1
        return self.minted

    def change(self, leaves: Mapping[Path, Leaf], tape: Tape) -> dict[Path, Any]:
        """Other values for one or two fields, plain."""
        made: dict[Path, Any] = {}
        open_ = {path: leaf for path, leaf in leaves.items() if not leaf.foreign}
        for _ in range(1 + (tape.below(4) == 0)):
            path = tape.one([p for i, p in enumerate(open_) if i in self.hot] if tape.below(3) else list(open_))
            leaf = open_[path]
            if any(_related(path, other) for other in made):
                continue
            change = self.changes.get(format_path(path))
            if change is None and is_record(cls := _class(self.declared(path))):
                made[path] = _made(cls, self.mint, leaf.rule) if leaf.value is None else None
            elif (change := change or change_of(leaf.rule)) is not None:
                made[path] = change(leaf.value, self.mint, tape)
        return {path: value for path, value in made.items() if not equal(value, leaves[path].value)}

    def declared(self, path: Path) -> Any:
        kind: Any = self.newer
        for step in path:
            cls = next((one for one in members_of(kind) if is_record(one)), None)
            kind = next((f.type for f in fields_of(cls) or () if f.key == step), Any)
        return kind

    # ---- writing

    @rule(tape=_TAPE, told=_TOLD)
    def edit(self, tape: Tape, told: str) -> None:
        """One edit."""
        self.autosave(tape, 1, told)

    @rule(tape=_TAPE, saves=st.integers(2, 4), told=_TOLD)
    def autosave(self, tape: Tape, saves: int, told: str) -> None:
        """A burst of edits."""
        node = self.node(tape)
        for _ in range(saves):
            before = node.held
            v = before.version
            leaves = own_leaves(v._reading)
            made = self.change(leaves, tape)
            if not made:
                return
            shared = {"not at all": None, "rightly": node.sent, "wrongly": tape.one((v.seen, VersionVector()))}[told]
            values = {p: self.typed(leaves[p], p, value) for p, value in made.items()}
            if v.deleted:
                self.counts["edits refused"] += 1
                with _refused(RecordDeleted):
                    v.edit(node.clock, values, shared=shared)
                return
            after = v.edit(node.clock, values, shared=shared)
            say(f"{node.name} at {max(after.seen.values())} edits {made}, shared={shared}")
            self.note(node, before, after, before, made)
            self.counts["edits"] += 1

    def typed(self, leaf: Leaf, path: Path, value: Any) -> Any:
        if value is None or (
            not is_record(origin(self.declared(path))) and isinstance(value, dict) and leaf.rule.is_group
        ):
            return value
        kind = self.declared(path)
        return msgspec.convert(value, kind) if kind is not Any else typed(leaf.rule, path, value)

    def note(
        self,
        node: Node,
        before: Held,
        after: Version[Any],
        screen: Held,
        made: Mapping[Path, Any],
        by_value: bool = False,
    ) -> None:
        """Takes over what was written, and notes what was meant: of a record below, field by field."""
        old = own_leaves(screen.version._reading)
        meant: dict[Path, Write] = {}
        for path, value in made.items():
            was = old[path].value if path in old else UNSET
            if is_record(_class(self.declared(path))):
                meant[path] = Write(was, UNSET)
                for key, below in (as_map(value) or {}).items():
                    meant[*path, key] = Write(old[*path, key].value if (*path, key) in old else UNSET, below)
            else:
                meant[path] = Write(was, value)
        written = _written(before, after)
        for path in written:
            assert any(path[: len(p)] == p for p in meant), f"{format_path(path)} was written, and nobody meant that"
        node.held = self.ledger.write(before, after, screen, meant, by_value)

    @rule(tape=_TAPE)
    def look(self, tape: Tape) -> None:
        """A screen, a form or a web client shows the record as it is, and will go on to."""
        node = self.node(tape)
        node.screens = [*node.screens, node.held][-4:]
        node.save()

    @precondition(lambda self: any(node.screens for node in self.nodes))
    @rule(tape=_TAPE, how=st.sampled_from(("version", "version", "value")), said=st.booleans())
    def put(self, tape: Tape, how: str, said: bool) -> None:
        """A stale record is put back whole: by version, or by value."""
        self.counts["steps"] += 1
        node = tape.one([node for node in self.nodes if node.screens])
        node.wall += 1
        screen, before = tape.one(node.screens), node.held
        leaves = own_leaves(screen.version._reading)
        made = self.change(leaves, tape)
        if not made:
            return
        record = screen.version.record
        for path, value in made.items():
            _set(record, path, self.typed(leaves[path], path, value))
        base: Any = screen.version
        by_value = how == "value" or not base.seen <= before.version.seen
        if by_value:
            base = screen.version.record
            self.counts["puts by value"] += 1
        shared = node.sent if said else None
        if before.version.deleted and base == before.version:
            with _refused(RecordDeleted):
                before.version.put(node.clock, record, base, shared=shared)
            return
        after = before.version.put(node.clock, record, base, shared=shared)
        say(f"{node.name} at {after.updated} puts {made}, base={base!r}, shared={shared}")
        self.note(node, before, after, screen, made, by_value)
        self.counts["puts"] += 1
        if node.server:
            node.save()
            node.screens.append(node.held)

    @rule(tape=_TAPE, stale=st.booleans())
    def delete(self, tape: Tape, stale: bool) -> None:
        node = self.node(tape)
        if tape.below(4) != 3:
            return
        screens = [s for s in node.screens if s.version.seen <= node.held.version.seen] if stale else []
        screen = tape.one(screens) if screens else node.held
        after = node.held.version.delete(node.clock, base=screen.version if screens else None)
        say(f"{node.name} at {after.updated} deletes, base={screen.version.seen}")
        self.ledger.mark("delete", node.held, after, screen)
        node.held = self.ledger.held(node.held, after)
        self.counts["deletes"] += 1

    @precondition(lambda self: any(node.held.version.deleted for node in self.nodes))
    @rule(tape=_TAPE)
    def restore(self, tape: Tape) -> None:
        self.counts["steps"] += 1
        node = tape.one([node for node in self.nodes if node.held.version.deleted])
        after = node.held.version.restore(node.clock)
        say(f"{node.name} at {after.updated} restores")
        self.ledger.mark("restore", node.held, after, node.held)
        node.held = self.ledger.held(node.held, after)
        self.counts["restores"] += 1

    @precondition(lambda self: any(n.held.version.conflicts or n.held.version.lost for n in self.nodes))
    @rule(tape=_TAPE)
    def resolve(self, tape: Tape) -> None:
        """Everything that is open at one field is answered, what was lost there dismissed, or both kept."""
        if not tape.below(4) and any(_forkable(node.held.version) for node in self.nodes):
            self.forked(tape)
            return
        self.counts["steps"] += 1
        node = tape.one([n for n in self.nodes if n.held.version.conflicts or n.held.version.lost])
        before = node.held
        v = before.version
        at = v._reading.field_at(tape.one([*(c.path for c in v.conflicts), *(x.path for x in v.lost)]))
        asked = [c for c in v.conflicts if (c.path[: len(at)] == at if at else c.path == ())]
        if whole := [c for c in asked if c.path == at]:  # whose answer is one to all that is open below
            asked = whole
        answers = {c.path: tape.one(c.candidates) for c in asked}
        if at not in v._reading.rules and at:
            return  # lost in a record that is absent
        if not answers:  # something was lost: what is shown stays
            answers[at] = _at(v.record, at, v._binding.rule)
        say(f"{node.name} resolves {answers}")
        after = v.resolve(node.clock, answers)
        self.settle(node, before, after)
        left = [c for c in after.conflicts if c.path[: len(at)] == at and at != ()]
        assert not left, f"answered, and still open: {left}"
        self.counts["resolved"] += 1

    def settle(self, node: Node, before: Held, after: Version[Any], also: Tokens = frozenset()) -> None:
        """Notes what an answer wrote: the shown value with the answers put in. ``also``: what else its author saw."""
        old = own_leaves(before.version._reading)
        meant: dict[Path, Write] = {}
        for path, (stamp, _) in _written(before, after).items():
            state = after._fields[path]
            was = old[path].value if path in old else UNSET
            if isinstance(state, History):
                now = next(w.value for w in state.writes if w.stamp == stamp)
            else:
                now = state.value()
            meant[path] = Write(was, now)
        if flags := [m.deleted for m in after._marks if not before.version.seen.covers(m.commit.stamp)]:
            self.ledger.mark("delete" if flags[0] else "restore", before, after, before)
        node.held = self.ledger.write(before, after, before, meant, also=also)

    @precondition(lambda self: any(_forkable(node.held.version) for node in self.nodes))
    @rule(tape=_TAPE)
    def fork(self, tape: Tape) -> None:
        """Two values of a field are kept, as two records."""
        self.forked(tape)

    def forked(self, tape: Tape) -> None:
        self.counts["steps"] += 1
        node = tape.one([node for node in self.nodes if _forkable(node.held.version)])
        before = node.held
        v = before.version
        path = tape.one(_forkable(v))
        heads = {h.stamp: h.value for h in v.explain(path).heads}
        values = list(heads.values())
        say(f"{node.name} forks {path}")
        kept, *copies = v.fork(node.clock, path)
        assert len(copies) == len(heads) - 1
        for copy in copies:
            held = copy.explain(path)
            (only,) = held.heads
            value = heads.pop(only.stamp)  # of a record below: whether it is there
            alike = equal(plain(held.value), plain(value)) or path in v._reading.places
            assert alike, "a copy holds another value"
            self.copies.setdefault(copy.id, []).append(copy.encode())
        self.settle(node, before, kept, tokens(list(values)))
        self.counts["forks"] += 1

    # ---- the network

    @rule(tape=_TAPE)
    def send(self, tape: Tape) -> None:
        """What is sent has been saved."""
        node = self.node(tape)
        node.save()
        node.sent = node.held.version.seen
        say(f"{node.name} sends message {len(self.flight)}")
        self.flight.append((node.saved[0], node.saved[1]))

    @precondition(lambda self: self.flight)
    @rule(tape=_TAPE, again=st.booleans(), dropped=st.integers(0, 5))
    def deliver(self, tape: Tape, again: bool, dropped: int) -> None:
        """A message arrives: in any order, again, or never."""
        node = self.node(tape)
        i = tape.below(len(self.flight))
        data, known = self.flight[i]
        if dropped:
            say(f"{node.name} hears message {i}")
            self.receive(node, data, known)
            self.counts["delivered"] += 1
        if not again:
            del self.flight[i]

    @rule(tape=_TAPE)
    def sync(self, tape: Tape) -> None:
        """Two nodes exchange what they have."""
        one, other = self.node(tape), self.node(tape)
        for node in (one, other):
            node.save()
            node.sent = node.held.version.seen
        say(f"{one.name} and {other.name} exchange what they have")
        self.receive(one, *other.saved[:2])
        self.receive(other, *one.saved[:2])
        self.counts["delivered"] += 2

    # ---- mishaps

    @rule(tape=_TAPE, what=st.sampled_from(("clock", "crash", "backup")))
    def mishap(self, tape: Tape, what: str) -> None:
        """A clock jumps; or what was not saved is gone, and the clock goes on from what was saved; or an old backup
        comes back, as a new incarnation.
        """
        node = self.node(tape)
        if what == "clock":
            node.wall = max(0, node.wall + tape.one((-100_000, -7, 5, 1_000_000)))
        elif what == "crash":
            data, known, clock = node.saved
            node.load(data, known, self.policy)
            node.clock = node.new_clock() if node.server else Clock.load(clock, now=node.now)
            node.backups = [*node.backups, (data, known)][-3:]
        elif tape.below(2):
            node.load(*tape.one(node.backups), self.policy)
            node.name += "'" if node.server else ""  # a locked clock has no other identity
            node.clock = node.new_clock()
            node.sent = VersionVector()
            node.save()
        say(f"{node.name}: {what}, and has {node.held.version.seen}")
        self.counts[what] += 1


@contextmanager
def _refused(error: type[Exception]) -> Iterator[None]:
    try:
        yield
    except error:
        return
    raise AssertionError(f"there is no {error.__name__}")


def _class(kind: Any) -> Any:
    return next((one for one in members_of(kind) if is_record(one)), Any)


def _set(record: Any, path: Path, value: Any) -> None:
    """Puts a value into a record at a field's path; a group's, by its members."""
    *above, last = path
    for step in above:
        record = getattr(record, _attribute(record, step))
    if any(f.key == last for f in fields_of(type(record)) or ()):
        setattr(record, _attribute(record, last), value)
        return
    for key, below in value.items():
        setattr(record, _attribute(record, key), below)


def _attribute(record: Any, key: Any) -> str:
    return next(f.name for f in fields_of(type(record)) or () if f.key == key)


def _forkable(version: Version[Any]) -> list[Path]:
    views = {} if version.deleted else version._reading.views
    return [path for path, shown in views.items() if shown.conflicts or shown.lost]


def replica_machine(
    model: Any,
    policy: Policy | None = None,
    *,
    newer: Any = None,
    start: Any = None,
    changes: Mapping[str, Change] | None = None,
) -> type[ReplicaMachine]:
    """A state machine of replicas of a model under a policy.

    ``newer`` is the model of an app that knows more fields, which some nodes run; ``start`` makes the first record (of
    the newer model), unless all fields have defaults; ``changes`` says how fields are changed, where their types do
    not: ``{path: function}``, of what a field holds, the maker of tokens, and choices.
    """
    newest = model if newer is None else newer
    return type(
        "Replicas",
        (ReplicaMachine,),
        {
            "model": model, "newer": newest, "policy": policy,
            "start": staticmethod(newest if start is None else start), "changes": changes or {}, "counts": Counter(),
        },
    )  # fmt: skip
