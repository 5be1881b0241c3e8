"""Group ``records``: one flat record, its shape drawn: through ``merge()``, and by a policy bound to its class.

The unit is D, one decode of the very record from MessagePack by msgspec. The peers merge dictionaries; beside Structs
they get the same record as dictionaries, made outside of what is timed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from mergecore import Merged, Policy, merge

from . import typical
from .peers import AT, Contender, Outcome, contender, dictionaries, for_records, loop_
from .peers.mergecore_ import merge_at, outcome
from .report import Target, Targets
from .running import Run
from .shapes import Record, draw_record, draw_row

__all__ = ["BOUND", "LOOP", "MERGE", "D", "bound", "decode", "measure"]

MERGE, BOUND = "mergecore merge()", "mergecore bound"
D, LOOP = "decode (D)", loop_.NAME

PEERS: Targets = {"dictdiffer": 1 / 40, "nbdime": 1 / 120, "deepdiff Delta": 1 / 120}
"""Of the time of each, where they are measured."""


def measure(run: Run) -> None:
    for fields in (5, 20) if run.smoke else (5, 20, 50, 200):
        _structs(run, fields)
        _unchanged(run, fields)
        _dictionaries(run, fields)
    _function(run)
    typical.measure(run)


def _structs(run: Run, fields: int) -> None:
    others = for_records(run.peers) if fields == 20 else []

    def contenders(record: Record) -> list[Contender]:
        return [
            contender(MERGE, merge_at, outcome),
            contender(BOUND, bound(record), outcome),
            decode(record),
            contender(LOOP, loop_.merge_struct),
            *others,
        ]

    run.case(
        f"a Struct of {fields} fields, a third changed, one on both sides",
        lambda rng: draw_record(draw_row(fields, rng), rng, round(fields / 3) - 1),
        contenders,
        {(MERGE, D): Target(2.5, 0.3e-6, 2.0), (BOUND, D): Target(2.1, aim=1.7), **PEERS},
        LOOP,
    )


def _unchanged(run: Run, fields: int) -> None:
    def contenders(record: Record) -> list[Contender]:
        return [
            contender(MERGE, merge, outcome),
            contender(BOUND, Policy().bind(record.model), outcome),
            decode(record),
            Contender("compared, and a Merged made", _compared, lambda result, check: "", is_limit=True),
            contender(LOOP, loop_.merge_struct),
        ]

    run.case(
        f"a Struct of {fields} fields, nothing changed",
        lambda rng: draw_record(draw_row(fields, rng), rng, 0, 0),
        contenders,
        {(MERGE, D): Target(1.0, 0.3e-6, 0.6), (BOUND, D): Target(0.75, aim=0.55)},
        LOOP,
    )


def _dictionaries(run: Run, fields: int) -> None:
    others = for_records(run.peers) if fields == 20 else []

    def contenders(record: Record) -> list[Contender]:
        return [
            contender(MERGE, merge_at, outcome, dictionaries),
            decode(record, msgspec.msgpack.decode),
            contender(loop_.STRICT, loop_.merge_strict, inputs=dictionaries)._replace(is_limit=True),
            contender(LOOP, loop_.merge_record, inputs=dictionaries),
            *others,
        ]

    run.case(
        f"a dictionary of {fields}, a third changed, one on both sides",
        lambda rng: draw_record(draw_row(fields, rng), rng, round(fields / 3) - 1),
        contenders,
        {(MERGE, D): Target(4.0, aim=3.0), **PEERS},
        LOOP,
    )


def _nothing(*asked: Any) -> Any:
    """Nobody asks this one again."""


def _compared(base: Any, ours: Any, theirs: Any) -> Any:
    """The least that a merge of records can do, where nothing changed and nothing is spelled in two ways."""
    return Merged(ours, (), _nothing, base, ours, theirs) if theirs == base else None


def _function(run: Run) -> None:
    """What a user's function costs beside itself: at most D for each field that is in conflict."""
    alone = "D and the call, for each"

    def contenders(record: Record) -> list[Contender]:
        policy = Policy(fields=dict.fromkeys(record.contested, _together))

        def inputs(record: Record) -> tuple[Any, ...]:
            sides = [[getattr(side, name) for (name,) in record.contested] for side in record.inputs()]
            return record.decode, record.base, list(zip(*sides))

        return [
            contender(MERGE, lambda base, ours, theirs: merge(base, ours, theirs, policy=policy), outcome),
            contender(BOUND, policy.bind(record.model), outcome),
            Contender(alone, _calls, lambda result, check: "", inputs=inputs),
        ]

    run.case(
        "a Struct of 20 fields, a user's function for each that both sides changed",
        lambda rng: draw_record(draw_row(20, rng), rng, 0, None, _together),
        contenders,
        {alone: 1.0},
        alone,
    )


def _together(base: Any, ours: Any, theirs: Any) -> Any:
    return ours + theirs


def _calls(decode: Callable[[bytes], Any], record: bytes, fields: Sequence[tuple[Any, Any, Any]]) -> None:
    for base, ours, theirs in fields:
        _together(base, ours, theirs)
        decode(record)


# ------------------------------------------------------------------------------------------ rows


def bound(record: Record) -> Callable[[Any, Any, Any], Any]:
    """A merger made once for the record's class; theirs is later."""
    merger = Policy().bind(record.model)
    return lambda base, ours, theirs: merger(base, ours, theirs, at=AT)


def decode(record: Record, run: Callable[[bytes], Any] | None = None) -> Contender:
    """D: to a Struct, if nothing else is said."""

    def wrong(result: Any, check: Callable[[Outcome], str]) -> str:
        return "" if msgspec.msgpack.encode(result) == record.base else "not what was encoded"

    return Contender(D, run or record.decode, wrong, inputs=lambda record: (record.base,))
