"""Downloads files of a repository into the cache, resuming and verifying them.

Importable without torch.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TypeVar

from paintdiff.byte_sizes import format_byte_size
from paintdiff.errors import DiskSpaceError, DownloadError, HubUnavailableError
from paintdiff.models.hub import messages
from paintdiff.models.hub.cache import MAIN, PART_SUFFIX, link_file, read_pinned_commit
from paintdiff.models.hub.client import HubClient, Stop
from paintdiff.models.hub.file_selection import (
    INDEX,
    MAX_INDEX_BYTES,
    read_index,
    select_other_files,
    select_pipeline_files,
)
from paintdiff.models.hub.listing import COMMIT, HubFile, Listing, list_repository

T = TypeVar("T")

SPARE_BYTES = 256 * 2**20
"""Free disk space that a download must leave."""

MOST_TRIES = 6
"""The most tries in a row that make no progress."""

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_CHUNK_BYTES = 2**20
_MOST_SMALL_BYTES = 64 * 2**20
_PICKLED = (".pth", ".pt")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def retry(
    ask: Callable[[], T],
    stop: Stop,
    progress: Callable[[], int] = lambda: 0,
    most_tries: int = MOST_TRIES,
) -> T:
    """Call `ask`, and retry with longer and longer pauses while Hugging Face is unavailable.

    Retries don't count as long as `progress` (bytes) grows between them.

    Raises:
        HubUnavailableError: `most_tries` calls in a row failed.
        DownloadCancelledError: `stop` was set.
        Exception: Anything else that `ask` raises.
    """
    tries, before = 0, progress()
    while True:
        try:
            return ask()
        except HubUnavailableError as error:
            stop.check()
            now = progress()
            tries, before = (1 if now > before else tries + 1), now
            if tries >= most_tries:
                raise
            pause = max(_FIRST_PAUSE_SECONDS * 2 ** (tries - 1), error.retry_after_seconds)
            stop.wait(min(pause, _LONGEST_PAUSE_SECONDS))
            stop.check()


def list_files(client: HubClient, hub_id: str, revision: str) -> Listing:
    """List the files at the commit that a branch resolved to before, else at its current one.

    Raises:
        DownloadError: The request failed.
        UnsafeWeightsError: A file name points outside its folder.
    """
    pinned = "" if COMMIT.fullmatch(revision) else read_pinned_commit(hub_id, revision)
    asked = pinned or revision or MAIN
    try:
        return retry(lambda: list_repository(client, hub_id, asked), client.stop, most_tries=3)
    except HubUnavailableError:
        raise
    except DownloadError:
        client.stop.check()
        if not pinned:
            raise
        # The owner rewrote the history, so the commit no longer exists.
        return list_repository(client, hub_id, revision or MAIN)


def select_needed(
    client: HubClient, snapshot: Path, found: Listing, files: tuple[str, ...]
) -> list[HubFile]:
    """Select the files to download, small ones first, so no partial download looks complete.

    A pipeline's index is downloaded for this. `files` are the names requested explicitly, if any.

    Raises:
        ModelError: Files are missing, or aren't safe.
    """
    names = files
    if not names and INDEX in found.files:
        index = _check_size(found.files[INDEX], found.hub_id)
        if index.size_bytes > MAX_INDEX_BYTES:
            raise DownloadError(messages.index_too_large(index.name, found.hub_id))
        path = fetch(client, found.hub_id, snapshot, index, lambda _bytes: None)
        parts = read_index(path.read_bytes(), found.hub_id)
        names = select_pipeline_files(found.files, parts, found.hub_id)
    elif not names:
        names = select_other_files(found.files, found.hub_id)
    lacking = [name for name in names if name not in found.files]
    if lacking:
        raise DownloadError(messages.file_missing(found.hub_id, lacking[0]))
    return [_check_size(found.files[name], found.hub_id, asked_for=bool(files)) for name in names]


def _check_size(file: HubFile, hub_id: str, *, asked_for: bool = False) -> HubFile:
    """Return a file whose size and checksum are known and plausible. Raise DownloadError otherwise.

    Only pickles that were `asked_for` by name may be large.
    """
    if file.size_bytes < 0 or not file.etag:
        raise DownloadError(messages.unverifiable(file.name, hub_id))
    large = (".safetensors", *(_PICKLED if asked_for else ()))
    if not file.name.endswith(large) and file.size_bytes > _MOST_SMALL_BYTES:
        raise DownloadError(
            messages.file_too_large(file.name, hub_id, format_byte_size(file.size_bytes))
        )
    return file


def check_room(needed_bytes: int, folder: Path, what: str) -> None:
    """Raise DiskSpaceError if a folder's disk has no room for `needed_bytes` more."""
    free = shutil.disk_usage(folder).free
    if needed_bytes and needed_bytes + SPARE_BYTES > free:
        raise DiskSpaceError(
            messages.disk_too_small(
                what,
                format_byte_size(needed_bytes),
                format_byte_size(SPARE_BYTES),
                format_byte_size(free),
            )
        )


