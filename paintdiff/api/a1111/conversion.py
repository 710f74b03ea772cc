"""Turns a request of the web UI's into one of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from paintdiff.api.a1111 import messages
from paintdiff.api.a1111.bodies import ImageToImageBody, PaintBody, TextToImageBody
from paintdiff.api.a1111.names import find_model, find_sampler
from paintdiff.api.a1111.options import Options, read_overrides
from paintdiff.api.a1111.pictures import fit_for_inpainting, read_picture
from paintdiff.api.a1111.scripts import Scripts, read_scripts
from paintdiff.api.painting import rename_field
from paintdiff.errors import RequestError, SizeError, UnknownNameError
from paintdiff.gallery.a1111.hires import read_hires
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.request_parts import LATENT_UPSCALER
from paintdiff.jobs.requests import Painting, check_painting, parse_request

if TYPE_CHECKING:
    from paintdiff.imaging.geometry import ResizeMode
    from paintdiff.jobs.input_images import InputImage
    from paintdiff.models.catalog.catalog import Catalog
    from paintdiff.models.registry.model_rows import ModelRow

_RESIZE_MODES: tuple[ResizeMode, ...] = ("stretch", "crop", "pad", "stretch")
_LATENT_RESIZE = 3
_MASKED_CONTENTS = ("fill", "original", "noise", "empty")
_NO_MODEL = ("", "none")
_LATENT = "Latent"
_QUALITY = "balanced"

_NAMES = {
    "num_inference_steps": "steps",
    "guidance_scale": "cfg_scale",
    "sampler": "sampler_name",
    "num_images": "batch_size",
    "variation_seed": "subseed",
    "variation_strength": "subseed_strength",
    "model": "override_settings.sd_model_checkpoint",
    "vae": "override_settings.sd_vae",
    "clip_skip": "override_settings.CLIP_stop_at_last_layers",
    "refiner": "refiner_checkpoint",
    "refiner.switch_at": "refiner_switch_at",
    "image": "init_images",
    "strength": "denoising_strength",
    "mask_blur_px": "mask_blur",
    "padding_px": "inpaint_full_res_padding",
    "hires": "enable_hr",
    "hires.scale": "hr_scale",
    "hires.upscaler": "hr_upscaler",
    "hires.strength": "denoising_strength",
    "hires.num_inference_steps": "hr_second_pass_steps",
}
"""A request's field as the web UI calls it."""


@dataclass(frozen=True)
class Converted:
    """A request of ours, what its client calls its fields, and warnings."""

    request: Painting
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    warnings: tuple[str, ...] = ()


def convert(
    body: TextToImageBody | ImageToImageBody, options: Options, catalog: Catalog
) -> Converted:
    """Return the request that a body describes. It may decode pictures, so call it in a thread.

    Raises:
        RequestError: A value can't be used; `field` is the web UI's name of it.
    """
    options, ignored = read_overrides(body.override_settings, options, catalog)
    row = find_model(catalog, options.checkpoint)
    init_image = _read_init_image(body) if isinstance(body, ImageToImageBody) else None
    scripts = read_scripts(body.script_name, body.alwayson_scripts, init_image)
    values = _convert_common(body, options, row, scripts)
    sampler, notes = _find_sampler(body, row)
    warnings = [*body.list_ignored(), *map(messages.not_used, notes), *ignored, *scripts.warnings]
    if isinstance(body, ImageToImageBody):
        assert init_image is not None
        more, said = _convert_pictures(body, init_image)
    else:
        more, said = _convert_hires(body, row, catalog)
    values |= {"sampler": sampler, **more}
    names = {**_NAMES, **scripts.controls.names}
    try:
        request = check_painting(parse_request(values))
    except RequestError as error:
        raise rename_field(error, names) from error
    return Converted(request, names, (*warnings, *said))


def _convert_common(
    body: PaintBody, options: Options, row: ModelRow, scripts: Scripts
) -> dict[str, object]:
    guidance = body.cfg_scale
    if row.family.guidance == "embedded" and body.distilled_cfg_scale is not None:
        guidance = body.distilled_cfg_scale  # the cfg_scale is 1 there, and means something else
    values: dict[str, object] = {
        "prompt": body.prompt,
        "negative_prompt": body.negative_prompt,
        "wildcards": scripts.wildcards,
        "styles": body.styles,
        "model": row.name,
        "num_inference_steps": body.steps,
        "guidance_scale": guidance,
        "seed": None if body.seed == -1 else body.seed,
        "num_images": body.num_images,
        "width": body.width,
        "height": body.height,
        "controls": scripts.controls.values,
        "vae": options.vae,
        "clip_skip": options.clip_skip,
    }
    if "CLIP_stop_at_last_layers" not in body.override_settings and body.clip_skip is not None:
        values["clip_skip"] = body.clip_skip  # SD.Next's place for it
    if body.subseed_strength:
        values["variation_strength"] = body.subseed_strength
        values["variation_seed"] = None if body.subseed == -1 else body.subseed
    if body.refiner_checkpoint.strip().casefold() not in _NO_MODEL:
        refiner: dict[str, object] = {"model": body.refiner_checkpoint}
        if body.refiner_switch_at is not None:
            refiner["switch_at"] = body.refiner_switch_at
        values["refiner"] = refiner
    return values


