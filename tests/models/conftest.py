"""Models to be loaded, and their loads counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from paintdiff.models import loaders
from paintdiff.models.catalog import Catalog
from tests.models.loads import Loads


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
