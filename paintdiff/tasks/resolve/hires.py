"""The hires fix: its size, upscaler, strength, steps and ControlNet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from paintdiff.errors import RequestError, SizeError, UnknownNameError
from paintdiff.imaging.geometry import Size, check_size, round_to_multiple
from paintdiff.jobs.request_parts import LATENT_UPSCALER, NO_CONTROLNET, HiresFix
from paintdiff.jobs.requests import PaintingRequest, TextToImage
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.samplers import SAMPLERS
from paintdiff.models.registry.upscaler_rows import UpscalerRow
from paintdiff.models.tiling.windows import sees_through_windows
from paintdiff.tasks.controls import has_effect
from paintdiff.tasks.resolve import messages
from paintdiff.tasks.resolve.context import ResolveContext
from paintdiff.tasks.resolve.controls import find_fitting_controlnet
from paintdiff.tasks.resolve.sampling import check_strength, find_least_strength

if TYPE_CHECKING:
    from paintdiff.models.catalog.catalog import Catalog

PaintingT = TypeVar("PaintingT", bound=PaintingRequest)

SHARP_LATENT_STRENGTH = 0.5
"""From this strength on the second pass makes up for the softness of enlarged latents."""

_TILE = re.compile(r"(?<![a-z])tile(?![a-z])")


def resolve_hires(request: PaintingT, context: ResolveContext) -> PaintingT:
    """Fill in the hires fix of a request whose sampling is resolved; without one, change nothing.

    Raises RequestError, SizeError or UnknownNameError, with the field in `field`, such as
    "hires.strength".
    """
    if not isinstance(request, TextToImage) or request.hires is None:
        return request
    model, hires = context.model, request.hires
    size = _resolve_target(request.sampling().size, hires.scale, context)
    steps = _resolve_steps(request, hires)
    strength = hires.strength
    if strength is None:
        strength = model.family.hires_strength
        strength = max(strength, find_least_strength(steps)) if strength else 0.0
    check_strength(strength, steps, "hires.strength")
    tiled = sees_through_windows(hires.tiled, size, model)
    upscaler = _resolve_upscaler(hires.upscaler, context.catalog)
    if upscaler == LATENT_UPSCALER and strength < SHARP_LATENT_STRENGTH:
        context.warn(messages.latents_stay_soft(strength))
    update = {
        "upscaler": upscaler,
        "strength": strength,
        "num_inference_steps": steps,
        "tiled": tiled,
        "controlnet": _resolve_controlnet(request, hires.controlnet, tiled, context)
        if strength
        else NO_CONTROLNET,
    }
    return request.model_copy(update={"hires": hires.model_copy(update=update)})


def compute_hires_size(first: Size, scale: float, model: ModelRow) -> Size:
    """Return the size of the second pass, in pixels, rounded to what the model can paint."""
    return round_to_multiple(_scale_exactly(first, scale), model.family.size_multiple)


def _scale_exactly(first: Size, scale: float) -> Size:
    return Size(round(first.width * scale), round(first.height * scale))


def _resolve_target(first: Size, scale: float, context: ResolveContext) -> Size:
    model = context.model
    exact, size = _scale_exactly(first, scale), compute_hires_size(first, scale, model)
    try:
        check_size(size)
    except SizeError as error:
        raise SizeError(
            messages.enlarged_too_large(first, scale, error), field="hires.scale"
        ) from error
    if size == first:
        raise RequestError(
            messages.scale_without_effect(scale, first, model.title, model.family.size_multiple),
            field="hires.scale",
        )
    if size != exact:
        context.warn(
            messages.enlarged_size_rounded(exact, size, model.title, model.family.size_multiple)
        )
    return size


def _resolve_steps(request: TextToImage, hires: HiresFix) -> int:
    sampling = request.sampling()
    if hires.num_inference_steps is None:
        return sampling.num_inference_steps
    most = SAMPLERS[sampling.sampler].max_steps
    if hires.num_inference_steps > most:
        raise RequestError(
            messages.too_many_steps(sampling.sampler, most, hires.num_inference_steps),
            field="hires.num_inference_steps",
        )
    return hires.num_inference_steps


def _resolve_upscaler(name: str | None, catalog: Catalog) -> str:
    if name == LATENT_UPSCALER:
        return name
    if name is None:
        return next((row.name for row in catalog.rows(UpscalerRow)), LATENT_UPSCALER)
    try:
        return catalog.find(UpscalerRow, name).name
    except UnknownNameError as error:
        raise error.at("hires.upscaler", messages.always_available(LATENT_UPSCALER)) from error


def _resolve_controlnet(
    request: TextToImage, asked: str | None, tiled: bool, context: ResolveContext
) -> str:
    if asked == NO_CONTROLNET:
        return asked
    if asked is not None:
        return find_fitting_controlnet(asked, context, "hires.controlnet").name
    if not tiled or any(map(has_effect, request.controls)):
        return NO_CONTROLNET
    made_for_it = filter(_adds_detail, context.catalog.fitting(ControlNetRow, context.model))
    return next((row.name for row in made_for_it), NO_CONTROLNET)


def _adds_detail(row: ControlNetRow) -> bool:
    """Return whether a ControlNet was made to add detail to the picture that is its map."""
    return "tile" in row.preprocessors or _TILE.search(row.name.lower()) is not None
