"""The tools that a task may use beside its pipeline. The engine supplies them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image

from paintdiff.imaging.geometry import Size
from paintdiff.tasks.decoded_inputs import DecodedInputs
from paintdiff.tasks.steps import OnStep

MakeMap = Callable[[Image.Image, str], Image.Image]
"""Makes a control map of a picture (both RGB, of one size) with the preprocessor of that name."""

Enlarge = Callable[[Image.Image, str, Size, OnStep, int], Image.Image]
"""Enlarges a picture (RGB, 8 bits) to a size with the upscaler of that name.

Reports each tile as a step of the stage "upscaling" of the picture of that index.
"""


@dataclass(frozen=True)
class TaskContext:
    """The tools that a task may use. Errors from them pass through the task unchanged.

    `make_room` gets the number of pictures that could be denoised at once, and returns for how
    many of them there is memory. With `last_resort` there is no plan left that needs less memory:
    the task may leave out what doesn't fit. `inputs` decodes the request's pictures. With
    `every_step` each step's preview shows the whole picture, as it would be if the run ended there.
    """

    make_map: MakeMap
    enlarge: Enlarge
    last_resort: bool = True
    make_room: Callable[[int], int] = lambda wanted: wanted
    inputs: DecodedInputs = field(default_factory=DecodedInputs)
    every_step: bool = False
