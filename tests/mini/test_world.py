"""The world: the same seed paints the same picture, and captions never lie."""

import re
from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from paintdiff.mini.world import (
    COLOURS,
    SCENERY,
    SEASONS,
    STYLES,
    SUBJECTS,
    TIMES_OF_DAY,
    WEATHERS,
    Scene,
    WorldConfig,
    WorldError,
    describe,
    flip,
    render,
    sample_scene,
    to_svg,
    words,
)
from paintdiff.mini.world.rows import table
from paintdiff.mini.world.scene import medium_of
from paintdiff.mini.world.scenery.painters import PAINTERS
from paintdiff.mini.world.scenery.weather import BEHIND, IN_FRONT
from paintdiff.mini.world.styles import RASTER_STYLES

WORD = re.compile(r"[a-z]+")
NUMBERS = {2: "two", 3: "three"}
SIDE_WORDS = {"left": {"left"}, "centre": {"middle", "centre", "center"}, "right": {"right"}}


def words_of(phrases: object) -> set[str]:
    return set(WORD.findall(" ".join(phrases).lower()))  # type: ignore[arg-type]


def plain(subject: str | None, scenery: str, **changes: object) -> Scene:
    times = SCENERY[scenery].times_of_day
    scene = Scene(
        seed=11,
        scenery=scenery,
        subject=subject,
        category="scenery" if subject is None else SUBJECTS[subject].category,
        colour=None,
        count=0 if subject is None else 1,
        side=None if subject is None else "centre",
        time_of_day=("day" if "day" in times else times[0]) if times else None,
        weather=None,
        season=None,
        style=None,
    )
    return replace(scene, **changes)  # type: ignore[arg-type]


def scenery_for(subject: str) -> str:
    return next(name for name, row in SCENERY.items() if medium_of(SUBJECTS[subject], row))


def test_sampling_depends_on_the_seed_alone() -> None:
    assert [sample_scene(seed) for seed in range(50)] == [sample_scene(seed) for seed in range(50)]
    assert len({replace(sample_scene(seed), seed=0) for seed in range(200)}) > 150


@pytest.mark.parametrize("style", [None, *STYLES])
def test_rendering_twice_gives_the_same_bytes(style: str | None) -> None:
    scene = plain("dog", "green hills", colour="red", style=style)
    first, second = render(scene, 96), render(scene, 96)
    assert first.shape == (96, 96, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, second)


def test_another_seed_is_another_picture() -> None:
    scene = plain("dog", "green hills")
    assert to_svg(scene) != to_svg(replace(scene, seed=12))


def test_the_scenery_does_not_move_when_the_subject_changes_colour() -> None:
    scene = plain("dog", "green hills", colour="red")
    red, blue = render(scene, 128), render(replace(scene, colour="blue"), 128)
    assert np.array_equal(red[:30], blue[:30])
    assert not np.array_equal(red, blue)


def test_sizes_show_the_same_picture() -> None:
    scene = plain("house", "green hills", colour="red")
    small, large = render(scene, 128), render(scene, 256)
    shrunk = cv2.resize(large, (128, 128), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(float) - small).mean() < 3


@pytest.mark.parametrize("size_px", [128, 256])
@pytest.mark.parametrize("name", SCENERY)
def test_every_scenery_renders_at_every_time(name: str, size_px: int) -> None:
    for time_of_day in SCENERY[name].times_of_day or (None,):
        image = render(plain(None, name, time_of_day=time_of_day), size_px)
        assert image.shape == (size_px, size_px, 3)
        assert image.std() > (3 if name == "plain background" else 15)


@pytest.mark.parametrize("name", SUBJECTS)
def test_every_subject_shows_in_every_colour_at_every_size(name: str) -> None:
    scenery = scenery_for(name)
    for size_px in (128, 256):
        empty = render(plain(None, scenery), size_px).astype(int)
        for colour in (None, *COLOURS):
            image = render(plain(name, scenery, colour=colour), size_px)
            changed = np.abs(image - empty).max(axis=2) > 24
            assert changed.mean() > 0.05


@pytest.mark.parametrize("name", SUBJECTS)
def test_the_asked_colour_is_on_the_subject(name: str) -> None:
    """The pixels that differ between two colours have, on average, the hue that was asked."""
    scene = plain(name, scenery_for(name))
    natural = {colour: render(replace(scene, colour=colour), 128) for colour in COLOURS}
    difference = np.abs(natural["red"].astype(int) - natural["blue"]).max(axis=2)
    painted = difference > 140  # the full tones, not their lighter and darker kin
    assert painted.mean() > 0.012
    for colour, image in natural.items():
        mean = image[painted].mean(axis=0)
        nearest = min(COLOURS, key=lambda other: np.abs(mean - COLOURS[other].rgb).sum())
        assert nearest == colour


