"""Pictures: arrays to Pillow, untrusted files, and resizing."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from paintdiff.byte_sizes import format_byte_size
from paintdiff.errors import RequestError
from paintdiff.imaging import messages
from paintdiff.imaging.colour import convert_to_srgb, fits_mode, is_srgb, read_profile
from paintdiff.imaging.geometry import ResizeMode, Size, crop_to_aspect, pad_to_aspect
from paintdiff.imaging.image_files import ImageFile, parse_image_file
from paintdiff.system.regular_files import open_file

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 64_000_000
MAX_FILE_BYTES = 64 * 2**20

_PNG_GREY = (0, 4)  # the colour types without and with alpha
_GREY_MODES = ("L", "LA", "La")
_ON_ITS_SIDE = frozenset({5, 6, 7, 8})
_TURNS: Mapping[int, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF's orientation -> the transposition that turns the picture upright."""

# Exceptions of Pillow's decoders for damaged files.
_DAMAGED = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    SyntaxError,
    EOFError,
    IndexError,
    OverflowError,
    struct.error,
    zlib.error,
)


def make_image(pixels: NDArray[np.float32]) -> Image.Image:
    """Make an 8-bit RGB picture of an array (height, width, 3), float, RGB, -1..1.

    Values outside are clamped; NaN values become grey.
    """
    levels = np.clip(np.nan_to_num(pixels) * 127.5 + 127.5, 0, 255).round().astype(np.uint8)
    return Image.fromarray(levels)


@dataclass(frozen=True)
class Header:
    """The format of a picture file, and Pillow's mode of its pixels.

    `size` is in pixels after EXIF orientation.
    """

    format: str
    mode: str
    size: Size

    @property
    def media_type(self) -> str:
        """Return the format's media type for HTTP."""
        return Image.MIME[self.format]


def read_header(source: Path | bytes, field: str = "image") -> Header:
    """Read the header of an untrusted picture file, without decoding its pixels.

    Raises:
        RequestError: (for `field`) As in `open_image`.
    """
    with open_image(source, field) as (image, file):
        width, height = image.size
        size = Size(height, width) if file.orientation in _ON_ITS_SIDE else Size(width, height)
        return Header(file.format, image.mode, size)


def check_pixels(source: Path | bytes, field: str = "image") -> None:
    """Decode the pixels of an untrusted picture file once, to find damage; they aren't kept.

    Raises:
        RequestError: (for `field`) As in `open_image`.
    """
    with open_image(source, field) as (image, _):
        image.load()


@contextmanager
def open_image(
    source: Path | bytes, field: str = "image"
) -> Generator[tuple[Image.Image, ImageFile]]:
    """Open an untrusted picture file: its header is read, its pixels not yet.

    Yields the picture, whose `info` contains nothing but the coding of its pixels, and the file.
    Damage found within the context raises, too.

    Raises:
        RequestError: (for `field`) It isn't a PNG, JPEG or WebP, is larger than MAX_FILE_BYTES, has
            more
        than MAX_PIXELS, or is damaged.
    """
    file = _parse(source, field)
    if file.format == "PNG":  # before Pillow looks, which only warns
        _check_pixels(_read_png_area(file.pixels), field)
    try:
        with Image.open(io.BytesIO(file.pixels), formats=FORMATS) as image:
            _check_pixels(image.width * image.height, field)
            yield image, file
    except UnidentifiedImageError as error:  # its message names an object in memory
        raise RequestError(messages.NO_PICTURE, field=field) from error
    except Image.DecompressionBombError as error:
        raise RequestError(messages.picture_too_large(error), field=field) from error
    except _DAMAGED as error:
        raise RequestError(messages.damaged_picture(error), field=field) from error


def decode_image(source: Path | bytes, field: str = "image") -> Image.Image:
    """Decode an untrusted picture to 8-bit sRGB: RGB, or RGBA if it may be transparent.

    EXIF orientation is applied; of an animation the first frame is used. Its `info` is empty. A
    colour profile that is damaged or doesn't fit the pixels counts as sRGB, as in browsers.

    Raises:
        RequestError: (for `field`) As in `open_image`.
    """
    with open_image(source, field) as (image, file):
        plain = _convert_to_eight_bits(image)
        shown = convert_to_srgb(plain, read_profile(file, grey=plain.mode in _GREY_MODES))
        method = _TURNS.get(file.orientation)
        return shown if method is None else shown.transpose(method)


def _convert_to_eight_bits(image: Image.Image) -> Image.Image:
    """Convert to 8 bits: L, LA, RGB, RGBA or CMYK."""
    if image.mode.startswith("I"):  # 16 bits of grey; Pillow would clip them, not scale them
        levels = np.asarray(image).astype(np.float32) / 257
        plain = Image.fromarray(levels.round().clip(0, 255).astype(np.uint8))
        unseen = image.info.get("transparency")
        if isinstance(unseen, int):
            seen = np.asarray(image) != unseen
            plain.putalpha(Image.fromarray(seen.astype(np.uint8) * np.uint8(255)))
        return plain
    if image.mode == "CMYK":
        return image
    mode = "L" if image.mode in ("1", *_GREY_MODES) else "RGB"
    return image.convert(mode + "A" if image.has_transparency_data else mode)


