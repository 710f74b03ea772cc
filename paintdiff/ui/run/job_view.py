"""Converts a job's events to the page's view. It only watches: the run belongs to the engine."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, assert_never

from paintdiff.errors import GalleryError, JobNotFoundError, PaintError
from paintdiff.gallery.records.query import PictureQuery
from paintdiff.imaging.geometry import Size, grid_size
from paintdiff.jobs.events import (
    TERMINAL,
    Cancelled,
    CellDone,
    Event,
    Failed,
    Finished,
    Loading,
    Picture,
    Progress,
    Queued,
)
from paintdiff.jobs.requests import Grid, TextToImage, Upscale, find_painting
from paintdiff.server.identities import current_identity
from paintdiff.ui.common import browser_state, markup, message_markup, pictures
from paintdiff.ui.common.browser_state import MAX_FILM, FilmPicture
from paintdiff.ui.common.job_errors import describe_error
from paintdiff.ui.common.messages import GENERATE, UPSCALE
from paintdiff.ui.common.pictures import size_of_result
from paintdiff.ui.gallery.pictures import load_picture
from paintdiff.ui.run import grid_stage, messages

if TYPE_CHECKING:
    from PIL import Image

    from paintdiff.engine.engine import Engine
    from paintdiff.gallery.gallery import Gallery
    from paintdiff.jobs.job import Job
    from paintdiff.ui.common.setting_words import SettingWords

logger = logging.getLogger(__name__)

SLICE_SECONDS = 4.0
"""How long one watch holds the browser's connection.

A browser opens six per host for all of its tabs, so a watch pauses now and then, and a job that
only waits isn't watched at all.
"""

PAINTING_PART = 0.7
"""Share of the progress bar for painting, if the picture is upscaled afterwards."""

CONTROL_TAB = "controlnet"
_READ_RECENT = 200
LEAST_SECONDS_BETWEEN_VIEWS = 0.06
POLL_SECONDS = 0.02

State = Literal["queued", "loading", "painting", "finished", "failed", "cancelled"]


@dataclass(frozen=True)
class View:
    """The page's view of a job at one moment. `stage` is None if it stays unchanged."""

    state: State
    stage: str | None
    progress: str
    warnings: tuple[str, ...] = ()
    seed: int | None = None
    position: int = 0

    @property
    def is_over(self) -> bool:
        """Return whether the job's last event has been shown."""
        return self.state in ("finished", "failed", "cancelled")


def find_job(engine: Engine, job_id: object) -> Job | None:
    """Return the visitor's job of that id.

    None if it is unknown, such as an id from before a restart, or somebody else's.
    """
    if not isinstance(job_id, str) or not job_id:
        return None
    try:
        job = engine.job(job_id)
    except JobNotFoundError:
        return None
    return job if current_identity.get().may_see(job.owner) else None


async def watch_job(
    job: Job, words: SettingWords, slice_seconds: float = SLICE_SECONDS
) -> AsyncIterator[View]:
    """Yield the job's views from now on, always the newest: a slow browser skips steps.

    Ends with the job, after `slice_seconds`, or at once while the job waits behind others.
    """
    deadline = time.monotonic() + slice_seconds
    seen: Event | None = None
    cells_shown = -1
    while True:
        event = job.latest
        if event is not seen:
            seen = event
            done = len(job.cells_done)
            large = len(job.cells) > grid_stage.MAX_LIVE_CELLS
            yield build_view(job, event, words, staged=not large or done != cells_shown)
            cells_shown = done
            if isinstance(event, TERMINAL) or (isinstance(event, Queued) and event.position > 0):
                return
            await asyncio.sleep(LEAST_SECONDS_BETWEEN_VIEWS)
        elif time.monotonic() > deadline:
            return
        else:
            await asyncio.sleep(POLL_SECONDS)


def build_view(job: Job, event: Event, words: SettingWords, *, staged: bool = True) -> View:
    """Build the view of a job for its latest event.

    Unless `staged`, the stage stays as it is until the end of the job.
    """
    match event:
        case Queued():
            line = message_markup.progress_line(describe_queue(event.position))
            return View(
                "queued",
                markup.blank_stage(size_of_result(job), "queued"),
                line,
                job.warnings,
                position=event.position,
            )
        case Loading():
            line = message_markup.progress_line(f"{event.message.rstrip('.…')}…")
            stage = (
                _build_grid_stage(job, words)
                if job.cells
                else markup.blank_stage(size_of_result(job), "loading")
            )
            return View("loading", stage if staged else None, line, job.warnings)
        case Progress():
            return View(
                "painting",
                _build_step_stage(job, event, words) if staged else None,
                _build_step_line(job, event),
                job.warnings,
            )
        case CellDone():
            line = message_markup.progress_line(
                messages.cells_done(len(job.cells_done), len(job.cells))
            )
            return View("painting", _build_grid_stage(job, words), line, job.warnings)
        case Finished():
            return _finished_view(job, event, words)
        case Failed():
            return View(
                "failed", markup.failed_stage(describe_error(event.error)), "", job.warnings
            )
        case Cancelled():
            return _cancelled_view(job, event, words)
        case _:
            assert_never(event)


