"""Variations: ordinary jobs whose pictures become children of the one that they vary."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from paintdiff.errors import QueueFullError
from paintdiff.gallery.gallery import Gallery
from paintdiff.jobs.events import Failed, Finished, Picture, Progress, Queued
from paintdiff.jobs.requests import TextToImage
from paintdiff.server.guard import Guard
from paintdiff.server.identities import make_token, name_browser
from paintdiff.ui.gallery import messages
from tests.ui.fake_engine import FakeEngine
from tests.ui.gallery.test_routes import add, app, browser, gallery, local

__all__ = ["app", "gallery", "local"]

PARAMS = {
    "kind": "text_to_image",
    "prompt": "a boat",
    "negative_prompt": "fog",
    "model": "mini",
    "seed": 7,
    "num_inference_steps": 12,
    "clip_skip": 2,
    "num_images": 1,
}


def wish(**values: Any) -> dict[str, Any]:
    return {"of": "seed", "strength": 0.2, "count": 3, **values}


def test_nearby_seeds_keep_everything_but_a_part_of_the_noise(
    gallery: Gallery, local: TestClient, engine: FakeEngine
) -> None:
    picture = add(gallery, params=PARAMS, seed=7)
    answer = local.post("/gallery/variations", json=wish(id=picture.id))
    assert answer.status_code == 200, answer.text
    job = engine.jobs[answer.json()["job"]]
    request = job.request
    assert isinstance(request, TextToImage)
    assert (request.prompt, request.seed, request.clip_skip) == ("a boat", 7, 2)
    assert (request.num_images, request.variation_strength) == (3, 0.2)
    assert engine.varied == [picture.id]


@pytest.mark.parametrize(
    "values",
    [
        {"count": 0},
        {"count": 17},
        {"count": True},
        {"strength": 0},
        {"strength": 1.5},
        {"of": "model"},
        {"more": 1},
        {"id": "../x"},
        {"id": "unknown"},
    ],
)
def test_bad_wishes(
    gallery: Gallery, local: TestClient, engine: FakeEngine, values: dict[str, Any]
) -> None:
    picture = add(gallery, params=PARAMS, seed=7)
    answer = local.post("/gallery/variations", json=wish(**{"id": picture.id, **values}))
    assert answer.status_code in (400, 404, 422)
    assert not engine.jobs


def test_a_full_queue_is_explained(
    gallery: Gallery, local: TestClient, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise QueueFullError("16 pictures are waiting already.")

    monkeypatch.setattr(engine, "submit", full)
    picture = add(gallery, params=PARAMS, seed=7)
    answer = local.post("/gallery/variations", json=wish(id=picture.id))
    assert (answer.status_code, answer.json()["detail"]) == (
        503,
        "16 pictures are waiting already.",
    )


def test_a_run_is_followed_and_cancelled_by_its_owner_only(
    gallery: Gallery, app: Guard, engine: FakeEngine
) -> None:
    token = make_token()
    owner = name_browser(token)
    picture = add(gallery, params=PARAMS, seed=7, owner=owner)
    with browser(app, token) as visitor, browser(app, make_token()) as stranger:
        answer = stranger.post("/gallery/variations", json=wish(id=picture.id))
        assert answer.status_code == 404
        name = visitor.post("/gallery/variations", json=wish(id=picture.id)).json()["job"]
        job, path = engine.jobs[name], f"/gallery/variations/{name}"
        assert stranger.get(path).status_code == 404
        assert stranger.post(f"{path}/cancel", json={}).status_code == 404
        job.latest = Progress(1, 20, 0, 3)
        assert visitor.get(path).json()["said"] == messages.variations_running(0, 3)
        done = Picture(Image.new("RGB", (8, 8)), job.request)
        job.latest = Finished((done, done), (), 1.0, 1.0)
        told = visitor.get(path).json()
        assert (told["done"], told["count"]) == (True, 2)
        assert told["said"] == messages.variations_done(2)
        job.latest = Failed(ValueError("/home/secret"))
        told = visitor.get(path).json()
        assert told["failed"] and "/home" not in told["said"]
        job.latest = Queued(2)
        assert "2 ahead" in visitor.get(path).json()["said"]
        assert visitor.post(f"{path}/cancel", json={}).json()["done"]
        assert visitor.get("/gallery/variations/unknown").status_code == 404
