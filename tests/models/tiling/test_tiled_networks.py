"""Windows whose results are blended: what each of them sees, and that nobody can tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from paintdiff.imaging.geometry import Box, Size
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.discovery.row_builder import FoundRows
from paintdiff.models.inference.denoising_run import Control, Denoising, Repainting, Source
from paintdiff.models.inference.pipelines import overrides as pipeline_overrides
from paintdiff.models.inference.pipelines.leased_pipeline import LeasedPipeline
from paintdiff.models.inference.pipelines.overrides import choose_vae, override_pipeline
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.samplers import find_samplers
from paintdiff.models.tiling import tiled_networks
from paintdiff.models.tiling.tiled_networks import LARGEST_WHOLE_PX, Blend, TiledUNet, TiledVAE
from paintdiff.models.tiling.windows import choose_windows, cover_with_windows
from tests.tiny import save_tiny_controlnet, save_tiny_pipeline

SIZE = Size(104, 72)
WINDOWS = cover_with_windows(SIZE, Size(64, 64), 8, 0.25)
HALVES = (Box(0, 0, 64, 64), Box(64, 0, 128, 64))
RUN = Denoising("a red house", "", SIZE, 2, 5.0, "DDIM", seed=3)
PICTURE = Image.effect_noise((SIZE.width, SIZE.height), 60).convert("RGB")
MASK = Image.new("L", PICTURE.size, 0)
MASK.paste(255, (16, 16, 90, 60))


@pytest.fixture(scope="module")
def manager(
    tiny_folder: Path, tiny_xl_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> ModelManager:
    """The models "sd1", "sdxl" and "inpainter", and for each a ControlNet of random weights."""
    folder = tmp_path_factory.mktemp("tiled")
    save_tiny_pipeline(folder / "inpainter", sees_masks=True)
    sources = {"sd1": tiny_folder, "sdxl": tiny_xl_folder, "inpainter": folder / "inpainter"}
    catalog, rows = Catalog.default(), []
    for name, source in sources.items():
        catalog = catalog.with_source(str(source), name=name)
        unet = diffusers.UNet2DConditionModel.from_pretrained(source / "unet")
        unet = diffusers.UNet2DConditionModel.from_config({**unet.config, "in_channels": 4})
        path = folder / f"{name}-control"
        save_tiny_controlnet(path, unet)
        family = catalog.find(ModelRow, name).family
        rows.append(ControlNetRow(name=path.name, title=path.name, family=family, source=str(path)))
    return ModelManager(Catalog(FoundRows((*catalog.rows(ModelRow), *rows))), device="cpu")


def ignored(_step: int, _preview: object) -> None:
    pass


# The blend


def invariant(sample: torch.Tensor, timestep: Any, **_settings: Any) -> tuple[torch.Tensor]:
    """It looks at each place alone, so it can't tell where a window begins."""
    return ((sample * timestep).sin() + sample.flip(1) ** 2,)


