"""``merge()``: two versions of a record and what both started from, and what the record is now.

Imports ``annotations``, ``answers``, ``documents``, ``errors``, ``paths``, ``plan``, ``policy``, ``records``,
``strategies``, ``times``, ``values`` and ``walk``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, overload

import msgspec

from .annotations import member_for
from .answers import read_answers
from .documents import NAMES, document
from .errors import InvalidInput, MergeConflict
from .paths import ByPath, Path
from .plan import compiled
from .policy import Policies, Policy, rule_for
from .records import convert, is_record, origin
from .strategies import Conflict
from .times import Moment, Moments, times_of
from .values import UNSET, Kinds, Sides, UnsetType, as_map, check_depth, check_value, same, shape
from .walk import Question, Verdict, Walk

__all__ = ["Merged", "Merger", "bound", "forget", "merge", "walked"]

T = TypeVar("T")
S = TypeVar("S")


_NONE: Mapping[Path, Any] = MappingProxyType({})


class Merged(msgspec.Struct, Generic[T], eq=False):
    """The outcome of a merge. ``value`` may share parts with the inputs: do not change those, nor the times, before
    ``resolve``, ``patch`` or ``explain``.
    """

    value: T
    """The record, showing one candidate for each open conflict. ``UNSET`` where the record is deleted."""
    conflicts: tuple[Conflict, ...]
    """The open questions, in the order of the record; ``()`` where there are none."""
    _question: Question | Callable[..., Question]
    """What was asked, or what makes that of the sides, their names and times: few merges are asked again."""
    _base: Any = UNSET
    _ours: Any = UNSET
    _theirs: Any = UNSET
    _names: Any = NAMES
    _at: Any = None
    _answers: Mapping[Path, Any] = _NONE

    @property
    def _asked(self) -> Question:
        asked = self._question
        if isinstance(asked, Question):
            return asked
        return asked(self._base, self._ours, self._theirs, self._names, self._at)

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
        return _walked(self._asked, found)

    def patch(self, side: str) -> dict[str, Any] | UnsetType:
        """What to write on one side, by column: the fields whose merged value is not spelled as that side has it.

        A field to delete is ``UNSET``; the answer is ``UNSET`` itself where the whole record is to be deleted. Raises
        ``InvalidInput`` for a name that is no side, and where the record is not made of fields.
        """
        asked = self._question
        names, sides = self._names, (self._ours, self._theirs)
        if isinstance(asked, Question):
            names, sides = asked.names, asked.sides[1:]
        if side not in names:
            raise InvalidInput(f"there is no side {side!r}: the sides are {names[0]!r} and {names[1]!r}")
        held = sides[names.index(side)]
        if self.value is UNSET:
            return {} if held is UNSET else UNSET
        new, old = as_map(self.value), {} if held is UNSET else as_map(held)
        if new is None or old is None:
            raise InvalidInput("patch() is for records, made of fields; here, take .value")
        if type(held) is not type(self.value) and (config := getattr(self.value, "__struct_config__", None)):
            new = new if config.tag is None else {config.tag_field: config.tag} | new  # a record of another class
        changed = {
            key: value
            for key, value in new.items()
            if key not in old or ((was := old[key]) is not value and not same(value, was))
        }
        return changed | {key: UNSET for key in old if key not in new}

    def explain(self) -> tuple[Verdict, ...]:
        """How each field that was not simply one-sided was decided, and what lost: the same merge, with a record."""
        verdicts: list[Verdict] = []
        _walked(self._asked, self._answers, verdicts)
        return tuple(verdicts)


At: TypeAlias = tuple[Moments, Moments] | ByPath[tuple[Moment, Moment]] | None
"""When the sides changed what they changed: a time (or times by path) for each side, or both times by path."""


@overload
def merge(
    base: object,
    ours: object,
    theirs: object,
    model: type[T],
    policy: Policies | None = None,
    names: tuple[str, str] = NAMES,
    at: At = None,
) -> Merged[T]: ...
@overload
def merge(
    base: T | UnsetType,
    ours: T,
    theirs: T,
    model: str | None = None,
    policy: Policies | None = None,
    names: tuple[str, str] = NAMES,
    at: At = None,
) -> Merged[T]: ...
def merge(
    base: Any,
    ours: Any,
    theirs: Any,
    model: Any = None,
    policy: Policies | None = None,
    names: tuple[str, str] = NAMES,
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
    if model is policy is None and (usual := _USUAL.get(type(ours))) is not None:
        return usual(base, ours, theirs, names, at)
    kind: Any = type(ours) if model is None else model
    known = _GIVEN.get((model is None, kind, id(policy)))
    merger = known[1] if known is not None and known[0] is policy else _merger(model, kind, policy)
    return merger(base, ours, theirs, names, at)


class Merger(Protocol[S]):
    """``merge`` bound to a model and a policy."""

    def __call__(
        self, base: S | UnsetType, ours: S, theirs: S, names: tuple[str, str] = NAMES, at: At = None
    ) -> Merged[S]: ...


def bound(model: Any, policy: Policies | None) -> Any:
    """``merge`` for a model and a policy: what ``Policy.bind`` gives. Raises ``InvalidInput`` and ``PolicyError``."""
    if not (isinstance(model, (type, str)) or isinstance(origin(model), type) or model is Any):
        raise InvalidInput(f"{model!r} is no model: give a class, or the name of a table of plain records")
    rule_for(model, policy)
    return _merger(model, model, policy)


_USUAL: dict[type, Merger[Any]] = {}
"""What ``_merger`` gave by the class of ``ours`` alone."""

_GIVEN: dict[Any, tuple[Policies | None, Merger[Any]]] = {}
"""What it gave otherwise, and for which policy: by whether the kind is the class of ``ours`` or ``model=``, by the
kind, and by the policy's ``id``, which another one can have later.
"""

_MOST = 1024


def _merger(model: Any, kind: Any, policy: Any) -> Merger[Any]:
    """What merges records of a kind: of ``model``, or of the class that ``ours`` has."""
    one, named = (None, tuple(policy.items())) if isinstance(policy, Mapping) else (policy, None)
    try:
        made = _made(model, kind, one, named)
    except TypeError:  # no hash
        return partial(_walked_from, partial(_question, model, policy))
    if named is None:  # a mapping can change
        for known in (_USUAL, _GIVEN):
            if len(known) >= _MOST:
                known.clear()
        if model is policy is None:
            _USUAL[kind] = made
        else:
            _GIVEN[model is None, kind, id(policy)] = policy, made
    return made


@lru_cache(maxsize=_MOST)
def _made(model: Any, kind: Any, policy: Any, named: tuple[tuple[str, Policy], ...] | None) -> Merger[Any]:
    policies = policy if named is None else dict(named)
    question = partial(_question, model, policies)
    walked = partial(_walked_from, question)
    try:
        if is_record(kind) and (rule := rule_for(kind, policies).of(origin(kind))).by_field:
            if isinstance(model, type):  # a generic one converts its own instances, too, each time it is asked
                walked = partial(_converted, question, model, partial(_made, model, kind, policy, named))
            return compiled(rule, Merged, walked, question, _names)
        if kind is dict or kind is Any or isinstance(kind, str):
            rule = rule_for(kind if isinstance(kind, str) else Any, policies).of(dict)
            return document(rule, Merged, walked, question, _names)
    except Exception:  # what is wrong with it the walk tells, where it comes to that
        pass
    return walked


def forget() -> None:
    """Makes all mergers anew, when they are next asked for."""
    _USUAL.clear()
    _GIVEN.clear()
    _made.cache_clear()


def walked(
    base: Any, ours: Any, theirs: Any, model: Any, policy: Policies | None, names: tuple[str, str], at: At
) -> Merged[Any]:
    """``merge`` by the walk alone: the oracle of what was generated."""
    return _walked_from(partial(_question, model, policy), base, ours, theirs, names, at)


def _question(model: Any, policy: Policies | None, base: Any, ours: Any, theirs: Any, names: Any, at: At) -> Question:
    """What a merge was asked, checked. Raises ``InvalidInput``, ``TooDeep`` and ``PolicyError``."""
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
    return Question(sides, rule_for(kind, policy), names, times_of(at, names), seen)


def _walked_from(
    question: Callable[..., Question], base: Any, ours: Any, theirs: Any, names: Any = NAMES, at: At = None
) -> Merged[Any]:
    """A merge by the walk alone."""
    return _walked(question(base, ours, theirs, names, at), _NONE)


def _converted(
    question: Callable[..., Question],
    model: type,
    merger: Callable[[], Callable[..., Merged[Any]]],
    base: Any,
    ours: Any,
    theirs: Any,
    names: Any = NAMES,
    at: At = None,
) -> Merged[Any]:
    """A merge of what is not of the model yet; else, and where that cannot be made of it, by the walk."""
    sides = base, ours, theirs
    if not all(type(side) is model for side in sides):
        called = ("base", *_names(names))
        for side, what in zip(sides, called):
            check_depth(side, what)
        made = [convert(side, model, what) for side, what in zip(sides, called)]
        if all(type(side) is model for side in made):
            return merger()(*made, names, at)
    return _walked_from(question, *sides, names, at)


def _walked(asked: Question, answers: Mapping[Path, Any], verdicts: list[Verdict] | None = None) -> Merged[Any]:
    walk = Walk(asked, answers, verdicts)
    value = walk.node(asked.rule, (), asked.sides)
    return Merged(value, tuple(walk.conflicts), asked, _answers=answers)


def _names(names: Any) -> tuple[str, str]:
    named = tuple(names) if isinstance(names, (tuple, list)) else ()
    if len(named) != 2 or named[0] == named[1] or not all(isinstance(n, str) and n and n != "base" for n in named):
        raise InvalidInput(f"names={names!r}: give the two sides two different names, neither of them 'base'")
    return named
