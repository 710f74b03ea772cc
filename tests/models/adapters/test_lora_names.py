"""LoRAs as each program spells them: all mean the same layers, with the same numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from safetensors.torch import save_file

from paintdiff.errors import ModelLoadError
from paintdiff.models.adapters.lora_formats import LoraFile, read_lora
from paintdiff.models.discovery.detection import detect
from paintdiff.models.formats.headers import read_header
from tests import adapter_files as files
from tests.models.weight_files import write_sparse

Tensors = dict[str, torch.Tensor]
TO_Q = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"


@pytest.fixture(scope="module")
def components(tiny_folder: Path) -> Mapping[str, Any]:
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(
        str(tiny_folder), safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    return pipeline.components


def read(path: Path, components: Mapping[str, Any]) -> LoraFile:
    return read_lora(path, path.stem, diffusers.StableDiffusionPipeline, components)


def renamed(change: Callable[[str], str]) -> Callable[[files.Layers], Tensors]:
    """PEFT's names, changed."""

    def made(layers: files.Layers) -> Tensors:
        return {change(key): each for key, each in files.in_peft_keys(layers).items()}

    return made


def onetrainer(layers: files.Layers) -> Tensors:
    kohya = files.in_kohya_keys(layers)
    return {key.replace("lora_te_", "lora_te1_"): each for key, each in kohya.items()}


def without_component(key: str) -> str:
    return key.removeprefix("unet.").removeprefix("text_encoder.")


SPELLINGS: Mapping[str, Callable[[files.Layers], Tensors]] = {
    "kohya": files.in_kohya_keys,
    "OneTrainer": onetrainer,
    "diffusers, at first": files.in_diffusers_keys,
    "diffusers with an adapter's name": renamed(
        lambda key: key.replace(".weight", ".default.weight")
    ),
    "any adapter's name": renamed(lambda key: key.replace(".weight", ".my-style_1.weight")),
    "PEFT": renamed(lambda key: f"base_model.model.{without_component(key)}"),
    "PEFT within a component": renamed(
        lambda key: key.replace("unet.", "unet.base_model.model.").replace(
            "text_encoder.", "text_encoder.base_model.model."
        )
    ),
    "PEFT of a compiled network": renamed(
        lambda key: f"base_model.model._orig_mod.{without_component(key)}"
    ),
    "no component": renamed(without_component),
    "ComfyUI": renamed(
        lambda key: key.replace("unet.", "diffusion_model.").replace(
            "text_encoder.", "text_encoders.clip_l.transformer.text_model."
        )
    ),
    "OMI": renamed(
        lambda key: (
            key.replace("text_encoder.", "clip_l.")
            .replace("lora_A", "lora_down")
            .replace("lora_B", "lora_up")
        )
    ),
    "LyCORIS": lambda layers: {
        key.replace("lora_unet_", "lycoris_"): each
        for key, each in files.in_kohya_keys(layers).items()
    },
}


@pytest.mark.parametrize("program", SPELLINGS)
def test_every_spelling_is_read(
    program: str, components: Mapping[str, Any], tmp_path: Path
) -> None:
    layers = files.lora_layers(components)
    usual = read(files.saved(tmp_path / "a.safetensors", files.in_peft_keys(layers)), components)
    other = read(files.saved(tmp_path / "b.safetensors", SPELLINGS[program](layers)), components)
    assert len(usual.parts) == len(layers) and (usual.unread, usual.remarks) == (0, ())
    assert other.parts.keys() == usual.parts.keys() and (other.unread, other.remarks) == (0, ())
    for where, part in usual.parts.items():
        assert torch.equal(other.parts[where].up, part.up), where
        assert torch.equal(other.parts[where].down, part.down), where


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_every_precision_is_read(
    dtype: torch.dtype, components: Mapping[str, Any], tmp_path: Path
) -> None:
    ones = {f"unet.{TO_Q}.lora_A.weight": torch.ones(2, 32, dtype=dtype)}
    ones[f"unet.{TO_Q}.lora_B.weight"] = torch.full((32, 2), 0.5).to(dtype)
    part = read(files.saved(tmp_path / "a.safetensors", ones), components).parts["unet", TO_Q]
    assert part.up.dtype == torch.float32 and float(part.up.max()) == 0.5


def test_a_lora_of_an_adapter_with_a_name_is_found(tmp_path: Path) -> None:
    start = "base_model.model.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
    shapes = {f"{start}.lora_A.mine.weight": (2, 768), f"{start}.lora_B.mine.weight": (320, 2)}
    write_sparse(tmp_path / "adapter_model.safetensors", shapes)
    header = read_header(tmp_path / "adapter_model.safetensors")
    found = detect(header.tensors, header.metadata)
    assert (found.kind, found.family) == ("lora", "sd1")


