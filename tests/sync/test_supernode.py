"""The super node: who its clients are, what each may do and has, and how those hear that there is something new."""

from __future__ import annotations

import datetime as dt
import http.server
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import msgspec
import pytest

from mergecore import Clock, InvalidInput, Timestamp, Version, VersionVector, add_wins, counter, keep_both
from mergecore.history import Commit, History, PNCounter, Write
from mergecore.sync import Change, Forbidden, Node, Peer, PeerError, Report, Request, SuperNode, Webhook, exchange
from mergecore.sync.intake import change_of
from mergecore.sync.protocol import vector_bytes
from mergecore.sync.store import Row

from .serving import serving

pytestmark = pytest.mark.sync


class Todo(msgspec.Struct):
    """One model."""

    title: str = ""
    owner: Annotated[str | None, keep_both] = None
    votes: Annotated[int, counter] = 0
    tags: Annotated[set[str], add_wins] = set()


class Note(msgspec.Struct):
    """Another one."""

    text: str = ""


MODELS: dict[str, Any] = {"todo": Todo, "note": Note}
START = 1_700_000_000_000


def super_node(store: Path | str = ":memory:", **how: Any) -> SuperNode:
    """A super node of both models."""
    return SuperNode("server", store, models=MODELS, **how)


def node(name: str, **how: Any) -> Node:
    """A device with both models."""
    return Node(name, ":memory:", models=MODELS, **how)


def peer(server: Node, id: str) -> Peer:
    """What the server knows of a node."""
    return next(p for p in server.nodes() if p.id == id)


# ---------------------------------------------------------------------- the table of nodes


def test_the_table_of_nodes_says_who_there_is_and_what_each_has(tmp_path: Path) -> None:
    """Id, client name, date and position of the last synchronization, custom fields; in SQL, too."""
    wall = [START]
    path = tmp_path / "server.db"
    server, phone = super_node(path, now=lambda: wall[0]), node("phone")
    token = server.add_node("phone", client_name="Ann's phone", fields={"user": 7, "tags": ["a"]})
    server.add_node("tablet")
    before = peer(server, "phone")
    assert (before.client_name, before.last_sync, before.position, before.acknowledged) == ("Ann's phone", None, 0, 0)
    assert before.fields == {"user": 7, "tags": ["a"]} and not before.revoked and not before.retired
    phone.insert(Todo("x"))
    for n in range(4):
        server.insert(Note(str(n)))
    assert (peer(server, "phone").behind, peer(server, "tablet").behind) == (4, 4)
    phone.sync(server, token=token)
    phone.sync(server, token=token)
    after = peer(server, "phone")
    assert (after.behind, after.acknowledged) == (0, 5)
    assert after.last_sync == dt.datetime.fromtimestamp(START / 1000, dt.UTC)
    assert peer(server, "tablet").behind == 5
    with closing(sqlite3.connect(path)) as db:
        found = db.execute("SELECT id, client_name, last_sync, acknowledged, fields FROM mergecore_peers").fetchall()
    assert found[0] == ("phone", "Ann's phone", "2023-11-14 22:13:20.000000", 5, '{"user":7,"tags":["a"]}')
    server.close()


def test_a_token_is_stored_as_a_hash_alone(tmp_path: Path) -> None:
    """Whoever reads the store cannot speak for a node."""
    path = tmp_path / "server.db"
    with super_node(path) as server:
        token = server.add_node("phone")
        assert server.authenticate(token).id == "phone"
    assert not any(token.encode() in file.read_bytes() for file in tmp_path.iterdir())


def test_how_many_records_a_node_misses_counts_what_it_may_read() -> None:
    """And each of them once, however often it was changed."""
    with super_node() as server, node("phone") as phone:
        token = server.add_node("phone", read=["todo"])
        a, b = server.insert(Todo("a")), server.insert(Todo("b"))
        server.insert(Note("not for the phone"))
        assert peer(server, "phone").behind == 2
        for _ in range(2):
            phone.sync(server, token=token)
        assert peer(server, "phone").behind == 0
        for n in range(3):
            server.edit(a, title=str(n))
        server.delete(b)
        assert peer(server, "phone").behind == 2
        assert phone.all("note") == {}


