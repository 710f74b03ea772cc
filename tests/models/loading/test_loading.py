from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import gguf
import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from paintdiff.errors import JobCancelledError, ModelError, ModelLoadError, UnsafeWeightsError
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.formats import safetensors_reader
from paintdiff.models.formats.safetensors_reader import TensorFile
from paintdiff.models.hub import direct_download as hub
from paintdiff.models.loading import pipelines
from paintdiff.models.loading.conversion import cache as conversion_cache
from paintdiff.models.loading.conversion import converter as conversion
from paintdiff.models.loading.conversion.cache import find_conversions_folder
from paintdiff.models.loading.pipeline_files import LoadingContext
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.model_rows import ModelRow
from tests.original_layout import original_tensors
from tests.tiny import tiny_tokenizer


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (hub, conversion_cache):
        monkeypatch.setattr(module, "get_cache_folder", lambda: tmp_path / "cache")
    return find_conversions_folder()


def row_of(source: Path, family: str = "sd1", **changes: Any) -> ModelRow:
    model = Catalog.default().find(ModelRow, "mini")
    named = model.family.model_copy(update={"name": family, **changes.pop("of_family", {})})
    update = {"name": "x", "title": "X", "closed_vocabulary": False, "family": named}
    return model.model_copy(update={**update, "source": str(source), **changes})


@pytest.fixture
def single(tmp_path: Path, tiny_folder: Path) -> Path:
    """The tiny pipeline as a single file."""
    parts = diffusers.StableDiffusionPipeline.from_pretrained(str(tiny_folder)).components
    path = tmp_path / "single.safetensors"
    text = {"text_encoder": "cond_stage_model.transformer."}
    save_file(original_tensors(parts, text), path)
    return path


# -- files that change -------------------------------------------------------------------------


def test_tensors_are_copies_and_a_file_that_is_cut_off_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    wanted = {
        "a": torch.randn(3, 5),
        "b": torch.tensor(2.0).to(torch.float8_e4m3fn),
        "c": torch.zeros(0, 4),
        "d": torch.tensor([True, False]),
        "e": torch.arange(70_000).bfloat16(),
    }
    save_file(wanted, path, {"note": "x"})
    with TensorFile(path) as file:
        assert file.metadata == {"note": "x"}
        assert file.shapes["a"] == (3, 5)
        first = {name: file.read(name) for name in wanted}
        path.write_bytes(b"\xff" * path.stat().st_size)  # in place: what was read stays
        for name, tensor in wanted.items():
            assert torch.equal(first[name].float(), tensor.float()), name
        os.utime(path, ns=(1, 1))
        with pytest.raises(ModelLoadError, match="was changed while"):
            file.check_unchanged()
        os.truncate(path, 2000)
        with pytest.raises(ModelLoadError, match="cut off while"):
            file.read("e")


def test_a_file_that_is_replaced_while_it_is_opened_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = tmp_path / "x.safetensors", tmp_path / "y.safetensors"
    save_file({"a": torch.ones(3)}, path)
    save_file({"a": torch.ones(9)}, other)
    look = safetensors_reader.read_file_header

    def replacing(file: Path) -> dict[str, Any]:
        header = look(file)
        other.replace(path)
        return header

    monkeypatch.setattr(safetensors_reader, "read_file_header", replacing)
    with pytest.raises(ModelLoadError, match="replaced while"):
        TensorFile(path)


def test_a_unet_alone_takes_the_rest_from_a_folder(
    tmp_path: Path, tiny_folder: Path, single: Path
) -> None:
    prefix = "model.diffusion_model."
    unet = {n.removeprefix(prefix): t for n, t in load_file(single).items() if prefix in n}
    path = tmp_path / "unet.gguf"
    write_gguf(path, unet, "F16")
    row = row_of(path, "mini")
    loaded = pipelines.load_pipeline(
        row, "cpu", "float16", road=LoadingContext({"mini": tiny_folder})
    )
    wanted = (
        pipelines.load_pipeline(row_of(tiny_folder), "cpu", "float16")
        .components["unet"]
        .state_dict()
    )
    found = loaded.components["unet"].state_dict()
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert torch.equal(found[name], tensor), name


