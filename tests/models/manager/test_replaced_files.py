"""Files that are replaced on disk while they are loaded: every kind is read again, and the picture
names the hash of what painted it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from PIL import Image

from paintdiff.imaging.geometry import Size
from paintdiff.models.adapters.specs import Adapters, IpAdapterUse, LoraUse
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.catalog.live_catalog import LiveCatalog
from paintdiff.models.discovery.row_builder import FoundRows
from paintdiff.models.discovery.scanning import read_stamp
from paintdiff.models.inference.denoising_run import Denoising, Source
from paintdiff.models.manager.loaders import UPSCALER
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.adapter_rows import (
    EmbeddingRow,
    IpAdapterRow,
    LoraRow,
    TinyAutoencoderRow,
    VaeRow,
)
from paintdiff.models.registry.base_rows import WeightsRow
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.upscaler_rows import UpscalerRow
from tests import adapter_files as files
from tests.tiny import save_tiny_controlnet, save_tiny_upscaler

RUN = Denoising("a red house, word", "boat", Size(64, 64), 2, 5.0, "DDIM", seed=3)
PICTURE = Image.effect_noise((40, 40), 80).convert("RGB")


STAMPED: tuple[type[WeightsRow], ...] = (
    ControlNetRow,
    UpscalerRow,
    LoraRow,
    EmbeddingRow,
    VaeRow,
    TinyAutoencoderRow,
    IpAdapterRow,
)


class Stamped(LiveCatalog):
    """The rows of a catalog with the fingerprints that their files have now, as the rows of a
    models folder have them.
    """

    def __init__(self, base: Catalog) -> None:
        super().__init__(base=base)
        self.rows = base

    def catalog(self) -> Catalog:
        def stamped(row: Any) -> Any:
            assert isinstance(row, WeightsRow)
            place = Path(row.source)
            return row.model_copy(update=read_stamp(place)) if place.exists() else row

        stamped_rows = (stamped(row) for kind in STAMPED for row in self.rows.rows(kind))
        return self.rows.with_found(FoundRows((*self.rows.rows(ModelRow), *stamped_rows)))


Writes = Callable[[Path, Any, int], None]
"""Writes other weights for each seed, given a model's parts."""


def _lora(place: Path, parts: Any, seed: int) -> None:
    files.saved(place, files.in_peft_keys(files.lora_layers(parts, seed=seed)))


def _embedding(place: Path, parts: Any, seed: int) -> None:
    width = parts["text_encoder"].config.hidden_size
    generator = torch.Generator().manual_seed(seed)
    files.saved(place, {"emb_params": torch.randn(3, width, generator=generator)})


def _vae(place: Path, parts: Any, seed: int) -> None:
    files.save_tiny_vae(place, parts["vae"], seed=seed)


def _ip_adapter(place: Path, parts: Any, seed: int) -> None:
    files.saved(place, files.ip_adapter_tensors(parts["unet"], seed=seed))


KINDS: dict[str, tuple[str, Writes, Adapters]] = {
    "LoRA": ("it.safetensors", _lora, Adapters(loras=(LoraUse("it"),))),
    "embedding": ("word.safetensors", _embedding, Adapters(embeddings=("word",))),
    "VAE": ("it", _vae, Adapters(vae="it")),
    "IP-Adapter": ("it.safetensors", _ip_adapter, Adapters(ip_adapters=(IpAdapterUse("it"),))),
}


@pytest.fixture(scope="module")
def parts(tiny_folder: Path) -> dict[str, Any]:
    pipeline: Any = diffusers.StableDiffusionPipeline.from_pretrained(
        tiny_folder, dtype=torch.float32
    )
    return dict(pipeline.components)


def shelf_of(kind: str, tiny_folder: Path, place: Path) -> Stamped:
    catalog = Catalog.default().with_source(str(tiny_folder))
    rows: dict[str, Any] = {
        "LoRA": lambda: {"loras": (files.lora_row(place),)},
        "embedding": lambda: {"embeddings": (files.embedding_row(place, "sd1"),)},
        "VAE": lambda: {"vaes": (files.vae_row(place, "sd1"),)},
        "IP-Adapter": lambda: {
            "ip_adapters": (
                files.ip_adapter_row(
                    place, files.save_tiny_image_encoder(place.parent / "clip"), "sd1"
                ),
            )
        },
    }
    return Stamped(files.with_adapters(catalog, **rows[kind]()))


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_that_was_replaced_is_read_again(
    kind: str, tiny_folder: Path, tmp_path: Path, parts: dict[str, Any]
) -> None:
    name, write, adapters = KINDS[kind]
    place = tmp_path / name
    write(place, parts, 1)
    shelf = shelf_of(kind, tiny_folder, place)
    run = replace(RUN, ip_pictures=(PICTURE,)) if kind == "IP-Adapter" else RUN

    def painted(manager: ModelManager) -> tuple[bytes, dict[str, str]]:
        with manager.lease("tiny", adapters=adapters) as leased:
            latents = leased.denoise(run, lambda _step, _preview: None)
            return leased.decode(latents).tobytes(), dict(leased.hashes)

    manager = ModelManager(shelf, device="cpu")
    before = painted(manager)
    assert painted(manager) == before
    write(place, parts, 2)
    after = painted(manager)
    assert after[0] != before[0], "it paints by the new weights"
    assert after == painted(ModelManager(shelf, device="cpu"))
    if kind != "IP-Adapter":  # no hash is kept of those
        assert after[1] != before[1]


