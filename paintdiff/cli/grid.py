"""The command `python -m paintdiff grid "a red house" --x steps=10-30 (+10) --output sheet.png`.

It saves the sheet under that name and the cells beside it, as sheet-1.png and so on. All flags of
`paint` set what the cells have in common.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

from paintdiff.cli import messages
from paintdiff.cli.files import check_folder, is_taken, write_output
from paintdiff.cli.flag_values import parse_path
from paintdiff.cli.paint import read_painting
from paintdiff.cli.progress import watch_job
from paintdiff.client.remote_engine import RemoteEngine, RemoteJob
from paintdiff.engine.engine import Engine
from paintdiff.engine.speed import TimeForecast
from paintdiff.errors import JobCancelledError, PaintError, RequestError
from paintdiff.gallery.files.saving import write_picture_file, write_png
from paintdiff.jobs.axes import AXES
from paintdiff.jobs.events import Picture
from paintdiff.jobs.grid_cells import count_cells, make_matrix, plan_cells
from paintdiff.jobs.job import Job
from paintdiff.jobs.request_parts import PROMPT_LINE
from paintdiff.jobs.requests import Grid, Painting

MAX_LINES_BYTES = 1_000_000
_AXES = ("x", "y", "z")


class GridFiles:
    """A PictureStore that writes a sheet to `output`, and each cell to a file of its number."""

    def __init__(self, output: Path, count: int, *, overwrite: bool) -> None:
        self._output, self._overwrite = output, overwrite
        self._digits = len(str(count))
        self._count = count

    def check(self) -> None:
        """Check that all files can be written, before time is spent on painting.

        Raises:
            RequestError: (for "output") One can't.
        """
        if self._output.suffix.lower() != ".png":
            raise RequestError(messages.not_a_png(self._output), field="output")
        check_folder(self._output.parent)
        for path in (self._output, *map(self._path_of, range(self._count))):
            if is_taken(path) and (path.is_dir() or not self._overwrite):
                raise RequestError(messages.taken_unless_overwriting(path), field="output")

    def save(self, picture: Picture) -> Path:
        """Write a picture.

        Raises:
            StorageError: It can't be written.
        """
        path = self._path_of(picture.cell)
        return write_output(path, partial(write_png, path, picture, overwrite=self._overwrite))

    def save_file(self, cell: int | None, write: Callable[[BinaryIO], object]) -> Path:
        """Let `write` make a cell's file, or the sheet's.

        Raises:
            StorageError: It can't be written.
        """
        path = self._path_of(cell)
        make = partial(write_picture_file, path, write, overwrite=self._overwrite)
        return write_output(path, make)

    def _path_of(self, cell: int | None) -> Path:
        if cell is None:
            return self._output
        number = f"{cell + 1:0{self._digits}}"
        return self._output.with_stem(f"{self._output.stem}-{number}")


def add_grid_flags(command: argparse.ArgumentParser) -> None:
    """Add the flags that only a grid has."""
    group = command.add_argument_group(messages.AXES)
    for axis, help_text in zip(
        _AXES, (messages.x_help(AXES), messages.Y_HELP, messages.Z_HELP), strict=True
    ):
        group.add_argument(f"--{axis}", type=_parse_axis, metavar="AXIS=VALUES", help=help_text)
    group.add_argument("--lines", type=parse_path, metavar="FILE", help=messages.LINES_HELP)
    group.add_argument("--matrix", action="store_true", help=messages.MATRIX_HELP)
    group.add_argument("--dry-run", action="store_true", help=messages.DRY_RUN_HELP)


def grid(options: argparse.Namespace) -> int:
    """Paint a grid from the flags. Returns the exit code."""
    base, make = read_painting(options)
    request = _build_grid(options, base)
    count = count_cells(request)
    files = GridFiles(options.output, count, overwrite=options.overwrite)
    files.check()
    with make(files) as engine:
        if options.dry_run:
            sys.stdout.write(f"{_describe_plan(engine, request)}\n")
            return 0
        job = engine.submit(request)
        if not options.quiet:
            sys.stderr.write(f"{messages.note(_describe_plan(engine, request))}\n")
        return _run(job, options)


def _describe_plan(engine: Engine | RemoteEngine, request: Grid) -> str:
    if isinstance(engine, Engine):
        return messages.pictures_to_paint(engine.forecast_time(request))
    return messages.pictures_to_paint(TimeForecast(count_cells(request), None))


def _run(job: Job | RemoteJob, options: argparse.Namespace) -> int:
    try:
        warnings = watch_job(job, quiet=options.quiet).warnings
    except JobCancelledError:
        if job.pictures:
            _report(job, (), options)
        raise
    failed = _report(job, warnings, options)
    return int(failed)


def _build_grid(options: argparse.Namespace, base: Painting) -> Grid:
    """Return the grid of the flags.

    Raises:
        RequestError: They don't go together, or a value can't be used.
    """
    if base.num_images != 1:
        raise RequestError(messages.NO_COUNT_IN_GRID, field="num_images")
    axes: dict[str, dict[str, str]] = {
        name: getattr(options, name) for name in _AXES if getattr(options, name) is not None
    }
    if options.matrix:
        if axes or options.lines is not None:
            raise RequestError(messages.MATRIX_ALONE, field="matrix")
        return make_matrix(base)
    if options.lines is not None:
        if "x" in axes:
            raise RequestError(messages.LINES_ARE_X, field="lines")
        axes["x"] = {"field": PROMPT_LINE, "values": _read_lines(options.lines)}
    if "x" not in axes:
        raise RequestError(messages.NEEDS_AXIS, field="x")
    return Grid.parse({"base": base, **axes})


def _read_lines(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_LINES_BYTES + 1)
    except OSError as error:
        raise RequestError(messages.unreadable_lines(path, error.strerror), field="lines") from None
    if len(content) > MAX_LINES_BYTES:
        raise RequestError(messages.lines_too_large(path, MAX_LINES_BYTES), field="lines")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RequestError(messages.lines_not_utf8(path), field="lines") from None


def _parse_axis(text: str) -> dict[str, str]:
    name, equals, values = text.partition("=")
    if not equals or not name.strip():
        raise argparse.ArgumentTypeError(messages.not_an_axis(text))
    return {"field": name.strip(), "values": values}


def _report(job: Job | RemoteJob, warnings: tuple[str, ...], options: argparse.Namespace) -> bool:
    """Print the files, and what went wrong. Returns whether anything did."""
    request = job.request
    assert isinstance(request, Grid)
    plan = plan_cells(request)
    painted = {each.cell: each for each in job.pictures}
    sheet = painted.pop(None, None)
    failures = {each.cell: each.error for each in job.cells_done if each.error is not None}
    failed = bool(failures) or sheet is None or any(p.path is None for p in job.pictures)
    if failed or not options.quiet:
        for sentence in (*warnings, *(sheet.notes if sheet is not None else ())):
            sys.stderr.write(f"{messages.note(sentence)}\n")
    reports: list[dict[str, object]] = []
    for cell in plan.cells:
        report: dict[str, object] = {
            axis.name: value for axis, value in zip(plan.axes, cell.values, strict=True)
        }
        picture, error = painted.get(cell.index), failures.get(cell.index)
        if picture is not None:
            report["file"] = None if picture.path is None else str(picture.path)
        if error is not None:
            report["error"] = str(error) if isinstance(error, PaintError) else messages.INTERNAL
            sys.stderr.write(f"paintdiff grid: {plan.describe(cell)}: {report['error']}\n")
        reports.append(report)
    sheet_file = None if sheet is None or sheet.path is None else str(sheet.path)
    if options.json:
        content = {
            "kind": "grid",
            "axes": {axis.name: axis.row.name for axis in plan.axes},
            "seed": request.base.seed,
            "sheet": sheet_file,
            "warnings": list(warnings),
            "cells": reports,
        }
        sys.stdout.write(json.dumps(content) + "\n")
    else:
        lines = [*(each["file"] for each in reports if each.get("file")), sheet_file]
        sys.stdout.write("".join(f"{line}\n" for line in lines if line))
    return failed
