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

from paintdiff.accounts.scopes import Scope
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
    others are dropped. `stream` is whether the response is the queue's stream of messages. `needs`
    are the scopes that an identity must have (`ENTERED`: none, but it must have been admitted);
    without a decision, None, nobody may use the route. An `is_open` one is for everybody, also
    without signing in where that is needed.
    """

    methods: tuple[str, ...]
    path: str
    query: tuple[str, ...] = ()
    body: Body = Body.NONE
    stream: bool = False
    needs: frozenset[Scope] | None = None
    is_open: bool = False


ENTERED: frozenset[Scope] = frozenset()
PAINT = frozenset({Scope.PAINT})
GALLERY = frozenset({Scope.GALLERY})
BOTH = PAINT | GALLERY
MANAGE = frozenset({Scope.MANAGE})

_READ = ("GET", "HEAD")
_FILTERS = (
    *("search", "model", "kind", "feedback", "favourite", "tag", "bin", "order"),
    *("size", "since", "until"),
)

PAGE_ROUTES: tuple[Route, ...] = (
    # Gradio's
    Route(_READ, "/", needs=ENTERED),
    Route(_READ, "/theme.css", ("v",), needs=ENTERED),
    Route(_READ, "/assets/{path:path}", needs=ENTERED),
    Route(_READ, "/static/{path:path}", needs=ENTERED),
    Route(_READ, "/favicon.ico", needs=ENTERED),
    Route(_READ, "/robots.txt", needs=ENTERED),
    Route(("POST",), "/gradio_api/run/predict", body=Body.EVENT, needs=BOTH),
    Route(("POST",), "/gradio_api/queue/join", body=Body.QUEUED_EVENT, needs=BOTH),
    Route(("GET",), "/gradio_api/queue/data", ("session_hash",), stream=True, needs=BOTH),
    Route(("POST",), "/gradio_api/cancel", body=Body.CANCEL, needs=BOTH),
    # Ours
    Route(("GET",), "/status", needs=ENTERED),
    Route(("POST",), "/unsaved", body=Body.JSON, needs=PAINT),
    Route(("POST",), "/uploads", body=Body.PICTURE, needs=PAINT),
    Route(_READ, "/uploads/{upload_id}", needs=PAINT),
    Route(("GET",), "/pictures/{job_id}/{index}.png", ("download", "reduced"), needs=PAINT),
    Route(("GET",), "/pictures/{job_id}/{index}.jpg", needs=PAINT),
    Route(("GET",), "/pictures/{job_id}/{index}/original", needs=PAINT),
    Route(("GET",), "/models/preview", ("kind", "name"), needs=ENTERED),
    Route(("POST",), "/prompts/check", body=Body.JSON, needs=PAINT),
    Route(("GET",), "/prompts/completions", ("model",), needs=PAINT),
    Route(("GET",), "/prompts/history", ("search", "favourites", "cursor"), needs=GALLERY),
    Route(("GET",), "/prompts/tags", needs=PAINT),
    Route(("GET",), "/models/downloads", needs=ENTERED),
    Route(("GET",), "/gallery/pictures", (*_FILTERS, "cursor"), needs=GALLERY),
    Route(("GET",), "/gallery/ids", _FILTERS, needs=GALLERY),
    Route(("GET",), "/gallery/choices", needs=GALLERY),
    Route(("GET",), "/gallery/pictures/{picture_id}", needs=GALLERY),
    Route(("GET",), "/gallery/pictures/{picture_id}/file", ("download",), needs=GALLERY),
    Route(("GET",), "/gallery/pictures/{picture_id}/thumbnail", needs=GALLERY),
    Route(("POST",), "/gallery/changes", body=Body.JSON, needs=GALLERY),
    Route(("POST",), "/gallery/bin/empty", body=Body.JSON, needs=GALLERY),
    Route(("POST",), "/gallery/bin/days", body=Body.JSON, needs=GALLERY),
    Route(("POST",), "/gallery/zips", body=Body.JSON, needs=GALLERY),
    Route(("GET",), "/gallery/zips/{name}", needs=GALLERY),
    Route(("POST",), "/gallery/variations", body=Body.JSON, needs=BOTH),
    Route(("GET",), "/gallery/variations/{job_id}", needs=BOTH),
    Route(("POST",), "/gallery/variations/{job_id}/cancel", body=Body.JSON, needs=BOTH),
    Route(("POST",), "/replays", body=Body.JSON, needs=BOTH),
    Route(("POST",), "/replays/continue", body=Body.JSON, needs=BOTH),
    Route(("GET",), "/replays/{run_id}", needs=BOTH),
    Route(("POST",), "/replays/{run_id}/cancel", body=Body.JSON, needs=BOTH),
    Route(("GET",), "/replays/{run_id}/frames/{number}", needs=BOTH),
    Route(("GET",), "/replays/{run_id}/animation", ("format", "fps"), needs=BOTH),
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
