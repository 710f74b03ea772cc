"""Variations of a picture: the request that paints them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from paintdiff.errors import RequestError
from paintdiff.gallery import messages
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.requests import (
    Grid,
    ImageToImage,
    Painting,
    PaintingRequest,
    Request,
    Upscale,
    parse_request,
)

if TYPE_CHECKING:
    from paintdiff.gallery.gallery import Gallery
    from paintdiff.gallery.records.record import Record

MAX_VARIATIONS = 16
_OTHER = frozenset(
    {"version", "width", "height", "seed", "num_images", "variation_seed", "variation_strength"}
)
_OTHER_PARTS = frozenset({"controls", "upscaling"})


@dataclass(frozen=True)
class Wish:
    """Variations `of` a picture's seed (other noise) or of its pixels (image to image).

    `strength` is how much they differ from it, above 0 to 1; `count` is 1 to MAX_VARIATIONS.
    """

    of: Literal["seed", "picture"]
    strength: float
    count: int


@dataclass(frozen=True)
class KnownModels:
    """The names of the models in the catalog, and the one for pictures of other models."""

    names: Collection[str]
    default: str


def make_variations(gallery: Gallery, record: Record, wish: Wish, models: KnownModels) -> Request:
    """Return the request of a picture's variations.

    Raises:
        RequestError: Its settings aren't known, or can't be used, or its file is missing.
        InputMissingError: An input image of it is missing.
    """
    if wish.of == "picture":
        return _vary_picture(gallery, record, wish, models)
    request = _load_painting(gallery, record)
    if request is None or request.seed is None:
        raise RequestError(messages.NO_SEED_TO_VARY, field="of")
    changes = {
        "num_images": wish.count,
        "variation_seed": None,
        "variation_strength": wish.strength,
    }
    return parse_request({**request.model_dump(), **changes})


def _load_painting(gallery: Gallery, record: Record) -> Painting | None:
    if "prompt" not in record.params:
        return None
    request = gallery.load_request(record)
    return None if isinstance(request, (Upscale, Grid)) else request


def _vary_picture(
    gallery: Gallery, record: Record, wish: Wish, models: KnownModels
) -> ImageToImage:
    """Return an image-to-image request with the picture's own settings.

    Without its model they wouldn't fit, so only the prompts are used then.
    """
    painting = _load_painting(gallery, record)
    fields: dict[str, object] = {
        "prompt": record.prompt,
        "negative_prompt": record.negative_prompt,
        "model": models.default,
    }
    if painting is not None and painting.model in models.names:
        names = PaintingRequest.model_fields.keys() - _OTHER - _OTHER_PARTS
        fields |= painting.model_dump(include=set(names))
    path = gallery.path_of(record.file)
    if not path.is_file():
        raise RequestError(messages.FILE_OF_PICTURE_MISSING, field="id")
    return ImageToImage.parse(
        {
            **fields,
            "image": InputImage.from_file(path),
            "strength": wish.strength,
            "num_images": wish.count,
        }
    )
