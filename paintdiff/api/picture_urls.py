"""URLs in place of pictures: fetched before the body is read, if the server may fetch at all."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from starlette.exceptions import HTTPException

from paintdiff.errors import RequestError
from paintdiff.server import messages
from paintdiff.server.url_fetcher import MAX_BYTES

if TYPE_CHECKING:
    from paintdiff.server.url_fetcher import UrlFetcher

MAX_URLS = 8
PICTURE_FIELDS = frozenset(
    {
        *("data", "image", "images", "init_image", "init_images", "input_image", "mask"),
        *("control_image", "sketch"),
    }
)
"""Fields of bodies, of any dialect, that are a picture or a list of pictures."""


class BodyError(HTTPException):
    """A body can't be used because of one of its fields."""

    def __init__(self, status: int, detail: str, field: str) -> None:
        super().__init__(status, detail)
        self.field = field


def fetch_pictures(body: Any, fetcher: UrlFetcher | None) -> None:
    """Replace each URL of a picture in a parsed body by its file in base64. Blocks.

    Raises:
        BodyError: There are URLs and no `fetcher`, too many of them, or one can't be fetched.
    """
    rest = MAX_BYTES
    for number, (holder, key, field) in enumerate(list(_find_urls(body, "", is_picture=False)), 1):
        if fetcher is None:
            raise BodyError(422, messages.URLS_OFF, field)
        if number > MAX_URLS:
            raise BodyError(422, messages.too_many_urls(MAX_URLS), field)
        try:
            data = fetcher.fetch(holder[key], rest)
        except RequestError as error:
            raise BodyError(422, str(error), field) from error
        rest -= len(data)
        holder[key] = base64.b64encode(data).decode("ascii")


def _find_urls(value: Any, place: str, *, is_picture: bool) -> Iterator[tuple[Any, Any, str]]:
    """Yield the objects and lists in a body that have a URL as a picture, with its key and name."""
    if isinstance(value, dict):
        entries: list[tuple[Any, Any]] = list(cast("dict[str, Any]", value).items())
    elif isinstance(value, list):
        entries = list(enumerate(cast("list[Any]", value)))
    else:
        return
    for key, each in entries:
        name = f"{place}.{key}" if place else str(key)
        pictures = key in PICTURE_FIELDS if isinstance(value, dict) else is_picture
        if not isinstance(each, str):
            yield from _find_urls(each, name, is_picture=pictures)
        elif pictures and each[:8].lower().startswith(("http://", "https://")):
            yield value, key, name
