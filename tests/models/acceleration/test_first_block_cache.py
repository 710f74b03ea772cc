"""Transformers whose blocks are skipped, and that nothing of it stays in the shared network."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from PIL import Image

from paintdiff.imaging.geometry import Size
from paintdiff.models.acceleration.first_block_cache import BlockCache
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.inference.denoising_run import Denoising, Source
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.speed_profiles import EXACT, Profile
from tests.models.acceleration.test_deepcache import traces_of
from tests.tiny_families import save_tiny_family

RUN = Denoising("a red house", "", Size(64, 64), 4, 5.0, "Flow Euler", seed=3)
SKIPPING = Profile(name="skipping", title="", says="", block_threshold=1.0, guidance_end=0.5)


def save_deeper(family: str, folder: Path) -> None:
    """A tiny model with two blocks of each kind."""
    save_tiny_family(family, folder)
    class_name = json.loads((folder / "model_index.json").read_text())["transformer"][1]
    class_ = getattr(diffusers, class_name)
    config = class_.load_config(folder / "transformer")
    counts = {name: 2 for name in ("num_layers", "n_layers") if name in config}
    torch.manual_seed(5)
    network = class_.from_config({**config, **counts})
    for parameter in network.parameters():
        if parameter.ndim > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.2)
    network.save_pretrained(folder / "transformer")


@pytest.mark.parametrize("family", ["flux", "qwen-image", "sd3", "pixart", "z-image"])
def test_a_family_skips_blocks_and_is_left_as_it_was(family: str, tmp_path: Path) -> None:
    save_deeper(family, tmp_path / family)
    catalog = Catalog.default().with_source(str(tmp_path / family))
    row = catalog.rows(ModelRow)[-1]
    run = replace(RUN, sampler=row.sampler)
    manager = ModelManager(catalog, device="cpu")

    def painted(profile: Profile, task: str = "text_to_image", source: Any = None) -> torch.Tensor:
        with manager.lease(row.name, task, profile=profile) as leased:
            transformer = leased.pipeline.transformer
            before = traces_of(transformer)
            if profile is not EXACT:
                assert leased.profile.keeps_features == (family not in ("sd3", "z-image"))
                assert leased.profile.limits_guidance == (family in ("sd3", "pixart"))
            latents = leased.denoise(replace(run, source=source), lambda _step, _preview: None)
            assert traces_of(transformer) == before
            return latents

    exact = painted(EXACT)
    skipping = painted(SKIPPING)
    assert skipping.isfinite().all()
    assert torch.equal(skipping, exact) == (family == "z-image")  # which can have none of it
    assert torch.equal(painted(EXACT), exact)
    if "image_to_image" in row.family.pipelines:
        picture = Source(Image.effect_noise((64, 64), 60).convert("RGB"), 1.0)
        assert painted(SKIPPING, "image_to_image", picture).isfinite().all()


def test_calls_with_and_without_words_are_told_apart(tmp_path: Path) -> None:
    save_deeper("qwen-image", tmp_path / "qwen")
    catalog = Catalog.default().with_source(str(tmp_path / "qwen"))
    manager = ModelManager(catalog, device="cpu")
    with manager.lease("qwen") as leased:
        cache = BlockCache(leased.pipeline.transformer, 1.0)
        calls: list[str] = []
        original = cache._copy.forward

        def forward(*args: Any, **settings: Any) -> Any:
            managers = [
                block._diffusers_hook.hooks["fbc_leader_block_hook"].state_manager
                for block in list(cache._copy.transformer_blocks)[:1]
            ]
            calls.append(managers[0].context.name)
            return original(*args, **settings)

        vars(cache._copy)["forward"] = forward
        vars(leased.pipeline)["transformer"] = cache
        leased.denoise(RUN, lambda _step, _preview: None)
    assert len(set(calls)) == 2
    assert calls[0::2] == [calls[0]] * 4
    assert calls[1::2] == [calls[1]] * 4
