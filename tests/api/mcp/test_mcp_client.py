"""The `mcp` package's client against the app."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from fastapi import FastAPI
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, ImageContent, TextContent
from PIL import Image

from paintdiff.api.context import ApiContext
from paintdiff.api.mcp.server import McpApp
from paintdiff.api.routes import ERROR_SHAPES
from paintdiff.server.access import Access
from paintdiff.server.authentication.gate import Gate
from paintdiff.server.guard import Guard, Hosts
from paintdiff.server.page_events import PageEvents
from paintdiff.server.problems import ErrorShapes
from paintdiff.server.routes import RouteTable
from paintdiff.server.sessions import NoEvents, Sessions
from tests.api.conftest import Served
from tests.api.sockets import listen

QUICK: dict[str, Any] = {"prompt": "a red house", "steps": 3, "seed": 5}
TEXT_FILE = base64.b64encode(b"hello world, this is a text and no picture").decode()
MODES = ("auto", "legacy")
"""How clients connect: as since 2026, and with the handshake before that."""


def serve(context: ApiContext, gate: Gate | None = None) -> Guard:
    tools = McpApp(context)
    server = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=tools.run)
    server.router.routes.append(tools.make_route())
    shapes, table = ErrorShapes(ERROR_SHAPES), RouteTable(tools.rules)
    access = Access(server, PageEvents({}), Sessions(NoEvents()), table=table, shapes=shapes)
    return Guard(access, Hosts(), gate or Gate(), shapes=shapes)


@pytest.fixture(scope="module")
def address(served: Served) -> Iterator[str]:
    with listen(serve(served.context)) as address:
        yield f"{address}/mcp"


def use(address: str, work: Callable[[Client], Awaitable[Any]], mode: str = "auto") -> Any:
    """Run `work` with a client."""

    async def run() -> Any:
        async with Client(address, mode=mode) as client:
            return await work(client)

    return asyncio.run(run())


def call(address: str, tool: str, mode: str = "auto", **arguments: Any) -> CallToolResult:
    return use(address, lambda client: client.call_tool(tool, arguments), mode)


def read(result: CallToolResult) -> tuple[list[Image.Image], list[dict[str, Any]]]:
    """Return the pictures of a result, and what it says about each."""
    assert not result.is_error, result.content
    images: list[Image.Image] = [
        Image.open(io.BytesIO(base64.b64decode(each.data, validate=True)))
        for each in result.content
        if isinstance(each, ImageContent)
    ]
    texts = [json.loads(each.text) for each in result.content if isinstance(each, TextContent)]
    return images, texts


def refuse(address: str, tool: str, **arguments: Any) -> str:
    """Return the error of a call."""
    result = call(address, tool, **arguments)
    assert result.is_error
    (text,) = result.content
    assert isinstance(text, TextContent)
    return text.text


@pytest.fixture(scope="module")
def painted(address: str) -> str:
    """Return the id of a painted picture."""
    return read(call(address, "paint", **QUICK))[1][0]["id"]


@pytest.mark.parametrize("mode", MODES)
def test_the_tools_are_described(address: str, mode: str) -> None:
    listed = use(address, lambda client: client.list_tools(), mode)
    tools = {each.name: each for each in listed.tools}
    assert set(tools) == {"paint", "edit", "inpaint", "upscale", "search_gallery"}
    for tool in tools.values():
        assert tool.description and "progress" not in tool.input_schema["properties"]
        for name, schema in tool.input_schema["properties"].items():
            assert schema["description"], (tool.name, name)
    assert tools["paint"].input_schema["required"] == ["prompt"]
    assert tools["search_gallery"].annotations.read_only_hint is True


@pytest.mark.parametrize("mode", MODES)
def test_a_picture_is_painted_and_recorded(served: Served, address: str, mode: str) -> None:
    (image,), (told,) = read(call(address, "paint", mode, **QUICK, width=64, height=96))
    assert (
        (image.format, image.size) == ("PNG", (64, 96)) == ("PNG", (told["width"], told["height"]))
    )
    assert told["seed"] == 5 and told["settings"]["num_inference_steps"] == 3
    assert served.context.gallery.find(told["id"]).prompt == "a red house"


def test_several_pictures(address: str) -> None:
    images, texts = read(call(address, "paint", **QUICK, count=2))
    assert len(images) == 2 and [each["seed"] for each in texts] == [5, 6]


@pytest.mark.parametrize("mode", MODES)
def test_progress_is_reported(address: str, mode: str) -> None:
    seen: list[tuple[float, float | None, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    use(
        address,
        lambda client: client.call_tool("paint", {**QUICK, "steps": 12}, progress_callback=note),
        mode,
    )
    fractions = [each[0] for each in seen]
    assert fractions == sorted(fractions) and fractions[-1] > 0.5
    assert {each[1] for each in seen} == {1}
    assert any("of 12" in (each[2] or "") for each in seen)


def test_pictures_are_changed_by_their_ids(address: str, painted: str) -> None:
    (before,), _ = read(call(address, "paint", **QUICK))
    (edited,), (told,) = read(call(address, "edit", image=painted, strength=0.9, **QUICK))
    assert told["settings"]["kind"] == "image_to_image" and edited.size == before.size
    area = [0.25, 0.25, 0.75, 0.75]
    (repainted,), _ = read(call(address, "inpaint", image=painted, area=area, **QUICK, strength=1))
    corner = (0, 0, 8, 8)
    assert repainted.crop(corner).tobytes() == before.crop(corner).tobytes()
    assert repainted.tobytes() != before.tobytes()
    (large,), _ = read(call(address, "upscale", image=painted, scale=3))
    assert large.size == (384, 384)


def test_pictures_may_be_files(address: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (128, 128), "red").save(buffer, "JPEG")
    data = base64.b64encode(buffer.getvalue()).decode()
    mask = io.BytesIO()
    Image.new("L", (128, 128), 255).save(mask, "PNG")
    url = "data:image/png;base64," + base64.b64encode(mask.getvalue()).decode()
    images, _ = read(call(address, "inpaint", image=data, mask=url, **QUICK))
    assert images[0].size == (128, 128)


def test_the_gallery_is_searched(address: str, painted: str) -> None:
    call(address, "paint", prompt="a blue whale", steps=1)
    images, texts = read(call(address, "search_gallery", words="whale"))
    assert [each["prompt"] for each in texts] == ["a blue whale"]
    assert images[0].format == "WEBP"
    result = call(address, "search_gallery", words="nothing like it")
    assert isinstance(result.content[0], TextContent) and "No picture" in result.content[0].text
    assert len(read(call(address, "search_gallery", limit=2))[1]) == 2


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("paint", {}, "prompt"),
        ("paint", {"prompt": 3}, "prompt"),
        ("paint", {"prompt": "a", "width": 3}, "width"),
        ("paint", {"prompt": "a", "count": 99}, "count"),
        ("paint", {"prompt": "a", "seed": -1}, "seed"),
        ("paint", {"prompt": "a", "model": "mino"}, "no model 'mino'"),
        ("edit", {"prompt": "a", "image": "nosuchid"}, "nosuchid"),
        ("edit", {"prompt": "a", "image": "../../etc/passwd"}, "no file in base64"),
        (
            "edit",
            {"prompt": "a", "image": "aGVsbG8gd29ybGQsIHRoaXMgaXMgdGV4dCBhbmQgbm8gcGljdHVyZQ=="},
            "PNG",
        ),
        ("inpaint", {"prompt": "a", "image": "x"}, "mask or an area"),
        ("upscale", {"image": "nosuchid", "scale": 100}, "scale"),
    ],
)
def test_errors_are_the_tools(
    address: str, tool: str, arguments: dict[str, Any], said: str
) -> None:
    assert said in refuse(address, tool, **arguments)


def test_an_empty_area(address: str, painted: str) -> None:
    said = refuse(address, "inpaint", image=painted, area=[0.5, 0.5, 0.5, 0.9], **QUICK)
    assert "is empty" in said


@pytest.mark.parametrize("mode", MODES)
def test_a_client_that_leaves_ends_its_job(served: Served, address: str, mode: str) -> None:
    engine = served.context.engine

    async def leave(client: Client) -> Any:
        painting = asyncio.create_task(
            client.call_tool("paint", {"prompt": "a red house", "steps": 1000})
        )
        while (running := engine.status().running_job_id) is None:
            await asyncio.sleep(0.02)
        painting.cancel()
        await asyncio.gather(painting, return_exceptions=True)
        return engine.job(running)

    job = use(address, leave, mode)
    until = time.monotonic() + 60
    while not job.done:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert type(job.latest).__name__ == "Cancelled"


# The guard


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Host": "evil.example"}, 421), ({"Origin": "http://evil.example"}, 403)],
)
def test_the_guards_rules_hold(address: str, headers: dict[str, str], status: int) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    accept = {"Accept": "application/json, text/event-stream"}
    assert httpx2.post(address, json=body, headers={**accept, **headers}).status_code == status
    for method in ("GET", "DELETE"):
        assert httpx2.request(method, address, headers=accept).status_code == 405


ACCEPT = {"Accept": "application/json, text/event-stream"}


@pytest.mark.parametrize("version", ["2025-06-18", "2026-07-28"])
def test_a_message_of_too_many_values_is_not_parsed(address: str, version: str) -> None:
    """Parsing 15 MB of them would stop everybody's page for seconds."""
    content = (
        b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": [' + b"[]," * 30_000 + b"1]}"
    )
    headers = {**ACCEPT, "Content-Type": "application/json", "MCP-Protocol-Version": version}
    answer = httpx2.post(address, content=content, headers=headers)
    assert answer.status_code == 413, answer.text
    assert "20,000 values" in answer.json()["error"]["message"]


