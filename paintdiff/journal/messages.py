"""Sentences of the journal."""

from __future__ import annotations


def ended_the_process(times: int) -> str:
    return (
        f"The app ended {times} times while it painted this, so it isn't tried again. It may need "
        "more memory than there is: choose a smaller size or model."
    )


FAILED = "The picture failed. The log has the details."
UNREADABLE_REQUEST = "The settings of this job can't be read: another version wrote them."
CANNOT_LOCK = "The folder of the pictures can't be written"
