"""Captions of scenes of the first edition: many wordings, long and short, lists of tags, requests.

A caption never says anything untrue. It omits random facts, so a painter also learns to paint from
few words. Some wordings are never used in training (``held_out``).
"""

import re
from collections.abc import Iterable
from random import Random

from paintdiff.mini.world.captions.sentences import Caption, article
from paintdiff.mini.world.rows import SceneryRow
from paintdiff.mini.world.scene import Scene, WorldConfig, check_scene
from paintdiff.mini.world.scenery.scenery_table import SCENERY
from paintdiff.mini.world.streams import stream
from paintdiff.mini.world.subjects.cast import CAST, POSE_WORDS, CastRow
from paintdiff.mini.world.tables import COLOURS, SEASONS, STYLES, TIMES_OF_DAY, WEATHERS

_WORD = re.compile(r"[a-z]+")
_ODDS = {
    "colour": 0.93, "scenery": 0.8, "time_of_day": 0.66, "weather": 0.88, "season": 0.85,
    "style": 0.95, "size": 0.8, "facing": 0.55, "part": 0.9, "companion": 0.96, "pose": 0.4,
    "companion_colour": 0.93,
}  # fmt: skip
_SIDE_ODDS = {"left": 0.9, "centre": 0.22, "right": 0.9}
_NEUTRAL = (
    "cute",
    "lovely",
    "beautiful",
    "happy",
    "funny",
    "friendly",
    "pretty",
    "magical",
    "nice",
)
_SIZES = {
    "small": ("small", "little", "tiny", "small", "little"),
    "big": ("big", "large", "huge", "giant", "big", "large"),
}
_PORTRAITS = ("a portrait of", "portrait of", "the face of", "a close up of", "the head of")
_CLOSE_UPS = ("a close up of", "close up of")
_NUMBERS = {
    2: ("two", "two", "two", "a pair of", "a couple of"),
    3: ("three", "three", "three", "a group of three"),
}
_SIDES = {
    "left": ("on the left", "on the left", "on the left side", "to the left", "at the left"),
    "centre": ("in the middle", "in the centre", "in the center"),
    "right": ("on the right", "on the right", "on the right side", "to the right", "at the right"),
}
_FACINGS = {
    "left": ("facing left", "looking to the left", "turned to the left"),
    "right": ("facing right", "looking to the right", "turned to the right"),
}
_RELATIONS = {
    "beside": ("beside", "next to", "near", "with", "and"),
    "left of": ("to the left of", "left of", "on the left of"),
    "right of": ("to the right of", "right of", "on the right of"),
    "in front of": ("in front of", "before"),
    "behind": ("behind", "in back of"),
    "above": ("above", "over", "flying over"),
}
_LEADS = (
    "a picture of", "a painting of", "an illustration of", "a drawing of", "an image of",
    "picture of", "illustration of",
)  # fmt: skip
_HELD_OUT_LEADS = ("a scene with", "a storybook picture of", "an artwork showing")
_REQUESTS = (
    "paint", "draw", "draw me", "please paint", "please draw", "i want", "show me", "can you paint",
    "create", "make",
)  # fmt: skip
_HELD_OUT_REQUESTS = ("i would like", "could you draw", "please show me")
_FILLERS = (
    "detailed", "highly detailed", "high quality", "best quality", "masterpiece", "storybook",
    "colourful", "colorful", "beautiful", "picture book", "cartoon", "art", "digital art",
)  # fmt: skip
_CIRCUMSTANCES = (("time_of_day", TIMES_OF_DAY), ("weather", WEATHERS), ("season", SEASONS))
_EXTRA_NOUNS: dict[str, tuple[str, ...]] = {
    "day": ("daytime", "sunny day", "bright day"),
    "night": ("late at night", "starry night"),
    "sunset": ("golden hour", "evening light"),
    "sunrise": ("early morning",),
    "rain": ("raining",),
    "snow": ("snowing", "falling snow"),
    "winter": ("winter day", "cold winter day"),
    "summer": ("summer day", "hot summer day"),
}
"""More words for times, weathers and seasons than version 0 was trained with."""

