"""What the picture is going to be: the clean latents predicted at a step, as a small picture.

Imports torch: import it in a function.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any, Protocol

import torch
from PIL import Image

from paintdiff.imaging.geometry import Size, choose_grid, fit_within, grid_size
from paintdiff.imaging.images import make_image
from paintdiff.models.acceleration.kernel_choice import synchronize
from paintdiff.models.inference.latent_formats import LatentSpace
from paintdiff.models.registry.families import LatentRgb

LONGEST_SIDE_PX = 256
LARGEST_SHARE = 0.02
"""The part of a run's time that previews may take."""


def predict_clean(
    prediction_type: str, model_output: torch.Tensor, sample: torch.Tensor, alpha_bar: torch.Tensor
) -> torch.Tensor:
    """The predicted clean latents x0, for a sample x_t = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar)
    noise.

    All tensors are latents (batch, channels, height, width), float; `alpha_bar` is a scalar in
    0..1. Ho et al. 2020 (arXiv:2006.11239), equation 15; for v-prediction Salimans and Ho 2022
    (arXiv:2202.00512), appendix D. Raises ValueError for an unknown prediction type.
    """
    if prediction_type == "epsilon":
        return (sample - (1 - alpha_bar).sqrt() * model_output) / alpha_bar.sqrt()
    if prediction_type == "v_prediction":
        return alpha_bar.sqrt() * sample - (1 - alpha_bar).sqrt() * model_output
    if prediction_type == "sample":
        return model_output
    raise ValueError(f"unknown prediction type {prediction_type!r}")


def estimate_clean_latents(
    scheduler: Any,
    variance_exploding: bool,
    model_output: torch.Tensor,
    timestep: Any,
    sample: torch.Tensor,
) -> torch.Tensor:
    """x0 as predicted by the arguments that a scheduler's `step` is about to get.

    Where a scheduler has sigmas they are read at its step index (timesteps may be rounded there),
    else alpha_bar at the timestep. `variance_exploding` as in `samplers.Sampler`. Schedulers for
    flow models, whose sample is (1 - sigma) x0 + sigma noise and whose prediction is its slope
    noise - x0, say so in their config, or know of no other prediction.
    """
    sample, model_output = sample.float(), model_output.float()
    sigmas = getattr(scheduler, "sigmas", None)
    prediction_type = getattr(scheduler.config, "prediction_type", "flow_prediction")
    if sigmas is None:
        alpha_bar = scheduler.alphas_cumprod[int(timestep)].to(sample)
    else:
        index = scheduler.step_index
        if index is None:
            index = scheduler.begin_index  # where a run from a picture begins
        if index is None:
            index = scheduler.index_for_timestep(timestep)
        sigma = sigmas[int(index)].to(sample)
        if prediction_type == "flow_prediction":
            return sample - sigma * model_output
        alpha_bar = 1 / (1 + sigma**2)
        if variance_exploding:
            sample = sample * alpha_bar.sqrt()
    return predict_clean(prediction_type, model_output, sample, alpha_bar)


class Preview(Protocol):
    """Makes pictures of clean latents. One is `begun` and then `ready`, at once or some steps
    later, so that the run needn't wait for it.
    """

    def begin(self, latents: torch.Tensor, size: Size) -> None:
        """Begin a picture. `latents` is (1, channels, height, width), float, clean, as the denoiser
        sees them; `size` is the finished picture's, in pixels.
        """
        ...

    def ready(self) -> Image.Image | None:
        """The picture that was begun (RGB, 8 bits, the longest side at most LONGEST_SIDE_PX) if it
        is done and wasn't given yet.
        """
        ...

    def forget(self) -> None:
        """Drop what was begun: another run begins."""
        ...

    @property
    def busy(self) -> bool:
        """Whether one that was begun isn't done yet."""
        ...

    @property
    def beside(self) -> bool:
        """Whether they are made beside the run, so that nothing has to be waited for."""
        ...

    @property
    def cost_seconds(self) -> float:
        """What the last one is known to have cost beside the time that `begin` took."""
        ...