def count_bytes_here(repository: Path, snapshot: Path, file: HubFile) -> int:
    """Return how many bytes of a file are already here."""
    for path in (
        snapshot / file.name,
        repository / "blobs" / file.etag,
        _locate_part(repository, file),
    ):
        with contextlib.suppress(OSError):
            return min(path.stat().st_size, file.size_bytes)
    return 0


def fetch(
    client: HubClient,
    hub_id: str,
    snapshot: Path,
    file: HubFile,
    on_progress: Callable[[int], None],
) -> Path:
    """Download a file into a snapshot unless it is there. Return its path.

    `on_progress` is called with the number of bytes here.

    Raises:
        DownloadError: The download failed. Received data is kept, and the next call resumes.
    """
    repository, pointer = snapshot.parent.parent, snapshot / file.name
    if pointer.is_file() and pointer.stat().st_size == file.size_bytes:
        on_progress(file.size_bytes)
        return pointer
    blob = repository / "blobs" / file.etag
    with _translate_disk_errors(file.name):
        if not (blob.is_file() and blob.stat().st_size == file.size_bytes):
            _fetch_blob(client, hub_id, snapshot.name, file, blob, on_progress)
        link_file(blob, pointer)
    on_progress(file.size_bytes)
    return pointer


def _fetch_blob(
    client: HubClient,
    hub_id: str,
    commit: str,
    file: HubFile,
    blob: Path,
    on_progress: Callable[[int], None],
) -> None:
    path = _locate_part(blob.parent.parent, file)
    with path.open("ab", buffering=0):
        pass
    with path.open("r+b", buffering=0) as handle:
        part = _Part(handle, file)
        part.hash_existing(client.stop)
        resumed = part.length > 0
        on_progress(part.length)

        def ask() -> None:
            _receive(client, hub_id, commit, file, part, on_progress)

        retry(ask, client.stop, lambda: part.length)
        if resumed and not part.is_complete():  # some of the earlier data was wrong
            part.restart()
            retry(ask, client.stop, lambda: part.length)
        right = part.is_complete()
        os.fsync(handle.fileno())
    if not right:
        path.unlink()
        raise DownloadError(messages.wrong_checksum(file.name, hub_id, file.etag[:12]))
    path.replace(blob)


class _Part:
    """A partly downloaded file and its running checksum."""

    def __init__(self, handle: Any, file: HubFile) -> None:
        self._handle, self._file = handle, file
        self.length = 0
        self._sum = self._new_sum()

    def hash_existing(self, stop: Stop) -> None:
        """Hash the data that is already here."""
        while chunk := self._handle.read(_CHUNK_BYTES):
            stop.check()
            self._sum.update(chunk)
            self.length += len(chunk)
        if self.length > self._file.size_bytes:
            self.restart()

    def append(self, chunk: bytes) -> None:
        """Append received data."""
        view = memoryview(chunk)
        while view:
            view = view[self._handle.write(view) :]
        self._sum.update(chunk)
        self.length += len(chunk)

    def restart(self) -> None:
        """Discard all data."""
        self._handle.seek(0)
        self._handle.truncate()
        self.length, self._sum = 0, self._new_sum()

    def is_complete(self) -> bool:
        """Return whether this is the complete, correct file."""
        whole = self.length == self._file.size_bytes
        return whole and self._sum.hexdigest() == self._file.etag

    def _new_sum(self) -> Any:
        if self._file.sha256:
            return hashlib.sha256()
        # git's checksum; small files have no safer one.
        start = f"blob {self._file.size_bytes}\0".encode()
        return hashlib.sha1(start, usedforsecurity=False)


def _receive(
    client: HubClient,
    hub_id: str,
    commit: str,
    file: HubFile,
    part: _Part,
    on_progress: Callable[[int], None],
) -> None:
    """Receive the rest of a file in one request, never more than its announced size."""
    size = file.size_bytes
    if part.length == size:
        return
    with client.stream(hub_id, commit, file.name, part.length) as stream:
        if stream.total_bytes not in (None, size):
            raise DownloadError(messages.size_differs(size, file.name, stream.total_bytes))
        if stream.start == 0 and part.length:
            part.restart()  # the server can't resume
        while part.length < size:
            chunk = stream.read(min(_CHUNK_BYTES, size - part.length))
            client.stop.check()
            if not chunk:
                raise HubUnavailableError(messages.connection_lost_at(part.length, size, file.name))
            part.append(chunk)
            on_progress(part.length)


def _locate_part(repository: Path, file: HubFile) -> Path:
    return repository / "blobs" / f"{file.etag}{PART_SUFFIX}"


@contextlib.contextmanager
def _translate_disk_errors(name: str) -> Generator[None]:
    """Turn disk errors inside the block into errors that people can understand."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskSpaceError(messages.disk_full(name)) from error
        raise DownloadError(messages.unwritable_file(name, error.strerror)) from error
