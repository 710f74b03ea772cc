"""Prompts one per line, with the A1111 web UI's flags: `--prompt "a house" --steps 10`.

A line without flags is a prompt. Words before the first flag are the prompt, too.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from types import MappingProxyType

from paintdiff.errors import RequestError
from paintdiff.prompts import messages

LINE_FLAGS: Mapping[str, str] = MappingProxyType(
    {
        "prompt": "prompt",
        "negative_prompt": "negative_prompt",
        "seed": "seed",
        "subseed": "variation_seed",
        "subseed_strength": "variation_strength",
        "sampler_name": "sampler",
        "steps": "num_inference_steps",
        "cfg_scale": "guidance_scale",
        "width": "width",
        "height": "height",
        "sd_model": "model",
    }
)
"""The flags that a line may have, and the fields of a request that they set."""

_FREE_TEXT = ("prompt", "negative_prompt")
_FLAG = re.compile(r"(?:^|(?<=\s))--(?=[A-Za-z_])")


def parse_line(line: str) -> dict[str, str]:
    """Return the fields of a request that a line sets, as text.

    Raises:
        RequestError: A flag is unknown or without a value, or a quote isn't closed.
    """
    first = _FLAG.search(line)
    if first is None:
        return {"prompt": line.strip()}
    before = line[: first.start()].strip()
    fields = {"prompt": before} if before else {}
    for flag, value in _read_flags(line[first.start() :]):
        field = LINE_FLAGS.get(flag)
        if field is None:
            raise RequestError(messages.unknown_line_flag(flag, LINE_FLAGS))
        if field in fields:
            raise RequestError(messages.line_flag_twice(flag))
        fields[field] = value
    return fields


def _read_flags(text: str) -> list[tuple[str, str]]:
    """Return the flags and their values; only a prompt may have several words without quotes."""
    try:
        words = shlex.split(text)
    except ValueError:
        raise RequestError(messages.LINE_QUOTE_OPEN) from None
    found: list[tuple[str, list[str]]] = []
    for word in words:
        if _FLAG.match(word):
            found.append((word[2:], []))
        else:
            found[-1][1].append(word)
    for flag, values in found:
        if not values:
            raise RequestError(messages.line_flag_without_value(flag))
        if len(values) > 1 and flag not in _FREE_TEXT and flag in LINE_FLAGS:
            raise RequestError(messages.line_flag_with_several(flag, " ".join(values)))
    return [(flag, " ".join(values)) for flag, values in found]
