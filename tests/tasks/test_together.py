"""Pictures that are denoised at once: each is that of its own seed but for rounding, whatever acts
on them; and memory that runs out costs only the speed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
from PIL import Image

from paintdiff.engine.engine import Engine
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.events import Finished, Loading, Progress
from paintdiff.jobs.request_parts import (
    ControlInput,
    HiresFix,
    IpAdapterInput,
    LoraInput,
    Upscaling,
)
from paintdiff.jobs.requests import ImageToImage, Inpaint, Painting, TextToImage
from paintdiff.models.acceleration.batch_tuning import BatchTuning
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.inference.previews.preview import PreviewRateLimit
from paintdiff.models.loading import pipelines
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.memory.planner import Planner
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.speed_profiles import Profile, Profiles
from paintdiff.models.registry.upscaler_rows import UpscalerRow
from tests import adapter_files as files
from tests.engine.test_memory_fallback import Faults
from tests.job_helpers import story
from tests.tasks.pictures import given, photo

EACH = Profile(name="each", title="Each", says="", feature_interval=1)
SEVERAL = EACH.model_copy(update={"name": "several", "pictures_together": 4})
SKIPPING = {"feature_interval": 3, "guidance_start": 0.2, "guidance_end": 0.6}
TURBO = EACH.model_copy(update={"name": "turbo", **SKIPPING})
TURBOS = TURBO.model_copy(update={"name": "turbos", "pictures_together": 4})
PROFILES = Profiles({row.name: row for row in (EACH, SEVERAL, TURBO, TURBOS)})
WORDS = TextToImage(
    prompt="a red house", num_inference_steps=5, seed=7, num_images=4, width=64, height=64
)


@pytest.fixture(autouse=True)
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Choose several pictures at once, as if that had been measured to be faster."""
    monkeypatch.setattr(BatchTuning, "choose_batch_size", lambda _self, _kind, wanted: wanted)


@pytest.fixture
def engine(tiny_catalog: Catalog) -> Iterator[Engine]:
    with Engine(ModelManager(tiny_catalog, device="cpu"), profiles=PROFILES) as running:
        yield running


def painted(engine: Engine, request: Painting, profile: str) -> tuple[list[Image.Image], list[Any]]:
    """The pictures and the story."""
    events = story(engine, request.model_copy(update={"profile": profile}))
    finished = events[-1]
    assert isinstance(finished, Finished), finished
    return [each.image for each in finished.pictures], events


def most_together(events: list[Any]) -> int:
    return max(each.together for each in events if isinstance(each, Progress))


def from_picture(**changes: Any) -> ImageToImage:
    settings = WORDS.model_dump(exclude={"kind", "hires", "upscaling"}) | {
        "image": given(photo(0, 64, 64))
    }
    return ImageToImage(**settings | changes)


def with_control(engine: Engine) -> TextToImage:
    name = engine.manager.catalog.rows(ControlNetRow)[0].name
    control = ControlInput(image=given(photo(0, 64, 64)), controlnet=name, preprocessor="none")
    return WORDS.model_copy(update={"controls": (control,)})


CASES: dict[str, Callable[[Engine], Painting]] = {
    "words": lambda _engine: WORDS,
    "unguided": lambda _engine: WORDS.model_copy(update={"guidance_scale": 1.0}),
    "noise at every step": lambda _engine: WORDS.model_copy(update={"sampler": "Euler a"}),
    "two calls a step": lambda _engine: WORDS.model_copy(update={"sampler": "Heun"}),
    "variations": lambda _engine: WORDS.model_copy(
        update={"variation_strength": 0.3, "variation_seed": 5}
    ),
    "a picture": lambda _engine: from_picture(strength=0.6),
    "a picture's variations": lambda _engine: from_picture(
        strength=0.6, variation_strength=0.3, variation_seed=5
    ),
    "a ControlNet": with_control,
}


@pytest.mark.parametrize("profile", ["several", "turbos"])
@pytest.mark.parametrize("case", CASES)
def test_each_is_the_picture_of_its_seed(case: str, profile: str, engine: Engine) -> None:
    request = CASES[case](engine)
    alone, story = painted(engine, request, {"several": "each", "turbos": "turbo"}[profile])
    assert most_together(story) == 1
    together, story = painted(engine, request, profile)
    assert most_together(story) == 4
    assert len({each.tobytes() for each in together}) == 4
    for one, other in zip(alone, together, strict=True):
        assert np.abs(np.asarray(one, int) - np.asarray(other, int)).max() <= 2


