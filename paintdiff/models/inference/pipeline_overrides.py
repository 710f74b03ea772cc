"""What stands in for a pipeline's shared denoiser and VAE during one run. Imports torch: import it
in a function.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from diffusers import UNet2DConditionModel

from paintdiff.imaging.geometry import Box, Size
from paintdiff.models.acceleration.deepcache import FeatureCache, SplitUNet, can_keep_features
from paintdiff.models.acceleration.first_block_cache import BlockCache, can_skip_blocks
from paintdiff.models.acceleration.guidance_interval import GuidanceInterval
from paintdiff.models.acceleration.kernel_choice import InHalfPrecision
from paintdiff.models.acceleration.openvino_unet import BackendUNet, ComputeChoice
from paintdiff.models.acceleration.shallow_copies import is_hooked, run_in_half_precision
from paintdiff.models.inference.controlled_unet import wrap_unet
from paintdiff.models.inference.denoising_run import Control, Denoising
from paintdiff.models.loading.pipelines import LoadedControlNet
from paintdiff.models.registry.families import Family
from paintdiff.models.registry.speed_profiles import EXACT, Profile
from paintdiff.models.tiling.tiled_networks import TiledUNet, TiledVAE
from paintdiff.models.tiling.windows import LARGEST_WHOLE_PX


class SharedVAE:
    """Stands in for a VAE, or for what stands in for that, whose weights other runs use too: what
    it is given to encode is cast to its precision, its weights never are. SDXL's pipelines cast
    them to half precision once they have encoded a picture, which would round them for good.
    """

    def __init__(self, vae: Any) -> None:
        self._vae = vae

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vae, name)

    def to(self, *_args: Any, **_options: Any) -> SharedVAE:
        """Stay as it is, where it is."""
        return self

    def encode(self, pixels: torch.Tensor, **settings: Any) -> Any:
        """As the VAE's, of pixels (batch, 3, height, width), -1..1, in any precision."""
        return self._vae.encode(pixels.to(self._vae.dtype), **settings)


@contextmanager
def override_pipeline(  # noqa: PLR0913 (all that a run hangs on)
    pipeline: Any,
    run: Denoising,
    controlnets: Mapping[str, LoadedControlNet],
    vae: Any = None,
    profile: Profile = EXACT,
    computing: ComputeChoice | None = None,
    pictures: int = 1,
) -> Generator[None]:
    """While inside, the pipeline's UNet follows the run's controls and sees through its windows,
    its denoiser does without what the profile leaves out and is computed as `computing` says (None:
    by torch, as usual), and `vae` (None: its own) is its VAE. `pictures` is how many are painted at
    once. Denoiser and VAE themselves are left alone: they are shared.

    A pipeline without a UNet has neither controls nor windows. The denoiser has to be able to have
    all of the profile (`filter_supported`).
    """
    parts: dict[str, Any] = {}
    computing = computing if computing is not None else ComputeChoice()
    changed = profile.keeps_features or profile.limits_guidance or computing.kernels.bfloat16
    if run.controls or run.windows or changed or computing.engine is not None:
        name = "transformer" if getattr(pipeline, "unet", None) is None else "unet"
        denoiser = _denoiser(pipeline, run, controlnets, profile, computing, pictures)
        parts[name] = InHalfPrecision(denoiser) if computing.kernels.bfloat16 else denoiser
    vae = getattr(pipeline, "vae", None) if vae is None else vae
    if vae is not None:
        parts["vae"] = SharedVAE(vae)
    shared = {name: getattr(pipeline, name) for name in parts}
    # Past diffusers' own __setattr__, which would note the stand-in's class as the pipeline's part.
    vars(pipeline).update(parts)
    try:
        yield
    finally:
        vars(pipeline).update(shared)


def choose_vae(
    vae: Any, size: Size, factor: int, whole_px: int | None = None, tile_px: int | None = None
) -> Any:
    """The VAE itself, or what stands in for it where a picture (in pixels) is larger than
    `whole_px` squared (None: LARGEST_WHOLE_PX). `factor` is how many pixels a latent is wide.

    With `tile_px` the VAE takes no more than that squared, whatever `whole_px` is.
    """
    whole = size.area <= (tile_px or whole_px or LARGEST_WHOLE_PX) ** 2
    return vae if whole else TiledVAE(vae, size, factor, tile_px)


def filter_supported(denoiser: Any, family: Family, profile: Profile) -> Profile:
    """The profile without what a family's denoiser can't have."""
    is_unet = isinstance(denoiser, UNet2DConditionModel)
    change: dict[str, Any] = {}
    if profile.feature_interval > 1 and not (is_unet and can_keep_features(denoiser)):
        change["feature_interval"] = 1
    if profile.block_threshold > 0 and (is_unet or not can_skip_blocks(denoiser)):
        change["block_threshold"] = 0.0
    if profile.limits_guidance and not family.guides_in_batch:
        change |= {"guidance_start": 0.0, "guidance_end": 1.0}
    return profile.model_copy(update=change) if change else profile


def find_unsupported(asked: Profile, had: Profile) -> tuple[str, ...]:
    """What `filter_supported` has left out, in words for people."""
    lacking: list[str] = []
    if asked.keeps_features and not had.keeps_features:
        lacking.append("feature caching")
    if asked.limits_guidance and not had.limits_guidance:
        lacking.append("early end of guidance")
    return tuple(lacking)


def _denoiser(
    pipeline: Any,
    run: Denoising,
    controlnets: Mapping[str, LoadedControlNet],
    profile: Profile,
    computing: ComputeChoice,
    pictures: int,
) -> Any:
    if getattr(pipeline, "unet", None) is None:
        denoiser = pipeline.transformer
    else:
        denoiser = _unet(pipeline, run, controlnets, profile, computing, pictures)
    if profile.block_threshold > 0:
        denoiser = BlockCache(denoiser, profile.block_threshold)
    if profile.limits_guidance:
        span = (profile.guidance_start, profile.guidance_end)
        denoiser = GuidanceInterval(denoiser, pipeline, *span, pictures)
    return denoiser


def _unet(
    pipeline: Any,
    run: Denoising,
    controlnets: Mapping[str, LoadedControlNet],
    profile: Profile,
    computing: ComputeChoice,
    pictures: int,
) -> Any:
    network = pipeline.unet
    if computing.half_weights and not is_hooked(network.modules()):
        network = run_in_half_precision(network)

    def seen(controls: tuple[Control, ...]) -> Any:
        unet, split = network, SplitUNet
        if computing.engine is not None:
            unet = BackendUNet(unet, computing.engine, computing)
            split = BackendUNet.split
        if profile.feature_interval > 1:  # each window has features of its own
            unet = FeatureCache(split(unet), profile.feature_interval)
        return wrap_unet(pipeline, controls, controlnets, unet, pictures)

    if len(run.windows) < 2:
        return seen(run.controls)
    views = [(box, seen(_seen_through(box, run.controls))) for box in run.windows]
    return TiledUNet(pipeline.unet, views, run.size, pipeline.vae_scale_factor)


def _seen_through(box: Box, controls: tuple[Control, ...]) -> tuple[Control, ...]:
    return tuple(replace(each, map=each.map.crop(box.corners)) for each in controls)
