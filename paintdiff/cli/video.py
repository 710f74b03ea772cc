"""The command `python -m paintdiff gallery video ID`: an animation of how a picture came about."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import get_args

from paintdiff.cli import messages
from paintdiff.cli.files import check_folder, is_taken
from paintdiff.cli.flag_values import parse_path
from paintdiff.cli.progress import watch_job
from paintdiff.config.user_folders import find_user_cache_folder
from paintdiff.engine.engine import Engine
from paintdiff.errors import PaintError, RequestError
from paintdiff.gallery.gallery import Gallery
from paintdiff.imaging.animations import (
    AnimationFormat,
    Pace,
    check_fps,
    import_pyav,
    is_video,
    write_animation,
)
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.preprocessors.annotators import Annotators
from paintdiff.replay.replaying import check_has_steps, replay
from paintdiff.replay.saved_pictures import read_saved_picture
from paintdiff.system.atomic_files import new_file


def add_video_command(command: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    command.add_argument("id", help=messages.ID_HELP)
    command.add_argument("--fps", type=int, default=60, metavar="N", help=messages.FPS_HELP)
    command.add_argument(
        "--format", choices=get_args(AnimationFormat), default="webm", help=messages.FORMAT_HELP
    )
    command.add_argument(
        "--output", type=parse_path, metavar="FILE", help=messages.VIDEO_OUTPUT_HELP
    )
    command.add_argument(
        "--fade", action=argparse.BooleanOptionalAction, default=None, help=messages.FADE_HELP
    )
    command.add_argument(
        "--models-dir",
        type=parse_path,
        action="append",
        default=[],
        metavar="FOLDER",
        help=messages.MODELS_DIR_HELP,
    )
    command.add_argument("--device", default="auto", metavar="NAME", help=messages.DEVICE_HELP)
    command.add_argument("--quiet", action="store_true", help=messages.QUIET_HELP)


def make_video(opened: Gallery, options: argparse.Namespace) -> int:
    """Run the command. Returns the exit code.

    Raises:
        RequestError: A value can't be used.
        AnimationError: The animation can't be made; PyAV is missing, for example.
        MetadataError: The picture has no request of ours.
        GalleryError: No picture has that id, or an input image of it is missing.
        PaintError: It can't be painted now.
    """
    output: Path = options.output or Path(f"{options.id}.{options.format}")
    check_folder(output.parent)
    if is_taken(output):
        raise RequestError(messages.taken(output), field="output")
    fades: bool = options.fade if options.fade is not None else is_video(options.format)
    check_fps(options.format, options.fps, fades=fades)  # before minutes of painting
    if is_video(options.format):
        import_pyav()
    path = opened.path_of(opened.store.get(options.id).file)
    request = read_saved_picture(path, (opened.inputs,)).request
    check_has_steps(request)
    catalog = Catalog.default(options.models_dir, cache=find_user_cache_folder())
    manager = ModelManager(catalog, device=options.device)
    with Engine(manager, annotators=Annotators(options.models_dir, manager)) as engine:
        made = replay(engine, request, partial(watch_job, quiet=options.quiet))
    for sentence in () if options.quiet else made.warnings:
        sys.stderr.write(f"{messages.note(sentence)}\n")
    images = [frame.image for frame in made.frames]
    try:
        with new_file(output, overwrite=False) as file:
            pace = Pace.for_images(len(images), options.fps, fades=fades)
            write_animation(file, images, options.format, pace)
    except FileExistsError:
        raise RequestError(messages.taken(output), field="output") from None
    except OSError as error:
        raise PaintError(messages.not_exported(output, error.strerror)) from error
    sys.stdout.write(f"{output}\n")
    return 0
