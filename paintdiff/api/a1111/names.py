"""Names that the web UI's clients use for models, samplers, schedules and upscalers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from paintdiff.config.presets import make_unknown_name_error
from paintdiff.errors import UnknownNameError
from paintdiff.gallery.settings.sampler_names import from_others, to_a1111
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.samplers import SAMPLERS

if TYPE_CHECKING:
    from paintdiff.models.catalog.catalog import Catalog

AUTOMATIC = "Automatic"
UNIFORM = "Uniform"
"""The schedule type that is a sampler's usual one."""
_HASH = re.compile(r"\s*\[([0-9a-fA-F]{6,64})\]$")
_BARE_HASH = re.compile(r"[0-9a-fA-F]{8,64}")
_FLOW = "Flow "
_TITLE_HASH_DIGITS = 10


def write_title(row: ModelRow) -> str:
    """Return a model's title as the web UI writes it: its name, and its hash if that is known."""
    return f"{row.name} [{row.sha256[:_TITLE_HASH_DIGITS]}]" if row.sha256 else row.name


def find_model(catalog: Catalog, name: str) -> ModelRow:
    """Return the model that a client calls by its title, its name, its file or its hash.

    Raises:
        UnknownNameError: There is none.
    """
    plain = _HASH.sub("", name.strip())
    try:
        return catalog.find(ModelRow, plain)
    except UnknownNameError:
        wanted = plain.casefold()
        rows = catalog.rows(ModelRow) if _BARE_HASH.fullmatch(wanted) else ()
        same = [row for row in rows if row.sha256.startswith(wanted)]
        if len(same) == 1:
            return same[0]
        raise


def list_sampler_names() -> dict[str, list[str]]:
    """Return the web UI's names of our samplers, each with the names that mean it, too."""
    names: dict[str, list[str]] = {}
    for ours in SAMPLERS:
        aliases = names.setdefault(to_a1111(ours)[0], [])
        if ours != to_a1111(ours)[0]:
            aliases.append(ours)
    return names


def list_schedules() -> list[str]:
    """Return the schedule types that samplers can be combined with."""
    schedules = (to_a1111(ours)[1] for ours in SAMPLERS)
    return [AUTOMATIC, UNIFORM, *dict.fromkeys(each for each in schedules if each)]


def find_sampler(
    name: str | None, schedule: str | None, row: ModelRow
) -> tuple[str | None, list[str]]:
    """Return our name of a sampler for a model, and notes about what isn't available.

    None is the model's own choice. Models that follow a flow have samplers of their own, whose
    clients call them by the usual names.

    Raises:
        UnknownNameError: There is no such sampler.
    """
    if not name:
        if not schedule or schedule.casefold() == AUTOMATIC.casefold():
            return None, []
        name = to_a1111(row.sampler)[0]
    ours, notes = from_others(name, schedule or AUTOMATIC)
    if ours is None:
        raise make_unknown_name_error("sampler", name, list_sampler_names())
    fitting = row.family.sampler_names()
    if ours not in fitting:
        flow = _FLOW + to_a1111(ours)[0]
        ours = flow if flow in fitting else ours
    return ours, list(notes)
