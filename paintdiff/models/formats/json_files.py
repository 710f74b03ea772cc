"""Reads untrusted JSON within limits. Importable without torch."""

from __future__ import annotations

import json
from pathlib import Path

from paintdiff.models.formats import messages
from paintdiff.models.formats.limits import MAX_DEPTH, MAX_DIGITS, MAX_JSON_BYTES
from paintdiff.system.regular_files import open_file


def read_json(path: Path, max_bytes: int = MAX_JSON_BYTES, encoding: str = "utf-8") -> object:
    """Read a JSON file. With the encoding "utf-8-sig" it may begin with a byte order mark.

    Raises:
        OSError: The file can't be read.
        ValueError: It is larger than `max_bytes`, isn't JSON, or exceeds another limit.
    """
    with open_file(path) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ValueError(messages.more_bytes_than(max_bytes))
    return parse_json(data.decode(encoding))


def parse_json(data: bytes | str) -> object:
    """Parse a JSON text.

    Raises:
        ValueError: It isn't JSON in UTF-8, is nested deeper than MAX_DEPTH, or has a whole number
            of more than MAX_DIGITS digits.
    """
    text = data.decode("utf-8") if isinstance(data, bytes) else data
    try:
        content: object = json.loads(text, parse_int=_parse_whole_number)
    except RecursionError as error:
        raise ValueError(_describe_depth_limit()) from error
    _check_depth(content)
    return content


def _parse_whole_number(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(messages.number_too_long(len(text), MAX_DIGITS))
    return int(text)


def _check_depth(content: object) -> None:
    level = [content]
    for _depth in range(MAX_DEPTH):
        level = [
            inner
            for each in level
            for inner in (
                each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
            )
        ]
        if not level:
            return
    raise ValueError(_describe_depth_limit())


def _describe_depth_limit() -> str:
    return messages.nested_too_deep(MAX_DEPTH)
