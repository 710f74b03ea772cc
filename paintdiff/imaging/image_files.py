"""Parses image files: what the pixels need, and their metadata.

A decoder only ever sees `ImageFile.pixels`. Cameras and other programs write broken EXIF data,
wrong checksums and huge texts; none of these loses the picture.

PNG Specification, third edition, W3C 2025; ITU-T T.81 (JPEG); RFC 9649 (WebP); CIPA DC-008 (Exif).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

MAX_PROFILE_BYTES = 4 * 2**20
MAX_TEXT_BYTES = 4 * 2**20
"""Limit of one decompressed text. A longer one is skipped."""
MAX_TEXTS_BYTES = 16 * 2**20

MAKE, IMAGE_DESCRIPTION, USER_COMMENT = 0x010F, 0x010E, 0x9286
"""EXIF tags that hold text."""

_PNG_START = b"\x89PNG\r\n\x1a\n"
_JPEG_START = b"\xff\xd8\xff"
_PNG_PIXELS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_PNG_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_WEBP_PIXELS = frozenset({b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"})
_WEBP_METADATA_FLAGS = 0x20 | 0x08 | 0x04  # ICC profile, EXIF, XMP
_JFIF, _EXIF, _ICC, _ADOBE = b"JFIF\0", b"Exif\0\0", b"ICC_PROFILE\0", b"Adobe"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_LEAST_JFIF_BYTES, _LEAST_ADOBE_BYTES = 14, 12
_ORIENTATION, _EXIF_POINTER = 0x0112, 0x8769
_INTEGERS = {1: "B", 3: "H", 4: "I"}
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_MAX_EXIF_ENTRIES = 1000


@dataclass(frozen=True)
class ColourChunks:
    """The colour description of a PNG without an ICC profile, as far as given.

    `cicp` is (primaries, transfer function), code points of ITU-T H.273. `chromaticities` are x and
    y of white, red, green and blue.
    """

    cicp: tuple[int, int] | None = None
    srgb: bool = False
    gamma: float | None = None
    chromaticities: tuple[float, ...] | None = None


@dataclass(frozen=True)
class ImageFile:
    """A parsed file. `pixels` is a file of the same format without metadata.

    `icc_profile` is the unchecked ICC profile. `exif` begins with its byte order mark. `texts` are
    a PNG's keywords and texts in file order, without those that are damaged, too long or compressed
    in an unknown way. `comment` is a JPEG's.
    """

    format: Literal["PNG", "JPEG", "WEBP"]
    pixels: bytes
    icc_profile: bytes | None = None
    exif: bytes = b""
    xmp: bytes = b""
    comment: bytes = b""
    colours: ColourChunks = ColourChunks()
    text_chunks: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def orientation(self) -> int:
        """Return EXIF's orientation, 1 to 8; 1 if it is missing or invalid."""
        found = _read_exif_entry(self.exif, _ORIENTATION)
        kind, value = found if found is not None else (0, b"")
        code = _INTEGERS.get(kind)
        if code is None or len(value) < struct.calcsize(code):
            return 1
        (number,) = struct.unpack_from(_read_byte_order(self.exif) + code, value)
        return int(number) if 1 <= number <= 8 else 1

    def texts(self) -> dict[str, str]:
        """Return a PNG's texts by keyword; of several with one keyword the first.

        Texts after MAX_TEXTS_BYTES are skipped.
        """
        texts: dict[str, str] = {}
        read_bytes = 0
        for kind, data in self.text_chunks:
            if read_bytes > MAX_TEXTS_BYTES:
                break
            found = _parse_png_text(kind, data)
            if found is None:
                read_bytes += MAX_TEXT_BYTES  # the most that can have been decompressed
            else:
                texts.setdefault(*found)
                read_bytes += len(found[1])
        return texts

    def exif_text(self, tag: int) -> bytes:
        """Return the bytes of one of EXIF's texts, b"" if it is missing."""
        pointer = _EXIF_POINTER if tag == USER_COMMENT else None
        found = _read_exif_entry(self.exif, tag, pointer)
        return b"" if found is None else found[1]

    @property
    def exif_byte_order(self) -> Literal["<", ">"]:
        """Return the byte order of the EXIF data, as `struct` writes it."""
        return _read_byte_order(self.exif)


