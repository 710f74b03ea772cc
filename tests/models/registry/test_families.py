"""Every family paints: tiny models of random weights, loaded and painted by the real road."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image, ImageChops

from paintdiff.engine.engine import Engine
from paintdiff.errors import JobCancelledError, ModelLoadError, RequestError
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.events import Cancelled, Event, Finished, Progress
from paintdiff.jobs.request_parts import ControlInput, HiresFix
from paintdiff.jobs.requests import ImageToImage, Inpaint, Painting, TextToImage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.discovery.row_builder import FoundRows
from paintdiff.models.inference.denoising_run import Denoising, Repainting, Source, Variation
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.memory.devices import check_dtype
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.upscaler_rows import UpscalerRow
from paintdiff.tasks.text_to_image import resolve
from tests.job_helpers import story
from tests.tasks.contexts import resolve_context
from tests.tasks.pictures import given, painted
from tests.tiny_families import SAVERS, VARIANTS, save_tiny_family

FLOW = ("sd3", "flux", "flux-schnell", "qwen-image", "z-image")
WORDS_ONLY = ("pixart", "other")
FROM_WORDS = tuple(name for name in SAVERS if name != "sdxl-refiner")
FROM_PICTURES = tuple(name for name in SAVERS if name not in WORDS_ONLY)
INPAINTING = tuple(name for name in FROM_PICTURES if name != "sdxl-refiner")
NEW = ("sd2", "sd3", "flux", "qwen-image", "z-image")
"""Those whose parts no other test goes through; the first families' are in tests/tasks."""
SIZE = {"width": 64, "height": 48}

