from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from paintdiff.errors import MetadataError
from paintdiff.gallery.a1111.text import settings_from_parameters
from paintdiff.gallery.settings.metadata import (
    MAX_TEXT_CHARACTERS,
    parse_parameters,
    png_info,
    read_request,
    read_settings,
    write_parameters,
)
from paintdiff.jobs.events import Picture
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.provenance import Provenance
from paintdiff.jobs.request_parts import Branch, ControlInput, Outpaint
from paintdiff.jobs.requests import ImageToImage, Inpaint, Request, TextToImage
from tests.imaging.test_images import bomb

SETTLED: dict[str, Any] = {
    "prompt": "a red house",
    "width": 128,
    "height": 192,
    "num_inference_steps": 20,
    "guidance_scale": 7.0,
    "sampler": "DPM++ 2M Karras",
    "seed": 7,
}


def picture(**changes: Any) -> Picture:
    request = TextToImage(**{**SETTLED, **changes})
    return Picture(Image.new("RGB", (4, 4)), request, model_hash="0123456789")


def png_of(one: Picture) -> bytes:
    return png_with(png_info(one))


def png_with(info: PngInfo | None) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, format="PNG", pnginfo=info)
    return buffer.getvalue()


def text_chunk(key: str, value: str) -> bytes:
    info = PngInfo()
    info.add_text(key, value)
    return png_with(info)


NASTY = [
    "a red house, on a green hill",
    'she said "paint: it" \\ and left',
    "two\nlines\r\nand a third",
    "Steps: 20, Sampler: Euler, CFG scale: 3, Seed: 1",
    "a cat\nNegative prompt: a dog\nSteps: 1, Sampler: x, CFG scale: 1",
    "höhle 山 🐉 Ω",
    "  spaces   around  ",
    "",
    "\u0000 nul and \u2028 separators",
]


@pytest.mark.parametrize("prompt", NASTY)
@pytest.mark.parametrize("negative_prompt", ["", 'Negative prompt: ugly,\n"bad"'])
def test_reading_a_png_gives_the_same_request(prompt: str, negative_prompt: str) -> None:
    one = picture(prompt=prompt, negative_prompt=negative_prompt)
    assert read_request(png_of(one)) == one.request


def test_the_text_alone_would_lose_something() -> None:
    """The control: without the JSON, A1111's text can't tell such a prompt from settings."""
    one = picture(prompt=NASTY[4])
    assert read_request(text_chunk("parameters", write_parameters(one))) != one.request


def test_the_text_is_a1111s_to_the_letter() -> None:
    assert write_parameters(picture(negative_prompt="fog, rain")) == (
        "a red house\n"
        "Negative prompt: fog, rain\n"
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 7, "
        "Size: 128x192, Model hash: 0123456789, Model: mini"
    )
    assert write_parameters(picture(sampler="Euler a", guidance_scale=7.5)) == (
        "a red house\n"
        "Steps: 20, Sampler: Euler a, CFG scale: 7.5, Seed: 7, "
        "Size: 128x192, Model hash: 0123456789, Model: mini"
    )


def test_values_with_commas_are_quoted_and_come_back() -> None:
    text = write_parameters(picture(model='my, "odd": model'))
    assert 'Model: "my, \\"odd\\": model"' in text
    assert parse_parameters(text).settings["Model"] == 'my, "odd": model'


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"sampler": "PNDM"},
        {"sampler": "Euler SGM Uniform"},
        {"sampler": "DDIM", "negative_prompt": "a\nb"},
    ],
)
def test_the_text_comes_back_as_a_request_where_it_can(changes: dict[str, Any]) -> None:
    one = picture(**changes)
    assert read_request(text_chunk("parameters", write_parameters(one))) == one.request


def test_a_picture_of_the_a1111_web_ui_is_read() -> None:
    text = (
        "a castle\nin the clouds\nNegative prompt: blurry\n"
        "Steps: 25, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 4294967295, "
        'Size: 512x768, Model hash: abcdef, Model: dream, Lora hashes: "a: b, c: d", Version: v1.10'
    )
    request = read_request(text_chunk("parameters", text))
    assert request.prompt == "a castle\nin the clouds"
    assert request.negative_prompt == "blurry"
    assert (request.width, request.height) == (512, 768)
    assert request.num_inference_steps == 25
    assert request.guidance_scale == 6.5
    assert request.seed == 4294967295
    assert request.sampler == "DPM++ 2M Karras"
    assert request.model == "dream"
    assert parse_parameters(text).settings["Lora hashes"] == "a: b, c: d"


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_exif_comments_are_read(kind: str) -> None:
    exif = Image.Exif()
    comment = b"UNICODE\0" + write_parameters(picture(prompt="a höhle")).encode("utf-16-be")
    exif.get_ifd(0x8769)[0x9286] = comment
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, format=kind, exif=exif)
    assert read_request(buffer.getvalue()) == picture(prompt="a höhle").request


