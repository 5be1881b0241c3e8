"""``Webhook``: tells an application over HTTP which of its clients is out of date."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from .errors import PeerError
from .node import Peer

__all__ = ["Webhook"]


class Webhook:
    """An ``on_stale`` of ``SuperNode``: posts the ``Peer`` as JSON, and again while that fails.

    ``url`` gets the post, with ``headers``; ``tries`` is how often, ``wait`` how long before the second, in seconds,
    and then twice as long each time.
    What says 4xx (but 408 and 429) is not asked again. Raises ``PeerError`` in the end. It needs the extra ``sync``.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: dict[str, str] | None = None,
        tries: int = 5,
        wait: float = 1.0,
        timeout: float = 10.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url, self.headers, self.tries, self.wait = url, dict(headers or {}), tries, wait
        self.timeout, self.sleep = timeout, sleep

    def __call__(self, peer: Peer) -> None:
        import httpx

        body = msgspec.json.encode(peer)
        headers = {"Content-Type": "application/json", **self.headers}
        told = ""
        for n in range(self.tries):
            if n:
                self.sleep(self.wait * 2 ** (n - 1))
            try:
                status = httpx.post(self.url, content=body, headers=headers, timeout=self.timeout).status_code
            except httpx.HTTPError as error:
                told = f"{type(error).__name__}: {error}"
                continue
            if status < 400:
                return
            told = f"it says {status}"
            if status < 500 and status not in (408, 429):
                break
        raise PeerError(f"{self.url} could not be told that {peer.id!r} is out of date: {told}")
