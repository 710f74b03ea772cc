"""Attention in slices, for where torch holds all scores of an attention at once: on Apple's GPUs,
and wherever its fused kernels are switched off.

Each query's softmax is its own, so any of batch, heads and queries can be computed after one
another; only rounding may differ. It acts on torch's function and not on a network's processors, so
it covers UNets, transformers, VAEs, ControlNets and IP-Adapters alike, and leaves nothing behind.
(diffusers' own `enable_attention_slicing` covers UNets alone, and not with IP-Adapters.)
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

MOST_SCORES = 2**24
"""How many scores (queries x keys, of all heads and pictures) are computed at once: those of one
head for 512x512 pixels of Stable Diffusion 1.x.
"""


class SlicedAttention(TorchFunctionMode):
    """While inside, this thread computes no more than `most_scores` scores of an attention at
    once.
    """

    def __init__(self, most_scores: int = MOST_SCORES) -> None:
        super().__init__()
        self._most_scores = most_scores

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is functional.scaled_dot_product_attention:
            return self._attention(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _attention(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        **settings: Any,
    ) -> torch.Tensor:
        """As torch's: (batch, heads, queries, width) of `query`, keys and values likewise. Other
        shapes, in which keys are shared, are computed as a whole.
        """

        def attended(part: Any, of_heads: Any) -> torch.Tensor:
            mask = None if attn_mask is None else attn_mask.expand(*query.shape[:-1], keys)[part]
            return functional.scaled_dot_product_attention(
                query[part], key[of_heads], value[of_heads], mask, dropout_p, is_causal, **settings
            )

        keys, everything = key.shape[-2], (slice(None),)
        if query.ndim != 4 or key.shape[:2] != query.shape[:2]:
            return attended(everything, everything)
        batch, heads, queries, _width = query.shape
        if batch * heads * queries * keys <= self._most_scores:
            return attended(everything, everything)
        some_heads = max(1, min(heads, self._most_scores // (queries * keys)))
        # A causal mask is told by where a query stands, so those stay together.
        some = queries if is_causal else max(1, self._most_scores // (some_heads * keys))
        result = query.new_empty(*query.shape[:-1], value.shape[-1])
        for picture in range(batch):
            for head in range(0, heads, some_heads):
                of_heads = (slice(picture, picture + 1), slice(head, head + some_heads))
                for first in range(0, queries, some):
                    part = (*of_heads, slice(first, first + some))
                    result[part] = attended(part, of_heads)
        return result
