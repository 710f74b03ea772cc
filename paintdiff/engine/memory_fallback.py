"""How a job goes down from plan to plan as memory runs out, and what a person is told of it."""

from __future__ import annotations

from paintdiff.errors import MemoryBudgetError
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.messages import FieldMessage
from paintdiff.models.memory.planner import Planner
from paintdiff.models.memory.plans import Plan, RunFacts
from paintdiff.models.registry.model_rows import ModelRow


class MemoryFallback:
    """The ladder of one job. Raises MemoryBudgetError if no plan is thought to fit."""

    def __init__(self, planner: Planner, model: ModelRow, run: RunFacts) -> None:
        self._planner, self._model, self._run = planner, model, run
        self._ladder = planner.ladder(model, run)
        self._failed: list[Plan] = []
        self._alone = False

    @property
    def plan(self) -> Plan:
        """The one to paint by now."""
        return self._ladder.planned.plan

    @property
    def last_whole(self) -> bool:
        """Whether no other plan is left that paints the size that was asked for."""
        return self._ladder.last_whole

    def step_down(self, short: MemoryBudgetError) -> None:
        """Go to the next plan after memory ran out in the one that there is.

        What was refused before it was tried (it has a budget in `needed_bytes`) is only worth
        another try with less weights. Raises `short` if there is no other plan.
        """
        failed, refused = self.plan, short.needed_bytes is not None
        if not self._ladder.step_down(lighter=refused):
            raise short
        if not refused:
            self._failed.append(failed)

    def peak_bytes(self, pictures: int = 1) -> int:
        """What the plan is thought to take with so many pictures at once; 0 if nobody knows."""
        return self._planner.peak_bytes(self._model, self._run.times(pictures), self.plan)

    def most_together(self, wanted: int) -> int:
        """How many of `wanted` pictures may be denoised at once by the plan, 1 or more."""
        if self._alone:
            return 1
        return self._planner.most_together(self._model, self._run, self.plan, wanted)

    def go_alone(self) -> None:
        """One picture at a time from now on: memory ran out with several."""
        self._alone = True

    def arrived(self) -> None:
        """It is painted: from now on what failed isn't tried again at about this size. (Where
        nothing helped it is: others may have had the memory.)
        """
        self._planner.remember_failed(
            self._model, self._run, frozenset(self._failed), alone=self._alone
        )

    def remarks(self, asked: Size) -> tuple[str, ...]:
        """What was done to save memory, as sentences for people, once it is painted."""
        plan = self.plan
        if plan.part < 1:
            return (
                FieldMessage(
                    f"Not enough memory for {asked}, so the picture was painted at HALF the "
                    "size. Choose a smaller size or model, or upscale the result.",
                    "width",
                ),
            )
        if plan.words:
            why = "Memory ran out, so the" if self._failed else "To fit into memory, the"
            return (f"{why} settings were changed: {plan.words}.",)
        if self._alone:
            return (
                "Memory ran out with several pictures at once, so they were painted one at a time.",
            )
        return ()
