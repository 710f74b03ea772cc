"""Shallow copies of networks: of one module some parts may be exchanged for a run, while the module
itself, whose weights they share, stays as it is. Imports torch: import it in a function.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch

_REGISTRY = "_diffusers_hook"
"""Where diffusers notes what it has hooked into a module; often nothing."""


def twin(module: torch.nn.Module, **parts: Any) -> Any:
    """A copy of a module that shares everything with it but `parts`, which may be anything that can
    be called as those are. Its class's `forward` sees them in the place of its own.
    """
    made = copy.copy(module)
    own = vars(made)
    children: dict[str, Any] = own["_modules"]
    own["_modules"] = {name: each for name, each in children.items() if name not in parts}
    own.pop(_REGISTRY, None)
    own.update(parts)
    return made


def is_hooked(modules: Iterable[torch.nn.Module]) -> bool:
    """Whether any of the modules has another `forward` than its class's, as those have whose
    weights are moved about. A twin of it would go on to call the module itself.
    """
    return any(
        "forward" in vars(each) or getattr(vars(each).get(_REGISTRY), "hooks", {})
        for each in modules
    )
