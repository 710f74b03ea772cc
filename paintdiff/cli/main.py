"""The command line: `python -m paintdiff paint "a red sailboat" --output boat.png`.

With `--image` it paints from a picture, with `--mask`, `--sketch` or `--outpaint` a part of it;
`--control` adds a ControlNet to any of these, `--lora` a LoRA, `--hires` paints larger than the
model's native size, `--upscale` enlarges the result. `python -m paintdiff upscale boat.png`
enlarges pictures; `python -m paintdiff gallery list` shows the gallery's; `python -m paintdiff
verify boat.png` paints one again and compares.

Exit codes: 0 done, 1 failed while running, 2 an unusable value (one line on stderr says which), 130
interrupted. Like the app, this is a composition root: it wires its own engine.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from paintdiff.cli import messages
from paintdiff.cli.adapters import FLAG_OF_ADAPTER, read_adapter_flags
from paintdiff.cli.files import OutputFiles, plan_output_paths, read_input_image
from paintdiff.cli.flags import BAD_VALUE, build_parser
from paintdiff.cli.gallery import gallery
from paintdiff.cli.progress import watch_job
from paintdiff.cli.upscale import add_upscaler_file, read_face_flags, upscale
from paintdiff.cli.verify import verify
from paintdiff.config.presets import Presets
from paintdiff.config.user_folders import default_output_folder, find_user_cache_folder
from paintdiff.engine.engine import Engine
from paintdiff.errors import (
    JobCancelledError,
    ModelNotFoundError,
    PaintError,
    RequestError,
)
from paintdiff.jobs.events import Finished
from paintdiff.jobs.request_parts import LATENT_UPSCALER, ControlInput
from paintdiff.jobs.requests import (
    REQUEST_KINDS,
    Painting,
    Request,
    TextToImage,
    Upscale,
    parse_request,
)
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.preprocessors.annotators import Annotators
from paintdiff.prompts.library import PromptLibrary

OK, FAILED, INTERRUPTED = 0, 1, 130

_FLAG_OF_FIELD = {
    "negative_prompt": "--negative",
    "styles": "--style",
    "num_inference_steps": "--steps",
    "guidance_scale": "--guidance",
    "num_images": "--count",
    "width": "--size",
    "height": "--size",
    "mask_blur_px": "--mask-blur",
    "padding_px": "--padding",
    "loopback_strength_factor": "--loopback-factor",
}
_FLAG_OF_CONTROL = {
    "preprocessor": "--preprocessor",
    "controlnet": "--controlnet",
    "conditioning_scale": "--control-scale",
    "guidance_start": "--control-start",
    "guidance_end": "--control-end",
    "resize_mode": "--control-resize-mode",
}
_FLAG_OF_HIRES = {
    "scale": "--hires",
    "num_inference_steps": "--hires-steps",
    "strength": "--hires-strength",
    "upscaler": "--hires-upscaler",
}
_PICTURE_FIELDS = ("image", "mask", "sketch")
_FIELDS_WITH_PICTURES = (
    *("strength", "resize_mode", "background", "loopback", "loopback_strength_factor"),
    "tiled",
    *("invert_mask", "mask_blur_px", "only_masked", "padding_px", "masked_content", "soft"),
    "outpaint",
)
_OF_NO_USE = {
    "text_to_image": messages.NEEDS_IMAGE,
    "image_to_image": messages.NEEDS_MASK,
    "inpaint": messages.NO_EFFECT_ON_A_PART,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (None: the process's arguments).

    Returns the exit code; `--help` and bad flags exit.
    """
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    parser = build_parser()
    options = parser.parse_args(arguments)
    name = f"paintdiff {options.command}"
    try:
        return _COMMANDS[options.command](options)
    except RequestError as error:
        flag = f"{_find_flag(error.field, options.command)}: " if error.field else ""
        sys.stderr.write(f"{name}: {flag}{error}\n")
        return BAD_VALUE
    except (JobCancelledError, KeyboardInterrupt):
        sys.stderr.write(f"{name}: {messages.INTERRUPTED}\n")
        return INTERRUPTED
    except PaintError as error:
        sys.stderr.write(f"{name}: {error}\n")
        return FAILED


def _find_flag(field: str, command: str) -> str:
    """Return the flag for a request's field.

    For a field within another ("outpaint.left") that is the outer one; controls
    ("controls.0.image"), the hires fix and upscaling have flags of their own.
    """
    first, *inner = field.split(".")
    if first in ("pictures", "folder", "id"):
        return first
    if first == "upscaling" and inner:
        scale = "--scale" if command == "upscale" else "--upscale"
        own = {"scale": scale, "tile_px": "--tile", "face_restorer": "--faces"}
        return own.get(inner[0], f"--{inner[0].replace('_', '-')}")
    if first == "controls":
        return _FLAG_OF_CONTROL.get(inner[-1] if inner else "", "--control")
    if first in FLAG_OF_ADAPTER:
        return FLAG_OF_ADAPTER[first]
    if first == "hires" and inner:
        return _FLAG_OF_HIRES.get(inner[0], f"--{inner[0]}")
    return _FLAG_OF_FIELD.get(first, f"--{first.replace('_', '-')}")


