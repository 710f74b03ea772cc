"""POST /api/variations, and the training that isn't there yet."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.api.conftest import Served

BODY = {"prompt": "a red house", "num_inference_steps": 4, "seed": 3}


@pytest.fixture(scope="module")
def image_id(served: Served) -> str:
    with served.connect() as client:
        return client.post("/api/generate", json=BODY).json()["id"]


def vary(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/api/variations", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("of", ["seed", "picture"])
def test_variations_are_the_pictures_children(client: TestClient, image_id: str, of: str) -> None:
    answer = vary(client, id=image_id, of=of, count=2, strength=0.3, foo=1)
    assert len({each["image"] for each in answer["images"]}) == 2
    assert "These fields have no effect here: foo." in answer["warnings"]
    for each in answer["images"]:
        assert each["params"]["prompt"] == "a red house"
        record = client.get(f"/api/images/{each['id']}").json()
        assert (record["parent"], record["relation"]) == (image_id, "variation")


def test_a_key_makes_them_once(client: TestClient, image_id: str) -> None:
    headers, body = {"Idempotency-Key": "vary"}, {"id": image_id, "count": 1}
    first, second = (
        client.post("/api/variations", json=body, headers=headers).json() for _ in range(2)
    )
    assert first["job_id"] == second["job_id"]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "id"),
        ({"id": "nope"}, 404, None),
        ({"id": "../x"}, 404, None),
        ({"count": 0}, 422, "count"),
        ({"count": 17}, 422, "count"),
        ({"strength": 0}, 422, "strength"),
        ({"of": "model"}, 422, "of"),
    ],
)
def test_wrong_values(
    client: TestClient, image_id: str, body: dict[str, Any], status: int, field: str | None
) -> None:
    answer = client.post("/api/variations", json={"id": image_id, **body} if body else {})
    assert (answer.status_code, answer.json().get("field")) == (status, field), answer.text


def test_nobody_elses_picture_is_varied(served: Served, image_id: str) -> None:
    with served.connect(elsewhere=True) as other:
        assert other.post("/api/variations", json={"id": image_id}).status_code == 404


def test_training_says_that_it_is_not_there(client: TestClient) -> None:
    for answer in (client.post("/api/retrain", json={}), client.get("/api/retrain/status")):
        assert answer.status_code == 501
        assert answer.headers["content-type"] == "application/problem+json"
        assert "/api/feedback" in answer.json()["detail"]
