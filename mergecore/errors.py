"""The named errors of mergecore, each with the path where it happened.

Imports nothing of the package but the text form of paths.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .paths import Path, format_path

if TYPE_CHECKING:
    from .strategies import Conflict

__all__ = [
    "AnswerError",
    "ClockDrift",
    "InvalidInput",
    "MergeConflict",
    "MergeError",
    "PolicyError",
    "RecordDeleted",
    "SchemaMismatch",
    "StrategyError",
    "TooDeep",
]


class MergeError(Exception):
    """The root of every error that mergecore raises by name.

    ``path`` is the place in the record, a tuple of steps; ``()`` is the record as a whole.
    """

    def __init__(self, message: str, path: Path = ()) -> None:
        super().__init__(f"{format_path(path)}: {message}" if path else message)
        self.path = path


class MergeConflict(MergeError):
    """Raised by ``Merged.unwrap()`` alone: questions are open that a person must answer.

    ``conflicts`` holds all of them; ``Merged.resolve({path: answer})`` settles them.
    """

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        listed = "; ".join(f"{format_path(c.path) or 'the record'} ({c.reason})" for c in conflicts)
        super().__init__(f"{len(conflicts)} open: {listed}. Settle them with resolve({{path: answer}})")
        self.conflicts = tuple(conflicts)


class InvalidInput(MergeError, ValueError):
    """A side, a time or a name that was handed in cannot be used."""


class TooDeep(InvalidInput):
    """A value nests deeper than ``values.MAX_DEPTH`` levels; nothing was merged."""


class PolicyError(MergeError, ValueError):
    """A policy or an annotation that cannot mean anything; the message names the nearest valid spelling."""


class StrategyError(MergeError):
    """A user's strategy raised; its own exception is ``__cause__``."""


class AnswerError(MergeError, ValueError):
    """An answer for a path where no question is open, or of a type that the field does not take."""


class ClockDrift(MergeError, ValueError):
    """A stamp that came in lies too far in the future; the version that holds it was refused as a whole."""


class RecordDeleted(MergeError):
    """A deleted record is not edited: ``restore`` it first, or say what was looked at, ``put(base=)``."""


class SchemaMismatch(MergeError):
    """What is stored is made of other fields than the model, or of a field of another kind or depth: neither is read as
    the other.
    """
