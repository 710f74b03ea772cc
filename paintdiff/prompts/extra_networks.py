r"""LoRAs in a prompt, in the A1111 web UI's syntax: `<lora:name:0.8>`.

With two numbers the first is for the text encoder and the second for the denoiser; a single one is
for both, and the default is 1. They may be named: `<lora:name:te=0.5:unet=0.8>`. `<lyco:...>` is
the same. A backslash escapes a character: `\<lora:name>` is text, `\:` and `\>` are part of a name.
A name may contain folders, `styles/ink`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

_KINDS = ("lora", "lyco")
_TAG = re.compile(r"\\<|<(lora|lyco):((?:\\.|[^\\<>])*)>", re.IGNORECASE)
_BEGUN = re.compile(rf"(?<!\\)<(?:{'|'.join(_KINDS)}):[^<>]{{0,60}}>?", re.IGNORECASE)
# Before a letter or a digit a backslash separates a folder from its content.
_ESCAPED = re.compile(r"\\(\W)")
_COLON = re.compile(r"(?<!\\):")
_NAMED = {"te": "text_encoder_weight", "unet": "weight"}


@dataclass(frozen=True)
class LoraTag:
    """A LoRA in a prompt, with its weights in the denoiser and in the text encoders."""

    name: str
    weight: float
    text_encoder_weight: float


def split_lora_tags(prompt: str) -> tuple[str, tuple[LoraTag, ...]]:
    """Split a prompt into its text and its tags, in order.

    Malformed tags stay in the text: see `find_malformed_tags`.
    """
    tags: list[LoraTag] = []

    def taken(match: re.Match[str]) -> str:
        if match[0] == "\\<":
            return "<"
        tag = _parse_tag(match[2])
        if tag is None:
            return match[0]
        tags.append(tag)
        return "\0"

    text = _TAG.sub(taken, prompt.replace("\0", ""))
    if not tags:
        return text, ()
    return re.sub(r"[ \t]*\0(?:[ \t]*\0)*[ \t]*", " ", text).strip(), tuple(tags)


def rename_tags(prompt: str, renamed: Callable[[str], str]) -> str:
    """Replace the name in each tag; everything else stays unchanged."""

    def other(match: re.Match[str]) -> str:
        tag = None if match[0] == "\\<" else _parse_tag(match[2])
        name = tag and renamed(tag.name)
        if tag is None or not name or name == tag.name:
            return match[0]
        colon = _COLON.search(match[2])
        weights = match[2][colon.start() :] if colon is not None else ""
        return f"<{match[1]}:{_escape(name)}{weights}>"

    return _TAG.sub(other, prompt)


@dataclass(frozen=True)
class PlacedTag:
    """A LoRA's tag at `prompt[start:end]`; `tag` is None if it is malformed."""

    tag: LoraTag | None
    start: int
    end: int


def locate_tags(prompt: str) -> tuple[PlacedTag, ...]:
    """Return the tags of a prompt with their places, and what begins like a tag, in order."""
    found = {
        match.start(): PlacedTag(tag, *match.span())
        for match in _TAG.finditer(prompt)
        if match[0] != "\\<" and (tag := _parse_tag(match[2])) is not None
    }
    for match in _BEGUN.finditer(prompt):
        found.setdefault(match.start(), PlacedTag(None, *match.span()))
    return tuple(found[start] for start in sorted(found))


def blank_tags(prompt: str) -> str:
    """Replace each tag by as many spaces, so that all else keeps its place."""

    def blank(match: re.Match[str]) -> str:
        if match[0] == "\\<" or _parse_tag(match[2]) is None:
            return match[0]
        return " " * len(match[0])

    return _TAG.sub(blank, prompt)


def change_between_tags(prompt: str, change: Callable[[str], str]) -> str:
    """Apply `change` to each text between the tags."""
    made: list[str] = []
    end = 0
    for match in _TAG.finditer(prompt):
        made += (change(prompt[end : match.start()]), match[0])
        end = match.end()
    return "".join((*made, change(prompt[end:])))


def find_malformed_tags(prompt: str) -> tuple[str, ...]:
    """Return what begins like a tag but isn't one, in order."""
    return tuple(prompt[each.start : each.end] for each in locate_tags(prompt) if each.tag is None)


def write_tag(tag: LoraTag) -> str:
    """Format a tag for a prompt."""
    name = _escape(tag.name)
    if tag.weight == tag.text_encoder_weight:
        return f"<lora:{name}:{_format_number(tag.weight)}>"
    return f"<lora:{name}:{_format_number(tag.text_encoder_weight)}:{_format_number(tag.weight)}>"


def _escape(name: str) -> str:
    return re.sub(r"([\\:<>])", r"\\\1", name)


def _format_number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _parse_tag(content: str) -> LoraTag | None:
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
