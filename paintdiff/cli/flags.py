"""The command line's flags.

A flag that sets one field of a request is stored under that field's name.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any, NoReturn, get_args

from paintdiff.cli.adapters import add_adapter_flags
from paintdiff.config.presets import is_installed
from paintdiff.config.settings import parse_bytes
from paintdiff.errors import RequestError
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.request_parts import LATENT_UPSCALER
from paintdiff.models.acceleration.engines import EngineName
from paintdiff.models.registry.samplers import list_samplers
from paintdiff.preprocessors.table import PREPROCESSORS

BAD_VALUE = 2
"""Exit code for an unusable value."""


def _parse_bytes(text: str) -> int:
    try:
        count = parse_bytes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None
    if not count:
        raise argparse.ArgumentTypeError("must be greater than 0")
    return count


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Print one line without usage, so that the problem is easy to see."""
        self.exit(BAD_VALUE, f"{self.prog}: {message}\n")


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line. It exits with BAD_VALUE for an unusable flag."""
    parser = _Parser(
        prog="paintdiff", description="Paints and enlarges pictures, offline, on your machine."
    )
    commands = parser.add_subparsers(required=True, metavar="command", dest="command")
    paint = commands.add_parser(
        "paint",
        help="paint a picture and save it as PNG",
        description="Paint a picture and save it as PNG, with its settings inside.",
        epilog=f'Example: {_find_command()} paint "a red house" --seed 7 --output house.png',
    )
    _add_file_flags(paint)
    _add_sampling_flags(paint)
    _add_large_flags(paint)
    _add_picture_flags(paint)
    _add_inpaint_flags(paint)
    _add_control_flags(paint)
    add_adapter_flags(paint)
    paint.add_argument(
        "--upscale", type=float, metavar="X", help="enlarge the finished pictures X times"
    )
    _add_upscaler_flag(paint)
    _add_general_flags(paint)
    _add_upscale_command(commands)
    return parser


def _find_command() -> str:
    return "paintdiff" if is_installed() else "python -m paintdiff"


def _add_upscale_command(commands: Any) -> None:
    upscale: argparse.ArgumentParser = commands.add_parser(
        "upscale",
        help="enlarge pictures",
        description="Enlarge pictures with an upscaler. Transparency, 16 bits and colour "
        "profiles are kept, and no file is overwritten. From a folder, all "
        "pictures directly in it are taken, except hidden files and earlier "
        "results.",
        epilog=f"Example: {_find_command()} upscale holiday/ --scale 4 --output large/",
    )
    upscale.add_argument(
        "pictures",
        type=_parse_path,
        nargs="+",
        metavar="PICTURE",
        help="a PNG, JPEG or WebP, or a folder",
    )
    upscale.add_argument(
        "--scale", type=float, default=2.0, metavar="X", help="how many times each way, 1 to 8 (2)"
    )
    _add_upscaler_flag(upscale)
    upscale.add_argument(
        "--output",
        type=_parse_path,
        metavar="PLACE",
        help="a .png or an existing folder (default: beside the picture, as boat-2x.png)",
    )
    upscale.add_argument(
        "--tile",
        type=int,
        metavar="PX",
        help=(
            "tile size; smaller tiles use less memory but take longer (default: as memory allows)"
        ),
    )
    _add_models_dir_flag(upscale)
    _add_general_flags(upscale)


def _add_upscaler_flag(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--upscaler",
        type=_parse_name_or_path,
        metavar="NAME",
        help="an upscaler's name or file (default: the first)",
    )
    command.add_argument(
        "--faces",
        metavar="NAME",
        help=("restore faces with a model from the folder facerestore_models"),
    )
    command.add_argument(
        "--face-strength",
        type=float,
        metavar="X",
        help="how much of the restored face to blend in, 0 to 1 (0.8)",
    )


def _add_models_dir_flag(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--models-dir",
        type=_parse_path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="also look for models here",
    )


def _add_general_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--device", default="auto", metavar="NAME", help="auto (default), cpu or cuda"
    )
    command.add_argument(
        "--memory-budget",
        type=_parse_bytes,
        metavar="SIZE",
        help="the most memory that painting may use, like 4GiB (default: what is free)",
    )
    command.add_argument(
        "--json", action="store_true", help="print one JSON object on stdout when done"
    )
    command.add_argument("--quiet", action="store_true", help="no progress bar, no warnings")


def _add_file_flags(paint: argparse.ArgumentParser) -> None:
    paint.add_argument("prompt", help="what to paint")
    paint.add_argument(
        "--output",
        type=_parse_path,
        required=True,
        metavar="FILE",
        help="the .png to save; with --count 2, boat.png becomes boat-1.png and boat-2.png",
    )
    paint.add_argument(
        "--overwrite", action="store_true", help="replace existing files (default: refuse)"
    )
    paint.add_argument("--negative", default="", metavar="WORDS", help="what should not appear")
    paint.add_argument(
        "--model",
        type=_parse_name_or_path,
        default="mini",
        metavar="NAME",
        help="a model's name, folder or file (mini)",
    )
    _add_models_dir_flag(paint)


def _add_sampling_flags(paint: argparse.ArgumentParser) -> None:
    paint.add_argument(
        "--quality", default="balanced", metavar="PRESET", help="fast, balanced (default) or high"
    )
    paint.add_argument(
        "--profile",
        metavar="NAME",
        help="speed: exact (default here and in Python: repeatable to the last bit), fast (the "
        "app's default: the same except for rounding) or turbo (fine details differ)",
    )
    paint.add_argument(
        "--engine",
        choices=get_args(EngineName),
        default="torch",
        help="backend for fast and turbo on a CPU: torch (default: OpenVINO is ready only "
        "after a few pictures), openvino, or auto (the faster one)",
    )
    paint.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help=("denoising steps; more takes longer and adds detail"),
    )
    paint.add_argument(
        "--guidance", type=float, metavar="X", help="how closely to follow the words"
    )
    paint.add_argument(
        "--size", type=_parse_size, metavar="WxH", help="size in pixels, like 128x128"
    )
    paint.add_argument("--sampler", metavar="NAME", help=f"one of: {', '.join(list_samplers())}")
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
    paint.add_argument(
        "--variation-strength",
        type=float,
        metavar="X",
        help="seed variation, 0 to 1. 0: same picture; higher: more different",
    )
    paint.add_argument(
        "--variation-seed",
        type=int,
        metavar="N",
        help=("seed of the variation; --count adds 1 to it"),
    )


def _add_large_flags(paint: argparse.ArgumentParser) -> None:
    group = paint.add_argument_group("larger than the model's native size")
    group.add_argument(
        "--hires",
        type=float,
        metavar="X",
        help="paint at --size, enlarge X times each way, then refine",
    )
    group.add_argument(
        "--hires-strength",
        type=float,
        metavar="X",
        help=("how much the second pass may change, 0 to 1"),
    )
    group.add_argument(
        "--hires-steps",
        type=int,
        metavar="N",
        help=("denoising steps of the second pass (default: as --steps)"),
    )
    group.add_argument(
        "--hires-upscaler",
        type=_parse_name_or_path,
        metavar="NAME",
        help=f"{LATENT_UPSCALER}, or an upscaler's name or file (default: the first)",
    )
    group.add_argument(
        "--tiled",
        action=argparse.BooleanOptionalAction,
        help="paint in overlapping windows (default: above twice the model's native area)",
    )


def _add_picture_flags(paint: argparse.ArgumentParser) -> None:
    group = paint.add_argument_group("from a picture")
    group.add_argument(
        "--image", type=_parse_path, metavar="FILE", help="paint from this PNG, JPEG or WebP"
    )
    group.add_argument("--strength", type=float, metavar="X", help="how much may change, 0 to 1")
    group.add_argument(
        "--resize-mode",
        metavar="MODE",
        help=("how to fit it to --size: stretch (default), crop or pad"),
    )
    group.add_argument(
        "--background", metavar="#RRGGBB", help="colour behind transparent parts (white)"
    )
    group.add_argument(
        "--loopback", type=int, metavar="N", help="feed the result back; N passes in all"
    )
    group.add_argument(
        "--loopback-factor",
        type=float,
        dest="loopback_strength_factor",
        metavar="X",
        help="multiply the strength by X on each further pass",
    )


def _add_inpaint_flags(paint: argparse.ArgumentParser) -> None:
    group = paint.add_argument_group("a part of the picture (with --mask, --sketch or --outpaint)")
    group.add_argument(
        "--mask",
        type=_parse_path,
        metavar="FILE",
        help=("the mask: white is repainted; same size as the picture"),
    )
    group.add_argument(
        "--sketch",
        type=_parse_path,
        metavar="FILE",
        help=("colour strokes on a transparent ground, as a guide"),
    )
    group.add_argument(
        "--invert-mask", action="store_true", default=None, help="repaint the black part instead"
    )
    group.add_argument(
        "--mask-blur",
        type=float,
        dest="mask_blur_px",
        metavar="PX",
        help="pixels of soft edge (4)",
    )
    group.add_argument(
        "--only-masked",
        action="store_true",
        default=None,
        help="paint only the masked part, enlarged to the model's size, and paste it back",
    )
    group.add_argument(
        "--padding",
        type=int,
        dest="padding_px",
        metavar="PX",
        help=("pixels around the masked part to include (32)"),
    )
    group.add_argument(
        "--masked-content",
        metavar="WHAT",
        help="what the masked part starts from: original (default), fill, noise or empty",
    )
    group.add_argument(
        "--soft",
        action="store_true",
        default=None,
        help=("soft inpainting: keep more where the mask is grey"),
    )
    group.add_argument(
        "--outpaint",
        type=_parse_sides,
        metavar="L,T,R,B",
        help="make the canvas larger: pixels on the left, top, right and bottom",
    )


def _add_control_flags(paint: argparse.ArgumentParser) -> None:
    group = paint.add_argument_group("with a ControlNet (each flag once for each --control)")
    group.add_argument(
        "--control",
        type=_parse_path,
        action="append",
        metavar="FILE",
        help="a picture or control map to follow; repeatable",
    )
    group.add_argument(
        "--preprocessor",
        action="append",
        metavar="NAME",
        help=f"preprocessor that makes the map: {', '.join(PREPROCESSORS)} (default: none)",
    )
    group.add_argument(
        "--controlnet",
        type=_parse_name_or_path,
        action="append",
        metavar="NAME",
        help=(
            "a ControlNet's name, folder, file or Hugging Face id (default: the first that "
            "fits the model)"
        ),
    )
    group.add_argument(
        "--control-scale",
        type=float,
        action="append",
        metavar="X",
        help=("how strictly the map is followed, 0 to 2 (1)"),
    )
    group.add_argument(
        "--control-start",
        type=float,
        action="append",
        metavar="X",
        help="control starts after this fraction of the steps, 0 to 1 (0)",
    )
    group.add_argument(
        "--control-end",
        type=float,
        action="append",
        metavar="X",
        help=("control ends after this fraction of the steps, 0 to 1 (1)"),
    )
    group.add_argument(
        "--control-resize-mode",
        action="append",
        metavar="MODE",
        help="how to fit it to the painted size: crop (default), stretch or pad",
    )


def _parse_path(text: str) -> Path:
    """Parse a path, existing or not.

    Refuses impossible or inaccessible ones, and an empty text (such as a script's empty variable),
    which would be this folder.
    """
    if not text:
        raise argparse.ArgumentTypeError("'' isn't a file or folder.")
    try:
        os.stat(text)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error.strerror}.") from None
    return Path(text)


def _parse_name_or_path(text: str) -> str:
    """Parse a model's name or path: valid text, because settings and pictures store it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{text!r} isn't valid UTF-8. Rename the file.") from None
    _parse_path(text)
    return text


def _parse_sides(text: str) -> dict[str, int]:
    numbers = text.split(",")
    if len(numbers) != 4 or not all(number.strip().isdecimal() for number in numbers):
        raise argparse.ArgumentTypeError(
            f"{text!r} isn't four numbers left,top,right,bottom. Write them like 64,0,64,0."
        )
    return dict(zip(("left", "top", "right", "bottom"), map(int, numbers), strict=True))


def _parse_size(text: str) -> Size:
    try:
        return Size.parse(text)
    except RequestError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
