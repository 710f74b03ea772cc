"""Prompts of any length, with weights, in the encodings that diffusers' pipelines take.

Imports torch: import it in a function.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from paintdiff.models.conditioning.emphasis import weigh_tokens
from paintdiff.models.conditioning.prompt_plan import Pieces, join_pieces
from paintdiff.models.conditioning.token_chunks import (
    Chunk,
    ChunkLayout,
    read_layout,
    split_into_chunks,
)
from paintdiff.models.registry.families import PromptEncoding
from paintdiff.prompts.attention import Emphasis

_SLOTS = (("tokenizer", "text_encoder"), ("tokenizer_2", "text_encoder_2"))
_EMPTY: Pieces = (("", 1.0),)

Remember = Callable[[Hashable, Callable[[], Any]], Any]
"""Returns what the function returns, or returned before for the same key."""


@dataclass(frozen=True)
class Encoding:
    """An encoded text.

    Attributes:
        chunks: (1, chunks x tokens, width), of its CLIP text encoders side by side.
        pooled: (1, width), of the first chunk; None if the pipeline takes none.
        tail: (1, tokens, width), of a T5 behind them; None without one.
    """

    chunks: torch.Tensor
    pooled: torch.Tensor | None = None
    tail: torch.Tensor | None = None

    @property
    def hidden(self) -> torch.Tensor:
        """Return what the denoiser attends to: (1, tokens, width)."""
        return self.chunks if self.tail is None else torch.cat([self.chunks, self.tail], dim=1)


class ClipEncoder:
    """Encodes weighted texts with the CLIP text encoders of one pipeline, as the A1111 web UI does.

    `embeddings` maps words to the tokens of embeddings. `remember` is asked for each encoding.
    """

    def __init__(
        self,
        pipeline: Any,
        kind: PromptEncoding,
        embeddings: Mapping[str, str],
        emphasis: Emphasis,
        remember: Remember,
    ) -> None:
        self._pipeline = pipeline
        self._kind = kind
        self._emphasis: Emphasis = emphasis
        self._remember = remember
        found = [
            (getattr(pipeline, tokenizer, None), getattr(pipeline, encoder, None))
            for tokenizer, encoder in _SLOTS
        ]
        self._encoders = [
            (tokenizer, encoder, read_layout(tokenizer, embeddings.values()))
            for tokenizer, encoder in found
            if tokenizer is not None and encoder is not None
        ]

    def fits_one_chunk(self, text: str) -> bool:
        """Return whether a text has no more tokens than a chunk, for each of the encoders."""
        return all(
            len(_read_ids(tokenizer, text)) <= layout.size
            for tokenizer, _, layout in self._encoders
        )

    @torch.no_grad()
    def encode(self, pieces: Pieces) -> Encoding:
        """Encode a text."""
        key = (self._kind, self._emphasis, pieces)
        return Encoding(*self._remember(key, lambda: self._encode(pieces)))

    def pad(self, encoding: Encoding, tokens: int) -> Encoding:
        """Return an encoding with empty chunks behind its own, `tokens` in all."""
        missing = tokens - encoding.chunks.shape[1]
        if missing <= 0:
            return encoding
        empty = self.encode(_EMPTY).chunks
        behind = empty.repeat(1, missing // empty.shape[1], 1)
        return replace(encoding, chunks=torch.cat([encoding.chunks, behind], dim=1))

    def _encode(self, pieces: Pieces) -> tuple[torch.Tensor, ...]:
        given = [
            self._encode_with(tokenizer, encoder, layout, pieces)
            for tokenizer, encoder, layout in self._encoders
        ]
        chunks = _join_side_by_side([each for each, _ in given], self._encode_empty)
        if self._kind == "clip":
            return (chunks,)
        pooled = [each for _, each in given if each.ndim == 2]
        if self._kind == "clip_pair":
            return chunks, pooled[-1]
        # Behind the chunks of Stable Diffusion 3's CLIPs is its T5, which takes no weights.
        tail = self._pipeline._get_t5_prompt_embeds(
            join_pieces(pieces), device=self._pipeline._execution_device
        )
        width = tail.shape[-1] - chunks.shape[-1]
        chunks = torch.nn.functional.pad(chunks, (0, width)).to(tail.dtype)
        return chunks, torch.cat(pooled, dim=-1), tail

    def _encode_with(
        self, tokenizer: Any, encoder: Any, layout: ChunkLayout, pieces: Pieces
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return all chunks of one encoder, and its first result for the first of them."""
        read = [piece and (_read_ids(tokenizer, piece[0]), piece[1]) for piece in pieces]
        chunks = split_into_chunks(read, layout)
        encoded = [self._encode_chunk(encoder, layout, chunk) for chunk in chunks]
        return torch.cat([hidden for hidden, _ in encoded], dim=1), encoded[0][1]

    def _encode_chunk(
        self, encoder: Any, layout: ChunkLayout, chunk: Chunk
    ) -> tuple[torch.Tensor, torch.Tensor]:
        hidden, first = self._run(encoder, chunk)
        if chunk.is_weighted:
            hidden = weigh_tokens(
                hidden,
                chunk.weights,
                self._emphasis,
                lambda: self._run(encoder, *split_into_chunks((), layout))[0],
            )
        return hidden, first

    def _run(self, encoder: Any, chunk: Chunk) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the layer that the pipeline takes of a chunk, and the encoder's first result."""
        ids = torch.tensor([chunk.ids], device=self._pipeline._execution_device)
        if self._kind == "clip":
            first = encoder(ids)[0]
            return first, first
        encoded = encoder(ids, output_hidden_states=True)
        return encoded.hidden_states[-2], encoded[0]

    def _encode_empty(self, index: int) -> torch.Tensor:
        _, encoder, layout = self._encoders[index]
        return self._run(encoder, *split_into_chunks((), layout))[0]


def _join_side_by_side(
    given: list[torch.Tensor], encode_empty: Callable[[int], torch.Tensor]
) -> torch.Tensor:
    """Join (1, tokens, width) of several encoders; one with fewer chunks gets empty ones."""
    most = max(each.shape[1] for each in given)
    for index, each in enumerate(given):
        if each.shape[1] < most:
            empty = encode_empty(index)
            missing = (most - each.shape[1]) // empty.shape[1]
            given[index] = torch.cat([each, empty.repeat(1, missing, 1)], dim=1)
    return torch.cat(given, dim=-1)


def _read_ids(tokenizer: Any, text: str) -> list[int]:
    read: list[int] = tokenizer(
        text, add_special_tokens=False, truncation=False, verbose=False
    ).input_ids
    return read
