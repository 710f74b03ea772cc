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

_LAYERS = (torch.nn.Linear, torch.nn.Conv2d)
"""What autocast computes in bfloat16. Those that unpack their weights are of other classes."""


def copy_shallow(module: torch.nn.Module, **parts: Any) -> Any:
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


def run_in_half_precision(module: torch.nn.Module) -> Any:
    """Copy a network and all modules in it; of layers the weights are in bfloat16, everything else
    is shared. In `torch.autocast` it computes the same as the network, which has its weights cast
    anew at every call there.
    """
    made = copy.copy(module)
    own = vars(made)
    own.pop(_REGISTRY, None)
    children: dict[str, torch.nn.Module | None] = own["_modules"]
    own["_modules"] = {
        name: None if each is None else run_in_half_precision(each)
        for name, each in children.items()
    }
    if type(module) in _LAYERS:
        own["_parameters"] = {
            name: None if each is None else torch.nn.Parameter(each.bfloat16(), False)
            for name, each in own["_parameters"].items()
        }
    return made


def is_hooked(modules: Iterable[torch.nn.Module]) -> bool:
    """Whether any of the modules has another `forward` than its class's, as those have whose
    weights are moved about. A twin of it would go on to call the module itself.
    """
    return any(
        "forward" in vars(each) or getattr(vars(each).get(_REGISTRY), "hooks", {})
        for each in modules
    )
