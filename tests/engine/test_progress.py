"""How long a job will still take, by a clock that the test moves."""

from __future__ import annotations

import pytest

from paintdiff.engine import progress
from paintdiff.engine.progress import ProgressEstimate
from paintdiff.tasks.steps import Step


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def told(one: ProgressEstimate, clock: Clock, step: Step, seconds: float) -> float | None:
    """The estimated time left after a step that took that long."""
    clock.now += seconds
    one.count_step(step)
    return one.estimate_seconds_left(step)


def test_denoising(clock: Clock) -> None:
    one = ProgressEstimate(2)
    one.begin_picture()
    assert told(one, clock, Step(1, 4, 0), 9) is None, "the first steps are slower"
    assert told(one, clock, Step(2, 4, 0), 1) == pytest.approx(5 * 6)
    told(one, clock, Step(3, 4, 0), 1)
    told(one, clock, Step(4, 4, 0), 1)
    assert one.steps_per_second == 0
    told(one, clock, Step(4, 4, 0, "decoding"), 0)
    assert one.steps_per_second == pytest.approx(4 / 12)
    clock.now += 1000  # decoding and saving, which aren't counted
    one.begin_picture()
    assert told(one, clock, Step(1, 4, 1), 3) == pytest.approx(15 / 5 * 3)


def test_several_at_once(clock: Clock) -> None:
    one = ProgressEstimate(4)
    one.begin_picture()
    told(one, clock, Step(1, 2, 0, together=2), 2)
    assert told(one, clock, Step(2, 2, 0, together=2), 2) == pytest.approx(4), "as many again"
    assert told(one, clock, Step(2, 2, 0, "decoding", together=2), 0) == pytest.approx(4)
    one.begin_picture()
    told(one, clock, Step(0, 2, 0, "upscaling"), 0)
    left = told(one, clock, Step(1, 2, 0, "upscaling"), 3)
    assert left == pytest.approx(3 + 3 * 6 + 4), "this one's tiles, three others', two to denoise"
    assert [one.count_together(Step(1, 2, at, "upscaling")) for at in (0, 1, 2)] == [2, 1, 1]
    assert told(one, clock, Step(2, 2, 1, "decoding"), 0) is not None
    assert one.steps_per_second == pytest.approx(4 / 4), "of each picture"


def test_tiles_of_several_pictures(clock: Clock) -> None:
    one = ProgressEstimate(3)
    one.begin_picture()
    assert told(one, clock, Step(0, 4, 0, "upscaling"), 50) is None, "decoding isn't counted"
    assert told(one, clock, Step(1, 4, 0, "upscaling"), 2) == pytest.approx(3 * 2 + 2 * 8)
    for number in (2, 3, 4):
        told(one, clock, Step(number, 4, 0, "upscaling"), 2)
    one.begin_picture()
    told(one, clock, Step(0, 10, 1, "upscaling"), 50)
    assert told(one, clock, Step(1, 10, 1, "upscaling"), 3) == pytest.approx(9 * 3 + 30)
    assert one.steps_per_second == 0, "tiles are no steps"


def test_tiles_after_denoising(clock: Clock) -> None:
    one = ProgressEstimate(2)
    one.begin_picture()
    for number in (1, 2):
        told(one, clock, Step(number, 2, 0), 1)
    told(one, clock, Step(2, 2, 0, "decoding"), 0)
    told(one, clock, Step(0, 2, 0, "upscaling"), 50)
    left = told(one, clock, Step(1, 2, 0, "upscaling"), 4)
    assert left == pytest.approx(4 + (8 + 2)), "this one's tiles, and all of the other"
    told(one, clock, Step(2, 2, 0, "upscaling"), 4)
    one.begin_picture()
    left = told(one, clock, Step(1, 2, 1), 1)
    assert left == pytest.approx(1 + 8), "the other's step and tiles"