@pytest.mark.parametrize("side", SIDE_WORDS)
@pytest.mark.parametrize("name", ["dog", "castle", "balloon", "rhino", "boy"])
def test_the_subject_is_on_its_side(name: str, side: str) -> None:
    scene = plain(name, scenery_for(name), side=side, colour="red")
    other = render(replace(scene, colour="blue"), 128).astype(int)
    changed = np.abs(render(scene, 128) - other).max(axis=2) > 60
    centre = np.nonzero(changed)[1].mean() / 128
    left, right = {"left": (0, 0.42), "centre": (0.42, 0.58), "right": (0.58, 1)}[side]
    assert left < centre < right


def test_subjects_look_into_the_picture() -> None:
    """Outlines face left: they are as drawn, but mirrored on the left."""

    def shape(side: str) -> NDArray[np.uint8]:
        scene = plain("dog", "green hills", side=side, colour="red")
        other = render(replace(scene, colour="blue"), 128).astype(int)
        changed = np.abs(render(scene, 128) - other).max(axis=2) > 60
        rows, columns = np.nonzero(changed)
        found = changed[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        return cv2.resize(found.astype(np.uint8), (48, 48))

    def alike(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
        return float((one & other).sum() / (one | other).sum())

    left, centre, right = map(shape, ("left", "centre", "right"))
    assert alike(left[:, ::-1], right) > 0.9 > 0.8 > alike(left, right)
    assert alike(centre, right) > 0.9


def test_flip_mirrors_the_picture_and_the_side() -> None:
    scene = plain("dog", "green hills", side="left")
    image = render(scene, 64)
    flipped = flip(scene, image)
    assert flipped is not None
    assert flipped[0] == replace(scene, side="right")
    assert np.array_equal(flipped[1], image[:, ::-1])
    again = flip(*flipped)
    assert again is not None
    assert again[0] == scene
    assert np.array_equal(again[1], image)


@pytest.mark.parametrize("side", ["centre", None])
def test_flip_keeps_what_has_no_side(side: str | None) -> None:
    scene = plain("dog" if side else None, "green hills", side=side)
    flipped = flip(scene, render(scene, 32))
    assert flipped is not None
    assert flipped[0] == scene


def test_captions_use_only_known_words_and_nearly_all_of_them() -> None:
    known = words()
    used: set[str] = set()
    lengths: set[int] = set()
    for seed in range(6000):
        text = describe(sample_scene(seed), seed).text
        found = WORD.findall(text.lower())
        used.update(found)
        lengths.add(len(found))
        assert text == text.strip()
        assert "  " not in text
    assert used <= known
    assert len(known - used) <= len(known) * 0.02
    assert min(lengths) <= 2
    assert max(lengths) >= 15


def test_a_smaller_world_has_fewer_words() -> None:
    config = WorldConfig(
        scenery=("sea", "deep sea"),
        subjects=("boat", "fish"),
        colours=("red", "blue"),
        times_of_day=("day", "night"),
        style_probability=0,
        weather_probability=0,
        max_count=1,
    )
    known = words(config)
    assert known < words()
    for seed in range(2000):
        scene = sample_scene(seed, config)
        assert set(WORD.findall(describe(scene, seed).text.lower())) <= known
    assert not known & {"dog", "sunset", "two", "watercolour", "rain", "green", "autumn"}


def test_what_is_stated_is_in_the_words_and_true() -> None:
    tables = {
        "scenery": lambda name: words_of(
            (*SCENERY[name].nouns, *SCENERY[name].views, *sum(SCENERY[name].places.values(), ()))
        ),
        "subject": lambda name: words_of(sum(SUBJECTS[name].nouns, ())),
        "colour": lambda name: words_of(COLOURS[name].nouns),
        "time_of_day": lambda n: words_of((*TIMES_OF_DAY[n].nouns, *TIMES_OF_DAY[n].phrases)),
        "weather": lambda name: words_of((*WEATHERS[name].nouns, *WEATHERS[name].phrases)),
        "season": lambda name: words_of((*SEASONS[name].nouns, *SEASONS[name].phrases)),
        "style": lambda name: words_of((*STYLES[name].nouns, *STYLES[name].leads)),
        "count": lambda count: {NUMBERS[count]},
        "side": lambda side: SIDE_WORDS[side],
    }
    for seed in range(2000):
        scene = sample_scene(seed)
        caption = describe(scene, seed)
        said = set(WORD.findall(caption.text.lower()))
        for field in caption.stated - {"category"}:
            assert said & tables[field](getattr(scene, field)), (field, caption, scene)


def test_no_caption_names_another_subject_colour_number_or_side() -> None:
    others = {
        "subject": {n: words_of(sum(row.nouns, ())) for n, row in SUBJECTS.items()},
        "colour": {n: words_of(row.nouns) for n, row in COLOURS.items()},
        "side": {"left": {"left"}, "right": {"right"}},
        "count": {2: {"two"}, 3: {"three"}},
        "style": {n: words_of(row.nouns) for n, row in STYLES.items()},
    }
    shared = Counter(word for its_words in others["style"].values() for word in its_words)
    for its_words in others["style"].values():
        its_words -= {word for word, count in shared.items() if count > 1} | {"on", "a", "window"}
    for seed in range(3000):
        scene = sample_scene(seed)
        said = set(WORD.findall(describe(scene, seed).text.lower()))
        own = words_of((*SCENERY[scene.scenery].nouns, *SCENERY[scene.scenery].views))
        own |= words_of(sum(SCENERY[scene.scenery].places.values(), ()))
        for field, rows in others.items():
            true = rows.get(getattr(scene, field), set())
            for name, its_words in rows.items():
                if name != getattr(scene, field):
                    assert not (said - own - true) & its_words - {"bear", "sea", "on"}


def test_green_is_not_said_of_hills_in_autumn_winter_or_snow() -> None:
    scene = plain(None, "green hills")
    for changed in (
        replace(scene, season="autumn"),
        replace(scene, season="winter"),
        replace(scene, weather="snow"),
    ):
        assert not any("green" in describe(changed, seed).text.lower() for seed in range(300))
    assert any("green" in describe(scene, seed).text.lower() for seed in range(300))


def test_the_issue_s_prompts_are_in_the_world() -> None:
    known = words()
    for prompt in (
        "a red house on a green hill at night",
        "a red sailboat on a calm sea at sunset",
        "a woman in a red dress",
        "a boy in a blue shirt",
        "blue dragon, volcano, night, oil painting",
        "At dusk a little white cat sits to the left in a green meadow.",
    ):
        assert set(WORD.findall(prompt.lower())) <= known


def test_times_of_day_are_far_apart() -> None:
    means = [
        cv2.resize(render(plain(None, "sea", time_of_day=name), 64), (4, 4)).astype(float)
        for name in TIMES_OF_DAY
    ]
    for index, one in enumerate(means):
        for other in means[index + 1 :]:
            assert np.abs(one - other).mean() > 20


def test_config_is_obeyed() -> None:
    config = WorldConfig(
        scenery=("desert", "green hills"),
        subjects=("dog",),
        colours=("red",),
        times_of_day=("day",),
        subject_probability=1,
        colour_probability=1,
        season_probability=0,
        max_count=1,
    )
    for seed in range(100):
        scene = sample_scene(seed, config)
        assert (scene.subject, scene.colour, scene.count) == ("dog", "red", 1)
        assert scene.scenery in config.scenery
        assert (scene.time_of_day, scene.season) == ("day", None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scenery": ("mars",)}, "unknown scenery 'mars'"),
        ({"subjects": ("unicycle",)}, "unknown subject 'unicycle'"),
        ({"colours": ("mauve",)}, "unknown colour 'mauve'"),
        ({"times_of_day": ()}, "no time of day"),
        ({"subject_probability": 1.5}, r"subject_probability is 1.5; it must be in 0..1"),
        ({"max_count": 4}, r"max_count is 4; it must be in 1..3"),
    ],
)
def test_a_wrong_config_is_refused_in_words(changes: dict[str, object], message: str) -> None:
    with pytest.raises(WorldError, match=message):
        WorldConfig(**changes)  # type: ignore[arg-type]


def test_subjects_that_fit_nowhere_are_refused() -> None:
    with pytest.raises(WorldError, match="none of the subjects whale"):
        sample_scene(
            1, WorldConfig(scenery=("desert",), subjects=("whale",), subject_probability=1)
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subject": "whale"}, "a whale cannot be in green hills; it can be in sea"),
        ({"count": 0}, "count is 0"),
        ({"side": "above"}, "side is 'above'"),
        ({"time_of_day": None}, "time_of_day is None; green hills has sunrise"),
        ({"subject": None}, "without a subject has count 0"),
    ],
)
def test_a_scene_that_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    scene = replace(plain("dog", "green hills"), **changes)  # type: ignore[arg-type]
    for use in (to_svg, lambda scene: describe(scene, 1)):
        with pytest.raises(WorldError, match=message):
            use(scene)


def test_a_wrong_scene_or_size_is_refused() -> None:
    scene = plain("dog", "green hills")
    with pytest.raises(WorldError, match="unknown scenery 'mars'"):
        render(replace(scene, scenery="mars"), 64)
    with pytest.raises(WorldError, match="size_px is 4"):
        render(scene, 4)


def test_tables_refuse_duplicates_and_match_the_painters() -> None:
    with pytest.raises(WorldError, match="two rows named 'red'"):
        table([COLOURS["red"], COLOURS["red"]])
    assert set(PAINTERS) == set(SCENERY)
    assert set(RASTER_STYLES) == set(STYLES)
    assert set(BEHIND) | set(IN_FRONT) == set(WEATHERS)
    for subject in SUBJECTS.values():
        for scenery in SCENERY.values():
            medium = medium_of(subject, scenery)
            assert medium is None or (medium in scenery.span and subject.verbs[medium])
