"""What is deleted is wiped for good only where every live node knows it, and then stays away."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

from mergecore import Policy, counter, edit_wins
from mergecore.sync import Node, PeerError, Purged, RecordNotFound, SuperNode, exchange

pytestmark = pytest.mark.sync


class Todo(msgspec.Struct):
    """A record that somebody deletes."""

    title: str = ""
    votes: Annotated[int, counter] = 0


START = 1_700_000_000_000
DAY = 86_400_000
MONTH = dt.timedelta(days=30)


class World:
    """A server, and devices, on one clock."""

    def __init__(self, *names: str, **how: Any) -> None:
        self.time = START
        self.how: dict[str, Any] = {"models": {"todo": Todo}, "now": lambda: self.time, **how}
        self.server = SuperNode("server", ":memory:", **self.how)
        self.devices = [Node(name, ":memory:", **self.how) for name in names]

    def everyone(self) -> list[Node]:
        return [self.server, *self.devices]

    def later(self, days: float = 31) -> None:
        self.time += int(days * DAY)

    def meet(self, times: int = 2) -> None:
        for _ in range(times):
            for device in self.devices:
                device.sync(self.server)

    def wiped(self, *, now: bool = False) -> list[str]:
        return self.server.purge(dt.timedelta(0)) if now else self.server.purge()


def left_of(node: Node, guid: str) -> str:
    """What a node has of a record: nothing, what is left of it, a deleted one, or its title."""
    with node.store.transaction(write=False) as tx:
        row = tx.rows([guid]).get(guid)
        held = node.held(row)
    if held is None:
        return "nothing"
    if isinstance(held, Purged):
        return "wiped"
    return "deleted" if held.deleted else str(held.record.title)


def states(world: World, guid: str) -> list[str]:
    """What each node has of a record, the server first."""
    return [left_of(node, guid) for node in world.everyone()]


# ---------------------------------------------------------------------------------------------------------- when


def test_only_what_is_deleted_long_enough_is_wiped() -> None:
    """Thirty days, unless told otherwise; what is not deleted stays."""
    world = World("phone")
    (phone,) = world.devices
    gone, stays = phone.insert(Todo("gone")), phone.insert(Todo("stays"))
    phone.delete(gone)
    world.meet()
    world.later(29)
    assert world.wiped() == []
    world.later(2)
    assert world.wiped() == [gone]
    assert states(world, gone) == ["wiped", "deleted"] and states(world, stays) == ["stays", "stays"]
    world.meet()
    assert states(world, gone) == ["wiped", "wiped"] and states(world, stays) == ["stays", "stays"]
    with pytest.raises(RecordNotFound, match="purged"):
        phone.version(gone)
    assert phone.get(gone) is None and phone.all("todo", deleted=True) == {}


def test_only_what_every_live_node_has_acknowledged_is_wiped() -> None:
    """One that was away since holds it up, until it comes, or is retired; who never came holds up nothing."""
    world = World("phone", "laptop", "tablet")
    phone, laptop, tablet = world.devices
    for device in (*world.devices, phone):
        world.server.add_node(device.name, renew=True)
    world.server.add_node("never came")
    guid = phone.insert(Todo("x"))
    world.meet()
    phone.delete(guid)
    phone.sync(world.server)
    phone.sync(world.server)
    world.later()
    assert world.wiped() == []
    assert world.server.awaited() == {"laptop": 1, "tablet": 1}
    laptop.sync(world.server)
    assert world.wiped() == []  # what is on its way to the laptop is not at the laptop, and the tablet is away
    laptop.sync(world.server)
    assert world.server.awaited() == {"tablet": 1} and world.server.awaited(dt.timedelta(days=10_000)) == {}
    world.server.retire("tablet")
    assert world.server.awaited() == {}
    assert world.wiped() == [guid]
    tablet.sync(world.server)
    tablet.sync(world.server)
    assert states(world, guid) == ["wiped", "deleted", "deleted", "wiped"]


def test_a_revoked_node_is_not_waited_for_and_a_retired_one_counts_again_when_it_comes() -> None:
    """A node that is heard of again is alive."""
    world = World("phone", "laptop")
    phone, laptop = world.devices
    world.server.add_node("laptop")
    a, b, c = (phone.insert(Todo(name)) for name in "abc")
    world.meet()
    phone.delete(a)
    phone.sync(world.server)
    phone.sync(world.server)
    world.later()
    assert world.wiped() == []
    world.server.revoke("laptop")
    assert world.wiped() == [a]
    token = world.server.add_node("laptop", renew=True)
    phone.delete(b)
    phone.sync(world.server)
    phone.sync(world.server)
    world.later()
    assert world.wiped() == []
    world.server.retire("laptop")
    laptop.sync(world.server, token=token)  # before anybody purged
    phone.delete(c)
    phone.sync(world.server)
    phone.sync(world.server)
    world.later()
    laptop_has_b = [p for p in world.server.nodes() if p.id == "laptop"]
    assert not laptop_has_b[0].retired
    assert c not in world.wiped()


def test_an_answer_that_was_lost_is_no_acknowledgement() -> None:
    """A node has what it says that it has, the next time it speaks."""
    world = World("phone", "laptop")
    phone, laptop = world.devices
    guid = phone.insert(Todo("x"))
    world.meet()
    phone.delete(guid)
    phone.sync(world.server)
    phone.sync(world.server)

    class Cut:
        address = "node:server"

        def __call__(self, request: Any) -> Any:
            world.server.answer(request)
            raise PeerError("the answer was lost")

    with pytest.raises(PeerError):
        laptop.sync(Cut())
    world.later()
    assert world.wiped() == []


def test_what_somebody_is_asked_about_is_not_wiped() -> None:
    """An edit against the deletion stands open; settled, it goes."""
    world = World("phone", "laptop")
    phone, laptop = world.devices
    guid = phone.insert(Todo("x"))
    world.meet()
    phone.delete(guid)
    laptop.edit(guid, title="y")
    world.meet(3)
    world.later()
    assert world.wiped() == [] and states(world, guid) == ["y"] * 3
    assert [[c.path for c in item.conflicts] for item in phone.inbox()] == [[()]]
    laptop.delete(guid)
    world.meet(3)
    world.later()
    assert world.wiped() == [guid]


def test_the_purge_table_keeps_the_id_and_what_was_seen(tmp_path: Path) -> None:
    """And the deletion; of what was in the record nothing is left in the file."""
    path = tmp_path / "server.db"
    time = [START]
    how: dict[str, Any] = {"models": {"todo": Todo}, "now": lambda: time[0]}
    with SuperNode("server", path, **how) as server, Node("phone", ":memory:", **how) as phone:
        guid = phone.insert(Todo("a secret that nobody keeps"))
        phone.sync(server)
        phone.delete(guid)
        phone.sync(server)
        phone.sync(server)
        seen = phone.version(guid).seen
        time[0] += 31 * DAY
        assert server.purge() == [guid]
        with server.store.transaction(write=False) as tx:
            held = server.held(tx.rows([guid])[guid])
        assert isinstance(held, Purged) and held.seen == seen and held.tombstone.deleted
        assert [c.paths for c in held.tombstone.commits] == [((),)]
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM todo").fetchall() == [(0,)]
        ((found, tombstone, purged),) = db.execute("SELECT guid, tombstone, purged FROM mergecore_records").fetchall()
        assert found == guid and b"secret" not in tombstone + purged
        db.execute("VACUUM")
    assert b"nobody keeps" not in path.read_bytes()


# --------------------------------------------------------------------------------------------------- who comes back


def away(world: World, first: Callable[[str, Node], object] | None = None) -> tuple[str, Node]:
    """The last device goes away; another one deletes a record, and it is wiped everywhere else."""
    phone, traveller = world.devices[0], world.devices[-1]
    guid = phone.insert(Todo("x", 1))
    world.meet()
    if first is not None:
        first(guid, traveller)
    rest = world.devices[:-1]
    phone.delete(guid)
    for _ in range(2):
        for device in rest:
            device.sync(world.server)
    world.server.retire(traveller.name)
    world.later()
    assert world.wiped() == [guid]
    for device in rest:
        device.sync(world.server)
    assert set(states(world, guid)[:-1]) == {"wiped"}
    return guid, traveller


def test_an_old_version_of_what_was_wiped_is_refused_and_wiped_over_there() -> None:
    """The node that was away has nothing new to say: its copy goes, and nothing comes back."""
    world = World("phone", "laptop", "traveller")
    guid, traveller = away(world)
    traveller.restored()  # it offers everything anew
    report = traveller.sync(world.server)
    assert (report.purged, report.refused) == (1, [])
    assert states(world, guid) == ["wiped"] * 4
    world.meet()
    assert states(world, guid) == ["wiped"] * 4


def test_unsent_edits_of_what_was_wiped_come_in_whole() -> None:
    """As an edit against the deletion: with all that the record had, and somebody is asked."""
    world = World("phone", "laptop", "traveller")
    guid, traveller = away(world, lambda guid, node: node.edit(guid, title="y", votes=11))
    traveller.sync(world.server)
    world.meet(3)
    assert states(world, guid) == ["y"] * 4
    assert all(node.get(guid) == Todo("y", 11) for node in world.everyone())
    ((conflict,),) = [item.conflicts for item in world.server.inbox()]
    assert conflict.path == ()
    world.devices[0].resolve(guid, {(): conflict.candidates[0]})
    world.meet(3)
    assert len(set(states(world, guid))) == 1 and not any(node.inbox() for node in world.everyone())


def test_what_was_restored_far_away_is_not_deleted_again() -> None:
    """Somebody who had seen the deletion took it back, while it was wiped here."""
    world = World("phone", "laptop", "traveller")
    phone, traveller = world.devices[0], world.devices[-1]
    guid = phone.insert(Todo("x", 1))
    world.meet()
    phone.delete(guid)
    world.meet()
    traveller.restore(guid)
    world.later()
    assert world.wiped() == [guid]
    phone.sync(world.server)
    assert states(world, guid) == ["wiped", "wiped", "deleted", "x"]
    world.meet(3)
    assert states(world, guid) == ["x"] * 4
    assert not any(node.inbox() for node in world.everyone())
    world.later()
    assert world.wiped() == []
    world.meet(2)
    assert states(world, guid) == ["x"] * 4


def test_what_was_restored_and_deleted_again_can_be_wiped_again() -> None:
    """And then everything old of it is refused, whatever had been wiped before."""
    world = World("phone", "laptop", "traveller")
    guid, _ = away(world, lambda guid, node: node.edit(guid, title="y"))
    world.meet(3)
    world.devices[1].delete(guid)
    world.meet(3)
    world.later()
    assert world.wiped() == [guid]
    world.meet(2)
    assert states(world, guid) == ["wiped"] * 4
    for device in world.devices:
        device.restored()
    world.server.restored()
    world.meet(3)
    assert states(world, guid) == ["wiped"] * 4


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_a_purge_travels_through_a_chain_of_nodes(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is behind others hears of it through them; an unsent edit at the far end comes back through them, too."""
    monkeypatch.setattr(exchange, "BATCH", batch)
    world = World("hub", "leaf", "far")
    hub, leaf, far = world.devices
    chain = [(far, leaf), (leaf, hub), (hub, world.server)]

    def pass_on(times: int = 4) -> None:
        for _ in range(times):
            for one, other in chain:
                one.sync(other)

    guids = [hub.insert(Todo(str(n))) for n in range(4)]
    pass_on()
    assert [left_of(far, guid) for guid in guids] == ["0", "1", "2", "3"]
    far.edit(guids[0], title="late")
    for guid in guids[:3]:
        hub.delete(guid)
    hub.sync(world.server)
    hub.sync(world.server)
    world.later()
    assert sorted(world.wiped()) == sorted(guids[:3])
    hub.sync(world.server)
    assert [left_of(hub, guid) for guid in guids] == ["wiped", "wiped", "wiped", "3"]
    pass_on(6)
    for node in world.everyone():
        assert [left_of(node, guid) for guid in guids] == ["late", "wiped", "wiped", "3"]


