"""Arithmetic on ``#rrggbb`` colours.

Every colour in this package is a lower-case hexadecimal sRGB string, because that is what an SVG
document holds; the functions here blend them channel by channel in sRGB.
"""

import re

HEX_COLOUR = re.compile(r"#[0-9a-f]{6}")


def to_rgb(colour: str) -> tuple[int, int, int]:
    """Return the red, green and blue of ``#rrggbb``, each in 0..255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def to_hex(red: float, green: float, blue: float) -> str:
    """Return ``#rrggbb`` for three channels in 0..255; values outside are clamped."""
    channels = (min(255, max(0, round(channel))) for channel in (red, green, blue))
    return "#" + "".join(f"{channel:02x}" for channel in channels)


def mix(colour: str, other: str, amount: float) -> str:
    """Return ``colour`` moved towards ``other``; ``amount`` 0 is ``colour``, 1 is ``other``."""
    pairs = zip(to_rgb(colour), to_rgb(other), strict=True)
    red, green, blue = (a + (b - a) * amount for a, b in pairs)
    return to_hex(red, green, blue)


def multiply(colour: str, tint: str) -> str:
    """Return ``colour`` as it looks in light of the colour ``tint`` (white changes nothing)."""
    pairs = zip(to_rgb(colour), to_rgb(tint), strict=True)
    red, green, blue = (a * b / 255 for a, b in pairs)
    return to_hex(red, green, blue)


def luminance(colour: str) -> float:
    """Return the luma of ``colour`` in 0..1, with the weights of ITU-R BT.601."""
    red, green, blue = to_rgb(colour)
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255
