"""Sentences about prompts: their brackets and weights, and the presets of prompts."""

from __future__ import annotations

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
