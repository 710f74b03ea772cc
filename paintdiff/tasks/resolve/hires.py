"""What a hires fix leaves open, filled when its request is submitted."""

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
from paintdiff.tasks.controls import control_acts, find_fitting_controlnet
from paintdiff.tasks.resolve.sampling import check_strength, least_strength

if TYPE_CHECKING:
    from paintdiff.models.catalog.catalog import Catalog

PaintingT = TypeVar("PaintingT", bound=PaintingRequest)

SHARP_LATENT_STRENGTH = 0.5
"""From here on the second pass makes up for the softness of enlarged latents."""

_TILE = re.compile(r"(?<![a-z])tile(?![a-z])")


def resolve_hires(settled: PaintingT, catalog: Catalog) -> tuple[PaintingT, tuple[str, ...]]:
    """The settled request with nothing left open in its hires fix, and what a person should know
    about that. A request without one comes back as it is.

    Raises RequestError, SizeError or UnknownNameError, with the field in `field`, such as
    "hires.strength".
    """
    if not isinstance(settled, TextToImage) or settled.hires is None:
        return settled, ()
    model, hires = catalog.find(ModelRow, settled.model), settled.hires
    size, warnings = _settled_target(settled.sampling().size, hires.scale, model)
    steps = _settled_steps(settled, hires)
    strength = hires.strength
    if strength is None:
        strength = model.family.hires_strength
        strength = max(strength, least_strength(steps)) if strength else 0.0
    check_strength(strength, steps, "hires.strength")
    tiled = sees_through_windows(hires.tiled, size, model)
    upscaler = _settled_upscaler(hires.upscaler, catalog)
    if upscaler == LATENT_UPSCALER and strength < SHARP_LATENT_STRENGTH:
        warnings += (
            f"Enlarged latents stay soft at a strength of {strength:g}. Use a higher strength, "
            "or an upscaler.",
        )
    update = {
        "upscaler": upscaler,
        "strength": strength,
        "num_inference_steps": steps,
        "tiled": tiled,
        "controlnet": _settled_controlnet(settled, hires.controlnet, tiled, catalog)
        if strength
        else NO_CONTROLNET,
    }
    return settled.model_copy(update={"hires": hires.model_copy(update=update)}), warnings


def compute_hires_size(first: Size, scale: float, model: ModelRow) -> Size:
    """The size of the second pass, in pixels: rounded to what the model can paint."""
    exact = Size(round(first.width * scale), round(first.height * scale))
    return round_to_multiple(exact, model.family.size_multiple)


def _settled_target(first: Size, scale: float, model: ModelRow) -> tuple[Size, tuple[str, ...]]:
    exact = Size(round(first.width * scale), round(first.height * scale))
    size = compute_hires_size(first, scale, model)
    try:
        check_size(size)
    except SizeError as error:
        raise SizeError(
            f"{first} enlarged {scale:g} times is too large: {error}", field="hires.scale"
        ) from error
    if size == first:
        raise RequestError(
            f"A scale of {scale:g} doesn't change {first}: {model.title} paints in multiples of "
            f"{model.family.size_multiple} pixels. Enlarge more.",
            field="hires.scale",
        )
    if size == exact:
        return size, ()
    return size, (
        f"The enlarged size {exact} became {size}: {model.title} paints in multiples of "
        f"{model.family.size_multiple} pixels.",
    )


def _settled_steps(settled: TextToImage, hires: HiresFix) -> int:
    sampling = settled.sampling()
    if hires.num_inference_steps is None:
        return sampling.num_inference_steps
    most = SAMPLERS[sampling.sampler].max_steps
    if hires.num_inference_steps > most:
        raise RequestError(
            f"{sampling.sampler} takes at most {most} steps, not {hires.num_inference_steps}.",
            field="hires.num_inference_steps",
        )
    return hires.num_inference_steps


def _settled_upscaler(name: str | None, catalog: Catalog) -> str:
    if name == LATENT_UPSCALER:
        return name
    if name is None:
        return next((row.name for row in catalog.rows(UpscalerRow)), LATENT_UPSCALER)
    try:
        return catalog.find(UpscalerRow, name).name
    except UnknownNameError as error:
        raise error.at("hires.upscaler", f"{LATENT_UPSCALER!r} is always available.") from error


def _settled_controlnet(
    settled: TextToImage, asked: str | None, tiled: bool, catalog: Catalog
) -> str:
    if asked == NO_CONTROLNET:
        return asked
    model = catalog.find(ModelRow, settled.model)
    if asked is not None:
        return find_fitting_controlnet(asked, model, catalog, "hires.controlnet").name
    if not tiled or any(map(control_acts, settled.controls)):
        return NO_CONTROLNET
    made_for_it = filter(_sharpens, catalog.fitting(ControlNetRow, model))
    return next((row.name for row in made_for_it), NO_CONTROLNET)


def _sharpens(row: ControlNetRow) -> bool:
    """Whether a ControlNet was made to add detail to the picture that is its map."""
    return "tile" in row.preprocessors or _TILE.search(row.name.lower()) is not None
