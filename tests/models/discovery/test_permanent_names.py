"""Names of files in models folders: what people may call them, and that a name stays."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from paintdiff.errors import UnknownNameError
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.catalog.live_catalog import LiveCatalog
from paintdiff.models.discovery.permanent_names import FILE_NAME, PermanentNames
from paintdiff.models.registry.adapter_rows import EmbeddingRow, LoraRow, VaeRow
from paintdiff.models.registry.base_rows import WeightsRow
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.upscaler_rows import UpscalerRow
from tests.models.weight_files import (
    checkpoint,
    controlnet,
    kohya_lora,
    vae,
    write_sparse,
)

ESRGAN = {"conv_first.weight": (64, 3, 3, 3), "body.0.rdb1.conv1.weight": (32, 64, 3, 3)}
KINDS = {
    "lora": kohya_lora(768),
    "embedding": {"emb_params": (4, 768)},
    "vae": vae(),
    "controlnet": controlnet(768),
    "upscaler": ESRGAN,
    "model": checkpoint(768),
}


ROWS: dict[str, type[WeightsRow]] = {
    "lora": LoraRow,
    "embedding": EmbeddingRow,
    "vae": VaeRow,
    "controlnet": ControlNetRow,
    "upscaler": UpscalerRow,
    "model": ModelRow,
}


def source(catalog: Catalog, sort: str, name: str) -> str:
    """Where the thing of a name lies, below the models folder."""
    return "/".join(Path(catalog.find(ROWS[sort], name).source).parts[-2:])


@pytest.mark.parametrize("sort", KINDS)
def test_a_thing_is_found_by_whatever_people_call_it(sort: str, tmp_path: Path) -> None:
    write_sparse(tmp_path / "some" / "Ink.safetensors", KINDS[sort], ss_output_name="MyStyle")
    write_sparse(tmp_path / "some" / "other.safetensors", KINDS[sort])
    catalog = Catalog.default([tmp_path])
    for name in (
        *("Ink", "ink", "INK", "Ink.safetensors", "ink.SAFETENSORS", "ink.ckpt", " Ink "),
        *("some/Ink", "some\\ink", "SOME/ink.safetensors", "./some/ink"),
        *("MyStyle", "mystyle", "mystyle.safetensors", str(tmp_path / "some/Ink.safetensors")),
    ):
        assert catalog.find(ROWS[sort], name).name == "Ink", name
    for name in ("in", "k", "me/Ink", "some", "/Ink2", "", ".safetensors", "/", "*"):
        with pytest.raises(UnknownNameError):
            catalog.find(ROWS[sort], name)


@pytest.mark.parametrize("sort", KINDS)
def test_two_of_a_name_are_told_apart_by_their_folders(sort: str, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_sparse(tmp_path / folder / "ink.safetensors", KINDS[sort])
    catalog = Catalog.default([tmp_path])
    assert source(catalog, sort, "a/ink") == "a/ink.safetensors"
    assert source(catalog, sort, "B\\INK.safetensors") == "b/ink.safetensors"
    with pytest.raises(
        UnknownNameError, match=r"2 \w+ are called 'Ink'.*'a/ink', 'b/ink'"
    ) as caught:
        catalog.find(ROWS[sort], "Ink")
    assert (caught.value.name, caught.value.suggestion) == ("Ink", "a/ink")


@pytest.mark.parametrize("sort", KINDS)
def test_a_name_means_the_same_file_whatever_comes(sort: str, tmp_path: Path) -> None:
    models, cache = tmp_path / "models", tmp_path / "cache"
    write_sparse(models / "b" / "ink.safetensors", KINDS[sort])
    assert source(Catalog.default([models], cache), sort, "ink") == "b/ink.safetensors"
    write_sparse(models / "a" / "ink.safetensors", KINDS[sort])
    write_sparse(models / "ink.safetensors", KINDS[sort])
    for catalog in (Catalog.default([models], cache), LiveCatalog([models], cache=cache).catalog()):
        assert source(catalog, sort, "ink") == "b/ink.safetensors"
        assert source(catalog, sort, "a/ink") == "a/ink.safetensors"
        assert source(catalog, sort, "models/ink") == "models/ink.safetensors"
    forgotten = Catalog.default([models])
    assert source(forgotten, sort, "a/ink") == "a/ink.safetensors"
    assert source(forgotten, sort, "models/ink") == "models/ink.safetensors"
    with pytest.raises(UnknownNameError, match="3 "):
        forgotten.find(ROWS[sort], "ink")  # rather none than another


def test_a_name_is_not_given_to_another_when_its_own_has_gone(tmp_path: Path) -> None:
    models, cache = tmp_path / "models", tmp_path / "cache"
    write_sparse(models / "b" / "ink.safetensors", kohya_lora(768))
    Catalog.default([models], cache)
    write_sparse(models / "a" / "ink.safetensors", kohya_lora(768, rank=4))
    Catalog.default([models], cache)
    (models / "b" / "ink.safetensors").unlink()
    catalog = Catalog.default([models], cache)
    for name in ("ink", "INK.safetensors"):
        with pytest.raises(UnknownNameError, match=r"is missing: it was 'b/ink") as caught:
            catalog.find(LoraRow, name)
        assert caught.value.suggestion == "a/ink"
    write_sparse(models / "b" / "ink.safetensors", kohya_lora(2048))
    catalog = Catalog.default([models], cache)
    assert source(catalog, "lora", "ink") == "b/ink.safetensors", "a new version of it"


def test_a_file_that_was_moved_keeps_its_name(tmp_path: Path) -> None:
    models, cache = tmp_path / "models", tmp_path / "cache"
    write_sparse(models / "b" / "ink.safetensors", kohya_lora(768))
    Catalog.default([models], cache)
    (models / "deep" / "er").mkdir(parents=True)
    os.rename(models / "b" / "ink.safetensors", models / "deep" / "er" / "ink.safetensors")
    write_sparse(models / "a" / "ink.safetensors", kohya_lora(768, rank=4))
    catalog = Catalog.default([models], cache)
    assert source(catalog, "lora", "ink") == "er/ink.safetensors"
    assert source(catalog, "lora", "a/ink") == "a/ink.safetensors"


def test_names_stay_within_a_process_without_a_file(tmp_path: Path) -> None:
    write_sparse(tmp_path / "b" / "ink.safetensors", kohya_lora(768))
    library = LiveCatalog([tmp_path])
    library.catalog()
    write_sparse(tmp_path / "a" / "ink.safetensors", kohya_lora(768))
    assert source(library.rescan(), "lora", "ink") == "b/ink.safetensors"


def test_names_of_two_processes_are_both_kept(tmp_path: Path) -> None:
    file = tmp_path / FILE_NAME
    one, other = PermanentNames(file), PermanentNames(file)
    assert one.assign("LoRA", {tmp_path / "a" / "ink": "1"}).names == {
        tmp_path / "a" / "ink": "ink"
    }
    assert other.assign("VAE", {tmp_path / "b" / "ink": "2"}).names == {
        tmp_path / "b" / "ink": "ink"
    }
    one.save()
    other.save()
    third = PermanentNames(file)
    assert third.assign("LoRA", {}).gone == {"ink": tmp_path / "a" / "ink"}
    assert third.assign("VAE", {}).gone == {"ink": tmp_path / "b" / "ink"}


@pytest.mark.parametrize("content", ["{", "[]", '{"version": 1, "names": {"LoRA": 3}}', "{}"])
def test_a_damaged_file_of_names_is_told(
    content: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / FILE_NAME
    file.write_text(content)
    with caplog.at_level(logging.WARNING):
        names = PermanentNames(file)
        names.assign("LoRA", {tmp_path / "ink": "1"})
    assert "can't read" in caplog.text
    names.save()
    assert PermanentNames(file).assign("LoRA", {}).gone == {"ink": tmp_path / "ink"}


def test_what_programs_call_every_lora_is_found_by_its_folder(tmp_path: Path) -> None:
    for folder in ("ink", "oil"):
        write_sparse(tmp_path / folder / "adapter_model.safetensors", kohya_lora(768))
    catalog = Catalog.default([tmp_path])
    assert catalog.find(LoraRow, "Oil").name == "oil/adapter_model"


def test_without_any_it_is_said_where_they_belong(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError) as error:
        Catalog.default([tmp_path]).find(LoraRow, "ink")
    assert str(error.value) == (
        "There is no LoRA 'ink', and none was found in your models folder. "
        "Put LoRAs into its folder 'loras'."
    )
    with pytest.raises(UnknownNameError) as error:
        Catalog.default().find(LoraRow, "ink")
    assert str(error.value) == (
        "There is no LoRA 'ink', and none was found. "
        "Start the app with --models-dir FOLDER and put LoRAs into FOLDER/loras."
    )


def test_the_nearest_is_suggested_and_a_long_list_is_cut(tmp_path: Path) -> None:
    for number in range(30):
        write_sparse(tmp_path / f"style number {number}.safetensors", kohya_lora(768))
    catalog = Catalog.default([tmp_path])
    with pytest.raises(UnknownNameError, match="style number 17") as caught:
        catalog.find(LoraRow, "Style_number_17")
    assert caught.value.suggestion == "style number 17"
    with pytest.raises(UnknownNameError, match=r"and 18 more\.") as caught:
        catalog.find(LoraRow, "qqq")
    assert caught.value.suggestion is None
