"""How long pictures take on this machine, from those that were painted before."""

from __future__ import annotations

import json
import platform
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from paintdiff.jobs.requests import Painting, TextToImage
from paintdiff.jobs.work import list_passes
from paintdiff.models.acceleration.measurements import MeasurementFile
from paintdiff.prompts.syntax import count_subprompts

FILE_NAME = "speed.json"

_MAX_SIZES = 12
_NEWEST_PART = 0.5
"""How much the newest measurement counts against the earlier ones: other programs come and go."""
_WORTH_KEEPING = 0.05
"""A change by less than this fraction isn't written."""


@dataclass(frozen=True)
class PictureTime:
    """The seconds of a step at a size, and those beside the steps: prompt, decoding, saving."""

    area_px: int
    step_seconds: float
    beside_seconds: float


@dataclass(frozen=True)
class TimeForecast:
    """The number of pictures, and how long they take together: None while nobody knows.

    The time to load models isn't in it.
    """

    pictures: int
    seconds: float | None


class SpeedRecord:
    """The times of steps by model, profile and device, kept in the folder `cache`.

    `describe_device` returns the device and backend of the pictures now. Threads may share it.
    """

    def __init__(self, cache: Path | None, describe_device: Callable[[], str]) -> None:
        file = None if cache is None else cache / FILE_NAME
        self._known = MeasurementFile(file, TypeAdapter(dict[str, list[PictureTime]]))
        self._describe_device = describe_device
        self._lock = threading.Lock()

    def add(self, request: Painting, step_seconds: float, beside_seconds: float) -> None:
        """Add the time of a picture, if it was one whose time others can be told by."""
        if not _is_plain(request):
            return
        key = self._make_key(request.model, request.profile)
        area = request.sampling().size.area
        with self._lock:
            times = list(self._known.get(key) or ())
            old = next((each for each in times if each.area_px == area), None)
            new = PictureTime(area, step_seconds, beside_seconds)
            if old is not None:
                new = PictureTime(
                    area,
                    _blend(old.step_seconds, step_seconds),
                    _blend(old.beside_seconds, beside_seconds),
                )
                if abs(new.step_seconds / old.step_seconds - 1) < _WORTH_KEEPING:
                    return
                times.remove(old)
            self._known.set(key, [*times, new][-_MAX_SIZES:])

    def find(self, model: str, profile: str | None, area_px: int) -> PictureTime | None:
        """Return the time of a picture of that area, None if the model wasn't measured yet.

        At a size that wasn't measured, it grows with the area from the nearest one that was.
        """
        with self._lock:
            times = self._known.get(self._make_key(model, profile))
        if not times:
            return None
        nearest = min(times, key=lambda each: abs(each.area_px / area_px - 1))
        scale = area_px / nearest.area_px
        return PictureTime(area_px, nearest.step_seconds * scale, nearest.beside_seconds * scale)

    def find_seconds(self, model: str, profile: str, area_px: int) -> tuple[float, float] | None:
        """Return the seconds of a step and those beside the steps, as `find` does."""
        found = self.find(model, profile, area_px)
        return None if found is None else (found.step_seconds, found.beside_seconds)

    def estimate_seconds(self, requests: Sequence[Painting]) -> float | None:
        """Return how long resolved requests take together, None if one can't be told."""
        total = 0.0
        for request in requests:
            for each in list_passes(request):
                time = self.find(request.model, request.profile, each.area_px)
                if time is None:
                    return None
                total += each.steps * each.factor * time.step_seconds + time.beside_seconds
        return total

    def _make_key(self, model: str, profile: str | None) -> str:
        return json.dumps([platform.node(), self._describe_device(), model, profile])


def _blend(old: float, new: float) -> float:
    return old + _NEWEST_PART * (new - old)


def _is_plain(request: Painting) -> bool:
    """Return whether a picture takes nothing but the steps of its size."""
    return (
        isinstance(request, TextToImage)
        and request.hires is None
        and request.upscaling is None
        and request.refiner is None
        and not request.controls
        and not request.ip_adapters
        and (request.guidance_scale or 0) > 1
        and count_subprompts(request.prompt, request.prompt_syntax) == 1
    )
