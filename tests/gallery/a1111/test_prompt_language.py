"""How prompts are read survives the way into a file and back."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from PIL import Image

from paintdiff.gallery.a1111.text import parse_parameters, settings_from_parameters
from paintdiff.gallery.settings.metadata import png_info, read_request, write_parameters
from paintdiff.jobs.events import Picture
from paintdiff.jobs.requests import TextToImage
from tests.gallery.test_other_programs import png

SETTLED: dict[str, Any] = {
    **{"prompt": "a (red:1.4) house", "width": 128, "height": 192, "num_inference_steps": 20},
    **{"guidance_scale": 7.0, "sampler": "Euler", "seed": 7},
}


@pytest.mark.parametrize(
    ("fields", "written"),
    [
        ({}, ""),
        ({"emphasis": "no_norm"}, "Emphasis: No norm"),
        ({"emphasis": "comfy"}, "Emphasis: ComfyUI"),
        ({"prompt_syntax": "plain"}, "Prompt syntax: plain"),
    ],
)
def test_the_language_comes_back(fields: dict[str, Any], written: str) -> None:
    request = TextToImage(**SETTLED, **fields)
    text = write_parameters(Picture(Image.new("RGB", (4, 4)), request, model_hash="0"))
    assert written in text and ("Emphasis" in text or "syntax" in text) == bool(written)
    found = settings_from_parameters(parse_parameters(text))
    assert found.left_open == ()
    assert isinstance(found.request, TextToImage)
    assert found.request.prompt_syntax == request.prompt_syntax
    assert found.request.emphasis == request.emphasis


@pytest.mark.parametrize(
    ("theirs", "syntax", "emphasis", "left_open"),
    [
        ("Original", "a1111", "original", ()),
        ("No norm", "a1111", "no_norm", ()),
        ("None", "plain", "original", ()),
        ("Ignore", "a1111", "original", ("emphasis Ignore",)),
    ],
)
def test_what_a1111_writes(
    theirs: str, syntax: str, emphasis: str, left_open: tuple[str, ...]
) -> None:
    text = f"a (cat)\nSteps: 20, Sampler: Euler, Seed: 1, Emphasis: {theirs}, Size: 64x64"
    found = settings_from_parameters(parse_parameters(text))
    assert isinstance(found.request, TextToImage)
    assert "prompt_syntax" in found.request.model_fields_set
    assert (found.request.prompt_syntax, found.request.emphasis) == (syntax, emphasis)
    assert found.left_open == left_open


def test_comfyuis_pictures_have_its_emphasis() -> None:
    graph = {
        "3": {
            "class_type": "KSampler",
            "inputs": {
                **{"seed": 5, "steps": 20, "cfg": 7.0, "sampler_name": "euler", "denoise": 1},
                **{"scheduler": "normal", "positive": ["6", 0], "negative": ["6", 0]},
            },
        },
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a (cat:1.2)"}},
    }
    found = read_request(png(prompt=json.dumps(graph)))
    assert isinstance(found, TextToImage)
    assert (found.prompt_syntax, found.emphasis) == ("a1111", "comfy")


def test_a_picture_saved_before_prompts_had_a_syntax_is_plain() -> None:
    image = Image.new("RGB", (4, 4))
    info = png_info(Picture(image, TextToImage(**SETTLED), model_hash="0"))
    image.save(file := io.BytesIO(), "PNG", pnginfo=info)
    content = json.loads(Image.open(file).info["paintdiffusion"])
    assert content["request"]["prompt_syntax"] == "a1111"
    del content["request"]["prompt_syntax"], content["request"]["emphasis"]
    old = read_request(png(paintdiffusion=json.dumps(content)))
    assert isinstance(old, TextToImage)
    assert (old.prompt, old.prompt_syntax) == (SETTLED["prompt"], "plain")
    assert TextToImage.parse({"prompt": "a (red:1.4) house"}).prompt_syntax == "a1111"
