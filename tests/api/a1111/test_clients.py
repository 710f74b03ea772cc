"""The request sequences of SillyTavern and Open WebUI, in the form in which these send them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from paintdiff.server.authentication.gate import Gate
from tests.api.a1111.conftest import decode
from tests.api.conftest import Served, serve
from tests.api.sockets import listen

USER, PASSWORD = "ada", "a long enough password"


@pytest.fixture(scope="module")
def locked(served: Served) -> Iterator[str]:
    """The same app with a password, as the web UI with --api-auth."""
    with listen(serve(served.context, Gate((USER, PASSWORD)))) as place:
        yield place


def basic(auth: str) -> dict[str, str]:
    """Return the header that both programs send, also if no user name is set."""
    return {"Authorization": f"Basic {base64.b64encode(auth.encode()).decode()}".strip()}


def silly_tavern_body(**changes: Any) -> dict[str, Any]:
    return {
        "url": "http://127.0.0.1:7860",
        "auth": "",
        "prompt": "a red house",
        "negative_prompt": "a boat",
        "sampler_name": "DDIM",
        "scheduler": "Automatic",
        "steps": 2,
        "cfg_scale": 4,
        "width": 128,
        "height": 128,
        "restore_faces": False,
        "enable_hr": False,
        "hr_upscaler": "Latent",
        "hr_scale": 2,
        "hr_additional_modules": [],
        "denoising_strength": 0.7,
        "hr_second_pass_steps": 0,
        "seed": 4,
        "override_settings": {"CLIP_stop_at_last_layers": 1, "forge_additional_modules": []},
        "override_settings_restore_afterwards": True,
        "clip_skip": 1,
        "save_images": True,
        "send_images": True,
        "do_not_save_grid": False,
        "do_not_save_samples": False,
        **changes,
    }


@pytest.mark.parametrize("auth", ["", "somebody:something"])
def test_silly_tavern(http: httpx.Client, auth: str) -> None:
    """It connects, fills its lists, sets the model and waits for it, and paints."""
    headers = basic(auth)

    def get(path: str) -> Any:
        answer = http.get(f"/sdapi/v1/{path}", headers=headers)
        assert answer.status_code == 200, path
        return answer.json()

    options = get("options")
    assert "forge_preset" not in options
    upscalers = [each["name"] for each in get("upscalers")]
    latent = [each["name"] for each in get("latent-upscale-modes")]
    assert upscalers[0] == "None" and "Latent" in latent
    assert [each["model_name"] for each in get("sd-vae")] == []
    assert http.get("/sdapi/v1/sd-modules", headers=headers).status_code == 404  # Forge's
    assert "DDIM" in [each["name"] for each in get("samplers")]
    assert "automatic" in [each["name"] for each in get("schedulers")]
    titles = [each["title"] for each in get("sd-models")]
    assert options["sd_model_checkpoint"] in titles
    chosen = http.post(
        "/sdapi/v1/options", json={"sd_model_checkpoint": titles[0]}, headers=headers
    )
    assert chosen.status_code == 200
    progress = get("progress")
    assert progress["progress"] == 0.0 and progress["state"]["job_count"] == 0
    answer = http.post("/sdapi/v1/txt2img", json=silly_tavern_body(), headers=headers)
    assert answer.status_code == 200, answer.text
    assert decode(answer.json()["images"][0]).size == (128, 128)
    assert answer.json()["warnings"] == ["These fields have no effect here: auth, url."]
    stopped = http.post("/sdapi/v1/interrupt", headers=headers)
    assert (stopped.status_code, stopped.json()) == (200, {})


def test_silly_tavern_enlarges(http: httpx.Client) -> None:
    body = silly_tavern_body(enable_hr=True, hr_second_pass_steps=2)
    answer = http.post("/sdapi/v1/txt2img", json=body).json()
    assert decode(answer["images"][0]).size == (256, 256)


def test_silly_tavern_restores_faces_with_an_extension(http: httpx.Client) -> None:
    """A script that isn't here is named, and the picture is painted without it."""
    always_on = {"ADetailer": {"args": [True, {"ad_model": "face_yolov8n.pt"}]}}
    body = silly_tavern_body(alwayson_scripts=always_on)
    answer = http.post("/sdapi/v1/txt2img", json=body).json()
    assert "These scripts have no effect here: ADetailer." in answer["warnings"]
    assert len(answer["images"]) == 1


def test_open_webui(locked: str) -> None:
    """It verifies the address, lists models, posts all options back, and paints."""
    headers = {"authorization": basic(f"{USER}:{PASSWORD}")["Authorization"]}
    with httpx.Client(base_url=locked, headers=headers, timeout=120) as http:
        options = http.get("/sdapi/v1/options").raise_for_status().json()
        models = http.get("/sdapi/v1/sd-models").raise_for_status().json()
        assert {"title", "model_name"} <= models[0].keys()
        options["sd_model_checkpoint"] = models[0]["title"]
        http.post("/sdapi/v1/options", json=options).raise_for_status()
        assert http.get("/sdapi/v1/options").json() == options
        body = {"prompt": "a red house", "batch_size": 1, "width": 128, "height": 128, "steps": 2}
        answer = http.post("/sdapi/v1/txt2img", json=body).raise_for_status().json()
    assert decode(answer["images"][0]).size == (128, 128)
    assert json.loads(answer["info"])["prompt"] == "a red house"


@pytest.mark.parametrize("auth", ["", ":", f"{USER}:wrong", f"{USER}"])
def test_without_the_password_nothing_is_answered(locked: str, auth: str) -> None:
    for method, path in (("GET", "options"), ("POST", "txt2img"), ("GET", "progress")):
        answer = httpx.request(method, f"{locked}/sdapi/v1/{path}", headers=basic(auth))
        assert answer.status_code in (401, 429)
        assert answer.json()["detail"] == answer.json()["errors"] != ""
