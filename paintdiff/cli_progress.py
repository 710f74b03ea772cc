"""A job's progress on standard error."""

from __future__ import annotations

import sys
from typing import NoReturn

from tqdm import tqdm

from paintdiff.events import TERMINAL, Event, Finished, Loading, Progress
from paintdiff.jobs import Job

_POLL_SECONDS = 0.5
_DOING = {
    "denoising": "Painting",
    "decoding": "Decoding",
    "faces": "Restoring faces",
    "upscaling": "Upscaling",
}
_UNITS = {"faces": "face", "upscaling": "tile"}


def watched(job: Job, *, quiet: bool, place: str = "") -> Finished:
    """Show the job's progress until it ends. Raises its error; an interruption cancels it first.

    `place` says which of several jobs it is, such as " 2 of 5".
    """
    try:
        with tqdm(bar_format="{desc}", file=sys.stderr, disable=quiet, leave=False) as bar:
            for event in job.events(_POLL_SECONDS):
                _show(event, bar, place)
                if isinstance(event, TERMINAL):
                    break
        return job.result()
    except KeyboardInterrupt:
        job.cancel()
        raise


def _show(event: Event, bar: tqdm[NoReturn], place: str) -> None:
    if isinstance(event, Loading):
        bar.bar_format = "{desc}"  # nothing to count
        bar.set_description_str(event.message)
    elif isinstance(event, Progress):
        bar.bar_format = None
        bar.unit = _UNITS.get(event.stage, "step")
        bar.total = event.num_images * event.total_steps
        bar.set_description(_DOING.get(event.stage, event.stage) + place)
        bar.update(event.image_index * event.total_steps + event.step - bar.n)
