"""The embedded upscaler: its training in miniature, and the one that ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from spandrel import ModelLoader

from paintdiff.mini.data.degradations import degrade, shrink
from paintdiff.mini.data.leaves import dead_leaves
from paintdiff.mini.evaluate_upscaler import evaluate_upscaler, upscaler_table
from paintdiff.mini.loop import Machine
from paintdiff.mini.networks.autoencoder import build_autoencoder
from paintdiff.mini.networks.judge import Judge, list_judged_labels
from paintdiff.mini.networks.perceptual import feature_distance
from paintdiff.mini.networks.upscaler import (
    FILE_NAME,
    cache_painted,
    export_upscaler,
    lanczos,
    open_pictures,
    render_pictures,
    train_upscaler,
)
from paintdiff.mini.recipe import Recipe


@pytest.fixture(scope="module")
def judge(tiny_recipe: Recipe) -> Judge:
    torch.manual_seed(0)
    return Judge(list_judged_labels(tiny_recipe), tiny_recipe.judge.channels).eval()


@pytest.fixture(scope="module")
def work(
    tiny_recipe: Recipe, tiny_machine: Machine, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A work folder with all that training reads."""
    folder = tmp_path_factory.mktemp("upscaler")
    render_pictures(tiny_recipe, folder, workers=1)
    torch.manual_seed(0)
    vae = build_autoencoder(tiny_recipe.autoencoder, tiny_recipe.size_px)
    cache_painted(tiny_recipe, folder, tiny_machine, vae)
    return folder


def test_the_training_set_has_paintings_and_leaves(tiny_recipe: Recipe, work: Path) -> None:
    pictures = open_pictures(work)
    ours = tiny_recipe.upscaler
    assert pictures.shape == (ours.paintings + ours.leaves, ours.side_px, ours.side_px, 3)
    assert len(np.unique(pictures.reshape(len(pictures), -1), axis=0)) == len(pictures)
    assert np.array_equal(pictures[ours.paintings], dead_leaves(0, ours.side_px))
    small = np.load(work / "painted.npy")
    side = ours.side_px // ours.factor
    assert small.shape == (ours.paintings, side, side, 3)


def _critic_weights(folder: Path) -> list[torch.Tensor]:
    state = torch.load(folder / "upscaler.pt", weights_only=True)
    critic = state["modules"]["critic"]
    return [value for name, value in critic.items() if name.endswith((".original", "weight"))]


def test_the_critic_waits_for_its_half_of_the_run(
    tiny_recipe: Recipe, tiny_machine: Machine, work: Path, judge: Judge
) -> None:
    alone = tiny_recipe.upscaler.model_copy(update={"adversarial_from": 1.0})
    train_upscaler(tiny_recipe.model_copy(update={"upscaler": alone}), work, tiny_machine, judge)
    untouched = _critic_weights(work)
    (work / "upscaler.pt").unlink()
    network = train_upscaler(tiny_recipe, work, tiny_machine, judge)
    assert not network.training
    assert not all(
        torch.equal(before, after)
        for before, after in zip(untouched, _critic_weights(work), strict=True)
    )
    once_more = train_upscaler(tiny_recipe, work, tiny_machine, judge)  # it is done: nothing moves
    for ours, theirs in zip(network.parameters(), once_more.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_longer_l1_phase_fits_better_than_no_training(
    tiny_recipe: Recipe, tiny_machine: Machine, work: Path, judge: Judge, tmp_path: Path
) -> None:
    plan = tiny_recipe.upscaler.plan.model_copy(update={"steps": 60, "learning_rate": 3e-3})
    ours = tiny_recipe.upscaler.model_copy(update={"plan": plan, "adversarial_from": 1.0})
    for name in ("pictures.npy", "painted.npy"):
        (tmp_path / name).symlink_to(work / name)
    train_upscaler(tiny_recipe.model_copy(update={"upscaler": ours}), tmp_path, tiny_machine, judge)
    rows = (tmp_path / "upscaler.csv").read_text(encoding="utf-8").splitlines()
    losses = [float(row.split(",")[2]) for row in rows[1:]]
    assert losses[-1] < losses[0]


def test_what_is_exported_is_read_by_others(
    tiny_recipe: Recipe, tiny_machine: Machine, work: Path, judge: Judge, tmp_path: Path
) -> None:
    network = train_upscaler(tiny_recipe, work, tiny_machine, judge)
    export_upscaler(network, tmp_path)
    read = ModelLoader("cpu").load_from_file(str(tmp_path / FILE_NAME))
    assert (read.architecture.id, read.scale) == ("Compact", tiny_recipe.upscaler.factor)
    picture = torch.rand(1, 3, 9, 7)
    with torch.no_grad():
        assert torch.allclose(read(picture), network(picture).clamp(0, 1), atol=0.01)
    assert all(value.dtype == torch.float16 for value in load_file(tmp_path / FILE_NAME).values())


def test_its_figures_are_of_pictures_it_has_not_seen(
    tiny_recipe: Recipe, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paintdiff.mini.evaluate_upscaler.PHOTOGRAPHS", ("camera.png",))
    torch.manual_seed(0)
    vae = build_autoencoder(tiny_recipe.autoencoder, tiny_recipe.size_px)

    class Nearest(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.repeat_interleave(4, 2).repeat_interleave(4, 3)

    rows = evaluate_upscaler(tiny_recipe, Nearest(), judge, vae)  # pyright: ignore[reportArgumentType]
    assert [row.count for row in rows] == [tiny_recipe.evaluation.upscaled] * 3 + [1]
    assert all(row.psnr < row.psnr_lanczos for row in (rows[0], rows[3]))
    assert rows[2].psnr < rows[0].psnr, "an untrained VAE leaves little of a picture"
    assert upscaler_table(rows).count("\n") == len(rows) + 1


def test_harm_is_done_by_lot_and_the_same_for_the_same_seed() -> None:
    picture = dead_leaves(3, 64).astype(np.float32) / 255
    one, same, other = (degrade(picture, 4, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.shape == (16, 16, 3)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    for seed in range(40):
        harmed = degrade(picture, 4, np.random.default_rng(seed))
        assert harmed.min() >= 0 and harmed.max() <= 1
        assert np.abs(harmed - shrink(picture, 4)).mean() < 0.15, "it is still that picture"


def test_the_feature_distance_grows_with_the_harm(judge: Judge) -> None:
    torch.manual_seed(1)
    real = torch.rand(2, 3, 32, 32)
    little, much = real + 0.01 * torch.randn_like(real), real + 0.2 * torch.randn_like(real)
    near, far = feature_distance(judge, little, real), feature_distance(judge, much, real)
    assert near.shape == (2,)
    assert bool((near < far).all())
    assert not feature_distance(judge, real, real).any()


def test_lanczos_keeps_a_plain_colour() -> None:
    plain = np.full((1, 8, 6, 3), 0.25, np.float32)
    larger = lanczos(plain, 4)
    assert larger.shape == (1, 32, 24, 3)
    assert np.allclose(larger, 0.25, atol=1e-5)
