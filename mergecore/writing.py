"""What one commit writes: the fields that are otherwise than its author saw them, and each field's part.

Imports ``clock``, ``errors``, ``history``, ``layout``, ``leaves``, ``paths``, ``policy``, ``reading``, ``values``,
``vectors``, ``view``, ``walk`` and ``wire``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from .clock import Timestamp
from .errors import SchemaMismatch
from .history import Commit, History, ORSet, PNCounter, State, Write
from .layout import Leaf, asks_base, kind_of, mismatch, typed
from .leaves import own_leaves
from .paths import Path
from .policy import Rule
from .reading import Reading
from .values import UNSET, Sides, equal
from .vectors import VersionVector
from .view import NOTHING, View, merge_step, view
from .walk import Verdict
from .wire import PRESENT, plain

__all__ = ["changes_between", "rebased", "still_gone", "written"]


# ---- one field's part of a commit


def written(
    path: Path,
    change: Leaf,
    commit: Commit,
    state: State | None,
    looked_at: State | None,
    shared: VersionVector | None,
) -> State:
    """The state of a field after a commit; ``looked_at`` is the state that its author was looking at.

    ``shared`` is what has been handed out of the record; ``None`` where the author was looking at something older.
    Raises ``SchemaMismatch`` where what is stored is of another kind or depth, ``InvalidInput`` for a wrong value.
    """
    rule, value, based, runs, foreign, given = change
    kind = type(state) if foreign and state is not None else kind_of(rule)
    if state is not None and not foreign and (wrong := mismatch(state, rule)):
        raise SchemaMismatch(wrong, path)
    if kind is not History:
        return _counted(path, change, commit.stamp, kind, state, looked_at)
    assert state is None or isinstance(state, History)
    state = History(rule.depth) if state is None else state
    before = looked_at if isinstance(looked_at, History) else History(state.depth)
    shown = NOTHING if given else view(before, rule, path)
    base = given[0] if given else shown.stored
    if not asks_base(rule, typed(rule, path, base), typed(rule, path, value)) and not based:
        return state.plus(Write(commit, value))
    if given:
        return state.plus(Write(commit, value, True, base))
    heads = before.heads
    if runs and shared is not None and len(heads) == 1 and _goes_on(heads[0], commit, shared):
        head = heads[0]
        return state.plus(Write(commit, value, True, head.base, head.after, head.contested, head.first))
    if not runs and len(heads) == 1 and equal(heads[0].value, value):  # said again: what was there before stays
        base = heads[0].base
    after = tuple(head.stamp for head in heads)
    return state.plus(Write(commit, value, True, base, after, bool(shown.conflicts)))


def _goes_on(head: Write, commit: Commit, shared: VersionVector) -> bool:
    """Whether a write goes on with the run of the field's one head: by the same author, with nothing learned since."""
    own = head.node == commit.stamp.node and head.commit.by == commit.by and head.based and head.after is not None
    return own and not shared.covers(head.stamp) and commit.seen.without(head.node) == head.seen.without(head.node)


def _counted(
    path: Path, change: Leaf, stamp: Timestamp, kind: type[State], state: State | None, looked_at: State | None
) -> State:
    """A change of a counter or of a set."""
    if change.base is not None:
        base, before = change.base[0], None
    else:
        before = looked_at if isinstance(looked_at, kind) else kind()  # type: ignore[call-arg]
        base = before.value()  # type: ignore[union-attr]
    value = change.value
    if kind is ORSet and change.foreign and isinstance(value, list):
        value = plain(set(value))  # as JSON has it
    if kind is PNCounter:
        return (state if isinstance(state, PNCounter) else PNCounter()).count(stamp, base, value, path)
    assert before is None or isinstance(before, ORSet)
    return (state if isinstance(state, ORSet) else ORSet()).change(stamp, base, value, before, path)


# ---- what is otherwise


def changes_between(
    old: Mapping[Path, Any], new: Mapping[Path, Leaf], fields: Mapping[Path, State], looked_at: Reading | None
) -> dict[Path, Leaf]:
    """What is otherwise in a record than in another one, field by field.

    ``looked_at`` is the version that the author was looking at; ``None``: it was a plain record.
    """
    changed: dict[Path, Leaf] = {}
    born: list[Path] = []  # what becomes present is written whole
    for path, leaf in new.items():
        value, was = leaf.value, old.get(path, UNSET)
        lives_again = any(path[: len(at)] == at for at in born)
        alike = equal(_as_json(was), _as_json(value)) if leaf.foreign else equal(was, value)
        if (path in old and alike and not lives_again) or (value is UNSET and path not in fields):
            continue
        if value is UNSET and not lives_again and looked_at is not None and looked_at.stored(path) is UNSET:
            continue
        if value is PRESENT:
            born.append(path)
        changed[path] = leaf._replace(base=None if looked_at is not None else (was,))
    return changed


def _as_json(value: Any) -> Any:
    """What an app that does not know a field has got of it, as likely as not: JSON."""
    try:
        return msgspec.to_builtins(value, order="deterministic")
    except Exception:  # what JSON has not
        return value


