"""Choice of the device and the precision that networks run in.

Imports torch: import it in a function.
"""

from __future__ import annotations

import logging

import torch

from paintdiff.errors import ModelLoadError
from paintdiff.models.memory import messages

logger = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(name: str) -> str:
    """Return the device for "auto", or the named device after checking that it exists.

    "auto" prefers CUDA, then Apple's GPU, then the CPU. Raises ModelLoadError if the machine has no
    such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        logger.info("torch can't use the device %r: %s", name, error)
        raise ModelLoadError(messages.device_unusable(name)) from error
    return name


def add_device_index(device: str) -> torch.device:
    """Return the device as its tensors name it: "cuda" becomes "cuda:0", or the current device."""
    return torch.empty(0, device=device).device


def start_device(device: str) -> None:
    """Initialise a GPU so that it can report its memory."""
    if device.startswith("cuda"):
        torch.cuda.init()


def choose_dtype(device: str) -> torch.dtype:
    """Return half precision for CUDA and Apple's GPU, full precision for a CPU.

    In full precision a CPU gives the same picture on every machine.
    """
    return torch.float16 if device.split(":")[0] in ("cuda", "mps") else torch.float32


def check_dtype(device: str, asked: str | None, overflows_in_float16: bool) -> torch.dtype:
    """Return the precision for a model on a device: the one in `asked`, or the best for None.

    A model that overflows in float16 gets bfloat16, or full precision on devices without bfloat16.

    Raises ModelLoadError if `asked` is float16 for such a model.
    """
    dtype = DTYPES[asked] if asked else choose_dtype(device)
    if dtype != torch.float16 or not overflows_in_float16:
        return dtype
    if asked:
        raise ModelLoadError(messages.OVERFLOWS_IN_FLOAT16)
    cuda = device.startswith("cuda")
    if cuda and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float32
    return torch.bfloat16
