"""The prompt matrix of the A1111 web UI."""

from __future__ import annotations

import pytest

from paintdiff.errors import RequestError
from paintdiff.prompts.matrix import MAX_MATRIX_PARTS, combine_parts, split_matrix


def test_the_first_part_is_fixed_and_the_others_are_combined() -> None:
    assert split_matrix("a house|in snow,| at night") == ("a house", "in snow", "at night")
    assert combine_parts(("in snow", "at night")) == (
        "",
        "in snow",
        "at night",
        "in snow, at night",
    )


def test_bars_in_brackets_belong_to_the_prompt() -> None:
    assert split_matrix(r"a [red|blue] {big|{a|b}} house \| (a|b)|in snow") == (
        r"a [red|blue] {big|{a|b}} house \| (a|b)",
        "in snow",
    )
    with pytest.raises(RequestError, match="needs"):
        split_matrix("a [red|blue] house")


@pytest.mark.parametrize("prompt", ["a (house|in snow", "a [(house]|in snow", "a house)|in snow"])
def test_a_bracket_without_its_other_half_hides_nothing(prompt: str) -> None:
    assert len(split_matrix(prompt)) == 2


def test_many_brackets_take_little_time() -> None:
    with pytest.raises(RequestError):
        split_matrix("(" * 5_000 + "]" * 5_000)


def test_the_number_of_parts_is_limited() -> None:
    split_matrix("a" + "|b" * MAX_MATRIX_PARTS)
    with pytest.raises(RequestError, match="at most 9 parts"):
        split_matrix("a" + "|b" * (MAX_MATRIX_PARTS + 1))
