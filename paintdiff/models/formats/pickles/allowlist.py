"""Names in pickled checkpoints that belong to training state: callbacks, counters, settings.

Nothing of them is imported or run; the reader uses Dropped for each. Importable without torch.
"""

from __future__ import annotations

from collections.abc import Mapping

_BESIDE: Mapping[str, frozenset[str]] = {
    "_codecs": frozenset({"encode"}),
    "builtins": frozenset(
        {"bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list"}
        | {"object", "range", "set", "slice", "str", "tuple"}
    ),
    "collections": frozenset({"Counter", "defaultdict", "deque"}),
    "copyreg": frozenset({"_reconstructor"}),
    "datetime": frozenset({"date", "datetime", "timedelta", "timezone"}),
    "numpy": frozenset({"dtype", "ndarray", "float32", "float64", "int64"}),
    "numpy.core.multiarray": frozenset({"_reconstruct", "scalar"}),
    "numpy._core.multiarray": frozenset({"_reconstruct", "scalar"}),
    "pathlib": frozenset({"Path", "PosixPath", "PurePosixPath", "WindowsPath"}),
    "torch": frozenset({"device", "bfloat16", "float16", "float32", "float64", "int64"}),
    "torch._utils": frozenset({"_rebuild_device_tensor_from_numpy"}),
    "torch.nn.modules.container": frozenset({"ParameterDict"}),
    "torch.nn.parameter": frozenset({"Parameter"}),
    "typing": frozenset({"Any"}),
}
_OLD_NAMES = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_BESIDE_PACKAGES = frozenset({"lightning", "lightning_fabric", "omegaconf", "pytorch_lightning"})


def lies_beside_tensors(module_name: str, global_name: str) -> bool:
    """Return whether a global is known training state that can be dropped."""
    module = _OLD_NAMES.get(module_name, module_name)
    if module.split(".")[0] in _BESIDE_PACKAGES:
        return global_name.isidentifier()
    return global_name in _BESIDE.get(module, ())


class Dropped:
    """A placeholder for anything but a tensor. It keeps nothing of the original."""

    __slots__ = ()
