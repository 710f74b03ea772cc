"""Networks without weights: only the thread that loads builds them."""

from __future__ import annotations

import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import accelerate
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from paintdiff.imaging.geometry import Size
from paintdiff.models.inference.denoising_run import Denoising
from paintdiff.models.loading import empty_weights
from paintdiff.models.manager.model_manager import ModelManager

REGISTER = torch.nn.Module.register_parameter
RUN = Denoising("a red house", "no sun", Size(64, 64), 2, 5.0, "Euler", seed=3)


@contextmanager
def one_thread() -> Generator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def find_devices(network: torch.nn.Module) -> set[str]:
    return {each.device.type for each in network.parameters()}


@pytest.mark.parametrize("empty", [accelerate.init_empty_weights, empty_weights.init_empty_weights])
def test_what_another_thread_builds_meanwhile_has_weights(empty: type) -> None:
    with empty(), one_thread() as other:
        here = torch.nn.BatchNorm2d(2)
        there = other.submit(torch.nn.BatchNorm2d, 2).result()
    assert find_devices(here) == {"meta"}
    assert {each.device.type for each in here.buffers()} == {"cpu"}
    assert find_devices(there) == find_devices(torch.nn.BatchNorm2d(2)) == {"cpu"}


def test_two_threads_may_leave_in_the_order_in_which_they_entered() -> None:
    first_is_in, second_is_in = threading.Event(), threading.Event()

    def build_first() -> torch.nn.Module:
        with accelerate.init_empty_weights():
            first_is_in.set()
            assert second_is_in.wait(60)
            return torch.nn.Linear(2, 2)

    with one_thread() as other:
        first = other.submit(build_first)
        assert first_is_in.wait(60)
        with accelerate.init_empty_weights():
            second_is_in.set()
            assert find_devices(first.result(120)) == {"meta"}
    assert find_devices(torch.nn.Linear(2, 2)) == {"cpu"}
    assert torch.nn.Module.register_parameter is REGISTER


def test_parameters_keep_what_they_are() -> None:
    with empty_weights.init_empty_weights():
        network = torch.nn.Linear(2, 2)
        frozen = torch.nn.Parameter(torch.zeros(2), requires_grad=False)
        frozen._is_hf_initialized = True
        network.register_parameter("frozen", frozen)
        network.register_parameter("none", None)
    made = network.get_parameter("frozen")
    assert made.device.type == "meta" and not made.requires_grad
    assert vars(made) == {"_is_hf_initialized": True}
    assert network.weight.requires_grad and network.none is None


def test_a_picture_does_not_depend_on_the_default_precision(tiny_manager: ModelManager) -> None:
    """Libraries change it for all threads while another model loads in half precision."""

    def paint() -> NDArray[np.uint8]:
        with tiny_manager.lease("mini") as leased:
            return np.asarray(leased.decode(leased.denoise(RUN, lambda _step, _preview: None)))

    usual = paint()
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        assert np.array_equal(paint(), usual)
    finally:
        torch.set_default_dtype(before)
