"""The description of a scene, and the settings of which part of the world to draw from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from paintdiff.mini.world.errors import WorldError
from paintdiff.mini.world.rows import SceneryRow, SubjectRow
from paintdiff.mini.world.scenery.scenery_table import SCENERY
from paintdiff.mini.world.subjects.cast import CAST
from paintdiff.mini.world.subjects.subject_table import SUBJECTS
from paintdiff.mini.world.tables import COLOURS, SEASONS, STYLES, TIMES_OF_DAY, WEATHERS

EDITIONS = (0, 1)
RELATIONS = ("beside", "left of", "right of", "in front of", "behind", "above")
SIDES = ("left", "centre", "right")
MAX_COUNT = 3
HORIZON_PIVOT = 226.0
"""The y of the sheet that stays where it is when the scenery is zoomed."""


@dataclass(frozen=True)
class Placement:
    """One figure of a scene of the first edition: its subject, place and colours.

    Attributes:
        subject: a name in ``CAST``.
        drawing: the key of one of its poses.
        x: its middle, in sheet units (0..256 from the left).
        foot: its bottom, in sheet units from the top.
        height: its height in sheet units.
        mirrored: whether it looks to the right; drawings look to the left.
        tilt: degrees it is turned clockwise.
        colour: a name in ``COLOURS``, or None for its natural colours.
        part: which part has a colour of its own, or None.
        part_colour: that colour.
    """

    subject: str
    drawing: str
    x: float
    foot: float
    height: float
    mirrored: bool = False
    tilt: float = 0.0
    colour: str | None = None
    part: str | None = None
    part_colour: str | None = None


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
        edition: the edition of the world; what follows is None or empty in edition 0.
        medium: where the subject is, as in ``SceneryRow.places``.
        pose: the pose of the subject, as in ``POSE_WORDS``, or None.
        size: ``small``, ``big`` or ``portrait``; None for the usual size.
        facing: ``left`` or ``right`` where it shows, or None.
        part: a part of the subject with a colour of its own, or None.
        part_colour: that colour.
        companion: a second subject, or None.
        companion_colour: its colour, or None.
        relation: where the subject is from its companion; a name in ``RELATIONS``.
        zoom: how much nearer the scenery is than usual.
        pivot: the x of the sheet that stays where it is when zoomed.
        figures: the subject, its likes, and the companion.
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
    edition: int = 0
    medium: str | None = None
    pose: str | None = None
    size: str | None = None
    facing: str | None = None
    part: str | None = None
    part_colour: str | None = None
    companion: str | None = None
    companion_colour: str | None = None
    relation: str | None = None
    zoom: float = 1.0
    pivot: float = 128.0
    figures: tuple[Placement, ...] = ()


@dataclass(frozen=True)
class WorldConfig:
    """The part of the world to draw from, and the odds. The defaults are the whole world.

    The tuples hold names of the tables; every probability is in 0..1.

    Attributes:
        scenery, subjects, colours, times_of_day, weathers, seasons, styles: allowed names.
        subject_probability: how often there is a subject at all.
        colour_probability: how often a subject has a requested colour.
        style_probability, weather_probability, season_probability: how often each shows,
            among scenes where it can.
        several_probability: how often there is more than one, when ``max_count`` allows.
        max_count: most subjects in one picture, 1..3.
        edition: 0 is the world of version 0, 1 that of version 1.
        companion_probability: how often a single subject has a companion (edition 1).
        part_probability: how often a part that can have a colour of its own has one (edition 1).

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
    edition: int = 0
    companion_probability: float = 0.22
    part_probability: float = 0.35

    def __post_init__(self) -> None:
        """Check every name and number."""
        _check_names("scenery", self.scenery, SCENERY, at_least=1)
        if self.edition not in EDITIONS:
            raise WorldError(f"edition is {self.edition}; there are {EDITIONS}")
        _check_names("subject", self.subjects, subject_names(self.edition))
        _check_names("colour", self.colours, COLOURS)
        _check_names("time of day", self.times_of_day, TIMES_OF_DAY, at_least=1)
        _check_names("weather", self.weathers, WEATHERS)
        _check_names("season", self.seasons, SEASONS)
        _check_names("style", self.styles, STYLES)
        for name in (
            *("subject", "colour", "style", "weather", "season", "several"),
            *("companion", "part"),
        ):
            value = getattr(self, f"{name}_probability")
            if not 0 <= value <= 1:
                raise WorldError(f"{name}_probability is {value}; it must be in 0..1")
        if not 1 <= self.max_count <= MAX_COUNT:
            raise WorldError(f"max_count is {self.max_count}; it must be in 1..{MAX_COUNT}")


def subject_names(edition: int) -> tuple[str, ...]:
    """Return the names of all subjects of an edition."""
    return tuple(CAST if edition else SUBJECTS)


def subject_category(name: str, edition: int) -> str:
    """Return the category of a subject of an edition."""
    return CAST[name].category if edition else SUBJECTS[name].category


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


TABLES: Mapping[str, Mapping[str, object]] = {
    "scenery": SCENERY,
    "subject": SUBJECTS,
    "colour": COLOURS,
    "time_of_day": TIMES_OF_DAY,
    "weather": WEATHERS,
    "season": SEASONS,
    "style": STYLES,
}
"""The table of each field of ``Scene`` that names a row."""


def check_scene(scene: Scene) -> None:
    """Check that a scene made by hand can be painted and captioned.

    Raises:
        WorldError: an unknown name, a subject that cannot be in the scenery, a count or a side
            that does not go with the subject, or a missing time of day.
    """
    for field, table in TABLES.items():
        rows = CAST if field == "subject" and scene.edition else table
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
    _check_subject(scene, scene.subject, scenery)
    if scene.edition:
        _check_staging(scene, scenery)


def _check_subject(scene: Scene, subject: str, scenery: SceneryRow) -> None:
    if not scene.edition and medium_of(SUBJECTS[subject], scenery) is None:
        fitting = [row.name for row in SCENERY.values() if medium_of(SUBJECTS[subject], row)]
        raise WorldError(
            f"a {subject} cannot be in {scene.scenery}; it can be in {', '.join(fitting)}"
        )
    if not 1 <= scene.count <= MAX_COUNT:
        raise WorldError(f"count is {scene.count}; with a subject it must be in 1..{MAX_COUNT}")
    if scene.side not in SIDES:
        raise WorldError(f"side is {scene.side!r}; with a subject it is one of {', '.join(SIDES)}")


def _check_staging(scene: Scene, scenery: SceneryRow) -> None:
    """Check the fields that only scenes of the first edition have."""
    if scene.medium not in scenery.places:
        raise WorldError(
            f"medium is {scene.medium!r}; {scene.scenery} has {', '.join(scenery.places)}"
        )
    if scene.companion is not None and scene.companion not in CAST:
        raise WorldError(f"unknown companion {scene.companion!r}; the world has {', '.join(CAST)}")
    if (scene.relation in RELATIONS) != (scene.companion is not None):
        raise WorldError(
            f"relation is {scene.relation!r}; with a companion it is one of {', '.join(RELATIONS)}"
        )
    for field in ("companion_colour", "part_colour"):
        colour = getattr(scene, field)
        if colour is not None and colour not in COLOURS:
            raise WorldError(f"unknown {field} {colour!r}; the world has {', '.join(COLOURS)}")
