"""Whole nodes, as a state machine: they edit, meet, lose power, come back from backups, and nothing is lost.

Each node has a store in a file. A ``Ledger`` a record (of ``mergecore.testing``) keeps everything that was ever
written, and says of a version where each of it is; beside it stands who has heard of what, so that what a node once
had and has no longer is found in the step that loses it. Imports no pytest.
"""

from __future__ import annotations

import datetime as dt
import itertools
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Annotated, Any, ClassVar

import msgspec
from hypothesis import note as say
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from mergecore import RecordDeleted, Timestamp, VersionVector, add_wins, counter, keep_both, lww, restamp, text
from mergecore import version as versions
from mergecore.history import History
from mergecore.leaves import own_leaves
from mergecore.sync import Forbidden, Node, PeerError, Purged, Report, Request, Response, SuperNode, exchange
from mergecore.sync.plan import Held as Kept
from mergecore.sync.protocol import vector_of
from mergecore.sync.sql import SQLStore
from mergecore.testing.cases import Tape
from mergecore.testing.replicas import Held, Ledger, Write, change_of, tokens

__all__ = ["Broken", "Killed", "NodeMachine", "Todo", "node_machine", "renaming"]


class Todo(msgspec.Struct):
    """A field of each kind."""

    title: str = ""
    owner: Annotated[str | None, keep_both] = None
    votes: Annotated[int, counter] = 0
    tags: Annotated[set[str], add_wins] = set()
    notes: Annotated[str, text("line") | lww] = ""
    labels: dict[str, str] = {}


_TYPES = {field.name: field.type for field in msgspec.structs.fields(Todo)}
MODELS = {"todo": Todo}
START = 1_750_000_000_000
"""When the runs begin, in epoch milliseconds."""
YEAR = 365 * 86_400_000
NO_AGE = dt.timedelta(0)
_IN_MEMORY = "/dev/shm"
"""Where there is such a folder, files cost no time."""


class Killed(BaseException):
    """A process has lost its power."""


class Broken:
    """A store whose process is killed at one of its next writing transactions."""

    def __init__(self, store: SQLStore) -> None:
        self.store = store
        self.left: int | None = None
        self.how = "before"

    @contextmanager
    def transaction(self, write: bool = True) -> Iterator[Any]:
        now = False
        if write and self.left is not None:
            self.left, now = self.left - 1, self.left == 0
        if now and self.how == "before":
            raise Killed
        with self.store.transaction(write) as tx:
            yield tx
            if now and self.how == "within":
                raise Killed
        if now:
            raise Killed

    def close(self) -> None:
        self.store.close()


class Place:
    """A node, its device, and what the model knows of both."""

    def __init__(self, name: str, folder: Path, clock: Callable[[], int], server: bool, trust: bool) -> None:
        self.name, self.path, self.server, self.trust = name, folder / f"{name}.db", server, trust
        self._clock = clock
        self.ahead = 0
        """What its clock is ahead of the right time."""
        self.token: str | None = None
        self.screens: list[tuple[str, Held]] = []
        self.backups: list[Path] = []
        self.kept: dict[str, Kept] = {}
        """What it holds, as it was looked at last."""
        self.known: dict[str, frozenset[int]] = {}
        """The entries of each record's ledger that are in that."""
        self.met: set[str] = set()
        """Whom it has heard of since its store was last put back."""
        self.store = Broken(SQLStore(self.path, MODELS))
        self.open()

    def now(self) -> int:
        return self._clock() + self.ahead

    def open(self) -> None:
        """Starts the process, anew."""
        self.store.close()
        self.store = Broken(SQLStore(self.path, MODELS))
        self.node = (
            SuperNode(self.name, self.store, models=MODELS, now=self.now)
            if self.server
            else Node(self.name, self.store, models=MODELS, now=self.now, trust_clock=self.trust)
        )

    def back_up(self, to: Path) -> None:
        with closing(sqlite3.connect(self.path)) as db, closing(sqlite3.connect(to)) as copy:
            db.backup(copy)
        self.backups = [*self.backups, to][-3:]

    def put_back(self, backup: Path) -> None:
        self.store.close()
        for end in ("", "-wal", "-shm"):
            Path(f"{self.path}{end}").unlink(missing_ok=True)
        shutil.copy(backup, self.path)
        self.open()


