"""What computes a denoiser: torch, or on CPUs another engine where that was measured to be quicker.

Importable without torch.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

from paintdiff.errors import SettingsError

EngineName = Literal["auto", "torch", "openvino"]
"""What is asked for. "auto": what is quickest, of what is installed."""

INSTALL = "python -m pip install -r requirements.txt"


def is_installed() -> bool:
    """Whether OpenVINO is there. It isn't imported."""
    return find_spec("openvino") is not None


def check_engine(name: EngineName) -> EngineName:
    """The same. Raises SettingsError if it isn't installed."""
    if name == "openvino" and not is_installed():
        raise SettingsError(
            f"--engine openvino needs OpenVINO, which isn't installed. Install it: {INSTALL}"
        )
    return name


def explain_torch(
    engine: EngineName, device: str, *, exact: bool, adapted: bool, saves_memory: bool
) -> str | None:
    """Why a lease can't but be computed by torch, for people; None if it can, "" where no other
    engine is asked for or there. `exact`: its pictures have to be diffusers' own; `adapted`: there
    is something in the network beyond its weights.
    """
    if engine == "torch" or not is_installed():
        return ""
    if exact:
        return "its profile computes as diffusers does"
    if device != "cpu":
        return "it is on a GPU"
    if adapted:
        return "IP-Adapters and FreeU change the network"
    if saves_memory:
        return "there isn't enough memory for a second copy of its weights"
    return None
