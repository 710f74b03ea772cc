from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from paintdiff.imaging.geometry import Size
from paintdiff.models.inference.denoising_run import Denoising, Variation, count_steps_run
from paintdiff.models.inference.inpaint_masks import (
    SoftMask,
    make_latent_mask,
    make_mask_picture,
    make_soft_latent_mask,
)
from paintdiff.models.inference.noise import make_noise_generator, slerp, vary_noise
from paintdiff.models.manager.model_manager import ModelManager

RUN = Denoising("a red house", "", Size(64, 64), 4, 5.0, "DDIM", seed=3)


def noise(seed: int) -> torch.Tensor:
    return torch.randn(1, 4, 8, 8, generator=make_noise_generator(seed))


@pytest.mark.parametrize("weight", [0.0, 0.05, 0.5, 0.95, 1.0])
def test_noise_half_way_is_still_noise(weight: float) -> None:
    between = slerp(weight, noise(1), noise(2))
    assert between.std().item() == pytest.approx(1.0, abs=0.1)
    straight = noise(1) * (1 - weight) + noise(2) * weight
    if weight == 0.5:
        assert straight.std().item() < 0.8, "what a straight line would do"
    assert torch.allclose(slerp(0.0, noise(1), noise(2)), noise(1))
    assert torch.allclose(slerp(1.0, noise(1), noise(2)), noise(2), atol=1e-5)


def test_parallel_noises_and_half_precision_go_too() -> None:
    assert torch.allclose(slerp(0.5, noise(1), noise(1)), noise(1), atol=1e-5)
    assert slerp(0.5, noise(1).half(), noise(2).half()).dtype == torch.float16
    assert torch.allclose(vary_noise(noise(1), Variation(2, 1.0)), noise(2), atol=1e-5)


@pytest.mark.parametrize(
    ("steps", "strength", "run"),
    [(20, 0.55, 11), (20, 1.0, 20), (3, 0.3, 0), (10, 0.1, 1), (1, 1.0, 1), (20, 0.0, 0)],
)
def test_the_steps_run_are_diffusers_own(steps: int, strength: float, run: int) -> None:
    assert count_steps_run(steps, strength) == run


def test_a_pipeline_is_itself_again_after_a_varied_run(tiny_manager: ModelManager) -> None:
    run = Denoising(**{**vars(RUN), "variation": Variation(5, 0.5)})
    with tiny_manager.lease("mini") as leased:
        plain = leased.denoise(RUN, lambda _step, _preview: None)
        changed = leased.denoise(run, lambda _step, _preview: None)
        assert "prepare_latents" not in vars(leased.pipeline)
        again = leased.denoise(RUN, lambda _step, _preview: None)
    assert torch.equal(plain, again)
    assert not torch.equal(plain, changed)


def test_what_is_raised_in_a_varied_run_leaves_nothing_behind(tiny_manager: ModelManager) -> None:
    def stop(_step: int, _preview: object) -> None:
        raise KeyError("stop")

    run = Denoising(**{**vars(RUN), "variation": Variation(5, 0.5)})
    with tiny_manager.lease("mini") as leased:
        with pytest.raises(KeyError):
            leased.denoise(run, stop)
        assert "prepare_latents" not in vars(leased.pipeline)


def test_any_touched_pixel_makes_its_latent_part_of_the_mask() -> None:
    mask = Image.new("L", (24, 16), 0)
    mask.putpixel((8, 15), 1)
    found = make_latent_mask(mask, 8)
    assert found.shape == (1, 1, 2, 3)
    assert found[0, 0].tolist() == [[0, 0, 0], [0, 1, 0]]
    picture = make_mask_picture(found, 8)
    assert picture.size == (24, 16)
    assert np.asarray(picture).sum() == 255 * 64
    assert make_latent_mask(picture, 8).tolist() == found.tolist()


def test_a_soft_mask_lets_the_bright_go_first() -> None:
    mask = Image.new("L", (32, 8), 0)
    for index, level in enumerate((0, 64, 128, 255)):
        mask.paste(level, (8 * index, 0, 8 * index + 8, 8))
    soft = SoftMask(make_soft_latent_mask(mask, 8))
    free = [soft.threshold(step, 4)[0, 0, 0].tolist() for step in range(4)]
    assert free == [[0, 0, 0, 1], [0, 0, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1]]
