"""PaintDiffusion: an engine that paints pictures from words, and an app around it.

    from paintdiff import Engine, TextToImage

    with Engine() as engine:
        finished = engine.generate(TextToImage(prompt="a red sailboat on a calm sea at sunset"))
    finished.pictures[0].image.save("boat.png")

A picture goes in as `InputImage.from_file("boat.png")`, in an `ImageToImage` or an `Inpaint`, or in
a `ControlInput` for a ControlNet, of which any request to paint may have some. `Upscale` makes
pictures larger, and so does the `upscaling` of any request to paint, in the end. What is put into
the model for a request is in its `loras` (`LoraInput`), `vae`, `refiner` (`Refiner`), `ip_adapters`
(`IpAdapterInput`) and `free_u` (`FreeU`). Its `branches` (`Branch`) continue a run with other
settings from a step on.

A `Grid` paints a picture for each combination of the values of its axes (`Axis`).

Names are imported when they are first used; importing the package imports neither torch nor
diffusers.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

from paintdiff.system.allocator import set_up_allocator
from paintdiff.system.threads import set_up_threads
from paintdiff.version import __version__ as __version__

set_up_threads()
set_up_allocator()

# Else, on some processors, the order in which MKL adds up hangs on where numbers lie in memory, and
# a request that is painted again gives other last bits. It costs no time that could be measured.
os.environ.setdefault("MKL_CBWR", "AUTO")

# Large tensors lie in pages of 2 MiB where Linux has these: else a VAE spends up to two fifths of
# its time on making them page by page.
if os.path.isdir("/sys/kernel/mm/transparent_hugepage"):
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

if TYPE_CHECKING:
    from paintdiff.engine.engine import Engine, EngineStatus, PictureStore
    from paintdiff.errors import PaintError
    from paintdiff.imaging.geometry import Size
    from paintdiff.jobs.events import (
        Cancelled,
        CellDone,
        Event,
        Failed,
        Finished,
        Loading,
        Picture,
        Progress,
        Queued,
    )
    from paintdiff.jobs.input_images import InputImage
    from paintdiff.jobs.job import Job
    from paintdiff.jobs.request_parts import (
        Axis,
        Branch,
        ControlInput,
        FreeU,
        HiresFix,
        IpAdapterInput,
        LoraInput,
        Outpaint,
        Refiner,
        Upscaling,
    )
    from paintdiff.jobs.requests import (
        Grid,
        ImageToImage,
        Inpaint,
        Request,
        TextToImage,
        Upscale,
    )

__all__ = [
    "Axis",
    "Branch",
    "Cancelled",
    "CellDone",
    "ControlInput",
    "Engine",
    "EngineStatus",
    "Event",
    "Failed",
    "Finished",
    "FreeU",
    "Grid",
    "HiresFix",
    "ImageToImage",
    "Inpaint",
    "InputImage",
    "IpAdapterInput",
    "Job",
    "Loading",
    "LoraInput",
    "Outpaint",
    "PaintError",
    "Picture",
    "PictureStore",
    "Progress",
    "Queued",
    "Refiner",
    "Request",
    "Size",
    "TextToImage",
    "Upscale",
    "Upscaling",
]

_MODULES = {
    "engine.engine": ("Engine", "EngineStatus", "PictureStore"),
    "jobs.job": ("Job",),
    "errors": ("PaintError",),
    "jobs.events": (
        "Cancelled",
        "CellDone",
        "Event",
        "Failed",
        "Finished",
        "Loading",
        "Picture",
        "Progress",
        "Queued",
    ),
    "imaging.geometry": ("Size",),
    "jobs.input_images": ("InputImage",),
    "jobs.request_parts": ("Branch",),
    "jobs.requests": (
        "Axis",
        "ControlInput",
        "FreeU",
        "Grid",
        "HiresFix",
        "ImageToImage",
        "Inpaint",
        "IpAdapterInput",
        "LoraInput",
        "Outpaint",
        "Refiner",
        "Request",
        "TextToImage",
        "Upscale",
        "Upscaling",
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
