"""The command line: `python -m paintdiff paint "a red sailboat" --output boat.png`.

With `--image` it paints from a picture, with `--mask`, `--sketch` or `--outpaint` a part of it;
`--control` adds a ControlNet to any of these.

Exit codes: 0 done, 1 it failed while running, 2 a value can't be used (one line on stderr says
which), 130 interrupted. A composition root, like app.py: it wires the engine for itself.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from paintdiff.cli_flags import BAD_VALUE, command_line_parser
from paintdiff.engine import Engine
from paintdiff.errors import (
    JobCancelledError,
    ModelNotFoundError,
    PaintError,
    RequestError,
    StorageError,
)
from paintdiff.events import TERMINAL, Event, Finished, Loading, Picture, Progress
from paintdiff.gallery.files import write_png
from paintdiff.input_images import InputImage
from paintdiff.jobs import Job
from paintdiff.models.catalog import Catalog
from paintdiff.models.manager import ModelManager
from paintdiff.preprocessors.annotators import Annotators
from paintdiff.presets import Presets
from paintdiff.requests import (
    MAX_IMAGES,
    REQUEST_KINDS,
    ControlInput,
    Request,
    parsed_request,
)

OK, FAILED, INTERRUPTED = 0, 1, 130

_POLL_SECONDS = 0.5
_FLAG_OF_FIELD = {
    "negative_prompt": "--negative",
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
_PICTURE_FIELDS = ("image", "mask", "sketch")
_FIELDS_WITH_PICTURES = (
    *("strength", "resize_mode", "background", "loopback", "loopback_strength_factor"),
    *("invert_mask", "mask_blur_px", "only_masked", "padding_px", "masked_content", "soft"),
    "outpaint",
)
_OF_NO_USE = {
    "text_to_image": "it is of no use without --image.",
    "image_to_image": "it is of no use without --mask, --sketch or --outpaint.",
    "inpaint": "it is of no use when only a part is repainted.",
}


class _OutputFiles:
    """A PictureStore that writes to the files the user named, in order."""

    def __init__(self, paths: Sequence[Path], overwrite: bool) -> None:
        self._left = list(paths)
        self._overwrite = overwrite

    def save(self, picture: Picture) -> Path:
        path = self._left.pop(0)
        try:
            return write_png(path, picture, overwrite=self._overwrite)
        except FileExistsError:
            raise StorageError(
                f"{path} appeared while it was being painted; it was left alone."
            ) from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (None: that of the process).

    Returns the exit code; `--help` and bad flags exit.
    """
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    parser = command_line_parser()
    options = parser.parse_args(arguments)
    try:
        return _paint(options)
    except RequestError as error:
        flag = f"{_flag(error.field)}: " if error.field else ""
        sys.stderr.write(f"paintdiff paint: {flag}{error}\n")
        return BAD_VALUE
    except (JobCancelledError, KeyboardInterrupt):
        sys.stderr.write("paintdiff paint: interrupted.\n")
        return INTERRUPTED
    except PaintError as error:
        sys.stderr.write(f"paintdiff paint: {error}\n")
        return FAILED


def _flag(field: str) -> str:
    """The flag for a request's field; of a field within another ("outpaint.left") the outer one, of
    a control's ("controls.0.image") its own.
    """
    first, *inner = field.split(".")
    if first == "controls":
        return _FLAG_OF_CONTROL.get(inner[-1] if inner else "", "--control")
    field = first
    return _FLAG_OF_FIELD.get(field, f"--{field.replace('_', '-')}")


def _paint(options: argparse.Namespace) -> int:
    request = _request(options)
    Presets.default().quality(request.quality)
    catalog = Catalog.default(options.models_dir)
    if Path(options.model).exists() and options.model not in {row.name for row in catalog.models()}:
        catalog = catalog.with_source(options.model)
        request = request.model_copy(update={"model": catalog.models()[-1].name})
    catalog, request = _with_controlnets(catalog, request)
    paths = _output_paths(options.output, request.num_images, options.overwrite)
    store = _OutputFiles(paths, options.overwrite)
    manager, annotators = (
        ModelManager(catalog, device=options.device),
        Annotators(options.models_dir),
    )
    with Engine(manager, store=store, annotators=annotators) as engine:
        job = engine.submit(request)
        finished = _watched(job, quiet=options.quiet)
    _report(finished, options)
    return OK if all(picture.path is not None for picture in finished.pictures) else FAILED


