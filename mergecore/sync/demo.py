"""``mergecore demo``: three devices and a super node edit one list offline, clash in every way, and end identical.

All is real but the people and the time: four SQLite files in a temporary folder, HTTP on this machine, a clock that is
a year ahead. What is told is read from the stores and off the wire; what a person would answer is drawn.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import queue
import random
import signal
import socket
import sqlite3
import tempfile
import threading
import time
import typing
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import httpx
import msgspec
import uvicorn
from rich.text import Text

from mergecore import UNSET, Candidate, Conflict, MergeError, Strategy, add_wins, counter, keep_both, text

from .client import HTTPLink
from .demo_screen import COLORS, Row, Screen, Store, colored
from .exchange import Report
from .node import Node
from .plan import plan
from .protocol import Change, Request, Response, held_of
from .supernode import SuperNode

__all__ = ["Task", "run"]


class Task(msgspec.Struct):
    """What the list is made of."""

    title: str  # the default: three_way() | lww
    votes: Annotated[int, counter] = 0
    tags: Annotated[set[str], add_wins] = set()
    assignee: Annotated[str | None, keep_both] = None
    note: Annotated[str, text()] = ""


_TODO = "todo"
_YEAR = 365 * 24 * 3_600_000
_DRIFT = 60_000
"""So far ahead, in milliseconds, a stamp may be."""

_PEOPLE = ("Ann", "Ben", "Cleo", "Dora", "Emil", "Fay", "Gus", "Hana")
_CLASH = (
    ("milk", "oat milk", "rice milk", "soy milk"),
    ("tea", "green tea", "mint tea", "black tea"),
    ("bread", "rye bread", "corn bread", "flat bread"),
)
_NEW = ("coffee", "jam", "napkins", "ice", "lemons", "salt", "mustard")
_ONE = (("eggs", "brown eggs"), ("beans", "green beans"), ("plates", "paper plates"))
_GONE = ("sofa", "stamps", "batteries")
_WEB = (("juice", "plum juice"), ("cheese", "goat cheese"), ("chairs", "camp chairs"))
_WHO = ("cake", "tent", "grill")
_BOTH = ("guitar", "camera", "games")
_NOTE = ("Meet at ten.", "By the lake.", "Bring a blanket.", "Rain: at home.", "Back by six.")
_NOTES = (("Meet at nine.", "Meet at noon."), ("Bring a pillow.", "Bring a book."), ("Back by four.", "Back by dark."))
_VOTES, _TAG = 1, "shop"
"""What there is at first."""
_TAGS = ("vegan", "green", "cheap", "cold", "party")

_KINDS = {
    "insert": "new", "update": "changed", "delete": "deleted", "restore": "restored", "merge": "merged",
    "purge": "wiped", "ignore": "known",
}  # fmt: skip


def run(fast: bool, seed: int | None) -> int:
    """Plays it. Returns 0 if all four stores end equal, 1 if not, 130 after Ctrl-C.

    ``seed`` decides who edits what, and in which order; without one it is drawn. ``fast``: without pauses, as there are
    none without a terminal either.
    """
    seed = random.SystemRandom().randrange(10_000) if seed is None else seed
    screen = Screen(not fast)
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(_direct())
            stack.enter_context(_ended_like_ctrl_c())
            folder = tempfile.TemporaryDirectory(prefix="mergecore-", ignore_cleanup_errors=True)
            return _Demo(screen, seed, Path(stack.enter_context(folder)), stack).play()
    except (_Failed, MergeError) as failure:
        screen.say(f"mergecore: {failure}")
        return 1
    except KeyboardInterrupt:
        screen.say("Stopped. The four stores are gone with their folder.")
        return 130


class _Failed(Exception):
    """It did not end as it has to."""


# ---------------------------------------------------------------------------------------------------- the world


class _Time:
    """An afternoon that takes seconds: real time, and what has been skipped."""

    def __init__(self) -> None:
        self.skipped = -5 * 3_600_000

    def now(self) -> int:
        return time.time_ns() // 1_000_000 + self.skipped

    def skip(self, minutes: int) -> None:
        self.skipped += minutes * 60_000


class _Trip(NamedTuple):
    """One request and its answer: which record, and what the other side made of it."""

    up: list[tuple[str, str]]
    refused: list[tuple[str, str]]
    down: list[tuple[str, str]]


class _Wire:
    """A link that counts what travels, and asks ``plan`` what the receiving store will do with it."""

    def __init__(self, node: Node, server: Node, url: str, token: str) -> None:
        hooks: dict[str, list[Any]] = {"request": [self._leaves], "response": [self._arrives]}
        self.client = httpx.Client(timeout=30, trust_env=False, event_hooks=hooks)
        self.link = HTTPLink(url, token, self.client)
        self.address = self.link.address
        self.node, self.server = node, server
        self.up = self.down = 0
        """Bytes, as they were packed."""
        self.trips: list[_Trip] = []

    def __call__(self, request: Request) -> Response:
        planned = _planned(self.server, request.changes)
        response = self.link(request)
        why: dict[str, str] = {result.guid: result.why for result in response.results}
        up = [(guid, kind) for guid, kind in planned if not why.get(guid)]
        refused = [(guid, why[guid]) for guid, _ in planned if why.get(guid)]
        self.trips.append(_Trip(up, refused, _planned(self.node, response.changes)))
        return response

    def _leaves(self, request: httpx.Request) -> None:
        self.up += len(request.content)

    def _arrives(self, response: httpx.Response) -> None:
        response.read()
        self.down += response.num_bytes_downloaded


def _planned(node: Node, changes: Sequence[Change]) -> list[tuple[str, str]]:
    with node.store.transaction(write=False) as tx:
        rows = tx.rows(change.guid for change in changes)
        held = [(held_of(c, *node.binding(c.model)), node.held(rows.get(c.guid))) for c in changes]
    return [(change.guid, plan(came, stored).kind) for change, (came, stored) in zip(changes, held)]


class _Device:
    """A device, the person who holds it, and its link to the super node."""

    def __init__(self, name: str, person: str, node: Node, wire: _Wire, token: str) -> None:
        self.name, self.person, self.node, self.wire, self.token = name, person, node, wire, token
        self.doing = "online"


class _Item:
    """A record, and what became of it."""

    def __init__(self, label: str, *fields: str) -> None:
        self.label, self.fields = label, fields
        self.guid = ""
        self.did: dict[str, list[str]] = {}
        """What was done, and where."""
        self.kinds: list[str] = []
        """What the server's store did with what came."""
        self.verdicts: list[str] = []
        self.edits: dict[str, Any] = {}
        """By device, what it did to a note, a counter or a set."""

    def done(self, what: str, name: str) -> None:
        names = self.did.setdefault(what, [])
        if name not in names:
            names.append(name)


