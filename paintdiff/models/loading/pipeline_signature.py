"""The call parameters of diffusers pipelines."""

from __future__ import annotations

import inspect
from typing import Any

NEEDED = frozenset({"prompt", "num_inference_steps", "generator", "output_type"})
"""Parameters that every pipeline must have."""


def list_parameters(pipeline: Any) -> frozenset[str]:
    """List the names of a pipeline's call parameters."""
    return frozenset(inspect.signature(type(pipeline).__call__).parameters)
