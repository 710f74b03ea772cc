"""Upscalers are found in folders, and downloaded when they are first used."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest
import yaml

from paintdiff.byte_sizes import format_byte_size
from paintdiff.errors import JobCancelledError, ModelNotFoundError, PresetError, UnknownNameError
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.discovery.row_builder import FoundRows
from paintdiff.models.manager.loaders import UPSCALER
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.upscaler_rows import UPSCALER_FOLDERS, UpscalerRow, locate_upscaler
from tests.tiny import save_tiny_upscaler

SHIPPED = [
    "mini-upscaler",
    "RealESRGAN_x4plus",
    "RealESRGAN_x2plus",
    "RealESRGAN_x4plus_anime_6B",
    "realesr-general-x4v3",
]


def test_those_that_ship_are_listed_and_the_small_one_comes_first() -> None:
    rows = Catalog.default().rows(UpscalerRow)
    assert [row.name for row in rows] == SHIPPED
    assert rows[0].address is None
    for row in rows[1:]:
        assert row.address is not None
        assert row.address.startswith("https://github.com/xinntao/Real-ESRGAN/releases/download/v")
        assert row.file.name == f"{row.name}.pth"
        assert len(row.sha256) == 64
        assert row.size_bytes > 10**6


def test_models_folders_are_searched(tmp_path: Path) -> None:
    for folder, name in (
        ("ESRGAN", "4x_one.pth"),
        ("upscalers", "two.safetensors"),
        ("RealESRGAN", "RealESRGAN_x2plus.pth"),
        ("upscale_models", "notes.txt"),
        ("upscale_models", "4x_one.safetensors"),
    ):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_bytes(b"never read here")
    catalog = Catalog.default([tmp_path / "not there", tmp_path])
    more = {row.name: row.file for row in catalog.rows(UpscalerRow)[len(SHIPPED) :]}
    assert more == {
        "upscale_models/4x_one": tmp_path / "upscale_models" / "4x_one.safetensors",
        "ESRGAN/4x_one": tmp_path / "ESRGAN" / "4x_one.pth",
        "two": tmp_path / "upscalers" / "two.safetensors",
    }
    here = catalog.find(UpscalerRow, "RealESRGAN_x2plus")
    assert here.file == tmp_path / "RealESRGAN" / "RealESRGAN_x2plus.pth", "it needs no download"
    away = catalog.find(UpscalerRow, "RealESRGAN_x4plus")
    first = tmp_path / "not there" / UPSCALER_FOLDERS[0]
    assert away.file == first / "RealESRGAN_x4plus.pth", "where it will be downloaded to"
    assert catalog.rows(ModelRow) == Catalog.default().rows(ModelRow)


def test_without_a_models_folder_the_cache_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", "/cache")
    file = Catalog.default().find(UpscalerRow, "RealESRGAN_x4plus").file
    assert file == Path("/cache/paintdiffusion-upscalers/RealESRGAN_x4plus.pth")


def test_the_one_that_is_given_comes_first(tmp_path: Path) -> None:
    mine = tmp_path / "mini-upscaler.safetensors"
    mine.write_bytes(b"x")
    catalog = Catalog.default().with_first(UpscalerRow, str(mine))
    assert [row.name for row in catalog.rows(UpscalerRow)] == ["mini-upscaler (2)", *SHIPPED]
    assert catalog.with_first(UpscalerRow, str(mine)).rows(UpscalerRow) == catalog.rows(UpscalerRow)
    again = catalog.with_first(UpscalerRow, "RealESRGAN_x2plus")
    assert again.rows(UpscalerRow)[0].name == "RealESRGAN_x2plus"
    assert len(again.rows(UpscalerRow)) == len(SHIPPED) + 1
    assert again.with_source(str(catalog.find(ModelRow, "mini").source)).rows(
        UpscalerRow
    ) == again.rows(UpscalerRow)
    assert again.with_first(ControlNetRow, "mini-sketch").rows(UpscalerRow) == again.rows(
        UpscalerRow
    )
    with pytest.raises(ModelNotFoundError, match="no upscaler at 'nowhere'"):
        catalog.with_first(UpscalerRow, "nowhere")
    with pytest.raises(UnknownNameError, match=r"'RealESRGAN_x4'.*RealESRGAN_x4plus"):
        catalog.find(UpscalerRow, "RealESRGAN_x4")


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"title": "A", "source": "https://x.example/a.pth"}, "sha256"),
        ({"title": "A", "source": "https://x.example/a.pth", "sha256": "abc"}, "sha256"),
        ({"title": "A", "source": "a.pth", "scale": 4}, "scale"),
        ({"source": "a.pth"}, "title"),
    ],
)
def test_a_mistake_in_the_rows_is_named(
    row: dict[str, object], complaint: str, tmp_path: Path, tiny_catalog: Catalog
) -> None:
    presets = Path(tiny_catalog.find(UpscalerRow, "double").source).parent
    content = yaml.safe_load((presets / "models.yaml").read_text())
    content["upscalers"] = {"a": row}
    (tmp_path / "models.yaml").write_text(yaml.safe_dump(content))
    (tmp_path / "quality.yaml").write_bytes((presets / "quality.yaml").read_bytes())
    with pytest.raises(PresetError, match=complaint):
        Catalog.from_folder(tmp_path)


# Downloads


class Server(ThreadingHTTPServer):
    """Hands out `content`; with `slow` in small pieces, with `cut` less than it promised."""

    content = b""
    slow = False
    cut = 0
    asked = 0


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked += 1
        if self.path.startswith("/missing"):
            self.send_error(404)
            return
        content = self.server.content
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        content = content[: len(content) - self.server.cut]
        try:
            for start in range(0, len(content), 2**16):
                self.wfile.write(content[start : start + 2**16])
                if self.server.slow:
                    time.sleep(0.05)
        except OSError:
            pass  # it was given up

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    file = tmp_path / "original.safetensors"
    save_tiny_upscaler(file)
    with Server(("127.0.0.1", 0), _Handler) as server:
        server.content = file.read_bytes()
        file.unlink()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def row_at(server: Server, folder: Path, name: str = "a.safetensors") -> UpscalerRow:
    return UpscalerRow(
        name="a",
        title="Upscaler A",
        source=f"http://127.0.0.1:{server.server_port}/{name}",
        sha256=hashlib.sha256(server.content).hexdigest(),
        size_bytes=len(server.content),
        downloads_to=folder / "upscale_models",
    )


def managed(row: UpscalerRow) -> ModelManager:
    base = Catalog.default()
    return ModelManager(
        Catalog(FoundRows((*base.rows(ModelRow), row))),
        device="cpu",
    )


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_it_is_downloaded_once_and_only_when_used(server: Server, tmp_path: Path) -> None:
    row, told = row_at(server, tmp_path), list[str]()
    manager = managed(row)
    assert server.asked == 0
    with manager.lease_weights(UPSCALER, "a", told.append) as upscaler:
        assert upscaler.scale == 4
    assert files_in(tmp_path) == ["a.safetensors"]
    manager.cache.unload()
    with manager.lease_weights(UPSCALER, "a"):
        assert server.asked == 1
    sentences: list[str] = []
    server.content = server.content * 400
    big = row_at(server, tmp_path / "big")
    locate_upscaler(big, sentences.append)
    size = format_byte_size(big.size_bytes)
    assert sentences[0] == f"Downloading Upscaler A: 0 KiB of {size}"
    assert sentences[-1] == f"Downloading Upscaler A: {size} of {size}"
    assert len(sentences) > 3, "progress"


def test_another_file_than_was_promised_is_refused(server: Server, tmp_path: Path) -> None:
    row = row_at(server, tmp_path)
    server.content = server.content[:-1] + b"\0"
    with pytest.raises(ModelNotFoundError, match=r"but expected") as caught:
        locate_upscaler(row, lambda _message: None)
    assert str(tmp_path / "upscale_models") in str(caught.value), "where to put it by hand"
    assert files_in(tmp_path) == []


def test_a_file_without_end_is_not_read_to_it(server: Server, tmp_path: Path) -> None:
    row = row_at(server, tmp_path)
    server.content = b"x" * 200 * 2**20
    started = time.perf_counter()
    with pytest.raises(ModelNotFoundError, match="expected"):
        locate_upscaler(row, lambda _message: None)
    assert time.perf_counter() - started < 20
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(("name", "cut", "words"), [("missing.pth", 0, "404"), ("a", 99, "broke")])
def test_trouble_on_the_way_is_told(
    name: str, cut: int, words: str, server: Server, tmp_path: Path
) -> None:
    server.cut = cut
    with pytest.raises(ModelNotFoundError, match=words):
        locate_upscaler(row_at(server, tmp_path, name), lambda _message: None)
    assert files_in(tmp_path) == []


def test_offline_is_told_at_once(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    row = row_at(server, tmp_path)
    nobody = row.model_copy(update={"source": f"http://127.0.0.1:{port}/a.pth"})
    with pytest.raises(ModelNotFoundError, match="can't be reached"):
        locate_upscaler(nobody, lambda _message: None)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelNotFoundError, match="HF_HUB_OFFLINE is set"):
        locate_upscaler(row, lambda _message: None)
    assert server.asked == 0
    assert files_in(tmp_path) == []


def test_who_gives_up_ends_the_download_and_who_comes_next_starts_anew(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = server.content
    server.content, server.slow = whole * 400, True
    row = row_at(server, tmp_path)
    manager = managed(row)

    def impatient(message: str) -> None:
        if "Downloading" in message and ": 0 KiB of" not in message:
            raise JobCancelledError("enough")

    with pytest.raises(JobCancelledError), manager.lease_weights(UPSCALER, "a", impatient):
        pass
    until = time.monotonic() + 20
    while files_in(tmp_path) and time.monotonic() < until:
        time.sleep(0.02)
    assert files_in(tmp_path) == []
    server.slow = False
    (tmp_path / "upscale_models" / "a.safetensors").write_bytes(whole)
    good = row.model_copy(update={"sha256": hashlib.sha256(whole).hexdigest()})
    catalog = Catalog(FoundRows((*manager.catalog.rows(ModelRow), good)))
    monkeypatch.setattr(ModelManager, "catalog", catalog)
    with manager.lease_weights(UPSCALER, "a") as upscaler:
        assert upscaler.scale == 4
