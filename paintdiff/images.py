"""Pictures in and out: arrays to PIL, files from strangers, and their way to another size."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from paintdiff.errors import RequestError
from paintdiff.geometry import ResizeMode, Size, cropped_to_aspect, padded_to_aspect

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 64_000_000
MAX_FILE_BYTES = 64 * 2**20

MAX_PROFILE_BYTES = 4 * 2**20

_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_GREY = (0, 4)  # the colour types without and with alpha
_ORIENTATION = 0x0112

# What Pillow's decoders raise on damaged files.
_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error, zlib.error)


def image_from_array(pixels: NDArray[np.float32]) -> Image.Image:
    """RGB, 8 bits, from an array (height, width, 3), float, RGB, -1..1; what lies outside is
    clamped, and what is no number is grey.
    """
    levels = np.clip(np.nan_to_num(pixels) * 127.5 + 127.5, 0, 255).round().astype(np.uint8)
    return Image.fromarray(levels)


def opened(source: Path | bytes, field: str = "image") -> Image.Image:
    """A picture from someone we don't trust: its header read, its pixels not yet.

    Raises RequestError, for `field`, if it is no PNG, JPEG or WebP, larger than MAX_FILE_BYTES, of
    more than MAX_PIXELS, or can't be read.
    """
    data = _read(source, field) if isinstance(source, Path) else source
    if len(data) > MAX_FILE_BYTES:
        raise RequestError(f"The picture has more than {MAX_FILE_BYTES // 2**20} MiB.", field=field)
    if data.startswith(_PNG_START):  # before Pillow looks, which only warns
        count = int.from_bytes(data[16:20], "big") * int.from_bytes(data[20:24], "big")
        _check_pixels(count, field)
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:  # its own words name an object in memory
        raise RequestError(
            "This is no PNG, JPEG or WebP. Save the picture as one of these.", field=field
        ) from error
    except _DAMAGED as error:
        raise RequestError(
            f"This is no PNG, JPEG or WebP that can be read: {error}", field=field
        ) from error
    except Image.DecompressionBombError as error:
        raise RequestError(f"The picture is too large: {error}", field=field) from error
    _check_pixels(image.width * image.height, field)
    return image


def decoded(source: Path | bytes, field: str = "image") -> Image.Image:
    """The pixels of a picture from someone we don't trust: RGB, or RGBA if it may be transparent,
    8 bits, turned as its EXIF says; of an animation the first frame.

    Raises RequestError, for `field`, as `opened` does, and if it is damaged or cut off.
    """
    with opened(source, field) as image:
        try:
            return _eight_bits(ImageOps.exif_transpose(image))
        except _DAMAGED as error:
            raise RequestError(
                f"The picture is damaged or cut off: {error}. Save it again and retry.", field=field
            ) from error


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits of grey; Pillow would clip them, not scale them
        levels = np.asarray(image).astype(np.float32) / 257
        return Image.fromarray(levels.round().clip(0, 255).astype(np.uint8)).convert("RGB")
    transparent = image.has_transparency_data
    return image.convert("RGBA" if transparent else "RGB")


def decoded_pixels(
    source: Path | bytes, field: str = "image"
) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], bytes | None]:
    """The pixels of a picture from someone we don't trust as they are: (height, width, channels),
    with 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGB and alpha) channels, uint8, or uint16 of a
    PNG with 16 bits; and the colour profile that says what they mean, if there is one.

    Turned as its EXIF says; of an animation the first frame. Raises RequestError, for `field`, as
    `decoded` does.
    """
    data = _read(source, field) if isinstance(source, Path) else source
    with opened(data, field) as image:
        try:
            profile: object = image.info.get("icc_profile")
            if image.mode == "CMYK":
                profile = None  # it isn't about the RGB that this becomes
            if data.startswith(_PNG_START) and data[24] == 16:
                pixels = _turned(_sixteen_bits(image, data), image.getexif().get(_ORIENTATION, 1))
            else:
                pixels = _as_they_are(ImageOps.exif_transpose(image))
        except _DAMAGED as error:
            raise RequestError(
                f"The picture is damaged or cut off: {error}. Save it again and retry.", field=field
            ) from error
    if isinstance(profile, bytes) and len(profile) <= MAX_PROFILE_BYTES:
        return pixels, profile
    return pixels, None


def _as_they_are(image: Image.Image) -> NDArray[np.uint8]:
    grey = image.mode in ("1", "L", "LA", "La")
    mode = "L" if grey else "RGB"
    pixels = np.asarray(image.convert(mode + "A" if image.has_transparency_data else mode))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _sixteen_bits(image: Image.Image, data: bytes) -> NDArray[np.uint16]:
    """By OpenCV, as Pillow makes 8 bits of them. Raises ValueError if it can't."""
    import cv2  # noqa: PLC0415 (rarely needed)

    image.load()  # what is damaged Pillow tells; OpenCV leaves the rest black
    try:
        read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError(f"its 16 bits can't be read ({error.err})") from error
    if read is None or read.dtype != np.uint16:
        raise ValueError("its 16 bits can't be read")
    pixels = np.asarray(read, np.uint16)
    if pixels.ndim == 2:
        pixels, unseen = pixels[..., None], image.info.get("transparency")
        if isinstance(unseen, int):  # the level that is transparent, which OpenCV leaves out
            alpha = np.where(pixels == unseen, 0, 65535).astype(np.uint16)
            pixels = np.concatenate((pixels, alpha), axis=2)
        return pixels
    grey = data[25] in _PNG_GREY
    if pixels.shape[2] == 4:
        return pixels[..., [0, 3]] if grey else pixels[..., [2, 1, 0, 3]]
    return pixels[..., :1] if grey else pixels[..., ::-1]


def _turned(pixels: NDArray[np.uint16], orientation: int) -> NDArray[np.uint16]:
    """As EXIF's orientation (1 to 8) says."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def size_of(image: Image.Image) -> Size:
    """A picture's size in pixels."""
    return Size(image.width, image.height)


def flattened(image: Image.Image, background: str) -> Image.Image:
    """RGB: the picture (RGB or RGBA) laid on a colour, "#rrggbb"."""
    if image.mode == "RGB":
        return image
    ground = Image.new("RGBA", image.size, background)
    return Image.alpha_composite(ground, image).convert("RGB")


def resized(image: Image.Image, size: Size, mode: ResizeMode, background: str) -> Image.Image:
    """The picture (RGB) at another size, as `geometry.resize_words` says; what a "pad" adds has the
    colour `background`, "#rrggbb".
    """
    target = (size.width, size.height)
    if image.size == target:
        return image
    source = size_of(image)
    if mode == "pad":
        inner = padded_to_aspect(source, size)
        canvas = Image.new("RGB", target, background)
        canvas.paste(_scaled(image, inner.size), inner.corners)
        return canvas
    if mode == "crop":
        image = image.crop(cropped_to_aspect(source, size).corners)
    return _scaled(image, size)


def _scaled(image: Image.Image, size: Size) -> Image.Image:
    return image.resize((size.width, size.height), Image.Resampling.LANCZOS)


def _check_pixels(count: int, field: str) -> None:
    if count > MAX_PIXELS:
        raise RequestError(
            f"The picture has {count:,} pixels; at most {MAX_PIXELS:,} are read.", field=field
        )


def _read(path: Path, field: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise RequestError(f"{path} can't be read: {error.strerror}.", field=field) from error
