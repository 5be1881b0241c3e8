"""Edits by path, and answers to open questions, as changes of fields.

Imports ``annotations``, ``answers``, ``errors``, ``history``, ``layout``, ``leaves``, ``paths``, ``policy``,
``reading``, ``records``, ``strategies``, ``values``, ``view``, ``wire`` and ``writing``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .annotations import members_of
from .answers import read_answers
from .errors import AnswerError, InvalidInput, MergeError
from .history import History
from .layout import Leaf, Slot, slots_of
from .leaves import document_leaves, leaves_at, leaves_of_record, own_leaves, taken
from .paths import ByPath, Path, format_path
from .policy import Rule
from .reading import Reading, live_deletes
from .records import fields_of
from .strategies import Candidate, Conflict
from .values import UNSET, check_value, equal, same
from .view import Lost, name_of, view
from .wire import PRESENT, plain
from .writing import changes_between

__all__ = ["answered", "edited", "place_of"]


def edited(reading: Reading, given: Mapping[Path, Any]) -> dict[Path, Leaf]:
    """What edits by path change. Raises ``InvalidInput`` where a path leads nowhere, and for what a field does not
    take.
    """
    own = own_leaves(reading)
    made: dict[Path, tuple[Leaf, Any]] = {}
    asked: dict[Path, list[tuple[Path, Path]]] = {}
    changed: dict[Path, Leaf] = {}
    for path, value in given.items():
        check_value(value, "the new value", at=path)
        slot, at, rest = place_of(reading, own, path)
        if slot is not None and slot.inside is not None:
            shown = {p: leaf.value for p, leaf in own.items()}
            changed |= changes_between(shown, leaves_at(reading, slot, at, value), reading.fields, reading)
            continue
        leaf = own.get(at) or Leaf(reading.binding.rule.child(at[-1]), UNSET)
        if at in reading.opened and isinstance(value, Mapping):
            # of a document, what an app that knows more wrote below
            into = {at: leaf._replace(value=PRESENT)} if at in own else {}
            document_leaves(reading, leaf.rule.of(dict), at, value, into)
            into = {p: x._replace(value=plain(x.value, p)) for p, x in into.items()}
            changed |= changes_between({p: x.value for p, x in own.items()}, into, reading.fields, reading)
            continue
        held = made[at][1] if at in made else leaf.value
        made[at] = leaf, _put_in(held, rest, plain(value, path), leaf.rule, at)
        asked.setdefault(at, [])
        if value is not UNSET:
            asked[at].append((at, rest))
    for at, (leaf, value) in made.items():
        value = taken(value, leaf.rule, at)
        _check_taken(leaf.rule, value, asked[at])
        state = reading.fields.get(at)
        alone = not isinstance(state, History) or len(state.heads) == 1
        if not (alone and same(value, leaf.value)) and not (value is UNSET and state is None):
            changed[at] = leaf._replace(value=value)
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
    import difflib  # here alone

    near = difflib.get_close_matches(str(step), known, 1, 0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    return f"there is no field {format_path((step,))!r}; {hint}"


def _key_of(member: Any, names: Sequence[str]) -> Any:
    key = tuple(member.get(name) for name in names) if isinstance(member, dict) else ()
    return key[0] if len(key) == 1 else key


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


# ---- answers


def answered(reading: Reading, answers: ByPath[Any]) -> tuple[dict[Path, Leaf], bool | None]:
    """What answers to open questions write, and whether they delete the record (restore it; neither).

    Raises ``AnswerError`` where nothing is open, and where a field that is answered has more open than that.
    """
    lost = [(x.path, Candidate(x.value, x.stamp, name_of(x.stamp), x.by)) for x in reading.lost]
    if isinstance(answers, Mapping):  # what was lost is as good an answer as a candidate
        answers = {path: a.value if isinstance(a, Lost) else a for path, a in answers.items()}
    given = read_answers(reading.conflicts, answers, lost)
    own = own_leaves(reading)
    changes: dict[Path, Leaf] = {}
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
    open_below: dict[Path, list[Conflict]] = {}
    for conflict in reading.conflicts:
        for n in range(len(conflict.path) + 1):
            open_below.setdefault(conflict.path[:n], []).append(conflict)
    for at, found in by_field.items():
        changes[at] = own[at]._replace(value=_settled(reading, at, own[at], found, open_below.get(at, ())))
    return changes, deleted


def _answer_place(
    reading: Reading, own: Mapping[Path, Leaf], path: Path, answer: Any, changes: dict[Path, Leaf]
) -> None:
    """An answer about a record below."""
    slot, at, rest = place_of(reading, own, path)
    if slot is None or slot.inside is None or rest:
        raise AnswerError("is above what is open there: answer each question at its own path", path)
    try:
        leaves = leaves_at(reading, slot, at, answer)
    except MergeError as error:
        raise AnswerError(str(error), path) from None
    if slot.presence is not None:  # written also where it stays what it was: that is the answer
        changes[at] = leaves[at]
    _answer_all(reading, at, leaves, changes)


def _answer_all(reading: Reading, at: Path, leaves: Mapping[Path, Leaf], changes: dict[Path, Leaf]) -> None:
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
            changes.setdefault(path, leaf)


def _settled(reading: Reading, path: Path, leaf: Leaf, answers: Mapping[Path, Any], asked: Sequence[Conflict]) -> Any:
    """What a field, of which this is ``asked``, holds with the answers put in at their paths."""
    if missing := [c for c in asked if not any(c.path[: len(at)] == at for at in answers)]:
        listed = ", ".join(format_path(c.path) for c in missing)
        raise AnswerError(f"is settled as a whole; still unanswered: {listed}", path)
    if path in answers:
        return taken(answers[path], leaf.rule, path, AnswerError)
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
    return taken(value, leaf.rule, path, AnswerError)
