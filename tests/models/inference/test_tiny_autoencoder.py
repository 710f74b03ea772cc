from __future__ import annotations

import pickle
import re
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from paintdiff.errors import ModelLoadError, ModelNotFoundError, UnsafeWeightsError
from paintdiff.imaging.geometry import Size
from paintdiff.models.adapters.applied import LeasedAdapters
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.inference.denoising_run import Denoising
from paintdiff.models.inference.pipelines.leased_pipeline import LeasedPipeline, LeaseTerms
from paintdiff.models.inference.previews.tiny_autoencoder import TinyPreview, load_tiny_autoencoder
from paintdiff.models.loading.pipelines import load_pipeline
from paintdiff.models.memory.plans import Plan
from paintdiff.models.registry.families import Family
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.speed_profiles import Profile

FAMILIES: dict[str, Family] = {
    row.family.name: row.family for row in Catalog.default().rows(ModelRow)
}


@pytest.fixture(scope="module")
def network() -> diffusers.AutoencoderTiny:
    torch.manual_seed(0)
    return diffusers.AutoencoderTiny(latent_channels=4).eval()


@pytest.fixture(scope="module")
def files(
    network: diffusers.AutoencoderTiny, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The same weights in each layout that people have."""
    root = tmp_path_factory.mktemp("taesd")
    network.save_pretrained(root / "folder")
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(tensors, root / "diffusers.safetensors")
    # As first published: a layer without weights comes first, and the decoder is a file of its own.
    decoder = {
        re.sub(r"^decoder\.layers\.(\d+)", lambda found: str(int(found[1]) + 1), name): tensor
        for name, tensor in tensors.items()
        if name.startswith("decoder.")
    }
    save_file(decoder, root / "taesd_decoder.safetensors")
    encoder = {
        name.removeprefix("encoder.layers."): tensor
        for name, tensor in tensors.items()
        if name.startswith("encoder.")
    }
    save_file(encoder, root / "taesd_encoder.safetensors")
    return {path.stem: path for path in root.iterdir()}


@pytest.mark.parametrize("layout", ["folder", "diffusers", "taesd_decoder"])
def test_it_decodes_as_diffusers_does_in_every_layout(
    layout: str, files: dict[str, Path], network: diffusers.AutoencoderTiny
) -> None:
    decoder = load_tiny_autoencoder(files[layout], FAMILIES["mini"])
    latents = torch.randn(1, 4, 4, 6)
    with torch.no_grad():
        expected = network.decode(latents).sample
        assert torch.equal(decoder(latents), expected)
    preview = TinyPreview(decoder, torch.device("cpu"))
    preview.begin(latents, Size(48, 32))
    picture = preview.take()
    assert picture is not None
    levels = (expected[0].permute(1, 2, 0).numpy() * 127.5 + 127.5).clip(0, 255)
    assert np.abs(np.asarray(picture) - levels).max() <= 0.51
    assert preview.take() is None, "each picture is given once"


def test_large_pictures_are_small_previews(files: dict[str, Path]) -> None:
    preview = TinyPreview(
        load_tiny_autoencoder(files["folder"], FAMILIES["mini"]), torch.device("cpu")
    )
    preview.begin(torch.zeros(1, 4, 64, 128), Size(1024, 512))
    picture = preview.take()
    assert picture is not None
    assert picture.size == (256, 128)
    preview.begin(torch.zeros(1, 4, 64, 128), Size(1024, 512))
    preview.forget()
    assert preview.take() is None, "another run's picture is never shown"


def test_what_is_none_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    mini = FAMILIES["mini"]
    with pytest.raises(ModelNotFoundError, match="no tiny autoencoder"):
        load_tiny_autoencoder(tmp_path / "nothing.safetensors", mini)
    with pytest.raises(ModelLoadError, match="no decoder"):
        load_tiny_autoencoder(files["taesd_encoder"], mini)
    wide = mini.model_copy(update={"latent_channels": 16})
    with pytest.raises(ModelLoadError, match="of 4 channels, but Mini has 16"):
        load_tiny_autoencoder(files["folder"], wide)
    half = tmp_path / "half.safetensors"
    save_file({"decoder.layers.0.weight": torch.zeros(64, 4, 3, 3)}, half)
    with pytest.raises(ModelLoadError, match="isn't a tiny autoencoder"):
        load_tiny_autoencoder(half, mini)
    evil = tmp_path / "evil.safetensors"
    evil.write_bytes(pickle.dumps({"weight": 1}))
    with pytest.raises(UnsafeWeightsError):
        load_tiny_autoencoder(evil, mini)


def test_a_lease_shows_its_pictures_and_paints_the_same(
    files: dict[str, Path], tiny_catalog: Catalog
) -> None:
    loaded = load_pipeline(tiny_catalog.find(ModelRow, "mini"), "cpu")
    decoder = load_tiny_autoencoder(files["folder"], FAMILIES["mini"])
    run = Denoising("a red house", "", Size(64, 64), 3, 4.0, "DDIM", seed=3)

    def painted(leased: LeasedPipeline) -> tuple[torch.Tensor, bytes]:
        shown: list[bytes] = []

        def on_step(_step: int, preview: object) -> None:
            if preview is not None:
                shown.append(preview.tobytes())  # pyright: ignore[reportAttributeAccessIssue]

        return leased.denoise(run, on_step), shown[0]

    with_decoder = LeaseTerms(tiny_autoencoder=decoder)
    linear, by_map = painted(LeasedPipeline(loaded, "text_to_image"))
    tiny, by_decoder = painted(LeasedPipeline(loaded, "text_to_image", with_decoder))
    assert torch.equal(linear, tiny)
    assert by_map != by_decoder


@pytest.mark.parametrize("tile", [None, 256])
def test_a_profile_that_takes_it_decodes_by_it(
    tile: int | None,
    files: dict[str, Path],
    network: diffusers.AutoencoderTiny,
    tiny_catalog: Catalog,
) -> None:
    loaded = load_pipeline(tiny_catalog.find(ModelRow, "mini"), "cpu")
    decoder = load_tiny_autoencoder(files["folder"], FAMILIES["mini"])
    quick = Profile(name="quick", title="Quick", says="quick", decoder="tiny")
    plan = Plan(vae_tile_px=tile)
    terms = LeaseTerms(tiny_autoencoder=decoder, plan=plan, profile=quick)
    leased = LeasedPipeline(loaded, "text_to_image", terms)
    latents = torch.randn(1, 4, 40, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network.decode(latents).sample[0].permute(1, 2, 0).numpy()
    picture = leased.decode(latents)
    differs = np.abs(np.asarray(picture) - (expected * 127.5 + 127.5).clip(0, 255))
    assert differs.max() <= (0.51 if tile is None else 30)
    assert differs.mean() < (0.3 if tile is None else 1)
    assert leased.notes == (
        "Decoded by a tiny autoencoder in place of the VAE: fine details differ.",
    )


def test_the_vae_decodes_where_there_is_none_or_one_was_chosen(
    files: dict[str, Path], tiny_catalog: Catalog
) -> None:
    loaded = load_pipeline(tiny_catalog.find(ModelRow, "mini"), "cpu")
    decoder = load_tiny_autoencoder(files["folder"], FAMILIES["mini"])
    chosen = LeasedAdapters(components={"vae": loaded.components["vae"]})
    quick = Profile(name="quick", title="Quick", says="quick", decoder="tiny")
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with_decoder = LeaseTerms(tiny_autoencoder=decoder)
    usual = LeasedPipeline(loaded, "text_to_image", with_decoder)
    terms = LeaseTerms(tiny_autoencoder=decoder, adapters=chosen, profile=quick)
    with_chosen = LeasedPipeline(loaded, "text_to_image", terms)
    without = LeasedPipeline(loaded, "text_to_image", LeaseTerms(profile=quick))
    for leased in (with_chosen, without):
        assert leased.decode(latents).tobytes() == usual.decode(latents).tobytes()
        assert leased.notes == ()
