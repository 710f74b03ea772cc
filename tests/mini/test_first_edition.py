"""The first edition of the world: many subjects and poses, and captions that never lie."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import resvg_py
from numpy.typing import NDArray

from paintdiff.mini.recipe import DEFAULT_RECIPE, read_recipe
from paintdiff.mini.world import (
    COLOURS,
    SCENERY,
    STYLES,
    Scene,
    WorldConfig,
    WorldError,
    describe,
    flip,
    render,
    sample_scene,
    subject_mask,
    subject_names,
    words,
)
from paintdiff.mini.world.scene import check_scene
from paintdiff.mini.world.subjects.cast import CAST, POSE_WORDS
from paintdiff.mini.world.subjects.drawings import PART_OF_DRAWING, Drawing, coloured, drawing_of
from paintdiff.mini.world.subjects.people import LOOKS

WORD = re.compile(r"[a-z]+")
RECIPE_V1 = Path(DEFAULT_RECIPE).with_name("recipe-v1.yaml")


@pytest.fixture(scope="module")
def config() -> WorldConfig:
    return read_recipe(RECIPE_V1).world.config()


def scenes(config: WorldConfig, count: int) -> Iterator[Scene]:
    return (sample_scene(seed, config) for seed in range(count))


def pixels_of(drawing: Drawing, colours: dict[str, str]) -> NDArray[np.int64]:
    """The drawing as (64, 64, 4) BGRA."""
    rows = {part: COLOURS[name] for part, name in colours.items()}
    left, top, right, bottom = drawing.box
    document = (
        '<svg xmlns="http://www.w3.org/2000/svg" '
        f'viewBox="{left} {top} {right - left} {bottom - top}">'
        f"{coloured(drawing, rows, '#ffffff', 'x')}</svg>"
    )
    png = resvg_py.svg_to_bytes(svg_string=document, width=64, height=64)
    decoded = cv2.imdecode(np.frombuffer(bytes(png), np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded is not None
    padded = np.zeros((64, 64, 4), np.int64)
    decoded = decoded[:64, :64]
    padded[: decoded.shape[0], : decoded.shape[1]] = decoded
    return padded


def test_it_has_what_was_planned(config: WorldConfig) -> None:
    assert len(config.subjects) >= 70
    assert len(STYLES) >= 10
    assert 600 <= len(words(config)) <= 1300
    categories = {CAST[name].category for name in config.subjects}
    assert categories == {"animal", "mythical", "human", "thing"}
    assert set(LOOKS) == {row.name for row in CAST.values() if row.category == "human"}
    for row in CAST.values():
        assert all(pose.name in POSE_WORDS or not pose.name for pose in row.poses)


def test_scenes_can_be_and_depend_on_the_seed_alone(config: WorldConfig) -> None:
    first = list(scenes(config, 300))
    assert first == list(scenes(config, 300))
    for scene in first:
        check_scene(scene)
        assert (scene.subject is None) == (not scene.figures)
        assert len(scene.figures) == scene.count + (scene.companion is not None)
        for figure in scene.figures:
            width = figure.height * drawing_of(figure.drawing).aspect
            assert figure.x - width / 2 > -2
            assert figure.x + width / 2 < 258
    for field in ("relation", "part", "season", "weather", "style", "facing"):
        assert any(getattr(scene, field) for scene in first)
    assert {scene.count for scene in first} == {0, 1, 2, 3}
    assert {scene.size for scene in first} == {None, "small", "big", "portrait"}


@pytest.mark.parametrize("name", sorted(CAST))
def test_every_subject_takes_a_colour(name: str) -> None:
    for pose in CAST[name].poses[:6]:
        drawing = drawing_of(pose.key)
        red, blue = (pixels_of(drawing, {"body": colour}) for colour in ("red", "blue"))
        changed = np.abs(red - blue).max(axis=2) > 90
        assert changed.sum() > 0.08 * (red[..., 3] > 128).sum(), pose.key
        assert (red[changed][:, 2] > red[changed][:, 0]).mean() > 0.9
        assert (blue[changed][:, 0] > blue[changed][:, 2]).mean() > 0.9


@pytest.mark.parametrize("name", [name for name, row in CAST.items() if row.parts])
def test_a_part_has_a_colour_of_its_own(name: str) -> None:
    row = CAST[name]
    for part in row.parts:
        drawn = PART_OF_DRAWING.get(part, part)
        with_part = [pose.key for pose in row.poses if drawn in drawing_of(pose.key).parts]
        assert with_part
        drawing = drawing_of(with_part[0])
        one, other = (
            pixels_of(drawing, {"body": "yellow", drawn: colour}) for colour in ("red", "blue")
        )
        changed = np.abs(one - other).max(axis=2) > 90
        assert 0.01 < changed.sum() / (one[..., 3] > 128).sum() < 0.6


def test_two_figures_of_one_drawing_keep_their_own_colours() -> None:
    """Gradients are named in the document; a second figure must not get the first one's."""
    drawing = drawing_of("noto/tropical-fish")
    assert "url(#" in drawing.markup
    red = coloured(drawing, {"body": COLOURS["red"]}, "#ffffff", "a")
    blue = coloured(drawing, {"body": COLOURS["blue"]}, "#ffffff", "b")
    names = re.compile(r'id="([^"]+)"')
    assert names.findall(red)
    assert not set(names.findall(red)) & set(names.findall(blue))
    for markup in (red, blue):
        assert set(re.findall(r"url\(#([^)]+)\)", markup)) <= set(names.findall(markup))


