"""SDXL's hand-over to a refiner, on tiny models: against diffusers' own two pipelines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from PIL import Image

from paintdiff.errors import JobCancelledError, ModelLoadError, RequestError
from paintdiff.imaging.geometry import Size
from paintdiff.models.adapters.specs import Adapters, LoraUse
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.inference.denoising_run import Denoising, Repainting, Source, Variation
from paintdiff.models.inference.pipelines.leased_pipeline import LeasedPipeline
from paintdiff.models.manager.model_manager import ModelManager
from tests import adapter_files as files

RUN = Denoising("a red house", "a boat", Size(64, 64), 6, 5.0, "Euler", seed=3, switch_at=0.5)


@pytest.fixture(scope="module")
def refiner_folder(tiny_xl_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A refiner as SDXL's is: one text encoder, told how good to be; of other weights."""
    base: Any = diffusers.StableDiffusionXLPipeline.from_pretrained(tiny_xl_folder)
    torch.manual_seed(9)
    config = {key: value for key, value in base.unet.config.items() if not key.startswith("_")}
    config |= {"cross_attention_dim": 32, "projection_class_embeddings_input_dim": 72}
    folder = tmp_path_factory.mktemp("refiner") / "tiny-refiner"
    class_: Any = diffusers.StableDiffusionXLImg2ImgPipeline
    class_(
        vae=base.vae,
        text_encoder=None,
        text_encoder_2=base.text_encoder_2,
        tokenizer=None,
        tokenizer_2=base.tokenizer_2,
        unet=diffusers.UNet2DConditionModel(**config),
        scheduler=base.scheduler,
        requires_aesthetics_score=True,
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def manager(tiny_xl_folder: Path, refiner_folder: Path) -> ModelManager:
    catalog = Catalog.default().with_source(str(tiny_xl_folder))
    catalog = catalog.with_source(str(refiner_folder), family="sdxl")
    with ModelManager(catalog, device="cpu").lease(tiny_xl_folder.name) as leased:
        layers = files.lora_layers(leased.pipeline.components)
    lora = files.saved(refiner_folder.parent / "ink.safetensors", files.in_peft_keys(layers))
    catalog = files.with_adapters(catalog, loras=(files.lora_row(lora),))
    return ModelManager(catalog, device="cpu")


REFINED = Adapters(refiner="tiny-refiner")


def denoised(leased: LeasedPipeline, run: Denoising = RUN) -> torch.Tensor:
    return leased.denoise(run, lambda _step, _preview: None)


def by_hand(
    class_: Any, folder: Path, refiner_folder: Path, sampler: Any, **first: Any
) -> torch.Tensor:
    """The same run as in diffusers' documentation."""
    both: list[Any] = []
    for kind, place in (
        (class_, folder),
        (diffusers.StableDiffusionXLImg2ImgPipeline, refiner_folder),
    ):
        pipeline = kind.from_pretrained(place, dtype=torch.float32, local_files_only=True)
        pipeline.scheduler = sampler.from_config(pipeline.scheduler.config)
        pipeline.set_progress_bar_config(disable=True)
        both.append(pipeline)
    common = {
        "prompt": RUN.prompt,
        "negative_prompt": RUN.negative_prompt,
        "num_inference_steps": 6,
        "guidance_scale": 5.0,
        "output_type": "latent",
    }
    base, refiner = both
    latents = base(
        **common, **first, denoising_end=0.5, generator=torch.Generator("cpu").manual_seed(3)
    ).images
    return refiner(
        **common,
        image=latents,
        denoising_start=0.5,
        generator=torch.Generator("cpu").manual_seed(3),
    ).images


@pytest.mark.parametrize("sampler", ["Euler", "DPM++ 2M"])
def test_it_is_diffusers_own_hand_over(
    manager: ModelManager, tiny_xl_folder: Path, refiner_folder: Path, sampler: str
) -> None:
    class_: Any = {
        "Euler": diffusers.EulerDiscreteScheduler,
        "DPM++ 2M": diffusers.DPMSolverMultistepScheduler,
    }[sampler]
    expected = by_hand(
        diffusers.StableDiffusionXLPipeline,
        tiny_xl_folder,
        refiner_folder,
        class_,
        width=64,
        height=64,
    )
    run = replace(RUN, sampler=sampler)
    with manager.lease(tiny_xl_folder.name, adapters=REFINED) as leased:
        found = denoised(leased, run)
        assert leased.hashes["refiner"]
    with manager.lease(tiny_xl_folder.name) as leased:
        assert not torch.equal(denoised(leased, replace(run, switch_at=1.0)), found)
    assert torch.equal(found, expected)


def test_image_to_image_hands_over_too(
    manager: ModelManager, tiny_xl_folder: Path, refiner_folder: Path
) -> None:
    image = Image.effect_noise((64, 64), 60).convert("RGB")
    expected = by_hand(
        diffusers.StableDiffusionXLImg2ImgPipeline,
        tiny_xl_folder,
        refiner_folder,
        diffusers.EulerDiscreteScheduler,
        image=image,
        strength=0.8,
    )
    run = replace(RUN, source=Source(image, 0.8))
    with manager.lease(tiny_xl_folder.name, "image_to_image", adapters=REFINED) as leased:
        assert torch.equal(denoised(leased, run), expected)


@pytest.mark.parametrize("variation", [None, Variation(5, 0.5)])
def test_inpainting_hands_over_what_is_inside_the_mask(
    manager: ModelManager, tiny_xl_folder: Path, variation: Variation | None
) -> None:
    """Outside the mask the result is the picture's own latents, to the last bit: the refiner didn't
    take the noisy ones for the picture.
    """
    image = Image.effect_noise((64, 64), 60).convert("RGB")
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (16, 16, 48, 48))
    run = replace(RUN, source=Source(image, 1.0, Repainting(mask)), variation=variation)
    with manager.lease(tiny_xl_folder.name, "inpaint") as leased:
        alone = denoised(leased, replace(run, switch_at=1.0))
    with manager.lease(tiny_xl_folder.name, "inpaint", adapters=REFINED) as leased:
        refined = denoised(leased, run)
    cells = alone.shape[-1]
    edge = cells // 4
    inside = torch.zeros_like(alone, dtype=torch.bool)
    inside[..., edge : cells - edge, edge : cells - edge] = True
    assert torch.equal(alone[~inside], refined[~inside])
    assert not torch.allclose(alone[inside], refined[inside], atol=1e-3)


