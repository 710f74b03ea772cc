"""The A1111 web UI's names for upscalers where they differ from ours."""

from __future__ import annotations

from collections.abc import Mapping

from paintdiff.jobs.request_parts import LATENT_UPSCALER

_TO_A1111: Mapping[str, str] = {
    LATENT_UPSCALER: "Latent",
    "RealESRGAN_x4plus": "R-ESRGAN 4x+",
    "RealESRGAN_x2plus": "R-ESRGAN 2x+",
    "RealESRGAN_x4plus_anime_6B": "R-ESRGAN 4x+ Anime6B",
    "realesr-general-x4v3": "R-ESRGAN General 4xV3",
}
_FROM_A1111 = {theirs: ours for ours, theirs in _TO_A1111.items()}


def to_a1111(name: str) -> str:
    """Return A1111's name for one of our upscalers; ours if it has none."""
    return _TO_A1111.get(name, name)


def from_a1111(name: str) -> str:
    """Return our name for one of A1111's. All of its latent upscalers are our single one."""
    if name.startswith(_TO_A1111[LATENT_UPSCALER]):
        return LATENT_UPSCALER
    return _FROM_A1111.get(name, name)
