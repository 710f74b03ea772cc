"""Refusals: why a request isn't served, as problem details (RFC 9457) or as a client expects it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.responses import JSONResponse, Response
from starlette.types import Scope

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Refusal:
    """Why a request isn't served: an HTTP status, and a sentence for people.

    `headers` are the response's, such as Retry-After; `more` are further members of the problem,
    such as the field that it is about.
    """

    status: int
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, object] = field(default_factory=dict)


ErrorShape = Callable[[Refusal], Response]
"""Makes the response to a refused request."""


def shape_as_problem(refusal: Refusal) -> Response:
    """Return the problem of a refusal."""
    return make_problem(refusal.status, refusal.detail, refusal.headers, **refusal.more)


@dataclass(frozen=True)
class ErrorShapes:
    """The form of refusals: problem details, unless the path belongs to another dialect.

    A dialect whose clients expect errors in another form has a row in `shapes`: the beginning of
    its paths, and a function that makes the response. The longest beginning counts. For example:

        def shape_for_openai(refusal: Refusal) -> Response:
            error = {"message": refusal.detail, "type": "invalid_request_error"}
            return JSONResponse({"error": error}, refusal.status, refusal.headers)

        ErrorShapes({"/v1/": shape_for_openai})

    Pass on `refusal.status` and `refusal.headers`: they tell a client to sign in, or when to come
    back. What the guard refuses, and what `access` refuses, goes through here: a wrong host,
    another site's page, a missing or wrong key, a missing scope, bodies, unknown routes.
    Errors of the routes themselves don't: see `make_router` in `paintdiff/api/routing.py`.

    `root_path` is the path that a reverse proxy puts in front, "" if none.
    """

    shapes: Mapping[str, ErrorShape] = field(default_factory=dict)
    root_path: str = ""

    def respond(self, refusal: Refusal, scope: Scope) -> Response:
        """Return the response to a request of that scope."""
        path = strip_root_path(self.root_path, str(scope.get("path", "")))
        fitting = [each for each in self.shapes if path.startswith(each)]
        shape = self.shapes[max(fitting, key=len)] if fitting else shape_as_problem
        return shape(refusal)


def strip_root_path(root_path: str, path: str) -> str:
    """Return a path below the root path, if a reverse proxy didn't strip that."""
    inside = root_path and path.startswith(f"{root_path}/")
    return path[len(root_path) :] if inside else path


def make_problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None, **more: object
) -> JSONResponse:
    """Return an error response: `detail` is a message for people, `more` further members."""
    content = {
        "type": "about:blank",
        "title": _find_title(status),
        "status": status,
        "detail": detail,
        **more,
    }
    return JSONResponse(content, status, headers, media_type=MEDIA_TYPE)


def _find_title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
