"""Limits for each visitor who isn't on the app's machine and may not manage it."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paintdiff.engine import messages
from paintdiff.errors import RequestError, VisitorLimitError
from paintdiff.imaging.geometry import scale_size
from paintdiff.jobs.requests import Painting, TextToImage, count_pictures, find_painting

if TYPE_CHECKING:
    from paintdiff.tasks.resolve.resolve_request import ResolvedRequest

WINDOW_SECONDS = 60.0
HIDDEN_SHARE = 4
"""How many visitors' jobs and pictures all those have together whose addresses are hidden.

Behind a tunnel an owner may be a cookie, which a hostile client drops to be somebody new.
"""
_ALL_HIDDEN = ""
"""The entry that counts their pictures."""
MAX_VISITORS = 4096
"""How many visitors' pictures are counted; those who painted longest ago are forgotten first."""


def count_all(resolved: ResolvedRequest) -> int:
    """Return how many pictures a resolved request paints, those of a grid's cells among them."""
    return len(resolved.cells) or count_pictures(resolved.request)


@dataclass(frozen=True)
class VisitorLimits:
    """What a visitor may do. `jobs` may wait or run; `side_px` is a picture's longer side."""

    jobs: int = 8
    steps: int = 150
    side_px: int = 2048
    pictures_per_minute: int = 60


class VisitorAllowance:
    """Checks requests against the limits, and counts each visitor's pictures.

    Threads may share it.
    """

    def __init__(self, limits: VisitorLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._pictures: OrderedDict[str, deque[tuple[float, int]]] = OrderedDict()
        """By visitor: when how many pictures were accepted, within the last minute."""

    def check_request(self, resolved: ResolvedRequest) -> None:
        """Check the sizes, the steps and the number of a resolved request's pictures.

        Raises:
            RequestError: They are over a limit.
        """
        paintings = [cell.request for cell in resolved.cells]
        painting = find_painting(resolved.request)
        if painting is not None and not paintings:
            paintings = [painting]
        for each in paintings:
            self._check_painting(each)
        pictures, most = count_all(resolved), self._limits.pictures_per_minute
        if pictures > most:
            raise RequestError(messages.too_many_pictures(pictures, most), field="num_images")

    def take(self, visitor: str, pictures: int, jobs: int, hidden_jobs: int | None = None) -> None:
        """Count a job's pictures, if the visitor may have one more beside `jobs`.

        `hidden_jobs` are those of everybody whose address is hidden, None if the visitor's isn't.

        Raises:
            VisitorLimitError: They have too many, or would paint too many pictures a minute.
        """
        limits, all_hidden = self._limits, self._limits.jobs * HIDDEN_SHARE
        if jobs >= limits.jobs:
            raise VisitorLimitError(messages.too_many_jobs(jobs, limits.jobs))
        if hidden_jobs is not None and hidden_jobs >= all_hidden:
            raise VisitorLimitError(messages.too_many_hidden_jobs(hidden_jobs, all_hidden))
        with self._lock:
            now, most = self._clock(), limits.pictures_per_minute
            wait = self._find_wait(visitor, pictures, now, most)
            if wait:
                raise VisitorLimitError(messages.too_fast(most, wait), retry_after_seconds=wait)
            if hidden_jobs is not None:
                most *= HIDDEN_SHARE
                wait = self._find_wait(_ALL_HIDDEN, pictures, now, most)
                if wait:
                    text = messages.too_fast_together(most, wait)
                    raise VisitorLimitError(text, retry_after_seconds=wait)
                self._count(_ALL_HIDDEN, pictures, now)
            self._count(visitor, pictures, now)

    def _count(self, visitor: str, pictures: int, now: float) -> None:
        self._pictures.setdefault(visitor, deque()).append((now, pictures))
        self._pictures.move_to_end(visitor)
        while len(self._pictures) > MAX_VISITORS:
            self._pictures.popitem(last=False)

    def _check_painting(self, painting: Painting) -> None:
        limits, sampling = self._limits, painting.sampling()
        hires = painting.hires if isinstance(painting, TextToImage) else None
        steps, size = sampling.num_inference_steps, sampling.size
        if steps > limits.steps:
            message = messages.too_many_steps(steps, limits.steps)
            raise RequestError(message, field="num_inference_steps")
        if hires is not None:
            size = scale_size(size, hires.scale, "hires.scale")
            steps = hires.num_inference_steps or steps
            if steps > limits.steps:
                message = messages.too_many_steps(steps, limits.steps)
                raise RequestError(message, field="hires.num_inference_steps")
        if max(size.width, size.height) > limits.side_px:
            side = "width" if size.width > limits.side_px else "height"
            field = side if hires is None else "hires.scale"
            raise RequestError(messages.too_large_for_visitors(size, limits.side_px), field=field)

    def _find_wait(self, visitor: str, pictures: int, now: float, most: int) -> int:
        """Return for how many seconds there is no room for more pictures, 0 if there is."""
        recent = self._pictures.get(visitor, deque[tuple[float, int]]())
        while recent and recent[0][0] <= now - WINDOW_SECONDS:
            recent.popleft()
        excess = sum(count for _, count in recent) + pictures - most
        for moment, count in recent:
            if excess <= 0:
                break
            excess -= count
            if excess <= 0:
                return max(1, math.ceil(moment + WINDOW_SECONDS - now))
        return 0
