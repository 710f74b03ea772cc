"""Find a row by what people call it. Importable without torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from paintdiff.config.presets import make_unknown_name_error, suggest_names
from paintdiff.errors import UnknownNameError
from paintdiff.models.catalog import messages
from paintdiff.models.formats.headers import WEIGHT_SUFFIXES
from paintdiff.models.hub.hub_id import HUB_ID
from paintdiff.models.registry.base_rows import WeightsRow

MOST_LISTED = 5

RowT = TypeVar("RowT", bound=WeightsRow)

_SUFFIX = re.compile("|".join(re.escape(suffix) + "$" for suffix in sorted(WEIGHT_SUFFIXES)))


def find_row_by_name(
    what: str,
    name: str,
    rows: Mapping[str, RowT],
    gone: Mapping[str, Path],
    advice: str = "",
) -> RowT:
    """Return the row of that name, else the only one that is called so.

    Capitals and a file's suffix don't count then. Its name comes first, then the end of its path
    ("styles/ink"), then a name that it gives itself (`aliases`). `gone` are names of files that
    have gone, which never mean another file; `advice` ends the sentence "none was found", and says
    where to put such files.

    Raises:
        UnknownNameError: No row or several rows have the name. It suggests the nearest.
    """
    exact = rows.get(name)
    if exact is not None:
        return exact
    asked = _key(name)
    by_name = [row for row in rows.values() if _key(row.name) == asked]
    if not by_name:
        left = next((place for each, place in gone.items() if _key(each) == asked), None)
        if left is not None:
            raise _gone(what, name, left, rows)
    for found in (
        by_name,
        [row for row in rows.values() if _ends_with(row, asked)],
        [row for row in rows.values() if asked in map(_key, row.aliases)],
    ):
        if len(found) == 1:
            return found[0]
        if found:
            raise _several(what, name, [row.name for row in found])
    if advice and not rows:
        raise UnknownNameError(
            messages.none_of_that_kind(what, name[:100], advice),
            field=what,
            what=what,
            name=name,
        )
    raise make_unknown_name_error(what, name, rows)


def _key(name: str) -> str:
    """Return what two names have to share: slashes, capitals and suffixes don't count."""
    return _SUFFIX.sub("", name.strip().replace("\\", "/").removeprefix("./").casefold())


def _ends_with(row: WeightsRow, asked: str) -> bool:
    """Return whether the path of a row ends with that name, folder by folder."""
    if not asked or HUB_ID.fullmatch(row.source):
        return False
    path = _key(row.source)
    return path == asked or path.endswith("/" + asked.lstrip("/"))


def _gone(what: str, name: str, place: Path, rows: Mapping[str, WeightsRow]) -> UnknownNameError:
    near = suggest_names(name, rows)
    same = [row.name for row in rows.values() if _ends_with(row, _key(name))]
    suggestion = next(iter((*same, *near)), None)
    return UnknownNameError(
        messages.is_missing(what, name, "/".join(place.parts[-2:]), suggestion),
        field=what,
        what=what,
        name=name,
        suggestion=suggestion,
    )


def _several(what: str, name: str, names: list[str]) -> UnknownNameError:
    return UnknownNameError(
        messages.ambiguous_name(what, name, names, MOST_LISTED),
        field=what,
        what=what,
        name=name,
        suggestion=names[0],
    )