def test_an_unknown_drawing_is_refused() -> None:
    with pytest.raises(WorldError, match="no drawing 'fluent/unicycle'"):
        drawing_of("fluent/unicycle")


def test_pictures_are_reproducible_and_oversampled_ones_alike(config: WorldConfig) -> None:
    scene = next(each for each in scenes(config, 50) if each.companion)
    image = render(scene, 64, 2)
    assert np.array_equal(image, render(scene, 64, 2))
    assert image.shape == (64, 64, 3)
    assert np.abs(image.astype(float) - render(scene, 64)).mean() < 6


def test_the_mask_is_where_the_figures_are(config: WorldConfig) -> None:
    for scene in scenes(config, 30):
        if scene.style is not None:
            continue
        mask = subject_mask(scene, 96)
        assert mask.any() == (scene.subject is not None)
        if scene.subject is None:
            continue
        empty = render(replace(scene, figures=()), 96).astype(int)
        changed = np.abs(render(scene, 96) - empty).max(axis=2) > 8
        assert (changed & mask).sum() > 0.8 * mask.sum()


def test_mirror_images_are_described_as_such(config: WorldConfig) -> None:
    for scene in scenes(config, 60):
        blank = np.zeros((1, 1, 3), np.uint8)
        once = flip(scene, blank)
        assert once is not None
        twice = flip(once[0], blank)
        assert twice is not None
        assert twice[0] == replace(
            scene, figures=tuple(replace(f, x=256 - (256 - f.x)) for f in scene.figures)
        )
        if scene.side in ("left", "right"):
            assert once[0].side != scene.side
        if scene.facing:
            assert {scene.facing, once[0].facing} == {"left", "right"}
        if scene.relation in ("left of", "right of"):
            assert {scene.relation, once[0].relation} == {"left of", "right of"}


def test_relations_and_sides_are_where_they_are_said(config: WorldConfig) -> None:
    for scene in scenes(config, 1500):
        by_name = {figure.subject: figure for figure in scene.figures}
        if scene.companion is not None:
            ours, theirs = by_name[scene.subject or ""], by_name[scene.companion]
            if scene.relation in ("left of", "right of"):
                assert (ours.x < theirs.x) == (scene.relation == "left of")
            if scene.relation in ("in front of", "behind"):
                assert (ours.foot > theirs.foot) == (scene.relation == "in front of")
            if scene.relation == "above":
                assert ours.foot < theirs.foot
        elif scene.side in ("left", "right"):
            assert (scene.figures[0].x < 128) == (scene.side == "left")
        if scene.facing and len(scene.figures) == 1:
            assert scene.figures[0].mirrored == (scene.facing == "right")


