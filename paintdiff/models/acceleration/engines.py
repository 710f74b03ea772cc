"""The backends that may compute a denoiser: torch, or OpenVINO on CPUs where it is faster.

Importable without torch.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

from paintdiff.errors import SettingsError
from paintdiff.models.acceleration import messages

EngineName = Literal["auto", "torch", "openvino"]
"""The value of `--engine`. "auto" is the fastest of those that are installed."""

INSTALL = "python -m pip install -r requirements.txt"


def is_installed() -> bool:
    """Return whether OpenVINO is installed. It isn't imported."""
    return find_spec("openvino") is not None


def check_engine(name: EngineName) -> EngineName:
    """Return `name`.

    Raises:
        SettingsError: It isn't installed.
    """
    if name == "openvino" and not is_installed():
        raise SettingsError(messages.openvino_missing(INSTALL))
    return name


def explain_torch(
    engine: EngineName, device: str, *, exact: bool, adapted: bool, saves_memory: bool
) -> str | None:
    """Explain in one sentence why only torch can compute a lease.

    Args:
        engine: What was asked for.
        device: Where the model is: "cpu", "cuda" ...
        exact: Whether its pictures have to be identical to those of diffusers.
        adapted: Whether IP-Adapters or FreeU change the network.
        saves_memory: Whether the memory is too short for a second copy of the weights.

    Returns:
        None if another backend can compute it; "" if no other was asked for or is installed.
    """
    if engine == "torch" or not is_installed():
        return ""
    if exact:
        return messages.EXACT_PROFILE
    if device != "cpu":
        return messages.ON_A_GPU
    if adapted:
        return messages.NETWORK_IS_CHANGED
    if saves_memory:
        return messages.NO_MEMORY_FOR_A_COPY
    return None
