"""Upscaling in A1111's text, and back."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from paintdiff.gallery.a1111.names import from_a1111, to_a1111
from paintdiff.gallery.a1111.text import request_from_parameters, settings_from_parameters
from paintdiff.gallery.settings.metadata import (
    MAX_TEXT_CHARACTERS,
    parse_parameters,
    png_info,
    read_request,
    write_parameters,
)
from paintdiff.jobs.events import Picture
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.request_parts import Upscaling
from paintdiff.jobs.requests import ImageToImage, Inpaint, Request, TextToImage, Upscale
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.registry.upscaler_rows import UpscalerRow
from tests.gallery.test_metadata import IMAGE, MASK, SETTLED, text_chunk

CHOSEN = Upscaling(upscaler="RealESRGAN_x4plus", scale=2.5, tile_px=192)
PAINTED = (
    "a castle, in clouds\nNegative prompt: fog\n"
    "Steps: 25, Sampler: Euler, CFG scale: 6.5, Seed: 1, Size: 512x768, Model: dream"
)


def picture(request: Request) -> Picture:
    return Picture(Image.new("RGB", (4, 4)), request, model_hash="0123456789")


def given(text: str | None) -> InputImage:
    """A picture that says that of itself."""
    buffer, info = io.BytesIO(), PngInfo()
    if text is not None:
        info.add_text("parameters", text)
    Image.new("RGB", (4, 4)).save(buffer, "PNG", pnginfo=info)
    return InputImage(data=buffer.getvalue())


def saved(request: Request) -> bytes:
    buffer = io.BytesIO()
    one = picture(request)
    one.image.save(buffer, "PNG", pnginfo=png_info(one))
    return buffer.getvalue()


def text_in(data: bytes) -> str:
    with Image.open(io.BytesIO(data)) as image:
        return image.info["parameters"]


@pytest.mark.parametrize(
    "request_",
    [
        TextToImage(**SETTLED, upscaling=CHOSEN),
        TextToImage(**SETTLED, upscaling=Upscaling(upscaler='odd, name: "x"', scale=8)),
        ImageToImage(**SETTLED, image=IMAGE, upscaling=CHOSEN),
        Inpaint(**SETTLED, image=IMAGE, mask=MASK, upscaling=CHOSEN),
        Upscale(images=(IMAGE,), upscaling=CHOSEN),
        Upscale(images=(IMAGE,), upscaling=Upscaling(upscaler="mini-upscaler", scale=1)),
    ],
    ids=lambda one: one.kind,
)
def test_it_comes_back_from_either_text(request_: Request) -> None:
    data = saved(request_)
    assert read_request(data) == request_.without_image_data()
    text = text_chunk("parameters", text_in(data))
    assert read_request(text) == request_.without_image_data()


def test_the_keys_are_a1111s() -> None:
    text = write_parameters(picture(TextToImage(**SETTLED, upscaling=CHOSEN)))
    assert text.endswith(
        "Model: mini, Postprocess upscale by: 2.5, Postprocess upscaler: R-ESRGAN 4x+, "
        "Postprocess tile size: 192"
    )
    assert "Postprocess" not in write_parameters(picture(TextToImage(**SETTLED)))


def test_an_enlarged_picture_still_says_how_it_was_painted() -> None:
    request = Upscale(images=(given(PAINTED),), upscaling=CHOSEN)
    data = saved(request)
    assert read_request(data) == request.without_image_data(), "ours says what was done last"
    text = text_in(data)
    assert text.startswith(PAINTED + ", Postprocess upscale by: 2.5, ")
    painting = read_request(text_chunk("parameters", text))
    assert isinstance(painting, TextToImage)
    assert (painting.prompt, painting.seed) == ("a castle, in clouds", 1)
    assert painting.upscaling == CHOSEN


@pytest.mark.parametrize("before", ["a note", "a note\n", "Steps: 3, Seed: 1", ""])
def test_a_text_without_settings_stays_in_its_own_lines(before: str) -> None:
    request = Upscale(images=(given(before),), upscaling=CHOSEN)
    text = text_in(saved(request))
    added = write_parameters(picture(request))
    assert text == (f"{before.strip()}\n{added}" if before else added)


@pytest.mark.parametrize("before", [None, "x" * MAX_TEXT_CHARACTERS])
def test_what_cant_be_kept_is_left_out(before: str | None) -> None:
    request = Upscale(images=(given(before),), upscaling=CHOSEN)
    data = saved(request)
    assert text_in(data) == write_parameters(picture(request))
    assert read_request(data) == request.without_image_data()
    no_picture = Upscale(images=(InputImage(data=b"no picture"),), upscaling=CHOSEN)
    assert text_in(saved(no_picture)) == write_parameters(picture(no_picture))


def test_text_of_the_a1111_web_uis_extras_tab_is_read() -> None:
    """As that tab writes it, with keys that we don't have."""
    request = request_from_parameters(
        parse_parameters(
            f"{PAINTED}, Postprocess upscale by: 4, Postprocess upscaler: R-ESRGAN 4x+ Anime6B, "
            "Postprocess upscaler 2: None, Version: v1.10"
        )
    )
    assert request.upscaling == Upscaling(upscaler="RealESRGAN_x4plus_anime_6B", scale=4)


@pytest.mark.parametrize(
    "settings",
    [
        "Postprocess upscale by: 9",
        "Postprocess upscale by: much",
        "Postprocess upscale by: 2, Postprocess tile size: 5",
    ],
)
def test_nonsense_is_left_open_and_named(settings: str) -> None:
    found = settings_from_parameters(parse_parameters(f"{PAINTED}, {settings}"))
    assert any(words.startswith("upscaling ") for words in found.left_open)
    assert found.request.upscaling == (Upscaling() if "tile" in settings else None)


def test_every_name_comes_back(tmp_path: Any) -> None:
    for row in Catalog.default([tmp_path]).rows(UpscalerRow):
        assert from_a1111(to_a1111(row.name)) == row.name
    assert to_a1111("mine") == from_a1111("mine") == "mine"
    assert from_a1111("Latent (nearest-exact)") == "latent"
