"""Answers to open questions, as people and forms give them.

Imports ``errors``, ``paths``, ``strategies`` and ``values``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as MappingABC
from typing import Any

from .errors import AnswerError, InvalidInput, MergeError
from .paths import ByPath, Path, format_path, parse_path
from .strategies import Candidate, Conflict
from .values import check_value

__all__ = ["path_of", "read_answers"]


def read_answers(
    conflicts: Sequence[Conflict], answers: ByPath[Any], also: Iterable[tuple[Path, Candidate]] = ()
) -> dict[Path, Any]:
    """``{path or its text: a value or a Candidate}`` by path, each candidate as its value.

    ``also`` are paths that may be answered though they are not open, each with a candidate. Raises ``AnswerError`` for
    a path where nothing is open, for one that is answered twice, for a candidate of another conflict.
    """
    if not isinstance(answers, MappingABC):
        raise AnswerError("answers are a mapping: {path: answer}")
    questions = {c.path: list(c.candidates) for c in conflicts}
    for path, candidate in also:
        questions.setdefault(path, []).append(candidate)
    open_below = {path[:n] for path in questions for n in range(len(path) + 1)}
    spelled: dict[str, list[Path]] = {}  # some keys have no text that could be read back
    for path in open_below:
        with contextlib.suppress(ValueError):  # sys.get_int_max_str_digits()
            spelled.setdefault(format_path(path), []).append(path)
    given: dict[Path, Any] = {}
    for text, answer in answers.items():
        meant = spelled.get(text, []) if isinstance(text, str) else []
        if len(meant) > 1:
            raise AnswerError(f"{text!r} is the text of {len(meant)} paths: give the path itself, a tuple")
        path = meant[0] if meant else path_of(text, AnswerError)
        if path not in open_below:
            listed = ", ".join(format_path(c.path) or "the record, ()" for c in conflicts) or "nothing"
            raise AnswerError(f"no question is open there; open: {listed}", path)
        if isinstance(answer, Candidate):
            if path not in questions or answer not in questions[path]:
                raise AnswerError(
                    "this candidate is of another conflict; give one of this conflict's, or a value", path
                )
            answer = answer.value
        check_value(answer, "the answer")
        given[path] = answer
    for path in given:
        if above := [path[:n] for n in range(len(path)) if path[:n] in given]:
            raise AnswerError(f"is answered twice, here and at {format_path(above[0]) or 'the record, ()'}", path)
    return given


def path_of(text: str | Path, error: type[MergeError] = InvalidInput) -> Path:
    """The path that a text stands for; a tuple is already one. Raises ``error`` for a text that is no path."""
    try:
        return parse_path(text)
    except ValueError as wrong:
        raise error(str(wrong)) from None
