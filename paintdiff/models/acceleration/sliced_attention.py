"""Attention in slices, where torch would hold all scores of an attention at once.

It does so on Apple's GPUs, and wherever its fused kernels are switched off. Each query has its own
softmax, so parts of the batch, heads and queries can be computed one after another; only rounding
may differ. This wraps torch's function instead of a network's processors, so it covers UNets,
transformers, VAEs, ControlNets and IP-Adapters alike, and leaves nothing behind. diffusers'
`enable_attention_slicing` covers only UNets, and not with IP-Adapters.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

MOST_SCORES = 2**24
"""How many scores (queries x keys, of all heads and pictures) are computed at once.

It is what one head of Stable Diffusion 1.x has for 512x512 pixels.
"""


class SlicedAttention(TorchFunctionMode):
    """A context in which this thread computes at most `most_scores` scores at once."""

    def __init__(self, most_scores: int = MOST_SCORES) -> None:
        super().__init__()
        self._most_scores = most_scores

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is functional.scaled_dot_product_attention:
            return self._attend(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        **settings: Any,
    ) -> torch.Tensor:
        """Compute attention as torch does.

        `query` is (batch, heads, queries, width), `key` and `value` likewise. Other shapes, in
        which heads share keys, are computed as a whole.
        """

        def attend(part: Any, of_heads: Any) -> torch.Tensor:
            mask = None if attn_mask is None else attn_mask.expand(*query.shape[:-1], keys)[part]
            return functional.scaled_dot_product_attention(
                query[part], key[of_heads], value[of_heads], mask, dropout_p, is_causal, **settings
            )

        keys, everything = key.shape[-2], (slice(None),)
        if query.ndim != 4 or key.shape[:2] != query.shape[:2]:
            return attend(everything, everything)
        batch, heads, queries, _width = query.shape
        if batch * heads * queries * keys <= self._most_scores:
            return attend(everything, everything)
        some_heads = max(1, min(heads, self._most_scores // (queries * keys)))
        # A causal mask depends on a query's position, so queries aren't split.
        some = queries if is_causal else max(1, self._most_scores // (some_heads * keys))
        result = query.new_empty(*query.shape[:-1], value.shape[-1])
        for picture in range(batch):
            for head in range(0, heads, some_heads):
                of_heads = (slice(picture, picture + 1), slice(head, head + some_heads))
                for first in range(0, queries, some):
                    part = (*of_heads, slice(first, first + some))
                    result[part] = attend(part, of_heads)
        return result
