"""What isn't on this machine: the Hugging Face hub, and single files from elsewhere. Importable
without torch.
"""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

from paintdiff.models.hub.certificates import load_certificates
from paintdiff.system.atomic_files import new_file, remove_stale_parts

T = TypeVar("T")

TIMEOUT_SECONDS = 5.0

_CHUNK_BYTES = 256 * 2**10


def fetch_from_cache_or_hub(fetched: Callable[[bool], T], downloading: Callable[[], None]) -> T:
    """What `fetched(local_files_only)` gives: of what is on this machine, else of the hub, after
    `downloading` has been called.

    Raises OSError or ValueError if it is in neither.
    """
    try:
        return fetched(True)
    except (OSError, ValueError):
        downloading()
    check_reachable()
    return fetched(False)


def check_reachable() -> None:
    """Raise OSError if the hub can't be reached, or mustn't be (HF_HUB_OFFLINE).

    To be asked before a download: the hub's own library tries for half a minute and logs each try.
    """
    from huggingface_hub import constants  # noqa: PLC0415 (needed for hub ids only)

    _check_not_offline()
    request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=load_certificates()):
            pass
    except urllib.error.HTTPError:
        pass  # whatever it says, it answers
    except urllib.error.URLError as error:
        raise ConnectionError(f"{constants.ENDPOINT} can't be reached: {error.reason}") from error


def cache_folder() -> Path:
    """The folder in which what comes from the internet is kept, whether or not it exists."""
    from huggingface_hub import constants  # noqa: PLC0415 (needed for downloads only)

    return Path(constants.HF_HUB_CACHE)


def download(
    address: str,
    path: Path,
    sha256: str,
    size_bytes: int,
    told: Callable[[int], None],
    wanted: Callable[[], bool],
) -> None:
    """Download a file to `path`, in a folder that is made if need be. It gets its name only once
    its SHA-256 (hex) has been found to fit.

    `told` gets the bytes that are here, again and again; once `wanted` says no it is given up.
    Raises OSError if it can't be reached, mustn't be (HF_HUB_OFFLINE), breaks off or is given up,
    ValueError if it isn't the right file. Nothing of it is left then.
    """
    _check_not_offline()
    remove_stale_parts(path.parent)
    with new_file(path) as file:
        found, length = _fetched(address, file, size_bytes, told, wanted)
        if found != sha256:
            raise ValueError(
                f"received {length:,} bytes with SHA-256 {found[:12]}…, but expected "
                f"{size_bytes:,} bytes with SHA-256 {sha256[:12]}…"
            )


def _fetched(
    address: str,
    file: BinaryIO,
    size_bytes: int,
    told: Callable[[int], None],
    wanted: Callable[[], bool],
) -> tuple[str, int]:
    """Writes what is at the address into the file; no more than twice `size_bytes`, so that nobody
    can fill the disk. Returns its SHA-256 (hex) and its length.
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
                    raise ConnectionAbortedError("it was cancelled")
                told(length)
                if length > 2 * size_bytes:
                    return found.hexdigest(), length
            announced = answer.headers.get("Content-Length")
            if announced is not None and length < int(announced):  # urllib doesn't mind
                raise ConnectionError(f"the connection broke off after {length:,} bytes")
    except urllib.error.HTTPError as error:
        raise ConnectionError(f"the server answered {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise ConnectionError(f"it can't be reached ({error.reason})") from error
    except (http.client.HTTPException, TimeoutError) as error:
        raise ConnectionError(f"the connection broke off ({error})") from error
    return found.hexdigest(), length


def _check_not_offline() -> None:
    from huggingface_hub import constants  # noqa: PLC0415 (needed for downloads only)

    if constants.HF_HUB_OFFLINE:
        raise ConnectionError("HF_HUB_OFFLINE is set")
