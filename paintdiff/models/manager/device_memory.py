"""The device that networks run on, and how much of its memory weights may take.

Importable without torch.
"""

from __future__ import annotations

from collections.abc import Callable

from paintdiff.models.memory import usage


class DeviceMemory:
    """The device and the budget of weights.

    `device` is "auto" or a torch device. `limit_bytes` is what all weights together may take, None
    for most of the device's memory. `dtype` is what weights are kept in, None for the best one.
    `count_prompt_bytes` returns what cached prompts hold of main memory.
    """

    def __init__(
        self,
        device: str,
        limit_bytes: int | None,
        dtype: str | None,
        count_prompt_bytes: Callable[[], int],
    ) -> None:
        self._asked = device
        self._chosen: str | None = None
        self._limit_bytes = limit_bytes
        self.dtype = dtype
        self._count_prompt_bytes = count_prompt_bytes

    @property
    def device(self) -> str:
        """Return the device that is used, or the one asked for until `choose_device` was called."""
        return self._chosen or self._asked

    @property
    def is_chosen(self) -> bool:
        """Return whether it is known which device is used."""
        return self._chosen is not None

    @property
    def on_cuda(self) -> bool:
        """Return whether weights can be offloaded to main memory."""
        return self.device.startswith("cuda")

    @property
    def bytes_per_number(self) -> int:
        """Return the bytes per number of weights in their usual precision."""
        if self.dtype == "float32" or (self.dtype is None and self.device == "cpu"):
            return 4
        return 2

    def choose_device(self) -> None:
        """Find out where networks run and what memory there is. Imports torch.

        Raises ModelLoadError if this machine has no such device.
        """
        from paintdiff.models.memory import devices  # noqa: PLC0415 (imports torch: seconds)

        if self._chosen is None:
            self._chosen = devices.choose_device(self._asked)
            devices.start_device(self._chosen)

    def budget_bytes(self) -> int:
        """Return what all weights together may take."""
        if self._limit_bytes is not None:
            return self._limit_bytes
        return int(usage.measure_memory(self.device).total_bytes * usage.DEFAULT_SHARE)

    def weights_budget_bytes(self) -> int:
        """Return the budget without what cached prompts hold of the same memory."""
        return self.budget_bytes() - (self._count_prompt_bytes() if self.device == "cpu" else 0)

    def count_available_bytes(self) -> int | None:
        """Return what is free of the device's memory, None if nobody knows."""
        return None if self.device == "auto" else usage.count_available_bytes(self.device)
