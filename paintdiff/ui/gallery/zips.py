"""Selected pictures as one ZIP file, streamed: it is never complete in memory or on the disk."""

from __future__ import annotations

import io
import secrets
import threading
import time
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import fastapi
from fastapi import APIRouter, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from paintdiff.byte_sizes import format_byte_size
from paintdiff.errors import GalleryError, RequestError
from paintdiff.server.identities import Identity, current_identity
from paintdiff.ui.gallery import messages
from paintdiff.ui.gallery.answers import answer_errors, answer_json
from paintdiff.ui.gallery.pictures import find_picture, find_pictures

if TYPE_CHECKING:
    from paintdiff.gallery.gallery import Gallery
    from paintdiff.gallery.records.record import Record

MAX_PICTURES = 2000
MAX_BYTES = 2**31 - 1
"""Also the most that one file of an archive can have without a 64-bit extension."""
MAX_TICKETS = 64
TICKET_SECONDS = 600.0
NOT_INCLUDED = "not-included.txt"
_PIECE_BYTES = 256 * 1024


class Selection(BaseModel):
    """The pictures of a ZIP file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ids: Annotated[list[Annotated[str, Field(max_length=64)]], Field(min_length=1)]


@dataclass(frozen=True)
class _Ticket:
    """A checked selection of a visitor, to be fetched within `TICKET_SECONDS`."""

    ids: tuple[str, ...]
    identity: Identity
    made_at: float


class Tickets:
    """Selections that may be fetched, by a secret name. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[str, _Ticket] = OrderedDict()

    def add(self, ids: Sequence[str], identity: Identity) -> str:
        """Keep a selection; forget the oldest if there are too many."""
        name = secrets.token_urlsafe(16)
        with self._lock:
            self._held[name] = _Ticket(tuple(ids), identity, time.monotonic())
            while len(self._held) > MAX_TICKETS:
                self._held.popitem(last=False)
        return name

    def get(self, name: str, identity: Identity) -> tuple[str, ...] | None:
        """Return a visitor's own selection; None if there is none, or it is too old."""
        with self._lock:
            ticket = self._held.get(name)
        if ticket is None or ticket.identity != identity:
            return None
        return ticket.ids if time.monotonic() - ticket.made_at < TICKET_SECONDS else None


def zip_routes(gallery: Gallery) -> APIRouter:
    """Return the routes that make a ZIP file: a POST checks the selection, a GET streams it."""
    router = APIRouter(prefix="/gallery/zips")
    tickets = Tickets()

    @router.post("")
    def choose(wanted: Selection) -> Any:
        ids = list(dict.fromkeys(wanted.ids))
        with answer_errors():
            count, size, missing = _check(gallery, ids)
        name = tickets.add(ids, current_identity.get())
        return answer_json({"name": name, "count": count, "bytes": size, "missing": missing})

    @router.get("/{name}")
    async def stream(name: Annotated[str, fastapi.Path(max_length=64)]) -> StreamingResponse:
        ids = tickets.get(name, current_identity.get())
        if ids is None:
            raise HTTPException(404, messages.ZIP_GONE)
        headers = {
            "Cache-Control": "no-store",
            "Content-Disposition": 'attachment; filename="paintdiffusion.zip"',
        }
        pieces = write_zip(gallery, ids)
        return StreamingResponse(pieces, media_type="application/zip", headers=headers)

    return router


def _check(gallery: Gallery, ids: Sequence[str]) -> tuple[int, int, int]:
    """Return how many pictures there are, their bytes, and how many files are missing.

    Raises:
        RequestError: They are too many, or too large, or no file is there.
        GalleryError: One isn't the visitor's.
    """
    if len(ids) > MAX_PICTURES:
        raise RequestError(messages.too_many_to_zip(MAX_PICTURES, len(ids)), field="ids")
    sizes: list[int] = []
    for record in find_pictures(gallery, ids):
        with suppress(OSError):
            sizes.append(gallery.path_of(record.file).stat().st_size)
    if not sizes:
        raise RequestError(messages.FILE_MISSING, field="ids")
    if sum(sizes) > MAX_BYTES:
        limit, found = format_byte_size(MAX_BYTES), format_byte_size(sum(sizes))
        raise RequestError(messages.zip_too_large(limit, found), field="ids")
    return len(sizes), sum(sizes), len(ids) - len(sizes)


def write_zip(gallery: Gallery, ids: Sequence[str]) -> Iterator[bytes]:
    """Yield a ZIP file of pictures piece by piece. It is stored, because pictures are compressed.

    Names are made of the time and the id. A file that is gone or can't be read meanwhile is named
    in `NOT_INCLUDED` instead.
    """
    sink = _Sink()
    failed: list[str] = []
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for id in ids:
            try:
                record = find_picture(gallery, id)
                path = gallery.path_of(record.file)
                with path.open("rb") as source, archive.open(_entry(record), "w") as entry:
                    while piece := source.read(_PIECE_BYTES):
                        entry.write(piece)
                        yield sink.take()
            except (OSError, GalleryError):
                failed.append(id)
            yield sink.take()
        if failed:
            archive.writestr(NOT_INCLUDED, messages.not_included(failed))
    yield sink.take()


def _entry(record: Record) -> zipfile.ZipInfo:
    moment = record.created_at
    suffix = record.file.rpartition(".")[2].lower()
    suffix = suffix if suffix in ("png", "jpg", "jpeg", "webp") else "bin"
    name = f"{moment:%Y%m%d-%H%M%S}-{record.id}.{suffix}"
    # A ZIP file knows no other years.
    year = min(max(1980, moment.year), 2107)
    return zipfile.ZipInfo(name, date_time=(year, *moment.timetuple()[1:6]))


class _Sink(io.RawIOBase):
    """Collects what is written until it is taken. It can't seek, so `zipfile` streams."""

    def __init__(self) -> None:
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._held += data
        return len(data)

    def take(self) -> bytes:
        taken, self._held = bytes(self._held), bytearray()
        return taken
