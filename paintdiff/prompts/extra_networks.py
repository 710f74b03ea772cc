"""LoRAs named in a prompt, as the A1111 web UI has them: `<lora:name:0.8>`.

A second number is for the denoiser, and the first for the text encoders then; one alone is for
both, and none is 1. They may be named: `<lora:name:te=0.5:unet=0.8>`. `<lyco:...>` is the same. A
backslash takes its meaning from a sign: `\\<lora:name>` is text, `\\:` and `\\>` belong to a name.
A name may have folders before it, `styles/ink`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

_KINDS = ("lora", "lyco")
_TAG = re.compile(r"\\<|<(lora|lyco):((?:\\.|[^\\<>])*)>", re.IGNORECASE)
_BEGUN = re.compile(rf"(?<!\\)<(?:{'|'.join(_KINDS)}):[^<>]{{0,60}}>?", re.IGNORECASE)
# Before a letter or a figure a backslash stands between a folder and what is in it.
_ESCAPED = re.compile(r"\\(\W)")
_COLON = re.compile(r"(?<!\\):")
_NAMED = {"te": "text_encoder_weight", "unet": "weight"}


@dataclass(frozen=True)
class LoraTag:
    """A LoRA that a prompt names, with its weights in the denoiser and in the text encoders."""

    name: str
    weight: float
    text_encoder_weight: float


def split_lora_tags(prompt: str) -> tuple[str, tuple[LoraTag, ...]]:
    """The prompt without its tags, and the tags in order. What isn't written as a tag should be is
    left in the text: see `find_malformed_tags`.
    """
    tags: list[LoraTag] = []

    def taken(match: re.Match[str]) -> str:
        if match[0] == "\\<":
            return "<"
        tag = _tag(match[2])
        if tag is None:
            return match[0]
        tags.append(tag)
        return "\0"

    text = _TAG.sub(taken, prompt.replace("\0", ""))
    if not tags:
        return text, ()
    return re.sub(r"[ \t]*\0(?:[ \t]*\0)*[ \t]*", " ", text).strip(), tuple(tags)


def rename_tags(prompt: str, renamed: Callable[[str], str]) -> str:
    """The prompt with another name in each tag; all else stays as it was written."""

    def other(match: re.Match[str]) -> str:
        tag = None if match[0] == "\\<" else _tag(match[2])
        name = tag and renamed(tag.name)
        if tag is None or not name or name == tag.name:
            return match[0]
        colon = _COLON.search(match[2])
        weights = match[2][colon.start() :] if colon is not None else ""
        return f"<{match[1]}:{_escaped(name)}{weights}>"

    return _TAG.sub(other, prompt)


def change_between_tags(prompt: str, change: Callable[[str], str]) -> str:
    """The prompt with `change` made to each text around its tags."""
    made: list[str] = []
    end = 0
    for match in _TAG.finditer(prompt):
        made += (change(prompt[end : match.start()]), match[0])
        end = match.end()
    return "".join((*made, change(prompt[end:])))


def find_malformed_tags(prompt: str) -> tuple[str, ...]:
    """What begins like a tag and is none, in order."""
    good = {
        match.start()
        for match in _TAG.finditer(prompt)
        if match[0] != "\\<" and _tag(match[2]) is not None
    }
    return tuple(match[0] for match in _BEGUN.finditer(prompt) if match.start() not in good)


def write_tag(tag: LoraTag) -> str:
    """The tag as it stands in a prompt."""
    name = _escaped(tag.name)
    if tag.weight == tag.text_encoder_weight:
        return f"<lora:{name}:{_number(tag.weight)}>"
    return f"<lora:{name}:{_number(tag.text_encoder_weight)}:{_number(tag.weight)}>"


def _escaped(name: str) -> str:
    return re.sub(r"([\\:<>])", r"\\\1", name)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _tag(content: str) -> LoraTag | None:
    name, *arguments = _COLON.split(content)
    name = _ESCAPED.sub(r"\1", name).strip()
    weights: dict[str, float] = {}
    places = ["text_encoder_weight", "weight"]
    for argument in arguments:
        key, equals, number = argument.partition("=")
        place = _NAMED.get(key.strip()) if equals else (places.pop(0) if places else None)
        try:
            value = float(number if equals else argument)
        except ValueError:
            return None
        if place is None or not math.isfinite(value):
            return None
        weights[place] = value
    if not name:
        return None
    text_encoder = weights.get("text_encoder_weight", 1.0)
    return LoraTag(name, weights.get("weight", text_encoder), text_encoder)
