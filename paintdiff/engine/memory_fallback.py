"""From plan to plan as memory runs out during a job, and the warnings about it."""

from __future__ import annotations

from paintdiff.engine import messages
from paintdiff.errors import MemoryBudgetError
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.field_messages import FieldMessage
from paintdiff.models.memory.planner import Planner
from paintdiff.models.memory.plans import Plan, RunFacts
from paintdiff.models.registry.model_rows import ModelRow


class MemoryFallback:
    """The plans of one job, one at a time. Raises MemoryBudgetError if no plan should fit."""

    def __init__(self, planner: Planner, model: ModelRow, run: RunFacts) -> None:
        self._planner, self._model, self._run = planner, model, run
        self._ladder = planner.build_ladder(model, run)
        self._failed: list[Plan] = []
        self._alone = False

    @property
    def plan(self) -> Plan:
        """Return the plan to paint with now."""
        return self._ladder.planned.plan

    @property
    def last_whole(self) -> bool:
        """Return whether no other plan is left that paints the requested size."""
        return self._ladder.last_whole

    def step_down(self, short: MemoryBudgetError) -> None:
        """Go to the next plan after memory ran out with the current one.

        If it was refused before it was tried (`needed_bytes` has a value), only a plan with smaller
        weights is worth trying. Raises `short` if there is no other plan.
        """
        failed, refused = self.plan, short.needed_bytes is not None
        if not self._ladder.step_down(lighter=refused):
            raise short
        if not refused:
            self._failed.append(failed)

    def estimate_peak_bytes(self, pictures: int = 1) -> int:
        """Estimate what the plan takes with so many pictures at once; 0 if it isn't known."""
        return self._planner.estimate_peak_bytes(
            self._model, self._run.multiply(pictures), self.plan
        )

    def limit_batch(self, wanted: int) -> int:
        """Return how many of `wanted` pictures the plan can denoise at once, 1 or more."""
        if self._alone:
            return 1
        return self._planner.count_together(self._model, self._run, self.plan, wanted)

    def stop_batching(self) -> None:
        """Paint one picture at a time from now on: memory ran out with several."""
        self._alone = True

    def remember_failures(self) -> None:
        """Remember the plans that failed, so that they aren't tried again at about this size.

        Only for a job that has been painted: if no plan works, it may be because other programs
        use the memory.
        """
        self._planner.remember_failed(
            self._model, self._run, frozenset(self._failed), alone=self._alone
        )

    def list_warnings(self, asked: Size) -> tuple[str, ...]:
        """Return sentences about what was done to save memory, once the job is painted."""
        plan = self.plan
        if plan.part < 1:
            return (
                FieldMessage(
                    messages.painted_at_half_size(asked),
                    "width",
                ),
            )
        if plan.words:
            return (messages.settings_changed(plan.words, ran_out=bool(self._failed)),)
        if self._alone:
            return (messages.PAINTED_ONE_AT_A_TIME,)
        return ()