def test_a_new_node_and_a_node_put_back_bring_nothing_deleted_back() -> None:
    """An old version goes round by nodes that never knew of the deletion: where it meets it, it ends."""
    world = World("phone", "laptop", "traveller")
    guid, traveller = away(world)
    new = Node("new", ":memory:", **world.how)
    new.sync(traveller)
    assert left_of(new, guid) == "x"
    assert new.sync(world.server).purged == 1
    assert left_of(new, guid) == "wiped"
    new.sync(traveller)
    assert left_of(traveller, guid) == "wiped"
    world.meet(2)
    assert states(world, guid) == ["wiped"] * 4


def test_a_device_may_wipe_by_itself() -> None:
    """What the back-end still holds as deleted does not come back by that, and is sent to nobody as an error."""
    world = World("phone", "laptop")
    phone, laptop = world.devices
    guid = phone.insert(Todo("x"))
    world.meet()
    laptop.delete(guid)
    world.meet()
    world.later()
    assert phone.purge() == [guid]
    world.meet()
    assert states(world, guid) == ["deleted", "wiped", "deleted"]
    token = world.server.add_node("phone", read=[], renew=True)
    world.server.allow("phone", read=None)  # all is asked for again
    for _ in range(2):
        report = phone.sync(world.server, token=token)
        assert report.refused == []
    assert phone.sync(world.server, token=token).round_trips == 1
    laptop.restore(guid)
    world.meet()
    assert states(world, guid) == ["x"] * 3