_TEMPLATE_WORDS = "a an in of there is are with wearing and who that"


def describe_staged(scene: Scene, seed: int, *, held_out: bool = False) -> Caption:
    """Return a caption of a scene of the first edition; ``seed`` decides the wording.

    Args:
        scene: what to caption.
        seed: decides the wording and what is left out.
        held_out: whether to use wordings that are kept from training.

    Raises:
        WorldError: the scene is impossible; see ``check_scene``.
    """
    check_scene(scene)
    writer = _Writer(scene, stream(seed, "caption"), held_out)
    form = writer.random.random()
    if form < 0.08:
        text = writer.short()
    elif form < 0.36:
        text = writer.tags()
    elif form < 0.78:
        text = writer.phrase()
    elif form < 0.9 and scene.subject is not None:
        text = writer.sentence()
    else:
        text = writer.request()
    return Caption(text, frozenset(writer.stated))


class _Writer:
    """A writer of one caption; ``stated`` grows with the fields it states."""

    def __init__(self, scene: Scene, random: Random, held_out: bool) -> None:
        self.scene, self.random, self.held_out = scene, random, held_out
        self.stated: set[str] = set()
        self.scenery: SceneryRow = SCENERY[scene.scenery]
        self.untrue: set[str] = set(self.scenery.untrue)
        if scene.season is not None:
            self.untrue.update(SEASONS[scene.season].untrue)
        if scene.weather is not None:
            self.untrue.update(WEATHERS[scene.weather].untrue)
        self.said = {field for field, odds in _ODDS.items() if random.random() < odds}
        alone = scene.side and scene.count == 1 and scene.companion is None
        if alone and random.random() < _SIDE_ODDS[scene.side or "centre"]:
            self.said.add("side")
        if scene.size == "portrait" and random.random() < 0.85:
            self.said.add("size")

    def state(self, field: str) -> bool:
        """Record that ``field`` is stated, if it exists and should be; return whether."""
        if field not in self.said or getattr(self.scene, field) is None:
            return False
        self.stated.add(field)
        return True

    def choose(self, phrases: Iterable[str]) -> str:
        """Return one of the phrases that are true in this season and weather."""
        true = [phrase for phrase in phrases if not self.untrue & set(_WORD.findall(phrase))]
        return self.random.choice(true)

    def short(self) -> str:
        """Return a minimal caption: the subject, or the scenery."""
        if self.scene.subject is None:
            self.stated |= {"scenery", "category"}
            return self.choose(self.scenery.nouns)
        self.said &= {"colour", "style", "companion", "companion_colour", "part"}
        text = self.lead_noun(articles=self.random.random() < 0.5)
        return self._styled(self._related(text))

    def tags(self) -> str:
        """Return a comma-separated list, the subject mostly first."""
        random, scene = self.random, self.scene
        items: list[str] = []
        if scene.subject is None or self.state("scenery"):
            self.stated.add("scenery")
            items.append(self.choose(self.scenery.nouns))
        items += [
            self.choose((*table[name].nouns, *_EXTRA_NOUNS.get(name, ())))
            for field, table in _CIRCUMSTANCES
            if self.state(field) and (name := str(getattr(scene, field)))
        ]
        if self.state("side"):
            items.append(
                random.choice((scene.side or "", random.choice(_SIDES[scene.side or "centre"])))
            )
        if random.random() < 0.15:
            items.append(random.choice(_FILLERS))
        random.shuffle(items)
        if scene.subject is None:
            self.stated.add("category")
        else:
            noun = self._related(self.lead_noun(articles=random.random() < 0.3))
            items.insert(0 if random.random() < 0.85 else random.randint(0, len(items)), noun)
        if self.state("style"):
            style = self.choose(STYLES[scene.style or ""].nouns)
            items.insert(random.choice((0, len(items), len(items))), style)
        return ", ".join(items)

    def phrase(self) -> str:
        """Return "a red dog beside a blue house in the forest at night" and the like."""
        text = self._scene_text(articles=self.random.random() < 0.92)
        styled = self._styled(text)
        if styled == text and self.random.random() < 0.22:
            leads = _HELD_OUT_LEADS if self.held_out else _LEADS
            styled = f"{self.random.choice(leads)} {text}"
        return self._finished(styled)

    def request(self) -> str:
        """Return a request to a painter."""
        text = self._styled(self._scene_text(articles=True))
        lead = self.random.choice(_HELD_OUT_REQUESTS if self.held_out else _REQUESTS)
        return self._finished(f"{lead} {text}")

    def sentence(self) -> str:
        """Return a sentence with a verb, now and then with the circumstances first."""
        text = self.lead_noun(articles=True)
        tail = self._tail()
        pose = POSE_WORDS.get(self.scene.pose or "")
        if self.scene.count == 1 and pose and self.scene.size != "portrait":
            verb = self.random.choice(pose)[0]
            self.stated.add("pose")
        else:
            verb = "are" if self.scene.count > 1 else "is"
        relation = self._relation(allow_and=False)
        if verb == "is" and not relation and not tail:
            text = f"there is {text}"
        else:
            text = " ".join(part for part in (text, verb, relation, *tail) if part)
        circumstances = self._circumstances()
        if circumstances and self.random.random() < 0.4:
            text = f"{' '.join(circumstances)} {text}"
        else:
            text = " ".join((text, *circumstances))
        return self._finished(self._styled(text, lead=False), full_stop=0.4)

    def lead_noun(self, articles: bool) -> str:
        """Return the noun phrase of the subject."""
        scene, random = self.scene, self.random
        row = CAST[scene.subject or ""]
        self.stated |= {"subject", "category"}
        text = self._noun(row, scene.colour, "colour", scene.count, articles)
        if self.state("part") and scene.part_colour:
            self.stated.add("part_colour")
            colour = random.choice(COLOURS[scene.part_colour].nouns)
            thing = f"{colour} {scene.part}"
            text += f" with {article_of(thing)} {thing}" if scene.count == 1 else f" with {thing}s"
        size = scene.size or ""
        if size == "portrait" and self.state("size"):
            text = f"{random.choice(_PORTRAITS)} {text}"
        elif (
            scene.size == "big"
            and scene.count == 1
            and "size" not in self.stated
            and random.random() < 0.25
        ):
            self.stated.add("size")
            text = f"{random.choice(_CLOSE_UPS)} {text}"
        return text

    def _noun(
        self, row: CastRow, colour: str | None, field: str, count: int, articles: bool
    ) -> str:
        random = self.random
        singular, plural = random.choice((row.nouns[0], random.choice(row.nouns)))
        words, after = [singular if count == 1 else plural], ""
        if colour is not None and field in self.said:
            self.stated.add(field)
            name = random.choice(COLOURS[colour].nouns)
            if not row.clothing or random.random() < 0.12:
                words.insert(0, name)
            else:
                after = self._garment(row, name, count)
        if random.random() < 0.15:
            words.insert(0, random.choice(_NEUTRAL))
        sizes = _SIZES.get(self.scene.size or "")
        if field == "colour" and sizes and self.state("size"):
            words.insert(0, random.choice(sizes))
        if count > 1:
            self.stated.add("count")
            words.insert(0, random.choice(_NUMBERS[count]))
        elif articles:
            words.insert(0, article_of(words[0]))
        return " ".join(words) + after

    def _garment(self, row: CastRow, colour: str, count: int) -> str:
        if self.random.random() < 0.2:
            return f" in {colour}"
        garment = self.random.choice(row.clothing)
        word = self.random.choice(("in", "in", "wearing", "with"))
        if garment in ("armour", "armor"):
            return f" {word} {colour} {garment}"
        if count > 1:
            return (
                f" {word} {colour} {garment}es"
                if garment.endswith("s")
                else f" {word} {colour} {garment}s"
            )
        return f" {word} {article_of(colour)} {colour} {garment}"

    def _scene_text(self, articles: bool) -> str:
        if self.scene.subject is None:
            self.stated |= {"scenery", "category"}
            return " ".join((self.choose(self.scenery.views), *self._circumstances()))
        text = self.lead_noun(articles)
        pose = POSE_WORDS.get(self.scene.pose or "")
        if self.scene.size != "portrait" and pose and self.state("pose"):
            text += " " + self.random.choice(pose)[1]
            text = text.rstrip()
        return " ".join((self._related(text), *self._tail(), *self._circumstances()))

    def _tail(self) -> list[str]:
        """Return the subject's place, its side and its direction, in any order."""
        tail: list[str] = []
        if self.state("facing"):
            tail.append(self.random.choice(_FACINGS[self.scene.facing or ""]))
        if self.state("scenery"):
            tail.append(self.choose(self.scenery.places[self.scene.medium or ""]))
        if self.state("side"):
            where = self.random.choice(_SIDES[self.scene.side or "centre"])
            tail.insert(self.random.randint(0, len(tail)), where)
        return tail

    def _related(self, text: str) -> str:
        relation = self._relation(allow_and=True)
        return f"{text} {relation}".strip()

    def _relation(self, allow_and: bool) -> str:
        """Return "beside a blue house", or nothing without a companion."""
        scene = self.scene
        if scene.companion is None or scene.relation is None or not self.state("companion"):
            return ""
        self.stated.add("relation")
        words = [word for word in _RELATIONS[scene.relation] if allow_and or word != "and"]
        noun = self._noun(
            CAST[scene.companion], scene.companion_colour, "companion_colour", 1, articles=True
        )
        return f"{self.random.choice(words)} {noun}"

    def _circumstances(self) -> list[str]:
        parts = [
            self.choose(table[getattr(self.scene, field)].phrases)
            for field, table in _CIRCUMSTANCES
            if self.state(field)
        ]
        self.random.shuffle(parts)
        return parts

    def _styled(self, text: str, lead: bool = True) -> str:
        if not self.state("style"):
            return text
        row = STYLES[self.scene.style or ""]
        if lead and self.random.random() < 0.5:
            return f"{self.choose(row.leads)} {text}"
        return f"{text}, {self.choose(row.nouns)}"

    def _finished(self, text: str, full_stop: float = 0.08) -> str:
        if self.random.random() < 0.3:
            text = text[0].upper() + text[1:]
        return text + "." if self.random.random() < full_stop else text


