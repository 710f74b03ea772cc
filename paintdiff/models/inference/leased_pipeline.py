"""What a task gets to work with: a pipeline on loan. Imports torch: import it in a function."""

from __future__ import annotations

import logging
import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from PIL import Image

from paintdiff.errors import NotFiniteError
from paintdiff.imaging.geometry import Size
from paintdiff.models.acceleration.batch_tuning import StepTimer
from paintdiff.models.acceleration.kernel_choice import get_precision, synchronize
from paintdiff.models.acceleration.openvino_unet import ComputeChoice
from paintdiff.models.acceleration.sliced_attention import SlicedAttention
from paintdiff.models.adapters.applied import Adapted
from paintdiff.models.conditioning.clip_skip import (
    count_skipped_layers,
    skip_layers,
    takes_clip_skip,
)
from paintdiff.models.conditioning.near_words import replace_near_words
from paintdiff.models.conditioning.prompt_words import insert_embeddings
from paintdiff.models.inference.controlled_unet import check_fits
from paintdiff.models.inference.denoising_run import Denoising, Repainting, StepListener
from paintdiff.models.inference.full_precision import can_be_float32, moves_in_parts, run_in_float32
from paintdiff.models.inference.inpaint_masks import (
    SoftMask,
    make_latent_mask,
    make_mask_picture,
    make_soft_latent_mask,
)
from paintdiff.models.inference.latent_formats import (
    LAYOUTS,
    LatentSpace,
    latents_to_pixels,
    unscale_latents,
)
from paintdiff.models.inference.noise import prepare_noise
from paintdiff.models.inference.pipeline_calls import (
    build_call_settings,
    build_listener_settings,
    can_paint_several,
    is_guided_by_prompt,
    without_guidance,
)
from paintdiff.models.inference.pipeline_overrides import (
    choose_vae,
    filter_supported,
    find_unsupported,
    override_pipeline,
)
from paintdiff.models.inference.previews import LinearPreview, Preview, PreviewRateLimit, PreviewTap
from paintdiff.models.inference.refiner import (
    HandOver,
    adapt_handed_latents,
    build_span_settings,
    count_steps_between,
    hand_over_latents,
)
from paintdiff.models.inference.schedulers import make_scheduler
from paintdiff.models.loading.pipelines import (
    LoadedControlNet,
    LoadedModel,
    assemble_pipeline,
    get_denoiser,
    sees_masks,
)
from paintdiff.models.memory import usage
from paintdiff.models.memory.plans import USUAL_PLAN, Plan
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.samplers import SAMPLERS
from paintdiff.models.registry.speed_profiles import EXACT, Profile

logger = logging.getLogger(__name__)


