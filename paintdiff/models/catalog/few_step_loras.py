"""LoRAs with which a model needs few steps (`presets/few_steps.yaml`): which there is for a model,
and what that is painted with then. Importable without torch.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from paintdiff.config.presets import find_row, presets_folder, read_mapping, validate_row
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
    """A row of presets/few_steps.yaml; what its fields are is said there. `sampler` is None for the
    model's own, `steps` for those that a LoRA's name says.
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
            raise ValueError(f"{pattern!r} isn't a regular expression: {error}") from error
        return pattern

    def steps_of(self, lora: LoraRow, qualities: Collection[str]) -> Mapping[str, int] | None:
        """The steps of each quality with a LoRA, None if it is of another kind."""
        found = re.search(self.pattern, _telling_name(lora), re.IGNORECASE)
        if found is None or self.steps is not None:
            return None if found is None else self.steps
        steps = int(found[1])
        fitting = _LEAST_NAMED_STEPS <= steps <= _MOST_NAMED_STEPS
        return dict.fromkeys(qualities, steps) if fitting else None


@dataclass(frozen=True)
class FewSteps:
    """A LoRA for a model, the weight that it takes, and the model's row with what it is painted
    with then: steps, guidance, sampler.
    """

    lora: LoraRow
    weight: float
    model: ModelRow

    def suits(self, steps: int | None, guidance_scale: float | None) -> bool:
        """Whether so many steps at such a guidance scale (None: left open) are painted well with
        it: up to twice as many, and twice its scale.
        """
        figures = self.model.quality.values()
        most_steps = 2 * max(each.num_inference_steps for each in figures)
        most_guidance = 2 * max(1.0, *(each.guidance_scale for each in figures))
        few = steps is None or steps <= most_steps
        return few and (guidance_scale is None or guidance_scale <= most_guidance)


def find_few_steps(
    model: ModelRow, catalog: Catalog, named: Collection[str] = ()
) -> FewSteps | None:
    """What makes few steps enough for a model, of what there is: one of those that are `named`
    before all others, then as they stand in presets/few_steps.yaml. None if there is none, or the
    model needs few steps by itself.
    """
    if model.distilled:
        return None
    loras = [row for row in catalog.rows(LoraRow) if row.fits(model.family.name)]
    for chosen in ([row for row in loras if row.name in named], loras):
        for kind in few_step_kinds():
            for lora in chosen:
                steps = kind.steps_of(lora, model.quality)
                if steps is not None:
                    return FewSteps(lora, kind.weight, _painted_so(model, kind, steps))
    return None


def find_few_step_loras(names: Collection[str], model: ModelRow, catalog: Catalog) -> bool:
    """Whether one of those LoRAs makes few steps enough for a model."""
    few = find_few_steps(model, catalog, names) if names else None
    return few is not None and few.lora.name in names


@cache
def few_step_kinds() -> tuple[FewStepsKind, ...]:
    """The rows that ship with the app. Raises PresetError if they can't be read or don't fit."""
    return read_few_step_kinds(presets_folder())


def read_few_step_kinds(folder: Path) -> tuple[FewStepsKind, ...]:
    """Those in another folder of the same layout. Raises PresetError."""
    path = folder / FILE_NAME
    named = {name: find_row(name, row, path) for name, row in read_mapping(path).items()}
    return tuple(validate_row(dict[str, FewStepsKind], named, path).values())


def _painted_so(model: ModelRow, kind: FewStepsKind, steps: Mapping[str, int]) -> ModelRow:
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


def _telling_name(lora: LoraRow) -> str:
    """What its file is called, or the folder of one with a general name."""
    path = lora.file
    return path.parent.name if path.stem.lower() in GENERAL_STEMS else path.stem