def test_a_last_line_without_settings_is_prompt() -> None:
    parameters = parse_parameters("a house\nSteps: 3, Seed: 1")
    assert parameters.prompt == "a house\nSteps: 3, Seed: 1"
    assert parameters.settings == {}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "damaged"),
        ("[" * 100_000, "damaged"),
        ("[]", "request is missing"),
        ('{"request": 3}', "request is missing"),
        ('{"request": {"prompt": "x", "seed": -1}}', "seed"),
        ('{"request": {"prompt": "x", "version": 99}}', "version"),
        ('{"request": {"prompt": "x", "__class__": "y"}}', "__class__"),
        (json.dumps({"request": {"prompt": "x" * 20_000}}), "prompt"),
        ("x" * (MAX_TEXT_CHARACTERS + 1), "characters"),
    ],
)
def test_a_tampered_request_is_refused(content: str, complaint: str) -> None:
    with pytest.raises(MetadataError, match=complaint):
        read_request(text_chunk("paintdiffusion", content))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ("Size: axb", "size axb"),
        ("Size: 9x512", "size 9x512 (at least 32 each way)"),
        ("Size: 512x99999", "size 512x99999 (at most 4096 each way)"),
        ("Steps: many", "steps many (not a number that can be used)"),
        ("Steps: 5000", "steps 5000 (at most 1000)"),
        ("CFG scale: nan", "guidance nan (not a number that can be used)"),
        ("CFG scale: 99", "guidance 99 (at most 50)"),
        ("Variation seed: 5000000000", "variation seed 5000000000 (at most 4294967295)"),
        ("Clip skip: 40", "clip skip 40 (at most 12)"),
    ],
)
def test_what_cant_be_used_is_left_open_and_named(settings: str, named: str) -> None:
    text = f"a house\nSeed: 1, Model: mini, {settings}, Version: 1"
    found = read_settings(text_chunk("parameters", text))
    assert named in found.left_open
    rest = {"prompt": "a house", "seed": 1, "model": "mini"}
    assert found.request.model_dump(include=set(rest)) == rest


def test_pictures_without_settings_and_no_pictures_are_told_apart() -> None:
    with pytest.raises(MetadataError, match="no settings"):
        read_request(png_with(None))
    with pytest.raises(MetadataError, match="Use PNG"):
        read_request(b"GIF89a")
    with pytest.raises(MetadataError, match="pixels"):
        read_request(bomb(60_000, 60_000))


def test_a_compressed_text_of_many_megabytes_is_refused() -> None:
    info = PngInfo()
    info.add_text("paintdiffusion", "x" * 50_000_000, zip=True)
    with pytest.raises(MetadataError):
        read_request(png_with(info))


# Requests that bring pictures

IMAGE = InputImage(data=b"a picture")
MASK = InputImage(data=b"a mask")
VARIED = {"variation_seed": 5, "variation_strength": 0.05}
CONTROLS = (
    ControlInput(image=MASK, preprocessor="canny", controlnet="mini-sketch"),
    ControlInput(
        image=IMAGE,
        preprocessor="hed",
        controlnet='odd, name: "x"',
        conditioning_scale=0.35,
        guidance_start=0.1,
        guidance_end=0.75,
        resize_mode="pad",
    ),
)
WITH_PICTURES: list[Request] = [
    TextToImage(**SETTLED, controls=CONTROLS),
    Inpaint(**SETTLED, image=IMAGE, mask=MASK, controls=CONTROLS[1:]),
    TextToImage(**SETTLED, **VARIED),
    ImageToImage(**SETTLED, image=IMAGE, strength=0.55),
    ImageToImage(
        **SETTLED,
        **VARIED,
        image=IMAGE,
        background="#12ab00",
        resize_mode="pad",
        loopback=3,
        loopback_strength_factor=1.1,
    ),
    Inpaint(**SETTLED, image=IMAGE, mask=MASK, mask_blur_px=0),
    Inpaint(
        **SETTLED,
        **VARIED,
        image=IMAGE,
        sketch=MASK,
        background="#000000",
        mask=InputImage(data=b"another"),
        invert_mask=True,
        mask_blur_px=2.5,
        only_masked=True,
        padding_px=7,
        masked_content="empty",
        strength=1.0,
        soft=True,
        outpaint=Outpaint(left=1, bottom=4),
    ),
]


