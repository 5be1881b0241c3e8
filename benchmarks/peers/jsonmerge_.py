"""jsonmerge, which puts one document after another over a first one, by strategies in a JSON schema.

It has no common ancestor: it cannot tell what a side changed from what the side merely has, so what ours alone changed
is back at the base's value: wrong. It deletes nothing either.
"""

from __future__ import annotations

from typing import Any

from jsonmerge import merge  # type: ignore[import-untyped]

NAME = "jsonmerge"
PACKAGE = "jsonmerge"


def merge_record(base: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]) -> Any:
    return merge(merge(base, ours), theirs)
