"""Downloads from the hub, each in a thread, seen and stopped from anywhere. Importable without
torch.

downloads = Downloads()
download = downloads.start("owner/name")
downloads.all()            # what the page shows, again and again
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
from paintdiff.models.hub import resumable_download as hub_fetch
from paintdiff.models.hub.client import HubClient, Stop
from paintdiff.models.hub.file_selection import find_missing
from paintdiff.models.hub.listing import Listing, check_hub_id, check_revision
from paintdiff.models.hub.search import HubModel, search_models

__all__ = ["Download", "DownloadState", "Downloads", "HubModel", "State"]

logger = logging.getLogger(__name__)

State = Literal["waiting", "running", "done", "failed", "cancelled"]

MOST_REMEMBERED = 50
"""How many downloads that have ended are still told of."""

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class DownloadState:
    """How far a download is. `total_bytes` is 0 until it is known; `message` a sentence for people;
    `commit` what the revision was resolved to (40 hex digits), "" until it is.
    """

    id: str
    hub_id: str
    state: State
    done_bytes: int
    total_bytes: int
    message: str
    commit: str = ""


class Download:
    """One repository on its way to this machine. Safe to use from any thread."""

    def __init__(self, hub_id: str, revision: str, files: tuple[str, ...]) -> None:
        self.hub_id, self.revision, self.files = hub_id, revision, files
        self.stop = Stop()
        self._changed = threading.Lock()
        self._ended = threading.Event()
        self._state = DownloadState(
            secrets.token_hex(8), hub_id, "waiting", 0, 0, f"Waiting to download {hub_id}"
        )
        self._path: Path | None = None
        self._error: PaintError | None = None

    @property
    def id(self) -> str:
        """By which it is asked for."""
        return self._state.id

    def state(self) -> DownloadState:
        """How far it is now."""
        return self._state

    def wait(self, seconds: float | None = None) -> bool:
        """Wait so long (None: for ever), or until it has ended; says whether it has."""
        return self._ended.wait(seconds)

    def result(self) -> Path:
        """Where it lies, once it has ended: a pipeline's folder, or a single file.

        Raises what made it fail: a DownloadError or another ModelError.
        """
        self._ended.wait()
        if self._error is not None:
            raise self._error
        assert self._path is not None  # it ended without an error
        return self._path

    def cancel(self) -> None:
        """Give it up; what has come is kept. Nothing happens if it has ended."""
        self.ended("cancelled", error=DownloadCancelledError(_cancelled(self.hub_id)))
        self.stop.set()

    def told(self, done_bytes: int, total_bytes: int) -> None:
        """It has come so far."""
        message = f"Downloading {self.hub_id}: {_part_text(done_bytes, total_bytes)}"
        self.change(
            state="running", done_bytes=done_bytes, total_bytes=total_bytes, message=message
        )

    def change(self, **values: object) -> None:
        """Change what is told of it, unless it has ended."""
        with self._changed:
            if not self._ended.is_set():
                self._state = replace(self._state, **values)  # pyright: ignore[reportArgumentType]

    def ended(
        self, state: State, path: Path | None = None, error: PaintError | None = None
    ) -> None:
        """It has ended, if it hadn't before."""
        with self._changed:
            if self._ended.is_set():
                return
            message = f"{self.hub_id} is downloaded" if error is None else str(error)
            self._path, self._error = path, error
            self._state = replace(self._state, state=state, message=message)
            self._ended.set()


@dataclass
class _Asked:
    """Guarded by the lock of `Downloads`. `by_hand` says that somebody wants it for itself,
    `waiters` how many leases wait for it.
    """

    download: Download
    by_hand: bool = False
    waiters: int = 0


