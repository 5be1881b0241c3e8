"""What the group ``sync`` synchronizes: to-dos, and changes of them on two sides, drawn from a seed.

Files of JSON lines, so that every contender, in whatever language, gets the same: ``{"guid": ..., field: ...}``.
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec

from mergecore import add_wins, counter, keep_both, text

__all__ = ["Changes", "Todo", "draw_changes", "draw_todos", "wrong", "write_lines"]


class Todo(msgspec.Struct):
    """Twenty fields: most of them last writer wins, and each other kind once."""

    title: str
    notes: Annotated[str, text("line")] = ""
    assignee: Annotated[str | None, keep_both] = None
    tags: Annotated[set[str], add_wins] = msgspec.field(default_factory=set)
    votes: Annotated[int, counter] = 0
    done: bool = False
    starred: bool = False
    archived: bool = False
    priority: int = 0
    minutes: int = 0
    position: float = 0.0
    due: date | None = None
    remind: datetime | None = None
    repeat: str = "never"
    project: str = ""
    section: str = ""
    place: str = ""
    link: str | None = None
    color: str = "grey"
    source: str = "app"


_TEXT = """
milk bread call the bank about a new card book train tickets for spring write back to ann water all plants paint
kitchen wall fix bicycle brake read chapter seven send invoice return parcel meet ben at station plan budget clean
"""
_WORDS = _TEXT.split()


def draw_todos(n: int, rng: random.Random) -> list[dict[str, Any]]:
    """So many, as JSON has them, each with a GUID."""
    return [_todo(rng) for _ in range(n)]


def _todo(rng: random.Random) -> dict[str, Any]:
    def some(words: int) -> str:
        return " ".join(rng.choices(_WORDS, k=words))

    day = f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    return {
        "guid": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "title": some(4),
        "notes": "\n".join(some(6) for _ in range(rng.randint(0, 4))),
        "assignee": None,
        "tags": sorted(rng.sample(_WORDS[:12], rng.randint(0, 3))),
        "votes": rng.randint(0, 20),
        "done": rng.random() < 0.3,
        "starred": rng.random() < 0.1,
        "archived": False,
        "priority": rng.randint(0, 4),
        "minutes": rng.choice((5, 15, 30, 60)),
        "position": round(rng.random() * 1000, 3),
        "due": rng.choice((None, day)),
        "remind": rng.choice((None, None, f"{day}T08:00:00Z")),
        "repeat": rng.choice(("never", "daily", "weekly")),
        "project": some(2),
        "section": some(1),
        "place": some(2),
        "link": rng.choice((None, f"https://example.org/{rng.randrange(10**6)}")),
        "color": rng.choice(("grey", "red", "green", "blue")),
        "source": rng.choice(("app", "web", "mail")),
    }


class Changes(NamedTuple):
    """What two sides change: each a part of a record, named by its GUID."""

    here: list[dict[str, Any]]
    there: list[dict[str, Any]]
    clash: frozenset[str]
    """The records that both change: their assignee, each to another."""


def draw_changes(todos: Sequence[Mapping[str, Any]], changed: int, rng: random.Random) -> Changes:
    """So many records are changed, a tenth of them on both sides in conflict, the others half here and half there."""
    guids = [todo["guid"] for todo in rng.sample(todos, changed)]
    clash, rest = guids[: changed // 10], guids[changed // 10 :]
    here = [{"guid": guid, "assignee": "ann"} for guid in clash] + [_change(guid, rng) for guid in rest[::2]]
    there = [{"guid": guid, "assignee": "ben"} for guid in clash] + [_change(guid, rng) for guid in rest[1::2]]
    return Changes(here, there, frozenset(clash))


def _change(guid: str, rng: random.Random) -> dict[str, Any]:
    return {
        "guid": guid,
        "title": " ".join(rng.choices(_WORDS, k=5)),
        "done": rng.random() < 0.5,
        "priority": rng.randint(5, 9),
    }


def write_lines(lines: Iterable[object], file: Path) -> str:
    """The name of the file."""
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return str(file)


def wrong(found: Path, todos: Iterable[Mapping[str, Any]], *changes: Changes) -> str:
    """What is wrong with a side's records, lines of ``[guid, record, open conflicts]``; empty where nothing is."""
    expected = {todo["guid"]: {key: value for key, value in todo.items() if key != "guid"} for todo in todos}
    clash = frozenset[str]()
    for here, there, both in changes:
        clash |= both
        for change in (*here, *there):
            expected[change["guid"]].update({key: value for key, value in change.items() if key != "guid"})
    seen = set[str]()
    for guid, record, conflicts in map(json.loads, found.read_text(encoding="utf-8").splitlines()):
        if guid not in expected or guid in seen:
            return f"{guid} is there, and should not be, or not twice"
        seen.add(guid)
        if bool(conflicts) is not (guid in clash):
            return f"{guid} has {conflicts} conflicts, where {int(guid in clash)} is right"
        if guid in clash and record["assignee"] in ("ann", "ben"):
            record["assignee"] = expected[guid]["assignee"]
        if record != expected[guid]:
            return f"{guid} is {record}, where {expected[guid]} is right"
    return f"{len(expected) - len(seen)} of {len(expected)} records are missing" if len(seen) < len(expected) else ""
