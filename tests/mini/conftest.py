"""A recipe so small that every stage of training runs in seconds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from paintdiff.mini.data.dataset import Dataset, open_dataset, render_dataset
from paintdiff.mini.loop import Machine
from paintdiff.mini.recipe import Plan, Recipe, read_recipe

TINY_PLAN = Plan(
    steps=6,
    minutes=60,
    batch_size=4,
    learning_rate=1e-3,
    warmup_steps=2,
    weight_decay=0.0,
    ema_decay=0.9,
)


@pytest.fixture(scope="session")
def tiny_recipe() -> Recipe:
    """The shipped recipe with a 32 pixel picture, 24 scenes and networks of a few channels."""
    recipe = read_recipe()
    autoencoder = recipe.autoencoder.model_copy(
        update={
            "block_out_channels": (8, 8, 16),
            "crop_px": 16,
            "plan": TINY_PLAN,
            "decoder_plan": TINY_PLAN,
        }
    )
    text_encoder = recipe.painter.text_encoder.model_copy(
        update={"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    )
    painter = recipe.painter.model_copy(
        update={
            "text_encoder": text_encoder,
            "block_out_channels": (32, 64),
            "attention": (False, True),
            "words_plan": TINY_PLAN,
            "plan": TINY_PLAN,
        }
    )
    control = recipe.control.model_copy(
        update={"conditioning_channels": (8, 8, 16), "plan": TINY_PLAN}
    )
    judge = recipe.judge.model_copy(update={"channels": (8, 16), "plan": TINY_PLAN})
    upscaler = recipe.upscaler.model_copy(
        update={
            "num_feat": 8,
            "num_conv": 2,
            "paintings": 4,
            "leaves": 2,
            "side_px": 64,
            "crop_px": 8,
            "discriminator_channels": (8, 8),
            "plan": TINY_PLAN,
        }
    )
    evaluation = recipe.evaluation.model_copy(update={"upscaled": 3})
    return recipe.model_copy(
        update={
            "size_px": 32,
            "scenes": 24,
            "autoencoder": autoencoder,
            "painter": painter,
            "control": control,
            "judge": judge,
            "upscaler": upscaler,
            "evaluation": evaluation,
        }
    )


@pytest.fixture(scope="session")
def tiny_machine() -> Machine:
    return Machine(torch.device("cpu"), "fp32", compile=False)


@pytest.fixture(scope="session")
def tiny_dataset(tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The tiny recipe's rendered scenes."""
    return open_dataset(tiny_recipe, rendered_folder(tiny_recipe, tmp_path_factory.mktemp("work")))


def rendered_folder(recipe: Recipe, folder: Path) -> Path:
    """Render the recipe's scenes into the folder and return it."""
    render_dataset(recipe, folder, workers=1)
    return folder