def read_jobs(engine: Engine, text: object) -> list[Job]:
    """Return the jobs of a tab that the engine still knows, in order.

    `text` is what the browser stores of them.
    """
    jobs = (find_job(engine, each) for each in browser_state.parse_job_ids(text))
    return [job for job in jobs if job is not None]


def find_picture(engine: Engine, picture_id: markup.PictureId | None) -> Picture | None:
    """Return the finished picture of that id if the engine still knows it."""
    job = find_job(engine, picture_id[0]) if picture_id is not None else None
    pictures = job.pictures if job is not None else ()
    index = picture_id[1] if picture_id is not None else 0
    return pictures[index] if 0 <= index < len(pictures) else None


def build_film(
    engine: Engine, film: Sequence[FilmPicture], words: SettingWords, gallery: Gallery | None = None
) -> str:
    """Build the filmstrip from the pictures that the engine still knows, or else the gallery.

    Skip the rest, and those in the bin.
    """
    results = [_find_result(engine, gallery, each, words) for each in film]
    return markup.filmstrip([each for each in results if each is not None])


def find_recent(gallery: Gallery | None, tab: str) -> tuple[FilmPicture, ...]:
    """Return the newest of the visitor's own pictures that a tab made.

    A browser that is new here remembers none.
    """
    if gallery is None:
        return ()
    controlled = tab == CONTROL_TAB  # its pictures are of no kind of their own
    query = PictureQuery(
        kind="text_to_image" if controlled else tab, owner=current_identity.get().owner
    )
    try:
        page = gallery.store.page(query, limit=_READ_RECENT if controlled else MAX_FILM)
    except GalleryError as error:
        logger.warning("the strip of %s is empty: %s", tab, error)
        return ()
    found = [each for each in page.records if not controlled or each.params.get("controls")]
    return tuple(FilmPicture((each.id, 0), each.id) for each in found[:MAX_FILM])


def _find_result(
    engine: Engine, gallery: Gallery | None, film_picture: FilmPicture, words: SettingWords
) -> markup.Result | None:
    recorded = gallery is not None and film_picture.recorded
    if not recorded or engine.remembers(film_picture.id[0]):
        job, found = find_job(engine, film_picture.id[0]), find_picture(engine, film_picture.id)
        if job is not None and found is not None:
            return _result(job, film_picture.id[1], found, words)
    if gallery is None or not film_picture.recorded:
        return None
    try:
        picture = load_picture(gallery, film_picture.recorded, in_bin=False)
    except PaintError:  # it isn't this browser's, its file is gone, or the database is in use
        return None
    return markup.Result(
        film_picture.id, picture, None, " · ".join(_list_settings(picture, words)), recorded=True
    )


def _results(job: Job, found: Sequence[Picture], words: SettingWords) -> list[markup.Result]:
    return [_result(job, index, picture, words) for index, picture in enumerate(found)]


def _result(job: Job, index: int, picture: Picture, words: SettingWords) -> markup.Result:
    settings = " · ".join([*_list_settings(picture, words), *picture.notes])
    return markup.Result((job.id, index), picture, _original_size(job, index), settings)


def _original_size(job: Job, index: int) -> Size | None:
    original = pictures.original_picture(job, index)
    return None if original is None else pictures.size_of_input(original)


def describe_job(picture: Picture, words: SettingWords, seconds: float | None = None) -> str:
    """Describe a finished picture in one line."""
    upscaled = isinstance(picture.request, Upscale)
    took = [] if seconds is None else [messages.done_in(seconds, upscaled=upscaled)]
    text = " · ".join([*took, *_list_settings(picture, words)])
    return message_markup.error_line(text[:1].upper() + text[1:], picture.notes)


def _list_settings(picture: Picture, words: SettingWords) -> list[str]:
    """Return a picture's settings besides its prompt."""
    request = find_painting(picture.request)
    size = str(picture.size)
    if request is None:
        return [size]
    figures = [
        messages.seed(request.seed),
        size,
        messages.steps(request.num_inference_steps),
        messages.guidance(request.guidance_scale) if request.guidance_scale is not None else "",
        request.sampler or "",
        words.say("model", request.model),
        words.say("profile", request.profile or ""),
        picture.engine,
    ]
    return [figure for figure in figures if figure]


def describe_queue(position: int) -> str:
    """Describe a place in the queue."""
    if position == 0:
        return messages.NEXT_IN_QUEUE
    return messages.queued(position)


