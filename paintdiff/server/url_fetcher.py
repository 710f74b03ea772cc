"""Fetches pictures from addresses in requests, and never from a private network."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from paintdiff.errors import RequestError
from paintdiff.server import messages
from paintdiff.server.identities import current_identity
from paintdiff.server.visitors import current_visitor

MAX_BYTES = 16 * 2**20
MAX_SECONDS = 20.0
MAX_REDIRECTS = 5
MAX_URL_CHARACTERS = 2048
MAX_AT_ONCE = 8
MAX_AT_ONCE_PER_VISITOR = 2
"""How many of them may be one visitor's, who can name servers that answer slowly."""
_CHUNK_BYTES = 64 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LEAST_HIGH_PORT = 1024
_PORTS = {"http": 80, "https": 443}
_IPV4_INSIDE = (
    # An IPv6 address may lead to an IPv4 one that it contains, from this bit on.
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),
    (ipaddress.IPv6Network("64:ff9b:1::/48"), 0),
    (ipaddress.IPv6Network("::/96"), 0),
    (ipaddress.IPv6Network("2002::/16"), 80),
)

Resolver = Callable[[str, int], list[str]]


def is_public(address: str) -> bool:
    """Return whether an address is one of the internet: not private, local, shared or reserved."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return is_public(str(parsed.ipv4_mapped))
        if parsed.teredo is not None or parsed.is_site_local:
            return False
        for network, shift in _IPV4_INSIDE:
            if parsed in network:
                inside = int(parsed) >> shift & 0xFFFFFFFF
                return shift > 0 and is_public(str(ipaddress.IPv4Address(inside)))
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host.

    Raises:
        OSError: It has none, or can't be looked up.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


@dataclass(frozen=True)
class _Target:
    """Where a URL leads: the address was checked, and is the one to connect to."""

    url: SplitResult
    host: str
    port: int
    address: str


class UrlFetcher:
    """Fetches files by http and https. Threads may share it.

    Each redirect is checked like the first URL. A host is looked up once, and the connection goes
    to the address that was checked, so no answer of a name server can change it in between.
    Environment variables for proxies don't count. `is_allowed` says which addresses may be reached.
    """

    def __init__(
        self, resolver: Resolver = resolve, is_allowed: Callable[[str], bool] = is_public
    ) -> None:
        self._resolve = resolver
        self._is_allowed = is_allowed
        self._counting = threading.Lock()
        self._fetching = Counter[tuple[str, bool]]()  # by visitor, and whether limits hold for them
        self._tls = ssl.create_default_context()

    def fetch(self, url: str, max_bytes: int = MAX_BYTES) -> bytes:
        """Return the file at a URL. Blocks, at most about MAX_SECONDS.

        Raises:
            RequestError: The URL can't be used, leads to a private network, or what is there is too
                large, too slow, or an error; or too many are being fetched, of the visitor or
                altogether.
        """
        with self._take_place():
            try:
                return self._follow(url, max_bytes)
            except (OSError, http.client.HTTPException, ValueError) as error:
                if isinstance(error, RequestError):
                    raise
                raise RequestError(messages.NOT_FETCHED) from error

    @contextmanager
    def _take_place(self) -> Generator[None]:
        """Count a fetch of the current visitor while it lasts.

        Whoever sees everything on this machine may take all places. All visitors whose addresses
        are hidden count as one.
        """
        visitor = current_visitor.get()
        sharer = visitor, bool(visitor) or not current_identity.get().sees_all
        with self._counting:
            if sharer[1] and self._fetching[sharer] >= MAX_AT_ONCE_PER_VISITOR:
                raise RequestError(messages.too_many_fetches_of_yours(MAX_AT_ONCE_PER_VISITOR))
            if self._fetching.total() >= MAX_AT_ONCE:
                raise RequestError(messages.TOO_MANY_FETCHES)
            self._fetching[sharer] += 1
        try:
            yield
        finally:
            with self._counting:
                self._fetching -= Counter([sharer])

    def _follow(self, url: str, max_bytes: int) -> bytes:
        end = time.monotonic() + MAX_SECONDS
        for _ in range(MAX_REDIRECTS + 1):
            found = self._fetch_once(self._find_target(url), max_bytes, end)
            if isinstance(found, bytes):
                return found
            url = urljoin(url, found)
        raise RequestError(messages.too_many_redirects(MAX_REDIRECTS))

    def _find_target(self, url: str) -> _Target:
        if len(url) > MAX_URL_CHARACTERS or not url.isascii() or not url.isprintable():
            raise RequestError(messages.UNUSABLE_URL)
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise RequestError(messages.UNUSABLE_URL) from error
        usual = _PORTS.get(parts.scheme)
        if usual is None or not host or parts.username is not None or " " in url:
            raise RequestError(messages.UNUSABLE_URL)
        port = usual if port is None else port
        if port not in _PORTS.values() and port < _LEAST_HIGH_PORT:
            raise RequestError(messages.UNUSABLE_URL)
        addresses = self._resolve(host, port)
        if not addresses or not all(self._is_allowed(each) for each in addresses):
            raise RequestError(messages.PRIVATE_ADDRESS)
        return _Target(parts, host, port, addresses[0])

    def _fetch_once(self, target: _Target, max_bytes: int, end: float) -> bytes | str:
        """Return what is there, or the URL that it redirects to."""
        rest = end - time.monotonic()
        if rest <= 0:
            raise RequestError(messages.FETCH_TOO_SLOW)
        connection = _Connection(target, self._tls, rest)
        timer = threading.Timer(rest, connection.cut)
        timer.daemon = True
        timer.start()
        try:
            path = target.url.path or "/"
            query = f"?{target.url.query}" if target.url.query else ""
            headers = {"Accept": "image/*", "Accept-Encoding": "identity"}
            connection.request("GET", path + query, headers=headers)
            with connection.getresponse() as response:
                found = _read_answer(response, max_bytes)
            if connection.was_cut:  # an answer that was cut off within its header looks whole
                raise RequestError(messages.FETCH_TOO_SLOW)
            return found
        except (OSError, http.client.HTTPException) as error:
            if connection.was_cut:
                raise RequestError(messages.FETCH_TOO_SLOW) from error
            raise
        finally:
            timer.cancel()
            connection.close()


def _read_answer(response: http.client.HTTPResponse, max_bytes: int) -> bytes | str:
    if response.status in _REDIRECTS:
        return response.getheader("Location") or ""
    if response.status != 200:
        raise RequestError(messages.fetched_an_error(response.status))
    return _read(response, max_bytes)


def _read(response: http.client.HTTPResponse, max_bytes: int) -> bytes:
    data = bytearray()
    while chunk := response.read1(_CHUNK_BYTES):
        data += chunk
        if len(data) > max_bytes:
            raise RequestError(messages.fetched_too_much(max_bytes))
    if response.length:  # fewer bytes than it said
        raise RequestError(messages.NOT_FETCHED)
    return bytes(data)


class _Connection(http.client.HTTPConnection):
    """A connection to a checked address, by TLS for https. `cut` ends it from another thread."""

    def __init__(self, target: _Target, tls: ssl.SSLContext, seconds: float) -> None:
        super().__init__(target.host, target.port, timeout=seconds)
        self._target = target
        self._tls = tls
        self.was_cut = False
        self.sock: Any = None

    def connect(self) -> None:
        """Connect to the address, not to the name."""
        place = (self._target.address, self._target.port)
        self.sock = socket.create_connection(place, self.timeout)
        if self._target.url.scheme == "https":
            self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._target.host)

    def cut(self) -> None:
        """End the connection, whatever it waits for."""
        self.was_cut = True
        if self.sock is not None:
            _shut(self.sock)


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        connection.close()  # it wasn't connected yet, or is closed by the other side
