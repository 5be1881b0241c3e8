"""Points in time, on one scale that all devices share, and the clock that gives them.

    Timestamp       a moment and who gave it; its text and its bytes sort like it
    to_timestamp    the same, of what callers have: a datetime, milliseconds
    Clock           a hybrid logical clock: stamps above everything that its node has seen

Imports ``errors`` and msgspec.
"""

from __future__ import annotations

import datetime as dt
import math
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, NoReturn, Protocol, Self, TypeVar

import msgspec

from .errors import ClockDrift, InvalidInput

__all__ = ["Clock", "Stamped", "Timestamp", "to_timestamp"]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLIS = dt.timedelta(milliseconds=1)
_END = (dt.datetime.max.replace(tzinfo=dt.UTC) - _EPOCH) // _MILLIS
_LAST_COUNTER = 0xFFFF


class Timestamp(msgspec.Struct, frozen=True, order=True, array_like=True):
    """A moment: epoch milliseconds, a counter within the millisecond, the node. Ordered by exactly that tuple.

    Text (``str``, ``parse``) and bytes (``bytes``, ``from_bytes``) sort like it, as code points and as bytes, for every
    stamp that a clock can give: of the years 1970 to 9999, with a counter up to 0xFFFF and a node that UTF-8 can write.

    >>> str(Timestamp(1_700_000_000_000, 4, "phone"))
    '2023-11-14T22:13:20.000Z-0004-phone'
    """

    millis: int
    counter: int = 0
    node: str = ""

    @property
    def datetime(self) -> dt.datetime:
        """The moment to the millisecond, in UTC."""
        return _EPOCH + dt.timedelta(milliseconds=self.millis)

    def __str__(self) -> str:
        """``2024-05-06T07:08:09.123Z-0004-node``; the time alone where there is neither counter nor node.

        Any other stamp has a text too, for messages; such a text neither sorts nor parses.
        """
        if not 0 <= self.millis <= _END:
            return repr(self)
        text = self.datetime.isoformat(timespec="milliseconds")[:23] + "Z"
        return f"{text}-{self.counter:04x}-{self.node}" if self.node or self.counter else text

    @classmethod
    def parse(cls, text: str) -> Self:
        """The stamp that has this text. Raises ``InvalidInput`` for what is the text of none."""
        try:
            moment = dt.datetime.fromisoformat(text[:24])
            stamp = cls((moment - _EPOCH) // _MILLIS, int(text[25:29] or "0", 16), text[30:])
            if str(stamp) == text and bytes(stamp):
                return stamp
        except (TypeError, ValueError, OverflowError):
            pass
        example = cls(_END, 0xF, "node")
        raise InvalidInput(f"{text!r:.200} is no stamp: give the text of one unchanged, such as {str(example)!r}")

    def __bytes__(self) -> bytes:
        """Eight bytes, big endian: the milliseconds (48 bits) and the counter (16); then the node in UTF-8.

        Raises ``InvalidInput`` for a stamp that no clock can give.
        """
        if not (0 <= self.millis <= _END and 0 <= self.counter <= _LAST_COUNTER):
            raise InvalidInput(f"{self!r} has no bytes: give a year of 1970 to 9999 and a counter of 0 to 0xFFFF")
        try:
            return (self.millis << 16 | self.counter).to_bytes(8, "big") + self.node.encode()
        except UnicodeEncodeError:
            raise InvalidInput(f"{self!r} has no bytes: its node holds a lone surrogate, name it otherwise") from None

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview) -> Self:
        """The stamp that has these bytes. Raises ``InvalidInput`` for what is the bytes of none."""
        try:
            data = b"" + data
            millis, counter = divmod(int.from_bytes(data[:8], "big"), 1 << 16)
            if len(data) >= 8 and millis <= _END:
                return cls(millis, counter, data[8:].decode())
        except (TypeError, UnicodeDecodeError):
            pass
        raise InvalidInput(f"{data!r:.200} is no stamp: give what bytes(stamp) gave, unchanged")


