"""When a side changed what.

Imports ``clock``, ``errors``, ``paths`` and ``values``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, TypeAlias

from .clock import Timestamp, to_timestamp
from .errors import InvalidInput
from .paths import ByPath, Path, format_path, parse_path
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

    def latest(self, path: Path, is_group: bool, base: Any, side: Any) -> Timestamp | None:
        """The latest time of what the side changed at or below the path, each by its longest matching prefix."""
        if not self.by_path:
            return self.one
        times = [self.by_path[path]] if is_group and path in self.by_path and not equal(base, side) else []
        for changed, below in _changed(path[:-1] if is_group else path, base, side):
            prefix = next((changed[:n] for n in range(len(changed), -1, -1) if changed[:n] in self.by_path), None)
            times += [] if prefix is None else [self.by_path[prefix]]
            if below:
                times += [time for at, time in self.by_path.items() if at[: len(changed)] == changed]
        return max(times, default=None)


def _changed(path: Path, base: Any, side: Any) -> Iterator[tuple[Path, bool]]:
    """Paths of the smallest things that differ, each with whether it is a list, of which every time below counts; of
    something that came or went, its own path too."""
    was, now = as_map(base), as_map(side)
    if base is side:
        return
    if (was is None and base is not UNSET) or (now is None and side is not UNSET) or (was is None and now is None):
        if not equal(base, side):
            yield path, isinstance(base, (list, tuple)) or isinstance(side, (list, tuple))
        return
    if base is UNSET or side is UNSET:
        yield path, False
    was, now = was or {}, now or {}
    for key in {**was, **now}:
        yield from _changed((*path, key), was.get(key, UNSET), now.get(key, UNSET))


def times_of(at: Any, names: tuple[str, str]) -> tuple[Times, Times]:
    if isinstance(at, Mapping):
        try:
            at = tuple({path: pair[i] for path, pair in at.items()} for i in (0, 1))
        except (TypeError, IndexError):
            raise InvalidInput("at= as a mapping gives each path its two times: {path: (ours, theirs)}") from None
    at = (None, None) if at is None else at
    if not isinstance(at, (tuple, list)) or len(at) != 2:
        raise InvalidInput(f"at={at!r}: give a time for each of the two sides, (ours, theirs)")
    return Times(at[0], f"the time of {names[0]}"), Times(at[1], f"the time of {names[1]}")
