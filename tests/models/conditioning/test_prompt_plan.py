"""At which step a call of the model is, also where two models share the steps."""

from __future__ import annotations

import pytest

from paintdiff.models.conditioning.prompt_plan import ALONE, PromptTiming


@pytest.mark.parametrize(
    ("num_calls", "expected"),
    [
        (4, [1, 2, 3, 4]),
        (7, [1, 1, 2, 2, 3, 3, 4]),  # a sampler of the second order
        (5, [1, 1, 2, 3, 4]),  # PNDM repeats the first step
    ],
)
def test_a_call_belongs_to_a_step(num_calls: int, expected: list[int]) -> None:
    assert [ALONE.find_step(call, num_calls, 4) for call in range(num_calls)] == expected


def test_a_refiner_continues_the_count() -> None:
    own = [PromptTiming(calls_after=2).find_step(call, 8, 10) for call in range(8)]
    refined = [PromptTiming(calls_before=8).find_step(call, 2, 10) for call in range(2)]
    assert [*own, *refined] == list(range(1, 11))