@pytest.mark.parametrize("request_", WITH_PICTURES, ids=lambda one: one.kind)
def test_every_kind_comes_back_from_either_text(request_: Request) -> None:
    one = Picture(Image.new("RGB", (4, 4)), request_, model_hash="0123456789")
    data = png_of(one)
    assert read_request(data) == request_.without_image_data()
    text = text_chunk("parameters", write_parameters(one))
    assert read_request(text) == request_.without_image_data()
    assert b"a picture" not in data
    assert b"a mask" not in data
    assert len(data) < 5000


def test_the_text_of_a_control_is_that_of_the_a1111_extension() -> None:
    text = write_parameters(picture(controls=CONTROLS[:1]))
    assert (
        'ControlNet 0: "Module: canny, Model: mini-sketch, Weight: 1, '
        "Resize Mode: Crop and Resize, Guidance Start: 0, Guidance End: 1, "
        f'Image hash: {MASK.sha256}"'
    ) in text


def test_a_control_of_the_a1111_web_ui_is_read() -> None:
    text = (
        "a castle\nSteps: 25, Sampler: Euler, CFG scale: 6.5, Seed: 1, Size: 512x768, "
        'ControlNet 1: "Module: softedge_hed, Model: control_v11p_sd15_softedge [a8575a2a], '
        "Weight: 0.75, Resize Mode: Just Resize, Low Vram: False, Processor Res: 512, "
        "Guidance Start: 0.1, Guidance End: 0.8, Pixel Perfect: False, "
        'Control Mode: Balanced", '
        'ControlNet 0: "Module: none, Model: None, Weight: 1, Resize Mode: Crop and Resize", '
        "Version: v1.7.0"
    )
    assert read_request(text_chunk("parameters", text)).controls == (
        ControlInput(image=InputImage()),
        ControlInput(
            image=InputImage(),
            preprocessor="hed",
            controlnet="control_v11p_sd15_softedge",
            conditioning_scale=0.75,
            guidance_start=0.1,
            guidance_end=0.8,
            resize_mode="stretch",
        ),
    )


def test_the_text_of_inpainting_is_a1111s() -> None:
    request = Inpaint(**SETTLED, image=IMAGE, mask=MASK, only_masked=True, masked_content="noise")
    text = write_parameters(Picture(Image.new("RGB", (4, 4)), request))
    assert (
        "Denoising strength: 0.75, Init image hash: "
        f"{IMAGE.sha256}, Mask blur: 4, Mask hash: {MASK.sha256}, Inpaint area: Only masked, "
        "Masked area padding: 32, Masked content: latent noise"
    ) in text


def test_a_picture_to_picture_of_the_a1111_web_ui_is_read() -> None:
    start = "a castle\nSteps: 25, Sampler: Euler, CFG scale: 6.5, Seed: 1, Size: 512x768, "
    plain = read_request(text_chunk("parameters", f"{start}Denoising strength: 0.4, Version: v1"))
    assert isinstance(plain, ImageToImage)
    assert plain.strength == 0.4
    assert plain.image == InputImage()
    masked = read_request(
        text_chunk("parameters", f"{start}Denoising strength: 0.4, Mask blur: 8, Version: v1")
    )
    assert isinstance(masked, Inpaint)
    assert masked.mask_blur_px == 8
    upscaled = read_request(
        text_chunk("parameters", f"{start}Denoising strength: 0.4, Hires upscale: 2, Version: v1")
    )
    assert isinstance(upscaled, TextToImage)


def test_what_painted_a_picture_is_in_its_file() -> None:
    made = replace(
        picture(),
        hashes={"LoRA ink": "ab"},
        engine="OpenVINO",
        device="cpu",
        processor="x86_64",
        libraries={"torch": "2.15"},
    )
    found = read_settings(png_of(made))
    assert found.provenance == made.provenance
    assert found.are_ours


def test_files_that_do_not_say_what_painted_them_can_be_read() -> None:
    request = picture().request.model_dump(mode="json")
    old = json.dumps({"request": request, "model_hash": "0123456789"})
    assert read_settings(text_chunk("paintdiffusion", old)).provenance == Provenance("0123456789")
    huge = "x" * 301
    wrong = {"request": request, "hashes": [huge], "device": 3, "libraries": {"torch": huge}}
    found = read_settings(text_chunk("paintdiffusion", json.dumps(wrong)))
    assert found.provenance == Provenance()


def test_branches_are_in_the_text_that_others_read_too() -> None:
    branches = (
        Branch(after_step=5, prompt='a "blue" boat, at night\nby a lake', seed=3),
        Branch(after_step=9, guidance_scale=3.5),
    )
    one = picture(branches=branches)
    parameters = parse_parameters(write_parameters(one))
    assert settings_from_parameters(parameters).request == one.request
    damaged = {**parameters.settings, "Branches": "[{"}
    found = settings_from_parameters(replace(parameters, settings=damaged))
    assert found.request == picture().request
    assert any(each.startswith("branches") for each in found.left_open)
