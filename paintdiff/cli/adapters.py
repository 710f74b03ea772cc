"""Flags for adapters: LoRAs, another VAE, a refiner and so on."""

from __future__ import annotations

import argparse
from pathlib import Path

from paintdiff.cli import messages
from paintdiff.cli.files import read_input_image
from paintdiff.jobs.request_parts import FreeU

FLAG_OF_ADAPTER = {
    "loras": "--lora",
    "ip_adapters": "--ip-adapter",
    "free_u": "--free-u",
    "clip_skip": "--clip-skip",
    "refiner": "--refiner",
}
"""The flag of each field that has one."""

_FACTORS = ("b1", "b2", "s1", "s2")


def add_adapter_flags(paint: argparse.ArgumentParser) -> None:
    """Add the flags of `paint` that `read_adapter_flags` reads."""
    group = paint.add_argument_group(messages.OTHER_MODELS)
    group.add_argument(
        "--lora",
        type=_parse_lora,
        action="append",
        default=[],
        metavar="NAME[:WEIGHT[:WORDS]]",
        help=messages.LORA_HELP,
    )
    group.add_argument("--vae", metavar="NAME", help=messages.VAE_HELP)
    group.add_argument(
        "--clip-skip",
        type=int,
        metavar="N",
        help=messages.CLIP_SKIP_HELP,
    )
    group.add_argument(
        "--refiner",
        type=_parse_refiner,
        metavar="NAME[:PART]",
        help=messages.REFINER_HELP,
    )
    group.add_argument(
        "--ip-adapter",
        type=_parse_picture,
        action="append",
        default=[],
        metavar="FILE[:SCALE]",
        help=messages.IP_ADAPTER_HELP,
    )
    group.add_argument(
        "--free-u",
        type=_parse_free_u,
        nargs="?",
        const={},
        metavar="B1,B2,S1,S2",
        help=messages.FREE_U_HELP,
    )


def read_adapter_flags(options: argparse.Namespace) -> dict[str, object]:
    """Return the request's fields from the flags.

    Raises:
        RequestError: A picture can't be read.
    """
    values: dict[str, object] = {}
    if options.lora:
        values["loras"] = options.lora
    if options.ip_adapter:
        values["ip_adapters"] = [
            {**given, "image": read_input_image(given["image"], f"ip_adapters.{index}.image")}
            for index, given in enumerate(options.ip_adapter)
        ]
    for field in ("vae", "clip_skip", "refiner", "free_u"):
        value: object = getattr(options, field)
        if value is not None:
            values[field] = value
    return values


def _parse_lora(text: str) -> dict[str, object]:
    name, numbers = _split_numbers(text, 2)
    return {"name": name, **dict(zip(("weight", "text_encoder_weight"), numbers, strict=False))}


def _parse_refiner(text: str) -> dict[str, object]:
    name, numbers = _split_numbers(text, 1)
    return {"model": name, **dict(zip(("switch_at",), numbers, strict=False))}


def _parse_picture(text: str) -> dict[str, object]:
    path, numbers = (text, []) if Path(text).exists() else _split_numbers(text, 1)
    return {"image": Path(path), **dict(zip(("scale",), numbers, strict=False))}


def _parse_free_u(text: str) -> dict[str, object]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != len(_FACTORS):
        example = ",".join(f"{getattr(FreeU(), name):g}" for name in _FACTORS)
        raise argparse.ArgumentTypeError(messages.not_four_factors(text, example))
    return dict(zip(_FACTORS, numbers, strict=True))


def _split_numbers(text: str, most: int) -> tuple[str, list[float]]:
    """Split a name from the numbers behind it, each after a colon, at most `most`.

    Names may contain colons.
    """
    numbers: list[float] = []
    name = text
    while len(numbers) < most:
        head, colon, tail = name.rpartition(":")
        try:
            number = float(tail)
        except ValueError:
            break
        if not colon or not head:
            break
        name, numbers = head, [number, *numbers]
    return name, numbers
