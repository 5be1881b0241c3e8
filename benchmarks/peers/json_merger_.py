"""json-merger, which merges the records of a library of papers, by a fork of dictdiffer.

Where both sides changed a field it keeps the one that it is told to prefer, and reports the other as a conflict. It
matches the elements of lists by comparators that the caller writes; told to keep both sides' elements, as here, it
loses their order, and what a side deleted is back. It copies each side several times. GPL.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from json_merger import Merger  # type: ignore[import-untyped]
from json_merger.config import DictMergerOps, UnifierOps  # type: ignore[import-untyped]
from json_merger.errors import MergeError  # type: ignore[import-untyped]

NAME = "json-merger"
PACKAGE = "json-merger"


def merge_record(base: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]) -> Any:
    merger = Merger(
        base,
        ours,
        theirs,
        DictMergerOps.FALLBACK_KEEP_UPDATE,
        UnifierOps.KEEP_UPDATE_AND_HEAD_ENTITIES_HEAD_FIRST,
    )
    with suppress(MergeError):  # lists the conflicts; the record is there all the same
        merger.merge()
    return merger.merged_root