class _Follower:
    """A device that synchronizes when the server says so, in a thread."""

    def __init__(self, device: _Device, url: str) -> None:
        self._stop = threading.Event()
        self._told: queue.Queue[float | Exception] = queue.Queue()
        self._work = device.node.follow(url, token=device.token, stop=self._stop)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> _Follower:
        self._thread.start()
        self.next()  # the first one says that it listens
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        try:
            for _ in self._work:
                self._told.put(time.perf_counter())
        except Exception as error:
            self._told.put(error)

    def next(self) -> float:
        """Waits until it was told, and has synchronized: when."""
        try:
            told = self._told.get(timeout=20)
        except queue.Empty:
            raise _Failed("the phone was told nothing within 20 s") from None
        if isinstance(told, Exception):
            raise told
        return told


@contextlib.contextmanager
def _served(app: Any) -> Iterator[str]:
    """The app on a free port of this machine, in a thread: its URL."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, log_level="critical", ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        for _ in range(2000):
            if server.started or not thread.is_alive():
                break
            time.sleep(0.01)
        if not server.started:
            raise _Failed("the server does not start")
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


@contextlib.contextmanager
def _direct() -> Iterator[None]:
    """What is on this machine is not asked of a proxy."""
    before = {name: os.environ.get(name) for name in ("NO_PROXY", "no_proxy")}
    for name in before:
        os.environ[name] = "127.0.0.1"
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _ended_like_ctrl_c() -> Iterator[None]:
    """A window that is closed, and ``kill``, leave no folder behind either."""
    names = ("SIGTERM", "SIGHUP") if threading.current_thread() is threading.main_thread() else ()
    before = {}
    for number in [getattr(signal, name) for name in names if hasattr(signal, name)]:
        before[number] = signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# ---------------------------------------------------------------------------------------------------- the story


class _Demo:
    """The story, act by act."""

    def __init__(self, screen: Screen, seed: int, folder: Path, stack: contextlib.ExitStack) -> None:
        self.screen, self.seed, self.folder = screen, seed, folder
        self.random = random.Random(seed)
        self.time = _Time()
        self.began = time.monotonic()
        self.ahead = 0
        """Of the tablet's clock, in milliseconds."""
        models = {_TODO: Task}
        people = self.random.sample(_PEOPLE, 4)
        self.server = SuperNode("server", folder / "server.db", models=models, now=self.time.now, heartbeat=0.2)
        stack.callback(self.server.close)
        self.url = stack.enter_context(_served(self.server.app))
        self.devices: list[_Device] = []
        for name, person in zip(("laptop", "phone", "tablet"), people):
            token = self.server.add_node(name, client_name=f"{person}'s {name}")
            now = self._ahead if name == "tablet" else self.time.now
            node = Node(name, folder / f"{name}.db", models=models, by=person, now=now)
            wire = _Wire(node, self.server, self.url, token)
            self.devices.append(_Device(name, person, node, wire, token))
            stack.callback(node.close)
            stack.callback(wire.client.close)
        self.laptop, self.phone, self.tablet = self.devices
        self.person = people[3]
        """Has no device: a web page."""
        headers = {"Authorization": f"Bearer {self.server.add_node('web', client_name='the web page')}"}
        self.web = httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False)
        stack.callback(self.web.close)
        pick = self.random.choice
        self.clash_titles, self.one_titles, self.web_titles = pick(_CLASH), pick(_ONE), pick(_WEB)
        self.fresh = [_Item(label, "title") for label in self.random.sample(_NEW, 3)]
        self.one = _Item(self.one_titles[0], "title", "assignee")
        self.gone = _Item(pick(_GONE), "title")
        self.clash = _Item(self.clash_titles[0], "title")
        self.who = _Item(pick(_WHO), "assignee")
        self.both = _Item(pick(_BOTH), "assignee")
        self.note = _Item("picnic", "note")
        self.votes = _Item("movie", "votes")
        self.tags = _Item("salad", "tags")
        self.late = _Item("candles", "title")
        self.page = _Item(self.web_titles[0], "title", "assignee")
        self.listed = [
            self.one, self.gone, self.clash, self.who, self.both, self.note, self.votes, self.tags, self.late,
            self.page,
        ]  # fmt: skip
        self.copies: list[_Item] = []
        self.serving = "online"
        self.synced = 0.0
        """When a device has synchronized last."""

    def _ahead(self) -> int:
        return self.time.now() + self.ahead

    @property
    def items(self) -> list[_Item]:
        return [*self.fresh, *self.listed, *self.copies]

    def play(self) -> int:
        """All of it."""
        say = self.screen.say
        say(Text.assemble(("mergecore demo", "bold"), f"   seed {self.seed}"))
        names = ", ".join(f"{device.person} ({device.name})" for device in self.devices)
        say(
            f"{names} and {self.person} (a web page) share one to-do list. Each device and the server "
            "has an SQLite file of its own; they talk HTTP, here on this machine. An afternoon takes seconds.",
            after=3,
        )
        with self.screen.boxes():
            self.one_list()
            self.offline()
            self.a_year_ahead()
            self.the_others()
            self.verdicts()
            self.stale()
            self.told()
            self.decided()
            self.wiped()
        return self.proof()

    # ---- the acts

    def one_list(self) -> None:
        self.screen.act(1, "One list")
        for item in self.listed:
            task = Task(item.label)
            if item is self.votes:
                task.votes = _VOTES
            elif item is self.tags:
                task.tags = {_TAG}
            elif item is self.note:
                task.note = "".join(f"{line}\n" for line in _NOTE)
            item.guid = self.laptop.node.insert(task)
            self.time.skip(1)
        self.line(self.laptop, "writes the list: " + ", ".join(item.label for item in self.listed))
        for device in self.devices:
            self.sync(device, detail=False)
        for item in self.items:
            item.kinds.clear()
        self.etag = self.fetched()

    def fetched(self) -> str:
        """The web page is opened."""
        answer = self.web.get(f"/records/{_TODO}/{self.page.guid}")
        answer.raise_for_status()
        tag = answer.headers["etag"]
        self.line("web", f'{self.person} opens {self.page.label}: GET /records/{_TODO}/…  ETag {tag[:7]}…"')
        return str(tag)

    def offline(self) -> None:
        self.screen.act(2, "Offline, everybody edits")
        for device in self.devices:
            device.doing = "offline"
        self.ahead = _YEAR
        date = dt.datetime.fromtimestamp(self.tablet.node.wall() / 1000).strftime("%d %b %Y")
        self.line(self.tablet, Text.assemble("its clock has jumped a year ahead: ", (date, "bold red")))
        laptop, phone, tablet = self.devices
        notes = [self.random.choice(pair) for pair in _NOTES]
        tags = self.random.sample(_TAGS, 2)
        edits: list[tuple[_Device, _Item, str, Any]] = [
            *((device, item, "new", item.label) for device, item in zip(self.devices, self.fresh)),
            (phone, self.one, "title", self.one_titles[1]),
            (laptop, self.gone, "deleted", None),
            (laptop, self.clash, "title", self.clash_titles[1]),
            (tablet, self.clash, "title", self.clash_titles[2]),
            *((device, self.who, "assignee", device.person) for device in (laptop, phone)),
            *((device, self.both, "assignee", device.person) for device in (phone, tablet)),
            *((device, self.note, "note", (2 * i, notes[i])) for i, device in enumerate(self.devices)),
            *((device, self.votes, "votes", self.random.randint(1, 3)) for device in self.devices),
            (laptop, self.tags, "tags", ({tags[0]}, set())),
            (tablet, self.tags, "tags", ({tags[1]}, set())),
            (phone, self.tags, "tags", (set(), {_TAG})),
            (tablet, self.late, "deleted", None),
            (phone, self.late, "title", f"{self.random.randint(12, 40)} candles"),
            (laptop, self.page, "title", self.web_titles[1]),
        ]
        self.random.shuffle(edits)
        for device, item, field, value in edits:
            self.edit(device, item, field, value)

    def a_year_ahead(self) -> None:
        self.screen.act(3, "The tablet is back, with edits of next year")
        mine = [item for item in self.items if item.guid and any("tablet" in who for who in item.did.values())]
        before = {item.guid: self.tablet.node.version(item.guid).updated.datetime for item in mine}
        report = self.sync(self.tablet)
        for item in self.named(report.rewritten)[:1]:
            was, now = before[item.guid], self.tablet.node.version(item.guid).updated.datetime
            dates = Text.assemble((_date(was), "red"), " → ", (_date(now), "green"))
            told = f"written anew under the server's time: {len(report.rewritten)} records; {item.label}, for one: "
            self.line(self.tablet, Text.assemble(told, dates), after=2.0)
        self.edit(self.phone, self.clash, "title", self.clash_titles[3], "still offline")

    def the_others(self) -> None:
        order = self.random.sample([self.laptop, self.phone], 2)
        self.screen.act(4, f"Then the {order[0].name}, then the {order[1].name}")
        for device in order:
            self.sync(device)
            if device is self.laptop:
                self.try_to_wipe()
        self.settle()

    def try_to_wipe(self) -> None:
        """Too early: not everybody has heard of the deletion."""
        wiped = self.server.purge(dt.timedelta(0))
        behind = [peer.id for peer in self.server.nodes() if peer.behind and peer.id in COLORS and peer.id != "web"]
        if self.gone.guid in wiped:
            raise _Failed(f"{self.gone.label} was wiped before {' and '.join(behind)} had heard of its deletion")
        told = Text(f"may {self.gone.label} be wiped for good? Not yet: ")
        for i, name in enumerate(behind):
            told.append(" and " if i else "").append_text(colored(name))
        self.line("server", told.append(f" {'has' if len(behind) == 1 else 'have'} not heard of it"), after=1.5)

    def verdicts(self) -> None:
        self.screen.act(5, "What clashed, and the verdict")
        for item in (self.clash, self.who, self.both, self.votes, self.tags, self.note):
            self.asked(item, item.fields[0])
        for conflict in self.server.version(self.late.guid).conflicts:
            self.late.verdicts.append("edit/deletion")
            lines = [_said(c) for c in conflict.candidates]
            self.screen.card(f"{self.late.label}: {conflict.reason}", lines, _open("both stay, until a person decides"))
        self.refresh()

    def stale(self) -> None:
        self.screen.act(6, "A web page that is hours old is saved")
        here = self.server.version(self.page.guid)
        address = f"/records/{_TODO}/{self.page.guid}"
        now = self.web.get(address).headers["etag"]
        told = f'PATCH {{"assignee": "{self.person}"}}  If-Match {self.etag[:7]}…"  (now {now[:7]}…")'
        self.line("web", told, after=1.2)
        answer = self.web.patch(address, json={"assignee": self.person}, headers={"If-Match": self.etag})
        if answer.status_code != 200:
            raise _Failed(f"the web page's write is answered {answer.status_code}: {answer.text}")
        self.page.done("assignee", "web")
        record = answer.json()["record"]
        if (record["title"], record["assignee"]) != (here.record.title, self.person):
            raise _Failed(f"{self.page.label} has lost something: it is {record} now")
        self.page.verdicts.append("ETag: both stay")
        told = f"200: “{record['title']}” of the {self.page.did['title'][0]} stays, {record['assignee']} does it"
        self.line("server", Text(told, "green"), after=1.5)

    def told(self) -> None:
        self.screen.act(7, "Push: the phone is told, while a form is open on it")
        phone, laptop, item = self.phone, self.laptop, self.one
        for device in self.devices:
            self.sync(device, detail=False)
        with _Follower(phone, self.url) as follower:
            phone.doing = "listening"
            self.refresh()
            form = phone.node.get(item.guid)
            shown = phone.node.get(item.guid)
            self.line(phone, f"listens: GET /events. {phone.person} opens the form of “{shown.title}”")
            self.edit(laptop, item, "assignee", laptop.person)
            self.sync(laptop, detail=False)
            came = follower.next()
            while phone.node.get(item.guid).assignee != laptop.person:
                came = follower.next()
            took = max(0.0, came - self.synced) * 1000
        now = phone.node.get(item.guid)
        self.line(phone, Text(f"was told, and has it after {took:.0f} ms: {now.assignee} does it", "green"))
        form.title = f"{self.random.randint(2, 9)} {shown.title}"
        version = phone.node.put(item.guid, form, base=shown)
        self.line(phone, f"saves the stale form whole: “{form.title}”, assignee {form.assignee}")
        record = version.record
        if (record.title, record.assignee) != (form.title, laptop.person):
            raise _Failed(f"the stale form has reverted somebody: it is {record} now")
        item.verdicts.append("form: both stay")
        told = f"nobody is reverted: “{record.title}”, {record.assignee} does it"
        self.line(phone, Text(told, "green"), after=1.5)
        self.sync(phone, detail=False)

    def decided(self) -> None:
        person = self.laptop.person
        self.screen.act(8, f"{person} decides what is open (the answers are simulated)")
        self.sync(self.laptop, detail=False)
        waiting = {entry.guid: entry for entry in self.laptop.node.inbox()}
        for item in [item for item in self.items if item.guid in waiting]:
            for conflict in waiting[item.guid].conflicts:
                self.answered(item, conflict)
            if lost := waiting[item.guid].lost:
                options = [_said(Candidate(x.value, x.stamp, x.stamp.node, x.by)) for x in lost]
                options.append(Text("leave it so"))
                chosen, shown = self.random.randrange(len(lost)), _value(self.laptop.node.get(item.guid))
                self.laptop.node.edit(item.guid, {lost[chosen].path: lost[chosen].value})
                item.verdicts[-1] += ": brought back"
                now = self.laptop.node.version(item.guid)
                outcome = f"brought back: “{now.record.title}”; lost now: {len(now.lost)}"
                self.question(f"{item.label}: {shown} won, and these lost", options, chosen, outcome)
        self.screen.say()
        self.sync(self.laptop)
        self.settle()

    def answered(self, item: _Item, conflict: Conflict) -> None:
        """One open question, and a drawn answer."""
        node = self.laptop.node
        path = ".".join(map(str, conflict.path)) or conflict.reason
        options = [_said(c) for c in conflict.candidates]
        if conflict.path:
            options.append(Text("keep both, as two records"))
        if item is self.both:
            chosen = len(options) - 1
            copies = node.fork(item.guid, conflict.path)
            for guid in copies:
                copy = _Item(f"{item.label} (2)", *item.fields)
                copy.guid = guid
                copy.done("forked", self.laptop.name)
                self.copies.append(copy)
            item.verdicts[-1] += ": forked"
            made = " and ".join(f"{item.label} of {node.get(guid).assignee}" for guid in (item.guid, *copies))
            self.question(f"{item.label}: {path}", options, chosen, f"two records: {made}")
            return
        chosen = self.random.randrange(len(conflict.candidates))
        version = node.resolve(item.guid, {conflict.path: conflict.candidates[chosen]})
        value = "deleted" if version.deleted else self.shown(item, node)
        item.verdicts[-1] += ": gone" if version.deleted else f": {value}" if conflict.path else ": edit"
        self.question(f"{item.label}: {path}", options, chosen, f"{value}; open now: {len(version.conflicts)}")

    def wiped(self) -> None:
        self.screen.act(9, "Deleted by all, then wiped for good")
        wiped = self.named(self.server.purge(dt.timedelta(0)))
        for item in wiped:
            item.kinds.append("purge")
        if left := [item for item in self.named(self.server.all(_TODO, deleted=True)) if item not in wiped]:
            raise _Failed(f"deleted for all, and not wiped: {', '.join(item.label for item in left)}")
        self.line("server", f"all have acknowledged; it purges {', '.join(item.label for item in wiped)}")
        self.settle(told=True)

    def proof(self) -> int:
        """What is in the four files, and whether it is the same."""
        names = [*(device.name for device in self.devices), "server"]
        files = [_stored(self.folder / f"{name}.db") for name in names]
        wrong = _wrong(names, files, self.time.now())
        rows = []
        for item in self.items:
            there = [stored[item.guid].data if item.guid in stored else None for stored in files]
            same = [data == there[-1] for data in there]
            did = [(what, who) for what, who in item.did.items()]
            rows.append(Row(item.label, did, self.verdict(item), self.shown(item), same))
        self.screen.table(rows)
        if wrong:
            raise _Failed("the stores are not the same: " + "; ".join(wrong))
        wires = [device.wire for device in self.devices]
        trips, up, down = (sum(found) for found in zip(*((len(w.trips), w.up, w.down) for w in wires)))
        self.screen.say(
            Text.assemble(
                (f"All {len(rows)} are the same on {', '.join(names[:-1])} and {names[-1]}: ", "bold green"),
                "equal bytes in four SQLite files, no conflict open, nothing unsent, nothing of next year.",
            )
        )
        took = f"{trips} round trips, {_size(up)} up, {_size(down)} down, {time.monotonic() - self.began:.0f} s."
        self.screen.say(f"{took} Again: mergecore demo --seed {self.seed}")
        return 0

    # ---- what the acts are made of

    def edit(self, device: _Device, item: _Item, field: str, value: Any, remark: str = "") -> None:
        """Somebody edits something, on a device that may be offline."""
        self.time.skip(self.random.randint(2, 9))
        was, device.doing = device.doing, "editing"
        node, guid = device.node, item.guid
        if field == "new":
            item.guid = node.insert(Task(value))
            told = Text.assemble((value, "bold"), " is new")
        elif field == "deleted":
            node.delete(guid)
            told = Text.assemble((item.label, "bold"), " is ", ("deleted", "red"))
        else:
            before = getattr(node.get(guid), field)
            item.edits[device.name] = value
            if field == "note":
                place, words = value
                lines = before.splitlines()
                value, shown = "\n".join([*lines[:place], words, *lines[place + 1 :]]) + "\n", f"“{words}”"
            elif field == "votes":
                value, shown = before + value, f"{before} → {before + value}"
            elif field == "tags":
                shown, value = _signed(value), (before | value[0]) - value[1]
            else:
                shown = f"“{value}”"
            node.edit(guid, {field: value})
            told = Text.assemble((item.label, "bold"), f"  {field} ", (shown, COLORS[device.name]))
        item.done(field, device.name)
        self.refresh()
        self.line(device, told.append(f"  ({remark})" if remark else "", "bright_black"), after=0.38)
        device.doing = was

    def sync(self, device: _Device, *, detail: bool = True) -> Report:
        """A device and the server exchange; what travels is shown."""
        self.time.skip(1 if device.doing == "online" else self.random.randint(2, 9))
        wire = device.wire
        device.doing, begun, up, down = "syncing", len(wire.trips), wire.up, wire.down
        self.refresh()
        report = device.node.sync(wire)
        self.synced = time.perf_counter()
        trips = wire.trips[begun:]
        sent, got = [x for trip in trips for x in trip.up], [x for trip in trips for x in trip.down]
        refused = [x for trip in trips for x in trip.refused]
        for guid, kind in sent:
            self.item(guid).kinds.append(kind)
        if not (sent or got or refused):
            device.doing = "online"
            self.refresh()
            return report
        device.doing, self.serving = f"▲ {len(sent)}  ▼ {len(got)}", f"▼ {len(sent)}  ▲ {len(got)}"
        self.refresh()
        rounds = f"{len(trips)} round trip{'s' * (len(trips) > 1)}"
        told = f"▲ {_records(len(sent) + len(refused))} {_size(wire.up - up)}   "
        told += f"▼ {_records(len(got))} {_size(wire.down - down)}   {rounds}"
        self.line(device, told, after=0.2 if detail else 0.5)
        for guid, why in refused:
            if guid not in report.rewritten:
                raise _Failed(f"the server refuses {self.item(guid).label} of the {device.name}: {why}")
        if refused:
            labels = ", ".join(item.label for item in self.named(guid for guid, _ in refused))
            told = f"refused, stamped in the future: {labels}"
            self.screen.line("", "", Text(told, "red"), after=1.2)
        for arrow, found in (("▲", sent), ("▼", got)) if detail else ():
            kinds = [kind for kind in _KINDS if any(kind == k for _, k in found)]
            parts = [
                f"{_KINDS[kind]}: {', '.join(item.label for item in self.named(g for g, k in found if k == kind))}"
                for kind in kinds
            ]
            if parts:
                self.screen.line("", "", Text(f"{arrow} {' · '.join(parts)}", "bright_black"), after=0.6)
        device.doing = self.serving = "online"
        self.refresh()
        return report

    def settle(self, told: bool = False) -> None:
        """Rounds of synchronizing, until nobody has anything that another one has not."""
        for _ in range(6):
            reports = [self.sync(device) for device in self.devices]
            if not any(report.sent or report.received or report.purged for report in reports):
                if told:
                    trips = ", ".join(str(report.round_trips) for report in reports)
                    self.line("server", f"nobody has anything new; round trips to hear it: {trips}", after=1.2)
                return
        raise _Failed("the devices do not come to rest")

    def asked(self, item: _Item, field: str) -> None:
        """What is concurrent in a field, and what became of it: as the server's store says it."""
        version = self.server.version(item.guid)
        told, strategy = version.explain(field), _strategy(field)
        part = next((v.decided_by for step in reversed(told.steps) for v in step.verdicts), strategy)
        lines = [_said(head) for head in told.heads]
        if told.conflicts:
            verdict, short = _open("both stay, until a person decides"), strategy
        elif told.lost:
            lost = ", ".join(_value(one.value) for one in told.lost)
            verdict, short = Text(f"{part}: {_value(told.value)} is later; lost, but kept: {lost}", "green"), part
        elif field == "note":
            lines = [self.written(item, line) for line in told.value.splitlines()]
            verdict, short = Text(f"{part}: merged as git does, no conflict", "green"), f"{part}: merged"
        elif field == "votes":
            lines = [_said(head, f"+{item.edits[_device(head.name)]}", self.by(head)) for head in told.heads]
            sum_ = " + ".join(str(n) for n in (_VOTES, *(item.edits[_device(head.name)] for head in told.heads)))
            verdict, short = Text(f"{part}: {sum_} = {told.value}", "green"), f"{part}: sum"
        else:
            lines = [_said(head, _signed(item.edits[_device(head.name)]), self.by(head)) for head in told.heads]
            verdict, short = Text(f"{part}: {_value(told.value)}", "green"), f"{part}: all"
        item.verdicts.append(short)
        beside = [c.value for conflict in told.conflicts for c in conflict.candidates] + [x.value for x in told.lost]
        self.check(item, field, told.value, beside)
        title = Text.assemble((f"{item.label}: {field}", "bold"), (f"   {strategy}", "bright_black"))
        self.screen.card(title, lines, verdict, after=1.7)

    def check(self, item: _Item, field: str, there: Any, beside: Iterable[Any]) -> None:
        """That nobody's edit is lost, by what was done."""
        edits = list(item.edits.values())
        wanted: Any
        if item is self.votes:
            wanted = _VOTES + sum(edits)
        elif item is self.tags:
            wanted = {_TAG}.union(*(plus for plus, _ in edits)).difference(*(minus for _, minus in edits))
        elif item is self.note:
            lines = dict(edits)
            wanted = "".join(f"{lines.get(i, line)}\n" for i, line in enumerate(_NOTE))
        else:  # shown, open or lost
            wanted = set(edits)
            there = {there, *beside}
        if there != wanted:
            raise _Failed(f"{item.label} has lost something: {field} is {there!r}, and not {wanted!r}")

    def written(self, item: _Item, line: str) -> Text:
        """A line of the note, and who wrote it."""
        for name, (_, words) in item.edits.items():
            if words == line:
                return colored(name, f"{line:18}  {name}")
        return Text(line, "bright_black")

    def by(self, head: Candidate) -> str:
        """Who holds a device: counters and sets keep no names."""
        return next(device.person for device in self.devices if device.name == _device(head.name))

    def question(self, title: str, options: Sequence[Text], chosen: int, outcome: str) -> None:
        """A question as a person gets it, and the simulated answer."""
        lines = [Text.assemble((f"[{'abcdef'[i]}] ", "bold"), option) for i, option in enumerate(options)]
        answer = Text.assemble((f"> {'abcdef'[chosen]}  ", "bold"), (outcome, "green"))
        self.screen.card(title, lines, answer, after=1.7)
        self.refresh()

    def line(self, who: _Device | str, told: str | Text, *, after: float = 0.6) -> None:
        name = who if isinstance(who, str) else who.name
        self.screen.line(_hour(self.time.now()), name, told, after=after)

    def refresh(self) -> None:
        """Looks into the stores, and shows them."""
        if not self.screen.has_boxes:
            return
        now, shown = self.time.now(), []
        for device in self.devices:
            wrong = abs(device.node.wall() - now) > _DRIFT
            shown.append(self._store(device.node, device.name, device.person, device.doing, wrong))
        self.screen.show([*shown, self._store(self.server, "server", "", self.serving, False)])

    def _store(self, node: Node, name: str, person: str, doing: str, wrong: bool) -> Store:
        with contextlib.closing(sqlite3.connect(self.folder / f"{name}.db")) as db:
            is_open = "_conflicts > 0 OR _lost > 0"
            told = f"sum(NOT is_deleted), sum(NOT is_synchronized), sum({is_open})"
            tasks, unsent, waiting = (n or 0 for n in db.execute(f"SELECT {told} FROM {_TODO}").fetchone())
        clock = dt.datetime.fromtimestamp(node.wall() / 1000).strftime("%d %b %Y %H:%M")
        return Store(name, person, tasks, unsent, waiting, clock, wrong, doing)

    def item(self, guid: str) -> _Item:
        return next(item for item in self.items if item.guid == guid)

    def named(self, guids: Iterable[str]) -> list[_Item]:
        wanted = set(guids)
        return [item for item in self.items if item.guid in wanted]

    def shown(self, item: _Item, node: Node | None = None) -> str:
        """What a store has of a record, in short."""
        record = (node or self.server).get(item.guid)
        if record is None:
            return "gone"
        values = [getattr(record, field) for field in item.fields]
        return ", ".join(_short(value) for value in values if value is not None)

    def verdict(self, item: _Item) -> str:
        one_sided = {"insert": "inserted", "update": "taken", "delete": "deleted"}
        if item.verdicts:
            return item.verdicts[-1]
        found = [one_sided.get(kind, kind) for kind in item.kinds[:1]]
        return ", ".join([*found, *("purged" for kind in item.kinds if kind == "purge")])


