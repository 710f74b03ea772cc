"""The command `python -m paintdiff upscale boat.png --scale 4`.

It enlarges one picture, several, or folders of them. Each is a job of its own, so one that fails
doesn't stop the others.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from paintdiff.cli import messages
from paintdiff.cli.files import OutputFiles, check_folder, is_taken, read_input_image
from paintdiff.cli.progress import watch_job
from paintdiff.cli.server import connect
from paintdiff.client.remote_engine import RemoteEngine, RemoteResult
from paintdiff.config.user_folders import find_user_cache_folder
from paintdiff.engine.engine import Engine
from paintdiff.errors import (
    JobCancelledError,
    MemoryBudgetError,
    ModelError,
    ModelNotFoundError,
    PaintError,
    RequestError,
    ServerError,
)
from paintdiff.jobs.events import Finished
from paintdiff.jobs.request_parts import Upscaling
from paintdiff.jobs.requests import Upscale
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.upscaler_rows import UpscalerRow
from paintdiff.tasks.resolve.postprocessing import resolve_upscaling

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
_MADE_BEFORE = re.compile(r"(?P<name>.+)-\d+(\.\d+)?x")


def upscale(options: argparse.Namespace) -> int:
    """Run the command. Returns 0, or 1 if a picture couldn't be enlarged.

    With `--json` a report is printed even after an error or an interruption.

    Raises:
        RequestError: A value can't be used; nothing was enlarged.
        ModelError: The upscaler can't be used.
    """
    upscaling, make = _read_upscaling(options)
    pairs = _plan_outputs(_list_sources(options), options.output, upscaling.scale)
    reports: list[dict[str, Any]] = []
    store = OutputFiles(overwrite=False)
    try:
        with make(store) as engine:
            for number, (source, output) in enumerate(pairs, 1):
                store.expect(output)
                place = messages.which_of_many(number, len(pairs)) if len(pairs) > 1 else ""
                reports.append({"source": str(source)})
                _enlarge(engine, (source, output), upscaling, reports, place, options)
    finally:
        if options.json:
            content = {**upscaling.model_dump(mode="json"), "pictures": reports}
            # A name that isn't UTF-8 becomes a JSON escape.
            sys.stdout.write(json.dumps(content) + "\n")
    return int(any("error" in report for report in reports))


def add_upscaler_file(
    catalog: Catalog, wanted: str | None, field: str
) -> tuple[Catalog, str | None]:
    """Add an upscaler given by path to the catalog.

    Returns the catalog, and the upscaler's name in it.

    Raises:
        RequestError: (for `field`) There is no upscaler at that path.
    """
    if wanted is None or wanted in {row.name for row in catalog.rows(UpscalerRow)}:
        return catalog, wanted
    try:
        catalog = catalog.with_first(UpscalerRow, wanted)
    except ModelNotFoundError as error:
        raise RequestError(str(error), field=field) from error
    return catalog, catalog.rows(UpscalerRow)[0].name


def _read_upscaling(
    options: argparse.Namespace,
) -> tuple[Upscaling, Callable[[OutputFiles], Engine | RemoteEngine]]:
    """Return what the flags describe, and what makes the engine that does it.

    Raises:
        PaintError: A flag can't be used.
    """
    if options.server is not None:
        upscaling = _check_upscaling(options, options.upscaler)
        return upscaling, partial(RemoteEngine, connect(options))
    if options.key is not None:
        raise RequestError(messages.KEY_WITHOUT_SERVER, field="key")
    catalog = Catalog.default(options.models_dir, cache=find_user_cache_folder())
    catalog, name = add_upscaler_file(catalog, options.upscaler, "upscaling.upscaler")
    resolved = resolve_upscaling(_check_upscaling(options, name), catalog)
    return resolved, partial(_make_engine, options, catalog)


def _make_engine(options: argparse.Namespace, catalog: Catalog, store: OutputFiles) -> Engine:
    manager = ModelManager(
        catalog, device=options.device, memory_budget_bytes=options.memory_budget
    )
    return Engine(manager, store=store)


def _check_upscaling(options: argparse.Namespace, upscaler: str | None) -> Upscaling:
    # Any picture will do to check the rest.
    checked = Upscale.parse(
        {
            "images": [{}],
            "upscaling": {
                "upscaler": upscaler,
                "scale": options.scale,
                "tile_px": options.tile,
                **read_face_flags(options),
            },
        }
    )
    return checked.upscaling


def read_face_flags(options: argparse.Namespace) -> dict[str, object]:
    """Return the flags about faces as fields of `Upscaling`.

    Raises:
        RequestError: The strength has no effect.
    """
    if options.faces is None and options.face_strength is not None:
        raise RequestError(messages.NEEDS_FACES, field="upscaling.face_strength")
    given = {"face_restorer": options.faces, "face_strength": options.face_strength}
    return {field: value for field, value in given.items() if value is not None}


def _list_sources(options: argparse.Namespace) -> list[Path]:
    """Return the pictures to enlarge, each once.

    Raises:
        RequestError: There are none, or one doesn't exist.
    """
    found: dict[str, Path] = {}
    for path in options.pictures:
        pictures = [path]
        if path.is_dir():
            pictures, left_out = _find_pictures(path)
            for each in [] if options.quiet else left_out:
                sys.stderr.write(f"{messages.note(messages.skipped_earlier_result(each))}\n")
        elif not path.is_file():
            raise RequestError(messages.no_file(path), field="pictures")
        for each in pictures:
            found.setdefault(os.path.abspath(each), each)
    if not found:
        raise RequestError(messages.NO_PICTURES, field="pictures")
    return list(found.values())


def _find_pictures(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the pictures in a folder, and those made from others in it before."""
    try:
        found = sorted(
            each
            for each in folder.iterdir()
            # Hidden files aren't pictures (macOS stores metadata as "._boat.png")
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


def _plan_outputs(
    sources: Sequence[Path], output: Path | None, scale: float
) -> list[tuple[Path, Path]]:
    """Return each picture and its output file.

    Raises:
        RequestError: An output file can't be used.
    """
    if output is not None and not output.is_dir():
        return [(_check_only(sources, output), output)]
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
                messages.one_name_for_two(pairs[path], source, path),
                field="output",
            )
        pairs[path] = source
    return [(source, path) for path, source in pairs.items()]


