"""Killed at every step, and at any moment: nothing is lost, doubled or half there, and life goes on."""

from __future__ import annotations

import contextlib
import multiprocessing
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.pool import ThreadPool
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from conftest import Tally
from hypothesis import settings

from mergecore.sync import Node, PeerError, SuperNode

from .killing import Said, child, finish, kill_after
from .life import (
    MODELS,
    check_store,
    clock_ahead,
    edit,
    insert,
    phone_edits,
    phone_job,
    phone_of,
    same,
    server_job,
    server_of,
    tags_of,
    unsynchronized,
)
from .postgres import PostgreSQL
from .serving import serving

pytestmark = pytest.mark.kill

A_YEAR = 365 * 24 * 3600 * 1000

THE_LAPTOPS = {"a": {"l1", "l4"}, "b": {"l2", "l5"}, "c": {"l3", "l6"}}
"""Its edits, by record: all are on the server when the phone begins."""


class World(NamedTuple):
    """Where the stores of a phone, a laptop and their server are, and the tokens of the two."""

    folder: Path
    tokens: dict[str, str]
    ahead: int = 0
    """So many milliseconds the phone's clock is ahead."""
    database: str | None = None
    """Of the server, if it is not a file."""

    def phone(self) -> Node:
        return phone_of(self.folder, **clock_ahead(self.ahead))

    def laptop(self) -> Node:
        return Node("laptop", self.folder / "laptop.db", models=MODELS, back_end="server")

    def server(self) -> SuperNode:
        return server_of(self.folder, self.database)


class Life(NamedTuple):
    """A run that was not cut short."""

    steps: list[str]
    seconds: float


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The phone knows less than the server, and has said nothing yet."""
    return begun(World(tmp_path_factory.mktemp("template"), {}))


def begun(world: World) -> World:
    """What was before the phone's life begins."""
    with world.server() as server, world.phone() as phone, world.laptop() as laptop:
        for node in (phone, laptop):
            world.tokens[node.name] = server.add_node(node.name)
        for guid, tag in [("a", "l1"), ("b", "l2"), ("c", "l3")]:
            insert(laptop, guid, tag)
        laptop.sync(server, token=world.tokens["laptop"])
        phone.sync(server, token=world.tokens["phone"])
        for guid, tag in [("a", "l4"), ("b", "l5"), ("c", "l6")]:
            edit(laptop, guid, tag)
        laptop.sync(server, token=world.tokens["laptop"])
    return world


class Scene:
    """Who is killed, and the worlds in which that happens, each new."""

    def __init__(self, who: str, template: World, tmp_path: Path, request: pytest.FixtureRequest) -> None:
        self._run, self._ahead, on_postgresql = WHO[who]
        self._template, self._path = template, tmp_path
        self._postgresql: PostgreSQL | None = request.getfixturevalue("postgresql") if on_postgresql else None
        self._request = request

    def __enter__(self) -> Scene:
        if self._postgresql is not None:
            folder, url = self._path / "template", self._postgresql.create()
            folder.mkdir()
            self._template = begun(World(folder, {}, database=url))
        return self

    def __exit__(self, *_: object) -> None:
        if self._postgresql is not None and self._template.database is not None:
            self._postgresql.drop(self._template.database)

    def run(self, kill_at: int | None = None, after: float | None = None) -> Life | None:
        """One life in a world of its own, cut short at a step or after some time."""
        folder, url = self._path / "run", self._template.database
        shutil.copytree(self._template.folder, folder)
        database = None if self._postgresql is None or url is None else self._postgresql.copy(url)
        try:
            return self._run(World(folder, self._template.tokens, self._ahead, database), kill_at, after)
        finally:
            shutil.rmtree(folder)
            if self._postgresql is not None and database is not None:
                self._postgresql.drop(database)


