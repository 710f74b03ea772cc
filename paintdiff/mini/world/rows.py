"""The row types of the world's tables. The tables themselves are in ``*_table.py``."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, TypeVar

from paintdiff.mini.world.errors import WorldError


class Named(Protocol):
    """A row with a unique ``name``, by which a table can be keyed."""

    @property
    def name(self) -> str:
        """Return the unique name of the row."""
        ...


Row = TypeVar("Row", bound=Named)


def table(rows: Iterable[Row]) -> Mapping[str, Row]:
    """Return a read-only mapping from name to row, in order.

    Raises:
        WorldError: two rows have the same name.
    """
    result: dict[str, Row] = {}
    for row in rows:
        if row.name in result:
            raise WorldError(f"the table has two rows named {row.name!r}")
        result[row.name] = row
    return MappingProxyType(result)


@dataclass(frozen=True)
class SceneryRow:
    """One kind of scenery.

    Attributes:
        name: canonical name, as in ``Scene.scenery``.
        nouns: words for keyword captions.
        views: noun phrases with their articles, for pictures without a subject.
        places: for each medium that the scenery offers (``land``, ``water``, ``air``,
            ``under``, ``floor`` of the sea) the phrases that say where a subject in it is.
        span: for each medium, the lowest and highest place of a subject, as fractions of the
            picture's height: the feet on ``land`` or ``floor``, the waterline in ``water``,
            the centre elsewhere.
        times_of_day: times that look different here; empty where there is no daylight.
        weathers: weathers that show here.
        seasons: whether seasons show here.
        islet: whether subjects on ``land`` need an islet painted under them.
        dark: whether it is dark at any time, so that subjects need a light rim.
        untrue: words that captions must not use here.
    """

    name: str
    nouns: tuple[str, ...]
    views: tuple[str, ...]
    places: Mapping[str, tuple[str, ...]]
    span: Mapping[str, tuple[float, float]]
    times_of_day: tuple[str, ...] = ()
    weathers: tuple[str, ...] = ()
    seasons: bool = False
    islet: bool = False
    dark: bool = False
    untrue: tuple[str, ...] = ()


@dataclass(frozen=True)
class SubjectRow:
    """One kind of subject.

    Attributes:
        name: canonical name, as in ``Scene.subject``.
        category: ``animal``, ``mythical``, ``human`` or ``thing``.
        nouns: (singular, plural) pairs used by captions.
        glyph: file name in ``glyphs/``, without ``.svg``.
        box: left, top, right and bottom of the drawing in the glyph's 32 x 32 units.
        main_fills: fills of the glyph that take the requested colour; the first one becomes the
            colour itself, the others a lighter or darker kin of it.
        habitats: media it can be in, best first; see ``SceneryRow.places``.
        verbs: for each medium (base form, third person, -ing form) triples.
        adjectives: adjectives that are true of any rendering.
        clothing: for humans, what the colour belongs to; empty for all others.
        submerged: fraction of its height that is under water in the medium ``water``.
        never_in: sceneries it does not appear in although the medium would fit.
        size: factor on the usual size.
    """

    name: str
    category: str
    nouns: tuple[tuple[str, str], ...]
    glyph: str
    box: tuple[float, float, float, float]
    main_fills: tuple[str, ...]
    habitats: tuple[str, ...]
    verbs: Mapping[str, tuple[tuple[str, str, str], ...]]
    adjectives: tuple[str, ...] = ("little", "big", "beautiful", "lovely")
    clothing: tuple[str, ...] = ()
    submerged: float = 0.0
    never_in: tuple[str, ...] = ()
    size: float = 1.0


@dataclass(frozen=True)
class ColourRow:
    """One colour: the name, words for it, and its full, dark and light tones."""

    name: str
    nouns: tuple[str, ...]
    tone: str
    dark: str
    light: str

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Return red, green and blue of the full tone, each in 0..255."""
        return int(self.tone[1:3], 16), int(self.tone[3:5], 16), int(self.tone[5:7], 16)


@dataclass(frozen=True)
class TimeRow:
    """One time of day: its words and its light.

    Attributes:
        name: canonical name.
        nouns: words for keyword captions.
        phrases: adverbial phrases ("at sunset").
        sky: gradient stops from the zenith down to the horizon.
        haze: what distance fades to.
        tint: the light on the ground; white is neutral.
        subject_tint: the light on subjects, milder, so that their colours stay readable.
        disc: fill of sun or moon, or ``""`` for none.
        disc_height: its centre, as a fraction of the sky from zenith (0) to horizon (1).
        disc_size: its radius, as a fraction of the picture.
        stars: how many stars.
        cloud: colour of clouds.
        water: colours of open water, far, middle and near.
        mist: opacity (0..1) of the mist between layers.
    """

    name: str
    nouns: tuple[str, ...]
    phrases: tuple[str, ...]
    sky: tuple[str, ...]
    haze: str
    tint: str
    subject_tint: str
    disc: str
    disc_height: float
    disc_size: float
    stars: int
    cloud: str
    water: tuple[str, str, str]
    mist: float = 0.0


@dataclass(frozen=True)
class WeatherRow:
    """One weather: words, how far it greys the light, and the words it makes untrue."""

    name: str
    nouns: tuple[str, ...]
    phrases: tuple[str, ...]
    grey: str
    grey_amount: float
    hides_disc: bool
    snow_cover: float = 0.0
    untrue: tuple[str, ...] = ()
    needs_season: tuple[str | None, ...] = (None, "spring", "summer", "autumn", "winter")


@dataclass(frozen=True)
class SeasonRow:
    """One season: words, and what it does to vegetation.

    Attributes:
        name: canonical name.
        nouns: words for keyword captions.
        phrases: adverbial phrases.
        leaf: the colour that greens are moved to, and by how much (0..1).
        blossom: colours of the dots in meadows and trees.
        snow_cover: how white the ground is, 0..1.
        untrue: words that captions must not use in this season.
    """

    name: str
    nouns: tuple[str, ...]
    phrases: tuple[str, ...]
    leaf: tuple[str, float]
    blossom: tuple[str, ...] = ()
    snow_cover: float = 0.0
    untrue: tuple[str, ...] = ()


@dataclass(frozen=True)
class StyleRow:
    """One style: words for the end of a caption, and phrases that come before "of ..."."""

    name: str
    nouns: tuple[str, ...]
    leads: tuple[str, ...] = ()
