"""The command line's flags. Where a flag sets one field of a picture's request, it is stored under
that field's name.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

from paintdiff.errors import RequestError
from paintdiff.geometry import Size
from paintdiff.models.samplers import sampler_names
from paintdiff.preprocessors.table import PREPROCESSORS

BAD_VALUE = 2
"""The exit code for a value that can't be used."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, no usage: what is wrong should be the only thing to read."""
        self.exit(BAD_VALUE, f"{self.prog}: {message}\n")


def command_line_parser() -> argparse.ArgumentParser:
    """The parser of `python -m paintdiff`. It exits with BAD_VALUE for a flag it can't use."""
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
    _add_file_flags(paint)
    _add_sampling_flags(paint)
    _add_picture_flags(paint)
    _add_inpaint_flags(paint)
    _add_control_flags(paint)
    paint.add_argument("--device", default="auto", metavar="NAME", help="auto (usual), cpu or cuda")
    paint.add_argument(
        "--json", action="store_true", help="print one JSON object on stdout when done"
    )
    paint.add_argument("--quiet", action="store_true", help="no progress bar, no warnings")
    return parser


def _add_file_flags(paint: argparse.ArgumentParser) -> None:
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


def _add_sampling_flags(paint: argparse.ArgumentParser) -> None:
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
    paint.add_argument(
        "--variation-strength",
        type=float,
        metavar="X",
        help="paint variations of one picture: how far from it, 0 to 1",
    )
    paint.add_argument(
        "--variation-seed", type=int, metavar="N", help="which variation; --count adds 1 to this"
    )


def _add_picture_flags(paint: argparse.ArgumentParser) -> None:
    group = paint.add_argument_group("from a picture")
    group.add_argument(
        "--image", type=Path, metavar="FILE", help="paint from this PNG, JPEG or WebP"
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
        "--mask", type=Path, metavar="FILE", help="white is repainted; of the picture's size"
    )
    group.add_argument(
        "--sketch", type=Path, metavar="FILE", help="colour strokes on nothing, painted from"
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
        type=Path,
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
