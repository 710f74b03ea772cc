"""The command line's flags.

A flag that sets one field of a request is stored under that field's name.
"""

from __future__ import annotations

import argparse
from typing import Any, NoReturn, get_args

from paintdiff.cli import messages
from paintdiff.cli.accounts import add_account_commands
from paintdiff.cli.adapters import add_adapter_flags
from paintdiff.cli.flag_values import (
    parse_bytes,
    parse_name_or_path,
    parse_path,
    parse_sides,
    parse_size,
)
from paintdiff.cli.gallery import add_gallery_commands
from paintdiff.cli.grid import add_grid_flags
from paintdiff.cli.server import add_server_flags
from paintdiff.config.presets import is_installed
from paintdiff.config.settings import APP_COMMANDS
from paintdiff.jobs.request_parts import LATENT_UPSCALER
from paintdiff.models.acceleration.engines import EngineName
from paintdiff.models.registry.samplers import list_samplers
from paintdiff.preprocessors.table import PREPROCESSORS
from paintdiff.prompts.attention import Emphasis
from paintdiff.prompts.syntax import PromptSyntax
from paintdiff.prompts.wildcards.expansion import WildcardMode

BAD_VALUE = 2
"""Exit code for an unusable value."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Print one line without usage, so that the problem is easy to see."""
        self.exit(BAD_VALUE, f"{self.prog}: {message}\n")


def build_parser(*, starts_app: bool = False) -> argparse.ArgumentParser:
    """Build the parser of the command line. It exits with BAD_VALUE for an unusable flag.

    If this process `starts_app`, its help lists the commands for that.
    """
    parser = _Parser(prog="paintdiff", description=messages.ABOUT)
    commands = parser.add_subparsers(required=True, metavar="command", dest="command")
    paint = commands.add_parser(
        "paint",
        help=messages.PAINT_HELP,
        description=messages.ABOUT_PAINT,
        epilog=messages.paint_example(_find_command()),
    )
    paint.add_argument("prompt", help=messages.PROMPT_HELP)
    _add_painting_flags(paint, messages.OUTPUT_HELP)
    grid = commands.add_parser(
        "grid",
        help=messages.GRID_HELP,
        description=messages.ABOUT_GRID,
        epilog=messages.grid_example(_find_command()),
    )
    grid.add_argument("prompt", nargs="?", default="", help=messages.GRID_PROMPT_HELP)
    add_grid_flags(grid)
    _add_painting_flags(grid, messages.GRID_OUTPUT_HELP)
    _add_upscale_command(commands)
    _add_verify_command(commands)
    add_gallery_commands(commands)
    if starts_app:
        help_texts = (messages.APP_HELP, messages.SERVE_HELP)
        for name, help_text in zip(APP_COMMANDS, help_texts, strict=True):
            commands.add_parser(name, help=help_text)
    add_account_commands(commands)
    return parser


def _add_painting_flags(command: argparse.ArgumentParser, output_help: str) -> None:
    _add_file_flags(command, output_help)
    _add_sampling_flags(command)
    _add_large_flags(command)
    _add_picture_flags(command)
    _add_inpaint_flags(command)
    _add_control_flags(command)
    add_adapter_flags(command)
    command.add_argument("--upscale", type=float, metavar="X", help=messages.PAINT_UPSCALE_HELP)
    _add_upscaler_flag(command)
    _add_general_flags(command)
    add_server_flags(command)


def _find_command() -> str:
    return "paintdiff" if is_installed() else "python -m paintdiff"


def _add_upscale_command(commands: Any) -> None:
    upscale: argparse.ArgumentParser = commands.add_parser(
        "upscale",
        help=messages.UPSCALE_HELP,
        description=messages.ABOUT_UPSCALE,
        epilog=messages.upscale_example(_find_command()),
    )
    upscale.add_argument(
        "pictures",
        type=parse_path,
        nargs="+",
        metavar="PICTURE",
        help=messages.PICTURES_HELP,
    )
    upscale.add_argument(
        "--scale",
        type=float,
        default=2.0,
        metavar="X",
        help=messages.SCALE_HELP,
    )
    _add_upscaler_flag(upscale)
    upscale.add_argument(
        "--output",
        type=parse_path,
        metavar="PLACE",
        help=messages.UPSCALE_OUTPUT_HELP,
    )
    upscale.add_argument(
        "--tile",
        type=int,
        metavar="PX",
        help=messages.TILE_HELP,
    )
    _add_models_dir_flag(upscale)
    _add_general_flags(upscale)
    add_server_flags(upscale)


