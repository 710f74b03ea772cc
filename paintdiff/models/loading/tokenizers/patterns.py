"""Checks the regular expressions in a `tokenizer.json` before they are used on a prompt.

The regex library limits the steps at one position of a text, but not at all positions together:
10,000 characters can take an hour. `trial_worker` runs this. Imports neither torch nor
tokenizers.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

from paintdiff.models.loading import messages

MAX_PATTERN_CHARACTERS = 10_000
MAX_PATTERNS = 100
MAX_SECONDS = 0.5
"""How long a pattern may take for TRIED_CHARACTERS characters. Known models' take 0.01 seconds."""
TRIED_CHARACTERS = 2_000

MAX_QUANTIFIERS = 6
"""The most quantifiers in one alternative. Known models' have up to 4."""

_TOKEN = re.compile(
    r"\\(?P<escaped>.)|(?P<set>\[)|(?P<end>\])|(?P<group>\((?:\?[^)\w\s]?|\*)?)"
    r"|\)(?P<repeat>[*+]|\{[^}]*\})?|(?P<quantifier>[*+?]|\{\d*,\d*\})|(?P<or>\|)|.",
    re.DOTALL,
)
_REFERENCES = "123456789gkKRX"
"""Characters after a backslash that refer to a match or to the pattern itself."""
_GROUPS = frozenset({"(", "(?", "(?:", "(?=", "(?!", "(?>", "(?<"})
_CHARACTERS = (
    "".join(map(chr, range(32, 127)))
    + "\n\r\t\u00a0\u00e9\u00c9\u01c5\u0301\u0663\u2167\u3042\u6d77\uff01\ue000\U0001f642"
)
"""One character of each class that patterns distinguish."""


def check_patterns(tokenizer: object, matches: Callable[[str, str], object]) -> None:
    """Check every regular expression of a tokenizer.

    Args:
        tokenizer: The content of its `tokenizer.json`.
        matches: Finds all matches of a pattern in a text (the second argument).

    Raises:
        ValueError: A pattern could take very long, or refers to itself.
    """
    patterns = dict.fromkeys(_iterate_patterns(tokenizer))
    if len(patterns) > MAX_PATTERNS:
        raise ValueError(messages.too_many_patterns(len(patterns), MAX_PATTERNS))
    for pattern in patterns:
        _check_form(pattern)
        for text in _generate_texts(pattern):
            started = time.process_time()
            matches(pattern, text)
            if time.process_time() - started > MAX_SECONDS:
                raise ValueError(messages.takes_too_long(_quote(pattern)))


def _iterate_patterns(content: object) -> Iterator[str]:
    waiting = [content]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            pattern = each.get("Regex")
            if isinstance(pattern, str):
                yield pattern
            waiting += each.values()
        elif isinstance(each, list) and each and isinstance(each[0], (dict, list)):
            waiting += each  # skip the vocabulary, a list of texts


def _check_form(pattern: str) -> None:
    """Raise ValueError if a pattern repeats more than single characters, or has many quantifiers.

    A repeated group can match in 2 to the power of the text's length ways.
    """
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise ValueError(messages.pattern_too_long(len(pattern), MAX_PATTERN_CHARACTERS))
    set_depth = quantifiers = 0
    for token in _TOKEN.finditer(pattern):
        if token["set"]:
            set_depth += 1
        elif token["end"]:
            set_depth = max(0, set_depth - 1)
        elif set_depth:
            continue
        elif token["escaped"] and token["escaped"] in _REFERENCES:
            raise ValueError(messages.refers_to_a_match(_quote(pattern)))
        elif token["group"] and token["group"] not in _GROUPS:
            raise ValueError(messages.unsupported_group(_quote(pattern)))
        elif token["repeat"]:
            raise ValueError(messages.repeats_a_group(_quote(pattern)))
        quantifiers = 0 if token["or"] else quantifiers + bool(token["quantifier"])
        if quantifiers > MAX_QUANTIFIERS:
            raise ValueError(messages.too_many_quantifiers(_quote(pattern), MAX_QUANTIFIERS))


def _generate_texts(pattern: str) -> Iterator[str]:
    """Yield long texts that are hard for a pattern.

    They also contain the characters that it requires, so that it doesn't fail at once.
    """
    own = "".join(dict.fromkeys(re.sub(r"\W", "", pattern)))[:20]
    for word in dict.fromkeys((*_CHARACTERS, *re.findall(r"\w{2,20}", pattern)[:50])):
        run = word * (TRIED_CHARACTERS // len(word))
        others = "".join(each for each in _CHARACTERS if each != word)
        yield run + others
        yield run + others[::-1]
        part = f"{word * (24 // len(word))}\x01{own}"
        yield part * (TRIED_CHARACTERS // len(part))


def _quote(pattern: str) -> str:
    return messages.the_pattern(pattern[:60])
