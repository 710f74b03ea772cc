"""Placement and painting of subjects: size, place, colour, rim, shadow, water line."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from random import Random

from paintdiff.mini.world.canvas import SIDE, Canvas
from paintdiff.mini.world.colours import HEX_COLOUR, luminance, mix, multiply
from paintdiff.mini.world.rows import ColourRow, SubjectRow
from paintdiff.mini.world.scene import Scene, medium_of
from paintdiff.mini.world.scenery.light import Light
from paintdiff.mini.world.scenery.scenery_table import SCENERY
from paintdiff.mini.world.streams import stream
from paintdiff.mini.world.subjects.subject_table import SUBJECTS
from paintdiff.mini.world.tables import COLOURS

_HEIGHTS = {1: (0.48, 0.60), 2: (0.34, 0.41), 3: (0.27, 0.32)}
_WIDEST = {1: 0.56, 2: 0.40, 3: 0.29}
_WIDEST_AT_SIDE = 0.50
_CENTRES = {1: (0.5,), 2: (0.28, 0.72), 3: (0.19, 0.5, 0.81)}
_SIDE_CENTRES = {"left": 0.27, "centre": 0.5, "right": 0.73}
_MIDDLE = 0.5
STANDING = ("land", "floor")
DARK_SCENE = 0.40
_DARK_TONE = 0.25
_DETAIL_ON_DARK = "#777685"


@dataclass(frozen=True)
class Figure:
    """One placed glyph, in sheet units.

    It has the middle ``x``, the bottom ``foot``, width and height; ``tilt`` is in degrees
    clockwise.
    """

    x: float
    foot: float
    width: float
    height: float
    mirrored: bool
    tilt: float = 0.0


@dataclass(frozen=True)
class Rim:
    """The line around an outline: its colour, opacity (0..1) and width in the outline's units."""

    colour: str
    opacity: float
    width: float = 0.9


@cache
def glyph_body(name: str) -> str:
    """Return the markup inside the ``<svg>`` of a glyph; its units are 32 x 32."""
    folder = resources.files(__name__.rpartition(".")[0]).joinpath("glyphs")
    text = folder.joinpath(f"{name}.svg").read_text("utf-8")
    return text[text.index(">") + 1 : text.rindex("</svg>")]


def recoloured(body: str, row: SubjectRow, colour: ColourRow | None, tint: str) -> str:
    """Return glyph markup in the requested colour (None: natural) and in light ``tint``."""
    new_fills = fills_for(row, colour)

    def replace(match: re.Match[str]) -> str:
        fill = match.group(0)
        return multiply(new_fills.get(fill, fill), tint)

    return HEX_COLOUR.sub(replace, body)


def fills_for(row: SubjectRow, colour: ColourRow | None) -> Mapping[str, str]:
    """Return the new fills of a subject, by old fill; empty for natural colours.

    The first main fill becomes the colour's full tone; lighter and darker ones keep their
    distance to it in lightness.
    """
    if colour is None:
        return {}
    dark_body = luminance(colour.tone) < _DARK_TONE and not row.clothing
    fills = _detail_fills(row) if dark_body else {}
    reference = luminance(row.main_fills[0])
    for fill in row.main_fills:
        step = luminance(fill) - reference
        kin = colour.light if step > 0 else colour.dark
        fills[fill] = mix(colour.tone, kin, min(1.0, abs(step) * 2.4))
    return fills


def _detail_fills(row: SubjectRow) -> dict[str, str]:
    """Return lighter fills for the dark details (eyes, stripes) of a dark subject."""
    details = set(HEX_COLOUR.findall(glyph_body(row.glyph)))
    return {fill: _DETAIL_ON_DARK for fill in details if luminance(fill) < _DARK_TONE}


def place_figures(scene: Scene, row: SubjectRow, medium: str, random: Random) -> list[Figure]:
    """Return where each of the scene's subjects is, the farthest first.

    They look into the picture: outlines face left, so that those left of the middle are mirrored.
    """
    left, top, right, bottom = row.box
    scale = random.uniform(*_HEIGHTS[scene.count]) * SIDE * row.size / (bottom - top)
    widest = _WIDEST_AT_SIDE if scene.side in ("left", "right") else _WIDEST[scene.count]
    scale = min(scale, widest * SIDE / (right - left))
    width, height = (right - left) * scale, (bottom - top) * scale
    lowest, highest = SCENERY[scene.scenery].span[medium]
    centres = _CENTRES[scene.count]
    if scene.count == 1:
        centres = (_SIDE_CENTRES[scene.side or "centre"],)
    figures: list[Figure] = []
    for centre in centres:
        x = (centre + random.uniform(-0.025, 0.025)) * SIDE
        x = min(max(x, width / 2 + 4), SIDE - width / 2 - 4)
        y = random.uniform(lowest, highest) * SIDE
        if medium == "water":
            y += row.submerged * height
        elif medium not in STANDING:
            y += height / 2
        figures.append(Figure(x, y, width, height, mirrored=centre < _MIDDLE))
    return sorted(figures, key=lambda figure: figure.foot)


