"""Memory runs out, anywhere on the road: the job goes on in another way, and nothing is kept."""

from __future__ import annotations

import errno
import gc
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import psutil
import pytest
import torch

from paintdiff.engine.engine import Engine
from paintdiff.errors import MemoryBudgetError
from paintdiff.jobs.events import Finished, Loading, Progress
from paintdiff.jobs.requests import HiresFix, TextToImage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.loading import pipelines
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.memory import int8_weights, planner, plans
from paintdiff.models.memory.plans import Plan
from paintdiff.models.registry.model_rows import ModelRow
from tests.job_helpers import pixels

QUICK = TextToImage(prompt="a red house", num_inference_steps=2, seed=7)
RUNGS = [Plan(), Plan(vae_tile_px=96), Plan(vae_tile_px=64), Plan(vae_tile_px=64, part=0.5)]
PARTS = ("unet", "vae", "text_encoder")


class Faults:
    """An allocator that fails on demand: calls of a network's layers raise as CUDA's does, from
    call `after` on, `count` times. `what` says of which of the model's parts.
    """

    def __init__(self) -> None:
        self.what, self.after, self.count = "unet", 0, 0
        self.calls = 0
        self.raised = 0

    def hook(self, what: str) -> Callable[..., None]:
        def failing(_module: torch.nn.Module, _inputs: Any) -> None:
            if what != self.what:
                return
            self.calls += 1
            if self.raised < self.count and self.calls > self.after:
                self.raised += 1
                held = torch.zeros(2**20)  # in a frame of the traceback, as a real one has them
                raise torch.OutOfMemoryError(
                    f"CUDA out of memory. Tried to allocate {held.numel()}"
                )

        return failing

    def expect(self, what: str, count: int, after: int = 0) -> None:
        self.what, self.count, self.after = what, count, after
        self.calls = self.raised = 0


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    """Acts on every model loaded while it is there."""
    made, original = Faults(), pipelines.load_pipeline

    def load(*arguments: Any, **named: Any) -> pipelines.LoadedModel:
        loaded = original(*arguments, **named)
        for name in PARTS:
            module = loaded.components[name]
            seams = [module.decoder] if name == "vae" else [module]
            for each in seams:
                each.register_forward_pre_hook(made.hook(name))
        return loaded

    monkeypatch.setattr(pipelines, "load_pipeline", load)
    yield made


@pytest.fixture
def engine(tiny_catalog: Catalog, faults: Faults) -> Iterator[Engine]:
    assert faults is not None
    budget = 2**30  # less than is free: the room doesn't change with what others take
    manager = ModelManager(
        tiny_catalog, device="cpu", prompt_cache_bytes=0, memory_budget_bytes=budget
    )
    with Engine(manager) as made:
        yield made


