"""Text encoders and a denoiser that wait on the disk by turns: who is there when, the same pixels,
and files that change meanwhile.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from paintdiff.errors import ModelError, ModelLoadError
from paintdiff.geometry import Size
from paintdiff.models.catalog import Catalog
from paintdiff.models.denoising import Denoising
from paintdiff.models.manager import ModelManager
from paintdiff.models.pipeline_files import part_reader
from paintdiff.models.plans import PartBytes, Plan, RunFacts, plans
from tests.tiny_families import save_tiny_family

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")

RUN = Denoising("a red house", "", Size(32, 32), 2, 5.0, "Euler", seed=3)
BY_TURNS = Plan("disk")


def manager_of(source: Path, prompt_cache_bytes: int = 2**20) -> ModelManager:
    catalog = Catalog.default().with_source(str(source), name="it")
    return ModelManager(catalog, device="cpu", prompt_cache_bytes=prompt_cache_bytes)


def painted(
    manager: ModelManager,
    plan: Plan,
    run: Denoising = RUN,
    seen: Callable[[dict[str, bool]], None] = lambda _here: None,
) -> torch.Tensor:
    """The latents of a run. `seen` is told at each step which networks have weights."""
    with manager.lease("it", plan=plan) as leased:
        networks = {
            name: part
            for name, part in leased.pipeline.components.items()
            if isinstance(part, torch.nn.Module)
        }

        def told(_step: int, _preview: object) -> None:
            seen({n: all(p.numel() for p in each.parameters()) for n, each in networks.items()})

        return leased.denoised(run, told)


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny_folder, tmp_path / "it")
    return tmp_path / "it"


@pytest.mark.parametrize("family", ["sd1", "sdxl", "sd3", "qwen-image"])
def test_only_who_works_is_there_and_the_pixels_are_the_same(family: str, tmp_path: Path) -> None:
    save_tiny_family(family, tmp_path / "it")
    run = replace(
        RUN, size=Size(64, 48), sampler=manager_of(tmp_path / "it").catalog.model("it").sampler
    )
    usual = painted(manager_of(tmp_path / "it"), Plan(), run)
    manager = manager_of(tmp_path / "it", prompt_cache_bytes=0)
    here: list[dict[str, bool]] = []
    assert torch.equal(painted(manager, BY_TURNS, run, here.append), usual)
    for each in here:
        assert each.pop("vae")
        assert all(there != name.startswith("text_encoder") for name, there in each.items())
    assert torch.equal(painted(manager, Plan(), run), usual)  # all have come back
    assert torch.equal(painted(manager, BY_TURNS, run), usual)
    half = painted(manager, Plan(dtype="bfloat16"), run)
    assert torch.equal(painted(manager, replace(BY_TURNS, dtype="bfloat16"), run), half)


def test_words_that_are_known_read_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = manager_of(folder)
    with manager.lease("it", plan=BY_TURNS):
        (entry,) = manager._entries.values()
        read_part = entry.loaded.read_part
    read: list[str] = []
    disk = entry.adapting._placing._disk  # pyright: ignore[reportOptionalMemberAccess]
    assert disk is not None
    monkeypatch.setattr(disk, "_read", lambda name: read.append(name) or read_part(name))
    painted(manager, BY_TURNS)
    assert read == ["unet"]  # the encoders were loaded with the model
    painted(manager, BY_TURNS, replace(RUN, seed=4))
    assert read == ["unet"]
    painted(manager, BY_TURNS, replace(RUN, prompt="a boat"))
    assert read == ["unet", "text_encoder", "unet"]


def test_it_takes_no_more_than_who_works(folder: Path) -> None:
    manager = manager_of(folder)
    painted(manager, BY_TURNS)
    (held,) = manager.loaded()
    parts = manager._room_for(manager.catalog.model("it")).parts  # pyright: ignore[reportOptionalMemberAccess]
    assert parts is not None and parts.one_by_one
    assert held.weights_bytes == max(parts.denoiser, parts.text_encoders) + parts.vae
    painted(manager, Plan())
    assert manager.loaded()[0].weights_bytes > held.weights_bytes


def test_files_that_have_changed_are_refused_until_they_are_loaded_anew(folder: Path) -> None:
    manager = manager_of(folder)
    usual = painted(manager, BY_TURNS)
    file = folder / "text_encoder" / "model.safetensors"
    content = file.read_bytes()
    file.unlink()
    other = replace(RUN, prompt="a boat")
    for plan in (BY_TURNS, Plan()):
        with pytest.raises(ModelLoadError, match="have changed or gone"):
            painted(manager, plan, other)
    file.write_bytes(content)
    manager.unload()
    assert torch.equal(painted(manager, BY_TURNS), usual)


def test_only_folders_of_safetensors_can_be_read_part_by_part(folder: Path) -> None:
    row = manager_of(folder).catalog.model("it")
    read = part_reader(row, folder, torch.float32, {})
    assert read is not None
    assert part_reader(row, folder / "unet" / "any.safetensors", torch.float32, {}) is None
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    assert part_reader(row, folder, torch.float32, {}) is None


def test_large_text_encoders_are_worth_it() -> None:
    """As of Stable Diffusion 3 with its T5, in full precision on a CPU."""
    gib = 2**30
    row = Catalog.default().model("stable-diffusion-1.5")
    parts = PartBytes(10 * gib, 20 * gib, gib // 3, one_by_one=True)
    ladder = plans(row.family, parts, RunFacts(Size(512, 512), 512 * 512), "cpu")
    by_turns = next(each for each in ladder if each.plan.placement == "disk")
    assert ladder[0].peak_bytes > 31 * gib
    assert by_turns.weights_bytes < 20.5 * gib
    assert by_turns.painting_bytes < 21 * gib


def test_a_model_whose_reading_fails_paints_again_once_it_can_be_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = manager_of(folder)
    usual = painted(manager, BY_TURNS)
    (entry,) = manager._entries.values()
    disk = entry.adapting._placing._disk  # pyright: ignore[reportOptionalMemberAccess]

    def fails(_name: str) -> torch.nn.Module:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(disk, "_read", fails)
        for plan in (BY_TURNS, Plan()):
            with pytest.raises((MemoryError, ModelError)):
                painted(manager, plan, replace(RUN, prompt="a boat"))
    assert torch.equal(painted(manager, Plan()), usual)
