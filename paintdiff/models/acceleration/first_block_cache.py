"""First Block Cache of diffusers: a transformer's blocks are skipped while little changes.

Where the first block adds nearly what it added at the last step, the others would too, so what they
added then is added again. Imports torch: import it in a function.
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
    """Return whether a transformer's blocks can be skipped.

    diffusers has to know all of them, there have to be two or more, and all have to return what
    they take (Stable Diffusion 3's last one doesn't return the text). No hooks may be in the
    network.
    """
    blocks = [block for each in _find_blocks(transformer).values() for block in each]
    known = all(
        _is_known(block) and not getattr(block, "context_pre_only", False) for block in blocks
    )
    return known and len(blocks) > 1 and not is_hooked((transformer, *blocks))


class BlockCache:
    """Replaces a transformer during one run.

    Blocks are skipped where the relative change of the first one's output is below `threshold`. The
    transformer is shared, so it isn't changed: the hooks are in copies of its blocks, which share
    their weights. Attributes it lacks are the transformer's.
    """

    def __init__(self, transformer: Any, threshold: float) -> None:
        self._transformer = transformer
        copies = {
            name: torch.nn.ModuleList(copy_shallow(block) for block in blocks)
            for name, blocks in _find_blocks(transformer).items()
        }
        self._copy = copy_shallow(transformer)
        vars(self._copy)["_modules"].update(copies)
        apply_first_block_cache(self._copy, FirstBlockCacheConfig(threshold=threshold))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transformer, name)

    def __call__(self, *args: Any, **settings: Any) -> Any:
        """Predict as the transformer does."""
        _set_cache_context(self._copy, CacheContext(name=_name_context(args, settings)))
        return self._copy(*args, **settings)


def _name_context(args: tuple[Any, ...], settings: dict[str, Any]) -> str:
    """Return a name that differs for calls with the prompt, without it, and with both.

    It is made of the address of the text embeddings, which stays the same over a run, and of the
    batch size.
    """
    words = settings.get("encoder_hidden_states")
    sample = args[0] if args else settings["hidden_states"]
    place = words.data_ptr() if isinstance(words, torch.Tensor) else 0
    return f"{place} {len(sample)}"


def _find_blocks(transformer: Any) -> dict[str, torch.nn.ModuleList]:
    return {
        name: each
        for name, each in transformer.named_children()
        if name in _ALL_TRANSFORMER_BLOCK_IDENTIFIERS and isinstance(each, torch.nn.ModuleList)
    }


def _is_known(block: Any) -> bool:
    try:
        known = TransformerBlockRegistry.get(type(block))
    except ValueError:  # how it says that it doesn't know the class
        return False
    # For Z-Image's blocks it names an argument that they don't have.
    return known.hidden_states_argument_name in inspect.signature(type(block).forward).parameters
