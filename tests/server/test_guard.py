"""The guard refuses what it should, and each refusal has a control that passes without it."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from itertools import islice
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from paintdiff.server import bodies
from paintdiff.server.authentication import guesses
from paintdiff.server.authentication.gate import Gate
from paintdiff.server.authentication.guesses import (
    MAX_WAITING_GUESSES,
    MAX_WRONG,
    SECONDS_BETWEEN_GUESSES_OF_ALL,
    GuessLimit,
    Turn,
)
from paintdiff.server.guard import COOKIE, Guard, Hosts
from paintdiff.server.turns import Turns
from paintdiff.server.visitors import parse_network


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
    visitor = client(gate=Gate(("ada", "secret:word")))
    for path in ("/any", "/not-there"):
        answer = visitor.get(path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic")
    for wrong in ("ada:wrong", "bob:secret:word", "ada", "", "ada:secret:word "):
        assert visitor.get("/any", headers=basic(wrong)).status_code == 401
    right = basic("ada:secret:word")["Authorization"]
    for odd in ("Basic !!!", f"{right[:-4]}!{right[-4:]}"):
        assert visitor.get("/any", headers={"Authorization": odd}).status_code == 401
    assert visitor.get("/any", headers=basic("ada:secret:word")).status_code == 200


def sent(
    app: Any, address: str, password: str, more: Mapping[str, str] | None = None
) -> Coroutine[Any, Any, int]:
    """Send a password from an address, and return the status."""

    headers = {**basic(f"ada:{password}"), **(more or {})}

    async def send() -> int:
        transport = httpx.ASGITransport(app, client=(address, 50_000))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost:7860"
        ) as visitor:
            return (await visitor.get("/any", headers=headers)).status_code

    return send()


def test_guessing_slows_down_the_guesser_and_nobody_else() -> None:
    """The gate's clock stands still: whoever has to wait for a turn waits until the test ends."""

    async def guess() -> None:
        gate = Gate(
            ("ada", "x"), guesses=GuessLimit(max_wrong=3, window_seconds=0.3, clock=lambda: 0.0)
        )
        app = Guard(APP, Hosts(), gate)
        for number in range(4):  # the fourth takes the first turn
            wrong = sent(app, "192.0.2.1", f"{number}")
            assert await asyncio.wait_for(wrong, 60) == 401, "the first ones don't wait"
        flood = [asyncio.create_task(sent(app, "192.0.2.1", f"{n}")) for n in range(40)]
        await asyncio.sleep(0)
        assert await asyncio.wait_for(sent(app, "192.0.2.2", "x"), 60) == 200
        refused = islice(asyncio.as_completed(flood, timeout=60), 40 - MAX_WAITING_GUESSES)
        assert [await each for each in refused] == [429] * (40 - MAX_WAITING_GUESSES)
        assert not all(each.done() for each in flood), "a right password would still get its turn"
        for each in flood:
            each.cancel()
        await asyncio.gather(*flood, return_exceptions=True)

    asyncio.run(guess())


@pytest.mark.parametrize("address", ["192.0.2.1", "127.0.0.1"])
def test_a_right_password_gets_through_beside_a_guesser_at_the_same_address(address: str) -> None:
    """As behind a proxy or a tunnel, where all visitors have one address."""

    async def guess() -> None:
        gate = Gate(
            ("ada", "x"), guesses=GuessLimit(max_wrong=2, max_wrong_of_all=2, window_seconds=1)
        )
        app = Guard(APP, Hosts(), gate)
        over = asyncio.Event()

        async def keep_guessing() -> None:
            while not over.is_set():
                assert await sent(app, address, "y") in (401, 429)

        guesser = asyncio.create_task(keep_guessing())
        await asyncio.sleep(0.2)
        assert await asyncio.wait_for(sent(app, address, "x"), 30) == 200
        over.set()
        await guesser

    asyncio.run(guess())


@pytest.mark.parametrize("addresses", [["127.0.0.1"], [f"192.0.2.{n}" for n in range(40)]])
def test_forged_or_hidden_addresses_are_limited_all_together(addresses: list[str]) -> None:
    async def guess() -> None:
        gate = Gate(("ada", "x"), guesses=GuessLimit(max_wrong=3, max_wrong_of_all=10))
        app = Guard(APP, Hosts(), gate)
        for number in range(10):
            assert await sent(app, addresses[number % len(addresses)], "y") == 401
        begun = time.monotonic()
        for number in range(10, 15):
            assert await sent(app, addresses[number % len(addresses)], "y") == 401
        assert time.monotonic() - begun >= 4 * SECONDS_BETWEEN_GUESSES_OF_ALL

    asyncio.run(guess())


async def guess_wrong(limit: GuessLimit, address: str, *, local: bool = False) -> None:
    turn = await limit.take_turn(address, local=local)
    assert turn is not None
    turn.end(right=False)


