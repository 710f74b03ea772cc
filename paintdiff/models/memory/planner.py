"""Choice of the plan a run begins with, and of the next one when memory runs out.

Importable without torch.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from paintdiff.byte_sizes import format_byte_size
from paintdiff.errors import MemoryBudgetError
from paintdiff.models.memory import messages
from paintdiff.models.memory.plans import (
    Hardware,
    PartBytes,
    Plan,
    Planned,
    RunFacts,
    choose_plan,
    estimate_peak_bytes,
    list_plans,
)
from paintdiff.models.registry.model_rows import ModelRow

RETRY_SECONDS = 600.0
"""The longest time for which plans that ran out of memory are skipped."""
_FREED = 1.1
"""The factor by which room must grow before they are tried again earlier."""


@dataclass(frozen=True)
class Room:
    """The memory available for painting, in bytes, and the hardware.

    `parts` are the sizes of the model's parts; None if unknown, since the model isn't on this
    machine.
    """

    hardware: Hardware
    room_bytes: int
    parts: PartBytes | None


@dataclass(frozen=True)
class Forecast:
    """The estimated memory of a picture before it is painted.

    `planned` is None if the picture won't fit. `needed_bytes` is the peak of the plan, or the least
    that any plan takes.
    """

    planned: Planned | None
    needed_bytes: int
    room_bytes: int

    @property
    def slow(self) -> bool:
        """Return whether to warn people: it will be slow or smaller, or won't fit."""
        return self.planned is None or self.planned.plan.slow

    @property
    def words(self) -> str:
        """Describe it to people: "fits: about 5.1 of 8.0 GiB, weights offloaded to RAM"."""
        needed, room = format_byte_size(self.needed_bytes), format_byte_size(self.room_bytes)
        if self.planned is None:
            return f"won't fit: needs about {needed}, but only {room} is free; paint it smaller"
        if needed[-3:] == room[-3:]:
            needed = needed[:-4]  # name the unit only once
        how = f", {self.planned.plan.words}" if self.planned.plan.words else ""
        return f"fits: about {needed} of {room}{how}"


@dataclass(frozen=True)
class _RanOut:
    """A record of when memory ran out (monotonic seconds), in which plans, and the room after it.

    `alone` says that it ran out with several pictures at once.
    """

    seconds: float
    room_bytes: int
    plans: frozenset[Plan]
    alone: bool

    def holds(self, room_bytes: int) -> bool:
        """Return whether it still holds: little time has passed and there is no more room."""
        recent = time.monotonic() - self.seconds < RETRY_SECONDS
        return recent and room_bytes <= _FREED * self.room_bytes


class Ladder:
    """The plans of one run, and the current position among them.

    `failed` are plans that ran out of memory before, with this model at about this size; the ladder
    begins below them. Raises MemoryBudgetError if no plan is expected to fit.
    """

    def __init__(
        self, rungs: Sequence[Planned], room_bytes: int, failed: frozenset[Plan], title: str
    ) -> None:
        self._rungs = tuple(rungs)
        first = max((at + 1 for at, each in enumerate(rungs) if each.plan in failed), default=0)
        first = min(first, len(rungs) - 1)
        found = choose_plan(self._rungs[first:], room_bytes)
        if found is None and first == 0:
            least = self._rungs[-1].peak_bytes
            raise MemoryBudgetError(
                messages.picture_needs_memory(
                    title, format_byte_size(least), format_byte_size(room_bytes)
                ),
                least,
            )
        self._at = first if found is None else self._rungs.index(found)

    @property
    def planned(self) -> Planned:
        """Return the current plan."""
        return self._rungs[self._at]

    @property
    def last_whole(self) -> bool:
        """Return whether this is the last plan that paints the full requested size."""
        return all(each.plan.part < 1 for each in self._rungs[self._at + 1 :])

    def step_down(self, *, lighter: bool) -> bool:
        """Go to the next plan and return whether there was one.

        With `lighter`, go to the next plan that has less weights on the device.
        """
        now = self.planned.weights_bytes
        for at in range(self._at + 1, len(self._rungs)):
            if not lighter or self._rungs[at].weights_bytes < now:
                self._at = at
                return True
        return False


