"""Policies: which strategy where.

A ``Policy`` is read together with a model's annotations, once, into a tree of ``Rule``s; the walk goes down it beside
the values. Precedence, most literal steps first within each: ``Policy.fields``, ``Annotated[T, strategy]``, a nested
model's ``__merge__``, ``Policy.default``, the model's own ``__merge__``, ``DEFAULT``. Imports ``annotations``,
``errors``, ``paths``, ``records`` and ``strategies``.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, TypeVar, overload

import msgspec

from .annotations import declared_at, is_list, item_of, marks_in, member_for, members_of, steps_of
from .errors import PolicyError
from .paths import ANY, ByPath, Order, Path, Slice, Step, format_path, parse_pattern
from .records import fields_of, is_record, origin
from .strategies import (
    Group,
    Resolver,
    Strategy,
    as_strategy,
    delete_wins,
    edit_wins,
    keep_both,
    lww,
    three_way,
)

if TYPE_CHECKING:
    from .threeway import Merger

__all__ = ["DEFAULT", "GroupRule", "Policies", "Policy", "Rule", "rule_for"]

DEFAULT = three_way() | lww
"""What decides where nobody says otherwise."""

_DELETES = (edit_wins, delete_wins, lww, keep_both)

DEPTH = 2
"""How many layers of writes a history keeps below its heads, where nobody says otherwise."""

MAX_LAYERS = 64
"""The largest ``depth`` of a history."""


M = TypeVar("M")


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Which strategy decides which field. Immutable, hashable, compared by value.

    ::

        Policy(
            default=three_way() | lww,                  # fields without a strategy of their own
            fields={"notes": keep_both, "items[].qty": counter, "labels.*": lww},
            groups={"when": (("start", "end"), lww)},   # siblings that are one fact
            deletes=keep_both,                          # edit_wins, delete_wins, lww or keep_both
            deleted="deleted_at",                       # a column that, when set, means deleted
            unit="field",                               # "record": the whole record is one leaf, settled by default
            depth=2,                                    # layers of bases that a history keeps below its heads
        )

    Paths are patterns: ``*`` and ``[]`` stand for any key and any element. What is not given is the model's own
    (``__merge__: ClassVar[Policy]``), else the library's. Raises ``PolicyError``.
    """

    default: Strategy | Resolver | None = None
    fields: ByPath[Strategy | Resolver] = {}
    groups: ByPath[tuple[Sequence[str], Strategy | Resolver | None]] = {}
    deletes: Strategy | None = None
    deleted: str | None = None
    unit: Literal["field", "record"] | None = None
    depth: int | None = None

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            msgspec.structs.force_setattr(self, name, value)

        if self.default is not None:
            put("default", as_strategy(self.default))
        if not isinstance(self.fields, Mapping) or not isinstance(self.groups, Mapping):
            raise PolicyError("fields and groups are mappings of paths")
        put("fields", types.MappingProxyType({_pattern(p): _strategy(p, s) for p, s in self.fields.items()}))
        put("groups", types.MappingProxyType({_pattern(p): _members(p, g) for p, g in self.groups.items()}))
        if self.deletes is not None and self.deletes not in _DELETES:
            raise PolicyError(f"deletes={self.deletes!r}: deletes is edit_wins, delete_wins, lww or keep_both")
        if self.unit not in ("field", "record", None):
            raise PolicyError(f'unit={self.unit!r}: unit is "field" or "record"')
        if self.deleted is not None and not (isinstance(self.deleted, str) and self.deleted):
            raise PolicyError(f"deleted={self.deleted!r}: deleted is the name of a column")
        if self.depth is not None and not (type(self.depth) is int and 0 <= self.depth <= MAX_LAYERS):
            raise PolicyError(f"depth={self.depth!r}: depth is a number of layers, from 0 to {MAX_LAYERS}")

    @overload
    def bind(self, model: type[M]) -> Merger[M]: ...
    @overload
    def bind(self, model: str) -> Merger[dict[str, Any]]: ...
    def bind(self, model: Any) -> Any:
        """``merge`` for one model under this policy: ``merger(base, ours, theirs, names=, at=)``, the same ``Merged``.

        A function is generated for a record class that is walked by field; bound, it is not looked up each time. Its
        ``source`` can be read, and is printed when it is made where the environment has ``MERGECORE_DEBUG``. Raises
        ``PolicyError`` for paths that the model does not have, ``InvalidInput`` for what is no model.
        """
        from .threeway import bound  # which stands on this

        return bound(model, self)

    def __reduce__(self) -> Any:
        plain = {"fields": dict(self.fields), "groups": dict(self.groups)}  # a mapping proxy does not pickle
        given = {name: getattr(self, name) for name in self.__struct_fields__}
        return _policy_of, (given | plain,)

    def __hash__(self) -> int:
        return hash(
            (
                self.default,
                frozenset(self.fields.items()),
                frozenset(self.groups.items()),
                self.deletes,
                self.deleted,
                self.unit,
                self.depth,
            )
        )


