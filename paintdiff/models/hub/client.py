"""An HTTP client for Hugging Face: token, safe redirects, bounded responses, quick cancellation.

`huggingface_hub` 2.4 offers none of this: it discards interrupted files, verifies no checksums,
can't be cancelled, and reads tokens from files. Importable without torch.
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
from paintdiff.models.hub import messages
from paintdiff.models.hub.certificates import load_certificates

MAX_JSON_BYTES = 32 * 2**20
"""More than any list of files or models takes; a longer response is refused."""

_TOKEN = re.compile(r"[\x21-\x7e]+")
_BUSY = frozenset({408, 429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d*/(\d+|\*)")


class Stop:
    """A thread-safe cancellation signal. It also interrupts a pending read from a socket."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def set(self) -> None:
        """Cancel."""
        self._event.set()
        with self._lock:
            self._shut()

    def is_set(self) -> bool:
        """Return whether it was cancelled."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for cancellation, at most `seconds`. Return whether it was cancelled."""
        return self._event.wait(seconds)

    def check(self) -> None:
        """Raise DownloadCancelledError if it was cancelled."""
        if self._event.is_set():
            raise DownloadCancelledError(messages.DOWNLOAD_CANCELLED)

    def watch(self, sock: socket.socket) -> None:
        """Shut this socket down upon cancellation."""
        with self._lock:
            self._socket = sock
            if self._event.is_set():
                self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # already closed
                # An SSL socket's own method would release the object that another thread reads
                # from.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


@dataclass(frozen=True)
class Stream:
    """A response body that begins at byte `start` of a file of `total_bytes` (None: unknown)."""

    start: int
    total_bytes: int | None
    _answer: Any

    def read(self, most_bytes: int) -> bytes:
        """Read up to `most_bytes`, b"" at the end.

        Raises:
            HubUnavailableError: The connection broke.
        """
        with _translate_connection_errors():
            return self._answer.read1(most_bytes)


class HubClient:
    """A client for one download or search. `stop` interrupts whatever it waits for."""

    def __init__(self, stop: Stop | None = None) -> None:
        from huggingface_hub import constants  # noqa: PLC0415 (keeps the start of the app fast)

        self.endpoint: str = constants.ENDPOINT
        self._offline: bool = constants.HF_HUB_OFFLINE
        self._timeout_seconds = float(constants.HF_HUB_DOWNLOAD_TIMEOUT)
        self.stop = stop if stop is not None else Stop()
        self._opener = _build_opener(self.endpoint, self.stop)

    def check_allowed(self, about: str) -> None:
        """Raise HubUnavailableError if HF_HUB_OFFLINE is set."""
        if self._offline:
            raise HubUnavailableError(messages.not_here_and_offline(about))

    def get_json(self, path: str, query: Iterable[tuple[str, str]] = (), *, about: str) -> object:
        """Request JSON from `path` below the endpoint. `about` names the subject in messages.

        Raises:
            DownloadError: The request failed, or the response isn't valid.
        """
        address = f"{self.endpoint}{path}?{urlencode(list(query))}".rstrip("?")
        with self._open(address, {}, about) as answer, _translate_connection_errors():
            announced = answer.headers.get("Content-Length", "")
            text: bytes = answer.read(MAX_JSON_BYTES + 1)
        self.stop.check()
        if announced.isdecimal() and len(text) < min(int(announced), MAX_JSON_BYTES):
            raise HubUnavailableError(messages.CONNECTION_LOST)
        if len(text) > MAX_JSON_BYTES:
            raise DownloadError(messages.answer_too_large(about, MAX_JSON_BYTES))
        try:
            return json.loads(text)
        except ValueError as error:
            raise DownloadError(messages.answer_not_json(about, error)) from error

    @contextlib.contextmanager
    def stream(self, hub_id: str, commit: str, name: str, start: int) -> Generator[Stream]:
        """Stream a repository's file, from byte `start` on if the server supports that.

        Raises:
            DownloadError: The request failed, or the connection broke while reading.
        """
        address = f"{self.endpoint}/{quote(hub_id)}/resolve/{quote(commit, safe='')}/{quote(name)}"
        wanted = {"Range": f"bytes={start}-"} if start else {}
        with self._open(address, wanted, hub_id) as answer:
            began, total = 0, answer.headers.get("Content-Length")
            if answer.status == 206:
                found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
                if found is None or int(found[1]) != start:
                    raise DownloadError(messages.wrong_part(name))
                began, total = start, found[2]
            known = int(total) if total is not None and total.isdecimal() else None
            yield Stream(began, known, answer)

    @contextlib.contextmanager
    def _open(
        self, address: str, headers: Mapping[str, str], about: str
    ) -> Generator[http.client.HTTPResponse]:
        self.check_allowed(about)
        self.stop.check()
        request = urllib.request.Request(
            address, headers={"User-Agent": "PaintDiffusion", **headers}
        )
        _authorize(request)
        try:
            with _translate_connection_errors():
                answer = self._opener.open(request, timeout=self._timeout_seconds)
        except urllib.error.HTTPError as error:
            with error:
                self.stop.check()
                raise _explain_refusal(error, about, self.endpoint) from error
        except HubUnavailableError:
            self.stop.check()
            raise
        with answer:
            yield answer