def decode_pixels(
    source: Path | bytes, field: str = "image"
) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], bytes | None]:
    """Decode an untrusted picture without converting it: (height, width, channels).

    It has 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGB and alpha) channels, uint8, or uint16 for
    a PNG with 16 bits. Also returns its ICC profile, None for sRGB.

    The profile always fits the pixels: CMYK becomes sRGB, and grey with a profile for colours
    becomes RGB. EXIF orientation is applied; of an animation the first frame is used.

    Raises:
        RequestError: (for `field`) As in `open_image`.
    """
    with open_image(source, field) as (image, file):
        if file.format == "PNG" and file.pixels[24] == 16:
            pixels: NDArray[np.uint8] | NDArray[np.uint16] = _decode_sixteen_bits(
                image, file.pixels
            )
        else:
            plain = _convert_to_eight_bits(image)
            if plain.mode == "CMYK":
                return _turn(
                    np.asarray(convert_to_srgb(plain, file.icc_profile)), file.orientation
                ), None
            pixels = np.asarray(plain)
            pixels = pixels[..., None] if pixels.ndim == 2 else pixels
        profile = read_profile(file, grey=pixels.shape[2] < 3)
        pixels, profile = _fit_profile(pixels, profile)
    return _turn(pixels, file.orientation), profile


def _fit_profile(pixels: NDArray[Any], profile: bytes | None) -> tuple[NDArray[Any], bytes | None]:
    """Return the pixels with a profile that fits them, None if there can't be one."""
    grey = pixels.shape[2] < 3
    if profile is None or fits_mode(profile, "L" if grey else "RGB"):
        return pixels, profile
    if not grey or not fits_mode(profile, "RGB") or is_srgb(profile, "RGB"):
        return pixels, None
    return pixels[..., [0, 0, 0, *range(1, pixels.shape[2])]], profile


def _decode_sixteen_bits(image: Image.Image, data: bytes) -> NDArray[np.uint16]:
    """Decode 16 bits with OpenCV, as Pillow reduces them to 8.

    Raises:
        ValueError: It can't.
    """
    import cv2  # noqa: PLC0415 (rarely needed)

    image.load()  # Pillow reports damage; OpenCV leaves the rest black
    try:
        read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError(messages.unreadable_16_bits(error.err)) from error
    if read is None or read.dtype != np.uint16:
        raise ValueError(messages.UNREADABLE_16_BITS)
    pixels = np.asarray(read, np.uint16)
    if pixels.ndim == 2:
        pixels, unseen = pixels[..., None], image.info.get("transparency")
        if isinstance(unseen, int):  # the transparent level, which OpenCV omits
            alpha = np.where(pixels == unseen, 0, 65535).astype(np.uint16)
            pixels = np.concatenate((pixels, alpha), axis=2)
        return pixels
    grey = data[25] in _PNG_GREY
    if pixels.shape[2] == 4:
        return pixels[..., [0, 3]] if grey else pixels[..., [2, 1, 0, 3]]
    return pixels[..., :1] if grey else pixels[..., ::-1]


def _turn(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Apply EXIF's orientation (1 to 8) to the pixels."""
    if orientation in _ON_ITS_SIDE:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def image_size(image: Image.Image) -> Size:
    """Return a picture's size in pixels."""
    return Size(image.width, image.height)


def flatten_image(image: Image.Image, background: str) -> Image.Image:
    """Lay a picture (RGB or RGBA) on a colour, "#rrggbb"; return RGB."""
    if image.mode == "RGB":
        return image
    ground = Image.new("RGBA", image.size, background)
    return Image.alpha_composite(ground, image).convert("RGB")


def resize_image(image: Image.Image, size: Size, mode: ResizeMode, background: str) -> Image.Image:
    """Fit a picture (RGB) to a size; `geometry.describe_resize` describes the modes.

    A "pad" adds the colour `background`, "#rrggbb".
    """
    target = (size.width, size.height)
    if image.size == target:
        return image
    source = image_size(image)
    if mode == "pad":
        inner = pad_to_aspect(source, size)
        canvas = Image.new("RGB", target, background)
        canvas.paste(_scale(image, inner.size), inner.corners)
        return canvas
    if mode == "crop":
        image = image.crop(crop_to_aspect(source, size).corners)
    return _scale(image, size)


def _scale(image: Image.Image, size: Size) -> Image.Image:
    return image.resize((size.width, size.height), Image.Resampling.LANCZOS)


def _parse(source: Path | bytes, field: str) -> ImageFile:
    data = read_file(source, field) if isinstance(source, Path) else source
    if len(data) > MAX_FILE_BYTES:
        raise RequestError(
            messages.file_too_large(format_byte_size(MAX_FILE_BYTES)),
            field=field,
        )
    file = parse_image_file(data)
    if file is None:
        raise RequestError(messages.NO_PICTURE, field=field)
    return file


def _read_png_area(data: bytes) -> int:
    return int.from_bytes(data[16:20], "big") * int.from_bytes(data[20:24], "big")


def _check_pixels(count: int, field: str) -> None:
    if count > MAX_PIXELS:
        raise RequestError(messages.too_many_pixels(count, MAX_PIXELS), field=field)


def read_file(path: Path, field: str = "image") -> bytes:
    """Read a file up to one byte more than MAX_FILE_BYTES, so that who parses it can refuse it.

    Raises:
        RequestError: (for `field`) It can't be read, or isn't a regular file.
    """
    try:
        with open_file(path) as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise RequestError(messages.unreadable_file(path, error.strerror), field=field) from error


def __getattr__(name: str) -> object:
    if name == "decoded":
        message = "`decoded` was renamed to `decode_image`; the old name goes in version 0.3"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return decode_image
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
