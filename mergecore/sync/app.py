"""The super node over HTTP: an ASGI app. Thin: each route reads its request, asks the node in a thread, and answers.

The store is synchronous, and so is the node; what is asynchronous is here alone. Errors are problems (RFC 9457).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from importlib.metadata import version
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response as HTTPResponse
from starlette.responses import StreamingResponse
from starlette.routing import Match, Route

from mergecore import AnswerError, InvalidInput, MergeError, RecordDeleted, Version

from .errors import (
    Forbidden,
    PeerError,
    PreconditionFailed,
    PreconditionRequired,
    RecordNotFound,
    StoreError,
    StoreLocked,
)
from .openapi import described
from .patches import patched, put_back
from .protocol import Request
from .store import PeerRow
from .supernode import Answer, SuperNode, conflict_json, lost_json

__all__ = ["app_of"]

T = TypeVar("T")

_BURST = 0.05
"""So long, in seconds, changes are gathered before clients are told."""
_POLL = 1.0
"""So often a worker looks whether another one stored something."""
_TELL = 60.0
"""So often the application is told of clients that are silent."""


class _Problem(Exception):
    def __init__(self, status: int, detail: str, headers: Mapping[str, str] = {}, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.headers, self.more = status, headers, more


def app_of(node: SuperNode) -> Starlette:
    """The app of a super node."""
    web = _Web(node)
    one, record = "/records/{model}", "/records/{model}/{guid}"
    routes = [
        Route("/health", web.health),
        Route("/openapi.json", web.openapi),
        Route("/sync", web.sync, methods=["POST"]),
        Route("/events", web.events),
        Route("/inbox", web.inbox),
        Route(one, web.list),
        Route(one, web.create, methods=["POST"]),
        Route(record, web.read),
        Route(record, web.replace, methods=["PUT"]),
        Route(record, web.patch, methods=["PATCH"]),
        Route(record, web.delete, methods=["DELETE"]),
        Route(f"{record}/restore", web.restore, methods=["POST"]),
        Route(f"{record}/resolve", web.resolve, methods=["POST"]),
    ]
    handlers: Any = {
        _Problem: _problem, MergeError: _named, ClientDisconnect: _gone, HTTPException: _refused, Exception: _failed,
    }  # fmt: skip
    app = Starlette(
        routes=routes, exception_handlers=handlers, lifespan=web.lifespan,
        middleware=[Middleware(GZipMiddleware, minimum_size=1000, compresslevel=1)],
    )  # fmt: skip
    app.state.close = web.news.close  # before a server waits for its connections to end: those of events do not
    return app


class _Web:
    """The routes."""

    def __init__(self, node: SuperNode) -> None:
        self.node = node
        self.news = _News(node)

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._remind())] if self.node.on_stale is not None else []
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            self.news.close()

    async def _remind(self) -> None:
        while True:
            with contextlib.suppress(Exception):  # what the application raises is told again next time
                await run_in_threadpool(self.node.remind)
            await asyncio.sleep(min(_TELL, max(0.05, self.node.stale_after.total_seconds() / 2)))

    # ---- nodes

    async def sync(self, request: HTTPRequest) -> HTTPResponse:
        caller = await self._caller(request)
        body = await self._body(request)
        answer = await run_in_threadpool(self._answered, body, caller)
        return HTTPResponse(answer, media_type="application/msgpack")

    def _answered(self, body: bytes, caller: PeerRow) -> bytes:
        try:
            asked = msgspec.msgpack.decode(body, type=Request)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise _Problem(400, f"the body is no request of a node: {error}") from error
        return msgspec.msgpack.encode(self.node.answer(asked, caller))

    async def events(self, request: HTTPRequest) -> HTTPResponse:
        caller = await self._caller(request)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Content-Encoding": "identity"}
        stream = self.news.of(caller.id, _token(request))
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    # ---- thin clients

    async def list(self, request: HTTPRequest) -> HTTPResponse:
        model, _ = await self._may(request, "read")
        after = request.query_params.get("after", "")
        limit = _whole_number(request.query_params.get("limit", "100"), 1, 1000)
        found, more = await run_in_threadpool(self.node.fetch_all, model, after, limit)
        link = f"{_place(request)}?{urlencode({'after': found[-1].guid, 'limit': limit})}" if more else None
        return _json({"records": found} | ({} if link is None else {"next": link}))

    async def create(self, request: HTTPRequest) -> HTTPResponse:
        caller, body, data = await self._written(request)
        model, key, digest = request.path_params["model"], _key(request, caller), _digest(body)
        made = await run_in_threadpool(lambda: self.node.create(model, data, by=caller.id, key=key, digest=digest))
        return _record(made, 201, {"Location": f"{_place(request)}/{quote(made.guid)}"})

    async def read(self, request: HTTPRequest) -> HTTPResponse:
        model, _ = await self._may(request, "read")
        found = await run_in_threadpool(self.node.fetch, model, request.path_params["guid"])
        if found.is_deleted:
            raise _Problem(410, _deleted(request), current=found)
        if request.headers.get("if-none-match") == f'"{found.tag}"':
            return HTTPResponse(status_code=304, headers={"ETag": f'"{found.tag}"'})
        return _record(found)

    async def replace(self, request: HTTPRequest) -> HTTPResponse:
        caller, body, data = await self._written(request)

        def put(v: Version[Any], clock: Any, base: Version[Any]) -> Version[Any]:
            return v.put(
                clock,
                self.node.read_as(request.path_params["model"], put_back(data, base.record)),
                base=base,
                by=caller.id,
            )

        return await self._changed(request, caller, body, put)

    async def patch(self, request: HTTPRequest) -> HTTPResponse:
        caller, body, data = await self._written(request)
        if not isinstance(data, Mapping):
            raise _Problem(400, "a patch is an object of the fields that change (RFC 7396)")

        def put(v: Version[Any], clock: Any, base: Version[Any]) -> Version[Any]:
            return v.put(clock, patched(base.record, data), base=base, by=caller.id)

        return await self._changed(request, caller, body, put)

    async def delete(self, request: HTTPRequest) -> HTTPResponse:
        _, caller = await self._may(request, "write")

        def delete(v: Version[Any], clock: Any, base: Version[Any]) -> Version[Any]:
            return v.delete(clock, base=base, by=caller.id)

        return await self._changed(request, caller, b"", delete)

    async def restore(self, request: HTTPRequest) -> HTTPResponse:
        _, caller = await self._may(request, "write")

        def restore(v: Version[Any], clock: Any, base: Version[Any]) -> Version[Any]:
            return v.restore(clock, by=caller.id)

        return await self._changed(request, caller, b"", restore)

    async def resolve(self, request: HTTPRequest) -> HTTPResponse:
        caller, body, data = await self._written(request)
        await self._may(request, "read")
        if not isinstance(data, Mapping):
            raise _Problem(400, 'give an object: {path: {"candidate": id}} or {path: {"value": value}}')

        def resolve(v: Version[Any], clock: Any, base: Version[Any]) -> Version[Any]:
            return v.resolve(clock, _answers(base, data), base=base, by=caller.id)

        return await self._changed(request, caller, body, resolve)

    async def inbox(self, request: HTTPRequest) -> HTTPResponse:
        caller = await self._caller(request)
        found = await run_in_threadpool(self.node.inbox)
        return _json(
            {
                "inbox": [
                    {
                        "guid": item.guid, "model": item.model,
                        "conflicts": [conflict_json(c) for c in item.conflicts],
                        "lost": [lost_json(x) for x in item.lost],
                    }
                    for item in found if caller.reads(item.model)
                ]
            }
        )  # fmt: skip

    async def _changed(
        self,
        request: HTTPRequest,
        caller: PeerRow,
        body: bytes,
        change: Callable[[Version[Any], Any, Version[Any]], Version[Any]],
    ) -> HTTPResponse:
        model, guid = request.path_params["model"], request.path_params["guid"]
        tag, key = request.headers.get("if-match"), _key(request, caller)
        tag = tag if tag is None else tag.removeprefix("W/").strip('"')
        may_read = caller.reads(model)
        try:
            changed = await run_in_threadpool(
                self.node.change, model, guid, change, tag=tag, key=key, digest=_digest(body)
            )
        except PreconditionFailed as error:
            raise error if may_read else _Problem(412, str(error)) from None
        except RecordDeleted as error:
            raise RecordDeleted(_deleted(request)) if request.method != "POST" else error from None
        return _record(changed) if may_read else HTTPResponse(status_code=204, headers={"ETag": f'"{changed.tag}"'})

    # ---- what is told to everybody

    async def health(self, request: HTTPRequest) -> HTTPResponse:
        return _json({"name": self.node.name, "version": version("mergecore"), "time": self.node.wall()})

    async def openapi(self, request: HTTPRequest) -> HTTPResponse:
        return _json(described(self.node.name, version("mergecore"), self.node.models))

    # ---- what these are made of

    async def _caller(self, request: HTTPRequest) -> PeerRow:
        token = _token(request)
        try:
            return await run_in_threadpool(self.node.authenticate, token)
        except Forbidden as error:
            raise _Problem(401, str(error)) from error

    async def _may(self, request: HTTPRequest, what: str) -> tuple[str, PeerRow]:
        caller = await self._caller(request)
        model, allowed = request.path_params["model"], caller.read if what == "read" else caller.write
        if self.node.models and model not in self.node.models:
            raise _Problem(404, f"there is no model {model!r:.200} here")
        if allowed is not None and model not in allowed:
            raise _Problem(403, f"{caller.id!r} may not {what} {model!r:.200}")
        return model, caller

    async def _written(self, request: HTTPRequest) -> tuple[PeerRow, bytes, Any]:
        """Who writes, and what: nobody else makes us read."""
        _, caller = await self._may(request, "write")
        body = await self._body(request)
        try:
            return caller, body, await run_in_threadpool(msgspec.json.decode, body)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise _Problem(400, f"the body is no JSON: {error}") from error

    async def _body(self, request: HTTPRequest) -> bytes:
        """The body, unpacked, of bounded size."""
        encoding = request.headers.get("content-encoding", "identity").lower()
        if encoding not in ("identity", "gzip"):
            raise _Problem(415, f"the encoding {encoding!r:.100} is not known here: send gzip, or none")
        unpack = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
        limit, size, parts = self.node.max_body, 0, []
        async for chunk in request.stream():
            if unpack is not None and unpack.eof and chunk:
                raise _Problem(400, "there is something after the end of the gzip stream")
            try:
                part = unpack.decompress(chunk, limit - size + 1) if unpack is not None else chunk
            except zlib.error as error:
                raise _Problem(400, f"the body is not gzip: {error}") from error
            size += len(part)
            if size > limit or (unpack is not None and unpack.unconsumed_tail):
                raise _Problem(413, f"the body has more than {limit} bytes: send less at once")
            parts.append(part)
        if unpack is not None and not unpack.eof:
            raise _Problem(400, "the body ends in the middle of its gzip stream")
        return b"".join(parts)


class _News:
    """Who listens for news, and who is told: those that are behind, once for a burst of changes."""

    def __init__(self, node: SuperNode) -> None:
        self.node = node
        self.waiting: dict[asyncio.Queue[int | None], str] = {}
        self.changed: asyncio.Event | None = None
        self.task: asyncio.Task[None] | None = None
        self.end: Callable[[], None] = lambda: None

    async def of(self, id: str, token: str) -> AsyncIterator[bytes]:
        """The events of one client, until it goes or its token dies."""
        queue: asyncio.Queue[int | None] = asyncio.Queue(1)
        self.waiting[queue] = id
        self._start()
        try:
            yield b": welcome\n\n"
            position = (await run_in_threadpool(self.node.behind, [id])).get(id)
            while True:
                if position is not None:
                    yield b'event: stale\ndata: {"position": %d}\n\n' % position
                try:
                    position = await asyncio.wait_for(queue.get(), self.node.heartbeat)
                    if position is None:
                        return
                except TimeoutError:
                    position = None
                    yield b": still here\n\n"
                    await run_in_threadpool(self.node.authenticate, token)
        except Forbidden:
            return
        finally:
            self.waiting.pop(queue, None)
            if not self.waiting:
                self.close()

    def _start(self) -> None:
        if self.task is None:
            loop = asyncio.get_running_loop()
            changed = self.changed = asyncio.Event()
            self.end = self.node.subscribe(lambda position: _called(loop, changed.set))
            self.task = loop.create_task(self._tell(changed))

    def close(self) -> None:
        """Nobody is told any longer."""
        self.end()
        self.end = lambda: None
        if self.task is not None:
            self.task.cancel()
            self.task = None
        for queue in list(self.waiting):
            with contextlib.suppress(asyncio.QueueFull):
                queue.put_nowait(None)

    async def _tell(self, changed: asyncio.Event) -> None:
        told: dict[str, int] = {}
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), _POLL)
                await asyncio.sleep(_BURST)
            changed.clear()
            with contextlib.suppress(StoreError):
                behind = await run_in_threadpool(self.node.behind, set(self.waiting.values()))
                for queue, id in list(self.waiting.items()):
                    position = behind.get(id, 0)
                    if position > told.get(id, 0):
                        with contextlib.suppress(asyncio.QueueFull):
                            queue.put_nowait(position)
                told |= behind


def _called(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(what)


def _token(request: HTTPRequest) -> str:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise _Problem(401, "there is no token: send 'Authorization: Bearer ...'")
    return token.strip()


def _place(request: HTTPRequest) -> str:
    return quote(request.url.path)


def _deleted(request: HTTPRequest) -> str:
    return f"the record is deleted: POST {_place(request)}/restore takes that back"


def _key(request: HTTPRequest, caller: PeerRow) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= 200:
        raise _Problem(400, "an idempotency key has 1 to 200 characters")
    return None if key is None else f"{caller.id} {request.method} {request.url.path} {key}"


def _digest(body: bytes) -> bytes:
    """Tells two requests with one idempotency key apart."""
    return hashlib.blake2b(body, digest_size=16).digest()


def _whole_number(text: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text[:9]) <= most:
        raise _Problem(400, f"limit={text!r:.50}: give a whole number of {least} to {most}")
    return int(text)


def _answers(base: Version[Any], data: Mapping[str, Any]) -> dict[Any, Any]:
    """Answers as ``resolve`` takes them."""
    candidates = {c.id: c for conflict in base.conflicts for c in conflict.candidates}
    answers: dict[Any, Any] = {}
    for path, answer in data.items():
        if not isinstance(answer, Mapping) or len(answer) != 1 or not answer.keys() <= {"candidate", "value"}:
            raise InvalidInput(f'give {{"candidate": id}} or {{"value": value}} for {path!r:.200}')
        if "candidate" in answer and answer["candidate"] not in candidates:
            raise AnswerError(f"there is no candidate {answer['candidate']!r:.200}; open are {', '.join(candidates)}")
        answers[path] = candidates[answer["candidate"]] if "candidate" in answer else answer["value"]
    return answers


# ---- answers


def _json(data: Any, status: int = 200, headers: Mapping[str, str] | None = None, kind: str = "json") -> HTTPResponse:
    return HTTPResponse(msgspec.json.encode(data), status, headers, f"application/{kind}")


def _record(answer: Answer, status: int = 200, headers: Mapping[str, str] | None = None) -> HTTPResponse:
    return _json(answer, status, {"ETag": f'"{answer.tag}"', **(headers or {})})


async def _problem(request: HTTPRequest, error: Exception) -> HTTPResponse:
    assert isinstance(error, _Problem)
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else error.headers
    about = {"title": _TITLES.get(error.status, "Error"), "status": error.status, "detail": str(error)}
    return _json({**about, **error.more}, error.status, headers, "problem+json")


_TITLES = {
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    409: "Conflict", 410: "Gone", 412: "Precondition Failed", 413: "Content Too Large", 415: "Unsupported Media Type",
    422: "Unprocessable Content", 428: "Precondition Required", 503: "Service Unavailable", 507: "Insufficient Storage",
}  # fmt: skip

_STATUS: list[tuple[type[MergeError], int]] = [
    (Forbidden, 403), (PeerError, 409), (RecordNotFound, 404), (PreconditionRequired, 428), (PreconditionFailed, 412),
    (RecordDeleted, 410), (StoreLocked, 503), (StoreError, 507), (AnswerError, 422), (InvalidInput, 422),
]  # fmt: skip


async def _named(request: HTTPRequest, error: Exception) -> HTTPResponse:
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 400)
    more: dict[str, Any] = {}
    headers = {}
    if isinstance(error, PreconditionFailed) and isinstance(error.current, Answer):
        more, headers = {"current": error.current}, {"ETag": f'"{error.current.tag}"'}
    about = {
        "title": _TITLES.get(status, "Error"),
        "status": status,
        # a store's error says where it is
        "detail": "the store cannot be used now" if isinstance(error, StoreError) else str(error),
        "error": type(error).__name__,
    }
    return _json({**about, **more}, status, headers, "problem+json")


async def _refused(request: HTTPRequest, error: Exception) -> HTTPResponse:
    """There is no such route, or not by this method."""
    assert isinstance(error, HTTPException)
    if error.status_code != 405:
        return await _problem(request, _Problem(error.status_code, error.detail))
    routes = [r for r in request.app.routes if r.matches(request.scope)[0] is not Match.NONE]
    allowed = ", ".join(sorted({method for route in routes for method in route.methods}))
    told = _Problem(405, f"{request.method} is none of {allowed}", {"Allow": allowed})
    return await _problem(request, told)


async def _failed(request: HTTPRequest, error: Exception) -> HTTPResponse:
    return await _problem(request, _Problem(500, "this is a bug: it is in the server's log"))


async def _gone(request: HTTPRequest, error: Exception) -> HTTPResponse:
    return HTTPResponse(status_code=400)
