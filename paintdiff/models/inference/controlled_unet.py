"""ControlNets, in one way for every pipeline, task and sampler.

Zhang et al. 2023, "Adding conditional control to text-to-image diffusion models"
(arXiv:2302.05543). Imports torch: import it in a function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from paintdiff.errors import ModelLoadError
from paintdiff.models.acceleration.deepcache import FeatureCache
from paintdiff.models.inference import messages
from paintdiff.models.inference.denoising_run import Control, is_guided
from paintdiff.models.loading.pipelines import LoadedControlNet

_LATENT_CHANNELS = 4
# Equal in both, so that the residuals have the UNet's shapes. The kinds of blocks may differ: a
# ControlNet may have no attention.
_SHAPING = ("block_out_channels", "layers_per_block", "cross_attention_dim")


def check_fits(loaded: LoadedControlNet, unet: Any, model_title: str) -> None:
    """Check that a ControlNet is built like the UNet it is used with.

    diffusers would leave out what doesn't fit, and fail later or not at all.

    Raises:
        ModelLoadError: It is built otherwise.
    """
    for key in _SHAPING:
        theirs, ours = (_normalize(net.config[key]) for net in (loaded.network, unet))
        if theirs != ours:
            raise ModelLoadError(
                messages.controlnet_does_not_fit(loaded.row.title, model_title, key, theirs, ours)
            )


def _normalize(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value


def wrap_unet(
    pipeline: Any,
    controls: Sequence[Control],
    controlnets: Mapping[str, LoadedControlNet],
    unet: Any = None,
    pictures: int = 1,
) -> Any:
    """Return what replaces the pipeline's UNet so that it follows the controls.

    Without controls that is the UNet itself. The UNet is shared, so it isn't changed. `unet` is
    what replaces it already (None: nothing), `pictures` how many pictures the run paints.
    """
    unet = pipeline.unet if unet is None else unet
    if not controls:
        return unet
    parts = [_Part(control, controlnets[control.controlnet].network) for control in controls]
    return ControlledUNet(unet, pipeline, parts, pictures)


@dataclass(frozen=True)
class _Part:
    control: Control
    network: Any


class ControlledUNet:
    """Replaces a pipeline's UNet during one run. Attributes it lacks are the UNet's."""

    def __init__(self, unet: Any, pipeline: Any, parts: Sequence[_Part], pictures: int = 1) -> None:
        self._unet = unet
        self._pictures = pictures
        self._pipeline = pipeline
        self._parts = [(part, self._to_tensor(part.control.map)) for part in parts]
        self._calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._unet, name)

    def __call__(self, sample: torch.Tensor, timestep: Any, **settings: Any) -> Any:
        """Predict as the UNet does, with the residuals of the ControlNets.

        `sample` holds latents (batch, channels, height, width), scaled by the scheduler. Of an
        inpainting UNet's channels the first four are the latents.
        """
        down: list[torch.Tensor] | None = None
        mid: torch.Tensor | None = None
        num_calls = self._pipeline.num_timesteps
        unread = isinstance(self._unet, FeatureCache) and self._unet.reuses(sample)
        for part, conditioning in self._parts if not unread else ():
            control = part.control
            span = (control.guidance_start, control.guidance_end)
            if is_guided(self._calls, num_calls, *span):
                more, more_mid = self._compute_residuals(
                    part, conditioning, sample, timestep, settings
                )
                down = more if down is None else [a + b for a, b in zip(down, more, strict=True)]
                mid = more_mid if mid is None else mid + more_mid
        self._calls += 1
        if down is not None:
            settings["down_block_additional_residuals"] = down
            settings["mid_block_additional_residual"] = mid
        return self._unet(sample, timestep, **settings)

    def _to_tensor(self, image: Image.Image) -> torch.Tensor:
        """Return a map as a ControlNet takes it: (1, 3, height, width), RGB, 0..1, in pixels.

        It is on the pipeline's device; the UNet may be offloaded at this moment.
        """
        levels = torch.from_numpy(np.array(image.convert("RGB"), dtype=np.float32) / 255)
        device: torch.device = self._pipeline._execution_device
        return levels.permute(2, 0, 1)[None].to(device=device, dtype=self._unet.dtype)

    def _compute_residuals(
        self,
        part: _Part,
        conditioning: torch.Tensor,
        sample: torch.Tensor,
        timestep: Any,
        settings: Mapping[str, Any],
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        sample = sample[:, :_LATENT_CHANNELS]
        words = settings["encoder_hidden_states"]
        added = settings.get("added_cond_kwargs")
        # A ControlNet that pools its map to a few numbers acts on the half with the prompt only.
        pooled: bool = part.network.config.global_pool_conditions
        # Where guidance has ended, the batch is only the half with the prompt.
        guided_batch = len(sample) > self._pictures
        halved = pooled and guided_batch and self._pipeline.do_classifier_free_guidance
        if halved:
            sample, words = sample.chunk(2)[1], words.chunk(2)[1]
            added = {
                key: value.chunk(2)[1] if isinstance(value, torch.Tensor) else value
                for key, value in (added or {}).items()
            } or added
        down, mid = part.network(
            sample,
            timestep,
            encoder_hidden_states=words,
            controlnet_cond=conditioning.expand(sample.shape[0], -1, -1, -1),
            conditioning_scale=part.control.conditioning_scale,
            guess_mode=pooled,
            added_cond_kwargs=added,
            return_dict=False,
        )
        if halved:
            down = [torch.cat([torch.zeros_like(each), each]) for each in down]
            mid = torch.cat([torch.zeros_like(mid), mid])
        return list(down), mid
