"""ControlNets are found and told apart without reading their weights."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from paintdiff.errors import (
    ModelLoadError,
    ModelNotFoundError,
    PresetError,
    RequestError,
    UnknownNameError,
    UnsafeWeightsError,
)
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.hub import direct_download as hub
from paintdiff.models.inference.denoising_run import Control
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.model_rows import ModelRow
from tests.models.formats.test_safe_pickle import Hostile
from tests.models.inference.test_controlled_unet import EDGES, RUN

DIFFUSERS_KEY = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"
A1111_KEY = "control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"


def tensors(width: int, key: str = A1111_KEY) -> dict[str, torch.Tensor]:
    return {key: torch.zeros(4, width), "control_model.time_embed.0.weight": torch.zeros(2, 2)}


def folder_of(path: Path, width: int, class_name: str = "ControlNetModel") -> Path:
    path.mkdir(parents=True)
    config = {"_class_name": class_name, "cross_attention_dim": width}
    (path / "config.json").write_text(json.dumps(config))
    save_file(tensors(width, DIFFUSERS_KEY), path / "diffusion_pytorch_model.safetensors")
    return path


@pytest.mark.parametrize(("width", "family"), [(768, "sd1"), (2048, "sdxl"), (256, "mini")])
@pytest.mark.parametrize("form", ["folder", "safetensors", "diffusers", "pth", "nested pth"])
def test_the_family_is_told_without_the_weights(
    form: str, width: int, family: str, tmp_path: Path
) -> None:
    source = tmp_path / "edges.safetensors"
    if form == "folder":
        source = folder_of(tmp_path / "edges", width)
    elif "pth" in form:
        source = source.with_suffix(".pth")
        content = tensors(width)
        torch.save({"state_dict": content} if form == "nested pth" else content, source)
    else:
        save_file(tensors(width, DIFFUSERS_KEY if form == "diffusers" else A1111_KEY), source)
    row = Catalog.default().with_first(ControlNetRow, str(source)).rows(ControlNetRow)[0]
    assert (row.name, row.family.name, row.source) == ("edges", family, str(source))


def test_the_one_that_is_given_comes_first_of_its_family(
    tiny_catalog: Catalog, tmp_path: Path
) -> None:
    mini = tiny_catalog.find(ModelRow, "mini")
    assert [row.name for row in tiny_catalog.fitting(ControlNetRow, mini)] == [
        "mini-sketch",
        "mini-other",
    ]
    first = tiny_catalog.with_first(ControlNetRow, "mini-other")
    assert [row.name for row in first.fitting(ControlNetRow, mini)] == ["mini-other", "mini-sketch"]
    mine = folder_of(tmp_path / "big", 768)
    more = tiny_catalog.with_first(ControlNetRow, str(mine))
    assert more.rows(ControlNetRow)[0].name == "big (2)"
    assert more.fitting(ControlNetRow, mini) == tiny_catalog.fitting(ControlNetRow, mini)
    assert more.with_first(ControlNetRow, str(mine)).rows(ControlNetRow) == more.rows(ControlNetRow)
    assert more.with_source(str(tiny_catalog.find(ModelRow, "mini").source)).rows(
        ControlNetRow
    ) == (more.rows(ControlNetRow))
    assert (
        tiny_catalog.with_first(ControlNetRow, str(mine), name="mine")
        .find(ControlNetRow, "mine")
        .title
        == "mine"
    )


def test_the_rows_say_what_they_were_made_for(tiny_catalog: Catalog) -> None:
    assert tiny_catalog.find(ControlNetRow, "mini-sketch").preprocessors == ("canny", "scribble")
    with pytest.raises(UnknownNameError, match=r"'mini-sketsch'.*mini-sketch"):
        tiny_catalog.find(ControlNetRow, "mini-sketsch")


def test_an_unknown_family_is_refused_and_the_known_are_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"width 999.*1\.x \(768\).*XL \(2048\)") as caught:
        Catalog.default().with_first(ControlNetRow, str(folder_of(tmp_path / "x", 999)))
    assert caught.value.field == "controlnet"


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("nowhere/at/all", "Use a name from the list, a folder"),
        ("no config", "config.json can't be read"),
        ("adapter", "T2IAdapter"),
        ("no weights", "none of the files"),
        ("broken", "can't be read"),
        ("lora.safetensors", "no cross-attention"),
        ("junk.safetensors", "isn't a (?:readable )?safetensors"),
    ],
)
def test_what_is_no_controlnet_is_refused_in_words(
    source: str, complaint: str, tmp_path: Path
) -> None:
    (tmp_path / "no config").mkdir()
    save_file(tensors(768), tmp_path / "no config" / "diffusion_pytorch_model.safetensors")
    folder_of(tmp_path / "adapter", 768, "T2IAdapter")
    (folder_of(tmp_path / "no weights", 768) / "diffusion_pytorch_model.safetensors").unlink()
    (folder_of(tmp_path / "broken", 768) / "config.json").write_text("{")
    save_file({"lora_up.weight": torch.zeros(2, 2)}, tmp_path / "lora.safetensors")
    (tmp_path / "junk.safetensors").write_bytes(b"junk" * 10)
    place = tmp_path / source
    with pytest.raises(ModelNotFoundError, match=complaint):
        Catalog.default().with_first(ControlNetRow, str(place) if place.exists() else source)


def test_a_hostile_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    trace, path = tmp_path / "it ran", tmp_path / "edges.pth"
    torch.save({**tensors(768), "x": Hostile(trace)}, path)
    with pytest.raises(UnsafeWeightsError, match="could run code"):
        Catalog.default().with_first(ControlNetRow, str(path))
    path.rename(tmp_path / "edges.safetensors")  # told by its bytes, not by its name
    with pytest.raises(UnsafeWeightsError, match="could run code"):
        Catalog.default().with_first(ControlNetRow, str(tmp_path / "edges.safetensors"))
    assert not trace.exists()
    path.write_bytes(b"\x80\x02 damaged")
    with pytest.raises((ModelLoadError, UnsafeWeightsError), match=r"edges\.pth"):
        Catalog.default().with_first(ControlNetRow, str(path))


def test_a_hub_id_that_cant_be_looked_up_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelNotFoundError, match="someone/edges isn't on this machine"):
        Catalog.default().with_first(ControlNetRow, "someone/edges")

    def found(source: str, name: str, *, local_files_only: bool) -> str:
        raise huggingface_hub.errors.RepositoryNotFoundError("404", response=_Response())

    monkeypatch.setattr(hub, "check_reachable", lambda: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", found)
    with pytest.raises(ModelNotFoundError, match="couldn't be looked up"):
        Catalog.default().with_first(ControlNetRow, "someone/edges")


class _Response:
    headers: dict[str, str] = {}  # noqa: RUF012 (stands in for a library's)
    request = None


def test_a_hub_ids_family_is_read_from_its_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path / "snapshot", 2048)
    monkeypatch.setattr(
        huggingface_hub,
        "hf_hub_download",
        lambda _source, name, *, local_files_only: str(folder / name),
    )
    row = Catalog.default().with_first(ControlNetRow, "someone/edges").rows(ControlNetRow)[0]
    assert (row.name, row.family.name, row.folder) == ("someone/edges", "sdxl", None)


def test_models_folders_are_searched_and_what_is_of_no_use_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder_of(tmp_path / "controlnet" / "depth", 768)
    folder_of(tmp_path / "controlnet" / "odd", 1000)
    save_file(tensors(2048), tmp_path / "controlnet" / "edges.safetensors")
    torch.save(tensors(768), tmp_path / "controlnet" / "edges.pth")
    (tmp_path / "controlnet" / "notes.txt").write_text("hello")
    with caplog.at_level(logging.WARNING):
        catalog = Catalog.default([tmp_path, tmp_path / "not there"])
    mine = [row for row in catalog.rows(ControlNetRow) if str(tmp_path) in row.source]
    assert {row.name: row.family.name for row in mine} == {
        "depth": "sd1",
        "controlnet/edges.pth": "sd1",
        "controlnet/edges.safetensors": "sdxl",
    }
    assert "odd" in caplog.text and "1000" in caplog.text
    assert catalog.rows(ModelRow) == Catalog.default().rows(ModelRow), (
        "they aren't taken for models"
    )


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"family": "sd9"}, "unknown family 'sd9'"),
        ({"sauce": "x"}, "sauce"),
        ({"preprocessors": 3}, "preprocessors"),
    ],
)
def test_a_mistake_in_the_rows_is_named(
    change: dict[str, object], complaint: str, tmp_path: Path, tiny_catalog: Catalog
) -> None:
    source = Path(tiny_catalog.find(ControlNetRow, "big").source).parent
    content = yaml.safe_load((source / "models.yaml").read_text())
    content["controlnets"]["big"].update(change)
    (tmp_path / "models.yaml").write_text(yaml.safe_dump(content))
    (tmp_path / "quality.yaml").write_bytes((source / "quality.yaml").read_bytes())
    with pytest.raises(PresetError, match=complaint):
        Catalog.from_folder(tmp_path)


# Loading them


def painted(catalog: Catalog, name: str) -> Any:
    control = Control(name, EDGES)
    with ModelManager(catalog, device="cpu").lease("mini", controlnets=[name]) as leased:
        run = replace(RUN, controls=(control,), num_inference_steps=2)
        return leased.denoise(run, lambda _step, _preview: None)


@pytest.mark.parametrize("form", ["safetensors", "pth", "nested pth", "folder with a pickle"])
def test_every_form_loads_to_the_same_network(
    form: str, tiny_catalog: Catalog, tmp_path: Path
) -> None:
    shipped = Path(tiny_catalog.find(ControlNetRow, "mini-sketch").source)
    weights = load_file(shipped / "diffusion_pytorch_model.safetensors")
    source = tmp_path / "mine.pth"
    if form == "safetensors":
        source = tmp_path / "mine.safetensors"
        save_file(weights, source)
    elif form == "folder with a pickle":
        source = tmp_path / "mine"
        source.mkdir()
        (source / "config.json").write_bytes((shipped / "config.json").read_bytes())
        torch.save(weights, source / "diffusion_pytorch_model.bin")
    else:
        torch.save({"state_dict": weights} if "nested" in form else weights, source)
    catalog = tiny_catalog.with_first(ControlNetRow, str(source), name="mine")
    assert catalog.fitting(ControlNetRow, catalog.find(ModelRow, "mini"))[0].name == "mine"
    assert torch.equal(painted(catalog, "mine"), painted(tiny_catalog, "mini-sketch"))


def test_weights_of_something_else_are_refused(tiny_catalog: Catalog, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    save_file({DIFFUSERS_KEY: torch.zeros(4, 32), "time_embedding.linear_1.weight": EMPTY}, path)
    catalog = tiny_catalog.with_first(ControlNetRow, str(path))
    with pytest.raises(ModelLoadError, match=r"mine"):
        painted(catalog, "mine")


EMPTY = torch.zeros(1)


def as_a1111(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tiny network's weights under the names that the first ControlNets were published with."""
    resnet = {
        "norm1": "in_layers.0",
        "conv1": "in_layers.2",
        "time_emb_proj": "emb_layers.1",
        "norm2": "out_layers.0",
        "conv2": "out_layers.3",
        "conv_shortcut": "skip_connection",
    }
    places = {
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "conv_in": "input_blocks.0.0",
        "down_blocks.0.resnets.0": "input_blocks.1.0",
        "down_blocks.0.downsamplers.0.conv": "input_blocks.2.0.op",
        "down_blocks.1.resnets.0": "input_blocks.3.0",
        "down_blocks.1.attentions.0": "input_blocks.3.1",
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
        "controlnet_mid_block": "middle_block_out.0",
        "controlnet_cond_embedding.conv_in": "input_hint_block.0",
        "controlnet_cond_embedding.conv_out": "input_hint_block.14",
        **{f"controlnet_down_blocks.{i}": f"zero_convs.{i}.0" for i in range(4)},
        **{
            f"controlnet_cond_embedding.blocks.{i}": f"input_hint_block.{2 * i + 2}"
            for i in range(6)
        },
    }
    renamed: dict[str, torch.Tensor] = {}
    for name, tensor in weights.items():
        start = next(each for each in places if name.startswith(f"{each}."))
        inner = name.removeprefix(f"{start}.")
        if ".resnets." in f".{start}":
            part, _, kind = inner.partition(".")
            inner = f"{resnet[part]}.{kind}"
        renamed[f"control_model.{places[start]}.{inner}"] = tensor
    return renamed


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_of_the_first_kind_is_converted(
    suffix: str, tiny_catalog: Catalog, tmp_path: Path
) -> None:
    shipped = Path(tiny_catalog.find(ControlNetRow, "mini-sketch").source)
    weights = as_a1111(load_file(shipped / "diffusion_pytorch_model.safetensors"))
    source = tmp_path / f"mine{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": weights}, source)
    else:
        save_file(weights, source)
    catalog = tiny_catalog.with_first(ControlNetRow, str(source))
    assert torch.equal(painted(catalog, "mine"), painted(tiny_catalog, "mini-sketch"))
