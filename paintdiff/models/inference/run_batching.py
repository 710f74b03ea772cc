"""How many pictures a pipeline denoises at once. Imports torch: import it in a function."""

from __future__ import annotations

from PIL import Image

from paintdiff.models.acceleration.batch_tuning import StepTimer
from paintdiff.models.inference.denoising_run import Denoising
from paintdiff.models.inference.pipelines.calls import can_paint_several
from paintdiff.models.inference.pipelines.setup import PipelineSetup
from paintdiff.prompts.syntax import count_subprompts


class RunBatching:
    """Chooses batch sizes from the times of earlier runs on this machine.

    A batch changes the last bits of a picture, so only some profiles allow one. A run with a
    refiner (`has_refiner`), with windows or with a mask is always alone.
    """

    def __init__(self, setup: PipelineSetup, *, has_refiner: bool) -> None:
        self._setup = setup
        self._has_refiner = has_refiner

    def choose_batch_size(self, run: Denoising, wanted: int) -> int:
        """Return how many of `wanted` pictures are best denoised at once; 1 is one by one.

        Their runs differ from `run` in their seeds and variations alone.
        """
        tuning = self._setup.computing.batch_tuning
        most = min(wanted, self._setup.profile.pictures_together)
        if most < 2 or tuning is None or not self._can_batch(run):
            return 1
        return tuning.choose_batch_size(self._describe_kind(run), most)

    def record(self, run: Denoising, count: int, timer: StepTimer) -> None:
        """Learn from a run of `count` pictures how long its steps take."""
        tuning = self._setup.computing.batch_tuning
        may_batch = self._setup.profile.pictures_together >= 2
        if tuning is None or not may_batch or not self._can_batch(run):
            return
        seconds = timer.measure_seconds_per_step()
        if seconds is not None:
            tuning.record(self._describe_kind(run), count, seconds, timer.backend)

    def _can_batch(self, run: Denoising) -> bool:
        starts_from_latents = run.source is not None and not isinstance(
            run.source.image, Image.Image
        )
        repaints = run.source is not None and run.source.repainting is not None
        if self._has_refiner or starts_from_latents or repaints or len(run.windows) > 1:
            return False
        return can_paint_several(self._setup.pipeline)

    def _describe_kind(self, run: Denoising) -> str:
        guided = run.guidance_scale > 1
        kind = f"{self._setup.computing.kind} {run.size} {guided} {len(run.controls)}"
        parts = count_subprompts(run.prompt, run.reading.syntax)
        return kind if parts == 1 else f"{kind} AND {parts}"
