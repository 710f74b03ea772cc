"""Pictures, masks and requests for the tests of the tasks."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from paintdiff.engine.engine import Engine
from paintdiff.jobs.events import Finished
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.requests import ImageToImage, Inpaint, Request

WIDTH, HEIGHT = 112, 96


def photo(seed: int = 0, width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """A picture with large shapes and fine noise: RGB."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    levels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    levels = levels + rng.integers(-20, 21, levels.shape)
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def mask(*corners: int, level: int = 255) -> Image.Image:
    """A mask (L) with one rectangle in it."""
    image = Image.new("L", (WIDTH, HEIGHT), 0)
    image.paste(level, corners or (40, 32, 80, 64))
    return image


def given(image: Image.Image) -> InputImage:
    """As it goes into a request."""
    return InputImage.from_image(image)


def image_to_image(**changes: Any) -> ImageToImage:
    """A quick request; without changes it needs two steps of three."""
    return ImageToImage(**_from_photo() | changes)


def inpaint(**changes: Any) -> Inpaint:
    """A quick request; without changes it needs two steps of three."""
    return Inpaint(**_from_photo() | {"mask": given(mask())} | changes)


def _from_photo() -> dict[str, Any]:
    return {
        "prompt": "a red house",
        "seed": 7,
        "num_inference_steps": 3,
        "strength": 0.7,
        "image": given(photo()),
    }


def painted(engine: Engine, request: Request) -> Image.Image:
    """The request's first picture."""
    return finished(engine, request).pictures[0].image


def finished(engine: Engine, request: Request) -> Finished:
    """The request's end."""
    return engine.submit(request).result(120)


def difference(one: Image.Image, other: Image.Image) -> float:
    """The mean difference of two pictures of one size, in levels."""
    return float(np.abs(np.asarray(one, dtype=float) - np.asarray(other, dtype=float)).mean())
