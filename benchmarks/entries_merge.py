"""Entry points that merge values, on arguments of any size, with what a right result is."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Annotated, Any, Literal

import msgspec

from mergecore import (
    MergeConflict,
    Merged,
    Policy,
    add_wins,
    format_path,
    keep_both,
    keyed,
    lww,
    merge,
    text,
)
from mergecore.texts import marked

from .entries import MANY, Entry, Inputs, anew, answers, is_answered, record, words

__all__ = ["MERGING"]

DEEP = (24, 48, 96, 192)
"""Levels: more than 200 are refused."""

# ------------------------------------------------------------------------------------------ records


@lru_cache
def _model(n: int) -> type[msgspec.Struct]:
    return msgspec.defstruct(f"Model{n}", [(f"f{i}", str) for i in range(n)])


def _new_model(n: int, rng: random.Random) -> Inputs:
    fields = [(f"f{i}", rng.choice((str, int, bool, float))) for i in range(n)]
    return lambda: (msgspec.defstruct("Model", fields),)


def _edited(n: int, rng: random.Random) -> list[dict[str, str]]:
    """A third of the fields is changed, half of it on each side, and one field on both."""
    base = record(n, rng)
    changed = rng.sample(list(base), n // 3)
    half = len(changed) // 2
    ours = base | {name: f"new {name}, ours" for name in changed[: half + 1]}
    return [base, ours, base | {name: f"new {name}, theirs" for name in changed[half:]}]


def _is_edited(merged: Merged[Any], n: int) -> bool:
    values = msgspec.to_builtins(merged.value).values()
    return not merged.conflicts and sum(value.startswith("new") for value in values) == n // 3


def _dicts(n: int, rng: random.Random) -> Inputs:
    return anew(_edited(n, rng))


def _rows(n: int, rng: random.Random) -> Inputs:
    return anew(_edited(n, rng), _model(n))


def _structs(n: int, rng: random.Random) -> Inputs:
    return anew(_edited(n, rng), type=_model(n))


def _bound(n: int, rng: random.Random) -> Inputs:
    return anew(_edited(n, rng), Policy().bind(_model(n)), type=_model(n))


def _merge(base: Any, ours: Any, theirs: Any, model: Any = None) -> Merged[Any]:
    return merge(base, ours, theirs, model, at=(1, 2))


def _merge_at(base: Any, ours: Any, theirs: Any, times: Any) -> Merged[Any]:
    return merge(base, ours, theirs, at=times)


def _clash(n: int, rng: random.Random) -> list[dict[str, str]]:
    """Every field is changed on both sides."""
    return [record(n, rng) for _ in range(3)]


def _times(n: int, rng: random.Random) -> Inputs:
    times = [{f"f{i}": rng.randrange(10**9) for i in range(n)} for _ in range(2)]
    return anew(_clash(n, rng), tuple(times))


_OPEN = Policy(default=keep_both)


def _open(n: int, rng: random.Random) -> Inputs:
    return anew(_clash(n, rng), _OPEN)


def _merged(policy: Policy | None, n: int, rng: random.Random) -> Inputs:
    sides = anew(_clash(n, rng))

    def inputs() -> tuple[Any, ...]:
        base, ours, theirs = sides()
        return merge(base, ours, theirs, policy=policy, at=(1, 2)), *answers(n)

    return inputs


def _unwrapped(merged: Merged[Any], _: Any) -> int:
    try:
        merged.unwrap()
    except MergeConflict as error:
        return len(error.conflicts)
    return 0


def _deep(n: int, rng: random.Random) -> Inputs:
    """Two keys a level, and one of each side's at the bottom."""

    def nested(**bottom: str) -> Any:
        document: Any = {"x": "x", "y": "y", **bottom}
        for _ in range(n):
            document = {"a": "same", "below": document}
        return document

    return anew([nested(), nested(x="ours"), nested(y="theirs")])


def _is_deep(merged: Merged[Any], n: int) -> bool:
    document: Any = merged.value
    for _ in range(n):
        document = document["below"]
    return bool(document == {"x": "ours", "y": "theirs"})


def _patterns(n: int, rng: random.Random) -> Inputs:
    sides = anew(_edited(n, rng))
    return lambda: (*sides(), {f"f{i}": keep_both | lww if i % 2 else lww for i in range(n)})


def _merge_by_patterns(base: Any, ours: Any, theirs: Any, fields: Any) -> Merged[Any]:
    return merge(base, ours, theirs, policy=Policy(fields=fields), at=(1, 2))


# ------------------------------------------------------------------------------------------ lists, texts, sets


def _replaced(edits: Callable[[int], int], n: int, rng: random.Random) -> list[list[str]]:
    """So many elements are replaced on each side, no two of them neighbours."""
    base = words(n, rng)
    places = rng.sample(range(0, n, 3), 2 * edits(n))
    ours, theirs = [*base], [*base]
    for side, part in ((ours, places[::2]), (theirs, places[1::2])):
        for place in part:
            side[place] = f"new{place}"
    return [base, ours, theirs]


