"""Asking the hub over HTTP: with the token from the environment, careful redirects, answers of a
limited size, and a way to stop within a moment. Importable without torch.

(`huggingface_hub` 2.4 does none of this as it is needed here: it throws a file that was cut off
away, checks no sum, can't be stopped, and takes tokens from files.)
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import IO, Any
from urllib.parse import quote, urlencode, urlsplit

from paintdiff.errors import (
    DownloadCancelledError,
    DownloadError,
    GatedModelError,
    HubUnavailableError,
)
from paintdiff.models.hub.certificates import load_certificates

MAX_JSON_BYTES = 32 * 2**20
"""More than any list of files or models takes; a longer answer is refused."""

_TOKEN = re.compile(r"[\x21-\x7e]+")
_BUSY = frozenset({408, 429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d*/(\d+|\*)")


class Stop:
    """Says that something is to be given up, from any thread. What is being read from a socket ends
    at once.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def set(self) -> None:
        """Give up."""
        self._event.set()
        with self._lock:
            self._shut()

    def is_set(self) -> bool:
        """Whether it was said."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until it is said; says whether it was."""
        return self._event.wait(seconds)

    def check(self) -> None:
        """Raise DownloadCancelledError if it was said."""
        if self._event.is_set():
            raise DownloadCancelledError(
                "The download was cancelled. What was downloaded so far is kept."
            )

    def watch(self, sock: socket.socket) -> None:
        """From now on this socket is shut down when it is said."""
        with self._lock:
            self._socket = sock
            if self._event.is_set():
                self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it may have been closed already
                # Not the method of an SSL socket, which lets go of what another thread reads from.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


@dataclass(frozen=True)
class Stream:
    """What is being sent. It begins at byte `start` of the file; `total_bytes` is the whole file's
    length, None if it isn't said.
    """

    start: int
    total_bytes: int | None
    _answer: Any

    def read(self, most_bytes: int) -> bytes:
        """What has come, b"" at the end. Raises HubUnavailableError if the connection breaks."""
        with _broken_connections():
            return self._answer.read1(most_bytes)


class HubClient:
    """Asks the hub for what one download or one search needs. `stop` ends whatever it waits for."""

    def __init__(self, stop: Stop | None = None) -> None:
        from huggingface_hub import constants  # noqa: PLC0415 (the page comes up without it)

        self.endpoint: str = constants.ENDPOINT
        self._offline: bool = constants.HF_HUB_OFFLINE
        self._timeout_seconds = float(constants.HF_HUB_DOWNLOAD_TIMEOUT)
        self.stop = stop if stop is not None else Stop()
        self._opener = _opener(self.endpoint, self.stop)

    def check_allowed(self, about: str) -> None:
        """Raise HubUnavailableError if the hub mustn't be asked (HF_HUB_OFFLINE)."""
        if self._offline:
            raise HubUnavailableError(
                f"{about} isn't on this machine, and HF_HUB_OFFLINE forbids asking Hugging "
                "Face. Unset it, or put the model in a models folder."
            )

    def json(self, path: str, query: Iterable[tuple[str, str]] = (), *, about: str) -> object:
        """What the address `path` under the endpoint answers. `about` is what messages are of.

        Raises a DownloadError.
        """
        address = f"{self.endpoint}{path}?{urlencode(list(query))}".rstrip("?")
        with self._opened(address, {}, about) as answer, _broken_connections():
            announced = answer.headers.get("Content-Length", "")
            text: bytes = answer.read(MAX_JSON_BYTES + 1)
        self.stop.check()
        if announced.isdecimal() and len(text) < min(int(announced), MAX_JSON_BYTES):
            raise HubUnavailableError("The connection to Hugging Face was lost.")
        if len(text) > MAX_JSON_BYTES:
            raise DownloadError(
                f"Hugging Face's response about {about} exceeds {MAX_JSON_BYTES:,} bytes; not read."
            )
        try:
            return json.loads(text)
        except ValueError as error:
            raise DownloadError(
                f"Hugging Face's response about {about} isn't JSON: {error}"
            ) from error

    @contextlib.contextmanager
    def stream(self, hub_id: str, commit: str, name: str, start: int) -> Generator[Stream]:
        """The file of a repository, from byte `start` on if the hub can do that.

        Raises a DownloadError, also while it is being read.
        """
        address = f"{self.endpoint}/{quote(hub_id)}/resolve/{quote(commit, safe='')}/{quote(name)}"
        wanted = {"Range": f"bytes={start}-"} if start else {}
        with self._opened(address, wanted, hub_id) as answer:
            began, total = 0, answer.headers.get("Content-Length")
            if answer.status == 206:
                found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
                if found is None or int(found[1]) != start:
                    raise DownloadError(f"Hugging Face sent the wrong part of {name}.")
                began, total = start, found[2]
            known = int(total) if total is not None and total.isdecimal() else None
            yield Stream(began, known, answer)

    @contextlib.contextmanager
    def _opened(
        self, address: str, headers: Mapping[str, str], about: str
    ) -> Generator[http.client.HTTPResponse]:
        self.check_allowed(about)
        self.stop.check()
        request = urllib.request.Request(
            address, headers={"User-Agent": "PaintDiffusion", **headers}
        )
        _authorize(request)
        try:
            with _broken_connections():
                answer = self._opener.open(request, timeout=self._timeout_seconds)
        except urllib.error.HTTPError as error:
            with error:
                self.stop.check()
                raise _refusal(error, about, self.endpoint) from error
        except HubUnavailableError:
            self.stop.check()
            raise
        with answer:
            yield answer