def test_a_node_has_a_name_of_its_own() -> None:
    """Not the server's, none with the sign that marks incarnations; and a stranger is no node."""
    with super_node() as server:
        for name in ("", "server", "a~b", 7):
            with pytest.raises(InvalidInput):
                server.add_node(name)  # type: ignore[arg-type]
        for call in (server.revoke, server.retire):
            with pytest.raises(InvalidInput, match="'stranger'"):
                call("stranger")


# ---------------------------------------------------------------------- the rights


def test_a_node_reads_and_writes_what_it_may() -> None:
    """By model; what it may not write is refused by name and stays with it, the rest goes through."""
    with super_node() as server, node("phone") as phone:
        token = server.add_node("phone", read=["todo", "note"], write=["todo"])
        note = server.insert(Note("to be read"))
        todo, mine = phone.insert(Todo("mine")), phone.insert(Note("not to be written"))
        report = phone.sync(server, token=token)
        assert [(r.guid, r.why, r.by) for r in report.refused] == [(mine, "forbidden", "server")]
        first, refused = str(report).splitlines()
        assert first == "server: sent 1, received 1" and not report.clean
        assert refused == f"refused by server: note {mine}: forbidden, 'phone' may not write 'note'"
        assert server.get(todo) == Todo("mine") and server.get(mine) is None and phone.get(note) == Note("to be read")
        phone.edit(note, text="changed here")
        assert {r.guid for r in phone.sync(server, token=token).refused} == {mine, note}
        assert server.get(note) == Note("to be read")
        assert {r.guid for r in phone.sync(server, token=token).refused} == {mine, note}  # offered again


