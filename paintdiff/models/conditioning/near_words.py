"""What a model with a closed vocabulary makes of words that it wasn't taught. Importable without
torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_LETTERS = re.compile(r"[^\W\d_]+")


def replace_near_words(
    text: str, near: Mapping[str, str]
) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The text with words that a model doesn't know replaced by what it knows and comes nearest,
    and which were replaced by what, each once, in lower case.

    `near` maps words in lower case to known ones. Everything else stays as it was written.
    """
    replaced: dict[str, str] = {}

    def known(match: re.Match[str]) -> str:
        word = match[0].lower()
        if word not in near:
            return match[0]
        replaced[word] = near[word]
        return near[word]

    return _LETTERS.sub(known, text), tuple(replaced.items())
