"""Limits for each visitor who may not manage the app."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from paintdiff.engine.engine import Engine
from paintdiff.engine.visitor_limits import HIDDEN_SHARE, VisitorAllowance, VisitorLimits
from paintdiff.errors import QueueFullError, RequestError, VisitorLimitError
from paintdiff.jobs.request_parts import Axis, HiresFix
from paintdiff.jobs.requests import Grid, Request, TextToImage
from paintdiff.models.manager.model_manager import ModelManager

STEPS = Axis(field="num_inference_steps", values=("2", "5"))
LIMITS = VisitorLimits(jobs=2, steps=4, side_px=256, pictures_per_minute=6)
SMALL = TextToImage(prompt="a boat", num_inference_steps=2, width=128, height=128, seed=1)


@pytest.fixture(scope="module")
def engine(mini_manager: ModelManager) -> Iterator[Engine]:
    with Engine(mini_manager, limits=LIMITS) as made:
        yield made


def changed(**values: object) -> TextToImage:
    return SMALL.model_copy(update=values)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (changed(num_inference_steps=5), "num_inference_steps"),
        (changed(width=320), "width"),
        (changed(height=320), "height"),
        (changed(hires=HiresFix(scale=3.0)), "hires.scale"),
        (changed(hires=HiresFix(num_inference_steps=9)), "hires.num_inference_steps"),
        (changed(num_images=7), "num_images"),
        (
            Grid(base=SMALL, x=STEPS),
            "num_inference_steps",
        ),
        (Grid(base=SMALL, x=Axis(field="seed", values=tuple("1234567"))), "num_images"),
    ],
)
def test_a_request_over_a_limit_is_refused_for_visitors_only(
    engine: Engine, request_: Request, field: str
) -> None:
    for visitor, owner in (("192.0.2.1", ""), ("", "ada")):
        with pytest.raises(RequestError, match=r"here") as refused:
            engine.submit(request_, visitor, owner)
        assert refused.value.field == field
    engine.submit(request_).cancel()
    engine.submit(request_, "192.0.2.1", sees_all=True).cancel()


def test_a_visitor_has_so_many_jobs_and_others_have_theirs(engine: Engine) -> None:
    jobs = [engine.submit(changed(seed=n), "192.0.2.2") for n in range(2)]
    with pytest.raises(VisitorLimitError, match="2 is the limit"):
        engine.submit(SMALL, "192.0.2.2")
    jobs.append(engine.submit(SMALL, "192.0.2.3"))
    for job in jobs:
        job.result(300)
    engine.submit(SMALL, "192.0.2.2").result(300)


def test_so_many_pictures_a_minute_and_when_there_is_room_again() -> None:
    now = [0.0]
    allowance = VisitorAllowance(LIMITS, clock=lambda: now[0])
    allowance.take("a", 4, 0)
    now[0] = 30
    allowance.take("a", 2, 1)
    for pictures, wait in ((1, 30), (4, 30), (5, 60), (6, 60)):
        with pytest.raises(VisitorLimitError) as refused:
            allowance.take("a", pictures, 0)
        assert refused.value.retry_after_seconds == wait
    allowance.take("b", 6, 0)
    now[0] = 60
    allowance.take("a", 4, 0)
    with pytest.raises(VisitorLimitError, match="Try again in 30 seconds"):
        allowance.take("a", 1, 0)


def test_who_drops_the_cookie_behind_a_tunnel_is_still_one_of_the_hidden() -> None:
    now = [0.0]
    allowance = VisitorAllowance(LIMITS, clock=lambda: now[0])
    for number in range(HIDDEN_SHARE):
        allowance.take(f"browser-{number}", 6, 0, number)
    with pytest.raises(VisitorLimitError, match="24 pictures a minute together") as refused:
        allowance.take("browser-new", 1, 0, 4)
    assert refused.value.retry_after_seconds == 60
    allowance.take("192.0.2.1", 6, 0)  # whoever has an address has an allowance of their own
    now[0] = 60
    with pytest.raises(VisitorLimitError, match="8 is the limit for all of them together"):
        allowance.take("browser-new", 1, 0, 8)
    allowance.take("browser-new", 1, 0, 7)


def test_the_hidden_leave_places_in_the_queue_to_others(mini_manager: ModelManager) -> None:
    with Engine(mini_manager, queue_size=8, limits=VisitorLimits()) as engine:
        long = changed(num_inference_steps=150, width=512, height=512)
        jobs = [engine.submit(long)]
        while engine.status().running_job_id is None:
            time.sleep(0.01)
        jobs += [engine.submit(long, owner=f"browser-{number}") for number in range(6)]
        with pytest.raises(QueueFullError, match="are kept for other people"):
            engine.submit(SMALL, owner="browser-new")
        jobs.append(engine.submit(SMALL))
        for job in reversed(jobs):
            job.cancel()
