"""OpenVINO itself, where it is installed: it paints what torch does."""

from __future__ import annotations

import json
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from paintdiff.models.discovery.row_builder import FoundRows
from paintdiff.models.registry.model_rows import ModelRow

if find_spec("openvino") is None:
    pytest.skip("OpenVINO isn't installed", allow_module_level=True)

from paintdiff.engine.engine import Engine
from paintdiff.imaging.geometry import Box, Size
from paintdiff.jobs.events import Finished
from paintdiff.jobs.requests import TextToImage
from paintdiff.models.acceleration import engines
from paintdiff.models.acceleration.kernel_choice import CANDIDATES, KernelChoice
from paintdiff.models.acceleration.openvino import graphs as openvino_graphs
from paintdiff.models.acceleration.openvino.export_worker import export_graph
from paintdiff.models.acceleration.openvino.graphs import Graphs
from paintdiff.models.adapters.specs import Adapters, FreeUFactors, LoraUse
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.conditioning.prompt_plan import PromptReading
from paintdiff.models.inference.denoising_run import Control, Denoising
from paintdiff.models.inference.pipelines.leased_pipeline import LeasedPipeline
from paintdiff.models.manager import compute_backends
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.speed_profiles import EXACT, Profile
from tests import adapter_files
from tests.models.adapters.test_lora_formats import Changing
from tests.models.inference.test_controlled_unet import row_of
from tests.tiny import save_tiny_controlnet

RUN = Denoising("a red house", "", Size(64, 64), 6, 5.0, "DDIM", seed=3)
FAST = Profile(name="fast", title="Fast", says="", kernels="measured")
TURBO = FAST.model_copy(update={"name": "turbo", "feature_interval": 3, "guidance_end": 0.5})
TORCHS_TURBO = TURBO.model_copy(update={"kernels": "usual"})


def made_here(asked: Mapping[str, Any]) -> bytes:
    """As the process of its own does, without its imports."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = export_graph(asked["config"], asked["part"], asked["shapes"])
    from paintdiff.models.acceleration.openvino.library import openvino  # noqa: PLC0415 (may be missing)

    with tempfile.TemporaryDirectory() as folder:
        xml = Path(folder, "graph.xml")
        openvino.serialize(model, xml)
        packed, constants = xml.read_bytes(), xml.with_suffix(".bin").read_bytes()
    return len(packed).to_bytes(8, "little") + packed + constants


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the graphs are kept that a test has exported."""
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture
def manager(
    tiny_folder: Path, tiny_xl_folder: Path, graphs: Path, monkeypatch: pytest.MonkeyPatch
) -> ModelManager:
    """The models "sd1" and "sdxl", computed by OpenVINO wherever it may be."""
    monkeypatch.setattr(engines, "is_installed", lambda: True)
    monkeypatch.setattr(compute_backends, "find_user_cache_folder", lambda: graphs)
    monkeypatch.setattr(openvino_graphs, "_export", made_here)
    monkeypatch.setattr(KernelChoice, "choose", lambda *_args: CANDIDATES[1])
    catalog = Catalog.default().with_source(str(tiny_folder), name="sd1")
    catalog = catalog.with_source(str(tiny_xl_folder), name="sdxl")
    return ModelManager(catalog, device="cpu", engine="openvino")


def test_nothing_is_sent_home() -> None:
    from paintdiff.models.acceleration.openvino.library import openvino  # noqa: PLC0415 (may be missing)

    telemetry = openvino.tools.ovc.convert_impl.tm
    assert telemetry.__name__ == "openvino.tools.ovc.telemetry_stub"
    assert sys.modules["openvino_telemetry"] is None


def painted(leased: LeasedPipeline, run: Denoising = RUN) -> torch.Tensor:
    """A run's latents, all finite."""
    latents = leased.denoise(run, lambda _step, _preview: None)
    assert latents.isfinite().all()
    return latents


def settled(leased: LeasedPipeline, run: Denoising = RUN) -> torch.Tensor:
    """Of a run that OpenVINO computes all of."""
    deadline = time.monotonic() + 120
    while True:
        leased.computing.calls.clear()
        latents = painted(leased, run)
        if not leased.computing.calls["torch"]:
            return latents
        assert time.monotonic() < deadline
        assert leased.computing.backend is not None
        assert not any(each.failed for each in leased.computing.backend._trials.values())
        time.sleep(0.1)


