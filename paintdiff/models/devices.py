"""Where networks run, and in which precision. Imports torch: import it in a function."""

from __future__ import annotations

import torch

from paintdiff.errors import ModelLoadError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def best_device(name: str) -> str:
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
        raise ModelLoadError(
            f"The device {name!r} can't be used on this machine; choose auto or cpu. ({error})"
        ) from error
    return name


def best_dtype(device: str) -> torch.dtype:
    """Half precision on CUDA and Apple's; full on a CPU, where it gives the same picture on every
    machine.
    """
    return torch.float16 if device.split(":")[0] in ("cuda", "mps") else torch.float32
