"""An app on a socket that breaks off, is restarted, and is busy, as a test wants it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from paintdiff.api.context import ApiContext
from paintdiff.client import connection
from paintdiff.engine.engine import Engine
from paintdiff.gallery.files.saving import PictureFolder
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.recording import Recorder
from paintdiff.gallery.records.query import PictureQuery
from paintdiff.models.hub.downloads import Downloads
from paintdiff.models.manager.model_manager import ModelManager
from tests.api.conftest import serve


@dataclass
class Fault:
    """What becomes of the next request of a method, below a path.

    With a `status` it isn't passed on. Else its answer breaks off, at the first piece that contains
    `at`; b"" is the first of all.
    """

    method: str
    path: str
    status: int = 0
    at: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])


class LiveApp:
    """An app with the embedded model, at an address of its own."""

    def __init__(self, manager: ModelManager, folder: Path) -> None:
        self._manager = manager
        self.folder = folder
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Start it, without memory of earlier jobs."""
        self.gallery = Gallery(self.folder)
        pictures = PictureFolder(self.folder)
        self.engine = Engine(
            self._manager, store=pictures, recorder=Recorder(self.gallery, pictures), queue_size=2
        )
        self._app = serve(ApiContext(self.engine, self.gallery, Downloads()))
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        config = uvicorn.Config(self, log_level="critical", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listening],), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop it, in the middle of whatever it does."""
        self._server.should_exit = True
        self._thread.join(60)
        self.engine.close()
        self.gallery.close()

    def saved(self) -> list[bytes]:
        """The files of its pictures, the oldest first."""
        records = [*self.gallery.store.records(PictureQuery())]
        return [self.gallery.path_of(each.file).read_bytes() for each in reversed(records)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            self.requests.append((scope["method"], scope["path"], headers))
        fault = self._take_fault(scope)
        if fault is None:
            await self._app(scope, receive, send)
        elif fault.status:
            await Response("busy", fault.status, fault.headers)(scope, receive, send)
        else:

            async def broken_send(message: Message) -> None:
                if message["type"] == "http.response.body" and fault.at in message["body"]:
                    raise ConnectionAbortedError
                await send(message)

            await self._app(scope, receive, broken_send)

    def _take_fault(self, scope: Scope) -> Fault | None:
        for fault in self.faults:
            of_method = scope["type"] == "http" and scope["method"] == fault.method
            if of_method and scope["path"].startswith(fault.path):
                self.faults.remove(fault)
                return fault
        return None


@pytest.fixture
def live(mini_manager: ModelManager, tmp_path: Path) -> Iterator[LiveApp]:
    app = LiveApp(mini_manager, tmp_path / "server")
    yield app
    app.stop()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_WAIT_SECONDS", 0.01)
