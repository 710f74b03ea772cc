"""Pictures of the gallery, for those who may see them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from paintdiff.errors import PictureNotFoundError, RequestError
from paintdiff.gallery.gallery import is_picture_id
from paintdiff.jobs.events import Picture
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.requests import Request, Upscale, parse_saved_request
from paintdiff.server.identities import current_identity
from paintdiff.ui.gallery import messages

if TYPE_CHECKING:
    from paintdiff.gallery.gallery import Gallery
    from paintdiff.gallery.records.record import Record


def is_id(text: object) -> bool:
    """Return whether a value has the form of a picture's id in the gallery."""
    return isinstance(text, str) and is_picture_id(text)


def find_picture(gallery: Gallery, id: str) -> Record:
    """Return the record of a picture that the current visitor may see.

    Raises:
        PictureNotFoundError: There is none, or it is somebody else's.
        GalleryError: The database can't be used.
    """
    return gallery.find(id, current_identity.get().scope)


def find_pictures(gallery: Gallery, ids: Sequence[str]) -> list[Record]:
    """Return the records of pictures that the current visitor may see, in order.

    Raises:
        PictureNotFoundError: There is none of an id, or it is somebody else's.
        GalleryError: The database can't be used.
    """
    if not all(map(is_id, ids)):
        raise PictureNotFoundError(messages.NO_SUCH_PICTURE)
    scope = current_identity.get().scope
    records = gallery.store.get_all(ids)
    if scope is not None and any(each.owner != scope for each in records):
        raise PictureNotFoundError(messages.NO_SUCH_PICTURE)
    return records


def find_file(gallery: Gallery, record: Record) -> Path:
    """Return the path of a picture's file.

    Raises:
        RequestError: It is missing.
    """
    path = gallery.path_of(record.file)
    if not path.is_file():
        raise RequestError(messages.FILE_MISSING, field="image")
    return path


def load_picture(gallery: Gallery, id: str, *, in_bin: bool = True) -> Picture:
    """Return a picture to continue from, with the settings that its record has.

    Its pixels stay in its file. One without settings of a painting counts as enlarged, so that
    only the picture itself is taken.

    Raises:
        PictureNotFoundError: It isn't the current visitor's, or it is in the bin, unless that is
            allowed.
        GalleryError: The database can't be used.
        RequestError: Its file is missing.
    """
    record = find_picture(gallery, id)
    if record.deleted_at is not None and not in_bin:
        raise PictureNotFoundError(messages.NO_SUCH_PICTURE)
    return Picture(
        image=Image.new("RGB", (1, 1)),
        request=_read_request(record),
        path=find_file(gallery, record),
        whole_size=record.size,
        id=record.id,
    )


def _read_request(record: Record) -> Request:
    if "prompt" in record.params:
        return parse_saved_request(dict(record.params))
    source = InputImage(data=None, sha256=record.file_sha256 or "0" * 64)
    return Upscale(images=(source,))
