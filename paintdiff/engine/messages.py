"""Sentences of the engine: its queue, its failures, and how it makes do with little memory."""

from __future__ import annotations

from paintdiff.byte_sizes import format_byte_size

# Jobs that can't be taken, or are gone.


def queue_full(waiting: int) -> str:
    return f"The queue is full: {waiting} pictures are waiting. Try again later."


def queue_too_large(waiting_bytes: int) -> str:
    return (
        f"The pictures in the requests that wait take {format_byte_size(waiting_bytes)}, so there "
        "is no room for this one. Try again later."
    )


def too_many_of_yours(waiting: int) -> str:
    return (
        f"{waiting} of your pictures are waiting; the other places in the queue are kept for other "
        "people. Try again when one is painted."
    )


def too_many_of_hidden(waiting: int) -> str:
    return (
        f"{waiting} pictures of visitors whose addresses this server can't see are waiting; the "
        "other places in the queue are kept for other people. Try again when one is painted."
    )


def too_many_jobs(jobs: int, most: int) -> str:
    return f"{jobs} of your jobs are waiting or running; {most} is the limit. Try again later."


def too_fast(most: int, seconds: int) -> str:
    return f"You can paint {most} pictures a minute here. Try again in {seconds} seconds."


def too_many_hidden_jobs(jobs: int, most: int) -> str:
    return (
        f"{jobs} jobs of visitors whose addresses this server can't see are waiting or running; "
        f"{most} is the limit for all of them together. Try again later."
    )


def too_fast_together(most: int, seconds: int) -> str:
    return (
        f"Visitors whose addresses this server can't see can paint {most} pictures a minute "
        f"together. Try again in {seconds} seconds."
    )


def too_many_pictures(count: int, most: int) -> str:
    return f"A job can have {most} pictures here, not {count}."


def too_many_steps(steps: int, most: int) -> str:
    return f"A picture can have {most} steps here, not {steps}."


def too_large_for_visitors(size: object, most: int) -> str:
    return f"A picture's sides can have {most} pixels here, so {size} is too large."


ENGINE_CLOSED = "The engine has been shut down. Start a new one."


def not_kept(error: Exception) -> str:
    return f"If the app is restarted before this is painted, it is lost: {error}"


UNKNOWN_JOB = "This job is unknown. It may have ended too long ago."


# Failures. Some begin a sentence, which ends with the reason.

WORKER_FAILED = "The engine failed during this job. Submit it again; the log has the details."
WORKER_GOES_ON = "The engine's worker failed and goes on"
PICTURE_FAILED = "The picture failed"
NOT_UPSCALED = "The picture was painted but not upscaled"
NOT_SAVED = "The picture was not saved"
NOT_RECORDED = "The picture was not added to the gallery"


def painted_before(count: int) -> str:
    if count == 1:
        return (
            "This picture was painted before with the same settings, so it was taken from the "
            "gallery."
        )
    return (
        f"These {count} pictures were painted before with the same settings, so they were taken "
        "from the gallery."
    )


# Grids.

CELL_CANCELLED = "The grid was cancelled during this picture."
NO_SHEET = "The pictures are painted, but not the sheet of them all"


def cells_failed(count: int, total: int) -> str:
    pictures = "One picture" if count == 1 else f"{count} pictures"
    return f"{pictures} of {total} couldn't be painted. Their cells on the sheet say why."


# Too little memory.

RETRYING_ONE_AT_A_TIME = "Out of memory. Trying again one picture at a time"


def retrying_with(plan: str) -> str:
    return f"Out of memory. Trying again with {plan}"


def painted_at_half_size(size: object) -> str:
    return (
        f"Not enough memory for {size}, so the picture was painted at HALF the size. Choose a "
        "smaller size or model, or upscale the result."
    )


PAINTED_ONE_AT_A_TIME = (
    "Memory ran out with several pictures at once, so they were painted one at a time."
)


def settings_changed(plan: str, *, ran_out: bool) -> str:
    if ran_out:
        return f"Memory ran out, so the settings were changed: {plan}."
    return f"To fit into memory, the settings were changed: {plan}."
