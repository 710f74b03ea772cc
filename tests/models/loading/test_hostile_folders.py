"""Folders in diffusers' layout that try to hang, crash or fill up whatever loads them."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from safetensors.torch import save_file

from paintdiff.errors import ModelError, ModelLoadError, PresetError, UnsafeWeightsError
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.loading import pipelines
from paintdiff.models.loading.config_types import find_wrong_value
from paintdiff.models.loading.prediction_types import read_yaml_prediction
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.upscaling.spandrel_networks import Use, load_descriptor


@pytest.fixture
def folder(tmp_path: Path, tiny_folder: Path) -> Path:
    """A tiny pipeline that may be spoiled."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def row_of(folder: Path) -> ModelRow:
    row = Catalog.default().find(ModelRow, "mini")
    return row.model_copy(update={"name": "it", "title": "It", "source": str(folder)})


def change(path: Path, **settings: Any) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **settings}))


ABSURD: tuple[tuple[str, str, Any], ...] = (
    ("scheduler/scheduler_config.json", "num_train_timesteps", 10**9),
    ("scheduler/scheduler_config.json", "solver_order", 10**9),
    ("unet/config.json", "layers_per_block", 10**6),
    ("unet/config.json", "layers_per_block", [10**6, 1]),
    ("unet/config.json", "layers_per_block", 900),
    ("unet/config.json", "transformer_layers_per_block", 10**6),
    ("unet/config.json", "transformer_layers_per_block", [[10**6], 1]),
    ("unet/config.json", "block_out_channels", [16] * 100_000),
    ("unet/config.json", "sample_size", 10**9),
    ("unet/config.json", "cross_attention_dim", 10**9),
    ("unet/config.json", "in_channels", 10**30),
    ("vae/config.json", "layers_per_block", 10**6),
    ("vae/config.json", "block_out_channels", [10**9] * 4),
    ("text_encoder/config.json", "num_hidden_layers", 10**6),
    ("text_encoder/config.json", "max_position_embeddings", 10**9),
    ("text_encoder/config.json", "vocab_size", 10**9),
    ("tokenizer/tokenizer_config.json", "model_max_length", 10**9),
    ("tokenizer/tokenizer_config.json", "model_max_length", 1e30),
    ("tokenizer/tokenizer_config.json", "model_max_length", 0),
    ("tokenizer/tokenizer_config.json", "model_max_length", None),
)


@pytest.mark.parametrize(("name", "key", "value"), ABSURD)
def test_a_configuration_that_asks_for_too_much_is_refused_at_once(
    folder: Path, name: str, key: str, value: Any
) -> None:
    change(folder / name, **{key: value})
    started = time.process_time()
    with pytest.raises((ModelError, PresetError), match=r"at most|model_max_length|list"):
        pipelines.load_pipeline(row_of(folder), "cpu", "float32")
    assert time.process_time() - started < 20


@pytest.mark.parametrize(
    ("name", "key", "value", "reason"),
    [
        ("vae/config.json", "scaling_factor", "cuda", "should be a number"),
        ("vae/config.json", "sample_size", {"": {}}, "should be a number"),
        ("vae/config.json", "block_out_channels", 8, "should be a list"),
        ("vae/config.json", "down_block_types", ["DownEncoderBlock2D", 4], "should be a text"),
        ("unet/config.json", "freq_shift", {"": {}}, "should be a number"),
        ("unet/config.json", "layers_per_block", ["1", 1], "should be a number"),
        ("unet/config.json", "act_fn", ["silu", 1.5], "should be a text"),
        ("scheduler/scheduler_config.json", "timestep_spacing", -1, "should be a text"),
        ("scheduler/scheduler_config.json", "timestep_spacing", "a", "one of leading, linspace"),
        ("scheduler/scheduler_config.json", "prediction_type", "Epsilon", "one of epsilon"),
        ("scheduler/scheduler_config.json", "solver_type", "bh3", "one of midpoint"),
        ("scheduler/scheduler_config.json", "beta_end", "0.02", "should be a number"),
        ("scheduler/scheduler_config.json", "beta_start", 7, "a number from 0 to 1"),
        ("scheduler/scheduler_config.json", "trained_betas", [0.1, -1], "a number from 0 to 1"),
        ("tokenizer/tokenizer_config.json", "eos_token", "int4", "doesn't fit the text encoder"),
        ("tokenizer/tokenizer_config.json", "model_max_length", 1, "no usable model_max_length"),
        ("tokenizer/tokenizer_config.json", "model_max_length", 1000, "at most 77 fits"),
    ],
)
def test_a_configuration_that_would_fail_while_painting_is_refused(
    folder: Path, name: str, key: str, value: Any, reason: str
) -> None:
    change(folder / name, **{key: value})
    with pytest.raises(ModelLoadError, match=reason) as refused:
        pipelines.load_pipeline(row_of(folder), "cpu", "float32")
    assert str(folder.parent) not in str(refused.value)


