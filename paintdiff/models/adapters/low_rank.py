"""A low-rank change of one layer's weight, as LoRA and DoRA have it. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True)
class LowRank:
    """The two matrices whose product `up @ down` is added to a weight; float32, on the CPU.

    Attributes:
        down: (rank, inputs) or (rank, inputs, height, width).
        up: (outputs, rank) or (outputs, rank, 1, 1).
        magnitudes: DoRA's norms of the sum's rows, (outputs, 1), or of its columns, (1, inputs);
            None for a LoRA.
    """

    down: torch.Tensor
    up: torch.Tensor
    magnitudes: torch.Tensor | None = None

    @property
    def rank(self) -> int:
        """Return the rank of the product."""
        return self.down.shape[0]

    def scale(self, factor: float) -> LowRank:
        """Return a pair whose product is `factor` times this one's."""
        return self if factor == 1 else replace(self, up=self.up * factor)


def orient_magnitudes(
    magnitudes: torch.Tensor, outputs: int, inputs: int, *, may_be_of_inputs: bool
) -> torch.Tensor | None:
    """Return a layer's magnitudes as `LowRank` has them, or None if their number doesn't fit.

    LyCORIS and OneTrainer have magnitudes of the inputs, (1, inputs, ...), or of the outputs,
    (outputs, 1, ...); only the shape tells which. PEFT has only those of the outputs, as a vector,
    or as (1, outputs, 1, 1) for a convolution: the same shape as that of another program's inputs.
    """
    count = magnitudes.numel()
    if count != max(magnitudes.shape, default=1):
        return None
    is_row = magnitudes.ndim > 1 and magnitudes.shape[0] == 1
    if may_be_of_inputs and is_row and count == inputs:
        return magnitudes.reshape(1, inputs)
    return magnitudes.reshape(outputs, 1) if count == outputs else None
