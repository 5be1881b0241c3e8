"""The clock beside other people's: recorded events of three hybrid logical clocks, and TinyBase's, run live.

The events are read from ``../shared/corpora``, whose README says where they are from. Each is replayed on a clock that
stands where theirs stood, and agrees, or differs for a reason of the table, whose counts must be met exactly.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pytest
from conftest import Tally
from hypothesis import given, settings
from hypothesis import strategies as st

from mergecore import Timestamp
from mergecore.clock import Clock
from mergecore.errors import ClockDrift

CORPUS = Path(__file__).parents[2] / "shared" / "corpora" / "hlc_vectors.json"

corpora = [
    pytest.mark.corpora,
    pytest.mark.skipif(not CORPUS.is_file(), reason="The events are read from ../shared/corpora, which is not there."),
]

Event: TypeAlias = dict[str, Any]
Time: TypeAlias = tuple[int, int]
"""Milliseconds and counter: names are compared by order, in the live comparison."""

LAST = 0xFFFF
NOW = 1_700_000_000_000


class Message(NamedTuple):
    """A version that comes in."""

    seen: dict[str, Timestamp]
    created: Timestamp = Timestamp(0)


class Replay:
    """Our clock, put where another one stands before each event."""

    def __init__(self, max_drift: int) -> None:
        self._max_drift = max_drift

    def __call__(self, stands: Time, wall: int, message: Timestamp | None = None) -> Time | None:
        """What it gives at this wall time when shown the message; ``None`` where it refuses that."""
        vectors = []
        if stands[1] > LAST:  # more than a clock of ours can have given, but not more than it can see
            vectors.append({"they": Timestamp(*stands, "they")})
            stands = (0, 0)
        last = Timestamp(*stands, "us~aaaaaaaaaaaaa")
        clock = Clock.load(str(last), now=lambda: wall, max_drift=self._max_drift)
        if message is None:
            return _time(clock.tick(*vectors))
        version = Message({message.node: message})
        try:
            clock.admit(version)
        except ClockDrift:
            assert clock.save() == str(last)
            return None
        return _time(clock.tick(version.seen, *vectors))


def _time(stamp: Timestamp) -> Time:
    return stamp.millis, stamp.counter


def _sequences(source: str) -> list[dict[str, Any]]:
    """Those of the one source with this word in its name."""
    data = json.loads(CORPUS.read_text(encoding="utf-8"))
    (found,) = (entry["sequences"] for entry in data["sources"] if source in entry["source"])
    sequences: list[dict[str, Any]] = found
    return sequences


# ------------------------------------------------------------------------------------------ crdt-example-app

JLONGSTER_DIFFERS = {
    "a message under our own name is refused there; here an incarnation has a name of its own, and it counts as any": 7,
    "a full counter is an error there; here it moves on to the next millisecond": 12,
}


class TestCrdtExampleApp:
    pytestmark = corpora

    def test_every_event_agrees_or_differs_for_a_reviewed_reason(self, tally: Tally) -> None:
        """Sends, receives, drift: to the last counter."""
        own, full = JLONGSTER_DIFFERS
        seen = Counter[str]()
        replay = Replay(60_000)
        for sequence in _sequences("crdt-example-app"):
            stands = sequence["start"]
            for event in sequence["events"]:
                before = _parsed(stands)
                message = _parsed(event["msg"]) if "msg" in event else None
                ours = replay(_time(before), event["wall"], message)
                match event.get("error"):
                    case None:
                        assert event["result"] == event["clock"]
                        assert ours == _time(_parsed(event["result"])), event
                        seen["agree"] += 1
                    case "ClockDriftError":
                        assert ours is None, event
                        seen["agree, drift"] += 1
                    case "DuplicateNodeError":
                        assert message is not None and message.node == before.node
                        top = max(_time(before), _time(message))
                        assert ours == ((event["wall"], 0) if event["wall"] > top[0] else (top[0], top[1] + 1)), event
                        seen[own] += 1
                    case "OverflowError":
                        top = max(_time(s) for s in (before, message) if s is not None)
                        assert top[1] == LAST and event["wall"] <= top[0]
                        assert ours == (top[0] + 1, 0), event
                        seen[full] += 1
                    case error:
                        raise AssertionError(f"an error of another kind: {error}")
                stands = event["clock"]
        assert {reason: seen[reason] for reason in JLONGSTER_DIFFERS} == JLONGSTER_DIFFERS
        more = f"{seen['agree, drift']} refused in both, {sum(JLONGSTER_DIFFERS.values())} reviewed"
        tally("hlc_vectors, crdt-example-app", sum(seen.values()), floor=240, more=more)

    def test_its_text_is_ours_but_for_the_case_of_the_hex_digits(self, tally: Tally) -> None:
        """Every stamp of the file, both ways."""
        texts = [
            text
            for sequence in _sequences("crdt-example-app")
            for event in sequence["events"]
            for text in (event["clock"], event.get("msg"), event.get("result"))
            if text is not None
        ]
        for text in texts:
            stamp = _parsed(text)
            assert str(stamp)[:25] + str(stamp)[25:29].upper() + str(stamp)[29:] == text
        assert sorted(texts) == [text for _, text in sorted((_parsed(text), text) for text in texts)]
        tally("hlc_vectors, crdt-example-app, texts", len(texts), floor=500)


def _parsed(text: str) -> Timestamp:
    return Timestamp.parse(text[:25] + text[25:29].lower() + text[29:])


# ------------------------------------------------------------------------------------------ TinyBase, recorded


class TestTinyBaseRecorded:
    pytestmark = corpora

    def test_every_event_agrees(self, tally: Tally) -> None:
        """``next`` is a tick. ``seen`` gives no stamp there: ours is compared with the one that would come next."""
        seen = Counter[str]()
        replay = Replay(300_000)
        for sequence in _sequences("tinybase"):
            stands = (0, -1)
            for event in sequence["events"]:
                after = event["state"][0], event["state"][1]
                if event["kind"] == "next":
                    assert _decoded(event["result"]) == Timestamp(*after, sequence["client"])
                    assert replay(_standing(stands), event["wall"]) == after, event
                    seen["agree"] += 1
                else:
                    message = _decoded(event["msg"])
                    assert message == Timestamp(*event["msg_decoded"])
                    ours = replay(_standing(stands), event["wall"], message)
                    if ours is None:
                        assert message.millis - event["wall"] > 300_000 and after == stands, event
                        seen["ignored there, refused here"] += 1
                    else:
                        assert ours == _next(after), event
                        seen["agree, of a counter above 0xFFFF" if message.counter > LAST else "agree"] += 1
                stands = after
        assert seen["ignored there, refused here"] == 19
        tally("hlc_vectors, TinyBase", sum(seen.values()), floor=200, more="19 refused in both, none reviewed")


def _next(state: Time) -> Time:
    """The stamp that TinyBase gives next at the same wall time: after a full counter of 24 bits, a millisecond on."""
    return (state[0], state[1] + 1) if state[1] < 0xFFFFFF else (state[0] + 1, 0)


def _standing(state: Time) -> Time:
    """Where a clock stands whose next stamp, in this millisecond, is the counter's next; -1 is none yet."""
    if state[1] >= 0 or state[0] == 0:
        return state[0], max(state[1], 0)
    return state[0] - 1, LAST


