"""What of the hub is on this machine: the cache folder that all programs share which use
`huggingface_hub`, in its own layout. Importable without torch.

    models--owner--name/refs/main             the commit a branch was at when it was fetched
                        blobs/<sum>           the files, named after their contents
                        snapshots/<commit>/   their names, as links
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from paintdiff.errors import ModelDeleteError, RequestError
from paintdiff.models.formats.opening import open_file
from paintdiff.models.hub.direct_download import cache_folder
from paintdiff.models.hub.file_selection import INDEX, find_missing, index_class, kind_of
from paintdiff.models.hub.listing import COMMIT, check_hub_id

MAIN = "main"
"""The branch that is meant unless another is named."""

MAX_REFERENCE_BYTES = 100

PART_SUFFIX = ".paintdiffusion.incomplete"
"""How the name of a file ends that hasn't come whole; `huggingface_hub` knows such names too."""

logger = logging.getLogger(__name__)

_PREFIX, _BETWEEN = "models--", "--"
_LOCKS = ".locks"
_LOCK_NAME = "paintdiffusion.lock"


@dataclass(frozen=True)
class CachedModel:
    """A model of the hub that is whole and on this machine, whichever program fetched it.

    `folder` is its snapshot, `path` what is loaded: that folder for a pipeline, the one file in it
    for a single file (which may be a checkpoint or something else: its header tells).
    `pipeline_class` is diffusers' class for a pipeline, else "". `size_bytes` is what its files
    take.
    """

    hub_id: str
    commit: str
    folder: Path
    size_bytes: int
    kind: Literal["pipeline", "file"]
    path: Path
    pipeline_class: str


def repository_folder(hub_id: str) -> Path:
    """Where a repository lies in the cache, whether or not it does."""
    return cache_folder() / f"{_PREFIX}{hub_id.replace('/', _BETWEEN)}"


def lock_file(hub_id: str) -> Path:
    """What is locked while a repository is being downloaded or deleted."""
    return cache_folder() / _LOCKS / repository_folder(hub_id).name / _LOCK_NAME


def read_pinned_commit(hub_id: str, revision: str = "") -> str:
    """The commit at which a branch or tag was when it was fetched; "" if it wasn't."""
    if COMMIT.fullmatch(revision):
        return revision
    try:
        path = repository_folder(hub_id) / "refs" / (revision or MAIN)
        with open_file(path) as file:
            commit = file.read(MAX_REFERENCE_BYTES).decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return commit if COMMIT.fullmatch(commit) else ""


def pin_commit(hub_id: str, revision: str, commit: str) -> Path:
    """Remember at which commit a branch or tag is; returns the (empty or partial) snapshot."""
    repository = repository_folder(hub_id)
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True, exist_ok=True)
    (repository / "blobs").mkdir(exist_ok=True)
    if revision != commit:
        reference = repository / "refs" / (revision or MAIN)
        reference.parent.mkdir(parents=True, exist_ok=True)
        written = reference.with_name(f"{reference.name}.{secrets.token_hex(4)}.tmp")
        written.write_text(commit, encoding="ascii")
        written.replace(reference)
    return snapshot


def find_snapshot(hub_id: str, revision: str = "", files: Collection[str] = ()) -> Path | None:
    """Where a model of the hub lies if it is whole and here: a pipeline's folder or a single file.

    `revision` is a commit, branch or tag; "" takes the one that was fetched last, or any that is
    whole. With `files` it is the folder that has them all. Quick, and never asks the hub.
    """
    repository = repository_folder(hub_id)
    commits = [read_pinned_commit(hub_id, revision)]
    if not revision:
        commits += _commits(repository)
    for commit in dict.fromkeys(filter(None, commits)):
        found = _whole(repository / "snapshots" / commit, files)
        if found is not None:
            return found
    return None


def list_cached_models() -> tuple[CachedModel, ...]:
    """Every model that `find_snapshot` finds, sorted by id. Parts of pipelines (ControlNets, text
    models) aren't listed.
    """
    try:
        entries = sorted(cache_folder().iterdir())
    except OSError:  # there is none, or it is none of ours
        return ()
    found: list[CachedModel] = []
    for entry in entries:
        hub_id = _hub_id_of(entry.name)
        if hub_id is None:
            continue
        try:
            path = find_snapshot(hub_id)
            if path is not None and _is_model(path):
                found.append(_cached_model(hub_id, path))
        except OSError as error:
            logger.info("%r is passed over: %s", str(entry), error)
    return tuple(found)


