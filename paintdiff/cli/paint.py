"""The command `python -m paintdiff paint "a red sailboat" --output boat.png`.

With `--image` it paints from a picture, with `--mask`, `--sketch` or `--outpaint` a part of it;
`--control` adds a ControlNet to any of these, `--lora` a LoRA, `--hires` paints larger than the
model's native size, `--upscale` enlarges the result.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from paintdiff.cli import messages
from paintdiff.cli.adapters import read_adapter_flags
from paintdiff.cli.files import OutputFiles, plan_output_paths, read_input_image
from paintdiff.cli.flag_names import FLAG_OF_CONTROL, FLAG_OF_HIRES
from paintdiff.cli.progress import watch_job
from paintdiff.cli.server import connect
from paintdiff.cli.upscale import add_upscaler_file, read_face_flags
from paintdiff.client.remote_engine import FileStore, RemoteEngine, RemoteResult
from paintdiff.config.presets import Presets
from paintdiff.config.user_folders import default_output_folder, find_user_cache_folder
from paintdiff.engine.engine import Engine
from paintdiff.engine.picture_output import PictureStore
from paintdiff.errors import ModelNotFoundError, RequestError
from paintdiff.jobs.events import Finished
from paintdiff.jobs.request_parts import LATENT_UPSCALER, ControlInput
from paintdiff.jobs.requests import (
    REQUEST_KINDS,
    Painting,
    TextToImage,
    check_painting,
    find_upscaling,
    parse_request,
)
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.preprocessors.annotators import Annotators
from paintdiff.prompts.library import PromptLibrary

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


class FilesStore(PictureStore, FileStore, Protocol):
    """A place for pictures of this machine's engine, and for files from a server."""


def paint(options: argparse.Namespace) -> int:
    """Paint pictures from the flags. Returns the exit code."""
    request, make = read_painting(options)
    paths = plan_output_paths(options.output, request.num_images, options.overwrite)
    store = OutputFiles(options.overwrite)
    store.expect(*paths)
    memory = ""
    with make(store) as engine:
        job = engine.submit(request)
        finished = watch_job(job, quiet=options.quiet)
        if isinstance(engine, Engine):
            size = check_painting(job.request).sampling().size
            forecast = engine.forecast(request.model, size)
            memory = "" if forecast is None else forecast.words
    failed = _is_incomplete(finished, request)
    _report(finished, options, failed=failed, memory=memory)
    return int(failed)


def read_painting(
    options: argparse.Namespace,
) -> tuple[Painting, Callable[[FilesStore], Engine | RemoteEngine]]:
    """Return the request that the flags describe, and what makes the engine that paints it.

    Raises:
        PaintError: A flag can't be used.
    """
    request = _build_request(options)
    if options.server is not None:
        return request, partial(RemoteEngine, connect(options))
    if options.key is not None:
        raise RequestError(messages.KEY_WITHOUT_SERVER, field="key")
    catalog, request = _read_catalog(options, request)
    return request, partial(_make_engine, options, catalog)


def _read_catalog(options: argparse.Namespace, request: Painting) -> tuple[Catalog, Painting]:
    """Return a catalog with the files that the flags name, and the request with their names."""
    Presets.default().quality(request.quality)
    catalog = Catalog.default(options.models_dir, cache=find_user_cache_folder())
    if Path(options.model).exists() and options.model not in {
        row.name for row in catalog.rows(ModelRow)
    }:
        catalog = catalog.with_source(options.model)
        request = request.model_copy(update={"model": catalog.rows(ModelRow)[-1].name})
    catalog, request = _add_controlnets(catalog, request)
    return _add_upscalers(catalog, request)


def _make_engine(options: argparse.Namespace, catalog: Catalog, store: FilesStore) -> Engine:
    """Return an engine with the settings that the flags describe."""
    manager = ModelManager(
        catalog,
        device=options.device,
        memory_budget_bytes=options.memory_budget,
        engine=options.engine,
    )
    annotators = Annotators(options.models_dir, manager)
    library = PromptLibrary(options.models_dir, default_output_folder())
    return Engine(manager, store=store, annotators=annotators, library=library)


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
        "time_budget_seconds": options.time_budget_seconds,
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
    return check_painting(parse_request(values))


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
    for field, flag in FLAG_OF_HIRES.items():
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
    for field, flag in FLAG_OF_CONTROL.items():
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


def _is_incomplete(finished: Finished | RemoteResult, request: Painting) -> bool:
    """Return whether a picture is incomplete: not saved, or not enlarged."""
    return any(
        picture.path is None
        or (request.upscaling is not None and find_upscaling(picture.request) is None)
        for picture in finished.pictures
    )


def _report(
    finished: Finished | RemoteResult, options: argparse.Namespace, *, failed: bool, memory: str
) -> None:
    notes = dict.fromkeys(note for picture in finished.pictures for note in picture.notes)
    if failed or not options.quiet:  # errors are always printed
        for sentence in (*finished.warnings, *notes):
            sys.stderr.write(f"{messages.note(sentence)}\n")
    files = [str(picture.path) for picture in finished.pictures if picture.path is not None]
    if not options.json:
        sys.stdout.write("".join(f"{file}\n" for file in files))
        return
    first = finished.pictures[0]
    requests = [check_painting(picture.request) for picture in finished.pictures]
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
