"""The prompts of earlier pictures, for those whose pictures they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from paintdiff.gallery.gallery import Gallery
from paintdiff.server.access import Access
from paintdiff.server.guard import Guard, Hosts
from paintdiff.server.identities import make_token, name_browser
from paintdiff.server.page_events import PageEvents
from paintdiff.server.sessions import NoEvents, Sessions
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.gallery.routes import gallery_routes
from paintdiff.ui.prompting import history
from paintdiff.ui.prompting.routes import prompting_routes
from tests.ui.gallery.test_routes import add, browser


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    opened = Gallery(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def app(gallery: Gallery, context: PageContext) -> Guard:
    server = FastAPI()
    server.include_router(prompting_routes(replace(context, gallery=gallery)))
    server.include_router(gallery_routes(gallery, context))
    hosts = Hosts()
    hosts.allow("studio.lan")
    return Guard(Access(server, PageEvents({}), Sessions(NoEvents())), hosts)


@pytest.fixture
def local(app: Guard) -> TestClient:
    return TestClient(app, base_url="http://localhost", client=("127.0.0.1", 1))


def prompts(client: TestClient, **query: Any) -> list[str]:
    answer = client.get("/prompts/history", params=query)
    assert answer.status_code == 200, answer.text
    return [each["prompt"] for each in answer.json()["prompts"]]


def test_each_prompt_comes_once_the_newest_first(gallery: Gallery, local: TestClient) -> None:
    for minute, prompt in enumerate(("a boat", "a house", "a boat", "", "a red cat")):
        add(gallery, prompt, minute)
    add(gallery, "a boat", 9, negative_prompt="fog")
    deleted = add(gallery, "a secret", 10)
    gallery.store.delete([deleted.id])
    found = local.get("/prompts/history").json()
    assert [(each["prompt"], each["negative_prompt"]) for each in found["prompts"]] == [
        ("a boat", "fog"),
        ("a red cat", ""),
        ("a boat", ""),
        ("a house", ""),
    ]
    assert prompts(local, search="red") == ["a red cat"]


def test_others_see_their_own(gallery: Gallery, app: Guard, local: TestClient) -> None:
    mine, theirs = make_token(), make_token()
    add(gallery, "a boat", 1, owner=name_browser(mine))
    add(gallery, "a house", 2, owner=name_browser(theirs))
    with browser(app, mine) as client:
        assert prompts(client) == ["a boat"]
    assert prompts(local) == ["a house", "a boat"]


def test_favourites_are_marked_by_a_tag(gallery: Gallery, local: TestClient) -> None:
    add(gallery, "a boat", 1)
    add(gallery, "a house", 2)
    newest = local.get("/prompts/history").json()["prompts"][1]
    assert (newest["prompt"], newest["marked"]) == ("a boat", [])
    change = {"ids": [newest["newest"]], "change": "tag", "value": history.FAVOURITE}
    assert local.post("/gallery/changes", json=change).status_code == 200
    add(gallery, "a boat", 3)
    assert prompts(local, favourites=True) == ["a boat"]
    (found,) = local.get("/prompts/history?favourites=true").json()["prompts"]
    assert found["marked"] == [newest["newest"]]
    change |= {"ids": found["marked"], "change": "untag"}
    local.post("/gallery/changes", json=change)
    assert prompts(local, favourites=True) == []


def test_long_histories_come_in_parts(
    gallery: Gallery, local: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_PAGE", 2)
    monkeypatch.setattr(history, "MAX_PROMPTS", 3)
    for minute in range(6):
        add(gallery, f"prompt {minute // 2}", minute)
    found = local.get("/prompts/history").json()
    assert [each["prompt"] for each in found["prompts"]] == ["prompt 2", "prompt 1", "prompt 0"]
    monkeypatch.setattr(history, "MAX_PICTURES", 2)
    first = local.get("/prompts/history").json()
    assert [each["prompt"] for each in first["prompts"]] == ["prompt 2"]
    assert prompts(local, cursor=first["next"]) == ["prompt 1"]
    assert local.get("/prompts/history?cursor=nonsense").status_code == 400
    assert local.get(f"/prompts/history?search={'x' * 501}").status_code == 422
