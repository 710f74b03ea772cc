"""Read and write files of styles: A1111's `styles.csv`, Fooocus' JSON, and our own.

The files are untrusted. Rows that can't be used are listed, and the others are used.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import paintdiff.prompts.messages as messages
from paintdiff.errors import PromptFileError
from paintdiff.prompts.prompt_files import Broken, read_prompt_file
from paintdiff.prompts.styles import MAX_NAME_CHARACTERS, MAX_TEXT_CHARACTERS, Style
from paintdiff.system.atomic_files import new_file

MAX_BYTES = 8 * 2**20
MAX_STYLES = 5000
MAX_BROKEN = 50

_SURROGATE = re.compile("[\ud800-\udfff]")
_Row = Mapping[str, object]


def read_style_file(path: Path) -> tuple[tuple[Style, ...], tuple[Broken, ...]]:
    """Read a CSV or JSON file; return its styles, and what of it can't be used."""
    styles: list[Style] = []
    broken: list[Broken] = []
    try:
        text = read_prompt_file(path, MAX_BYTES)
        for place, row in _READERS[path.suffix.lower()](text):
            if len(styles) >= MAX_STYLES:
                raise PromptFileError(messages.too_many_styles(MAX_STYLES))
            try:
                style = _read_row(row)
            except PromptFileError as error:
                broken.append(Broken(path, messages.in_row(place, str(error))))
                if len(broken) >= MAX_BROKEN:
                    raise PromptFileError(messages.TOO_MANY_BROKEN) from error
            else:
                styles += [style] if style is not None else []
    except PromptFileError as error:
        broken.append(Broken(path, str(error)))
    return tuple(styles), tuple(broken)


def write_style_file(path: Path, styles: Iterable[Style]) -> None:
    """Write styles as JSON, completely or not at all.

    Raises:
        PromptFileError: It can't be written.
    """
    rows = [
        {"name": each.name, "prompt": each.prompt, "negative_prompt": each.negative_prompt}
        for each in styles
    ]
    content = json.dumps(rows, indent=1, ensure_ascii=False).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with new_file(path) as file:
            file.write(content)
    except OSError as error:
        raise PromptFileError(messages.cannot_write(path, error.strerror)) from error


def _read_csv(text: str) -> Iterator[tuple[int, _Row]]:
    reader = csv.DictReader(io.StringIO(text.replace("\0", "")), strict=True)
    try:
        for row in reader:
            yield reader.line_num, {str(key).strip().lower(): value for key, value in row.items()}
    except csv.Error as error:
        raise PromptFileError(messages.not_readable_as("csv", error)) from error


def _read_json(text: str) -> Iterator[tuple[int, _Row]]:
    try:
        content: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PromptFileError(messages.not_readable_as("json", error)) from error
    if not isinstance(content, list):
        raise PromptFileError(messages.NOT_A_LIST_OF_STYLES)
    for number, row in enumerate(cast("Sequence[object]", content), 1):
        yield number, cast("_Row", row) if isinstance(row, dict) else {}


_READERS: Mapping[str, Callable[[str], Iterator[tuple[int, _Row]]]] = {
    ".csv": _read_csv,
    ".json": _read_json,
}
STYLE_SUFFIXES = tuple(_READERS)


def _read_row(row: _Row) -> Style | None:
    """Return a row's style, None for a heading, as A1111's users put between styles."""
    name, prompt, negative = (
        _read_text(row, *keys) for keys in (("name",), ("prompt", "text"), ("negative_prompt",))
    )
    if not name:
        raise PromptFileError(messages.STYLE_WITHOUT_NAME)
    check_style(name, prompt, negative)
    return Style(name, prompt, negative) if prompt or negative else None


def check_style(name: str, *texts: str) -> None:
    """Raise PromptFileError if a style's name or a text of it is too long or can't be stored."""
    if len(name) > MAX_NAME_CHARACTERS:
        raise PromptFileError(messages.style_name_too_long(len(name), MAX_NAME_CHARACTERS))
    longest = max(map(len, texts), default=0)
    if longest > MAX_TEXT_CHARACTERS:
        raise PromptFileError(messages.style_too_long(name, longest, MAX_TEXT_CHARACTERS))
    if not all(each.isprintable() for each in name):
        raise PromptFileError(messages.style_name_unprintable(name))
    if any(_SURROGATE.search(text) for text in texts):
        raise PromptFileError(messages.style_not_storable(name))


def _read_text(row: _Row, *keys: str) -> str:
    for key in keys:
        value = row.get(key)
        if isinstance(value, str):
            return value.strip()
        if value is not None:
            raise PromptFileError(messages.not_text(key))
    return ""
