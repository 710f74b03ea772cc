"""Tiles that are normalised as parts of one picture."""

from __future__ import annotations

import copy
from typing import Any

import diffusers
import pytest
import torch

from paintdiff.config.presets import presets_folder
from paintdiff.imaging.geometry import Box, Size
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.inference.denoising_run import Denoising
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.memory.plans import Plan
from paintdiff.models.tiling import shared_group_norm, tiled_networks
from paintdiff.models.tiling.shared_group_norm import TileDecoder, TileEncoder, can_share
from paintdiff.models.tiling.tiled_networks import TiledVAE
from tests.tiny_families import tiny_vae

SIZE = Size(256, 192)
TILES = (Box(0, 0, 20, 24), Box(12, 0, 32, 24))


@pytest.fixture(scope="module")
def vae() -> Any:
    return diffusers.AutoencoderKL.from_pretrained(presets_folder() / "mini" / "vae").eval()


@pytest.fixture(scope="module")
def latents(vae: Any) -> torch.Tensor:
    """Dark on the left, light on the right, so that no tile is like the whole."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, vae.config.latent_channels, 3, 4, generator=generator)
    noise = torch.nn.functional.interpolate(noise, size=(24, 32), mode="bicubic")
    return noise + torch.linspace(-2, 2, 32)


def levels(pixels: torch.Tensor) -> torch.Tensor:
    return (pixels.clamp(-1, 1) + 1) * 127.5


@torch.no_grad()
def test_tiles_come_nearer_to_the_whole(
    vae: Any, latents: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = levels(vae.decode(latents)[0])
    apart: list[float] = []
    for shared in (True, False):
        monkeypatch.setattr(tiled_networks, "can_share", lambda _vae, shared=shared: shared)
        (pixels,) = TiledVAE(vae, SIZE, 8, 128).decode(latents)
        apart.append(float((levels(pixels) - whole).abs().mean()))
    assert apart[0] < 0.7 * apart[1]


@torch.no_grad()
def test_encoded_tiles_come_nearer_too(
    vae: Any, latents: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = vae.decode(latents)[0].clamp(-1, 1)
    whole = vae.encode(pixels).latent_dist.parameters
    apart: list[torch.Tensor] = []
    for shared in (True, False):
        monkeypatch.setattr(tiled_networks, "can_share", lambda _vae, shared=shared: shared)
        found = TiledVAE(vae, SIZE, 8, 128).encode(pixels).latent_dist.parameters
        assert found.shape == whole.shape
        apart.append((found - whole)[:, :4].abs())
    assert apart[0].mean() < 0.8 * apart[1].mean()
    assert apart[0].max() < 0.6 * apart[1].max()


@torch.no_grad()
def test_with_all_statistics_known_a_tile_is_the_wholes(
    vae: Any, latents: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the small whole is as large as the whole itself: away from the tile's edge."""
    whole = levels(vae.decode(latents)[0])
    monkeypatch.setattr(shared_group_norm, "_shrunk", lambda each, *_sides: each)
    decoder = TileDecoder(vae, latents, TILES)
    for number, inside in enumerate((slice(None, 64), slice(-64, None))):
        part = latents[..., TILES[number].left : TILES[number].right]
        there = whole[..., inside]
        apart = (levels(decoder.seen(part, number))[..., inside] - there).abs().mean()
        alone = (levels(vae.decode(part)[0])[..., inside] - there).abs().mean()
        assert apart < 0.5 * alone


@torch.no_grad()
def test_a_layer_makes_up_for_what_its_tile_lacks() -> None:
    """One layer alone is exact, also where attention sees rows of places."""
    torch.manual_seed(0)
    norm = torch.nn.GroupNorm(2, 6)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    view = shared_group_norm._View([(0, 0, 0.5, 1), (0.25, 0, 1, 1)])
    shared = shared_group_norm._SharedNorm(norm, view)
    sample = torch.randn(1, 6, 4, 8) * torch.linspace(0.1, 3, 8) + torch.linspace(-1, 2, 8)
    expected = norm(sample)
    for flat in (False, True):
        view.whole = (4, 8)
        whole = shared(sample.flatten(2) if flat else sample).reshape(sample.shape)
        assert torch.allclose(whole, expected, atol=1e-6)
        view.whole = None
        for number, columns in enumerate((slice(0, 4), slice(2, 8))):
            view.number = number
            part = sample[..., columns]
            found = shared(part.flatten(2) if flat else part).reshape(part.shape)
            assert torch.allclose(found, expected[..., columns], atol=1e-5)
            assert not torch.allclose(norm(part), expected[..., columns], atol=0.1)


@torch.no_grad()
def test_the_vae_stays_as_it_is_and_its_weights_are_shared(vae: Any, latents: torch.Tensor) -> None:
    before, modules = vae.decode(latents)[0], list(vae.modules())
    decoder = TileDecoder(vae, latents, TILES)
    boxes = [Box(*(8 * side for side in box.corners)) for box in TILES]
    encoder = TileEncoder(vae, before.clamp(-1, 1), boxes, 8)
    assert list(vae.modules()) == modules
    for tiles in (decoder, encoder):
        assert {*map(id, tiles._vae.parameters())} == {*map(id, vae.parameters())}
    assert torch.equal(vae.decode(latents)[0], before)


@torch.no_grad()
def test_in_half_precision_and_with_attention_it_is_finite() -> None:
    vae: Any = copy.deepcopy(tiny_vae(4)).to(torch.bfloat16)
    assert vae.decoder.mid_block.attentions[0] is not None
    latents = torch.randn(1, 4, 16, 24).bfloat16()
    (pixels,) = TiledVAE(vae, Size(192, 128), 8, 96).decode(latents)
    assert pixels.dtype == torch.bfloat16
    assert pixels.isfinite().all()
    found = TiledVAE(vae, Size(192, 128), 8, 96).encode(pixels.clamp(-1, 1)).latent_dist
    assert found.parameters.dtype == torch.bfloat16
    assert found.parameters.shape[-2:] == latents.shape[-2:]
    assert found.parameters.isfinite().all()
    assert not can_share(torch.nn.Linear(2, 2))


def test_it_moves_with_the_vae(tiny_catalog: Catalog) -> None:
    manager = ModelManager(tiny_catalog, device="cpu")
    run = Denoising("a red house", "", Size(96, 64), 1, 5.0, "Euler", seed=3)

    def painted(plan: Plan) -> bytes:
        with manager.lease("mini", plan=plan) as leased:
            return leased.decode(leased.denoise(run, lambda _step, _preview: None)).tobytes()

    usual = painted(Plan(vae_tile_px=48))
    assert usual != painted(Plan())
    for placement in ("models", "leaves"):
        assert painted(Plan(placement, vae_tile_px=48)) == usual
