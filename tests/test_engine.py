from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from paintdiff.engine import KEPT_JOBS, Engine
from paintdiff.errors import (
    EngineClosedError,
    EngineError,
    JobCancelledError,
    JobNotFoundError,
    MemoryBudgetError,
    QueueFullError,
    RequestError,
    StorageError,
    UnknownNameError,
)
from paintdiff.events import (
    TERMINAL,
    Cancelled,
    Event,
    Failed,
    Finished,
    Loading,
    Picture,
    Progress,
    Queued,
)
from paintdiff.jobs import Job
from paintdiff.models import loaders
from paintdiff.models.catalog import Catalog
from paintdiff.models.lease import LeasedPipeline
from paintdiff.models.loaders import LoadedModel
from paintdiff.models.manager import ModelManager
from paintdiff.requests import TextToImage

QUICK = TextToImage(prompt="a red house", num_inference_steps=3, seed=7)
ENDLESS = TextToImage(prompt="a red house", num_inference_steps=998, seed=7)


def until(job: Job, kind: type[Event], *, number: int = 1) -> Event:
    """The job's first event of that kind that came, or the `number`-th."""
    count = 0
    for event in job.events(20):
        count += isinstance(event, kind)
        if count == number:
            return event
    raise AssertionError(f"the job ended in {job.latest} without {kind.__name__}")


def step_after(job: Job, step: int) -> int:
    """Wait until the job is beyond that step, and return the one it is at."""
    for event in job.events(20):
        if isinstance(event, Progress) and event.step > step:
            return event.step
    raise AssertionError(f"the job ended in {job.latest} before step {step}")


def pixels(picture: Picture) -> bytes:
    return picture.image.tobytes()


class Folder:
    """A store that keeps pictures in memory, and can break."""

    def __init__(self) -> None:
        self.saved: list[Picture] = []
        self.broken = False

    def save(self, picture: Picture) -> Path:
        if self.broken:
            raise StorageError("the disk is full")
        self.saved.append(picture)
        return Path(f"{picture.request.seed}.png")


# The road


def test_a_job_tells_its_story_in_order(tiny_engine: Engine) -> None:
    job = tiny_engine.submit(QUICK)
    story = list(job.events(20))
    kinds = [type(event) for event in story]
    assert kinds[-1] is Finished
    order = [Queued, Loading, Progress, Finished]
    assert [order.index(kind) for kind in kinds] == sorted(order.index(kind) for kind in kinds)
    assert job.done
    assert job.latest is story[-1]
    finished = job.result()
    assert finished.seconds > 0
    assert finished.steps_per_second > 0
    picture = finished.pictures[0]
    assert picture.image.size == (128, 128)
    assert picture.image.mode == "RGB"
    assert len(picture.model_hash) == 10
    assert picture.path is None


def test_the_picture_is_the_bare_pipelines(tiny_engine: Engine) -> None:
    """Previews, hand-made decoding and all: not one pixel differs from diffusers used directly."""
    picture = tiny_engine.generate(QUICK.model_copy(update={"guidance_scale": 5.0})).pictures[0]
    with tiny_engine.manager.lease("mini") as leased:
        pipeline = leased.pipeline
        images = pipeline(
            prompt="a red house",
            width=128,
            height=128,
            num_inference_steps=3,
            guidance_scale=5.0,
            generator=torch.Generator("cpu").manual_seed(7),
        ).images
    assert images[0].tobytes() == pixels(picture)


def test_every_none_is_filled(mini_engine: Engine) -> None:
    job = mini_engine.submit(TextToImage(prompt="a red house", quality="fast"))
    row = mini_engine.manager.catalog.model("mini")
    sampling = job.request.sampling()
    assert sampling.size == row.native_size
    assert sampling.sampler == row.sampler
    assert sampling.num_inference_steps == row.figures("fast").num_inference_steps
    assert sampling.guidance_scale == row.figures("fast").guidance_scale
    assert 0 <= sampling.seed < 2**32
    other = mini_engine.submit(TextToImage(prompt="a red house"))
    assert other.request.seed != job.request.seed, "drawn anew (once in four billion this fails)"
    job.cancel()
    other.cancel()


