"""A bad link changes nothing but time; a hostile body changes nothing at all."""

from __future__ import annotations

import gzip
import json
import random
import socket
import sqlite3
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from conftest import Tally
from hypothesis import settings

from mergecore import Clock, Version
from mergecore.sync import (
    Change,
    Forbidden,
    Node,
    PeerError,
    Report,
    Request,
    Response,
    StoreCorrupt,
    StoreFull,
    SuperNode,
    exchange,
    intake,
)
from mergecore.sync import client as sync_client
from mergecore.sync.client import HTTPLink

from .life import MODELS, Todo, check_store, contents, edit, insert, same, tags_of
from .proxy import Link
from .serving import serving

pytestmark = pytest.mark.sync


def open_node(name: str, folder: Path) -> Node:
    return Node(name, folder / f"{name}.db", models=MODELS, back_end="server")


# ------------------------------------------------------------------------------------------------------- bad links


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients try again at once, and batches are small, so that a synchronization has many requests."""
    monkeypatch.setattr(sync_client, "_WAIT", 0.002)
    monkeypatch.setattr(exchange, "BATCH", 4)


@pytest.mark.usefixtures("impatient")
def test_a_bad_link_changes_nothing_but_time(tmp_path: Path, tally: Tally) -> None:
    """Three devices that edit and synchronize while the link cuts, repeats, delays: all that was written is everywhere,
    once; as over a good link.
    """
    rounds = 18 if settings().max_examples <= 300 else 250
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance, tried, failed = random.Random(seed), 0, 0
    names = ("phone", "laptop", "tablet")
    written = dict[str, set[str]]()
    server = SuperNode("server", tmp_path / "server.db", models=MODELS)
    tokens = {name: server.add_node(name) for name in names}
    nodes = {name: open_node(name, tmp_path) for name in names}
    with serving(server.app) as url, Link(url, seed, bad=0.8, slow=0.005, again=rb"POST /sync") as link:

        def sync(name: str) -> Report | None:
            nonlocal tried, failed
            tried += 1
            try:
                report = nodes[name].sync(link.url, token=tokens[name])
            except Forbidden:
                raise
            except PeerError:
                failed += 1
                return None
            assert not report.refused and not report.waiting and not report.rewritten, report
            return report

        for n in range(rounds):
            name = chance.choice(names)
            for k in range(chance.randint(1, 3)):
                tag, there = f"{name} {n} {k}", sorted(nodes[name].all("todo"))
                gone = sorted(nodes[name].all("todo", deleted=True))
                if there and chance.random() < 0.1:
                    nodes[name].delete(chance.choice(there))
                    continue
                if gone and chance.random() < 0.1:
                    nodes[name].restore(chance.choice(gone))
                    continue
                if there and chance.random() < 0.7:
                    guid = chance.choice(there)
                    edit(nodes[name], guid, tag)
                else:
                    guid = f"record {n} {k}"
                    insert(nodes[name], guid, tag)
                written.setdefault(guid, set()).add(tag)
            for _ in range(chance.randint(0, 2)):
                sync(name)
        link.calm()
        for name in names * 2:
            while sync(name) is None:
                pass
        same(server, *nodes.values())
        assert tags_of(server) == written
        check_store(server, tmp_path / "server.db")
        for name, node in nodes.items():
            check_store(node, tmp_path / f"{name}.db")
            assert node.status()["unsynchronized"] == 0
        assert {peer.id: peer.behind for peer in server.nodes()} == dict.fromkeys(names, 0)
        bad = sum(n for fate, n in link.fates.items() if fate != "good")
        more = f"{failed} failed; {dict(link.fates)}; seed {seed}"
        tally("synchronizations over a bad link", tried, rounds // 2, more)
        assert bad > rounds // 2, more
    for node in (server, *nodes.values()):
        node.close()


@pytest.mark.usefixtures("impatient")
def test_a_first_pull_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    """What has come once does not come again."""
    with SuperNode("server", tmp_path / "server.db", models=MODELS) as server, serving(server.app) as url:
        token = server.add_node("phone")
        for n in range(40):
            insert(server, f"{n:02}", f"{n} " + "x" * 500)
        with open_node("phone", tmp_path) as phone:
            told, sizes = 0, [0]

            def progress(done: int, whole: int) -> None:
                nonlocal told
                told += 1
                if told % 3 == 0:
                    raise KeyboardInterrupt  # as somebody who has waited long enough

            while True:
                try:
                    report = phone.sync(url, token=token, progress=progress)
                except KeyboardInterrupt:
                    sizes.append(len(contents(phone)))
                else:
                    break
            assert sizes == sorted(sizes) and len(sizes) >= 5, sizes
            assert report.received <= 40 - sizes[-1]
            same(phone, server)


class Watched(HTTPLink):
    """A link that notes what is asked: up to where the caller says to have heard, and to have stored."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(url, token)
        self.asked: list[tuple[int, int]] = []

    def __call__(self, request: Request) -> Response:
        self.asked.append((request.after, request.stored))
        return super().__call__(request)


