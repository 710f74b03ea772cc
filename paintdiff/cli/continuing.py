"""The command `python -m paintdiff gallery continue ID`: another end for a picture, from a step on.

The result is added to the gallery as a variation of the picture, as the page's *Replay* does.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial

from paintdiff.cli import messages
from paintdiff.cli.flag_values import parse_path
from paintdiff.cli.progress import watch_job
from paintdiff.config.user_folders import find_user_cache_folder
from paintdiff.engine.engine import Engine
from paintdiff.gallery.files.saving import PictureFolder
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.recording import Recorder
from paintdiff.jobs.request_parts import Branch
from paintdiff.jobs.requests import TextToImage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.preprocessors.annotators import Annotators
from paintdiff.prompts.library import PromptLibrary
from paintdiff.replay.replaying import branch_off
from paintdiff.replay.saved_pictures import read_saved_picture


def add_continue_command(command: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    command.add_argument("id", help=messages.ID_HELP)
    command.add_argument(
        "--after-step", type=int, required=True, metavar="N", help=messages.AFTER_STEP_HELP
    )
    command.add_argument("--prompt", metavar="WORDS", help=messages.KEPT_HELP)
    command.add_argument("--negative", metavar="WORDS", help=messages.KEPT_HELP)
    command.add_argument("--guidance", type=float, metavar="X", help=messages.KEPT_HELP)
    command.add_argument("--seed", type=int, metavar="N", help=messages.BRANCH_SEED_HELP)
    command.add_argument(
        "--models-dir",
        type=parse_path,
        action="append",
        default=[],
        metavar="FOLDER",
        help=messages.MODELS_DIR_HELP,
    )
    command.add_argument("--device", default="auto", metavar="NAME", help=messages.DEVICE_HELP)
    command.add_argument("--json", action="store_true", help=messages.CONTINUED_JSON_HELP)
    command.add_argument("--quiet", action="store_true", help=messages.QUIET_HELP)


def continue_picture(opened: Gallery, options: argparse.Namespace) -> int:
    """Run the command. Returns the exit code: 1 if the picture isn't in the gallery.

    Raises:
        RequestError: A value can't be used.
        MetadataError: The picture has no request of ours.
        GalleryError: No picture has that id, or an input image of it is missing.
        PaintError: It can't be painted now.
    """
    branch = _read_branch(options)
    record = opened.store.get(options.id)
    saved = read_saved_picture(opened.path_of(record.file), (opened.inputs,))
    request = branch_off(saved.request, branch)
    catalog = Catalog.default(options.models_dir, cache=find_user_cache_folder())
    manager = ModelManager(catalog, device=options.device)
    folder = PictureFolder(opened.folder)
    with Engine(
        manager,
        store=folder,
        recorder=Recorder(opened, folder),
        annotators=Annotators(options.models_dir, manager),
        library=PromptLibrary(options.models_dir, opened.folder),
    ) as engine:
        submit = partial(engine.submit, owner=record.owner, sees_all=True, varied=record.id)
        finished = watch_job(submit(request), quiet=options.quiet)
    picture = finished.pictures[0]
    failed = not picture.id
    for sentence in finished.warnings if failed or not options.quiet else ():
        sys.stderr.write(f"{messages.note(sentence)}\n")
    if options.json:
        shown = {"id": picture.id, "file": str(picture.path or ""), "parent": record.id}
        sys.stdout.write(json.dumps(shown) + "\n")
    elif picture.path is not None:
        sys.stdout.write(f"{picture.path}\n")
    return int(failed)


def _read_branch(options: argparse.Namespace) -> Branch:
    """Return the branch that the flags describe.

    Raises:
        RequestError: A value is outside its limits.
    """
    values = {
        "after_step": options.after_step,
        "prompt": options.prompt,
        "negative_prompt": options.negative,
        "guidance_scale": options.guidance,
        "seed": options.seed,
    }
    return TextToImage.parse({"prompt": "", "branches": (values,)}).branches[0]