def test_bad_values_are_refused_at_once(tiny_engine: Engine) -> None:
    for change, field in (
        ({"model": "nobody"}, "model"),
        ({"sampler": "magic"}, "sampler"),
        ({"quality": "perfect"}, "quality"),
        ({"seed": 2**32 - 1, "num_images": 2}, "seed"),
        ({"sampler": "LCM", "num_inference_steps": 60}, "num_inference_steps"),
        ({"sampler": "DDIM", "num_inference_steps": 1000}, "num_inference_steps"),
        ({"width": 4096, "height": 4096}, "width"),
    ):
        with pytest.raises(RequestError) as caught:
            tiny_engine.submit(TextToImage.parsed({"prompt": "x", **change}))
        assert caught.value.field == field
    assert tiny_engine.status().queue_length == 0


# Determinism and batches


def test_the_same_seed_paints_the_same_picture(mini_engine: Engine) -> None:
    first, again = (mini_engine.generate(QUICK).pictures[0] for _ in range(2))
    other = mini_engine.generate(QUICK.model_copy(update={"seed": 8})).pictures[0]
    assert pixels(first) == pixels(again)
    assert pixels(first) != pixels(other)


@pytest.mark.parametrize("sampler", ["DDIM", "Euler a", "DPM++ 2M SDE", "LMS"])
def test_a_batch_is_its_single_pictures(sampler: str, mini_engine: Engine) -> None:
    request = QUICK.model_copy(update={"num_images": 3, "sampler": sampler})
    batch = mini_engine.generate(request).pictures
    assert [picture.request.seed for picture in batch] == [7, 8, 9]
    assert len({pixels(picture) for picture in batch}) == 3
    for picture in batch:
        assert picture.request.num_images == 1
        alone = mini_engine.generate(picture.request).pictures
        assert len(alone) == 1
        assert pixels(alone[0]) == pixels(picture)
        assert alone[0].request == picture.request


def test_progress_counts_every_picture(tiny_engine: Engine) -> None:
    request = QUICK.model_copy(update={"num_images": 2, "num_inference_steps": 60})
    seen = [
        event for event in tiny_engine.submit(request).events(20) if isinstance(event, Progress)
    ]
    places = [(event.image_index, event.step, event.stage != "denoising") for event in seen]
    assert places == sorted(places)
    assert {event.image_index for event in seen} == {0, 1}
    assert {event.num_images for event in seen} == {2}
    assert {event.total_steps for event in seen} == {60}
    assert seen[-1].stage == "decoding"
    assert seen[-1].step == 60
    left = [event.seconds_left for event in seen if event.seconds_left is not None]
    assert left[0] > left[-1] >= 0


@pytest.mark.parametrize("sampler", ["Heun", "PNDM"])
def test_samplers_that_ask_more_than_once_a_step_still_end_at_the_last(
    sampler: str, tiny_engine: Engine
) -> None:
    request = QUICK.model_copy(update={"sampler": sampler, "num_inference_steps": 20})
    steps = [
        event.step
        for event in tiny_engine.submit(request).events(20)
        if isinstance(event, Progress)
    ]
    assert steps == sorted(steps)
    assert steps[-1] == 20
    assert max(steps) == 20


def test_previews_come_to_look_like_the_picture(mini_engine: Engine) -> None:
    """By the last step the preview is the picture, as far as a linear map can draw it."""
    job = mini_engine.submit(QUICK.model_copy(update={"num_inference_steps": 50}))
    previews = [e.preview for e in job.events(60) if isinstance(e, Progress) and e.preview]
    assert len(previews) > 10
    assert {preview.mode for preview in previews} == {"RGB"}
    assert max(previews[0].size) <= 256
    last = np.asarray(previews[-1], dtype=float)
    first = np.asarray(previews[0], dtype=float)
    nearly_last = np.asarray(previews[-2], dtype=float)
    assert np.abs(last - nearly_last).mean() < np.abs(last - first).mean()


# Cancelling