# What diffusers' own pipeline is told for the same picture, at a guidance scale of 3.
GUIDED: dict[str, dict[str, Any]] = {
    "flux-schnell": {},
    "pixart": {"guidance_scale": 3.0, "use_resolution_binning": False, "clean_caption": False},
    "qwen-image": {"true_cfg_scale": 3.0, "negative_prompt": " "},
    "z-image": {"guidance_scale": 2.0},
}

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model of each family."""
    root = tmp_path_factory.mktemp("families")
    for name in SAVERS:
        save_tiny_family(name, root / name)
    return {name: root / name for name in SAVERS}


@pytest.fixture(scope="module")
def engine(folders: dict[str, Path]) -> Iterator[Engine]:
    """An engine that can paint with all of them."""
    upscalers = Catalog.default().rows(UpscalerRow)
    catalog = Catalog.default().with_found(FoundRows(upscalers))
    for name, folder in folders.items():
        family = "other" if name == "other" else None
        catalog = catalog.with_source(str(folder), family=family)
    with Engine(ModelManager(catalog, device="cpu")) as running:
        yield running


def words(model: str, **changes: Any) -> TextToImage:
    settings = {"num_inference_steps": 3, "guidance_scale": 3.0, "seed": 7, **SIZE, **changes}
    return TextToImage.parse({"prompt": "a red house", "model": model, **settings})


def from_picture(model: str, **changes: Any) -> ImageToImage:
    settings = {"image": given(photo()), "strength": 0.5, "num_inference_steps": 4, **changes}
    return ImageToImage(
        prompt="a red house", model=model, guidance_scale=3.0, seed=7, **SIZE | settings
    )


def inpaint(model: str, **changes: Any) -> Inpaint:
    mask = Image.new("L", (64, 48), 0)
    mask.paste(255, (16, 16, 48, 40))
    settings = {"image": given(photo()), "mask": given(mask), "num_inference_steps": 4}
    settings |= {"mask_blur_px": 1.0, **SIZE, **changes}
    return Inpaint(prompt="a red house", model=model, guidance_scale=3.0, seed=7, **settings)


def photo(seed: int = 0) -> Image.Image:
    generator = np.random.default_rng(seed)
    cells = generator.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((64, 48), Image.Resampling.BICUBIC)


def finished(engine: Engine, request: Painting) -> tuple[Finished, list[Event]]:
    events = story(engine, request, 120)
    last = events[-1]
    assert isinstance(last, Finished), last
    return last, events


@pytest.mark.parametrize("name", [name for name in SAVERS if name != "other"])
def test_the_family_is_told_from_the_folder(name: str, engine: Engine) -> None:
    row = engine.manager.catalog.find(ModelRow, name)
    assert row.family.name == VARIANTS.get(name, name)
    assert row.sampler in row.family.sampler_names()


@pytest.mark.parametrize("name", FROM_WORDS)
def test_words_become_the_picture_that_diffusers_paints(
    name: str, engine: Engine, folders: dict[str, Path]
) -> None:
    ended, events = finished(engine, words(name, num_images=2, seed=6))
    pictures = [picture.image for picture in ended.pictures]
    assert {picture.size for picture in pictures} == {(64, 64) if name == "other" else (64, 48)}
    assert pictures[1].tobytes() == painted(engine, words(name)).tobytes(), "seed + 1, alone"
    assert pictures[0].tobytes() != pictures[1].tobytes()
    previews = [e.preview for e in events if isinstance(e, Progress) and e.preview]
    assert bool(previews) == (name != "other")
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folders[name], dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    row = engine.manager.catalog.find(ModelRow, name)
    if row.family.samplers == "diffusion":
        pipeline.scheduler = diffusers.DPMSolverMultistepScheduler.from_config(
            pipeline.scheduler.config, use_karras_sigmas=row.sampler.endswith("Karras")
        )
    theirs = pipeline(
        "a red house",
        width=64,
        height=pictures[1].height,
        num_inference_steps=3,
        generator=torch.Generator("cpu").manual_seed(7),
        **GUIDED.get(name, {"guidance_scale": 3.0}),
    ).images[0]
    assert pictures[1].tobytes() == theirs.tobytes()


@pytest.mark.parametrize("name", [*NEW, *WORDS_ONLY])
def test_every_setting_changes_the_picture(name: str, engine: Engine) -> None:
    family = engine.manager.catalog.find(ModelRow, name).family
    before = painted(engine, words(name))
    changes: list[dict[str, Any]] = [
        {"prompt": "a calm blue sea at night"},
        {"num_inference_steps": 4},
        {"variation_strength": 0.5, "variation_seed": 3},
        *({"sampler": each} for each in family.sampler_names()[-2:] if each != family.sampler),
    ]
    if name != "flux-schnell":
        changes.append({"guidance_scale": 8.0})
    if name not in ("flux", "other"):
        changes.append({"negative_prompt": "green boat"})
    for change in changes:
        assert painted(engine, words(name, **change)).tobytes() != before.tobytes(), change


@pytest.mark.parametrize("name", FLOW)
def test_all_flow_samplers_lead_to_about_the_same_picture(name: str, engine: Engine) -> None:
    """They are solvers of one equation, so with many steps they have to agree."""
    with engine.manager.lease(name) as leased:
        run = Denoising("a red house", "", Size(64, 48), 12, 1.0, "Flow Euler", seed=7)
        euler = leased.denoise(run, lambda _step, _preview: None)
        for sampler in leased.row.family.sampler_names()[1:]:
            other = Denoising("a red house", "", Size(64, 48), 12, 1.0, sampler, seed=7)
            steps: list[int] = []
            latents = leased.denoise(other, lambda step, _p, kept=steps: kept.append(step))
            assert latents.isfinite().all()
            assert not torch.equal(latents, euler)
            assert (latents - euler).norm() < 0.25 * euler.norm(), sampler
            assert (steps[-1], sorted(steps)) == (12, steps)


@pytest.mark.parametrize("name", [name for name in FROM_WORDS if name != "other"])
def test_a_variation_of_strength_one_is_the_other_seed(name: str, engine: Engine) -> None:
    sampler = "DDIM" if name not in FLOW else "Flow Euler"
    run = Denoising("a red house", "", Size(64, 48), 2, 1.0, sampler, seed=7)
    with engine.manager.lease(name) as leased:
        other = leased.denoise(Denoising(**vars(run) | {"seed": 3}), lambda _s, _p: None)
        varied = leased.denoise(
            Denoising(**vars(run) | {"variation": Variation(3, 1.0)}), lambda _s, _p: None
        )
    assert torch.allclose(other, varied, atol=1e-3)


@pytest.mark.parametrize("name", FROM_WORDS)
@pytest.mark.parametrize("variation", [None, Variation(3, 0.4)])
def test_pictures_that_are_denoised_at_once_are_those_of_their_seeds(
    name: str, variation: Variation | None, engine: Engine
) -> None:
    with engine.manager.lease(name) as leased:
        sampler = leased.row.sampler
        first = Denoising("a boat", "", Size(64, 48), 3, 3.0, sampler, 7, variation)
        if variation is not None:
            others = [replace(first, variation=replace(variation, seed=seed)) for seed in (4, 5)]
        else:
            others = [replace(first, seed=seed) for seed in (8, 9)]
        each = [leased.denoise(run, lambda _s, _p: None) for run in (first, *others)]
        together = leased.denoise(first, lambda _s, _p: None, others)
    assert together.shape[0] == 3
    assert torch.allclose(torch.cat(each), together, atol=1e-3)
    assert not torch.allclose(together[0], together[1], atol=1e-2)


@pytest.mark.parametrize("name", FROM_PICTURES)
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_a_picture_becomes_the_picture_that_diffusers_paints(
    name: str, strength: float, engine: Engine
) -> None:
    picture = painted(engine, from_picture(name, strength=strength))
    assert picture.size == (64, 48)
    family = engine.manager.catalog.find(ModelRow, name).family
    with engine.manager.lease(name, "image_to_image") as leased:
        pipeline = leased.pipeline
        if family.samplers == "diffusion":
            pipeline.scheduler = diffusers.DPMSolverMultistepScheduler.from_config(
                pipeline.scheduler.config, use_karras_sigmas=True
            )
        size = {"width": 64, "height": 48} if name in FLOW else {}
        theirs = pipeline(
            "a red house",
            image=photo(),
            strength=strength,
            num_inference_steps=4,
            generator=torch.Generator("cpu").manual_seed(7),
            **size,
            **GUIDED.get(name, {"guidance_scale": 3.0}),
        ).images[0]
    assert picture.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("name", FROM_PICTURES)
def test_as_many_steps_are_run_as_the_strength_says(name: str, engine: Engine) -> None:
    """diffusers' flow pipelines round up where the others round down."""
    for strength, count in ((0.5, 3), (0.3, 2), (0.99, 6)):
        request = from_picture(name, num_inference_steps=7, strength=strength)
        steps = [e.step for e in engine.submit(request).events(120) if isinstance(e, Progress)]
        assert max(steps) == count