class LeasedPipeline:
    """A diffusers pipeline over shared weights, with a scheduler of its own, for one thread.

    `pipeline` is the diffusers object itself, `class_name` its class's name, `row` the model's row,
    `known_words` all the words it knows (lower case), None if it has no such list, `near_words`
    what it reads in place of some others. `controlnets` are those that a run's controls may name,
    by their names; `adapted` is what the model was given for this lease, and `refiner` a second
    model that may take over. There are previews if the model has a map to colours, or
    `tiny_autoencoder`, the decoder of one for its family
    (`tiny_autoencoder.load_tiny_autoencoder`), is given. `plan` says how large the tiles of its VAE
    are; the rest of it is done by whoever made the lease. `profile` is what of the one asked for
    the model can have, `find_unsupported` the rest in words, `computing` how it is computed. Raises
    ModelLoadError if something doesn't fit the model, or the model can't do `task`.
    """

    def __init__(  # noqa: PLR0913 (all that a lease brings together)
        self,
        loaded: LoadedModel,
        task: str,
        controlnets: Sequence[LoadedControlNet] = (),
        *,
        previews: bool = True,
        adapted: Adapted | None = None,
        refiner: LeasedPipeline | None = None,
        tiny_autoencoder: Any = None,
        plan: Plan = USUAL_PLAN,
        profile: Profile = EXACT,
        computing: ComputeChoice | None = None,
    ) -> None:
        self.adapted = adapted if adapted is not None else Adapted()
        self.refiner = refiner
        loaded = replace(loaded, components={**loaded.components, **self.adapted.components})
        self.pipeline = assemble_pipeline(loaded, task)
        self._loaded = loaded
        self._previews, self._tiny_autoencoder = previews, tiny_autoencoder
        self._others: dict[str, LeasedPipeline] = {}
        self.row: ModelRow = loaded.row
        self.plan = plan
        self.class_name = type(self.pipeline).__name__
        self.controlnets = {each.row.name: each for each in controlnets}
        for each in controlnets:
            check_fits(each, self.denoiser, loaded.row.title)
        self.model_hash = loaded.model_hash
        self.known_words = loaded.known_words
        self.subjects = loaded.subjects
        learnt = self.adapted.tokens
        self.near_words = {w: near for w, near in loaded.near_words.items() if w not in learnt}
        self._layout = LAYOUTS[loaded.row.family.latent_layout]
        self._model_scheduler_class = type(self.pipeline.scheduler).__name__
        self._model_scheduler_config = dict(self.pipeline.scheduler.config)
        self.computing = computing if computing is not None else ComputeChoice()
        self.left_out: tuple[str, ...] = ()
        self.repeated: set[str] = set()
        """What is computed in float32 from now on, after NaN values: "denoised", "decoded"."""
        if refiner is not None:
            refiner.repeated = self.repeated
        self.follow(profile)
        self._preview = _preview_of(loaded, tiny_autoencoder) if previews else None
        self._governor = PreviewRateLimit()

    def follow(self, profile: Profile) -> None:
        """Let its runs from now on be as exact as that, or as the model can't but be."""
        self.profile = filter_supported(self.denoiser, self.row.family, profile)
        self.left_out = find_unsupported(profile, self.profile)

    @property
    def denoiser(self) -> Any:
        """The network that predicts: the pipeline's UNet or transformer."""
        return get_denoiser(self.pipeline, self.row.family)

    @property
    def tokenizer(self) -> Any:
        """The tokenizer that splits the longest prompt that the model can read; None if it has none
        (or only one that we don't know of).
        """
        names = (self.row.family.tokenizer, "tokenizer", "tokenizer_2")
        found = (getattr(self.pipeline, name, None) for name in names)
        return next((each for each in found if each is not None), None)

    @property
    def max_prompt_tokens(self) -> int:
        """How many tokens of a prompt are read, those that begin and end it included."""
        family = self.row.family
        lacking = getattr(self.pipeline, family.tokenizer, None) is None  # SD 3 without its T5
        most = self.tokenizer.model_max_length
        return most if lacking else min(family.max_prompt_tokens, most)

    @property
    def sees_masks(self) -> bool:
        """Whether the denoiser takes the mask and the masked picture as input (9 channels): a model
        trained to inpaint. Others (4 channels) are made to by blending at every step.
        """
        return sees_masks(self.denoiser, self.row.family.latent_channels)

    @property
    def guided_by_words(self) -> bool:
        """Whether a negative prompt can have an effect at all."""
        return is_guided_by_prompt(self.pipeline, self.row.family, self.denoiser)

    def unguided(self, guidance_scale: float, negative_prompt: str) -> bool:
        """Whether a guidance scale above 1 has no effect with that negative prompt."""
        return without_guidance(self.row.family, self.denoiser, guidance_scale, negative_prompt)

    @property
    def of_unknown_family(self) -> bool:
        """Whether the pipeline is one that diffusers chose, because no family has it."""
        return self.class_name not in self.row.family.pipelines.values()

    def for_task(self, task: str) -> LeasedPipeline:
        """A pipeline for another task over the same weights and ControlNets; nothing is loaded.

        It is on loan as long as this one. Raises ModelLoadError if the model can't do the task.
        """
        if task not in self._others:
            self._others[task] = LeasedPipeline(
                self._loaded,
                task,
                tuple(self.controlnets.values()),
                previews=self._previews,
                adapted=self.adapted,
                refiner=self.refiner,
                tiny_autoencoder=self._tiny_autoencoder,
                plan=self.plan,
                profile=self.profile,
                computing=self.computing,
            )
            self._others[task].repeated = self.repeated
        return self._others[task]

    def together(self, run: Denoising, wanted: int) -> int:
        """How many of `wanted` pictures of such runs, which differ in their seeds and variations
        alone, are best denoised at once. More than one only where the profile lets last bits change
        for it, and where real runs have shown (or are about to) that it is quicker here.
        """
        most = min(wanted, self.profile.pictures_together)
        if most < 2 or self.computing.together is None or not self._can_together(run):
            return 1
        return self.computing.together.most(self._kind(run), most)

    def _can_together(self, run: Denoising) -> bool:
        picture = run.source is None or isinstance(run.source.image, Image.Image)
        repaints = run.source is not None and run.source.repainting is not None
        alone = self.refiner is None and len(run.windows) < 2 and not repaints
        return picture and alone and can_paint_several(self.pipeline)

    def _kind(self, run: Denoising) -> str:
        guided = run.guidance_scale > 1
        return f"{self.computing.kind} {run.size} {guided} {len(run.controls)}"

    def denoised(
        self, run: Denoising, on_step: StepListener, others: Sequence[Denoising] = ()
    ) -> torch.Tensor:
        """Denoise from pure noise, or from the picture in `run.source`, and `others` at once with
        it, which differ in their seeds and variations alone, and are as few as `together` says.

        Returns latents (pictures, channels, height / f, width / f), scaled, not decoded; of a
        pipeline that decodes by itself pixels (pictures, 3, height, width), 0..1.

        What `on_step` raises ends the run at that step and comes out unchanged. Where half
        precision gives NaN values it is denoised again in float32, if the weights can be cast.
        Raises RequestError for a clip skip that the model has too few layers for.
        """
        if self.refiner is not None and self.hand_over(run).happens:
            return hand_over_latents(self, self.refiner, run, self.hand_over(run), on_step)
        if "denoised" not in self.repeated:
            latents = self._denoised(run, on_step, others)
            if latents.isfinite().all() or not self._can_repeat(self._networks):
                return latents
            logger.warning("%s gave NaN values; denoising again in float32", self.row.name)
            self.repeated.add("denoised")
        with self._in_full_precision(self._networks):
            return self._denoised(run, on_step, others)

    @property
    def _networks(self) -> list[torch.nn.Module]:
        parts = [*self.pipeline.components.values()]
        parts += [each.network for each in self.controlnets.values()]
        return [each for each in parts if isinstance(each, torch.nn.Module)]

    def _can_repeat(self, networks: Sequence[torch.nn.Module]) -> bool:
        """Return whether float32 is more precise here than what was computed in, and the weights
        can be cast.
        """
        more = self.computing.kernels.bfloat16 or can_be_float32(networks)
        return more and not moves_in_parts(networks)

    @contextmanager
    def _in_full_precision(self, networks: Sequence[torch.nn.Module]) -> Generator[None]:
        usual = self.computing
        kernels = replace(usual.kernels, bfloat16=False)
        self.computing = replace(usual, kernels=kernels, engine=None)
        try:
            with run_in_float32(networks):
                yield
        finally:
            self.computing = usual

    def _denoised(
        self, run: Denoising, on_step: StepListener, others: Sequence[Denoising]
    ) -> torch.Tensor:
        self.adapted.rest()
        self.pipeline.scheduler = self._scheduler_of(run)
        space = LatentSpace.of(self._layout, run.size, self._factor)
        tap = self._attached_tap(run, space)
        repainting = run.source.repainting if run.source is not None else None
        mask, soft, emptied = (
            self._masks(repainting, run) if repainting is not None else ({}, None, None)
        )

        timer = StepTimer(self.computing.calls, partial(synchronize, self._loaded.device))

        def step_ended(index: int, num_calls: int) -> None:
            timer.step_ended()
            # Some samplers ask the model more than once a step, so the calls are scaled to steps.
            step = math.ceil((index + 1) * run.steps_run / num_calls)
            on_step(step, tap.latest if tap is not None else None)
            if soft is not None:
                soft.step_ended(index, num_calls)

        output_type = "pt" if self._layout.decoded else "latent"
        vae = self._vae_for(run.size)
        worded = replace(
            run,
            prompt=self.in_tokens(run.prompt),
            negative_prompt=self.in_tokens(run.negative_prompt),
        )
        seeds = [each.seed for each in others]
        settings = build_call_settings(
            self.pipeline, self.row.family, self.denoiser, worded, output_type, seeds
        )
        settings |= mask | build_listener_settings(self.pipeline, step_ended)
        settings |= self._adapter_settings(run)
        with ExitStack() as changes:
            changes.enter_context(self._attention())
            changes.enter_context(prepare_noise(self.pipeline, (run, *others), space, emptied))
            changes.enter_context(adapt_handed_latents(self.pipeline, run))
            changes.enter_context(skip_layers(self.pipeline, run.clip_skip))
            changes.enter_context(self._remembered_prompts(run))
            changes.enter_context(
                override_pipeline(
                    self.pipeline,
                    run,
                    self.controlnets,
                    vae,
                    self.profile,
                    self.computing,
                    1 + len(others),
                )
            )
            if soft is not None:
                changes.enter_context(soft.held(self.pipeline, self._layout))
            latents = space.unpacked(self.pipeline(**settings).images)
        self._timed(run, 1 + len(others), timer)
        return latents

    def _timed(self, run: Denoising, pictures: int, timer: StepTimer) -> None:
        """Learn from a run how long its steps take."""
        together = self.computing.together
        if together is None or self.profile.pictures_together < 2 or not self._can_together(run):
            return
        seconds = timer.seconds_a_step()
        if seconds is not None:
            together.timed(self._kind(run), pictures, seconds, timer.engine)

    def _remembered_prompts(self, run: Denoising) -> AbstractContextManager[None]:
        """While inside, words that were read before aren't read again. (In float32 they are: what
        is remembered is in the usual precision.)
        """
        if self.adapted.prompts is None or "denoised" in self.repeated:
            return nullcontext()
        state = (self.adapted.reads_by, count_skipped_layers(self.pipeline, run.clip_skip))
        return self.adapted.prompts.remembered(self.pipeline, state)

    def in_tokens(self, text: str) -> str:
        """A prompt as it goes to the tokenizer: words that name the lease's embeddings replaced,
        and unknown ones by the nearest that the model knows.
        """
        near, _replaced = replace_near_words(text, self.near_words)
        return insert_embeddings(near, self.adapted.tokens)

    @property
    def hashes(self) -> Mapping[str, str]:
        """What identifies the adapters, the other VAE ("VAE") and the refiner ("refiner")."""
        refined = {} if self.refiner is None else {"refiner": self.refiner.model_hash}
        return {**self.adapted.hashes, **refined}

    @property
    def takes_clip_skip(self) -> bool:
        """Whether the model's pipeline can leave out a text encoder's last layers."""
        return takes_clip_skip(self.pipeline)

    def clip_skip_acts(self, clip_skip: int) -> bool:
        """Whether it makes a difference. Raises RequestError as `denoised` does."""
        return count_skipped_layers(self.pipeline, clip_skip) > 0

    def hand_over(self, run: Denoising, strength: float | None = None) -> HandOver:
        """How many steps of a run are this model's and how many the refiner's; at that `strength`,
        None for the run's own.
        """
        theirs = self if self.refiner is None else self.refiner
        first, second = self._scheduler_of(run), theirs._scheduler_of(run)
        own = run.source.strength if run.source is not None else 1.0
        return count_steps_between(first, second, run, own if strength is None else strength)

    def _scheduler_of(self, run: Denoising) -> Any:
        return make_scheduler(
            run.sampler,
            self._model_scheduler_config,
            self._model_scheduler_class,
            run.num_inference_steps,
        )

    def _adapter_settings(self, run: Denoising) -> Mapping[str, Any]:
        settings = build_span_settings(run)
        if run.ip_pictures and "image_encoder" in self.adapted.components:
            settings["ip_adapter_image"] = list(run.ip_pictures)
        return settings

    @property
    def _factor(self) -> int:
        """How many pixels a latent is wide."""
        return getattr(self.pipeline, "vae_scale_factor", 8)

    def _attached_tap(self, run: Denoising, space: LatentSpace) -> PreviewTap | None:
        if self._preview is None:
            return None
        exploding = SAMPLERS[run.sampler].variance_exploding
        tap = PreviewTap(self._preview, run.size, space, exploding, self._governor)
        tap.attach(self.pipeline.scheduler)
        return tap

    def _masks(
        self, repainting: Repainting, run: Denoising
    ) -> tuple[dict[str, Any], SoftMask | None, torch.Tensor | None]:
        """What an inpainting pipeline is told beyond the rest; the mask that changes as it runs;
        and where the latents are replaced (1, 1, height, width; 0 or 1).
        """
        mask, soft = make_latent_mask(repainting.mask, self._factor), None
        if repainting.soft and not self.sees_masks:
            soft = SoftMask(make_soft_latent_mask(repainting.mask, self._factor))
            mask = soft.at(0, run.steps_run)
        emptied: torch.Tensor | None = None
        if repainting.latent_content != "original":
            emptied = make_latent_mask(repainting.mask, self._factor)
            if repainting.strokes is not None:
                emptied = emptied * (1 - make_latent_mask(repainting.strokes, self._factor))
        return {"mask_image": make_mask_picture(mask, self._factor)}, soft, emptied

    def enlarged(self, latents: torch.Tensor, size: Size) -> torch.Tensor:
        """The latents of a picture of that size in pixels, bilinearly interpolated, as the A1111
        web UI's "Latent" does. Shapes are as of `denoised`.
        """
        shape = (size.height // self._factor, size.width // self._factor)
        return torch.nn.functional.interpolate(latents, size=shape, mode="bilinear")

    def decoded(self, latents: torch.Tensor) -> Image.Image:
        """The picture of what `denoised` has returned: RGB, 8 bits.

        Where half precision gives NaN values it is decoded again in float32. Raises NotFiniteError
        if that doesn't help.
        """
        processor = self.pipeline.image_processor
        if self._layout.decoded:
            return processor.numpy_to_pil(processor.pt_to_numpy(latents))[0]
        height, width = latents.shape[-2:]
        size = Size(width * self._factor, height * self._factor)
        usage.trim_memory()  # what denoising had
        if self.decodes_tiny:
            pixels = self._tiny_pixels(latents, size)
        else:
            pixels = self._pixels(latents, size)
        self._check_finite(latents, pixels)
        if self.computing.kernels.bfloat16:
            pixels = pixels.float()  # else levels would be rounded to halves of a step
        return processor.postprocess(pixels, output_type="pil")[0]

    def _attention(self) -> AbstractContextManager[object]:
        """While inside, attention is computed as the plan says."""
        return SlicedAttention() if self.plan.sliced_attention else nullcontext()

    def _pixels(self, latents: torch.Tensor, size: Size) -> torch.Tensor:
        """What the VAE makes of scaled latents: (1, 3, height, width), about -1..1."""
        network = [self.pipeline.vae]
        if "decoded" not in self.repeated:
            pixels = self._decoded(latents, size)
            repeats = latents.isfinite().all() and self._can_repeat(network)
            if pixels.isfinite().all() or not repeats:
                return pixels
            logger.warning("%s's VAE gave NaN values; decoding in float32", self.row.name)
            self.repeated.add("decoded")
        with self._in_full_precision(network):
            return self._decoded(latents, size)

    def _decoded(self, latents: torch.Tensor, size: Size) -> torch.Tensor:
        vae = self._vae_for(size)
        with get_precision(self.computing.kernels, self._loaded.device), self._attention():
            return latents_to_pixels(unscale_latents(latents.to(vae.dtype), vae), vae, self._layout)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was computed in float32 after half precision had failed, as sentences for people."""
        done = [each for each in ("denoised", "decoded") if each in self.repeated]
        if not done:
            return ()
        return (
            f"Half precision produced NaN values with {self.row.title}, so it was "
            f"{' and '.join(done)} again in float32, which takes longer. Another VAE or model "
            "may avoid this.",
        )

    @property
    def decodes_tiny(self) -> bool:
        """Whether a tiny autoencoder decodes in place of the VAE: the profile takes one where there
        is one, unless a VAE was chosen, or the pipeline decodes by itself.
        """
        if self.profile.decoder != "tiny" or self._tiny_autoencoder is None:
            return False
        return not self._layout.decoded and "vae" not in self.adapted.components

    @property
    def notes(self) -> tuple[str, ...]:
        """What a picture's notes say of how it was decoded."""
        if not self.decodes_tiny:
            return ()
        return ("Decoded by a tiny autoencoder in place of the VAE: fine details differ.",)

    def _tiny_pixels(self, latents: torch.Tensor, size: Size) -> torch.Tensor:
        """What a tiny autoencoder makes of scaled latents: (1, 3, height, width), about -1..1."""
        from paintdiff.models.inference.tiny_autoencoder import TinyVAE  # noqa: PLC0415 (few have one)

        tiny = TinyVAE(self._tiny_autoencoder, self._loaded.device)
        (pixels,) = choose_vae(tiny, size, self._factor, None, self.plan.vae_tile_px).decode(
            latents
        )
        return pixels

    def _vae_for(self, size: Size) -> Any:
        """What can take a picture of that size in pixels."""
        most = self.row.family.vae_whole_px
        return choose_vae(self.pipeline.vae, size, self._factor, most, self.plan.vae_tile_px)

    def _check_finite(self, latents: torch.Tensor, pixels: torch.Tensor) -> None:
        if pixels.isfinite().all():
            return
        if latents.isfinite().all():
            raise NotFiniteError(
                f"The VAE of {self.row.title} produced NaN values, so the image can't be "
                "decoded. Choose another VAE."
            )
        raise NotFiniteError(
            f"{self.row.title} produced NaN values, so there is no picture. Remove its LoRAs or "
            "lower their weights, lower the guidance, or choose another model."
        )

    def release(self) -> None:
        """Undo what a run that was broken off may have left behind."""
        self.pipeline.maybe_free_model_hooks()
        others = [*self._others.values(), *([] if self.refiner is None else [self.refiner])]
        for other in others:
            other.release()


def _preview_of(loaded: LoadedModel, tiny_autoencoder: Any) -> Preview | None:
    if tiny_autoencoder is not None:
        from paintdiff.models.inference.tiny_autoencoder import TinyPreview  # noqa: PLC0415 (few have one)

        return TinyPreview(tiny_autoencoder, loaded.device)
    if loaded.latent_rgb is None:
        return None
    return LinearPreview(loaded.latent_rgb, loaded.device)