def test_cancel_acts_within_one_step_and_leaves_the_next_job_alone(tiny_engine: Engine) -> None:
    before = tiny_engine.generate(QUICK).pictures[0]
    job, following = tiny_engine.submit(ENDLESS), tiny_engine.submit(QUICK)
    until(job, Progress, number=3)
    at = job.latest
    job.cancel()
    story = list(job.events(5))
    assert isinstance(story[-1], Cancelled)
    last = next(event for event in reversed(story) if isinstance(event, Progress))
    assert isinstance(at, Progress)
    assert last.step <= at.step + 2, "the step under way, and one that had just ended"
    with pytest.raises(JobCancelledError):
        job.result()
    assert pixels(following.result(20).pictures[0]) == pixels(before)


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
        job.result(5)
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
        assert third.result(20).pictures
        assert [type(event) for event in waiting.events(1)] == [Queued, Cancelled]


def test_a_job_is_cancelled_while_its_model_loads(
    tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on = threading.Event()
    load = loaders.load

    def slow(*arguments: object) -> LoadedModel:
        assert may_go_on.wait(20)
        return load(*arguments)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(loaders, "load", slow)
    with Engine(ModelManager(tiny_catalog, device="cpu")) as engine:
        job, following = engine.submit(QUICK), engine.submit(QUICK)
        loading = until(job, Loading)
        assert isinstance(loading, Loading)
        assert loading.message == "Loading mini"
        assert engine.status().model_state == "loading"
        job.cancel()
        with pytest.raises(JobCancelledError):
            job.result(10)  # without waiting for the weights: they come only now
        may_go_on.set()
        assert following.result(20).pictures


def test_pictures_of_a_cancelled_batch_are_kept(tiny_manager: ModelManager) -> None:
    store = Folder()
    with Engine(tiny_manager, store=store) as engine:
        job = engine.submit(ENDLESS.model_copy(update={"num_images": 5, "num_inference_steps": 60}))
        for event in job.events(20):
            if isinstance(event, Progress) and event.image_index == 1:
                break
        job.cancel()
        end = list(job.events(5))[-1]
    assert isinstance(end, Cancelled)
    assert [picture.request.seed for picture in end.pictures] == [7]
    assert end.pictures[0].path == Path("7.png")
    assert len(store.saved) == 1


def test_cancelling_what_is_done_changes_nothing(tiny_engine: Engine) -> None:
    job = tiny_engine.submit(QUICK)
    finished = job.result(20)
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
        assert waiting[1].result(20).pictures
        assert engine.submit(QUICK).result(20).pictures
        assert engine.status().running_job_id is None or engine.status().queue_length == 0


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


# Watching


def test_any_number_watch_and_late_ones_get_the_story_so_far(tiny_engine: Engine) -> None:
    job = tiny_engine.submit(QUICK.model_copy(update={"num_inference_steps": 40}))
    stories: list[list[Event]] = [[], []]

    def watch(story: list[Event]) -> None:
        story.extend(job.events(20))

    threads = [threading.Thread(target=watch, args=(story,)) for story in stories]
    for thread in threads:
        thread.start()
    job.result(20)
    late = list(job.events(1))
    for thread in threads:
        thread.join(5)
    assert [type(event) for event in late if not isinstance(event, Loading)] == [
        Queued,
        Progress,
        Finished,
    ], "only the latest progress is kept"
    for story in stories:
        assert story[-1] is late[-1]


def test_a_slow_watcher_skips_what_is_stale(tiny_engine: Engine) -> None:
    job = tiny_engine.submit(ENDLESS)
    watcher = job.events(20)
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


# What goes wrong


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Exception]]:
    """Raises the errors in the list, one at each decoding, then decodes again."""
    errors: list[Exception] = []
    original = LeasedPipeline.decoded

    def decoded(leased: LeasedPipeline, latents: torch.Tensor) -> Image.Image:
        if errors:
            raise errors.pop(0)
        return original(leased, latents)

    monkeypatch.setattr(LeasedPipeline, "decoded", decoded)
    yield errors


