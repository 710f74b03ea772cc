"""The guard refuses what it should, and each refusal has a control that passes without it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from paintdiff.api.guard import COOKIE, Guard, Hosts, PasswordGate


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{len(await request.body())} bytes")


APP = Starlette(routes=[Route("/any", echo, methods=["GET", "POST"])])


def client(**options: Any) -> TestClient:
    hosts = options.pop("hosts", Hosts())
    return TestClient(Guard(APP, hosts, **options), base_url="http://localhost:7860")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:7860", 200),
        ("127.0.0.1", 200),
        ("[::1]:7860", 200),
        ("LOCALHOST.", 200),
        ("studio.lan:80", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("evil.example:7860", 421),
        ("192.168.1.5:7860", 421),
        ("", 421),
        ("[::1", 421),
    ],
)
def test_it_answers_only_to_its_own_names(host: str, status: int) -> None:
    visitor = client(hosts=Hosts(["studio.lan"]))
    assert visitor.get("/any", headers={"Host": host}).status_code == status


def test_without_the_guard_any_host_is_answered() -> None:
    """Negative control."""
    assert TestClient(APP).get("/any", headers={"Host": "evil.example"}).status_code == 200


def test_a_server_on_every_address_answers_to_addresses_but_not_to_names() -> None:
    visitor = client(hosts=Hosts(any_address=True))
    assert visitor.get("/any", headers={"Host": "192.168.1.5:7860"}).status_code == 200
    assert visitor.get("/any", headers={"Host": "evil.example"}).status_code == 421


def test_a_share_link_is_answered_once_it_is_known() -> None:
    hosts = Hosts()
    visitor = client(hosts=hosts)
    headers = {"Host": "abc.gradio.live"}
    assert visitor.get("/any", headers=headers).status_code == 421
    hosts.allow("abc.gradio.live")
    assert visitor.get("/any", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://localhost:7860"}, 200),
        ({"Origin": "https://localhost:7860"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost:9999"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}, 403),
    ],
)
def test_another_sites_page_can_change_nothing(headers: dict[str, str], status: int) -> None:
    assert client().post("/any", headers=headers).status_code == status
    assert TestClient(APP).post("/any", headers=headers).status_code == 200  # negative control


def test_another_sites_page_may_link_to_us() -> None:
    assert client().get("/any", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def test_every_route_asks_for_the_password_even_one_that_is_not_there() -> None:
    visitor = client(gate=PasswordGate(("ada", "secret:word")))
    for path in ("/any", "/not-there"):
        answer = visitor.get(path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic")
    for wrong in ("ada:wrong", "bob:secret:word", "ada", "", "ada:secret:word "):
        assert visitor.get("/any", headers=basic(wrong)).status_code == 401
    assert visitor.get("/any", headers={"Authorization": "Basic !!!"}).status_code == 401
    assert visitor.get("/any", headers=basic("ada:secret:word")).status_code == 200


def test_guessing_is_slowed_down_but_not_for_those_who_are_in() -> None:
    now = [0.0]
    gate = PasswordGate(("ada", "x"), max_wrong=3, window_seconds=60, clock=lambda: now[0])
    inside = client(gate=gate)
    assert inside.get("/any", headers=basic("ada:x")).status_code == 200
    guesser = client(gate=gate)
    statuses = [guesser.get("/any", headers=basic(f"ada:{n}")).status_code for n in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
    right = guesser.get("/any", headers=basic("ada:x"))
    assert right.status_code == 429 and int(right.headers["retry-after"]) > 0
    assert inside.get("/any").status_code == 200, "the cookie lets in whoever was in before"
    now[0] = 61
    assert guesser.get("/any", headers=basic("ada:x")).status_code == 200


def test_a_visit_without_a_password_is_no_guess() -> None:
    gate = PasswordGate(("ada", "x"), max_wrong=1)
    visitor = client(gate=gate)
    assert [visitor.get("/any").status_code for _ in range(5)] == [401] * 5


def test_only_our_own_cookies_count() -> None:
    gate = PasswordGate(("ada", "x"))
    answer = client(gate=gate).get("/any", headers=basic("ada:x"))
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Secure" not in cookie
    value = cookie.split(";")[0].split("=", 1)[1]
    assert gate.knows(value)
    other = PasswordGate(("ada", "x"))
    for forged in ("", ".", "a.b", value[:-1], other.cookie()):
        assert not gate.knows(forged)
        headers = {"Cookie": f"{COOKIE}={forged}"}
        assert client(gate=gate).get("/any", headers=headers).status_code == 401


def test_a_large_body_is_refused_by_its_word_and_by_its_length() -> None:
    visitor = client(max_body_bytes=1000)
    assert visitor.post("/any", content=b"x" * 1000).text == "1000 bytes"
    assert visitor.post("/any", content=b"x" * 1001).status_code == 413

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100

    def plain() -> Any:
        for _ in range(20):
            yield b"x" * 100

    assert visitor.post("/any", content=plain()).status_code == 413, "no length is given"
    assert TestClient(APP).post("/any", content=plain()).text == "2000 bytes"  # negative control


def test_what_goes_out_is_sealed() -> None:
    headers = client(frame_ancestors=("'self'", "https://huggingface.co")).get("/any").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "frame-ancestors 'self' https://huggingface.co"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_no_websocket_gets_through() -> None:
    with pytest.raises(WebSocketDisconnect), client().websocket_connect("/any"):
        pass
