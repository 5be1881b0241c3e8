"""What a field shows: its heads, merged.

The heads are folded in stamp order, each step a merge of what was folded so far with the next head, from the deepest
base that lies in both pasts. The walk of ``merge()`` does every step. Imports ``errors``, ``history``, ``layout``,
``paths``, ``policy``, ``strategies``, ``times``, ``values``, ``vectors``, ``walk`` and ``wire``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from .clock import Timestamp
from .history import History, Write, heads_of
from .layout import asks_base, typed
from .paths import ORDER, Path, Slice, format_path
from .policy import Rule
from .strategies import Candidate, Conflict
from .times import Times
from .values import UNSET, Kinds, Sides, as_map, canonical, check_value, equal, same
from .vectors import VersionVector
from .walk import Question, Verdict, Walk
from .wire import plain

__all__ = [
    "NOTHING",
    "Explanation",
    "Lost",
    "Step",
    "View",
    "at_path",
    "losers_of",
    "merge_step",
    "name_of",
    "steps",
    "view",
    "view_of",
]


class Lost(msgspec.Struct, frozen=True):
    """A concurrent value that lost: ``edit`` brings it back, ``resolve`` of the path drops it."""

    path: Path
    value: Any
    stamp: Timestamp
    by: str | None
    """The person who wrote it; ``stamp.node`` is the device."""
    decided_by: str
    """The part of the strategy that decided."""
    beaten_by: Timestamp
    """What won over it."""


class Step(msgspec.Struct, frozen=True):
    """One merge on the way to what a field shows."""

    base: Any
    base_is: Literal["ancestor", "contested", "old", "none"]
    """``ancestor``: the whole common past; ``contested``: it was itself in conflict; ``old``: not the whole, so that
    no side yields; ``none``: nobody asks for one."""
    why: str
    """Where the base comes from."""
    ours: Candidate
    """What was folded so far, with the stamp of its latest part."""
    theirs: Candidate
    """The next head."""
    verdicts: tuple[Verdict, ...]


class Explanation(msgspec.Struct, frozen=True):
    """Why a field shows what it shows."""

    path: Path
    value: Any
    heads: tuple[Candidate, ...]
    """What is concurrent: value, stamp, node and person of each. (Of a counter, the nodes' last changes.)"""
    steps: tuple[Step, ...]
    """How the heads were merged, one after the other."""
    conflicts: tuple[Conflict, ...]
    lost: tuple[Lost, ...]

    def __str__(self) -> str:
        lines = [f"{format_path(self.path) or 'the record'} shows {self.value!r}"]
        lines += [f"  written {c.stamp}{f' by {c.by}' if c.by else ''}: {c.value!r}" for c in self.heads]
        for step in self.steps:
            lines.append(f"  {step.ours.value!r} met {step.theirs.value!r}")
            if step.base_is != "none":
                lines.append(f"    base ({step.base_is}) {step.base!r}: {step.why}")
            lines += [
                f"    {format_path(v.path)}: {v.decided_by}: {v.value!r}{f' ({v.reason})' if v.reason else ''}"
                for v in step.verdicts
            ]
        lines += [f"  open at {format_path(c.path)}: {c.reason}" for c in self.conflicts]
        lines += [f"  lost at {format_path(x.path)}: {x.value!r} of {x.stamp}, by {x.decided_by}" for x in self.lost]
        return "\n".join(lines)


class View(msgspec.Struct, gc=False):
    """What a field shows."""

    made: Any
    stored: Any
    """What it shows, plain."""
    conflicts: tuple[Conflict, ...] = ()
    lost: tuple[Lost, ...] = ()
    old: bool = False
    """An older base was met, here or in a base."""
    stamp: Timestamp | None = None
    """The stamp of what is shown, as far as it is one head's."""
    rule: Rule | None = None
    """What its value is still to be made by: of one head, few ask for it."""
    path: Path = ()

    @property
    def value(self) -> Any:
        """What it shows, as a value of the field's type. Raises ``InvalidInput`` where what is stored is none."""
        if (rule := self.rule) is not None:
            self.made, self.rule = typed(rule, self.path, self.stored), None
        return self.made


NOTHING = View(UNSET, UNSET)
"""What a field shows that nobody has written."""


def name_of(stamp: Timestamp) -> str:
    """The name of a node, without its incarnation."""
    return stamp.node.partition("~")[0]


def view(history: History, rule: Rule, path: Path, answers: Mapping[Path, Any] | None = None) -> View:
    """What a field shows under a strategy. Of several heads it is kept, but for answers: those are consulted as
    ``Merged.resolve`` does.
    """
    if answers:
        return _Fold(history, rule, path).view(history.heads, answers=answers)
    if history.bare is not None:
        commit, value = history.bare
        return View(UNSET, value, (), (), False, commit.stamp, rule, path)
    heads = history.heads
    if len(heads) < 2:
        return View(UNSET, heads[0].value, (), (), False, heads[0].stamp, rule, path) if heads else NOTHING
    found = history.views.get(rule)
    if found is None:
        found = history.views[rule] = _Fold(history, rule, path).view(heads)
    return found


def steps(history: History, rule: Rule, path: Path) -> tuple[Step, ...]:
    """How it came to what it shows."""
    fold = _Fold(history, rule, path)
    found: list[Step] = []
    fold.view(history.heads, found)
    return tuple(found)


def view_of(history: History, rule: Rule, path: Path, heads: Sequence[Write]) -> View:
    """What some writes of a field would show if they were its heads."""
    return _Fold(history, rule, path).view(heads)


class _Fold:
    """One field's heads on their way to what it shows."""

    def __init__(self, history: History, rule: Rule, path: Path) -> None:
        self.writes, self.rule, self.path = history.writes, rule, path
        self.by = {write.stamp: write for write in self.writes}
        self.memo: dict[frozenset[int], View] = {}

    def view(
        self, heads: Sequence[Write], steps: list[Step] | None = None, answers: Mapping[Path, Any] | None = None
    ) -> View:
        """The fold of these heads, in stamp order. Answers are about them, and not about what their bases show."""
        if not heads:
            return NOTHING
        key = frozenset(map(id, heads))
        if key in self.memo and steps is None and answers is None:
            return self.memo[key]
        first, *others = heads
        value = typed(self.rule, self.path, first.value)
        shown = View(value, first.value, stamp=first.stamp)
        said = _Said(self.path, heads, self.typed)
        done = _Past(first)
        for head in others:
            shown = self.step(shown, done, head, said, steps, answers if len(heads) == 2 and answers else {})
            done.add(head)
        if others:
            stored = next((w.value for w in heads if same(self.typed(w), shown.value)), None)
            stored = plain(shown.value) if stored is None and shown.value is not UNSET else stored
            stored = UNSET if shown.value is UNSET else stored
            shown.stored, shown.conflicts, shown.lost = stored, said.conflicts(shown.value), tuple(said.lost)
        if answers is None:
            self.memo[key] = shown
        return shown

    def typed(self, write: Write) -> Any:
        return typed(self.rule, self.path, write.value)

    def step(
        self,
        shown: View,
        done: _Past,
        head: Write,
        said: _Said,
        steps: list[Step] | None,
        answers: Mapping[Path, Any],
    ) -> View:
        """One head more."""
        theirs, stamp = self.typed(head), shown.stamp
        assert stamp is not None
        base: Any = UNSET
        base_is: Literal["ancestor", "contested", "old", "none"] = "none"
        why = ""
        reused = head.stamp in done.stamps
        if not reused and asks_base(self.rule, shown.value, theirs):
            base, base_is, why = self.base(done, head)
        sides = Sides(base, shown.value, theirs)
        verdicts: list[Verdict] = []
        single = len(said.heads) == 2
        value, conflicts = merge_step(self.rule, self.path, sides, (stamp, head.stamp), base_is, answers, verdicts)
        if (base_is == "old" or reused) and self.path not in answers:
            reason = "one stamp, two values: a node's name was used twice" if reused else "old base"
            said.whole(sides, value, (stamp, head.stamp), str(self.rule.strategy), reason)
        else:
            for conflict in conflicts:
                said.conflict(conflict, single, sides, value, (stamp, head.stamp))
            said.losers(verdicts, single, sides, (stamp, head.stamp))
        if steps is not None:
            mine = Candidate(shown.value, stamp, name_of(stamp), said.by.get(stamp))
            other = Candidate(theirs, head.stamp, name_of(head.stamp), head.commit.by)
            steps.append(Step(base, base_is, why, mine, other, tuple(verdicts)))
        if equal(value, theirs) or not equal(value, shown.value):
            stamp = max(stamp, head.stamp)
        return View(value, UNSET, old=shown.old or base_is == "old", stamp=stamp)

    # ---- the base of a step

    def base(self, done: _Past, head: Write) -> tuple[Any, Any, str]:
        """The deepest base in both pasts: its value, how far it is to be trusted, and where it comes from.

        Candidates are retained writes inside both pasts (several: their own view, as git's recursive merge does for a
        criss-cross), and the carried base of a write whose ``after`` lies inside both.
        """
        one = _Past(head)
        options: list[tuple[tuple[Timestamp, ...], bool, Any]] = []
        shared = heads_of([w for w in self.writes if done.has(w.stamp) and one.has(w.stamp)])
        if shared:
            options.append((_deepness(w.stamp for w in shared), True, shared))
        for w in self.writes:
            if w.based and w.after is not None and all(done.has(s) and one.has(s) for s in w.after):
                options.append((_deepness(w.after), False, w))
        unknown = [w for w in (*done.heads, head) if w.based and w.after is None]
        if unknown:  # a plain record that nobody knows: its own base, never trusted
            return typed(self.rule, self.path, unknown[-1].base), "old", "what a plain record was said to be based on"
        if not options:
            return UNSET, "old", "no base is left that both sides have in common"
        at, retained, found = max(options, key=lambda option: option[:2])
        if not retained:
            equals = [w for deep, kept, w in options if deep == at and not kept]
            found = max(equals, key=lambda w: (canonical(w.value), w.key)) if len(equals) > 1 else found
        if retained:
            below = self.view(tuple(found))
            value, contested, old = below.value, bool(below.conflicts), below.old
            why = f"written at {' and '.join(str(w.stamp) for w in found)}, which both sides have seen"
        else:
            value, contested, old = typed(self.rule, self.path, found.base), found.contested, False
            why = f"what {found.stamp} was looking at"
        exact = self.reaches(one, done, at) or self.reaches(done, one, at)
        if not exact and not retained:
            exact = _covers_the_meet(found, done, one)
        if old or not exact:
            return value, "old", f"{why}; both sides have more than that in common"
        return value, "contested" if contested else "ancestor", why

    def reaches(self, start: _Past, other: _Past, base: Sequence[Timestamp]) -> bool:
        """Whether every way down by ``after`` from one side into the other's past ends at the base, or below it."""
        todo: list[Timestamp | None] = []
        for w in start.heads:
            todo += [w.stamp] if other.has(w.stamp) else _below(w, other)
        done: set[Timestamp] = set()
        ends: set[Timestamp] = set()
        while todo:
            stamp = todo.pop()
            if stamp is None:
                return False
            if stamp in done:
                continue
            done.add(stamp)
            if other.has(stamp):
                ends.add(stamp)
            elif stamp not in self.by:
                return False
            else:
                todo += _below(self.by[stamp], other)
        below = [self.by[stamp] for stamp in base if stamp in self.by]
        return all(stamp in base or any(w.seen.covers(stamp) for w in below) for stamp in ends)


class _Past:
    """The past of some writes: their stamps, what they have seen, and what they replaced."""

    def __init__(self, first: Write) -> None:
        self.heads: list[Write] = []
        self.stamps: set[Timestamp] = set()
        self.replaced: set[Timestamp] = set()
        self.seen: dict[str, Timestamp] = {}
        self.own: dict[str, list[Timestamp]] = {}
        self.add(first)

    def add(self, head: Write) -> None:
        self.heads.append(head)
        self.stamps.add(head.stamp)
        self.replaced.update(head.after or ())
        self.own.setdefault(head.node, []).append(head.stamp)
        for node, stamp in head.seen.items():
            if node not in self.seen or self.seen[node] < stamp:
                self.seen[node] = stamp

    def has(self, stamp: Timestamp) -> bool:
        """Whether a stamp lies in it."""
        highest = self.seen.get(stamp.node)
        return (highest is not None and highest >= stamp) or stamp in self.stamps or stamp in self.replaced

    def known_of(self, run: Write) -> list[Timestamp]:
        """The stamps of a run, before its last, that it knows: its own, and the highest that each of its heads saw."""
        found = [s for s in self.own.get(run.node, ()) if run.first <= s < run.stamp]
        for head in self.heads:
            seen = head.seen.get(run.node)
            if seen is not None and run.first <= seen < run.stamp:
                found.append(seen)
        return found

    def all_seen(self) -> VersionVector:
        """All that lies in it, as a vector."""
        return VersionVector([*self.seen.values(), *self.stamps])


def _deepness(stamps: Iterable[Timestamp]) -> tuple[Timestamp, ...]:
    return tuple(sorted(stamps, reverse=True))


def _below(write: Write, other: _Past) -> Sequence[Timestamp | None]:
    """The stamps under a write. Of a run that the other side has seen a part of, that part is under it."""
    if not write.based or write.after is None:
        return [None]
    part = other.known_of(write) if write.first != write.stamp else []
    return [max(part)] if part else write.after


def _covers_the_meet(write: Write, done: _Past, head: _Past) -> bool:
    """Whether all that both pasts have in common was seen by the commit that carried a base, and is not of its run."""
    meet = done.all_seen() & head.all_seen()
    return meet <= write.seen and not (write.node in meet and meet[write.node] >= write.first)


def merge_step(
    rule: Rule,
    path: Path,
    sides: Sides,
    stamps: tuple[Timestamp, Timestamp],
    base_is: Literal["ancestor", "contested", "old", "none"],
    answers: Mapping[Path, Any],
    verdicts: list[Verdict],
) -> tuple[Any, list[Conflict]]:
    """One merge of typed values at a field: the value shown, and the open conflicts."""
    kinds: Kinds = {}
    for side in sides:
        check_value(side, "what is stored", kinds)
    at = Times(stamps[0], "ours"), Times(stamps[1], "theirs")
    names = name_of(stamps[0]), name_of(stamps[1])
    known = base_is in ("ancestor", "contested")
    asked = Question(sides, rule, names, at, kinds, "old" if base_is == "none" else base_is, known)
    walk = Walk(asked, answers, verdicts)
    value = walk.node(rule, path, sides)
    return value, walk.conflicts


class _Said:
    """What the steps of a fold said: open conflicts by their paths, and what was lost."""

    def __init__(self, path: Path, heads: Sequence[Write], typed: Any) -> None:
        self.path, self.heads, self.typed = path, heads, typed
        self.open: dict[Path, Conflict] = {}
        self.lost: list[Lost] = []
        self.by = {head.stamp: head.commit.by for head in heads}

    def conflict(
        self, found: Conflict, single: bool, sides: Sides, value: Any, stamps: tuple[Timestamp, Timestamp]
    ) -> None:
        """An open conflict of one step. Places in a text or a list mean nothing to other steps: there, it is about the
        whole.
        """
        if not single and (at := _stable(found.path, len(self.path), sides)) != found.path:
            rest = at[len(self.path) :]
            cut = Sides(*(at_path(side, rest) for side in sides))
            self.whole(cut, at_path(value, rest), stamps, found.strategy, found.reason, at)
            return
        if single:
            said = (
                c if c.stamp is None else msgspec.structs.replace(c, by=self.by.get(c.stamp)) for c in found.candidates
            )
        else:
            rest = found.path[len(self.path) :]
            said = (self.signed(c.value, c.stamp, rest) for c in found.candidates)
        self.add(msgspec.structs.replace(found, candidates=tuple(said)))

    def signed(self, value: Any, stamp: Timestamp | None, rest: Path = ()) -> Candidate:
        """A value with the head that says it, at a path below; what several heads were merged to is nobody's."""
        authors = [h for h in self.heads if equal(at_path(self.typed(h), rest), value)]
        head = next((h for h in authors if h.stamp == stamp), authors[-1] if authors else None)
        if head is None:
            return Candidate(value, None, "merged")
        return Candidate(value, head.stamp, name_of(head.stamp), head.commit.by)

    def whole(
        self,
        sides: Sides,
        value: Any,
        stamps: tuple[Timestamp, Timestamp],
        strategy: str,
        reason: str,
        path: Path | None = None,
    ) -> None:
        """An open conflict of both sides as they are; what was made of them is a candidate, too."""
        path = self.path if path is None else path
        rest = path[len(self.path) :]
        made = [self.signed(side, stamp, rest) for side, stamp in zip(sides[1:], stamps)]
        if not any(equal(value, c.value) for c in made):
            made.append(self.signed(value, None, rest))
        self.add(Conflict(path, sides.base, tuple(made), strategy, reason))

    def add(self, conflict: Conflict) -> None:
        """Of one path there is one conflict; and none lies within another."""
        path = conflict.path
        if (had := self.open.get(path)) is not None:
            candidates = (*had.candidates, *conflict.candidates)
            reason = had.reason if conflict.reason == had.reason else f"{had.reason}; {conflict.reason}"
            self.open[path] = msgspec.structs.replace(had, candidates=candidates, reason=reason)
            return
        if any(path[: len(other)] == other or other[: len(path)] == path for other in self.open):
            whole = [Candidate(self.typed(h), h.stamp, name_of(h.stamp), h.commit.by) for h in self.heads]
            reason = "; ".join(dict.fromkeys([*(c.reason for c in self.open.values()), conflict.reason]))
            self.open = {self.path: Conflict(self.path, conflict.base, tuple(whole), conflict.strategy, reason)}
            return
        self.open[path] = conflict

    def losers(
        self, verdicts: Sequence[Verdict], single: bool, sides: Sides, stamps: tuple[Timestamp, Timestamp]
    ) -> None:
        """What lost in one step; of several, places in a text or a list are of the whole, as those of conflicts."""
        for verdict in verdicts:
            path = verdict.path if single else _stable(verdict.path, len(self.path), sides)
            for found in losers_of(verdict, stamps, self.by):
                if path != verdict.path:
                    side = sides.theirs if found.stamp == stamps[1] else sides.ours
                    found = msgspec.structs.replace(found, path=path, value=at_path(side, path[len(self.path) :]))
                if found not in self.lost:
                    self.lost.append(found)

    def conflicts(self, shown: Any) -> tuple[Conflict, ...]:
        """The open conflicts, each with every candidate once, the larger first; what is shown is one of them."""
        found = []
        for conflict in self.open.values():
            held: list[Candidate] = []
            candidates = list(conflict.candidates)
            if conflict.path == self.path and not any(equal(shown, c.value) for c in candidates):
                candidates.append(Candidate(shown, None, "merged"))
            for c in candidates:
                if not any(equal(c.value, other.value) and c.stamp in (other.stamp, None) for other in held):
                    held.append(c)
            held.sort(key=lambda c: (canonical(c.value), c.id), reverse=True)
            found.append(msgspec.structs.replace(conflict, candidates=tuple(held)))
        return tuple(found)


def losers_of(
    verdict: Verdict, stamps: tuple[Timestamp, Timestamp], by: Mapping[Timestamp, str | None]
) -> Iterator[Lost]:
    """What a verdict says was lost, each beaten by the other of the two stamps; ``by`` are their authors."""
    for c in verdict.lost:
        if c.stamp is not None:
            winner = stamps[0] if c.stamp == stamps[1] else stamps[1]
            yield Lost(verdict.path, c.value, c.stamp, by.get(c.stamp), verdict.decided_by, winner)


def _stable(path: Path, start: int, sides: Sides) -> Path:
    """A path up to the first step that is a place in a text or in a list, or the order of one."""
    held: Any = sides.ours
    for n in range(start, len(path)):
        step = path[n]
        if isinstance(step, Slice) or step is ORDER or as_map(held) is None:
            return path[:n]
        held = (as_map(held) or {}).get(step, UNSET)
    return path


def at_path(value: Any, path: Path) -> Any:
    """What records and maps hold at a path of names and keys; ``UNSET`` where there is nothing."""
    for step in path:
        value = (as_map(value) or {}).get(step, UNSET)
    return value
