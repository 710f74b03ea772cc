"""A run with controls is, to the last bit, what diffusers' own ControlNet pipelines paint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from PIL import Image

from paintdiff.errors import ModelLoadError
from paintdiff.imaging.geometry import Size
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.discovery.row_builder import FoundRows
from paintdiff.models.inference.denoising_run import (
    Control,
    Denoising,
    Repainting,
    Source,
    is_guided,
)
from paintdiff.models.inference.schedulers import make_scheduler
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.samplers import find_samplers
from tests.tiny import save_tiny_controlnet, save_tiny_pipeline

RUN = Denoising("a red house", "", Size(64, 64), 4, 5.0, "DDIM", seed=3)
EDGES = Image.effect_noise((64, 64), 90).convert("RGB")
OTHER_EDGES = Image.effect_noise((64, 64), 40).convert("RGB")
PICTURE = Image.effect_noise((64, 64), 60).convert("RGB")
MASK = Image.new("L", (64, 64), 0)
MASK.paste(255, (16, 16, 48, 48))

KINDS: dict[str, tuple[str, Source | None]] = {
    "text_to_image": ("", None),
    "image_to_image": ("Img2Img", Source(PICTURE, 0.75)),
    "inpaint": ("Inpaint", Source(PICTURE, 0.75, Repainting(MASK))),
}


@pytest.fixture(scope="module")
def models(
    tiny_folder: Path, tiny_xl_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Catalog:
    """The models "sd1", "sdxl" and "inpainter", and two ControlNets for each."""
    folder = tmp_path_factory.mktemp("control")
    save_tiny_pipeline(folder / "inpainter", sees_masks=True)
    catalog = Catalog.default()
    sources = {"sd1": tiny_folder, "sdxl": tiny_xl_folder, "inpainter": folder / "inpainter"}
    rows = []
    for name, source in sources.items():
        catalog = catalog.with_source(str(source), name=name)
        unet = diffusers.UNet2DConditionModel.from_pretrained(source / "unet")
        if name == "inpainter":
            unet = diffusers.UNet2DConditionModel.from_config({**unet.config, "in_channels": 4})
        for seed, pooled in ((1, False), (2, False), (3, True)):
            path = folder / f"{name}-{'pooled' if pooled else seed}"
            save_tiny_controlnet(path, unet, seed=seed, pooled=pooled)
            rows.append(row_of(path, catalog.find(ModelRow, name).family))
    return Catalog(FoundRows((*catalog.rows(ModelRow), *rows)))


def row_of(path: Path, family: Any) -> Any:
    return ControlNetRow(name=path.name, title=path.name, family=family, source=str(path))


@pytest.fixture(scope="module")
def manager(models: Catalog) -> ModelManager:
    return ModelManager(models, device="cpu")


def painted(
    manager: ModelManager, model: str, kind: str, run: Denoising
) -> tuple[torch.Tensor, Any]:
    """The run's latents, and the pipeline's UNet after it."""
    names = [control.controlnet for control in run.controls]
    with manager.lease(model, kind, controlnets=names) as leased:
        latents = leased.denoise(run, lambda _step, _preview: None)
        return latents, leased.pipeline.unet


def by_diffusers(manager: ModelManager, model: str, kind: str, run: Denoising) -> torch.Tensor:
    """The same latents by diffusers' own ControlNet pipeline."""
    row = manager.catalog.find(ModelRow, model)
    suffix = KINDS[kind][0]
    xl = "XL" if row.family.name == "sdxl" else ""
    class_ = getattr(diffusers, f"StableDiffusion{xl}ControlNet{suffix}Pipeline")
    networks = [
        diffusers.ControlNetModel.from_pretrained(
            manager.catalog.find(ControlNetRow, each.controlnet).source
        )
        for each in run.controls
    ]
    controls, maps = run.controls, [control.map for control in run.controls]
    settings: dict[str, Any] = {"image" if kind == "text_to_image" else "control_image": maps}
    if run.source is not None:
        settings |= {"image": run.source.image, "strength": run.source.strength}
        if run.source.repainting is not None:
            settings |= {"mask_image": run.source.repainting.mask}
    if kind != "image_to_image" or xl:
        settings |= {"width": 64, "height": 64}
    pipeline = class_.from_pretrained(
        row.source, controlnet=networks, dtype=torch.float32, local_files_only=True
    )
    pipeline.scheduler = make_scheduler(run.sampler, pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(
        prompt=run.prompt,
        num_inference_steps=run.num_inference_steps,
        guidance_scale=run.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(run.seed),
        controlnet_conditioning_scale=[control.conditioning_scale for control in controls],
        control_guidance_start=[control.guidance_start for control in controls],
        control_guidance_end=[control.guidance_end for control in controls],
        output_type="latent",
        **settings,
    ).images


@pytest.mark.parametrize("sampler", ["DDIM", "Heun"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", ["sd1", "sdxl"])
def test_two_controlnets_act_as_in_diffusers(
    manager: ModelManager, model: str, kind: str, sampler: str
) -> None:
    controls = (
        Control(f"{model}-1", EDGES, 0.8, 0.0, 0.6),
        Control(f"{model}-2", OTHER_EDGES, 1.5, 0.3, 1.0),
    )
    run = replace(RUN, sampler=sampler, source=KINDS[kind][1], controls=controls)
    latents, _unet = painted(manager, model, kind, run)
    assert torch.equal(latents, by_diffusers(manager, model, kind, run))


@pytest.mark.parametrize("guidance_scale", [1.0, 5.0])
def test_one_controlnet_acts_as_in_diffusers(manager: ModelManager, guidance_scale: float) -> None:
    run = replace(RUN, guidance_scale=guidance_scale, controls=(Control("sd1-1", EDGES),))
    latents, _unet = painted(manager, "sd1", "text_to_image", run)
    assert torch.equal(latents, by_diffusers(manager, "sd1", "text_to_image", run))


@pytest.mark.parametrize("model", ["sd1", "sdxl"])
@pytest.mark.parametrize("guidance_scale", [1.0, 5.0])
def test_one_that_pools_its_map_acts_as_in_diffusers(
    manager: ModelManager, model: str, guidance_scale: float
) -> None:
    control = Control(f"{model}-pooled", EDGES)
    run = replace(RUN, guidance_scale=guidance_scale, controls=(control,))
    latents, _unet = painted(manager, model, "text_to_image", run)
    expected = by_diffusers(manager, model, "text_to_image", run)
    assert torch.equal(latents, expected)


def test_a_model_that_sees_masks_is_steered_as_in_diffusers(manager: ModelManager) -> None:
    run = replace(RUN, source=KINDS["inpaint"][1], controls=(Control("inpainter-1", EDGES),))
    latents, _unet = painted(manager, "inpainter", "inpaint", run)
    expected = by_diffusers(manager, "inpainter", "inpaint", run)
    assert torch.equal(latents, expected)


@pytest.mark.parametrize("sampler", find_samplers("diffusion"))
def test_every_sampler_follows_the_map(manager: ModelManager, sampler: str) -> None:
    run = replace(RUN, sampler=sampler)
    free, _unet = painted(manager, "sd1", "text_to_image", run)
    control = Control("sd1-1", EDGES)
    held, _unet = painted(manager, "sd1", "text_to_image", replace(run, controls=(control,)))
    other = replace(control, map=OTHER_EDGES)
    elsewhere, _unet = painted(manager, "sd1", "text_to_image", replace(run, controls=(other,)))
    assert not torch.equal(free, held)
    assert not torch.equal(held, elsewhere)


@pytest.mark.parametrize(
    "change",
    [
        {"conditioning_scale": 0.4},
        {"guidance_start": 0.5},
        {"guidance_end": 0.5},
        {"map": OTHER_EDGES},
        {"controlnet": "sd1-2"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_each_setting_of_a_control_matters(manager: ModelManager, change: dict[str, Any]) -> None:
    control = Control("sd1-1", EDGES)
    one, _unet = painted(manager, "sd1", "text_to_image", replace(RUN, controls=(control,)))
    changed = replace(control, **change)
    other, _unet = painted(manager, "sd1", "text_to_image", replace(RUN, controls=(changed,)))
    assert not torch.equal(one, other)


def test_a_soft_mask_and_a_variation_go_with_a_control(manager: ModelManager) -> None:
    grey = MASK.point([level // 2 for level in range(256)])
    run = replace(RUN, source=Source(PICTURE, 0.75, Repainting(grey, soft=True)))
    free, _unet = painted(manager, "sd1", "inpaint", run)
    run = replace(run, controls=(Control("sd1-1", EDGES),))
    held, _unet = painted(manager, "sd1", "inpaint", run)
    assert not torch.equal(free, held)


def test_the_shared_unet_is_left_alone(manager: ModelManager) -> None:
    before, unet = painted(manager, "sd1", "text_to_image", RUN)
    run = replace(RUN, controls=(Control("sd1-1", EDGES),))
    _held, after = painted(manager, "sd1", "text_to_image", run)
    assert after is unet
    with manager.lease("sd1", controlnets=["sd1-1"]) as leased:

        def stop(_step: int, _preview: object) -> None:
            raise KeyError("stop")

        with pytest.raises(KeyError, match="stop"):
            leased.denoise(run, stop)
        assert leased.pipeline.unet is unet
        assert tuple(leased.pipeline.config["unet"]) == ("diffusers", "UNet2DConditionModel")
        again = leased.denoise(RUN, lambda _step, _preview: None)
    assert torch.equal(before, again)


def test_a_controlnet_built_otherwise_is_refused(
    models: Catalog, tmp_path: Path, tiny_folder: Path
) -> None:
    unet = diffusers.UNet2DConditionModel.from_pretrained(tiny_folder / "unet")
    wider = diffusers.UNet2DConditionModel.from_config(
        {**unet.config, "block_out_channels": (16, 16)}
    )
    save_tiny_controlnet(tmp_path / "wider", wider)
    row = row_of(tmp_path / "wider", models.find(ModelRow, "sd1").family)
    manager = ModelManager(Catalog(FoundRows((*models.rows(ModelRow), row))), device="cpu")
    with (
        pytest.raises(ModelLoadError, match=r"wider doesn't fit sd1.*block_out_channels"),
        manager.lease("sd1", controlnets=["wider"]),
    ):
        pytest.fail("it can't fit")


def test_a_control_acts_where_the_whole_call_lies_within() -> None:
    kept = [call for call in range(10) if is_guided(call, 10, 0.25, 0.75)]
    assert kept == [3, 4, 5, 6]
    assert all(is_guided(call, 7, 0.0, 1.0) for call in range(7))