def rebased(
    changes: Mapping[Path, Leaf], old: Mapping[Path, Any], reading: Reading, looked_at: Reading | None
) -> tuple[dict[Path, Leaf], dict[Path, Leaf]]:
    """Of changes against an older base: those that are ordinary edits now, and those that stand beside what is.

    Ordinary is a change of what is still as its author saw it, and one that the value API merges with what is shown,
    without conflict or loss, where nothing is open or lost yet: the author has not seen that.
    """
    ordinary: dict[Path, Leaf] = {}
    beside: dict[Path, Leaf] = {}
    shown = own_leaves(reading)
    for path, change in changes.items():
        state, before = reading.fields.get(path), None if looked_at is None else looked_at.fields.get(path)
        rule, was = change.rule, old.get(path, UNSET)
        if (inside := _deleted_by(path, change, reading)) is not None and not _unchanged(
            inside, reading, shown, old, looked_at
        ):
            beside[path] = change
            continue
        if not isinstance(state, History) and (state is not None or kind_of(rule) is not History):
            (ordinary if looked_at is None else beside)[path] = change
            continue
        if not _same_heads(state, before) and _is_buried(reading, path, change):
            beside[path] = change
            continue
        now = _seen_view(reading, path, change)
        open_ = bool(now.conflicts or now.lost or now.old)
        if looked_at is None:
            still = equal(shown[path].value if path in shown else UNSET, was)
        else:
            saw = _seen_view(looked_at, path, change)
            still = (now is saw is NOTHING) or _same_heads(state, before)
            open_ = open_ or bool(saw.conflicts)
        if still:
            ordinary[path] = change._replace(base=None)
            continue
        merged = None if open_ else _merged(path, rule, was, now, change.value)
        if merged is None:
            beside[path] = change
        elif not equal(merged[0], now.stored):
            ordinary[path] = change._replace(base=None, value=merged[0])
    return ordinary, beside


def _deleted_by(path: Path, change: Leaf, reading: Reading) -> list[Path] | None:
    """The fields that go with a record when a field says that it is deleted; ``None`` where it does not."""
    place = path if path in reading.places and change.value is not PRESENT else None
    place = path[:-1] if not change.runs and change.value else place
    return None if place is None else [p for p in reading.fields if p[: len(place)] == place and p != path]


def _unchanged(
    paths: Sequence[Path],
    reading: Reading,
    shown: Mapping[Path, Leaf],
    old: Mapping[Path, Any],
    looked_at: Reading | None,
) -> bool:
    """Whether fields are as an author saw them."""
    for path in paths:
        now = reading.fields[path]
        if looked_at is None:
            same_there = equal(shown[path].value if path in shown else UNSET, old.get(path, UNSET))
        elif isinstance(now, History):
            same_there = _same_heads(now, looked_at.fields.get(path))
        else:
            before = looked_at.fields.get(path)
            same_there = before is not None and now.stamps() == before.stamps()
        if not same_there:
            return False
    return True


def _seen_view(reading: Reading, path: Path, change: Leaf) -> View:
    """What a record shows of a field: nothing, below a record that is absent."""
    state = reading.fields.get(path)
    hidden = path not in reading.rules and not change.foreign
    return NOTHING if hidden or not isinstance(state, History) else view(state, change.rule, path)


def _is_buried(reading: Reading, path: Path, change: Leaf) -> bool:
    """Whether something was written, below a record that is absent, that nobody had seen who took that away: it is
    shown as lost, or is a candidate, and stays that.
    """
    state = reading.fields.get(path)
    if path in reading.rules or change.foreign or not isinstance(state, History):
        return False
    places = [reading.fields.get(at) for at in reading.places if path[: len(at)] == at]
    gone = [head for place in places if isinstance(place, History) for head in place.heads if head.value is not PRESENT]
    return any(not any(one.has(stamp) for one in gone) for stamp in state.stamps())


def _same_heads(one: State | None, other: State | None) -> bool:
    if not isinstance(one, History) or not isinstance(other, History):
        return one is other
    return [(h.stamp, h.key) for h in one.heads] == [(h.stamp, h.key) for h in other.heads]


def _merged(path: Path, rule: Rule, base: Any, now: View, new: Any) -> tuple[Any] | None:
    """The value API's answer, plain, if it settles without conflict or loss."""
    stamp = Timestamp(0) if now.stamp is None else now.stamp
    later = Timestamp(stamp.millis + 1)
    sides = Sides(typed(rule, path, base), now.value, typed(rule, path, new))
    verdicts: list[Verdict] = []
    value, conflicts = merge_step(rule, path, sides, (stamp, later), "ancestor", {}, verdicts)
    return None if conflicts or any(v.lost for v in verdicts) else (plain(value),)


def still_gone(reading: Reading, changes: Mapping[Path, Leaf]) -> dict[Path, Leaf]:
    """Columns that say that a record is deleted, to be written again with what counters or sets in it write."""
    counted = [path for path, change in changes.items() if kind_of(change.rule) is not History]
    own = own_leaves(reading) if counted and reading.columns else {}
    return {
        column: own[column]
        for column in reading.columns
        if any(path[: len(column) - 1] == column[:-1] for path in counted)
    }
