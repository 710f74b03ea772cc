"""Every stage, from rendered scenes to a folder that diffusers loads, with networks of a few
channels.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from paintdiff.errors import WorldError
from paintdiff.mini.__main__ import load_pipeline
from paintdiff.mini.adopt import adopt_pipeline
from paintdiff.mini.data.dataset import Dataset, cache_masks, open_dataset
from paintdiff.mini.evaluate import paint_prompts
from paintdiff.mini.export import export_pipeline
from paintdiff.mini.loop import Machine
from paintdiff.mini.networks.autoencoder import (
    build_autoencoder,
    cache_latents,
    edge_loss,
    sharpen_decoder,
    train_autoencoder,
)
from paintdiff.mini.networks.control import build_control
from paintdiff.mini.networks.objective import timesteps_at
from paintdiff.mini.networks.painter import CaptionedLatents, build_painter, train_painter
from paintdiff.mini.recipe import DEFAULT_RECIPE, Recipe, read_recipe


@pytest.fixture(scope="module")
def exported(
    tiny_dataset: Dataset, tiny_machine: Machine, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder that all stages after rendering end in."""
    work, target = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("target")
    vae = train_autoencoder(tiny_dataset, work, tiny_machine)
    cache_latents(tiny_dataset, work, tiny_machine, vae)
    cache_masks(tiny_dataset, work)
    painter = train_painter(tiny_dataset, work, tiny_machine)
    export_pipeline(tiny_dataset, work, vae, painter, target)
    return target


def test_the_exported_folder_loads_and_paints(exported: Path, tiny_recipe: Recipe) -> None:
    pipeline = load_pipeline(exported)
    images = paint_prompts(tiny_recipe, pipeline, ["a red house", "a blue fish"])
    assert images.shape == (2, 32, 32, 3)
    assert pipeline.scheduler.config.prediction_type == "v_prediction"
    preview = json.loads((exported / "latent_rgb.json").read_text(encoding="utf-8"))
    assert np.shape(preview["matrix"]) == (4, 3)
    assert len(preview["bias"]) == 3


def test_only_safetensors_of_half_precision_ship(exported: Path) -> None:
    suffixes = {path.suffix for path in exported.rglob("*") if path.is_file()}
    assert suffixes <= {".safetensors", ".json", ".txt"}
    assert load_pipeline(exported).unet.dtype == torch.float32


