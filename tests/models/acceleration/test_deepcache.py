"""A profile's shortcuts within a run; nothing of them stays in the shared network."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from PIL import Image

from paintdiff.imaging.geometry import Box, Size
from paintdiff.models.acceleration.deepcache import FeatureCache, SplitUNet, can_cache_features
from paintdiff.models.acceleration.guidance_interval import GuidanceInterval
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.discovery.row_builder import FoundRows
from paintdiff.models.inference.denoising_run import Control, Denoising, Repainting, Source
from paintdiff.models.inference.pipelines.overrides import filter_supported
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.speed_profiles import EXACT, Profile
from tests.tiny import save_tiny_controlnet, save_tiny_pipeline

RUN = Denoising("a red house", "", Size(64, 64), 6, 5.0, "DDIM", seed=3)
EDGES = Image.effect_noise((64, 64), 90).convert("RGB")
PICTURE = Image.effect_noise((64, 64), 60).convert("RGB")
MASK = Image.linear_gradient("L").resize((64, 64))
CACHED = Profile(name="cached", title="", says="", feature_interval=3)
BRIEFLY_GUIDED = Profile(name="briefly", title="", says="", guidance_end=0.5)
TURBO = CACHED.model_copy(update={"guidance_end": 0.5})


@pytest.fixture(scope="module")
def manager(
    tiny_folder: Path, tiny_xl_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> ModelManager:
    """The models "sd1", "sdxl" and "inpainter", with two ControlNets each but for the last."""
    folder = tmp_path_factory.mktemp("cached")
    save_tiny_pipeline(folder / "inpainter", sees_masks=True)
    catalog = Catalog.default()
    sources = {"sd1": tiny_folder, "sdxl": tiny_xl_folder, "inpainter": folder / "inpainter"}
    rows = []
    for name, source in sources.items():
        catalog = catalog.with_source(str(source), name=name)
        if name == "inpainter":
            continue
        unet = diffusers.UNet2DConditionModel.from_pretrained(source / "unet")
        for pooled in (False, True):
            path = folder / f"{name}-{'pooled' if pooled else 'plain'}"
            save_tiny_controlnet(path, unet, seed=1, pooled=pooled)
            family = catalog.find(ModelRow, name).family
            rows.append(
                ControlNetRow(name=path.name, title=path.name, family=family, source=str(path))
            )
    return ModelManager(Catalog(FoundRows((*catalog.rows(ModelRow), *rows))), device="cpu")


def painted(
    manager: ModelManager, model: str, run: Denoising, profile: Profile, task: str = ""
) -> torch.Tensor:
    """The latents of a run, once it is sure that the network is what it was before."""
    names = [control.controlnet for control in run.controls]
    kind = task or "text_to_image"
    with manager.lease(model, kind, controlnets=names, profile=profile) as leased:
        unet = leased.pipeline.unet
        before = traces_of(unet)
        latents = leased.denoise(run, lambda _step, _preview: None)
        assert leased.pipeline.unet is unet
        assert traces_of(unet) == before
        return latents


def traces_of(network: torch.nn.Module) -> Any:
    """All that could be left in a network: each module's attributes, hooks and parts."""
    return {
        name: {key: id(value) for key, value in vars(module).items() if key != "_diffusers_hook"}
        | dict.fromkeys(getattr(vars(module).get("_diffusers_hook"), "hooks", {}), 0)
        | {f"part {key}": id(part) for key, part in module._modules.items()}
        | {f"{kind} {key}": id(hook) for kind in HOOKS for key, hook in vars(module)[kind].items()}
        for name, module in network.named_modules()
    }


HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_buffers", "_parameters")


@pytest.fixture
def unet(tiny_folder: Path) -> Any:
    return diffusers.UNet2DConditionModel.from_pretrained(tiny_folder / "unet").eval()


def asked(unet: Any, sample: torch.Tensor, words: torch.Tensor, **settings: Any) -> torch.Tensor:
    with torch.no_grad():
        return unet(sample, 5, encoder_hidden_states=words, return_dict=False, **settings)[0]


