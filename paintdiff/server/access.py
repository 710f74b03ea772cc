"""Lets through what the page needs and nothing else: known routes, with checked bodies."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from paintdiff.server.page_events import (
    MAX_EVENT_BYTES,
    EventRefusedError,
    PageEvents,
    check_cancel,
    session_of,
)
from paintdiff.server.routes import Body, Route, RouteTable, filter_query
from paintdiff.server.sessions import Sessions
from paintdiff.server.visitors import client_address, current_visitor, visitor_of


@dataclass(frozen=True)
class Access:
    """Wraps the application that serves the page.

    `sessions` counts who reads the queue's streams. `root_path` is what a reverse proxy serves the
    application under, "" if nothing; a proxy may take it off a request's path or leave it there.
    Whatever is refused gets a JSON body with the reason in `detail`, as FastAPI's own errors have.
    """

    app: ASGIApp
    events: PageEvents
    sessions: Sessions
    root_path: str = ""
    table: RouteTable = field(default_factory=RouteTable)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by refusing, or hand the request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self.root_path and scope["path"] == self.root_path:
            # The page's addresses are relative, so it has to lie in a folder.
            await RedirectResponse(f"{self.root_path}/", 308)(scope, receive, send)
            return
        current_visitor.set(visitor_of(client_address(scope)))
        scope = _below(self.root_path, scope)
        route = self.table.find(scope["method"], scope["path"])
        if route is None:
            await _refusal("Not Found", 404)(scope, receive, send)
            return
        try:
            query = filter_query(route, scope["query_string"])
        except ValueError as error:
            await _refusal(f"The address can't be read: {error}.", 400)(scope, receive, send)
            return
        try:
            await self._forward(route, {**scope, "query_string": query}, receive, send)
        except EventRefusedError as error:
            await _refusal(str(error), error.status)(scope, receive, send)

    async def _forward(self, route: Route, scope: Scope, receive: Receive, send: Send) -> None:
        if route.stream:
            await self._stream(scope, receive, send)
            return
        match route.body:
            case Body.PICTURE:
                await self.app(scope, receive, send)
            case Body.NONE:
                await self.app(scope, _without_body(receive), send)
            case Body.CANCEL:
                body = check_cancel(await _whole_body(receive))
                await self.app(_json_scope(scope, body), _replayed(body, receive), send)
            case Body.EVENT | Body.QUEUED_EVENT:
                queued = route.body is Body.QUEUED_EVENT
                body, session = self.events.checked(await _whole_body(receive), queued=queued)
                if queued:
                    await self.sessions.admit(session)
                await self.app(_json_scope(scope, body), _replayed(body, receive), send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = parse_qs(scope["query_string"].decode())
        session = session_of(query.get("session_hash", [""])[0])
        with self.sessions.reading(session, current_visitor.get()):
            try:
                await self.app(scope, receive, send)
            except RuntimeError as error:
                if not isinstance(error.__cause__, HTTPException):
                    raise
                # Gradio has told the page that the session is gone, and then raises, which would
                # leave a traceback in the log.
                await send({"type": "http.response.body", "body": b"", "more_body": False})


def _below(root_path: str, scope: Scope) -> Scope:
    """Return the scope with the path below the root path, if the proxy has left that there."""
    path = scope["path"]
    if not root_path or not path.startswith(f"{root_path}/"):
        return scope
    below = path[len(root_path) :]
    return {**scope, "path": below, "raw_path": below.encode()}


async def _whole_body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise EventRefusedError("The request was cut off.")
        body += message.get("body", b"")
        if len(body) > MAX_EVENT_BYTES:
            raise EventRefusedError(f"An event has at most {MAX_EVENT_BYTES:,} bytes.", 413)
        if not message.get("more_body", False):
            return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body once, then what comes after it."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _without_body(receive: Receive) -> Receive:
    """Return a `receive` that drops what a body would bring."""

    async def emptied() -> Message:
        message = await receive()
        return {**message, "body": b""} if message["type"] == "http.request" else message

    return emptied


def _json_scope(scope: Scope, body: bytes) -> Scope:
    """Return the scope with the headers of the body as it was written again."""
    changed = {**scope, "headers": list(scope["headers"])}
    headers = MutableHeaders(scope=changed)
    headers["content-type"] = "application/json"
    headers["content-length"] = str(len(body))
    del headers["transfer-encoding"]
    return changed


def _refusal(detail: str, status: int) -> Response:
    return JSONResponse({"detail": detail}, status)
