"""One choice for how a request's prompts are read: its `prompt_syntax` and `emphasis`."""

from __future__ import annotations

from paintdiff.jobs.requests import PaintingRequest
from paintdiff.ui.common import messages

USUAL = "original"
PLAIN = "plain"
CHOICES = tuple((title, name) for name, title in messages.PROMPT_LANGUAGES.items())


def read_language(chosen: object) -> dict[str, object]:
    """Return the request's fields for a choice."""
    if chosen == PLAIN:
        return {"prompt_syntax": PLAIN}
    return {"prompt_syntax": "a1111", "emphasis": chosen or USUAL}


def choose_language(request: PaintingRequest) -> str:
    """Return the choice that makes a request's fields."""
    return PLAIN if request.prompt_syntax == PLAIN else request.emphasis