CUT_OFF = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
from paintdiff.models.loading import pipelines
from paintdiff.models.loading.pipeline_files import LoadingContext
from tests.models.loading.test_loading import row_of
config, *sources = map(Path, sys.argv[2:])
for source in sources:
    road = LoadingContext(config_folder=config if source.is_file() else None)
    loaded = pipelines.load_pipeline(row_of(source), "cpu", "float16", lambda _message: None, road)
    for path in [source] if source.is_file() else source.glob("*/*.safetensors"):
        os.truncate(path, 10)
        path.unlink()
    parts = [part for part in loaded.components.values() if isinstance(part, torch.nn.Module)]
    print(all(bool(torch.isfinite(t).all()) for part in parts for t in part.parameters()))
"""


def test_a_model_that_is_cut_off_and_deleted_while_it_is_loaded_still_paints(
    tmp_path: Path, tiny_folder: Path, single: Path
) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(tiny_folder, folder)
    root = str(Path(pipelines.__file__).parents[3])
    command = [sys.executable, "-c", CUT_OFF, root, str(tiny_folder), str(single), str(folder)]
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, cwd=root
    )
    assert (done.returncode, done.stdout.split()) == (0, ["True", "True"]), done.stderr


# -- hashes ------------------------------------------------------------------------------------


def test_the_hash_is_the_originals_and_is_checked(tmp_path: Path, tiny_folder: Path) -> None:
    parts = diffusers.StableDiffusionPipeline.from_pretrained(str(tiny_folder)).components
    tensors = original_tensors(parts, {"text_encoder": "cond_stage_model.transformer."})
    path = tmp_path / "x.ckpt"
    torch.save({"state_dict": tensors}, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    road = LoadingContext(config_folder=tiny_folder)
    loaded = pipelines.load_pipeline(row_of(path, sha256=sha256), "cpu", road=road)
    assert loaded.model_hash == sha256[:10]
    with pytest.raises(UnsafeWeightsError, match=rf"x\.ckpt isn't.*{sha256}"):
        pipelines.load_pipeline(row_of(path, sha256="0" * 64), "cpu", road=road)


# -- folders with pickles ----------------------------------------------------------------------


def pickled(folder: Path, parts: tuple[str, ...]) -> None:
    for part in parts:
        for path in (folder / part).glob("*.safetensors"):
            stem = (
                path.stem.replace("model", "pytorch_model") if part.startswith("t") else path.stem
            )
            torch.save(load_file(path), path.with_name(f"{stem}.bin"))
            path.unlink()


@pytest.mark.parametrize("parts", [("unet", "vae", "text_encoder"), ("text_encoder",)])
def test_a_folder_of_pickles_is_the_folder_of_safetensors(
    tmp_path: Path, tiny_folder: Path, cache: Path, parts: tuple[str, ...]
) -> None:
    folder = tmp_path / "old"
    shutil.copytree(tiny_folder, folder)
    pickled(folder, parts)
    (folder / "unet" / "evil.py").write_text("raise SystemExit")
    messages: list[str] = []
    for _ in range(2):
        loaded = pipelines.load_pipeline(row_of(folder), "cpu", "float16", messages.append)
    wanted = pipelines.load_pipeline(row_of(tiny_folder), "cpu", "float16").components
    for part in ("unet", "vae", "text_encoder"):
        found = loaded.components[part].state_dict()
        for name, tensor in wanted[part].state_dict().items():
            assert torch.equal(found[name], tensor), name
    assert messages.count("Converting pytorch_model.bin to safetensors") == 1
    assert not list(cache.rglob("*.py"))


def test_a_folder_with_weights_in_pieces_is_converted(tmp_path: Path, tiny_folder: Path) -> None:
    folder = tmp_path / "old"
    shutil.copytree(tiny_folder, folder)
    encoder = folder / "text_encoder"
    tensors = load_file(encoder / "model.safetensors")
    (encoder / "model.safetensors").unlink()
    names = sorted(tensors)
    pieces = {
        f"pytorch_model-0000{number}-of-00002.bin": {n: tensors[n] for n in names[number - 1 :: 2]}
        for number in (1, 2)
    }
    index = {name: piece for piece, content in pieces.items() for name in content}
    for piece, content in pieces.items():
        torch.save(content, encoder / piece)
    (encoder / "pytorch_model.bin.index.json").write_text(
        json.dumps({"metadata": {"total_size": 1}, "weight_map": index})
    )
    loaded = pipelines.load_pipeline(row_of(folder), "cpu", "float16")
    wanted = pipelines.load_pipeline(row_of(tiny_folder), "cpu", "float16").components[
        "text_encoder"
    ]
    found = loaded.components["text_encoder"].state_dict()
    for name, tensor in wanted.state_dict().items():
        assert torch.equal(found[name], tensor), name


def test_a_hostile_piece_of_a_folder_is_refused(tmp_path: Path, tiny_folder: Path) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "it ran"),)

    folder = tmp_path / "old"
    shutil.copytree(tiny_folder, folder)
    pickled(folder, ("unet",))
    torch.save({"a": Hostile()}, folder / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(UnsafeWeightsError, match="mkdir"):
        pipelines.load_pipeline(row_of(folder), "cpu")
    assert not (tmp_path / "it ran").exists()


# -- through the manager -----------------------------------------------------------------------


def manager_of(row: ModelRow) -> ModelManager:
    catalog = Catalog.default()
    catalog = catalog.replace(ModelRow, (*catalog.rows(ModelRow), row))
    return ModelManager(catalog, device="cpu")


def test_conversion_ends_when_nobody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    script = tmp_path / "slow.py"
    script.write_text(
        "import sys, time\n"
        'print(\'{"done": 1, "total": 4}\', file=sys.stderr, flush=True)\n'
        "time.sleep(100)\n"
    )
    monkeypatch.setattr(conversion, "_CHILD", script)
    path = tmp_path / "x.ckpt"
    torch.save({"a": torch.zeros(1)}, path)
    manager = manager_of(row_of(path))
    seen: list[str] = []

    def on_loading(message: str) -> None:
        seen.append(message)
        if message.endswith("25 %"):
            raise JobCancelledError("enough")

    with pytest.raises(JobCancelledError), manager.lease("x", "text_to_image", on_loading):
        pytest.fail("it can't be ready")
    deadline = time.monotonic() + 20
    while list(cache.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert list(cache.iterdir()) == []


def test_a_file_without_its_other_parts_says_what_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"double_blocks.0.img_attn.norm.key_norm.scale": torch.ones(8)}, path)
    row = row_of(path, "flux", of_family={"title": "FLUX.1"})
    with pytest.raises(ModelLoadError, match=r"x\.safetensors contains only the denoiser of FLUX"):
        pipelines.load_pipeline(row, "cpu")
    with pytest.raises(ModelError, match="none was found"), manager_of(row).lease("x"):
        pytest.fail("it can't be ready")


# -- denoisers alone ---------------------------------------------------------------------------


@pytest.fixture(scope="session")
def flux_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FLUX pipeline of random weights."""
    torch.manual_seed(0)
    tokenizer = tiny_tokenizer()
    clip = transformers.CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=32,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    t5 = transformers.T5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4
    )
    folder = tmp_path_factory.mktemp("flux") / "flux"
    diffusers.FluxPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=diffusers.AutoencoderKL(
            block_out_channels=(8, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            latent_channels=4,
            norm_num_groups=4,
            shift_factor=0.1,
        ),
        text_encoder=transformers.CLIPTextModel(clip),
        tokenizer=tokenizer,
        text_encoder_2=transformers.T5EncoderModel(t5),
        tokenizer_2=tokenizer,
        transformer=diffusers.FluxTransformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=4,
            joint_attention_dim=32,
            pooled_projection_dim=32,
            axes_dims_rope=(4, 4, 8),
            guidance_embeds=True,
        ),
    ).save_pretrained(folder)
    return folder


