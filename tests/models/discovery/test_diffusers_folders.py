"""Which family a pipeline's folder is of, by its JSON files."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from paintdiff.errors import RequestError
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.discovery.diffusers_folders import OTHER_PIPELINES, detect_folder_family
from paintdiff.models.registry.families import Family
from tests.conftest import write_json


@pytest.fixture
def families() -> dict[str, Family]:
    """A table of families in which every one has a row, whether or not it ships."""
    shipped = Catalog.default().families()
    rows = {"sd1": shipped["sd1"], "sdxl": shipped["sdxl"], "mini": shipped["mini"]}
    for name, like, width in (("sd2", "sd1", 1024), ("sdxl-refiner", "sdxl", 1280)):
        rows[name] = rows[like].model_copy(update={"name": name, "cross_attention_dim": width})
    for name in ("sd3", "flux", "pixart", "qwen-image", "z-image", "other"):
        rows[name] = rows["sd1"].model_copy(update={"name": name, "cross_attention_dim": 1})
    return rows


@pytest.mark.parametrize(
    ("class_name", "width", "family"),
    [
        ("StableDiffusionPipeline", 768, "sd1"),
        ("StableDiffusionPipeline", 1024, "sd2"),
        ("StableDiffusionPipeline", 256, "mini"),
        ("StableDiffusionPipeline", 31, "sd1"),
        ("StableDiffusionPipeline", None, "sd1"),
        ("StableDiffusionInpaintPipeline", 1024, "sd2"),
        ("StableDiffusionXLPipeline", 2048, "sdxl"),
        ("StableDiffusionXLImg2ImgPipeline", 1280, "sdxl-refiner"),
        ("StableDiffusion3Pipeline", None, "sd3"),
        ("FluxPipeline", None, "flux"),
        ("PixArtSigmaPipeline", None, "pixart"),
        ("QwenImagePipeline", None, "qwen-image"),
        ("ZImagePipeline", None, "z-image"),
        ("SanaPipeline", None, "other"),
        ("PixArtAlphaPipeline", None, "other"),
    ],
)
def test_the_class_and_the_width_tell(
    class_name: str, width: int | None, family: str, families: dict[str, Family], tmp_path: Path
) -> None:
    write_json(tmp_path / "model_index.json", {"_class_name": class_name})
    if width is not None:
        (tmp_path / "unet").mkdir()
        write_json(tmp_path / "unet" / "config.json", {"cross_attention_dim": width})
    found = detect_folder_family(tmp_path, families)
    assert found.name == family
    assert (found.notice != "") == (family == "other")
    if family == "other":
        assert "so AutoPipelineForText2Image loads it" in found.notice


def test_a_family_without_a_row_is_refused_by_name(
    families: dict[str, Family], tmp_path: Path
) -> None:
    write_json(tmp_path / "model_index.json", {"_class_name": "FluxPipeline"})
    without = {name: row for name, row in families.items() if name not in ("flux", "other")}
    with pytest.raises(RequestError, match=r"'flux' \(FluxPipeline\).*Supported families: sd1, "):
        detect_folder_family(tmp_path, without)
    del families["flux"]
    assert detect_folder_family(tmp_path, families).name == "other"
    write_json(tmp_path / "model_index.json", {"_class_name": "StableVideoDiffusionPipeline"})
    with pytest.raises(RequestError, match="StableVideoDiffusionPipeline"):
        detect_folder_family(tmp_path, families)


def test_what_is_painted_through_diffusers_is_known_there() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a pipeline that it imports compiles in an old way
        from diffusers.pipelines.auto_pipeline import (  # noqa: PLC0415 (see above)
            AUTO_TEXT2IMAGE_PIPELINES_MAPPING,
        )
    known = {class_.__name__ for class_ in AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values()}
    assert known >= OTHER_PIPELINES