def _policy_of(given: dict[str, Any]) -> Policy:
    return Policy(**given)


Policies: TypeAlias = Policy | Mapping[str, Policy]
"""A policy, or a policy for each model by its name."""


def _pattern(path: str | Path) -> Path:
    try:
        return parse_pattern(path)
    except ValueError as error:
        raise PolicyError(str(error)) from error


def _strategy(path: str | Path, value: Any) -> Strategy:
    if not _pattern(path):
        raise PolicyError("a strategy for the whole record is Policy(default=...)")
    if any(isinstance(step, (Slice, Order)) for step in _pattern(path)):
        raise PolicyError("a hunk, or an order, has the strategy of what it is a part of", _pattern(path))
    try:
        return as_strategy(value)
    except PolicyError as error:
        raise PolicyError(str(error), _pattern(path)) from None


def _members(path: str | Path, group: Any) -> tuple[tuple[str, ...], Strategy | None]:
    if not _pattern(path) or not isinstance(_pattern(path)[-1], str):
        raise PolicyError(f"a group has a name, which {path!r} does not end in", _pattern(path))
    valid = isinstance(group, (tuple, list)) and len(group) == 2 and isinstance(group[0], (tuple, list))
    if not valid or not group[0] or not all(isinstance(name, str) for name in group[0]):
        raise PolicyError(f'a group is (("start", "end"), strategy), not {group!r}', _pattern(path))
    members = [_pattern(name) for name in group[0]]
    if any(len(member) != 1 or not isinstance(member[0], str) for member in members):
        raise PolicyError(
            'members of a group are names beside each other: groups={"a.when": (("start", "end"), ...)}', _pattern(path)
        )
    return tuple(str(member[0]) for member in members), None if group[1] is None else _strategy(path, group[1])


class _Pattern(NamedTuple):
    """A path of a policy on its way down: what is left of it, and how it ranks against others that end in the same
    place.
    """

    steps: Path
    strategy: Strategy | None
    members: tuple[str, ...] = ()  # of a group
    rank: tuple[Any, ...] = ()  # the smaller wins: precedence, number of wildcards, where they stand


_FIELDS, _ANNOTATED, _NESTED, _OWN = range(4)

T = TypeVar("T")


def _patterns(policy: Policy, precedence: int, depth: int = 0) -> tuple[_Pattern, ...]:
    def rank(steps: Path) -> tuple[Any, ...]:
        wild = tuple(step is ANY for step in steps)
        return (precedence, -depth, sum(wild), wild)

    fields = [_Pattern(_pattern(path), _given(s)) for path, s in policy.fields.items()]
    groups = [_Pattern(_pattern(path), _given(s), tuple(members)) for path, (members, s) in policy.groups.items()]
    return tuple(p._replace(rank=rank(p.steps)) for p in (*fields, *groups))


def _given(strategy: Strategy | Resolver | None) -> Strategy | None:
    return None if strategy is None else as_strategy(strategy)


class GroupRule(NamedTuple):
    """Siblings that are one field."""

    members: tuple[str, ...]
    rule: Rule