def test_a_node_with_one_record_in_two_batches_is_not_blamed_for_what_it_only_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is handed back unchanged is no writing."""
    monkeypatch.setattr(exchange, "BATCH", 3)
    with super_node() as server, node("phone") as phone:
        token = server.add_node("phone", read=["todo", "note"], write=["todo"])
        phone.sync(server, token=token)
        for n in range(7):
            phone.insert(Todo(str(n)))
        server.insert(Note("1"))
        for _ in range(3):
            assert phone.sync(server, token=token).refused == []


def test_rights_that_were_changed_count_from_then_on() -> None:
    """What may be read now comes, however old it is; what may be written now is taken; what may not, no longer."""
    with super_node() as server, node("phone") as phone:
        token = server.add_node("phone", read=["todo"], write=[])
        old = server.insert(Note("old"))
        server.insert(Todo("x"))
        mine = phone.insert(Todo("mine"))
        assert [r.why for r in phone.sync(server, token=token).refused] == ["forbidden"]
        phone.sync(server, token=token)
        assert phone.get(old) is None
        server.allow("phone", read=["todo", "note"], write=["todo"])
        assert peer(server, "phone").behind == 2  # told so: by acknowledged, it had all that it might read
        assert server.behind(["phone"]) == {"phone": 2}
        report = phone.sync(server, token=token)
        assert (
            report.refused == [] and report.clean and phone.get(old) == Note("old") and server.get(mine) == Todo("mine")
        )
        assert phone.sync(server, token=token).round_trips == 1
        server.allow("phone", read=["note"], write=[])
        server.edit(mine, title="changed there")
        phone.edit(mine, owner="ann")
        assert [r.why for r in phone.sync(server, token=token).refused] == ["forbidden"]
        assert (phone.get(mine).title, server.get(mine).owner) == ("mine", None)


def test_a_revoked_node_is_heard_no_longer() -> None:
    """Its token dies at once, what it sends is refused whole; with a new token it goes on where it was."""
    with super_node() as server, node("phone") as phone, serving(server.app) as url:
        token = server.add_node("phone")
        guid = phone.insert(Todo("a"))
        phone.sync(url, token=token)
        server.revoke("phone")
        assert peer(server, "phone").revoked
        phone.edit(guid, title="b")
        for where in (url, server):
            with pytest.raises(Forbidden):
                phone.sync(where, token=token)
        with pytest.raises(Forbidden, match="revoked"):
            phone.sync(server)  # without a token, in the same process
        assert server.get(guid) == Todo("a")
        assert httpx.get(f"{url}/records/todo", headers={"Authorization": f"Bearer {token}"}).status_code == 401
        with pytest.raises(InvalidInput, match="was revoked"):
            server.add_node("phone")
        token = server.add_node("phone", renew=True)
        assert not peer(server, "phone").revoked
        phone.sync(url, token=token)
        assert server.get(guid) == Todo("b")


def test_a_known_node_keeps_its_token_unless_another_one_is_asked_for() -> None:
    """And what is not given of its rights and the rest, in both; a stranger has nothing to be changed."""
    with super_node() as server:
        old = server.add_node("phone", client_name="Ann's", fields={"user": 7}, read=["todo"], write=[])
        with pytest.raises(InvalidInput, match="renew=True"):
            server.add_node("phone")
        assert server.authenticate(old).id == "phone"
        token = server.add_node("phone", relay=True, renew=True)
        with pytest.raises(Forbidden):
            server.authenticate(old)
        server.allow("phone", write=["note"], fields={"user": 8})
        one = peer(server, "phone")
        assert (one.client_name, one.fields, one.read, one.write) == ("Ann's", {"user": 8}, ["todo"], ["note"])
        assert one.relay and server.authenticate(token).id == "phone"
        with pytest.raises(InvalidInput, match="'stranger'"):
            server.allow("stranger", read=None)


def test_a_node_that_may_read_more_is_told_that_it_is_behind() -> None:
    """At once, though it had acknowledged all; who may write more, or read less, has all that it may read."""
    with super_node() as server, serving(server.app) as url, node("phone") as phone:
        token = server.add_node("phone", read=["todo"], write=[])
        server.insert(Note("old"))
        server.insert(Todo("x"))
        for _ in range(2):
            phone.sync(url, token=token)
        acknowledged = peer(server, "phone").acknowledged
        rights: Any
        for rights in ({"write": ["todo"]}, {"read": []}, {"client_name": "Ann's"}):
            server.allow("phone", **rights)
            assert peer(server, "phone").acknowledged == acknowledged and server.behind(["phone"]) == {}
        with listening(url, token) as (events,):
            server.allow("phone", read=["note"])
            assert (peer(server, "phone").acknowledged, peer(server, "phone").behind) == (0, 1)
            events.wait_for(1)


def test_rights_are_of_models_that_there_are() -> None:
    """A typing error, and a text in place of a list, are errors; without models, any name is one."""
    with super_node() as server:
        bad: Any
        for bad in ({"read": ["todos"]}, {"write": ["note", "Note"]}, {"read": "todo"}, {"write": 7}, {"read": [Todo]}):
            with pytest.raises(InvalidInput):
                server.add_node("phone", **bad)
        with pytest.raises(InvalidInput, match="did you mean 'todo'"):
            server.add_node("phone", read=["todos"])
        assert server.nodes() == []
    with SuperNode("server", ":memory:") as server:
        server.add_node("phone", read=["whatever"])


def test_a_token_speaks_for_its_own_node_alone() -> None:
    """Nobody hands in a request in another's name."""
    with super_node() as server, node("phone") as phone:
        token = server.add_node("laptop")
        server.add_node("phone")
        phone.insert(Todo("x"))
        with pytest.raises(Forbidden, match="'laptop'"):
            phone.sync(server, token=token)
        with pytest.raises(Forbidden):
            phone.sync(server, token="made up")
        assert server.all("todo") == {} and peer(server, "phone").last_sync is None


# ---------------------------------------------------------------------- who wrote what


def put_in(at: Node, guid: str, version: Version[Any], model: str = "todo") -> None:
    """A device stores whatever it likes."""
    with at.transaction() as tx:
        row = tx.rows([guid]).get(guid) or Row(guid, model, b"")
        tx.fill(row, version)
        tx.save([row])


def forged(version: Version[Any], **parts: Any) -> Version[Any]:
    """A version with other parts."""
    return Version(version._stored._replace(**parts), version._binding)


