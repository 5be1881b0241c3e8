"""Group ``convergence``: replicas edit one field and exchange versions at random: how often is the end exactly right?

A value is a sum and a set of tokens, so that a lost, a doubled and a resurrected edit all show; it is merged by a
user's function that needs the common ancestor. The fewer layers of ancestors a history keeps (``depth``), the more
often only an older one is left where the exchange has no centre: then the end may be wrong, but never without a word.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from statistics import median
from typing import Any, Literal, NamedTuple, TypeAlias

from mergecore import UNSET, Clock, Policy, Version, VersionVector, join, strategy

from .running import Run

__all__ = ["DEPTHS", "ROWS", "Cell", "End", "Row", "World", "judge_cell", "measure", "play"]

DEPTHS = (0, 1, 2, 4, 8)
STEPS = 60
RUNS_A_SEED = 40
"""Five seeds, as many as there are unless one says, are the 200 runs of which the figures below are made."""

Document: TypeAlias = dict[str, Any]


class World(NamedTuple):
    """Who exchanges with whom, and what is said of it."""

    topology: Literal["hub", "server", "mesh"]
    """Node 0 is the hub, or the server through which four web clients write too; in a mesh all nodes are peers."""
    nodes: int
    burst: int = 1
    """How many saves follow on each other, at most."""
    told: bool = True
    """Whether ``shared=`` says what was handed out; else it says that nothing was."""
    slow: bool = False
    """Whether the last node seldom exchanges."""
    each: bool = False
    """Whether each save is said to have been handed out at once, though it was not."""
    online: int = 0
    """How many nodes are connected all the time: their saves are exchanged at once."""


class Row(NamedTuple):
    """A line of the table."""

    name: str
    world: World
    exact: tuple[float, ...] = ()
    """What the design measured, for each depth: the % of 200 runs that came to exactly the right end."""
    met_old: tuple[float, ...] = ()
    """And the % in which an author, or whoever looked at the end, met an old base."""


ALWAYS, NEVER = (100.0,) * len(DEPTHS), (0.0,) * len(DEPTHS)
_WORLDS: Mapping[str, tuple[World, bool]] = {  # and whether every run is exact if what was handed out is said
    "hub 5": (World("hub", 5), True),
    "hub 8, one slow": (World("hub", 8, slow=True), True),
    "server, 4 web clients, 2 devices": (World("server", 3), True),
    "peer to peer 3": (World("mesh", 3), True),
    "peer to peer 5": (World("mesh", 5), False),
    "peer to peer 8": (World("mesh", 8), False),
}
_FIGURES: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "peer to peer 5, single saves": ((28, 48.5, 64.5, 82, 100), (75, 53.5, 42.5, 23, 0)),
    "peer to peer 5, bursts": ((27.5, 54, 56, 71.5, 99.5), (76.5, 50.5, 49.5, 33, 0.5)),
    "peer to peer 8, single saves": ((8.5, 19, 37, 85, 100), (94, 82.5, 67.5, 16.5, 0)),
    "peer to peer 8, bursts": ((14, 30.5, 41.5, 82, 100), (91.5, 72, 62, 20, 0)),
    "hub 5, never told": ((54, 61.5, 64, 66.5, 67), (48.5, 40, 37, 33.5, 33.5)),
    "server, 4 web clients, 2 devices, never told": ((50, 61, 70, 76, 77.5), (51, 39.5, 30, 24, 22.5)),
    "hub 5, told after every save": ((1, 13.5, 28.5, 49.5, 85), (100, 92.5, 82, 65.5, 26)),
}


def _rows() -> Iterator[Row]:
    for name, (world, always) in _WORLDS.items():
        for how, burst in (("single saves", 1), ("bursts", 5)):
            title = f"{name}, {how}"
            figures = (ALWAYS, NEVER) if always else _FIGURES[title]
            yield Row(title, world._replace(burst=burst), *figures)
    for name, (world, _) in _WORLDS.items():
        title = f"{name}, never told"
        yield Row(title, world._replace(burst=5, told=False), *_FIGURES.get(title, ()))
    for name, (world, _) in _WORLDS.items():
        title = f"{name}, told after every save"
        yield Row(title, world._replace(each=True), *_FIGURES.get(title, ()))
    yield Row("hub 5, three always connected, bursts", World("hub", 5, burst=5, online=3), ALWAYS, NEVER)


ROWS = tuple(_rows())


# ------------------------------------------------------------------------------------------------------- one run


@strategy("sumset")
def sumset(base: Any, ours: Any, theirs: Any) -> Document:
    """Both sides' changes of the sum, and of the set."""
    nothing: Document = {"sum": 0, "tokens": set()}
    b, o, t = (nothing if side is UNSET else side for side in (base, ours, theirs))
    tokens = (o["tokens"] & t["tokens"]) | (o["tokens"] - b["tokens"]) | (t["tokens"] - b["tokens"])
    return {"sum": o["sum"] + t["sum"] - b["sum"], "tokens": tokens}


