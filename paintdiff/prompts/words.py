"""How a model reads a prompt: words it doesn't know, and words beyond its limit."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import Any

from paintdiff.prompts import messages

# Runs of letters, single digits, and runs of symbols, as CLIP's tokenizer splits a text, without
# its endings ('s, 't ...), which aren't words.
_ENDINGS = re.compile(r"'(?:s|t|re|ve|m|ll|d)\b")
_WORDS = re.compile(r"[^\W\d_]+|\d|[^\s\w]+")
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


def knows_none(text: str, known: Collection[str]) -> bool:
    """Return whether `text` names something, but only with unknown words."""
    words = [word for word in _split_words(text) if word not in _FILLERS]
    return bool(words) and not any(word in known for word in words)


def find_unknown_words(text: str, known: Collection[str]) -> tuple[str, ...]:
    """Return the unknown words of `text`, in order, each once, in lower case.

    Numbers and symbols count as words, common punctuation doesn't.
    """
    return tuple(word for word in _split_words(text) if word not in known)


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
