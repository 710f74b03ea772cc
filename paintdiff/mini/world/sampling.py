"""Random scenes."""

from collections.abc import Iterable
from random import Random

from paintdiff.mini.world.errors import WorldError
from paintdiff.mini.world.rows import SceneryRow
from paintdiff.mini.world.scene import SIDES, Scene, WorldConfig, medium_of
from paintdiff.mini.world.scenery.scenery_table import SCENERY
from paintdiff.mini.world.staging import stage_scene
from paintdiff.mini.world.streams import stream
from paintdiff.mini.world.subjects.subject_table import SUBJECTS
from paintdiff.mini.world.tables import WEATHERS


def sample_scene(seed: int, config: WorldConfig | None = None) -> Scene:
    """Draw one random scene; the same seed and config give the same scene.

    A subject is drawn first, then a scenery where it can plausibly be.

    Raises:
        WorldError: none of the allowed subjects can be in any allowed scenery.
    """
    config = config or WorldConfig()
    if config.edition:
        return stage_scene(seed, config)
    random = stream(seed, "scene")
    subject = None
    possible = [SCENERY[name] for name in config.scenery]
    if config.subjects and random.random() < config.subject_probability:
        subject = SUBJECTS[random.choice(_placeable(config))]
        possible = [row for row in possible if medium_of(subject, row)]
    scenery = _draw_scenery(random, possible, config)
    season = _draw(random, config.season_probability, config.seasons, scenery.seasons)
    weathers = [
        name
        for name in scenery.weathers
        if name in config.weathers and season in WEATHERS[name].needs_season
    ]
    weather = _draw(random, config.weather_probability, weathers)
    time_of_day = _draw_time(random, scenery, config)
    colour = _draw(random, config.colour_probability, config.colours, subject is not None)
    style = _draw(random, config.style_probability, config.styles)
    count, side = (0, None) if subject is None else _draw_count_and_side(random, config)
    return Scene(
        seed=seed,
        scenery=scenery.name,
        subject=None if subject is None else subject.name,
        category="scenery" if subject is None else subject.category,
        colour=colour,
        count=count,
        side=side,
        time_of_day=time_of_day,
        weather=weather,
        season=season,
        style=style,
    )


def _placeable(config: WorldConfig) -> list[str]:
    rows = [SCENERY[name] for name in config.scenery]
    names = [name for name in config.subjects if any(medium_of(SUBJECTS[name], r) for r in rows)]
    if not names:
        raise WorldError(
            f"none of the subjects {', '.join(config.subjects)} "
            f"can be in any of {', '.join(config.scenery)}; add a scenery or a subject"
        )
    return names


def _draw_scenery(random: Random, possible: list[SceneryRow], config: WorldConfig) -> SceneryRow:
    """Draw a scenery; one that fewer subjects can be in is drawn more often."""
    weights = [1 / (2 + _company(row, config.subjects)) ** 0.5 for row in possible]
    return random.choices(possible, weights)[0]


def _draw_time(random: Random, scenery: SceneryRow, config: WorldConfig) -> str | None:
    """Draw a time of day; a scenery with only one time always has that one."""
    times = [name for name in scenery.times_of_day if name in config.times_of_day]
    if len(scenery.times_of_day) == 1:
        times = list(scenery.times_of_day)
    return random.choice(times) if times else None


def _draw_count_and_side(random: Random, config: WorldConfig) -> tuple[int, str]:
    several = random.random() < config.several_probability and config.max_count > 1
    count = random.randint(2, config.max_count) if several else 1
    return count, random.choice(SIDES) if count == 1 else "centre"


def _company(scenery: SceneryRow, subjects: tuple[str, ...]) -> int:
    return sum(medium_of(SUBJECTS[name], scenery) is not None for name in subjects)


def _draw(
    random: Random, probability: float, names: Iterable[str], possible: bool = True
) -> str | None:
    """Return one of ``names`` with that probability; always uses up two random numbers."""
    names = tuple(names)
    lot, which = random.random(), random.random()
    if not possible or not names or lot >= probability:
        return None
    return names[int(which * len(names))]
