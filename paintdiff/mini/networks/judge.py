"""The judge: a small classifier of pictures, trained on rendered scenes only.

It has one trunk, and one head an attribute. It measures whether a picture matches its prompt. It
never sees a painted picture while it learns; rendered ones are blurred and noised so that it
doesn't rely on pixel-sharp edges.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from paintdiff.errors import ModelNotFoundError
from paintdiff.mini.data.dataset import Dataset, as_pixels, mirror
from paintdiff.mini.loop import Losses, Machine, TrainingLoop
from paintdiff.mini.recipe import Recipe
from paintdiff.mini.world import Scene, subject_category

ABSENT = "none"
"""The label of an attribute that a scene doesn't have."""

NECK = 128

Labels = dict[str, tuple[str, ...]]


def list_judged_labels(recipe: Recipe) -> Labels:
    """Return the judged attributes and their values, in the order of the heads' outputs."""
    world = recipe.world.config()
    edition = world.edition
    categories = tuple(sorted({subject_category(name, edition) for name in world.subjects}))
    labels: Labels = {
        "category": ("scenery", *categories),
        "scenery": world.scenery,
        "subject": (ABSENT, *world.subjects),
        "colour": (ABSENT, *world.colours),
        "time_of_day": (ABSENT, *world.times_of_day),
        "side": (ABSENT, "left", "centre", "right"),
    }
    if edition:
        labels |= {
            "count": tuple(str(count) for count in range(world.max_count + 1)),
            "weather": (ABSENT, *world.weathers),
            "season": (ABSENT, *world.seasons),
            "style": (ABSENT, *world.styles),
            "size": (ABSENT, "small", "big", "portrait"),
            "companion": (ABSENT, *world.subjects),
            "companion_colour": (ABSENT, *world.colours),
            "part_colour": (ABSENT, *world.colours),
        }
    return labels


def value_of(scene: Scene, attribute: str) -> str:
    """Return the scene's value of a judged attribute, ABSENT if it has none."""
    value = getattr(scene, attribute)
    return ABSENT if value is None else str(value)


class Judge(nn.Module):
    """A network from pixels (B, 3, S, S) in -1..1 to logits (B, labels) by attribute."""

    def __init__(self, labels: Labels, channels: Sequence[int]) -> None:
        super().__init__()
        self.labels, self.channels = labels, tuple(channels)
        layers: list[nn.Module] = []
        previous = 3
        for width in channels:
            layers += [
                nn.Conv2d(previous, width, 3, stride=2, padding=1),
                nn.GroupNorm(8, width),
                nn.SiLU(),
                nn.Conv2d(width, width, 3, padding=1),
                nn.GroupNorm(8, width),
                nn.SiLU(),
            ]
            previous = width
        self.trunk = nn.Sequential(*layers)
        # A 4 x 4 grid, not one mean: the attribute `side` depends on the position.
        self.neck = nn.Sequential(
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Dropout(0.1),
            nn.Linear(16 * previous, NECK),
            nn.SiLU(),
        )
        self.heads = nn.ModuleDict({name: nn.Linear(NECK, len(v)) for name, v in labels.items()})

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """Return the logits by attribute, each (B, number of labels)."""
        features = self.neck(self.trunk(pixels))
        return {name: head(features) for name, head in self.heads.items()}

    @torch.no_grad()
    def verdicts(self, images: NDArray[np.uint8]) -> list[dict[str, str]]:
        """Classify each picture; return one dict of labels a picture.

        `images` is (B, S, S, 3) uint8 RGB.
        """
        logits = self.eval()(as_pixels(images))
        picks = {name: values.argmax(1).tolist() for name, values in logits.items()}
        return [
            {name: self.labels[name][numbers[row]] for name, numbers in picks.items()}
            for row in range(len(images))
        ]


def save_judge(judge: Judge, folder: Path) -> None:
    """Write `judge.safetensors` and `judge.json` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.half().contiguous() for name, value in judge.state_dict().items()}
    save_file(weights, folder / "judge.safetensors")
    description = {"labels": judge.labels, "channels": judge.channels}
    (folder / "judge.json").write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")


def load_judge(folder: Path) -> Judge:
    """Load the judge that `save_judge` wrote. Raises ModelNotFoundError if it isn't there."""
    if not (folder / "judge.json").exists():
        raise ModelNotFoundError(
            f"There is no judge in {folder}; run the train-judge command first."
        )
    description = json.loads((folder / "judge.json").read_text(encoding="utf-8"))
    labels = {name: tuple(values) for name, values in description["labels"].items()}
    judge = Judge(labels, description["channels"])
    judge.load_state_dict(
        {k: v.float() for k, v in load_file(folder / "judge.safetensors").items()}
    )
    return judge.eval()


def train_judge(data: Dataset, folder: Path, machine: Machine) -> Judge:
    """Train the judge, or resume its training; return the averaged weights."""
    recipe = data.recipe
    labels = list_judged_labels(recipe)
    judge = machine.prepare(Judge(labels, recipe.judge.channels)).train()
    loop = TrainingLoop("judge", folder, {"judge": judge}, recipe.judge.plan, recipe.seed)
    scenes = [data.scene(index) for index in range(len(data))]

    def losses(random: np.random.Generator, progress: float) -> Losses:
        rows = random.integers(len(data), size=recipe.judge.plan.batch_size).tolist()
        pairs = [
            mirror(scenes[row], data.image(row))
            if random.random() < 0.5
            else (scenes[row], data.image(row))
            for row in rows
        ]
        pixels = _roughened(as_pixels(np.stack([image for _, image in pairs])), random)
        with machine.autocast():
            logits = judge(pixels.to(machine.device))
        parts = {
            name: functional.cross_entropy(
                logits[name].float(), _targets(name, values, (scene for scene, _ in pairs))
            )
            for name, values in labels.items()
        }
        return {"loss": torch.stack(list(parts.values())).sum(), **parts}

    loop.run(losses, machine.now)
    loop.use_average()
    return judge


def _targets(attribute: str, values: tuple[str, ...], scenes: Iterable[Scene]) -> Tensor:
    return torch.tensor([values.index(value_of(scene, attribute)) for scene in scenes])


def _roughened(pixels: Tensor, random: np.random.Generator) -> Tensor:
    """Return the batch with noise; half of the time also blurred by shrinking and enlarging it."""
    if random.random() < 0.5:
        smaller = float(random.uniform(0.4, 0.9))
        small = functional.interpolate(
            pixels, scale_factor=smaller, mode="bilinear", antialias=True
        )
        pixels = functional.interpolate(small, size=pixels.shape[-2:], mode="bilinear")
    return pixels + torch.randn_like(pixels) * float(random.uniform(0, 0.06))