class Attack:
    """A server, the phone that attacks, and the laptop whose name it uses; both know one record."""

    def __init__(self, relay: bool = False) -> None:
        self.server, self.phone, self.laptop = super_node(), node("phone"), node("laptop")
        self.tokens = {"phone": self.server.add_node("phone", relay=relay), "laptop": self.server.add_node("laptop")}
        self.guid = self.laptop.insert(Todo("x", votes=1, tags={"a"}))
        self.laptop.edit(self.guid, owner="ann")
        for _ in range(2):
            self.sync(self.laptop)
            self.sync(self.phone)
        self.before = self.server.version(self.guid)

    def sync(self, who: Node) -> Report:
        return who.sync(self.server, token=self.tokens[who.name])

    def refused(self, version: Version[Any]) -> None:
        """A version that the phone has made up is refused: as another's, or as what can be nobody's."""
        try:
            Version.decode(version.encode(), Todo)
        except InvalidInput:
            change = Change("todo", version.id, 1, version.encode())
            request = Request("phone", "made up", 1, changes=[change])
            with pytest.raises(InvalidInput, match=version.id):
                self.server.answer(request, self.server.authenticate(self.tokens["phone"]))
        else:
            put_in(self.phone, version.id, version)
            assert (version.id, "not own") in [(r.guid, r.why) for r in self.sync(self.phone).refused]
        assert self.server.version(self.guid) == self.before
        assert version.id == self.guid or self.server.get(version.id) is None

    @property
    def stamp(self) -> Timestamp:
        """A stamp of the laptop's that everybody knows."""
        return next(s for s in self.before.seen.values() if s.node.startswith("laptop"))

    def later(self, node: str | None = None) -> Timestamp:
        """One that nobody knows."""
        return Timestamp(self.stamp.millis + 5, 0, node or self.stamp.node)


def test_commits_of_another_node_are_refused_without_the_right_to_relay() -> None:
    """Under a name that is known, or a new one, in a record that is known, or a new one; with the right they pass."""
    attack = Attack()
    for clock in (Clock("laptop"), Clock("server"), Clock("stranger")):
        attack.refused(attack.before.edit(clock, title="not mine"))
    attack.refused(Version.new(Clock("laptop"), Todo("new"), id="new"))
    attack = Attack(relay=True)
    theirs = attack.before.edit(Clock("laptop"), title="relayed")
    put_in(attack.phone, attack.guid, theirs)
    assert attack.sync(attack.phone).refused == []
    assert attack.server.get(attack.guid).title == "relayed"


def test_a_name_that_begins_with_the_nodes_own_is_another_one() -> None:
    """An incarnation is what follows the sign for it, and nothing else."""
    attack = Attack()
    attack.refused(attack.before.edit(Clock("phone2"), title="not mine"))
    attack.refused(forged(attack.before, seen=attack.before.seen.plus(attack.later("pho"))))


def test_a_forged_seen_is_refused() -> None:
    """Who says to have seen what another node has not yet written would make everybody skip it."""
    attack = Attack()
    seen = attack.before.seen.plus(attack.later())
    attack.refused(forged(attack.before, seen=seen))
    attack.refused(
        forged(attack.before.edit(Clock("phone"), title="mine"), seen=seen.plus(attack.later("phone~aaaaaaaaaaaaa")))
    )


def test_a_commit_that_says_to_have_seen_what_nobody_has_written_is_refused() -> None:
    """It would dominate what the laptop writes next."""
    attack = Attack()
    mine = attack.before.edit(Clock("phone"), title="mine")
    state = mine._fields["title",]
    assert isinstance(state, History)
    stamp = max(w.stamp for w in state.writes)
    unwritten = Timestamp(stamp.millis, stamp.counter, attack.stamp.node)  # sorts below the phone's
    assert attack.stamp < unwritten < stamp
    seen = attack.before.seen.plus(unwritten)
    write = Write(Commit(stamp, seen, None), "mine")
    fields = {**mine._fields, ("title",): History(state.depth, [write])}
    attack.refused(forged(mine, fields=fields, seen=seen.plus(stamp)))
    attack.refused(forged(mine, fields=fields))


