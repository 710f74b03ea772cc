"""The record of a picture: its fields and their limits, and its id."""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from paintdiff.errors import RequestError
from paintdiff.gallery import messages
from paintdiff.gallery.records.schema import RELATIONS, to_microseconds
from paintdiff.imaging.geometry import Size

MAX_TAGS = 100
MAX_TAG_CHARACTERS = 100
MAX_NAME_CHARACTERS = 200
"""Limit of an owner's, model's and kind's name."""
MAX_PATH_BYTES = 2000
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


@dataclass(frozen=True)
class Record:
    """A finished picture.

    `file` and `thumbnail` are paths with forward slashes, within the output folder. `file` may be
    absolute: a picture that was imported where it lies. `file_bytes` and `file_sha256` (lower-case
    hex) are those of the file when it was recorded; 0 and "" if unknown. `inputs` are the SHA-256
    of the input images that it was painted from.

    `params` is the resolved request in the format `params_version`; `seconds` is how long it took;
    `seed` is None where none was used. A stored record has an `id`; ids sort by time.
    """

    file: str
    kind: str
    size: Size
    created_at: datetime
    file_bytes: int = 0
    file_sha256: str = ""
    prompt: str = ""
    negative_prompt: str = ""
    seed: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    params_version: int = 1
    model: str = ""
    model_hash: str = ""
    seconds: float | None = None
    device: str = ""
    libraries: Mapping[str, str] = field(default_factory=dict[str, str])
    thumbnail: str | None = None
    owner: str = ""
    feedback: int = 0
    favourite: bool = False
    tags: tuple[str, ...] = ()
    parent: str | None = None
    relation: str | None = None
    inputs: tuple[str, ...] = ()
    deleted_at: datetime | None = None
    id: str = ""


@dataclass(frozen=True)
class JobPart:
    """Which of a durable job's pictures a picture is: its place, from 0, and its cell in a grid."""

    job: str
    place: int
    cell: int | None = None


def is_within(file: str) -> bool:
    """Return whether a record's path lies within the output folder, on every system."""
    kinds = (PurePosixPath(file), PureWindowsPath(file))
    return not any(path.anchor or ".." in path.parts for path in kinds)


def make_id(moment: datetime) -> str:
    """Return a new id: 15 lower-case letters and digits that sort by the moment."""
    milliseconds = max(0, to_microseconds(moment)) // 1000
    number = (milliseconds << 25) | secrets.randbits(25)
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(70, -1, -5))


def check_record(record: Record) -> None:
    """Check that a record can be stored.

    Raises:
        RequestError: A value is outside its limits.
    """
    check_feedback(record.feedback)
    check_tag_count(len(record.tags))
    for path in (record.file, record.thumbnail or ""):
        if path != to_storable(path) or len(path.encode()) > MAX_PATH_BYTES:
            raise RequestError(
                messages.path_not_storable(path[:200], MAX_PATH_BYTES),
                field="file",
            )
    for field_name in ("owner", "model", "kind", "model_hash", "device"):
        length = len(getattr(record, field_name))
        if length > MAX_NAME_CHARACTERS:
            raise RequestError(
                messages.value_too_long(field_name, length, MAX_NAME_CHARACTERS),
                field=field_name,
            )
    if record.created_at.tzinfo is None:
        raise RequestError(
            messages.time_without_zone("created_at", record.created_at), field="created_at"
        )
    if record.relation is not None and record.relation not in RELATIONS:
        raise RequestError(
            messages.unknown_relation(record.relation, ", ".join(RELATIONS)),
            field="relation",
        )


def check_feedback(feedback: int) -> None:
    """Check that it is -1, 0 or 1.

    Raises:
        RequestError: It is another number.
    """
    if feedback not in (-1, 0, 1):
        raise RequestError(messages.wrong_feedback(feedback), field="feedback")


def check_tag_count(count: int) -> None:
    """Check how many tags a picture would have.

    Raises:
        RequestError: They are more than `MAX_TAGS`.
    """
    if count > MAX_TAGS:
        raise RequestError(messages.too_many_tags(MAX_TAGS, count), field="tags")


def clean_tag(tag: str) -> str:
    """Return a tag as it is stored: composed, each space single.

    Raises:
        RequestError: It is empty, too long, or has control characters.
    """
    clean = unicodedata.normalize("NFC", " ".join(tag.split()))
    if not 1 <= len(clean) <= MAX_TAG_CHARACTERS:
        raise RequestError(messages.wrong_tag_length(MAX_TAG_CHARACTERS, len(clean)), field="tags")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in clean):
        raise RequestError(messages.CONTROL_CHARACTERS_IN_TAG, field="tags")
    return clean


def to_storable(text: str) -> str:
    """Return a text without what no database can hold: NUL, and halves of surrogates."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode("utf-8")
