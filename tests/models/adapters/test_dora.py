"""DoRA: each layer computes what it would with the whole weight, worked out another way."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import gguf
import peft
import pytest
import torch
from diffusers.quantizers.gguf.utils import GGUFLinear, GGUFParameter, dequantize_gguf_tensor
from torch import nn

from paintdiff.errors import ModelLoadError
from paintdiff.models.acceleration.merged_lora_weights import collect_weights
from paintdiff.models.adapters.injection import eject, inject_pair, set_strengths, unwrap_all
from paintdiff.models.adapters.lora import Loras
from paintdiff.models.adapters.lora_formats import LoraFile, read_lora
from paintdiff.models.adapters.low_rank import LowRank
from paintdiff.models.adapters.specs import LoraUse
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.memory.int8_weights import quantize_to_int8
from tests import adapter_files as files
from tests.tiny_families import save_tiny_family

Tensors = dict[str, torch.Tensor]
RANK = 2
PATH = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
KOHYA = f"lora_unet_{PATH.replace('.', '_')}"


@dataclass(frozen=True)
class Layer:
    """A layer, how its input is drawn, and the shape of its weight."""

    make: Callable[[], nn.Module]
    input_shape: tuple[int, ...]
    weight_shape: tuple[int, ...]


LAYERS = {
    "linear": Layer(lambda: nn.Linear(6, 9), (2, 5, 6), (9, 6)),
    "square, no bias": Layer(lambda: nn.Linear(7, 7, bias=False), (3, 7), (7, 7)),
    "convolution": Layer(
        lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1), (2, 4, 8, 8), (6, 4, 3, 3)
    ),
    "1x1, no bias": Layer(lambda: nn.Conv2d(5, 3, 1, bias=False), (1, 5, 4, 4), (3, 5, 1, 1)),
    "one output": Layer(lambda: nn.Linear(6, 1), (2, 6), (1, 6)),
    "one input": Layer(lambda: nn.Linear(1, 6), (2, 1), (6, 1)),
}


def random_pair(shape: tuple[int, ...], seed: int, *, of_inputs: bool) -> LowRank:
    generator = torch.Generator().manual_seed(seed)
    outputs, inputs, *kernel = shape
    down = torch.randn(RANK, inputs, *kernel, generator=generator) * 0.3
    up = torch.randn(outputs, RANK, *[1] * len(kernel), generator=generator)
    count = (1, inputs) if of_inputs else (outputs, 1)
    return LowRank(down, up, 0.3 + torch.rand(count, generator=generator))


def whole_weight(weight: torch.Tensor, part: LowRank) -> torch.Tensor:
    """The weight that the DoRA was trained as: row by row, or column by column."""
    assert part.magnitudes is not None
    merged = weight.double().clone()
    for rank in range(part.rank):
        down, up = part.down[rank].double(), part.up[:, rank].double()
        for output in range(len(merged)):
            merged[output] += up[output].flatten() * down
    slices = merged if part.magnitudes.shape == (len(merged), 1) else merged.transpose(0, 1)
    for one, magnitude in zip(slices, part.magnitudes.flatten(), strict=True):
        one.mul_(float(magnitude) / one.norm())
    return merged


def reference(layer: nn.Module, adapters: Sequence[tuple[LowRank, float]]) -> Any:
    """A copy of a layer with the whole weights' differences, by their strengths, merged in."""
    merged: Any = copy.deepcopy(layer)
    weight = merged.weight.detach().double()
    total = weight.clone()
    for part, strength in adapters:
        total += strength * (whole_weight(weight, part) - weight)
    merged.weight.data = total.to(merged.weight.dtype)
    return merged


def network(layer: nn.Module) -> Any:
    holder = nn.Module()
    holder.layer = layer
    return holder


def inject(holder: nn.Module, adapters: Mapping[str, tuple[LowRank, float]]) -> None:
    for key, (part, _strength) in adapters.items():
        inject_pair(holder, "layer", key, part)
    set_strengths(holder, {key: strength for key, (_part, strength) in adapters.items()})