def test_forged_writes_under_anothers_stamps_are_refused() -> None:
    """Another value under a stamp that the server knows, another counter, another element, another deletion."""
    attack = Attack()
    fields = attack.before._fields
    title, votes = fields["title",], fields["votes",]
    assert isinstance(title, History) and isinstance(votes, PNCounter)
    (write,) = title.writes
    attack.refused(
        forged(attack.before, fields={**fields, ("title",): History(title.depth, [Write(write.commit, "forged")])})
    )
    by = Commit(write.stamp, write.seen, "mallory")
    attack.refused(forged(attack.before, fields={**fields, ("title",): History(title.depth, [Write(by, "x")])}))
    more = {name: tally._replace(plus=tally.plus + 100) for name, tally in votes.tallies.items()}
    attack.refused(forged(attack.before, fields={**fields, ("votes",): PNCounter(more)}))
    (mark,) = attack.before.delete(Clock("phone"))._marks
    before = VersionVector(s for s in attack.before.seen.values() if s < attack.stamp)
    attack.refused(forged(attack.before, marks=(mark._replace(commit=Commit(attack.stamp, before, None)),)))


def test_an_earlier_creation_than_the_known_one_is_refused() -> None:
    """It is in another node's name, too, or moves the date of a record that is not the sender's."""
    attack = Attack()
    attack.refused(forged(attack.before, created=Timestamp(1, 0, attack.stamp.node)))


def test_what_was_purged_is_said_by_relays_alone() -> None:
    """A client cannot wipe a record that others have not deleted, nor with a deletion in another's name."""
    attack = Attack()
    attack.phone.delete(attack.guid)
    attack.phone.back_end = None
    with attack.phone.store.transaction() as tx:
        assert tx.state is not None
        tx.state.back_end = None
    with attack.phone.store.transaction(write=False) as tx:
        row = tx.rows([attack.guid])[attack.guid]
        held = attack.phone.decode(row)
        assert tx.state is not None
        epoch = tx.state.epoch
    claim = Change("todo", attack.guid, 99, held.tombstone().encode(), vector_bytes(held.seen))
    answer = attack.server.answer(
        Request("phone", epoch, 99, changes=[claim]), attack.server.authenticate(attack.tokens["phone"])
    )
    assert [r.why for r in answer.results] == ["forbidden"]
    assert attack.server.version(attack.guid) == attack.before


def test_a_fork_is_no_forgery() -> None:
    """The copy holds what others wrote in the record that it was made of: it passes without the right to relay."""
    attack = Attack()
    attack.phone.edit(attack.guid, owner="bob")
    attack.laptop.edit(attack.guid, owner="cay", title="of the laptop")
    attack.sync(attack.laptop)
    for _ in range(2):
        attack.sync(attack.phone)
    (copy,) = attack.phone.fork(attack.guid, "owner")
    assert attack.sync(attack.phone).refused == []
    assert {attack.server.get(guid).owner for guid in (attack.guid, copy)} == {"bob", "cay"}
    with attack.phone.store.transaction(write=False) as tx:
        (row,) = tx.rows([copy]).values()
    bad = attack.before.edit(Clock("laptop"), title="forged")
    forged_copy: Version[Any] = Version(bad._stored._replace(id="another"), bad._binding)
    change = msgspec.structs.replace(change_of(row), guid="another", data=forged_copy.encode())
    with attack.phone.store.transaction(write=False) as tx:
        assert tx.state is not None
        request = Request("phone", tx.state.epoch, tx.state.position, changes=[change])
    answer = attack.server.answer(request, attack.server.authenticate(attack.tokens["phone"]))
    assert [r.why for r in answer.results] == ["not own"]


def test_edits_upon_others_edits_pass() -> None:
    """What came from the server and goes back with own edits in it is no relaying, whatever the fields are."""
    attack = Attack()
    for n in range(4):
        for who in (attack.phone, attack.laptop):
            now = who.get(attack.guid)
            who.edit(attack.guid, title=f"{who.name} {n}", votes=now.votes + 1, tags=now.tags | {f"{who.name} {n}"})
            assert attack.sync(who).refused == []
    attack.phone.delete(attack.guid)
    assert attack.sync(attack.phone).refused == []
    attack.sync(attack.laptop)
    attack.laptop.restore(attack.guid)
    assert attack.sync(attack.laptop).refused == []
    assert attack.server.get(attack.guid).votes == 9