@pytest.mark.parametrize("attending", [False, True], ids=["UpBlock2D", "CrossAttnUpBlock2D"])
def test_what_was_kept_gives_what_the_whole_would_if_nothing_has_changed(
    unet: Any, attending: bool
) -> None:
    if attending:
        kinds = {"down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"]}
        kinds["up_block_types"] = ["UpBlock2D", "CrossAttnUpBlock2D"]
        torch.manual_seed(1)
        unet = diffusers.UNet2DConditionModel.from_config({**unet.config, **kinds}).eval()
    assert can_cache_features(unet)
    sample, words = torch.randn(2, 4, 8, 8), torch.randn(2, 5, 32)
    expected = asked(unet, sample, words)
    cache = FeatureCache(SplitUNet(unet), 2)
    assert torch.equal(asked(cache, sample, words), expected)  # the whole
    assert cache.reuses(sample)
    for module in (*unet.down_blocks, unet.mid_block):  # what isn't asked can't answer
        module.forward = None
    assert torch.equal(asked(cache, sample, words), expected)
    assert not cache.reuses(sample)


def test_of_a_controlnet_the_first_residual_acts_in_between(unet: Any) -> None:
    sample, words = torch.randn(2, 4, 8, 8), torch.randn(2, 5, 32)
    residuals = [torch.randn(2, 16, 8, 8), torch.randn(2, 16, 8, 8), torch.randn(2, 16, 4, 4)]
    residuals.append(torch.randn(2, 32, 4, 4))
    control = {"down_block_additional_residuals": residuals}
    control["mid_block_additional_residual"] = torch.randn(2, 32, 4, 4)
    expected = asked(unet, sample, words, **control)
    cache = FeatureCache(SplitUNet(unet), 2)
    asked(cache, sample, words, **control)
    assert torch.equal(asked(cache, sample, words), expected)


def test_another_batch_is_computed_whole(unet: Any) -> None:
    sample, words = torch.randn(2, 4, 8, 8), torch.randn(2, 5, 32)
    cache = FeatureCache(SplitUNet(unet), 3)
    asked(cache, sample, words)
    assert not cache.reuses(sample[1:])
    assert torch.equal(asked(cache, sample[1:], words[1:]), asked(unet, sample[1:], words[1:]))
    assert cache.reuses(sample[1:])


def test_without_guidance_the_half_with_words_stands_for_both(unet: Any) -> None:
    class Pipeline:
        num_timesteps = 2

    sample, words = torch.randn(2, 4, 8, 8), torch.randn(2, 5, 32)
    interval = GuidanceInterval(unet, Pipeline(), 0.0, 0.5)
    assert torch.equal(asked(interval, sample, words), asked(unet, sample, words))
    after = asked(interval, sample, words)
    assert torch.equal(after[0], after[1])
    assert torch.equal(after[:1], asked(unet, sample[1:], words[1:]))


