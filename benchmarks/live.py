"""A program in a process of its own, told what to do by lines of JSON and answering with lines of JSON."""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["Live", "LiveError"]


class LiveError(Exception):
    """What a program answered instead of a result; or that it is gone, and its last words."""


class Live:
    """One that runs. It ends when its standard input does: at the end of the ``with`` block."""

    def __init__(self, command: Sequence[str]) -> None:
        self._words = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed in __exit__)
        self._process = subprocess.Popen(
            command,
            cwd=Path(__file__).parents[1],
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
        )

    def __call__(self, do: str, *, timeout: float = 3600.0, **more: Any) -> dict[str, Any]:
        """The answer to a command. Raises ``LiveError``; a program that says nothing in time is ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        watch = threading.Timer(timeout, self._process.kill)
        watch.start()
        try:
            self._process.stdin.write(json.dumps({"do": do, **more}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        finally:
            watch.cancel()
        if not line:
            self._words.seek(0)
            last = self._words.read().strip().splitlines()[-1:] or ["it is gone"]
            raise LiveError(f"{do}: {last[0]}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise LiveError(f"{do}: {answer['error']}")
        return answer

    def __enter__(self) -> Live:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._words.close()