# ---------------------------------------------------------------------- a backup of the server


def test_a_super_node_that_was_put_back_gets_from_its_clients_what_it_lost(tmp_path: Path) -> None:
    """Also a record that two of them wrote in, neither of whom may relay."""
    path, backup = tmp_path / "server.db", tmp_path / "backup.db"
    phone, laptop = node("phone"), node("laptop")
    with super_node(path) as server:
        tokens = {name: server.add_node(name) for name in ("phone", "laptop")}
        phone.sync(server, token=tokens["phone"])
        with closing(sqlite3.connect(path)) as db, closing(sqlite3.connect(backup)) as copy:
            db.backup(copy)
        guid = phone.insert(Todo("phone"))
        phone.sync(server, token=tokens["phone"])
        laptop.sync(server, token=tokens["laptop"])
        laptop.edit(guid, owner="laptop")
        laptop.sync(server, token=tokens["laptop"])
        phone.sync(server, token=tokens["phone"])
    with super_node(backup) as server:
        server.restored()
        for _ in range(2):
            for who in (phone, laptop):
                assert who.sync(server, token=tokens[who.name]).refused == []
        assert server.get(guid) == phone.get(guid) == laptop.get(guid) == Todo("phone", "laptop")
        mallory = server.version(guid).edit(Clock("laptop"), title="forged")
        put_in(phone, guid, mallory)
        assert [r.why for r in phone.sync(server, token=tokens["phone"]).refused] == ["not own"]  # it is over


# ---------------------------------------------------------------------- the events