KINDS: dict[str, tuple[str, Source | None]] = {
    "text_to_image": ("sd1", None),
    "image_to_image": ("sd1", Source(PICTURE, 0.75)),
    "inpaint": ("sd1", Source(PICTURE, 1.0, Repainting(MASK, soft=True))),
    "inpaint with 9 channels": ("inpainter", Source(PICTURE, 1.0, Repainting(MASK))),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_task_goes_on_with_what_was_kept(manager: ModelManager, kind: str) -> None:
    model, source = KINDS[kind]
    run = replace(RUN, source=source)
    task = kind.split(" with ")[0]
    exact = painted(manager, model, run, EXACT, task)
    turbo = painted(manager, model, run, TURBO, task)
    assert turbo.isfinite().all()
    assert not torch.equal(turbo, exact)
    assert torch.equal(painted(manager, model, run, EXACT, task), exact)


@pytest.mark.parametrize("sampler", ["Heun", "PNDM", "Euler a", "UniPC"])
def test_samplers_of_all_kinds_go_along(manager: ModelManager, sampler: str) -> None:
    run = replace(RUN, sampler=sampler)
    assert painted(manager, "sd1", run, TURBO).isfinite().all()


@pytest.mark.parametrize("model", ["sd1", "sdxl"])
@pytest.mark.parametrize("kind", ["plain", "pooled"])
def test_controls_act_through_it(manager: ModelManager, model: str, kind: str) -> None:
    run = replace(RUN, controls=(Control(f"{model}-{kind}", EDGES),))
    turbo = painted(manager, model, run, TURBO)
    assert turbo.isfinite().all()
    without = painted(manager, model, replace(run, controls=()), TURBO)
    assert (turbo - without).abs().max() > 1e-3


def test_each_window_keeps_its_own(manager: ModelManager) -> None:
    boxes = (Box(0, 0, 64, 64), Box(32, 0, 96, 64))
    control = Control("sd1-plain", EDGES.resize((96, 64)))
    run = replace(RUN, size=Size(96, 64), windows=boxes, controls=(control,))
    exact, turbo = (painted(manager, "sd1", run, each) for each in (EXACT, TURBO))
    assert turbo.shape == exact.shape
    assert not torch.equal(turbo, exact)


def test_free_u_acts_once_on_what_is_kept(unet: Any) -> None:
    unet.enable_freeu(s1=0.9, s2=0.2, b1=1.2, b2=1.4)
    sample, words = torch.randn(2, 4, 8, 8), torch.randn(2, 5, 32)
    cache = FeatureCache(SplitUNet(unet), 2)
    assert torch.equal(asked(cache, sample, words), asked(cache, sample, words))


def test_a_run_that_is_broken_off_leaves_nothing(manager: ModelManager) -> None:
    def stop(step: int, _preview: object) -> None:
        if step == 3:
            raise KeyError("stop")

    with manager.lease("sd1", profile=TURBO) as leased:
        unet = leased.pipeline.unet
        before = traces_of(unet)
        with pytest.raises(KeyError, match="stop"):
            leased.denoise(RUN, stop)
        assert leased.pipeline.unet is unet
        assert traces_of(unet) == before


def test_what_a_network_cant_have_is_left_out(manager: ModelManager, unet: Any) -> None:
    family = manager.catalog.find(ModelRow, "sd1").family
    profile = TURBO.model_copy(update={"block_threshold": 0.1})
    assert filter_supported(unet, family, profile) == TURBO
    hooked = copy.deepcopy(unet)
    hooked.forward = hooked.forward  # as those that move weights about
    assert filter_supported(hooked, family, profile) == BRIEFLY_GUIDED.model_copy(
        update={"name": profile.name}
    )
    flux = manager.catalog.find(ModelRow, "sd1").family.model_copy(update={"guidance": "embedded"})
    assert not filter_supported(unet, flux, profile).limits_guidance


def test_all_of_a_guided_batch_is_halved_and_nothing_else() -> None:
    class Pipeline:
        num_timesteps = 1

    seen: dict[str, Any] = {}

    def denoiser(_sample: torch.Tensor, **settings: Any) -> tuple[torch.Tensor]:
        seen.update(settings)
        return (torch.ones(1, 4, 8, 8),)

    pair = torch.tensor([[1.0], [2.0]])
    given = {
        "added_cond_kwargs": {"image_embeds": [pair], "time_ids": pair},
        "timestep": torch.tensor(5),
        "words": torch.ones(3, 2),
        "return_dict": False,
    }
    interval = GuidanceInterval(denoiser, Pipeline(), 0.0, 0.0)
    assert interval(torch.zeros(2, 4, 8, 8), **given)[0].shape == (2, 4, 8, 8)
    assert seen["added_cond_kwargs"]["image_embeds"][0].tolist() == [[2.0]]
    assert seen["added_cond_kwargs"]["time_ids"].tolist() == [[2.0]]
    assert seen["timestep"].ndim == 0
    assert seen["words"].shape == (3, 2)
    assert interval(torch.zeros(1, 4, 8, 8), **given)[0].shape == (1, 4, 8, 8)  # has no guidance
