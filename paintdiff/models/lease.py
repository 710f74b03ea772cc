"""What a task gets to work with: a pipeline on loan. Imports torch: import it in a function."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from PIL import Image

from paintdiff.geometry import Size
from paintdiff.models.adapting import Adapted
from paintdiff.models.blending import SoftMask, latent_mask, mask_picture, soft_latent_mask
from paintdiff.models.clip_skip import layers_skipped, skipped_layers, takes_clip_skip
from paintdiff.models.control import check_fits
from paintdiff.models.denoising import Denoising, StepListener
from paintdiff.models.embedding_words import with_embeddings
from paintdiff.models.loaders import LoadedControlNet, LoadedModel, new_pipeline, sees_masks
from paintdiff.models.model_rows import ModelRow
from paintdiff.models.noise import noise_generator, prepared_noise
from paintdiff.models.preview import Governor, LinearPreview, PreviewTap
from paintdiff.models.refining import (
    HandOver,
    handed_latents,
    handed_over,
    span_settings,
    steps_between,
)
from paintdiff.models.samplers import SAMPLERS, scheduler_for
from paintdiff.models.stand_ins import stood_in, vae_for


class LeasedPipeline:
    """A diffusers pipeline over shared weights, with a scheduler of its own, for one thread.

    `pipeline` is the diffusers object itself, `row` the model's row, `known_words` all the words it
    knows (lower case), None if it has no such list. `controlnets` are those that a run's controls
    may name, by their names; `adapted` is what the model was given for this lease, and `refiner` a
    second model that may take over. Raises ModelLoadError if one doesn't fit the model, or the
    model can't do `task`.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        task: str,
        controlnets: Sequence[LoadedControlNet] = (),
        *,
        previews: bool = True,
        adapted: Adapted | None = None,
        refiner: LeasedPipeline | None = None,
    ) -> None:
        self.adapted = adapted if adapted is not None else Adapted()
        self.refiner = refiner
        loaded = replace(loaded, components={**loaded.components, **self.adapted.components})
        self.pipeline = new_pipeline(loaded, task)
        self._loaded = loaded
        self._others: dict[str, LeasedPipeline] = {}
        self.controlnets = {each.row.name: each for each in controlnets}
        for each in controlnets:
            check_fits(each, self.pipeline.unet, loaded.row.title)
        self.row: ModelRow = loaded.row
        self.model_hash = loaded.model_hash
        self.known_words = loaded.known_words
        self._device = loaded.device
        self._model_scheduler_config = dict(self.pipeline.scheduler.config)
        self._preview = LinearPreview(loaded.latent_rgb, loaded.device) if previews else None
        self._governor = Governor()

    @property
    def tokenizer(self) -> Any:
        """The tokenizer that splits the prompt."""
        return self.pipeline.tokenizer

    @property
    def sees_masks(self) -> bool:
        """Whether the UNet takes the mask and the masked picture as input (9 channels): a model
        trained to inpaint. Others (4 channels) are made to by blending at every step.
        """
        return sees_masks(self.pipeline.unet, self.pipeline.vae)

    def for_task(self, task: str) -> LeasedPipeline:
        """A pipeline for another task over the same weights and ControlNets; nothing is loaded.

        It is on loan as long as this one. Raises ModelLoadError if the model can't do the task.
        """
        if task not in self._others:
            self._others[task] = LeasedPipeline(
                self._loaded,
                task,
                tuple(self.controlnets.values()),
                previews=self._preview is not None,
                adapted=self.adapted,
                refiner=self.refiner,
            )
        return self._others[task]

    def denoised(self, run: Denoising, on_step: StepListener) -> torch.Tensor:
        """Denoise from pure noise, or from the picture in `run.source`.

        Returns latents (1, channels, height / f, width / f), scaled, not decoded.

        What `on_step` raises ends the run at that step and comes out unchanged. Raises RequestError
        for a clip skip that the model has too few layers for.
        """
        if self.refiner is not None and self.hand_over(run).happens:
            return handed_over(self, self.refiner, run, self.hand_over(run), on_step)
        scheduler = scheduler_for(run.sampler, self._model_scheduler_config)
        self.pipeline.scheduler = scheduler
        tap: PreviewTap | None = None
        if self._preview is not None:
            exploding = SAMPLERS[run.sampler].variance_exploding
            tap = PreviewTap(self._preview, run.size, exploding, self._governor)
            tap.attach(scheduler)
        settings, soft_mask, emptied = self._source_settings(run)

        def step_ended(
            pipeline: Any, index: int, _timestep: object, _tensors: object
        ) -> dict[str, object]:
            # Some samplers ask the model more than once a step, so the calls are scaled to steps.
            step = math.ceil((index + 1) * run.steps_run / pipeline.num_timesteps)
            on_step(step, tap.latest if tap is not None else None)
            return {} if soft_mask is None else {"mask": soft_mask.after(pipeline, index)}

        with (
            self._vae_unchanged(),
            prepared_noise(self.pipeline, run, emptied),
            handed_latents(self.pipeline, run),
            skipped_layers(self.pipeline, run.clip_skip),
            stood_in(self.pipeline, run, self.controlnets),
        ):
            return self.pipeline(
                prompt=self.in_tokens(run.prompt),
                # SDXL has its own idea of no words.
                negative_prompt=self.in_tokens(run.negative_prompt) or None,
                num_inference_steps=run.num_inference_steps,
                guidance_scale=run.guidance_scale,
                generator=noise_generator(run.seed),
                output_type="latent",
                callback_on_step_end=step_ended,
                callback_on_step_end_tensor_inputs=[],
                **settings,
                **self._adapter_settings(run),
            ).images

    def in_tokens(self, text: str) -> str:
        """A prompt as it goes to the tokenizer: words that name the lease's embeddings replaced."""
        return with_embeddings(text, self.adapted.tokens)

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
        return layers_skipped(self.pipeline, clip_skip) > 0

    def hand_over(self, run: Denoising, strength: float | None = None) -> HandOver:
        """How many steps of a run are this model's and how many the refiner's; at that `strength`,
        None for the run's own.
        """
        theirs = self if self.refiner is None else self.refiner
        first, second = self._scheduler_of(run), theirs._scheduler_of(run)
        own = run.source.strength if run.source is not None else 1.0
        return steps_between(first, second, run, own if strength is None else strength)

    def _scheduler_of(self, run: Denoising) -> Any:
        return scheduler_for(run.sampler, self._model_scheduler_config)

    def _adapter_settings(self, run: Denoising) -> Mapping[str, Any]:
        settings = span_settings(run)
        if run.ip_pictures and "image_encoder" in self.adapted.components:
            settings["ip_adapter_image"] = list(run.ip_pictures)
        return settings

    def _source_settings(
        self, run: Denoising
    ) -> tuple[dict[str, Any], SoftMask | None, torch.Tensor | None]:
        """What the pipeline of each task is told beyond the rest; the mask that changes as it runs;
        and where the latents are replaced (1, 1, height, width; 0 or 1).
        """
        size = {"width": run.size.width, "height": run.size.height}
        if run.source is None:
            return size, None, None
        settings: dict[str, Any] = {"image": run.source.image, "strength": run.source.strength}
        repainting = run.source.repainting
        if repainting is None:
            return settings, None, None
        factor = self.pipeline.vae_scale_factor
        mask, soft = latent_mask(repainting.mask, factor), None
        if repainting.soft and not self.sees_masks:
            soft = SoftMask(soft_latent_mask(repainting.mask, factor))
            mask = soft.at(0, run.steps_run)
        emptied: torch.Tensor | None = None
        if repainting.latent_content != "original":
            emptied = latent_mask(repainting.mask, factor)
            if repainting.strokes is not None:
                emptied = emptied * (1 - latent_mask(repainting.strokes, factor))
        return {**settings, **size, "mask_image": mask_picture(mask, factor)}, soft, emptied

    @contextmanager
    def _vae_unchanged(self) -> Generator[None]:
        """SDXL's pipelines cast the VAE to the UNet's precision once they have encoded a picture;
        it is shared, and in half precision it overflows.
        """
        vae = self.pipeline.vae
        dtype = vae.dtype
        try:
            yield
        finally:
            if vae.dtype != dtype:
                vae.to(dtype=dtype)

    def enlarged(self, latents: torch.Tensor, size: Size) -> torch.Tensor:
        """The latents of a picture of that size in pixels, bilinearly interpolated, as the A1111
        web UI's "Latent" does. Shapes are as of `denoised`.
        """
        factor = self.pipeline.vae_scale_factor
        shape = (size.height // factor, size.width // factor)
        return torch.nn.functional.interpolate(latents, size=shape, mode="bilinear")

    def decoded(self, latents: torch.Tensor) -> Image.Image:
        """The picture of scaled latents (1, channels, height, width): RGB, 8 bits."""
        factor = self.pipeline.vae_scale_factor
        height, width = latents.shape[-2:]
        vae = vae_for(self.pipeline.vae, Size(width * factor, height * factor), factor)
        latents = latents.to(vae.dtype)
        mean, std = (getattr(vae.config, name, None) for name in ("latents_mean", "latents_std"))
        if mean is not None and std is not None:
            shape = (1, -1, 1, 1)
            scale = torch.tensor(std, device=latents.device, dtype=latents.dtype).view(shape)
            shift = torch.tensor(mean, device=latents.device, dtype=latents.dtype).view(shape)
            latents = latents * scale / vae.config.scaling_factor + shift
        else:
            latents = latents / vae.config.scaling_factor
        with torch.no_grad():
            pixels = vae.decode(latents, return_dict=False)[0]
        pixels = torch.nan_to_num(pixels)  # a broken LoRA paints grey, and nothing falls over
        return self.pipeline.image_processor.postprocess(pixels, output_type="pil")[0]

    def release(self) -> None:
        """Undo what a run that was broken off may have left behind."""
        self.pipeline.maybe_free_model_hooks()
        others = [*self._others.values(), *([] if self.refiner is None else [self.refiner])]
        for other in others:
            other.release()
