from __future__ import annotations

import re

import pytest
import transformers

from paintdiff.prompts.words import (
    find_cut_words,
    find_unknown_words,
    knows_none,
    quote_words,
    write_closest,
)
from tests.tiny import WORDS, tiny_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> transformers.CLIPTokenizer:
    return tiny_tokenizer()


def test_every_word_of_the_vocabulary_is_known() -> None:
    assert find_unknown_words(" ".join(WORDS), WORDS) == ()


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("", ()),
        ("A RED House, on a green hill.", ()),
        ("a red zeppelin", ("zeppelin",)),
        ("zeppelin Zeppelin ZEPPELIN and gramophone", ("zeppelin", "gramophone")),
        ("(red) house!! \u201cat\u201d \u2014 night\u2026", ()),
        ("3 boats", ("3", "boats")),
        ("the dog's house, the dog\u2019s boat", ()),
        ("red-house boat/sea", ()),
        ("sail boat hou", ("sail", "hou")),
        ("houses", ("houses",)),
        ("größe 山", ("größe", "山")),
        ("a cat 🐉🐉", ("🐉🐉",)),
        ("snow\ncalm\tsea", ()),
        ("<|endoftext|>", ("endoftext",)),
    ],
)
def test_words_that_are_not_known_are_named(text: str, unknown: tuple[str, ...]) -> None:
    assert find_unknown_words(text, WORDS) == unknown


def test_what_has_no_room_is_named(tokenizer: transformers.CLIPTokenizer) -> None:
    assert find_cut_words("red " * 75, tokenizer) == ""
    assert find_cut_words("red " * 75 + "calm sailboat", tokenizer) == "calm sailboat"


def test_lists_of_words_are_sentences() -> None:
    assert quote_words(("a",)) == "“a”"
    assert quote_words(("a", "b")) == "“a” and “b”"
    assert quote_words(("a", "b", "c")) == "“a”, “b” and “c”"
    assert quote_words(tuple("abcdefghij")).endswith("“h” and 2 more")


def test_a_prompt_of_unknown_words_only_is_told_from_others() -> None:
    known = {"a", "on", "the", "red", "house", "left"}
    for unknown in ("cyberpunk samurai", "a robot on the moon", "A painting of Einstein!"):
        assert knows_none(unknown, known)
    for text in ("a red robot", "a house", "robot, left", "", "a, the!"):
        assert not knows_none(text, known)


@pytest.mark.parametrize(
    ("text", "closest"),
    [
        ("a red fox in the desert", "the desert"),
        ("a desert with a big red fox", "a desert"),
        ("a red cyberpunk house", "a red house"),
        ("a big fancy red house, a blue qwertz", "a big red house"),
        ("portrait of a girl at sunset", "a woman at sunset"),
        ("a blue fox", ""),
    ],
)
def test_the_closest_text_has_no_colour_of_an_unknown_thing(text: str, closest: str) -> None:
    known = set(re.findall("[a-z]+", "a and at big blue desert house in red sunset the with woman"))
    assert write_closest(text, known, {"girl": "woman"}) == closest