@pytest.mark.parametrize("model", ["sd1", "sdxl"])
def test_it_paints_what_torch_does(model: str, manager: ModelManager) -> None:
    wide = RUN if model == "sdxl" else Denoising(
        "a red house", "", Size(96, 64), 3, 5.0, "DDIM", seed=3,
        windows=(Box(0, 0, 64, 64), Box(32, 0, 96, 64)),
    )  # fmt: skip
    with manager.lease(model, profile=EXACT) as leased:
        exact = [painted(leased, run) for run in (RUN, wide)]
    with manager.lease(model, profile=FAST) as leased:
        fast = [settled(leased, run) for run in (RUN, wide)]
        assert leased.computing.take_backend() == "OpenVINO"
        assert leased.computing.take_backend() == ""
    for one, other in zip(exact, fast, strict=True):
        assert 0 < (one - other).abs().max() < 1e-3
    with manager.lease(model, profile=EXACT) as leased:
        assert torch.equal(painted(leased), exact[0])
    (summary,) = manager.cache.loaded()
    with manager.lease(model, profile=FAST, adapters=Adapters(free_u=FreeUFactors(1, 1, 1, 1))) as leased:  # fmt: skip # noqa: E501
        assert "FreeU" in leased.computing.why_torch
        painted(leased)
        assert leased.computing.take_backend() == ""
    assert summary.weights_bytes > leased._loaded.weights_bytes  # its own copies are counted


@pytest.mark.parametrize("model", ["sd1", "sdxl"])
def test_long_prompts_changes_and_several_prompts_are_computed_too(
    model: str, manager: ModelManager
) -> None:
    long = ", ".join(["a (red:1.2) boat"] * 30)
    prompts = (long, "[a red house:a boat:0.5]", f"a house AND a boat :0.7 AND {long}")
    runs = [replace(RUN, prompt=each, reading=PromptReading("a1111")) for each in prompts]
    with manager.lease(model, profile=EXACT) as leased:
        exact = [painted(leased, run) for run in runs]
    with manager.lease(model, profile=FAST) as leased:
        fast = [settled(leased, run) for run in runs]
        assert leased.computing.take_backend() == "OpenVINO"
    for one, other in zip(exact, fast, strict=True):
        assert 0 < (one - other).abs().max() < 2e-3


def test_the_two_parts_of_turbo_are_computed_too(manager: ModelManager) -> None:
    with manager.lease("sd1", profile=TORCHS_TURBO) as leased:
        expected = painted(leased)
    with manager.lease("sd1", profile=TURBO) as leased:
        found = settled(leased)
        assert leased.computing.backend is not None
        parts = {place[0] for place in leased.computing.backend._trials}
    assert parts == {"whole", "shallow"}
    assert 0 < (expected - found).abs().max() < 1e-3


def test_loras_are_merged_into_its_copy(manager: ModelManager, tmp_path: Path) -> None:
    with manager.lease("sd1") as leased:
        parts = leased.pipeline.components
        layers = adapter_files.lora_layers(parts)
    convolutions = {k: v for k, v in layers.items() if "conv" in k}
    doras = {
        name: adapter_files.in_kohya_dora_keys(
            some, adapter_files.magnitudes_of(parts, some, of_inputs=name == "chalk")
        )
        for name, some in (("chalk", convolutions), ("wax", layers))
    }
    for name, tensors in (("ink", adapter_files.in_peft_keys(layers)), *doras.items()):
        adapter_files.saved(tmp_path / f"{name}.safetensors", tensors)
    names = ("ink", "chalk", "wax")
    rows = [adapter_files.lora_row(tmp_path / f"{name}.safetensors") for name in names]
    catalog = adapter_files.with_adapters(manager.catalog, loras=tuple(rows))
    manager = ModelManager(Changing(catalog), device="cpu", engine="openvino")
    sets = [
        Adapters(loras=(LoraUse("ink", 0.7), LoraUse("chalk", -0.4), LoraUse("wax", 0.6))),
        Adapters(),
    ]
    pictures: list[torch.Tensor] = []
    for adapters in sets:
        for profile in (EXACT, FAST, TURBO):
            with manager.lease("sd1", adapters=adapters, profile=profile) as leased:
                found = painted(leased) if profile == EXACT else settled(leased)
                if profile != TURBO:
                    pictures.append(found)
        with manager.lease("sd1", adapters=adapters, profile=TORCHS_TURBO) as leased:
            assert (painted(leased) - found).abs().max() < 2e-3
    (exact, fast), plain = pictures[:2], pictures[2:]
    assert 0 < (exact - fast).abs().max() < 2e-3
    assert 0 < (plain[0] - plain[1]).abs().max() < 1e-3, "nothing of them is left"
    assert (exact - plain[0]).abs().max() > 0.1
    # Another LoRA of the same name, while torch alone paints: OpenVINO doesn't go on with the old.
    with manager.lease("sd1", adapters=sets[0], profile=FAST) as leased:
        settled(leased)
    weaker = {key: (down, up * 0.5) for key, (down, up) in layers.items()}
    adapter_files.saved(tmp_path / "ink.safetensors", adapter_files.in_peft_keys(weaker))
    with manager.lease("sd1", profile=EXACT) as leased:
        painted(leased)
    with manager.lease("sd1", adapters=sets[0], profile=EXACT) as leased:
        exact = painted(leased)
    with manager.lease("sd1", adapters=sets[0], profile=FAST) as leased:
        assert 0 < (settled(leased) - exact).abs().max() < 2e-3