def test_values_that_models_have_are_accepted() -> None:
    config = {"_class_name": "UNet2DConditionModel", "freq_shift": 0.5, "sample_size": [64, 48]}
    config |= {"layers_per_block": [1, 2], "transformer_layers_per_block": [[1, 2], 3]}
    config |= {"mid_block_type": None, "only_cross_attention": [True, False], "encoder_hid_dim": {}}
    assert find_wrong_value(config) is None
    assert find_wrong_value({"_class_name": "Unknown", "a": {}}) is None


def test_all_that_schedulers_have_by_default_is_accepted() -> None:
    checked = 0
    for name in filter(re.compile(r"\w+Scheduler").fullmatch, dir(diffusers.schedulers)):
        class_ = getattr(diffusers.schedulers, name)
        if isinstance(class_, type) and issubclass(class_, diffusers.SchedulerMixin):
            parameters = inspect.signature(class_.__init__).parameters
            defaults = {key: each.default for key, each in parameters.items()}
            lists = {k: list(v) if isinstance(v, tuple) else v for k, v in defaults.items()}
            known = {k: v for k, v in lists.items() if v is not inspect.Parameter.empty}
            assert find_wrong_value({"_class_name": name, **known}) is None, name
            checked += 1
    assert checked > 30


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_part_without_a_configuration_is_named(folder: Path, part: str) -> None:
    (folder / part / "config.json").unlink()
    with pytest.raises(ModelLoadError, match=rf"The {part} of this model has no config\.json"):
        pipelines.load_pipeline(row_of(folder), "cpu", "float32")


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("unet", ["os", "system"]),
        ("unet", ["diffusers", "StableDiffusionPipeline"]),
        ("unet", ["diffusers", "utils"]),
        ("unet", ["diffusers.utils", "logging"]),
        ("unet", ["transformers", "AutoModel"]),
        ("unet", ["transformers", "pipeline"]),
        ("unet", ["diffusers", ["os", "system"]]),
        ("unet", [["diffusers"], "UNet2DConditionModel"]),
        ("unet", []),
        ("unet", 7),
        ("unet", "diffusers"),
        ("another", {"0": "os", "1": "system"}),
        ("another", ["os", "system"]),
        ("_class_name", ["my_pipeline", "MyPipeline"]),
    ],
)
def test_an_index_names_parts_and_nothing_else(folder: Path, part: str, value: Any) -> None:
    change(folder / "model_index.json", **{part: value})
    with pytest.raises(UnsafeWeightsError, match=r"model.*(asks for|names)"):
        pipelines.load_pipeline(row_of(folder), "cpu", "float32")


def test_a_part_that_is_a_pipeline_of_its_own_is_refused(folder: Path) -> None:
    inner = {"_class_name": "StableDiffusionPipeline", "unet": ["os", "system"]}
    (folder / "unet" / "model_index.json").write_text(json.dumps(inner))
    with pytest.raises(UnsafeWeightsError, match="index of its own"):
        pipelines.load_pipeline(row_of(folder), "cpu", "float32")


