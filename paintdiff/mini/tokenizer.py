"""A CLIP tokenizer with a small vocabulary of its own: every word of the world is one token.

Byte-pair encoding after Sennrich et al. 2016 (arXiv:1508.07909), in the byte-level form of CLIP, so
that any text can be encoded. A word of the world is always a single token; anything else splits
into pieces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

from tokenizers import pre_tokenizers
from transformers import CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
MAX_TOKENS = 77


def build_tokenizer(words: Iterable[str]) -> CLIPTokenizer:
    """Learn the merges from `words` (lower case) and return a tokenizer of `MAX_TOKENS` positions.

    Every one of `words` encodes to exactly one token. The same words give the same token numbers on
    every machine and run: weights depend on them.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = learn_merges(words)
    tokens = [*alphabet, *(letter + "</w>" for letter in alphabet)]
    tokens += [left + right for left, right in merges]
    numbers: dict[str, int] = {}
    for token in [*tokens, START, END]:
        numbers.setdefault(token, len(numbers))
    pairs: Any = merges
    return CLIPTokenizer(vocab=numbers, merges=pairs, model_max_length=MAX_TOKENS)


def learn_merges(words: Iterable[str]) -> list[tuple[str, str]]:
    """Learn the merges that are needed until every word is one piece.

    They are ordered by the frequency of the pair, the highest first, and ties alphabetically. (The
    trainer of the tokenizers library breaks ties differently in each process.)
    """
    pieces = [[*word[:-1], word[-1] + "</w>"] for word in sorted(set(words))]
    merges: list[tuple[str, str]] = []
    while pairs := Counter(pair for word in pieces for pair in pairwise(word)):
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        pieces = [_merged(word, best) for word in pieces]
    return merges


def _merged(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for piece in pieces:
        # A piece that a merge has just made can't be the left half of the next one.
        if merged and (merged[-1], piece) == pair and merged[-1] != "".join(pair):
            merged[-1] = "".join(pair)
        else:
            merged.append(piece)
    return merged


def save_tokenizer(tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write the files that `CLIPTokenizer.from_pretrained(folder)` reads.

    These include the classic pair (vocabulary and merges).
    """
    tokenizer.save_pretrained(folder)
    tokenizer.backend_tokenizer.model.save(str(folder))
