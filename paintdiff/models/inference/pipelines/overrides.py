"""Replacements for a pipeline's shared denoiser and VAE during one run.

Imports torch: import it in a function.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from diffusers import UNet2DConditionModel

from paintdiff.imaging.geometry import Box, Size
from paintdiff.models.acceleration.deepcache import FeatureCache, SplitUNet, can_cache_features
from paintdiff.models.acceleration.first_block_cache import BlockCache, can_skip_blocks
from paintdiff.models.acceleration.guidance_interval import GuidanceInterval
from paintdiff.models.acceleration.kernel_choice import InHalfPrecision
from paintdiff.models.acceleration.openvino.unet import BackendUNet, ComputeChoice
from paintdiff.models.acceleration.shallow_copies import copy_in_half_precision, is_hooked
from paintdiff.models.conditioning.prompt_conditioning import Conditioning
from paintdiff.models.inference.conditioned_denoiser import ConditionedDenoiser
from paintdiff.models.inference.controlled_unet import wrap_unet
from paintdiff.models.inference.denoising_run import Control, Denoising
from paintdiff.models.loading.pipelines import LoadedControlNet
from paintdiff.models.registry.families import Family
from paintdiff.models.registry.speed_profiles import EXACT, Profile
from paintdiff.models.tiling.tiled_networks import TiledUNet, TiledVAE
from paintdiff.models.tiling.windows import LARGEST_WHOLE_PX


class SharedVAE:
    """Stands in for a VAE whose weights other runs use too.

    What it encodes is cast to its precision; its weights are never cast. SDXL's pipelines cast them
    to half precision once they have encoded a picture, which would round them for good.
    """

    def __init__(self, vae: Any) -> None:
        self._vae = vae

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vae, name)

    def to(self, *_args: Any, **_options: Any) -> SharedVAE:
        """Return itself, without moving or casting anything."""
        return self

    def encode(self, pixels: torch.Tensor, **settings: Any) -> Any:
        """Encode pixels (batch, 3, height, width), -1..1, in any precision, as the VAE does."""
        return self._vae.encode(pixels.to(self._vae.dtype), **settings)


@contextmanager
def override_pipeline(  # noqa: PLR0913 (all that a run depends on)
    pipeline: Any,
    run: Denoising,
    controlnets: Mapping[str, LoadedControlNet],
    vae: Any = None,
    profile: Profile = EXACT,
    computing: ComputeChoice | None = None,
    pictures: int = 1,
    conditioning: Conditioning | None = None,
) -> Generator[None]:
    """Replace the pipeline's denoiser and VAE inside the `with`. They themselves are shared.

    The replacement of the UNet follows the run's controls and sees the picture through its windows.
    A pipeline without a UNet has neither controls nor windows.

    Args:
        pipeline: Any pipeline of diffusers.
        run: The run that is about to begin.
        controlnets: Those that the run's controls name.
        vae: What replaces the VAE; None: its own.
        profile: What the denoiser leaves out. It has to support all of it (`filter_supported`).
        computing: How the denoiser is computed; None: by torch, in the usual precision.
        pictures: How many pictures the run paints.
        conditioning: The prompts' encodings; None: the pipeline's own.
    """
    if conditioning is not None and not conditioning.acts_on_denoiser:
        conditioning = None
    parts: dict[str, Any] = {}
    computing = computing if computing is not None else ComputeChoice()
    changed = profile.keeps_features or profile.limits_guidance or computing.kernels.bfloat16
    changed = changed or computing.backend is not None or conditioning is not None
    if run.controls or run.windows or changed:
        name = "transformer" if getattr(pipeline, "unet", None) is None else "unet"
        denoiser = _replace_denoiser(
            pipeline, run, controlnets, profile, computing, pictures, conditioning
        )
        parts[name] = InHalfPrecision(denoiser) if computing.kernels.bfloat16 else denoiser
    vae = getattr(pipeline, "vae", None) if vae is None else vae
    if vae is not None:
        parts["vae"] = SharedVAE(vae)
    shared = {name: getattr(pipeline, name) for name in parts}
    # diffusers' own __setattr__ would write the replacement's class into the pipeline's config.
    vars(pipeline).update(parts)
    try:
        yield
    finally:
        vars(pipeline).update(shared)


def choose_vae(
    vae: Any, size: Size, latent_px: int, whole_px: int | None = None, tile_px: int | None = None
) -> Any:
    """Return the VAE, or a tiled one for a picture that is too large to take as a whole.

    Args:
        vae: Any VAE of diffusers, or what decodes like one.
        size: The picture's, in pixels.
        latent_px: How many pixels wide a latent is.
        whole_px: The side of the largest square that is taken as a whole; None:
            `LARGEST_WHOLE_PX`.
        tile_px: The same, whatever `whole_px` is, and the side of a tile; None: no such limit.
    """
    whole = size.area <= (tile_px or whole_px or LARGEST_WHOLE_PX) ** 2
    return vae if whole else TiledVAE(vae, size, latent_px, tile_px)


def filter_supported(denoiser: Any, family: Family, profile: Profile) -> Profile:
    """Return the profile without what a family's denoiser doesn't support."""
    is_unet = isinstance(denoiser, UNet2DConditionModel)
    change: dict[str, Any] = {}
    if profile.feature_interval > 1 and not (is_unet and can_cache_features(denoiser)):
        change["feature_interval"] = 1
    if profile.block_threshold > 0 and (is_unet or not can_skip_blocks(denoiser)):
        change["block_threshold"] = 0.0
    if profile.limits_guidance and not family.guides_in_batch:
        change |= {"guidance_start": 0.0, "guidance_end": 1.0}
    return profile.model_copy(update=change) if change else profile


def find_unsupported(asked: Profile, supported: Profile) -> tuple[str, ...]:
    """Return the names of the features that `filter_supported` left out."""
    lacking: list[str] = []
    if asked.keeps_features and not supported.keeps_features:
        lacking.append("feature caching")
    if asked.limits_guidance and not supported.limits_guidance:
        lacking.append("early end of guidance")
    return tuple(lacking)


def _replace_denoiser(  # noqa: PLR0913 (all that a run depends on)
    pipeline: Any,
    run: Denoising,
    controlnets: Mapping[str, LoadedControlNet],
    profile: Profile,
    computing: ComputeChoice,
    pictures: int,
    conditioning: Conditioning | None,
) -> Any:
    def make() -> Any:
        if getattr(pipeline, "unet", None) is None:
            made = pipeline.transformer
        else:
            made = _replace_unet(
                pipeline, run, controlnets, profile, computing, pictures, conditioning
            )
        return BlockCache(made, profile.block_threshold) if profile.block_threshold > 0 else made

    if conditioning is None:
        denoiser = make()
    else:  # each of several prompts has caches and counters of its own
        denoisers = [make() for _ in conditioning.weights]
        denoiser = ConditionedDenoiser(denoisers, conditioning, pictures)
    if profile.limits_guidance:
        span = (profile.guidance_start, profile.guidance_end)
        denoiser = GuidanceInterval(denoiser, pipeline, *span, pictures)
    return denoiser


def _replace_unet(  # noqa: PLR0913 (all that a run depends on)
    pipeline: Any,
    run: Denoising,
    controlnets: Mapping[str, LoadedControlNet],
    profile: Profile,
    computing: ComputeChoice,
    pictures: int,
    conditioning: Conditioning | None,
) -> Any:
    network = pipeline.unet
    if computing.half_weights and not is_hooked(network.modules()):
        network = copy_in_half_precision(network)

    def read_state() -> object:
        return None if conditioning is None else conditioning.state

    def make_unet(controls: tuple[Control, ...]) -> Any:
        unet, split = network, SplitUNet
        if computing.backend is not None:
            unet = BackendUNet(unet, computing.backend, computing)
            split = BackendUNet.split
        if profile.feature_interval > 1:  # each window caches features of its own
            unet = FeatureCache(split(unet), profile.feature_interval, read_state)
        return wrap_unet(pipeline, controls, controlnets, unet, pictures)

    if len(run.windows) < 2:
        return make_unet(run.controls)
    views = [(box, make_unet(_crop_maps(box, run.controls))) for box in run.windows]
    return TiledUNet(pipeline.unet, views, run.size, pipeline.vae_scale_factor)


def _crop_maps(box: Box, controls: tuple[Control, ...]) -> tuple[Control, ...]:
    return tuple(replace(each, map=each.map.crop(box.corners)) for each in controls)
