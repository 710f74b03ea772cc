"""Models to be loaded, and their loads counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.loading import pipelines
from tests.models.loads import Loads


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    counted = Loads(pipelines.load_pipeline)
    monkeypatch.setattr(pipelines, "load_pipeline", counted)
    return counted


@pytest.fixture
def three(tiny_folder: Path) -> Catalog:
    """A catalog of three models: tiny, tiny (2), tiny (3)."""
    catalog = Catalog.default()
    for _ in range(3):
        catalog = catalog.with_source(str(tiny_folder))
    return catalog