@pytest.mark.parametrize("size", [Size(64, 64), Size(72, 64), Size(144, 80), Size(200, 312)])
def test_the_blend_of_what_sees_each_place_alone_is_that_of_the_whole(size: Size) -> None:
    windows = cover_with_windows(size, Size(64, 64), 8, 0.5)
    unet = TiledUNet(invariant, [(box, invariant) for box in windows], size, 8)
    sample = torch.randn(2, 4, size.height // 8, size.width // 8)
    (blended,) = unet(sample, 0.7)
    assert torch.allclose(blended, invariant(sample, 0.7)[0], atol=1e-5)


def test_a_blend_keeps_the_precision_it_is_given() -> None:
    blend = Blend((Box(0, 0, 8, 8), Box(4, 0, 12, 8)), 8, 12)
    assert blend.of(lambda _number, _box: torch.ones(1, 4, 8, 8, dtype=torch.float16)).dtype == (
        torch.float16
    )


def test_nothing_ends_abruptly_where_a_window_does() -> None:
    """Two windows that disagree by 1: from cell to cell it changes by little."""
    blend = Blend((Box(0, 0, 16, 4), Box(8, 0, 24, 4)), 4, 24)
    step = blend.of(lambda number, _box: torch.full((1, 1, 4, 16), float(number)))[0, 0, 0]
    assert step[0] == 0
    assert step[-1] == 1
    assert step.diff().min() >= 0
    assert step.diff().max() < 0.21  # a blend without weights would jump by a half, twice
    assert torch.allclose(step + step.flip(0), torch.ones(24), atol=1e-6)


def test_one_window_at_a_time_is_seen_with_both_halves_of_the_guidance() -> None:
    seen: list[tuple[int, ...]] = []

    def unet(sample: torch.Tensor, timestep: Any, **settings: Any) -> tuple[torch.Tensor]:
        seen.append(tuple(sample.shape))
        return invariant(sample, timestep, **settings)

    TiledUNet(unet, [(box, unet) for box in WINDOWS], SIZE, 8)(torch.zeros(2, 9, 9, 13), 1.0)
    assert seen == [(2, 9, 8, 8)] * len(WINDOWS)


def gradient_over_surroundings(picture: Image.Image, lines: tuple[int, ...]) -> float:
    """The mean step between neighbours across lines of both directions, over that within eight
    pixels of them: 1 is no seam.
    """
    pixels = np.asarray(picture, dtype=float)
    at, around = [], []
    for axis in (0, 1):
        across = np.abs(np.diff(pixels, axis=axis)).mean(axis=(1 - axis, 2))
        at += [across[line - 1] for line in lines]
        around += [np.delete(across[line - 9 : line + 8], 8).mean() for line in lines]
    return float(np.mean(at) / np.mean(around))


def test_windows_leave_no_seams(mini_manager: ModelManager) -> None:
    """The embedded painter, and as the negative control the same windows side by side."""
    ramp = Image.linear_gradient("L").convert("RGB")
    size = Size(ramp.width, ramp.height)
    apart = cover_with_windows(size, Size(128, 128), 8, 0.0)
    run = Denoising("", "", size, 6, 4.0, "DDIM", seed=2, source=Source(ramp, 0.67))
    with mini_manager.lease("mini", "image_to_image") as leased:
        blended = replace(run, windows=choose_windows(size, leased.row))
        seams = [
            gradient_over_surroundings(leased.decode(leased.denoise(each, ignored)), lines)
            for each, lines in ((blended, (64, 128, 192)), (replace(run, windows=apart), (128,)))
        ]
    assert seams[0] < 1.1
    assert seams[1] > 1.5


# What each window's UNet is given


@pytest.mark.parametrize("model", ["sd1", "sdxl", "inpainter"])
@pytest.mark.parametrize("steered", [False, True])
def test_each_window_gets_what_the_unet_alone_would(
    model: str, steered: bool, manager: ModelManager
) -> None:
    """Windows that don't overlap give, to the last bit, what each part by itself gives: its own
    part of all channels and of the control map, and the same words and sizes.
    """
    whole = Image.effect_noise((128, 64), 90).convert("RGB")
    name = f"{model}-control"
    controls = (Control(name, whole),) if steered else ()
    run = replace(RUN, size=Size(128, 64), controls=controls, windows=HALVES)
    task = "inpaint" if model == "inpainter" else "text_to_image"
    with manager.lease(model, task, controlnets=[name] if steered else []) as leased:
        given = unet_inputs(leased, 8, 16)
        predicted = prediction(leased, run, given)
        for box, left in zip(HALVES, (0, 8), strict=True):
            part = [replace(each, map=whole.crop(box.corners)) for each in controls]
            alone = replace(run, size=box.size, controls=tuple(part), windows=())
            cut = given | {"sample": given["sample"][..., left : left + 8]}
            assert torch.equal(prediction(leased, alone, cut), predicted[..., left : left + 8])
        if steered:
            free = prediction(leased, replace(run, controls=()), given)
            assert not torch.equal(predicted, free)


def unet_inputs(leased: LeasedPipeline, height: int, width: int) -> dict[str, Any]:
    """Random inputs as a pipeline gives them to its UNet."""
    torch.manual_seed(0)
    config = leased.pipeline.unet.config
    given: dict[str, Any] = {
        "sample": torch.randn(2, config.in_channels, height, width),
        "encoder_hidden_states": torch.randn(2, 77, config.cross_attention_dim),
    }
    if config.addition_embed_type == "text_time":
        sizes = torch.tensor([[height * 8, width * 8, 0, 0, height * 8, width * 8]] * 2)
        given["added_cond_kwargs"] = {"text_embeds": torch.randn(2, 32), "time_ids": sizes}
    return given


def prediction(leased: LeasedPipeline, run: Denoising, given: dict[str, Any]) -> torch.Tensor:
    """The predictions of the pipeline's UNet, or its replacement, within a run."""
    pipeline, given = leased.pipeline, dict(given)
    pipeline._num_timesteps, pipeline._guidance_scale = 4, 5.0
    networks = leased.controlnets
    with torch.no_grad(), override_pipeline(pipeline, run, networks):
        return pipeline.unet(given.pop("sample"), torch.tensor(500), **given, return_dict=False)[0]


# Whole runs

KINDS: dict[str, Source | None] = {
    "text_to_image": None,
    "image_to_image": Source(PICTURE, 0.7),
    "inpaint": Source(PICTURE, 0.7, Repainting(MASK)),
}


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        *((model, kind) for model in ("sd1", "sdxl") for kind in KINDS),
        ("inpainter", "inpaint"),
    ],
)
def test_every_pipeline_runs_through_windows(model: str, kind: str, manager: ModelManager) -> None:
    name = f"{model}-control"
    run = replace(RUN, source=KINDS[kind], controls=(Control(name, PICTURE, 0.5),))
    with manager.lease(model, kind, controlnets=[name]) as leased:
        unet, vae = leased.pipeline.unet, leased.pipeline.vae
        whole = leased.denoise(run, ignored)
        seen = leased.denoise(replace(run, windows=WINDOWS), ignored)
        again = leased.denoise(replace(run, windows=WINDOWS), ignored)
        assert leased.pipeline.unet is unet
        assert leased.pipeline.vae is vae
        assert tuple(leased.pipeline.config["unet"]) == ("diffusers", "UNet2DConditionModel")
    assert seen.shape == whole.shape
    assert torch.equal(seen, again)
    assert not torch.equal(seen, whole)


