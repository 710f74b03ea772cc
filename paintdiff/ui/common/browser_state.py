"""Settings, filmstrip and running jobs that the browser stores for a person.

All of it is untrusted and checked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from paintdiff.jobs.request_parts import MAX_PROMPT_CHARACTERS
from paintdiff.ui.common.markup import PictureId

MAX_FILM = 24
MAX_JOBS = 64
MAX_STORED_CHARACTERS = 100_000
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}|rgba?\([\d., ]{5,60}\)")
_OF_MODEL = frozenset(
    {"width", "height", "num_inference_steps", "guidance_scale", "sampler", "hires_strength"}
)
"""Settings that belong to a model."""
_JOB_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)


class FilmPicture(NamedTuple):
    """A picture of the filmstrip, and its id in the gallery, "" if it isn't there."""

    id: PictureId
    recorded: str = ""


@dataclass(frozen=True)
class BrowserState:
    """Values read from the browser's storage for one tab of the page.

    `settings` maps a setting's name to its value. They are `fresh` if this browser tab stored none
    of its own, so they come from another one. `model` was chosen for the tab before it was opened
    ("" if none was).
    """

    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    film: tuple[FilmPicture, ...] = ()
    job_ids: tuple[str, ...] = ()
    fresh: bool = False
    model: str = ""

    @classmethod
    def parse(cls, text: object) -> BrowserState:
        """Parse the JSON object that the page's script sends.

        Whatever doesn't fit is dropped; nothing raises.
        """
        content = _read_mapping(text)
        settings = content.get("settings")
        model = content.get("model")
        return cls(
            settings=settings if isinstance(settings, dict) else {},
            film=parse_film(content.get("film")),
            job_ids=parse_job_ids(content.get("job")),
            fresh=content.get("fresh") is True,
            model=model if isinstance(model, str) else "",
        )

    def with_model(self, name: str) -> BrowserState:
        """Return a copy with that model; settings that belong to another model are dropped."""
        if self.settings.get("model") == name:
            return self
        kept = {key: value for key, value in self.settings.items() if key not in _OF_MODEL}
        return replace(self, settings={**kept, "model": name})

    def number(self, name: str, default: float | None, low: float, high: float) -> float | None:
        """Return a stored number within the limits, else the default."""
        value = self.settings.get(name)
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not low <= value <= high
        ):
            return default
        return value

    def text(self, name: str, default: str = "") -> str:
        """Return a stored prompt."""
        value = self.settings.get(name)
        return value[:MAX_PROMPT_CHARACTERS] if isinstance(value, str) else default

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """Return a stored choice if it is still offered, else the default."""
        value = self.settings.get(name)
        return value if isinstance(value, str) and value in choices else default

    def switch(self, name: str) -> bool:
        """Return a stored switch; off by default."""
        return self.settings.get(name) is True

    def colour(self, name: str, default: str) -> str:
        """Return a stored colour as "#rrggbb", else the default."""
        value = self.settings.get(name)
        return value if isinstance(value, str) and _COLOUR.fullmatch(value) else default

    def choices(self, name: str, choices: Sequence[str]) -> list[str]:
        """Return the stored choices that are still offered."""
        value = self.settings.get(name)
        return [item for item in choices if isinstance(value, list) and item in value]


def parse_job_ids(text: object) -> tuple[str, ...]:
    """Parse the ids of a tab's jobs, oldest first; return () for anything else."""
    ids = text.split(" ") if isinstance(text, str) else []
    fine = len(ids) <= MAX_JOBS and all(_JOB_ID.fullmatch(each) for each in ids)
    return tuple(dict.fromkeys(ids)) if fine else ()


def format_job_ids(ids: Sequence[str]) -> str:
    """Format the ids of a tab's jobs for the browser's storage."""
    return " ".join(ids[-MAX_JOBS:])


def parse_film(stored: object) -> tuple[FilmPicture, ...]:
    """Parse the filmstrip, `"job/index"` or `"job/index/id"` each; skip what doesn't fit."""
    if isinstance(stored, str):
        stored = _parse_json(stored)
    if not isinstance(stored, list):
        return ()
    found: dict[PictureId, FilmPicture] = {}
    for item in stored:
        picture = _parse_film_picture(item)
        if picture is not None:
            found.setdefault(picture.id, picture)
    return tuple(found.values())[:MAX_FILM]


def _parse_film_picture(text: object) -> FilmPicture | None:
    name, _, recorded = text.rpartition("/") if isinstance(text, str) else ("", "", "")
    if "/" not in name:
        picture = parse_picture_id(text)
        return None if picture is None else FilmPicture(picture)
    picture = parse_picture_id(name)
    if picture is None or not _JOB_ID.fullmatch(recorded):
        return None
    return FilmPicture(picture, recorded)


def format_film(film: Sequence[FilmPicture]) -> str:
    """Format the filmstrip for the browser's storage."""
    return json.dumps(
        [
            "/".join([job_id, str(index), *([recorded] if recorded else [])])
            for (job_id, index), recorded in film[:MAX_FILM]
        ]
    )


def parse_picture_id(text: object) -> PictureId | None:
    """Parse `"job/index"`; return None for anything else."""
    if not isinstance(text, str):
        return None
    job_id, _, index = text.partition("/")
    if not _JOB_ID.fullmatch(job_id) or not re.fullmatch(r"[0-9]{1,4}", index):
        return None
    return job_id, int(index)


def _read_mapping(text: object) -> dict[str, Any]:
    content = _parse_json(text) if isinstance(text, str) else None
    return content if isinstance(content, dict) else {}


def _parse_json(text: str) -> Any:
    if len(text) > MAX_STORED_CHARACTERS:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
