"""The command `python -m paintdiff upscale boat.png --scale 4`: one picture, several, or folders of
them, each a job of its own, so that one that can't be enlarged doesn't keep the others from it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paintdiff.cli.files import OutputFiles, check_folder, is_taken, read_input_image
from paintdiff.cli.progress import watch_job
from paintdiff.config.user_folders import find_user_cache_folder
from paintdiff.engine.engine import Engine
from paintdiff.errors import (
    JobCancelledError,
    MemoryBudgetError,
    ModelError,
    ModelNotFoundError,
    PaintError,
    RequestError,
)
from paintdiff.jobs.events import Finished
from paintdiff.jobs.request_parts import Upscaling
from paintdiff.jobs.requests import Upscale
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.tasks.resolve.postprocessing import resolve_upscaling

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
_MADE_BEFORE = re.compile(r"(?P<name>.+)-\d+(\.\d+)?x")


def upscale(options: argparse.Namespace) -> int:
    """Run the command. Returns 0, or 1 if a picture couldn't be enlarged.

    Raises RequestError for a value that can't be used, before anything is enlarged, and the
    ModelError of an upscaler that can't be. With `--json` what was done is told even then, and if
    it is interrupted.
    """
    catalog, upscaling = _upscaling(options)
    pairs = _planned(_sources(options), options.output, upscaling.scale)
    reports: list[dict[str, Any]] = []
    store = OutputFiles(overwrite=False)
    try:
        manager = ModelManager(
            catalog, device=options.device, memory_budget_bytes=options.memory_budget
        )
        with Engine(manager, store=store) as engine:
            for number, (source, output) in enumerate(pairs, 1):
                store.expect(output)
                place = f" {number} of {len(pairs)}" if len(pairs) > 1 else ""
                reports.append({"source": str(source)})
                _enlarge(engine, (source, output), upscaling, reports, place, options)
    finally:
        if options.json:
            content = {**upscaling.model_dump(mode="json"), "pictures": reports}
            # A name that is no UTF-8 becomes an escape that JSON knows.
            sys.stdout.write(json.dumps(content) + "\n")
    return int(any("error" in report for report in reports))


def add_upscaler_file(
    catalog: Catalog, wanted: str | None, field: str
) -> tuple[Catalog, str | None]:
    """The catalog with the upscaler that is named by its place, and its name in there.

    Raises RequestError, for `field`, if there is none at that place.
    """
    if wanted is None or wanted in {row.name for row in catalog.upscalers()}:
        return catalog, wanted
    try:
        catalog = catalog.with_upscaler(wanted)
    except ModelNotFoundError as error:
        raise RequestError(str(error), field=field) from error
    return catalog, catalog.upscalers()[0].name


def _upscaling(options: argparse.Namespace) -> tuple[Catalog, Upscaling]:
    catalog = Catalog.default(options.models_dir, cache=find_user_cache_folder())
    catalog, name = add_upscaler_file(catalog, options.upscaler, "upscaling.upscaler")
    # Any picture will do to check the rest.
    checked = Upscale.parsed(
        {
            "images": [{}],
            "upscaling": {
                "upscaler": name,
                "scale": options.scale,
                "tile_px": options.tile,
                **read_face_flags(options),
            },
        }
    )
    return catalog, resolve_upscaling(checked.upscaling, catalog)


def read_face_flags(options: argparse.Namespace) -> dict[str, object]:
    """What the flags say about faces, as fields of `Upscaling`.

    Raises RequestError for a strength that is of no use.
    """
    if options.faces is None and options.face_strength is not None:
        raise RequestError("needs --faces.", field="upscaling.face_strength")
    given = {"face_restorer": options.faces, "face_strength": options.face_strength}
    return {field: value for field, value in given.items() if value is not None}


def _sources(options: argparse.Namespace) -> list[Path]:
    """The pictures to enlarge, each once. Raises RequestError."""
    found: dict[str, Path] = {}
    for path in options.pictures:
        pictures = [path]
        if path.is_dir():
            pictures, left_out = _pictures_in(path)
            for each in [] if options.quiet else left_out:
                sys.stderr.write(f"Note: skipped {each}, which seems to be an earlier result.\n")
        elif not path.is_file():
            raise RequestError(f"{path} isn't there.", field="pictures")
        for each in pictures:
            found.setdefault(os.path.abspath(each), each)
    if not found:
        raise RequestError("no PNG, JPEG or WebP found.", field="pictures")
    return list(found.values())


def _pictures_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """The pictures in a folder, and those that were made of others in it before."""
    try:
        found = sorted(
            each
            for each in folder.iterdir()
            # Hidden ones aren't meant for people (macOS keeps what isn't a picture as "._boat.png")
            if each.suffix.lower() in _SUFFIXES and each.name[0] != "." and each.is_file()
        )
    except OSError as error:
        raise RequestError(f"{folder}: {error.strerror}.", field="pictures") from None
    names = {name for each in found for name in (each.stem, each.name)}

    def made_before(path: Path) -> bool:
        match = _MADE_BEFORE.fullmatch(path.stem)
        return match is not None and match["name"] in names

    return (
        [each for each in found if not made_before(each)],
        [each for each in found if made_before(each)],
    )


def _planned(sources: Sequence[Path], output: Path | None, scale: float) -> list[tuple[Path, Path]]:
    """Each picture and the file that it becomes. Raises RequestError."""
    if output is not None and not output.is_dir():
        return [(_only(sources, output), output)]
    for folder in {output or source.parent for source in sources}:
        check_folder(folder)
    ending = f"-{scale:g}x.png"
    plain = [(output or source.parent) / f"{source.stem}{ending}" for source in sources]
    taken = Counter(plain)
    pairs: dict[Path, Path] = {}
    for source, path in zip(sources, plain, strict=True):
        # boat.png and boat.jpg can't both become boat-2x.png.
        path = path if taken[path] == 1 else path.with_name(f"{source.name}{ending}")
        if path in pairs:
            raise RequestError(
                f"{pairs[path]} and {source} would both become {path}; enlarge them into different "
                "folders.",
                field="output",
            )
        pairs[path] = source
    return [(source, path) for path, source in pairs.items()]


def _only(sources: Sequence[Path], output: Path) -> Path:
    """The one picture that becomes a file. Raises RequestError."""
    if output.suffix.lower() != ".png":
        raise RequestError(
            f"the folder {output} doesn't exist. Create it, or name a .png.", field="output"
        )
    if len(sources) > 1:
        raise RequestError(
            f"{output} is one file, but there are {len(sources)} pictures; name a folder.",
            field="output",
        )
    check_folder(output.parent)
    if is_taken(output):
        raise RequestError(f"{output} already exists. Choose another name.", field="output")
    return sources[0]


def _enlarge(
    engine: Engine,
    files: tuple[Path, Path],
    upscaling: Upscaling,
    reports: list[dict[str, Any]],
    place: str,
    options: argparse.Namespace,
) -> None:
    """Enlarge one picture, write what there is to say about it, and add that to the last report.

    An interruption comes out as it is, and so does what is wrong with the upscaler.
    """
    source, output = files
    try:
        if is_taken(output):
            raise RequestError(f"{output} already exists and wasn't overwritten.")
        request = Upscale(images=(read_input_image(source, "pictures"),), upscaling=upscaling)
        finished = watch_job(engine.submit(request), quiet=options.quiet, place=place)
    except (JobCancelledError, KeyboardInterrupt):
        reports[-1]["error"] = "It was interrupted."
        raise
    except PaintError as error:
        reports[-1]["error"] = str(error)
        of_any_picture = isinstance(error, ModelError) and not isinstance(error, MemoryBudgetError)
        if of_any_picture and not any("file" in report for report in reports):
            raise
    else:
        reports[-1] |= _report(finished)
    _tell(reports[-1], options)


def _report(finished: Finished) -> dict[str, Any]:
    picture = finished.pictures[0]
    if picture.path is None:
        return {"error": " ".join(finished.warnings)}
    return {
        "file": str(picture.path),
        "size": str(picture.size),
        "seconds": round(finished.seconds, 3),
        "notes": [*finished.warnings, *picture.notes],
    }


def _tell(report: dict[str, Any], options: argparse.Namespace) -> None:
    if "error" in report:
        sys.stderr.write(f"paintdiff upscale: {report['source']}: {report['error']}\n")
        return
    for sentence in [] if options.quiet else report["notes"]:
        sys.stderr.write(f"Note: {sentence}\n")
    if not options.json:
        sys.stdout.write(f"{report['file']}\n")
        sys.stdout.flush()  # it may take minutes until the next one is done
