"""The guard refuses what it should, and each refusal has a control that passes without it."""

from __future__ import annotations

import asyncio
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

from paintdiff.server import guard
from paintdiff.server.guard import COOKIE, Guard, Hosts
from paintdiff.server.passwords import MAX_GUESS_DELAY_SECONDS, PasswordGate, identify_guesser


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{len(await request.body())} bytes")


async def open_to_all(request: Request) -> PlainTextResponse:
    """Answer as Gradio does: with credentialed CORS, and with what a proxy's headers say."""
    headers = {
        "Access-Control-Allow-Origin": request.headers.get("origin", ""),
        "Access-Control-Allow-Credentials": "true",
    }
    return PlainTextResponse(request.headers.get("x-forwarded-host", "none"), headers=headers)


APP = Starlette(routes=[Route("/any", echo, methods=["GET", "POST"]), Route("/open", open_to_all)])


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


@pytest.mark.parametrize(
    "host",
    [
        "localhost/path",
        "localhost?query",
        "localhost#part",
        "someone@localhost",
        "localhost:words",
        "localhost:1:2",
        "localhost:123456",
        "localhost, evil.test",
        "local host",
        "localhost\\x",
        "[::1",
        "[::1]x",
        "",
    ],
)
def test_a_host_is_a_name_and_a_port_and_nothing_else(host: str) -> None:
    assert client().get("/any", headers={"Host": host}).status_code == 421


def test_a_request_with_two_lengths_ends_its_connection() -> None:
    """Proxies in front may see another end of it, and so another next request."""
    headers = {"Content-Length": "4", "Transfer-Encoding": "chunked"}
    answer = client().post("/any", headers=headers)
    assert answer.status_code == 400 and answer.headers["connection"] == "close"


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
        ({"Origin": "http://127.0.0.1:9999"}, 403),
        ({"Origin": "http://0.0.0.0:9999"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[::1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}, 403),
    ],
)
def test_another_sites_page_can_change_nothing(headers: dict[str, str], status: int) -> None:
    assert client().post("/any", headers=headers).status_code == status
    assert TestClient(APP).post("/any", headers=headers).status_code == 200  # negative control


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:7860", "https://paint.example.org", 200),  # the proxy sends its own Host
        ("paint.example.org", "https://paint.example.org:8443", 200),  # it drops the port
        ("paint.example.org:443", "https://paint.example.org", 200),  # it adds one
        ("PAINT.example.org.", "https://paint.example.org", 200),
        ("paint.example.org", "https://evil.example", 403),
        ("paint.example.org", "https://paint.example.org.evil.example", 403),
        ("paint.example.org", "http://localhost:8888", 403),
        ("127.0.0.1:7860", "http://127.0.0.1:8888", 403),
    ],
)
def test_behind_a_reverse_proxy_the_page_is_known_by_its_name(
    host: str, origin: str, status: int
) -> None:
    visitor = client(hosts=Hosts(["paint.example.org"]))
    assert visitor.post("/any", headers={"Host": host, "Origin": origin}).status_code == status


def test_another_sites_page_may_link_to_us_but_not_read_or_embed_us() -> None:
    linked = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client().get("/any", headers=linked).status_code == 200
    for mode in ("cors", "no-cors", "same-origin"):
        read = {**linked, "Sec-Fetch-Mode": mode}
        assert client().get("/any", headers=read).status_code == 403
    own = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
    assert client().get("/any", headers=own).status_code == 200


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


def from_address(app: Guard, address: str) -> TestClient:
    return TestClient(app, base_url="http://localhost:7860", client=(address, 50_000))