def recovered(world: World, url: str) -> None:
    """After a restart and a clean synchronization: whatever the phone said is done is everywhere, and nothing else but
    perhaps the one thing that it was about to do; and what is edited now is new.
    """
    lines = Said(world.folder / "said").all()
    done, doubtful = told(lines, "end"), told(lines, "begin")
    with world.phone() as phone, world.laptop() as laptop:
        check_store(phone, world.folder / "phone.db")
        there = tags_of(phone)
        for guid, tags in done.items():
            assert tags <= there.get(guid, set()), f"{guid}: {tags} was written, and {there.get(guid)} is there"
        tokens = world.tokens
        sync_all(phone, laptop, url, tokens)
        same(phone, laptop)
        assert unsynchronized(world.folder / "phone.db") == []
        for guid, tags in tags_of(phone).items():
            known = THE_LAPTOPS.get(guid, set()) | done.get(guid, set())
            assert known <= tags <= known | doubtful.get(guid, set()), guid
        if ["end", "delete", {"guid": "c"}] in lines:
            assert phone.get("c") is None is laptop.get("c")
        expected = tags_of(phone)
        for node in (phone, laptop):
            edit(node, "a", f"after, {node.name}")
        sync_all(phone, laptop, url, tokens)
        same(phone, laptop)
        assert tags_of(laptop)["a"] == expected["a"] | {"after, phone", "after, laptop"}
        for name in ("phone", "laptop"):
            check_store(phone if name == "phone" else laptop, world.folder / f"{name}.db")


def sync(node: Node, url: str, token: str) -> None:
    """Until it has worked: a server that was killed is soon there again."""
    for _ in range(20):
        try:
            report = node.sync(url, token=token)
        except PeerError:
            continue
        assert not report.refused and not report.waiting, report
        return
    raise AssertionError(f"{node.name} cannot synchronize")


def sync_all(phone: Node, laptop: Node, url: str, tokens: dict[str, str]) -> None:
    for node in (phone, laptop, phone):
        sync(node, url, tokens[node.name])


def told(lines: list[tuple[str, str, dict[str, str]]], when: str) -> dict[str, set[str]]:
    """The edits of the phone, by record, that it said to begin, or to have ended."""
    found = dict[str, set[str]]()
    for said, what, more in lines:
        if (said, what) == (when, "edit"):
            found.setdefault(more["guid"], set()).add(more["tag"])
    return found


# ------------------------------------------------------------------------------------------------ the phone's end


def run_phone(world: World, kill_at: int | None, after: float | None) -> Life | None:
    """One life of the phone, cut short at a step or after some time."""
    with world.server() as server, serving(server.app) as url:
        began = time.monotonic()
        process = child(phone_job, world.folder, url, world.tokens["phone"], kill_at, world.ahead)
        if after is not None:
            kill_after(process, after)
        finished, took = finish(process), time.monotonic() - began
        recovered(world, url)
    check_end(world)
    if not finished:
        return None
    lines = Said(world.folder / "said").all()
    rewritten = [guids for what, _, guids in lines if what == "rewritten"]
    assert [set(guids) for guids in rewritten] == [{"a", "b", "new"} if world.ahead else set(), set()], rewritten
    return Life(lines[-1][2]["steps"], took)


def check_end(world: World) -> None:
    """The server's store is sound, and has the same."""
    with world.server() as server, world.phone() as phone:
        same(server, phone)
        tags_of(server)
        if world.database is None:
            check_store(server, world.folder / "server.db")


# ----------------------------------------------------------------------------------------------- the server's end


