"""The tests' own database, link and terminal do what the tests believe that they do."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from conftest import Tally

from .postgres import PostgreSQL
from .proxy import FATES, Link
from .serving import serving
from .terminal import ENTER, Terminal

pytestmark = pytest.mark.sync


def test_each_test_has_a_database_of_its_own(postgresql: PostgreSQL, postgres_url: str) -> None:
    """A copy holds the same, and what is dropped is gone."""
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS one")
    with postgresql.database() as other, psycopg.connect(other) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE tablename = 't'").fetchone() == (0,)
    copied = postgresql.copy(postgres_url)
    with psycopg.connect(copied) as connection:
        assert connection.execute("SELECT one FROM t").fetchone() == (1,)
        postgresql.drop(copied)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT one FROM t")


class Counting:
    """An app that counts the bodies that have come whole, and answers with their size."""

    def __init__(self) -> None:
        self.bodies = Counter[bytes]()

    async def __call__(
        self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message.get("more_body", False)
        self.bodies[body] += 1
        answer = b"%d " % len(body) + b"x" * len(body)
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(answer))]}
        )
        await send({"type": "http.response.body", "body": answer})


def test_what_a_bad_link_does(tally: Tally) -> None:
    """Every fate is met; what is delivered is what was sent; who tries until an answer comes gets the right one."""
    app, failures, sent = Counting(), 0, 0
    with serving(app) as url, Link(url, seed=1, bad=0.7, slow=0.002, again=rb"POST /sync") as link:
        for n in range(30):
            body = b"%d " % n + b"y" * (n * n * 7)
            with httpx.Client(timeout=10, verify=False) as client:
                for _ in range(3):  # on one connection, if it lasts
                    while True:
                        sent += 1
                        try:
                            answer = client.post(f"{link.url}/sync", content=body)
                        except httpx.TransportError:
                            failures += 1
                        else:
                            assert answer.content == b"%d " % len(body) + b"x" * len(body)
                            break
            assert app.bodies[body] >= 3
    assert set(FATES) | {"good", "worn out", "repeated late"} == {fate for fate, n in link.fates.items() if n >= 2}, (
        link.fates
    )
    assert len(app.bodies) == 30  # none came in part
    assert sum(app.bodies.values()) > 90
    tally("requests over a bad link", sent, 90, f"{failures} failed: {dict(link.fates)}")


def test_a_calm_link_is_good_and_a_cut_is_seen() -> None:
    """And connections overtake each other where it is slow."""
    app, order, slow = Counting(), list[int](), 0.2
    with serving(app) as url, Link(url, seed=2, bad=0, slow=slow) as link:

        def ask(n: int) -> None:
            httpx.post(link.url, content=b"%d" % n)
            order.append(n)

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(order) == list(range(8)) != order
        with httpx.Client(verify=False) as client:
            assert client.post(link.url, content=b"a").status_code == 200
            link.cut()
            link.calm()
            assert client.post(link.url, content=b"a").status_code == 200  # its pool has noticed
    assert set(link.fates) == {"good"}


ASKING = """
import shutil, sys
print("wide", shutil.get_terminal_size(), sys.stdin.isatty(), sys.stdout.isatty())
print(*range(40), sep="\\n")
print("\\x1b[31mname?\\x1b[0m ", end="", flush=True)
try:
    print("so", input().upper())
    input()
except KeyboardInterrupt:
    print("interrupted")
    sys.exit(3)
"""


def test_what_a_terminal_does(tmp_path: Path) -> None:
    """It has a size, scrolls, takes keys, echoes, shows colors, and its Ctrl-C interrupts."""
    script = tmp_path / "asking.py"
    script.write_text(ASKING)
    with Terminal([sys.executable, script], columns=60, rows=10) as t:
        t.wait_for("name?")
        assert t.colors() == {"red"}
        t.send("ann" + ENTER)
        screen = t.wait_for("so ANN")
        assert "wide" not in screen and "name? ann" in screen and len(screen.splitlines()) <= 10
        assert t.transcript().splitlines()[:2] == ["wide os.terminal_size(columns=60, lines=10) True True", "0"]
        t.interrupt()
        assert t.wait() == 3
        assert "interrupted" in t.screen()
        with pytest.raises(AssertionError, match="does not appear"):
            t.wait_for("never", timeout=0.1)
    with Terminal([sys.executable, "-c", "import time; time.sleep(600)"]) as t:
        pass
    assert t.wait() == -9
