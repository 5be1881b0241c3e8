"""``follow``: each end has at once what the other one wrote, as long as it can be reached."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mergecore.sync import Forbidden, Node, PeerError, Report, SuperNode

from .life import MODELS, Todo
from .serving import free_port, serving

pytestmark = pytest.mark.sync


class Follower:
    """A node that follows, in a thread of its own: its reports, what it was told, and how it ended."""

    def __init__(self, node: Node, url: str, token: str) -> None:
        self.stop = threading.Event()
        self.reports: list[Report] = []
        self.away: list[PeerError] = []
        self.error: Exception | None = None
        self._work = node.follow(url, token=token, stop=self.stop, on_away=self.away.append)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for report in self._work:
                self.reports.append(report)
        except Exception as error:
            self.error = error

    def until(self, true: Callable[[], object]) -> None:
        """Waits until a condition is true; it follows all the while."""
        until(lambda: self.error or true())
        assert self.error is None, repr(self.error)

    def ends(self, within: float = 20) -> bool:
        self._thread.join(within)
        return not self._thread.is_alive()


@contextmanager
def following(node: Node, url: str, token: str) -> Iterator[Follower]:
    """A node that follows until the end of the block."""
    follower = Follower(node, url, token)
    try:
        yield follower
    finally:
        follower.stop.set()
        assert follower.ends()


def until(true: Callable[[], object], timeout: float = 30) -> None:
    """Waits until a condition is true."""
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, "it never comes to be"
        time.sleep(0.01)


def test_local_edits_are_sent_as_they_are_made(tmp_path: Path) -> None:
    """Of this process, and of others that write into the same store; and what is new over there comes."""
    with (
        SuperNode("server", ":memory:", models=MODELS) as server,
        serving(server.app) as url,
        Node("phone", tmp_path / "phone.db", models=MODELS) as phone,
        Node("phone", tmp_path / "phone.db", models=MODELS) as elsewhere,
    ):
        with following(phone, url, server.add_node("phone")) as follower:
            follower.until(lambda: follower.reports)
            here = phone.insert(Todo("here"))
            follower.until(lambda: server.get(here))
            there = elsewhere.insert(Todo("in another process"))
            follower.until(lambda: server.get(there))
            phone.edit(here, title="edited")
            follower.until(lambda: server.get(here).title == "edited")
            new = server.insert(Todo("of the server"))
            follower.until(lambda: phone.get(new))
        assert follower.error is None and not follower.away


def test_what_is_written_between_two_reports_is_sent_too() -> None:
    """By whoever takes the reports, in the same thread."""
    with (
        SuperNode("server", ":memory:", models=MODELS) as server,
        serving(server.app) as url,
        Node("phone", ":memory:", models=MODELS) as phone,
    ):
        guids = list[str]()
        for report in phone.follow(url, token=server.add_node("phone")):
            assert report.sent == (1 if guids else 0)
            if len(guids) == 3:
                break
            guids.append(phone.insert(Todo(str(len(guids)))))
        assert server.all("todo").keys() == set(guids)


def test_a_synchronization_is_no_reason_for_another_one() -> None:
    """Not by what it has brought, nor by what was refused, which is offered again when there is anything new."""
    with (
        SuperNode("server", ":memory:", models=MODELS) as server,
        serving(server.app) as url,
        Node("phone", ":memory:", models=MODELS) as phone,
    ):
        token = server.add_node("phone", write=[])
        server.insert(Todo("x"))
        phone.insert(Todo("refused"))
        with following(phone, url, token) as follower:
            follower.until(lambda: any(report.refused for report in follower.reports))
            before, since = len(follower.reports), time.monotonic()
            deadline = since + 60
            while time.monotonic() < since + 2.5:  # until it is quiet for longer than it takes to look
                assert time.monotonic() < deadline, f"{len(follower.reports)} synchronizations, and no end"
                if len(follower.reports) != before:
                    before, since = len(follower.reports), time.monotonic()
                time.sleep(0.01)
            phone.insert(Todo("another"))
            follower.until(lambda: len(follower.reports) > before)
            assert len(follower.reports[-1].refused) == 2


def test_it_ends_when_it_is_told_to(tmp_path: Path) -> None:
    """Within a second or so, though the next heartbeat is far; and nobody reads the events any longer."""
    with (
        SuperNode("server", ":memory:", models=MODELS, heartbeat=60) as server,
        serving(server.app) as url,
        Node("phone", ":memory:", models=MODELS) as phone,
    ):
        follower = Follower(phone, url, server.add_node("phone"))
        follower.until(lambda: follower.reports)
        assert f"events of {url}" in [thread.name for thread in threading.enumerate()]
        began = time.monotonic()
        follower.stop.set()
        assert follower.ends() and time.monotonic() - began < 10
        assert follower.error is None
        until(lambda: f"events of {url}" not in [thread.name for thread in threading.enumerate()])


def test_it_waits_for_a_server_that_cannot_be_reached_and_says_so_once() -> None:
    """Then it goes on by itself, with what was written meanwhile; the next time it is told again."""
    port = free_port()
    with (
        SuperNode("server", ":memory:", models=MODELS) as server,
        Node("phone", ":memory:", models=MODELS) as phone,
        following(phone, f"http://127.0.0.1:{port}", server.add_node("phone")) as follower,
    ):
        guids = list[str]()
        for n in range(2):
            follower.until(lambda n=n: len(follower.away) == n + 1)  # type: ignore[misc]
            assert f"127.0.0.1:{port}" in str(follower.away[-1])
            guids.append(phone.insert(Todo(str(n))))
            with serving(server.app, port):
                follower.until(lambda: server.all("todo").keys() == set(guids))
        assert follower.error is None


def test_a_token_that_is_none_ends_it() -> None:
    """Waiting would not mend it."""
    with (
        SuperNode("server", ":memory:", models=MODELS) as server,
        serving(server.app) as url,
        Node("phone", ":memory:", models=MODELS) as phone,
        following(phone, url, "made up") as follower,
    ):
        assert follower.ends()
        assert isinstance(follower.error, Forbidden) and follower.away == []
