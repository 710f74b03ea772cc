"""Upscaling in A1111's `parameters` text, in the format of its extras tab.

`Postprocess upscale by: 4, Postprocess upscaler: R-ESRGAN 4x+`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from paintdiff.gallery.a1111.names import from_a1111, to_a1111
from paintdiff.jobs.requests import Request, Upscale, find_upscaling

_SCALE = "Postprocess upscale by"
_UPSCALER = "Postprocess upscaler"
# A1111's name for face restoration; the strength has a name of our own.
_FACES = "Face restoration"
_FACE_STRENGTH = "Face restoration visibility"
# Our own name, which that UI ignores.
_TILE = "Postprocess tile size"
_IMAGE = "Postprocess image hash"


def write_upscaling(request: Request, number: Callable[[float], str]) -> dict[str, str]:
    """Return the settings of a request's upscaling; {} without it.

    `number` formats a number for the text.
    """
    upscaling = find_upscaling(request)
    if upscaling is None:
        return {}
    images = request.images if isinstance(request, Upscale) else ()
    faces = upscaling.face_restorer
    return {
        _SCALE: number(upscaling.scale),
        _UPSCALER: to_a1111(upscaling.upscaler or ""),
        _TILE: "" if upscaling.tile_px is None else str(upscaling.tile_px),
        _FACES: faces or "",
        _FACE_STRENGTH: number(upscaling.face_strength) if faces else "",
        _IMAGE: images[0].sha256 if images else "",
    }


def read_upscaling(settings: Mapping[str, str]) -> dict[str, object]:
    """Return the request's field `upscaling` from a text; {} without it."""
    if not settings.get(_SCALE):
        return {}
    values: dict[str, object] = {"scale": settings[_SCALE]}
    if settings.get(_UPSCALER):
        values["upscaler"] = from_a1111(settings[_UPSCALER])
    if settings.get(_TILE):
        values["tile_px"] = settings[_TILE]
    if settings.get(_FACES):
        values["face_restorer"] = settings[_FACES]
    if settings.get(_FACE_STRENGTH):
        values["face_strength"] = settings[_FACE_STRENGTH]
    return {"upscaling": values}


def read_upscale_only(
    settings: Mapping[str, str], reference: Callable[[str], dict[str, object]]
) -> dict[str, object]:
    """Return the whole request if a text describes upscaling alone, else {}.

    `reference` makes an input image of a hash.
    """
    if not settings.get(_IMAGE) or settings.get("Steps"):
        return {}
    return {
        "kind": "upscale",
        "images": [reference(settings[_IMAGE])],
        **read_upscaling(settings),
    }
