"""Every example of the README and of the docstrings runs, and gives what it says."""

from __future__ import annotations

import ast
import doctest
import importlib
import os
import pkgutil
import re
import subprocess
import sys
import sysconfig
import types
from pathlib import Path

import mergecore

README = Path(__file__).parents[1] / "README.md"


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(), re.M | re.S)


def test_the_python_examples_give_what_they_say() -> None:
    """One namespace, in order; an expression with ``# => value`` has that value."""
    module = sys.modules["readme"] = types.ModuleType("readme")  # where its models look up their annotations
    names = vars(module)
    checked = 0
    for block in _blocks("python"):
        lines = block.splitlines()
        for node in ast.parse(block).body:
            code = "\n".join(lines[node.lineno - 1 : node.end_lineno])
            if isinstance(node, ast.Expr) and "# =>" in code:
                expression, _, expected = code.rpartition("# =>")
                assert eval(expression, names) == eval(expected, names), code
                checked += 1
            else:
                exec(compile(ast.Module([node], []), str(README), "exec"), names)
    assert checked >= 13


def test_the_console_examples_print_what_they_say(tmp_path: Path) -> None:
    """The command line of the README, on the three values that it shows before."""
    values = dict(re.findall(r"^(old|ours|new) +?= (\{.*\})$", README.read_text(), re.M))
    for name, value in zip(("base", "ours", "theirs"), (values["old"], values["ours"], values["new"])):
        text = re.sub(r" +", " ", value)
        (tmp_path / f"{name}.json").write_text(text + "\n")
    path = os.pathsep.join([sysconfig.get_path("scripts"), str(Path(sys.executable).parent), os.environ["PATH"]])
    for block in _blocks("console"):
        for command, expected in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", block, re.M):
            run = subprocess.run(
                command, shell=True, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True
            )
            assert run.stdout + run.stderr == expected, command


def test_the_docstring_examples_give_what_they_say() -> None:
    """Of every module that needs no command line to import."""
    failed = attempted = 0
    for info in pkgutil.walk_packages(mergecore.__path__, "mergecore."):
        if not info.name.endswith("__main__"):
            result = doctest.testmod(importlib.import_module(info.name))
            failed, attempted = failed + result.failed, attempted + result.attempted
    result = doctest.testmod(mergecore)
    assert (failed + result.failed, attempted + result.attempted >= 2) == (0, True)
