"""A prompt's tokens and their weights, in chunks of the length that a CLIP text encoder reads.

The rules are the A1111 web UI's: each span of one weight is tokenized by itself, a chunk has room
for 75 tokens, and one that would end within 20 tokens after a comma ends at that comma instead. An
embedding of several vectors isn't divided. Importable without torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LOOK_BACK_TOKENS = 20


@dataclass(frozen=True)
class ChunkLayout:
    """The tokens of one tokenizer that chunks are made of.

    A chunk has `size` tokens between `start` and the first `end`, behind which all are `pad`.
    `comma` is None if no token is a comma. `vectors` has the number of vectors of each embedding,
    by its first token.
    """

    size: int
    start: int
    end: int
    pad: int
    comma: int | None
    vectors: Mapping[int, int]


@dataclass(frozen=True)
class Chunk:
    """`ids` and their weights, with start, end and padding, so as many as the encoder reads.

    `length` counts those of the prompt.
    """

    ids: tuple[int, ...]
    weights: tuple[float, ...]
    length: int

    @property
    def is_weighted(self) -> bool:
        """Return whether a weight isn't 1."""
        return any(weight != 1.0 for weight in self.weights)


def read_layout(tokenizer: Any, embeddings: Iterable[str]) -> ChunkLayout:
    """Return a tokenizer's layout. `embeddings` are the tokens of each, separated by spaces."""
    tokens = [each.split() for each in embeddings]
    ids: Any = tokenizer.convert_tokens_to_ids
    return ChunkLayout(
        size=tokenizer.model_max_length - 2,
        start=tokenizer.bos_token_id,
        end=tokenizer.eos_token_id,
        pad=tokenizer.pad_token_id,
        comma=tokenizer.get_vocab().get(",</w>"),
        vectors={ids(each[0]): len(each) for each in tokens},
    )


def split_into_chunks(
    pieces: Iterable[tuple[Sequence[int], float] | None], layout: ChunkLayout
) -> tuple[Chunk, ...]:
    """Return a prompt's chunks, at least one.

    `pieces` are the ids of each span with its weight, or None where a new chunk begins.
    """
    chunks = _Chunks(layout)
    for piece in pieces:
        if piece is None:
            chunks.end_chunk()
            continue
        ids, weight = piece
        place = 0
        while place < len(ids):
            count = layout.vectors.get(ids[place], 1)
            chunks.add(ids[place : place + count], weight)
            place += count
    return chunks.finish()


class _Chunks:
    def __init__(self, layout: ChunkLayout) -> None:
        self._layout = layout
        self._made: list[Chunk] = []
        self._ids: list[int] = []
        self._weights: list[float] = []
        self._comma = -1

    def add(self, ids: Sequence[int], weight: float) -> None:
        size, length = self._layout.size, len(self._ids)
        if ids[0] == self._layout.comma:
            self._comma = length
        elif length == size and self._comma >= 0 and length - self._comma <= LOOK_BACK_TOKENS:
            self._end_at_comma()
        if len(self._ids) + len(ids) > size:
            self.end_chunk()
        self._ids += ids
        self._weights += [weight] * len(ids)

    def end_chunk(self) -> None:
        layout, padding = self._layout, self._layout.size - len(self._ids)
        ids = (layout.start, *self._ids, layout.end, *[layout.pad] * padding)
        weights = (1.0, *self._weights, *[1.0] * (padding + 1))
        self._made.append(Chunk(ids, weights, len(self._ids)))
        self._ids, self._weights, self._comma = [], [], -1

    def finish(self) -> tuple[Chunk, ...]:
        if self._ids or not self._made:
            self.end_chunk()
        return tuple(self._made)

    def _end_at_comma(self) -> None:
        after = self._comma + 1
        ids, weights = self._ids[after:], self._weights[after:]
        del self._ids[after:], self._weights[after:]
        self.end_chunk()
        self._ids, self._weights = ids, weights
