"""Captions: the content of a scene's picture, worded in many ways and never untrue."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from paintdiff.mini.world.rows import SubjectRow
from paintdiff.mini.world.scene import SIDES, Scene, WorldConfig, check_scene, medium_of
from paintdiff.mini.world.scenery.scenery_table import SCENERY
from paintdiff.mini.world.streams import stream
from paintdiff.mini.world.subjects.subject_table import SUBJECTS
from paintdiff.mini.world.tables import COLOURS, SEASONS, STYLES, TIMES_OF_DAY, WEATHERS

NUMBERS = {2: "two", 3: "three"}
SIDE_PHRASES = {
    "left": ("on the left", "on the left", "on the left side", "to the left"),
    "centre": ("in the middle", "in the centre", "in the center"),
    "right": ("on the right", "on the right", "on the right side", "to the right"),
}
SIDE_KEYWORDS = {
    "left": ("left", "on the left", "left side"),
    "centre": ("centre", "center", "in the middle"),
    "right": ("right", "on the right", "right side"),
}
_VIEW_LEADS = ("", "", "a view of", "a picture of", "a painting of")
_ODDS = {
    "colour": 0.92,
    "scenery": 0.84,
    "time_of_day": 0.74,
    "weather": 0.9,
    "season": 0.85,
    "style": 0.95,
    # Captions without a side mean the middle, or a small UNet would paint several places at once.
    "left": 1.0,
    "centre": 0.25,
    "right": 1.0,
}
_ADJECTIVE_ODDS = 0.22
_ING_ODDS = 0.25
_CIRCUMSTANCES = (("time_of_day", TIMES_OF_DAY), ("weather", WEATHERS), ("season", SEASONS))
_TEMPLATE_WORDS = "a an in of there is are"
_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True)
class Caption:
    """A caption and which fields of ``Scene`` its words state.

    Attributes:
        text: one line of English, 1 to about 25 words.
        stated: names of ``Scene`` fields; ``category`` comes with ``subject`` and, in pictures
            without a subject, with ``scenery``; ``count`` only where a number is said.
    """

    text: str
    stated: frozenset[str]


def describe(scene: Scene, seed: int) -> Caption:
    """Return a caption of ``scene``; ``seed`` decides the wording and what is left out.

    Everything it says is true of the picture. The picture does not depend on ``seed``.

    Raises:
        WorldError: the scene is impossible; see ``check_scene``.
    """
    check_scene(scene)
    writer = _Writer(scene, stream(seed, "caption"))
    form = writer.random.random()
    if scene.subject is None:
        text = writer.keywords() if form < 0.35 else writer.view()
    elif form < 0.3:
        text = writer.keywords()
    elif form < 0.72:
        text = writer.phrase()
    else:
        text = writer.sentence()
    return Caption(text, frozenset(writer.stated))


class _Writer:
    """A writer of one caption; ``stated`` grows with the fields it states."""

    def __init__(self, scene: Scene, random: Random) -> None:
        self.scene = scene
        self.random = random
        self.stated: set[str] = set()
        self.scenery = SCENERY[scene.scenery]
        self.untrue: set[str] = set(self.scenery.untrue)
        if scene.season is not None:
            self.untrue.update(SEASONS[scene.season].untrue)
        if scene.weather is not None:
            self.untrue.update(WEATHERS[scene.weather].untrue)
        self.said = {
            field
            for field in ("colour", "scenery", "time_of_day", "weather", "season", "style")
            if getattr(scene, field) is not None and random.random() < _ODDS[field]
        }
        if scene.side and scene.count == 1 and random.random() < _ODDS[scene.side]:
            self.said.add("side")
        if scene.subject is None:
            self.said.add("scenery")

    def choose(self, phrases: Iterable[str]) -> str:
        """Return one of the phrases that are true in this season and weather."""
        true = [phrase for phrase in phrases if not self.untrue & set(_WORD.findall(phrase))]
        return self.random.choice(true)

    def state(self, field: str) -> bool:
        """Record that ``field`` is stated, if it should be; return whether."""
        if field in self.said:
            self.stated.add(field)
        return field in self.said

    def keywords(self) -> str:
        """Return a comma-separated list, the subject mostly first."""
        items: list[str] = []
        if self.state("scenery"):
            items.append(self.choose(self.scenery.nouns))
            if self.scene.subject is None:
                self.stated.add("category")
        items += [
            self.choose(rows[getattr(self.scene, field)].nouns)
            for field, rows in _CIRCUMSTANCES
            if self.state(field)
        ]
        if self.state("side"):
            items.append(self.choose(SIDE_KEYWORDS[self.scene.side or "centre"]))
        self.random.shuffle(items)
        if self.scene.subject is not None:
            place = 0 if self.random.random() < 0.85 else self.random.randint(0, len(items))
            items.insert(place, self.subject(articles=self.random.random() < 0.3))
        if self.state("style"):
            style = self.choose(STYLES[self.scene.style or ""].nouns)
            items.insert(self.random.choice((0, len(items), len(items))), style)
        return ", ".join(items)

    def view(self) -> str:
        """Return a phrase for a picture without a subject."""
        self.state("scenery")
        self.stated.add("category")
        words = [self.choose(self.scenery.views), *self.circumstances()]
        text = " ".join(words)
        if not self.state("style"):
            lead = self.random.choice(_VIEW_LEADS)
            return self.finish(f"{lead} {text}".strip())
        return self.finish(self.styled(text))

    def phrase(self) -> str:
        """Return "a red dog on a green hill at night" and the like."""
        parts = [self.subject(articles=self.random.random() < 0.9)]
        if self.random.random() < _ING_ODDS:
            parts.append(self.verb(ing=True))
        tail: list[str] = []
        if self.state("scenery"):
            tail.append(self.place())
        if self.state("side"):
            where = self.choose(SIDE_PHRASES[self.scene.side or "centre"])
            tail.insert(self.random.randint(0, len(tail)), where)
        text = " ".join(parts + tail + self.circumstances())
        return self.finish(self.styled(text) if self.state("style") else text)

    def sentence(self) -> str:
        """Return a sentence with a verb, now and then with the circumstances first."""
        noun = self.subject(articles=True)
        tail: list[str] = []
        if self.state("side"):
            tail.append(self.choose(SIDE_PHRASES[self.scene.side or "centre"]))
        if self.state("scenery"):
            tail.append(self.place())
        circumstances = self.circumstances()
        if self.random.random() < 0.2:
            verb = "there is" if self.scene.count == 1 else "there are"
            head = [verb, noun]
        else:
            head = [noun, self.verb()]
        if self.random.random() < 0.35:
            text = " ".join(circumstances + head + tail)
        else:
            text = " ".join(head + tail + circumstances)
        if self.state("style"):
            style = self.choose(STYLES[self.scene.style or ""].nouns)
            return self.finish(f"{text}, {style}")
        return self.finish(text, full_stop=0.7)

    def circumstances(self) -> list[str]:
        """Return the adverbial phrases of time, weather and season to state."""
        phrases = [
            self.choose(rows[getattr(self.scene, field)].phrases)
            for field, rows in _CIRCUMSTANCES
            if self.state(field)
        ]
        self.random.shuffle(phrases)
        return phrases

    def styled(self, text: str) -> str:
        """Return ``text`` with the style before or after it."""
        row = STYLES[self.scene.style or ""]
        if self.random.random() < 0.5:
            return f"{self.choose(row.leads)} {text}"
        return f"{text}, {self.choose(row.nouns)}"

    def place(self) -> str:
        """Return the subject's place, as the scenery's phrase for its medium."""
        row = SUBJECTS[self.scene.subject or ""]
        return self.choose(self.scenery.places[medium_of(row, self.scenery) or ""])

    def verb(self, ing: bool = False) -> str:
        """Return the subject's activity, singular or plural or, in phrases, as -ing form."""
        row = SUBJECTS[self.scene.subject or ""]
        medium = medium_of(row, self.scenery) or ""
        base, third_person, ing_form = self.random.choice(row.verbs[medium])
        if ing:
            return ing_form
        return third_person if self.scene.count == 1 else base

    def subject(self, articles: bool) -> str:
        """Return the noun phrase of the subject, with number, adjective and colour."""
        row = SUBJECTS[self.scene.subject or ""]
        self.stated |= {"subject", "category"}
        singular, plural = self.random.choice(row.nouns)
        words = [singular if self.scene.count == 1 else plural]
        words += self.colour(row, words)
        if self.random.random() < _ADJECTIVE_ODDS:
            words.insert(0, self.random.choice(row.adjectives))
        if self.scene.count > 1:
            self.stated.add("count")
            words.insert(0, NUMBERS[self.scene.count])
        elif articles:
            words.insert(0, article(words[0]))
        return " ".join(words)

    def colour(self, row: SubjectRow, words: list[str]) -> list[str]:
        """Put the colour before the noun in ``words``, or return the words that follow it."""
        if not self.state("colour"):
            return []
        colour = self.random.choice(COLOURS[self.scene.colour or ""].nouns)
        if not row.clothing:
            words.insert(0, colour)
            return []
        if self.random.random() < 0.2:
            return ["in", colour]
        garment = self.random.choice(row.clothing)
        if self.scene.count > 1:
            return ["in", colour, plural_of(garment)]
        return ["in", article(colour), colour, garment]

    def finish(self, text: str, full_stop: float = 0.1) -> str:
        """Return ``text`` with a capital and a full stop, sometimes."""
        if self.random.random() < 0.3 + full_stop * 0.5:
            text = text[0].upper() + text[1:]
        return text + "." if self.random.random() < full_stop else text


