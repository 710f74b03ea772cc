"""Downloads from Hugging Face in background threads. Importable without torch.

downloads = Downloads()
download = downloads.start("owner/name")
downloads.all()            # poll this to show progress
downloads.cancel(download.id)
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from paintdiff.byte_sizes import format_byte_size
from paintdiff.error_reports import report_unexpected
from paintdiff.errors import (
    DownloadCancelledError,
    DownloadError,
    ModelDeleteError,
    PaintError,
    UnknownNameError,
)
from paintdiff.models.hub import cache as hub_cache
from paintdiff.models.hub import messages
from paintdiff.models.hub import resumable_download as hub_fetch
from paintdiff.models.hub.client import HubClient, Stop
from paintdiff.models.hub.file_selection import find_missing
from paintdiff.models.hub.listing import Listing, check_hub_id, check_revision
from paintdiff.models.hub.search import HubModel, search_models

__all__ = ["Download", "DownloadState", "Downloads", "HubModel", "State"]

logger = logging.getLogger(__name__)

State = Literal["waiting", "running", "done", "failed", "cancelled"]

MOST_REMEMBERED = 50
"""The number of finished downloads that stay listed."""

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class DownloadState:
    """The progress of a download.

    `total_bytes` is 0 until it is known. `message` is a sentence for people. `commit` is what the
    revision resolved to (40 hex digits), "" until then.
    """

    id: str
    hub_id: str
    state: State
    done_bytes: int
    total_bytes: int
    message: str
    commit: str = ""


class Download:
    """The download of one repository. Thread-safe."""

    def __init__(self, hub_id: str, revision: str, files: tuple[str, ...]) -> None:
        self.hub_id, self.revision, self.files = hub_id, revision, files
        self.stop = Stop()
        self._changed = threading.Lock()
        self._ended = threading.Event()
        self._state = DownloadState(
            secrets.token_hex(8), hub_id, "waiting", 0, 0, messages.waiting_to_download(hub_id)
        )
        self._path: Path | None = None
        self._error: PaintError | None = None

    @property
    def id(self) -> str:
        """The id of this download, for `Downloads`."""
        return self._state.id

    def state(self) -> DownloadState:
        """Return the current progress."""
        return self._state

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end, at most `seconds` (None: no limit). Return whether it has ended."""
        return self._ended.wait(seconds)

    def result(self) -> Path:
        """Wait for the end and return the path: a pipeline's folder, or a single file.

        Raises:
            ModelError: The reason it failed, mostly a DownloadError.
        """
        self._ended.wait()
        if self._error is not None:
            raise self._error
        assert self._path is not None  # it succeeded
        return self._path

    def cancel(self) -> None:
        """Cancel the download, unless it has ended. Received data is kept."""
        self.finish(
            "cancelled", error=DownloadCancelledError(messages.download_cancelled(self.hub_id))
        )
        self.stop.set()

    def report_progress(self, done_bytes: int, total_bytes: int) -> None:
        """Report progress."""
        message = messages.downloading(self.hub_id, _describe_progress(done_bytes, total_bytes))
        self.change(
            state="running", done_bytes=done_bytes, total_bytes=total_bytes, message=message
        )

    def change(self, **values: object) -> None:
        """Change fields of the state, unless the download has ended."""
        with self._changed:
            if not self._ended.is_set():
                self._state = replace(self._state, **values)  # pyright: ignore[reportArgumentType]

    def finish(
        self, state: State, path: Path | None = None, error: PaintError | None = None
    ) -> None:
        """Mark the download as ended, unless it has ended before."""
        with self._changed:
            if self._ended.is_set():
                return
            message = messages.downloaded(self.hub_id) if error is None else str(error)
            self._path, self._error = path, error
            self._state = replace(self._state, state=state, message=message)
            self._ended.set()


@dataclass
class _Entry:
    """A listed download, guarded by the lock of `Downloads`.

    `by_hand` means that a person started it; `waiters` counts the leases that wait for it.
    """

    download: Download
    by_hand: bool = False
    waiters: int = 0


