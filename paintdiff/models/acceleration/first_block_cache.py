"""A transformer whose blocks are skipped while little changes: diffusers' First Block Cache.

What the first block adds tells how much the others will; where that is close to what it was at the
last step, what all others added then is added again. Imports torch: import it in a function.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from diffusers.hooks import FirstBlockCacheConfig, apply_first_block_cache
from diffusers.hooks._common import (
    _ALL_TRANSFORMER_BLOCK_IDENTIFIERS,  # pyright: ignore[reportPrivateUsage]
)
from diffusers.hooks._helpers import TransformerBlockRegistry
from diffusers.hooks.hooks import (
    CacheContext,
    _set_cache_context,  # pyright: ignore[reportPrivateUsage]
)

from paintdiff.models.acceleration.shallow_copies import copy_shallow, is_hooked


def can_skip_blocks(transformer: Any) -> bool:
    """Whether diffusers knows all the transformer's blocks, there are two or more, all give what
    they take (Stable Diffusion 3's last one gives no words), and nothing else is hooked into the
    network.
    """
    blocks = [block for each in _blocks_of(transformer).values() for block in each]
    known = all(
        _is_known(block) and not getattr(block, "context_pre_only", False) for block in blocks
    )
    return known and len(blocks) > 1 and not is_hooked((transformer, *blocks))


class BlockCache:
    """Stands in for a transformer during one run. Blocks are skipped where the first one's addition
    differs by less than the part `threshold` from the last time.

    The transformer is shared and left alone: the hooks are in copies of its blocks, which share
    their weights. What isn't its own is the transformer's.
    """

    def __init__(self, transformer: Any, threshold: float) -> None:
        self._transformer = transformer
        copies = {
            name: torch.nn.ModuleList(copy_shallow(block) for block in blocks)
            for name, blocks in _blocks_of(transformer).items()
        }
        self._twin = copy_shallow(transformer)
        vars(self._twin)["_modules"].update(copies)
        apply_first_block_cache(self._twin, FirstBlockCacheConfig(threshold=threshold))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transformer, name)

    def __call__(self, *args: Any, **settings: Any) -> Any:
        """As the transformer's."""
        _set_cache_context(self._twin, CacheContext(name=_turn(args, settings)))
        return self._twin(*args, **settings)


def _turn(args: tuple[Any, ...], settings: dict[str, Any]) -> str:
    """What tells calls with the prompt's words from those without, and guided ones from unguided:
    the words' place in memory, which stays the same over a run, and the number of samples.
    """
    words = settings.get("encoder_hidden_states")
    sample = args[0] if args else settings["hidden_states"]
    place = words.data_ptr() if isinstance(words, torch.Tensor) else 0
    return f"{place} {len(sample)}"


def _blocks_of(transformer: Any) -> dict[str, torch.nn.ModuleList]:
    return {
        name: each
        for name, each in transformer.named_children()
        if name in _ALL_TRANSFORMER_BLOCK_IDENTIFIERS and isinstance(each, torch.nn.ModuleList)
    }


def _is_known(block: Any) -> bool:
    try:
        known = TransformerBlockRegistry.get(type(block))
    except ValueError:  # how it says so
        return False
    # (Of Z-Image's it looks for an argument that they don't have.)
    return known.hidden_states_argument_name in inspect.signature(type(block).forward).parameters
