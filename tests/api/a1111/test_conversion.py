"""The web UI's fields, and what they become."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from PIL import Image

from paintdiff.api.a1111.bodies import ImageToImageBody, TextToImageBody
from paintdiff.api.a1111.conversion import convert
from paintdiff.api.a1111.names import find_model, find_sampler, write_title
from paintdiff.api.a1111.options import Options, change_options, describe_options
from paintdiff.errors import UnknownNameError
from paintdiff.jobs.requests import ImageToImage, Inpaint, TextToImage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.registry.model_rows import ModelRow
from tests.api.a1111.conftest import decode, encode, paint, scene, spot

CATALOG = Catalog.default()
UNIT: dict[str, Any] = {"image": encode(scene()), "module": "canny"}


def convert_text(**fields: Any) -> tuple[TextToImage, tuple[str, ...]]:
    body = TextToImageBody.model_validate({"prompt": "a house", **fields})
    made = convert(body, Options("mini"), CATALOG)
    assert isinstance(made.request, TextToImage)
    return made.request, made.warnings


def convert_image(**fields: Any) -> tuple[ImageToImage | Inpaint, tuple[str, ...]]:
    body = ImageToImageBody.model_validate({"init_images": [encode(scene())], **fields})
    made = convert(body, Options("mini"), CATALOG)
    assert not isinstance(made.request, TextToImage)
    return made.request, made.warnings


def test_open_values_are_left_to_the_model() -> None:
    request, warnings = convert_text(seed=-1, subseed=-1, width=None, sampler_name=None)
    assert request == TextToImage(prompt="a house", wildcards="off") and warnings == ()


def test_every_field_counts() -> None:
    request, warnings = convert_text(
        negative_prompt="fog",
        styles=["Gouache"],
        seed=4,
        subseed=9,
        subseed_strength=0.5,
        sampler_name="DPM++ 2M",
        scheduler="Karras",
        batch_size=2,
        n_iter=3,
        steps=12,
        cfg_scale=5,
        width=160,
        height=128,
        override_settings={"CLIP_stop_at_last_layers": 2, "sd_vae": "Automatic"},
    )
    assert warnings == ()
    assert (request.num_images, request.seed, request.sampler) == (6, 4, "DPM++ 2M Karras")
    assert (request.variation_seed, request.variation_strength) == (9, 0.5)
    assert (request.clip_skip, request.vae, request.styles) == (2, None, ("Gouache",))
    assert (request.width, request.height, request.num_inference_steps) == (160, 128, 12)


@pytest.mark.parametrize(
    ("name", "schedule", "ours"),
    [
        ("Euler a", None, "Euler a"),
        ("DPM++ 2M", None, "DPM++ 2M Karras"),  # what A1111 chooses by itself
        ("DPM++ 2M", "Uniform", "DPM++ 2M"),
        ("DPM++ 2M Karras", "Automatic", "DPM++ 2M Karras"),
        ("k_euler", "normal", "Euler"),
        ("PLMS", "", "PNDM"),
        (None, "karras", None),
    ],
)
def test_samplers(name: str | None, schedule: str | None, ours: str | None) -> None:
    row = CATALOG.find(ModelRow, "mini")
    found, _notes = find_sampler(name, schedule, row)
    assert found == (ours or row.sampler)


def test_a_schedule_that_is_not_here_is_said_to_be() -> None:
    request, warnings = convert_text(sampler_name="Euler", scheduler="Beta")
    assert request.sampler == "Euler" and "Beta" in warnings[0]


def test_models_that_follow_a_flow_have_the_usual_names() -> None:
    flux = next(row for row in CATALOG.rows(ModelRow) if row.family.name == "flux")
    assert find_sampler("Euler", "Simple", flux)[0] == "Flow Euler"
    assert find_sampler("UniPC", None, flux)[0] == "Flow UniPC"
    assert find_sampler("Euler a", None, flux)[0] == "Euler a"  # which the engine refuses


def test_a_model_is_found_by_title_name_or_hash() -> None:
    sha256 = "ab" * 32
    row = CATALOG.find(ModelRow, "mini").model_copy(update={"sha256": sha256})
    catalog = CATALOG.replace(ModelRow, [row])
    assert write_title(row) == "mini [ababababab]"
    for name in ("mini [ababababab]", "mini", "mini.safetensors", "MINI", "ababababab", sha256):
        assert find_model(catalog, name).name == "mini", name
    with pytest.raises(UnknownNameError):
        find_model(catalog, "cdcdcdcdcd")


def test_options_are_answered_also_if_the_checkpoint_has_gone() -> None:
    gone = Options("gone", clip_skip=2)
    described = describe_options(gone, CATALOG)
    assert described["sd_model_checkpoint"] == "gone"
    assert change_options(described, gone, CATALOG) == (gone, ())
    changed, _said = change_options({"sd_model_checkpoint": "mini"}, gone, CATALOG)
    assert changed == Options("mini", clip_skip=2)


@pytest.mark.parametrize(
    ("args", "wildcards"),
    [(None, "off"), ([True], "random"), ([True, True], "combinatorial"), ([False], "off")],
)
def test_braces_are_text_unless_the_extension_is_on(args: Any, wildcards: str) -> None:
    scripts = {} if args is None else {"Dynamic Prompts v2.17.1": {"args": args}}
    request, warnings = convert_text(alwayson_scripts=scripts)
    assert request.wildcards == wildcards and warnings == ()


def test_hires() -> None:
    request, warnings = convert_text(
        enable_hr=True,
        hr_upscaler="R-ESRGAN 4x+",
        hr_scale=1.5,
        hr_second_pass_steps=10,
        denoising_strength=0.5,
        hr_prompt="",
    )
    assert request.hires is not None and warnings == ()
    assert (request.hires.upscaler, request.hires.scale) == ("RealESRGAN_x4plus", 1.5)
    # Ten steps are run of twenty, as the web UI counts only those that it runs.
    assert (request.hires.strength, request.hires.num_inference_steps) == (0.5, 20)
    request, warnings = convert_text(
        enable_hr=True, hr_resize_x=256, hr_resize_y=200, hr_upscaler="Latent (bicubic)"
    )
    assert request.hires is not None and request.hires.scale == 2
    assert any("256x200" in each for each in warnings)
    assert any("Latent (bicubic)" in each for each in warnings)
    assert convert_text(hr_scale=9)[0].hires is None


def test_a_part_is_painted_at_its_own_size() -> None:
    """Only the masked part: the result is as large as the picture, and the size is the part's."""
    request, warnings = convert_image(mask=encode(spot()), width=256, height=256, mask_blur=2)
    assert isinstance(request, Inpaint) and request.only_masked and warnings == ()
    assert (request.width, request.mask_blur_px, request.padding_px) == (256, 2, 0)
    assert request.image.data is not None and decode_size(request) == (128, 128)


