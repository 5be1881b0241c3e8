"""What becomes of a record that comes in: one pure function, and no clock in it.

Whoever has what decides, by versions: new is inserted, what one side alone changed is taken, what both changed is
joined. What a merge shows is the policy's business, and what a store does with the outcome is the store's.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias

from mergecore import Version, VersionVector, join

__all__ = ["Action", "Held", "Kind", "Purged", "plan"]


class Purged(NamedTuple):
    """What stays of a record that was wiped for good."""

    tombstone: Version[Any]
    """Its deletion alone (``Version.tombstone``)."""
    seen: VersionVector
    """All that was wiped."""


Held: TypeAlias = Version[Any] | Purged

Kind: TypeAlias = Literal["ignore", "insert", "update", "delete", "restore", "merge", "purge", "refuse"]


class Action(NamedTuple):
    """What to do, and what is held after it."""

    kind: Kind
    held: Held

    @property
    def version(self) -> Version[Any] | None:
        """The version that is held; ``None`` of what is purged."""
        return self.held if isinstance(self.held, Version) else None


def plan(incoming: Held, stored: Held | None) -> Action:
    """What to do with a record that comes in, given what is stored of it.

    ``ignore``: nothing is new. ``insert``: there was none. ``update``, ``delete``, ``restore``: the other side alone
    changed it. ``merge``: both did. ``purge``: it was wiped over there, and nothing here is newer. ``refuse``: an old
    version of what was wiped here. Raises what ``join`` raises, for versions of two schemas.
    """
    match incoming, stored:
        case _, None:
            return Action("purge" if isinstance(incoming, Purged) else "insert", incoming)
        case Purged(), Purged():
            both = Purged(join(stored.tombstone, incoming.tombstone), stored.seen | incoming.seen)
            return Action("ignore", stored) if both == stored else Action("purge", both)
        case Purged(), Version():
            if stored.seen <= incoming.seen:
                return Action("purge", incoming)
            return _joined(incoming.tombstone, stored, stored)  # somebody edited it who had not seen the deletion
        case Version(), Purged():
            if incoming.seen <= stored.seen:
                return Action("refuse", stored)
            return Action("merge", join(stored.tombstone, incoming))  # whole, as an edit against the deletion
        case Version(), Version():
            return _joined(incoming, stored, stored)
    raise TypeError(f"a record is a Version or Purged, not {type(incoming).__name__}")


def _joined(incoming: Version[Any], stored: Version[Any], before: Version[Any]) -> Action:
    after = join(stored, incoming)
    if after is stored or after == stored:
        return Action("ignore", stored)
    if after is not incoming and after != incoming:
        return Action("merge", after)
    if after.deleted != before.deleted:
        return Action("delete" if after.deleted else "restore", after)
    return Action("update", after)
