"""What a model makes of a prompt: words it doesn't know, and words it has no room for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import Any

# Runs of letters, single digits, and runs of signs, as CLIP's tokenizer splits a text; its endings
# ('s, 't ...) are left out, they are no words of their own.
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
    """Whether `text` names something, and all words that do are unknown."""
    words = [word for word in _words(text) if word not in _FILLERS]
    return bool(words) and not any(word in known for word in words)


def find_unknown_words(text: str, known: Collection[str]) -> tuple[str, ...]:
    """The words of `text` that aren't among the `known` ones, in order, each once, in lower case.

    Numbers and signs count as words, common punctuation doesn't.
    """
    return tuple(word for word in _words(text) if word not in known)


def _words(text: str) -> list[str]:
    lowered = _ENDINGS.sub(" ", unicodedata.normalize("NFC", text).replace("\u2019", "'").lower())
    words = dict.fromkeys(_WORDS.findall(lowered))
    return [word for word in words if not _PUNCTUATION.issuperset(word)]


def find_cut_words(text: str, tokenizer: Any, max_tokens: int | None = None) -> str:
    """The end of `text` for which the model has no room, "" if all of it fits. `max_tokens` is what
    it reads, the tokens that begin and end a text included; None for what its tokenizer says.
    """
    most = tokenizer.model_max_length if max_tokens is None else max_tokens
    room = most - tokenizer.num_special_tokens_to_add()
    ids = tokenizer(text, add_special_tokens=False, truncation=False, verbose=False).input_ids
    return "" if len(ids) <= room else str(tokenizer.decode(ids[room:])).strip()


def quote_words(words: tuple[str, ...], most: int = 8) -> str:
    """Words for a sentence: “a”, “b” and “c”; beyond `most` only their number."""
    marked = [f"\u201c{word[:40]}\u201d" for word in words[:most]]
    if len(words) > most:
        return f"{', '.join(marked)} and {len(words) - most} more"
    return marked[0] if len(marked) == 1 else f"{', '.join(marked[:-1])} and {marked[-1]}"
