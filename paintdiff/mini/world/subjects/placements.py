"""Painting of the figures of scenes of the first edition."""

from collections.abc import Mapping
from dataclasses import replace

from paintdiff.mini.world.canvas import Canvas
from paintdiff.mini.world.colours import luminance
from paintdiff.mini.world.rows import ColourRow
from paintdiff.mini.world.scene import Placement, Scene
from paintdiff.mini.world.scenery.light import Light
from paintdiff.mini.world.scenery.scenery_table import SCENERY
from paintdiff.mini.world.subjects.cast import CAST
from paintdiff.mini.world.subjects.drawings import PART_OF_DRAWING, coloured, drawing_of
from paintdiff.mini.world.subjects.figures import (
    DARK_SCENE,
    STANDING,
    Figure,
    paint_glyph,
    paint_islet,
    paint_shadow,
    paint_waterline,
    rim_of,
)
from paintdiff.mini.world.tables import COLOURS

_RIM_WIDTH = 0.5
_GROUND = (*STANDING, "table")


def paint_placements(canvas: Canvas, scene: Scene, light: Light) -> None:
    """Paint the scene's figures on ``canvas``, in the order in which they overlap."""
    for number, placement in enumerate(_far_to_near(scene)):
        _paint(canvas, scene, light, placement, f"f{number}")


def _far_to_near(scene: Scene) -> list[Placement]:
    return sorted(scene.figures, key=lambda figure: figure.foot)


def _medium_of(scene: Scene, placement: Placement) -> str:
    """Return a figure's medium: the companion of someone in the air can be on land."""
    if placement.subject != scene.companion or scene.medium != "air":
        return scene.medium or ""
    pose = next(p for p in CAST[placement.subject].poses if p.key == placement.drawing)
    return "air" if "air" in pose.media else "land"


def _colours_of(placement: Placement) -> Mapping[str, ColourRow]:
    colours = {} if placement.colour is None else {"body": COLOURS[placement.colour]}
    if placement.part is not None and placement.part_colour is not None:
        part = PART_OF_DRAWING.get(placement.part, placement.part)
        colours[part] = COLOURS[placement.part_colour]
    return colours


def _paint(canvas: Canvas, scene: Scene, light: Light, placement: Placement, identity: str) -> None:
    drawing = drawing_of(placement.drawing)
    medium = _medium_of(scene, placement)
    width = placement.height * drawing.aspect
    figure = Figure(
        placement.x, placement.foot, width, placement.height, placement.mirrored, placement.tilt
    )
    tone = drawing.body[0] if placement.colour is None else COLOURS[placement.colour].tone
    dark = luminance(light.haze) < DARK_SCENE or SCENERY[scene.scenery].dark
    rim = replace(rim_of(tone, dark), width=_RIM_WIDTH * drawing.unit)
    if dark:
        middle = figure.foot - figure.height / 2
        canvas.soft_ellipse(figure.x, middle, width * 0.75, figure.height * 0.7, "#cfe0ff", 0.3)
    portrait = scene.size == "portrait"
    if medium in _GROUND and not portrait:
        if SCENERY[scene.scenery].islet:
            paint_islet(canvas, light, figure)
        paint_shadow(canvas, figure)
    waterline = None
    if medium == "water":
        waterline = figure.foot - CAST[placement.subject].submerged * figure.height
    body = coloured(drawing, _colours_of(placement), light.time.subject_tint, identity)
    paint_glyph(canvas, figure, body, drawing.box, rim, waterline)
    if waterline is not None:
        paint_waterline(canvas, light, waterline, figure)
