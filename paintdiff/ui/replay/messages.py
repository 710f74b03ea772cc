"""Words about replays on the page."""

from __future__ import annotations

GONE = "This replay is gone: the app was restarted, or others came after it. Start it again."
NOT_DONE = "The replay isn't done yet."
NO_SUCH_STEP = "This replay has no such step."


def waiting(ahead: int) -> str:
    return "Queued, next" if ahead == 0 else f"Queued, {ahead} ahead of you"


def painting(step: int, total: int) -> str:
    return f"Painting it again, step {step} of {total}"


CANCELLED = "Cancelled."
DONE = "Painted again."
