"""Whole nodes that edit, meet, are killed, put back and purged: all end equal, and nothing that was written is lost."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from conftest import Tally
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from mergecore import Version, VersionVector
from mergecore.sync import Node, PeerError, SuperNode, exchange, intake, node
from mergecore.sync.plan import Action, plan
from mergecore.sync.sql import SQLTransaction

from . import test_clocks, test_node, test_purge
from .world import node_machine, renaming

pytestmark = pytest.mark.sync


def _run(machine: Any, examples: int, steps: int = 20, **how: Any) -> None:
    found = settings(
        settings(), max_examples=examples, stateful_step_count=steps, suppress_health_check=list(HealthCheck), **how
    )
    with renaming():
        run_state_machine_as_test(machine, settings=found)


def test_whole_nodes_end_equal_and_no_update_is_lost(tally: Tally) -> None:
    """Whatever is edited, deleted, broken off, killed, put back, revoked and purged, in any topology."""
    runs = min(settings().max_examples // 20, 150)
    machine = node_machine()
    started = time.perf_counter()
    _run(machine, runs)
    counts = machine.counts
    tally("nodes, runs", counts["runs"], runs * 9 // 10, f"{time.perf_counter() - started:.0f} s")
    for what, per_run in _FLOORS.items():
        tally(f"nodes, {what}", counts[what], int(runs * per_run) if per_run >= 1 or runs > 100 else 0)
    print({what: n for what, n in sorted(counts.items()) if what not in _FLOORS})


_FLOORS = {
    "steps": 10, "edits": 3, "synchronized": 6, "records checked": 1, "tokens": 3, "counted": 1, "deletes": 0.3,
    "wiped": 0.3, "put back": 0.05, "puts": 0.2,
}  # fmt: skip
"""What the runs must have come to, at least, in the mean."""


# -------------------------------------------------------------------------------------------------------- mutants


def _sent_is_received(right: Callable[..., Any]) -> Callable[..., Any]:
    """What is sent is noted as acknowledged before there is an answer."""

    def request(self: exchange.Session) -> Any:
        rows, reached, made = right(self)
        if self.peer is not None:
            with self.node.store.transaction() as tx:
                peer = tx.peer(self.peer.id) or self.peer
                peer.acknowledged = max(peer.acknowledged, reached)
                tx.save_peer(peer)
        return rows, reached, made

    return request


def _answered_is_received(right: Callable[..., Any]) -> Callable[..., Any]:
    """What is answered is noted as acknowledged before the caller has stored it."""

    def answer(called: Node, request: Any, caller: Any) -> Any:
        response, changed = right(called, request, caller)
        with called.store.transaction() as tx:
            if not response.restored and (peer := tx.peer(request.node)) is not None:
                peer.acknowledged = max(peer.acknowledged, response.after)
                tx.save_peer(peer)
        return response, changed

    return answer


def _stored_before_taken(right: Callable[..., Any]) -> Callable[..., Any]:
    """What comes in is noted as stored, and then stored."""

    def store(self: exchange.Session, sent: Any, reached: int, response: Any, *times: int) -> Any:
        with self.node.store.transaction() as tx:
            if (peer := tx.peer(response.node)) is not None:
                peer.after = max(peer.after, response.after)
                tx.save_peer(peer)
        return right(self, sent, reached, response, *times)

    return store


def _refused_is_passed_over(right: Callable[..., Any]) -> Callable[..., Any]:
    """What was refused is never asked for again."""

    def count(self: exchange.Session, *args: Any) -> None:
        right(self, *args)
        args[-1].refused.clear()

    return count


def _never_offered_again(right: Callable[..., Any]) -> Callable[..., Any]:
    """What the other node refused is never offered again."""
    return lambda self, tx: None


def _nobody_lags(right: Callable[..., Any]) -> Callable[..., Any]:
    """A purge waits for nobody."""

    def purge(self: Node, *args: Any) -> Any:
        with _instead(SQLTransaction, "peers", lambda peers: lambda tx: []):
            return right(self, *args)

    return purge


def _in_order_of_dates(right: Callable[..., Any]) -> Callable[..., Any]:
    """A record's place in the order is its date updated."""

    def save(self: SQLTransaction, rows: Sequence[Any]) -> None:
        assert self.state is not None
        for row in rows:
            before, stamp = self.state.position, Version.decode(row.data).updated
            place = ((stamp.millis - 1_500_000_000_000 << 8) + stamp.counter << 12) + next(_ONCE) % 4096
            self.state.position = place - 1
            right(self, [row])
            self.state.position = max(before, place)

    return save


