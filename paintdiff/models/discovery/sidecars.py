"""Reads descriptions of LoRAs, embeddings and models, from the file itself and its sidecars.

A file embeds kohya's metadata or `modelspec.*`; sidecars are A1111's `.json` and `.civitai.info`.
All of it is untrusted text: it is cut to a length and never treated as markup. Importable without
torch.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from paintdiff.models.discovery import messages
from paintdiff.models.formats.json_files import parse_json, read_json
from paintdiff.models.formats.limits import MAX_SIDECAR_BYTES

MAX_WORDS = 10
MAX_TAGS = 5
MAX_TEXT = 2000
MAX_WORD = 300
MAX_TITLE = 200
MAX_WEIGHT = 10.0

SIDECAR_ENDS = (".json", ".civitai.info")
PREVIEW_ENDS = tuple(
    f"{middle}.{kind}" for middle in (".preview", "") for kind in ("png", "jpg", "jpeg", "webp")
)


@dataclass(frozen=True)
class SidecarMetadata:
    """The description of a file.

    `trigger_words` activate a LoRA; each can be put into a prompt unchanged. `weight` is its
    author's preferred weight, `name` the one given in training.
    """

    title: str = ""
    description: str = ""
    licence: str = ""
    trigger_words: tuple[str, ...] = ()
    weight: float | None = None
    name: str = ""

    def fill_from(self, other: SidecarMetadata) -> SidecarMetadata:
        """Return this description, with the other's values where this has none."""
        return SidecarMetadata(
            self.title or other.title,
            self.description or other.description,
            self.licence or other.licence,
            self.trigger_words or other.trigger_words,
            other.weight if self.weight is None else self.weight,
            self.name or other.name,
        )


def read_embedded_metadata(metadata: Mapping[str, str]) -> SidecarMetadata:
    """Return the description that a safetensors file's metadata contains.

    If it has no trigger phrase, a LoRA's most frequent training tags replace it.
    """
    words = _clean_words([metadata.get("modelspec.trigger_phrase")]) or _find_frequent_tags(
        metadata
    )
    return SidecarMetadata(
        title=clean_text(metadata.get("modelspec.title"), MAX_TITLE),
        description=clean_text(metadata.get("modelspec.description"), MAX_TEXT),
        licence=clean_text(metadata.get("modelspec.license"), MAX_TITLE),
        trigger_words=words,
        name=clean_text(metadata.get("ss_output_name"), MAX_TITLE),
    )


def read_sidecar(
    files: Iterable[Path], on_refused: Callable[[Path, str], object]
) -> SidecarMetadata:
    """Combine the descriptions in sidecar files; earlier files take precedence.

    `on_refused` is called with each unreadable file and the reason.
    """
    said = SidecarMetadata()
    for path in files:
        try:
            content = read_json(path, MAX_SIDECAR_BYTES, "utf-8-sig")  # people edit them
        except OSError as error:
            on_refused(path, error.strerror or str(error))
        except ValueError as error:
            on_refused(path, str(error))
        else:
            if isinstance(content, dict):
                said = said.fill_from(_parse_sidecar(content))
            else:
                on_refused(path, messages.NOT_AN_OBJECT)
    return said


def _parse_sidecar(content: Mapping[str, object]) -> SidecarMetadata:
    trained = content.get("trainedWords")
    words = _clean_words([content.get("activation text")])
    model = content.get("model")
    title: object = model.get("name") if isinstance(model, dict) else None  # pyright: ignore[reportUnknownMemberType]
    return SidecarMetadata(
        title=clean_text(title, MAX_TITLE),
        description=clean_text(content.get("description"), MAX_TEXT),
        trigger_words=words or _clean_words(trained if isinstance(trained, list) else []),
        weight=_parse_weight(content.get("preferred weight")),
    )


def _parse_weight(value: object) -> float | None:
    """Return a usable weight. The web UI writes 0 for "no preference"."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value) if 0 < abs(value) <= MAX_WEIGHT else None


def _find_frequent_tags(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return the most frequent tags of kohya's `ss_tag_frequency`: counts per image folder."""
    try:
        folders = parse_json(metadata.get("ss_tag_frequency", "{}"))
    except ValueError:
        return ()  # truncated metadata
    counts: Counter[str] = Counter()
    for tags in folders.values() if isinstance(folders, dict) else ():
        if isinstance(tags, dict):
            counts.update({tag: count for tag, count in tags.items() if isinstance(count, int)})
    return _clean_words([tag for tag, _count in counts.most_common(MAX_TAGS)])


def _clean_words(found: Iterable[object]) -> tuple[str, ...]:
    texts = (clean_text(each, MAX_WORD).strip(" ,") for each in found)
    return tuple(dict.fromkeys(text for text in texts if text))[:MAX_WORDS]


def clean_text(value: object, limit: int) -> str:
    """Return printable text cut to `limit` characters, "" for anything but text."""
    if not isinstance(value, str):
        return ""
    shown = "".join(each if each.isprintable() else " " for each in value[: 2 * limit])
    return " ".join(shown.split())[:limit]
