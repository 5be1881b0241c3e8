"""nbdime, the merge of Jupyter's notebooks, by its generic merge of JSON.

It merges dictionaries, lists by element, and texts by line. A conflict is a decision that it leaves to the caller; here
each is settled as the times say.
"""

from __future__ import annotations

from typing import Any

from nbdime.merging.decisions import apply_decisions  # type: ignore[import-untyped]
from nbdime.merging.generic import decide_merge  # type: ignore[import-untyped]

NAME = "nbdime"
PACKAGE = "nbdime"


def merge_record(base: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]) -> Any:
    decisions = decide_merge(base, ours, theirs)
    for decision in decisions:
        if decision.conflict:
            decision.action = "remote"
    return apply_decisions(base, decisions)
