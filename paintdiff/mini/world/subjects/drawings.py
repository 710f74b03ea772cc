"""Drawings of subjects: their outlines, where they are, and which of their fills take a colour.

A drawing is named by a key: ``fluent/dog`` and ``noto/dog`` are files in ``glyphs/``, and
``wolf@858a96>f0792b`` is one with another fill. ``sit:X`` puts the face X on a sitting body, and
``person:KIND:POSE:SKIN:HAIR`` is drawn by ``people``.
"""

import colorsys
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from types import MappingProxyType

import cv2
import numpy as np
import resvg_py
from numpy.typing import NDArray

from paintdiff.mini.world.colours import HEX_COLOUR, luminance, mix, multiply, to_hex, to_rgb
from paintdiff.mini.world.errors import WorldError
from paintdiff.mini.world.rows import ColourRow
from paintdiff.mini.world.subjects.people import HAIRS, LOOKS, SKINS, draw_person
from paintdiff.mini.world.subjects.wardrobe import CLOTH, CLOTH_SHADE, HAT, HAT_SHADE

Box = tuple[float, float, float, float]

_MEASURED_PX = 96
_GREY = 0.16
_FAMILY_DEGREES = 30.0
_DETAIL_ON_DARK = "#777685"
_DARK_TONE, _DARK_DETAIL = 0.25, 0.25
_PERSON_VIEW: Box = (-20.0, -30.0, 140.0, 182.0)
_SITTING_VIEW: Box = (0.0, 0.0, 32.0, 45.0)
_VIEW = re.compile(r'viewBox="([-\d. ]+)"')
_IDENTITY = re.compile(r'(id="|url\(#|href="#)')

PARTS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "house": {"roof": ("#b8503a",)},
        "fluent/house": {"roof": ("#f8312f",)},
        "noto/house": {"roof": ("#ed6c31", "#d27857", "#ab5832", "#ab5932")},
        "fluent/castle": {"roof": ("#f8312f",)},
        "noto/castle": {"roof": ("#ff2a23", "#fe2a22", "#a62714")},
        "fluent/japanese-castle": {"roof": ("#f8312f",)},
        "fluent/snowman-without-snow": {"scarf": ("#0084ce", "#0074ba")},
        "own/windmill": {"roof": ("#b5483a",)},
    }
)
"""The fills of the part that can have a colour of its own, for drawings with such a part."""

PART_OF_DRAWING: Mapping[str, str] = MappingProxyType({"crown": "hat"})
"""The drawings' own names of parts, where these differ."""

BODIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "house": ("#f3c07b",),
        "fluent/house": ("#f3c07b",),
        "noto/house": ("#fff3e1", "#bcaa93"),
        "fluent/castle": ("#b4acbc", "#998ea4"),
        "noto/castle": ("#d9d1c6", "#d8d0c5", "#e5ddd2", "#aca299", "#89847e"),
        "fluent/japanese-castle": ("#e1d8ec",),
        "own/lighthouse": ("#d8343a",),
        "own/windmill": ("#e8d9bd", "#cdb892"),
        "own/robot": ("#a9bccf", "#8fa3b8"),
        "own/bridge": ("#b98a6a", "#8d6248", "#d8b293"),
        "balloon": ("#f0563f", "#ff8f74", "#c63a28"),
        "mermaid": ("#00d26a", "#8b62bf"),
        "fairy": ("#9a5fd6",),
        "boat": ("#e8483f", "#f5776c"),
    }
)
"""The fills that take the requested colour, for drawings where these aren't those of the largest
hue."""


@dataclass(frozen=True)
class Drawing:
    """An outline that can be painted.

    Attributes:
        markup: SVG elements, in units of its own.
        box: left, top, right and bottom of what is to be seen, in those units.
        unit: how many of them are a 32nd of a usual drawing's side.
        body: the fills that take the requested colour, the most important first.
        parts: likewise for the parts with a colour of their own.
    """

    markup: str
    box: Box
    unit: float
    body: tuple[str, ...]
    parts: Mapping[str, tuple[str, ...]]

    @property
    def aspect(self) -> float:
        """Return the width divided by the height."""
        left, top, right, bottom = self.box
        return (right - left) / (bottom - top)


