"""What a node asks of whatever keeps its records: a ``Store`` gives transactions, and a ``Transaction`` rows.

One writing transaction runs at a time: what it stores gets positions that no other one overtakes, so that whoever has
all up to a position misses nothing below it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import msgspec

from mergecore import Version

__all__ = ["ALL", "Base", "NodeState", "PeerRow", "Row", "Store", "Transaction", "state_of"]

ALL = b""
"""Of ``Row.shared``: all of the version is known elsewhere."""


class NodeState(msgspec.Struct):
    """What a node knows of itself. Saved with what it writes."""

    name: str
    epoch: str
    """Of its store: another one after it lost what it had."""
    clock: str
    """``Clock.save()``."""
    position: int = 0
    """The highest of its receive order."""
    offset: int = 0
    """What the back-end's clock is ahead of the device's, in milliseconds."""
    handed: tuple[int, int] = (0, 0)
    """Up to which position bytes may have left: to the back-end, and to others."""
    back_end: str | None = None
    """The name of the peer that is the back-end."""
    shapes: dict[str, str] = {}
    """By model, what its records are shown by."""


class PeerRow(msgspec.Struct):
    """Another node, as a node knows it."""

    id: str
    epoch: str = ""
    """Of its store, when we last spoke."""
    address: str = ""
    client_name: str = ""
    after: int = 0
    """Up to which position of its receive order we have had everything; 0 when new."""
    refused: dict[str, int] = {}
    """The GUIDs of what was refused of that, and where it stood: it is asked for by name."""
    acknowledged: int = 0
    """Up to which position of ours it has everything."""
    position: int = 0
    """The highest of its own receive order."""
    last_sync: int = 0
    """The date, in epoch milliseconds, for people: nothing is decided by it."""
    token: bytes | None = None
    """The hash of its token."""
    read: list[str] | None = None
    write: list[str] | None = None
    relay: bool = False
    fields: dict[str, Any] = {}
    revoked: bool = False
    retired: bool = False
    reminded: int = 0
    """When the application was told that it is out of date, in epoch milliseconds."""
    recovering: bool = False
    """Whether it may hand on what others wrote, since this store has lost it, until it has handed on all."""
    grants: int = 0
    """How often its rights were changed here."""
    granted: int = 0
    """And ours there."""

    @property
    def stored(self) -> int:
        """Up to which position of its receive order everything is stored here."""
        return min([self.after, *(position - 1 for position in self.refused.values())])

    def reads(self, model: str) -> bool:
        """Whether it may read records of a model."""
        return self.read is None or model in self.read


class Row(msgspec.Struct):
    """A record as it is stored."""

    guid: str
    model: str
    data: bytes
    """The version's; of a purged record, its tombstone's."""
    position: int = 0
    synchronized: bool = False
    shared: bytes | None = None
    """The version that others are known to have: ``None``: none; ``ALL``: this one."""
    handed: bytes | None = None
    """What was handed out of it before the last edit."""
    purged: bytes | None = None
    """Of a purged record, the vector of all that was wiped."""
    origin: str | None = None
    """The GUID of the record that this one was forked from here."""
    columns: dict[str, Any] | None = None
    """What SQL is shown of it; ``None`` where that is as it was (``Transaction.fill``)."""


class Base(msgspec.Struct):
    """A version that was handed out to a client that knows nothing of stamps."""

    tag: str
    guid: str
    data: bytes
    expires: int


class Transaction(Protocol):
    """What can be done in a store, all of it or nothing."""

    state: NodeState | None
    """``None`` in a new store. What is put here is saved with the rest."""

    def rows(self, guids: Iterable[str]) -> dict[str, Row]:
        """The records that are stored of these, purged ones too."""
        ...

    def fill(self, row: Row, version: Version[Any], data: bytes | None = None) -> None:
        """Puts a version into a row: its bytes (``data``, where they are at hand), and what SQL is shown of it."""
        ...

    def save(self, rows: Sequence[Row]) -> None:
        """Stores records that were filled, and gives each the next position."""
        ...

    def purge(self, rows: Sequence[Row]) -> None:
        """Wipes records but for what ``Row.purged`` and ``Row.data`` say, and gives each the next position."""
        ...

    def touch(self, guids: Sequence[str]) -> None:
        """Gives records the next positions, so that they are sent again."""
        ...

    def mark(self, rows: Sequence[Row]) -> None:
        """Stores what is known of who has a record; its version and its position stay."""
        ...

    def changes(self, after: int, until: int | None, limit: int, models: Sequence[str] | None) -> list[Row]:
        """The records in the receive order after a position."""
        ...

    def count(self, after: int, models: Sequence[str] | None) -> int:
        """How many there are after a position, purged ones too."""
        ...

    def count_by_model(self) -> dict[str, int]:
        """How many records there are, deleted ones too."""
        ...

    def newest(self) -> dict[str, int]:
        """The highest position of each model's records."""
        ...

    def all(self, model: str, deleted: bool | None = None, after: str = "") -> Iterator[Row]:
        """The records of a model that are not purged, in the order of their GUIDs, after one of these."""
        ...

    def fit(self, model: str) -> bool:
        """Brings the table of a model up to date. Whether its rows must be shown anew."""
        ...

    def show(self, rows: Sequence[Row]) -> None:
        """Stores records as ``save`` does; their positions stay."""
        ...

    def find(self, what: str, until: dt.datetime | None = None) -> list[str]:
        """The GUIDs of records that are ``open``, ``unsynchronized`` or (since a moment) ``deleted``."""
        ...

    def peers(self) -> list[PeerRow]: ...
    def peer(self, id: str) -> PeerRow | None: ...
    def peer_of(self, token: bytes) -> PeerRow | None: ...
    def save_peer(self, peer: PeerRow) -> None: ...

    def base(self, tag: str, guid: str, now: int) -> Base | None:
        """A version that was handed out, unless its time has passed."""
        ...

    def keep_bases(self, bases: Sequence[Base], now: int) -> None: ...
    def answer(self, key: str, now: int) -> bytes | None:
        """What was answered to a request with this idempotency key."""
        ...

    def keep_answer(self, key: str, answer: bytes, now: int, expires: int) -> None: ...


def state_of(tx: Transaction) -> NodeState:
    """What a node knows of itself, in a store that is no longer new."""
    assert tx.state is not None
    return tx.state


class Store(Protocol):
    """Keeps what a node has, durably."""

    def transaction(self, write: bool = True) -> AbstractContextManager[Transaction]:
        """Writing ones run one at a time. Raises ``StoreError``."""
        ...

    def close(self) -> None: ...
