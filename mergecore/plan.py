"""A policy compiled for a model: one generated function for both, made once, in the manner of dataclasses and attrs.

What it does is what the walk does, which stays its oracle: a field that theirs left alone is not looked at twice, what
one side changed is taken, and where both changed it the field is settled in place if that is a matter of times alone
(``lww``), of numbers (``counter``) or of a user's function; else the walk is asked about that field. What the function
has no answer to (sides of other classes, no base, anything that raises) goes to the walk as a whole.

Nothing of a model gets into the source but names that are ASCII identifiers; all else, its other names too, is bound
in the function's namespace. Imports ``annotations``, ``comparing``, ``documents``, ``paths``, ``policy``, ``records``,
``strategies``, ``values`` and ``walk``.
"""

from __future__ import annotations

import datetime as dt
import itertools
import keyword
import linecache
import os
import sys
import weakref
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

import msgspec

from .annotations import marks_in, members_of
from .comparing import CHANGED, EXACT, REALLY, SPELLED, Kind, compares, kind_of_type, literals_of
from .documents import NAMES, Run, Unplanned, moments
from .paths import Path
from .policy import Rule
from .records import EVERYDAY, build, fields_of, is_record, origin, values_of
from .strategies import Part
from .values import UNSET, larger, same
from .walk import Question

__all__ = ["compiled"]


def _unlike(p: Any, q: Any) -> bool:
    """Whether two values are spelled otherwise."""
    return not same(p, q)


def _rebuilt(cls: type, ours: Any, theirs: Any, new: dict[str, Any]) -> Any:
    """A record with other values, by its own ``__init__``; one of the two where that has them."""
    if not new:
        return ours
    values = {key: value for key, value in {**values_of(ours), **new}.items() if value is not UNSET}
    held = values_of(theirs)
    if len(held) == len(values) and all(key in held and same(value, held[key]) for key, value in values.items()):
        return theirs
    return build(cls, values)


# ---------------------------------------------------------------------------------------------------- generated


def compiled(
    rule: Rule, merged: type, walked: Callable[..., Any], question: Callable[..., Question], named: Callable[..., Any]
) -> Callable[..., Any]:
    """The merge of a record class as a function ``(base, ours, theirs, names=, at=)``. Its ``source`` can be read, and
    is printed where ``MERGECORE_DEBUG`` is set.

    ``rule`` is that of the class, which is walked by field; ``walked`` merges by the walk, ``question`` says what the
    walk is asked, ``named`` checks names that are not the usual ones.
    """
    return _Writer(rule, merged, walked, question, named).function()


_START = ["run = run or Run(rule, (base, ours, theirs, names, at), x, y, timed)"]


_NUMBERS = itertools.count(1)
_MOST = 64
"""Functions for records in records, of one plan: models that refer to each other have no end of places."""