class Rule:
    """What governs one place of a document. Children are made when first asked for, so that recursive models end.

    ``strategy`` is what decides here; ``own`` is true where it was put on this place or one above it, false where it is
    a default. ``declared`` is the type with its annotations. ``at(value)`` is the rule for the type that the value has;
    only there ``by_field`` (a record under a default: always walked by field), ``whole`` (one unit, which structural
    parts leave alone), ``deleted`` and ``groups`` mean something.
    """

    __slots__ = (
        "_at", "_children", "_default", "_depth", "_named", "_other", "_patterns", "_policies",
        "by_field", "declared", "deleted", "deletes", "depth", "groups", "is_group", "own", "strategy", "type",
        "units", "whole",
    )  # fmt: skip

    type: Any
    declared: Any
    strategy: Strategy
    own: bool
    deletes: Strategy
    depth: int
    by_field: bool
    whole: bool
    is_group: bool
    deleted: str | None
    groups: Mapping[str, GroupRule]
    units: tuple[str, ...]
    _default: Strategy
    _patterns: tuple[_Pattern, ...]
    _policies: Mapping[str, Policy]
    _depth: int

    def __init__(self, above: Rule | None = None, **given: Any) -> None:
        self.by_field = self.whole = self.is_group = False
        self.deleted, self.groups, self.units = None, {}, ()
        if above is not None:
            self.deletes, self._default, self._policies = above.deletes, above._default, above._policies
            self.depth = above.depth
        for name, value in given.items():
            setattr(self, name, value)
        self.declared = given.get("declared", self.type)
        self._at: dict[type, Rule] = {}
        self._children: dict[Step, Rule] = {}
        self._named: set[Step] | None = None  # steps with a rule of their own
        self._other: Rule | None = None  # of all other steps

    def at(self, value: Any) -> Rule:
        """The rule for a value that stands here: of a union, or of ``Any``, the type that the value has."""
        rule = self._at.get(type(value))
        return self.of(type(value)) if rule is None else rule

    def of(self, cls: type) -> Rule:
        """The rule for a value of this class."""
        rule = self._at.get(cls)
        if rule is None:
            rule = self._at[cls] = self._narrow(cls)
        return rule

    def _narrow(self, cls: type) -> Rule:
        kind = member_for(self.type, cls)
        root, record = self._depth == 0, is_record(cls)
        rule = Rule(
            self, type=kind, declared=self.declared, strategy=self.strategy, own=self.own, whole=self.whole,
            is_group=self.is_group, deleted=self.deleted, units=self.units, _depth=self._depth,
            _patterns=self._patterns,
        )  # fmt: skip
        if (
            record
            and (not root or kind != self.type)
            and (policy := self._policies.get(origin(kind).__name__) or _merge_of(kind))
        ):
            nested = _patterns(policy, _NESTED, self._depth)
            for p in nested:
                _check(kind, p.steps[:-1] if p.members else p.steps)
            if policy.deleted:
                _check(kind, (policy.deleted,))
            rule._patterns += nested
            if policy.default and not self.own:  # comes before all that the outer model's own policy says
                rule._patterns = tuple(p for p in rule._patterns if p.members or p.rank[0] != _OWN)
            rule._default = _given(policy.default) or self._default
            rule.deletes = policy.deletes or self.deletes
            rule.depth = self.depth if policy.depth is None else policy.depth
            rule.deleted = policy.deleted
            if not self.own:
                rule.strategy = rule._default
                rule.whole = policy.unit == "record"
        rule.by_field = (record or root) and not self.own and not rule.whole
        if record or issubclass(cls, dict) or hasattr(cls, "_fields"):
            rule.groups = rule._grouped()
        return rule

    def _grouped(self) -> dict[str, GroupRule]:
        fields = fields_of(self.type) or ()
        found: dict[str, tuple[tuple[Any, ...], list[str], Strategy | None]] = {}
        for field in fields:
            for mark in marks_in(field.type, Group):
                if own := marks_in(field.type, Strategy):
                    raise PolicyError(
                        f"is in the group {mark.name!r}: write group({mark.name!r}, {own[0]})", (field.key,)
                    )
                _, members, decided = found.get(mark.name, ((), [], None))
                if decided and mark.strategy and decided != mark.strategy:
                    raise PolicyError(
                        f"group {mark.name!r} has two strategies, {decided} and {mark.strategy}", (field.key,)
                    )
                found[mark.name] = ((_ANNOTATED,), [*members, field.key], decided or mark.strategy)
        for p in self._patterns:
            if p.members and len(p.steps) == 1 and (p.steps[0] not in found or p.rank < found[str(p.steps[0])][0]):
                found[str(p.steps[0])] = (p.rank, list(p.members), p.strategy)
        known, taken = {field.key for field in fields}, dict[str, str]()
        for name, (_, members, _) in found.items():
            if name in known:
                raise PolicyError(f"group {name!r} has the name of a field: choose another", (name,))
            for member in members:
                if known and member not in known:
                    raise PolicyError(f"group {name!r}: {_no_field(self.type, member, known)}", (name,))
                if member == self.deleted:
                    raise PolicyError(f"says that the record is deleted: it cannot be in the group {name!r}", (member,))
                if taken.setdefault(member, name) != name:
                    raise PolicyError(f"is in two groups, {taken[member]!r} and {name!r}", (member,))
                if any(p.steps == (member,) and not p.members for p in self._patterns):
                    raise PolicyError(f"is in the group {name!r}, whose strategy decides", (member,))
        types_ = {field.key: field.type for field in fields}
        groups: dict[str, GroupRule] = {}
        for name, (_, members, decided) in found.items():
            fact: Any = typing.TypedDict(name, {m: types_[m] for m in members}, total=False) if known else Any  # type: ignore[operator]
            strategy = decided or (self.strategy if self.own else self._default)
            rule = Rule(self, type=fact, strategy=strategy, own=True, whole=True, is_group=True, _depth=1, _patterns=())
            groups[name] = GroupRule(tuple(members), rule)
        return groups

    def child(self, step: Step) -> Rule:
        """The rule for a field, a key or an element. Of an open container, one rule serves all steps that nothing
        names.
        """
        if self._named is None:
            self._named = steps_of(self.type) | {p.steps[0] for p in self._patterns}
        if step not in self._named:
            if self._other is None:
                self._other = self._below(step, item_of(self.type))
            return self._other
        rule = self._children.get(step)
        if rule is None:
            declared = declared_at(self.type, step)
            rule = self._children[step] = self._below(step, item_of(self.type) if declared is None else declared)
        return rule

    def piece(self, kind: Any, unit: str = "", strategy: Strategy | None = None) -> Rule:
        """The rule for a piece of what stands here that is no field: a hunk of a text, the order of a keyed list.

        ``unit`` is what the text was split by: not again, below. The strategy is that of the whole, unless given.
        """
        strategy = self.strategy if strategy is None else strategy
        return Rule(
            self, type=kind, strategy=strategy, own=True, units=(*self.units, unit), _depth=self._depth + 1,
            _patterns=(),
        )  # fmt: skip

    def _below(self, step: Step, kind: Any) -> Rule:
        here = [p._replace(steps=p.steps[1:]) for p in self._patterns if p.steps[0] == step or p.steps[0] is ANY]
        given = [(p.rank, p.strategy) for p in here if not p.steps and not p.members]
        marks = marks_in(kind, Strategy)
        if len(set(marks)) > 1:
            raise PolicyError(f"has two strategies, {' and '.join(map(str, marks))}: join them with |", (step,))
        given += [((_ANNOTATED,), mark) for mark in marks]
        for _, one in given:
            _check_keys(kind, step, one or keep_both)
        strategy = min(given, key=lambda x: x[0])[1] if given else self.strategy if self.own else self._default
        return Rule(
            self, type=kind, strategy=strategy, own=self.own or bool(given), _depth=self._depth + 1,
            _patterns=tuple(p for p in here if p.steps),
        )  # fmt: skip