def test_training_the_decoder_alone_leaves_the_latents(
    tiny_dataset: Dataset, tiny_machine: Machine, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    vae = build_autoencoder(tiny_dataset.recipe.autoencoder, tiny_dataset.recipe.size_px)
    pixels = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        before = vae.encode(pixels).latent_dist.mode()
        painted = vae.decode(before).sample
    sharpen_decoder(tiny_dataset, tmp_path, tiny_machine, vae)
    with torch.no_grad():
        assert torch.allclose(vae.encode(pixels).latent_dist.mode(), before, atol=1e-5)
        assert not torch.allclose(vae.decode(before).sample, painted, atol=1e-3)


def test_training_goes_on_from_an_exported_pipeline(
    exported: Path, tiny_dataset: Dataset, tiny_machine: Machine, tmp_path: Path
) -> None:
    pipeline = load_pipeline(exported)
    control = build_control(tiny_dataset.recipe, pipeline.unet)
    adopt_pipeline(tiny_dataset.recipe, pipeline, tmp_path, control)
    vae = train_autoencoder(tiny_dataset, tmp_path, tiny_machine)
    for ours, theirs in zip(vae.parameters(), pipeline.vae.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    state = torch.load(tmp_path / "painter.pt", weights_only=True)
    assert state["step"] == 0
    for name, value in pipeline.unet.state_dict().items():
        assert torch.equal(state["modules"]["unet"][name], value)
    state = torch.load(tmp_path / "control.pt", weights_only=True)
    for name, value in control.state_dict().items():
        assert torch.equal(state["modules"]["control"][name], value)
    with pytest.raises(WorldError, match="another --work folder"):
        adopt_pipeline(tiny_dataset.recipe, pipeline, tmp_path)


def test_a_pipeline_of_other_networks_is_refused(
    exported: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    wider = tiny_recipe.autoencoder.model_copy(update={"block_out_channels": (8, 16, 16)})
    other = tiny_recipe.model_copy(update={"autoencoder": wider})
    with pytest.raises(WorldError, match="aren't the recipe's"):
        adopt_pipeline(other, load_pipeline(exported), tmp_path)


def test_latents_are_cached_for_each_view(
    tiny_dataset: Dataset, tiny_machine: Machine, tmp_path: Path
) -> None:
    vae = build_autoencoder(tiny_dataset.recipe.autoencoder, tiny_dataset.recipe.size_px)
    cache_latents(tiny_dataset, tmp_path, tiny_machine, vae)
    latents = np.load(tmp_path / "latents.npy")
    side = tiny_dataset.recipe.latent_side
    assert latents.shape == (2, len(tiny_dataset), 4, side, side)
    assert not np.array_equal(latents[0], latents[1])
    painter = build_painter(tiny_dataset.recipe)
    cache_masks(tiny_dataset, tmp_path)
    batches = CaptionedLatents(tiny_dataset, tmp_path, painter.tokenizer)
    batch = batches.draw(np.random.default_rng(0), 6)
    assert batch.tokens.shape == (6, 77)
    assert batch.latents.shape == (6, 4, side, side)
    assert batch.subject.shape == (6, 1, side, side)
    assert 0 <= batch.subject.min() < batch.subject.max() <= 1
    again = batches.draw(np.random.default_rng(0), 6)
    assert torch.equal(batch.tokens, again.tokens)
    assert torch.equal(batch.latents, again.latents)


def test_some_subjects_are_drawn_more_often(tiny_dataset: Dataset, tmp_path: Path) -> None:
    recipe = tiny_dataset.recipe
    subject = next(s.subject for s in map(tiny_dataset.scene, range(24)) if s.subject is not None)
    painter = recipe.painter.model_copy(update={"subject_shares": {subject: 1e9}})
    data = replace(tiny_dataset, recipe=recipe.model_copy(update={"painter": painter}))
    side = recipe.latent_side
    latents = np.random.default_rng(1).random((2, len(data), 4, side, side))
    np.save(tmp_path / "latents.npy", latents.astype(np.float16))
    cache_masks(data, tmp_path)
    batches = CaptionedLatents(data, tmp_path, build_painter(data.recipe).tokenizer)
    rows = batches.draw(np.random.default_rng(0), 40).rows.tolist()
    assert {data.scene(row).subject for row in rows} == {subject}


def test_subjects_in_the_middle_face_one_way_unless_a_drawing_tells(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    side = tiny_dataset.recipe.latent_side
    latents = np.random.default_rng(1).random((2, len(tiny_dataset), 4, side, side))
    np.save(tmp_path / "latents.npy", latents.astype(np.float16))
    cache_masks(tiny_dataset, tmp_path)
    tokenizer = build_painter(tiny_dataset.recipe).tokenizer
    for anywhere, views in ((False, {0}), (True, {0, 1})):
        batches = CaptionedLatents(tiny_dataset, tmp_path, tokenizer, facing_anywhere=anywhere)
        batch = batches.draw(np.random.default_rng(0), 60)
        seen = {"centre": set[int](), "elsewhere": set[int]()}
        for row, view in zip(batch.rows.tolist(), batch.views.tolist(), strict=True):
            side_of = tiny_dataset.scene(row).side
            seen["centre" if side_of == "centre" else "elsewhere"].add(view)
        assert seen == {"centre": views, "elsewhere": {0, 1}}


def test_a_recipe_that_prefers_what_it_never_paints_is_refused(tmp_path: Path) -> None:
    recipe = yaml.safe_load(DEFAULT_RECIPE.read_text("utf-8"))
    recipe["painter"]["subject_shares"]["unicorn"] = 2
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe), "utf-8")
    with pytest.raises(WorldError, match="unicorn"):
        read_recipe(tmp_path / "recipe.yaml")


def test_the_edge_loss_sees_a_blur_and_not_a_shift_of_brightness() -> None:
    sharp = torch.zeros(1, 3, 8, 8)
    sharp[..., 4:] = 1.0
    blurred = torch.nn.functional.avg_pool2d(sharp, 3, stride=1, padding=1, count_include_pad=False)
    assert edge_loss(sharp + 0.2, sharp) < 1e-6 < edge_loss(blurred, sharp)


def test_training_before_rendering_says_what_to_do(tiny_recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="render command"):
        open_dataset(tiny_recipe, tmp_path)


def test_most_timesteps_are_drawn_where_shapes_are_decided(tiny_recipe: Recipe) -> None:
    recipe = tiny_recipe.painter
    timesteps = timesteps_at(torch.linspace(0, 1, 10_001), recipe)
    low, high = recipe.middle_timesteps
    inside = ((timesteps >= low) & (timesteps < high)).float().mean().item()
    even = (1 - recipe.middle_share) * (high - low) / 1000
    assert inside == pytest.approx(recipe.middle_share + even, abs=0.01)
    assert (timesteps.min(), timesteps.max()) == (0, 999)


def test_masks_show_where_the_subject_is(tiny_dataset: Dataset, tmp_path: Path) -> None:
    cache_masks(tiny_dataset, tmp_path)
    masks = np.load(tmp_path / "masks.npy")
    for index, mask in enumerate(masks):
        scene = tiny_dataset.scene(index)
        assert (mask.max() > 0) == (scene.subject is not None)
        if scene.side in ("left", "right"):
            left, right = np.hsplit(mask.astype(float), 2)
            assert (left.sum() > right.sum()) == (scene.side == "left")
