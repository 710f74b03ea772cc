"""Conversion of a scene to an SVG document and to pixels."""

from dataclasses import replace

import cv2
import numpy as np
import resvg_py
from numpy.typing import NDArray

from paintdiff.mini.world.canvas import SIDE, Canvas
from paintdiff.mini.world.errors import WorldError
from paintdiff.mini.world.scene import HORIZON_PIVOT, Scene, check_scene
from paintdiff.mini.world.scenery.light import Light, light_of
from paintdiff.mini.world.scenery.painters import PAINTERS
from paintdiff.mini.world.scenery.weather import BEHIND, IN_FRONT
from paintdiff.mini.world.streams import stream
from paintdiff.mini.world.styles import RASTER_STYLES
from paintdiff.mini.world.subjects.figures import paint_figures
from paintdiff.mini.world.subjects.placements import paint_placements

MIN_SIZE_PX = 16
_COVERED = 150
"""The alpha above which a pixel is the subject's; that of shadows and glows is less."""
_MIRRORED = {"left": "right", "right": "left"}
_MIRRORED_RELATION = {"left of": "right of", "right of": "left of"}


def to_svg(scene: Scene) -> str:
    """Return the scene as an SVG document without its raster style; the same scene, the same text.

    Raises:
        WorldError: the scene is impossible; see ``check_scene``.
    """
    check_scene(scene)
    canvas, light = Canvas(), light_of(scene)
    if scene.zoom != 1:
        shift = scene.pivot * (1 - scene.zoom), HORIZON_PIVOT * (1 - scene.zoom)
        canvas.add(
            f'<g transform="translate({shift[0]:.2f} {shift[1]:.2f}) scale({scene.zoom:.4f})">'
        )
    PAINTERS[scene.scenery](canvas, light, stream(scene.seed, "scenery"))
    if scene.zoom != 1:
        canvas.add("</g>")
    if scene.weather is not None and scene.weather in BEHIND:
        BEHIND[scene.weather](canvas, light, stream(scene.seed, "weather behind"))
    _paint_subjects(canvas, scene, light)
    if scene.weather is not None and scene.weather in IN_FRONT:
        IN_FRONT[scene.weather](canvas, light, stream(scene.seed, "weather in front"))
    return canvas.document()


def render(scene: Scene, size_px: int, oversampling: int = 1) -> NDArray[np.uint8]:
    """Return the painted scene, shape (size_px, size_px, 3), uint8, RGB.

    It is painted ``oversampling`` times as large and then scaled down; its style is applied last.
    The same scene and size give the same bytes, on the same machine and library versions.

    Raises:
        WorldError: the scene is impossible (see ``check_scene``), or the size is below 16 pixels.
    """
    if size_px < MIN_SIZE_PX:
        raise WorldError(f"size_px is {size_px}; it must be at least {MIN_SIZE_PX}")
    image = _rasterised(to_svg(scene), size_px * oversampling)[..., 2::-1]
    if oversampling > 1:
        image = cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_AREA)
    image = np.ascontiguousarray(image).astype(np.uint8, copy=False)
    if scene.style is None:
        return image
    seed = stream(scene.seed, "style").getrandbits(32)
    return RASTER_STYLES[scene.style](image, np.random.default_rng(seed))


def subject_mask(scene: Scene, size_px: int) -> NDArray[np.bool_]:
    """Return which pixels of ``render(scene, size_px)`` the subjects cover, (size_px, size_px).

    Raises:
        WorldError: the scene is impossible; see ``check_scene``.
    """
    check_scene(scene)
    canvas = Canvas()
    _paint_subjects(canvas, scene, light_of(scene))
    return _rasterised(canvas.document(), size_px)[..., 3] > _COVERED


def _paint_subjects(canvas: Canvas, scene: Scene, light: Light) -> None:
    (paint_placements if scene.edition else paint_figures)(canvas, scene, light)


def _rasterised(document: str, size_px: int) -> NDArray[np.uint8]:
    """Return the document as (size_px, size_px, 4), BGRA."""
    png = resvg_py.svg_to_bytes(
        svg_string=document, width=size_px, height=size_px, skip_system_fonts=True
    )
    decoded = cv2.imdecode(np.frombuffer(bytes(png), np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None:
        raise AssertionError("resvg returned something that is not a PNG")
    return decoded.astype(np.uint8, copy=False)


def flip(scene: Scene, image: NDArray[np.uint8]) -> tuple[Scene, NDArray[np.uint8]] | None:
    """Return scene and picture (any (height, width, 3) array) mirrored, left and right swapped.

    The returned scene describes the returned picture for ``describe``; rendering it paints another
    picture. None would mean that no true caption is possible; nothing in this world reads
    differently in a mirror, so that does not happen for valid scenes.

    Raises:
        WorldError: the scene is impossible; see ``check_scene``.
    """
    check_scene(scene)
    side = None if scene.side is None else _MIRRORED.get(scene.side, scene.side)
    flipped = replace(
        scene,
        side=side,
        facing=_MIRRORED.get(scene.facing or "", scene.facing),
        relation=_MIRRORED_RELATION.get(scene.relation or "", scene.relation),
        figures=tuple(
            replace(each, x=SIDE - each.x, mirrored=not each.mirrored, tilt=-each.tilt)
            for each in scene.figures
        ),
    )
    return flipped, np.ascontiguousarray(image[:, ::-1])