def compute(layer: Any, inputs: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return layer(inputs)


def assert_close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0, -1.0])
@pytest.mark.parametrize("of_inputs", [False, True], ids=["rows", "columns"])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_computes_with_the_whole_weight(
    kind: str, of_inputs: bool, strength: float
) -> None:
    torch.manual_seed(0)
    case = LAYERS[kind]
    layer = case.make().requires_grad_(False)
    part = random_pair(case.weight_shape, 1, of_inputs=of_inputs)
    inputs = torch.randn(case.input_shape)
    wanted, before = reference(layer, [(part, strength)]), compute(layer, inputs)
    holder = network(layer)
    inject(holder, {"one": (part, strength)})
    assert_close(compute(holder.layer, inputs), compute(wanted, inputs))
    merged = collect_weights(holder)["layer.weight"].merge()
    assert_close(merged.detach(), wanted.weight.detach())
    if not strength:
        assert torch.equal(compute(holder.layer, inputs), before)
    unwrap_all(holder)
    assert holder.layer is layer
    assert torch.equal(compute(layer, inputs), before)


@pytest.mark.parametrize("kinds", [(False, False), (True, True), (False, True), (True, False)])
@pytest.mark.parametrize("kind", ["linear", "convolution"])
def test_two_add_up_in_any_order_and_leave_one_by_one(kind: str, kinds: tuple[bool, bool]) -> None:
    torch.manual_seed(0)
    case = LAYERS[kind]
    layer: Any = case.make().requires_grad_(False)
    weight, inputs = layer.weight.clone(), torch.randn(case.input_shape)
    one, other = (
        (random_pair(case.weight_shape, seed, of_inputs=of_inputs), strength)
        for seed, of_inputs, strength in zip((1, 2), kinds, (0.7, -0.4), strict=True)
    )
    plain = (LowRank(one[0].down, one[0].up), 0.5)
    wanted = reference(layer, [one, other])
    wanted_alone = reference(layer, [other])
    for adapters in ({"a": one, "b": other}, {"b": other, "a": one}):
        holder = network(layer)
        inject_pair(holder, "layer", "plain", plain[0])  # it doesn't change the norms
        inject(holder, adapters)
        assert_close(compute(holder.layer, inputs), compute(wanted, inputs))
        eject(holder, "a")
        set_strengths(holder, {"b": other[1]})
        assert_close(compute(holder.layer, inputs), compute(wanted_alone, inputs))
        eject(holder, "b")
        eject(holder, "plain")
        assert torch.equal(compute(holder.layer, inputs), compute(layer, inputs))
        unwrap_all(holder)
        assert holder.layer is layer and torch.equal(layer.weight, weight)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("of_inputs", [False, True])
