"""Pictures to enlarge, and upscalers that wait, fail or are quick."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from PIL import Image

from paintdiff.engine.engine import Engine
from paintdiff.imaging.images import decode_pixels
from paintdiff.imaging.rasters import Pixels
from paintdiff.jobs.events import (
    Picture,
)
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.request_parts import Upscaling
from paintdiff.jobs.requests import Request, Upscale
from paintdiff.models.upscaling.upscaler import Floats, LoadedUpscaler
from tests.tasks.pictures import finished, given, photo

DOUBLE = Upscaling(upscaler="double")


GREY = np.asarray(photo(2, 40, 30).convert("L"))[..., None]
COLOUR = np.asarray(photo(2, 40, 30))
ALPHA = np.zeros((30, 40, 1), np.uint8)
ALPHA[:20, 5:25] = 255
ALPHA[22:, :10] = 128

HOLED = GREY.clip(1, 254)
HOLED[5:15, 5:15] = 255


def sixteen(*parts: np.ndarray) -> Pixels:
    """With 16 bits, of which the lower ones say something too."""
    levels = np.concatenate(parts, axis=2).astype(np.uint16)
    fine = np.random.default_rng(0).integers(0, 257, levels.shape, np.uint16)
    return np.where((levels == 0) | (levels == 255), levels * 257, levels * 256 + fine % 256)


def upscale(*images: InputImage | Image.Image | bytes, **settings: Any) -> Upscale:
    return Upscale(
        images=tuple(
            given(each)
            if isinstance(each, Image.Image)
            else (InputImage(data=each) if isinstance(each, bytes) else each)
            for each in images
        ),
        upscaling=Upscaling(**{"upscaler": "double"} | settings),
    )


def only(engine: Engine, request: Request) -> Picture:
    (picture,) = finished(engine, request).pictures
    return picture


def saved_pixels(picture: Picture) -> Pixels:
    assert picture.path is not None
    return decode_pixels(picture.path)[0]


class Gate:
    """Where an upscaler waits: at its `number`-th tile."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.calls = 0
        self.reached = threading.Event()
        self.open = threading.Event()


def gate_at(monkeypatch: pytest.MonkeyPatch, number: int) -> Gate:
    gate, real = Gate(number), LoadedUpscaler.enlarge

    def slow(self: LoadedUpscaler, tile: Floats) -> Floats:
        gate.calls += 1
        if gate.calls == gate.number:
            gate.reached.set()
            gate.open.wait(20)
        return real(self, tile)

    monkeypatch.setattr(LoadedUpscaler, "enlarge", slow)
    return gate


def failing_at(
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    error: Exception = ValueError("something broke"),  # noqa: B008 (nobody changes it)
) -> None:
    calls, real = 0, LoadedUpscaler.enlarge

    def failing(self: LoadedUpscaler, tile: Floats) -> Floats:
        nonlocal calls
        calls += 1
        if calls == number:
            raise error
        return real(self, tile)

    monkeypatch.setattr(LoadedUpscaler, "enlarge", failing)


def repeated(self: LoadedUpscaler, tile: Floats) -> Floats:
    return tile.repeat(self.scale, axis=0).repeat(self.scale, axis=1)
