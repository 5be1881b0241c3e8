"""Versions as bytes: one spelling for each version, and nothing let in that could not be read, joined and written."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import subprocess
import sys
import time
import tracemalloc
import uuid
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_versions import LINES, Address, Item, Task, World, line

from mergecore import (
    UNSET,
    Clock,
    InvalidInput,
    MergeError,
    Policy,
    SchemaMismatch,
    Timestamp,
    TooDeep,
    Version,
    VersionVector,
    add_wins,
    counter,
    join,
    keep_both,
    lww,
    text,
)
from mergecore.codec import FORMAT
from mergecore.history import Commit, History, ORSet, Write
from mergecore.values import canonical
from mergecore.wire import pack, unpack

pytestmark = pytest.mark.filterwarnings("error")

VALUES: dict[str, Any] = {
    "nothing": None,
    "yes": True,
    "int": 5,
    "long": 1 << 100,
    "negative": -(1 << 63) - 1,
    "float": 1.5,
    "minus zero": -0.0,
    "nan": float("nan"),
    "inf": float("-inf"),
    "text": "é\U0001f600",
    "odd text": "\ud800x",
    "bytes": b"\x00\xff",
    "date": dt.date(2026, 1, 2),
    "datetime": dt.datetime(2026, 1, 2, 3, 4, 5, 6),
    "utc": dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
    "time": dt.time(1, 2, 3),
    "delta": dt.timedelta(days=-1, microseconds=5),
    "decimal": Decimal("1.50"),
    "decimal nan": Decimal("NaN"),
    "uuid": uuid.UUID(int=5),
    "set": {"b", "a", 3},
    "odd keys": {1: "a", 2.5: "b", (2, "x"): "c", dt.date(2026, 1, 2): "d"},
    "nested": {"a": [{"b": {"c": [1, [2, {3}]]}}]},
    "empty": {"list": [], "map": {}, "set": set(), "text": ""},
    "": "an empty name",
    "a.b[c]~": "a name with everything",
    "\udfff": "a name that UTF-8 cannot write",
}


def rich() -> World:
    """A record with every kind of state, several heads, bases, runs, deletions, counters, sets, conflicts."""
    w = World(
        Task("milk", "ann", LINES, 1, {"a"}, 1, 2, Address("s", "z"), {"k": 0}, [Item(1), Item(2)], ["x"]),
        policy=Policy(depth=2),
    )
    w.edit("ann", {"title": "a", "labels.k": 1, "votes": 4, "tags": {"b"}}, notes=line(LINES, 1, "a"), by="Ann")
    w.edit("ann", notes=line(LINES, 1, "aa"), by="Ann")
    w.edit("ben", {"title": "b", "labels.k": 2, "votes": 3, "tags": {"a", "c"}}, notes=line(LINES, 1, "b"))
    w.put("cat", Task("c", "cat", LINES, 9, {"q"}), base=Task("milk", "ann", LINES, 1, {"a"}))
    w.send("ben", "cat")
    w.do("cat", "delete", by="Cat")
    return w


# ------------------------------------------------------------------------------------------------ one spelling


def test_equal_versions_have_equal_bytes_however_they_were_joined() -> None:
    """In every order and bracketing, through bytes or not, with a model or not, with a cold or a warm cache."""
    w = rich()
    held = list(w.at.values())
    found = set()
    for a, b, c in itertools.permutations(held):
        found.add(join(a, b, c).encode())
        found.add(join(a, join(b, c)).encode())
        found.add(join(join(w.decoded(a), b, a), w.decoded(c), b).encode())
        found.add(join(*(Version.decode(x.encode()) for x in (a, b, c))).encode())
        v = join(a, b)
        _ = v.record, v.conflicts, v.lost, v.commits
        found.add(join(v, c, a).encode())
    assert len(found) == 1
    (data,) = found
    again = Version.decode(data, Task, w.policy)
    assert again.encode() == data and again == join(*held) and again.record == join(*held).record


_JOINED = """
import sys
from mergecore import Version, join
print(join(*(Version.decode(bytes.fromhex(x)) for x in sys.argv[1:])).encode().hex())
"""


def test_equal_versions_have_equal_bytes_in_every_process() -> None:
    """Whatever the hash seed."""
    held = [v.encode().hex() for v in rich().at.values()]
    found = {
        subprocess.run(
            [sys.executable, "-c", _JOINED, *order],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, order in (("0", held), ("1", held[::-1]), ("77", held))
    }
    assert len(found) == 1


@pytest.mark.parametrize("policy", [None, Policy(default=text()), Policy(default=keep_both, depth=0)], ids=str)
def test_every_kind_of_value_is_kept(policy: Policy | None) -> None:
    """As values of fields, and as values within; two replicas that wrote them all join."""
    w = World(VALUES, "ann ben", policy)
    again = w.decoded(w.origin)
    assert again == w.origin and canonical(again.record) == canonical(w.origin.record)
    assert {k: type(v) for k, v in again.record.items()} == {k: type(v) for k, v in VALUES.items()}
    for key in VALUES:
        w.put("ann", {**w.at["ann"].record, key: [VALUES[key], 1]})
        w.put("ben", {**w.at["ben"].record, key: [VALUES[key], 2]})
    v = join(w.at["ann"], w.at["ben"])
    assert v == join(w.at["ben"], w.at["ann"]) and w.decoded(v) == v
    assert canonical(w.decoded(v).record) == canonical(v.record) and canonical(w.decoded(v).conflicts) == canonical(
        v.conflicts
    )


KEYS = st.text(st.characters(codec=None), max_size=4)
DOCUMENTS = st.dictionaries(
    KEYS,
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), KEYS, st.sampled_from(list(VALUES.values()))),
        lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(KEYS, below, max_size=3)),
        max_leaves=6,
    ),
    max_size=4,
)


@settings(max_examples=150)
@given(DOCUMENTS, DOCUMENTS, DOCUMENTS)
def test_any_documents_come_back(one: Any, ours: Any, theirs: Any) -> None:
    """``decode(encode(v)) = v``, and joins commute."""
    w = World(one, "ann ben", Policy(default=keep_both))
    a, b = w.put("ann", ours), w.put("ben", theirs)
    v = join(a, b)
    assert v.encode() == join(b, a).encode() == join(w.decoded(b), w.decoded(a)).encode()
    assert w.decoded(v) == v and canonical(w.decoded(v).record) == canonical(v.record)
    assert canonical(w.decoded(a).record) == canonical(a.record)


def test_what_new_accepts_decode_accepts() -> None:
    """At the limit of depth, too; beyond it, both refuse by name."""
    accepted = 0
    for depth in [1, 50, *range(190, 210)]:
        record: dict[str, Any] = {"x": 1}
        for _ in range(depth):
            record = {"a": record}
        try:
            v = Version.new(Clock("a"), record)
        except TooDeep:
            continue
        accepted = max(accepted, depth)
        assert Version.decode(v.encode()) == v and Version.decode(v.encode()).record == record
        assert v.edit(Clock("b"), b=1).record["b"] == 1
    assert 190 <= accepted <= 201


def test_models_nested_too_deep_are_refused_by_name() -> None:
    """No RecursionError, whatever the depth."""
    for depth in (150, 199, 250, 600, 5_000):
        node: Node | None = None
        for i in range(depth):
            node = Node(i, node)
        try:
            v = Version.new(Clock("a"), node)
        except TooDeep:
            assert depth > 190
            continue
        assert depth <= 201 and Version.decode(v.encode(), Node).record == node


class Node(msgspec.Struct):
    """A recursive model."""

    value: int = 0
    below: Node | None = None


# ---------------------------------------------------------------------------------------------------- bad input


def let_in(data: bytes, beside: Version[Any] | None = None) -> bool:
    """Whether bytes are a version; if so, that it can be read, joined and written. Anything but ``InvalidInput`` (or a
    ``SchemaMismatch`` of a join) gets out of here.
    """
    try:
        v = Version.decode(data)
    except InvalidInput:
        return False
    encoded = v.encode()
    again = Version.decode(encoded)
    assert again == v and again.encode() == encoded
    assert isinstance(v.record, dict) and v.conflicts is not None and v.lost is not None and v.commits is not None
    assert v.created and v.updated and v.stamps is not None and isinstance(v.deleted, bool)
    with contextlib.suppress(MergeError):  # a place that no app writes
        for path in v.stamps:
            assert str(v.explain(path))
    if beside is not None and beside.id == v.id:
        try:
            one, other = join(v, beside), join(beside, v)
        except SchemaMismatch:
            return True
        assert one.encode() == other.encode() and isinstance(one.record, dict)
        assert join(one, v).encode() == one.encode()
    with contextlib.suppress(MergeError):
        v.edit(Clock("reader"), added=1)
    return True


@pytest.fixture(scope="module")
def data() -> bytes:
    """The bytes of a rich version."""
    return join(*rich().at.values()).encode()


def test_truncated_bytes_are_refused(data: bytes) -> None:
    """At every byte."""
    for n in range(len(data)):
        with pytest.raises(InvalidInput):
            Version.decode(data[:n])
    with pytest.raises(InvalidInput):
        Version.decode(data + b"\x00")


def test_a_bit_flipped_in_every_byte_is_refused_or_a_version(data: bytes) -> None:
    """No other error, and what is let in can be read and joined."""
    beside = Version.decode(data)
    found = 0
    for n in range(len(data)):
        flipped = bytearray(data)
        flipped[n] ^= 1 << n % 8
        found += let_in(bytes(flipped), beside)
    assert found


def _mutations(data: bytes) -> st.SearchStrategy[bytes]:
    place = st.integers(0, len(data) - 1)

    def replace(at: int, new: bytes) -> bytes:
        return data[:at] + new + data[at + len(new) :]

    def cut(at: int, n: int) -> bytes:
        return data[:at] + data[at + n :]

    def move(source: int, n: int, to: int) -> bytes:
        return data[:to] + data[source : source + n] + data[to:]

    return st.one_of(
        st.builds(replace, place, st.binary(min_size=1, max_size=4)),
        st.builds(cut, place, st.integers(1, 40)),
        st.builds(move, place, st.integers(1, 40), place),
    )


ODD: list[Any] = [None, True, -1, 0, 1, 2**64, 1.5, "", "x", b"x", [], [[]], {}, {"a": 1}, {1}, UNSET]
"""Values where something else is expected."""


@st.composite
def _odd(draw: Any, held: Any) -> Any:
    """A decoded version with one of its parts put in the place of another, or replaced."""
    held = _copied(held)
    places = [(x, i) for x in _lists(held) for i in range(len(x))]
    parts = [x[i] for x, i in places]
    odd: st.SearchStrategy[Any] = st.sampled_from(ODD)
    for _ in range(draw(st.integers(1, 3))):
        where, i = draw(st.sampled_from(places))
        if i < len(where):
            action = draw(st.integers(0, 3))
            if action == 0:
                where[i] = draw(odd)
            elif action == 1:
                where[i] = _copied(draw(st.sampled_from(parts)))
            elif action == 2:
                del where[i]
            else:
                where.insert(i, _copied(where[i]))
    return held


def _copied(held: Any) -> Any:
    return [_copied(x) for x in held] if isinstance(held, list) else held


def _lists(held: Any) -> list[list[Any]]:
    return [held, *(x for below in held for x in _lists(below))] if isinstance(held, list) else []


RICH = join(*rich().at.values()).encode()
BESIDE = Version.decode(RICH)


@settings(max_examples=300)
@given(_mutations(RICH))
def test_bytes_changed_anyhow_are_refused_or_a_version(changed: bytes) -> None:
    """Replaced, cut, put elsewhere."""
    let_in(changed, BESIDE)


@settings(max_examples=300)
@given(_odd(unpack(RICH)))
def test_parts_in_the_wrong_place_are_refused_or_a_version(held: Any) -> None:
    """Well-formed MessagePack with parts replaced, doubled, removed, exchanged."""
    try:
        packed = pack(held)
    except MergeError:
        return
    let_in(packed, BESIDE)


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_any_bytes_are_refused_or_a_version(noise: bytes) -> None:
    """Behind the format number, too."""
    let_in(noise)
    let_in(bytes([0x98, FORMAT]) + noise)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (None, "decoded from bytes"),
        ("text", "decoded from bytes"),
        (5, "decoded from bytes"),
        (b"", "no bytes of a value"),
        (b"\x90", "no version"),
        (b"\xa1x", "no version"),
        (pack([FORMAT]), "no version"),
        (pack([FORMAT + 1, "a", "future", "format"]), f"in format {FORMAT + 1}.*update"),
        (pack([0]), "format 0"),
        (pack([True]), "no version"),
        (pack({"format": FORMAT}), "no version"),
    ],
    ids=repr,
)
def test_what_is_no_version_is_refused_by_name(wrong: Any, message: str) -> None:
    """Another format says so: an app that is too old has to be updated."""
    with pytest.raises(InvalidInput, match=message):
        Version.decode(wrong)


def _changed(change: Any) -> bytes:
    """The bytes of a small version, changed: ``[format, id, nodes, created, seen, commits, fields, marks, bare]``."""
    v = Version.new(
        Clock.locked("a", now=lambda: 1_000), {"t": "x", "n": 1, "s": {"e"}, "b": 1, "c": "x"}, id="id",
        policy=Policy(default=text(), fields={"n": counter, "s": add_wins, "b": lww, "c": lww}),
    )  # fmt: skip
    held = unpack(v.encode())
    change(held)
    return pack(held)


def _field(held: Any, kind: str) -> Any:
    return next(f for f in held[6] if f[1] == kind)


PACKED = 1_000 << 16
UNSEEN = (2_000 << 16, 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda held: held[4].clear(),
        lambda held: held[4].extend(held[4]),
        lambda held: held[4].append(5),
        lambda held: held[5][0].__setitem__(0, UNSEEN[0]),
        lambda held: held[5][0].__setitem__(2, [PACKED, 0]),
        lambda held: held[5][0].__setitem__(2, [UNSEEN[0], 0]),
        lambda held: held[5][0].__setitem__(3, 7),
        lambda held: held[3].__setitem__(0, 1 << 80),
        lambda held: held[3].__setitem__(0, -1),
        lambda held: held[3].__setitem__(1, 5),
        lambda held: held.__setitem__(1, None),
        lambda held: held.__setitem__(2, []),
        lambda held: held.__setitem__(2, [""]),
        lambda held: held.__setitem__(2, ["b", "a"]),
        lambda held: held[6].append(held[6][0]),
        lambda held: held[6][0].__setitem__(0, [None]),
        lambda held: held[6][0].__setitem__(0, [[1]]),
        lambda held: held[6][0].__setitem__(0, 5),
        lambda held: held[6][0].__setitem__(1, "graph"),
        lambda held: _field(held, "history").__setitem__(2, 65),
        lambda held: _field(held, "history").__setitem__(2, -1),
        lambda held: _field(held, "history").__setitem__(2, True),
        lambda held: _field(held, "history")[3][0].__setitem__(0, 9),
        lambda held: _field(held, "history")[3][0].__setitem__(0, -1),
        lambda held: _field(held, "history")[3][0].__setitem__(1, 16),
        lambda held: _field(held, "history")[3][0].append(1),
        lambda held: _field(held, "counter")[2][0].__setitem__(0, UNSEEN[0]),
        lambda held: _field(held, "counter")[2][0].__setitem__(2, -1),
        lambda held: _field(held, "counter")[2][0].__setitem__(2, 1.5),
        lambda held: _field(held, "counter")[2][0].__setitem__(2, True),
        lambda held: _field(held, "counter")[2][0].__setitem__(2, Decimal("NaN")),
        lambda held: _field(held, "counter")[2][0].__setitem__(2, Decimal("1e2000")),
        lambda held: _field(held, "counter")[2][0].__setitem__(2, Decimal("1e-999999999")),
        lambda held: _field(held, "counter")[2][0].__setitem__(2, 10**3000),
        lambda held: _field(held, "counter")[2][0].__setitem__(4, "x"),
        lambda held: _field(held, "counter")[2].append(_field(held, "counter")[2][0]),
        lambda held: _field(held, "set").__setitem__(2, list(UNSEEN)),
        lambda held: _field(held, "set")[3][0].__setitem__(1, []),
        lambda held: _field(held, "set")[3][0].__setitem__(1, list(UNSEEN)),
        lambda held: _field(held, "set")[3][0].__setitem__(0, ["a", "list"]),
        lambda held: held[7].append([[], 1, 0]),
        lambda held: held[7].append([[], True, 5]),
        lambda held: held[7].append([[{}], True, 0]),
        lambda held: held[7].append([5, True, 0]),
        lambda held: held[8][0].__setitem__(0, 1),
        lambda held: held[8][0].__setitem__(0, -1),
        lambda held: held[8][0].__setitem__(1, 65),
        lambda held: held[8][0].__setitem__(1, False),
        lambda held: held[8][0].__setitem__(2, ["b", "c"]),
        lambda held: held[8][0].__setitem__(2, {1: "x"}),
        lambda held: held[8][0][2].__setitem__("t", "x"),
        lambda held: held[8].append(held[8][0]),
        lambda held: held[8][0].append(1),
        lambda held: held[8].append([0, 2]),
        lambda held: held.__setitem__(8, None),
        lambda held: held.append(1),
        lambda held: held.pop(),
    ],
)  # fmt: skip
def test_a_part_that_says_the_impossible_is_refused(change: Any) -> None:
    """A stamp that was not seen, a commit that saw the future, a depth, a count, a place that cannot be."""
    assert let_in(_changed(lambda held: None))
    with pytest.raises(InvalidInput):
        Version.decode(_changed(change))


def _hostile() -> dict[str, bytes]:
    deep: Any = pack(1)
    for code in (1, 11):  # sets of sets, tuples of tuples
        for _ in range(3_000):
            deep = b"\xc9" + (len(deep) + 1).to_bytes(4, "big") + bytes([code]) + b"\x91" + deep
    padded = b"\xc6" + (1 << 20).to_bytes(4, "big") + b"\0" * (1 << 20)
    for _ in range(150):
        padded = b"\xc9" + (len(padded) + 1).to_bytes(4, "big") + bytes([11]) + b"\x91" + padded
    return {
        "a list of 4 billion": b"\xdd\xff\xff\xff\xff",
        "a map of 4 billion": b"\xdf\xff\xff\xff\xff",
        "bytes of 4 GB": b"\xc6\xff\xff\xff\xff",
        "a text of 4 GB": b"\xdb\xff\xff\xff\xff",
        "an extension of 4 GB": b"\xc9\xff\xff\xff\xff\x01",
        "lists of 100 million in lists": b"\xdd\x06\x00\x00\x00" * 1_000,
        "a version of lists of 100 million": bytes([0x98, FORMAT]) + b"\xa1x" + b"\xdd\x06\x00\x00\x00" * 100,
        "100,000 levels of lists": b"\x91" * 100_000,
        "100,000 levels of maps": b"\x81\xa0" * 100_000,
        "6,000 levels of extensions": bytes(deep),
        "150 levels of extensions around a megabyte": padded,
    }


@pytest.mark.parametrize("kind", _hostile())
def test_huge_lengths_and_deep_nesting_cost_nothing(kind: str) -> None:
    """Refused at once, within a few megabytes beside what came in."""
    hostile = _hostile()[kind]
    tracemalloc.start()
    started = time.perf_counter()
    try:
        with pytest.raises(InvalidInput):
            Version.decode(hostile)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - started < 2
    assert peak < (8 << 20) + 4 * len(hostile), f"{peak >> 20} MB for {len(hostile) >> 10} KB"


def _chain(n: int, depth: int, lines: int = 1, width: int = 1) -> bytes:
    """Bytes of a field in which each write has seen all before it; or ``width`` that have seen nothing."""
    writes: list[Write] = []
    seen = VersionVector()
    for i in range(n):
        row = []
        for k in range(lines * width):
            stamp = Timestamp(1_000 + i, k, f"n{k}")
            after = tuple(w.stamp for w in writes[-lines:])
            row.append(Write(Commit(stamp, seen), f"{i} {k}", True, "base", after))
        writes += row
        seen = seen.plus(*(w.stamp for w in row))
    state = History(depth)
    state._writes, state._heads = tuple(writes), None
    v = Version.new(Clock.locked("a", now=lambda: 1), {}, id="x").encode()
    held = unpack(v)
    made = Version.decode(v)
    made._fields = {("f",): state}
    made.seen = seen
    made._bytes = None
    assert held[0] == FORMAT
    return made.encode()


@pytest.mark.parametrize(
    ("n", "depth", "lines", "width"),
    [(1_000, 64, 1, 1), (2_000, 2, 1, 1), (150, 64, 2, 1), (1, 2, 1, 2_000)],
    ids=["a long deep chain", "a long chain", "a long criss-cross", "2,000 heads"],
)
def test_long_histories_are_read_in_time(n: int, depth: int, lines: int, width: int) -> None:
    """What is let in is bounded by its size, not by the square of it."""
    hostile = _chain(n, depth, lines, width)
    started = time.perf_counter()
    v = Version.decode(hostile)
    taken = time.perf_counter() - started
    assert taken < 3, f"{len(hostile) >> 10} KB took {taken:.1f} s"
    assert Version.decode(v.encode()) == v


def test_an_error_that_comes_late_is_of_the_package() -> None:
    """A value that another app wrote and this model cannot read: named where it is read, with the path."""

    class Counted(msgspec.Struct):
        n: Annotated[int, counter] = 0
        when: dt.date | None = None

    v = Version.new(Clock("a"), {"n": 5, "when": "someday"}, policy=Policy(fields={"n": counter}))
    read = Version.decode(v.encode(), Counted)
    with pytest.raises(MergeError, match="when"):
        _ = read.record
    with pytest.raises(MergeError, match="when"):
        read.put(Clock("b"), Counted())
    state = read._fields["n",]
    assert not isinstance(state, (History, ORSet)) and state.value() == 5
