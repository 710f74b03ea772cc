"""What people and other programs wrote down about a LoRA, an embedding or a model: in the file
itself (kohya's notes, `modelspec.*`), or in one beside it (A1111's `.json`, `.civitai.info`).

All of it is text from strangers: cut to a length, and never markup. Importable without torch.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

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
    """What is said of a file. `trigger_words` are what calls a LoRA up, each to be put into a
    prompt as it is; `weight` is the one its author prefers, `name` what its training called it.
    """

    title: str = ""
    description: str = ""
    licence: str = ""
    trigger_words: tuple[str, ...] = ()
    weight: float | None = None
    name: str = ""

    def over(self, other: SidecarMetadata) -> SidecarMetadata:
        """This, and the other's where this says nothing."""
        return SidecarMetadata(
            self.title or other.title,
            self.description or other.description,
            self.licence or other.licence,
            self.trigger_words or other.trigger_words,
            other.weight if self.weight is None else self.weight,
            self.name or other.name,
        )


def read_embedded_metadata(metadata: Mapping[str, str]) -> SidecarMetadata:
    """What a safetensors file says of itself. Without trigger words, the tags that a LoRA was
    trained with most stand for them.
    """
    words = _words([metadata.get("modelspec.trigger_phrase")]) or _most_frequent_tags(metadata)
    return SidecarMetadata(
        title=plain_text(metadata.get("modelspec.title"), MAX_TITLE),
        description=plain_text(metadata.get("modelspec.description"), MAX_TEXT),
        licence=plain_text(metadata.get("modelspec.license"), MAX_TITLE),
        trigger_words=words,
        name=plain_text(metadata.get("ss_output_name"), MAX_TITLE),
    )


def read_sidecar(files: Iterable[Path], refused: Callable[[Path, str], object]) -> SidecarMetadata:
    """Return what the files beside it say, the first before the others.

    `refused` is called with each file that can't be read, and the reason; it says nothing then.
    """
    said = SidecarMetadata()
    for path in files:
        try:
            content = read_json(path, MAX_SIDECAR_BYTES)
        except OSError as error:
            refused(path, error.strerror or str(error))
        except ValueError as error:
            refused(path, str(error))
        else:
            if isinstance(content, dict):
                said = said.over(_said_in(content))
            else:
                refused(path, "it holds no JSON object")
    return said


def _said_in(content: Mapping[str, object]) -> SidecarMetadata:
    trained = content.get("trainedWords")
    words = _words([content.get("activation text")])
    model = content.get("model")
    title: object = model.get("name") if isinstance(model, dict) else None  # pyright: ignore[reportUnknownMemberType]
    return SidecarMetadata(
        title=plain_text(title, MAX_TITLE),
        description=plain_text(content.get("description"), MAX_TEXT),
        trigger_words=words or _words(trained if isinstance(trained, list) else []),
        weight=_weight(content.get("preferred weight")),
    )


def _weight(value: object) -> float | None:
    """A weight that can be used; the web UI writes 0 for none."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value) if 0 < abs(value) <= MAX_WEIGHT else None


def _most_frequent_tags(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """kohya's `ss_tag_frequency`: for each folder of pictures, how often a tag was in a caption."""
    try:
        folders = parse_json(metadata.get("ss_tag_frequency", "{}"))
    except ValueError:
        return ()  # a note that was cut off says nothing
    counts: Counter[str] = Counter()
    for tags in folders.values() if isinstance(folders, dict) else ():
        if isinstance(tags, dict):
            counts.update({tag: count for tag, count in tags.items() if isinstance(count, int)})
    return _words([tag for tag, _count in counts.most_common(MAX_TAGS)])


def _words(found: Iterable[object]) -> tuple[str, ...]:
    texts = (plain_text(each, MAX_WORD).strip(" ,") for each in found)
    return tuple(dict.fromkeys(text for text in texts if text))[:MAX_WORDS]


def plain_text(value: object, limit: int) -> str:
    """Return a text as it may be shown: without control characters and halves of letters, cut to a
    length. What isn't a text is "".
    """
    if not isinstance(value, str):
        return ""
    shown = "".join(each if each.isprintable() else " " for each in value[: 2 * limit])
    return " ".join(shown.split())[:limit]
