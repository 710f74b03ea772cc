"""Pictures in the web UI's requests: read, and fitted as its inpainting expects them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from paintdiff.api.a1111 import messages
from paintdiff.errors import RequestError
from paintdiff.imaging.geometry import Size, check_size
from paintdiff.imaging.images import decode_image, flatten_image, image_size, resize_image
from paintdiff.imaging.masks import make_mask
from paintdiff.jobs.input_images import InputImage

if TYPE_CHECKING:
    from PIL import Image

    from paintdiff.imaging.geometry import ResizeMode

_ADDRESSES = ("http://", "https://", "file://", "ftp://")
_WHITE, _BLACK = "#ffffff", "#000000"


def read_picture(text: str, field: str) -> InputImage:
    """Return the picture in a text: base64, also over several lines, or a data: URL.

    Its bytes aren't decoded here.

    Raises:
        RequestError: (for `field`) It is empty, an address, or not base64.
    """
    plain = text.strip()
    if not plain:
        raise RequestError(messages.IMAGE_NEEDED, field=field)
    if plain[:10].casefold().startswith(_ADDRESSES):
        raise RequestError(messages.ADDRESS_NOT_ALLOWED, field=field)
    try:
        return InputImage.model_validate({"data": "".join(plain.split())})
    except ValidationError as error:
        reason = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise RequestError(f"{field}: {reason}.", field=field) from None


def fit_for_inpainting(
    picture: InputImage, mask: InputImage, size: Size | None, mode: ResizeMode
) -> tuple[InputImage, InputImage, tuple[str, ...]]:
    """Return a picture and its mask in one size, and warnings about what was changed.

    With a `size` both are fitted to it by `mode`; without one the mask is resized to the picture's
    size, unless it has that.

    Raises:
        RequestError: (for "init_images", "mask", "width" or "height") One can't be used.
    """
    image = _decode(picture, "init_images")
    drawn = _decode(mask, "mask")
    source, given = image_size(image), image_size(drawn)
    said = () if given == source else (messages.mask_resized(given, source),)
    target = size or source
    check_size(target)
    if target == source and not said:
        return picture, mask, ()
    levels = make_mask(drawn).convert("RGB")
    if said:
        levels = resize_image(levels, source, "stretch", _BLACK)
    fitted = resize_image(levels, target, mode, _BLACK).convert("L")
    kept = picture
    if target != source:
        kept = InputImage.from_image(
            resize_image(flatten_image(image, _WHITE), target, mode, _WHITE)
        )
    return kept, InputImage.from_image(fitted), said


def _decode(picture: InputImage, field: str) -> Image.Image:
    assert picture.data is not None
    return decode_image(picture.data, field)