SPOILED: dict[str, Callable[[Path], object]] = {
    "a configuration that is deep": lambda folder: (folder / "unet/config.json").write_bytes(
        b"[" * 100_000
    ),
    "a configuration that is large": lambda folder: (folder / "vae/config.json").write_bytes(
        b" " * 10**7 + b"{}"
    ),
    "a configuration that is a list": lambda folder: (
        folder / "scheduler/scheduler_config.json"
    ).write_text("[]"),
    "an index of pieces elsewhere": lambda folder: (
        folder / "unet/diffusion_pytorch_model.safetensors.index.json"
    ).write_text(json.dumps({"weight_map": {"a": "../../../x.safetensors"}})),
    "an index of pieces without any": lambda folder: (
        folder / "unet/diffusion_pytorch_model.safetensors.index.json"
    ).write_text("{}"),
    "words of terabytes": lambda folder: os.truncate(folder / "tokenizer/tokenizer.json", 10**11),
    "weights that are none": lambda folder: (
        folder / "unet/diffusion_pytorch_model.safetensors"
    ).write_bytes(b"nonsense" * 10),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_folder_that_is_spoiled_costs_an_error(folder: Path, name: str) -> None:
    SPOILED[name](folder)
    with pytest.raises((ModelError, PresetError), match=r"model|config|tokenizer"):
        pipelines.load_pipeline(row_of(folder), "cpu", "float32")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes of this kind")
@pytest.mark.parametrize(
    "name",
    ["model_index.json", "unet/config.json", "tokenizer/merges.txt", "tokenizer/special.json"],
)
def test_a_named_pipe_in_a_folder_is_not_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises((ModelError, PresetError), match="a named pipe, not a file"):
        pipelines.load_pipeline(row_of(folder), "cpu", "float32")


def charsmap(text: str) -> dict[str, Any]:
    return {"normalizer": {"type": "Precompiled", "precompiled_charsmap": text}}


def split(pattern: str) -> dict[str, Any]:
    kind = {"type": "Split", "behavior": "Isolated", "invert": False}
    return {"pre_tokenizer": {**kind, "pattern": {"Regex": pattern}}}


TOKENIZERS: dict[str, dict[str, Any]] = {
    "a panic": charsmap("AAAA"),
    "an abort": charsmap("/////w=="),
    "a model of nothing": {"model": {"type": "Unigram", "unk_id": 0, "vocab": []}},
    "no model": {"model": None},
    "a wrong expression": split("("),
    "an expression that repeats a group": split("(a+)+[XY]"),
    "an expression that takes very long": split("[a-z]*[a-z]*X"),
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_tokenizer_that_panics_costs_an_error(folder: Path, name: str) -> None:
    tokenizer = folder / "tokenizer" / "tokenizer.json"
    change(tokenizer, **TOKENIZERS[name])
    with pytest.raises(ModelLoadError, match=r"tokenizer\.json isn't a usable tokenizer: ."):
        pipelines.load_pipeline(row_of(folder), "cpu", "float32")


def test_a_folder_that_is_not_spoiled_is_loaded(folder: Path) -> None:
    assert pipelines.load_pipeline(row_of(folder), "cpu", "float32").model_hash


NOTES: dict[str, str] = {
    "parts that double": "a: &a [x, x]\n"
    + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(24)
    )
    + "model: {params: {parameterization: *y}}\n",
    "merges that double": "a: &a {x: 1, y: 2}\n"
    + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} {{<<: [*{chr(97 + i)}, *{chr(97 + i)}]}}\n"
        for i in range(24)
    )
    + "model: {params: {parameterization: w}}\n",
    "deep lists": "[" * 20_000,
    "deep lists in lines": "- " * 20_000,
    "deep keys": "? " * 20_000,
    "a list": "model: {params: {parameterization: [v]}}",
    "large": " " * 10**6,
}


@pytest.mark.parametrize("name", NOTES)
def test_a_hostile_note_beside_a_checkpoint_costs_an_error(tmp_path: Path, name: str) -> None:
    note = tmp_path / "it.yaml"
    note.write_text(NOTES[name])
    started = time.process_time()
    with pytest.raises(ModelLoadError, match=r"it\.yaml"):
        read_yaml_prediction(note)
    assert time.process_time() - started < 10


def test_an_upscaler_with_a_layer_of_a_huge_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "it.safetensors"
    save_file({"body.0.weight": torch.zeros(1), "body.999999999.weight": torch.zeros(1)}, path)
    use = Use("upscaler", "enlarge a picture", "x.pth", "ESRGAN")
    with pytest.raises(ModelLoadError, match="a layer numbered 999999999"):
        load_descriptor(path, use)
