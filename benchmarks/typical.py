"""In group ``records``: what a program does with a record of 20 fields, from what it reads to what it writes.

Beside each is what the same program would have to do in any case: the reading and the writing, with msgspec, of the
same bytes. What is above that is ours.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec

from mergecore import Clock, Policy, Version, join, merge

from .peers import AT, Contender, Outcome, contender, dictionaries
from .running import Run
from .shapes import Record, draw_record, draw_row

__all__ = ["measure"]

FIELDS = 20
ALL = "mergecore in all"


def measure(run: Run) -> None:
    """Three programs."""

    def draw(rng: random.Random) -> Record:
        return draw_record(draw_row(FIELDS, rng), rng, FIELDS // 3)

    run.case("JSON in, Structs merged, JSON out", draw, _json, {}, "JSON alone")
    run.case("dictionaries in, merged as a model, a patch out", draw, _rows, {}, "the conversion alone")
    run.case("two versions decoded, joined, shown, encoded", draw, _versions, {}, "MessagePack alone")


def _json(record: Record) -> list[Contender]:
    read, write = msgspec.json.Decoder(record.model).decode, msgspec.json.Encoder().encode
    merger = Policy().bind(record.model)

    def whole(base: bytes, ours: bytes, theirs: bytes) -> bytes:
        return write(merger(read(base), read(ours), read(theirs), at=AT).value)

    def around(base: bytes, ours: bytes, theirs: bytes) -> bytes:
        read(base), read(ours)
        return write(read(theirs))

    def inputs(record: Record) -> tuple[bytes, ...]:
        return tuple(map(write, record.inputs()))

    return [
        contender(ALL, whole, lambda out: Outcome(msgspec.json.decode(out)), inputs),
        Contender("JSON alone", around, _any, inputs=inputs),
    ]


def _rows(record: Record) -> list[Contender]:
    def whole(base: Any, ours: Any, theirs: Any) -> Any:
        return ours, merge(base, ours, theirs, record.model, at=AT).patch("ours")

    def around(*sides: Any) -> Any:
        return [msgspec.convert(side, record.model) for side in sides]

    return [
        contender(ALL, whole, lambda out: Outcome(out[0] | out[1]), dictionaries),
        Contender("the conversion alone", around, _any, inputs=dictionaries),
    ]


def _versions(record: Record) -> list[Contender]:
    base, ours, theirs = record.inputs()
    earlier, later = Clock("a", now=lambda: AT[0]), Clock("b", now=lambda: AT[1])
    start = Version.new(earlier, base)
    sides = start.put(earlier, ours).encode(), start.put(later, theirs).encode()
    read, write = msgspec.msgpack.decode, msgspec.msgpack.Encoder().encode

    def whole(a: bytes, b: bytes) -> tuple[Any, bytes]:
        joined = join(Version.decode(a, record.model), Version.decode(b, record.model))
        return joined.record, joined.encode()

    def around(a: bytes, b: bytes) -> bytes:
        read(a)
        return write(read(b))

    def inputs(_: Record) -> tuple[bytes, ...]:
        return sides

    return [
        contender(ALL, whole, lambda out: Outcome(out[0]), inputs),
        Contender("MessagePack alone", around, _any, inputs=inputs),
    ]


def _any(result: object, check: Callable[[Outcome], str]) -> str:
    return ""
