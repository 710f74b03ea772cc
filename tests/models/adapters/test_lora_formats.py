"""LoRAs from strangers: of other families, damaged, or made to break what reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from paintdiff.errors import ModelError, ModelLoadError, UnsafeWeightsError
from paintdiff.imaging.geometry import Size
from paintdiff.models.adapters.lora_formats import read_lora
from paintdiff.models.adapters.specs import Adapters, LoraUse
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.catalog.live_catalog import LiveCatalog
from paintdiff.models.inference.denoising_run import Denoising
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.adapter_rows import LoraRow
from paintdiff.models.registry.model_rows import ModelRow
from tests import adapter_files as files

RUN = Denoising("a red house", "", Size(64, 64), 1, 1.0, "DDIM", seed=3)
_ATTENTION = "down_blocks.1.attentions.0.transformer_blocks.0"
TO_Q = f"unet.{_ATTENTION}.attn1.to_q"
TO_K = f"unet.{_ATTENTION}.attn2.to_k"


class Changing(LiveCatalog):
    """A library with what a test puts into it."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(base=catalog)
        self.now = catalog

    def catalog(self) -> Catalog:
        return self.now


class Studio:
    """A tiny model that LoRAs are tried on."""

    def __init__(self, catalog: Catalog) -> None:
        self._library = Changing(catalog)
        self._manager = ModelManager(self._library, device="cpu")
        self._catalog = catalog
        self.before, _ = self._painted(())
        with self._manager.lease("mini") as leased:
            self.components = leased.pipeline.components
            self.pipeline_class = type(leased.pipeline)

    def _painted(self, rows: tuple[LoraRow, ...]) -> tuple[torch.Tensor, tuple[str, ...]]:
        self._library.now = files.with_adapters(self._catalog, loras=rows)
        uses = tuple(LoraUse(row.name) for row in rows)
        with self._manager.lease("mini", adapters=Adapters(loras=uses)) as leased:
            return leased.denoise(RUN, lambda _s, _p: None), leased.adapters.notes

    def with_lora(self, path: Path, **row: Any) -> tuple[torch.Tensor, tuple[str, ...]]:
        try:
            return self._painted((files.lora_row(path, **row),))
        finally:
            assert torch.equal(self._painted(())[0], self.before), "nothing was left behind"


@pytest.fixture(scope="module")
def studio(tiny_catalog: Catalog) -> Studio:
    return Studio(tiny_catalog)


def pair(path: str, down: torch.Tensor, up: torch.Tensor) -> dict[str, torch.Tensor]:
    return {f"{path}.lora_A.weight": down, f"{path}.lora_B.weight": up}


def test_a_lora_of_another_family_is_refused_by_its_width(studio: Studio, tmp_path: Path) -> None:
    path = files.saved(
        tmp_path / "a.safetensors", pair(TO_K, torch.ones(2, 768), torch.ones(32, 2))
    )
    with pytest.raises(ModelLoadError, match=r"text embeddings of width 768.*which uses 32"):
        studio.with_lora(path)


def test_a_lora_of_another_family_is_refused_by_its_row(
    studio: Studio, tmp_path: Path, tiny_xl_folder: Path
) -> None:
    family = Catalog.default().with_source(str(tiny_xl_folder)).rows(ModelRow)[-1].family
    path = files.saved(
        tmp_path / "a.safetensors", pair(TO_K, torch.ones(2, 768), torch.ones(32, 2))
    )
    with pytest.raises(ModelLoadError, match="is for Stable Diffusion XL"):
        studio.with_lora(path, family=family)


def test_a_lora_that_fits_in_part_says_how_much(studio: Studio, tmp_path: Path) -> None:
    tensors = pair(TO_Q, torch.ones(2, 32), torch.ones(32, 2))
    tensors |= pair("unet.down_blocks.9.nowhere", torch.ones(2, 32), torch.ones(32, 2))
    painted, notes = studio.with_lora(files.saved(tmp_path / "part.safetensors", tensors))
    assert not torch.equal(painted, studio.before)
    assert len(notes) == 1
    assert "1 of 2 parts" in notes[0]


