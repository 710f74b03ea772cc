"""What is said of values that can't be used."""

from __future__ import annotations

import re
from typing import Any

import pytest

from paintdiff.errors import RequestError
from paintdiff.jobs.requests import TextToImage


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"width": -5}, "width: must be at least 32, not -5."),
        ({"num_inference_steps": 2000}, "num_inference_steps: must be at most 1000, not 2000."),
        ({"seed": 2**32}, "seed: must be at most 4294967295, not 4294967296."),
        ({"time_budget_seconds": 0.0}, "time_budget_seconds: must be more than 0, not 0."),
        ({"width": 64.5}, "width: must be a whole number, not 64.5."),
        ({"seed": "first"}, "seed: must be a whole number, not 'first'."),
        ({"guidance_scale": "much"}, "guidance_scale: must be a number, not 'much'."),
        ({"prompt": "a" * 20_000}, "prompt: has 20,000 characters, at most 10,000 are possible."),
        ({"styles": ("a",) * 17}, "styles: has 17 entries, at most 16 are possible."),
        ({"emphasis": "loud"}, "emphasis: must be 'original', 'no_norm' or 'comfy', not 'loud'."),
        ({"colour": "red"}, "colour: isn't a setting."),
        ({"sampler": ""}, "sampler: must not be empty."),
        ({"controls": 3}, "controls: must be a list, not 3."),
        ({"prompt": 1}, "prompt: must be text, not 1."),
        ({"steps": 1 << 20_000}, "steps: isn't a setting."),
        ({"width": 1 << 20_000}, "width: must be at most 4096, not a number of 20001 bits."),
    ],
)
def test_an_invalid_value_is_named_with_its_limit(values: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=f"^{re.escape(said)}$") as caught:
        TextToImage.parse({"prompt": "a cat", **values})
    assert caught.value.field == next(iter(values))
