"""From what people write to what a commit holds: records, edits by path and answers, as changes of fields.

Imports ``annotations``, ``answers``, ``clock``, ``errors``, ``history``, ``layout``, ``paths``, ``policy``,
``reading``, ``records``, ``strategies``, ``values``, ``vectors``, ``view``, ``walk`` and ``wire``.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from .annotations import members_of
from .answers import read_answers
from .clock import Timestamp
from .errors import AnswerError, InvalidInput, MergeError, SchemaMismatch
from .history import Commit, History, ORSet, PNCounter, State, Write
from .layout import Leaf, Slot, asks_base, check_class, has_invariant, kind_of, leaf_in, leaves_of, slots_of, typed
from .paths import ByPath, Path, format_path
from .policy import Rule
from .reading import Reading, live_deletes
from .records import as_row, convert, default_of, fields_of, is_record, origin
from .strategies import Candidate
from .values import UNSET, Sides, check_depth, check_value, equal, same
from .vectors import VersionVector
from .view import NOTHING, Lost, View, merge_step, name_of, view
from .walk import Verdict
from .wire import PRESENT, plain

__all__ = [
    "Change",
    "answered",
    "changes_between",
    "edited",
    "leaves_of_record",
    "own_leaves",
    "place_of",
    "rebased",
    "still_gone",
    "written",
]


class Change(NamedTuple):
    """What one commit is to write of one field: a ``Leaf``, and where its author was looking at a plain record, what
    that had.
    """

    rule: Rule
    value: Any
    based: bool = False
    runs: bool = True
    foreign: bool = False
    base: tuple[Any] | None = None


# ---- one field's part of a commit


def written(
    path: Path,
    change: Change,
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
    if state is not None and state.kind != kind.kind:
        told = f"is stored as a {state.kind}, and the policy makes it a {kind.kind}"
        raise SchemaMismatch(f"{told}: whether a field is a counter, a set or neither is schema, and stays", path)
    if kind is not History:
        return _counted(path, change, commit.stamp, kind, state, looked_at)
    assert state is None or isinstance(state, History)
    depth = state.depth if foreign and state is not None else rule.depth
    state = History(depth) if state is None else state
    if state.depth != depth:
        raise SchemaMismatch(f"is stored with depth {state.depth}, and the policy says {depth}", path)
    before = looked_at if isinstance(looked_at, History) else History(depth)
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
    path: Path, change: Change, stamp: Timestamp, kind: type[State], state: State | None, looked_at: State | None
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


# ---- records as fields


def own_leaves(reading: Reading) -> dict[Path, Leaf]:
    """All fields of a version, and what they show; plain, as the model has it."""
    own = leaves_of_record(reading, reading.record, strict=False)
    foreign = reading.binding.foreign
    absent = [path for path in reading.places if own[path].value is not PRESENT]
    for path, state in reading.fields.items():
        if path not in own and not any(path[: len(at)] == at for at in absent):
            value = view(state, foreign, path).stored if isinstance(state, History) else state.value()
            own[path] = Leaf(foreign, value, foreign=True)
    return own


def leaves_of_record(reading: Reading, record: Any, strict: bool = True) -> dict[Path, Leaf]:
    """All fields of a record in hand, plain. ``strict``: the model must take it (else ``InvalidInput``)."""
    model, rule = reading.binding.model, reading.binding.rule
    check_depth(record, "the record")
    into: dict[Path, Leaf] = {}
    if not reading.binding.is_modelled:
        if not isinstance(record, Mapping):
            raise InvalidInput(f"a record is a dictionary or an instance of a model, not a {type(record).__name__}")
        if not rule.whole:
            _document_leaves(reading, rule, (), record, into)
    elif not isinstance(record, origin(model)):
        row = as_row(record, fields_of(model) or ())
        if row == {} and not isinstance(record, Mapping):
            raise InvalidInput(f"a {type(record).__name__} has none of the fields of {origin(model).__name__}")
        if strict or rule.whole or not isinstance(row, Mapping):
            record = convert(record, model, "the record")
        if not rule.whole:
            _row_leaves(reading, rule, (), row, into)
    else:
        check_class(record, model, ())
        if strict and reading.binding.checks:
            convert(plain(record), model, "the record")  # an instance can have been changed
        if not rule.whole:
            leaves_of(rule, (), record, into)
    if rule.whole:
        into[()] = Leaf(rule, record)
    return {path: leaf._replace(value=plain(leaf.value, path)) for path, leaf in into.items()}


def _row_leaves(
    reading: Reading, rule: Rule, path: Path, row: Any, into: dict[Path, Leaf], based: bool = False
) -> None:
    """The fields of a record that is given as a mapping: what is missing is unset, whatever its default."""
    row = as_row(row, fields_of(rule.type) or ())
    based = based or has_invariant(rule)
    known: set[str] = set()
    for slot in slots_of(rule):
        at = (*path, slot.key)
        known |= {slot.key, *slot.members}
        if slot.members:
            fact = {m: row[m] for m in slot.members if m in row} or UNSET
            into[at] = Leaf(slot.rule, _taken(fact, slot.rule, at), based)
        elif slot.inside is None:
            value = _taken(row.get(slot.key, UNSET), slot.rule, at)
            if value is UNSET and kind_of(slot.rule) is not History:  # a count is never unset
                value = plain(default_of(rule.type, slot.key))
            into[at] = leaf_in(rule, slot.key, slot.rule, value, based)
        else:
            _place_leaves(reading, slot, at, row.get(slot.key, UNSET), into, based)
    config = getattr(origin(rule.type), "__struct_config__", None)
    known |= {config.tag_field} if config is not None else set()
    unknown = {key: value for key, value in row.items() if key not in known}
    _document_leaves(reading, reading.binding.foreign, path, unknown, into, foreign=True)


def _place_leaves(
    reading: Reading, slot: Slot, path: Path, value: Any, into: dict[Path, Leaf], based: bool = False
) -> None:
    """The fields of what stands where a record with fields of its own can stand: a record, a mapping, or neither."""
    assert slot.inside is not None
    row = value if isinstance(value, Mapping) else None
    if row is None and value is not UNSET:
        value = convert(value, slot.rule.declared, "the new value", InvalidInput, path)
    is_one = row is not None or is_record(type(value))
    if slot.presence is not None:
        into[path] = Leaf(slot.presence, PRESENT if is_one else value)
    if row is not None or (value is UNSET and slot.presence is None):
        _row_leaves(reading, slot.inside, path, row or {}, into, based)
    elif is_one:
        check_class(value, slot.cls, path)
        leaves_of(slot.inside, path, value, into, based)


def _document_leaves(
    reading: Reading,
    rule: Rule,
    path: Path,
    record: Mapping[Any, Any],
    into: dict[Path, Leaf],
    foreign: bool = False,
) -> None:
    """The fields of a schemaless record: its keys; where an app that knows more wrote fields below, those.

    ``foreign``: of a part that the model does not know, in which what is missing is left alone.
    """
    groups = () if foreign else slots_of(rule)
    grouped = {member for slot in groups for member in slot.members}
    for slot in groups:
        into[*path, slot.key] = Leaf(slot.rule, {m: record[m] for m in slot.members if m in record} or UNSET)
    stored = [] if foreign else [step for step in reading.steps_below(path) if step not in record]
    for key in [*record, *stored]:
        if type(key) is not str:
            raise InvalidInput(f"{key!r} is no name of a field: the keys of a record are texts", path)
        at = (*path, key)
        if key in grouped or at in into:
            continue
        value, below = record.get(key, UNSET), reading.binding.foreign if foreign else rule.child(key)
        if at not in reading.opened or not (isinstance(value, Mapping) or value is UNSET):
            counted = reading.binding.policy is None and isinstance(reading.fields.get(at), PNCounter | ORSet)
            leaf = Leaf(below, value) if foreign else leaf_in(rule, key, below, value)
            into[at] = leaf._replace(foreign=foreign or counted)
            continue
        if at in reading.fields:
            into[at] = Leaf(below, UNSET if value is UNSET else PRESENT, foreign=foreign)
        if value is not UNSET or at not in reading.fields:
            inside = below if foreign else below.of(dict)
            _document_leaves(reading, inside, at, {} if value is UNSET else value, into, foreign)


def changes_between(
    old: Mapping[Path, Any], new: Mapping[Path, Leaf], fields: Mapping[Path, State], looked_at: Reading | None
) -> dict[Path, Change]:
    """What is otherwise in a record than in another one, field by field.

    ``looked_at`` is the version that the author was looking at; ``None``: it was a plain record.
    """
    changed: dict[Path, Change] = {}
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
        changed[path] = Change(*leaf, None if looked_at is not None else (was,))
    return changed


def _as_json(value: Any) -> Any:
    """What an app that does not know a field has got of it, as likely as not: JSON."""
    try:
        return msgspec.to_builtins(value, order="deterministic")
    except Exception:  # what JSON has not
        return value


def rebased(
    changes: Mapping[Path, Change], old: Mapping[Path, Any], reading: Reading, looked_at: Reading | None
) -> tuple[dict[Path, Change], dict[Path, Change]]:
    """Of changes against an older base: those that are ordinary edits now, and those that stand beside what is.

    Ordinary is a change of what is still as its author saw it, and one that the value API merges with what is shown,
    without conflict or loss.
    """
    ordinary: dict[Path, Change] = {}
    beside: dict[Path, Change] = {}
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
        now = _seen_view(reading, path, change)
        if looked_at is None:
            still, open_ = equal(shown[path].value if path in shown else UNSET, was), bool(now.conflicts)
        else:
            saw = _seen_view(looked_at, path, change)
            still = (now is saw is NOTHING) or _same_heads(state, before)
            open_ = bool(now.conflicts or now.lost or now.old or saw.conflicts)
        if still:
            ordinary[path] = change._replace(base=None)
            continue
        merged = None if open_ else _merged(path, rule, was, now, change.value)
        if merged is None:
            beside[path] = change
        elif not equal(merged[0], now.stored):
            ordinary[path] = change._replace(base=None, value=merged[0])
    return ordinary, beside


def _deleted_by(path: Path, change: Change, reading: Reading) -> list[Path] | None:
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


def _seen_view(reading: Reading, path: Path, change: Change) -> View:
    """What a record shows of a field: nothing, below a record that is absent."""
    state = reading.fields.get(path)
    hidden = path not in reading.rules and not change.foreign
    return NOTHING if hidden or not isinstance(state, History) else view(state, change.rule, path)


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


def still_gone(reading: Reading, changes: Mapping[Path, Change]) -> dict[Path, Change]:
    """Columns that say that a record is deleted, to be written again with what counters or sets in it write."""
    counted = [path for path, change in changes.items() if kind_of(change.rule) is not History]
    own = own_leaves(reading) if counted and reading.columns else {}
    return {
        column: Change(*own[column])
        for column in reading.columns
        if any(path[: len(column) - 1] == column[:-1] for path in counted)
    }


# ---- edits by path


def edited(reading: Reading, given: Mapping[Path, Any]) -> dict[Path, Change]:
    """What edits by path change. Raises ``InvalidInput`` where a path leads nowhere, and for what a field does not
    take.
    """
    own = own_leaves(reading)
    made: dict[Path, tuple[Leaf, Any]] = {}
    asked: list[tuple[Path, Path, Any]] = []
    changed: dict[Path, Change] = {}
    for path, value in given.items():
        check_value(value, "the new value", at=path)
        slot, at, rest = place_of(reading, own, path)
        if slot is not None and slot.inside is not None:
            shown = {p: leaf.value for p, leaf in own.items()}
            changed |= changes_between(shown, _leaves_at(reading, slot, at, value), reading.fields, reading)
            continue
        leaf = own.get(at) or Leaf(reading.binding.rule.child(at[-1]), UNSET)
        if at in reading.opened and isinstance(value, Mapping):
            # of a document, what an app that knows more wrote below
            into = {at: leaf._replace(value=PRESENT)} if at in own else {}
            _document_leaves(reading, leaf.rule.of(dict), at, value, into)
            into = {p: x._replace(value=plain(x.value, p)) for p, x in into.items()}
            changed |= changes_between({p: x.value for p, x in own.items()}, into, reading.fields, reading)
            continue
        held = made[at][1] if at in made else leaf.value
        made[at] = leaf, _put_in(held, rest, plain(value, path), leaf.rule, at)
        asked.append((at, rest, value))
    for at, (leaf, value) in made.items():
        value = _taken(value, leaf.rule, at)
        _check_taken(leaf.rule, value, [(at, rest) for p, rest, x in asked if p == at and x is not UNSET])
        state = reading.fields.get(at)
        alone = not isinstance(state, History) or len(state.heads) == 1
        if not (alone and same(value, leaf.value)) and not (value is UNSET and state is None):
            changed[at] = Change(*leaf._replace(value=value))
    return changed


def _check_taken(rule: Rule, value: Any, asked: Sequence[tuple[Path, Path]]) -> None:
    """Raises ``InvalidInput`` for a path into a field's value that leads to nothing the model knows."""
    for path, rest in asked:
        held, here = value, rule
        for i, step in enumerate(rest):
            if isinstance(held, dict) and step not in held:
                known = sorted({f.key for kind in members_of(here.type) for f in fields_of(kind) or ()})
                raise InvalidInput(_no_field(step, known), (*path, *rest[:i]))
            if isinstance(held, list):
                here = here.at(held)
                names = next((part.params for part in here.strategy.parts if "keyed" in part.opens), ())
                members: dict[Any, Any] = {_key_of(x, names): x for x in held} if names else dict(enumerate(held))
                held = members.get(step, UNSET)
            else:
                held = held[step]
            here = here.child(step)


