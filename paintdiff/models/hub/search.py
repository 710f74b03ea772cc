"""Searches models on Hugging Face. Importable without torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from paintdiff.errors import DownloadError, HubUnavailableError, RequestError
from paintdiff.models.hub import messages
from paintdiff.models.hub.client import HubClient
from paintdiff.models.hub.listing import COMMIT, check_hub_id

MOST_RESULTS = 50

_MOST_WORDS_LETTERS = 200
_MOST_TEXT_LETTERS = 100
_TEXT_TO_IMAGE = "text-to-image"
_EXPANDED = ("sha", "downloads", "gated", "tags", "pipeline_tag", "library_name")
_NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")

_FAMILY_OF_CLASS: Mapping[str, str] = {
    "StableDiffusionPipeline": "sd1",
    "StableDiffusionInpaintPipeline": "sd1",
    "StableDiffusionImg2ImgPipeline": "sd1",
    "LatentConsistencyModelPipeline": "sd1",
    "StableDiffusionXLPipeline": "sdxl",
    "StableDiffusionXLInpaintPipeline": "sdxl",
    "StableDiffusionXLImg2ImgPipeline": "sdxl-refiner",
    "StableDiffusion3Pipeline": "sd3",
    "FluxPipeline": "flux",
    "PixArtSigmaPipeline": "pixart",
    "PixArtAlphaPipeline": "pixart",
    "QwenImagePipeline": "qwen-image",
    "ZImagePipeline": "z-image",
}
# Both families use StableDiffusionPipeline; models based on Stable Diffusion 2 say so by name or
# tags.
_SD2 = re.compile(r"(stable-diffusion-2|\bsd-?v?2[-.]?[01]?\b|2-1(-base|-unclip)?\b)")


@dataclass(frozen=True)
class HubModel:
    """A search result. All of it is untrusted text.

    `pipeline_class` is its diffusers class ("" if unknown), `family` that class's family (None if
    it isn't supported), `downloads` the number in the last month, `revision` its current commit.
    """

    hub_id: str
    title: str
    pipeline_class: str
    family: str | None
    downloads: int
    licence: str
    gated: bool
    revision: str


class _SearchResult(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: str
    sha: str | None = None
    downloads: int | None = Field(default=None, ge=0)
    gated: bool | str | None = False
    tags: list[str] | None = None
    pipeline_tag: str | None = None
    library_name: str | None = None


def search_models(client: HubClient, words: str) -> tuple[HubModel, ...]:
    """Search models on Hugging Face: text-to-image pipelines first, then by downloads.

    At most MOST_RESULTS results. If `words` is an id, that model comes first.

    Raises:
        RequestError: `words` is empty.
        HubUnavailableError: Hugging Face can't be reached.
        DownloadError: The request failed.
    """
    words = " ".join(_clean_text(words, _MOST_WORDS_LETTERS).split())
    if not words:
        raise RequestError(messages.EMPTY_SEARCH, field="words")
    query = [
        ("search", words),
        ("filter", "diffusers"),
        ("sort", "downloads"),
        ("direction", "-1"),
        ("limit", str(MOST_RESULTS)),
        *(("expand[]", each) for each in _EXPANDED),
    ]
    about = messages.THE_MODELS_SOUGHT
    answer = client.get_json("/api/models", query, about=about)
    if not isinstance(answer, list):
        raise DownloadError(messages.SEARCH_NOT_A_LIST)
    rows = _rank(_parse_results(answer[:MOST_RESULTS]))
    exact = _find_exact(client, words)
    if exact is not None:
        rows = [exact, *(row for row in rows if row.hub_id != exact.hub_id)]
    return tuple(rows)


def _find_exact(client: HubClient, words: str) -> HubModel | None:
    """Return the model with that id, None if it isn't an id or doesn't exist."""
    try:
        hub_id = check_hub_id(words)
        query = [("expand[]", each) for each in _EXPANDED]
        content = client.get_json(f"/api/models/{quote(hub_id)}", query, about=hub_id)
    except HubUnavailableError:
        raise
    except (RequestError, DownloadError):
        return None
    found = _parse_results([content])
    return _make_model(found[0]) if found else None


def _parse_results(content: Iterable[Any]) -> list[_SearchResult]:
    """Parse the valid results; others are skipped."""
    found: list[_SearchResult] = []
    for each in content:
        try:
            row = _SearchResult.model_validate(each)
            check_hub_id(row.id)
        except (ValidationError, RequestError):
            continue
        found.append(row)
    return found


def _rank(found: Iterable[_SearchResult]) -> list[HubModel]:
    def rank(row: _SearchResult) -> tuple[bool, bool, int]:
        model = _make_model(row)
        return (
            not model.pipeline_class,
            row.pipeline_tag != _TEXT_TO_IMAGE,
            -model.downloads,
        )

    return [_make_model(row) for row in sorted(found, key=rank)]


def _make_model(row: _SearchResult) -> HubModel:
    tags = row.tags or []
    pipeline_class = _find_tag(tags, "diffusers:")
    family = _FAMILY_OF_CLASS.get(pipeline_class)
    if family == "sd1" and any(_SD2.search(each.lower()) for each in (row.id, *tags)):
        family = "sd2"
    sha = row.sha or ""
    return HubModel(
        hub_id=row.id,
        title=row.id.partition("/")[2],
        pipeline_class=pipeline_class,
        family=family,
        downloads=row.downloads or 0,
        licence=_find_tag(tags, "license:"),
        gated=bool(row.gated),
        revision=sha if COMMIT.fullmatch(sha) else "",
    )


def _find_tag(tags: Iterable[str], start: str) -> str:
    return next((_clean_text(tag[len(start) :]) for tag in tags if tag.startswith(start)), "")


def _clean_text(text: str, most: int = _MOST_TEXT_LETTERS) -> str:
    """Replace invisible characters and those that change the writing direction."""
    return _NO_TEXT.sub(" ", text)[:most].strip()