class _Writer:
    """The source of one function, and of one for each record in it; and what their names stand for."""

    def __init__(self, rule: Rule, merged: type, walked: Any, question: Any, named: Any) -> None:
        self.rule = rule
        self.lines: list[str] = []
        self.names: dict[str, Any] = {
            "Merged": merged, "walked": walked, "question": question, "named": named, "NAMES": NAMES,
            "UNSET": UNSET, "Run": Run, "larger": larger, "moments": moments, "put": msgspec.structs.force_setattr,
            "rule": rule, "rebuilt": _rebuilt, "unlike": _unlike, "Unplanned": Unplanned,
        }  # fmt: skip
        self.inner = 0

    def function(self) -> Callable[..., Any]:
        cls = self.bind("C", origin(self.rule.type))
        body = self.record(self.rule, (), (origin(self.rule.type),), "C")
        whole = "walked(base, ours, theirs, names, at)"
        self.lines += [
            "def merge(base, ours, theirs, names=NAMES, at=None):",
            f" if not (type(base) is {cls} and type(ours) is {cls} and type(theirs) is {cls}):",
            f"  return {whole}",
            " if names is not NAMES: names = named(names)",
            " if at is None: x = y = None",
            " elif type(at) is tuple and len(at) == 2 and type(x := at[0]) is type(y := at[1]) is int"
            " and not (x | y) >> 47: pass",  # as in moments()
            " else: x, y = moments(at, names)",
            " try:",
            *_in(self.unchanged(self.rule, "Merged(ours, (), question, base, ours, theirs, names, at)"), 2),
            "  run, timed = None, x is not None and y is not None",
            *(f"  {line}" for line in body),
            " except Exception:",
            f"  return {whole}",
            " conflicts = () if run is None or run.walk is None else tuple(run.walk.conflicts)",
            " return Merged(value, conflicts, question, base, ours, theirs, names, at)",
        ]
        source = "\n".join(self.lines) + "\n"
        file = f"<mergecore plan {next(_NUMBERS)}>"
        exec(compile(source, file, "exec"), self.names)
        made: Any = self.names["merge"]
        made.source = source
        linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file  # for tracebacks
        weakref.finalize(made, linecache.cache.pop, file, None)
        if os.environ.get("MERGECORE_DEBUG"):
            print(f"# {self.rule.type}\n{source}", file=sys.stderr)
        return made  # type: ignore[no-any-return]

    def unchanged(self, rule: Rule, answer: str) -> list[str]:
        """A look at the whole, by msgspec's own comparison: where theirs is as the base was, that is all."""
        kinds: dict[str, Kind] = {f.name: kind_of_type(f.type) for f in fields_of(rule.type) or ()}
        if not compares(origin(rule.type)) or {"any", "spelled"}.intersection(kinds.values()):
            return []
        at = {name: _Attribute(self, name) for name, kind in kinds.items() if kind != "exact"}
        spelled = [
            _filled(SPELLED[kinds[n]], f"(p := {a.of('theirs')})", f"(q := {a.of('base')})") for n, a in at.items()
        ]
        same_ = " and ".join(["theirs == base", *spelled])
        return [f"if {same_}: return {answer}"]

    def bind(self, name: str, value: Any) -> str:
        """A name for something, in the source."""
        self.names[name] = value
        return name

    def new(self, letter: str, value: Any) -> str:
        return self.bind(f"{letter}{len(self.names)}", value)

    def record(self, rule: Rule, path: Path, within: tuple[Any, ...], cls: str) -> list[str]:
        """The lines that make ``value`` of three records of one class."""
        kind = origin(rule.type)
        fields = fields_of(rule.type) or ()
        copies = _is_copied(rule.type)
        setter = _Setter(self, copies, issubclass(kind, msgspec.Struct) and kind.__struct_config__.frozen, cls)
        attributes = {field.key: _Attribute(self, field.name) for field in fields}
        grouped = {member: name for name, group in rule.groups.items() for member in group.members}
        done: set[str] = set()
        lines = setter.start()
        if rule.deleted is not None and rule.deleted in attributes:
            b, o, t = (attributes[rule.deleted].of(side) for side in ("base", "ours", "theirs"))
            lines += [f"if not {b} and (not {o}) != (not {t}): raise Unplanned"]  # a deletion, perhaps against an edit
        for field in fields:
            key = field.key
            if key in grouped:
                if (name := grouped[key]) not in done:
                    done.add(name)
                    members = rule.groups[name].members
                    kinds: dict[str, Kind] = {f.key: kind_of_type(f.type) for f in fields}
                    lines += self.group(rule, path, name, [(m, attributes[m], kinds[m]) for m in members], setter)
            else:
                lines += self.field(rule.child(key), (*path, key), field.type, attributes[key], key, setter, within)
        return [*lines, setter.end()]

    def field(
        self, rule: Rule, path: Path, declared: Any, at: _Attribute, key: str, setter: _Setter, within: tuple[Any, ...]
    ) -> list[str]:
        base, ours, theirs = at.of("base"), at.of("ours"), at.of("theirs")
        kind = kind_of_type(declared)
        end = ["if v is not o:", *_in(setter.set(at, key, "v"))]
        asked = f"{self.new('R', rule)}, {self.new('P', path)}, b, o, t"
        start = _START if len(path) == 1 else []
        three = f"b = {base}; o = {ours}; t = {theirs}"
        inside = self.inside(rule, declared, path, within)
        if inside is not None:
            cls, name = inside
            alike = f"type(b) is {cls} and type(o) is {cls} and type(t) is {cls}"
            v = f"v = {name}(b, o, t, run, timed, x, y) if {alike} else run.node({asked})"
            lines = [*start, v, *end]
            return [three, *lines] if kind == "any" else [three, "if t is not b:", *_in(lines)]
        if kind == "any":
            return [three, *start, f"v = run.field({asked})", *end]
        both = self.both(rule, declared, kind, asked, start)
        if kind == "exact":  # most are, and most are unchanged: no name is given to what is looked at once
            settled = [three, "if o == b: v = t", *both, *end]
            return [f"if {theirs} != {base}:", *_in(settled)]
        theirs_did = _changed(kind, f"(t := {theirs})", f"(b := {base})")
        ours_did = _changed(kind, f"(o := {ours})", "b")
        return [f"if {theirs_did}:", f" if not ({ours_did}): v = t", *_in(both), *_in(end)]

    def inside(self, rule: Rule, declared: Any, path: Path, within: tuple[Any, ...]) -> tuple[str, str] | None:
        """A function for the record that stands in a field: its class, and the function's name."""
        records = [one for one in members_of(declared) if is_record(one)]
        cls = origin(records[0]) if len(records) == 1 else None
        if cls is None or cls in within or self.inner >= _MOST or not (inner := rule.of(cls)).by_field:
            return None
        self.inner += 1
        name, known = f"inner{self.inner}", self.new("C", cls)
        body = [*self.unchanged(inner, "ours"), *self.record(inner, path, (*within, cls), known)]
        self.lines += [f"def {name}(base, ours, theirs, run, timed, x, y):", *_in(body), " return value"]
        return known, name

    def both(self, rule: Rule, declared: Any, kind: Kind, asked: str, start: list[str]) -> list[str]:
        """``v`` of what both sides changed: settled in place, or by the walk."""
        walk = ["else:", *_in([*start, f"v = run.node({asked})"])]
        part = _first_to_decide(rule, declared)
        if part is None or kind not in REALLY:
            return walk
        can_be_unset = " and o is not UNSET and t is not UNSET" if msgspec.UnsetType in members_of(declared) else ""
        really = REALLY[kind] + can_be_unset
        if part.name == "lww" and part.user is None:
            return [f"elif timed{really}: v = larger(o, t) if x == y else o if x > y else t", *walk]
        plain = _plain_types(declared)
        if part.name == "counter" and part.user is None and plain == {int}:
            small = f"type(b) is int and type(o) is int and type(t) is int and -{1 << 62} < o + t - b < {1 << 62}"
            return [f"elif {small}: v = o + t - b", *walk]
        if part.user is not None and not part.params:
            types, said = self.new("T", frozenset(plain)), self.new("F", part.user)
            settled = [
                f"v = {said}(b, o, t)",
                f"if v is not o and v is not t and type(v) not in {types}:",
                *_in([*start, f"v = run.node({asked}, v)"]),
            ]
            return [f"elif {really.removeprefix(' and ') or 'True'}:", *_in(settled), *walk]
        return walk

    def group(
        self, rule: Rule, path: Path, name: str, members: list[tuple[str, _Attribute, Kind]], setter: _Setter
    ) -> list[str]:
        """Siblings that are one field."""

        def changed(side: str) -> str:
            found = [
                _changed("spelled" if kind == "any" else kind, f"(p := {at.of(side)})", f"(q := {at.of('base')})")
                for _, at, kind in members
            ]
            return " or ".join(f"({one})" for one in found)

        take: list[str] = []
        keep: list[str] = []
        for key, at, _ in members:
            take += setter.set(at, key, at.of("theirs"))
            keep += [
                f"if (v := parts[{self.new('K', key)}]) is not {at.of('ours')}:", *_in(setter.set(at, key, "v")),
            ]  # fmt: skip
        asked = f"{self.new('R', rule)}, {self.new('P', path)}, {self.new('K', name)}, base, ours, theirs"
        both = [*([] if path else _START), f"parts = run.group({asked})", *keep]
        return [f"if {changed('theirs')}:", f" if {changed('ours')}:", *_in(both, 2), " else:", *_in(take, 2)]