class Listener:
    """A connected client: the events that it got, by the times at which they came."""

    def __init__(self, url: str, token: str) -> None:
        self.events: list[tuple[float, dict[str, Any]]] = []
        self.connected, self.stop, self.ended = threading.Event(), threading.Event(), threading.Event()
        self.url, self.token = url, token
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()
        assert self.connected.wait(10)

    def _listen(self) -> None:
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            with (
                httpx.Client(timeout=30) as client,
                client.stream("GET", f"{self.url}/events", headers=headers) as answer,
            ):
                assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream")
                kind = ""
                for line in answer.iter_lines():
                    self.connected.set()
                    if self.stop.is_set():
                        return
                    if line.startswith("event: "):
                        kind = line.removeprefix("event: ")
                    elif line.startswith("data: "):
                        assert kind == "stale"
                        self.events.append((time.monotonic(), json.loads(line.removeprefix("data: "))))
        except httpx.HTTPError:
            pass
        finally:
            self.ended.set()

    def wait_for(self, n: int, seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while len(self.events) < n:
            assert time.monotonic() < deadline, f"{len(self.events)} events, and not {n}"
            time.sleep(0.005)


@contextmanager
def listening(url: str, *tokens: str) -> Iterator[list[Listener]]:
    """Connected clients."""
    found = [Listener(url, token) for token in tokens]
    try:
        yield found
    finally:
        for one in found:
            one.stop.set()


def test_connected_clients_are_told_at_once_that_there_is_something_new() -> None:
    """All but the one that brought it; those that may not read it hear nothing."""
    with super_node(heartbeat=0.3) as server, serving(server.app) as url, node("phone") as phone:
        tokens = [server.add_node(name) for name in ("phone", "laptop", "tablet")]
        reader = server.add_node("reader", read=["note"])
        phone.sync(url, token=tokens[0])
        with listening(url, *tokens, reader) as (own, laptop, tablet, other):
            time.sleep(0.2)
            began = time.monotonic()
            phone.insert(Todo("x"))
            phone.sync(url, token=tokens[0])
            laptop.wait_for(1)
            tablet.wait_for(1)
            assert laptop.events[0][0] - began < 2
            assert laptop.events[0][1] == {"position": server.status()["position"]}
            time.sleep(0.3)
            assert [len(one.events) for one in (own, laptop, tablet, other)] == [0, 1, 1, 0]
            server.insert(Note("y"))
            for one, n in ((own, 1), (laptop, 2), (other, 1)):
                one.wait_for(n)


def test_a_burst_is_one_notification() -> None:
    """A hundred changes at once make a few events at most, and the last of them is not missed."""
    with super_node() as server, serving(server.app) as url:
        token = server.add_node("laptop")
        with listening(url, token) as (laptop,):
            time.sleep(0.2)
            guid = server.insert(Todo())
            server.insert_all([Note(str(n)) for n in range(50)])
            for n in range(10):
                server.edit(guid, title=str(n))
            laptop.wait_for(1)
            deadline = time.monotonic() + 5
            while laptop.events[-1][1]["position"] < server.status()["position"]:
                assert time.monotonic() < deadline, "the last change was never told"
                time.sleep(0.01)
            assert len(laptop.events) <= 5


def test_who_missed_some_is_told_when_it_connects_and_catches_up() -> None:
    """By the next synchronization, whatever it had missed."""
    with super_node() as server, serving(server.app) as url, node("laptop") as laptop:
        token = server.add_node("laptop")
        laptop.sync(url, token=token)
        guids = [server.insert(Todo(str(n))) for n in range(3)]
        with listening(url, token) as (listener,):
            listener.wait_for(1)
        laptop.sync(url, token=token)
        assert laptop.all("todo").keys() == set(guids)
        laptop.sync(url, token=token)
        with listening(url, token) as (listener,):
            time.sleep(0.3)
            assert listener.events == []


def test_a_client_that_follows_has_what_others_wrote_without_asking() -> None:
    """``follow`` synchronizes now, and whenever it is told; ended, it ends."""
    with (
        super_node(heartbeat=0.2) as server,
        serving(server.app) as url,
        node("laptop") as laptop,
        node("phone") as phone,
    ):
        tokens = {name: server.add_node(name) for name in ("laptop", "phone")}
        stop = threading.Event()
        reports: list[Report] = []

        def follow() -> None:
            reports.extend(laptop.follow(url, token=tokens["laptop"], stop=stop))

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        for n in range(3):
            guid = phone.insert(Todo(str(n)))
            phone.sync(url, token=tokens["phone"])
            deadline = time.monotonic() + 10
            while laptop.get(guid) is None:
                assert time.monotonic() < deadline, "the laptop does not hear of it"
                time.sleep(0.01)
        stop.set()
        thread.join(10)
        assert not thread.is_alive()  # of how many reports these are: one exchange may bring what came while it ran
        assert sum(report.received for report in reports) == 3


def test_the_events_of_a_revoked_node_end() -> None:
    """It is connected no longer than a heartbeat, and hears nothing more; and nobody hears without a token."""
    with super_node(heartbeat=0.1) as server, serving(server.app) as url:
        token = server.add_node("laptop")
        with listening(url, token) as (laptop,):
            server.revoke("laptop")
            server.insert(Todo("secret"))
            assert laptop.ended.wait(10)
            assert laptop.events == []
        assert httpx.get(f"{url}/events").status_code == 401
        assert httpx.get(f"{url}/events", headers={"Authorization": f"Bearer {token}"}).status_code == 401


# ---------------------------------------------------------------------- those that are silent


def test_the_application_is_told_once_for_each_silence_of_a_client_that_is_behind() -> None:
    """Who is not behind, was there lately, was retired or revoked, is nobody's concern."""
    wall, told = [START], list[str]()
    hour = 3_600_000
    server = super_node(now=lambda: wall[0], on_stale=lambda p: told.append(p.id), stale_after=dt.timedelta(hours=1))
    devices = {name: node(name, now=lambda: wall[0]) for name in ("behind", "fresh", "retired", "revoked")}
    tokens = {name: server.add_node(name) for name in devices}
    for name, device in devices.items():
        device.sync(server, token=tokens[name])
    server.insert(Todo("x"))
    wall[0] += hour // 2
    assert server.remind() == [] and told == []
    wall[0] += hour
    server.retire("retired")
    server.revoke("revoked")
    for _ in range(2):
        devices["fresh"].sync(server, token=tokens["fresh"])
    assert [p.id for p in server.remind()] == ["behind"] == told
    assert server.remind() == [] and told == ["behind"]
    wall[0] += 10 * hour
    assert "behind" not in {p.id for p in server.remind()}
    for _ in range(2):
        devices["behind"].sync(server, token=tokens["behind"])
    server.insert(Todo("y"))
    wall[0] += 2 * hour
    assert {p.id for p in server.remind()} >= {"behind"}
    assert told.count("behind") == 2


def test_a_client_that_never_came_is_told_of_too_and_a_failing_callback_is_asked_again() -> None:
    """What the application raises is its own affair; the reminder is not lost by it."""
    wall, tries = [START], list[Peer]()

    def fails_once(peer: Peer) -> None:
        tries.append(peer)
        if len(tries) == 1:
            raise RuntimeError("no network")

    server = super_node(now=lambda: wall[0], on_stale=fails_once, stale_after=dt.timedelta(hours=1))
    server.add_node("never came", fields={"phone": "+49"})
    server.insert(Todo("x"))
    with pytest.raises(RuntimeError):
        server.remind()
    assert [p.id for p in server.remind()] == ["never came"]
    assert (tries[1].fields, tries[1].behind) == ({"phone": "+49"}, 1)
    assert server.remind() == []


class Hook:
    """A web server that answers as it is told, and keeps what it got."""

    def __init__(self, *statuses: int) -> None:
        left, self.got = list(statuses), list[tuple[dict[str, str], Any]]()
        got = self.got

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                got.append((dict(self.headers), json.loads(body)))
                status = left.pop(0) if left else 204
                if status == 0:  # it hangs up
                    self.connection.close()
                    return
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"

    def __enter__(self) -> Hook:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)


