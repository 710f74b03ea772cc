"""The Models tab's own routes: preview pictures by catalog name, and progress of downloads.

All are GETs and change nothing.
"""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, HTTPException, Query, Response
from fastapi.concurrency import run_in_threadpool
from PIL import Image

from paintdiff.errors import QueueFullError, RequestError
from paintdiff.imaging.encodings import Encodings
from paintdiff.imaging.images import decode_image, flatten_image, read_header
from paintdiff.imaging.messages import unreadable_file
from paintdiff.models.registry.adapter_rows import EmbeddingRow, LoraRow
from paintdiff.ui.model_browser import messages
from paintdiff.ui.model_browser.listing import ModelListing

if TYPE_CHECKING:
    from paintdiff.ui.common.context import PageContext

PREVIEW_PX = 320
"""The longest side, in pixels, of a preview sent to a browser."""

MAX_PREVIEW_PIXELS = 24_000_000
MAX_KEPT_BYTES = 16 * 2**20

_JPEG_QUALITY = 82
_GROUND = "#ffffff"
_KEEP = {"Cache-Control": "private, max-age=86400", "Content-Disposition": "inline"}

Kind = Annotated[str, Query(max_length=40)]
Name = Annotated[str, Query(max_length=200)]


def model_browser_routes(context: PageContext) -> APIRouter:
    """Return the routes for the Models tab.

    A preview is named by its row's name in the catalog; a browser never names a path.
    """
    router, listing, previews = APIRouter(), ModelListing(context), Encodings(MAX_KEPT_BYTES)

    @router.get("/models/preview")
    async def preview(kind: Kind, name: Name) -> Response:
        try:
            path = await run_in_threadpool(_preview_path, listing, kind, name)
            found = await run_in_threadpool(_check_file, path)
            key = (path, found.st_mtime_ns, found.st_size)
            data = await previews.get(key, lambda: _small_jpeg(path))
        except RequestError as error:
            raise HTTPException(404, messages.NO_SUCH_PREVIEW) from error
        except QueueFullError as error:
            raise HTTPException(503, str(error), {"Retry-After": "2"}) from error
        return Response(data, media_type="image/jpeg", headers=_KEEP)

    @router.get("/models/downloads")
    def downloads(response: Response) -> list[dict[str, object]]:
        response.headers["Cache-Control"] = "no-store"
        return [
            {
                "id": each.id,
                "state": each.state,
                "done_bytes": each.done_bytes,
                "total_bytes": each.total_bytes,
            }
            for each in listing.list_downloads()
        ]

    return router


def _preview_path(listing: ModelListing, kind: str, name: str) -> Path:
    row = listing.row(kind, name)
    path = row.preview if isinstance(row, (LoraRow, EmbeddingRow)) else None
    if path is None:
        raise RequestError(messages.NO_PREVIEW)
    return path


def _check_file(path: Path) -> os.stat_result:
    """Return the status of a regular file.

    Raises:
        RequestError: It isn't a regular file.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise RequestError(unreadable_file(path.name, error.strerror)) from error
    if not stat.S_ISREG(found.st_mode):
        raise RequestError(messages.not_a_file(path.name))
    return found


def _small_jpeg(path: Path) -> bytes:
    """Encode the file's picture as a small JPEG.

    Raises:
        RequestError: It isn't a picture (PNG, JPEG or WebP) of at most MAX_PREVIEW_PIXELS.
    """
    if read_header(path).size.area > MAX_PREVIEW_PIXELS:
        raise RequestError(messages.preview_too_large(path.name, MAX_PREVIEW_PIXELS))
    image = flatten_image(decode_image(path), _GROUND)
    image.thumbnail((PREVIEW_PX, PREVIEW_PX), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()
