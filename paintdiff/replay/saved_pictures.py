"""Saved pictures of ours, read from their files so that they can be painted again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paintdiff.errors import InputMissingError, NotRepeatableError
from paintdiff.gallery.files.input_files import InputFiles
from paintdiff.gallery.settings.metadata import read_settings
from paintdiff.imaging.images import decode_pixels
from paintdiff.jobs.events import Picture
from paintdiff.jobs.provenance import Provenance
from paintdiff.jobs.requests import Request, parse_request
from paintdiff.replay import messages


@dataclass(frozen=True)
class SavedPicture:
    """A picture's request, with its input images, and what painted it."""

    request: Request
    provenance: Provenance


def read_saved_picture(path: Path, inputs: Sequence[InputFiles] = ()) -> SavedPicture:
    """Read how a file was painted. The file is untrusted.

    `inputs` are the places of input images, of which the first that has one is used. None: those of
    the output folder that the file lies in.

    Raises:
        NoMetadataError: It has no settings.
        NotRepeatableError: Its settings are another program's.
        MetadataError: It can't be read, or its settings can't be used.
        InputMissingError: An input image is nowhere.
    """
    found = read_settings(path)
    if not found.are_ours:
        raise NotRepeatableError(messages.not_repeatable(found.program))
    places = [*inputs, InputFiles(path.absolute().parent.parent)]
    return SavedPicture(_with_inputs(found.request, places), found.provenance)


def _with_inputs(request: Request, places: Sequence[InputFiles]) -> Request:
    if all(image.data is not None for image in request.input_images()):
        return request
    params = request.model_dump()
    missing: InputMissingError | None = None
    for place in places:
        try:
            return parse_request(place.fill(params))
        except InputMissingError as error:
            missing = missing or error
    assert missing is not None
    raise missing


def read_pixels(path: Path) -> NDArray[Any]:
    """Return a file's pixels, (height, width, channels), uint8 or uint16.

    Raises:
        RequestError: It can't be read, or is larger than an input picture may be.
    """
    return decode_pixels(path)[0]


def pixels_of(picture: Picture) -> NDArray[Any]:
    """Return a finished picture's pixels, in the same form."""
    if picture.raster is not None:
        return np.concatenate(list(picture.raster.rows()))
    pixels = np.asarray(picture.image)
    return pixels if pixels.ndim == 3 else pixels[..., None]
