"""All causal worlds of 3 replicas and up to 4 operations, in every stamp order that a hybrid clock allows.

A world is a sequence of operations, each by a replica that knows some of those before it. In every world, whatever the
order and the bracketing in which the operations' versions are joined, the bytes are the same, and every operation is in
what is shown, among the candidates, in what is said to be lost, or was seen by one that came after it. What is expected
is computed from the world alone.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import pytest
from conftest import Tally
from hypothesis import settings
from oracle_model import MODEL, M

from mergecore import Clock, Conflict, Lost, Policy, Version, delete_wins, edit_wins, join, keep_both, lww, prefer
from mergecore.testing import STRATEGIES
from mergecore.values import equal

REPLICAS = "abc"

Past: TypeAlias = frozenset[int]
"""Operations, by their places in the world."""


class World(NamedTuple):
    """Who did something, knowing what; and in which order the stamps are."""

    nodes: tuple[str, ...]
    pasts: tuple[Past, ...]
    order: tuple[int, ...]
    """The operations by their stamps, the earliest first."""

    @property
    def all(self) -> Past:
        return frozenset(range(len(self.nodes)))

    @property
    def heads(self) -> list[int]:
        """The operations that no other one had seen, in the order of their stamps."""
        return [k for k in self.order if not any(k in past for past in self.pasts)]

    @property
    def walls(self) -> list[int]:
        """What the clock on the wall said at each: as low as the order allows, so that names decide where they can."""
        walls, group, wall = [0] * len(self.nodes), list[int](), 0
        for k in self.order:
            if not group or self.pasts[k].intersection(group) or self.nodes[k] <= self.nodes[group[-1]]:
                group, wall = [], wall + 1
            group.append(k)
            walls[k] = wall
        return walls


def shapes(n: int) -> Iterator[tuple[tuple[str, ...], tuple[Past, ...]]]:
    """Who knew what: each set of earlier operations that is closed under knowing, and holds what the replica did."""

    def grow(nodes: tuple[str, ...], pasts: tuple[Past, ...]) -> Iterator[tuple[tuple[str, ...], tuple[Past, ...]]]:
        if len(nodes) == n:
            yield nodes, pasts
            return
        for node in REPLICAS:
            own = {k for k, other in enumerate(nodes) if other == node}
            for past in subsets(frozenset(range(len(nodes)))):
                if own <= past and all(pasts[k] <= past for k in past):
                    yield from grow((*nodes, node), (*pasts, past))

    return grow((), ())


def subsets(of: Past) -> list[Past]:
    """All of them, the smaller first."""
    return [frozenset(some) for size in range(len(of) + 1) for some in itertools.combinations(sorted(of), size)]


def worlds(n: int) -> Iterator[World]:
    """Every shape, in every order of stamps: each is above all that its author had seen."""
    for nodes, pasts in shapes(n):
        for order in itertools.permutations(range(n)):
            if all(pasts[k] <= set(order[:at]) for at, k in enumerate(order)):
                yield World(nodes, pasts, order)


SHAPES = {1: 3, 2: 15, 3: 105, 4: 933}
WORLDS = {1: 3, 2: 21, 3: 243, 4: 3_921}


def test_the_worlds_are_all_there(tally: Tally) -> None:
    """As many as there have to be, and each once."""
    for n, count in SHAPES.items():
        found = list(shapes(n))
        assert len(found) == len(set(found)) == count
        assert sum(1 for _ in worlds(n)) == WORLDS[n]
    tally("small worlds, shapes", sum(SHAPES.values()), 1_056)


@pytest.mark.skipif(not MODEL.is_file(), reason="The model is read from ../shared/model, which is not there.")
def test_the_worlds_are_those_of_the_model() -> None:
    """The model's, whose replicas come in the order of their names, under all names."""
    for n in SHAPES:
        named = {
            (tuple(names[REPLICAS.index(node)] for node, _ in shape), tuple(past for _, past in shape))
            for shape in M.shapes(REPLICAS, n)
            for names in itertools.permutations(REPLICAS)
        }
        assert named == set(shapes(n))
        orders = {(*zip(*shape), M_order(order)) for shape in M.shapes(REPLICAS, n) for order in M.orders(shape)}
        first = {w for w in worlds(n) if list(dict.fromkeys(w.nodes)) == list(REPLICAS[: len(set(w.nodes))])}
        assert orders == set(map(tuple, first))


