"""Read the lines of wildcards: text files, and YAML or JSON as dynamicprompts reads them.

The files are untrusted: their size, lines, entries and depth are limited.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import yaml

import paintdiff.prompts.messages as messages
from paintdiff.errors import PromptFileError
from paintdiff.prompts.prompt_files import read_prompt_file

MAX_TEXT_BYTES = 8 * 2**20
MAX_STRUCTURED_BYTES = 2 * 2**20
MAX_LINES = 100_000
MAX_LINE_CHARACTERS = 10_000
MAX_DEPTH = 16
STRUCTURED = (".yaml", ".yml", ".json")
SUFFIXES = (".txt", *STRUCTURED)

Lines = tuple[str, ...]
_YamlLoader: type[yaml.BaseLoader] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def read_text_lines(path: Path) -> Lines:
    """Read a text file: a line each, without empty ones and those that begin with "#".

    Raises:
        PromptFileError: It can't be read, isn't text in UTF-8, or exceeds a limit.
    """
    text = read_prompt_file(path, MAX_TEXT_BYTES)
    lines = tuple(line.strip() for line in text.splitlines())
    return _check_lines([line for line in lines if line and not line.startswith("#")])


def read_structured_file(path: Path) -> dict[str, Lines]:
    """Read a YAML or JSON file: lists of lines by name, nested by folders of names.

    A list alone has the name of the file. An entry may be a mapping with "text" and "weight".

    Raises:
        PromptFileError: It can't be read, isn't valid, or exceeds a limit.
    """
    text = read_prompt_file(path, MAX_STRUCTURED_BYTES)
    try:
        content: object = json.loads(text) if path.suffix == ".json" else _load_yaml(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise PromptFileError(messages.not_readable_as(path.suffix[1:], error)) from error
    found: dict[str, Lines] = {}
    if isinstance(content, list):
        content = {path.stem: content}
    if not isinstance(content, dict):
        raise PromptFileError(messages.NEITHER_LIST_NOR_MAPPING)
    reader = _Reader()
    for name, lines in reader.list_lists(cast("Mapping[object, object]", content), ()):
        found[name] = lines
    return found


class _Reader:
    """Reads lists of lines; counts all that it sees, since YAML's aliases can multiply it."""

    def __init__(self) -> None:
        self._seen = 0

    def list_lists(
        self, content: Mapping[object, object], names: tuple[str, ...]
    ) -> Iterator[tuple[str, Lines]]:
        if len(names) >= MAX_DEPTH:
            raise PromptFileError(messages.lists_too_deep(MAX_DEPTH))
        for key, value in content.items():
            self._count()
            path = (*names, str(key).strip())
            if isinstance(value, dict):
                yield from self.list_lists(cast("Mapping[object, object]", value), path)
                continue
            entries = cast("list[object]", value) if isinstance(value, list) else [value]
            lines = [line for entry in entries if (line := self._read_entry(entry, path))]
            if lines:
                yield "/".join(path), _check_lines(lines)

    def _read_entry(self, entry: object, path: tuple[str, ...]) -> str:
        self._count()
        if isinstance(entry, dict):
            fields = cast("Mapping[object, object]", entry)
            text = fields.get("text") or fields.get("content")
            if isinstance(text, str):
                weight = str(fields.get("weight", "1")).strip()
                return text if weight == "1" else f"{weight}::{text}"
        elif entry is None or isinstance(entry, str | int | float):
            return "" if entry is None else str(entry).strip()
        raise PromptFileError(messages.not_a_line("/".join(path)))

    def _count(self) -> None:
        self._seen += 1
        if self._seen > 2 * MAX_LINES:
            raise PromptFileError(messages.too_many_lines(MAX_LINES))


def _load_yaml(text: str) -> object:
    """Load YAML with all scalars as text, so that "no" and "1.0" stay what was written.

    The loader in C calls itself for each level, and ends the process at some depth.
    """
    depth = 0
    for event in yaml.parse(text, _YamlLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > 2 * MAX_DEPTH:
            raise PromptFileError(messages.lists_too_deep(MAX_DEPTH))
    content: object = yaml.load(text, _YamlLoader)
    return content


def _check_lines(lines: list[str]) -> Lines:
    if len(lines) > MAX_LINES:
        raise PromptFileError(messages.too_many_lines(MAX_LINES))
    longest = max(map(len, lines), default=0)
    if longest > MAX_LINE_CHARACTERS:
        raise PromptFileError(messages.line_too_long(longest, MAX_LINE_CHARACTERS))
    return tuple(lines)
