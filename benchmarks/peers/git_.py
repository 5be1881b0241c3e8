"""git merge-file, which merges texts by line, in a process of its own: here a line of JSON for each field.

It takes changes of neighbouring lines for a conflict, so there are empty lines between; with ``--theirs`` a conflict is
settled for that side. What ours did is still lost where it adds a field at the place where theirs does, or deletes one
beside one that theirs changed. Nothing nested: a field is one line. Most of its time goes into files and the process.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from . import as_lines, from_lines

NAME = "git merge-file"
PACKAGE = ""


def merge_flat(base: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        for name, side in (("base", base), ("ours", ours), ("theirs", theirs)):
            Path(folder, name).write_text("".join(as_lines(side)), encoding="utf-8")
        command = ["git", "merge-file", "-p", "--theirs", "ours", "base", "theirs"]
        git = subprocess.run(command, cwd=folder, capture_output=True, check=True, encoding="utf-8")
    return from_lines(git.stdout.splitlines(keepends=True))
