"""What computes: the processor, as far as it decides the last bits of a picture."""

from __future__ import annotations

import platform

import torch


def describe_processor(device: str) -> str:
    """Describe the processor behind a torch device: "NVIDIA H200", "x86_64, AVX512, 2 threads".

    On a CPU the instruction set and the number of threads decide in which order numbers are added.
    """
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    kind = torch.backends.cpu.get_cpu_capability()
    return ", ".join([platform.machine(), kind, f"{torch.get_num_threads()} threads"])