def _find_sampler(body: PaintBody, row: ModelRow) -> tuple[str | None, list[str]]:
    try:
        return find_sampler(body.sampler_name or body.sampler_index, body.scheduler, row)
    except UnknownNameError as error:
        raise error.at("sampler_name") from error


def _convert_hires(
    body: TextToImageBody, row: ModelRow, catalog: Catalog
) -> tuple[dict[str, object], list[str]]:
    """Return the field `hires`, by the rules for the web UI's texts, and warnings."""
    if not body.enable_hr:
        return {}, []
    steps = body.steps or row.figures(_QUALITY).num_inference_steps
    settings = {"Steps": str(steps), "Hires upscaler": body.hr_upscaler}
    if body.denoising_strength is not None:
        settings["Denoising strength"] = str(body.denoising_strength)
    if body.hr_second_pass_steps:
        settings["Hires steps"] = str(body.hr_second_pass_steps)
    warnings: list[str] = []
    size = Size(body.width or row.native_size.width, body.height or row.native_size.height)
    target = f"{body.hr_resize_x}x{body.hr_resize_y}"
    if body.hr_resize_x or body.hr_resize_y:
        settings |= {"Hires resize": target, "Size": str(size)}
        if body.hr_resize_x * size.height != body.hr_resize_y * size.width and (
            body.hr_resize_x and body.hr_resize_y
        ):
            warnings.append(messages.hires_keeps_shape(target))
    else:
        settings["Hires upscale"] = str(body.hr_scale)
    try:
        values = dict(read_hires(settings))
    except SizeError as error:
        raise RequestError(str(error), field="width") from error
    hires = values.get("hires")
    if isinstance(hires, dict):
        warnings += _choose_upscaler(body.hr_upscaler, hires)
    return values, warnings


def _choose_upscaler(name: str, hires: dict[str, object]) -> list[str]:
    if name.casefold() in _NO_MODEL:
        hires.pop("upscaler", None)
        return [messages.HIRES_NEEDS_UPSCALER]
    if hires.get("upscaler") == LATENT_UPSCALER and name != _LATENT:
        return [messages.one_latent_upscaler(name)]
    return []


def _read_init_image(body: ImageToImageBody) -> InputImage:
    if len(body.init_images) != 1:
        count = len(body.init_images)
        raise RequestError(messages.wrong_number_of_images(count), field="init_images")
    return read_picture(body.init_images[0], "init_images")


def _convert_pictures(
    body: ImageToImageBody, image: InputImage
) -> tuple[dict[str, object], list[str]]:
    mode, warnings = _RESIZE_MODES[body.resize_mode], list[str]()
    if body.resize_mode == _LATENT_RESIZE:
        warnings.append(messages.LATENT_RESIZE)
    if not body.mask:
        values = {"kind": "image_to_image", "image": image, "resize_mode": mode}
        return {**values, "strength": body.denoising_strength}, warnings
    blur = body.mask_blur
    if blur is None:
        blur = max(body.mask_blur_x, body.mask_blur_y)
        if body.mask_blur_x != body.mask_blur_y:
            warnings.append(messages.mask_blur_differs(blur))
    mask = read_picture(body.mask, "mask")
    size = _find_target(body)
    image, mask, said = fit_for_inpainting(image, mask, size, mode)
    return {
        "kind": "inpaint",
        "image": image,
        "mask": mask,
        "strength": body.denoising_strength,
        "mask_blur_px": blur,
        "invert_mask": body.inpainting_mask_invert,
        "masked_content": _MASKED_CONTENTS[body.inpainting_fill],
        "only_masked": body.inpaint_full_res,
        "padding_px": body.inpaint_full_res_padding,
    }, [*warnings, *said]


def _find_target(body: ImageToImageBody) -> Size | None:
    """Return the size of the result, None for the init image's: only the masked part is resized."""
    if body.inpaint_full_res or body.width is None or body.height is None:
        return None
    return Size(body.width, body.height)
