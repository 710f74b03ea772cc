"""Colour profiles: what goes in and comes out looks the same."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from paintdiff.gallery.files.saving import write_png
from paintdiff.imaging.colour import convert_to_srgb, fits_mode, is_srgb
from paintdiff.imaging.images import decode_image, decode_pixels
from paintdiff.imaging.rasters import Raster
from paintdiff.jobs.events import Picture
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.request_parts import Upscaling
from paintdiff.jobs.requests import Upscale
from tests.colours import ADOBE_RGB, CMYK, DISPLAY_P3, GREY_1_8, LAB, PRO_PHOTO, SRGB, shown
from tests.imaging.test_image_files import chunk, exif, png_with, tag

LEVELS = np.random.default_rng(1).integers(0, 256, (24, 32, 3), dtype=np.uint8)
COLOURS = Image.fromarray(LEVELS)
GREY = COLOURS.convert("L")
INKS = Image.fromarray(np.random.default_rng(2).integers(0, 256, (24, 32, 4), np.uint8), "CMYK")


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    if kind == "WEBP":
        options = {"lossless": True, **options}
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def difference(one: Image.Image, other: Image.Image) -> int:
    return int(np.abs(np.asarray(one).astype(int) - np.asarray(other.convert(one.mode))).max())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("profile", [DISPLAY_P3, ADOBE_RGB, PRO_PHOTO])
def test_wide_gamuts_become_srgb(profile: bytes, kind: str) -> None:
    data = encoded(COLOURS, kind, icc_profile=profile)
    image = decode_image(data)
    assert difference(image, shown(data)) <= 1
    assert difference(image, shown(encoded(COLOURS, kind))) > 10, "it isn't what it was"
    assert image.info == {}


def test_alpha_palettes_and_16_bits_are_converted_too() -> None:
    see_through = COLOURS.copy()
    see_through.putalpha(GREY)
    image = decode_image(encoded(see_through, icc_profile=DISPLAY_P3))
    assert image.mode == "RGBA"
    assert np.array_equal(np.asarray(image.getchannel("A")), np.asarray(GREY))
    assert difference(image.convert("RGB"), convert_to_srgb(COLOURS, DISPLAY_P3)) == 0
    few = COLOURS.quantize(16)
    data = encoded(few, icc_profile=DISPLAY_P3)
    assert difference(decode_image(data), convert_to_srgb(few.convert("RGB"), DISPLAY_P3)) == 0
    levels = Image.fromarray(np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8))
    data = encoded(levels, icc_profile=GREY_1_8)
    eight = Image.fromarray((np.asarray(levels) / 257).round().astype(np.uint8))
    assert difference(decode_image(data), convert_to_srgb(eight, GREY_1_8)) == 0


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_grey_profiles_are_for_grey(kind: str) -> None:
    data = encoded(GREY, kind, icc_profile=GREY_1_8)
    assert difference(decode_image(data), shown(data)) <= 1
    middle = decode_image(encoded(Image.new("L", (8, 8), 100), icc_profile=GREY_1_8)).getpixel(
        (0, 0)
    )
    assert middle == (118, 118, 118) or middle == (119, 119, 119)


def test_cmyk_is_printed_as_its_profile_says() -> None:
    data = encoded(INKS, "JPEG", icc_profile=CMYK, quality=100)
    assert difference(decode_image(data), shown(data)) <= 1
    plain = encoded(INKS, "JPEG", quality=100)
    assert difference(decode_image(data), decode_image(plain)) > 40
    with Image.open(io.BytesIO(plain)) as image:
        assert difference(decode_image(plain), image.convert("RGB")) == 0
    pixels, profile = decode_pixels(data)
    assert profile is None
    assert np.array_equal(pixels, np.asarray(decode_image(data)))


@pytest.mark.parametrize("profile", [SRGB, None])
def test_srgb_keeps_every_pixel(profile: bytes | None) -> None:
    assert np.array_equal(np.asarray(decode_image(encoded(COLOURS, icc_profile=profile))), LEVELS)


BROKEN = [
    DISPLAY_P3[:400],
    DISPLAY_P3[:100],
    b"profile",
    bytes(200),
    DISPLAY_P3[:36] + b"xxxx" + DISPLAY_P3[40:],
    DISPLAY_P3.replace(b"rTRC", b"none"),
    DISPLAY_P3 + bytes(5_000_000),
]


@pytest.mark.parametrize("profile", [*BROKEN, LAB, CMYK, GREY_1_8])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_profile_that_cant_be_used_counts_as_srgb(kind: str, profile: bytes) -> None:
    if kind == "JPEG" and len(profile) > 1_000_000:
        pytest.skip("it doesn't fit into a JPEG of Pillow's")
    data = encoded(COLOURS, kind, icc_profile=profile)
    assert np.array_equal(
        np.asarray(decode_image(data)), np.asarray(decode_image(encoded(COLOURS, kind)))
    )
    assert decode_pixels(data)[1] is None


@pytest.mark.parametrize("profile", [LAB, CMYK, *BROKEN])
def test_grey_and_inks_with_a_wrong_profile(profile: bytes) -> None:
    assert difference(decode_image(encoded(GREY, icc_profile=profile)), GREY.convert("RGB")) == 0
    if profile not in (CMYK, BROKEN[-1]):
        wrong, plain = (encoded(INKS, "JPEG", icc_profile=one) for one in (profile, None))
        assert difference(decode_image(wrong), decode_image(plain)) == 0


def chromaticities(*points: float) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(100_000 * value) for value in points)))


def gamma(value: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(100_000 * value)))


SRGB_POINTS = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
P3_POINTS = (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)


def code_points(primaries: int, transfer: int) -> bytes:
    return chunk(b"cICP", bytes((primaries, transfer, 0, 1)))


@pytest.mark.parametrize(
    ("chunks", "wanted"),
    [
        (chromaticities(*P3_POINTS) + gamma(1 / 2.2), convert_to_srgb(COLOURS, DISPLAY_P3)),
        (chromaticities(*SRGB_POINTS) + gamma(0.45455), COLOURS),
        (gamma(0.45455), COLOURS),
        (chromaticities(*P3_POINTS) + gamma(1 / 2.2) + chunk(b"sRGB", b"\0"), COLOURS),
        (code_points(1, 13) + chromaticities(*P3_POINTS), COLOURS),
        (code_points(99, 99), COLOURS),
        (code_points(12, 4), convert_to_srgb(COLOURS, DISPLAY_P3)),
        (
            code_points(12, 4) + chunk(b"iCCP", b"x\0\0" + zlib.compress(ADOBE_RGB)),
            convert_to_srgb(COLOURS, DISPLAY_P3),
        ),
        (
            chunk(b"iCCP", b"x\0\0" + zlib.compress(ADOBE_RGB)) + chunk(b"gAMA", b"\0\0\xff\xff"),
            convert_to_srgb(COLOURS, ADOBE_RGB),
        ),
    ],
)
def test_what_pngs_say_without_a_profile(chunks: bytes, wanted: Image.Image) -> None:
    assert difference(decode_image(png_with(chunks, image=COLOURS)), wanted) <= 1


def test_linear_light_and_hdr_are_brought_to_srgb() -> None:
    def level(chunks: bytes, value: int, mode: str = "RGB") -> int:
        colour = value if mode == "L" else (value,) * 3
        seen = decode_image(png_with(chunks, image=Image.new(mode, (8, 8), colour))).getpixel(
            (0, 0)
        )
        assert len(set(seen)) == 1, "grey stays grey"
        return seen[0]

    for mode in ("RGB", "L"):
        assert level(gamma(1.0), 55, mode) == pytest.approx(127, abs=2)
        assert level(code_points(1, 8), 55, mode) == pytest.approx(127, abs=2)
        assert level(code_points(9, 16), 148, mode) == pytest.approx(255, abs=10), "203 cd/m²"
        assert level(code_points(9, 16), 255, mode) == 255
        assert level(code_points(9, 18), 191, mode) == pytest.approx(255, abs=10)
        for transfer in (1, 4, 5, 8, 13, 16, 18):
            assert level(code_points(9, transfer), 0, mode) == 0


def test_profiles_are_told_apart() -> None:
    assert [fits_mode(one, "RGB") for one in (SRGB, PRO_PHOTO, GREY_1_8, CMYK, LAB, b"")] == [
        *(True, True),
        *(False, False, False, False),
    ]
    assert [is_srgb(one, "RGB") for one in (SRGB, DISPLAY_P3, GREY_1_8, b"")] == [
        True,
        *(False, False, False),
    ]
    assert not is_srgb(GREY_1_8, "L")


# What is enlarged keeps its bits and its colour space


@pytest.mark.parametrize(
    ("data", "bits", "channels", "profiled"),
    [
        (encoded(COLOURS, icc_profile=DISPLAY_P3), 8, 3, True),
        (encoded(COLOURS, "JPEG", icc_profile=DISPLAY_P3), 8, 3, True),
        (encoded(COLOURS.quantize(8), icc_profile=DISPLAY_P3), 8, 3, True),
        (encoded(GREY, icc_profile=GREY_1_8), 8, 1, True),
        (encoded(GREY, icc_profile=DISPLAY_P3), 8, 3, True),
        (encoded(GREY, icc_profile=SRGB), 8, 1, False),
        (encoded(GREY, icc_profile=CMYK), 8, 1, False),
        (encoded(COLOURS, icc_profile=GREY_1_8), 8, 3, False),
        (encoded(INKS, "JPEG", icc_profile=CMYK), 8, 3, False),
        (png_with(chromaticities(*P3_POINTS) + gamma(0.5), image=COLOURS), 8, 3, True),
        (png_with(gamma(1.0), image=GREY), 8, 1, True),
        (
            encoded(
                Image.fromarray(np.asarray(GREY).astype(np.uint16) * 257), icc_profile=GREY_1_8
            ),
            *(16, 1, True),
        ),
    ],
)
def test_enlarged_pixels_look_as_they_did(
    data: bytes, bits: int, channels: int, profiled: bool, tmp_path: Path
) -> None:
    pixels, profile = decode_pixels(data)
    assert (pixels.itemsize * 8, pixels.shape[2], profile is not None) == (bits, channels, profiled)
    request = Upscale(images=(InputImage(data=data),), upscaling=Upscaling())
    path = write_png(tmp_path / "a.png", Picture.of_raster(Raster.of(pixels, profile), request))
    again = decode_image(path)
    assert difference(again, decode_image(data)) <= 1
    if bits == 8:
        assert difference(again, shown(path.read_bytes())) <= 1, "for others too"


def test_colours_and_orientation_together() -> None:
    data = png_with(
        chunk(b"eXIf", exif(tag("<", 0x112, 3, 1, b"\6\0\0\0"))),
        chunk(b"iCCP", b"x\0\0" + zlib.compress(DISPLAY_P3)),
        image=COLOURS,
    )
    wanted = convert_to_srgb(COLOURS, DISPLAY_P3).transpose(Image.Transpose.ROTATE_270)
    assert difference(decode_image(data), wanted) == 0