def M_order(ranks: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(ranks)), key=ranks.__getitem__))


# ---- a world, played


Operation: TypeAlias = Callable[[World, int, Version[Any], Clock], Version[Any]]


class Played:
    """The versions of a world, by what is known in them."""

    def __init__(self, world: World, first: Version[Any], operation: Operation) -> None:
        self.world = world
        self.joined: dict[Past, Version[Any]] = {frozenset(): first}
        walls, wall = world.walls, [0]
        clocks = {node: Clock.locked(node, now=lambda: wall[0]) for node in world.nodes}
        made: list[Version[Any]] = []
        for k, (node, past) in enumerate(zip(world.nodes, world.pasts)):
            wall[0] = walls[k]
            before = join(first, *(made[j] for j in sorted(past)))
            made.append(operation(world, k, before, clocks[node]))
            self.joined[frozenset({k})] = made[k]
        stamps = [version.seen[node] for version, node in zip(made, world.nodes)]
        assert sorted(range(len(made)), key=stamps.__getitem__) == list(world.order)

    def joins(self) -> int:
        """Joins any two parts of any some of the operations' versions: by induction, that is all orders and all
        bracketings. Then, what is there already. Returns how many joins that were.
        """
        n = 0
        for some in subsets(self.world.all)[1:]:
            for part in subsets(some)[1:-1]:
                made = join(self.joined[part], self.joined[some - part])
                held = self.joined.setdefault(some, made)
                assert made.encode() == held.encode(), (self.world, some, part)
                n += 1
        for part in subsets(self.world.all):
            assert join(self.whole, self.joined[part]).encode() == self.whole.encode(), (self.world, part)
            n += 1
        return n

    @property
    def whole(self) -> Version[Any]:
        """Everybody's, joined."""
        if self.world.all not in self.joined:
            self.joined[self.world.all] = join(*(self.joined[frozenset({k})] for k in self.world.all))
        return self.joined[self.world.all]

    def read(self, policy: Policy) -> Shown:
        """What everybody's shows under a policy, read from its bytes. Under its own, it is what it showed before."""
        data = self.whole.encode()
        decoded = Version.decode(data, policy=policy)
        view = shown(decoded)
        if policy == self.whole._binding.policy:
            assert decoded.encode() == data
            before = shown(self.whole)
            assert equal(view.record, before.record) and view[1:] == before[1:], self.world
        return view


class Shown(NamedTuple):
    """A version, read once."""

    record: dict[str, Any]
    conflicts: tuple[Conflict, ...]
    lost: tuple[Lost, ...]
    deleted: bool


def shown(version: Version[Any]) -> Shown:
    return Shown(version.record, version.conflicts, version.lost, version.deleted)


def first_version(record: Mapping[str, Any], policy: Policy) -> Version[Any]:
    return Version.new(Clock.locked("z", now=lambda: 0), dict(record), id="r", policy=policy)


# ---- every strategy: each operation edits a field of each


EVERY = {name: strategy for name, strategy in STRATEGIES.items() if name not in ("edit_wins", "delete_wins")}
EVERY["prefer"] = prefer("b")
KINDS = ("lww", "a function that adds", "counter", "add_wins")
"""One of each kind of state: a history that keeps no base, one that does, a counter, a set. Joining knows no more."""
MERGING = (
    "three_way",
    "text, by word and by character",
    "text",
    "keyed",
    "counter",
    "add_wins",
    "a function that adds",
)
"""What does not choose between whole values."""
START: dict[str, Any] = {
    **dict.fromkeys(EVERY, -1),
    "three_way": {"all": -1},
    "three_way, atomic lists": [-1],
    "text": "start\n",
    "text, by word and by character": "start",
    "keyed": [{"id": -1, "by": "z"}],
    "counter": 0,
    "a function": "",
    "a function that adds": 0,
    "add_wins": set(),
}


