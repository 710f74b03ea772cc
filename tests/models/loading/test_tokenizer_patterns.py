"""Regular expressions of tokenizers: those of known models pass, those that take hours do not."""

from __future__ import annotations

import time

import pytest
from tokenizers import Regex, pre_tokenizers

from paintdiff.models.loading.tokenizers.patterns import MAX_SECONDS, check_patterns

CLIP = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)
QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+"
)
PUNCTUATION = r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+| {2,}|(?<=[^\s])(\s)\b"

ALSO_SLOW = (r"[a-z]*[a-z]*X", r"[a]*(?:[a]*)X", r".*.*=.*X", r"\s*\s*Z")
"""Each takes five seconds. `test_hostile_folders.py` has the first in a process of its own."""

SLOW = (
    *(r"(a|a)*X", r"(a+)+X", r"(?:a{1,3}){1,1000}X", r"(a?){22}X", r"[)](a)+", r"(?:(a|b)+)?c"),
    r"[^x]*ab[^x]*[,;]X",  # its own letters make it slow
    *(pytest.param(each, marks=pytest.mark.long) for each in ALSO_SLOW),
    *(r"(.)\1*\1*X", r"(?<n>a)\g<n>*", r"(?~abc)", "a?" * 22 + "X", "a{0,99}" * 6 + "X"),
    "a" * 20_000,
)


def matches(pattern: str, text: str) -> object:
    return pre_tokenizers.Split(Regex(pattern), "removed").pre_tokenize_str(text)


@pytest.mark.parametrize("pattern", [CLIP, QWEN, O200K, PUNCTUATION, r"\s+"])
def test_the_patterns_of_known_models_pass(pattern: str) -> None:
    check_patterns({"normalizer": [{"pattern": {"Regex": pattern}}]}, matches)


@pytest.mark.parametrize("pattern", SLOW)
def test_a_pattern_that_could_take_very_long_is_refused(pattern: str) -> None:
    with pytest.raises(BaseException, match=r"pattern|retry-limit"):  # a panic is no Exception
        check_patterns({"pre_tokenizer": {"pattern": {"Regex": pattern}}}, matches)


def test_time_is_measured_for_each_text() -> None:
    def spin(_pattern: str, _text: str) -> None:
        end = time.process_time() + 1.2 * MAX_SECONDS
        while time.process_time() < end:
            pass

    with pytest.raises(ValueError, match="takes too long"):
        check_patterns([{"Regex": "a"}], spin)
