"""The words of a prompt that stand for embeddings. Importable without torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping


def embeddings_in(text: str, names: Iterable[str]) -> tuple[str, ...]:
    """Those of the names that stand in the text as words, without regard to capitals; in order,
    each once.

    Of two that begin alike the longer is meant, as in the A1111 web UI.
    """
    by_word = {name.lower(): name for name in names}
    found: dict[str, None] = {}

    def note(word: str) -> str:
        found[by_word[word.lower()]] = None
        return word

    _each(text, by_word, note)
    return tuple(found)


def with_embeddings(text: str, tokens: Mapping[str, str]) -> str:
    """The text with each word among `tokens` (in lower case) replaced by what it stands for."""
    return _each(text, tokens, lambda word: f" {tokens[word.lower()]} ")


def _each(text: str, words: Iterable[str], replaced: Callable[[str], str]) -> str:
    lowered = text.lower()
    there = sorted((word for word in words if word in lowered), key=len, reverse=True)
    if not there:
        return text
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, there))})(?!\w)", re.IGNORECASE)
    return pattern.sub(lambda match: replaced(match[0]), text)
