"""One choice for how a request's prompts are read: its `prompt_syntax` and `emphasis`."""

from __future__ import annotations

from paintdiff.jobs.requests import PaintingRequest

LABEL = "Brackets in prompts"
INFO = "(red:1.3) makes red count more, (red:0.7) less"
USUAL = "original"
PLAIN = "plain"
CHOICES = (
    ("Weigh words, as in A1111", "original"),
    ("Weigh words, without normalization", "no_norm"),
    ("Weigh words, as in ComfyUI", "comfy"),
    ("Are plain text", PLAIN),
)


def read_language(chosen: object) -> dict[str, object]:
    """Return the request's fields for a choice."""
    if chosen == PLAIN:
        return {"prompt_syntax": PLAIN}
    return {"prompt_syntax": "a1111", "emphasis": chosen or USUAL}


def choose_language(request: PaintingRequest) -> str:
    """Return the choice that makes a request's fields."""
    return PLAIN if request.prompt_syntax == PLAIN else request.emphasis