def test_several_adapters_in_a_file_are_refused(
    components: Mapping[str, Any], tmp_path: Path
) -> None:
    tensors: Tensors = {}
    for name in ("one", "two"):
        tensors[f"unet.{TO_Q}.lora_A.{name}.weight"] = torch.ones(2, 32)
        tensors[f"unet.{TO_Q}.lora_B.{name}.weight"] = torch.ones(32, 2)
    with pytest.raises(ModelLoadError, match=r"both holds several adapters \(one, two\)"):
        read(files.saved(tmp_path / "both.safetensors", tensors), components)


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        ("lokr_w1", "LoKr"),
        ("hada_w1_a", "LoHa"),
        ("hada_w1_a.default", "LoHa"),
        ("oft_diag", "OFT"),
        ("lora_E.default", "AdaLoRA"),
        ("on_input", r"\(IA\)3"),
        ("a1.weight", "GLoRA"),
        ("diff", "whole weights"),
        ("modules_to_save.default.weight", "modules_to_save"),
        ("lora_embedding_A", "token embeddings"),
    ],
)
def test_what_is_no_lora_is_called_what_it_is(
    end: str, kind: str, components: Mapping[str, Any], tmp_path: Path
) -> None:
    other = {f"lora_unet_mid_block_proj_in.{end}": torch.ones(2, 32)}
    path = files.saved(tmp_path / "odd.safetensors", other)
    with pytest.raises(ModelLoadError, match=f"odd is of an unsupported kind: .*{kind}"):
        read(path, components)
    mixed = other | files.in_kohya_keys(files.lora_layers(components))
    found = read(files.saved(path, mixed), components)
    assert any(kind.replace("\\", "") in remark for remark in found.remarks)


def test_a_tucker_decomposition_is_its_product(
    components: Mapping[str, Any], tmp_path: Path
) -> None:
    layer = components["unet"].get_submodule("mid_block.resnets.0.conv1")
    outputs, inputs, *kernel = layer.weight.shape
    down, middle, up = (
        torch.randn(2, inputs, 1, 1),
        torch.randn(2, 2, *kernel),
        torch.randn(outputs, 2, 1, 1),
    )
    stem = "lora_unet_mid_block_resnets_0_conv1"
    tensors = {f"{stem}.lora_down.weight": down, f"{stem}.lora_mid.weight": middle}
    tensors |= {f"{stem}.lora_up.weight": up, f"{stem}.alpha": torch.tensor(2.0)}
    file = read(files.saved(tmp_path / "a.safetensors", tensors), components)
    part = file.parts["unet", "mid_block.resnets.0.conv1"]
    picture = torch.randn(1, inputs, 8, 8)
    conv = torch.nn.functional.conv2d
    wanted = conv(conv(conv(picture, down), middle, padding=1), up)
    assert torch.allclose(conv(conv(picture, part.down, padding=1), part.up), wanted, atol=1e-4)
    assert (file.unread, file.remarks) == (0, ())


def peft_pair(alpha: object = None, rank: int = 2) -> Tensors:
    tensors = {f"unet.{TO_Q}.lora_A.weight": torch.ones(rank, 32)}
    tensors[f"unet.{TO_Q}.lora_B.weight"] = torch.ones(32, rank)
    return tensors


def scale(path: Path, components: Mapping[str, Any]) -> tuple[float, tuple[str, ...]]:
    file = read(path, components)
    return float(file.parts["unet", TO_Q].up.max()), file.remarks


@pytest.mark.parametrize(
    ("config", "factor"),
    [
        ({"r": 2, "lora_alpha": 16}, 8.0),
        ({"r": 64, "lora_alpha": 16}, 8.0),
        ({"lora_alpha": 1}, 0.5),
        ({"peft_type": "LORA"}, 4.0),
        ({"lora_alpha": 8, "use_rslora": True}, 8 / 2**0.5),
        ({"lora_alpha": 8, "alpha_pattern": {"attn1.to_q": 2}}, 1.0),
        ({"lora_alpha": 8, "alpha_pattern": {"^attn1.to_q": 2}}, 4.0),
        ({"lora_alpha": 8, "alpha_pattern": {TO_Q: 2}}, 1.0),
        ({"lora_alpha": 8, "alpha_pattern": {f"^{TO_Q}".replace(".", "\\."): 2}}, 1.0),
        ({"lora_alpha": 8, "alpha_pattern": {r"down_blocks.*to_q": 2, "to_q": 4}}, 2.0),
        ({"lora_alpha": 8, "alpha_pattern": {r"attn1\.(to_q|to_k)": 2}}, 1.0),
        ({"lora_alpha": 8, "alpha_pattern": {"to_k": 2}}, 4.0),
        ({"lora_alpha": 0}, 0.0),
    ],
)
def test_the_settings_that_peft_writes_beside_it_count(
    config: dict[str, object], factor: float, components: Mapping[str, Any], tmp_path: Path
) -> None:
    path = files.saved(tmp_path / "adapter_model.safetensors", peft_pair())
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    found, remarks = scale(path, components)
    assert found == pytest.approx(factor)
    assert bool(remarks) == (factor == 0)


