"""Pictures by id, and the status."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from paintdiff.jobs.events import Finished, Picture
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.requests import TextToImage, Upscale
from paintdiff.server.identities import Identity, current_identity
from paintdiff.ui.run import routes
from tests.ui.fake_engine import FakeEngine, picture, words_of


@pytest.fixture
def client(engine: Any) -> TestClient:
    app = FastAPI()
    app.include_router(routes.picture_routes(engine))
    app.include_router(routes.status_routes(words_of(engine)))
    return TestClient(app)


@pytest.fixture
def finished(engine: FakeEngine) -> Any:
    job = engine.submit(TextToImage(prompt="a cat"))
    job.latest = Finished((picture(job, "red"),), (), 1.0, 2.0)
    return job


def test_a_picture_is_served_whole(client: TestClient, finished: Any) -> None:
    answer = client.get(f"/pictures/{finished.id}/0.png")
    assert answer.headers["content-type"] == "image/png"
    assert 'inline; filename="paintdiffusion-7.png"' in answer.headers["content-disposition"]
    image = Image.open(io.BytesIO(answer.content))
    assert image.size == (128, 128) and image.getpixel((5, 5)) == (255, 0, 0)
    saved = client.get(f"/pictures/{finished.id}/0.png?download=1")
    assert saved.headers["content-disposition"].startswith("attachment;")


def test_the_saved_file_is_served_as_it_is(
    client: TestClient, finished: Any, tmp_path: Path
) -> None:
    """It carries the settings that a PNG made from memory wouldn't have."""
    path = tmp_path / "saved.png"
    path.write_bytes(b"the very bytes")
    made = finished.latest.pictures[0]
    saved = Picture(made.image, made.request, path=path)
    finished.latest = Finished((saved,), (), 1.0, 2.0)
    assert client.get(f"/pictures/{finished.id}/0.png").content == b"the very bytes"
    path.unlink()
    assert client.get(f"/pictures/{finished.id}/0.png").content.startswith(b"\x89PNG")


def test_a_thumbnail_is_small(client: TestClient, finished: Any) -> None:
    answer = client.get(f"/pictures/{finished.id}/0.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    assert max(Image.open(io.BytesIO(answer.content)).size) <= routes.THUMBNAIL_PX


@pytest.mark.parametrize(
    "path",
    [
        "gone/0.png",
        "job-0/1.png",
        "job-0/99999.png",
        "job-0/-1.png",
        "job-0/x.png",
        "..%2f..%2fetc/0.png",
    ],
)
def test_an_unknown_picture_is_not_there(client: TestClient, finished: Any, path: str) -> None:
    assert client.get(f"/pictures/{path}").status_code in (404, 422)


@pytest.mark.parametrize("address", ["0.png", "0.png?reduced=1", "0.jpg", "0/original"])
def test_a_picture_is_only_there_for_its_owner(
    client: TestClient, engine: Any, address: str
) -> None:
    """Its address may be seen over a shoulder, or in a browser's history."""
    scene = InputImage.from_image(Image.new("RGB", (64, 64), "red"))
    job = engine.submit(Upscale(images=(scene,)), owner="ada")
    job.latest = Finished((picture(job, "red"),), (), 1.0, 2.0)
    statuses: list[int] = []
    for identity in (Identity("ada", sees_all=False), Identity("bob", sees_all=False), Identity()):
        token = current_identity.set(identity)
        statuses.append(client.get(f"/pictures/{job.id}/{address}").status_code)
        current_identity.reset(token)
    assert statuses == [200, 404, 200]


def test_a_job_that_runs_has_no_picture_yet(client: TestClient, engine: FakeEngine) -> None:
    job = engine.submit(TextToImage(prompt="a cat"))
    assert client.get(f"/pictures/{job.id}/0.png").status_code == 404


def test_the_status(client: TestClient) -> None:
    answer = client.get("/status")
    assert (answer.json()["model"], answer.json()["model_title"]) == ("mini", "Mini")
    assert answer.json()["running"] is False
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["signed_in"] is None


def test_the_status_says_who_is_signed_in(engine: Any) -> None:
    app = FastAPI()
    app.include_router(routes.status_routes(words_of(engine)))

    async def signed_in(scope: Any, receive: Any, send: Any) -> None:
        current_identity.set(Identity("ada", name="Ada"))
        await app(scope, receive, send)

    assert TestClient(signed_in).get("/status").json()["signed_in"] == "Ada"


@pytest.mark.parametrize("address", ["0.png", "0.png?reduced=1", "0.jpg"])
def test_a_picture_is_encoded_once_for_all_readers(
    client: TestClient, finished: Any, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    encoded: list[Any] = []
    save = Image.Image.save
    monkeypatch.setattr(
        Image.Image, "save", lambda *given, **more: (encoded.append(1), save(*given, **more))
    )
    answers = [client.get(f"/pictures/{finished.id}/{address}") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3 and len(encoded) == 1
