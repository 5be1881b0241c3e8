"""Group ``sync``: nodes pull, exchange, idle and wait; beside the same rows by SQLAlchemy alone, and beside PouchDB.

Each server and each client is a process of its own, told what to do by lines of JSON. What a side holds afterwards is
compared, record by record, with what was drawn: of the last round of each, of the others the number of records.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from .live import Live, LiveError
from .peers import pouchdb
from .report import MERGECORE, over, ratio, slope
from .running import Run
from .todos import Changes, draw_changes, draw_todos, write_lines, wrong

__all__ = ["Taken", "judge_idle", "judge_pull", "measure", "missing"]

FLOOR, LEAST, IN_PROCESS = "the floor", "read, shown and written alone", f"{MERGECORE}, in process"
AT_MOST = 3.0
"""Times the floor: what a first pull over HTTP may take."""
BATCH = 1000
"""Records that a request asks for: what ``mergecore`` does by itself. PouchDB's own 100 would make it slower."""
ROUNDS, IDLE = 3, 5


class Sizes(NamedTuple):
    """How much of everything; of each more than one, to see how it grows."""

    pulled: Sequence[int]
    changed: Sequence[int]
    shared: int
    """Records, by so many clients:"""
    clients: Sequence[int]
    connections: Sequence[int]


FULL = Sizes((10_000, 30_000, 100_000), (1_000, 3_000, 10_000), 2_000, (100, 1_000), (100, 300, 1_000))
QUICK = Sizes((1_000, 3_000, 10_000), (100, 300, 1_000), 500, (30, 100), (30, 100))
SMOKE = Sizes((50, 150), (10, 30), 40, (10, 20), (10, 20))


class Contender(NamedTuple):
    """Who synchronizes, and how a server or a client of it is started over a folder."""

    name: str
    start: Callable[[Path], Live]


class Taken(NamedTuple):
    """What one synchronization took; seconds alone where nothing travels."""

    seconds: float
    requests: int = 0
    sent: int = 0
    """Bytes at the server's sockets, both ways and with the heads."""
    megabytes: float = 0.0
    """The client's peak so far."""


class Sides(NamedTuple):
    """A server, and a client that it has invited."""

    name: str
    server: Live
    client: Live

    def take(self, command: str) -> Taken:
        """What a synchronization takes, once. Raises ``LiveError``."""
        before = self.server("heard")
        seconds = self.client(command, batch=BATCH)["seconds"]
        after = self.server("heard")
        sent = sum(after[way] - before[way] for way in ("sent", "received"))
        return Taken(seconds, after["requests"] - before["requests"], sent, self.client("memory")["peak"])


def missing() -> str:
    """A sentence on the first package that this needs and that is not installed; empty where all are."""
    try:
        import_module(f"{__package__}.peers.mergecore_node")
    except ModuleNotFoundError as error:
        return f'{error.name} is not installed, and nodes need it: pip install ".[sync]"'
    return ""


def measure(run: Run) -> None:
    if sentence := missing():
        run.say(sentence)
        run.failed.append(sentence)
        return
    from .peers import mergecore_node

    contenders = [Contender(MERGECORE, mergecore_node.start)]
    modules, sentence = pouchdb.install()
    run.say(sentence)
    if modules is not None:
        contenders.append(Contender(pouchdb.NAME, partial(pouchdb.start, modules)))
    try:
        _pulls(run, contenders)
        _shares(run)
        _events(run, contenders[0])
    except LiveError as error:
        run.failed.append(f"sync: {error}")


def _sizes(run: Run) -> Sizes:
    return SMOKE if run.smoke else QUICK if run.quick else FULL


def _rounds(run: Run) -> int:
    return min(ROUNDS, len(run.seeds))


# ------------------------------------------------------------------------------------------ pulls, changes, idle


