"""The API's sentences."""

from __future__ import annotations

from collections.abc import Iterable

# The documentation.

API_DESCRIPTION = "Paint pictures over HTTP. Errors are problem details (RFC 9457)."
KEY_DESCRIPTION = "The same key again returns the same job, so that a request can be repeated."
PROBLEM_DESCRIPTION = "A problem. `field` is the field that it is about, if it is about one."
IMAGE_DESCRIPTION = (
    "A PNG, JPEG or WebP file as base64, as a data: URL, or with --allow-urls as an http(s) URL."
)

OPENAI_ERROR_DESCRIPTION = "An error. `param` is the field that it is about, if it is about one."
EDITED_IMAGE = "The picture to change: a PNG, JPEG or WebP file."
EDITED_IMAGES = "The picture to change, then others as references."
EDIT_MASK = "A picture of the same size that is transparent where the first one is to change."


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


JOB_FAILED = "Something unexpected went wrong. The server's log has the details."


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


MANAGED_ELSEWHERE = "Only the person who runs this server can download models."
NO_TRAINING = (
    "This version can't train on your ratings yet. They are kept, so rate on: POST /api/feedback."
)
NO_SUCH_DOWNLOAD = "There is no such download. GET /api/models/downloads lists them."


NOT_A_FORM = "The body should be a form with files: multipart/form-data."


def unreadable_form(reason: object) -> str:
    return f"The form can't be read: {str(reason).rstrip('.')}."


# OpenAI's API.

NO_TRANSPARENT_BACKGROUND = "Pictures here are opaque, so background has no effect."
PNG_HAS_NO_COMPRESSION = "A PNG is always lossless, so output_compression has no effect."
PARTIAL_IMAGES_NEED_STREAM = "partial_images has an effect only with stream."
STREAMS_HAVE_NO_URL = "A stream sends pictures as b64_json, so response_format has no effect."
SIZE_IS_THE_PICTURES = "With a mask the result has the picture's own size, so size has no effect."
MASK_WITHOUT_TRANSPARENCY = (
    "The mask has no transparent part. Make it transparent where the picture is to change."
)
IMAGE_NEEDED = "An edit needs a picture. Send it as the file image."
SEND_AS_FILE = "This is a text. Send the picture as a file of the form."
ONE_MASK = "There are several masks. Send one, for the first image."
NO_SUCH_LINK = "There is no such picture: the link isn't complete, or the server was restarted."
LINK_EXPIRED = "This link has expired: links work for an hour. Find the picture in the gallery."


def painted_with_another(name: str, model: str) -> str:
    return f"There is no {name!r:.60} here. The model is {model}."


def unreadable_size(text: str) -> str:
    return f"size should be a width and a height, such as 512x768, or auto, not {text!r:.40}."


def too_many_images(count: int, most: int) -> str:
    return f"There are {count} images; at most {most} can be sent."


def mask_of_another_size(mask: object, image: object) -> str:
    return f"The mask is {mask}, the picture {image}. Send a mask of the picture's size."


def unused_references(count: int) -> str:
    if count == 1:
        return "The last image has no effect: the first is edited, and no IP-Adapter takes it."
    return f"The last {count} images have no effect: the first is edited, no IP-Adapter takes them."
