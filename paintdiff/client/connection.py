"""A connection to a server: it tries again when that helps, and reads no answer without a limit."""

from __future__ import annotations

import ipaddress
import json
import random
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO, NoReturn, TypeVar, cast

import httpx

from paintdiff.client import messages
from paintdiff.errors import (
    AccessRefusedError,
    JobCancelledError,
    JobNotFoundError,
    PaintError,
    PictureNotFoundError,
    RequestError,
    ServerError,
    ServerUnavailableError,
)
from paintdiff.version import __version__

MAX_UNREACHED_SECONDS = 10.0
"""How long to wait altogether for a server that hasn't answered yet: its address may be wrong."""
MAX_OUTAGE_SECONDS = 180.0
"""How long to wait altogether for one that has: it may be restarting."""
MAX_QUEUE_SECONDS = 3600.0
"""How long to wait altogether for a place in its queue."""
FIRST_WAIT_SECONDS = 0.5
MAX_WAIT_SECONDS = 30.0
"""The longest wait between two tries, unless the server names a longer one."""
MAX_ASKED_SECONDS = 600.0
"""The longest wait that a server may ask for."""
MAX_ANSWER_BYTES = 64 * 2**20
MAX_ERROR_BYTES = 64 * 2**10
MAX_FILE_BYTES = 2 * 2**30
"""A picture of 16,384 x 16,384 pixels has at most 1 GiB as a PNG."""
_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
_HOST = re.compile(rb"[A-Za-z0-9._:-]+")
_UNUSABLE = (400, 413, 422)
_BUSY = (502, 503, 504)

_Result = TypeVar("_Result")


class Connection:
    """Requests to one server, with a key or with the name and password in its URL.

    `notify` gets a sentence before each wait. Threads may share it.

    Raises:
        RequestError: (for "server" or "key") The URL or the key can't be used.
    """

    def __init__(
        self, url: str, key: str | None = None, notify: Callable[[str], object] = lambda _: None
    ) -> None:
        parsed = _parse_url(url)
        self.url = str(parsed.copy_with(userinfo=b"")).rstrip("/")
        """The server's URL, without a password."""
        self.notify = notify
        self._answered = False
        headers = {"User-Agent": f"paintdiffusion/{__version__}"}
        auth = (parsed.username, parsed.password) if parsed.username else None
        if key is not None:
            if not key.isascii() or not key.isprintable() or " " in key:
                raise RequestError(messages.unusable_key(), field="key")
            headers["Authorization"] = f"Bearer {key}"
            auth = None
        self._client = httpx.Client(
            auth=auth,
            headers=headers,
            timeout=_TIMEOUT,
            trust_env=not _is_loopback(parsed.host),  # a proxy would look on its own machine
        )

    def close(self) -> None:
        """Close it."""
        self._client.close()

    def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the object at a path.

        Raises:
            PaintError: The server refuses, or can't be reached.
        """
        return self.send("GET", path, query=query)

    def send(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        stop: threading.Event | None = None,
    ) -> dict[str, Any]:
        """Return the object that the server answers with.

        A body is JSON. The request may be sent several times, so it must mean the same then. Once
        `stop` is set, nothing is waited for.

        Raises:
            PaintError: The server refuses, or can't be reached.
            JobCancelledError: `stop` was set.
        """
        kind = {} if body is None else {"Content-Type": "application/json"}

        def attempt() -> dict[str, Any]:
            with self._open(method, path, query, {**kind, **(headers or {})}, body) as response:
                return self._read_object(response)

        return self.retry(attempt, stop)

    def fetch(self, path: str, file: BinaryIO, stop: threading.Event | None = None) -> None:
        """Write what is at a path to a file, as it is there.

        Raises:
            PaintError: The server refuses, or can't be reached.
            OSError: The file can't be written.
        """

        def attempt() -> None:
            file.seek(0)
            file.truncate()
            with self._open("GET", path) as response:
                for chunk in self.read(response, MAX_FILE_BYTES):
                    file.write(chunk)

        self.retry(attempt, stop)

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str]) -> Generator[httpx.Response]:
        """Open what is at a path, once; within `retry`, a broken connection is tried again.

        Raises:
            PaintError: The server refuses.
        """
        with self._open("GET", path, headers=headers) as response:
            yield response

    def retry(self, attempt: Callable[[], _Result], stop: threading.Event | None = None) -> _Result:
        """Return what `attempt` returns, after as many tries as are sensible.

        Raises:
            PaintError: The server refuses, can't be reached, or stays busy.
            JobCancelledError: `stop` was set while waiting.
        """
        waits = Waits(self.notify, stop)
        while True:
            try:
                return attempt()
            except (httpx.TransportError, BusyError) as error:
                waits.wait(self.judge(error))

    def judge(self, error: httpx.TransportError | BusyError) -> BusyError:
        """Return how to wait after an error.

        Raises:
            RequestError: Waiting won't help.
        """
        if isinstance(error, BusyError):
            return error
        if isinstance(error, httpx.UnsupportedProtocol):
            raise RequestError(messages.not_a_url(self.url), field="server")
        most = MAX_OUTAGE_SECONDS if self._answered else MAX_UNREACHED_SECONDS
        return BusyError(messages.unreachable(self.url, error), most)

    @contextmanager
    def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Generator[httpx.Response]:
        with self._client.stream(
            method, f"{self.url}{path}", params=query, headers=headers, content=body
        ) as response:
            self._answered = True
            if response.status_code >= 300:
                self._refuse(response)
            yield response

    def read(self, response: httpx.Response, most: int) -> Iterator[bytes]:
        """Yield an answer's bytes, `most` of them at most.

        Raises:
            ServerError: There are more.
        """
        count = 0
        for chunk in response.iter_bytes():
            count += len(chunk)
            if count > most:
                raise ServerError(messages.answer_too_large(self.url, most))
            yield chunk

    def _read_object(self, response: httpx.Response) -> dict[str, Any]:
        content = b"".join(self.read(response, MAX_ANSWER_BYTES))
        if response.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise ServerError(messages.not_paintdiffusion(self.url, response.status_code))
        return self.parse_object(content)

    def parse_object(self, content: bytes | str) -> dict[str, Any]:
        """Return the object in a JSON text.

        Raises:
            ServerError: There is none.
        """
        try:
            parsed: object = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ServerError(messages.unreadable_answer(self.url)) from error
        if not isinstance(parsed, dict):
            raise ServerError(messages.unreadable_answer(self.url))
        return cast("dict[str, Any]", parsed)

    def _refuse(self, response: httpx.Response) -> NoReturn:
        """Raise the error of an answer that isn't a success."""
        status = response.status_code
        if status < 400:
            raise ServerError(messages.redirected(self.url, response.headers.get("location", "")))
        problem = _parse_problem(b"".join(self.read(response, MAX_ERROR_BYTES)))
        detail, field = problem.get("detail"), problem.get("field")
        if not isinstance(detail, str):
            if status not in (429, *_BUSY):
                raise ServerError(messages.not_paintdiffusion(self.url, status))
            detail = f"{status} {response.reason_phrase}"
        if status in (429, *_BUSY):
            most = MAX_QUEUE_SECONDS if status == 429 else MAX_OUTAGE_SECONDS
            after = _parse_wait(response.headers.get("retry-after", ""))
            raise BusyError(messages.busy(self.url, detail), most, after)
        if status == 401:
            raise AccessRefusedError(messages.key_needed(self.url, detail))
        if status == 403:
            raise AccessRefusedError(messages.refused(self.url, detail))
        if status == 404:
            of_job = "/api/jobs/" in response.request.url.path
            raise (JobNotFoundError if of_job else PictureNotFoundError)(detail)
        raise make_error(status, detail, field)