def test_wrong_passwords_are_forgotten_in_time() -> None:
    async def guess() -> None:
        now = [0.0]
        limit = GuessLimit(max_wrong=2, clock=lambda: now[0])
        for _ in range(3):  # the third takes the first turn
            await guess_wrong(limit, "192.0.2.1")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(limit.take_turn("192.0.2.1"), 0.05)
        now[0] = 61
        for _ in range(2):
            await asyncio.wait_for(guess_wrong(limit, "192.0.2.1"), 5)

    asyncio.run(guess())


@pytest.mark.parametrize(
    ("address", "headers", "secure"),
    [
        ("http://localhost:7860", {}, False),
        ("https://localhost:7860", {}, True),
        ("http://localhost:7860", {"X-Forwarded-Proto": "https"}, True),
    ],
)
def test_a_cookie_that_came_by_https_goes_back_by_https_alone(
    address: str, headers: dict[str, str], secure: bool
) -> None:
    app = Guard(APP, Hosts(), Gate(("ada", "x")))
    answer = TestClient(app, base_url=address).get("/any", headers={**basic("ada:x"), **headers})
    assert ("; Secure" in answer.headers["set-cookie"]) is secure


def test_a_body_that_says_it_is_too_large_is_refused_unread() -> None:
    async def receive() -> Any:
        raise AssertionError("it is read")

    sent_messages: list[Any] = []

    async def send(message: Any) -> None:
        sent_messages.append(message)

    headers = [(b"host", b"localhost"), (b"content-length", b"1001")]
    scope = {"type": "http", "method": "POST", "path": "/any", "headers": headers}
    asyncio.run(Guard(APP, Hosts(), max_body_bytes=1000)(scope, receive, send))
    assert sent_messages[0]["status"] == 413


def test_many_guesses_at_once_are_no_more_than_one_after_the_other() -> None:
    """Hashing takes a while: those that are being checked may all be wrong."""

    async def guess() -> None:
        limit = GuessLimit(max_wrong=3, clock=lambda: 0.0)
        taken = [asyncio.create_task(limit.take_turn("192.0.2.1")) for _ in range(50)]
        await asyncio.sleep(0)
        begun = [each.result() for each in taken if each.done()]
        assert len(begun) == 3
        for turn in begun:
            assert turn is not None
            turn.end(right=False)
        await asyncio.sleep(0.05)
        after = [each.result() for each in taken if each.done()][3:]
        assert sum(each is not None for each in after) == 1, "the first turn"
        for each in taken:
            each.cancel()
        await asyncio.gather(*taken, return_exceptions=True)

    asyncio.run(guess())


