"""Answers of OpenAI's Images API, and the events of its streams."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel

from paintdiff.api.openai.bodies import ImagesBody
from paintdiff.gallery.files.other_formats import FileFormat, convert_png
from paintdiff.gallery.files.saving import encode_png
from paintdiff.jobs.requests import Grid, Upscale

if TYPE_CHECKING:
    from PIL import Image

    from paintdiff.jobs.events import Finished, Picture

Kind = Literal["image_generation", "image_edit"]


class TokenDetails(BaseModel):
    """The tokens of a request by kind."""

    image_tokens: int
    text_tokens: int


class Usage(BaseModel):
    """The tokens of a request. Its text is counted; pictures have none here."""

    input_tokens: int
    input_tokens_details: TokenDetails
    output_tokens: int
    total_tokens: int

    @classmethod
    def of_text(cls, tokens: int) -> Usage:
        """Return the usage of a prompt."""
        details = TokenDetails(image_tokens=0, text_tokens=tokens)
        return cls(
            input_tokens=tokens,
            input_tokens_details=details,
            output_tokens=0,
            total_tokens=tokens,
        )


class ImageItem(BaseModel):
    """A picture, in base64 or as a link. `id` is the gallery's, "" if it isn't in there."""

    b64_json: str | None = None
    url: str | None = None
    revised_prompt: str | None = None
    id: str
    seed: int | None


class ImagesAnswer(BaseModel):
    """The painted pictures. `id`, `seed` and `warnings` are our own additions."""

    created: int
    data: list[ImageItem]
    background: Literal["opaque"] = "opaque"
    output_format: FileFormat
    quality: Literal["low", "medium", "high"]
    size: str
    usage: Usage
    warnings: list[str]


@dataclass(frozen=True)
class Answering:
    """What all answers to one request have in common. `count` counts its tokens."""

    body: ImagesBody
    kind: Kind
    warnings: tuple[str, ...]
    count: Callable[[], Usage]

    def encode(self, picture: Picture) -> bytes:
        """Return the file of a finished picture in the format that was asked for.

        Raises:
            StorageError: Its file is gone.
        """
        return convert_png(
            encode_png(picture), self.body.output_format, self.body.output_compression
        )

    def describe(
        self, finished: Finished, link: Callable[[int, Picture], str] | None
    ) -> ImagesAnswer:
        """Return the answer with all pictures: as links that `link` makes, or in base64."""
        items = [
            self._describe_item(picture, None if link is None else link(index, picture))
            for index, picture in enumerate(finished.pictures)
        ]
        return ImagesAnswer(
            created=int(time.time()),
            data=items,
            output_format=self.body.output_format,
            quality=self.body.named_quality,
            size=_write_size(finished.pictures),
            usage=self.count(),
            warnings=self._list_warnings(finished),
        )

    def describe_preview(self, preview: Image.Image, index: int) -> dict[str, object]:
        """Return the event with a preview (8-bit RGB)."""
        buffer = io.BytesIO()
        quality = self.body.output_compression
        preview.save(buffer, self.body.output_format.upper(), quality=quality)
        return {
            "type": f"{self.kind}.partial_image",
            "b64_json": _encode(buffer.getvalue()),
            "partial_image_index": index,
            **self._describe_event(f"{preview.width}x{preview.height}"),
        }

    def describe_end(self, finished: Finished) -> Iterator[dict[str, object]]:
        """Yield an event for each finished picture."""
        for picture in finished.pictures:
            yield {
                "type": f"{self.kind}.completed",
                **self._describe_item(picture, None).model_dump(exclude_none=True),
                **self._describe_event(_write_size([picture])),
                "usage": self.count().model_dump(),
                "warnings": self._list_warnings(finished),
            }

    def _describe_event(self, size: str) -> dict[str, object]:
        return {
            "created_at": int(time.time()),
            "background": "opaque",
            "output_format": self.body.output_format,
            "quality": self.body.named_quality,
            "size": size,
        }

    def _describe_item(self, picture: Picture, url: str | None) -> ImageItem:
        request = picture.request
        assert not isinstance(request, (Upscale, Grid))  # nothing else is asked for here
        return ImageItem(
            b64_json=None if url is not None else _encode(self.encode(picture)),
            url=url,
            revised_prompt=None if request.prompt == self.body.prompt else request.prompt,
            id=picture.id,
            seed=request.seed,
        )

    def _list_warnings(self, finished: Finished) -> list[str]:
        notes = (note for each in finished.pictures for note in each.notes)
        return list(dict.fromkeys((*self.warnings, *map(str, finished.warnings), *map(str, notes))))


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _write_size(pictures: Sequence[Picture]) -> str:
    size = pictures[0].size
    return f"{size.width}x{size.height}"
