"""Version vectors: what of a record somebody has seen.

Imports ``clock``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from .clock import Timestamp

__all__ = ["VersionVector"]


class VersionVector(Mapping[str, Timestamp]):
    """For each node the highest of its stamps that was seen: an immutable mapping ``{node: Timestamp}``.

    ``a <= b`` where everything that ``a`` has seen ``b`` has seen too; ``a | b`` is what both together have seen, and
    ``a & b`` what both have. All are linear in the number of nodes (Parker et al. 1983).
    """

    __slots__ = ("_hash", "_stamps")

    def __init__(self, stamps: Mapping[str, Timestamp] | Iterable[Timestamp] = ()) -> None:
        self._hash: int | None = None
        self._stamps: dict[str, Timestamp] = {}
        for stamp in stamps.values() if isinstance(stamps, Mapping) else stamps:
            if not self.covers(stamp):
                self._stamps[stamp.node] = stamp

    def covers(self, stamp: Timestamp) -> bool:
        """Whether it has seen this stamp."""
        highest = self._stamps.get(stamp.node)
        return highest is not None and highest >= stamp

    def plus(self, *stamps: Timestamp) -> VersionVector:
        """This, and these stamps too; itself where it has seen them."""
        new = [stamp for stamp in stamps if not self.covers(stamp)]
        return VersionVector([*self._stamps.values(), *new]) if new else self

    def without(self, node: str) -> dict[str, Timestamp]:
        """All entries but a node's own."""
        return {name: stamp for name, stamp in self._stamps.items() if name != node}

    def __le__(self, other: VersionVector) -> bool:
        return self is other or all(map(other.covers, self._stamps.values()))

    def __lt__(self, other: VersionVector) -> bool:
        return self <= other and self != other

    def __or__(self, other: VersionVector) -> VersionVector:
        return self.plus(*other._stamps.values()) if not other <= self else self

    def __and__(self, other: VersionVector) -> VersionVector:
        both = self._stamps.keys() & other._stamps.keys()
        return VersionVector([min(self._stamps[node], other._stamps[node]) for node in both])

    def __getitem__(self, node: str) -> Timestamp:
        return self._stamps[node]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stamps)

    def __len__(self) -> int:
        return len(self._stamps)

    def __eq__(self, other: object) -> bool:
        return self._stamps == (other._stamps if isinstance(other, VersionVector) else other)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self._stamps.values()))
        return self._hash

    def __repr__(self) -> str:
        return f"VersionVector([{', '.join(map(str, sorted(self._stamps.values())))}])"
