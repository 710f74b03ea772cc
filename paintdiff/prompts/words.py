"""How a model reads a prompt: words it doesn't know, and words beyond its limit."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import paintdiff.prompts.messages as messages

# Runs of letters, single digits, and runs of symbols, as CLIP's tokenizer splits a text, without
# its endings ('s, 't ...), which aren't words.
_ENDINGS = re.compile(r"'(?:s|t|re|ve|m|ll|d)\b")
_WORDS = re.compile(r"[^\W\d_]+|\d|[^\s\w]+")
_PLACED_WORDS = re.compile(r"(?:[^\W\d_][\u0300-\u036f]*)+")
_ARTICLES = ("a", "an", "the")
_PUNCTUATION = frozenset(
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\u2018\u2019\u201c\u201d\u2013\u2014\u2026"
)


_FILLERS = frozenset(
    re.findall(
        r"\w+",
        "a above among an and are at before beneath beside by during front in is near of off on "
        "over painting picture side the there to under view with",
    )
)
"""Words that name nothing to paint."""

_QUALITIES = frozenset(
    re.findall(
        r"\w+",
        "african beautiful big black blue bottom brown calm center centre crimson cute deep dry "
        "early friendly full green hot huge large left light little lovely middle old open orange "
        "pink pretty purple red right scarlet small starry tropical violet white wild yellow",
    )
)
"""Words that say how something looks or where it is, but name nothing to paint alone."""

_SUGGESTED_CHARACTERS = range(5, 30)
"""Shorter words are all alike."""
_LIKENESS = 0.78


def knows_none(text: str, known: Collection[str]) -> bool:
    """Return whether `text` names something, but only with unknown words."""
    words = [word for word in _split_words(text) if word not in _FILLERS]
    return bool(words) and not any(word in known for word in words)


def find_unknown_words(text: str, known: Collection[str]) -> tuple[str, ...]:
    """Return the unknown words of `text`, in order, each once, in lower case.

    Numbers and symbols count as words, common punctuation doesn't.
    """
    return tuple(word for word in _split_words(text) if word not in known)


def locate_words(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield the words of a text with start and end, in lower case. Numbers aren't words."""
    for match in _PLACED_WORDS.finditer(text):
        yield *match.span(), unicodedata.normalize("NFC", match[0]).lower()


def suggest_words(word: str, known: Collection[str], near: Mapping[str, str]) -> tuple[str, ...]:
    """Return known words that a misspelt word may stand for, the likeliest first."""
    if len(word) not in _SUGGESTED_CHARACTERS:
        return ()
    found = get_close_matches(word, [*sorted(known), *near], n=3, cutoff=_LIKENESS)
    return tuple(dict.fromkeys(near.get(each, each) for each in found))


def write_closest(text: str, known: Collection[str], near: Mapping[str, str]) -> str:
    """Return what a model that knows few words can paint of a text; "" if that is nothing.

    Unknown words are left out with what describes them, or replaced by their `near` ones. `text`
    has no brackets.
    """
    parts: list[str] = []
    for part in re.split(r"[,.;\n]+", text):
        words = [near.get(word, word) for _, _, word in locate_words(part)]
        kept = _keep_known([word for each in words for word in each.split()], known)
        while kept and kept[-1] in _FILLERS:
            kept.pop()
        while kept and kept[0] in _FILLERS and kept[0] not in _ARTICLES:
            kept.pop(0)
        kept = [
            word
            for place, word in enumerate(kept)
            if word not in _ARTICLES or kept[place + 1] not in _FILLERS
        ]
        if any(word not in _FILLERS and word not in _QUALITIES for word in kept):
            parts.append(" ".join(kept))
    return ", ".join(dict.fromkeys(parts))


def _keep_known(words: Sequence[str], known: Collection[str]) -> list[str]:
    """Return the known words, without the qualities of an unknown thing."""
    kept: list[str] = []
    is_lost = False  # the last phrase ends with an unknown word
    for word in [*words, ""]:
        if is_lost and (not word or word in _FILLERS):
            while kept and (kept[-1] in _QUALITIES or kept[-1] in _ARTICLES):
                kept.pop()
        if word in known:
            kept.append(word)
        is_lost = word not in known or (is_lost and word in _QUALITIES)
    return kept


def _split_words(text: str) -> list[str]:
    lowered = _ENDINGS.sub(" ", unicodedata.normalize("NFC", text).replace("\u2019", "'").lower())
    words = dict.fromkeys(_WORDS.findall(lowered))
    return [word for word in words if not _PUNCTUATION.issuperset(word)]


def find_cut_words(text: str, tokenizer: Any, max_tokens: int | None = None) -> str:
    """Return the end of `text` that exceeds the model's limit, "" if all of it fits.

    `max_tokens` includes the start and end tokens; None uses the tokenizer's limit.
    """
    most = tokenizer.model_max_length if max_tokens is None else max_tokens
    room = most - tokenizer.num_special_tokens_to_add()
    ids = tokenizer(text, add_special_tokens=False, truncation=False, verbose=False).input_ids
    return "" if len(ids) <= room else str(tokenizer.decode(ids[room:])).strip()


def quote_words(words: tuple[str, ...], most: int = 8) -> str:
    """Format words for a sentence: “a”, “b” and “c”; beyond `most` only their number."""
    marked = [f"\u201c{word[:40]}\u201d" for word in words[:most]]
    if len(words) > most:
        return messages.and_more(", ".join(marked), len(words) - most)
    return marked[0] if len(marked) == 1 else f"{', '.join(marked[:-1])} and {marked[-1]}"