class LinearPreview:
    """Turns latents into a picture by a linear map from channels to colours."""

    def __init__(self, latent_rgb: LatentRgb, device: torch.device) -> None:
        self._matrix = torch.tensor(latent_rgb.matrix, dtype=torch.float32, device=device)
        self._bias = torch.tensor(latent_rgb.bias, dtype=torch.float32, device=device)

        self._latest: Image.Image | None = None
        self.busy = self.beside = False
        self.cost_seconds = 0.0

    def begin(self, latents: torch.Tensor, size: Size) -> None:
        """As of Preview; it is done at once."""
        self._latest = self.picture(latents, size)

    def ready(self) -> Image.Image | None:
        """As of Preview."""
        latest, self._latest = self._latest, None
        return latest

    def forget(self) -> None:
        """As of Preview."""
        self._latest = None

    def picture(self, latents: torch.Tensor, size: Size) -> Image.Image:
        """The picture of latents, as `begin` takes them."""
        rgb = latents[0].permute(1, 2, 0) @ self._matrix + self._bias
        small = fit_within(size, LONGEST_SIDE_PX)
        return make_image(rgb.cpu().numpy()).resize(
            (small.width, small.height), Image.Resampling.BICUBIC
        )


def arrange_side_by_side(latents: torch.Tensor, size: Size) -> tuple[torch.Tensor, Size]:
    """Latents (batch, channels, height, width) of several pictures as those of one in which they
    lie as `geometry.grid` says, and its size in pixels. Of one they stay as they are.
    """
    count, channels, height, width = latents.shape
    if count == 1:
        return latents, size
    columns, rows = choose_grid(count)
    cells = latents.new_zeros(columns * rows, channels, height, width)
    cells[:count] = latents
    whole = cells.reshape(rows, columns, channels, height, width).permute(2, 0, 3, 1, 4)
    whole = whole.reshape(1, channels, rows * height, columns * width)
    return whole, grid_size(size, count)


class PreviewRateLimit:
    """Decides at which steps a preview may be made, so that they take at most `share` of the run's
    time.

    `clock` gives seconds. The first preview is always made; from then on one is made when, at the
    mean cost so far, the previews stay within the share of the time gone by.
    """

    def __init__(
        self, share: float = LARGEST_SHARE, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._share = share
        self._clock = clock
        self._started: float | None = None
        self._spent = 0.0
        self._made = 0

    def begin(self) -> None:
        """The denoising begins now (once a run; later calls change nothing)."""
        if self._started is None:
            self._started = self._clock()

    def wants_one(self) -> bool:
        """Whether a preview may be made now."""
        if self._started is None or self._made == 0:
            return True
        mean_cost = self._spent / self._made
        return self._spent + mean_cost <= self._share * (self._clock() - self._started)

    def made_one(self, seconds: float) -> None:
        """A preview was made and took that long."""
        self._spent += seconds
        self._made += 1


class PreviewTap:
    """Makes previews as a scheduler steps. `space` is what the run's latents are like.

    `latest` is the one that was done at the last step, None if there was none.
    """

    def __init__(
        self,
        preview: Preview,
        size: Size,
        space: LatentSpace,
        variance_exploding: bool,
        governor: PreviewRateLimit,
    ) -> None:
        self._preview = preview
        self._size = size
        self._space = space
        self._variance_exploding = variance_exploding
        self._governor = governor
        self.latest: Image.Image | None = None

    def attach(self, scheduler: Any) -> None:
        """Look at the arguments of each `scheduler.step` from now on.

        The scheduler must be this run's own.
        """
        original = scheduler.step

        @functools.wraps(original)  # the pipeline looks at the signature to know what it may pass
        def step(
            model_output: torch.Tensor,
            timestep: Any,
            sample: torch.Tensor,
            *args: Any,
            **settings: Any,
        ) -> Any:
            self._look(scheduler, model_output, timestep, sample)
            return original(model_output, timestep, sample, *args, **settings)

        scheduler.step = step
        self._preview.forget()
        self._governor.begin()

    def _look(
        self,
        scheduler: Any,
        model_output: torch.Tensor,
        timestep: Any,
        sample: torch.Tensor,
    ) -> None:
        self.latest = self._preview.ready()
        if self._preview.busy or not self._governor.wants_one():
            return
        if not self._preview.beside:
            synchronize(sample.device)  # otherwise the step's time would count as the preview's
        started = time.perf_counter()
        clean = estimate_clean_latents(
            scheduler, self._variance_exploding, model_output, timestep, sample
        )
        self._preview.begin(*arrange_side_by_side(self._space.unpacked(clean), self._size))
        self.latest = self._preview.ready() or self.latest
        seconds = time.perf_counter() - started
        self._governor.made_one(seconds + self._preview.cost_seconds)