DIGITS = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"


def _decoded(hlc: str) -> Timestamp:
    """Seven digits of base 64 for the time, four for the counter, then the client."""

    def number(digits: str) -> int:
        value = 0
        for digit in digits:
            value = value << 6 | DIGITS.index(digit)
        return value

    return Timestamp(number(hlc[:7]), number(hlc[7:11]), hlc[11:])


# ------------------------------------------------------------------------------------------ CockroachDB's table


class TestCockroach:
    pytestmark = corpora

    def test_every_event_agrees(self, tally: Tally) -> None:
        """A receive is two ticks there, as the table's note says, before the message and after it."""
        (sequence,) = (one for one in _sequences("cockroach") if "events" in one)
        wall = [0]
        clock = Clock("us", now=lambda: wall[0])
        for event in sequence["events"]:
            wall[0] = event["wall"]
            stamp = clock.tick()
            if event["kind"] == "recv":
                stamp = clock.tick({"they": Timestamp(event["input"][0], event["input"][1], "they")})
            assert _time(stamp) == tuple(event["expected"]), event
        tally("hlc_vectors, CockroachDB", len(sequence["events"]), floor=8, more="none reviewed")

    def test_its_offsets_are_let_in_and_refused_as_here(self) -> None:
        """Under its limit of 500 ms, 499 ms ahead is taken and a second is not."""
        (offset,) = (one["note"] for one in _sequences("cockroach") if "events" not in one)
        assert offset == "max offset 500 ms; remote wall = now+499ms accepted, now+1s refused"
        clock = Clock("us", now=lambda: NOW, max_drift=500)
        clock.admit(Message({"they": Timestamp(NOW + 499)}))
        with pytest.raises(ClockDrift):
            clock.admit(Message({"they": Timestamp(NOW + 1_000)}))


# ------------------------------------------------------------------------------------------ TinyBase, live

PROGRAM = """
import {createInterface} from 'node:readline';

const all = {...(await import('tinybase')), ...(await import('tinybase/common'))};
const name = Object.keys(all).find((key) => /^(get|create)Hlc/.test(key));
console.log(JSON.stringify(name ?? null));

let wall;
Date.now = () => wall;
for await (const line of createInterface({input: process.stdin})) {
  const {clients, events} = JSON.parse(line);
  const clocks = clients.map((client) => all[name](client));
  const stamps = [];
  for (const event of events) {
    const [next, see] = clocks[event.client];
    wall = event.wall;
    if (event.message !== null) see(stamps[event.message]);
    stamps.push(next());
  }
  console.log(JSON.stringify(stamps));
}
"""