@pytest.mark.usefixtures("impatient")
def test_what_was_asked_for_ahead_is_not_told_to_be_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long pull the next part is asked for while one is stored; where storing fails, all of it comes again."""
    with SuperNode("server", tmp_path / "server.db", models=MODELS) as server, serving(server.app) as url:
        token = server.add_node("phone")
        for n in range(40):
            insert(server, f"{n:02}", f"{n}")
        with open_node("phone", tmp_path) as phone, closing(Watched(url, token)) as link:
            whole, fails = intake.take, iter([False, False, False, True])

            def take(node: Node, *said: Any, **how: Any) -> Any:
                if node is phone and next(fails, False):
                    raise StoreFull("no room")
                return whole(node, *said, **how)

            monkeypatch.setattr("mergecore.sync.exchange.take", take)
            with pytest.raises(StoreFull):
                phone.sync(link)
            had = len(contents(phone))
            assert 0 < had < 40
            assert max(after - stored for after, stored in link.asked) > 0, "nothing was asked for ahead"
            assert all(stored <= had for _, stored in link.asked)
            assert all(peer.acknowledged <= had for peer in server.nodes())
            link.asked.clear()
            assert phone.sync(link).received == 40 - had
            assert link.asked[0] == (had, had)
            same(phone, server)


@pytest.mark.usefixtures("impatient")
def test_news_come_through_a_bad_link(tmp_path: Path) -> None:
    """Who follows over a link that is cut again and again has, in the end, everything."""
    with (
        SuperNode("server", tmp_path / "server.db", models=MODELS) as server,
        serving(server.app) as url,
        Link(url, seed=5, bad=0) as link,
        open_node("phone", tmp_path) as phone,
    ):
        token, stop, reports = server.add_node("phone"), threading.Event(), list[Report]()

        def follow() -> None:
            reports.extend(phone.follow(link.url, token=token, stop=stop))

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            for n in range(3):
                insert(server, f"{n}", f"{n}")
                _until(lambda n=n: phone.get(f"{n}") is not None)  # type: ignore[misc]
                link.cut()
        finally:
            stop.set()
            thread.join(20)
        assert not thread.is_alive()


def _until(true: Callable[[], bool], timeout: float = 20) -> None:
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.01)


# ---------------------------------------------------------------------------------------------------- hostile bodies


class Hostile:
    """A server with a record, the token of a node that may write, and what others wrote."""

    def __init__(self, folder: Path, url: str, server: SuperNode, tokens: dict[str, str]) -> None:
        self.path, self.url, self.server, self.tokens = folder / "server.db", url, server, tokens
        self.http = httpx.Client(base_url=url, verify=False, timeout=30)
        self.clock, self.other = Clock("phone"), Clock("laptop")

    def post(self, body: bytes, token: str | None = "phone", **headers: str) -> httpx.Response:
        """A body as a request of a node, whose token is that of ``token``."""
        told = [(b"Content-Type", b"application/msgpack")]
        told += [(name.encode(), value.encode()) for name, value in headers.items()]
        if token is not None:
            told.append((b"Authorization", b"Bearer " + self.tokens.get(token, token).encode()))
        return self.http.post("/sync", content=body, headers=told)

    def request(self, *changes: Change, node: str = "phone", **fields: Any) -> Request:
        return msgspec.structs.replace(Request(node, "epoch", 100, changes=list(changes)), **fields)

    def body(self, *changes: Change, **fields: Any) -> bytes:
        return msgspec.msgpack.encode(self.request(*changes, **fields))

    def change(self, record: Todo | None = None, clock: Clock | None = None, **fields: Any) -> Change:
        guid = fields.pop("id", None)
        version: Version[Any] = Version.new(clock or self.clock, record or Todo("x", 1, {"x"}), Todo, id=guid)
        return msgspec.structs.replace(Change("todo", version.id, 1, version.encode()), **fields)

    def records(self) -> list[str]:
        """All that is stored, but for what is known of nodes."""
        with closing(sqlite3.connect(self.path)) as db:
            lines = [line for line in db.iterdump() if line.startswith(("INSERT", "CREATE"))]
        ours = ("mergecore_peers", "mergecore_node")
        return [line for line in lines if not any(f'"{table}"' in line for table in ours)]


@contextmanager
def hostile_world(folder: Path, **how: Any) -> Iterator[Hostile]:
    with SuperNode("server", folder / "server.db", models=MODELS, **how) as server, serving(server.app) as url:
        tokens = {name: server.add_node(name) for name in ("phone", "laptop")}
        tokens["reader"] = server.add_node("reader", write=())
        tokens["blind"] = server.add_node("blind", read=(), write=())
        tokens["relay"] = server.add_node("relay", relay=True)
        tokens["revoked"] = server.add_node("revoked")
        server.revoke("revoked")
        insert(server, "there", "s1")
        world = Hostile(folder, url, server, tokens)
        with world.http:
            yield world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Hostile]:
    """Whose bodies may have 200 kB."""
    with hostile_world(tmp_path, max_body=200_000) as made:
        yield made


def check_problem(answer: httpx.Response, *status: int) -> dict[str, Any]:
    """It is a problem of RFC 9457, of one of these statuses, and it tells nothing that is nobody's business."""
    assert answer.status_code in status, f"{answer.status_code} {answer.text[:500]}"
    assert answer.headers["content-type"].split(";")[0] == "application/problem+json", answer.headers
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == answer.status_code and problem["title"], problem
    assert len(problem["detail"]) > 8, problem
    assert not any(word in answer.text for word in ("Traceback", "/site-packages/", "sqlalchemy", "SELECT ")), problem
    assert len(answer.content) < 10_000
    return problem