def _add_verify_command(commands: Any) -> None:
    verify: argparse.ArgumentParser = commands.add_parser(
        "verify", help=messages.VERIFY_HELP, description=messages.ABOUT_VERIFY
    )
    verify.add_argument(
        "pictures", type=parse_path, nargs="+", metavar="FILE", help=messages.VERIFIED_HELP
    )
    verify.add_argument(
        "--output-dir", type=parse_path, metavar="FOLDER", help=messages.INPUTS_HELP
    )
    verify.add_argument("--model", metavar="PATH", help=messages.VERIFY_MODEL_HELP)
    verify.add_argument(
        "--engine",
        choices=get_args(EngineName),
        default="auto",
        help=messages.VERIFY_ENGINE_HELP,
    )
    _add_models_dir_flag(verify)
    _add_general_flags(verify, messages.JSON_REPORTS_HELP)


def _add_upscaler_flag(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--upscaler",
        type=parse_name_or_path,
        metavar="NAME",
        help=messages.UPSCALER_HELP,
    )
    command.add_argument(
        "--faces",
        metavar="NAME",
        help=messages.FACES_HELP,
    )
    command.add_argument(
        "--face-strength",
        type=float,
        metavar="X",
        help=messages.FACE_STRENGTH_HELP,
    )


def _add_models_dir_flag(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--models-dir",
        type=parse_path,
        action="append",
        default=[],
        metavar="FOLDER",
        help=messages.MODELS_DIR_HELP,
    )


def _add_general_flags(
    command: argparse.ArgumentParser, json_help: str = messages.JSON_HELP
) -> None:
    command.add_argument("--device", default="auto", metavar="NAME", help=messages.DEVICE_HELP)
    command.add_argument(
        "--memory-budget",
        type=parse_bytes,
        metavar="SIZE",
        help=messages.MEMORY_BUDGET_HELP,
    )
    command.add_argument("--json", action="store_true", help=json_help)
    command.add_argument("--quiet", action="store_true", help=messages.QUIET_HELP)


def _add_file_flags(paint: argparse.ArgumentParser, output_help: str) -> None:
    paint.add_argument(
        "--output",
        type=parse_path,
        required=True,
        metavar="FILE",
        help=output_help,
    )
    paint.add_argument("--overwrite", action="store_true", help=messages.OVERWRITE_HELP)
    paint.add_argument("--negative", default="", metavar="WORDS", help=messages.NEGATIVE_HELP)
    paint.add_argument(
        "--prompt-syntax",
        choices=get_args(PromptSyntax),
        default="a1111",
        help=messages.PROMPT_SYNTAX_HELP,
    )
    paint.add_argument(
        "--emphasis",
        choices=get_args(Emphasis),
        default="original",
        help=messages.EMPHASIS_HELP,
    )
    paint.add_argument(
        "--wildcards",
        choices=get_args(WildcardMode),
        default="random",
        help=messages.WILDCARDS_HELP,
    )
    paint.add_argument(
        "--style",
        action="append",
        dest="styles",
        default=[],
        metavar="NAME",
        help=messages.STYLE_HELP,
    )
    paint.add_argument(
        "--model",
        type=parse_name_or_path,
        default="mini",
        metavar="NAME",
        help=messages.MODEL_HELP,
    )
    _add_models_dir_flag(paint)


def _add_sampling_flags(paint: argparse.ArgumentParser) -> None:
    paint.add_argument(
        "--quality", default="balanced", metavar="PRESET", help=messages.QUALITY_HELP
    )
    paint.add_argument(
        "--profile",
        metavar="NAME",
        help=messages.PROFILE_HELP,
    )
    paint.add_argument(
        "--time-budget",
        type=float,
        dest="time_budget_seconds",
        metavar="SECONDS",
        help=messages.TIME_BUDGET_HELP,
    )
    paint.add_argument(
        "--engine",
        choices=get_args(EngineName),
        default="torch",
        help=messages.ENGINE_HELP,
    )
    paint.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help=messages.STEPS_HELP,
    )
    paint.add_argument("--guidance", type=float, metavar="X", help=messages.GUIDANCE_HELP)
    paint.add_argument("--size", type=parse_size, metavar="WxH", help=messages.SIZE_HELP)
    paint.add_argument("--sampler", metavar="NAME", help=messages.one_of(list_samplers()))
    paint.add_argument("--seed", type=int, metavar="N", help=messages.SEED_HELP)
    paint.add_argument(
        "--count",
        type=int,
        default=1,
        metavar="N",
        help=messages.COUNT_HELP,
    )
    paint.add_argument(
        "--variation-strength",
        type=float,
        metavar="X",
        help=messages.VARIATION_HELP,
    )
    paint.add_argument(
        "--variation-seed",
        type=int,
        metavar="N",
        help=messages.VARIATION_SEED_HELP,
    )