class TinyBase:
    """Its clocks, in a process of node that is asked a line at a time."""

    def __init__(self, node: str, folder: Path) -> None:
        package = json.loads((folder / "node_modules" / "tinybase" / "package.json").read_text(encoding="utf-8"))
        self.version: str = package["version"]
        program = folder / "clocks.mjs"
        program.write_text(PROGRAM, encoding="utf-8")
        self._process = subprocess.Popen(
            [node, str(program)], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )
        self.function: str | None = self._answer()

    def __call__(self, clients: list[str], events: list[Event]) -> list[str]:
        """The stamp of each event: at ``wall``, of ``client``, which has seen the stamp number ``message`` before."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"clients": clients, "events": events}) + "\n")
        self._process.stdin.flush()
        stamps: list[str] = self._answer()
        return stamps

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate(timeout=10)


@pytest.fixture(scope="session")
def tinybase(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyBase]:
    """The newest release, had from npm once."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("The clock is compared with TinyBase's, which needs node and npm, and they are not installed.")
    folder = tmp_path_factory.mktemp("tinybase")
    (folder / "package.json").write_text("{}", encoding="utf-8")
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0"]
    try:
        subprocess.run([npm, "install", *options, "tinybase"], cwd=folder, check=True, capture_output=True, timeout=180)
    except (subprocess.SubprocessError, OSError):
        pytest.skip("The clock is compared with TinyBase's, which could not be had from npm.")
    live = TinyBase(node, folder)
    if live.function is None:
        live.close()
        pytest.skip(f"The clock is compared with TinyBase's, and TinyBase {live.version} exports none.")
    yield live
    live.close()


class World(NamedTuple):
    """A number of clients, and what happens to them."""

    clients: list[str]
    events: list[Event]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Clients whose walls differ, stand, run and jump; each has seen nothing new, or any stamp given before."""
    skews = draw(st.lists(st.sampled_from([0, 1, -1, 50, -2_000, 400_000, -400_000]), min_size=2, max_size=4))
    jumps = st.sampled_from([0, 0, 0, 1, 1, 7, -1, -7, 1_000, -1_000, 400_000, -400_000])
    wall, events = NOW, list[Event]()
    for number, client in enumerate(draw(st.lists(st.integers(0, len(skews) - 1), min_size=12, max_size=40))):
        wall += draw(jumps)
        message = draw(st.none() | st.integers(0, number - 1)) if number else None
        events.append({"client": client, "wall": wall + skews[client], "message": message})
    return World([f"client {number}" for number in range(len(skews))], events)


@pytest.mark.oracle
def test_stamps_are_ordered_as_tinybases_of_the_same_walls_and_messages(tinybase: TinyBase, tally: Tally) -> None:
    """Encoded, by text and by bytes; millisecond and counter are the same, and the same messages are refused."""
    seen = Counter[str]()

    @settings(max_examples=max(300, settings().max_examples // 4))
    @given(worlds())
    def agrees(world: World) -> None:
        encoded = tinybase(*world)
        theirs = [_decoded(text) for text in encoded]
        names = {event["client"]: stamp.node for event, stamp in zip(world.events, theirs)}
        wall = [0]
        clocks = {client: Clock(name, now=lambda: wall[0], max_drift=300_000) for client, name in names.items()}
        ours: list[Timestamp] = []
        for event in world.events:
            wall[0] = event["wall"]
            clock = clocks[event["client"]]
            vector = {}
            if event["message"] is not None:
                message = ours[event["message"]]
                try:
                    vector = clock.admit(Message({message.node: message})).seen
                    seen["received"] += 1
                except ClockDrift:
                    seen["refused"] += 1
            ours.append(clock.tick(vector))
        assert [_time(stamp) for stamp in ours] == [_time(stamp) for stamp in theirs]
        order = sorted(range(len(ours)), key=encoded.__getitem__)
        assert order == sorted(range(len(ours)), key=ours.__getitem__)
        assert order == sorted(range(len(ours)), key=lambda i: str(ours[i]))
        assert order == sorted(range(len(ours)), key=lambda i: bytes(ours[i]))
        seen["worlds"] += 1
        seen["stamps"] += len(ours)
        seen["ties"] += len(ours) - len({_time(stamp) for stamp in ours})

    agrees()
    of = f"TinyBase {tinybase.version}"
    tally(f"{of}, stamps", seen["stamps"], floor=4_000, more=f"{seen['worlds']} worlds by {tinybase.function}")
    tally(f"{of}, messages taken", seen["received"], floor=1_000, more=f"{seen['refused']} refused in both")
    tally(f"{of}, stamps that only the node tells apart", seen["ties"], floor=100)
    assert seen["refused"] >= 100