def test_a_vae_takes_one_picture_at_a_time(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """So what a batch decodes and encodes takes no more memory than a single picture."""
    seen: list[int] = []
    for name in ("encode", "decode"):
        original = getattr(diffusers.AutoencoderKL, name)

        def counted(vae: Any, sample: Any, _original: Any = original, **settings: Any) -> Any:
            seen.append(sample.shape[0])
            return _original(vae, sample, **settings)

        monkeypatch.setattr(diffusers.AutoencoderKL, name, counted)
    _pictures, story = painted(engine, from_picture(strength=0.6), "several")
    assert most_together(story) == 4
    assert len(seen) >= 8 and set(seen) == {1}


@pytest.mark.parametrize("profile", ["several", "turbos"])
@pytest.mark.parametrize("guidance_scale", [1.0, 4.0])
def test_what_is_put_into_the_model_acts_on_each(
    guidance_scale: float, profile: str, tiny_catalog: Catalog, tmp_path: Path
) -> None:
    with ModelManager(tiny_catalog, device="cpu").lease("mini") as leased:
        parts = leased.pipeline.components
    layers = files.lora_layers(parts)
    files.saved(tmp_path / "ink.safetensors", files.in_peft_keys(layers))
    files.saved(tmp_path / "ip.safetensors", files.ip_adapter_tensors(parts["unet"]))
    encoder = files.save_tiny_image_encoder(tmp_path / "clip")
    catalog = files.with_adapters(
        tiny_catalog,
        loras=(files.lora_row(tmp_path / "ink.safetensors"),),
        ip_adapters=(files.ip_adapter_row(tmp_path / "ip.safetensors", encoder, "mini"),),
    )
    request = WORDS.model_copy(
        update={
            "guidance_scale": guidance_scale,
            "loras": (LoraInput(name="ink", weight=0.5),),
            "ip_adapters": (IpAdapterInput(image=given(photo(0, 64, 64)), scale=0.8),),
            "clip_skip": 2,
        }
    )
    with Engine(ModelManager(catalog, device="cpu"), profiles=PROFILES) as engine:
        alone, _story = painted(engine, request, {"several": "each", "turbos": "turbo"}[profile])
        together, told = painted(engine, request, profile)
        bare, _story = painted(engine, WORDS, profile)
    assert most_together(told) == 4
    for one, other, without in zip(alone, together, bare, strict=True):
        assert np.abs(np.asarray(one, int) - np.asarray(other, int)).max() <= 2
        assert one.tobytes() != without.tobytes()


@pytest.mark.parametrize("kind", ["inpaint", "loopback", "hires"])
def test_what_cant_be_together_is_a_loop(kind: str, engine: Engine) -> None:
    mask = Image.new("L", (64, 64), 255)
    settings = WORDS.model_dump(exclude={"kind", "hires", "upscaling"})
    request = {
        "inpaint": Inpaint(**settings, image=given(photo(0, 64, 64)), mask=given(mask)),
        "loopback": from_picture(loopback=2),
        "hires": WORDS.model_copy(update={"hires": HiresFix(scale=1.5, upscaler="latent")}),
    }[kind]
    alone, _story = painted(engine, request, "each")
    together, story = painted(engine, request, "several")
    assert most_together(story) == 1
    assert [each.tobytes() for each in together] == [each.tobytes() for each in alone]


def test_the_story_counts_all_of_them(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    # Their share of the time would decide otherwise whether the second group has a preview.
    monkeypatch.setattr(PreviewRateLimit, "allows_preview", lambda _limit: True)
    request = WORDS.model_copy(update={"num_images": 6})
    _pictures, story = painted(engine, request, "several")
    steps = [each for each in story if isinstance(each, Progress)]
    told = [(each.stage, each.image_index, each.together) for each in steps]
    once = list(dict.fromkeys(told))
    assert once == [
        ("denoising", 0, 4), *(("decoding", at, 4 - at) for at in range(4)),
        ("denoising", 4, 2), *(("decoding", at, 6 - at) for at in (4, 5)),
    ]  # fmt: skip
    shapes = {each.preview.size for each in steps if each.preview and each.stage == "denoising"}
    assert shapes == {(128, 128), (128, 64)}, "previews lie side by side"


def test_enlarging_counts_on(engine: Engine) -> None:
    name = engine.manager.catalog.rows(UpscalerRow)[0].name
    request = WORDS.model_copy(update={"upscaling": Upscaling(upscaler=name, scale=2)})
    pictures, story = painted(engine, request, "several")
    assert {each.size for each in pictures} == {(128, 128)}
    tiles = [each for each in story if isinstance(each, Progress) and each.stage == "upscaling"]
    assert {(each.image_index, each.together) for each in tiles} == {(0, 4), (1, 3), (2, 2), (3, 1)}


def test_memory_that_runs_out_costs_only_the_speed(
    tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults, original = Faults(), pipelines.load_pipeline

    def load(*arguments: Any, **named: Any) -> pipelines.LoadedModel:
        loaded = original(*arguments, **named)
        loaded.components["unet"].register_forward_pre_hook(faults.hook("unet"))
        return loaded

    monkeypatch.setattr(pipelines, "load_pipeline", load)
    with Engine(ModelManager(tiny_catalog, device="cpu"), profiles=PROFILES) as engine:
        alone, _story = painted(engine, WORDS, "each")
        faults.expect("unet", 1, after=2)
        pictures, story = painted(engine, WORDS, "several")
        said = [each.message for each in story if isinstance(each, Loading)]
        assert said[-1] == "Out of memory. Trying again one picture at a time"
        assert [each.tobytes() for each in pictures] == [each.tobytes() for each in alone]
        assert "one at a time" in story[-1].warnings[0]
        _pictures, again = painted(engine, WORDS, "several")
    assert most_together(again) == 1, "it is remembered"
    assert faults.raised == 1


def test_no_more_than_there_is_memory_for(
    tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Planner.count_together
    asked: list[tuple[int, int]] = []

    def most(self: Planner, *arguments: Any) -> int:
        found = original(self, *arguments)
        asked.append((arguments[-1], found))
        return found

    monkeypatch.setattr(Planner, "count_together", most)
    roomy = ModelManager(tiny_catalog, device="cpu")
    with Engine(roomy, profiles=PROFILES) as engine:
        painted(engine, WORDS, "several")
        needed = engine.forecast("mini", Size(64, 64))
    assert asked == [(4, 4)] and needed is not None
    asked.clear()
    tight = ModelManager(
        tiny_catalog, device="cpu", memory_budget_bytes=int(needed.needed_bytes * 1.02)
    )
    with Engine(tight, profiles=PROFILES) as engine:
        painted(engine, WORDS, "several")
    assert asked[0] in ((4, 2), (4, 3))
