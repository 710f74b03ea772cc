"""A hub for tests: a server on 127.0.0.1 that answers as the real one does, and misbehaves when
asked to.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LATER_COMMIT = "89abcdef0123456789abcdef0123456789abcdef"
TOKEN = "hf_SECRETsecretSECRET"

LARGE = (".safetensors", ".pth")
"""How the names of large files end."""

_CHUNK_BYTES = 16 * 1024


@dataclass
class Repository:
    """Files by name. Those whose names end in one of LARGE are large ones, with a SHA-256."""

    files: dict[str, bytes]
    commit: str = COMMIT
    gated: bool = False
    tags: tuple[str, ...] = ()
    pipeline_tag: str = "text-to-image"
    announced: dict[str, bytes] = field(default_factory=dict)
    """What the listing is made from instead, by name."""

    def siblings(self) -> list[dict[str, Any]]:
        return [_sibling(name, self.announced.get(name, self.files[name])) for name in self.files]


def _sibling(name: str, content: bytes) -> dict[str, Any]:
    blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
    said: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": blob}
    if name.endswith(LARGE):
        said["lfs"] = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
            "pointerSize": 130,
        }
    return said


@dataclass
class Asked:
    """A request that came, and how many bytes of a file were sent."""

    path: str
    headers: Mapping[str, str]
    sent_bytes: int = 0


class FakeHub:
    """The server. Change its attributes to make it misbehave.

    `cut_after_bytes` is after how many bytes of a large file each of the next `cuts` answers breaks
    off; `pause_seconds` waits before each 16 KiB; `stalls` sends nothing more after the first;
    `busy` is how many of the next requests are told 503; `keeps_ranges` False ignores Range;
    `endless` never stops sending and says no length; `moved_to` is where large files are redirected
    to (an address; by default this server).
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.asked: list[Asked] = []
        self.cut_after_bytes, self.cuts = 0, 0
        self.pause_seconds = 0.0
        self.stalls = self.endless = False
        self.busy = 0
        self.keeps_ranges = True
        self.moved_to = ""
        self.search_answer: object = None
        self.released = threading.Event()
        hub = self

        class Handler(_Handler):
            fake = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def sent_bytes(self, part: str = "") -> int:
        """How much of the files was sent whose path has that in it."""
        return sum(asked.sent_bytes for asked in self.asked if part in asked.path)

    def fetched(self) -> set[str]:
        """The names of the files that were asked for."""
        found = (asked.path.partition("/resolve/")[2] for asked in self.asked)
        return {name.partition("/")[2] for name in found if name}

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


def repository_of(folder: Path, **more: Any) -> Repository:
    """A repository with the files of a folder."""
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return Repository(files, **more)


class _Handler(BaseHTTPRequestHandler):
    fake: FakeHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked = Asked(self.path, dict(self.headers))
        self.fake.asked.append(asked)
        self.close_connection = True
        path = unquote(urlsplit(self.path).path)
        if self.fake.busy > 0:
            self.fake.busy -= 1
            self._refuse(503)
        elif path == "/api/models":
            self._json(self.fake.search_answer)
        elif path.startswith("/api/models/"):
            self._api(path.removeprefix("/api/models/"))
        elif path.startswith("/cdn/"):
            hub_id, _, name = path.removeprefix("/cdn/").partition("/files/")
            self._send_file(self.fake.repositories[hub_id].files[name], asked)
        else:
            self._resolve(path.lstrip("/"), asked)

    def _api(self, rest: str) -> None:
        hub_id, _, revision = rest.partition("/revision/")
        repository = self.fake.repositories.get(hub_id)
        if repository is None:
            self._refuse(401, "RepoNotFound")
            return
        if revision not in ("", "main", repository.commit):
            self._refuse(404, "RevisionNotFound")
            return
        said: dict[str, Any] = {
            "id": hub_id,
            "sha": repository.commit,
            "gated": "auto" if repository.gated else False,
            "tags": list(repository.tags),
            "pipeline_tag": repository.pipeline_tag,
            "downloads": 7,
        }
        if "blobs" in parse_qs(urlsplit(self.path).query):
            said["siblings"] = repository.siblings()
        self._json(said)

    def _resolve(self, rest: str, asked: Asked) -> None:
        hub_id, _, tail = rest.partition("/resolve/")
        revision, _, name = tail.partition("/")
        repository = self.fake.repositories[hub_id]
        if repository.gated and asked.headers.get("Authorization") != f"Bearer {TOKEN}":
            has_token = "Authorization" in asked.headers
            self._refuse(403 if has_token else 401, "GatedRepo")
        elif revision != repository.commit or name not in repository.files:
            self._refuse(404, "EntryNotFound")
        elif name.endswith(LARGE):
            self.send_response(302)
            target = self.fake.moved_to or self.fake.address
            self.send_header("Location", f"{target}/cdn/{hub_id}/files/{name}?signature=hidden")
            self.send_header("X-Repo-Commit", repository.commit)
            self.send_header("X-Linked-Size", str(len(repository.files[name])))
            self.send_header("X-Linked-Etag", f'"{_sibling(name, b"")["lfs"]["sha256"]}"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._send_file(repository.files[name], asked)

    def _send_file(self, content: bytes, asked: Asked) -> None:
        start = 0
        wanted = asked.headers.get("Range", "")
        if wanted and self.fake.keeps_ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.send_header("Content-Range", span)
        else:
            self.send_response(200)
        if not self.fake.endless:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        with contextlib.suppress(OSError):  # who asked has gone
            self._send_body(content[start:], asked)

    def _send_body(self, content: bytes, asked: Asked) -> None:
        most = len(content)
        is_large = self.path.startswith("/cdn/")
        if self.fake.cuts > 0 and is_large and most > self.fake.cut_after_bytes:
            self.fake.cuts -= 1
            most = self.fake.cut_after_bytes
        for begin in range(0, most, _CHUNK_BYTES):
            if is_large and self.fake.pause_seconds:
                time.sleep(self.fake.pause_seconds)
            chunk = content[begin : min(begin + _CHUNK_BYTES, most)]
            self.wfile.write(chunk)
            asked.sent_bytes += len(chunk)
            if is_large and self.fake.stalls:
                self.fake.released.wait(60)
                return
        while self.fake.endless and is_large and not self.fake.released.is_set():
            self.wfile.write(bytes(_CHUNK_BYTES))
            asked.sent_bytes += _CHUNK_BYTES

    def _json(self, content: object) -> None:
        text = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _refuse(self, status: int, code: str = "") -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
