"""The page's own routes: pictures by id, and the status bar's figures. All are GETs, and change
nothing."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, HTTPException, Path, Response
from fastapi.responses import FileResponse
from PIL import Image

from paintdiff.events import Picture
from paintdiff.ui import relay

if TYPE_CHECKING:
    from paintdiff.engine import Engine

THUMBNAIL_PX = 256
_KEEP = {"Cache-Control": "private, max-age=86400, immutable"}

JobId = Annotated[str, Path(max_length=64)]
Index = Annotated[int, Path(ge=0, le=9999)]


def picture_routes(engine: Engine) -> APIRouter:
    """Routes for finished pictures. A picture is named by its job and number, looked up in the
    engine's table."""
    router = APIRouter()

    @router.get("/pictures/{job_id}/{index}.png")
    def full_picture(job_id: JobId, index: Index, download: bool = False) -> Response:
        picture = _picture(engine, job_id, index)
        name = f"paintdiffusion-{picture.request.seed}.png"
        headers = {
            **_KEEP,
            "Content-Disposition": f'{"attachment" if download else "inline"}; filename="{name}"',
        }
        if picture.path is not None and picture.path.is_file():
            return FileResponse(picture.path, media_type="image/png", headers=headers)
        return Response(_encoded(picture.image, "PNG"), media_type="image/png", headers=headers)

    @router.get("/pictures/{job_id}/{index}.jpg")
    def thumbnail(job_id: JobId, index: Index) -> Response:
        image = _picture(engine, job_id, index).image.copy()
        image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
        return Response(_encoded(image, "JPEG"), media_type="image/jpeg", headers=_KEEP)

    return router


def status_routes(engine: Engine) -> APIRouter:
    """The route that the status bar asks every few seconds while it can be seen."""
    router = APIRouter()

    @router.get("/status")
    async def status(response: Response) -> dict[str, object]:
        response.headers["Cache-Control"] = "no-store"
        now = engine.status()
        return {
            "model": now.model,
            "model_state": now.model_state,
            "device": now.device,
            "memory_used_bytes": now.memory_used_bytes,
            "memory_total_bytes": now.memory_total_bytes,
            "queue_length": now.queue_length,
            "running": now.running_job_id is not None,
            "steps_per_second": now.steps_per_second,
        }

    return router


def _picture(engine: Engine, job_id: str, index: int) -> Picture:
    picture = relay.picture_of(engine, (job_id, index))
    if picture is None:
        raise HTTPException(404, "There is no such picture, or it has been forgotten.")
    return picture


def _encoded(image: Image.Image, file_format: str) -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, file_format, quality=88)
    return buffer.getvalue()
