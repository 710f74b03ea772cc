"""Branches of a request: what a run can change on its way, and where."""

from __future__ import annotations

import paintdiff.tasks.resolve.messages as messages
from paintdiff.errors import RequestError
from paintdiff.jobs.request_parts import Branch
from paintdiff.jobs.requests import ImageToImage, Inpaint, PaintingRequest
from paintdiff.models.conditioning.prompt_plan import plan_prompts
from paintdiff.models.inference.denoising_run import count_steps_run
from paintdiff.models.registry.samplers import SAMPLERS
from paintdiff.prompts.extra_networks import split_lora_tags
from paintdiff.prompts.wildcards.template import is_template
from paintdiff.tasks.resolve.context import ResolveContext

_CHANGEABLE_GUIDANCE = ("classifier_free", "beyond_one")
"""The kinds of guidance whose scale a pipeline reads at every step."""


def check_branches(request: PaintingRequest, context: ResolveContext) -> None:
    """Check the branches of a request whose sampling is resolved.

    Raises:
        RequestError: One can't be painted.
    """
    if not request.branches:
        return
    if request.refiner is not None:
        raise RequestError(messages.BRANCH_WITH_REFINER, field="branches")
    if isinstance(request, ImageToImage) and request.loopback > 1:
        raise RequestError(messages.BRANCH_WITH_LOOPBACK, field="branches")
    _check_steps(request)
    for index, branch in enumerate(request.branches):
        field = f"branches.{index}"
        _check_prompts(request, branch, context, field)
        _check_guidance(request, branch, context, field)
        sampler = request.sampling().sampler
        if branch.seed is not None and not SAMPLERS[sampler].adds_noise:
            context.warn(messages.branch_seed_without_effect(sampler), f"{field}.seed")


def _check_steps(request: PaintingRequest) -> None:
    strength = request.strength if isinstance(request, (ImageToImage, Inpaint)) else 1.0
    steps = count_steps_run(request.sampling().num_inference_steps, strength)
    before = 0
    for index, branch in enumerate(request.branches):
        if not before < branch.after_step < steps:
            raise RequestError(
                messages.branch_outside(branch.after_step, before + 1, steps - 1),
                field=f"branches.{index}.after_step",
            )
        before = branch.after_step


def _check_prompts(
    request: PaintingRequest, branch: Branch, context: ResolveContext, field: str
) -> None:
    if branch.prompt is None and branch.negative_prompt is None:
        return
    if request.prompt_syntax == "plain" or not context.model.family.takes_weights:
        raise RequestError(
            messages.prompt_cannot_change(context.model.title), field=f"{field}.prompt"
        )
    if any(is_template(each or "") for each in (branch.prompt, branch.negative_prompt)):
        context.warn(messages.BRANCH_TEMPLATE, f"{field}.prompt")
    if branch.prompt is None:
        return
    tags = split_lora_tags(branch.prompt)[1]
    if tags and tags != split_lora_tags(request.prompt)[1]:
        raise RequestError(messages.LORAS_CANNOT_CHANGE, field=f"{field}.prompt")
    steps = request.sampling().num_inference_steps
    own, new = (
        plan_prompts(each, "", steps, 0, lambda text: text).weights
        for each in (request.prompt, branch.prompt)
    )
    if own != new:
        raise RequestError(messages.PARTS_CANNOT_CHANGE, field=f"{field}.prompt")


def _check_guidance(
    request: PaintingRequest, branch: Branch, context: ResolveContext, field: str
) -> None:
    before, after = request.sampling().guidance_scale, branch.guidance_scale
    if after is None or after == before:
        return
    if context.model.family.guidance not in _CHANGEABLE_GUIDANCE:
        raise RequestError(
            messages.guidance_cannot_change(context.model.title),
            field=f"{field}.guidance_scale",
        )
    if (before > 1) != (after > 1):
        raise RequestError(
            messages.guidance_cannot_cross_one(before, after), field=f"{field}.guidance_scale"
        )
