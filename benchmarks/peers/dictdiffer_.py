"""dictdiffer, by its ``Merger``: the patches of both sides are put together, and applied to the base.

A conflict is two patches of one path; an action for the path takes one of them. Lists go by position: what one side
inserts moves what the other one changes.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from dictdiffer import patch  # type: ignore[import-untyped]
from dictdiffer.merge import Merger  # type: ignore[import-untyped]

NAME = "dictdiffer"
PACKAGE = "dictdiffer"


def _take_theirs(conflict: Any, *_: Any) -> bool:
    conflict.take = "s"
    return True


_ACTIONS: defaultdict[Any, Any] = defaultdict(lambda: _take_theirs)


def merge_record(base: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]) -> Any:
    merger = Merger(base, ours, theirs, _ACTIONS)
    merger.run()
    return patch(merger.unified_patches, base)
