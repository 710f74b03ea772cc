"""An API over the embedded model, with a gallery, behind the guard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from paintdiff.api.context import ApiContext
from paintdiff.api.routes import API_ROUTES, ERROR_SHAPES, api_routes
from paintdiff.engine.engine import Engine
from paintdiff.gallery.files.saving import PictureFolder
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.recording import Recorder
from paintdiff.models.hub.downloads import Downloads
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.server.access import Access
from paintdiff.server.authentication.gate import Gate
from paintdiff.server.guard import Guard, Hosts
from paintdiff.server.page_events import PageEvents
from paintdiff.server.problems import ErrorShapes
from paintdiff.server.routes import RouteTable
from paintdiff.server.sessions import NoEvents, Sessions


@dataclass(frozen=True)
class Served:
    """A served API. The server's machine and a visitor elsewhere see it through the same guard."""

    app: Guard
    context: ApiContext

    def connect(self, *, elsewhere: bool = False) -> TestClient:
        """Return a client on this machine, or one `elsewhere` with cookies of its own."""
        if elsewhere:
            return TestClient(self.app, "http://studio.lan", client=("192.0.2.1", 1))
        return TestClient(self.app, "http://localhost", client=("127.0.0.1", 1))


@pytest.fixture(scope="module")
def served(
    mini_manager: ModelManager, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("pictures")
    gallery, downloads = Gallery(folder), Downloads()
    pictures = PictureFolder(folder)
    recorder = Recorder(gallery, pictures)
    with Engine(mini_manager, store=pictures, recorder=recorder, queue_size=4) as engine:
        context = ApiContext(engine, gallery, downloads)
        yield Served(serve(context), context)
    downloads.close()
    gallery.close()


@pytest.fixture
def client(served: Served) -> Iterator[TestClient]:
    with served.connect() as connected:
        yield connected


def serve(context: ApiContext, gate: Gate | None = None) -> Guard:
    """Return the API of a context behind the guard."""
    server = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    server.include_router(api_routes(context))
    hosts = Hosts()
    hosts.allow("studio.lan")  # as for a share link
    shapes = ErrorShapes(ERROR_SHAPES)
    table = RouteTable(API_ROUTES)
    access = Access(server, PageEvents({}), Sessions(NoEvents()), table=table, shapes=shapes)
    return Guard(access, hosts, gate or Gate(), shapes=shapes)


def folder_of(context: ApiContext) -> Path:
    """Return the folder of the pictures."""
    return context.gallery.folder
