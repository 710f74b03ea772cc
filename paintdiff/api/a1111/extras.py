"""Enlarging pictures, and the settings in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from PIL import Image
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from paintdiff.api.a1111 import messages
from paintdiff.api.a1111.answers import encode_image, encode_picture
from paintdiff.api.a1111.bodies import (
    ExtraBatchImagesBody,
    ExtrasBody,
    ExtraSingleImageBody,
    PngInfoBody,
)
from paintdiff.api.a1111.pictures import read_picture
from paintdiff.api.a1111.routing import make_a1111_router
from paintdiff.api.painting import rename_field
from paintdiff.errors import RequestError, SizeError
from paintdiff.gallery.a1111.names import from_a1111
from paintdiff.gallery.a1111.text import parse_parameters
from paintdiff.gallery.files.saving import encode_png
from paintdiff.gallery.settings.embedded_texts import PARAMETERS_KEY, find_embedded_texts
from paintdiff.gallery.settings.metadata import MAX_TEXT_CHARACTERS
from paintdiff.imaging.geometry import Size, crop_to_aspect
from paintdiff.imaging.images import MAX_PIXELS, decode_image, image_size, open_image, read_header
from paintdiff.jobs.requests import MAX_IMAGES, Upscale
from paintdiff.models.registry.face_restorer_rows import FaceRestorerRow
from paintdiff.server.identities import current_identity

if TYPE_CHECKING:
    from paintdiff.api.a1111.context import A1111Context
    from paintdiff.jobs.events import Picture
    from paintdiff.jobs.input_images import InputImage
    from paintdiff.models.catalog.catalog import Catalog

_NONE = "none"
_TO_SIZE = 1
_SIZE = re.compile(r"(\d{1,6})x(\d{1,6})")


class ExtraSingleImageAnswer(BaseModel):
    """A PNG in base64."""

    image: str | None
    html_info: str
    warnings: list[str]


class ExtraBatchImagesAnswer(BaseModel):
    """PNGs in base64."""

    images: list[str]
    html_info: str
    warnings: list[str]


class PngInfoAnswer(BaseModel):
    """The settings in a picture: the web UI's text, other texts, and the text taken apart."""

    info: str
    items: dict[str, str]
    parameters: dict[str, Any]


def extras_routes(context: A1111Context) -> APIRouter:
    """Return the routes."""
    router = make_a1111_router(context.api)

    @router.post("/sdapi/v1/extra-single-image")
    async def extra_single_image(
        body: ExtraSingleImageBody, client: Request
    ) -> ExtraSingleImageAnswer:
        """Enlarge a picture."""
        picture = read_picture(body.image, "image")
        images, said = await _enlarge(context, body, [picture], client, ("image",))
        image = images[0] if images else None
        return ExtraSingleImageAnswer(image=image, html_info=_write_html(said), warnings=said)

    @router.post("/sdapi/v1/extra-batch-images")
    async def extra_batch_images(
        body: ExtraBatchImagesBody, client: Request
    ) -> ExtraBatchImagesAnswer:
        """Enlarge pictures."""
        names = tuple(f"imageList.{index}.data" for index in range(len(body.image_list)))
        listed = zip(body.image_list, names, strict=True)
        pictures = [read_picture(each.data, name) for each, name in listed]
        images, said = await _enlarge(context, body, pictures, client, names)
        return ExtraBatchImagesAnswer(images=images, html_info=_write_html(said), warnings=said)

    @router.post("/sdapi/v1/png-info")
    def png_info(body: PngInfoBody) -> PngInfoAnswer:
        """Return the settings in a picture."""
        return _read_info(read_picture(body.image, "image"))

    @router.post("/sdapi/v1/interrogate")
    async def interrogate() -> dict[str, str]:
        """Refuse to describe a picture: there is no model for it."""
        raise HTTPException(404, messages.NO_INTERROGATOR)

    return router


async def _enlarge(
    context: A1111Context,
    body: ExtrasBody,
    pictures: list[InputImage],
    client: Request,
    names: tuple[str, ...],
) -> tuple[list[str], list[str]]:
    """Return the larger pictures in base64, and what there is to say about them."""
    if len(pictures) > MAX_IMAGES:
        too_many = messages.too_many_pictures(len(pictures), MAX_IMAGES)
        raise RequestError(too_many, field="imageList")
    jobs, fields = await run_in_threadpool(_plan, body, pictures, context.catalog, names)
    said: dict[str, None] = dict.fromkeys(body.list_ignored())
    images: list[str] = []
    if not jobs:  # nothing is asked for
        images = [await run_in_threadpool(_encode_unchanged, each) for each in pictures]
    for request, target in jobs:
        owner = current_identity.get().owner
        with context.works.begin("extras", owner, "", request.num_images) as work:
            try:
                result = await work.run(request, context.api.submissions, client, saves=False)
            except RequestError as error:
                raise rename_field(error, fields) from error
        said |= result.warnings
        images += await run_in_threadpool(_encode, result.pictures, target)
        if work.interrupted:
            said[messages.INTERRUPTED] = None
            break
    return (images if body.show_extras_results else []), list(said)


