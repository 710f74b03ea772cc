"""The Models tab's own routes: preview pictures by catalog name, and how far downloads are. Both
are GETs, and change nothing."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, HTTPException, Query, Response
from PIL import Image

from paintdiff.errors import RequestError
from paintdiff.imaging.images import decode_image, flatten_image, read_header
from paintdiff.models.registry.adapter_rows import EmbeddingRow, LoraRow
from paintdiff.ui.model_browser.listing import ModelListing

if TYPE_CHECKING:
    from paintdiff.ui.common.context import PageContext

PREVIEW_PX = 320
"""The longest side of a preview as a browser gets it."""

MAX_PREVIEW_PIXELS = 24_000_000
MAX_KEPT = 256

_JPEG_QUALITY = 82
_GROUND = "#ffffff"
_KEEP = {"Cache-Control": "private, max-age=86400", "Content-Disposition": "inline"}

Kind = Annotated[str, Query(max_length=40)]
Name = Annotated[str, Query(max_length=200)]


class Previews:
    """Small pictures of files, made when they are first asked for. Two at a time, so that a page of
    large ones doesn't fill the memory. Safe to use from any thread."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Path, int, int], bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(2)

    def jpeg(self, path: Path) -> bytes:
        """The file's picture as a small JPEG.

        Raises RequestError if it is no picture (PNG, JPEG or WebP) of at most MAX_PREVIEW_PIXELS.
        """
        try:
            found = path.stat()
        except OSError as error:
            raise RequestError(f"{path.name} can't be read: {error.strerror}.") from error
        if not path.is_file():
            raise RequestError(f"{path.name} isn't a file.")
        key = (path, found.st_mtime_ns, found.st_size)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        with self._turns:
            data = _small_jpeg(path)
        with self._lock:
            self._kept[key] = data
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return data


def shelf_routes(parts: PageContext) -> APIRouter:
    """Routes for the Models tab. A preview is named by what the catalog calls its row; a path is
    never taken from a browser."""
    router, shelf, previews = APIRouter(), ModelListing(parts), Previews()

    @router.get("/models/preview")
    def preview(kind: Kind, name: Name) -> Response:
        try:
            row = shelf.row(kind, name)
            path = row.preview if isinstance(row, (LoraRow, EmbeddingRow)) else None
            if path is None:
                raise RequestError("This model has no preview.")
            data = previews.jpeg(path)
        except RequestError as error:
            raise HTTPException(404, "This preview doesn't exist.") from error
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
            for each in shelf.downloads()
        ]

    return router


def _small_jpeg(path: Path) -> bytes:
    if read_header(path).size.area > MAX_PREVIEW_PIXELS:
        raise RequestError(f"{path.name} has more than {MAX_PREVIEW_PIXELS:,} pixels.")
    image = flatten_image(decode_image(path), _GROUND)
    image.thumbnail((PREVIEW_PX, PREVIEW_PX), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()