def test_guessing_locks_out_the_guesser_and_nobody_else() -> None:
    now = [0.0]
    gate = PasswordGate(("ada", "x"), max_wrong=3, window_seconds=60, clock=lambda: now[0])
    app = Guard(APP, Hosts(), gate)
    inside = from_address(app, "192.0.2.1")
    assert inside.get("/any", headers=basic("ada:x")).status_code == 200
    guesser = from_address(app, "192.0.2.1")
    statuses = [guesser.get("/any", headers=basic(f"ada:{n}")).status_code for n in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
    right = guesser.get("/any", headers=basic("ada:x"))
    assert right.status_code == 429 and int(right.headers["retry-after"]) > 0
    assert inside.get("/any").status_code == 200, "the cookie lets in whoever was in before"
    newcomer = from_address(app, "192.0.2.2")
    assert newcomer.get("/any", headers=basic("ada:x")).status_code == 200
    now[0] = 61
    assert guesser.get("/any", headers=basic("ada:x")).status_code == 200


def test_a_guesser_with_many_addresses_is_slowed_down() -> None:
    now = [0.0]
    gate = PasswordGate(("ada", "x"), max_wrong=3, window_seconds=60, clock=lambda: now[0])
    for number in range(30):
        assert gate.guess_delay_seconds() == 0
        gate.opens_for(basic("ada:y")["Authorization"], f"192.0.2.{number}")
    delays = [gate.guess_delay_seconds() for _ in range(200)]
    assert delays[:3] == pytest.approx([0, 0.05, 0.1])
    assert MAX_GUESS_DELAY_SECONDS < delays[-1] < MAX_GUESS_DELAY_SECONDS + 0.1, "no endless queue"
    now[0] = 61
    assert gate.guess_delay_seconds() == 0


def test_a_guesser_is_an_address_or_a_network_of_ipv6() -> None:
    assert (
        identify_guesser("2001:db8::1")
        == identify_guesser("2001:db8::2")
        != identify_guesser("2001:db8:0:1::1")
    )
    assert (
        identify_guesser("::ffff:192.0.2.1")
        == identify_guesser("192.0.2.1")
        != identify_guesser("192.0.2.2")
    )
    assert identify_guesser("forged" * 10_000) == identify_guesser("testclient") == ""


@pytest.mark.parametrize(
    "header",
    [b"Basic \xff\xfe", b"Basic \xc3\xa9", b"Basic =", b"Basic ====", b"Basic AA==", b"\xff", b""],
)
def test_an_odd_authorization_header_is_only_wrong(header: bytes) -> None:
    visitor = client(gate=PasswordGate(("ada", "x")))
    headers = [(b"authorization", header), (b"cookie", COOKIE.encode() + b"=\xff.\xff")]
    assert visitor.get("/any", headers=headers).status_code == 401


def test_behind_a_password_nothing_is_kept_by_the_browser() -> None:
    answer = client(gate=PasswordGate(("ada", "x"))).get("/any", headers=basic("ada:x"))
    assert answer.headers["cache-control"] == "no-store"
    public = client(gate=PasswordGate(("ada", "x")), public=("/any",))
    assert "cache-control" not in public.get("/any", headers=basic("ada:x")).headers
    assert "cache-control" not in client().get("/any").headers


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


def test_no_other_page_may_read_what_the_app_would_let_it_read() -> None:
    headers = {"Origin": "http://localhost:9999", "X-Forwarded-Host": "evil.example"}
    answer = client().get("/open", headers=headers)
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.text == "none", "no header that a visitor sends becomes the page's own address"
    bare = TestClient(APP).get("/open", headers=headers)  # negative control
    assert bare.headers["access-control-allow-credentials"] == "true"
    assert bare.text == "evil.example"


def test_a_body_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MAX_BODY_SECONDS", 0.05)

    async def exchange() -> list[Any]:
        sent: list[Any] = []

        async def receive() -> Any:
            await asyncio.sleep(10)

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/any",
            "headers": [(b"host", b"localhost")],
            "query_string": b"",
        }
        await Guard(APP, Hosts())(scope, receive, send)
        return sent

    assert asyncio.run(exchange())[0]["status"] == 408