def _paint(options: argparse.Namespace) -> int:
    request = _build_request(options)
    Presets.default().quality(request.quality)
    catalog = Catalog.default(options.models_dir, cache=find_user_cache_folder())
    if Path(options.model).exists() and options.model not in {
        row.name for row in catalog.rows(ModelRow)
    }:
        catalog = catalog.with_source(options.model)
        request = request.model_copy(update={"model": catalog.rows(ModelRow)[-1].name})
    catalog, request = _add_controlnets(catalog, request)
    catalog, request = _add_upscalers(catalog, request)
    paths = plan_output_paths(options.output, request.num_images, options.overwrite)
    store = OutputFiles(options.overwrite)
    store.expect(*paths)
    manager = ModelManager(
        catalog,
        device=options.device,
        memory_budget_bytes=options.memory_budget,
        engine=options.engine,
    )
    annotators = Annotators(options.models_dir, manager)
    library = PromptLibrary(options.models_dir, default_output_folder())
    with Engine(manager, store=store, annotators=annotators, library=library) as engine:
        job = engine.submit(request)
        finished = watch_job(job, quiet=options.quiet)
        forecast = engine.forecast(request.model, _check_painting(job.request).sampling().size)
    failed = _is_incomplete(finished, request)
    _report(finished, options, failed=failed, memory="" if forecast is None else forecast.words)
    return FAILED if failed else OK


def _build_request(options: argparse.Namespace) -> Painting:
    values: dict[str, object] = {
        "prompt": options.prompt,
        "negative_prompt": options.negative,
        "prompt_syntax": options.prompt_syntax,
        "emphasis": options.emphasis,
        "wildcards": options.wildcards,
        "styles": options.styles,
        "model": options.model,
        "quality": options.quality,
        "profile": options.profile,
        "num_inference_steps": options.steps,
        "guidance_scale": options.guidance,
        "sampler": options.sampler,
        "seed": options.seed,
        "num_images": options.count,
        "variation_seed": options.variation_seed,
    }
    if options.size is not None:
        values.update(width=options.size.width, height=options.size.height)
    if options.variation_strength is not None:
        values["variation_strength"] = options.variation_strength
    stages = _read_hires_flags(options) | _read_upscaling_flags(options)
    values |= _read_picture_flags(options) | stages | _read_control_flags(options)
    values |= read_adapter_flags(options)
    return _check_painting(parse_request(values))


def _check_painting(request: Request) -> Painting:
    assert not isinstance(request, Upscale)  # these flags don't make one
    return request


def _read_picture_flags(options: argparse.Namespace) -> dict[str, object]:
    """Return the kind of request that the flags make, and its own fields.

    Raises:
        RequestError: A flag has no effect on that kind, or a picture can't be read.
    """
    given = {
        field: getattr(options, field)
        for field in (*_PICTURE_FIELDS, *_FIELDS_WITH_PICTURES)
        if getattr(options, field) is not None
    }
    if options.hires is not None:
        given.pop("tiled", None)  # it belongs to the second pass
    kind = "text_to_image"
    if "image" in given:
        part = {"mask", "sketch", "outpaint"} & given.keys()
        kind = "inpaint" if part else "image_to_image"
    for field in given:
        if field not in REQUEST_KINDS[kind].model_fields:
            raise RequestError(_OF_NO_USE[kind], field=field)
    for field in _PICTURE_FIELDS:
        if field in given:
            given[field] = read_input_image(given[field], field)
    return {**given, "kind": kind}


def _read_hires_flags(options: argparse.Namespace) -> dict[str, object]:
    """Return the hires fix that the flags make.

    Raises:
        RequestError: A flag has no effect.
    """
    given: dict[str, object] = {}
    for field, flag in _FLAG_OF_HIRES.items():
        value: object = getattr(options, flag.removeprefix("--").replace("-", "_"))
        if value is not None:
            given[field] = value
    if options.hires is None:
        for field in given:
            raise RequestError(messages.NEEDS_HIRES, field=f"hires.{field}")
        return {}
    if options.image is not None:
        raise RequestError(messages.NOT_WITH_IMAGE, field="hires")
    return {"hires": given if options.tiled is None else {**given, "tiled": options.tiled}}