_ONCE = itertools.count()


def _merged_stays_here(right: Callable[..., Any]) -> Callable[..., Any]:
    """What had to be merged is not given back to who sent it."""

    def changes(self: SQLTransaction, after: int, until: int | None, limit: int, *args: Any) -> Any:
        return [] if until is None and limit <= 1000 else right(self, after, until, limit, *args)

    return changes


def _synchronized_when_sent(right: Callable[..., Any]) -> Callable[..., Any]:
    """A record is synchronized when it leaves."""

    def request(self: exchange.Session) -> Any:
        rows, reached, made = right(self)
        if self.peer is not None and self.peer.id == self.node.back_end:
            with self.node.store.transaction() as tx:
                for row in (now := tx.rows([row.guid for row in rows])).values():
                    row.synchronized = True
                tx.mark([row for row in now.values() if row.purged is None])
        return rows, reached, made

    return request


def _newcomer_wins(right: Callable[..., Any]) -> Callable[..., Any]:
    """Of two versions the one that comes in is taken."""

    def decide(incoming: Any, stored: Any) -> Action:
        found = plan(incoming, stored)
        return Action("update", incoming) if found.kind == "merge" else found

    return decide


def _late_edits_are_refused(right: Callable[..., Any]) -> Callable[..., Any]:
    """Whatever comes of a record that was wiped is refused."""

    def decide(incoming: Any, stored: Any) -> Action:
        found = plan(incoming, stored)
        late = found.kind == "merge" and not hasattr(stored, "encode")
        return Action("refuse", stored) if late else found

    return decide


def _wiped_leaves_nothing(right: Callable[..., Any]) -> Callable[..., Any]:
    """Of what was wiped nothing is remembered, and it may come back."""

    def held(self: Node, row: Any) -> Any:
        return None if row is not None and row.purged is not None else right(self, row)

    return held


def _rewritten_although_handed_out(right: Callable[..., Any]) -> Callable[..., Any]:
    """Edits that others have are written anew."""
    return lambda self, tx, row, version: VersionVector()


def _a_backup_goes_on(right: Callable[..., Any]) -> Callable[..., Any]:
    """A store that was put back goes on as if nothing had been lost."""
    return lambda self: None


MUTANTS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "nodes: what is sent is acknowledged": (exchange.Session, "_request", _sent_is_received),
    "nodes: what is answered is acknowledged": (node, "answer", _answered_is_received),
    "nodes: noted as stored before it is": (exchange.Session, "_store", _stored_before_taken),
    "nodes: the position goes past what was refused": (exchange.Session, "_count", _refused_is_passed_over),
    "nodes: what was refused is not offered again": (exchange.Session, "_offer_again", _never_offered_again),
    "nodes: a purge ignores a lagging node": (Node, "purge", _nobody_lags),
    "nodes: date updated instead of positions": (SQLTransaction, "save", _in_order_of_dates),
    "nodes: the merged result is not sent back": (SQLTransaction, "changes", _merged_stays_here),
    "nodes: synchronized when it is sent": (exchange.Session, "_request", _synchronized_when_sent),
    "nodes: the newcomer wins": (intake, "plan", _newcomer_wins),
    "nodes: late edits of what was wiped are refused": (intake, "plan", _late_edits_are_refused),
    "nodes: what was wiped is forgotten": (Node, "held", _wiped_leaves_nothing),
    "nodes: rewritten although handed out": (Node, "handed_to_others", _rewritten_although_handed_out),
    "nodes: a backup is not noticed": (Node, "restored", _a_backup_goes_on),
}


