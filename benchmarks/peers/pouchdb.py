"""PouchDB over LevelDB, synchronizing by HTTP with express-pouchdb over another: two processes of Node.js.

It is had from npm once, into the user's cache. ``batch`` is what a request asks for: PouchDB's own is 100.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from ..live import Live

__all__ = ["NAME", "install", "start"]

NAME = "pouchdb"
PACKAGES = {"pouchdb": "^9.0.0", "express-pouchdb": "^4.2.0"}


@cache
def install() -> tuple[Path | None, str]:
    """The folder with its packages and what they are; or a sentence on why there is none."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None, "PouchDB is left out: it needs node and npm, which are not installed"
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mergecore-benchmarks"
    folder = home / "-".join(f"{name}@{version.strip('^')}" for name, version in PACKAGES.items())
    if not folder.is_dir():
        home.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=home))  # renamed when it is whole: two runs at once do no harm
        (made / "package.json").write_text(json.dumps({"private": True, "dependencies": PACKAGES}), encoding="utf-8")
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0"]
        try:
            subprocess.run([npm, "install", *options], cwd=made, check=True, capture_output=True, timeout=240)
        except (subprocess.SubprocessError, OSError):
            shutil.rmtree(made, ignore_errors=True)
            return None, "PouchDB is left out: it could not be had from npm"
        try:
            made.rename(folder)
        except OSError:
            shutil.rmtree(made, ignore_errors=True)
    return folder, ", ".join(f"{name} {_version(folder, name)}" for name in PACKAGES)


def _version(folder: Path, name: str) -> str:
    return str(json.loads((folder / "node_modules" / name / "package.json").read_text(encoding="utf-8"))["version"])


def start(modules: Path, data: Path) -> Live:
    """A server or a client over the databases in a folder."""
    data.mkdir(parents=True, exist_ok=True)
    return Live(["node", str(Path(__file__).with_suffix(".js")), str(modules), str(data)])
