"""Picture files: a name appears only once the whole picture is there; none is overwritten."""

from __future__ import annotations

import errno
import io
import logging
import secrets
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO

from paintdiff.errors import StorageError
from paintdiff.gallery import messages
from paintdiff.gallery.files.input_files import InputFiles
from paintdiff.gallery.files.png import SRGB, write_raster
from paintdiff.gallery.settings.metadata import png_info
from paintdiff.jobs.events import Picture
from paintdiff.jobs.requests import Grid, Upscale
from paintdiff.system.atomic_files import new_file, remove_stale_parts

logger = logging.getLogger(__name__)

_TRIES = 10
_IN_WORDS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "writing there isn't allowed",
    errno.EPERM: "writing there isn't allowed",
    errno.ENOTDIR: "a part of the path is a file",
    errno.EEXIST: "a file of that name already exists",
}


class PictureFolder:
    """Saves pictures as PNG under `folder`, in a folder for each day, under unique names.

    The folder is made when the first picture is saved. `now` returns the local time.
    """

    def __init__(self, folder: Path, now: Callable[[], datetime] = datetime.now) -> None:
        self._folder = folder
        self._inputs = InputFiles(folder)
        self._now = now

    def tidy_up(self) -> None:
        """Remove unfinished files that killed processes left behind."""
        remove_stale_parts(self._folder, depth=2)

    def save(self, picture: Picture) -> Path:
        """Save a picture with its settings, after its input images, and return its path.

        Raises:
            StorageError: It can't be written.
        """
        moment = self._now()
        day = self._folder / f"{moment:%Y-%m-%d}"
        try:
            self._inputs.keep(picture.request.input_images())
        except OSError as error:
            logger.warning("an input image can't be written: %s", error)
            raise StorageError(messages.input_not_written(_explain(error))) from error
        for _ in range(_TRIES):
            name = f"{moment:%H%M%S}-{_describe_for_name(picture)}-{secrets.token_hex(3)}.png"
            try:
                return write_png(day / name, picture)
            except FileExistsError:
                continue
            except StorageError as error:
                logger.warning("%s", error)  # with the path, which visitors mustn't see
                raise StorageError(messages.file_not_written(_explain(error.__cause__))) from error
        logger.warning("no free file name was found in %s", day)
        raise StorageError(messages.NO_FREE_FILE_NAME)


def write_png(path: Path, picture: Picture, *, overwrite: bool = False) -> Path:
    """Write the whole picture with its settings to `path`; make its folder if necessary.

    The name appears only when the whole file is on the disk, even if the machine stops in between.

    Raises:
        FileExistsError: The name is taken and `overwrite` is false.
        StorageError: It can't be written.
    """
    return write_picture_file(path, partial(_write, picture), overwrite=overwrite)


def write_picture_file(
    path: Path, write: Callable[[BinaryIO], object], *, overwrite: bool = False
) -> Path:
    """Let `write` make a picture's file at `path`; the rest, and the errors, as `write_png`."""
    try:
        with new_file(path, overwrite=overwrite) as file:
            write(file)
    except FileExistsError as error:
        if path.parent.is_dir() and path.exists():
            raise
        raise _make_storage_error(path, error) from error
    except OSError as error:
        raise _make_storage_error(path, error) from error
    return path


def encode_png(picture: Picture) -> bytes:
    """Return the whole picture as a PNG with its settings: its file if it was saved, else the same.

    Raises:
        StorageError: It was saved, and its file is gone.
    """
    if picture.path is not None:
        try:
            return picture.path.read_bytes()
        except OSError as error:
            raise StorageError(messages.file_not_read(_explain(error))) from error
    buffer = io.BytesIO()
    _write(picture, buffer)
    return buffer.getvalue()


def _write(picture: Picture, file: BinaryIO) -> None:
    info = png_info(picture)
    if picture.raster is None:
        if "icc_profile" not in picture.image.info:
            info.add(*SRGB)
        picture.image.save(file, format="PNG", pnginfo=info)
    else:
        write_raster(file, picture.raster, [(chunk[0], chunk[1]) for chunk in info.chunks])


def _describe_for_name(picture: Picture) -> str:
    """Return the descriptive part of a file's name: the seed, or the scale."""
    request = picture.request
    if isinstance(request, Upscale):
        return f"{request.upscaling.scale:g}x"
    if isinstance(request, Grid):
        return f"grid-{request.base.seed}"
    return str(request.seed)


def _make_storage_error(path: Path, error: OSError) -> StorageError:
    return StorageError(messages.unwritable(path, _explain(error)))


def _explain(error: BaseException | None) -> str:
    if not isinstance(error, OSError):
        return "an unexpected error"
    return _IN_WORDS.get(error.errno or 0, error.strerror or type(error).__name__)
