"""A new kind of weights costs a row class and a loader; the catalog and the manager do the rest."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from safetensors.torch import save_file

from paintdiff.errors import MemoryBudgetError, ModelLoadError, RequestError, UnknownNameError
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.discovery.row_builder import FoundRows
from paintdiff.models.discovery.scanning import read_stamp
from paintdiff.models.manager.loaders import (
    LOADERS,
    UPSCALER,
    LoadContext,
    Loader,
    make_table,
)
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.base_rows import WeightsRow

NUMBERS = 100_000


class ColouristRow(WeightsRow):
    """A network that colours drawings."""

    what: ClassVar[str] = "colourist"
    subfolder: ClassVar[str] = "colourists"


@dataclass
class LoadedColourist:
    """Its weights."""

    weight: torch.Tensor
    weights_bytes: int


def load_colourist(row: ColouristRow, _argument: None, context: LoadContext) -> LoadedColourist:
    from safetensors.torch import load_file  # noqa: PLC0415 (as a loader does)

    context.report(f"Mixing colours for {row.title}")
    weight = load_file(row.source)["weight"].to(context.device)
    return LoadedColourist(weight, weight.nbytes)


COLOURIST = Loader(ColouristRow, load_colourist, lambda _row, source, _companions: (source,))


def save_colourist(path: Path, value: float) -> Path:
    save_file({"weight": torch.full((NUMBERS,), float(value))}, path)
    return path


def row_of(path: Path) -> ColouristRow:
    return ColouristRow(name=path.stem, title=path.stem, source=str(path), **read_stamp(path))


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    paths = (save_colourist(tmp_path / f"{name}.safetensors", 1) for name in ("soft", "bold"))
    return Catalog(FoundRows(tuple(map(row_of, paths))))


def managed(catalog: Catalog, budget_bytes: int | None = None) -> ModelManager:
    table = make_table((*LOADERS.values(), COLOURIST))
    return ModelManager(catalog, device="cpu", memory_budget_bytes=budget_bytes, loaders=table)


def test_a_new_kind_is_found_by_its_name(catalog: Catalog) -> None:
    assert [row.name for row in catalog.rows(ColouristRow)] == ["soft", "bold"]
    assert catalog.find(ColouristRow, "BOLD.safetensors").name == "bold"
    with pytest.raises(UnknownNameError, match="bold") as caught:
        catalog.find(ColouristRow, "bald")
    assert (caught.value.what, caught.value.suggestion) == ("colourist", "bold")
    with pytest.raises(UnknownNameError, match="put colourists into FOLDER/colourists"):
        Catalog(FoundRows()).find(ColouristRow, "bold")


def test_a_new_kind_is_loaded_once_shared_and_unloaded(catalog: Catalog) -> None:
    manager, told = managed(catalog), list[str]()
    row = catalog.find(ColouristRow, "soft")
    assert manager.estimates.expected_bytes(row) == 4 * NUMBERS
    with (
        manager.lease_weights(COLOURIST, "soft", told.append) as one,
        manager.lease_weights(COLOURIST, row) as other,
    ):
        assert one is other and float(one.weight.sum()) == NUMBERS
        (held,) = manager.cache.loaded()
        assert (held.key, held.weights_bytes, held.in_use) == ("colourist soft", 4 * NUMBERS, True)
        with pytest.raises(RequestError, match="soft is in use"):
            manager.cache.unload(held.key)
    assert manager.cache.unload("colourist soft") == 1
    assert manager.cache.loaded() == ()
    assert told[0] in ("Loading soft", "Mixing colours for soft")


def test_a_new_kind_makes_room_and_keeps_to_the_budget(catalog: Catalog) -> None:
    manager = managed(catalog, int(1.5 * 4 * NUMBERS))
    for name in ("soft", "bold"):
        with manager.lease_weights(COLOURIST, name):
            assert [each.name for each in manager.cache.loaded()] == [name]
    with manager.lease_weights(COLOURIST, "bold"), pytest.raises(MemoryBudgetError):
        manager.lease_weights(COLOURIST, "soft").__enter__()


def test_a_file_of_a_new_kind_that_was_replaced_is_loaded_again(catalog: Catalog) -> None:
    manager, row = managed(catalog), catalog.find(ColouristRow, "soft")
    with manager.lease_weights(COLOURIST, row) as before:
        save_colourist(Path(row.source), 2)
        with manager.lease_weights(COLOURIST, row_of(Path(row.source))) as after:
            assert float(after.weight[0]) == 2 and float(before.weight[0]) == 1


def test_what_a_loader_raises_ends_every_wait_and_is_forgotten(catalog: Catalog) -> None:
    may_fail = threading.Event()
    calls: list[str] = []

    def load(row: ColouristRow, _argument: None, _context: LoadContext) -> LoadedColourist:
        calls.append(row.name)
        assert may_fail.wait(20)
        raise ModelLoadError("The colours are dry.")

    broken = Loader(ColouristRow, load, COLOURIST.list_files)
    manager = managed(catalog)

    def let_it_fail(_message: str) -> None:
        may_fail.set()

    for _ in range(2):
        with pytest.raises(ModelLoadError, match="colours are dry"):
            manager.lease_weights(broken, "soft", let_it_fail).__enter__()
        assert manager.cache.loaded() == ()
    assert calls == ["soft", "soft"]


def test_two_loaders_of_a_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="two loaders are for UpscalerRow"):
        make_table((*LOADERS.values(), UPSCALER))
