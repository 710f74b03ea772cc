"""Errors of libraries written in Rust, which are no `Exception`. Importable without torch."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from paintdiff.errors import ModelLoadError

_MODULE = "pyo3_runtime"


@contextmanager
def panics_as_errors(what: str) -> Generator[None]:
    """Raise ModelLoadError for a panic inside, which says that `what` can't be read: tokenizers
    panic on some files, and a panic passes by every `except Exception`.
    """
    try:
        yield
    except BaseException as error:
        if type(error).__module__ != _MODULE:
            raise
        raise ModelLoadError(f"{what} can't be read; its tokenizer is damaged: {error}") from error
