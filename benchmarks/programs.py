"""The loop of a program that ``live.Live`` speaks to."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

__all__ = ["Commands", "answer_all"]

Commands: TypeAlias = Mapping[str, Callable[..., "dict[str, Any] | None"]]


def answer_all(commands: Commands) -> None:
    """Until standard input ends. What a command raises is its answer."""
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = commands[asked.pop("do")](**asked) or {}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
