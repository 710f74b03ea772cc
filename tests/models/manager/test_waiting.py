"""Models that have to leave a GPU, here a pretended one, and wait in main memory."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from paintdiff.errors import MemoryBudgetError
from paintdiff.imaging.geometry import Size
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.inference.denoising_run import Denoising
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.memory import usage
from paintdiff.models.memory.plans import Plan
from tests.models.loads import Loads
from tests.pretended_gpu import Remote, pretended_gpu

GIB = 2**30
RUN = Denoising("a red house", "", Size(64, 64), 2, 5.0, "Euler", seed=3)


@contextmanager
def gpu_for_one(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> Generator[ModelManager]:
    """A manager that has room on the GPU for one model and a half."""
    on_cpu = ModelManager(catalog, device="cpu", dtype="float32")
    with on_cpu.lease("tiny"):
        (held,) = on_cpu.cache.loaded()
    with pretended_gpu(monkeypatch, free_bytes=4 * GIB):
        yield ModelManager(
            catalog,
            device="cuda",
            dtype="float32",
            memory_budget_bytes=int(1.5 * held.weights_bytes),
        )


def painted(manager: ModelManager, name: str, plan: Plan | None = None) -> NDArray[np.uint8]:
    with manager.lease(name, plan=plan or Plan()) as leased:
        assert all(on_gpu(leased).values()) or plan is not None
        return np.asarray(leased.decode(leased.denoise(RUN, lambda _step, _preview: None)))


def on_gpu(leased: Any) -> dict[str, bool]:
    return {
        name: all(isinstance(each, Remote) for each in getattr(leased.pipeline, name).parameters())
        for name in ("unet", "vae", "text_encoder")
    }


def states(manager: ModelManager) -> dict[str, bool]:
    """Which models are in memory, and whether they wait there."""
    return {each.name: each.waits for each in manager.cache.loaded()}


def test_a_model_waits_and_comes_back_without_being_loaded(
    three: Catalog, loads: Loads, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gpu_for_one(three, monkeypatch) as manager:
        loads.names.clear()
        first = painted(manager, "tiny")
        with manager.lease("tiny") as leased:
            unet = leased.pipeline.unet
        assert np.array_equal(painted(manager, "tiny (2)"), first), "it is the same once more"
        assert states(manager) == {"tiny": True, "tiny (2)": False}
        assert not any(isinstance(each, Remote) for each in unet.parameters())
        assert np.array_equal(painted(manager, "tiny"), first)
        assert states(manager) == {"tiny (2)": True, "tiny": False}
        assert loads.names == ["tiny", "tiny (2)"]
        manager.cache.unload("model tiny (2)")
        assert states(manager) == {"tiny": False}


def test_it_comes_back_by_another_plan(three: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    with gpu_for_one(three, monkeypatch) as manager:
        first = painted(manager, "tiny", Plan("models"))
        painted(manager, "tiny (2)")
        assert states(manager)["tiny"]
        for placement in ("models", "groups", "encoders"):
            assert np.array_equal(painted(manager, "tiny", Plan(placement)), first)
            painted(manager, "tiny (2)")


def test_those_that_have_waited_longest_make_room(
    three: Catalog, loads: Loads, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gpu_for_one(three, monkeypatch) as manager:
        loads.names.clear()
        painted(manager, "tiny")
        painted(manager, "tiny (2)")
        (each,) = {each.weights_bytes for each in manager.cache.loaded()}
        # Half of that may be taken, so one of the two has to go for the third.
        monkeypatch.setattr(usage, "count_free_bytes", lambda: int(1.5 * each))
        painted(manager, "tiny (3)")
        assert states(manager) == {"tiny (2)": True, "tiny (3)": False}
        monkeypatch.setattr(usage, "count_free_bytes", lambda: 0)
        painted(manager, "tiny")
        assert states(manager) == {"tiny": False}
        assert loads.names == ["tiny", "tiny (2)", "tiny (3)", "tiny"]


def test_where_there_is_no_room_for_it_it_goes_on_waiting(
    three: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gpu_for_one(three, monkeypatch) as manager:
        first = painted(manager, "tiny")
        with manager.lease("tiny (2)"):
            with pytest.raises(MemoryBudgetError), manager.lease("tiny"):
                pass
            assert states(manager) == {"tiny (2)": False, "tiny": True}
        assert np.array_equal(painted(manager, "tiny"), first)


def test_on_a_cpu_nothing_waits(three: Catalog) -> None:
    asked = ModelManager(three, device="cpu")
    with asked.lease("tiny"):
        (held,) = asked.cache.loaded()
    manager = ModelManager(three, device="cpu", memory_budget_bytes=int(1.5 * held.weights_bytes))
    for name in ("tiny", "tiny (2)"):
        with manager.lease(name):
            assert states(manager) == {name: False}


def test_what_is_idle_leaves_when_other_programs_hold_the_memory(
    three: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pretended_gpu(monkeypatch, free_bytes=4 * GIB) as gpu:
        manager = ModelManager(three, device="cuda", dtype="float32")
        painted(manager, "tiny")
        (held,) = manager.cache.loaded()
        usage.empty_cache()
        # The budget is 80 % of the whole GPU, so it says nothing.
        gpu.others_bytes = gpu.total_bytes - int(1.5 * held.weights_bytes)
        with manager.lease("tiny (2)"):
            assert states(manager) == {"tiny": True, "tiny (2)": False}
        assert gpu.allocated_bytes < 1.2 * held.weights_bytes


def test_on_a_cpu_what_is_idle_is_dropped_when_other_programs_hold_the_memory(
    three: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = ModelManager(three, device="cpu")
    with manager.lease("tiny"):
        pass
    with manager.lease("tiny (2)"):
        monkeypatch.setattr(usage, "count_free_bytes", lambda: 0)
        with manager.lease("tiny (3)"):
            assert states(manager) == {"tiny (2)": False, "tiny (3)": False}, "one is in use"


def test_coming_from_offloaded_to_resident_makes_room(
    three: Catalog, loads: Loads, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gpu_for_one(three, monkeypatch) as manager:
        loads.names.clear()
        first = painted(manager, "tiny", Plan("leaves"))
        painted(manager, "tiny (2)")
        assert states(manager) == {"tiny": False, "tiny (2)": False}, "there is room for both"
        assert np.array_equal(painted(manager, "tiny"), first)
        assert states(manager) == {"tiny (2)": True, "tiny": False}
    assert loads.names == ["tiny", "tiny (2)"]
