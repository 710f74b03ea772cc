"""The painter's noise schedule and its loss.

The UNet learns v-prediction after Salimans & Ho 2022 (arXiv:2202.00512), with the caption dropped
at random for classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598). The loss is not
weighted by min-SNR-gamma: for v-prediction its weight goes to zero with the signal, exactly where
the words decide the picture. Instead most timesteps are drawn where shapes are decided (the
schedule's last quarter is nearly pure noise at this size), and latents that the subject covers
weigh more.

The linear noise schedule ends at a signal-to-noise ratio of 4e-5, close enough to zero that dark
and bright scenes keep their brightness without special samplers.
"""

from __future__ import annotations

import numpy as np
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from paintdiff.mini.recipe import PainterRecipe

TRAIN_TIMESTEPS = 1000


def build_scheduler(recipe: PainterRecipe) -> DDIMScheduler:
    """Return the noise schedule, as the scheduler that ships with the model."""
    flow = recipe.beta_schedule == "flow"
    return DDIMScheduler(
        num_train_timesteps=TRAIN_TIMESTEPS,
        beta_schedule="linear" if flow else recipe.beta_schedule,
        beta_start=recipe.beta_start,
        beta_end=recipe.beta_end,
        trained_betas=flow_betas() if flow else None,
        prediction_type=recipe.prediction,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
    )


def flow_betas() -> list[float]:
    """Return the betas of rectified flow (Liu et al. 2022, arXiv:2209.03003).

    That is the straight line from picture to noise, (1 - t) x + t n, scaled to the unit variance
    that such schedules assume.
    """
    times = np.arange(1, TRAIN_TIMESTEPS + 1) / (TRAIN_TIMESTEPS + 1)
    signal = (1 - times) ** 2
    alphas_cumprod = signal / (signal + times**2)
    return (1 - alphas_cumprod / np.concatenate([[1.0], alphas_cumprod[:-1]])).tolist()


def timesteps_at(quantiles: Tensor, recipe: PainterRecipe) -> Tensor:
    """Return the timesteps (int64) at quantiles (0..1) of the distribution used in training.

    The recipe's `middle_share` is drawn evenly from its `middle_timesteps`, the rest evenly from
    all.
    """
    low, high = recipe.middle_timesteps
    density = torch.full((TRAIN_TIMESTEPS,), (1 - recipe.middle_share) / TRAIN_TIMESTEPS)
    density[low:high] += recipe.middle_share / (high - low)
    edges = density.double().cumsum(0)
    return torch.searchsorted(edges / edges[-1], quantiles.double()).clamp(max=TRAIN_TIMESTEPS - 1)


def draw_timesteps(random: np.random.Generator, recipe: PainterRecipe) -> Tensor:
    """Draw a batch's timesteps: one from each of as many equal spans.

    That is less noisy than independent draws.
    """
    batch = recipe.plan.batch_size
    return timesteps_at(torch.from_numpy((np.arange(batch) + random.random(batch)) / batch), recipe)


def add_noise(
    latents: Tensor, timesteps: Tensor, alphas_cumprod: Tensor, prediction: str
) -> tuple[Tensor, Tensor]:
    """Return latents (B, C, H, W) with new noise at their timesteps, and the UNet's target."""
    noise = torch.randn_like(latents)
    signal = alphas_cumprod[timesteps].sqrt().view(-1, 1, 1, 1)
    spread = (1 - alphas_cumprod[timesteps]).sqrt().view(-1, 1, 1, 1)
    targets = {
        "v_prediction": signal * noise - spread * latents,
        "epsilon": noise,
        "sample": latents,
    }
    return signal * latents + spread * noise, targets[prediction]


def timestep_weights(timesteps: Tensor, alphas_cumprod: Tensor, recipe: PainterRecipe) -> Tensor:
    """Return the weight of the error at each timestep, (B, 1, 1, 1).

    A `min_snr_gamma` acts as in Hang et al. 2023 (arXiv:2303.09556). On the schedule "flow" the
    error of the velocity becomes that of n - x, which rectified flow predicts.
    """
    alphas = alphas_cumprod[timesteps].view(-1, 1, 1, 1)
    if recipe.min_snr_gamma is not None:
        ratio = alphas / (1 - alphas)
        capped = ratio.clamp(max=recipe.min_snr_gamma)
        return {
            "v_prediction": capped / (ratio + 1),
            "epsilon": capped / ratio,
            "sample": capped,
        }[recipe.prediction]
    if recipe.beta_schedule == "flow":
        return (alphas.sqrt() + (1 - alphas).sqrt()) ** 2
    return torch.ones_like(alphas)


def weighted_mean(error: Tensor, subject: Tensor, subject_weight: float) -> Tensor:
    """Return the mean of an error (B, C, H, W), weighted more where the subject is.

    `subject` is the subject's share (B, 1, H, W).
    """
    weight = 1 + (subject_weight - 1) * subject
    return (weight * error).mean() / weight.mean()
