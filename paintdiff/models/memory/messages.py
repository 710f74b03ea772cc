"""Sentences about memory and devices."""

from __future__ import annotations


def device_unusable(name: str) -> str:
    return f"The device {name!r} can't be used on this machine. Choose auto or cpu."


OVERFLOWS_IN_FLOAT16 = (
    "The model overflows in float16 and would paint black. Use bfloat16 or float32."
)


def picture_needs_memory(title: str, needed: str, free: str) -> str:
    return (
        f"{title} needs at least {needed} for this picture, but only {free} is free. Paint it "
        "smaller, choose a smaller model, or raise the memory budget."
    )


def model_needs_memory(needed: str, free: str, budget: str) -> str:
    return (
        f"The model needs {needed}, but only {free} of the memory budget of {budget} is free. "
        "Raise the budget or choose a smaller model."
    )
