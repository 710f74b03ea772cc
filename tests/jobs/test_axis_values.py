"""Lists and ranges of a grid's axis, as the A1111 web UI reads them."""

from __future__ import annotations

import pytest

from paintdiff.errors import RequestError
from paintdiff.jobs.axis_values import MAX_AXIS_VALUES, expand_numbers, split_lines, split_values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1, 2,5", ["1", "2", "5"]),
        ("1-5", ["1", "2", "3", "4", "5"]),
        ("1-10 (+3)", ["1", "4", "7", "10"]),
        ("1-9 (+3)", ["1", "4", "7"]),
        ("10-1 (-3)", ["10", "7", "4", "1"]),
        ("3-1", ["3", "2", "1"]),
        ("1-10 [5]", ["1", "3", "5", "7", "10"]),  # 3.25, 5.5 and 7.75 are cut off
        ("4-9 [1]", ["4"]),
        ("-2--1", ["-2", "-1"]),
        ("5, 1-2, , 9", ["5", "1", "2", "9"]),
        ("word", ["word"]),
    ],
)
def test_whole_numbers(text: str, values: list[str]) -> None:
    assert list(expand_numbers(split_values(text), whole=True)) == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0.5-1 (+0.1)", ["0.5", "0.6", "0.7", "0.8", "0.9", "1"]),
        ("0-1 (+0.3)", ["0", "0.3", "0.6", "0.9"]),  # never beyond the end
        ("0-1 [5]", ["0", "0.25", "0.5", "0.75", "1"]),
        ("1-2.5", ["1", "2"]),
        (".5, 7.50", [".5", "7.50"]),
        ("1-0 (-.25)", ["1", "0.75", "0.5", "0.25", "0"]),
    ],
)
def test_decimals(text: str, values: list[str]) -> None:
    assert list(expand_numbers(split_values(text), whole=False)) == values


@pytest.mark.parametrize(
    "text", ["1-5 (+0)", "1-5 (-1)", "1-5 [0]", "1-999999999", "1-2 [999999]", "1-5 (+0.5)"]
)
def test_a_range_that_cannot_be_used_is_refused_at_once(text: str) -> None:
    with pytest.raises(RequestError):
        expand_numbers(split_values(text), whole=True)


def test_the_limit_counts_expanded_values() -> None:
    assert len(expand_numbers(["1-500"], whole=True)) == MAX_AXIS_VALUES
    with pytest.raises(RequestError, match="at most 500 values"):
        expand_numbers(["1-300", "1-300"], whole=True)


def test_quotes_keep_commas_and_lines_end_values() -> None:
    assert split_values('a, "b, c"\nd') == ("a", "b, c", "d")
    assert split_values("red, ") == ("red", "")
    with pytest.raises(RequestError, match="can't be read"):
        split_values('"' + "x" * 200_000)


def test_lines_keep_their_commas() -> None:
    assert split_lines("a, b\n\n  c \r\n") == ("a, b", "c")