class Downloads:
    """Fetches models from the hub into the cache that all programs share, `at_once` at a time.

    Safe to use from any thread; constructing it imports and asks nothing.
    """

    def __init__(self, *, at_once: int = 2) -> None:
        self._slots = threading.Semaphore(at_once)
        self._lock = threading.Lock()
        self._asked: dict[str, _Asked] = {}

    def start(self, hub_id: str, revision: str = "", *, files: Iterable[str] = ()) -> Download:
        """Begin to fetch a repository, or join who is at it; what came before isn't fetched again.

        `revision` is a commit, a branch or a tag; "" the commit it was once resolved to, else the
        newest. `files` are the names of those that are wanted, none for what a pipeline needs.
        Returns at once. Raises RequestError for what is no id or revision.
        """
        return self._ask(hub_id, revision, files, by_hand=True).download

    def fetched(
        self,
        hub_id: str,
        revision: str = "",
        *,
        files: Iterable[str] = (),
        told: Callable[[DownloadState], None] = lambda _state: None,
        wanted: Callable[[], bool] = lambda: True,
    ) -> Path:
        """Where a repository lies, fetched if need be, together with whoever fetches it.

        `told` is told again and again how far it is. Once `wanted` says no this gives up, and so
        does the download unless somebody else wants it. Raises what `Download.result` does.
        """
        asked = self._ask(hub_id, revision, files, by_hand=False)
        try:
            while not asked.download.wait(_POLL_SECONDS):
                told(asked.download.state())
                if not wanted():
                    raise DownloadCancelledError(_cancelled(hub_id))
            return asked.download.result()
        finally:
            with self._lock:
                asked.waiters -= 1
                unwanted = asked.waiters == 0 and not asked.by_hand
            if unwanted:
                asked.download.cancel()

    def all(self) -> tuple[DownloadState, ...]:
        """All downloads in the order in which they were asked for."""
        with self._lock:
            return tuple(asked.download.state() for asked in self._asked.values())

    def cancel(self, id: str) -> None:
        """Give a download up; what has come is kept for the next time. Raises UnknownNameError."""
        self._of(id).download.cancel()

    def retry(self, id: str) -> Download:
        """Start a download that has ended again; what it has fetched so far is kept.

        Returns at once, the running download if it hasn't ended. Raises UnknownNameError.
        """
        download = self._of(id).download
        return self.start(download.hub_id, download.revision, files=download.files)

    def forget(self, id: str) -> None:
        """Tell no more of a download that has ended. Raises UnknownNameError."""
        asked = self._of(id)
        with self._lock:
            if asked.download.wait(0):
                self._asked.pop(id, None)

    def search(self, words: str) -> tuple[HubModel, ...]:
        """The models of the hub that fit the words (see `search_models`). Takes seconds at most.

        Raises RequestError for no words, HubUnavailableError if the hub can't be asked,
        DownloadError.
        """
        return search_models(HubClient(), words)

    def delete(self, hub_id: str) -> int:
        """Delete a repository from the cache, also what had come of it in part; returns the bytes
        it took. Raises RequestError or ModelDeleteError, also while it is being downloaded.
        """
        with ExitStack() as held:
            if not _locked(hub_cache.lock_file(check_hub_id(hub_id)), held):
                raise ModelDeleteError(f"{hub_id} is being downloaded; cancel that first.")
            return hub_cache.delete_cached(hub_id)

    def close(self) -> None:
        """Stop everything. What has come is kept."""
        with self._lock:
            downloads = [asked.download for asked in self._asked.values()]
        for download in downloads:
            download.cancel()

    def _of(self, id: str) -> _Asked:
        with self._lock:
            asked = self._asked.get(id)
        if asked is None:
            raise UnknownNameError(f"The download {id[:40]!r} doesn't exist.", field="download")
        return asked

    def _ask(self, hub_id: str, revision: str, files: Iterable[str], *, by_hand: bool) -> _Asked:
        key = (check_hub_id(hub_id), check_revision(revision), tuple(files))
        with self._lock:
            asked = self._running(key)
            if asked is None:
                download = Download(*key)
                threading.Thread(
                    target=self._run, args=(download,), name=f"download {hub_id}", daemon=True
                ).start()  # it may fail, so this comes before anybody can find the download
                asked = self._asked[download.id] = _Asked(download)
                self._forget_oldest()
            asked.by_hand = asked.by_hand or by_hand
            asked.waiters += not by_hand
            return asked

    def _running(self, key: tuple[str, str, tuple[str, ...]]) -> _Asked | None:
        for asked in self._asked.values():
            one = asked.download
            if (one.hub_id, one.revision, one.files) == key and not one.wait(0):
                return asked
        return None

    def _forget_oldest(self) -> None:
        over = [id for id, asked in self._asked.items() if asked.download.wait(0)]
        for id in over[: max(0, len(over) - MOST_REMEMBERED)]:
            del self._asked[id]

    def _run(self, download: Download) -> None:
        """Runs in a thread of its own, and always ends with the download ended."""
        try:
            path = self._fetched(download)
        except PaintError as error:
            download.ended("failed", error=error)
        except BaseException as error:
            what = f"{download.hub_id} couldn't be downloaded"
            download.ended("failed", error=report_unexpected(logger, what, error, DownloadError))
        else:
            download.ended("done", path=path)

    def _fetched(self, download: Download) -> Path:
        hub_id, revision = download.hub_id, download.revision
        here = hub_cache.find_snapshot(hub_id, revision, download.files)
        if here is not None:
            download.change(commit=_snapshot_of(here).name)
            return here
        with ExitStack() as held:
            while not self._slots.acquire(timeout=_POLL_SECONDS):
                download.stop.check()
            held.callback(self._slots.release)
            client = HubClient(download.stop)
            client.check_allowed(hub_id)
            download.change(state="running", message=f"Contacting Hugging Face about {hub_id}")
            found = hub_fetch.list_files(client, hub_id, revision)
            download.change(commit=found.commit)
            while not _locked(hub_cache.lock_file(hub_id), held):
                download.stop.check()
                download.change(message=f"Another download of {hub_id} is running; waiting for it")
            snapshot = hub_cache.pin_commit(hub_id, revision, found.commit)
            self._fetch(download, client, snapshot, found)
        path = hub_cache.find_snapshot(hub_id, found.commit, download.files)
        if path is None:
            raise DownloadError(
                f"{hub_id} was downloaded but is incomplete: {find_missing(snapshot)} is missing."
            )
        return path

    def _fetch(self, download: Download, client: HubClient, snapshot: Path, found: Listing) -> None:
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

            def told(file_bytes: int, so_far: int = so_far) -> None:
                download.told(so_far + file_bytes, total)

            hub_fetch.fetch(client, found.hub_id, snapshot, file, told)
            done += file.size_bytes

    def _promised_bytes(self, but: Download) -> int:
        """What the other downloads that run will still take."""
        states = [state for state in self.all() if state.id != but.id and state.state == "running"]
        return sum(max(0, state.total_bytes - state.done_bytes) for state in states)


def _snapshot_of(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _locked(path: Path, held: ExitStack) -> bool:
    """Whether the lock could be taken, for as long as `held` is; waits for a moment."""
    from huggingface_hub.utils import WeakFileLock  # noqa: PLC0415 (the page comes up without it)

    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(TimeoutError):
        held.enter_context(WeakFileLock(path, timeout=_POLL_SECONDS))
        return True
    return False


def _cancelled(hub_id: str) -> str:
    return f"The download of {hub_id} was cancelled. What was downloaded so far is kept."


def _part_text(done_bytes: int, total_bytes: int) -> str:
    done, total = format_byte_size(done_bytes), format_byte_size(total_bytes)
    number, unit = done.rsplit(" ", 1)
    return f"{number if total.endswith(unit) else done} of {total}"
