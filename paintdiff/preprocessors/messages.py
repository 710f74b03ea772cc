"""Sentences of the preprocessors. Their names and what they do are in `table.py`."""

from __future__ import annotations

from collections.abc import Sequence


def waiting_for(title: str) -> str:
    return f"Waiting for {title}: it is making another map"


def cannot_make_map(title: str) -> str:
    return f"The preprocessor {title} can't make a map of this picture"


def cannot_load(title: str) -> str:
    return f"The preprocessor {title} can't be loaded"


def cannot_use(title: str, reason: object) -> str:
    return f"The preprocessor {title} can't be used: {reason}"


def missing_weights(
    title: str, files: Sequence[str], size: str, repo: str, reason: object, folder: str
) -> str:
    return (
        f"The preprocessor {title} needs {', '.join(files)} ({size}), which couldn't be downloaded "
        f"from https://huggingface.co/{repo}: {reason} Try again later, put it in the folder "
        f"{folder} of a models folder (--models-dir) by hand, or choose a preprocessor that needs "
        "no weights."
    )
