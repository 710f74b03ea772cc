"""Whether several pictures are denoised at once: by what the steps of real runs took on this
machine, alone and together. Importable without torch.
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
"""How many runs are timed of each way before the quicker one is taken."""

LONGEST_STEP_SECONDS = 0.5
"""A step of several pictures takes no longer: a cancelled job ends with a step, and what takes
longer for one picture keeps the machine busy by itself.
"""

_MOST_TRIALS = 8
"""Of runs together that tell nothing, as another engine took part in them."""
_LEAST_STEPS = 3


@dataclass(frozen=True)
class Measured:
    """Seconds a step takes for a picture alone, and the part of them that it takes for each of
    several.
    """

    alone_seconds: float
    part: float


@dataclass
class _Trial:
    engine: str = ""
    alone: list[float] = field(default_factory=list[float])
    together: list[float] = field(default_factory=list[float])
    trials: int = 0


class BatchTuning:
    """How many pictures are best denoised at once, by the kind of run (whatever its time hangs on,
    as text); kept in `cache` (a folder; None: in memory only). To be used by one thread at a time.
    """

    def __init__(self, cache: Path | None) -> None:
        file = None if cache is None else cache / FILE_NAME
        self._known = MeasurementFile(file, TypeAdapter(dict[str, Measured]))
        self._trials: dict[str, _Trial] = {}

    def most(self, kind: str, wanted: int) -> int:
        """How many of `wanted` pictures to denoise at once: 1 as long as nobody knows what one
        takes alone; then several, until it is known whether that pays.
        """
        known, trial = self._known.get(kind), self._trials.get(kind, _Trial())
        if known is not None:
            if known.part >= WORTH_IT:
                return 1
            return _within_a_step(known.alone_seconds, wanted)
        if len(trial.alone) < ROUNDS or trial.trials >= _MOST_TRIALS:
            return 1
        return _within_a_step(min(trial.alone), wanted)

    def timed(self, kind: str, count: int, seconds_a_step: float, engine: str) -> None:
        """A run of `count` pictures took that for a step, computed by `engine` ("": by more than
        one, so it says nothing).
        """
        if self._known.get(kind) is not None:
            return
        trial = self._trials.setdefault(kind, _Trial())
        if count > 1:
            trial.trials += 1
            if engine == trial.engine:
                trial.together.append(seconds_a_step / count)
        elif engine:
            if engine != trial.engine:  # what was measured is of one that isn't used any more
                trial = self._trials[kind] = _Trial(engine)
            trial.alone.append(seconds_a_step)
        if min(len(trial.alone), len(trial.together)) >= ROUNDS:
            alone = min(trial.alone)
            found = Measured(alone, min(trial.together) / alone)
            logger.info("pictures together take %.2f of the time: %s", found.part, kind)
            self._known.set(kind, found)
            del self._trials[kind]


def _within_a_step(alone_seconds: float, wanted: int) -> int:
    return max(1, min(wanted, int(LONGEST_STEP_SECONDS / alone_seconds)))


class StepTimer:
    """The time of one run's steps, and who computed them: `calls` counts that, and may be added to
    by others before.

    `wait` waits until the device has done all it was given; a step only queues work on a GPU.
    """

    def __init__(self, calls: Counter[Any], wait: Callable[[], object]) -> None:
        self._calls = calls
        self._before = Counter(calls)
        self._wait = wait
        self._started = 0.0
        self._steps = -1

    def step_ended(self) -> None:
        """Count a step. The first one, which is slower, isn't timed."""
        self._steps += 1
        if self._steps == 0:
            self._wait()
            self._started = time.perf_counter()

    def seconds_a_step(self) -> float | None:
        """Return the average until now, None of too few steps. Call it once the last has ended."""
        if self._steps < _LEAST_STEPS:
            return None
        self._wait()
        return (time.perf_counter() - self._started) / self._steps

    @property
    def engine(self) -> str:
        """The one that computed all, "" if there were several. (Where nothing else may compute,
        nothing is counted, and it is torch.)
        """
        used = list(self._calls - self._before)
        if not used:
            return "torch"
        return used[0] if len(used) == 1 else ""
