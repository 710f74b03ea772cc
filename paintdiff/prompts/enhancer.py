"""Propose richer prompts, by rules and at random. Pure: a seed always gives the same.

With `known`, the words of a model that knows few, such as `mini`, the subject gets a colour, a
place and a time of day in these words. For other models a prompt gets a technique, light,
composition and the like, in the words of the wildcards that ship with the app. What a prompt says
already isn't said again, and it is never shortened.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache

import paintdiff.prompts.messages as messages
from paintdiff.errors import RequestError
from paintdiff.prompts.attention import list_words
from paintdiff.prompts.extra_networks import split_lora_tags
from paintdiff.prompts.wildcards.choosing import SeededChooser
from paintdiff.prompts.wildcards.collection import Wildcards

MAX_VARIATIONS = 16
MAX_CHARACTERS = 5000
"""A longer prompt isn't enhanced: there is little that it lacks."""

_GENERAL = ("medium", "composition", "lighting", "palette", "mood", "quality")
_LEAST_ADDED = 2
_IN_THE_SEA = frozenset(("fish", "whale", "mermaid"))
_SUBJECTS = ("mini/animal", "mini/being", "mini/sea-being", "mini/thing", "mini/person")
_COLOURLESS = "mini/person"
_ARTICLE = re.compile(r"\b(an?)\s+$", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Change:
    """A piece of an enhanced prompt; `is_new` if the original doesn't have it."""

    text: str
    is_new: bool


def enhance(prompt: str, seed: int = 0, *, known: Collection[str] = ()) -> str:
    """Return a richer prompt. `known` are the words of a model that knows few, () for any other.

    Brackets, LoRAs and wildcards in it stay.

    Raises:
        RequestError: It is longer than MAX_CHARACTERS, for "prompt".
    """
    check_enhancement(prompt)
    chooser = SeededChooser(seed, "enhancer")
    if not prompt.strip():
        return _draw("mini/scene", chooser) if known else ""
    if known:
        return _enhance_scene(prompt.strip(), chooser, known)
    return _add_details(prompt.strip(), chooser)


def variations(
    prompt: str, count: int = 4, seed: int = 0, *, known: Collection[str] = ()
) -> tuple[str, ...]:
    """Return up to `count` different enhanced prompts; fewer if there aren't more.

    Raises:
        RequestError: `count` isn't 1 to MAX_VARIATIONS, or the prompt is too long.
    """
    check_enhancement(prompt, count)
    made: dict[str, None] = {}
    for number in range(8 * count):
        text = enhance(prompt, seed + number, known=known)
        if text != prompt.strip():
            made[text] = None
        if len(made) == count:
            break
    return tuple(made)


def check_enhancement(prompt: str, count: int = 1) -> None:
    """Raise RequestError if a prompt, or so many of them, can't be enhanced."""
    if len(prompt) > MAX_CHARACTERS:
        raise RequestError(
            messages.too_long_to_enhance(len(prompt), MAX_CHARACTERS), field="prompt"
        )
    if not 1 <= count <= MAX_VARIATIONS:
        raise RequestError(messages.wrong_number_of_variations(count, MAX_VARIATIONS), "count")


def append_details(prompt: str, details: str) -> str:
    """Return a prompt with what a language model would write after it."""
    if not details.strip():
        return prompt
    gap = "" if details[0] in ",. " else " "
    return f"{prompt.rstrip(' ,')}{gap}{details}"


def find_changes(before: str, after: str) -> tuple[Change, ...]:
    """Return an enhanced prompt in pieces, those marked that the original doesn't have."""
    old, new = _split(before), _split(after)
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    pieces = (
        Change("".join(new[start:end]), kind != "equal")
        for kind, _, _, start, end in matcher.get_opcodes()
    )
    return tuple(piece for piece in pieces if piece.text)


def _split(text: str) -> list[str]:
    return re.findall(r"\s+|\w+|[^\w\s]", text)


def _add_details(prompt: str, chooser: SeededChooser) -> str:
    said = _words_of(prompt)
    left = [name for name in _GENERAL if not _says_any(said, _lines(name))]
    if not left:
        return prompt
    least = min(_LEAST_ADDED, len(left))
    count = least + chooser.draw(len(left) - least + 1)
    while len(left) > count:
        left.pop(chooser.draw(len(left)))
    details = ", ".join(_draw(name, chooser) for name in left)
    return f"{prompt.rstrip(' ,.;')}, {details}"


def _enhance_scene(prompt: str, chooser: SeededChooser, known: Collection[str]) -> str:
    said = _words_of(prompt)
    words = set(_WORD.findall(said))
    found = _find_subject(prompt, known)
    if found is not None and not words & set(_lines("mini/colour")):
        subject, start = found
        if subject not in _lines(_COLOURLESS):
            prompt = _insert_colour(prompt, start, _draw("mini/colour", chooser, known))
    at_sea = found is not None and found[0] in _IN_THE_SEA
    said_places = {word for line in _places() for word in _WORD.findall(line)} & words
    additions: list[str] = []
    if not said_places - {"in", "on", "the", "a", "by", "near", "under", "at", "of"}:
        additions.append("in the sea" if at_sea else _draw("mini/place", chooser, known))
    times = {word for line in _lines("mini/time") for word in _WORD.findall(line)} - {"at", "by"}
    if not words & times:
        additions.append(_draw("mini/time", chooser, known))
    return " ".join((prompt.rstrip(" ,.;"), *additions))


def _places() -> tuple[str, ...]:
    return (*_lines("mini/place"), *_lines("mini/view"))


def _find_subject(prompt: str, known: Collection[str]) -> tuple[str, int] | None:
    """Return the first subject in a prompt, and where it begins."""
    subjects = {word for name in _SUBJECTS for word in _lines(name)} & set(known)
    for match in _WORD.finditer(prompt):
        word = match[0].casefold()
        if word in subjects:
            return word, match.start()
    return None


def _insert_colour(prompt: str, start: int, colour: str) -> str:
    """Put a colour before the word at `start`, after the adjectives there."""
    before = prompt[:start]
    article = _ARTICLE.search(before)
    if article is not None:
        fitting = "an" if colour[0] in "aeiou" else "a"
        fitting = fitting.capitalize() if article[1][0].isupper() else fitting
        before = f"{before[: article.start()]}{fitting} "
    return f"{before}{colour} {prompt[start:]}"


def _words_of(prompt: str) -> str:
    return list_words(split_lora_tags(prompt)[0]).casefold()


def _says_any(said: str, lines: Sequence[str]) -> bool:
    return any(re.search(rf"\b{re.escape(line)}\b", said) for line in lines)


def _draw(name: str, chooser: SeededChooser, known: Collection[str] = ()) -> str:
    lines = _lines(name)
    usable = [line for line in lines if set(_WORD.findall(line)) <= set(known)] if known else []
    chosen = (usable or lines)[chooser.draw(len(usable or lines))]
    return "".join(_fill(chosen, chooser))


def _fill(line: str, chooser: SeededChooser) -> Iterator[str]:
    """Fill the wildcards in a line of those that ship."""
    pieces = line.split("__")
    for place, piece in enumerate(pieces):
        yield _draw(piece, chooser) if place % 2 else piece


@cache
def _lines(name: str) -> tuple[str, ...]:
    """Return the lines of a wildcard that ships with the app."""
    options = Wildcards.default().find_lines(name)
    assert options is not None  # a test reads all that are used here
    return tuple(
        "".join(
            node if isinstance(node, str) else getattr(node, "source", "") for node in option.nodes
        )
        for option in options
    )
