"""Uploads: looked at when they come, known by an id that can't be guessed, forgotten in time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from paintdiff.errors import RequestError
from paintdiff.imaging.images import decode_image
from paintdiff.server.guard import DEFAULT_MAX_BODY_BYTES, Guard, Hosts
from paintdiff.server.visitors import THIS_MACHINE, current_visitor
from paintdiff.ui.common import uploads as module
from paintdiff.ui.common.uploads import Upload, Uploads, upload_routes
from tests.pictures import encoded, png_of

PNG = png_of(Image.new("RGB", (5, 3), "red"))


@pytest.fixture
def uploads() -> Uploads:
    return Uploads()


@pytest.fixture
def client(uploads: Uploads) -> TestClient:
    """A visitor of the routes, with the guard around them as in the app."""
    app = FastAPI()
    app.include_router(upload_routes(uploads))
    return TestClient(Guard(app, Hosts()), base_url="http://localhost:7860")


def turned(file_format: str, orientation: int) -> bytes:
    """A file 40 pixels wide and 20 high whose EXIF says how it is to be turned."""
    image = Image.new("RGB", (40, 20), "red")
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, file_format, exif=exif)


def test_what_was_added_is_found_again(uploads: Uploads) -> None:
    upload = uploads.add(PNG)
    assert (upload.width, upload.height, upload.data) == (5, 3, PNG)
    assert upload.media_type == "image/png"
    assert uploads.get(upload.id) == upload
    assert uploads.get("another") is None


def test_ids_are_long_and_never_the_same(uploads: Uploads) -> None:
    ids = {uploads.add(PNG).id for _ in range(50)}
    assert len(ids) == 50 and min(map(len, ids)) >= 22


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_the_three_formats_are_known_by_their_content(uploads: Uploads, file_format: str) -> None:
    upload = uploads.add(encoded(Image.new("RGB", (7, 9)), file_format))
    assert upload.media_type == f"image/{file_format.lower()}"


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_the_size_is_that_of_the_picture_the_right_way_up(
    uploads: Uploads, file_format: str
) -> None:
    for orientation, size in ((1, (40, 20)), (3, (40, 20)), (6, (20, 40)), (8, (20, 40))):
        upload = uploads.add(turned(file_format, orientation))
        assert (upload.width, upload.height) == size


def bomb() -> bytes:
    """The start of a PNG that says it has a gigapixel."""
    return PNG[:16] + (32_768).to_bytes(4, "big") * 2 + PNG[24:]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "PNG, JPEG or WebP"),
        (b"/etc/passwd", "PNG, JPEG or WebP"),
        (encoded(Image.new("P", (2, 2)), "GIF"), "PNG, JPEG or WebP"),
        (PNG[:20], "cut off"),
        (bomb(), "1,073,741,824 pixels"),
    ],
)
def test_anything_else_is_refused_in_words(uploads: Uploads, data: bytes, words: str) -> None:
    with pytest.raises(RequestError, match=words) as caught:
        uploads.add(data)
    assert caught.value.field == "image"


def sized(count: int) -> bytes:
    """A PNG of at least that many bytes."""
    return PNG + b"\0" * (count - len(PNG))


def test_the_least_recently_used_is_forgotten_first() -> None:
    uploads = Uploads(max_total_bytes=3000)
    first, second, third = (uploads.add(sized(1000)) for _ in range(3))
    assert uploads.get(first.id) is first
    fourth = uploads.add(sized(1000))
    kept = [uploads.get(upload.id) is not None for upload in (first, second, third, fourth)]
    assert kept == [True, False, True, True]
    with pytest.raises(RequestError, match="larger than 3 KiB"):
        uploads.add(sized(3001))


def test_only_so_many_are_kept() -> None:
    uploads = Uploads(max_count=2)
    ids = [uploads.add(PNG).id for _ in range(3)]
    assert [uploads.get(upload_id) is None for upload_id in ids] == [True, False, False]


def test_a_visitor_who_fills_the_table_takes_nothing_from_others() -> None:
    uploads = Uploads(max_total_bytes=10_000)
    mine = uploads.add(sized(1000))
    current_visitor.set("198.51.100.1")
    theirs = [uploads.add(sized(1000)) for _ in range(50)]
    assert uploads.get(mine.id) is mine
    assert [each.id for each in theirs if uploads.get(each.id)] == [each.id for each in theirs[-9:]]


def test_many_small_uploads_take_nothing_from_others() -> None:
    uploads = Uploads(max_count=10)
    mine = uploads.add(sized(1000))
    current_visitor.set("198.51.100.1")
    for _ in range(50):
        uploads.add(PNG)
    assert uploads.get(mine.id) is mine


@pytest.fixture(autouse=True)
def in_a_context_of_its_own() -> Iterator[None]:
    token = current_visitor.set(THIS_MACHINE)
    yield
    current_visitor.reset(token)


def posted(client: TestClient, uploads: Uploads) -> Upload:
    answer = client.post("/uploads", content=PNG, headers={"Origin": "http://localhost:7860"})
    assert answer.status_code == 201
    content = answer.json()
    assert content == {"id": content["id"], "width": 5, "height": 3}
    upload = uploads.get(content["id"])
    assert upload is not None
    return upload


def test_a_page_sends_a_picture_and_gets_it_back(client: TestClient, uploads: Uploads) -> None:
    upload = posted(client, uploads)
    answer = client.get(f"/uploads/{upload.id}")
    assert answer.content == PNG
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"].startswith("private")
    head = client.head(f"/uploads/{upload.id}")
    assert head.status_code == 200 and head.content == b""


def test_another_sites_page_sends_nothing(client: TestClient) -> None:
    answer = client.post("/uploads", content=PNG, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403


@pytest.mark.parametrize("name", ["gone", "x" * 65, "..%2f..%2fetc%2fpasswd"])
def test_an_unknown_id_is_not_there(client: TestClient, name: str) -> None:
    answer = client.get(f"/uploads/{name}")
    assert answer.status_code in (404, 422)
    assert "detail" in answer.json()
    assert client.head(f"/uploads/{name}").status_code in (404, 422)


def test_what_is_refused_is_refused_in_json(client: TestClient) -> None:
    for content, words in ((b"", "No picture"), (b"text", "PNG, JPEG or WebP")):
        answer = client.post("/uploads", content=content)
        assert answer.status_code == 400 and words in answer.json()["detail"]


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_a_picture_with_damaged_pixels_is_refused_as_reading_it_would(
    client: TestClient, file_format: str
) -> None:
    whole = encoded(Image.effect_noise((64, 64), 90).convert("RGB"), file_format)
    damaged = [whole[: len(whole) // 2]]
    if file_format == "PNG":  # the other formats have no checksum
        place = whole.index(b"IDAT") + 100
        damaged.append(whole[:place] + bytes(50) + whole[place + 50 :])
    assert client.post("/uploads", content=whole).status_code == 201
    for data in damaged:
        with pytest.raises(RequestError) as refused:
            decode_image(data)
        answer = client.post("/uploads", content=data)
        assert answer.status_code == 400 and answer.json() == {"detail": str(refused.value)}


def test_pictures_are_decoded_one_at_a_time_and_a_few_of_a_visitor_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_once: list[int] = []
    decoding = threading.Lock()

    def decode(_data: bytes) -> None:
        assert decoding.acquire(blocking=False), "another is being decoded"
        at_once.append(1)
        time.sleep(0.01)
        decoding.release()

    monkeypatch.setattr(module, "check_pixels", decode)
    most = module.MAX_CHECKS_PER_VISITOR

    async def send(checks: module.DamageChecks, visitor: str, count: int) -> list[Any]:
        current_visitor.set(visitor)
        sent = (checks.check(PNG) for _ in range(count))
        return await asyncio.gather(*sent, return_exceptions=True)

    async def send_all() -> list[list[Any]]:
        checks = module.DamageChecks()
        both = [send(checks, "192.0.2.1", 20), send(checks, "192.0.2.2", 3)]
        return [*await asyncio.gather(*both), await send(checks, "192.0.2.1", most)]

    greedy, other, again = asyncio.run(send_all())
    assert greedy[:most] == [None] * most and [each.status_code for each in greedy[most:]] == [
        429
    ] * (20 - most)
    assert other == [None] * 3 and again == [None] * most
    assert len(at_once) == 2 * most + 3


def test_a_body_is_counted_while_it_comes(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without a length that says so."""
    monkeypatch.setattr(module, "MAX_UPLOAD_BYTES", 2**20)
    app = FastAPI()
    app.include_router(upload_routes(uploads))
    visitor = TestClient(app)
    read: list[int] = []

    def chunks() -> Iterator[bytes]:
        for number in range(64):
            read.append(number)
            yield b"x" * 2**16

    for content in (chunks(), b"x" * (2**20 + 1)):
        body: Any = content
        answer = visitor.post("/uploads", content=body)
        assert answer.status_code == 413 and "1 MiB" in answer.json()["detail"]


def test_the_guard_and_the_route_agree_on_the_limit() -> None:
    assert module.MAX_UPLOAD_BYTES == DEFAULT_MAX_BODY_BYTES


def test_a_picture_that_is_cut_off_is_no_error_of_the_server(uploads: Uploads) -> None:
    """Else each leaves a traceback of sixty lines in the log."""
    app = FastAPI()
    app.include_router(upload_routes(uploads))
    messages = [
        {"type": "http.request", "body": PNG[:20], "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Any:
        return messages.pop(0)

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/uploads",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
    }
    asyncio.run(Guard(app, Hosts())(scope, receive, send))
    assert sent[0]["status"] == 400
