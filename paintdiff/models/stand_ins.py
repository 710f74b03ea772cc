"""What stands in for a pipeline's shared UNet and VAE during one run. Imports torch: import it in a
function.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from paintdiff.geometry import Box, Size
from paintdiff.models.control import controlled_unet
from paintdiff.models.denoising import Control, Denoising
from paintdiff.models.loaders import LoadedControlNet
from paintdiff.models.tiled import TiledUNet, TiledVAE
from paintdiff.models.windows import LARGEST_WHOLE_PX


@contextmanager
def stood_in(
    pipeline: Any,
    run: Denoising,
    controlnets: Mapping[str, LoadedControlNet],
    whole_px: int | None = None,
    tile_px: int | None = None,
) -> Generator[None]:
    """While inside, the pipeline's UNet follows the run's controls and sees through its windows,
    and its VAE can take the run's size. UNet and VAE themselves are left alone: they are shared.

    `whole_px` and `tile_px` are as for `vae_for`. A pipeline without a UNet has neither controls
    nor windows.
    """
    parts: dict[str, Any] = {}
    if run.controls or run.windows:
        parts["unet"] = _unet(pipeline, run, controlnets)
    if getattr(pipeline, "vae", None) is not None:
        factor = pipeline.vae_scale_factor
        parts["vae"] = vae_for(pipeline.vae, run.size, factor, whole_px, tile_px)
    shared = {name: getattr(pipeline, name) for name in parts}
    # Past diffusers' own __setattr__, which would note the stand-in's class as the pipeline's part.
    vars(pipeline).update(parts)
    try:
        yield
    finally:
        vars(pipeline).update(shared)


def vae_for(
    vae: Any, size: Size, factor: int, whole_px: int | None = None, tile_px: int | None = None
) -> Any:
    """The VAE itself, or what stands in for it where a picture (in pixels) is larger than
    `whole_px` squared (None: LARGEST_WHOLE_PX). `factor` is how many pixels a latent is wide.

    With `tile_px` the VAE takes no more than that squared, whatever `whole_px` is.
    """
    whole = size.area <= (tile_px or whole_px or LARGEST_WHOLE_PX) ** 2
    return vae if whole else TiledVAE(vae, size, factor, tile_px)


def _unet(pipeline: Any, run: Denoising, controlnets: Mapping[str, LoadedControlNet]) -> Any:
    if len(run.windows) < 2:
        return controlled_unet(pipeline, run.controls, controlnets)
    views = [
        (box, controlled_unet(pipeline, _seen_through(box, run.controls), controlnets))
        for box in run.windows
    ]
    return TiledUNet(pipeline.unet, views, run.size, pipeline.vae_scale_factor)


def _seen_through(box: Box, controls: tuple[Control, ...]) -> tuple[Control, ...]:
    return tuple(replace(each, map=each.map.crop(box.corners)) for each in controls)
