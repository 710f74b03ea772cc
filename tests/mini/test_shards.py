"""Rendered scenes on disk: whole or not there, and what they were when they were rendered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from paintdiff.errors import WorldError
from paintdiff.mini.data import dataset
from paintdiff.mini.data.dataset import open_dataset, render_dataset
from paintdiff.mini.data.shards import RenderedScene, Shards, mask_share, shard_path, write_shard
from paintdiff.mini.recipe import DEFAULT_RECIPE, Recipe, read_recipe
from paintdiff.mini.world import render, sample_scene, subject_mask


@pytest.fixture(scope="module")
def rendered() -> list[RenderedScene]:
    config = read_recipe(DEFAULT_RECIPE.with_name("recipe-v1.yaml")).world.config()
    scenes = [sample_scene(seed, config) for seed in range(5)]
    return [RenderedScene(s, render(s, 32), subject_mask(s, 32)) for s in scenes]


def test_what_is_written_comes_back_exactly(rendered: list[RenderedScene], tmp_path: Path) -> None:
    write_shard(tmp_path, 0, rendered[:3])
    write_shard(tmp_path, 1, rendered[3:])
    shards = Shards(tmp_path)
    assert len(shards) == 5
    for index, each in enumerate(rendered):
        assert shards.scenes[index] == each.scene
        assert np.array_equal(shards.image(index), each.image)
        assert np.array_equal(shards.mask(index), each.mask)
    assert len(Shards(tmp_path, limit=4)) == 4


def test_a_shard_without_its_index_is_not_there(
    rendered: list[RenderedScene], tmp_path: Path
) -> None:
    for number in range(3):
        write_shard(tmp_path, number, rendered[:2])
    shard_path(tmp_path, 1).unlink()  # as if the run had been cut before it was written
    assert len(Shards(tmp_path)) == 2
    assert not list(tmp_path.glob("*.partial"))


def test_rendering_goes_on_where_it_was_cut(
    tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "SHARD", 8)
    render_dataset(tiny_recipe, tmp_path, workers=1, scenes=10)  # two shards: 16 scenes
    folder = tmp_path / "scenes"
    assert sorted(path.name for path in folder.glob("*.json")) == ["00000.json", "00001.json"]
    before = Shards(folder).scenes
    shard_path(folder, 0).unlink()
    untouched = shard_path(folder, 1).stat().st_mtime_ns
    with pytest.raises(WorldError, match="0 of 24 rendered scenes; run the render command"):
        open_dataset(tiny_recipe, tmp_path)
    render_dataset(tiny_recipe, tmp_path, workers=1)
    assert shard_path(folder, 1).stat().st_mtime_ns == untouched
    data = open_dataset(tiny_recipe, tmp_path)
    assert len(data) == tiny_recipe.scenes == 24
    assert data.shards.scenes[:16] == before


def test_a_scene_is_the_one_that_was_rendered(
    rendered: list[RenderedScene], tmp_path: Path
) -> None:
    """It is read from the shard, not drawn by lot again: the lots may have changed since."""
    write_shard(tmp_path, 0, rendered[:1])
    path = shard_path(tmp_path, 0)
    rows = json.loads(path.read_text(encoding="utf-8"))
    rows[0]["scene"]["seed"] = 4711
    path.write_text(json.dumps(rows), encoding="utf-8")
    assert Shards(tmp_path).scenes[0].seed == 4711


def test_the_share_of_a_mask_is_by_cells() -> None:
    mask = np.zeros((32, 32), bool)
    mask[:8, :4] = True
    share = mask_share(mask, 4)
    assert share.shape == (4, 4)
    assert share[0, 0] == 128
    assert share.sum() == 128