def test_a_device_wipes_nothing_before_its_back_end_was_met() -> None:
    """It is waited for from the first day on: else what it never knew could come back from somebody else."""
    models = {"todo": Todo}
    server = SuperNode("server", ":memory:", models=models)
    phone, friend = (Node(name, ":memory:", models=models, back_end="server") for name in ("phone", "friend"))
    guid = phone.insert(Todo("milk"))
    friend.sync(phone)
    phone.delete(guid)
    friend.sync(phone), friend.sync(phone)
    assert phone.purge(dt.timedelta(0)) == []
    assert phone.awaited(dt.timedelta(0)) == {"server": 1}
    phone.sync(server)
    assert phone.purge(dt.timedelta(0)) == [guid]


def test_a_node_that_is_only_called_wipes_what_its_callers_have() -> None:
    """It needs no call of its own to know."""
    one, other = (Node(name, ":memory:", models={"todo": Todo}) for name in ("one", "other"))
    guid = one.insert(Todo("milk"))
    other.sync(one)
    one.delete(guid)
    assert one.purge(dt.timedelta(0)) == []
    other.sync(one), other.sync(one)
    assert one.purge(dt.timedelta(0)) == [guid]
    other.sync(one)
    assert left_of(one, guid) == left_of(other, guid) == "wiped"