def test_settings_of_another_file_of_the_folder_do_not_count(
    components: Mapping[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"lora_alpha": 16}))
    alone = files.saved(tmp_path / "renamed.safetensors", peft_pair())
    assert scale(alone, components)[0] == 8.0
    files.saved(tmp_path / "adapter_model.safetensors", peft_pair())
    assert scale(alone, components)[0] == 1.0


def test_a_files_own_alphas_go_before_those_beside_it(
    components: Mapping[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"lora_alpha": 16}))
    tensors = peft_pair() | {f"unet.{TO_Q}.alpha": torch.tensor(4.0)}
    assert scale(files.saved(tmp_path / "a.safetensors", tensors), components)[0] == 2.0


@pytest.mark.parametrize("alpha", [float("nan"), float("inf"), "16", True, [1], {"a": 1}, 10**400])
def test_an_alpha_that_is_no_number_is_named(
    alpha: object, components: Mapping[str, Any], tmp_path: Path
) -> None:
    path = files.saved(tmp_path / "adapter_model.safetensors", peft_pair())
    for config in ({"lora_alpha": alpha}, {"alpha_pattern": {"to_q": alpha}}):
        (tmp_path / "adapter_config.json").write_text(json.dumps(config))
        with pytest.raises(ModelLoadError, match=r"alpha.*adapter_config.json beside adapter_mod"):
            read(path, components)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_tensors_alpha_that_is_no_number_is_named(
    number: float, components: Mapping[str, Any], tmp_path: Path
) -> None:
    tensors = peft_pair() | {f"unet.{TO_Q}.alpha": torch.tensor(number)}
    path = files.saved(tmp_path / "odd.safetensors", tensors)
    with pytest.raises(ModelLoadError, match=rf"alpha of unet.{TO_Q} in odd is -?(nan|inf)"):
        read(path, components)


def test_an_alpha_of_zero_and_a_rank_of_zero_are_told(
    components: Mapping[str, Any], tmp_path: Path
) -> None:
    tensors = peft_pair() | {f"unet.{TO_Q}.alpha": torch.tensor(0.0)}
    stem = TO_Q.replace("to_q", "to_k")
    tensors[f"unet.{stem}.lora_A.weight"] = torch.ones(0, 32)
    tensors[f"unet.{stem}.lora_B.weight"] = torch.ones(32, 0)
    factor, remarks = scale(files.saved(tmp_path / "a.safetensors", tensors), components)
    assert factor == 0.0
    assert list(remarks) == [
        "1 part of a with a rank of 0 had no effect.",
        "1 part of a with an alpha of 0 had no effect.",
    ]


@pytest.mark.parametrize("content", ["{", "[]", "3", '{"a":' * 10_000, "\udcff"])
def test_damaged_settings_lose_only_themselves(
    content: str, components: Mapping[str, Any], tmp_path: Path
) -> None:
    path = files.saved(tmp_path / "adapter_model.safetensors", peft_pair())
    config = tmp_path / "adapter_config.json"
    config.write_bytes(content.encode("utf-8", "surrogateescape"))
    factor, remarks = scale(path, components)
    assert factor == 1.0 and "can't be read" in remarks[0]
    config.unlink()
    if content.isascii():
        files.save_file(peft_pair(), path, metadata={"lora_adapter_metadata": content})
        factor, remarks = scale(path, components)
        assert factor == 1.0 and "is damaged" in remarks[0]


def test_an_adapter_of_another_kind_is_called_so(
    components: Mapping[str, Any], tmp_path: Path
) -> None:
    path = files.saved(tmp_path / "adapter_model.safetensors", peft_pair())
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "ADALORA"}))
    with pytest.raises(ModelLoadError, match="of the kind ADALORA"):
        read(path, components)


@pytest.mark.parametrize("is_noted_inside", [False, True])
def test_a_dora_without_its_magnitudes_is_refused_by_its_settings(
    is_noted_inside: bool, components: Mapping[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "adapter_model.safetensors"
    if is_noted_inside:
        noted = json.dumps({"unet.use_dora": True})
        save_file(peft_pair(), path, metadata={"lora_adapter_metadata": noted})
    else:
        files.saved(path, peft_pair())
        (tmp_path / "adapter_config.json").write_text(json.dumps({"use_dora": True}))
    with pytest.raises(ModelLoadError, match=r"^According to the .* the LoRA is a DoRA"):
        read(path, components)


def test_an_expression_that_could_take_for_ever_is_refused(
    components: Mapping[str, Any], tmp_path: Path
) -> None:
    path = files.saved(tmp_path / "adapter_model.safetensors", peft_pair())
    for pattern in ("(a+)+$", "(.*)*", ".*" * 9, "[a-z]{1,9}", "(", "a" * 999 + "+"):
        config = {"alpha_pattern": {pattern: 1}}
        (tmp_path / "adapter_config.json").write_text(json.dumps(config))
        with pytest.raises(ModelLoadError, match="a regular expression that isn't read"):
            read(path, components)