class _Attribute:
    """A field's attribute, in the source: by name where that is an identifier that Python does not spell otherwise."""

    def __init__(self, writer: _Writer, name: str) -> None:
        self.is_plain = name.isascii() and name.isidentifier() and not keyword.iskeyword(name)
        self.name = name if self.is_plain else writer.new("K", name)
        self.writer = writer

    def of(self, record: str) -> str:
        return f"{record}.{self.name}" if self.is_plain else f"getattr({record}, {self.name})"

    def key(self) -> str:
        return self.writer.new("K", self.name) if self.is_plain else self.name


class _Setter:
    """How a merged record is made: a copy of ours with other values; or, where its class has a say in that, anew."""

    def __init__(self, writer: _Writer, copies: bool, frozen: bool, cls: str) -> None:
        self.writer, self.copies, self.frozen, self.cls = writer, copies, frozen, cls

    def start(self) -> list[str]:
        return ["made, new = ours.__copy__(), False"] if self.copies else ["new = {}"]

    def set(self, at: _Attribute, key: str, value: str) -> list[str]:
        if not self.copies:
            return [f"new[{self.writer.new('K', key)}] = {value}"]
        if self.frozen or not at.is_plain:
            return [f"put(made, {at.key()}, {value}); new = True"]
        return [f"made.{at.name} = {value}; new = True"]

    def end(self) -> str:
        return "value = made if new else ours" if self.copies else f"value = rebuilt({self.cls}, ours, theirs, new)"


