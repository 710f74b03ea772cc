"""Reading files of wildcards and styles, which are untrusted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import paintdiff.prompts.messages as messages
from paintdiff.errors import PromptFileError


@dataclass(frozen=True, slots=True)
class Broken:
    """A file, or a row of one, that can't be used, and why."""

    path: Path
    reason: str


def read_prompt_file(path: Path, most_bytes: int) -> str:
    """Read a text file of at most so many bytes.

    Raises:
        PromptFileError: It can't be read, is larger, or isn't text in UTF-8.
    """
    try:
        if not path.is_file():
            raise PromptFileError(messages.NOT_A_FILE)
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except OSError as error:
        raise PromptFileError(messages.cannot_read(error.strerror)) from error
    if len(data) > most_bytes:
        raise PromptFileError(messages.file_too_large(most_bytes // 2**20))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PromptFileError(messages.NOT_UTF8) from error