def test_guessers_elsewhere_delay_neither_this_machine_nor_who_was_right_before() -> None:
    async def guess() -> None:
        limit = GuessLimit(max_wrong_of_all=2, clock=lambda: 0.0)
        right = await limit.take_turn("192.0.2.9")
        assert right is not None
        right.end(right=True)
        for number in range(3):
            await guess_wrong(limit, f"192.0.2.{number}")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(limit.take_turn("192.0.2.8"), 0.05)
        with pytest.raises(TimeoutError):  # through a tunnel
            await asyncio.wait_for(limit.take_turn("127.0.0.1"), 0.05)
        await asyncio.wait_for(guess_wrong(limit, "127.0.0.1", local=True), 5)
        for _ in range(MAX_WRONG + 1):  # its own guesses count
            await asyncio.wait_for(guess_wrong(limit, "192.0.2.9"), 5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(limit.take_turn("192.0.2.9"), 0.05)

    asyncio.run(guess())


def test_guessers_are_remembered_in_limited_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has a network of addresses fills no memory."""
    monkeypatch.setattr(guesses, "MAX_GUESSERS", 3)

    async def guess() -> None:
        limit = GuessLimit(max_wrong=1, clock=lambda: 0.0)
        for number in range(4):
            await guess_wrong(limit, f"192.0.2.{number}")
        turn = guess_wrong(limit, "192.0.2.0")
        await asyncio.wait_for(turn, 5)  # the oldest is forgotten
        await guess_wrong(limit, "192.0.2.3")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(limit.take_turn("192.0.2.3"), 0.05)

    asyncio.run(guess())


@pytest.mark.parametrize("peer", ["127.0.0.1", "192.0.2.1"])
def test_a_forged_list_of_addresses_hides_no_guesser(peer: str) -> None:
    """A proxy on this machine appends the real address; other peers aren't believed at all."""
    seen: list[str] = []

    class Limit(GuessLimit):
        async def take_turn(self, address: str, *, local: bool = False) -> Turn | None:
            seen.append(address)
            return await super().take_turn(address, local=local)

    async def guess() -> None:
        guard: Any = Guard(APP, Hosts(), Gate(("ada", "x"), guesses=Limit()))
        app: Any = ProxyHeadersMiddleware(guard)
        for forged in ("203.0.113.5", "127.0.0.1", "::1", "", "x" * 5000, "203.0.113.6, 127.0.0.1"):
            headers = {"X-Forwarded-For": f"{forged}, 192.0.2.1", "Forwarded": "for=203.0.113.7"}
            assert await sent(app, peer, "y", headers) == 401

    asyncio.run(guess())
    assert seen == ["192.0.2.1"] * 6


def test_turns_go_to_those_who_wait_and_to_no_more() -> None:
    async def ask() -> list[bool]:
        turns = Turns(0.01, max_waiting=5)
        return await asyncio.gather(*(turns.take() for _ in range(20)))

    taken = asyncio.run(ask())
    assert 5 <= sum(taken) <= 6, "one at once, and as many as may wait"


def test_a_guesser_is_an_address_or_a_network_of_ipv6() -> None:
    assert (
        parse_network("2001:db8::1")
        == parse_network("2001:db8::2")
        != parse_network("2001:db8:0:1::1")
    )
    assert (
        parse_network("::ffff:192.0.2.1")
        == parse_network("192.0.2.1")
        != parse_network("192.0.2.2")
    )
    assert parse_network("forged" * 10_000) == parse_network("testclient") == ""


@pytest.mark.parametrize(
    "header",
    [b"Basic \xff\xfe", b"Basic \xc3\xa9", b"Basic =", b"Basic ====", b"Basic AA==", b"\xff", b""],
)
def test_an_odd_authorization_header_is_only_wrong(header: bytes) -> None:
    visitor = client(gate=Gate(("ada", "x")))
    headers = [(b"authorization", header), (b"cookie", COOKIE.encode() + b"=\xff.\xff")]
    assert visitor.get("/any", headers=headers).status_code == 401


def test_behind_a_password_nothing_is_kept_by_the_browser() -> None:
    answer = client(gate=Gate(("ada", "x"))).get("/any", headers=basic("ada:x"))
    assert answer.headers["cache-control"] == "no-store"
    public = client(gate=Gate(("ada", "x")), public=("/any",))
    assert "cache-control" not in public.get("/any", headers=basic("ada:x")).headers
    assert "cache-control" not in client().get("/any").headers


def test_a_visit_without_a_password_is_no_guess() -> None:
    gate = Gate(("ada", "x"), guesses=GuessLimit(max_wrong=1))
    visitor = client(gate=gate)
    assert [visitor.get("/any").status_code for _ in range(5)] == [401] * 5


def test_only_our_own_cookies_count() -> None:
    gate = Gate(("ada", "x"))
    cookie = client(gate=gate).get("/any", headers=basic("ada:x")).headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Secure" not in cookie
    value = cookie.split(";")[0].split("=", 1)[1]

    def enter(value: str) -> int:
        headers = {"Cookie": f"{COOKIE}={value}"}
        return client(gate=gate).get("/any", headers=headers).status_code

    assert enter(value) == 200
    other = client(gate=Gate(("ada", "x"))).get("/any", headers=basic("ada:x"))
    name, until, nonce, signature = value.split(".")
    later = f"{name}.{int(until) + 1}.{nonce}.{signature}"
    for forged in ("", ".", "a.b", "a.b.c.d", value[:-1], later, other.cookies[COOKIE]):
        assert enter(forged) == 401, forged


def test_a_large_body_is_refused_by_its_word_and_by_its_length() -> None:
    visitor = client(max_body_bytes=1000)
    assert visitor.post("/any", content=b"x" * 1000).text == "1000 bytes"
    assert visitor.post("/any", content=b"x" * 1001).status_code == 413

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
    monkeypatch.setattr(bodies, "MAX_BODY_SECONDS", 0.05)

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


def test_bodies_that_arrive_together_are_limited_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """One address has a share, all have a limit, and what is answered counts no more."""
    monkeypatch.setattr(bodies, "MAX_ARRIVING_BYTES_PER_VISITOR", 2500)
    monkeypatch.setattr(bodies, "MAX_ARRIVING_BYTES", 4800)
    whole = asyncio.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        await whole.wait()

    async def post(app: Guard, address: str, content: Any) -> int:
        transport = httpx.ASGITransport(app, client=(address, 50_000))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost:7860"
        ) as visitor:
            return (await visitor.post("/any", content=content)).status_code

    async def send() -> None:
        app = Guard(APP, Hosts())
        addresses = ["192.0.2.1", "192.0.2.1", "127.0.0.1", "127.0.0.1"]
        slow = [asyncio.create_task(post(app, address, parts())) for address in addresses]
        await asyncio.sleep(0.05)
        assert await post(app, "192.0.2.1", b"x" * 400) == 200
        assert await post(app, "192.0.2.1", b"x" * 600) == 503
        assert await post(app, "192.0.2.2", b"x" * 400) == 200
        assert await post(app, "192.0.2.2", b"x" * 900) == 503
        whole.set()
        assert await asyncio.gather(*slow) == [200] * 4
        assert await post(app, "192.0.2.1", b"x" * 2000) == 200
        held = app._arriving._bytes  # pyright: ignore[reportPrivateUsage]
        assert not held, "a visitor who is gone takes no memory"

    asyncio.run(send())
