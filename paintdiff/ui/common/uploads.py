"""Uploaded pictures, by id, and the two routes that accept and serve them.

A client never names a path. Its upload is decoded once to find damage, kept in memory under an
unguessable id, and dropped once newer uploads need the room.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from paintdiff.byte_sizes import format_byte_size
from paintdiff.errors import RequestError
from paintdiff.imaging.images import check_pixels, read_header
from paintdiff.imaging.messages import file_too_large
from paintdiff.server.visitors import THIS_MACHINE, current_visitor
from paintdiff.ui.common import messages

MAX_UPLOAD_BYTES = 16 * 2**20
"""Most bytes of one POST; the guard in front of all routes has the same limit."""

MAX_CHECKS_PER_VISITOR = 8
"""How many pictures of one visitor may wait to be decoded. A browser sends up to six at once."""

MAX_TOTAL_BYTES = 256 * 2**20
MAX_COUNT = 512

_KEEP = {
    "Cache-Control": "private, max-age=86400, immutable",
    "X-Content-Type-Options": "nosniff",
    "Content-Disposition": "inline",
}

UploadId = Annotated[str, Path(max_length=64)]


@dataclass(frozen=True)
class Upload:
    """An uploaded picture: a PNG, JPEG or WebP file.

    `width` and `height` are in pixels after EXIF orientation. `data` is the unchanged file.
    `visitor` is who sent it.
    """

    id: str
    width: int
    height: int
    data: bytes
    media_type: str
    visitor: str = THIS_MACHINE


class Uploads:
    """A bounded table of uploads, safe for use from several threads.

    When it is full, the visitor with the largest share loses the least recently used upload.
    """

    def __init__(
        self, *, max_total_bytes: int = MAX_TOTAL_BYTES, max_count: int = MAX_COUNT
    ) -> None:
        self._max_total_bytes = max_total_bytes
        self._max_count = max_count
        self._table: OrderedDict[str, Upload] = OrderedDict()
        self._total_bytes = 0
        self._lock = threading.Lock()

    def add(self, data: bytes) -> Upload:
        """Store a picture of the current visitor under a new id.

        Raises:
            RequestError: (field "image") It isn't a PNG, JPEG or WebP, has too many pixels or bytes
                (see
            `paintdiff.imaging.images.read_header`), or is larger than the whole table.
        """
        if len(data) > self._max_total_bytes:
            raise RequestError(
                file_too_large(format_byte_size(self._max_total_bytes)),
                field="image",
            )
        header = read_header(data)
        size = header.size
        upload = Upload(
            id=secrets.token_urlsafe(16),
            width=size.width,
            height=size.height,
            data=data,
            media_type=header.media_type,
            visitor=current_visitor.get(),
        )
        with self._lock:
            self._table[upload.id] = upload
            self._total_bytes += len(data)
            while self._total_bytes > self._max_total_bytes:
                self._forget_one_of(self._greediest(lambda each: len(each.data)))
            while len(self._table) > self._max_count:
                self._forget_one_of(self._greediest(lambda each: 1))
        return upload

    def _greediest(self, weight: Callable[[Upload], int]) -> str:
        """Return the visitor whose uploads weigh most."""
        held: Counter[str] = Counter()
        for each in self._table.values():
            held[each.visitor] += weight(each)
        return held.most_common(1)[0][0]

    def _forget_one_of(self, visitor: str) -> None:
        oldest = next(each for each in self._table.values() if each.visitor == visitor)
        del self._table[oldest.id]
        self._total_bytes -= len(oldest.data)

    def get(self, upload_id: str) -> Upload | None:
        """Return the upload of that id and mark it as used; None if it is unknown or dropped."""
        with self._lock:
            upload = self._table.get(upload_id)
            if upload is not None:
                self._table.move_to_end(upload_id)
            return upload


class DamageChecks:
    """Decodes pictures from outside one at a time, as each may take 256 MiB and a second or two.

    A visitor who sends many delays the others by a few.
    """

    def __init__(self) -> None:
        self._waiting: Counter[str] = Counter()
        self._one_at_a_time = asyncio.Lock()

    async def check(self, data: bytes) -> None:
        """Refuse a damaged picture of the current visitor.

        Raises:
            RequestError: As in `paintdiff.imaging.images.check_pixels`.
            HTTPException: Too many of the visitor's pictures wait.
        """
        visitor = current_visitor.get()
        if visitor != THIS_MACHINE and self._waiting[visitor] >= MAX_CHECKS_PER_VISITOR:
            raise HTTPException(429, messages.TOO_MANY_UPLOADS)
        self._waiting[visitor] += 1
        try:
            async with self._one_at_a_time:
                await run_in_threadpool(check_pixels, data)
        finally:
            self._waiting[visitor] -= 1
            if not self._waiting[visitor]:
                del self._waiting[visitor]


def upload_routes(uploads: Uploads) -> APIRouter:
    """Return the routes for uploads.

    POST /uploads takes a picture as the raw body and answers {id, width, height}; GET or HEAD
    /uploads/{id} returns it. Errors are JSON: {"detail": message}.
    """
    router, checks = APIRouter(), DamageChecks()

    @router.post("/uploads", status_code=201)
    async def take(request: Request) -> dict[str, str | int]:
        data = await _read_body(request)
        if not data:
            raise HTTPException(400, messages.NO_PICTURE_SENT)
        try:
            await checks.check(data)
            upload = await run_in_threadpool(uploads.add, data)
        except RequestError as error:
            raise HTTPException(400, str(error)) from error
        return {"id": upload.id, "width": upload.width, "height": upload.height}

    @router.api_route("/uploads/{upload_id}", methods=["GET", "HEAD"])
    async def give(upload_id: UploadId) -> Response:
        upload = uploads.get(upload_id)
        if upload is None:
            raise HTTPException(404, messages.PICTURE_GONE)
        return Response(upload.data, media_type=upload.media_type, headers=_KEEP)

    return router


async def _read_body(request: Request) -> bytes:
    """Read the body; stop as soon as it exceeds the limit."""
    data = bytearray()
    try:
        async for chunk in request.stream():
            data += chunk
            if len(data) > MAX_UPLOAD_BYTES:
                raise _refuse_size()
    except ClientDisconnect as error:  # nobody reads this answer, and it isn't a server error
        raise HTTPException(400, messages.PICTURE_CUT_OFF) from error
    return bytes(data)


def _refuse_size() -> HTTPException:
    return HTTPException(413, file_too_large(format_byte_size(MAX_UPLOAD_BYTES)))
