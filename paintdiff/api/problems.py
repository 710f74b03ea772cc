"""What went wrong: with the page's messages and the field that it is about, as problem details."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, cast

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from paintdiff.api import messages
from paintdiff.api.picture_urls import BodyError
from paintdiff.error_reports import report_error
from paintdiff.errors import (
    DiskSpaceError,
    EngineClosedError,
    GalleryFullError,
    GalleryUnavailableError,
    GatedModelError,
    HubUnavailableError,
    InputMissingError,
    JobCancelledError,
    JobNotFoundError,
    MemoryBudgetError,
    PaintError,
    PictureNotFoundError,
    QueueFullError,
    RequestError,
    StorageError,
    VisitorLimitError,
)
from paintdiff.jobs.invalid_values import describe_invalid
from paintdiff.jobs.requests import REQUEST_KINDS
from paintdiff.server.problems import Refusal, shape_as_problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails
    from starlette.responses import Response

    from paintdiff.api.context import ApiContext

logger = logging.getLogger(__name__)

_STATUSES: Mapping[type[PaintError], int] = {
    RequestError: 422,
    QueueFullError: 429,
    JobNotFoundError: 404,
    PictureNotFoundError: 404,
    InputMissingError: 422,
    JobCancelledError: 409,
    GatedModelError: 403,
    EngineClosedError: 503,
    HubUnavailableError: 503,
    GalleryUnavailableError: 503,
    MemoryBudgetError: 507,
    DiskSpaceError: 507,
    GalleryFullError: 507,
    StorageError: 507,
}
"""The status of each error; the nearest of its classes counts, and 500 if none is here."""


class Problem(BaseModel):
    """An error (RFC 9457), as the documentation shows it."""

    type: str
    title: str
    status: int
    detail: str
    field: str | None = None


_DEFAULT_WAIT_SECONDS = 5
UNKNOWN_KIND = "unknown_kind"
"""The type of a validation error: a request's `kind` isn't known."""


def describe_error(error: Exception, context: ApiContext) -> Response:
    """Return the response to a request that failed: problem details."""
    return shape_as_problem(make_refusal(error, context))


def make_refusal(error: Exception, context: ApiContext) -> Refusal:
    """Return what there is to say about a request that failed, whatever the dialect.

    `more` has the `field` that it is about, where there is one. What wasn't expected is logged.
    """
    match error:
        case RequestValidationError():
            return _describe_invalid(error.errors()[0])
        case BodyError():
            return Refusal(error.status_code, error.detail, more={"field": error.field})
        case HTTPException():
            return Refusal(error.status_code, error.detail, error.headers or {})
        case QueueFullError():
            known = error.retry_after_seconds if isinstance(error, VisitorLimitError) else None
            wait = known or _estimate_wait(context)
            headers = {"Retry-After": str(wait)}
            return Refusal(429, str(error), headers, {"expected_wait_seconds": wait})
        case PaintError():
            return describe_failure(error)
        case _:
            error_id = report_error(logger, "a request to the API failed", error)
            detail = messages.internal_error(error_id)
            return Refusal(500, detail, more={"error_id": error_id})


def describe_failure(error: Exception) -> Refusal:
    """Return what there is to say about a job's error. The engine has logged an unexpected one."""
    if not isinstance(error, PaintError):
        return Refusal(500, messages.JOB_FAILED)
    field = error.field if isinstance(error, RequestError) else None
    return Refusal(_find_status(error), str(error), more={} if field is None else {"field": field})


def _find_status(error: PaintError) -> int:
    known = (_STATUSES[each] for each in type(error).__mro__ if each in _STATUSES)
    return next(known, 500)


def _describe_invalid(first: Mapping[str, Any]) -> Refusal:
    if first["type"] == UNKNOWN_KIND:
        return Refusal(422, f"{first['msg']}.", more={"field": "kind"})
    place, *names = map(str, first["loc"])
    if place == "body" and names and names[0] in REQUEST_KINDS:  # the kind isn't a field
        del names[0]
    field = ".".join(names) or place
    reason = describe_invalid(cast("ErrorDetails", first))
    return Refusal(422, f"{field}: {reason}.", more={"field": field})


def _estimate_wait(context: ApiContext) -> int:
    """Return about how many seconds it takes until the next place in the queue is free."""
    seconds = context.engine.status().seconds_per_job
    return _DEFAULT_WAIT_SECONDS if seconds is None else max(1, math.ceil(seconds))
