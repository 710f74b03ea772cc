"""Prompts: their language, wildcards, styles, and richer ones.

    from paintdiff.prompts import enhance, variations

    variations("a cat on a roof", count=3, seed=7)

Nothing here imports torch.
"""

from __future__ import annotations

from paintdiff.prompts.enhancer import enhance, variations

__all__ = ["enhance", "variations"]
