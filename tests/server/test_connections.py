"""A visitor who sends or reads too slowly holds no place for long. Real sockets, short limits."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from paintdiff.server import connections
from paintdiff.server.connections import TimedProtocol

LARGE = 64 * 2**20


async def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{len(await request.body())}")


async def large(request: Request) -> PlainTextResponse:
    return PlainTextResponse("x" * LARGE)


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 20)
    monkeypatch.setattr(connections, "MAX_HEADER_SECONDS", 1.5)
    app = Starlette(routes=[Route("/", answer, methods=["GET", "POST"]), Route("/large", large)])
    config = uvicorn.Config(app, http=TimedProtocol, ws="none", log_level="error", lifespan="off")
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


def connected(port: int, begun: bytes = b"") -> socket.socket:
    visitor = socket.create_connection(("127.0.0.1", port), timeout=10)
    visitor.sendall(begun)
    return visitor


def is_answered(port: int) -> bool:
    with connected(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") as visitor:
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
