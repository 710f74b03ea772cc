"""Admits only what the page needs: known routes, with checked bodies."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from paintdiff.accounts.scopes import format_scopes
from paintdiff.server import messages
from paintdiff.server.bodies import replay_body
from paintdiff.server.identities import HEADER, Identity, current_identity
from paintdiff.server.page_events import (
    MAX_EVENT_BYTES,
    DirectAnswer,
    EventRefusedError,
    PageEvents,
    check_cancel,
    check_json,
    current_answer,
    parse_session,
)
from paintdiff.server.problems import ErrorShapes, Refusal, strip_root_path
from paintdiff.server.routes import Body, Route, RouteTable, filter_query
from paintdiff.server.sessions import Sessions
from paintdiff.server.visitors import current_visitor, identify_visitor, read_client_address


@dataclass(frozen=True)
class Access:
    """ASGI middleware around the page's application.

    `sessions` counts the readers of the queue's streams. `root_path` is the reverse proxy's path of
    the application, "" if none; a proxy may strip it from a request's path or not. `shapes` make
    the responses to refused requests.
    """

    app: ASGIApp
    events: PageEvents
    sessions: Sessions
    root_path: str = ""
    table: RouteTable = field(default_factory=RouteTable)
    shapes: ErrorShapes = field(default_factory=ErrorShapes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request or pass it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self.root_path and scope["path"] == self.root_path:
            # The page's URLs are relative, so its own must end with a slash.
            await RedirectResponse(f"{self.root_path}/", 308)(scope, receive, send)
            return
        current_visitor.set(identify_visitor(read_client_address(scope)))
        current_identity.set(Identity.parse(Headers(scope=scope).get(HEADER)))
        scope = _strip_root_path(self.root_path, scope)
        route = self.table.find(scope["method"], scope["path"])
        if route is None:
            await self._refuse(self._describe_missing(scope), scope, receive, send)
            return
        refusal = _find_missing_scope(route)
        if refusal is not None:
            await self._refuse(refusal, scope, receive, send)
            return
        try:
            query = filter_query(route, scope["query_string"])
        except ValueError as error:
            refusal = Refusal(400, messages.unreadable_address(error))
            await self._refuse(refusal, scope, receive, send)
            return
        try:
            await self._forward(route, {**scope, "query_string": query}, receive, send)
        except EventRefusedError as error:
            await self._refuse(Refusal(error.status, str(error)), scope, receive, send)

    def _describe_missing(self, scope: Scope) -> Refusal:
        allowed = ", ".join(self.table.methods_at(scope["path"]))
        if not allowed:
            return Refusal(404, messages.NO_SUCH_ROUTE)
        return Refusal(405, messages.wrong_method(allowed), {"Allow": allowed})

    async def _refuse(self, refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
        await self.shapes.respond(refusal, scope)(scope, receive, send)

    async def _forward(self, route: Route, scope: Scope, receive: Receive, send: Send) -> None:
        if route.stream:
            await self._stream(scope, receive, send)
            return
        match route.body:
            case Body.PICTURE | Body.FORM:
                await self.app(scope, receive, send)
            case Body.NONE:
                await self.app(scope, _drop_body(receive), send)
            case Body.LARGE_JSON:
                # Declared as JSON, whatever the client calls it: `curl -d` calls it a form.
                await self.app(_declare_json(scope), receive, send)
            case Body.JSON:
                body = check_json(await _read_body(receive))
                await self.app(_make_json_scope(scope, body), replay_body(body, receive), send)
            case Body.CANCEL:
                body, session = check_cancel(await _read_body(receive))
                self.sessions.admit_cancellation(session)
                await self.app(_make_json_scope(scope, body), replay_body(body, receive), send)
            case Body.EVENT | Body.QUEUED_EVENT:
                queued = route.body is Body.QUEUED_EVENT
                body, session = self.events.check(await _read_body(receive), queued=queued)
                if queued:
                    await self.sessions.admit(session, current_visitor.get(), len(body))
                else:
                    send = _report_refusals(send)
                await self.app(_make_json_scope(scope, body), replay_body(body, receive), send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = parse_qs(scope["query_string"].decode())
        session = parse_session(query.get("session_hash", [""])[0])
        with self.sessions.open_stream(session, current_visitor.get()):
            try:
                await self.app(scope, receive, send)
            except RuntimeError as error:
                if not isinstance(error.__cause__, HTTPException):
                    raise
                # Gradio has reported to the page that the session is gone. Then it raises, which
                # would leave a traceback in the log.
                await send({"type": "http.response.body", "body": b"", "more_body": False})


def _find_missing_scope(route: Route) -> Refusal | None:
    """Return why the current identity may not use a route, None if it may."""
    if route.needs is None:
        return Refusal(403, messages.NO_RULE)
    missing = format_scopes(route.needs - current_identity.get().scopes)
    return (
        Refusal(403, messages.scope_missing(missing), more={"scope": missing}) if missing else None
    )


def _strip_root_path(root_path: str, scope: Scope) -> Scope:
    """Return the scope with the path below the root path, if the proxy didn't strip that."""
    below = strip_root_path(root_path, scope["path"])
    if below == scope["path"]:
        return scope
    return {**scope, "path": below, "raw_path": below.encode()}


async def _read_body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise EventRefusedError(messages.REQUEST_CUT_OFF)
        body += message.get("body", b"")
        if len(body) > MAX_EVENT_BYTES:
            raise EventRefusedError(messages.event_too_large(MAX_EVENT_BYTES), 413)
        if not message.get("more_body", False):
            return bytes(body)


def _drop_body(receive: Receive) -> Receive:
    """Return a `receive` that drops the body."""

    async def emptied() -> Message:
        message = await receive()
        return {**message, "body": b""} if message["type"] == "http.request" else message

    return emptied


def _make_json_scope(scope: Scope, body: bytes) -> Scope:
    """Return the scope with headers that match the new body."""
    changed = _declare_json(scope)
    headers = MutableHeaders(scope=changed)
    headers["content-length"] = str(len(body))
    del headers["transfer-encoding"]
    return changed


def _declare_json(scope: Scope) -> Scope:
    """Return the scope with a header that says that the body is JSON."""
    declared = {**scope, "headers": list(scope["headers"])}
    MutableHeaders(scope=declared)["content-type"] = "application/json"
    return declared


def _report_refusals(send: Send) -> Send:
    """Return a `send` that answers 422 instead of 500 if the event itself is at fault."""
    answer = DirectAnswer()
    current_answer.set(answer)

    async def send_status(message: Message) -> None:
        if message.get("status") == 500 and answer.refuses_event:
            message = {**message, "status": 422}
        await send(message)

    return send_status
