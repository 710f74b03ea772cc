"""Lists of tags to complete prompts with, in the format of a1111-sd-webui-tagcomplete.

A row is `name,type,count,"alias1,alias2"`, as in `1girl,0,4114588,"1girls,sole_female"`; all but
the name may be missing. Files are untrusted: see the limits.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from paintdiff.prompts import messages
from paintdiff.system.regular_files import open_file

MAX_FILES = 10
MAX_FILE_BYTES = 16 * 2**20
MAX_TAGS = 200_000
"""In all files together. The largest list in use has 140,000."""
MAX_TAG_CHARACTERS = 150
MAX_ALIASES = 20
MAX_PROBLEMS = 20
_PLACES = ("tags", "extensions/a1111-sd-webui-tagcomplete/tags")


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag. `count` says how often pictures have it, 0 if unknown."""

    name: str
    count: int
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class Tags:
    """The tags of all files, each once, the most frequent first, and what can't be read."""

    tags: tuple[Tag, ...]
    problems: tuple[str, ...]


def find_tag_files(models_folders: Iterable[Path]) -> tuple[Path, ...]:
    """Return the CSV files in the folders `tags` of the models folders, in order.

    A models folder may be that of the A1111 web UI; then its extension's are found, too.
    """
    found: dict[Path, None] = {}
    for folder in models_folders:
        bases = (folder, folder.parent) if folder.name == "models" else (folder,)
        for place in (base / each for base in bases for each in _PLACES):
            try:
                files = sorted(path for path in place.glob("*.csv") if path.is_file())
            except OSError:
                continue  # a folder that can't be listed has no lists for us
            found |= dict.fromkeys(files)
    return tuple(found)[:MAX_FILES]


def read_tags(files: Iterable[Path]) -> Tags:
    """Read files of tags. What can't be read is left out and described."""
    tags: dict[str, Tag] = {}
    problems: list[str] = []
    for path in files:
        for found in _read_file(path):
            if isinstance(found, str):
                problems.append(found)
            elif len(tags) < MAX_TAGS:
                tags.setdefault(found.name, found)
            else:
                problems.append(messages.too_many_tags(path.name, MAX_TAGS))
                break
    ordered = sorted(tags.values(), key=lambda tag: -tag.count)
    more = len(problems) - MAX_PROBLEMS
    shown = problems[:MAX_PROBLEMS]
    return Tags(tuple(ordered), (*shown, *([messages.more_problems(more)] if more > 0 else [])))


def _read_file(path: Path) -> Iterator[Tag | str]:
    """Yield the tags of a file, and a sentence about each row that isn't one."""
    try:
        with open_file(path) as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        yield messages.tags_unreadable(path.name, error.strerror or "")
        return
    if len(data) > MAX_FILE_BYTES:
        yield messages.tags_too_large(path.name, MAX_FILE_BYTES // 2**20)
        return
    text = data.decode("utf-8-sig", errors="replace")
    # Line by line: a quotation mark that isn't closed would else swallow the rest.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            tag = _read_row(line.rstrip("\r"))
            yield tag if tag is not None else messages.not_a_tag(path.name, number)


def _read_row(line: str) -> Tag | None:
    try:
        (cells,) = csv.reader([line])
    except (csv.Error, ValueError):
        return None
    name = cells[0].strip()
    if not name or len(name) > MAX_TAG_CHARACTERS or not name.isprintable() or "\ufffd" in name:
        return None
    count = cells[2].strip() if len(cells) > 2 else ""
    is_number = count.isascii() and count.isdigit() and len(count) < 16
    aliases = (each.strip() for each in (cells[3] if len(cells) > 3 else "").split(","))
    most = MAX_TAG_CHARACTERS
    usable = [each for each in aliases if each.isprintable() and 0 < len(each) <= most]
    return Tag(name, int(count) if is_number else 0, tuple(usable[:MAX_ALIASES]))
