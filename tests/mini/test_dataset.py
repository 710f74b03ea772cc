from __future__ import annotations

from itertools import islice

import numpy as np

from paintdiff.mini.data.dataset import HELD_OUT, TRAINING, Dataset, is_held_out, scene_seeds
from paintdiff.mini.recipe import Recipe
from paintdiff.mini.world import Scene, render, sample_scene


def composition(scene: Scene) -> tuple[str | None, ...]:
    return (scene.scenery, scene.subject, scene.colour, scene.time_of_day)


def test_what_is_held_out_is_never_trained(tiny_recipe: Recipe) -> None:
    config = tiny_recipe.world.config()
    trained = {
        composition(sample_scene(s, config))
        for s in islice(scene_seeds(tiny_recipe, TRAINING), 600)
    }
    held = {
        composition(sample_scene(s, config)) for s in islice(scene_seeds(tiny_recipe, HELD_OUT), 60)
    }
    assert len(held) > 20
    assert not trained & held


def test_about_the_asked_share_is_held_out(tiny_recipe: Recipe) -> None:
    config, one_in = tiny_recipe.world.config(), tiny_recipe.held_out_one_in
    held = [is_held_out(sample_scene(seed, config), one_in) for seed in range(3000)]
    assert 0.5 < np.mean(held) * one_in < 1.6


def test_pictures_are_those_of_their_seeds(tiny_dataset: Dataset) -> None:
    assert len(tiny_dataset) == tiny_dataset.recipe.scenes
    for index in (0, 11, 23):
        expected = render(tiny_dataset.scene(index), tiny_dataset.recipe.size_px)
        assert np.array_equal(tiny_dataset.image(index), expected)
