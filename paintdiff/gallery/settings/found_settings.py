"""Settings from other programs: keeps what can be used and names the rest."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic import ValidationError

from paintdiff.errors import MetadataError
from paintdiff.gallery import messages
from paintdiff.jobs.provenance import Provenance
from paintdiff.jobs.requests import REQUEST_KINDS, Request
from paintdiff.prompts.wildcards.template import is_template

_MAX_SHOWN_CHARACTERS = 60
_MAX_NAMED = 8
_MAX_TRIES = 200
_PAGE_NAMES = {
    "num_inference_steps": "steps",
    "guidance_scale": "guidance",
    "clip_skip": "clip skip",
    "negative_prompt": "negative prompt",
    "variation_seed": "variation seed",
    "variation_strength": "variation strength",
    "mask_blur_px": "mask blur",
    "padding_px": "padding",
    "free_u": "FreeU",
    "vae": "VAE",
}


_SIDES = ("width", "height")
_LEFT_OPEN_ALONE = frozenset(
    {
        *("strength", "num_inference_steps", "upscaler", "tiled", "controlnet", "tile_px"),
        *("face_restorer", "text_encoder_weight"),
    }
)
"""Fields that may be left open while the rest of their part of a request is used."""


@dataclass(frozen=True)
class FoundSettings:
    """Settings in a picture or a text.

    `request` has all that this app can use; what it leaves open is missing in its
    `model_fields_set`. `left_open` names the rest, each with the reason, such as "seed 5000000000
    (at most 4294967295)". `program` wrote them, "" if unknown. `provenance` is what they say about
    what painted it; `are_ours` if they are the picture's own request, complete.
    """

    request: Request
    left_open: tuple[str, ...] = ()
    program: str = ""
    provenance: Provenance = field(default_factory=Provenance)
    are_ours: bool = False


def keep_usable(
    values: Mapping[str, object], left_open: Iterable[str] = (), program: str = ""
) -> FoundSettings:
    """Build a request from untrusted values, without those that can't be used.

    `values` are a request's fields, with `kind`. `left_open` was left out before.

    Raises:
        MetadataError: Nothing can be used.
    """
    named, rest = list(left_open), copy.deepcopy(dict(values))
    kind = REQUEST_KINDS[str(rest.get("kind", "text_to_image"))]
    if is_template(f"{rest.get('prompt')} {rest.get('negative_prompt')}"):
        rest.setdefault("wildcards", "off")  # other programs save what they chose
    needed = {"prompt": ""} if "prompt" in kind.model_fields else {}
    for _ in range(_MAX_TRIES):
        try:
            request = kind.model_validate({**needed, **rest})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            named.append(_drop_unusable(rest, cast("Mapping[str, Any]", first)))
        else:
            return FoundSettings(request, tuple(dict.fromkeys(named)), program)
    raise MetadataError(messages.SETTINGS_UNUSABLE)


def _drop_unusable(values: dict[str, Any], error: Mapping[str, Any]) -> str:
    """Remove the value that caused an error, and describe it."""
    path: list[str | int] = list(error["loc"])
    if not path or path[0] not in values:
        raise MetadataError(messages.settings_unusable(error["msg"]))
    while len(path) > 1 and isinstance(path[-1], str) and path[-1] not in _LEFT_OPEN_ALONE:
        path = path[:-1]  # the part requires it, and a default would be a different setting
    parent: Any = values
    for key in path[:-1]:
        parent = parent[key]
    if path[0] in _SIDES:  # one side alone would be a different shape
        size = "x".join(format_value(values.pop(side)) for side in _SIDES if side in values)
        return f"size {size} ({_explain(error)} each way)"
    del parent[path[-1]]
    words = [_PAGE_NAMES.get(str(key), str(key).replace("_", " ")) for key in error["loc"]]
    if isinstance(error["input"], (str, int, float)):
        words.append(format_value(error["input"]))
    return f"{' '.join(words)} ({_explain(error)})"


def _explain(error: Mapping[str, Any]) -> str:
    limits: Mapping[str, Any] = error.get("ctx") or {}
    for key, words in (
        ("le", "at most {}"),
        ("lt", "less than {}"),
        ("ge", "at least {}"),
        ("gt", "more than {}"),
        ("max_length", "at most {} characters or items"),
    ):
        if key in limits:
            return words.format(f"{limits[key]:.15g}")
    if error["type"] in ("missing", "string_too_short"):
        return "something is missing"
    if "parsing" in error["type"] or error["type"] in ("finite_number", "int_from_float"):
        return "not a number that can be used"
    return str(error["msg"]).removeprefix("Value error, ")


def format_value(value: object) -> str:
    """Format a value for a message: on one line, shortened."""
    text = re.sub(r"\s+", " ", str(value)).strip()
    short = text[: _MAX_SHOWN_CHARACTERS - 1] + "…"
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else short


def name_unused(names: Iterable[str]) -> tuple[str, ...]:
    """Name settings that have no counterpart here."""
    found = [format_value(name) for name in dict.fromkeys(names)]
    more = len(found) - _MAX_NAMED
    return (*found[:_MAX_NAMED], *([f"{more} more"] if more > 0 else []))
