"""A visitor who sends or reads too slowly holds no place for long. Real sockets, short limits."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Scope

from paintdiff.server import connections
from paintdiff.server.connections import PIECE_BYTES, TimedProtocol
from paintdiff.server.guard import Guard, Hosts

LARGE = 64 * 2**20


async def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{len(await request.body())}")


async def large(request: Request) -> PlainTextResponse:
    return PlainTextResponse("x" * LARGE)


async def endless(request: Request) -> StreamingResponse:
    async def waits() -> AsyncIterator[bytes]:
        yield b"first"
        while not await request.is_disconnected():
            await asyncio.sleep(0.05)

    return StreamingResponse(waits())


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 20)
    monkeypatch.setattr(connections, "MAX_HEADER_SECONDS", 1.5)
    app = Starlette(
        routes=[
            Route("/", answer, methods=["GET", "POST"]),
            Route("/large", large),
            Route("/endless", endless),
        ]
    )
    guarded = Guard(app, Hosts(["x"]))
    config = uvicorn.Config(guarded, http=TimedProtocol, ws="none", log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join()


def connected(port: int, begun: bytes = b"", address: str = "127.0.0.1") -> socket.socket:
    visitor = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(address, 0))
    visitor.sendall(begun)
    return visitor


def is_answered(port: int, address: str = "127.0.0.1") -> bool:
    request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with connected(port, request, address) as visitor:
        return b"200 OK" in visitor.recv(1000)


def test_a_header_that_never_ends_is_given_up(port: int) -> None:
    with connected(port, b"GET / HTTP/1.1\r\nX-Slow: ") as slow:
        for _ in range(40):
            try:
                slow.sendall(b"x")
                time.sleep(0.1)
            except OSError:
                break
        else:
            pytest.fail("a slow header was waited for")


def test_a_second_request_is_timed_like_the_first(port: int) -> None:
    with connected(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") as visitor:
        received = b""
        while not received.endswith(b"\r\n\r\n0"):
            received += visitor.recv(1000)
        visitor.sendall(b"G")
        visitor.settimeout(5)
        assert visitor.recv(1000) == b"", "closed"


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET / HTTP/1.1\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx",
    ],
)
def test_many_slow_visitors_lock_out_nobody(port: int, begun: bytes) -> None:
    slow = [connected(port, begun) for _ in range(60)]
    try:
        assert is_answered(port)
    finally:
        for each in slow:
            each.close()


@pytest.mark.parametrize(("path", "host"), [("/", "evil"), ("/endless", "x")])
def test_a_body_that_breaks_off_within_a_request_leaves_nothing_in_the_log(
    port: int, caplog: pytest.LogCaptureFixture, path: str, host: str
) -> None:
    """It is answered by the connection, while the app has begun to answer the header."""
    header = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connected(port, header.encode() + b"no number\r\n") as visitor:
        assert visitor.recv(1000).startswith(b"HTTP/1.1 400")
    with connected(port, header.encode()) as visitor:
        time.sleep(0.2)
        visitor.sendall(b"no number\r\n")
        visitor.recv(1000)
    assert is_answered(port)
    assert not [each for each in caplog.records if each.levelname in ("ERROR", "CRITICAL")]


def test_a_visitor_who_does_not_read_is_given_up(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_WRITE_SECONDS", 1.0)
    with connected(port, b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n") as visitor:
        visitor.recv(10)
        time.sleep(2.5)
        received = 0
        try:
            while data := visitor.recv(2**20):
                received += len(data)
        except ConnectionResetError:
            pass
        assert received < LARGE


def test_a_visitor_who_reads_gets_it_all(port: int) -> None:
    """Negative control. However busy the machine, so with the real limits."""
    request = b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with connected(port, request) as visitor:
        received = 0
        while data := visitor.recv(2**20):
            received += len(data)
        assert received > LARGE


def test_a_visitor_who_reads_slowly_and_steadily_gets_it_all(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is on the time without progress, not on the time of the whole response."""
    monkeypatch.setattr(connections, "MAX_WRITE_SECONDS", 1.0)
    request = b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with connected(port, request) as visitor:
        received, begun = 0, time.monotonic()
        while data := visitor.recv(2**20, socket.MSG_WAITALL):
            received += len(data)
            time.sleep(0.03)  # more than MAX_WRITE_SECONDS altogether
        assert received > LARGE and time.monotonic() - begun > connections.MAX_WRITE_SECONDS


def test_a_connection_holds_a_piece_and_no_copy_of_the_whole_body() -> None:
    """Through the guard, which stands before every response."""
    taken: list[tuple[int, bool]] = []
    turns: list[int] = []
    response = Response(b"x" * (2 * PIECE_BYTES + 1))
    guard = Guard(Starlette(routes=[Route("/", lambda _request: response)]), Hosts(["x"]))
    scope: Scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"x")],
        "client": ("127.0.0.1", 1),
        "server": ("x", 80),
        "scheme": "http",
        "http_version": "1.1",
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            taken.append((len(message["body"]), message["more_body"]))
            asyncio.get_running_loop().call_soon(lambda: turns.append(len(taken)))

    asyncio.run(guard(scope, receive, send))
    assert turns == [1, 2, 3], "others, and the news of a lost connection, come between the pieces"
    assert taken == [(PIECE_BYTES, True), (PIECE_BYTES, True), (1, False)]


@pytest.mark.skipif(sys.platform != "linux", reason="needs more than one loopback address")
@pytest.mark.parametrize("path", [b"/large", b"/endless"])
def test_an_address_that_fills_the_server_locks_out_no_other(port: int, path: bytes) -> None:
    """Neither with responses that it doesn't read nor with streams that never end."""
    begun = b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    greedy = [connected(port, begun, "127.0.0.2") for _ in range(connections.MAX_CONNECTIONS)]
    try:
        for each in greedy:
            each.recv(10)
        assert is_answered(port)
        assert is_answered(port)
    finally:
        for each in greedy:
            each.close()


@pytest.mark.parametrize(
    "begun",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"\x16\x03\x01\r\n\r\n",
    ],
)
def test_a_visitor_who_speaks_no_http_is_not_in_the_log(
    port: int, begun: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("uvicorn.error").setLevel(logging.INFO)
    with connected(port, begun) as visitor:
        assert visitor.recv(1000).startswith(b"HTTP/1.1 ")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_body_in_tiny_chunks_is_given_up(port: int) -> None:
    """Reading it would take minutes in which nobody else is answered."""
    header = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connected(port, header) as visitor, pytest.raises(OSError):
        for _ in range(100):
            visitor.sendall(b"1\r\nx\r\n" * 10_000)
        visitor.sendall(b"0\r\n\r\n")
        assert visitor.recv(1000) == b""
        raise ConnectionResetError


def whole_answer(visitor: socket.socket) -> bytes:
    return b"".join(iter(lambda: visitor.recv(1000), b""))


def test_a_large_body_is_read(port: int) -> None:
    """Negative control: as large as any may be, in one piece and in the chunks of a proxy."""
    size = 16 * 2**20
    headers = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    with connected(port, headers + f"Content-Length: {size}\r\n\r\n".encode()) as visitor:
        visitor.sendall(b"x" * size)
        assert whole_answer(visitor).endswith(b"16777216")
    with connected(port, headers + b"Transfer-Encoding: chunked\r\n\r\n") as visitor:
        visitor.sendall((b"2000\r\n" + b"x" * 0x2000 + b"\r\n") * (size // 0x2000) + b"0\r\n\r\n")
        assert b"16777216" in whole_answer(visitor)
