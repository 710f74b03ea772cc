"""What a scene is, which part of the world is asked for, and how a scene is drawn by lot."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random

from .errors import WorldError
from .rows import SceneryRow, SubjectRow
from .scenery_table import SCENERY
from .streams import stream
from .subject_table import SUBJECTS
from .tables import COLOURS, SEASONS, STYLES, TIMES_OF_DAY, WEATHERS

SIDES = ("left", "centre", "right")
MAX_COUNT = 3


@dataclass(frozen=True)
class Scene:
    """One picture, fully described; ``render`` paints it, ``describe`` captions it.

    Attributes:
        seed: decides everything that the other fields leave open.
        scenery: a name in ``SCENERY``.
        subject: a name in ``SUBJECTS``, or None.
        category: ``scenery``, ``animal``, ``mythical``, ``human`` or ``thing``.
        colour: a name in ``COLOURS``; None means the subject's natural colours.
        count: how many of the subject, 0 without one, at most 3.
        side: ``left``, ``centre`` or ``right``; None without a subject; ``centre`` for groups.
        time_of_day: a name in ``TIMES_OF_DAY``, or None where there is no daylight.
        weather: a name in ``WEATHERS``, or None for fair weather.
        season: a name in ``SEASONS``, or None where it does not show.
        style: a name in ``STYLES``, or None for the plain style.
    """

    seed: int
    scenery: str
    subject: str | None
    category: str
    colour: str | None
    count: int
    side: str | None
    time_of_day: str | None
    weather: str | None
    season: str | None
    style: str | None


@dataclass(frozen=True)
class WorldConfig:
    """Which part of the world, with what odds. The defaults are the whole world.

    The tuples hold names of the tables; every probability is in 0..1.

    Attributes:
        scenery, subjects, colours, times_of_day, weathers, seasons, styles: allowed names.
        subject_probability: how often there is a subject at all.
        colour_probability: how often a subject has an asked colour.
        style_probability, weather_probability, season_probability: how often each shows,
            among scenes where it can.
        several_probability: how often there is more than one, when ``max_count`` allows.
        max_count: most subjects in one picture, 1..3.

    Raises:
        WorldError: an unknown name, an empty list of sceneries or subjects or times, a
            probability outside 0..1, or a count outside 1..3.
    """

    scenery: tuple[str, ...] = tuple(SCENERY)
    subjects: tuple[str, ...] = tuple(SUBJECTS)
    colours: tuple[str, ...] = tuple(COLOURS)
    times_of_day: tuple[str, ...] = tuple(TIMES_OF_DAY)
    weathers: tuple[str, ...] = tuple(WEATHERS)
    seasons: tuple[str, ...] = tuple(SEASONS)
    styles: tuple[str, ...] = tuple(STYLES)
    subject_probability: float = 0.85
    colour_probability: float = 0.7
    style_probability: float = 0.12
    weather_probability: float = 0.12
    season_probability: float = 0.25
    several_probability: float = 0.15
    max_count: int = MAX_COUNT

    def __post_init__(self) -> None:
        """Check every name and number."""
        _check_names("scenery", self.scenery, SCENERY, at_least=1)
        _check_names("subject", self.subjects, SUBJECTS)
        _check_names("colour", self.colours, COLOURS)
        _check_names("time of day", self.times_of_day, TIMES_OF_DAY, at_least=1)
        _check_names("weather", self.weathers, WEATHERS)
        _check_names("season", self.seasons, SEASONS)
        _check_names("style", self.styles, STYLES)
        for name in ("subject", "colour", "style", "weather", "season", "several"):
            value = getattr(self, f"{name}_probability")
            if not 0 <= value <= 1:
                raise WorldError(f"{name}_probability is {value}; it must be in 0..1")
        if not 1 <= self.max_count <= MAX_COUNT:
            raise WorldError(f"max_count is {self.max_count}; it must be in 1..{MAX_COUNT}")


def _check_names(
    kind: str, names: tuple[str, ...], known: Iterable[str], at_least: int = 0
) -> None:
    known = tuple(known)
    for name in names:
        if name not in known:
            raise WorldError(f"unknown {kind} {name!r}; the world has {', '.join(known)}")
    if len(names) < at_least:
        raise WorldError(f"no {kind} is given; the world has {', '.join(known)}")


def medium_of(subject: SubjectRow, scenery: SceneryRow) -> str | None:
    """Return where the subject is in that scenery (``land``, ``water``, ...), or None."""
    if scenery.name in subject.never_in:
        return None
    return next((medium for medium in subject.habitats if medium in scenery.places), None)


def sample_scene(seed: int, config: WorldConfig | None = None) -> Scene:
    """Draw one scene by lot; the same seed and config give the same scene.

    A subject is drawn first, then a scenery where it can plausibly be.

    Raises:
        WorldError: none of the asked subjects can be in any asked scenery.
    """
    config = config or WorldConfig()
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
    """Draw a time of day; a scenery that has only one has it whatever is asked."""
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


TABLES: Mapping[str, Mapping[str, object]] = {
    "scenery": SCENERY,
    "subject": SUBJECTS,
    "colour": COLOURS,
    "time_of_day": TIMES_OF_DAY,
    "weather": WEATHERS,
    "season": SEASONS,
    "style": STYLES,
}
"""For each field of ``Scene`` that names a row, its table."""


def check_scene(scene: Scene) -> None:
    """Check that a scene made by hand can be painted and captioned.

    Raises:
        WorldError: an unknown name, a subject that cannot be in the scenery, a count or a side
            that does not go with the subject, or a missing time of day.
    """
    for field, rows in TABLES.items():
        name = getattr(scene, field)
        if name is None and field != "scenery":
            continue
        if name not in rows:
            raise WorldError(f"unknown {field} {name!r}; the world has {', '.join(rows)}")
    scenery = SCENERY[scene.scenery]
    if (scene.time_of_day is None) != (not scenery.times_of_day):
        allowed = ", ".join(scenery.times_of_day) or "None"
        raise WorldError(f"time_of_day is {scene.time_of_day!r}; {scene.scenery} has {allowed}")
    if scene.subject is None:
        if scene.count or scene.side:
            raise WorldError("a scene without a subject has count 0 and side None")
        return
    if medium_of(SUBJECTS[scene.subject], scenery) is None:
        fitting = [row.name for row in SCENERY.values() if medium_of(SUBJECTS[scene.subject], row)]
        raise WorldError(
            f"a {scene.subject} cannot be in {scene.scenery}; it can be in {', '.join(fitting)}"
        )
    if not 1 <= scene.count <= MAX_COUNT:
        raise WorldError(f"count is {scene.count}; with a subject it must be in 1..{MAX_COUNT}")
    if scene.side not in SIDES:
        raise WorldError(f"side is {scene.side!r}; with a subject it is one of {', '.join(SIDES)}")
