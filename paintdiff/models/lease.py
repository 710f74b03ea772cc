"""What a task gets to work with: a pipeline on loan. Imports torch: import it in a function."""

from __future__ import annotations

import math
from typing import Any

import torch
from PIL import Image

from paintdiff.models.catalog import ModelRow
from paintdiff.models.denoising import Denoising, StepListener
from paintdiff.models.loaders import LoadedModel, new_pipeline
from paintdiff.models.preview import Governor, LinearPreview, PreviewTap
from paintdiff.models.samplers import SAMPLERS, scheduler_for


class LeasedPipeline:
    """A diffusers pipeline over shared weights, with a scheduler of its own, for one thread.

    `pipeline` is the diffusers object itself, `row` the model's row,
    `known_words` all the words it knows (lower case), None if it has no such list.
    """

    def __init__(self, loaded: LoadedModel, task: str, *, previews: bool = True) -> None:
        self.pipeline = new_pipeline(loaded, task)
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

    def generator(self, seed: int) -> torch.Generator:
        """The noise of a seed. Always drawn on the CPU, so that it is the same on every device."""
        return torch.Generator("cpu").manual_seed(seed)

    def denoised(self, run: Denoising, on_step: StepListener) -> torch.Tensor:
        """Denoise from pure noise.

        Returns latents (1, channels, height / f, width / f), scaled, not decoded.

        What `on_step` raises ends the run at that step and comes out unchanged.
        """
        scheduler = scheduler_for(run.sampler, self._model_scheduler_config)
        self.pipeline.scheduler = scheduler
        tap: PreviewTap | None = None
        if self._preview is not None:
            exploding = SAMPLERS[run.sampler].variance_exploding
            tap = PreviewTap(self._preview, run.size, exploding, self._governor)
            tap.attach(scheduler)

        def step_ended(
            _pipeline: object, index: int, _timestep: object, _tensors: object
        ) -> dict[str, object]:
            # Some samplers ask the model more than once a step, so the calls are scaled to steps.
            calls = len(scheduler.timesteps)
            step = math.ceil((index + 1) * run.num_inference_steps / calls)
            on_step(step, tap.latest if tap is not None else None)
            return {}

        return self.pipeline(
            prompt=run.prompt,
            negative_prompt=run.negative_prompt or None,  # SDXL has its own idea of no words
            width=run.size.width,
            height=run.size.height,
            num_inference_steps=run.num_inference_steps,
            guidance_scale=run.guidance_scale,
            generator=self.generator(run.seed),
            output_type="latent",
            callback_on_step_end=step_ended,
            callback_on_step_end_tensor_inputs=[],
        ).images

    def decoded(self, latents: torch.Tensor) -> Image.Image:
        """The picture of scaled latents (1, channels, height, width): RGB, 8 bits."""
        vae = self.pipeline.vae
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
        return self.pipeline.image_processor.postprocess(pixels, output_type="pil")[0]

    def release(self) -> None:
        """Undo what a run that was broken off may have left behind."""
        self.pipeline.maybe_free_model_hooks()