def test_half_precision_is_as_exact_as_a_merged_weight(of_inputs: bool, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(64, 96).requires_grad_(False)
    part = random_pair((96, 64), 1, of_inputs=of_inputs)
    inputs = torch.randn(200, 64)
    exact = compute(reference(layer, [(part, 0.8)]), inputs)
    merged = compute(reference(layer, [(part, 0.8)]).to(dtype), inputs.to(dtype))
    holder = network(layer.to(dtype))
    inject(holder, {"one": (part, 0.8)})
    found = compute(holder.layer, inputs.to(dtype))
    assert found.dtype == dtype
    error, usual = ((each.float() - exact).abs().mean() for each in (found, merged))
    assert error < 2 * usual


@pytest.mark.parametrize("of_inputs", [False, True])
def test_weights_in_eight_bits_count_as_they_are_unpacked(of_inputs: bool) -> None:
    torch.manual_seed(0)
    holder = network(nn.Linear(64, 96).requires_grad_(False))
    quantize_to_int8(holder, torch.float32)
    unpacked = nn.Linear(64, 96)
    unpacked.weight.data, unpacked.bias.data = holder.layer.weight, holder.layer.bias
    part, inputs = random_pair((96, 64), 1, of_inputs=of_inputs), torch.randn(5, 64)
    inject(holder, {"one": (part, 0.6)})
    wanted = compute(reference(unpacked, [(part, 0.6)]), inputs)
    assert_close(compute(holder.layer, inputs), wanted)


@pytest.mark.parametrize("of_inputs", [False, True])
@pytest.mark.parametrize("compute_dtype", [torch.float32, torch.bfloat16])
def test_gguf_weights_count_as_they_are_unpacked(
    compute_dtype: torch.dtype, of_inputs: bool
) -> None:
    torch.manual_seed(0)
    kind = gguf.GGMLQuantizationType.Q8_0
    packed = gguf.quants.quantize(torch.randn(96, 64).numpy(), kind)
    layer = GGUFLinear(64, 96, bias=True, compute_dtype=compute_dtype)
    parameter: Any = GGUFParameter
    layer.weight = parameter(torch.from_numpy(packed), quant_type=kind)
    unpacked = nn.Linear(64, 96)
    unpacked.weight.data = dequantize_gguf_tensor(layer.weight).float()
    unpacked.bias = layer.bias
    part, inputs = random_pair((96, 64), 1, of_inputs=of_inputs), torch.randn(5, 64)
    wanted = compute(reference(unpacked, [(part, 0.6)]), inputs)
    holder = network(layer.requires_grad_(False))
    inject(holder, {"one": (part, 0.6)})
    found = compute(holder.layer, inputs.to(compute_dtype))
    assert found.dtype == compute_dtype
    tolerance = 1e-4 if compute_dtype == torch.float32 else 0.1
    torch.testing.assert_close(found.float(), wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("of_inputs", [False, True])
def test_what_is_zero_stays_zero(of_inputs: bool) -> None:
    """A row or column of zeros has no direction that could be scaled."""
    layer = nn.Linear(6, 9).requires_grad_(False)
    part = random_pair((9, 6), 1, of_inputs=of_inputs)
    if of_inputs:
        layer.weight[:, 2], part.down[:, 2] = 0, 0
    else:
        layer.weight[2], part.up[2] = 0, 0
    holder = network(layer)
    inject(holder, {"one": (part, 1.0)})
    merged = collect_weights(holder)["layer.weight"].merge()
    assert merged.isfinite().all()
    assert not (merged[:, 2] if of_inputs else merged[2]).any()


@pytest.fixture(scope="module")
def components(tiny_folder: Path) -> Mapping[str, Any]:
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(
        str(tiny_folder), safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    return pipeline.components


def read(
    path: Path, components: Mapping[str, Any], class_: Any = diffusers.StableDiffusionPipeline
) -> LoraFile:
    return read_lora(path, path.stem, class_, components)


def in_peft_dora_keys(
    layers: files.Layers, magnitudes: Tensors, end: str = ".lora_magnitude_vector"
) -> Tensors:
    """As PEFT has them: vectors, and for convolutions (1, outputs, 1, 1)."""
    tensors = files.in_peft_keys(layers)
    for path, each in magnitudes.items():
        tensors[path + end] = each.transpose(0, 1) if each.ndim == 4 else each.flatten()
    return tensors


def named_by_diffusers_for_kohya(layers: files.Layers, magnitudes: Tensors) -> Tensors:
    """By its `convert_state_dict_to_kohya`."""
    from diffusers.utils import convert_state_dict_to_kohya  # noqa: PLC0415

    return dict(convert_state_dict_to_kohya(in_peft_dora_keys(layers, magnitudes)))


def with_adapter_name(layers: files.Layers, magnitudes: Tensors) -> Tensors:
    named = in_peft_dora_keys(layers, magnitudes, ".lora_magnitude_vector.default.weight")
    return {
        key.replace("lora_A.weight", "lora_A.default.weight").replace(
            "lora_B.weight", "lora_B.default.weight"
        ): each
        for key, each in named.items()
    }


DORA_SPELLINGS: Mapping[str, Callable[[files.Layers, Tensors], Tensors]] = {
    "LyCORIS and OneTrainer": files.in_kohya_dora_keys,
    "vectors": lambda layers, magnitudes: files.in_kohya_dora_keys(
        layers, {path: each.flatten() for path, each in magnitudes.items()}
    ),
    "PEFT and diffusers": in_peft_dora_keys,
    "PEFT's wrapper": lambda layers, magnitudes: {
        key.replace("unet.", "base_model.model."): each
        for key, each in in_peft_dora_keys(layers, magnitudes).items()
    },
    "a state dict": lambda layers, magnitudes: in_peft_dora_keys(
        layers, magnitudes, ".lora_magnitude_vector.weight"
    ),
    "an adapter's name": with_adapter_name,
    "ComfyUI": lambda layers, magnitudes: {
        key.replace("unet.", "diffusion_model."): each
        for key, each in in_peft_dora_keys(layers, magnitudes, ".dora_scale").items()
    },
    "diffusers' script for kohya's names": named_by_diffusers_for_kohya,
}


@pytest.mark.parametrize("program", DORA_SPELLINGS)
def test_every_spelling_of_the_magnitudes_is_read(
    program: str, components: Mapping[str, Any], tmp_path: Path
) -> None:
    layers = files.lora_layers(components, only="unet")
    magnitudes = files.magnitudes_of(components, layers)
    if program == "ComfyUI":  # where as many go in as come out, (1, outputs) means inputs
        layers = {
            path: pair for path, pair in layers.items() if pair[0].shape[1] != pair[1].shape[0]
        }
        magnitudes = {path: magnitudes[path] for path in layers}
    path = files.saved(tmp_path / "a.safetensors", DORA_SPELLINGS[program](layers, magnitudes))
    file = read(path, components)
    assert (file.unread, file.remarks) == (0, ())
    assert len(file.parts) == len(layers)
    for (component, where), part in file.parts.items():
        wanted = magnitudes[f"{component}.{where}"].flatten()[:, None]
        assert part.magnitudes is not None and torch.equal(part.magnitudes, wanted), where


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_a_dora_in_eight_bit_floats_is_read_as_its_numbers(
    dtype: torch.dtype, components: Mapping[str, Any], tmp_path: Path
) -> None:
    layers = files.lora_layers(components, only="unet")
    magnitudes = files.magnitudes_of(components, layers)
    tensors = files.in_kohya_dora_keys(layers, magnitudes)
    small = {key: each.to(dtype) for key, each in tensors.items()}
    found = read(files.saved(tmp_path / "small.safetensors", small), components)
    plain = {key: each.float() for key, each in small.items()}
    wanted = read(files.saved(tmp_path / "plain.safetensors", plain), components)
    assert found.parts.keys() == wanted.parts.keys() and len(found.parts) == len(layers)
    for where, part in wanted.parts.items():
        other = found.parts[where]
        assert part.magnitudes is not None and other.magnitudes is not None
        assert torch.equal(other.magnitudes, part.magnitudes)
        assert torch.equal(other.down, part.down) and torch.equal(other.up, part.up)


def test_magnitudes_of_inputs_are_known_by_their_shape(
    components: Mapping[str, Any], tmp_path: Path
) -> None:
    layers = files.lora_layers(components)
    magnitudes = files.magnitudes_of(components, layers, of_inputs=True)
    tensors = files.in_kohya_dora_keys(layers, magnitudes)
    file = read(files.saved(tmp_path / "a.safetensors", tensors), components)
    assert len(file.parts) == len(layers) and file.unread == 0
    for (component, where), part in file.parts.items():
        wanted = magnitudes[f"{component}.{where}"].flatten()[None]
        assert part.magnitudes is not None and torch.equal(part.magnitudes, wanted), where


def test_what_peft_trained_computes_as_in_peft(
    components: Mapping[str, Any], tmp_path: Path
) -> None:
    """Its own implementation, on a network with linear layers and convolutions."""
    unet: Any = copy.deepcopy(components["unet"])
    ends = ["to_q", "to_out.0", "ff.net.2", "proj_in", "conv1", "conv_shortcut"]
    config = peft.LoraConfig(r=3, lora_alpha=2, target_modules=ends, use_dora=True)
    trained: Any = peft.get_peft_model(copy.deepcopy(unet), config)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in trained.named_parameters():
        if "lora_B" in name or "lora_magnitude_vector" in name:
            noise = torch.rand(parameter.shape, generator=generator)
            parameter.data = parameter.data * (0.5 + noise) + 0.1 * noise
    trained.save_pretrained(tmp_path)
    noisy, words = torch.randn(2, 4, 8, 8), torch.randn(2, 5, unet.config.cross_attention_dim)
    with torch.no_grad():
        before = unet(noisy, 500, words).sample
        wanted = trained.eval()(noisy, 500, words).sample
    family = Catalog.default().families()["sd1"]
    loras = Loras({"unet": unet}, diffusers.StableDiffusionPipeline, "Tiny", family)
    row = files.lora_row(tmp_path / "adapter_model.safetensors")
    loras.set([LoraUse(row.name)], {row.name: row})
    assert loras.injected[row.name].notes == ()
    with torch.no_grad():
        found = unet(noisy, 500, words).sample
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(before, wanted, atol=1e-2)


XL_NAMES = {
    "input_blocks_4_1_transformer_blocks_0_attn1_to_q": (
        "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
    ),
    "middle_block_1_transformer_blocks_0_ff_net_2": (
        "mid_block.attentions.0.transformer_blocks.0.ff.net.2"
    ),
    "output_blocks_0_1_proj_out": "up_blocks.0.attentions.0.proj_out",
}


@pytest.mark.parametrize("of_inputs", [False, True])
def test_magnitudes_follow_the_names_of_sdxls_original(of_inputs: bool, tmp_path: Path) -> None:
    class UNet:
        config = type("Config", (), {"layers_per_block": 2})()

    tensors: Tensors = {}
    wanted: Tensors = {}
    for number, (name, path) in enumerate(XL_NAMES.items(), start=1):
        outputs, inputs = 8 * number, 8 * number + 4
        count = (1, inputs) if of_inputs else (outputs, 1)
        tensors[f"lora_unet_{name}.lora_down.weight"] = torch.randn(RANK, inputs)
        tensors[f"lora_unet_{name}.lora_up.weight"] = torch.randn(outputs, RANK)
        tensors[f"lora_unet_{name}.alpha"] = torch.tensor(float(RANK))
        if number != 2:  # not every layer of a file needs magnitudes
            tensors[f"lora_unet_{name}.dora_scale"] = wanted[path] = torch.rand(count) + 1
    file = read(
        files.saved(tmp_path / "xl.safetensors", tensors),
        {"unet": UNet()},
        diffusers.StableDiffusionXLPipeline,
    )
    assert {path for _component, path in file.parts} == set(XL_NAMES.values())
    for (_component, path), part in file.parts.items():
        assert part.rank == RANK
        if path in wanted:
            assert part.magnitudes is not None and torch.equal(part.magnitudes, wanted[path])
        else:
            assert part.magnitudes is None


def fused_tensors(magnitudes: torch.Tensor, width: int) -> Tensors:
    stem = "lora_unet_double_blocks_0_img_attn_qkv"
    return {
        f"{stem}.lora_down.weight": torch.randn(RANK, width),
        f"{stem}.lora_up.weight": torch.randn(3 * width, RANK),
        f"{stem}.dora_scale": magnitudes,
    }


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_magnitudes_of_a_layer_that_diffusers_splits_go_to_its_parts(tmp_path: Path) -> None:
    save_tiny_family("flux", tmp_path / "flux")
    pipeline = diffusers.FluxPipeline.from_pretrained(str(tmp_path / "flux"))
    block: Any = pipeline.transformer.transformer_blocks[0]
    width = block.attn.to_q.in_features
    rows = torch.rand(3 * width, 1) + 1
    file = read(
        files.saved(tmp_path / "a.safetensors", fused_tensors(rows, width)),
        pipeline.components,
        diffusers.FluxPipeline,
    )
    for name, wanted in zip(("to_q", "to_k", "to_v"), rows.split(width), strict=True):
        found = file.parts["transformer", f"transformer_blocks.0.attn.{name}"].magnitudes
        assert found is not None and torch.equal(found, wanted), name
    columns = files.saved(
        tmp_path / "b.safetensors", fused_tensors(torch.rand(1, width) + 1, width)
    )
    with pytest.raises(ModelLoadError, match="is only a part of a layer in the file"):
        read(columns, pipeline.components, diffusers.FluxPipeline)


def kohya_pair(**others: torch.Tensor) -> Tensors:
    tensors = {f"{KOHYA}.lora_down.weight": torch.ones(RANK, 32)}
    tensors[f"{KOHYA}.lora_up.weight"] = torch.ones(32, RANK)
    return tensors | {f"{KOHYA}.{end}": each for end, each in others.items()}


BROKEN: Mapping[str, tuple[Tensors, str]] = {
    "too few": (kohya_pair(dora_scale=torch.ones(31, 1)), r"\(31, 1\); 32 fit"),
    "a matrix": (kohya_pair(dora_scale=torch.ones(32, 32)), r"\(32, 32\)"),
    "a number": (kohya_pair(dora_scale=torch.tensor(1.0)), r"the shape \(\)"),
    "nothing": (kohya_pair(dora_scale=torch.ones(0)), r"\(0,\)"),
    "NaN": (kohya_pair(dora_scale=torch.full((32, 1), float("nan"))), "infinite or NaN"),
    "infinite": (kohya_pair(dora_scale=torch.full((1, 32), float("inf"))), "infinite or NaN"),
    "whole numbers": (kohya_pair(dora_scale=torch.ones(32, 1, dtype=torch.int8)), "are torch.int8"),
    "zeros": (kohya_pair(dora_scale=torch.zeros(32, 1)), "are all 0"),
    "of the change": (
        kohya_pair(dora_scale=torch.ones(32, 1), wd_for_diff=torch.tensor([True])),
        "wd_for_diff",
    ),
    "PEFT's of inputs": (
        {
            f"unet.{PATH}.lora_A.weight": torch.ones(RANK, 30),
            f"unet.{PATH}.lora_B.weight": torch.ones(32, RANK),
            f"unet.{PATH}.lora_magnitude_vector": torch.ones(30),
        },
        r"\(30,\)",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_magnitudes_that_cant_be_used_are_named(
    case: str, components: Mapping[str, Any], tmp_path: Path
) -> None:
    tensors, words = BROKEN[case]
    path = files.saved(tmp_path / "odd.safetensors", tensors)
    with pytest.raises(ModelLoadError, match=f"odd is a DoRA.*{words}"):
        read(path, components)


def test_an_empty_pair_beside_a_dora_is_refused(
    components: Mapping[str, Any], tmp_path: Path
) -> None:
    tensors = {f"lora_unet_x.lora_{half}.weight": torch.ones(2, 2) for half in ("down", "up")}
    tensors["lora_unet_x.dora_scale"] = torch.ones(2, 1)
    tensors["lora_unet_y.lora_down.weight"] = torch.ones(2, 0)
    tensors["lora_unet_y.lora_up.weight"] = torch.ones(32, 2)
    with pytest.raises(ModelLoadError, match="a is a DoRA whose magnitudes can't be assigned"):
        read(files.saved(tmp_path / "a.safetensors", tensors), components)


def test_a_dora_that_would_be_infinite_or_nan_is_refused(
    components: Mapping[str, Any], tmp_path: Path
) -> None:
    family = Catalog.default().families()["sd1"]
    loras = Loras(components, diffusers.StableDiffusionPipeline, "Tiny", family)
    tensors = kohya_pair(dora_scale=torch.ones(32, 1))
    for name, number in (("lora_down", float("nan")), ("lora_up", 1e30)):
        broken = {**tensors, f"{KOHYA}.{name}.weight": tensors[f"{KOHYA}.{name}.weight"] * number}
        row = files.lora_row(files.saved(tmp_path / f"{name}.safetensors", broken))
        with pytest.raises(ModelLoadError, match=rf"{name} is a DoRA that can't .*unet.{PATH}"):
            loras.set([LoraUse(name)], {name: row})
        loras.clear()


def test_magnitudes_alone_have_no_effect_and_are_counted(
    components: Mapping[str, Any], tmp_path: Path
) -> None:
    other = KOHYA.replace("to_q", "to_k")
    tensors = kohya_pair() | {f"{other}.dora_scale": torch.ones(32, 1)}
    file = read(files.saved(tmp_path / "a.safetensors", tensors), components)
    assert file.unread == 1


def test_an_alpha_counts_before_the_norm(components: Mapping[str, Any], tmp_path: Path) -> None:
    """Even one of 0 leaves the magnitudes their effect, so nothing says that it has none."""
    for alpha, factor in ((1.0, 0.5), (0.0, 0.0)):
        tensors = kohya_pair(dora_scale=torch.ones(32, 1), alpha=torch.tensor(alpha))
        file = read(files.saved(tmp_path / "a.safetensors", tensors), components)
        part = file.parts["unet", PATH]
        assert torch.equal(part.up, torch.full((32, RANK), factor)) and file.remarks == ()
        layer: Any = copy.deepcopy(components["unet"].get_submodule(PATH))
        holder, inputs = network(layer), torch.randn(3, 32)
        inject(holder, {"one": (part, 1.0)})
        wanted = compute(reference(layer, [(part, 1.0)]), inputs)
        assert_close(compute(holder.layer, inputs), wanted)
