"""Checkpoints as people have them: without a VAE, in 8 bits, in wrappers, in variants."""

# ruff: noqa: F811 (arguments are called like the fixtures that are imported)
from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file

from paintdiff.errors import ModelLoadError
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.discovery.detection import detect
from paintdiff.models.discovery.diffusers_folders import detect_part
from paintdiff.models.formats.headers import read_header
from paintdiff.models.formats.name_prefixes import restore_dots
from paintdiff.models.hub.file_selection import find_part_variant, find_pipeline_variant
from paintdiff.models.loading import pipelines
from paintdiff.models.loading.pipeline_files import LoadingContext
from paintdiff.models.registry.adapter_rows import VaeRow
from tests.models.loading.test_single_file_checkpoints import (  # noqa: F401 (fixtures)
    Case,
    Tensors,
    cases,
    painted,
    road,
    same_weights,
    without,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated format.*")

Roads = Callable[..., LoadingContext]
UNET = "model.diffusion_model."
VAE = "first_stage_model."


def loaded(case: Case, tensors: Tensors, path: Path, way: LoadingContext) -> pipelines.LoadedModel:
    save_file({name: each.contiguous() for name, each in tensors.items()}, path)
    return pipelines.load_pipeline(case.row(path), "cpu", "float32", road=way)


def as_folder(case: Case) -> pipelines.LoadedModel:
    return pipelines.load_pipeline(case.row(case.folder), "cpu", "float32")


def renamed(*pairs: tuple[str, str]) -> Callable[[Tensors], Tensors]:
    def change(name: str) -> str:
        for start, other in pairs:
            if name.startswith(start):
                return other + name.removeprefix(start)
        return name

    return lambda tensors: {change(name): each for name, each in tensors.items()}


def averages_of_litema(tensors: Tensors) -> Tensors:
    """A UNet's names as CompVis's `LitEma` writes them: without dots."""
    unet = {name.removeprefix("model."): each for name, each in tensors.items() if UNET in name}
    averages = {f"model_ema.{name.replace('.', '')}": each for name, each in unet.items()}
    beside = {"model_ema.decay": torch.tensor(0.9999), "model_ema.num_updates": torch.tensor(7)}
    return averages | beside


def with_averages(tensors: Tensors) -> Tensors:
    averages = averages_of_litema(tensors)
    return tensors | {name: each + 1 for name, each in averages.items()}


def averages_alone(tensors: Tensors) -> Tensors:
    rest = {name: each for name, each in tensors.items() if not name.startswith(UNET)}
    return rest | averages_of_litema(tensors)


SPELLINGS: Mapping[str, Callable[[Tensors], Tensors]] = {
    "state_dict": renamed(("", "state_dict.")),
    "state_dict beside an optimizer": lambda tensors: (
        renamed(("", "state_dict."))(tensors) | {"optimizer.state.0": torch.ones(3)}
    ),
    "module in state_dict": renamed(("", "state_dict.module.")),
    "compiled": renamed(("", "_orig_mod.")),
    "diffusion_model": renamed((UNET, "diffusion_model.")),
    "model": renamed((UNET, "model.")),
    "unet and vae": renamed((UNET, "unet."), (VAE, "vae.")),
    "no prefix": renamed((UNET, "")),
    "averages alone": renamed((UNET, "model_ema.diffusion_model.")),
    "ema": renamed((UNET, "ema.diffusion_model.")),
    "averages without dots": with_averages,
    "averages without dots alone": averages_alone,
}


def test_averages_get_their_dots_back(cases: dict[str, Case]) -> None:
    for case in cases.values():
        for name in case.tensors():
            if name.startswith(UNET):
                flat = name.removeprefix("model.").replace(".", "")
                assert restore_dots(f"model_ema.{flat}") == name.replace("model.", "model_ema.", 1)
    long = "model_ema.diffusion_model.output_blocks.11.1.transformer_blocks.10.attn2.to_out.0.bias"
    assert restore_dots("model_ema." + long.removeprefix("model_ema.").replace(".", "")) == long
    for other in ("model_ema.diffusion_modelnonsense7", "model_ema.decay", long, UNET, ""):
        assert restore_dots(other) == other


@pytest.mark.parametrize("how", SPELLINGS)
@pytest.mark.parametrize("suffix", ["safetensors", "ckpt"])
def test_what_is_around_a_model_does_not_matter(
    how: str,
    suffix: str,
    cases: dict[str, Case],
    road: Roads,
    tmp_path: Path,
) -> None:
    case = cases["sd1"]
    tensors = SPELLINGS[how](case.tensors())
    path = tmp_path / f"odd.{suffix}"
    if suffix == "safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)
    header = read_header(path)
    found = detect(header.tensors, header.metadata, {32: "sd1"})
    assert (found.kind, found.family) == ("checkpoint", "sd1")
    assert set(found.parts) == {"denoiser", "vae", "text_encoder"}
    single = pipelines.load_pipeline(
        case.row(path), "cpu", "float32", road=road(config_folder=case.folder)
    )
    same_weights(single.components, as_folder(case).components)


@pytest.mark.parametrize("beside", [{}, {"callbacks": {}, "optimizer": {"a": torch.ones(1)}}])
@pytest.mark.parametrize("around", ["state_dict", "model", "module", "ema"])
def test_a_pickled_table_in_a_table_is_read(
    around: str,
    beside: dict[str, Any],
    cases: dict[str, Case],
    road: Roads,
    tmp_path: Path,
) -> None:
    case = cases["sd1"]
    path = tmp_path / "odd.ckpt"
    torch.save({around: case.tensors(), "epoch": 3, **beside}, path)
    header = read_header(path)
    assert detect(header.tensors, header.metadata, {32: "sd1"}).kind == "checkpoint"
    single = pipelines.load_pipeline(
        case.row(path), "cpu", "float32", road=road(config_folder=case.folder)
    )
    same_weights(single.components, as_folder(case).components)


def vae_file(case: Case, path: Path, change: Callable[[Tensors], Tensors] = lambda t: t) -> Path:
    tensors = {
        name.removeprefix(VAE): each
        for name, each in change(case.tensors()).items()
        if name.startswith(VAE)
    }
    save_file(tensors, path)
    return path


@pytest.mark.parametrize("other", ["file", "folder"])
def test_a_checkpoint_without_a_vae_takes_another(
    other: str,
    cases: dict[str, Case],
    road: Roads,
    tmp_path: Path,
) -> None:
    case = cases["sd1"]
    vae = case.folder / "vae" if other == "folder" else vae_file(case, tmp_path / "vae.safetensors")
    tensors = without(VAE)(case.tensors())
    way = road(config_folder=case.folder, vae=vae)
    single = loaded(case, tensors, tmp_path / "x.safetensors", way)
    same_weights(single.components, as_folder(case).components)
    assert torch.equal(
        painted(single, "image_to_image"), painted(as_folder(case), "image_to_image")
    )


def test_a_decoder_alone_paints_from_words(
    cases: dict[str, Case],
    road: Roads,
    tmp_path: Path,
) -> None:
    case = cases["sd1"]
    tensors = without(f"{VAE}encoder.", f"{VAE}quant_conv.")(case.tensors())
    path = tmp_path / "x.safetensors"
    single = loaded(case, tensors, path, road(config_folder=case.folder))
    whole = as_folder(case)
    latents = torch.randn(1, 4, 8, 8)
    assert torch.equal(
        single.components["vae"].decode(latents).sample,
        whole.components["vae"].decode(latents).sample,
    )
    with pytest.raises(ModelLoadError, match=r"x.safetensors has no encoder.*another VAE"):
        painted(single, "image_to_image")
    way = road(config_folder=case.folder, vae=case.folder / "vae")
    mended = loaded(case, tensors, path, way)
    assert torch.equal(painted(mended, "image_to_image"), painted(whole, "image_to_image"))


@pytest.mark.parametrize("start", ["", "diffusion_model.", UNET])
def test_a_unet_alone_takes_the_rest_from_a_folder(
    start: str, cases: dict[str, Case], road: Roads, tmp_path: Path
) -> None:
    case = cases["sd1"]
    tensors = {
        start + name.removeprefix(UNET): each
        for name, each in case.tensors().items()
        if name.startswith(UNET)
    }
    path = tmp_path / "x.safetensors"
    save_file(tensors, path)
    row = case.row(path, parts=("denoiser",))
    found = pipelines.load_pipeline(
        row, "cpu", "float32", road=road(companions={"sd1": case.folder})
    )
    same_weights(found.components, as_folder(case).components)


def scaled(tensors: Tensors, dtype: torch.dtype, end: str, *, by_row: bool = False) -> Tensors:
    """The UNet's matrices in 8 bits with scales, as ComfyUI and others write them."""
    made: Tensors = {f"{UNET}scaled_fp8": torch.zeros(2).to(dtype)}
    for name, tensor in tensors.items():
        if not (name.startswith(UNET) and name.endswith(".weight") and tensor.ndim > 1):
            made[name] = tensor
            continue
        most = tensor.flatten(1).abs().amax(1) if by_row else tensor.abs().amax()
        scale = (most / 200).float()
        wide = scale.reshape(-1, *[1] * (tensor.ndim - 1)) if by_row else scale
        made[name] = (tensor / wide).to(dtype)
        made[f"{name.removesuffix('.weight')}.{end}"] = scale
        made[f"{name.removesuffix('.weight')}.scale_input"] = torch.ones(())
    return made


@pytest.mark.parametrize("end", ["scale_weight", "weight_scale"])
@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
@pytest.mark.parametrize("by_row", [False, True])
def test_scaled_eight_bits_are_read(
    end: str,
    dtype: torch.dtype,
    by_row: bool,
    cases: dict[str, Case],
    road: Roads,
    tmp_path: Path,
) -> None:
    case = cases["sd1"]
    tensors = case.tensors()
    packed = scaled(tensors, dtype, end, by_row=by_row)
    single = loaded(case, packed, tmp_path / "x.safetensors", road(config_folder=case.folder))
    ours = single.components["unet"].state_dict()
    theirs = as_folder(case).components["unet"].state_dict()
    rough = 0.07 if dtype == torch.float8_e4m3fn else 0.13
    for name, tensor in theirs.items():
        assert torch.allclose(ours[name], tensor, atol=rough * float(tensor.abs().max())), name
        assert ours[name].dtype == torch.float32
    exact = packed[f"{UNET}time_embed.0.weight"].float() * packed[
        f"{UNET}time_embed.0.{end}"
    ].reshape(-1, 1)
    assert torch.equal(ours["time_embedding.linear_1.weight"], exact)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_plain_eight_bits_are_read(
    dtype: torch.dtype,
    cases: dict[str, Case],
    road: Roads,
    tmp_path: Path,
) -> None:
    case = cases["sd1"]
    packed = {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in case.tensors().items()
    }
    single = loaded(case, packed, tmp_path / "x.safetensors", road(config_folder=case.folder))
    weight = single.components["unet"].time_embedding.linear_1.weight
    assert torch.equal(weight, packed[f"{UNET}time_embed.0.weight"].float())


@pytest.mark.parametrize(
    ("weight", "scale", "said"),
    [
        (
            torch.zeros(8, 4, dtype=torch.uint8),
            torch.ones(()),
            "a quantization that isn't supported .*uint8 with a",
        ),
        (
            torch.zeros(8, 4, dtype=torch.int8),
            torch.ones(8),
            "a quantization that isn't supported .*int8 with a",
        ),
        (torch.zeros(8, 4).to(torch.float8_e4m3fn), torch.ones(8, 2), "block-wise scales"),
        (torch.zeros(8, 4).to(torch.float8_e4m3fn), torch.ones(3), "block-wise scales"),
    ],
)
def test_other_packed_numbers_are_called_what_they_are(
    weight: torch.Tensor,
    scale: torch.Tensor,
    said: str,
    cases: dict[str, Case],
    road: Roads,
    tmp_path: Path,
) -> None:
    case = cases["sd1"]
    stem = f"{UNET}time_embed.0"
    tensors = case.tensors() | {f"{stem}.weight": weight, f"{stem}.weight_scale": scale}
    with pytest.raises(ModelLoadError, match=f"x.safetensors .*{said}"):
        loaded(case, tensors, tmp_path / "x.safetensors", road(config_folder=case.folder))


def in_variant(folder: Path, target: Path, variants: Mapping[str, str], shards: str = "") -> Path:
    """A copy of a pipeline's folder whose parts' weights have variants. `shards` "new" or "old"
    cuts them in two, with the variant behind or before the number.
    """
    shutil.copytree(folder, target)
    for part, variant in variants.items():
        for path in (target / part).glob("*.safetensors"):
            stem = path.name.removesuffix(".safetensors")
            if not shards:
                path.rename(path.with_name(f"{stem}.{variant}.safetensors"))
                continue
            tensors = load_file(path)
            path.unlink()
            names, files = sorted(tensors), dict[str, str]()
            for number, some in enumerate((names[::2], names[1::2]), 1):
                count = f"{number:05}-of-00002"
                name = (
                    f"{stem}.{variant}-{count}" if shards == "new" else f"{stem}-{count}.{variant}"
                )
                save_file(
                    {each: tensors[each] for each in some},
                    path.with_name(f"{name}.safetensors"),
                    metadata={"format": "pt"},
                )
                files |= dict.fromkeys(some, f"{name}.safetensors")
            size = sum(each.nbytes for each in tensors.values())
            index = {"metadata": {"total_size": size}, "weight_map": files}
            place = path.with_name(f"{stem}.safetensors.index.{variant}.json")
            place.write_text(json.dumps(index))
    return target


PARTS = ("unet", "vae", "text_encoder")


@pytest.mark.parametrize(
    ("variants", "shards"),
    [
        (dict.fromkeys(PARTS, "bf16"), ""),
        (dict.fromkeys(PARTS, "fp16"), ""),
        (dict.fromkeys(PARTS, "ema-only_2"), ""),
        ({"unet": "bf16"}, ""),
        ({"unet": "bf16", "vae": "fp16"}, ""),
        ({"text_encoder": "fp32", "vae": "fp16"}, ""),
        (dict.fromkeys(PARTS, "bf16"), "new"),
        ({"unet": "fp16", "vae": "fp16"}, "old"),
    ],
)
@pytest.mark.parametrize("int8_weights", [False, True])
def test_folders_of_variants_are_read(
    variants: Mapping[str, str],
    shards: str,
    int8_weights: bool,
    cases: dict[str, Case],
    road: Roads,
    tmp_path: Path,
) -> None:
    case = cases["sd1"]
    folder = in_variant(case.folder, tmp_path / "odd", variants, shards)
    assert find_pipeline_variant(folder) in variants.values()
    for part in PARTS:
        assert find_part_variant(folder / part) == variants.get(part)
    found, wanted = (
        pipelines.load_pipeline(
            case.row(each), "cpu", "float32", road=road(int8_weights=int8_weights)
        )
        for each in (folder, case.folder)
    )
    same_weights(found.components, wanted.components)


def test_parts_in_variants_are_found_and_read(
    cases: dict[str, Case],
    tmp_path: Path,
) -> None:
    case = cases["sd1"]
    unet = case.parts()["unet"]
    edges = tmp_path / "controlnet" / "edges"
    diffusers.ControlNetModel.from_unet(unet).save_pretrained(edges, variant="bf16")
    vae = tmp_path / "vae" / "soft"
    case.parts()["vae"].save_pretrained(vae, variant="fp16")
    catalog = Catalog.default([tmp_path])
    assert detect_part(edges).kind == "controlnet"
    assert catalog.find(VaeRow, "soft").file == vae
    assert not [each for each in catalog.problems() if each.path != edges]
