"""Finds pictures that were painted before, so that the same request needn't be painted again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from paintdiff.errors import PaintError
from paintdiff.gallery.files.picture_files import read_picture_file
from paintdiff.imaging.images import decode_image
from paintdiff.jobs.events import Picture

if TYPE_CHECKING:
    from paintdiff.gallery.gallery import Gallery
    from paintdiff.gallery.records.record import Record
    from paintdiff.jobs.provenance import Provenance
    from paintdiff.jobs.requests import Request

logger = logging.getLogger(__name__)


class EarlierPictures:
    """The pictures of a gallery, by what painted them. Threads may share it."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery

    def find(self, request: Request, provenance: Provenance, owner: str) -> Picture | None:
        """Return the owner's picture of that request, None if there is none.

        `request` is resolved, for one picture. Everything that `provenance` names has to be the
        same, and the file unchanged. Pictures in the bin don't count. A gallery that can't be read
        has none.
        """
        params = request.without_image_data().model_dump(mode="json")
        try:
            for record in self._gallery.store.find_painted(
                getattr(request, "seed", None), provenance.model_hash, owner
            ):
                if dict(record.params) == params:
                    found = self._read(record, request, provenance)
                    if found is not None:
                        return found
        except PaintError as error:
            logger.warning("no earlier picture can be looked up: %s", error)
        return None

    def _read(self, record: Record, request: Request, provenance: Provenance) -> Picture | None:
        path = self._gallery.path_of(record.file)
        try:
            facts = read_picture_file(path)
            settings = facts.settings
            if facts.sha256 != record.file_sha256 or settings is None:
                return None
            if settings.provenance != provenance:
                return None
            image = decode_image(path)
        except PaintError:  # it is gone, or damaged
            return None
        return Picture(
            image,
            request,
            provenance.model_hash,
            path,
            hashes=provenance.hashes,
            engine=provenance.engine,
            seconds=record.seconds,
            device=provenance.device,
            processor=provenance.processor,
            libraries=provenance.libraries,
            id=record.id,
        )
