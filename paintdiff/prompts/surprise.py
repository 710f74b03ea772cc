"""Random prompts by category, the empty page's examples, and tips: data, not code."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from string import Formatter
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

import paintdiff.prompts.messages as messages
from paintdiff.config.presets import presets_folder, read_mapping, validate_row
from paintdiff.errors import PresetError, UnknownNameError
from paintdiff.prompts.wildcards.collection import Wildcards
from paintdiff.prompts.wildcards.expansion import Template

_A_BEFORE_VOWEL = re.compile(r"\b([Aa]) (?=[aeiouAEIOU])")


Combinations = Literal["trained", "unseen"]
"""Combinations of words that a closed model saw in its training, or those kept from it."""

_MOST_TRIES = 1000


def is_held_out(
    scenery: str, subject: str | None, colour: str | None, time_of_day: str | None, one_in: int
) -> bool:
    """Return whether a composition was kept from the embedded model's training.

    A hash of it decides, so the answer is the same on every machine.
    """
    composition = f"{scenery}|{subject}|{colour}|{time_of_day}"
    return hashlib.sha256(composition.encode()).digest()[0] % one_in == 0


class HeldOut(BaseModel):
    """How to tell which compositions were kept from training: one in so many.

    `subjects` are the slots of subjects; the others are the sceneries and times in the training's
    own words, which prompts contain.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    one_in: int = Field(ge=2, le=255)
    scenery: tuple[str, ...]
    times_of_day: tuple[str, ...]
    subjects: tuple[str, ...]

    def holds_out(self, words: Mapping[str, str], prompt: str) -> bool:
        """Return whether the composition of a prompt, made of `words` by slot, was kept."""
        scenery = max((each for each in self.scenery if each in prompt), key=len, default="")
        time = next((each for each in self.times_of_day if each in words.get("time", "")), None)
        subject = next((words[slot] for slot in self.subjects if slot in words), None)
        if subject is None:  # "a woman in a red dress" says it in the template
            subject = next((each for each in ("woman", "man") if f" {each} " in prompt), None)
        return is_held_out(scenery, subject, words.get("colour"), time, self.one_in)


class Surprise(BaseModel):
    """Templates by category, and the words for their slots, for a model with a closed vocabulary.

    `held_out` tells the combinations that it was trained with from those that it never saw.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    words: dict[str, tuple[str, ...]]
    categories: dict[str, tuple[str, ...]]
    held_out: HeldOut | None = None

    @classmethod
    def default(cls) -> Surprise:
        """Read the templates that ship with the app.

        Raises:
            PresetError: They can't be read.
        """
        return cls.from_file(presets_folder() / "surprise.yaml")

    @classmethod
    def from_file(cls, path: Path) -> Surprise:
        """Read a file.

        Raises:
            PresetError: It can't be read, or a slot has no words.
        """
        try:
            return cls.model_validate(read_mapping(path))
        except ValidationError as error:
            raise PresetError(f"{path}: {error.errors()[0]['msg']}.") from error

    @model_validator(mode="after")
    def _every_slot_has_words(self) -> Surprise:
        for category, templates in self.categories.items():
            if not templates:
                raise ValueError(messages.no_template(category))
            for template in templates:
                missing = [slot for slot in _find_slots(template) if not self.words.get(slot)]
                if missing:
                    raise ValueError(messages.slot_without_words(template, ", ".join(missing)))
        return self

    def draw(
        self,
        categories: Sequence[str],
        random: Random,
        combinations: Combinations | None = None,
    ) -> str:
        """Return a prompt from one of the categories; from any if none are given.

        `combinations` None is any.

        Raises:
            UnknownNameError: A category doesn't exist.
        """
        names = _choose_categories(categories, self.categories)
        made = ""
        for _ in range(_MOST_TRIES):
            template = random.choice(self.categories[random.choice(names)])
            words = {slot: random.choice(self.words[slot]) for slot in _find_slots(template)}
            made = template.format(**words)
            kept = self.held_out is not None and self.held_out.holds_out(words, made)
            if combinations is None or self.held_out is None or kept == (combinations == "unseen"):
                break
        return _A_BEFORE_VOWEL.sub(r"\1n ", made)


class GeneralSurprise:
    """Templates of wildcards by category, for models that know many words."""

    def __init__(self, categories: Mapping[str, Sequence[str]], wildcards: Wildcards) -> None:
        self.categories = categories
        self._wildcards = wildcards

    @classmethod
    def default(cls) -> GeneralSurprise:
        """Read the templates that ship with the app. Raises PresetError."""
        path = presets_folder() / "surprise-general.yaml"
        content = validate_row(dict[str, tuple[str, ...]], read_mapping(path), path)
        return cls(content, Wildcards.default())

    def draw(self, categories: Sequence[str], random: Random) -> str:
        """Return a prompt from one of the categories; from any if none are given.

        Raises:
            UnknownNameError: A category doesn't exist.
        """
        names = _choose_categories(categories, self.categories)
        template = random.choice(self.categories[random.choice(names)])
        made = Template(template, self._wildcards).expand(random.getrandbits(32))
        return _A_BEFORE_VOWEL.sub(r"\1n ", made)


class Surprises:
    """Random prompts for models that know few words (`closed`), and for the others."""

    def __init__(self, closed: Surprise, general: GeneralSurprise) -> None:
        self._closed = closed
        self._general = general

    @classmethod
    def default(cls) -> Surprises:
        """Read those that ship with the app. Raises PresetError."""
        return cls(Surprise.default(), GeneralSurprise.default())

    def categories(self, *, closed: bool) -> tuple[str, ...]:
        """Return the names of the categories."""
        return tuple(self._closed.categories if closed else self._general.categories)

    def draw(
        self, categories: Sequence[str], random: Random, *, closed: bool, unseen: bool = False
    ) -> str:
        """Return a prompt from one of the categories; from any if none are given.

        For a closed model it combines words as in its training, or as it has never seen them
        (`unseen`).

        Raises:
            UnknownNameError: A category doesn't exist.
        """
        if closed:
            return self._closed.draw(categories, random, "unseen" if unseen else "trained")
        return self._general.draw(categories, random)


def read_tips() -> Mapping[str, tuple[str, ...]]:
    """Read the tips on prompts, by model or family; "other" is for all others.

    Raises:
        PresetError: They can't be read.
    """
    path = presets_folder() / "tips.yaml"
    return validate_row(dict[str, tuple[str, ...]], read_mapping(path), path)


def find_tips(tips: Mapping[str, tuple[str, ...]], names: Iterable[str]) -> tuple[str, ...]:
    """Return the tips of the first of the names that has some, such as a model and its family."""
    return next((tips[name] for name in (*names, "other") if name in tips), ())


def _choose_categories(asked: Sequence[str], known: Mapping[str, object]) -> list[str]:
    for name in asked:
        if name not in known:
            raise UnknownNameError(
                messages.no_such_category(name[:100], ", ".join(known)), field="categories"
            )
    return list(asked) or list(known)


def read_example_prompts(path: Path | None = None) -> tuple[str, ...]:
    """Read the prompts offered on the empty page.

    Raises:
        PresetError: The file can't be read.
    """
    path = path or presets_folder() / "examples.yaml"
    examples: object = read_mapping(path).get("examples")
    if not isinstance(examples, list) or not all(isinstance(item, str) for item in examples):
        raise PresetError(messages.not_a_list_of_prompts(path))
    return tuple(str(item) for item in examples)


def _find_slots(template: str) -> list[str]:
    return [name for _, name, _, _ in Formatter().parse(template) if name is not None]
