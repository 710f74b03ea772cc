"""Downloads from a hub that is a server of this machine."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from huggingface_hub import constants, scan_cache_dir, snapshot_download, try_to_load_from_cache

from paintdiff.errors import (
    DownloadCancelledError,
    DownloadError,
    GatedModelError,
    HubUnavailableError,
    RequestError,
    UnknownNameError,
    UnsafeWeightsError,
)
from paintdiff.models.hub import cache as hub_cache
from paintdiff.models.hub.downloads import Download, Downloads
from tests.hub_server import COMMIT, LATER_COMMIT, TOKEN, FakeHub, Repository

ID = "painter/boats"
UNET = "unet/diffusion_pytorch_model.fp16.safetensors"
LARGE = bytes(range(256)) * 4000


def boats(**more: object) -> Repository:
    """As pipelines lie on the hub: with weights of several precisions and kinds, and code."""
    index = {
        "_class_name": "StableDiffusionPipeline",
        "scheduler": ["diffusers", "DDIMScheduler"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "feature_extractor": [None, None],
        "requires_safety_checker": True,
    }
    files = {
        "model_index.json": json.dumps(index).encode(),
        "README.md": b"# Boats",
        "pipeline.py": b"print('code')",
        "scheduler/scheduler_config.json": b'{"of": "sch31"}',
        "tokenizer/vocab.json": b'{"of": "tok20"}',
        "tokenizer/merges.txt": b"a b",
        "unet/config.json": b'{"of": "une16"}',
        "unet/modeling.py": b"print('code')",
        UNET: LARGE,
        "unet/diffusion_pytorch_model.safetensors": LARGE * 2,
        "unet/diffusion_pytorch_model.non_ema.safetensors": LARGE * 2,
        "unet/diffusion_pytorch_model.bin": b"a pickle",
        "vae/config.json": b'{"of": "vae15"}',
        "vae/diffusion_pytorch_model-00001-of-00002.safetensors": b"one",
        "vae/diffusion_pytorch_model-00002-of-00002.safetensors": b"two",
        "vae/diffusion_pytorch_model.safetensors.index.json": b'{"of": "vae50"}',
        "safety_checker/model.safetensors": b"not wanted",
        "boats.ckpt": b"a pickle",
        "boats.safetensors": LARGE,
    }
    return Repository(files, **more)  # pyright: ignore[reportArgumentType]


NEEDED = {
    "model_index.json",
    "scheduler/scheduler_config.json",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
    "unet/config.json",
    UNET,
    "vae/config.json",
    "vae/diffusion_pytorch_model-00001-of-00002.safetensors",
    "vae/diffusion_pytorch_model-00002-of-00002.safetensors",
    "vae/diffusion_pytorch_model.safetensors.index.json",
}


@pytest.fixture
def boats_hub(hub: FakeHub) -> FakeHub:
    hub.repositories[ID] = boats()
    return hub


def when_at(download: Download, done_bytes: int) -> None:
    """Wait until so much has come."""
    deadline = time.monotonic() + 20
    while download.state().done_bytes < done_bytes:
        assert time.monotonic() < deadline and not download.wait(0), download.state()
        time.sleep(0.005)


def test_what_a_pipeline_needs_is_fetched_and_nothing_else(
    boats_hub: FakeHub, downloads: Downloads
) -> None:
    folder = downloads.start(ID).result()
    assert boats_hub.fetched() == NEEDED
    files = boats_hub.repositories[ID].files
    here = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert here == NEEDED
    for name in NEEDED:
        assert (folder / name).read_bytes() == files[name]
    total = sum(len(files[name]) for name in NEEDED)
    (state,) = downloads.all()
    assert (state.state, state.done_bytes, state.total_bytes) == ("done", total, total)
    assert state.commit == folder.name == COMMIT
    assert not list(folder.parent.parent.rglob("*.incomplete"))


def test_the_cache_is_that_of_other_programs(boats_hub: FakeHub, downloads: Downloads) -> None:
    folder = downloads.start(ID).result()
    cached = try_to_load_from_cache(ID, UNET)
    assert cached == str(folder / UNET)
    assert (folder / UNET).is_symlink()
    found = scan_cache_dir(constants.HF_HUB_CACHE)
    assert not found.warnings and [repository.repo_id for repository in found.repos] == [ID]
    assert snapshot_download(ID, local_files_only=True) == str(folder)
    boats_hub.asked.clear()
    assert downloads.start(ID).result() == folder
    assert boats_hub.asked == [], "what is here isn't asked for"


def test_what_other_programs_fetched_is_found(boats_hub: FakeHub, downloads: Downloads) -> None:
    repository = hub_cache.get_repository_folder(ID)
    plain = {name.replace(".fp16", ""): content for name, content in boats().files.items()}
    for name in {name.replace(".fp16", "") for name in NEEDED}:
        path = repository / "snapshots" / LATER_COMMIT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(plain[name])
    assert downloads.start(ID).result() == repository / "snapshots" / LATER_COMMIT
    assert boats_hub.asked == []


def test_progress_is_told_while_it_comes(boats_hub: FakeHub, downloads: Downloads) -> None:
    boats_hub.pause_seconds = 0.005
    download = downloads.start(ID)
    when_at(download, len(LARGE) // 2)
    state = download.state()
    assert state.state == "running" and 0 < state.done_bytes < state.total_bytes
    assert state.message.startswith(f"Downloading {ID}: ")
    assert " of 1000 KiB" in state.message
    assert hub_cache.find_snapshot(ID) is None and hub_cache.list_cached_models() == (), (
        "it isn't whole"
    )
    download.result()
    (model,) = hub_cache.list_cached_models()
    assert (model.hub_id, model.commit, model.kind) == (ID, COMMIT, "pipeline")
    assert model.pipeline_class == "StableDiffusionPipeline"
    assert model.size_bytes == state.total_bytes


def test_a_cut_connection_is_taken_up_where_it_was(
    boats_hub: FakeHub, downloads: Downloads
) -> None:
    boats_hub.cut_after_bytes, boats_hub.cuts = 200_000, 3
    folder = downloads.start(ID).result()
    assert (folder / UNET).read_bytes() == LARGE
    assert boats_hub.cuts == 0
    assert boats_hub.sent_bytes("/files/unet") == len(LARGE), "nothing was sent twice"


def test_a_server_that_knows_no_parts_is_read_from_the_start(
    boats_hub: FakeHub, downloads: Downloads
) -> None:
    boats_hub.cut_after_bytes, boats_hub.cuts, boats_hub.keeps_ranges = 200_000, 1, False
    folder = downloads.start(ID).result()
    assert (folder / UNET).read_bytes() == LARGE
    assert boats_hub.sent_bytes("/files/unet") == 200_000 + len(LARGE)


def test_a_busy_hub_is_asked_again_but_not_for_ever(
    boats_hub: FakeHub, downloads: Downloads
) -> None:
    boats_hub.busy = 2
    downloads.start(ID).result()
    boats_hub.repositories["painter/other"] = boats()
    boats_hub.busy = 10_000
    with pytest.raises(HubUnavailableError, match=r"unavailable.*503"):
        downloads.start("painter/other").result()


def test_a_hub_that_goes_silent_is_given_up(
    boats_hub: FakeHub, downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.5)
    boats_hub.stalls = True
    download = downloads.start(ID)
    when_at(download, 1000)
    boats_hub.keeps_ranges = False  # nothing more comes than before
    with pytest.raises(HubUnavailableError, match="took too long"):
        download.result()


def test_cancelling_acts_at_once_and_what_has_come_is_kept(
    boats_hub: FakeHub, downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 120)  # far longer than `soon`
    boats_hub.stalls = True
    download = downloads.start(ID)
    when_at(download, 10_000)
    soon = 20.0
    downloads.cancel(download.id)
    assert download.wait(soon) and download.state().state == "cancelled"
    deadline = time.monotonic() + soon
    while any(thread.name == f"download {ID}" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "the thread reads on"
        time.sleep(0.01)
    with pytest.raises(DownloadCancelledError, match="downloaded so far is kept"):
        download.result()
    assert hub_cache.find_snapshot(ID) is None
    came = boats_hub.sent_bytes("/files/unet")
    boats_hub.stalls = False
    boats_hub.released.set()
    folder = downloads.start(ID).result()
    assert (folder / UNET).read_bytes() == LARGE
    assert came > 0 and boats_hub.sent_bytes("/files/unet") == len(LARGE)


def test_a_download_that_waits_its_turn_can_be_cancelled(hub: FakeHub) -> None:
    for number in range(3):
        hub.repositories[f"painter/boats{number}"] = boats()
    hub.stalls = True
    downloads = Downloads(at_once=2)
    first, second = (downloads.start(f"painter/boats{number}") for number in range(2))
    when_at(first, 1)
    when_at(second, 1)
    third = downloads.start("painter/boats2")
    time.sleep(0.3)
    assert third.state().state == "waiting" and not [
        asked for asked in hub.asked if "boats2" in asked.path
    ]
    third.cancel()
    assert third.state().state == "cancelled"
    downloads.close()
    assert {state.state for state in downloads.all()} == {"cancelled"}


def test_two_who_want_the_same_share_one_download(boats_hub: FakeHub, downloads: Downloads) -> None:
    boats_hub.pause_seconds = 0.01
    first, second = downloads.start(ID), downloads.start(ID)
    assert first is second
    told: list[str] = []
    folder = downloads.fetch(ID, on_progress=lambda state: told.append(state.message))
    assert folder == first.result() and told
    assert boats_hub.sent_bytes("/files/unet") == len(LARGE)


def test_two_programs_fetch_a_repository_one_after_the_other(boats_hub: FakeHub) -> None:
    boats_hub.pause_seconds = 0.002
    ours, theirs = Downloads(), Downloads()
    downloads = [each.start(ID) for each in (ours, theirs)]
    assert downloads[0].result() == downloads[1].result()
    assert boats_hub.sent_bytes("/files/unet") == len(LARGE)


def test_a_lease_that_gives_up_ends_only_what_nobody_else_wants(
    boats_hub: FakeHub, downloads: Downloads
) -> None:
    boats_hub.pause_seconds = 0.01
    with pytest.raises(DownloadCancelledError):
        downloads.fetch(ID, wanted=lambda: False)
    assert [state.state for state in downloads.all()] == ["cancelled"]
    by_hand = downloads.start(ID)
    with pytest.raises(DownloadCancelledError):
        downloads.fetch(ID, wanted=lambda: False)
    assert by_hand.result().is_dir()


def test_a_revision_is_resolved_once_and_kept(
    boats_hub: FakeHub, downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    boats_hub.stalls = True
    download = downloads.start(ID)
    when_at(download, 10_000)
    download.cancel()
    boats_hub.stalls = False
    boats_hub.released.set()
    assert hub_cache.read_pinned_commit(ID) == COMMIT
    folder = downloads.start(ID).result()
    boats_hub.repositories[ID].commit = LATER_COMMIT
    assert downloads.start(ID).result() == folder
    assert downloads.start(ID, COMMIT).result() == folder
    assert downloads.start(ID, LATER_COMMIT).result().name == LATER_COMMIT
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert downloads.start(ID).result() == folder
    with pytest.raises(HubUnavailableError, match="HF_HUB_OFFLINE"):
        downloads.start("painter/other").result()


def test_a_commit_that_is_gone_is_told(boats_hub: FakeHub, downloads: Downloads) -> None:
    with pytest.raises(DownloadError, match="no such revision"):
        downloads.start(ID, "f" * 40).result()


def test_a_rewritten_history_is_resolved_anew(boats_hub: FakeHub, downloads: Downloads) -> None:
    hub_cache.pin_commit(ID, "", "f" * 40)
    assert downloads.start(ID).result().name == COMMIT
    assert hub_cache.read_pinned_commit(ID) == COMMIT


def test_gated_models_are_explained_and_the_token_goes_to_the_hub_only(
    boats_hub: FakeHub, downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    boats_hub.repositories[ID].gated = True
    with pytest.raises(GatedModelError, match=f"ccept its licence on .*/{ID}.*set HF_TOKEN"):
        downloads.start(ID).result()
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody_else")
    with pytest.raises(GatedModelError, match="has no access yet") as caught:
        downloads.start(ID).result()
    assert "somebody_else" not in str(caught.value)
    elsewhere = FakeHub()
    elsewhere.repositories[ID] = boats()
    boats_hub.moved_to = elsewhere.address
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    downloads.start(ID).result()
    elsewhere.close()
    assert elsewhere.asked and not any("Authorization" in each.headers for each in elsewhere.asked)
    assert all(TOKEN not in each.path for each in boats_hub.asked)
    assert TOKEN not in repr(downloads.all())


def test_a_token_that_is_none_is_not_shown(
    boats_hub: FakeHub, downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abc\ninjected: header")
    with pytest.raises(DownloadError, match="HF_TOKEN contains invalid characters") as caught:
        downloads.start(ID).result()
    assert "hf_abc" not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize("target", ["http://models.invalid", "file:///etc", "ftp://127.0.0.1"])
def test_redirects_to_unsafe_places_are_not_followed(
    boats_hub: FakeHub, downloads: Downloads, target: str
) -> None:
    boats_hub.moved_to = target
    with pytest.raises(DownloadError) as caught:
        downloads.start(ID).result()
    assert "hidden" not in str(caught.value)
    assert hub_cache.find_snapshot(ID) is None


def test_what_is_not_there_is_told(hub: FakeHub, downloads: Downloads) -> None:
    with pytest.raises(DownloadError, match=r"no painter/nothing.*HF_TOKEN"):
        downloads.start("painter/nothing").result()


@pytest.mark.parametrize(
    "bad", ["", "boats", "../boats", "painter/..", "a/b/c", "painter/boats\n", "a--b/c", "a" * 300]
)
def test_what_is_no_id_is_refused(downloads: Downloads, bad: str) -> None:
    with pytest.raises(RequestError, match="isn't a Hugging Face id"):
        downloads.start(bad)


@pytest.mark.parametrize("bad", ["../main", "a/../b", "a b", "/main", "-x"])
def test_what_is_no_revision_is_refused(downloads: Downloads, bad: str) -> None:
    with pytest.raises(RequestError, match="isn't a revision"):
        downloads.start(ID, bad)


def test_downloads_that_have_ended_can_be_forgotten(
    boats_hub: FakeHub, downloads: Downloads
) -> None:
    download = downloads.start(ID)
    download.result()
    downloads.forget(download.id)
    assert downloads.all() == ()
    with pytest.raises(UnknownNameError):
        downloads.cancel(download.id)


def test_retry_fetches_the_same_files_and_what_came_is_kept(
    boats_hub: FakeHub, downloads: Downloads
) -> None:
    boats_hub.stalls = True
    first = downloads.start(ID, files=(UNET,))
    when_at(first, 10_000)
    assert downloads.retry(first.id) is first, "it hasn't ended"
    downloads.cancel(first.id)
    boats_hub.stalls = False
    boats_hub.released.set()
    second = downloads.retry(first.id)
    assert second.files == (UNET,) and second.id != first.id
    assert (second.result() / UNET).read_bytes() == LARGE
    assert boats_hub.sent_bytes("/files/unet") == len(LARGE)
    with pytest.raises(UnknownNameError):
        downloads.retry("nonsense")


def test_a_wrong_sum_is_thrown_away(boats_hub: FakeHub, downloads: Downloads) -> None:
    repository = boats_hub.repositories[ID]
    repository.announced[UNET] = LARGE
    repository.files[UNET] = LARGE[:-1] + b"!"
    with pytest.raises(DownloadError, match="checksum"):
        downloads.start(ID).result()
    assert hub_cache.find_snapshot(ID) is None
    blobs = hub_cache.get_repository_folder(ID) / "blobs"
    assert sum(path.stat().st_size for path in blobs.iterdir()) < 10_000


def test_a_small_file_with_a_wrong_sum_is_thrown_away(
    boats_hub: FakeHub, downloads: Downloads
) -> None:
    repository = boats_hub.repositories[ID]
    repository.announced["unet/config.json"] = b"{}"
    repository.files["unet/config.json"] = b"[]"
    with pytest.raises(DownloadError, match=r"unet/config\.json .*checksum"):
        downloads.start(ID).result()


def test_a_damaged_beginning_is_fetched_again(boats_hub: FakeHub, downloads: Downloads) -> None:
    boats_hub.stalls = True
    download = downloads.start(ID)
    when_at(download, 10_000)
    download.cancel()
    boats_hub.stalls = False
    boats_hub.released.set()
    (part,) = hub_cache.get_repository_folder(ID).glob(f"blobs/*{hub_cache.PART_SUFFIX}")
    part.write_bytes(bytes(part.stat().st_size))
    assert (downloads.start(ID).result() / UNET).read_bytes() == LARGE


def test_a_server_that_lies_about_sizes_fills_no_disk(
    boats_hub: FakeHub, downloads: Downloads
) -> None:
    repository = boats_hub.repositories[ID]
    repository.announced[UNET] = LARGE
    repository.files[UNET] = LARGE * 3
    with pytest.raises(DownloadError, match=r"announced 1,024,000 bytes.*sends 3,072,000"):
        downloads.start(ID).result()
    repository.files[UNET] = bytes(LARGE)[::-1]
    boats_hub.endless = True
    with pytest.raises(DownloadError, match="checksum"):
        downloads.start(ID).result()
    blobs = hub_cache.get_repository_folder(ID) / "blobs"
    assert sum(path.stat().st_size for path in blobs.iterdir()) < 2 * len(LARGE)


@pytest.mark.parametrize(
    "name", ["../evil.safetensors", "unet/../../evil", "/etc/evil", "a\\b", "C:evil", "a//b"]
)
def test_names_that_lead_elsewhere_are_refused(
    boats_hub: FakeHub, downloads: Downloads, name: str, tmp_path: Path
) -> None:
    boats_hub.repositories[ID].files[name] = b"evil"
    with pytest.raises(UnsafeWeightsError, match="outside its folder"):
        downloads.start(ID).result()
    assert not list(tmp_path.rglob("*evil*"))


def test_only_pickles_are_refused(boats_hub: FakeHub, downloads: Downloads) -> None:
    files = boats_hub.repositories[ID].files
    for name in [name for name in files if name.startswith("unet/") and "safetensors" in name]:
        del files[name]
    with pytest.raises(UnsafeWeightsError, match=r"diffusion_pytorch_model\.bin.*run code"):
        downloads.start(ID).result()


def test_a_pipeline_with_code_of_its_own_is_refused(
    boats_hub: FakeHub, downloads: Downloads
) -> None:
    files = boats_hub.repositories[ID].files
    files["model_index.json"] = json.dumps(
        {"_class_name": "StableDiffusionPipeline", "unet": ["modeling", "MyUNet"]}
    ).encode()
    with pytest.raises(UnsafeWeightsError, match="'modeling'"):
        downloads.start(ID).result()
    boats_hub.repositories["painter/own"] = Repository(
        {"model_index.json": json.dumps({"_class_name": ["pipeline", "Mine"]}).encode()}
    )
    with pytest.raises(UnsafeWeightsError, match="never run"):
        downloads.start("painter/own").result()


def test_a_single_file_is_a_model_too(hub: FakeHub, downloads: Downloads) -> None:
    hub.repositories[ID] = Repository({"boats.safetensors": LARGE, "README.md": b"# Boats"})
    path = downloads.start(ID).result()
    assert path.name == "boats.safetensors" and path.read_bytes() == LARGE
    assert hub.fetched() == {"boats.safetensors"}
    (model,) = hub_cache.list_cached_models()
    assert (model.kind, model.path, model.pipeline_class) == ("file", path, "")
    assert downloads.start(ID).result() == path


def test_a_collection_of_files_is_told(hub: FakeHub, downloads: Downloads) -> None:
    hub.repositories[ID] = Repository({"a.safetensors": b"1", "b.safetensors": b"2"})
    with pytest.raises(DownloadError, match=r"collection of 2 files \(a\.safetensors, b\.safe"):
        downloads.start(ID).result()
    folder = downloads.start(ID, files=["b.safetensors"]).result()
    assert hub.fetched() == {"b.safetensors"} and (folder / "b.safetensors").is_file()


def test_a_controlnet_is_fetched_but_is_no_model(hub: FakeHub, downloads: Downloads) -> None:
    hub.repositories[ID] = Repository(
        {
            "config.json": b"{}",
            "diffusion_pytorch_model.safetensors": b"weights",
            "diffusion_pytorch_model.bin": b"a pickle",
        }
    )
    assert downloads.start(ID).result().is_dir()
    assert hub.fetched() == {"config.json", "diffusion_pytorch_model.safetensors"}
    assert hub_cache.list_cached_models() == ()