def test_a_webhook_is_asked_again_until_it_answers() -> None:
    """After 500, after 429, after a connection that breaks; with longer pauses each time; then it is told once."""
    pauses = list[float]()
    with Hook(500, 429, 0) as hook:
        call = Webhook(hook.url, headers={"X-Key": "k"}, wait=0.5, sleep=pauses.append)
        wall = [START]
        server = super_node(now=lambda: wall[0], on_stale=call)
        server.add_node("phone", client_name="Ann's", fields={"user": 7})
        server.insert(Todo("x"))
        assert [p.id for p in server.remind()] == ["phone"]
        assert server.remind() == []
    assert pauses == [0.5, 1.0, 2.0]
    assert len(hook.got) == 4
    headers, body = hook.got[-1]
    assert headers["X-Key"] == "k" and headers["Content-Type"] == "application/json"
    assert (body["id"], body["client_name"], body["behind"], body["fields"]) == ("phone", "Ann's", 1, {"user": 7})
    assert "token" not in body


def test_a_webhook_that_says_no_is_not_asked_again_and_one_that_is_away_is_given_up() -> None:
    """A named error, and the reminder is due again the next time."""
    with Hook(404, 200) as hook:
        server = super_node(on_stale=Webhook(hook.url, sleep=lambda _: None))
        server.add_node("phone")
        server.insert(Todo("x"))
        with pytest.raises(PeerError, match="404"):
            server.remind()
        assert len(hook.got) == 1
        assert [p.id for p in server.remind()] == ["phone"]
    with pytest.raises(PeerError, match="phone"):
        Webhook(hook.url, tries=3, sleep=lambda _: None)(peer(server, "phone"))


def test_the_app_reminds_by_itself() -> None:
    """While it is served, and whatever the callback raises."""
    told = threading.Event()
    calls = list[str]()

    def on_stale(peer: Peer) -> None:
        calls.append(peer.id)
        if len(calls) == 1:
            raise RuntimeError("no network")
        told.set()

    server = super_node(on_stale=on_stale, stale_after=dt.timedelta(milliseconds=50))
    server.add_node("phone")
    server.insert(Todo("x"))
    with serving(server.app):
        assert told.wait(10)
    assert calls == ["phone", "phone"]