def edits(k: int, past: Past, now: Mapping[str, Any]) -> dict[str, Any]:
    """What an operation writes, after what its author looks at; no two write the same."""
    removed = {max(past)} if past and k % 2 else set()
    return {
        **dict.fromkeys(EVERY, k),
        "largest": (k * 7) % 5,
        "smallest": (k * 7) % 5,
        "three_way": {**now["three_way"], "all": k, f"key {k}": k},
        "three_way, atomic lists": [*now["three_way, atomic lists"], k],
        "text": f"{now['text']}line {k}\n",
        "text, by word and by character": f"{now['text, by word and by character']} word{k}",
        "keyed": [*now["keyed"], {"id": k, "by": f"op {k}"}],
        "counter": now["counter"] + 10**k,
        "a function": f"{k}" * (k % 3 + 1),
        "a function that adds": now["a function that adds"] + 10**k,
        "add_wins": (now["add_wins"] | {k}) - removed,
    }


def told(world: World, k: int, version: Version[Any], clock: Clock) -> Version[Any]:
    """An edit of every field, by somebody who hands out every save."""
    return version.edit(clock, edited(world, k, version), shared=version.seen)


def typing(world: World, k: int, version: Version[Any], clock: Clock) -> Version[Any]:
    """The same, by somebody who never says what was handed out."""
    return version.edit(clock, edited(world, k, version))


def edited(world: World, k: int, version: Version[Any]) -> dict[str, Any]:
    now = version.record
    written = edits(k, world.pasts[k], {**START, **now})
    return {name: written[name] for name in now}


def no_update_is_lost(world: World, view: Shown) -> None:
    """Every operation's edit is in the record, a candidate, or lost; or somebody who had seen it came after it."""
    record, heads = view.record, world.heads
    values = {k: edits(k, frozenset(), START) for k in world.all}
    said: dict[str, list[Any]] = {name: [record[name]] for name in EVERY}
    old = set()
    for conflict in view.conflicts:
        said[conflict.path[0]] += [c.value for c in conflict.candidates]  # type: ignore[index]
        old |= {conflict.path[0]} if "old base" in conflict.reason else set()
    for lost in view.lost:
        said[lost.path[0]].append(lost.value)  # type: ignore[index]
    for name in EVERY.keys() - MERGING - {"three_way, atomic lists"}:
        assert all(values[k][name] in said[name] for k in heads), f"{name}: {said[name]} of {world}"
    for k in heads:
        assert any(k in held for held in said["three_way, atomic lists"]), world
        assert any(f"line {k}\n" in held for held in said["text"]), f"{said['text']} of {world}"
        assert any(f"word{k}" in held for held in said["text, by word and by character"]), world
        wholes = [held["all"] if isinstance(held, dict) else held for held in said["three_way"]]
        assert k in wholes, f"{said['three_way']} of {world}"
    latest = heads[-1]
    assert record["lww"] == record["keep_both"] == latest
    assert record["fww"] == heads[0]
    assert {x.value for x in view.lost if x.path == ("lww",)} == set(heads[:-1])
    assert {x.value for x in view.lost if x.path == ("fww",)} == set(heads[1:])
    preferred = [k for k in heads if world.nodes[k] == "b"]
    assert record["prefer"] in (preferred or heads), f"{said['prefer']} of {world}"
    assert record["largest"] == max(values[k]["largest"] for k in heads)
    assert record["smallest"] == min(values[k]["smallest"] for k in heads)
    assert {f"key {k}" for k in world.all} <= record["three_way"].keys(), world
    assert {x["id"] for x in record["keyed"]} == {-1, *world.all}, world
    total = sum(10**k for k in world.all)
    assert record["counter"] == total
    assert record["a function that adds"] == total or "a function that adds" in old, f"{record} of {world}"
    removed = {max(past) for k, past in enumerate(world.pasts) if past and k % 2}
    assert record["add_wins"] == world.all - removed, world


