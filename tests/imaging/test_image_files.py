"""Files whose metadata is broken: it never costs the picture."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from paintdiff.errors import RequestError
from paintdiff.imaging.geometry import Size
from paintdiff.imaging.image_files import MAX_TEXT_BYTES, parse_image_file
from paintdiff.imaging.images import decode_image, decode_pixels, read_header

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 16, 3), dtype=np.uint8)
PICTURE = Image.fromarray(PIXELS)


def encoded(kind: str = "PNG", image: Image.Image = PICTURE, **options: object) -> bytes:
    buffer = io.BytesIO()
    if kind == "WEBP":
        options = {"lossless": True, "exact": True, **options}
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes, *, right_sum: bool = True) -> bytes:
    sum_ = zlib.crc32(kind + data) ^ (not right_sum)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", sum_)


def png_with(*chunks: bytes, image: Image.Image = PICTURE) -> bytes:
    """With chunks before the pixels."""
    data = encoded(image=image)
    return data[:33] + b"".join(chunks) + data[33:]


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def jpeg_with(*segments: bytes) -> bytes:
    data = encoded("JPEG")
    return data[:2] + b"".join(segments) + data[2:]


def webp_with(*chunks: tuple[bytes, bytes], flags: int = 0) -> bytes:
    simple = encoded("WEBP")[12:]
    header = struct.pack("<I", flags) + (15).to_bytes(3, "little") + (7).to_bytes(3, "little")
    parts = [(b"VP8X", header), *chunks]
    body = b"".join(
        kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for kind, data in parts
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body) + len(simple)) + b"WEBP" + body + simple


def tag(order: str, number: int, kind: int, count: int, value: bytes) -> bytes:
    return struct.pack(order + "HHI", number, kind, count) + value


def exif(orientation: bytes, *others: bytes, order: str = "<") -> bytes:
    """EXIF data with one directory."""
    start = b"II*\0\x08\0\0\0" if order == "<" else b"MM\0*\0\0\0\x08"
    entries = [*others, orientation] if orientation else list(others)
    return start + struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)


ON_ITS_SIDE = tag("<", 0x112, 3, 1, b"\6\0\0\0")
RESOLUTION_AS_TEXT = tag("<", 0x11A, 2, 3, b"72\0\0")
UNKNOWN_TYPE = tag("<", 0x100, 99, 1, b"\0\0\0\0")
FAR_AWAY = tag("<", 0x10F, 2, 4000, b"\xff\xff\xff\x7f")
HUGE_COUNT = tag("<", 0x10F, 5, 2**32 - 1, b"\xff\xff\xff\xff")


@pytest.mark.parametrize(
    ("data", "turned"),
    [
        (exif(ON_ITS_SIDE, RESOLUTION_AS_TEXT), True),
        (exif(ON_ITS_SIDE, UNKNOWN_TYPE, FAR_AWAY, HUGE_COUNT), True),
        (exif(tag(">", 0x112, 3, 1, b"\0\6\0\0"), order=">"), True),
        (exif(tag("<", 0x112, 4, 1, b"\6\0\0\0")), True),
        (exif(tag("<", 0x112, 1, 1, b"\6\0\0\0")), True),
        (exif(tag("<", 0x112, 2, 2, b"6\0\0\0")), False),
        (exif(tag("<", 0x112, 3, 1, b"\x63\0\0\0")), False),
        (exif(tag("<", 0x112, 3, 0, b"\6\0\0\0")), False),
        (exif(tag("<", 0x112, 3, 9000, b"\6\0\0\0")), False),
        (exif(ON_ITS_SIDE)[:15], False),
        (b"II*\0\xff\xff\xff\xff", False),
        (b"II*\0\x08\0\0\0\xff\xff", False),
        (b"b'Exif\\x00\\x00MM'", False),
        (b"", False),
    ],
)
def test_the_orientation_is_read_whatever_else_there_is(data: bytes, turned: bool) -> None:
    files = (
        png_with(chunk(b"eXIf", data)),
        jpeg_with(segment(0xE1, b"Exif\0\0" + data)),
        webp_with((b"EXIF", data), flags=0x08),
        webp_with((b"EXIF", b"Exif\0\0" + data), flags=0x08),
    )
    size = (8, 16) if turned else (16, 8)
    for file in files:
        assert decode_image(file).size == size
        assert read_header(file).size == Size(*size)
        assert decode_pixels(file)[0].shape[:2] == size[::-1]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_eight_orientations_turn_alike(orientation: int) -> None:
    """Against Pillow's own way."""
    file = png_with(chunk(b"eXIf", exif(tag("<", 0x112, 3, 1, bytes([orientation, 0, 0, 0])))))
    method = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(orientation)
    wanted = np.asarray(PICTURE if method is None else PICTURE.transpose(method))
    assert np.array_equal(np.asarray(decode_image(file)), wanted)
    assert np.array_equal(decode_pixels(file)[0], wanted)