def article(word: str) -> str:
    """Return ``a`` or ``an`` for the word that follows."""
    return "an" if word[0] in "aeiou" else "a"


def plural_of(garment: str) -> str:
    """Return the plural of a garment's name."""
    return f"{garment}es" if garment.endswith("s") else f"{garment}s"


def words(config: WorldConfig | None = None) -> frozenset[str]:
    """Return every lower-case word that a caption of this part of the world can contain."""
    config = config or WorldConfig()
    sceneries = [SCENERY[name] for name in config.scenery]
    phrases: list[str] = [_TEMPLATE_WORDS, *_VIEW_LEADS]
    for row in sceneries:
        phrases += [*row.nouns, *row.views]
        phrases += [phrase for group in row.places.values() for phrase in group]
    times = {name for row in sceneries for name in row.times_of_day}
    fixed = {row.times_of_day[0] for row in sceneries if len(row.times_of_day) == 1}
    seasons = config.seasons if any(row.seasons for row in sceneries) else ()
    weathers = {name for row in sceneries for name in row.weathers} & set(config.weathers)
    for name in times & (set(config.times_of_day) | fixed):
        phrases += [*TIMES_OF_DAY[name].nouns, *TIMES_OF_DAY[name].phrases]
    for name in weathers if config.weather_probability else ():
        phrases += [*WEATHERS[name].nouns, *WEATHERS[name].phrases]
    for name in seasons if config.season_probability else ():
        phrases += [*SEASONS[name].nouns, *SEASONS[name].phrases]
    for name in config.styles if config.style_probability else ():
        phrases += [*STYLES[name].nouns, *STYLES[name].leads]
    if config.subject_probability and config.subjects:
        phrases += _subject_phrases(config)
    return frozenset(_WORD.findall(" ".join(phrases)))


def _subject_phrases(config: WorldConfig) -> list[str]:
    several = config.max_count > 1 and config.several_probability > 0
    phrases = [phrase for side in SIDES for phrase in SIDE_PHRASES[side] + SIDE_KEYWORDS[side]]
    phrases += [NUMBERS[count] for count in range(2, config.max_count + 1) if several]
    for name in config.subjects:
        row = SUBJECTS[name]
        phrases += [noun for pair in row.nouns for noun in (pair if several else pair[:1])]
        phrases += [form for pairs in row.verbs.values() for forms in pairs for form in forms]
        phrases += [*row.adjectives]
        if config.colour_probability and config.colours:
            phrases += [*row.clothing]
            phrases += [plural_of(garment) for garment in row.clothing if several]
    if config.colour_probability:
        phrases += [noun for name in config.colours for noun in COLOURS[name].nouns]
    return phrases
