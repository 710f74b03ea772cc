from __future__ import annotations

import diffusers
import torch

from paintdiff.imaging.geometry import Size
from paintdiff.models.inference.previews.latent_formats import (
    LAYOUTS,
    LatentSpace,
    pack_patches,
    unpack_patches,
)


def test_patches_are_those_of_diffusers_and_come_apart_again() -> None:
    latents = torch.randn(1, 16, 6, 8)
    flux = diffusers.FluxPipeline._pack_latents(latents, 1, 16, 6, 8)
    qwen = diffusers.QwenImagePipeline._pack_latents(latents[:, None], 1, 16, 6, 8)
    packed = pack_patches(latents)
    assert torch.equal(packed, flux)
    assert torch.equal(packed, qwen)
    assert torch.equal(unpack_patches(packed, 6, 8), latents)
    assert torch.equal(unpack_patches(latents, 6, 8), latents), "what isn't packed stays"


def test_a_change_is_made_to_latents_in_whatever_shape_they_are() -> None:
    space = LatentSpace.for_size(LAYOUTS["packed"], Size(64, 48), 8)
    assert (space.height, space.width) == (6, 8)
    latents = torch.randn(1, 16, 6, 8)
    seen: list[torch.Size] = []

    def first_column_gone(each: torch.Tensor) -> torch.Tensor:
        seen.append(each.shape)
        changed = each.clone()
        changed[..., 0] = 0
        return changed

    plain = space.apply(first_column_gone, latents)
    packed = space.apply(first_column_gone, pack_patches(latents))
    assert torch.equal(space.unpack(packed), plain)
    assert seen == [latents.shape] * 2
