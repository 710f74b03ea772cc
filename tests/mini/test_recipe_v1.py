"""Version 1's recipe from nothing to a folder that paints: fewer scenes, steps and channels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from paintdiff.mini.__main__ import STAGES, Studio, load_control, load_pipeline
from paintdiff.mini.evaluate import evaluate, paint_prompts
from paintdiff.mini.loop import Machine
from paintdiff.mini.networks.judge import load_judge
from paintdiff.mini.recipe import DEFAULT_RECIPE, Recipe, read_recipe

RECIPE_V1 = DEFAULT_RECIPE.with_name("recipe-v1.yaml")


def shortened(values: Any) -> Any:
    """The same recipe with three steps in every plan."""
    if not isinstance(values, dict):
        return values
    if "learning_rate" in values:
        return values | {"steps": 3, "batch_size": 2, "warmup_steps": 1}
    return {key: shortened(value) for key, value in values.items()}


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    values = shortened(yaml.safe_load(RECIPE_V1.read_text(encoding="utf-8")))
    values |= {"size_px": 64, "oversampling": 1, "scenes": 16}
    values["autoencoder"] |= {
        "block_out_channels": [8, 8, 8, 16, 16],
        "latent_channels": 6,
        "scenes": 8,
        "crop_px": 32,
        "discriminator_channels": [8, 8],
    }
    values["painter"] |= {
        "text_encoder": {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2},
        "block_out_channels": [32, 32],
        "attention": [False, True],
    }
    values["control"]["conditioning_channels"] = [8, 8, 8, 8, 8]
    values["judge"]["channels"] = [8, 16]
    values["evaluation"] |= {"prompts": 4, "control_pairs": 2}
    return Recipe.model_validate(values)


def test_the_recipe_stays_within_its_budget() -> None:
    recipe = read_recipe(RECIPE_V1)
    assert (recipe.size_px, recipe.latent_side) == (256, 16)
    assert recipe.scenes >= 100_000
    assert recipe.control.conditioning_channels[0] > 0
    halvings = len(recipe.autoencoder.block_out_channels) - 1
    assert len(recipe.control.conditioning_channels) == halvings + 1
    assert len(recipe.ablations.autoencoder.variants) == 3
    assert len(recipe.ablations.painter.variants) >= 8


def test_every_stage_follows_from_those_before(recipe: Recipe, tmp_path: Path) -> None:
    work, target = tmp_path / "work", tmp_path / "export" / "mini"
    machine = Machine(torch.device("cpu"), "fp32", compile=False, clock="cpu")
    studio = Studio(recipe, work, machine, target)
    for stage in STAGES[: STAGES.index("export") + 1]:
        studio.run(stage)
    pipeline = load_pipeline(target)
    assert pipeline.vae.config.latent_channels == 6
    assert pipeline.vae_scale_factor == 16
    preview = json.loads((target / "latent_rgb.json").read_text(encoding="utf-8"))
    assert np.shape(preview["matrix"]) == (6, 3)
    assert "wizard" in json.loads((target / "words.json").read_text(encoding="utf-8"))
    judge = load_judge(target.with_name("mini-judge"))
    assert {"style", "companion", "count", "weather"} <= set(judge.labels)
    images = paint_prompts(recipe, pipeline, ["a wizard in a blue robe beside a red dragon"])
    assert images.shape == (1, 64, 64, 3)
    assert evaluate(recipe, pipeline, judge).agreement
    assert load_control(target.with_name("mini-control")).config.in_channels == 6
