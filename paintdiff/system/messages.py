"""Sentences about this machine and the process."""

from __future__ import annotations

from pathlib import Path


def no_writable_home(folder: Path) -> str:
    return (
        "This user has no writable home directory, so caches and preferences are kept in "
        f"{folder}. Set HOME to keep them elsewhere."
    )


def torch_came_first(threads: int) -> str:
    return (
        f"torch was imported before paintdiff, so its {threads} threads spin while they wait for "
        "each other, and pictures take far longer while other programs are busy. Import paintdiff "
        "first, or set OMP_WAIT_POLICY=PASSIVE."
    )


NAMED_PIPE = "a named pipe"


def not_a_file(what: str) -> str:
    return f"It is {what}, not a file"