def up_to(request: pytest.FixtureRequest, unasked: int) -> range:
    """How many operations: up to four where somebody asks for it, by the marker or by a profile that is not ``dev``'s;
    else fewer, so that they run with everything else.
    """
    asked = "small_worlds" in request.config.option.markexpr
    return range(1, 5 if asked or settings().max_examples > settings.get_profile("dev").max_examples else unasked + 1)


@pytest.mark.small_worlds
@pytest.mark.parametrize(("operation", "depth"), [(told, 2), (typing, 0)])
def test_no_order_of_joining_matters(
    operation: Operation, depth: int, tally: Tally, request: pytest.FixtureRequest
) -> None:
    """All orders and bracketings, and duplicates, give the same bytes."""
    policy = Policy(fields={name: EVERY[name] for name in KINDS}, depth=depth)
    first = first_version({name: START[name] for name in KINDS}, policy)
    counts = Counter[str]()
    sizes = up_to(request, 3)
    for world in itertools.chain.from_iterable(map(worlds, sizes)):
        counts["joins"] += Played(world, first, operation).joins()
        counts["worlds"] += 1
    what = f"small worlds, {operation.__name__}"
    tally(what, counts["worlds"], sum(WORLDS[n] for n in sizes), f"{len(KINDS)} kinds of state, depth {depth}")
    tally(f"{what}, joins", counts["joins"], 10 * counts["worlds"])


@pytest.mark.small_worlds
@pytest.mark.parametrize(("operation", "depth"), [(told, 2), (typing, 0)])
def test_no_update_is_lost_under_any_strategy(
    operation: Operation, depth: int, tally: Tally, request: pytest.FixtureRequest
) -> None:
    """What is shown, open and lost is the same after a way through bytes, and every edit is in it."""
    policy = Policy(fields=dict(EVERY), depth=depth)
    first = first_version(START, policy)
    counts = Counter[str]()
    sizes = up_to(request, 2)
    for world in itertools.chain.from_iterable(map(worlds, sizes)):
        view = Played(world, first, operation).read(policy)
        no_update_is_lost(world, view)
        counts["worlds"] += 1
        counts["conflicts"] += len(view.conflicts)
        counts["losers"] += len(view.lost)
        counts["old bases"] += any("old base" in c.reason for c in view.conflicts)
    what = f"small worlds, views, {operation.__name__}"
    tally(what, counts["worlds"], sum(WORLDS[n] for n in sizes), f"{len(EVERY)} strategies, depth {depth}")
    tally(f"{what}, conflicts", counts["conflicts"], counts["worlds"])
    tally(f"{what}, losers", counts["losers"], counts["worlds"])
    tally(f"{what}, worlds with an old base", counts["old bases"], 0)


# ---- deletions: one operation deletes the record


DELETES = {"keep_both": keep_both, "edit_wins": edit_wins, "delete_wins": delete_wins, "lww": lww}


@cache
def policies_of_deletes() -> dict[str, Policy]:
    fields = {name: EVERY[name] for name in KINDS}
    return {name: Policy(fields=dict(fields), deletes=deletes, depth=1) for name, deletes in DELETES.items()}


