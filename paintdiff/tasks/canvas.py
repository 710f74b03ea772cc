"""The canvas of an inpainting request: its picture, mask, sketch and outpainting combined."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageChops

import paintdiff.tasks.messages as messages
from paintdiff.errors import RequestError, SizeError
from paintdiff.imaging.geometry import Box, Size
from paintdiff.imaging.images import MAX_PIXELS, flatten_image, image_size
from paintdiff.imaging.masks import (
    draw_strokes,
    find_box,
    grow_canvas,
    make_mask,
    mask_weights,
    place_mask,
)
from paintdiff.jobs.requests import Inpaint
from paintdiff.tasks.decoded_inputs import DecodedInputs


@dataclass(frozen=True)
class Canvas:
    """The layers of a canvas. All have the size of the result, in pixels.

    `original` (RGB) stays where `weight` (L, the blurred mask) is 0; `content` (RGB) is the same
    with the sketch's strokes. `mask` (L) is the drawn mask and what outpainting has added; `added`
    (L) is the latter alone, `strokes` (L) is where the sketch has colour; these two are None
    without outpainting or a sketch. `reach` is the box around everything that may change. `blank`
    means that the picture has a single colour and a sketch, but no mask: all of it is painted,
    guided by the strokes.
    """

    original: Image.Image
    content: Image.Image
    mask: Image.Image
    weight: Image.Image
    added: Image.Image | None
    strokes: Image.Image | None
    reach: Box
    blank: bool = False

    @property
    def size(self) -> Size:
        """Size in pixels."""
        return image_size(self.original)

    @property
    def covered(self) -> bool:
        """Return whether every pixel may change."""
        return self.weight.getextrema()[0] != 0


def prepare_canvas(request: Inpaint, inputs: DecodedInputs) -> Canvas:
    """Return the request's canvas.

    Raises RequestError, with the field in `field`, for a picture that can't be read, a mask or
    sketch of another size, a mask that is empty, and a canvas grown too large.
    """
    picture = flatten_image(inputs.decode(request.image, "image"), request.background)
    source = image_size(picture)
    sketch = _decode_sketch(request, source, inputs)
    strokes = sketch.getchannel("A") if sketch is not None else None
    drawn = _decode_mask(request, source, inputs)
    blank = strokes is not None and request.mask is None and _has_one_colour(picture)
    if blank:
        drawn = Image.new("L", (source.width, source.height), 255)
    if strokes is not None:
        drawn = ImageChops.lighter(drawn, strokes)
    content = draw_strokes(picture, sketch) if sketch is not None else picture
    added: Image.Image | None = None
    if request.outpaint:
        inner, size = _grow(request, source)
        picture, content = (grow_canvas(image, inner, size) for image in (picture, content))
        drawn = place_mask(drawn, inner, size)
        strokes = place_mask(strokes, inner, size) if strokes is not None else None
        inside = Image.new("L", (source.width, source.height), 255)
        added = ImageChops.invert(place_mask(inside, inner, size))
    weight = mask_weights(drawn, request.mask_blur_px, added)
    mask = ImageChops.lighter(drawn, added) if added is not None else drawn
    reach = _find_reach(mask, weight, request.mask_blur_px)
    return Canvas(picture, content, mask, weight, added, strokes, reach, blank)


def _has_one_colour(picture: Image.Image) -> bool:
    return all(low == high for low, high in (band.getextrema() for band in picture.split()))


def _decode_sketch(request: Inpaint, source: Size, inputs: DecodedInputs) -> Image.Image | None:
    if request.sketch is None:
        return None
    sketch = inputs.decode(request.sketch, "sketch").convert("RGBA")
    _check_size(sketch, source, "sketch")
    return sketch


def _decode_mask(request: Inpaint, source: Size, inputs: DecodedInputs) -> Image.Image:
    if request.mask is None:
        if request.invert_mask:
            raise RequestError(messages.NOTHING_TO_INVERT, field="invert_mask")
        return Image.new("L", (source.width, source.height), 0)
    mask = make_mask(inputs.decode(request.mask, "mask"))
    _check_size(mask, source, "mask")
    return ImageChops.invert(mask) if request.invert_mask else mask


def _check_size(drawn: Image.Image, source: Size, field: str) -> None:
    size = image_size(drawn)
    if size != source:
        raise RequestError(
            messages.sizes_differ(field, size, source),
            field=field,
        )


def _grow(request: Inpaint, source: Size) -> tuple[Box, Size]:
    """Return where the picture lies on the canvas, and the canvas's size."""
    by = request.outpaint
    size = Size(by.left + source.width + by.right, by.top + source.height + by.bottom)
    if size.area > MAX_PIXELS:
        raise SizeError(
            messages.canvas_too_large(size, size.area, MAX_PIXELS),
            field="outpaint",
        )
    return Box(by.left, by.top, by.left + source.width, by.top + source.height), size


def _find_reach(mask: Image.Image, weight: Image.Image, mask_blur_px: float) -> Box:
    """Return the box around everything that may change. Raises RequestError if it is empty."""
    if find_box(mask) is None:
        raise RequestError(
            messages.EMPTY_MASK,
            field="mask",
        )
    reach = find_box(weight)
    if reach is None:
        raise RequestError(
            messages.mask_too_faint(mask_blur_px),
            field="mask_blur_px",
        )
    return reach
