"""Models folders: what is found in them in the layouts people have, and what is seen of changes."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from paintdiff.errors import ModelNotFoundError, RequestError, UnknownNameError
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.catalog.live_catalog import LiveCatalog
from paintdiff.models.discovery import detection_cache
from paintdiff.models.discovery.detection_cache import DetectionCache
from paintdiff.models.discovery.header_reader import FileReader
from paintdiff.models.discovery.inspection import InspectedFile
from paintdiff.models.discovery.scanning import scan_folders
from paintdiff.models.formats.tensor_inventory import UNET_WIDTHS
from paintdiff.models.registry.adapter_rows import (
    EmbeddingRow,
    IpAdapterRow,
    LoraRow,
    TinyAutoencoderRow,
    VaeRow,
)
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.upscaler_rows import UpscalerRow
from tests.models.weight_files import (
    checkpoint,
    controlnet,
    kohya_lora,
    unet,
    vae,
    write_gguf,
    write_sparse,
)

ESRGAN = {"conv_first.weight": (64, 3, 3, 3), "body.0.rdb1.conv1.weight": (32, 64, 3, 3)}
TOKEN = {"emb_params": (4, 768)}


class Clock:
    """A clock that a test moves on."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def names(rows: tuple[Any, ...]) -> list[str]:
    return [row.name for row in rows]


def own(catalog: Catalog) -> list[str]:
    shipped = names(Catalog.default().rows(ModelRow))
    return [name for name in names(catalog.rows(ModelRow)) if name not in shipped]


def fill(root: Path, folders: dict[str, str]) -> None:
    """One file of each sort, in folders of these names."""
    shapes = {
        "model": checkpoint(768),
        "lora": kohya_lora(768),
        "embedding": TOKEN,
        "vae": vae(),
        "controlnet": controlnet(768),
        "upscaler": ESRGAN,
        "tiny": {
            "decoder.layers.0.weight": (64, 4, 3, 3),
            "encoder.layers.0.weight": (64, 3, 3, 3),
            "decoder.layers.2.conv.0.weight": (64, 64, 3, 3),
        },
    }
    for sort, folder in folders.items():
        write_sparse(root / folder / f"my-{sort}.safetensors", shapes[sort])


A1111 = {
    "model": "models/Stable-diffusion/sub folder",
    "lora": "models/Lora",
    "embedding": "embeddings",
    "vae": "models/VAE",
    "controlnet": "models/ControlNet",
    "upscaler": "models/ESRGAN",
    "tiny": "models/VAE-approx",
}
COMFY = {
    "model": "models/checkpoints",
    "lora": "models/loras/styles",
    "embedding": "models/embeddings",
    "vae": "models/vae",
    "controlnet": "models/controlnet",
    "upscaler": "models/upscale_models",
    "tiny": "models/vae_approx",
}
FLAT = dict.fromkeys(A1111, ".")


@pytest.mark.parametrize(
    ("layout", "given", "program"),
    [
        (A1111, "", "webui.py"),
        (A1111, "models", "launch.py"),
        (COMFY, "", "main.py"),
        (COMFY, "models", ""),
        (COMFY, "", ""),
        (FLAT, "", ""),
        ({sort: folder.upper() for sort, folder in COMFY.items()}, "", ""),
    ],
)
def test_every_layout_is_understood(
    layout: dict[str, str], given: str, program: str, tmp_path: Path
) -> None:
    fill(tmp_path, layout)
    if program:
        (tmp_path / program).touch()
        write_sparse(tmp_path / "venv" / "not-a-model.safetensors", checkpoint(768))
    catalog = LiveCatalog([tmp_path / given]).catalog()
    assert own(catalog) == ["my-model"]
    assert names(catalog.rows(LoraRow)) == ["my-lora"]
    assert names(catalog.rows(EmbeddingRow)) == ["my-embedding"]
    assert names(catalog.rows(VaeRow)) == ["my-vae"]
    assert names(catalog.rows(TinyAutoencoderRow)) == ["my-tiny"]
    assert "my-controlnet" in names(catalog.rows(ControlNetRow))
    assert "my-upscaler" in names(catalog.rows(UpscalerRow))
    assert catalog.problems() == ()
    model = catalog.find(ModelRow, "my-model")
    assert (model.family.name, model.parts) == ("sd1", ("denoiser", "vae", "text_encoder"))
    assert model.size_bytes == Path(model.source).stat().st_size
    assert catalog.fitting(LoraRow, model) == catalog.rows(LoraRow)
    assert catalog.fitting(LoraRow, catalog.find(ModelRow, "mini")) == ()
    assert catalog.fitting(EmbeddingRow, model) == catalog.rows(EmbeddingRow)
    assert catalog.fitting(VaeRow, model) == catalog.rows(VaeRow)


