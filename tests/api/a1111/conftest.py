"""The app's API on a real socket, for clients that know no other."""

from __future__ import annotations

import base64
import io
import socket
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn
from PIL import Image
from starlette.types import ASGIApp

from paintdiff.server.connections import TimedProtocol
from tests.api.conftest import Served

START_SECONDS = 60


@dataclass(frozen=True)
class Address:
    """Where a server listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


@contextmanager
def listen(app: ASGIApp) -> Generator[Address]:
    """Serve an application on a free port, in a thread."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="warning", http=TimedProtocol, ws="none", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([bound],), name="server")
    thread.start()
    until = time.monotonic() + START_SECONDS
    while not server.started:
        assert thread.is_alive() and time.monotonic() < until
        time.sleep(0.01)
    try:
        yield Address(*bound.getsockname())
    finally:
        server.should_exit = True
        thread.join()
        bound.close()


@pytest.fixture(scope="module")
def address(served: Served) -> Iterator[Address]:
    with listen(served.app) as place:
        yield place


@pytest.fixture
def http(address: Address) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address.url, timeout=120) as connected:
        yield connected


def encode(image: Image.Image, prefix: str = "") -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return prefix + base64.b64encode(buffer.getvalue()).decode()


def decode(text: str) -> Image.Image:
    """Return a picture as clients decode it: plain base64, no prefix."""
    return Image.open(io.BytesIO(base64.b64decode(text, validate=True)))


def scene(size: int = 128) -> Image.Image:
    """Return a picture with an edge in it."""
    image = Image.new("RGB", (size, size), "#88bbee")
    image.paste("#225522", (0, size // 2, size, size))
    return image


def spot(size: int = 128) -> Image.Image:
    """Return a mask: white in the middle."""
    image = Image.new("L", (size, size))
    image.paste(255, (size // 4, size // 4, size * 3 // 4, size * 3 // 4))
    return image


def paint(http: httpx.Client, path: str = "txt2img", **fields: Any) -> dict[str, Any]:
    body = {"prompt": "a red house", "steps": 2, "seed": 5, **fields}
    answer = http.post(f"/sdapi/v1/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()
