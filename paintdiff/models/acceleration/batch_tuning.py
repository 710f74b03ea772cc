"""Batch sizes, chosen by how long the steps of earlier runs took on this machine.

Importable without torch.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from paintdiff.models.acceleration.measurements import WORTH_IT, MeasurementFile

logger = logging.getLogger(__name__)

FILE_NAME = "together.json"
ROUNDS = 2
"""How many runs of each kind are timed before the faster one is chosen."""

LONGEST_STEP_SECONDS = 0.5
"""A step of several pictures takes no longer. A cancelled job ends only with a step, and a picture
whose steps take longer keeps the machine busy by itself.
"""

_MOST_TRIALS = 8
"""How many runs of several pictures are tried while different backends compute them."""
_LEAST_STEPS = 3


@dataclass(frozen=True)
class Measured:
    """The time of a step for one picture alone, and the fraction of it per picture of a batch."""

    alone_seconds: float
    part: float


@dataclass
class _Trial:
    backend: str = ""
    alone: list[float] = field(default_factory=list[float])
    together: list[float] = field(default_factory=list[float])
    trials: int = 0


class BatchTuning:
    """Chooses batch sizes by the kind of run: a text of all that the time of a step depends on.

    Measurements are kept in the folder `cache` (None: in memory only). Use it from one thread at a
    time.
    """

    def __init__(self, cache: Path | None) -> None:
        file = None if cache is None else cache / FILE_NAME
        self._known = MeasurementFile(file, TypeAdapter(dict[str, Measured]))
        self._trials: dict[str, _Trial] = {}

    def choose_batch_size(self, kind: str, wanted: int) -> int:
        """Return how many of `wanted` pictures to denoise at once.

        It is 1 until the time of one alone is known, then several until the gain is known.
        """
        known, trial = self._known.get(kind), self._trials.get(kind, _Trial())
        if known is not None:
            if known.part >= WORTH_IT:
                return 1
            return _limit_step(known.alone_seconds, wanted)
        if len(trial.alone) < ROUNDS or trial.trials >= _MOST_TRIALS:
            return 1
        return _limit_step(min(trial.alone), wanted)

    def record(self, kind: str, count: int, seconds_per_step: float, backend: str) -> None:
        """Record the time of a step in a run of `count` pictures.

        `backend` is what computed it; "" is more than one, so the time means nothing.
        """
        if self._known.get(kind) is not None:
            return
        trial = self._trials.setdefault(kind, _Trial())
        if count > 1:
            trial.trials += 1
            if backend == trial.backend:
                trial.together.append(seconds_per_step / count)
        elif backend:
            if backend != trial.backend:  # what was measured is of a backend that is no longer used
                trial = self._trials[kind] = _Trial(backend)
            trial.alone.append(seconds_per_step)
        if min(len(trial.alone), len(trial.together)) >= ROUNDS:
            alone = min(trial.alone)
            found = Measured(alone, min(trial.together) / alone)
            logger.info(
                "pictures of a batch take %.2f of the time of one alone: %s", found.part, kind
            )
            self._known.set(kind, found)
            del self._trials[kind]


def _limit_step(alone_seconds: float, wanted: int) -> int:
    return max(1, min(wanted, int(LONGEST_STEP_SECONDS / alone_seconds)))


class StepTimer:
    """Measures the steps of one run, and which backend computed them.

    `calls` counts the calls of each backend, and may hold earlier ones. `wait` returns when the
    device is done with its work: on a GPU a step only queues it.
    """

    def __init__(self, calls: Counter[Any], wait: Callable[[], object]) -> None:
        self._calls = calls
        self._before = Counter(calls)
        self._wait = wait
        self._started = 0.0
        self._steps = -1

    def count_step(self) -> None:
        """Count a step. The first one is slower, and isn't measured."""
        self._steps += 1
        if self._steps == 0:
            self._wait()
            self._started = time.perf_counter()

    def measure_seconds_per_step(self) -> float | None:
        """Return the mean after the last step; None after too few steps."""
        if self._steps < _LEAST_STEPS:
            return None
        self._wait()
        return (time.perf_counter() - self._started) / self._steps

    @property
    def backend(self) -> str:
        """Return the backend that computed all steps, "" if there were several.

        Where only torch may compute, calls aren't counted.
        """
        used = list(self._calls - self._before)
        if not used:
            return "torch"
        return used[0] if len(used) == 1 else ""
