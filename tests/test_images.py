from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from paintdiff.errors import RequestError
from paintdiff.images import MAX_FILE_BYTES, MAX_PIXELS, image_from_array, opened


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
    image = image_from_array(pixels)
    assert (image.mode, image.size) == ("RGB", (3, 2))
    assert image.getpixel((2, 0)) == (255, 128, 255)
    assert image.getpixel((0, 1)) == (0, 0, 0)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_the_formats_we_read(kind: str, tmp_path: Path) -> None:
    data = encoded(Image.new("RGB", (5, 4), "red"), kind)
    path = tmp_path / "misleading.txt"
    path.write_bytes(data)
    assert opened(data).size == opened(path).size == (5, 4)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF"])
def test_other_formats_are_refused(kind: str) -> None:
    with pytest.raises(RequestError, match="no PNG, JPEG or WebP") as caught:
        opened(encoded(Image.new("RGB", (5, 4)), kind))
    assert caught.value.field == "image"


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n" + bytes(50)]
)
def test_rubbish_is_refused(data: bytes) -> None:
    with pytest.raises(RequestError):
        opened(data)


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    with pytest.raises(RequestError, match="pixels"):
        opened(bomb(60_000, 60_000))
    with pytest.raises(RequestError, match="pixels"):
        opened(bomb(MAX_PIXELS // 1000 + 1, 1000))
    assert opened(bomb(1000, 1000)).size == (1000, 1000)


def test_too_large_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(RequestError, match="MiB"):
        opened(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"nothing\.png"):
        opened(tmp_path / "nothing.png")
