"""Random prompts by category, and the empty page's examples: data, not code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from random import Random
from string import Formatter

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from paintdiff.config.presets import presets_folder, read_mapping
from paintdiff.errors import PresetError, UnknownNameError
from paintdiff.prompts import messages

_A_BEFORE_VOWEL = re.compile(r"\b([Aa]) (?=[aeiouAEIOU])")


class Surprise(BaseModel):
    """Templates by category, and the words for their slots."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    words: dict[str, tuple[str, ...]]
    categories: dict[str, tuple[str, ...]]

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

    def draw(self, categories: Sequence[str], random: Random) -> str:
        """Return a prompt from one of the categories; from any if none are given.

        Raises:
            UnknownNameError: A category doesn't exist.
        """
        names = list(categories) or list(self.categories)
        for name in names:
            if name not in self.categories:
                known = ", ".join(self.categories)
                raise UnknownNameError(
                    messages.no_such_category(name[:100], known),
                    field="categories",
                )
        template = random.choice(self.categories[random.choice(names)])
        words = {slot: random.choice(self.words[slot]) for slot in _find_slots(template)}
        return _A_BEFORE_VOWEL.sub(r"\1n ", template.format(**words))


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
