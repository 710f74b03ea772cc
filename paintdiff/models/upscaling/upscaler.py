"""Upscalers in use: networks of any architecture that spandrel knows, run on tiles.

Weights are read safely. Imports torch: import it in a function.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import spandrel
import torch
from numpy.typing import NDArray

from paintdiff.errors import MemoryBudgetError, ModelLoadError
from paintdiff.imaging.geometry import Size
from paintdiff.models.formats.weight_files import file_identity, hash_file
from paintdiff.models.loading.library_errors import as_memory_error, make_load_error
from paintdiff.models.memory import usage
from paintdiff.models.registry.face_restorer_rows import FACE_FOLDERS
from paintdiff.models.registry.upscaler_rows import UpscalerRow, locate_upscaler
from paintdiff.models.upscaling import messages
from paintdiff.models.upscaling.spandrel_networks import (
    Use,
    choose_network_dtype,
    count_network_bytes,
    load_descriptor,
)

logger = logging.getLogger(__name__)

Floats = NDArray[np.float32]

MAX_SCALE = 16
MAX_CONTEXT_PX = 32
MAX_TILE_PX = {"cpu": 512, "cuda": 1024}
MIN_TILE_PX = 128

_LEAST_SIDE_PX = 16
"""Some architectures fail on smaller sides without saying so."""
_MOST_MULTIPLE = 32
_CPU_BUDGET_BYTES = 2**30
_KEPT_TENSOR_BYTES = 32 * 2**20
"""Larger tensors are returned to the system each time, by glibc's malloc at least, and zeroing them
again costs a third of the time."""
_LEAST_KEPT_TILE_PX = 192
"""Below that the margins cost more than it saves."""
_WINDOW_ATTRIBUTES = ("window_size", "win_size", "ws", "split_size", "patch_size", "stripe_size")
_USE = Use(
    what="upscaler",
    does=messages.UPSCALERS_DO,
    example="RealESRGAN_x4plus.pth",
    known=messages.KNOWN_UPSCALERS,
)


class LoadedUpscaler:
    """An upscaler in memory.

    `network` is spandrel's descriptor; `scale` is how many times larger it makes a picture each
    way.
    """

    def __init__(
        self, row: UpscalerRow, network: Any, model_hash: str, device: torch.device
    ) -> None:
        self.row = row
        self.network = network
        self.model_hash = model_hash
        self.device = device
        self.scale: int = network.scale
        self.weights_bytes = count_network_bytes(network)

    @property
    def half(self) -> bool:
        """Return whether it computes in half precision."""
        return self.network.dtype != torch.float32

    @cached_property
    def multiple(self) -> int:
        """Return the number of pixels that tiles must begin at a multiple of.

        Such tiles see the same windows as in the whole picture.
        """
        multiple = int(self.network.size_requirements.multiple_of)
        for module in self.network.model.modules():
            for side in _window_sides(module):
                together = math.lcm(multiple, side)
                multiple = together if together <= _MOST_MULTIPLE else multiple
        return multiple

    @cached_property
    def memory_format(self) -> torch.memory_format:
        """Return the memory format of its tensors.

        On a CPU that is channels last, which makes convolutions much faster, unless the network
        doesn't support it.
        """
        model, usual, last = self.network.model, torch.contiguous_format, torch.channels_last
        if self.device.type != "cpu":
            return usual
        side = max(_LEAST_SIDE_PX * 2, self.multiple)
        probe = torch.zeros(1, 3, side, side, dtype=self.network.dtype)
        model.to(memory_format=last)
        try:
            _in_channels(self.network, probe.contiguous(memory_format=last))
        except RuntimeError:  # the network needs the default memory format
            model.to(memory_format=usual)
            return usual
        return last

    @cached_property
    def context_px(self) -> int:
        """Measure how far the network looks, in pixels of its input; at most MAX_CONTEXT_PX.

        Cutting off anything further away changes no level of the result by more than a quarter (in
        half precision by one).

        It is measured with a picture of edges and grain, because a trained network looks less far
        than it could. Networks that work in windows look as far as they have layers, so they aren't
        measured.
        """
        if any(map(_window_sides, self.network.model.modules())):
            return MAX_CONTEXT_PX
        multiple = self.multiple
        margin = -(-MAX_CONTEXT_PX // multiple) * multiple
        inner = -(-2 * MAX_CONTEXT_PX // multiple) * multiple
        picture = _grainy(inner + 2 * margin)
        try:
            whole = self._run(picture)
        except MemoryBudgetError:
            return MAX_CONTEXT_PX  # smaller tiles may still work
        cut = self._run(picture[margin : margin + inner, margin : margin + inner])
        start, end = margin * self.scale, (margin + inner) * self.scale
        wrong = np.abs(whole[start:end, start:end] - cut).max(axis=2)
        tolerance = (1.0 if self.half else 0.25) / 255
        place = np.arange(len(wrong)) // self.scale
        from_side = np.minimum(place, inner - 1 - place)
        depth = np.minimum(from_side[:, None], from_side[None, :])
        return min(MAX_CONTEXT_PX, int(depth[wrong > tolerance].max(initial=-1)) + 2)

    @cached_property
    def bytes_per_pixel(self) -> int:
        """Estimate the memory of a tile in bytes, per pixel of its input."""
        side = max(_LEAST_SIDE_PX * 2, self.multiple)
        most = 0

        def seen(_module: object, inputs: tuple[object, ...], output: object) -> None:
            nonlocal most
            sizes = [
                tensor.numel() * tensor.element_size()
                for tensor in (*inputs, output)
                if isinstance(tensor, torch.Tensor)
            ]
            most = max(most, sum(sizes))

        modules = [each for each in self.network.model.modules() if not list(each.children())]
        hooks = [module.register_forward_hook(seen) for module in modules]
        try:
            self._run(_grainy(side))
        finally:
            for hook in hooks:
                hook.remove()
        # Memory kept for later (skip connections, the result) comes on top.
        return 2 * most // side**2

    def tile_px(self, size: Size) -> int:
        """Return the best side of tiles for a picture of that size and the memory available now."""
        if max(size.width, size.height) <= MIN_TILE_PX:
            return MIN_TILE_PX
        kind = "cuda" if self.device.type == "cuda" else "cpu"
        fits = math.isqrt(_budget_bytes(self.device) // max(1, self.bytes_per_pixel))
        most = min(MAX_TILE_PX[kind], fits)
        if kind == "cpu":
            # Half of bytes_per_pixel is kept for later; the rest is two tensors.
            tensor_bytes = max(1, self.bytes_per_pixel // 4)
            kept = math.isqrt(_KEPT_TENSOR_BYTES // tensor_bytes) - 2 * MAX_CONTEXT_PX
            most = min(most, kept) if kept >= _LEAST_KEPT_TILE_PX else most
        return max(MIN_TILE_PX, most // 32 * 32)

    def enlarge(self, tile: Floats) -> Floats:
        """Return a tile (height, width, 3), 0..1, RGB, enlarged `scale` times each way.

        If half precision gives NaN values, this and all later tiles are computed in float32. Raises
        MemoryBudgetError if the tile is too large for the memory, and ModelLoadError if the result
        still has NaN values.
        """
        made = self._run(tile)
        if self.half and not np.isfinite(made).all():
            logger.warning("%s gave NaN values in half precision; now in float32", self.row.name)
            self.network.float()
            self.weights_bytes = count_network_bytes(self.network)
            made = self._run(tile)
        if not np.isfinite(made).all():
            raise ModelLoadError(messages.upscaler_failed(self.row.title))
        return made

    def _run(self, tile: Floats) -> Floats:
        """Run the network on a tile. Raises MemoryBudgetError."""
        height, width = tile.shape[:2]
        down, across = max(0, _LEAST_SIDE_PX - height), max(0, _LEAST_SIDE_PX - width)
        if down or across:
            tile = np.pad(tile, ((0, down), (0, across), (0, 0)), mode="symmetric")
        pixels = torch.from_numpy(np.ascontiguousarray(tile.transpose(2, 0, 1)))[None]
        try:
            pixels = pixels.to(self.device, self.network.dtype, memory_format=self.memory_format)
            made = _in_channels(self.network, pixels)
            array = made[0].permute(1, 2, 0).float().cpu().numpy()
        except Exception as error:
            if as_memory_error(error) is None:
                raise
            raise MemoryBudgetError(messages.upscaler_needs_memory(self.row.title)) from error
        return array[: height * self.scale, : width * self.scale]


LeasedUpscaler = LoadedUpscaler
"""The upscaler that a task works with: it has no state that each lease would need for itself."""


def load_upscaler(
    row: UpscalerRow,
    device: str,
    dtype: str | None = None,
    report: Callable[[str], None] = lambda _message: None,
    wanted: Callable[[], bool] = lambda: True,
) -> LoadedUpscaler:
    """Load an upscaler's weights onto a device; download them first if necessary.

    `dtype` is "float32", "bfloat16" or "float16". None means the best one: half precision on CUDA
    if the network supports it, full precision elsewhere. `report` receives progress messages. A
    download is cancelled once `wanted` returns False. Raises ModelNotFoundError, UnsafeWeightsError
    or ModelLoadError.
    """
    file = locate_upscaler(row, report, wanted)
    report(messages.loading(row.title))
    if row.sha256 and hash_file(file) != row.sha256:
        raise ModelLoadError(messages.not_the_official_file(file.name, row.sha256))
    try:
        network = load_descriptor(file, _USE)
        _check_use(network, file)
        network.model.requires_grad_(False).eval()
        network.to(torch.device(device), choose_network_dtype(network, device, dtype))
    except Exception as error:
        raise make_load_error(messages.upscaler_not_loaded(row.title), error) from error
    return LoadedUpscaler(row, network, file_identity(file), torch.device(device))


def _check_use(network: Any, file: Path) -> None:
    """Raise ModelLoadError unless the network turns a picture into a larger one."""
    kind, reason = network.architecture.name, None
    if isinstance(network, spandrel.MaskedImageModelDescriptor):
        reason = messages.NEEDS_A_MASK
    elif network.purpose == "FaceSR":
        reason = messages.restores_single_faces(FACE_FOLDERS[0])
    elif network.input_channels != network.output_channels:
        reason = messages.makes_channels(network.output_channels, network.input_channels)
    elif network.input_channels not in (1, 3, 4):
        reason = messages.takes_channels(network.input_channels)
    elif not 1 <= network.scale <= MAX_SCALE:
        reason = messages.enlarges_too_much(network.scale, MAX_SCALE)
    if reason is not None:
        raise ModelLoadError(messages.not_an_upscaler(file.name, kind, reason))


def _in_channels(network: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Run an RGB picture (1, 3, height, width) through a network for grey, RGB or RGBA."""
    if network.input_channels == 3:
        return network(pixels)
    if network.input_channels == 1:
        return torch.cat([network(channel) for channel in pixels.split(1, dim=1)], dim=1)
    return network(torch.cat((pixels, torch.ones_like(pixels[:, :1])), dim=1))[:, :3]


def _window_sides(module: torch.nn.Module) -> list[int]:
    """Return the sides of the windows that a part of a network works in.

    Architectures have different names for them.
    """
    sides: list[int] = []
    for name in _WINDOW_ATTRIBUTES:
        value = getattr(module, name, None)
        values = value if isinstance(value, (tuple, list)) else (value,)
        sides += [side for side in values if type(side) is int and side > 0]
    return sides


def _grainy(side: int) -> Floats:
    """Return a picture (side, side, 3) of hard edges and grain, the same every time."""
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.random((-(-side // 8), -(-side // 8), 3)), np.ones((8, 8, 1)))
    grain = rng.normal(0, 0.15, (side, side, 3))
    return np.clip(blocks[:side, :side] + grain, 0, 1).astype(np.float32)


def _budget_bytes(device: torch.device) -> int:
    """Return how many bytes of the free memory a tile may take."""
    if device.type == "cuda":
        free, _total = torch.cuda.mem_get_info(device)
        return free // 2
    return min(_CPU_BUDGET_BYTES, usage.count_free_bytes() // 4)