def decode_size(request: Inpaint) -> tuple[int, int]:
    from paintdiff.imaging.images import decode_image  # noqa: PLC0415

    assert request.image.data is not None and request.mask is not None
    assert request.mask.data is not None
    sizes = {decode_image(each).size for each in (request.image.data, request.mask.data)}
    assert len(sizes) == 1
    return sizes.pop()


@pytest.mark.parametrize(("mode", "inverted"), [(0, 0), (1, 1), (2, True)])
def test_a_whole_picture_gets_the_size_asked_for(mode: int, inverted: Any) -> None:
    request, warnings = convert_image(
        mask=encode(spot(64)),
        inpaint_full_res=0,
        width=160,
        height=96,
        resize_mode=mode,
        inpainting_mask_invert=inverted,
        inpainting_fill=2,
    )
    assert isinstance(request, Inpaint) and not request.only_masked
    assert decode_size(request) == (160, 96)
    assert (request.invert_mask, request.masked_content) == (bool(inverted), "noise")
    assert any("64x64 to 128x128" in each for each in warnings)


def test_pictures_are_base64_or_data_urls() -> None:
    plain = encode(scene())
    lines = "\n".join(plain[start : start + 76] for start in range(0, len(plain), 76))
    for text in (plain, lines, f"data:image/png;base64,{plain}", f" {plain}\n"):
        request, _ = convert_image(init_images=[text])
        assert isinstance(request, ImageToImage)
        assert request.image.data is not None and request.strength == 0.75