@contextmanager
def _instead(where: Any, name: str, broken: Callable[..., Any]) -> Iterator[None]:
    right = getattr(where, name)
    setattr(where, name, broken(right))
    try:
        yield
    finally:
        setattr(where, name, right)


def _three() -> tuple[SuperNode, Node, Node]:
    models = {"todo": test_node.Todo}
    one, other = (Node(name, ":memory:", models=models) for name in ("a", "b"))
    return SuperNode("server", ":memory:", models=models), one, other


def _refused_and_then_allowed() -> None:
    """What may not be written today may be written tomorrow."""
    server, one, _ = _three()
    guid = one.insert(test_node.Todo("milk"))
    token = server.add_node("a", write=[])
    assert one.sync(server, token=token).refused
    server.allow("a", write=None)
    one.sync(server, token=token)
    assert server.get(guid) == one.get(guid), "it was never offered again"


def _both_changed_it() -> None:
    """Who brings his side of a clash goes home with what became of it."""
    server, one, other = _three()
    guid = one.insert(test_node.Todo("milk"))
    one.sync(server), other.sync(server)
    one.edit(guid, title="oat milk"), other.edit(guid, votes=3)
    one.sync(server), other.sync(server)
    assert other.version(guid) == server.version(guid), "what was merged did not come back"


def _put_back_to_nothing() -> None:
    """A server that lost everything, and says so, gets it again."""
    server, one, _ = _three()
    guid = one.insert(test_node.Todo("milk"))
    one.sync(server)
    with server.transaction() as tx:
        state, peer = tx.state, tx.peer("a")
    empty = SuperNode("server", ":memory:", models=server.models)
    with empty.transaction() as tx:
        assert state is not None and peer is not None
        tx.state = msgspec.structs.replace(state, position=0)
        tx.save_peer(peer)
    empty.restored()
    with contextlib.suppress(PeerError):
        one.sync(empty, token=empty.add_node("a"))
    assert empty.get(guid) == one.get(guid), "what was lost was not sent again"


SCENARIOS: dict[str, Callable[[], None]] = {
    "nodes: what is sent is acknowledged": (
        test_clocks.test_what_only_the_server_was_sent_is_rewritten_although_its_answer_was_lost
    ),
    "nodes: what was refused is not offered again": _refused_and_then_allowed,
    "nodes: the merged result is not sent back": _both_changed_it,
    "nodes: late edits of what was wiped are refused": test_purge.test_unsent_edits_of_what_was_wiped_come_in_whole,
    "nodes: a backup is not noticed": _put_back_to_nothing,
    "nodes: what is answered is acknowledged": test_purge.test_an_answer_that_was_lost_is_no_acknowledgement,
    "nodes: noted as stored before it is": test_node.test_who_is_killed_before_it_has_stored_what_came_asks_again,
    "nodes: the position goes past what was refused": (
        test_clocks.test_a_mesh_trusts_its_clocks_and_refuses_what_is_of_the_future
    ),
    "nodes: a purge ignores a lagging node": test_purge.test_only_what_every_live_node_has_acknowledged_is_wiped,
    "nodes: what was wiped is forgotten": (
        test_purge.test_an_old_version_of_what_was_wiped_is_refused_and_wiped_over_there
    ),
    "nodes: rewritten although handed out": test_clocks.test_edits_that_another_node_has_wait_until_their_time_has_come,
}
"""What needs a rare meeting of things is shown by a test of just that; the machine finds it in some hundred runs."""


@pytest.mark.mutants
@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_of_the_sync_layer_is_caught(name: str, tally: Tally) -> None:
    """A broken variant does not survive the test of what it breaks, or the runs of whole nodes."""
    machine = node_machine()
    caught = ""
    with _instead(*MUTANTS[name]):
        try:
            if name in SCENARIOS:
                SCENARIOS[name]()
            else:
                _run(machine, 60, derandomize=True, database=None, phases=[Phase.generate], report_multiple_bugs=False)
        except AssertionError as error:
            caught = (str(error).splitlines() or ["an assertion"])[0][:90]
    assert caught, f"{name} survives"
    tally(f"mutant {name!r}", max(1, machine.counts["runs"]), 1, f"caught by {caught}")
