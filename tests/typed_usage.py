"""Typed usage, for the type checkers to read: what users write has the types that they expect. Not run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, assert_type

import msgspec
from msgspec import UnsetType

from mergecore import (
    UNSET,
    Candidate,
    Clock,
    Commit,
    Conflict,
    Context,
    Lost,
    Merged,
    Pass,
    Policy,
    Strategy,
    Timestamp,
    Verdict,
    Version,
    VersionVector,
    counter,
    group,
    join,
    keep_both,
    keyed,
    lww,
    merge,
    prefer,
    strategy,
    text,
    three_way,
)


class Task(msgspec.Struct):
    """A model with annotations."""

    title: str
    votes: Annotated[int, counter] = 0
    start: Annotated[int, group("when", lww)] = 0


@strategy("longest")
def longest(base: str, ours: str, theirs: str) -> str | Pass:
    """A user's strategy."""
    return max(ours, theirs, key=len) if ours else Pass("empty")


@strategy("by name", context=True)
def by_name(base: Any, ours: Any, theirs: Any, context: Context) -> Any:
    """A user's strategy that asks for more."""
    return ours if context.names[0] == "server" else theirs


def plain(base: Any, ours: Any, theirs: Any) -> Any:
    """A function, used as it is."""
    return ours


def usage(row: dict[str, object]) -> None:
    """Each line is one thing that users write."""
    task = Task("a")
    assert_type(merge(task, task, task), Merged[Task])
    assert_type(merge(UNSET, task, task).value, Task)
    assert_type(merge(row, row, row, model=Task), Merged[Task])
    assert_type(merge(row, row, row), Merged[dict[str, object]])
    assert_type(merge(row, row, row, model="todo", policy={"todo": Policy()}).unwrap(), dict[str, object])
    m = merge(task, task, task, names=("phone", "server"), at=(datetime.now(UTC), 1_700_000_000_000))
    assert_type(m.conflicts, tuple[Conflict, ...])
    assert_type(m.conflicts[0].candidates, tuple[Candidate, ...])
    assert_type(m.explain(), tuple[Verdict, ...])
    assert_type(m.resolve({"title": "x", ("votes",): m.conflicts[0].candidates[0]}), Merged[Task])
    merge(task, task, task, at=({"title": 1}, None))
    merge(task, task, task, at={"title": (1, 2)})
    assert_type(longest, Strategy)
    assert_type(three_way() | longest | plain | lww, Strategy)
    assert_type(plain | lww, Strategy)
    assert_type(text("line") | text("word") | keyed("id", "lot") | lww, Strategy)
    Policy(
        default=three_way() | prefer("server"),
        fields={"title": longest | keep_both, ("votes",): by_name, "start": plain},
    )
    Policy(groups={"when": (("start", "end"), None)}, deletes=keep_both, deleted="deleted_at", unit="record")


def variables(task: Task, times: dict[str, datetime], m: Merged[Task]) -> None:
    """What was put into variables first has the types that users get."""
    merge(task, task, task, at=(times, times))
    answers = {}
    for conflict in m.conflicts:
        answers[conflict.path] = conflict.candidates[0]
    assert_type(m.resolve(answers), Merged[Task])
    fields = {"title": longest, "votes": counter}
    Policy(fields=fields)
    deleted: Task | UnsetType = task
    assert_type(merge(task, deleted, task).value, Task | UnsetType)


def versions(data: bytes, form: dict[str, object]) -> None:
    """The other door."""
    clock = Clock("phone", now=lambda: 0)
    version = Version.new(clock, Task("milk"), by="ann")
    assert_type(version, Version[Task])
    assert_type(version.record, Task)
    assert_type(Version.decode(data, Task), Version[Task])
    assert_type(Version.decode(data), Version[dict[str, Any]])
    assert_type(Version.decode(data).record, dict[str, Any])
    assert_type(version.edit(clock, {("title",): "oat"}, votes=2, by="ann", shared=version.seen), Version[Task])
    assert_type(version.put(clock, form, base=version), Version[Task])
    assert_type(version.put(clock, Task("oat"), form), Version[Task])
    assert_type(version.delete(clock, base=version).restore(clock), Version[Task])
    assert_type(version.resolve(clock, {"title": "oat"}), Version[Task])
    assert_type(version.fork(clock, "title"), tuple[Version[Task], ...])
    assert_type(join(version, None, version), Version[Task])
    assert_type(version.conflicts, tuple[Conflict, ...])
    assert_type(version.lost, tuple[Lost, ...])
    assert_type(version.commits, tuple[Commit, ...])
    assert_type(version.stamps["title"], Timestamp)
    assert_type(version.seen, VersionVector)
    assert_type(version.encode(), bytes)
    assert_type(clock.admit(version), Version[Task])
    assert_type(Clock.load(clock.save()).tick(version.seen), Timestamp)
