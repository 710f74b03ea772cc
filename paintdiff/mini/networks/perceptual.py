"""Losses that look at more than pixels: the judge's features and a discriminator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from paintdiff.mini.networks.judge import Judge


class Weights(Protocol):
    """The weights of the `adversarial_losses`."""

    @property
    def feature_weight(self) -> float:
        """Return the weight of the "feature" loss."""
        ...

    @property
    def adversarial_weight(self) -> float:
        """Return the weight of the "fooled" loss."""
        ...

    @property
    def critic_weight(self) -> float:
        """Return the weight of the "seen" loss."""
        ...


class Discriminator(nn.Module):
    """A network that tells patches of real pictures from generated ones.

    It maps (B, 3, H, W), 0..1, to logits (B, 1, H / 8, W / 8). Isola et al. 2017
    (arXiv:1611.07004), with spectral normalisation (Miyato et al. 2018, arXiv:1802.05957).
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        previous = 3
        for width in channels:
            layers += [
                spectral_norm(nn.Conv2d(previous, width, 4, stride=2, padding=1)),
                nn.LeakyReLU(0.2),
                spectral_norm(nn.Conv2d(width, width, 3, padding=1)),
                nn.LeakyReLU(0.2),
            ]
            previous = width
        layers.append(nn.Conv2d(previous, 1, 3, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the logits of each patch, (B, 1, H / 8, W / 8)."""
        return self.layers(pixels * 2 - 1)


def feature_distance(judge: Judge, made: Tensor, real: Tensor) -> Tensor:
    """Measure how far apart two batches (B, 3, H, W), 0..1, are for the judge: (B,).

    At each level of its trunk the features of a place are normalised to unit length, and the mean
    square of their difference is taken, as in LPIPS (Zhang et al. 2018, arXiv:1801.03924), with
    equal weights.
    """
    total = torch.zeros(len(made), device=made.device)
    a, b = made * 2 - 1, real * 2 - 1
    for layer in judge.trunk:
        a, b = layer(a), layer(b)
        if isinstance(layer, nn.SiLU):
            difference = functional.normalize(a, dim=1) - functional.normalize(b, dim=1)
            total = total + difference.float().square().sum(1).mean((1, 2))
    return total


def adversarial_losses(
    judge: Judge, critic: Discriminator, made: Tensor, real: Tensor
) -> dict[str, Tensor]:
    """Return the losses of a network whose pictures `made` should look like `real`.

    Both are (B, 3, H, W), 0..1.

    "feature" is the distance of the judge's features, "fooled" how well the critic tells `made`
    from real pictures (its gradient reaches `made` alone), "seen" the critic's own loss (its
    gradient reaches the critic alone, so one optimiser works for both networks).
    """
    feature = feature_distance(judge, made, real).mean()
    critic.requires_grad_(False)
    fooled = functional.softplus(-critic(made)).mean()
    critic.requires_grad_(True)
    seen = (
        functional.softplus(-critic(real)).mean()
        + functional.softplus(critic(made.detach())).mean()
    )
    return {"feature": feature, "fooled": fooled, "seen": seen}


def weigh(parts: Mapping[str, Tensor], weights: Weights) -> Tensor:
    """Return the weighted sum of `adversarial_losses`."""
    return (
        weights.feature_weight * parts["feature"]
        + weights.adversarial_weight * parts["fooled"]
        + weights.critic_weight * parts["seen"]
    )
