"""The replays and continuations that the page has started, a few of which are kept."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from paintdiff.errors import PaintError, RequestError
from paintdiff.imaging.animations import AnimationFormat, Pace, is_video, write_animation
from paintdiff.jobs.events import Cancelled, Failed, Finished, Loading, Progress, Queued
from paintdiff.jobs.request_parts import Branch
from paintdiff.jobs.requests import Request
from paintdiff.replay.replaying import Frame, FrameRecorder, branch_off, check_has_steps
from paintdiff.replay.saved_pictures import SavedPicture, read_pixels
from paintdiff.replay.verification import compare_with_saved, describe_verification
from paintdiff.server.identities import Identity
from paintdiff.ui.replay import messages

if TYPE_CHECKING:
    from paintdiff.engine.engine import Engine
    from paintdiff.jobs.job import Job

KEPT_RUNS = 4
"""How many are kept; the oldest is forgotten first, and cancelled if it still runs."""
JPEG_QUALITY = 92


@dataclass
class Run:
    """A job that paints a picture of the gallery again; `saved` is None if it continues one."""

    job: Job
    owner: str
    recorder: FrameRecorder = field(default_factory=FrameRecorder)
    saved: SavedPicture | None = None
    path: Path | None = None
    verified: tuple[str, ...] = ()
    lock: threading.Lock = field(default_factory=threading.Lock)

    def frames(self) -> tuple[Frame, ...]:
        """Return the frames of a replay that is done.

        Raises:
            RequestError: It isn't.
        """
        end = self.job.latest
        if self.saved is None or not isinstance(end, Finished):
            raise RequestError(messages.NOT_DONE)
        return self.recorder.frames(end.pictures[0])


class Runs:
    """The page's replays by id. Threads may share it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._runs: OrderedDict[str, Run] = OrderedDict()

    def replay(self, saved: SavedPicture, path: Path, visitor: str, owner: str) -> Run:
        """Paint a saved picture again, to see its steps and to verify it.

        Raises:
            PaintError: It has no steps, or can't be painted now.
        """
        check_has_steps(saved.request)
        recorder = FrameRecorder()
        job = self._engine.submit(
            saved.request, visitor, owner, saves=False, on_step=recorder.record
        )
        return self._keep(Run(job, owner, recorder, saved, path))

    def go_on(
        self, request: Request, branch: Branch, picture_id: str, visitor: str, identity: Identity
    ) -> Run:
        """Continue a picture's run with other settings; the result is saved as its variation.

        Raises:
            PaintError: It has no steps, or can't be painted with them.
        """
        changed = branch_off(request, branch)
        job = self._engine.submit(
            changed, visitor, identity.owner, sees_all=identity.sees_all, varied=picture_id
        )
        return self._keep(Run(job, identity.owner))

    def find(self, id: str) -> Run | None:
        """Return the run of that id, None if it is gone."""
        with self._lock:
            return self._runs.get(id)

    def _keep(self, run: Run) -> Run:
        with self._lock:
            self._runs[run.job.id] = run
            gone = [self._runs.popitem(last=False)[1] for _ in range(len(self._runs) - KEPT_RUNS)]
        for each in gone:
            if each.saved is not None:  # a continuation is a picture that somebody waits for
                each.job.cancel()
        return run

    def describe(self, run: Run) -> dict[str, object]:
        """Return what the page shows of a run. Compares the pictures once it is done."""
        event = run.job.latest
        picture = event.pictures[0] if isinstance(event, Finished) else None
        steps = [each.step for each in run.frames()] if picture and run.saved else []
        return {
            "run": run.job.id,
            "done": run.job.done,
            "failed": isinstance(event, (Failed, Cancelled)),
            "said": _describe_event(event),
            "steps": steps,
            "total": run.recorder.total_steps,
            "verified": self._verify(run),
            "picture": picture.id if picture is not None and run.saved is None else "",
            "warnings": list(run.job.warnings) if run.job.done else [],
        }

    def _verify(self, run: Run) -> list[str]:
        end = run.job.latest
        if run.saved is None or run.path is None or not isinstance(end, Finished):
            return []
        with run.lock:
            if not run.verified:
                try:
                    pixels = read_pixels(run.path)
                    found = compare_with_saved(self._engine, run.saved, pixels, end)
                    run.verified = tuple(describe_verification(found))
                except PaintError as error:  # the steps can be shown all the same
                    run.verified = (str(error),)
        return list(run.verified)


def encode_frame(run: Run, number: int) -> bytes:
    """Return a frame (from 0) as JPEG.

    Raises:
        RequestError: There is none.
    """
    frames = run.frames()
    if number >= len(frames):
        raise RequestError(messages.NO_SUCH_STEP)
    buffer = io.BytesIO()
    frames[number].image.convert("RGB").save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def encode_animation(run: Run, format: AnimationFormat, fps: int) -> bytes:
    """Return a replay as an animation.

    Raises:
        RequestError: It isn't done.
        AnimationError: It can't be made.
    """
    images = [frame.image for frame in run.frames()]
    pace = Pace.for_images(len(images), fps, fades=is_video(format))
    buffer = io.BytesIO()
    write_animation(buffer, images, format, pace)
    return buffer.getvalue()


def _describe_event(event: object) -> str:
    match event:
        case Queued():
            return messages.waiting(event.position)
        case Loading():
            return event.message
        case Progress():
            return messages.painting(event.step, event.total_steps)
        case Failed():
            return str(event.error)
        case Cancelled():
            return messages.CANCELLED
        case _:
            return messages.DONE
