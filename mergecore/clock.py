"""Points in time, on one scale that all devices share.

Imports ``errors`` and msgspec.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from .errors import InvalidInput

__all__ = ["Timestamp", "to_timestamp"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLIS = timedelta(milliseconds=1)
_END = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLIS


class Timestamp(msgspec.Struct, frozen=True, order=True, array_like=True):
    """A moment: epoch milliseconds, a counter within the millisecond, the node. Ordered by exactly that tuple."""

    millis: int
    counter: int = 0
    node: str = ""

    def __str__(self) -> str:
        moment = _EPOCH + timedelta(milliseconds=self.millis)
        text = f"{moment:%Y-%m-%dT%H:%M:%S}.{self.millis % 1000:03}Z"
        return f"{text}-{self.counter:04x}-{self.node}" if self.node or self.counter else text


def to_timestamp(moment: datetime | int | float | Timestamp, what: str = "a time") -> Timestamp:
    """A ``Timestamp`` of an aware ``datetime``, epoch milliseconds or a ``Timestamp``.

    What is finer than a millisecond goes into the counter, so that the order is kept. Raises ``InvalidInput`` for a
    naive ``datetime`` and for anything out of the years 1970 to 9999.
    """
    if isinstance(moment, Timestamp):
        millis, counter, node = moment.millis, moment.counter, moment.node
        if not (
            type(millis) is type(counter) is int and isinstance(node, str) and counter >= 0 and 0 <= millis <= _END
        ):
            raise InvalidInput(f"{what} is {moment!r}, which is no moment of the years 1970 to 9999")
        return moment
    if isinstance(moment, datetime):
        if moment.utcoffset() is None:
            raise InvalidInput(f"{what} is naive ({moment}): say its zone, as in datetime.now(timezone.utc)")
        micros = (moment - _EPOCH) // timedelta(microseconds=1)
    elif isinstance(moment, (int, float)) and not isinstance(moment, bool) and abs(moment) <= _END:
        micros = round(moment * 1000)
    else:
        valid = "an aware datetime, epoch milliseconds or a Timestamp, of the years 1970 to 9999"
        raise InvalidInput(f"{what} is {moment!r}: give {valid}")
    millis, counter = divmod(micros, 1000)
    if not 0 <= millis <= _END:
        raise InvalidInput(f"{what} lies outside the years 1970 to 9999")
    return Timestamp(millis, counter)