def test_the_worker_survives_whatever_a_job_raises(
    tiny_engine: Engine, breaking: list[Exception]
) -> None:
    breaking.extend([ZeroDivisionError("odd"), torch.OutOfMemoryError("CUDA out of memory")])
    strange = tiny_engine.submit(QUICK)
    with pytest.raises(EngineError, match="ZeroDivisionError: odd") as caught:
        strange.result(20)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert isinstance(strange.latest, Failed)
    with pytest.raises(MemoryBudgetError, match="smaller"):
        tiny_engine.submit(QUICK).result(20)
    assert tiny_engine.generate(QUICK).pictures


def test_a_picture_that_cant_be_saved_is_not_lost(tiny_manager: ModelManager) -> None:
    store = Folder()
    with Engine(tiny_manager, store=store) as engine:
        assert engine.generate(QUICK).pictures[0].path == Path("7.png")
        store.broken = True
        finished = engine.generate(QUICK)
    assert finished.pictures[0].path is None
    assert any("disk is full" in warning for warning in finished.warnings)


def test_a_kind_of_request_nobody_knows_is_refused(tiny_engine: Engine) -> None:
    with pytest.raises(RequestError, match="SimpleNamespace"):
        tiny_engine.submit(SimpleNamespace(model="mini"))  # pyright: ignore[reportArgumentType]


def test_an_interrupted_generate_cancels_its_job(
    tiny_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_job: Job, _timeout: float | None = None) -> Finished:
        raise KeyboardInterrupt

    monkeypatch.setattr(Job, "result", interrupted)
    submitted: list[Job] = []
    submit = tiny_engine.submit

    def remember(request: TextToImage) -> Job:
        submitted.append(submit(request))
        return submitted[-1]

    monkeypatch.setattr(tiny_engine, "submit", remember)
    with pytest.raises(KeyboardInterrupt):
        tiny_engine.generate(ENDLESS)
    assert isinstance(list(submitted[0].events(5))[-1], Cancelled)


# Warnings


def test_warnings_are_sentences_about_this_job(tiny_engine: Engine) -> None:
    request = TextToImage(
        prompt="a zeppelin " + "red " * 90 + "boat",
        negative_prompt="a blue gramophone",
        width=130,
        guidance_scale=1.0,
        num_inference_steps=1,
    )
    job = tiny_engine.submit(request)
    assert job.request.width == 128
    assert len(job.warnings) == 2, "what needs no model is known at once"
    warnings = job.result(20).warnings
    assert len(warnings) == 4
    rounded, negative, unknown, cut = warnings
    assert "130x128 became 128x128" in rounded
    assert "multiples of 8" in rounded
    assert "no effect" in negative
    assert "“zeppelin” and “gramophone”" in unknown
    assert "red" not in unknown
    assert "prompt is too long" in cut
    assert tiny_engine.generate(QUICK).warnings == (), "the next job has none of them"


def test_a_model_without_a_closed_vocabulary_complains_of_no_word(tiny_folder: Path) -> None:
    catalog = Catalog.default().with_source(str(tiny_folder))
    with Engine(ModelManager(catalog, device="cpu")) as engine:
        request = TextToImage(
            prompt="zeppelin", model="tiny", width=64, height=64, num_inference_steps=1
        )
        assert engine.generate(request).warnings == ()


# Weight


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    program = """
import sys
from paintdiff import Engine, TextToImage
with Engine() as engine:
    engine.status()
heavy = {"torch", "diffusers", "transformers", "gradio"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)


def test_status_tells_what_the_worker_does(tiny_engine: Engine) -> None:
    tiny_engine.generate(QUICK)
    status = tiny_engine.status()
    assert status.model == "mini"
    assert status.model_state == "ready"
    assert status.device == "cpu"
    assert status.steps_per_second > 1
    assert 0 < status.memory_used_bytes < status.memory_total_bytes
    assert all(isinstance(kind, type) for kind in TERMINAL)


def test_an_unknown_model_is_named_before_anything_is_loaded() -> None:
    with Engine() as engine, pytest.raises(UnknownNameError, match="nobody"):
        engine.submit(TextToImage(prompt="x", model="nobody"))
