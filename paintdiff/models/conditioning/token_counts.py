"""Counts the tokens of a prompt, and finds where in it a new chunk begins.

Importable without torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from paintdiff.models.conditioning.prompt_words import locate_embeddings, replace_near_words
from paintdiff.models.conditioning.token_chunks import ChunkLayout, read_layout, split_into_chunks
from paintdiff.prompts.attention import Span, read_attention

_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class TokenCount:
    """The tokens of a text, in chunks that have room for `chunk_size` each.

    `borders` are the places in the text where its second and later chunks begin.
    """

    tokens: int
    chunk_size: int
    chunks: int
    borders: tuple[int, ...] = ()


class TokenCounter:
    """Counts with one tokenizer.

    `near` are known words for unknown ones, `vectors` the number of vectors of each embedding, both
    by words in lower case.
    """

    def __init__(self, tokenizer: Any, near: Mapping[str, str], vectors: Mapping[str, int]) -> None:
        self._tokenizer = tokenizer
        self._near = near
        self._vectors = vectors
        # An embedding's tokens have ids of its own, which no word has.
        self._ids: dict[str, list[int]] = {}  # of texts without embeddings: a prompt repeats some
        self._first_ids = {name: -1 - number for number, name in enumerate(vectors)}

    def count_chunks(self, text: str, blanked: str) -> TokenCount:
        """Count the tokens of a text in the A1111 web UI's language, without tags and schedules.

        `blanked` is the source of the text, with spaces for what isn't read; borders are places in
        it.
        """
        layout = self._read_layout()
        spans = read_attention(text).spans
        pieces = [
            (self._read_ids(span.text), span.weight) if isinstance(span, Span) else None
            for span in spans
        ]
        lengths = [chunk.length for chunk in split_into_chunks(pieces, layout)]
        borders = self._find_places(blanked, list(accumulate(lengths))[:-1])
        return TokenCount(sum(lengths), layout.size, len(lengths), borders)

    def count(self, text: str, blanked: str, most: int) -> TokenCount:
        """Count the tokens of a text of which an encoder reads `most`; all that follows is unread.

        A border is where that begins.
        """
        room = most - self._tokenizer.num_special_tokens_to_add()
        tokens = len(self._read_ids(text))
        borders = self._find_places(blanked, [room]) if tokens > room else ()
        return TokenCount(tokens, room, 1, borders)

    def _read_layout(self) -> ChunkLayout:
        layout = read_layout(self._tokenizer, ())
        sizes = {first: self._vectors[name] for name, first in self._first_ids.items()}
        return ChunkLayout(
            layout.size, layout.start, layout.end, layout.pad, layout.comma, vectors=sizes
        )

    def _read_ids(self, text: str) -> list[int]:
        ids: list[int] = []
        place = 0
        for start, end, name in locate_embeddings(text, self._vectors):
            ids += self._tokenize(text[place:start])
            ids += [self._first_ids[name]] * self._vectors[name]
            place = end
        return ids + self._tokenize(text[place:])

    def _tokenize(self, text: str) -> list[int]:
        self._tokenize_new([text])
        return self._ids[text]

    def _tokenize_new(self, texts: Iterable[str]) -> None:
        """Tokenize those texts at once that weren't before."""
        new = [text for text in dict.fromkeys(texts) if text not in self._ids]
        known = [replace_near_words(text, self._near)[0] for text in new]
        found: Sequence[list[int]] = [[] for _ in new]
        if any(known):
            found = self._tokenizer(
                known, add_special_tokens=False, truncation=False, verbose=False
            ).input_ids
        self._ids |= zip(new, found, strict=True)

    def _find_places(self, blanked: str, counts: Sequence[int]) -> tuple[int, ...]:
        """Return for each of the counts where the word is that comes after so many tokens."""
        if not counts:
            return ()
        places: list[int] = []
        done = 0
        for start, tokens in self._list_words(blanked):
            while len(places) < len(counts) and done + tokens > counts[len(places)]:
                places.append(start)
            done += tokens
        return tuple(dict.fromkeys(places))

    def _list_words(self, blanked: str) -> list[tuple[int, int]]:
        """Return the place and the number of tokens of each word and embedding, in order."""
        words: list[tuple[int, str | int]] = []
        for span in read_attention(blanked, joined=False).spans:
            if not isinstance(span, Span):
                continue
            shift = span.end - len(span.text)
            place = 0
            found = locate_embeddings(span.text, self._vectors)
            for start, end, name in (*found, (len(span.text), 0, "")):
                literals = _WORD.finditer(span.text[place:start])
                words += [(shift + place + each.start(), each[0]) for each in literals]
                if name:
                    words.append((shift + start, self._vectors[name]))
                place = end
        self._tokenize_new(each for _, each in words if isinstance(each, str))
        return [
            (place, len(self._ids[each]) if isinstance(each, str) else each)
            for place, each in words
        ]
