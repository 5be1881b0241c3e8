"""The commands of the extra ``sync``: what a person types, sees, and is asked."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mergecore import Policy, keep_both
from mergecore.cli import main
from mergecore.sync import Node, SuperNode

from .serving import serving
from .terminal import CTRL_D, ENTER, Terminal

pytestmark = pytest.mark.sync

COMMAND = [sys.executable, "-m", "mergecore"]
KEEP_BOTH = {"todo": Policy(default=keep_both)}
MODELS = """
import datetime as dt
from dataclasses import dataclass
from typing import Annotated
import msgspec
from mergecore import keep_both, text

class Todo(msgspec.Struct):
    title: Annotated[str, keep_both]
    due: Annotated[dt.date | None, keep_both] = None
    note: Annotated[str, text("line")] = ""
    who: str | None = None

@dataclass
class Note:
    body: str = ""
"""


class Outcome(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """``run("status", "a.db")``: one command, in the folder of the test; ``given`` is its standard input."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("MERGECORE_TOKEN", "MERGECORE_MODELS", "COLUMNS", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def command(*argv: str, given: str = "") -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        code = main(argv)
        out, err = capfdbinary.readouterr()
        return Outcome(code, out.decode(), err.decode())

    return command


@pytest.fixture
def models(tmp_path: Path) -> str:
    """A file of models."""
    (tmp_path / "kinds.py").write_text(MODELS)
    return "kinds.py"


