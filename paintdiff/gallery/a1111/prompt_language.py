"""How a request's prompts are read, in A1111's `parameters` text."""

from __future__ import annotations

from collections.abc import Mapping

from paintdiff.gallery.settings.found_settings import format_value
from paintdiff.jobs.requests import PaintingRequest

SYNTAX, EMPHASIS = "Prompt syntax", "Emphasis"
_PLAIN = "plain"
_EMPHASIS_NAMES = {"original": "Original", "no_norm": "No norm", "comfy": "ComfyUI"}
"""A1111's names; the last one is ours."""
_NO_EMPHASIS = "None"
"""With it A1111 reads brackets as text."""


def write_prompt_language(request: PaintingRequest) -> dict[str, str]:
    """Return the settings of a request's prompts; "" for what is usual."""
    if request.prompt_syntax == _PLAIN:
        return {SYNTAX: _PLAIN}
    return {EMPHASIS: "" if request.emphasis == "original" else _EMPHASIS_NAMES[request.emphasis]}


def read_prompt_language(settings: Mapping[str, str]) -> tuple[dict[str, object], list[str]]:
    """Return the request's fields from a text, and what of it can't be used."""
    name = settings.get(EMPHASIS, "")
    if settings.get(SYNTAX) == _PLAIN or name == _NO_EMPHASIS:
        return {"prompt_syntax": _PLAIN}, []
    values: dict[str, object] = {"prompt_syntax": "a1111"}
    ours = next((key for key, theirs in _EMPHASIS_NAMES.items() if theirs == name), None)
    if ours is not None:
        values["emphasis"] = ours
    return values, [f"emphasis {format_value(name)}"] if name and ours is None else []
