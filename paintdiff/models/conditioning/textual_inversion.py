"""Textual inversion: embeddings that a lease adds to a model's words, and removes again.

Gal et al. 2022, "An image is worth one word" (arXiv:2208.01618). Imports torch and transformers:
import it in a function.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from paintdiff.errors import ModelLoadError
from paintdiff.models.conditioning import messages
from paintdiff.models.formats.pickles.tensor_tables import read_tensor_table
from paintdiff.models.formats.weight_files import HASH_DIGITS, hash_file
from paintdiff.models.registry.adapter_rows import EmbeddingRow

_SLOTS = (("text_encoder", "tokenizer"), ("text_encoder_2", "tokenizer_2"))
_LATER_ENCODER = "text_encoder_3"
MAX_VECTORS = 75
"""As many as a prompt has room for."""


def read_vectors(path: Path, name: str) -> tuple[torch.Tensor, ...]:
    """Read the vectors of an embedding.

    Supported are files of the A1111 web UI (`string_to_param`, `emb_params`), of SDXL (`clip_l` and
    `clip_g`), and of diffusers with a single tensor.

    Returns:
        (count, width), float32, for each text encoder the embedding was made for.

    Raises:
        ModelLoadError: It isn't an embedding; or whatever `read_tensor_table` raises.
    """
    content = read_tensor_table(path)
    learned: object = content.get("string_to_param", content)
    if not isinstance(learned, dict):
        learned = {}
    tensors = {key: value for key, value in learned.items() if isinstance(value, torch.Tensor)}
    if {"clip_l", "clip_g"} <= tensors.keys():
        found = [tensors["clip_l"], tensors["clip_g"]]
    elif "emb_params" in tensors:
        found = [tensors["emb_params"]]
    else:
        found = list(tensors.values())
        if len(found) != 1:
            raise ModelLoadError(messages.several_tensors(name, len(found)))
    vectors = tuple(each.float()[None] if each.ndim == 1 else each.float() for each in found)
    counts = {each.shape[0] for each in vectors}
    if any(each.ndim != 2 for each in vectors) or len(counts) != 1:
        raise ModelLoadError(messages.not_vectors(name))
    if not 1 <= min(counts) <= MAX_VECTORS:
        raise ModelLoadError(messages.wrong_vector_count(name, min(counts), MAX_VECTORS))
    return vectors


class ExtendedEmbedding(torch.nn.Module):
    """A text encoder's token embedding with more tokens.

    Ids from `first_id` on are rows of `vectors` (count, width); all others are the table's own.
    """

    def __init__(self, table: torch.nn.Module, first_id: int, vectors: torch.Tensor) -> None:
        super().__init__()
        self.table = table
        self.first_id = first_id
        self.register_buffer("vectors", vectors, persistent=False)

    @property
    def weight(self) -> Any:
        """Return the table's own weight."""
        return self.table.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Embed ids (batch, length) as (batch, length, width)."""
        known = self.table(ids.clamp(max=self.first_id - 1))
        vectors: Any = self.vectors
        learned = vectors[(ids - self.first_id).clamp(min=0)]
        return torch.where((ids >= self.first_id)[..., None], learned, known)


@dataclass(frozen=True)
class LearnedTokens:
    """The embeddings of one lease.

    `tokenizers` replace the pipeline's, by component. `tokens` has for each word, in lower case,
    the tokens that stand for it. `hashes` has the embeddings' hashes, by name.
    """

    tokenizers: Mapping[str, Any]
    tokens: Mapping[str, str]
    hashes: Mapping[str, str]


NO_TOKENS = LearnedTokens({}, {}, {})


class Embeddings:
    """The embeddings in one model's text encoders. Use it from one thread at a time."""

    def __init__(self, components: Mapping[str, Any], title: str) -> None:
        self._components = components
        self._title = title
        self._replaced: list[tuple[Any, str, torch.nn.Module]] = []
        self._ends: list[tuple[Any, int]] = []
        self._learned = NO_TOKENS
        self._identities: tuple[tuple[str, ...], ...] = ()

    @property
    def learned(self) -> LearnedTokens:
        """Return what the model has now."""
        return self._learned

    def set(self, names: Sequence[str], rows: Mapping[str, EmbeddingRow]) -> None:
        """Give the model these embeddings and no others.

        After an error the state is undefined: call `clear`.

        Raises:
            ModelLoadError: One doesn't fit the model; or whatever reading it raises.
        """
        identities = tuple(rows[name].identity for name in names)
        if identities == self._identities:
            return
        self.clear()
        if not names:
            return
        encoders = self._find_encoders(rows[names[0]])
        read = {name: self._read_fitting(rows[name], encoders) for name in names}
        tokens = {
            name: [f"<|embedding{number}.{index}|>" for index in range(vectors[0].shape[0])]
            for number, (name, vectors) in enumerate(read.items())
        }
        tokenizers: dict[str, Any] = {}
        for slot, (encoder, tokenizer_name) in enumerate(encoders):
            tokenizer = copy.deepcopy(self._components[tokenizer_name])
            first = len(tokenizer)
            tokenizer.add_tokens(
                [
                    transformers.AddedToken(token, normalized=False, special=True)
                    for each in tokens.values()
                    for token in each
                ]
            )
            self._extend(encoder, first, torch.cat([vectors[slot] for vectors in read.values()]))
            self._ends.append((_find_end_holder(encoder), _find_end_holder(encoder).eos_token_id))
            _find_end_holder(encoder).eos_token_id = tokenizer.eos_token_id
            tokenizers[tokenizer_name] = tokenizer
        self._identities = identities
        self._learned = LearnedTokens(
            tokenizers,
            {name.lower(): " ".join(each) for name, each in tokens.items()},
            {name: hash_file(Path(rows[name].source))[:HASH_DIGITS] for name in names},
        )

    def clear(self) -> None:
        """Remove all embeddings: every text encoder has its own table again."""
        for parent, name, table in self._replaced:
            setattr(parent, name, table)
        for encoder, eos_token_id in self._ends:
            encoder.eos_token_id = eos_token_id
        self._replaced.clear()
        self._ends.clear()
        self._learned, self._identities = NO_TOKENS, ()

    def _find_encoders(self, row: EmbeddingRow) -> list[tuple[Any, str]]:
        """Return the text encoders and their tokenizers' names."""
        found = [
            (self._components[encoder], tokenizer)
            for encoder, tokenizer in _SLOTS
            if self._components.get(encoder) is not None
        ]
        known = (transformers.CLIPTextModel, transformers.CLIPTextModelWithProjection)
        others = self._components.get(_LATER_ENCODER)
        if not found or others is not None or not all(isinstance(e, known) for e, _t in found):
            raise ModelLoadError(messages.not_clip_alone(self._title, row.title))
        return found

    def _read_fitting(
        self, row: EmbeddingRow, encoders: Sequence[tuple[Any, str]]
    ) -> tuple[torch.Tensor, ...]:
        vectors = read_vectors(Path(row.source), row.title)
        theirs = [each.shape[1] for each in vectors]
        ours = [encoder.get_input_embeddings().weight.shape[1] for encoder, _name in encoders]
        if theirs != ours:
            raise ModelLoadError(
                messages.embedding_does_not_fit(
                    row.title, self._title, _join_numbers(theirs), _join_numbers(ours), row.families
                )
            )
        return vectors

    def _extend(self, encoder: Any, first_id: int, vectors: torch.Tensor) -> None:
        table = encoder.get_input_embeddings()
        moved = vectors.to(device=table.weight.device, dtype=table.weight.dtype)
        for parent in list(encoder.modules()):
            for name, child in parent.named_children():
                if child is table:
                    setattr(parent, name, ExtendedEmbedding(table, first_id, moved))
                    self._replaced.append((parent, name, table))


def _find_end_holder(encoder: Any) -> Any:
    """Return the module that looks for the end of a text.

    Old configs have a wrong end token; transformers then takes the largest id, which would be an
    embedding's.
    """
    inner = getattr(encoder, "text_model", encoder)
    return inner if hasattr(inner, "eos_token_id") else encoder


def _join_numbers(widths: Sequence[int]) -> str:
    return " and ".join(map(str, widths))