def parse_image_file(data: bytes) -> ImageFile | None:
    """Parse a file by its first bytes; None if it isn't a PNG, JPEG or WebP.

    After an invalid place the rest is left to the decoder unchanged.
    """
    if data.startswith(_PNG_START):
        return _parse_png(data)
    if data.startswith(_JPEG_START):
        return _parse_jpeg(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _parse_webp(data)
    return None


# PNG


def _parse_png(data: bytes) -> ImageFile:
    kept: list[bytes | memoryview] = [_PNG_START]
    said: dict[bytes, bytes] = {}
    texts: list[tuple[bytes, bytes]] = []
    view, offset = memoryview(data), len(_PNG_START)
    while offset + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, offset)
        end = offset + 12 + length
        ancillary = kind.isalpha() and kind[:1].islower()
        if end > len(data) or not kind.isalpha():
            if not ancillary:
                kept.append(view[offset:])
            break
        if not ancillary:
            kept.append(view[offset:end])
        elif zlib.crc32(view[offset + 4 : end - 4]) == int.from_bytes(view[end - 4 : end], "big"):
            body = bytes(view[offset + 8 : end - 4])
            if kind in _PNG_TEXTS:
                texts.append((kind, body))
            elif kind == b"tRNS" and _is_transparency(body, data[25], kept):
                kept.append(view[offset:end])
            said.setdefault(kind, body)
        offset = end
        if kind == b"IEND":
            break
    return ImageFile(
        "PNG",
        b"".join(kept),
        icc_profile=_decompress_profile(said.get(b"iCCP", b"")),
        exif=_strip_exif_prefix(said.get(b"eXIf", b"")),
        colours=_parse_colours(said),
        text_chunks=tuple(texts),
    )


def _is_transparency(body: bytes, colour_type: int, kept: list[bytes | memoryview]) -> bool:
    """Return whether a tRNS chunk can be used; an unfit one breaks the decoder."""
    if colour_type == 3:
        palette = next((chunk for chunk in kept if bytes(chunk[4:8]) == b"PLTE"), b"")
        return 0 < len(body) <= (len(palette) - 12) // 3
    return len(body) == {0: 2, 2: 6}.get(colour_type, 0) > 0


def _parse_colours(said: dict[bytes, bytes]) -> ColourChunks:
    cicp, gamma, points = (said.get(kind, b"") for kind in (b"cICP", b"gAMA", b"cHRM"))
    usable_cicp = len(cicp) == 4 and cicp[2:] == b"\0\1"  # RGB in its full range
    return ColourChunks(
        cicp=(cicp[0], cicp[1]) if usable_cicp else None,
        srgb=len(said.get(b"sRGB", b"")) == 1,
        gamma=int.from_bytes(gamma, "big") / 100_000 if len(gamma) == 4 else None,
        chromaticities=tuple(value / 100_000 for value in struct.unpack(">8I", points))
        if len(points) == 32
        else None,
    )


def _decompress_profile(data: bytes) -> bytes | None:
    _name, _, packed = data.partition(b"\0")
    return _decompress(packed[1:], MAX_PROFILE_BYTES) if packed[:1] == b"\0" else None


def _decompress(packed: bytes, most: int) -> bytes | None:
    """Decompress data; None if it is damaged or longer than `most` bytes."""
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(packed, most + 1)
    except zlib.error:
        return None
    return data if len(data) <= most else None


def _parse_png_text(kind: bytes, data: bytes) -> tuple[str, str] | None:
    """Return the keyword and the text of a text chunk, None if the text can't be read."""
    key, _, rest = data.partition(b"\0")
    text: bytes | None = rest
    if kind == b"zTXt":
        text = _decompress(rest[1:], MAX_TEXT_BYTES) if rest[:1] == b"\0" else None
    elif kind == b"iTXt":
        parts = rest[2:].split(b"\0", 2)
        text = parts[2] if len(parts) == 3 else None
        if text is not None and rest[:1] == b"\1":
            text = _decompress(text, MAX_TEXT_BYTES) if rest[1:2] == b"\0" else None
    if text is None or len(text) > MAX_TEXT_BYTES:
        return None
    try:
        # tEXt should be Latin-1, but many programs write UTF-8.
        words = text.decode("utf-8")
    except UnicodeDecodeError:
        words = text.decode("utf-8" if kind == b"iTXt" else "latin-1", "replace")
    return key.decode("latin-1"), words


# JPEG


def _parse_jpeg(data: bytes) -> ImageFile:
    kept: list[bytes | memoryview] = [data[:2]]
    exif, xmp, comment = b"", b"", b""
    profile_parts: list[tuple[int, int, bytes]] = []
    view, end = memoryview(data), 2
    for offset, marker, body in _split_jpeg(data):
        end = offset + 4 + len(body)
        if marker == 0xE1 and body.startswith(_EXIF):
            exif += body[len(_EXIF) :]
        elif marker == 0xE1 and body.startswith(_XMP):
            xmp = xmp or body[len(_XMP) :]
        elif marker == 0xE2 and body.startswith(_ICC) and len(body) > len(_ICC) + 2:
            number, count = body[len(_ICC)], body[len(_ICC) + 1]
            profile_parts.append((number, count, body[len(_ICC) + 2 :]))
        elif marker == 0xFE:
            comment = comment or body
        elif not 0xE0 <= marker <= 0xEF or _is_colour_coding(marker, body):
            kept.append(view[offset:end])
    kept.append(view[end:])
    profile_parts.sort(key=lambda part: part[0])
    whole = [number for number, _, _ in profile_parts] == list(range(1, len(profile_parts) + 1))
    whole = whole and all(count == len(profile_parts) for _, count, _ in profile_parts)
    profile = b"".join(part for _, _, part in profile_parts) if whole else b""
    return ImageFile(
        "JPEG",
        b"".join(kept),
        icc_profile=profile if 0 < len(profile) <= MAX_PROFILE_BYTES else None,
        exif=_strip_exif_prefix(exif),
        xmp=xmp,
        comment=comment,
    )