def _check_only(sources: Sequence[Path], output: Path) -> Path:
    """Return the only picture, for an output that is a file.

    Raises:
        RequestError: There are several.
    """
    if output.suffix.lower() != ".png":
        raise RequestError(messages.no_folder_or_png(output), field="output")
    if len(sources) > 1:
        raise RequestError(
            messages.one_file_for_many(output, len(sources)),
            field="output",
        )
    check_folder(output.parent)
    if is_taken(output):
        raise RequestError(messages.taken(output), field="output")
    return sources[0]


def _enlarge(
    engine: Engine | RemoteEngine,
    files: tuple[Path, Path],
    upscaling: Upscaling,
    reports: list[dict[str, Any]],
    place: str,
    options: argparse.Namespace,
) -> None:
    """Enlarge one picture, report it, and add the result to the last report.

    An interruption and an unusable upscaler propagate.
    """
    source, output = files
    try:
        if is_taken(output):
            raise RequestError(messages.not_overwritten(output))
        request = Upscale(images=(read_input_image(source, "pictures"),), upscaling=upscaling)
        finished = watch_job(engine.submit(request), quiet=options.quiet, place=place)
    except (JobCancelledError, KeyboardInterrupt):
        reports[-1]["error"] = messages.PICTURE_INTERRUPTED
        raise
    except PaintError as error:
        reports[-1]["error"] = str(error)
        of_any_picture = isinstance(error, ModelError) and not isinstance(error, MemoryBudgetError)
        of_any_picture |= isinstance(error, ServerError) or _is_about_upscaling(error)
        if of_any_picture and not any("file" in report for report in reports):
            raise
    else:
        reports[-1] |= _make_report(finished)
    _print_report(reports[-1], options)


def _is_about_upscaling(error: PaintError) -> bool:
    """Return whether a server refuses the upscaler or the scale, whatever the picture."""
    return isinstance(error, RequestError) and (error.field or "").startswith("upscaling")


def _make_report(finished: Finished | RemoteResult) -> dict[str, Any]:
    picture = finished.pictures[0]
    if picture.path is None:
        return {"error": " ".join(finished.warnings)}
    return {
        "file": str(picture.path),
        "size": str(picture.size),
        "seconds": round(finished.seconds, 3),
        "notes": [*finished.warnings, *picture.notes],
    }


def _print_report(report: dict[str, Any], options: argparse.Namespace) -> None:
    if "error" in report:
        sys.stderr.write(f"paintdiff upscale: {report['source']}: {report['error']}\n")
        return
    for sentence in [] if options.quiet else report["notes"]:
        sys.stderr.write(f"{messages.note(sentence)}\n")
    if not options.json:
        sys.stdout.write(f"{report['file']}\n")
        sys.stdout.flush()  # the next one may take minutes
