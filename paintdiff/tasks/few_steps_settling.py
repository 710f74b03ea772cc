"""A LoRA that makes few steps enough, where a profile takes one. Nothing is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from paintdiff.ingredients import LoraInput
from paintdiff.models.few_steps import FewSteps, few_steps_for, few_steps_loras
from paintdiff.requests import MAX_LORAS, PaintingRequest
from paintdiff.sentences import Remark
from paintdiff.tasks.adapters import lora_uses

if TYPE_CHECKING:
    from paintdiff.models.catalog import Catalog
    from paintdiff.models.model_rows import ModelRow
    from paintdiff.models.profiles import Profile

PaintingT = TypeVar("PaintingT", bound=PaintingRequest)


def with_few_steps(
    request: PaintingT, model: ModelRow, profile: Profile, catalog: Catalog
) -> tuple[PaintingT, ModelRow, tuple[str, ...]]:
    """The request with the LoRA among its own, the model's row with the steps, guidance and sampler
    that it wants, and what a person should know about that. All stays as it is where the profile
    takes none, or there is none, or what was asked for doesn't suit it.
    """
    uses = lora_uses(request)
    few = few_steps_for(model, catalog, [use.name for use in uses]) if profile.few_steps else None
    if few is None:
        return request, model, ()
    if any(use.name == few.lora.name for use in uses):
        return request, few.model, ()
    if not few.suits(request.num_inference_steps, request.guidance_scale):
        return request, model, (_unused(few, profile, request, "other settings were chosen"),)
    if len(uses) >= MAX_LORAS:
        why = f"there are {len(uses)} LoRAs already"
        return request, model, (_unused(few, profile, request, why),)
    loras = (*request.loras, LoraInput(name=few.lora.name, weight=few.weight))
    said: tuple[str, ...] = ()
    if request.num_inference_steps is None:  # else who asked for so few knows of it
        said = (f"{profile.title} used the LoRA {few.lora.title}, which needs few steps.",)
    return request.model_copy(update={"loras": loras}), few.model, said


def _unused(few: FewSteps, profile: Profile, request: PaintingRequest, why: str) -> str:
    figures = few.model.figures(request.quality)
    return Remark(
        f"{profile.title} didn't use the LoRA {few.lora.title} ({figures.num_inference_steps} "
        f"steps, guidance {figures.guidance_scale:g}), because {why}.",
        "num_inference_steps",
    )


def acting_profile(settled: PaintingRequest, profile: Profile, catalog: Catalog) -> Profile:
    """The profile as a settled request is painted by it: few steps leave nothing that could be left
    out between them.
    """
    if not profile.keeps_features and not profile.limits_guidance:
        return profile
    names = [use.name for use in lora_uses(settled) if use.acts]
    if not few_steps_loras(names, catalog.model(settled.model), catalog):
        return profile
    return profile.leaving_nothing_out