def test_without_a_valid_token_nothing_is_to_be_had(world: Hostile) -> None:
    """Wherever one asks, and however the token is wrong."""
    before = world.records()
    body = world.body(world.change())
    for token in (None, "wrong", "revoked", "x" * 10_000, "ü"):
        check_problem(world.post(body, token), 401)
    one = "/records/todo/there"
    paths = ["/records/todo", one, "/inbox", "/events"]
    writes = [("POST", "/records/todo"), ("PUT", one), ("PATCH", one), ("DELETE", one), ("POST", f"{one}/resolve")]
    writes += [("POST", "/sync")]
    tried = 0
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {world.tokens['phone']}"},
        {"Authorization": f"Bearer {world.tokens['revoked']}"},
    ):
        for path in paths:
            check_problem(world.http.get(path, headers=headers), 401)
            tried += 1
        for method, path in writes:
            answer = world.http.request(method, path, headers={**headers, "If-Match": "*"}, json={"title": "hacked"})
            assert answer.headers.get("www-authenticate")
            check_problem(answer, 401)
            tried += 1
    assert world.records() == before
    assert tried == 40
    for token in world.tokens.values():  # stored as a hash alone
        assert token.encode() not in world.path.read_bytes()


def test_a_node_is_who_it_is(world: Hostile) -> None:
    """The token of one, the name of another; what others wrote, as if it was handed on; models that are not its own."""
    before = world.records()
    check_problem(world.post(world.body(world.change(clock=world.other), node="laptop")), 403)
    check_problem(world.post(world.body(node="server")), 400, 403)
    mixed = Version.new(world.clock, Todo("x", 1, {"x"}), Todo)
    mixed = mixed.edit(world.other, title="as if the laptop had")
    alone = world.change(clock=world.other)
    for change in (alone, Change("todo", mixed.id, 1, mixed.encode()), _purged(alone)):
        _refused(world.post(world.body(change)), change.guid)
    _refused(world.post(world.body(world.change(), node="reader"), "reader"), "", 403)
    _refused(world.post(world.body(world.change(model="secret"))), "")
    assert world.records() == before
    answer = world.post(world.body(node="blind"), "blind")
    assert msgspec.msgpack.decode(answer.content, type=Response).changes == []
    for path in ("/records/todo", "/records/todo/there"):
        check_problem(world.http.get(path, headers={"Authorization": f"Bearer {world.tokens['blind']}"}), 403, 404)
    taken = msgspec.msgpack.decode(world.post(world.body(alone, node="relay"), "relay").content, type=Response)
    assert [result.why for result in taken.results] == [""]
    assert world.server.get(alone.guid) == Todo("x", 1, {"x"})


