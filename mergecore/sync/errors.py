"""The named errors of the sync layer; those of a store say what to do, and leave it as it was."""

from __future__ import annotations

from mergecore import MergeError

__all__ = [
    "Forbidden",
    "PeerError",
    "PreconditionFailed",
    "PreconditionRequired",
    "RecordNotFound",
    "StoreCorrupt",
    "StoreError",
    "StoreFull",
    "StoreLocked",
    "StoreReadOnly",
    "StoreTooNew",
    "SyncError",
    "TooLarge",
]


class SyncError(MergeError):
    """The root of what the sync layer raises by name."""


class RecordNotFound(SyncError, LookupError):
    """There is no record with this GUID here: it never came, or it was purged."""


class PeerError(SyncError):
    """The peer cannot be reached, or gives no sensible answer. What was not exchanged is exchanged next time."""


class TooLarge(PeerError):
    """The peer takes less at once."""


class Forbidden(PeerError):
    """The peer does not know the token, or the node was revoked, or it may not do this."""


class StoreError(SyncError):
    """The store cannot be read or written. Nothing of the call was stored."""


class StoreFull(StoreError):
    """There is no room on the disk, or in the database."""


class StoreReadOnly(StoreError):
    """The store may not be written."""


class StoreLocked(StoreError):
    """Somebody else has held the store for too long."""


class StoreCorrupt(StoreError):
    """The file is no store, or a row of it holds no version."""


class StoreTooNew(StoreError):
    """A newer mergecore has written this store."""


class PreconditionRequired(SyncError):
    """A write without saying what its author was looking at."""


class PreconditionFailed(SyncError):
    """What the author of a write was looking at is not known any longer. ``current`` is the record as it is."""

    def __init__(self, message: str, current: object) -> None:
        super().__init__(message)
        self.current = current
