"""One denoising run: from prompts, noise and pictures to latents.

Imports torch: import it in a function.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from paintdiff.models.acceleration.batch_tuning import StepTimer
from paintdiff.models.acceleration.kernel_choice import synchronize
from paintdiff.models.acceleration.openvino.unet import ComputeChoice
from paintdiff.models.adapters.applied import LeasedAdapters
from paintdiff.models.conditioning.clip_encoding import Remember
from paintdiff.models.conditioning.prompt_conditioning import (
    BranchedConditioning,
    Conditioning,
    PromptConditioning,
)
from paintdiff.models.conditioning.prompt_encoder import PromptEncoder
from paintdiff.models.conditioning.prompt_plan import PromptPlan
from paintdiff.models.inference.branching import BranchSwitch
from paintdiff.models.inference.denoising_run import Denoising, StepListener
from paintdiff.models.inference.inpaint_masks import SoftMask, prepare_masks
from paintdiff.models.inference.noise import prepare_noise
from paintdiff.models.inference.pipelines.calls import (
    OnStepEnd,
    build_call_settings,
    build_listener_settings,
)
from paintdiff.models.inference.pipelines.overrides import override_pipeline
from paintdiff.models.inference.pipelines.setup import PipelineSetup
from paintdiff.models.inference.previews.latent_formats import LatentSpace
from paintdiff.models.inference.previews.preview import Preview, PreviewRateLimit, PreviewTap
from paintdiff.models.inference.refiner import adapt_handed_latents, build_span_settings
from paintdiff.models.inference.run_batching import RunBatching
from paintdiff.models.inference.schedulers import ModelScheduler
from paintdiff.models.loading.pipelines import LoadedControlNet
from paintdiff.models.registry.samplers import SAMPLERS


class LatentDenoiser:
    """Runs a pipeline's denoising loop, with one scheduler per run.

    `controlnets` are those a run's controls may name. `preview` draws the picture as it is being
    denoised (None: no previews), as often as `preview_rate` allows.
    """

    def __init__(  # noqa: PLR0913 (all that takes part in a run)
        self,
        setup: PipelineSetup,
        prompts: PromptEncoder,
        scheduler: ModelScheduler,
        batching: RunBatching,
        controlnets: Mapping[str, LoadedControlNet],
        adapters: LeasedAdapters,
        preview: Preview | None,
        preview_rate: PreviewRateLimit,
    ) -> None:
        self._setup = setup
        self._prompts = prompts
        self._scheduler = scheduler
        self._batching = batching
        self._controlnets = controlnets
        self._adapters = adapters
        self._preview = preview
        self._preview_rate = preview_rate

    def denoise(
        self, run: Denoising, on_step: StepListener, others: Sequence[Denoising] = ()
    ) -> torch.Tensor:
        """Denoise `run`, and `others` in one batch with it; see `LeasedPipeline.denoise`."""

        def denoise(computing: ComputeChoice) -> torch.Tensor:
            return self._denoise(run, on_step, others, computing)

        return self._setup.float32.compute("denoised", self._collect_networks(), denoise)

    def _collect_networks(self) -> list[torch.nn.Module]:
        parts = [*self._setup.pipeline.components.values()]
        parts += [each.network for each in self._controlnets.values()]
        return [each for each in parts if isinstance(each, torch.nn.Module)]

    def _denoise(
        self,
        run: Denoising,
        on_step: StepListener,
        others: Sequence[Denoising],
        computing: ComputeChoice,
    ) -> torch.Tensor:
        setup, pipeline, count = self._setup, self._setup.pipeline, 1 + len(others)
        self._adapters.send_waiting_home()
        pipeline.scheduler = self._scheduler.make(run.sampler, run.num_inference_steps)
        space = LatentSpace.for_size(setup.layout, run.size, setup.latent_px)
        tap = self._attach_tap(run, space)
        masks = prepare_masks(run, setup.latent_px, sees_masks=setup.sees_masks)
        timer = StepTimer(computing.calls, partial(synchronize, setup.device))
        syntax, steps = run.reading.syntax, run.scheduled_steps
        plan = self._prompts.plan(
            run.prompt, run.negative_prompt, syntax, steps, run.timing.steps_before
        )
        texts = self._prompts.take_texts(plan, syntax)
        settings = self._build_settings(run, texts, others) | masks.settings
        # In float32 prompts are encoded every time: cached ones are in half precision.
        cached = "denoised" not in setup.float32.retried
        with ExitStack() as changes:
            changes.enter_context(setup.limit_attention())
            changes.enter_context(prepare_noise(pipeline, (run, *others), space, masks.emptied))
            changes.enter_context(adapt_handed_latents(pipeline, run))
            remember = changes.enter_context(
                self._prompts.encode_prompts(run.clip_skip, cached=cached)
            )
            own: PromptConditioning | None = None
            if texts is None:
                own = self._condition(run, plan, remember)
                settings |= own.build_settings()
            conditioning = self._condition_branches(run, own, remember)
            switch = BranchSwitch(pipeline, setup.row.family.guidance, run, settings["generator"])
            before_calls = [switch.begin_call]
            before_calls += [] if conditioning is None else [conditioning.begin_call]
            listener = _make_listener(run, on_step, timer, tap, masks.soft, before_calls)
            settings |= build_listener_settings(pipeline, listener)
            vae = setup.choose_vae(run.size)
            changes.enter_context(
                override_pipeline(
                    pipeline,
                    run,
                    self._controlnets,
                    vae,
                    setup.profile,
                    computing,
                    count,
                    conditioning,
                )
            )
            if masks.soft is not None:
                changes.enter_context(masks.soft.attach(pipeline, setup.layout))
            latents = space.unpack(pipeline(**settings).images)
        self._batching.record(run, count, timer)
        return latents

    def _condition(
        self, run: Denoising, plan: PromptPlan, remember: Remember
    ) -> PromptConditioning:
        steps, guided = run.scheduled_steps, run.guidance_scale > 1
        return self._prompts.condition(
            plan, run.reading, run.timing, steps, remember, guided=guided
        )

    def _condition_branches(
        self, run: Denoising, own: PromptConditioning | None, remember: Remember
    ) -> Conditioning | None:
        """Return the encodings of a run with those of its branches; `own` are its own."""
        if not run.changes_prompts:
            return own
        segments: list[tuple[int, PromptConditioning | None]] = [(0, own)]
        weights = (1.0,)
        for branch in run.branches:
            plan = self._prompts.plan(
                branch.prompt,
                branch.negative_prompt,
                run.reading.syntax,
                run.scheduled_steps,
                run.timing.steps_before,
            )
            segments.append((branch.after_step, self._condition(run, plan, remember)))
            weights = plan.weights
        return BranchedConditioning(segments, weights, run.timing, run.scheduled_steps)

    def _attach_tap(self, run: Denoising, space: LatentSpace) -> PreviewTap | None:
        if self._preview is None:
            return None
        exploding = SAMPLERS[run.sampler].variance_exploding
        tap = PreviewTap(self._preview, run.size, space, exploding, self._preview_rate)
        tap.attach(self._setup.pipeline.scheduler)
        return tap

    def _build_settings(
        self, run: Denoising, texts: tuple[str, str] | None, others: Sequence[Denoising]
    ) -> dict[str, Any]:
        """Return the pipeline's arguments, without prompts if there are no `texts` for it."""
        setup = self._setup
        prompt, negative_prompt = texts or ("", "")
        prepared = replace(run, prompt=prompt, negative_prompt=negative_prompt)
        output_type = "pt" if setup.layout.decoded else "latent"
        seeds = [each.seed for each in others]
        settings = build_call_settings(
            setup.pipeline, setup.row.family, setup.denoiser, prepared, output_type, seeds
        )
        if texts is None:
            del settings["prompt"]
        settings |= build_span_settings(run)
        if run.ip_pictures and "image_encoder" in self._adapters.components:
            settings["ip_adapter_image"] = list(run.ip_pictures)
        return settings


def _make_listener(
    run: Denoising,
    on_step: StepListener,
    timer: StepTimer,
    tap: PreviewTap | None,
    soft: SoftMask | None,
    before_calls: Sequence[OnStepEnd],
) -> OnStepEnd:
    def on_step_end(index: int, num_calls: int) -> None:
        timer.count_step()
        # Some samplers call the model more than once per step, so calls are scaled to steps.
        step = math.ceil((index + 1) * run.steps_run / num_calls)
        on_step(step, tap.latest if tap is not None else None)
        if soft is not None:
            soft.update(index, num_calls)
        for begin_call in before_calls:
            begin_call(index + 1, num_calls)

    return on_step_end