def _purged(change: Change) -> Change:
    return msgspec.structs.replace(change, purged=msgspec.msgpack.encode([]))


def _refused(answer: httpx.Response, guid: str, *status: int) -> None:
    """As a whole, or each change by its own."""
    if answer.status_code != 200:
        check_problem(answer, *(status or (400, 403, 409, 422)))
        return
    results = msgspec.msgpack.decode(answer.content, type=Response).results
    assert results and all(result.why for result in results), results
    assert not guid or [result.guid for result in results] == [guid]


def _bodies(world: Hostile) -> Iterator[tuple[str, bytes, dict[str, str], tuple[int, ...]]]:
    """What a node would never send, and what it is told."""
    good = world.body(world.change())
    bad, big = (400, 422), (413,)
    zipped = {"Content-Encoding": "gzip"}
    yield "empty", b"", {}, bad
    for size in range(1, len(good), 1 if settings().max_examples > 300 else 17):
        yield f"cut at {size}", good[:size], {}, bad
    for size in (0, 5, 15, 40):
        yield f"gzip cut at {size}", gzip.compress(good)[:size], zipped, bad
    yield "gzip with a wrong sum", gzip.compress(good)[:-6] + b"123456", zipped, bad
    yield "no gzip", good, zipped, bad
    yield "something after the gzip", gzip.compress(good) + b"and more", zipped, (*bad, 200)
    yield "deflate", zlib.compress(good), {"Content-Encoding": "deflate"}, (415,)
    yield "brotli", good, {"Content-Encoding": "br"}, (415,)
    yield "gzip of gzip", gzip.compress(gzip.compress(good)), {"Content-Encoding": "gzip, gzip"}, (400, 415)
    yield "too large", world.body(world.change(Todo("x" * 200_000, 1, {"x"}))), {}, big
    yield "too large when unpacked", gzip.compress(b"\0" * 300_000), zipped, big
    yield "a bomb", gzip.compress(b"\0" * (64 << 20), 9), zipped, big
    yield "something after it", good + b"\xc0", {}, bad
    yield "JSON", json.dumps({"node": "phone"}).encode(), {}, bad
    for value in (None, 1, "text", [], {}, [1, 2, 3], {"node": 1}, {"node": "phone"}, {"node": "phone", "epoch": "e"}):
        yield f"the value {value}", msgspec.msgpack.encode(value), {}, bad
    yield "deep", b"\x91" * 150_000 + b"\xc0", {}, bad
    yield "deep maps", b"\x81\xa4node" * 30_000 + b"\xc0", {}, bad
    yield "a list that says to be long", good.replace(b"\xa7changes\x91", b"\xa7changes\xdd\xff\xff\xff\xff"), {}, bad
    yield "a text that says to be long", good.replace(b"\xa4node\xa5", b"\xa4node\xdb\xff\xff\xff\xff"), {}, bad
    yield "no UTF-8", good.replace(b"\xa5phone", b"\xa5\xff\xfe\xfd\xfc\xfb", 1), {}, bad
    whole = world.change()
    for what, data in {
        "none": b"", "zeros": b"\0" * 100, "text": b"hello", "msgpack": msgspec.msgpack.encode({"a": 1}),
        "cut": whole.data[:-3], "longer": whole.data + b"\0", "deep": b"\x91" * 5000,
    }.items():  # fmt: skip
        yield f"a version's bytes: {what}", world.body(msgspec.structs.replace(whole, data=data)), {}, bad
        yield f"among good ones: {what}", world.body(world.change(), msgspec.structs.replace(whole, data=data)), {}, bad
    yield "another record's", world.body(msgspec.structs.replace(whole, guid="another")), {}, bad
    yield "no tombstone's vector", world.body(msgspec.structs.replace(whole, purged=b"\xc1")), {}, bad
    for field in ("position", "limit", "stored", "after"):
        told = msgspec.to_builtins(world.request(whole), builtin_types=(bytes,))
        yield f"{field} is text", msgspec.msgpack.encode({**told, field: "1"}), {}, bad
        yield f"{field} is a fraction", msgspec.msgpack.encode({**told, field: 1.5}), {}, bad