def test_the_steps_are_counted_as_one_runs(manager: ModelManager, tiny_xl_folder: Path) -> None:
    for switch_at in (0.2, 0.5, 0.8):
        steps: list[int] = []
        with manager.lease(tiny_xl_folder.name, adapters=REFINED) as leased:
            run = replace(RUN, switch_at=switch_at)
            both = leased.plan_hand_over(run)
            leased.denoise(run, lambda step, _preview, steps=steps: steps.append(step))
        assert both.own_steps + both.refiner_steps == 6
        assert steps == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(("switch_at", "strength"), [(0.9999, 1.0), (0.3, 0.4), (1.0, 1.0)])
def test_without_steps_for_both_nobody_hands_over(
    manager: ModelManager, tiny_xl_folder: Path, switch_at: float, strength: float
) -> None:
    source = None
    task = "text_to_image"
    if strength < 1:
        task = "image_to_image"
        source = Source(Image.effect_noise((64, 64), 60).convert("RGB"), strength)
    run = replace(RUN, switch_at=switch_at, source=source)
    with manager.lease(tiny_xl_folder.name, task, adapters=REFINED) as leased:
        assert not leased.plan_hand_over(run).happens
        found = denoised(leased, run)
    with manager.lease(tiny_xl_folder.name, task) as leased:
        assert torch.equal(denoised(leased, replace(run, switch_at=1.0)), found)


def test_a_run_broken_off_in_the_refiner_leaves_nothing_behind(
    manager: ModelManager, tiny_xl_folder: Path
) -> None:
    adapters = replace(REFINED, loras=(LoraUse("ink"),))
    with manager.lease(tiny_xl_folder.name) as leased:
        before = denoised(leased)

    def stop(step: int, _preview: object) -> None:
        if step == 5:
            raise JobCancelledError("enough")

    with (
        pytest.raises(JobCancelledError),
        manager.lease(tiny_xl_folder.name, adapters=adapters) as leased,
    ):
        leased.denoise(RUN, stop)
    with manager.lease(tiny_xl_folder.name) as leased:
        assert torch.equal(denoised(leased), before)


def test_a_model_cant_be_its_own_refiner(manager: ModelManager, tiny_xl_folder: Path) -> None:
    with (
        pytest.raises(ModelLoadError, match="own refiner"),
        manager.lease(tiny_xl_folder.name, adapters=Adapters(refiner=tiny_xl_folder.name)),
    ):
        pytest.fail("it is on loan already")


def test_clip_skip_counts_as_the_a1111_web_ui_does(
    manager: ModelManager, tiny_manager: ModelManager, tiny_xl_folder: Path
) -> None:
    with tiny_manager.lease("mini") as leased:
        one, two = (denoised(leased, replace(RUN, clip_skip=skip)) for skip in (1, 2))
        assert not torch.equal(one, two)
        encoder = leased.pipeline.text_encoder
        words: list[torch.Tensor] = []
        for text in (RUN.prompt, RUN.negative_prompt):
            ids = leased.prompts.tokenizer(
                text, padding="max_length", return_tensors="pt"
            ).input_ids
            layers = encoder(ids, output_hidden_states=True).hidden_states
            words.append(encoder.final_layer_norm(layers[-2]))
        bare = leased.pipeline(
            prompt_embeds=words[0],
            negative_prompt_embeds=words[1],
            width=64,
            height=64,
            num_inference_steps=6,
            guidance_scale=5.0,
            output_type="latent",
            generator=torch.Generator("cpu").manual_seed(3),
        ).images
        assert torch.allclose(two, bare, atol=1e-4)
        with pytest.raises(RequestError, match="2 layers") as error:
            denoised(leased, replace(RUN, clip_skip=3))
        assert error.value.field == "clip_skip"
    with manager.lease(tiny_xl_folder.name) as leased:
        first, second, third = (denoised(leased, replace(RUN, clip_skip=n)) for n in (1, 2, 3))
        assert torch.equal(first, second), "SDXL was trained on the last layer but one"
        assert not torch.equal(second, third)
        assert leased.prompts.skips_layers(3)
        assert not leased.prompts.skips_layers(2)
