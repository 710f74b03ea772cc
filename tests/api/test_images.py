"""/api/images: found, paged, rated, deleted, and each visitor's own."""

from __future__ import annotations

import io
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tests.api.conftest import Served, folder_of


def paint(client: TestClient, prompt: str) -> str:
    body = {"prompt": prompt, "num_inference_steps": 1, "width": 64, "height": 64}
    return client.post("/api/generate", json=body).json()["id"]


def search(client: TestClient, **query: Any) -> list[str]:
    answer = client.get("/api/images", params=query)
    assert answer.status_code == 200, answer.text
    return [each["prompt"] for each in answer.json()["images"]]


def test_pictures_are_searched_and_paged(client: TestClient) -> None:
    for number in range(3):
        paint(client, f"a green whale number {number}")
    assert len(search(client, q="green whale")) == 3
    first = client.get("/api/images", params={"q": "whale", "limit": 2}).json()
    rest = client.get("/api/images", params={"q": "whale", "cursor": first["next"]}).json()
    prompts = [each["prompt"][-1] for page in (first, rest) for each in page["images"]]
    assert (prompts, rest["next"]) == (["2", "1", "0"], None)
    assert search(client, q="whale", since="2999-01-01T00:00:00Z") == []


def test_a_picture_has_a_file_and_a_thumbnail(client: TestClient) -> None:
    found = client.get(f"/api/images/{paint(client, 'a cat')}").json()
    assert found["kind"] == "text_to_image" and found["params"]["prompt"] == "a cat"
    for place, kind in (("file", "PNG"), ("thumbnail", "WEBP")):
        image = Image.open(io.BytesIO(client.get(found[place]).content))
        assert image.format == kind


def test_feedback_and_the_bin(client: TestClient) -> None:
    image_id = paint(client, "a purple dragon")
    rated = client.post("/api/feedback", json={"id": image_id, "feedback": 1})
    assert rated.json()["feedback"] == 1
    assert search(client, q="purple", feedback=1) == ["a purple dragon"]
    assert client.delete(f"/api/images/{image_id}").status_code == 200
    assert search(client, q="purple") == []
    wrong = client.post("/api/feedback", json={"id": image_id, "feedback": 5})
    assert wrong.status_code == 422 and wrong.json()["field"] == "feedback"
    assert client.post("/api/feedback", json={"id": "zzz", "feedback": 0}).status_code == 404


def test_a_missing_file_is_said_to_be(served: Served, client: TestClient) -> None:
    image_id = paint(client, "a lost owl")
    for path in folder_of(served.context).rglob("*.png"):
        path.unlink()
    answer = client.get(f"/api/images/{image_id}/file")
    assert (answer.status_code, answer.json()["detail"]) == (404, "The picture's file is missing.")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"cursor": "abc"}, "cursor"),
        ({"since": "2026-01-01T00:00:00"}, "since"),
        ({"feedback": 7}, "feedback"),
        ({"q": "a" * 501}, "q"),
    ],
)
def test_a_wrong_query_is_refused(client: TestClient, query: dict[str, Any], field: str) -> None:
    answer = client.get("/api/images", params=query)
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text


@pytest.mark.parametrize(
    "query",
    [
        *(f"{name}={text}" for name in ("q", "kind", "model") for text in ("%00", "%ED%A0%80")),
        "since=9999-12-31T23:59:59-12:00",
        "until=0001-01-01T00:00:00%2B14:00",
        "cursor=999999999999999999.a&q=zebra",
    ],
)
def test_a_query_for_nothing_finds_nothing(client: TestClient, query: str) -> None:
    answer = client.get(f"/api/images?{query}")
    assert answer.status_code == 200 and answer.json()["images"] == [], answer.text


@pytest.mark.parametrize(
    "query", ["tag=a%00", "cursor=a%00", f"limit={2**70}", f"feedback={2**70}", f"since={'9' * 30}"]
)
def test_a_query_beyond_its_limits_is_refused(client: TestClient, query: str) -> None:
    answer = client.get(f"/api/images?{query}")
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("image_id", ["a%00", "%ED%A0%80"])
def test_an_id_that_no_database_holds_is_not_found(client: TestClient, image_id: str) -> None:
    assert client.get(f"/api/images/{image_id}").status_code == 404
    body = b'{"id": "a\\u0000", "feedback": 0}'
    answer = client.post(
        "/api/feedback", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 404, answer.text


def test_a_visitor_sees_only_their_own_pictures(served: Served, client: TestClient) -> None:
    with served.connect(elsewhere=True) as one, served.connect(elsewhere=True) as other:
        assert (
            one.get("/health").is_success and other.get("/health").is_success
        )  # each gets a cookie
        image_id = paint(one, "a secret fox")
        assert search(one, q="secret") == ["a secret fox"] == search(client, q="secret")
        assert search(other, q="secret") == []
        for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/file"), ("GET", "/thumbnail")):
            answer = other.request(method, f"/api/images/{image_id}{path}")
            assert answer.status_code == 404, (method, path)
        body = {"id": image_id, "feedback": 1}
        assert other.post("/api/feedback", json=body).status_code == 404
