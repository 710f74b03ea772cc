"""What a task paints with: a pipeline on loan. Imports torch: import it in a function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from PIL import Image

from paintdiff.imaging.geometry import Size
from paintdiff.models.acceleration.openvino.unet import ComputeChoice
from paintdiff.models.adapters.applied import LeasedAdapters
from paintdiff.models.conditioning.prompt_encoder import PromptEncoder, Vocabulary
from paintdiff.models.inference.controlled_unet import check_fits
from paintdiff.models.inference.denoising_run import Denoising, StepListener
from paintdiff.models.inference.full_precision import Float32Retry
from paintdiff.models.inference.latent_decoder import LatentDecoder
from paintdiff.models.inference.latent_denoiser import LatentDenoiser
from paintdiff.models.inference.pipelines.calls import ignores_guidance, is_guided_by_prompt
from paintdiff.models.inference.pipelines.overrides import filter_supported, find_unsupported
from paintdiff.models.inference.pipelines.setup import PipelineSetup
from paintdiff.models.inference.previews.decoded_preview import DecodedPreview
from paintdiff.models.inference.previews.latent_formats import upscale_latents
from paintdiff.models.inference.previews.preview import LinearPreview, Preview, PreviewRateLimit
from paintdiff.models.inference.refiner import HandOver, count_steps_between, hand_over_latents
from paintdiff.models.inference.run_batching import RunBatching
from paintdiff.models.inference.schedulers import ModelScheduler
from paintdiff.models.loading.pipelines import (
    LoadedControlNet,
    LoadedModel,
    assemble_pipeline,
    get_denoiser,
)
from paintdiff.models.memory.plans import USUAL_PLAN, Plan
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.speed_profiles import EXACT, Profile


@dataclass(frozen=True)
class LeaseTerms:
    """What a lease of a model brings with it.

    Attributes:
        controlnets: The ControlNets that a run may use.
        adapters: What the model has for this lease.
        refiner: A lease of the second model; None without one.
        tiny_autoencoder: The decoder that `load_tiny_autoencoder` returns, for the model's family;
            None without one.
        plan: Says how attention and the VAE save memory. Its placement of weights is the caller's.
        profile: How exact a run has to be.
        computing: How the networks are computed.
        every_step: Whether each step has a preview, decoded like a picture where that takes no
            more memory.
    """

    controlnets: Sequence[LoadedControlNet] = ()
    adapters: LeasedAdapters = field(default_factory=LeasedAdapters)
    refiner: LeasedPipeline | None = None
    tiny_autoencoder: Any = None
    plan: Plan = USUAL_PLAN
    profile: Profile = EXACT
    computing: ComputeChoice = field(default_factory=ComputeChoice)
    every_step: bool = False


class LeasedPipeline:
    """A diffusers pipeline over shared weights, for one task and one thread.

    The lease holds the networks: it puts a pipeline together, and releases it. What it paints is
    done by its parts: `prompts` read the text, a `LatentDenoiser` denoises, a `LatentDecoder`
    decodes. All that a task needs of them is a method here.

    Attributes:
        pipeline: The diffusers object, with a scheduler of its own.
        row: The model's row.
        model_hash: The hash of the model's weights.
        prompts: What the model reads of a prompt.
        controlnets: Those that a run's controls may name, by name.
        adapters: The LoRAs, embeddings and so on that the model has for this lease.
        refiner: A second model that may take over a run; None without one.
        profile: What the model supports of the speed profile that was asked for.
        unsupported: The names of the features of that profile that it doesn't support.
        computing: How the networks are computed.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        task: str,
        terms: LeaseTerms | None = None,
        *,
        float32: Float32Retry | None = None,
    ) -> None:
        """Put a pipeline for `task` together; no weights are loaded.

        Args:
            loaded: The model.
            task: A key of its family's `pipelines`.
            terms: What the lease brings with it; None: nothing.
            float32: The stages that are computed in float32 already; None: none, or the refiner's.

        Raises:
            ModelLoadError: The model can't do the task, or a ControlNet doesn't fit it.
        """
        self._terms = terms = terms if terms is not None else LeaseTerms()
        self.adapters, self.refiner = terms.adapters, terms.refiner
        self.computing = terms.computing
        self._loaded = loaded = replace(
            loaded, components={**loaded.components, **self.adapters.components}
        )
        self.pipeline = assemble_pipeline(loaded, task)
        self.row: ModelRow = loaded.row
        self.model_hash = loaded.model_hash
        denoiser = get_denoiser(self.pipeline, self.row.family)
        self.controlnets = _check_controlnets(terms.controlnets, denoiser, self.row.title)
        self.profile = filter_supported(denoiser, self.row.family, terms.profile)
        self.unsupported = find_unsupported(terms.profile, self.profile)
        self._float32 = self._make_float32_retry() if float32 is None else float32
        self.prompts = _make_prompt_encoder(self.pipeline, loaded, self.adapters)
        parts = (self.pipeline, self.row, loaded.device, terms.plan, self.profile)
        self._setup = PipelineSetup(*parts, self.computing, self._float32)
        self._scheduler = ModelScheduler.of(self.pipeline.scheduler)
        self._batching = RunBatching(self._setup, has_refiner=self.refiner is not None)
        has_chosen_vae = "vae" in self.adapters.components  # it decodes by itself
        tiny_autoencoder = None if has_chosen_vae else terms.tiny_autoencoder
        self._decoder = LatentDecoder(self._setup, tiny_autoencoder)
        self._denoiser = self._make_denoiser()
        self._other_tasks: dict[str, LeasedPipeline] = {}

    def _make_denoiser(self) -> LatentDenoiser:
        return LatentDenoiser(
            self._setup,
            self.prompts,
            self._scheduler,
            self._batching,
            self.controlnets,
            self.adapters,
            self._make_preview(),
            PreviewRateLimit(1.0) if self._terms.every_step else PreviewRateLimit(),
        )

    def _make_preview(self) -> Preview | None:
        resident = self._terms.plan.placement == "resident"  # else the denoiser would have to move
        if self._terms.every_step and resident and not self._setup.layout.decoded:
            return DecodedPreview(self._decoder.fork())
        return _make_preview(self._loaded, self._terms.tiny_autoencoder)

    def _make_float32_retry(self) -> Float32Retry:
        retried = None if self.refiner is None else self.refiner._float32.retried
        return Float32Retry(self.computing, self.row.title, retried)

    @property
    def denoiser(self) -> Any:
        """Return the network that predicts: the pipeline's UNet or transformer."""
        return self._setup.denoiser

    @property
    def sees_masks(self) -> bool:
        """Return whether the model was trained to inpaint."""
        return self._setup.sees_masks

    @property
    def is_of_unknown_family(self) -> bool:
        """Return whether diffusers chose the pipeline's class, because no family has it."""
        return type(self.pipeline).__name__ not in self.row.family.pipelines.values()

    @property
    def takes_negative_prompt(self) -> bool:
        """Return whether a negative prompt can have an effect."""
        return is_guided_by_prompt(self.pipeline, self.row.family, self.denoiser)

    def ignores_guidance(self, guidance_scale: float, negative_prompt: str) -> bool:
        """Return whether a guidance scale above 1 has no effect with that negative prompt."""
        return ignores_guidance(self.row.family, self.denoiser, guidance_scale, negative_prompt)

    @property
    def hashes(self) -> Mapping[str, str]:
        """Return the hashes of adapters, of a chosen VAE ("VAE") and of the refiner ("refiner")."""
        refined = {} if self.refiner is None else {"refiner": self.refiner.model_hash}
        return {**self.adapters.hashes, **refined}

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what was computed in float32 after half precision failed, in sentences."""
        return self._float32.warnings

    @property
    def notes(self) -> tuple[str, ...]:
        """Return the notes that each of its pictures gets, in sentences."""
        return self._decoder.notes

    def for_task(self, task: str) -> LeasedPipeline:
        """Return a pipeline for another task over the same weights; nothing is loaded.

        It is on loan as long as this one.

        Raises:
            ModelLoadError: The model can't do the task.
        """
        if task not in self._other_tasks:
            terms = replace(self._terms, profile=self.profile)
            self._other_tasks[task] = LeasedPipeline(
                self._loaded, task, terms, float32=self._float32
            )
        return self._other_tasks[task]

    def choose_batch_size(self, run: Denoising, wanted: int) -> int:
        """Return how many of `wanted` pictures are best denoised at once; 1 is one by one.

        Their runs differ from `run` in their seeds and variations alone. It is more than 1 only
        where the profile lets last bits change, and where earlier runs showed (or are about to
        show) that it is faster on this machine.
        """
        return self._batching.choose_batch_size(run, wanted)

    def plan_hand_over(self, run: Denoising, strength: float | None = None) -> HandOver:
        """Count the steps of a run that are this model's and those that are the refiner's.

        `strength` is 0..1; None is the run's own.
        """
        theirs = self if self.refiner is None else self.refiner
        name, steps = run.sampler, run.num_inference_steps
        first, second = (each._scheduler.make(name, steps) for each in (self, theirs))
        own = run.source.strength if run.source is not None else 1.0
        return count_steps_between(first, second, run, own if strength is None else strength)

    def denoise(
        self, run: Denoising, on_step: StepListener, others: Sequence[Denoising] = ()
    ) -> torch.Tensor:
        """Denoise from pure noise, or from the picture in `run.source`.

        `others` are denoised in one batch with it; there are as few as `choose_batch_size` says.
        What `on_step` raises ends the run at that step and comes out unchanged. Where half
        precision gives NaN values, the run is repeated in float32 if the weights can be cast.

        Returns:
            Latents (pictures, channels, height / f, width / f), scaled, not decoded; pixels
            (pictures, 3, height, width), 0..1, of a pipeline that decodes by itself.

        Raises:
            RequestError: The model has too few layers for the clip skip.
        """
        if self.refiner is not None:
            steps = self.plan_hand_over(run)
            if steps.happens:
                return hand_over_latents(self, self.refiner, run, steps, on_step)
        return self._denoiser.denoise(run, on_step, others)

    def upscale_latents(self, latents: torch.Tensor, size: Size) -> torch.Tensor:
        """Return latents for a picture of `size` in pixels, interpolated bilinearly.

        The A1111 web UI's upscaler "Latent" does the same. Shapes are those of `denoise`.
        """
        return upscale_latents(latents, size, self._setup.latent_px)

    def decode(self, latents: torch.Tensor) -> Image.Image:
        """Return the picture of one picture's latents from `denoise`: RGB, 8 bits.

        Where half precision gives NaN values, it is decoded again in float32.

        Raises:
            NotFiniteError: float32 gives NaN values too, or the latents hold them.
        """
        return self._decoder.decode(latents)

    def release(self) -> None:
        """Undo what a run that broke off may have left behind."""
        self.pipeline.maybe_free_model_hooks()
        others = [*self._other_tasks.values(), *([] if self.refiner is None else [self.refiner])]
        for other in others:
            other.release()


def _check_controlnets(
    controlnets: Sequence[LoadedControlNet], denoiser: Any, title: str
) -> Mapping[str, LoadedControlNet]:
    """Return the ControlNets by name. Raises ModelLoadError if one doesn't fit the denoiser."""
    for each in controlnets:
        check_fits(each, denoiser, title)
    return {each.row.name: each for each in controlnets}


def _make_prompt_encoder(
    pipeline: Any, loaded: LoadedModel, adapters: LeasedAdapters
) -> PromptEncoder:
    return PromptEncoder(
        pipeline,
        loaded.row.family,
        Vocabulary(loaded.known_words, loaded.near_words, loaded.subjects),
        tokens=adapters.tokens,
        cache=adapters.prompts,
        cache_state=adapters.prompt_state,
    )


def _make_preview(loaded: LoadedModel, tiny_autoencoder: Any) -> Preview | None:
    if tiny_autoencoder is not None:
        from paintdiff.models.inference.previews.tiny_autoencoder import TinyPreview  # noqa: PLC0415 (few have one)

        return TinyPreview(tiny_autoencoder, loaded.device)
    if loaded.latent_rgb is None:
        return None
    return LinearPreview(loaded.latent_rgb, loaded.device)
