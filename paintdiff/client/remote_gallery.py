"""A server's gallery, as far as its API shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, BinaryIO

from paintdiff.client import messages
from paintdiff.client.connection import Connection
from paintdiff.errors import RequestError, ServerError
from paintdiff.gallery.records.query import PictureQuery
from paintdiff.gallery.records.record import Record
from paintdiff.imaging.geometry import Size

PAGE_LENGTH = 200
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class RemoteGallery:
    """The pictures of a server that may be seen from here."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def records(self, query: PictureQuery, limit: int | None = None) -> Iterator[Record]:
        """Yield the records that a query finds, the newest first, `limit` of them at most.

        A record's `file` is its path on the server.

        Raises:
            RequestError: The query can't be asked over HTTP.
            PaintError: The server refuses, or can't be reached.
        """
        fields = _write_query(query)
        left = limit
        while left is None or left > 0:
            count = PAGE_LENGTH if left is None else min(PAGE_LENGTH, left)
            page = self._connection.get("/api/images", {**fields, "limit": str(count)})
            try:
                records = [_read_record(each) for each in page["images"][:count]]
                cursor: str | None = page["next"]
            except (KeyError, TypeError, ValueError) as error:
                raise ServerError(messages.unreadable_answer(self._connection.url)) from error
            yield from records
            if not cursor or not records or cursor == fields.get("cursor"):
                return
            fields["cursor"] = cursor
            left = None if left is None else left - len(records)

    def get(self, picture_id: str) -> Record:
        """Return a picture's record.

        Raises:
            PictureNotFoundError: There is none.
            PaintError: The server refuses, or can't be reached.
        """
        if not _ID.fullmatch(picture_id):
            raise RequestError(messages.not_an_id(picture_id), field="id")
        answer = self._connection.get(f"/api/images/{picture_id}")
        try:
            return _read_record(answer)
        except (KeyError, TypeError, ValueError) as error:
            raise ServerError(messages.unreadable_answer(self._connection.url)) from error

    def fetch(self, record: Record, file: BinaryIO) -> None:
        """Write a picture's file, as it is on the server.

        Raises:
            PaintError: The server refuses, or can't be reached.
            OSError: The file can't be written.
        """
        self._connection.fetch(f"/api/images/{record.id}/file", file)


def _write_query(query: PictureQuery) -> dict[str, str]:
    if query.bin:
        raise RequestError(messages.NO_BIN, field="bin")
    if len(query.tags) > 1:
        raise RequestError(messages.ONE_TAG, field="tag")
    given: dict[str, object] = {
        "q": query.search,
        "model": query.model,
        "kind": query.kind,
        "tag": next(iter(query.tags), None),
        "feedback": query.feedback,
        "favourite": None if query.favourite is None else str(query.favourite).lower(),
    }
    return {name: str(value) for name, value in given.items() if value not in (None, "")}


def _read_record(answer: Mapping[str, Any]) -> Record:
    """Return the record that the server describes.

    Raises:
        KeyError, TypeError, ValueError: It isn't a description of one.
    """
    picture_id = answer["id"]
    if not _ID.fullmatch(picture_id):  # it becomes a part of paths
        raise ValueError(picture_id)
    return Record(
        id=picture_id,
        file=str(answer["file"]),
        thumbnail=str(answer["thumbnail"]),
        kind=str(answer["kind"]),
        size=Size(int(answer["width"]), int(answer["height"])),
        created_at=datetime.fromisoformat(answer["created_at"]),
        prompt=str(answer["prompt"]),
        negative_prompt=str(answer["negative_prompt"]),
        seed=answer["seed"],
        params=dict(answer["params"]),
        model=str(answer["model"]),
        seconds=answer["seconds"],
        feedback=int(answer["feedback"]),
        favourite=bool(answer["favourite"]),
        tags=tuple(map(str, answer["tags"])),
        parent=answer["parent"],
        relation=answer["relation"],
    )
