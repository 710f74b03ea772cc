"""Files of the command line: input pictures, and where results are saved."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

from paintdiff.byte_sizes import format_byte_size
from paintdiff.cli import messages
from paintdiff.errors import RequestError, StorageError
from paintdiff.gallery.files.saving import write_picture_file, write_png
from paintdiff.imaging.images import MAX_FILE_BYTES
from paintdiff.imaging.messages import unreadable_file
from paintdiff.jobs.events import Picture
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.requests import MAX_IMAGES


class OutputFiles:
    """A PictureStore that writes to the files that the user named."""

    def __init__(self, overwrite: bool) -> None:
        self._left: list[Path] = []
        self._overwrite = overwrite

    def expect(self, *paths: Path) -> None:
        """Save the next pictures to these files, in order."""
        self._left = list(paths)

    def save(self, picture: Picture) -> Path:
        """Write a picture to the next file.

        Raises:
            StorageError: It can't be written.
        """
        path = self._left.pop(0)
        return write_output(path, partial(write_png, path, picture, overwrite=self._overwrite))

    def save_file(self, _cell: int | None, write: Callable[[BinaryIO], object]) -> Path:
        """Let `write` make the next file.

        Raises:
            StorageError: It can't be written.
        """
        path = self._left.pop(0)
        make = partial(write_picture_file, path, write, overwrite=self._overwrite)
        return write_output(path, make)


def write_output(path: Path, write: Callable[[], Path]) -> Path:
    """Return what `write` returns, which makes the file at `path`.

    Raises:
        StorageError: It can't be written, or has appeared since it was planned.
    """
    try:
        return write()
    except FileExistsError:
        raise StorageError(messages.taken_meanwhile(path)) from None


def read_input_image(path: Path, field: str) -> InputImage:
    """Read a picture file.

    Raises:
        RequestError: (for `field`) It can't be read, or is larger than any picture may be; then
            nothing
        is read.
    """
    try:
        size_bytes = path.stat().st_size
    except OSError as error:
        raise RequestError(unreadable_file(path, error.strerror), field=field) from None
    if size_bytes > MAX_FILE_BYTES:
        raise RequestError(
            messages.file_too_large(path, format_byte_size(MAX_FILE_BYTES)), field=field
        )
    try:
        return InputImage.from_file(path)
    except RequestError as error:
        raise RequestError(str(error), field=field) from error


def plan_output_paths(output: Path, count: int, overwrite: bool) -> list[Path]:
    """Return the files to write, checked to be writable.

    Raises:
        RequestError: One isn't; no time has been spent on painting yet.
    """
    if output.suffix.lower() != ".png":
        raise RequestError(messages.not_a_png(output), field="output")
    check_folder(output.parent)
    digits = range(1, min(count, MAX_IMAGES) + 1)
    paths = (
        [output]
        if count == 1
        else [output.with_stem(f"{output.stem}-{number}") for number in digits]
    )
    for path in paths:
        if is_taken(path) and (path.is_dir() or not overwrite):
            raise RequestError(messages.taken_unless_overwriting(path), field="output")
    return paths


def is_taken(path: Path) -> bool:
    """Return whether the name exists, even as a broken link.

    Raises:
        RequestError: (for "output") The name is impossible.
    """
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise RequestError(messages.unwritable_file(path, error.strerror), field="output") from None
    return True


def check_folder(folder: Path) -> None:
    """Check that files can be saved in a folder.

    Raises:
        RequestError: (for "output") They can't.
    """
    if not folder.is_dir():
        raise RequestError(messages.no_folder(folder), field="output")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RequestError(
            messages.unwritable_folder(folder, os.strerror(error.errno or 0)), field="output"
        ) from None