def test_several_folders_are_one_list_and_what_a_file_is_decides(tmp_path: Path) -> None:
    write_sparse(tmp_path / "a" / "checkpoints" / "style.safetensors", kohya_lora(768))
    write_sparse(tmp_path / "a" / "loras" / "painter.safetensors", checkpoint(768))
    write_sparse(tmp_path / "b" / "loras" / "style.safetensors", kohya_lora(2048))
    write_sparse(tmp_path / "b" / "upscale_models" / "token.safetensors", TOKEN)
    catalog = LiveCatalog([tmp_path / "a", tmp_path / "b", tmp_path / "a"]).catalog()
    assert own(catalog) == ["painter"]
    assert names(catalog.rows(LoraRow)) == ["checkpoints/style", "loras/style"]
    families = [row.family.name for row in catalog.rows(LoraRow) if row.family is not None]
    assert families == ["sd1", "sdxl"]
    assert names(catalog.rows(EmbeddingRow)) == ["token"]
    assert "token" not in names(catalog.rows(UpscalerRow))
    with pytest.raises(UnknownNameError, match=r"'styl'.*/style"):
        catalog.find(LoraRow, "styl")


def test_a_lora_says_what_is_known_of_it(tmp_path: Path) -> None:
    tags = json.dumps({"10_x": {"red hair": 3, "smile": 9}, "5_x": {"red hair": 20}})
    said = {"modelspec__title": "A title", "modelspec__license": "MIT", "ss_tag_frequency": tags}
    write_sparse(tmp_path / "plain.safetensors", kohya_lora(768), **said)
    for name in ("web ui", "civitai", "broken", "strange"):
        write_sparse(tmp_path / f"{name}.safetensors", kohya_lora(768), **said)
    own_words = {"activation text": "my style, ", "preferred weight": 0.7, "description": "Soft."}
    (tmp_path / "web ui.json").write_text(json.dumps(own_words))
    trained = {"trainedWords": ["abc", "abc", 3, "<b>x</b>\n"], "description": "A\u202eB" * 5000}
    (tmp_path / "civitai.civitai.info").write_text(json.dumps(trained))
    (tmp_path / "civitai.png").touch()
    (tmp_path / "web ui.png").touch()
    (tmp_path / "web ui.preview.webp").touch()
    (tmp_path / "broken.json").write_text("{")
    strange = {"activation text": 3, "preferred weight": 1e400, "trainedWords": "x"}
    (tmp_path / "strange.json").write_text(json.dumps(strange))
    catalog = LiveCatalog([tmp_path]).catalog()
    plain = catalog.find(LoraRow, "plain")
    assert plain.trigger_words == ("red hair", "smile")
    assert (plain.licence, plain.weight, plain.preview) == ("MIT", None, None)
    ours = catalog.find(LoraRow, "web ui")
    assert (ours.trigger_words, ours.weight) == (("my style",), 0.7)
    assert ours.description == "Soft."
    assert ours.preview == tmp_path / "web ui.preview.webp"
    civitai = catalog.find(LoraRow, "civitai")
    assert civitai.trigger_words == ("abc", "<b>x</b>"), "text, whatever is in it"
    assert len(civitai.description) <= 2000 and "\u202e" not in civitai.description
    assert civitai.preview == tmp_path / "civitai.png"
    for name in ("broken", "strange"):
        assert catalog.find(LoraRow, name).trigger_words == ("red hair", "smile")
        assert catalog.find(LoraRow, name).weight is None


