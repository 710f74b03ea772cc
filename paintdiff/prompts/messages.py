"""Sentences about prompts: their brackets and weights, and the presets of prompts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

# Mistakes in a prompt.


def not_opened(bracket: str) -> str:
    return f'"{bracket}" has no opening bracket before it.'


def not_closed(bracket: str) -> str:
    return (
        f'"{bracket}" is never closed: it reaches to the end. For a plain bracket write '
        f'"\\{bracket}".'
    )


def not_a_weight(text: str) -> str:
    return f'"{text}" isn\'t a weight: write a number such as 1.2.'


def weight_beyond(text: str, most: float) -> str:
    return f'The weight "{text}" is beyond {most:g}: use one between -2 and 2.'


def weight_too_large(most: float) -> str:
    return f"A prompt's weight is at most {most:g}."


def nested_too_deep(most: int) -> str:
    return f"Brackets are nested deeper than {most}: this one is read as text."


WRITE_SCHEDULE = 'Write "[from:to:0.5]", with a step or a share of the steps at the end.'


# Lists of tags.


def tags_unreadable(name: str, reason: str) -> str:
    return f"{name} can't be read: {reason}."


def tags_too_large(name: str, most_mib: int) -> str:
    return f"{name} is larger than {most_mib} MiB, so its tags aren't offered."


def too_many_tags(name: str, most: int) -> str:
    return f"There are more than {most:,} tags: the rest of {name} isn't offered."


def not_a_tag(name: str, line: int) -> str:
    return f"{name}, line {line}: this isn't a tag. Write name,type,count,aliases."


def more_problems(count: int) -> str:
    return f"And {count} more."


# Templates and wildcards.


def template_too_deep(most: int, place: str) -> str:
    return f'Choices are nested deeper than {most}: see "{place}".'


def choice_not_closed(place: str) -> str:
    return f'"{place}" is never closed: add a "}}". For a plain brace write "\\{{".'


def choice_weight_too_large(weight: str, most: int) -> str:
    return f"The weight {weight} of a choice is above {most}."


def not_a_variable(place: str) -> str:
    return f'"{place}" isn\'t a variable: write "${{name=value}}" and then "${{name}}".'


def variable_not_set(name: str, place: str) -> str:
    return (
        f'The variable "{name}" in "{place}" has no value: write "${{{name}=value}}" before it, or '
        f'"${{{name}:value}}".'
    )


def not_an_argument(text: str) -> str:
    return f'"{text}" isn\'t a wildcard\'s variable: write "__name(variable=value)__".'


def no_such_wildcard(name: str, near: Sequence[str]) -> str:
    meant = f" Did you mean {' or '.join(f'__{each}__' for each in near)}?" if near else ""
    return (
        f"There is no wildcard __{name}__.{meant} Put {name}.txt into a wildcards folder, or write "
        f'"\\__" for plain underscores.'
    )


def wildcard_names_itself(names: Sequence[str]) -> str:
    return f"A wildcard leads to itself without end: {', then '.join(names)}."


def expansion_too_deep(most: int) -> str:
    return f"Choices, variables and wildcards lie deeper than {most} in each other."


def expansion_too_long(most: int) -> str:
    return f"The expanded prompt is longer than {most} characters."


TEMPLATE_TOO_LARGE = (
    "This prompt's choices take too long to make: use fewer combinations or shorter wildcards."
)


# Files of wildcards and styles.

NOT_A_FILE = "It isn't a file."
NOT_UTF8 = "It isn't text in UTF-8: save it in this encoding."
NEITHER_LIST_NOR_MAPPING = "It should hold a list of lines, or lists by name."
NO_LINES = "it has no lines to choose from."


def cannot_read(reason: str | None) -> str:
    return f"It can't be read: {reason or 'unknown error'}."


def file_too_large(most_mib: int) -> str:
    return f"It is larger than {most_mib} MiB."


def not_readable_as(kind: str, error: Exception) -> str:
    return f"It isn't valid {kind.upper()}: {' '.join(str(error).split())[:200]}."


def too_many_lines(most: int) -> str:
    return f"It has more than {most} lines."


def too_many_signs(most: int) -> str:
    return f"Its lines have more than {most} choices and other signs of templates."


def line_too_long(characters: int, most: int) -> str:
    return f"A line has {characters} characters; at most {most} are allowed."


def lists_too_deep(most: int) -> str:
    return f"Its lists are nested deeper than {most}."


def not_a_line(name: str) -> str:
    return f'An entry of "{name[:100]}" is neither text nor a text with a weight.'


NOT_A_LIST_OF_STYLES = 'It should hold a list of styles, each with "name" and "prompt".'
STYLE_WITHOUT_NAME = "the style has no name."
TOO_MANY_BROKEN = "The rest of its rows isn't read: too many can't be used."
NO_OWN_STYLES = "Styles can't be saved here: no folder for them is set."


def too_many_styles(most: int) -> str:
    return f"It has more than {most} styles; the first are used."


def in_row(row: int, reason: str) -> str:
    return f"Row {row}: {reason}"


def style_name_too_long(characters: int, most: int) -> str:
    return f"a style's name has {characters} characters; at most {most} are allowed."


def style_too_long(name: str, characters: int, most: int) -> str:
    return f'the style "{name}" has {characters} characters; at most {most} are allowed.'


def style_not_storable(name: str) -> str:
    return f'The style "{name}" has half a character (an unpaired surrogate): correct its text.'


def style_name_unprintable(name: str) -> str:
    return f"the name {name!r} of a style has characters that can't be shown."


def not_text(field: str) -> str:
    return f'"{field}" isn\'t text.'


def cannot_write(path: object, reason: str | None) -> str:
    return f"{path} can't be written: {reason or 'unknown error'}."


def no_such_style(name: str, near: Sequence[str]) -> str:
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    return f'There is no style "{name}".{meant}'


def not_your_style(name: str) -> str:
    return f'The style "{name}" isn\'t one of your own. Save a changed one under a name of its own.'


def empty_style(name: str) -> str:
    return f'The style "{name}" is empty: give it a prompt or a negative prompt.'


def folders_too_deep(most: int) -> str:
    return f"It lies deeper than {most} folders."


def too_many_files(most: int) -> str:
    return f"It has more than {most} files."


def too_many_stars(most: int) -> str:
    return f'A wildcard\'s name may have at most {most} "*".'


def wildcard_unreadable(name: str, reason: str) -> str:
    return f"The wildcard __{name}__ can't be used: {reason}"


# The enhancer.


def too_long_to_enhance(characters: int, most: int) -> str:
    return f"A prompt of {characters} characters can't be enhanced; at most {most} can."


def wrong_number_of_variations(count: int, most: int) -> str:
    return f"Ask for 1 to {most} variations, not {count}."


# Presets.


def no_template(category: str) -> str:
    return f"{category} has no template"


def slot_without_words(template: str, slots: str) -> str:
    return f"{template!r} asks for {slots}, which has no words"


def no_such_category(name: str, known: str) -> str:
    return f"There is no category {name!r}. Choose from: {known}."


def not_a_list_of_prompts(path: object) -> str:
    return f"{path} should hold a list of prompts under 'examples'."


# Lists of words.


def and_more(listed: str, count: int) -> str:
    return f"{listed} and {count} more"


# A prompt matrix, and prompts one per line.

NO_MATRIX = 'a prompt matrix needs "|" between its parts, as in "a house|in snow|at night".'


def matrix_too_large(parts: int, most: int) -> str:
    return f"a prompt matrix has at most {most} parts after the first one, not {parts}."


def unknown_line_flag(flag: str, known: Iterable[str]) -> str:
    flags = ", ".join(f"--{each}" for each in known)
    return f"unknown flag --{flag}. Lines may have: {flags}."


def line_flag_twice(flag: str) -> str:
    return f"--{flag} sets something that was set before."


def line_flag_without_value(flag: str) -> str:
    return f"--{flag} has no value."


def line_flag_with_several(flag: str, values: str) -> str:
    return f"--{flag} has one value, not {values!r}."


LINE_QUOTE_OPEN = "a quote isn't closed. Put values that contain one in the other kind of quotes."