class End(NamedTuple):
    """How a run ended, after everyone had heard everything."""

    right: bool
    """What is shown has every edit, once."""
    met_old: bool
    """An author was told of an old base before he wrote, or is whoever looks at the end."""
    still_old: bool
    """The last of these is so."""
    writes: int
    """The most that a version held on the way."""
    agreed: bool
    """All replicas hold the same bytes."""
    size: int
    """Bytes of the version at the end."""


def play(seed: int, world: World, depth: int) -> End:
    """One run: everything in it follows from the seed."""
    return _Play(seed, world, depth).end()


class _Play:
    """Replicas, their clocks, and what the end has to be."""

    def __init__(self, seed: int, world: World, depth: int) -> None:
        self.rng, self.world, self.millis = random.Random(seed), world, 0
        self.clocks = [Clock.locked(f"n{i}", now=lambda: self.millis) for i in range(world.nodes)]
        empty: Document = {"f": {"sum": 0, "tokens": set()}}
        policy = Policy(fields={"f": sumset}, depth=depth)
        start = Version.new(Clock.locked("z", now=lambda: 0), empty, id="r", policy=policy)
        self.replicas = [start] * world.nodes
        self.forms = [start] * 4  # what the web clients look at
        self.handed_out = [True] * world.nodes
        self.total, self.added, self.removed = 0, set[int](), set[int]()
        self.met_old, self.writes = False, 0

    def end(self) -> End:
        for _ in range(STEPS):
            node = self.rng.randrange(self.world.nodes)
            if self.world.topology == "server" and node == 0:
                self.serve()
            elif self.rng.random() < 0.5:
                self.save(node)
            elif not self.exchange(node):
                continue
            self.writes = max(self.writes, len(self.replicas[node].commits))
        for _ in range(2):
            for a, b in itertools.combinations(range(self.world.nodes), 2):
                self.replicas[a] = self.replicas[b] = join(self.replicas[a], self.replicas[b])
        end = self.replicas[0]
        right = self.look(end) == {"sum": self.total, "tokens": self.added - self.removed}
        agreed = all(version.encode() == end.encode() for version in self.replicas)
        return End(right, self.met_old, _says_old(end), self.writes, agreed, len(end.encode()))

    def serve(self) -> None:
        """A web client loads the record, or saves what it loaded before."""
        client = self.rng.randrange(4)
        if self.rng.random() < 0.4:
            self.forms[client] = self.replicas[0]
            return
        for _ in range(self.rng.randint(1, self.world.burst)):
            self.millis += 1
            form, shared = self.forms[client], None if self.world.told else VersionVector()
            record = self.changed(form)
            self.forms[client] = self.replicas[0] = self.replicas[0].put(self.clocks[0], record, form, shared=shared)

    def save(self, node: int) -> None:
        """A device's own saves, one after the other."""
        for _ in range(self.rng.randint(1, self.world.burst)):
            self.millis += 1
            version = self.replicas[node]
            told = self.world.told and (self.handed_out[node] or self.world.each)
            record = self.changed(version)
            version = version.edit(self.clocks[node], record, shared=version.seen if told else None)
            self.replicas[node], self.handed_out[node] = version, False
            if node < self.world.online:
                self.replicas[node] = self.replicas[0] = join(version, self.replicas[0])
                self.handed_out[node] = self.handed_out[0] = True

    def exchange(self, node: int) -> bool:
        """With the centre, or with any peer; False where nobody is met."""
        other = self.rng.randrange(self.world.nodes) if self.world.topology == "mesh" else 0
        last = self.world.nodes - 1
        if other == node or (self.world.slow and node == last and self.rng.random() < 0.9):
            return False
        self.replicas[node] = self.replicas[other] = join(self.replicas[node], self.replicas[other])
        self.handed_out[node] = self.handed_out[other] = True
        return True

    def changed(self, version: Version[Document]) -> Document:
        """What its author makes of a version: something to add, a new token, and perhaps one of the others removed."""
        value = self.look(version)
        amount = self.rng.choice([1, 10, 100, -5])
        self.total += amount
        self.added.add(self.millis)
        tokens: set[int] = value["tokens"] | {self.millis}
        if value["tokens"] and self.rng.random() < 0.5:
            gone = self.rng.choice(sorted(value["tokens"]))
            tokens.remove(gone)
            self.removed.add(gone)
        return {"f": {"sum": value["sum"] + amount, "tokens": tokens}}

    def look(self, version: Version[Document]) -> Any:
        """The value shown, and what is said of it."""
        self.met_old = self.met_old or _says_old(version)
        return version.record["f"]


