"""Lists and checks the files of a Hugging Face repository. Importable without torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from paintdiff.errors import DownloadError, RequestError, UnsafeWeightsError
from paintdiff.models.hub import messages
from paintdiff.models.hub.client import HubClient
from paintdiff.models.hub.hub_id import HUB_ID

COMMIT = re.compile(r"[0-9a-f]{40}")

_REVISION = re.compile(r"[A-Za-z0-9][\w.+-]*(/[\w.+-]+)*", re.ASCII)
_MOST_HUB_ID_LETTERS = 200
_MOST_FILES = 50_000
# Beside names that lead out of a folder: what Windows takes for a drive or a path.
_ODD_IN_NAMES = re.compile(r"[\\:\x00-\x1f\x7f]")


@dataclass(frozen=True)
class HubFile:
    """A file of a repository. Large files have a `sha256`, others only git's SHA-1 (hex)."""

    name: str
    size_bytes: int
    sha256: str
    git_sha1: str

    @property
    def etag(self) -> str:
        """Its name in the cache: the checksum."""
        return self.sha256 or self.git_sha1


@dataclass(frozen=True)
class Listing:
    """The files of a repository at one commit (40 hex digits), by name."""

    hub_id: str
    commit: str
    files: Mapping[str, HubFile]


class _Large(BaseModel):
    model_config = ConfigDict(extra="ignore")

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    rfilename: str
    size: Annotated[int, Field(ge=0)] | None = None
    blob_id: str = Field(default="", alias="blobId", pattern=r"^([0-9a-f]{40})?$")
    lfs: _Large | None = None


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")

    sha: str = Field(pattern=r"^[0-9a-f]{40}$")
    siblings: list[_File] = Field(max_length=_MOST_FILES)


def check_hub_id(hub_id: str) -> str:
    """Return a valid Hugging Face id unchanged. Raise RequestError for any other text."""
    whole = HUB_ID.fullmatch(hub_id) is not None and len(hub_id) <= _MOST_HUB_ID_LETTERS
    if not whole or ".." in hub_id or "--" in hub_id:
        raise RequestError(
            messages.not_a_hub_id(hub_id[:_MOST_HUB_ID_LETTERS]),
            field="model",
        )
    return hub_id


def check_revision(revision: str) -> str:
    """Return a valid revision ("", commit, branch or tag) unchanged, or raise RequestError."""
    if revision and (_REVISION.fullmatch(revision) is None or ".." in revision):
        raise RequestError(
            messages.not_a_revision(revision[:100]),
            field="model",
        )
    return revision


def list_repository(client: HubClient, hub_id: str, revision: str) -> Listing:
    """List the files of a repository at a commit, branch or tag.

    Raises:
        DownloadError: The request failed, or the response isn't valid.
        UnsafeWeightsError: A file name points outside its folder.
    """
    path = f"/api/models/{quote(hub_id)}/revision/{quote(revision, safe='')}"
    content = client.get_json(path, [("blobs", "true")], about=hub_id)
    try:
        answer = _Answer.model_validate(content)
    except ValidationError as error:
        raise DownloadError(messages.unreadable_listing(hub_id, error.errors()[0])) from error
    if COMMIT.fullmatch(revision) and answer.sha != revision:
        raise DownloadError(messages.wrong_commit(answer.sha, hub_id, revision))
    files = [_check_file(hub_id, each) for each in answer.siblings]
    return Listing(hub_id, answer.sha, MappingProxyType({each.name: each for each in files}))


def _check_file(hub_id: str, file: _File) -> HubFile:
    parts = file.rfilename.split("/")
    if {"", ".", ".."} & {*parts} or _ODD_IN_NAMES.search(file.rfilename):
        raise UnsafeWeightsError(messages.file_outside(hub_id, file.rfilename[:200]))
    large, size = file.lfs, file.size
    if large is not None:
        size = large.size
    return HubFile(
        name=file.rfilename,
        size_bytes=-1 if size is None else size,
        sha256=large.sha256 if large is not None else "",
        git_sha1=file.blob_id,
    )