def flux_row(source: Path) -> ModelRow:
    return row_of(source, "flux", of_family={"pipelines": {"text_to_image": "FluxPipeline"}})


def write_gguf(path: Path, tensors: dict[str, torch.Tensor], kind: str) -> None:
    writer = gguf.GGUFWriter(str(path), "flux")
    for name, tensor in tensors.items():
        numbers = tensor.float().numpy()
        if tensor.ndim < 2 or tensor.shape[-1] % 32 or kind == "F16":
            writer.add_tensor(name, numbers.astype(np.float16 if tensor.ndim > 1 else np.float32))
        else:
            quantized = gguf.GGMLQuantizationType[kind]
            packed = gguf.quants.quantize(numbers, quantized)
            writer.add_tensor(name, packed, raw_dtype=quantized)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def flux_latents(components: dict[str, Any]) -> torch.Tensor:
    pipeline = diffusers.FluxPipeline(
        **{name: part for name, part in components.items() if name in loaders_names()}
    )
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(0)
    embeds = torch.randn(1, 6, 32, generator=generator)
    pooled = torch.randn(1, 32, generator=generator)
    return pipeline(
        prompt_embeds=embeds,
        pooled_prompt_embeds=pooled,
        height=16,
        width=16,
        num_inference_steps=2,
        output_type="latent",
        generator=generator,
    ).images


