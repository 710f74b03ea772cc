"""DoRA: a LoRA that also learns the norms ("magnitudes") of a weight's rows or columns.

Liu et al. 2024, "DoRA: weight-decomposed low-rank adaptation" (arXiv:2402.09353). With the product
`B @ A` of the two matrices and the magnitudes `m`, the weight `W` becomes

    W' = g * (W + B @ A),   g = m / ||W + B @ A||.

At a strength `s` it becomes `W + s * (W' - W) = W + s * g * (B @ A) + s * (g - 1) * W`, as in the
A1111 web UI and ComfyUI: 0 is the model, and two adapters add up in any order, because the norm is
that of the model's own weight with one adapter. PEFT and LyCORIS multiply `B @ A` by `s` before
they take the norm, so they differ where `s` isn't 1. ComfyUI differs for magnitudes of rows: it
divides by `||W||`, though trainers don't.

Imports torch and diffusers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from diffusers.quantizers.gguf.utils import dequantize_gguf_tensor

from paintdiff.models.adapters import messages
from paintdiff.models.adapters.low_rank import LowRank

_CHUNK_NUMBERS = 2**20
"""How many numbers of a weight are in float32 at a time."""


@torch.no_grad()
def compute_gains(layer: Any, part: LowRank, magnitudes: torch.Tensor) -> torch.Tensor:
    """Return `g`, float32 in the shape of `magnitudes`, on the layer's device.

    A row or column of zeros has no direction, so its gain is 1: it stays zero.

    Args:
        layer: A linear layer or convolution, quantized or not.
        part: A pair in the weight's shapes.
        magnitudes: (outputs, 1) or (1, inputs).

    Raises:
        ArithmeticError: A gain is infinite or NaN.
    """
    weight = _unpack(layer.weight)
    down, up = (half.to(weight.device).flatten(1) for half in (part.down, part.up))
    magnitudes = magnitudes.to(weight.device)
    outputs, inputs = weight.shape[:2]
    of_outputs = magnitudes.shape == (outputs, 1)
    squares = torch.zeros_like(magnitudes)
    step = max(1, _CHUNK_NUMBERS // down.shape[1])
    for start in range(0, outputs, step):
        rows = slice(start, start + step)
        merged = weight[rows].flatten(1).to(torch.float32, copy=True).addmm_(up[rows], down)
        if of_outputs:
            squares[rows, 0] = torch.linalg.vector_norm(merged, dim=1).square()
        else:
            squares[0] += merged.square_().sum(0).view(inputs, -1).sum(1)
    gains = torch.where(squares == 0, 1, magnitudes / squares.sqrt())
    if not (gains.isfinite() & squares.isfinite()).all():
        raise ArithmeticError(messages.MAGNITUDES_NOT_FINITE)
    return gains


def multiply_gains(part: LowRank, gains: torch.Tensor) -> LowRank:
    """Return the pair whose product is `g * (B @ A)`."""
    gains = gains.cpu()
    if gains.shape[1] == 1:
        return replace(part, up=part.up * gains.view(-1, *[1] * (part.up.ndim - 1)))
    return replace(part, down=part.down * gains.view(1, -1, *[1] * (part.down.ndim - 2)))


class GainChange(torch.nn.Module):
    """An adapter's `g - 1` for one layer, in `weight`: (outputs, 1) or (1, inputs), float32."""

    def __init__(self, gains: torch.Tensor) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(gains - 1, requires_grad=False)


class RescaledLayer(torch.nn.Module):
    """A layer that computes with rescaled rows and columns of its weight, and with its own bias.

    The weight isn't touched: instead of rows, outputs are scaled; instead of columns, inputs.
    """

    def __init__(self, base_layer: Any) -> None:
        super().__init__()
        self.base_layer = base_layer  # PEFT finds the original layer by this name
        self._tail = (1,) * (2 if isinstance(base_layer, torch.nn.Conv2d) else 0)
        # Buffers move with the layer. The third is what the scaling would add to the bias.
        for name in ("_rows", "_columns", "_excess"):
            self.register_buffer(name, None, persistent=False)
        self.train(base_layer.training)

    @torch.no_grad()
    def rescale(self, changes: Iterable[torch.Tensor]) -> None:
        """Make the weight `W * (1 + the sum of changes)`; each is (outputs, 1) or (1, inputs)."""
        rows = columns = excess = None
        for change in changes:
            flat = change.view(-1, *self._tail)
            if change.shape[1] == 1:
                rows = flat if rows is None else rows + flat
            else:
                columns = flat if columns is None else columns + flat
        bias = self.base_layer.bias
        if rows is not None and bias is not None:
            excess = rows * _unpack(bias).view(-1, *self._tail)
        self._rows, self._columns, self._excess = rows, columns, excess

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the layer's outputs for the rescaled weight."""
        # Changes are small: 1 + change, rounded to half precision, would lose most of them.
        scaled = inputs
        if self._columns is not None:
            scaled = torch.addcmul(inputs, inputs, self._columns.to(inputs.dtype))
        result: torch.Tensor = self.base_layer(scaled)
        if self._rows is None:
            return result
        plain = result if scaled is inputs else self.base_layer(inputs)
        result = torch.addcmul(result, plain, self._rows.to(plain.dtype))
        return result if self._excess is None else result - self._excess.to(result.dtype)


def _unpack(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor's numbers; those of GGUF are packed in bytes."""
    return dequantize_gguf_tensor(tensor)
