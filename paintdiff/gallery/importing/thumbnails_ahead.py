"""Makes the thumbnails of imported pictures before somebody scrolls to them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from sqlalchemy import func, select

from paintdiff.errors import GalleryError, RequestError
from paintdiff.gallery.files.thumbnails import encode_thumbnail
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.records.schema import PictureRow

logger = logging.getLogger(__name__)

MOST_AHEAD = 2000
"""Of how many pictures that were added last thumbnails are made ahead."""
_AT_ONCE = 100
_PAUSE_SECONDS, _BUSY_SECONDS, _RETRY_SECONDS = 10.0, 1.0, 300.0


class ThumbnailsAhead:
    """Makes the thumbnails of pictures that were added last, while nothing is painted.

    They take at most half of the room of all thumbnails. `is_busy` says whether something is
    painted. For one thread.
    """

    def __init__(self, gallery: Gallery, is_busy: Callable[[], bool]) -> None:
        self._gallery = gallery
        self._is_busy = is_busy
        self._last = -1

    def run(self, ended: threading.Event) -> None:
        """Make them until `ended`, also those of pictures that are added meanwhile."""
        while not ended.is_set():
            try:
                is_done = self.work(ended)
            except GalleryError as error:
                logger.info("thumbnails are made later: %s", error)
                ended.wait(_RETRY_SECONDS)
            else:
                ended.wait(_PAUSE_SECONDS if is_done else 0)

    def work(self, ended: threading.Event) -> bool:
        """Make some of them; return whether none are left, or there is no room for more.

        Raises:
            GalleryError: The database can't be used.
        """
        added = self._list_added()
        for number, file in added:
            while self._is_busy() and not ended.wait(_BUSY_SECONDS):
                pass
            if ended.is_set():
                return True
            has_room = self._make(file)
            self._last = number if has_room else added[-1][0]
            if not has_room:
                return True
        return len(added) < _AT_ONCE

    def _list_added(self) -> list[tuple[int, str]]:
        """Return the numbers and files of pictures that were added since the last one."""
        row = PictureRow
        with self._gallery.database.read() as session:
            newest = session.scalar(select(func.max(row.number))) or 0
            first = max(self._last, newest - MOST_AHEAD)
            wanted = select(row.number, row.file).where(row.number > first)
            found = session.execute(wanted.order_by(row.number).limit(_AT_ONCE))
            return [(number, file) for number, file in found]

    def _make(self, file: str) -> bool:
        thumbnails, path = self._gallery.thumbnails, self._gallery.path_of(file)
        if thumbnails.has(file) or not path.is_file():
            return True
        try:
            return thumbnails.keep_ahead(file, encode_thumbnail(path))
        except RequestError as error:
            logger.info("%s has no thumbnail: %s", path.name, error)
            return True
