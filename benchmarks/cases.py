"""The inputs, drawn at random, with what a right result of each is, known from how they were drawn and not from a diff.

Every call gets inputs of its own, decoded from JSON: equal strings of the three sides are distinct objects.
"""

from __future__ import annotations

import json
import random
import string
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from .peers import Outcome

__all__ = ["CORPUS", "Case", "edited_text", "few_edits", "many_edits", "real_texts"]

CORPUS = Path(__file__).parents[2] / "shared" / "corpora" / "real_text.json"

SIDES = ("base", "ours", "theirs")


class Case(NamedTuple):
    """Three sides as JSON, and what is wrong with an outcome: empty where nothing is."""

    base: str
    ours: str
    theirs: str
    wrong: Callable[[Outcome], str]

    def inputs(self) -> tuple[Any, Any, Any]:
        """Base, ours and theirs, which share no objects with each other or with what another call got."""
        return json.loads(self.base), json.loads(self.ours), json.loads(self.theirs)


def _case(sides: Sequence[Any], wrong: Callable[[Outcome], str]) -> Case:
    base, ours, theirs = map(json.dumps, sides)
    return Case(base, ours, theirs, wrong)


def _exactly(expected: Any) -> Callable[[Outcome], str]:
    def wrong(outcome: Outcome) -> str:
        if outcome.candidates:
            return "a conflict, where the sides changed different places"
        return "" if outcome.value == expected else "not what both sides' edits make of the base"

    return wrong


# ------------------------------------------------------------------------------------------ lists

Script: TypeAlias = dict[int, tuple[str, Any]]
"""What a side did, by position in the base: ``insert`` something before it, ``delete`` it, ``replace`` it."""


def few_edits(kind: str, n: int, edits: int, rng: random.Random) -> Case:
    """A list of n ``strings``, ``ints`` or ``dicts``, all distinct; no two edits of it touch neighbours."""
    new = _elements(kind, rng)
    base = list(islice(new, n))
    places = _apart(n, 2 * edits, rng)
    ours, theirs = (_script(base, sorted(part), new, rng) for part in (places[:edits], places[edits:]))
    return _case(_sides(base, ours, theirs), _exactly(_applied(base, ours | theirs)))


def many_edits(n: int, share: float, rng: random.Random) -> Case:
    """A list of n distinct strings; each side edits a share of it, so some edits touch one element, or neighbours."""
    new = _elements("strings", rng)
    base = list(islice(new, n))
    ours, theirs = (_script(base, sorted(rng.sample(range(n), int(n * share))), new, rng) for _ in range(2))
    removed = {base[i] for script in (ours, theirs) for i, (kind, _) in script.items() if kind != "insert"}
    kept = [x for x in base if x not in removed]
    added = {x for script in (ours, theirs) for kind, x in script.values() if kind != "delete"}
    contested = _contested(ours, theirs) | _contested(theirs, ours)

    def wrong(outcome: Outcome) -> str:
        held, known, candidates = Counter(outcome.value), set(kept), set(outcome.candidates)
        if [x for x in outcome.value if x in known] != kept:
            return "what neither side touched is not there, once and in its order"
        if held.keys() & removed:
            return "something that a side deleted is there"
        open_to = added if outcome.adjacent else contested
        if any(held[x] != 1 and not (x in open_to and x in candidates and not held[x]) for x in added):
            return "something that one side inserted is not there exactly once"
        return "" if held.keys() <= known | added else "something is there that no side has"

    return _case(_sides(base, ours, theirs), wrong)


def _elements(kind: str, rng: random.Random) -> Iterator[Any]:
    if kind == "strings":
        return (f"{rng.getrandbits(64):016x}" for _ in count())
    return (i if kind == "ints" else {"id": i, "done": False} for i in count())


def _apart(n: int, places: int, rng: random.Random) -> list[int]:
    """Positions below n in random order, with at least two others between any two of them."""
    drawn = sorted(rng.sample(range(n - 2 * places), places))
    return rng.sample([place + 2 * i for i, place in enumerate(drawn)], places)


def _script(base: Sequence[Any], places: Sequence[int], new: Iterator[Any], rng: random.Random) -> Script:
    script: Script = {}
    for place in places:
        kind, old = rng.choice(("insert", "delete", "replace")), base[place]
        changed = {**old, "done": True} if kind == "replace" and isinstance(old, dict) else next(new)
        script[place] = kind, None if kind == "delete" else changed
    return script


def _sides(base: Sequence[Any], ours: Script, theirs: Script) -> list[list[Any]]:
    return [_applied(base, script) for script in ({}, ours, theirs)]


def _applied(base: Sequence[Any], script: Script) -> list[Any]:
    side: list[Any] = []
    for i, old in enumerate(base):
        kind, new = script.get(i, ("keep", None))
        if kind in ("insert", "replace"):
            side.append(new)
        if kind in ("insert", "keep"):
            side.append(old)
    return side


def _contested(mine: Script, other: Script) -> set[Any]:
    """What a side added in a row of removed elements of which the other side removed one, too.

    Such an addition may count as a replacement of what the other side changed, and be a candidate of a conflict.
    """
    found: set[Any] = set()
    row: set[Any] = set()
    hit, then = False, -1
    for i, (kind, new) in mine.items():
        if i != then:
            row, hit = set(), False
        if kind != "delete":
            row.add(new)
        if kind != "insert":
            hit = hit or other.get(i, ("keep", None))[0] in ("delete", "replace")
        if hit:
            found |= row
        then = -1 if kind == "insert" else i + 1  # an insertion stands before an element that stays: the row ends
    return found


# ------------------------------------------------------------------------------------------ texts


def edited_text(lines: int, words: int, edits: int, rng: random.Random) -> Case:
    """A text out of 500 words; each side changes one word in some lines, no two of which are neighbours."""
    known = ["".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 9))) for _ in range(500)]
    base = [rng.choices(known, k=words) for _ in range(lines)]
    places = _apart(lines, 2 * edits, rng)
    scripts: list[Script] = []
    for part in (places[:edits], places[edits:]):
        script: Script = {}
        for place in part:
            line = base[place].copy()
            line[rng.randrange(words)] = f"new{place}"
            script[place] = "replace", line
        scripts.append(script)
    ours, theirs = scripts
    sides = [_text(side) for side in _sides(base, ours, theirs)]
    return _case(sides, _exactly(_text(_applied(base, ours | theirs))))


def _text(lines: Sequence[Sequence[str]]) -> str:
    return "".join(" ".join(line) + "\n" for line in lines)


def real_texts(limit: int | None = None) -> list[tuple[str, Case]]:
    """Real merges of real files, with their names: a right result is what git makes of them, where git is clean."""
    found = json.loads(CORPUS.read_text(encoding="utf-8"))["cases"][:limit]
    return [(c["name"], _case([c[side] for side in SIDES], _like_git(c))) for c in found]


def _like_git(case: dict[str, str]) -> Callable[[Outcome], str]:
    with tempfile.TemporaryDirectory() as folder:
        for side in SIDES:
            Path(folder, side).write_bytes(case[side].encode())
        command = ["git", "merge-file", "-p", "ours", "base", "theirs"]
        git = subprocess.run(command, cwd=folder, capture_output=True)
    if git.returncode:
        return lambda outcome: ""
    return _exactly(git.stdout.decode())
