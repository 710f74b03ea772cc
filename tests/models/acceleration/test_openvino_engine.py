"""Another engine than torch: it never holds a picture up, never paints something else, and is used
where it was timed to be quicker.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from paintdiff.errors import SettingsError
from paintdiff.models.acceleration import engines
from paintdiff.models.acceleration.engines import check_engine, explain_torch
from paintdiff.models.acceleration.kernel_choice import USUAL, Kernels
from paintdiff.models.acceleration.openvino import engine as openvino_engine
from paintdiff.models.acceleration.openvino.engine import ROUNDS, BackendWorkspace, OpenVinoEngine
from paintdiff.models.acceleration.openvino.unet import collect_inputs

SAMPLE = torch.arange(8.0).reshape(2, 1, 2, 2)
INPUTS = {"sample": SAMPLE, "timestep": torch.tensor(5.0)}
CONFIG = {"block_out_channels": (1,), "layers_per_block": 1}


def by_torch() -> tuple[torch.Tensor]:
    """The real thing, in ten milliseconds."""
    time.sleep(0.01)
    return (SAMPLE * 2,)


class Fake:
    """A network of another engine: `factor` is what it computes, `seconds` how long it takes."""

    def __init__(self, factor: float = 2.0, seconds: float = 0.0, weight: int = 4) -> None:
        self.weights_bytes = weight
        self.batches: list[int] = []
        self._factor, self._seconds = factor, seconds

    def __call__(self, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor]:
        time.sleep(self._seconds)
        self.batches.append(len(inputs["sample"]))
        return (inputs["sample"] * self._factor,)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., OpenVinoEngine]:
    """Makes one whose network is given, or an error."""
    monkeypatch.setattr(openvino_engine, "version", lambda _name: "1")

    def made(network: Any, **settings: Any) -> OpenVinoEngine:
        def make(*_args: Any, **_settings: Any) -> Any:
            if isinstance(network, Exception):
                raise network
            return network

        workspace = BackendWorkspace.of(tmp_path)
        workspace.make = make
        workspace.graphs = SimpleNamespace(get=lambda *_args: (b"", b""))  # type: ignore[assignment]
        unet = torch.nn.Linear(1, 1, bias=False)
        vars(unet)["config"] = CONFIG
        return OpenVinoEngine(unet, workspace, **settings)

    return made


def asked(engine: OpenVinoEngine, times: int = 1) -> list[str]:
    """By which engine each of so many calls was computed; all have to be right."""
    winners: list[str] = []
    for _ in range(times):
        winner, (found,) = engine.compute("all", USUAL, INPUTS, by_torch)
        assert torch.equal(found, SAMPLE * 2)
        winners.append(winner)
    return winners


def ready(engine: OpenVinoEngine) -> OpenVinoEngine:
    """The engine, once it has been asked and what that began in the background has ended."""
    with engine._workspace.compile_lock:  # torch's, whatever begins in the background
        asked(engine)
    deadline = time.monotonic() + 10
    while not any(each.network or each.failed for each in engine._trials.values()):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return engine


def test_torch_paints_until_another_is_ready(engine: Callable[..., OpenVinoEngine]) -> None:
    one = engine(Fake())
    with one._workspace.compile_lock:  # not yet its turn
        assert asked(one, 3) == ["torch"] * 3
    assert one.held_bytes == 0
    assert asked(ready(one), 1) == ["torch"]  # compared
    assert one.held_bytes == 4
    one.drop()
    assert one.held_bytes == 0


def test_the_quicker_one_is_taken_and_remembered(engine: Callable[..., OpenVinoEngine]) -> None:
    one = ready(engine(Fake()))
    turns = asked(one, 1 + 2 * ROUNDS)
    assert turns[1:].count("openvino") == turns[1:].count("torch") == ROUNDS
    assert asked(one, 3) == ["openvino"] * 3
    again = ready(engine(Fake(seconds=1.0)))  # it isn't timed any more
    assert asked(again, 2) == ["torch", "openvino"]


def test_a_failure_within_a_picture_leaves_it_to_torch(
    engine: Callable[..., OpenVinoEngine], caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Fake):
        def __call__(self, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor]:
            if len(self.batches) == 2:
                raise RuntimeError("no memory for the inference")
            return super().__call__(inputs)

    one = ready(engine(Failing(), always=True))
    assert asked(one, 4) == ["torch", "openvino", "torch", "torch"]
    assert "no memory for the inference" in caplog.text
    assert one.held_bytes == 0


@pytest.mark.parametrize(
    ("kernels", "apart", "taken"),
    [
        (USUAL, 1e-2, False),
        (Kernels(bfloat16=True), 1e-2, True),  # a hundredth of all of it, all in one number
        (Kernels(bfloat16=True), 0.5, False),
        (Kernels(bfloat16=True), float("nan"), False),
    ],
)
def test_numbers_that_differ_are_weighed_as_a_whole(
    kernels: Kernels, apart: float, taken: bool, engine: Callable[..., OpenVinoEngine]
) -> None:
    class Off(Fake):
        def __call__(self, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor]:
            (found,) = super().__call__(inputs)
            found[0, 0, 0, 0] += apart * found.norm()
            return (found,)

    one = engine(Off(), always=True)

    def winner() -> str:
        return one.compute("all", kernels, INPUTS, by_torch)[0]

    deadline = time.monotonic() + 10
    while not any(each.compared for each in one._trials.values()):
        assert winner() == "torch"
        assert time.monotonic() < deadline
    assert winner() == ("openvino" if taken else "torch")


def test_where_torch_is_quicker_it_stays_and_nothing_is_made_again(
    engine: Callable[..., OpenVinoEngine],
) -> None:
    one = ready(engine(Fake(seconds=0.05)))
    asked(one, 1 + 2 * ROUNDS)
    assert asked(one, 3) == ["torch"] * 3
    assert one.held_bytes == 0
    again = engine(AssertionError("made again"))
    assert asked(again, 3) == ["torch"] * 3
    assert not any(each.failed for each in again._trials.values())


def test_the_program_waits_for_what_is_under_way(engine: Callable[..., OpenVinoEngine]) -> None:
    one = engine(Fake())
    with one._workspace.compile_lock:
        starter = threading.Thread(target=asked, args=(one,), daemon=True)  # as the worker is
        starter.start()
        starter.join()
        assert [each.daemon for each in threading.enumerate() if each.name == "openvino"] == [False]


def test_asked_for_expressly_it_isnt_timed(engine: Callable[..., OpenVinoEngine]) -> None:
    assert asked(ready(engine(Fake(seconds=0.05), always=True)), 3)[1:] == ["openvino"] * 2


@pytest.mark.parametrize("factor", [2.1, float("nan")])
def test_what_computes_something_else_never_paints(
    factor: float, engine: Callable[..., OpenVinoEngine], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        one = ready(engine(Fake(factor), always=True))
        assert asked(one, 3) == ["torch"] * 3
    assert "differ" in caplog.text
    assert one.held_bytes == 0


def test_what_cant_be_made_costs_no_picture(
    engine: Callable[..., OpenVinoEngine], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert asked(ready(engine(RuntimeError("no such layer"), always=True)), 2) == ["torch"] * 2
    assert "no such layer" in caplog.text


def test_without_room_for_the_weights_twice_torch_goes_on(
    engine: Callable[..., OpenVinoEngine],
) -> None:
    assert asked(ready(engine(Fake(), has_room=lambda count: count < 4)), 2) == ["torch"] * 2


def test_a_large_network_is_asked_for_one_of_a_batch_at_a_time(
    engine: Callable[..., OpenVinoEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = Fake(), Fake()
    asked(ready(engine(small, always=True)), 2)
    monkeypatch.setattr(openvino_engine, "SMALL_BYTES", 0)
    asked(ready(engine(large, always=True)), 2)
    assert (set(small.batches), set(large.batches)) == ({2}, {1})


def test_why_it_isnt_used_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = {"exact": False, "adapted": False, "saves_memory": False}
    assert explain_torch("openvino", "cpu", **usual) == ""  # it isn't installed
    with pytest.raises(SettingsError, match=r"pip install -r requirements\.txt"):
        check_engine("openvino")
    assert check_engine("auto") == "auto"
    monkeypatch.setattr(engines, "is_installed", lambda: True)
    assert check_engine("openvino") == "openvino"
    assert explain_torch("openvino", "cpu", **usual) is None
    assert explain_torch("torch", "cpu", **usual) == ""
    for name in usual:
        assert explain_torch("openvino", "cpu", **{**usual, name: True})
    assert explain_torch("openvino", "cuda", **usual)


def test_a_call_that_asks_for_more_than_a_graph_has_is_torchs() -> None:
    unet: Any = SimpleNamespace(config={"block_out_channels": (16, 32)})
    words = torch.zeros(2, 5, 3)
    plain = {"encoder_hidden_states": words, "return_dict": False, "timestep_cond": None}
    given = collect_inputs(unet, SAMPLE, 7, plain)
    assert given is not None
    assert {name: tuple(each.shape) for name, each in given.items()} == {
        "sample": (2, 1, 2, 2),
        "timestep": (),
        "words": (2, 5, 3),
    }
    added = collect_inputs(unet, SAMPLE, 7, {**plain, "added_cond_kwargs": {"time_ids": words}})
    assert added is not None and "time_ids" in added
    held = {"down_block_additional_residuals": [words, 0], "mid_block_additional_residual": words}
    controlled = collect_inputs(unet, SAMPLE, 7, {**plain, **held})
    assert controlled is not None and {"down_0", "mid"} < controlled.keys()
    assert "down_1" not in controlled  # the number 0
    for more in (
        {"timestep_cond": words},
        {"return_dict": True},
        {"added_cond_kwargs": {"image_embeds": [words]}},
    ):
        assert collect_inputs(unet, SAMPLE, 7, {**plain, **more}) is None
    assert collect_inputs(unet, SAMPLE[..., :1], 7, plain) is None  # can't be halved
    assert collect_inputs(unet, SAMPLE.half(), 7, plain) is None
