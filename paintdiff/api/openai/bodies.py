"""Requests of OpenAI's Images API, and the requests of the engine that they become."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from PIL import Image, ImageChops
from pydantic import ConfigDict, Field, model_validator

from paintdiff.api import messages
from paintdiff.api.painting import LenientBody, rename_field
from paintdiff.errors import RequestError
from paintdiff.gallery.files.other_formats import FileFormat
from paintdiff.imaging.images import decode_image, read_header
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.requests import MAX_IP_ADAPTERS, Painting, check_painting, parse_request

MAX_PICTURES = 10
MAX_EDITED = 16
_SIZE = re.compile(r"([0-9]{1,6})x([0-9]{1,6})")
_THEIR_MODELS = re.compile(r"(chatgpt-image|dall-e|gpt-image)(-.*)?", re.IGNORECASE)
_QUALITIES = {"low": "fast", "medium": "balanced", "auto": "balanced", "standard": "balanced"}
"""OpenAI's qualities -> our presets; those above are "high"."""
_FIELDS = {"num_images": "n", "width": "size", "height": "size", "images": "image"}
"""A request's field as these bodies call it."""

Quality = Literal["auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"]


class ImagesBody(LenientBody):
    """A request to paint, as OpenAI's clients send it; null is the same as nothing.

    `negative_prompt`, `seed`, `num_inference_steps` and `guidance_scale` are our own: OpenAI's
    package sends them with `extra_body`.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"prompt": "a red sailboat at sunset"}]},
        use_attribute_docstrings=True,
    )

    prompt: str
    model: str = ""
    """A name of /v1/models. OpenAI's own names are accepted for the default model."""
    n: int = Field(default=1, ge=1, le=MAX_PICTURES)
    size: str = "auto"
    """"512x768", or "auto" for the model's own size."""
    quality: Quality = "auto"
    response_format: Literal["b64_json", "url"] = "b64_json"
    output_format: FileFormat = "png"
    output_compression: int = Field(default=100, ge=0, le=100)
    """The quality of a JPEG or WebP, 100 the best."""
    background: Literal["auto", "transparent", "opaque"] = "auto"
    stream: bool = False
    partial_images: int = Field(default=0, ge=0, le=3)
    """How many previews a stream has."""
    negative_prompt: str = ""
    seed: int | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, values: object) -> object:
        if not isinstance(values, Mapping):
            return values
        given = cast("Mapping[str, Any]", values)
        return {name: value for name, value in given.items() if value is not None}

    @property
    def named_quality(self) -> Literal["low", "medium", "high"]:
        """Return the quality that is painted."""
        preset = _QUALITIES.get(self.quality)
        return "high" if preset is None else "low" if preset == "fast" else "medium"

    def list_warnings(self) -> tuple[str, ...]:
        """Return warnings about what has no effect."""
        warnings = list(self.list_ignored())
        if self.background == "transparent":
            warnings.append(messages.NO_TRANSPARENT_BACKGROUND)
        if self.output_format == "png" and "output_compression" in self.model_fields_set:
            warnings.append(messages.PNG_HAS_NO_COMPRESSION)
        if self.partial_images and not self.stream:
            warnings.append(messages.PARTIAL_IMAGES_NEED_STREAM)
        if self.stream and self.response_format == "url":
            warnings.append(messages.STREAMS_HAVE_NO_URL)
        return tuple(warnings)


@dataclass(frozen=True)
class Edited:
    """The files of an edit: the first image is edited, the others are references."""

    images: Sequence[bytes]
    mask: bytes | None = None


@dataclass(frozen=True)
class Wanted:
    """The engine's request for a body, and what to tell the client."""

    request: Painting
    warnings: tuple[str, ...] = field(default=())


def is_their_model(name: str) -> bool:
    """Return whether a name is one of OpenAI's own models."""
    return _THEIR_MODELS.fullmatch(name) is not None


def make_request(
    body: ImagesBody, model: str, edited: Edited | None = None, *, takes_references: bool = False
) -> Wanted:
    """Return the request for a body, for the model of that name.

    `takes_references` is whether the model has an IP-Adapter here for further images.

    Raises:
        RequestError: Something can't be used; its field is the body's own name.
    """
    warnings = list(body.list_warnings())
    if body.model and body.model != model:
        warnings.append(messages.painted_with_another(body.model, model))
    values: dict[str, object] = {
        "prompt": body.prompt,
        "negative_prompt": body.negative_prompt,
        "model": model,
        "quality": _QUALITIES.get(body.quality, "high"),
        "num_images": body.n,
        "seed": body.seed,
        "num_inference_steps": body.num_inference_steps,
        "guidance_scale": body.guidance_scale,
        **_read_size(body.size),
    }
    if edited is not None:
        values |= _list_pictures(edited)
        if edited.mask is not None and body.size != "auto":
            del values["width"], values["height"]
            warnings.append(messages.SIZE_IS_THE_PICTURES)
        others = edited.images[1:]
        used = others[:MAX_IP_ADAPTERS] if takes_references else ()
        values["ip_adapters"] = [{"image": InputImage(data=each)} for each in used]
        if len(used) < len(others):
            warnings.append(messages.unused_references(len(others) - len(used)))
    try:
        return Wanted(check_painting(parse_request(values)), tuple(warnings))
    except RequestError as error:
        raise rename_for_client(error) from error


def rename_for_client(error: RequestError) -> RequestError:
    """Return the error for the body's own name of the field."""
    return rename_field(error, _FIELDS)


def _read_size(text: str) -> dict[str, object]:
    if text == "auto":
        return {}
    match = _SIZE.fullmatch(text)
    if match is None:
        raise RequestError(messages.unreadable_size(text), field="size")
    return {"width": int(match[1]), "height": int(match[2])}


def _list_pictures(edited: Edited) -> dict[str, object]:
    image = InputImage(data=edited.images[0])
    if edited.mask is None:
        return {"kind": "image_to_image", "image": image, "resize_mode": "crop"}
    return {"kind": "inpaint", "image": image, "mask": _read_mask(edited.mask, edited.images[0])}


def _read_mask(mask: bytes, image: bytes) -> InputImage:
    """Return a mask that is white where OpenAI's is transparent."""
    wanted, found = read_header(image, "image").size, read_header(mask, "mask").size
    if wanted != found:
        raise RequestError(messages.mask_of_another_size(found, wanted), field="mask")
    decoded = decode_image(mask, "mask")
    alpha = decoded.getchannel("A") if decoded.mode == "RGBA" else Image.new("L", decoded.size, 255)
    white = ImageChops.invert(alpha)
    if white.getbbox() is None:
        raise RequestError(messages.MASK_WITHOUT_TRANSPARENCY, field="mask")
    return InputImage.from_image(white)