def _no_field(step: Any, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(step), known, 1, 0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    return f"there is no field {format_path((step,))!r}; {hint}"


def _key_of(member: Any, names: Sequence[str]) -> Any:
    key = tuple(member.get(name) for name in names) if isinstance(member, dict) else ()
    return key[0] if len(key) == 1 else key


def _leaves_at(reading: Reading, slot: Slot, path: Path, value: Any) -> dict[Path, Leaf]:
    """The fields of a record below that is given as a whole, plain."""
    into: dict[Path, Leaf] = {}
    value = convert(value, slot.rule.declared, "the new value", InvalidInput, path)
    _place_leaves(reading, slot, path, value, into)
    return {at: leaf._replace(value=plain(leaf.value, at)) for at, leaf in into.items()}


def place_of(reading: Reading, own: Mapping[Path, Leaf], path: Path) -> tuple[Slot | None, Path, Path]:
    """The field that a path leads to (or the record with fields of its own), and the rest of the path in it."""
    rule, modelled = reading.binding.rule, reading.binding.is_modelled
    if rule.whole:
        return None, (), path
    if not path:
        raise InvalidInput("edit() takes fields: put() takes a whole record")
    for i, step in enumerate(path):
        at = path[: i + 1]
        slots = {slot.key: slot for slot in slots_of(rule)}
        slot = slots.get(step) if isinstance(step, str) else None
        if slot is None:
            if group := next((s for s in slots.values() if step in s.members), None):
                return group, (*path[:i], group.key), path[i:]
            if modelled:
                raise InvalidInput(_no_field(step, list(slots)), path[:i])
            if at not in reading.opened or (at in own and own[at].value is not PRESENT) or i == len(path) - 1:
                return None, at, path[i + 1 :]
            rule = rule.child(step).of(dict)
            continue
        if slot.inside is None or i == len(path) - 1:
            return slot, at, path[i + 1 :]
        if slot.presence is not None and own[at].value is not PRESENT:
            raise InvalidInput(f"is {own[at].value!r}: give the whole of it first", at)
        rule = slot.inside
    raise InvalidInput("leads to no field", path)


def _put_in(held: Any, rest: Path, value: Any, rule: Rule, path: Path) -> Any:
    """A plain container with one place in it changed."""
    if not rest:
        return value
    step, further = rest[0], rest[1:]
    at, below = (*path, step), rule.child(step)
    if isinstance(held, dict) or (held is UNSET and isinstance(step, str)):
        held = {} if held is UNSET else held
        new = _put_in(held.get(step, UNSET), further, value, below, at)
        kept = {key: old for key, old in held.items() if key != step or new is not UNSET}
        return kept if new is UNSET else {**kept, step: new}
    if not isinstance(held, list):
        whole = "give the whole of it first" if held is None else "write it as a whole"
        raise InvalidInput(f"{held!r} holds nothing that could be written by itself: {whole}", path)
    names = next((part.params for part in rule.strategy.parts if "keyed" in part.opens), ())
    index: Any = step
    if names:
        keys = [_key_of(member, names) for member in held]
        if step not in keys:
            raise InvalidInput(f"has no member {step!r}: write the list as a whole to add one", path)
        index = keys.index(step)
    if not isinstance(index, int) or not -len(held) <= index < len(held):
        raise InvalidInput(f"has {len(held)} elements, and no {step!r}: write the list as a whole to add one", path)
    index %= len(held)
    new = _put_in(held[index], further, value, below, at)
    return held[:index] + ([] if new is UNSET else [new]) + held[index + 1 :]


def _taken(value: Any, rule: Rule, path: Path, error: type[MergeError] = InvalidInput) -> Any:
    """A value as one of the field's type, plain. Raises ``error`` where it is none."""
    if value is UNSET or value is PRESENT:
        return value
    what = "the answer" if error is AnswerError else "the new value"
    return plain(value if rule.declared is Any else convert(value, rule.declared, what, error, path), path)


# ---- answers


def answered(reading: Reading, answers: ByPath[Any]) -> tuple[dict[Path, Change], bool | None]:
    """What answers to open questions write, and whether they delete the record (restore it; neither).

    Raises ``AnswerError`` where nothing is open, and where a field that is answered has more open than that.
    """
    lost = [(x.path, Candidate(x.value, x.stamp, name_of(x.stamp), x.by)) for x in reading.lost]
    if isinstance(answers, Mapping):  # what was lost is as good an answer as a candidate
        answers = {path: a.value if isinstance(a, Lost) else a for path, a in answers.items()}
    given = read_answers(reading.conflicts, answers, lost)
    own = own_leaves(reading)
    changes: dict[Path, Change] = {}
    deleted: bool | None = None
    by_field: dict[Path, dict[Path, Any]] = {}
    for path, answer in given.items():
        at = reading.field_at(path)
        contested = bool(live_deletes(reading.marks))
        if not path and contested and answer is UNSET:
            deleted = True
        elif at in own and at not in reading.places:
            deleted = False if contested and not path else deleted  # the record is one field
            by_field.setdefault(at, {})[path] = answer
        elif path:
            _answer_place(reading, own, path, answer, changes)
        else:
            if answer is UNSET:
                raise AnswerError("UNSET is no record: give one that the model takes")
            deleted = False if contested else None
            _answer_all(reading, (), leaves_of_record(reading, answer), changes)
    for at, found in by_field.items():
        changes[at] = Change(*own[at]._replace(value=_settled(reading, at, own[at], found)))
    return changes, deleted


def _answer_place(
    reading: Reading, own: Mapping[Path, Leaf], path: Path, answer: Any, changes: dict[Path, Change]
) -> None:
    """An answer about a record below."""
    slot, at, rest = place_of(reading, own, path)
    if slot is None or slot.inside is None or rest:
        raise AnswerError("is above what is open there: answer each question at its own path", path)
    try:
        leaves = _leaves_at(reading, slot, at, answer)
    except MergeError as error:
        raise AnswerError(str(error), path) from None
    if slot.presence is not None:  # written also where it stays what it was: that is the answer
        changes[at] = Change(*leaves[at])
    _answer_all(reading, at, leaves, changes)


def _answer_all(reading: Reading, at: Path, leaves: Mapping[Path, Leaf], changes: dict[Path, Change]) -> None:
    """Each field that is otherwise than the fields have it, whatever the record shows, or in which there is anything to
    settle (where nothing is open about the record as a whole, as it is gone, nobody sees what that is: there it stays).
    """
    settles = bool(at) or bool(reading.conflicts)
    for path, leaf in leaves.items():
        state = reading.fields.get(path)
        deletes = path in reading.places or not leaf.runs  # that it is there, or gone, is said again
        several = isinstance(state, History) and ((settles and len(state.heads) > 1) or deletes)
        if state is None:
            held: Any = UNSET
        elif isinstance(state, History):
            held = plain(view(state, leaf.rule, path).value)
        else:
            held = state.value()
        if (several or not equal(leaf.value, held)) and not (leaf.value is UNSET and state is None):
            changes.setdefault(path, Change(*leaf))


def _settled(reading: Reading, path: Path, leaf: Leaf, answers: Mapping[Path, Any]) -> Any:
    """What a field holds with the answers put in at their paths."""
    asked = [c for c in reading.conflicts if c.path[: len(path)] == path]
    if missing := [c for c in asked if not any(c.path[: len(at)] == at for at in answers)]:
        listed = ", ".join(format_path(c.path) for c in missing)
        raise AnswerError(f"is settled as a whole; still unanswered: {listed}", path)
    if path in answers:
        return _taken(answers[path], leaf.rule, path, AnswerError)
    state = reading.fields[path]
    if isinstance(state, History) and len(state.heads) == 2:
        settled = view(state, leaf.rule, path, answers)
        if not settled.conflicts:
            return plain(settled.value)
    value = leaf.value
    for at, answer in answers.items():
        try:
            value = _put_in(value, at[len(path) :], plain(answer, at), leaf.rule, path)
        except InvalidInput as error:
            raise AnswerError(str(error), at) from None
    return _taken(value, leaf.rule, path, AnswerError)
