"""When a side changed what.

Imports ``clock``, ``errors``, ``paths``, ``policy`` and ``values``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias

from .clock import Timestamp, to_timestamp
from .errors import InvalidInput
from .paths import ByPath, Path, format_path, parse_path
from .policy import Rule
from .values import UNSET, as_map, equal

__all__ = ["Moment", "Moments", "Times", "times_of"]

Moment: TypeAlias = datetime | int | float | Timestamp
Moments: TypeAlias = Moment | ByPath[Moment] | None
"""One time for a side, or a time for each of its paths."""


class Times:
    """When a side changed what: one time, or a time for each path, or neither."""

    def __init__(self, given: Moments, what: str) -> None:
        self.one: Timestamp | None = None
        self.by_path: dict[Path, Timestamp] = {}
        if isinstance(given, Mapping):
            for text, moment in given.items():
                try:
                    path = parse_path(text)
                except ValueError as error:
                    raise InvalidInput(f"{what}: {error}") from None
                self.by_path[path] = to_timestamp(moment, f"{what} at {format_path(path) or '()'}")
        elif given is not None:
            self.one = to_timestamp(given, what)

    def latest(self, rule: Rule, path: Path, base: Any, side: Any) -> Timestamp | None:
        """The latest time of what the side changed at or below the path, each by its longest matching prefix.

        For a member of a group, its group's time comes after its own. Of a list, every time below counts.
        """
        if not self.by_path:
            return self.one
        time = None
        for n in range(len(path) + 1):
            time = self.by_path.get(path[:n], time)
        found: list[Timestamp | None] = []
        self._changed(found, rule, path[:-1] if rule.is_group else path, base, side, time)
        return max((time for time in found if time is not None), default=None)

    def _changed(
        self, found: list[Timestamp | None], rule: Rule, path: Path, base: Any, side: Any, time: Timestamp | None
    ) -> None:
        if base is side:
            return
        was, now = as_map(base), as_map(side)
        if (was is None and base is not UNSET) or (now is None and side is not UNSET) or (was is None and now is None):
            if not equal(base, side):
                found.append(time)
                if isinstance(base, (list, tuple)) or isinstance(side, (list, tuple)):
                    found += [below for at, below in self.by_path.items() if at[: len(path)] == path]
            return
        if base is UNSET or side is UNSET:  # it came or went as a whole, too
            found.append(time)
        was, now = was or {}, now or {}
        here = rule.at(base if side is UNSET else side)
        grouped = {member: name for name, group in here.groups.items() for member in group.members}
        for key in {**was, **now}:
            at = (*path, key)
            inherited = self.by_path.get((*path, grouped[key]), time) if key in grouped else time
            below = was.get(key, UNSET), now.get(key, UNSET)
            self._changed(found, here.child(key), at, *below, self.by_path.get(at, inherited))


def times_of(at: Any, names: tuple[str, str]) -> tuple[Times, Times]:
    """The times of both sides, of what ``merge`` takes as ``at``. Raises ``InvalidInput``."""
    if isinstance(at, Mapping):
        try:
            at = tuple({path: pair[i] for path, pair in at.items()} for i in (0, 1))
        except (TypeError, IndexError, KeyError):
            raise InvalidInput("at= as a mapping gives each path its two times: {path: (ours, theirs)}") from None
    at = (None, None) if at is None else at
    if not isinstance(at, (tuple, list)) or len(at) != 2:
        raise InvalidInput(f"at={at!r}: give a time for each of the two sides, (ours, theirs)")
    return Times(at[0], f"the time of {names[0]}"), Times(at[1], f"the time of {names[1]}")
