"""Answers of the gallery's routes: records as values for JSON, and errors with their status."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from fastapi import HTTPException
from fastapi.responses import JSONResponse

from paintdiff.errors import (
    GalleryError,
    PictureNotFoundError,
    QueueFullError,
    RequestError,
    VisitorLimitError,
)
from paintdiff.ui.gallery import messages

if TYPE_CHECKING:
    from paintdiff.gallery.records.record import Record

_SHOWN_ELSEWHERE = frozenset(
    {"kind", "version", "prompt", "negative_prompt", "model", "seed", "width", "height"}
)
_WITHOUT_EFFECT = {"num_images": 1, "variation_strength": 0, "clip_skip": 1}
"""Values that say nothing: the settings are those of one picture, as it is without them."""
_MAX_VALUE_CHARACTERS = 400


def summarize(record: Record) -> dict[str, object]:
    """Return what the grid shows of a picture."""
    return {
        "id": record.id,
        "prompt": record.prompt,
        "kind": record.kind,
        "model": record.model,
        "width": record.size.width,
        "height": record.size.height,
        "feedback": record.feedback,
        "favourite": record.favourite,
        "tags": list(record.tags),
        "deleted": record.deleted_at is not None,
    }


def describe(record: Record, file: str) -> dict[str, object]:
    """Return a picture with its settings as (label, value) pairs. `file` is its path as shown."""
    usable = "prompt" in record.params
    return {
        **summarize(record),
        "negative_prompt": record.negative_prompt,
        "created_at": record.created_at.isoformat(),
        "settings": [list(pair) for pair in _list_settings(record, file)],
        "usable": usable,
        "seeded": usable and record.seed is not None,
        "varied": bool(record.params.get("variation_strength")),
    }


def _list_settings(record: Record, file: str) -> Iterator[tuple[str, str]]:
    yield messages.SIZE, messages.times(record.size.width, record.size.height)
    if record.model:
        yield messages.MODEL, record.model
    if record.seed is not None:
        yield messages.SETTINGS["seed"], str(record.seed)
    for name, value in record.params.items():
        is_shown = name not in _SHOWN_ELSEWHERE and _WITHOUT_EFFECT.get(name) != value
        text = _format(value) if is_shown else ""
        if text:
            label = messages.SETTINGS.get(name, name.replace("_", " ").capitalize())
            yield label, text[:_MAX_VALUE_CHARACTERS]
    if record.seconds is not None:
        yield messages.TOOK, messages.seconds(record.seconds)
    if record.device:
        yield messages.DEVICE, record.device
    yield messages.FILE, file


def _format(value: Any) -> str:
    """Return a setting as text; "" for one that is off, or that only a program could read."""
    if value is None or value is False or value in ("", [], {}):
        return ""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        if "sha256" in fields:
            return ""
        parts = ((name, _format(each)) for name, each in fields.items())
        return ", ".join(f"{name.replace('_', ' ')} {text}" for name, text in parts if text)
    if isinstance(value, list):
        return "; ".join(filter(None, map(_format, cast("list[Any]", value))))
    return "on" if value is True else str(value)


def answer_json(content: object) -> JSONResponse:
    """Return an answer that no browser keeps."""
    return JSONResponse(content, headers={"Cache-Control": "no-store"})


@contextmanager
def answer_errors() -> Generator[None]:
    """Answer an error of the gallery with its message and the status that fits.

    Raises:
        HTTPException: There was one.
    """
    try:
        yield
    except PictureNotFoundError as error:
        raise HTTPException(404, messages.NO_SUCH_PICTURE) from error
    except VisitorLimitError as error:
        wait = str(error.retry_after_seconds or 5)
        raise HTTPException(429, str(error), {"Retry-After": wait}) from error
    except QueueFullError as error:
        raise HTTPException(503, str(error), {"Retry-After": "2"}) from error
    except RequestError as error:
        raise HTTPException(400, str(error)) from error
    except GalleryError as error:
        raise HTTPException(503, str(error)) from error