def _says_old(version: Version[Document]) -> bool:
    return any("old base" in conflict.reason for conflict in version.conflicts)


# ------------------------------------------------------------------------------------------------------- the table


class Cell(NamedTuple):
    """The runs of one row at one depth, a seed each."""

    depth: int
    seeds: Sequence[int]
    ends: Sequence[End]

    @classmethod
    def of(cls, row: Row, depth: int, seeds: Sequence[int]) -> Cell:
        return cls(depth, seeds, [play(seed, row.world, depth) for seed in seeds])

    @property
    def exact(self) -> float:
        """% of the runs that ended exactly right."""
        return 100 * sum(end.right for end in self.ends) / len(self.ends)

    @property
    def met_old(self) -> float:
        """% of the runs in which an old base was met."""
        return 100 * sum(end.met_old for end in self.ends) / len(self.ends)

    def __str__(self) -> str:
        return f"{self.exact:.4g} / {self.met_old:.4g}"


def measure(run: Run) -> None:
    first = run.seeds[0]
    runs = 2 if run.smoke else RUNS_A_SEED * len(run.seeds) // (5 if run.quick else 1)
    seeds = range(first, first + runs)
    run.say(f"{STEPS} operations on one field; {len(seeds)} runs a cell, with the seeds {seeds[0]} to {seeds[-1]}")
    run.say("cell: runs that came to exactly the right end, % / runs in which an old base was met, %")
    run.say()
    run.say(_line("depth", *DEPTHS, "most writes", "s"))
    run.say("|---" * (len(DEPTHS) + 3) + "|")
    sizes: dict[str, list[int]] = {}
    for row in ROWS[::5] if run.smoke else ROWS:
        start = time.perf_counter()
        cells = [Cell.of(row, depth, seeds) for depth in DEPTHS]
        seconds = time.perf_counter() - start
        run.say(_line(row.name, *cells, max(end.writes for cell in cells for end in cell.ends), f"{seconds:.1f}"))
        sizes[row.name] = [round(median(end.size for end in cell.ends)) for cell in cells]
        for cell in cells:
            run.failed.extend(judge_cell(row, cell, sampled=not run.smoke))
    run.say()
    run.say("bytes of the version at the end, median")
    run.say()
    run.say(_line("depth", *DEPTHS))
    run.say("|---" * (len(DEPTHS) + 1) + "|")
    for name, found in sizes.items():
        run.say(_line(name, *found))


def _line(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def judge_cell(row: Row, cell: Cell, sampled: bool = True) -> list[str]:
    """A sentence for each thing that must not be; ``sampled``: there are enough runs to compare with the design's.

    One run is too many in which the replicas disagree, or whose wrong end nobody was told of; and, where the design
    has 100 / 0 whatever the depth, one that is not exact or met an old base. Elsewhere sampling errors are allowed for.
    """
    at = f"{row.name}, depth {cell.depth}"
    runs = list(zip(cell.seeds, cell.ends))
    never = {
        "the replicas disagree": [seed for seed, end in runs if not end.agreed],
        "the end is wrong without a word": [seed for seed, end in runs if not end.right and not end.met_old],
    }
    found: list[str] = []
    if row.exact == ALWAYS:
        never["not exact, as the design always is,"] = [s for s, end in runs if not end.right or end.met_old]
    elif row.exact and sampled:
        i = DEPTHS.index(cell.depth)
        for what, less, value, figure in (
            ("ended exactly right", row.exact[i] - cell.exact, cell.exact, row.exact[i]),
            ("met an old base", cell.met_old - row.met_old[i], cell.met_old, row.met_old[i]),
        ):
            if less > (error := _ERRORS * _standard_error(value, len(runs), figure)):
                found.append(f"{at}: {value:.4g} % {what}; the design has {figure:g} %, and chance makes {error:.1f}")
    return found + [
        f"{at}: {what} in {len(seeds)} of {len(runs)} runs, first with seed {seeds[0]}"
        for what, seeds in never.items()
        if seeds
    ]


_ERRORS = 4.0
"""Standard errors. With fresh seeds, and 70 figures that are compared, 3 would often be exceeded by chance."""
_RUNS_OF_THE_DESIGN = 200


def _standard_error(value: float, runs: int, figure: float) -> float:
    """Of the difference of two shares, in %, if they were samples of one and the same: both are."""
    share = (value * runs + figure * _RUNS_OF_THE_DESIGN) / (runs + _RUNS_OF_THE_DESIGN) / 100
    return 100 * sqrt(share * (1 - share) * (1 / runs + 1 / _RUNS_OF_THE_DESIGN))
