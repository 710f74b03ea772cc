"""Stable Diffusion 1.5 with all of its layers, of numbers that mean nothing. In its real size, as
`make test-long` has it, it takes half a minute, 5 GB of memory and 4 GB on the disk. (Pickles of
every kind are read elsewhere.)
"""

from __future__ import annotations

import gc
import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers
from accelerate import init_empty_weights
from safetensors.torch import save_file

from benchmarks.random_models import fill
from paintdiff.config.presets import presets_folder
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.loading import pipelines
from paintdiff.models.loading.pipeline_files import LoadingContext
from paintdiff.models.loading.pipelines import LoadedModel
from paintdiff.models.loading.tokenizers.clip_vocabulary import build_clip_tokenizer
from paintdiff.models.registry.model_rows import ModelRow
from tests.original_layout import original_tensors

CONFIG = presets_folder() / "configs" / "sd1"
FREE_BYTES = 6 * 2**30
NARROW: dict[str, dict[str, Any]] = {
    "unet": {"block_out_channels": [32, 64, 128, 128], "cross_attention_dim": 96},
    "vae": {"block_out_channels": [32, 64, 64, 64]},
    "text_encoder": {"hidden_size": 96, "intermediate_size": 384, "projection_dim": 96},
}
"""The same layers with a hundredth of the numbers."""


def narrow_config(folder: Path) -> Path:
    shutil.copytree(CONFIG, folder)
    for part, widths in NARROW.items():
        file = folder / part / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | widths))
    return folder


def built(configs: Path) -> dict[str, Any]:
    def config(part: str) -> dict[str, Any]:
        return json.loads((configs / part / "config.json").read_text())

    with init_empty_weights():
        unet = diffusers.UNet2DConditionModel.from_config(config("unet"))
        vae = diffusers.AutoencoderKL.from_config(config("vae"))
        settings = transformers.CLIPTextConfig.from_dict(config("text_encoder"))
        text_encoder = transformers.CLIPTextModel(settings)
    parts = {"unet": unet, "vae": vae, "text_encoder": text_encoder}
    for name, network in parts.items():
        fill(network, name)
    return parts


@pytest.fixture(params=["narrow", pytest.param("full", marks=pytest.mark.long)])
def models(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder with the model in the layout of diffusers, and in a single file."""
    root = tmp_path / "models"
    root.mkdir()
    if request.param == "full" and shutil.disk_usage(root).free < FREE_BYTES:
        pytest.skip("it takes 4 GB on the disk")
    parts = built(CONFIG if request.param == "full" else narrow_config(root / "configs"))
    tensors = original_tensors(parts, {"text_encoder": "cond_stage_model.transformer."})
    save_file(tensors, root / "model.safetensors")
    diffusers.StableDiffusionPipeline(
        **parts,
        tokenizer=build_clip_tokenizer(CONFIG / "tokenizer"),
        scheduler=diffusers.PNDMScheduler.from_pretrained(str(CONFIG), subfolder="scheduler"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(root / "folder", max_shard_size="10GB")
    del parts, tensors
    gc.collect()
    yield root
    shutil.rmtree(root)


def row_of(source: Path) -> ModelRow:
    model = Catalog.default().find(ModelRow, "mini")
    family = model.family.model_copy(update={"name": "sd1"})
    return model.model_copy(
        update={"source": str(source), "closed_vocabulary": False, "family": family}
    )


def painted(loaded: LoadedModel) -> torch.Tensor:
    pipeline = pipelines.assemble_pipeline(loaded, "text_to_image")
    return pipeline(
        "a red sailboat",
        height=64,
        width=64,
        num_inference_steps=1,
        guidance_scale=1.0,
        output_type="latent",
        generator=torch.Generator().manual_seed(0),
    ).images


def settings(loaded: LoadedModel) -> dict[str, Any]:
    config = dict(loaded.components["scheduler"].config)
    return {name: value for name, value in config.items() if not name.startswith("_")}


def test_a_single_file_is_loaded_offline_and_is_what_the_folder_is(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_arguments: object, **_named: object) -> None:
        raise AssertionError("a network was asked for")

    for name in ("socket", "getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refused)
    narrow = models / "configs"
    road = LoadingContext(
        cache_folder=lambda: models / "cache", config_folder=narrow if narrow.exists() else None
    )

    def loaded_from(source: str) -> LoadedModel:
        return pipelines.load_pipeline(row_of(models / source), "cpu", "float16", road=road)

    folder = loaded_from("folder")
    latents = painted(folder)
    assert torch.isfinite(latents).all()
    single = loaded_from("model.safetensors")
    for part in ("unet", "vae", "text_encoder"):
        ours = single.components[part].state_dict()
        theirs = folder.components[part].state_dict()
        assert ours.keys() == theirs.keys()
        for name, tensor in theirs.items():
            assert torch.equal(ours[name], tensor), name
    assert settings(single) == settings(folder)
    assert torch.equal(painted(single), latents)
    assert single.weights_bytes == folder.weights_bytes
