"""The `webuiapi` package against the app, with only the address changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import webuiapi
from PIL import Image

from tests.api.a1111.conftest import START_SECONDS, scene, spot

QUICK: dict[str, Any] = {
    "prompt": "a red house",
    "steps": 2,
    "seed": 5,
    "width": 128,
    "height": 128,
}


@pytest.fixture
def api(address: str) -> Iterator[Any]:
    made = webuiapi.WebUIApi(baseurl=f"{address}/sdapi/v1", sampler="Euler a", steps=2)
    yield made
    made.session.close()


def test_text_to_image(api: Any) -> None:
    result = api.txt2img(**QUICK, negative_prompt="boat", batch_size=2)
    assert [each.size for each in result.images] == [(128, 128)] * 2
    assert result.info["all_seeds"] == [5, 6] and result.info["seed"] == 5
    assert result.info["sampler_name"] == "Euler a" == result.parameters["sampler_name"]
    assert (result.info["steps"], result.info["cfg_scale"]) == (2, 7.0)
    text = result.info["infotexts"][0]
    assert text.startswith("a red house\nNegative prompt: boat\nSteps: 2, Sampler: Euler a,")
    assert result.image.info["parameters"] == text
    assert result.parameters["prompt"] == "a red house" and result.json["warnings"] == []


def test_the_same_seed_is_the_same_picture(api: Any) -> None:
    first, again = (api.txt2img(**QUICK).image for _ in range(2))
    assert first.tobytes() == again.tobytes()


def test_image_to_image(api: Any) -> None:
    result = api.img2img(images=[scene()], denoising_strength=0.9, **QUICK)
    assert result.image.size == (128, 128) and result.info["denoising_strength"] == 0.9
    assert result.parameters["init_images"] is None


def test_inpainting_changes_the_masked_part_only(api: Any) -> None:
    picture = scene()
    result = api.img2img(
        images=[picture], mask_image=spot(), inpainting_fill=1, denoising_strength=0.9, **QUICK
    )
    after = result.image.convert("RGB")
    assert after.size == picture.size
    assert after.crop((0, 0, 128, 8)).tobytes() == picture.crop((0, 0, 128, 8)).tobytes()
    assert after.getpixel((64, 64)) != picture.getpixel((64, 64))


def test_hires(api: Any) -> None:
    result = api.txt2img(
        **QUICK,
        enable_hr=True,
        hr_scale=2,
        hr_upscaler=webuiapi.HiResUpscaler.Latent,
        denoising_strength=0.6,
    )
    assert result.image.size == (256, 256) == (result.info["width"], result.info["height"])
    assert "Hires upscale: 2" in result.info["infotexts"][0]


def test_controlnet(api: Any) -> None:
    assert api.controlnet_version() >= 2
    model, modules = api.controlnet_model_list()[0], api.controlnet_module_list()
    assert "canny" in modules
    make_unit: Any = webuiapi.ControlNetUnit  # its image is annotated with a module
    unit = make_unit(image=scene(), module="canny", model=model, weight=0.7, guidance_end=0.8)
    result = api.txt2img(**QUICK, controlnet_units=[unit])
    assert (
        'ControlNet 0: "Module: canny, Model: mini-sketch, Weight: 0.7'
        in (result.info["infotexts"][0])
    )
    assert result.json["warnings"] == []
    plain = api.txt2img(**QUICK)
    assert plain.image.tobytes() != result.image.tobytes()
    detected = api.controlnet_detect(images=[scene()], module="canny")
    assert detected.image.size == (512, 512) and detected.info == "Success"


def test_extras(api: Any) -> None:
    upscaler = [each["name"] for each in api.get_upscalers()][1]
    small = scene(40)
    one = api.extra_single_image(small, upscaler_1=upscaler, upscaling_resize=2)
    assert one.image.size == (80, 80) and one.info.startswith("<p>")
    two = api.extra_batch_images([small, small], upscaler_1=upscaler, upscaling_resize=3)
    assert [each.size for each in two.images] == [(120, 120)] * 2
    fitted = api.extra_single_image(
        small,
        upscaler_1=upscaler,
        resize_mode=1,
        upscaling_resize_w=100,
        upscaling_resize_h=60,
    )
    assert fitted.image.size == (100, 60)
    unchanged = api.extra_single_image(small)
    assert unchanged.image.tobytes() == small.tobytes()


def test_the_settings_in_a_picture(api: Any) -> None:
    painted = api.txt2img(**QUICK)
    found = api.png_info(painted.image)
    assert found.info == painted.info["infotexts"][0]
    assert found.parameters["Prompt"] == "a red house" and found.parameters["Seed"] == "5"
    assert (found.parameters["Size-1"], found.parameters["Size-2"]) == (128, 128)
    assert api.png_info(scene()).info == ""


def test_options(api: Any) -> None:
    options = api.get_options()
    assert options["sd_model_checkpoint"] == "mini" == api.util_get_current_model()
    assert api.set_options(options) is None and api.get_options() == options
    api.set_options({"CLIP_stop_at_last_layers": 2})
    try:
        assert api.get_options()["CLIP_stop_at_last_layers"] == 2
        assert api.txt2img(**QUICK).info["clip_skip"] == 2
    finally:
        api.set_options({"CLIP_stop_at_last_layers": 1})
    api.util_set_model("mini")
    said = api.set_options({"sd_hypernetwork": "x"})
    assert said["warnings"] == ["These options can't be changed here: sd_hypernetwork."]


def test_lists(api: Any) -> None:
    assert api.util_get_model_names() == ["mini"]
    assert "Euler a" in api.util_get_sampler_names()
    assert {"automatic", "karras", "uniform"} <= set(api.util_get_scheduler_names())
    assert api.get_upscalers()[0]["name"] == "None"
    assert "R-ESRGAN 4x+" in [each["name"] for each in api.get_upscalers()]
    assert api.get_latent_upscale_modes() == [{"name": "Latent"}]
    assert api.get_prompt_styles()[0].keys() == {"name", "prompt", "negative_prompt"}
    assert api.get_embeddings().keys() == {"loaded", "skipped"}
    assert api.get_memory().keys() == {"ram", "cuda"}
    assert "controlnet" in api.get_scripts()["txt2img"]
    assert api.get_cmd_flags()["api"] is True
    for empty in (api.get_sd_vae, api.get_loras, api.get_hypernetworks, api.get_face_restorers):
        assert empty() == []
    assert api.refresh_checkpoints() is None


def test_progress_and_interruption_while_it_paints(api: Any) -> None:
    results: list[Any] = []
    long: dict[str, Any] = {**QUICK, "prompt": "a house that takes long", "steps": 1000}
    thread = threading.Thread(target=lambda: results.append(api.txt2img(**long)))
    thread.start()
    seen: dict[str, Any] = {}
    until = time.monotonic() + START_SECONDS
    while not seen.get("current_image"):
        assert time.monotonic() < until
        seen = api.get_progress()
    assert 0 < seen["progress"] < 1
    assert seen["state"]["job_count"] == 1 and seen["state"]["sampling_steps"] == 1000
    assert seen["state"]["sampling_step"] >= 1
    assert api.interrupt() == {}
    thread.join(START_SECONDS)
    assert [each.image.size for each in results] == [(128, 128)]
    assert any("interrupted" in each for each in results[0].json["warnings"])
    now = api.get_progress()
    assert (now["progress"], now["state"]["job_count"]) == (0.0, 0)
    assert now["state"]["interrupted"] is True and now["current_image"] is None
    api.util_wait_for_ready()


def test_interrogation_isn_t_there(api: Any) -> None:
    with pytest.raises(RuntimeError, match="no model here that describes pictures"):
        api.interrogate(Image.new("RGB", (8, 8)))
