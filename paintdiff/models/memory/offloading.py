"""Placement of a loaded model's weights while they are not in use.

All pipelines of a model share its networks, so the hooks that move them belong to the model and not
to a pipeline. They are installed after adapters are injected, removed before adapters change, and
leave nothing behind. Never run on a real GPU so far: tests simulate one.

Imports torch: import it in a function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from accelerate.hooks import ModelHook, add_hook_to_module, remove_hook_from_module
from diffusers.hooks import HookRegistry, apply_group_offloading

from paintdiff.models.memory import usage
from paintdiff.models.memory.plans import Placement

_HOME = torch.device("cpu")
_PINNED_SHARE = 0.4
"""The fraction of free main memory that may be pinned."""
# The same hooks as in `_maybe_remove_and_reapply_group_offloading` of
# diffusers.hooks.group_offloading.
_GROUP_HOOKS = ("group_offloading", "layer_execution_tracker", "lazy_prefetch_group_offloading")
_MISSING = object()


class MoveToDeviceHook(ModelHook):
    """A hook that moves a network to the device when it is called, and first sends others home.

    Pipelines read `execution_device` to find the device for their tensors.
    """

    def __init__(self, device: torch.device, sent_home: Sequence[torch.nn.Module]) -> None:
        self.execution_device = device
        self._sent_home = tuple(sent_home)

    def pre_forward(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        """Move the network: accelerate calls it, and diffusers before a VAE encodes or decodes."""
        for other in self._sent_home:
            _move(other, _HOME)
        _move(module, self.execution_device)
        return args, kwargs


class Offloading:
    """The placement of one loaded model.

    `components` are its parts by name, `denoiser` is the name of the part that predicts, and
    `device` is where the model runs.
    """

    def __init__(self, components: Mapping[str, Any], denoiser: str, device: torch.device) -> None:
        modules = {
            name: each for name, each in components.items() if isinstance(each, torch.nn.Module)
        }
        self._denoiser = modules.get(denoiser)
        self._encoders = [each for name, each in modules.items() if name.startswith("text_encoder")]
        self._modules = list(modules.values())
        self._device = device
        self._placement: Placement | None = None
        self._forwards: dict[torch.nn.Module, Any] = {}
        self._waiting: list[torch.nn.Module] = []
        self._pins = False

    def place(self, placement: Placement) -> None:
        """Install hooks, and move weights to where they wait.

        Call `lift` before calling this again.
        """
        if self._placement is not None:
            raise RuntimeError(f"the weights are placed already: {self._placement}")
        self._placement = placement
        if placement == "resident":
            for module in self._modules:
                _move(module, self._device)
            return
        inner = [each for module in self._modules for each in module.modules()]
        self._forwards = {each: vars(each).get("forward", _MISSING) for each in inner}
        if placement in ("groups", "leaves"):
            self._place_parts(placement)
            return
        self._waiting = list(self._encoders if placement == "encoders" else self._modules)
        for module in self._modules:
            waits = module in self._waiting
            _move(module, _HOME if waits else self._device)
            sent_home = [] if waits and placement == "encoders" else self._waiting
            others = [each for each in sent_home if each is not module]
            add_hook_to_module(module, MoveToDeviceHook(self._device, others))

    def _place_parts(self, placement: Placement) -> None:
        """Offload block by block or layer by layer.

        The VAE, which decodes without being called, and small parts are offloaded whole.
        """
        self._pins = self._device.type == "cuda" and self._may_pin()
        for module in self._modules:
            _move(module, _HOME)
            if module is self._denoiser and placement == "groups":
                kind: dict[str, Any] = {"offload_type": "block_level", "num_blocks_per_group": 1}
            elif module is self._denoiser or module in self._encoders:
                kind = {"offload_type": "leaf_level"}
            else:
                self._waiting.append(module)
                add_hook_to_module(module, MoveToDeviceHook(self._device, ()))
                continue
            apply_group_offloading(module, self._device, _HOME, use_stream=self._pins, **kind)

    def _may_pin(self) -> bool:
        """Return whether weights may be streamed to the device while it computes.

        Streaming needs pinned memory, which the system can't move; pinning temporarily needs a
        second copy of the weights.
        """
        streamed = [self._denoiser, *self._encoders]
        tensors = [each for module in streamed if module for each in module.parameters()]
        count_bytes = sum(each.numel() * each.element_size() for each in tensors)
        return count_bytes <= _PINNED_SHARE * usage.count_free_bytes()

    def _unpin(self) -> None:
        """Unpin the weights, so that the system can move them. They are where they wait."""
        for module in self._modules:
            for tensor in (*module.parameters(), *module.buffers()):
                if tensor.is_pinned():
                    tensor.data = tensor.data.clone()
        usage.empty_cache()
        self._pins = False

    def rest(self) -> None:
        """Send offloaded weights home, after a picture is done or a run was cancelled."""
        for module in self._waiting:
            _move(module, _HOME)

    def send_home(self) -> None:
        """Send all weights home after `lift`, until the model is placed again."""
        for module in self._modules:
            _move(module, _HOME)

    def lift(self) -> None:
        """Remove every hook. The weights stay where they are."""
        if self._placement not in (None, "resident"):
            for module in self._modules:
                _unhook(module)
            for module, forward in self._forwards.items():
                if forward is _MISSING:
                    vars(module).pop("forward", None)
                else:
                    vars(module)["forward"] = forward
            self.send_home()  # a cancelled run may have left blocks on the device
            if self._pins:
                self._unpin()
        self._placement, self._forwards, self._waiting = None, {}, []


def _move(module: torch.nn.Module, device: torch.device) -> None:
    if any(each.device != device for each in module.parameters()):
        module.to(device)


def _unhook(module: torch.nn.Module) -> None:
    if hasattr(module, "_hf_hook"):
        remove_hook_from_module(module)
    if any(hasattr(each, "_diffusers_hook") for each in module.modules()):
        registry = HookRegistry.check_if_exists_or_initialize(module)
        for name in _GROUP_HOOKS:
            registry.remove_hook(name, recurse=True)
        for each in module.modules():
            own = vars(each).get("_diffusers_hook")
            if own is not None and not own.hooks:
                del each._diffusers_hook
