"""The speed of a job, and an estimate of the time left."""

from __future__ import annotations

import time
from collections.abc import Sequence

from paintdiff.jobs.events import Progress
from paintdiff.jobs.requests import Painting
from paintdiff.jobs.work import list_passes
from paintdiff.tasks.steps import Step

_PAINTING = ("denoising", "decoding")
_UPSCALING = "upscaling"
_FACES = "faces"
"""Comes before a picture is upscaled, if it has faces to restore."""


class ProgressEstimate:
    """Estimates the time left from the steps of a job of `num_images` pictures."""

    def __init__(self, num_images: int) -> None:
        self._num_images = num_images
        self._last = 0.0
        self._denoising_seconds = 0.0
        self._upscaling_seconds = 0.0
        self._upscaling_before = 0.0
        self._faces_seconds = 0.0
        self._steps_done = 0
        self._denoised = 0
        self._told_steps_per_second = 0.0
        self._picture_began = 0.0
        self._first_step: tuple[int, float] | None = None
        self._last_step: tuple[int, float] | None = None

    @property
    def steps_per_second(self) -> float:
        """Steps per second of the denoising alone; 0.0 before the first picture is denoised."""
        return self._told_steps_per_second

    def begin_picture(self) -> None:
        """Start the clock for a picture: the time before it isn't counted."""
        self._last = self._picture_began = time.perf_counter()
        self._first_step = self._last_step = None

    def measure_picture(self) -> tuple[float, float] | None:
        """Return the seconds of a step of this picture, and those beside its steps.

        None with fewer than three steps. The first step, which is slower, isn't measured.
        """
        if self._first_step is None or self._last_step is None:
            return None
        (first, began), (last, ended) = self._first_step, self._last_step
        if last - first < 2:
            return None
        step_seconds = (ended - began) / (last - first)
        beside = time.perf_counter() - self._picture_began - last * step_seconds
        return step_seconds, max(0.0, beside)

    def count_step(self, step: Step) -> None:
        """Add the time since the last step to this step's stage."""
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        if step.stage == "denoising":
            self._last_step = (step.step, now)
            self._first_step = self._first_step or self._last_step
        if step.stage in _PAINTING:
            self._denoised = step.image_index + step.together
        if step.stage == _FACES:
            self._faces_seconds += seconds
        elif step.stage != _UPSCALING:
            self._denoising_seconds += seconds
        elif step.step == 0:
            self._upscaling_before = self._upscaling_seconds
        else:
            self._upscaling_seconds += seconds
        if step.stage == "decoding":
            self._steps_done += step.total_steps
            if self._denoising_seconds:
                self._told_steps_per_second = self._steps_done / self._denoising_seconds

    def count_together(self, step: Step) -> int:
        """Return how many pictures, from the step's on, have been denoised that far."""
        return (
            step.together if step.stage in _PAINTING else max(1, self._denoised - step.image_index)
        )

    def estimate_seconds_left(self, step: Step) -> float | None:
        """Return the seconds left for the whole job, None until they can be estimated."""
        if step.stage == _FACES:
            return None  # the time for the upscaling that follows isn't known yet
        if step.stage == _UPSCALING:
            return self._estimate_upscaling_left(step)
        done = step.image_index * step.total_steps + step.step * step.together
        if done <= 1:  # the first steps are slower than the rest
            return None
        left = self._denoising_seconds / done * (self._num_images * step.total_steps - done)
        if step.image_index:
            upscaling = (self._upscaling_seconds + self._faces_seconds) / step.image_index
            left += upscaling * (self._num_images - step.image_index)
        return left

    def _estimate_upscaling_left(self, step: Step) -> float | None:
        if step.step == 0:
            return None
        this = self._upscaling_seconds - self._upscaling_before
        whole = this / step.step * step.total_steps
        others = self._num_images - step.image_index - 1
        faces = self._faces_seconds / (step.image_index + 1)
        denoising = self._denoising_seconds / max(1, self._denoised)
        return whole - this + others * (faces + whole) + self._count_not_denoised(step) * denoising

    def _count_not_denoised(self, step: Step) -> int:
        """Return how many pictures after that step's aren't denoised."""
        return self._num_images - max(self._denoised, step.image_index + 1)


_STEPS_BESIDE = 2
"""Reading the prompt, decoding and saving take about as long as so many steps."""


class GridEstimate:
    """Estimates the time left for a grid from the cells that are done, by how much work each is."""

    def __init__(self, requests: Sequence[Painting]) -> None:
        self._work = [_measure_work(request) for request in requests]
        self._began = 0.0
        self._cell = -1
        self._seconds = 0.0
        self._done = 0.0

    def begin_cell(self) -> None:
        """Start the clock for the next cell."""
        self._cell += 1
        self._began = time.perf_counter()

    def skip_cell(self) -> None:
        """Leave out the next cell, whose picture is there."""
        self._cell += 1

    def end_cell(self) -> None:
        """Add the time of the cell that has ended."""
        self._seconds += time.perf_counter() - self._began
        self._done += self._work[self._cell]

    def seconds_left(self, progress: Progress) -> float | None:
        """Return the seconds left for the whole grid; None during the first cell."""
        if not self._done:
            return None
        rest = sum(self._work[self._cell + 1 :])
        part = 1 - progress.step / progress.total_steps if progress.stage == "denoising" else 0.0
        return self._seconds / self._done * (rest + part * self._work[self._cell])


def _measure_work(request: Painting) -> float:
    return sum(
        (each.steps + _STEPS_BESIDE) * each.area_px * each.factor for each in list_passes(request)
    )