def test_a_hostile_body_changes_nothing(world: Hostile, tally: Tally) -> None:
    """It gets a clear answer, soon, and nothing is stored; and whoever behaves is served as before."""
    before, seen = world.records(), Counter[int]()
    for name, body, headers, status in _bodies(world):
        began = time.monotonic()
        answer = world.post(body, **headers)
        took = time.monotonic() - began
        seen[answer.status_code] += 1
        if answer.status_code != 200:
            try:
                check_problem(answer, *status)
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from None
            assert world.records() == before, name
        else:
            assert 200 in status, f"{name} is taken"
            before = world.records()
        assert took < 5, f"{name} takes {took} s"
    good = world.change()
    assert world.post(world.body(good)).status_code == 200
    assert world.server.get(good.guid) == Todo("x", 1, {"x"})
    check_store(world.server, world.path)
    tally("hostile bodies", seen.total(), 70, ", ".join(f"{n} times {status}" for status, n in sorted(seen.items())))


def test_numbers_out_of_range(world: Hostile) -> None:
    """Nothing that a request can say of itself makes the server fail, or forget what it knows of others."""
    insert(world.server, "other", "s2")
    assert world.post(world.body(node="laptop"), "laptop").status_code == 200
    before = world.records()
    for fields in (
        {"limit": 0}, {"limit": -1}, {"limit": 1 << 62}, {"after": -1}, {"after": 1 << 62}, {"position": -1},
        {"position": 1 << 62}, {"stored": -1}, {"stored": 1 << 62}, {"epoch": ""}, {"epoch": "x" * 9**5},
        {"epoch": "\0"},
        {"peer_epoch": "\0"}, {"position": 0}, {"after": 1 << 63}, {"position": (1 << 64) - 1},
    ):  # fmt: skip
        answer = world.post(world.body(**fields))
        if answer.status_code != 200:
            check_problem(answer, 400, 413, 422)
        assert world.records() == before, fields
    epoch = _answer(world.post(world.body(node="laptop"), "laptop")).epoch
    check_problem(world.post(world.body(after=1 << 40, peer_epoch=epoch)), 409)
    assert _answer(world.post(world.body(node="laptop"), "laptop")).epoch == epoch, "one client makes all start anew"


def _answer(answer: httpx.Response) -> Response:
    assert answer.status_code == 200, answer.text[:500]
    return msgspec.msgpack.decode(answer.content, type=Response)


NAMES = [
    "", "mergecore_node", "MERGECORE_RECORDS", "sqlite_master", 'todo"; DROP TABLE todo; --', "a\0b", "x" * 1000, "é",
    "pg_class", "../todo", " ", "todo\n", "select",
]  # fmt: skip


def test_names_of_models_and_records(tmp_path: Path) -> None:
    """A server without models takes any: but not what is no table's name; and any GUID is a text like another."""
    with SuperNode("server", tmp_path / "server.db") as server, serving(server.app) as url:
        world = Hostile(tmp_path, url, server, {"phone": server.add_node("phone")})
        with world.http:
            for name in NAMES:
                before = world.records()
                told = world.post(world.body(world.change(model=name)))
                if name == "select":
                    assert [result.why for result in _answer(told).results] == [""]
                    continue
                _refused(told, "")
                assert world.records() == before, name
            for guid in ("x" * 5000, "a\0b", "a\nb", ""):
                before = world.records()
                changed = msgspec.structs.replace(world.change(model="select"), guid=guid)
                _refused(world.post(world.body(changed)), "")
                assert world.records() == before, guid
            for guid in ('\'; DROP TABLE "select"; --', "x" * 200, "é", "%", "a/b", "..", " "):
                results = _answer(world.post(world.body(world.change(id=guid, model="select")))).results
                assert [one.why for one in results] == [""], guid
                assert server.version(guid).record["title"] == "x"


