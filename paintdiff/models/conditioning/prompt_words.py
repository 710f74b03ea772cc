"""The words of a prompt that name embeddings, or that a model doesn't know.

Importable without torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

_LETTERS = re.compile(r"[^\W\d_]+")


def find_embeddings(text: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names that occur in the text as words, in order, each once.

    Capitals don't matter. Of two names that begin alike the longer one counts, as in the A1111 web
    UI.
    """
    by_word = {name.lower(): name for name in names}
    found: dict[str, None] = {}

    def record(word: str) -> str:
        if word.lower() in by_word:
            found[by_word[word.lower()]] = None
        return word

    _replace_words(text, by_word, record)
    return tuple(found)


def locate_embeddings(text: str, names: Iterable[str]) -> tuple[tuple[int, int, str], ...]:
    """Return the words of a text that are among `names`, in lower case, with start and end."""
    known = frozenset(names)
    pattern = _make_pattern(text, known)
    found = () if pattern is None else pattern.finditer(text)
    return tuple((*match.span(), match[0].lower()) for match in found if match[0].lower() in known)


def insert_embeddings(text: str, tokens: Mapping[str, str]) -> str:
    """Replace each word of the text that is a key of `tokens` (in lower case) by its value."""

    def insert(word: str) -> str:
        found = tokens.get(word.lower())  # None: equal but for a letter such as the long s
        return word if found is None else f" {found} "

    return _replace_words(text, tokens, insert)


def shorten_words(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the short words for embeddings whose names have folders ("hands" for "a/hands").

    Returns:
        Each word, in lower case, with all names that it may mean. A word that is a name itself is
        left out.
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
    """Replace each short word that can mean only one embedding by that embedding's name."""
    known = list(names)
    words = {name.lower(): name for name in known}
    meant = {word: own[0] for word, own in shorten_words(known).items() if len(own) == 1}
    if not meant:
        return text
    return _replace_words(text, {**words, **meant}, lambda word: meant.get(word.lower(), word))


def replace_near_words(
    text: str, near: Mapping[str, str]
) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Replace words that a model doesn't know by their nearest known ones.

    Args:
        text: A prompt.
        near: Unknown words, in lower case, and what they are replaced by.

    Returns:
        The text, and each word that was replaced, in lower case, with its replacement; each once.
    """
    replaced: dict[str, str] = {}

    def replace(match: re.Match[str]) -> str:
        word = match[0].lower()
        if word not in near:
            return match[0]
        replaced[word] = near[word]
        return near[word]

    return _LETTERS.sub(replace, text), tuple(replaced.items())


def _replace_words(text: str, words: Iterable[str], replace: Callable[[str], str]) -> str:
    pattern = _make_pattern(text, words)
    return text if pattern is None else pattern.sub(lambda match: replace(match[0]), text)


def _make_pattern(text: str, words: Iterable[str]) -> re.Pattern[str] | None:
    """Return the pattern of those words that may occur in a text; None if none does."""
    lowered = text.lower()
    present = sorted((word for word in words if word in lowered), key=len, reverse=True)
    if not present:
        return None
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, present))})(?!\w)", re.IGNORECASE)
