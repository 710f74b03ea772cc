from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from paintdiff.errors import RequestError
from paintdiff.imaging import images
from paintdiff.imaging.geometry import Size
from paintdiff.imaging.images import (
    MAX_FILE_BYTES,
    MAX_PIXELS,
    Header,
    decode_image,
    flatten_image,
    make_image,
    read_header,
    resize_image,
)


def encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind)
    return buffer.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of few bytes that claims that size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def test_an_array_becomes_a_picture_the_right_way_up() -> None:
    pixels = np.full((2, 3, 3), -1.0, dtype=np.float32)
    pixels[0, 2] = (1.0, 0.0, 9.0)
    image = make_image(pixels)
    assert (image.mode, image.size) == ("RGB", (3, 2))
    assert image.getpixel((2, 0)) == (255, 128, 255)
    assert image.getpixel((0, 1)) == (0, 0, 0)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_the_formats_we_read(kind: str, tmp_path: Path) -> None:
    data = encoded(Image.new("RGB", (5, 4), "red"), kind)
    path = tmp_path / "misleading.txt"
    path.write_bytes(data)
    assert read_header(data) == read_header(path) == Header(kind, "RGB", Size(5, 4))


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF"])
def test_other_formats_are_refused(kind: str) -> None:
    with pytest.raises(RequestError, match="Use PNG, JPEG or WebP") as caught:
        read_header(encoded(Image.new("RGB", (5, 4)), kind))
    assert caught.value.field == "image"


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n" + bytes(50)]
)
def test_rubbish_is_refused(data: bytes) -> None:
    with pytest.raises(RequestError):
        read_header(data)


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    with pytest.raises(RequestError, match="pixels"):
        read_header(bomb(60_000, 60_000))
    with pytest.raises(RequestError, match="pixels"):
        read_header(bomb(MAX_PIXELS // 1000 + 1, 1000))
    assert read_header(bomb(1000, 1000)).size == Size(1000, 1000)


def test_too_large_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(RequestError, match="MiB"):
        read_header(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"nothing\.png"):
        read_header(tmp_path / "nothing.png")


# Decoding what strangers send


def test_grey_of_16_bits_is_scaled_and_not_clipped() -> None:
    levels = np.array([[0, 257, 32_768, 65_535]], dtype=np.uint16)
    image = decode_image(encoded(Image.fromarray(levels), "PNG"))
    assert image.mode == "RGB"
    assert np.asarray(image)[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize(
    ("image", "kind", "mode", "colour"),
    [
        (Image.new("1", (3, 2), 1), "PNG", "RGB", (255, 255, 255)),
        (Image.new("L", (3, 2), 77), "PNG", "RGB", (77, 77, 77)),
        (Image.new("L", (3, 2), 77), "JPEG", "RGB", (77, 77, 77)),
        (Image.new("LA", (3, 2), (77, 9)), "PNG", "RGBA", (77, 77, 77, 9)),
        (Image.new("RGB", (3, 2), (1, 2, 3)).quantize(4), "PNG", "RGB", (1, 2, 3)),
        (Image.new("CMYK", (3, 2), (0, 255, 255, 0)), "JPEG", "RGB", (254, 0, 0)),
        (Image.new("RGBA", (3, 2), (1, 2, 3, 4)), "PNG", "RGBA", (1, 2, 3, 4)),
    ],
)
def test_every_kind_of_pixels_becomes_rgb_or_rgba(
    image: Image.Image, kind: str, mode: str, colour: tuple[int, ...]
) -> None:
    found = decode_image(encoded(image, kind))
    assert (found.mode, found.size) == (mode, (3, 2))
    assert np.abs(np.subtract(found.getpixel((1, 1)), colour)).max() <= 2


def test_a_palette_with_a_transparent_colour_is_transparent() -> None:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((1, 0), 1)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", transparency=0)
    found = decode_image(buffer.getvalue())
    assert found.getpixel((0, 0))[3] == 0
    assert found.getpixel((1, 0)) == (0, 255, 0, 255)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "lime", "blue")]
    buffer = io.BytesIO()
    lossless = {"lossless": True} if kind == "WEBP" else {}
    frames[0].save(buffer, format=kind, save_all=True, append_images=frames[1:], **lossless)
    assert decode_image(buffer.getvalue()).convert("RGB").getpixel((2, 2)) == (255, 0, 0)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_exif_turns_the_picture(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side: turn by 90 degrees, clockwise
    image = Image.new("RGB", (32, 16), "black")
    image.paste("white", (0, 0, 16, 16))
    buffer = io.BytesIO()
    image.save(buffer, format=kind, exif=exif)
    found = decode_image(buffer.getvalue())
    assert found.size == (16, 32)
    assert found.getpixel((8, 4))[0] > 240
    assert found.getpixel((8, 28))[0] < 15
    assert decode_image(encoded(image, kind)).size == (32, 16)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_file_cut_off_is_refused_in_words(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    assert decode_image(data).size == (64, 64)
    with pytest.raises(RequestError, match=r"cut off|can be read") as caught:
        decode_image(data[: len(data) // 2], "mask")
    assert caught.value.field == "mask"


def test_alpha_is_flattened_on_a_colour() -> None:
    image = Image.new("RGBA", (1, 1), (255, 0, 0, 128))
    assert flatten_image(image, "#0000ff").getpixel((0, 0)) == (128, 0, 127)
    assert flatten_image(image, "#ffffff").getpixel((0, 0)) == (255, 127, 127)


def test_the_resize_modes_differ_as_they_say() -> None:
    image = Image.new("RGB", (64, 32), "lime")
    image.paste("red", (0, 0, 16, 32))
    size = Size(32, 32)
    stretched, cropped, padded = (
        resize_image(image, size, mode, "#0000ff") for mode in ("stretch", "crop", "pad")
    )
    assert {one.size for one in (stretched, cropped, padded)} == {(32, 32)}
    assert stretched.getpixel((2, 2))[0] > 200, "the red is still there"
    assert cropped.getpixel((2, 2)) == (0, 255, 0), "it was cut off"
    assert padded.getpixel((2, 2)) == (0, 0, 255)
    assert padded.getpixel((2, 16))[0] > 200
    for mode in ("stretch", "crop", "pad"):
        assert resize_image(Image.new("RGB", (1, 1), "red"), size, mode, "#000000").size == (32, 32)
        assert resize_image(image, Size(64, 32), mode, "#000000").tobytes() == image.tobytes()


def test_the_old_name_of_decode_image_still_works_and_says_so() -> None:
    with pytest.warns(DeprecationWarning, match="decode_image"):
        assert images.decoded is images.decode_image
    with pytest.raises(AttributeError, match="nothing"):
        assert images.nothing
