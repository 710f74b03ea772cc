"""Work that the app does beside painting: orphans, watched folders, thumbnails, and the bin."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from paintdiff.config import messages
from paintdiff.errors import GalleryError, PaintError
from paintdiff.gallery.adoption import adopt_orphans, empty_bin
from paintdiff.gallery.importing.thumbnails_ahead import ThumbnailsAhead
from paintdiff.gallery.importing.watching import FolderWatcher
from paintdiff.system.console import say
from paintdiff.system.threads import lower_priority

if TYPE_CHECKING:
    from paintdiff.config.preferences import Preferences
    from paintdiff.engine.engine import Engine
    from paintdiff.gallery.gallery import Gallery
    from paintdiff.gallery.importing.import_folder import ImportReport

logger = logging.getLogger(__name__)

BIN_CHECK_SECONDS = 3600.0
PAINTING_FIRST_SECONDS = 1.0
_LISTED_FILES = 20


@dataclass(frozen=True)
class Housekeeping:
    """Keeps the gallery in order until `ended` is set.

    Attributes:
        gallery: The gallery.
        engine: Its jobs go first.
        preferences: The person's, which say when the bin is emptied.
        watched: Folders whose new pictures are imported.
        ended: Set when the app ends.
    """

    gallery: Gallery
    engine: Engine
    preferences: Preferences
    watched: Sequence[Path] = ()
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self, began: datetime) -> None:
        """Adopt orphans saved before `began`, then do everything else until the app ends."""
        self._adopt_orphans(began)  # reads each of them, so nothing waits for it
        works = {"thumbnails": self.make_thumbnails}
        if self.watched:
            works["watch-folders"] = self.watch_folders
        for name, work in works.items():
            threading.Thread(target=work, name=name, daemon=True).start()
        self.empty_old_bin()
        while not self.ended.wait(BIN_CHECK_SECONDS):
            self.empty_old_bin()

    def empty_old_bin(self) -> None:
        """Erase pictures that were deleted longer ago than the person has chosen."""
        days = self.preferences.bin_days
        if days is None:
            return
        try:
            erased = empty_bin(self.gallery, before=datetime.now(UTC) - timedelta(days=days))
        except GalleryError as error:
            logger.warning("the bin can't be emptied, and is tried again later: %s", error)
        else:
            logger.info("erased %d pictures that were in the bin for %d days", erased, days)

    def watch_folders(self) -> None:
        """Import pictures that appear in the watched folders, until the app ends."""
        lower_priority()
        try:
            watcher = FolderWatcher(self.gallery, self.watched, pause=self._let_painting_go_first)
        except PaintError as error:
            say(str(error))
        else:
            watcher.run(self.ended, _say_what_came)

    def make_thumbnails(self) -> None:
        """Make thumbnails of pictures that were added last, until the app ends."""
        lower_priority()
        ThumbnailsAhead(self.gallery, self._is_painting).run(self.ended)

    def _adopt_orphans(self, before: datetime) -> None:
        """Add pictures to the gallery that a killed process saved but didn't record."""
        try:
            adopted = adopt_orphans(self.gallery, before)
        except GalleryError as error:
            say(messages.gallery_unavailable(str(error)))
        else:
            if adopted:
                say(messages.orphans_adopted(adopted))

    def _is_painting(self) -> bool:
        status = self.engine.status()
        return status.running_job_id is not None or status.queue_length > 0

    def _let_painting_go_first(self) -> None:
        """Wait a second while something is painted: a long queue mustn't stop imports for ever."""
        if self._is_painting():
            self.ended.wait(PAINTING_FIRST_SECONDS)


def _say_what_came(report: ImportReport) -> None:
    """Say how many pictures came from watched folders, and of some why they didn't."""
    for path, reason in report.failed[:_LISTED_FILES]:
        logger.warning("%s", messages.not_imported(path, reason))
    for path, names in report.unmapped:
        logger.info("%s", messages.imported_without(path, ", ".join(names)))
    if report.imported or report.moved or report.failed:
        say(messages.came_from_folders(report.imported, report.moved, len(report.failed)))
