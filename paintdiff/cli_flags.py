"""The command line's flags. Where a flag sets one field of a picture's request, it is stored under
that field's name.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any, NoReturn, get_args

from paintdiff.cli_adapters import add_adapter_flags
from paintdiff.errors import RequestError
from paintdiff.geometry import Size
from paintdiff.ingredients import LATENT_UPSCALER
from paintdiff.models.computing.engines import EngineName
from paintdiff.models.samplers import sampler_names
from paintdiff.preprocessors.table import PREPROCESSORS
from paintdiff.settings import parsed_bytes

BAD_VALUE = 2
"""The exit code for a value that can't be used."""


def _bytes(text: str) -> int:
    try:
        count = parsed_bytes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None
    if not count:
        raise argparse.ArgumentTypeError("with none nothing can be painted")
    return count


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, no usage: what is wrong should be the only thing to read."""
        self.exit(BAD_VALUE, f"{self.prog}: {message}\n")


def command_line_parser() -> argparse.ArgumentParser:
    """The parser of `python -m paintdiff`. It exits with BAD_VALUE for a flag it can't use."""
    parser = _Parser(
        prog="paintdiff", description="Paints and enlarges pictures, offline, on your machine."
    )
    commands = parser.add_subparsers(required=True, metavar="command", dest="command")
    paint = commands.add_parser(
        "paint",
        help="paint a picture and save it as PNG",
        description="Paint a picture and save it as PNG, with its settings inside.",
        epilog='Example: python -m paintdiff paint "a red house" --seed 7 --output house.png',
    )
    _add_file_flags(paint)
    _add_sampling_flags(paint)
    _add_large_flags(paint)
    _add_picture_flags(paint)
    _add_inpaint_flags(paint)
    _add_control_flags(paint)
    add_adapter_flags(paint)
    paint.add_argument(
        "--upscale", type=float, metavar="X", help="enlarge the pictures in the end, X times"
    )
    _add_upscaler_flag(paint)
    _add_general_flags(paint)
    _add_upscale_command(commands)
    return parser


def _add_upscale_command(commands: Any) -> None:
    upscale: argparse.ArgumentParser = commands.add_parser(
        "upscale",
        help="enlarge pictures",
        description="Enlarge pictures by a network that adds what was lost. Transparency, 16 bits "
        "and colour profiles are kept, and no file is ever overwritten. Of a folder the pictures "
        "are taken that lie right in it, but for hidden ones and those made of others before.",
        epilog="Example: python -m paintdiff upscale holiday/ --scale 4 --output large/",
    )
    upscale.add_argument(
        "pictures",
        type=_path,
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
        type=_path,
        metavar="PLACE",
        help="a .png, or a folder that is there (usual: beside the picture, as boat-2x.png)",
    )
    upscale.add_argument(
        "--tile", type=int, metavar="PX", help="the side of the tiles (usual: as memory allows)"
    )
    _add_models_dir_flag(upscale)
    _add_general_flags(upscale)


def _add_upscaler_flag(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--upscaler",
        type=_name_or_place,
        metavar="NAME",
        help="an upscaler's name or file (usual: the first there is)",
    )
    command.add_argument(
        "--faces", metavar="NAME", help="restore faces by what is in a folder facerestore_models"
    )
    command.add_argument(
        "--face-strength",
        type=float,
        metavar="X",
        help="how much of a restored face shows, 0 to 1 (0.8)",
    )


def _add_models_dir_flag(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--models-dir",
        type=_path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="look for models here too",
    )


def _add_general_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--device", default="auto", metavar="NAME", help="auto (usual), cpu or cuda"
    )
    command.add_argument(
        "--memory-budget",
        type=_bytes,
        metavar="SIZE",
        help="the most memory that painting may take, like 4GB (usual: what is free)",
    )
    command.add_argument(
        "--json", action="store_true", help="print one JSON object on stdout when done"
    )
    command.add_argument("--quiet", action="store_true", help="no progress bar, no warnings")


def _add_file_flags(paint: argparse.ArgumentParser) -> None:
    paint.add_argument("prompt", help="what to paint")
    paint.add_argument(
        "--output",
        type=_path,
        required=True,
        metavar="FILE",
        help="where to save it, a .png; --count 2 makes boat-1.png and boat-2.png of boat.png",
    )
    paint.add_argument(
        "--overwrite", action="store_true", help="replace files that exist (otherwise refused)"
    )
    paint.add_argument("--negative", default="", metavar="WORDS", help="what not to paint")
    paint.add_argument(
        "--model",
        type=_name_or_place,
        default="mini",
        metavar="NAME",
        help="a model's name, folder or file (mini)",
    )
    _add_models_dir_flag(paint)


