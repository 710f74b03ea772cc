"""The parameters that a diffusers pipeline can be called with."""

from __future__ import annotations

import inspect
from typing import Any

NEEDED = frozenset({"prompt", "num_inference_steps", "generator", "output_type"})
"""Parameters without which a pipeline can't be called by us."""


def parameters_of(pipeline: Any) -> frozenset[str]:
    """The names of the parameters that calling a pipeline takes."""
    return frozenset(inspect.signature(type(pipeline).__call__).parameters)
