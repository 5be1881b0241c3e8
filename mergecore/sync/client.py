"""A node that is reached over HTTP, and one that is followed: by its events, which a thread of their own reads."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Self

import httpx
import msgspec

from .errors import Forbidden, PeerError, TooLarge
from .protocol import Request, Response

if TYPE_CHECKING:
    from .exchange import Report
    from .node import Node

__all__ = ["HTTPLink", "follow"]

_TRIES = 4
_WAIT = 0.2
"""Before the second try, in seconds; each later one after twice as long."""
_LOOK = 1.0
"""So often, in seconds, whoever follows looks whether it is to stop, and whether another process wrote."""
_SMALL = 1 << 10
"""A body of fewer bytes is not packed."""


class HTTPLink:
    """A link to a super node's app. What is asked again, because the answer was lost, changes nothing a second time."""

    is_remote = True
    """What is next is asked for while this is stored."""

    def __init__(self, url: str, token: str | None = None, client: httpx.Client | None = None) -> None:
        self.address = url.rstrip("/")
        self.headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._client = client or _client(self.address)

    def close(self) -> None:
        """Closes its connections."""
        self._client.close()

    def __call__(self, request: Request) -> Response:
        body = msgspec.msgpack.encode(request)
        headers = {**self.headers, "Content-Type": "application/msgpack", "Accept-Encoding": "gzip"}
        if len(body) > _SMALL:
            body, headers["Content-Encoding"] = gzip.compress(body, 1), "gzip"
        answer = self._posted(body, headers)
        if answer.status_code != 200:
            raise _error(self.address, answer)
        try:
            return msgspec.msgpack.decode(answer.content, type=Response)
        except (msgspec.MsgspecError, ValueError) as error:
            raise PeerError(f"{self.address} answers what is no answer of a node: {error}") from error

    def _posted(self, body: bytes, headers: dict[str, str]) -> httpx.Response:
        told = ""
        for n in range(_TRIES):
            if n:
                time.sleep(_WAIT * 2 ** (n - 1))
            try:
                answer = self._client.post(f"{self.address}/sync", content=body, headers=headers)
            except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                raise PeerError(
                    f"{self.address!r} is no address: {error}; give one such as https://example.org"
                ) from error
            except (httpx.HTTPError, httpx.StreamError) as error:
                told = f"{type(error).__name__}: {error}"
                continue
            if answer.status_code not in (429, 502, 503, 504):
                return answer
            told = f"it says {answer.status_code}"
        raise PeerError(f"{self.address} cannot be reached ({told}): what was not exchanged is, next time")


def follow(
    node: Node, url: str, token: str | None, stop: threading.Event, on_away: Callable[[PeerError], object] | None
) -> Iterator[Report]:
    """Synchronizes now, and whenever there is something new on either side; see ``Node.follow``."""
    failed, due = 0, threading.Event()
    address = url.rstrip("/")
    with _client(address) as client, _Changes(node, due) as changes:
        link = HTTPLink(url, token, client)
        while not stop.is_set():
            try:
                with _Events(client, address, link.headers, due) as events:
                    while not stop.is_set():
                        if is_due := due.wait(_LOOK):
                            due.clear()
                        if events.error is not None:
                            raise events.error
                        if events.heard and (is_due or changes.elsewhere()) and not stop.is_set():
                            with changes.own():
                                report = node.sync(link)
                            failed = 0
                            yield report
            except Forbidden:
                raise
            except PeerError as error:
                failed += 1
                if failed == 2 and on_away is not None:  # a connection that was cut once is none that is away
                    on_away(error)
                stop.wait(min(30.0, 0.25 * 2 ** min(failed, 10)))


class _Events:
    """The events of a super node. ``due`` is set when they are ``heard``, at each that there is something new, and when
    they end, with an ``error``.
    """

    def __init__(self, client: httpx.Client, address: str, headers: dict[str, str], due: threading.Event) -> None:
        self.error: PeerError | None = None
        self.heard = False
        self._client, self._address, self._due = client, address, due
        self._headers = {**headers, "Accept": "text/event-stream"}
        self._socket: socket.socket | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=f"events of {address}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it is closed already
                self._socket.shutdown(socket.SHUT_RDWR)  # or else it would be read until the next heartbeat
        self._thread.join(_LOOK)  # it may be connecting still

    def _run(self) -> None:
        try:
            self._listen()
            self.error = PeerError(f"{self._address} has ended its events")
        except PeerError as error:
            self.error = error
        except Exception as error:  # what the client, or a socket that was shut, says
            self.error = PeerError(f"{self._address} cannot be reached ({type(error).__name__}: {error})")
        self._due.set()

    def _listen(self) -> None:
        with self._client.stream("GET", f"{self._address}/events", headers=self._headers) as events:
            if events.status_code != 200:
                events.read()
                raise _error(self._address, events)
            self._socket = events.extensions["network_stream"].get_extra_info("socket")
            self.heard = True
            self._due.set()  # what came before is in it
            for line in () if self._ended else events.iter_lines():
                if line.startswith("event: stale"):
                    self._due.set()


class _Changes:
    """What is changed here, but by the synchronizations of its own: ``due`` is set at each change of this process."""

    def __init__(self, node: Node, due: threading.Event) -> None:
        self._node, self._due = node, due
        self._known = node.position
        self._own: int | None = None
        self._end = node.subscribe(self._changed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _changed(self, position: int) -> None:
        self._known = max(self._known, position)
        if threading.get_ident() != self._own:
            self._due.set()

    @contextlib.contextmanager
    def own(self) -> Iterator[None]:
        """What this thread changes in here is none."""
        self._own = threading.get_ident()
        try:
            yield
        finally:
            self._own = None

    def elsewhere(self) -> bool:
        """Whether another process has changed something since the last look, or the last change here."""
        before, self._known = self._known, max(self._known, self._node.position)
        return self._known != before


def _error(address: str, answer: httpx.Response) -> PeerError:
    try:
        detail = str(msgspec.json.decode(answer.content)["detail"])
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError):
        detail = answer.reason_phrase
    kind = {401: Forbidden, 403: Forbidden, 413: TooLarge}.get(answer.status_code, PeerError)
    return kind(f"{address} says {answer.status_code}: {detail}")


def _client(address: str) -> httpx.Client:
    timeout = httpx.Timeout(60, connect=10)
    return httpx.Client(timeout=timeout, verify=not address.startswith("http://"))  # certificates take long to load
