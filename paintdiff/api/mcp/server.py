"""The server at /mcp: streamable HTTP, with no session between requests.

So each request is its sender's own, and the guard checks each. The guard also checks Host and
Origin, which protects from DNS rebinding; the package's own check would be a second one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import INVALID_REQUEST, ErrorData, JSONRPCError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route as AppRoute
from starlette.types import Receive, Scope, Send

from paintdiff.api.mcp import messages
from paintdiff.api.mcp.tools import add_tools
from paintdiff.api.routing import check_values
from paintdiff.server.bodies import replay_body
from paintdiff.server.guard import DEFAULT_MAX_BODY_BYTES
from paintdiff.server.routes import BOTH, Body, Route
from paintdiff.version import __version__

if TYPE_CHECKING:
    from fastapi import FastAPI
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from paintdiff.api.context import ApiContext

PATH = "/mcp"
NAME = "PaintDiffusion"


class McpApp:
    """The ASGI application of the tools. Enter `run` while it serves.

    `rules` are what the guard must let through.
    """

    rules = (Route(("POST",), PATH, body=Body.LARGE_JSON, needs=BOTH),)

    def __init__(self, context: ApiContext) -> None:
        self._context = context
        self._manager: StreamableHTTPSessionManager | None = None

    @asynccontextmanager
    async def run(self, _app: FastAPI) -> AsyncGenerator[None]:
        """Serve the tools within the context: the lifespan of the application around it."""
        server = MCPServer(
            NAME, instructions=messages.INSTRUCTIONS, version=__version__, subscriptions=False
        )
        add_tools(server, self._context)
        server.streamable_http_app(
            stateless_http=True,
            max_request_body_size=DEFAULT_MAX_BODY_BYTES,
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        )
        async with server.session_manager.run():
            self._manager = server.session_manager
            try:
                yield
            finally:
                self._manager = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. Its body arrives first: the package parses it while everybody waits."""
        assert self._manager is not None  # nothing is served outside the lifespan
        try:
            body = await Request(scope, receive).body()
            check_values(body)
        except ClientDisconnect:
            return  # nobody is there to be answered
        except HTTPException as error:
            await _refuse(error)(scope, receive, send)
        else:
            await self._manager.handle_request(scope, replay_body(body, receive), send)

    def make_route(self) -> AppRoute:
        """Return the route for the application."""
        return AppRoute(PATH, self, methods=["POST"])


def _refuse(error: HTTPException) -> JSONResponse:
    """Return the response to a message that isn't read, in JSON-RPC's form."""
    content = ErrorData(code=INVALID_REQUEST, message=error.detail)
    message = JSONRPCError(jsonrpc="2.0", id=None, error=content)
    return JSONResponse(message.model_dump(mode="json", exclude_unset=True), error.status_code)
