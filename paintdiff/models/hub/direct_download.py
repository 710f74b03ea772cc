"""Downloads single files outside the Hugging Face cache. Importable without torch."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

from paintdiff.models.hub import messages
from paintdiff.models.hub.certificates import load_certificates
from paintdiff.system.atomic_files import new_file, remove_stale_parts

T = TypeVar("T")

TIMEOUT_SECONDS = 5.0

_CHUNK_BYTES = 256 * 2**10


def fetch_from_cache_or_hub(fetch: Callable[[bool], T], on_download: Callable[[], None]) -> T:
    """Return `fetch(local_files_only=True)`, else call `on_download` and fetch online.

    Raises:
        OSError: It is neither here nor online.
        ValueError: Likewise; `fetch` may raise either.
    """
    try:
        return fetch(True)
    except (OSError, ValueError):
        on_download()
    check_reachable()
    return fetch(False)


def check_reachable() -> None:
    """Raise OSError if Hugging Face can't be reached or HF_HUB_OFFLINE is set.

    Call this before a download: the library's own retries take half a minute and fill the log.
    """
    from huggingface_hub import constants  # noqa: PLC0415 (needed for hub ids only)

    _check_not_offline()
    request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=load_certificates()):
            pass
    except urllib.error.HTTPError:
        pass  # any status shows that it is reachable
    except urllib.error.URLError as error:
        raise ConnectionError(
            messages.host_unreachable(constants.ENDPOINT, error.reason)
        ) from error


def get_cache_folder() -> Path:
    """Return the Hugging Face cache folder, which may not exist."""
    from huggingface_hub import constants  # noqa: PLC0415 (needed for downloads only)

    return Path(constants.HF_HUB_CACHE)


def download(
    address: str,
    path: Path,
    sha256: str,
    size_bytes: int,
    on_progress: Callable[[int], None],
    wanted: Callable[[], bool],
) -> None:
    """Download a file to `path`, creating its folder.

    The file gets its name once its SHA-256 matches. `on_progress` is called with the bytes received
    so far. The download stops once `wanted` returns False. A failed download leaves nothing behind.

    Raises:
        OSError: The server can't be reached, HF_HUB_OFFLINE is set, the connection broke, or the
            download was stopped.
        ValueError: The file doesn't match `sha256` (hex).
    """
    _check_not_offline()
    remove_stale_parts(path.parent)
    with new_file(path) as file:
        found, length = _fetch(address, file, size_bytes, on_progress, wanted)
        if found != sha256:
            raise ValueError(
                messages.received_other_bytes(length, found[:12], size_bytes, sha256[:12])
            )


def _fetch(
    address: str,
    file: BinaryIO,
    size_bytes: int,
    on_progress: Callable[[int], None],
    wanted: Callable[[], bool],
) -> tuple[str, int]:
    """Write the content of an address to a file, at most twice `size_bytes` to protect the disk.

    Return its SHA-256 (hex) and its length in bytes.
    """
    found, length = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(
            address, timeout=TIMEOUT_SECONDS, context=load_certificates()
        ) as answer:
            while chunk := answer.read(_CHUNK_BYTES):
                file.write(chunk)
                found.update(chunk)
                length += len(chunk)
                if not wanted():
                    raise ConnectionAbortedError(messages.IT_WAS_CANCELLED)
                on_progress(length)
                if length > 2 * size_bytes:
                    return found.hexdigest(), length
            announced = answer.headers.get("Content-Length")
            if announced is not None and length < int(announced):  # urllib ignores this
                raise ConnectionError(messages.broke_off_after(length))
    except urllib.error.HTTPError as error:
        raise ConnectionError(messages.server_answered(error.code, error.reason)) from error
    except urllib.error.URLError as error:
        raise ConnectionError(messages.cannot_be_reached(error.reason)) from error
    except (http.client.HTTPException, TimeoutError) as error:
        raise ConnectionError(messages.broke_off(error)) from error
    return found.hexdigest(), length


def _check_not_offline() -> None:
    from huggingface_hub import constants  # noqa: PLC0415 (needed for downloads only)

    if constants.HF_HUB_OFFLINE:
        raise ConnectionError(messages.OFFLINE)
