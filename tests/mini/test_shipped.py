"""The weights that ship: what they are, and that they paint what is asked, as the judge sees it."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open

from paintdiff.mini.__main__ import (
    CONTROL,
    JUDGE,
    SHIPPED,
    UPSCALER,
    load_control,
    load_pipeline,
)
from paintdiff.mini.data.degradations import Picture, shrink
from paintdiff.mini.evaluate import (
    AskedPicture,
    evaluate_control,
    list_held_out_prompts,
    paint_prompts,
    score,
)
from paintdiff.mini.evaluate_upscaler import list_held_out_paintings, photographs, row_of
from paintdiff.mini.networks.judge import Judge, load_judge
from paintdiff.mini.networks.upscaler import load_upscaler
from paintdiff.mini.recipe import read_recipe
from paintdiff.mini.world import render, words
from paintdiff.prompts.surprise import Surprise, read_example_prompts
from paintdiff.prompts.words import find_unknown_words

MEBIBYTE = 1024 * 1024
RECIPE = read_recipe()


@pytest.fixture(scope="module")
def judge() -> Judge:
    return load_judge(JUDGE)


def asked_pictures(judge: Judge, number: int) -> list[AskedPicture]:
    return list(islice(list_held_out_prompts(RECIPE, frozenset(judge.labels)), number))


def rendered(some: list[AskedPicture]) -> NDArray[np.uint8]:
    return np.stack([render(picture.scene, RECIPE.size_px) for picture in some])


def test_all_weights_together_stay_small_and_are_half_precision() -> None:
    files = [path for path in SHIPPED.parent.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 40 * MEBIBYTE
    assert max(path.stat().st_size for path in files) < 16 * MEBIBYTE
    weights = [path for path in files if path.suffix == ".safetensors"]
    assert len(weights) >= 5
    for path in weights:
        with safe_open(path, framework="numpy") as tensors:
            kinds = {tensors.get_slice(name).get_dtype() for name in tensors.keys()}  # noqa: SIM118
        assert kinds <= {"F16", "I64"}, path


def test_the_tokenizer_knows_the_words_of_the_recipe() -> None:
    tokenizer = load_pipeline(SHIPPED).tokenizer
    for word in words(RECIPE.world.config()):
        assert len(tokenizer(word, add_special_tokens=False).input_ids) == 1, word


def test_the_judge_names_what_rendered_scenes_show(judge: Judge) -> None:
    assert score(asked_pictures(judge, 96), judge, rendered).overall > 0.95


def test_the_judge_is_not_fooled_by_the_wrong_pictures(judge: Judge) -> None:
    def shuffled(some: list[AskedPicture]) -> NDArray[np.uint8]:
        return np.roll(rendered(some), 1, axis=0)

    assert score(asked_pictures(judge, 96), judge, shuffled).overall < 0.5


@pytest.mark.parametrize("number", [24, pytest.param(48, marks=pytest.mark.long)])
def test_what_is_asked_is_painted(number: int, judge: Judge) -> None:
    """A sample; all figures are in the model card, measured by `python -m paintdiff.mini
    evaluate`.
    """
    pipeline = load_pipeline(SHIPPED)

    def paint(some: list[AskedPicture]) -> NDArray[np.uint8]:
        return paint_prompts(RECIPE, pipeline, [picture.prompt for picture in some])

    report = score(asked_pictures(judge, number), judge, paint)
    assert report.overall > 0.85
    for attribute in ("scenery", "time_of_day", "colour", "subject", "side"):
        right, asked = report.agreement[attribute]
        assert right / asked > 0.8, attribute


def test_what_is_drawn_is_painted_where_it_was_drawn(judge: Judge) -> None:
    """A sample; all pairs are measured by `python -m paintdiff.mini evaluate`. (Without a drawing
    a subject is where the prompt says, so that much of it overlaps all the same.)
    """
    evaluation = RECIPE.evaluation.model_copy(update={"control_pairs": 6})
    recipe = RECIPE.model_copy(update={"evaluation": evaluation})
    report = evaluate_control(recipe, load_pipeline(SHIPPED), load_control(CONTROL), judge)
    assert report.pairs == 6
    assert report.subjects_with > 0.7
    assert report.overlap_with > report.overlap_without + 0.05


@pytest.mark.parametrize("folder", [SHIPPED, CONTROL, UPSCALER])
def test_the_model_card_is_there(folder: Path) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    for heading in ("Data", "Licence", "Training", "Figures", "Limits"):
        assert f"## {heading}" in card


def test_what_is_offered_for_unknown_words_is_all_it_paints() -> None:
    known = frozenset(json.loads((SHIPPED / "words.json").read_text(encoding="utf-8")))
    offered: list[str] = json.loads((SHIPPED / "subjects.json").read_text(encoding="utf-8"))
    assert {word for each in offered for word in find_unknown_words(each, known)} == set()
    assert {each.split()[1] for each in offered} == set(RECIPE.world.config().subjects)


def test_every_example_and_surprise_is_made_of_known_words() -> None:
    known = frozenset(json.loads((SHIPPED / "words.json").read_text(encoding="utf-8")))
    surprise, random = Surprise.default(), Random(0)
    prompts = [*read_example_prompts()]
    for category in surprise.categories:
        prompts += [surprise.draw([category], random) for _ in range(200)]
    assert {word for prompt in prompts for word in find_unknown_words(prompt, known)} == set()


def test_the_upscaler_comes_nearer_to_the_truth_than_lanczos(judge: Judge) -> None:
    factor = RECIPE.upscaler.factor
    network = load_upscaler(RECIPE.upscaler, UPSCALER)

    def pair(picture: Picture) -> tuple[Picture, Picture]:
        middle = picture[128:384, 128:384]
        return shrink(middle, factor), middle

    paintings = map(pair, islice(list_held_out_paintings(RECIPE), 3))
    ours = row_of("paintings", paintings, network, judge)
    assert ours.psnr > ours.psnr_lanczos + 1.5
    assert ours.distance < 0.7 * ours.distance_lanczos
    real = map(pair, photographs(factor, ("astronaut.png", "coffee.png")))
    theirs = row_of("photographs", real, network, judge)
    assert theirs.psnr > theirs.psnr_lanczos - 0.5
