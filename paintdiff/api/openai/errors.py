"""Errors in OpenAI's form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from paintdiff.api import messages
from paintdiff.api.problems import make_refusal
from paintdiff.server.problems import Refusal

if TYPE_CHECKING:
    from paintdiff.api.context import ApiContext

_STATUSES = {
    409: 400,  # which means "try again" to OpenAI's clients, but a cancelled job stays cancelled
    422: 400,
}
"""Our statuses -> OpenAI's."""
_CODES = {401: "invalid_api_key", 404: "not_found", 429: "rate_limit_exceeded"}
_TRY_AGAIN = (429, 503)


class OpenAiError(BaseModel):
    """An error. `param` is the field that it is about, None if it is about none."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAiErrorAnswer(BaseModel):
    """The answer to a request that failed."""

    error: OpenAiError


DOCUMENTED: dict[str, Any] = {
    "description": messages.OPENAI_ERROR_DESCRIPTION,
    "content": {"application/json": {"schema": OpenAiErrorAnswer.model_json_schema()}},
}
"""The documentation of all answers but the good one."""


def shape_for_openai(refusal: Refusal) -> Response:
    """Return the response to a refused request."""
    status = _STATUSES.get(refusal.status, refusal.status)
    headers = dict(refusal.headers)
    if status >= 500 and status not in _TRY_AGAIN:  # else the client repeats it twice
        headers["x-should-retry"] = "false"
    return JSONResponse(make_error(refusal).model_dump(), status, headers)


def make_error(refusal: Refusal) -> OpenAiErrorAnswer:
    """Return an error's content."""
    field, code = refusal.more.get("field"), refusal.more.get("code")
    return OpenAiErrorAnswer(
        error=OpenAiError(
            message=refusal.detail,
            type=_name_type(refusal.status),
            param=None if field is None else str(field),
            code=_CODES.get(refusal.status) if code is None else str(code),
        )
    )


class UnknownModelError(Exception):
    """There is no model of that name."""


def describe_openai_error(error: Exception, context: ApiContext) -> Response:
    """Return the response to a request that failed."""
    if isinstance(error, UnknownModelError):
        more = {"field": "model", "code": "model_not_found"}
        return shape_for_openai(Refusal(404, str(error), more=more))
    return shape_for_openai(make_refusal(error, context))


def _name_type(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return "server_error" if status >= 500 else "invalid_request_error"
