"""Values of flags: each function parses one kind, or raises `ArgumentTypeError`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from paintdiff.cli import messages
from paintdiff.config import settings
from paintdiff.errors import RequestError
from paintdiff.imaging.geometry import Size


def parse_bytes(text: str) -> int:
    """Parse a size such as 8GB, above 0."""
    try:
        count = settings.parse_bytes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None
    if not count:
        raise argparse.ArgumentTypeError(messages.NOT_ABOVE_ZERO)
    return count


def parse_path(text: str) -> Path:
    """Parse a path, existing or not.

    Refuses impossible or inaccessible ones, and an empty text (such as a script's empty variable),
    which would be this folder.
    """
    if not text:
        raise argparse.ArgumentTypeError(messages.NO_PATH)
    try:
        os.stat(text)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error.strerror}.") from None
    return Path(text)


def parse_name_or_path(text: str) -> str:
    """Parse a model's name or path: valid text, because settings and pictures store it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(messages.not_utf8(text)) from None
    parse_path(text)
    return text


def parse_sides(text: str) -> dict[str, int]:
    """Parse four numbers of pixels: left, top, right and bottom."""
    numbers = text.split(",")
    if len(numbers) != 4 or not all(number.strip().isdecimal() for number in numbers):
        raise argparse.ArgumentTypeError(messages.not_four_sides(text))
    return dict(zip(("left", "top", "right", "bottom"), map(int, numbers), strict=True))


def parse_size(text: str) -> Size:
    """Parse a size in pixels, such as 512x768."""
    try:
        return Size.parse(text)
    except RequestError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
