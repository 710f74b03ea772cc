"""Wildcards in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from paintdiff.config.presets import suggest_names
from paintdiff.prompts.wildcards.template import Option, parse_option


class Lines:
    """Wildcards from a mapping of names to lines."""

    def __init__(self, lines: Mapping[str, Sequence[str]]) -> None:
        self._lines = lines

    def find_lines(self, name: str) -> tuple[Option, ...] | None:
        lines = self._lines.get(name)
        return None if lines is None else tuple(parse_option(line) for line in lines)

    def suggest(self, name: str) -> list[str]:
        return suggest_names(name, self._lines)