def _read_upscaling_flags(options: argparse.Namespace) -> dict[str, object]:
    """Return the upscaling that the flags make.

    Raises:
        RequestError: A flag has no effect.
    """
    faces = read_face_flags(options)
    if options.upscale is not None:
        return {"upscaling": {"scale": options.upscale, "upscaler": options.upscaler, **faces}}
    if options.upscaler is not None:
        raise RequestError(messages.NEEDS_UPSCALE, field="upscaler")
    if faces:
        raise RequestError(messages.NEEDS_UPSCALE, field="faces")
    return {}


def _read_control_flags(options: argparse.Namespace) -> dict[str, object]:
    """Return the controls that the flags make.

    Raises:
        RequestError: A flag is given too often.
    """
    pictures: list[Path] = options.control or []
    controls: list[dict[str, object]] = [
        {"image": read_input_image(path, f"controls.{index}.image")}
        for index, path in enumerate(pictures)
    ]
    for field, flag in _FLAG_OF_CONTROL.items():
        given: list[object] = getattr(options, flag.removeprefix("--").replace("-", "_")) or []
        if len(given) > len(controls):
            raise RequestError(messages.NEEDS_ITS_CONTROL, field=f"controls.{field}")
        for control, value in zip(controls, given, strict=False):
            control[field] = value
    return {"controls": controls} if controls else {}


def _add_controlnets(catalog: Catalog, request: Painting) -> tuple[Catalog, Painting]:
    """Add the ControlNets that a request names by path to the catalog.

    Returns the catalog, and the request with their names.
    """
    controls: list[ControlInput] = []
    for index, control in enumerate(request.controls):
        name = control.controlnet
        if name is not None and name not in {row.name for row in catalog.rows(ControlNetRow)}:
            try:
                catalog = catalog.with_first(ControlNetRow, name)
            except ModelNotFoundError as error:
                raise RequestError(str(error), field=f"controls.{index}.controlnet") from error
            control = control.model_copy(update={"controlnet": catalog.rows(ControlNetRow)[0].name})
        controls.append(control)
    return catalog, request.model_copy(update={"controls": tuple(controls)})


def _add_upscalers(catalog: Catalog, request: Painting) -> tuple[Catalog, Painting]:
    """Add the upscalers that a request names by path to the catalog.

    Returns the catalog, and the request with their names.
    """
    update: dict[str, object] = {}
    if request.upscaling is not None:
        wanted = request.upscaling.upscaler
        catalog, name = add_upscaler_file(catalog, wanted, "upscaling.upscaler")
        update["upscaling"] = request.upscaling.model_copy(update={"upscaler": name})
    hires = request.hires if isinstance(request, TextToImage) else None
    if hires is not None and hires.upscaler != LATENT_UPSCALER:
        catalog, name = add_upscaler_file(catalog, hires.upscaler, "hires.upscaler")
        update["hires"] = hires.model_copy(update={"upscaler": name})
    return catalog, request.model_copy(update=update)


def _is_incomplete(finished: Finished, request: Painting) -> bool:
    """Return whether a picture is incomplete: not saved, or not enlarged."""
    return any(
        picture.path is None
        or (request.upscaling is not None and picture.request.upscaling is None)
        for picture in finished.pictures
    )


def _report(finished: Finished, options: argparse.Namespace, *, failed: bool, memory: str) -> None:
    notes = dict.fromkeys(note for picture in finished.pictures for note in picture.notes)
    if failed or not options.quiet:  # errors are always printed
        for sentence in (*finished.warnings, *notes):
            sys.stderr.write(f"{messages.note(sentence)}\n")
    files = [str(picture.path) for picture in finished.pictures if picture.path is not None]
    if not options.json:
        sys.stdout.write("".join(f"{file}\n" for file in files))
        return
    first = finished.pictures[0]
    requests = [_check_painting(picture.request) for picture in finished.pictures]
    sampling = requests[0].sampling()
    report = {
        "kind": requests[0].kind,
        "seed": sampling.seed,
        "seeds": [request.seed for request in requests],
        "seconds": round(finished.seconds, 3),
        "steps": sampling.num_inference_steps,
        "steps_per_second": round(finished.steps_per_second, 2),
        "model": requests[0].model,
        "model_hash": first.model_hash,
        "sampler": sampling.sampler,
        "guidance_scale": sampling.guidance_scale,
        "size": str(first.size),
        "prompt": requests[0].prompt,
        "prompts": [request.prompt for request in requests],
        "negative_prompt": requests[0].negative_prompt,
        "warnings": list(finished.warnings),
        "notes": list(notes),
        "memory": memory,
        "files": files,
    }
    sys.stdout.write(json.dumps(report) + "\n")


_COMMANDS = {"paint": _paint, "upscale": upscale, "gallery": gallery, "verify": verify}
