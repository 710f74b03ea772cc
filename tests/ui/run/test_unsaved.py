"""Pictures that couldn't be saved are named in the status, and one click tries again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.recording import Recorder
from paintdiff.jobs.job import Job
from paintdiff.server.access import Access
from paintdiff.server.guard import Guard, Hosts
from paintdiff.server.identities import make_token, name_browser
from paintdiff.server.page_events import PageEvents
from paintdiff.server.sessions import NoEvents, Sessions
from paintdiff.ui.run import messages, routes
from tests.gallery.test_recording import REQUEST, Broken, painted
from tests.ui.fake_engine import words_of
from tests.ui.gallery.test_routes import browser


class Shop:
    """A gallery whose disk is full, and the app over it."""

    def __init__(self, folder: Path, engine: Any) -> None:
        self.gallery = Gallery(folder)
        self.folder = Broken(folder)
        self.recorder = Recorder(self.gallery, self.folder)
        server = FastAPI()
        server.include_router(routes.status_routes(words_of(engine), self.recorder))
        hosts = Hosts()
        hosts.allow("studio.lan")
        self.app = Guard(Access(server, PageEvents({}), Sessions(NoEvents())), hosts)
        self.local = TestClient(self.app, base_url="http://localhost", client=("127.0.0.1", 1))


@pytest.fixture
def shop(tmp_path: Path, engine: Any) -> Iterator[Shop]:
    made = Shop(tmp_path, engine)
    yield made
    made.gallery.close()


def test_one_click_saves_them(shop: Shop) -> None:
    assert shop.local.get("/status").json()["waiting"] is None
    shop.recorder.record(Job(REQUEST), painted(None))
    reason = "Can't write the file: the disk is full."
    expected = {"unsaved": 1, "unrecorded": 0, "reason": reason}
    assert shop.local.get("/status").json()["waiting"] == expected
    answer = shop.local.post("/unsaved", json={})
    assert (answer.status_code, answer.json()["detail"]) == (503, reason)
    shop.folder.full = False
    assert shop.local.post("/unsaved", json={}).json() == {"waiting": None}
    assert shop.local.get("/status").json()["waiting"] is None
    assert shop.local.get("/unsaved").status_code == 405, "reading changes nothing"


def test_visitors_hear_of_their_own_only(shop: Shop) -> None:
    token = make_token()
    shop.recorder.record(Job(REQUEST, owner=name_browser(token)), painted(None))
    with browser(shop.app, token) as visitor, browser(shop.app, make_token()) as stranger:
        assert visitor.get("/status").json()["waiting"]["unsaved"] == 1
        assert stranger.get("/status").json()["waiting"] is None
        shop.folder.full = False
        assert stranger.post("/unsaved", json={}).json() == {"waiting": None}
        assert visitor.get("/status").json()["waiting"]["unsaved"] == 1
        assert visitor.post("/unsaved", json={}).json() == {"waiting": None}


def test_only_one_tries_at_a_time(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.recorder.record(Job(REQUEST), painted(None))
    began, goes_on = threading.Event(), threading.Event()

    def slow() -> None:
        began.set()
        goes_on.wait(60)

    monkeypatch.setattr(shop.recorder, "retry", slow)
    first = threading.Thread(target=shop.local.post, args=("/unsaved",), kwargs={"json": {}})
    first.start()
    assert began.wait(60)
    answer = shop.local.post("/unsaved", json={})
    assert (answer.status_code, answer.json()["detail"]) == (503, messages.SAVING_ALREADY)
    goes_on.set()
    first.join(60)