def _request(options: argparse.Namespace) -> Request:
    values: dict[str, object] = {
        "prompt": options.prompt,
        "negative_prompt": options.negative,
        "model": options.model,
        "quality": options.quality,
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
    return parsed_request(values | _picture_values(options) | _control_values(options))


def _picture_values(options: argparse.Namespace) -> dict[str, object]:
    """The kind of request that the flags make, and its own fields.

    Raises RequestError for a flag that is of no use to that kind, and for a picture that can't be
    read.
    """
    given = {
        field: getattr(options, field)
        for field in (*_PICTURE_FIELDS, *_FIELDS_WITH_PICTURES)
        if getattr(options, field) is not None
    }
    kind = "text_to_image"
    if "image" in given:
        part = {"mask", "sketch", "outpaint"} & given.keys()
        kind = "inpaint" if part else "image_to_image"
    for field in given:
        if field not in REQUEST_KINDS[kind].model_fields:
            raise RequestError(_OF_NO_USE[kind], field=field)
    for field in _PICTURE_FIELDS:
        if field in given:
            given[field] = _input_image(given[field], field)
    return {**given, "kind": kind}


def _control_values(options: argparse.Namespace) -> dict[str, object]:
    """The controls that the flags make. Raises RequestError for a flag too many."""
    pictures: list[Path] = options.control or []
    controls: list[dict[str, object]] = [
        {"image": _input_image(path, f"controls.{index}.image")}
        for index, path in enumerate(pictures)
    ]
    for field, flag in _FLAG_OF_CONTROL.items():
        given: list[object] = getattr(options, flag.removeprefix("--").replace("-", "_")) or []
        if len(given) > len(controls):
            raise RequestError(
                "it is of no use without a --control of its own.", field=f"controls.{field}"
            )
        for control, value in zip(controls, given, strict=False):
            control[field] = value
    return {"controls": controls} if controls else {}


def _with_controlnets(catalog: Catalog, request: Request) -> tuple[Catalog, Request]:
    """The catalog with the ControlNets that a request names by their place, and the request with
    their names.
    """
    controls: list[ControlInput] = []
    for index, control in enumerate(request.controls):
        name = control.controlnet
        if name is not None and name not in {row.name for row in catalog.controlnets()}:
            try:
                catalog = catalog.with_controlnet(name)
            except ModelNotFoundError as error:
                raise RequestError(str(error), field=f"controls.{index}.controlnet") from error
            control = control.model_copy(update={"controlnet": catalog.controlnets()[0].name})
        controls.append(control)
    return catalog, request.model_copy(update={"controls": tuple(controls)})


def _input_image(path: Path, field: str) -> InputImage:
    try:
        return InputImage.from_file(path)
    except RequestError as error:
        raise RequestError(str(error), field=field) from error


def _output_paths(output: Path, count: int, overwrite: bool) -> list[Path]:
    """The files to write, sure to be writable now.

    Raises RequestError before any time is spent on painting.
    """
    if output.suffix.lower() != ".png":
        raise RequestError(
            f"{output} should end in .png; pictures are saved as PNG.", field="output"
        )
    folder = output.parent
    if not folder.is_dir():
        raise RequestError(
            f"there is no folder {folder} to save in; make it first.", field="output"
        )
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RequestError(
            f"can't write in {folder}: {os.strerror(error.errno or 0)}.", field="output"
        ) from None
    digits = range(1, min(count, MAX_IMAGES) + 1)
    paths = (
        [output]
        if count == 1
        else [output.with_stem(f"{output.stem}-{number}") for number in digits]
    )
    for path in paths:
        if path.is_dir() or (path.exists() and not overwrite):
            raise RequestError(
                f"{path} exists already; choose another name or say --overwrite.", field="output"
            )
    return paths


def _watched(job: Job, *, quiet: bool) -> Finished:
    """Show the job's progress until it ends. Raises its error; an interruption cancels it first."""
    try:
        with tqdm(total=None, unit="step", file=sys.stderr, disable=quiet, leave=False) as bar:
            for event in job.events(_POLL_SECONDS):
                _show(event, bar)
                if isinstance(event, TERMINAL):
                    break
        return job.result()
    except KeyboardInterrupt:
        job.cancel()
        raise


def _show(event: Event, bar: tqdm[NoReturn]) -> None:
    if isinstance(event, Loading):
        bar.set_description(event.message)
    elif isinstance(event, Progress):
        bar.total = event.num_images * event.total_steps
        bar.set_description("Painting" if event.stage == "denoising" else "Decoding")
        bar.update(event.image_index * event.total_steps + event.step - bar.n)


def _report(finished: Finished, options: argparse.Namespace) -> None:
    notes = dict.fromkeys(note for picture in finished.pictures for note in picture.notes)
    if not options.quiet:
        for sentence in (*finished.warnings, *notes):
            sys.stderr.write(f"Note: {sentence}\n")
    files = [str(picture.path) for picture in finished.pictures if picture.path is not None]
    if not options.json:
        sys.stdout.write("".join(f"{file}\n" for file in files))
        return
    first = finished.pictures[0]
    sampling = first.request.sampling()
    report = {
        "kind": first.request.kind,
        "seed": sampling.seed,
        "seeds": [picture.request.seed for picture in finished.pictures],
        "seconds": round(finished.seconds, 3),
        "steps": sampling.num_inference_steps,
        "steps_per_second": round(finished.steps_per_second, 2),
        "model": first.request.model,
        "model_hash": first.model_hash,
        "sampler": sampling.sampler,
        "guidance_scale": sampling.guidance_scale,
        "size": f"{first.image.width}x{first.image.height}",
        "prompt": first.request.prompt,
        "negative_prompt": first.request.negative_prompt,
        "warnings": list(finished.warnings),
        "notes": list(notes),
        "files": files,
    }
    sys.stdout.write(json.dumps(report, ensure_ascii=False) + "\n")