def rule_for(model: Any, policy: Policies | None) -> Rule:
    """The rule for a whole record. Compiled once for a model and a policy, then cached.

    ``model`` is a type, the name of a table whose records are plain values, or ``Any``. Raises ``PolicyError``.
    """
    if policy is None or isinstance(policy, Policy):
        return _compile(model, policy, ())
    if not isinstance(policy, Mapping):
        raise PolicyError(
            f"policy={policy!r}: give a Policy (of a strategy, Policy(default=...)), or one for each model name"
        )
    for name, one in policy.items():
        if not isinstance(one, Policy):
            raise PolicyError(f"policies[{name!r}] is {one!r}: give a Policy for each model name")
    name = model if isinstance(model, str) else getattr(origin(model), "__name__", "")
    if not name or model is Any:
        raise PolicyError("a mapping of policies needs model=, a type or the name of the table, to choose from it")
    return _compile(model, policy.get(name), tuple(policy.items()))


@lru_cache(maxsize=512)
def _compile(model: Any, policy: Policy | None, named: tuple[tuple[str, Policy], ...]) -> Rule:
    kind = Any if isinstance(model, str) else model
    given, own = policy or Policy(), _merge_of(kind) or Policy()
    patterns = _patterns(own, _OWN)
    if given.default:  # outranks all that the model's own policy says of fields; its groups are facts, and stay
        patterns = tuple(p for p in patterns if p.members)
    patterns += _patterns(given, _FIELDS)
    default = _given(given.default) or _given(own.default) or DEFAULT
    deleted = given.deleted or own.deleted
    depth = next((d for d in (given.depth, own.depth) if d is not None), DEPTH)
    for p in patterns:
        _check(kind, p.steps[:-1] if p.members else p.steps)
    if deleted and fields_of(kind):
        _check(kind, (deleted,))
    return Rule(
        type=kind, strategy=default, own=False, deletes=given.deletes or own.deletes or keep_both, deleted=deleted,
        whole=(given.unit or own.unit) == "record", _default=default, _policies=dict(named), _patterns=patterns,
        depth=depth, _depth=0,
    )  # fmt: skip


