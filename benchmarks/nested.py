"""Group ``nested``: records in records, 100 leaves in all, their shape drawn: as Structs, and as dictionaries.

No slower than the hand-written loop, which goes down into what both sides changed, and nowhere else.
"""

from __future__ import annotations

import random

import msgspec

from .peers import Contender, contender, dictionaries, for_records, loop_
from .peers.mergecore_ import merge_at, outcome
from .records import BOUND, LOOP, MERGE, bound, decode
from .running import Run
from .shapes import Record, draw_record, draw_tree

__all__ = ["measure"]


def measure(run: Run) -> None:
    leaves = 30 if run.smoke else 100

    def draw(rng: random.Random) -> Record:
        return draw_record(draw_tree(leaves, rng), rng, leaves // 3 - 1)

    def structs(record: Record) -> list[Contender]:
        return [
            contender(MERGE, merge_at, outcome),
            contender(BOUND, bound(record), outcome),
            decode(record),
            contender(LOOP, loop_.merge_struct),
        ]

    def dicts(record: Record) -> list[Contender]:
        return [
            contender(MERGE, merge_at, outcome, dictionaries),
            decode(record, msgspec.msgpack.decode),
            contender(loop_.STRICT, loop_.merge_strict, inputs=dictionaries)._replace(is_limit=True),
            contender(LOOP, loop_.merge_record, inputs=dictionaries),
            *for_records(run.peers, nested=True),
        ]

    changed = f"{leaves} leaves, a third changed, one on both sides"
    run.case(f"Structs in Structs, {changed}", draw, structs, {LOOP: 1.0}, LOOP)
    run.case(f"dictionaries in dictionaries, {changed}", draw, dicts, {LOOP: 1.0}, LOOP)
