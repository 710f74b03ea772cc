"""The command `python -m paintdiff verify boat.png`: paint saved pictures again and compare.

Exit codes: 0 all are identical to the last bit, 1 one differs or couldn't be painted, 2 one has no
request of ours or can't be read (or a flag can't be used), 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from functools import partial
from pathlib import Path
from typing import Any

from paintdiff.cli import messages
from paintdiff.cli.progress import watch_job
from paintdiff.config.settings import Settings
from paintdiff.config.user_folders import find_user_cache_folder
from paintdiff.engine.engine import Engine
from paintdiff.errors import JobCancelledError, MetadataError, PaintError, RequestError
from paintdiff.gallery.files.input_files import InputFiles
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.preprocessors.annotators import Annotators
from paintdiff.replay.verification import Verification, describe_verification, verify_file

IDENTICAL, DIFFERENT, UNUSABLE = 0, 1, 2


def verify(options: argparse.Namespace) -> int:
    """Run the command. Returns the exit code.

    Each picture is a job of its own, so one that can't be verified doesn't stop the others.

    Raises:
        PaintError: The models can't be used.
    """
    catalog = Catalog.default(options.models_dir, cache=find_user_cache_folder())
    if options.model is not None:
        catalog = catalog.with_source(options.model)
    manager = ModelManager(
        catalog,
        device=options.device,
        memory_budget_bytes=options.memory_budget,
        engine=options.engine,
    )
    folder = options.output_dir or Settings.read([]).output_dir
    codes: list[int] = []
    with Engine(manager, annotators=Annotators(options.models_dir, manager)) as engine:
        for number, path in enumerate(options.pictures, 1):
            many = len(options.pictures) > 1
            place = messages.which_of_many(number, len(options.pictures)) if many else ""
            watch = partial(watch_job, quiet=options.quiet, place=place)
            try:
                found = verify_file(engine, path, (InputFiles(folder),), watch)
            except JobCancelledError:
                raise
            except PaintError as error:
                codes.append(UNUSABLE if _is_unusable(error) else DIFFERENT)
                _print_error(path, error, options)
            else:
                codes.append(IDENTICAL if found.identical else DIFFERENT)
                _print(path, found, options)
    return max(codes)


def _is_unusable(error: PaintError) -> bool:
    """Return whether the file is at fault: it has no request of ours, or can't be read."""
    return isinstance(error, (MetadataError, RequestError))


def _print_error(path: Path, error: PaintError, options: argparse.Namespace) -> None:
    sys.stderr.write(f"paintdiff verify: {path}: {error}\n")
    if options.json:
        sys.stdout.write(json.dumps({"file": str(path), "error": str(error)}) + "\n")


def _print(path: Path, found: Verification, options: argparse.Namespace) -> None:
    if options.json:
        sys.stdout.write(json.dumps({"file": str(path), **_make_report(found)}) + "\n")
    else:
        lines = "\n  ".join(describe_verification(found))
        sys.stdout.write(f"{path}: {lines}\n")
        for sentence in [] if options.quiet else found.warnings:
            sys.stderr.write(f"{messages.note(sentence)}\n")
    sys.stdout.flush()  # the next one may take minutes


def _make_report(found: Verification) -> dict[str, Any]:
    compared = found.comparison
    report: dict[str, Any] = {"identical": found.identical}
    if compared is not None:
        report |= {
            "largest_difference": compared.largest,
            "psnr_db": None if math.isinf(compared.psnr_db) else round(compared.psnr_db, 2),
            "differing_pixels": compared.pixels,
            "pixels": compared.total_pixels,
        }
    return report | {
        "differences": [vars(each) for each in found.differences],
        "unknown": list(found.unknown),
        "may_differ": found.may_differ,
        "saved_size": str(found.saved_size),
        "size": str(found.picture.size),
        "warnings": list(found.warnings),
    }
