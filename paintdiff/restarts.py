"""Resumes an earlier process's jobs at the start, and keeps unfinished ones at the end."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paintdiff.config import messages
from paintdiff.errors import EngineClosedError, GalleryError, StorageError
from paintdiff.system.console import say

if TYPE_CHECKING:
    from paintdiff.engine.engine import Engine

AGAIN_SECONDS = 10.0


@dataclass(frozen=True)
class Restarts:
    """Resumes the jobs of an earlier process, and keeps the unfinished ones when the app stops.

    Attributes:
        engine: The jobs' engine.
        finish_seconds: How long the running job may take when the app stops.
        ended: Set when the app ends.
    """

    engine: Engine
    finish_seconds: float
    ended: threading.Event

    def resume(self) -> None:
        """Queue the jobs of an earlier process again. If that can't be done yet, try again."""
        if not self._try():
            threading.Thread(target=self._try_again, name="resume", daemon=True).start()

    def stop(self) -> None:
        """Let the running job finish in its time, and say what is kept."""
        if self.engine.status().running_job_id is not None and self.finish_seconds:
            say(messages.finishing(self.finish_seconds))
        kept = self.engine.close(self.finish_seconds)
        if kept:
            say(messages.jobs_kept(kept))

    def _try(self) -> bool:
        try:
            count = self.engine.resume()
        except EngineClosedError:  # the app ends meanwhile
            return True
        except (GalleryError, StorageError) as error:
            say(messages.queue_unavailable(str(error)))
            return False
        if count:
            say(messages.jobs_resumed(count))
        return True

    def _try_again(self) -> None:
        while not self.ended.wait(AGAIN_SECONDS):
            if self._try():
                return
