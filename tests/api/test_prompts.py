"""POST /encode_text and /prompt-variations, and prompts that are enriched before painting."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import safetensors.torch
import torch
from fastapi.testclient import TestClient

from tests.api.conftest import Served


def encode(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/encode_text", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def read(answer: dict[str, Any]) -> dict[str, torch.Tensor]:
    return safetensors.torch.load(base64.b64decode(answer["embeddings"], validate=True))


def test_embeddings_are_what_the_models_own_pipeline_encodes(
    served: Served, client: TestClient
) -> None:
    answer = encode(client, text="a red house")
    tensors = read(answer)
    assert (answer["model"], answer["format"]) == ("mini", "safetensors")
    assert {
        name: {"shape": list(each.shape), "dtype": "float32"} for name, each in tensors.items()
    } == answer["tensors"]
    with served.context.engine.manager.lease("mini") as leased, torch.inference_mode():
        wanted = leased.pipeline.encode_prompt("a red house", "cpu", 1, False)[0]
    assert torch.equal(tensors["prompt_embeds"], wanted)


def test_a_text_is_encoded_once(served: Served, client: TestClient) -> None:
    engine, calls = served.context.engine, 0
    original = engine.encode_text

    def count(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        return original(*args)

    engine.encode_text = count  # type: ignore[method-assign]
    try:
        first = encode(client, text="a cached whale")
        assert encode(client, text="a cached whale") == first
        assert encode(client, text="a cached owl") != first
    finally:
        del engine.encode_text  # type: ignore[misc]
    assert calls == 2


def test_a_long_text_is_encoded_whole(client: TestClient) -> None:
    short, long = (encode(client, text="a house " * count) for count in (1, 100))
    sizes = [each["tensors"]["prompt_embeds"]["shape"][1] for each in (short, long)]
    assert sizes == [77, 3 * 77]


def propose(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/prompt-variations", json={"prompt": "a house", **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_seed_proposes_the_same_prompts_again(client: TestClient) -> None:
    first = propose(client, count=3, seed=1, style="x")
    assert len(set(first["variations"])) == 3
    assert all("house" in each and each != "a house" for each in first["variations"])
    assert first == propose(client, count=3, seed=first["seed"], style="x")
    assert first["warnings"] == ["These fields have no effect here: style."]
    assert propose(client, seed=2)["variations"] != first["variations"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/encode_text", {}, "text"),
        ("/encode_text", {"text": 3}, "text"),
        ("/encode_text", {"text": "a" * 10_001}, "text"),
        ("/encode_text", {"text": "a", "model": "mino"}, "model"),
        ("/encode_text", {"text": "a", "model": "../mini"}, "model"),
        ("/prompt-variations", {}, "prompt"),
        ("/prompt-variations", {"prompt": "a" * 5001}, "prompt"),
        ("/prompt-variations", {"prompt": "a", "count": 0}, "count"),
        ("/prompt-variations", {"prompt": "a", "count": 17}, "count"),
        ("/prompt-variations", {"prompt": "a", "seed": -1}, "seed"),
        ("/prompt-variations", {"prompt": "a", "model": "mino"}, "model"),
        ("/prompt-variations", {"prompt": "a", "enhancer": "/etc"}, "enhancer"),
        ("/prompt-variations", {"prompt": "a", "enhancer": "owner/name"}, "enhancer"),
    ],
)
def test_wrong_values(client: TestClient, path: str, body: dict[str, Any], field: str) -> None:
    answer = client.post(path, json=body)
    assert (answer.status_code, answer.json().get("field")) == (422, field), answer.text


def test_a_prompt_is_enriched_before_it_is_painted(client: TestClient) -> None:
    body = {"prompt": "a house", "enhance_prompt": True, "num_inference_steps": 1, "seed": 4}
    painted = client.post("/generate", json=body).json()["params"]["prompt"]
    assert [painted] == propose(client, count=1, seed=4)["variations"]
    assert "house" in painted and painted != "a house"


def test_an_enriched_request_can_be_repeated(client: TestClient) -> None:
    body = {"prompt": "a house", "enhance_prompt": True, "num_inference_steps": 1}
    headers = {"Idempotency-Key": "enriched"}
    first, second = (client.post("/generate", json=body, headers=headers) for _ in range(2))
    assert first.json()["job_id"] == second.json()["job_id"]
