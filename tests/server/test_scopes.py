"""Each route has a rule: which scopes it needs. A key of each scope meets every route."""

from __future__ import annotations

import re

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from paintdiff.accounts.scopes import ALL_SCOPES, Scope
from paintdiff.api.a1111.lists import LISTS
from paintdiff.api.routes import API_ROUTES
from paintdiff.server.access import Access
from paintdiff.server.identities import HEADER, Identity
from paintdiff.server.page_events import PageEvents
from paintdiff.server.routes import PAGE_ROUTES, Body, Route, RouteTable
from paintdiff.server.sessions import NoEvents, Sessions

ROUTES = (*PAGE_ROUTES, *API_ROUTES)
OPEN = {"/health"}
FOR_ALL_WHO_ENTERED = {
    *("/", "/theme.css", "/assets/{path:path}", "/static/{path:path}", "/favicon.ico"),
    *("/robots.txt", "/status", "/models/preview", "/models/downloads", "/health", "/info"),
    *("/api/models", "/api/models/downloads", "/api/openapi.json", "/docs", "/docs/{name}"),
    *("/api/models/downloads/{download_id}", "/api/retrain/status"),
    *("/v1/models", "/v1/models/{model_id:path}"),
    *(f"/sdapi/v1/{each}" for each in (*LISTS, "options", "cmd-flags", "memory")),
    *(f"/controlnet/{each}" for each in ("version", "model_list", "module_list")),
    *("/controlnet/control_types", "/controlnet/settings", "/internal/ping"),
}
"""Routes that show nothing of anybody's pictures and change nothing. Think twice to add one."""


async def reached(scope: AsgiScope, receive: Receive, send: Send) -> None:
    await Request(scope, receive).body()
    await PlainTextResponse("reached")(scope, receive, send)


def ask(route: Route, method: str, scopes: frozenset[Scope], table: tuple[Route, ...]) -> int:
    access = Access(reached, PageEvents({}), Sessions(NoEvents()), table=RouteTable(table))
    identity = Identity("ada", sees_all=False, scopes=scopes)
    path = re.sub(r"\{[^}]*\}", "x", route.path)
    client = TestClient(access, headers={HEADER: identity.format()})
    content = b"" if route.body is Body.NONE else b"{}"
    return client.request(method, path, content=content, params={"session_hash": "a"}).status_code


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.methods[0]} {route.path}")
def test_a_key_reaches_what_its_scopes_say_and_nothing_else(route: Route) -> None:
    assert route.needs is not None, "a route without a rule"
    if not route.needs:
        assert route.path in FOR_ALL_WHO_ENTERED
    assert route.is_open is (route.path in OPEN)
    for method in route.methods:
        for scopes in (frozenset[Scope](), *(frozenset({each}) for each in Scope), ALL_SCOPES):
            refused = ask(route, method, scopes, ROUTES) == 403
            assert refused is bool(route.needs - scopes), (method, scopes)


def test_a_route_without_a_rule_is_refused() -> None:
    route = Route(("GET",), "/new")
    assert ask(route, "GET", ALL_SCOPES, (route,)) == 403


def test_what_changes_something_needs_a_scope() -> None:
    for route in ROUTES:
        assert set(route.methods) <= {"GET", "HEAD"} or route.needs, route.path