def test_a_lease_keeps_the_lora_that_it_began_with(
    tiny_folder: Path, tmp_path: Path, parts: dict[str, Any]
) -> None:
    name, write, adapters = KINDS["LoRA"]
    write(tmp_path / name, parts, 1)
    shelf = shelf_of("LoRA", tiny_folder, tmp_path / name)
    manager = ModelManager(shelf, device="cpu")
    with manager.lease("tiny", adapters=adapters) as first:
        before = first.denoise(RUN, lambda _step, _preview: None)
        write(tmp_path / name, parts, 2)

        class GivesUpError(Exception):
            """It would wait as long as the first lease lasts."""

        def give_up(message: str) -> None:
            if message.startswith("Waiting"):
                raise GivesUpError

        with (
            pytest.raises(GivesUpError),
            manager.lease("tiny", on_loading=give_up, adapters=adapters),
        ):
            pytest.fail("two files of one name can't be in a model at once")
        again = first.denoise(RUN, lambda _step, _preview: None)
    assert torch.equal(again, before)


def _sum_of(network: torch.nn.Module) -> float:
    return sum(float(each.sum()) for each in network.parameters())


def test_a_controlnet_and_an_upscaler_that_were_replaced_are_loaded_again(
    tiny_catalog: Catalog, tmp_path: Path, parts: dict[str, Any]
) -> None:
    upscaler, controlnet = tmp_path / "double.safetensors", tmp_path / "sketch"
    save_tiny_upscaler(upscaler, factor=2)
    save_tiny_controlnet(controlnet, parts["unet"], seed=1)
    base = tiny_catalog
    rows = tuple(
        row.model_copy(update={"source": str(controlnet)})
        for row in base.rows(ControlNetRow)
        if row.name == "mini-sketch"
    )
    enlarging = tuple(
        row.model_copy(update={"source": str(upscaler)})
        for row in base.rows(UpscalerRow)
        if row.name == "double"
    )
    shelf = Stamped(base.with_found(FoundRows((*base.rows(ModelRow), *rows, *enlarging))))
    manager = ModelManager(shelf, device="cpu")

    def sums() -> tuple[float, float]:
        with (
            manager.lease("mini", controlnets=["mini-sketch"]) as leased,
            manager.lease_weights(UPSCALER, "double") as leased_upscaler,
        ):
            network = leased.controlnets["mini-sketch"].network
            enlarger = leased_upscaler.network.model
            return _sum_of(network), _sum_of(enlarger)

    before = sums()
    assert sums() == before
    shutil.rmtree(controlnet)
    save_tiny_controlnet(controlnet, parts["unet"], seed=2)
    save_tiny_upscaler(upscaler, factor=2, seed=9)
    after = sums()
    assert after[0] != before[0] and after[1] != before[1]
    assert manager.cache.unload("ControlNet mini-sketch") == 1
    assert manager.cache.unload("upscaler double") == 1


SDXL_RUN = replace(
    RUN, prompt="a red house", source=Source(PICTURE.resize((64, 64)), 0.5), sampler="Euler"
)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("force_upcast", [True, False])
def test_a_vae_that_paints_along_in_half_precision_keeps_its_weights(
    dtype: str, force_upcast: bool, tiny_xl_folder: Path, tmp_path: Path
) -> None:
    catalog = Catalog.default().with_source(str(tiny_xl_folder))
    own: Any = diffusers.AutoencoderKL.from_pretrained(tiny_xl_folder / "vae")
    folder = files.save_tiny_vae(tmp_path / "vae", own, force_upcast=force_upcast)
    family = catalog.rows(ModelRow)[-1].family.name
    row: VaeRow = files.vae_row(folder, family)
    catalog = files.with_adapters(catalog, vaes=(row,))
    expected: Any = diffusers.AutoencoderKL.from_pretrained(folder)
    manager = ModelManager(catalog, device="cpu", dtype=dtype)
    for _ in range(2):
        with manager.lease(
            catalog.rows(ModelRow)[-1].name, "image_to_image", adapters=Adapters(vae="vae")
        ) as leased:
            vae = leased.pipeline.vae
            leased.decode(leased.denoise(SDXL_RUN, lambda _step, _preview: None))
        assert vae.dtype == torch.float32
        for name, weight in vae.state_dict().items():
            assert torch.equal(weight, expected.state_dict()[name]), name
