"""A hub for the tests of downloads; models to be loaded, and their loads counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from paintdiff.models import loaders
from paintdiff.models.catalog import Catalog
from paintdiff.models.hub import fetch as hub_fetch
from paintdiff.models.hub.downloads import Downloads
from tests.hub_server import FakeHub
from tests.models.loads import Loads


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub that may be asked, an empty cache, no token, and short pauses."""
    server = FakeHub()
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 3)
    monkeypatch.setattr(hub_fetch, "_FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield server
    server.close()


@pytest.fixture
def downloads() -> Iterator[Downloads]:
    made = Downloads()
    yield made
    made.close()


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    counted = Loads(loaders.load)
    monkeypatch.setattr(loaders, "load", counted)
    return counted


@pytest.fixture
def three(tiny_folder: Path) -> Catalog:
    """A catalog of three models: tiny, tiny (2), tiny (3)."""
    catalog = Catalog.default()
    for _ in range(3):
        catalog = catalog.with_source(str(tiny_folder))
    return catalog