@lru_cache(maxsize=1024)
def drawing_of(key: str) -> Drawing:
    """Return the drawing of that key.

    Raises:
        WorldError: the key is unknown.
    """
    kind, _, rest = key.partition(":")
    if kind == "person":
        return _person(rest)
    if kind == "sit":
        return _sitting(rest)
    base, _, changes = key.partition("@")
    markup, view = _file(base)
    new = {f"#{old}": f"#{fill}" for old, fill in _pairs(changes)}
    markup = HEX_COLOUR.sub(lambda match: new.get(match.group(0), match.group(0)), markup)
    pixels = _rasterised(markup, view)
    body = tuple(new.get(fill, fill) for fill in BODIES.get(base, ()))
    parts = {
        part: tuple(new.get(fill, fill) for fill in fills)
        for part, fills in PARTS.get(base, {}).items()
    }
    body = body or _main_fills(markup, pixels)
    return Drawing(markup, _tight(pixels, view), view[2] / 32, body, parts)


def _pairs(changes: str) -> list[tuple[str, str]]:
    """Split ``"858a96>f0792b,5f636e>b5521c"`` into pairs of old and new fills."""
    pairs = (change.partition(">") for change in changes.split(",") if change)
    return [(old, new) for old, _, new in pairs]


def _file(key: str) -> tuple[str, Box]:
    source = resources.files(__name__.rpartition(".")[0]).joinpath("glyphs", f"{key}.svg")
    try:
        text = source.read_text("utf-8")
    except OSError as error:
        raise WorldError(f"there is no drawing {key!r}") from error
    view = _VIEW.search(text)
    if view is None:
        raise WorldError(f"the drawing {key!r} has no viewBox")
    x, y, width, height = (float(number) for number in view.group(1).split())
    return text[text.index(">") + 1 : text.rindex("</svg>")], (x, y, width, height)


def _person(rest: str) -> Drawing:
    kind, pose, skin, hair = rest.split(":")
    look = LOOKS[kind]
    markup = draw_person(kind, pose, SKINS[int(skin)], HAIRS[int(hair)])
    usual = {
        CLOTH: look.cloth,
        CLOTH_SHADE: mix(look.cloth, "#10081a", 0.25),
        HAT: look.hat_colour,
        HAT_SHADE: mix(look.hat_colour, "#10081a", 0.25),
    }
    # Cloth and hat stay distinguishable from each other and from everything else in the same
    # colour.
    fills = {old: _nudged(new, place) for place, (old, new) in enumerate(usual.items())}
    for old, new in fills.items():
        markup = markup.replace(old, new)
    parts = {"hat": (fills[HAT], fills[HAT_SHADE])} if look.hat else {}
    body = (fills[CLOTH], fills[CLOTH_SHADE])
    return Drawing(
        markup, _tight(_rasterised(markup, _PERSON_VIEW), _PERSON_VIEW), 4.6, body, parts
    )


def _nudged(colour: str, place: int) -> str:
    red, green, blue = to_rgb(colour)
    return to_hex(red, green, blue - 3 + place if blue > 128 else blue + 3 + place)


def _sitting(face: str) -> Drawing:
    """Return a sitting body, seen from the front, under the face of that key."""
    head = drawing_of(face)
    fur = head.body[0]
    dark, light = mix(fur, "#20141c", 0.22), mix(fur, "#ffffff", 0.5)
    left, top, right, bottom = head.box
    scale = 23 / max(right - left, (bottom - top) * 1.05)
    dx, dy = 16 - scale * (left + right) / 2, 24.5 - scale * bottom
    markup = (
        f'<path fill="none" stroke="{dark}" stroke-width="4" stroke-linecap="round" '
        'd="M23 39q7 1 6-6t-2-6"/>'
        f'<path fill="{fur}" d="M16 20C9 22 5.500 33 6.500 43h19C26.500 33 23 22 16 20z"/>'
        f'<ellipse cx="16" cy="33" rx="5.400" ry="8.500" fill="{light}"/>'
        f'<path fill="{dark}" d="M4.500 44q-.5-6 4.500-6t4.500 6z'
        'M18.500 44q-.5-6 4.500-6t4.500 6z"/>'
        f'<path fill="{fur}" d="M11 30h4v14h-5.500q0-2 1.500-2.500z'
        'M21 30h-4v14h5.500q0-2-1.500-2.500z"/>'
        f'<path fill="{dark}" d="M15.500 32h1v11h-1z"/>'
        f'<g transform="translate({dx:.2f} {dy:.2f}) scale({scale:.4f})">{head.markup}</g>'
    )
    body = tuple(dict.fromkeys((fur, dark, light, *head.body)))
    return Drawing(markup, _tight(_rasterised(markup, _SITTING_VIEW), _SITTING_VIEW), 1.0, body, {})


