"""Every example of the README and of the docstrings runs, and gives what it says."""

from __future__ import annotations

import ast
import doctest
import importlib
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import types
from pathlib import Path

import pytest
from sync.serving import free_port
from sync.terminal import ENTER, Terminal

import mergecore

README = Path(__file__).parents[1] / "README.md"
PATH = os.pathsep.join([sysconfig.get_path("scripts"), str(Path(sys.executable).parent), os.environ["PATH"]])


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
    session = _session()
    for block in (block for block in _blocks("console") if block not in session):
        for command, expected in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", block, re.M):
            run = subprocess.run(
                command, shell=True, cwd=tmp_path, env={**os.environ, "PATH": PATH}, capture_output=True, text=True
            )
            assert run.stdout + run.stderr == expected, command


def _session() -> tuple[str, str]:
    """What a server's terminal shows, and the one beside it."""
    blocks = _blocks("console")
    first = next(i for i, block in enumerate(blocks) if "mergecore serve" in block)
    return blocks[first], blocks[first + 1]


@pytest.mark.sync
@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("bash") is None, reason="needs bash and curl")
def test_the_session_of_two_terminals_goes_as_it_is_shown(tmp_path: Path) -> None:
    """A server, and a shell beside it, in terminals of their own; ``...`` is whatever stands there, and what follows a
    question is typed.
    """
    (models,) = (block for block in _blocks("python") if block.startswith("# app.py\n"))
    (tmp_path / "app.py").write_text(models)
    port = str(free_port())
    serve, session = (block.replace("8000", port) for block in _session())
    env: dict[str, str | None] = {"PATH": PATH, "NO_COLOR": "1", "EDITOR": None, "VISUAL": None, "PS1": "$ "}
    command, *said = serve.removeprefix("$ ").replace("--models", f"--port {port} --models").splitlines()
    with (
        Terminal(shlex.split(command), cwd=tmp_path, columns=150, env=env) as server,
        Terminal(["bash", "--norc", "--noprofile", "-i"], cwd=tmp_path, columns=150, rows=100, env=env) as shell,
    ):
        server.wait_for(said[-1])
        assert sorted(server.transcript().splitlines()) == sorted(said)
        seen = ""
        for line in session.splitlines():
            prompt, sign, typed = line.partition("$ " if line.startswith("$ ") else "]? ")
            if sign:
                seen += re.escape(prompt + sign).replace("\\ ", " ")
                asked = re.compile(rf"\A{seen.rstrip()}\s*\Z")
                assert shell.wait_until(asked.search), f"{seen}\n\n{shell.transcript()}"
                shell.send(typed + ENTER)
            seen += f"{re.escape(typed if sign else line)}\n".replace(r"\.\.\.", ".*")
        assert shell.wait_until(re.compile(rf"\A{seen}\$\Z").search), shell.transcript()
        server.interrupt()
        assert server.wait() == 130


def test_the_docstring_examples_give_what_they_say() -> None:
    """Of every module that needs no command line to import."""
    failed = attempted = 0
    for info in pkgutil.walk_packages(mergecore.__path__, "mergecore."):
        if not info.name.endswith("__main__"):
            result = doctest.testmod(importlib.import_module(info.name))
            failed, attempted = failed + result.failed, attempted + result.attempted
    result = doctest.testmod(mergecore)
    assert (failed + result.failed, attempted + result.attempted >= 2) == (0, True)