def paint_figures(canvas: Canvas, scene: Scene, light: Light) -> None:
    """Paint the scene's subjects on ``canvas``; paint nothing for a scene without any."""
    if scene.subject is None:
        return
    row, scenery = SUBJECTS[scene.subject], SCENERY[scene.scenery]
    medium = medium_of(row, scenery) or ""
    colour = None if scene.colour is None else COLOURS[scene.colour]
    body = recoloured(glyph_body(row.glyph), row, colour, light.time.subject_tint)
    tone = row.main_fills[0] if colour is None else colour.tone
    figures = place_figures(scene, row, medium, stream(scene.seed, "figures"))
    dark = luminance(light.haze) < DARK_SCENE or not scene.time_of_day
    rim = rim_of(tone, dark)
    for figure in figures:
        if dark:
            middle = figure.foot - figure.height / 2
            canvas.soft_ellipse(
                figure.x, middle, figure.width * 0.8, figure.height * 0.75, "#cfe0ff", 0.34
            )
        if medium in STANDING:
            if scenery.islet:
                paint_islet(canvas, light, figure)
            paint_shadow(canvas, figure)
        waterline = figure.foot - row.submerged * figure.height if medium == "water" else None
        paint_glyph(canvas, figure, body, row.box, rim, waterline)
        if waterline is not None:
            paint_waterline(canvas, light, waterline, figure)


def rim_of(tone: str, dark_scene: bool) -> Rim:
    """Return the rim that keeps a subject of ``tone`` readable."""
    bright = luminance(tone)
    if bright < 0.3:
        return Rim("#f2f5ff", 0.85 if dark_scene else 0.6)
    if dark_scene:
        return Rim("#0b1230", 0.75) if bright > 0.8 else Rim("#e8eeff", 0.6)
    return Rim("#2a2238", 0.75 if bright > 0.75 else 0.5)


def paint_glyph(
    canvas: Canvas,
    figure: Figure,
    body: str,
    box: tuple[float, float, float, float],
    rim: Rim,
    waterline: float | None = None,
) -> None:
    """Paint an outline with its rim.

    Args:
        canvas: the canvas to paint on.
        figure: the place on it.
        body: the outline's markup.
        box: the visible part in the markup's units: left, top, right, bottom.
        rim: the line around it; its width is in the markup's units.
        waterline: the height of the water it stands in, in sheet units, or None.
    """
    left, _, right, bottom = box
    scale = figure.width / (right - left)
    flip = -scale if figure.mirrored else scale
    dx = figure.x - flip * (left + right) / 2
    dy = figure.foot - scale * bottom
    outline = HEX_COLOUR.sub(rim.colour, body)
    turn = ""
    if figure.tilt:
        turn = f"rotate({figure.tilt:.1f} {figure.x:.1f} {figure.foot - figure.height / 2:.1f}) "
    markup = (
        f'<g transform="{turn}translate({dx:.2f} {dy:.2f}) scale({flip:.4f} {scale:.4f})">'
        f'<g stroke="{rim.colour}" stroke-width="{rim.width:g}" stroke-linejoin="round" '
        f'opacity="{rim.opacity:.2f}">{outline}</g>{body}</g>'
    )
    if waterline is not None:
        identity = f"c{figure.x:.0f}"
        markup = (
            f'<clipPath id="{identity}"><rect x="-2" y="-2" width="260" '
            f'height="{waterline + 2:.1f}"/></clipPath><g clip-path="url(#{identity})">{markup}</g>'
        )
    canvas.add(markup)


def paint_shadow(canvas: Canvas, figure: Figure) -> None:
    """Paint the soft shadow where a figure touches the ground."""
    canvas.soft_ellipse(
        figure.x, figure.foot - 1, figure.width * 0.6, figure.width * 0.1 + 3, "#0a1020", 0.62
    )


def paint_islet(canvas: Canvas, light: Light, figure: Figure) -> None:
    """Paint a small rocky islet under a figure in the sea."""
    half, y = figure.width * 0.72 + 8, figure.foot + 7
    canvas.ellipse(figure.x, y + 5, half * 1.12, 7, light.shade("#ffffff"), 0.6)
    canvas.path(
        f"M{figure.x - half:.1f} {y + 5:.1f}Q{figure.x - half * 0.8:.1f} {y - 10:.1f} "
        f"{figure.x:.1f} {y - 11:.1f}T{figure.x + half:.1f} {y + 5:.1f}Z",
        canvas.linear((light.shade("#b9a58a"), light.shade("#7b6a5c")), y - 11, y + 6),
    )


def paint_waterline(canvas: Canvas, light: Light, y: float, figure: Figure) -> None:
    """Paint foam, and the dark of the reflection, where a figure leaves water of height ``y``."""
    half = figure.width * 0.5
    foam = mix(light.shade("#ffffff"), "#ffffff", 0.3)
    canvas.soft_ellipse(figure.x, y + 9, half * 1.1, 13, light.shade("#0a2a4a"), 0.6)
    canvas.ellipse(figure.x, y + 1.5, half * 0.98, 3.4, foam, 0.55)
    canvas.ellipse(figure.x, y + 0.6, half * 0.8, 1.8, foam, 0.9)
    for width, drop in ((0.7, 9.0), (0.45, 15.0)):
        canvas.ellipse(figure.x, y + drop, half * width, 1.3, foam, 0.5)
