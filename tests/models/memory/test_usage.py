from __future__ import annotations

from pathlib import Path

import pytest
import torch

from paintdiff.errors import MemoryBudgetError
from paintdiff.models.acceleration.kernel_choice import synchronize
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.formats.weight_files import list_weight_files
from paintdiff.models.loading import pipelines
from paintdiff.models.memory import usage
from paintdiff.models.memory.usage import (
    MemoryUse,
    Resident,
    choose_evictions,
    count_available_bytes,
    estimate_bytes,
    measure_memory,
)
from paintdiff.models.registry.model_rows import ModelRow

OLD, USED, NEW = Resident("old", 40, False), Resident("used", 40, True), Resident("new", 10, False)


def test_nothing_goes_while_there_is_room() -> None:
    assert choose_evictions([OLD, USED, NEW], 10, 100) == ()


def test_the_least_recently_used_goes_first_and_no_more_than_must() -> None:
    assert choose_evictions([OLD, USED, NEW], 20, 100) == ("old",)
    assert choose_evictions([OLD, USED, NEW], 60, 100) == ("old", "new")


def test_what_other_programs_hold_counts_as_far_as_evicting_helps() -> None:
    assert choose_evictions([OLD, USED, NEW], 20, 200, available_bytes=20) == ()
    assert choose_evictions([OLD, USED, NEW], 20, 200, available_bytes=10) == ("old",)
    assert choose_evictions([OLD, USED, NEW], 60, 200, available_bytes=19) == ("old", "new")
    assert choose_evictions([OLD, USED, NEW], 60, 200, available_bytes=0) == ("old", "new"), (
        "no error yet"
    )


def test_what_is_in_use_stays() -> None:
    with pytest.raises(MemoryBudgetError, match="needs"):
        choose_evictions([OLD, USED, NEW], 61, 100)


def test_the_estimate_is_what_loading_takes(tiny_folder: Path) -> None:
    row = Catalog.default().with_source(str(tiny_folder)).find(ModelRow, "tiny")
    loaded = pipelines.load_pipeline(row, "cpu")
    estimated = estimate_bytes(list_weight_files(tiny_folder), 4)
    assert estimated == pytest.approx(loaded.weights_bytes, rel=0.02)


def test_a_pickle_is_taken_to_be_in_full_precision(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(300, 1000)}, tmp_path / "x.pth")
    assert estimate_bytes([tmp_path / "x.pth"], 2) == pytest.approx(600_000, rel=0.01)


def test_memory_in_use_is_a_part_of_what_there_is() -> None:
    use = measure_memory("cpu")
    assert 10 * 2**20 < use.used_bytes < use.total_bytes


def test_of_several_gpus_the_one_that_was_asked_for_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    free = {"cuda:0": (100, 1000), "cuda:1": (300, 2000)}
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", free.__getitem__)
    monkeypatch.setattr(torch.cuda, "memory_reserved", {"cuda:0": 7, "cuda:1": 50}.__getitem__)
    monkeypatch.setattr(torch.cuda, "memory_allocated", {"cuda:0": 7, "cuda:1": 20}.__getitem__)
    assert measure_memory("cuda:1") == MemoryUse(1700, 2000)
    assert [count_available_bytes(name) for name in free] == [100, 330]


def test_on_apples_gpu_metal_says_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    given_back: list[str] = []
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 300)
    monkeypatch.setattr(torch.mps, "current_allocated_memory", lambda: 200)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 1000)
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: given_back.append("cache"))
    monkeypatch.setattr(torch.mps, "synchronize", lambda: given_back.append("synchronised"))
    assert measure_memory("mps") == MemoryUse(300, 1000)
    assert count_available_bytes("mps:0") == 800
    monkeypatch.setattr(usage, "count_free_bytes", lambda: 50)
    assert count_available_bytes("mps") == 50, "it is the main memory, too"
    usage.empty_cache()
    synchronize(torch.device("mps"))
    assert given_back == ["cache", "synchronised"]
    synchronize(torch.device("cpu"))
    assert len(given_back) == 2
