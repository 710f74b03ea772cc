"""What is chosen for a time budget, on a machine whose speed the test says."""

from __future__ import annotations

import pytest

from paintdiff.imaging.geometry import Size
from paintdiff.jobs.request_parts import HiresFix
from paintdiff.jobs.requests import TextToImage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.tasks.resolve.time_budget import MOST_OF_HIGH, choose_for_budget

ROW = Catalog.default().find(ModelRow, "mini")
NATIVE = ROW.native_size
PROFILES = ("exact", "fast", "turbo")
STEP = {"exact": 0.1, "fast": 0.05, "turbo": 0.02}
HOUSE = TextToImage(prompt="a house", seed=1)


def find_time(_model: str, profile: str, area_px: int) -> tuple[float, float] | None:
    """A step's time grows with the area; 0.2 s are beside the steps."""
    return STEP[profile] * area_px / NATIVE.area, 0.2


def choose(budget: float, **fields: object) -> tuple[TextToImage, float]:
    """Return what was chosen, and how long it takes."""
    request = HOUSE.model_copy(update={"time_budget_seconds": budget, **fields})
    chosen, said = choose_for_budget(request, ROW, PROFILES, find_time)
    assert said is not None
    assert chosen.time_budget_seconds is None
    size = Size(chosen.width or NATIVE.width, chosen.height or NATIVE.height)
    step, beside = find_time("mini", chosen.profile or "exact", size.area) or (0.0, 0.0)
    steps = chosen.num_inference_steps or 0
    return chosen, chosen.num_images * (steps * step + beside)


def test_much_time_is_for_steps_in_the_usual_speed_and_size() -> None:
    chosen, seconds = choose(10)
    assert (chosen.profile, chosen.width, chosen.height) == ("exact", NATIVE.width, NATIVE.height)
    assert chosen.num_inference_steps == 98
    assert seconds == pytest.approx(10, abs=0.11)


def test_less_time_makes_it_faster_before_it_makes_it_smaller() -> None:
    draft = ROW.figures("fast").num_inference_steps
    at_speed = [choose(draft * step + 0.21)[0].profile for step in STEP.values()]
    assert at_speed == ["exact", "fast", "turbo"]
    smaller, _ = choose(draft * STEP["exact"] * 0.5625 * 0.3)
    assert smaller.profile in ("fast", "turbo")
    assert (smaller.width or 0) <= NATIVE.width


@pytest.mark.parametrize("budget", [0.5, 0.7, 1, 1.5, 2, 3, 5, 8, 13, 21])
def test_the_budget_is_kept_and_used(budget: float) -> None:
    _, seconds = choose(budget)
    assert budget * 0.8 <= seconds <= budget * 1.001


def test_more_than_what_helps_is_never_chosen() -> None:
    chosen, seconds = choose(10_000)
    most = MOST_OF_HIGH * ROW.figures("high").num_inference_steps
    assert chosen.num_inference_steps == min(most, 1000)
    assert seconds < 10_000


def test_what_the_request_sets_stays() -> None:
    chosen, _ = choose(2, num_inference_steps=7, profile="turbo", width=64, height=64)
    assert (chosen.num_inference_steps, chosen.profile, chosen.width) == (7, "turbo", 64)
    assert choose(2, num_images=4)[1] <= 2.001


def test_too_little_time_is_said() -> None:
    request = HOUSE.model_copy(update={"time_budget_seconds": 0.05})
    chosen, said = choose_for_budget(request, ROW, PROFILES, find_time)
    assert chosen.num_inference_steps == 1
    assert said is not None
    assert "aren't enough" in said


def test_an_unknown_speed_is_said_and_nothing_is_chosen() -> None:
    request = HOUSE.model_copy(update={"time_budget_seconds": 5})
    chosen, said = choose_for_budget(request, ROW, PROFILES, lambda *_: None)
    assert chosen == HOUSE
    assert said is not None
    assert "isn't known yet" in said
    assert choose_for_budget(HOUSE, ROW, PROFILES, find_time) == (HOUSE, None)


def test_a_second_pass_takes_its_share() -> None:
    chosen, _ = choose(5, hires=HiresFix())
    assert chosen.num_inference_steps is not None
    alone, _ = choose(5)
    assert alone.num_inference_steps is not None
    assert chosen.num_inference_steps < alone.num_inference_steps


def test_a_step_of_several_prompts_takes_longer() -> None:
    one, several = choose(4)[0], choose(4, prompt="a house AND a tree AND a boat")[0]
    assert (one.num_inference_steps, several.num_inference_steps) == (37, 18)
