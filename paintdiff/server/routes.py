"""The routes that the page needs. Anything else is refused unread.

Gradio serves far more than the page uses: file access, uploads, a proxy, an API, deep links. A new
route, ours or Gradio's, must be added here before anybody can reach it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from starlette.routing import compile_path

from paintdiff.server import messages

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

MAX_PATH_CHARACTERS = 255
"""Longest path; the page's longest has 60 characters.

A file system may refuse longer ones, and then Gradio's file routes log an error.
"""
MAX_QUERY_BYTES = 4096
MAX_QUERY_FIELDS = 16


MAX_FORM_FILES = 20
MAX_FORM_FIELDS = 64
MAX_FORM_TEXT_BYTES = 64 * 1024
"""The longest text in a form; its files are limited by the length of the body."""


class Body(Enum):
    """Allowed bodies of a request."""

    NONE = "none"
    EVENT = "event"
    """An event of the page that is answered directly, as JSON."""
    QUEUED_EVENT = "queued event"
    """An event of the page whose answers come through the queue's stream."""
    CANCEL = "cancel"
    """The cancellation of a queued event."""
    JSON = "json"
    """A small JSON object; the route itself checks its fields."""
    LARGE_JSON = "large JSON"
    """JSON that may contain pictures; the route itself checks everything in it."""
    FORM = "form"
    """A form with files (multipart/form-data); the route itself checks everything in it."""
    PICTURE = "picture"
    """An image file; the route itself checks it."""


@dataclass(frozen=True)
class Route:
    """One allowed route.

    `path` is a template as in Starlette. `query` names the query parameters that are passed on;
    others are dropped. `stream` is whether the response is the queue's stream of messages.
    """

    methods: tuple[str, ...]
    path: str
    query: tuple[str, ...] = ()
    body: Body = Body.NONE
    stream: bool = False


_READ = ("GET", "HEAD")
_FILTERS = (
    *("search", "model", "kind", "feedback", "favourite", "tag", "bin", "order"),
    *("size", "since", "until"),
)

PAGE_ROUTES: tuple[Route, ...] = (
    # Gradio's
    Route(_READ, "/"),
    Route(_READ, "/theme.css", ("v",)),
    Route(_READ, "/assets/{path:path}"),
    Route(_READ, "/static/{path:path}"),
    Route(_READ, "/favicon.ico"),
    Route(_READ, "/robots.txt"),
    Route(("POST",), "/gradio_api/run/predict", body=Body.EVENT),
    Route(("POST",), "/gradio_api/queue/join", body=Body.QUEUED_EVENT),
    Route(("GET",), "/gradio_api/queue/data", ("session_hash",), stream=True),
    Route(("POST",), "/gradio_api/cancel", body=Body.CANCEL),
    # Ours
    Route(("GET",), "/status"),
    Route(("POST",), "/unsaved", body=Body.JSON),
    Route(("POST",), "/uploads", body=Body.PICTURE),
    Route(_READ, "/uploads/{upload_id}"),
    Route(("GET",), "/pictures/{job_id}/{index}.png", ("download", "reduced")),
    Route(("GET",), "/pictures/{job_id}/{index}.jpg"),
    Route(("GET",), "/pictures/{job_id}/{index}/original"),
    Route(("GET",), "/models/preview", ("kind", "name")),
    Route(("POST",), "/prompts/check", body=Body.JSON),
    Route(("GET",), "/prompts/completions", ("model",)),
    Route(("GET",), "/prompts/history", ("search", "favourites", "cursor")),
    Route(("GET",), "/prompts/tags"),
    Route(("GET",), "/models/downloads"),
    Route(
        ("GET",),
        "/gallery/pictures",
        (*_FILTERS, "cursor"),
    ),
    Route(("GET",), "/gallery/ids", _FILTERS),
    Route(("GET",), "/gallery/choices"),
    Route(("GET",), "/gallery/pictures/{picture_id}"),
    Route(("GET",), "/gallery/pictures/{picture_id}/file", ("download",)),
    Route(("GET",), "/gallery/pictures/{picture_id}/thumbnail"),
    Route(("POST",), "/gallery/changes", body=Body.JSON),
    Route(("POST",), "/gallery/bin/empty", body=Body.JSON),
    Route(("POST",), "/gallery/bin/days", body=Body.JSON),
    Route(("POST",), "/gallery/zips", body=Body.JSON),
    Route(("GET",), "/gallery/zips/{name}"),
    Route(("POST",), "/gallery/variations", body=Body.JSON),
    Route(("GET",), "/gallery/variations/{job_id}"),
    Route(("POST",), "/gallery/variations/{job_id}/cancel", body=Body.JSON),
    Route(("POST",), "/replays", body=Body.JSON),
    Route(("POST",), "/replays/continue", body=Body.JSON),
    Route(("GET",), "/replays/{run_id}"),
    Route(("POST",), "/replays/{run_id}/cancel", body=Body.JSON),
    Route(("GET",), "/replays/{run_id}/frames/{number}"),
    Route(("GET",), "/replays/{run_id}/animation", ("format", "fps")),
)


class RouteTable:
    """Finds the route for a method and a path."""

    def __init__(self, routes: tuple[Route, ...] = PAGE_ROUTES) -> None:
        self._routes: list[tuple[re.Pattern[str], Route]] = [
            (compile_path(route.path)[0], route) for route in routes
        ]

    def find(self, method: str, path: str) -> Route | None:
        """Return the route; None if nothing is allowed there."""
        return next((each for each in self._at(path) if method in each.methods), None)

    def methods_at(self, path: str) -> list[str]:
        """Return the methods that are allowed at a path."""
        return sorted({method for route in self._at(path) for method in route.methods})

    def _at(self, path: str) -> Iterator[Route]:
        if len(path) > MAX_PATH_CHARACTERS or not path.isprintable():
            return
        for pattern, route in self._routes:
            if pattern.match(path):
                yield route


def filter_query(route: Route, query: bytes) -> bytes:
    """Return the query string with only the parameters that the route takes.

    Raises:
        ValueError: It is too long, has too many parameters or one of them twice, or isn't ASCII.
    """
    if not query or not route.query:
        return b""
    if len(query) > MAX_QUERY_BYTES:
        raise ValueError(messages.query_too_long(MAX_QUERY_BYTES))
    fields = parse_qsl(
        query.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS
    )
    kept = [(name, value) for name, value in fields if name in route.query]
    # Readers of the first and readers of the last value would see two different queries.
    if len(dict(kept)) < len(kept):
        raise ValueError(messages.PARAMETER_TWICE)
    return urlencode(kept).encode()
