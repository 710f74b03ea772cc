"""Sampler names of other programs: A1111 and its relatives, ComfyUI, InvokeAI, NovelAI."""

from __future__ import annotations

import re
from collections.abc import Mapping

_OURS: Mapping[str, tuple[str, ...]] = {
    "DDIM": (),
    "DDPM": (),
    "PNDM": ("plms",),
    "Euler": (),
    "Euler SGM Uniform": (),
    "Euler a": ("euler ancestral",),
    "DPM++ 2M": ("dpmpp 2m",),
    "DPM++ 2M Karras": (),
    "DPM++ 2M SDE": ("dpmpp 2m sde",),
    "UniPC": ("uni pc", "uni pc bh2"),
    "Heun": (),
    "LMS": (),
    "LCM": (),
    "Flow Euler": ("euler flowmatch", "euler flow match"),
    "Flow Heun": ("heun flowmatch", "heun flow match"),
    "Flow DPM++ 2M": ("dpm++ 2m flowmatch",),
    "Flow UniPC": ("unipc flowmatch",),
    "Model's own": (),
}
"""Our names -> further names elsewhere, as `_normalize` writes them."""

_KARRAS, _SGM_UNIFORM = "karras", "sgm uniform"
_WITH_SCHEDULE: Mapping[tuple[str, str], str] = {
    ("DPM++ 2M", _KARRAS): "DPM++ 2M Karras",
    ("Euler", _SGM_UNIFORM): "Euler SGM Uniform",
}
_USUAL = frozenset({"", "automatic", "default", "discrete", "native", "none", "normal", "uniform"})
# A1111's automatic schedules (modules/sd_samplers_kdiffusion.py).
_CHOSEN_BY_A1111 = {"DPM++ 2M": _KARRAS, "DPM++ 2M SDE": "exponential"}
_SUFFIXES = (
    *(_KARRAS, _SGM_UNIFORM, "exponential", "polyexponential", "simple", "beta", "trailing", "ays"),
    *("align your steps", "kl optimal", "ddim uniform", "turbo"),
)
_TO_A1111 = {"PNDM": "PLMS"}


def to_a1111(sampler: str) -> tuple[str, str]:
    """Return A1111's sampler and schedule type for our sampler, "" for the usual schedule."""
    for (name, schedule), ours in _WITH_SCHEDULE.items():
        if sampler == ours:
            return name, "Karras" if schedule == _KARRAS else "SGM Uniform"
    return _TO_A1111.get(sampler, sampler), ""


def from_others(sampler: str, schedule: str = "") -> tuple[str | None, tuple[str, ...]]:
    """Return our name for another program's sampler, and notes about it.

    None if it isn't here. A sampler is never replaced by another one, only its schedule, which is
    then noted.
    """
    plain, wanted = _normalize(sampler), _normalize(schedule)
    if plain not in _NAMES:
        suffix = next((each for each in (*_SUFFIXES, "k") if plain.endswith(f" {each}")), "")
        plain = plain.removesuffix(f" {suffix}") if suffix else plain
        wanted = {"k": _KARRAS}.get(suffix, suffix) or wanted
    ours = _NAMES.get(plain)
    if ours is None:
        words = (
            sampler if not schedule or _normalize(schedule) in _USUAL else f"{sampler} {schedule}"
        )
        return None, (f"sampler {words} (not available)",)
    if wanted == "automatic":
        wanted = _CHOSEN_BY_A1111.get(ours, "")
    with_schedule = _WITH_SCHEDULE.get((ours, wanted))
    if with_schedule is not None or wanted in _USUAL or ours in _WITH_SCHEDULE.values():
        return with_schedule or ours, ()
    return ours, (f"schedule {schedule or wanted} (not available, so {ours} uses its default)",)


def _normalize(name: str) -> str:
    words = re.sub(r"[\s_\-]+", " ", name.casefold()).strip()
    return words.removeprefix("k ").removesuffix(" gpu")


_NAMES: Mapping[str, str] = {
    plain: ours for ours, others in _OURS.items() for plain in (_normalize(ours), *others)
}
