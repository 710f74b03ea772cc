"""Continued training of existing weights: the opposite of `export`."""

from __future__ import annotations

from pathlib import Path

from diffusers import ControlNetModel, StableDiffusionPipeline
from torch import nn

from paintdiff.errors import WorldError
from paintdiff.mini.loop import TrainingLoop
from paintdiff.mini.networks.autoencoder import build_autoencoder
from paintdiff.mini.networks.painter import build_painter, build_reader
from paintdiff.mini.recipe import Recipe


def adopt_pipeline(
    recipe: Recipe,
    pipeline: StableDiffusionPipeline,
    work: Path,
    control: ControlNetModel | None = None,
) -> None:
    """Put a pipeline's weights into the work folder, ready to continue their training.

    The VAE counts as just trained there. The painter, and its `control`, are next.

    Raises WorldError if the networks or words don't match the recipe, or if the folder holds
    trained weights already.
    """
    for name in ("autoencoder", "painter", "control"):
        if (work / f"{name}.pt").exists():
            raise WorldError(f"{work} has trained weights already; name another --work folder.")
    vae = build_autoencoder(recipe.autoencoder, recipe.size_px)
    painter = build_painter(recipe)
    if pipeline.tokenizer.get_vocab() != painter.tokenizer.get_vocab():
        raise WorldError("That pipeline knows other words than the recipe's world has.")
    pairs: tuple[tuple[nn.Module, nn.Module], ...] = (
        (vae, pipeline.vae),
        (painter.text_encoder, pipeline.text_encoder),
        (painter.unet, pipeline.unet),
    )
    for ours, theirs in pairs:
        try:
            ours.load_state_dict(theirs.state_dict())
        except RuntimeError as error:
            raise WorldError(f"That pipeline's networks aren't the recipe's: {error}") from error
    trained = TrainingLoop("autoencoder", work, {"vae": vae}, recipe.autoencoder.plan, recipe.seed)
    trained.step = recipe.autoencoder.plan.steps
    trained.save()
    networks: dict[str, nn.Module] = {
        "reader": build_reader(painter, recipe),
        "unet": painter.unet,
    }
    TrainingLoop("painter", work, networks, recipe.painter.plan, recipe.seed).save()
    if control is not None:
        TrainingLoop("control", work, {"control": control}, recipe.control.plan, recipe.seed).save()
