"""ICC profiles, and what a colour-managed program shows of a picture."""

from __future__ import annotations

import io
import struct
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from paintdiff.imaging.colour import build_profile

D65, D50 = (0.3127, 0.329), (0.3457, 0.3585)


def power(exponent: float, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A tone curve."""
    return values**exponent


def _made(points: tuple[float, ...], exponent: float, grey: bool = False) -> bytes:
    profile = build_profile(points, partial(power, exponent), grey)
    assert profile is not None
    return profile


DISPLAY_P3 = _made((*D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06), 2.2)
ADOBE_RGB = _made((*D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06), 2.19921875)
PRO_PHOTO = _made((*D50, 0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001), 1.8)
GREY_1_8 = _made(D65 * 4, 1.8, grey=True)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def cmyk_profile() -> bytes:
    """A printer's profile that is unlike the simple formula: cyan is dark green, black is grey."""
    corners = bytearray()
    for cyan, magenta, yellow, black in np.ndindex(2, 2, 2, 2):
        light = 255 - 90 * cyan - 60 * magenta - 20 * yellow - 120 * black
        corners += bytes(
            (max(light, 30), 128 - 60 * cyan + 50 * magenta, 128 + 30 * cyan + 60 * yellow)
        )
    ramp = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 if n % 4 == 0 else 0 for n in range(9)))
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + matrix + ramp * 4 + corners + ramp * 3
    table += bytes(-len(table) % 4)
    head = struct.pack(
        ">I4sI4s4s4s12s4s28s12s48s",
        *(128 + 4 + 12 + len(table), b"", 0x02400000, b"prtr", b"CMYK", b"Lab ", b"", b"acsp", b""),
        *(struct.pack(">3i", 63190, 65536, 54061), b""),
    )
    return head + struct.pack(">I4sII", 1, b"A2B0", 144, len(table)) + table


CMYK = cmyk_profile()


def shown(data: bytes) -> Image.Image:
    """A file's pixels as a colour-managed program shows them, in sRGB."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        profile = image.info.get("icc_profile")
        if not profile:
            return image.convert("RGB")
        colours = image if image.mode in ("L", "CMYK") else image.convert("RGB")
        seen = ImageCms.profileToProfile(
            colours,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        assert seen is not None
        return seen
