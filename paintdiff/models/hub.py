"""The Hugging Face hub, asked for what isn't on this machine. Importable without torch."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

TIMEOUT_SECONDS = 5.0


def from_cache_or_hub(fetched: Callable[[bool], T], downloading: Callable[[], None]) -> T:
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

    if constants.HF_HUB_OFFLINE:
        raise ConnectionError("HF_HUB_OFFLINE is set")
    request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
            pass
    except urllib.error.HTTPError:
        pass  # whatever it says, it answers
    except urllib.error.URLError as error:
        raise ConnectionError(f"{constants.ENDPOINT} can't be reached: {error.reason}") from error
