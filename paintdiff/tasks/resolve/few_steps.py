"""Few-step LoRAs, for the profiles that use one. Nothing is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from paintdiff.jobs.field_messages import FieldMessage
from paintdiff.jobs.request_parts import LoraInput
from paintdiff.jobs.requests import MAX_LORAS, PaintingRequest
from paintdiff.models.catalog.few_step_loras import FewSteps, find_few_step_loras, find_few_steps
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.tasks.adapters import collect_lora_uses
from paintdiff.tasks.resolve import messages
from paintdiff.tasks.resolve.context import ResolveContext

if TYPE_CHECKING:
    from paintdiff.models.catalog.catalog import Catalog
    from paintdiff.models.registry.speed_profiles import Profile

PaintingT = TypeVar("PaintingT", bound=PaintingRequest)


def apply_few_steps(
    request: PaintingT, context: ResolveContext
) -> tuple[PaintingT, tuple[str, ...]]:
    """Add a few-step LoRA to the request, and its steps, guidance and sampler to the context's row.

    Changes nothing if the profile uses none, if there isn't one, or if it doesn't suit the request.
    Returns the request and the warnings, which are shown after the task's own.
    """
    profile = context.profile
    if not profile.few_steps:
        return request, ()
    uses = collect_lora_uses(request)
    few = find_few_steps(context.model, context.catalog, [use.name for use in uses])
    if few is None:
        return request, ()
    if any(use.name == few.lora.name for use in uses):
        context.model = few.model
        return request, ()
    if not few.suits(request.num_inference_steps, request.guidance_scale):
        return request, (_explain_unused(few, profile, request, messages.OTHER_SETTINGS),)
    if len(uses) >= MAX_LORAS:
        why = messages.loras_already(len(uses))
        return request, (_explain_unused(few, profile, request, why),)
    context.model = few.model
    loras = (*request.loras, LoraInput(name=few.lora.name, weight=few.weight))
    said: tuple[str, ...] = ()
    if request.num_inference_steps is None:  # whoever asked for so few steps knows about it
        said = (messages.used_few_step_lora(profile.title, few.lora.title),)
    return request.model_copy(update={"loras": loras}), said


def _explain_unused(few: FewSteps, profile: Profile, request: PaintingRequest, why: str) -> str:
    figures = few.model.figures(request.quality)
    return FieldMessage(
        messages.few_step_lora_unused(
            profile.title, few.lora.title, figures.num_inference_steps, figures.guidance_scale, why
        ),
        "num_inference_steps",
    )


def find_acting_profile(
    resolved: PaintingRequest, profile: Profile, model: ModelRow, catalog: Catalog
) -> Profile:
    """Return the profile by which a resolved request is painted.

    With few steps no step can be skipped, so the profile's shortcuts are turned off.
    """
    if not profile.keeps_features and not profile.limits_guidance:
        return profile
    names = [use.name for use in collect_lora_uses(resolved) if use.acts]
    if not find_few_step_loras(names, model, catalog):
        return profile
    return profile.without_skipping