@pytest.mark.parametrize("name", [*NEW, "sdxl-refiner"])
def test_settings_change_a_picture_from_a_picture(name: str, engine: Engine) -> None:
    before = painted(engine, from_picture(name))
    other_sampler = "Flow Heun" if name in FLOW else "Euler a"
    for change in (
        {"image": given(photo(1))},
        {"strength": 0.75},
        {"sampler": other_sampler},
        {"variation_strength": 0.5, "variation_seed": 3},
        {"loopback": 2},
    ):
        assert painted(engine, from_picture(name, **change)).tobytes() != before.tobytes(), change


@pytest.mark.parametrize("name", INPAINTING)
def test_nothing_outside_the_mask_changes(name: str, engine: Engine) -> None:
    ended, _events = finished(engine, inpaint(name))
    picture = ended.pictures[0].image
    changed = ImageChops.difference(picture, photo()).convert("L").point(lambda v: 255 * (v > 0))
    assert changed.getbbox() is not None
    assert "0 pixels changed outside the mask" in ended.pictures[0].notes[0]
    corner = (0, 0, 64, 8)  # as far from the mask as its blur reaches
    assert picture.crop(corner).tobytes() == photo().crop(corner).tobytes()
    channels = engine.manager.catalog.find(ModelRow, name).family.latent_channels
    assert f"({channels} channels)" in ended.pictures[0].notes[1]


@pytest.mark.parametrize("name", NEW)
def test_settings_change_what_is_repainted(name: str, engine: Engine) -> None:
    pictures = {
        "plain": painted(engine, inpaint(name)),
        "noise": painted(engine, inpaint(name, masked_content="noise")),
        "empty": painted(engine, inpaint(name, masked_content="empty")),
        "fill": painted(engine, inpaint(name, masked_content="fill")),
        "strength": painted(engine, inpaint(name, strength=1.0)),
        "variation": painted(engine, inpaint(name, variation_strength=0.5, variation_seed=3)),
        "whole variation": painted(
            engine, inpaint(name, strength=1.0, variation_strength=0.5, variation_seed=3)
        ),
        "only masked": painted(engine, inpaint(name, only_masked=True, width=64, height=64)),
    }
    assert len({picture.tobytes() for picture in pictures.values()}) == len(pictures)