def _plan(
    body: ExtrasBody, pictures: list[InputImage], catalog: Catalog, names: tuple[str, ...]
) -> tuple[list[tuple[Upscale, _Target | None]], dict[str, str]]:
    """Return the requests for pictures, each with what to fit its result to; none for no change.

    Also returns what the client calls their fields.

    Raises:
        RequestError: A value can't be used.
    """
    fields = {
        "upscaling.scale": "upscaling_resize",
        "upscaling.upscaler": "upscaler_1",
        "upscaling.face_restorer": "face restorer",
    }
    named = [*names]
    upscaling: dict[str, object] = _find_face_restorer(body, catalog)
    is_plain = body.upscaler_1.strip().casefold() in ("", _NONE)
    if is_plain and not upscaling:
        return [], fields
    if is_plain:
        upscaling["scale"] = 1.0
        targets: list[_Target | None] = []
    else:
        upscaling["upscaler"] = from_a1111(body.upscaler_1)
        targets = [
            _find_target(body, each, name) for each, name in zip(pictures, names, strict=True)
        ]
    try:
        if is_plain or body.resize_mode != _TO_SIZE:
            upscaling.setdefault("scale", body.upscaling_resize)
            fields |= {f"images.{index}": name for index, name in enumerate(named)}
            return [(Upscale.parse({"images": pictures, "upscaling": upscaling}), None)], fields
        fields |= {"images.0": "image", "upscaling.scale": "upscaling_resize_w"}
        requests = [
            Upscale.parse({"images": [each], "upscaling": {**upscaling, "scale": target.scale}})
            for each, target in zip(pictures, targets, strict=True)
            if target is not None
        ]
    except RequestError as error:
        raise rename_field(error, fields) from error
    return list(zip(requests, targets, strict=True)), fields


@dataclass(frozen=True)
class _Target:
    """The size of a result, in pixels: it is enlarged by `scale`, and then fitted to it."""

    scale: float
    size: Size


def _find_target(body: ExtrasBody, picture: InputImage, field: str) -> _Target | None:
    if body.resize_mode != _TO_SIZE:
        return None
    assert picture.data is not None
    source = read_header(picture.data, field).size
    width, height = body.upscaling_resize_w, body.upscaling_resize_h
    scale = max(width / source.width, height / source.height)
    size = Size(width, height)
    if not body.upscaling_crop:
        size = Size(max(1, round(source.width * scale)), max(1, round(source.height * scale)))
    if size.area > MAX_PIXELS:
        too_large = messages.result_too_large(size, MAX_PIXELS)
        raise SizeError(too_large, field="upscaling_resize_w")
    return _Target(max(1.0, scale), size)


def _find_face_restorer(body: ExtrasBody, catalog: Catalog) -> dict[str, object]:
    """Return the fields of a face restorer that is asked for, {} without one."""
    for name in ("codeformer", "gfpgan"):
        strength: float = getattr(body, f"{name}_visibility")
        if not strength:
            continue
        rows = [row.name for row in catalog.rows(FaceRestorerRow) if name in row.name.casefold()]
        if not rows:
            raise RequestError(messages.no_face_restorer(name), field=f"{name}_visibility")
        return {"face_restorer": rows[0], "face_strength": strength}
    return {}


def _encode(pictures: list[Picture], target: _Target | None) -> list[str]:
    if target is None:
        return [encode_picture(each) for each in pictures]
    return [_encode_fitted(each, target.size) for each in pictures]


def _encode_fitted(picture: Picture, size: Size) -> str:
    """Return a picture in a size: in base64, cropped to its proportions."""
    if picture.size == size:
        return encode_picture(picture)
    image = decode_image(encode_png(picture))
    box = crop_to_aspect(image_size(image), size)
    fitted = image.crop(box.corners).resize((size.width, size.height), Image.Resampling.LANCZOS)
    return encode_image(fitted)


def _encode_unchanged(picture: InputImage) -> str:
    assert picture.data is not None
    return encode_image(decode_image(picture.data))


def _write_html(said: list[str]) -> str:
    return "".join(f"<p>{escape(each)}</p>" for each in said)


def _read_info(picture: InputImage) -> PngInfoAnswer:
    assert picture.data is not None
    with open_image(picture.data) as (_image, file):
        texts = find_embedded_texts(file)
    short = {name: text for name, text in texts.items() if len(text) <= MAX_TEXT_CHARACTERS}
    info = short.pop(PARAMETERS_KEY, "")
    return PngInfoAnswer(info=info, items=short, parameters=_take_apart(info) if info else {})


def _take_apart(info: str) -> dict[str, Any]:
    """Return the settings in the web UI's text under its names; sizes are two numbers."""
    found = parse_parameters(info)
    parameters: dict[str, Any] = {
        "Prompt": found.prompt,
        "Negative prompt": found.negative_prompt,
    }
    for name, value in found.settings.items():
        size = _SIZE.fullmatch(value)
        if size is None:
            parameters[name] = value
        else:
            parameters |= {f"{name}-1": int(size[1]), f"{name}-2": int(size[2])}
    return parameters
