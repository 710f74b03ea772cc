"""Every family's pipeline, in tiny, paints through a lease what diffusers paints without one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import diffusers
import pytest
import torch
from PIL import Image

from paintdiff.errors import ModelLoadError, NotFiniteError
from paintdiff.imaging.geometry import Size
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.inference.denoising_run import Denoising, Repainting, Source, Variation
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.model_rows import ModelRow

RUN = Denoising("a red house", "", Size(64, 64), 4, 5.0, "Euler", seed=3)


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_a_lease_paints_what_diffusers_paints(
    family: str, tiny_folder: Path, tiny_xl_folder: Path
) -> None:
    folder, class_ = {
        "sd1": (tiny_folder, diffusers.StableDiffusionPipeline),
        "sdxl": (tiny_xl_folder, diffusers.StableDiffusionXLPipeline),
    }[family]
    catalog = Catalog.default().with_source(str(folder))
    assert catalog.rows(ModelRow)[-1].family.name == family
    with ModelManager(catalog, device="cpu").lease(folder.name) as leased:
        steps: list[int] = []
        previews: list[object] = []

        def on_step(step: int, preview: object) -> None:
            steps.append(step)
            previews.append(preview)

        image = leased.decode(leased.denoise(RUN, on_step))
    assert steps == [1, 2, 3, 4]
    assert previews[0] is not None
    bare = class_.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    bare.scheduler = diffusers.EulerDiscreteScheduler.from_config(bare.scheduler.config)
    expected = bare(
        prompt=RUN.prompt,
        width=64,
        height=64,
        num_inference_steps=4,
        guidance_scale=5.0,
        generator=torch.Generator("cpu").manual_seed(3),
    ).images[0]
    assert image.tobytes() == expected.tobytes()


@pytest.mark.parametrize("task", ["image_to_image", "inpaint"])
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_sdxl_paints_from_pictures_too(task: str, strength: float, tiny_xl_folder: Path) -> None:
    image = Image.effect_noise((64, 64), 60).convert("RGB")
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (16, 16, 48, 48))
    class_, extra, repainting = {
        "image_to_image": (diffusers.StableDiffusionXLImg2ImgPipeline, {}, None),
        "inpaint": (
            diffusers.StableDiffusionXLInpaintPipeline,
            {"mask_image": mask, "width": 64, "height": 64},
            Repainting(mask),
        ),
    }[task]
    catalog = Catalog.default().with_source(str(tiny_xl_folder))
    run = replace(RUN, source=Source(image, strength, repainting))
    with ModelManager(catalog, device="cpu").lease(tiny_xl_folder.name, task) as leased:
        steps: list[int] = []
        latents = leased.denoise(run, lambda step, _preview: steps.append(step))
        varied = leased.denoise(replace(run, variation=Variation(5, 0.5)), lambda _s, _p: None)
        painted = leased.decode(latents)
    assert steps == list(range(1, int(4 * strength) + 1))
    assert not torch.equal(latents, varied)
    bare = class_.from_pretrained(tiny_xl_folder, dtype=torch.float32, local_files_only=True)
    bare.scheduler = diffusers.EulerDiscreteScheduler.from_config(bare.scheduler.config)
    expected = bare(
        prompt=RUN.prompt,
        image=image,
        strength=strength,
        num_inference_steps=4,
        guidance_scale=5.0,
        generator=torch.Generator("cpu").manual_seed(3),
        **extra,
    ).images[0]
    assert painted.tobytes() == expected.tobytes()


@pytest.mark.parametrize("none", [float("nan"), float("inf")])
def test_numbers_that_are_none_make_no_picture(none: float, tiny_manager: ModelManager) -> None:
    latents = torch.zeros(1, 4, 32, 32)
    with tiny_manager.lease("mini") as leased:
        leased.decode(latents)
        latents[0, 0, 3, 3] = none
        with pytest.raises(NotFiniteError, match="Remove its LoRAs or lower their weights"):
            leased.decode(latents)
        with pytest.raises(NotFiniteError, match="Choose another VAE"):
            leased.decode(torch.full((1, 4, 32, 32), 1e38))


def test_what_on_step_raises_ends_the_run_there(tiny_manager: ModelManager) -> None:
    calls: list[int] = []

    def stop(step: int, _preview: object) -> None:
        calls.append(step)
        if step == 2:
            raise KeyError("stop")

    with tiny_manager.lease("mini") as leased, pytest.raises(KeyError, match="stop"):
        leased.denoise(RUN, stop)
    assert calls == [1, 2]


def test_a_task_the_family_cant_do_is_named(tiny_manager: ModelManager) -> None:
    with (
        pytest.raises(ModelLoadError, match="can't do time travel"),
        tiny_manager.lease("mini", "time_travel"),
    ):
        pytest.fail("there is no pipeline for it")
