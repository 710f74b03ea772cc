"""Where weights are while nobody needs them. The CPU stands in for the device: what can be seen is
that hooks act, paint the same pixels, and leave nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from paintdiff.errors import ModelError
from paintdiff.imaging.geometry import Size
from paintdiff.models.adapters.specs import Adapters, LoraUse
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.inference.denoising_run import Control, Denoising, Source
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.memory import offloading as placing_module
from paintdiff.models.memory.offloading import Offloading
from paintdiff.models.memory.plans import Placement, Plan

RUN = Denoising("a red house", "", Size(64, 64), 2, 5.0, "Euler", seed=3)
PLACEMENTS: tuple[Placement, ...] = ("encoders", "models", "groups", "leaves")


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Records moves between devices."""
    seen: list[str] = []
    original = placing_module._move  # pyright: ignore[reportPrivateUsage]

    def move(module: torch.nn.Module, device: torch.device) -> None:
        seen.append(type(module).__name__)
        original(module, device)

    monkeypatch.setattr(placing_module, "_move", move)
    yield seen


def traces(components: Any) -> list[str]:
    """Traces of hooks in networks."""
    return [
        f"{type(each).__name__}.{name}"
        for module in components.values()
        if isinstance(module, torch.nn.Module)
        for each in module.modules()
        for name in vars(each)
        if name in ("_hf_hook", "_old_forward", "_diffusers_hook", "forward")
    ]


def painted(manager: ModelManager, name: str, plan: Plan, **settings: Any) -> bytes:
    with manager.lease(name, plan=plan, **settings) as leased:
        latents = leased.denoise(RUN, lambda _step, _preview: None)
        return leased.decode(latents).tobytes()


@pytest.fixture
def manager(tiny_catalog: Catalog) -> ModelManager:
    return ModelManager(tiny_catalog, device="cpu", prompt_cache_bytes=0)  # all have to be called


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_every_placement_paints_the_same_and_leaves_nothing(
    placement: Placement, manager: ModelManager, moves: list[str]
) -> None:
    resident = painted(manager, "mini", Plan())
    with manager.lease("mini") as leased:
        components = dict(leased.pipeline.components)
    assert traces(components) == []
    moves.clear()
    assert painted(manager, "mini", Plan(placement)) == resident
    assert "AutoencoderKL" in moves
    assert traces(components), "the hooks are there"
    assert painted(manager, "mini", Plan(placement)) == resident
    assert painted(manager, "mini", Plan()) == resident
    assert traces(components) == []


def test_only_one_network_is_on_the_device_at_a_time(tiny_folder: Path) -> None:
    """A device of which only the name is asked for: `meta` holds no numbers, but knows who is
    there.
    """
    parts = {name: torch.nn.Linear(2, 2) for name in ("text_encoder", "unet", "vae")}
    assert tiny_folder.exists()
    meta = torch.device("meta")

    def here() -> list[str]:
        return [name for name, each in parts.items() if each.weight.device == meta]

    placing = Offloading(parts, "unet", meta)
    placing.place("models")
    assert here() == []
    came: list[list[str]] = []
    for name in ("text_encoder", "unet", "unet", "vae"):
        hook: Any = parts[name]._hf_hook
        hook._sent_home = ()  # what comes back from `meta` has no numbers
        hook.pre_forward(parts[name])
        came.append(here())
    assert came[0] == ["text_encoder"]
    assert came[-1] == ["text_encoder", "unet", "vae"]


def test_each_is_sent_home_by_the_next() -> None:
    parts = {name: torch.nn.Linear(2, 2) for name in ("text_encoder", "unet", "vae")}
    placing = Offloading(parts, "unet", torch.device("cpu"))
    placing.place("models")
    sent: dict[str, set[torch.nn.Module]] = {
        name: set(each._hf_hook._sent_home) for name, each in parts.items()
    }
    assert sent["unet"] == {parts["text_encoder"], parts["vae"]}
    assert sent["text_encoder"] == {parts["unet"], parts["vae"]}
    placing.lift()
    placing.place("encoders")
    assert list(parts["unet"]._hf_hook._sent_home) == [parts["text_encoder"]]
    assert list(parts["text_encoder"]._hf_hook._sent_home) == []
    with pytest.raises(RuntimeError, match="encoders"):
        placing.place("models")
    placing.lift()
    assert traces(parts) == []


@pytest.mark.parametrize("placement", ["models", "groups"])
def test_a_run_that_was_broken_off_leaves_nothing(
    placement: Placement, manager: ModelManager
) -> None:
    resident = painted(manager, "mini", Plan())

    def stop(_step: int, _preview: object) -> None:
        raise KeyError("stop")

    with pytest.raises(KeyError), manager.lease("mini", plan=Plan(placement)) as leased:
        components = dict(leased.pipeline.components)
        leased.denoise(RUN, stop)
    assert painted(manager, "mini", Plan(placement)) == resident
    assert painted(manager, "mini", Plan()) == resident
    assert traces(components) == []


@pytest.mark.parametrize("placement", ["models", "groups", "leaves"])
def test_controlnets_and_pictures_work_with_them(
    placement: Placement, manager: ModelManager
) -> None:
    picture = Image.effect_noise((64, 64), 60).convert("RGB")

    def made(plan: Plan) -> bytes:
        with manager.lease(
            "mini", "image_to_image", controlnets=["mini-sketch"], plan=plan
        ) as leased:
            run = Denoising(
                *("a red house", "", Size(64, 64), 4, 5.0, "Euler", 3),
                source=Source(picture, 0.5),
                controls=(Control("mini-sketch", picture),),
            )
            return leased.decode(leased.denoise(run, lambda *_: None)).tobytes()

    assert made(Plan(placement)) == made(Plan())


def test_unknown_loras_are_refused_and_the_placement_is_undone(manager: ModelManager) -> None:
    with manager.lease("mini", plan=Plan("groups")) as leased:
        components = dict(leased.pipeline.components)
    wanted = Adapters(loras=(LoraUse("nobody", 1.0, 1.0),))
    with (
        pytest.raises((ModelError, ValueError)),
        manager.lease("mini", adapters=wanted, plan=Plan("groups")),
    ):
        pytest.fail("there is no such LoRA")
    painted(manager, "mini", Plan())
    assert traces(components) == []
