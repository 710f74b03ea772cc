"""Styles: texts around a prompt, with a name.

A style's prompt has `{prompt}` where the person's goes; without it, it is appended after a comma.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MAX_NAME_CHARACTERS = 100
MAX_TEXT_CHARACTERS = 5000
_PLACE = "{prompt}"


@dataclass(frozen=True, slots=True)
class Style:
    """A style. `is_own` says whether the person made it, and may change it.

    `thumbnail` is the name of a picture beside the presets, "" if it has none.
    """

    name: str
    prompt: str = ""
    negative_prompt: str = ""
    is_own: bool = False
    thumbnail: str = ""

    def words(self) -> str:
        """Return what the style adds to a prompt, without the place for that."""
        parts = self.prompt.split(_PLACE)
        return ", ".join(words for part in parts if (words := part.strip(" ,.;\n\t")))


def apply_styles(prompt: str, negative_prompt: str, styles: Iterable[Style]) -> tuple[str, str]:
    """Return the prompts with the styles' texts, applied in order."""
    for style in styles:
        prompt = _insert(prompt, style.prompt)
        negative_prompt = _insert(negative_prompt, style.negative_prompt)
    return prompt, negative_prompt


def _insert(text: str, style: str) -> str:
    if _PLACE in style:
        return style.replace(_PLACE, text.strip())
    return ", ".join(part for each in (text, style) if (part := each.strip()))