def _add_large_flags(paint: argparse.ArgumentParser) -> None:
    group = paint.add_argument_group(messages.LARGER_THAN_NATIVE)
    group.add_argument(
        "--hires",
        type=float,
        metavar="X",
        help=messages.HIRES_HELP,
    )
    group.add_argument(
        "--hires-strength",
        type=float,
        metavar="X",
        help=messages.HIRES_STRENGTH_HELP,
    )
    group.add_argument(
        "--hires-steps",
        type=int,
        metavar="N",
        help=messages.HIRES_STEPS_HELP,
    )
    group.add_argument(
        "--hires-upscaler",
        type=parse_name_or_path,
        metavar="NAME",
        help=messages.hires_upscaler_help(LATENT_UPSCALER),
    )
    group.add_argument(
        "--tiled",
        action=argparse.BooleanOptionalAction,
        help=messages.TILED_HELP,
    )


def _add_picture_flags(paint: argparse.ArgumentParser) -> None:
    group = paint.add_argument_group(messages.FROM_A_PICTURE)
    group.add_argument("--image", type=parse_path, metavar="FILE", help=messages.IMAGE_HELP)
    group.add_argument("--strength", type=float, metavar="X", help=messages.STRENGTH_HELP)
    group.add_argument(
        "--resize-mode",
        metavar="MODE",
        help=messages.RESIZE_MODE_HELP,
    )
    group.add_argument("--background", metavar="#RRGGBB", help=messages.BACKGROUND_HELP)
    group.add_argument("--loopback", type=int, metavar="N", help=messages.LOOPBACK_HELP)
    group.add_argument(
        "--loopback-factor",
        type=float,
        dest="loopback_strength_factor",
        metavar="X",
        help=messages.LOOPBACK_FACTOR_HELP,
    )


def _add_inpaint_flags(paint: argparse.ArgumentParser) -> None:
    group = paint.add_argument_group(messages.PART_OF_A_PICTURE)
    group.add_argument(
        "--mask",
        type=parse_path,
        metavar="FILE",
        help=messages.MASK_HELP,
    )
    group.add_argument(
        "--sketch",
        type=parse_path,
        metavar="FILE",
        help=messages.SKETCH_HELP,
    )
    group.add_argument(
        "--invert-mask", action="store_true", default=None, help=messages.INVERT_MASK_HELP
    )
    group.add_argument(
        "--mask-blur",
        type=float,
        dest="mask_blur_px",
        metavar="PX",
        help=messages.MASK_BLUR_HELP,
    )
    group.add_argument(
        "--only-masked",
        action="store_true",
        default=None,
        help=messages.ONLY_MASKED_HELP,
    )
    group.add_argument(
        "--padding",
        type=int,
        dest="padding_px",
        metavar="PX",
        help=messages.PADDING_HELP,
    )
    group.add_argument(
        "--masked-content",
        metavar="WHAT",
        help=messages.MASKED_CONTENT_HELP,
    )
    group.add_argument(
        "--soft",
        action="store_true",
        default=None,
        help=messages.SOFT_HELP,
    )
    group.add_argument(
        "--outpaint",
        type=parse_sides,
        metavar="L,T,R,B",
        help=messages.OUTPAINT_HELP,
    )


def _add_control_flags(paint: argparse.ArgumentParser) -> None:
    group = paint.add_argument_group(messages.WITH_A_CONTROLNET)
    group.add_argument(
        "--control",
        type=parse_path,
        action="append",
        metavar="FILE",
        help=messages.CONTROL_HELP,
    )
    group.add_argument(
        "--preprocessor",
        action="append",
        metavar="NAME",
        help=messages.preprocessor_help(PREPROCESSORS),
    )
    group.add_argument(
        "--controlnet",
        type=parse_name_or_path,
        action="append",
        metavar="NAME",
        help=messages.CONTROLNET_HELP,
    )
    group.add_argument(
        "--control-scale",
        type=float,
        action="append",
        metavar="X",
        help=messages.CONTROL_SCALE_HELP,
    )
    group.add_argument(
        "--control-start",
        type=float,
        action="append",
        metavar="X",
        help=messages.CONTROL_START_HELP,
    )
    group.add_argument(
        "--control-end",
        type=float,
        action="append",
        metavar="X",
        help=messages.CONTROL_END_HELP,
    )
    group.add_argument(
        "--control-resize-mode",
        action="append",
        metavar="MODE",
        help=messages.CONTROL_RESIZE_MODE_HELP,
    )
