"""The command line: `python -m paintdiff paint "a red sailboat" --output boat.png`.

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

from paintdiff.engine import Engine
from paintdiff.errors import JobCancelledError, PaintError, RequestError, StorageError
from paintdiff.events import TERMINAL, Event, Finished, Loading, Picture, Progress
from paintdiff.gallery.files import write_png
from paintdiff.geometry import Size
from paintdiff.jobs import Job
from paintdiff.models.catalog import Catalog
from paintdiff.models.manager import ModelManager
from paintdiff.models.samplers import sampler_names
from paintdiff.presets import Presets
from paintdiff.requests import MAX_IMAGES, TextToImage

OK, FAILED, BAD_VALUE, INTERRUPTED = 0, 1, 2, 130

_POLL_SECONDS = 0.5
_FLAG_OF_FIELD = {
    "negative_prompt": "--negative",
    "num_inference_steps": "--steps",
    "guidance_scale": "--guidance",
    "num_images": "--count",
    "width": "--size",
    "height": "--size",
    "image": "--output",
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, no usage: what is wrong should be the only thing to read."""
        self.exit(BAD_VALUE, f"{self.prog}: {message}\n")


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
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return _paint(options)
    except RequestError as error:
        flag = _FLAG_OF_FIELD.get(error.field or "", f"--{error.field}" if error.field else "")
        sys.stderr.write(f"paintdiff paint: {flag + ': ' if flag else ''}{error}\n")
        return BAD_VALUE
    except (JobCancelledError, KeyboardInterrupt):
        sys.stderr.write("paintdiff paint: interrupted.\n")
        return INTERRUPTED
    except PaintError as error:
        sys.stderr.write(f"paintdiff paint: {error}\n")
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="paintdiff", description="Paints pictures from words, offline, on your machine."
    )
    commands = parser.add_subparsers(required=True, metavar="command", dest="command")
    paint = commands.add_parser(
        "paint",
        help="paint a picture and save it as PNG",
        description="Paint a picture and save it as PNG, with its settings inside.",
        epilog='Example: python -m paintdiff paint "a red house" --seed 7 --output house.png',
    )
    paint.add_argument("prompt", help="what to paint")
    paint.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="where to save it, a .png; --count 2 makes boat-1.png and boat-2.png of boat.png",
    )
    paint.add_argument(
        "--overwrite", action="store_true", help="replace files that exist (otherwise refused)"
    )
    paint.add_argument("--negative", default="", metavar="WORDS", help="what not to paint")
    paint.add_argument(
        "--model", default="mini", metavar="NAME", help="a model's name, folder or file (mini)"
    )
    paint.add_argument(
        "--models-dir",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="look for models here too",
    )
    paint.add_argument(
        "--quality", default="balanced", metavar="PRESET", help="fast, balanced (usual) or high"
    )
    paint.add_argument(
        "--steps", type=int, metavar="N", help="denoising steps; more is finer and slower"
    )
    paint.add_argument(
        "--guidance", type=float, metavar="X", help="how closely to follow the words"
    )
    paint.add_argument("--size", type=_size, metavar="WxH", help="size in pixels, like 128x128")
    paint.add_argument("--sampler", metavar="NAME", help=f"one of: {', '.join(sampler_names())}")
    paint.add_argument(
        "--seed", type=int, metavar="N", help="the same seed paints the same picture"
    )
    paint.add_argument(
        "--count",
        type=int,
        default=1,
        metavar="N",
        help="how many pictures; each adds 1 to the seed",
    )
    paint.add_argument("--device", default="auto", metavar="NAME", help="auto (usual), cpu or cuda")
    paint.add_argument(
        "--json", action="store_true", help="print one JSON object on stdout when done"
    )
    paint.add_argument("--quiet", action="store_true", help="no progress bar, no warnings")
    return parser


def _size(text: str) -> Size:
    try:
        return Size.parse(text)
    except RequestError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _paint(options: argparse.Namespace) -> int:
    request = _request(options)
    Presets.default().quality(request.quality)
    catalog = Catalog.default(options.models_dir)
    if Path(options.model).exists() and options.model not in {row.name for row in catalog.models()}:
        catalog = catalog.with_source(options.model)
        request = request.model_copy(update={"model": catalog.models()[-1].name})
    paths = _output_paths(options.output, request.num_images, options.overwrite)
    store = _OutputFiles(paths, options.overwrite)
    with Engine(ModelManager(catalog, device=options.device), store=store) as engine:
        job = engine.submit(request)
        finished = _watched(job, quiet=options.quiet)
    _report(finished, options)
    return OK if all(picture.path is not None for picture in finished.pictures) else FAILED


def _request(options: argparse.Namespace) -> TextToImage:
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
    }
    if options.size is not None:
        values.update(width=options.size.width, height=options.size.height)
    return TextToImage.parsed(values)


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
    request = job.request
    sampling = request.sampling()
    total = request.num_images * sampling.num_inference_steps
    try:
        with tqdm(total=total, unit="step", file=sys.stderr, disable=quiet, leave=False) as bar:
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
        bar.set_description("Painting" if event.stage == "denoising" else "Decoding")
        bar.update(event.image_index * event.total_steps + event.step - bar.n)


def _report(finished: Finished, options: argparse.Namespace) -> None:
    if not options.quiet:
        for warning in finished.warnings:
            sys.stderr.write(f"Note: {warning}\n")
    files = [str(picture.path) for picture in finished.pictures if picture.path is not None]
    if not options.json:
        sys.stdout.write("".join(f"{file}\n" for file in files))
        return
    first = finished.pictures[0]
    sampling = first.request.sampling()
    report = {
        "seed": sampling.seed,
        "seeds": [picture.request.seed for picture in finished.pictures],
        "seconds": round(finished.seconds, 3),
        "steps": sampling.num_inference_steps,
        "steps_per_second": round(finished.steps_per_second, 2),
        "model": first.request.model,
        "model_hash": first.model_hash,
        "sampler": sampling.sampler,
        "guidance_scale": sampling.guidance_scale,
        "size": str(sampling.size),
        "prompt": first.request.prompt,
        "negative_prompt": first.request.negative_prompt,
        "warnings": list(finished.warnings),
        "files": files,
    }
    sys.stdout.write(json.dumps(report, ensure_ascii=False) + "\n")
