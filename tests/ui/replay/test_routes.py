"""Replays over HTTP: only the owner sees them, and the last frame is the picture."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from paintdiff.engine.engine import Engine
from paintdiff.gallery.files.saving import PictureFolder
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.recording import Recorder
from paintdiff.jobs.events import Picture
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.requests import TextToImage, Upscale
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.server.access import Access
from paintdiff.server.guard import Guard, Hosts
from paintdiff.server.identities import COOKIE, make_token, name_browser
from paintdiff.server.page_events import PageEvents
from paintdiff.server.sessions import NoEvents, Sessions
from paintdiff.ui.replay import runs
from paintdiff.ui.replay.routes import replay_routes

REQUEST = TextToImage(
    prompt="a house", width=64, height=64, num_inference_steps=4, seed=7, sampler="Euler a"
)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    opened = Gallery(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def engine(gallery: Gallery, tiny_manager: ModelManager) -> Iterator[Engine]:
    folder = PictureFolder(gallery.folder)
    with Engine(tiny_manager, store=folder, recorder=Recorder(gallery, folder)) as engine:
        yield engine


@pytest.fixture
def app(gallery: Gallery, engine: Engine) -> Guard:
    server = FastAPI()
    server.include_router(replay_routes(gallery, engine))
    hosts = Hosts()
    hosts.allow("studio.lan")
    return Guard(Access(server, PageEvents({}), Sessions(NoEvents())), hosts)


@pytest.fixture
def client(app: Guard) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://localhost", client=("127.0.0.1", 1)) as client:
        yield client


@pytest.fixture
def painted(engine: Engine) -> Picture:
    return engine.generate(REQUEST).pictures[0]


def finish(client: TestClient, path: str, **content: Any) -> dict[str, Any]:
    answer = client.post(path, json=content)
    assert answer.status_code == 200, answer.text
    run = answer.json()
    while not run["done"]:
        time.sleep(0.05)
        run = client.get(f"/replays/{run['run']}").json()
    return run


def test_a_picture_is_verified_and_each_step_is_seen(client: TestClient, painted: Picture) -> None:
    run = finish(client, "/replays", id=painted.id)
    assert (run["steps"], run["total"], run["failed"]) == ([1, 2, 3, 4], 4, False)
    assert run["verified"] == ["identical"]
    for number in range(4):
        answer = client.get(f"/replays/{run['run']}/frames/{number}")
        assert answer.headers["content-type"] == "image/jpeg"
        with Image.open(io.BytesIO(answer.content)) as image:
            assert image.size == (64, 64)
    assert client.get(f"/replays/{run['run']}/frames/4").status_code == 400


def test_it_is_downloaded_as_an_animation(client: TestClient, painted: Picture) -> None:
    run = finish(client, "/replays", id=painted.id)
    address = f"/replays/{run['run']}/animation"
    answer = client.get(address, params={"format": "webm", "fps": 30})
    assert answer.headers["content-type"] == "video/webm"
    assert "attachment" in answer.headers["content-disposition"]
    with av.open(io.BytesIO(answer.content)) as container:
        assert container.streams.video[0].average_rate == 30
    assert client.get(address, params={"format": "gif"}).content.startswith(b"GIF89a")
    answer = client.get(address, params={"fps": 0})
    assert answer.status_code == 400
    assert "1 to 120 frames" in answer.json()["detail"]
    assert client.get(address, params={"format": "avi"}).status_code == 422


def test_a_run_is_continued_with_other_settings(
    client: TestClient, painted: Picture, gallery: Gallery, engine: Engine
) -> None:
    wanted = {"after_step": 2, "prompt": "a boat", "guidance_scale": 6}
    run = finish(client, "/replays/continue", id=painted.id, **wanted)
    assert not run["failed"], run["said"]
    child = gallery.store.get(run["picture"])
    assert (child.parent, child.relation) == (painted.id, "variation")
    (branch,) = child.params["branches"]
    assert (branch["after_step"], branch["prompt"], branch["seed"]) == (2, "a boat", None)
    # The child's own branch is replaced if the new one begins before it.
    again = finish(client, "/replays/continue", id=child.id, after_step=1, seed=3)
    branches = gallery.store.get(again["picture"]).params["branches"]
    assert [each["after_step"] for each in branches] == [1]
    answer = client.post("/replays/continue", json={"id": painted.id, "after_step": 4, "seed": 1})
    assert answer.status_code == 400
    assert "1 to 3, not 4" in answer.json()["detail"]
    answer = client.post("/replays/continue", json={"id": painted.id, "after_step": 0})
    assert answer.status_code == 422


def test_replays_are_the_owners_alone(app: Guard, engine: Engine, painted: Picture) -> None:
    token = make_token()
    own = engine.submit(REQUEST, owner=name_browser(token)).result().pictures[0]
    with TestClient(app, base_url="http://studio.lan", client=("192.0.2.1", 1)) as visitor:
        visitor.cookies.set(COOKIE, token)
        headers = {"Origin": "http://studio.lan"}
        assert visitor.post("/replays", json={"id": painted.id}, headers=headers).status_code == 404
        started = visitor.post("/replays", json={"id": own.id}, headers=headers)
        assert started.status_code == 200, started.text
        run = started.json()["run"]
        assert visitor.get(f"/replays/{run}").status_code == 200
        visitor.cookies.set(COOKIE, make_token())
        assert visitor.get(f"/replays/{run}").status_code == 404
        assert visitor.get(f"/replays/{run}/frames/0").status_code == 404


def test_nothing_is_added_to_the_gallery_by_a_replay(
    client: TestClient, painted: Picture, gallery: Gallery
) -> None:
    before = list(gallery.folder.rglob("*.png"))
    finish(client, "/replays", id=painted.id)
    assert list(gallery.folder.rglob("*.png")) == before


def test_what_cannot_be_replayed_says_why(
    client: TestClient, painted: Picture, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    larger = engine.generate(Upscale(images=(InputImage.from_image(painted.image),))).pictures[0]
    answer = client.post("/replays", json={"id": larger.id})
    assert (answer.status_code, "no steps" in answer.text) == (400, True)
    assert client.post("/replays", json={"id": "nothing"}).status_code == 404
    assert client.get("/replays/nothing").status_code == 404
    monkeypatch.setattr(runs, "KEPT_RUNS", 1)
    first = finish(client, "/replays", id=painted.id)["run"]
    finish(client, "/replays", id=painted.id)
    assert client.get(f"/replays/{first}").status_code == 404


def test_a_file_that_was_edited_differs(client: TestClient, painted: Picture) -> None:
    assert painted.path is not None
    with Image.open(painted.path) as image:
        text = image.info["paintdiffusion"]
        changed = image.copy()
    changed.putpixel((0, 0), (1, 2, 3))
    info = PngInfo()
    info.add_text("paintdiffusion", text)
    changed.save(painted.path, pnginfo=info)
    run = finish(client, "/replays", id=painted.id)
    assert "different: 1 of 4096 pixels" in run["verified"][0]
    assert "Was the file edited?" in run["verified"][1]
