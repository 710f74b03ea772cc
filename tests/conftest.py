"""What every test can ask for. Nothing here needs the internet."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from paintdiff.engine import Engine
from paintdiff.models.catalog import Catalog
from paintdiff.models.manager import ModelManager
from paintdiff.presets import presets_folder
from tests.tiny import save_tiny_pipeline

# The same examples on every machine, however slow it is; nothing is written to disk.
settings.register_profile("paintdiff", deadline=None, derandomize=True, database=None)
settings.load_profile("paintdiff")


def pytest_configure(config: pytest.Config) -> None:
    """Warnings are errors; the exceptions are those of libraries about themselves."""
    for line in (
        # diffusers 0.42 with torch tensors and numpy 2: their schedulers convert without `copy`.
        "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning",
    ):
        config.addinivalue_line("filterwarnings", line)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The browser's tests come last: Playwright keeps an event loop running in this thread, and
    until the session ends no other test could run one of its own.
    """
    items.sort(key=lambda item: "tests/browser/" in item.path.as_posix())


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A StableDiffusionPipeline of random weights in the layout of `presets/mini`."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_tiny_pipeline(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_catalog(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """A catalog whose `mini` is the tiny pipeline: the row that ships, with other weights."""
    presets = tmp_path_factory.mktemp("presets")
    for name in ("models.yaml", "quality.yaml"):
        (presets / name).write_bytes((presets_folder() / name).read_bytes())
    (presets / "mini").symlink_to(tiny_folder)
    return Catalog.from_folder(presets)


@pytest.fixture(scope="session")
def tiny_manager(tiny_catalog: Catalog) -> ModelManager:
    """A manager over the tiny pipeline, on the CPU. Shared, because loading it takes a second."""
    return ModelManager(tiny_catalog, device="cpu")


@pytest.fixture
def tiny_engine(tiny_manager: ModelManager) -> Iterator[Engine]:
    """An engine over the tiny pipeline."""
    with Engine(tiny_manager) as engine:
        yield engine


@pytest.fixture(scope="session")
def mini_manager() -> ModelManager:
    """A manager over the embedded painter."""
    return ModelManager(Catalog.default(), device="cpu")


@pytest.fixture
def mini_engine(mini_manager: ModelManager) -> Iterator[Engine]:
    """An engine over the embedded painter."""
    with Engine(mini_manager) as engine:
        yield engine


def write_json(path: Path, content: object) -> None:
    """Write a JSON file."""
    path.write_text(json.dumps(content), encoding="utf-8")