def _add_sampling_flags(paint: argparse.ArgumentParser) -> None:
    paint.add_argument(
        "--quality", default="balanced", metavar="PRESET", help="fast, balanced (usual) or high"
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
        help="what computes fast and turbo on a CPU: torch (usual, as it takes pictures until\n"
        "another is ready), openvino, or auto, the quicker of the two",
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
    paint.add_argument(
        "--variation-strength",
        type=float,
        metavar="X",
        help="paint variations of one picture: how far from it, 0 to 1",
    )
    paint.add_argument(
        "--variation-seed", type=int, metavar="N", help="which variation; --count adds 1 to this"
    )


def _add_large_flags(paint: argparse.ArgumentParser) -> None:
    group = paint.add_argument_group("larger than the model was made for")
    group.add_argument(
        "--hires",
        type=float,
        metavar="X",
        help="paint at --size, enlarge X times each way, and paint over it from there",
    )
    group.add_argument(
        "--hires-strength", type=float, metavar="X", help="how much of it gives way then, 0 to 1"
    )
    group.add_argument(
        "--hires-steps", type=int, metavar="N", help="denoising steps then (usual: as --steps)"
    )
    group.add_argument(
        "--hires-upscaler",
        type=_name_or_place,
        metavar="NAME",
        help=f"what enlarges it: {LATENT_UPSCALER}, or an upscaler's name or file (the first)",
    )
    group.add_argument(
        "--tiled",
        action=argparse.BooleanOptionalAction,
        help="see it through overlapping windows (usual: if over twice the model's native area)",
    )


def _add_picture_flags(paint: argparse.ArgumentParser) -> None:
    group = paint.add_argument_group("from a picture")
    group.add_argument(
        "--image", type=_path, metavar="FILE", help="paint from this PNG, JPEG or WebP"
    )
    group.add_argument(
        "--strength", type=float, metavar="X", help="how much of it gives way, 0 to 1"
    )
    group.add_argument(
        "--resize-mode", metavar="MODE", help="how it comes to --size: stretch (usual), crop or pad"
    )
    group.add_argument(
        "--background", metavar="#RRGGBB", help="what shows where it is transparent (white)"
    )
    group.add_argument(
        "--loopback", type=int, metavar="N", help="feed the result back, N passes in all"
    )
    group.add_argument(
        "--loopback-factor",
        type=float,
        dest="loopback_strength_factor",
        metavar="X",
        help="each further pass has X times the strength",
    )


def _add_inpaint_flags(paint: argparse.ArgumentParser) -> None:
    group = paint.add_argument_group("a part of the picture (with --mask, --sketch or --outpaint)")
    group.add_argument(
        "--mask", type=_path, metavar="FILE", help="white is repainted; of the picture's size"
    )
    group.add_argument(
        "--sketch", type=_path, metavar="FILE", help="colour strokes on nothing, painted from"
    )
    group.add_argument(
        "--invert-mask", action="store_true", default=None, help="repaint what is black instead"
    )
    group.add_argument(
        "--mask-blur",
        type=float,
        dest="mask_blur_px",
        metavar="PX",
        help="softness of its edge (4)",
    )
    group.add_argument(
        "--only-masked",
        action="store_true",
        default=None,
        help="paint only that part, at full size, and paste it back",
    )
    group.add_argument(
        "--padding", type=int, dest="padding_px", metavar="PX", help="with what is around it (32)"
    )
    group.add_argument(
        "--masked-content",
        metavar="WHAT",
        help="what it starts from: original (usual), fill, noise or empty",
    )
    group.add_argument(
        "--soft", action="store_true", default=None, help="a grey mask keeps more of the picture"
    )
    group.add_argument(
        "--outpaint",
        type=_sides,
        metavar="L,T,R,B",
        help="make the canvas larger: pixels on the left, top, right and bottom",
    )


def _add_control_flags(paint: argparse.ArgumentParser) -> None:
    group = paint.add_argument_group("with a ControlNet (each flag once for each --control)")
    group.add_argument(
        "--control",
        type=_path,
        action="append",
        metavar="FILE",
        help="a picture or a control map that says where things are; repeatable",
    )
    group.add_argument(
        "--preprocessor",
        action="append",
        metavar="NAME",
        help=f"how it becomes a map: {', '.join(PREPROCESSORS)} (usual: none)",
    )
    group.add_argument(
        "--controlnet",
        type=_name_or_place,
        action="append",
        metavar="NAME",
        help="a ControlNet's name, folder, file or hub id (usual: the first that fits the model)",
    )
    group.add_argument(
        "--control-scale", type=float, action="append", metavar="X", help="how strictly, 0 to 2 (1)"
    )
    group.add_argument(
        "--control-start",
        type=float,
        action="append",
        metavar="X",
        help="from which part of the steps on, 0 to 1 (0)",
    )
    group.add_argument(
        "--control-end", type=float, action="append", metavar="X", help="and until which (1)"
    )
    group.add_argument(
        "--control-resize-mode",
        action="append",
        metavar="MODE",
        help="how it comes to the painted size: crop (usual), stretch or pad",
    )


def _path(text: str) -> Path:
    """Of a file or folder that may be there or not. What can't be, or can't be looked at, is
    refused; so is an empty text (of a script's empty variable), which would be this folder.
    """
    if not text:
        raise argparse.ArgumentTypeError("'' is no file or folder.")
    try:
        os.stat(text)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error.strerror}.") from None
    return Path(text)


def _name_or_place(text: str) -> str:
    """Of a model. It becomes a name in settings and pictures, so it has to be text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{text!r} is no UTF-8; rename the file.") from None
    _path(text)
    return text


def _sides(text: str) -> dict[str, int]:
    numbers = text.split(",")
    if len(numbers) != 4 or not all(number.strip().isdecimal() for number in numbers):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not four numbers, left,top,right,bottom, like 64,0,64,0."
        )
    return dict(zip(("left", "top", "right", "bottom"), map(int, numbers), strict=True))


def _size(text: str) -> Size:
    try:
        return Size.parse(text)
    except RequestError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
