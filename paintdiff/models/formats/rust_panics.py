"""Turns panics of Rust libraries, which aren't `Exception`s, into errors. Needs no torch."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from paintdiff.errors import ModelLoadError
from paintdiff.models.formats import messages

_MODULE = "pyo3_runtime"


@contextmanager
def panics_as_errors(what: str) -> Generator[None]:
    """Raise ModelLoadError, saying that `what` can't be read, for a Rust panic inside the block.

    Tokenizers panic on some files, and `except Exception` doesn't catch a panic.
    """
    try:
        yield
    except BaseException as error:
        if type(error).__module__ != _MODULE:
            raise
        raise ModelLoadError(messages.damaged_tokenizer(what, error)) from error
