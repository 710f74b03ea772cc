"""All routes of the API: each has a rule, and is documented with what it takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from starlette.responses import JSONResponse
from starlette.routing import Route

from paintdiff.api.a1111.routes import PATHS as A1111_PATHS
from paintdiff.api.routes import API_ROUTES, api_routes
from paintdiff.server.access import Access
from paintdiff.server.guard import Guard, Hosts
from paintdiff.server.page_events import PageEvents
from paintdiff.server.problems import ErrorShapes, Refusal, shape_as_problem
from paintdiff.server.routes import Body
from paintdiff.server.sessions import NoEvents, Sessions
from paintdiff.version import __version__
from tests.api.conftest import Served, serve


def methods_of(router: Any) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for route in router.routes:
        if isinstance(route, Route):
            found |= {(method, route.path) for method in route.methods or ()}
        elif hasattr(route, "original_router"):
            found |= methods_of(route.original_router)
    return found


def test_every_route_has_a_rule_and_every_rule_a_route(served: Served) -> None:
    router: APIRouter = api_routes(served.context)
    rules = {(method, rule.path) for rule in API_ROUTES for method in rule.methods}
    assert methods_of(router) == rules
    for rule in API_ROUTES:
        assert "POST" in rule.methods or rule.body is Body.NONE


def test_the_documentation_needs_no_other_server(client: TestClient) -> None:
    schema = client.get("/api/openapi.json").json()
    assert schema["info"]["version"] == __version__
    documented = {rule.path for rule in API_ROUTES} - {
        "/api/openapi.json",
        "/docs",
        "/docs/{name}",
    }
    assert set(schema["paths"]) == {each.replace(":path}", "}") for each in documented}
    page = client.get("/docs").text
    assert "http://" not in page and "https://" not in page
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"):
        assert f"docs/{name}" in page
        assert client.get(f"/docs/{name}").status_code == 200
    assert client.get("/docs/other.js").status_code == 422


def test_every_body_has_an_example_and_every_route_documents_its_errors(client: TestClient) -> None:
    schema = client.get("/api/openapi.json").json()
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            place = f"{method} {path}"
            assert route["summary"] and route.get("description"), place
            answer = route["responses"]["default"]["content"]
            if path.startswith("/v1/"):
                assert "error" in answer["application/json"]["schema"]["properties"], place
            elif path.startswith(A1111_PATHS):
                assert "detail" in answer["application/json"]["schema"]["properties"], place
            else:
                problem = answer["application/problem+json"]
                assert "field" in problem["schema"]["properties"], place
            for content in route.get("requestBody", {}).get("content", {}).values():
                body = content["schema"]
                if "$ref" in body:
                    body = schema["components"]["schemas"][body["$ref"].rpartition("/")[2]]
                assert body.get("examples") or content.get("examples"), place


@pytest.mark.parametrize("path", ["/generate", "/upscale", "/encode_text", "/prompt-variations"])
def test_the_examples_work(client: TestClient, path: str) -> None:
    schema = client.get("/api/openapi.json").json()
    content = schema["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    name = content["schema"]["$ref"].rpartition("/")[2]
    for example in schema["components"]["schemas"][name]["examples"]:
        if path == "/generate":
            example["num_inference_steps"] = 1
        answer = client.post(path, json=example)
        assert answer.status_code == 200, answer.text


def test_a_download_can_be_followed_and_cancelled(served: Served, client: TestClient) -> None:
    started = client.post("/api/models/download", json={"id": "owner/name"})
    assert started.status_code == 202
    place = started.headers["location"]
    assert place == f"/api/models/downloads/{started.json()['id']}"
    assert client.get(place).json()["hub_id"] == "owner/name"
    listed = client.get("/api/models/downloads").json()
    assert started.json()["id"] in [each["id"] for each in listed]
    assert client.delete(place).json()["state"] in ("cancelled", "failed")
    assert client.get("/api/models/downloads/nope").status_code == 404
    context = replace(served.context, may_manage=False)
    with TestClient(serve(context), "http://localhost", client=("127.0.0.1", 1)) as visitor:
        assert visitor.delete(place).status_code == 403
        refused = visitor.post("/api/models/download", json={"id": "owner/name"})
        assert refused.status_code == 403


def test_what_the_server_can_do(client: TestClient) -> None:
    info = client.get("/info").json()
    assert "mini" in [each["name"] for each in info["models"] if each["present"]]
    for names in ("samplers", "qualities", "profiles", "upscalers", "controlnet_methods"):
        assert info[names], names
    assert info["limits"]["max_steps"] == 1000
    assert client.get("/api/models").json() == info["models"]
    refused = client.post("/api/models/download", json={"id": "../x"})
    assert (refused.status_code, refused.json()["field"]) == (422, "id")


def test_an_unknown_path_is_a_problem(client: TestClient) -> None:
    answer = client.get("/api/nope")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_what_is_refused_says_why_in_the_form_of_its_dialect(served: Served) -> None:
    """Whatever refuses it: the guard, a limit of the body, or the table of routes."""

    def shape(refusal: Refusal) -> JSONResponse:
        return JSONResponse({"error": refusal.detail}, refusal.status, refusal.headers)

    shapes = ErrorShapes({"/": shape_as_problem, "/v1/": shape}, root_path="/paint")
    access = Access(FastAPI(), PageEvents({}), Sessions(NoEvents()), "/paint", shapes=shapes)
    guard = Guard(access, Hosts(), max_body_bytes=10, shapes=shapes)
    for path in ("/v1/x", "/paint/v1/x"):
        client = TestClient(guard, "http://localhost")
        for answer, status in (
            (client.get(path, headers={"Host": "evil.example"}), 421),
            (client.post(path, headers={"Origin": "http://evil.example"}), 403),
            (client.post(path, content=b"x" * 11), 413),
            (client.get(path), 404),
        ):
            assert answer.status_code == status
            assert list(answer.json()) == ["error"]
    other = TestClient(guard, "http://localhost").post("/status")
    assert (other.status_code, other.headers["allow"]) == (405, "GET")
    assert other.json()["detail"] == "This address takes another method: GET."