class Server:
    """A server in a process of its own, which is started again, on the same port, as soon as it is found dead."""

    def __init__(self, world: World, kill_at: int | None, after: float | None) -> None:
        self._world, self.killed, self._stops = world, False, False
        self._lock = threading.Lock()  # while it is started, or told to stop
        self._start(kill_at, 0)
        self.url = f"http://127.0.0.1:{self.port}"
        self._watching = ThreadPool(1).apply_async(self._watch, (after,))

    def _start(self, kill_at: int | None, port: int) -> None:
        self._talk, end = multiprocessing.get_context("forkserver").Pipe()
        world = self._world
        self._process: BaseProcess = child(server_job, world.folder, world.database, port, end, kill_at)
        end.close()
        self.port: int = self._talk.recv()

    def _watch(self, after: float | None) -> None:
        """Nobody else asks how a process ended: of two that ask at once, one is told 255."""
        if after is not None:
            kill_after(self._process, after)
        while not finish(self._process, None):
            self.killed = True
            with self._lock:
                if self._stops:
                    return
                self._start(None, self.port)

    def enough(self) -> None:
        """It is not killed from now on, unless it has been already."""
        with self._lock, contextlib.suppress(OSError):
            self._talk.send("enough")

    def stop(self) -> list[str]:
        """Its steps."""
        steps: list[str] = []
        with self._lock, contextlib.suppress(EOFError, OSError):  # killed at the last moment
            self._stops = True
            self._talk.send("stop")
            steps = self._talk.recv()
        self._watching.get(60)
        return steps


def run_server(world: World, kill_at: int | None, after: float | None) -> Life | None:
    """The phone's same life, and it is the server that is cut short."""
    began = time.monotonic()
    server, said = Server(world, kill_at, after), Said(world.folder / "said")
    with world.phone() as phone:
        for part in (1, 2):
            phone_edits(phone, said, part)
            sync(phone, server.url, world.tokens["phone"])
    took = time.monotonic() - began
    server.enough()
    recovered(world, server.url)
    steps = server.stop()
    check_end(world)
    return None if server.killed else Life(steps, took)


# ------------------------------------------------------------------------------------------------------ the tests

WHO: dict[str, tuple[Callable[[World, int | None, float | None], Life | None], int, bool]] = {
    "the phone": (run_phone, 0, False),
    "a phone a year ahead": (run_phone, A_YEAR, False),
    "the server": (run_server, 0, False),
    "a server on PostgreSQL": (run_server, 0, True),
}

DEV, CI = (settings.get_profile(name).max_examples for name in ("dev", "ci"))


def share(request: pytest.FixtureRequest) -> float:
    """All, if somebody asks by the mark; a fifth in the profile ``ci``; and little along with all other tests."""
    if settings().max_examples == CI:
        return 1 / 5
    return 1 if "kill" in request.config.option.markexpr or settings().max_examples > DEV else 1 / 100


@pytest.mark.parametrize("who", WHO)
def test_killed_at_every_step(
    who: str, template: World, tmp_path: Path, tally: Tally, request: pytest.FixtureRequest
) -> None:
    """At each numbered step of the store and of the sockets, until a run goes to its end."""
    stride = round(1 / share(request))
    life, number, killed = None, Random().randint(1, stride), 0
    print(f"from step {number} on, every {stride}")
    with Scene(who, template, tmp_path, request) as scene:
        while life is None:
            life = scene.run(number)
            killed, number = killed + (life is None), number + stride
    kinds = Counter(step.partition(":")[0] for step in life.steps)
    assert kinds["store"] > 20 and kinds["socket"] > 5, life.steps
    more = f"of its {len(life.steps)} steps, {kinds['store']} of the store and {kinds['socket']} of sockets"
    tally(f"{who} killed at a step", killed, (len(life.steps) - 10) // stride, more)


@pytest.mark.parametrize("who", WHO)
def test_killed_at_any_moment(
    who: str, template: World, tmp_path: Path, tally: Tally, request: pytest.FixtureRequest
) -> None:
    """At moments drawn by a seed."""
    times, killed, seed = max(1, round(25 * share(request))), 0, Random().randrange(1 << 32)
    print(f"seed {seed}")
    chance = Random(seed)
    with Scene(who, template, tmp_path, request) as scene:
        seconds = 1.0
        if times > 1:
            scene.run()  # which also starts what children are made of
            life = scene.run()
            assert life is not None
            seconds = life.seconds
        for _ in range(times):
            killed += scene.run(after=chance.uniform(0, seconds)) is None
    tally(f"{who} killed at a moment", times, times, f"{killed} before its end, seed {seed}")
