"""The page's own routes: pictures by id, and the status bar's values."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from functools import partial
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, HTTPException, Path, Response
from fastapi.responses import FileResponse

from paintdiff.errors import PaintError, QueueFullError, RequestError
from paintdiff.imaging.encodings import Encodings
from paintdiff.imaging.images import read_header
from paintdiff.jobs.events import Picture
from paintdiff.server.identities import current_identity
from paintdiff.ui.common import pictures
from paintdiff.ui.common.messages import PICTURE_GONE
from paintdiff.ui.run import job_view, messages

if TYPE_CHECKING:
    from paintdiff.engine.engine import Engine
    from paintdiff.gallery.recording import Recorder
    from paintdiff.ui.common.setting_words import SettingWords

THUMBNAIL_PX = 256
_KEEP = {"Cache-Control": "private, max-age=86400, immutable"}
_INERT = {"X-Content-Type-Options": "nosniff", "Content-Disposition": "inline"}

JobId = Annotated[str, Path(max_length=64)]
Index = Annotated[int, Path(ge=0, le=9999)]


def picture_routes(engine: Engine) -> APIRouter:
    """Return the routes for finished pictures.

    A picture is named by its job and index, and looked up in the engine's table.
    """
    router, encodings = APIRouter(), Encodings()

    @router.get("/pictures/{job_id}/{index}.png")
    async def full_picture(
        job_id: JobId, index: Index, download: bool = False, reduced: bool = False
    ) -> Response:
        picture = _picture(engine, job_id, index)
        name = pictures.file_name(picture, index)
        headers = {
            **_KEEP,
            "Content-Disposition": f'{"attachment" if download else "inline"}; filename="{name}"',
        }
        path = pictures.find_saved_file(picture)
        if path is not None and not reduced:
            return FileResponse(path, media_type="image/png", headers=headers)
        made = (
            partial(pictures.encode_png, picture.image)
            if reduced
            else partial(_encode_whole, picture)
        )
        data = await _encode(encodings, (job_id, index, "reduced" if reduced else "whole"), made)
        return Response(data, media_type="image/png", headers=headers)

    @router.get("/pictures/{job_id}/{index}.jpg")
    async def thumbnail(job_id: JobId, index: Index) -> Response:
        image = _picture(engine, job_id, index).image
        made = partial(pictures.encode_small_jpeg, image, THUMBNAIL_PX)
        data = await _encode(encodings, (job_id, index, "thumbnail"), made)
        return Response(data, media_type="image/jpeg", headers=_KEEP)

    @router.get("/pictures/{job_id}/{index}/original")
    def original(job_id: JobId, index: Index) -> Response:
        job = job_view.find_job(engine, job_id)
        found = None if job is None else pictures.original_picture(job, index)
        if found is None or found.data is None:
            raise HTTPException(404, PICTURE_GONE)
        media_type = read_header(found.data).media_type
        return Response(found.data, media_type=media_type, headers={**_KEEP, **_INERT})

    return router


def status_routes(words: SettingWords, recorder: Recorder | None = None) -> APIRouter:
    """Return the route that the status bar polls every few seconds while it is visible.

    It also says which pictures of the visitor couldn't be saved. POST /unsaved tries again.
    """
    router, retrying = APIRouter(), threading.Lock()

    @router.get("/status")
    async def status(response: Response) -> dict[str, object]:
        response.headers["Cache-Control"] = "no-store"
        now = words.engine.status()
        return {
            "model": now.model,
            "model_title": words.say("model", now.model),
            "model_state": now.model_state,
            "device": now.device,
            "memory_used_bytes": now.memory_used_bytes,
            "memory_total_bytes": now.memory_total_bytes,
            "queue_length": now.queue_length,
            "running": now.running_job_id is not None,
            "steps_per_second": now.steps_per_second,
            "waiting": _describe_waiting(recorder),
            "signed_in": current_identity.get().name or None,
        }

    @router.post("/unsaved")
    def retry() -> dict[str, object]:
        if recorder is not None and _describe_waiting(recorder) is not None:
            _retry(recorder, retrying)
        return {"waiting": _describe_waiting(recorder)}

    return router


def _describe_waiting(recorder: Recorder | None) -> dict[str, object] | None:
    """Return how many of the visitor's pictures wait to be saved or recorded; None without any."""
    if recorder is None:
        return None
    waiting = recorder.waiting(current_identity.get().scope)
    return vars(waiting) if waiting.unsaved or waiting.unrecorded else None


def _retry(recorder: Recorder, retrying: threading.Lock) -> None:
    """Save and record what waits, once at a time: a locked database may take a while.

    Raises:
        HTTPException: Something can't be saved yet.
    """
    if not retrying.acquire(blocking=False):
        raise HTTPException(503, messages.SAVING_ALREADY, {"Retry-After": "2"})
    try:
        recorder.retry()
    except PaintError as error:
        raise HTTPException(503, str(error), {"Retry-After": "2"}) from error
    finally:
        retrying.release()


def _picture(engine: Engine, job_id: str, index: int) -> Picture:
    picture = job_view.find_picture(engine, (job_id, index))
    if picture is None:
        raise HTTPException(404, PICTURE_GONE)
    return picture


async def _encode(encodings: Encodings, key: Hashable, make: Callable[[], bytes]) -> bytes:
    try:
        return await encodings.get(key, make)
    except QueueFullError as error:
        raise HTTPException(503, str(error), {"Retry-After": "2"}) from error


def _encode_whole(picture: Picture) -> bytes:
    try:
        return pictures.encode_whole_png(picture)
    except RequestError as error:
        raise HTTPException(404, str(error)) from error
