"""json-merge-patch, which is RFC 7386: a patch from the base to each side, and both applied to the base.

It knows no conflicts: of what both changed the second patch wins, which here is the later one. In a patch ``null`` says
that a field is deleted, so a field that becomes ``null`` is gone: wrong. A list is one value. The base is changed in
place, which costs it no copy.
"""

from __future__ import annotations

from typing import Any

from json_merge_patch import create_patch, merge  # type: ignore[import-untyped]

NAME = "json-merge-patch"
PACKAGE = "json-merge-patch"


def merge_record(base: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]) -> Any:
    return merge(base, create_patch(base, ours), create_patch(base, theirs))