def test_much_that_was_wiped_by_a_device_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than some batches of it: what was written after it is sent by the next synchronization."""
    monkeypatch.setattr(exchange, "BATCH", 3)
    world = World("phone")
    (phone,) = world.devices
    guids = [phone.insert(Todo(str(n))) for n in range(10)]
    world.meet()
    for guid in guids:
        phone.delete(guid)
    world.meet()
    world.later()
    assert sorted(phone.purge()) == sorted(guids)
    guid = phone.insert(Todo("new"))
    assert phone.sync(world.server).sent == 1
    assert left_of(world.server, guid) == "new"


def test_edits_win_over_a_deletion_where_the_policy_says_so() -> None:
    """Then nobody is asked, and the record is there."""
    world = World("phone", "laptop", "traveller", policies={"todo": Policy(deletes=edit_wins)})
    guid, _ = away(world, lambda guid, node: node.edit(guid, title="y"))
    world.meet(3)
    assert states(world, guid) == ["y"] * 4
    assert not any(item.conflicts for node in world.everyone() for item in node.inbox())


@pytest.mark.parametrize("caller", ["a", "b"])
def test_two_nodes_that_wiped_a_record_by_themselves_refuse_what_either_had_seen(caller: str) -> None:
    """What was wiped on one side counts as wiped on the other, once they have met, whoever called."""
    time = [START]
    how: dict[str, Any] = {"models": {"todo": Todo}, "now": lambda: time[0]}
    a, b, old = (Node(name, ":memory:", **how) for name in ("a", "b", "old"))
    guid = a.insert(Todo("x"))
    b.sync(a)
    old.sync(b)
    old.edit(guid, title="b alone has seen this")
    old.sync(b)
    a.delete(guid)
    b.delete(guid)
    a.sync(Node("other", ":memory:", **how))  # others have what they have
    b.sync(Node("another", ":memory:", **how))
    a.retire("b")
    for name in ("a", "old"):
        b.retire(name)
    time[0] += 31 * DAY
    assert a.purge() == b.purge() == [guid]
    a.sync(b) if caller == "a" else b.sync(a)
    old.sync(a)
    assert [left_of(node, guid) for node in (a, b, old)] == ["wiped"] * 3
