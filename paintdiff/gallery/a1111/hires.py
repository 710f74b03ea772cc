"""A hires fix in A1111's `parameters` text: `Denoising strength: 0.4, Hires upscale: 2, ...`.

That UI counts the steps it runs; we count the steps of which the last `strength` are run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from paintdiff.gallery.a1111.names import from_a1111, to_a1111
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.request_parts import MAX_STEPS, NO_CONTROLNET
from paintdiff.jobs.requests import PaintingRequest, TextToImage

_STRENGTH = "Denoising strength"
_SCALE = "Hires upscale"
_SIZE = "Hires resize"
_STEPS = "Hires steps"
_UPSCALER = "Hires upscaler"
_TILED = "Hires tiled"
_CONTROLNET = "Hires ControlNet"


def write_hires(request: PaintingRequest, number: Callable[[float], str]) -> dict[str, str]:
    """Return the settings of a request's hires fix; {} without one.

    `number` formats a number for the text.
    """
    if not isinstance(request, TextToImage) or request.hires is None:
        return {}
    hires = request.hires
    first = request.num_inference_steps or 0
    strength = hires.strength or 0.0
    run = int((hires.num_inference_steps or first) * strength)
    return {
        _STRENGTH: number(strength) if strength else "",
        _SCALE: number(hires.scale),
        _STEPS: str(run) if run not in (0, first) else "",
        _UPSCALER: to_a1111(hires.upscaler or ""),
        _TILED: "" if hires.tiled is None else str(hires.tiled),
        _CONTROLNET: "" if hires.controlnet in (None, NO_CONTROLNET) else hires.controlnet,
    }


def read_hires(settings: Mapping[str, str]) -> dict[str, object]:
    """Return the request's field `hires` from a text; {} without one.

    Raises:
        SizeError: A size is invalid.
    """
    scale = _scale(settings)
    if not scale:
        return {}
    values: dict[str, object] = {"scale": scale}
    strength = settings.get(_STRENGTH)
    if strength:
        values["strength"] = strength
    steps = _steps(settings)
    if steps is not None:
        values["num_inference_steps"] = steps
    upscaler = settings.get(_UPSCALER)
    if upscaler:
        values["upscaler"] = from_a1111(upscaler)
    if settings.get(_TILED):
        values["tiled"] = settings[_TILED]
    if settings.get(_CONTROLNET):
        values["controlnet"] = settings[_CONTROLNET]
    return {"hires": values}


def _scale(settings: Mapping[str, str]) -> str:
    """Return the scale as text. That UI may give a size instead, with 0 for a derived side."""
    if settings.get(_SCALE) or not settings.get(_SIZE) or not settings.get("Size"):
        return settings.get(_SCALE, "")
    first = Size.parse(settings["Size"])
    width, _, height = settings[_SIZE].partition("x")
    sides = ((width, first.width), (height, first.height))
    factors = [int(text) / side for text, side in sides if text.isdecimal() and int(text)]
    return str(max(factors)) if factors else ""


def _steps(settings: Mapping[str, str]) -> int | None:
    """Return the number of steps of which `strength` runs as many as the text says.

    That UI omits the number if it equals the first pass's. None if unknown.
    """
    text = settings.get(_STEPS) or settings.get("Steps", "")
    try:
        run, strength = int(text), float(settings.get(_STRENGTH, ""))
    except ValueError:
        return None
    if run < 1 or not 0 < strength <= 1:
        return None
    steps = math.ceil(run / strength)
    steps += int(steps * strength) < run  # the quotient may have been rounded down
    return min(MAX_STEPS, steps)