@pytest.mark.parametrize("model", ["sd1", "sdxl"])
def test_controlnets_are_followed(model: str, manager: ModelManager, tmp_path: Path) -> None:
    with manager.lease(model) as leased:
        save_tiny_controlnet(tmp_path / "edges", leased.pipeline.unet, seed=1)
    models = manager.catalog.rows(ModelRow)
    row = row_of(tmp_path / "edges", manager.catalog.find(ModelRow, model).family)
    manager = ModelManager(Catalog(FoundRows((*models, row))), device="cpu", engine="openvino")
    drawn = Image.new("RGB", (64, 64))
    drawn.paste((255, 255, 255), (10, 20, 50, 24))
    control = Control("edges", drawn, guidance_end=0.7)
    run, held = replace(RUN, controls=(control,)), ("edges",)
    latents: dict[str, torch.Tensor] = {}
    for profile in (EXACT, TORCHS_TURBO, FAST, TURBO):
        with manager.lease(model, controlnets=held, profile=profile) as leased:
            computed = settled if profile.kernels == "measured" else painted
            latents[f"{profile.name} {profile.kernels}"] = computed(leased, run)
    exact, turbo, fast, ours = latents.values()
    assert 0 < (exact - fast).abs().max() < 1e-3
    assert 0 < (turbo - ours).abs().max() < 1e-3
    with manager.lease(model, profile=EXACT) as leased:
        assert (painted(leased) - exact).abs().max() > 1e-2, "it acts"


def test_half_precision_goes_from_one_to_the_other(
    manager: ModelManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deep features that torch has computed are OpenVINO's to take, until it has its own."""
    monkeypatch.setattr(KernelChoice, "choose", lambda *_args: CANDIDATES[2])
    with manager.lease("sd1", profile=TORCHS_TURBO) as leased:
        expected = painted(leased)
    with manager.lease("sd1", profile=TURBO) as leased:
        found = settled(leased)
    assert 0 < (expected - found).norm() < 0.1 * expected.norm()


def test_the_result_says_so(manager: ModelManager) -> None:
    request = TextToImage(prompt="a red house", model="sd1", width=64, height=64, seed=3)
    with Engine(manager) as engine:
        job = engine.submit(request)
        *_, finished = job.events()
        assert isinstance(finished, Finished)
        assert finished.pictures[0].engine == ""
        assert any("torch instead of OpenVINO" in each for each in finished.warnings)
        fast = request.model_copy(update={"profile": "fast"})
        deadline = time.monotonic() + 60
        while not engine.generate(fast).pictures[0].engine:
            assert time.monotonic() < deadline


def test_a_process_of_its_own_makes_the_graph(tiny_folder: Path, tmp_path: Path) -> None:
    config = json.loads((tiny_folder / "unet" / "config.json").read_text())
    shapes = {"sample": (2, 4, 8, 8), "timestep": (), "words": (2, 77, 32)}
    xml, _constants = Graphs(tmp_path).get(config, "all", shapes)
    assert xml.lstrip().startswith(b"<?xml") and b"conv_in.weight" in xml
    assert len(xml) < 2**20