@pytest.mark.parametrize("sampler", find_samplers("diffusion"))
def test_every_sampler_runs_through_windows(sampler: str, manager: ModelManager) -> None:
    run = replace(RUN, sampler=sampler, windows=WINDOWS)
    steps: list[int] = []
    with manager.lease("sd1") as leased:
        latents = leased.denoise(run, lambda step, _preview: steps.append(step))
    assert latents.isfinite().all()
    assert steps[-1] == 2


def test_what_fits_into_one_window_is_the_same_to_the_last_bit(manager: ModelManager) -> None:
    with manager.lease("sd1") as leased:
        one = cover_with_windows(SIZE, Size(256, 256), 8, 0.5)
        whole = leased.denoise(RUN, ignored)
        assert torch.equal(leased.denoise(replace(RUN, windows=one), ignored), whole)


def test_a_run_that_is_broken_off_leaves_no_stand_in(manager: ModelManager) -> None:
    def stop(_step: int, _preview: object) -> None:
        raise KeyError("stop")

    with manager.lease("sd1") as leased:
        unet = leased.pipeline.unet
        with pytest.raises(KeyError, match="stop"):
            leased.denoise(replace(RUN, windows=WINDOWS), stop)
        assert leased.pipeline.unet is unet


# The VAE


class Cells(torch.nn.Module):
    """A VAE that looks at each latent's pixels alone."""

    def encode(self, pixels: torch.Tensor) -> Any:
        cells = torch.nn.functional.avg_pool2d(pixels, 8).repeat(1, 3, 1, 1)[:, :8]
        return stand_ins_output(cells)

    def decode(self, latents: torch.Tensor, return_dict: bool = False) -> tuple[torch.Tensor]:
        assert not return_dict
        return (latents[:, :3].repeat_interleave(8, 2).repeat_interleave(8, 3),)


