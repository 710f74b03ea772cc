"""The log is for the operator, and says nothing of what people type."""

from __future__ import annotations

import logging

import pytest

from paintdiff import Engine, TextToImage

SECRET = "zebrafinch"


def test_the_log_contains_no_prompts(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Not even where diffusers would quote what it had to cut off."""
    caplog.set_level(logging.DEBUG)
    prompt = f"a red house {'on a green hill ' * 60} {SECRET}"
    with Engine() as engine:
        finished = engine.generate(TextToImage(prompt=prompt, num_inference_steps=1))
    assert finished.pictures
    captured = capfd.readouterr()
    assert SECRET not in captured.err + captured.out + caplog.text