def test_a_client_that_leaves_within_its_message_leaves_nothing_in_the_log(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    host, _, port = urlsplit(address).netloc.partition(":")
    header = "".join(f"{name}: {value}\r\n" for name, value in ACCEPT.items())
    with socket.create_connection((host, int(port))) as leaving:
        leaving.sendall(
            f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{header}"
            'Content-Length: 999\r\n\r\n{"jsonrpc"'.encode()
        )
        time.sleep(0.2)
    assert httpx2.post(address, json={}, headers=ACCEPT).status_code == 400, "it goes on"
    time.sleep(0.2)
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


def test_a_visitor_uses_only_their_own_pictures(served: Served, painted: str) -> None:
    @asynccontextmanager
    async def connect(address: str, cookies: httpx2.Cookies) -> AsyncGenerator[Client]:
        headers = {"X-Forwarded-For": "192.0.2.1"}  # so that nobody is at the server's machine
        async with (
            httpx2.AsyncClient(headers=headers, cookies=cookies, timeout=60) as http,
            Client(streamable_http_client(address, http_client=http)) as client,
        ):
            yield client

    async def work(address: str) -> None:
        one, other = httpx2.Cookies(), httpx2.Cookies()
        async with connect(address, one) as client:
            result = await client.call_tool("edit", {**QUICK, "image": painted})
            assert result.is_error
            found = await client.call_tool("search_gallery", {})
            assert len(found.content) == 1
            own = await client.call_tool("paint", {**QUICK, "prompt": "a green owl"})
            ids = [each["id"] for each in read(own)[1]]
            found = await client.call_tool("search_gallery", {})
            assert [each["id"] for each in read(found)[1]] == ids
        async with connect(address, other) as client:
            assert (await client.call_tool("upscale", {"image": ids[0]})).is_error

    with listen(serve(served.context)) as address:
        asyncio.run(work(f"{address}/mcp"))
