"""Counts of a prompt's tokens, and where its chunks begin."""

from __future__ import annotations

from typing import Any

import pytest

from paintdiff.models.conditioning.token_chunks import read_layout, split_into_chunks
from paintdiff.models.conditioning.token_counts import TokenCounter
from paintdiff.prompts.attention import Span, parse_attention
from paintdiff.prompts.syntax import blank_unread, parse_prompt, schedule
from tests.tiny import tiny_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return tiny_tokenizer()


def count(prompt: str, tokenizer: Any, **vectors: int) -> tuple[int, int, list[str]]:
    """Tokens, chunks, and the words at which chunks begin."""
    parsed = parse_prompt(prompt)
    ((_, text),) = schedule(parsed, 1)[0]
    found = TokenCounter(tokenizer, {}, vectors).count_chunks(text, blank_unread(parsed, 0, 1, 1))
    return found.tokens, found.chunks, [prompt[place:].split()[0] for place in found.borders]


def test_a_prompt_has_as_many_tokens_as_painting_reads(tokenizer: Any) -> None:
    prompt = ", ".join(["a (red:1.3) house", "a boat \\(old\\)", "[a cat:2]"] * 9)
    text = schedule(parse_prompt(prompt), 1)[0][0][1]
    pieces = [
        (tokenizer(span.text, add_special_tokens=False).input_ids, span.weight)
        for span in parse_attention(text)
        if isinstance(span, Span)
    ]
    chunks = split_into_chunks(pieces, read_layout(tokenizer, ()))
    tokens, number, _ = count(prompt, tokenizer)
    assert (tokens, number) == (sum(chunk.length for chunk in chunks), len(chunks))


def test_borders_are_at_the_words_where_chunks_begin(tokenizer: Any) -> None:
    per_word = len(tokenizer("red", add_special_tokens=False).input_ids)
    words = ["<lora:ink:1> (red:1.2)"] * (80 // per_word) + ["house"]
    tokens, chunks, borders = count(" ".join(words), tokenizer)
    assert chunks == 2 and borders in (["(red:1.2)"], ["red:1.2)"]) and tokens > 75
    assert count("a red house BREAK a boat", tokenizer)[1:] == (2, ["a"])
    assert count("", tokenizer) == (0, 1, [])


def test_an_embedding_counts_its_vectors_and_isnt_divided(tokenizer: Any) -> None:
    filler = "red " * (70 // len(tokenizer("red", add_special_tokens=False).input_ids))
    before = count(filler, tokenizer)[0]
    tokens, chunks, borders = count(f"{filler}Hands house", tokenizer, hands=20)
    assert tokens >= before + 20 and chunks == 2 and borders == ["Hands"]


def test_an_encoder_with_a_limit_reads_no_further(tokenizer: Any) -> None:
    text = "red " * 200
    counter = TokenCounter(tokenizer, {}, {})
    per_word = len(tokenizer("red", add_special_tokens=False).input_ids)
    found = counter.count(text, text, 77)
    assert found.chunk_size == 75 and found.tokens == 200 * per_word
    assert found.borders == (4 * (75 // per_word),)
    assert counter.count("red", "red", 77).borders == ()


def test_a_known_word_is_counted_for_an_unknown_one(tokenizer: Any) -> None:
    near = TokenCounter(tokenizer, {"zeppelin": "red"}, {})
    plain = TokenCounter(tokenizer, {}, {})
    assert near.count_chunks("zeppelin", "zeppelin") == plain.count_chunks("red", "red")