def _rasterised(markup: str, view: Box) -> NDArray[np.uint8]:
    """Return the drawing as (height, width, 4) BGRA with ``_MEASURED_PX`` across."""
    box = " ".join(f"{number:g}" for number in view)
    document = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">{markup}</svg>'
    width, height = _MEASURED_PX, round(_MEASURED_PX * view[3] / view[2])
    png = resvg_py.svg_to_bytes(
        svg_string=document, width=width, height=height, skip_system_fonts=True
    )
    decoded = cv2.imdecode(np.frombuffer(bytes(png), np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None:
        raise AssertionError("resvg returned something that is not a PNG")
    return decoded.astype(np.uint8, copy=False)


def _tight(pixels: NDArray[np.uint8], view: Box) -> Box:
    rows, columns = np.nonzero(pixels[..., 3] > 64)
    unit = view[2] / pixels.shape[1]
    return (
        view[0] + float(columns.min()) * unit,
        view[1] + float(rows.min()) * unit,
        view[0] + float(columns.max() + 1) * unit,
        view[1] + float(rows.max() + 1) * unit,
    )


def _main_fills(markup: str, pixels: NDArray[np.uint8]) -> tuple[str, ...]:
    """Return the fills of the hue that covers most, or of the greys where those cover more."""
    fills = list(dict.fromkeys(HEX_COLOUR.findall(markup)))
    shown = pixels[pixels[..., 3] > 200][:, 2::-1].reshape(-1, 3)
    nearest = np.abs(shown[:, None].astype(int) - [to_rgb(fill) for fill in fills]).sum(2).argmin(1)
    area = dict(zip(fills, np.bincount(nearest, minlength=len(fills)).tolist(), strict=True))
    bright = [fill for fill in fills if luminance(fill) > 0.13]
    families = {fill: _family(fill, bright, area) for fill in bright}
    first = max(bright, key=lambda fill: sum(area[one] for one in families[fill]))
    return tuple(sorted(families[first], key=lambda fill: -area[fill]))


def _family(fill: str, fills: list[str], area: Mapping[str, int]) -> list[str]:
    hue, saturation = _hue_of(fill)
    if saturation < _GREY:
        return [one for one in fills if _hue_of(one)[1] < _GREY]
    return [
        one
        for one in fills
        if _hue_of(one)[1] >= _GREY
        and abs((_hue_of(one)[0] - hue + 180) % 360 - 180) <= _FAMILY_DEGREES
    ]


def _hue_of(fill: str) -> tuple[float, float]:
    """Return the hue in degrees, and how far the colour is from grey, 0..1."""
    red, green, blue = (channel / 255 for channel in to_rgb(fill))
    return colorsys.rgb_to_hsv(red, green, blue)[0] * 360, max(red, green, blue) - min(
        red, green, blue
    )


def coloured(
    drawing: Drawing,
    colours: Mapping[str, ColourRow],
    tint: str,
    identity: str,
) -> str:
    """Return the drawing's markup in the requested colours and in light ``tint``.

    Args:
        drawing: what to paint.
        colours: the colour of ``body`` and of parts; what isn't in it keeps its own colours.
        tint: the light; white changes nothing.
        identity: a text that no other figure of the document has, for its gradients.
    """
    new: dict[str, str] = {}
    for part, colour in colours.items():
        fills = drawing.body if part == "body" else drawing.parts.get(part, ())
        new.update(_toned(fills, colour))
        if part == "body" and luminance(colour.tone) < _DARK_TONE:
            others = set(HEX_COLOUR.findall(drawing.markup)) - set(fills)
            new.update({one: _DETAIL_ON_DARK for one in others if luminance(one) < _DARK_DETAIL})
    markup = HEX_COLOUR.sub(
        lambda match: multiply(new.get(match.group(0), match.group(0)), tint), drawing.markup
    )
    return _IDENTITY.sub(rf"\g<1>{identity}", markup)


def _toned(fills: tuple[str, ...], colour: ColourRow) -> dict[str, str]:
    """Return new fills by old fill: the first becomes the full tone.

    The others keep their distance to it.
    """
    reference = luminance(fills[0])
    toned: dict[str, str] = {}
    for fill in fills:
        step = luminance(fill) - reference
        kin = colour.light if step > 0 else colour.dark
        toned[fill] = mix(colour.tone, kin, min(1.0, abs(step) * 2.4))
    return toned
