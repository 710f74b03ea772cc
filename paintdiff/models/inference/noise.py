"""The noise a run starts from. Imports torch: import it in a function."""

from __future__ import annotations

import functools
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from paintdiff.models.inference.denoising_run import Denoising, Variation
from paintdiff.models.inference.previews.latent_formats import LatentSpace

_CONTENT_SEEDS = 2**32
"""Added to a seed for the noise that fills a mask. No request has such a large seed."""


def make_noise_generator(seed: int) -> torch.Generator:
    """Return a generator for a seed, on the CPU: its noise is the same on every device."""
    return torch.Generator("cpu").manual_seed(seed)


def slerp(weight: float, start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """Interpolate spherically between two noises of one shape, seen as vectors.

    A weight of 0 is `start`, 1 is `end`. In between the noise keeps its length, which a straight
    line would shorten; where the two are nearly parallel the straight line is right. Shoemake 1985,
    "Animating rotation with quaternion curves", section 3.3.
    """
    if weight == 0:
        return start
    a, b = start.float(), end.float()
    cosine = (torch.sum(a * b) / (a.norm() * b.norm())).clamp(-1, 1)
    omega = torch.acos(cosine)
    if torch.sin(omega) < 1e-4:
        return ((1 - weight) * a + weight * b).to(start)
    from_start = torch.sin((1 - weight) * omega) / torch.sin(omega)
    from_end = torch.sin(weight * omega) / torch.sin(omega)
    return (from_start * a + from_end * b).to(start)


def vary_noise(noise: torch.Tensor, variation: Variation) -> torch.Tensor:
    """Turn noise (any shape) towards that of the variation's seed."""
    other = torch.randn(
        noise.shape, generator=make_noise_generator(variation.seed), dtype=noise.dtype
    )
    return slerp(variation.strength, noise, other.to(noise.device))


@contextmanager
def prepare_noise(
    pipeline: Any, runs: Sequence[Denoising], space: LatentSpace, emptied: torch.Tensor | None
) -> Generator[None]:
    """Let the pipeline start from the noise and the latents of `runs`, inside the `with`.

    All other noise comes from the pipeline's generator, as without this.

    Args:
        pipeline: Its scheduler has to be the runs' own.
        runs: One for each picture of the batch; they differ in their seeds.
        space: The layout of their latents.
        emptied: (1, 1, height, width), float, 0 or 1, in latents: where the content is replaced;
            None for nowhere.
    """
    run = runs[0]
    if run.from_pure_noise:
        if run.variation is None:
            yield
            return
        pipeline.prepare_latents = _wrap_prepare_latents(pipeline, runs, space)
        try:
            yield
        finally:
            del pipeline.prepare_latents  # uncovers the class's own method
        return
    if run.variation is not None or emptied is not None:
        scheduler, noised = pipeline.scheduler, _NoisedPicture(runs, space, emptied)
        if hasattr(scheduler, "scale_noise"):
            scheduler.scale_noise = noised.wrap_scale_noise(scheduler.scale_noise)
        else:
            scheduler.add_noise = noised.wrap_add_noise(scheduler.add_noise)
    yield


def _vary_each(noise: torch.Tensor, runs: Sequence[Denoising]) -> torch.Tensor:
    """Turn each picture's noise as its run says."""
    pairs = zip(noise.split(1), runs, strict=True)
    return torch.cat(
        [one if run.variation is None else vary_noise(one, run.variation) for one, run in pairs]
    )


def _wrap_prepare_latents(pipeline: Any, runs: Sequence[Denoising], space: LatentSpace) -> Any:
    original = pipeline.prepare_latents

    def turn(noise: torch.Tensor) -> torch.Tensor:
        return space.apply(lambda each: _vary_each(each, runs), noise)

    @functools.wraps(original)
    def prepare_latents(*args: Any, **settings: Any) -> Any:
        result = original(*args, **settings)
        sigma = getattr(pipeline.scheduler, "init_noise_sigma", 1.0)
        if not isinstance(result, tuple):
            return turn(result / sigma) * sigma
        latents, *others = result
        if runs[0].source is None:  # FLUX's pipeline returns their positions too
            return (turn(latents / sigma) * sigma, *others)
        noise, *image_latents = others  # inpainting blends with the same noise later
        noise = turn(noise)
        return (noise * sigma, noise, *image_latents)

    return prepare_latents


class _NoisedPicture:
    """Changes how noise is added to a run's picture.

    Image to image adds noise once, to start. Inpainting adds it at every step, to restore what is
    outside the mask.
    """

    def __init__(
        self, runs: Sequence[Denoising], space: LatentSpace, emptied: torch.Tensor | None
    ) -> None:
        self._runs = runs
        self._space = space
        self._emptied = emptied
        self._started = False

    def wrap_add_noise(self, original: Any) -> Any:
        """Return what replaces a diffusion scheduler's `add_noise`."""

        @functools.wraps(original)
        def add_noise(clean: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> Any:
            return original(*self._change(clean, noise), timesteps)

        return add_noise

    def wrap_scale_noise(self, original: Any) -> Any:
        """Return what replaces a flow scheduler's `scale_noise`."""

        @functools.wraps(original)
        def scale_noise(sample: torch.Tensor, timestep: Any, noise: torch.Tensor) -> Any:
            clean, noise = self._change(sample, noise)
            return original(clean, timestep, noise)

        return scale_noise

    def _change(
        self, clean: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        emptied, run = self._emptied, self._runs[0]
        if emptied is not None and not self._started:
            clean = self._space.apply(lambda each: _replace_content(each, run, emptied), clean)
        self._started = True
        if run.variation is not None:
            noise = self._space.apply(lambda each: _vary_each(each, self._runs), noise)
        return clean, noise


def _replace_content(clean: torch.Tensor, run: Denoising, where: torch.Tensor) -> torch.Tensor:
    where = where.to(clean)
    repainting = run.source.repainting if run.source is not None else None
    if repainting is None or repainting.latent_content == "empty":
        return clean * (1 - where)
    generator = make_noise_generator(run.seed + _CONTENT_SEEDS)
    content = torch.randn(clean.shape, generator=generator, dtype=clean.dtype).to(clean.device)
    return clean * (1 - where) + content * where
