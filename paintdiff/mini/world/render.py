"""From a scene to an SVG document and to pixels."""

from dataclasses import replace

import cv2
import numpy as np
import resvg_py
from numpy.typing import NDArray

from .canvas import Canvas
from .errors import WorldError
from .figures import paint_figures
from .light import light_of
from .painters import PAINTERS
from .scene import Scene, check_scene
from .streams import stream
from .styles import RASTER_STYLES
from .weather import BEHIND, IN_FRONT

MIN_SIZE_PX = 16
_MIRRORED = {"left": "right", "right": "left"}


def to_svg(scene: Scene) -> str:
    """Return the scene as an SVG document without its raster style; the same scene, the same text.

    Raises:
        WorldError: the scene cannot be; see ``check_scene``.
    """
    check_scene(scene)
    canvas, light = Canvas(), light_of(scene)
    PAINTERS[scene.scenery](canvas, light, stream(scene.seed, "scenery"))
    if scene.weather is not None and scene.weather in BEHIND:
        BEHIND[scene.weather](canvas, light, stream(scene.seed, "weather behind"))
    paint_figures(canvas, scene, light)
    if scene.weather is not None and scene.weather in IN_FRONT:
        IN_FRONT[scene.weather](canvas, light, stream(scene.seed, "weather in front"))
    return canvas.document()


def render(scene: Scene, size_px: int) -> NDArray[np.uint8]:
    """Return the painted scene, shape (size_px, size_px, 3), uint8, RGB.

    The same scene and size give the same bytes, on the same machine and library versions.

    Raises:
        WorldError: the scene cannot be (see ``check_scene``), or the size is below 16 pixels.
    """
    if size_px < MIN_SIZE_PX:
        raise WorldError(f"size_px is {size_px}; it must be at least {MIN_SIZE_PX}")
    document = to_svg(scene)
    png = resvg_py.svg_to_bytes(
        svg_string=document, width=size_px, height=size_px, skip_system_fonts=True
    )
    decoded = cv2.imdecode(np.frombuffer(bytes(png), np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise AssertionError("resvg returned something that is not a PNG")
    image = np.ascontiguousarray(decoded[..., ::-1]).astype(np.uint8, copy=False)
    if scene.style is None:
        return image
    seed = stream(scene.seed, "style").getrandbits(32)
    return RASTER_STYLES[scene.style](image, np.random.default_rng(seed))


def flip(scene: Scene, image: NDArray[np.uint8]) -> tuple[Scene, NDArray[np.uint8]] | None:
    """Return scene and picture (any (height, width, 3) array) mirrored, left and right swapped.

    The returned scene describes the returned picture for ``describe``; rendering it paints
    another picture. None would mean that the caption cannot be kept true; nothing in this world
    reads differently in a mirror, so that does not happen for valid scenes.

    Raises:
        WorldError: the scene cannot be; see ``check_scene``.
    """
    check_scene(scene)
    side = None if scene.side is None else _MIRRORED.get(scene.side, scene.side)
    return replace(scene, side=side), np.ascontiguousarray(image[:, ::-1])
