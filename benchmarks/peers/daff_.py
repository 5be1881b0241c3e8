"""daff, which merges tables: here one with a row for each field, of its name and its value.

A conflict is a cell that shows all three values, and is listed; here each is settled as the times say. It compares
cells as text: that theirs changed ``1`` to ``"1"`` it does not see. It guesses which rows belong together. Nothing
nested: a field is one cell.
"""

from __future__ import annotations

from typing import Any

from daff import CompareFlags, Merger, PythonTableView  # type: ignore[import-untyped]

NAME = "daff"
PACKAGE = "daff"


def merge_flat(base: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    tables = [[["field", "value"], *map(list, side.items())] for side in (base, ours, theirs)]
    merger = Merger(*map(PythonTableView, tables), CompareFlags())
    merged = tables[1]
    if merger.apply():
        for conflict in merger.getConflictInfos():
            merged[conflict.row][1] = theirs[merged[conflict.row][0]]
    return dict(merged[1:])