def to_timestamp(moment: dt.datetime | int | float | Timestamp, what: str = "a time") -> Timestamp:
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
    if isinstance(moment, dt.datetime):
        if moment.utcoffset() is None:
            raise InvalidInput(f"{what} is naive ({moment}): say its zone, as in datetime.now(timezone.utc)")
        micros = (moment - _EPOCH) // dt.timedelta(microseconds=1)
    elif isinstance(moment, (int, float)) and not isinstance(moment, bool) and abs(moment) <= _END:
        micros = round(moment * 1000)
    else:
        valid = "an aware datetime, epoch milliseconds or a Timestamp, of the years 1970 to 9999"
        raise InvalidInput(f"{what} is {moment!r}: give {valid}")
    millis, counter = divmod(micros, 1000)
    if not 0 <= millis <= _END:
        raise InvalidInput(f"{what} lies outside the years 1970 to 9999")
    return Timestamp(millis, counter)


class Stamped(Protocol):
    """What ``Clock.admit`` looks at."""

    @property
    def seen(self) -> Mapping[str, Timestamp]:
        """The highest stamp of each node."""
        ...

    @property
    def created(self) -> Timestamp:
        """The first stamp."""
        ...


V = TypeVar("V", bound=Stamped)


class Clock:
    """A hybrid logical clock (Kulkarni et al., 2014): every stamp is above all that its node has given and seen.

    ``Clock(name)`` is a new *incarnation* of the name: its ``node`` is the name, ``~`` and 65 random bits, so that no
    two clocks give one stamp, whatever the names. ``Clock.load(clock.save())`` continues an incarnation, in one process
    at a time: save it in the transaction that stores the record. A device that may have lost state (restored,
    reinstalled, copied) is a new ``Clock(name)``, and so is each of several workers.

    Safe under threads. A child of ``os.fork`` has an incarnation of its own from its first use on.

    ``now`` gives the epoch milliseconds (default: the system's wall clock) and may jump; fractions are dropped, times
    before 1970 are taken as 1970. ``max_drift``, in milliseconds, is what ``admit`` lets pass.

    Raises ``InvalidInput`` for a name that is empty, longer than 200 characters, not writable in UTF-8 or holds ``~``.

    >>> clock = Clock("phone")
    >>> stamp = clock.tick()
    >>> Clock.load(clock.save()).tick() > stamp
    True
    """

    def __init__(self, node: str, *, now: Callable[[], float] | None = None, max_drift: int = 60_000) -> None:
        if now is not None and not callable(now):
            raise InvalidInput(f"now is {now!r}: give a function without arguments that returns epoch milliseconds")
        if type(max_drift) is not int or max_drift < 0:
            raise InvalidInput(f"max_drift is {max_drift!r}: give a whole number of milliseconds, 0 or more")
        self.name: Final = _checked(node)
        self.max_drift: Final = max_drift
        self._now: Callable[[], float] = now or _wall_clock
        self._start(Timestamp(0, 0, _incarnation(self.name)))

    @classmethod
    def locked(cls, node: str, *, now: Callable[[], float] | None = None, max_drift: int = 60_000) -> Self:
        """A clock for servers that hold the record's lock while they write, whose ``node`` is the bare name.

        It needs no saved state, and all workers may share the name: a stamp must be unique within its record only, and
        each write is shown the record first, under the lock.
        """
        clock = cls(node, now=now, max_drift=max_drift)
        clock._start(Timestamp(0, 0, clock.name))
        return clock

    @classmethod
    def load(cls, saved: str, *, now: Callable[[], float] | None = None, max_drift: int = 60_000) -> Self:
        """Continues the incarnation whose ``save()`` this is. Raises ``InvalidInput`` for any other text."""
        try:
            last = Timestamp.parse(saved)
        except InvalidInput:
            last = Timestamp(0)
        if not _INCARNATION.fullmatch(last.node):
            todo = "give what save() gave, unchanged; a device that has lost it starts anew with Clock(name)"
            raise InvalidInput(f"{saved!r:.300} is no saved clock: {todo}")
        clock = cls(last.node.partition("~")[0], now=now, max_drift=max_drift)
        clock._start(last)
        return clock

    def save(self) -> str:
        """The whole state, as text for ``load``: that of the last stamp given. ``TypeError`` on a ``locked`` clock."""
        last = self._here().last
        if last.node == self.name:
            raise TypeError(f"a locked clock keeps no state: make it anew with Clock.locked({self.name!r})")
        return str(last)

    @property
    def node(self) -> str:
        """What its stamps are signed with."""
        return self._here().last.node

    def tick(self, *seen: Mapping[str, Timestamp]) -> Timestamp:
        """A new stamp, above all that this clock gave and above every stamp of these version vectors.

        It is the wall clock's time where that is later; else the highest stamp's time, with a higher counter or, when
        that has reached 0xFFFF, one millisecond on. Linear in the vectors. Raises ``InvalidInput`` past the year 9999,
        and when ``now`` gives no time.
        """
        wall = self._wall()
        highest = max(((stamp.millis, stamp.counter) for vector in seen for stamp in vector.values()), default=(0, 0))
        state = self._here()
        while True:
            last = state.last
            millis, counter = max(highest, (last.millis, last.counter))
            if wall > millis:
                millis, counter = wall, 0
            elif counter < _LAST_COUNTER:
                counter += 1
            else:
                millis, counter = millis + 1, 0
            if millis > _END:
                raise InvalidInput(
                    f"{last.node!r} has seen a stamp at the end of the year 9999 and can give none above it: "
                    "clear that stamp out of the records, and admit() each version that comes in"
                )
            stamp = Timestamp(millis, counter, last.node)
            with state.lock:
                if state.last is last:  # else another thread was faster: once more, above what it gave
                    state.last = stamp
                    return stamp

    def admit(self, version: V) -> V:
        """The version unchanged, for the boundary where it comes in. Changes nothing in the clock.

        Raises ``InvalidInput`` for what is no version, and ``ClockDrift`` if a stamp that it has seen, or its first
        one, lies more than ``max_drift`` ahead of the wall clock: it would outrank everybody's edits until then. The
        version is refused whole, as a stamp is part of an edit's identity and nobody but its author may rewrite it.
        """
        if not hasattr(version, "seen") or not hasattr(version, "created"):
            raise InvalidInput(f"a {type(version).__name__} is no version: bytes are decoded first")
        wall = self._wall()
        highest = max((version.created, *version.seen.values()))
        ahead = highest.millis - wall
        if ahead > self.max_drift:
            raise ClockDrift(
                f"a stamp of {highest.node!r:.300} is {ahead / 1000:.3f} s ahead of the clock of {self.name!r}, "
                f"and {self.max_drift / 1000:.3f} s is the limit, so the whole version was refused. "
                "If this clock is slow, set it right and take the version again; if the other is fast, set that right: "
                "what it wrote is let in when its time has come"
            )
        return version

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._here().last}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(
            "a clock is not copied or pickled, as two copies would give one stamp twice: use save() and load()"
        )

    def _wall(self) -> int:
        now = self._now()
        if isinstance(now, bool) or not isinstance(now, (int, float)) or not -math.inf < now < _END + 1:
            raise InvalidInput(f"the wall clock gave {now!r}: give epoch milliseconds, up to the year 9999")
        return max(0, math.floor(now))

    def _start(self, last: Timestamp) -> None:
        self._states = {_process(): _State(last)}

    def _here(self) -> _State:
        """The state of this process, begun at its first use: with the time of the process that forked it, but signed
        otherwise, and with a lock that no thread of that process can hold.
        """
        process = _process()
        state = self._states.get(process)
        if state is None:
            last = max(state.last for state in tuple(self._states.values()))
            node = _incarnation(self.name) if last.node != self.name else self.name
            fresh = _State(Timestamp(last.millis, last.counter, node))
            state = self._states.setdefault(process, fresh)  # atomic: of several threads, all get one
        return state


