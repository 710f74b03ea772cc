"""The painter's targets, the weights of its errors, and losses beyond single pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler

from paintdiff.mini.data.dataset import Dataset
from paintdiff.mini.loop import Machine
from paintdiff.mini.networks.autoencoder import build_autoencoder, draw_crops, sharpen_decoder
from paintdiff.mini.networks.judge import Judge, list_judged_labels
from paintdiff.mini.networks.objective import add_noise, build_scheduler, timestep_weights
from paintdiff.mini.networks.perceptual import Discriminator, adversarial_losses
from paintdiff.mini.recipe import PainterRecipe, Recipe

TIMESTEPS = torch.tensor([1, 250, 500, 998])


@pytest.mark.parametrize("prediction", ["v_prediction", "epsilon", "sample"])
@pytest.mark.parametrize("schedule", ["linear", "flow"])
def test_a_perfect_prediction_gives_the_picture_back(
    tiny_recipe: Recipe, prediction: str, schedule: str
) -> None:
    """The training target is what the shipped scheduler expects."""
    recipe = tiny_recipe.painter.model_copy(
        update={"prediction": prediction, "beta_schedule": schedule}
    )
    scheduler = build_scheduler(recipe)
    latents = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    noisy, target = add_noise(latents, TIMESTEPS, scheduler.alphas_cumprod, recipe.prediction)
    scheduler.set_timesteps(1000)
    for row, timestep in enumerate(TIMESTEPS.tolist()):
        step = scheduler.step(target[row], timestep, noisy[row])
        # Near pure noise a picture that is computed from the noise loses digits.
        tolerance = 0.05 if prediction == "epsilon" and timestep > 900 else 2e-3
        assert torch.allclose(step.pred_original_sample, latents[row], atol=tolerance)


def test_the_flow_schedule_is_a_straight_line_of_unit_variance(tiny_recipe: Recipe) -> None:
    recipe = tiny_recipe.painter.model_copy(update={"beta_schedule": "flow"})
    alphas = build_scheduler(recipe).alphas_cumprod.double()
    times = torch.arange(1, 1001).double() / 1001
    straight = (1 - times) ** 2 / ((1 - times) ** 2 + times**2)
    assert torch.allclose(alphas, straight, atol=1e-5)


def test_flow_counts_errors_of_the_straight_velocity(tiny_recipe: Recipe) -> None:
    """The error of v, weighted, is the error of n - x."""
    recipe = tiny_recipe.painter.model_copy(update={"beta_schedule": "flow"})
    alphas_cumprod = build_scheduler(recipe).alphas_cumprod
    weights = timestep_weights(TIMESTEPS, alphas_cumprod, recipe).flatten()
    for weight, timestep in zip(weights.tolist(), TIMESTEPS.tolist(), strict=True):
        signal, spread = (
            float(a) ** 0.5 for a in (alphas_cumprod[timestep], 1 - alphas_cumprod[timestep])
        )
        picture, noise, wrong = 0.7, -0.4, 0.1
        noisy, velocity = signal * picture + spread * noise, signal * noise - spread * picture

        def straight(v: float, noisy: float = noisy, a: float = signal, s: float = spread) -> float:
            return (s * noisy + a * v) - (a * noisy - s * v)

        difference = straight(velocity + wrong) - straight(velocity)
        assert difference**2 == pytest.approx(weight * wrong**2, rel=1e-4)


def test_min_snr_caps_what_is_nearly_clean(tiny_recipe: Recipe) -> None:
    alphas_cumprod = build_scheduler(tiny_recipe.painter).alphas_cumprod

    def weights(prediction: str) -> torch.Tensor:
        recipe: PainterRecipe = tiny_recipe.painter.model_copy(
            update={"prediction": prediction, "min_snr_gamma": 5.0}
        )
        return timestep_weights(TIMESTEPS, alphas_cumprod, recipe).flatten()

    ratio = (alphas_cumprod / (1 - alphas_cumprod))[TIMESTEPS]
    assert torch.allclose(weights("sample"), ratio.clamp(max=5.0))
    # All three are the same weight of the error of the picture.
    assert torch.allclose(weights("epsilon") * ratio, weights("sample"), rtol=1e-4)
    assert torch.allclose(weights("v_prediction") * (ratio + 1), weights("sample"), rtol=1e-4)
    assert torch.equal(
        timestep_weights(TIMESTEPS, alphas_cumprod, tiny_recipe.painter).flatten(), torch.ones(4)
    )


def test_the_shipped_schedule_is_unchanged(tiny_recipe: Recipe) -> None:
    scheduler = build_scheduler(tiny_recipe.painter)
    assert scheduler.config.prediction_type == "v_prediction"
    assert scheduler.config.trained_betas is None
    usual = DDIMScheduler(beta_start=1e-4, beta_end=2e-2, beta_schedule="linear")
    assert torch.equal(scheduler.alphas_cumprod, usual.alphas_cumprod)


def test_each_network_learns_from_its_own_losses(tiny_recipe: Recipe) -> None:
    judge = Judge(list_judged_labels(tiny_recipe), (8, 16)).eval().requires_grad_(False)
    critic = Discriminator((8, 8))
    made = torch.rand(2, 3, 32, 32, requires_grad=True)
    real = torch.rand(2, 3, 32, 32)
    parts = adversarial_losses(judge, critic, made, real)
    (parts["feature"] + parts["fooled"]).backward(retain_graph=True)
    assert made.grad is not None
    assert made.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in critic.parameters())
    made.grad = None
    parts["seen"].backward()
    assert made.grad is None
    assert all(parameter.grad is not None for parameter in critic.parameters())
    same = adversarial_losses(judge, critic, real, real)
    assert float(same["feature"]) < 1e-6 < float(parts["feature"].detach())


def test_a_decoder_is_sharpened_with_a_judge_and_goes_on(
    tiny_dataset: Dataset, tiny_machine: Machine, tmp_path: Path
) -> None:
    recipe = tiny_dataset.recipe
    judge = Judge(list_judged_labels(recipe), (8, 16))
    vae = build_autoencoder(recipe.autoencoder, recipe.size_px)
    encoder = {name: value.clone() for name, value in vae.encoder.state_dict().items()}
    before = vae.decoder.conv_out.weight.clone()
    sharpen_decoder(tiny_dataset, tmp_path, tiny_machine, vae, judge)
    assert not torch.equal(vae.decoder.conv_out.weight, before)
    assert all(torch.equal(encoder[n], v) for n, v in vae.encoder.state_dict().items())
    state = torch.load(tmp_path / "decoder.pt", weights_only=True)
    assert state["step"] == recipe.autoencoder.decoder_plan.steps
    assert {"decoder", "critic"} == set(state["modules"])


def test_leaves_are_among_the_crops(tiny_dataset: Dataset) -> None:
    def with_share(share: float) -> torch.Tensor:
        part = tiny_dataset.recipe.autoencoder.model_copy(update={"leaves_share": share})
        recipe = tiny_dataset.recipe.model_copy(update={"autoencoder": part})
        data = replace(tiny_dataset, recipe=recipe)
        return draw_crops(data, np.random.default_rng(3), 6, 32)

    scenes, leaves = with_share(0.0), with_share(1.0)
    assert scenes.shape == leaves.shape == (6, 3, 32, 32)
    whole = {tuple(np.unique(tiny_dataset.image(i)[::8, ::8])) for i in range(len(tiny_dataset))}
    drawn = [((crop.permute(1, 2, 0) + 1) * 127.5).round().byte().numpy() for crop in leaves]
    assert not any(tuple(np.unique(picture[::8, ::8])) in whole for picture in drawn)
