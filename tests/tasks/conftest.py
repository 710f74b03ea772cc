"""What the tests of the tasks can ask for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from paintdiff.engine.engine import Engine
from paintdiff.gallery.files import PictureFolder
from paintdiff.models.manager.model_manager import ModelManager


@pytest.fixture
def folder(tmp_path: Path) -> PictureFolder:
    return PictureFolder(tmp_path / "out", now=lambda: datetime(2026, 11, 20))


@pytest.fixture
def saving_engine(tiny_manager: ModelManager, folder: PictureFolder) -> Iterator[Engine]:
    with Engine(tiny_manager, store=folder) as engine:
        yield engine


@pytest.fixture
def nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_arguments: object) -> None:
        raise AssertionError("weights were asked for")

    monkeypatch.setattr(ModelManager, "lease_weights", refused)
    monkeypatch.setattr(ModelManager, "lease", refused)