HOSTILE: Mapping[str, dict[str, torch.Tensor]] = {
    "dunder": pair("unet.__class__", torch.ones(2, 32), torch.ones(32, 2)),
    "dunder path": pair("__class__.__init__.__globals__", torch.ones(2, 32), torch.ones(32, 2)),
    "a method": pair("unet.forward", torch.ones(2, 32), torch.ones(32, 2)),
    "a parameter": pair(f"{TO_Q}.weight", torch.ones(2, 32), torch.ones(32, 2)),
    "a regular expression": pair("unet.(.*.*)*$", torch.ones(2, 32), torch.ones(32, 2)),
    "huge rank": pair(TO_Q, torch.ones(5000, 32), torch.ones(32, 5000)),
    "no rank": pair(TO_Q, torch.ones(0, 32), torch.ones(32, 0)),
    "ranks that differ": pair(TO_Q, torch.ones(2, 32), torch.ones(32, 3)),
    "wrong inputs": pair(TO_Q, torch.ones(2, 31), torch.ones(32, 2)),
    "wrong outputs": pair(TO_Q, torch.ones(2, 32), torch.ones(33, 2)),
    "one dimension": pair(TO_Q, torch.ones(32), torch.ones(32)),
    "three dimensions": pair(TO_Q, torch.ones(2, 32, 1), torch.ones(32, 2, 1)),
    "a convolution": pair(TO_Q, torch.ones(2, 32, 3, 3), torch.ones(32, 2, 1, 1)),
    "whole numbers": pair(TO_Q, torch.ones(2, 32, dtype=torch.int32), torch.ones(32, 2)),
    "half a pair": {f"{TO_Q}.lora_A.weight": torch.ones(2, 32)},
    "kohya nonsense": {
        "lora_unet_input_blocks_x_y.lora_down.weight": torch.ones(2, 32),
        "lora_unet_input_blocks_x_y.lora_up.weight": torch.ones(32, 2),
    },
    "alpha without a rank": {
        "lora_unet_mid_block_proj_in.lora_down.weight": torch.ones(2, 32),
        "lora_unet_mid_block_proj_in.lora_up.weight": torch.ones(32, 2),
        "lora_unet_mid_block_proj_in.alpha": torch.ones(7),
    },
    "LoHa": {"lora_unet_mid_block_proj_in.hada_w1_a": torch.ones(2, 32)},
    "a checkpoint": {"model.diffusion_model.input_blocks.0.0.weight": torch.ones(4, 4)},
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_no_lora_is_refused_in_words(studio: Studio, tmp_path: Path, kind: str) -> None:
    path = files.saved(tmp_path / "strange.safetensors", HOSTILE[kind])
    with pytest.raises(ModelLoadError, match="strange"):
        studio.with_lora(path)


def test_an_empty_file_and_one_that_is_gone_are_refused(studio: Studio, tmp_path: Path) -> None:
    path = tmp_path / "strange.safetensors"
    save_file({}, path)
    for change in (lambda: None, lambda: path.write_bytes(b""), path.unlink):
        change()
        with pytest.raises(ModelError, match="strange"):
            studio.with_lora(path)


def test_a_pickle_is_read_without_running_it(studio: Studio, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return Path.touch, (str(tmp_path / "ran"),)

    tensors = pair(TO_Q, torch.full((2, 32), 0.5), torch.full((32, 2), 0.5))
    torch.save({"state_dict": tensors}, tmp_path / "pickled.pt")
    same = files.saved(tmp_path / "pickled.safetensors", tensors)
    assert torch.equal(studio.with_lora(tmp_path / "pickled.pt")[0], studio.with_lora(same)[0])
    torch.save({"state_dict": Evil()}, tmp_path / "evil.safetensors")
    with pytest.raises(UnsafeWeightsError, match="It was not run"):
        studio.with_lora(tmp_path / "evil.safetensors")
    assert not (tmp_path / "ran").exists()


def test_numbers_that_are_none_crash_nothing(studio: Studio, tmp_path: Path) -> None:
    tensors = pair(TO_Q, torch.full((2, 32), float("nan")), torch.full((32, 2), float("inf")))
    painted, _notes = studio.with_lora(files.saved(tmp_path / "nan.safetensors", tensors))
    assert painted.isnan().any()


_KOHYA_STEM = f"lora_unet_{_ATTENTION.replace('.', '_')}_attn1_to_q"


def test_lycoris_parts_are_left_out_and_named(studio: Studio, tmp_path: Path) -> None:
    tensors = {
        f"{_KOHYA_STEM}.lora_down.weight": torch.ones(2, 32),
        f"{_KOHYA_STEM}.lora_up.weight": torch.ones(32, 2),
        f"{_KOHYA_STEM.replace('to_q', 'to_k')}.hada_w1_a": torch.ones(2, 32),
    }
    painted, notes = studio.with_lora(files.saved(tmp_path / "mixed.safetensors", tensors))
    assert not torch.equal(painted, studio.before)
    assert any("LoHa" in note for note in notes)


def test_the_alphas_that_diffusers_notes_beside_the_tensors_count(
    studio: Studio, tmp_path: Path
) -> None:
    path = tmp_path / "noted.safetensors"
    noted = {"unet.r": 2, "unet.lora_alpha": 4, "unet.alpha_pattern": {"attn2.to_k": 1}}
    tensors = pair(TO_Q, torch.ones(2, 32), torch.ones(32, 2))
    tensors |= pair(TO_K, torch.ones(2, 32), torch.ones(32, 2))
    save_file(tensors, path, metadata={"lora_adapter_metadata": json.dumps(noted)})
    parts = read_lora(path, "noted", studio.pipeline_class, studio.components).parts
    scales = {where: float(part.up[0, 0]) for (_component, where), part in parts.items()}
    assert scales == {TO_Q.removeprefix("unet."): 2.0, TO_K.removeprefix("unet."): 0.5}