def article_of(text: str) -> str:
    """Return ``a`` or ``an`` for the words that follow."""
    return "a" if text.startswith(("uni", "ufo")) else article(text)


def staged_words(config: WorldConfig) -> frozenset[str]:
    """Return every lower-case word that a caption of this part of the world can contain."""
    phrases: list[str] = [
        _TEMPLATE_WORDS, *_NEUTRAL, *_PORTRAITS, *_CLOSE_UPS, *_LEADS, *_HELD_OUT_LEADS,
        *_REQUESTS, *_HELD_OUT_REQUESTS, *_FILLERS, "left centre right",
    ]  # fmt: skip
    for group in (_SIZES, _SIDES, _FACINGS, _RELATIONS, _NUMBERS, POSE_WORDS, _EXTRA_NOUNS):
        for values in group.values():
            phrases += [" ".join(value) if isinstance(value, tuple) else value for value in values]
    for name in config.scenery:
        row = SCENERY[name]
        phrases += [*row.nouns, *row.views, *(p for group in row.places.values() for p in group)]
    for table in (TIMES_OF_DAY, WEATHERS, SEASONS):
        for row in table.values():
            phrases += [*row.nouns, *row.phrases]
    for name in config.styles:
        phrases += [*STYLES[name].nouns, *STYLES[name].leads]
    phrases += [noun for name in config.colours for noun in COLOURS[name].nouns]
    for name in config.subjects:
        row = CAST[name]
        phrases += [noun for pair in row.nouns for noun in pair]
        for thing in (*row.clothing, *row.parts):
            phrases += [thing, f"{thing}es" if thing.endswith("s") else f"{thing}s"]
    return frozenset(_WORD.findall(" ".join(phrases)))