def _split_jpeg(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield the start, marker and content of each segment before the pixels.

    Ends before anything that isn't a segment.
    """
    offset = 2
    while offset + 4 <= len(data) and data[offset] == 0xFF:
        marker = data[offset + 1]
        if marker == 0xFF:  # padding
            offset += 1
            continue
        length = int.from_bytes(data[offset + 2 : offset + 4], "big")
        end = offset + 2 + length
        if marker in (0x00, 0xD8, 0xD9, 0xDA) or length < 2 or end > len(data):
            return
        yield offset, marker, data[offset + 4 : end]
        offset = end


def _is_colour_coding(marker: int, body: bytes) -> bool:
    if marker == 0xE0:
        return body.startswith(_JFIF) and len(body) >= _LEAST_JFIF_BYTES
    return marker == 0xEE and body.startswith(_ADOBE) and len(body) >= _LEAST_ADOBE_BYTES


# WebP


def _parse_webp(data: bytes) -> ImageFile:
    kept: list[bytes] = []
    said: dict[bytes, bytes] = {}
    missing, offset = 0, 12
    while offset + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, offset)
        end = offset + 8 + length + length % 2
        chunk = data[offset:end]
        if kind == b"VP8X" and len(chunk) > 8:
            flags = chunk[8] & ~_WEBP_METADATA_FLAGS
            chunk = chunk[:8] + bytes([flags]) + chunk[9:]
        if kind in _WEBP_PIXELS:
            kept.append(chunk)
            missing = end - offset - len(chunk)
        elif offset + 8 + length <= len(data):
            said.setdefault(kind, data[offset + 8 : offset + 8 + length])
        offset = end
    pixels = b"WEBP" + b"".join(kept)
    profile = said.get(b"ICCP", b"")
    return ImageFile(
        "WEBP",
        b"RIFF" + struct.pack("<I", min(len(pixels) + missing, 2**32 - 1)) + pixels,
        icc_profile=profile if 0 < len(profile) <= MAX_PROFILE_BYTES else None,
        exif=_strip_exif_prefix(said.get(b"EXIF", b"")),
        xmp=said.get(b"XMP ", b""),
    )


# EXIF


def _strip_exif_prefix(data: bytes) -> bytes:
    """Return EXIF data from its byte order mark on, b"" without one."""
    data = data.removeprefix(_EXIF)
    return data if data[:4] in (b"II*\0", b"MM\0*") else b""


def _read_byte_order(exif: bytes) -> Literal["<", ">"]:
    return ">" if exif.startswith(b"MM") else "<"


def _read_exif_entry(exif: bytes, tag: int, pointer: int | None = None) -> tuple[int, bytes] | None:
    """Return the type and the bytes of a tag; None if it is missing or can't be read.

    It is looked up in the first directory, or in the one that the tag `pointer` refers to. Other
    tags don't matter.
    """
    if len(exif) < 8:
        return None
    order = _read_byte_order(exif)
    (start,) = struct.unpack_from(order + "I", exif, 4)
    if pointer is not None:
        found = _read_exif_entry(exif, pointer)
        if found is None or len(found[1]) != 4:
            return None
        (start,) = struct.unpack(order + "I", found[1])
    if start + 2 > len(exif):
        return None
    (count,) = struct.unpack_from(order + "H", exif, start)
    for number in range(min(count, _MAX_EXIF_ENTRIES)):
        entry = start + 2 + 12 * number
        if entry + 12 > len(exif):
            return None
        found_tag, kind, values = struct.unpack_from(order + "HHI", exif, entry)
        if found_tag == tag:
            return _read_exif_value(exif, entry, kind, values, order)
    return None


def _read_exif_value(
    exif: bytes, entry: int, kind: int, count: int, order: str
) -> tuple[int, bytes] | None:
    length, at = _TYPE_BYTES.get(kind, 0) * count, entry + 8
    if length > 4:
        (at,) = struct.unpack_from(order + "I", exif, at)
    value = exif[at : at + length]
    return (kind, value) if value and len(value) == length else None