def _merge_of(kind: Any) -> Policy | None:
    """A model's own policy: ``__merge__: ClassVar[Policy]``."""
    policy = getattr(origin(kind), "__merge__", None) if is_record(kind) else None
    if policy is not None and not isinstance(policy, Policy):
        raise PolicyError(f"{origin(kind).__name__}.__merge__ is {policy!r}: give a Policy")
    return policy


def _check(kind: Any, steps: Path) -> None:
    """Raises ``PolicyError`` where a pattern leads nowhere in a model."""
    for i, step in enumerate(steps):
        below: list[Any] = []
        known: set[str] = set()
        for one in members_of(kind):
            declared = fields_of(one)
            if declared is None and item_of(one) is not None and not (isinstance(step, str) and is_list(one)):
                below.append(item_of(one))
            for field in declared or ():
                known.add(field.key)
                if step is ANY or step == field.key:
                    below.append(field.type)
        if not below:
            where, text = format_path(steps[:i]), format_path((step,))
            if known:
                raise PolicyError(_no_field(kind, text, known), steps[:i])
            hint = f"; write {where}[].{text}" if any(map(is_list, members_of(kind))) else ""
            raise PolicyError(f"{_spell(kind)} has no fields, and so no {text!r}{hint}", steps[:i])
        kind = Any if Any in below else typing.Union[tuple(below)]  # noqa: UP007


def _check_keys(kind: Any, step: Step, strategy: Strategy) -> None:
    """Raises ``PolicyError`` where a list is to be keyed by what its objects do not have."""
    names = [name for part in strategy.parts if "keyed" in part.opens for name in part.params]
    for item in [item_of(one) for one in members_of(kind) if is_list(one)] if names else ():
        known = {field.key for field in fields_of(item) or ()}
        if missing := [name for name in names if known and name not in known]:
            raise PolicyError(f"is {strategy}, and {_no_field(item, missing[0], known)}", (step,))


def _no_field(kind: Any, name: str, known: Iterable[str]) -> str:
    import difflib  # here alone

    near = difflib.get_close_matches(name, sorted(known), 1, 0.5)
    return f"{_spell(kind)} has no field {name!r}; " + (
        f"did you mean {near[0]!r}?" if near else f"it has {', '.join(sorted(known))}"
    )


def _spell(kind: Any) -> str:
    return getattr(kind, "__name__", None) or str(kind)