class _State:
    """Of one clock in one process: the last stamp, replaced under the lock."""

    __slots__ = ("last", "lock")

    def __init__(self, last: Timestamp) -> None:
        self.last = last
        self.lock = threading.RLock()  # reentrant: a signal handler may tick, too


_forks = 0
"""How many forks lie between the first process and this one."""


def _process() -> tuple[int, int]:
    """Tells a process from those that it was forked from; the id alone could be given again."""
    return os.getpid(), _forks


def _forked() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _wall_clock() -> int:
    return time.time_ns() // 1_000_000


_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_INCARNATION = re.compile(r"[^~]{1,200}~[a-z2-7]{13}")


def _incarnation(name: str) -> str:
    return f"{name}~{''.join(_BASE32[byte % 32] for byte in os.urandom(13))}"


def _checked(name: object) -> str:
    if not isinstance(name, str):
        raise InvalidInput(f"a clock's name is text, not {name!r:.200}")
    name = "".join(name)  # of a subclass such as an enumeration, the text alone
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"the name {name!r:.200} holds a lone surrogate: name the clock otherwise") from None
    if not 1 <= len(name) <= 200 or "~" in name:
        raise InvalidInput(f"the name {name!r:.300} has {len(name)} characters: give 1 to 200, without '~'")
    return name
