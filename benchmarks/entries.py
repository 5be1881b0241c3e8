"""What an entry of the group ``growth`` is, and what those of merging and those of versions have in common."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec

__all__ = ["MANY", "SOME", "Entry", "Inputs", "Make", "answers", "anew", "is_answered", "record", "words"]

Inputs: TypeAlias = Callable[[], tuple[Any, ...]]
"""The arguments of one call: objects that no other call has seen."""

Make: TypeAlias = Callable[[int, random.Random], Inputs]


class Entry(NamedTuple):
    """An entry point, and what it grows with."""

    name: str
    by: str
    call: Callable[..., Any]
    make: Make
    """Of a size, what makes its arguments."""
    right: Callable[[Any, int], bool]
    """Whether a result is that of arguments of this size."""
    sizes: Sequence[int] = (128, 256, 512, 1024)

    def __str__(self) -> str:
        return f"{self.name}, {self.by}"


MANY, SOME = (1000, 2000, 4000, 8000), (32, 64, 128, 256)
"""Sizes: of what is quick for each, and of what there are seldom many."""


def words(n: int, rng: random.Random) -> list[str]:
    return [f"{rng.getrandbits(64):016x}" for _ in range(n)]


def record(n: int, rng: random.Random) -> dict[str, str]:
    return {f"f{i}": word for i, word in enumerate(words(n, rng))}


def anew(sides: Sequence[Any], *more: Any, type: Any = Any) -> Inputs:
    """The same values as new objects, each time; and what is given beside them."""
    decode = msgspec.msgpack.Decoder(type).decode
    data = [*map(msgspec.msgpack.encode, sides)]
    return lambda: (*map(decode, data), *more)


def answers(n: int) -> tuple[dict[str, str]]:
    return ({f"f{i}": "answer" for i in range(n)},)


def is_answered(record: dict[str, str], n: int) -> bool:
    return len(record) == n and {*record.values()} == {"answer"}
