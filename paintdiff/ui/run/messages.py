"""Words about running and finished jobs: buttons, progress, and the line under the picture."""

from __future__ import annotations

# Buttons.

QUEUE_ANOTHER = "Queue another"
CANCEL = "Cancel"


# While a job waits or runs.

NEXT_IN_QUEUE = "Queued, next"


def queued(ahead: int) -> str:
    return f"Queued, {ahead} ahead of you"


def which_pictures(first: int, shown: int, total: int) -> str:
    which = f"Pictures {first} to {first + shown - 1}" if shown > 1 else f"Picture {first}"
    return f"{which} of {total} · "


def step(number: int, total: int) -> str:
    return f"Step {number} of {total}"


PAINTING = "Painting"
FINISHING = "Finishing…"


def cells_done(count: int, total: int) -> str:
    return f"{count} of {total} pictures done"


GRID = "Grid"
CELL_FAILED = "An unexpected error stopped this picture. The log has the details."
SHOW_SHEET = "Look at the sheet"
DOWNLOAD_SHEET = "Download the sheet"


def restoring_faces(number: int, total: int) -> str:
    return f"Restoring faces, {number} of {total}"


UPSCALING = "Upscaling"


def upscaling_tile(number: int, total: int) -> str:
    return f"Upscaling, tile {number} of {total}" if total > 1 else UPSCALING


ALMOST_DONE = "almost done"


def seconds_left(seconds: int) -> str:
    return f"{seconds} s left"


def minutes_left(minutes: int) -> str:
    return f"{minutes} min left"


CANCELLING = "Cancelling…"


# When it has ended.


def done_in(seconds: float, *, upscaled: bool) -> str:
    return f"{'Upscaled' if upscaled else 'Painted'} in {seconds:.1f} s"


def upscaled_pictures(count: int, seconds: float) -> str:
    return f"Upscaled {count} pictures in {seconds:.1f} s"


def painted_pictures(count: int, seconds: float) -> str:
    return f"Painted {count} pictures in {seconds:.1f} s"


def seed(seed: object) -> str:
    return f"seed {seed}"


def steps(count: object) -> str:
    return f"{count} steps"


def guidance(scale: float) -> str:
    return f"guidance {scale:g}"


def cancelled(count: int) -> str:
    pictures = "One picture was" if count == 1 else f"{count} pictures were"
    return f"Cancelled. {pictures} finished."


def run_lost(verb: str) -> str:
    return f"The app was restarted and this run was lost. {verb} again."


# Pictures that couldn't be saved.

SAVING_ALREADY = "The pictures are being saved already. Wait a moment."
