"""What the manager says of memory, and what leaves it when it is told to."""

from __future__ import annotations

from pathlib import Path

import pytest

from paintdiff.errors import RequestError
from paintdiff.models import memory
from paintdiff.models.catalog import Catalog
from paintdiff.models.manager import ModelManager


@pytest.fixture
def manager(tiny_folder: Path) -> ModelManager:
    return ModelManager(Catalog.default().with_source(str(tiny_folder)), device="cpu")


def test_what_is_loaded_is_told_and_unloaded_by_its_key(manager: ModelManager) -> None:
    assert manager.loaded() == ()
    with manager.lease("tiny"):
        (held,) = manager.loaded()
        assert (held.what, held.name, held.in_use) == ("model", "tiny", True)
        assert held.weights_bytes > 0
        with pytest.raises(RequestError, match="in use"):
            manager.unload(held.key)
        assert manager.loaded() == (held,)
    (idle,) = manager.loaded()
    assert not idle.in_use
    manager.unload("model other")
    assert manager.loaded() == (idle,)
    manager.unload(idle.key)
    assert manager.loaded() == ()


def test_unload_without_a_key_drops_all_that_is_idle(manager: ModelManager) -> None:
    with manager.lease("tiny"):
        manager.unload()
        assert len(manager.loaded()) == 1
    manager.unload()
    assert manager.loaded() == ()


def test_the_budget_is_what_was_asked_for_or_most_of_the_memory() -> None:
    asked = ModelManager(Catalog.default(), device="cpu", memory_budget_bytes=123)
    assert asked.budget_bytes() == 123
    total = memory.memory_use("cpu").total_bytes
    budget = ModelManager(Catalog.default(), device="cpu").budget_bytes()
    assert budget == int(total * memory.DEFAULT_SHARE)