_TAPE = st.binary(min_size=14, max_size=14).map(Tape)
_DAY = st.integers(0, (1 << 32) - 1).map(lambda seed: Tape(Random(seed).randbytes(160)))
_MISHAPS = (
    "none", "request lost", "answer lost", "doubled", "edited meanwhile", "edited meanwhile there",
    "caller killed", "caller killed", "called killed",
)  # fmt: skip

_WHATS = ("clock", "clock", "clock", "right", "back up", "put back", "put back", "restart")

_RENAMED: dict[str, dict[Timestamp, Timestamp]] = {}
"""Of each record the stamps that were written anew, and under which."""


@contextmanager
def renaming() -> Iterator[None]:
    """While it lasts, the machine hears which stamps are written anew."""
    new_stamps, restamped = restamp._new_stamps, vars(versions)["restamped"]
    records: list[str] = []

    def of_record(stored: Any, *args: Any) -> Any:
        records.append(stored.id)
        return restamped(stored, *args)

    def heard(*args: Any) -> Any:
        made = new_stamps(*args)
        _RENAMED.setdefault(records[-1], {}).update(made)
        return made

    batch = exchange.BATCH
    setattr(restamp, "_new_stamps", heard)  # noqa: B010
    setattr(versions, "restamped", of_record)  # noqa: B010
    try:
        yield
    finally:
        setattr(restamp, "_new_stamps", new_stamps)  # noqa: B010
        setattr(versions, "restamped", restamped)  # noqa: B010
        exchange.BATCH = batch


def _anew(guid: str, stamp: Timestamp, seen: VersionVector) -> Timestamp:
    """The stamp that an edit has in a version; one that was pruned goes with the next of its node that was kept."""
    if seen.covers(stamp):
        return stamp
    made = _RENAMED.get(guid, {})
    later = [old for old, new in made.items() if old.node == stamp.node and old >= stamp and seen.covers(new)]
    return made[min(later)] if later else stamp


