"""URLs lead into the internet only, by whatever spelling or redirect."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextvars import copy_context
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from paintdiff.errors import RequestError
from paintdiff.server import url_fetcher
from paintdiff.server.identities import THIS_MACHINE, Identity, current_identity
from paintdiff.server.url_fetcher import UrlFetcher, is_public, resolve
from paintdiff.server.visitors import current_visitor

FILE = b"\x89PNG" + b"x" * 100_000


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.255.0.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1"),
        *("169.254.169.254", "100.64.0.1", "192.0.0.1", "198.18.0.1", "224.0.0.1", "240.0.0.1"),
        *("255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1"),
        *("fec0::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"),
        *("::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::7f00:1"),
        *("2002:7f00:1::", "2002:a00:1::1", "2001:0:1::1", "", "localhost", "1"),
    ],
)
def test_what_is_no_address_of_the_internet(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "2002:808:808::1"]
)
def test_what_is_one(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://0/",
        "http://localhost/",
        "http://localhost./",
        "http://LOCALHOST:7860/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1:8443/",
    ],
)
def test_this_machine_and_its_network_are_never_reached(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: Any, **__: Any) -> Any:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(url_fetcher.socket, "create_connection", connect)
    # Some systems know no "localhost.", so there is nothing to connect to either.
    with pytest.raises(RequestError, match=r"private network|can't be fetched"):
        UrlFetcher().fetch(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "file:///etc/passwd",
        "ftp://example.org/x",
        "gopher://example.org/",
        "http://",
        "http:///x",
        "http://user:pw@example.org/",
        "http://example.org@127.0.0.1/",
        "http://example.org:22/",
        "http://example.org:99999/",
        "http://example.org:x/",
        "http://exam ple.org/",
        "http://example.org/\r\nX: y",
        "http://example.org/\x00",
        "http://①②⑦.⓪.⓪.①/",
        "http://[::1",
        "http://example.org/" + "x" * 3000,
    ],
)
def test_what_is_no_url_is_not_looked_up(url: str) -> None:
    def look_up(host: str, port: int) -> list[str]:
        raise AssertionError("a name was looked up")

    with pytest.raises(RequestError, match="can't be used"):
        UrlFetcher(look_up).fetch(url)


class Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/file":
                self.reply(200, FILE)
            case "/missing":
                self.reply(404, b"")
            case "/loop":
                self.reply(302, b"", "/loop")
            case "/away":
                self.reply(302, b"", self.path.partition("?")[2])
            case "/endless":
                self.send_response(200)
                self.end_headers()
                for _ in range(10_000):
                    self.wfile.write(FILE)
            case "/short":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"x")
            case "/slow":
                self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                for _ in range(200):
                    self.wfile.write(b"X: y\r\n")
                    self.wfile.flush()
                    time.sleep(0.05)
            case _:
                raise AssertionError(self.path)

    def reply(self, status: int, body: bytes, location: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture(scope="module")
def site() -> Iterator[int]:
    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            return  # clients leave on purpose

    server = Server(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def names(host: str, port: int) -> list[str]:
    """Look up names of this test: pictures.test is here, everything else as usual."""
    return ["127.0.0.1"] if host == "pictures.test" else resolve(host, port)


@pytest.fixture
def fetch(site: int) -> Callable[[str], bytes]:
    """Fetch a path of the site, which is let through although it is on this machine."""
    looked_up: list[str] = []

    def look_up(host: str, port: int) -> list[str]:
        looked_up.append(host)
        return names(host, port) if port == site else [f"lan:{host}"]

    fetcher = UrlFetcher(look_up, lambda address: address == "127.0.0.1")
    return lambda path: fetcher.fetch(f"http://pictures.test:{site}{path}")


def test_a_file_is_fetched(fetch: Callable[[str], bytes], site: int) -> None:
    assert fetch("/file") == FILE
    assert fetch(f"/away?http://pictures.test:{site}/file") == FILE
    assert fetch("/away?/file") == FILE


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/missing", "status 404"),
        ("/loop", "more than 5 times"),
        ("/endless", "more than 16,777,216 bytes"),
        ("/short", "can't be fetched"),
        ("/away?http://127.0.0.1:8080/", "private network"),
        ("/away?http://lan.test:8080/", "private network"),
        ("/away?file:///etc/passwd", "can't be used"),
        ("/away?", "more than 5 times|can't be used"),
    ],
)
def test_what_goes_wrong_is_said(fetch: Callable[[str], bytes], path: str, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        fetch(path)


def test_whoever_sends_slowly_is_cut_off(
    fetch: Callable[[str], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(url_fetcher, "MAX_SECONDS", 0.3)
    with pytest.raises(RequestError, match="too long"):
        fetch("/slow")


def test_a_name_is_looked_up_once_and_all_its_addresses_are_checked(site: int) -> None:
    """A name server that answers differently the second time changes nothing."""
    answers = [["127.0.0.1"], ["10.0.0.1"]]
    fetcher = UrlFetcher(lambda *_: answers.pop(0), lambda address: address == "127.0.0.1")
    assert fetcher.fetch(f"http://rebinding.test:{site}/file") == FILE
    assert len(answers) == 1
    mixed = UrlFetcher(lambda *_: ["8.8.8.8", "127.0.0.1"])
    with pytest.raises(RequestError, match="private network"):
        mixed.fetch("http://mixed.test/")


class Waiting:
    """Fetches that wait for their name server, each of a visitor."""

    def __init__(self) -> None:
        self._leave = threading.Event()
        self._entered = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []
        self.fetcher = UrlFetcher(self._look_up)

    def _look_up(self, host: str, port: int) -> list[str]:
        self._entered.release()
        self._leave.wait(60)
        return []

    def _fetch(self, visitor: str, identity: Identity) -> None:
        current_visitor.set(visitor)
        current_identity.set(identity)
        with pytest.raises(RequestError, match="private network"):
            self.fetcher.fetch("http://slow.test/")

    def begin(self, visitor: str = "", identity: Identity = THIS_MACHINE) -> None:
        """Begin a fetch, and return once it waits."""
        run = copy_context().run
        thread = threading.Thread(target=run, args=(self._fetch, visitor, identity))
        thread.start()
        self._threads.append(thread)
        assert self._entered.acquire(timeout=60)

    def refuses(self, visitor: str = "", identity: Identity = THIS_MACHINE) -> str:
        """Return why a fetch is refused at once."""

        def fetch() -> str:
            current_visitor.set(visitor)
            current_identity.set(identity)
            with pytest.raises(RequestError) as refused:
                self.fetcher.fetch("http://refused.test/")
            return str(refused.value)

        return copy_context().run(fetch)

    def end(self) -> None:
        """Let all go on, and wait for them."""
        self._leave.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    fetches = Waiting()
    yield fetches
    fetches.end()


def test_so_many_are_fetched_at_once_and_no_more(waiting: Waiting) -> None:
    for _ in range(url_fetcher.MAX_AT_ONCE):
        waiting.begin()
    assert "Too many" in waiting.refuses()
    assert "Too many" in waiting.refuses("192.0.2.1")
    waiting.end()
    with pytest.raises(RequestError, match="private network"):
        waiting.fetcher.fetch("http://later.test/")


def test_a_visitor_leaves_places_for_others(waiting: Waiting) -> None:
    hidden = [Identity(name, sees_all=False) for name in ("one", "two", "three")]
    for each in ("192.0.2.1", "192.0.2.1", "192.0.2.2"):
        waiting.begin(each, hidden[0])
    assert "At most 2 of your requests" in waiting.refuses("192.0.2.1", hidden[1])
    for each in hidden[:2]:
        waiting.begin("", each)
    assert "At most 2 of your requests" in waiting.refuses("", hidden[2])
    for _ in range(3):
        waiting.begin()
    assert "Too many" in waiting.refuses("192.0.2.2", hidden[0])
