"""Whether pictures are denoised several at once is found out from real runs, and remembered."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from paintdiff.models.acceleration import batch_tuning
from paintdiff.models.acceleration.batch_tuning import BatchTuning, Measured, StepTimer

KIND = "mini at 128x128"


def tried(one: BatchTuning, alone: float, each: float, engine: str = "torch") -> None:
    """Runs of one picture and of four, until it is known what is quicker."""
    for _ in range(batch_tuning.ROUNDS):
        assert one.choose_batch_size(KIND, 4) == 1, "first it has to be known what one takes"
        one.record(KIND, 1, alone, engine)
    for _ in range(batch_tuning.ROUNDS):
        assert one.choose_batch_size(KIND, 4) == 4
        one.record(KIND, 4, 4 * each, engine)


def test_what_is_quicker_is_taken_and_remembered(tmp_path: Path) -> None:
    one = BatchTuning(tmp_path)
    tried(one, 0.05, 0.03)
    again = BatchTuning(tmp_path)
    assert [again.choose_batch_size(KIND, wanted) for wanted in (1, 2, 8)] == [1, 2, 8]
    assert again.choose_batch_size("another", 8) == 1


def test_what_gains_nothing_stays_a_loop(tmp_path: Path) -> None:
    tried(BatchTuning(tmp_path), 0.05, 0.049)
    assert BatchTuning(tmp_path).choose_batch_size(KIND, 8) == 1


def test_a_step_is_never_long() -> None:
    """A cancelled job ends with a step."""
    one = BatchTuning(None)
    tried(one, 0.1, 0.01)
    assert one.choose_batch_size(KIND, 64) == 5
    slow = BatchTuning(None)
    for _ in range(batch_tuning.ROUNDS):
        slow.record(KIND, 1, 3.0, "torch")
    assert slow.choose_batch_size(KIND, 8) == 1, "what takes long alone isn't even tried"


def test_engines_are_compared_with_themselves() -> None:
    one = BatchTuning(None)
    for _ in range(batch_tuning.ROUNDS):
        one.record(KIND, 1, 0.05, "torch")
    one.record(KIND, 1, 0.02, "openvino")
    assert one.choose_batch_size(KIND, 4) == 1, "begins anew: the other isn't used any more"
    one.record(KIND, 1, 0.02, "openvino")
    for engine in ("torch", "", "torch"):
        assert one.choose_batch_size(KIND, 4) == 4
        one.record(KIND, 4, 4 * 0.03, engine)
    for _ in range(batch_tuning.ROUNDS):
        one.record(KIND, 4, 4 * 0.01, "openvino")
    assert one._known.get(KIND) == Measured(0.02, pytest.approx(0.5))


def test_trials_that_tell_nothing_come_to_an_end() -> None:
    one = BatchTuning(None)
    for _ in range(batch_tuning.ROUNDS):
        one.record(KIND, 1, 0.05, "openvino")
    count = 0
    while one.choose_batch_size(KIND, 4) > 1:
        one.record(KIND, 4, 0.3, "torch")
        count += 1
    assert count == 8


def test_steps_are_timed_without_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [10.0]
    monkeypatch.setattr(batch_tuning.time, "perf_counter", lambda: now[0])
    queued = [0.0]

    def wait() -> None:
        now[0] += queued[0]
        queued[0] = 0.0

    calls = Counter({"openvino": 7})
    timer = StepTimer(calls, wait)
    for _ in range(3):
        queued[0] += 0.5  # a GPU is given a step's work, which it does later
        timer.count_step()
    assert timer.measure_seconds_per_step() is None, "too few"
    queued[0] += 0.5
    timer.count_step()
    assert timer.measure_seconds_per_step() == 0.5
    assert timer.backend == "torch", "what others have computed doesn't count"
    calls["openvino"] += 1
    assert timer.backend == "openvino"
    calls["torch"] += 1
    assert timer.backend == ""
