"""Looking for models, on a hub that is a server of this machine."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from huggingface_hub import constants

from paintdiff.errors import DownloadError, HubUnavailableError, RequestError
from paintdiff.models.hub import client as hub_http
from paintdiff.models.hub.downloads import Downloads
from tests.hub_server import COMMIT, FakeHub, Repository


def row(id: str, pipeline: str = "StableDiffusionPipeline", **more: Any) -> dict[str, Any]:
    tags = ["license:mit", *([f"diffusers:{pipeline}"] if pipeline else [])]
    return {
        "id": id,
        "sha": COMMIT,
        "downloads": 5,
        "gated": False,
        "tags": tags,
        "pipeline_tag": "text-to-image",
        **more,
    }


def test_pipelines_that_paint_come_first(hub: FakeHub, downloads: Downloads) -> None:
    hub.search_answer = [
        row("a/lora", "", downloads=900),
        row("a/other", "StableDiffusionXLPipeline", pipeline_tag="image-to-image", downloads=90),
        row("a/rare", downloads=1),
        row("a/gated", "FluxPipeline", gated="manual", downloads=8),
        row("stabilityai/stable-diffusion-2-1", downloads=3),
    ]
    found = downloads.search("  boats\n on   water ")
    ids = ["a/gated", "stabilityai/stable-diffusion-2-1", "a/rare", "a/other", "a/lora"]
    assert [model.hub_id for model in found] == ids
    families = ["flux", "sd2", "sd1", "sdxl", None]
    assert [model.family for model in found] == families
    first = found[0]
    assert (first.title, first.licence, first.gated) == ("gated", "mit", True)
    assert first.revision == COMMIT and first.pipeline_class == "FluxPipeline"
    query = parse_qs(urlsplit(hub.asked[0].path).query)
    assert query["search"] == ["boats on water"] and query["filter"] == ["diffusers"]


def test_an_id_finds_that_model_first(hub: FakeHub, downloads: Downloads) -> None:
    hub.repositories["a/boats"] = Repository({}, tags=("diffusers:FluxPipeline",))
    hub.search_answer = [row("b/a-boats"), row("a/boats")]
    assert [model.hub_id for model in downloads.search("a/boats")] == ["a/boats", "b/a-boats"]
    assert [model.hub_id for model in downloads.search("a/nothing")] == ["b/a-boats", "a/boats"]


def test_what_strangers_write_is_text(hub: FakeHub, downloads: Downloads) -> None:
    hub.search_answer = [
        row("a/ok", tags=["license:<b>\u202ebold\x00</b>" + "x" * 500]),
        row("<script>/x"),
        row("../etc"),
        {"id": 7},
        "nonsense",
        row("a/odd", tags=None, downloads=None, sha="main", gated=None),
    ]
    found = {model.hub_id: model for model in downloads.search("'; <b>")}
    assert {*found} == {"a/ok", "a/odd"}
    assert found["a/ok"].licence.startswith("<b> bold </b>x")
    assert len(found["a/ok"].licence) <= 100
    assert found["a/odd"].revision == "" and found["a/odd"].family is None


def test_a_hub_that_cant_be_asked_is_told(
    hub: FakeHub, downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RequestError, match="Enter a word"):
        downloads.search(" \n ")
    hub.search_answer = {"error": "no"}
    with pytest.raises(DownloadError, match="isn't a list"):
        downloads.search("boats")
    hub.busy = 1
    with pytest.raises(HubUnavailableError, match="unavailable right now"):
        downloads.search("boats")
    hub.search_answer = [row("a/x")] * 10
    monkeypatch.setattr(hub_http, "MAX_JSON_BYTES", 1000)
    with pytest.raises(DownloadError, match="exceeds 1,000 bytes"):
        downloads.search("boats")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubUnavailableError, match="HF_HUB_OFFLINE"):
        downloads.search("boats")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub.close()
    with pytest.raises(HubUnavailableError, match="Can't reach"):
        downloads.search("boats")
