"""LoRAs that let a model paint in few steps (`presets/few_steps.yaml`).

Importable without torch.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from paintdiff.config.presets import find_row, presets_folder, read_mapping, validate_row
from paintdiff.models.catalog import messages
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.registry.adapter_rows import LoraRow
from paintdiff.models.registry.base_rows import GENERAL_STEMS
from paintdiff.models.registry.families import QualityFigures, SamplerName
from paintdiff.models.registry.model_rows import ModelRow

FILE_NAME = "few_steps.yaml"
_LEAST_NAMED_STEPS = 2
"""What was made for one step needs schedulers of its own."""
_MOST_NAMED_STEPS = 16


class FewStepsKind(BaseModel):
    """A row of presets/few_steps.yaml, which explains its fields.

    `sampler` is None for the model's own, `steps` for those in a LoRA's name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    pattern: str
    sampler: SamplerName | None = None
    guidance_scale: float = Field(default=1.0, ge=0.0, le=50.0)
    weight: float = Field(default=1.0, gt=0.0, le=2.0)
    steps: dict[str, int] | None = None

    @field_validator("pattern")
    @classmethod
    def _is_pattern(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(messages.not_a_pattern(pattern, error)) from error
        return pattern

    def steps_of(self, lora: LoraRow, qualities: Collection[str]) -> Mapping[str, int] | None:
        """Return the steps of each quality with a LoRA, None if it is of another kind."""
        found = re.search(self.pattern, _descriptive_name(lora), re.IGNORECASE)
        if found is None or self.steps is not None:
            return None if found is None else self.steps
        steps = int(found[1])
        fitting = _LEAST_NAMED_STEPS <= steps <= _MOST_NAMED_STEPS
        return dict.fromkeys(qualities, steps) if fitting else None


@dataclass(frozen=True)
class FewSteps:
    """A LoRA for a model, its weight, and the model's row with its steps, guidance and sampler."""

    lora: LoraRow
    weight: float
    model: ModelRow

    def suits(self, steps: int | None, guidance_scale: float | None) -> bool:
        """Return whether it suits these steps and this guidance scale; None is left open.

        Up to twice its own steps and scale do.
        """
        figures = self.model.quality.values()
        most_steps = 2 * max(each.num_inference_steps for each in figures)
        most_guidance = 2 * max(1.0, *(each.guidance_scale for each in figures))
        few = steps is None or steps <= most_steps
        return few and (guidance_scale is None or guidance_scale <= most_guidance)


def find_few_steps(
    model: ModelRow, catalog: Catalog, named: Collection[str] = ()
) -> FewSteps | None:
    """Return the LoRA that makes few steps enough for a model, None without one.

    Those that are `named` come first, then all in the order of presets/few_steps.yaml. None also if
    the model needs few steps by itself.
    """
    if model.distilled:
        return None
    loras = [row for row in catalog.rows(LoraRow) if row.fits(model.family.name)]
    for chosen in ([row for row in loras if row.name in named], loras):
        for kind in few_step_kinds():
            for lora in chosen:
                steps = kind.steps_of(lora, model.quality)
                if steps is not None:
                    return FewSteps(lora, kind.weight, _with_figures(model, kind, steps))
    return None


def find_few_step_loras(names: Collection[str], model: ModelRow, catalog: Catalog) -> bool:
    """Return whether one of those LoRAs makes few steps enough for a model."""
    few = find_few_steps(model, catalog, names) if names else None
    return few is not None and few.lora.name in names


@cache
def few_step_kinds() -> tuple[FewStepsKind, ...]:
    """Return the rows that ship with the app. Raises PresetError if they can't be read."""
    return read_few_step_kinds(presets_folder())


def read_few_step_kinds(folder: Path) -> tuple[FewStepsKind, ...]:
    """Return the rows in a folder with the layout of `presets`. Raises PresetError."""
    path = folder / FILE_NAME
    named = {name: find_row(name, row, path) for name, row in read_mapping(path).items()}
    return tuple(validate_row(dict[str, FewStepsKind], named, path).values())


def _with_figures(model: ModelRow, kind: FewStepsKind, steps: Mapping[str, int]) -> ModelRow:
    most = max(steps.values())
    quality = {
        name: QualityFigures(
            num_inference_steps=steps.get(name, most), guidance_scale=kind.guidance_scale
        )
        for name in model.quality
    }
    fits = kind.sampler in model.family.sampler_names()
    sampler = kind.sampler if fits and kind.sampler is not None else model.sampler
    return model.model_copy(update={"quality": quality, "sampler": sampler})


def _descriptive_name(lora: LoraRow) -> str:
    """Return the name of its file, or of its folder if the file's name is a general one."""
    path = lora.file
    return path.parent.name if path.stem.lower() in GENERAL_STEMS else path.stem
