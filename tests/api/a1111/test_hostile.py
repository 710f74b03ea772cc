"""Requests that can't be used: each gets a sentence, and the server goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tests.api.a1111.conftest import encode, scene, spot
from tests.api.conftest import Served

TEXT_FILE = "aGVsbG8gd29ybGQ="
HUGE = 10**400  # no float can hold it
UNIT: dict[str, Any] = {"image": encode(scene()), "module": "canny"}


def deep(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


def units(*args: Any) -> dict[str, Any]:
    return {"alwayson_scripts": {"ControlNet": {"args": list(args)}}}


def send(client: TestClient, path: str, body: dict[str, Any]) -> Any:
    # Not `json=`, which wouldn't send NaN.
    return client.post(f"/sdapi/v1/{path}", content=json.dumps(body))


@pytest.mark.parametrize(
    ("path", "fields", "field", "said"),
    [
        ("txt2img", {"prompt": 1}, "prompt", "text"),
        ("txt2img", {"prompt": "a" * 10_001}, "prompt", "10,000"),
        ("txt2img", {"steps": "many"}, "steps", "whole number"),
        ("txt2img", {"steps": 2.5}, "steps", "whole number"),
        ("txt2img", {"steps": 0}, "steps", "1"),
        ("txt2img", {"steps": 100_000}, "steps", "1000"),
        ("txt2img", {"cfg_scale": 1e9}, "cfg_scale", "50"),
        ("txt2img", {"cfg_scale": [7]}, "cfg_scale", "number"),
        ("txt2img", {"width": 0}, "width", "32"),
        ("txt2img", {"height": 10**30}, "height", ""),
        ("txt2img", {"width": HUGE, "enable_hr": True, "hr_resize_x": 9}, "width", "less"),
        ("txt2img", {"enable_hr": True, "hr_resize_x": HUGE}, "hr_resize_x", "less"),
        ("txt2img", {"hr_second_pass_steps": HUGE}, "hr_second_pass_steps", "less"),
        ("txt2img", {"seed": 2**32}, "seed", "4294967295"),
        ("txt2img", {"seed": -2}, "seed", "0"),
        ("txt2img", {"subseed_strength": 2}, "subseed_strength", "1"),
        ("txt2img", {"batch_size": 65}, "batch_size", "64"),
        ("txt2img", {"batch_size": 10**9}, "batch_size", "10000"),
        ("txt2img", {"batch_size": 9000, "n_iter": 9000}, "batch_size", "64"),
        ("txt2img", {"batch_size": 0}, "batch_size", "1"),
        ("txt2img", {"sampler_name": "Euler ab"}, "sampler_name", "Euler a"),
        ("txt2img", {"sampler_index": "DPM++ 3M SDE"}, "sampler_name", "DPM++"),
        ("txt2img", {"sampler_name": "../../etc/passwd"}, "sampler_name", "no sampler"),
        ("txt2img", {"styles": ["No Such Style"]}, "styles", "No Such Style"),
        ("txt2img", {"styles": "text"}, "styles", "list"),
        ("txt2img", {"script_name": "X/Y/Z plot"}, "script_name", "X/Y/Z plot"),
        ("txt2img", {"alwayson_scripts": [1]}, "alwayson_scripts", "dictionary"),
        ("txt2img", {"override_settings": "x"}, "override_settings", "dictionary"),
        (
            "txt2img",
            {"override_settings": {"sd_model_checkpoint": "/etc/passwd"}},
            "override_settings.sd_model_checkpoint",
            "no model",
        ),
        (
            "txt2img",
            {"override_settings": {"sd_model_checkpoint": ["mini"]}},
            "override_settings.sd_model_checkpoint",
            "name",
        ),
        (
            "txt2img",
            {"override_settings": {"CLIP_stop_at_last_layers": 99}},
            "override_settings.CLIP_stop_at_last_layers",
            "12",
        ),
        (
            "txt2img",
            {"override_settings": {"sd_vae": "none-such.pt"}},
            "override_settings.sd_vae",
            "none-such",
        ),
        ("txt2img", {"enable_hr": True, "hr_scale": 99}, "hr_scale", "4"),
        ("txt2img", {"enable_hr": True, "hr_upscaler": "LDSR"}, "hr_upscaler", "LDSR"),
        ("txt2img", {"enable_hr": True, "hr_resize_x": -5}, "hr_resize_x", "0"),
        ("txt2img", {"enable_hr": True, "denoising_strength": 3}, "denoising_strength", "1"),
        ("txt2img", {"force_task_id": "x" * 201}, "force_task_id", "200"),
        (
            "txt2img",
            units({"module": "canny"}),
            "alwayson_scripts.ControlNet.args.0.image",
            "image",
        ),
        ("txt2img", units("text"), "alwayson_scripts.ControlNet.args.0", "dictionary"),
        (
            "txt2img",
            units({**UNIT, "module": "no such"}),
            "alwayson_scripts.ControlNet.args.0.module",
            "no such",
        ),
        (
            "txt2img",
            units({**UNIT, "model": "no such [12345678]"}),
            "alwayson_scripts.ControlNet.args.0.model",
            "no such",
        ),
        (
            "txt2img",
            units(UNIT, {**UNIT, "weight": 99}),
            "alwayson_scripts.ControlNet.args.1.weight",
            "2",
        ),
        (
            "txt2img",
            units({**UNIT, "guidance_start": 0.9, "guidance_end": 0.1}),
            "alwayson_scripts.ControlNet.args.0.guidance_end",
            "after",
        ),
        (
            "txt2img",
            units({**UNIT, "resize_mode": 17}),
            "alwayson_scripts.ControlNet.args.0.resize_mode",
            "17",
        ),
        (
            "txt2img",
            units({**UNIT, "image": TEXT_FILE}),
            "alwayson_scripts.ControlNet.args.0.image",
            "PNG, JPEG or WebP",
        ),
        ("txt2img", units(*[UNIT] * 5), "alwayson_scripts.ControlNet.args", "4"),
        (
            "txt2img",
            {"alwayson_scripts": {"controlnet": {"args": 3}}},
            "alwayson_scripts.controlnet",
            "list",
        ),
        ("img2img", {}, "init_images", "one picture, not 0"),
        ("img2img", {"init_images": [encode(scene(8))] * 100}, "init_images", "not 100"),
        ("img2img", {"init_images": [TEXT_FILE]}, "init_images", "PNG, JPEG or WebP"),
        ("img2img", {"init_images": ["???"]}, "init_images", "base64"),
        ("img2img", {"init_images": [""]}, "init_images", "picture"),
        ("img2img", {"init_images": [7]}, "init_images.0", "text"),
        (
            "img2img",
            {"init_images": ["http://127.0.0.1:7860/x.png"]},
            "init_images.0",
            "fetches nothing from URLs",
        ),
        ("img2img", {"init_images": ["FILE:///etc/passwd"]}, "init_images", "addresses"),
        (
            "img2img",
            {"init_images": [encode(scene())], "mask": TEXT_FILE},
            "mask",
            "PNG, JPEG or WebP",
        ),
        (
            "img2img",
            {"init_images": [encode(scene())], "mask": encode(Image.new("L", (128, 128)))},
            "mask",
            "empty",
        ),
        (
            "img2img",
            {"init_images": [encode(scene())], "mask": encode(spot()), "mask_blur": 500},
            "mask_blur",
            "64",
        ),
        ("img2img", {"init_images": [encode(scene())], "resize_mode": 9}, "resize_mode", ""),
        (
            "img2img",
            {
                "init_images": [encode(scene())],
                "mask": encode(spot()),
                "inpaint_full_res": False,
                "width": 10**6,
                "height": 10**6,
            },
            "width",
            "",
        ),
        ("extra-single-image", {"upscaler_1": "Lanczos"}, "image", "picture"),
        (
            "extra-single-image",
            {"image": encode(scene(8)), "upscaler_1": "Lanczos"},
            "upscaler_1",
            "Lanczos",
        ),
        (
            "extra-single-image",
            {"image": TEXT_FILE, "upscaler_1": "mini-upscaler"},
            "image",
            "PNG, JPEG or WebP",
        ),
        (
            "extra-single-image",
            {"image": encode(scene(8)), "upscaler_1": "mini-upscaler", "upscaling_resize": 0.5},
            "upscaling_resize",
            "1",
        ),
        (
            "extra-single-image",
            {
                "image": encode(scene(8)),
                "upscaler_1": "mini-upscaler",
                "resize_mode": 1,
                "upscaling_resize_w": 60_000,
                "upscaling_resize_h": 60_000,
            },
            "upscaling_resize_w",
            "pixels",
        ),
        *(
            (
                "extra-single-image",
                {
                    "image": encode(scene(8)),
                    "upscaler_1": "mini-upscaler",
                    "resize_mode": 1,
                    "upscaling_resize_w": number,
                },
                "upscaling_resize_w",
                "less",
            )
            for number in (HUGE, str(HUGE))
        ),
        (
            "extra-single-image",
            {"image": encode(scene(8)), "gfpgan_visibility": 1},
            "gfpgan_visibility",
            "gfpgan",
        ),
        ("extra-batch-images", {"upscaler_1": "mini-upscaler"}, "imageList", ""),
        (
            "extra-batch-images",
            {"imageList": [{"data": encode(scene(8))}] * 65, "upscaler_1": "mini-upscaler"},
            "imageList",
            "64",
        ),
        (
            "extra-batch-images",
            {
                "imageList": [{"data": encode(scene(8))}, {"data": TEXT_FILE}],
                "upscaler_1": "mini-upscaler",
            },
            "imageList.1.data",
            "PNG, JPEG or WebP",
        ),
        ("png-info", {"image": TEXT_FILE}, "image", "PNG, JPEG or WebP"),
        ("options", {"sd_model_checkpoint": "no such"}, "sd_model_checkpoint", "no such"),
        *(
            ("options", {"CLIP_stop_at_last_layers": value}, "CLIP_stop_at_last_layers", "12")
            for value in ("x", HUGE, -HUGE, str(HUGE), [], {})
        ),
    ],
)
def test_a_value_that_cannot_be_used_is_named(
    client: TestClient, path: str, fields: dict[str, Any], field: str, said: str
) -> None:
    answer = send(client, path, fields)
    assert answer.status_code == 422, answer.text
    body = answer.json()
    assert body["field"] == field
    detail = body["detail"]
    sentence = detail[0]["msg"] if isinstance(detail, list) else detail
    assert said in sentence and sentence[-1] in ".?", sentence
    if isinstance(detail, str):
        assert body["errors"] == detail and body["error"] and "body" in body
    assert encode(scene())[:50] not in answer.text  # no picture is sent back


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 422),
        (b"nonsense", 400),
        (b"[]", 422),
        (b'"text"', 422),
        (b"null", 422),
        (b'{"prompt": "a", "cfg_scale": NaN}', 400),
        (b'{"prompt": "a", "cfg_scale": Infinity}', 400),
        (b'{"prompt": "\xff"}', 400),
        (json.dumps({"alwayson_scripts": {"x": deep(500)}}).encode(), 400),
        (b'{"alwayson_scripts": {"x": [' + b"[]," * 30_000 + b"1]}}", 413),
    ],
)
def test_a_body_that_is_no_request(client: TestClient, content: bytes, status: int) -> None:
    for path in ("txt2img", "img2img", "options"):
        answer = client.post(f"/sdapi/v1/{path}", content=content)
        assert answer.status_code == status, (path, answer.text)
        assert answer.json()["detail"]


def test_deep_values_of_unknown_scripts_do_no_harm(client: TestClient) -> None:
    script = {"x": deep(90), "y": {"args": deep(90)}}
    answer = send(client, "txt2img", {"prompt": "a house", "steps": 1, "alwayson_scripts": script})
    assert answer.status_code == 200, answer.text
    assert "These scripts have no effect here: x, y." in answer.json()["warnings"]


@pytest.mark.parametrize("path", ["/sdapi/v1/nope", "/sdapi/v1/sd-modules", "/controlnet/x"])
def test_an_unknown_path_has_the_web_ui_s_form(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json()["errors"] == answer.json()["detail"] != ""


def test_another_site_can_neither_paint_nor_stop(client: TestClient) -> None:
    headers = {"Origin": "http://evil.example"}
    for path in ("txt2img", "interrupt", "options", "unload-checkpoint"):
        answer = client.post(f"/sdapi/v1/{path}", json={}, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (403, "HTTPException")


def test_control_maps_have_limits(client: TestClient) -> None:
    def detect(**fields: Any) -> Any:
        return client.post("/controlnet/detect", json=fields)

    one = encode(scene(64))
    for fields, field in (
        ({}, "controlnet_input_images"),
        ({"controlnet_input_images": [one] * 5}, "controlnet_input_images"),
        ({"controlnet_input_images": [TEXT_FILE]}, "controlnet_input_images"),
        ({"controlnet_input_images": [one], "controlnet_module": "x"}, "controlnet_module"),
        ({"controlnet_input_images": [one], "controlnet_processor_res": 10**9}, "width"),
        (
            {"controlnet_input_images": [one], "controlnet_processor_res": HUGE},
            "controlnet_processor_res",
        ),
    ):
        answer = detect(**fields)
        assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert detect(controlnet_input_images=[one], controlnet_module="canny").status_code == 200


def test_the_server_is_unchanged_afterwards(served: Served, client: TestClient) -> None:
    assert client.get("/sdapi/v1/options").json()["sd_model_checkpoint"] == "mini"
    assert client.get("/sdapi/v1/progress").json()["state"]["job_count"] == 0
    assert served.context.engine.status().queue_length == 0