class NodeMachine(RuleBasedStateMachine):
    """Two to four devices, with a super node or without. Run it within ``renaming()``."""

    counts: ClassVar[Counter[str]]

    # ---- beginning and end

    @initialize(
        devices=st.integers(2, 3),
        shape=st.sampled_from(("hub", "hub and mesh", "mesh")),
        tape=_TAPE,
        days=st.lists(_DAY, max_size=5),
    )
    def begin(self, devices: int, shape: str, tape: Tape, days: list[Tape]) -> None:
        _RENAMED.clear()
        self.folder = Path(tempfile.mkdtemp(prefix="world", dir=_IN_MEMORY if Path(_IN_MEMORY).is_dir() else None))
        self.read: dict[tuple[str, bytes, bytes | None], Kept] = {}
        self.time, self.minted, self.backups = START, 0, 0
        self.shape = shape
        exchange.BATCH = tape.one((1, 2, 3, 1000))
        say(f"{shape} of {devices} devices, {exchange.BATCH} records at once")
        self.books: dict[str, Ledger] = {}
        self.lines: dict[tuple[str, int], VersionVector] = {}
        self.wiped: dict[str, set[int]] = {}
        self.restored = False
        """Whether the super node has lost something: what it said to have is not there."""
        self.late: list[tuple[Place, str | None, bytes]] = []
        self.server = None if shape == "mesh" else Place("server", self.folder, self.right_time, True, False)
        self.devices = [
            Place(f"device{n}", self.folder, self.right_time, False, shape == "mesh") for n in range(devices)
        ]
        self.places = [*([self.server] if self.server else []), *self.devices]
        for device in self.devices:
            self.let_in(device)
        self.write_new(self.devices[0])
        self.write_new(self.devices[-1])
        self.counts["runs"] += 1
        for day in days:
            self.day(tape=day)

    def right_time(self) -> int:
        return self.time

    def let_in(self, device: Place) -> None:
        if self.server is not None:
            assert isinstance(self.server.node, SuperNode)
            relay = self.shape != "hub" or self.restored
            device.token = self.server.node.add_node(device.name, relay=relay, renew=True)

    def teardown(self) -> None:
        if not hasattr(self, "places"):
            return
        try:
            self.end()
        finally:
            for place in self.places:
                place.store.close()
            shutil.rmtree(self.folder)

    def end(self) -> None:
        """Everyone's clock is right, and it is years later; nobody is locked out; they meet until all is quiet."""
        self.time = max(place.now() for place in self.places) + 3 * YEAR
        for place in self.places:
            place.ahead = 0
        for device in self.devices:
            if device.token is None:  # another token would have everything sent again
                self.let_in(device)
        there = {guid: frozenset[int]().union(*(p.known.get(guid, ()) for p in self.places)) for guid in self.books}
        self.until_quiet()
        self.agree()
        for guid, book in self.books.items():
            self.check(guid, book, there[guid])
            self.counts.update({what: n for what, n in book.counts.items() if what in ("tokens", "deleted", "counted")})
        self.purged_in_the_end()

    def until_quiet(self) -> None:
        for _ in range(8):
            if not sum(self.sync_all()):
                return
        raise AssertionError("they never come to rest")

    def sync_all(self) -> Iterator[bool]:
        """Each device with the server; without one, with each other."""
        server = self.server
        for one, other in [(d, server) for d in self.devices] if server else itertools.combinations(self.devices, 2):
            report = self.synced(one, other)
            assert report is not None
            yield bool(report.sent or report.received or report.refused or report.waiting or report.purged)

    def agree(self) -> None:
        """All hold the same; one may have wiped what the others hold as deleted."""
        for guid in sorted({guid for place in self.places for guid in place.kept}):
            held = {place.name: place.kept.get(guid) for place in self.places}
            absent = [p for p in self.places if guid not in p.kept]
            if absent == [self.server] and all(isinstance(p.kept[guid], Purged) for p in self.devices):
                continue  # what the devices made and wiped among themselves is none of the server's business
            assert not absent, f"{guid} is not everywhere: {held}"
            versions = {v.encode(): v for v in held.values() if v is not None and not isinstance(v, Purged)}
            assert len(versions) <= 1, f"the stores differ at {guid}: {held}"
            for v in versions.values():
                wiped = [p for p in held.values() if isinstance(p, Purged)]
                assert v.deleted or not wiped, f"{guid} was wiped, and is there: {held}"

    def check(self, guid: str, book: Ledger, there: frozenset[int]) -> None:
        """Nothing that anybody had is missing, and the ledger says where it is."""
        if not there and not any(guid in place.kept for place in self.places):
            return  # its only store was put back as it was before
        for place in self.places:
            held = place.kept.get(guid)
            if held is None or isinstance(held, Purged):
                continue
            known = self.known_of(guid, held)
            lost = there - known - self.wiped.get(guid, set())
            assert not lost, f"{place.name} has not heard of {[book.entries[i] for i in sorted(lost)]}"
            wiped = self.wiped.get(guid, set()) & known
            if not wiped:
                book.check(Held(held, known))
                self.counts["records checked"] += 1
                return
            shown = Held(held, known).shown
            for i in sorted(known - wiped):  # what came after the record was wiped
                entry = book.entries[i]
                replaced = {j for j in known if i in book.entries[j].seen}
                assert entry.fresh <= shown or replaced or held.deleted, f"{entry} is lost, it came after the wiping"
            self.counts["records that came back"] += 1
            return

    def purged_in_the_end(self) -> None:
        """What is deleted everywhere can be wiped everywhere, and then stays away."""
        gone = {guid for place in self.places for guid, v in place.kept.items() if isinstance(v, Purged) or v.deleted}
        self.time += 1
        for place in self.places:
            self.purged(place)
        self.until_quiet()
        self.agree()
        for place in self.places:
            for guid in gone:
                held = place.kept.get(guid)
                assert held is None or isinstance(held, Purged) or held.conflicts, (
                    f"{place.name} still has {guid}: {held}"
                )
        self.counts["wiped in the end"] += len(gone)

    # ---- what the model sees

    def looked(self, *places: Place, forgets: bool = False) -> None:
        """Sees what nodes hold now. Unless they may forget, everything that was there before still is."""
        for place in places:
            with place.store.transaction(write=False) as tx:
                rows = tx.changes(0, None, 100_000, None)
            place.kept = {row.guid: self.held(place, row) for row in rows}
            for guid, held in place.kept.items():
                self.renamed(guid, held)
                if isinstance(held, Purged) and guid in self.books:
                    self.wiped.setdefault(guid, set()).update(self.known_of(guid, held))
            known = {guid: self.known_of(guid, held) for guid, held in place.kept.items() if guid in self.books}
            if not forgets:
                for guid, before in place.known.items():
                    lost = before - known.get(guid, frozenset()) - self.wiped.get(guid, set())
                    told = [self.books[guid].entries[i] for i in sorted(lost)]
                    assert not lost, f"{place.name} has forgotten what it had: {told}"
            place.known = known
            if not place.server and self.server is not None and not self.restored:
                for row in rows:
                    if row.synchronized and row.purged is None:
                        self.check_synchronized(place, row.guid)

    def held(self, place: Place, row: Any) -> Kept:
        key = row.guid, row.data, row.purged
        if key not in self.read:
            version = place.node.decode(row)
            self.read[key] = version if row.purged is None else Purged(version, vector_of(row.purged))
        return self.read[key]

    def check_synchronized(self, place: Place, guid: str) -> None:
        """What is said to be synchronized is at the back-end."""
        assert self.server is not None
        here, there = place.kept[guid], self.server.kept.get(guid)
        assert (there is not None and here.seen <= there.seen) or isinstance(there, Purged), (
            f"{guid} at {place.name} is said to be synchronized, and {self.server.name} has {there}"
        )

    def known_of(self, guid: str, held: Kept) -> frozenset[int]:
        """The entries that a version has seen."""
        seen = held.seen
        return frozenset(
            entry.id
            for entry in self.books[guid].entries
            if (seen.covers(entry.stamp) if entry.stamp is not None else self.lines[guid, entry.id] <= seen)
        )

    def renamed(self, guid: str, held: Kept) -> None:
        """Edits that were written anew are the same ones in the ledger."""
        book = self.books.get(guid)
        if book is None or isinstance(held, Purged):
            return
        made = _RENAMED.get(guid, {})
        for i, entry in enumerate(book.entries):
            if entry.stamp is not None:
                twice = entry.stamp in made and held.seen.covers(entry.stamp) and held.seen.covers(made[entry.stamp])
                assert not twice, f"{entry} is there twice"
                book.entries[i] = entry._replace(stamp=_anew(guid, entry.stamp, held.seen))
        for (at, i), vector in list(self.lines.items()):
            if at == guid and made:
                self.lines[at, i] = VersionVector([_anew(guid, stamp, held.seen) for stamp in vector.values()])

    def noted(self, guid: str, after: Any) -> None:
        """What was noted since has been seen by whoever has this."""
        for entry in self.books[guid].entries:
            if entry.stamp is None:
                self.lines.setdefault((guid, entry.id), after.seen)

    def screen(self, place: Place, guid: str) -> Held:
        version = place.node.version(guid)
        return Held(version, self.known_of(guid, version) if guid in self.books else frozenset())

    # ---- choices

    def place(self, tape: Tape) -> Place:
        self.counts["steps"] += 1
        self.time += 1 + tape.below(50)
        return tape.one(self.places)

    def guid(self, place: Place, tape: Tape, what: Callable[[Any], bool] = lambda v: True) -> str | None:
        """A record of the ledger's that is there."""
        found = [g for g, v in place.kept.items() if g in self.books and not isinstance(v, Purged) and what(v)]
        return tape.one(sorted(found)) if found else None

    def mint(self) -> int:
        self.minted += 1
        return self.minted

    def change(self, version: Any, tape: Tape) -> dict[str, tuple[Any, Any]]:
        """Other values for one or two fields: what there was, and what there is to be, plain."""
        leaves = own_leaves(version._reading)
        made: dict[str, tuple[Any, Any]] = {}
        for _ in range(1 + tape.below(2)):
            path = tape.one(list(leaves))
            change = change_of(leaves[path].rule)
            assert change is not None
            was = leaves[path].value
            new = None if path == ("owner",) and was is not None and not tape.below(4) else change(was, self.mint, tape)
            if new != was:
                made[str(path[0])] = was, new
        return made

    # ---- writing

    def write_new(self, place: Place) -> None:
        record = Todo(f"w{self.mint()}", None, 1, {f"w{self.mint()}"})
        guid = place.node.insert(record, guid=f"record-{len(self.books)}")
        version = place.node.version(guid)
        book = self.books[guid] = Ledger()
        leaves = own_leaves(version._reading)
        book.write(None, version, None, {path: Write(_unset(path), leaf.value) for path, leaf in leaves.items()})
        self.noted(guid, version)
        self.looked(place)
        say(f"{place.name} inserts {guid}: {record}")

    @precondition(lambda self: len(self.books) < 6)
    @rule(tape=_TAPE)
    def insert(self, tape: Tape) -> None:
        """A new record."""
        self.write_new(self.place(tape))

    @rule(tape=_TAPE)
    def edit(self, tape: Tape) -> None:
        """One edit, or a few in a row."""
        place = self.place(tape)
        guid = self.guid(place, tape)
        for _ in range(1 + tape.below(3)):
            if guid is not None:
                self.edited(place, guid, tape)

    def edited(self, place: Place, guid: str, tape: Tape) -> None:
        before = self.screen(place, guid)
        made = self.change(before.version, tape)
        if not made:
            return
        values = {(name,): _typed(name, new) for name, (_, new) in made.items()}
        if before.version.deleted:
            try:
                place.node.edit(guid, values)
            except RecordDeleted:
                return
            raise AssertionError("a deleted record was edited")
        after = place.node.edit(guid, values)
        say(f"{place.name} edits {guid}: {made} at {after.updated}")
        self.books[guid].write(before, after, before, _meant(made))
        self.counts["edits"] += 1
        self.noted(guid, after)
        self.looked(place)

    @rule(tape=_TAPE)
    def look(self, tape: Tape) -> None:
        """A screen or a form shows a record, and will go on to."""
        place = self.place(tape)
        if (guid := self.guid(place, tape)) is not None:
            place.screens = [*place.screens, (guid, self.screen(place, guid))][-4:]

    @precondition(lambda self: any(place.screens for place in self.places))
    @rule(tape=_TAPE)
    def put(self, tape: Tape) -> None:
        """A stale record is put back whole."""
        self.place(tape)
        place = tape.one([place for place in self.places if place.screens])
        guid, screen = tape.one(place.screens)
        if isinstance(place.kept.get(guid), Purged) or guid not in place.kept:
            return
        before, made = self.screen(place, guid), self.change(screen.version, tape)
        if not made:
            return
        record = screen.version.record
        for name, (_, new) in made.items():
            setattr(record, name, _typed(name, new))
        by_value = not tape.below(3) or not screen.version.seen <= before.version.seen
        base = screen.version.record if by_value else screen.version
        try:
            after = place.node.put(guid, record, base)
        except RecordDeleted:
            assert before.version.deleted
            return
        say(f"{place.name} puts {guid}: {made}, base={base!r} at {after.updated}")
        self.books[guid].write(before, after, screen, _meant(made), by_value)
        self.counts["puts"] += 1
        self.noted(guid, after)
        self.looked(place)

    @rule(tape=_TAPE, stale=st.booleans())
    def delete(self, tape: Tape, stale: bool) -> None:
        """A deletion, of what somebody was looking at."""
        place = self.place(tape)
        guid = self.guid(place, tape)
        if guid is None or tape.below(2):
            return
        before = self.screen(place, guid)
        screens = [s for at, s in place.screens if at == guid and s.version.seen <= before.version.seen]
        screen = tape.one(screens) if screens and stale else before
        after = place.node.delete(guid, base=screen.version if screen is not before else None)
        say(f"{place.name} deletes {guid} at {after.updated}, having seen {screen.version.seen}")
        if after != before.version:
            book = self.books[guid]
            book.mark("delete", before, after, screen)
            book.held(before, after)
            self.counts["deletes"] += 1
        self.looked(place)

    @precondition(lambda self: any(self.deleted(place) for place in self.places))
    @rule(tape=_TAPE)
    def restore(self, tape: Tape) -> None:
        """A deletion is taken back."""
        self.place(tape)
        place = tape.one([place for place in self.places if self.deleted(place)])
        guid = tape.one(self.deleted(place))
        before = self.screen(place, guid)
        after = place.node.restore(guid)
        say(f"{place.name} restores {guid} at {after.updated}")
        self.books[guid].mark("restore", before, after, before)
        self.books[guid].held(before, after)
        self.counts["restores"] += 1
        self.looked(place)

    def deleted(self, place: Place) -> list[str]:
        return sorted(g for g, v in place.kept.items() if g in self.books and not isinstance(v, Purged) and v.deleted)

    @precondition(lambda self: any(self.asking(place) for place in self.places))
    @rule(tape=_TAPE, fork=st.booleans())
    def resolve(self, tape: Tape, fork: bool) -> None:
        """What is open at a field is answered, what was lost there is dismissed, or both are kept."""
        self.place(tape)
        place = tape.one([place for place in self.places if self.asking(place)])
        guid = tape.one(self.asking(place))
        before = self.screen(place, guid)
        v = before.version
        paths = [*(c.path for c in v.conflicts), *(x.path for x in v.lost)]
        at = tape.one(paths)[:1]
        safe = place.ahead == 0 == place.node.status()["offset"]  # test_a_fork_of_the_future_of_a_record_that_moved_on
        if fork and at and not v.deleted and safe:
            heads = [head.value for head in v.explain(at).heads]
            place.node.fork(guid, at)
            after = place.node.version(guid)
            say(f"{place.name} forks {guid} at {at}")
            self.settled(guid, before, after, frozenset(tokens(heads)))
            self.counts["forks"] += 1
        else:
            answers: dict[Any, Any] = {
                c.path: tape.one(c.candidates) for c in v.conflicts if (c.path[:1] == at if at else c.path == ())
            }
            if not answers:
                if v.deleted:
                    return
                answers[at] = getattr(v.record, str(at[0]))
            after = place.node.resolve(guid, answers)
            say(f"{place.name} resolves {guid}: {answers}")
            self.settled(guid, before, after)
            self.counts["resolved"] += 1
        self.looked(place)

    def asking(self, place: Place) -> list[str]:
        found = []
        for guid, v in place.kept.items():
            if guid in self.books and not isinstance(v, Purged) and (v.conflicts or v.lost):
                found.append(guid)
        return sorted(found)

    def settled(self, guid: str, before: Held, after: Any, also: frozenset[int] = frozenset()) -> None:
        book = self.books[guid]
        old = own_leaves(before.version._reading)
        meant: dict[Any, Write] = {}
        for path, state in after._fields.items():
            if state is before.version._fields.get(path):
                continue
            was = old[path].value
            if isinstance(state, History):
                new = [w for w in state.writes if not before.version.seen.covers(w.stamp)]
                if new:
                    meant[path] = Write(was, new[0].value)
            elif any(not before.version.seen.covers(stamp) for stamp in state.stamps()):
                meant[path] = Write(was, state.value())
        flags = [m.deleted for m in after._marks if not before.version.seen.covers(m.commit.stamp)]
        if flags:
            book.mark("delete" if flags[0] else "restore", before, after, before)
        book.write(before, after, before, meant, also=also)
        self.noted(guid, after)

    # ---- many things in a row

    @rule(tape=_DAY)
    def day(self, tape: Tape) -> None:
        """Much happens; evenly, which bytes that are drawn do not."""
        for _ in range(10):
            what = tape.below(22)
            if what > 19 and len(self.books) < 8:
                self.write_new(self.place(tape))
            elif what < 6:
                self.edit(tape=tape)
            elif what < 13:
                self.some_sync(tape, tape.one(_MISHAPS) if what < 10 else "none")
            elif what == 13:
                self.look(tape=tape)
            elif what == 14 and any(place.screens for place in self.places):
                self.put(tape=tape)
            elif what == 15:
                self.delete(tape=tape, stale=bool(tape.below(2)))
            elif what == 16 and any(self.deleted(place) for place in self.places):
                self.restore(tape=tape)
            elif what == 17 and any(self.asking(place) for place in self.places):
                self.resolve(tape=tape, fork=bool(tape.below(2)))
            elif what == 18:
                self.purge(tape=tape)
            elif what == 19:
                self.mishap(tape=tape, what=tape.one(_WHATS))

    # ---- meeting

    @rule(tape=_TAPE, mishap=st.sampled_from(_MISHAPS))
    def sync(self, tape: Tape, mishap: str) -> None:
        """Two nodes synchronize, and something may go wrong."""
        self.some_sync(tape, mishap)

    @rule(tape=_TAPE)
    def good_sync(self, tape: Tape) -> None:
        """Two nodes synchronize."""
        self.some_sync(tape, "none")

    def some_sync(self, tape: Tape, mishap: str) -> None:
        self.place(tape)
        one = tape.one(self.devices)
        others = [p for p in self.places if p is not one and (p is self.server or self.shape != "hub")]
        other = tape.one(others)
        if other is self.server and self.shape != "hub" and not tape.below(6):
            one, other = other, one  # the server calls
        self.synced(one, other, mishap, tape)

    def synced(self, one: Place, other: Place, mishap: str = "none", tape: Tape | None = None) -> Report | None:
        wire = Wire(self, one, other, mishap, tape or Tape(b""))
        if mishap in ("caller killed", "called killed"):
            dies = one if mishap == "caller killed" else other
            dies.store.left, dies.store.how = wire.tape.below(4), wire.tape.one(("before", "within", "after"))
        if mishap != "none":
            say(f"{one.name} and {other.name}: {mishap}")
        report = None
        try:
            report = one.node.sync(wire)
            say(f"{one.name} and {other.name} synchronize: {_shortly(report)}")
        except Killed:
            one.open()
            say(f"{one.name} was killed")
        except Forbidden:
            if one.token is not None:
                raise
            self.counts["refused"] += 1
        except PeerError:
            self.counts["broken off"] += 1
        one.store.left = other.store.left = None
        if report is not None:
            one.met.add(other.name)
            other.met.add(one.name)
        self.looked(*sorted((one, other), key=lambda place: not place.server))
        if report is not None:
            self.counts["synchronized"] += 1
            self.counts["rewritten"] += len(report.rewritten)
            self.counts["waiting"] += len(report.waiting)
            if report.rewritten:
                one.backups = []  # they have the edits under their old stamps, which would count again
        self.counts[mishap] += mishap != "none"
        return report

    @precondition(lambda self: self.late)
    @rule(tape=_TAPE)
    def old_request(self, tape: Tape) -> None:
        """A request of long ago arrives again; its answer is heard by nobody."""
        self.place(tape)
        other, token, data = tape.one(self.late)
        say(f"{other.name} hears an old request")
        try:
            self.deliver(other, token, data)
        except (Forbidden, PeerError):
            return
        self.looked(other)
        self.counts["old requests"] += 1

    def deliver(self, other: Place, token: str | None, data: bytes) -> bytes:
        caller = other.node.authenticate(token or "none") if other.server else None
        return msgspec.msgpack.encode(other.node.answer(msgspec.msgpack.decode(data, type=Request), caller))

    # ---- mishaps

    @rule(tape=_TAPE, what=st.sampled_from(_WHATS))
    def mishap(self, tape: Tape, what: str) -> None:
        """A clock jumps or is set right; a store is backed up, or put back as it was; a process starts anew."""
        place = self.place(tape)
        if what == "clock" and not place.server:
            ahead = place.ahead + tape.one((YEAR, YEAR, YEAR, -YEAR, -100_000, 50, 100_000))
            for other in self.devices if not tape.below(3) else [place]:  # some go by the same wrong time
                other.ahead = ahead
            say(f"{place.name} is {place.ahead} ms ahead")
        elif what == "right":
            place.ahead = 0
            say(f"{place.name} has the right time")
        elif what == "put back" and (backed_up := [p for p in self.places if p.backups]):
            place = tape.one(backed_up)
            self.put_back(place, tape.one(place.backups))
        elif what in ("back up", "put back"):
            what = "back up"
            self.backups += 1
            place.back_up(self.folder / f"backup{self.backups}")
            say(f"{place.name} is backed up")
        elif what == "restart":
            place.open()
        else:
            return
        self.counts[what] += 1

    def put_back(self, place: Place, backup: Path) -> None:
        place.put_back(backup)
        place.node.restored()
        say(f"{place.name} is put back as it was")
        place.screens = []
        self.looked(place, forgets=True)
        place.met = {peer.id for peer in place.node.nodes()} & {other.name for other in self.places}
        for other in self.places:
            other.met.discard(place.name)
        if place.server:
            self.restored = True
            for device in self.devices:
                self.let_in(device)

    @precondition(lambda self: self.server)
    @rule(tape=_TAPE, again=st.booleans())
    def revoke(self, tape: Tape, again: bool) -> None:
        """A device's token dies, or it gets another one."""
        self.counts["steps"] += 1
        device = tape.one(self.devices)
        assert self.server is not None and isinstance(self.server.node, SuperNode)
        if again or tape.below(2):
            self.let_in(device)
            say(f"{device.name} has a new token")
        elif device.token is not None:
            self.server.node.revoke(device.name)
            device.token = None
            say(f"{device.name} is revoked")
            self.counts["revoked"] += 1

    @rule(tape=_TAPE)
    def purge(self, tape: Tape) -> None:
        """What is deleted, and known to be so, is wiped."""
        self.purged(self.place(tape))

    def purged(self, place: Place) -> None:
        before = place.kept
        gone = place.node.purge(NO_AGE)
        if gone:
            say(f"{place.name} wipes {gone}")
        for guid in gone:
            held = before[guid]
            assert not isinstance(held, Purged) and held.deleted and not held.conflicts, f"{guid} was wiped: {held}"
            if guid in self.books and not self.wiped.get(guid):
                self.books[guid].check(Held(held, self.known_of(guid, held)))
            for peer in place.node.nodes():
                other = next(p for p in self.places if p.name == peer.id)
                if other.name in place.met and not (peer.revoked or peer.retired):
                    there = other.kept.get(guid)
                    assert there is not None and held.seen <= there.seen, (
                        f"{place.name} wipes {guid}, and {other.name}, which it knows, has {there}"
                    )
        self.counts["wiped"] += len(gone)
        self.looked(place)