def _ten(n: int) -> int:
    return 10


def _tenth(n: int) -> int:
    return n // 10


def _lists(edits: Callable[[int], int], n: int, rng: random.Random) -> Inputs:
    return anew(_replaced(edits, n, rng))


def _is_replaced(edits: Callable[[int], int], merged: Merged[Any], n: int) -> bool:
    return not merged.conflicts and sum(each.startswith("new") for each in merged.value) == 2 * edits(n)


def _texts(unit: Literal["line", "word"], n: int, rng: random.Random) -> Inputs:
    between = "\n" if unit == "line" else " "
    return anew([between.join(side) for side in _replaced(_ten, n, rng)], Policy(default=text(unit)))


def _is_text(merged: Merged[Any], n: int) -> bool:
    return not merged.conflicts and merged.value.count("new") == 20


def _merge_by(base: Any, ours: Any, theirs: Any, policy: Policy) -> Merged[Any]:
    return merge(base, ours, theirs, policy=policy)


def _keyed(n: int, rng: random.Random) -> Inputs:
    """Ten members are edited on each side, and ours has moved ten."""
    base = [{"id": i, "name": word} for i, word in enumerate(words(n, rng))]
    places = rng.sample(range(n), 30)
    ours, theirs = ([{**member} for member in base] for _ in range(2))
    for side, part in ((ours, places[:10]), (theirs, places[10:20])):
        for place in part:
            side[place]["name"] = "new"
    for place in places[20:]:
        ours.insert(rng.randrange(n), ours.pop(ours.index(base[place])))
    return anew([base, ours, theirs], Policy(default=keyed("id")))


def _is_keyed(merged: Merged[Any], n: int) -> bool:
    ids = sorted(member["id"] for member in merged.value)
    return ids == [*range(n)] and sum(member["name"] == "new" for member in merged.value) == 20


class _Tagged(msgspec.Struct):
    tags: Annotated[set[str], add_wins]


def _sets(n: int, rng: random.Random) -> Inputs:
    """Half is there, and each side adds a quarter; theirs lacks one."""
    base, new = words(n // 2, rng), words(n - n // 2, rng)
    return anew([{"tags": side} for side in (base, base + new[::2], base[1:] + new[1::2])], type=_Tagged)


def _lines(n: int, rng: random.Random) -> Inputs:
    return anew(["\n".join(side) for side in _replaced(_ten, n, rng)])


def _steps(n: int, rng: random.Random) -> Inputs:
    return lambda: (tuple(words(n, rng)),)


# ------------------------------------------------------------------------------------------ entry points


MERGING = (
    Entry("merge", "fields of a Struct", _merge, _structs, _is_edited),
    Entry("merge", "keys of a dictionary", _merge, _dicts, _is_edited),
    Entry("merge", "fields of rows, model=", _merge, _rows, _is_edited),
    Entry("merge", "depth", _merge, _deep, _is_deep, DEEP),
    Entry("merge", "open conflicts", _merge_by, _open, lambda m, n: len(m.conflicts) == n),
    Entry("merge", "times by path", _merge_at, _times, lambda m, n: not m.conflicts),
    Entry("merge", "patterns of a new policy", _merge_by_patterns, _patterns, _is_edited),
    Entry("merge", "elements, 10 edits a side", _merge, partial(_lists, _ten), partial(_is_replaced, _ten), MANY),
    Entry("merge", "elements, a tenth edited", _merge, partial(_lists, _tenth), partial(_is_replaced, _tenth), MANY),
    Entry("merge", "members of a keyed list", _merge_by, _keyed, _is_keyed, MANY),
    Entry("merge", "members of a set", _merge, _sets, lambda m, n: len(m.value.tags) == n - 1, MANY),
    Entry("merge", "lines of a text", _merge_by, partial(_texts, "line"), _is_text, MANY),
    Entry("merge", "words of a text", _merge_by, partial(_texts, "word"), _is_text, MANY),
    Entry("texts.marked", "lines", marked, _lines, lambda m, n: m[0].count("new") == 20, MANY),
    Entry("Policy.bind", "fields", lambda model: Policy().bind(model), _new_model, lambda merger, n: callable(merger)),
    Entry("Merger", "fields of a Struct", lambda *x: x[3](*x[:3], at=(1, 2)), _bound, _is_edited),
    Entry("Merged.unwrap", "open conflicts", _unwrapped, partial(_merged, _OPEN), lambda count, n: count == n),
    Entry("Merged.resolve", "answers", Merged.resolve, partial(_merged, _OPEN), lambda m, n: is_answered(m.value, n)),
    Entry("Merged.patch", "fields",
          lambda m, _: m.patch("ours"), partial(_merged, None), lambda patch, n: len(patch) == n),
    Entry("Merged.explain", "fields", lambda m, _: m.explain(), partial(_merged, None), lambda told, n: len(told) == n),
    Entry("format_path", "steps", format_path, _steps, lambda told, n: told.count(".") == n - 1),
)  # fmt: skip
