"""Files that are no upscaler, or a damaged one."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import spandrel
import torch
from safetensors.torch import save_file

from paintdiff.errors import MemoryBudgetError, ModelLoadError, UnsafeWeightsError
from paintdiff.models.upscaling.upscaler import load_upscaler
from tests.models.architectures import small_network
from tests.models.formats.test_safe_pickle import Hostile
from tests.models.small_upscalers import compact, loaded, picture, row_of, saved

Tensors = Mapping[str, torch.Tensor]


def _nothing(*names: str) -> dict[str, torch.Tensor]:
    return {name: torch.zeros(2, 2) for name in names}


DIFFUSION = _nothing(
    "model.diffusion_model.input_blocks.0.0.weight",
    "first_stage_model.encoder.conv_in.weight",
    "cond_stage_model.transformer.text_model.final_layer_norm.weight",
)


@pytest.mark.parametrize(
    ("tensors", "complaint"),
    [
        (DIFFUSION, "is a Stable Diffusion model"),
        (
            _nothing("time_embedding.linear_1.weight", "conv_in.weight"),
            "is a part of a diffusion model",
        ),
        (_nothing("lora_unet_down_blocks_0.lora_up.weight"), "is a LoRA"),
        (_nothing("unet.x.lora_A.weight"), "is a LoRA"),
        (_nothing("controlnet_cond_embedding.conv_in.weight"), "is a ControlNet"),
        (_nothing("text_model.encoder.layers.0.mlp.fc1.weight"), "is a text encoder"),
        (_nothing("a", "b.weight"), "isn't a supported upscaler"),
        ({}, "isn't a supported upscaler"),
    ],
)
@pytest.mark.parametrize("kind", ["safetensors", "pth"])
def test_something_else_than_an_upscaler_is_named(
    tensors: Tensors, complaint: str, kind: str, tmp_path: Path
) -> None:
    file = tmp_path / f"odd.{kind}"
    if kind == "pth":
        torch.save({"state_dict": tensors}, file)
    else:
        save_file(dict(tensors), file)
    with pytest.raises(ModelLoadError, match=rf"odd\.{kind} {complaint}"):
        loaded(file)


def _good() -> dict[str, torch.Tensor]:
    return dict(small_network("Compact").state_dict())


def _write_cut_off(file: Path) -> None:
    saved(_good(), file)
    file.write_bytes(file.read_bytes()[:-100])


def _write_cut_off_pickle(file: Path) -> None:
    torch.save(_good(), file)
    file.write_bytes(file.read_bytes()[:-2000])


def _write_other_shapes(file: Path) -> None:
    saved(_good() | {"body.2.weight": torch.zeros(8, 5, 3, 3)}, file)


@pytest.mark.parametrize(
    ("write", "complaint"),
    [
        (lambda file: file.write_bytes(b""), "isn't a (?:readable )?safetensors"),
        (
            lambda file: file.write_text("I am a text about upscalers.\n" * 9),
            "isn't a (?:readable )?safetensors",
        ),
        (
            lambda file: file.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99)),
            "isn't a (?:readable )?safetensors",
        ),
        (_write_cut_off, "cut off"),
        (_write_cut_off_pickle, "damaged"),
        (_write_other_shapes, "can't be loaded"),
    ],
)
def test_damaged_files_are_refused_in_words(
    write: Callable[[Path], object], complaint: str, tmp_path: Path
) -> None:
    file = tmp_path / "odd.safetensors"
    write(file)
    with pytest.raises(ModelLoadError, match=rf"(?s)odd.*{complaint}"):
        loaded(file)


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
def test_code_in_a_pickle_is_never_run(name: str, tmp_path: Path) -> None:
    file, trace = tmp_path / name, tmp_path / "it ran"
    torch.save(_good() | {"more": Hostile(trace)}, file)
    with pytest.raises(UnsafeWeightsError, match=r"It was not run"):
        loaded(file)
    file.write_bytes(pickle.dumps(Hostile(trace)))
    with pytest.raises(UnsafeWeightsError):
        loaded(file)
    assert not trace.exists()
    with file.open("rb") as pickled:
        pickle.load(pickled)
    assert trace.exists(), "the control"


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"num_in_ch": 3, "num_out_ch": 1}, "makes 4 channels out of 3"),
        ({"num_in_ch": 2, "num_out_ch": 2}, "takes pictures with 2 channels"),
        ({"upscale": 17, "num_feat": 2}, "enlarges 17 times; at most 16"),
    ],
)
def test_networks_for_something_else_are_refused(
    settings: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelLoadError, match=complaint):
        compact(tmp_path, **settings)


def test_networks_for_faces_and_for_masks_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such networks aren't to be had small, so this says of a small one that it is of them."""
    file = saved(_good(), tmp_path / "x.safetensors")
    real = spandrel.MAIN_REGISTRY.load(_good())
    said: dict[str, Any] = {
        "architecture": real.architecture,
        "tags": [],
        "supports_half": True,
        "supports_bfloat16": True,
        "input_channels": 3,
        "output_channels": 3,
    }
    face = spandrel.ImageModelDescriptor(real.model, _good(), purpose="FaceSR", scale=4, **said)
    mask = spandrel.MaskedImageModelDescriptor(real.model, _good(), purpose="Inpainting", **said)
    for network, complaint in ((face, "restores single faces"), (mask, "needs a mask")):
        monkeypatch.setattr(spandrel.MAIN_REGISTRY, "load", lambda _tensors, told=network: told)
        with pytest.raises(ModelLoadError, match=rf"x\.safetensors.*{complaint}"):
            loaded(file)


def test_another_file_than_the_official_one_is_refused(tmp_path: Path) -> None:
    file = saved(_good(), tmp_path / "x.safetensors")
    row = row_of(file).model_copy(update={"sha256": "0" * 64})
    with pytest.raises(ModelLoadError, match=r"isn't the official x\.safetensors.*SHA-256"):
        load_upscaler(row, "cpu")


def test_what_is_no_picture_is_told(tmp_path: Path) -> None:
    for odd in (float("nan"), float("inf")):
        tensors = {name: torch.full_like(tensor, odd) for name, tensor in _good().items()}
        upscaler = loaded(saved(tensors, tmp_path / "odd.safetensors"))
        with pytest.raises(ModelLoadError, match="The odd returned invalid pixels"):
            upscaler.enlarge(picture(20, 20))


def test_too_little_memory_to_load_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = saved(_good(), tmp_path / "x.safetensors")

    def broken(_tensors: object) -> object:
        raise RuntimeError("can't allocate memory")

    monkeypatch.setattr(spandrel.MAIN_REGISTRY, "load", broken)
    with pytest.raises(MemoryBudgetError, match=r"The x can't be loaded: .*enough memory"):
        loaded(file)
