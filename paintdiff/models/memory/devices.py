"""Where networks run, and in which precision. Imports torch: import it in a function."""

from __future__ import annotations

import logging

import torch

from paintdiff.errors import ModelLoadError

logger = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(name: str) -> str:
    """The device for "auto" (CUDA, then Apple's, then the CPU), or the named one once it is sure to
    be there.

    Raises ModelLoadError if the machine has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        logger.info("torch can't use the device %r: %s", name, error)
        raise ModelLoadError(
            f"The device {name!r} can't be used on this machine. Choose auto or cpu."
        ) from error
    return name


def add_device_index(device: str) -> torch.device:
    """The device as its tensors name it: "cuda" as "cuda:0", or whichever is the current one."""
    return torch.empty(0, device=device).device


def start_device(device: str) -> None:
    """Let a GPU be ready to say what memory it has."""
    if device.startswith("cuda"):
        torch.cuda.init()


def choose_dtype(device: str) -> torch.dtype:
    """Half precision on CUDA and Apple's; full on a CPU, where it gives the same picture on every
    machine.
    """
    return torch.float16 if device.split(":")[0] in ("cuda", "mps") else torch.float32


def check_dtype(device: str, asked: str | None, overflows_in_float16: bool) -> torch.dtype:
    """The precision of a model on a device: the asked one, None for the best one. A model that
    overflows in float16 is halved to bfloat16, and where there is none not at all.

    Raises ModelLoadError if float16 was asked for all the same.
    """
    dtype = DTYPES[asked] if asked else choose_dtype(device)
    if dtype != torch.float16 or not overflows_in_float16:
        return dtype
    if asked:
        raise ModelLoadError(
            "The model overflows in float16 and would paint black. Use bfloat16 or float32."
        )
    cuda = device.startswith("cuda")
    if cuda and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float32
    return torch.bfloat16
