"""Attention in slices: the same as the whole but for rounding, with no more scores at once than
asked for, for every kind of network; and nothing is left behind.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from paintdiff.imaging.geometry import Size
from paintdiff.models.acceleration.sliced_attention import SlicedAttention
from paintdiff.models.adapters.specs import Adapters, IpAdapterUse
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.inference.denoising_run import Denoising
from paintdiff.models.inference.pipelines import setup as pipeline_setup
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.memory.plans import Plan
from paintdiff.models.registry.model_rows import ModelRow
from tests import adapter_files as files
from tests.tiny_families import save_tiny_family

RUN = Denoising("a red house", "", Size(64, 64), 2, 4.0, "DDIM", seed=3)


class Scores(TorchFunctionMode):
    """Notes how many scores each attention computes at once."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: list[int] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is functional.scaled_dot_product_attention:
            query, key = args[:2] if args else (kwargs["query"], kwargs["key"])
            self.counts.append(query.shape[:-1].numel() * key.shape[-2])
        return func(*args, **(kwargs or {}))


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


MASKS: dict[str, torch.Tensor | None] = {
    "none": None,
    "of numbers": drawn(2, 1, 1, 20, seed=5),
    "of each query": drawn(2, 3, 12, 20, seed=6),
    "two-dimensional": drawn(12, 20, seed=7),
    "of yes and no": drawn(12, 20, seed=8) > -1,
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("most", [1, 19, 40, 240, 500, 720, 10**6])
def test_slices_are_the_whole(most: int, mask: str) -> None:
    """From one score at once to all of 2 x 3 x 12 x 20."""
    query, key, value = drawn(2, 3, 12, 8), drawn(2, 3, 20, 8, seed=1), drawn(2, 3, 20, 4, seed=2)
    whole = functional.scaled_dot_product_attention(query, key, value, MASKS[mask], scale=0.3)
    with Scores() as scores, SlicedAttention(most):
        sliced = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=MASKS[mask], scale=0.3
        )
    assert torch.allclose(sliced, whole, atol=1e-6)
    assert sum(scores.counts) == 2 * 3 * 12 * 20
    assert max(scores.counts) <= max(20, most), "a query sees all keys at once"


def test_a_causal_mask_stays_what_it_is() -> None:
    query, key = drawn(2, 3, 12, 8), drawn(2, 3, 12, 8, seed=1)
    whole = functional.scaled_dot_product_attention(query, key, key, is_causal=True)
    with Scores() as scores, SlicedAttention(100):
        sliced = functional.scaled_dot_product_attention(query, key, key, is_causal=True)
    assert torch.allclose(sliced, whole, atol=1e-6)
    assert max(scores.counts) == 12 * 12


def test_shared_keys_and_other_shapes_are_computed_as_a_whole() -> None:
    grouped = (drawn(2, 4, 6, 8), drawn(2, 2, 6, 8, seed=1), drawn(2, 2, 6, 8, seed=2))
    flat = (drawn(4, 6, 8), drawn(4, 6, 8, seed=1), drawn(4, 6, 8, seed=2))
    for parts, settings in ((grouped, {"enable_gqa": True}), (flat, {})):
        whole = functional.scaled_dot_product_attention(*parts, **settings)
        with SlicedAttention(1):
            assert torch.equal(functional.scaled_dot_product_attention(*parts, **settings), whole)


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_setup, "SlicedAttention", lambda: SlicedAttention(64))


def painted(
    manager: ModelManager, name: str, plan: Plan, run: Denoising, adapters: Adapters
) -> tuple[torch.Tensor, bytes, list[int]]:
    with Scores() as scores, manager.lease(name, plan=plan, adapters=adapters) as leased:
        latents = leased.denoise(run, lambda _step, _preview: None)
        return latents, leased.decode(latents).tobytes(), scores.counts


@pytest.mark.usefixtures("small_slices")
@pytest.mark.parametrize("family", ["sd1", "sd3", "flux"])
def test_every_kind_of_network_paints_the_same_in_slices(family: str, tmp_path: Path) -> None:
    """With an IP-Adapter where there can be one, whose attention is a processor of its own."""
    save_tiny_family(family, tmp_path / "it")
    catalog = Catalog.default().with_source(str(tmp_path / "it"), family=family)
    row, adapters = catalog.rows(ModelRow)[-1], Adapters()
    run = replace(RUN, sampler=row.sampler)
    manager = ModelManager(catalog, device="cpu", prompt_cache_bytes=0)
    if family == "sd1":
        with manager.lease(row.name) as leased:
            tensors = files.ip_adapter_tensors(leased.pipeline.unet)
        ip = files.ip_adapter_row(
            files.saved(tmp_path / "ip.safetensors", tensors),
            files.save_tiny_image_encoder(tmp_path / "clip"),
            family,
        )
        catalog = files.with_adapters(catalog, ip_adapters=(ip,))
        manager = ModelManager(catalog, device="cpu", prompt_cache_bytes=0)
        adapters = Adapters(ip_adapters=(IpAdapterUse("ip"),))
        run = replace(run, ip_pictures=(Image.effect_noise((40, 40), 80).convert("RGB"),))
    whole = painted(manager, row.name, Plan(), run, adapters)
    sliced = painted(manager, row.name, Plan(sliced_attention=True), run, adapters)
    assert torch.allclose(sliced[0], whole[0], atol=1e-3 * float(whole[0].abs().max()))
    assert max(sliced[2]) < max(whole[2])
    assert len(sliced[2]) > len(whole[2])
    again = painted(manager, row.name, Plan(), run, adapters)
    assert torch.equal(again[0], whole[0]) and again[1:] == whole[1:], "nothing is left behind"
