"""Pictures of earlier jobs, from their records and files."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from PIL import Image

from paintdiff.errors import RequestError
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.records.record import Record
from paintdiff.imaging.images import decode_image
from paintdiff.jobs.events import MAX_IMAGE_PIXELS, REDUCED_SIDE_PX, Picture
from paintdiff.jobs.requests import parse_saved_request

logger = logging.getLogger(__name__)

MAX_JOB_BYTES = 64 * 2**20
"""How much the pictures of a job may take in memory; of further ones a small copy is kept."""
_SMALL_SIDE_PX = 256


def load_pictures(
    gallery: Gallery, records: Iterable[tuple[Record, int | None]]
) -> tuple[Picture, ...]:
    """Return recorded pictures as their job had them, each with its cell in a grid.

    Of a file that can't be read, the picture has one black pixel.
    """
    pictures: list[Picture] = []
    taken = 0
    for record, cell in records:
        side = REDUCED_SIDE_PX if record.size.area > MAX_IMAGE_PIXELS else None
        picture = _load(gallery, record, cell, _SMALL_SIDE_PX if taken > MAX_JOB_BYTES else side)
        taken += picture.held_bytes
        pictures.append(picture)
    return tuple(pictures)


def _load(gallery: Gallery, record: Record, cell: int | None, side_px: int | None) -> Picture:
    path = gallery.path_of(record.file)
    try:
        image = decode_image(path)
    except RequestError as error:
        logger.warning("%s isn't shown with its job: %s", record.file, error)
        image = Image.new("RGB", (1, 1))
    if side_px is not None:
        image.thumbnail((side_px, side_px))
    return Picture(
        image=image,
        request=parse_saved_request(dict(record.params)),
        model_hash=record.model_hash,
        path=path,
        whole_size=record.size,
        seconds=record.seconds,
        device=record.device,
        libraries=record.libraries,
        id=record.id,
        cell=cell,
    )
