"""Paints a saved picture again to see every step, or continues it from one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from paintdiff.errors import RequestError
from paintdiff.imaging.animations import reduce_images
from paintdiff.jobs.events import Finished, Picture, Progress
from paintdiff.jobs.job import Job
from paintdiff.jobs.request_parts import Branch
from paintdiff.jobs.requests import Grid, Painting, Request, Upscale, check_painting
from paintdiff.replay import messages

if TYPE_CHECKING:
    from paintdiff.engine.engine import Engine

MAX_FRAMES = 250
"""Of a run with more steps every n-th is kept."""
MAX_HELD_BYTES = 128 * 2**20
"""What the frames of a replay may take; if they would take more, they are reduced."""
_BYTES_PER_PIXEL = 3


@dataclass(frozen=True)
class Frame:
    """A step of a run (from 1), and the picture as it was predicted there: RGB, 8 bits."""

    step: int
    image: Image.Image


@dataclass(frozen=True)
class Replay:
    """A picture that was painted again, and the steps that led to it.

    The last frame is the picture itself: to the last bit, unless it was reduced to be shown.
    `warnings` came with the job.
    """

    frames: tuple[Frame, ...]
    total_steps: int
    picture: Picture
    warnings: tuple[str, ...]


class FrameRecorder:
    """Collects the frames of a job of one picture: pass its `record` to the engine.

    The last of several previews of a step counts: some samplers predict twice.
    """

    def __init__(self) -> None:
        self._frames: dict[int, Image.Image] = {}
        self._total_steps = 0

    def record(self, progress: Progress) -> None:
        """Keep the frame of a step, if it has one."""
        self._total_steps = (
            progress.total_steps if progress.stage == "denoising" else self._total_steps
        )
        if progress.preview is None or progress.stage != "denoising":
            return
        if progress.step == 1 and progress.step in self._frames and len(self._frames) > 1:
            self._frames.clear()  # memory ran out, and the run began again
        every = -(-progress.total_steps // MAX_FRAMES)
        if progress.step % every:
            return
        self._frames[progress.step] = self._reduce(progress.preview, progress.total_steps // every)

    @property
    def total_steps(self) -> int:
        """Return the steps of the run, those without a frame too."""
        return self._total_steps

    def frames(self, picture: Picture) -> tuple[Frame, ...]:
        """Return the frames, the last of which is the finished picture's image."""
        found = [Frame(step, self._frames[step]) for step in sorted(self._frames)]
        if found and found[-1].step == self._total_steps:
            found.pop()  # what was predicted there is the picture, before it was finished
        return (*found, Frame(max(1, self._total_steps), picture.image))

    def _reduce(self, image: Image.Image, frames: int) -> Image.Image:
        most = MAX_HELD_BYTES // max(1, frames) // _BYTES_PER_PIXEL
        pixels = image.width * image.height
        if pixels <= most:
            return image
        longest = int(max(image.size) * (most / pixels) ** 0.5)
        return reduce_images([image], max(1, longest))[0]


def replay(
    engine: Engine, request: Request, watch: Callable[[Job], Finished] = Job.result
) -> Replay:
    """Paint a resolved request of one picture again, and return it with its steps.

    Nothing is saved. In the profile *exact* the result is the same to the last bit. `watch` waits
    for the job.

    Raises:
        RequestError: It has no steps: it only enlarges a picture.
        PaintError: It can't be painted now.
    """
    check_has_steps(request)
    recorder = FrameRecorder()
    finished = watch(engine.submit(request, saves=False, on_step=recorder.record))
    picture = finished.pictures[0]
    return Replay(recorder.frames(picture), recorder.total_steps, picture, finished.warnings)


def branch_off(request: Request, branch: Branch) -> Painting:
    """Return the request that continues a run with other settings from a step on.

    Branches of the request itself that begin at that step or later are left out.

    Raises:
        RequestError: It has no steps.
    """
    check_has_steps(request)
    painting = check_painting(request)
    before = tuple(each for each in painting.branches if each.after_step < branch.after_step)
    return painting.model_copy(update={"branches": (*before, branch)})


def check_has_steps(request: Request) -> None:
    """Check that a request can be replayed.

    Raises:
        RequestError: It only enlarges a picture, or has many.
    """
    if isinstance(request, (Upscale, Grid)):
        raise RequestError(messages.NO_STEPS, field="kind")
