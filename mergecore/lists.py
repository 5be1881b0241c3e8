"""The rules of the walk for what stands in a row: lists by element and by key, texts by their pieces.

Imports ``diff``, ``errors``, ``paths``, ``policy``, ``sequence``, ``strategies``, ``texts`` and ``values``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from .diff import Indexed
from .errors import AnswerError
from .paths import Path, Slice
from .policy import Rule
from .sequence import Diff, Region, regions
from .strategies import Pass
from .texts import Unit, regions_of, split
from .values import UNSET, Sides, as_map, equal, identity, is_plain, shape

if TYPE_CHECKING:
    from .walk import Walk

__all__ = ["Opening", "open_keyed", "open_list", "opening_of_text"]

Opening: TypeAlias = Callable[[Rule, Path, Sides], Any]


def open_list(walk: Walk, rule: Rule, path: Path, sides: Sides, by: tuple[str, str] | None = None) -> Any:
    """A list by element: changes overlap only where they touch the same element of the base."""
    if walk.asked.base_is == "contested":  # who left an element as it was may have chosen it
        return walk.node(rule, path, sides, unit=True)
    mark = walk.mark()
    was = _row(sides)
    base, ours, theirs = lists = Sides(was, sides.ours, sides.theirs)
    plain = is_plain(walk.asked.kinds, *lists)
    known = lists if plain else lists.each(lambda side: [identity(x) for x in side])
    index = Indexed(known.base)
    mine = Diff(index, known.ours, None if plain else lambda i, j: _alike(base[i], ours[j]))
    other = Diff(index, known.theirs, None if plain else lambda i, j: _alike(base[i], theirs[j]))
    merged: list[Any] = []
    for region in regions(len(base), mine.blocks, other.blocks):
        two_sided = region.ours_did and region.theirs_did
        if plain and not region.theirs_did:
            merged += ours[region.ours - region.ahead : region.ours_to]
        elif plain and not region.ours_did:
            merged += theirs[region.theirs - region.ahead : region.theirs_to]
        elif two_sided and not region.searched:
            untouched = region._replace(stop=region.start, ours_did=(), theirs_did=())
            merged += _elements(walk, rule, path, lists, untouched, mine, other, plain)
            value = _unsearched(walk, rule, path, region, Sides(*region.of(*lists)))
            if shape(value) not in (list, tuple) and value is not UNSET:
                raise AnswerError(f"{value!r} is no list of elements", (*path, Slice(region.start, region.stop)))
            merged += [] if value is UNSET else value
        else:
            if plain:
                merged += ours[region.ours - region.ahead : region.ours]
                region = region._replace(ahead=0)
            merged += _elements(walk, rule, path, lists, region, mine, other, plain)
    return walk.combined(rule, path, sides, merged, mark, by)


def _elements(
    walk: Walk, rule: Rule, path: Path, lists: Sides, region: Region, ours_did: Diff, theirs_did: Diff, plain: bool
) -> Iterator[Any]:
    """A stretch of a list: what was inserted, and what became of each element of the base."""
    base, ours, theirs = lists
    first = region.start - region.ahead
    mine = ours_did.edits(region.ours_did, first, region.stop, region.ours - region.ahead)
    other = theirs_did.edits(region.theirs_did, first, region.stop, region.theirs - region.ahead)
    for i, here, there in zip(range(first, region.stop + 1), mine.gaps, other.gaps):
        if here or there:
            yield from walk.inserted([ours[j] for j in here], [theirs[j] for j in there])
        if i < region.stop:
            a, b = mine.fate[i - first], other.fate[i - first]
            element = Sides(base[i], UNSET if a is None else ours[a], UNSET if b is None else theirs[b])
            unit = plain or None in element.each(as_map)
            value = walk.node(rule.child(i), (*path, i), element, unit)
            if value is not UNSET:
                yield value


def _unsearched(walk: Walk, rule: Rule, path: Path, region: Region, sides: Sides) -> Any:
    """Where what corresponds to what would take too long to find out: an open conflict, whatever the strategy."""
    path = (*path, Slice(region.start, region.stop))
    if path in walk.answers:
        return walk.answer(rule, path, sides)
    if equal(sides.ours, sides.theirs):
        return walk.agreed(path, sides)
    context = walk.context(rule, path, sides)
    reason = "too much changed to find out what corresponds to what"
    return walk.conflict(context, sides, rule.strategy, reason, walk.shown(context, sides))


def open_keyed(walk: Walk, names: tuple[str, ...], rule: Rule, path: Path, sides: Sides) -> Any:
    """A list by the keys of its members, which are apart from their order."""
    was = _row(sides)
    members = Sides(was, sides.ours, sides.theirs).each(lambda side: _members_by_key(side, names))
    called = ("the base", *walk.asked.names)
    if odd := sorted(f"in {side}, {found}" for found, side in zip(members, called) if isinstance(found, str)):
        return open_list(walk, rule, path, sides, by=("keyed", f"by element: {'; '.join(odd)}"))
    mark = walk.mark()
    merged = []
    for key in walk.order(rule, path, members.each(list)):
        at = (*path, key)
        walk.settled_paths.update((*at, name) for name in names)  # both have that key
        value = walk.node(rule.child(key), at, members.below(key))
        if value is UNSET:
            continue
        if at in walk.answers and (found := _members_by_key([value], names)) != {key: value}:
            wrong = found if isinstance(found, str) else f"the answer's key is {next(iter(found))!r}"
            raise AnswerError(f"{wrong}; give an object whose key is {key!r}", at)
        merged.append(value)
    return walk.combined(rule, path, sides, merged, mark)


def opening_of_text(walk: Walk, unit: Unit, rule: Rule, sides: Sides) -> Opening | Pass:
    """How two texts are merged, unless that is one question about the whole of them."""
    if unit in rule.units:  # what both sides changed is no less so for being looked at by itself
        return Pass(f"the {unit}s overlap")
    if type(sides.base) is not str:
        return Pass("text needs a base")
    if walk.asked.base_is == "contested":
        return Pass("the base was itself in conflict")
    was, mine, other = pieces = [split(side, unit) for side in sides]
    found = regions_of(was, mine, other, unit)
    if len(found) == 1 and not found[0].ahead and found[0].searched:
        return Pass(f"the {unit}s overlap")
    return partial(_open_text, walk, unit, pieces, found)


def _open_text(
    walk: Walk, unit: Unit, pieces: Sequence[list[str]], found: Sequence[Region], rule: Rule, path: Path, sides: Sides
) -> Any:
    """A text by its pieces: what both sides changed otherwise is a text of its own, and asked of the strategy."""
    mark = walk.mark()
    hunk = rule.piece(str, unit)
    merged: list[str] = []
    for region in found:
        merged += pieces[1][region.ours - region.ahead : region.ours]
        here = Sides(*map("".join, region.of(*pieces)))
        if not region.theirs_did or here.ours == here.theirs:
            merged.append(here.ours)
        elif not region.ours_did:
            merged.append(here.theirs)
        else:
            at = (*path, Slice(region.start, region.stop))
            value = walk.node(hunk, at, here) if region.searched else _unsearched(walk, hunk, path, region, here)
            merged.append("" if value is UNSET else value)
    return walk.combined(rule, path, sides, "".join(merged), mark, by=("text", f"by {unit}"))


def _alike(base: Any, side: Any) -> float:
    """How much two elements of a list have in common: maps that share half of their fields are one thing, changed.

    The more fields they share, the more; of two that share as many, the one that shares the first field, where an
    identity stands in most records.
    """
    was, now = as_map(base), as_map(side)
    if was is None or now is None or shape(base) is not shape(side):
        return 0
    shared = sum(key in now and equal(value, now[key]) for key, value in was.items())
    if 2 * shared < max(len(was), len(now)):
        return 0
    first = next(iter(was), None)
    return 0.5 + shared + (0.5 if first in now and equal(was.get(first), now.get(first)) else 0)


def _members_by_key(side: Any, names: tuple[str, ...]) -> dict[Any, Any] | str:
    """The members of a list by their keys; or what is wrong with these."""
    members: dict[Any, Any] = {}
    for i, member in enumerate(side):
        fields = as_map(member)
        if fields is None:
            return f"element {i} is no object with a key"
        values = tuple(None if (value := fields.get(name)) is UNSET else value for name in names)
        for name, value in zip(names, values):
            if value is None:
                return f"the key {name!r} is missing in element {i}"
            if not _is_key(value):
                return f"element {i} has a {type(value).__name__} as {name!r}, which is no key"
        key = values if len(names) > 1 else values[0]
        if key in members:
            return f"the key {_brief(key)} is there twice"
        members[key] = member
    return members


def _is_key(value: Any) -> bool:
    """Whether a value tells an object: hashable, equal to itself, no boolean and no container."""
    if isinstance(value, (bool, tuple, frozenset)) or shape(value) in (list, dict, set) or as_map(value) is not None:
        return False
    try:
        return hash(value) is not None and bool(value == value)
    except Exception:  # its own code
        return False


def _brief(key: Any) -> str:
    try:
        return repr(key)
    except ValueError:  # sys.get_int_max_str_digits()
        return "a number too long to show"


def _row(sides: Sides) -> Any:
    """The base of two lists, if it is a list, or a tuple, itself."""
    return sides.base if shape(sides.base) in (list, tuple) else []
