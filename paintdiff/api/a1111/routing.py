"""The web UI's form of errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from paintdiff.api.a1111 import messages
from paintdiff.api.problems import make_refusal
from paintdiff.api.routing import make_router

if TYPE_CHECKING:
    from fastapi import APIRouter

    from paintdiff.api.context import ApiContext
    from paintdiff.server.problems import Refusal

TAG = "A1111 web UI"
_ERROR = "HTTPException"
"""What the web UI calls an error that it raises on purpose."""


class A1111Error(BaseModel):
    """An error: `detail` and `errors` are a sentence, or a list for fields of a wrong type."""

    error: str = _ERROR
    detail: str | list[dict[str, Any]]
    body: str = ""
    errors: str = ""
    field: str | None = None


DOCUMENTED: dict[str, Any] = {
    "description": messages.ERROR_DESCRIPTION,
    "content": {"application/json": {"schema": A1111Error.model_json_schema()}},
}
"""The documentation of all answers but the good one."""


def make_a1111_router(context: ApiContext) -> APIRouter:
    """Return an empty router whose routes answer errors as the web UI does."""
    return make_router(context, TAG, _describe, DOCUMENTED)


def shape_for_a1111(refusal: Refusal) -> Response:
    """Return the response to a refused request: our sentence where its clients look for one."""
    content = {
        "error": _ERROR,
        "detail": refusal.detail,
        "body": "",
        "errors": refusal.detail,
        **refusal.more,
    }
    return JSONResponse(content, refusal.status, refusal.headers)


def _describe(error: Exception, context: ApiContext) -> Response:
    refusal = make_refusal(error, context)
    if not isinstance(error, RequestValidationError):
        return shape_for_a1111(refusal)
    # As in the web UI, these are FastAPI's own.
    faults: list[dict[str, Any]] = [
        {"type": each["type"], "loc": each["loc"], "msg": each["msg"]} for each in error.errors()
    ]
    faults[0]["msg"] = refusal.detail
    return JSONResponse({"detail": faults[:_MOST_FAULTS], **refusal.more}, refusal.status)


_MOST_FAULTS = 20
