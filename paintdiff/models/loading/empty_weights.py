"""Networks without weights, built while other threads build theirs.

accelerate's `init_empty_weights` replaces a method of `torch.nn.Module` for all threads: what
another thread builds meanwhile is empty, too. When two threads leave it in the order in which they
entered, it stays replaced for good. diffusers uses it in each load and with each IP-Adapter, so
importing this module makes accelerate's own act in the calling thread only.

Imports torch: import it in a function.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import big_modeling
from torch.nn.modules.module import register_module_parameter_registration_hook

_MARK = "_is_hf_initialized"
"""transformers sets it on parameters; their constructors don't take it."""


class _ThisThread(threading.local):
    device: torch.device | None = None


_this_thread = _ThisThread()


@contextmanager
def init_empty_weights() -> Generator[None]:
    """Let this thread build networks whose parameters take no memory (on the meta device).

    Buffers are built as usual.
    """
    with _init_on_device(torch.device("meta")):
        yield


@contextmanager
def _init_on_device(device: torch.device, include_buffers: bool | None = None) -> Generator[None]:
    """Do what accelerate's function of this name does, in this thread only."""
    if include_buffers:
        with device:  # torch's own, which acts in this thread only
            yield
        return
    before, _this_thread.device = _this_thread.device, device
    try:
        yield
    finally:
        _this_thread.device = before


def _move_new_parameter(
    _module: torch.nn.Module, _name: str, parameter: torch.nn.Parameter | None
) -> torch.nn.Parameter | None:
    """Return the parameter to register instead of a new one, None for that one."""
    device = _this_thread.device
    if device is None or parameter is None:
        return None
    settings = {key: value for key, value in vars(parameter).items() if key != _MARK}
    settings["requires_grad"] = parameter.requires_grad
    moved = type(parameter)(parameter.to(device), **settings)
    if _MARK in vars(parameter):
        setattr(moved, _MARK, vars(parameter)[_MARK])
    return moved


_hook: Any = _move_new_parameter  # torch declares that hooks return nothing
register_module_parameter_registration_hook(_hook)
big_modeling.init_on_device = _init_on_device