def stand_ins_output(moments: torch.Tensor) -> Any:
    return tiled_networks.AutoencoderKLOutput(tiled_networks.DiagonalGaussianDistribution(moments))


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (tiled_networks, pipeline_overrides):
        monkeypatch.setattr(module, "LARGEST_WHOLE_PX", 64)


def test_a_vae_in_windows_is_the_vae(small_limit: None) -> None:
    torch.manual_seed(0)
    vae = Cells()
    stand_in: Any = choose_vae(vae, SIZE, 8)
    assert isinstance(stand_in, TiledVAE)
    pixels, latents = torch.randn(1, 3, 72, 104), torch.randn(1, 4, 9, 13)
    draw: Callable[[Any], torch.Tensor] = lambda output: output.latent_dist.sample(  # noqa: E731
        torch.Generator().manual_seed(1)
    )
    assert torch.allclose(draw(stand_in.encode(pixels)), draw(vae.encode(pixels)), atol=1e-5)
    decoded = stand_in.decode(latents, return_dict=False)[0]
    assert torch.allclose(decoded, vae.decode(latents)[0], atol=1e-5)


def test_pictures_up_to_the_limit_arent_tiled() -> None:
    vae = Cells()
    side = LARGEST_WHOLE_PX
    assert choose_vae(vae, Size(side, side), 8) is vae
    assert choose_vae(vae, Size(side + 8, side), 8) is not vae


@pytest.mark.parametrize("model", ["sd1", "sdxl"])
def test_large_pictures_go_through_the_vae_in_windows(
    model: str, manager: ModelManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = replace(RUN, source=KINDS["image_to_image"])
    with manager.lease(model, "image_to_image") as leased:
        latents = leased.denoise(run, ignored)
        whole = leased.decode(latents)
        shapes: list[tuple[int, ...]] = []
        decode = leased.pipeline.vae.decode

        def watched(part: torch.Tensor, **settings: Any) -> Any:
            shapes.append(tuple(part.shape[-2:]))
            return decode(part, **settings)

        monkeypatch.setattr(leased.pipeline.vae, "decode", watched)
        for module in (tiled_networks, pipeline_overrides):
            monkeypatch.setattr(module, "LARGEST_WHOLE_PX", 64)
        in_windows = leased.decode(latents)
        elsewhere = leased.denoise(run, ignored)
    assert set(shapes) == {(8, 8), (6, 8)}  # the latter is the whole, made small
    assert in_windows.size == whole.size == PICTURE.size
    assert not torch.equal(elsewhere, latents)  # what it started from was encoded in windows, too


# One model, two tasks


def test_another_task_shares_all_but_the_scheduler(manager: ModelManager) -> None:
    with manager.lease("sd1", controlnets=["sd1-control"]) as leased:
        other = leased.for_task("image_to_image")
        assert other is leased.for_task("image_to_image")
        for part in ("unet", "vae", "text_encoder"):
            assert getattr(other.pipeline, part) is getattr(leased.pipeline, part)
        assert other.pipeline.scheduler is not leased.pipeline.scheduler
        run = replace(RUN, source=KINDS["image_to_image"])
        run = replace(run, controls=(Control("sd1-control", PICTURE),))
        latents = other.denoise(run, ignored)
    with manager.lease("sd1", "image_to_image", controlnets=["sd1-control"]) as leased:
        assert torch.equal(latents, leased.denoise(run, ignored))


@pytest.mark.parametrize("model", ["sd1", "sdxl"])
def test_a_run_may_start_from_enlarged_latents(model: str, manager: ModelManager) -> None:
    with manager.lease(model) as leased:
        small = leased.denoise(replace(RUN, size=Size(64, 64)), ignored)
        large = leased.upscale_latents(small, SIZE)
        assert large.shape == (1, 4, 9, 13)
        other = leased.for_task("image_to_image")
        faint = other.denoise(replace(RUN, source=Source(large, 0.5)), ignored)
        strong = other.denoise(replace(RUN, source=Source(large, 1.0)), ignored)
        zeros = replace(RUN, source=Source(torch.zeros_like(large), 0.5))
        assert not torch.equal(faint, other.denoise(zeros, ignored))
    assert (faint - large).abs().mean() < (strong - large).abs().mean()