class Wire:
    """The way from one node to another, on which a thing may happen."""

    def __init__(self, machine: NodeMachine, one: Place, other: Place, mishap: str, tape: Tape) -> None:
        self.machine, self.one, self.other, self.mishap, self.tape = machine, one, other, mishap, tape
        self.address = f"node:{other.name}"
        self.at = tape.one((1, 1, 2, 3))
        self.trips = 0

    def __call__(self, request: Request) -> Response:
        self.trips += 1
        assert self.trips < 200, f"{self.one.name} and {self.other.name} talk for ever"
        now = self.mishap if self.trips == self.at else "none"
        data = msgspec.msgpack.encode(request)
        if now == "request lost":
            raise PeerError("the request was lost")
        answer = self.answered(data)
        if now == "answer lost":
            raise PeerError("the answer was lost")
        if now == "doubled":
            answer = self.tape.one((answer, self.answered(data)))
        if now in ("edited meanwhile", "edited meanwhile there"):
            place = self.one if now == "edited meanwhile" else self.other
            self.machine.looked(self.other, self.one)
            if (guid := self.machine.guid(place, self.tape)) is not None:
                self.machine.edited(place, guid, self.tape)
        return msgspec.msgpack.decode(answer, type=Response)

    def answered(self, data: bytes) -> bytes:
        other = self.other
        if other.server and self.tape.below(3) == 0:
            self.machine.late = [*self.machine.late, (other, self.one.token, data)][-5:]
        try:
            return self.machine.deliver(other, self.one.token, data)
        except Killed:
            other.open()
            say(f"{other.name} was killed")
            raise PeerError("the other end is gone") from None


def _shortly(report: Report) -> str:
    return ", ".join(f"{name} {value}" for name, value in msgspec.structs.asdict(report).items() if value)


def _unset(path: Any) -> Any:
    return msgspec.UNSET


def _typed(name: str, value: Any) -> Any:
    return msgspec.convert(value, _TYPES[name])


def _meant(made: Mapping[str, tuple[Any, Any]]) -> dict[Any, Write]:
    return {(name,): Write(was, new) for name, (was, new) in made.items()}


def node_machine() -> type[NodeMachine]:
    """A machine with counts of its own."""
    return type("Nodes", (NodeMachine,), {"counts": Counter()})