def test_captions_use_known_words_and_most_of_them(config: WorldConfig) -> None:
    known, used = words(config), set[str]()
    some = list(scenes(config, 2500))
    for seed in range(6000):
        scene = some[seed % len(some)]
        text = describe(scene, seed, held_out=seed % 3 == 0).text
        found = set(WORD.findall(text.lower()))
        assert found <= known, found - known
        used |= found
        assert text == text.strip()
        assert "  " not in text
    assert len(known - used) < 0.08 * len(known)


def test_captions_say_what_they_state_and_nothing_else(config: WorldConfig) -> None:
    nouns = {name: {noun for pair in CAST[name].nouns for noun in pair} for name in config.subjects}
    for seed, scene in enumerate(scenes(config, 1500)):
        caption = describe(scene, seed)
        text = f" {caption.text.lower().rstrip('.').replace(',', ' ')} "
        said = set(WORD.findall(text))
        for field in ("colour", "companion_colour", "part_colour"):
            value = getattr(scene, field)
            if field in caption.stated:
                assert said & set(COLOURS[value].nouns), (field, caption, scene)
        for field in ("subject", "companion"):
            value = getattr(scene, field)
            if field in caption.stated:
                assert any(f" {noun} " in text for noun in nouns[value]), (caption, scene)
        own = {name for name in (scene.subject, scene.companion) if name}
        theirs = {noun for name in own for noun in nouns[name]}
        strangers = {
            noun for name in set(nouns) - own for noun in nouns[name] if f" {noun} " in text
        }
        place = SCENERY[scene.scenery]
        said_of_place = (*place.nouns, *place.views, *sum(place.places.values(), ()))
        parts = {part for name in own for part in CAST[name].parts}
        allowed = {word for phrase in (*said_of_place, *theirs, *parts) for word in phrase.split()}
        assert all(set(noun.split()) <= allowed for noun in strangers), (strangers, caption)


def test_some_wordings_are_never_used_in_training(config: WorldConfig) -> None:
    some = list(scenes(config, 400))
    kept = ("a scene with", "a storybook picture of", "i would like", "could you draw")
    usual = [describe(scene, seed).text.lower() for seed, scene in enumerate(some)]
    unusual = [describe(scene, seed, held_out=True).text.lower() for seed, scene in enumerate(some)]
    assert not any(phrase in text for text in usual for phrase in kept)
    for phrase in kept:
        assert any(phrase in text for text in unusual)


def test_styles_look_different_at_a_glance(config: WorldConfig) -> None:
    scene = next(each for each in scenes(config, 99) if each.subject and each.time_of_day == "day")
    small = {
        style: cv2.resize(render(replace(scene, style=style), 128), (48, 48)).astype(float)
        for style in (None, *STYLES)
    }
    names = list(small)
    for index, one in enumerate(names):
        for other in names[index + 1 :]:
            assert np.abs(small[one] - small[other]).mean() > 4, (one, other)


def test_a_subject_of_another_edition_is_refused() -> None:
    with pytest.raises(WorldError, match="unknown subject 'wizard'"):
        WorldConfig(subjects=("wizard",))
    assert "wizard" in subject_names(1)
    with pytest.raises(WorldError, match="edition is 7"):
        WorldConfig(edition=7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"medium": "treetop"}, "medium is 'treetop'; "),
        ({"companion": "unicycle"}, "unknown companion 'unicycle'"),
        ({"relation": None}, "relation is None; with a companion it is one of beside"),
        ({"companion_colour": "mauve"}, "unknown companion_colour 'mauve'"),
        ({"subject": "rhinoceros"}, "unknown subject 'rhinoceros'"),
    ],
)
def test_a_scene_that_cannot_be_is_refused(
    config: WorldConfig, changes: dict[str, Any], message: str
) -> None:
    scene = replace(next(each for each in scenes(config, 99) if each.companion), **changes)
    for use in (check_scene, lambda wrong: describe(wrong, 1), lambda wrong: render(wrong, 32)):
        with pytest.raises(WorldError, match=message):
            use(scene)
