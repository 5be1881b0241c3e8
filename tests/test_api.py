"""The public face, and what imports what."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import mergecore
from mergecore import strategies

PACKAGE = Path(mergecore.__file__).parent

ORDER = [
    "paths", "errors", "records", "values", "diff", "sequence", "texts", "orders", "clock", "strategies",
    "annotations", "policy", "times", "lists", "walk", "answers", "comparing", "documents", "plan", "threeway",
    "vectors", "wire", "history", "layout", "view", "reading", "codec", "restamp", "leaves", "writing", "edits",
    "version", "__init__", "jsontext", "explain", "cli", "__main__",
    "sync.errors", "sync.plan", "sync.protocol", "sync.columns", "sync.store", "sync.sql", "sync.intake",
    "sync.exchange", "sync.node", "sync.patches", "sync.supernode", "sync.webhook", "sync.client", "sync.openapi",
    "sync.app", "sync.__init__",
    "sync.opened", "sync.shown", "sync.ask", "sync.demo_screen", "sync.demo", "sync.commands",
    "testing.cases", "testing.laws", "testing.replicas", "testing.joins", "testing.mutants", "testing.__init__",
]  # fmt: skip
"""Each module imports only what stands before it."""


def _imports(module: str) -> set[str]:
    """The modules of the package that a module imports when it is imported, in dotted form without ``mergecore``."""
    found: set[str] = set()
    path = PACKAGE / (module.replace(".", "/") + ".py")
    inside = [*module.split(".")[:-1]]
    for node in ast.parse(path.read_text()).body:
        nodes = node.body if isinstance(node, ast.Try) else [node]
        for one in nodes:
            if isinstance(one, ast.ImportFrom) and one.level:
                package = inside[: len(inside) - (one.level - 1)]
                names = [one.module] if one.module else [alias.name for alias in one.names]
                for name in names:
                    dotted = ".".join([*package, name])
                    known = dotted in ORDER or f"{dotted}.__init__" in ORDER
                    found.add(dotted if known else ".".join([*package, "__init__"]))
    return found


def test_each_module_imports_only_what_stands_before_it() -> None:
    """The import order is the order in which the package is to be read."""
    modules = {str(p.relative_to(PACKAGE).with_suffix("")).replace("/", ".") for p in PACKAGE.rglob("*.py")}
    assert modules == set(ORDER)
    for i, module in enumerate(ORDER):
        assert _imports(module) <= set(ORDER[:i]), f"{module} imports {_imports(module) - set(ORDER[:i])}"


def test_importing_it_loads_nothing_but_msgspec_and_the_standard_library() -> None:
    """No extra, and no deepdiff, at ``import mergecore``."""

    def loaded(module: str) -> set[str]:
        code = f"import sys, {module}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return set(run.stdout.split())

    assert loaded("mergecore") - loaded("msgspec") - sys.stdlib_module_names == {"mergecore"}


def test_there_are_about_twenty_public_names() -> None:
    """Strategies and errors not counted."""
    names = set(mergecore.__all__)
    errors = {n for n in names if isinstance(o := getattr(mergecore, n), type) and issubclass(o, Exception)}
    assert len(names - errors - strategies.BUILT_IN) <= 22
    assert names >= strategies.BUILT_IN


def test_every_public_object_says_what_it_is() -> None:
    """A docstring each."""
    documented = [n for n in mergecore.__all__ if callable(getattr(mergecore, n))]
    assert [n for n in documented if not (getattr(mergecore, n).__doc__ or "").strip()] == []
