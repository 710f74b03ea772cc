"""A hires fix in A1111's text, and back."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from paintdiff.gallery.a1111.text import request_from_parameters, settings_from_parameters
from paintdiff.gallery.settings.metadata import parse_parameters, write_parameters
from paintdiff.jobs.events import Picture
from paintdiff.jobs.request_parts import HiresFix
from paintdiff.jobs.requests import TextToImage

SETTLED: dict[str, Any] = {
    "prompt": "a red house",
    "width": 128,
    "height": 192,
    "num_inference_steps": 20,
    "guidance_scale": 7.0,
    "sampler": "DDIM",
    "seed": 7,
}
HIRES: dict[str, Any] = {
    "scale": 2.0,
    "upscaler": "latent",
    "strength": 0.4,
    "num_inference_steps": 20,
    "tiled": True,
    "controlnet": "none",
}


def text_of(**hires: Any) -> str:
    request = TextToImage(**SETTLED, hires=HiresFix(**HIRES | hires))
    return write_parameters(Picture(Image.new("RGB", (4, 4)), request))


def hires_of(settings: str) -> HiresFix | None:
    text = f"a red house\nSteps: 20, Sampler: DDIM, Seed: 7, Size: 128x192, {settings}"
    request = request_from_parameters(parse_parameters(text))
    assert isinstance(request, TextToImage)
    return request.hires


def test_the_keys_are_a1111s() -> None:
    assert text_of().endswith(
        "Denoising strength: 0.4, Hires upscale: 2, Hires steps: 8, Hires upscaler: Latent, "
        "Hires tiled: True"
    )
    assert "Hires upscaler: R-ESRGAN 4x+," in text_of(upscaler="RealESRGAN_x4plus")
    assert "Hires upscaler: mini-upscaler," in text_of(upscaler="mini-upscaler")
    assert "Hires ControlNet: tile" in text_of(controlnet="tile")
    assert "Hires" not in write_parameters(
        Picture(Image.new("RGB", (4, 4)), TextToImage(**SETTLED))
    )


@pytest.mark.parametrize("steps", [20, 50, 33])
@pytest.mark.parametrize("strength", [0.05, 0.1, 0.35, 0.55, 0.7, 1.0])
def test_as_many_steps_are_run_as_the_text_says(steps: int, strength: float) -> None:
    """A1111 counts the steps that are run, we those of which the last are run."""
    text = text_of(strength=strength, num_inference_steps=steps)
    request = request_from_parameters(parse_parameters(text))
    assert isinstance(request, TextToImage)
    assert request.hires is not None
    assert request.hires.strength == strength
    assert int((request.hires.num_inference_steps or 0) * strength) == int(steps * strength)


def test_the_rest_comes_back() -> None:
    text = text_of(upscaler="RealESRGAN_x2plus", tiled=False, controlnet="tile", scale=1.5)
    request = request_from_parameters(parse_parameters(text))
    assert isinstance(request, TextToImage)
    assert request.hires == HiresFix(
        scale=1.5,
        upscaler="RealESRGAN_x2plus",
        strength=0.4,
        num_inference_steps=20,
        tiled=False,
        controlnet="tile",
    )


def test_pictures_of_the_a1111_web_ui_are_read() -> None:
    """That UI omits what equals the first pass, and may give a size instead of a factor."""
    found = hires_of(
        "Denoising strength: 0.5, Hires upscale: 1.5, Hires upscaler: Latent (nearest)"
    )
    assert found == HiresFix(scale=1.5, upscaler="latent", strength=0.5, num_inference_steps=40)
    found = hires_of("Denoising strength: 0.5, Hires resize: 256x0, Hires steps: 10")
    assert found == HiresFix(scale=2.0, strength=0.5, num_inference_steps=20)
    found = hires_of("Denoising strength: 0.005, Hires upscale: 2")
    assert found == HiresFix(scale=2.0, strength=0.005, num_inference_steps=1000)
    assert hires_of("Denoising strength: 0.5, Hires upscaler: Latent") is None
    assert hires_of("Version: v1.10") is None


@pytest.mark.parametrize(
    "settings", ["Hires upscale: 9", "Hires upscale: two", "Hires upscale: 2, Hires tiled: perhaps"]
)
def test_what_cant_be_used_is_named(settings: str) -> None:
    text = f"a red house\nSteps: 20, Sampler: DDIM, Seed: 7, Size: 128x192, {settings}"
    found = settings_from_parameters(parse_parameters(text))
    assert any(words.startswith("hires ") for words in found.left_open)
    assert isinstance(found.request, TextToImage)
    assert found.request.seed == 7
    assert found.request.hires == (HiresFix(scale=2) if "tiled" in settings else None)
