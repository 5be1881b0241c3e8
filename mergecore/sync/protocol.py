"""What two nodes say to each other: one request, one answer, as MessagePack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from mergecore import InvalidInput, Policy, Timestamp, Version, VersionVector

from .plan import Held, Purged

__all__ = ["Change", "Link", "Request", "Response", "Result", "Why", "held_of", "vector_bytes", "vector_of"]

Why: TypeAlias = Literal["", "drift", "purged", "forbidden", "not own", "invalid", "schema", "too large"]
"""Why a version was refused: a stamp of the future, a record that was wiped, no right to write the model, edits of
another node without the right to relay, bytes that are no version, what the model here cannot show (or a field of
another kind or depth), more than is taken at once."""


class Change(msgspec.Struct, array_like=True):
    """A record as a node holds it: the bytes of its version, or of what is left of a purged one."""

    model: str
    guid: str
    position: int
    """In the receive order of the node that sends it."""
    data: bytes
    purged: bytes | None = None
    """Of a purged record: the vector of all that was wiped; ``data`` is its tombstone then."""
    origin: str | None = None
    """The GUID of the record that this one was forked from, which shows that what is in it is no invention."""


class Result(msgspec.Struct, array_like=True):
    """What became of one change."""

    guid: str
    why: Why = ""
    detail: str = ""
    held: Change | None = None
    """What is held here of a version that was refused, so that its author can tell what is accepted."""


class Request(msgspec.Struct):
    """What a node says that calls another one."""

    node: str
    epoch: str
    """Of its store: another one after it lost what it had."""
    position: int
    """The highest of its own receive order."""
    peer_epoch: str = ""
    """Of the called node's store, as the caller knows it."""
    granted: int = 0
    """And how often the caller's rights there were changed: after that it must ask for everything again."""
    after: int = 0
    """What the caller wants of the called node's receive order is after this position; 0 when new."""
    stored: int = 0
    """Up to here in it the caller has stored everything: less than ``after`` where it refused something."""
    wanted: list[str] = []
    """GUIDs of what it refused, and wants once more."""
    changes: list[Change] = []
    limit: int = 1000
    """So many changes are wanted in the answer, at most."""


class Response(msgspec.Struct):
    """What the called node says."""

    node: str
    epoch: str
    after: int
    """Up to here the caller has everything, once it has stored the changes; of ``restored``, the position of its own
    that it had told."""
    results: list[Result] = []
    changes: list[Change] = []
    behind: int = 0
    """So many records are still to come."""
    restored: bool = False
    """The caller's store has less than it had told before: nothing of the request was done."""
    grants: int = 0
    """How often the caller's rights were changed."""
    authority: bool = False
    """Whether the caller should take its time from here, and what is stored here for synchronized."""
    received: int = 0
    """When the request came, and when the answer left, in epoch milliseconds (RFC 5905, section 8)."""
    answered: int = 0


class Link(Protocol):
    """A way to a node: in this process, or over HTTP. One that ``is_remote`` may be asked for what is next, by a thread
    of its own, while what it gave is stored.
    """

    address: str

    def __call__(self, request: Request, /) -> Response:
        """Raises ``PeerError``."""
        ...


def vector_bytes(vector: VersionVector) -> bytes:
    """A version vector as bytes."""
    return msgspec.msgpack.encode([str(stamp) for stamp in sorted(vector.values())])


def vector_of(data: bytes) -> VersionVector:
    """The version vector of these bytes. Raises ``InvalidInput``."""
    try:
        return VersionVector([Timestamp.parse(text) for text in msgspec.msgpack.decode(data, type=list[str])])
    except (msgspec.MsgspecError, ValueError) as error:
        raise InvalidInput(f"these bytes are no version vector: {error}") from None


def held_of(change: Change, model: Any, policy: Policy | None) -> Held:
    """What a change carries. Raises ``InvalidInput`` for bytes of no version, or of another record's."""
    if not (0 < len(change.guid) <= 200 and change.guid.isprintable()):
        raise InvalidInput("a guid has 1 to 200 printable characters")
    version: Version[Any] = Version.decode(change.data, model, policy)
    if version.id != change.guid:
        raise InvalidInput(f"these are the bytes of {version.id!r:.200}, and not of {change.guid!r:.200}")
    return version if change.purged is None else Purged(version, vector_of(change.purged))


def sized(changes: Sequence[Change], limit: int) -> list[Change]:
    """As many changes, from the first on, as have so many bytes; one at least."""
    size, found = 0, list[Change]()
    for change in changes:
        size += len(change.data) + len(change.guid) + len(change.model)
        if found and size > limit:
            break
        found.append(change)
    return found
