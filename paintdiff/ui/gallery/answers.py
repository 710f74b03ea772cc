"""Answers of the gallery's routes: records as values for JSON, and errors with their status."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

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
from paintdiff.ui.gallery.setting_list import list_settings

if TYPE_CHECKING:
    from paintdiff.gallery.records.record import Record
    from paintdiff.ui.common.setting_words import SettingWords


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


def describe(record: Record, file: str, words: SettingWords) -> dict[str, object]:
    """Return a picture with its settings. `file` is its path as shown."""
    usable = "prompt" in record.params
    return {
        **summarize(record),
        "negative_prompt": record.negative_prompt,
        "created_at": record.created_at.isoformat(),
        "settings": [list(pair) for pair in list_settings(record, file, words)],
        "usable": usable,
        "seeded": usable and record.seed is not None,
        "varied": bool(record.params.get("variation_strength")),
    }


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
