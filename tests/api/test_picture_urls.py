"""Pictures named by URL."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from paintdiff.api import picture_urls
from paintdiff.api.picture_urls import BodyError, fetch_pictures
from paintdiff.errors import RequestError
from paintdiff.server.url_fetcher import UrlFetcher
from tests.api.conftest import Served, serve

URL = "https://pictures.test/a.png"


class Fetcher(UrlFetcher):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, int]] = []

    def fetch(self, url: str, max_bytes: int = 0) -> bytes:
        self.asked.append((url, max_bytes))
        if "lan" in url:
            raise RequestError("It leads to a private network.")
        return b"picture"


@pytest.fixture
def fetcher() -> Fetcher:
    return Fetcher()


def test_only_fields_of_pictures_are_fetched(fetcher: Fetcher) -> None:
    body: Any = {
        "prompt": URL,
        "mask": None,
        "init_images": [URL, "aGk="],
        "image": {"data": URL.upper()},
        "controls": [{"image": URL, "url": URL}],
        "more": [URL],
    }
    fetch_pictures(body, fetcher)
    encoded = base64.b64encode(b"picture").decode()
    assert body == {
        "prompt": URL,
        "mask": None,
        "init_images": [encoded, "aGk="],
        "image": {"data": encoded},
        "controls": [{"image": encoded, "url": URL}],
        "more": [URL],
    }
    assert [most for _, most in fetcher.asked] == [16 * 2**20 - 7 * n for n in range(3)]


def test_what_cannot_be_fetched_is_said_with_its_field(fetcher: Fetcher) -> None:
    for body, field, said in (
        ({"controls": [{}, {"image": "http://lan.test/"}]}, "controls.1.image", "private"),
        ({"images": [URL] * 9}, "images.8", "at most 8 URLs"),
    ):
        with pytest.raises(BodyError) as refused:
            fetch_pictures(body, fetcher)
        assert (refused.value.field, refused.value.status_code) == (field, 422)
        assert said in refused.value.detail
    assert picture_urls.MAX_URLS == 8


@pytest.fixture
def fetching(served: Served, fetcher: Fetcher) -> Iterator[TestClient]:
    context = replace(served.context, fetcher=fetcher)
    with TestClient(serve(context), "http://localhost", client=("127.0.0.1", 1)) as client:
        yield client


def test_a_server_fetches_only_if_it_may(
    client: TestClient, fetching: TestClient, fetcher: Fetcher
) -> None:
    body = {"image": "http://pictures.test/x", "scale": 2}
    off = client.post("/upscale", json=body)
    assert (off.status_code, off.json()["field"]) == (422, "image")
    assert "fetches nothing" in off.json()["detail"] and not fetcher.asked
    broken = fetching.post("/upscale", json=body)
    assert broken.status_code == 422 and fetcher.asked == [("http://pictures.test/x", 16 * 2**20)]
    assert fetching.post("/upscale", json={"image": "http://lan.test/"}).json()["field"] == "image"
