"""Previews: the clean latents predicted at a step, as a small picture.

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
from paintdiff.models.inference.previews.latent_formats import LatentSpace
from paintdiff.models.registry.families import LatentRgb

LONGEST_SIDE_PX = 256
LARGEST_SHARE = 0.02
"""The fraction of a run's time that previews may take."""


def predict_clean(
    prediction_type: str, model_output: torch.Tensor, sample: torch.Tensor, alpha_bar: torch.Tensor
) -> torch.Tensor:
    """Predict the clean latents x0 of x_t = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) noise.

    Ho et al. 2020 (arXiv:2006.11239), equation 15; for v-prediction Salimans and Ho 2022
    (arXiv:2202.00512), appendix D.

    Args:
        prediction_type: As in the config of a scheduler of diffusers.
        model_output: Latents (batch, channels, height, width), float.
        sample: x_t, of the same shape.
        alpha_bar: A scalar, 0..1.

    Raises:
        ValueError: The prediction type is unknown.
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
    """Predict x0 from the arguments that a scheduler's `step` is about to get.

    Where a scheduler has sigmas they are read at its step index (timesteps may be rounded there),
    otherwise alpha_bar at the timestep. `variance_exploding` is as in `samplers.Sampler`. A flow
    model's sample is (1 - sigma) x0 + sigma noise, and it predicts the slope noise - x0; its
    scheduler says so in its config, or has no other prediction type.
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
    """Draws clean latents. `take` gives the picture that `begin` began, at once or steps later."""

    def begin(self, latents: torch.Tensor, size: Size) -> None:
        """Begin a picture.

        `latents` are clean, (1, channels, height, width), float, as the denoiser sees them; `size`
        is the finished picture's, in pixels.
        """
        ...

    def take(self) -> Image.Image | None:
        """Return the picture that was begun, once it is done, and only once; otherwise None.

        It is RGB, 8 bits, with a longest side of at most `LONGEST_SIDE_PX` (`DecodedPreview`: of
        the picture's own size).
        """
        ...

    def forget(self) -> None:
        """Drop what was begun, before another run begins."""
        ...

    @property
    def busy(self) -> bool:
        """Return whether a picture that was begun isn't done yet."""
        ...

    @property
    def is_asynchronous(self) -> bool:
        """Return whether pictures are drawn while the run goes on."""
        ...

    @property
    def cost_seconds(self) -> float:
        """Return the time that the last picture took after `begin` returned."""
        ...


class LinearPreview:
    """Draws latents by a linear map from channels to colours."""

    def __init__(self, latent_rgb: LatentRgb, device: torch.device) -> None:
        self._matrix = torch.tensor(latent_rgb.matrix, dtype=torch.float32, device=device)
        self._bias = torch.tensor(latent_rgb.bias, dtype=torch.float32, device=device)
        self._latest: Image.Image | None = None
        self.busy = self.is_asynchronous = False
        self.cost_seconds = 0.0

    def begin(self, latents: torch.Tensor, size: Size) -> None:
        """Draw a picture at once; see `Preview.begin`."""
        self._latest = self.draw(latents, size)

    def take(self) -> Image.Image | None:
        """Return the picture; see `Preview.take`."""
        latest, self._latest = self._latest, None
        return latest

    def forget(self) -> None:
        """Drop the picture."""
        self._latest = None

    def draw(self, latents: torch.Tensor, size: Size) -> Image.Image:
        """Return the picture of latents; the arguments are those of `begin`."""
        rgb = latents[0].permute(1, 2, 0) @ self._matrix + self._bias
        small = fit_within(size, LONGEST_SIDE_PX)
        return make_image(rgb.cpu().numpy()).resize(
            (small.width, small.height), Image.Resampling.BICUBIC
        )


def arrange_side_by_side(latents: torch.Tensor, size: Size) -> tuple[torch.Tensor, Size]:
    """Arrange the latents of several pictures in a grid, as those of one picture.

    Args:
        latents: (batch, channels, height, width).
        size: That of one picture, in pixels.

    Returns:
        Latents (1, channels, rows * height, columns * width), and their picture's size in pixels.
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
    """Limits previews to a `share` of a run's time.

    The first preview is always made. From then on one is made when, at the mean cost so far, the
    previews stay within the share of the elapsed time; a share of 1 or more is no limit. `clock`
    returns seconds.
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
        """Start the clock. Later calls change nothing."""
        if self._started is None:
            self._started = self._clock()

    def allows_preview(self) -> bool:
        """Return whether a preview may be made now."""
        if self._started is None or self._made == 0 or self._share >= 1:
            return True
        mean_cost = self._spent / self._made
        return self._spent + mean_cost <= self._share * (self._clock() - self._started)

    def record(self, seconds: float) -> None:
        """Note that a preview took that long."""
        self._spent += seconds
        self._made += 1


class PreviewTap:
    """Draws previews from a scheduler's steps. `space` is the layout of the run's latents.

    `latest` is the preview that was done at the last step, None if none was.
    """

    def __init__(
        self,
        preview: Preview,
        size: Size,
        space: LatentSpace,
        variance_exploding: bool,
        rate_limit: PreviewRateLimit,
    ) -> None:
        self._preview = preview
        self._size = size
        self._space = space
        self._variance_exploding = variance_exploding
        self._rate_limit = rate_limit
        self.latest: Image.Image | None = None

    def attach(self, scheduler: Any) -> None:
        """Read the arguments of each `scheduler.step` from now on.

        The scheduler has to be this run's own.
        """
        original = scheduler.step

        @functools.wraps(original)  # pipelines inspect the signature
        def step(
            model_output: torch.Tensor,
            timestep: Any,
            sample: torch.Tensor,
            *args: Any,
            **settings: Any,
        ) -> Any:
            self._draw_step(scheduler, model_output, timestep, sample)
            return original(model_output, timestep, sample, *args, **settings)

        scheduler.step = step
        self._preview.forget()
        self._rate_limit.begin()

    def _draw_step(
        self,
        scheduler: Any,
        model_output: torch.Tensor,
        timestep: Any,
        sample: torch.Tensor,
    ) -> None:
        self.latest = self._preview.take()
        if self._preview.busy or not self._rate_limit.allows_preview():
            return
        if not self._preview.is_asynchronous:
            synchronize(sample.device)  # otherwise the step's time would count as the preview's
        started = time.perf_counter()
        clean = estimate_clean_latents(
            scheduler, self._variance_exploding, model_output, timestep, sample
        )
        self._preview.begin(*arrange_side_by_side(self._space.unpack(clean), self._size))
        self.latest = self._preview.take() or self.latest
        seconds = time.perf_counter() - started
        self._rate_limit.record(seconds + self._preview.cost_seconds)
