"""The routes of replays. Only its owner's browser can replay a picture, or see the replay."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import fastapi
from fastapi import APIRouter, HTTPException, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from paintdiff.errors import (
    EngineError,
    GalleryError,
    PaintError,
    PictureNotFoundError,
    QueueFullError,
    VisitorLimitError,
)
from paintdiff.imaging.animations import AnimationFormat, media_type
from paintdiff.imaging.encodings import Encodings
from paintdiff.jobs.request_parts import Branch
from paintdiff.replay.saved_pictures import SavedPicture, read_saved_picture
from paintdiff.server.identities import current_identity
from paintdiff.server.visitors import current_visitor
from paintdiff.ui.gallery.pictures import find_picture
from paintdiff.ui.replay import messages
from paintdiff.ui.replay.runs import Run, Runs, encode_animation, encode_frame

if TYPE_CHECKING:
    from pathlib import Path

    from paintdiff.engine.engine import Engine
    from paintdiff.gallery.gallery import Gallery

RunId = Annotated[str, fastapi.Path(max_length=64)]
_KEEP = {"Cache-Control": "private, max-age=86400, immutable"}


class Start(BaseModel):
    """The picture to replay."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: Annotated[str, Field(max_length=64)]


class Continuation(Branch):
    """The picture to continue, and the settings of the rest of its run."""

    id: Annotated[str, Field(max_length=64)]

    def branch(self) -> Branch:
        """Return the settings alone."""
        return Branch(**self.model_dump(exclude={"id"}))


def replay_routes(gallery: Gallery, engine: Engine) -> APIRouter:
    """Return the routes. Errors are JSON: {"detail": message}."""
    router, runs, encodings = APIRouter(prefix="/replays"), Runs(engine), Encodings()

    @router.post("")
    def start(wanted: Start) -> Any:
        with _answering_errors():
            saved, path = _read(gallery, wanted.id)
            owner = current_identity.get().owner
            run = runs.replay(saved, path, current_visitor.get(), owner)
            return _fresh(runs.describe(run))

    @router.post("/continue")
    def go_on(wanted: Continuation) -> Any:
        with _answering_errors():
            saved, _ = _read(gallery, wanted.id)
            who = current_visitor.get(), current_identity.get()
            run = runs.go_on(saved.request, wanted.branch(), wanted.id, *who)
            return _fresh(runs.describe(run))

    @router.get("/{run_id}")
    def follow(run_id: RunId) -> Any:
        return _fresh(runs.describe(_find(runs, run_id)))

    @router.post("/{run_id}/cancel")
    def cancel(run_id: RunId) -> Any:
        run = _find(runs, run_id)
        run.job.cancel()
        return _fresh(runs.describe(run))

    @router.get("/{run_id}/frames/{number}")
    async def frame(run_id: RunId, number: Annotated[int, fastapi.Path(ge=0, le=9999)]) -> Any:
        with _answering_errors():
            make = partial(encode_frame, _find(runs, run_id), number)
            data = await encodings.get((run_id, number), make)
        return Response(data, media_type="image/jpeg", headers=_KEEP)

    @router.get("/{run_id}/animation")
    async def animation(
        run_id: RunId, format: AnimationFormat = "webm", fps: Annotated[int, Query()] = 60
    ) -> Any:
        with _answering_errors():
            make = partial(encode_animation, _find(runs, run_id), format, fps)
            data = await encodings.get((run_id, format, fps), make)
        name = f'attachment; filename="paintdiffusion-replay.{format}"'
        headers = {**_KEEP, "Content-Disposition": name}
        return Response(data, media_type=media_type(format), headers=headers)

    return router


def _fresh(content: object) -> Response:
    return JSONResponse(content, headers={"Cache-Control": "no-store"})


def _read(gallery: Gallery, id: str) -> tuple[SavedPicture, Path]:
    path = gallery.path_of(find_picture(gallery, id).file)
    return read_saved_picture(path, (gallery.inputs,)), path


def _find(runs: Runs, id: str) -> Run:
    """Return a run of the visitor's.

    Raises:
        HTTPException: There is none.
    """
    run = runs.find(id)
    if run is None or not current_identity.get().may_see(run.owner):
        raise HTTPException(404, messages.GONE)
    return run


@contextmanager
def _answering_errors() -> Generator[None]:
    """Answer an error with its message and the status that fits.

    Raises:
        HTTPException: There was one.
    """
    try:
        yield
    except PictureNotFoundError as error:
        raise HTTPException(404, str(error)) from error
    except VisitorLimitError as error:
        wait = str(error.retry_after_seconds or 5)
        raise HTTPException(429, str(error), {"Retry-After": wait}) from error
    except (QueueFullError, EngineError, GalleryError) as error:
        raise HTTPException(503, str(error), {"Retry-After": "2"}) from error
    except PaintError as error:
        raise HTTPException(400, str(error)) from error