# ---------------------------------------------------------------------------------------------------- the proof


class _Stored(NamedTuple):
    """A row, as it is in a file."""

    data: bytes
    synchronized: bool
    conflicts: int
    updated: str


def _stored(path: Path) -> dict[str, _Stored]:
    """What is in a file, by GUID, without asking the node."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        columns = "guid, _version, is_synchronized, _conflicts, date_updated"
        return {guid: _Stored(*row) for guid, *row in db.execute(f"SELECT {columns} FROM {_TODO}")}


def _wrong(names: Sequence[str], files: Sequence[dict[str, _Stored]], now: int) -> list[str]:
    """What is not as it has to be in the end: one sentence each."""
    found = []
    latest = dt.datetime.fromtimestamp((now + _DRIFT) / 1000, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
    for name, stored in zip(names, files):
        for guid in sorted(stored.keys() | files[-1].keys()):
            here, there = stored.get(guid), files[-1].get(guid)
            if here is None or there is None or here.data != there.data:
                found.append(f"{guid} is another on the {name}")
        found += [f"{guid} is in conflict on the {name}" for guid, row in stored.items() if row.conflicts]
        found += [f"{guid} is unsent on the {name}" for guid, row in stored.items() if not row.synchronized]
        found += [f"{guid} is of {row.updated} on the {name}" for guid, row in stored.items() if row.updated > latest]
    return found


# ---------------------------------------------------------------------------------------------------- in words


def _strategy(field: str) -> str:
    """The strategy of a field, by its annotation."""
    hints = typing.get_type_hints(Task, include_extras=True)
    found = [mark for mark in getattr(hints[field], "__metadata__", ()) if isinstance(mark, Strategy)]
    return str(found[0]) if found else "three_way() | lww"


def _said(candidate: Candidate, value: str | None = None, by: str | None = None) -> Text:
    """Who says what, when."""
    name = _device(candidate.name)
    when = _hour(candidate.stamp.millis) if candidate.stamp is not None else ""
    who = f"{name:6} {by or candidate.by or ''}"
    return Text.assemble((f"{when} ", "bright_black"), colored(name, f"{who:12} "), value or _value(candidate.value))


def _signed(change: tuple[set[str], set[str]]) -> str:
    plus, minus = change
    return ", ".join([*(f"+{x}" for x in sorted(plus)), *(f"-{x}" for x in sorted(minus))])


def _device(name: str) -> str:
    return name.partition("~")[0]


def _value(value: Any) -> str:
    if value is UNSET:
        return "deleted"
    if isinstance(value, Task):
        return f"“{value.title}”"
    return f"“{value}”" if isinstance(value, str) else _short(value)


def _short(value: Any) -> str:
    if isinstance(value, (set, frozenset)):
        return ", ".join(sorted(value)) or "none"
    if isinstance(value, str) and "\n" in value:
        return f"{len(value.splitlines())} lines"
    return str(value)


def _open(told: str) -> Text:
    return Text.assemble(("open: ", "bold red"), told)


def _hour(millis: float) -> str:
    return dt.datetime.fromtimestamp(millis / 1000).strftime("%H:%M")


def _date(moment: dt.datetime) -> str:
    return moment.astimezone().strftime("%d %b %Y %H:%M")


def _records(count: int) -> str:
    return f"{count or 'no'} record{'' if count == 1 else 's'}"


def _size(count: int) -> str:
    return f"{count / 1000:.1f} kB"
