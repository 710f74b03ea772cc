"""Prompts one per line, with flags."""

from __future__ import annotations

import pytest

from paintdiff.errors import RequestError
from paintdiff.prompts.lines import parse_line


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("a cat's hat -- no flags", {"prompt": "a cat's hat -- no flags"}),
        ("--prompt a red house --steps 10", {"prompt": "a red house", "num_inference_steps": "10"}),
        (
            '--prompt "a red house" --negative_prompt "dull, dark" --cfg_scale 4.5',
            {"prompt": "a red house", "negative_prompt": "dull, dark", "guidance_scale": "4.5"},
        ),
        ("a cat's hat --width 64", {"prompt": "a cat's hat", "width": "64"}),
        ("--seed -1 --sampler_name 'Euler a'", {"seed": "-1", "sampler": "Euler a"}),
    ],
)
def test_a_line_sets_fields(line: str, fields: dict[str, str]) -> None:
    assert parse_line(line) == fields


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a house --foo 3", "unknown flag --foo"),
        ("a house --batch_size 3", "unknown flag --batch_size"),
        ("a house --steps", "--steps has no value"),
        ("a house --steps 10 20", "one value"),
        ("a house --prompt b", "set before"),
        ('a house --negative_prompt "dull', "quote isn't closed"),
    ],
)
def test_a_mistake_is_an_error(line: str, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        parse_line(line)