class Downloads:
    """Downloads models into the Hugging Face cache, `at_once` at a time.

    Thread-safe. Creating it imports and contacts nothing.
    """

    def __init__(self, *, at_once: int = 2) -> None:
        self._slots = threading.Semaphore(at_once)
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}

    def start(self, hub_id: str, revision: str = "", *, files: Iterable[str] = ()) -> Download:
        """Start a download in the background, or join a running one. Received data is reused.

        `revision` is a commit, branch or tag; "" means the commit it resolved to before, else the
        newest. `files` are the names of the wanted files; without it, those that a pipeline needs.

        Raises:
            RequestError: `hub_id` or `revision` isn't valid.
        """
        return self._ask(hub_id, revision, files, by_hand=True).download

    def fetch(
        self,
        hub_id: str,
        revision: str = "",
        *,
        files: Iterable[str] = (),
        on_progress: Callable[[DownloadState], None] = lambda _state: None,
        wanted: Callable[[], bool] = lambda: True,
    ) -> Path:
        """Return the path of a repository, downloading it if needed. Joins a running download.

        `on_progress` is called repeatedly. Once `wanted` returns False this stops waiting, and
        cancels the download unless somebody else wants it. Raises what `Download.result` raises.
        """
        entry = self._ask(hub_id, revision, files, by_hand=False)
        try:
            while not entry.download.wait(_POLL_SECONDS):
                on_progress(entry.download.state())
                if not wanted():
                    raise DownloadCancelledError(messages.download_cancelled(hub_id))
            return entry.download.result()
        finally:
            with self._lock:
                entry.waiters -= 1
                unwanted = entry.waiters == 0 and not entry.by_hand
            if unwanted:
                entry.download.cancel()

    def all(self) -> tuple[DownloadState, ...]:
        """Return the states of all listed downloads, oldest first."""
        with self._lock:
            return tuple(entry.download.state() for entry in self._entries.values())

    def cancel(self, id: str) -> None:
        """Cancel a download; received data is kept. Raise UnknownNameError."""
        self._find(id).download.cancel()

    def retry(self, id: str) -> Download:
        """Restart a download that has ended, reusing received data.

        Returns at once; returns the running download if it hasn't ended. Raises UnknownNameError.
        """
        download = self._find(id).download
        return self.start(download.hub_id, download.revision, files=download.files)

    def forget(self, id: str) -> None:
        """Remove an ended download from the list. Raise UnknownNameError."""
        entry = self._find(id)
        with self._lock:
            if entry.download.wait(0):
                self._entries.pop(id, None)

    def search(self, words: str) -> tuple[HubModel, ...]:
        """Search models on Hugging Face (see `search_models`), within seconds.

        Raises:
            RequestError: `words` is empty.
            HubUnavailableError: Hugging Face can't be reached.
            DownloadError: The request failed.
        """
        return search_models(HubClient(), words)

    def delete(self, hub_id: str) -> int:
        """Delete a repository, including incomplete files. Return its size in bytes.

        Raises:
            RequestError: `hub_id` isn't valid.
            ModelDeleteError: It is being downloaded, or can't be deleted.
        """
        with ExitStack() as held:
            if not _take_lock(hub_cache.get_lock_file(check_hub_id(hub_id)), held):
                raise ModelDeleteError(messages.cancel_first(hub_id))
            return hub_cache.delete_cached(hub_id)

    def close(self) -> None:
        """Cancel all downloads. Received data is kept."""
        with self._lock:
            downloads = [entry.download for entry in self._entries.values()]
        for download in downloads:
            download.cancel()

    def _find(self, id: str) -> _Entry:
        with self._lock:
            entry = self._entries.get(id)
        if entry is None:
            raise UnknownNameError(messages.no_such_download(id[:40]), field="download")
        return entry

    def _ask(self, hub_id: str, revision: str, files: Iterable[str], *, by_hand: bool) -> _Entry:
        key = (check_hub_id(hub_id), check_revision(revision), tuple(files))
        with self._lock:
            entry = self._find_running(key)
            if entry is None:
                self._forget_oldest()
                download = Download(*key)
                threading.Thread(
                    target=self._run, args=(download,), name=f"download {hub_id}", daemon=True
                ).start()  # starting may fail, so do it before anybody can find the download
                entry = self._entries[download.id] = _Entry(download)
            entry.by_hand = entry.by_hand or by_hand
            entry.waiters += not by_hand
            return entry

    def _find_running(self, key: tuple[str, str, tuple[str, ...]]) -> _Entry | None:
        for entry in self._entries.values():
            one = entry.download
            if (one.hub_id, one.revision, one.files) == key and not one.wait(0):
                return entry
        return None

    def _forget_oldest(self) -> None:
        over = [id for id, entry in self._entries.items() if entry.download.wait(0)]
        for id in over[: max(0, len(over) + 1 - MOST_REMEMBERED)]:
            del self._entries[id]

    def _run(self, download: Download) -> None:
        """Run a download in its own thread; the download always ends."""
        try:
            path = self._fetch_repository(download)
        except PaintError as error:
            download.finish("failed", error=error)
        except BaseException as error:
            what = messages.not_downloaded(download.hub_id)
            download.finish("failed", error=report_unexpected(logger, what, error, DownloadError))
        else:
            download.finish("done", path=path)

    def _fetch_repository(self, download: Download) -> Path:
        hub_id, revision = download.hub_id, download.revision
        here = hub_cache.find_snapshot(hub_id, revision, download.files)
        if here is not None:
            download.change(commit=_get_snapshot(here).name)
            return here
        with ExitStack() as held:
            while not self._slots.acquire(timeout=_POLL_SECONDS):
                download.stop.check()
            held.callback(self._slots.release)
            client = HubClient(download.stop)
            client.check_allowed(hub_id)
            download.change(state="running", message=messages.contacting(hub_id))
            found = hub_fetch.list_files(client, hub_id, revision)
            download.change(commit=found.commit)
            while not _take_lock(hub_cache.get_lock_file(hub_id), held):
                download.stop.check()
                download.change(message=messages.waiting_for_another_download(hub_id))
            snapshot = hub_cache.pin_commit(hub_id, revision, found.commit)
            self._fetch_files(download, client, snapshot, found)
        path = hub_cache.find_snapshot(hub_id, found.commit, download.files)
        if path is None:
            raise DownloadError(messages.incomplete(hub_id, find_missing(snapshot)))
        return path

    def _fetch_files(
        self, download: Download, client: HubClient, snapshot: Path, found: Listing
    ) -> None:
        files = hub_fetch.select_needed(client, snapshot, found, download.files)
        total, repository = sum(file.size_bytes for file in files), snapshot.parent.parent
        missing = total - sum(
            hub_fetch.count_bytes_here(repository, snapshot, file) for file in files
        )
        download.change(total_bytes=total)
        others = self._promised_bytes(download)
        hub_fetch.check_room(missing + others if missing else 0, snapshot, found.hub_id)
        done = 0
        for file in files:
            so_far = done

            def report(file_bytes: int, so_far: int = so_far) -> None:
                download.report_progress(so_far + file_bytes, total)

            hub_fetch.fetch(client, found.hub_id, snapshot, file, report)
            done += file.size_bytes

    def _promised_bytes(self, but: Download) -> int:
        """Return the bytes that other running downloads still need."""
        states = [state for state in self.all() if state.id != but.id and state.state == "running"]
        return sum(max(0, state.total_bytes - state.done_bytes) for state in states)


def _get_snapshot(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _take_lock(path: Path, held: ExitStack) -> bool:
    """Try for a moment to take the lock, to be released with `held`. Return whether it worked."""
    from huggingface_hub.utils import WeakFileLock  # noqa: PLC0415 (keeps the start of the app fast)

    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(TimeoutError):
        held.enter_context(WeakFileLock(path, timeout=_POLL_SECONDS))
        return True
    return False


def _describe_progress(done_bytes: int, total_bytes: int) -> str:
    done, total = format_byte_size(done_bytes), format_byte_size(total_bytes)
    number, unit = done.rsplit(" ", 1)
    return f"{number if total.endswith(unit) else done} of {total}"
