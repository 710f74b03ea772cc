"""A LoRA that makes few steps enough, where a profile takes one. Nothing is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from paintdiff.jobs.messages import FieldMessage
from paintdiff.jobs.request_parts import LoraInput
from paintdiff.jobs.requests import MAX_LORAS, PaintingRequest
from paintdiff.models.catalog.few_step_loras import FewSteps, find_few_step_loras, find_few_steps
from paintdiff.tasks.adapters import collect_lora_uses

if TYPE_CHECKING:
    from paintdiff.models.catalog.catalog import Catalog
    from paintdiff.models.registry.model_rows import ModelRow
    from paintdiff.models.registry.speed_profiles import Profile

PaintingT = TypeVar("PaintingT", bound=PaintingRequest)


def apply_few_steps(
    request: PaintingT, model: ModelRow, profile: Profile, catalog: Catalog
) -> tuple[PaintingT, ModelRow, tuple[str, ...]]:
    """The request with the LoRA among its own, the model's row with the steps, guidance and sampler
    that it wants, and what a person should know about that. All stays as it is where the profile
    takes none, or there is none, or what was asked for doesn't suit it.
    """
    uses = collect_lora_uses(request)
    few = find_few_steps(model, catalog, [use.name for use in uses]) if profile.few_steps else None
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
    return FieldMessage(
        f"{profile.title} didn't use the LoRA {few.lora.title} ({figures.num_inference_steps} "
        f"steps, guidance {figures.guidance_scale:g}), because {why}.",
        "num_inference_steps",
    )


def find_acting_profile(settled: PaintingRequest, profile: Profile, catalog: Catalog) -> Profile:
    """The profile as a settled request is painted by it: few steps leave nothing that could be left
    out between them.
    """
    if not profile.keeps_features and not profile.limits_guidance:
        return profile
    names = [use.name for use in collect_lora_uses(settled) if use.acts]
    if not find_few_step_loras(names, catalog.model(settled.model), catalog):
        return profile
    return profile.without_skipping
