"""LoRAs in and out of models whose denoiser is a transformer, and previews by a tiny autoencoder
that lies in a models folder: both through the manager, as a lease has them."""

from __future__ import annotations

from pathlib import Path

import diffusers
import pytest
import torch
from safetensors.torch import save_file

from paintdiff.imaging.geometry import Size
from paintdiff.models.adapters.lora_formats import read_lora
from paintdiff.models.adapters.specs import Adapters, LoraUse
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.discovery.row_builder import FoundRows
from paintdiff.models.inference.denoising_run import Denoising
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.adapter_rows import TinyAutoencoderRow
from paintdiff.models.registry.model_rows import ModelRow
from tests import adapter_files as files
from tests.models.adapters.test_lora_formats import Changing
from tests.tiny_families import save_tiny_family

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")


def attention_lora(transformer: torch.nn.Module) -> dict[str, torch.Tensor]:
    """One of rank 2 for its queries, keys and values, in PEFT's names."""
    generator = torch.Generator().manual_seed(0)
    tensors: dict[str, torch.Tensor] = {}
    for path, layer in transformer.named_modules():
        if path.endswith(("to_q", "to_k", "to_v")) and isinstance(layer, torch.nn.Linear):
            outputs, inputs = layer.weight.shape
            tensors[f"transformer.{path}.lora_A.weight"] = torch.randn(
                2, inputs, generator=generator
            )
            tensors[f"transformer.{path}.lora_B.weight"] = torch.randn(
                outputs, 2, generator=generator
            )
    return tensors


@pytest.mark.parametrize("family", ["sd3", "flux", "pixart", "qwen-image", "z-image"])
def test_a_lora_goes_into_a_transformer_and_out_again(family: str, tmp_path: Path) -> None:
    save_tiny_family(family, tmp_path / family)
    catalog = Catalog.default().with_found(FoundRows()).with_source(str(tmp_path / family))
    library = Changing(catalog)
    manager, row = ModelManager(library, device="cpu"), catalog.rows(ModelRow)[0]
    run = Denoising("a boat", "", Size(64, 48), 2, 3.0, row.sampler, 3)

    def latents(*uses: LoraUse) -> torch.Tensor:
        with manager.lease(row.name, adapters=Adapters(loras=uses)) as leased:
            return leased.denoise(run, lambda _step, _preview: None)

    before = latents()
    with manager.lease(row.name) as leased:
        save_file(attention_lora(leased.denoiser), tmp_path / "ink.safetensors")
    lora = files.lora_row(tmp_path / "ink.safetensors")
    library.now = files.with_adapters(catalog, loras=(lora,))
    changed, weaker = latents(LoraUse("ink")), latents(LoraUse("ink", 0.5))
    assert not torch.equal(changed, before) and not torch.equal(changed, weaker)
    assert torch.equal(latents(), before), "nothing is left behind"


@pytest.mark.parametrize("prefix", ["", "diffusion_model.", "transformer.", "base_model.model."])
@pytest.mark.parametrize("ends", [("lora_A", "lora_B"), ("lora_down", "lora_up")])
@pytest.mark.parametrize(
    ("layer", "wanted"),
    [
        ("double_blocks.0.img_attn.qkv", ["attn.to_q", "attn.to_k", "attn.to_v"]),
        ("double_blocks.0.txt_attn.proj", ["attn.to_add_out"]),
        ("double_blocks.0.img_mlp.0", ["ff.net.0.proj"]),
    ],
)
def test_one_layer_of_fluxs_original_names_is_enough(
    layer: str, wanted: list[str], ends: tuple[str, str], prefix: str, tmp_path: Path
) -> None:
    """diffusers converts them only in files that have all layers."""
    transformer = diffusers.FluxTransformer2DModel(
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        in_channels=4,
        axes_dims_rope=(4, 4, 8),
    )
    outputs = {"qkv": 96, "proj": 32, "0": 128}[layer.rsplit(".", 1)[1]]
    down, up = torch.randn(2, 32), torch.randn(outputs, 2)
    tensors = {f"{prefix}{layer}.{ends[0]}.weight": down, f"{prefix}{layer}.{ends[1]}.weight": up}
    save_file(tensors, tmp_path / "one.safetensors")
    components = {"transformer": transformer}
    file = read_lora(tmp_path / "one.safetensors", "one", diffusers.FluxPipeline, components)
    start = "transformer_blocks.0."
    assert [path for _, path in file.parts] == [start + each for each in wanted]
    assert file.unread == 0
    product = torch.cat(
        [
            file.parts["transformer", start + each].up
            @ file.parts["transformer", start + each].down
            for each in wanted
        ]
    )
    torch.testing.assert_close(product, up @ down)


def test_previews_are_by_the_tiny_autoencoder_of_a_models_folder(
    tiny_folder: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    folder = tmp_path / "vae_approx" / "taesd"
    diffusers.AutoencoderTiny().save_pretrained(folder)
    found = Catalog.default([tmp_path]).rows(TinyAutoencoderRow)
    assert [row.name for row in found] == ["taesd"]
    fitting = found[0].model_copy(update={"families": ("mini",)})
    bare = Catalog.default().with_found(FoundRows())
    bare = bare.with_source(str(tiny_folder), name="tiny", family="mini")

    def previews(decoder: bool) -> list[bytes]:
        catalog = bare.with_found(
            FoundRows((*bare.rows(ModelRow), *((fitting,) if decoder else ())))
        )
        seen: list[bytes] = []
        run = Denoising("a boat", "", Size(64, 64), 2, 3.0, "DDIM", 3)
        with ModelManager(catalog, device="cpu").lease("tiny") as leased:
            leased.denoise(
                run, lambda _step, preview: seen.append(preview.tobytes()) if preview else None
            )
        return seen

    by_map, by_decoder = previews(False), previews(True)
    assert by_map and by_decoder and by_map[0] != by_decoder[0]


def test_a_tiny_autoencoder_that_is_none_costs_no_picture(
    tiny_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "taesd.safetensors"
    save_file({"decoder.layers.0.weight": torch.zeros(64, 4, 3, 3)}, broken)
    bare = Catalog.default().with_found(FoundRows())
    bare = bare.with_source(str(tiny_folder), name="tiny", family="mini")
    row = files.tiny_autoencoder_row(broken, "mini")
    catalog = bare.with_found(FoundRows((*bare.rows(ModelRow), row)))
    run = Denoising("a boat", "", Size(64, 64), 2, 3.0, "DDIM", 3)
    with ModelManager(catalog, device="cpu").lease("tiny") as leased:
        leased.denoise(run, lambda _step, _preview: None)
    assert "previews are without taesd" in caplog.text
