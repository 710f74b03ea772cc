"""The Hugging Face cache folder, which all programs share that use `huggingface_hub`.

Its layout is that library's. Importable without torch.

    models--owner--name/refs/main             the commit that a branch resolved to
                        blobs/<sum>           the files, named by checksum
                        snapshots/<commit>/   links with the files' names
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
from paintdiff.models.hub import messages
from paintdiff.models.hub.direct_download import get_cache_folder
from paintdiff.models.hub.file_selection import (
    INDEX,
    detect_repository_kind,
    find_missing,
    read_index_class,
)
from paintdiff.models.hub.listing import COMMIT, check_hub_id
from paintdiff.system.regular_files import open_file

MAIN = "main"
"""The default branch."""

MAX_REFERENCE_BYTES = 100

PART_SUFFIX = ".paintdiffusion.incomplete"
"""The suffix of incomplete files; `huggingface_hub` uses a similar one."""

logger = logging.getLogger(__name__)

_PREFIX, _BETWEEN = "models--", "--"
_LOCKS = ".locks"
_LOCK_NAME = "paintdiffusion.lock"


@dataclass(frozen=True)
class CachedModel:
    """A complete model in the cache, whichever program downloaded it.

    `folder` is its snapshot. `path` is what gets loaded: the folder of a pipeline, or a single file
    (a checkpoint or something else: its header decides). `pipeline_class` is the diffusers class of
    a pipeline, else "". `size_bytes` is the size of its files.
    """

    hub_id: str
    commit: str
    folder: Path
    size_bytes: int
    kind: Literal["pipeline", "file"]
    path: Path
    pipeline_class: str


def get_repository_folder(hub_id: str) -> Path:
    """Return the cache folder of a repository, which may not exist."""
    return get_cache_folder() / f"{_PREFIX}{hub_id.replace('/', _BETWEEN)}"


def get_lock_file(hub_id: str) -> Path:
    """Return the file that is locked while a repository is downloaded or deleted."""
    return get_cache_folder() / _LOCKS / get_repository_folder(hub_id).name / _LOCK_NAME


def read_pinned_commit(hub_id: str, revision: str = "") -> str:
    """Return the commit that a branch or tag resolved to at its download, "" if not downloaded."""
    if COMMIT.fullmatch(revision):
        return revision
    try:
        path = get_repository_folder(hub_id) / "refs" / (revision or MAIN)
        with open_file(path) as file:
            commit = file.read(MAX_REFERENCE_BYTES).decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return commit if COMMIT.fullmatch(commit) else ""


def pin_commit(hub_id: str, revision: str, commit: str) -> Path:
    """Save the commit that a branch or tag resolves to. Return the snapshot folder."""
    repository = get_repository_folder(hub_id)
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
    """Find a complete model in the cache: a pipeline's folder or a single file.

    `revision` is a commit, branch or tag; "" means the last downloaded one, else any complete one.
    With `files`, find the folder that has all of them. Fast: never contacts Hugging Face.
    """
    repository = get_repository_folder(hub_id)
    commits = [read_pinned_commit(hub_id, revision)]
    if not revision:
        commits += _list_commits(repository)
    for commit in dict.fromkeys(filter(None, commits)):
        found = _find_whole(repository / "snapshots" / commit, files)
        if found is not None:
            return found
    return None


def list_cached_models() -> tuple[CachedModel, ...]:
    """List all models that `find_snapshot` finds, sorted by id.

    Components of pipelines (ControlNets, text encoders) aren't included.
    """
    try:
        entries = sorted(get_cache_folder().iterdir())
    except OSError:  # missing, or not a folder
        return ()
    found: list[CachedModel] = []
    for entry in entries:
        hub_id = _parse_folder_name(entry.name)
        if hub_id is None:
            continue
        try:
            path = find_snapshot(hub_id)
            if path is not None and _is_model(path):
                found.append(_describe_model(hub_id, path))
        except OSError as error:
            logger.info("skipping %r: %s", str(entry), error)
    return tuple(found)


def delete_cached(hub_id: str) -> int:
    """Delete a repository with all its revisions. Return its size in bytes.

    The caller makes sure that it isn't being downloaded (see `Downloads.delete`).

    Raises:
        RequestError: `hub_id` isn't valid.
        ModelDeleteError: The repository isn't in the cache, is a link, or can't be deleted.
    """
    folder = get_repository_folder(check_hub_id(hub_id))
    if folder.is_symlink() or folder.resolve().parent != get_cache_folder().resolve():
        raise ModelDeleteError(messages.link_elsewhere(folder.name))
    if not folder.is_dir():
        raise ModelDeleteError(messages.not_cached(hub_id))
    size = _measure_bytes(folder)
    try:
        _release_shared_files(folder)
        if folder.is_dir():
            shutil.rmtree(folder)
    except OSError as error:
        raise ModelDeleteError(messages.not_deleted(hub_id, error.strerror)) from error
    return size


def link_file(blob: Path, pointer: Path) -> None:
    """Link a cached file into a snapshot; move it there if the disk doesn't support links."""
    pointer.parent.mkdir(parents=True, exist_ok=True)
    made = pointer.with_name(f".{secrets.token_hex(4)}.tmp")
    try:
        made.symlink_to(os.path.relpath(blob, pointer.parent))
    except OSError:
        blob.replace(pointer)
        return
    made.replace(pointer)


def _find_whole(folder: Path, files: Collection[str]) -> Path | None:
    if not folder.is_dir():
        return None
    if files:
        return folder if all((folder / name).is_file() for name in files) else None
    names = _list_names(folder)
    kind = detect_repository_kind(names)
    if kind == "pipeline":
        return folder if find_missing(folder) is None else None
    if kind == "file":
        return next(folder / name for name in names if name.endswith(".safetensors"))
    return folder if kind == "part" else None


def _is_model(path: Path) -> bool:
    return path.is_file() or (path / INDEX).is_file()


def _describe_model(hub_id: str, path: Path) -> CachedModel:
    folder = path if path.is_dir() else path.parent
    return CachedModel(
        hub_id=hub_id,
        commit=folder.name,
        folder=folder,
        size_bytes=_measure_bytes(folder),
        kind="file" if path.is_file() else "pipeline",
        path=path,
        pipeline_class=read_index_class(folder),
    )


def _list_names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir() if entry.is_file()}


def _list_commits(repository: Path) -> list[str]:
    """List the commits that have a snapshot, newest first."""
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


def _parse_folder_name(folder_name: str) -> str | None:
    parts = folder_name.removeprefix(_PREFIX).split(_BETWEEN)
    if not folder_name.startswith(_PREFIX) or len(parts) != 2:
        return None
    try:
        return check_hub_id("/".join(parts))
    except RequestError:
        return None


def _measure_bytes(folder: Path) -> int:
    """Sum up the sizes of the files in a folder; a file with several names counts once."""
    sizes: dict[object, int] = {}
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # a broken link, or deleted meanwhile
            if path.is_file():
                status = path.stat()
                identity = (status.st_dev, status.st_ino) if status.st_ino else path.resolve()
                sizes[identity] = status.st_size
    return sum(sizes.values())


def _release_shared_files(folder: Path) -> None:
    """Release files in a store shared by several repositories, through the library that made it."""
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