@contextlib.contextmanager
def served(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``mergecore serve`` in a process of its own: that, and its URL."""
    pipe = subprocess.PIPE
    command = [*COMMAND, "serve", "server.db", "--port", "0", *options]
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=folder) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            said = process.stdout.readline()
            found = re.search(r"http://\S+:\d+", said)
            assert found, said + process.stderr.read()
            yield process, found[0]
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Ctrl-C: how the process ends, and what it has complained about."""
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    return process.returncode, err


def clash(folder: Path, **fields: tuple[Any, Any]) -> list[str]:
    """Two databases, ``phone.db`` and ``laptop.db``, that clash in one record for each field: the GUIDs."""
    with node(folder, "phone") as phone, node(folder, "laptop") as laptop:
        guids = [phone.insert({"title": name, name: "old"}, "todo") for name in fields]
        phone.sync(laptop)
        for guid, (name, (mine, theirs)) in zip(guids, fields.items()):
            phone.edit(guid, {name: mine}, by="ann")
            laptop.edit(guid, {name: theirs}, by="ben")
        phone.sync(laptop)
    return guids


def node(folder: Path, name: str, models: Any = None) -> Node:
    """A node of the folder, whose schemaless to-dos keep both."""
    policies = KEEP_BOTH if models is None else None
    return Node(name, folder / f"{name}.db", models=models, policies=policies, trust_clock=True)


POLICIES = 'from mergecore import Policy, keep_both\nMODELS = {}\nPOLICIES = {"todo": Policy(default=keep_both)}\n'


@contextlib.contextmanager
def resolving(folder: Path, *options: str, **more: Any) -> Iterator[Terminal]:
    """``mergecore resolve phone.db`` in a real terminal."""
    (folder / "policies.py").write_text(POLICIES)
    env = {"EDITOR": None, "VISUAL": None, **more.pop("env", {})}
    command = [*COMMAND, "resolve", "phone.db", "--models", "policies.py", *options]
    with Terminal(command, cwd=folder, env=env, rows=50, **more) as terminal:
        yield terminal


def answer(terminal: Terminal, *keys: str) -> None:
    """Types a key at each prompt."""
    for key in keys:
        prompts = re.compile(r"(\]\?|none\):)( |$)", re.MULTILINE)
        before = getattr(terminal, "asked", 0)
        terminal.wait_for(prompts, times=before + 1)
        terminal.asked = before + 1  # type: ignore[attr-defined]
        terminal.send(key if key == CTRL_D else key + ENTER)


# ------------------------------------------------------------------------------------------ served and synchronized


def test_two_databases_synchronize_through_one_that_is_served(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way of a user without a line of Python; the token is printed alone, and nothing else keeps it."""
    made = run("node", "add", "server.db", "phone", "--client-name", "Ann's", "--field", "app=3", "--field", "os=x y")
    assert made.code == 0 and re.fullmatch(r"[\w-]{20,}\n", made.out) and "new" in made.err
    tokens = {"phone": made.out.strip(), "tablet": run("node", "add", "server.db", "tablet").out.strip()}
    assert tokens["phone"].encode() not in b"".join(p.read_bytes() for p in tmp_path.glob("server.db*"))
    with served(tmp_path) as (server, url):
        guid = run("insert", "phone.db", "todo", "--name", "phone", given='{"title": "milk"}\n').out.strip()
        assert run("status", "phone.db", "--json").json["unsynchronized"] == 1
        monkeypatch.setenv("MERGECORE_TOKEN", tokens["phone"])
        assert run("sync", url, "phone.db").out == "server: sent 1, received 0\n"
        assert run("status", "phone.db", "--json").json["unsynchronized"] == 0
        report = run("sync", url, "tablet.db", "--name", "tablet", f"--token={tokens['tablet']}", "--json").json
        assert (report["peer"], report["received"], report["refused"]) == ("server", 1, [])
        assert run("get", "tablet.db", guid).json == {"title": "milk"}
        assert run("sync", url, "tablet.db", "--token=nonsense")[:2] == (2, "")
        told = run("sync", url, "tablet.db")
        assert told.code == 2 and "the token of 'phone'" in told.err and told.err.count("\n") == 1
        told = run("node", "add", "server.db", "phone")
        assert told.code == 2 and "renew=True" in told.err and told.out == ""
        allowed = ("--read", "todo", "--write", "", "--relay")
        assert run("node", "allow", "server.db", "phone", *allowed) == (0, "", "")
        assert "read todo, write nothing, relay" in run("nodes", "server.db").out
        assert run("node", "allow", "server.db", "phone", "--read", "*", "--no-relay").code == 0
        (phone,) = [peer for peer in run("nodes", "server.db", "--json").json if peer["id"] == "phone"]
        assert (phone["read"], phone["write"], phone["relay"], phone["client_name"]) == (None, [], False, "Ann's")
        monkeypatch.setenv("MERGECORE_TOKEN", run("node", "add", "server.db", "phone", "--renew").out.strip())
        assert run("sync", url, "phone.db", f"--token={tokens['phone']}").code == 2
        assert run("sync", url, "phone.db").code == 0
        assert run("node", "revoke", "server.db", "phone").code == 0
        assert "revoked" in run("sync", url, "phone.db").err
        seen = {peer["id"]: peer for peer in run("nodes", "server.db", "--json").json}
        assert seen["phone"]["revoked"] and seen["phone"]["fields"] == {"app": 3, "os": "x y"}
        assert run("node", "retire", "server.db", "tablet").code == 0
        table = run("nodes", "server.db").out.splitlines()
        assert table[0].split()[:2] == ["node", "client"] and "Ann's" in table[1] and "retired" in table[2]
        assert "give a super node's" in run("node", "add", "phone.db", "x").err
        assert ended(server) == (130, "")


def test_following_goes_on_until_ctrl_c_and_so_does_serving(run: Run, tmp_path: Path) -> None:
    """A change of either end arrives by itself; a server that is away is told of; neither end complains otherwise."""
    token = run("node", "add", "server.db", "phone").out.strip()
    with served(tmp_path) as (server, url):
        command = [*COMMAND, "sync", url, "phone.db", "--name", "phone", f"--token={token}", "--follow", "--json"]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=tmp_path) as phone:
            assert phone.stdout is not None and phone.stderr is not None
            assert json.loads(phone.stdout.readline())["received"] == 0
            assert phone.stderr.readline() == "phone.db is new: the store of 'phone'\n"
            run("insert", "server.db", "todo", given='{"title": "milk"}')
            assert json.loads(phone.stdout.readline())["received"] == 1
            run("insert", "phone.db", "todo", given='{"title": "bread"}')
            assert json.loads(phone.stdout.readline())["sent"] == 1
            assert ended(server) == (130, "")
            told = phone.stderr.readline()
            assert url in told and "it is tried again, until Ctrl-C" in told
            assert ended(phone) == (130, "")
    assert len(run("all", "server.db", "todo", "--json").json) == 2


def test_a_first_synchronization_that_fails_leaves_no_database(run: Run, tmp_path: Path) -> None:
    """No server, or no such token; what was there before stays, and so does what came before it failed."""
    with SuperNode("server", ":memory:") as server:
        token = server.add_node("phone")
        with serving(server.app) as url:
            for words in (("http://127.0.0.1:1",), (url, "--token=x"), (url, f"--token={token}", "--name", "laptop")):
                told = run("sync", words[0], "new.db", "--name", "phone", *words[1:])
                assert told.code == 2 and list(tmp_path.glob("new.db*")) == [], told
            assert run("sync", url, "new.db", "--name", "phone", f"--token={token}").code == 0
        assert run("sync", "http://127.0.0.1:1", "new.db").code == 2
        assert run("status", "new.db", "--json").json["name"] == "phone"


def test_two_databases_synchronize_without_a_server(run: Run, tmp_path: Path) -> None:
    """The peer may be a database."""
    run("insert", "a.db", "todo", "--name", "a", given='{"title": "milk"}\n{"title": "bread"}')
    assert run("sync", "a.db", "b.db", "--name", "b").out == "a: sent 0, received 2\n"
    assert run("all", "b.db", "todo", "--json").json == run("all", "a.db", "todo", "--json").json
    told = run("sync", "c.db", "b.db")
    assert told.code == 2 and "no database c.db" in told.err and "http://" in told.err


class Slow:
    """A super node's app whose answers wait until they are let go, once it has so many records."""

    def __init__(self, server: SuperNode, records: int) -> None:
        self.app, self.asked, self.go = server.app, threading.Semaphore(0), threading.Event()
        self.has_all: Callable[[], bool] = lambda: len(server.all("todo")) == records

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def later(message: Any) -> None:
            if message["type"] == "http.response.start" and self.has_all():
                self.asked.release()
                while not self.go.is_set():
                    await asyncio_sleep(0.02)
            await send(message)

        await self.app(scope, receive, later if scope["type"] == "http" else send)


async def asyncio_sleep(seconds: float) -> None:
    import asyncio

    await asyncio.sleep(seconds)


def test_ctrl_c_in_a_synchronization_leaves_what_is_done_and_nothing_doubled(run: Run, tmp_path: Path) -> None:
    """A bar is on the terminal by then; the server has the records already, and the phone does not know."""
    run("insert", "phone.db", "todo", "--name", "phone", given='{"n": 1}\n{"n": 2}\n')
    with SuperNode("server", tmp_path / "server.db") as server:
        token = server.add_node("phone")
        server.insert({"n": 3}, "todo")
        slow = Slow(server, 3)
        with serving(slow) as url:
            command = [*COMMAND, "sync", url, "phone.db", f"--token={token}"]
            with Terminal(command, cwd=tmp_path) as terminal:
                assert slow.asked.acquire(timeout=20)
                terminal.wait_for("synchronizing")
                terminal.interrupt()
                assert terminal.wait() == 130
                assert "Traceback" not in terminal.transcript()
            assert len(server.all("todo")) == 3
            slow.go.set()
            assert run("sync", url, "phone.db", f"--token={token}").code == 0
        with Node("phone", tmp_path / "phone.db") as phone:
            assert phone.all("todo") == server.all("todo")
            assert len(phone.all("todo")) == 3


# ------------------------------------------------------------------------------------------ asked and answered


def test_each_answer_is_stored_as_it_is_given(tmp_path: Path) -> None:
    """Mine, theirs, another value, both, skipped; and quit leaves the rest open."""
    names = ("mine", "theirs", "edit", "both", "skip", "quit")
    guids = clash(tmp_path, **{name: (f"{name} of \x1b[31mphone", f"{name} of laptop") for name in names})
    with resolving(tmp_path) as terminal:
        terminal.wait_for("mine [m,t,e,b,s,q,?]?")
        screen = terminal.wait_for("]?")
        assert 'mine of \\u001b[31mphone"' in " ".join(screen.split()) and "ann" in screen and "ben" in screen
        answer(terminal, "?", "x", "m", "t", "e", '{"a": [1]}', "b", "s")
        assert terminal.wait_for("quit: both changed")
        with node(tmp_path, "phone") as phone:  # while it still asks
            assert [bool(phone.version(guid).conflicts) for guid in guids] == [False] * 4 + [True] * 2
        answer(terminal, "q")
        assert terminal.wait() == 1
        said = terminal.transcript()
        assert "4 fields settled; 2 records still open" in said and "is none of m, t," in said
        assert b"\x1b[31mphone" not in terminal.raw
        assert terminal.colors()
    with node(tmp_path, "phone") as phone:
        shown = [phone.get(guid)[name] for guid, name in zip(guids[:3], names)]
        assert shown == ["mine of \x1b[31mphone", "theirs of laptop", {"a": [1]}]
        both = [r["both"] for r in phone.all("todo").values() if r["title"] == "both"]
        assert sorted(both) == ["both of \x1b[31mphone", "both of laptop"]
        assert phone.version(guids[0]).commits[-1].by is None


def test_ctrl_c_between_answers_keeps_those_that_were_given(tmp_path: Path) -> None:
    """Also without colors, and by whom."""
    one, two = clash(tmp_path, one=("a", "b"), two=("c", "d"))
    with resolving(tmp_path, "--by", "cleo", env={"NO_COLOR": "1"}) as terminal:
        answer(terminal, "m")
        terminal.wait_for("two: both changed")
        terminal.interrupt()
        assert terminal.wait() == 130
        assert "Traceback" not in terminal.transcript() and not terminal.colors()
    with node(tmp_path, "phone") as phone:
        assert [item.guid for item in phone.inbox()] == [two]
        assert phone.get(one)["one"] == "a"
        assert phone.version(one).commits[-1].by == "cleo"


def test_an_editor_is_used_where_there_is_one_and_the_end_of_input_quits(tmp_path: Path) -> None:
    """A text is edited as it is, and what is none as JSON; one that fails changes nothing."""
    one, two = clash(tmp_path, one=("a", "b"), two=("c", "d"))
    editor = tmp_path / "editor.py"
    editor.write_text(
        "import sys\nfile = sys.argv[1]\nold = open(file).read()\nopen(file, 'w').write('[' + old.strip() + ']\\n')\n"
    )
    with resolving(tmp_path, env={"VISUAL": f"{sys.executable} {editor}"}) as terminal:
        answer(terminal, "e", CTRL_D)
        assert terminal.wait() == 1
    with resolving(tmp_path, two, env={"EDITOR": "false"}) as terminal:
        answer(terminal, "e", "t")
        assert terminal.wait() == 0
        assert "false ended with 1" in terminal.transcript()
    with node(tmp_path, "phone") as phone:
        assert phone.get(one)["one"] == "[a]"  # a text is edited as one
        assert phone.get(two)["two"] == "d"
        assert not phone.inbox()


def test_with_models_a_field_is_settled_whole_and_takes_what_its_type_takes(tmp_path: Path, models: str) -> None:
    """Two lines of one text are asked about before either is stored; a deletion is one of the answers; three devices
    are told apart by numbers.
    """
    sys.path.insert(0, str(tmp_path))
    try:
        import kinds  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(tmp_path))
    known = {"todo": kinds.Todo}
    with contextlib.ExitStack() as stack:
        phone, laptop, tablet = nodes = [
            stack.enter_context(node(tmp_path, name, known)) for name in ("phone", "laptop", "tablet")
        ]
        guid = phone.insert(kinds.Todo("t", note="a\nb\nc\nd\ne\n"))
        gone = phone.insert(kinds.Todo("gone"))
        laptop.sync(phone), tablet.sync(phone)
        for i, one in enumerate(nodes):
            one.edit(guid, title=f"t{i}", by=one.name)
        phone.edit(guid, note="A\nb\nc\nd\nE\n", due=dt.date(2025, 1, 1))
        laptop.edit(guid, note="AA\nb\nc\nd\nEE\n", due=dt.date(2025, 1, 2), who="x")
        phone.edit(guid, who="y")
        phone.delete(gone), laptop.edit(gone, who="z")
        laptop.sync(phone), tablet.sync(phone), laptop.sync(phone)
        titles = [c.value for c in phone.version(guid).conflicts[0].candidates]
    with Terminal(
        [*COMMAND, "resolve", "phone.db", "--models", models], cwd=tmp_path, rows=60, columns=100,
        env={"EDITOR": None, "VISUAL": None},
    ) as terminal:  # fmt: skip
        terminal.wait_for("title [m,1,2,3,e,b,s,q,?]?")
        answer(terminal, "3", "e", '"soon"', "e", '"2026-02-03"', "t")
        screen = terminal.wait_for("note[4:5] [m")
        assert "base" in screen and '"e\\n"' in screen and "not stored: due" in screen
        answer(terminal, "m")
        screen = terminal.wait_for("who [l,r,e,b,s,q,?]?")
        assert "who: lost, lww" in screen and "by laptop" in screen
        answer(terminal, "l")
        terminal.wait_for("the record: edit against deletion")
        answer(terminal, "m")
        assert terminal.wait() == 0
        assert "5 fields settled; nothing is left open" in terminal.transcript()
    with node(tmp_path, "phone", known) as phone:
        assert phone.get(guid) == kinds.Todo(titles[2], dt.date(2026, 2, 3), "AA\nb\nc\nd\nE\n", phone.get(guid).who)
        assert phone.get(gone) is None and phone.version(gone).deleted


def test_values_that_lost_are_asked_about_until_the_inbox_is_empty(tmp_path: Path) -> None:
    """Left, restored, written anew, kept in a record of their own, or skipped; of several, by number."""
    names = ("left", "restored", "edited", "plain", "both", "several", "skipped")
    devices = [Node(name, tmp_path / f"{name}.db", trust_clock=True) for name in ("phone", "laptop", "tablet")]
    phone, laptop, tablet = devices
    guids = [phone.insert({"title": name, "x": "old", "n": 0}, "todo") for name in names]
    for _ in range(2):
        laptop.sync(phone), tablet.sync(phone)
    for guid, name in zip(guids, names):
        phone.edit(guid, x=f"{name} of the phone", by="ann")
        if name == "plain":
            phone.edit(guid, n=1)
        laptop.edit(guid, {"x": f"{name} of the laptop"} | ({"n": 2} if name == "plain" else {}))
        if name == "several":
            tablet.edit(guid, x="several of the tablet")
    for _ in range(2):
        laptop.sync(phone), tablet.sync(phone)
    assert len(phone.inbox()) == len(names)
    shown = {name: phone.get(guid)["x"] for guid, name in zip(guids, names)}
    lost = {name: phone.version(guid).lost for guid, name in zip(guids, names)}
    for device in devices:
        device.close()
    with Terminal(
        [*COMMAND, "resolve", "phone.db"], cwd=tmp_path, rows=60, columns=100, env={"EDITOR": None, "VISUAL": None}
    ) as terminal:
        screen = terminal.wait_for("x [l,r,e,b,s,q,?]?")
        assert "lost, lww" in screen and shown["left"] in screen and str(lost["left"][0].value) in screen
        answer(terminal, "?", "l", "r", "e", "oat milk & more")
        terminal.wait_for("n [l,r,e,b,s,q,?]?")
        answer(terminal, "e", "many", "e", "[3]", "e", '"a \\"text\\""', "b")
        terminal.wait_for("x [l,1,2,e,b,s,q,?]?")
        answer(terminal, "2", "s")
        assert terminal.wait() == 1
        said = terminal.transcript()
        assert "leave it" in said and "no JSON" in said and "7 fields settled; 1 record still open" in said
    with Node("phone", tmp_path / "phone.db", trust_clock=True) as phone:
        assert [item.guid for item in phone.inbox()] == [guids[-1]]
        got = {name: phone.get(guid) for guid, name in zip(guids, names)}
        assert got["left"]["x"] == shown["left"] and got["restored"]["x"] == lost["restored"][0].value
        assert got["edited"]["x"] == "oat milk & more" and (got["plain"]["n"], got["plain"]["x"]) == ([3], 'a "text"')
        assert sorted(r["x"] for r in phone.all("todo").values() if r["title"] == "both") == [
            "both of the laptop", "both of the phone",
        ]  # fmt: skip
        assert got["several"]["x"] == lost["several"][1].value


def test_without_a_terminal_resolve_says_what_to_do_instead(run: Run, tmp_path: Path) -> None:
    """And the inbox has it as data."""
    (guid,) = clash(tmp_path, one=("a", "b"))
    (tmp_path / "policies.py").write_text(POLICIES)
    told = run("resolve", "phone.db")
    assert told.code == 2 and "inbox --json" in told.err and told.err.count("\n") == 1
    (item,) = run("inbox", "phone.db", "--models", "policies.py", "--json").json
    assert item["guid"] == guid and item["model"] == "todo" and item["lost"] == []
    (conflict,) = item["conflicts"]
    assert conflict["path"] == "one" and "base" not in conflict
    assert {(c["name"], c["by"], c["value"]) for c in conflict["candidates"]} == {
        ("phone", "ann", "a"), ("laptop", "ben", "b"),
    }  # fmt: skip
    table = run("inbox", "phone.db", "--models", "policies.py").out.splitlines()
    assert table[0].split() == ["model", "record", "path", "what", "values"] and guid in table[1]
    assert 'laptop: "b", phone: "a"' in table[1]
    assert run("edit", "phone.db", guid, "one=c").code == 0
    assert run("inbox", "phone.db").out == "nothing waits for you\n"


def test_tables_fit_the_terminal_and_are_whole_without_one(tmp_path: Path) -> None:
    """Where columns do not fit beside each other, each row is a block of lines."""
    (guid,) = clash(tmp_path, one=("a" * 60 + "\x1b[2J", "b"))
    (tmp_path / "policies.py").write_text(POLICIES)
    inbox = [*COMMAND, "inbox", "phone.db", "--models", "policies.py"]
    for columns in (40, 160):
        with Terminal(inbox, cwd=tmp_path, columns=columns, env={"NO_COLOR": "1"}) as terminal:
            assert terminal.wait() == 0
            lines = terminal.transcript().splitlines()
            assert any(line.startswith("record:" if columns == 40 else "model ") for line in lines), lines
            assert guid in "".join(lines) and b"\x1b[2J" not in terminal.raw and not terminal.colors()
    env = {name: value for name, value in os.environ.items() if name != "COLUMNS"}  # readline sets it, for children
    piped = subprocess.run(inbox, cwd=tmp_path, capture_output=True, text=True, check=True, env=env).stdout
    assert len(piped.splitlines()) == 2 and guid in piped and "\x1b" not in piped


# ------------------------------------------------------------------------------------------ records


def test_records_can_be_written_and_read_without_python(run: Run, tmp_path: Path) -> None:
    """Schemaless: JSON in, JSON out."""
    made = run(
        "insert", "a.db", "todo", "--name", "a", "--by", "ann", given='{"title": "milk"}\n\n{"title": "bread"}\n'
    )
    one, two = made.out.split()
    assert run("edit", "a.db", one, "title=oat milk", "qty=2", 'tags=["a"]', "--by", "ben") == (0, "", "")
    assert run("get", "a.db", one).json == {"title": "oat milk", "qty": 2, "tags": ["a"]}
    assert run("delete", "a.db", two) == (0, "", "")
    for words in (("get", "a.db", two), ("edit", "a.db", two, "title=x")):
        assert f"{two} is deleted; 'mergecore restore' takes that back" in run(*words).err
    assert run("all", "a.db", "todo", "--deleted", "--json").json == [{"guid": two, "record": {"title": "bread"}}]
    assert run("restore", "a.db", two).code == 0
    table = run("all", "a.db", "todo").out.splitlines()
    assert len(table) == 3 and any('"oat milk"' in line for line in table[1:])  # in the order of GUIDs
    told = run("all", "a.db", "note")
    assert (told.code, told.out, told.err) == (0, "no records\n", "there never was a record note; there are todo\n")
    status = run("status", "a.db", "--json").json
    assert (status["name"], status["records"], status["unsynchronized"]) == ("a", {"todo": 2}, 2)
    assert re.search(r"^records +todo 2$", run("status", "a.db").out, re.MULTILINE)
    assert run("nodes", "a.db").out == "no nodes yet\n"
    with Node("a", tmp_path / "a.db") as a:
        assert [a.version(guid).commits[0].by for guid in (one, two)] == ["ben", "ann"]


def test_lines_are_all_read_before_one_is_written(run: Run) -> None:
    """A line that is no record is named."""
    told = run("insert", "a.db", "todo", "--name", "a", given='{"title": "milk"}\n[1]\n')
    assert told.code == 2 and "line 2" in told.err
    assert run("all", "a.db", "todo", "--json").json == []


def test_models_come_from_a_file_or_a_module_and_are_not_left_out_later(
    run: Run, models: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named by their classes, unless ``MODELS`` does it; the name of the node is asked once."""
    made = run(
        "insert", "a.db", "todo", "--name", "a", "--models", models, given='{"title": "milk", "due": "2025-01-31"}'
    )
    guid = made.out.strip()
    with sqlite3.connect("a.db") as database:
        assert database.execute("SELECT title, due FROM todo").fetchall() == [("milk", "2025-01-31")]
        assert database.execute("SELECT body FROM note").fetchall() == []
    assert run("insert", "a.db", "todo", "--models", "kinds", given='{"due": "soon"}').code == 2
    assert run("edit", "a.db", guid, "titel=x", "--models", "kinds").code == 2
    told = run("insert", "a.db", "todo", "--models", "kinds", given='{"title": "x"}\n{"title": "x", "titel": "x"}')
    assert told.code == 2 and "line 2" in told.err and "titel" in told.err
    for words in (("insert", "a.db", "todos"), ("all", "a.db", "todos")):
        told = run(*words, "--models", "kinds", given='{"title": "x"}')
        assert (told.code, told.out) == (2, "") and "did you mean 'todo'" in told.err
    with sqlite3.connect("a.db") as database:
        assert database.execute("SELECT count(*) FROM todo").fetchone() == (1,)
    reading = (["status", "a.db"], ["get", "a.db", guid], ["all", "a.db", "todo"], ["purge", "a.db", "--yes"])
    for command in (*reading, ["serve", "a.db", "--port", "0"]):
        told = run(*command)
        assert told.code == 2 and "--models" in told.err, command
    monkeypatch.setenv("MERGECORE_MODELS", "kinds")
    assert run("get", "a.db", guid).json["title"] == "milk"
    assert run("nodes", "a.db", "--models", models).code == 0


def test_purge_asks_first_and_wipes_what_is_old(run: Run, tmp_path: Path) -> None:
    """What was deleted just now is kept, unless one says so."""
    run("insert", "a.db", "todo", "--name", "a", given='{"title": "milk"}')
    (guid,) = [item["guid"] for item in run("all", "a.db", "todo", "--json").json]
    run("sync", "a.db", "b.db", "--name", "b")
    run("delete", "a.db", guid)
    waits = (
        "0 records wiped\n1 deleted record waits for b \\(last seen 20..-..-.. ..:..:..Z\\); .* mergecore node retire\n"
    )
    assert re.fullmatch(waits, run("purge", "a.db", "--yes", "--min-age", "0s").out)
    run("sync", "a.db", "b.db")
    run("sync", "b.db", "a.db")
    assert "--yes" in run("purge", "a.db").err
    assert run("purge", "a.db", "--yes").out == "0 records wiped\n"
    with Terminal([*COMMAND, "purge", "a.db", "--min-age", "0s"], cwd=tmp_path) as terminal:
        terminal.wait_for("[y/N]")
        terminal.send(ENTER)
        assert terminal.wait() == 1
    assert run("purge", "a.db", "--min-age", "0s", "--yes", "--json").json == [guid]
    assert run("node", "restored", "a.db").code == 0


def test_a_database_may_be_postgresql(run: Run, postgres_url: str) -> None:
    """By its URL, whose password is not shown."""
    secret = postgres_url.replace("@", ":secret@", 1)
    made = run("insert", secret, "todo", "--name", "a", given='{"title": "milk"}')
    assert made.code == 0 and "is new" in made.err and "secret" not in made.err, made.err
    assert run("get", postgres_url, made.out.strip()).json == {"title": "milk"}
    assert run("sync", postgres_url, "b.db", "--name", "b").out == "a: sent 0, received 1\n"


# ------------------------------------------------------------------------------------------ errors


def test_every_error_is_one_line(run: Run, tmp_path: Path, models: str) -> None:
    """Exit code 2, and a store of somebody else's is not touched."""
    run("insert", "a.db", "todo", "--name", "a", given='{"title": "milk"}')
    (tmp_path / "text.db").write_text("this is no database at all, but a text" * 100)
    with contextlib.closing(sqlite3.connect("app.db")) as database:
        database.execute("CREATE TABLE customer (id INTEGER)")
    before = (tmp_path / "app.db").read_bytes()
    (tmp_path / "bad.py").write_text("MODELS = [1]\n")
    (tmp_path / "empty.py").write_text("x = 1\n")
    (tmp_path / "broken.py").write_text("raise SystemExit(3)\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for words, said in {
            ("status", "none.db"): "no database none.db",
            ("status", "nowhere/none.db"): "no database",
            ("status", "app.db"): "no store of a node",
            ("status", "text.db"): "not a database",
            ("status", "mysql://x/y"): "postgresql://",
            ("sync", "http://127.0.0.1:1", "new.db"): "--name",
            ("sync", "a.db", "a.db", "--follow"): "no URL",
            ("insert", "a.db", "todo", "--name", "b"): "the store of 'a'",
            ("insert", "a.db", "sqlite_x"): "",
            ("get", "a.db", "nothing"): "no record 'nothing'",
            ("edit", "a.db", "nothing", "title"): "NAME=VALUE",
            ("purge", "a.db", "--yes", "--min-age", "30"): "30d",
            ("purge", "a.db", "--yes", "--min-age", "999999999w"): "a hundred years",
            ("node", "revoke", "a.db", "nobody"): "no node 'nobody'",
            ("serve", "server.db", "--port", port): "another --host or --port",
            ("serve", "server.db", "--host", "no such host"): "another --host or --port",
            ("serve", "server.db", "--port", "99999"): "no port",
            ("status", "a.db", "--models", "no_such_module"): "cannot be imported",
            ("status", "a.db", "--models", "none.py"): "cannot be imported",
            ("status", "a.db", "--models", "broken.py"): "cannot be imported",
            ("status", "a.db", "--models", "bad.py"): "MODELS",
            ("status", "a.db", "--models", "empty.py"): "defines no Struct",
        }.items():
            told = run(*words, given='{"title": "x"}')
            complaints = [line for line in told.err.splitlines() if "is new" not in line]
            assert told.code == 2 and said in told.err and told.out == "", words
            assert len(complaints) == 1 and complaints[0].startswith("mergecore: "), words
    assert not (tmp_path / "server.db").exists()
    assert (tmp_path / "app.db").read_bytes() == before
    assert not (tmp_path / "none.db").exists() and not (tmp_path / "new.db").exists()


def test_without_the_extra_a_command_says_how_to_get_it() -> None:
    """And all the rest works: nothing of it is imported before it is needed."""
    code = (
        "import sys\n"
        "for name in ('sqlalchemy', 'rich', 'httpx', 'uvicorn', 'starlette'): sys.modules[name] = None\n"
        "from mergecore.cli import main\n"
        "print(main(['status', 'a.db']))\n"
        "main(['--help'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("2\n") and "settle open conflicts" in done.stdout
    assert re.fullmatch(
        r"mergecore: status: needs \w+, which is not there: pip install 'mergecore\[sync\]'\n", done.stderr
    )


def test_whoever_has_read_enough_is_no_error(tmp_path: Path) -> None:
    """A pipe that is shut."""
    clash(tmp_path, one=("a", "b"))
    read, write = os.pipe()
    os.close(read)
    command = [*COMMAND, "nodes", "phone.db"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    os.close(write)
    assert (done.returncode, done.stderr) == (2, "")