PACKED = zlib.compress(bytes(3_000_000))


@pytest.mark.parametrize(
    "chunks",
    [
        chunk(b"tEXt", b"parameters\0a cat", right_sum=False),
        chunk(b"iCCP", b"x\0\0" + zlib.compress(b"profile"), right_sum=False),
        chunk(b"tRNS", bytes(6), right_sum=False),
        chunk(b"zTXt", b"parameters\0\7unknown"),
        chunk(b"zTXt", b"Raw profile type xmp\0\0" + PACKED),
        chunk(b"zTXt", b"parameters\0\0not compressed"),
        chunk(b"iTXt", b"a\0\1\0\0\0" + PACKED) * 70,
        chunk(b"iTXt", b"a\0\1\7\0\0" + PACKED),
        chunk(b"iTXt", b"\xff\0"),
        chunk(b"iTXt", b""),
        chunk(b"tEXt", b""),
        chunk(b"iCCP", b""),
        chunk(b"iCCP", b"x\0\7unknown"),
        chunk(b"iCCP", b"x\0\0" + PACKED),
        chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(50_000_000))),
        chunk(b"cHRM", bytes(3)),
        chunk(b"cHRM", bytes(32)),
        chunk(b"gAMA", bytes(4)),
        chunk(b"gAMA", b"\xff" * 4),
        chunk(b"gAMA", b""),
        chunk(b"sRGB", b""),
        chunk(b"cICP", b"\xff" * 4),
        chunk(b"pHYs", b"\0"),
        chunk(b"acTL", b"\0\0"),
        chunk(b"acTL", struct.pack(">II", 2, 0)) * 2,
        chunk(b"fcTL", bytes(5)),
        chunk(b"tRNS", bytes(3)),
        chunk(b"tRNS", b""),
        chunk(b"tIME", b""),
        chunk(b"teSt", bytes(100_000)),
    ],
)
@pytest.mark.filterwarnings("error")
def test_ancillary_chunks_never_cost_a_png(chunks: bytes) -> None:
    file = png_with(chunks)
    assert np.array_equal(np.asarray(decode_image(file).convert("RGB")), PIXELS)
    assert np.array_equal(decode_pixels(file)[0][..., :3], PIXELS)
    after = encoded()[:-12] + chunks + encoded()[-12:]
    assert np.array_equal(np.asarray(decode_image(after).convert("RGB")), PIXELS)


@pytest.mark.parametrize(
    "segments",
    [
        segment(0xE0, b"JFIF\0"),
        segment(0xE1, b"Exif\0\0garbage"),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<"),
        segment(0xE2, b"ICC_PROFILE\0\1\5part"),
        segment(0xE2, b"ICC_PROFILE\0"),
        segment(0xE2, b"ICC_PROFILE\0\0\0" + bytes(60_000)) * 90,
        segment(0xE2, b"MPF\0II*\0\x08\0\0\0\xff\xff"),
        segment(0xE2, b"FPXR\0"),
        segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed\0\0\xff\xff\xff\xff"),
        segment(0xEE, b"Adobe"),
        segment(0xEF, bytes(65_000)) * 4,
        segment(0xFE, b"\xff" * 100),
        b"\xff\xff\xff" + segment(0xFE, b""),
    ],
)
def test_application_segments_never_cost_a_jpeg(segments: bytes) -> None:
    with Image.open(io.BytesIO(encoded("JPEG"))) as image:
        wanted = np.asarray(image)
    assert np.array_equal(np.asarray(decode_image(jpeg_with(segments))), wanted)
    assert np.array_equal(decode_pixels(jpeg_with(segments))[0], wanted)
    assert read_header(jpeg_with(segments)).format == "JPEG"


