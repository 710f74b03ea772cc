"""The app's API on a real socket, for clients that know no other."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.api.conftest import Served
from tests.api.sockets import listen

START_SECONDS = 60


@pytest.fixture(scope="module")
def address(served: Served) -> Iterator[str]:
    with listen(served.app) as place:
        yield place


@pytest.fixture
def http(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=120) as connected:
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
