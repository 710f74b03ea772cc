"""Sentences about requests, their pictures, and jobs."""

from __future__ import annotations

from collections.abc import Iterable

# Requests.


def unknown_kind(kind: object, kinds: Iterable[str]) -> str:
    return f"Unknown kind of request {kind!r}. Use one of: {', '.join(kinds)}."


OPEN_VALUES = "This request has open values. Submit it to an engine first."


def end_before_start(end: float, start: float) -> str:
    return f"the end, {end:g}, should come after the start, {start:g}"


# Input images.

UNUSABLE_MODE = "A picture of mode F can't be used. Convert it to L or RGB first."
WRONG_SHA256 = "the picture's bytes don't match the given sha256"


def invalid_base64(reason: object) -> str:
    return f"the picture isn't valid base64: {reason}"


# Jobs.


def not_done(seconds: float | None) -> str:
    return f"The job isn't done after {seconds} seconds."


CANCELLED = "The job was cancelled."
