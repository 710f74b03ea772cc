from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest

from paintdiff.config.presets import presets_folder
from paintdiff.errors import (
    ModelError,
    ModelLoadError,
    ModelNotFoundError,
    PresetError,
    RequestError,
    UnknownNameError,
)
from paintdiff.imaging.geometry import Size
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.hub.hub_id import HUB_ID
from paintdiff.models.registry.adapter_rows import LoraRow
from paintdiff.models.registry.model_rows import ModelRow, read_latent_rgb
from paintdiff.models.registry.upscaler_rows import UpscalerRow
from tests.models.weight_files import checkpoint, kohya_lora, write_sparse


@pytest.fixture
def presets(tmp_path: Path) -> Path:
    """A copy of the presets that may be changed."""
    folder = tmp_path / "presets"
    folder.mkdir()
    for name in ("models.yaml", "quality.yaml"):
        (folder / name).write_text((presets_folder() / name).read_text())
    return folder


def test_mini_comes_first_and_has_figures_of_its_own() -> None:
    row = Catalog.default().rows(ModelRow)[0]
    assert row.name == "mini"
    assert row.native_size == Size(128, 128)
    assert row.native_size in row.sizes
    assert row.closed_vocabulary
    assert row.figures("balanced").guidance_scale < 7.5
    assert row.folder == presets_folder() / "mini"
    steps = [row.figures(name).num_inference_steps for name in ("fast", "balanced", "high")]
    assert steps == sorted(set(steps))


def test_models_of_the_hub_say_what_they_cost_before_they_are_chosen() -> None:
    rows = [row for row in Catalog.default().rows(ModelRow) if HUB_ID.fullmatch(row.source)]
    assert len({row.source for row in rows}) == len(rows) > 4
    for row in rows:
        assert row.licence and row.description and row.least_memory_bytes, row.name
        assert row.native_size in row.sizes, row.name
        steps = [row.figures(name).num_inference_steps for name in ("fast", "balanced", "high")]
        assert steps == sorted(steps), row.name
        guidance = [row.figures(name).guidance_scale for name in ("fast", "balanced", "high")]
        if row.distilled:
            assert max(steps) <= 12 and len({*guidance}) == 1, row.name


def test_other_models_have_the_general_figures(tiny_folder: Path) -> None:
    row = Catalog.default().with_source(str(tiny_folder)).find(ModelRow, "tiny")
    figures = [row.figures(name) for name in ("fast", "balanced", "high")]
    assert [(one.num_inference_steps, one.guidance_scale) for one in figures] == [
        (20, 7.0),
        (50, 7.5),
        (100, 8.0),
    ]
    assert row.native_size == Size(512, 512)
    assert not row.closed_vocabulary


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"'minni'.*mini") as caught:
        Catalog.default().find(ModelRow, "minni")
    assert caught.value.field == "model"
    with pytest.raises(UnknownNameError, match="fast, balanced, high") as caught:
        Catalog.default().find(ModelRow, "mini").figures("xyz")
    assert caught.value.field == "quality"


def test_models_in_a_folder_are_found(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "painter").symlink_to(tiny_folder)
    (tmp_path / "no model").mkdir()
    write_sparse(tmp_path / "big.safetensors", checkpoint(2048))
    (tmp_path / "notes.txt").write_text("hello")
    catalog = Catalog.default([tmp_path, tmp_path / "not there"])
    shipped = Catalog.default().rows(ModelRow)
    found = {row.name: row.family.name for row in catalog.rows(ModelRow)[len(shipped) :]}
    assert found in ({"tiny": "sd1", "big": "sdxl"}, {"painter": "sd1", "big": "sdxl"})