def test_ip_adapters_find_the_image_encoder_that_fits(tmp_path: Path) -> None:
    cross = {"ip_adapter.1.to_k_ip.weight": (320, 768)}
    write_sparse(
        tmp_path / "ipadapter" / "plain.safetensors",
        {"image_proj.proj.weight": (3072, 1024), **cross},
    )
    write_sparse(
        tmp_path / "ipadapter" / "lonely.safetensors",
        {"image_proj.proj.weight": (3072, 77), **cross},
    )
    for name, projected, hidden in (("big", 1280, 1664), ("huge", 1024, 1280)):
        write_sparse(
            tmp_path / "clip_vision" / f"{name}.safetensors",
            {
                "vision_model.embeddings.patch_embedding.weight": (hidden, 3, 14, 14),
                "vision_model.embeddings.class_embedding": (hidden,),
                "visual_projection.weight": (projected, hidden),
            },
        )
    catalog = LiveCatalog([tmp_path]).catalog()
    huge = tmp_path / "clip_vision" / "huge.safetensors"
    assert catalog.find(IpAdapterRow, "plain").image_encoder == huge
    assert catalog.find(IpAdapterRow, "plain").families == ("sd1",)
    assert catalog.find(IpAdapterRow, "lonely").image_encoder is None
    os.utime(huge, (1, 1))
    touched = LiveCatalog([tmp_path]).catalog()
    assert (
        touched.find(IpAdapterRow, "plain").identity != catalog.find(IpAdapterRow, "plain").identity
    )
    assert (
        touched.find(IpAdapterRow, "lonely").identity
        == catalog.find(IpAdapterRow, "lonely").identity
    )
    folder = tmp_path / "ipadapter" / "models" / "image_encoder"
    folder.mkdir(parents=True)
    config = {"architectures": ["CLIPVisionModelWithProjection"], "projection_dim": 1024}
    (folder / "config.json").write_text(json.dumps({**config, "hidden_size": 1280}))
    (folder / "model.safetensors").touch()
    again = LiveCatalog([tmp_path]).catalog()
    assert again.find(IpAdapterRow, "plain").image_encoder == folder, "the nearest"


def test_folders_of_diffusers_are_models_and_parts(tmp_path: Path, tiny_folder: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "painter").symlink_to(tiny_folder)
    cached = tmp_path / "models--some--one" / "snapshots" / "abc"
    cached.parent.mkdir(parents=True)
    cached.symlink_to(tiny_folder)
    for name, config in (
        ("sdxl-vae", {"_class_name": "AutoencoderKL", "scaling_factor": 0.13025}),
        ("other-vae", {"_class_name": "AutoencoderKL", "latent_channels": 16}),
        ("taesd", {"_class_name": "AutoencoderTiny"}),
        ("unet", {"_class_name": "UNet2DConditionModel"}),
        ("edges", {"_class_name": "ControlNetModel", "cross_attention_dim": 768}),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config))
        (tmp_path / name / "diffusion_pytorch_model.safetensors").write_bytes(b"123")
    catalog = LiveCatalog([tmp_path]).catalog()
    assert len(own(catalog)) == 1, "one folder by two ways is one model"
    row = catalog.rows(ModelRow)[-1]
    assert row.size_bytes > 10**5 and row.parts == ()
    assert catalog.find(VaeRow, "sdxl-vae").families == ("sdxl", "sdxl-refiner", "pixart")
    assert catalog.find(VaeRow, "other-vae").latent_channels == 16
    assert catalog.find(TinyAutoencoderRow, "taesd").families == ("sd1", "sd2")
    assert catalog.find(ControlNetRow, "edges").family.name == "sd1"
    assert [problem.path.name for problem in catalog.problems()] == ["unet"]
    assert "UNet2DConditionModel" in catalog.problems()[0].reason


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("/tmp/paintdiff-library-ran",)


def test_hostile_and_broken_files_are_left_out_with_the_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    proof = Path("/tmp/paintdiff-library-ran")
    assert not proof.exists()
    torch.save({"state_dict": Hostile()}, tmp_path / "evil.ckpt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Hostile()))
    (tmp_path / "upscalers").mkdir()
    torch.save(Hostile(), tmp_path / "upscalers" / "evil too.pth")
    claims = (100 * 10**9).to_bytes(8, "little") + b"{" + bytes(50)
    (tmp_path / "huge.safetensors").write_bytes(claims)
    write_sparse(tmp_path / "cut.safetensors", checkpoint(768))
    os.truncate(tmp_path / "cut.safetensors", 5000)
    write_sparse(tmp_path / "odd.safetensors", checkpoint(555))
    (tmp_path / "nowhere.safetensors").symlink_to(tmp_path / "gone.safetensors")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "up").symlink_to(tmp_path.parent, target_is_directory=True)
    write_sparse(tmp_path.parent / "of another program.safetensors", checkpoint(768))
    write_sparse(tmp_path / ".hidden" / "a.safetensors", checkpoint(768))
    write_sparse(tmp_path / "/".join("1" * 41) / "too deep.safetensors", checkpoint(768))
    write_sparse(tmp_path / "/".join("1" * 40) / "deep.safetensors", checkpoint(768))
    library = LiveCatalog([tmp_path])
    catalog = library.catalog()
    assert own(catalog) == ["deep"]
    problems = {problem.path.name: problem.reason for problem in catalog.problems()}
    assert set(problems) == {
        *("evil.ckpt", "plain.pt", "evil too.pth", "huge.safetensors", "cut.safetensors"),
        *("odd.safetensors", "nowhere.safetensors", "1", "up"),
    }
    assert "a folder that contains it" in problems["up"]
    assert "more than 40 folders" in problems["1"]
    assert "posix.mkdir" in problems["evil.ckpt"] and "It was not run" in problems["plain.pt"]
    assert "100,000,000,000" in problems["huge.safetensors"]
    assert "cut off" in problems["cut.safetensors"]
    assert "555" in problems["odd.safetensors"]
    assert not proof.exists()
    logged = caplog.text.count("is unusable")
    assert logged == len(problems)
    write_sparse(tmp_path / "more.safetensors", checkpoint(768))
    assert own(library.rescan()) == ["deep", "more"]
    assert caplog.text.count("is unusable") == logged, "each is said once"


