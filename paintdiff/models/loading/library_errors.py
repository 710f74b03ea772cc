"""Turns errors of libraries that load and run models into ours. Importable without torch."""

from __future__ import annotations

import errno
import logging

from paintdiff.error_reports import behind, error_text, report_unexpected
from paintdiff.errors import MemoryBudgetError, ModelError, ModelLoadError, PaintError
from paintdiff.models.loading import messages

logger = logging.getLogger(__name__)

_OUT_OF_MEMORY = (
    "out of memory",  # CUDA, HIP, MPS, XPU
    "out of device memory",
    "out of host memory",
    "can't allocate memory",  # torch on a CPU (Linux, macOS)
    "cannot allocate memory",  # the system, as safetensors and mmap pass it on
    "not enough memory",  # torch on a CPU (Windows)
    "not enough gpu video memory",  # DirectML
    "insufficient memory",  # OpenCV
    "alloc failed",  # CUBLAS_STATUS_ALLOC_FAILED, CUDNN_STATUS_ALLOC_FAILED
    "failed to allocate",
    "could not allocate",
    "bad alloc",  # C++: std::bad_alloc, as OpenVINO and oneDNN pass it on
    "bad allocation",  # the same from Microsoft's compiler
    "invalid buffer size",  # MPS: larger than it can ever be
    "mem object allocation failure",  # OpenCL: OpenVINO on a GPU
    "exceeded max size of memory object",
    "paging file is too small",  # Windows: safetensors can't map a file
)
"""Texts of out-of-memory errors, in lower case and without underscores."""

_OUT_OF_MEMORY_WINDOWS = frozenset({8, 14, 1455})
"""ERROR_NOT_ENOUGH_MEMORY, ERROR_OUTOFMEMORY, ERROR_COMMITMENT_LIMIT."""


def as_memory_error(error: BaseException) -> MemoryBudgetError | None:
    """Return our error if memory ran out on any device, None for any other `error`.

    Libraries wrap such errors in others, so the errors behind it count, too: for our errors their
    explicit causes, for others all.
    """
    if not any(_is_memory_error(each) for each in behind(error)):
        return None
    return MemoryBudgetError(messages.NOT_ENOUGH_MEMORY)


def make_load_error(what: str, error: BaseException) -> ModelError:
    """Return the error to show when weights can't be loaded.

    Typed errors are returned unchanged, a MemoryBudgetError if memory ran out, else a
    ModelLoadError with the id it is logged under. `what` begins its sentence, such as "The VAE
    Clear can't be loaded".
    """
    if isinstance(error, MemoryBudgetError):
        return error
    if as_memory_error(error) is not None:
        logger.warning("%s: out of memory", what, exc_info=error)
        short = MemoryBudgetError(messages.not_enough_memory_for(what))
        short.__cause__ = error
        return short
    if isinstance(error, ModelError):
        return error
    return report_unexpected(logger, what, error, ModelLoadError, messages.DAMAGED_FILES)


def _is_memory_error(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno is not None:  # its text contains file names
        code = getattr(error, "winerror", None)
        return error.errno == errno.ENOMEM or code in _OUT_OF_MEMORY_WINDOWS
    known = isinstance(error, (RuntimeError, OSError)) or type(error).__module__ != "builtins"
    if not known or isinstance(error, PaintError):
        return False
    text = error_text(error).lower().replace("_", " ")
    return any(name in text for name in _OUT_OF_MEMORY)