@pytest.fixture
def rungs(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """A ladder for tiny pictures, of tiles alone."""
    monkeypatch.setattr(plans, "_rungs", lambda _run, _device: list(RUNGS))
    return RUNGS


@pytest.mark.parametrize("part", PARTS)
def test_the_job_goes_on_by_the_next_plan(
    part: str, engine: Engine, faults: Faults, rungs: list[Plan]
) -> None:
    assert rungs
    whole = engine.generate(QUICK)
    assert whole.warnings == ()
    faults.expect(part, 1)
    job = engine.submit(QUICK)
    story = list(job.events(120))
    finished = story[-1]
    assert isinstance(finished, Finished)
    told = [each.message for each in story if isinstance(each, Loading)]
    assert told[-1] == "Out of memory. Trying again with decoded in tiles of 96"
    assert finished.warnings == (
        "Memory ran out, so the settings were changed: decoded in tiles of 96.",
    )
    one, other = (np.asarray(each.pictures[0].image, float) for each in (whole, finished))
    assert one.shape == other.shape
    assert np.abs(one - other).mean() < 12, "the same picture, decoded in tiles"
    again = engine.generate(QUICK)
    assert faults.raised == 1
    assert pixels(again.pictures[0]) == pixels(finished.pictures[0]), "it is remembered"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        OSError(errno.ENOMEM, "Cannot allocate memory", "model.safetensors"),
    ],
)
def test_memory_that_runs_out_while_loading_ends_nothing(
    error: Exception,
    tiny_catalog: Catalog,
    rungs: list[Plan],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is raised where diffusers reads the weights of a part."""
    assert rungs
    original, loads = diffusers.UNet2DConditionModel.from_pretrained, 0

    def from_pretrained(*arguments: Any, **named: Any) -> Any:
        nonlocal loads
        loads += 1
        if loads == 1:
            raise error
        return original(*arguments, **named)

    monkeypatch.setattr(diffusers.UNet2DConditionModel, "from_pretrained", from_pretrained)
    with Engine(ModelManager(tiny_catalog, device="cpu")) as engine:
        finished = engine.generate(QUICK)
    assert loads == 2
    assert "settings were changed: decoded in tiles of 96" in finished.warnings[0]


def test_momentary_faults_are_forgotten(
    engine: Engine, faults: Faults, rungs: list[Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = engine.generate(QUICK)
    faults.expect("unet", len(rungs) - 1)
    assert engine.generate(QUICK).pictures[0].image.size == (64, 64)
    assert engine.generate(QUICK).pictures[0].image.size == (64, 64)
    now = time.monotonic() + planner.RETRY_SECONDS
    monkeypatch.setattr(planner.time, "monotonic", lambda: now)
    after = engine.generate(QUICK)
    assert after.warnings == ()
    assert pixels(after.pictures[0]) == pixels(before.pictures[0])


def test_pictures_that_are_done_are_kept(engine: Engine, faults: Faults, rungs: list[Plan]) -> None:
    assert rungs
    engine.generate(QUICK)
    batch = QUICK.model_copy(update={"num_images": 3})
    faults.expect("unet", 1, after=3)
    job = engine.submit(batch)
    indices = [each.image_index for each in job.events(120) if isinstance(each, Progress)]
    assert indices == sorted(indices) and set(indices) <= {0, 1, 2}
    finished = job.result(120)
    assert faults.calls == 2 + 2 + 2 + 2, "the first picture isn't painted twice"
    assert [picture.request.seed for picture in finished.pictures] == [7, 8, 9]
    assert len({pixels(picture) for picture in finished.pictures}) == 3


def test_half_the_size_is_the_last_and_is_said_loudly(
    engine: Engine, faults: Faults, rungs: list[Plan]
) -> None:
    faults.expect("unet", len(rungs) - 1)
    finished = engine.generate(QUICK)
    picture = finished.pictures[0]
    assert picture.image.size == (64, 64)
    assert (picture.request.width, picture.request.height) == (64, 64)
    assert "HALF the size" in finished.warnings[0]
    assert pixels(engine.generate(picture.request).pictures[0]) == pixels(picture)


def test_after_the_last_plan_there_is_an_error_and_nothing_is_remembered(
    engine: Engine, faults: Faults, rungs: list[Plan]
) -> None:
    before = engine.generate(QUICK)
    faults.expect("unet", len(rungs))
    with pytest.raises(MemoryBudgetError, match="smaller"):
        engine.generate(QUICK)
    after = engine.generate(QUICK)
    assert after.warnings == ()
    assert pixels(after.pictures[0]) == pixels(before.pictures[0])


def test_a_second_pass_is_only_given_up_when_nothing_else_helps(
    engine: Engine, faults: Faults, rungs: list[Plan]
) -> None:
    hires = QUICK.model_copy(update={"hires": HiresFix(scale=2, upscaler="latent", strength=0.6)})
    faults.expect("vae", 1)
    finished = engine.generate(hires)
    assert finished.pictures[0].image.size == (256, 256)
    assert "tiles" in finished.warnings[-1]


def test_weights_that_dont_fit_are_loaded_in_eight_bits(
    tiny_catalog: Catalog, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8_weights, "LEAST_NUMBERS", 1)
    row = tiny_catalog.find(ModelRow, "mini")
    full = ModelManager(tiny_catalog, device="cpu").estimates.expected_bytes(row)
    assert tiny_folder.exists()
    budget = full * 4 // 5
    with Engine(ModelManager(tiny_catalog, device="cpu", memory_budget_bytes=budget)) as engine:
        with pytest.raises(MemoryBudgetError), engine.manager.lease("mini"):
            pytest.fail("it doesn't fit in full precision")
        family = row.family.model_copy(update={"working_memory": None})
        known = row.model_copy(update={"family": family})
        manager = engine.manager
        run = plans.RunFacts(row.native_size, 128**2)
        plan = manager.planner.build_ladder(known, run).planned.plan
        assert plan == Plan(int8_weights=True)
        with manager.lease("mini", plan=plan) as leased:
            assert int8_weights.is_int8(leased.denoiser)
        assert len(manager.cache.loaded()) == 1


@pytest.mark.parametrize("number_of_faults", [80, pytest.param(500, marks=pytest.mark.long)])
def test_many_faults_in_a_row_leave_nothing_behind(
    number_of_faults: int, engine: Engine, faults: Faults, rungs: list[Plan]
) -> None:
    """Each fault holds 4 MiB: 80 that are kept, or the last of each job, are more than allowed."""
    request = QUICK.model_copy(update={"num_inference_steps": 1})
    before = engine.generate(request)

    def failed(number: int) -> None:
        part = PARTS[number % 3]
        faults.expect(part, len(rungs))
        with pytest.raises(MemoryBudgetError):
            engine.submit(request).result(120)
        assert faults.raised == len(rungs)

    def held_bytes() -> int:
        gc.collect()
        return psutil.Process().memory_info().rss

    for number in range(6):  # the allocator's own caches, and libraries'
        failed(number)
    warm = held_bytes()
    gc.freeze()  # what libraries hold needn't be looked through each time
    try:
        for number in range(number_of_faults // len(rungs)):
            failed(number)
    finally:
        gc.unfreeze()
    assert held_bytes() - warm <= 64 * 2**20
    after = engine.generate(request)
    assert after.warnings == ()
    assert pixels(after.pictures[0]) == pixels(before.pictures[0])
