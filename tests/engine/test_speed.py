"""What is remembered of the time of pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from paintdiff.engine.engine import Engine
from paintdiff.engine.speed import SpeedRecord
from paintdiff.jobs.request_parts import Axis, HiresFix
from paintdiff.jobs.requests import Grid, TextToImage

HOUSE = TextToImage(
    prompt="a house",
    seed=1,
    width=128,
    height=128,
    num_inference_steps=10,
    guidance_scale=4.0,
    sampler="DDIM",
    profile="exact",
)
AREA = 128 * 128


def record(cache: Path | None = None) -> SpeedRecord:
    return SpeedRecord(cache, lambda: "cpu")


def test_a_measured_time_is_found_again_after_a_restart(tmp_path: Path) -> None:
    record(tmp_path).add(HOUSE, 0.1, 0.3)
    found = record(tmp_path).find("mini", "exact", AREA)
    assert found is not None
    assert (found.step_seconds, found.beside_seconds) == (0.1, 0.3)
    assert record(tmp_path).find("mini", "fast", AREA) is None
    assert SpeedRecord(tmp_path, lambda: "cuda").find("mini", "exact", AREA) is None


def test_other_sizes_follow_the_nearest_one() -> None:
    speed = record()
    speed.add(HOUSE, 0.1, 0.2)
    found = speed.find("mini", "exact", 4 * AREA)
    assert found is not None
    assert found.step_seconds == pytest.approx(0.4)


def test_a_newer_time_counts_most() -> None:
    speed = record()
    speed.add(HOUSE, 0.1, 0.2)
    for _ in range(8):
        speed.add(HOUSE, 0.5, 0.2)
    assert speed.find("mini", "exact", AREA).step_seconds == pytest.approx(0.5, rel=0.1)  # type: ignore[union-attr]


def test_the_time_of_several_pictures_is_their_sum() -> None:
    speed = record()
    assert speed.estimate_seconds([HOUSE]) is None
    speed.add(HOUSE, 0.1, 0.5)
    assert speed.estimate_seconds([HOUSE, HOUSE]) == pytest.approx(3.0)
    large = HOUSE.model_copy(update={"hires": HiresFix(scale=2.0, strength=0.5)})
    assert speed.estimate_seconds([large]) == pytest.approx(1.5 + 5 * 0.4 + 2.0)


def test_special_pictures_are_not_measured() -> None:
    speed = record()
    speed.add(HOUSE.model_copy(update={"hires": HiresFix()}), 9.0, 9.0)
    speed.add(HOUSE.model_copy(update={"guidance_scale": 1.0}), 9.0, 9.0)
    assert speed.find("mini", "exact", AREA) is None


def test_a_damaged_file_counts_as_empty(tmp_path: Path) -> None:
    (tmp_path / "speed.json").write_text('{"a": 3', encoding="utf-8")
    assert record(tmp_path).find("mini", "exact", AREA) is None


def test_painting_measures_and_a_grid_is_forecast(tiny_engine: Engine) -> None:
    tiny_engine.speed = record()
    grid = Grid(base=HOUSE, x=Axis(field="seed", values=("1-3",)))
    assert tiny_engine.forecast_time(grid).pictures == 3
    assert tiny_engine.forecast_time(grid).seconds is None
    tiny_engine.generate(HOUSE)
    forecast = tiny_engine.forecast_time(grid).seconds
    one = tiny_engine.forecast_time(HOUSE).seconds
    assert one is not None
    assert forecast == pytest.approx(3 * one)
    chosen = tiny_engine.submit(HOUSE.model_copy(update={"time_budget_seconds": 60.0}))
    assert any("For a time of 60 s" in each for each in chosen.warnings)
    chosen.cancel()


def test_each_prompt_between_and_takes_its_time() -> None:
    speed = record()
    speed.add(HOUSE, 0.1, 0.5)
    several = HOUSE.model_copy(update={"prompt": "a house\nAND a tree AND a boat :0.5"})
    assert speed.estimate_seconds([several]) == pytest.approx(10 * 2 * 0.1 + 0.5)
    unguided = several.model_copy(update={"guidance_scale": 1.0})
    assert speed.estimate_seconds([unguided]) == pytest.approx(10 * 1.5 * 0.1 + 0.5)
    plain = several.model_copy(update={"prompt_syntax": "plain"})
    assert speed.estimate_seconds([plain]) == pytest.approx(1.5)
    speed.add(several, 9.0, 9.0)  # would make every forecast too long
    assert speed.estimate_seconds([HOUSE]) == pytest.approx(1.5)
