"""The A1111 web UI's prompt matrix: `a house|in snow|at night` paints every combination.

The first part is in every prompt; each other one is in half of them.
"""

from __future__ import annotations

import re
from collections import Counter

from paintdiff.errors import RequestError
from paintdiff.prompts import messages

MAX_MATRIX_PARTS = 9
"""The most parts after the first one, which make 512 prompts. A grid may allow fewer cells."""

_SIGN = re.compile(r"\\.|[()\[\]{}|]", re.DOTALL)
_CLOSING = {"(": ")", "[": "]", "{": "}"}


def split_matrix(prompt: str) -> tuple[str, ...]:
    """Split a prompt at each `|` outside of brackets, where it would mean something else.

    Raises:
        RequestError: (for "prompt") There is no such `|`, or there are more than MAX_MATRIX_PARTS.
    """
    bars = _find_bars(prompt)
    ends = [*bars, len(prompt)]
    parts = [
        prompt[begin:end] for begin, end in zip([0, *(bar + 1 for bar in bars)], ends, strict=True)
    ]
    if len(parts) == 1:
        raise RequestError(messages.NO_MATRIX, field="prompt")
    if len(parts) - 1 > MAX_MATRIX_PARTS:
        raise RequestError(
            messages.matrix_too_large(len(parts) - 1, MAX_MATRIX_PARTS), field="prompt"
        )
    return tuple(part.strip().strip(",").strip() for part in parts)


def _find_bars(prompt: str) -> list[int]:
    """Return the indices of each `|` that isn't between a bracket and the one that closes it."""
    bars: list[int] = []
    open_brackets: list[tuple[str, int]] = []
    waiting: Counter[str] = Counter()
    for sign in _SIGN.finditer(prompt):
        if sign[0] in _CLOSING:
            open_brackets.append((_CLOSING[sign[0]], sign.start()))
            waiting[_CLOSING[sign[0]]] += 1
        elif sign[0] == "|":
            bars.append(sign.start())
        elif waiting[sign[0]]:
            closing, start = "", 0
            while closing != sign[0]:
                closing, start = open_brackets.pop()
                waiting[closing] -= 1
            while bars and bars[-1] > start:
                bars.pop()
    return bars


def combine_parts(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Return all combinations of the parts, joined with commas; the first is "", without any."""
    return tuple(
        join_prompt(*(part for bit, part in enumerate(parts) if number & (1 << bit)))
        for number in range(1 << len(parts))
    )


def join_prompt(*parts: str) -> str:
    """Join the parts of a prompt with commas; empty ones are left out."""
    return ", ".join(part for part in parts if part)