@pytest.mark.parametrize("name", NEW)
def test_a_dark_mask_lets_go_late(name: str, engine: Engine) -> None:
    """Grey pixels are held to the picture until the last steps, whatever the pipeline calls its
    mask; black ones to the end."""
    black, grey, white = (Image.new("L", (64, 48), level) for level in (0, 1, 255))
    with engine.manager.lease(name, "inpaint") as leased:

        def latents(mask: Image.Image) -> torch.Tensor:
            source = Source(photo(), 1.0, Repainting(mask, soft=True))
            sampler = "Flow Euler" if name in FLOW else "DDIM"
            run = Denoising("a red house", "", Size(64, 48), 8, 3.0, sampler, 7, source=source)
            return leased.denoise(run, lambda _step, _preview: None)

        kept, late, free = latents(black), latents(grey), latents(white)
    assert 0 < (late - kept).norm() < 0.7 * (free - kept).norm()


@pytest.mark.parametrize("name", NEW)
@pytest.mark.parametrize("upscaler", ["latent", "mini-upscaler"])
def test_a_hires_fix_paints_larger(name: str, upscaler: str, engine: Engine) -> None:
    hires = HiresFix(scale=2.0, upscaler=upscaler, strength=0.5, num_inference_steps=2)
    picture = painted(engine, words(name, num_inference_steps=2, width=32, height=32, hires=hires))
    assert picture.size == (64, 64)


@pytest.mark.parametrize("name", FROM_WORDS)
def test_a_cancelled_run_ends_within_a_step(name: str, engine: Engine) -> None:
    steps = 50 if name == "other" else 400  # LCM has no more
    job = engine.submit(words(name, num_inference_steps=steps, sampler=None))
    seen: list[int] = []
    for event in job.events(120):
        if isinstance(event, Progress):
            seen.append(event.step)
            if event.step >= 2:
                job.cancel()
    assert isinstance(job.latest, Cancelled)
    assert max(seen) < 0.75 * steps
    with pytest.raises(JobCancelledError):
        job.result(120)
    assert painted(engine, words(name)).size[0] == 64, "the next one isn't disturbed"


@pytest.mark.parametrize(
    ("request_", "field", "complaint"),
    [
        (lambda: words("sdxl-refiner"), "model", "only image to image"),
        (lambda: from_picture("pixart"), "model", "can't do image to image"),
        (lambda: words("sd3", sampler="DDIM"), "sampler", "Flow Euler, Flow Heun"),
        (lambda: words("sd1", sampler="Flow Euler"), "sampler", "DDIM, DDPM"),
        (lambda: words("other", sampler="DDIM"), "sampler", "Model's own"),
        (lambda: words("pixart", hires=HiresFix()), "hires", "Upscale the result"),
        (lambda: words("flux", hires=HiresFix(tiled=True)), "hires.tiled", "windows"),
        (lambda: from_picture("z-image", tiled=True), "tiled", "windows"),
        (
            lambda: from_picture("flux", controls=(ControlInput(image=given(photo())),)),
            "controls.0.controlnet",
            "doesn't support ControlNets",
        ),
    ],
)
def test_what_a_family_cant_do_is_refused_in_words(
    request_: Any, field: str, complaint: str, engine: Engine
) -> None:
    with pytest.raises(RequestError, match=complaint) as caught:
        engine.submit(request_())
    assert caught.value.field == field


def test_what_has_no_effect_is_said(engine: Engine) -> None:
    for request, complaint in (
        (words("flux", negative_prompt="fog"), "guidance-distilled"),
        (words("flux-schnell"), "guidance scale of 3 had no effect"),
        (words("other", negative_prompt="fog"), "negative prompt had no effect"),
        (words("other"), "LatentConsistencyModelPipeline, an unknown family"),
        (words("z-image", negative_prompt="fog", guidance_scale=1.0), "needs more than 1"),
    ):
        warnings = finished(engine, request)[0].warnings
        assert any(complaint in text for text in warnings), (complaint, warnings)
    assert finished(engine, words("sd3"))[0].warnings == ()


def test_a_scale_of_one_is_no_guidance_in_every_family(engine: Engine) -> None:
    for name in FROM_WORDS:
        if name not in ("flux", "other"):  # the network's own input
            none, less = (painted(engine, words(name, guidance_scale=g)) for g in (1.0, 0.0))
            assert none.tobytes() == less.tobytes(), name