def _pulls(run: Run, contenders: Sequence[Contender]) -> None:
    """Of each size; at the largest, the pulled clients go on to change things."""
    sizes = _sizes(run).pulled
    run.say()
    run.say(f"first pull by a new node, {BATCH:,} records a request; medians of {_rounds(run)} rounds, in turn")
    run.say(f"{'':34}{'s':>9}{'records/s':>11}{'bytes each':>12}{'requests':>10}{'MB: peak':>10}{'x floor':>9}")
    growth: dict[str, list[tuple[int, Taken]]] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            drawn = draw_todos(size, random.Random(run.seeds[0]))
            servers = _servers(contenders, drawn, Path(folder), stack)
            taken, sides = _pull_rounds(servers, drawn, Path(folder), _rounds(run), stack)
            run.say(f"{size:,} records")
            for name, times in taken.items():
                middle = _middle(times)
                run.say(_pull_line(name, middle, size, median(_ratios(times, taken[FLOOR]))))
                growth.setdefault(name, []).append((size, middle))
            if size == sizes[-1]:
                target = AT_MOST if size == FULL.pulled[-1] else None
                run.failed.extend(judge_pull(f"first pull of {size:,}", taken, target))
                _against(run, taken)
                _grown(run, growth)
                _changes(run, sides, drawn, Path(folder))


def _servers(
    contenders: Sequence[Contender], drawn: Sequence[Mapping[str, Any]], folder: Path, stack: ExitStack
) -> list[tuple[Contender, Live]]:
    """One of each, that has all records and is served."""
    file = write_lines(drawn, folder / "drawn.jsonl")
    servers = []
    for contender in contenders:
        server = stack.enter_context(contender.start(folder / f"server of {contender.name}"))
        server("load", file=file)
        server("serve")
        servers.append((contender, server))
    return servers


def _pull_rounds(
    servers: Sequence[tuple[Contender, Live]],
    drawn: Sequence[Mapping[str, Any]],
    folder: Path,
    rounds: int,
    stack: ExitStack,
) -> tuple[dict[str, list[Taken]], list[Sides]]:
    """Everybody in turn, a round after the other; and the last round's clients, which stay. Raises ``LiveError``."""
    taken: dict[str, list[Taken]] = {FLOOR: [], LEAST: [], IN_PROCESS: []}
    sides: list[Sides] = []
    for number in range(rounds):
        with ExitStack() as ending:
            here = stack if number == rounds - 1 else ending
            sides.clear()
            for contender, server in servers:
                pair = _invited(contender, server, folder, f"client{number}", here)
                sides.append(pair)
                taken.setdefault(pair.name, []).append(pair.take("pull"))
                found = [pair.client("count")["records"]]
                if contender.name == MERGECORE:
                    floor = pair.client("floor", batch=BATCH)
                    least = pair.client("least")
                    taken[FLOOR].append(Taken(floor["seconds"]))
                    taken[LEAST].append(Taken(least["seconds"]))
                    inside = server("pull_here", folder=str(folder / f"inside{number}"), name=f"inside{number}")
                    taken[IN_PROCESS].append(Taken(inside["seconds"]))
                    found += [floor["records"], least["records"], inside["records"]]
                if set(found) != {len(drawn)}:
                    raise LiveError(f"{pair.name} is wrong: of {len(drawn)} records it has {found}")
    for pair in sides:
        _check(pair.name, pair.client, folder, drawn)
    return taken, sides


def _invited(contender: Contender, server: Live, folder: Path, name: str, stack: ExitStack) -> Sides:
    client = stack.enter_context(contender.start(folder / f"{name} of {contender.name}"))
    client("open", **server("invite", name=name))
    return Sides(contender.name, server, client)


def _check(name: str, side: Live, folder: Path, drawn: Iterable[Mapping[str, Any]], *changes: Changes) -> None:
    """Raises ``LiveError`` unless a side holds what it has to."""
    file = folder / "dump.jsonl"
    side("dump", file=str(file))
    if error := wrong(file, drawn, *changes):
        raise LiveError(f"{name} is wrong: {error}")


