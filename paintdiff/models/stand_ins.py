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
from paintdiff.models.tiled import LARGEST_WHOLE_PX, TiledUNet, TiledVAE


@contextmanager
def stood_in(
    pipeline: Any, run: Denoising, controlnets: Mapping[str, LoadedControlNet]
) -> Generator[None]:
    """While inside, the pipeline's UNet follows the run's controls and sees through its windows,
    and its VAE can take the run's size. UNet and VAE themselves are left alone: they are shared.
    """
    parts = {
        "unet": _unet(pipeline, run, controlnets),
        "vae": vae_for(pipeline.vae, run.size, pipeline.vae_scale_factor),
    }
    shared = {name: getattr(pipeline, name) for name in parts}
    # Past diffusers' own __setattr__, which would note the stand-in's class as the pipeline's part.
    vars(pipeline).update(parts)
    try:
        yield
    finally:
        vars(pipeline).update(shared)


def vae_for(vae: Any, size: Size, factor: int) -> Any:
    """The VAE itself, or what stands in for it where a picture (in pixels) is larger than
    LARGEST_WHOLE_PX squared. `factor` is how many pixels a latent is wide.
    """
    return TiledVAE(vae, size, factor) if size.area > LARGEST_WHOLE_PX**2 else vae


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
