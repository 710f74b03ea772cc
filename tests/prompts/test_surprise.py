"""Prompts drawn at random are data, and checked as such."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from paintdiff.errors import PresetError, UnknownNameError
from paintdiff.mini.recipe import read_recipe
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.prompts.surprise import (
    GeneralSurprise,
    Surprise,
    find_tips,
    is_held_out,
    read_example_prompts,
    read_tips,
)


def test_every_template_of_ours_can_be_drawn() -> None:
    surprise = Surprise.default()
    assert list(surprise.categories) == ["Humans", "Animals", "Mythical beings", "Scenery"]
    for category in surprise.categories:
        random = Random(3)
        drawn = {surprise.draw([category], random) for _ in range(200)}
        assert len(drawn) > 10
        assert all("{" not in prompt and "  " not in prompt for prompt in drawn)


def test_the_article_fits_the_word() -> None:
    surprise = Surprise(words={"colour": ("orange",)}, categories={"x": ("a {colour} cat",)})
    assert surprise.draw([], Random(0)) == "an orange cat"


def test_the_same_random_draws_the_same_prompt() -> None:
    surprise = Surprise.default()
    assert surprise.draw([], Random(9)) == surprise.draw([], Random(9))


def test_trained_and_unseen_combinations_are_those_of_the_training() -> None:
    surprise = Surprise.default()
    assert surprise.held_out is not None
    for combinations in ("trained", "unseen"):
        for seed in range(60):
            prompt = surprise.draw(["Animals"], Random(seed), combinations)
            animal = re.search(r"(dog|cat|horse|panda|bird|fish|whale)", prompt)
            colour = prompt.split()[1]
            time = re.search(r"(sunrise|day|sunset|dusk|night)$", prompt)
            scenery = max((each for each in surprise.held_out.scenery if each in prompt), key=len)
            assert animal is not None
            kept = is_held_out(scenery, animal[0], colour, time and time[0], 20)
            assert kept == (combinations == "unseen")


def test_the_rule_is_that_of_the_recipe() -> None:
    recipe = read_recipe(Path("paintdiff/mini/recipe.yaml"))
    held_out = Surprise.default().held_out
    assert held_out is not None
    world = recipe.world.config()
    assert held_out.one_in == recipe.held_out_one_in
    assert held_out.scenery == world.scenery
    assert held_out.times_of_day == world.times_of_day


def test_other_models_get_other_words() -> None:
    surprise = GeneralSurprise.default()
    assert {"Humans", "Animals", "Mythical beings", "Scenery"} < set(surprise.categories)
    for category in surprise.categories:
        drawn = {surprise.draw([category], Random(seed)) for seed in range(30)}
        assert len(drawn) > 10
        assert not any("__" in prompt or "a a" in f"{prompt[:4]} " for prompt in drawn)
    with pytest.raises(UnknownNameError, match="no category 'Robots'"):
        surprise.draw(["Robots"], Random(0))


def test_tips_are_for_a_model_its_family_or_any() -> None:
    tips = read_tips()
    families = {row.family.name for row in Catalog.default().rows(ModelRow)}
    assert families - {"other"} <= {*tips, "pixart", "qwen-image", "z-image"}
    assert find_tips(tips, ("mini", "mini")) == tips["mini"]
    assert find_tips(tips, ("mine", "sdxl")) == tips["sdxl"]
    assert find_tips(tips, ("mine", "new")) == tips["other"]
    assert find_tips({}, ("mine",)) == ()


def test_an_unknown_category_is_named() -> None:
    with pytest.raises(UnknownNameError, match="no category 'Robots'"):
        Surprise.default().draw(["Robots"], Random(0))


@pytest.mark.parametrize(
    "text",
    [
        "words: {}\ncategories: {x: ['a {colour} cat']}",
        "words: {colour: []}\ncategories: {x: ['a {colour} cat']}",
        "words: {}\ncategories: {x: []}",
        "words: {}",
        "- nothing",
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "surprise.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PresetError):
        Surprise.from_file(path)


def test_examples(tmp_path: Path) -> None:
    assert 3 <= len(read_example_prompts()) <= 12
    path = tmp_path / "examples.yaml"
    path.write_text("examples: 7", encoding="utf-8")
    with pytest.raises(PresetError):
        read_example_prompts(path)
