"""Models in Hugging Face's cache: which are found, and what may be deleted."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants

from paintdiff.errors import ModelDeleteError, RequestError
from paintdiff.models.hub import cache as hub_cache
from paintdiff.models.hub.cache import delete_cached
from paintdiff.models.hub.file_selection import (
    detect_repository_kind,
    find_missing,
    find_pipeline_variant,
    select_weights,
)

COMMIT = "a" * 40


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def written(path: Path, content: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_an_empty_or_odd_cache_has_no_models(cache: Path) -> None:
    assert hub_cache.list_cached_models() == ()
    written(cache / "version.txt")
    written(cache / "models--one")
    written(cache / "datasets--a--b" / "snapshots" / COMMIT / "a.safetensors")
    written(cache / "models--a--b--c" / "snapshots" / COMMIT / "a.safetensors")
    written(cache / "models--a--.." / "snapshots" / COMMIT / "a.safetensors")
    written(cache / "models--a--d" / "snapshots" / "no commit" / "a.safetensors")
    written(cache / "models--a--e" / "refs" / "main", "../../elsewhere")
    written(cache / "models--a--f" / "snapshots" / COMMIT / "model_index.json", "no JSON")
    assert hub_cache.list_cached_models() == ()


def test_deleting_stays_inside_the_cache(cache: Path, tmp_path: Path) -> None:
    precious = written(tmp_path / "precious" / "picture.png")
    cache.mkdir()
    (cache / "models--a--b").symlink_to(precious.parent)
    with pytest.raises(ModelDeleteError, match="link to another place"):
        delete_cached("a/b")
    for bad in ("../precious", "a/..", "a"):
        with pytest.raises(RequestError):
            delete_cached(bad)
    written(cache / "models--a--c" / "snapshots" / COMMIT / "x.safetensors")
    (cache / "models--a--c" / "blobs").mkdir()
    (cache / "models--a--c" / "blobs" / "link").symlink_to(precious)
    delete_cached("a/c")
    assert precious.exists() and not (cache / "models--a--c").exists()


@pytest.mark.parametrize(
    ("names", "variant", "count"),
    [
        ({"model.safetensors"}, "", 1),
        ({"model.safetensors", "model.fp16.safetensors"}, "fp16", 1),
        ({"model.fp16-00001-of-00001.safetensors", "model.safetensors"}, "", 1),
        (
            {
                "model.fp16-00001-of-00002.safetensors",
                "model.fp16-00002-of-00002.safetensors",
                "model.safetensors.index.fp16.json",
                "model.safetensors",
            },
            "fp16",
            3,
        ),
        (
            {"model-00002-of-00002.safetensors", "model.safetensors.index.json"},
            None,
            0,
        ),
        ({"diffusion_pytorch_model.non_ema.safetensors", "model.bin"}, None, 0),
    ],
)
def test_one_complete_set_of_weights_is_chosen(
    names: set[str], variant: str | None, count: int
) -> None:
    found = select_weights(names)
    assert (found.variant if found else None) == variant
    assert (len(found.names) if found else 0) == count


def test_kinds_of_repositories() -> None:
    assert detect_repository_kind({"model_index.json", "a.safetensors"}) == "pipeline"
    assert detect_repository_kind({"config.json", "diffusion_pytorch_model.safetensors"}) == "part"
    assert detect_repository_kind({"boats.safetensors", "README.md"}) == "file"
    assert detect_repository_kind({"config.json", "odd.safetensors"}) is None
    assert detect_repository_kind({"a.safetensors", "b.safetensors"}) is None


def test_a_whole_folder_is_told_from_one_in_part(tiny_folder: Path, tmp_path: Path) -> None:
    assert find_missing(tiny_folder) is None and find_pipeline_variant(tiny_folder) is None
    for path in tiny_folder.rglob("*"):
        if path.is_file() and path.parent.name != "vae":
            written(tmp_path / path.relative_to(tiny_folder), path.read_text("latin-1"))
    assert find_missing(tmp_path) == "vae/config.json"
    written(tmp_path / "vae" / "config.json")
    assert find_missing(tmp_path) == "the weights of vae"
    (tmp_path / "vae" / "diffusion_pytorch_model.safetensors").symlink_to("nothing")
    assert find_missing(tmp_path) == "the weights of vae"
    written(tmp_path / "vae" / "diffusion_pytorch_model.fp16.safetensors")
    assert find_missing(tmp_path) is None and find_pipeline_variant(tmp_path) == "fp16"
