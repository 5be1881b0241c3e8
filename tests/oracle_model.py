"""The slow model of versions, read from ``../shared/model``, and how it is asked what mergecore is asked.

The model is an oracle of section 2 of the design. It is not copied; what stands here is where it is more general, or
less, than the product: how a strategy's part is asked (the walk's rules, which the model leaves to each function), what
``put`` and ``resolve`` find changed, and a record that may be absent.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mergecore.values import canonical

MODEL = Path(__file__).parents[2] / "shared" / "model" / "versions.py"

UNSET = "~unset"
"""What is not there, as the model has it."""

Flat = Mapping[str, Any]
"""Values by the text of their paths, as the model has them: hashable."""


def _load() -> Any:
    spec = importlib.util.spec_from_file_location("oracle_versions", MODEL)
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.cfg.also_seen, module.cfg.rebase = "carried", True  # the design, as its table of exactness has it
    module.canon = lambda value: canonical(value)  # ties go by the product's canonical order
    assert module.UNSET == UNSET
    return module


M: Any = _load() if MODEL.is_file() else None
NOTHING: Any = None if M is None else M.View(UNSET, frozenset(), frozenset(), False)


# ---- strategies: (base, ours, its stamp, theirs, its stamp, never) -> value and "", "conflict" or "lost"


def asked(decide: Callable[..., Any], bare: bool = False, of_presence: bool = False) -> Any:
    """A part as the walk asks it; ``decide(base, ours, theirs, ours_is_later)`` returns ``None`` where it passes.

    A side that did not change yields, but to a base that is old or was contested (``never``). What says one of the
    sides has chosen, and the other is lost. Of equal sides nothing is asked where
    there is no base at all.
    """

    def strategy(base: Any, ours: Any, at: Any, theirs: Any, other: Any, never: bool) -> tuple[Any, str]:
        if not never and base in (ours, theirs):
            return (theirs if base == ours else ours), ""
        if ours == theirs and (bare or (never and base == UNSET)):
            return ours, ""
        later = ours if at > other else theirs
        if UNSET in (ours, theirs) and not of_presence:  # asked of ``deletes``, and never without conflict or loss
            return later, "conflict"
        value = decide(base, ours, theirs, at > other)
        if value is None:
            return later, "conflict" if ours != theirs else ""
        return value, "lost" if value in (ours, theirs) and ours != theirs else ""

    if bare:
        M.HEADS_ONLY.add(strategy)
    return strategy


def maps(deletes: str) -> Any:
    """Maps by key, as ``three_way()`` has them: what both changed of one key is open, an edit against the deletion of
    one is asked of ``deletes``.
    """

    def strategy(base: Any, ours: Any, at: Any, theirs: Any, other: Any, never: bool) -> tuple[Any, str]:
        was, mine, yours = (dict(() if side == UNSET else side) for side in (base, ours, theirs))
        made, verdict = {}, ""
        for key in was.keys() | mine.keys() | yours.keys():
            b, o, t = (side.get(key, UNSET) for side in (was, mine, yours))
            later = o if at > other else t
            if o == t or (not never and t == b):
                value = o
            elif not never and o == b:
                value = t
            elif UNSET in (o, t):
                edit = t if o == UNSET else o
                value = {"conflict": edit, "edit_wins": edit, "delete_wins": UNSET, "latest": later}[deletes]
                verdict = "conflict" if deletes == "conflict" else verdict or "lost"
            else:
                value, verdict = later, "conflict"
            if value != UNSET:
                made[key] = value
        return frozenset(made.items()), verdict

    return strategy


# ---- reading


def heads_at(v: Any, path: str) -> Any:
    """The heads of a field that is a history."""
    return M.heads(M.state(v, path))


def reading(pol: Any, v: Any, path: str) -> Any:
    """What a field shows. Of a record that may be absent, what an absence has seen is gone where there is more."""
    parent = path.rpartition(".")[0]
    heads = heads_at(v, path) if parent else ()
    alive = frozenset(h for h in heads if not any(has(gone, h.commit.stamp) for gone in absences(v, parent)))
    if not 0 < len(alive) < len(heads):
        return M.raw(pol, v, path)
    return M.view(M.state(v, path), alive, pol.of(path).strategy)


def has(head: Any, stamp: Any) -> bool:
    return bool(head.commit.stamp == stamp or head.commit.seen.has(stamp))


def absences(v: Any, parent: str) -> list[Any]:
    """The heads that say that a record is absent."""
    return [h for h in heads_at(v, parent) if h.value == UNSET]


def shown(pol: Any, v: Any) -> dict[str, Any]:
    """What the record shows, or showed when it was deleted; without the fields of a record that is absent."""
    out = {path: reading(pol, v, path).value for path in pol.fields}
    for parent in pol.nested:
        out[parent] = "here" if absent(pol, v, parent).shown else UNSET
        if out[parent] == UNSET:
            out = {path: value for path, value in out.items() if not path.startswith(parent + ".")}
    return out


class Absent(NamedTuple):
    """What is to be said of a record that may be absent."""

    shown: bool
    open: bool = False
    lost: Any = None
    """The stamp of what lost: the latest of the edits, or of the deletions."""
    gone: bool = False
    """There are edits in it that are not shown: what is said of them, the model does not tell."""


def absent(pol: Any, v: Any, parent: str) -> Absent:
    """An absent record hides what its absence had seen; of what that had not, ``deletes`` decides, as for records.

    But if the absence is in conflict itself, this is the one question; and where all that it had not seen came with
    somebody's record that lost to it, nothing is asked.
    """
    presence, heads = M.raw(pol, v, parent), heads_at(v, parent)
    gone = absences(v, parent)
    held = [s for p, (kind, state) in v.fields.items() if p.startswith(parent + ".") for s in M.stamps_of(kind, state)]
    edits = [s for s in held if not any(has(h, s) for h in gone)]
    if presence.value != UNSET or not edits:
        return Absent(presence.value != UNSET)
    if presence.cands or all(any(has(h, s) for h in heads) for s in edits):
        return Absent(False, gone=True)
    edit, deletion = max(edits), max(h.commit.stamp for h in gone)
    stays = pol.deletes in ("conflict", "edit_wins") or (pol.deletes == "latest" and edit > deletion)
    is_open = pol.deletes == "conflict"
    return Absent(stays, is_open, None if is_open else deletion if stays else edit, not stays)


# ---- writing


def new(pol: Any, clock: Any, flat: Flat, by: str | None) -> Any:
    """A first version. That a record is absent is written, too."""
    stamp = clock.tick()
    v = M.V("r", stamp, M.VV(), {}, frozenset())
    return M._commit(pol, v, M.Commit(stamp, M.VV(), by), dict(flat))


def edit(pol: Any, v: Any, clock: Any, changes: Flat, by: str | None, closed: Any) -> Any:
    """What stays as it is, is not written: but where several heads are, that settles them."""
    now = shown(pol, v)
    made = {
        path: value
        for path, value in changes.items()
        if value != now.get(path, UNSET)
        or (path not in pol.nested and pol.of(path).kind == "hist" and len(heads_at(v, path)) > 1)
    }
    return M.edit(pol, v, clock, made, by, closed) if made else v


def changed(pol: Any, old: Flat, flat: Flat) -> dict[str, Any]:
    """What ``put`` finds: fields of an absent record stay what they are, and one that becomes present is written
    whole.
    """
    born = [p for p in pol.nested if old[p] == UNSET != flat[p]]
    return {p: x for p, x in flat.items() if x != old.get(p, UNSET) or any(p.startswith(f"{b}.") for b in born)}


def put(pol: Any, v: Any, clock: Any, flat: Flat, base: Any, by: str | None, closed: Any) -> Any:
    """``base``: ``None``, a version, or the values of a plain record.

    Unlike the model's, also of fields that keep no base: what has not moved on since ``base`` is an ordinary edit, and
    so is what the value API settles, where nothing is lost yet. If that is what is shown already, nothing is written.
    What was lost in a record that is absent stays beside what is written there.
    """
    plain = isinstance(base, dict)
    ref: Any = None if plain else v if base is None else base
    old = base if plain else shown(pol, ref)
    changes = changed(pol, old, flat)
    if ref is v:
        return M._commit(pol, v, M.Commit(clock.tick(v.seen), v.seen, by), changes, closed=closed) if changes else v
    there = shown(pol, v)
    easy: dict[str, Any] = {}
    hard: dict[str, Any] = {}
    given: dict[str, tuple[Any, ...]] = {}
    for path, value in changes.items():
        field, was = pol.of(path), old.get(path, UNSET)
        if field.kind != "hist":
            (easy if plain else hard)[path] = value
            given[path] = (was,)
            continue
        now = seen(pol, v, path)
        inside = [p for p in v.fields if path in pol.nested and value == UNSET and p.startswith(path + ".")]
        if any(
            there.get(p, UNSET) != old.get(p, UNSET) if plain else heads_at(v, p) != heads_at(ref, p) for p in inside
        ):  # who takes a record away has seen no more of it than the base shows
            hard[path] = value
            continue
        if path not in there and is_buried(v, path) and (plain or heads_at(v, path) != heads_at(ref, path)):
            hard[path] = value
            given[path] = (was, None, False)
            continue
        trusted = not (now.cands or now.lost or now.old)
        if plain:
            stands = there.get(path, UNSET) == was
        else:
            stands = heads_at(v, path) == heads_at(ref, path)
            stands = stands or now is seen(pol, ref, path) is NOTHING
            trusted = trusted and not seen(pol, ref, path).cands
        if stands:
            easy[path] = value
            continue
        top = max((h.commit.stamp for h in heads_at(v, path)), default=(0, 0, ""))
        merged, verdict = field.strategy(was, now.value, top, value, (top[0] + 1, 0, ""), False)
        if not trusted or verdict:
            hard[path] = value
            given[path] = (was, None, False)
        elif merged != now.value:
            easy[path] = merged
    known = given if plain else {}
    if hard:
        commit = M.Commit(clock.tick(v.seen), M.VV() if plain else ref.seen, by)
        v = M._commit(pol, v, commit, hard, ref=ref, given=known, closed=True)
    if easy:
        known = {path: known[path] for path in easy if path in known}
        v = M._commit(pol, v, M.Commit(clock.tick(v.seen), v.seen, by), easy, given=known, closed=True)
    return v


def is_buried(v: Any, path: str) -> bool:
    """Whether something was written in a record that is absent, that nobody had seen who took it away."""
    gone = absences(v, path.rpartition(".")[0])
    return any(not any(has(g, h.commit.stamp) for g in gone) for h in heads_at(v, path))


def seen(pol: Any, v: Any, path: str) -> Any:
    """What is seen of a field: nothing below a record that is absent."""
    return M.raw(pol, v, path) if path in shown(pol, v) else NOTHING


def resolve(pol: Any, v: Any, clock: Any, changes: Flat, ref: Any, by: str | None, deleted: Iterable[bool] = ()) -> Any:
    """Each field whole, as somebody wrote it who had seen ``ref``; and, answered with it, whether it is deleted."""
    commit = M.Commit(clock.tick(v.seen), ref.seen, by)
    return M._commit(pol, v, commit, changes, ref=ref, closed=True, dels=[(None, flag) for flag in deleted])


def unsettled(pol: Any, v: Any, flat: Flat) -> dict[str, Any]:
    """What an answer that is a whole record writes: what is otherwise, and what has several heads; whether a record is
    there is said again.
    """
    return {
        path: value
        for path, value in flat.items()
        if path in pol.nested
        or value != M.raw(pol, v, path).value
        or (pol.of(path).kind == "hist" and len(heads_at(v, path)) > 1)
    }
