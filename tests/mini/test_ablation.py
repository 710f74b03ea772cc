"""Variants of a recipe are trained and measured alike."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from paintdiff.mini.ablation import (
    ablate_autoencoder,
    ablate_painter,
    list_square_photographs,
    measure_psnr,
    vary,
)
from paintdiff.mini.data.dataset import Dataset
from paintdiff.mini.loop import Machine
from paintdiff.mini.networks.autoencoder import build_autoencoder
from paintdiff.mini.networks.judge import Judge, list_judged_labels
from paintdiff.mini.recipe import Ablation, Ablations, Recipe


@pytest.fixture
def ablated(tiny_dataset: Dataset) -> Dataset:
    """The tiny dataset with two variants of each part."""
    ablations = Ablations(
        autoencoder=Ablation(
            minutes=60, pictures=2, variants={"four": {}, "six": {"latent_channels": 6}}
        ),
        painter=Ablation(
            minutes=60, pictures=4, variants={"v": {}, "noise": {"prediction": "epsilon"}}
        ),
    )
    recipe = tiny_dataset.recipe.model_copy(update={"ablations": ablations})
    return replace(tiny_dataset, recipe=recipe)


def test_only_what_is_named_changes(tiny_recipe: Recipe) -> None:
    other = vary(tiny_recipe, "autoencoder", {"latent_channels": 7}, minutes=3)
    assert other.autoencoder.latent_channels == 7
    assert other.autoencoder.plan.minutes == 3
    assert other.painter == tiny_recipe.painter
    with pytest.raises(ValidationError, match="latent_chanels"):
        vary(tiny_recipe, "autoencoder", {"latent_chanels": 7}, minutes=3)


def test_vaes_are_trained_and_measured(
    ablated: Dataset, tiny_machine: Machine, tmp_path: Path
) -> None:
    table = ablate_autoencoder(ablated, tmp_path, tiny_machine)
    figures = json.loads((tmp_path / "autoencoder.json").read_text(encoding="utf-8"))
    assert list(figures) == ["four", "six"]
    assert figures["six"]["parameters, millions"] > figures["four"]["parameters, millions"]
    assert all(0 < row["held-out scenes, dB"] < 60 for row in figures.values())
    assert "| six |" in table
    assert table.count("\n") == 3


def test_painters_are_trained_and_judged(
    ablated: Dataset, tiny_machine: Machine, tmp_path: Path
) -> None:
    recipe = ablated.recipe
    vae = build_autoencoder(recipe.autoencoder, recipe.size_px)
    judge = Judge(list_judged_labels(recipe), recipe.judge.channels).eval()
    table = ablate_painter(ablated, tmp_path, tiny_machine, vae, judge)
    assert "| noise |" in table
    assert "all, %" in table
    assert (tmp_path / "noise" / "painter.pt").exists()


def test_a_perfect_picture_has_a_high_psnr(tiny_recipe: Recipe, tiny_machine: Machine) -> None:
    class Unchanged:
        """A VAE that changes nothing, or adds a little."""

        def __init__(self, added: float) -> None:
            self.added = added

        def encode(self, pixels: torch.Tensor) -> Unchanged:
            self.latent_dist, self.pixels = self, pixels
            return self

        def mode(self) -> torch.Tensor:
            return self.pixels

        def decode(self, latents: torch.Tensor) -> Unchanged:
            self.sample = latents + self.added
            return self

    grey = np.full((2, 16, 16, 3), 128, np.uint8)
    assert measure_psnr(Unchanged(0), grey, tiny_machine) > 90
    # A fiftieth of 0..1 is 34 dB: 20 * log10(50).
    assert measure_psnr(Unchanged(0.04), grey, tiny_machine) == pytest.approx(33.98, abs=0.1)


def test_photographs_are_squares_of_the_recipes_size(tiny_recipe: Recipe) -> None:
    photographs = list_square_photographs(tiny_recipe)
    assert photographs.shape[1:] == (32, 32, 3)
    assert photographs.std() > 20