def test_what_cannot_be_used_in_a_folder_is_left_out_and_logged(
    tiny_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "house").symlink_to(tiny_folder)
    (tmp_path / "broken.safetensors").write_bytes(b"nonsense")
    unnamable = b"b\xffad"  # no UTF-8: no request could name it
    folders = ("", "controlnet", "upscale_models", "GFPGAN")
    for folder in folders:
        (tmp_path / folder).mkdir(exist_ok=True)
        name = os.fsdecode(unnamable + b".safetensors")
        (tmp_path / folder / name).write_bytes(b"nonsense")
    catalog = Catalog.default([tmp_path])
    assert len(catalog.rows(ModelRow)) == len(Catalog.default().rows(ModelRow)) + 1
    assert len(catalog.rows(UpscalerRow)) == len(Catalog.default().rows(UpscalerRow))
    assert "broken.safetensors isn't a usable safetensors file" in caplog.text
    assert caplog.text.count("its name isn't valid Unicode") >= len(folders)


def test_with_source_leaves_the_catalog_alone_and_numbers_taken_names(tiny_folder: Path) -> None:
    before = Catalog.default()
    after = before.with_source(str(tiny_folder)).with_source(str(tiny_folder))
    assert before.rows(ModelRow) == Catalog.default().rows(ModelRow)
    assert [row.name for row in after.rows(ModelRow)[len(before.rows(ModelRow)) :]] == [
        "tiny",
        "tiny (2)",
    ]


def test_a_hub_id_is_a_row_without_being_there() -> None:
    row = Catalog.default().with_source("someone/some-sdxl-model").rows(ModelRow)[-1]
    assert (row.name, row.family.name, row.folder) == ("someone/some-sdxl-model", "sdxl", None)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    catalog = Catalog.default()
    with pytest.raises(ModelNotFoundError, match="Name a folder"):
        catalog.with_source("no/such/thing")
    with pytest.raises(ModelNotFoundError, match="model_index"):
        catalog.with_source(str(tmp_path))
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "TimeMachine"}))
    with pytest.raises(RequestError, match="TimeMachine"):
        catalog.with_source(str(tmp_path))


def test_a_pickle_is_refused_whatever_it_is_called(tmp_path: Path) -> None:
    path = tmp_path / "nice.safetensors"
    path.write_bytes(pickle.dumps({"weight": 1}))
    with pytest.raises(ModelError, match=r"nice\.safetensors"):
        Catalog.default().with_source(str(path))


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("family: mini", "family: sd9", "sd9"),
        ("native_size: 128x128", "native_size: big", "native_size"),
        ("sampler: DDIM", "sampler: Magic", "sampler"),
        ("sampler: DDIM", "sampler: Flow Euler", "diffusion"),
        ("    closed_vocabulary: true", "    sampler: Flow Euler", "doesn't fit Mini"),
        ("closed_vocabulary: true", "closed_vocabulory: true", "closed_vocabulory"),
        ("models:", "models: [", "can't be read"),
    ],
)
def test_a_mistake_in_the_rows_is_named(presets: Path, old: str, new: str, complaint: str) -> None:
    path = presets / "models.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(PresetError, match=complaint) as caught:
        Catalog.from_folder(presets)
    assert "models.yaml" in str(caught.value)


def test_a_models_own_preview_map_comes_before_its_familys(
    tiny_folder: Path, tmp_path: Path
) -> None:
    row = Catalog.default().with_source(str(tiny_folder)).find(ModelRow, "tiny")
    assert read_latent_rgb(row, tiny_folder).bias == (0.1, 0.0, -0.1)
    assert read_latent_rgb(row, tmp_path) == row.family.latent_rgb
    for matrix, reason in (('"no"', "matrix: Input should be"), ("[[1, 0, 0]]", "needs 4, one")):
        (tmp_path / "latent_rgb.json").write_text(f'{{"matrix": {matrix}}}')
        with pytest.raises(ModelLoadError, match=reason) as refused:
            read_latent_rgb(row, tmp_path)
        assert str(refused.value).startswith(f"{tmp_path.name}/latent_rgb.json: ")


def test_the_old_way_to_find_a_lora_still_works_and_says_so(tmp_path: Path) -> None:
    write_sparse(tmp_path / "ink.safetensors", kohya_lora(768))
    catalog = Catalog.default([tmp_path])
    with pytest.warns(DeprecationWarning, match="find"):
        assert catalog.lora("INK") == catalog.find(LoraRow, "ink")