def test_long_prompts_are_measured_by_the_encoder_that_reads_the_most(engine: Engine) -> None:
    long = "red " * 100
    with engine.manager.lease("sd3") as leased:
        assert (type(leased.prompts.tokenizer).__name__, leased.prompts.max_tokens) == (
            "T5Tokenizer",
            256,
        )
    assert finished(engine, words("sd3", prompt=long))[0].warnings == ()
    warnings = finished(engine, words("sd3", prompt=long * 3 + "calm sea"))[0].warnings
    assert any("too long for sd3" in text for text in warnings)
    assert finished(engine, words("sd1", prompt=long))[0].warnings == ()
    plain = words("sd1", prompt=long, prompt_syntax="plain")
    assert any("too long" in text for text in finished(engine, plain)[0].warnings)


def test_the_row_knows_better_than_the_folder(folders: dict[str, Path]) -> None:
    catalog = Catalog.default().with_source(str(folders["sd1"]))
    row = catalog.find(ModelRow, "sd1").model_copy(
        update={"prediction_type": "v_prediction", "zero_terminal_snr": True}
    )
    changed = Catalog(FoundRows((row,)), {row.family.name: row.family})
    with ModelManager(changed, device="cpu").lease("sd1") as leased:
        leased.denoise(
            Denoising("a red house", "", Size(32, 32), 2, 1.0, "DDIM", seed=7), lambda _s, _p: None
        )
        scheduler = leased.pipeline.scheduler
    assert scheduler.config.prediction_type == "v_prediction"
    assert scheduler.config.timestep_spacing == "trailing"
    assert float(scheduler.alphas_cumprod[-1]) == 0
    assert scheduler.timesteps[0] == 999


def test_a_sampler_that_cant_start_from_pure_noise_is_told_of(folders: dict[str, Path]) -> None:
    row = Catalog.default().with_source(str(folders["sd1"])).find(ModelRow, "sd1")
    whole = row.model_copy(update={"zero_terminal_snr": True})
    for sampler, said in (("PNDM", True), ("DDIM", False)):
        context = resolve_context(Catalog.default(), whole)
        resolve(words("sd1", sampler=sampler), context)
        assert any("pure noise" in text for text in context.warnings) == said


def test_the_refiner_is_told_of_aesthetics(engine: Engine) -> None:
    with engine.manager.lease("sdxl-refiner", "image_to_image") as leased:
        assert leased.pipeline.config.requires_aesthetics_score
        assert not leased.pipeline.config.force_zeros_for_empty_prompt


def test_an_unknown_class_is_refused_when_it_is_loaded(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "film"
    folder.symlink_to(folders["other"])
    copied = tmp_path / "copied"
    copied.mkdir()
    index = (folder / "model_index.json").read_text()
    for part in folder.iterdir():
        if part.is_dir():
            (copied / part.name).symlink_to(part)
    renamed = index.replace("LatentConsistencyModelPipeline", "AnimateDiffPipeline")
    (copied / "model_index.json").write_text(renamed)
    manager = ModelManager(Catalog.default().with_source(str(copied), family="other"), device="cpu")
    with pytest.raises(ModelLoadError, match="AnimateDiffPipeline"), manager.lease("copied"):
        pytest.fail("it paints films")


def test_latents_as_source_are_taken_by_every_family(engine: Engine) -> None:
    for name in INPAINTING:
        channels = engine.manager.catalog.find(ModelRow, name).family.latent_channels
        latents = torch.zeros(1, channels, 8, 8)
        with engine.manager.lease(name, "image_to_image") as leased:
            run = Denoising(
                "a red house",
                "",
                Size(64, 64),
                4,
                1.0,
                leased.row.sampler,
                seed=7,
                source=Source(latents, 0.5),
            )
            assert leased.denoise(run, lambda _s, _p: None).shape == latents.shape, name


def test_what_overflows_in_float16_is_never_loaded_so() -> None:
    assert check_dtype("cpu", "float16", overflows_in_float16=False) == torch.float16
    assert check_dtype("cpu", None, overflows_in_float16=True) == torch.float32
    assert check_dtype("mps", None, overflows_in_float16=True) == torch.bfloat16
    with pytest.raises(ModelLoadError, match="bfloat16"):
        check_dtype("cpu", "float16", overflows_in_float16=True)