def _changes(run: Run, sides: Sequence[Sides], drawn: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Both sides change records that nobody has changed yet, and synchronize; then once more, with nothing to say."""
    run.say()
    run.say(f"changed both ways, a tenth of it in conflict; {len(drawn):,} records on each side; medians, as above")
    run.say(f"{'':34}{'s':>9}{'records/s':>11}{'bytes each':>12}{'requests':>10}{'x ' + pouchdb.NAME:>12}")
    rng, left, done = random.Random(run.seeds[0]), list(drawn), list[Changes]()
    rng.shuffle(left)
    for pair in sides:
        pair.take("sync")  # PouchDB goes through all that it has once, to see that the server has it
    taken: dict[int, dict[str, list[Taken]]] = {}
    for changed in _sizes(run).changed:
        taken[changed] = {pair.name: [] for pair in sides}
        for _ in range(_rounds(run)):
            part, left = left[:changed], left[changed:]
            done.append(draw_changes(part, changed, rng))
            here, there = (write_lines(done[-1][i], folder / f"change{i}.jsonl") for i in range(2))
            for pair in sides:
                pair.client("edit", file=here)
                pair.server("edit", file=there)
                taken[changed][pair.name].append(pair.take("sync"))
    for pair in sides:
        _check(f"{pair.name}'s client", pair.client, folder, drawn, *done)
        _check(f"{pair.name}'s server", pair.server, folder, drawn, *done)
    growth: dict[str, list[tuple[int, Taken]]] = {}
    for changed, by_name in taken.items():
        run.say(f"{changed:,} changed, {changed // 10:,} of them in conflict")
        for name, times in by_name.items():
            against = None
            if name == MERGECORE and pouchdb.NAME in by_name:
                against = median(_ratios(times, by_name[pouchdb.NAME]))
            run.say(_change_line(name, _middle(times), changed, against))
            growth.setdefault(name, []).append((changed, _middle(times)._replace(megabytes=0.0)))
    _grown(run, growth)
    _idle(run, sides)


def _idle(run: Run, sides: Sequence[Sides]) -> None:
    run.say()
    run.say(f"an idle sync; medians of {IDLE}, in turn")
    run.say(f"{'':34}{'ms':>9}{'requests':>10}{'bytes':>9}")
    taken: dict[str, list[Taken]] = {pair.name: [] for pair in sides}
    for pair in sides:
        pair.take("sync")  # and here through what it sent
    for _ in range(IDLE):
        for pair in sides:
            taken[pair.name].append(pair.take("sync"))
    for name, times in taken.items():
        middle = _middle(times)
        run.say(f"  {name:32}{middle.seconds * 1e3:9.1f}{middle.requests:10}{middle.sent:9,}")
    run.failed.extend(judge_idle(taken[MERGECORE]))


# ------------------------------------------------------------------------------------------ many at once


def _shares(run: Run) -> None:
    """The same records by more clients: each writes its share, and takes its team's."""
    from . import crowds

    records, counts = _sizes(run).shared, _sizes(run).clients
    run.say()
    run.say(f"{records:,} records by many clients in one process, {crowds.TEAM} of which have one list")
    run.say(f"{'clients':>34}{'s: send':>9}{'s: take':>9}{'records/s':>11}{'trips':>8}{'KB a client':>13}")
    growth = []
    for clients in counts:
        with crowds.start() as crowd:
            took = crowd("share", clients=clients, records=records, seed=run.seeds[0])
        send, take = took["seconds"]
        speed = (records + took["taken"]) / (send + take)
        each = took["megabytes"] * 1e3 / clients
        trips = sum(took["round_trips"])
        run.say(f"{clients:34,}{send:9.2f}{take:9.2f}{speed:11,.0f}{trips:8,}{each:13,.0f}")
        growth.append((clients, send + take))
    run.say(f"  growth: seconds as the number of clients to the power of {slope(growth):.2f}")


def _events(run: Run, contender: Contender) -> None:
    """Connections that wait, each of a node of its own; then one change, which has to reach them all."""
    from . import crowds

    counts = _sizes(run).connections
    run.say()
    run.say("idle event connections, and one change that each of them is told")
    run.say(f"{'connections':>34}{'KB each':>9}{'ms: first':>11}{'half':>8}{'all':>8}")
    growth = []
    for count in counts:
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            server = stack.enter_context(contender.start(Path(folder) / "server"))
            server("serve")
            writer = _invited(contender, server, Path(folder), "writer", stack).client
            invited = [server("invite", name=f"listener{i}") for i in range(count)]
            crowd = stack.enter_context(crowds.start())
            crowd("listen", url=invited[0]["url"], tokens=[each["token"] for each in invited[:1]])
            before = server("memory")["now"]
            crowd("listen", url=invited[0]["url"], tokens=[each["token"] for each in invited[1:]])
            memory = server("memory")["now"] - before
            one, other = draw_todos(2, random.Random(run.seeds[0]))
            for todo in (one, other):  # when all were told of the first, all are at rest
                writer("load", file=write_lines([todo], Path(folder) / "one.jsonl"))
                crowd("forget")
                at = writer("sync", batch=BATCH)["at"]
                told = crowd("told_since", moment=at, connections=count)
            told = {name: 1e3 * seconds for name, seconds in told.items()}
        each = memory * 1e3 / (count - 1)
        run.say(f"{count:34,}{each:9.0f}{told['first']:11.0f}{told['half']:8.0f}{told['all']:8.0f}")
        growth.append((count, told["all"]))
    run.say(f"  growth: time to all as the number of connections to the power of {slope(growth):.2f}")


# ------------------------------------------------------------------------------------------ figures


def judge_pull(case: str, taken: Mapping[str, Sequence[Taken]], at_most: float | None) -> list[str]:
    """A sentence if the median of the rounds' ratios to the floor is over the target."""
    if at_most is None:
        return []
    return over(case, median(_ratios(taken[MERGECORE], taken[FLOOR])), at_most, "times the floor")


def judge_idle(taken: Sequence[Taken]) -> list[str]:
    """A sentence unless each idle sync was one request."""
    most = max(one.requests for one in taken)
    return over("an idle sync", most, 1, "round trips") + (["an idle sync asks nobody"] if most < 1 else [])


def _ratios(taken: Sequence[Taken], to: Sequence[Taken]) -> list[float]:
    return [a.seconds / b.seconds for a, b in zip(taken, to)]


def _middle(taken: Sequence[Taken]) -> Taken:
    """The medians, each by itself; of memory, which only grows, the last but no more than the largest."""
    return Taken(
        median(one.seconds for one in taken),
        round(median(one.requests for one in taken)),
        round(median(one.sent for one in taken)),
        max(one.megabytes for one in taken),
    )


def _pull_line(name: str, took: Taken, size: int, floors: float) -> str:
    line = f"  {name:32}{took.seconds:9.2f}{size / took.seconds:11,.0f}"
    travelled = f"{took.sent / size:12.0f}{took.requests:10}{took.megabytes:10.0f}" if took.requests else f"{'':32}"
    return f"{line}{travelled}{floors:9.2f}"


def _change_line(name: str, took: Taken, changed: int, against: float | None) -> str:
    line = f"  {name:32}{took.seconds:9.2f}{changed / took.seconds:11,.0f}{took.sent / changed:12.0f}{took.requests:10}"
    return line if against is None else f"{line}{ratio(against):>12}"


def _against(run: Run, taken: Mapping[str, Sequence[Taken]]) -> None:
    if pouchdb.NAME in taken:
        times = ratio(median(_ratios(taken[MERGECORE], taken[pouchdb.NAME])))
        run.say(f"  {MERGECORE} takes {times} of the time of {pouchdb.NAME}")


def _grown(run: Run, growth: Mapping[str, Sequence[tuple[int, Taken]]]) -> None:
    run.say("growth: as the number of records to the power of")
    for name, points in growth.items():
        line = f"  {name:32}{slope([(n, took.seconds) for n, took in points]):9.2f} seconds"
        if points[0][1].requests:
            line += f"{slope([(n, took.sent) for n, took in points]):9.2f} bytes"
            line += f"{slope([(n, took.requests) for n, took in points]):9.2f} requests"
        if points[0][1].megabytes:
            line += f"{slope([(n, took.megabytes) for n, took in points]):9.2f} memory"
        run.say(line)