def test_flipped_bits(world: Hostile, tally: Tally) -> None:
    """A body with a bit or a byte changed at random: an answer that is no failure of the server's, whatever is stored
    can be read, and what was there before is as it was.
    """
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance, seen = random.Random(seed), Counter[int]()
    there = world.server.version("there").encode()
    for _ in range(60 if settings().max_examples <= 300 else 2000):
        body = bytearray(world.body(world.change(), world.change(id="there" if chance.random() < 0.2 else None)))
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(body))
            body[at] = body[at] ^ 1 << chance.randrange(8) if chance.random() < 0.5 else chance.randrange(256)
        answer = world.post(bytes(body))
        seen[answer.status_code] += 1
        if answer.status_code != 200:
            check_problem(answer, 400, 403, 413, 422)
    contents(world.server)
    assert world.server.version("there").encode() == there or world.server.version("there").record.votes >= 1
    check_store(world.server, world.path)
    more = ", ".join(f"{n} times {status}" for status, n in sorted(seen.items()))
    tally("bodies with flipped bits", seen.total(), 60, f"{more}, seed {seed}")


def test_a_body_that_ends_too_soon(world: Hostile) -> None:
    """The connection is closed in the middle of a request: nothing of it is stored."""
    before = world.records()
    body = world.body(world.change())
    host, port = world.url.removeprefix("http://").split(":")
    head = f"POST /sync HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {world.tokens['phone']}\r\n"
    for sent in (
        f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:-1],
        f"{head}Content-Length: {len(body)}\r\n\r\n".encode(),
        head.encode(),
        f"{head}Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n".encode() + body + b"\r\n",
        b"\x16\x03\x01\x00\xa5hello",
    ):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(sent)
    assert world.post(world.body()).status_code == 200
    assert world.records() == before


def test_what_is_not_there(world: Hostile) -> None:
    """Paths and methods that do not exist are problems like others."""
    token = {"Authorization": f"Bearer {world.tokens['phone']}"}
    check_problem(world.http.get("/nowhere", headers=token), 404)
    check_problem(world.http.get("/sync", headers=token), 405)
    check_problem(world.http.get("/records/todo/nobody", headers=token), 404)
    check_problem(world.http.get("/records/nothing", headers=token), 403, 404)
    check_problem(world.http.post("/records/todo", content=b"{", headers=token), 400)
    check_problem(world.http.post("/records/todo", content=b"[" * 100_000, headers=token), 400)
    check_problem(world.http.post("/records/todo", content=b'{"votes": "many"}', headers=token), 400, 422)
    check_problem(world.http.post("/records/todo", content=b'"' + b"x" * 300_000 + b'"', headers=token), 413)
    check_problem(world.http.get("/records/todo?limit=x", headers=token), 400, 422)
    check_problem(world.http.put("/records/todo/there", json={}, headers=token), 428)


def test_a_corrupt_row_of_the_caller(tmp_path: Path) -> None:
    """It is named; the other records are exchanged, or at least nothing is said to be exchanged."""
    with SuperNode("server", tmp_path / "server.db", models=MODELS) as server, serving(server.app) as url:
        token = server.add_node("phone")
        with open_node("phone", tmp_path) as phone:
            for guid in ("a", "b", "c"):
                insert(phone, guid, guid)
            with closing(sqlite3.connect(tmp_path / "phone.db")) as db, db:
                db.execute("UPDATE todo SET _version = x'00' WHERE guid = 'b'")
            try:
                report = phone.sync(url, token=token)
            except StoreCorrupt as error:
                assert "b of 'todo'" in str(error)  # noqa: PT017
            else:
                assert [refused.guid for refused in report.refused] == ["b"]
            assert "b" not in server.all("todo")
            with closing(sqlite3.connect(tmp_path / "phone.db")) as db, db:
                db.execute("DELETE FROM todo WHERE guid = 'b'")
                db.execute("DELETE FROM mergecore_records WHERE guid = 'b'")
            assert not phone.sync(url, token=token).refused
            same(phone, server)
