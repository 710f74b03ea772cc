"""Prompts drawn at random are data, and checked as such."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from paintdiff.errors import PresetError, UnknownNameError
from paintdiff.prompts.surprise import Surprise, read_example_prompts


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
