"""The noise a run starts from, and what is done to it. Imports torch: import it in a function."""

from __future__ import annotations

import functools
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from paintdiff.models.inference.denoising_run import Denoising, Variation
from paintdiff.models.inference.latent_formats import LatentSpace

_CONTENT_SEEDS = 2**32
"""Added to a seed for what fills a mask: no request has such a seed, so that noise is its own."""


def make_noise_generator(seed: int) -> torch.Generator:
    """The noise of a seed. Always drawn on the CPU, so that it is the same on every device."""
    return torch.Generator("cpu").manual_seed(seed)


def slerp(weight: float, start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """Spherical interpolation between two noises of one shape, seen as vectors: `start` at 0, `end`
    at 1, and the length of noise in between, which a straight line would shorten.

    Shoemake 1985, "Animating rotation with quaternion curves", section 3.3. Where the two are all
    but parallel the straight line is right.
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
    """The noise (any shape), turned towards that of the variation's seed."""
    other = torch.randn(
        noise.shape, generator=make_noise_generator(variation.seed), dtype=noise.dtype
    )
    return slerp(variation.strength, noise, other.to(noise.device))


@contextmanager
def prepare_noise(
    pipeline: Any, runs: Sequence[Denoising], space: LatentSpace, emptied: torch.Tensor | None
) -> Generator[None]:
    """While inside, the pipeline starts from the noise, and from the latents, that `runs` ask for;
    several differ in their seeds, and each is one picture of the batch.

    The pipeline's scheduler has to be the runs' own; `space` is what their latents are like.
    `emptied` (1, 1, height, width; float, 0 or 1; latents) is where the content is replaced, None
    for nowhere. Everything else the pipeline draws comes from its generator as if nothing had been
    changed.
    """
    run = runs[0]
    if run.from_pure_noise:
        if run.variation is None:
            yield
            return
        pipeline.prepare_latents = _with_varied_result(pipeline, runs, space)
        try:
            yield
        finally:
            del pipeline.prepare_latents  # the class's own is there again
        return
    if run.variation is not None or emptied is not None:
        scheduler, noised = pipeline.scheduler, _Noised(runs, space, emptied)
        if hasattr(scheduler, "scale_noise"):
            scheduler.scale_noise = noised.scale_noise(scheduler.scale_noise)
        else:
            scheduler.add_noise = noised.add_noise(scheduler.add_noise)
    yield


def _each_varied(noise: torch.Tensor, runs: Sequence[Denoising]) -> torch.Tensor:
    """Each picture's noise turned as its run says."""
    pairs = zip(noise.split(1), runs, strict=True)
    return torch.cat(
        [one if run.variation is None else vary_noise(one, run.variation) for one, run in pairs]
    )


def _with_varied_result(pipeline: Any, runs: Sequence[Denoising], space: LatentSpace) -> Any:
    original = pipeline.prepare_latents

    def turned(noise: torch.Tensor) -> torch.Tensor:
        return space.changed(noise, lambda each: _each_varied(each, runs))

    @functools.wraps(original)
    def prepare_latents(*args: Any, **settings: Any) -> Any:
        result = original(*args, **settings)
        sigma = getattr(pipeline.scheduler, "init_noise_sigma", 1.0)
        if not isinstance(result, tuple):
            return turned(result / sigma) * sigma
        latents, *others = result
        if runs[0].source is None:  # FLUX's are told where each of them lies
            return (turned(latents / sigma) * sigma, *others)
        noise, *image_latents = others  # inpainting blends with the same noise later
        noise = turned(noise)
        return (noise * sigma, noise, *image_latents)

    return prepare_latents


class _Noised:
    """What a run changes about adding noise to a picture. Image to image does that once, to start;
    inpainting again at every step, to put back what is outside the mask.
    """

    def __init__(
        self, runs: Sequence[Denoising], space: LatentSpace, emptied: torch.Tensor | None
    ) -> None:
        self._runs = runs
        self._space = space
        self._emptied = emptied
        self._started = False

    def add_noise(self, original: Any) -> Any:
        """In place of a diffusion scheduler's method of that name."""

        @functools.wraps(original)
        def add_noise(clean: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> Any:
            return original(*self._changed(clean, noise), timesteps)

        return add_noise

    def scale_noise(self, original: Any) -> Any:
        """In place of a flow scheduler's method of that name."""

        @functools.wraps(original)
        def scale_noise(sample: torch.Tensor, timestep: Any, noise: torch.Tensor) -> Any:
            clean, noise = self._changed(sample, noise)
            return original(clean, timestep, noise)

        return scale_noise

    def _changed(
        self, clean: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        emptied, run = self._emptied, self._runs[0]
        if emptied is not None and not self._started:
            clean = self._space.changed(clean, lambda each: _replaced(each, run, emptied))
        self._started = True
        if run.variation is not None:
            noise = self._space.changed(noise, lambda each: _each_varied(each, self._runs))
        return clean, noise


def _replaced(clean: torch.Tensor, run: Denoising, where: torch.Tensor) -> torch.Tensor:
    where = where.to(clean)
    repainting = run.source.repainting if run.source is not None else None
    if repainting is None or repainting.latent_content == "empty":
        return clean * (1 - where)
    generator = make_noise_generator(run.seed + _CONTENT_SEEDS)
    content = torch.randn(clean.shape, generator=generator, dtype=clean.dtype).to(clean.device)
    return clean * (1 - where) + content * where
