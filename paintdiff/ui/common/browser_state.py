"""What the browser remembers for a person: settings, filmstrip and the running job. Untrusted, so
checked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from paintdiff.jobs.requests import MAX_PROMPT_CHARACTERS
from paintdiff.ui.common.markup import PictureId

MAX_FILM = 24
MAX_JOBS = 64
MAX_STORED_CHARACTERS = 100_000
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}|rgba?\([\d., ]{5,60}\)")
_OF_MODEL = frozenset(
    {"width", "height", "num_inference_steps", "guidance_scale", "sampler", "hires_strength"}
)
"""The settings that go with a model."""
_JOB_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)


@dataclass(frozen=True)
class BrowserState:
    """What could be read of the browser's memory of one tab of the page.

    `settings` maps a setting's name to its value. They are `fresh` if this tab of the browser has
    none of its own, so that they are those of another one. `model` was chosen for the tab before
    it was opened ("" if none was).
    """

    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    film: tuple[PictureId, ...] = ()
    job_ids: tuple[str, ...] = ()
    fresh: bool = False
    model: str = ""

    @classmethod
    def parsed(cls, text: object) -> BrowserState:
        """Read what the page's script hands over, a JSON object. Whatever doesn't fit is
        forgotten, never an error."""
        content = _mapping(text)
        settings = content.get("settings")
        model = content.get("model")
        return cls(
            settings=settings if isinstance(settings, dict) else {},
            film=film_ids(content.get("film")),
            job_ids=job_ids(content.get("job")),
            fresh=content.get("fresh") is True,
            model=model if isinstance(model, str) else "",
        )

    def with_model(self, name: str) -> BrowserState:
        """The same with that model; if it is another, the figures of the old one are forgotten."""
        if self.settings.get("model") == name:
            return self
        kept = {key: value for key, value in self.settings.items() if key not in _OF_MODEL}
        return replace(self, settings={**kept, "model": name})

    def number(self, name: str, default: float | None, low: float, high: float) -> float | None:
        """A stored number within its limits, else the default."""
        value = self.settings.get(name)
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not low <= value <= high
        ):
            return default
        return value

    def text(self, name: str, default: str = "") -> str:
        """A stored prompt."""
        value = self.settings.get(name)
        return value[:MAX_PROMPT_CHARACTERS] if isinstance(value, str) else default

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """A stored choice, if it is still offered."""
        value = self.settings.get(name)
        return value if isinstance(value, str) and value in choices else default

    def switch(self, name: str) -> bool:
        """A stored yes or no; no by default."""
        return self.settings.get(name) is True

    def colour(self, name: str, default: str) -> str:
        """A stored colour, as the colour picker writes it."""
        value = self.settings.get(name)
        return value if isinstance(value, str) and _COLOUR.fullmatch(value) else default

    def choices(self, name: str, choices: Sequence[str]) -> list[str]:
        """Those of the stored choices that are still offered."""
        value = self.settings.get(name)
        return [item for item in choices if isinstance(value, list) and item in value]


def job_ids(text: object) -> tuple[str, ...]:
    """Read the ids of a tab's jobs, first come, first served; () if the text isn't that."""
    ids = text.split(" ") if isinstance(text, str) else []
    fine = len(ids) <= MAX_JOBS and all(_JOB_ID.fullmatch(each) for each in ids)
    return tuple(dict.fromkeys(ids)) if fine else ()


def job_text(ids: Sequence[str]) -> str:
    """The ids of a tab's jobs as the browser keeps them."""
    return " ".join(ids[-MAX_JOBS:])


def film_ids(stored: object) -> tuple[PictureId, ...]:
    """Read the filmstrip's ids, `"job/index"` each; what doesn't fit is left out."""
    if isinstance(stored, str):
        stored = _json(stored)
    if not isinstance(stored, list):
        return ()
    ids: dict[PictureId, None] = {}
    for item in stored:
        picture = picture_id(item)
        if picture is not None:
            ids[picture] = None
    return tuple(ids)[:MAX_FILM]


def film_text(film: Sequence[PictureId]) -> str:
    """The filmstrip's ids as the browser keeps them."""
    return json.dumps([f"{job_id}/{index}" for job_id, index in film[:MAX_FILM]])


def picture_id(text: object) -> PictureId | None:
    """Read `"job/index"`; None if it isn't one."""
    if not isinstance(text, str):
        return None
    job_id, _, index = text.partition("/")
    if not _JOB_ID.fullmatch(job_id) or not re.fullmatch(r"[0-9]{1,4}", index):
        return None
    return job_id, int(index)


def _mapping(text: object) -> dict[str, Any]:
    content = _json(text) if isinstance(text, str) else None
    return content if isinstance(content, dict) else {}


def _json(text: str) -> Any:
    if len(text) > MAX_STORED_CHARACTERS:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