class Planner:
    """A maker of ladders that remembers which plans ran out of memory.

    It remembers them for RETRY_SECONDS, or until there is clearly more room. `room` returns the
    memory available for a model. Safe to use from any thread.
    """

    def __init__(self, room: Callable[[ModelRow], Room | None]) -> None:
        self._room = room
        self._failed: dict[tuple[str, int], _RanOut] = {}
        self._lock = threading.Lock()

    def build_ladder(self, model: ModelRow, run: RunFacts) -> Ladder:
        """Return the ladder of a run.

        Raises MemoryBudgetError if no plan is expected to fit.
        """
        room = self._room(model)
        if room is None or room.parts is None:
            parts, room_bytes = PartBytes(0, 0, 0), 2**63
            hardware = Hardware("cpu") if room is None else room.hardware
        else:
            parts, room_bytes, hardware = room.parts, room.room_bytes, room.hardware
        rungs = list_plans(model.family, parts, run, hardware)
        return Ladder(rungs, room_bytes, self._failed_plans(model, run, room), model.title)

    def forecast(self, model: ModelRow, run: RunFacts) -> Forecast | None:
        """Forecast a ladder's first plan; None while the device or the model is unknown."""
        room = self._room(model)
        if room is None or room.parts is None or model.family.working_memory is None:
            return None
        rungs = list_plans(model.family, room.parts, run, room.hardware)
        try:
            failed = self._failed_plans(model, run, room)
            ladder = Ladder(rungs, room.room_bytes, failed, model.title)
        except MemoryBudgetError:
            return Forecast(None, rungs[-1].peak_bytes, room.room_bytes)
        return Forecast(ladder.planned, ladder.planned.peak_bytes, room.room_bytes)

    def count_together(self, model: ModelRow, run: RunFacts, plan: Plan, wanted: int) -> int:
        """Return how many of `wanted` pictures are expected to fit at once by a plan.

        Returns 1 if that is unknown, or if memory has run out with several pictures.
        """
        room = self._room(model)
        found = self._ran_out(model, run, room)
        alone = found is not None and found.alone
        if alone or room is None or room.parts is None or model.family.working_memory is None:
            return 1
        fitting = partial(estimate_peak_bytes, plan, model.family, room.parts, on=room.hardware)
        counts = range(wanted, 1, -1)
        return next(
            (each for each in counts if fitting(run.multiply(each)) <= room.room_bytes),
            1,
        )

    def estimate_peak_bytes(self, model: ModelRow, run: RunFacts, plan: Plan) -> int:
        """Return the estimated peak of a run by a plan on the device; 0 if unknown."""
        room = self._room(model)
        if room is None or room.parts is None:
            return 0
        return estimate_peak_bytes(plan, model.family, room.parts, run, room.hardware)

    def remember_failed(
        self, model: ModelRow, run: RunFacts, failed: frozenset[Plan], *, alone: bool = False
    ) -> None:
        """Begin below these plans for a while, with this model at about this size.

        With `alone`, denoise one picture at a time. An empty `failed` changes nothing.
        """
        if not failed and not alone:
            return
        room = self._room(model)
        before = self._ran_out(model, run, room)
        if before is not None:
            failed, alone = failed | before.plans, alone or before.alone
        now = _RanOut(time.monotonic(), _bytes_of(room), failed, alone)
        with self._lock:
            self._failed[_key(model, run)] = now

    def _failed_plans(self, model: ModelRow, run: RunFacts, room: Room | None) -> frozenset[Plan]:
        found = self._ran_out(model, run, room)
        return frozenset() if found is None else found.plans

    def _ran_out(self, model: ModelRow, run: RunFacts, room: Room | None) -> _RanOut | None:
        """Return the remembered failure if it still holds."""
        with self._lock:
            found = self._failed.get(_key(model, run))
        return found if found is not None and found.holds(_bytes_of(room)) else None


def _bytes_of(room: Room | None) -> int:
    return 0 if room is None else room.room_bytes


def _key(model: ModelRow, run: RunFacts) -> tuple[str, int]:
    """Return the model, and the power of two nearest to the number of pixels."""
    return model.name, round(math.log2(run.size.area))