def _authorize(request: urllib.request.Request) -> None:
    """Add the environment's access token, if any, to a request."""
    token = os.environ.get("HF_TOKEN", "").strip()
    if not token:
        return
    if not _TOKEN.fullmatch(token):  # the library's message would show the token
        raise DownloadError(messages.INVALID_TOKEN)
    request.add_unredirected_header("Authorization", f"Bearer {token}")


@contextlib.contextmanager
def _translate_connection_errors() -> Generator[None]:
    """Turn connection errors inside the block into HubUnavailableError."""
    try:
        yield
    except urllib.error.HTTPError:
        raise
    except urllib.error.URLError as error:
        raise HubUnavailableError(messages.unreachable(error.reason)) from error
    except (http.client.HTTPException, OSError, ValueError) as error:
        # A socket that is shut down during a read raises ValueError.
        reason = messages.TOOK_TOO_LONG if isinstance(error, TimeoutError) else str(error)
        raise HubUnavailableError(messages.connection_lost_because(reason)) from error


def _explain_refusal(error: urllib.error.HTTPError, about: str, endpoint: str) -> DownloadError:
    """Explain an HTTP error. Its own text isn't shown: it may contain a signed address."""
    code = error.headers.get("X-Error-Code", "")
    has_token = bool(os.environ.get("HF_TOKEN", "").strip())
    if error.code in _BUSY:
        after = error.headers.get("Retry-After", "")
        return HubUnavailableError(
            messages.unavailable(error.code),
            retry_after_seconds=float(after) if after.isdecimal() else 0.0,
        )
    if code == "GatedRepo" or (error.code == 403 and code != "RepoNotFound"):
        page = f"{endpoint}/{about}"
        if has_token:
            return GatedModelError(messages.gated_for_this_account(about, page))
        return GatedModelError(messages.gated(about, page))
    if error.code in (401, 404):
        if code == "RevisionNotFound":
            return DownloadError(messages.no_such_revision(about))
        if code == "EntryNotFound":
            return DownloadError(messages.file_gone(about))
        return DownloadError(messages.not_found(about, error.code, has_token=has_token))
    return DownloadError(messages.access_refused(about, error.code))


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https or the endpoint's own host; only the endpoint gets the token."""

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
        """Return the redirected request. Raise DownloadError if the target isn't allowed."""
        target, own = urlsplit(newurl), urlsplit(self._endpoint)
        if target.scheme != "https" and (
            target.scheme != own.scheme or target.hostname != own.hostname
        ):
            fp.close()
            raise DownloadError(messages.insecure_redirect(target.scheme, target.hostname))
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


def _build_opener(endpoint: str, stop: Stop) -> urllib.request.OpenerDirector:
    """Build an opener for http and https only, with the environment's proxies."""
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
