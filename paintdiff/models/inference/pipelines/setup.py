"""A pipeline and how it is computed. Imports torch: import it in a function."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from paintdiff.imaging.geometry import Size
from paintdiff.models.acceleration.openvino.unet import ComputeChoice
from paintdiff.models.acceleration.sliced_attention import SlicedAttention
from paintdiff.models.inference.full_precision import Float32Retry
from paintdiff.models.inference.pipelines.overrides import choose_vae
from paintdiff.models.inference.previews.latent_formats import LAYOUTS, Layout
from paintdiff.models.loading.pipelines import get_denoiser, sees_masks
from paintdiff.models.memory.plans import Plan
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.speed_profiles import Profile


@dataclass(frozen=True)
class PipelineSetup:
    """The diffusers pipeline that denoising and decoding share, and its compute settings.

    `plan` says how memory is saved, `profile` how exact a run is.
    """

    pipeline: Any
    row: ModelRow
    device: torch.device
    plan: Plan
    profile: Profile
    computing: ComputeChoice
    float32: Float32Retry

    @property
    def denoiser(self) -> Any:
        """Return the network that predicts: the pipeline's UNet or transformer."""
        return get_denoiser(self.pipeline, self.row.family)

    @property
    def sees_masks(self) -> bool:
        """Return whether the denoiser was trained to inpaint.

        Such a denoiser takes the mask and the masked picture as input (9 channels). With any other
        (4 channels) the unmasked part is blended in at every step.
        """
        return sees_masks(self.denoiser, self.row.family.latent_channels)

    @property
    def layout(self) -> Layout:
        """Return how the family's denoiser takes latents."""
        return LAYOUTS[self.row.family.latent_layout]

    @property
    def latent_px(self) -> int:
        """Return how many pixels wide a latent is."""
        return getattr(self.pipeline, "vae_scale_factor", 8)

    def choose_vae(self, size: Size, vae: Any = None) -> Any:
        """Return the VAE, or a tiled one for a picture whose `size` in pixels is too large.

        `vae` takes the place of the pipeline's.
        """
        whole_px = self.row.family.vae_whole_px
        vae = self.pipeline.vae if vae is None else vae
        return choose_vae(vae, size, self.latent_px, whole_px, self.plan.vae_tile_px)

    def limit_attention(self) -> AbstractContextManager[object]:
        """Slice attention inside the `with`, if the plan says so."""
        return SlicedAttention() if self.plan.sliced_attention else nullcontext()
