"""From a request to its pictures: errors on the way, and events."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from paintdiff.engine.engine import Engine
from paintdiff.errors import (
    EngineError,
    MemoryBudgetError,
    RequestError,
    UnknownNameError,
)
from paintdiff.jobs.events import (
    TERMINAL,
    Cancelled,
    Failed,
    Finished,
    Loading,
    Progress,
    Queued,
)
from paintdiff.jobs.job import Job
from paintdiff.jobs.requests import TextToImage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.inference.pipelines.leased_pipeline import LeasedPipeline
from paintdiff.models.inference.previews.preview import PreviewRateLimit
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.model_rows import ModelRow
from tests.job_helpers import ENDLESS, QUICK, Folder, pixels, story

# The road


def test_a_job_tells_its_story_in_order(tiny_engine: Engine) -> None:
    job = tiny_engine.submit(QUICK)
    story = list(job.events(120))
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
    row = mini_engine.manager.catalog.find(ModelRow, "mini")
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
        ({"width": 4096, "height": 4096}, "width"),
    ):
        with pytest.raises(RequestError) as caught:
            tiny_engine.submit(TextToImage.parse({"prompt": "x", **change}))
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
    seen = [event for event in story(tiny_engine, request) if isinstance(event, Progress)]
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
        for event in tiny_engine.submit(request).events(120)
        if isinstance(event, Progress)
    ]
    assert steps == sorted(steps)
    assert steps[-1] == 20
    assert max(steps) == 20


def test_previews_come_to_look_like_the_picture(
    mini_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the last step the preview is the picture, as far as a linear map can draw it."""
    monkeypatch.setattr(
        PreviewRateLimit, "allows_preview", lambda _governor: True
    )  # however busy the machine
    events = story(mini_engine, QUICK.model_copy(update={"num_inference_steps": 50}))
    previews = [e.preview for e in events if isinstance(e, Progress) and e.preview]
    assert len(previews) > 10
    assert {preview.mode for preview in previews} == {"RGB"}
    assert max(previews[0].size) <= 256
    last = np.asarray(previews[-1], dtype=float)
    first = np.asarray(previews[0], dtype=float)
    nearly_last = np.asarray(previews[-2], dtype=float)
    assert np.abs(last - nearly_last).mean() < np.abs(last - first).mean()


# What goes wrong


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Exception]]:
    """Raises the errors in the list, one at each decoding, then decodes again."""
    errors: list[Exception] = []
    original = LeasedPipeline.decode

    def decoded(leased: LeasedPipeline, latents: torch.Tensor) -> Image.Image:
        if errors:
            raise errors.pop(0)
        return original(leased, latents)

    monkeypatch.setattr(LeasedPipeline, "decode", decoded)
    yield errors


def test_the_worker_survives_whatever_a_job_raises(
    tiny_engine: Engine, breaking: list[Exception]
) -> None:
    short = torch.OutOfMemoryError("CUDA out of memory")
    breaking.extend([ZeroDivisionError("odd"), *[short] * 20])  # more than there are plans
    strange = tiny_engine.submit(QUICK)
    with pytest.raises(EngineError, match=r"log has the details under [0-9a-f]{8}") as caught:
        strange.result(120)
    assert "odd" not in str(caught.value)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert isinstance(strange.latest, Failed)
    with pytest.raises(MemoryBudgetError, match="smaller"):
        tiny_engine.submit(QUICK).result(120)
    breaking.clear()
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

    def remember(request: TextToImage, *, durable: bool) -> Job:
        submitted.append(submit(request, durable=durable))
        return submitted[-1]

    monkeypatch.setattr(tiny_engine, "submit", remember)
    with pytest.raises(KeyboardInterrupt):
        tiny_engine.generate(ENDLESS)
    assert isinstance(list(submitted[0].events(120))[-1], Cancelled)


# Warnings


def test_warnings_are_sentences_about_this_job(tiny_engine: Engine) -> None:
    request = TextToImage(
        prompt="a zeppelin " + "red " * 90 + "boat",
        negative_prompt="a blue gramophone",
        prompt_syntax="plain",
        width=130,
        guidance_scale=1.0,
        num_inference_steps=1,
    )
    job = tiny_engine.submit(request)
    assert job.request.width == 128
    assert len(job.warnings) == 2, "what needs no model is known at once"
    warnings = job.result(120).warnings
    assert len(warnings) == 4
    rounded, negative, unknown, cut = warnings
    assert "130x128 became 128x128" in rounded
    assert "multiples of 8" in rounded
    assert "no effect" in negative
    assert "“zeppelin”" in unknown and "gramophone" not in unknown, "the negative isn't read"
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