class Deletion(NamedTuple):
    """What is done in a world in which one operation deletes: the others edit, and restore what they find deleted."""

    world: World
    deletes: int

    def does(self, k: int) -> str:
        past = self.world.pasts[k]
        if k == self.deletes:
            return "delete"
        seen = self.deletes in past and not any(self.does(j) == "restore" for j in past)
        return "restore" if seen and past - {self.deletes} <= self.world.pasts[self.deletes] else "edit"

    def operation(self, world: World, k: int, version: Version[Any], clock: Clock) -> Version[Any]:
        """Does it, and finds what it expects."""
        does = self.does(k)
        assert version.deleted == (does == "restore")
        if does == "delete":
            return version.delete(clock)
        if does == "restore":
            return version.restore(clock)
        return (told if k % 2 else typing)(world, k, version, clock)

    def against(self) -> list[int]:
        """The edits that the deletion had not seen."""
        past = self.world.pasts[self.deletes]
        return [k for k in self.world.order if k != self.deletes and k not in past and self.does(k) == "edit"]


def test_a_deletion_is_decided_once(tally: Tally) -> None:
    """A world of two: both ways, under every policy of deletions."""
    world = World(("a", "b"), (frozenset(), frozenset()), (0, 1))
    found = {}
    for deletes in (0, 1):
        played = Played(world, _first_of_deletes(), Deletion(world, deletes).operation)
        played.joins()
        for name, policy in policies_of_deletes().items():
            view = played.read(policy)
            found[name, deletes] = view.deleted, len(view.conflicts), len(view.lost)
    assert found == {
        **{("keep_both", k): (False, 1, 0) for k in (0, 1)},
        **{("edit_wins", k): (False, 0, 1) for k in (0, 1)},
        **{("delete_wins", k): (True, 0, 1) for k in (0, 1)},
        ("lww", 0): (False, 0, 1),
        ("lww", 1): (True, 0, 1),
    }


def _first_of_deletes() -> Version[Any]:
    return first_version({name: START[name] for name in KINDS}, policies_of_deletes()["keep_both"])


@pytest.mark.small_worlds
def test_a_deletion_stands_is_asked_about_or_lost(tally: Tally, request: pytest.FixtureRequest) -> None:
    """Each operation in turn deletes, and of four one, another one in each world; under every policy of deletions."""
    first = _first_of_deletes()
    counts = Counter[str]()
    sizes = up_to(request, 2)
    for i, world in enumerate(itertools.chain.from_iterable(map(worlds, sizes))):
        for deletes in world.order if len(world.order) < 4 else (world.order[(i + i // 4) % 4],):
            what = Deletion(world, deletes)
            played = Played(world, first, what.operation)
            counts["joins"] += played.joins()
            counts["runs"] += 1
            restored = any(what.does(k) == "restore" for k in world.all)
            against = what.against()
            counts["restored"] += restored
            counts["against edits"] += bool(against) and not restored
            for name, policy in policies_of_deletes().items():
                stands_by_time = not against or world.order.index(deletes) > world.order.index(against[-1])
                stands = {"keep_both": False, "edit_wins": False, "delete_wins": True, "lww": stands_by_time}[name]
                view = played.read(policy)
                assert view.deleted == (not restored and (stands or not against)), (world, deletes, name)
                contested = bool(against) and not restored
                assert (() in [c.path for c in view.conflicts]) == (contested and name == "keep_both")
                lost = [x for x in view.lost if x.path == ()]
                assert len(lost) == (contested and name != "keep_both"), (world, deletes, name)
                if lost:
                    loser = against[-1] if stands else deletes
                    assert (lost[0].stamp.node, lost[0].stamp.millis) == (world.nodes[loser], world.walls[loser])
                assert view.record["counter"] == sum(10**k for k in world.all if what.does(k) == "edit")
    tally(
        "small worlds, deletions", counts["runs"], sum(n % 4 * WORLDS[n] or WORLDS[n] for n in sizes), "4 policies each"
    )
    tally("small worlds, deletions, joins", counts["joins"], 5 * counts["runs"])
    for name in ("restored", "against edits"):
        tally(f"small worlds, deletions, {name}", counts[name], counts["runs"] // 20)
