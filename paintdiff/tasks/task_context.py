"""What a task may use beside its pipeline; the engine supplies it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from paintdiff.imaging.geometry import Size
from paintdiff.tasks.steps import OnStep

MakeMap = Callable[[Image.Image, str], Image.Image]
"""Makes a control map of a picture (both RGB, of one size) by the preprocessor of that name."""

Enlarge = Callable[[Image.Image, str, Size, OnStep, int], Image.Image]
"""Brings a picture (RGB, 8 bits) to a larger size by the upscaler of that name. Tells each tile as
a step of the stage "upscaling" of the picture of that index, and raises what the listener raises.
"""


@dataclass(frozen=True)
class TaskContext:
    """What a task may use. All of it raises typed errors that come out of the task unchanged.

    `room_for` is told how many pictures are about to be denoised at once, and says for how many of
    them there is memory. With `last_resort` there is no thriftier way left to paint all of it: what
    memory is too short for may be left out.
    """

    make_map: MakeMap
    enlarge: Enlarge
    last_resort: bool = True
    room_for: Callable[[int], int] = lambda wanted: wanted
