"""The embedded model's ControlNet, trained in miniature."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from paintdiff.mini.__main__ import load_control
from paintdiff.mini.data.dataset import Dataset, cache_masks
from paintdiff.mini.loop import Machine
from paintdiff.mini.networks.autoencoder import build_autoencoder, cache_latents
from paintdiff.mini.networks.control import (
    ControlMaps,
    build_control,
    edge_overlap,
    export_control,
    roughen,
    train_control,
)
from paintdiff.mini.networks.painter import CaptionedLatents, build_painter
from paintdiff.preprocessors.lines import detect_canny_edges


@pytest.fixture(scope="module")
def work(
    tiny_dataset: Dataset, tiny_machine: Machine, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A work folder with everything that training a ControlNet reads."""
    folder = tmp_path_factory.mktemp("control")
    cache_masks(tiny_dataset, folder)
    vae = build_autoencoder(tiny_dataset.recipe.autoencoder, tiny_dataset.recipe.size_px)
    cache_latents(tiny_dataset, folder, tiny_machine, vae)
    return folder


def test_it_starts_as_the_painters_encoder_that_adds_nothing(tiny_dataset: Dataset) -> None:
    torch.manual_seed(0)
    painter = build_painter(tiny_dataset.recipe)
    control = build_control(tiny_dataset.recipe, painter.unet)
    assert torch.equal(control.conv_in.weight, painter.unet.conv_in.weight)
    ours, theirs = (net.down_blocks[1].resnets[0].conv1.weight for net in (control, painter.unet))
    assert torch.equal(ours, theirs)
    hidden = torch.zeros(1, 77, tiny_dataset.recipe.painter.text_encoder.hidden_size)
    side = tiny_dataset.recipe.latent_side
    with torch.no_grad():
        down, middle = control(
            torch.randn(1, 4, side, side),
            torch.tensor([500]),
            hidden,
            torch.rand(1, 3, 4 * side, 4 * side),
            return_dict=False,
        )
    assert all(not residual.any() for residual in (*down, middle))


def test_training_changes_the_control_and_leaves_the_painter(
    tiny_dataset: Dataset, tiny_machine: Machine, work: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    painter = build_painter(tiny_dataset.recipe)
    before = {name: value.clone() for name, value in painter.unet.state_dict().items()}
    control = train_control(tiny_dataset, work, tiny_machine, painter)
    assert all(torch.equal(before[name], v) for name, v in painter.unet.state_dict().items())
    assert any(parameter.any() for parameter in control.controlnet_mid_block.parameters())
    export_control(control, tmp_path / "control")
    loaded = load_control(tmp_path / "control")
    assert loaded.config.mid_block_type == "UNetMidBlock2D"
    assert {path.suffix for path in (tmp_path / "control").iterdir()} == {".json", ".safetensors"}


def test_maps_show_the_pictures_of_the_batch(tiny_dataset: Dataset, work: Path) -> None:
    """Canny edges of the same row, mirrored where the picture is, when nothing else is drawn."""
    plain = tiny_dataset.recipe.control.model_copy(
        update={"scribble_share": 0.0, "subject_share": 0.0, "rough_share": 0.0}
    )
    maps = ControlMaps(tiny_dataset)
    maps.recipe = plain
    batches = CaptionedLatents(tiny_dataset, work, build_painter(tiny_dataset.recipe).tokenizer)
    batch = batches.draw(np.random.default_rng(3), 8)
    drawn = maps.draw(batch, np.random.default_rng(3))
    assert drawn.shape == (8, 3, 32, 32) and drawn.dtype == torch.float32
    for row, view, shown in zip(batch.rows, batch.views, drawn, strict=True):
        picture = tiny_dataset.image(row)
        seen = detect_canny_edges(np.ascontiguousarray(picture[:, ::-1] if view else picture))
        assert np.array_equal(shown[0].numpy() * 255, seen)
    assert {0, 1} == set(batch.views.tolist())


def test_some_maps_show_the_subject_alone(tiny_dataset: Dataset, work: Path) -> None:
    maps = ControlMaps(tiny_dataset)
    whole = tiny_dataset.recipe.control.model_copy(
        update={"scribble_share": 0.0, "subject_share": 0.0, "rough_share": 0.0}
    )
    batches = CaptionedLatents(tiny_dataset, work, build_painter(tiny_dataset.recipe).tokenizer)
    batch = batches.draw(np.random.default_rng(3), 24)
    counts: list[float] = []
    for share in (0.0, 1.0):
        maps.recipe = whole.model_copy(update={"subject_share": share})
        counts.append(maps.draw(batch, np.random.default_rng(3)).sum().item())
    assert 0 < counts[1] < counts[0]


def test_a_less_steady_hand_draws_nearly_the_same() -> None:
    drawn = np.zeros((64, 64), np.uint8)
    drawn[20:44, [20, 43]] = 255
    drawn[[20, 43], 20:44] = 255
    random = np.random.default_rng(0)
    rough = [roughen(drawn, random) for _ in range(12)]
    assert all(set(np.unique(one)) <= {0, 255} for one in rough)
    assert all(one.any() and not np.array_equal(one, drawn) for one in rough[:3])


def test_edges_overlap_where_they_were_drawn_and_not_elsewhere() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[16:48, 16:48] = 255
    drawn = detect_canny_edges(picture)
    assert edge_overlap(drawn, picture) == 1.0
    assert edge_overlap(drawn, np.roll(picture, 2, axis=1)) > 0.9
    assert edge_overlap(drawn, np.roll(picture, 12, axis=(0, 1))) < 0.5
    assert edge_overlap(drawn, np.zeros_like(picture)) == 0.0
    assert math.isnan(edge_overlap(np.zeros_like(drawn), picture))
