"""Errors of libraries become errors of ours."""

from __future__ import annotations

import errno
import logging

import pytest
import torch

from paintdiff.errors import DownloadError, MemoryBudgetError, ModelLoadError
from paintdiff.models.loading.library_errors import as_memory_error, make_load_error
from paintdiff.models.memory.devices import choose_device


class ForeignError(Exception):
    """As safetensors' or OpenCV's own."""


OUT_OF_MEMORY = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("CUDA driver error: CUDA_ERROR_OUT_OF_MEMORY"),
    RuntimeError("Invalid buffer size: 24.00 GiB"),
    RuntimeError("MPS backend out of memory (MPS allocated: 17.98 GB)"),
    RuntimeError("UR error: UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY"),
    RuntimeError("Could not allocate tensor with 8 bytes. There is not enough GPU video memory"),
    RuntimeError("Exception from src/inference/src/cpp/core.cpp:107: std::bad_alloc"),
    RuntimeError("[GPU] Exceeded max size of memory object allocation"),
    RuntimeError("unable to mmap 4265097179 bytes from file <x.ckpt>: Cannot allocate memory (12)"),
    ForeignError("Error while deserializing: I/O error: Cannot allocate memory (os error 12)"),
    ForeignError("The paging file is too small for this operation to complete. (os error 1455)"),
    ForeignError("(-4:Insufficient memory) Failed to allocate 3 bytes in function 'OutOfMemory'"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
]
SOMETHING_ELSE = [
    RuntimeError("shapes differ"),
    ValueError("out of memory"),
    OSError(errno.ENOENT, "No such file or directory", "out of memory.safetensors"),
    DownloadError("out of memory.safetensors couldn't be downloaded"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=str)
def test_an_allocation_that_failed_is_known_on_every_device(error: Exception) -> None:
    assert isinstance(as_memory_error(error), MemoryBudgetError)


def test_an_untyped_error_says_what_to_do() -> None:
    shown = str(make_load_error("The model It can't be loaded", TypeError("/secret")))
    assert "unexpected error. Its files are probably damaged" in shown and "secret" not in shown


@pytest.mark.parametrize("error", SOMETHING_ELSE, ids=str)
def test_other_errors_are_not_taken_for_it(error: Exception) -> None:
    assert as_memory_error(error) is None


def raised(outer: Exception, inner: Exception, *, named: bool) -> Exception:
    """As `raise outer from inner`, or a plain `raise outer` while `inner` was handled."""
    outer.__context__ = inner
    if named:
        outer.__cause__ = inner
    return outer


def test_it_is_known_behind_the_errors_of_others_too() -> None:
    short = RuntimeError("CUDA out of memory")
    for named in (True, False):
        assert as_memory_error(raised(OSError("Unable to load weights"), short, named=named))
    assert as_memory_error(raised(ModelLoadError("x is damaged"), short, named=True))
    assert as_memory_error(raised(DownloadError("the server is busy"), short, named=False)) is None


def test_circular_chains_end() -> None:
    one, other = RuntimeError("one"), RuntimeError("other")
    one.__cause__, other.__context__ = other, one
    assert as_memory_error(one) is None


def test_load_errors_are_typed_and_hide_foreign_texts(caplog: pytest.LogCaptureFixture) -> None:
    known = ModelLoadError("x is damaged")
    assert make_load_error("x can't be loaded", known) is known
    assert "enough memory" in str(make_load_error("x can't be loaded", MemoryError()))
    caplog.set_level(logging.ERROR)
    shown = make_load_error("x can't be loaded", OSError("no config.json in /home/somebody/models"))
    assert isinstance(shown, ModelLoadError)
    assert "/home" not in str(shown)
    assert str(shown).startswith("x can't be loaded")
    error_id = str(shown).rstrip(".").split()[-1]
    assert error_id in caplog.text and "/home/somebody" in caplog.text


def test_a_device_that_is_not_there_is_an_error_without_the_librarys_words() -> None:
    for name in ("cuda:77", "nonsense", "meta:9:9"):
        with pytest.raises(ModelLoadError) as caught:
            choose_device(name)
        assert str(caught.value) == (
            f"The device {name!r} can't be used on this machine. Choose auto or cpu."
        )