def loaders_names() -> set[str]:
    return {
        "scheduler",
        "vae",
        "text_encoder",
        "tokenizer",
        "text_encoder_2",
        "tokenizer_2",
        "transformer",
    }


@pytest.mark.parametrize("kind", ["F16", "Q8_0"])
def test_a_gguf_takes_its_other_parts_from_a_folder_of_its_family(
    tmp_path: Path, flux_folder: Path, kind: str
) -> None:
    whole = pipelines.load_pipeline(flux_row(flux_folder), "cpu", "float32")
    path = tmp_path / "flux.gguf"
    write_gguf(path, whole.components["transformer"].state_dict(), kind)
    road = LoadingContext({"flux": flux_folder})
    said: list[str] = []
    loaded = pipelines.load_pipeline(flux_row(path), "cpu", "float32", said.append, road)
    assert said == [f"Reading {path.name}, and the rest from {flux_folder.name}"]
    for part in ("vae", "text_encoder", "text_encoder_2"):
        found = loaded.components[part].state_dict()
        for name, tensor in whole.components[part].state_dict().items():
            assert torch.equal(found[name], tensor), name
    difference = flux_latents(dict(loaded.components)) - flux_latents(dict(whole.components))
    assert 0 < difference.abs().max() < 0.05
    assert loaded.model_hash == hashlib.sha256(path.read_bytes()).hexdigest()[:10]
    if kind == "Q8_0":
        assert loaded.weights_bytes < whole.weights_bytes


def test_a_denoiser_alone_is_the_one_of_its_folder(tmp_path: Path, flux_folder: Path) -> None:
    whole = pipelines.load_pipeline(flux_row(flux_folder), "cpu", "float32")
    path = tmp_path / "flux.safetensors"
    save_file(whole.components["transformer"].state_dict(), path)
    loaded = pipelines.load_pipeline(
        flux_row(path), "cpu", "float32", road=LoadingContext({"flux": flux_folder})
    )
    assert torch.equal(flux_latents(dict(loaded.components)), flux_latents(dict(whole.components)))


def without_blocks(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {n: t for n, t in tensors.items() if "proj_out" not in n}


def narrower(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        n: t[..., :1].contiguous() if "x_embedder.weight" in n else t for n, t in tensors.items()
    }


def scaled(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {**tensors, "x_embedder.scale_weight": torch.ones(1)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_blocks, "can't be loaded as the transformer of flux"),
        (narrower, "can't be loaded as the transformer of flux"),
        (scaled, "a quantization that isn't supported"),
    ],
)
def test_a_denoiser_that_does_not_fit_its_folder_is_refused(
    tmp_path: Path, flux_folder: Path, change: Callable[..., Any], message: str
) -> None:
    network = diffusers.FluxTransformer2DModel.from_pretrained(str(flux_folder / "transformer"))
    path = tmp_path / "flux.safetensors"
    save_file(change(network.state_dict()), path)
    with pytest.raises(ModelLoadError, match=rf"flux\.safetensors.*{message}"):
        pipelines.load_pipeline(
            flux_row(path), "cpu", "float32", road=LoadingContext({"flux": flux_folder})
        )


@pytest.mark.parametrize("kept", [4, 20, 60, -100])
def test_a_damaged_gguf_is_refused(tmp_path: Path, flux_folder: Path, kept: int) -> None:
    network = diffusers.FluxTransformer2DModel.from_pretrained(str(flux_folder / "transformer"))
    path = tmp_path / "flux.gguf"
    write_gguf(path, network.state_dict(), "F16")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelLoadError, match=r"flux\.gguf"):
        pipelines.load_pipeline(
            flux_row(path), "cpu", "float32", road=LoadingContext({"flux": flux_folder})
        )
