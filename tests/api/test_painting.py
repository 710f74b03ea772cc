"""POST /generate and /upscale, painted by the embedded model."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from paintdiff.gallery.settings.metadata import read_request
from paintdiff.jobs.requests import TextToImage
from tests.api.conftest import Served

QUICK: dict[str, Any] = {"prompt": "a red house", "num_inference_steps": 2, "seed": 5}


def decode(url: str) -> tuple[bytes, Image.Image]:
    assert url.startswith("data:image/png;base64,")
    data = base64.b64decode(url.partition(",")[2], validate=True)
    return data, Image.open(io.BytesIO(data))


def encode(image: Image.Image, prefix: str = "") -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return prefix + base64.b64encode(buffer.getvalue()).decode()


def mask(size: int = 128) -> str:
    image = Image.new("L", (size, size))
    image.paste(255, (size // 4, size // 4, size // 2, size // 2))
    return encode(image)


def generate(client: TestClient, **fields: Any) -> dict[str, Any]:
    answer = client.post("/generate", json={**QUICK, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def refuse(client: TestClient, **fields: Any) -> tuple[str, str]:
    """Return the field and the message of a refused request."""
    answer = client.post("/generate", json={**QUICK, **fields})
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == 422 and problem["title"] and problem["type"]
    return problem["field"], problem["detail"]


def test_a_prompt_becomes_a_picture_with_its_settings(served: Served, client: TestClient) -> None:
    answer = generate(client)
    data, image = decode(answer["image"])
    assert image.size == (answer["width"], answer["height"]) == (128, 128)
    request = read_request(data)
    assert isinstance(request, TextToImage)
    assert (
        (request.prompt, request.seed)
        == ("a red house", 5)
        == (
            answer["params"]["prompt"],
            answer["seed"],
        )
    )
    finished = served.context.engine.generate(request)
    assert finished.pictures[0].image.tobytes() == image.convert("RGB").tobytes()
    assert answer["warnings"] == []


def test_curl_calls_json_a_form(client: TestClient) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    content = b'{"prompt": "a house", "num_inference_steps": 1}'
    assert client.post("/generate", content=content, headers=headers).status_code == 200


def test_several_pictures(client: TestClient) -> None:
    answer = generate(client, num_images=2)
    assert [each["seed"] for each in answer["images"]] == [5, 6]
    assert answer["image"] == answer["images"][0]["image"] != answer["images"][1]["image"]


def test_the_task_follows_from_the_pictures(client: TestClient) -> None:
    source = generate(client)["image"]
    changed = generate(client, init_image=source, strength=0.5)
    assert (changed["params"]["kind"], changed["params"]["strength"]) == ("image_to_image", 0.5)
    repainted = generate(client, init_image=source.partition(",")[2], mask=mask())
    assert repainted["params"]["kind"] == "inpaint"
    before, after = decode(source)[1], decode(repainted["image"])[1]
    assert before.getpixel((100, 100)) == after.getpixel((100, 100))
    guided = generate(
        client,
        control_image=source,
        controlnet_method="canny",
        controlnet_conditioning_scale=0.7,
    )
    control = guided["params"]["controls"][0]
    assert (control["preprocessor"], control["conditioning_scale"]) == ("canny", 0.7)


@pytest.mark.parametrize(("upscale", "side"), [(True, 256), (3, 384), (False, 128)])
def test_upscaling_at_the_end(client: TestClient, upscale: object, side: int) -> None:
    assert generate(client, upscale=upscale)["width"] == side


def test_a_picture_is_enlarged(client: TestClient) -> None:
    image = encode(Image.new("RGB", (40, 30), "red"), "data:image/png;base64,")
    answer = client.post("/upscale", json={"image": image, "scale": 2, "other": 1}).json()
    assert decode(answer["image"])[1].size == (80, 60) == (answer["width"], answer["height"])
    assert "These fields have no effect here: other." in answer["warnings"]
    refused = client.post("/upscale", json={"image": image, "scale": 99})
    assert refused.status_code == 422 and refused.json()["field"] == "scale"
    assert refused.json()["detail"].startswith("scale: ")


def test_unknown_fields_are_named_in_the_warnings(client: TestClient) -> None:
    answer = generate(client, restore_faces=True, eta=0.3)
    assert answer["warnings"] == ["These fields have no effect here: eta, restore_faces."]


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"prompt": 1}, "prompt", "text"),
        ({"width": 3}, "width", "32"),
        ({"seed": -1}, "seed", "0"),
        ({"model": "mino"}, "model", "no model 'mino'"),
        ({"init_image": "???"}, "init_image", "base64"),
        ({"init_image": "aGVsbG8="}, "init_image", "PNG, JPEG or WebP"),
        ({"mask": mask()}, "mask", "init_image"),
        ({"strength": 0.5}, "strength", "init_image"),
        ({"controlnet_method": "canny"}, "control_image", "control_image"),
        ({"controlnet_conditioning_scale": 1}, "controlnet_conditioning_scale", "method"),
        ({"control_image": mask(), "controlnet_method": "x"}, "controlnet_method", "'x'"),
        ({"upscale": 100}, "upscale", "8"),
        ({"num_images": 0}, "num_images", "1"),
    ],
)
def test_a_wrong_value_is_named_as_the_body_names_it(
    client: TestClient, fields: dict[str, Any], field: str, said: str
) -> None:
    named, detail = refuse(client, **fields)
    assert named == field
    assert said in detail


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"nonsense", 400),
        (b"[]", 422),
        (b'"text"', 422),
        (b'{"prompt": NaN}', 400),
        (b'{"prompt": "\xff"}', 400),
        (b'{"prompt": "\\ud800"}', 400),
        (b"[" * 15_000, 400),
        (b"[" * 30_000, 413),
        (b'{"prompt": "a", "x": [' + b"[]," * 30_000 + b"1]}", 413),
    ],
)
def test_a_body_that_is_no_request(client: TestClient, body: bytes, status: int) -> None:
    answer = client.post("/generate", content=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


def test_another_site_cannot_paint(client: TestClient) -> None:
    answer = client.post("/generate", json=QUICK, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403