class BusyError(Exception):
    """The server can't answer now: try again `after` that many seconds, `most` altogether."""

    def __init__(self, reason: str, most: float, after: float | None = None) -> None:
        super().__init__(reason)
        self.most = most
        self.after = after


class Waits:
    """The waits between the tries of one thing, each longer than the last."""

    def __init__(self, notify: Callable[[str], object], stop: threading.Event | None) -> None:
        self._notify = notify
        self._stop = stop or threading.Event()
        self.restart()

    def restart(self) -> None:
        """Begin with short waits again: something has succeeded."""
        self._tries, self._waited_seconds = 0, 0.0

    def wait(self, busy: BusyError) -> None:
        """Wait before the next try.

        Raises:
            ServerUnavailableError: It was tried for long enough.
            JobCancelledError: `stop` is set.
        """
        own = min(MAX_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** min(self._tries, 10))
        seconds = own * random.uniform(0.75, 1.0) if busy.after is None else busy.after
        if self._waited_seconds + seconds > busy.most:
            raise ServerUnavailableError(str(busy)) from busy.__cause__
        self._tries += 1
        self._waited_seconds += seconds
        if self._tries > 1 or seconds > FIRST_WAIT_SECONDS:  # a short one is nobody's concern
            self._notify(messages.trying_again(str(busy), seconds))
        if self._stop.wait(seconds):
            raise JobCancelledError(messages.INTERRUPTED)


def make_error(status: int, detail: str, field: object = None) -> PaintError:
    """Return the error that a server describes by an HTTP status and a sentence."""
    if status in _UNUSABLE:
        name = field[:200] if isinstance(field, str) else None
        return RequestError(detail, field=name)
    return PaintError(detail)


def _parse_url(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url if "://" in url else f"http://{url}")
    except (httpx.InvalidURL, ValueError) as error:
        raise RequestError(messages.not_a_url(_hide_password(url)), field="server") from error
    usable = parsed.scheme in ("http", "https") and _HOST.fullmatch(parsed.raw_host)
    if not usable or parsed.query or parsed.fragment:
        raise RequestError(messages.not_a_url(_hide_password(url)), field="server")
    return parsed


def _hide_password(url: str) -> str:
    return url.rpartition("@")[2]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _parse_wait(text: str) -> float | None:
    """Return the seconds of a Retry-After header: a number, or a date; None without one."""
    if text.isascii() and text.isdigit():
        return min(MAX_ASKED_SECONDS, float(text[:9]))
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return min(MAX_ASKED_SECONDS, max(0.0, moment.timestamp() - time.time()))


def _parse_problem(content: bytes) -> dict[str, Any]:
    try:
        parsed: object = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {}
