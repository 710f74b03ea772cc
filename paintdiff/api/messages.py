"""The API's sentences."""

from __future__ import annotations

from collections.abc import Iterable

# The documentation.

API_DESCRIPTION = "Paint pictures over HTTP. Errors are problem details (RFC 9457)."
KEY_DESCRIPTION = "The same key again returns the same job, so that a request can be repeated."
PROBLEM_DESCRIPTION = "A problem. `field` is the field that it is about, if it is about one."
IMAGE_DESCRIPTION = "A PNG, JPEG or WebP file as base64, or as a data: URL."


# Answers.

NO_SUCH_JOB = "There is no such job. Finished jobs are forgotten after a while."
NO_SUCH_PICTURE = "There is no such picture."
JOB_CANCELLED = "The job was cancelled."
CLIENT_LEFT = "The client has disconnected."
KEY_OF_ANOTHER_REQUEST = (
    "This idempotency key belongs to another request. Use a new key for each request."
)
UNREADABLE_JSON = "The body isn't JSON that can be read."


def too_many_values(most: int) -> str:
    return f"The body has more than {most:,} values."


def internal_error(error_id: str) -> str:
    return f"Something unexpected went wrong. The server's log has the details under {error_id}."


def ignored_fields(names: Iterable[str]) -> str:
    return f"These fields have no effect here: {', '.join(names)}."


UNKNOWN_KIND = "kind should be one of: {kinds}"
INIT_IMAGE_NEEDED = "A mask or sketch needs the picture it belongs to. Send it as init_image."
STRENGTH_NEEDS_IMAGE = "strength has an effect only with init_image."
CONTROL_NEEDS_IMAGE = "A ControlNet needs a picture. Send it as control_image."
SCALE_NEEDS_CONTROL = "controlnet_conditioning_scale has an effect only with controlnet_method."
FILE_MISSING = "The picture's file is missing."


def unreadable_last_event(text: str) -> str:
    return f"Last-Event-ID should be a number, not {text!r:.40}."


def time_without_zone(name: str) -> str:
    return f"{name} needs a time zone, as in 2026-12-31T18:00:00Z."


MANAGED_ELSEWHERE = "Only the person who runs this server can download models."
NO_TRAINING = (
    "This version can't train on your ratings yet. They are kept, so rate on: POST /api/feedback."
)
NO_SUCH_DOWNLOAD = "There is no such download. GET /api/models/downloads lists them."
