"""The figures of the model card: how well pictures match their prompts, as the judge sees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from diffusers import (
    ControlNetModel,
    DDIMScheduler,
    StableDiffusionControlNetPipeline,
    StableDiffusionPipeline,
)
from numpy.typing import NDArray
from PIL import Image

from paintdiff.mini.data.dataset import HELD_OUT, scene_seeds
from paintdiff.mini.networks.control import edge_overlap
from paintdiff.mini.networks.judge import Judge, value_of
from paintdiff.mini.recipe import Recipe
from paintdiff.mini.world import Scene, describe, render, sample_scene
from paintdiff.preprocessors.lines import detect_canny_edges

EVALUATION_OFFSET = 50_000_000
"""The seed offset of the evaluation: far from the training seeds, so wording and composition are
new."""


@dataclass(frozen=True)
class AskedPicture:
    """A prompt, the scene it describes, and which of the scene's judged attributes it states."""

    prompt: str
    scene: Scene
    stated: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """Agreement by attribute: (right, asked)."""

    agreement: dict[str, tuple[int, int]]

    @property
    def overall(self) -> float:
        """Return the share of all stated attributes that the judge confirms."""
        right, asked = (sum(pair[i] for pair in self.agreement.values()) for i in (0, 1))
        return right / asked

    def table(self) -> str:
        """Return a Markdown table, one row an attribute."""
        rows = [
            f"| {name} | {right} of {asked} | {100 * right / asked:.1f} % |"
            for name, (right, asked) in sorted(self.agreement.items())
        ]
        lines = ["| attribute | as asked | share |", "|---|---|---|", *rows]
        return "\n".join([*lines, f"| **all** | | **{100 * self.overall:.1f} %** |"])


def list_held_out_prompts(recipe: Recipe, judged: frozenset[str]) -> Iterator[AskedPicture]:
    """Yield prompts of compositions that were kept from training.

    Each states at least two judged attributes.
    """
    shifted = recipe.model_copy(update={"seed": recipe.seed + EVALUATION_OFFSET})
    config = recipe.world.config()
    for seed in scene_seeds(shifted, HELD_OUT):
        scene = sample_scene(seed, config)
        caption = describe(scene, seed, held_out=True)
        stated = tuple(sorted(caption.stated & judged))
        if len(stated) >= 2:
            yield AskedPicture(caption.text, scene, stated)


def score(
    asked: list[AskedPicture],
    judge: Judge,
    paint: Callable[[list[AskedPicture]], NDArray[np.uint8]],
) -> Report:
    """Paint every prompt with `paint` and compare the pictures with their prompts.

    `paint` returns (B, S, S, 3) uint8 RGB in the order given.
    """
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for start in range(0, len(asked), 16):
        some = asked[start : start + 16]
        for picture, verdict in zip(some, judge.verdicts(paint(some)), strict=True):
            for attribute in picture.stated:
                total[attribute] += 1
                right[attribute] += verdict[attribute] == value_of(picture.scene, attribute)
    return Report({name: (right[name], total[name]) for name in total})


def evaluate(recipe: Recipe, pipeline: StableDiffusionPipeline, judge: Judge) -> Report:
    """Evaluate a painter as the recipe says.

    The recipe gives the number of held-out prompts, the steps and the guidance.
    """
    asked = list(
        islice(list_held_out_prompts(recipe, frozenset(judge.labels)), recipe.evaluation.prompts)
    )

    def paint(some: list[AskedPicture]) -> NDArray[np.uint8]:
        return paint_prompts(recipe, pipeline, [picture.prompt for picture in some])

    return score(asked, judge, paint)


def paint_prompts(
    recipe: Recipe, pipeline: Any, prompts: list[str], seed: int = 0, **settings_of_its_own: Any
) -> NDArray[np.uint8]:
    """Paint the prompts as one batch at the recipe's steps and guidance; (B, S, S, 3) uint8 RGB.

    `settings_of_its_own` go to the pipeline, such as control maps.
    """
    settings = recipe.evaluation
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    result: Any = pipeline(
        prompts,
        num_inference_steps=settings.num_inference_steps,
        guidance_scale=settings.guidance_scale,
        width=recipe.size_px,
        height=recipe.size_px,
        generator=torch.Generator().manual_seed(seed),
        **settings_of_its_own,
    )
    return np.stack([np.asarray(image) for image in result.images])


@dataclass(frozen=True)
class ControlReport:
    """The results of a ControlNet on held-out pairs of a scene and its edges.

    They are how often the judge finds the requested subject, and the mean `edge_overlap`, each with
    and without the ControlNet.
    """

    pairs: int
    subjects_with: float
    subjects_without: float
    overlap_with: float
    overlap_without: float

    def table(self) -> str:
        """Return a Markdown table."""
        return "\n".join(
            [
                f"| {self.pairs} held-out pairs | with the ControlNet | without |",
                "|---|---|---|",
                f"| subject as asked | {100 * self.subjects_with:.1f} % "
                f"| {100 * self.subjects_without:.1f} % |",
                f"| overlap of drawn and painted edges (F1, 2 pixels) | {self.overlap_with:.2f} "
                f"| {self.overlap_without:.2f} |",
            ]
        )


def evaluate_control(
    recipe: Recipe, pipeline: StableDiffusionPipeline, control: ControlNetModel, judge: Judge
) -> ControlReport:
    """Paint the recipe's number of held-out scenes with and without the ControlNet.

    With it, they are painted from their prompts and Canny edges; without it, from their prompts
    alone and the same noise.
    """
    asked = list(
        islice(
            (
                picture
                for picture in list_held_out_prompts(recipe, frozenset(judge.labels))
                if "subject" in picture.stated
            ),
            recipe.evaluation.control_pairs,
        )
    )
    guided = StableDiffusionControlNetPipeline(**pipeline.components, controlnet=control)
    right, overlaps = np.zeros(2), np.zeros(2)
    for start in range(0, len(asked), 16):
        some = asked[start : start + 16]
        prompts = [picture.prompt for picture in some]
        drawn = [detect_canny_edges(render(picture.scene, recipe.size_px)) for picture in some]
        maps = [Image.fromarray(edges).convert("RGB") for edges in drawn]
        for place, images in enumerate(
            (
                paint_prompts(recipe, guided, prompts, start, image=maps),
                paint_prompts(recipe, pipeline, prompts, start),
            )
        ):
            verdicts = judge.verdicts(images)
            right[place] += sum(
                verdict["subject"] == value_of(picture.scene, "subject")
                for picture, verdict in zip(some, verdicts, strict=True)
            )
            overlaps[place] += sum(map(edge_overlap, drawn, images))
    shares = [float(value) for value in (*right / len(asked), *overlaps / len(asked))]
    return ControlReport(len(asked), *shares)


def contact_sheet(images: NDArray[np.uint8], columns: int, gap_px: int = 4) -> Image.Image:
    """Return the pictures (B, S, S, 3) side by side on white, `columns` a row."""
    side = images.shape[1]
    rows = -(-len(images) // columns)
    size = (columns * (side + gap_px) - gap_px, rows * (side + gap_px) - gap_px)
    sheet = Image.new("RGB", size, "white")
    for number, image in enumerate(images):
        place = ((number % columns) * (side + gap_px), (number // columns) * (side + gap_px))
        sheet.paste(Image.fromarray(image), place)
    return sheet
