"""Cancelling, queueing, and watching jobs."""

from __future__ import annotations

import threading
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from PIL import Image

from paintdiff.engine.engine import Engine
from paintdiff.engine.known_jobs import KEPT_JOBS
from paintdiff.errors import (
    EngineClosedError,
    JobCancelledError,
    JobNotFoundError,
    QueueFullError,
)
from paintdiff.imaging.rasters import Raster
from paintdiff.jobs.events import (
    Cancelled,
    Event,
    Finished,
    Loading,
    Picture,
    Progress,
    Queued,
)
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.job import Job
from paintdiff.jobs.request_parts import ControlInput
from paintdiff.jobs.requests import ImageToImage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.inference.pipelines.leased_pipeline import LeasedPipeline
from paintdiff.models.loading import pipelines
from paintdiff.models.loading.pipelines import LoadedModel
from paintdiff.models.manager.model_manager import ModelManager
from tests.job_helpers import ENDLESS, QUICK, Folder, pixels, step_after, until

# Cancelling


def test_cancel_acts_within_one_step_and_leaves_the_next_job_alone(tiny_engine: Engine) -> None:
    before = tiny_engine.generate(QUICK).pictures[0]
    job, following = tiny_engine.submit(ENDLESS), tiny_engine.submit(QUICK)
    until(job, Progress, number=3)
    job.cancel()
    at = job.latest
    story = list(job.events(120))
    assert isinstance(story[-1], Cancelled)
    last = next(event for event in reversed(story) if isinstance(event, Progress))
    if isinstance(at, Progress):  # else it has ended already
        assert last.step <= at.step + 2, "the step under way, and one that had just ended"
    with pytest.raises(JobCancelledError):
        job.result()
    assert pixels(following.result(120).pictures[0]) == pixels(before)


def test_without_a_cancel_it_would_have_gone_on(tiny_engine: Engine) -> None:
    """The control for the test above."""
    job = tiny_engine.submit(ENDLESS)
    until(job, Progress, number=3)
    at = job.latest
    assert isinstance(at, Progress)
    assert step_after(job, at.step + 2) > at.step + 2
    job.cancel()


