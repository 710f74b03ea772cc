"""A CLIP tokenizer with a small vocabulary of its own: every word of the world is one token.

Byte-pair encoding after Sennrich et al. 2016 (arXiv:1508.07909), in the byte-level form of CLIP, so
that any text can be encoded; a word of the world is always a single token, anything else falls into
pieces.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
MAX_TOKENS = 77


def build_tokenizer(words: Iterable[str]) -> CLIPTokenizer:
    """Train the merges on `words` (lower case) and return a tokenizer of `MAX_TOKENS` positions.

    Every one of `words` encodes to exactly one token. The same words give the same token numbers.
    """
    ordered = sorted(set(words))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trained = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    trained.pre_tokenizer = pre_tokenizers.Whitespace()
    trained.train_from_iterator(
        ordered,
        trainers.BpeTrainer(
            vocab_size=100_000,
            min_frequency=1,
            end_of_word_suffix="</w>",
            initial_alphabet=alphabet,
            show_progress=False,
        ),
    )
    merges = _merges_in_order(trained)
    tokens = [*alphabet, *(letter + "</w>" for letter in alphabet)]
    tokens += [left + right for left, right in merges]
    numbers: dict[str, int] = {}
    for token in [*tokens, START, END]:
        numbers.setdefault(token, len(numbers))
    return CLIPTokenizer(vocab=numbers, merges=merges, model_max_length=MAX_TOKENS)


def save_tokenizer(tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write the files that `CLIPTokenizer.from_pretrained(folder)` reads, the classic pair
    included.
    """
    tokenizer.save_pretrained(folder)
    tokenizer.backend_tokenizer.model.save(str(folder))


def _merges_in_order(trained: Tokenizer) -> list[Any]:
    state = json.loads(trained.to_str())
    return [(left, right) for left, right in state["model"]["merges"]]
