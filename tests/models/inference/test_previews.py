from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from paintdiff.imaging.geometry import Size
from paintdiff.models.inference.previews.preview import (
    LinearPreview,
    PreviewRateLimit,
    predict_clean,
)
from paintdiff.models.registry.families import LatentRgb

IDENTITY = LatentRgb(matrix=((1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)), bias=(0, 0, 0.5))


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_clean_latents_come_back_from_each_kind_of_prediction() -> None:
    generator = torch.Generator().manual_seed(0)
    clean = torch.randn(1, 4, 4, 4, generator=generator)
    noise = torch.randn(1, 4, 4, 4, generator=generator)
    alpha_bar = torch.tensor(0.3)
    sample = alpha_bar.sqrt() * clean + (1 - alpha_bar).sqrt() * noise
    outputs = {
        "epsilon": noise,
        "sample": clean,
        "v_prediction": alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * clean,
    }
    for kind, output in outputs.items():
        assert torch.allclose(predict_clean(kind, output, sample, alpha_bar), clean, atol=1e-5)
    with pytest.raises(ValueError, match="flow"):
        predict_clean("flow", noise, sample, alpha_bar)


def test_the_picture_is_the_linear_map() -> None:
    latents = torch.zeros(1, 4, 2, 2)
    latents[0, 0] = 1.0  # red at full, green in the middle, blue half way up by the bias
    picture = LinearPreview(IDENTITY, torch.device("cpu")).draw(latents, Size(16, 16))
    assert picture.mode == "RGB"
    assert picture.size == (16, 16)
    assert picture.getpixel((8, 8)) == (255, 128, 191)


def test_the_picture_is_small_and_keeps_its_shape() -> None:
    preview = LinearPreview(IDENTITY, torch.device("cpu"))
    assert preview.draw(torch.zeros(1, 4, 64, 96), Size(768, 512)).size == (256, 171)
    assert preview.draw(torch.zeros(1, 4, 16, 12), Size(96, 128)).size == (96, 128)


def test_left_and_up_stay_left_and_up() -> None:
    latents = torch.full((1, 4, 4, 4), -1.0)
    latents[0, 0, 0, 0] = 1.0
    preview = LinearPreview(IDENTITY, torch.device("cpu")).draw(latents, Size(64, 64))
    pixels = np.asarray(preview)
    assert pixels[8, 8, 0] > 200
    assert pixels[8, 56, 0] < 50
    assert pixels[56, 8, 0] < 50


@pytest.mark.parametrize("cost", [0.0001, 0.01, 0.05, 1.0])
def test_the_governor_keeps_previews_under_their_share(cost: float) -> None:
    clock = Clock()
    made = run(PreviewRateLimit(0.03, clock), clock, cost, steps=1000)
    spent = made * cost
    assert made >= 1
    assert spent <= max(0.03 * clock.seconds, cost) * 1.001
    if cost == 0.0001:
        assert made == 1000, "previews that cost next to nothing are made at every step"


def test_without_a_governor_they_would_not() -> None:
    """The control: a governor that may take everything does."""
    clock = Clock()
    assert run(PreviewRateLimit(100.0, clock), clock, 0.05, steps=100) == 100


def run(governor: PreviewRateLimit, clock: Callable[[], float], cost: float, steps: int) -> int:
    assert isinstance(clock, Clock)
    made = 0
    governor.begin()
    for _ in range(steps):
        clock.seconds += 0.1
        if governor.allows_preview():
            clock.seconds += cost
            governor.record(cost)
            made += 1
    return made
