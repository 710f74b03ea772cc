"""The words of a prompt that stand for embeddings. Importable without torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping


def find_embeddings(text: str, names: Iterable[str]) -> tuple[str, ...]:
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


def insert_embeddings(text: str, tokens: Mapping[str, str]) -> str:
    """The text with each word among `tokens` (in lower case) replaced by what it stands for."""
    return _each(text, tokens, lambda word: f" {tokens[word.lower()]} ")


def shorten_words(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The words for embeddings that are called by their folders, too ("a/hands"), without these; in
    lower case, each with all names that it may mean. What is a name itself isn't among them.
    """
    known = list(names)
    taken = {name.lower() for name in known}
    short: dict[str, tuple[str, ...]] = {}
    for name in known:
        word = name.rpartition("/")[2].lower()
        if word not in taken:
            short[word] = (*short.get(word, ()), name)
    return short


def restore_whole_names(text: str, names: Iterable[str]) -> str:
    """The text with the name of an embedding for each short word that can mean no other."""
    known = list(names)
    words = {name.lower(): name for name in known}
    meant = {word: own[0] for word, own in shorten_words(known).items() if len(own) == 1}
    if not meant:
        return text
    return _each(text, {**words, **meant}, lambda word: meant.get(word.lower(), word))


def _each(text: str, words: Iterable[str], replaced: Callable[[str], str]) -> str:
    lowered = text.lower()
    there = sorted((word for word in words if word in lowered), key=len, reverse=True)
    if not there:
        return text
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, there))})(?!\w)", re.IGNORECASE)
    return pattern.sub(lambda match: replaced(match[0]), text)