def test_hooks_are_freed_after_a_cancel(
    tiny_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    released: list[str] = []
    original = LeasedPipeline.release

    def release(leased: LeasedPipeline) -> None:
        released.append(leased.row.name)
        original(leased)

    monkeypatch.setattr(LeasedPipeline, "release", release)
    job = tiny_engine.submit(ENDLESS)
    until(job, Progress)
    assert released == []
    job.cancel()
    with pytest.raises(JobCancelledError):
        job.result(120)
    assert released == ["mini"]


def test_a_waiting_job_is_cancelled_at_once_and_makes_room(tiny_manager: ModelManager) -> None:
    with Engine(tiny_manager, queue_size=1) as engine:
        running = engine.submit(ENDLESS)
        until(running, Progress)
        waiting = engine.submit(QUICK)
        waiting.cancel()
        assert isinstance(waiting.latest, Cancelled)
        third = engine.submit(QUICK)
        assert engine.status().queue_length == 1
        running.cancel()
        assert third.result(120).pictures
        assert [type(event) for event in waiting.events(1)] == [Queued, Cancelled]


def test_a_job_is_cancelled_while_its_model_loads(
    tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on = threading.Event()
    load = pipelines.load_pipeline

    def slow(*arguments: object) -> LoadedModel:
        assert may_go_on.wait(20)
        return load(*arguments)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(pipelines, "load_pipeline", slow)
    with Engine(ModelManager(tiny_catalog, device="cpu")) as engine:
        job, following = engine.submit(QUICK), engine.submit(QUICK)
        loading = until(job, Loading)
        assert isinstance(loading, Loading)
        assert loading.message == "Loading mini"
        assert engine.status().model_state == "loading"
        job.cancel()
        with pytest.raises(JobCancelledError):
            job.result(120)  # without waiting for the weights: they come only now
        may_go_on.set()
        assert following.result(120).pictures


def test_pictures_of_a_cancelled_batch_are_kept(tiny_manager: ModelManager) -> None:
    store = Folder()
    with Engine(tiny_manager, store=store) as engine:
        long = ENDLESS.model_copy(update={"num_images": 5, "num_inference_steps": 200})
        job = engine.submit(long)
        for event in job.events(120):
            if isinstance(event, Progress) and event.image_index == 1:
                break
        job.cancel()
        end = list(job.events(120))[-1]
    assert isinstance(end, Cancelled)
    assert [picture.request.seed for picture in end.pictures] == [7]
    assert end.pictures[0].path == Path("7.png")
    assert len(store.saved) == 1


def test_cancelling_what_is_done_changes_nothing(tiny_engine: Engine) -> None:
    job = tiny_engine.submit(QUICK)
    finished = job.result(120)
    job.cancel()
    assert job.latest is finished


# The queue


def test_a_full_queue_is_an_error_that_passes(tiny_manager: ModelManager) -> None:
    with Engine(tiny_manager, queue_size=2) as engine:
        running = engine.submit(ENDLESS)
        until(running, Progress)
        waiting = [engine.submit(QUICK), engine.submit(QUICK)]
        assert [job.latest for job in waiting] == [Queued(1), Queued(2)]
        with pytest.raises(QueueFullError, match="2 pictures"):
            engine.submit(QUICK)
        status = engine.status()
        assert (status.queue_length, status.running_job_id) == (2, running.id)
        running.cancel()
        assert waiting[1].result(120).pictures
        assert engine.submit(QUICK).result(120).pictures
        assert engine.status().running_job_id is None or engine.status().queue_length == 0


def test_one_visitor_leaves_places_in_the_queue_for_others(tiny_manager: ModelManager) -> None:
    with Engine(tiny_manager, queue_size=8) as engine:
        running = engine.submit(ENDLESS, "198.51.100.1")
        until(running, Progress)
        waiting = [engine.submit(QUICK, "198.51.100.1") for _ in range(6)]
        with pytest.raises(QueueFullError, match="6 of your pictures"):
            engine.submit(QUICK, "198.51.100.1")
        engine.submit(QUICK, "198.51.100.2")
        waiting[0].cancel()
        engine.submit(QUICK)
        engine.submit(QUICK)  # who isn't counted may fill it
        with pytest.raises(QueueFullError, match="8 pictures"):
            engine.submit(QUICK)


def test_places_in_the_queue_move_up(tiny_engine: Engine) -> None:
    running, second, third = (tiny_engine.submit(ENDLESS) for _ in range(3))
    until(running, Progress)
    assert third.latest == Queued(2)
    running.cancel()
    until(second, Progress)
    assert third.latest == Queued(1)
    second.cancel()
    third.cancel()


def test_jobs_from_many_threads_are_all_painted_one_at_a_time(tiny_engine: Engine) -> None:
    results: dict[int, bytes] = {}

    def paint(seed: int) -> None:
        request = QUICK.model_copy(update={"seed": seed})
        results[seed] = pixels(tiny_engine.generate(request).pictures[0])

    threads = [threading.Thread(target=paint, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(results) == list(range(8))
    assert len(set(results.values())) == 8
    for seed in (0, 5):
        request = QUICK.model_copy(update={"seed": seed})
        assert pixels(tiny_engine.generate(request).pictures[0]) == results[seed]


def test_a_closed_engine_cancels_what_is_left(tiny_manager: ModelManager) -> None:
    engine = Engine(tiny_manager)
    jobs = [engine.submit(ENDLESS), engine.submit(QUICK)]
    until(jobs[0], Progress)
    engine.close()
    assert [type(job.latest) for job in jobs] == [Cancelled, Cancelled]
    with pytest.raises(EngineClosedError):
        engine.submit(QUICK)
    engine.close()


def test_jobs_are_found_by_id_and_forgotten_in_the_end(tiny_manager: ModelManager) -> None:
    with Engine(tiny_manager, queue_size=2 * KEPT_JOBS) as engine:
        running = engine.submit(ENDLESS)
        until(running, Progress)
        assert engine.job(running.id) is running
        assert len(running.id) >= 20
        jobs = [engine.submit(QUICK) for _ in range(KEPT_JOBS + 5)]
        for job in jobs:
            job.cancel()
        engine.submit(QUICK)
        with pytest.raises(JobNotFoundError):
            engine.job(jobs[0].id)
        assert engine.job(jobs[-1].id) is jobs[-1]
        assert engine.job(running.id) is running, "what isn't done is never forgotten"
        with pytest.raises(JobNotFoundError):
            engine.job("guess")


def test_large_pictures_are_forgotten_sooner_and_the_last_ones_never(
    tiny_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tiny_engine.submit(QUICK)
    first.result(120)
    taken = first.held_bytes
    assert taken == len(pixels(first.result().pictures[0])) > 0

    def are_kept(*jobs: Job) -> list[bool]:
        def is_kept(job: Job) -> bool:
            try:
                return tiny_engine.job(job.id) is job
            except JobNotFoundError:
                return False

        return [is_kept(job) for job in jobs]

    monkeypatch.setattr("paintdiff.engine.known_jobs.KEPT_BYTES", 2 * taken)
    jobs = [first, *(tiny_engine.submit(QUICK) for _ in range(2))]
    after = tiny_engine.submit(ENDLESS)
    until(after, Progress)
    assert are_kept(*jobs) == [False, True, True]
    after.cancel()
    monkeypatch.setattr("paintdiff.engine.known_jobs.KEPT_BYTES", 0)
    jobs = [tiny_engine.submit(QUICK) for _ in range(2)]
    until(tiny_engine.submit(ENDLESS), Progress)
    assert are_kept(*jobs) == [False, True], "who has just painted it still wants to see it"


def test_what_a_job_keeps_is_counted_and_previews_are_not_kept(tiny_engine: Engine) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    image = InputImage.from_image(Image.fromarray(noise))
    assert image.data is not None
    control = ControlInput(image=image, preprocessor="canny")
    job = tiny_engine.submit(
        ImageToImage(
            prompt="x", image=image, controls=(control,), width=64, height=64, num_images=2
        )
    )
    job.result(120)
    assert job.held_bytes == len(image.data) + 2 * 64 * 64 * 3, "the same bytes count once"
    previews = [each.preview for each in job.events() if isinstance(each, Progress)]
    assert previews and not any(previews)


def test_a_raster_that_was_not_saved_is_counted() -> None:
    raster = Raster.of(np.zeros((100, 50, 3), np.uint16))
    picture = Picture.of_raster(raster, QUICK)
    assert picture.held_bytes == 100 * 50 * 3 + 2 * 100 * 50 * 3
    raster.close()
    assert picture.held_bytes == 100 * 50 * 3


def test_input_images_are_forgotten_with_their_jobs(tiny_engine: Engine) -> None:
    """31 small pictures from large ones must not keep all of these."""
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    request = ImageToImage(
        prompt="x",
        image=InputImage.from_image(Image.fromarray(noise)),
        width=64,
        height=64,
        num_inference_steps=2,
    )
    with patch("paintdiff.engine.known_jobs.KEPT_BYTES", 500_000):
        jobs = [tiny_engine.submit(request.model_copy(deep=True)) for _ in range(6)]
        for job in jobs:
            job.result(120)
        tiny_engine.submit(QUICK).result(120)
        known = list(tiny_engine._jobs)
        assert len(known) <= 4
        assert sum(job.held_bytes for job in known if job.done) < 700_000


# Watching


def test_any_number_watch_and_late_ones_get_the_story_so_far(tiny_engine: Engine) -> None:
    job = tiny_engine.submit(QUICK.model_copy(update={"num_inference_steps": 40}))
    stories: list[list[Event]] = [[], []]

    def watch(story: list[Event]) -> None:
        story.extend(job.events(120))

    threads = [threading.Thread(target=watch, args=(story,)) for story in stories]
    for thread in threads:
        thread.start()
    job.result(120)
    late = list(job.events(1))
    for thread in threads:
        thread.join(30)
    assert [type(event) for event in late if not isinstance(event, Loading)] == [
        Queued,
        Progress,
        Finished,
    ], "only the latest progress is kept"
    for story in stories:
        assert story[-1] is late[-1]


def test_a_slow_watcher_skips_what_is_stale(tiny_engine: Engine) -> None:
    job = tiny_engine.submit(ENDLESS)
    watcher = job.events(120)
    steps: list[int] = []
    for event in watcher:
        if isinstance(event, Progress):
            steps.append(event.step)
            step_after(job, event.step + 5)
        if len(steps) == 3:
            break
    job.cancel()
    assert steps == sorted(set(steps))
    assert steps[-1] - steps[0] > 10, "it saw three of many steps"


def test_on_a_timeout_the_latest_comes_again(tiny_engine: Engine) -> None:
    blocker = tiny_engine.submit(ENDLESS)
    until(blocker, Progress)
    job = tiny_engine.submit(QUICK)
    watcher = job.events(0.05)
    assert [next(watcher) for _ in range(3)] == [Queued(1)] * 3
    with pytest.raises(TimeoutError):
        job.result(0.05)
    blocker.cancel()
    assert isinstance(list(watcher)[-1], Finished)