def test_names_are_text(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("<img src=x onerror=alert(1)>", "two\nlines\u202e", "žluťoučký ☂", "a" * 240):
        write_sparse(tmp_path / f"{name.replace('/', '')}.safetensors", kohya_lora(768))
    (tmp_path / "bad\nname.safetensors").write_bytes(b"x")
    catalog = LiveCatalog([tmp_path]).catalog()
    assert names(catalog.rows(LoraRow)) == [
        "<img src=x onerror=alert(1)>",
        "a" * 180,
        "two lines",
        "žluťoučký ☂",
    ]
    assert catalog.find(LoraRow, "two lines").source.endswith("two\nlines\u202e.safetensors")
    (line,) = [line for line in caplog.text.splitlines() if "is unusable" in line]
    assert r"bad\nname" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    write_sparse(tmp_path / "a.safetensors", checkpoint(768))
    catalog = LiveCatalog([tmp_path]).catalog()
    assert own(catalog) == ["a"]
    assert "can't be read" in catalog.problems()[0].reason


def test_a_folder_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    write_sparse(tmp_path / "a.safetensors", checkpoint(768))
    look = os.scandir

    def failing(path: Path) -> Any:
        if "closed" in str(path):
            raise PermissionError(13, "Permission denied")
        return look(path)

    monkeypatch.setattr(os, "scandir", failing)
    catalog = LiveCatalog([tmp_path]).catalog()
    assert own(catalog) == ["a"]
    assert "can't be read: Permission denied" in catalog.problems()[0].reason


def test_pickled_checkpoints_and_gguf_files_are_listed(tmp_path: Path) -> None:
    tensors = {name: torch.zeros(shape) for name, shape in checkpoint(768).items()}
    torch.save({"state_dict": tensors}, tmp_path / "old.ckpt")
    torch.save({"string_to_param": {"*": torch.zeros(2, 768)}}, tmp_path / "token.pt")
    flux = {
        "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
        "img_in.weight": (3072, 64),
        "txt_in.weight": (3072, 4096),
    }
    write_gguf(tmp_path / "unet" / "flux-Q8.gguf", flux)
    write_gguf(tmp_path / "unet" / "sd15.gguf", unet(768, prefix=""))
    catalog = LiveCatalog([tmp_path]).catalog()
    assert catalog.find(ModelRow, "old").family.name == "sd1"
    assert names(catalog.rows(EmbeddingRow)) == ["token"]
    row = catalog.find(ModelRow, "sd15")
    assert row.parts == ("denoiser",) and "Only a denoiser" in row.description
    if "flux" in catalog.families():
        assert catalog.find(ModelRow, "flux-Q8").family.name == "flux"
    else:
        (problem,) = catalog.problems()
        assert "family 'flux'" in problem.reason


# Changes


def test_folders_are_looked_at_again_once_a_second(tmp_path: Path, clock: Clock) -> None:
    write_sparse(tmp_path / "a.safetensors", checkpoint(768))
    library = LiveCatalog([tmp_path], clock=clock)
    first = library.catalog()
    write_sparse(tmp_path / "b.safetensors", checkpoint(2048))
    assert library.catalog() is first, "it was looked at just now"
    clock.seconds += 1
    second = library.catalog()
    assert own(second) == ["a", "b"] and own(first) == ["a"]
    clock.seconds += 1
    assert library.catalog() is second, "nothing has changed"
    (tmp_path / "a.safetensors").unlink()
    assert own(library.rescan()) == ["b"], "at once if asked"
    before = library.catalog().find(ModelRow, "b")
    write_sparse(tmp_path / "b.safetensors", checkpoint(768, channels=9))
    clock.seconds += 1
    after = library.catalog().find(ModelRow, "b")
    assert after.family.name == "sd1" and after.fingerprint != before.fingerprint
    for entry in tmp_path.iterdir():
        entry.unlink()
    tmp_path.rmdir()
    clock.seconds += 1
    assert own(library.catalog()) == []
    write_sparse(tmp_path / "c.safetensors", checkpoint(768))
    clock.seconds += 1
    assert own(library.catalog()) == ["c"]


def test_a_name_stays_when_another_of_it_comes(tmp_path: Path) -> None:
    write_sparse(tmp_path / "b" / "same.safetensors", checkpoint(768))
    library = LiveCatalog([tmp_path])
    first = library.catalog().find(ModelRow, "same")
    write_sparse(tmp_path / "a" / "same.safetensors", checkpoint(2048))
    catalog = library.rescan()
    assert catalog.find(ModelRow, "same") == first
    assert catalog.find(ModelRow, "a/same").family.name == "sdxl"


def test_a_words_file_that_changes_is_read_again(tmp_path: Path) -> None:
    write_sparse(tmp_path / "a.safetensors", kohya_lora(768))
    library = LiveCatalog([tmp_path])
    assert library.catalog().find(LoraRow, "a").trigger_words == ()
    (tmp_path / "a.json").write_text('{"activation text": "one"}')
    assert library.rescan().find(LoraRow, "a").trigger_words == ("one",)


def test_what_was_chosen_survives_a_rescan(tmp_path: Path, tiny_folder: Path) -> None:
    models, elsewhere = tmp_path / "models", tmp_path / "elsewhere"
    write_sparse(elsewhere / "mine.safetensors", checkpoint(768))
    write_sparse(models / "controlnet" / "edges.safetensors", controlnet(768))
    write_sparse(models / "controlnet" / "depth.safetensors", controlnet(768))
    write_sparse(elsewhere / "up.pth", ESRGAN)
    library = LiveCatalog([models])
    name = library.add_model(str(elsewhere / "mine.safetensors"))
    assert name == "mine" == library.add_model(str(elsewhere / "mine.safetensors"))
    assert library.add_model("mini") == "mini"
    library.prefer_controlnet("edges")
    library.prefer_upscaler(str(elsewhere / "up.pth"))
    write_sparse(models / "mine.safetensors", checkpoint(2048))
    catalog = library.rescan()
    assert catalog.find(ModelRow, "mine").family.name == "sd1", "the added one keeps its name"
    assert catalog.find(ModelRow, "models/mine").family.name == "sdxl"
    assert catalog.rows(ControlNetRow)[0].name == "edges"
    assert catalog.rows(UpscalerRow)[0].name == "up"
    old = catalog.find(ModelRow, "mine")
    write_sparse(elsewhere / "mine.safetensors", checkpoint(768, channels=9))
    new = library.rescan().find(ModelRow, "mine")
    assert new.fingerprint != old.fingerprint and new.source == old.source
    (elsewhere / "mine.safetensors").unlink()
    (models / "controlnet" / "edges.safetensors").unlink()
    catalog = library.rescan()
    assert catalog.find(ModelRow, "mine") == new, "it may come back"
    assert "depth" in names(catalog.rows(ControlNetRow))
    write_sparse(models / "controlnet" / "edges.safetensors", controlnet(768))
    assert library.rescan().rows(ControlNetRow)[0].name == "edges"
    assert library.add_model(str(tiny_folder)) == "tiny"
    with pytest.raises(ModelNotFoundError, match="nowhere"):
        library.add_model("nowhere at all")
    write_sparse(elsewhere / "lora.safetensors", kohya_lora(768))
    with pytest.raises(RequestError, match="isn't a model to paint with: a LoRA"):
        library.add_model(str(elsewhere / "lora.safetensors"))


def test_a_file_system_without_inode_numbers_hides_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        write_sparse(tmp_path / name / f"{name}.safetensors", TOKEN)
    (tmp_path / "link").symlink_to(tmp_path / "one")
    stat = Path.stat

    def without_numbers(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        status = stat(path, follow_symlinks=follow_symlinks)
        return os.stat_result((status.st_mode, 0, *tuple(status)[2:]))

    monkeypatch.setattr(Path, "stat", without_numbers)
    names = [file.path.name for file in scan_folders([tmp_path]).files]
    assert sorted(names) == ["one.safetensors", "two.safetensors"]


# What is kept between starts


class CountingReader(FileReader):
    """Notes the names of the files that it reads."""

    def __init__(self, read: list[str]) -> None:
        super().__init__(UNET_WIDTHS)
        self._read = read

    def inspect(self, path: Path) -> InspectedFile:
        self._read.append(path.name)
        return super().inspect(path)


def test_a_second_start_reads_no_header(tmp_path: Path) -> None:
    models, cache, read = tmp_path / "models", tmp_path / "new" / "cache", list[str]()
    fill(models, COMFY)
    (models / "broken.safetensors").write_bytes(b"x")
    catalogs: list[Catalog] = []
    for _ in range(2):
        base = Catalog.default()
        known = DetectionCache(cache, reader=CountingReader(read))
        from paintdiff.models.discovery.permanent_names import PermanentNames  # noqa: PLC0415 (only here)

        shelves = base.make_row_builder(known, PermanentNames()).build(
            scan_folders([models]), [models]
        )
        known.finish()
        catalogs.append(base.with_found(shelves))
    assert len(read) == len(COMFY) + 1
    for one, other in zip(
        *((c.rows(ModelRow), c.rows(LoraRow), c.rows(VaeRow), c.problems()) for c in catalogs),
        strict=True,
    ):
        assert one == other
    assert [path.name for path in cache.iterdir()] == [detection_cache.FILE_NAME]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"version": 0, "files": {}}',
        b'{"files": 3}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_a_broken_cache_is_made_anew(content: bytes, tmp_path: Path) -> None:
    write_sparse(tmp_path / "m" / "a.safetensors", checkpoint(768))
    file = tmp_path / "cache" / detection_cache.FILE_NAME
    file.parent.mkdir()
    file.write_bytes(content)
    assert own(LiveCatalog([tmp_path / "m"], cache=file.parent).catalog()) == ["a"]
    assert json.loads(file.read_bytes())["files"]


def test_a_spoiled_entry_is_looked_at_again(tmp_path: Path) -> None:
    path = tmp_path / "m" / "a.safetensors"
    write_sparse(path, checkpoint(768))
    cache = tmp_path / "cache"
    LiveCatalog([tmp_path / "m"], cache=cache).catalog()
    file = cache / detection_cache.FILE_NAME
    content = json.loads(file.read_bytes())
    for spoiled in (None, 3, [], {"detected": {"kind": "magic"}}, {"detected": 1}):
        content["files"][str(path)][2] = spoiled
        file.write_text(json.dumps(content))
        assert own(LiveCatalog([tmp_path / "m"], cache=cache).catalog()) == ["a"]
    content["files"][str(path)] = "x"
    file.write_text(json.dumps(content))
    assert own(LiveCatalog([tmp_path / "m"], cache=cache).catalog()) == ["a"]


def test_a_cache_that_cannot_be_written_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_sparse(tmp_path / "m" / "a.safetensors", checkpoint(768))
    (tmp_path / "file").touch()
    assert own(LiveCatalog([tmp_path / "m"], cache=tmp_path / "file").catalog()) == ["a"]
    assert "can't save" in caplog.text


def test_a_second_start_looks_into_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models, cache = tmp_path / "models", tmp_path / "cache"
    write_sparse(models / "0.safetensors", kohya_lora(768))
    data = (models / "0.safetensors").read_bytes()
    for number in range(1, 200):
        (models / f"{number}.safetensors").write_bytes(data)
    assert len(LiveCatalog([models], cache=cache).catalog().rows(LoraRow)) == 200
    looked_at: list[object] = []
    known = FileReader.inspect

    def counted(reader: FileReader, path: Path) -> InspectedFile:
        looked_at.append(path)
        return known(reader, path)

    monkeypatch.setattr(FileReader, "inspect", counted)
    again = LiveCatalog([models], cache=cache)
    assert len(again.catalog().rows(LoraRow)) == 200
    again.rescan()
    assert looked_at == []
    (models / "new.safetensors").write_bytes(data)
    assert len(again.rescan().rows(LoraRow)) == 201
    assert len(looked_at) == 1