@pytest.mark.parametrize(
    "args",
    [
        [{**UNIT, "model": "mini-sketch [12345678]", "weight": 0.5, "resize_mode": 2}],
        {**UNIT, "model": "mini-sketch", "weight": 0.5, "resize_mode": "Resize and Fill"},
        [
            None,
            {
                "input_image": {"image": UNIT["image"], "mask": None},
                "module": "canny",
                "model": "mini-sketch",
                "weight": 0.5,
                "resize_mode": "Envelope (Outer Fit)",
            },
            {"enabled": False},
        ],
        [True, "canny", "mini-sketch", 0.5, UNIT["image"], "Resize and Fill", False, 512],
    ],
)
def test_units_of_every_shape(args: Any) -> None:
    request, warnings = convert_text(alwayson_scripts={"controlnet": {"args": args}})
    (control,) = request.controls
    assert (control.preprocessor, control.controlnet) == ("canny", "mini-sketch")
    assert (control.conditioning_scale, control.resize_mode) == (0.5, "pad")
    assert warnings == ()


def test_a_unit_without_a_picture_takes_the_init_image() -> None:
    units = {"ControlNet": {"args": [{"module": "softedge_hed", "control_mode": 2}]}}
    request, warnings = convert_image(alwayson_scripts=units)
    assert request.controls[0].image == request.image
    assert request.controls[0].preprocessor == "hed"
    assert warnings == ("ControlNet unit 0: these fields have no effect here: control_mode.",)


def test_what_has_no_effect_is_named(http: httpx.Client) -> None:
    answer = paint(
        http,
        width=130,
        height=128,
        restore_faces=True,
        tiling=True,
        eta=0.5,
        s_noise=1,
        firstphase_width=0,
        hr_prompt="a boat",
        override_settings={"eta_noise_seed_delta": 31337, "samples_format": "png"},
        alwayson_scripts={"ADetailer": {"args": [False]}, "Tiled VAE": {"args": [True]}},
    )
    warnings = answer["warnings"]
    assert "These fields have no effect here: eta, hr_prompt, restore_faces, tiling." in warnings
    assert "These settings can't be overridden here: eta_noise_seed_delta." in warnings
    assert "These scripts have no effect here: Tiled VAE." in warnings
    assert any("130x128" in each and "128x128" in each for each in warnings)
    assert json.loads(answer["info"])["warnings"] == warnings
    assert answer["parameters"]["width"] == 130 and answer["parameters"]["tiling"] is True


def test_the_reply_has_all_fields_of_the_web_ui(http: httpx.Client) -> None:
    answer = paint(http, n_iter=2, subseed=7, subseed_strength=0.3)
    info = json.loads(answer["info"])
    assert info["all_seeds"] == [5, 5] and info["all_subseeds"] == [7, 8]
    assert info["subseed_strength"] == 0.3 and info["index_of_first_image"] == 0
    assert len(info["infotexts"]) == len(info["all_prompts"]) == len(answer["images"]) == 2
    assert (info["sd_model_name"], len(info["sd_model_hash"])) == ("mini", 10)
    for name in ("styles", "job_timestamp", "clip_skip", "restore_faces", "version", "batch_size"):
        assert name in info
    parameters = answer["parameters"]
    assert parameters["steps"] == 2 and parameters["enable_hr"] is False
    assert parameters["sampler_name"] == info["sampler_name"] == "DDIM"
    assert paint(http, send_images=False)["images"] == []


def test_pictures_go_to_the_gallery_unless_the_client_says_otherwise(
    http: httpx.Client,
) -> None:
    cases: list[tuple[dict[str, Any], bool]] = [
        ({}, True),
        ({"save_images": True}, True),
        ({"save_images": False}, False),
        ({"do_not_save_samples": True}, False),
    ]
    for fields, saved in cases:
        name = f"a house {'-'.join(fields) or 'plain'} {saved}"
        paint(http, prompt=name, steps=1, **fields)
        found = http.get("/api/images", params={"q": f'"{name}"'}).json()["images"]
        assert len(found) == saved, name


def test_a_picture_with_alpha_can_be_enlarged(http: httpx.Client) -> None:
    image = Image.new("RGBA", (30, 20), (255, 0, 0, 128))
    body = {
        "image": encode(image, "data:image/png;base64,"),
        "upscaler_1": "mini-upscaler",
        "resize_mode": 1,
        "upscaling_resize_w": 50,
        "upscaling_resize_h": 50,
        "upscaler_2": "None",
        "upscale_first": True,
    }
    answer = http.post("/sdapi/v1/extra-single-image", json=body).json()
    made = decode(answer["image"])
    assert (made.size, made.mode) == ((50, 50), "RGBA")
    assert "These fields have no effect here: upscale_first." in answer["warnings"]
    uncropped = http.post(
        "/sdapi/v1/extra-single-image", json={**body, "upscaling_crop": False}
    ).json()
    assert decode(uncropped["image"]).size == (75, 50)
