"""Sentences about requests, their pictures, and jobs."""

from __future__ import annotations

from collections.abc import Iterable

# Requests.


def unknown_kind(kind: object, kinds: Iterable[str]) -> str:
    return f"Unknown kind of request {kind!r}. Use one of: {', '.join(kinds)}."


# What is wrong with a value, by pydantic's name for the error.

LIMITS = {
    "greater_than_equal": "at least",
    "greater_than": "more than",
    "less_than_equal": "at most",
    "less_than": "less than",
}
EXPECTED = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    "string_type": "text",
    "tuple_type": "a list",
}
FIXED = {
    "missing": "is missing",
    "extra_forbidden": "isn't a setting",
    "string_too_short": "must not be empty",
}
_SHOWN_CHARACTERS = 60
_SHOWN_BITS = 200


def beyond_limit(kind: str, limit: float, value: object) -> str:
    return f"must be {LIMITS[kind]} {limit:.15g}, not {_show(value)}"


def not_expected(expected: str, value: object) -> str:
    return f"must be {expected}, not {_show(value)}"


def too_many_characters(count: int, most: int) -> str:
    return f"has {count:,} characters, at most {most:,} are possible"


def too_many_entries(count: int, most: int) -> str:
    return f"has {count:,} entries, at most {most:,} are possible"


def _show(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > _SHOWN_BITS:  # Python may refuse to print it
        return f"a number of {value.bit_length()} bits"
    return f"{value:.15g}" if isinstance(value, float) else repr(value)[:_SHOWN_CHARACTERS]


OPEN_VALUES = "This request has open values. Submit it to an engine first."


def not_a_painting(kind: str) -> str:
    return f"A request of the kind {kind!r} can't be used here."


def end_before_start(end: float, start: float) -> str:
    return f"the end, {end:g}, should come after the start, {start:g}"


# Grids.


def one_picture_a_cell(count: int) -> str:
    return (
        f"each cell of a grid has one picture, but num_images is {count}; for more, use an axis of "
        "seeds"
    )


def axes_too_long(characters: int, most: int) -> str:
    return f"the axes have {characters} characters, and a grid may have at most {most}"


def values_unreadable(reason: object) -> str:
    return f"The values can't be read as a list: {reason}."


def too_many_values(count: int, most: int) -> str:
    return f"An axis has at most {most} values, not {count}."


def too_many_cells(count: int, most: int) -> str:
    return f"This grid would have {count} pictures; at most {most} are allowed."


def range_not_whole(value: str) -> str:
    return f"The range {value!r} needs whole numbers."


def wrong_step(value: str) -> str:
    return f"The range {value!r} never reaches its end. Write it like 1-10 (+3) or 10-1 (-3)."


def empty_range(value: str) -> str:
    return f"The range {value!r} has no values. Write it like 1-10 [5]."


def unknown_axis(name: str, known: Iterable[str]) -> str:
    return f"There is no axis {name!r}. Use one of: {', '.join(known)}."


def axis_value(title: str, value: str, reason: str) -> str:
    return f"{title}, value {value!r}: {reason[:1].lower()}{reason[1:].rstrip('.')}."


def axis_line(number: int, line: str, reason: str) -> str:
    return f"Line {number} ({line!r}): {reason[:1].lower()}{reason[1:].rstrip('.')}."


def cell_value(labels: str, reason: str) -> str:
    return f"In the picture with {labels}: {reason[:1].lower()}{reason[1:].rstrip('.')}."


def axes_collide(one: str, other: str) -> str:
    if one == other:
        return f"Two axes change {one}. Choose another setting for one of them."
    return f"The axes {one} and {other} change the same setting. Use one of them."


def no_values(title: str) -> str:
    return f"{title} has no values."


def not_a_setting_of(title: str, kind: str) -> str:
    return f"{title} isn't a setting of {kind.replace('_', ' ')}."


def needs_part(part: str) -> str:
    return f"it needs a value for {part.replace('_', ' ').removesuffix('s')} in the request."


def not_in_prompt(words: str) -> str:
    return f"{words!r} is in neither prompt, so there is nothing to replace."


NO_WORDS = "(no words)"
NEEDS_LORA = "the request has no LoRA whose weight could change."


# Input images.

UNUSABLE_MODE = "A picture of mode F can't be used. Convert it to L or RGB first."
WRONG_SHA256 = "the picture's bytes don't match the given sha256"


def invalid_base64(reason: object) -> str:
    return f"the picture isn't valid base64: {reason}"


# Jobs.


def not_done(seconds: float | None) -> str:
    return f"The job isn't done after {seconds} seconds."


CANCELLED = "The job was cancelled."