def _in(lines: Iterable[str], by: int = 1) -> list[str]:
    return [" " * by + line for line in lines]


def _changed(kind: Kind, p: str, q: str) -> str:
    """The comparison of two values."""
    return _filled(CHANGED[kind], p, q)


def _filled(template: str, p: str, q: str) -> str:
    """A comparison of two values; where these are given a name in it, only the first time."""
    for mark, given in (("{p}", p), ("{q}", q)):
        name = given[1:].partition(" := ")[0] if " := " in given else given
        template = template.replace(mark, given, 1).replace(mark, name)
    return template


def _is_copied(kind: Any) -> bool:
    """Whether a copy with some attributes set anew is what the class itself would have made."""
    cls = origin(kind)
    if not issubclass(cls, msgspec.Struct) or hasattr(cls, "__post_init__"):
        return False
    config = cls.__struct_config__
    ways = ("__init__", "__new__", "__copy__", "__setattr__", "__getattribute__")
    unset = [f for f in msgspec.structs.fields(cls) if msgspec.UnsetType in members_of(f.type)]
    return (
        not (config.dict or config.cache_hash)
        and all(getattr(cls, way) is getattr(msgspec.Struct, way) for way in ways)
        and all(f.default is UNSET for f in unset)
    )


def _first_to_decide(rule: Rule, declared: Any) -> Part | None:
    """The part that is asked first about a value that is neither container nor record: what opens those is none."""
    scalar = all(
        origin(one) in EXACT or origin(one) in (float, dt.datetime, dt.time) or literals_of(one)
        or (isinstance(origin(one), type) and issubclass(origin(one), Enum))
        for one in members_of(declared)
    )  # fmt: skip
    if not scalar or rule.is_group:
        return None
    for part in rule.strategy.parts:
        if part.decide is not None:
            return part
        if "text" in part.opens and any(origin(one) is str or literals_of(one) for one in members_of(declared)):
            return None
    return None


def _plain_types(declared: Any) -> set[type]:
    """The classes whose instances a field takes, whatever they are; none where its type says more."""
    if marks_in(declared, msgspec.Meta):
        return set()
    return {origin(one) for one in members_of(declared)} & EVERYDAY