def delete_cached(hub_id: str) -> int:
    """Delete a repository from the cache, with all its revisions; returns the bytes it took.

    Whoever calls sees to it that it isn't being downloaded (`Downloads.delete`). Raises
    RequestError if that is no id, ModelDeleteError if it isn't there, lies elsewhere or can't be
    deleted.
    """
    folder = repository_folder(check_hub_id(hub_id))
    if folder.is_symlink() or folder.resolve().parent != cache_folder().resolve():
        raise ModelDeleteError(f"{folder.name} is a link to another place, so it isn't deleted.")
    if not folder.is_dir():
        raise ModelDeleteError(f"{hub_id} isn't in the Hugging Face cache.")
    size = _size_of(folder)
    try:
        _let_go_of_shared_files(folder)
        if folder.is_dir():
            shutil.rmtree(folder)
    except OSError as error:
        raise ModelDeleteError(f"{hub_id} can't be deleted: {error.strerror}.") from error
    return size


def link_file(blob: Path, pointer: Path) -> None:
    """Give a file of the cache its name in a snapshot: a link, or the file itself where the disk
    knows no links.
    """
    pointer.parent.mkdir(parents=True, exist_ok=True)
    made = pointer.with_name(f".{secrets.token_hex(4)}.tmp")
    try:
        made.symlink_to(os.path.relpath(blob, pointer.parent))
    except OSError:
        blob.replace(pointer)
        return
    made.replace(pointer)


def _whole(folder: Path, files: Collection[str]) -> Path | None:
    if not folder.is_dir():
        return None
    if files:
        return folder if all((folder / name).is_file() for name in files) else None
    names = _names_of(folder)
    kind = kind_of(names)
    if kind == "pipeline":
        return folder if find_missing(folder) is None else None
    if kind == "file":
        return next(folder / name for name in names if name.endswith(".safetensors"))
    return folder if kind == "part" else None


def _is_model(path: Path) -> bool:
    return path.is_file() or (path / INDEX).is_file()


def _cached_model(hub_id: str, path: Path) -> CachedModel:
    folder = path if path.is_dir() else path.parent
    return CachedModel(
        hub_id=hub_id,
        commit=folder.name,
        folder=folder,
        size_bytes=_size_of(folder),
        kind="file" if path.is_file() else "pipeline",
        path=path,
        pipeline_class=index_class(folder),
    )


def _names_of(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir() if entry.is_file()}


def _commits(repository: Path) -> list[str]:
    """Those that something is here of, the newest first."""
    try:
        entries = [
            entry
            for entry in (repository / "snapshots").iterdir()
            if COMMIT.fullmatch(entry.name) and entry.is_dir()
        ]
    except OSError:
        return []
    entries.sort(key=lambda entry: (entry.stat().st_mtime, entry.name), reverse=True)
    return [entry.name for entry in entries]


def _hub_id_of(folder_name: str) -> str | None:
    parts = folder_name.removeprefix(_PREFIX).split(_BETWEEN)
    if not folder_name.startswith(_PREFIX) or len(parts) != 2:
        return None
    try:
        return check_hub_id("/".join(parts))
    except RequestError:
        return None


def _size_of(folder: Path) -> int:
    """What the files in a folder take; one with several names counts once."""
    sizes: dict[object, int] = {}
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # a link into nothing, or gone just now
            if path.is_file():
                status = path.stat()
                identity = (status.st_dev, status.st_ino) if status.st_ino else path.resolve()
                sizes[identity] = status.st_size
    return sum(sizes.values())


def _let_go_of_shared_files(folder: Path) -> None:
    """Files may be in a store that several repositories share; the library that made it knows how
    to let go of them.
    """
    blobs = folder / "blobs"
    if not blobs.is_dir() or not any(path.is_symlink() for path in blobs.iterdir()):
        return
    from huggingface_hub import scan_cache_dir  # noqa: PLC0415 (needed for shared files only)

    cache = scan_cache_dir(folder.parent)
    commits = [
        revision.commit_hash
        for repository in cache.repos
        if repository.repo_path.name == folder.name
        for revision in repository.revisions
    ]
    if commits:
        cache.delete_revisions(*commits).execute()
