"""The routes of the help while typing, behind the guard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from paintdiff.jobs.requests import MAX_PROMPT_CHARACTERS
from paintdiff.models.registry.adapter_rows import EmbeddingRow, LoraRow
from paintdiff.server.access import Access
from paintdiff.server.guard import Guard, Hosts
from paintdiff.server.page_events import PageEvents
from paintdiff.server.sessions import NoEvents, Sessions
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.prompting import routes


@pytest.fixture
def client(context: PageContext, tmp_path: Path) -> TestClient:
    catalog: Any = context.engine.manager.catalog
    catalog.beside = (
        LoraRow(name="ink: old", title="Ink", source="/x", weight=0.7, trigger_words=("inky",)),
        EmbeddingRow(name="hands", title="Hands", source="/y", widths=(64,), families=("mini",)),
        EmbeddingRow(name="other", title="Other", source="/z", widths=(9,), families=("sdxl",)),
    )
    server = FastAPI()
    server.include_router(routes.prompting_routes(replace(context, models_dirs=(tmp_path,))))
    return TestClient(
        Guard(Access(server, PageEvents({}), Sessions(NoEvents())), Hosts()),
        base_url="http://localhost",
    )


def check(client: TestClient, text: str, **how: Any) -> Any:
    return client.post("/prompts/check", json={"text": text, **how})


def test_a_prompt_is_checked(client: TestClient) -> None:
    found = check(client, "a (red house", model="mini").json()
    assert found["count"] == {"tokens": 3, "room": 75, "chunks": 1, "borders": []}
    (mark,) = found["marks"]
    assert (mark["kind"], mark["start"], mark["end"]) == ("mistake", 2, 3)
    assert (found["notes"], found["offer"]) == ([], None)
    offer = check(client, "a cyberpunk girl").json()["offer"]
    assert offer["texts"] == ["a woman"]


def test_places_are_those_of_a_browser(client: TestClient) -> None:
    text = "\U0001f600\U0001f600 hosue"
    mark = check(client, text).json()["marks"][-1]
    units = text.encode("utf-16-le")
    assert units[2 * mark["start"] : 2 * mark["end"]].decode("utf-16-le") == "hosue"


@pytest.mark.parametrize(
    "body",
    [
        {"text": "x" * (MAX_PROMPT_CHARACTERS + 1)},
        {"text": 7},
        {},
        {"text": "a", "more": 1},
        {"text": "a", "steps": 0},
        {"text": "a", "syntax": "other"},
        {"text": "a", "model": "m" * 201},
    ],
)
def test_anything_else_is_refused(client: TestClient, body: Any) -> None:
    assert client.post("/prompts/check", json=body).status_code == 422


def test_an_unknown_model_is_the_default_one(client: TestClient) -> None:
    assert check(client, "a house", model="gone").json()["count"]["tokens"] == 2


def test_only_so_many_checks_wait(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "MAX_WAITING", 0)
    answer = check(client, "a house")
    assert answer.status_code == 503 and answer.headers["retry-after"] == "2"


def test_completions_are_those_that_fit_the_model(client: TestClient) -> None:
    answer = client.get("/prompts/completions", params={"model": "mini"})
    kinds = {each["kind"]: each for each in answer.json()["kinds"]}
    assert kinds["LoRA"]["opener"] == "<"
    assert kinds["LoRA"]["entries"] == [["ink: old", "<lora:ink\\: old:0.7>, inky", "with inky"]]
    assert [each[0] for each in kinds["embedding"]["entries"]] == ["hands"]
    assert kinds["wildcard"]["opener"] == "__"
    assert ["hat", "__hat__", ""] in kinds["wildcard"]["entries"]
    assert ["castle", "castle", ""] in kinds["word"]["entries"]
    assert ["Mini at sunset", "at sunset", ""] in kinds["style"]["entries"]
    assert all("{prompt}" not in entry[1] for entry in kinds["style"]["entries"])
    same = client.get(
        "/prompts/completions",
        params={"model": "mini"},
        headers={"If-None-Match": answer.headers["etag"]},
    )
    assert (same.status_code, same.content) == (304, b"")


def test_tags_come_once_until_a_file_changes(client: TestClient, tmp_path: Path) -> None:
    first = client.get("/prompts/tags")
    assert first.json() == {"tags": [], "problems": []}
    (tmp_path / "tags").mkdir()
    (tmp_path / "tags/list.csv").write_text('cat,0,5,"kitty"\n,\n', encoding="utf-8")
    tag = first.headers["etag"]
    second = client.get("/prompts/tags", headers={"If-None-Match": tag})
    assert second.json()["tags"] == [["cat", 5, "kitty"]]
    assert "line 2" in second.json()["problems"][0]
    tag = second.headers["etag"]
    assert client.get("/prompts/tags", headers={"If-None-Match": tag}).status_code == 304