def _authorize(request: urllib.request.Request) -> None:
    """Give the request the token of the environment, if there is one."""
    token = os.environ.get("HF_TOKEN", "").strip()
    if not token:
        return
    if not _TOKEN.fullmatch(token):  # the library's own message would show it
        raise DownloadError(
            "HF_TOKEN contains invalid characters. Copy the token again, without quotes."
        )
    request.add_unredirected_header("Authorization", f"Bearer {token}")


@contextlib.contextmanager
def _broken_connections() -> Generator[None]:
    """What goes wrong on the way becomes a HubUnavailableError."""
    try:
        yield
    except urllib.error.HTTPError:
        raise
    except urllib.error.URLError as error:
        raise HubUnavailableError(
            f"Can't reach Hugging Face ({error.reason}). Check the internet connection, then try "
            "again. Models that are already here work offline."
        ) from error
    except (http.client.HTTPException, OSError, ValueError) as error:
        # (A ValueError comes of a socket that is shut down while it is being read.)
        reason = "it took too long" if isinstance(error, TimeoutError) else str(error)
        raise HubUnavailableError(f"The connection to Hugging Face was lost ({reason}).") from error


def _refusal(error: urllib.error.HTTPError, about: str, endpoint: str) -> DownloadError:
    """The hub's no, in words. (The error's own text may have an address with a signature in it.)"""
    code = error.headers.get("X-Error-Code", "")
    has_token = bool(os.environ.get("HF_TOKEN", "").strip())
    if error.code in _BUSY:
        after = error.headers.get("Retry-After", "")
        return HubUnavailableError(
            f"Hugging Face is unavailable right now (status {error.code}). Try again later.",
            retry_after_seconds=float(after) if after.isdecimal() else 0.0,
        )
    if code == "GatedRepo" or (error.code == 403 and code != "RepoNotFound"):
        page = f"{endpoint}/{about}"
        if has_token:
            return GatedModelError(
                f"{about} is gated, and the account of your HF_TOKEN has no access yet. Accept "
                f"its licence on {page} with that account, then try again."
            )
        return GatedModelError(
            f"{about} is gated: accept its licence on {page}, create an access token in your "
            "account settings there, set HF_TOKEN to it, and start the app again."
        )
    if error.code in (401, 404):
        if code == "RevisionNotFound":
            return DownloadError(f"{about} has no such revision.")
        if code == "EntryNotFound":
            return DownloadError(f"{about} lists a file that no longer exists.")
        hint = "" if has_token else " If it is private, set HF_TOKEN to a token that may read it."
        return DownloadError(
            f"Hugging Face has no {about}, or doesn't show it (status {error.code}). Check the "
            f"spelling.{hint}"
        )
    return DownloadError(f"Hugging Face refused access to {about} (status {error.code}).")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to https only, or to the endpoint's own host; the token goes to the endpoint only."""

    max_redirections = 6

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """The request that follows. Raises DownloadError if it mustn't be made."""
        target, own = urlsplit(newurl), urlsplit(self._endpoint)
        if target.scheme != "https" and (
            target.scheme != own.scheme or target.hostname != own.hostname
        ):
            fp.close()
            raise DownloadError(
                f"Hugging Face redirects to {target.scheme}://{target.hostname}, which isn't "
                "https; not followed."
            )
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None and (target.scheme, target.netloc) == (own.scheme, own.netloc):
            _authorize(following)
        return following


class _PlainConnection(http.client.HTTPConnection):
    def __init__(self, *arguments: Any, stop: Stop, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._stop = stop

    def connect(self) -> None:
        super().connect()
        self._stop.watch(self.sock)


class _SecureConnection(http.client.HTTPSConnection):
    def __init__(self, *arguments: Any, stop: Stop, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._stop = stop

    def connect(self) -> None:
        super().connect()
        self._stop.watch(self.sock)


class _PlainHandler(urllib.request.HTTPHandler):
    def __init__(self, stop: Stop) -> None:
        super().__init__()
        self._stop = stop

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_PlainConnection, stop=self._stop), req)


class _SecureHandler(urllib.request.HTTPSHandler):
    def __init__(self, stop: Stop) -> None:
        super().__init__()
        self._stop = stop

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(
            partial(_SecureConnection, stop=self._stop), req, context=load_certificates()
        )


def _opener(endpoint: str, stop: Stop) -> urllib.request.OpenerDirector:
    """Opens http and https and nothing else (no file:, no ftp:), through the proxies of the
    environment.
    """
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _PlainHandler(stop),
        _SecureHandler(stop),
        _Redirects(endpoint),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener
