"""``merge()``: two versions of a record and what both started from, and what the record is now.

Imports ``annotations``, ``answers``, ``errors``, ``paths``, ``policy``, ``records``, ``strategies``, ``times``,
``values`` and ``walk``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeAlias, TypeVar, overload

from .annotations import member_for
from .answers import read_answers
from .errors import InvalidInput, MergeConflict
from .paths import ByPath, Path
from .policy import Policies, rule_for
from .records import convert, is_record
from .strategies import Conflict
from .times import Moment, Moments, times_of
from .values import UNSET, Kinds, Sides, UnsetType, as_map, check_depth, check_value, same, shape
from .walk import Question, Verdict, Walk

__all__ = ["Merged", "merge"]

T = TypeVar("T")


class Merged(Generic[T]):
    """The outcome of a merge. ``value`` may share parts with the inputs: do not change those before ``resolve``."""

    __slots__ = ("_answers", "_asked", "conflicts", "value")

    value: T
    """The record, showing one candidate for each open conflict. ``UNSET`` where the record is deleted."""
    conflicts: tuple[Conflict, ...]
    """The open questions, in the order of the record; ``()`` where there are none."""

    def __init__(self, value: T, conflicts: tuple[Conflict, ...], asked: Question, answers: Mapping[Path, Any]) -> None:
        self.value, self.conflicts, self._asked, self._answers = value, conflicts, asked, answers

    def __repr__(self) -> str:
        return f"Merged(value={self.value!r}, conflicts={self.conflicts!r})"

    def unwrap(self) -> T:
        """The value. Raises ``MergeConflict``, which lists every open question, if there are any."""
        if self.conflicts:
            raise MergeConflict(self.conflicts)
        return self.value

    def resolve(self, answers: ByPath[Any]) -> Merged[T]:
        """The same merge with answers: ``{path: a value, a Candidate, or UNSET to delete}``.

        A path answers everything at or below it; what is left unanswered stays open. Raises ``AnswerError`` for a path
        where nothing is open, for a candidate of another conflict, and for a value that the field's type does not take.
        """
        given = read_answers(self.conflicts, answers)
        found = {path: answer for path, answer in self._answers.items() if path not in given} | given
        return _merge(self._asked, found)

    def patch(self, side: str) -> dict[str, Any] | UnsetType:
        """What to write on one side, by column: the fields whose merged value is not spelled as that side has it.

        A field to delete is ``UNSET``; the answer is ``UNSET`` itself where the whole record is to be deleted. Raises
        ``InvalidInput`` for a name that is no side, and where the record is not made of fields.
        """
        names = self._asked.names
        if side not in names:
            raise InvalidInput(f"there is no side {side!r}: the sides are {names[0]!r} and {names[1]!r}")
        held = self._asked.sides[1 + names.index(side)]
        if self.value is UNSET:
            return {} if held is UNSET else UNSET
        new, old = as_map(self.value), {} if held is UNSET else as_map(held)
        if new is None or old is None:
            raise InvalidInput("patch() is for records, made of fields; here, take .value")
        if type(held) is not type(self.value) and (config := getattr(self.value, "__struct_config__", None)):
            new = new if config.tag is None else {config.tag_field: config.tag} | new  # a record of another class
        changed = {key: value for key, value in new.items() if key not in old or not same(value, old[key])}
        return changed | {key: UNSET for key in old if key not in new}

    def explain(self) -> tuple[Verdict, ...]:
        """How each field that was not simply one-sided was decided, and what lost: the same merge, with a record."""
        verdicts: list[Verdict] = []
        _merge(self._asked, self._answers, verdicts)
        return tuple(verdicts)


At: TypeAlias = tuple[Moments, Moments] | ByPath[tuple[Moment, Moment]] | None
"""When the sides changed what they changed: a time (or times by path) for each side, or both times by path."""

_NAMES = ("ours", "theirs")


@overload
def merge(
    base: object,
    ours: object,
    theirs: object,
    model: type[T],
    policy: Policies | None = None,
    names: tuple[str, str] = _NAMES,
    at: At = None,
) -> Merged[T]: ...
@overload
def merge(
    base: T | UnsetType,
    ours: T,
    theirs: T,
    model: str | None = None,
    policy: Policies | None = None,
    names: tuple[str, str] = _NAMES,
    at: At = None,
) -> Merged[T]: ...
def merge(
    base: Any,
    ours: Any,
    theirs: Any,
    model: Any = None,
    policy: Policies | None = None,
    names: tuple[str, str] = _NAMES,
    at: At = None,
) -> Merged[Any]:
    """Merges two versions of a record that started from the same one.

    ``base`` is what both started from, the true common ancestor (``UNSET`` where there is none); ``ours`` and
    ``theirs`` are what the two sides have now (``UNSET``: deleted). Structs, dataclasses, dictionaries, lists, any
    JSON-like value; with ``model=`` all three are converted to it first (rows and ORM objects too). ``model`` may be
    the name of a table of plain records.

    ``policy`` says which strategy decides which field; a mapping of model names serves layers that know tables by name.
    ``names`` of the sides appear in conflicts and are what ``prefer`` goes by. ``at`` gives a time per side, or times
    by path: aware ``datetime``, epoch milliseconds or ``Timestamp``. Without times, what ``lww`` would have decided
    stays open, and one side, chosen for the whole merge, is shown.

    Neither raises on conflicts nor changes its inputs. Raises ``InvalidInput``, ``TooDeep``, ``PolicyError`` and
    ``StrategyError``. Linear in the size of the values for each level of nesting; lists cost what ``diff.changes``
    says.
    """
    names = _names(names)
    called = ("base", *names)
    sides = Sides(base, ours, theirs)
    if model is not None and not isinstance(model, str):
        for value, what in zip(sides, called):
            check_depth(value, what)
        sides = Sides(*(convert(value, model, what) for value, what in zip(sides, called)))
    seen: Kinds = {}
    for value, what in zip(sides, called):
        check_value(value, what, seen)
    kinds = {shape(value) for value in sides if as_map(value) is not None}
    if len(kinds) > 1 and model is None:
        listed = " and ".join(sorted(kind.__name__ for kind in kinds))
        raise InvalidInput(f"the sides are of different kinds, {listed}: say which with model=")
    kind: Any = Any if model is None else model
    classes = {type(value) for value in sides if value is not UNSET}
    if not isinstance(model, str) and len(classes) == 1 and is_record(cls := classes.pop()):
        kind = member_for(kind, cls)
    return _merge(Question(sides, rule_for(kind, policy), names, times_of(at, names), seen), {})


def _merge(asked: Question, answers: Mapping[Path, Any], verdicts: list[Verdict] | None = None) -> Merged[Any]:
    walk = Walk(asked, answers, verdicts)
    value = walk.node(asked.rule, (), asked.sides)
    return Merged(value, tuple(walk.conflicts), asked, answers)


def _names(names: Any) -> tuple[str, str]:
    named = tuple(names) if isinstance(names, (tuple, list)) else ()
    if len(named) != 2 or named[0] == named[1] or not all(isinstance(n, str) and n and n != "base" for n in named):
        raise InvalidInput(f"names={names!r}: give the two sides two different names, neither of them 'base'")
    return named