def _finished_view(job: Job, event: Finished, words: SettingWords) -> View:
    results = _results(job, event.pictures, words)
    ids = tuple(result.id for result in results)
    stage = _build_end_stage(job, results, words)
    line = describe_job(event.pictures[0], words, event.seconds) if event.pictures else ""
    if job.cells and event.pictures:
        line = message_markup.error_line(
            messages.painted_pictures(len(job.cells_done), event.seconds)
        )
    if isinstance(job.request, Upscale) and len(ids) > 1:
        line = message_markup.error_line(messages.upscaled_pictures(len(ids), event.seconds))
    warnings = tuple(dict.fromkeys((*job.warnings, *event.warnings)))
    painting = find_painting(job.request)
    seed = None if painting is None else painting.seed
    return View("finished", stage, line, warnings, seed)


def _cancelled_view(job: Job, event: Cancelled, words: SettingWords) -> View:
    results = _results(job, event.pictures, words)
    ids = tuple(result.id for result in results)
    if not ids:
        verb = UPSCALE if isinstance(job.request, Upscale) else GENERATE
        return View("cancelled", markup.cancelled_stage(verb), "", job.warnings)
    stage = _build_end_stage(job, results, words, "cancelled")
    count = len(job.cells_done) if job.cells else len(ids)
    line = message_markup.error_line(messages.cancelled(count))
    return View("cancelled", stage, line, job.warnings)


def _build_end_stage(
    job: Job, results: Sequence[markup.Result], words: SettingWords, state: str = "finished"
) -> str:
    if job.cells:
        return _build_grid_stage(job, words, state=state)
    return markup.finished_stage(results, state)


def _build_grid_stage(
    job: Job, words: SettingWords, preview: Image.Image | None = None, state: str = "painting"
) -> str:
    results = _results(job, job.pictures, words)
    cells = {each.picture.cell: each for each in results if each.picture.cell is not None}
    sheet = next((each for each in results if isinstance(each.picture.request, Grid)), None)
    if len(job.cells) > grid_stage.MAX_LIVE_CELLS:
        preview = None
    return grid_stage.build_stage(job, cells, preview, state, sheet)


def _build_step_stage(job: Job, event: Progress, words: SettingWords) -> str | None:
    """Return the preview beside the job's finished pictures; None without a preview."""
    if job.cells:
        return _build_grid_stage(job, words, event.preview)
    if event.preview is None:
        return None
    together = _count_together(event)
    size = grid_size(size_of_result(job, event.image_index), together)
    done = _results(job, job.pictures, words)
    if not done:
        return markup.preview_stage(event.preview, size)
    # Pictures that are painted together share one preview.
    count = event.num_images if together == 1 else len(done) + 1
    return markup.batch_stage(done, event.preview, size, count)


def _build_step_line(job: Job, event: Progress) -> str:
    first, shown = event.image_index + 1, _count_together(event)
    many = event.num_images > 1
    picture = messages.which_pictures(first, shown, event.num_images) if many else ""
    done = _job_fraction(job, event)
    if event.stage == "decoding":
        return message_markup.progress_line(
            messages.FINISHING, f"{picture}{messages.FINISHING}", done
        )
    left = "" if event.seconds_left is None else f" · {describe_time_left(event.seconds_left)}"
    if event.stage == "faces":
        faces = messages.restoring_faces(event.step, event.total_steps)
        return message_markup.progress_line(messages.UPSCALING, f"{picture}{faces}{left}", done)
    if event.stage == "upscaling":
        tile = messages.upscaling_tile(event.step, event.total_steps)
        return message_markup.progress_line(messages.UPSCALING, f"{picture}{tile}{left}", done)
    step = messages.step(event.step, event.total_steps)
    return message_markup.progress_line(messages.PAINTING, f"{picture}{step}{left}", done)


def _count_together(event: Progress) -> int:
    """Return how many pictures a step was for."""
    return event.together if event.stage == "denoising" else 1


def _job_fraction(job: Job, event: Progress) -> float | None:
    """Return how much of a job is done, 0 to 1; None if unknown."""
    request, part, ahead = find_painting(job.request), event.step / event.total_steps, 0.0
    if event.stage == "faces":
        part = 0.0  # tiles follow, and how long this takes in comparison is unknown
    if request is not None:
        painting = PAINTING_PART if request.upscaling is not None else 1.0
        ahead = painting * (event.together - 1)  # pictures that are denoised together with this one
        if event.stage not in ("upscaling", "faces"):
            part *= painting
            ahead *= event.step / event.total_steps
        elif isinstance(request, TextToImage) and request.hires is not None:
            return None  # it may be between the two passes, or after them
        else:
            part = painting + part * (1 - painting)
    return (event.image_index + part + ahead) / event.num_images


def describe_time_left(seconds: float) -> str:
    """Describe the time left, rounded to what is useful."""
    if seconds < 1:
        return messages.ALMOST_DONE
    if seconds < 90:
        return messages.seconds_left(round(seconds))
    return messages.minutes_left(round(seconds / 60))
