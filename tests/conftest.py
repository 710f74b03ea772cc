"""Fixtures for all tests. None needs the internet."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["PAINTDIFF_CACHE_DIR"] = tempfile.mkdtemp(prefix="paintdiff-cache-")

import diffusers
from huggingface_hub import constants

from paintdiff.config.presets import presets_folder
from paintdiff.engine.engine import Engine
from paintdiff.models.acceleration import engines
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.hub import resumable_download as hub_fetch
from paintdiff.models.hub.downloads import Downloads
from paintdiff.models.loading.tokenizers import trial as tokenizer_trial
from paintdiff.models.manager.model_manager import ModelManager
from tests.hub_server import FakeHub
from tests.tiny import (
    save_tiny_controlnet,
    save_tiny_pipeline,
    save_tiny_upscaler,
    save_tiny_xl_pipeline,
)

BROWSER = "tests/browser/"

# The same examples on every machine, however slow it is; nothing is written to disk.
settings.register_profile("paintdiff", deadline=None, derandomize=True, database=None)
settings.load_profile("paintdiff")


def pytest_configure(config: pytest.Config) -> None:
    """Warnings are errors; the exceptions are those of libraries about themselves."""
    for line in (
        # diffusers 0.42 with torch tensors and numpy 2: their schedulers convert without `copy`.
        "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning",
    ):
        config.addinivalue_line("filterwarnings", line)


def pytest_unconfigure() -> None:
    """Remove the tests' cache folder."""
    gc.unfreeze()  # or libraries report what is never collected as leaks
    shutil.rmtree(os.environ["PAINTDIFF_CACHE_DIR"], ignore_errors=True)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """However tests are distributed, a file stays together, and so do the browser's."""
    config.option.loadscopereorder = False  # the browser's come first and take longest
    return _Files(config, log)


class _Files(LoadFileScheduling):
    """Gives each worker a file at a time, or all of the browser's, which share an app."""

    def _split_scope(self, nodeid: str) -> str:
        return BROWSER if nodeid.startswith(BROWSER) else super()._split_scope(nodeid)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """The garbage collector needn't look through what was imported each time weights are dropped:
    that took a third of the time of some tests.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _without_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is made ready in the background; its own tests say otherwise."""
    monkeypatch.setattr(engines, "is_installed", lambda: False)


@pytest.fixture(autouse=True)
def _no_load_outlasts_its_test() -> Iterator[None]:
    """While a model loads, diffusers and transformers switch off the drawing of random weights in
    all threads, so what the next test builds would have none. A test that failed may leave loads.
    """
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("load "):
            thread.join(60)


@pytest.fixture(autouse=True, scope="session")
def _each_good_tokenizer_is_tried_once() -> Iterator[None]:
    """Tiny models share their tokenizer, and a process to try it takes as long as loading one."""
    good: set[bytes] = set()
    try_it = tokenizer_trial.run_trial

    def try_once(child: Path, content: bytes, seconds: float) -> str | None:
        key = hashlib.sha256(content).digest()
        reason = None if key in good else try_it(child, content, seconds)
        if reason is None:
            good.add(key)
        return reason

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizer_trial, "run_trial", try_once)
        yield


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub that may be asked, an empty cache, no token, and short pauses."""
    server = FakeHub()
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 3)
    monkeypatch.setattr(hub_fetch, "_FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield server
    server.close()


@pytest.fixture
def downloads() -> Iterator[Downloads]:
    made = Downloads()
    yield made
    made.close()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A StableDiffusionPipeline of random weights in the layout of `presets/mini`."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_tiny_pipeline(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_xl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A StableDiffusionXLPipeline of random weights."""
    folder = tmp_path_factory.mktemp("models") / "tiny-xl"
    save_tiny_xl_pipeline(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_catalog(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """A catalog whose `mini` is the tiny pipeline: the row that ships, with other weights.

    Its ControlNets are `mini-sketch` and `mini-other` for it, and `big` for Stable Diffusion 1.x;
    its upscalers `mini-upscaler`, which makes pictures four times as large, and `double`.
    """
    presets = tmp_path_factory.mktemp("presets")
    (presets / "quality.yaml").write_bytes((presets_folder() / "quality.yaml").read_bytes())
    models = yaml.safe_load((presets_folder() / "models.yaml").read_text(encoding="utf-8"))
    models["families"]["mini"]["cross_attention_dim"] = 32
    models["controlnets"] = {
        "mini-sketch": {
            "title": "Sketch",
            "family": "mini",
            "source": "mini-control",
            "preprocessors": ["canny", "scribble"],
        },
        "mini-other": {"title": "Other", "family": "mini", "source": "mini-other"},
        "big": {"title": "Big", "family": "sd1", "source": "big"},
    }
    models["upscalers"] = {
        "mini-upscaler": {"title": "Mini upscaler", "source": "mini-upscaler.safetensors"},
        "double": {"title": "Double", "source": "double.safetensors"},
    }
    save_tiny_upscaler(presets / "mini-upscaler.safetensors", factor=4)
    save_tiny_upscaler(presets / "double.safetensors", factor=2)
    (presets / "models.yaml").write_text(yaml.safe_dump(models, sort_keys=False), encoding="utf-8")
    (presets / "mini").symlink_to(tiny_folder)
    unet = diffusers.UNet2DConditionModel.from_pretrained(tiny_folder / "unet")
    save_tiny_controlnet(presets / "mini-control", unet, seed=1)
    save_tiny_controlnet(presets / "mini-other", unet, seed=2)
    return Catalog.from_folder(presets)


@pytest.fixture(scope="session")
def tiny_manager(tiny_catalog: Catalog) -> ModelManager:
    """A manager over the tiny pipeline, on the CPU. Shared, because loading it takes a second."""
    return ModelManager(tiny_catalog, device="cpu")


@pytest.fixture
def tiny_engine(tiny_manager: ModelManager) -> Iterator[Engine]:
    """An engine over the tiny pipeline."""
    with Engine(tiny_manager) as engine:
        yield engine


@pytest.fixture(scope="session")
def mini_manager() -> ModelManager:
    """A manager over the embedded painter."""
    return ModelManager(Catalog.default(), device="cpu")


@pytest.fixture
def mini_engine(mini_manager: ModelManager) -> Iterator[Engine]:
    """An engine over the embedded painter."""
    with Engine(mini_manager) as engine:
        yield engine


def write_json(path: Path, content: object) -> None:
    """Write a JSON file."""
    path.write_text(json.dumps(content), encoding="utf-8")
