"""Emphasis: how the weights of a prompt's tokens change its encoding.

Imports torch: import it in a function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from paintdiff.prompts.attention import Emphasis


def weigh_tokens(
    hidden: torch.Tensor,
    weights: Sequence[float],
    emphasis: Emphasis,
    encode_empty: Callable[[], torch.Tensor],
) -> torch.Tensor:
    """Return a chunk's encoding with its tokens weighted.

    "original" multiplies each token's vector by its weight, and the result by a factor that
    restores the mean over all of it; "no_norm" leaves that factor out (both as in the A1111 web
    UI). "comfy" moves each vector away from the empty prompt's, or towards it, as ComfyUI does.

    Args:
        hidden: (1, tokens, width), any precision; isn't changed.
        weights: As many as tokens.
        emphasis: The rule.
        encode_empty: Returns the empty prompt's encoding, of the same shape.
    """
    factors = torch.tensor(weights, dtype=torch.float32, device=hidden.device)[None, :, None]
    exact = hidden.float()
    if emphasis == "comfy":
        empty = encode_empty().float()
        return (empty + (exact - empty) * factors).to(hidden.dtype)
    weighted = exact * factors
    if emphasis == "original":
        factor = exact.mean() / weighted.mean()
        if torch.isfinite(factor):  # weights of 0 leave nothing to restore
            weighted = weighted * factor
    return weighted.to(hidden.dtype)
