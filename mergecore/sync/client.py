"""A node that is reached over HTTP, and the events that it sends."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

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
_SMALL = 1 << 10
"""A body of fewer bytes is not packed."""


class HTTPLink:
    """A link to a super node's app. What is asked again, because the answer was lost, changes nothing a second time."""

    def __init__(self, url: str, token: str | None = None, client: httpx.Client | None = None) -> None:
        self.address = url.rstrip("/")
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._client = client or _client(self.address)

    def close(self) -> None:
        """Closes its connections."""
        self._client.close()

    def __call__(self, request: Request) -> Response:
        body = msgspec.msgpack.encode(request)
        headers = {**self._headers, "Content-Type": "application/msgpack", "Accept-Encoding": "gzip"}
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


def follow(node: Node, url: str, token: str | None, stop: threading.Event) -> Iterator[Report]:
    """Synchronizes now, and whenever there is something new; see ``Node.follow``."""
    wait = 0.5
    headers = {"Accept": "text/event-stream"} | ({} if token is None else {"Authorization": f"Bearer {token}"})
    address = url.rstrip("/")
    with _client(address) as client:
        link = HTTPLink(url, token, client)
        while not stop.is_set():
            try:
                with client.stream("GET", f"{address}/events", headers=headers) as events:
                    if events.status_code != 200:
                        events.read()
                        raise _error(address, events)
                    yield node.sync(link)  # once it is heard: what came before is in it
                    wait = 0.5
                    for line in events.iter_lines():
                        if stop.is_set():
                            return
                        if line.startswith("event: stale"):
                            yield node.sync(link)
            except Forbidden:
                raise
            except (PeerError, httpx.HTTPError, httpx.StreamError):
                stop.wait(wait)
                wait = min(30.0, wait * 2)


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
