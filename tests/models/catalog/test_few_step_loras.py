"""Few-step LoRAs are detected by their names, and bring their settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from paintdiff.errors import PresetError
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.catalog.few_step_loras import (
    FewSteps,
    find_few_step_loras,
    find_few_steps,
    read_few_step_kinds,
)
from paintdiff.models.discovery.row_builder import FoundRows
from paintdiff.models.registry.model_rows import ModelRow
from tests.adapter_files import lora_row


def found(family: str, *paths: str, named: tuple[str, ...] = ()) -> FewSteps | None:
    catalog = Catalog.default()
    model = next(
        row for row in catalog.rows(ModelRow) if row.family.name == family and not row.distilled
    )
    loras = tuple(lora_row(Path(path), families=(family,)) for path in paths)
    catalog = catalog.with_found(FoundRows((*catalog.rows(ModelRow), *loras)))
    return find_few_steps(model, catalog, named)


@pytest.mark.parametrize(
    ("family", "file", "steps", "guidance", "sampler"),
    [
        ("sd1", "lcm-lora-sdv1-5.safetensors", (4, 6, 8), 1, "LCM"),
        ("sdxl", "lcm-lora-sdxl/pytorch_lora_weights.safetensors", (4, 6, 8), 1, "LCM"),
        ("sdxl", "dmd2_sdxl_4step_lora_fp16.safetensors", (4, 4, 8), 1, "LCM"),
        ("sdxl", "sdxl_lightning_8step_lora.safetensors", (8, 8, 8), 1, "Euler SGM Uniform"),
        ("sd1", "Hyper-SD15-8steps-lora.safetensors", (8, 8, 8), 1, "Euler SGM Uniform"),
        ("sdxl", "Hyper-SDXL-12steps-CFG-lora.safetensors", (12, 12, 12), 5, "Euler SGM Uniform"),
        ("flux", "Hyper-FLUX.1-dev-8steps-lora.safetensors", (8, 8, 8), 3.5, "Flow Euler"),
        ("qwen-image", "Qwen-Image-Lightning-4steps-V1.0.safetensors", (4, 4, 4), 1, "Flow Euler"),
    ],
)
def test_well_known_ones_are_known(
    family: str, file: str, steps: tuple[int, ...], guidance: float, sampler: str
) -> None:
    few = found(family, file)
    assert few is not None
    figures = [few.model.figures(name) for name in ("fast", "balanced", "high")]
    assert tuple(each.num_inference_steps for each in figures) == steps
    assert {each.guidance_scale for each in figures} == {guidance}
    assert few.model.sampler == sampler


@pytest.mark.parametrize(
    "file",
    [
        "watercolour.safetensors",
        "lightning storm.safetensors",
        "Hyper-SD15-1step-lora.safetensors",
        "hyperrealism 8 steps.safetensors",
        "pytorch_lora_weights.safetensors",
        "sdxl_lightning_99999999999999999999step_lora.safetensors",
    ],
)
def test_others_arent(file: str) -> None:
    assert found("sdxl", file) is None


def test_the_named_one_goes_before_the_better_one() -> None:
    files = ("lcm-lora-sdxl.safetensors", "sdxl_lightning_4step_lora.safetensors")
    best, named = found("sdxl", *files), found("sdxl", *files, named=("lcm-lora-sdxl",))
    assert best is not None and best.lora.name == "sdxl_lightning_4step_lora"
    assert named is not None and named.lora.name == "lcm-lora-sdxl"


def test_those_of_another_family_dont_count() -> None:
    catalog = Catalog.default()
    lora = lora_row(Path("lcm-lora-sdxl.safetensors"), families=("sdxl",))
    catalog = catalog.with_found(FoundRows((*catalog.rows(ModelRow), lora)))
    mini = catalog.find(ModelRow, "mini")
    assert find_few_steps(mini, catalog) is None
    assert not find_few_step_loras(["lcm-lora-sdxl"], mini, catalog)
    distilled = next(row for row in catalog.rows(ModelRow) if row.distilled)
    assert find_few_steps(distilled, catalog) is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("lcm: {pattern: '('}", "regular expression"),
        ("lcm: {pattern: lcm, sampler: LCN}", "LCM"),
        ("lcm: {pattern: lcm, step: 4}", "step"),
    ],
)
def test_a_mistake_is_named_with_its_file(text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "few_steps.yaml").write_text(text)
    with pytest.raises(PresetError, match="few_steps") as caught:
        read_few_step_kinds(tmp_path)
    assert complaint in str(caught.value)
