"""Shallow copies of networks, for a run that replaces some parts of a module.

The module itself, whose weights the copy shares, isn't changed. Imports torch: import it in a
function.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch

_REGISTRY = "_diffusers_hook"
"""The attribute in which diffusers keeps a module's hooks."""

_LAYERS = (torch.nn.Linear, torch.nn.Conv2d)
"""The layers that autocast computes in bfloat16. Layers with packed weights have other classes."""


def copy_shallow(module: torch.nn.Module, **parts: Any) -> Any:
    """Copy a module that shares everything with the original except `parts`.

    A part may be anything that can be called as the original one. The module's `forward` uses it
    instead.
    """
    copied = copy.copy(module)
    own = vars(copied)
    children: dict[str, Any] = own["_modules"]
    own["_modules"] = {name: each for name, each in children.items() if name not in parts}
    own.pop(_REGISTRY, None)
    own.update(parts)
    return copied


def copy_in_half_precision(module: torch.nn.Module) -> Any:
    """Copy a network with the weights of its layers in bfloat16; everything else is shared.

    In `torch.autocast` the copy computes the same as the network, whose weights would be cast again
    at every call.
    """
    copied = copy.copy(module)
    own = vars(copied)
    own.pop(_REGISTRY, None)
    children: dict[str, torch.nn.Module | None] = own["_modules"]
    own["_modules"] = {
        name: None if each is None else copy_in_half_precision(each)
        for name, each in children.items()
    }
    if type(module) in _LAYERS:
        own["_parameters"] = {
            name: None if each is None else torch.nn.Parameter(each.bfloat16(), False)
            for name, each in own["_parameters"].items()
        }
    return copied


def is_hooked(modules: Iterable[torch.nn.Module]) -> bool:
    """Return whether any module has a `forward` of its own, as offloaded modules have.

    A copy of such a module would still call the original.
    """
    return any(
        "forward" in vars(each) or getattr(vars(each).get(_REGISTRY), "hooks", {})
        for each in modules
    )