@pytest.mark.parametrize(
    ("chunks", "flags"),
    [
        ([(b"ICCP", b"garbage"), (b"EXIF", b"more"), (b"XMP ", b"<")], 0x2C),
        ([], 0x2C),
        ([(b"ICCP", b"x")], 0),
        ([(b"????", bytes(101))], 0),
    ],
)
def test_other_chunks_never_cost_a_webp(chunks: list[tuple[bytes, bytes]], flags: int) -> None:
    assert np.array_equal(np.asarray(decode_image(webp_with(*chunks, flags=flags))), PIXELS)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_what_is_behind_the_picture_may_be_cut_off(kind: str) -> None:
    wanted = np.asarray(decode_image(encoded(kind)))
    trailing = {
        "PNG": encoded()[:-12] + chunk(b"tEXt", b"parameters\0a cat")[:15],
        "JPEG": encoded("JPEG") + b"\0\0\0 ftypmp42 and a video" * 50,
        "WEBP": encoded("WEBP") + b"EXIF\xff\xff\0\0II*",
    }[kind]
    assert np.array_equal(np.asarray(decode_image(trailing)), wanted)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_damaged_files_are_read_or_refused_in_words(kind: str) -> None:
    """Nothing else comes out, whatever is wrong; and damage in metadata is never noticed."""
    dice = random.Random(kind)
    info = PngInfo()
    info.add_text("parameters", "a cat", zip=True)
    options = {"pnginfo": info, "exif": exif(ON_ITS_SIDE)} if kind == "PNG" else {}
    if kind != "PNG":
        options = {"exif": b"Exif\0\0" + exif(ON_ITS_SIDE), "icc_profile": bytes(200)}
    whole = encoded(kind, **options)
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(dice.choice((1, 2, 8))):
            data[dice.randrange(12, len(data))] = dice.randrange(256)
        damaged = bytes(data[: dice.choice((len(data), dice.randrange(len(data))))])
        for read in (decode_image, decode_pixels, read_header):
            try:
                read(damaged)
            except RequestError as error:
                assert str(error)
        file = parse_image_file(damaged)
        assert file is None or isinstance(file.texts(), dict)


def test_a_palette_keeps_its_transparency_where_that_fits() -> None:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((1, 0), 1)
    data = encoded(image=image)
    at = data.index(b"IDAT") - 4
    fits, too_long = (data[:at] + chunk(b"tRNS", alpha) + data[at:] for alpha in (b"\0", bytes(9)))
    assert decode_image(fits).mode == "RGBA"
    assert decode_image(fits).getpixel((0, 0))[3] == 0
    assert decode_image(too_long).mode == "RGB"


@pytest.mark.parametrize(
    ("chunks", "text"),
    [
        (chunk(b"tEXt", b"a\0caf\xe9"), "café"),
        (chunk(b"tEXt", "a\0café".encode()), "café"),
        (chunk(b"zTXt", b"a\0\0" + zlib.compress("山".encode())), "山"),
        (chunk(b"iTXt", "a\0\0\0en\0a\0山".encode()), "山"),
        (chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress("山".encode())), "山"),
        (chunk(b"tEXt", b"a\0one") + chunk(b"tEXt", b"a\0two"), "one"),
        (chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(MAX_TEXT_BYTES + 1))), None),
        (chunk(b"tEXt", b"a\0one", right_sum=False), None),
        (chunk(b"zTXt", b"a\0\7one"), None),
    ],
)
def test_texts_are_read_before_and_behind_the_pixels(chunks: bytes, text: str | None) -> None:
    behind = encoded()[:-12] + chunks + encoded()[-12:]
    for data in (png_with(chunks), behind):
        file = parse_image_file(data)
        assert file is not None
        assert file.texts().get("a") == text


@pytest.mark.parametrize("make", [png_with, jpeg_with])
def test_nothing_but_the_pixels_goes_to_the_decoder(make: Callable[..., bytes]) -> None:
    extra = chunk(b"tEXt", b"secret\0secret") if make is png_with else segment(0xFE, b"secret")
    file = parse_image_file(make(extra))
    assert file is not None
    assert b"secret" not in file.pixels
    assert file.pixels == (encoded() if make is png_with else encoded("JPEG"))


def test_many_texts_that_grow_are_not_all_read() -> None:
    """Each of a few kilobytes, each four megabytes long."""
    grown = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(MAX_TEXT_BYTES + 1)))
    file = parse_image_file(png_with(grown * 500, chunk(b"tEXt", b"b\0text")))
    assert file is not None
    assert file.texts() == {}, "nor is what comes after them"
